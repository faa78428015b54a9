/* SPDX-License-Identifier: Apache-2.0
 * What people do to a fan-out and to its children, and children that somebody else ends. After
 * each test memory is the store's and the check finds nothing. */
#include "tests/unit/broker/family_world.h"

/* ---- by hand --------------------------------------------------------------------------------- */

static void cancel_acts_on_the_tree_and_waits_for_those_that_run(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 4, two_at_once);
    handed_out(w, got, 8);
    CANCEL_IT(w, parent);
    assert_status(w, parent, RUNNING);
    assert_true(look_up(w, parent)->cancelling);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
    ends(w, &got[0], OUTCOME(CANCELLED));
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    ends(w, &got[1], OUTCOME(CANCELLED));
    assert_status(w, parent, CANCELLED);
}

static void held_first(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)fanout;
    task->hold = true;
}

static void what_was_never_started_is_cancelled_whole(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, held_first);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 2);
    CANCEL_IT(w, parent);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
}

static void delayed_a_minute(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)fanout;
    task->delay_us = MINUTE;
}

static void a_delayed_fan_out_has_its_members_from_the_start(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, delayed_a_minute);
    join(w, 2, 1);
    assert_status(w, parent, DELAYED);
    later(w, 61 * SECOND);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got, 8), 2);
}

static void hold_and_start_act_on_the_tree(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, two_at_once);
    handed_out(w, got, 8);
    HOLD_IT(w, parent);
    assert_status(w, parent, HELD);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    START_IT(w, parent);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    ends(w, &got[1], DONE);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FINISHED);
}

static void any_in_waves_rest_goes_on(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 1;
    fanout->done = F(DONE__FANOUT_ANY);
    fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
    fanout->cancel_rest = false;
}

static void a_hold_ends_with_the_parent_and_what_may_go_on_does(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, any_in_waves_rest_goes_on);
    handed_out(w, got, 8);
    HOLD_IT(w, parent);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    ends(w, &got[1], DONE);
    assert_int_equal(look_up(w, parent)->fanout->ok, 2);
}

static void retry_runs_again_only_what_did_not_finish(void **state)
{
    world_t *w = *state;
    handed_t got[8], again[8];
    ulid_t parent = given_a_fan_out_to(w, 3, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    ends(w, &got[1], FAIL);
    assert_int_equal(RETRY_IT(w, got[0].id), ERR_WRONG_STATUS);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FAILED);
    assert_int_equal(RETRY_IT(w, got[1].id), ERR_WRONG_STATUS); /* only through the parent */
    assert_int_equal(RETRY_IT(w, parent), ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    assert_status(w, parent, RUNNING);
    ends(w, &again[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->ok, 3);
    assert_int_equal(RETRY_IT(w, parent), ERR_WRONG_STATUS);
}

static void a_retry_looks_anew_for_members_when_there_were_none(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 2);
    handed_t got[8];
    join(w, 0, 1);
    fan_out(w, parent, some_of_many); /* more than there are */
    assert_status(w, parent, FAILED);
    join_all(w, 5);
    assert_int_equal(RETRY_IT(w, parent), ERR_OK);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got, 8), 2);
    assert_int_equal(got[1].total, 2);
    all_end(w, got, 2, DONE);
    assert_status(w, parent, FINISHED);
}

static void a_child_of_an_open_family_may_be_run_again_by_itself(void **state)
{
    world_t *w = *state;
    handed_t got[8], again[8];
    ulid_t parent = given_a_fan_out_to(w, 2, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    assert_int_equal(RETRY_IT(w, got[0].id), ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 1);
    ends(w, &again[0], DONE);
    ends(w, &got[1], DONE);
    assert_status(w, parent, FINISHED);
}

static void a_child_does_not_run_again_before_its_fan_out_has_begun(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1), child = parent;
    handed_t got[8];
    Pawl__V1__TaskInfo *all[8];
    join_all(w, 2);
    fan_out(w, parent, held_first);
    assert_int_equal(list_all(w, false, all, 8), 3);
    for (size_t i = 0; i < 3; i++)
        if (memcmp(all[i]->id.data, parent.at, 16) != 0) memcpy(child.at, all[i]->id.data, 16);
    CANCEL_IT(w, child);
    assert_status(w, child, CANCELLED);
    assert_int_equal(RETRY_IT(w, child), ERR_WRONG_STATUS);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_status(w, child, CANCELLED);
}

/* ---- children that somebody else ends -------------------------------------------------------- */

/* The child says that it is external; to: its completion token. */
static void goes_outside(world_t *w, const handed_t *lease, uint8_t to[LIMIT_COMPLETION])
{
    const Pawl__V1__Lease *leases[8];
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    size_t n = leases_of(w, conn_of(lease->executor), leases, 8);
    for (size_t i = 0; i < n; i++)
        if (memcmp(leases[i]->id.data, lease->id.at, 16) == 0)
            memcpy(to, leases[i]->completion.data, LIMIT_COMPLETION);
    result.outcome = OUTCOME(ASYNC);
    result.deadline_us = 50 * DAY;
    report_result(w, conn_of(lease->executor), lease->id, lease->token, result);
}

static void an_external_child_keeps_its_place_in_the_wave_and_its_parent_open(void **state)
{
    world_t *w = *state;
    uint8_t token[LIMIT_COMPLETION];
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, two_at_once);
    assert_int_equal(handed_out(w, got, 8), 2);
    goes_outside(w, &got[0], token);
    assert_status(w, got[0].id, EXTERNAL);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 1); /* nobody has a slot, all the same */
    lose(w, 0); /* whose executor is not asked for any more */
    later(w, 120 * SECOND);
    assert_status(w, got[0].id, EXTERNAL);
    ends(w, &got[1], DONE);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    ends(w, &got[1], DONE);
    assert_status(w, parent, RUNNING);
    assert_int_equal(complete(w, token, COMPLETE(DONE), 0), ERR_OK);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->ok, 3);
}

static void a_hold_leaves_external_children_alone_and_a_cancel_ends_them(void **state)
{
    world_t *w = *state;
    uint8_t first[LIMIT_COMPLETION], second[LIMIT_COMPLETION];
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    goes_outside(w, &got[0], first);
    HOLD_IT(w, parent);
    assert_status(w, got[0].id, EXTERNAL);
    assert_int_equal(complete(w, first, COMPLETE(DONE), 0), ERR_OK);
    assert_status(w, got[0].id, FINISHED);
    START_IT(w, parent);
    memset(second, 0, sizeof second);
    goes_outside(w, &got[1], second);
    CANCEL_IT(w, parent);
    assert_status(w, got[1].id, CANCELLED);
    assert_status(w, parent, CANCELLED);
}

static void a_tree_with_an_external_child_is_not_removed_before_that_has_ended(void **state)
{
    world_t *w = *state;
    uint8_t token[LIMIT_COMPLETION];
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, any_in_waves_rest_goes_on);
    assert_int_equal(handed_out(w, got, 8), 1);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    goes_outside(w, &got[1], token);
    pass(w, 40 * DAY);
    purge(w, 1);
    assert_int_equal(look_up(w, parent)->fanout->open, 1);
    pass(w, 11 * DAY); /* nobody has completed it */
    purge(w, 1);
    assert_null(look_up(w, parent));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, whole)
    const struct CMUnitTest tests[] = {
        TEST(cancel_acts_on_the_tree_and_waits_for_those_that_run),
        TEST(what_was_never_started_is_cancelled_whole),
        TEST(a_delayed_fan_out_has_its_members_from_the_start),
        TEST(hold_and_start_act_on_the_tree),
        TEST(a_hold_ends_with_the_parent_and_what_may_go_on_does),
        TEST(retry_runs_again_only_what_did_not_finish),
        TEST(a_retry_looks_anew_for_members_when_there_were_none),
        TEST(a_child_of_an_open_family_may_be_run_again_by_itself),
        TEST(a_child_does_not_run_again_before_its_fan_out_has_begun),
        TEST(an_external_child_keeps_its_place_in_the_wave_and_its_parent_open),
        TEST(a_hold_leaves_external_children_alone_and_a_cancel_ends_them),
        TEST(a_tree_with_an_external_child_is_not_removed_before_that_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

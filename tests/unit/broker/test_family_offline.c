/* SPDX-License-Identifier: Apache-2.0
 * Fan-outs whose executors are away, lost or late, and those that go in waves. After each test
 * memory is the store's and the check finds nothing. */
#include "tests/unit/broker/family_world.h"

/* ---- offline --------------------------------------------------------------------------------- */

static void skip_leaves_out_who_is_away_and_all_away_is_no_success(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1), second = id_at(w, 2);
    handed_t got[8];
    join_all(w, 3);
    lose(w, 1);
    pass(w, 31 * SECOND); /* since the start everybody had a lease's time to come */
    fan_out(w, parent, NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    all_end(w, got, 2, DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->skipped, 1);
    lose(w, 0);
    lose(w, 2);
    fan_out(w, second, NULL);
    assert_status(w, second, FAILED);
    assert_string_equal(look_up(w, second)->reason, "no members");
}

static void who_goes_away_while_his_child_waits_is_skipped_too(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    restart(w);
    fan_out(w, parent, NULL); /* after a start nobody is away yet */
    join(w, 0, 2);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    assert_status(w, parent, RUNNING);
    later(w, 31 * SECOND);
    later(w, 31 * SECOND);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->skipped, 1);
}

static void offline_fails(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->offline = F(OFFLINE__FANOUT_FAIL);
}

static void offline_fail_counts_as_a_failure(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    lose(w, 1);
    pass(w, 31 * SECOND);
    fan_out(w, parent, offline_fails);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FAILED);
    assert_int_equal(look_up(w, parent)->fanout->failed, 1);
}

static void a_lost_child_is_retried_on_its_own_host(void **state)
{
    world_t *w = *state;
    handed_t got[8], again[8];
    given_a_fan_out_to(w, 2, NULL);
    handed_out(w, got, 8);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 0);
    join(w, 1, 2);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 1);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    assert_true(again[0].token > got[1].token);
}

static void may_move(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->move = true;
}

static void with_move_a_lost_child_runs_elsewhere(void **state)
{
    world_t *w = *state;
    handed_t got[8], again[8];
    ulid_t parent = given_a_fan_out_to(w, 2, may_move);
    handed_out(w, got, 8);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 0);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    ends(w, &again[0], DONE);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
}

/* Of two children one is done; the other, `lost`, may run elsewhere, and nobody is there. */
static ulid_t given_a_moved_child_without_hosts(world_t *w, handed_t *lost)
{
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, may_move);
    assert_int_equal(handed_out(w, got, 8), 2);
    ends(w, &got[0], DONE);
    lose(w, 0);
    lose(w, 1);
    *lost = got[1];
    return parent;
}

static void a_moved_child_for_whom_nobody_is_left_is_given_up_as_others_are(void **state)
{
    world_t *w = *state;
    handed_t lost;
    ulid_t parent = given_a_moved_child_without_hosts(w, &lost);
    later(w, 31 * SECOND); /* seen: nobody */
    assert_status(w, parent, RUNNING);
    later(w, 31 * SECOND); /* for a lease's time: it is its own executor's */
    later(w, 31 * SECOND);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->skipped, 1);
}

static void without_labels(Pawl__V1__Hello *hello)
{
    hello->n_labels = 0;
}

static void a_moved_child_that_nobody_elsewhere_may_take_goes_back_to_its_own_host(void **state)
{
    world_t *w = *state;
    handed_t lost, again[8];
    ulid_t parent = given_a_moved_child_without_hosts(w, &lost);
    join_as(w, 1, 2, without_labels);
    later(w, 31 * SECOND);
    assert_int_equal(handed_out(w, again, 8), 0);
    later(w, 31 * SECOND);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 1);
    assert_memory_equal(again[0].id.at, lost.id.at, 16);
    ends(w, &again[0], DONE);
    assert_status(w, parent, FINISHED);
}

static void for_sql_alone(Pawl__V1__Hello *hello)
{
    hello->types[0] = hello->types[hello->n_types - 1];
    hello->n_types = 1;
}

static void a_moved_child_that_its_own_host_cannot_take_waits_for_who_can(void **state)
{
    world_t *w = *state;
    handed_t lost, again[8];
    ulid_t parent = given_a_moved_child_without_hosts(w, &lost);
    join_as(w, 1, 2, for_sql_alone);
    for (int i = 0; i < 4; i++)
        later(w, 31 * SECOND);
    assert_status(w, parent, RUNNING);
    join(w, 0, 2);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 0);
    assert_memory_equal(again[0].id.at, lost.id.at, 16);
}

static void a_moved_child_that_is_run_again_goes_back_to_its_own_host(void **state)
{
    world_t *w = *state;
    handed_t got[8], again[8];
    ulid_t parent = given_a_fan_out_to(w, 2, may_move);
    assert_int_equal(handed_out(w, got, 8), 2);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 0);
    ends(w, &again[0], FAIL);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FAILED);
    assert_int_equal(RETRY_IT(w, parent), ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 0);
    join(w, 1, 2);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 1);
}

static void late_joiners(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->late_join = true;
    fanout->offline_us = 600 * SECOND;
}

static void who_enrols_meanwhile_joins_and_nobody_waits_out_the_time(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join(w, 0, 1);
    fan_out(w, parent, late_joiners);
    handed_out(w, got, 8);
    join(w, 1, 1);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    assert_int_equal(got[1].index, 1);
    assert_int_equal(got[1].total, 2);
    all_end(w, got, 2, DONE);
    assert_status(w, parent, RUNNING); /* somebody may still come */
    later(w, 601 * SECOND);
    assert_status(w, parent, FINISHED);
    join(w, 2, 1);
    assert_int_equal(handed_out(w, got, 8), 0);
}

/* ---- waves ----------------------------------------------------------------------------------- */

static void each_end_makes_room_for_the_next_child_in_its_own_commit(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 4, two_at_once);
    assert_int_equal(handed_out(w, got, 8), 2);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 2);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    assert_int_equal(got[2].executor, 2);
    ends(w, &got[1], FAIL);
    assert_int_equal(handed_out(w, got + 3, 5), 1);
    ends(w, &got[2], DONE);
    ends(w, &got[3], DONE);
    assert_status(w, parent, FAILED);
}

static void two_and_a_pause(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
    fanout->pause_us = 30 * SECOND;
}

static void a_pause_separates_waves_over_a_restart(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 4, two_and_a_pause);
    assert_int_equal(handed_out(w, got, 8), 2);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    ends(w, &got[1], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    restart(w);
    join_all(w, 4);
    later(w, 29 * SECOND);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    later(w, 2 * SECOND);
    assert_int_equal(handed_out(w, got + 2, 6), 2);
    ends(w, &got[2], DONE);
    ends(w, &got[3], DONE);
    assert_status(w, parent, FINISHED);
}

static void stop_after_two(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
    fanout->stop_failures = 2;
}

static void after_so_many_failures_the_rest_is_cancelled_with_the_reason(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 5, stop_after_two);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    ends(w, &got[1], FAIL);
    assert_int_equal(handed_out(w, got + 3, 5), 0);
    assert_status(w, parent, RUNNING); /* the third still runs */
    assert_true(look_up(w, parent)->fanout->stopped);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FAILED);
    assert_string_equal(look_up(w, parent)->message, "1 of 5 finished, 2 failed, 2 cancelled");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, whole)
    const struct CMUnitTest tests[] = {
        TEST(skip_leaves_out_who_is_away_and_all_away_is_no_success),
        TEST(who_goes_away_while_his_child_waits_is_skipped_too),
        TEST(offline_fail_counts_as_a_failure),
        TEST(a_lost_child_is_retried_on_its_own_host),
        TEST(with_move_a_lost_child_runs_elsewhere),
        TEST(a_moved_child_for_whom_nobody_is_left_is_given_up_as_others_are),
        TEST(a_moved_child_that_nobody_elsewhere_may_take_goes_back_to_its_own_host),
        TEST(a_moved_child_that_its_own_host_cannot_take_waits_for_who_can),
        TEST(a_moved_child_that_is_run_again_goes_back_to_its_own_host),
        TEST(who_enrols_meanwhile_joins_and_nobody_waits_out_the_time),
        TEST(each_end_makes_room_for_the_next_child_in_its_own_commit),
        TEST(a_pause_separates_waves_over_a_restart),
        TEST(after_so_many_failures_the_rest_is_cancelled_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * What is done to all children of a fan-out takes as many commits as it needs: what holds from the
 * word on, what a crash between two of them leaves, and what one word does to another. Three
 * children a commit here. After each test memory is the store's and the check finds nothing. */
#include "tests/unit/broker/family_world.h"

enum { AT_ONCE = 3, MANY = 12 };

static int begin(void **state)
{
    setup(state);
    world_t *w = *state;
    w->children_at_once = AT_ONCE;
    restart(w);
    return 0;
}

static void leave(world_t *w, unsigned nth)
{
    is_gone(w, conn_of(nth));
}

static void wait_for_them(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->offline = F(OFFLINE__FANOUT_WAIT);
}

/* MANY children that wait, each for an executor that is enrolled and not here. */
static ulid_t all_wait(world_t *w)
{
    ulid_t parent = id_at(w, 1);
    join_all(w, MANY);
    for (unsigned i = 0; i < MANY; i++)
        leave(w, i);
    fan_out(w, parent, wait_for_them);
    assert_int_equal(COUNT(w, WAITING), MANY);
    return parent;
}

/* MANY children that run; got has their leases. */
static ulid_t all_run(world_t *w, handed_t got[MANY])
{
    ulid_t parent = given_a_fan_out_to(w, MANY, wait_for_them);
    assert_int_equal(handed_out(w, got, MANY), MANY);
    return parent;
}

/* Given executors of whom web-0 alone is here, and a fan-out to all: its child runs, as got tells,
 * and the others wait. */
static ulid_t given_that_only_one_is_here(world_t *w, unsigned executors, fanout_fn *change_it,
                                          handed_t *got)
{
    ulid_t parent = id_at(w, 1);
    join_all(w, executors);
    for (unsigned i = 1; i < executors; i++)
        leave(w, i);
    fan_out(w, parent, change_it);
    assert_int_equal(handed_out(w, got, 1), 1);
    return parent;
}

static void ticks(world_t *w, unsigned n)
{
    while (n-- > 0)
        tick(w);
}

/* What is said of a task, in one text. */
static const char *why(world_t *w, ulid_t id)
{
    static char text[1000];
    Pawl__V1__TaskWhy ask = PAWL__V1__TASK_WHY__INIT;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    answer_t answer;
    ask.id = (ProtobufCBinaryData){ 16, id.at };
    open_answer(w, &answer);
    assert_int_equal(query_task_why(&answer, &ask, &reply), ERR_OK);
    text[0] = '\0';
    for (size_t i = 0; i < reply.why->n_lines; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", reply.why->lines[i]);
    close_answer(&answer);
    return text;
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static void a_cancel_is_seen_at_once_and_takes_a_few_children_a_commit(void **state)
{
    world_t *w = *state;
    ulid_t parent = all_wait(w);
    CANCEL_IT(w, parent);
    assert_status(w, parent, RUNNING);
    assert_true(look_up(w, parent)->cancelling);
    for (unsigned n = AT_ONCE; n < MANY; n += AT_ONCE) {
        assert_int_equal(COUNT(w, CANCELLED), n);
        assert_true(core_next_due_us(w->core) <= w->steady_us); /* nobody has to ask */
        tick(w);
    }
    assert_status(w, parent, CANCELLED);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, MANY);
    assert_true(core_next_due_us(w->core) > w->steady_us);
}

static void no_child_starts_between_a_cancel_and_its_turn(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = all_wait(w);
    CANCEL_IT(w, parent);
    join(w, MANY - 1, 2); /* its child is the last in the line, and still waits */
    assert_int_equal(handed_out(w, got, MANY), 0);
    assert_int_equal(COUNT(w, CANCELLED), 2 * AT_ONCE + 1);
    assert_non_null(strstr(why(w, parent), "some children at a time"));
    ticks(w, MANY / AT_ONCE);
    assert_status(w, parent, CANCELLED);
}

static void a_cancel_goes_on_after_a_crash_between_two_commits(void **state)
{
    world_t *w = *state;
    ulid_t parent = all_wait(w);
    CANCEL_IT(w, parent);
    tick(w);
    restart(w);
    assert_int_equal(COUNT(w, CANCELLED), 2 * AT_ONCE);
    ticks(w, MANY / AT_ONCE);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(COUNT(w, CANCELLED), MANY + 1);
}

static void those_that_run_are_told_in_their_turn_and_it_ends_after_the_last(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = all_run(w, got);
    CANCEL_IT(w, parent);
    assert_true(look_up(w, got[AT_ONCE - 1].id)->cancelling);
    assert_false(look_up(w, got[MANY - 1].id)->cancelling);
    ends(w, &got[MANY - 1], DONE); /* before its turn: the result counts */
    ticks(w, MANY / AT_ONCE);
    for (unsigned i = 0; i + 1 < MANY; i++) {
        assert_true(look_up(w, got[i].id)->cancelling);
        ends(w, &got[i], OUTCOME(CANCELLED));
    }
    assert_status(w, parent, CANCELLED);
    assert_int_equal(look_up(w, parent)->fanout->ok, 1);
}

static void two_fan_outs_share_what_a_commit_takes_on(void **state)
{
    world_t *w = *state;
    ulid_t first = all_wait(w), second = id_at(w, 2);
    fan_out(w, second, wait_for_them);
    CANCEL_IT(w, first);
    CANCEL_IT(w, second);
    assert_int_equal(COUNT(w, CANCELLED), 2 * AT_ONCE);
    ticks(w, 2 * MANY / AT_ONCE);
    assert_status(w, first, CANCELLED);
    assert_status(w, second, CANCELLED);
}

static void one_by_one(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->parallel = 1;
}

static void a_wave_goes_on_beside_a_cancel_that_takes_long(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    w->children_at_once = 4;
    restart(w);
    ulid_t first = all_wait(w), second = id_at(w, 2);
    join(w, 0, 2); /* takes its child of the first one, too */
    join(w, 1, 2);
    fan_out(w, second, one_by_one);
    assert_int_equal(handed_out(w, got, MANY), 1);
    CANCEL_IT(w, first);
    ends(w, &got[0], DONE); /* the cancel has still to come to most */
    assert_int_equal(handed_out(w, got, MANY), 1);
    assert_memory_equal(got[0].parent.at, second.at, 16);
    assert_true(COUNT(w, WAITING) > 0);
}

/* ---- hold and start -------------------------------------------------------------------------- */

static void no_child_starts_between_a_hold_and_its_turn_and_start_lets_all_go(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = all_wait(w);
    HOLD_IT(w, parent);
    assert_status(w, parent, HELD);
    for (unsigned i = 0; i < MANY; i++) {
        join(w, i, 2);
        assert_int_equal(handed_out(w, got, MANY), 0);
    }
    assert_int_equal(COUNT(w, HELD), MANY + 1);
    START_IT(w, parent);
    size_t n = handed_out(w, got, MANY);
    assert_int_equal(n, AT_ONCE);
    for (; n < MANY; n += AT_ONCE) {
        tick(w);
        assert_int_equal(handed_out(w, got, MANY), AT_ONCE);
    }
    assert_status(w, parent, RUNNING);
}

static void a_start_in_the_middle_of_a_hold_and_a_hold_in_the_middle_of_a_start(void **state)
{
    world_t *w = *state;
    ulid_t parent = all_wait(w);
    HOLD_IT(w, parent);
    START_IT(w, parent); /* the rest is not held any more */
    ticks(w, MANY);
    assert_int_equal(COUNT(w, WAITING), MANY);
    HOLD_IT(w, parent);
    ticks(w, MANY);
    START_IT(w, parent);
    HOLD_IT(w, parent);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, HELD), MANY + 1);
    restart(w);
    START_IT(w, parent);
    restart(w);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, WAITING), MANY);
}

static void a_cancel_in_the_middle_of_a_hold_wins(void **state)
{
    world_t *w = *state;
    ulid_t parent = all_wait(w);
    HOLD_IT(w, parent);
    CANCEL_IT(w, parent);
    ticks(w, MANY);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(COUNT(w, CANCELLED), MANY + 1);
}

static void three_tries(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    static Pawl__V1__Retry retry;
    pawl__v1__retry__init(&retry);
    retry.max_attempts = 3;
    retry.backoff_set_case = PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US;
    retry.backoff_us = 10 * SECOND;
    task->retry = &retry;
    fanout->offline = F(OFFLINE__FANOUT_WAIT);
}

static void a_retry_that_comes_due_while_its_fan_out_is_held_waits(void **state)
{
    world_t *w = *state;
    handed_t got[2];
    ulid_t parent = given_a_fan_out_to(w, 2, three_tries);
    assert_int_equal(handed_out(w, got, 2), 2);
    HOLD_IT(w, parent); /* both run: they may end */
    ends(w, &got[0], FAIL);
    assert_status(w, got[0].id, DELAYED);
    later(w, 20 * SECOND);
    assert_status(w, got[0].id, HELD);
    assert_string_equal(look_up(w, got[0].id)->reason, "held");
    assert_int_equal(START_IT(w, got[0].id), ERR_WRONG_STATUS); /* with its parent only */
    assert_non_null(strstr(why(w, got[0].id), "its fan-out is held"));
    ends(w, &got[1], DONE);
    assert_status(w, parent, HELD);
    START_IT(w, parent);
    assert_int_equal(handed_out(w, got, 2), 1);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
}

static void what_comes_back_to_a_held_fan_out_in_any_other_way_waits_too(void **state)
{
    world_t *w = *state;
    handed_t got[4], again[4];
    ulid_t parent = given_a_fan_out_to(w, 4, wait_for_them);
    assert_int_equal(handed_out(w, got, 4), 4);
    HOLD_IT(w, parent);
    lose(w, 0);
    join(w, 0, 2);
    ends(w, &got[1], OUTCOME(RETURN));
    ends(w, &got[2], FAIL);
    assert_status(w, got[2].id, FAILED);
    assert_int_equal(RETRY_IT(w, got[2].id), 0);
    assert_int_equal(handed_out(w, again, 4), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_status(w, got[i].id, HELD);
    ends(w, &got[3], DONE);
    START_IT(w, parent);
    assert_int_equal(handed_out(w, again, 4), 3);
    all_end(w, again, 3, DONE);
    assert_status(w, parent, FINISHED);
}

static void any_rest_goes_on(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->done = F(DONE__FANOUT_ANY);
    fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
    fanout->cancel_rest = false;
}

static void what_was_held_with_a_parent_that_ends_goes_on(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_that_only_one_is_here(w, 5, any_rest_goes_on, got);
    HOLD_IT(w, parent);
    tick(w);
    assert_int_equal(COUNT(w, HELD), 5);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    ticks(w, 2);
    assert_int_equal(COUNT(w, WAITING), 4);
}

/* ---- run again ------------------------------------------------------------------------------- */

static void stops_after_two(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->stop_failures = 2;
    fanout->parallel = MANY;
}

static void a_retry_opens_all_that_did_not_finish_before_the_first_one_starts(void **state)
{
    world_t *w = *state;
    handed_t got[MANY], again[MANY];
    ulid_t parent = given_a_fan_out_to(w, MANY, stops_after_two);
    assert_int_equal(handed_out(w, got, MANY), MANY);
    ends(w, &got[0], DONE);
    for (unsigned i = 1; i < MANY; i++)
        ends(w, &got[i], FAIL);
    assert_status(w, parent, FAILED);
    assert_int_equal(RETRY_IT(w, parent), 0);
    assert_status(w, parent, RUNNING); /* at once, though most of its children are failed still */
    assert_int_equal(look_up(w, parent)->fanout->failed, MANY - 1 - (AT_ONCE - 1));
    assert_int_equal(handed_out(w, again, MANY), 0);
    tick(w);
    restart(w);
    for (unsigned i = 0; i < MANY; i++)
        join(w, i, 2);
    ticks(w, MANY);
    assert_int_equal(look_up(w, parent)->fanout->failed, 0);
    assert_int_equal(COUNT(w, RUNNING), MANY);
    assert_false(look_up(w, parent)->fanout->stopped);
}

static void a_cancel_in_the_middle_of_a_retry_leaves_the_rest_as_it_ended(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = all_run(w, got);
    all_end(w, got, MANY, FAIL);
    RETRY_IT(w, parent);
    CANCEL_IT(w, parent);
    ticks(w, MANY);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(COUNT(w, FAILED) + COUNT(w, CANCELLED), MANY + 1);
    assert_int_equal(look_up(w, parent)->fanout->open, 0);
    assert_int_equal(RETRY_IT(w, parent), 0);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, RUNNING), MANY + 1);
}

static void a_hold_in_the_middle_of_a_retry_holds_and_loses_nothing(void **state)
{
    world_t *w = *state;
    handed_t got[MANY], again[MANY];
    ulid_t parent = all_run(w, got);
    all_end(w, got, MANY, FAIL);
    RETRY_IT(w, parent);
    HOLD_IT(w, parent);
    for (unsigned i = 0; i < MANY; i++) {
        tick(w);
        assert_int_equal(handed_out(w, again, MANY), 0);
    }
    assert_int_equal(look_up(w, parent)->fanout->blocked, MANY);
    START_IT(w, parent);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, RUNNING), MANY + 1);
}

/* ---- what follows from an end ---------------------------------------------------------------- */

static void any_of_them(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->done = F(DONE__FANOUT_ANY);
}

static void the_rest_of_a_parent_that_ended_goes_in_turn_and_a_retry_waits_for_it(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = given_that_only_one_is_here(w, MANY, any_of_them, got);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(COUNT(w, WAITING), MANY - AT_ONCE);
    join(w, MANY - 1, 2);
    assert_int_equal(handed_out(w, got, MANY), 0);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, CANCELLED), MANY - 1);
}

static void held_first(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    task->hold = true;
}

static void what_never_started_is_cancelled_in_turn_and_cannot_be_run_again_meanwhile(void **state)
{
    world_t *w = *state;
    ulid_t parent = given_a_fan_out_to(w, MANY, held_first);
    CANCEL_IT(w, parent);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(look_up(w, parent)->fanout->blocked, MANY - AT_ONCE);
    assert_int_equal(RETRY_IT(w, parent), ERR_WRONG_STATUS);
    ticks(w, MANY);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, MANY);
    assert_int_equal(RETRY_IT(w, parent), 0);
}

static void children_are_released_in_turn(void **state)
{
    world_t *w = *state;
    ulid_t parent = given_a_fan_out_to(w, MANY, held_first);
    START_IT(w, parent);
    assert_int_equal(COUNT(w, RUNNING), AT_ONCE + 1);
    restart(w);
    join_all(w, MANY);
    ticks(w, MANY);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 0);
}

static void stops_after_one(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->stop_failures = 1;
    fanout->parallel = 1;
    fanout->late_join = true;
    fanout->offline_us = MINUTE;
}

static void a_stop_cancels_in_turn_and_who_joins_later_too(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = given_a_fan_out_to(w, MANY, stops_after_one);
    assert_int_equal(handed_out(w, got, MANY), 1);
    ends(w, &got[0], FAIL);
    assert_true(look_up(w, parent)->fanout->stopped);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, AT_ONCE);
    assert_int_equal(handed_out(w, got, MANY), 0);
    ticks(w, MANY);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, MANY - 1);
    join(w, MANY, 1);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, MANY);
    later(w, 61 * SECOND);
    assert_status(w, parent, FAILED);
}

static void all_or_nothing(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->done = F(DONE__FANOUT_PERCENT);
    fanout->done_count = 100;
    fanout->stop_failures = 1;
    fanout->parallel = 1;
    fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
    fanout->cancel_rest = false;
}

static void a_stop_goes_on_when_the_failure_ends_the_parent_too(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = given_a_fan_out_to(w, MANY, all_or_nothing);
    assert_int_equal(handed_out(w, got, MANY), 1);
    ends(w, &got[0], FAIL);
    assert_status(w, parent, FAILED);
    ticks(w, MANY);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, MANY - 1);
}

static void a_minute_for_them(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    wait_for_them(task, fanout);
    fanout->offline_us = MINUTE;
}

static void who_stays_away_expires_in_turn_and_who_is_here_does_not(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    ulid_t parent = given_that_only_one_is_here(w, MANY, a_minute_for_them, got);
    later(w, 59 * SECOND);
    assert_int_equal(COUNT(w, EXPIRED), 0);
    later(w, 2 * SECOND);
    assert_int_equal(COUNT(w, EXPIRED), AT_ONCE);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, EXPIRED), MANY - 1);
    assert_status(w, parent, RUNNING);
    ends(w, &got[0], DONE);
    assert_status(w, parent, EXPIRED);
}

/* ---- removal --------------------------------------------------------------------------------- */

static void a_tree_that_is_being_removed_is_nowhere_to_be_seen(void **state)
{
    world_t *w = *state;
    handed_t got[MANY];
    Pawl__V1__TaskInfo *shown[MANY + 1];
    ulid_t parent = all_run(w, got);
    all_end(w, got, MANY, DONE);
    assert_int_equal(list_all(w, false, shown, MANY + 1), MANY + 1);
    pass(w, 30 * DAY);
    purge(w, 1);
    assert_int_equal(COUNT(w, FINISHED), MANY + 1 - 2); /* it leaves the half to others */
    assert_null(look_up(w, parent));
    assert_null(look_up(w, got[MANY - 1].id));
    assert_int_equal(list_all(w, false, shown, MANY + 1), 0);
    assert_int_equal(RETRY_IT(w, parent), ERR_WRONG_STATUS);
    restart(w);
    ticks(w, MANY);
    assert_int_equal(COUNT(w, FINISHED), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, whole)
    const struct CMUnitTest tests[] = {
        TEST(a_cancel_is_seen_at_once_and_takes_a_few_children_a_commit),
        TEST(no_child_starts_between_a_cancel_and_its_turn),
        TEST(a_cancel_goes_on_after_a_crash_between_two_commits),
        TEST(those_that_run_are_told_in_their_turn_and_it_ends_after_the_last),
        TEST(two_fan_outs_share_what_a_commit_takes_on),
        TEST(a_wave_goes_on_beside_a_cancel_that_takes_long),
        TEST(no_child_starts_between_a_hold_and_its_turn_and_start_lets_all_go),
        TEST(a_start_in_the_middle_of_a_hold_and_a_hold_in_the_middle_of_a_start),
        TEST(a_cancel_in_the_middle_of_a_hold_wins),
        TEST(a_retry_that_comes_due_while_its_fan_out_is_held_waits),
        TEST(what_comes_back_to_a_held_fan_out_in_any_other_way_waits_too),
        TEST(what_was_held_with_a_parent_that_ends_goes_on),
        TEST(a_retry_opens_all_that_did_not_finish_before_the_first_one_starts),
        TEST(a_cancel_in_the_middle_of_a_retry_leaves_the_rest_as_it_ended),
        TEST(a_hold_in_the_middle_of_a_retry_holds_and_loses_nothing),
        TEST(the_rest_of_a_parent_that_ended_goes_in_turn_and_a_retry_waits_for_it),
        TEST(what_never_started_is_cancelled_in_turn_and_cannot_be_run_again_meanwhile),
        TEST(children_are_released_in_turn),
        TEST(a_stop_cancels_in_turn_and_who_joins_later_too),
        TEST(a_stop_goes_on_when_the_failure_ends_the_parent_too),
        TEST(who_stays_away_expires_in_turn_and_who_is_here_does_not),
        TEST(a_tree_that_is_being_removed_is_nowhere_to_be_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

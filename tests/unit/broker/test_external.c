/* SPDX-License-Identifier: Apache-2.0
 * Attempts that go on without a lease: asked again, and ended by whoever has the token. */
#include "tests/unit/broker/core_world.h"

enum { CLIENT = 1, WORKER = 2, OTHER = 3 };

/* What a lease brought along, kept over batches. */
typedef struct got {
    uint64_t token;
    uint32_t attempt, polls;
    uint8_t completion[LIMIT_COMPLETION];
    char state[64];
    size_t state_len;
} got_t;

static bool take(world_t *w, conn_t conn, got_t *got)
{
    const Pawl__V1__Lease *lease = NULL;
    if (leases_of(w, conn, &lease, 1) == 0) return false;
    *got = (got_t){ .token = lease->token, .attempt = lease->attempt, .polls = lease->polls };
    assert_int_equal(lease->completion.len, LIMIT_COMPLETION);
    memcpy(got->completion, lease->completion.data, LIMIT_COMPLETION);
    got->state_len = lease->poll_state.len;
    if (lease->poll_state.len && lease->poll_state.len < sizeof got->state)
        memcpy(got->state, lease->poll_state.data, lease->poll_state.len);
    return true;
}

static Pawl__V1__Result again(int64_t delay_us, const char *state)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    result.outcome = OUTCOME(AGAIN);
    result.retry_after_us = delay_us;
    result.poll_state.data = (uint8_t *)(uintptr_t)state;
    result.poll_state.len = strlen(state);
    return result;
}

static Pawl__V1__Result async(int64_t deadline_us)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    result.outcome = OUTCOME(ASYNC);
    result.deadline_us = deadline_us;
    result.message = (char *)(uintptr_t) "the bank has it";
    return result;
}

/* Given web-1, and this task that it runs: what its lease brought. */
static got_t given_to_the_worker(world_t *w, ulid_t id, spec_t spec)
{
    got_t got;
    hello(w, WORKER, "web-1", 1, 1);
    submit(w, CLIENT, id, spec);
    assert_true(take(w, WORKER, &got));
    return got;
}

/* A task of that many attempts whose first one is external now. */
static got_t external(world_t *w, ulid_t id, uint32_t attempts)
{
    got_t got = given_to_the_worker(w, id, (spec_t){ .attempts = attempts });
    assert_int_equal(report_result(w, WORKER, id, got.token, async(MINUTE)), VERDICT(DONE));
    assert_int_equal(COUNT(w, EXTERNAL), 1);
    return got;
}

/* ---- asked again ----------------------------------------------------------------------------- */

static void what_a_poll_leaves_comes_back_with_the_next_on_any_executor(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t second, third;
    got_t first = given_to_the_worker(w, id, (spec_t){ 0 });
    assert_int_equal(first.polls, 0);
    assert_int_equal(report_result(w, WORKER, id, first.token, again(10 * SECOND, "page=7")),
                     VERDICT(DONE));
    assert_int_equal(COUNT(w, DELAYED), 1);
    hello(w, OTHER, "web-2", 2, 1);
    later(w, 9 * SECOND);
    assert_int_equal(COUNT(w, DELAYED), 1);
    later(w, SECOND);
    conn_t who = take(w, WORKER, &second) ? WORKER : OTHER;
    if (who == OTHER) assert_true(take(w, OTHER, &second));
    assert_int_equal(second.attempt, 1);
    assert_int_equal(second.polls, 1);
    assert_true(second.token > first.token);
    assert_int_equal(second.state_len, 6);
    assert_memory_equal(second.state, "page=7", 6);
    assert_int_equal(report_result(w, who, id, second.token, again(0, "")), VERDICT(DONE));
    if (!take(w, WORKER, &third)) assert_true(take(w, OTHER, &third));
    assert_int_equal(third.polls, 2);
    assert_int_equal(third.state_len, 0);
}

static void the_state_of_a_poll_outlives_a_restart_and_a_lost_executor(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = given_to_the_worker(w, id, (spec_t){ 0 });
    report_result(w, WORKER, id, got.token, again(0, "kept"));
    assert_true(take(w, WORKER, &got));
    restart(w);
    tick(w);
    hello(w, OTHER, "web-2", 2, 1);
    later(w, 31 * SECOND);
    assert_true(take(w, OTHER, &got));
    assert_int_equal(got.polls, 1);
    assert_memory_equal(got.state, "kept", 4);
    assert_int_equal(report(w, OTHER, id, got.token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void who_says_not_yet_too_often_has_timed_out_and_the_next_attempt_begins_anew(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = given_to_the_worker(w, id, (spec_t){ .attempts = 2 });
    /* the deadline of polls that nobody set is seven days after the first */
    report_result(w, WORKER, id, got.token, again(6 * DAY, "x"));
    later(w, 6 * DAY);
    hello(w, WORKER, "web-1", 2, 1);
    assert_true(take(w, WORKER, &got));
    assert_int_equal(got.polls, 1);
    report_result(w, WORKER, id, got.token, again(2 * DAY, "x"));
    assert_int_equal(COUNT(w, DELAYED), 1);
    later(w, 10 * SECOND); /* the back-off of a failed attempt, not two days */
    assert_true(take(w, WORKER, &got));
    assert_int_equal(got.attempt, 2);
    assert_int_equal(got.polls, 0);
    assert_int_equal(got.state_len, 0);
}

/* ---- external -------------------------------------------------------------------------------- */

static void an_external_task_holds_no_slot_and_ends_by_its_token(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = external(w, id, 1);
    uint64_t next = leased(w, WORKER, id_at(w, 2), (spec_t){ 0 });
    assert_true(next > 0); /* the one slot is free */
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_OK);
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(COUNT(w, EXTERNAL), 0);
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_WRONG_STATUS);
    /* the report once more: recorded already */
    assert_int_equal(report_result(w, WORKER, id, got.token, async(MINUTE)), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_token_that_is_changed_dead_or_early_ends_nothing(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t second;
    got_t got = given_to_the_worker(w, id, (spec_t){ .attempts = 2 });
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_NOT_YET);
    assert_int_equal(COUNT(w, RUNNING), 1);
    for (size_t i = 0; i < LIMIT_COMPLETION; i++) {
        got_t changed = got;
        changed.completion[i] ^= 0x40;
        assert_int_equal(complete(w, changed.completion, COMPLETE(DONE), 0), ERR_BAD_TOKEN);
    }
    report_result(w, WORKER, id, got.token, async(MINUTE));
    assert_int_equal(complete(w, got.completion, COMPLETE(FAIL), 0), ERR_OK);
    assert_int_equal(COUNT(w, DELAYED), 1);
    later(w, 10 * SECOND);
    assert_true(take(w, WORKER, &second));
    assert_int_equal(second.attempt, 2);
    report_result(w, WORKER, id, second.token, async(MINUTE));
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_STALE);
    assert_int_equal(COUNT(w, EXTERNAL), 1);
    assert_int_equal(complete(w, second.completion, COMPLETE(FAIL), 0), ERR_OK);
    assert_int_equal(COUNT(w, FAILED), 1); /* two attempts were all */
}

static void a_deadline_that_passes_is_a_time_out_unless_it_was_moved(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = external(w, id, 1);
    later(w, 59 * SECOND);
    assert_int_equal(complete(w, got.completion, COMPLETE(EXTEND), 100 * SECOND), ERR_OK);
    later(w, 99 * SECOND);
    assert_int_equal(COUNT(w, EXTERNAL), 1);
    restart(w);
    later(w, 2 * SECOND);
    assert_int_equal(COUNT(w, EXTERNAL), 0);
    assert_int_equal(COUNT(w, FAILED), 1);
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_WRONG_STATUS);
}

static void an_external_task_is_cancelled_at_once(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = external(w, id, 1);
    change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, id, 9);
    assert_int_equal(COUNT(w, CANCELLED), 1);
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_WRONG_STATUS);
    later(w, 120 * SECOND);
    assert_int_equal(COUNT(w, CANCELLED), 1);
}

static void a_cancel_that_came_first_wins_over_not_yet_and_accepted(void **state)
{
    world_t *w = *state;
    got_t got;
    hello(w, WORKER, "web-1", 1, 2);
    for (uint8_t i = 1; i <= 2; i++) {
        submit(w, CLIENT, id_at(w, i), (spec_t){ 0 });
        assert_true(take(w, WORKER, &got));
        change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, id_at(w, i), (uint8_t)(20 + i));
        report_result(w, WORKER, id_at(w, i), got.token, i == 1 ? again(0, "x") : async(SECOND));
        assert_int_equal(COUNT(w, CANCELLED), i);
    }
}

static void a_lost_executor_that_comes_back_with_accepted_makes_the_task_external(void **state)
{
    world_t *w = *state;
    ulid_t id = id_at(w, 1);
    got_t got = given_to_the_worker(w, id, (spec_t){ .attempts = 1 });
    is_lost(w, WORKER);
    assert_int_equal(COUNT(w, WAITING), 1);
    hello(w, WORKER, "web-1", 1, 0);
    assert_int_equal(report_result(w, WORKER, id, got.token, async(MINUTE)), VERDICT(RECOVERED));
    assert_int_equal(COUNT(w, EXTERNAL), 1);
    assert_int_equal(complete(w, got.completion, COMPLETE(DONE), 0), ERR_OK);
    assert_int_equal(COUNT(w, FINISHED), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_a_poll_leaves_comes_back_with_the_next_on_any_executor),
        TEST(the_state_of_a_poll_outlives_a_restart_and_a_lost_executor),
        TEST(who_says_not_yet_too_often_has_timed_out_and_the_next_attempt_begins_anew),
        TEST(an_external_task_holds_no_slot_and_ends_by_its_token),
        TEST(a_token_that_is_changed_dead_or_early_ends_nothing),
        TEST(a_deadline_that_passes_is_a_time_out_unless_it_was_moved),
        TEST(an_external_task_is_cancelled_at_once),
        TEST(a_cancel_that_came_first_wins_over_not_yet_and_accepted),
        TEST(a_lost_executor_that_comes_back_with_accepted_makes_the_task_external),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * What is told to stop: attempts, whose record says who wished it, and executors' processes. */
#include "tests/unit/broker/core_world.h"

#include "broker/store/record.h"

enum { CLIENT = 1, WORKER = 2, OTHER = 3 };
#define DIRECTIVE(it) PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_##it

/* ---- attempts -------------------------------------------------------------------------------- */

/* The message that the first task's state holds. */
static const char *message(world_t *w)
{
    static char text[600];
    slice_t value;
    state_row_t row;
    rec_key_t key = key_n(1);
    store_view_t *view;
    assert_int_equal(store_view_open(w->store, &view), ERR_OK);
    assert_int_equal(store_view_get(view, TABLE_state, key_slice(&key), &value), ERR_OK);
    assert_true(state_row_decode(&row, value));
    snprintf(text, sizeof text, "%.*s", (int)row.message.len, (const char *)row.message.at);
    store_view_close(&view);
    return text;
}

static void cancel(world_t *w, ulid_t id, char *reason, uint8_t nth)
{
    const Pawl__V1__TaskVerb cancel_it = PAWL__V1__TASK_VERB__TASK_CANCEL;
    assert_int_equal(change_because(w, cancel_it, id, reason, nth)->changed->done, 1);
}

static void say(world_t *w, ulid_t id, uint64_t token, char *words)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    result.outcome = PAWL__V1__OUTCOME__OUTCOME_CANCELLED;
    result.message = words;
    assert_int_equal(report_result(w, WORKER, id, token, result), VERDICT(DONE));
}

static char *text(const char *words)
{
    return (char *)(uintptr_t)words;
}

static void a_cancelled_attempt_says_who_wished_it_and_why(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    uint64_t token = leased(w, WORKER, id_at(w, 1), (spec_t){ 0 });
    cancel(w, id_at(w, 1), text("wrong host"), 9);
    assert_string_equal(message(w), "cancelled by uid:1: wrong host");
    restart(w); /* the wish outlives the broker */
    hello_claims(w, WORKER, 1, id_at(w, 1), token, false);
    say(w, id_at(w, 1), token, text("cancelled; some processes could not be killed"));
    assert_int_equal(COUNT(w, CANCELLED), 1);
    assert_string_equal(message(w),
                        "cancelled by uid:1: wrong host; some processes could not be killed");
}

static void the_first_wish_stands_and_a_plain_end_adds_nothing(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    uint64_t token = leased(w, WORKER, id_at(w, 1), (spec_t){ 0 });
    cancel(w, id_at(w, 1), text(""), 9);
    cancel(w, id_at(w, 1), text("second thoughts"), 10);
    say(w, id_at(w, 1), token, text("cancelled"));
    assert_string_equal(message(w), "cancelled by uid:1");
}

static void a_waiting_task_says_it_too_and_a_long_reason_is_cut_at_a_character(void **state)
{
    world_t *w = *state;
    char reason[502] = "";
    for (size_t i = 0; i < 250; i++)
        strcat(reason, "é");
    submit(w, CLIENT, id_at(w, 1), (spec_t){ 0 });
    cancel(w, id_at(w, 1), reason, 9);
    assert_int_equal(COUNT(w, CANCELLED), 1);
    size_t len = strlen(message(w)); /* "cancelled by uid:1: " has 20 bytes, so 480 are left */
    assert_int_equal(len, 500);
    assert_int_equal((uint8_t)message(w)[len - 2], 0xC3);
}

static void a_cancelled_attempt_whose_executor_is_lost_says_both(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    (void)leased(w, WORKER, id_at(w, 1), (spec_t){ 0 });
    cancel(w, id_at(w, 1), text("too slow"), 9);
    is_lost(w, WORKER);
    assert_int_equal(COUNT(w, CANCELLED), 1);
    assert_string_equal(message(w), "cancelled by uid:1: too slow; the executor was lost");
}

/* ---- processes ------------------------------------------------------------------------------- */

static const Pawl__V1__Reply *stop(world_t *w, const char *name, int64_t within_us, uint8_t nth)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ExecutorChange c = PAWL__V1__EXECUTOR_CHANGE__INIT;
    uint8_t request_id[16];
    memset(request_id, nth, 16);
    c.name = text(name);
    c.verb = PAWL__V1__EXECUTOR_VERB__EXECUTOR_STOP;
    c.deadline_us = within_us;
    r.request_id.data = request_id;
    r.request_id.len = 16;
    r.body_case = PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
    r.executor_change = &c;
    return request(w, CLIENT, &r);
}

/* The END directive of the last step to this connection: its deadline; -1: none came. */
static int64_t told_to_end(world_t *w, conn_t conn)
{
    size_t at = 0;
    for (const Pawl__V1__Push *push; (push = next_push(w, conn, &at)) != NULL;) {
        if (push->body_case != PAWL__V1__PUSH__BODY_DIRECTIVES) continue;
        for (size_t k = 0; k < push->directives->n_directives; k++)
            if (push->directives->directives[k]->kind == DIRECTIVE(END))
                return push->directives->directives[k]->deadline_us;
    }
    return -1;
}

static void stop_is_said_again_until_the_executor_is_gone(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    assert_null(stop(w, "web-1", 7 * SECOND, 9)->error);
    assert_int_equal(told_to_end(w, WORKER), 7 * SECOND);
    tick(w);
    assert_int_equal(told_to_end(w, WORKER), -1);
    for (int i = 0; i < 3; i++) { /* lost on the way, each time */
        pass(w, 2 * SECOND);
        assert_true(core_next_due_us(w->core) <= w->steady_us);
        tick(w);
        assert_int_equal(told_to_end(w, WORKER), 7 * SECOND);
    }
    says_bye(w, WORKER);
    hello(w, OTHER, text("web-1"), 2, 4); /* who starts it again wants it to work */
    later(w, 5 * SECOND);
    assert_int_equal(told_to_end(w, OTHER), -1);
}

static void the_same_life_is_told_over_a_new_connection_and_after_a_restart(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    stop(w, "web-1", 0, 9);
    is_gone(w, WORKER);
    hello(w, OTHER, text("web-1"), 1, 4);
    assert_int_equal(told_to_end(w, OTHER), 0);
    restart(w);
    hello(w, WORKER, text("web-1"), 1, 4);
    assert_int_equal(told_to_end(w, WORKER), 0);
    restart(w);
    hello(w, WORKER, text("web-1"), 3, 4); /* another life */
    assert_int_equal(told_to_end(w, WORKER), -1);
}

static void
who_is_not_connected_cannot_be_stopped_and_the_answer_says_what_can_be_done(void **state)
{
    world_t *w = *state;
    hello(w, WORKER, text("web-1"), 1, 4);
    is_gone(w, WORKER);
    const Pawl__V1__Reply *reply = stop(w, "web-1", 0, 9);
    assert_non_null(reply->error);
    assert_non_null(strstr(reply->error->text, "not connected"));
    assert_non_null(strstr(reply->error->text, "drain"));
    hello(w, WORKER, text("web-1"), 1, 4);
    tick(w);
    assert_int_equal(told_to_end(w, WORKER), -1);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ONE(a_cancelled_attempt_says_who_wished_it_and_why),
        ONE(the_first_wish_stands_and_a_plain_end_adds_nothing),
        ONE(a_waiting_task_says_it_too_and_a_long_reason_is_cut_at_a_character),
        ONE(a_cancelled_attempt_whose_executor_is_lost_says_both),
        ONE(stop_is_said_again_until_the_executor_is_gone),
        ONE(the_same_life_is_told_over_a_new_connection_and_after_a_restart),
        ONE(who_is_not_connected_cannot_be_stopped_and_the_answer_says_what_can_be_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

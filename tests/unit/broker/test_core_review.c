/* SPDX-License-Identifier: Apache-2.0
 * Core where several rules meet: what a person does by hand beside expiry and overlap, refused
 * commits beside ends of sessions, losses beside claims. */
#include "tests/unit/broker/core_world.h"
#include "schemas/limits.h"

#define CANCEL PAWL__V1__TASK_VERB__TASK_CANCEL
#define RETRY  PAWL__V1__TASK_VERB__TASK_RETRY
#define START  PAWL__V1__TASK_VERB__TASK_START
#define HOLD   PAWL__V1__TASK_VERB__TASK_HOLD

/* ---- by hand --------------------------------------------------------------------------------- */

static void a_task_that_expires_may_be_cancelled_and_run_again_by_hand(void **state)
{
    world_t *w = *state;
    submit(w, 1, id_at(w, 1), (spec_t){ .expire_us = HOUR });
    assert_int_equal(change(w, CANCEL, id_at(w, 1), 1)->changed->done, 1);
    assert_int_equal(change(w, RETRY, id_at(w, 1), 2)->changed->done, 1);
    hello(w, 2, "web-1", 1, 4);
    assert_int_equal(COUNT(w, RUNNING), 1);
}

static void an_expired_task_run_again_by_hand_does_not_expire_again(void **state)
{
    world_t *w = *state;
    submit(w, 1, id_at(w, 1), (spec_t){ .expire_us = 5 * SECOND });
    later(w, 6 * SECOND);
    assert_int_equal(COUNT(w, EXPIRED), 1);
    assert_int_equal(change(w, RETRY, id_at(w, 1), 1)->changed->done, 1);
    hello(w, 2, "web-1", 1, 4);
    assert_int_equal(COUNT(w, RUNNING), 1);
}

static void a_held_task_keeps_its_delay_for_when_it_is_started(void **state)
{
    world_t *w = *state;
    submit(w, 1, id_at(w, 1), (spec_t){ .hold = true, .delay_us = MINUTE });
    assert_int_equal(COUNT(w, HELD), 1);
    change(w, START, id_at(w, 1), 1);
    assert_int_equal(COUNT(w, DELAYED), 1);
    later(w, 61 * SECOND);
    assert_int_equal(COUNT(w, WAITING), 1);
    /* past its time already when it is started: at once */
    submit(w, 1, id_at(w, 2), (spec_t){ .hold = true, .delay_us = MINUTE });
    pass(w, 61 * SECOND);
    change(w, START, id_at(w, 2), 2);
    assert_int_equal(COUNT(w, WAITING), 2);
}

static ulid_t id_of(const Pawl__V1__Lease *lease)
{
    ulid_t id;
    memcpy(id.at, lease->id.data, 16);
    return id;
}

static void a_parked_retry_that_is_held_does_not_open_or_block_its_schedule(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    const Pawl__V1__ScheduleInfo *info = put_schedule(
        w, (plan_spec_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 5 });
    hello(w, 2, "web-1", 1, 4);
    pass(w, info->next_us - w->wall_us + MINUTE);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, info->cursor_us);
    assert_int_equal(answer->fired, 2);
    int64_t cursor = answer->cursor_us;
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    ulid_t first = id_of(lease);
    report(w, 2, first, lease->token, FAIL);
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    ulid_t second = id_of(lease);
    uint64_t token = lease->token;
    change(w, RETRY, first, 1); /* waits for the second one */
    assert_int_equal(leases_of(w, 2, &lease, 1), 0);
    change(w, HOLD, first, 2);
    change(w, START, first, 3);
    assert_int_equal(leases_of(w, 2, &lease, 1), 0);
    change(w, HOLD, first, 4);
    change(w, CANCEL, first, 5);
    report(w, 2, second, token, DONE);
    pass(w, MINUTE);
    assert_int_equal(propose(w, info, cursor)->fired, 1);
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
}

/* ---- losses and claims ----------------------------------------------------------------------- */

static void lose(world_t *w, conn_t conn)
{
    pass(w, 31 * SECOND);
    is_lost(w, conn);
}

static void an_at_most_once_task_that_is_claimed_after_a_loss_goes_on(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    ulid_t id = id_at(w, 1);
    uint64_t token = leased(w, 2, id, (spec_t){ .at_most_once = true });
    lose(w, 2);
    assert_int_equal(COUNT(w, RUNNING), 1);
    const Pawl__V1__Reply *reply = hello_claims(w, 3, 1, id, token, false);
    assert_int_equal(reply->welcome->verdicts[0], PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP);
    later(w, 31 * SECOND);
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(memstore_rows(w->store, TABLE_timer), 0);
    assert_int_equal(report(w, 3, id, token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_cancelled_task_whose_executor_is_lost_ends_cancelled(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    leased(w, 2, id_at(w, 1), (spec_t){ .at_most_once = true });
    lose(w, 2);
    change(w, CANCEL, id_at(w, 1), 1);
    later(w, 31 * SECOND);
    assert_int_equal(COUNT(w, CANCELLED), 1);
}

static void a_claim_of_an_earlier_session_counts_for_nothing(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    hello(w, 2, "web-1", 1, 1);
    ulid_t id = id_at(w, 1);
    uint64_t token = leased(w, 2, id, (spec_t){ 0 });
    hello_claims(w, 3, 1, id, token, true); /* its list is never completed */
    hello(w, 4, "web-1", 2, 1);             /* a new process, which runs nothing */
    assert_int_equal(leases_of(w, 4, &lease, 1), 1);
    assert_true(lease->token > token);
}

static void a_result_that_comes_after_a_bye_is_recorded(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    says_bye(w, 2);
    assert_int_equal(COUNT(w, WAITING), 1);
    hello(w, 3, "web-1", 2, 0);
    assert_int_equal(report(w, 3, id_at(w, 1), token, DONE), VERDICT(RECOVERED));
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(report(w, 3, id_at(w, 1), token, DONE), VERDICT(DONE));
}

static void
an_assign_that_may_have_arrived_is_not_given_to_others_when_once_is_the_most(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ .at_most_once = true });
    hello(w, 3, "web-2", 2, 1);
    command_t undelivered = { .kind = CMD_UNDELIVERED, .conn = 2 };
    assert_int_equal(step(w, &undelivered, 1), ERR_OK);
    assert_int_equal(leases_of(w, 3, &lease, 1), 0);
    later(w, 3 * SECOND);
    assert_int_equal(leases_of(w, 2, &lease, 1), 1); /* it is sent again instead */
    assert_int_equal(lease->token, token);
}

static void the_leases_of_a_replaced_session_end_after_a_lease(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    is_gone(w, 2);
    assert_int_equal(COUNT(w, RUNNING), 1);
    pass(w, 31 * SECOND);
    assert_true(core_next_due_us(w->core) <= w->steady_us);
    tick(w);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void what_ended_in_a_batch_is_not_sent_again_in_it(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    hello(w, 2, "web-1", 1, 1);
    ulid_t id = id_at(w, 1);
    uint64_t token = leased(w, 2, id, (spec_t){ 0 });
    Pawl__V1__Request list = PAWL__V1__REQUEST__INIT, end = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report running = PAWL__V1__REPORT__INIT, ended = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    list.assign_seen = 1;
    list.body_case = end.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    running.running_complete = true;
    list.report = &running;
    result.id.data = id.at;
    result.id.len = 16;
    result.token = token;
    result.outcome = DONE;
    ended.results = results;
    ended.n_results = 1;
    end.report = &ended;
    command_t commands[] = {
        { .kind = CMD_REQUEST, .conn = 2, .principal = "uid:1", .request = &list },
        { .kind = CMD_REQUEST, .conn = 2, .principal = "uid:1", .request = &end },
    };
    assert_int_equal(step(w, commands, 2), ERR_OK);
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(leases_of(w, 2, &lease, 1), 0);
}

/* ---- refused commits ------------------------------------------------------------------------- */

static unsigned refusals;

static memstore_commit_t refuse_some(void *arg, uint64_t number)
{
    (void)arg;
    (void)number;
    return refusals ? (refusals--, MEMSTORE_COMMIT_REFUSED) : MEMSTORE_COMMIT_OK;
}

static void a_loss_in_a_refused_commit_is_no_less_a_loss(void **state)
{
    world_t *w = *state;
    command_t lost = { .kind = CMD_LOST, .conn = 2 };
    memstore_faults(w->store)->on_commit = refuse_some;
    for (unsigned times = 1; times <= 2;
         times++) { /* tried once more by core, then by its caller */
        hello(w, 2, "web-1", 1, 1);
        leased(w, 2, id_at(w, (uint8_t)times), (spec_t){ 0 });
        pass(w, 31 * SECOND);
        refusals = times;
        err_t err = step(w, &lost, 1);
        assert_int_equal(err, times < 3 ? ERR_OK : ERR_STORE_FULL);
        if (err != ERR_OK) assert_int_equal(step(w, &lost, 1), ERR_OK);
        assert_int_equal(COUNT(w, RUNNING), 0);
        assert_int_equal(COUNT(w, WAITING), 1);
        change(w, CANCEL, id_at(w, (uint8_t)times), (uint8_t)(10 + times));
    }
}

static void a_bye_in_a_refused_commit_gives_the_leases_back(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    memstore_faults(w->store)->on_commit = refuse_some;
    refusals = 1;
    says_bye(w, 2);
    assert_int_equal(COUNT(w, RUNNING), 0);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void a_hello_in_a_refused_commit_leaves_the_session_before_it(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    memstore_faults(w->store)->on_commit = refuse_some;
    refusals = 3;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    uint8_t incarnation[16] = { 9 };
    h.minor = WIRE_MINOR;
    h.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    h.name = (char *)(uintptr_t) "web-1";
    h.incarnation.data = incarnation;
    h.incarnation.len = 16;
    r.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    r.hello = &h;
    r.seq = 900;
    command_t command = { .kind = CMD_REQUEST, .conn = 3, .principal = "uid:1", .request = &r };
    assert_int_equal(step(w, &command, 1), ERR_STORE_FULL);
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
}

/* ---- edits ----------------------------------------------------------------------------------- */

typedef struct edit {
    const char *rule;
    Pawl__V1__CursorAction cursor;
    uint32_t max_running;
} edit_t;

static const Pawl__V1__Reply *edit(world_t *w, edit_t what)
{
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    shell_task(&task, &command);
    s.name = (char *)(uintptr_t) "nightly";
    s.rule = (char *)(uintptr_t)what.rule;
    s.zone = (char *)(uintptr_t) "UTC";
    s.mode = PAWL__V1__MODE__MODE_STRICT;
    s.max_running = what.max_running;
    s.ahead = 5;
    put.schedule = &s;
    put.cursor = what.cursor;
    return request_put(w, &put, &task);
}

static void an_edit_does_what_it_says_to_the_cursor_or_is_refused(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *leases[9];
    const Pawl__V1__ScheduleInfo *info = put_schedule(
        w, (plan_spec_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 5 });
    pass(w, HOUR);
    assert_int_equal(edit(w, (edit_t){ "@at 2020-01-01T00:00:00", 0, 1 })->error->code,
                     ERR_TOO_LATE);
    assert_int_equal(
        edit(w, (edit_t){ "* * * * *", PAWL__V1__CURSOR_ACTION__CURSOR_AT, 1 })->error->code,
        ERR_CONFLICT); /* at 1970 */
    assert_int_equal(propose(w, info, info->cursor_us)->fired, 5);
    hello(w, 2, "web-1", 1, 9);
    assert_int_equal(leases_of(w, 2, leases, 9), 1);
    const Pawl__V1__Reply *reply =
        edit(w, (edit_t){ "* * * * *", PAWL__V1__CURSOR_ACTION__CURSOR_NOW, 3 });
    assert_null(reply->error);
    assert_int_equal(reply->changed->schedule->behind, 0);
    assert_int_equal(leases_of(w, 2, leases, 9), 2); /* three may run at once now */
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void submit_large(world_t *w, uint8_t nth, size_t bytes)
{
    ulid_t id = id_at(w, nth);
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    shell_task(&task, &command);
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.input = (ProtobufCBinaryData){ bytes, mem_new(bytes) };
    assert_int_equal(submit_task(w, 1, &task)->submitted->accepted, 1);
    free(task.input.data);
}

static void no_assign_is_larger_than_a_message_may_be(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *leases[50];
    for (uint8_t i = 1; i <= 40; i++)
        submit_large(w, i, 1 << 20);
    hello(w, 2, "web-1", 1, 50);
    size_t got = leases_of(w, 2, leases, 50);
    assert_true(got >= 30 && got < 40); /* nor a batch larger than memory should be */
    for (size_t i = 0; i < w->out.n; i++)
        assert_true(w->out.items[i].len <= LIMIT_MESSAGE);
    assert_true(core_next_due_us(w->core) <= w->steady_us);
    tick(w);
    assert_int_equal(got + leases_of(w, 2, leases, 50), 40);
    assert_int_equal(COUNT(w, RUNNING), 40);
}

static void a_purged_task_leaves_no_output_of_any_attempt(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    ulid_t id = id_at(w, 1);
    uint64_t token = leased(w, 2, id, (spec_t){ .attempts = 2 });
    uint8_t output[5000] = { 1 };
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    result.outcome = FAIL;
    result.output = (ProtobufCBinaryData){ sizeof output, output };
    report_result(w, 2, id, token, result);
    assert_int_equal(memstore_rows(w->store, TABLE_part), 2);
    later(w, 8 * SECOND);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    report(w, 2, id, lease->token, DONE);
    pass(w, 8 * DAY);
    purge(w, 1);
    assert_int_equal(memstore_rows(w->store, TABLE_spec), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_part), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_try), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_task_that_expires_may_be_cancelled_and_run_again_by_hand),
        TEST(an_expired_task_run_again_by_hand_does_not_expire_again),
        TEST(a_held_task_keeps_its_delay_for_when_it_is_started),
        TEST(a_parked_retry_that_is_held_does_not_open_or_block_its_schedule),
        TEST(an_at_most_once_task_that_is_claimed_after_a_loss_goes_on),
        TEST(a_cancelled_task_whose_executor_is_lost_ends_cancelled),
        TEST(a_claim_of_an_earlier_session_counts_for_nothing),
        TEST(a_result_that_comes_after_a_bye_is_recorded),
        TEST(an_assign_that_may_have_arrived_is_not_given_to_others_when_once_is_the_most),
        TEST(the_leases_of_a_replaced_session_end_after_a_lease),
        TEST(what_ended_in_a_batch_is_not_sent_again_in_it),
        TEST(a_loss_in_a_refused_commit_is_no_less_a_loss),
        TEST(a_bye_in_a_refused_commit_gives_the_leases_back),
        TEST(a_hello_in_a_refused_commit_leaves_the_session_before_it),
        TEST(an_edit_does_what_it_says_to_the_cursor_or_is_refused),
        TEST(no_assign_is_larger_than_a_message_may_be),
        TEST(a_purged_task_leaves_no_output_of_any_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

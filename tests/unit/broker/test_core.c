/* SPDX-License-Identifier: Apache-2.0
 * Core through its own door: batches in, outputs and rows out, on the store in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core.h"
#include "client/base/ulid.h"
#include "client/time/zone.h"
#include "tests/sim/memstore.h"

/* ---- a world of one core ----------------------------------------------------------------------
 */

typedef struct world {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t wall_us, steady_us;
    uint8_t next_random;
    uint64_t seq;
    wire_arena_t arena;
} world_t;

static const int64_t EPOCH_US = INT64_C(1790000000) * 1000000;

static void open_core(world_t *w)
{
    core_config_t config;
    core_config_default(&config);
    uint8_t random[32];
    memset(random, 7, sizeof random);
    assert_int_equal(core_open(&w->core, w->store, &config, w->wall_us, w->steady_us, random),
                     ERR_OK);
}

static int setup(void **state)
{
    world_t *w = mem_new(sizeof *w);
    w->store = memstore_new();
    w->wall_us = EPOCH_US;
    w->steady_us = 5000000;
    wire_arena_init(&w->arena);
    open_core(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    char difference[300];
    assert_int_equal(core_verify(w->core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
    core_close(&w->core);
    store_close(&w->store);
    outputs_free(&w->out);
    wire_arena_free(&w->arena);
    free(w);
    return 0;
}

static err_t step(world_t *w, const command_t *commands, size_t n)
{
    batch_t batch = {
        .wall_us = w->wall_us, .steady_us = w->steady_us, .commands = commands, .n = n
    };
    memset(batch.random, ++w->next_random, sizeof batch.random);
    return core_step(w->core, &batch, &w->out);
}

static void pass(world_t *w, int64_t us)
{
    w->wall_us += us;
    w->steady_us += us;
}

static void tick(world_t *w)
{
    assert_int_equal(step(w, NULL, 0), ERR_OK);
}

static const Pawl__V1__Reply *reply_of(world_t *w, conn_t conn)
{
    for (size_t i = 0; i < w->out.n; i++) {
        const output_t *out = &w->out.items[i];
        if ((out->kind == OUT_REPLY || out->kind == OUT_WELCOME) && out->conn == conn) {
            const Pawl__V1__Reply *reply;
            wire_fault_t fault;
            assert_int_equal(
                wire_reply_decode(&w->arena, w->out.bytes.at + out->at, out->len, &reply, &fault),
                ERR_OK);
            return reply;
        }
    }
    return NULL;
}

/* All leases pushed to a connection in the last step. */
static size_t leases_of(world_t *w, conn_t conn, const Pawl__V1__Lease **leases, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < w->out.n; i++) {
        const output_t *out = &w->out.items[i];
        const Pawl__V1__Push *push;
        wire_fault_t fault;
        if (out->kind != OUT_PUSH || out->conn != conn) continue;
        assert_int_equal(
            wire_push_decode(&w->arena, w->out.bytes.at + out->at, out->len, &push, &fault),
            ERR_OK);
        if (push->body_case != PAWL__V1__PUSH__BODY_ASSIGN) continue;
        for (size_t k = 0; k < push->assign->n_leases && n < room; k++)
            leases[n++] = push->assign->leases[k];
    }
    return n;
}

static const Pawl__V1__Reply *request(world_t *w, conn_t conn, Pawl__V1__Request *request)
{
    request->seq = ++w->seq;
    command_t command = {
        .kind = CMD_REQUEST, .conn = conn, .principal = "uid:1", .request = request
    };
    assert_int_equal(step(w, &command, 1), ERR_OK);
    return reply_of(w, conn);
}

static const Pawl__V1__Reply *hello(world_t *w, conn_t conn, char *name, uint8_t life,
                                    uint32_t credit)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    static char *types[] = { (char *)(uintptr_t) "pawl/shell", (char *)(uintptr_t) "mail/send" };
    uint8_t incarnation[16];
    memset(incarnation, life, 16);
    h.minor = WIRE_MINOR;
    h.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    h.name = name;
    h.incarnation.data = incarnation;
    h.incarnation.len = 16;
    h.types = types;
    h.n_types = 2;
    h.slots = h.credit = credit;
    r.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    r.hello = &h;
    return request(w, conn, &r);
}

static ulid_t id_at(const world_t *w, uint8_t nth)
{
    uint8_t random[10] = { nth };
    (void)w;
    return ulid_make(EPOCH_US, random); /* the same id whenever it is asked for */
}

typedef struct spec {
    char *type, *key;
    int64_t delay_us, expire_us;
    uint32_t attempts;
    bool hold, at_most_once;
} spec_t;

static const Pawl__V1__Reply *submit(world_t *w, conn_t conn, ulid_t id, spec_t spec)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit s = PAWL__V1__SUBMIT__INIT;
    task.id.data = id.at;
    task.id.len = 16;
    task.type = spec.type ? spec.type : (char *)(uintptr_t) "pawl/shell";
    if (spec.type == NULL) {
        command.shell = (char *)(uintptr_t) "true";
        task.command = &command;
    }
    if (spec.key) task.key = spec.key;
    task.delay_us = spec.delay_us;
    task.expire_us = spec.expire_us;
    task.hold = spec.hold;
    if (spec.at_most_once) task.on_lost = PAWL__V1__ON_LOST__ON_LOST_FAIL;
    if (spec.attempts) {
        retry.max_attempts = spec.attempts;
        task.retry = &retry;
    }
    uint8_t bytes[600];
    ProtobufCBinaryData one = { pawl__v1__task__pack(&task, bytes), bytes };
    s.tasks = &one;
    s.n_tasks = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    r.submit = &s;
    return request(w, conn, &r);
}

static Pawl__V1__ReportVerdict report(world_t *w, conn_t conn, ulid_t id, uint64_t token,
                                      Pawl__V1__Outcome outcome)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report rep = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    result.id.data = id.at;
    result.id.len = 16;
    result.token = token;
    result.outcome = outcome;
    rep.results = results;
    rep.n_results = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    r.report = &rep;
    const Pawl__V1__Reply *reply = request(w, conn, &r);
    assert_non_null(reply);
    assert_null(reply->error);
    assert_int_equal(reply->reported->n_verdicts, 1);
    return reply->reported->verdicts[0];
}

static uint64_t count(const world_t *w, Pawl__V1__TaskStatus status)
{
    core_stats_t stats;
    core_stats(w->core, &stats);
    free(stats.queues);
    return stats.counts[status];
}
#define COUNT(w, name) count(w, PAWL__V1__TASK_STATUS__STATUS_##name)
#define DONE           PAWL__V1__OUTCOME__OUTCOME_DONE
#define FAIL           PAWL__V1__OUTCOME__OUTCOME_FAIL
#define VERDICT(name)  PAWL__V1__REPORT_VERDICT__REPORT_##name

/* Submits one task to an executor that waits for it; returns its lease's token. */
static uint64_t leased(world_t *w, conn_t executor, ulid_t id, spec_t spec)
{
    submit(w, 1, id, spec);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, executor, &lease, 1), 1);
    assert_memory_equal(lease->id.data, id.at, 16);
    return lease->token;
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void a_task_is_leased_in_the_commit_that_accepts_it(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    uint64_t commits = memstore_commits(w->store);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    assert_int_equal(memstore_commits(w->store), commits + 1);
    assert_int_equal(memstore_rows(w->store, TABLE_ready), 0);
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(memstore_rows(w->store, TABLE_run), 0);
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE)); /* a resend */
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_resent_submit_creates_nothing_and_another_body_is_refused(void **state)
{
    world_t *w = *state;
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
    const Pawl__V1__Reply *again = submit(w, 1, id_at(w, 1), (spec_t){ 0 });
    assert_int_equal(again->submitted->accepted, 1);
    assert_int_equal(COUNT(w, WAITING), 1);
    const Pawl__V1__Reply *other = submit(w, 1, id_at(w, 1), (spec_t){ .delay_us = 5 });
    assert_int_equal(other->submitted->accepted, 0);
    assert_int_equal(other->submitted->items[0]->error->code, ERR_ID_REUSED);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void an_unknown_type_is_refused(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Reply *reply = submit(w, 1, id_at(w, 1), (spec_t){ .type = "no/such" });
    assert_int_equal(reply->submitted->items[0]->error->code, ERR_UNKNOWN_TYPE);
}

static void a_live_key_answers_for_a_second_task(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 0);
    submit(w, 1, id_at(w, 1), (spec_t){ .type = "mail/send", .key = "order-7" });
    const Pawl__V1__Reply *second =
        submit(w, 1, id_at(w, 2), (spec_t){ .type = "mail/send", .key = "order-7" });
    assert_int_equal(second->submitted->accepted, 1);
    ulid_t first = id_at(w, 1);
    assert_memory_equal(second->submitted->items[0]->id.data, first.at, 16);
    assert_int_equal(COUNT(w, WAITING), 1);
    /* and still does when it is sent again */
    second = submit(w, 1, id_at(w, 2), (spec_t){ .type = "mail/send", .key = "order-7" });
    assert_memory_equal(second->submitted->items[0]->id.data, first.at, 16);
}

static void a_failed_attempt_comes_again_after_its_back_off(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ .attempts = 2 });
    report(w, 2, id_at(w, 1), token, FAIL);
    assert_int_equal(COUNT(w, DELAYED), 1);
    pass(w, 4 * 1000000);
    tick(w);
    assert_int_equal(COUNT(w, DELAYED), 1);
    pass(w, 3 * 1000000);
    assert_true(core_next_due_us(w->core) <= w->steady_us);
    tick(w);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    assert_true(lease->token > token);
    assert_int_equal(lease->attempt, 2);
    report(w, 2, id_at(w, 1), lease->token, FAIL);
    assert_int_equal(COUNT(w, FAILED), 1);
}

static void a_lost_executors_task_runs_elsewhere_and_its_late_result_is_stale(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    hello(w, 3, "web-2", 2, 1);
    pass(w, 31 * 1000000);
    command_t lost = { .kind = CMD_LOST, .conn = 2 };
    assert_int_equal(step(w, &lost, 1), ERR_OK);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 3, &lease, 1), 1);
    assert_true(lease->token > token);
    hello(w, 4, "web-1", 1, 1);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(STALE));
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(report(w, 3, id_at(w, 1), lease->token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_suspect_executor_gets_nothing_new_until_it_is_heard_of(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    command_t suspect = { .kind = CMD_SUSPECT, .conn = 2, .flag = true };
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    submit(w, 1, id_at(w, 2), (spec_t){ 0 });
    assert_int_equal(leases_of(w, 2, &lease, 1), 0);
    suspect.flag = false;
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    suspect.flag = true;
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    submit(w, 1, id_at(w, 3), (spec_t){ 0 });
    /* a report is a sign of life as well, and what it had stays its own */
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
}

static void a_result_of_a_lost_lease_that_nobody_has_since_is_recovered(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    pass(w, 31 * 1000000);
    command_t lost = { .kind = CMD_LOST, .conn = 2 };
    assert_int_equal(step(w, &lost, 1), ERR_OK);
    assert_int_equal(COUNT(w, WAITING), 1);
    hello(w, 4, "web-1", 1, 0);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(RECOVERED));
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(COUNT(w, WAITING), 0);
}

static void at_most_once_fails_after_a_second_lease(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ .at_most_once = true });
    pass(w, 31 * 1000000);
    command_t lost = { .kind = CMD_LOST, .conn = 2 };
    assert_int_equal(step(w, &lost, 1), ERR_OK);
    assert_int_equal(COUNT(w, RUNNING), 1);
    pass(w, 31 * 1000000);
    tick(w);
    assert_int_equal(COUNT(w, FAILED), 1);
    hello(w, 4, "web-1", 1, 0);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(LATE));
    assert_int_equal(COUNT(w, FAILED), 1);
}

static void after_a_restart_leases_stand_until_claimed_or_a_lease_passed(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    core_close(&w->core);
    memstore_crash(w->store);
    open_core(w);
    assert_int_equal(COUNT(w, RUNNING), 1);
    pass(w, 29 * 1000000);
    tick(w);
    assert_int_equal(COUNT(w, RUNNING), 1);
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT, *claims[] = { &claim };
    uint8_t incarnation[16];
    ulid_t id = id_at(w, 1);
    memset(incarnation, 1, 16);
    claim.id.data = id.at;
    claim.id.len = 16;
    claim.token = token;
    h.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    h.name = "web-1";
    h.incarnation.data = incarnation;
    h.incarnation.len = 16;
    h.claims = claims;
    h.n_claims = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    r.hello = &h;
    const Pawl__V1__Reply *reply = request(w, 9, &r);
    assert_int_equal(reply->welcome->verdicts[0], PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP);
    pass(w, 10 * 1000000);
    tick(w);
    assert_int_equal(report(w, 9, id, token, DONE), VERDICT(DONE));
}

static void an_unclaimed_lease_of_an_older_life_is_lost_at_once(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    hello(w, 3, "web-1", 2, 1);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 3, &lease, 1), 1);
    assert_true(lease->token > token);
}

static void a_held_task_waits_for_its_start_and_an_expired_one_never_runs(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    submit(w, 1, id_at(w, 1), (spec_t){ .hold = true });
    assert_int_equal(COUNT(w, HELD), 1);
    submit(w, 1, id_at(w, 2), (spec_t){ .delay_us = 10000000, .expire_us = 5000000 });
    pass(w, 11 * 1000000);
    tick(w);
    assert_int_equal(COUNT(w, EXPIRED), 1);
    assert_int_equal(COUNT(w, HELD), 1);
}

static const Pawl__V1__Reply *change(world_t *w, Pawl__V1__TaskVerb verb, ulid_t id, uint8_t nth)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange c = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData one = { 16, id.at };
    uint8_t request_id[16];
    memset(request_id, nth, 16);
    c.verb = verb;
    c.ids = &one;
    c.n_ids = 1;
    r.request_id.data = request_id;
    r.request_id.len = 16;
    r.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    r.task_change = &c;
    return request(w, 1, &r);
}

static void cancel_stops_what_waits_and_tells_what_runs(void **state)
{
    world_t *w = *state;
    ulid_t first = id_at(w, 1), second = id_at(w, 2);
    submit(w, 1, first, (spec_t){ 0 });
    assert_int_equal(change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, first, 1)->changed->done, 1);
    assert_int_equal(COUNT(w, CANCELLED), 1);
    assert_int_equal(memstore_rows(w->store, TABLE_ready), 0);
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, second, (spec_t){ 0 });
    change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, second, 2);
    assert_int_equal(COUNT(w, RUNNING), 1);
    report(w, 2, second, token, PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_int_equal(COUNT(w, CANCELLED), 2);
    /* again by hand, with the same request resent: one retry */
    const Pawl__V1__Reply *reply = change(w, PAWL__V1__TASK_VERB__TASK_RETRY, first, 3);
    assert_int_equal(reply->changed->done, 1);
    reply = change(w, PAWL__V1__TASK_VERB__TASK_RETRY, first, 3);
    assert_true(reply->repeated_reply);
    assert_int_equal(reply->changed->done, 1);
    assert_int_equal(COUNT(w, RUNNING), 1);
}

static void a_full_store_refuses_what_adds_and_takes_what_ends(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    const Pawl__V1__Reply *reply = submit(w, 1, id_at(w, 2), (spec_t){ 0 });
    assert_int_equal(reply->error->code, ERR_STORE_FULL);
    assert_true(reply->error->retry_after_us > 0);
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(submit(w, 1, id_at(w, 2), (spec_t){ 0 })->submitted->accepted, 1);
}

static const store_ops_t *real_ops;
static unsigned no_memory_left;

static err_t commit_without_memory(store_t *store)
{
    if (--no_memory_left == 0) store->ops = real_ops;
    real_ops->abort(store);
    return ERR_NO_MEMORY;
}

static void a_commit_without_memory_is_refused_and_survived(void **state)
{
    world_t *w = *state;
    static store_ops_t poor;
    hello(w, 2, "web-1", 1, 0);
    real_ops = w->store->ops;
    poor = *real_ops;
    poor.commit = commit_without_memory;
    w->store->ops = &poor;
    no_memory_left = 2;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Ping ping = PAWL__V1__PING__INIT;
    r.body_case = PAWL__V1__REQUEST__BODY_PING;
    r.ping = &ping;
    r.seq = 77;
    command_t command = { .kind = CMD_REQUEST, .conn = 1, .principal = "uid:1", .request = &r };
    err_t err = step(w, &command, 1);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_true(core_refused(err));
    assert_int_equal(reply_of(w, 1)->error->code, ERR_NO_MEMORY);
    assert_true(w->store->ops == real_ops);
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
}

/* ---- schedules
 * ----------------------------------------------------------------------------------- */

typedef struct plan_spec {
    char *rule;
    Pawl__V1__Mode mode;
    uint32_t ahead;
} plan_spec_t;

static void import_utc(world_t *w)
{
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file("UTC", NULL, &bytes), ERR_OK);
    command_t zone = { .kind = CMD_ZONE, .name = "UTC", .bytes = slice(bytes.at, bytes.len) };
    assert_int_equal(step(w, &zone, 1), ERR_OK);
    buf_free(&bytes);
}

static const Pawl__V1__ScheduleInfo *put_schedule(world_t *w, plan_spec_t spec)
{
    import_utc(w);
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    uint8_t request_id[16] = { 1, 2, 3, w->next_random }, bytes[200];
    command.shell = "true";
    task.type = "pawl/shell";
    task.command = &command;
    s.name = "nightly";
    s.rule = spec.rule;
    s.zone = "UTC";
    s.mode = spec.mode;
    s.ahead = spec.ahead;
    s.task.data = bytes;
    s.task.len = pawl__v1__task__pack(&task, bytes);
    put.schedule = &s;
    r.request_id.data = request_id;
    r.request_id.len = 16;
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    r.schedule_put = &put;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    if (reply->error) print_message("%s %s\n", reply->error->field, reply->error->text);
    assert_null(reply->error);
    return reply->changed->schedule;
}

static const Pawl__V1__ProposalAnswer *propose(world_t *w, const Pawl__V1__ScheduleInfo *info,
                                               int64_t cursor)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose p = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    item.uid = info->uid;
    item.revision = info->revision;
    item.expect_cursor_us = cursor;
    item.new_cursor_us = w->wall_us / 1000000 * 1000000;
    p.items = items;
    p.n_items = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    r.propose = &p;
    return request(w, 5, &r)->proposed->items[0];
}

static void an_instant_fires_once_whoever_proposes_it(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(w, (plan_spec_t){ .rule = "* * * * *" });
    pass(w, info->next_us - w->wall_us + 1000);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, info->cursor_us);
    assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE);
    assert_int_equal(answer->fired, 1);
    assert_int_equal(COUNT(w, WAITING), 1);
    const Pawl__V1__ProposalAnswer *second = propose(w, info, info->cursor_us);
    assert_int_equal(second->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_CONFLICT);
    assert_int_equal(second->cursor_us, answer->cursor_us);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void normal_skips_an_outage_as_one_range_and_supersedes_what_waits(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(w, (plan_spec_t){ .rule = "* * * * *" });
    pass(w, info->next_us - w->wall_us);
    int64_t cursor = propose(w, info, info->cursor_us)->cursor_us;
    uint64_t rows = memstore_rows(w->store, TABLE_ledger);
    pass(w, INT64_C(365) * 86400 * 1000000);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, cursor);
    assert_int_equal(answer->skipped, 365 * 1440 - 1);
    assert_int_equal(answer->fired, 1);
    assert_true(memstore_rows(w->store, TABLE_ledger) <= rows + 2);
    assert_int_equal(COUNT(w, WAITING), 1);
    /* the firing of a year ago was dropped by its start_by, or gave way */
    assert_int_equal(COUNT(w, SUPERSEDED) + COUNT(w, EXPIRED), 1);
}

static void strict_makes_every_instant_up_to_ahead_and_keeps_the_rest_virtual(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(
        w, (plan_spec_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 5 });
    pass(w, INT64_C(3600) * 1000000);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, info->cursor_us);
    assert_int_equal(answer->fired, 5);
    assert_int_equal(COUNT(w, WAITING), 5);
    answer = propose(w, info, answer->cursor_us);
    assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD);
    hello(w, 2, "web-1", 1, 10);
    const Pawl__V1__Lease *leases[10];
    assert_int_equal(leases_of(w, 2, leases, 10), 1); /* queue_all: one at a time, in time order */
    ulid_t id;
    memcpy(id.at, leases[0]->id.data, 16);
    report(w, 2, id, leases[0]->token, DONE);
    assert_int_equal(leases_of(w, 2, leases, 10), 1);
    answer = propose(w, info, answer->cursor_us);
    assert_int_equal(answer->fired, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_leased_in_the_commit_that_accepts_it),
        TEST(a_resent_submit_creates_nothing_and_another_body_is_refused),
        TEST(an_unknown_type_is_refused),
        TEST(a_live_key_answers_for_a_second_task),
        TEST(a_failed_attempt_comes_again_after_its_back_off),
        TEST(a_lost_executors_task_runs_elsewhere_and_its_late_result_is_stale),
        TEST(a_suspect_executor_gets_nothing_new_until_it_is_heard_of),
        TEST(a_result_of_a_lost_lease_that_nobody_has_since_is_recovered),
        TEST(at_most_once_fails_after_a_second_lease),
        TEST(after_a_restart_leases_stand_until_claimed_or_a_lease_passed),
        TEST(an_unclaimed_lease_of_an_older_life_is_lost_at_once),
        TEST(a_held_task_waits_for_its_start_and_an_expired_one_never_runs),
        TEST(cancel_stops_what_waits_and_tells_what_runs),
        TEST(a_full_store_refuses_what_adds_and_takes_what_ends),
        TEST(a_commit_without_memory_is_refused_and_survived),
        TEST(an_instant_fires_once_whoever_proposes_it),
        TEST(normal_skips_an_outage_as_one_range_and_supersedes_what_waits),
        TEST(strict_makes_every_instant_up_to_ahead_and_keeps_the_rest_virtual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/core_world.h - a world of one core for its tests: batches in, outputs and rows
 * out, on the store in memory. Time passes only when a test says so. */
#ifndef TESTS_UNIT_BROKER_CORE_WORLD_H
#define TESTS_UNIT_BROKER_CORE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/core.h"
#include "client/base/ulid.h"
#include "client/time/zone.h"
#include "schemas/limits.h"
#include "tests/sim/memstore.h"
#include "tests/unit/broker/durations.h"

/* ---- a world of one core --------------------------------------------------------------------- */

typedef struct world {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t wall_us, steady_us;
    uint8_t next_random;
    uint64_t seq;
    wire_arena_t arena;
    uint32_t children_at_once; /* 0: as usual; counts from the next open_core on */
} world_t;

static const int64_t EPOCH_US = INT64_C(1790000000) * 1000000;

static inline void open_core(world_t *w)
{
    core_config_t config;
    core_config_default(&config);
    if (w->children_at_once) config.children_at_once = w->children_at_once;
    uint8_t random[32];
    memset(random, 7, sizeof random);
    assert_int_equal(core_open(&w->core, w->store, &config, w->wall_us, w->steady_us, random),
                     ERR_OK);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline err_t step(world_t *w, const command_t *commands, size_t n)
{
    batch_t batch = {
        .wall_us = w->wall_us, .steady_us = w->steady_us, .commands = commands, .n = n
    };
    memset(batch.random, ++w->next_random, sizeof batch.random);
    return core_step(w->core, &batch, &w->out);
}

static inline void pass(world_t *w, int64_t us)
{
    w->wall_us += us;
    w->steady_us += us;
}

static inline void tick(world_t *w)
{
    assert_int_equal(step(w, NULL, 0), ERR_OK);
}

/* Time passes, and what is due by then happens. */
static inline void later(world_t *w, int64_t us)
{
    pass(w, us);
    tick(w);
}

/* The broker ends and starts again, on the same store. */
static inline void restart(world_t *w)
{
    core_close(&w->core);
    open_core(w);
}

/* A connection that nothing was heard of for a lease: its session is over. */
static inline void is_lost(world_t *w, conn_t conn)
{
    command_t lost = { .kind = CMD_LOST, .conn = conn };
    assert_int_equal(step(w, &lost, 1), ERR_OK);
}

/* A connection that was closed: whoever had it may come back within a lease. */
static inline void is_gone(world_t *w, conn_t conn)
{
    command_t gone = { .kind = CMD_GONE, .conn = conn };
    assert_int_equal(step(w, &gone, 1), ERR_OK);
}

static inline const Pawl__V1__Reply *reply_of(world_t *w, conn_t conn)
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

/* The pushes to a connection in the last step, one a call: *at begins with 0. NULL: no more. */
static inline const Pawl__V1__Push *next_push(world_t *w, conn_t conn, size_t *at)
{
    while (*at < w->out.n) {
        const output_t *out = &w->out.items[(*at)++];
        const Pawl__V1__Push *push;
        wire_fault_t fault;
        if (out->kind != OUT_PUSH || out->conn != conn) continue;
        assert_int_equal(
            wire_push_decode(&w->arena, w->out.bytes.at + out->at, out->len, &push, &fault),
            ERR_OK);
        return push;
    }
    return NULL;
}

/* All leases pushed to a connection in the last step. */
static inline size_t leases_of(world_t *w, conn_t conn, const Pawl__V1__Lease **leases, size_t room)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < room; i++)
        leases[i] = NULL;
    for (const Pawl__V1__Push *push; (push = next_push(w, conn, &at)) != NULL;) {
        if (push->body_case != PAWL__V1__PUSH__BODY_ASSIGN) continue;
        for (size_t k = 0; k < push->assign->n_leases && n < room; k++)
            leases[n++] = push->assign->leases[k];
    }
    return n;
}

static inline const Pawl__V1__Reply *request(world_t *w, conn_t conn, Pawl__V1__Request *request)
{
    request->seq = ++w->seq;
    command_t command = {
        .kind = CMD_REQUEST, .conn = conn, .principal = "uid:1", .request = request
    };
    assert_int_equal(step(w, &command, 1), ERR_OK);
    return reply_of(w, conn);
}

/* An executor says Hello; `life` tells its incarnations apart. */
static inline const Pawl__V1__Reply *say_hello(world_t *w, conn_t conn, Pawl__V1__Hello *h,
                                               uint8_t life)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    uint8_t incarnation[16];
    memset(incarnation, life, 16);
    h->minor = WIRE_MINOR;
    h->role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    h->incarnation = (ProtobufCBinaryData){ 16, incarnation };
    r.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    r.hello = h;
    return request(w, conn, &r);
}

static inline const Pawl__V1__Reply *hello(world_t *w, conn_t conn, char *name, uint8_t life,
                                           uint32_t credit)
{
    static char *types[] = { (char *)(uintptr_t) "pawl/shell", (char *)(uintptr_t) "mail/send" };
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    h.name = name;
    h.types = types;
    h.n_types = ARRAY_LEN(types);
    h.slots = h.credit = credit;
    return say_hello(w, conn, &h, life);
}

/* Executor web-1 says hello with one claim. `follow`: more claims are to come. */
static inline const Pawl__V1__Reply *hello_claims(world_t *w, conn_t conn, uint8_t life, ulid_t id,
                                                  uint64_t token, bool follow)
{
    static char *types[] = { (char *)(uintptr_t) "pawl/shell" };
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT, *claims[] = { &claim };
    claim.id = (ProtobufCBinaryData){ 16, id.at };
    claim.token = token;
    h.name = (char *)(uintptr_t) "web-1";
    h.types = types;
    h.n_types = ARRAY_LEN(types);
    h.slots = h.credit = 4;
    h.claims = claims;
    h.n_claims = 1;
    h.claims_follow = follow;
    return say_hello(w, conn, &h, life);
}

/* It goes in order, and gives back what it holds. */
static inline void says_bye(world_t *w, conn_t conn)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Bye bye = PAWL__V1__BYE__INIT;
    r.body_case = PAWL__V1__REQUEST__BODY_BYE;
    r.bye = &bye;
    request(w, conn, &r);
}

static inline ulid_t id_at(const world_t *w, uint8_t nth)
{
    uint8_t random[10] = { nth };
    (void)w;
    return ulid_make(EPOCH_US, random); /* the same id whenever it is asked for */
}

/* What a task of pawl/shell runs when it does not matter. */
static inline void shell_task(Pawl__V1__Task *task, Pawl__V1__Command *command)
{
    command->shell = (char *)(uintptr_t) "true";
    task->type = (char *)(uintptr_t) "pawl/shell";
    task->command = command;
}

/* Submits this task and no other. */
static inline const Pawl__V1__Reply *submit_task(world_t *w, conn_t conn, Pawl__V1__Task *task)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit s = PAWL__V1__SUBMIT__INIT;
    uint8_t *bytes = mem_new(pawl__v1__task__get_packed_size(task));
    ProtobufCBinaryData one = { pawl__v1__task__pack(task, bytes), bytes };
    s.tasks = &one;
    s.n_tasks = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    r.submit = &s;
    const Pawl__V1__Reply *reply = request(w, conn, &r);
    free(bytes);
    return reply;
}

typedef struct spec {
    char *type, *key;
    int64_t delay_us, expire_us;
    uint32_t attempts, priority; /* priority 0: the usual one */
    bool hold, at_most_once, exclusive;
} spec_t;

static inline const Pawl__V1__Reply *submit(world_t *w, conn_t conn, ulid_t id, spec_t spec)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    task.id = (ProtobufCBinaryData){ 16, id.at };
    if (spec.type)
        task.type = spec.type;
    else
        shell_task(&task, &command);
    if (spec.key) task.key = spec.key;
    task.delay_us = spec.delay_us;
    task.expire_us = spec.expire_us;
    task.hold = spec.hold;
    task.exclusive = spec.exclusive;
    if (spec.at_most_once) task.on_lost = PAWL__V1__ON_LOST__ON_LOST_FAIL;
    if (spec.priority) {
        task.priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY;
        task.priority = spec.priority;
    }
    if (spec.attempts) {
        retry.max_attempts = spec.attempts;
        task.retry = &retry;
    }
    return submit_task(w, conn, &task);
}

/* Reports this end of an attempt; id and token are put into it here. */
static inline Pawl__V1__ReportVerdict report_result(world_t *w, conn_t conn, ulid_t id,
                                                    uint64_t token, Pawl__V1__Result result)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report rep = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result *results[] = { &result };
    result.id = (ProtobufCBinaryData){ 16, id.at };
    result.token = token;
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

static inline Pawl__V1__ReportVerdict report(world_t *w, conn_t conn, ulid_t id, uint64_t token,
                                             Pawl__V1__Outcome outcome)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    result.outcome = outcome;
    return report_result(w, conn, id, token, result);
}

static inline uint64_t count(const world_t *w, Pawl__V1__TaskStatus status)
{
    core_stats_t stats;
    core_stats(w->core, &stats);
    free(stats.queues);
    return stats.counts[status];
}
#define COUNT(w, name) count(w, PAWL__V1__TASK_STATUS__STATUS_##name)
#define OUTCOME(name)  PAWL__V1__OUTCOME__OUTCOME_##name
#define DONE           OUTCOME(DONE)
#define FAIL           OUTCOME(FAIL)
#define VERDICT(name)  PAWL__V1__REPORT_VERDICT__REPORT_##name

/* Submits one task to an executor that waits for it; returns its lease's token. */
static inline uint64_t leased(world_t *w, conn_t executor, ulid_t id, spec_t spec)
{
    submit(w, 1, id, spec);
    const Pawl__V1__Lease *lease = NULL;
    assert_int_equal(leases_of(w, executor, &lease, 1), 1);
    assert_memory_equal(lease->id.data, id.at, 16);
    return lease->token;
}

/* A task is changed by hand, as request `nth`; `reason` may be NULL. */
static inline const Pawl__V1__Reply *change_because(world_t *w, Pawl__V1__TaskVerb verb, ulid_t id,
                                                    char *reason, uint8_t nth)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange c = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData one = { 16, id.at };
    uint8_t request_id[16];
    memset(request_id, nth, 16);
    c.verb = verb;
    c.ids = &one;
    c.n_ids = 1;
    if (reason) c.reason = reason;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    r.task_change = &c;
    return request(w, 1, &r);
}

static inline const Pawl__V1__Reply *change(world_t *w, Pawl__V1__TaskVerb verb, ulid_t id,
                                            uint8_t nth)
{
    return change_because(w, verb, id, NULL, nth);
}

/* Ends or puts off an external attempt by its token. ERR_OK, or the code of the refusal. */
static inline err_t complete(world_t *w, const uint8_t completion[LIMIT_COMPLETION],
                             Pawl__V1__CompleteVerb verb, int64_t extend_us)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskComplete c = PAWL__V1__TASK_COMPLETE__INIT;
    uint8_t request_id[16];
    memset(request_id, ++w->next_random, 16);
    c.verb = verb;
    c.completion = (ProtobufCBinaryData){ LIMIT_COMPLETION, (uint8_t *)(uintptr_t)completion };
    c.extend_us = extend_us;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_TASK_COMPLETE;
    r.task_complete = &c;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    return reply->error ? (err_t)reply->error->code : ERR_OK;
}
#define COMPLETE(name) PAWL__V1__COMPLETE_VERB__COMPLETE_##name

/* Tasks 1 .. last: what is old enough of them is removed. */
static inline void purge(world_t *w, uint64_t last)
{
    uint64_t ns[64];
    assert_true(last <= ARRAY_LEN(ns));
    for (uint64_t n = 1; n <= last; n++)
        ns[n - 1] = n;
    command_t command = { .kind = CMD_PURGE, .ns = ns, .n = last };
    assert_int_equal(step(w, &command, 1), ERR_OK);
}

typedef struct plan_spec {
    char *name; /* NULL: nightly */
    char *rule;
    Pawl__V1__Mode mode;
    uint32_t ahead;
    char **also; /* more rules */
    size_t also_n;
} plan_spec_t;

static inline void import_utc(world_t *w)
{
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file("UTC", NULL, &bytes), ERR_OK);
    command_t zone = { .kind = CMD_ZONE, .name = "UTC", .bytes = slice(bytes.at, bytes.len) };
    assert_int_equal(step(w, &zone, 1), ERR_OK);
    buf_free(&bytes);
}

/* Puts a schedule whose template is this task; a request of its own each time. */
static inline const Pawl__V1__Reply *request_put(world_t *w, Pawl__V1__SchedulePut *put,
                                                 const Pawl__V1__Task *task)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    uint8_t request_id[16] = { 1, 2, 3, w->next_random }, bytes[200];
    snprintf((char *)request_id + 4, sizeof request_id - 4, "%s", put->schedule->name);
    assert_true(pawl__v1__task__get_packed_size(task) <= sizeof bytes);
    put->schedule->task = (ProtobufCBinaryData){ pawl__v1__task__pack(task, bytes), bytes };
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    r.schedule_put = put;
    return request(w, 1, &r);
}

/* Puts a schedule in UTC that must be taken. */
static inline const Pawl__V1__ScheduleInfo *put_in_utc(world_t *w, Pawl__V1__Schedule *schedule,
                                                       const Pawl__V1__Task *task)
{
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    import_utc(w);
    schedule->zone = (char *)(uintptr_t) "UTC";
    put.schedule = schedule;
    const Pawl__V1__Reply *reply = request_put(w, &put, task);
    if (reply->error) print_message("%s %s\n", reply->error->field, reply->error->text);
    assert_null(reply->error);
    return reply->changed->schedule;
}

static inline const Pawl__V1__ScheduleInfo *put_schedule(world_t *w, plan_spec_t spec)
{
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    shell_task(&task, &command);
    s.name = spec.name ? spec.name : (char *)(uintptr_t) "nightly";
    s.rule = spec.rule;
    s.mode = spec.mode;
    s.ahead = spec.ahead;
    s.also = spec.also;
    s.n_also = spec.also_n;
    return put_in_utc(w, &s, &task);
}

static inline const Pawl__V1__ProposalAnswer *
propose(world_t *w, const Pawl__V1__ScheduleInfo *info, int64_t cursor)
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

#endif

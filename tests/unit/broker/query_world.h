/* SPDX-License-Identifier: Apache-2.0
 * A store in memory with the real core on it, moved by plain calls, for tests of what reads it. */
#ifndef TESTS_QUERY_WORLD_H
#define TESTS_QUERY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/readers/answer.h"
#include "broker/check/check.h"
#include "broker/core/core.h"
#include "client/base/ulid.h"
#include "client/time/zone.h"
#include "tests/sim/memstore.h"
#include "tests/unit/broker/durations.h"

#define WORLD_BEGIN INT64_C(1760000000000000) /* 2025-10-09T08:53:20Z */
#define S(name)     PAWL__V1__TASK_STATUS__STATUS_##name

typedef struct world_lease {
    uint8_t id[16];
    uint64_t token;
} world_lease_t;

typedef struct world {
    store_t *store;
    core_t *core;
    outputs_t outputs;
    int64_t wall_us;
    uint8_t next_id;
    uint16_t next_request;
    world_lease_t leases[64]; /* assigned in the last step */
    size_t leases_n;
    uint32_t error; /* code of the last step's error, of the request or its first item */
    /* for questions */
    names_t *names;
    wire_arena_t arena;
    store_view_t *view;
    answer_t answer;
    Pawl__V1__Reply reply;
} world_t;

static inline void world_open_on(world_t *self, store_t *store)
{
    core_config_t config;
    uint8_t random[32] = { 42 };
    *self = (world_t){ .store = store, .wall_us = WORLD_BEGIN, .names = names_new() };
    wire_arena_init(&self->arena);
    core_config_default(&config);
    assert_int_equal(
        core_open(&self->core, self->store, &config, self->wall_us, self->wall_us, random), ERR_OK);
}

static inline void world_open(world_t *self)
{
    world_open_on(self, memstore_new());
}

static inline void world_close(world_t *self)
{
    store_view_close(&self->view);
    core_close(&self->core);
    store_close(&self->store);
    outputs_free(&self->outputs);
    names_destroy(&self->names);
    wire_arena_free(&self->arena);
}

/* The same, and first: is the store whole? */
static inline void world_close_whole(world_t *self)
{
    static char report[4096];
    size_t problems = 0;
    FILE *out = fmemopen(report, sizeof report, "w");
    assert_non_null(out);
    assert_int_equal(check_store(self->store, out, &problems), ERR_OK);
    fclose(out);
    if (problems) fail_msg("%s", report);
    world_close(self);
}

/* The world of a test program, which each test opens anew; and its end, when all must be whole. */
__attribute__((unused)) static world_t world;

static inline int world_ends_whole(void **state)
{
    (void)state;
    world_close_whole(&world);
    return 0;
}

static inline void world_take(world_t *self, const output_t *out)
{
    const uint8_t *bytes = self->outputs.bytes.at + out->at;
    if (out->kind == OUT_PUSH) {
        Pawl__V1__Push *push = pawl__v1__push__unpack(NULL, out->len, bytes);
        assert_non_null(push);
        if (push->body_case == PAWL__V1__PUSH__BODY_ASSIGN)
            for (size_t i = 0; i < push->assign->n_leases && self->leases_n < 64; i++) {
                world_lease_t *lease = &self->leases[self->leases_n++];
                memcpy(lease->id, push->assign->leases[i]->id.data, 16);
                lease->token = push->assign->leases[i]->token;
            }
        pawl__v1__push__free_unpacked(push, NULL);
    } else if (out->kind == OUT_REPLY || out->kind == OUT_WELCOME) {
        Pawl__V1__Reply *reply = pawl__v1__reply__unpack(NULL, out->len, bytes);
        assert_non_null(reply);
        if (reply->error) self->error = reply->error->code;
        if (reply->body_case == PAWL__V1__REPLY__BODY_SUBMITTED && reply->submitted->n_items &&
            reply->submitted->items[0]->error)
            self->error = reply->submitted->items[0]->error->code;
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
}

static inline void world_step(world_t *self, const command_t *commands, size_t n)
{
    self->leases_n = 0;
    self->error = 0;
    outputs_clear(&self->outputs);
    batch_t batch = {
        .wall_us = self->wall_us, .steady_us = self->wall_us, .commands = commands, .n = n
    };
    batch.random[0] = (uint8_t)self->next_request;
    batch.random[1] = (uint8_t)(self->next_request >> 8);
    assert_int_equal(core_step(self->core, &batch, &self->outputs), ERR_OK);
    for (size_t i = 0; i < self->outputs.n; i++)
        world_take(self, &self->outputs.items[i]);
}

static inline void world_request(world_t *self, conn_t conn, Pawl__V1__Request *request)
{
    self->next_request++;
    uint8_t request_id[16] = { (uint8_t)self->next_request, 7, (uint8_t)(self->next_request >> 8) };
    request->seq = self->next_request;
    request->request_id = (ProtobufCBinaryData){ 16, request_id };
    command_t command = {
        .kind = CMD_REQUEST, .conn = conn, .principal = "uid:1000", .request = request
    };
    world_step(self, &command, 1);
}

/* Time goes on; what is due happens. */
static inline void world_sleep(world_t *self, int64_t us)
{
    self->wall_us += us;
    world_step(self, NULL, 0);
}

/* Connects executor `name` as `conn`, for type test/work. */
static inline void world_executor(world_t *self, conn_t conn, const char *name, uint32_t credit)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    char *types[] = { (char *)(uintptr_t) "test/work" };
    uint8_t incarnation[16] = { (uint8_t)conn, 9 };
    hello.minor = WIRE_MINOR;
    hello.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    hello.name = (char *)(uintptr_t)name;
    hello.incarnation = (ProtobufCBinaryData){ 16, incarnation };
    hello.types = types;
    hello.n_types = 1;
    hello.slots = hello.credit = credit;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    world_request(self, conn, &request);
    assert_int_equal(self->error, 0);
}

static inline void world_task(Pawl__V1__Task *task)
{
    pawl__v1__task__init(task);
    task->type = (char *)(uintptr_t) "test/work";
}

/* Submits it under the id that it has. */
static inline void world_submit_as(world_t *self, const Pawl__V1__Task *task)
{
    uint8_t packed[16384];
    assert_true(pawl__v1__task__get_packed_size(task) <= sizeof packed);
    ProtobufCBinaryData bytes = { pawl__v1__task__pack(task, packed), packed };
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    submit.tasks = &bytes;
    submit.n_tasks = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    request.submit = &submit;
    world_request(self, 99, &request);
    assert_int_equal(self->error, 0);
}

/* Submits; the id it drew is put into `id`. */
static inline void world_submit(world_t *self, Pawl__V1__Task *task, uint8_t id[16])
{
    uint8_t random[10] = { ++self->next_id };
    ulid_t drawn = ulid_make(self->wall_us, random);
    memcpy(id, drawn.at, 16);
    task->id = (ProtobufCBinaryData){ 16, id };
    world_submit_as(self, task);
}

static inline void world_report(world_t *self, conn_t conn, const world_lease_t *lease,
                                Pawl__V1__Outcome outcome, const char *message, slice_t output)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    uint8_t id[16];
    memcpy(id, lease->id, 16);
    result.id = (ProtobufCBinaryData){ 16, id };
    result.token = lease->token;
    result.outcome = outcome;
    result.message = (char *)(uintptr_t)message;
    result.output = (ProtobufCBinaryData){ output.len, (uint8_t *)(uintptr_t)output.at };
    result.exit_set_case = PAWL__V1__RESULT__EXIT_SET_EXIT_CODE;
    result.exit_code = outcome == PAWL__V1__OUTCOME__OUTCOME_DONE ? 0 : 3;
    result.started_us = self->wall_us;
    result.ended_us = self->wall_us;
    report.results = results;
    report.n_results = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &report;
    world_request(self, conn, &request);
    assert_int_equal(self->error, 0);
}

static inline void world_change(world_t *self, Pawl__V1__TaskVerb verb, const uint8_t id[16])
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange change = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData ids = { 16, (uint8_t *)(uintptr_t)id };
    change.verb = verb;
    change.ids = &ids;
    change.n_ids = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    request.task_change = &change;
    world_request(self, 99, &request);
    assert_int_equal(self->error, 0);
}

static inline void world_zone(world_t *self, const char *name)
{
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file(name, NULL, &bytes), ERR_OK);
    command_t command = { .kind = CMD_ZONE, .name = name, .bytes = slice(bytes.at, bytes.len) };
    world_step(self, &command, 1);
    buf_free(&bytes);
}

/* The template of test/work tasks; `packed` keeps it. */
static inline ProtobufCBinaryData world_template(uint8_t packed[256])
{
    Pawl__V1__Task task;
    world_task(&task);
    return (ProtobufCBinaryData){ pawl__v1__task__pack(&task, packed), packed };
}

/* The code of the refusal, 0: taken. */
static inline uint32_t world_put(world_t *self, Pawl__V1__SchedulePut *put)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = put;
    world_request(self, 99, &request);
    return self->error;
}

static inline uint32_t world_put_schedule(world_t *self, Pawl__V1__Schedule *schedule)
{
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    put.schedule = schedule;
    return world_put(self, &put);
}

/* A schedule of test/work tasks in UTC. */
static inline void world_schedule(world_t *self, const char *name, const char *rule,
                                  Pawl__V1__Mode mode, Pawl__V1__Overlap overlap)
{
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    uint8_t packed[256];
    world_zone(self, "UTC");
    schedule.name = (char *)(uintptr_t)name;
    schedule.rule = (char *)(uintptr_t)rule;
    schedule.zone = (char *)(uintptr_t) "UTC";
    schedule.mode = mode;
    schedule.overlap = overlap;
    schedule.task = world_template(packed);
    assert_int_equal(world_put_schedule(self, &schedule), 0);
}

/* By hand: the code of the refusal, 0: done. */
static inline uint32_t world_change_schedule(world_t *self, Pawl__V1__ScheduleChange *change)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = change;
    world_request(self, 99, &request);
    return self->error;
}

/* The code of the refusal, 0: taken. */
static inline uint32_t world_set_calendar(world_t *self, const char *name,
                                          const char *const *entries, size_t n)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarPut body = PAWL__V1__CALENDAR_PUT__INIT;
    Pawl__V1__Calendar calendar = PAWL__V1__CALENDAR__INIT;
    calendar.name = (char *)(uintptr_t)name;
    calendar.entries = (char **)(uintptr_t)entries;
    calendar.n_entries = n;
    body.calendar = &calendar;
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_PUT;
    request.calendar_put = &body;
    world_request(self, 99, &request);
    return self->error;
}

/* A fresh snapshot to ask; what the answer before hung on is gone. */
static inline answer_t *world_ask(world_t *self)
{
    store_view_close(&self->view);
    assert_int_equal(store_view_open(self->store, &self->view), ERR_OK);
    wire_arena_reset(&self->arena);
    self->answer = (answer_t){
        .view = self->view, .names = self->names, .arena = &self->arena, .wall_us = self->wall_us
    };
    pawl__v1__reply__init(&self->reply);
    return &self->answer;
}

static inline const Pawl__V1__ScheduleInfo *world_schedule_get(world_t *self, const char *name)
{
    Pawl__V1__ScheduleGet get = PAWL__V1__SCHEDULE_GET__INIT;
    get.name = (char *)(uintptr_t)name;
    assert_int_equal(query_schedule_get(world_ask(self), &get, &self->reply), ERR_OK);
    assert_null(self->reply.error);
    return self->reply.schedules->items[0];
}

/* Proposes everything up to now, as a scheduler does. */
static inline void world_propose(world_t *self, const char *name)
{
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(self, name);
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose propose = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    uint8_t uid[16];
    memcpy(uid, info->uid.data, 16);
    item.uid = (ProtobufCBinaryData){ 16, uid };
    item.revision = info->revision;
    item.expect_cursor_us = info->cursor_us;
    item.new_cursor_us = self->wall_us;
    propose.items = items;
    propose.n_items = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &propose;
    world_request(self, 98, &request);
    assert_int_equal(self->error, 0);
}

static inline const Pawl__V1__TaskInfo *world_get(world_t *self, const uint8_t id[16])
{
    Pawl__V1__TaskGet get = PAWL__V1__TASK_GET__INIT;
    ProtobufCBinaryData ids = { 16, (uint8_t *)(uintptr_t)id };
    get.ids = &ids;
    get.n_ids = 1;
    assert_int_equal(query_task_get(world_ask(self), &get, &self->reply), ERR_OK);
    assert_null(self->reply.error);
    assert_int_equal(self->reply.tasks->n_items, 1);
    return self->reply.tasks->items[0];
}

#endif

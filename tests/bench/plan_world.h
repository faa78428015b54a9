/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/plan_world.h - schedules on LMDB and through core alone, for benchmarks: no broker,
 * no scheduler, a clock that is set by hand. Whatever is not as expected ends the process. */
#ifndef TESTS_BENCH_PLAN_WORLD_H
#define TESTS_BENCH_PLAN_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/core/core.h"
#include "client/time/zone.h"

#define SECOND INT64_C(1000000)

typedef struct bench_plan {
    uint8_t uid[16];
    uint64_t revision;
    int64_t cursor_us;
} bench_plan_t;

typedef struct bench {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t clock_us; /* broker time and calendar time */
    uint64_t seq;
    uint8_t random;
    size_t n; /* schedules */
    bench_plan_t *plans;
} bench_t;

static inline double now_ms(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

/* Returns what it took, the commit included. */
static inline double bench_step(bench_t *self, const command_t *commands, size_t n)
{
    batch_t batch = {
        .wall_us = self->clock_us, .steady_us = self->clock_us, .commands = commands, .n = n
    };
    memset(batch.random, ++self->random, sizeof batch.random);
    double began = now_ms(CLOCK_MONOTONIC);
    CHECK(core_step(self->core, &batch, &self->out) == ERR_OK);
    return now_ms(CLOCK_MONOTONIC) - began;
}

static inline command_t bench_command(bench_t *self, Pawl__V1__Request *request)
{
    request->seq = ++self->seq;
    return (command_t){ .kind = CMD_REQUEST, .conn = 1, .principal = "uid:1", .request = request };
}

/* The next reply of the last step; the caller frees it. *at = 0 to begin. */
static inline Pawl__V1__Reply *bench_reply(const bench_t *self, size_t *at)
{
    while (*at < self->out.n) {
        const output_t *out = &self->out.items[(*at)++];
        if (out->kind != OUT_REPLY) continue;
        Pawl__V1__Reply *reply =
            pawl__v1__reply__unpack(NULL, out->len, self->out.bytes.at + out->at);
        CHECK(reply && reply->error == NULL);
        return reply;
    }
    CHECK(!"a reply is missing");
    return NULL;
}

static inline void bench_open(bench_t *self, const char *folder, uint64_t map_bytes)
{
    core_config_t config;
    uint8_t random[32] = { 7 };
    int64_t holder;
    core_config_default(&config);
    CHECK(store_open(&self->store, folder, map_bytes, 0, &holder) == ERR_OK);
    CHECK(core_open(&self->core, self->store, &config, self->clock_us, self->clock_us, random) ==
          ERR_OK);
}

static inline void bench_close(bench_t *self)
{
    core_close(&self->core);
    store_close(&self->store);
}

static inline void bench_zone(bench_t *self, const char *name)
{
    buf_t bytes = { 0 };
    CHECK(zone_read_file(name, NULL, &bytes) == ERR_OK);
    command_t command = { .kind = CMD_ZONE, .name = name, .bytes = slice(bytes.at, bytes.len) };
    bench_step(self, &command, 1);
    buf_free(&bytes);
}

/* Puts self->n schedules "<name>-<number>" like `like`, whose task is a shell's, at most 500 a
 * request. */
static inline void bench_put(bench_t *self, const char *name, const Pawl__V1__Schedule *like)
{
    enum { AT_ONCE = 500 };
    static Pawl__V1__Schedule schedules[AT_ONCE];
    static Pawl__V1__SchedulePutItem more[AT_ONCE], *items[AT_ONCE];
    static char names[AT_ONCE][64];
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    uint8_t packed[100], id[16] = { 1 };
    command.shell = (char *)(uintptr_t) "true";
    task.type = (char *)(uintptr_t) "pawl/shell";
    task.command = &command;
    size_t len = pawl__v1__task__pack(&task, packed);
    for (size_t done = 0, n; done < self->n; done += n) {
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
        Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
        n = self->n - done < AT_ONCE ? self->n - done : AT_ONCE;
        for (size_t i = 0; i < n; i++) {
            schedules[i] = *like;
            snprintf(names[i], sizeof names[i], "%s-%07zu", name, done + i);
            schedules[i].name = names[i];
            schedules[i].task = (ProtobufCBinaryData){ len, packed };
            pawl__v1__schedule_put_item__init(&more[i]);
            more[i].schedule = &schedules[i];
            items[i] = &more[i];
        }
        body.schedule = &schedules[0];
        body.more = items + 1;
        body.n_more = n - 1;
        be_put_u64(id + 8, ++self->seq);
        request.request_id = (ProtobufCBinaryData){ 16, id };
        request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
        request.schedule_put = &body;
        command_t put = bench_command(self, &request);
        bench_step(self, &put, 1);
        size_t at = 0;
        Pawl__V1__Reply *reply = bench_reply(self, &at);
        CHECK(reply->changed->done == n);
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
}

/* What a scheduler's list says of them: fills self->plans in the broker's order. */
static inline void bench_list(bench_t *self)
{
    char after[32] = "";
    self->plans = mem_grow(self->plans, (self->n + 1) * sizeof *self->plans);
    for (size_t n = 0; n < self->n;) {
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
        Pawl__V1__ScheduleFollow body = PAWL__V1__SCHEDULE_FOLLOW__INIT;
        body.after = after;
        body.brief = true;
        request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW;
        request.schedule_follow = &body;
        command_t follow = bench_command(self, &request);
        bench_step(self, &follow, 1);
        size_t at = 0;
        Pawl__V1__Reply *reply = bench_reply(self, &at);
        CHECK(reply->schedules->n_items > 0 && reply->schedules->n_items <= self->n - n);
        for (size_t i = 0; i < reply->schedules->n_items; i++, n++) {
            const Pawl__V1__ScheduleInfo *info = reply->schedules->items[i];
            memcpy(self->plans[n].uid, info->uid.data, 16);
            self->plans[n].revision = info->revision;
            self->plans[n].cursor_us = info->cursor_us;
        }
        snprintf(after, sizeof after, "%s", reply->schedules->next);
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
}

typedef struct bench_fired {
    double ms;
    uint64_t fired, skipped;
    size_t again; /* proposals that the batch had no room for */
} bench_fired_t;

/* Proposes plans[of[0..n)], `a_request` in one request, all in one batch. Of those that are to be
 * asked for again the places are left at the front of `of`. */
static inline void bench_propose(bench_t *self, uint32_t *of, size_t n, size_t a_request,
                                 bench_fired_t *sum)
{
    size_t requests_n = (n + a_request - 1) / a_request;
    Pawl__V1__Proposal *proposals = mem_new(n * sizeof *proposals), **list;
    Pawl__V1__Request *requests = mem_new(requests_n * sizeof *requests);
    Pawl__V1__Propose *bodies = mem_new(requests_n * sizeof *bodies);
    command_t *commands = mem_new(requests_n * sizeof *commands);
    list = mem_new(n * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        bench_plan_t *plan = &self->plans[of[i]];
        pawl__v1__proposal__init(&proposals[i]);
        proposals[i].uid = (ProtobufCBinaryData){ 16, plan->uid };
        proposals[i].revision = plan->revision;
        proposals[i].expect_cursor_us = plan->cursor_us;
        proposals[i].new_cursor_us = self->clock_us / SECOND * SECOND;
        list[i] = &proposals[i];
    }
    for (size_t i = 0; i < requests_n; i++) {
        pawl__v1__request__init(&requests[i]);
        pawl__v1__propose__init(&bodies[i]);
        bodies[i].items = list + i * a_request;
        bodies[i].n_items = n - i * a_request < a_request ? n - i * a_request : a_request;
        requests[i].body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
        requests[i].propose = &bodies[i];
        commands[i] = bench_command(self, &requests[i]);
    }
    sum->ms += bench_step(self, commands, requests_n);
    size_t at = 0, item = 0, left = 0;
    for (size_t i = 0; i < requests_n; i++) {
        Pawl__V1__Reply *reply = bench_reply(self, &at);
        CHECK(reply->proposed->n_items == bodies[i].n_items);
        for (size_t k = 0; k < bodies[i].n_items; k++, item++) {
            const Pawl__V1__ProposalAnswer *answer = reply->proposed->items[k];
            self->plans[of[item]].cursor_us = answer->cursor_us;
            sum->fired += answer->fired;
            sum->skipped += answer->skipped;
            if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD) of[left++] = of[item];
        }
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
    sum->again = left;
    free(proposals);
    free(list);
    free(requests);
    free(bodies);
    free(commands);
}

#endif

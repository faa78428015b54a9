/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/rehearse_world.h - a schedule, "job", that a real core lives with second by
 * second, and the question what an outage would do to it. */
#ifndef TESTS_UNIT_BROKER_REHEARSE_WORLD_H
#define TESTS_UNIT_BROKER_REHEARSE_WORLD_H

#include "tests/unit/broker/query_world.h"

#define V(kind, name) PAWL__V1__##kind##__##kind##_##name

enum { EXECUTOR = 1, SCHEDULER = 98, RUNS = 4096, BEFORE = 9 };

__attribute__((unused)) static struct {
    uint8_t id[16];
    uint64_t token;
    int64_t end_us;
    bool stopped;
} runs[RUNS];
__attribute__((unused)) static size_t runs_n;

typedef struct wish {
    Pawl__V1__Mode mode;
    Pawl__V1__Overlap overlap;
    int64_t grace_us; /* -1: not said */
    int64_t window_us, jitter_us, start_by_us, takes_us;
    uint32_t ahead, max_running;
    bool live_first, newest;
} wish_t;

static inline int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = world.wall_us / DAY * DAY + DAY; /* a midnight */
    world_executor(&world, EXECUTOR, "exec-1", 100000);
    world_zone(&world, "UTC");
    runs_n = 0;
    return 0;
}

static inline void define(const wish_t *wish, const char *name, Pawl__V1__Schedule *schedule,
                          uint8_t packed[256])
{
    pawl__v1__schedule__init(schedule);
    schedule->name = (char *)(uintptr_t)name;
    schedule->rule = (char *)(uintptr_t) "* * * * *";
    schedule->zone = (char *)(uintptr_t) "UTC";
    schedule->mode = wish->mode;
    schedule->overlap = wish->overlap;
    schedule->window_us = wish->window_us;
    schedule->jitter_us = wish->jitter_us;
    schedule->ahead = wish->ahead;
    schedule->max_running = wish->max_running;
    schedule->live_first = wish->live_first;
    if (wish->newest) schedule->order = PAWL__V1__ORDER__ORDER_NEWEST;
    if (wish->grace_us >= 0) {
        schedule->grace_set_case = PAWL__V1__SCHEDULE__GRACE_SET_GRACE_US;
        schedule->grace_us = wish->grace_us;
    }
    if (wish->start_by_us) {
        schedule->start_by_set_case = PAWL__V1__SCHEDULE__START_BY_SET_START_BY_US;
        schedule->start_by_us = wish->start_by_us;
    }
    schedule->task = world_template(packed);
}

static inline void put(const wish_t *wish)
{
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(wish, "job", &schedule, packed);
    assert_int_equal(world_put_schedule(&world, &schedule), 0);
}

/* Leases that came and attempts that are to stop, of the last step. */
static inline void take(int64_t takes_us)
{
    for (size_t i = 0; i < world.leases_n; i++) {
        assert_true(runs_n < RUNS);
        memcpy(runs[runs_n].id, world.leases[i].id, 16);
        runs[runs_n].token = world.leases[i].token;
        runs[runs_n].stopped = false;
        runs[runs_n++].end_us = world.wall_us + takes_us;
    }
    for (size_t i = 0; i < world.outputs.n; i++) {
        const output_t *out = &world.outputs.items[i];
        if (out->kind != OUT_PUSH || out->conn != EXECUTOR) continue;
        Pawl__V1__Push *push =
            pawl__v1__push__unpack(NULL, out->len, world.outputs.bytes.at + out->at);
        for (size_t k = 0; push->body_case == PAWL__V1__PUSH__BODY_DIRECTIVES &&
                           k < push->directives->n_directives;
             k++)
            for (size_t r = 0; r < runs_n; r++)
                if (runs[r].token == push->directives->directives[k]->token &&
                    memcmp(runs[r].id, push->directives->directives[k]->id.data, 16) == 0) {
                    runs[r].stopped = true;
                    runs[r].end_us = world.wall_us;
                }
        pawl__v1__push__free_unpacked(push, NULL);
    }
}

/* For the schedule and each range that is open; false: nothing was decided. */
static inline bool propose_once(int64_t takes_us)
{
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job");
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal items[20], *list[20];
    uint8_t uid[16];
    int64_t cursor = info->cursor_us;
    memcpy(uid, info->uid.data, 16);
    for (size_t i = 0; i <= info->n_ranges; i++) {
        const Pawl__V1__RangeInfo *range = i ? info->ranges[i - 1] : NULL;
        if (range ? strcmp(range->state, "open") != 0
                  : info->next_us == 0 || info->next_us > world.wall_us)
            continue;
        Pawl__V1__Proposal *one = &items[body.n_items];
        pawl__v1__proposal__init(one);
        one->uid = (ProtobufCBinaryData){ 16, uid };
        one->revision = range ? range->revision : info->revision;
        one->expect_cursor_us = range ? range->cursor_us : info->cursor_us;
        one->range = range ? range->number : 0;
        one->new_cursor_us = (world.wall_us - info->jitter_us) / SECOND * SECOND;
        list[body.n_items++] = one;
    }
    if (body.n_items == 0) return false;
    uint64_t fired = info->fired;
    size_t ranges = info->n_ranges;
    body.items = list;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &body;
    world_request(&world, SCHEDULER, &request);
    assert_int_equal(world.error, 0);
    take(takes_us);
    info = world_schedule_get(&world, "job");
    return info->cursor_us != cursor || info->fired != fired || info->n_ranges != ranges;
}

static inline void end_run(size_t at)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    uint8_t id[16];
    memcpy(id, runs[at].id, 16);
    result.id = (ProtobufCBinaryData){ 16, id };
    result.token = runs[at].token;
    result.outcome =
        runs[at].stopped ? PAWL__V1__OUTCOME__OUTCOME_CANCELLED : PAWL__V1__OUTCOME__OUTCOME_DONE;
    memmove(&runs[at], &runs[at + 1], (--runs_n - at) * sizeof runs[at]);
    report.results = results;
    report.n_results = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &report;
    world_request(&world, EXECUTOR, &request);
    assert_int_equal(world.error, 0);
}

/* False: no time was over. */
static inline bool end_runs(int64_t takes_us)
{
    bool any = false;
    for (size_t i = 0; i < runs_n;)
        if (runs[i].end_us > world.wall_us) {
            i++;
        } else {
            end_run(i);
            take(takes_us);
            i = 0;
            any = true;
        }
    return any;
}

/* Tick by tick until `upto`; nobody proposes from down_from until down_to. Who ends makes room, of
 * which a scheduler is told at once. */
static inline void live(int64_t upto, int64_t down_from, int64_t down_to, int64_t tick_us,
                        int64_t takes_us)
{
    for (;;) {
        bool down = world.wall_us >= down_from && world.wall_us < down_to;
        do {
            for (int i = 0; i < 100 && !down && propose_once(takes_us); i++) {
            }
        } while (end_runs(takes_us));
        if (world.wall_us >= upto) return;
        world_sleep(&world, tick_us);
        take(takes_us);
    }
}

static inline const Pawl__V1__Rehearsal *rehearse(const Pawl__V1__Rehearse *ask)
{
    assert_int_equal(query_rehearse(world_ask(&world), ask, &world.reply), ERR_OK);
    if (world.reply.error) fail_msg("%s: %s", world.reply.error->field, world.reply.error->text);
    return world.reply.rehearsal;
}

#endif

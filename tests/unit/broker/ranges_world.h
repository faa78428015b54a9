/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/ranges_world.h - one schedule, "job", in a world that begins at midnight: its
 * backfills and split-off backlogs, worked off and counted on record. */
#ifndef TESTS_UNIT_BROKER_RANGES_WORLD_H
#define TESTS_UNIT_BROKER_RANGES_WORLD_H

#include "tests/unit/broker/query_world.h"

#include "broker/check/check.h"

enum { YEAR_OF_MINUTES = 365 * 24 * 60 };

static inline int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = world.wall_us / DAY * DAY + DAY; /* a midnight */
    world_executor(&world, 1, "exec-1", 0);
    return 0;
}

typedef struct wish {
    const char *rule;
    Pawl__V1__Mode mode;
    uint32_t ahead, rate, max_running;
    bool live_first, newest, one_by_one;
    int64_t window_us, jitter_us;
    Pawl__V1__CursorAction cursor;
    int64_t at_us;
} wish_t;

static inline void put(wish_t wish)
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    uint8_t packed[256];
    world_zone(&world, "UTC");
    schedule.name = "job";
    schedule.rule = (char *)(uintptr_t)wish.rule;
    schedule.zone = "UTC";
    schedule.mode = wish.mode;
    schedule.overlap =
        wish.one_by_one ? PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL : PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    schedule.ahead = wish.ahead;
    schedule.rate = wish.rate ? wish.rate : 1000;
    schedule.live_first = wish.live_first;
    schedule.window_us = wish.window_us;
    schedule.jitter_us = wish.jitter_us;
    if (wish.newest) schedule.order = PAWL__V1__ORDER__ORDER_NEWEST;
    schedule.task = world_template(packed);
    body.schedule = &schedule;
    body.cursor = wish.cursor;
    body.cursor_at_us = wish.at_us;
    world_put(&world, &body);
}

static inline void strict(const char *rule)
{
    put((wish_t){ .rule = rule, .mode = PAWL__V1__MODE__MODE_STRICT });
    assert_int_equal(world.error, 0);
}

static inline void change(Pawl__V1__ScheduleChange body)
{
    body.name = "job";
    world_change_schedule(&world, &body);
}

#define CHANGE(which, ...)                                                                         \
    do {                                                                                           \
        Pawl__V1__ScheduleChange what = PAWL__V1__SCHEDULE_CHANGE__INIT;                           \
        what.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_##which;                                     \
        __VA_ARGS__;                                                                               \
        change(what);                                                                              \
    } while (0)

static inline void backfill(int64_t from, int64_t to)
{
    CHANGE(BACKFILL, what.from_us = from, what.to_us = to);
    assert_int_equal(world.error, 0);
}

static inline Pawl__V1__RangeInfo range(uint32_t number)
{
    Pawl__V1__RangeList ask = PAWL__V1__RANGE_LIST__INIT;
    ask.name = "job";
    ask.all = true;
    assert_int_equal(query_range_list(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    for (size_t i = 0; i < world.reply.ranges->n_items; i++)
        if (world.reply.ranges->items[i]->number == number) return *world.reply.ranges->items[i];
    fail_msg("no range %u", number);
    return (Pawl__V1__RangeInfo)PAWL__V1__RANGE_INFO__INIT;
}

/* As a scheduler proposes for a range, once. */
static inline void propose(uint32_t number)
{
    Pawl__V1__RangeInfo info = range(number);
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    uint8_t uid[16];
    memcpy(uid, world_schedule_get(&world, "job")->uid.data, 16);
    item.uid = (ProtobufCBinaryData){ 16, uid };
    item.revision = info.revision;
    item.expect_cursor_us = info.cursor_us;
    item.range = number;
    body.items = items;
    body.n_items = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &body;
    world_request(&world, 98, &request);
}

static inline void work_off(uint32_t number)
{
    for (int i = 0; i < 1000 && strcmp(range(number).state, "open") == 0; i++) {
        propose(number);
        world_sleep(&world, 1000000);
    }
}

static inline uint64_t tasks(void)
{
    core_stats_t stats;
    uint64_t n = 0;
    core_stats(world.core, &stats);
    free(stats.queues);
    for (size_t i = 0; i < 12; i++)
        n += stats.counts[i];
    return n;
}

/* Instants with this verdict and reason in (from, to]. */
static inline size_t on_record(const char *verdict, const char *reason)
{
    size_t n = 0;
    for (int64_t after = 0;;) {
        Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
        ask.name = "job";
        ask.limit = 10000;
        ask.after_us = after;
        assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
        const Pawl__V1__HistoryItems *items = world.reply.history;
        for (size_t i = 0; i < items->n_items; i++) {
            if (i) assert_true(items->items[i]->instant_us >= items->items[i - 1]->instant_us);
            n += strcmp(items->items[i]->verdict, verdict) == 0 &&
                 strcmp(items->items[i]->reason, reason) == 0;
        }
        if ((after = items->next_us) == 0) return n;
    }
}

static inline uint64_t audit(void)
{
    uint64_t instants = 0;
    Pawl__V1__ScheduleAudit ask = PAWL__V1__SCHEDULE_AUDIT__INIT;
    ask.name = "job";
    do {
        assert_int_equal(query_schedule_audit(world_ask(&world), &ask, &world.reply), ERR_OK);
        if (world.reply.audit->n_problems) fail_msg("%s", world.reply.audit->problems[0]);
        instants += world.reply.audit->instants;
        ask.after = world.reply.audit->next;
    } while (ask.after);
    return instants;
}

#endif

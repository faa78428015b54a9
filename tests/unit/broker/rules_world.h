/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/rules_world.h - schedules as the wire lets them through, and what readers see
 * of them. The ledger is checked against the rule after each test. */
#ifndef TESTS_UNIT_BROKER_RULES_WORLD_H
#define TESTS_UNIT_BROKER_RULES_WORLD_H

#include "tests/unit/broker/query_world.h"

#include "broker/readers/query_calendar.h"

static inline int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world_executor(&world, 1, "exec-1", 4);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    char difference[300];
    assert_int_equal(core_verify(world.core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
    world_close_whole(&world);
    return 0;
}

static inline char *text(const char *given)
{
    return (char *)(uintptr_t)given;
}

/* Puts it as the wire lets it through; the code of the refusal, 0: taken. */
static inline uint32_t put(Pawl__V1__Schedule *schedule)
{
    uint8_t packed[256];
    wire_fault_t fault;
    const Pawl__V1__Task *checked;
    schedule->task = world_template(packed);
    if (schedule->zone[0] == 0) schedule->zone = text("UTC");
    if (strcmp(schedule->zone, "UTC") == 0) world_zone(&world, "UTC");
    wire_arena_reset(&world.arena);
    err_t err = wire_schedule_check(&world.arena, schedule, &checked, &fault);
    return err ? err : world_put_schedule(&world, schedule);
}

static inline Pawl__V1__Schedule named(const char *name, const char *rule)
{
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    schedule.name = text(name);
    schedule.rule = text(rule);
    return schedule;
}

static inline uint32_t change(Pawl__V1__ScheduleVerb verb, const char *name, Pawl__V1__OnResume how)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.verb = verb;
    body.name = text(name);
    body.on_resume = how;
    return world_change_schedule(&world, &body);
}

/* Items of the history with this verdict; the last one's reason in *reason (may be NULL). */
static inline size_t verdicts(const char *name, const char *verdict, const char **reason)
{
    Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
    size_t count = 0;
    ask.name = text(name);
    assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
    for (size_t i = 0; i < world.reply.history->n_items; i++) {
        const Pawl__V1__HistoryItem *item = world.reply.history->items[i];
        if (strcmp(item->verdict, verdict) != 0) continue;
        count++;
        if (reason) *reason = item->reason;
    }
    return count;
}

static inline size_t events(const char *kind)
{
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    size_t count = 0;
    ask.limit = 1000;
    assert_int_equal(query_event_read(world_ask(&world), &ask, 1, &world.reply), ERR_OK);
    for (size_t i = 0; i < world.reply.events->n_items; i++)
        count += strcmp(world.reply.events->items[i]->kind, kind) == 0;
    return count;
}

static inline void finish_one(void)
{
    assert_int_equal(world.leases_n, 1);
    world_lease_t lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What explain says of an outage, one thing at a time: what it refuses, leaves alone, cuts short
 * and takes from the store. After each test the whole store is checked. */
#include "tests/unit/broker/rehearse_world.h"

typedef struct more {
    const char *rule, *zone, *calendar;
    int64_t after_us;
    uint64_t max_firings;
} more_t;

/* The schedule "job" in UTC, with what a table of modes has not. */
static void put_more(const wish_t *wish, more_t more)
{
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(wish, "job", &schedule, packed);
    if (more.rule) schedule.rule = (char *)(uintptr_t)more.rule;
    if (more.zone) schedule.zone = (char *)(uintptr_t)more.zone;
    schedule.after_us = more.after_us;
    if (more.after_us) schedule.rule = (char *)(uintptr_t) "";
    schedule.max_firings = more.max_firings;
    char *calendars[] = { (char *)(uintptr_t)more.calendar };
    schedule.calendars = calendars;
    schedule.n_calendars = more.calendar != NULL;
    assert_int_equal(world_put_schedule(&world, &schedule), 0);
}

static Pawl__V1__Rehearse of_job(int64_t from, int64_t to)
{
    Pawl__V1__Rehearse ask = PAWL__V1__REHEARSE__INIT;
    ask.name = (char *)(uintptr_t) "job";
    ask.down_from_us = from;
    ask.down_to_us = to;
    return ask;
}

static uint64_t said(const Pawl__V1__Rehearsal *rehearsal, const char *verdict, const char *reason)
{
    uint64_t n = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++)
        if (strcmp(rehearsal->items[i]->verdict, verdict) == 0 &&
            strcmp(rehearsal->items[i]->reason, reason) == 0)
            n += rehearsal->items[i]->count;
    return n;
}

static const wish_t plain = { .mode = V(MODE, NORMAL), .grace_us = -1 };
static const wish_t strict = { .mode = V(MODE, STRICT), .grace_us = -1 };

static void nobody_by_that_name_cannot_be_rehearsed(void **state)
{
    (void)state;
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    assert_int_equal(world.reply.error->code, ERR_NOT_FOUND);
}

static uint32_t refused(Pawl__V1__Schedule *schedule)
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    body.schedule = schedule;
    ask.name = (char *)(uintptr_t) "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    return world.reply.error->code;
}

static void what_could_not_be_put_is_refused_as_then(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(&plain, "new", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "0 0 30 2 *";
    assert_int_equal(refused(&schedule), ERR_BAD_RULE);
    assert_string_equal(world.reply.error->field, "schedule.rule");
    define(&plain, "new", &schedule, packed);
    schedule.zone = (char *)(uintptr_t) "Mars/Olympus";
    assert_int_equal(refused(&schedule), ERR_BAD_ZONE);
    define(&plain, "new", &schedule, packed);
    char *calendars[] = { (char *)(uintptr_t) "nowhere" };
    schedule.calendars = calendars;
    schedule.n_calendars = 1;
    assert_int_equal(refused(&schedule), ERR_NOT_FOUND);
    define(&plain, "new", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "@at 2020-01-01T00:00:00Z";
    assert_int_equal(refused(&schedule), ERR_TOO_LATE);
}

static void nothing_of_it_is_kept(void **state)
{
    (void)state;
    put(&strict);
    world_sleep(&world, MINUTE);
    uint64_t hash = memstore_hash(world.store);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 3 * HOUR);
    assert_int_equal(said(rehearse(&ask), "fired", "catchup"), 120);
    assert_int_equal(memstore_hash(world.store), hash);
}

static void a_year_is_one_span_in_normal_and_is_cut_in_strict(void **state)
{
    (void)state;
    put(&plain);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + HOUR + 365 * DAY);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_string_equal(rehearsal->cut, "");
    assert_int_equal(rehearsal->down, 365 * 24 * 60);
    /* the instant of the end is on time */
    assert_int_equal(said(rehearsal, "skipped", "late"), 365 * 24 * 60);
    assert_true(rehearsal->n_items < 10);
    assert_int_equal(rehearsal->n_next_us, 3);
    assert_int_equal(rehearsal->caught_up_us, ask.down_to_us);

    wish_t slow = strict;
    slow.mode = V(MODE, STRICT);
    put(&slow);
    rehearsal = rehearse(&ask);
    assert_string_not_equal(rehearsal->cut, "");
    assert_in_range(said(rehearsal, "fired", "catchup"), 1000, 1200);
    assert_in_range(rehearsal->schedule->behind, 365 * 24 * 60 - 1200, 365 * 24 * 60);
    assert_int_equal(rehearsal->caught_up_us, 0);
}

static Pawl__V1__SchedulePut put_of_two(Pawl__V1__Schedule *schedule, char *rule, char *also[1])
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    schedule->rule = rule;
    schedule->also = also;
    schedule->n_also = 1;
    body.schedule = schedule;
    return body;
}

/* 7 and 11 seconds make 77 kinds of days, some 20,000 instants each. */
static void what_would_be_counted_for_seconds_is_refused(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    char *also[] = { "@every 11s from 2020-01-01T00:00:00Z" };
    define(&plain, "new", &schedule, packed);
    Pawl__V1__SchedulePut body = put_of_two(&schedule, "@every 7s from 2020-01-01T00:00:00Z", also);
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + 10 * 365 * DAY);
    ask.name = "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    assert_int_equal(world.reply.error->code, ERR_TOO_LARGE);
    ask.down_to_us = world.wall_us + DAY;
    assert_true(said(rehearse(&ask), "skipped", "late") > 10000);
}

/* What a count costs follows from the kinds of days, not from how many instants there are. */
static void seven_seconds_beside_another_rule_are_rehearsed_however_long(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    char *also[] = { "@every 7s from 2020-01-01T00:00:00Z" };
    define(&plain, "new", &schedule, packed);
    Pawl__V1__SchedulePut body = put_of_two(&schedule, "0 9 * * *", also);
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + 17 * DAY);
    ask.name = "";
    ask.put = &body;
    assert_in_range(rehearse(&ask)->down, 17 * (86400 / 7), 17 * (86400 / 7 + 2));
    ask.down_to_us = world.wall_us + 3650 * DAY;
    assert_in_range(rehearse(&ask)->down, 3650 * (86400 / 7), 3650 * (86400 / 7 + 2));
}

/* Before an outage that lies ahead the play begins at the cursor, however far behind that is. */
static void what_would_be_counted_from_an_old_cursor_on_is_refused(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    char *also[] = { "@every 11s from 2020-01-01T00:00:00Z" };
    put(&plain);
    world_sleep(&world, 365 * DAY); /* nobody proposed */
    define(&plain, "job", &schedule, packed);
    schedule.mode = V(MODE, STRICT);
    schedule.overlap = V(OVERLAP, ALLOW);
    Pawl__V1__SchedulePut body = put_of_two(&schedule, "@every 7s from 2020-01-01T00:00:00Z", also);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 2 * HOUR);
    ask.name = "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    assert_int_equal(world.reply.error->code, ERR_TOO_LARGE);
}

/* Long runs, and what waits behind them for days: time is not walked through second by second. */
static void a_run_may_take_longer_than_its_period(void **state)
{
    (void)state;
    wish_t wish = plain;
    wish.overlap = V(OVERLAP, QUEUE_ONE);
    put_more(&wish, (more_t){ .rule = "0 0 * * *" });
    Pawl__V1__Rehearse ask = of_job(world.wall_us + 100 * DAY + HOUR, world.wall_us + 130 * DAY);
    ask.takes_us = 40 * HOUR;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_string_equal(rehearsal->cut, "");
    assert_int_equal(said(rehearsal, "skipped", "late"), 29);
    assert_int_equal(said(rehearsal, "fired", "on time"), 4);
}

static void a_pause_is_told_and_decides_nothing(void **state)
{
    (void)state;
    put(&plain);
    Pawl__V1__ScheduleChange change = PAWL__V1__SCHEDULE_CHANGE__INIT;
    change.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE;
    change.name = (char *)(uintptr_t) "job";
    assert_int_equal(world_change_schedule(&world, &change), 0);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 2 * HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(rehearsal->n_items, 0);
    assert_int_equal(rehearsal->n_notes, 1);
    assert_string_equal(rehearsal->schedule->state, "paused");
}

static void a_clock_that_is_put_forward_in_the_outage_counts_once(void **state)
{
    (void)state;
    world_zone(&world, "Europe/Berlin");
    put_more(&strict, (more_t){ .rule = "30 2 * * *", .zone = "Europe/Berlin" });
    /* 2026-03-29: 02:30 is not shown, it fires at 03:00 = 01:00 UTC */
    int64_t day = INT64_C(1774742400) * SECOND;
    Pawl__V1__Rehearse ask = of_job(day - DAY + HOUR, day + 2 * HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup"), 2);
    assert_int_equal(rehearsal->items[1]->from_us, day + HOUR);
}

static void calendars_close_on_the_stage_too(void **state)
{
    (void)state;
    const char *const closed[] = { "2026-01-02", "2026-01-04..2026-01-05" };
    assert_int_equal(world_set_calendar(&world, "closed", closed, 2), 0);
    put_more(&strict, (more_t){ .rule = "0 12 * * *", .calendar = "closed" });
    int64_t new_year = INT64_C(1767225600) * SECOND;
    Pawl__V1__Rehearse ask = of_job(new_year, new_year + 6 * DAY); /* 1, 3 and 6 are open */
    assert_int_equal(said(rehearse(&ask), "fired", "catchup"), 3);
}

static void a_fixed_delay_is_never_missed_only_late(void **state)
{
    (void)state;
    put_more(&plain, (more_t){ .after_us = 10 * MINUTE });
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 3 * HOUR);
    ask.takes_us = 30 * SECOND;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(rehearsal->n_items, 4);
    assert_int_equal(rehearsal->items[0]->started_us, ask.down_to_us);
    for (size_t i = 1; i < rehearsal->n_items; i++)
        assert_int_equal(rehearsal->items[i]->from_us,
                         rehearsal->items[i - 1]->started_us + 30 * SECOND + 10 * MINUTE);
}

static void a_number_of_firings_ends_it_there_too(void **state)
{
    (void)state;
    put_more(&strict, (more_t){ .max_firings = 12 });
    int64_t begun = world.wall_us;
    live(begun + 5 * MINUTE + SECOND, INT64_MAX, INT64_MAX, SECOND, SECOND);
    /* five have fired: two more before, then four of the outage and one on time */
    Pawl__V1__Rehearse ask = of_job(begun + 7 * MINUTE + SECOND, begun + 11 * MINUTE + SECOND);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup"), 3);
    assert_int_equal(said(rehearsal, "fired", "on time"), 2);
    assert_string_equal(rehearsal->schedule->state, "ended");
    assert_int_equal(rehearsal->n_next_us, 0);
}

static void a_backfill_that_runs_goes_on_beside(void **state)
{
    (void)state;
    wish_t wish = strict;
    wish.overlap = V(OVERLAP, ALLOW);
    put(&wish);
    Pawl__V1__ScheduleChange change = PAWL__V1__SCHEDULE_CHANGE__INIT;
    change.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL;
    change.name = (char *)(uintptr_t) "job";
    change.from_us = world.wall_us - DAY;
    change.to_us = world.wall_us - DAY + HOUR;
    change.rate = 1;
    assert_int_equal(world_change_schedule(&world, &change), 0);
    world_sleep(&world, 20 * MINUTE);
    /* an outage of half an hour that begins with the first of its sixty */
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + 30 * MINUTE);
    ask.until_us = ask.down_to_us + 10 * MINUTE;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    uint64_t backfilled = said(rehearsal, "fired", "backfill");
    assert_in_range(backfilled, 1, 60);
    for (size_t i = 0; i < rehearsal->n_items; i++)
        if (rehearsal->items[i]->range)
            assert_true(rehearsal->items[i]->started_us >= ask.down_to_us);
}

/* Given a strict schedule that was an hour behind, and of whose backlog a range was split off: how
 * much of it is left to fire. Some is made already, as many as `ahead` leaves to a range. */
static uint64_t given_a_backlog_split_off(wish_t *wish)
{
    *wish = strict;
    wish->overlap = V(OVERLAP, ALLOW);
    wish->live_first = true;
    wish->ahead = 8;
    put(wish);
    world_sleep(&world, HOUR);
    propose_once(600 * SECOND);
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job");
    assert_int_equal(info->n_ranges, 1);
    assert_true(info->ranges[0]->left > 40);
    return info->ranges[0]->left;
}

static void a_backlog_that_was_split_off_is_played_as_it_stands(void **state)
{
    (void)state;
    wish_t wish;
    uint64_t left = given_a_backlog_split_off(&wish);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + SECOND, world.wall_us + 10 * MINUTE);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    uint64_t of_range = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++) {
        of_range += rehearsal->items[i]->range == 1;
        for (size_t k = 0; k < i; k++) /* nothing twice, on whatever line */
            assert_int_not_equal(rehearsal->items[k]->from_us, rehearsal->items[i]->from_us);
    }
    assert_in_range(of_range, left - 8, left);
}

/* Instants of the line of time, and of what is split off from it in the outage, lie at every ten
 * minutes; `left` of the range that was there at every one. */
static void two_rules_are_played(const Pawl__V1__Rehearse *ask, uint64_t left)
{
    const Pawl__V1__Rehearsal *rehearsal = rehearse(ask);
    uint64_t of_range = 0, of_line = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++) {
        const Pawl__V1__RehearsalItem *item = rehearsal->items[i];
        of_range += item->range == 1 ? item->count : 0;
        of_line += item->range == 1 ? 0 : item->count;
        if (item->range != 1) assert_int_equal(item->from_us % (10 * MINUTE), 0);
    }
    assert_in_range(of_range, left - 8, left);
    assert_int_equal(of_line, 6 + 3); /* six of the outage, three after it */
}

/* The range keeps the rule it was split off with, and the line of time has that of today. */
static void a_backlog_of_the_rule_before_leaves_the_rule_of_today(void **state)
{
    (void)state;
    wish_t wish;
    uint64_t left = given_a_backlog_split_off(&wish);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + SECOND, world.wall_us + HOUR + SECOND);
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(&wish, "job", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "*/10 * * * *";
    body.schedule = &schedule;
    ask.put = &body; /* were it put now */
    two_rules_are_played(&ask, left);
    put_more(&wish, (more_t){ .rule = schedule.rule });
    ask.put = NULL;
    two_rules_are_played(&ask, left);
}

static void one_that_is_behind_begins_where_it_stands(void **state)
{
    (void)state;
    put(&strict);
    world_sleep(&world, 3 * HOUR); /* nobody proposed: 180 behind */
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup") + said(rehearsal, "fired", "on time"),
                     180 + 60 + 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(nobody_by_that_name_cannot_be_rehearsed),
        TEST(what_could_not_be_put_is_refused_as_then),
        TEST(nothing_of_it_is_kept),
        TEST(a_year_is_one_span_in_normal_and_is_cut_in_strict),
        TEST(what_would_be_counted_for_seconds_is_refused),
        TEST(seven_seconds_beside_another_rule_are_rehearsed_however_long),
        TEST(what_would_be_counted_from_an_old_cursor_on_is_refused),
        TEST(a_run_may_take_longer_than_its_period),
        TEST(a_pause_is_told_and_decides_nothing),
        TEST(a_clock_that_is_put_forward_in_the_outage_counts_once),
        TEST(calendars_close_on_the_stage_too),
        TEST(a_fixed_delay_is_never_missed_only_late),
        TEST(a_number_of_firings_ends_it_there_too),
        TEST(a_backfill_that_runs_goes_on_beside),
        TEST(a_backlog_that_was_split_off_is_played_as_it_stands),
        TEST(a_backlog_of_the_rule_before_leaves_the_rule_of_today),
        TEST(one_that_is_behind_begins_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

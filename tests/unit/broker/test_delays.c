/* SPDX-License-Identifier: Apache-2.0
 * Fixed delays, and schedules that end: after a number of firings, or with the last instant of
 * their rule. The ledger is checked against the rule after each test. */
#include "tests/unit/broker/rules_world.h"

/* ---- fixed delay ----------------------------------------------------------------------------- */

static Pawl__V1__Schedule delayed(const char *name, int64_t after_us)
{
    Pawl__V1__Schedule schedule = named(name, "");
    schedule.after_us = after_us;
    return schedule;
}

static void a_fixed_delay_plans_from_each_end(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = delayed("poll", 10 * MINUTE);
    assert_int_equal(put(&schedule), 0);
    world_propose(&world, "poll"); /* the first run is at once */
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "poll");
    assert_int_equal(info->fired, 1);
    assert_int_equal(info->next_us, 0);
    assert_string_equal(info->state, "active");
    world_lease_t lease = world.leases[0];
    world.wall_us += 3 * DAY + 400000; /* a long run */
    world_propose(&world, "poll");     /* nothing is due while it is open */
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 1);
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT, "x", slice("", 0));
    info = world_schedule_get(&world, "poll");
    int64_t armed = (world.wall_us + 10 * MINUTE + SECOND - 1) / SECOND * SECOND; /* rounded up */
    assert_int_equal(info->next_us, armed);
    store_t *kept = memstore_clone(world.store); /* a restart changes nothing */
    world_close(&world);
    world_open_on(&world, kept);
    world.wall_us = armed - 1;
    world_executor(&world, 1, "exec-1", 4);
    world_propose(&world, "poll");
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 1);
    world.wall_us = armed + DAY; /* an outage: never missed */
    world_propose(&world, "poll");
    info = world_schedule_get(&world, "poll");
    assert_int_equal(info->fired, 2);
    assert_int_equal(info->last_us, armed);
    assert_int_equal(verdicts("poll", "fired", NULL), 2);
    finish_one();
    assert_true(world_schedule_get(&world, "poll")->next_us > world.wall_us);
}

static void a_window_of_before_an_edit_skips_nothing_after_it(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = named("poll", "* * * * *");
    schedule.mode = PAWL__V1__MODE__MODE_STRICT;
    schedule.overlap = PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL;
    schedule.window_us = MINUTE / 2;
    schedule.ahead = 1;
    assert_int_equal(put(&schedule), 0);
    /* a gap is found, and all of it is too old */
    world.wall_us = (world.wall_us / MINUTE + 60) * MINUTE + 40 * SECOND;
    world_propose(&world, "poll");
    world.wall_us -= 50 * MINUTE; /* the clock is set right */
    schedule = delayed("poll", 10 * MINUTE);
    assert_int_equal(put(&schedule), 0);
    world.wall_us += 3 * 60 * MINUTE;
    world_propose(&world, "poll");
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 1);
}

static void a_run_by_hand_holds_the_next_one_back(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = delayed("poll", 10 * MINUTE);
    assert_int_equal(put(&schedule), 0);
    world_propose(&world, "poll");
    world_lease_t first = world.leases[0];
    finish_one();
    world.wall_us += 5 * MINUTE;
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW, "poll", 0), 0);
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, 0);
    world_lease_t second = world.leases[0];
    world.wall_us += 6 * MINUTE;
    world_report(&world, 1, &second, PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT, "", slice("", 0));
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, world.wall_us + 10 * MINUTE);
    world_change(&world, PAWL__V1__TASK_VERB__TASK_RETRY, second.id); /* open again */
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, 0);
    finish_one();
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, world.wall_us + 10 * MINUTE);
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 1);
    (void)first;
}

static void a_pause_and_an_edit_keep_a_fixed_delay_alive(void **state)
{
    (void)state;
    const char *reason = "";
    Pawl__V1__Schedule schedule = delayed("poll", 10 * MINUTE);
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE, "poll", 0), 0);
    world.wall_us += DAY;
    world_propose(&world, "poll");
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME, "poll",
                            PAWL__V1__ON_RESUME__ON_RESUME_SKIP),
                     0);
    assert_int_equal(verdicts("poll", "skipped", &reason), 1);
    assert_string_equal(reason, "paused");
    int64_t now = (world.wall_us + SECOND - 1) / SECOND * SECOND;
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, now + 10 * MINUTE);
    schedule.after_us = 3 * MINUTE; /* measured from the same end */
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, now + 3 * MINUTE);
    world.wall_us += DAY;
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE, "poll", 0), 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME, "poll",
                            PAWL__V1__ON_RESUME__ON_RESUME_CATCHUP),
                     0);
    world_propose(&world, "poll");
    assert_int_equal(world_schedule_get(&world, "poll")->fired, 1);
    Pawl__V1__Schedule rule = named("poll", "0 12 * * *");
    assert_int_equal(put(&rule), 0); /* to a rule while a task is open, and back */
    assert_true(world_schedule_get(&world, "poll")->next_us > world.wall_us);
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, 0);
    assert_int_equal(put(&rule), 0);
    world_sleep(&world, 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE, "poll", 0), 0);
}

static void a_fixed_delay_excludes_what_names_instants(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = delayed("x", 10 * MINUTE);
    schedule.rule = text("0 0 * * *");
    assert_int_equal(put(&schedule), ERR_CONTRADICTION);
    schedule = delayed("x", SECOND - 1);
    assert_int_equal(put(&schedule), ERR_BAD_VALUE);
    schedule = delayed("x", 10 * MINUTE);
    schedule.jitter_us = SECOND;
    assert_int_equal(put(&schedule), ERR_CONTRADICTION);
    schedule = named("x", "");
    assert_int_equal(put(&schedule), ERR_BAD_VALUE);
    schedule = delayed("x", 10 * MINUTE);
    schedule.to_us = world.wall_us - DAY;
    assert_int_equal(put(&schedule), ERR_TOO_LATE);
    schedule.to_us = world.wall_us + 2 * DAY;
    schedule.from_us = world.wall_us + DAY;
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(world_schedule_get(&world, "x")->next_us,
                     (schedule.from_us + SECOND - 1) / SECOND * SECOND);
}

/* ---- a number of firings --------------------------------------------------------------------- */

static void after_so_many_firings_it_has_ended(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = named("three", "*/10 * * * *");
    schedule.max_firings = 3;
    schedule.mode = PAWL__V1__MODE__MODE_STRICT;
    schedule.overlap = PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    assert_int_equal(put(&schedule), 0);
    world.wall_us += DAY;
    world_propose(&world, "three");
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "three");
    assert_int_equal(info->fired, 3);
    assert_string_equal(info->state, "ended");
    assert_int_equal(info->next_us, 0);
    assert_int_equal(info->behind, 0);
    assert_int_equal(events("schedule.ended"), 1);
    world_propose(&world, "three");
    assert_int_equal(events("schedule.ended"), 1);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW, "three", 0), 0); /* by hand */
    assert_int_equal(world_schedule_get(&world, "three")->fired, 3);
    schedule.max_firings = 2;
    assert_int_equal(put(&schedule), ERR_TOO_LATE);
    schedule.max_firings = 4; /* the count goes on, the time between has no instants */
    assert_int_equal(put(&schedule), 0);
    info = world_schedule_get(&world, "three");
    assert_string_equal(info->state, "active");
    assert_true(info->next_us > world.wall_us);
    world.wall_us += DAY;
    world_propose(&world, "three");
    assert_int_equal(world_schedule_get(&world, "three")->fired, 4);
    assert_int_equal(events("schedule.ended"), 2);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE, "three", 0), 0);
}

static void a_single_firing_of_a_fixed_delay(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = delayed("once", MINUTE);
    schedule.max_firings = 1;
    assert_int_equal(put(&schedule), 0);
    world_propose(&world, "once");
    assert_string_equal(world_schedule_get(&world, "once")->state, "ended");
    finish_one();
    assert_int_equal(world_schedule_get(&world, "once")->next_us, 0);
    assert_int_equal(events("schedule.ended"), 1);
}

static void the_last_instant_of_a_rule_ends_it_too(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = named("late", "@dates 2020-01-01,2025-10-09T09:00:00");
    assert_int_equal(put(&schedule), 0);
    world.wall_us += 10 * MINUTE; /* 09:03:20: within the grace of a date */
    world_propose(&world, "late");
    const char *reason = "";
    assert_int_equal(verdicts("late", "fired", NULL), 1);
    assert_int_equal(verdicts("late", "skipped", &reason), 1);
    assert_string_equal(reason, "late");
    assert_string_equal(world_schedule_get(&world, "late")->state, "ended");
    assert_int_equal(events("schedule.ended"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_fixed_delay_plans_from_each_end),
        TEST(a_window_of_before_an_edit_skips_nothing_after_it),
        TEST(a_run_by_hand_holds_the_next_one_back),
        TEST(a_pause_and_an_edit_keep_a_fixed_delay_alive),
        TEST(a_fixed_delay_excludes_what_names_instants),
        TEST(after_so_many_firings_it_has_ended),
        TEST(a_single_firing_of_a_fixed_delay),
        TEST(the_last_instant_of_a_rule_ends_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

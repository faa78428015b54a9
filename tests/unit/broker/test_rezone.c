/* SPDX-License-Identifier: Apache-2.0
 * Schedules follow new data of their zone; their cursors stay. */
#include "tests/unit/broker/query_world.h"

enum { SCHEDULES = 300 }; /* more than one batch moves */

/* Zone UTC with the file of another one: as good as a changed law. */
static void give_utc_the_data_of(const char *other)
{
    buf_t bytes = { 0 };
    assert_int_equal(zone_read_file(other, NULL, &bytes), ERR_OK);
    command_t command = { .kind = CMD_ZONE, .name = "UTC", .bytes = slice(bytes.at, bytes.len) };
    world_step(&world, &command, 1);
    buf_free(&bytes);
}

static void put_schedule(const char *name)
{
    world_schedule(&world, name, "0 12 * * *", PAWL__V1__MODE__MODE_STRICT,
                   PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL);
}

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world_executor(&world, 1, "exec-1", 0);
    for (int i = 0; i < SCHEDULES; i++) {
        char name[16];
        snprintf(name, sizeof name, "job-%d", i);
        put_schedule(name);
    }
    return 0;
}

static const char *last_job(void)
{
    static char name[16];
    snprintf(name, sizeof name, "job-%d", SCHEDULES - 1);
    return name;
}

static void a_changed_zone_gives_each_schedule_a_new_revision_and_keeps_its_cursor(void **state)
{
    (void)state;
    world.wall_us += 2 * DAY;
    world_propose(&world, "job-0");
    Pawl__V1__ScheduleInfo before = *world_schedule_get(&world, "job-0");
    give_utc_the_data_of("Asia/Tokyo"); /* noon is at 03:00 UTC now */
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job-0");
    assert_int_equal(info->revision, before.revision + 1);
    assert_int_equal(info->cursor_us, before.cursor_us);
    assert_int_equal((info->next_us - before.next_us) % DAY, -9 * DAY / 24);
    assert_int_equal(world_schedule_get(&world, last_job())->revision, 1);
    assert_true(core_next_due_us(world.core) <= world.wall_us);
    world_sleep(&world, 1);
    assert_int_equal(world_schedule_get(&world, last_job())->revision, 2);
    world.wall_us += 3 * DAY;
    world_propose(&world, "job-0"); /* the ledger goes on without a hole: see world_ends_whole */
    world_propose(&world, last_job());
    give_utc_the_data_of("Asia/Tokyo"); /* the same bytes: nothing */
    assert_int_equal(world_schedule_get(&world, "job-0")->revision, before.revision + 1);
}

static void a_restart_in_the_middle_goes_on(void **state)
{
    (void)state;
    give_utc_the_data_of("Asia/Tokyo");
    store_t *kept = memstore_clone(world.store);
    world_close(&world);
    world_open_on(&world, kept);
    assert_int_equal(world_schedule_get(&world, last_job())->revision, 1);
    world_sleep(&world, 1);
    world_sleep(&world, 1);
    assert_int_equal(world_schedule_get(&world, last_job())->revision, 2);
    assert_int_equal(world_schedule_get(&world, "job-0")->revision, 2);
}

/* Of this kind, the last one. */
static const Pawl__V1__EventInfo *last_event(const char *kind)
{
    const Pawl__V1__EventInfo *last = NULL;
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    for (uint64_t from = 1;;) {
        assert_int_equal(query_event_read(world_ask(&world), &ask, from, &world.reply), ERR_OK);
        const Pawl__V1__EventItems *items = world.reply.events;
        for (size_t i = 0; i < items->n_items; i++)
            if (strcmp(items->items[i]->kind, kind) == 0) last = items->items[i];
        if (items->n_items == 0 || last) return last;
        from = items->next_seq;
    }
}

static void events_tell_what_new_data_and_an_edit_move(void **state)
{
    (void)state;
    world.wall_us = INT64_C(1793534400000000) + 1; /* 2026-11-01, behind noon */
    put_schedule("late");
    give_utc_the_data_of("Asia/Tokyo");
    assert_null(last_event("zone.changed")); /* not all of them have moved */
    store_t *kept = memstore_clone(world.store);
    world_close(&world);
    world_open_on(&world, kept);
    for (int i = 0; i < 3; i++)
        world_sleep(&world, 1);
    const Pawl__V1__EventInfo *event = last_event("zone.changed");
    assert_non_null(event);
    assert_string_equal(event->name, "UTC");
    assert_string_equal(event->detail, "301 schedules moved to its new data");
    event = last_event("schedule.edited");
    assert_string_equal(event->name, "late");
    assert_string_equal(event->detail, "next 2026-11-02T12:00:00Z -> 2026-11-02T03:00:00Z");
}

static void bytes_that_are_no_zone_change_nothing(void **state)
{
    (void)state;
    command_t command = { .kind = CMD_ZONE,
                          .name = "UTC",
                          .bytes = slice("TZif2 and no more", 17) };
    world_step(&world, &command, 1);
    world_sleep(&world, 1);
    assert_int_equal(world_schedule_get(&world, "job-0")->revision, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_changed_zone_gives_each_schedule_a_new_revision_and_keeps_its_cursor),
        TEST(a_restart_in_the_middle_goes_on),
        TEST(events_tell_what_new_data_and_an_edit_move),
        TEST(bytes_that_are_no_zone_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

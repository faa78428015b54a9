/* SPDX-License-Identifier: Apache-2.0
 * Unions, calendars, dates that are past, zones that vanish: what core makes of them, and what a
 * reader sees. The ledger is checked against the rule after each test. */
#include "tests/unit/broker/rules_world.h"

static uint32_t set_calendar(const char *name, const char *entry)
{
    return world_set_calendar(&world, name, &entry, 1);
}

/* What the last step answered, as clients read it: texts that are no UTF-8 are refused whole. */
static err_t as_clients_read(void)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < world.outputs.n; i++) {
        const output_t *out = &world.outputs.items[i];
        const Pawl__V1__Reply *reply;
        wire_fault_t fault;
        wire_arena_reset(&world.arena);
        if (out->kind == OUT_REPLY && err == ERR_OK)
            err = wire_reply_decode(&world.arena, world.outputs.bytes.at + out->at, out->len,
                                    &reply, &fault);
    }
    return err;
}

static uint32_t remove_calendar(const char *name)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarRemove body = PAWL__V1__CALENDAR_REMOVE__INIT;
    body.name = text(name);
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_REMOVE;
    request.calendar_remove = &body;
    world_request(&world, 99, &request);
    return world.error;
}

/* ---- unions ---------------------------------------------------------------------------------- */

static void a_union_fires_once_where_its_rules_meet(void **state)
{
    (void)state;
    char *also[] = { text("30 * * * *"), text("*/20 * * * *") };
    Pawl__V1__Schedule schedule = named("both", "0 * * * *");
    schedule.also = also;
    schedule.n_also = 2;
    schedule.mode = PAWL__V1__MODE__MODE_STRICT;
    schedule.overlap = PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    assert_int_equal(put(&schedule), 0);
    world.wall_us = WORLD_BEGIN / DAY * DAY + 12 * 60 * MINUTE;
    world_propose(&world, "both"); /* from 08:53:20 on: 09:00 20 30 40 10:00 20 30 40 11:.. 12:00 */
    assert_int_equal(world_schedule_get(&world, "both")->fired, 13);
    assert_int_equal(verdicts("both", "fired", NULL), 13);
    assert_int_equal(world_schedule_get(&world, "both")->next_us, world.wall_us + 20 * MINUTE);
    also[1] = text("61 * * * *");
    assert_int_equal(put(&schedule), ERR_BAD_RULE);
    also[1] = text("*/15 * * * *");
    assert_int_equal(put(&schedule), 0); /* another rule: a new revision that begins now */
    assert_int_equal(world_schedule_get(&world, "both")->next_us, world.wall_us + 15 * MINUTE);
}

/* ---- calendars ------------------------------------------------------------------------------- */

static void a_calendar_closes_and_its_change_is_an_edit(void **state)
{
    (void)state;
    char *calendars[] = { text("days off") };
    Pawl__V1__Schedule schedule = named("noon", "0 12 * * *");
    schedule.calendars = calendars;
    schedule.n_calendars = 1;
    assert_int_equal(put(&schedule), ERR_NOT_FOUND);
    assert_int_equal(set_calendar("days off", "SUNDAY"), ERR_BAD_CALENDAR);
    assert_int_equal(set_calendar("days off", "10-10..10-11"), 0);
    assert_int_equal(put(&schedule), 0);
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "noon");
    int64_t first = WORLD_BEGIN / DAY * DAY + DAY / 2;
    assert_int_equal(info->next_us, first);
    world.wall_us = first;
    world_propose(&world, "noon");
    info = world_schedule_get(&world, "noon");
    assert_int_equal(info->next_us, first + 3 * DAY); /* the 10th and 11th are closed */
    uint64_t revision = info->revision;
    assert_int_equal(info->fired, 1);
    assert_int_equal(set_calendar("days off", "10-10"), 0);
    world_sleep(&world, 1);
    info = world_schedule_get(&world, "noon");
    assert_int_equal(info->revision, revision + 1);
    assert_int_equal(info->cursor_us, first); /* what is decided stays */
    assert_int_equal(info->next_us, first + 2 * DAY);
    assert_int_equal(set_calendar("days off", "10-10"), 0); /* the same: no edit */
    assert_int_equal(world_schedule_get(&world, "noon")->revision, revision + 1);
    assert_int_equal(events("calendar.changed"), 2);
}

static void a_proposal_under_way_meets_the_new_calendar(void **state)
{
    (void)state;
    char *calendars[] = { text("off") };
    Pawl__V1__Schedule schedule = named("noon", "0 12 * * *");
    schedule.calendars = calendars;
    schedule.n_calendars = 1;
    assert_int_equal(set_calendar("off", "01-01"), 0);
    assert_int_equal(put(&schedule), 0);
    Pawl__V1__ScheduleInfo info = *world_schedule_get(&world, "noon");
    world.wall_us = WORLD_BEGIN / DAY * DAY + DAY / 2;
    uint8_t uid[16];
    memcpy(uid, info.uid.data, 16);
    /* one batch: the change, and a proposal that was sent before it */
    Pawl__V1__Request first = PAWL__V1__REQUEST__INIT, second = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarPut body = PAWL__V1__CALENDAR_PUT__INIT;
    Pawl__V1__Calendar calendar = PAWL__V1__CALENDAR__INIT;
    char *entries[] = { text("10-09") };
    uint8_t id[16] = { 9 };
    calendar.name = text("off");
    calendar.entries = entries;
    calendar.n_entries = 1;
    body.calendar = &calendar;
    first.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_PUT;
    first.calendar_put = &body;
    first.seq = 1000;
    first.request_id = (ProtobufCBinaryData){ 16, id };
    Pawl__V1__Propose propose = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    item.uid = (ProtobufCBinaryData){ 16, uid };
    item.revision = info.revision;
    item.expect_cursor_us = info.cursor_us;
    item.new_cursor_us = world.wall_us;
    propose.items = items;
    propose.n_items = 1;
    second.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    second.propose = &propose;
    second.seq = 1;
    command_t commands[] = {
        { .kind = CMD_REQUEST, .conn = 99, .principal = "uid:1", .request = &first },
        { .kind = CMD_REQUEST, .conn = 98, .principal = "uid:1", .request = &second },
    };
    world_step(&world, commands, 2);
    const Pawl__V1__ScheduleInfo *after = world_schedule_get(&world, "noon");
    assert_int_equal(after->fired, 0); /* CONFLICT */
    assert_int_equal(after->revision, info.revision + 1);
    assert_int_equal(after->next_us, world.wall_us + DAY);
    assert_int_equal(world.leases_n, 0);
}

static void many_users_follow_over_batches_and_over_a_restart(void **state)
{
    (void)state;
    enum { USERS = 600 };
    char *calendars[] = { text("off") };
    assert_int_equal(set_calendar("off", "01-01"), 0);
    for (int i = 0; i < USERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "job-%d", i);
        Pawl__V1__Schedule schedule = named(name, "0 12 * * *");
        schedule.calendars = calendars;
        schedule.n_calendars = 1;
        assert_int_equal(put(&schedule), 0);
    }
    assert_int_equal(set_calendar("off", "10-09"), 0);
    assert_int_equal(world_schedule_get(&world, "job-599")->revision, 1);
    assert_true(core_next_due_us(world.core) <= world.wall_us);
    store_t *kept = memstore_clone(world.store);
    world_close(&world);
    world_open_on(&world, kept);
    for (int i = 0; i < 4; i++)
        world_sleep(&world, 1);
    assert_int_equal(world_schedule_get(&world, "job-0")->revision, 2);
    assert_int_equal(world_schedule_get(&world, "job-599")->revision, 2);
    assert_true(core_next_due_us(world.core) > world.wall_us);
}

static const Pawl__V1__CalendarInfo *calendar_info(const char *name)
{
    Pawl__V1__CalendarList ask = PAWL__V1__CALENDAR_LIST__INIT;
    ask.name = text(name);
    assert_int_equal(query_calendar_list(world_ask(&world), &ask, &world.reply), ERR_OK);
    return world.reply.error ? NULL : world.reply.calendars->items[0];
}

static void an_entry_that_cannot_be_read_is_quoted_between_characters(void **state)
{
    (void)state;
    for (size_t before = 0; before < 4; before++) {
        char entry[LIMIT_ENTRY + 1] = "xxx";
        size_t len = before;
        for (; len + 4 < 120; len += 4)
            memcpy(entry + len, "\xF0\x9F\x92\xA9", 4);
        entry[len] = '\0';
        assert_int_equal(set_calendar("closed", entry), ERR_BAD_CALENDAR);
        assert_int_equal(as_clients_read(), ERR_OK);
    }
}

static void a_calendar_in_use_is_not_removed(void **state)
{
    (void)state;
    char *calendars[] = { text("a"), text("b") };
    Pawl__V1__Schedule schedule = named("job", "0 12 * * *");
    schedule.calendars = calendars;
    schedule.n_calendars = 2;
    assert_int_equal(set_calendar("a", "SUN"), 0);
    assert_int_equal(set_calendar("b", "  12-24..12-26 # feast"), 0);
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(calendar_info("b")->users, 1);
    assert_int_equal(calendar_info("b")->n_entries, 1);
    assert_string_equal(calendar_info("b")->entries[0], "12-24..12-26");
    assert_int_equal(remove_calendar("b"), ERR_IN_USE);
    schedule.n_calendars = 1;
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(remove_calendar("a"), ERR_IN_USE);
    assert_int_equal(remove_calendar("b"), 0);
    assert_null(calendar_info("b"));
    assert_int_equal(remove_calendar("b"), ERR_NOT_FOUND);
    schedule.n_calendars = 2;
    assert_int_equal(put(&schedule), ERR_NOT_FOUND);
    assert_int_equal(set_calendar("b", "SAT"), 0); /* it may come again */
    assert_int_equal(calendar_info("b")->users, 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE, "job", 0), 0);
    assert_int_equal(remove_calendar("a"), 0);
    calendars[1] = calendars[0];
    schedule = named("twice", "0 12 * * *");
    schedule.calendars = calendars;
    schedule.n_calendars = 2;
    assert_int_equal(put(&schedule), ERR_CONTRADICTION);
}

/* ---- dates that are past --------------------------------------------------------------------- */

static void past_dates_are_judged_at_creation(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule = named("past", "@at 2025-10-09T08:50:00"); /* 200 s ago */
    assert_int_equal(put(&schedule), 0);
    world_propose(&world, "past");
    assert_int_equal(world_schedule_get(&world, "past")->fired, 1);
    schedule = named("older", "@AT 2025-10-09T08:40:00");
    assert_int_equal(put(&schedule), ERR_TOO_LATE);
    schedule.mode = PAWL__V1__MODE__MODE_STRICT;
    assert_int_equal(put(&schedule), 0);
    world.wall_us += SECOND; /* the rate of late tasks lets one through */
    world_propose(&world, "older");
    assert_int_equal(world_schedule_get(&world, "older")->fired, 1);
    schedule = named("impatient", "@at 2025-10-09T08:50:00");
    schedule.grace_set_case = PAWL__V1__SCHEDULE__GRACE_SET_GRACE_US;
    schedule.grace_us = MINUTE;
    assert_int_equal(put(&schedule), ERR_TOO_LATE); /* it would be skipped at once */
}

/* ---- zones ----------------------------------------------------------------------------------- */

static void give_zone(const char *name, const char *file)
{
    buf_t bytes = { 0 };
    if (file) assert_int_equal(zone_read_file(file, NULL, &bytes), ERR_OK);
    command_t command = { .kind = CMD_ZONE, .name = name, .bytes = slice(bytes.at, bytes.len) };
    world_step(&world, &command, 1);
    buf_free(&bytes);
    world_sleep(&world, 1);
}

static void a_zone_that_vanishes_pauses_its_schedules_and_loses_nothing(void **state)
{
    (void)state;
    give_zone("Test/Zone", "Europe/Berlin");
    Pawl__V1__Schedule schedule = named("here", "0 12 * * *");
    schedule.zone = text("Test/Zone");
    schedule.mode = PAWL__V1__MODE__MODE_STRICT;
    assert_int_equal(put(&schedule), 0);
    schedule.name = text("by hand");
    assert_int_equal(put(&schedule), 0);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE, "by hand", 0), 0);
    schedule.name = text("elsewhere");
    schedule.zone = text("UTC");
    assert_int_equal(put(&schedule), 0);
    give_zone("Test/Zone", NULL);
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "here");
    assert_string_equal(info->state, "paused");
    assert_string_equal(info->reason, "the time zone Test/Zone is gone from tzdata");
    assert_string_equal(world_schedule_get(&world, "elsewhere")->state, "active");
    assert_int_equal(events("zone.gone"), 1);
    assert_int_equal(events("schedule.paused"), 2);
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME, "here", 0), ERR_WRONG_STATUS);
    schedule.name = text("new");
    schedule.zone = text("Test/Zone");
    assert_int_equal(put(&schedule), ERR_BAD_ZONE);
    give_zone("Test/Zone", NULL); /* still gone: no news */
    assert_int_equal(events("zone.gone"), 1);
    world.wall_us += 3 * DAY;
    world_propose(&world, "here");
    assert_int_equal(world_schedule_get(&world, "here")->fired, 0);
    give_zone("Test/Zone", "Asia/Tokyo");
    info = world_schedule_get(&world, "here");
    assert_string_equal(info->state, "active");
    assert_string_equal(info->reason, "");
    world_propose(&world, "here");
    assert_int_equal(world_schedule_get(&world, "here")->fired, 3); /* each noon of the time */
    assert_string_equal(world_schedule_get(&world, "by hand")->state, "paused");
}

static void a_schedule_without_its_zone_may_take_another(void **state)
{
    (void)state;
    give_zone("Test/Zone", "Europe/Berlin");
    Pawl__V1__Schedule schedule = named("here", "0 12 * * *");
    schedule.zone = text("Test/Zone");
    assert_int_equal(put(&schedule), 0);
    give_zone("Test/Zone", NULL);
    schedule.zone = text("UTC");
    assert_int_equal(put(&schedule), 0);
    assert_string_equal(world_schedule_get(&world, "here")->state, "paused");
    assert_int_equal(change(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME, "here", 0), 0);
    give_zone("Test/Zone", "Europe/Berlin");
    assert_string_equal(world_schedule_get(&world, "here")->state, "active");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_union_fires_once_where_its_rules_meet),
        TEST(a_calendar_closes_and_its_change_is_an_edit),
        TEST(a_proposal_under_way_meets_the_new_calendar),
        TEST(many_users_follow_over_batches_and_over_a_restart),
        TEST(an_entry_that_cannot_be_read_is_quoted_between_characters),
        TEST(a_calendar_in_use_is_not_removed),
        TEST(past_dates_are_judged_at_creation),
        TEST(a_zone_that_vanishes_pauses_its_schedules_and_loses_nothing),
        TEST(a_schedule_without_its_zone_may_take_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

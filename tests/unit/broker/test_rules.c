/* SPDX-License-Identifier: Apache-2.0
 * Unions, calendars, fixed delays, a number of firings, zones that vanish: what core makes of them,
 * and what a reader sees. The ledger is checked against the rule after each test. */
#include "tests/unit/broker/query_world.h"

#include "broker/readers/query_calendar.h"

static world_t world;

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world_executor(&world, 1, "exec-1", 4);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char difference[300];
    assert_int_equal(core_verify(world.core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
    world_close_whole(&world);
    return 0;
}

static char *text(const char *given)
{
    return (char *)(uintptr_t)given;
}

/* Puts it as the wire lets it through; the code of the refusal, 0: taken. */
static uint32_t put(Pawl__V1__Schedule *schedule)
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

static Pawl__V1__Schedule named(const char *name, const char *rule)
{
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    schedule.name = text(name);
    schedule.rule = text(rule);
    return schedule;
}

static uint32_t change(Pawl__V1__ScheduleVerb verb, const char *name, Pawl__V1__OnResume how)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.verb = verb;
    body.name = text(name);
    body.on_resume = how;
    return world_change_schedule(&world, &body);
}

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

/* Items of the history with this verdict; the last one's reason in *reason (may be NULL). */
static size_t verdicts(const char *name, const char *verdict, const char **reason)
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

static size_t events(const char *kind)
{
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    size_t count = 0;
    ask.limit = 1000;
    assert_int_equal(query_event_read(world_ask(&world), &ask, 1, &world.reply), ERR_OK);
    for (size_t i = 0; i < world.reply.events->n_items; i++)
        count += strcmp(world.reply.events->items[i]->kind, kind) == 0;
    return count;
}

static void finish_one(void)
{
    assert_int_equal(world.leases_n, 1);
    world_lease_t lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
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
        TEST(a_fixed_delay_plans_from_each_end),
        TEST(a_window_of_before_an_edit_skips_nothing_after_it),
        TEST(a_run_by_hand_holds_the_next_one_back),
        TEST(a_pause_and_an_edit_keep_a_fixed_delay_alive),
        TEST(a_fixed_delay_excludes_what_names_instants),
        TEST(after_so_many_firings_it_has_ended),
        TEST(a_single_firing_of_a_fixed_delay),
        TEST(the_last_instant_of_a_rule_ends_it_too),
        TEST(past_dates_are_judged_at_creation),
        TEST(a_zone_that_vanishes_pauses_its_schedules_and_loses_nothing),
        TEST(a_schedule_without_its_zone_may_take_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check_schedule.c - schedules: their parts, their counters, and a ledger without hole
 * or overlap up to the cursor, checked against the rule itself. */
#include <stdlib.h>

#include "broker/readers/audit.h"
#include "broker/check/check_inside.h"

typedef struct subject {
    check_t *check;
    answer_t answer;
    schedule_rows_t schedule;
    slice_t key; /* of the schedule's header row, for the report */
} subject_t;

#define TOLD(subject, table, ...)                                                                  \
    check_problem((subject)->check, table, (subject)->key, __VA_ARGS__)

static bool on_span(void *arg, const audit_span_t *span)
{
    (void)span;
    ((subject_t *)arg)->check->extents++;
    return true;
}

static void on_problem(void *arg, table_t table, const char *text)
{
    TOLD((subject_t *)arg, table, "%s", text);
}

static void audit_ledger(subject_t *self)
{
    audit_t audit = { .answer = &self->answer,
                      .schedule = &self->schedule,
                      .from_us = INT64_MIN,
                      .to_us = INT64_MAX,
                      .on_span = on_span,
                      .on_problem = on_problem,
                      .arg = self };
    if (audit_run(&audit) != ERR_OK) TOLD(self, TABLE_ledger, "the ledger cannot be read");
}

/* ---- one schedule ---------------------------------------------------------------------------- */

static void audit_counters(subject_t *self)
{
    static const tally_t none;
    const scur_row_t *cursor = &self->schedule.cursor;
    uint32_t no = self->schedule.no;
    const tallies_t *all = &self->check->schedules;
    const tally_t *tally = no < all->n ? &all->at[no] : &none;
    if (cursor->running != tally->running || cursor->waiting != tally->waiting)
        TOLD(self, TABLE_scur, "%llu tasks run and %llu wait, the cursor says %u and %u",
             (unsigned long long)tally->running, (unsigned long long)tally->waiting,
             cursor->running, cursor->waiting);
    if (cursor->admitted != tally->admitted)
        TOLD(self, TABLE_scur, "%llu tasks were let through, the cursor says %u",
             (unsigned long long)tally->admitted, cursor->admitted);
    if (cursor->elsewhere != tally->elsewhere || cursor->parked != tally->scoped)
        TOLD(self, TABLE_scur,
             "%llu run that count elsewhere and %llu wait for their scope, the cursor says %u and "
             "%u",
             (unsigned long long)tally->elsewhere, (unsigned long long)tally->scoped,
             cursor->elsewhere, cursor->parked);
    uint8_t gate[16];
    gate_row_t row = { 0 };
    slice_t value;
    gate_of_schedule(no, gate);
    rec_key_t key = key_gate(gate);
    if (check_get(self->check, TABLE_gate, &key, &value) && !gate_row_decode(&row, value))
        TOLD(self, TABLE_gate, "the gate cannot be read");
    if (row.waiting != tally->parked)
        TOLD(self, TABLE_gate, "%llu tasks are parked, the gate says %u",
             (unsigned long long)tally->parked, row.waiting);
}

static void audit_names(subject_t *self)
{
    const sched_row_t *row = &self->schedule.row;
    rec_key_t uid = key_name(NAME_UID, slice(row->uid, 16)),
              name = key_name(NAME_SCHEDULE, row->name);
    slice_t value;
    uint32_t no = 0;
    if (!check_get(self->check, TABLE_names, &uid, &value) || !name_row_decode(&no, value) ||
        no != self->schedule.no)
        TOLD(self, TABLE_names, "the schedule's uid does not lead to it");
    if (row->flags & SCHEDULE_GONE) return;
    if (!check_get(self->check, TABLE_names, &name, &value) || !name_row_decode(&no, value) ||
        no != self->schedule.no)
        TOLD(self, TABLE_names, "the schedule's name does not lead to it");
}

/* Each calendar that a schedule names knows of it. */
static void audit_calendars(subject_t *self)
{
    const Pawl__V1__Schedule *spec = self->schedule.spec;
    if (self->schedule.row.flags & SCHEDULE_GONE) return;
    for (size_t i = 0; i < spec->n_calendars; i++) {
        uint32_t no = 0;
        err_t err = answer_number(&self->answer, NAME_CALENDAR, spec->calendars[i], &no);
        rec_key_t key = key_calendar_user(no, self->schedule.no);
        if (err != ERR_OK || !check_has(self->check, TABLE_calendar, &key))
            TOLD(self, TABLE_calendar, "the calendar \"%s\" does not know of the schedule",
                 spec->calendars[i]);
    }
}

/* Each range that the header lists is there; check_range looks the other way. */
static void audit_ranges(subject_t *self)
{
    const range_list_t *list = &self->schedule.row.ranges;
    for (size_t i = 0; i < list->n; i++) {
        rec_key_t key = key_range(self->schedule.no, list->open[i]);
        if (!check_has(self->check, TABLE_range, &key))
            TOLD(self, TABLE_range, "range %u, which is not done, is missing", list->open[i]);
    }
}

/* What a scheduler is told of when it is due stands in the cursor's row: it must be what the rule
 * says. A fixed delay has `armed` for it. */
static void audit_due(subject_t *self)
{
    const scur_row_t *cursor = &self->schedule.cursor;
    const Pawl__V1__Schedule *spec = self->schedule.spec;
    revision_t revision = { 0 };
    if (!cursor->due_known || spec->after_us) return;
    if (revision_load(&self->answer, &self->schedule, cursor->revision, &revision) != ERR_OK)
        return; /* told elsewhere */
    bool over = self->schedule.row.flags & SCHEDULE_GONE ||
                (spec->max_firings && cursor->fired >= spec->max_firings);
    int64_t next = over ? 0 : revision_next(&revision, cursor->cursor_us);
    int64_t due = next ? next + cursor->jitter_us : INT64_MAX;
    if (cursor->due_us != due)
        TOLD(self, TABLE_scur, "it is due at %lld, the cursor's row says %lld", (long long)due,
             (long long)cursor->due_us);
    revision_close(&revision);
}

static void audit_schedule(check_t *check, slice_t key, uint32_t no)
{
    wire_arena_t arena;
    wire_arena_init(&arena);
    subject_t subject = { .check = check, .key = key };
    subject.answer = (answer_t){ .view = check->view, .names = names_new(), .arena = &arena };
    if (schedule_rows_get(&subject.answer, no, &subject.schedule) != ERR_OK) {
        TOLD(&subject, TABLE_sched, "definition or cursor are missing or cannot be read");
    } else {
        if (subject.schedule.row.revision != subject.schedule.cursor.revision)
            TOLD(&subject, TABLE_scur, "the cursor is of another revision");
        audit_names(&subject);
        audit_counters(&subject);
        audit_due(&subject);
        audit_calendars(&subject);
        audit_ranges(&subject);
        audit_ledger(&subject);
    }
    names_destroy(&subject.answer.names);
    wire_arena_free(&arena);
}

static void check_sched(check_t *self, slice_t key, slice_t value)
{
    sched_row_t row;
    sched_rule_row_t rule;
    if (key.len != 13 || key.at[4] > SCHED_LABELS) {
        check_problem(self, TABLE_sched, key, "the key cannot be read");
        return;
    }
    if (key.at[4] == SCHED_RULE && !sched_rule_row_decode(&rule, value))
        check_problem(self, TABLE_sched, key, "the rule cannot be read");
    if (key.at[4] != SCHED_HEADER) {
        rec_key_t header = key_sched(be_u32(key.at), SCHED_HEADER, 0);
        if (!check_has(self, TABLE_sched, &header))
            check_problem(self, TABLE_sched, key, "the schedule has no header");
        return;
    }
    if (!sched_row_decode(&row, value))
        check_problem(self, TABLE_sched, key, "the header cannot be read");
    else
        audit_schedule(self, key, be_u32(key.at));
}

static void check_scur(check_t *self, slice_t key, slice_t value)
{
    scur_row_t row;
    if (key.len != 4 || !scur_row_decode(&row, value)) {
        check_problem(self, TABLE_scur, key, "the row cannot be read");
        return;
    }
    rec_key_t header = key_sched(be_u32(key.at), SCHED_HEADER, 0);
    if (!check_has(self, TABLE_sched, &header))
        check_problem(self, TABLE_scur, key, "the schedule does not exist");
}

static void check_ledger(check_t *self, slice_t key, slice_t value)
{
    uint32_t no = 0;
    uint16_t range;
    int64_t from;
    extent_t extent;
    bool good = ledger_key_decode(key, &no, &range, &from);
    if (!good || !extent_decode(&extent, value)) {
        check_problem(self, TABLE_ledger, key, "the row cannot be read");
        return;
    }
    rec_key_t header = key_sched(no, SCHED_HEADER, 0);
    if (!check_has(self, TABLE_sched, &header))
        check_problem(self, TABLE_ledger, key, "the schedule does not exist");
}

static bool lists(const range_list_t *list, uint16_t range)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->open[i] == range) return true;
    return false;
}

static void check_range(check_t *self, slice_t key, slice_t value)
{
    uint32_t no = 0;
    uint16_t range;
    range_row_t row;
    if (!range_key_decode(key, &no, &range) || !range_row_decode(&row, value)) {
        check_problem(self, TABLE_range, key, "the row cannot be read");
        return;
    }
    rec_key_t header = key_sched(no, SCHED_HEADER, 0);
    slice_t found;
    sched_row_t schedule;
    if (!check_has(self, TABLE_sched, &header))
        check_problem(self, TABLE_range, key, "the schedule does not exist");
    if (!check_get(self, TABLE_sched, &header, &found) || !sched_row_decode(&schedule, found) ||
        !schedule.ranges.known)
        return;
    if (range > schedule.ranges.last)
        check_problem(self, TABLE_range, key, "the schedule knows of ranges up to %u only",
                      schedule.ranges.last);
    if (lists(&schedule.ranges, range) != (row.state < RANGE_DONE))
        check_problem(self, TABLE_range, key, "it is %s, and the schedule's header says otherwise",
                      range_state_text(row.state));
}

static void check_zone(check_t *self, slice_t key, slice_t value)
{
    uint16_t part = key.len == 10 ? be_u16(key.at + 8) : 0;
    rec_key_t before = key_zone(key.len == 10 ? be_u64(key.at) : 0, (uint16_t)(part - 1));
    if (key.len != 10 || value.len == 0)
        check_problem(self, TABLE_zone, key, "the row cannot be read");
    else if (part > 0 && !check_has(self, TABLE_zone, &before))
        check_problem(self, TABLE_zone, key, "the part before is missing");
}

/* A row of a calendar's entries, or one that says who uses it. */
static void check_calendar(check_t *self, slice_t key, slice_t value)
{
    uint32_t calendar = 0, schedule = 0;
    if (calendar_user_key_decode(key, &calendar, &schedule)) {
        rec_key_t header = key_sched(schedule, SCHED_HEADER, 0);
        rec_key_t name = key_kind_no(NAME_CALENDAR, calendar);
        if (!check_has(self, TABLE_sched, &header) || !check_has(self, TABLE_reg, &name))
            check_problem(self, TABLE_calendar, key, "calendar %u or schedule %u does not exist",
                          calendar, schedule);
        return;
    }
    bool good = key.len == 11 && key.at[0] == CALENDAR_PART && value.len > 0;
    uint16_t part = good ? be_u16(key.at + 9) : 0;
    rec_key_t before = key_calendar_part(good ? be_u64(key.at + 1) : 0, (uint16_t)(part - 1));
    if (!good)
        check_problem(self, TABLE_calendar, key, "the row cannot be read");
    else if (part > 0 && !check_has(self, TABLE_calendar, &before))
        check_problem(self, TABLE_calendar, key, "the part before is missing");
}

err_t check_schedules(check_t *self)
{
    ANSWER_TRY(check_each(self, TABLE_sched, check_sched));
    ANSWER_TRY(check_each(self, TABLE_scur, check_scur));
    ANSWER_TRY(check_each(self, TABLE_ledger, check_ledger));
    ANSWER_TRY(check_each(self, TABLE_range, check_range));
    ANSWER_TRY(check_each(self, TABLE_zone, check_zone));
    ANSWER_TRY(check_each(self, TABLE_calendar, check_calendar));
    return check_gates(self);
}

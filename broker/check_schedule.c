/* SPDX-License-Identifier: Apache-2.0
 * broker/check_schedule.c - schedules: their parts, their counters, and a ledger without hole or
 * overlap up to the cursor, checked against the rule itself. */
#include <stdlib.h>

#include "broker/check_inside.h"
#include "broker/query_schedule.h"

typedef struct audit {
    check_t *check;
    answer_t answer;
    schedule_rows_t schedule;
    revision_t revision;
    slice_t key; /* of the schedule's header row, for the report */
    bool any;
    extent_t last; /* the one before */
} audit_t;

#define TOLD(audit, table, ...) check_problem((audit)->check, table, (audit)->key, __VA_ARGS__)

/* ---- one extent
 * -------------------------------------------------------------------------------------- */

static bool load_revision(audit_t *self, uint64_t number)
{
    if (revision_load(&self->answer, &self->schedule, number, &self->revision) == ERR_OK)
        return true;
    TOLD(self, TABLE_sched, "rule or zone of revision %llu cannot be read",
         (unsigned long long)number);
    return false;
}

static void audit_extent(audit_t *self, const extent_t *extent)
{
    self->check->extents++;
    long long from = extent->from_us / PAWL_SEC_US, to = extent->to_us / PAWL_SEC_US;
    if (self->any && extent->from_us <= self->last.to_us)
        TOLD(self, TABLE_ledger, "the extent %lld..%lld overlaps the one before", from, to);
    if (extent->to_us > self->schedule.cursor.cursor_us)
        TOLD(self, TABLE_ledger, "the extent %lld..%lld ends behind the cursor", from, to);
    if (load_revision(self, extent->revision) && self->revision.after_us) {
        if (extent->count != 1 || extent->from_us != extent->to_us)
            TOLD(self, TABLE_ledger, "the extent %lld..%lld of a fixed delay is no single instant",
                 from, to);
    } else if (self->revision.number == extent->revision) {
        uint64_t count = revision_count(&self->revision, extent->from_us - 1, extent->to_us);
        if (count != extent->count)
            TOLD(self, TABLE_ledger, "the extent %lld..%lld has %llu instants, the rule %llu", from,
                 to, (unsigned long long)extent->count, (unsigned long long)count);
        if (revision_next(&self->revision, extent->from_us - 1) != extent->from_us)
            TOLD(self, TABLE_ledger, "the extent begins at %lld, which is no instant of the rule",
                 from);
        /* over a change of the rule the cursor may have been moved */
        if (self->any && self->last.revision == extent->revision &&
            revision_next(&self->revision, self->last.to_us) < extent->from_us)
            TOLD(self, TABLE_ledger, "instants before %lld have no verdict", from);
    }
    self->any = true;
    self->last = *extent;
}

static err_t audit_ledger(audit_t *self)
{
    rec_key_t from = key_ledger(self->schedule.no, 0, INT64_MIN);
    store_scan_t *scan = NULL;
    err_t err = store_scan_open(self->check->view, TABLE_ledger, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        uint32_t no;
        uint16_t range;
        int64_t first;
        extent_t extent;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_CORRUPT) { /* told by the pass over the table */
            err = ERR_OK;
            continue;
        }
        if (err != ERR_OK || !ledger_key_decode(key, &no, &range, &first) ||
            no != self->schedule.no || range != 0)
            break;
        if (!extent_decode(&extent, value)) continue;
        if (extent.from_us != first) TOLD(self, TABLE_ledger, "an extent stands in a wrong place");
        audit_extent(self, &extent);
    }
    store_scan_close(&scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    const scur_row_t *cursor = &self->schedule.cursor;
    if (cursor->open.count) audit_extent(self, &cursor->open);
    if (self->any && self->last.revision == cursor->revision &&
        load_revision(self, cursor->revision) &&
        revision_count(&self->revision, self->last.to_us, cursor->cursor_us) > 0)
        TOLD(self, TABLE_scur, "the cursor passed instants that have no verdict");
    return ERR_OK;
}

/* ---- one schedule
 * --------------------------------------------------------------------------------------- */

static void audit_counters(audit_t *self)
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

static void audit_names(audit_t *self)
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
static void audit_calendars(audit_t *self)
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

static void audit_schedule(check_t *check, slice_t key, uint32_t no)
{
    wire_arena_t arena;
    wire_arena_init(&arena);
    audit_t audit = { .check = check, .key = key };
    audit.answer = (answer_t){ .view = check->view, .names = names_new(), .arena = &arena };
    if (schedule_rows_get(&audit.answer, no, &audit.schedule) != ERR_OK) {
        TOLD(&audit, TABLE_sched, "definition or cursor are missing or cannot be read");
    } else {
        if (audit.schedule.row.revision != audit.schedule.cursor.revision)
            TOLD(&audit, TABLE_scur, "the cursor is of another revision");
        load_revision(&audit, audit.schedule.row.revision);
        audit_names(&audit);
        audit_counters(&audit);
        audit_calendars(&audit);
        if (audit_ledger(&audit) != ERR_OK) TOLD(&audit, TABLE_ledger, "the ledger cannot be read");
    }
    revision_close(&audit.revision);
    names_destroy(&audit.answer.names);
    wire_arena_free(&arena);
}

static void check_sched(check_t *self, slice_t key, slice_t value)
{
    sched_row_t row;
    sched_rule_row_t rule;
    if (key.len != 13 || key.at[4] > SCHED_RULE) {
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

static void check_gate(check_t *self, slice_t key, slice_t value)
{
    gate_row_t row;
    if (key.len != 16 || key.at[0] != GATE_OVERLAP || !gate_row_decode(&row, value))
        check_problem(self, TABLE_gate, key, "the row cannot be read");
    else if (row.subject != be_u32(key.at + 12) || row.waiting == 0)
        check_problem(self, TABLE_gate, key, "the gate is of schedule %u with %u waiting",
                      row.subject, row.waiting);
}

err_t check_schedules(check_t *self)
{
    ANSWER_TRY(check_each(self, TABLE_sched, check_sched));
    ANSWER_TRY(check_each(self, TABLE_scur, check_scur));
    ANSWER_TRY(check_each(self, TABLE_ledger, check_ledger));
    ANSWER_TRY(check_each(self, TABLE_zone, check_zone));
    ANSWER_TRY(check_each(self, TABLE_calendar, check_calendar));
    return check_each(self, TABLE_gate, check_gate);
}

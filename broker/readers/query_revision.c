/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_revision.c - a schedule's rows, and its rules as they were. See
 * query_revision.h. */
#include "broker/readers/query_revision.h"

#include "broker/readers/query_calendar.h"

err_t schedule_rows_get(answer_t *self, uint32_t no, schedule_rows_t *rows)
{
    *rows = (schedule_rows_t){ .no = no };
    rec_key_t key = key_sched(no, SCHED_HEADER, 0);
    slice_t value;
    ANSWER_TRY(store_view_get(self->view, TABLE_sched, key_slice(&key), &value));
    if (!sched_row_decode(&rows->row, value)) return ERR_CORRUPT;
    key = key_u32(no);
    ANSWER_TRY(store_view_get(self->view, TABLE_scur, key_slice(&key), &value));
    if (!scur_row_decode(&rows->cursor, value)) return ERR_CORRUPT;
    size_t len = rows->row.definition_len, have = 0;
    uint8_t *bytes = answer_take(self, len);
    for (uint64_t part = 0; have < len; part++) {
        key = key_sched(no, SCHED_PART, part);
        err_t err = store_view_get(self->view, TABLE_sched, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) return ERR_CORRUPT;
        if (err != ERR_OK) return err;
        if (value.len == 0 || value.len > len - have) return ERR_CORRUPT;
        memcpy(bytes + have, value.at, value.len);
        have += value.len;
    }
    rows->definition = slice(bytes, len);
    wire_fault_t fault;
    return wire_schedule_decode(self->arena, bytes, len, &rows->spec, &fault) == ERR_OK
               ? ERR_OK
               : ERR_CORRUPT;
}

static err_t zone_row(void *view, const rec_key_t *key, slice_t *value)
{
    return store_view_get(view, TABLE_zone, key_slice(key), value);
}

void revision_close(revision_t *self)
{
    ruleset_destroy(&self->rule);
    zone_cache_release(&self->zone);
    self->number = 0;
}

static err_t read_calendar(answer_t *self, uint64_t hash, calendar_t **calendar)
{
    buf_t text = { 0 };
    err_t err = calendar_entries(self, hash, &text);
    if (err == ERR_OK && calendar_parse(calendar, slice(text.at, text.len), NULL) != ERR_OK)
        err = ERR_CORRUPT;
    buf_free(&text);
    return err;
}

static err_t read_rules(answer_t *self, const sched_rule_row_t *row, slice_t name,
                        const zone_t *zone, ruleset_t **out)
{
    calendar_t *calendars[LIMIT_CALENDARS] = { NULL };
    err_t err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < row->calendars_n; i++)
        err = read_calendar(self, row->calendars[i], &calendars[i]);
    ruleset_spec_t spec = { .rule = row->rule,
                            .also = row->also,
                            .also_count = row->also_n,
                            .exclusions = row->exclusions,
                            .name = name,
                            .zone = zone,
                            .calendars = calendars,
                            .calendars_count = row->calendars_n };
    if (err == ERR_OK && ruleset_parse(out, &spec, NULL, NULL) != ERR_OK) err = ERR_CORRUPT;
    for (size_t i = 0; i < row->calendars_n; i++)
        calendar_release(&calendars[i]);
    return err;
}

err_t revision_load(answer_t *self, const schedule_rows_t *schedule, uint64_t number,
                    revision_t *revision)
{
    if (revision->number == number) return ERR_OK;
    revision_close(revision);
    rec_key_t key = key_sched(schedule->no, SCHED_RULE, number);
    slice_t value;
    sched_rule_row_t row;
    err_t err = store_view_get(self->view, TABLE_sched, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_CORRUPT;
    if (err != ERR_OK) return err;
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    err = zone_cache_use(names_zones(self->names), row.zone_hash, answer_text(self, row.zone),
                         zone_row, self->view, &revision->zone);
    if (err != ERR_OK) return err == ERR_BAD_ZONE ? ERR_CORRUPT : err;
    if (row.after_us == 0)
        err = read_rules(self, &row, schedule->row.name, revision->zone->parsed, &revision->rule);
    if (err != ERR_OK) {
        revision_close(revision);
        return err;
    }
    revision->number = number;
    revision->after_us = row.after_us;
    revision->from_us = row.from_us;
    revision->to_us = row.to_us;
    revision->begun = row.begun;
    revision->settled_us = row.settled_us;
    revision->begin_us = row.begin_us;
    return ERR_OK;
}

static int64_t seconds_of(int64_t us)
{
    return us >= 0 ? us / PAWL_SEC_US : 0;
}

/* The first instant after `after_us`; 0: none. */
int64_t revision_next(const revision_t *self, int64_t after_us)
{
    if (self->rule == NULL) return 0;
    if (after_us < self->from_us - 1) after_us = self->from_us - 1;
    int64_t next = ruleset_next(self->rule, seconds_of(after_us));
    if (next == RULE_NONE || (self->to_us && next * PAWL_SEC_US > self->to_us)) return 0;
    return next * PAWL_SEC_US;
}

uint64_t revision_count(const revision_t *self, int64_t after_us, int64_t upto_us)
{
    if (self->rule == NULL) return 0;
    if (after_us < self->from_us - 1) after_us = self->from_us - 1;
    if (self->to_us && upto_us > self->to_us) upto_us = self->to_us;
    if (upto_us <= after_us || upto_us < 0) return 0;
    return ruleset_count(self->rule, seconds_of(after_us), seconds_of(upto_us));
}

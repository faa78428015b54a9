/* SPDX-License-Identifier: Apache-2.0
 * broker/query_schedule.c - schedules as they stand, and their rules as they were. */
#include <stdlib.h>

#include "broker/query_calendar.h"
#include "broker/query_schedule.h"
#include "broker/core.h"
#include "broker/query_task.h"

/* ---- rows
 * ------------------------------------------------------------------------------------------ */

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

/* Zone data of `hash` as the store has it; owned by the names, which keep it. */
static err_t zone_of(answer_t *self, uint64_t hash, const char *name, const zone_t **zone)
{
    *zone = names_zone(self->names, hash);
    if (*zone) return ERR_OK;
    buf_t bytes = { 0 };
    zone_t *made = NULL;
    err_t err = ERR_OK;
    for (uint16_t part = 0; err == ERR_OK; part++) {
        rec_key_t key = key_zone(hash, part);
        slice_t value;
        err = store_view_get(self->view, TABLE_zone, key_slice(&key), &value);
        if (err == ERR_OK) buf_add(&bytes, value.at, value.len);
    }
    if (err == ERR_NOT_FOUND)
        err = zone_parse(&made, name, slice(bytes.at, bytes.len)) == ERR_OK ? ERR_OK : ERR_CORRUPT;
    buf_free(&bytes);
    if (err == ERR_OK) names_keep_zone(self->names, hash, made);
    *zone = made;
    return err;
}

void revision_close(revision_t *self)
{
    ruleset_destroy(&self->rule);
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
    const zone_t *zone;
    ANSWER_TRY(zone_of(self, row.zone_hash, answer_text(self, row.zone), &zone));
    if (row.after_us == 0)
        ANSWER_TRY(read_rules(self, &row, schedule->row.name, zone, &revision->rule));
    revision->number = number;
    revision->after_us = row.after_us;
    revision->from_us = row.from_us;
    revision->to_us = row.to_us;
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

/* ---- get, list
 * --------------------------------------------------------------------------------------- */

static bool has_fired_all(const schedule_rows_t *rows)
{
    return rows->spec->max_firings && rows->cursor.fired >= rows->spec->max_firings;
}

/* Would fire, but no scheduler that is connected chooses it. */
static bool is_alone(const answer_t *self, const Pawl__V1__Schedule *spec)
{
    label_t labels[LIMIT_LABELS];
    if (self->followers == NULL) return false; /* not told who is there */
    for (size_t i = 0; i < self->followers->n; i++)
        if (select_matches(&self->followers->selects[i], labels, spec_labels(spec, labels)))
            return false;
    return true;
}

static char *why_alone(answer_t *self)
{
    size_t n = self->followers->n;
    if (n == 0)
        return answer_text(self, slice_text("no scheduler is connected: start pawl-scheduler, or "
                                            "pawl up"));
    return answer_printf(self,
                         "none of the %zu scheduler%s chooses its labels: start one with a "
                         "--select that does, or one without",
                         n, n == 1 ? "" : "s");
}

static const char *state_of(const schedule_rows_t *rows, const Pawl__V1__ScheduleInfo *info)
{
    uint32_t ahead = rows->spec->ahead ? rows->spec->ahead : DEFAULT_AHEAD;
    if (rows->row.flags & SCHEDULE_GONE) return "removed";
    if (rows->row.flags & SCHEDULE_PAUSED) return "paused";
    if (info->behind > 0 && info->running + info->waiting >= ahead) return "held";
    if (info->next_us) return "active";
    /* of a fixed delay: what is open arms it when it ends */
    bool open = rows->spec->after_us && rows->cursor.armed_us <= rows->cursor.cursor_us;
    return open && !has_fired_all(rows) ? "active" : "ended";
}

/* As plan_next_us of core. */
static int64_t next_of(const schedule_rows_t *rows, const revision_t *revision)
{
    const scur_row_t *cursor = &rows->cursor;
    if (has_fired_all(rows)) return 0;
    if (revision->after_us == 0) return revision_next(revision, cursor->cursor_us);
    bool armed = cursor->armed_us > cursor->cursor_us &&
                 (revision->to_us == 0 || cursor->armed_us <= revision->to_us);
    return armed ? cursor->armed_us : 0;
}

static err_t fill(answer_t *self, const schedule_rows_t *rows, bool whole,
                  Pawl__V1__ScheduleInfo **out)
{
    revision_t revision = { 0 };
    err_t err = revision_load(self, rows, rows->row.revision, &revision);
    if (err != ERR_OK) return err;
    Pawl__V1__ScheduleInfo *info = answer_take(self, sizeof *info);
    pawl__v1__schedule_info__init(info);
    const scur_row_t *cursor = &rows->cursor;
    const Pawl__V1__Schedule *spec = rows->spec;
    int64_t jitter = 0;
    if (spec->jitter_us > 0)
        jitter = (int64_t)(hash64(rows->row.uid, 16) % (uint64_t)spec->jitter_us);
    bool gone = rows->row.flags & SCHEDULE_GONE;
    int64_t next = gone ? 0 : next_of(rows, &revision);
    info->name = answer_text(self, rows->row.name);
    info->uid = answer_bytes(self, slice(rows->row.uid, 16));
    info->revision = rows->row.revision;
    info->rule = spec->rule;
    info->zone = spec->zone;
    info->mode = spec->mode;
    info->overlap = spec->overlap;
    info->exclusions = spec->exclusions;
    info->after_us = spec->after_us;
    info->also = spec->also;
    info->n_also = spec->n_also;
    info->calendars = spec->calendars;
    info->n_calendars = spec->n_calendars;
    info->max_firings = spec->max_firings;
    info->jitter_us = jitter;
    info->next_us = next ? next + jitter : 0;
    info->last_us = cursor->last_fired_us;
    info->cursor_us = cursor->cursor_us;
    if (next && revision.after_us)
        info->behind = next <= self->wall_us;
    else if (next)
        info->behind = revision_count(&revision, cursor->cursor_us, self->wall_us);
    info->missed = cursor->missed;
    info->fired = cursor->fired;
    info->running = cursor->running;
    info->waiting = cursor->waiting;
    info->reason = answer_text(self, rows->row.reason);
    info->created_us = rows->row.created_wall_us;
    info->removed = gone;
    info->n_labels = spec->n_labels;
    info->labels = spec->labels;
    info->state = answer_text(self, slice_text(state_of(rows, info)));
    if ((strcmp(info->state, "active") == 0 || strcmp(info->state, "held") == 0) &&
        is_alone(self, spec)) {
        info->state = answer_text(self, slice_text("no scheduler"));
        info->reason = why_alone(self);
    }
    if (rows->row.flags & SCHEDULE_RANGES) ANSWER_TRY(schedule_ranges(self, rows, info));
    if (whole) info->schedule = answer_bytes(self, rows->definition);
    *out = info;
    revision_close(&revision);
    return ERR_OK;
}

static Pawl__V1__ScheduleItems *schedule_items(answer_t *self, size_t room, Pawl__V1__Reply *reply)
{
    Pawl__V1__ScheduleItems *items = answer_take(self, sizeof *items);
    pawl__v1__schedule_items__init(items);
    items->items = answer_take(self, room * sizeof *items->items);
    reply->schedules = items;
    reply->body_case = PAWL__V1__REPLY__BODY_SCHEDULES;
    return items;
}

static void refuse_unknown(answer_t *self, Pawl__V1__Reply *reply, const char *field,
                           const char *name)
{
    answer_refuse(self, reply, ERR_NOT_FOUND, field, "there is no schedule \"%s\"", name);
}

err_t query_schedule_get(answer_t *self, const Pawl__V1__ScheduleGet *ask, Pawl__V1__Reply *reply)
{
    uint32_t no;
    schedule_rows_t rows;
    meta_dynamic_t meta;
    ANSWER_TRY(answer_meta(self, &meta));
    err_t err = answer_number(self, NAME_SCHEDULE, ask->name, &no);
    if (err == ERR_NOT_FOUND) {
        refuse_unknown(self, reply, "schedule_get.name", ask->name);
        return ERR_OK;
    }
    if (err != ERR_OK) return err;
    ANSWER_TRY(schedule_rows_get(self, no, &rows));
    Pawl__V1__ScheduleItems *items = schedule_items(self, 1, reply);
    items->seq = meta.next_seq;
    ANSWER_TRY(fill(self, &rows, true, &items->items[0]));
    items->n_items = 1;
    return ERR_OK;
}

static bool text_matches(const schedule_rows_t *rows, const char *name, const char *text)
{
    return text[0] == '\0' || strcasestr(name, text) || strcasestr(rows->spec->rule, text) ||
           strcasestr(rows->spec->title, text);
}

/* Schedule `no` to the end of the page when it matches. */
static err_t consider(answer_t *self, uint32_t no, const char *text, const select_t *select,
                      Pawl__V1__ScheduleItems *items, char **name)
{
    schedule_rows_t rows;
    ANSWER_TRY(schedule_rows_get(self, no, &rows));
    *name = answer_text(self, rows.row.name);
    label_t labels[LIMIT_LABELS];
    if (rows.row.flags & SCHEDULE_GONE || !text_matches(&rows, *name, text) ||
        !select_matches(select, labels, spec_labels(rows.spec, labels)))
        return ERR_OK;
    ANSWER_TRY(fill(self, &rows, false, &items->items[items->n_items]));
    items->n_items++;
    return ERR_OK;
}

err_t query_schedule_list(answer_t *self, const Pawl__V1__ScheduleList *ask, Pawl__V1__Reply *reply)
{
    uint32_t limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    int64_t begun = answer_now(self);
    meta_dynamic_t meta;
    select_t select;
    const char *why;
    size_t column;
    if (!select_parse(&select, ask->select, &why, &column)) {
        answer_refuse(self, reply, ERR_BAD_VALUE, "schedule_list.select", "at column %zu: %s",
                      column, why);
        return ERR_OK;
    }
    ANSWER_TRY(answer_meta(self, &meta));
    Pawl__V1__ScheduleItems *items = schedule_items(self, limit, reply);
    items->seq = meta.next_seq;
    rec_key_t from = key_name(NAME_SCHEDULE, slice_text(ask->after));
    if (ask->after[0]) from.at[from.len++] = 0; /* strictly behind it */
    store_scan_t *scan = NULL;
    char *last = items->next;
    err_t err = store_scan_open(self->view, TABLE_names, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        uint32_t no;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK || key.len == 0 || key.at[0] != NAME_SCHEDULE) break;
        if (items->n_items == limit || self->arena->total > ANSWER_PAGE_BYTES ||
            (last[0] && answer_page_over(self, begun))) {
            items->next = last;
            break;
        }
        if (name_row_decode(&no, value))
            err = consider(self, no, ask->text, &select, items, &last);
        else
            err = ERR_CORRUPT;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_schedule.c - schedules as they stand. */
#include "broker/readers/query_schedule.h"

#include <stdlib.h>

#include "broker/core/core.h"
#include "broker/core/told.h"
#include "broker/readers/query_task.h"

/* ---- get, list ------------------------------------------------------------------------------- */

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
    const Pawl__V1__Schedule *spec = rows->spec;
    schedule_info_fill(&rows->row, &rows->cursor, spec, info);
    int64_t jitter = schedule_jitter_us(rows->row.uid, spec->jitter_us);
    int64_t next = info->removed ? 0 : next_of(rows, &revision);
    info->name = answer_text(self, rows->row.name);
    info->uid = answer_bytes(self, slice(rows->row.uid, 16));
    info->jitter_us = jitter;
    info->next_us = next ? next + jitter : 0;
    if (next && revision.after_us)
        info->behind = next <= self->wall_us;
    else if (next)
        info->behind = revision_count(&revision, info->cursor_us, self->wall_us);
    info->reason = answer_text(self, rows->row.reason);
    info->state = answer_text(self, slice_text(state_of(rows, info)));
    if ((strcmp(info->state, "active") == 0 || strcmp(info->state, "held") == 0) &&
        is_alone(self, spec)) {
        info->state = answer_text(self, slice_text("no scheduler"));
        info->reason = why_alone(self);
    }
    revision_close(&revision);
    if (!rows->row.ranges.known || rows->row.ranges.n)
        ANSWER_TRY(schedule_ranges(self, rows, info));
    if (whole) /* in the arena, as all of it */
        info->schedule = (ProtobufCBinaryData){ rows->definition.len,
                                                (uint8_t *)(uintptr_t)rows->definition.at };
    *out = info;
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
static err_t consider(answer_t *self, uint32_t no, const Pawl__V1__ScheduleList *ask,
                      const select_t *select, Pawl__V1__ScheduleItems *items, char **name)
{
    schedule_rows_t rows;
    ANSWER_TRY(schedule_rows_get(self, no, &rows));
    *name = answer_text(self, rows.row.name);
    label_t labels[LIMIT_LABELS];
    if (rows.row.flags & SCHEDULE_GONE || !text_matches(&rows, *name, ask->text) ||
        !select_matches(select, labels, spec_labels(rows.spec, labels)))
        return ERR_OK;
    ANSWER_TRY(fill(self, &rows, ask->whole, &items->items[items->n_items]));
    items->n_items++;
    return ERR_OK;
}

/* Those that are asked for by name. */
static err_t named_page(answer_t *self, const Pawl__V1__ScheduleList *ask, const select_t *select,
                        uint32_t limit, Pawl__V1__ScheduleItems *items)
{
    int64_t begun = answer_now(self);
    for (size_t i = 0; i < ask->n_names; i++) {
        uint32_t no;
        char *name;
        bool full = items->n_items == limit || self->arena->total > ANSWER_PAGE_BYTES;
        if (full || (i > 0 && answer_page_over(self, begun))) {
            items->next = i > 0 ? ask->names[i - 1] : items->next;
            return ERR_OK;
        }
        err_t err = answer_number(self, NAME_SCHEDULE, ask->names[i], &no);
        if (err == ERR_NOT_FOUND) continue;
        ANSWER_TRY(err);
        ANSWER_TRY(consider(self, no, ask, select, items, &name));
    }
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
    if (ask->n_names) return named_page(self, ask, &select, limit, items);
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
            err = consider(self, no, ask, &select, items, &last);
        else
            err = ERR_CORRUPT;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

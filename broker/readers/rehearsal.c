/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/rehearsal.h"

#include <stdlib.h>

#include "broker/readers/query_calendar.h"

enum {
    BEFORE_LEAST = 8, /* instants played before the outage */
    BEFORE_MOST = 200,
    EXTENTS_READ = 10000,
    COUNTED_MOST = 200000, /* steps of a count (ruleset_count_steps): 0.4 ms, some 200 times */
};
#define BEHIND_US (60 * PAWL_SEC_US) /* later than that is not the way of a live schedule */

static void note(rehearsal_t *self, const char *text)
{
    enum { NOTES = 8 };
    Pawl__V1__Rehearsal *told = self->told;
    if (told->notes == NULL) told->notes = answer_take(self->answer, NOTES * sizeof *told->notes);
    CHECK(told->n_notes < NOTES);
    told->notes[told->n_notes++] = answer_text(self->answer, slice_text(text));
}

/* ---- what is played -------------------------------------------------------------------------- */

/* Its runs do nothing but last: where they run, and what, is left away. */
static err_t plain_task(rehearsal_t *self, const char **type)
{
    const Pawl__V1__Task *task;
    Pawl__V1__Task plain = PAWL__V1__TASK__INIT;
    wire_fault_t fault;
    if (wire_task_decode(self->answer->arena, self->spec.task.data, self->spec.task.len, &task,
                         &fault) != ERR_OK)
        return ERR_CORRUPT;
    if (task->fanout) note(self, "a fan-out is taken for one run");
    plain.type = task->type;
    plain.queue = task->queue;
    uint8_t *bytes = answer_take(self->answer, pawl__v1__task__get_packed_size(&plain));
    self->spec.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&plain, bytes), bytes };
    *type = task->type;
    return ERR_OK;
}

static err_t find(rehearsal_t *self, Pawl__V1__Reply *reply)
{
    const Pawl__V1__SchedulePut *put = self->ask->put;
    const char *name = put ? put->schedule->name : self->ask->name;
    uint32_t no;
    err_t err = answer_number(self->answer, NAME_SCHEDULE, name, &no);
    self->on_record = err == ERR_OK;
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (self->on_record) ANSWER_TRY(schedule_rows_get(self->answer, no, &self->rows));
    if (!put && !self->on_record) {
        answer_refuse(self->answer, reply, ERR_NOT_FOUND, "rehearse.name",
                      "there is no schedule \"%s\"", name);
        return ERR_OK;
    }
    self->spec = put ? *put->schedule : *self->rows.spec;
    if (self->spec.zone[0] == '\0') self->spec.zone = (char *)(uintptr_t) "UTC";
    return ERR_OK;
}

/* The hash that a name of this kind stands for; 0: none. */
static err_t hash_of(answer_t *answer, enum name_kind kind, const char *name, uint64_t *hash)
{
    uint32_t no;
    slice_t value;
    reg_row_t row;
    *hash = 0;
    err_t err = answer_number(answer, kind, name, &no);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    rec_key_t key = key_kind_no((uint8_t)kind, no);
    ANSWER_TRY(store_view_get(answer->view, TABLE_reg, key_slice(&key), &value));
    if (!reg_row_decode(&row, value)) return ERR_CORRUPT;
    *hash = row.value;
    return ERR_OK;
}

static err_t zone_bytes(answer_t *answer, uint64_t hash, buf_t *bytes)
{
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_zone(hash, part);
        slice_t value;
        err_t err = store_view_get(answer->view, TABLE_zone, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        ANSWER_TRY(err);
        buf_add(bytes, value.at, value.len);
    }
}

static err_t take_zone(rehearsal_t *self)
{
    buf_t bytes = { 0 };
    uint64_t hash = 0;
    err_t err = ERR_OK;
    if (self->answer->zone.len)
        return stage_zone(&self->stage, self->spec.zone, self->answer->zone);
    if (!self->ask->put) {
        rec_key_t key = key_sched(self->rows.no, SCHED_RULE, self->rows.row.revision);
        slice_t value;
        sched_rule_row_t row;
        ANSWER_TRY(store_view_get(self->answer->view, TABLE_sched, key_slice(&key), &value));
        if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
        hash = row.zone_hash;
    } else {
        ANSWER_TRY(hash_of(self->answer, NAME_ZONE, self->spec.zone, &hash));
    }
    if (hash) err = zone_bytes(self->answer, hash, &bytes);
    if (err == ERR_OK && bytes.len)
        err = stage_zone(&self->stage, self->spec.zone, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return err;
}

/* One that is not there is left to core, which says so. */
static err_t take_calendars(rehearsal_t *self)
{
    for (size_t i = 0; i < self->spec.n_calendars; i++) {
        buf_t text = { 0 };
        uint64_t hash;
        const Pawl__V1__Error *error = NULL;
        ANSWER_TRY(hash_of(self->answer, NAME_CALENDAR, self->spec.calendars[i], &hash));
        if (hash == 0) continue;
        err_t err = calendar_entries(self->answer, hash, &text);
        if (err == ERR_OK)
            err = stage_calendar(&self->stage, self->spec.calendars[i], slice(text.at, text.len),
                                 &error);
        buf_free(&text);
        ANSWER_TRY(err);
        if (error) return ERR_CORRUPT;
    }
    return ERR_OK;
}

/* ---- since when it is played ----------------------------------------------------------------- */

/* Some instants before the outage, and so far back that what runs when it begins is played too. */
static int64_t begin_of(const rehearsal_t *self)
{
    int64_t from = self->ask->down_from_us, takes = self->stage.takes_us, at = from;
    if (self->revision.rule == NULL)
        at = from - BEFORE_LEAST * (self->revision.after_us + takes + PAWL_SEC_US);
    for (unsigned n = 0; self->revision.rule && n < BEFORE_MOST; n++) {
        int64_t last = ruleset_prev(self->revision.rule, (at + PAWL_SEC_US - 1) / PAWL_SEC_US);
        if (last == RULE_NONE || last * PAWL_SEC_US < self->revision.from_us) break;
        at = last * PAWL_SEC_US;
        if (n >= BEFORE_LEAST && at + self->spec.jitter_us + 2 * takes < from) break;
    }
    return at > 2 * PAWL_SEC_US ? at - PAWL_SEC_US : PAWL_SEC_US; /* no instant lies before 1970 */
}

/* How often it has fired up to `upto_us`: what is on record behind that does not count, what is due
 * before it does. */
static err_t fired_until(rehearsal_t *self, int64_t upto_us, uint64_t *fired)
{
    rec_key_t from = key_ledger(self->rows.no, 0, upto_us);
    store_scan_t *scan = NULL;
    slice_t key, value;
    extent_t extent = self->rows.cursor.open;
    uint32_t no;
    uint16_t range;
    int64_t first;
    uint64_t since = 0, all = self->rows.cursor.fired;
    err_t err = store_scan_open(self->answer->view, TABLE_ledger, key_slice(&from), false, &scan);
    for (unsigned i = 0; err == ERR_OK && i < EXTENTS_READ; i++) {
        if (extent.count && extent.verdict == VERDICT_FIRED && extent.from_us > upto_us)
            since += extent.count;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK) break;
        if (!ledger_key_decode(key, &no, &range, &first) || no != self->rows.no || range) break;
        if (!extent_decode(&extent, value)) err = ERR_CORRUPT;
    }
    store_scan_close(&scan);
    *fired = all > since ? all - since : 0;
    *fired += revision_count(&self->revision, self->rows.cursor.cursor_us, upto_us);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static bool is_behind(const rehearsal_t *self)
{
    int64_t next = revision_next(&self->revision, self->rows.cursor.cursor_us);
    return next && next + self->spec.jitter_us + BEHIND_US < self->answer->wall_us;
}

/* Before an outage that lies ahead a schedule that is behind, or has ranges, is played from where
 * and when it stands: else instants would be decided on the line of time that are behind it. */
static err_t find_begin(rehearsal_t *self)
{
    const scur_row_t *cursor = &self->rows.cursor;
    uint16_t no = 0;
    range_row_t range;
    int64_t made = self->on_record ? self->rows.row.created_wall_us : INT64_MAX;
    self->begin_us = begin_of(self);
    if (made < self->ask->down_from_us && made > self->begin_us) self->begin_us = made;
    self->cursor_us = self->begin_us / PAWL_SEC_US * PAWL_SEC_US;
    if (!self->on_record || self->spec.after_us || self->ask->down_from_us < self->answer->wall_us)
        return ERR_OK;
    err_t err = schedule_range_open(self->answer, &self->rows, &no, &range);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    self->as_now = err == ERR_OK || is_behind(self);
    if (!self->as_now) return ERR_OK;
    self->begin_us = self->answer->wall_us;
    self->cursor_us = cursor->cursor_us;
    if (cursor->running + cursor->waiting)
        note(self, "its tasks that are open now are taken as done");
    return ERR_OK;
}

/* ---- rows on the stage that no request makes ------------------------------------------------- */

static err_t put_row(store_t *store, table_t table, const rec_key_t *key, buf_t *row)
{
    err_t err = store_put(store, table, key_slice(key), slice(row->at, row->len), 0);
    row->len = 0;
    return err;
}

/* The zone data and calendars that a rule was read with. */
static err_t copy_parts(rehearsal_t *self, const sched_rule_row_t *row)
{
    store_t *store = self->stage.store;
    for (size_t i = 0; i <= row->calendars_n; i++)
        for (uint16_t part = 0;; part++) {
            rec_key_t key =
                i ? key_calendar_part(row->calendars[i - 1], part) : key_zone(row->zone_hash, part);
            table_t table = i ? TABLE_calendar : TABLE_zone;
            slice_t value;
            err_t err = store_view_get(self->answer->view, table, key_slice(&key), &value);
            if (err == ERR_NOT_FOUND) break;
            ANSWER_TRY(err);
            ANSWER_TRY(store_put(store, table, key_slice(&key), value, 0));
        }
    return ERR_OK;
}

static err_t copy_rule(rehearsal_t *self, uint64_t revision)
{
    rec_key_t key = key_sched(self->rows.no, SCHED_RULE, revision);
    rec_key_t there = key_sched(STAGE_NO, SCHED_RULE, revision);
    slice_t value;
    sched_rule_row_t row;
    ANSWER_TRY(store_view_get(self->answer->view, TABLE_sched, key_slice(&key), &value));
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    ANSWER_TRY(store_put(self->stage.store, TABLE_sched, key_slice(&there), value, 0));
    return copy_parts(self, &row);
}

/* Its ranges that are not done; what they were in the past is not known. */
static err_t copy_ranges(rehearsal_t *self, uint64_t present)
{
    uint16_t no = 0;
    range_row_t row;
    buf_t bytes = { 0 };
    err_t err = ERR_OK;
    while (err == ERR_OK &&
           (err = schedule_range_open(self->answer, &self->rows, &no, &row)) == ERR_OK) {
        rec_key_t key = key_range(STAGE_NO, no);
        range_row_encode(&row, &bytes);
        err = put_row(self->stage.store, TABLE_range, &key, &bytes);
        if (err == ERR_OK && row.revision != present) err = copy_rule(self, row.revision);
    }
    buf_free(&bytes);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The rule that was just put moves from the first revision to its own, and makes room for the rule
 * of a range that is older. */
static err_t move_rule(store_t *store, buf_t *bytes, uint64_t revision)
{
    rec_key_t key = key_sched(STAGE_NO, SCHED_RULE, 1);
    slice_t value;
    ANSWER_TRY(store_get(store, TABLE_sched, key_slice(&key), &value));
    buf_add(bytes, value.at, value.len);
    key = key_sched(STAGE_NO, SCHED_RULE, revision);
    return put_row(store, TABLE_sched, &key, bytes);
}

/* What a fresh schedule has not: uid (jitter follows from it), revision, pause, ranges. */
static err_t dress_header(rehearsal_t *self, buf_t *bytes, uint64_t *revision)
{
    store_t *store = self->stage.store;
    rec_key_t key = key_sched(STAGE_NO, SCHED_HEADER, 0);
    slice_t value;
    sched_row_t row;
    ANSWER_TRY(store_get(store, TABLE_sched, key_slice(&key), &value));
    if (!sched_row_decode(&row, value)) return ERR_CORRUPT;
    row.name = slice(mem_copy(row.name.at, row.name.len), row.name.len);
    row.reason = slice(NULL, 0);
    rec_key_t uid = key_name(NAME_UID, slice(row.uid, 16));
    err_t err = store_del(store, TABLE_names, key_slice(&uid));
    memcpy(row.uid, self->rows.row.uid, 16);
    uid = key_name(NAME_UID, slice(row.uid, 16));
    name_row_encode(STAGE_NO, bytes);
    if (err == ERR_OK) err = put_row(store, TABLE_names, &uid, bytes);
    /* a definition that is put over one on record would be its next revision */
    *revision = row.revision = self->rows.row.revision + (self->ask->put != NULL);
    row.flags = self->rows.row.flags & SCHEDULE_PAUSED;
    if (err == ERR_OK) err = move_rule(store, bytes, row.revision);
    if (self->as_now) {
        if (err == ERR_OK) err = copy_ranges(self, row.revision);
        row.flags |= self->rows.row.flags & SCHEDULE_RANGES;
        row.ranges = self->rows.row.ranges;
    }
    sched_row_encode(&row, bytes);
    if (err == ERR_OK) err = put_row(store, TABLE_sched, &key, bytes);
    free((void *)(uintptr_t)row.name.at);
    return err;
}

/* The cursor moves to where the play begins. */
static err_t dress_cursor(rehearsal_t *self, buf_t *bytes, uint64_t revision)
{
    store_t *store = self->stage.store;
    rec_key_t key = key_u32(STAGE_NO);
    slice_t value;
    scur_row_t row;
    ANSWER_TRY(store_get(store, TABLE_scur, key_slice(&key), &value));
    if (!scur_row_decode(&row, value)) return ERR_CORRUPT;
    row.revision = revision;
    row.cursor_us = self->cursor_us;
    row.due_known = false;
    if (self->spec.after_us) row.armed_us = self->cursor_us + PAWL_SEC_US;
    if (self->on_record && self->spec.max_firings)
        ANSWER_TRY(fired_until(self, self->cursor_us, &row.fired));
    scur_row_encode(&row, bytes);
    return put_row(store, TABLE_scur, &key, bytes);
}

static err_t dress(rehearsal_t *self)
{
    buf_t bytes = { 0 };
    uint64_t revision = 1;
    ANSWER_TRY(store_begin(self->stage.store));
    err_t err = self->on_record ? dress_header(self, &bytes, &revision) : ERR_OK;
    if (err == ERR_OK) err = dress_cursor(self, &bytes, revision);
    buf_free(&bytes);
    if (err == ERR_OK) return store_commit(self->stage.store);
    store_abort(self->stage.store);
    return err;
}

/* ---- the stage is set ------------------------------------------------------------------------ */

err_t rehearsal_look(rehearsal_t *self)
{
    if (self->seen.view) store_view_close(&self->seen.view);
    return store_view_open(self->stage.store, &self->seen.view);
}

/* Rules of elapsed time beside others are counted by the kinds of days that they make (ruleset.h).
 * Where these are many, a long outage, or all that one is behind, would keep everybody waiting. */
static bool takes_too_long(rehearsal_t *self, Pawl__V1__Reply *reply)
{
    const ruleset_t *rules = self->revision.rule;
    int64_t from = self->ask->down_from_us;
    if (self->cursor_us < from) from = self->cursor_us;
    int64_t days = (self->ask->down_to_us - from) / (86400 * PAWL_SEC_US) + 1;
    uint64_t steps = rules ? ruleset_count_steps(rules, days) : 0;
    if (steps <= COUNTED_MOST) return false;
    answer_refuse(
        self->answer, reply, ERR_TOO_LARGE, "rehearse.down_to_us",
        "its rules of elapsed time together make so many kinds of days that a count takes "
        "%llu steps, at most %d are taken: choose a shorter outage, or one that is not "
        "ahead of a backlog",
        (unsigned long long)steps, COUNTED_MOST);
    return true;
}

static err_t set_stage(rehearsal_t *self, Pawl__V1__Reply *reply)
{
    const char *type;
    const Pawl__V1__Error *error;
    schedule_rows_t rows;
    ANSWER_TRY(plain_task(self, &type));
    ANSWER_TRY(stage_open(&self->stage, type, self->ask->down_from_us));
    self->stage.takes_us = self->ask->takes_us ? self->ask->takes_us : PAWL_SEC_US;
    self->stage.down_from_us = self->ask->down_from_us;
    self->stage.down_to_us = self->ask->down_to_us;
    ANSWER_TRY(take_zone(self));
    ANSWER_TRY(take_calendars(self));
    ANSWER_TRY(stage_put(&self->stage, &self->spec, &error));
    if (error) {
        answer_refuse(self->answer, reply, (err_t)error->code, error->field, "%s", error->text);
        return ERR_OK;
    }
    self->seen = (answer_t){ .names = names_new(), .arena = self->answer->arena };
    ANSWER_TRY(rehearsal_look(self));
    ANSWER_TRY(schedule_rows_get(&self->seen, STAGE_NO, &rows));
    ANSWER_TRY(revision_load(&self->seen, &rows, 1, &self->revision));
    ANSWER_TRY(find_begin(self));
    if (takes_too_long(self, reply)) return ERR_OK;
    stage_halt(&self->stage);
    ANSWER_TRY(dress(self));
    return stage_go_on(&self->stage, self->begin_us);
}

static void take_notes(rehearsal_t *self)
{
    if (self->on_record && self->rows.row.flags & SCHEDULE_PAUSED)
        note(self, "it is paused: nothing is decided until it is resumed");
    if (self->spec.overlap_scope > PAWL__V1__SCOPE__SCOPE_SCHEDULE)
        note(self, "what counts together with it is taken as idle");
    if (self->spec.jitter_us && !self->on_record)
        note(self, "its jitter follows from its uid, which it gets when it is made");
}

err_t rehearsal_open(rehearsal_t *self, Pawl__V1__Reply *reply)
{
    err_t err = find(self, reply);
    if (err == ERR_OK && reply->error == NULL) err = set_stage(self, reply);
    if (err == ERR_OK && reply->error == NULL) take_notes(self);
    return err;
}

void rehearsal_close(rehearsal_t *self)
{
    revision_close(&self->revision);
    if (self->seen.view) store_view_close(&self->seen.view);
    names_destroy(&self->seen.names);
    stage_close(&self->stage);
}

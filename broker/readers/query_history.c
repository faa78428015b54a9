/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_history.c - what became of each instant of a schedule, oldest first.
 *
 * The ledger holds extents: spans of instants of one verdict under one revision of the rule. They
 * are spread out here with that revision's own rule and zone data, so history reads the same after
 * an edit and after an update of the zone files. Ids of tasks are derived, not stored. The live
 * line of time and each range have extents of their own, which are merged by instant. */
#include <stdlib.h>

#include "broker/readers/query_schedule.h"
#include "broker/readers/query_task.h"

enum { HISTORY_MAX = 10000, HISTORY_DEFAULT = 1000 };

/* The live line of time (range 0) or one range, at the next of its instants. */
typedef struct course {
    uint16_t range;
    enum cause cause;
    revision_t revision;
    extent_t open, extent; /* not yet in the ledger; the one that `next_us` lies in */
    bool open_first;       /* a range that begins with the newest */
    int64_t from_us;       /* where to look for the extent behind */
    int64_t next_us;       /* INT64_MAX: that was all */
} course_t;

typedef struct history {
    answer_t *answer;
    schedule_rows_t schedule;
    uint8_t secret[32];
    course_t *courses;
    size_t courses_n;
    Pawl__V1__HistoryItems *items;
    uint32_t limit;
    bool missed_only;
    int64_t from_us, to_us; /* both included */
    int64_t begun_us;
    uint64_t blocker_n; /* the last one that was looked up, and its id */
    ProtobufCBinaryData blocker;
} history_t;

err_t extent_blocker(answer_t *self, const extent_t *extent, spec_row_t *spec)
{
    slice_t value;
    bool has = extent->verdict == VERDICT_SKIPPED && extent->reason == VERDICT_REASON_OVERLAP;
    if (!has || extent->aux == 0) return ERR_NOT_FOUND;
    *spec = (spec_row_t){ 0 };
    err_t err = spec_row_get(self->view, extent->aux, spec);
    if (err != ERR_NOT_FOUND) return err;
    rec_key_t key = key_part(extent->aux, PART_TOMBSTONE, 0, 0);
    ANSWER_TRY(store_view_get(self->view, TABLE_part, key_slice(&key), &value));
    if (value.len != sizeof spec->id) return ERR_CORRUPT;
    memcpy(spec->id, value.at, sizeof spec->id);
    return ERR_OK;
}

/* Instants in a row have the same one: it is looked up once. */
static err_t add_blocker(history_t *self, const extent_t *extent, Pawl__V1__HistoryItem *item)
{
    spec_row_t spec;
    if (extent->reason != VERDICT_REASON_OVERLAP || extent->aux == 0) return ERR_OK;
    if (extent->aux != self->blocker_n) {
        err_t err = extent_blocker(self->answer, extent, &spec);
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
        self->blocker_n = extent->aux;
        self->blocker = (ProtobufCBinaryData){ 0, NULL };
        if (err == ERR_OK)
            self->blocker = answer_bytes(self->answer, slice(spec.id, sizeof spec.id));
    }
    item->blocker = self->blocker;
    return ERR_OK;
}

static err_t add_item(history_t *self, const course_t *course)
{
    answer_t *answer = self->answer;
    const extent_t *extent = &course->extent;
    int64_t instant_us = course->next_us;
    Pawl__V1__HistoryItem *item = answer_take(answer, sizeof *item);
    pawl__v1__history_item__init(item);
    item->instant_us = instant_us;
    item->verdict = (char *)(uintptr_t)verdict_text(extent->verdict);
    item->reason = (char *)(uintptr_t)verdict_reason_text(extent->reason);
    item->revision = extent->revision;
    item->range = course->range;
    /* only the first and the last decision are on record; in between each instant's own time is
     * the nearest guess, as exact as the proposals were punctual */
    item->decided_us = instant_us == extent->from_us ? extent->decided_first_us
                       : instant_us >= extent->decided_last_us || instant_us == extent->to_us
                           ? extent->decided_last_us
                       : instant_us < extent->decided_first_us ? extent->decided_first_us
                                                               : instant_us;
    if (extent->verdict == VERDICT_FIRED || extent->verdict == VERDICT_FOLDED) {
        uint8_t id[16];
        int64_t into = extent->verdict == VERDICT_FIRED ? instant_us : (int64_t)extent->aux;
        firing_id(self->secret, self->schedule.row.uid, into, (uint8_t)course->cause,
                  course->cause == CAUSE_BACKFILL ? course->range : 0, id);
        item->task = answer_bytes(answer, slice(id, 16));
    }
    self->items->items[self->items->n_items++] = item;
    return add_blocker(self, extent, item);
}

/* ---- one course ------------------------------------------------------------------------------ */

/* The extent that begins at or after course->from_us. ERR_NOT_FOUND: there is none. */
static err_t next_extent(history_t *self, course_t *course)
{
    if (course->open_first && course->open.count) {
        course->extent = course->open;
        course->open.count = 0;
        return ERR_OK;
    }
    rec_key_t from = key_ledger(self->schedule.no, course->range, course->from_us);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t no = 0;
    uint16_t range = 0;
    int64_t first;
    err_t err = store_scan_open(self->answer->view, TABLE_ledger, key_slice(&from), false, &scan);
    if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && !ledger_key_decode(key, &no, &range, &first)) err = ERR_CORRUPT;
    if (err == ERR_OK && (no != self->schedule.no || range != course->range)) err = ERR_NOT_FOUND;
    if (err == ERR_OK && !extent_decode(&course->extent, value)) err = ERR_CORRUPT;
    store_scan_close(&scan);
    if (err == ERR_NOT_FOUND && course->open.count) {
        course->extent = course->open;
        course->open.count = 0;
        return ERR_OK;
    }
    if (err == ERR_OK) course->from_us = course->extent.from_us + 1;
    return err;
}

static bool wanted(const history_t *self, const extent_t *extent)
{
    if (extent->to_us < self->from_us) return false;
    return !self->missed_only || extent->verdict != VERDICT_FIRED;
}

/* To the next instant that was asked for: behind `after_us`, or the first one. */
static err_t advance(history_t *self, course_t *course, int64_t after_us)
{
    bool within = course->extent.count > 0 && after_us < course->extent.to_us;
    while (!within) {
        err_t err = next_extent(self, course);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && course->extent.from_us > self->to_us)) {
            course->next_us = INT64_MAX;
            return ERR_OK;
        }
        ANSWER_TRY(err);
        within = wanted(self, &course->extent);
        after_us = self->from_us - 1;
    }
    int64_t next = course->extent.from_us;
    if (after_us >= next) {
        ANSWER_TRY(revision_load(self->answer, &self->schedule, course->extent.revision,
                                 &course->revision));
        next = revision_next(&course->revision, after_us);
    } else if (course->extent.count > 1) {
        ANSWER_TRY(revision_load(self->answer, &self->schedule, course->extent.revision,
                                 &course->revision));
    }
    course->next_us =
        next && next <= self->to_us && next <= course->extent.to_us ? next : INT64_MAX;
    return ERR_OK;
}

/* The extent that begins before from_us may reach into it. */
static err_t open_course(history_t *self, course_t *course)
{
    rec_key_t from = key_ledger(self->schedule.no, course->range, self->from_us);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t no;
    uint16_t range;
    int64_t first;
    course->from_us = self->from_us;
    ANSWER_TRY(store_scan_open(self->answer->view, TABLE_ledger, key_slice(&from), true, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && ledger_key_decode(key, &no, &range, &first) && no == self->schedule.no &&
        range == course->range)
        course->from_us = first;
    store_scan_close(&scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    return advance(self, course, self->from_us - 1);
}

static err_t open_courses(history_t *self)
{
    size_t room = 1;
    uint16_t no = 0;
    range_row_t row;
    bool ranges = (self->schedule.row.flags & SCHEDULE_RANGES) != 0;
    err_t err = ranges ? ERR_OK : ERR_NOT_FOUND;
    while (err == ERR_OK &&
           (err = schedule_range_next(self->answer, self->schedule.no, &no, &row)) == ERR_OK)
        room++;
    if (err != ERR_NOT_FOUND) return err;
    self->courses = answer_take(self->answer, room * sizeof *self->courses);
    self->courses[self->courses_n++] =
        (course_t){ .cause = CAUSE_LIVE, .open = self->schedule.cursor.open };
    for (no = 0; ranges && self->courses_n < room;) {
        ANSWER_TRY(schedule_range_next(self->answer, self->schedule.no, &no, &row));
        if (row.to_us < self->from_us || row.from_us > self->to_us) {
            room--;
            continue;
        }
        self->courses[self->courses_n++] =
            (course_t){ .range = no,
                        .cause = (enum cause)row.cause,
                        .open = row.open,
                        .open_first = (row.flags & RANGE_NEWEST) != 0 };
    }
    for (size_t i = 0; i < self->courses_n; i++)
        ANSWER_TRY(open_course(self, &self->courses[i]));
    return ERR_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static course_t *first_course(const history_t *self)
{
    course_t *first = &self->courses[0];
    for (size_t i = 1; i < self->courses_n; i++)
        if (self->courses[i].next_us < first->next_us) first = &self->courses[i];
    return first;
}

static bool page_is_full(const history_t *self)
{
    size_t n = self->items->n_items;
    return n >= self->limit || self->answer->arena->total > ANSWER_PAGE_BYTES ||
           (n % 256 == 255 && answer_page_over(self->answer, self->begun_us));
}

/* A page ends between two instants: those of several ranges at the same one stay together. */
static err_t spread(history_t *self)
{
    for (int64_t last = INT64_MIN;;) {
        course_t *course = first_course(self);
        if (course->next_us == INT64_MAX) return ERR_OK;
        if (course->next_us != last && page_is_full(self)) {
            self->items->next_us = last;
            return ERR_OK;
        }
        if (self->items->n_items == self->limit + self->courses_n) return ERR_CORRUPT;
        ANSWER_TRY(add_item(self, course));
        last = course->next_us;
        ANSWER_TRY(advance(self, course, last));
    }
}

err_t query_schedule_history(answer_t *self, const Pawl__V1__ScheduleHistory *ask,
                             Pawl__V1__Reply *reply)
{
    uint32_t no;
    slice_t value;
    err_t err = schedule_asked(self, ask->name, ask->uid, "schedule_history.name", reply, &no);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    history_t history = { .answer = self,
                          .limit = ask->limit ? ask->limit : HISTORY_DEFAULT,
                          .missed_only = ask->missed_only,
                          .from_us = ask->from_us,
                          .to_us = ask->to_us ? ask->to_us : INT64_MAX,
                          .begun_us = answer_now(self) };
    if (history.limit > HISTORY_MAX) history.limit = HISTORY_MAX;
    if (ask->after_us && ask->after_us >= history.from_us) history.from_us = ask->after_us + 1;
    ANSWER_TRY(schedule_rows_get(self, no, &history.schedule));
    meta_static_t fixed;
    rec_key_t key = key_u8(META_STATIC);
    ANSWER_TRY(store_view_get(self->view, TABLE_meta, key_slice(&key), &value));
    if (!meta_static_decode(&fixed, value)) return ERR_CORRUPT;
    memcpy(history.secret, fixed.secret, sizeof fixed.secret);
    Pawl__V1__HistoryItems *items = answer_take(self, sizeof *items);
    pawl__v1__history_items__init(items);
    history.items = items;
    reply->history = items;
    reply->body_case = PAWL__V1__REPLY__BODY_HISTORY;
    err = open_courses(&history);
    if (err == ERR_OK) {
        size_t room = history.limit + history.courses_n;
        items->items = answer_take(self, room * sizeof *items->items);
        err = spread(&history);
    }
    for (size_t i = 0; i < history.courses_n; i++)
        revision_close(&history.courses[i].revision);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Ids are remembered so long whatever becomes of their tasks. */
#define ID_KEPT_US (INT64_C(86400) * PAWL_SEC_US)

/* One line of time: the live one, or a range's. */
typedef struct course {
    uint16_t range;
    const range_row_t *row; /* NULL: the live line */
    extent_t open;
    bool open_first, any;
    extent_t last; /* the one before */
    int64_t from_us;
    uint64_t fired, skipped;
} course_t;

typedef struct ranges {
    struct {
        uint16_t no;
        range_row_t row;
    } * at;
    size_t n, live_at; /* the first that the live line has not passed */
} ranges_t;

static void PRINTF_LIKE(3, 4) problem(const audit_t *self, table_t table, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    self->on_problem(self->arg, table, text);
}

static long long seconds(int64_t us)
{
    return us / PAWL_SEC_US;
}

static const char *of_range(const audit_t *self, uint16_t range)
{
    return range ? answer_printf(self->answer, "range %u: ", range) : "";
}

static bool load_revision(audit_t *self, uint64_t number)
{
    if (revision_load(self->answer, self->schedule, number, &self->revision) == ERR_OK) return true;
    problem(self, TABLE_sched, "rule or zone of revision %llu cannot be read",
            (unsigned long long)number);
    return false;
}

/* ---- one span -------------------------------------------------------------------------------- */

/* The first instant behind `after` and before `before` that no span and no range has; 0: none. */
static int64_t hole_us(const audit_t *self, const ranges_t *ranges, int64_t after, int64_t before)
{
    int64_t instant = revision_next(&self->revision, after);
    for (size_t i = ranges->live_at; i < ranges->n && instant && instant < before; i++) {
        const range_row_t *row = &ranges->at[i].row;
        if (row->cause == CAUSE_LIVE && row->from_us < instant && instant <= row->to_us)
            instant = revision_next(&self->revision, row->to_us);
    }
    return instant && instant < before ? instant : 0;
}

/* What was split off lies where the live line has nothing. Both are in the order of time. */
static void check_split(audit_t *self, ranges_t *ranges, const extent_t *extent)
{
    while (ranges->live_at < ranges->n && (ranges->at[ranges->live_at].row.cause != CAUSE_LIVE ||
                                           ranges->at[ranges->live_at].row.to_us < extent->from_us))
        ranges->live_at++;
    if (ranges->live_at == ranges->n) return;
    const range_row_t *row = &ranges->at[ranges->live_at].row;
    if (row->from_us < extent->from_us && row->to_us >= extent->from_us)
        problem(self, TABLE_ledger, "the instant %lld has a verdict, and range %u has it too",
                seconds(extent->from_us), ranges->at[ranges->live_at].no);
    else if (row->from_us < extent->to_us &&
             revision_count(&self->revision, row->from_us,
                            row->to_us < extent->to_us ? row->to_us : extent->to_us) > 0)
        problem(self, TABLE_ledger, "instants of %lld..%lld are in range %u too",
                seconds(extent->from_us), seconds(extent->to_us), ranges->at[ranges->live_at].no);
}

static void check_place(audit_t *self, const course_t *course, const ranges_t *ranges,
                        const extent_t *extent)
{
    const char *of = of_range(self, course->range);
    long long from = seconds(extent->from_us), to = seconds(extent->to_us);
    if (course->any && extent->from_us <= course->last.to_us)
        problem(self, TABLE_ledger, "%sthe extent %lld..%lld overlaps the one before", of, from,
                to);
    if (self->revision.after_us) {
        if (extent->count != 1 || extent->from_us != extent->to_us)
            problem(self, TABLE_ledger,
                    "%sthe extent %lld..%lld of a fixed delay is no single instant", of, from, to);
        return;
    }
    uint64_t count = revision_count(&self->revision, extent->from_us - 1, extent->to_us);
    if (count != extent->count)
        problem(self, TABLE_ledger, "%sthe extent %lld..%lld has %llu instants, the rule %llu", of,
                from, to, (unsigned long long)extent->count, (unsigned long long)count);
    if (revision_next(&self->revision, extent->from_us - 1) != extent->from_us)
        problem(self, TABLE_ledger, "%sthe extent begins at %lld, which is no instant of the rule",
                of, from);
    static const ranges_t none;
    /* over a change of the rule the cursor may have been moved */
    if (course->any && course->last.revision == extent->revision &&
        hole_us(self, course->row ? &none : ranges, course->last.to_us, extent->from_us))
        problem(self, TABLE_ledger, "%sinstants before %lld have no verdict", of, from);
}

/* Between the last span of one revision and the first of a later one: each revision on the way
 * answers for its instants from its first cursor to that of the next. Where one is no longer kept,
 * or is of an age that did not say since when it holds, nothing is said. */
static void check_seam(audit_t *self, const ranges_t *ranges, const extent_t *last, uint64_t later,
                       int64_t before_us)
{
    int64_t from_us = last->to_us;
    for (uint64_t number = last->revision; number <= later; number++) {
        revision_t next = { 0 };
        int64_t upto_us = before_us, begin_us = 0;
        if (number < later) {
            err_t err = revision_load(self->answer, self->schedule, number + 1, &next);
            bool begun = err == ERR_OK && next.begun;
            upto_us = next.settled_us + 1;
            begin_us = next.begin_us;
            revision_close(&next);
            if (!begun) return;
        }
        if (!load_revision(self, number)) return;
        int64_t hole = self->revision.after_us ? 0 : hole_us(self, ranges, from_us, upto_us);
        if (hole)
            problem(self, TABLE_ledger,
                    "instants of revision %llu from %lld on, before %lld, have no verdict",
                    (unsigned long long)number, seconds(hole), seconds(upto_us));
        from_us = begin_us;
    }
}

static err_t check_tasks_of(audit_t *self, const course_t *course, audit_span_t *span)
{
    const extent_t *extent = &span->extent;
    if (!self->tasks || extent->verdict != VERDICT_FIRED) return ERR_OK;
    enum cause cause = course->row ? (enum cause)course->row->cause : CAUSE_LIVE;
    bool kept = extent->decided_last_us + ID_KEPT_US > self->answer->wall_us;
    for (int64_t instant = extent->from_us; instant && instant <= extent->to_us;
         instant = instant == extent->to_us ? 0 : revision_next(&self->revision, instant)) {
        uint8_t id[16], kind;
        uint64_t n;
        firing_id(self->secret, self->schedule->row.uid, instant, (uint8_t)cause,
                  cause == CAUSE_BACKFILL ? course->range : 0, id);
        err_t err = task_number(self->answer->view, id, &n, &kind);
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
        if (err == ERR_OK && kind == ID_TASK)
            span->tasks++;
        else
            span->gone++;
        if (err == ERR_NOT_FOUND && kept)
            problem(self, TABLE_ledger, "%sthe instant %lld fired, and its task is not on record",
                    of_range(self, course->range), seconds(instant));
    }
    return ERR_OK;
}

static err_t take_span(audit_t *self, course_t *course, ranges_t *ranges, const extent_t *extent)
{
    audit_span_t span = { .range = course->range, .extent = *extent };
    bool asked = extent->to_us >= self->from_us && extent->from_us <= self->to_us;
    *(extent->verdict == VERDICT_FIRED ? &course->fired : &course->skipped) += extent->count;
    if (asked && self->seen++ >= self->after && load_revision(self, extent->revision)) {
        if (course->any && course->row == NULL && course->last.revision < extent->revision)
            check_seam(self, ranges, &course->last, extent->revision, extent->from_us);
        check_place(self, course, ranges, extent);
        if (course->row == NULL) check_split(self, ranges, extent);
        ANSWER_TRY(check_tasks_of(self, course, &span));
        self->stopped = self->on_span && !self->on_span(self->arg, &span);
    }
    course->any = true;
    course->last = *extent;
    return ERR_OK;
}

/* ---- one line of time ------------------------------------------------------------------------ */

/* The next span of it, in the order of time. ERR_NOT_FOUND: that was all. */
static err_t next_span(audit_t *self, course_t *course, extent_t *extent)
{
    if (!course->open_first || course->open.count == 0) {
        rec_key_t from = key_ledger(self->schedule->no, course->range, course->from_us);
        store_scan_t *scan = NULL;
        slice_t key = { 0 }, value = { 0 };
        uint32_t no = 0;
        uint16_t range = 0;
        int64_t first;
        err_t err =
            store_scan_open(self->answer->view, TABLE_ledger, key_slice(&from), false, &scan);
        if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
        bool ours = err == ERR_OK && ledger_key_decode(key, &no, &range, &first) &&
                    no == self->schedule->no && range == course->range;
        bool good = ours && extent_decode(extent, value);
        store_scan_close(&scan);
        if (ours && !good) return ERR_CORRUPT;
        if (ours && extent->from_us != first)
            problem(self, TABLE_ledger, "an extent stands in a wrong place");
        if (ours) course->from_us = first + 1;
        if (ours || (err != ERR_OK && err != ERR_NOT_FOUND)) return err;
    }
    *extent = course->open;
    course->open.count = 0;
    return extent->count ? ERR_OK : ERR_NOT_FOUND;
}

static err_t walk(audit_t *self, course_t *course, ranges_t *ranges)
{
    extent_t extent;
    err_t err = ERR_OK;
    while (!self->stopped && (err = next_span(self, course, &extent)) == ERR_OK)
        ANSWER_TRY(take_span(self, course, ranges, &extent));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static err_t walk_live(audit_t *self, ranges_t *ranges)
{
    const scur_row_t *cursor = &self->schedule->cursor;
    course_t course = { .open = cursor->open, .from_us = INT64_MIN };
    if (!load_revision(self, cursor->revision)) return ERR_OK;
    ANSWER_TRY(walk(self, &course, ranges));
    if (self->stopped || !course.any) return ERR_OK;
    if (course.last.to_us > cursor->cursor_us)
        problem(self, TABLE_ledger, "the extent %lld..%lld ends behind the cursor",
                seconds(course.last.from_us), seconds(course.last.to_us));
    else if (course.last.revision == cursor->revision && load_revision(self, cursor->revision) &&
             hole_us(self, ranges, course.last.to_us, cursor->cursor_us + 1))
        problem(self, TABLE_scur, "the cursor passed instants that have no verdict");
    else if (course.last.revision < cursor->revision)
        check_seam(self, ranges, &course.last, cursor->revision, cursor->cursor_us + 1);
    return ERR_OK;
}

/* A range has decided what lies outside (low, high], in one piece, and nothing else. */
static err_t walk_range(audit_t *self, uint16_t no, const range_row_t *row)
{
    bool newest = (row->flags & RANGE_NEWEST) != 0;
    int64_t after = newest ? row->high_us : row->from_us, upto = newest ? row->to_us : row->low_us;
    course_t course = {
        .range = no, .row = row, .open = row->open, .open_first = newest, .from_us = INT64_MIN
    };
    if (row->state == RANGE_DONE) upto = row->to_us, after = row->from_us;
    ranges_t none = { 0 };
    if (!load_revision(self, row->revision)) return ERR_OK;
    int64_t first = revision_next(&self->revision, after);
    ANSWER_TRY(walk(self, &course, &none));
    if (self->stopped || (!course.any && row->ended_wall_us)) return ERR_OK; /* no longer kept */
    if (!load_revision(self, row->revision)) return ERR_OK;
    if (course.fired != row->fired || course.skipped != row->skipped)
        problem(self, TABLE_range, "range %u: %llu fired and %llu skipped, its row says %llu, %llu",
                no, (unsigned long long)course.fired, (unsigned long long)course.skipped,
                (unsigned long long)row->fired, (unsigned long long)row->skipped);
    uint64_t due = first ? revision_count(&self->revision, after, upto) : 0;
    if (course.fired + course.skipped != due ||
        (course.any && (course.last.to_us > upto || course.last.revision != row->revision)))
        problem(self, TABLE_range,
                "range %u: its ends tell of %llu instants, its ledger of %llu up to %lld", no,
                (unsigned long long)due, (unsigned long long)course.fired + course.skipped,
                seconds(course.last.to_us));
    return ERR_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

static err_t load_ranges(audit_t *self, ranges_t *ranges)
{
    uint16_t no = 0;
    range_row_t row;
    if (!(self->schedule->row.flags & SCHEDULE_RANGES)) return ERR_OK;
    err_t err;
    while ((err = schedule_range_next(self->answer, self->schedule->no, &no, &row)) == ERR_OK) {
        ranges->at = mem_grow(ranges->at, (ranges->n + 1) * sizeof *ranges->at);
        ranges->at[ranges->n].no = no;
        ranges->at[ranges->n++].row = row;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t audit_run(audit_t *self)
{
    ranges_t ranges = { 0 };
    rec_key_t key = key_u8(META_STATIC);
    slice_t value;
    meta_static_t fixed;
    err_t err = store_view_get(self->answer->view, TABLE_meta, key_slice(&key), &value);
    if (err == ERR_OK && !meta_static_decode(&fixed, value)) err = ERR_CORRUPT;
    if (err == ERR_OK) memcpy(self->secret, fixed.secret, sizeof fixed.secret);
    if (err == ERR_OK) err = load_ranges(self, &ranges);
    if (err == ERR_OK) err = walk_live(self, &ranges);
    for (size_t i = 0; err == ERR_OK && !self->stopped && i < ranges.n; i++)
        err = walk_range(self, ranges.at[i].no, &ranges.at[i].row);
    free(ranges.at);
    revision_close(&self->revision);
    return err;
}

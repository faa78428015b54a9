/* SPDX-License-Identifier: Apache-2.0
 * range.c - spans of instants beside a schedule's own line of time: a backfill that somebody asked
 * for, or a backlog that was split off. One row each, however many instants lie in it: tasks are
 * made as `ahead` and `rate` allow, from one end, and schedulers propose for it as for a cursor.
 *
 * A range keeps the revision it was made under; its tasks are made from the template as it is. Rows
 * stay as long as their ledger does, and the newest of a schedule for good, so that no number, and
 * with it no id of a backfill's task, comes again. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* ---- rows ------------------------------------------------------------------------------------ */

static void range_free(range_t *range)
{
    line_free(&range->line);
    free(range);
}

void ranges_free(plan_t *plan)
{
    for (range_t *next; plan->ranges; plan->ranges = next) {
        next = plan->ranges->next;
        range_free(plan->ranges);
    }
}

bool range_is_live(const range_t *range)
{
    return range->row.state < RANGE_DONE;
}

int64_t range_cursor_us(const range_t *range)
{
    return range->row.flags & RANGE_NEWEST ? range->row.high_us : range->row.low_us;
}

size_t ranges_live(const plan_t *plan)
{
    size_t n = 0;
    for (const range_t *range = plan->ranges; range; range = range->next)
        n += range_is_live(range);
    return n;
}

static range_t *keep(core_t *core, plan_t *plan, uint16_t no, const range_row_t *row)
{
    range_t *range = mem_new(sizeof *range);
    range->no = no;
    range->row = *row;
    range->rate_at_us = core->now_us;
    range_t **at = &plan->ranges;
    while (*at && (*at)->no < no)
        at = &(*at)->next;
    range->next = *at;
    *at = range;
    return range;
}

static err_t load_one(core_t *core, plan_t *plan, uint16_t no)
{
    rec_key_t key = key_range(plan->no, no);
    slice_t value;
    range_row_t row;
    err_t err = store_get(core->store, TABLE_range, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_CORRUPT;
    TRY(err);
    if (!range_row_decode(&row, value) || row.state >= RANGE_DONE) return ERR_CORRUPT;
    keep(core, plan, no, &row);
    return ERR_OK;
}

/* Of a version that did not keep a list of them: all rows are looked at, this once. */
static err_t load_unlisted(core_t *core, plan_t *plan)
{
    for (uint16_t after = 0; after < UINT16_MAX;) {
        rec_key_t from = key_range(plan->no, (uint16_t)(after + 1));
        slice_t key, value;
        uint32_t no;
        range_row_t row;
        err_t err = store_seek(core->store, TABLE_range, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (!range_key_decode(key, &no, &after)) return ERR_CORRUPT;
        if (no != plan->no) return ERR_OK;
        if (!range_row_decode(&row, value)) return ERR_CORRUPT;
        plan->row.ranges.last = after;
        if (row.state < RANGE_DONE) keep(core, plan, after, &row);
    }
    return ERR_OK;
}

/* As the header is to say. */
static void list(plan_t *plan)
{
    range_list_t *list = &plan->row.ranges;
    list->known = true;
    list->n = 0;
    for (const range_t *range = plan->ranges; range; range = range->next)
        if (range_is_live(range)) list->open[list->n++] = range->no;
}

err_t ranges_load(core_t *core, plan_t *plan)
{
    const range_list_t *ranges = &plan->row.ranges;
    for (size_t i = 0; ranges->known && i < ranges->n; i++)
        TRY(load_one(core, plan, ranges->open[i]));
    if (ranges->known) return ERR_OK;
    TRY(load_unlisted(core, plan));
    list(plan);
    return ERR_OK;
}

err_t range_find(core_t *core, plan_t *plan, uint16_t no, range_t **out)
{
    *out = NULL;
    for (range_t *range = plan->ranges; range; range = range->next)
        if (range->no == no) *out = range;
    if (*out || !(plan->row.flags & SCHEDULE_RANGES)) return ERR_OK;
    rec_key_t key = key_range(plan->no, no);
    slice_t value;
    range_row_t row;
    err_t err = store_get(core->store, TABLE_range, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!range_row_decode(&row, value)) return ERR_CORRUPT;
    *out = keep(core, plan, no, &row);
    return ERR_OK;
}

err_t range_line(core_t *core, plan_t *plan, range_t *range)
{
    if (range->line.zone) return ERR_OK;
    return line_load(core, plan->no, plan->row.uid, plan->row.name, range->row.revision,
                     &range->line);
}

/* At the end of a batch: rows that changed are written, those that are done leave memory. */
err_t ranges_flush(core_t *core, plan_t *plan)
{
    if (plan->ranges_changed) {
        plan->ranges_changed = false;
        list(plan);
        TRY(plan_save(core, plan));
    }
    for (range_t **at = &plan->ranges, *range; (range = *at) != NULL;) {
        if (range->dirty) {
            range->dirty = false;
            core->scratch.len = 0;
            range_row_encode(&range->row, &core->scratch);
            rec_key_t key = key_range(plan->no, range->no);
            TRY(put_scratch(core, TABLE_range, &key, 0));
        }
        if (range_is_live(range)) {
            at = &range->next;
        } else {
            *at = range->next;
            range_free(range);
        }
    }
    return ERR_OK;
}

/* ---- made, ended ----------------------------------------------------------------------------- */

bool range_fits(const plan_t *plan)
{
    return ranges_live(plan) < LIMIT_RANGES && plan->row.ranges.last < UINT16_MAX;
}

err_t range_make(core_t *core, plan_t *plan, const range_row_t *wanted, range_t **out)
{
    CHECK(range_fits(plan));
    /* what the live line decides next does not adjoin what it decided last */
    if (wanted->cause == CAUSE_LIVE) {
        TRY(ledger_close(core, plan, NULL));
        plan->cur_dirty = true;
    }
    range_row_t row = *wanted;
    row.state = RANGE_OPEN;
    row.revision = plan->line.revision;
    row.low_us = row.from_us;
    row.high_us = row.to_us;
    row.made_wall_us = core->wall_us;
    *out = keep(core, plan, ++plan->row.ranges.last, &row);
    (*out)->dirty = true;
    plan->tell = true;
    TRY(range_line(core, plan, *out));
    plan->row.flags |= SCHEDULE_RANGES;
    plan->ranges_changed = true;
    return journal_add(core, EVENT_RANGE_MADE, plan->no, (*out)->no,
                       line_count(&(*out)->line, row.from_us, row.to_us));
}

err_t range_end(core_t *core, plan_t *plan, range_t *range, enum range_state state)
{
    TRY(ledger_close(core, plan, range));
    range->row.state = (uint8_t)state;
    range->row.ended_wall_us = core->wall_us;
    range->dirty = true;
    plan->ranges_changed = true;
    plan->tell = true;
    return journal_add(core, state == RANGE_DONE ? EVENT_RANGE_DONE : EVENT_RANGE_CANCELLED,
                       plan->no, range->no, range->row.fired);
}

err_t range_cancel(core_t *core, plan_t *plan, range_t *range, enum verdict_reason reason)
{
    const range_row_t *row = &range->row;
    TRY(range_line(core, plan, range));
    extent_t rest = { .from_us = line_next_us(&range->line, row->low_us),
                      .to_us = line_last_us(&range->line, row->low_us, row->high_us),
                      .count = line_count(&range->line, row->low_us, row->high_us),
                      .verdict = VERDICT_SKIPPED,
                      .reason = (uint8_t)reason };
    if (rest.count) TRY(ledger_add(core, plan, range, &rest));
    return range_end(core, plan, range, RANGE_CANCELLED);
}

static err_t set_state(core_t *core, plan_t *plan, range_t *range, enum range_state state)
{
    range->row.state = (uint8_t)state;
    range->held = false;
    range->dirty = true;
    plan->tell = true;
    return journal_add(core, state == RANGE_OPEN ? EVENT_RANGE_RESUMED : EVENT_RANGE_PAUSED,
                       plan->no, range->no, 0);
}

err_t range_task_ended(core_t *core, plan_t *plan, const task_t *task, status_t status)
{
    range_t *range;
    if (task->spec.range == 0 || status != S(FAILED)) return ERR_OK;
    TRY(range_find(core, plan, task->spec.range, &range));
    if (range == NULL) return ERR_OK; /* its time to be kept is over */
    range->row.failed++;
    range->dirty = true;
    if (range->row.state != RANGE_OPEN || !(range->row.flags & RANGE_STOP)) return ERR_OK;
    return set_state(core, plan, range, RANGE_STOPPED);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static bool backfill_refused(core_t *core, const plan_t *plan, const range_row_t *row,
                             Pawl__V1__Reply *reply)
{
    if (plan->spec->after_us)
        refuse(core, reply, ERR_CONTRADICTION, "name",
               "a fixed delay has no instants of its own: nothing can be filled in");
    else if (row->to_us <= row->from_us)
        refuse(core, reply, ERR_BAD_VALUE, "to_us", "the span is empty: it ends before it begins");
    else if (line_count(&plan->line, row->from_us, row->to_us) == 0)
        refuse(core, reply, ERR_NO_INSTANT, "from_us",
               "the rule has no instant in this span: see `pawl schedule preview`");
    else if (!range_fits(plan))
        refuse(core, reply, ERR_TOO_MANY, "name",
               "%zu of its ranges are not done, the limit is %d: wait for one, or cancel one",
               ranges_live(plan), LIMIT_RANGES);
    if (reply->error) return true;
    space_cost_t cost = space_cost(SPACE_SCHEDULE, 0, core->space.page_bytes);
    return !space_or_refuse(core, &cost, "a backfill", reply);
}

static err_t backfill(core_t *core, plan_t *plan, const Pawl__V1__ScheduleChange *change,
                      Pawl__V1__Reply *reply, range_t **range)
{
    bool newest = change->order == PAWL__V1__ORDER__ORDER_NEWEST;
    range_row_t row = { .cause = CAUSE_BACKFILL,
                        .flags = (uint8_t)((newest ? RANGE_NEWEST : 0) |
                                           (change->stop ? RANGE_STOP : 0)),
                        .overlap = (uint8_t)change->overlap,
                        .rate = change->rate,
                        .from_us = change->from_us - 1, /* as asked: from <= instant < to */
                        .to_us = change->to_us - 1 };
    if (backfill_refused(core, plan, &row, reply)) return ERR_OK;
    return range_make(core, plan, &row, range);
}

static bool state_fits(core_t *core, const range_t *range, Pawl__V1__ScheduleVerb verb,
                       Pawl__V1__Reply *reply)
{
    bool open = range->row.state == RANGE_OPEN, live = range_is_live(range);
    bool fits = verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_PAUSE    ? open
                : verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_RESUME ? live && !open
                                                                         : live;
    if (!fits)
        refuse(core, reply, ERR_WRONG_STATUS, "range", "the range %u is %s", range->no,
               range_state_text(range->row.state));
    return fits;
}

err_t range_change(core_t *core, plan_t *plan, const Pawl__V1__ScheduleChange *change,
                   Pawl__V1__Reply *reply, uint16_t *no)
{
    range_t *range = NULL;
    if (change->verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL) {
        TRY(backfill(core, plan, change, reply, &range));
        if (range) *no = range->no;
        return ERR_OK;
    }
    if (change->range <= UINT16_MAX) TRY(range_find(core, plan, (uint16_t)change->range, &range));
    if (range == NULL) {
        refuse(core, reply, ERR_NOT_FOUND, "range",
               "\"%s\" has no range %u: see `pawl schedule range list %s --all`", change->name,
               change->range, change->name);
        return ERR_OK;
    }
    *no = range->no;
    if (!state_fits(core, range, change->verb, reply)) return ERR_OK;
    switch (change->verb) {
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_PAUSE:
        return set_state(core, plan, range, RANGE_PAUSED);
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_RESUME:
        return set_state(core, plan, range, RANGE_OPEN);
    default:
        return range_cancel(core, plan, range, VERDICT_REASON_CANCELLED);
    }
}

/* ---- told to schedulers ---------------------------------------------------------------------- */

void range_infos(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info)
{
    size_t n = ranges_live(plan);
    if (n == 0) return;
    info->ranges = batch_alloc(core, n * sizeof *info->ranges);
    for (const range_t *range = plan->ranges; range; range = range->next) {
        if (!range_is_live(range)) continue;
        Pawl__V1__RangeInfo *one = batch_alloc(core, sizeof *one);
        range_info_fill(&range->row, range->no, one);
        if (range->line.rule)
            one->left = line_count(&range->line, range->row.low_us, range->row.high_us);
        info->ranges[info->n_ranges++] = one;
    }
}

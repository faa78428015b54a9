/* SPDX-License-Identifier: Apache-2.0
 * ledger.c - what became of each instant, as extents of one verdict. The newest extent is kept open
 * in the row of the cursor, so a plain firing rewrites one row besides its task's. */
#include "broker/core/inside.h"

#define DAY_US (86400 * PAWL_SEC_US)

static bool may_grow(const extent_t *open, const extent_t *next)
{
    return open->count && open->verdict == next->verdict && open->reason == next->reason &&
           open->revision == next->revision && open->zone_hash == next->zone_hash &&
           open->aux == next->aux && open->count < 4096 &&
           open->from_us / DAY_US == next->from_us / DAY_US;
}

err_t ledger_close(core_t *core, plan_t *plan, range_t *range)
{
    extent_t *open = range ? &range->row.open : &plan->cur.open;
    if (open->count == 0) return ERR_OK;
    core->scratch.len = 0;
    extent_encode(open, &core->scratch);
    rec_key_t key = key_ledger(plan->no, range ? range->no : 0, open->from_us);
    *open = (extent_t){ 0 };
    return put_scratch(core, TABLE_ledger, &key, 0);
}

/* The cursor of a range is its low end, or the high one when it begins with the newest. */
static void move_range(range_t *range, const extent_t *next)
{
    range_row_t *row = &range->row;
    CHECK(next->from_us > row->low_us && next->to_us <= row->high_us);
    if (row->flags & RANGE_NEWEST)
        row->high_us = next->from_us - 1;
    else
        row->low_us = next->to_us;
    if (next->verdict == VERDICT_FIRED)
        row->fired += next->count;
    else
        row->skipped += next->count;
    range->dirty = true;
}

err_t ledger_add(core_t *core, plan_t *plan, range_t *range, const extent_t *extent)
{
    extent_t next = *extent, *open = range ? &range->row.open : &plan->cur.open;
    const line_t *line = range ? &range->line : &plan->line;
    bool backwards = range && range->row.flags & RANGE_NEWEST;
    next.revision = line->revision;
    next.zone_hash = line->zone_hash;
    next.decided_first_us = next.decided_last_us = core->wall_us;
    CHECK(open->count == 0 ||
          (backwards ? next.to_us < open->from_us : next.from_us > open->to_us));
    /* of a fixed delay no rule could tell the instants between */
    if (!plan->spec->after_us && may_grow(open, &next)) {
        if (backwards)
            open->from_us = next.from_us;
        else
            open->to_us = next.to_us;
        open->count += next.count;
        open->decided_last_us = core->wall_us;
    } else {
        TRY(ledger_close(core, plan, range));
        *open = next;
    }
    if (range) {
        move_range(range, &next);
    } else {
        CHECK(next.to_us > plan->cur.cursor_us);
        plan->cur.cursor_us = next.to_us;
        if (plan->cur.zone_us <= next.to_us) plan->cur.zone_us = 0;
        plan->cur_dirty = true;
    }
    if (next.verdict != VERDICT_SKIPPED) return ERR_OK;
    if (next.reason == VERDICT_REASON_LATE || next.reason == VERDICT_REASON_WINDOW) {
        plan->cur.missed += next.count;
        plan->cur_dirty = true;
    }
    return journal_add(core, EVENT_SCHEDULE_SKIPPED, plan->no, range ? range->no : 0, next.count);
}

err_t ledger_skip(core_t *core, plan_t *plan, int64_t last_us, enum verdict_reason reason,
                  uint64_t aux)
{
    int64_t first = plan_next_us(plan, plan->cur.cursor_us);
    if (first > last_us) return ERR_OK;
    extent_t extent = { .from_us = first,
                        .to_us = last_us,
                        .count = plan_count(plan, plan->cur.cursor_us, last_us),
                        .verdict = VERDICT_SKIPPED,
                        .reason = (uint8_t)reason,
                        .aux = aux };
    return ledger_add(core, plan, NULL, &extent);
}

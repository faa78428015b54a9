/* SPDX-License-Identifier: Apache-2.0
 * ledger.c - what became of each instant, as extents of one verdict. The newest extent is kept open
 * in the row of the cursor, so a plain firing rewrites one row besides its task's. */
#include "broker/inside.h"

#define DAY_US (86400 * PAWL_SEC_US)

static bool may_grow(const extent_t *open, const extent_t *next)
{
    return open->count && open->verdict == next->verdict && open->reason == next->reason &&
           open->revision == next->revision && open->zone_hash == next->zone_hash &&
           open->aux == next->aux && open->count < 4096 &&
           open->from_us / DAY_US == next->from_us / DAY_US;
}

err_t ledger_add(core_t *core, plan_t *plan, const extent_t *extent)
{
    extent_t next = *extent, *open = &plan->cur.open;
    next.revision = plan->row.revision;
    next.zone_hash = plan->zone_hash;
    next.decided_first_us = next.decided_last_us = core->wall_us;
    CHECK(open->count == 0 || next.from_us > open->to_us);
    /* of a fixed delay no rule could tell the instants between */
    if (!plan->spec->after_us && may_grow(open, &next)) {
        open->to_us = next.to_us;
        open->count += next.count;
        open->decided_last_us = core->wall_us;
    } else {
        if (open->count) {
            core->scratch.len = 0;
            extent_encode(open, &core->scratch);
            rec_key_t key = key_ledger(plan->no, 0, open->from_us);
            TRY(put_scratch(core, TABLE_ledger, &key, 0));
        }
        *open = next;
    }
    CHECK(next.to_us > plan->cur.cursor_us);
    plan->cur.cursor_us = next.to_us;
    plan->cur_dirty = true;
    if (next.verdict == VERDICT_SKIPPED) {
        if (next.reason == VERDICT_REASON_LATE || next.reason == VERDICT_REASON_WINDOW)
            plan->cur.missed += next.count;
        TRY(journal_add(core, EVENT_SCHEDULE_SKIPPED, plan->no, 0, next.count));
    }
    return ERR_OK;
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
    return ledger_add(core, plan, &extent);
}

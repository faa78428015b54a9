/* SPDX-License-Identifier: Apache-2.0
 * What may be forgotten, and not a moment before: ids, remembered replies, tasks that have ended.
 *
 * Two clocks decide, and the model keeps both: the calendar of the batch, which jumps, and broker
 * time, which never goes back: it begins where the store left off or at the calendar, whichever is
 * later, and goes on with the machine. A task may go when its time to keep is over by the calendar,
 * or earlier where a small store lets history give way and says so; its id stays for a day after it
 * was accepted, counted by the calendar until the task goes and by broker time from then on; an id
 * that another task answered for, and a remembered reply, stay for a day of broker time. */
#include "tests/sim/judge.h"

#include <stdlib.h>

#define DAY_US (INT64_C(86400) * SEC_US)

/* ---- a table of what is known by 16 bytes ---------------------------------------------------- */

known_t *known_at(known_table_t *self, const uint8_t id[16])
{
    if ((self->n + 1) * 2 > self->room) {
        known_t *old = self->at;
        size_t room = self->room;
        self->room = room ? room * 2 : 1024;
        self->at = mem_new(self->room * sizeof *self->at);
        self->n = 0;
        for (size_t i = 0; i < room; i++)
            if (old[i].used) *known_at(self, old[i].id) = old[i];
        free(old);
    }
    size_t at = (size_t)((be_u64(id) ^ be_u64(id + 8)) * UINT64_C(0x9E3779B97F4A7C15) >> 20);
    for (;; at++) {
        known_t *known = &self->at[at & (self->room - 1)];
        if (!known->used) {
            known->used = true;
            memcpy(known->id, id, 16);
            self->n++;
        }
        if (memcmp(known->id, id, 16) == 0) return known;
    }
}

bool judge_forgot(const sim_t *sim, const uint8_t id[16])
{
    return known_at(&sim->judge->ids, id)->forgotten;
}

bool judge_forgot_reply(const sim_t *sim, const uint8_t request_id[16])
{
    return known_at(&sim->judge->replies, request_id)->forgotten;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

void memory_start(sim_t *sim)
{
    judge_t *judge = sim->judge;
    judge->wall_us = sim_wall_us(sim);
    judge->broker_us =
        judge->stored_us > judge->wall_us ? judge->stored_us : judge->wall_us; /* never back */
    judge->shift_us = judge->broker_us - sim->now_us;
}

void memory_batch(sim_t *sim, const batch_t *batch)
{
    judge_t *judge = sim->judge;
    judge->wall_us = batch->wall_us;
    judge->broker_us = batch->steady_us + judge->shift_us;
    judge->purged_early = 0;
    judge->gave_way = false;
}

void memory_meta(sim_t *sim, const meta_dynamic_t *meta)
{
    judge_t *judge = sim->judge;
    judge->clocks_written = true;
    judge->stored_us = meta->broker_us;
    judge->stored_wall_us = meta->wall_us;
}

static void judge_clocks(sim_t *sim)
{
    judge_t *judge = sim->judge;
    if (!judge->clocks_written) return;
    judge->clocks_written = false;
    if (judge->stored_us != judge->broker_us || judge->stored_wall_us != judge->wall_us)
        sim_fail(sim, "a batch says broker time %lld, calendar %lld: it is %lld and %lld",
                 (long long)judge->stored_us, (long long)judge->stored_wall_us,
                 (long long)judge->broker_us, (long long)judge->wall_us);
}

/* ---- ids ------------------------------------------------------------------------------------- */

static void id_gone(sim_t *sim, known_t *known)
{
    judge_t *judge = sim->judge;
    int64_t until_us = known->until_us, now_us = judge->broker_us;
    if (known->kind == ID_TASK) { /* with its task */
        mtask_t *task = judge_touch(judge, known->n);
        task->id_gone = true;
        until_us = task->created_wall_us + DAY_US;
        now_us = judge->wall_us;
    }
    if (until_us > now_us)
        sim_fail(sim, "id %s of kind %u was forgotten %lld s too early", hex(known->id, 16),
                 known->kind, (long long)((until_us - now_us) / SEC_US));
    known->kind = 0;
    known->forgotten = true;
    sim_met(MET_FORGOTTEN);
}

void memory_id(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    known_t *known = known_at(&judge->ids, key.at);
    id_row_t row;
    if (gone) {
        id_gone(sim, known);
        return;
    }
    if (!id_row_decode(&row, value)) {
        sim_fail(sim, "an id cannot be read");
        return;
    }
    if (known->kind == ID_TASK && row.kind == ID_TASK && known->n != row.n)
        sim_fail(sim, "id %s stands for two tasks: %llu and %llu", hex(key.at, 16),
                 (unsigned long long)known->n, (unsigned long long)row.n);
    if (known->kind == ID_ALIAS && row.kind == ID_TASK)
        sim_fail(sim, "id %s was answered with another task, now it is one", hex(key.at, 16));
    if (row.kind == ID_TOMBSTONE) {
        int64_t until_us = judge_touch(judge, row.n)->created_wall_us + DAY_US;
        if (known->kind != ID_TASK || known->n != row.n || row.expiry_s != until_us / SEC_US)
            sim_fail(sim, "what is kept of id %s is not of its task", hex(key.at, 16));
        known->until_us = judge->broker_us + (until_us - judge->wall_us);
    } else {
        known->until_us = judge->broker_us + DAY_US;
    }
    known->kind = row.kind;
    known->n = row.n;
}

/* ---- replies --------------------------------------------------------------------------------- */

void memory_reply(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    int64_t order_us;
    slice_t reply;
    if (key.len != 20 || (!gone && !reply_row_decode(&order_us, &reply, value))) {
        sim_fail(sim, "a remembered reply cannot be read");
        return;
    }
    known_t *known = known_at(&judge->replies, key.at + 4);
    if (gone) {
        if (known->until_us > judge->broker_us)
            sim_fail(sim, "the reply to request %s was forgotten %lld s too early",
                     hex(known->id, 16),
                     (long long)((known->until_us - judge->broker_us) / SEC_US));
        known->kind = 0;
        known->forgotten = true;
        sim_met(MET_FORGOTTEN_REPLY);
        return;
    }
    if (known->kind) sim_fail(sim, "request %s was done again", hex(known->id, 16));
    known->kind = 1;
    known->until_us = judge->broker_us + DAY_US;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

void memory_purged(sim_t *sim, const mtask_t *task)
{
    judge_t *judge = sim->judge;
    /* children go with their parent */
    const mtask_t *whose = task->parent ? &judge->tasks[task->parent] : task;
    int64_t keep_us =
        whose->status == T(FAILED) ? DEFAULT_KEEP_FAILED_US : DEFAULT_KEEP_FINISHED_US;
    if (sim->swarm.short_history) keep_us = SHORT_HISTORY_US;
    if (!judge_has_ended(task->status) || !judge_has_ended(whose->status))
        sim_fail(sim, "task %llu was purged with status %d", (unsigned long long)task->n,
                 task->status);
    judge->purged_early += whose->end_us + keep_us > judge->wall_us;
}

/* ---- ledgers --------------------------------------------------------------------------------- */

static const extent_t *extent_at(const extent_t *extents, size_t n, int64_t from_us)
{
    while (n-- > 0) /* the newest: an extent that grows is written again */
        if (extents[n].from_us == from_us) return &extents[n];
    return NULL;
}

/* Verdicts stay for their time after they were given; those of a range, after it ended. */
void memory_extent_gone(sim_t *sim, const mschedule_t *schedule, uint16_t range, int64_t from_us)
{
    const mrange_t *of = range ? spans_at(schedule, range) : NULL;
    const extent_t *extent = range == 0 ? extent_at(schedule->extents, schedule->extents_n, from_us)
                             : of       ? extent_at(of->extents, of->extents_n, from_us)
                                        : NULL;
    int64_t since_us = !extent ? INT64_MAX : of ? of->row.ended_wall_us : extent->decided_last_us;
    if (since_us > sim->judge->wall_us - DEFAULT_KEEP_LEDGER_US)
        sim_fail(sim, "schedule %u: the verdict at %lld was forgotten too early", schedule->no,
                 (long long)(from_us / SEC_US));
}

void memory_range_gone(sim_t *sim, const mrange_t *range)
{
    if (range == NULL || range->row.state < RANGE_DONE ||
        range->row.ended_wall_us > sim->judge->wall_us - DEFAULT_KEEP_LEDGER_US)
        sim_fail(sim, "range %u was forgotten too early", range ? range->no : 0);
}

/* After a batch: history gives way in small stores only, and then it is told. */
void memory_judge(sim_t *sim)
{
    const judge_t *judge = sim->judge;
    judge_clocks(sim);
    if (judge->purged_early && !(judge->gave_way && sim->swarm.map_bytes))
        sim_fail(sim, "%u tasks were purged before their time", judge->purged_early);
}

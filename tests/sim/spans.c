/* SPDX-License-Identifier: Apache-2.0
 * Ranges of a schedule: each shrinks from one end only, has every instant that it took on record
 * once, with its task, and takes none that the live line of time has. */
#include "tests/sim/judge.h"

#include <stdlib.h>

void spans_free(mschedule_t *schedule)
{
    for (size_t i = 0; i < schedule->ranges_n; i++)
        free(schedule->ranges[i].extents);
    free(schedule->ranges);
}

mrange_t *spans_at(const mschedule_t *schedule, uint16_t no)
{
    for (size_t i = 0; i < schedule->ranges_n; i++)
        if (schedule->ranges[i].no == no) return &schedule->ranges[i];
    return NULL;
}

static bool may_become(const range_row_t *old, const range_row_t *new)
{
    return old->state < RANGE_DONE && old->flags == new->flags && old->cause == new->cause &&
           old->overlap == new->overlap && old->rate == new->rate &&
           old->revision == new->revision && old->from_us == new->from_us &&
           old->to_us == new->to_us &&new->low_us >= old->low_us &&new->high_us <=
                             old->high_us &&new->fired >= old->fired &&new->skipped >=
                             old->skipped &&new->failed >= old->failed;
}

void spans_row(sim_t *sim, mschedule_t *schedule, uint16_t no, slice_t value)
{
    range_row_t row;
    mrange_t *range = spans_at(schedule, no);
    if (!range_row_decode(&row, value)) {
        sim_fail(sim, "range %u of schedule %u cannot be read", no, schedule->no);
        return;
    }
    if (range == NULL) {
        if (no != schedule->ranges_n + 1)
            sim_fail(sim, "range %u of schedule %u is not the next one", no, schedule->no);
        schedule->ranges =
            mem_grow(schedule->ranges, (schedule->ranges_n + 1) * sizeof *schedule->ranges);
        range = &schedule->ranges[schedule->ranges_n++];
        *range = (mrange_t){ .no = no };
        sim_met(row.cause == CAUSE_LIVE ? MET_SPLIT : MET_BACKFILL);
    } else {
        bool failed_more = row.failed != range->row.failed; /* its tasks may end after it */
        range_row_t last = range->row;
        if (failed_more && last.state >= RANGE_DONE) last.state = RANGE_OPEN;
        if (!may_become(&last, &row))
            sim_fail(sim, "range %u of schedule %u became what it may not be", no, schedule->no);
    }
    if (row.state == RANGE_DONE) sim_met(MET_RANGE_DONE);
    if (row.state == RANGE_CANCELLED) sim_met(MET_RANGE_CANCELLED);
    if (row.state == RANGE_STOPPED) sim_met(MET_RANGE_STOPPED);
    range->row = row;
}

void spans_extent(sim_t *sim, mschedule_t *schedule, uint16_t no, const extent_t *extent)
{
    mrange_t *range = spans_at(schedule, no);
    if (range == NULL) { /* rows of a batch come in the order they were written */
        sim_fail(sim, "a verdict of range %u of schedule %u, which does not exist", no,
                 schedule->no);
        return;
    }
    range->extents = mem_grow(range->extents, (range->extents_n + 1) * sizeof *range->extents);
    range->extents[range->extents_n++] = *extent;
}

/* The live line has nothing of what a split-off range covers. */
int64_t spans_over(const mschedule_t *schedule, uint64_t revision, int64_t instant)
{
    for (size_t i = 0; i < schedule->ranges_n; i++) {
        const range_row_t *row = &schedule->ranges[i].row;
        if (row->cause == CAUSE_LIVE && row->revision == revision && row->from_us < instant &&
            instant <= row->to_us)
            return row->to_us;
    }
    return INT64_MIN;
}

static int by_instant(const void *a, const void *b)
{
    const extent_t *x = a, *y = b;
    return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

static void fired_instant(sim_t *sim, const mschedule_t *schedule, const mrange_t *range,
                          int64_t instant)
{
    uint8_t id[16];
    bool live = range->row.cause == CAUSE_LIVE;
    firing_id(judge_secret(sim), schedule->uid, instant, range->row.cause, live ? 0 : range->no,
              id);
    const mtask_t *task = judge_task(sim, id);
    if (task == NULL && (judge_known(sim, id) || judge_forgot(sim, id))) return; /* purged */
    if (task == NULL || task->schedule != schedule->no || task->instant_us != instant)
        sim_fail(sim, "schedule %u: range %u fired instant %lld, without its task", schedule->no,
                 range->no, (long long)(instant / SEC_US));
}

static bool may_stand(const mrange_t *range, const extent_t *e)
{
    if (e->verdict == VERDICT_FIRED)
        return e->reason ==
               (range->row.cause == CAUSE_LIVE ? VERDICT_REASON_CATCHUP : VERDICT_REASON_BACKFILL);
    return e->verdict == VERDICT_SKIPPED &&
           (e->reason == VERDICT_REASON_OVERLAP || e->reason == VERDICT_REASON_CANCELLED ||
            e->reason == VERDICT_REASON_REMOVED);
}

static void judge_range(sim_t *sim, mschedule_t *schedule, const mrange_t *range, uint64_t *fired)
{
    const range_row_t *row = &range->row;
    mrevision_t *revision = NULL;
    for (size_t i = 0; i < schedule->revisions_n; i++)
        if (schedule->revisions[i].number == row->revision) revision = &schedule->revisions[i];
    if (revision == NULL) {
        sim_fail(sim, "range %u of schedule %u is of no revision", range->no, schedule->no);
        return;
    }
    extent_t *all = mem_new((range->extents_n + 1) * sizeof *all);
    size_t n = range->extents_n;
    if (n) memcpy(all, range->extents, n * sizeof *all);
    if (row->open.count) all[n++] = row->open;
    qsort(all, n, sizeof *all, by_instant);
    bool newest = (row->flags & RANGE_NEWEST) != 0, ended = row->state >= RANGE_DONE;
    int64_t after = newest && !ended ? row->high_us : row->from_us;
    int64_t upto = newest || ended ? row->to_us : row->low_us;
    uint64_t counts[2] = { 0 };
    for (size_t i = 0; i < n && !sim->failed; i++) {
        if (!may_stand(range, &all[i]))
            sim_fail(sim, "schedule %u: range %u has a verdict %s (%s)", schedule->no, range->no,
                     verdict_text(all[i].verdict), verdict_reason_text(all[i].reason));
        uint64_t count = 0;
        while (after < all[i].to_us && !sim->failed) {
            int64_t instant = ledger_next(revision, after);
            if ((count == 0 && instant != all[i].from_us) || instant > all[i].to_us)
                sim_fail(sim, "schedule %u: range %u has another instant than %lld", schedule->no,
                         range->no, (long long)(instant / SEC_US));
            if (all[i].verdict == VERDICT_FIRED) fired_instant(sim, schedule, range, instant);
            count++;
            after = instant;
        }
        if (count != all[i].count)
            sim_fail(sim, "schedule %u: range %u counts %llu instants, there are %llu",
                     schedule->no, range->no, (unsigned long long)all[i].count,
                     (unsigned long long)count);
        counts[all[i].verdict != VERDICT_FIRED] += count;
    }
    free(all);
    if (sim->failed) return;
    if (ledger_next(revision, after) <= upto || counts[0] != row->fired ||
        counts[1] != row->skipped)
        sim_fail(
            sim,
            "schedule %u: range %u, %lld..%lld of %lld..%lld, %llu fired and %llu skipped: its "
            "ledger ends at %lld with %llu and %llu",
            schedule->no, range->no, (long long)(row->low_us / SEC_US),
            (long long)(row->high_us / SEC_US), (long long)(row->from_us / SEC_US),
            (long long)(row->to_us / SEC_US), (unsigned long long)row->fired,
            (unsigned long long)row->skipped, (long long)(after / SEC_US),
            (unsigned long long)counts[0], (unsigned long long)counts[1]);
    fired[row->cause == CAUSE_BACKFILL] += row->fired;
}

void spans_judge(sim_t *sim, mschedule_t *schedule, uint64_t fired[2])
{
    for (size_t i = 0; i < schedule->ranges_n && !sim->failed; i++)
        judge_range(sim, schedule, &schedule->ranges[i], fired);
}

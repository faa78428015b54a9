/* SPDX-License-Identifier: Apache-2.0
 * overlap.c - how many firings may run at once: what the policy says about one more, and the
 * counters that the life of each task moves (docs/decisions/0009). */
#include "broker/inside.h"

#include <stdlib.h>

/* ---- one more
 * ------------------------------------------------------------------------------------------ */

/* An older firing that never had a lease gives way. */
err_t plan_supersede(core_t *core, plan_t *plan)
{
    if (plan->cur.last_n == 0) return ERR_OK;
    task_t task;
    TRY(task_load(core, plan->cur.last_n, &task));
    if ((task.status == S(WAITING) || task.status == S(DELAYED)) && task.state.token == 0)
        return task_end(core, &task, S(SUPERSEDED), REASON_SUPERSEDED);
    return ERR_OK;
}

static int compare_run(const void *a, const void *b)
{
    const run_t *x = *(run_t *const *)a, *y = *(run_t *const *)b;
    return (x->n > y->n) - (x->n < y->n);
}

/* The running ones of this schedule are told to stop; with `hard` they end on record at once, and
 * their executors' reports will be LATE. */
static err_t stop_running(core_t *core, plan_t *plan, bool hard)
{
    static const char replaced[] = "stopped for a newer run of its schedule";
    run_t **found = batch_alloc(core, (plan->cur.running + 1u) * sizeof(run_t *));
    size_t n = 0;
    for (size_t i = 0; i < core->executors_n; i++)
        for (run_t *run = core->executors[i]->runs; run; run = run->next)
            if (run->row.schedule == plan->no && n < plan->cur.running) found[n++] = run;
    qsort(found, n, sizeof *found, compare_run); /* by number: never by what memory looks like */
    if (n == 0 && plan->cur.leased_n) {          /* it waits for its retry */
        task_t task;
        TRY(task_load(core, plan->cur.leased_n, &task));
        bool waits = task.status == S(DELAYED) || task.status == S(WAITING);
        if (waits && !(task.spec.flags & SPEC_PARENT))
            return task_end(core, &task, S(CANCELLED), REASON_OVERLAP);
    }
    TRY(families_stop_fired(core, plan->no, hard));
    for (size_t i = 0; i < n; i++)
        TRY((hard ? lease_kill : lease_cancel)(core, found[i], replaced));
    return ERR_OK;
}

/* What the overlap policy says about one more firing. */
err_t plan_admit(core_t *core, plan_t *plan, Pawl__V1__Overlap overlap, enum admission *answer)
{
    uint32_t most = plan->spec->max_running;
    *answer = FIRE;
    if (overlap == PAWL__V1__OVERLAP__OVERLAP_ALLOW) return ERR_OK;
    bool busy = plan->cur.running >= most;
    switch (overlap) {
    case PAWL__V1__OVERLAP__OVERLAP_SKIP:
        if (busy) *answer = DROP;
        break;
    case PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE:
        if (plan->gate.waiting > 0) *answer = DROP;
        break;
    case PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST:
        if (plan->gate.waiting > 0) TRY(plan_supersede(core, plan));
        break;
    case PAWL__V1__OVERLAP__OVERLAP_CANCEL:
    case PAWL__V1__OVERLAP__OVERLAP_KILL:
        if (busy) TRY(stop_running(core, plan, overlap == PAWL__V1__OVERLAP__OVERLAP_KILL));
        break;
    default:
        break;
    }
    if (*answer == FIRE && plan->cur.admitted >= most) *answer = PARK;
    return ERR_OK;
}

/* ---- hooks of the task life cycle
 * ------------------------------------------------------------------------------ */

err_t schedule_task_leased(core_t *core, const task_t *task, bool first)
{
    if (!first) return ERR_OK;
    plan_t *plan;
    TRY(plan_get(core, task->spec.schedule, &plan));
    plan->cur.waiting--;
    plan->cur.running++;
    plan->cur.leased_n = task->n;
    if (plan->cur.last_n == task->n) plan->cur.last_n = 0;
    plan->cur_dirty = true;
    return ERR_OK;
}

/* The gate opens for as many as the policy has room for. */
err_t schedule_release(core_t *core, plan_t *plan)
{
    while (plan->gate.waiting > 0 && plan->cur.admitted < plan->spec->max_running) {
        rec_key_t from = key_park(plan->gate_id, false, INT64_MIN, 0);
        slice_t key, value;
        TRY(store_seek(core->store, TABLE_park, key_slice(&from), false, &key, &value));
        uint8_t gate[16];
        int64_t due;
        uint64_t n;
        if (!park_key_decode(key, gate, &due, &n) || memcmp(gate, plan->gate_id, 16) != 0)
            return ERR_CORRUPT;
        task_t task;
        TRY(task_load(core, n, &task));
        TRY(task_unplace(core, &task));
        plan->cur.admitted++;
        plan->cur_dirty = true;
        task.has_state = true;
        task.state.status = S(WAITING);
        task.state.due_us = due; /* it keeps its place in the line */
        if (task.spec.flags & SPEC_PARENT) {
            TRY(family_start(core, &task));
            continue;
        }
        TRY(task_save(core, &task));
        lane_add(core, lane_at(core, task.spec.lane), due, n, NULL);
    }
    return ERR_OK;
}

err_t schedule_task_ended(core_t *core, const task_t *task, status_t status, bool had_lease,
                          bool was_parked)
{
    plan_t *plan;
    TRY(plan_get(core, task->spec.schedule, &plan));
    if (had_lease)
        plan->cur.running--;
    else
        plan->cur.waiting--;
    plan->cur.admitted -= !was_parked;
    if (plan->cur.last_n == task->n) plan->cur.last_n = 0;
    if (plan->cur.leased_n == task->n) plan->cur.leased_n = 0;
    plan->cur_dirty = true;
    plan->tell |= plan->held; /* there is room again: schedulers look at once */
    plan->held = false;
    for (range_t *range = plan->ranges; range; range = range->next) {
        plan->tell |= range->held;
        range->held = false;
    }
    TRY(range_task_ended(core, plan, task, status));
    TRY(after_ended(core, plan));
    return schedule_release(core, plan);
}

/* A task of a schedule goes back to waiting. One that was let through stays so; one that was held,
 * or run again by hand after its end, passes the policy anew. */
err_t schedule_task_again(core_t *core, task_t *task, bool *park)
{
    if (task->status != S(HELD) && task->status < S(FINISHED)) return ERR_OK;
    plan_t *plan;
    TRY(plan_get(core, task->spec.schedule, &plan));
    *park = plan->spec->overlap != PAWL__V1__OVERLAP__OVERLAP_ALLOW &&
            plan->cur.admitted >= plan->spec->max_running;
    plan->cur.admitted += !*park;
    plan->cur_dirty = true;
    if (task->status != S(HELD)) {
        if (task->state.token)
            plan->cur.running++;
        else
            plan->cur.waiting++;
        after_made(plan);
    }
    if (*park) {
        rec_key_t key = key_park(plan->gate_id, task->spec.range != 0, task->state.due_us, task->n);
        core->scratch.len = 0;
        park_row_encode(task->spec.lane, &core->scratch);
        TRY(put_scratch(core, TABLE_park, &key, 0));
        plan->gate.waiting++;
        plan->gate_dirty = true;
        memcpy(task->tail, plan->gate_id, 16);
        task->state.park = slice(task->tail, 16);
    }
    return ERR_OK;
}

/* Held by hand: it makes room for the next one. */
err_t schedule_task_held(core_t *core, const task_t *task, bool was_parked)
{
    plan_t *plan;
    TRY(plan_get(core, task->spec.schedule, &plan));
    if (was_parked) return ERR_OK;
    plan->cur.admitted--;
    plan->cur_dirty = true;
    return schedule_release(core, plan);
}

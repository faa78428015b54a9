/* SPDX-License-Identifier: Apache-2.0
 * overlap.c - how many firings may run at once: what the policy says about one more, and the
 * counters that the life of each task moves (docs/decisions/0009, 0031).
 *
 * A task counts at one gate from its making to its end, whatever becomes of the definition
 * meanwhile. At a schedule's own gate the cursor's row has the counters, at others the gate's. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* ---- counters -------------------------------------------------------------------------------- */

static bool is_own(const gate_t *gate)
{
    return gate->row.kind == GATE_OVERLAP;
}

static uint32_t running_at(const plan_t *plan, const gate_t *gate)
{
    return is_own(gate) ? plan->cur.running - plan->cur.elsewhere : gate->row.running;
}

static uint32_t admitted_at(const plan_t *plan, const gate_t *gate)
{
    return is_own(gate) ? plan->cur.admitted : gate->row.admitted;
}

static void add_admitted(core_t *core, plan_t *plan, gate_t *gate, int change)
{
    uint32_t *count = is_own(gate) ? &plan->cur.admitted : &gate->row.admitted;
    *count += (uint32_t)change;
    plan->cur_dirty = true;
    if (!is_own(gate)) gate_changed(core, gate);
}

/* Of its schedule, and where it counts. */
static void add_running(core_t *core, plan_t *plan, gate_t *gate, int change)
{
    plan->cur.running += (uint32_t)change;
    plan->cur_dirty = true;
    if (is_own(gate)) return;
    plan->cur.elsewhere += (uint32_t)change;
    gate->row.running += (uint32_t)change;
    gate_changed(core, gate);
}

static void add_parked(core_t *core, plan_t *plan, gate_t *gate, int change)
{
    gate->row.waiting += (uint32_t)change;
    gate_changed(core, gate);
    if (gate->row.kind != GATE_SCOPE) return;
    plan->cur.parked += (uint32_t)change;
    plan->cur_dirty = true;
}

/* How many of this schedule wait there. */
static uint32_t parked_at(const plan_t *plan, const gate_t *gate)
{
    return gate->row.kind == GATE_SCOPE ? plan->cur.parked : gate->row.waiting;
}

static uint64_t *leased_at(plan_t *plan, gate_t *gate)
{
    return is_own(gate) ? &plan->cur.leased_n : &gate->row.leased_n;
}

void plan_gate(const plan_t *plan, const range_t *range, uint8_t gate[16])
{
    if (range && range->row.overlap)
        gate_of_range(plan->no, range->no, gate);
    else
        memcpy(gate, plan->scoped ? plan->scope_id : plan->gate_id, 16);
}

static err_t gate_of(core_t *core, const task_t *task, gate_t **gate)
{
    uint8_t id[16];
    gate_of_task(&task->spec, id);
    return gate_get(core, id, gate);
}

static err_t park(core_t *core, plan_t *plan, gate_t *gate, const task_t *task, int64_t due_us)
{
    rec_key_t key = key_park(gate->id, task->spec.range != 0, due_us, task->n);
    core->scratch.len = 0;
    park_row_encode(task->spec.lane, &core->scratch);
    TRY(put_scratch(core, TABLE_park, &key, 0));
    add_parked(core, plan, gate, 1);
    return ERR_OK;
}

err_t schedule_task_unpark(core_t *core, const task_t *task, int64_t due_us)
{
    plan_t *plan;
    gate_t *gate;
    TRY(plan_get(core, task->spec.schedule, &plan));
    TRY(gate_of(core, task, &gate));
    rec_key_t key = key_park(gate->id, task->spec.range != 0, due_us, task->n);
    TRY(del_row(core, TABLE_park, &key));
    add_parked(core, plan, gate, -1);
    return ERR_OK;
}

err_t plan_count_in(core_t *core, plan_t *plan, const uint8_t id[16], bool parked)
{
    gate_t *gate;
    plan->cur.waiting++;
    plan->cur_dirty = true;
    if (parked) return ERR_OK;
    if (memcmp(id, plan->gate_id, 16) == 0) { /* its own row is not looked at for that */
        plan->cur.admitted++;
        return ERR_OK;
    }
    TRY(gate_get(core, id, &gate));
    add_admitted(core, plan, gate, 1);
    return ERR_OK;
}

err_t plan_park(core_t *core, plan_t *plan, const uint8_t id[16], uint64_t n)
{
    gate_t *gate;
    task_t task;
    TRY(gate_get(core, id, &gate));
    TRY(task_load(core, n, &task));
    return park(core, plan, gate, &task, task.spec.due_us);
}

err_t plan_blocker(core_t *core, const plan_t *plan, const uint8_t id[16], uint64_t *n)
{
    gate_t *gate;
    TRY(gate_get(core, id, &gate));
    *n = is_own(gate) ? plan->cur.leased_n : gate->row.leased_n;
    return ERR_OK;
}
/* ---- one more -------------------------------------------------------------------------------- */

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

static bool counts_at(const run_t *run, const gate_t *gate)
{
    spec_row_t spec = { .flags = run->spec_flags,
                        .schedule = run->row.schedule,
                        .firing = run->firing };
    uint8_t id[16];
    memcpy(spec.gate, run->gate, 16);
    gate_of_task(&spec, id);
    return run->row.schedule && memcmp(id, gate->id, 16) == 0;
}

/* What runs at this gate is told to stop; with `hard` it ends on record at once, and its executors'
 * reports will be LATE. */
static err_t stop_running(core_t *core, plan_t *plan, gate_t *gate, bool hard)
{
    static const char replaced[] = "stopped for a newer run of its schedule";
    uint32_t most = running_at(plan, gate);
    run_t **found = batch_alloc(core, (most + 1u) * sizeof(run_t *));
    size_t n = 0;
    for (size_t i = 0; i < core->executors_n; i++)
        for (run_t *run = core->executors[i]->runs; run && n < most; run = run->next)
            if (counts_at(run, gate)) found[n++] = run;
    qsort(found, n, sizeof *found, compare_run); /* by number: never by what memory looks like */
    uint64_t leased_n = *leased_at(plan, gate);
    if (n == 0 && leased_n) { /* it waits for its retry, or for its completion */
        task_t task;
        TRY(task_load(core, leased_n, &task));
        bool waits =
            task.status == S(DELAYED) || task.status == S(WAITING) || task.status == S(EXTERNAL);
        if (waits && !(task.spec.flags & SPEC_PARENT))
            return task_end(core, &task, S(CANCELLED), REASON_OVERLAP);
    }
    TRY(families_stop_fired(core, gate->row.subject, gate->id, hard));
    for (size_t i = 0; i < n; i++)
        TRY((hard ? lease_kill : lease_cancel)(core, found[i], replaced));
    return ERR_OK;
}

/* What the overlap policy says about one more firing. */
err_t plan_admit(core_t *core, plan_t *plan, const uint8_t id[16], Pawl__V1__Overlap overlap,
                 enum admission *answer)
{
    uint32_t most = plan->spec->max_running;
    gate_t *gate;
    *answer = FIRE;
    if (overlap == PAWL__V1__OVERLAP__OVERLAP_ALLOW) return ERR_OK;
    TRY(gate_get(core, id, &gate));
    bool busy = running_at(plan, gate) >= most;
    switch (overlap) {
    case PAWL__V1__OVERLAP__OVERLAP_SKIP:
        if (busy) *answer = DROP;
        break;
    case PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE:
        if (parked_at(plan, gate) > 0) *answer = DROP;
        break;
    case PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST:
        if (parked_at(plan, gate) > 0) TRY(plan_supersede(core, plan));
        break;
    case PAWL__V1__OVERLAP__OVERLAP_CANCEL:
    case PAWL__V1__OVERLAP__OVERLAP_KILL:
        if (busy) TRY(stop_running(core, plan, gate, overlap == PAWL__V1__OVERLAP__OVERLAP_KILL));
        break;
    default:
        break;
    }
    if (*answer == FIRE && admitted_at(plan, gate) >= most) *answer = PARK;
    return ERR_OK;
}

/* ---- hooks of the task life cycle ------------------------------------------------------------ */

err_t schedule_task_leased(core_t *core, const task_t *task, bool first)
{
    if (!first) return ERR_OK;
    plan_t *plan;
    gate_t *gate;
    TRY(plan_get(core, task->spec.schedule, &plan));
    TRY(gate_of(core, task, &gate));
    plan->cur.waiting--;
    add_running(core, plan, gate, 1);
    *leased_at(plan, gate) = task->n;
    if (plan->cur.last_n == task->n) plan->cur.last_n = 0;
    return ERR_OK;
}

/* The first in the line of this gate; it says how many of its policy may be let through. */
static err_t first_parked(core_t *core, const gate_t *gate, task_t *task, int64_t *due_us)
{
    rec_key_t from = key_park(gate->id, false, INT64_MIN, 0);
    slice_t key, value;
    TRY(store_seek(core->store, TABLE_park, key_slice(&from), false, &key, &value));
    uint8_t id[16];
    uint64_t n;
    if (!park_key_decode(key, id, due_us, &n) || memcmp(id, gate->id, 16) != 0) return ERR_CORRUPT;
    return task_load(core, n, task);
}

/* The gate opens for as many as the policy has room for. */
static err_t release(core_t *core, gate_t *gate)
{
    while (gate->row.waiting > 0) {
        task_t task;
        plan_t *plan;
        int64_t due;
        TRY(first_parked(core, gate, &task, &due));
        TRY(plan_get(core, task.spec.schedule, &plan));
        if (admitted_at(plan, gate) >= plan->spec->max_running) return ERR_OK;
        TRY(task_unplace(core, &task));
        add_admitted(core, plan, gate, 1);
        task.has_state = true;
        task.state.status = S(WAITING);
        task.state.due_us = due; /* it keeps its place in the line */
        if (task.spec.flags & SPEC_PARENT) {
            TRY(family_start(core, &task));
            continue;
        }
        TRY(task_save(core, &task));
        lane_t *lane;
        TRY(lane_get(core, task.spec.lane, &lane));
        lane_add(core, lane, due, task.n, NULL);
    }
    return ERR_OK;
}

err_t schedule_release(core_t *core, plan_t *plan)
{
    gate_t *gate;
    TRY(gate_get(core, plan->gate_id, &gate));
    TRY(release(core, gate));
    if (plan->scoped) {
        TRY(gate_get(core, plan->scope_id, &gate));
        TRY(release(core, gate));
    }
    for (const range_t *range = plan->ranges; range; range = range->next) {
        if (range->row.overlap == 0) continue;
        uint8_t id[16];
        plan_gate(plan, range, id);
        TRY(gate_get(core, id, &gate));
        TRY(release(core, gate));
    }
    return ERR_OK;
}

/* Its own gate's counters stand in the plan's row: the gate's row, which is not read then, says
 * only how many are parked there, and without an open task that is none. */
static err_t count_out(core_t *core, plan_t *plan, const task_t *task, bool had_lease,
                       bool was_parked, gate_t **gate)
{
    static gate_t own = { .row.kind = GATE_OVERLAP };
    uint8_t id[16];
    gate_of_task(&task->spec, id);
    bool counted_here = memcmp(id, plan->gate_id, 16) == 0;
    bool last = plan->cur.running + plan->cur.waiting == 1;
    *gate = &own;
    if (!counted_here || !last) TRY(gate_get(core, id, gate));
    if (had_lease)
        add_running(core, plan, *gate, -1);
    else
        plan->cur.waiting--;
    if (!was_parked) add_admitted(core, plan, *gate, -1);
    if (*leased_at(plan, *gate) == task->n) *leased_at(plan, *gate) = 0;
    return ERR_OK;
}

err_t schedule_task_ended(core_t *core, const task_t *task, status_t status, bool had_lease,
                          bool was_parked)
{
    plan_t *plan;
    gate_t *gate;
    TRY(plan_get(core, task->spec.schedule, &plan));
    TRY(count_out(core, plan, task, had_lease, was_parked, &gate));
    if (plan->cur.last_n == task->n) plan->cur.last_n = 0;
    plan->cur_dirty = true;
    plan->tell |= plan->held; /* there is room again: schedulers look at once */
    plan->held = false;
    for (range_t *range = plan->ranges; range; range = range->next) {
        plan->tell |= range->held;
        range->held = false;
    }
    TRY(range_task_ended(core, plan, task, status));
    TRY(after_ended(core, plan));
    TRY(watermark_forget_schedule(core, plan));
    return release(core, gate);
}

/* A task of a schedule goes back to waiting. One that was let through stays so; one that was held,
 * or run again by hand after its end, passes the policy anew. */
err_t schedule_task_again(core_t *core, task_t *task, bool *parked)
{
    if (task->status != S(HELD) && task->status < S(FINISHED)) return ERR_OK;
    plan_t *plan;
    gate_t *gate;
    TRY(plan_get(core, task->spec.schedule, &plan));
    TRY(gate_of(core, task, &gate));
    *parked = plan->spec->overlap != PAWL__V1__OVERLAP__OVERLAP_ALLOW &&
              admitted_at(plan, gate) >= plan->spec->max_running;
    if (!*parked) add_admitted(core, plan, gate, 1);
    plan->cur_dirty = true;
    if (task->status != S(HELD)) {
        if (task->state.token)
            add_running(core, plan, gate, 1);
        else
            plan->cur.waiting++;
        after_made(plan);
    }
    if (!*parked) return ERR_OK;
    memcpy(task->tail, gate->id, 16);
    task->state.park = slice(task->tail, 16);
    return park(core, plan, gate, task, task->state.due_us);
}

/* Held by hand: it makes room for the next one. */
err_t schedule_task_held(core_t *core, const task_t *task, bool was_parked)
{
    plan_t *plan;
    gate_t *gate;
    if (was_parked) return ERR_OK;
    TRY(plan_get(core, task->spec.schedule, &plan));
    TRY(gate_of(core, task, &gate));
    add_admitted(core, plan, gate, -1);
    return release(core, gate);
}

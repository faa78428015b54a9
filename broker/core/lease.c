/* SPDX-License-Identifier: Apache-2.0
 * lease.c - the right to run one attempt: given, ended by a report, lost, given back.
 *
 * Each lease has a token that rises with every lease of the task (generation << 48 | counter). A
 * report counts when it carries the newest token and the task has not ended otherwise; so however
 * often an executor reports, and whoever else ran the task meanwhile, one outcome is recorded. */
#include "broker/core/inside.h"

#include <stdlib.h>

static uint64_t id_hash(const uint8_t id[16])
{
    uint64_t hash = be_u64(id) * 31 + be_u64(id + 8);
    return hash ? hash : 1;
}

run_t *run_by_id(core_t *core, const uint8_t id[16])
{
    run_t *run = map_get(&core->runs, id_hash(id));
    while (run && memcmp(run->id, id, 16) != 0)
        run = run->same_hash;
    return run;
}

/* What a lease keeps of its task's spec, so that its end needs no read. */
void run_fill(run_t *run, const spec_row_t *spec)
{
    memcpy(run->id, spec->id, 16);
    run->queue = spec->queue;
    run->type = spec->type;
    run->spec_flags = spec->flags;
    run->priority = spec->priority;
    run->attempts_max = spec->attempts_max;
    run->instant_us = spec->instant_wall_us;
    run->parent = spec->parent;
    run->index = spec->index;
    run->firing = spec->firing;
    memcpy(run->gate, spec->gate, sizeof run->gate);
    run->range = spec->range;
    run->folded_first_us = spec->folded_first_us;
    run->folded_count = spec->folded_count;
}

void lease_was(run_t *run, const task_t *task)
{
    *run = (run_t){ .n = task->n };
    run_fill(run, &task->spec);
    run->row = (run_row_t){ .executor = task->state.executor,
                            .token = task->state.token,
                            .attempt = (uint16_t)(task->state.attempts + 1),
                            .lost = task->state.lost,
                            .leased_wall_us = task->state.start_wall_us };
}

void run_keep(core_t *core, run_t *run)
{
    map_chain(&core->runs, id_hash(run->id), run, offsetof(run_t, same_hash));
}

/* Takes the lease out of store and memory. The caller frees `run` when done with it; on an error it
 * is still in memory, which goes as a whole. */
err_t run_remove(core_t *core, run_t *run)
{
    executor_t *executor = run->executor;
    if (run->row.flags & RUN_LOST) {
        rec_key_t timer = key_timer(CLOCK_ELAPSED, run->row.leased_us, TIMER_LOST, run->n);
        err_t err = store_del(core->store, TABLE_timer, key_slice(&timer));
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err; /* absent: that timer is what ends it */
    }
    rec_key_t key = key_n(run->n);
    TRY(del_row(core, TABLE_run, &key));
    if (executor) {
        executor_withhold(executor, run);
        if (run->prev)
            run->prev->next = run->next;
        else
            executor->runs = run->next;
        if (run->next) run->next->prev = run->prev;
        executor->held--;
        executor->lost -= (run->row.flags & RUN_LOST) != 0;
        executor->told_held_dirty = true;
        executor->cancelling -= (run->row.flags & RUN_CANCELLING) != 0;
        executor_changed(core, executor);
    }
    map_unchain(&core->runs, id_hash(run->id), run, offsetof(run_t, same_hash));
    core->made_room = true;
    return ERR_OK;
}

err_t run_save(core_t *core, const run_t *run)
{
    core->scratch.len = 0;
    run_row_encode(&run->row, &core->scratch);
    rec_key_t key = key_n(run->n);
    return put_scratch(core, TABLE_run, &key, 0);
}

void runs_free(core_t *core)
{
    size_t at = 0;
    for (run_t *run; (run = map_next(&core->runs, &at)) != NULL;)
        for (run_t *next; run; run = next) {
            next = run->same_hash;
            free(run);
        }
    map_free(&core->runs);
}

err_t runs_load(core_t *core)
{
    rec_key_t from = key_n(0);
    for (;;) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_run, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        run_t *run = mem_new(sizeof *run);
        run->n = be_u64(key.at);
        spec_row_t spec;
        bool good = key.len == 8 && run_row_decode(&run->row, value);
        rec_key_t spec_key = key_n(run->n);
        err = good ? store_get(core->store, TABLE_spec, key_slice(&spec_key), &value) : ERR_CORRUPT;
        named_t *name = name_at(core, NAME_EXECUTOR, run->row.executor);
        if (err != ERR_OK || !spec_row_decode(&spec, value) || name == NULL) {
            free(run);
            return err == ERR_OK || err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        run_fill(run, &spec);
        run_keep(core, run);
        executor_attach(core, executor_for(core, name), run);
        from = key_n(run->n + 1);
    }
}

/* ---- given ----------------------------------------------------------------------------------- */

static err_t add_to_assign(core_t *core, run_t *run, const task_t *task, slice_t body)
{
    Pawl__V1__Lease *lease = batch_alloc(core, sizeof *lease);
    pawl__v1__lease__init(lease);
    lease->id.data = run->id; /* lives as long as the run: the push is packed in this batch */
    lease->id.len = 16;
    lease->token = run->row.token;
    lease->attempt = run->row.attempt;
    lease->attempts_max = run->attempts_max;
    lease->planned_us = run->instant_us ? run->instant_us : run->row.leased_wall_us;
    if (run->row.schedule) {
        plan_t *plan;
        TRY(plan_get(core, run->row.schedule, &plan));
        if (run->folded_count) {
            lease->folded_first_us = run->folded_first_us;
            lease->folded_last_us = run->instant_us;
            lease->folded_count = run->folded_count;
        }
        lease->schedule = batch_printf(core, "%.*s", (int)plan->row.name.len, plan->row.name.at);
    }
    if (run->parent) TRY(family_lease(core, run, lease));
    uint8_t *copy = batch_alloc(core, body.len);
    memcpy(copy, body.at, body.len);
    lease->task.data = copy;
    lease->task.len = body.len;
    TRY(external_lease(core, task, lease));
    executor_assign(core, run, lease);
    return ERR_OK;
}

err_t lease_again(core_t *core, run_t *run)
{
    task_t task;
    TRY(task_of_run(core, run, &task));
    slice_t body;
    TRY(task_body(core, &task, &body));
    return add_to_assign(core, run, &task, body);
}

uint64_t lease_next_token(const core_t *core, uint64_t last)
{
    uint64_t first = (uint64_t)core->fixed.generation << 48;
    return (last > first ? last : first) + 1;
}

/* A first lease: expiry no longer counts; true in *expired when it struck already. Nor does it for
 * a task that was run again by hand: its timer went when it ended. */
err_t lease_check_expiry(core_t *core, task_t *task, bool *expired)
{
    *expired = false;
    if (!(task->spec.flags & SPEC_EXPIRES) || task->state.token != 0 ||
        (task->state.flags & STATE_BY_HAND))
        return ERR_OK;
    int64_t now = task->spec.expire_clock == CLOCK_WALL ? core->wall_us : core->now_us;
    if (task->spec.expire_us <= now) {
        *expired = true;
        return ERR_OK;
    }
    return timer_clear(core, task->spec.expire_clock, task->spec.expire_us, TIMER_EXPIRE, task->n);
}

err_t lease_take(core_t *core, executor_t *executor, lane_t *lane, const fresh_t *fresh,
                 bool *taken)
{
    task_t task;
    *taken = false;
    TRY(task_load(core, fresh->n, &task));
    if (task.status != S(WAITING)) return ERR_CORRUPT;
    bool expired;
    TRY(lease_check_expiry(core, &task, &expired));
    if (expired) {
        lane_add(core, lane, fresh->due_us, fresh->n, NULL); /* task_end takes it out */
        return task_end(core, &task, S(EXPIRED), REASON_EXPIRED);
    }
    if (task.spec.flags & SPEC_CHILD) {
        bool may;
        TRY(family_may_lease(core, &task, &may));
        if (!may) {
            lane_add(core, lane, fresh->due_us, fresh->n, NULL); /* from where it is taken away */
            return family_put_aside(core, &task);
        }
    }
    slice_t body;
    if (fresh->spec)
        body = fresh->spec->body;
    else
        TRY(task_body(core, &task, &body));
    run_t *run = mem_new(sizeof *run);
    run->n = task.n;
    run_fill(run, &task.spec);
    run->row = (run_row_t){ .executor = executor->name->no,
                            .incarnation = executor->incarnation8,
                            .token = lease_next_token(core, task.state.token),
                            .attempt = (uint16_t)(task.state.attempts + 1),
                            .flags = task.has_state ? RUN_HAS_STATE : 0,
                            .lost = task.state.lost,
                            .leased_us = core->now_us,
                            .leased_wall_us = core->wall_us,
                            .lane = lane->no,
                            .schedule = task.spec.schedule };
    run_keep(core, run);
    executor_attach(core, executor, run);
    TRY(run_save(core, run));
    bool first = task.state.token == 0;
    task_move(core, &task, S(RUNNING));
    task.run = run;
    if (task.spec.flags & SPEC_SCHEDULED) TRY(schedule_task_leased(core, &task, first));
    hist_add(core->queue_hist,
             core->now_us - (fresh->due_us - priority_offset_us(task.spec.priority)));
    TRY(add_to_assign(core, run, &task, body));
    executor->told_held_dirty = true;
    core->started++;
    core->ops++;
    *taken = true;
    return journal_task(core, EVENT_RUNNING, &task, executor->name->no);
}

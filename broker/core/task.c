/* SPDX-License-Identifier: Apache-2.0
 * task.c - a task from its acceptance to its end, whatever runs it.
 *
 * A task is in exactly one place: a lane's ready rows (waiting), a gate's park rows (waiting,
 * parked), the timers (delayed), the run table (running), or nowhere (held, ended). Its spec row
 * never changes; its state row appears with the first thing that happens to it beyond plain
 * waiting and running. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* Bounded waiting: a task of low priority overtakes newer ones of a higher one after at most the
 * difference of their offsets, with no rescan. */
int64_t priority_offset_us(unsigned priority)
{
    static const int32_t seconds[] = { -3600, -2880, -2160, -1440, -720, 0, 900, 1800, 2700, 3600 };
    return seconds[priority < ARRAY_LEN(seconds) ? priority : 5] * PAWL_SEC_US;
}

/* ---- load and save ----------------------------------------------------------------------------
 */

/* Copies what the decoded row points to into the task's own tail. */
static bool own_tail(task_t *task)
{
    slice_t *const slices[] = { &task->state.park, &task->state.message, &task->state.output,
                                &task->state.output_type, &task->state.progress_text };
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        if (slices[i]->len > TASK_TAIL - used) return false;
        if (slices[i]->len) memcpy(task->tail + used, slices[i]->at, slices[i]->len);
        slices[i]->at = task->tail + used;
        used += slices[i]->len;
    }
    return true;
}

static err_t load_state(core_t *core, task_t *task)
{
    rec_key_t key = key_n(task->n);
    slice_t value;
    err_t err = store_get(core->store, TABLE_state, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!state_row_decode(&task->state, value) || !own_tail(task)) return ERR_CORRUPT;
    task->has_state = true;
    return ERR_OK;
}

void task_clear(task_t *task, uint64_t n)
{
    memset(task, 0, offsetof(task_t, tail));
    task->n = n;
}

err_t task_load(core_t *core, uint64_t n, task_t *task)
{
    task_clear(task, n);
    rec_key_t key = key_n(n);
    slice_t value;
    TRY(store_get(core->store, TABLE_spec, key_slice(&key), &value));
    if (!spec_row_decode(&task->spec, value)) return ERR_CORRUPT;
    task->spec.body = slice(NULL, 0);
    TRY(load_state(core, task));
    task->run = run_by_id(core, task->spec.id);
    task->status = task->run                         ? S(RUNNING)
                   : task->has_state                 ? (status_t)task->state.status
                   : task->spec.flags & SPEC_HELD    ? S(HELD)
                   : task->spec.flags & SPEC_DELAYED ? S(DELAYED)
                   : task->spec.flags & SPEC_BLOCKED ? S(BLOCKED)
                                                     : S(WAITING);
    return ERR_OK;
}

err_t task_of_run(core_t *core, run_t *run, task_t *task)
{
    task_clear(task, run->n);
    memcpy(task->spec.id, run->id, 16);
    task->spec.flags = run->spec_flags;
    task->spec.priority = run->priority;
    task->spec.attempts_max = run->attempts_max;
    task->spec.lane = run->row.lane;
    task->spec.queue = run->queue;
    task->spec.type = run->type;
    task->spec.schedule = run->row.schedule;
    task->spec.instant_wall_us = run->instant_us;
    task->spec.parent = run->parent;
    task->spec.index = run->index;
    task->spec.firing = run->firing;
    memcpy(task->spec.gate, run->gate, sizeof run->gate);
    task->spec.range = run->range;
    task->spec.folded_first_us = run->folded_first_us;
    task->spec.folded_count = run->folded_count;
    task->run = run;
    task->status = S(RUNNING);
    return run->row.flags & RUN_HAS_STATE ? load_state(core, task) : ERR_OK;
}

err_t task_save(core_t *core, const task_t *task)
{
    core->scratch.len = 0;
    state_row_encode(&task->state, &core->scratch);
    rec_key_t key = key_n(task->n);
    return put_scratch(core, TABLE_state, &key, 0);
}

err_t put_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token, slice_t bytes)
{
    for (uint16_t part = 0; bytes.len > 0; part++) {
        size_t len = bytes.len < LIMIT_PART ? bytes.len : LIMIT_PART;
        rec_key_t key = key_part(n, kind, token, part);
        TRY(store_put(core->store, TABLE_part, key_slice(&key), slice(bytes.at, len), 0));
        bytes = slice(bytes.at + len, bytes.len - len);
    }
    return ERR_OK;
}

err_t del_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token)
{
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_part(n, kind, token, part);
        err_t err = store_del(core->store, TABLE_part, key_slice(&key));
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
    }
}

err_t task_body(core_t *core, const task_t *task, slice_t *body)
{
    uint64_t owner = task->spec.flags & SPEC_CHILD ? task->spec.parent : task->n;
    rec_key_t key = key_n(owner);
    slice_t value;
    spec_row_t spec;
    err_t err = store_get(core->store, TABLE_spec, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND && owner != task->n ? ERR_CORRUPT : err;
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    core->body.len = 0;
    if (!(spec.flags & SPEC_PARTS)) buf_add(&core->body, spec.body.at, spec.body.len);
    for (uint16_t part = 0; core->body.len < spec.body_len; part++) {
        rec_key_t part_key = key_part(owner, PART_SPEC, 0, part);
        TRY(store_get(core->store, TABLE_part, key_slice(&part_key), &value));
        if (value.len == 0) return ERR_CORRUPT;
        buf_add(&core->body, value.at, value.len);
    }
    *body = slice(core->body.at, core->body.len);
    return ERR_OK;
}

err_t task_unpack(core_t *core, const task_t *task, const Pawl__V1__Task **body)
{
    slice_t bytes;
    TRY(task_body(core, task, &bytes));
    wire_fault_t fault;
    uint8_t *copy = batch_alloc(core, bytes.len);
    memcpy(copy, bytes.at, bytes.len); /* the message points into it */
    return wire_task_decode(core->arena, copy, bytes.len, body, &fault) == ERR_OK ? ERR_OK
                                                                                  : ERR_CORRUPT;
}

err_t task_is_exclusive(core_t *core, const task_t *task, bool *exclusive)
{
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    *exclusive = body->exclusive;
    return ERR_OK;
}

/* ---- counters -----------------------------------------------------------------------------------
 */

static err_t count_move(core_t *core, const task_t *task, status_t from, status_t to)
{
    named_t *of[] = { name_at(core, NAME_QUEUE, task->spec.queue),
                      name_at(core, NAME_TYPE, task->spec.type) };
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        of[i]->counts[from]--;
        of[i]->counts[to]++;
        of[i]->counts[0] = 0;
        name_counted(core, of[i]);
    }
    core->counts[from]--;
    core->counts[to]++;
    core->counts[0] = 0;
    block_t *block;
    TRY(block_of(core, task->n, &block));
    if (from != 0) block->row.counts[from]--;
    block->row.counts[to]++; /* [0]: purged */
    return ERR_OK;
}

/* Block rows are read when first met, so this may fail like any read: kept for the end of the
 * batch. */
void task_move(core_t *core, task_t *task, status_t to)
{
    if (task->status == to) return;
    err_t err = count_move(core, task, task->status, to);
    if (err != ERR_OK && core->failed == ERR_OK) core->failed = err;
    task->status = to;
    task->state.status = (uint8_t)to;
}

uint32_t task_attempts_max(core_t *core, uint32_t type, const Pawl__V1__Task *body)
{
    if (body->retry && body->retry->max_attempts) return body->retry->max_attempts;
    /* commands: once, as cron does; programs built on the SDK: three tries */
    return strncmp(name_at(core, NAME_TYPE, type)->name, "pawl/", 5) == 0 ? 1 : 3;
}

/* ---- places
 * ----------------------------------------------------------------------------------------- */

err_t task_unplace(core_t *core, task_t *task)
{
    bool moved = task->has_state; /* the state row knows better than the spec */
    if (task->status == S(WAITING)) {
        int64_t due = moved ? task->state.due_us : task->spec.due_us;
        bool parked = moved ? task->state.park.len > 0 : (task->spec.flags & SPEC_PARKED) != 0;
        task->state.park = slice(NULL, 0);
        task->state.due_us = 0;
        if (parked) return schedule_task_unpark(core, task, due);
        if (task->spec.flags & SPEC_PARENT) return ERR_OK; /* on its way to run: in no lane */
        lane_t *lane;
        TRY(lane_get(core, task_lane(task), &lane));
        return lane_remove(core, lane, due, task->n);
    }
    if (task->status == S(DELAYED)) {
        uint8_t clock = moved ? task->state.timer_clock : task->spec.timer_clock;
        int64_t at = moved ? task->state.timer_at : task->spec.timer_at;
        task->state.timer_clock = 0;
        task->state.timer_at = 0;
        return timer_clear(core, clock, at, TIMER_DUE, task->n);
    }
    if (task->status == S(EXTERNAL)) {
        int64_t at = task->state.timer_at;
        task->state.timer_clock = 0;
        task->state.timer_at = 0;
        return timer_clear(core, CLOCK_ELAPSED, at, TIMER_EXTERNAL, task->n);
    }
    return ERR_OK;
}

err_t task_place_held(core_t *core, task_t *task)
{
    task_move(core, task, S(HELD));
    task->has_state = true;
    TRY(task_save(core, task));
    return journal_task(core, EVENT_HELD, task, 0);
}

err_t task_place_ready(core_t *core, task_t *task)
{
    bool park = false, held = false;
    task->state.timer_clock = 0;
    task->state.timer_at = 0;
    task->state.due_us = 0;
    task->state.park = slice(NULL, 0);
    if (task->spec.flags & SPEC_CHILD) TRY(family_is_held(core, task, &held));
    if (held) return task_place_held(core, task); /* until its fan-out goes on */
    task->state.due_us = core->now_us + priority_offset_us(task->spec.priority);
    if (task->spec.flags & SPEC_SCHEDULED) TRY(schedule_task_again(core, task, &park));
    bool parent = task->spec.flags & SPEC_PARENT;
    task_move(core, task, S(WAITING));
    if (!park && !parent) {
        lane_t *lane;
        TRY(lane_get(core, task_lane(task), &lane));
        lane_add(core, lane, task->state.due_us, task->n, NULL);
    }
    task->has_state = true;
    TRY(task_save(core, task));
    TRY(journal_task(core, EVENT_WAITING, task, 0));
    return parent && !park ? family_start(core, task) : ERR_OK;
}

err_t task_place_timer(core_t *core, task_t *task, uint8_t clock, int64_t at)
{
    task->state.timer_clock = clock;
    task->state.timer_at = at;
    task->state.due_us = 0;
    task_move(core, task, S(DELAYED));
    TRY(timer_set(core, clock, at, TIMER_DUE, task->n));
    task->has_state = true;
    TRY(task_save(core, task));
    return journal_task(core, EVENT_DELAYED, task, 0);
}

/* ---- the end
 * ------------------------------------------------------------------------------------------ */

static uint8_t event_of(status_t status)
{
    switch ((int)status) {
    case S(FINISHED):
        return EVENT_FINISHED;
    case S(FAILED):
        return EVENT_FAILED;
    case S(CANCELLED):
        return EVENT_CANCELLED;
    case S(SUPERSEDED):
        return EVENT_SUPERSEDED;
    default:
        return EVENT_EXPIRED;
    }
}

/* The key is free again, unless another task took it meanwhile (run again by hand is refused then).
 */
static err_t free_key(core_t *core, task_t *task)
{
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    rec_key_t key = key_uniq(0, task->spec.type, slice_text(body->key));
    return del_row(core, TABLE_uniq, &key);
}

err_t task_end(core_t *core, task_t *task, status_t status, uint8_t reason)
{
    bool had_lease = task->state.token != 0 || task->run != NULL;
    bool was_parked = /* the overlap policy has not let it through */
        task->status == S(HELD) ||
        (task->status == S(WAITING) &&
         (task->has_state ? task->state.park.len > 0 : (task->spec.flags & SPEC_PARKED) != 0));
    if (task->status != S(RUNNING)) {
        TRY(task_unplace(core, task));
        if ((task->spec.flags & SPEC_EXPIRES) && !had_lease) {
            rec_key_t key =
                key_timer(task->spec.expire_clock, task->spec.expire_us, TIMER_EXPIRE, task->n);
            err_t err = store_del(core->store, TABLE_timer, key_slice(&key));
            if (err != ERR_OK && err != ERR_NOT_FOUND)
                return err; /* absent: that timer is what ends it */
        }
    }
    if (task->spec.flags & SPEC_KEYED) TRY(free_key(core, task));
    if (task->state.polls) TRY(poll_end(core, task));
    status_t from = task->status;
    task_move(core, task, status);
    task->state.reason = reason;
    if (task->state.end_wall_us == 0 || from != S(RUNNING)) task->state.end_wall_us = core->wall_us;
    task->state.due_us = 0;
    block_t *block;
    TRY(block_of(core, task->n, &block));
    if (block->row.end_min_us == 0 || core->wall_us < block->row.end_min_us)
        block->row.end_min_us = core->wall_us;
    if (core->wall_us > block->row.end_max_us) block->row.end_max_us = core->wall_us;
    TRY(task_save(core, task));
    core->ended++;
    TRY(journal_task(core, event_of(status), task, task->state.executor));
    if (task->spec.flags & SPEC_SCHEDULED)
        TRY(schedule_task_ended(core, task, status, had_lease, was_parked));
    if (task->spec.flags & SPEC_CHILD) TRY(family_child_ended(core, task, from));
    if (task->spec.flags & SPEC_PARENT) TRY(family_parent_ended(core, task));
    output_t *out = out_add(core, OUT_ENDED, 0);
    memcpy(out->id, task->spec.id, 16);
    return ERR_OK;
}

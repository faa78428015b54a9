/* SPDX-License-Identifier: Apache-2.0
 * timer.c - what has to happen later. One row each, on one of two clocks: elapsed (broker time:
 * delays, back-off, expiry) and wall (calendar: `at`, start_by). Due ones run before the commands
 * of a batch, in key order, so a late timer never lets something start that has expired. */
#include "broker/core/inside.h"

enum {
    TIMERS_PER_BATCH = 4096,
    TIMERS_ALWAYS = 16, /* however little room there is: most of them end something */
};

err_t timer_set(core_t *core, uint8_t clock, int64_t at, uint8_t kind, uint64_t n)
{
    rec_key_t key = key_timer(clock, at, kind, n);
    int64_t due = clock == CLOCK_WALL ? core->now_us + (at - core->wall_us) : at;
    if (due < core->timer_due_us) core->timer_due_us = due;
    return store_put(core->store, TABLE_timer, key_slice(&key), slice(NULL, 0), 0);
}

err_t timer_clear(core_t *core, uint8_t clock, int64_t at, uint8_t kind, uint64_t n)
{
    rec_key_t key = key_timer(clock, at, kind, n);
    return del_row(core, TABLE_timer, &key);
}

/* The first timer of a clock; *n = 0: none. */
static err_t first_of(core_t *core, uint8_t clock, int64_t *at, uint8_t *kind, uint64_t *n)
{
    rec_key_t from = key_timer(clock, INT64_MIN, 0, 0);
    slice_t key, value;
    err_t err = store_seek(core->store, TABLE_timer, key_slice(&from), false, &key, &value);
    *n = 0;
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    uint8_t found;
    if (!timer_key_decode(key, &found, at, kind, n)) return ERR_CORRUPT;
    if (found != clock) *n = 0;
    return ERR_OK;
}

static err_t expire(core_t *core, uint64_t n, uint8_t clock)
{
    task_t task;
    TRY(task_load(core, n, &task));
    if (task.status == S(RUNNING) || task.state.token != 0)
        return ERR_OK; /* it had a lease: expiry is over */
    return task_end(core, &task, S(EXPIRED),
                    clock == CLOCK_WALL ? REASON_START_BY : REASON_EXPIRED);
}

static err_t come_due(core_t *core, uint64_t n)
{
    task_t task;
    TRY(task_load(core, n, &task));
    if (task.status != S(DELAYED)) return ERR_CORRUPT;
    return task_place_ready(core, &task);
}

/* The id of a purged task, or of one that another answered for, is forgotten. */
static err_t forget_id(core_t *core, uint64_t n)
{
    /* the id is kept in the part table, so that it can be found by n */
    rec_key_t part = key_part(n, PART_TOMBSTONE, 0, 0);
    slice_t value;
    TRY(store_get(core->store, TABLE_part, key_slice(&part), &value));
    if (value.len != 16) return ERR_CORRUPT;
    rec_key_t id = key_id(value.at);
    TRY(del_row(core, TABLE_ids, &id));
    return del_row(core, TABLE_part, &part);
}

static err_t fire(core_t *core, uint8_t clock, uint8_t kind, uint64_t n)
{
    switch (kind) {
    case TIMER_DUE:
        return come_due(core, n);
    case TIMER_EXPIRE:
        return expire(core, n, clock);
    case TIMER_LOST:
        return lease_lose_for_good(core, n);
    case TIMER_TOMBSTONE:
        return forget_id(core, n);
    case TIMER_EXTERNAL:
        return external_due(core, n);
    case TIMER_FAMILY:
        return family_timer(core, n);
    default:
        return ERR_CORRUPT;
    }
}

err_t timers_run(core_t *core)
{
    unsigned left = TIMERS_PER_BATCH;
    space_cost_t cost = space_cost(SPACE_TIMER, 0, core->space.page_bytes);
    cost.grown = 0; /* what comes due was counted when it was accepted */
    static const uint8_t clocks[] = { CLOCK_ELAPSED, CLOCK_WALL };
    for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
        int64_t now = clocks[i] == CLOCK_WALL ? core->wall_us : core->now_us;
        while (left > 0) {
            int64_t at;
            uint8_t kind;
            uint64_t n;
            TRY(first_of(core, clocks[i], &at, &kind, &n));
            if (n == 0 || at > now) break;
            if (!room_take(core, &cost) && left <= TIMERS_PER_BATCH - TIMERS_ALWAYS)
                return ERR_OK; /* the rest with the next batch */
            TRY(timer_clear(core, clocks[i], at, kind, n));
            TRY(fire(core, clocks[i], kind, n));
            left--;
            core->ops++;
        }
    }
    return ERR_OK;
}

/* A wall clock may jump: look again after a second at the latest when a wall timer stands. */
void timers_look(core_t *core)
{
    core->timer_due_us = core->elapsed_due_us;
    if (core->wall_due_us == INT64_MAX) return;
    int64_t wait = core->wall_due_us - core->wall_us;
    int64_t look = core->now_us + (wait < PAWL_SEC_US ? wait : PAWL_SEC_US);
    if (look < core->timer_due_us) core->timer_due_us = look;
}

err_t timers_due(core_t *core)
{
    int64_t at;
    uint8_t kind;
    uint64_t n;
    TRY(first_of(core, CLOCK_ELAPSED, &at, &kind, &n));
    core->elapsed_due_us = n ? at : INT64_MAX;
    TRY(first_of(core, CLOCK_WALL, &at, &kind, &n));
    core->wall_due_us = n ? at : INT64_MAX;
    timers_look(core);
    return ERR_OK;
}

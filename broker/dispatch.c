/* SPDX-License-Identifier: Apache-2.0
 * dispatch.c - which executor gets which task. */
#include "broker/inside.h"

enum {
    QUANTUM_MAX = 64,
    ASSIGNED_MAX = 32 << 20, /* bytes of leases given in one batch, about */
    LATE_SHARE = 2           /* at most one late lease in so many while live ones wait */
};

static err_t choose_lanes(core_t *core, executor_t *executor)
{
    if (executor->lanes_stamp == core->lanes_stamp) return ERR_OK;
    executor->lanes_stamp = core->lanes_stamp;
    executor->lanes_n = 0;
    const char *name = executor->name->name;
    lane_t *own = map_get(&core->own_lanes, lane_own_hash(name, strlen(name)));
    size_t room = core->open_lanes_n + 1;
    for (const lane_t *lane = own; lane; lane = lane->next_own)
        room++;
    executor->lanes = mem_grow(executor->lanes, room * sizeof(lane_t *));
    for (size_t i = 0; i < core->open_lanes_n; i++)
        if (executor_serves(core, executor, core->open_lanes[i]))
            executor->lanes[executor->lanes_n++] = core->open_lanes[i];
    for (lane_t *lane = own; lane; lane = lane->next_own)
        if (executor_serves(core, executor, lane)) executor->lanes[executor->lanes_n++] = lane;
    return ERR_OK;
}

/* Whose bucket a hash lane is: of the executors that are here and could take it, the one with the
 * highest hash of (name, bucket). So a key stays where it is while its executor does, and one that
 * comes or goes moves only its own share. Memory alone: looked up when the lane has work. */
static const executor_t *owner_of(core_t *core, lane_t *lane)
{
    if (lane->owner_stamp == core->hosts_stamp) return lane->owner;
    lane->owner_stamp = core->hosts_stamp;
    lane->owner = NULL;
    uint64_t best = 0;
    for (size_t i = 0; i < core->executors_n; i++) {
        executor_t *executor = core->executors[i];
        if (executor->conn == 0 || executor->name->flags & (REG_DRAINED | REG_ENDING) ||
            !executor_serves(core, executor, lane))
            continue;
        const char *name = executor->name->name;
        uint64_t weight = hash_mix(hash64(name, strlen(name)) + (uint8_t)lane->target[0]);
        if (lane->owner == NULL || weight > best) {
            best = weight;
            lane->owner = executor;
        }
    }
    return lane->owner;
}

typedef struct choice {
    lane_t *lane;
    fresh_t first;
    bool stored;
} choice_t;

/* The smallest head of a band among the executor's lanes. */
static err_t best_of(core_t *core, executor_t *executor, uint8_t band, choice_t *best)
{
    best->lane = NULL;
    for (size_t i = 0; i < executor->lanes_n; i++) {
        lane_t *lane = executor->lanes[i];
        if (lane->waiting == 0 || lane->band != band) continue;
        const named_t *queue = name_at(core, NAME_QUEUE, lane->queue);
        if (queue->flags & REG_PAUSED) continue;
        if (lane->target_kind == TARGET_HASH && owner_of(core, lane) != executor) continue;
        fresh_t first;
        bool stored;
        TRY(lane_peek(core, lane, &first, &stored));
        if (first.n == 0) return ERR_CORRUPT; /* `waiting` said there is one */
        if (best->lane == NULL || fresh_compare(&first, &best->first) < 0)
            *best = (choice_t){ lane, first, stored };
    }
    return ERR_OK;
}

/* Late work gets at most every second lease of its queue while live work waits. */
static err_t choose(core_t *core, executor_t *executor, choice_t *choice)
{
    choice_t late;
    TRY(best_of(core, executor, BAND_LIVE, choice));
    TRY(best_of(core, executor, BAND_LATE, &late));
    if (late.lane == NULL) return ERR_OK;
    named_t *queue = name_at(core, NAME_QUEUE, late.lane->queue);
    if (choice->lane == NULL || ++queue->late_turn >= LATE_SHARE) {
        queue->late_turn = 0;
        *choice = late;
    }
    return ERR_OK;
}

/* Room for its end, and for its own rows unless it is the batch's first: one must always go. */
static bool lease_fits(core_t *core)
{
    space_cost_t cost = space_cost(SPACE_LEASE, 0, core->space.page_bytes);
    cost.grown = 0; /* the reserve of its end has that */
    if (core->space.leases_left == 0) return false;
    return room_take(core, &cost) || core->leased++ == 0;
}

/* Gives the executor up to `want` tasks; *given counts. */
static err_t give(core_t *core, executor_t *executor, uint32_t want, uint32_t *given)
{
    TRY(choose_lanes(core, executor));
    while (want > 0) {
        choice_t choice;
        if (core->assigned_bytes >= ASSIGNED_MAX) { /* memory for one batch has an end */
            core->more_to_give = true;
            return ERR_OK;
        }
        TRY(choose(core, executor, &choice));
        if (choice.lane == NULL) return ERR_OK;
        if (!lease_fits(core)) { /* its result might not */
            core->leases_wait = true;
            return ERR_OK;
        }
        TRY(lane_pop(core, choice.lane, &choice.first, choice.stored));
        bool taken;
        TRY(lease_take(core, executor, choice.lane, &choice.first, &taken));
        want -= taken;
        *given += taken;
        core->space.leases_left -= taken;
    }
    return ERR_OK;
}

static uint32_t room_of(const executor_t *executor, bool beyond_slots)
{
    if (executor == NULL || executor->conn == 0 || executor->suspect ||
        executor->name->flags & (REG_DRAINED | REG_ENDING))
        return 0;
    uint32_t most =
        beyond_slots || executor->credit < executor->slots ? executor->credit : executor->slots;
    return most > executor->held ? most - executor->held : 0;
}

/* Rounds over the executors, a quantum each, so that work spreads: first free slots, then credit
 * beyond them (the next task is already there when a slot becomes free). */
static err_t spread(core_t *core, bool beyond_slots)
{
    size_t wanting = 0;
    for (size_t i = 0; i < core->executors_n; i++)
        wanting += room_of(core->executors[i], beyond_slots) > 0;
    if (wanting == 0) return ERR_OK;
    uint64_t waiting = core->counts[S(WAITING)];
    uint64_t quantum = waiting / wanting / 4 + 1;
    if (quantum > QUANTUM_MAX) quantum = QUANTUM_MAX;
    for (bool moved = true; moved;) {
        moved = false;
        size_t start = core->executor_turn;
        for (size_t k = 0; k < core->executors_n; k++) {
            size_t at = (start + k) % core->executors_n;
            uint32_t room = room_of(core->executors[at], beyond_slots);
            if (room == 0) continue;
            uint32_t given = 0;
            TRY(give(core, core->executors[at], room < quantum ? room : (uint32_t)quantum, &given));
            if (given > 0) {
                moved = true;
                core->executor_turn = at + 1;
            }
        }
    }
    return ERR_OK;
}

err_t lanes_dispatch(core_t *core)
{
    if (!core->end_only && core->counts[S(WAITING)] > 0) {
        TRY(spread(core, false));
        TRY(spread(core, true));
    }
    if (core->unsettled_n) { /* what ended here may have let a fan-out start */
        TRY(families_settle(core));
        core->more_to_give = true;
    }
    return lanes_store(core);
}

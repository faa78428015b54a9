/* SPDX-License-Identifier: Apache-2.0
 * dispatch.c - which executor gets which task. */
#include "broker/core/inside.h"

enum {
    QUANTUM_MAX = 64,
    ASSIGNED_MAX = 32 << 20, /* bytes of leases given in one batch, about */
    LATE_SHARE = 2           /* at most one late lease in so many while live ones wait */
};

/* ---- whose a lane is ------------------------------------------------------------------------- */

/* How much an executor wants the bucket of a hash lane. */
static uint64_t weight_of(const executor_t *executor, const lane_t *lane)
{
    const char *name = executor->name->name;
    return hash_mix(hash64(name, strlen(name)) + (uint8_t)lane->target[0]);
}

/* Who serves the lane of a host, or has the bucket of a hash: of the executors that are here and
 * could take it, the one with the highest hash of (name, bucket). So a key stays where it is while
 * its executor does, and one that comes or goes moves only its own share. Memory alone: looked up
 * when the lane has work. */
static void know_servers(const core_t *core, lane_t *lane)
{
    if (lane->servers_stamp == core->hosts_stamp) return;
    lane->servers_stamp = core->hosts_stamp;
    lane->servers_n = lane->turn = 0;
    size_t room = 0;
    for (size_t i = 0; i < core->executors_n; i++) {
        executor_t *executor = core->executors[i];
        if (executor->conn == 0 || executor->name->flags & (REG_DRAINED | REG_ENDING) ||
            !executor_serves(executor, lane))
            continue;
        if (lane->servers_n == room) {
            room = room ? 2 * room : 1;
            lane->servers = mem_grow(lane->servers, room * sizeof(executor_t *));
        }
        if (lane->target_kind == TARGET_HOST)
            lane->servers[lane->servers_n++] = executor;
        else if (lane->servers_n == 0 ||
                 weight_of(executor, lane) > weight_of(lane->servers[0], lane))
            lane->servers[0] = executor, lane->servers_n = 1;
    }
}

static void know_crews(const core_t *core, lane_t *lane)
{
    if (lane->crews_stamp == core->crews_stamp) return;
    lane->crews_stamp = core->crews_stamp;
    lane->crews_n = lane->turn = lane->turn_left = 0;
    lane->crews = mem_grow(lane->crews, (core->crews_n + 1) * sizeof(crew_t *));
    for (size_t i = 0; i < core->crews_n; i++)
        if (crew_serves(core->crews[i], lane)) lane->crews[lane->crews_n++] = core->crews[i];
}

const executor_t *lane_server(core_t *core, lane_t *lane)
{
    know_servers(core, lane);
    return lane->servers_n > 0 ? lane->servers[0] : NULL;
}

/* Of the lanes of its crew, and of those that hang on a hash like its name's. */
static bool is_for(core_t *core, lane_t *lane, const executor_t *executor)
{
    switch (lane->target_kind) {
    case TARGET_EXECUTOR:
        return executor_serves(executor, lane);
    case TARGET_HOST:
        return executor_has_host(executor, lane->target);
    case TARGET_HASH:
        return lane_server(core, lane) == executor;
    default:
        return true;
    }
}

/* ---- which task ------------------------------------------------------------------------------ */

typedef struct choice {
    lane_t *lane;
    fresh_t first;
    bool stored;
} choice_t;

static bool is_paused(core_t *core, const lane_t *lane)
{
    return name_at(core, NAME_QUEUE, lane->queue)->flags & REG_PAUSED;
}

/* The lane's head, if it comes before the best of its band so far. */
static err_t compare(core_t *core, const executor_t *executor, lane_t *lane, choice_t *best)
{
    fresh_t first;
    bool stored;
    if (lane->waiting == 0 || is_paused(core, lane) || !is_for(core, lane, executor)) return ERR_OK;
    TRY(lane_peek(core, lane, &first, &stored));
    if (first.n == 0) return ERR_CORRUPT; /* `waiting` said there is one */
    best += lane->band;
    if (best->lane == NULL || fresh_compare(&first, &best->first) < 0)
        *best = (choice_t){ lane, first, stored };
    return ERR_OK;
}

/* The first task of all lanes that the executor may serve. Late work gets at most every second
 * lease of its queue while live work waits. */
static err_t choose(core_t *core, const executor_t *executor, choice_t *choice)
{
    choice_t best[BANDS];
    const crew_t *crew = executor->crew;
    best[BAND_LIVE].lane = best[BAND_LATE].lane = NULL;
    for (size_t i = 0; i < crew->lanes_n; i++)
        TRY(compare(core, executor, crew->lanes[i], best));
    for (lane_t *lane = map_get(&core->own_lanes, executor->own_hash); lane; lane = lane->next_own)
        TRY(compare(core, executor, lane, best));
    *choice = best[BAND_LIVE];
    if (best[BAND_LATE].lane == NULL) return ERR_OK;
    named_t *queue = name_at(core, NAME_QUEUE, best[BAND_LATE].lane->queue);
    if (choice->lane == NULL || ++queue->late_turn >= LATE_SHARE) {
        queue->late_turn = 0;
        *choice = best[BAND_LATE];
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

/* Memory for one batch has an end, and so has the room for results: then nobody gets more. */
static bool has_stopped(const core_t *core)
{
    return core->leases_wait || core->assigned_bytes >= ASSIGNED_MAX;
}

/* Gives the executor up to `want` tasks; *given counts. */
static err_t give(core_t *core, executor_t *executor, uint32_t want, uint32_t *given)
{
    crew_choose_lanes(core, executor->crew);
    while (want > 0 && !has_stopped(core)) {
        choice_t choice;
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

/* ---- who is asked ---------------------------------------------------------------------------- */

/* Work spreads: each gets a quantum when its turn comes. */
static uint32_t quantum_of(const core_t *core, size_t wanting)
{
    uint64_t quantum = core->counts[S(WAITING)] / (wanting ? wanting : 1) / 4 + 1;
    return quantum < QUANTUM_MAX ? (uint32_t)quantum : QUANTUM_MAX;
}

static err_t ask(core_t *core, executor_t *executor, uint32_t quantum, bool *took)
{
    uint32_t most = executor->credit;
    if (executor->room == ROOM_SLOT && executor->slots < most) most = executor->slots;
    CHECK(most > executor_used(executor)); /* else it would not stand in that line */
    uint32_t room = most - executor_used(executor), given = 0;
    TRY(give(core, executor, room < quantum ? room : quantum, &given));
    *took = given > 0;
    crew_line_up(core, executor);
    crew_to_the_end(core, executor);
    return ERR_OK;
}

static executor_t *first_server(core_t *core, lane_t *lane, enum room room)
{
    know_servers(core, lane);
    for (size_t tried = 0; tried < lane->servers_n; tried++) {
        executor_t *executor = lane->servers[lane->turn];
        lane->turn = (lane->turn + 1) % lane->servers_n;
        if (executor->room == room) return executor;
    }
    return NULL;
}

/* Round by round over the crews, each as often as there are executors in its line. */
static executor_t *first_in_line(core_t *core, lane_t *lane, enum room room)
{
    know_crews(core, lane);
    for (size_t tried = 0; core->with_room[room] > 0 && tried <= lane->crews_n; tried++) {
        struct crew_line *line = NULL;
        if (lane->turn_left > 0) line = &lane->crews[lane->turn]->lines[room];
        if (line && line->first) {
            lane->turn_left--;
            return line->first;
        }
        if (lane->crews_n == 0) return NULL;
        lane->turn = (lane->turn + 1) % lane->crews_n;
        lane->turn_left = lane->crews[lane->turn]->lines[room].n;
    }
    return NULL;
}

/* Whose turn it is; NULL: nobody who has such room may serve the lane. */
static executor_t *next_for(core_t *core, lane_t *lane, enum room room)
{
    if (lane->target_kind == TARGET_HOST || lane->target_kind == TARGET_HASH)
        return first_server(core, lane, room);
    if (lane->target_kind != TARGET_EXECUTOR) return first_in_line(core, lane, room);
    const named_t *name = name_find(core, NAME_EXECUTOR, lane->target);
    executor_t *executor = name ? name->executor : NULL;
    bool fits = executor && executor->room == room && executor_serves(executor, lane);
    return fits ? executor : NULL;
}

/* Something waits there now: whoever has room for it is asked, until nobody has, or nothing waits.
 */
static err_t serve(core_t *core, lane_t *lane, enum room room)
{
    if (is_paused(core, lane)) return ERR_OK;
    executor_t *executor;
    uint32_t quantum = quantum_of(core, core->with_room[room]);
    for (bool took = true; took && lane->waiting > 0 && !has_stopped(core);) {
        if ((executor = next_for(core, lane, room)) == NULL) return ERR_OK;
        TRY(ask(core, executor, quantum, &took));
    }
    return ERR_OK;
}

/* While this goes on, expired tasks may let others wait, in lanes that open behind. */
static err_t serve_opened(core_t *core)
{
    for (size_t from = 0, upto; from < core->opened_lanes_n; from = upto) {
        upto = core->opened_lanes_n;
        for (size_t i = from; i < upto; i++)
            core->opened_lanes[i]->opened = false;
        for (enum room room = ROOM_SLOT; room < ROOMS; room++)
            for (size_t i = from; i < upto; i++)
                TRY(serve(core, core->opened_lanes[i], room));
    }
    core->opened_lanes_n = 0;
    return ERR_OK;
}

/* Those whose room has changed, round by round, for what waited before. */
static err_t ask_changed(core_t *core, enum room room)
{
    size_t wanting = 0;
    for (size_t i = 0; i < core->asking_n; i++)
        wanting += core->asking[i]->room == room;
    uint32_t quantum = quantum_of(core, wanting);
    for (bool again = wanting > 0; again && !has_stopped(core);) {
        again = false;
        for (size_t i = 0; i < core->asking_n; i++) {
            bool took = false;
            if (core->asking[i]->room == room) TRY(ask(core, core->asking[i], quantum, &took));
            again |= took;
        }
    }
    return ERR_OK;
}

/* Everybody with room: after a stop, a pause that ended, memory that was read anew. */
static err_t ask_everybody(core_t *core, enum room room)
{
    uint32_t quantum = quantum_of(core, core->with_room[room]);
    for (bool again = true; again && !has_stopped(core);) {
        again = false;
        for (size_t i = 0; i < core->crews_n; i++) {
            struct crew_line *line = &core->crews[i]->lines[room];
            for (size_t left = line->n; left > 0 && line->first && !has_stopped(core); left--) {
                bool took = false;
                TRY(ask(core, line->first, quantum, &took));
                again |= took;
            }
        }
    }
    return ERR_OK;
}

/* Afterwards nobody has room for anything that waits and that he may serve, unless dispatch had to
 * stop. So next time only those are looked at that have changed, and lanes where nothing waited. */
static err_t match(core_t *core)
{
    bool everybody = core->ask_all;
    core->ask_all = false;
    if (!everybody) TRY(serve_opened(core));
    for (enum room room = ROOM_SLOT; room < ROOMS; room++)
        TRY((everybody ? ask_everybody : ask_changed)(core, room));
    TRY(serve_opened(core));
    core->ask_all = has_stopped(core);
    return ERR_OK;
}

/* Who comes or goes may hand buckets to others, and these have not changed. */
static void open_buckets(core_t *core)
{
    if (core->hosts_seen == core->hosts_stamp) return;
    core->hosts_seen = core->hosts_stamp;
    for (size_t i = 0; i < core->open_lanes_n; i++)
        if (core->open_lanes[i]->target_kind == TARGET_HASH) lane_opened(core, core->open_lanes[i]);
}

err_t lanes_dispatch(core_t *core)
{
    bool waits = core->counts[S(WAITING)] > 0;
    for (size_t i = 0; i < core->asking_n; i++)
        crew_line_up(core, core->asking[i]);
    open_buckets(core);
    if (core->end_only)
        core->ask_all = true;
    else if (waits)
        TRY(match(core));
    for (size_t i = 0; i < core->asking_n; i++)
        core->asking[i]->asks = false;
    core->asking_n = 0;
    if (core->assigned_bytes >= ASSIGNED_MAX) core->more_to_give = core->counts[S(WAITING)] > 0;
    if (core->unsettled_n) { /* what ended here may have let a fan-out start */
        TRY(families_settle(core));
        core->more_to_give = true;
    }
    return lanes_store(core);
}

/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/host_inside.h - what the files of the broker's process share: host.c, host_in.c and
 * host_out.c. Nobody else looks inside. */
#ifndef SIM_HOST_INSIDE_H
#define SIM_HOST_INSIDE_H

#include "tests/sim/sim.h"

typedef struct item {
    conn_t conn;
    uint64_t seq;
    uint32_t items;
    size_t bytes;
    bool counted, hello, bye, answer;
} item_t;

typedef struct release { /* what waits for its commit */
    struct release *next;
    outputs_t out;
    command_t *commands;
    item_t *items;
    size_t n;
    bool refused;
} release_t;

struct host {
    store_t *store;
    core_t *core;
    sessions_t *sessions;
    uint64_t life;
    bool up, stepping;
    int64_t stalled_until_us, ticked_us;
    wire_arena_t arena; /* of the open batch */
    command_t *commands;
    item_t *items;
    size_t n, room;
    bool newer_zone, no_zone;
    bool edits; /* the open batch changes a schedule */
    command_t *again;
    size_t again_n;
    outputs_t out;
    release_t *first, **last;
    int64_t due_us;                    /* the timer that is posted */
    uint64_t commits, audits, written; /* written: bytes of rows since the last audit */
    memstore_commit_t how;             /* of the last commit */
    char folder[64];
};

static inline moment_t host_moment(const sim_t *sim)
{
    return (moment_t){ sim->now_us, sim_wall_us(sim) };
}

/* host.c */
bool host_step(sim_t *sim); /* what waits is one batch; false: the process died of it */

/* host_in.c: frames and zones become commands of the next batch. */
void host_frame(sim_t *sim, const event_t *event);
void host_load_zones(void);
void host_tell_zone(sim_t *sim); /* what is in the file of Europe/Paris now */

/* host_out.c: a command is added to the next batch; answers; what the first commit let go. */
command_t *host_add(sim_t *sim, command_kind_t kind, item_t item);
void host_answer(sim_t *sim, uint64_t route, uint64_t seq, Pawl__V1__Reply *reply);
void host_refuse(sim_t *sim, uint64_t route, uint64_t seq, err_t err);
void host_release(sim_t *sim);
void host_drop_releases(host_t *host);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/front/front_inside.h - what the files of the front share; nobody else includes it.
 *   front.c   the loop: batches to and from the writer, ticks, numbers
 *   front_stats.c answers with numbers
 *   release.c what leaves for peers
 *   intake.c  one frame: decode, session, limits, whose it is
 *   roster.c  lists of peers and executors from the session table */
#ifndef BROKER_FRONT_INSIDE_H
#define BROKER_FRONT_INSIDE_H

#include "broker/front/front.h"
#include "broker/stats.h"
#include "schemas/wire.h"

enum { SEND_HWM = 4096 }; /* frames on the way to one peer before it counts as slow */

/* A packed Reply of the front itself, on its way out; waits for no batch. */
typedef struct parcel {
    route_t route;
    uint64_t seq;   /* of a request that may be refused instead; 0: none */
    size_t at, len; /* in front->parcel_bytes */
} parcel_t;

/* A StatsGet or StatusGet that waits for fresh numbers. */
typedef struct asker {
    conn_t conn;
    uint64_t seq;
    size_t bytes;
    bool status; /* StatusGet */
} asker_t;

struct front {
    front_config_t config;
    door_t *door;
    int64_t door_us; /* steady: when it was last asked for changed keys */
    zactor_t *actor;
    zsock_t *router_sock;
    void *router; /* the same, raw */
    sessions_t *sessions;
    int64_t started_us, started_steady_us, drained_us, ticked_us, published_us, zones_us;
    int64_t sent_us; /* something left for a peer */
    moment_t now;

    job_t *open;                 /* being filled; NULL: none yet */
    job_t *sealed, *sealed_last; /* full, in order */
    size_t sealed_n;
    job_t *idle;       /* empty ones */
    job_t *returned;   /* durable, about to be released */
    unsigned jobs_out; /* in the writer's hands */
    query_t *readers_out, *logs_out;
    size_t waiting_out; /* queries in the hands of readers */

    command_t *again; /* of batches that were refused: told again with the next tick */
    size_t again_n, again_room;
    parcel_t *parcels;
    size_t parcels_n, parcels_room;
    buf_t parcel_bytes;
    asker_t *askers;
    size_t askers_n, askers_room;
    writer_stats_t *last_stats;
    stats_window_t *window;
    bool want_publish, stats_asked;
    int want_events; /* to be told to core; -1: nothing new */

    bool stopping;
    uint64_t requests, rejected_frames, undelivered, slow_peers, poisoned, logs_lost;
};

/* Room for more: the batch that is being filled, or a new one. */
job_t *front_open(front_t *self);
/* Closes the open batch, so that the next command begins another. */
void front_seal(front_t *self);
/* A command of the broker's own (LOST, GONE, UNDELIVERED, PURGE). */
command_t *front_tell(front_t *self, command_kind_t kind, conn_t conn);
/* Answers by the front itself; magic and seq are set. */
void front_reply(front_t *self, route_t route, uint64_t seq, Pawl__V1__Reply *reply);
void front_refuse(front_t *self, route_t route, uint64_t seq, err_t err, int64_t retry_after_us,
                  const char *format, ...) PRINTF_LIKE(6, 7);
/* Fresh numbers of core came: answers who asked for them, hands them to be published. Takes
 * `stats`. */
void front_on_stats(front_t *self, writer_stats_t *stats);
/* Ends the session, if it is live, and the connection. */
void front_cut(front_t *self, session_t *session, const char *why);
void front_cut_slow(front_t *self, session_t *session);
/* A query changes hands: to an actor, and back. */
void front_give(front_t *self, query_t *query, void *socket, query_t **list);
void front_take_back(query_t *query, query_t **list);

/* One frame. */
void intake_frame(front_t *self, route_t route, zmq_msg_t *frame);
/* Hands the zones to core whose files have changed. */
void intake_zones(front_t *self);
/* A Report whose chunks are committed goes on to core. */
void intake_report(front_t *self, query_t *query);
/* For the record: the commands that are no request. */
void intake_record(front_t *self, job_t *job, const command_t *command, slice_t frame);

/* Lists, in memory of `arena`. */
void roster_peers(sessions_t *sessions, moment_t now, const Pawl__V1__PeerList *ask,
                  wire_arena_t *arena, Pawl__V1__PeerItems *items);
void roster_executors(sessions_t *sessions, const Pawl__V1__ExecutorList *ask, wire_arena_t *arena,
                      Pawl__V1__ExecutorItems *items);
/* Who looks after schedules, and after which; for the arena's life. */
const followers_t *roster_followers(sessions_t *sessions, moment_t now, wire_arena_t *arena);
void roster_count(sessions_t *sessions, int64_t steady_us, front_numbers_t *numbers);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/front/session.h - who is connected: sessions, their liveness, and what they have in
 * flight.
 *
 * Pure: no socket, clock, thread or lock inside; times are arguments (steady: monotonic
 * microseconds; wall: microseconds since 1970 UTC). Owned by the front; the simulator drives the
 * very same code.
 *
 * Life: hello -> CONNECTING, activate (core's Welcome is durable) -> ACTIVE; silent for suspect_us
 * -> SUSPECT (an executor gets no new work: sessions_suspects), any request -> ACTIVE again; silent
 * for lease_us -> LOST; Bye or replaced -> GONE.
 * Every request renews, also one that is refused. Nothing is written for a renewal. LOST and GONE
 * entries stay in lists for a while and take no request.
 *
 * A session is found by its route (the transport's handle of the connection, never told to anybody)
 * or by its conn (the dense number by which core knows it; a new one for every Hello). */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include "broker/core/core.h"
#include "broker/front/access.h"
#include "broker/unread.h"
#include "client/base/base.h"
#include "schemas/pawl.pb-c.h"

typedef uint64_t route_t;

typedef enum {
    SESSION_CONNECTING = 1, /* Hello came, core has not answered yet */
    SESSION_ACTIVE,
    SESSION_SUSPECT,
    SESSION_LOST,
    SESSION_GONE,
} session_state_t;

typedef struct session {
    conn_t conn;
    route_t route;
    session_state_t state;
    uint8_t id[16];                /* from Welcome */
    uint64_t seq;                  /* highest taken */
    Pawl__V1__Hello *hello;        /* owned copy, without claims */
    char *principal;               /* "uid:1000", or the name of its key */
    access_role_t access;          /* what it may ask for */
    char address[64];              /* of the connection, as the transport tells; "" over ipc */
    int64_t last_us, last_wall_us; /* last request */
    int64_t since_wall_us;         /* Hello */
    int64_t ended_us;              /* steady: LOST or GONE since */
    uint64_t requests;             /* taken in this session */
    uint32_t requests_in_flight, items_in_flight;
    uint64_t bytes_in_flight;
    unread_t *unread;        /* of the connection: what was sent on it and not taken yet */
    connection_t connection; /* for cutting it off */
    uint64_t taken;          /* unread_taken when it last rose */
    int64_t taken_us;        /* steady: then, or when last nothing waited */
    uint32_t in_logs;     /* reports that wait for their chunks: what follows waits behind them */
    uint64_t assign_seen; /* highest that was passed on to core */
    uint32_t held;        /* leases, as core told last */
    uint32_t credit;      /* leases it may hold, as it told last */
    bool load_known;      /* it told the load of its machine: */
    uint32_t load_milli;  /* average of a minute x 1000 */
    bool draining;
    bool cut;          /* sessions_deaf has reported it */
    char *follows;     /* owned: the selector of its ScheduleFollow; NULL: it follows none */
    bool suspect_told; /* its last change in sessions_suspects */
} session_t;

typedef struct sessions_config {
    int64_t lease_us, suspect_us;
    int64_t keep_ended_us;            /* how long ended sessions are listed */
    uint32_t ended_max;               /* and at most so many */
    uint32_t peers_max;               /* live sessions */
    uint32_t requests_max, items_max; /* in flight, per peer */
    /* Bytes of a peer and of all: requests in flight, and, counted apart, answers and pushes that
     * were not read. A peer may leave UNREAD_MOST times as much unread before it is cut off. */
    uint64_t bytes_max, bytes_all_max;
} sessions_config_t;
enum { UNREAD_MOST = 2 };
void sessions_config_default(sessions_config_t *config);

typedef struct sessions sessions_t;
sessions_t *sessions_new(const sessions_config_t *config);
void sessions_destroy(sessions_t **self_p);

typedef struct moment {
    int64_t steady_us, wall_us;
} moment_t;

/* A Hello on `route`. ERR_OK: *conn is its new number and counts as CONNECTING with `seq` taken;
 * *replaced is the live session that stood on the same route until now (it is GONE; core must be
 * told CMD_GONE first), 0 if none. ERR_BUSY: too many peers. */
MUST_CHECK err_t sessions_hello(sessions_t *self, route_t route, const Pawl__V1__Hello *hello,
                                const char *principal, const char *address, uint64_t seq,
                                moment_t now, conn_t *conn, conn_t *replaced);
/* Core's Welcome for `conn` is durable: requests with session `id` are taken from now on. False:
 * the session has ended meanwhile. */
bool sessions_activate(sessions_t *self, conn_t conn, const uint8_t id[16], moment_t now);

/* A request on `route`. Renews the session. ERR_OK: *out is the session, `seq` is taken, the
 * request counts as in flight until sessions_done. Otherwise nothing is in flight:
 *   ERR_NO_SESSION    nobody said Hello on the route, or `id` is another session's
 *   ERR_SESSION_LOST  the session ended by silence
 *   ERR_EMPTY         seq was seen before: drop the frame without an answer
 *   ERR_BUSY          too much in flight; *limit (static text) names the limit; seq is not taken */
MUST_CHECK err_t sessions_take(sessions_t *self, route_t route, slice_t id, uint64_t seq,
                               uint32_t items, size_t bytes, moment_t now, session_t **out,
                               const char **limit);
/* A frame with session `id` came that could not be decoded: that too shows that its sender lives.
 */
void sessions_renew(sessions_t *self, route_t route, slice_t id, moment_t now);
/* A request that sessions_take counted was answered (or will never be). */
void sessions_done(sessions_t *self, conn_t conn, uint32_t items, size_t bytes);

/* Would an answer of `bytes` more leave more unread than a peer may? Then it is told BUSY instead.
 */
bool sessions_too_much_unread(const sessions_t *self, const session_t *session, size_t bytes);
/* So much was handed over: on the count of all, until sessions_deaf counts again. */
void sessions_sent(sessions_t *self, size_t bytes);
/* Those that do not read, for being cut off: who took nothing for lease_us of what waits for it,
 * who leaves more than UNREAD_MOST times its limit, and, while all together leave more than the
 * limit of all, who leaves most (one a call, so that what is being freed is not counted against the
 * next). Ended sessions too: their connection may still hold what was sent. Each is reported once.
 * Fills up to `room` and returns how many (call again when full). Counts what waits for all: to be
 * called every few 100 ms. */
size_t sessions_deaf(sessions_t *self, moment_t now, conn_t *conns, size_t room);
uint64_t
sessions_unread(const sessions_t *self); /* bytes, as sessions_deaf counted last, and sent since */

/* Ends the session of `conn` as `state` (LOST or GONE); no effect when it has ended. */
void sessions_end(sessions_t *self, conn_t conn, session_state_t state, moment_t now);

/* NULL: never seen, or forgotten. Valid until the next call that is not a const one. */
session_t *sessions_by_conn(sessions_t *self, conn_t conn);
session_t *sessions_by_route(sessions_t *self, route_t route);
bool session_live(const session_t *session); /* connecting, active or suspect */
/* It looks after the schedules that `select` chooses. */
void session_follows(session_t *session, const char *select);
/* Live, and heard of within suspect_us. */
bool sessions_alive(const sessions_t *self, const session_t *session, int64_t steady_us);
/* What the list of peers says: a client's requests are its heartbeats, so it is alive until
 * suspect_us after its last one, also when that one was a Goodbye: most clients are commands that
 * say it within milliseconds. */
bool sessions_listed_alive(const sessions_t *self, const session_t *session, int64_t steady_us);

/* To be called at least every few 100 ms. When the caller did not run for more than 1 s (stopped,
 * suspended, starved), everybody's silence of that time is forgiven: leases grow by the gap. */
void sessions_ran(sessions_t *self, int64_t steady_us);

/* Applies silence. `drained_us`: the steady time at which the transport was last seen empty; only
 * who was silent for a lease at that time is lost, so a busy broker never declares somebody lost
 * whose requests wait in its own socket. Fills up to `room` endings and returns how many (call
 * again when full): executors end as LOST, other roles as GONE. Forgets old ended entries. */
typedef struct session_ending {
    conn_t conn;
    session_state_t state;
    uint64_t silent_us;
} session_ending_t;
size_t sessions_expire(sessions_t *self, int64_t drained_us, moment_t now,
                       session_ending_t *endings, size_t room);

/* Executors that became suspect, or were heard of again, since the last call; core is told
 * CMD_SUSPECT. Fills up to `room` and returns how many (call again when full); after
 * sessions_expire. Free when nobody is suspect. */
typedef struct suspicion {
    conn_t conn;
    bool suspect;
} suspicion_t;
size_t sessions_suspects(sessions_t *self, suspicion_t *changes, size_t room);

/* In order of conn; NULL at the end: for (s = sessions_next(t, 0); s; s = sessions_next(t,
 * s->conn)) */
session_t *sessions_next(sessions_t *self, conn_t after);
uint32_t sessions_count(const sessions_t *self); /* live ones */
uint64_t sessions_bytes_in_flight(const sessions_t *self);

#endif

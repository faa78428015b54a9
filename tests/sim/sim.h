/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim.h - a world of one broker and many peers, in simulated time, from one seed.
 *
 * One thread, no clock, no entropy: everything that happens follows from the seed. The broker's
 * core, session table and wire code are the product's; links, peers and the judge are written here
 * and share nothing with it but messages. Times are microseconds. A seed ends with its first
 * failure (sim_fail) or when its events are used up and the healed world has come to rest. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "broker/core/core.h"
#include "broker/front/session.h"
#include "broker/store/family_record.h"
#include "broker/store/record.h"
#include "tests/sim/memstore.h"

#define SEC_US           INT64_C(1000000)
#define SHORT_HISTORY_US (20 * SEC_US) /* tasks are kept, where history is short */
#define T(name)          PAWL__V1__TASK_STATUS__STATUS_##name

typedef struct sim sim_t;

/* ---- what a seed draws: which faults there are, and how often -------------------------------- */

typedef struct swarm {
    unsigned clients, executors, schedulers, schedules;
    int64_t lease_us, tick_us, latency_us, commit_us;
    unsigned loss;      /* of 1000 messages */
    unsigned twice;     /* of 1000 frames to the broker: delivered twice */
    unsigned cut;       /* of 1000 ticks of a peer: its connection breaks */
    unsigned partition; /* of 1000 ticks of a peer: it is cut off, or one of its directions is */
    unsigned crash;     /* of 1000 steps: the broker dies between commit and release */
    unsigned commit_unknown, commit_refused;                /* of 1000 commits */
    unsigned put_full;                                      /* of 100,000 puts */
    unsigned stall;                                         /* of 1000 ticks of the broker */
    unsigned executor_crash, executor_freeze, executor_bye; /* of 1000 of its ticks */
    unsigned wall_step; /* of 1000 ticks of the broker: the calendar clock jumps */
    int64_t wall_most_us;
    unsigned purge, rezone;
    unsigned children_at_once; /* 0: as many as usual */
    bool fanouts, producers;
    bool choices; /* schedulers choose schedules by labels */
    bool tiny_limits, lmdb, short_history, slow_schedules, years, by_hand, keys;
    uint64_t map_bytes; /* 0: plenty */
} swarm_t;

/* ---- what a run should come by --------------------------------------------------------------- */

// clang-format off
#define METS(X) \
    X(CRASH_BEFORE, "crash before commit") \
    X(CRASH_AFTER, "crash after commit") \
    X(COMMIT_APPLIED, "unknown commit, applied") \
    X(COMMIT_LOST, "unknown commit, lost") \
    X(COMMIT_REFUSED, "commit refused") \
    X(LMDB, "seed on disk") \
    X(STALL, "stall") \
    X(WALL_STEP, "clock step") \
    X(LOST, "executor lost") \
    X(ASSIGN_GAP, "assign missed") \
    X(FINISHED, "finished") \
    X(FAILED, "failed") \
    X(CANCELLED, "cancelled") \
    X(SUPERSEDED, "superseded") \
    X(EXPIRED, "expired") \
    X(AGAIN, "run again by hand") \
    X(RESUMED, "lease resumed") \
    X(RECOVERED, "RECOVERED") \
    X(STALE, "STALE") \
    X(LATE, "LATE") \
    X(UNKNOWN, "UNKNOWN") \
    X(KEEP, "KEEP") \
    X(STOP, "STOP") \
    X(REPEATED, "reply repeated") \
    X(KEY, "answered by key") \
    X(FULL, "refused: full") \
    X(BUSY, "refused: busy") \
    X(POLLED, "asked again") \
    X(EXTERNAL, "external") \
    X(COMPLETED, "completed by token") \
    X(CUT_OFF, "exclusive attempt cut off") \
    X(PURGED, "purged") \
    X(FORGOTTEN, "id forgotten") X(FORGOTTEN_REPLY, "reply forgotten") \
    X(PARKED, "parked") \
    X(SCOPED, "counted together") X(TOGETHER, "two of one scope") X(APART, "a range counted apart") \
    X(FIRED, "fired") \
    X(CATCHUP, "caught up") \
    X(SKIP_LATE, "skipped: late") \
    X(SKIP_OVERLAP, "skipped: overlap") \
    X(SKIP_WINDOW, "skipped: window") \
    X(SKIP_PAUSED, "skipped: paused") \
    X(SKIP_EDITED, "skipped: edited") \
    X(SKIP_REMOVED, "skipped: removed") \
    X(FOLDED, "folded") X(SPLIT, "backlog split") X(BACKFILL, "backfill") \
    X(RANGE_DONE, "range done") X(RANGE_CANCELLED, "range cancelled") \
    X(RANGE_STOPPED, "range stopped") \
    X(CONFLICT, "CONFLICT") \
    X(TOO_EARLY, "TOO_EARLY") \
    X(HELD, "HELD") \
    X(GONE, "GONE") \
    X(REZONED, "new zone data") \
    X(ZONELESS, "zone gone") \
    X(ALONE, "nobody looks after it") X(ATTENDED, "somebody does again") \
    X(DELAY, "fixed delay") \
    X(UNION, "several rules") \
    X(CALENDAR, "calendar") \
    X(FANNED, "fan-out finished") \
    X(FAN_FAILED, "fan-out failed") \
    X(REST, "fan-out ended before its last child") \
    X(SKIPPED, "child skipped") \
    X(AWAY, "child expired") \
    X(CHOSEN, "members chosen") X(SO_MANY, "so many members chosen") \
    X(NOBODY, "fan-out without members") X(JOINED, "child joined") X(PASS, "done to all children of a fan-out, some at a time") \
    X(ROW, "row became a task") \
    X(ROWS_AGAIN, "rows sent again") \
    X(WENT_ON, "went on behind a watermark") \
    X(REPLACED, "a producer's watermark was changed under it") X(REHEARSED, "outage rehearsed")
// clang-format on
typedef enum {
#define X(name, text) MET_##name,
    METS(X)
#undef X
        MET_KINDS
} met_t;
void sim_met(met_t what);

/* Outages of some schedule of this store are rehearsed (outage.c). */
void outage_rehearse(sim_t *sim, store_t *store, uint64_t nth);

/* ---- events ---------------------------------------------------------------------------------- */

typedef enum {
    EV_TO_BROKER, /* life: route */
    EV_TO_PEER,   /* life: route */
    EV_CONNECT,
    EV_TICK, /* of a peer */
    EV_WAKE, /* of an executor: an attempt ends; life: its incarnation's number */
    EV_STEP, /* the rest: life: the broker's */
    EV_RELEASE,
    EV_BROKER_TICK,
    EV_START,
} event_kind_t;

typedef struct event {
    int64_t at_us;
    uint64_t order;
    event_kind_t kind;
    uint32_t peer;
    uint64_t life;
    uint8_t *bytes; /* owned */
    size_t len;
} event_t;

/* ---- peers ----------------------------------------------------------------------------------- */

typedef enum { PEER_CLIENT, PEER_EXECUTOR, PEER_SCHEDULER } peer_role_t;

typedef struct pending {
    uint64_t seq;
    int64_t sent_us;
    uint8_t *body; /* packed Request without seq and session */
    size_t len;
    unsigned kind;
    uint64_t note; /* the asker's own */
} pending_t;

typedef struct peer {
    peer_role_t role;
    uint32_t index;
    char name[32], host[32];
    uint8_t incarnation[16];
    uint64_t life;
    /* the link: a route is one connection, 0 = none */
    uint64_t route;
    int64_t up_at_us, down_at_us;
    int64_t cut_until_us, mute_up_until_us, mute_down_until_us;
    bool connecting;
    /* the session */
    bool welcomed;
    uint8_t session[16];
    uint64_t seq, hello_seq;
    int64_t hello_us, sent_us;
    int64_t answered_us; /* when the last request that was answered left */
    pending_t *pending;
    size_t pending_n, pending_room;
    int64_t frozen_until_us, dead_until_us;
    void *self; /* client_t, worker_t or planner_t */
} peer_t;

/* ---- the world ------------------------------------------------------------------------------- */

typedef struct host host_t;   /* the broker's process: host.c */
typedef struct judge judge_t; /* the model: judge.c */

struct sim {
    uint64_t seed, random;
    swarm_t swarm;
    int64_t now_us, wall_shift_us, wall_most_us;
    event_t *heap;
    size_t heap_n, heap_room;
    uint64_t order, events, events_max;
    bool quiet; /* no faults any more */
    int64_t quiet_us;
    peer_t *peers;
    size_t peers_n;
    uint32_t *routes; /* route -> peer */
    size_t routes_n, routes_room;
    host_t *host;
    judge_t *judge;
    wire_arena_t arena; /* of what a peer decodes */
    uint64_t hash;
    bool verbose, failed;
    char failure[800];
};

void sim_fail(sim_t *sim, const char *format, ...) PRINTF_LIKE(2, 3);
void sim_say(const sim_t *sim, const char *format, ...) PRINTF_LIKE(2, 3); /* --verbose */
uint64_t sim_random(sim_t *sim);
uint64_t sim_below(sim_t *sim, uint64_t n);
int64_t sim_between(sim_t *sim, int64_t low, int64_t high);
bool sim_chance(sim_t *sim, unsigned of_1000); /* false once the world is quiet */
bool sim_coin(sim_t *sim, unsigned of_100);    /* whatever the world */
void sim_bytes(sim_t *sim, uint8_t *to, size_t len);
int64_t sim_wall_us(const sim_t *sim);
void sim_hash(sim_t *sim, const void *bytes, size_t len);
void sim_post(sim_t *sim, event_kind_t kind, int64_t at_us, uint32_t peer, uint64_t life,
              const uint8_t *bytes, size_t len);
const char *hex(const uint8_t *bytes, size_t len); /* short, in a static ring */

/* links (link.c) */
void link_break(sim_t *sim, peer_t *peer);
void link_up(sim_t *sim, peer_t *peer, const uint8_t *bytes, size_t len);
bool link_down(sim_t *sim, uint64_t route, const uint8_t *bytes, size_t len); /* false: nobody */
void link_connect(sim_t *sim, peer_t *peer);
void links_break_all(sim_t *sim); /* the broker's process is gone */

/* peers (peer.c) */
void peer_start(sim_t *sim, peer_t *peer, peer_role_t role, uint32_t index, uint32_t nth);
void peer_free(peer_t *peer);
void peer_ask(sim_t *sim, peer_t *peer, Pawl__V1__Request *request, unsigned kind, uint64_t note);
void peer_tick(sim_t *sim, peer_t *peer);
void peer_take(sim_t *sim, peer_t *peer, const uint8_t *bytes, size_t len);
void peer_forget(peer_t *peer); /* its process died: session and what was asked are gone */
void peer_drop_link(sim_t *sim, peer_t *peer);

/* clients (client.c), executors (worker.c), schedulers (planner.c) */
void client_start(sim_t *sim, peer_t *peer);
void client_free(peer_t *peer);
void client_tick(sim_t *sim, peer_t *peer);
void client_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply);
bool client_idle(const peer_t *peer);
bool client_resumed(const peer_t *peer);
bool client_done(const peer_t *peer); /* the first one: all is resumed, then removed */
void client_judge(sim_t *sim, const peer_t *peer);
void worker_start(sim_t *sim, peer_t *peer);
void worker_free(peer_t *peer);
void worker_hello(sim_t *sim, peer_t *peer, Pawl__V1__Hello *hello);
uint64_t worker_assign_seen(const peer_t *peer);
void worker_welcome(sim_t *sim, peer_t *peer, const Pawl__V1__Reply *reply);
void worker_tick(sim_t *sim, peer_t *peer);
void worker_wake(sim_t *sim, peer_t *peer);
void worker_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply);
void worker_push(sim_t *sim, peer_t *peer, const Pawl__V1__Push *push);
void worker_directives(sim_t *sim, peer_t *peer, Pawl__V1__Directive *const *all, size_t n);
bool worker_idle(const peer_t *peer);
/* Does it run an attempt of the task now, exclusive and older than that token? */
bool worker_runs(const sim_t *sim, const peer_t *peer, const uint8_t id[16], uint64_t token);
uint32_t worker_free_slots(const peer_t *peer); /* as it has told the broker */
uint32_t worker_slots(const peer_t *peer);
/* Producers and what they read (rows.c). */
enum { ROWS_MOST = 40 };
typedef struct reading {     /* an attempt of a producer */
    bool on, marks, content; /* it is one; ordered by a watermark; rows have no key */
    bool placed, asked;      /* it knows where to begin; a request is under way */
    bool done, stale;
    uint32_t next, upto, end; /* the row after what is taken, after what was asked, after the last
                               */
} reading_t;
typedef struct rows_wish {
    Pawl__V1__Sql sql;
    Pawl__V1__SqlProducer producer;
} rows_wish_t;
void rows_draw(sim_t *sim, Pawl__V1__Task *task, rows_wish_t *wish, bool scheduled);
/* A watermark that somebody sets back or removes. False: there is none. */
typedef struct rows_change {
    Pawl__V1__WatermarkOf of;
    Pawl__V1__WatermarkChange body;
    uint8_t scope[16];
    char value[16];
} rows_change_t;
bool rows_change(sim_t *sim, rows_change_t *room, Pawl__V1__Request *request);
void rows_begin(const sim_t *sim, reading_t *self, const Pawl__V1__SqlProducer *producer);
void rows_ask(sim_t *sim, peer_t *peer, reading_t *self, const uint8_t id[16], uint64_t token,
              unsigned kind);
void rows_reply(sim_t *sim, peer_t *peer, reading_t *self, const Pawl__V1__Produce *asked,
                const Pawl__V1__Reply *reply);
void planner_start(sim_t *sim, peer_t *peer);
void planner_free(peer_t *peer);
void planner_welcome(sim_t *sim, peer_t *peer);
void planner_tick(sim_t *sim, peer_t *peer);
void planner_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply);
void planner_push(sim_t *sim, peer_t *peer, const Pawl__V1__Push *push);
void planner_forget(peer_t *peer);
bool planner_chose_all(const peer_t *peer);     /* the first one, once the world is quiet */
const char *planner_select(const peer_t *peer); /* the labels it chooses by; "": all */

/* Schedulers that choose (attended.c). */
#define ATTENDED_CALM_US (15 * SEC_US) /* the broker looks some time after a change */
bool attended_chooses(const char *select, Pawl__V1__Label *const *labels, size_t n);
void attended_changed(sim_t *sim);
bool attended_is_calm(const sim_t *sim); /* what is told now should be so */
void attended_judge(sim_t *sim);         /* what is told is so */

/* the broker's process (host.c) */
void host_start(sim_t *sim);
void host_free(sim_t *sim);
void host_event(sim_t *sim, const event_t *event); /* EV_TO_BROKER, EV_STEP .. EV_START */
bool host_is_up(const sim_t *sim);
void host_heal(sim_t *sim);
void host_audit(sim_t *sim); /* memory = store, and the store is whole */
uint64_t host_commits(const sim_t *sim);

#endif

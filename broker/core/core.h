/* SPDX-License-Identifier: Apache-2.0
 * broker/core/core.h - the only writer. A pure step: (state, batch, times) -> (writes, outputs).
 *
 * Owned by one thread. No clock, socket, thread or randomness inside: the store, the times, the
 * random bytes and the list of outputs are handed in, so the same code runs in the broker and in
 * the simulator, and a recorded run replays bit for bit. Outputs may leave only after the batch is
 * durable: the caller commits by core_step itself (which ends with store_commit) and releases them
 * when it has returned ERR_OK. */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include "broker/store/store.h"
#include "client/base/select.h"
#include "schemas/pawl.pb-c.h"
#include "schemas/wire.h"

typedef struct core core_t;

/* Who sent a command. `conn` is a dense number that the front gives to each connection's session;
 * never a routing id. 0 = the broker itself. */
typedef uint64_t conn_t;

typedef enum {
    CMD_REQUEST = 1,     /* a decoded, checked request */
    CMD_LOST = 2,        /* the session of `conn` was silent for a whole lease */
    CMD_GONE = 3,        /* a client session ended (Bye, replaced): forget it; an executor's leases
                            stay until LOST or its new Hello */
    CMD_UNDELIVERED = 4, /* an Assign could not be sent to `conn`: its leases go back uncounted */
    CMD_PURGE = 5,       /* retention: `ns` are task numbers that look expired */
    CMD_ZONE = 6,        /* zone data: `name`, `bytes` (TZif; empty: tzdata has it no more) */
    CMD_SUSPECT = 8,     /* `flag`: the executor of `conn` is silent for suspect_us: no new work for
                            it; not `flag`: it was heard of again */
    CMD_NOTE = 9,        /* for the journal: `event` (journal_event) befell the peer `conn`, or the
                            broker itself (0); `n`: how many or how much */
} command_kind_t;

/* A task of a Submit after wire_task_check: task is NULL when it was refused. Borrowed. */
typedef struct checked_task {
    const Pawl__V1__Task *task;
    const wire_fault_t *fault;
} checked_task_t;

typedef struct command {
    command_kind_t kind;
    conn_t conn;
    const char *principal;            /* CMD_REQUEST: "uid:1000" */
    bool own_only;                    /* CMD_REQUEST: tasks of others are as if there were none */
    const Pawl__V1__Request *request; /* borrowed until core_step returns */
    const checked_task_t *tasks;      /* Submit: its tasks, decoded and checked one by one by the
                                         caller; NULL: core does it */
    const char *name;                 /* CMD_ZONE */
    slice_t bytes;                    /* CMD_ZONE */
    const uint64_t *ns;               /* CMD_PURGE */
    size_t n;                         /* CMD_PURGE, CMD_NOTE */
    uint8_t event;                    /* CMD_NOTE */
    uint64_t silent_us;               /* CMD_LOST */
    bool flag;                        /* CMD_SUSPECT */
} command_t;

typedef struct batch {
    int64_t wall_us;    /* calendar time: planned instants, `at` */
    int64_t steady_us;  /* broker time as the caller reads it; core keeps it from going back */
    uint8_t random[32]; /* session ids, uids, secrets are drawn from it */
    const command_t *commands;
    size_t n;
} batch_t;

typedef enum {
    OUT_REPLY = 1,   /* bytes: a packed Reply for `conn` */
    OUT_PUSH = 2,    /* bytes: a packed Push for `conn`; assign = true: undelivered must be told */
    OUT_WELCOME = 3, /* bytes: a packed Reply with Welcome; `session` is the new session's id */
    OUT_HELD = 4,    /* count: leases that `conn` holds now, for lists and stats */
    OUT_EVENT = 5,   /* event: a change of status, for the stats socket (only while wanted) */
    OUT_DROP = 6,    /* the session of `conn` is over (replaced by a newer incarnation) */
    OUT_ENDED = 7,   /* id: this task has ended, for waiters */
    OUT_DRAIN = 8,   /* `conn`, flag: the executor is draining now / not any more */
    OUT_ZONE = 9,    /* bytes: name of a zone; count: schedules that have moved to its new data */
} output_kind_t;

typedef struct output {
    output_kind_t kind;
    conn_t conn;
    bool flag;
    uint32_t count;
    uint32_t at, len; /* bytes: in outputs.bytes */
    uint8_t id[16];   /* OUT_WELCOME: session; OUT_ENDED, OUT_EVENT: task */
} output_t;

typedef struct outputs {
    output_t *items;
    size_t n, room;
    buf_t bytes;
    uint64_t batch; /* number of the batch they wait for */
} outputs_t;

void outputs_clear(outputs_t *self); /* empties, keeps the memory */
void outputs_free(outputs_t *self);

typedef struct core_config {
    int64_t lease_us, suspect_us, ping_us;
    int64_t keep_finished_us, keep_failed_us, keep_ledger_us, keep_journal_us;
    uint32_t items_max;                           /* of one request */
    uint32_t requests_in_flight, items_in_flight; /* of a peer: told here, counted by the front */
    uint64_t bytes_in_flight;
    uint32_t output_max; /* bytes of a result: this much room is kept for each task that runs */
    uint32_t children_at_once; /* of fan-outs: as many a batch takes on, beside those it makes */
    bool want_events;          /* somebody subscribes to event.* */
} core_config_t;
void core_config_default(core_config_t *config);

/* Opens or creates what is in the store: reads meta (refuses another format with STORE_VERSION),
 * raises the epoch, rebuilds memory from run, lane, gate, count, reg and scur rows. `random`: 32
 * bytes, used when the store is new. One write transaction inside. */
MUST_CHECK err_t core_open(core_t **out, store_t *store, const core_config_t *config,
                           int64_t wall_us, int64_t steady_us, const uint8_t random[32]);
void core_close(core_t **self_p);

/* Applies due timers, then the commands in order, then dispatches, in one transaction, and commits.
 * ERR_OK: outputs may leave. ERR_STORE_FULL, ERR_DISK_FULL, ERR_NO_MEMORY (core_refused): cleanly
 * not done: core's memory was rebuilt from the store, `outputs` holds error replies for the
 * requests, and may leave; commands that are no request have had no effect and are the caller's to
 * repeat. Anything else: the outcome is unknown or the store is damaged: nothing may leave, the
 * process must exit. */
MUST_CHECK err_t core_step(core_t *self, const batch_t *batch, outputs_t *outputs);
bool core_refused(err_t err); /* cleanly not done */

/* When the next timer is due, as broker (steady) time of the caller; INT64_MAX: none. The caller
 * runs a batch without commands then. */
int64_t core_next_due_us(const core_t *self);

/* The labels of a definition; returns how many. They point into it. */
size_t spec_labels(const Pawl__V1__Schedule *spec, label_t labels[LIMIT_LABELS]);

/* Calls `fn` with each zone of the store and the hash64 of its bytes, 0 when tzdata had it no more;
 * between steps. */
typedef void core_zone_fn(void *arg, const char *name, uint64_t hash);
void core_zones(const core_t *self, core_zone_fn *fn, void *arg);

/* From now on steps put OUT_EVENT out (bytes: a packed EventInfo), or do not; between steps. */
void core_want_events(core_t *self, bool want);

/* Numbers for stats; call on core's thread between steps. */
typedef struct core_queue_stats {
    char name[208];
    bool paused;
    uint64_t counts[12];     /* by TaskStatus */
    int64_t oldest_ready_us; /* steady time of the caller at which the first of its waiting tasks
                                became ready; INT64_MAX: none waits */
} core_queue_stats_t;
typedef struct core_stats {
    uint64_t batch, epoch, events_seq, generation;
    uint64_t counts[12];                /* by TaskStatus, all queues */
    uint64_t submitted, started, ended; /* since start of the process */
    uint64_t commits, last_batch_ops;
    uint8_t store_id[16];
    uint32_t schedules;
    const char *level;          /* ok, history, refuse, end-only */
    uint64_t reserved_bytes;    /* of the store, for the ends of what runs */
    uint64_t leases_left;       /* tasks that may still be leased before it has no room */
    core_queue_stats_t *queues; /* owned by the caller: free() */
    size_t queue_count;
    /* microseconds; log2 buckets with 4 steps each, see client/base/hist.h */
    struct hist *queue_us, *run_us; /* ready -> lease, lease -> end; borrowed, reset by
                                       core_stats_reset */
} core_stats_t;
void core_stats(const core_t *self, core_stats_t *stats);

/* Debug and tests: rebuilds memory from the store and compares; writes the first difference. */
MUST_CHECK err_t core_verify(core_t *self, char *difference, size_t len);

#endif

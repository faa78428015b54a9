/* SPDX-License-Identifier: Apache-2.0
 * client/worker.h - leases of a worker, from Assign to the answer to its result.
 *
 * Everything here is guarded by client->work_lock. worker_* below are called by the I/O thread with
 * that lock held. */
#ifndef CLIENT_WORKER_H
#define CLIENT_WORKER_H

#include "client/client.h"
#include "schemas/limits.h"

enum { GATHER_US = 8000, GATHER_MOST = 48 }; /* of results, while other work is at hand */
enum { WORKER_BUCKETS = 1024, WORKER_SETTLED = 1024, WORKER_LOG_WAITING = 4 << 20 };

/* READY: assigned, not taken. RUNNING: a program has it as a job. STORING: ended, its thread
 * gives the result to the outbox. WAITING: the result is to be sent. SENT: it is in a report in
 * flight. */
typedef enum { LEASE_READY, LEASE_RUNNING, LEASE_STORING, LEASE_WAITING, LEASE_SENT } lease_stage;

/* Reports go in two lanes, one of each in flight at a time. WORDS carries log chunks, progress and
 * the results that go with them: the broker writes logs before it looks at such a report. RESULTS
 * carries all other results, credit and claims: what is quiet waits for nobody's log. */
typedef enum { LANE_RESULTS, LANE_WORDS, LANES } report_lane;
struct report_flight {
    uint64_t seq;          /* of the report in flight; 0: none */
    size_t items;          /* in it */
    size_t one_by_one;     /* one was refused: so many of one item each, to find the culprit */
    int64_t not_before_us; /* no report before it */
};

typedef struct log_chunk {
    struct log_chunk *next;
    uint32_t stream;
    uint64_t offset;
    int64_t time_us;
    bytes_t data;
} log_chunk_t;

struct pawl_job {
    struct pawl_job *bucket_next;
    struct pawl_job *prev, *next; /* list of its stage */
    pawl_worker_t *worker;
    uint8_t id[16];
    uint64_t token;
    lease_stage stage;
    report_lane lane; /* SENT: of the report that has its result */
    unsigned attempt, attempts_max;
    int64_t planned_us, started_us;
    int64_t came_us;         /* steady: when its lease arrived */
    int64_t folded_first_us; /* stands for folded_count instants from here to planned_us */
    uint64_t folded_count;
    char *schedule;
    uint8_t parent[16];                        /* of a fan-out's child, */
    unsigned shard_index, shard_total;         /* and its place; total 0: it is none */
    char completion[2 * LIMIT_COMPLETION + 1]; /* hexadecimal */
    unsigned polls;
    bytes_t poll_state;         /* what the last poll left; from the end on: what this one leaves */
    int64_t deadline_us;        /* of an external end */
    const Pawl__V1__Task *task; /* in an arena of its own; NULL of a restored result */
    atomic_int state;           /* pawl_job_state */
    int fd;                     /* eventfd; -1 until asked for */
    bool *ended;                /* told when a verb ends it; NULL: nobody asks */
    /* what it has to say */
    log_chunk_t *logs, *logs_last;           /* not sent yet */
    log_chunk_t *logs_sent, *logs_sent_last; /* in the report in flight */
    size_t log_bytes;                        /* of both */
    uint64_t log_offset;
    int64_t log_since_us; /* when the oldest of `logs` came; 0: none */
    bool has_progress;
    bool progress_sent; /* in the report in flight */
    int64_t progress_done, progress_total;
    char *progress_text;
    /* what the result will hold */
    bytes_t output;
    char *output_type;
    bool has_exit;
    int exit_code;
    unsigned signal;
    int64_t cpu_us, memory_bytes;
    /* the result, packed, once it has ended */
    bytes_t result;
    bool kept;     /* the outbox has it */
    bool stripped; /* the broker refused it whole; a shorter one is on its way */
};

typedef struct job_list {
    struct pawl_job *first, *last;
    size_t n;
} job_list_t;

typedef struct worker_type {
    char *name;
    pawl_work_fn *fn; /* NULL: pull */
    void *arg;
} worker_type_t;

typedef struct names {
    char **at;
    size_t n;
} names_t;

struct pawl_worker {
    pawl_client_t *client;
    worker_type_t *types;
    size_t type_count;
    names_t kinds, queues, label_keys, label_values, interpreters, interpreter_versions, sources;
    unsigned slots, prefetch;
    bool prefetch_set;
    int64_t waiting_since_us; /* steady: when the first of `waiting` ended */
    bool end_wanted;          /* somebody wants this process to end */
    int64_t end_within_us;
    pawl_outbox_t outbox;
    bool started, closed; /* closed: the handle is gone, nothing will be answered */
    bool drain_local, drain_remote;
    pthread_cond_t changed; /* jobs, results, drain */
    int fd;
    bool raised; /* fd is readable */
    pthread_t *threads;
    unsigned thread_count;
    bool ending;

    struct pawl_job *buckets[WORKER_BUCKETS];
    job_list_t ready, running, storing, waiting, sent;
    struct settled {
        uint8_t id[16];
        uint64_t token;
    } settled[WORKER_SETTLED]; /* the last ones that were answered, a ring */
    size_t settled_at;

    uint64_t assign_seen;
    bool send_running;  /* the whole list with the next report */
    bool report_wanted; /* even an empty one: the credit changed */
    struct report_flight flight[LANES];
    Pawl__V1__Claim *claims; /* the list in Hello or in the report in flight, for the verdicts */
    uint8_t (*claim_ids)[16];
    size_t claim_count;
};

/* ---- the link's side (report.c, claims.c) ---------------------------------------------------- */

bool worker_fill_hello(pawl_worker_t *self, Pawl__V1__Hello *hello); /* false: out of memory */
void worker_on_verdicts(pawl_worker_t *self, const Pawl__V1__ClaimVerdict *verdicts, size_t n);
void worker_on_lost(pawl_worker_t *self); /* the session ended: what was in flight waits again */
void worker_on_assign(pawl_worker_t *self, const Pawl__V1__Assign *assign);
void worker_on_directive(pawl_worker_t *self, const Pawl__V1__Directive *directive);
/* The body of the lane's next report, if it is time for one. *due_us: when to ask again. */
bool worker_next_report(pawl_worker_t *self, report_lane lane, int64_t now_us, bytes_t *body,
                        int64_t *due_us);
void worker_report_sent(pawl_worker_t *self, report_lane lane, uint64_t seq);
/* It did not leave: as after worker_on_lost. */
void worker_report_unsent(pawl_worker_t *self, report_lane lane);
/* The lane whose report in flight has this seq; LANES: none has. */
report_lane worker_lane_of(const pawl_worker_t *self, uint64_t seq);
/* reply NULL: it could not be read. */
void worker_on_reported(pawl_worker_t *self, report_lane lane, const Pawl__V1__Reply *reply,
                        int64_t now_us);
void worker_on_closed(pawl_worker_t *self);

/* ---- between worker.c, job.c, report.c and claims.c ------------------------------------------ */

/* The list of claims: at most `most` leases, kept for the verdicts. False: out of memory. */
bool worker_make_claims(pawl_worker_t *self, size_t most);
void worker_forget_claims(pawl_worker_t *self);
Pawl__V1__Claim **worker_claim_list(const pawl_worker_t *self); /* the caller frees; or NULL */
/* STOP: fenced, its result (if any) will be STALE. UNKNOWN: no such task; a result is orphaned. */
void worker_on_verdict(pawl_worker_t *self, const Pawl__V1__Claim *claim,
                       Pawl__V1__ClaimVerdict verdict);
struct pawl_job *worker_find(pawl_worker_t *self, const uint8_t id[16], uint64_t token);
void worker_insert(pawl_worker_t *self, struct pawl_job *job); /* READY list and table */
void job_move(struct pawl_job *self, lease_stage stage);
void job_free(struct pawl_job *self); /* leaves list and table */
void job_settle(struct pawl_job *self,
                const char *verdict);            /* answered: the outbox may forget it */
bool job_has_words(const struct pawl_job *self); /* that the broker has not confirmed */
void job_set_state(struct pawl_job *self, pawl_job_state state);
/* Of a job that was restored: its log has so many bytes; what the broker lacks of them is lost.
 * False: out of memory. */
bool job_log_has(struct pawl_job *self, uint64_t bytes);
/* Packs the result. False: out of memory. */
bool job_make_result(struct pawl_job *self, Pawl__V1__Outcome outcome, const char *message,
                     int64_t retry_after_us);
/* A READY lease goes back or ends without having run. */
void job_end_unrun(struct pawl_job *self, Pawl__V1__Outcome outcome, const char *message);
bool worker_drains(const pawl_worker_t *self);
size_t worker_held(const pawl_worker_t *self);
uint32_t worker_credit(const pawl_worker_t *self);
void worker_signal(pawl_worker_t *self); /* something to look at: fd and waiters */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/core/inside.h - what the files of core share. Nobody else includes it.
 *
 * Two kinds of failure. A *refusal* is the peer's business: it goes into the reply (refuse())
 * before anything was written for the item. An err_t other than ERR_OK from a function here is the
 * store's: it ends the batch (TRY hands it up to core_step), which aborts the transaction and
 * rebuilds memory from the store: there is no second way to repair it.
 *
 * All of struct core but `store`, `config`, `executors`' session part and the counters since start
 * is a copy of rows; core_load() makes it from the store, core_verify() compares. */
#ifndef BROKER_INSIDE_H
#define BROKER_INSIDE_H

#include "broker/core/core.h"
#include "broker/core/crew.h"
#include "broker/map.h"
#include "broker/core/space.h"
#include "broker/core/told.h"
#include "broker/store/family_record.h"
#include "broker/store/record.h"
#include "broker/zone_cache.h"
#include "client/base/hist.h"
#include "client/base/select.h"
#include "client/time/ruleset.h"
#include "client/time/zone.h"
#include "schemas/limits.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        err_t try_err = (call);                                                                    \
        if (try_err != ERR_OK) return try_err;                                                     \
    } while (0)

typedef Pawl__V1__TaskStatus status_t;
#define S(name) PAWL__V1__TASK_STATUS__STATUS_##name
enum { STATUS_KINDS = 12 };

/* ---- names (name.c): types, queues, principals, executors ------------------------------------ */

typedef struct named {
    struct named *same_hash;
    enum name_kind kind;
    uint32_t no;
    uint8_t flags; /* REG_* */
    int64_t since_wall_us;
    uint64_t value;
    char *name, *reason;
    uint64_t counts[STATUS_KINDS]; /* queues and types */
    bool counts_dirty;
    struct executor *executor; /* kind executor: its life, NULL if none */
    uint32_t late_turn;        /* queues: live leases since the last late one */
    uint32_t followed;         /* zones: schedules that went over to its new data so far */
} named_t;

named_t *name_find(core_t *core, enum name_kind kind, const char *text);
named_t *name_at(core_t *core, enum name_kind kind, uint32_t no);
err_t name_make(core_t *core, enum name_kind kind, const char *text, named_t **out);
err_t name_save(core_t *core, const named_t *name); /* writes its reg row */
err_t names_load(core_t *core);
void name_counted(core_t *core, named_t *name); /* its counts have changed */
err_t names_flush(core_t *core);                /* writes those */
void names_free(core_t *core);

/* ---- lanes (lane.c), and what is given of them (dispatch.c) ---------------------------------- */

/* A task that became ready in this batch: not in the ready table yet, and never will be when an
 * executor takes it before the batch ends (fused submit and lease). */
typedef struct fresh {
    int64_t due_us;
    uint64_t n; /* 0: withdrawn */
    /* Accepted in this batch: its spec, body included, so that a lease needs no read. Else NULL. */
    const spec_row_t *spec;
} fresh_t;

/* First byte of the last text of a target: what it names is an interpreter; a source, where the
 * other texts are no labels. */
enum { LANE_NEEDS = 1, LANE_SOURCE = 2 };
#define SOURCE_LABEL "sql.%s=yes" /* a source among labels */
typedef struct lane {
    struct lane *same_hash;
    uint32_t no, queue, type;
    uint8_t band, target_kind;
    char *target;
    size_t target_len;
    const char *needs;     /* in target: what its scripts ask of an interpreter; NULL: nothing */
    const char *source;    /* in target: the source it asks for; NULL: none, or among labels */
    struct lane *next_own; /* target executor: lanes for the same name */
    struct executor **servers; /* target host, hash: whose it is, as of servers_stamp */
    size_t servers_n;
    uint64_t servers_stamp;
    crew_t **crews; /* any other target: those that serve it, as of crews_stamp */
    size_t crews_n;
    uint64_t crews_stamp;
    size_t turn;         /* whose turn it is: of servers, of crews */
    size_t turn_left;    /* of that crew's executors */
    int64_t unserved_us; /* since a look found nobody for it; 0: never, or somebody since */
    uint32_t waiting;    /* ready rows and fresh ones */
    bool counted;        /* `tasks` is known: the lane goes when it is 0 */
    bool gone;           /* it went in this batch */
    uint64_t tasks;      /* on record that name it, also ended ones */
    bool opened;         /* it is in core->opened_lanes */
    bool dirty;
    bool head_known; /* head_* are the first stored row; head_n 0: none */
    int64_t head_due_us;
    uint64_t head_n;
    fresh_t *fresh;
    size_t fresh_n, fresh_room, fresh_taken;
    size_t fresh_runs; /* of the same due: their rows lie one behind the other */
    bool fresh_sorted, on_fresh_list;
} lane_t;

err_t lane_for(core_t *core, uint32_t queue, uint32_t type, const Pawl__V1__Target *target,
               const Pawl__V1__Task *body, uint8_t band, lane_t **out);
err_t lane_get(core_t *core, uint32_t no, lane_t **out); /* of a task: there is none: CORRUPT */
/* A task that names it came on record, or one went. */
void lane_count(core_t *core, lane_t *lane, int change);
err_t lane_forget(core_t *core, uint32_t no); /* a task names it no more; 0: there was none */
/* spec: NULL, or as in fresh_t; lasts until the batch ends. */
void lane_add(core_t *core, lane_t *lane, int64_t due_us, uint64_t n, const spec_row_t *spec);
err_t lane_remove(core_t *core, lane_t *lane, int64_t due_us, uint64_t n);
int fresh_compare(const void *a, const void *b); /* of two fresh_t: which comes first */
/* The lane's first task, fresh or stored; *stored tells which. n = 0: nothing waits. */
err_t lane_peek(core_t *core, lane_t *lane, fresh_t *first, bool *stored);
err_t lane_pop(core_t *core, lane_t *lane, const fresh_t *first, bool stored);
const struct executor *lane_server(core_t *core, lane_t *lane); /* of a hash: who has it */
void lane_opened(core_t *core, lane_t *lane);                   /* dispatch is to look at it */
uint64_t lane_own_hash(const char *name, size_t len);           /* of core->own_lanes */
err_t lanes_store(core_t *core); /* what is still fresh, and the rows of lanes that changed */
/* Gives work to executors with room, then stores the rest (dispatch.c). */
err_t lanes_dispatch(core_t *core);
err_t lanes_load(core_t *core);
void lanes_free(core_t *core);

/* ---- executors (executor.c, claim.c, assign.c, pulse.c, fleet.c) and their leases (lease.c,
 * report.c, loss.c) */

typedef struct run {
    struct run *same_hash;
    uint64_t n;
    uint8_t id[16];
    run_row_t row;
    struct executor *executor;
    struct run *next, *prev; /* of the executor's list */
    uint32_t queue, type;
    uint16_t spec_flags;
    uint8_t priority;
    uint32_t attempts_max;
    int64_t instant_us; /* of a schedule's task; the next four as in its spec */
    uint8_t firing;
    uint8_t gate[16]; /* FIRING_GATE */
    uint16_t range;
    int64_t folded_first_us;
    uint64_t folded_count;
    uint64_t parent; /* of a fan-out's child */
    uint32_t index;
    uint64_t assign_no; /* the Assign that carried it, in its executor's session; 0: claimed */
    int64_t told_us;    /* cancelling: when the directive was last sent */
    bool claimed;       /* while claims are settled */
} run_t;

typedef struct executor {
    named_t *name;
    uint32_t no;  /* of the name: finds it again after memory was rebuilt */
    conn_t conn;  /* 0: no session */
    bool suspect; /* silent: it gets no new work */
    uint8_t incarnation[16];
    uint64_t incarnation8;
    uint32_t slots, credit, held;
    uint32_t lost; /* of those it holds: with RUN_LOST, which take no slot and no credit */
    run_t *runs;
    uint64_t assign_no, assign_seen;
    int64_t assign_sent_us;
    int64_t lost_at_us;    /* without session: when its leases end; 0: nothing to lose */
    int64_t compare_at_us; /* next comparison of running lists */
    int64_t enrolled_us;   /* when its enrolled row was last written, in this session */
    int64_t end_within_us; /* ending: its time to drain, 0 = its own */
    int64_t told_end_us;   /* ending: when the directive was last sent */
    uint32_t cancelling;   /* of its runs, those with RUN_CANCELLING */
    int64_t tell_at_us;    /* when one of these is to be told again */
    bool told_held_dirty;
    bool remembered; /* it is in core->undo */
    char *host;
    char **addresses;
    size_t addresses_n;
    crew_t *crew;                     /* those that offer the same; NULL: without session */
    uint64_t own_hash;                /* of core->own_lanes: under it are those for it only */
    enum room room;                   /* the line it stands in, of that crew: */
    crew_t *line_of;                  /* NULL: in none */
    struct executor *before, *behind; /* its neighbours there */
    int64_t due_us;                   /* when something is to be done about it; INT64_MAX: never */
    size_t due_at;                    /* its place in core->due, from 1; 0: none */
    bool changed;                     /* it is in core->changed */
    bool asks;                        /* it is in core->asking */
    Pawl__V1__Lease **pending;        /* the Assign being built in this batch */
    size_t pending_n, pending_room, pending_bytes;
} executor_t;

#define COMPARE_US      (30 * PAWL_SEC_US) /* from one comparison of the running lists to the next */
#define ASSIGN_AGAIN_US (2 * PAWL_SEC_US)  /* an assign that was not seen is sent again */

err_t executor_hello(core_t *core, const command_t *command);
err_t executor_bye(core_t *core, conn_t conn);
err_t executor_lost(core_t *core, executor_t *executor);
err_t executor_undelivered(core_t *core, conn_t conn);
void executor_suspect(core_t *core, conn_t conn, bool suspect);
/* By a request, which says what it has seen of its assigns. */
void executor_heard(core_t *core, executor_t *executor, uint64_t assign_seen);
err_t executor_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
executor_t *executor_of(core_t *core, conn_t conn);
bool executor_serves(const executor_t *executor, const lane_t *lane);
bool executor_has_host(const executor_t *executor, const char *host); /* name or address */
/* To be called wherever what decides about its room or its clocks becomes another: it is looked at
 * by the dispatch of this batch and by executors_push. Nobody else is. */
void executor_changed(core_t *core, executor_t *executor);
/* Losses after a start, assigns sent again, directives repeated (pulse.c). */
err_t executors_tick(core_t *core);
int64_t executors_due_us(const core_t *core);
int64_t executor_due_us(const executor_t *executor); /* as it stands now */
void executors_wind(core_t *core);                   /* the clocks of those that changed */
void executors_unwind(core_t *core);
void executor_tell_again(executor_t *executor, const run_t *run); /* that it is to be cancelled */
/* Into the Assign being built, which leaves when it is as large as a message may be. */
void executor_assign(core_t *core, run_t *run, Pawl__V1__Lease *lease);
void executors_push(core_t *core); /* sends the Assigns of this batch */
/* A lease that ended leaves the Assign being built, if it is in there. */
void executor_withhold(executor_t *executor, const run_t *run);
err_t executor_claims(core_t *core, executor_t *executor, Pawl__V1__Claim *const *claims, size_t n,
                      Pawl__V1__ClaimVerdict *verdicts);
void executor_direct(core_t *core, executor_t *executor, Pawl__V1__Directive *directive);
void executor_tell_end(core_t *core, executor_t *executor); /* to end itself, also once more */
void executor_directive(core_t *core, executor_t *executor, Pawl__V1__DirectiveKind kind,
                        const run_t *run);
/* After claims of a complete list: what the executor holds here and did not claim is sent again
 * (same life) or lost (an older one). */
err_t executor_settle(core_t *core, executor_t *executor);
err_t executor_send_unseen(core_t *core, executor_t *executor); /* when it is time */
executor_t *executor_for(core_t *core, named_t *name);          /* makes one without session */
void executor_attach(core_t *core, executor_t *executor, run_t *run);
uint32_t executor_used(const executor_t *executor); /* leases that count against its slots */
void executors_free(core_t *core);
void texts_free(char **texts, size_t n); /* of its details */
/* Sessions change in memory only: before a batch is tried, and when its commit was refused. */
void executors_settled(core_t *core);
void executors_undo(core_t *core);
void executors_relink(core_t *core); /* to the names that were read anew */
/* The session ended, or its Hello was refused: its leases run out from now. */
void executor_gone(core_t *core, conn_t conn);
void executors_forget_runs(core_t *core);

err_t lease_take(core_t *core, executor_t *executor, lane_t *lane, const fresh_t *task,
                 bool *taken);
err_t lease_report(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t lease_lose(core_t *core, run_t *run);
err_t lease_lose_for_good(core_t *core, uint64_t n); /* on_lost fail: the second lease passed */
err_t lease_return(core_t *core, run_t *run, int64_t delay_us, uint8_t reason, const char *message);
err_t lease_resume(core_t *core, executor_t *executor, const uint8_t id[16], uint64_t token);
err_t lease_wait_again(core_t *core, run_t *run);  /* at start */
void run_fill(run_t *run, const spec_row_t *spec); /* what a lease keeps of its task */
void run_keep(core_t *core, run_t *run);           /* in memory */
err_t run_save(core_t *core, const run_t *run);
err_t run_remove(core_t *core, run_t *run); /* from store and memory; run itself stays */
err_t lease_keep(core_t *core, run_t *run); /* its executor has it: in this life, not lost */
uint64_t lease_next_token(const core_t *core, uint64_t last);
/* How long after its loss nobody else may have it: on_lost fail, exclusive; 0: anybody at once. */
err_t lease_alone_us(core_t *core, run_t *run, int64_t *us);
err_t lease_again(core_t *core, run_t *run);          /* puts it into the next Assign once more */
run_t *run_by_id(core_t *core, const uint8_t id[16]); /* NULL: not running */
err_t runs_load(core_t *core);
void runs_free(core_t *core);

/* ---- attempts that run and shall not (stop.c) ------------------------------------------------ */
/* wish: who wants it and why, at most LIMIT_MESSAGE_KEPT bytes; it goes on the attempt's record. */
err_t lease_cancel(core_t *core, run_t *run, const char *wish); /* marks it, tells the executor */
/* Ends it on record at once; the executor is fenced. */
err_t lease_kill(core_t *core, run_t *run, const char *wish);
/* The wish, and what its executor added to it. */
slice_t stop_words(core_t *core, slice_t wished, slice_t said);

/* ---- tasks (task.c, submit.c, change.c) ------------------------------------------------------ */

enum { TASK_TAIL = 2048 };
typedef struct task {
    uint64_t n;
    spec_row_t spec; /* body is not kept: see task_body */
    bool has_state;
    state_row_t state; /* slices point into tail */
    run_t *run;
    status_t status;
    uint8_t tail[TASK_TAIL];
} task_t;

void task_clear(task_t *task, uint64_t n);                /* a new one */
err_t lane_forget_task(core_t *core, const task_t *task); /* its rows go */
err_t task_load(core_t *core, uint64_t n, task_t *task);  /* ERR_NOT_FOUND: purged */
/* The same for a running one, from memory; principal, created, due and timers are not filled. */
err_t task_of_run(core_t *core, run_t *run, task_t *task);
err_t task_save(core_t *core, const task_t *task); /* writes its state row */
/* The body as it was submitted, in memory of core's that lasts until the next call. */
err_t task_body(core_t *core, const task_t *task, slice_t *body);
err_t task_unpack(core_t *core, const task_t *task, const Pawl__V1__Task **body);
err_t task_is_exclusive(core_t *core, const task_t *task, bool *exclusive);
err_t task_submit(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
/* A task made of a row, its type known; *created false: the id or a live task with its key is on
 * record. bytes, body: without an id. */
err_t task_produce(core_t *core, const uint8_t id[16], uint32_t principal,
                   const Pawl__V1__Task *body, slice_t bytes, bool *created);
/* What a firing needs beyond its template. */
typedef struct firing {
    uint32_t schedule;
    uint8_t id[16];
    int64_t instant_us;
    bool late, manual, parked;
    uint16_t range;          /* 0: of the live line, or by hand */
    int64_t folded_first_us; /* it stands for folded_count instants from here to its own */
    uint64_t folded_count;   /* 0: only for its own */
    int64_t start_by_us;     /* wall; 0 none */
    const uint8_t *gate;     /* it counts there; NULL: at its schedule's own */
} firing_t;
/* bytes: the template as it was submitted, which is the task's body (copied: an edit in the same
 * batch may free it). */
err_t task_fire(core_t *core, const firing_t *firing, const Pawl__V1__Task *template, slice_t bytes,
                uint32_t principal, uint64_t *n);
/* Writes a new task: its rows, where it waits, counters, event. task: n and spec as far as the
 * caller knows it. bytes: the body; a child's own rows hold none, its parent's are lent to the
 * batch. */
err_t task_create(core_t *core, task_t *task, const Pawl__V1__Task *body, slice_t bytes,
                  const Pawl__V1__Target *target);
err_t task_put_id(core_t *core, const uint8_t id[16], uint8_t kind, uint64_t n, unsigned flags);
static inline uint32_t task_lane(const task_t *task)
{
    return task->state.lane ? task->state.lane : task->spec.lane;
}
/* Before a first start: its expiry counts no more; *expired: it struck already (lease.c). */
err_t lease_check_expiry(core_t *core, task_t *task, bool *expired);
/* Takes it away from where it waits (ready, park, timer); the status is left to the caller. */
err_t task_unplace(core_t *core, task_t *task);
err_t task_place_ready(core_t *core, task_t *task); /* waiting, at the end of its priority's line */
err_t task_place_held(core_t *core, task_t *task);  /* nowhere, until somebody starts it */
err_t task_place_timer(core_t *core, task_t *task, uint8_t clock, int64_t at);
/* Ends it: state row, counters, key, schedule, event. outcome etc. are already in task->state. */
err_t task_end(core_t *core, task_t *task, status_t status, uint8_t reason);
void task_move(core_t *core, task_t *task, status_t to); /* counters of queue, type, block */
err_t task_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
err_t task_cancel(core_t *core, task_t *task, uint8_t reason, const char *message);
err_t task_hold(core_t *core, task_t *task);
err_t task_start(core_t *core, task_t *task);
/* Again by hand: the ended attempt goes among its tries, the rest of its state is new. */
err_t task_fresh_budget(core_t *core, task_t *task);
err_t task_purge_rows(core_t *core, task_t *task);
err_t task_find(core_t *core, const uint8_t id[16], uint64_t *n, uint8_t *kind);
uint32_t task_attempts_max(core_t *core, uint32_t type, const Pawl__V1__Task *body);
int64_t priority_offset_us(unsigned priority);
err_t put_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token, slice_t bytes);
err_t del_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token);
err_t task_purge(core_t *core, const command_t *command);

/* ---- attempts that did not end their task (attempt.c) -----------------------------------------
 */

/* As it stands in task->state; attempt: its number. */
err_t attempt_keep(core_t *core, const task_t *task, uint16_t attempt, uint8_t outcome);
int64_t attempt_back_off_us(const run_t *run, unsigned failures, const Pawl__V1__Retry *retry);
/* Uncounted: the same attempt number comes again, now or after delay_us. */
err_t attempt_again(core_t *core, task_t *task, run_t *run, int64_t delay_us, uint8_t reason,
                    uint8_t outcome);

/* ---- attempts that go on without a lease (external.c)
 * ------------------------------------------ */

/* The result said AGAIN or ASYNC, and is in task->state. Places the task. */
err_t poll_again(core_t *core, task_t *task, run_t *run, const Pawl__V1__Result *result);
err_t external_begin(core_t *core, task_t *task, const Pawl__V1__Result *result);
/* Polls count within one attempt: the next one, or the end, begins anew. */
err_t poll_forget(core_t *core, task_t *task); /* a new attempt begins */
err_t poll_end(core_t *core, task_t *task);    /* ... or none: how often it was asked stays */
/* A counted attempt failed (the outcome is in task->state): again later, or failed for good. */
err_t lease_failed(core_t *core, task_t *task, run_t *run, Pawl__V1__Outcome outcome);
/* The last lease of a task that has none now, as the row that it was. */
void lease_was(run_t *run, const task_t *task);
/* Completion token and what the last poll left, into the lease. */
err_t external_lease(core_t *core, const task_t *task, Pawl__V1__Lease *lease);
err_t external_due(core_t *core, uint64_t n); /* its deadline has passed */
err_t task_complete(core_t *core, const command_t *command, Pawl__V1__Reply *reply);

/* ---- fan-outs (family.c, wave.c, tree.c, enrol.c) -------------------------------------------- */

#define DEFAULT_QUEUE "default"
#include "broker/core/family.h"

/* ---- producers (produce.c) and their watermarks (watermark.c) -------------------------------- */

err_t produce(core_t *core, const command_t *command, Pawl__V1__Reply *reply);

typedef struct mark {
    uint8_t scope[16], time[6]; /* time: what ids of the scope begin with */
    bool known;                 /* the row is on record */
    watermark_row_t row;        /* its slices last until the batch ends */
} mark_t;
/* Of the scope of a producer; mark_load fills in what is on record. */
err_t mark_of_producer(core_t *core, const task_t *task, const Pawl__V1__SqlProducer *spec,
                       mark_t *out);
err_t mark_load(core_t *core, mark_t *self);
err_t mark_save(core_t *core, mark_t *self, uint64_t writer); /* 0: by hand */
err_t watermark_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
/* What was kept for a producer that is gone. */
err_t watermark_forget_task(core_t *core, const uint8_t id[16]);

/* ---- timers (timer.c)
 * ---------------------------------------------------------------------------------- */

err_t timer_set(core_t *core, uint8_t clock, int64_t at, uint8_t kind, uint64_t n);
err_t timer_clear(core_t *core, uint8_t clock, int64_t at, uint8_t kind, uint64_t n);
err_t timers_run(core_t *core);
err_t timers_due(core_t *core); /* sets elapsed_due_us, wall_due_us and timer_due_us */
void timers_look(core_t *core); /* timer_due_us again, as the clocks stand now */

/* ---- journal, blocks (journal.c)
 * ----------------------------------------------------------------------- */

err_t journal_add(core_t *core, uint8_t event, uint64_t subject, uint32_t attempt, uint64_t aux);
err_t journal_task(core_t *core, uint8_t event, const task_t *task, uint64_t aux);
err_t journal_flush(core_t *core);
/* Deletes journal rows and ledger extents past their retention (keep.c); now and then, a few. */
err_t history_trim(core_t *core);
typedef struct block {
    uint64_t no;
    block_row_t row;
    bool dirty;
} block_t;
err_t block_of(core_t *core, uint64_t n, block_t **out);
err_t blocks_flush(core_t *core);
void blocks_free(core_t *core);

/* ---- schedules ----------------------------------------------------------------------------- */

#include "broker/core/plan.h"

/* ---- core (core.c, output.c, reply.c) -------------------------------------------------------- */

struct core {
    store_t *store;
    core_config_t config;
    meta_static_t fixed;
    meta_dynamic_t meta;
    uint8_t completion_key[16]; /* of completion tokens; from the store's secret */
    /* times of the batch */
    int64_t now_us, wall_us; /* broker time, calendar time */
    int64_t shift_us;        /* broker time - caller's steady time */
    const batch_t *batch;
    outputs_t *out;
    uint32_t random_used;
    uint64_t seq_begun;                        /* the next event's number as the batch began */
    bool level_history, refuse_adds, end_only; /* from 60, 85, 92 % of the store */
    space_t space;                             /* as the batch began, less what it has taken */
    int level_told;                            /* the last level that the journal has */
    int64_t level_told_us;
    bool leases_wait, leases_wait_told; /* work and hands are there, room for results is not */
    unsigned leased;                    /* in this batch, beyond what had room for its rows */
    bool made_room;                     /* this batch ended or forgot something */
    int64_t leases_again_us;            /* when to look again; INT64_MAX: nothing waits for room */
    bool free_only;                     /* full: nothing but what leads to room */
    err_t failed; /* first store error of a function that could not hand it up */
    const char *level;
    buf_t scratch, body; /* encoded value being written; the last task_body */
    wire_arena_t *arena; /* for task bodies and templates that core unpacks */

    map_t names_by_hash;
    named_t **names[NAME_KINDS];
    size_t names_n[NAME_KINDS];
    named_t **dirty_names; /* whose counts this batch must write */
    size_t dirty_names_n, dirty_names_room;
    map_t lanes_by_hash;
    map_t lanes_by_no;
    lane_t **lanes; /* in the order of their numbers */
    size_t lanes_n, lanes_room;
    uint64_t lanes_stamp; /* rises with each new lane that is not for one executor only */
    uint64_t hosts_stamp; /* rises when an executor comes, goes or drains */
    lane_t **open_lanes;  /* those that are not for one executor only */
    size_t open_lanes_n, open_lanes_room;
    map_t own_lanes; /* by hash of its name: the lanes for one executor only, chained by next_own */
    lane_t **dirty_lanes; /* whose rows this batch must write */
    size_t dirty_lanes_n, dirty_lanes_room;
    lane_t **fresh_lanes; /* lanes with fresh tasks */
    size_t fresh_lanes_n, fresh_lanes_room;
    map_t runs; /* by a hash of the task's id */
    executor_t **executors;
    size_t executors_n, executors_room; /* the room of the next three, too */
    executor_t **changed;               /* in this batch */
    size_t changed_n;
    executor_t **asking; /* changed since dispatch looked at them last */
    size_t asking_n;
    executor_t **due; /* a heap by (due_us, no): parent of i is i / 2, from 1 */
    size_t due_n;
    map_t crews_by_hash;
    crew_t **crews; /* in the order in which they came to be */
    size_t crews_n;
    uint64_t crews_stamp;    /* rises when a crew comes or goes */
    size_t with_room[ROOMS]; /* executors, over all crews */
    bool ask_all;            /* dispatch looks at everybody with room next time */
    uint64_t hosts_seen;     /* core->hosts_stamp as dispatch knows it */
    lane_t **opened_lanes;   /* something waits there, nothing did when dispatch looked last */
    size_t opened_lanes_n, opened_lanes_room;
    map_t executors_by_conn;
    struct executor_undo *undo; /* the sessions that this batch changes, as they were */
    size_t undo_n, undo_room;
    map_t plans;        /* by number, */
    map_t plans_by_uid; /* and those of them whose hash no later one has */
    map_t gates;
    gate_t *gates_dirty, **gates_dirty_end; /* to be written when the batch ends */
    uint64_t plans_bytes;                   /* of them, about */
    size_t plans_at;                        /* where the next trim begins */
    zone_cache_t zones;                     /* of plans and ranges */
    plan_t **touched; /* plans that this batch looked at, in that order: others have not changed */
    size_t touched_n, touched_room;
    follower_t **followers;
    size_t followers_n;
    uint32_t attended_at;       /* schedule to look at next; 0: nothing to find out */
    int64_t attended_due_us;    /* broker time at which to look; INT64_MAX: no need */
    uint64_t alone, alone_told; /* counted so far, and the last event's count */
    uint64_t alone_kept;        /* alone_told before this batch: one that fails tells nothing */
    uint32_t alone_first;       /* one of them */
    int64_t rate_all_at_us, rate_all_tokens_us;
    unsigned firings_left;            /* of this batch */
    int64_t rule_work_left_ns;        /* of this batch; counted, not timed: see fire.c */
    uint32_t rezone_at;               /* schedule to look at next; 0: no zone has changed */
    map_t calendars;                  /* those in force, by hash; each held once */
    uint64_t calendars_stamp;         /* rises with each change of a calendar */
    uint32_t calendar_no;             /* whose users follow now */
    uint32_t calendar_at;             /* schedule to look at next; 0: no calendar has changed */
    size_t assigned_bytes;            /* likewise: of the leases given */
    bool more_to_give;                /* dispatch stopped there: the next batch goes on */
    map_t families_by_n;              /* read in this batch */
    family_t **families, **unsettled; /* unsettled: something happened to them */
    size_t families_n, families_room, unsettled_n, unsettled_room;
    uint32_t children;      /* made in this batch */
    uint32_t children_left; /* that it may still take on: passes, waves, removal */
    int64_t opened_us;      /* when this process began: executors have a lease's time to come */
    map_t blocks;
    block_t *block; /* the last one that was asked for */
    block_t **dirty_blocks;
    size_t dirty_blocks_n, dirty_blocks_room;
    journal_pack_t journal;
    bool journal_open;
    int64_t elapsed_due_us; /* the first timer row of that clock; INT64_MAX none */
    int64_t wall_due_us;
    int64_t timer_due_us; /* broker time at which to look at timers again */
    uint64_t counts[STATUS_KINDS];

    /* since start */
    uint64_t submitted, started, ended, purged, commits, ops;
    struct hist *queue_hist, *run_hist;
};

/* Marks the whole reply as refused; the sentence is formatted into core's arena. */
void refuse(core_t *core, Pawl__V1__Reply *reply, err_t err, const char *field, const char *format,
            ...) PRINTF_LIKE(5, 6);
Pawl__V1__Error *make_error(core_t *core, err_t err, const char *field, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Memory that lasts until the batch ends, zeroed. */
void *batch_alloc(core_t *core, size_t bytes);
char *batch_printf(core_t *core, const char *format, ...) PRINTF_LIKE(2, 3);
/* At most `most` bytes, cut at a character's border. */
slice_t text_clip(slice_t text, size_t most);
void out_reply(core_t *core, conn_t conn, output_kind_t kind, const Pawl__V1__Reply *reply);
/* Begins the answer to a change: nothing is done yet, and nothing refused. */
Pawl__V1__Changed *reply_changed(core_t *core, Pawl__V1__Reply *reply);
/* The whole answer to the change of one thing. */
void reply_done(core_t *core, Pawl__V1__Reply *reply);
void out_push(core_t *core, conn_t conn, const Pawl__V1__Push *push, bool assign);
output_t *out_add(core_t *core, output_kind_t kind, conn_t conn);
void draw_random(core_t *core, void *to, size_t len); /* from the batch's bytes */
/* ---- room (room.c) --------------------------------------------------------------------------- */

enum effort { EFFORT_ALL, EFFORT_ENDS, EFFORT_FREES };
void room_judge(core_t *core, const batch_t *batch, enum effort effort);
/* Takes what the next thing costs at most from what this batch may still write, or says false. */
bool room_take(core_t *core, const space_cost_t *cost);
/* Adds what a new task may write; body: NULL when it is not known yet. */
void room_add_task(space_cost_t *to, const Pawl__V1__Task *body, size_t len, uint64_t page_bytes);
err_t room_tell(core_t *core); /* the journal, of levels and leases that wait */
/* Room for what is added, or STORE_FULL in `reply` and false. `what`: "a schedule". */
bool space_or_refuse(core_t *core, const space_cost_t *cost, const char *what,
                     Pawl__V1__Reply *reply);
/* store_put of an encoded value in core->scratch. */
err_t put_scratch(core_t *core, table_t table, const rec_key_t *key, unsigned flags);
err_t del_row(core_t *core, table_t table, const rec_key_t *key); /* absent = ERR_CORRUPT */
err_t load_all(core_t *core);
void forget_memory(core_t *core); /* all that is a copy of rows */
/* Replies that were remembered (reply.c). */
err_t reply_repeat(core_t *core, uint32_t principal, const command_t *command, bool *done);
err_t reply_remember(core_t *core, uint32_t principal, const uint8_t id[16],
                     Pawl__V1__Reply *reply);

#endif

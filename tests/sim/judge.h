/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/judge.h - the promises, as a slow and obvious model.
 *
 * It is fed from two sides: the rows that each durable batch wrote (never what core says of them),
 * and what peers were told. Every batch is judged when it is durable, every answer when it arrives;
 * judge_end holds the whole seed against what schedules should have done. */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "tests/sim/sim.h"

/* A task as its rows have it, and what happened to it. */
typedef struct mtask {
    uint64_t n;
    uint8_t id[16];
    bool there, purged;
    uint16_t spec_flags;
    uint32_t schedule, type, queue, lane;
    uint8_t gate[16]; /* of a schedule: it counts there */
    uint16_t range;
    int64_t instant_us, created_wall_us;
    bool id_gone; /* its id was forgotten in this batch */
    bool at_most_once, targeted;
    uint8_t status;     /* by its rows */
    uint8_t journal;    /* by its events */
    bool run, run_lost; /* run_lost: at most once, its last lease counts down */
    uint32_t run_executor;
    uint64_t run_token, token; /* token: the newest ever */
    bool has_state;
    uint8_t state_status, reason;
    uint16_t state_flags;
    uint64_t state_token;
    int64_t end_us;
    bool parked;
    bool lost;    /* its last attempt was lost with its executor */
    bool resumed; /* in this batch: the lease that it had goes on */
    bool cancel_asked;
    bool touched, open, over;           /* open, over: it is counted among those */
    uint64_t *reported;                 /* tokens whose result is on record */
    size_t reported_n, reported_before; /* before: when the batch began */
    uint64_t holder_token; /* the newest token that an executor was given, and who that was */
    uint32_t holder;
    uint8_t completion[LIMIT_COMPLETION]; /* of holder_token */
    uint64_t done_token; /* an executor was told DONE or RECOVERED for a result "done" */
    int64_t waiting_since_us;
    /* fan-outs (kin.c) */
    Pawl__V1__Task *body;     /* of a parent; owned */
    Pawl__V1__Fanout *fanout; /* its own */
    int64_t join_until_us;    /* by its row */
    uint64_t *children;       /* numbers */
    size_t children_n;
    uint64_t parent; /* of a child */
    char host[32];
    uint64_t born; /* batch of a parent's own commit */
    bool family_touched, loose;
    bool retried;          /* a parent: somebody ran it again by hand */
    uint8_t passes;        /* a parent: what its row says is under way for all children, */
    int64_t goes_on_us;    /* and when it is looked at next, in broker time; 0: never */
    uint8_t scope[16];     /* of a producer (rows.c) */
    uint64_t replaced;     /* batch in which its watermark was changed under its lease; 0: not */
    uint8_t family_status; /* when its family was judged last */
} mtask_t;

typedef struct mrevision {
    uint64_t number;
    char *rule, *zone;
    uint64_t zone_hash;
    int64_t jitter_us, from_us, to_us;
    int64_t after_us; /* a fixed delay */
    char *also[LIMIT_RULES];
    size_t also_n;
    uint64_t calendars[LIMIT_CALENDARS];
    size_t calendars_n;
    Pawl__V1__Schedule *spec;
    struct {
        int64_t after, next; /* what was asked last, and the answer */
        bool known;
    } asked[LIMIT_RULES + 1];
    int64_t start_us, end_us; /* its instants are those of (start, end]; start INT64_MIN: where the
                                 one before left off */
    bool settled;
} mrevision_t;

typedef struct mrange {
    uint16_t no;
    range_row_t row;
    extent_t *extents;
    size_t extents_n;
} mrange_t;

typedef struct mschedule {
    uint32_t no;
    uint8_t uid[16];
    bool there, gone, paused;
    uint64_t revision;
    bool has_cursor;
    scur_row_t cursor;
    buf_t definition;
    uint32_t definition_len;
    mrevision_t *revisions;
    size_t revisions_n;
    extent_t *extents; /* of the ledger table, by from */
    size_t extents_n, extents_room;
    bool loose;       /* its policy once let more than max_running through */
    bool skip_word;   /* somebody said skip, latest or now about its backlog */
    mrange_t *ranges; /* in order of their numbers */
    size_t ranges_n;
    uint64_t live, manual; /* tasks made: by the rule, by hand */
    uint32_t leased;       /* now, counted at its own gate */
    bool touched;
} mschedule_t;

/* The model itself. judge.c and the files beside it write it, each its rows; told.c reads it. */
typedef struct known {
    uint8_t id[16];
    uint8_t kind; /* 0: not on record */
    uint64_t n;
    int64_t until_us; /* broker time: it may not be forgotten before */
    bool forgotten;   /* it was, once, when it might be */
    bool used;
} known_t;
typedef struct known_table {
    known_t *at;
    size_t n, room;
} known_table_t;

typedef struct told {
    uint8_t id[16];
    uint64_t token;
    int what; /* outcome of a report, 100 + verb of a change, or 200 + verb of a completion */
} told_t;

/* What a scope of producers reads. */
typedef struct table_rows {
    uint8_t scope[16];
    uint64_t made[ROWS_MOST]; /* numbers of tasks; 0: none yet */
    uint64_t created, said;   /* said: by its row of the store */
    uint32_t mark;
    bool marked, touched;
} table_rows_t;

struct judge {
    mtask_t *tasks; /* by number */
    size_t tasks_n, tasks_room;
    known_table_t ids, replies;
    mschedule_t *schedules; /* by number */
    size_t schedules_n;
    char **executors; /* names by number */
    size_t executors_n;
    told_t *told; /* what the batch was asked */
    size_t told_n, told_room;
    uint64_t *touched;
    size_t touched_n, touched_room;
    uint64_t *open; /* numbers of tasks that have not ended, rising */
    size_t open_n, open_room;
    size_t over_n;      /* tasks that have ended, purged ones too */
    uint64_t present;   /* no task before it is on record */
    uint64_t *families; /* parents whose family the batch touched */
    size_t families_n, families_room;
    uint64_t batches;
    struct members *members; /* members.c */
    table_rows_t *tables;
    size_t tables_n;
    uint64_t next_seq, batch;
    bool secret_known, queue_paused[64];
    meta_static_t fixed;
    int64_t wall_us, broker_us;  /* of the batch */
    int64_t stored_us, shift_us; /* broker time on record; ahead of the machine's */
    int64_t stored_wall_us;
    bool clocks_written;         /* by the batch */
    unsigned purged_early;       /* in the batch, by their time to keep */
    bool gave_way;               /* it says that history did */
    uint64_t alone_told;         /* schedules that nobody looks after, as last told */
    int64_t attended_changed_us; /* a definition, or who follows */
};

mtask_t *judge_at(judge_t *judge, uint64_t n);    /* by its number; an empty one when it is new */
mtask_t *judge_touch(judge_t *judge, uint64_t n); /* to be looked at when the batch is over */

/* What may be forgotten, and when (memory.c). */
known_t *known_at(known_table_t *self, const uint8_t id[16]); /* kind 0: not on record */
void memory_start(sim_t *sim);
void memory_batch(sim_t *sim, const batch_t *batch);
void memory_meta(sim_t *sim, const meta_dynamic_t *meta);
void memory_id(sim_t *sim, slice_t key, slice_t value, bool gone);
void memory_reply(sim_t *sim, slice_t key, slice_t value, bool gone);
void memory_purged(sim_t *sim, const mtask_t *task);
/* What the model knows of both stays: only whether they may go is looked at. */
void memory_extent_gone(sim_t *sim, const mschedule_t *schedule, uint16_t range, int64_t from_us);
void memory_range_gone(sim_t *sim, const mrange_t *range);
void memory_judge(sim_t *sim);
/* An id, or the reply to a request, was on record once and is rightly no more. */
bool judge_forgot(const sim_t *sim, const uint8_t id[16]);
bool judge_forgot_reply(const sim_t *sim, const uint8_t request_id[16]);

/* Schedules that no scheduler chooses (attended.c). */
void attended_event(sim_t *sim, const journal_entry_t *entry);

/* The next task that has not ended, in the order of their numbers; *at is 0 to begin. NULL: no
 * more. A world may make 100,000 that have. */
static inline mtask_t *judge_next_open(const judge_t *judge, size_t *at)
{
    return *at < judge->open_n ? &judge->tasks[judge->open[(*at)++]] : NULL;
}

static inline bool judge_has_ended(uint8_t status)
{
    return status >= T(FINISHED);
}

/* The journal, an event after the other (events.c). */
void events_row(sim_t *sim, slice_t key, slice_t value, bool gone);

/* How many run at once (crowd.c). */
void crowd_judge(sim_t *sim);

/* Completions by token among what was told; the rest is as at told_t. */
enum {
    TOLD_COMPLETE = 200 + PAWL__V1__COMPLETE_VERB__COMPLETE_DONE,
    TOLD_EXTEND = 200 + PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND,
};

/* Somebody asked for it in this batch, by the task's id or one that stands for it. */
bool judge_was_told(judge_t *judge, const mtask_t *task, uint64_t token, int what);

/* Fan-outs (kin.c): rows as they come, what events may follow and why, and each family that a
 * durable batch touched. */
void kin_spec(sim_t *sim, mtask_t *task, const spec_row_t *spec,
              Pawl__V1__Task **body); /* may take it */
void kin_key(sim_t *sim, slice_t key, slice_t value, bool gone);
void kin_row(sim_t *sim, slice_t key, slice_t value, bool gone);
void kin_settled(judge_t *judge, const mtask_t *task);
bool kin_may_follow(const mtask_t *task, uint8_t event);
bool kin_founded(sim_t *sim, const mtask_t *task, uint8_t event);
/* What stands against its start; NULL: nothing. */
const char *kin_against(sim_t *sim, const mtask_t *task);
void kin_judge(sim_t *sim);
void kin_free(mtask_t *task);

/* Who belongs to a fan-out (members.c): rows; the commands of a batch (NULL: a start) and what was
 * answered; then each fan-out that it made. */
void members_row(sim_t *sim, slice_t key, slice_t value, bool gone);
void members_batch(sim_t *sim, const batch_t *batch, const outputs_t *out);
void members_judge(sim_t *sim);
void members_free(judge_t *judge);

/* Rows that became tasks (rows.c). */
void rows_spec(sim_t *sim, mtask_t *task, const spec_row_t *spec, const Pawl__V1__Task *body);
void rows_mark(sim_t *sim, slice_t key, slice_t value, bool gone);
void rows_judge(sim_t *sim);
void judge_rows(sim_t *sim, const uint8_t id[16], uint32_t from, uint32_t to);

/* Ranges (spans.c). */
void spans_free(mschedule_t *schedule);
void spans_row(sim_t *sim, mschedule_t *schedule, uint16_t no, slice_t value);
mrange_t *spans_at(const mschedule_t *schedule, uint16_t no); /* NULL: there is none */
void spans_extent(sim_t *sim, mschedule_t *schedule, uint16_t no, const extent_t *extent);
/* The end of the split-off range that covers an instant; INT64_MIN: none does. */
int64_t spans_over(const mschedule_t *schedule, uint64_t revision, int64_t instant);
/* fired: [0] live instants, [1] backfilled ones; added to. */
void spans_judge(sim_t *sim, mschedule_t *schedule, uint64_t fired[2]);
/* The next instant of a revision by the model's own loop (ledger.c); INT64_MAX: none. */
int64_t ledger_next(mrevision_t *revision, int64_t after_us);

void judge_start(sim_t *sim);
void judge_free(sim_t *sim);

/* A batch is about to be stepped; it became durable (batch NULL: the start of a broker). */
void judge_before(sim_t *sim, const batch_t *batch);
void judge_committed(sim_t *sim, store_t *store, const batch_t *batch, const outputs_t *out);
/* The executor was declared lost in the batch that is durable now: it holds nothing any more. */
void judge_released(sim_t *sim, const char *executor);
/* Core's own numbers against the model's. */
void judge_counts(sim_t *sim, const core_t *core);
/* Tasks that retention might look at. */
size_t judge_old_ones(sim_t *sim, uint64_t *ns, size_t room);

/* What peers were told. */
void judge_accepted(sim_t *sim, const uint8_t id[16], const uint8_t *other);
void judge_leased(sim_t *sim, const peer_t *peer, const Pawl__V1__Lease *lease);
void judge_verdict(sim_t *sim, const peer_t *peer, const uint8_t id[16], uint64_t token,
                   Pawl__V1__Outcome outcome, Pawl__V1__ReportVerdict verdict);

mtask_t *judge_task(sim_t *sim, const uint8_t id[16]);         /* NULL: not on record */
size_t judge_held(sim_t *sim, uint8_t ids[][16], size_t room); /* tasks held by hand */
size_t judge_external(sim_t *sim, uint8_t tokens[][LIMIT_COMPLETION], size_t room);
bool judge_pick(sim_t *sim, uint8_t id[16]); /* some task on record */
void judge_pick_parent(sim_t *sim, uint64_t nth,
                       uint8_t id[16]);             /* of a fan-out, if there is one */
bool judge_known(sim_t *sim, const uint8_t id[16]); /* task, alias or tombstone */
size_t judge_unfinished(sim_t *sim, char *what, size_t len);
/* Tasks that have ended. */
size_t judge_ended(const sim_t *sim);
size_t judge_backlog(sim_t *sim); /* instants due without a verdict */
/* A task that any executor could take has waited since then; NULL: none. */
const mtask_t *judge_work_waits(sim_t *sim, int64_t since_us);
uint32_t judge_held_by(sim_t *sim, const char *executor, bool for_good);
void judge_end(sim_t *sim);

/* schedules (ledger.c) */
/* Stretches that a calendar of the simulator closes, by the hash of its entries (calendar.c). */
void calendars_row(sim_t *sim, slice_t key, slice_t value);
bool calendars_closed(uint64_t hash, int64_t local);
void calendars_forget(void);
/* The first instant after `after` (seconds) of a rule of the simulator (instants.c); INT64_MAX:
 * there is none. False: the rule is none of ours. */
bool instants_next(const char *rule, const char *zone, int64_t after, int64_t *next);
void ledger_sched_row(sim_t *sim, mschedule_t *schedule, slice_t key, slice_t value);
void ledger_settle(sim_t *sim, mschedule_t *schedule);
void ledger_extent(mschedule_t *schedule, const extent_t *extent);
void ledger_judge(sim_t *sim, mschedule_t *schedule);
/* Is there an instant to come, as far as is known now? */
bool ledger_goes_on(const mschedule_t *schedule, mrevision_t *revision);
bool ledger_paused(sim_t *sim, const char *name);
uint64_t ledger_due(sim_t *sim, const mschedule_t *schedule);
void ledger_free(mschedule_t *schedule);
void ledger_told(sim_t *sim, const Pawl__V1__Request *request);
const uint8_t *judge_secret(const sim_t *sim);
mschedule_t *judge_schedules(const sim_t *sim, size_t *n);

#endif

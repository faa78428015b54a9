/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/answer.h - answers to queries: (request, snapshot, time) -> Reply.
 *
 * Pure: no socket, thread or wait inside, nothing is written; the clock is a function that is
 * handed in. readers.c opens a snapshot that is no older than the request, calls, packs, parks; the
 * simulator calls the same functions on its own store.
 *
 * Two kinds of failure, as in core: what is the peer's business is put into reply->error
 * (answer_refuse) and ERR_OK is returned; any other err_t is the store's (ERR_CORRUPT,
 * ERR_STORE_IO). Memory: all that hangs on the Reply lives in answer->arena, borrowed texts in the
 * names; both must stay until the Reply is packed. Threads: an answer_t and its names belong to one
 * thread. */
#ifndef BROKER_ANSWER_H
#define BROKER_ANSWER_H

#include "broker/store/family_record.h"
#include "broker/store/record.h"
#include "broker/store/store.h"
#include "broker/zone_cache.h"
#include "client/base/select.h"
#include "schemas/wire.h"

/* Texts of numbers, kept from query to query: a number never changes its name. */
typedef struct names names_t;
names_t *names_new(void);
void names_destroy(names_t **self_p);
/* Zones that answers read rules with, kept likewise. */
zone_cache_t *names_zones(names_t *self);

/* The selectors of the schedulers that are connected. */
typedef struct followers {
    size_t n;
    select_t selects[];
} followers_t;

typedef struct answer {
    store_view_t *view;
    names_t *names;
    wire_arena_t *arena;
    int64_t wall_us;       /* calendar time at which the view was opened */
    const char *principal; /* who asks */
    bool own_only;         /* tasks of others are as if there were none */
    int64_t (*clock_us)(
        void); /* steady; a page ends ANSWER_PAGE_US after its first row. NULL: never */
    const Pawl__V1__ExecutorItems *executors; /* TaskWhy: who is connected; NULL: not told */
    uint32_t output_max;          /* TaskWhy: the largest result, as core_config_t; 0: not told */
    const followers_t *followers; /* schedules: likewise */
    slice_t zone;                 /* Rehearse: zone data of its definition; empty: the store's */
} answer_t;

enum {
    ANSWER_PAGE_US = 50000,
    ANSWER_PAGE_BYTES = 4 << 20, /* a page ends before it */
    ANSWER_BYTES_MAX = 7 << 20,  /* and no answer is larger: LIMIT_MESSAGE less what surrounds it */
};

/* ---- for all files of answers ---------------------------------------------------------------- */

#define ANSWER_TRY(call)                                                                           \
    do {                                                                                           \
        err_t answer_err = (call);                                                                 \
        if (answer_err != ERR_OK) return answer_err;                                               \
    } while (0)

/* Zeroed memory of the arena; aborts when there is none. */
void *answer_take(answer_t *self, size_t bytes);
char *answer_text(answer_t *self, slice_t text); /* copy with a NUL */
char *answer_printf(answer_t *self, const char *format, ...) PRINTF_LIKE(2, 3);
char *answer_instant(answer_t *self, int64_t wall_us); /* 2026-11-01T12:00:00Z */
ProtobufCBinaryData answer_bytes(answer_t *self, slice_t bytes);
/* The request is refused as a whole. */
void answer_refuse(answer_t *self, Pawl__V1__Reply *reply, err_t err, const char *field,
                   const char *format, ...) PRINTF_LIKE(5, 6);
/* Text of a number, "" when it has none; borrowed from the names. */
err_t answer_name(answer_t *self, enum name_kind kind, uint32_t no, char **text);
/* Number of a name. ERR_NOT_FOUND. */
err_t answer_number(answer_t *self, enum name_kind kind, const char *text, uint32_t *no);
/* What follows from meta: the next journal sequence, and broker time as calendar time. */
err_t answer_meta(answer_t *self, meta_dynamic_t *meta);
int64_t answer_calendar(const meta_dynamic_t *meta, uint8_t clock, int64_t at_us);

/* ---- tasks (query_task.c) -------------------------------------------------------------------- */

/* All rows of a task. Slices are borrowed from the view. */
typedef struct task_rows {
    uint64_t n;
    spec_row_t spec;
    bool has_run, has_state;
    run_row_t run;
    state_row_t state;
    Pawl__V1__TaskStatus status;
    bool parked;
    uint8_t gate[16];
    uint32_t lane;       /* where it waits or would */
    uint8_t timer_clock; /* delayed: when it comes due */
    int64_t timer_at;
} task_rows_t;
/* ERR_NOT_FOUND: no such task. It points into the view. */
MUST_CHECK err_t spec_row_get(store_view_t *view, uint64_t n, spec_row_t *spec);
/* Status of a task from its rows: see the state row in record.h. ERR_NOT_FOUND: no such task. */
MUST_CHECK err_t task_rows_get(store_view_t *view, uint64_t n, task_rows_t *rows);
bool task_status_ended(Pawl__V1__TaskStatus status);
/* The number that an id stands for; *kind: ID_TASK, ID_ALIAS, ID_TOMBSTONE. ERR_NOT_FOUND. */
MUST_CHECK err_t task_number(store_view_t *view, const uint8_t id[16], uint64_t *n, uint8_t *kind);
/* The same for an id that somebody asked about: also when it is another's and `own_only` holds. */
MUST_CHECK err_t task_asked(answer_t *self, const uint8_t id[16], uint64_t *n, uint8_t *kind);
/* The submitted bytes (of the view, or put together in the arena), and the message they are. */
MUST_CHECK err_t task_rows_body(answer_t *self, const task_rows_t *rows, slice_t *body);
MUST_CHECK err_t task_rows_unpack(answer_t *self, const task_rows_t *rows,
                                  const Pawl__V1__Task **task);

/* Fan-outs (task_rows.c, query_family.c): the counters of a parent, the executor a child is meant
 * for. */
MUST_CHECK err_t fam_row_get(store_view_t *view, uint64_t parent, fam_row_t *row);
MUST_CHECK err_t child_key_get(answer_t *self, const spec_row_t *spec, uint64_t n, char **name);
MUST_CHECK err_t task_info_family(answer_t *self, const task_rows_t *rows,
                                  const meta_dynamic_t *meta, Pawl__V1__TaskInfo *info);
/* *goes: it is part of a tree that is being removed, which may take several commits. */
MUST_CHECK err_t task_tree_goes(store_view_t *view, const task_rows_t *rows, bool *goes);
/* task_rows_get for answers: what goes is not found any more. */
MUST_CHECK err_t task_rows_shown(store_view_t *view, uint64_t n, task_rows_t *rows);

MUST_CHECK err_t query_task_get(answer_t *self, const Pawl__V1__TaskGet *ask,
                                Pawl__V1__Reply *reply);
MUST_CHECK err_t query_task_list(answer_t *self, const Pawl__V1__TaskList *ask,
                                 Pawl__V1__Reply *reply);
/* Which of the tasks have not ended: `open` (room for ask->n_ids) gets their real ids. Refuses ids
 * that are unknown. reply: Waited with `done` and, when done, the tasks. */
MUST_CHECK err_t query_task_wait(answer_t *self, const Pawl__V1__TaskWait *ask, uint8_t (*open)[16],
                                 size_t *open_n, Pawl__V1__Reply *reply);
MUST_CHECK err_t query_task_why(answer_t *self, const Pawl__V1__TaskWhy *ask,
                                Pawl__V1__Reply *reply);
/* Which lease's log is meant. *n 0: refused. *running: more may come. */
typedef struct log_ask {
    uint64_t n, token;
    uint32_t attempt;
    bool running, lost; /* lost: the executor fell silent: the end of the log may be missing */
    uint8_t id[16];
} log_ask_t;
MUST_CHECK err_t query_log_resolve(answer_t *self, const Pawl__V1__LogRead *ask, log_ask_t *log,
                                   Pawl__V1__Reply *reply);

/* ---- journal (query_event.c) ----------------------------------------------------------------- */

/* reply: EventItems, empty when there is nothing from ask->from_seq on (`next` set either way). */
MUST_CHECK err_t query_event_read(answer_t *self, const Pawl__V1__EventRead *ask, uint64_t from_seq,
                                  Pawl__V1__Reply *reply);

/* ---- schedules (query_schedule.c) ------------------------------------------------------------ */

MUST_CHECK err_t query_schedule_get(answer_t *self, const Pawl__V1__ScheduleGet *ask,
                                    Pawl__V1__Reply *reply);
MUST_CHECK err_t query_schedule_list(answer_t *self, const Pawl__V1__ScheduleList *ask,
                                     Pawl__V1__Reply *reply);
MUST_CHECK err_t query_range_list(answer_t *self, const Pawl__V1__RangeList *ask,
                                  Pawl__V1__Reply *reply);
MUST_CHECK err_t query_schedule_audit(answer_t *self, const Pawl__V1__ScheduleAudit *ask,
                                      Pawl__V1__Reply *reply);
/* What an outage would do to a schedule (query_rehearse.c): runs core on a store of its own. */
MUST_CHECK err_t query_rehearse(answer_t *self, const Pawl__V1__Rehearse *ask,
                                Pawl__V1__Reply *reply);
MUST_CHECK err_t query_schedule_history(answer_t *self, const Pawl__V1__ScheduleHistory *ask,
                                        Pawl__V1__Reply *reply);

/* ---- queues, retention (query_queue.c) ------------------------------------------------------- */

MUST_CHECK err_t query_queue_list(answer_t *self, const Pawl__V1__QueueList *ask,
                                  Pawl__V1__Reply *reply);
/* Tasks that look expired, from block *block on: fills up to `room` numbers, moves *block to where
 * to go on, 0 at the end. Core checks each again. */
typedef struct retention {
    int64_t keep_finished_us, keep_failed_us;
} retention_t;
MUST_CHECK err_t query_expired(answer_t *self, const retention_t *keep, uint64_t *block,
                               uint64_t *ns, size_t room, size_t *found);

/* True: a page that began at `begun_us` has lasted long enough. */
bool answer_page_over(const answer_t *self, int64_t begun_us);
int64_t answer_now(const answer_t *self);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check_inside.h - what the files of the check share. Nobody else includes it.
 *
 * One pass over each table in the order of keys. What another table must have is looked up at once,
 * what must add up is tallied and compared at the end, so memory does not grow with the tasks. */
#ifndef BROKER_CHECK_INSIDE_H
#define BROKER_CHECK_INSIDE_H

#include <stdio.h>

#include "broker/readers/answer.h"
#include "broker/check/check.h"
#include "broker/readers/query_task.h"
#include "broker/map.h"

enum {
    STATUSES = 12,
    CHECK_LINES = 200, /* problems that are told one by one */
};

/* What was counted for one number (a queue, a type, a lane, a schedule). */
typedef struct tally {
    uint64_t counts[STATUSES];  /* tasks by status */
    uint64_t ready, parked;     /* rows seen: of a lane; of a schedule's gate */
    uint64_t running, waiting;  /* of a schedule */
    uint64_t admitted;          /* of both, those let through at its own gate */
    uint64_t elsewhere, scoped; /* run, counted at another gate; parked at a scope's */
    uint64_t replies;           /* of a principal */
    uint64_t tasks;             /* of a lane: spec and state rows that name it */
} tally_t;

/* What counts at a gate that is not a schedule's own (check_gate.c). */
typedef struct gate_tally {
    struct gate_tally *same_hash;
    uint8_t id[16];
    uint64_t admitted, running, parked; /* parked: rows seen */
    bool row;                           /* the gate has one */
} gate_tally_t;

typedef struct tallies {
    tally_t *at;
    size_t n;
} tallies_t;

/* Where the reader is: shared with the parent process, which tells it when the reader dies. */
typedef struct check_place {
    int32_t table;
    uint32_t key_len;
    uint8_t key[32];
} check_place_t;

typedef struct check {
    store_view_t *view;
    FILE *out; /* NULL: nothing is printed */
    volatile check_place_t *place;
    size_t problems;
    uint64_t rows;
    meta_static_t fixed;
    meta_dynamic_t meta;
    tallies_t queues, types, lanes, schedules, principals;
    map_t gates; /* gate_tally_t by the hash of its id */
    uint64_t tasks, live, keyed, task_ids, uniques, extents;
    uint64_t remembered, tombstones; /* ids that stand for no task of their own; their timers */
} check_t;

/* check_rows.c. One line of the report. `key` may be empty. */
void check_problem(check_t *self, table_t table, slice_t key, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* NULL: the number is out of any reason, and a problem was told. */
tally_t *check_tally(check_t *self, tallies_t *of, uint32_t no, table_t table, slice_t key);

/* The reader is at this row now. */
void check_note_place(check_t *self, table_t table, slice_t key);
typedef void check_row_fn(check_t *self, slice_t key, slice_t value);
/* Every row of a table that can be read; those that cannot are problems. */
err_t check_each(check_t *self, table_t table, check_row_fn *fn);
/* Is there such a row? One that fails its checksum counts: it is told with its own table. */
bool check_has(check_t *self, table_t table, const rec_key_t *key);
/* Reads one; false: absent or unreadable. */
bool check_get(check_t *self, table_t table, const rec_key_t *key, slice_t *value);

/* check_store with a place to tell where the reader is; NULL: nobody asks. */
err_t check_with(store_t *store, FILE *out, volatile check_place_t *place, size_t *problems);
err_t check_tasks(check_t *self); /* check_task.c: spec, ids, and each task's one place */
/* check_family.c: fam, kids, enrolled; and what a parent or child must have beside its spec. */
err_t check_families(check_t *self);
void check_family_of(check_t *self, slice_t key, const task_rows_t *rows);
gate_tally_t *check_gate_tally(check_t *self,
                               const uint8_t id[16]); /* made when it is first asked */
err_t check_gates(check_t *self); /* check_gate.c: gate, against what the tasks and park rows say */
void check_gates_free(check_t *self);
err_t check_schedules(check_t *self); /* check_schedule.c: sched, scur, ledger, zone */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_revision.h - a schedule's rows and the rule of each of its revisions, from a
 * snapshot: for the answers about schedules, ranges and history, and for the audit. */
#ifndef BROKER_QUERY_REVISION_H
#define BROKER_QUERY_REVISION_H

#include "broker/readers/answer.h"
#include "client/time/ruleset.h"
#include "client/time/zone.h"

typedef struct schedule_rows {
    uint32_t no;
    sched_row_t row;
    scur_row_t cursor;
    slice_t definition; /* in the arena, and what is unpacked of it */
    const Pawl__V1__Schedule *spec;
} schedule_rows_t;
/* ERR_NOT_FOUND: no such schedule. */
MUST_CHECK err_t schedule_rows_get(answer_t *self, uint32_t no, schedule_rows_t *rows);

/* The rule of one revision. */
typedef struct revision {
    uint64_t number;        /* 0: none is loaded */
    ruleset_t *rule;        /* NULL: a fixed delay */
    cached_zone_t *zone;    /* that it was read with */
    int64_t after_us;       /* of it */
    int64_t from_us, to_us; /* valid; 0 = no bound */
    bool begun;             /* the next two are known: see sched_rule_row_t */
    int64_t settled_us, begin_us;
} revision_t;
/* Loads `number` in place of what was loaded. The caller closes it, before answer->names goes. */
MUST_CHECK err_t revision_load(answer_t *self, const schedule_rows_t *schedule, uint64_t number,
                               revision_t *revision);
void revision_close(revision_t *self);
/* A fixed delay has no instants here: they are what its extents and its cursor say. */
int64_t revision_next(const revision_t *self, int64_t after_us); /* 0: none */
uint64_t revision_count(const revision_t *self, int64_t after_us,
                        int64_t upto_us); /* (after, upto] */

#endif

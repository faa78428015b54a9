/* SPDX-License-Identifier: Apache-2.0
 * broker/query_schedule.h - a schedule's rows and the rule of each of its revisions, from a
 * snapshot: for the answers about schedules and for the check. */
#ifndef BROKER_QUERY_SCHEDULE_H
#define BROKER_QUERY_SCHEDULE_H

#include "broker/answer.h"
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
    int64_t after_us;       /* of it */
    int64_t from_us, to_us; /* valid; 0 = no bound */
} revision_t;
/* Loads `number` in place of what was loaded; its zone belongs to answer->names. */
MUST_CHECK err_t revision_load(answer_t *self, const schedule_rows_t *schedule, uint64_t number,
                               revision_t *revision);
void revision_close(revision_t *self);
/* A fixed delay has no instants here: they are what its extents and its cursor say. */
int64_t revision_next(const revision_t *self, int64_t after_us); /* 0: none */
uint64_t revision_count(const revision_t *self, int64_t after_us,
                        int64_t upto_us); /* (after, upto] */

/* Row after row of a schedule's ranges from number *no + 1 on. ERR_NOT_FOUND: no more. */
MUST_CHECK err_t schedule_range_next(answer_t *self, uint32_t schedule, uint16_t *no,
                                     range_row_t *row);
/* Its ranges that are not done, and what they add to what it is behind. */
MUST_CHECK err_t schedule_ranges(answer_t *self, const schedule_rows_t *rows,
                                 Pawl__V1__ScheduleInfo *info);
/* Number of the schedule that a request means by uid or, without one, by name. ERR_NOT_FOUND: it
 * was refused. */
MUST_CHECK err_t schedule_asked(answer_t *self, const char *name, ProtobufCBinaryData uid,
                                const char *field, Pawl__V1__Reply *reply, uint32_t *no);

#endif

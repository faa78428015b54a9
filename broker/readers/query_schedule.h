/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_schedule.h - what the answers about schedules ask of each other. */
#ifndef BROKER_QUERY_SCHEDULE_H
#define BROKER_QUERY_SCHEDULE_H

#include "broker/readers/query_revision.h"

/* Row after row of a schedule's ranges from number *no + 1 on. ERR_NOT_FOUND: no more. */
MUST_CHECK err_t schedule_range_next(answer_t *self, uint32_t schedule, uint16_t *no,
                                     range_row_t *row);
/* The same of those that are not done, which are found without a look at the others. */
MUST_CHECK err_t schedule_range_open(answer_t *self, const schedule_rows_t *rows, uint16_t *no,
                                     range_row_t *row);
/* The task that stood in the way of what an extent skipped. ERR_NOT_FOUND: none did, or nothing is
 * left of it. Purged: `spec` has its id alone. */
MUST_CHECK err_t extent_blocker(answer_t *self, const extent_t *extent, spec_row_t *spec);
/* Its ranges that are not done, and what they add to what it is behind. */
MUST_CHECK err_t schedule_ranges(answer_t *self, const schedule_rows_t *rows,
                                 Pawl__V1__ScheduleInfo *info);
/* Number of the schedule that a request means by uid or, without one, by name. ERR_NOT_FOUND: it
 * was refused. */
MUST_CHECK err_t schedule_asked(answer_t *self, const char *name, ProtobufCBinaryData uid,
                                const char *field, Pawl__V1__Reply *reply, uint32_t *no);

#endif

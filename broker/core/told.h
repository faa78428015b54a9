/* SPDX-License-Identifier: Apache-2.0
 * broker/core/told.h - rows of schedules as the messages that tell of them: core answers and pushes
 * them, the readers answer them too, and both tell the same. Pure. */
#ifndef BROKER_TOLD_H
#define BROKER_TOLD_H

#include "broker/store/record.h"
#include "schemas/pawl.pb-c.h"

/* An instant of a schedule is due so long after it: by the uid, so the same for ever. */
int64_t schedule_jitter_us(const uint8_t uid[16], int64_t bound_us);
/* What needs no rule to be known: all but name, uid, reason, state, next_us, jitter_us, behind, its
 * ranges and the definition itself. Texts and lists are borrowed from `spec`. */
void schedule_info_fill(const sched_row_t *row, const scur_row_t *cursor,
                        const Pawl__V1__Schedule *spec, Pawl__V1__ScheduleInfo *info);
/* All but `left`, and `zone`, which is the rule's. */
void range_info_fill(const range_row_t *row, uint16_t no, Pawl__V1__RangeInfo *info);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/base/turn.h - when a scheduler proposes next for a schedule, or for one of its ranges,
 * from what the broker told of it. Pure; the scheduler and the broker's rehearsal of an outage ask
 * the same. Instants: microseconds of the broker's calendar clock. */
#ifndef BASE_TURN_H
#define BASE_TURN_H

#include "client/base/base.h"

#define TURN_NEVER INT64_MAX /* not until something is told of it */

/* The list or a push told of a schedule: its next instant (jittered, 0: none). */
int64_t turn_of_schedule(int64_t next_us, bool paused);
/* Of a range: it has a turn whenever there may be room; one that is paused has none until a push
 * tells that it goes on. */
int64_t turn_of_range(bool open, int64_t broker_us);

/* A proposal was answered. */
typedef struct turn_answer {
    bool moved;                /* the cursor is another now, or the revision */
    bool held;                 /* its verdict */
    int64_t next_us, retry_us; /* as in the answer; 0: none */
    int64_t told_us;           /* the turn that a push gave it meanwhile; TURN_NEVER: none did */
} turn_answer_t;
int64_t turn_after(const turn_answer_t *answer, int64_t broker_us);

/* Up to where to propose: the last second that is due for certain, since core takes no instant
 * ahead of its clock. */
int64_t turn_upto(int64_t jitter_us, int64_t broker_us);

#endif

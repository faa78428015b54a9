/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/rehearsal.h - what the two halves of a rehearsal share: rehearsal.c puts a
 * schedule of the snapshot on a stage as it stood before the outage; query_rehearse.c plays, and
 * tells what came of it. */
#ifndef BROKER_REHEARSAL_H
#define BROKER_REHEARSAL_H

#include "broker/readers/query_schedule.h"
#include "broker/readers/stage.h"

typedef struct known_extent {
    uint16_t range;
    extent_t extent;
} known_extent_t;

typedef struct rehearsal {
    answer_t *answer;
    const Pawl__V1__Rehearse *ask;
    Pawl__V1__Rehearsal *told;
    Pawl__V1__Schedule spec; /* as it is put on the stage */
    bool on_record;          /* a schedule of this name is, */
    schedule_rows_t rows;    /* and here it is */
    revision_t revision;     /* the rule that is played */
    bool as_now;             /* it is played as it stands: behind, or with ranges that are open */
    int64_t begin_us;        /* where the play begins, */
    int64_t cursor_us;       /* and what is decided by then */
    int64_t down_cursor_us;  /* its cursor when the outage began */
    stage_t stage;
    answer_t seen; /* questions to the stage */
    size_t items_room;
    known_extent_t *extents;
    size_t extents_n, extents_room;
} rehearsal_t;

/* Finds what is meant and sets the stage for it. A refusal goes into the reply, and there is no
 * stage then. */
MUST_CHECK err_t rehearsal_open(rehearsal_t *self, Pawl__V1__Reply *reply);
void rehearsal_close(rehearsal_t *self); /* whatever rehearsal_open returned */
/* A fresh view of the stage, to ask like any other store. */
MUST_CHECK err_t rehearsal_look(rehearsal_t *self);

#endif

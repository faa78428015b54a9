/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/stage.h - one schedule on a core of its own, which lives in memory and leaves no
 * trace: to see what the very code of core decides in times that are not now.
 *
 * Around the core stand the peers that a schedule needs: a scheduler that proposes when the real
 * one would (client/base/turn.h), and an executor that has always room and needs takes_us for each
 * run. The clock stands until somebody moves it; two stages that are told the same do the same.
 * Threads: a stage belongs to one. Errors are the store's, which is memory: none is expected. */
#ifndef BROKER_STAGE_H
#define BROKER_STAGE_H

#include "broker/core/core.h"

enum { STAGE_NO = 1 /* number of the schedule */, STAGE_TURNS = 1 + LIMIT_RANGES };

/* When the scheduler proposes next: for the schedule (the first turn), or for a range of it. */
typedef struct stage_turn {
    uint16_t range;
    bool backlog; /* a range that was split off, not a backfill */
    uint64_t revision;
    int64_t cursor_us, jitter_us;
    int64_t next_us; /* the next instant, jittered; 0: none */
    int64_t due_us;
} stage_turn_t;

typedef struct stage_run {
    uint8_t id[16];
    uint64_t token;
    int64_t end_us;
    bool stopped; /* it was told to */
} stage_run_t;

typedef struct stage {
    store_t *store;
    core_t *core;
    int64_t clock_us; /* calendar and steady time in one; never goes back while the core is open */
    int64_t takes_us;
    int64_t down_from_us, down_to_us; /* nobody proposes from .. until */
    stage_turn_t turns[STAGE_TURNS];
    size_t turns_n;
    uint64_t decided; /* instants of the live line of time, since it was opened */
    uint64_t fired;   /* tasks made, those of ranges too */
    uint64_t steps;   /* batches that core was given */
    uint64_t looks;   /* and how often it only looked at the clock */
    outputs_t out;
    wire_arena_t arena; /* what the last step answered */
    uint64_t seq, assign_no, assign_seen;
    uint8_t uid[16];
    char *type; /* that the executor knows */
    stage_run_t *runs;
    size_t runs_n, runs_room;
} stage_t;

/* An empty core at clock_us, whose executor knows tasks of `type` (copied). */
MUST_CHECK err_t stage_open(stage_t *self, const char *type, int64_t clock_us);
void stage_close(stage_t *self);

/* What a schedule refers to, and the schedule itself. A refusal is *error, which lasts until the
 * next call; NULL: done. entries: a line each. */
MUST_CHECK err_t stage_zone(stage_t *self, const char *name, slice_t bytes);
MUST_CHECK err_t stage_calendar(stage_t *self, const char *name, slice_t entries,
                                const Pawl__V1__Error **error);
MUST_CHECK err_t stage_put(stage_t *self, const Pawl__V1__Schedule *schedule,
                           const Pawl__V1__Error **error);

/* Closes the core, so that the rows in `store` can be changed; opens it at another time. */
void stage_halt(stage_t *self);
MUST_CHECK err_t stage_go_on(stage_t *self, int64_t clock_us);

/* When something happens next; INT64_MAX: nothing any more. */
int64_t stage_next_us(const stage_t *self);
/* Moves the clock there (or leaves it) and lets happen what is due: proposals before ends. */
MUST_CHECK err_t stage_play(stage_t *self, int64_t clock_us);
/* Nothing that is due waits for its verdict. */
bool stage_caught_up(const stage_t *self);

#endif

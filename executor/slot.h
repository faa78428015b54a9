/* SPDX-License-Identifier: Apache-2.0
 * executor/slot.h - one attempt at a time, as a small state machine. For slots.c alone.
 *
 *   running -> draining -> flushing -> ending -> idle   as usual: exit, last output, result
 *   running -> terminating -> killing -> draining ...   time limit, cancel, drain: TERM, KILL
 *   draining -> sweeping -> flushing                    it ended and left others behind
 *
 * An attempt ends when its main process ends, not when its pipes do: they are read for one more
 * second, then what is left of the tree is killed. */
#ifndef EXECUTOR_SLOT_H
#define EXECUTOR_SLOT_H

#include "executor/attempt.h"
#include "executor/ending.h"
#include "executor/process/pipes.h"
#include "executor/seat.h"
#include "executor/slots.h"

/* What all slots of an executor share. */
typedef struct slot_common {
    struct slots_setup setup;
    seat_maker_t maker;
    size_t busy;        /* slots that are not idle */
    int64_t typical_us; /* how long attempts take, the late ones counting most */
    uint8_t *bytes;     /* PIPES_READ */
    int null;           /* for commands that read nothing */
} slot_common_t;

enum slot_state {
    SLOT_IDLE,
    SLOT_RUNNING,
    SLOT_TERMINATING,
    SLOT_KILLING,
    SLOT_DRAINING,
    SLOT_SWEEPING,
    SLOT_FLUSHING,
    SLOT_ENDING,
    SLOT_STATES
};

typedef struct slot {
    slot_common_t *all;
    uint32_t number, generation; /* raised with each job: old events of epoll are told by it */
    enum slot_state state;
    int64_t deadline_us; /* steady; INT64_MAX: none */
    seat_t seat;         /* stays from job to job, as does: */
    spare_t spare;

    pawl_job_t *job;
    int64_t taken_us; /* steady */
    int64_t until_us; /* steady: exclusive work has ended by then; INT64_MAX: no bound */
    char id[PAWL_ID_TEXT];
    enum ending_cause cause;
    pipes_t pipes;
    bool paused;       /* pipes are not read: the SDK's buffer is full */
    int64_t paused_us; /* since */
    output_t *output;
    lines_t *lines; /* what a script says; NULL: it is not heard */
    shell_plan_t plan;
    int64_t limit_us;
    bool exited, alive; /* main process ended; processes are left */
    int status;         /* of wait(2) */
    uint32_t survivors;
    int64_t cpu_us, rss_bytes;
    buf_t message; /* why it could not be started */
    int exit_code; /* with it */
    bool trouble;  /* the cause is this machine's, not the task's */
} slot_t;

void slot_init(slot_t *self, slot_common_t *all, uint32_t number);
/* Kills what still runs; no result is given. */
void slot_clear(slot_t *self);
/* Takes the job and starts it. It must be idle. */
void slot_take(slot_t *self, pawl_job_t *job);
/* `what` as it came from epoll. */
void slot_event(slot_t *self, uint64_t what);
static inline uint32_t slot_number(uint64_t what)
{
    return (uint32_t)what >> 10;
}
/* When slot_tick has something to do; INT64_MAX: nothing. */
int64_t slot_deadline(const slot_t *self, int64_t now_us);
void slot_tick(slot_t *self, int64_t now_us);
void slot_stop(slot_t *self, bool hard); /* it is given back; hard: KILL at once */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * executor/slots.h - the attempts that run here, one a slot, each a small state machine
 * (executor/slot.h). Single-threaded; the caller's epoll wakes it. */
#ifndef EXECUTOR_SLOTS_H
#define EXECUTOR_SLOTS_H

#include "client/pawl.h"
#include "executor/process/cgroup.h"
#include "executor/config.h"
#include "executor/process/helper.h"

typedef struct slots slots_t;

struct slots_setup {
    const executor_config_t *config;
    const char *work; /* absolute */
    helper_t *helper;
    cgroup_t *cgroup; /* NULL: none */
    int epoll;        /* events carry slots_event's `what` in data.u64, always above SLOTS_FIRST */
};
enum { SLOTS_FIRST = 255 };

slots_t *slots_new(const struct slots_setup *setup);
/* Kills what still runs; no result is given. */
void slots_destroy(slots_t **self_p);
/* Takes the job and starts it. There must be a free slot. */
void slots_take(slots_t *self, pawl_job_t *job);
void slots_event(slots_t *self, uint64_t what);
/* The next instant (clock_steady_us) at which slots_tick has something to do; INT64_MAX: none. */
int64_t slots_deadline(const slots_t *self);
void slots_tick(slots_t *self, int64_t now_us);
/* Stops all attempts; they are given back. hard: KILL at once. */
void slots_stop(slots_t *self, bool hard);
/* How long attempts take of late, about; and the word of who knows better. */
int64_t slots_typical_us(const slots_t *self);
void slots_expect(slots_t *self, int64_t us);
size_t slots_busy(const slots_t *self);

#endif

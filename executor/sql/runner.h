/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/runner.h - the attempts of kinds sql and sql-producer that run here, a thread each.
 *
 * The main loop gives it jobs and calls runner_tick; everything that may block (connecting,
 * running, stopping) happens in threads of its own. An attempt that is to end (time limit, cancel,
 * fence, stop of the executor) has its statement stopped on the server, again and again until the
 * attempt has ended; after the kill grace its connection is broken. Exclusive work that the broker
 * does not answer any more has it broken at once. */
#ifndef EXECUTOR_SQL_RUNNER_H
#define EXECUTOR_SQL_RUNNER_H

#include "client/pawl.h"
#include "executor/sql/sources.h"

typedef struct runner runner_t;

struct runner_setup {
    const sources_t *sources;
    int64_t time_limit_us; /* of an attempt whose task has none; 0: none */
    int64_t kill_grace_us;
};
runner_t *runner_new(const struct runner_setup *setup);
/* Breaks what still runs, and waits for it; no result is given of that. */
void runner_destroy(runner_t **self_p);
/* True for pawl/sql and pawl/sql-producer. */
bool runner_takes(const char *type);
void runner_take(runner_t *self, pawl_job_t *job);
/* INT64_MAX: nothing runs. */
int64_t runner_deadline(const runner_t *self);
void runner_tick(runner_t *self, int64_t now_us);
/* Everything is to end and is given back. */
void runner_stop(runner_t *self);
size_t runner_busy(const runner_t *self);

#endif

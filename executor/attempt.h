/* SPDX-License-Identifier: Apache-2.0
 * executor/attempt.h - from a job, as the SDK gives it, to the plan of what is launched. */
#ifndef EXECUTOR_ATTEMPT_H
#define EXECUTOR_ATTEMPT_H

#include "client/pawl.h"
#include "executor/kind_shell.h"

/* Where it is to run. Everything is borrowed. */
struct attempt_place {
    const executor_config_t *config;
    const char *work; /* absolute; the attempt's folder is made below it */
    spare_t *spare;   /* of its slot */
};

/* As shell_plan_make. `id`: the task's, as text. */
bool attempt_plan(shell_plan_t *plan, const pawl_job_t *job, const char *id,
                  const struct attempt_place *place, buf_t *message, int *exit_code);
/* The account that the task names, for messages; "". Borrowed from the job. */
const char *attempt_account(const pawl_job_t *job);

#endif

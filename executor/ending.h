/* SPDX-License-Identifier: Apache-2.0
 * executor/ending.h - from how an attempt ended to the verb that ends its job.
 *
 * Exit 0 finishes, 78 (EX_CONFIG) fails for good, any other code fails. A command has three ways to
 * say "not done, ask again" and "accepted, somebody else ends it":
 *
 *   output  a member "pawl" in the JSON object of PAWL_OUTPUT, with exit 0:
 *           {"pawl": {"again": "30s", "state": ..., "message": "..."}}: `state`, any JSON, is the
 *           file PAWL_STATE of the next poll; {"pawl": {"external": "1h", "message": "..."}}
 *   line    `::pawl again 30s text`, `::pawl external 1h text` (executor/lines.h), with exit 0;
 *           scripts only
 *   exit    75 (EX_TEMPFAIL): ask again, in 60 s unless one of the above says when; 79: accepted.
 *           Scripts only: other programs mean other things by these codes
 *
 * The output goes before the line, the line before the code. */
#ifndef EXECUTOR_ENDING_H
#define EXECUTOR_ENDING_H

#include "client/pawl.h"
#include "executor/config.h"
#include "executor/lines.h"
#include "executor/output.h"

enum { EXIT_AGAIN = 75, EXIT_PERMANENT = 78, EXIT_ACCEPTED = 79 };
#define ENDING_AGAIN_US INT64_C(60000000)

enum ending_cause {
    ENDING_NONE,
    ENDING_TIMEOUT,
    ENDING_CANCEL,
    ENDING_FENCE,
    ENDING_DRAIN,
    ENDING_CUT_OFF, /* exclusive, and the broker did not answer for too long */
    ENDING_LOST     /* the process that watched it died */
};

/* Everything is borrowed. */
struct ending {
    enum ending_cause cause;
    bool exited; /* it ran, and `status` is that of wait(2); else: */
    int status;
    int exit_code;        /* ... why it could not be started */
    const buf_t *message; /* ... in words */
    bool trouble;         /* ... for a cause of this machine's, not the task's */
    uint32_t survivors;
    int64_t limit_us, cpu_us;
    const struct config_limits *limits;
    bool out_of_memory;
    const output_t *output;
    const lines_t *lines; /* NULL: no script */
    const char *id, *folder;
};

/* As the verbs of pawl.h: on an error the job stays, and the call may be made again. */
MUST_CHECK pawl_err ending_give(const struct ending *self, pawl_job_t **job);
/* The same of an attempt of any kind that was stopped: `cause` is one of TIMEOUT (at `limit_us`),
 * CANCEL, DRAIN, CUT_OFF. `more`: what is to be said behind the first two, "" if nothing. */
MUST_CHECK pawl_err ending_stopped(enum ending_cause cause, int64_t limit_us, const char *more,
                                   pawl_job_t **job);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/fail.h - errors as a person reads them: three lines on stderr, and the exit code.
 *
 *   error: cannot show the task
 *     why: no task has an id that begins with 01JZ
 *     try: pawl task list
 */
#ifndef CLI_FAIL_H
#define CLI_FAIL_H

#include "client/pawl.h"

typedef enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_CONFLICT = 4,
    EXIT_REFUSED = 5,
    EXIT_UNREACHABLE = 6,
    EXIT_TASK_FAILED = 7,
    EXIT_PARTLY = 8,
    EXIT_LIMIT = 9,
    EXIT_INTERRUPTED = 130,
} exit_t;

/* Prints the three lines, returns `code`. */
int fail(exit_t code, const char *what, const char *why, const char *what_to_type);
/* The command that runs, e.g. "schedule pause": the third lines name it and its noun. */
void fail_in(const char *command);
/* The same for a call of the SDK that returned err < 0. client may be NULL. */
int fail_client(const pawl_client_t *client, pawl_err err, const char *what);
/* For the SDK's refusals: the sentence, with field and time to try again. */
const char *client_why(const pawl_client_t *client, pawl_err err);

#endif

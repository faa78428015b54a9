/* SPDX-License-Identifier: Apache-2.0
 * executor/refuse.h - how a start is refused: three lines for people, and the exit code. */
#ifndef EXECUTOR_REFUSE_H
#define EXECUTOR_REFUSE_H

#include <stdio.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFLICT = 4, EXIT_REFUSED = 5 };

#define REFUSE_ALL_KEYS "pawl-executor --print-config tells all keys"

/* What, why, what to type. Returns `code`. */
static inline int refuse(int code, const char *what, const char *why, const char *then)
{
    fprintf(stderr, "pawl-executor: %s\n  why:  %s\n  then: %s\n", what, why, then);
    return code;
}

#endif

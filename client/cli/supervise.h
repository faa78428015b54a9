/* SPDX-License-Identifier: Apache-2.0
 * client/cli/supervise.h - keeps a handful of programs running, and ends them in order.
 *
 * Children are of our process group, so that one kill reaches all. What a terminal sends to that
 * group (Ctrl-C) they ignore: we drain them in order. A TERM to the whole group comes to the same:
 * what ends before its turn is started again until its turn has come. The kernel kills them when we
 * die, however that happens. What a child writes goes to its own log file. Single-threaded: all
 * calls from the thread that made it. */
#ifndef CLI_SUPERVISE_H
#define CLI_SUPERVISE_H

#include <sys/types.h>

#include "client/base/base.h"

typedef struct supervisor supervisor_t;

/* Takes TERM, INT and HUP from now on. log_folder is borrowed; NULL: children share our stderr. */
supervisor_t *supervisor_new(const char *log_folder);
/* Kills what still runs. */
void supervisor_destroy(supervisor_t **self_p);

/* Starts a program (argv[0] is its path; copied). `order`: programs of order 0 are ended first.
 * hopeless_exit: an exit code after which starting again is no use; 0: none. */
void supervisor_add(supervisor_t *self, const char *label, char *const *argv, int order,
                    int hopeless_exit);
pid_t supervisor_pid(const supervisor_t *self, size_t i); /* 0: not running now */

typedef enum {
    SUPERVISE_GOES_ON,
    SUPERVISE_ENDED,
    SUPERVISE_CUT_SHORT,
    SUPERVISE_GAVE_UP
} supervise_t;
/* Waits up to wait_us for something to do and does it. ENDED: stopped in order after a signal.
 * CUT_SHORT: a second signal killed everything. GAVE_UP: a program fails each time at once; it has
 * been told with its last lines, everything is stopped. */
supervise_t supervisor_turn(supervisor_t *self, int64_t wait_us);
bool supervisor_stopping(const supervisor_t *self);

#endif

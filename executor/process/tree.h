/* SPDX-License-Identifier: Apache-2.0
 * executor/process/tree.h - all descendants of a process, by /proc.
 *
 * Exact for a child subreaper: whatever a descendant does (double fork, setsid, a new name), it
 * stays below the subreaper. Racy against processes that fork all the time: callers go in rounds.
 */
#ifndef EXECUTOR_TREE_H
#define EXECUTOR_TREE_H

#include <sys/types.h>

#include "client/base/base.h"

/* Fills `pids` with up to `max` descendants of `root` (without it, zombies included), parents
 * before their children. Returns how many. */
size_t tree_find(pid_t root, pid_t *pids, size_t max);

/* Its direct children only. */
size_t tree_children(pid_t parent, pid_t *pids, size_t max);

/* Sends a signal to each descendant of `root`. Returns how many there were. */
size_t tree_signal(pid_t root, int signal);
/* TERM to all of it, and CONT, so that what is stopped takes it too. Returns how many. */
size_t tree_terminate(pid_t root);

#endif

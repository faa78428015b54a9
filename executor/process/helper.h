/* SPDX-License-Identifier: Apache-2.0
 * executor/process/helper.h - the process that makes wardens.
 *
 * Forked from the executor before any thread, socket or store exists, so that every later fork is
 * of a small process with one thread, and before a password is read: it has none. Its
 * environment is wiped. It stands in a process group of its own: what is sent to the
 * executor's group (Ctrl-C, a kill of the group) does not reach the wardens before they have
 * cleaned up. It is a child subreaper: what a dead warden leaves behind falls to it and is killed.
 * When the executor ends, however it ends, wardens and helper see their sockets close, kill all
 * trees and end. */
#ifndef EXECUTOR_HELPER_H
#define EXECUTOR_HELPER_H

#include <sys/types.h>

#include "client/base/base.h"

typedef struct helper helper_t;

/* Forks it. To be called first of all. ERR_OS with errno set. */
MUST_CHECK err_t helper_start(helper_t **out);
/* A new warden: *sock is the executor's end of its socket, non-blocking for notices. `cgroup_fd`
 * may be -1; both stay the caller's. ERR_OS: errno says why, EPIPE when the helper is dead. */
MUST_CHECK err_t helper_warden(helper_t *self, int cgroup_fd, int *sock);
/* What it removes when everything has ended, so that a killed executor leaves no cgroup behind. */
void helper_cleans(helper_t *self, const char *cgroup_path);
/* Readable (end of file) when the helper died. */
int helper_fd(const helper_t *self);
pid_t helper_pid(const helper_t *self);
/* Close the wardens' sockets first. Waits up to wait_ms until every process is gone; false: some
 * are not (the helper goes on). */
bool helper_stop(helper_t **self_p, int wait_ms);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * executor/lock.h - one executor for each state folder. */
#ifndef EXECUTOR_LOCK_H
#define EXECUTOR_LOCK_H

#include <sys/types.h>

#include "client/base/base.h"

/* Takes the lock file in `folder` and writes our pid into it; it is held until the process ends.
 * Returns a descriptor, or -1: *holder is the pid of who has it, or 0 and errno says why. */
int lock_take(const char *folder, pid_t *holder);

#endif

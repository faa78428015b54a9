/* SPDX-License-Identifier: Apache-2.0
 * client/base/seal.h - closes a process to the other processes of its account.
 *
 * The kernel lets whoever runs as the same user read the memory and the environment of a process
 * (/proc/PID/mem, /proc/PID/environ, ptrace(2)). An executor runs commands as its own account, and
 * what they must not see stands there: passwords of databases, the key of a tcp endpoint. A sealed
 * process is not dumpable (prctl(2), PR_SET_DUMPABLE): only root looks into it, and it leaves no
 * core. Children inherit that until they exec another program, which is open again. */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

#include "client/base/base.h"

/* To be called before any secret is read. In a build with the address sanitizer only cores are
 * switched off: its search for leaks looks into the process from outside. */
void seal_process(void);
/* In a forked child: the limit of cores that held before seal_process, for the program that it
 * becomes. System calls only. */
void seal_restore_cores(void);
/* In a forked child that has changed its account, for which the kernel decides anew (proc(5),
 * fs.suid_dumpable). System calls only. */
void seal_again(void);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * executor/process/warden.h - a small process that runs one command at a time and owns its whole
 * tree.
 *
 * Each slot of the executor has a warden. It is a child subreaper, so whatever a command leaves
 * behind (double fork, setsid, another name) becomes the warden's child and is known to belong to
 * that command. It reaps everything, and a command is over for it only when no descendant is left.
 * When its socket closes (the executor ended, however) it kills the tree and ends.
 *
 * The executor talks to it over a SOCK_SEQPACKET pair: orders go in, notices come out.
 *
 *   run -> refused                                      the program could not be started
 *   run -> exited (alive 0)                             it ended and left nothing
 *   run -> exited (alive 1) ... kill -> gone            it ended and left processes
 *   run ... terminate ... kill -> exited, gone          it was stopped
 *
 * `gone` with survivors: they cannot be killed (stuck in the kernel); the warden goes on trying,
 * ends with them. Terminate and kill without a tree do nothing.
 *
 * A command may have a bound (steady clock; INT64_MAX: none), which the executor moves on. At the
 * bound the warden kills the tree by itself, so it does so as well when the executor is frozen.
 *
 * A notice with `last` says: this warden takes no more orders, have another made. That is so with
 * survivors, and after a cgroup was killed: kernels from 6.14 on kill what is cloned into a cgroup
 * that was ever killed (they compare its count of kills with that of the parent's cgroup). */
#ifndef EXECUTOR_WARDEN_H
#define EXECUTOR_WARDEN_H

#include "executor/process/launch.h"

enum notice_kind { NOTICE_REFUSED = 1, NOTICE_EXITED, NOTICE_GONE };

struct notice {
    int kind;           /* enum notice_kind */
    int step, error;    /* refused: enum launch_step and errno */
    int status;         /* exited: as of wait(2) */
    int alive;          /* exited: 1 = descendants are left */
    uint32_t survivors; /* gone: processes that could not be killed */
    int last;           /* the warden takes no more orders */
    int cut_off;        /* its time ran out (warden_run, warden_extend): the warden killed it */
    int64_t cpu_us;     /* exited, gone: user and system time of all that was reaped so far */
    int64_t rss_bytes;  /* the largest of them */
};

/* Executor's side. Each returns 0 or an errno (EPIPE: the warden is dead). warden_run passes three
 * descriptors, which stay the caller's. */
MUST_CHECK int warden_run(int sock, const launch_t *launch, const int stdio[3], int64_t until_us);
/* The tree may live until then. */
MUST_CHECK int warden_extend(int sock, int64_t until_us);
MUST_CHECK int warden_terminate(int sock);
MUST_CHECK int warden_kill(int sock);
/* 0, EAGAIN (nothing there) or EPIPE. Never blocks. */
MUST_CHECK int warden_notice(int sock, struct notice *notice);

/* The warden's own life; called by the helper in a fresh process. `cgroup_fd`: the folder of a
 * cgroup v2 for its commands, or -1. */
_Noreturn void warden_main(int sock, int cgroup_fd);

#endif

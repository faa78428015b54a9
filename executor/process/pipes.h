/* SPDX-License-Identifier: Apache-2.0
 * executor/process/pipes.h - standard output and error of a command: two pipes, and what comes out
 * of them.
 *
 * Our own copies of the writing ends stay open until the command has ended. So its end is one event
 * (the notice of its warden) and not three, and a command that closes its output early wakes
 * nobody. pipes_end lets go of them: from then on a pipe is at its end when no process has it any
 * more.
 *
 * Owned by a slot; single-threaded. */
#ifndef EXECUTOR_PIPES_H
#define EXECUTOR_PIPES_H

#include "client/base/base.h"

typedef struct pipes {
    int in[2];  /* stdout, stderr: what we read from; -1: closed */
    int out[2]; /* what the command writes to, our copies; -1: closed */
} pipes_t;
#define PIPES_NONE ((pipes_t){ { -1, -1 }, { -1, -1 } })

enum { PIPES_READ = 64 << 10 }; /* bytes of one read: as many as a pipe holds */

typedef void pipes_heard_fn(void *arg, int which, const uint8_t *bytes, size_t len);

/* False: errno says why, and nothing is open. Only our reading ends do not block: a command may
 * expect to wait when a pipe is full. */
MUST_CHECK bool pipes_open(pipes_t *self);
/* Events of `epoll` carry `what` for stdout and `what` + 1 for stderr. Watched twice is once. */
void pipes_watch(const pipes_t *self, int epoll, uint64_t what);
void pipes_unwatch(const pipes_t *self, int epoll);
/* The command has ended. */
void pipes_end(pipes_t *self);
/* Reads one of them, at most `rounds` times, so that one loud command does not starve the others;
 * closes it at its end. `room` has PIPES_READ bytes. */
void pipes_read(pipes_t *self, int which, int rounds, uint8_t *room, pipes_heard_fn *heard,
                void *arg);
bool pipes_done(const pipes_t *self); /* both are at their end */
void pipes_close(pipes_t *self);

#endif

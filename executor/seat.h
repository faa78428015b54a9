/* SPDX-License-Identifier: Apache-2.0
 * executor/seat.h - where the commands of one slot run: a warden, and its cgroup where there is
 * one.
 *
 * A seat outlives the commands that sit in it, one after the other. A warden that takes no more
 * orders (executor/process/warden.h says when) is replaced, with its cgroup, before the next
 * command. */
#ifndef EXECUTOR_SEAT_H
#define EXECUTOR_SEAT_H

#include "executor/process/cgroup.h"
#include "executor/config.h"
#include "executor/process/helper.h"

/* What all seats of an executor share. */
typedef struct seat_maker {
    helper_t *helper;
    cgroup_t *cgroup; /* NULL: none */
    unsigned cgroups; /* numbers given out */
    int epoll;        /* a warden's notices are events of it */
} seat_maker_t;

typedef struct seat {
    int warden;         /* its socket; -1: none yet */
    unsigned cgroup;    /* number of its cgroup */
    bool spent;         /* the warden takes no more orders */
    uint64_t oom_kills; /* in the cgroup, before the command began */
} seat_t;
#define SEAT_EMPTY ((seat_t){ .warden = -1 })

/* Ready for a command with these limits; `what`: of the warden's events. False: errno says why; the
 * warden is -1 when none could be made, and spent when another one may do. */
MUST_CHECK bool seat_prepare(seat_t *self, seat_maker_t *maker, const struct config_limits *limits,
                             uint64_t what);
/* Was a process of the command killed because memory was out? */
bool seat_out_of_memory(const seat_t *self, const seat_maker_t *maker,
                        const struct config_limits *limits);
/* The warden died: it is heard no more, and replaced before the next command. */
void seat_lost(seat_t *self, const seat_maker_t *maker);
/* The warden kills what sits there when its socket closes. */
void seat_clear(seat_t *self, const seat_maker_t *maker);

#endif

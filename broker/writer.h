/* SPDX-License-Identifier: Apache-2.0
 * broker/writer.h - the actor that owns core and the store: one batch in, one synced commit, the
 * outputs back.
 *
 * A job carries a batch to it over an inproc PAIR and comes back with the outputs; whoever holds a
 * job owns it. The writer adds what core may not read itself: the times and 32 random bytes. When
 * a timer of core is due it steps an empty batch and sends the front a job of its own.
 *
 * A step whose outcome is unknown ends the process with exit code WRITER_EXIT_UNKNOWN before any
 * output of it was handed on: the next start reads the truth. */
#ifndef BROKER_WRITER_H
#define BROKER_WRITER_H

#include <czmq.h>

#include "broker/core/core.h"
#include "broker/poison.h"
#include "broker/readers/query.h"
#include "broker/tape.h"
#include "client/base/hist.h"

enum { WRITER_EXIT_UNKNOWN = 70 };

/* What the front has to settle when a command's batch is durable. */
typedef struct job_item {
    conn_t conn;
    uint64_t seq;
    uint32_t items;
    size_t bytes;  /* of the frame, counted as in flight */
    uint64_t hash; /* poison_hash of a request, 0 otherwise */
    bool counted;  /* sessions_take counted it: sessions_done is due */
    bool hello;    /* a session still CONNECTING after the step was refused */
    bool bye;      /* the session ends with the batch */
    bool answer;   /* core does not answer it: an empty Reply is due */
} job_item_t;

/* Numbers about core and the store, taken between two steps. */
typedef struct writer_stats {
    core_stats_t core;    /* `queues` is owned by this struct; the histograms are copied below */
    hist_t queue, run;    /* microseconds, since start */
    hist_t commit, batch; /* microseconds of a step with commit; operations in it; since start */
    store_usage_t usage;
} writer_stats_t;
void writer_stats_free(writer_stats_t **self_p);

typedef struct job {
    /* filled by the front */
    command_t *commands;
    job_item_t *items; /* beside commands */
    size_t n, room;
    uint32_t ops;       /* operations, about */
    wire_arena_t arena; /* holds what the commands borrow */
    query_t **held;     /* reports that waited for their log chunks; freed with the batch */
    size_t held_n, held_room;
    buf_t record; /* the commands as a record keeps them; empty when nothing is recorded */
    bool want_stats;
    int want_events; /* 1, 0: tell core; -1: no change */
    /* filled by the writer */
    outputs_t outputs;
    bool refused;          /* cleanly not done: the store is full */
    writer_stats_t *stats; /* when wanted */
    bool own;              /* made by the writer: a timer was due */
    struct job *next;      /* the front's lists */
} job_t;
job_t *job_new(void);
void job_reset(job_t *self); /* empties, keeps memory */
void job_free(job_t **self_p);
command_t *job_add(job_t *self, job_item_t item); /* a zeroed command beside `item` */

typedef struct writer writer_t;
/* Takes core and store over (core_close, store_close at stop). `poison` is borrowed, may be NULL.
 * `tape` gets every batch, borrowed, NULL: none. The thread starts here. */
MUST_CHECK err_t writer_start(writer_t **out, core_t *core, store_t *store, poison_t *poison,
                              tape_t *tape);
/* The front's end of the PAIR; letters: LETTER_QUERY with a job_t down, LETTER_DONE back. */
void *writer_socket(writer_t *self);
/* Ends the thread after the job in hand; closes core, then the store. */
void writer_stop(writer_t **self_p);
/* Takes numbers of core; only before writer_start or on the writer's thread. */
writer_stats_t *writer_stats_take(const core_t *core, store_t *store);

#endif

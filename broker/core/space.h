/* SPDX-License-Identifier: Apache-2.0
 * broker/core/space.h - what the store still has room for. Pure arithmetic on pages, asked before a
 * batch writes: what does not fit is refused, not tried (the abort path of core.c is the safety
 * net).
 *
 * Counted as used: pages in use and pages that readers and the last commit hold back (the store
 * tells), and for every task that is leased the pages that its end may take with the largest result
 * there is. So whatever else fills the store, what runs can always end at once. Below 85 % work may
 * be added, below 92 % it may be leased; the rest is for what ends or frees, and for the copies of
 * pages that a commit makes before the old ones are free again.
 *
 * The unit is the store's page (4,096 bytes in LMDB). */
#ifndef BROKER_SPACE_H
#define BROKER_SPACE_H

#include "broker/store/store.h"

/* What core does that writes, with its worst case in the table of space.c. */
typedef enum {
    SPACE_BATCH,    /* what each commit rewrites: meta, counters, blocks, the journal's row */
    SPACE_SUBMIT,   /* one task accepted; payload: its bytes */
    SPACE_DELAY,    /* its delay or its expiry */
    SPACE_KEY,      /* its key, or that another task has it */
    SPACE_FIRE,     /* one firing: as a task, with ledger, cursor and gate; payload: the template */
    SPACE_LEASE,    /* one lease given */
    SPACE_END,      /* one attempt over, with all that follows; payload: the result's output */
    SPACE_TIMER,    /* one timer that came due */
    SPACE_PURGE,    /* one ended task forgotten, beside its parts */
    SPACE_NAME,     /* a name that is new here: type, queue, principal, executor, lane */
    SPACE_SCHEDULE, /* one definition; payload: its bytes */
    SPACE_CHANGE,   /* one task changed by hand */
    SPACE_CHILD,    /* one child of a fan-out, made with its parent */
    SPACE_OPS
} space_op_t;

/* Pages. `dirty`: written by the transaction, copies included, at most; `grown`: of them those that
 * stay in use, at most. */
typedef struct space_cost {
    uint64_t dirty, grown;
} space_cost_t;
space_cost_t space_cost(space_op_t op, uint64_t payload_bytes, uint64_t page_bytes);
/* Adds the cost of `times` such operations to *to. */
void space_add(space_cost_t *to, space_op_t op, uint64_t times, uint64_t payload_bytes,
               uint64_t page_bytes);

typedef struct space {
    uint64_t page_bytes, map, used; /* pages */
    uint64_t lease;                 /* pages kept for one running task */
    uint64_t reserved;              /* for all that run */
    bool history;                   /* ended tasks and old events give way */
    bool refuse_adds, end_only;
    uint64_t adds_begun, dirty_begun; /* as the batch began, less what every batch writes */
    uint64_t adds_left;               /* pages that what is added may still grow by */
    uint64_t dirty_left;  /* pages that this batch may still write beside what is reserved */
    uint64_t leases_left; /* tasks that may still be leased */
} space_t;

/* How things stand with `running` leases and results of at most `output_bytes`. */
void space_judge(space_t *self, const store_usage_t *usage, uint64_t running,
                 uint64_t output_bytes);
/* Sets aside what every batch writes. */
void space_begin(space_t *self);
/* What the operations so far were thought to cost at most gives way to what they did: `written` by
 * the store so far, `later` what they leave to the end of the batch. */
void space_settle(space_t *self, const space_cost_t *written, const space_cost_t *later);
/* Takes what the operations cost, or takes nothing and says false. */
bool space_take(space_t *self, const space_cost_t *cost);
/* The smallest map with which one task at a time can be submitted, run and forgotten: bytes. */
uint64_t space_minimum(uint64_t output_bytes, uint64_t page_bytes);

#endif

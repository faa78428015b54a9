/* SPDX-License-Identifier: Apache-2.0
 * space.c - see space.h. A B-tree never writes in place: a row costs the copy of its leaf and of
 * the page above, and a new leaf when that one was full. Rows of one batch that stand side by side
 * share these pages, so the sums here are far above what is usual and never below what is possible;
 * test_space.c measures both. */
#include "broker/core/space.h"

#include "schemas/limits.h"

enum {
    PAGES_A_LEAF = 2, /* its copy, and a leaf that was split off */
    LEAVES_ABOVE =
        16, /* to one page above them: LMDB has a hundred, the first of many splits fewer */
    PAGES_A_ROW = 3, /* a row alone: both, and the page above */
    REFUSE_PERCENT = 85,
    END_ONLY_PERCENT = 92,
    HISTORY_PERCENT = 60,
    LEASES_KEPT = 2,  /* history gives way before fewer than these have room */
    EMPTY_PAGES = 96, /* a store without tasks: tables, names, a schedule or two */
};

/* Rows that an operation puts or deletes anywhere in tables of its own, and those that lie one
 * behind the other when there are several such operations; what it shares with others stands under
 * SPACE_BATCH. Bytes of those that stay: key, value, checksum, node, its share of the journal. */
static const struct row {
    const char *tables;
    uint32_t rows, behind, bytes;
} costs[SPACE_OPS] = {
    /* two each: pages on the way down in large trees; free list */
    [SPACE_BATCH] = { "meta, count x 2, block x 2, jrn x 2, lane x 2, free list x 2; a first leaf "
                      "in each of 32 tables",
                      11, 0, 32 * 2048 },
    [SPACE_SUBMIT] = { "ids, ready; spec; lane", 3, 1, 500 },
    [SPACE_DELAY] = { "timer", 1, 0, 60 },
    [SPACE_KEY] = { "uniq; or, when it is taken: part, timer", 2, 0, 600 },
    [SPACE_CHILD] = { "ids, ready, lane; spec, kids", 3, 2, 900 },
    [SPACE_FIRE] = { "ids, ready or park, expiry timer, scur, ledger, gate, lane; spec; of the one "
                     "it supersedes: state, ready, timer",
                     10, 1, 4200 },
    [SPACE_LEASE] = { "ready, run, expiry timer, scur", 4, 0, 120 },
    [SPACE_END] = { "run, state, try, lost or new timer, ready, uniq, scur, gate; released: park, "
                    "state, ready",
                    11, 0, 2200 },
    [SPACE_TIMER] = { "timer, state, ready, uniq, scur, ids, part", 7, 0, 1200 },
    [SPACE_PURGE] = { "ids, part, timer, state, spec, two tries, lane", 8, 0, 120 },
    [SPACE_NAME] = { "names, reg, lane, count", 4, 0, 1000 },
    [SPACE_SCHEDULE] = { "names x 2, sched x 2, scur, reply, replyage, count", 8, 0, 6000 },
    [SPACE_CHANGE] = { "state, ready, timer x 2, try, uniq, scur, gate", 8, 0, 1800 },
};

static uint64_t up(uint64_t n, uint64_t by)
{
    return (n + by - 1) / by;
}

/* Bytes in leaves that may be half empty after splits. */
static uint64_t half_full(uint64_t bytes, uint64_t page_bytes)
{
    return up(2 * bytes, page_bytes);
}

/* A large value lies in pages of its own, a part each, and a short row for each of them. */
static uint64_t payload_pages(uint64_t bytes, uint64_t page_bytes)
{
    enum { PART_ROW = 64, PART_HEAD = 24 };
    if (bytes <= LIMIT_OUTPUT_INLINE) return half_full(bytes, page_bytes);
    uint64_t parts = up(bytes, LIMIT_PART);
    return parts * up(LIMIT_PART + PART_HEAD, page_bytes) +
           half_full(parts * PART_ROW, page_bytes) + PAGES_A_ROW;
}

void space_add(space_cost_t *to, space_op_t op, uint64_t times, uint64_t payload_bytes,
               uint64_t page_bytes)
{
    const struct row *row = &costs[op];
    uint64_t grown = half_full(times * row->bytes, page_bytes) +
                     times * payload_pages(payload_bytes, page_bytes);
    to->grown += grown;
    to->dirty += grown + times * row->rows * PAGES_A_LEAF + up(times, LEAVES_ABOVE) * row->rows +
                 (times > 0) * row->behind * PAGES_A_ROW;
}

space_cost_t space_cost(space_op_t op, uint64_t payload_bytes, uint64_t page_bytes)
{
    space_cost_t cost = { 0 };
    space_add(&cost, op, 1, payload_bytes, page_bytes);
    return cost;
}

/* A lease's room: its end, twice what that copies (the pages of the commit before are not free
 * yet). */
static uint64_t lease_pages(uint64_t output_bytes, uint64_t page_bytes)
{
    space_cost_t end = space_cost(SPACE_END, output_bytes, page_bytes);
    return 2 * end.dirty - end.grown;
}

static uint64_t below(uint64_t limit, uint64_t taken)
{
    return limit > taken ? limit - taken : 0;
}

void space_judge(space_t *self, const store_usage_t *usage, uint64_t running, uint64_t output_bytes)
{
    uint64_t page = usage->page_bytes ? usage->page_bytes : 4096;
    *self = (space_t){ .page_bytes = page,
                       .map = usage->map_bytes / page,
                       .used = up(usage->used_bytes, page),
                       .lease = lease_pages(output_bytes, page) };
    self->reserved = running * self->lease;
    uint64_t refuse_at = self->map * REFUSE_PERCENT / 100;
    uint64_t end_at = self->map * END_ONLY_PERCENT / 100;
    /* what waits must be able to run: room for one lease is kept even when none is given */
    uint64_t kept = running ? self->reserved : self->lease;
    self->adds_left = below(refuse_at, self->used + kept);
    self->dirty_left = below(self->map, self->used + kept);
    self->leases_left = below(end_at, self->used + self->reserved) / self->lease;
    if (running == 0 && self->leases_left == 0 && self->used + self->lease <= self->map)
        self->leases_left = 1;
    self->refuse_adds = self->adds_left == 0;
    self->end_only = self->used >= end_at;
    self->history = self->used >= self->map * HISTORY_PERCENT / 100 ||
                    self->used + LEASES_KEPT * self->lease > end_at;
}

void space_begin(space_t *self)
{
    space_cost_t always = space_cost(SPACE_BATCH, 0, self->page_bytes);
    (void)space_take(self, &always);
    self->adds_begun = self->adds_left;
    self->dirty_begun = self->dirty_left;
}

void space_settle(space_t *self, const space_cost_t *written, const space_cost_t *later)
{
    self->adds_left = below(self->adds_begun, written->grown + later->grown);
    self->dirty_left = below(self->dirty_begun, written->dirty + later->dirty);
}

bool space_take(space_t *self, const space_cost_t *cost)
{
    /* no batch copies more than all there is, and splits each page of it once */
    uint64_t most = 2 * self->used + cost->grown;
    uint64_t dirty = cost->dirty < most ? cost->dirty : most;
    if (cost->grown > self->adds_left || dirty > self->dirty_left) return false;
    self->adds_left -= cost->grown;
    self->dirty_left -= dirty;
    return true;
}

uint64_t space_minimum(uint64_t output_bytes, uint64_t page_bytes)
{
    space_cost_t task = { 0 };
    space_add(&task, SPACE_BATCH, 2, 0, page_bytes);
    space_add(&task, SPACE_SUBMIT, 1, LIMIT_SPEC_INLINE, page_bytes);
    space_add(&task, SPACE_NAME, 2, 0, page_bytes);
    uint64_t pages = EMPTY_PAGES + task.dirty + lease_pages(output_bytes, page_bytes);
    return up(pages * 100, REFUSE_PERCENT) * page_bytes;
}

/* SPDX-License-Identifier: Apache-2.0
 * tally.c - how many pages the open transaction has written, at most.
 *
 * A B-tree never writes in place: the first row that a transaction puts into a leaf costs a copy of
 * it and of the pages above, every further one nothing, until the leaf is split. How much the trees
 * have grown the store tells at once. What it does not tell is how many old leaves were copied: no
 * more than rows were put, and no more than the table had. Rows in a row make it less: those that
 * are put one behind the other, with no other row between, lie in the leaf of the first and at most
 * in the one that follows. That is what a run is, and why the numbers of a thousand tasks cost two
 * copies and a thousand ids drawn at random cost a thousand. */
#include "broker/store/tally.h"

enum {
    IN_LEAF = 2000,     /* bytes of a row that stays in a leaf, about: half a page */
    OVERFLOW_HEAD = 16, /* of a value in pages of its own */
    FREED_A_PAGE = 500, /* numbers of freed pages that a page of the free list holds */
    FREED_ALWAYS = 4,
    NAMES_PAGES = 2, /* the root that names the tables */
};

void tally_begin(store_t *self)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        store_tally_t *tally = &self->tally[i];
        tally->puts = tally->dels = tally->copies = tally->overflow = tally->in_run = 0;
    }
}

void tally_free(store_t *self)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        buf_free(&self->tally[i].last);
        buf_free(&self->tally[i].next);
    }
}

static void set(buf_t *to, slice_t bytes)
{
    to->len = 0;
    buf_add(to, bytes.at, bytes.len);
}

static bool follows(const store_tally_t *tally, slice_t key)
{
    return tally->in_run > 0 && slice_compare(key, slice(tally->last.at, tally->last.len)) > 0 &&
           (tally->at_end || slice_compare(key, slice(tally->next.at, tally->next.len)) < 0);
}

static void watch(store_t *self, table_t table, slice_t key)
{
    store_tally_t *tally = &self->tally[table];
    if (follows(tally, key)) {
        tally->copies += ++tally->in_run == 2; /* the leaf of the row that follows the run */
    } else {
        slice_t next, raw;
        err_t err = self->ops->seek(self, table, key, false, &next, &raw);
        tally->at_end = err == ERR_NOT_FOUND;
        tally->in_run = err == ERR_OK || tally->at_end; /* else this put fails, too */
        if (err == ERR_OK) set(&tally->next, next);
        tally->copies++;
    }
    set(&tally->last, key);
}

void tally_put(store_t *self, table_t table, slice_t key, size_t len)
{
    store_tally_t *tally = &self->tally[table];
    tally->puts++;
    if (key.len + len > IN_LEAF) tally->overflow += (uint32_t)((len + OVERFLOW_HEAD) / 4096 + 1);
    if (self->watch)
        watch(self, table, key);
    else
        tally->copies++;
}

void tally_del(store_t *self, table_t table)
{
    self->tally[table].dels++;
    self->tally[table].copies +=
        2; /* its leaf, and the one beside it when that is left too empty */
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Leaves made anew: as many as there are more, and as many as went because of deletions. */
static uint64_t new_leaves(const store_tally_t *tally, int64_t more)
{
    int64_t made = more + (int64_t)tally->dels;
    if (made <= 0) return 0;
    return tally->dels ? least((uint64_t)made, tally->puts) : (uint64_t)made;
}

void tally_sum(const store_t *self, const store_tree_t *before, const store_tree_t *now,
               store_written_t *written)
{
    uint64_t dirty = NAMES_PAGES, freed = 0;
    int64_t grown = 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        const store_tally_t *tally = &self->tally[i];
        const store_tree_t *old = &before[i], *tree = &now[i];
        uint64_t leaves = least(tally->copies, old->leaf);
        uint64_t above = least(leaves * (old->depth > 1 ? old->depth - 1 : 0), old->branch);
        if (tally->dels) above = least(2 * above, old->branch); /* what is merged has a sibling */
        int64_t branches = (int64_t)tree->branch - (int64_t)old->branch;
        int64_t more = (int64_t)tree->leaf - (int64_t)old->leaf;
        dirty += leaves + above + new_leaves(tally, more) + tally->overflow;
        dirty += (branches > 0 ? (uint64_t)branches : 0) + (tally->dels > 0);
        grown += more + branches + (int64_t)tree->overflow - (int64_t)old->overflow;
        freed += leaves + above + least(tally->overflow, old->overflow) +
                 (tree->overflow < old->overflow ? old->overflow - tree->overflow : 0);
    }
    const store_tree_t *list = &before[TABLE_COUNT];
    uint64_t listed = freed / FREED_A_PAGE + FREED_ALWAYS;
    written->dirty = dirty + listed + list->branch + list->leaf + list->overflow;
    written->grown = (grown > 0 ? (uint64_t)grown : 0) + listed;
}

/* SPDX-License-Identifier: Apache-2.0
 * broker/store/tally.h - what the open transaction has written, counted while it goes; for store.c.
 */
#ifndef BROKER_STORE_TALLY_H
#define BROKER_STORE_TALLY_H

#include "broker/store/store.h"

/* Pages of one table; slot TABLE_COUNT is the list of free pages. */
typedef struct store_tree {
    uint64_t branch, leaf, overflow;
    unsigned depth;
} store_tree_t;

void tally_begin(store_t *self);
/* Before the row is put or deleted; len: of the value as stored. */
void tally_put(store_t *self, table_t table, slice_t key, size_t len);
void tally_del(store_t *self, table_t table);
/* What was written: from the trees as committed last, and in the open transaction. */
void tally_sum(const store_t *self, const store_tree_t *before, const store_tree_t *now,
               store_written_t *written);
void tally_free(store_t *self);

#endif

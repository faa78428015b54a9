/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/memstore.h - what tests do to the store in memory: faults that they ask for, crashes,
 * clones, damage, and looks at all of it. */
#ifndef SIM_MEMSTORE_H
#define SIM_MEMSTORE_H

#include "broker/store/memstore_inside.h"

memstore_fault_t *memstore_faults(store_t *self);

/* The process dies and comes back: an open transaction is gone, and after a commit with an unknown
 * outcome the store can be used again. Open views stay until they are closed. */
void memstore_crash(store_t *self);

/* What is committed, as a store of its own: no hooks, no open transaction. */
store_t *memstore_clone(store_t *self);

/* Flips the bits of `mask` in byte `at` (modulo its length) of a committed row's stored value, the
 * checksum included. False: no such row, or its value is empty. Not inside a transaction. */
bool memstore_damage(store_t *self, table_t table, slice_t key, size_t at, uint8_t mask);

uint64_t memstore_rows(store_t *self, table_t table); /* committed rows */
uint64_t memstore_hash(store_t *self);                /* over all committed rows */
uint64_t memstore_commits(const store_t *self);       /* commits tried */

/* Compares committed rows of any two stores (their snapshots), checksums included. True: equal.
 * Else the first difference as text. */
bool store_same(store_t *a, store_t *b, char *difference, size_t len);

#endif

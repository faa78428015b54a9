/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/memstore.h - broker/store/store.h in plain memory, with faults that a test asks for.
 *
 * Deterministic: nothing depends on addresses, clocks or threads. Every operation is O(log rows);
 * snapshots, rollback and clones are O(tables), since trees are shared until they are written.
 * One thread at a time for a store, its views and its clones together (reference counts are plain).
 * Limits behave as LMDB's do: a transaction that begins at or above map_bytes may only delete, and
 * one that outgrows it by a sixteenth is refused. */
#ifndef SIM_MEMSTORE_H
#define SIM_MEMSTORE_H

#include "broker/store/store.h"

typedef enum {
    MEMSTORE_COMMIT_OK,
    MEMSTORE_COMMIT_REFUSED,         /* ERR_STORE_FULL, nothing changed */
    MEMSTORE_COMMIT_APPLIED_UNKNOWN, /* ERR_STORE_IO, yet it is there after memstore_crash */
    MEMSTORE_COMMIT_LOST_UNKNOWN,    /* ERR_STORE_IO, and it is not */
} memstore_commit_t;

/* What goes wrong. Change it at any time between calls. */
typedef struct memstore_fault {
    uint64_t map_bytes;            /* the most it may hold; 64 GiB at first */
    memstore_commit_t next_commit; /* for one commit, then OK again; comes before on_commit */
    memstore_commit_t (*on_commit)(void *arg, uint64_t number); /* NULL: OK. number: 1, 2, ... */
    bool (*on_put)(void *arg, table_t table); /* true: this put finds the map full. NULL: false */
    void *arg;
} memstore_fault_t;

store_t *memstore_new(void); /* store_close takes it back */
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

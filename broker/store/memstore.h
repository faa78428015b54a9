/* SPDX-License-Identifier: Apache-2.0
 * broker/store/memstore.h - store.h in plain memory: for a core that is asked "what if" and leaves
 * no trace (rehearse.c), for tests and for the simulator.
 *
 * Deterministic: nothing depends on addresses, clocks or threads. Every operation is O(log rows);
 * snapshots, rollback and clones are O(tables), since trees are shared until they are written.
 * One thread at a time for a store, its views and its clones together (reference counts are plain).
 * Limits behave as LMDB's do: a transaction that begins at or above map_bytes may only delete, and
 * one that outgrows it by a sixteenth is refused. */
#ifndef BROKER_STORE_MEMSTORE_H
#define BROKER_STORE_MEMSTORE_H

#include "broker/store/store.h"

store_t *memstore_new(void); /* store_close takes it back */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/map.h - a hash table from u64 to a borrowed pointer: open addressing, linear probing,
 * deletion by shifting back. Iteration order depends on the keys alone, yet core never lets it
 * decide anything. Key 0 is not allowed. */
#ifndef BROKER_MAP_H
#define BROKER_MAP_H

#include "client/base/base.h"

typedef struct map {
    struct map_slot {
        uint64_t key;
        void *value;
    } * slots;
    size_t room, n; /* room: a power of two or 0 */
} map_t;

void *map_get(const map_t *self, uint64_t key);       /* NULL: absent */
void map_put(map_t *self, uint64_t key, void *value); /* replaces */
void *map_take(map_t *self, uint64_t key);            /* removes; NULL: was absent */
/* Walks all: *at = 0 to begin. NULL at the end. No put or take in between. */
void *map_next(const map_t *self, size_t *at);
void map_free(map_t *self);

/* Values that share a key (a hash) stand in a chain, the newest first: each holds, `link_at` bytes
 * from its beginning, the pointer to the next one. */
void map_chain(map_t *self, uint64_t key, void *value, size_t link_at);
void map_unchain(map_t *self, uint64_t key, void *value, size_t link_at); /* it is there */

#endif

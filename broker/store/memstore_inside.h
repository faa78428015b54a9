/* SPDX-License-Identifier: Apache-2.0
 * broker/store/memstore_inside.h - what the store in memory shares with its tests, which make it
 * fail, damage it and look at it (tests/sim/memstore.c). Nobody else includes it. */
#ifndef BROKER_STORE_MEMSTORE_INSIDE_H
#define BROKER_STORE_MEMSTORE_INSIDE_H

#include "broker/store/memstore.h"

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

typedef struct entry {
    unsigned owners;
    size_t key_len, value_len;
    uint8_t bytes[]; /* key, value */
} entry_t;

typedef struct node {
    unsigned owners;
    uint64_t priority;
    uint64_t head; /* the key's first eight bytes: most keys are told apart by them */
    entry_t *entry;
    struct node *left, *right;
} node_t;

typedef struct image {
    node_t *roots[TABLE_COUNT];
    uint64_t rows[TABLE_COUNT];
    uint64_t bytes;
} image_t;

typedef struct memstore {
    store_t base;
    memstore_fault_t fault;
    image_t committed;
    image_t working; /* valid while open */
    bool open;
    bool may_add; /* it began below the limit */
    bool dead;    /* the last commit's outcome is unknown */
    unsigned views;
    uint64_t commits;
} memstore_t;

static inline memstore_t *memstore_of(store_t *self)
{
    return (memstore_t *)self;
}

slice_t mem_entry_key(const entry_t *entry);
slice_t mem_entry_value(const entry_t *entry);
entry_t *mem_entry_new(slice_t key, size_t value_len);   /* one owner: the caller */
entry_t *mem_tree_find(const node_t *node, slice_t key); /* NULL: no such key */
image_t mem_image_share(const image_t *image);           /* one owner more of all its trees */
/* Takes `entry`; one with the same key goes. */
void mem_image_put(image_t *image, table_t table, entry_t *entry);
void mem_abort(store_t *base);

#endif

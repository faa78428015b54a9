/* SPDX-License-Identifier: Apache-2.0
 * timeline.c - a binary heap of pointers, each entry knowing its place, and a hash table by uid
 * with linear probing. */
#include "scheduler/timeline.h"

#include <stdlib.h>

struct timeline {
    entry_t **heap; /* heap[0] is due first */
    size_t n, heap_room;
    entry_t **slots; /* by uid; room is a power of two, at most half full */
    size_t room;
};

static size_t home(const timeline_t *self, const uint8_t uid[16])
{
    return (size_t)(be_u64(uid) ^ be_u64(uid + 8)) & (self->room - 1); /* uids are random */
}

static size_t find_slot(const timeline_t *self, const uint8_t uid[16])
{
    size_t at = home(self, uid);
    while (self->slots[at] && memcmp(self->slots[at]->uid, uid, 16) != 0)
        at = (at + 1) & (self->room - 1);
    return at;
}

timeline_t *timeline_new(void)
{
    timeline_t *self = mem_new(sizeof *self);
    self->room = 64;
    self->slots = mem_new(self->room * sizeof *self->slots);
    return self;
}

void timeline_clear(timeline_t *self)
{
    for (size_t i = 0; i < self->n; i++)
        free(self->heap[i]);
    self->n = 0;
    memset(self->slots, 0, self->room * sizeof *self->slots);
}

void timeline_destroy(timeline_t **self_p)
{
    if (*self_p == NULL) return;
    timeline_clear(*self_p);
    free((*self_p)->heap);
    free((*self_p)->slots);
    free(*self_p);
    *self_p = NULL;
}

size_t timeline_size(const timeline_t *self)
{
    return self->n;
}

static void put(timeline_t *self, size_t at, entry_t *entry)
{
    self->heap[at] = entry;
    entry->heap_at = (uint32_t)at;
}

static void sift(timeline_t *self, size_t at)
{
    entry_t *entry = self->heap[at];
    for (; at > 0 && self->heap[(at - 1) / 2]->due_us > entry->due_us; at = (at - 1) / 2)
        put(self, at, self->heap[(at - 1) / 2]);
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < self->n && self->heap[child + 1]->due_us < self->heap[child]->due_us)
            child++;
        if (child >= self->n || self->heap[child]->due_us >= entry->due_us) break;
        put(self, at, self->heap[child]);
        at = child;
    }
    put(self, at, entry);
}

static void grow_slots(timeline_t *self)
{
    entry_t **old = self->slots;
    size_t room = self->room;
    self->room *= 2;
    self->slots = mem_new(self->room * sizeof *self->slots);
    for (size_t i = 0; i < room; i++)
        if (old[i]) self->slots[find_slot(self, old[i]->uid)] = old[i];
    free(old);
}

entry_t *timeline_find(const timeline_t *self, const uint8_t uid[16])
{
    return self->slots[find_slot(self, uid)];
}

entry_t *timeline_entry(timeline_t *self, const uint8_t uid[16])
{
    entry_t *entry = timeline_find(self, uid);
    if (entry) return entry;
    if (self->n * 2 >= self->room) grow_slots(self);
    if (self->n == self->heap_room) {
        self->heap_room = self->heap_room ? self->heap_room * 2 : 64;
        self->heap = mem_grow(self->heap, self->heap_room * sizeof *self->heap);
    }
    entry = mem_new(sizeof *entry);
    memcpy(entry->uid, uid, 16);
    entry->due_us = entry->told_us = TIMELINE_NEVER;
    self->slots[find_slot(self, uid)] = entry;
    put(self, self->n, entry);
    self->n++;
    sift(self, self->n - 1);
    return entry;
}

void timeline_remove(timeline_t *self, const uint8_t uid[16])
{
    size_t hole = find_slot(self, uid);
    entry_t *entry = self->slots[hole];
    if (entry == NULL) return;
    self->slots[hole] = NULL;
    for (size_t at = (hole + 1) & (self->room - 1); self->slots[at];
         at = (at + 1) & (self->room - 1)) {
        size_t wanted = home(self, self->slots[at]->uid);
        if (((at - wanted) & (self->room - 1)) >= ((at - hole) & (self->room - 1))) {
            self->slots[hole] = self->slots[at];
            self->slots[at] = NULL;
            hole = at;
        }
    }
    size_t at = entry->heap_at;
    entry_t *last = self->heap[--self->n];
    if (last != entry) {
        put(self, at, last);
        sift(self, at);
    }
    free(entry);
}

size_t timeline_keep(timeline_t *self, uint8_t list)
{
    entry_t **gone = NULL; /* removing moves others about: first look, then remove */
    size_t n = 0, room = 0;
    for (size_t i = 0; i < self->n; i++) {
        if (self->heap[i]->list == list) continue;
        if (n == room) {
            room = room ? room * 2 : 64;
            gone = mem_grow(gone, room * sizeof *gone);
        }
        gone[n++] = self->heap[i];
    }
    for (size_t i = 0; i < n; i++)
        timeline_remove(self, gone[i]->uid);
    free(gone);
    return n;
}

void timeline_set_due(timeline_t *self, entry_t *entry, int64_t due_us)
{
    entry->due_us = due_us;
    sift(self, entry->heap_at);
}

entry_t *timeline_first(const timeline_t *self)
{
    return self->n ? self->heap[0] : NULL;
}

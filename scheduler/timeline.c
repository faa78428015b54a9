/* SPDX-License-Identifier: Apache-2.0
 * timeline.c - a heap whose places say when they are due, so that looking for the next one reads
 * few entries, each entry knowing its place; and a hash table by uid with linear probing. */
#include "scheduler/timeline.h"

#include <stdlib.h>

enum { WAYS = 4 }; /* children of a place: half the levels of two, and they stand side by side */

typedef struct place {
    int64_t due_us;
    entry_t *entry;
    uint32_t order;
} place_t;

struct timeline {
    place_t *heap; /* heap[0] is due first */
    size_t n, heap_room;
    uint32_t order;  /* of the next entry */
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
        free(self->heap[i].entry);
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

static bool before(const place_t *a, const place_t *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void put(timeline_t *self, size_t at, place_t place)
{
    self->heap[at] = place;
    place.entry->heap_at = (uint32_t)at;
}

/* Puts it where it belongs, beginning at the place `at`, which is free. */
static void sift(timeline_t *self, size_t at, place_t place)
{
    for (size_t up; at > 0 && before(&place, &self->heap[up = (at - 1) / WAYS]); at = up)
        put(self, at, self->heap[up]);
    for (size_t child; (child = WAYS * at + 1) < self->n; at = child) {
        size_t end = child + WAYS < self->n ? child + WAYS : self->n;
        for (size_t next = child + 1; next < end; next++)
            if (before(&self->heap[next], &self->heap[child])) child = next;
        if (!before(&self->heap[child], &place)) break;
        put(self, at, self->heap[child]);
    }
    put(self, at, place);
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
    entry->order = self->order++;
    self->slots[find_slot(self, uid)] = entry;
    self->n++;
    sift(self, self->n - 1, (place_t){ entry->due_us, entry, entry->order });
    return entry;
}

/* Uids are random, so no other entry has this one. */
void timeline_range_uid(const uint8_t uid[16], uint16_t range, uint8_t made[16])
{
    memmove(made, uid, 16);
    made[14] ^= (uint8_t)(range >> 8);
    made[15] ^= (uint8_t)range;
}

entry_t *timeline_range(timeline_t *self, entry_t *schedule, uint16_t range)
{
    uint8_t uid[16];
    CHECK(schedule->range == 0 && range != 0);
    timeline_range_uid(schedule->uid, range, uid);
    entry_t *entry = timeline_entry(self, uid);
    if (entry->range) return entry;
    entry->range = range;
    entry->ranges = schedule->ranges;
    schedule->ranges = entry;
    return entry;
}

static void take_from_table(timeline_t *self, const entry_t *entry)
{
    size_t hole = find_slot(self, entry->uid);
    CHECK(self->slots[hole] == entry);
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
}

static void take_from_schedule(timeline_t *self, const entry_t *range)
{
    uint8_t uid[16];
    timeline_range_uid(range->uid, range->range, uid);
    entry_t **at = &timeline_find(self, uid)->ranges;
    while (*at != range)
        at = &(*at)->ranges;
    *at = range->ranges;
}

static void drop(timeline_t *self, entry_t *entry)
{
    take_from_table(self, entry);
    size_t at = entry->heap_at;
    place_t last = self->heap[--self->n];
    if (last.entry != entry) sift(self, at, last);
    free(entry);
}

void timeline_remove(timeline_t *self, entry_t *entry)
{
    if (entry->range) take_from_schedule(self, entry);
    for (entry_t *range = entry->range ? NULL : entry->ranges, *next; range; range = next) {
        next = range->ranges;
        drop(self, range);
    }
    drop(self, entry);
}

size_t timeline_keep(timeline_t *self, uint8_t list)
{
    entry_t **gone = NULL; /* removing moves others about: first look, then remove */
    size_t n = 0, room = 0;
    for (size_t i = 0; i < self->n; i++) {
        entry_t *entry = self->heap[i].entry;
        if (entry->range || entry->list == list) continue;
        if (n == room) {
            room = room ? room * 2 : 64;
            gone = mem_grow(gone, room * sizeof *gone);
        }
        gone[n++] = entry;
    }
    for (size_t i = 0; i < n; i++)
        timeline_remove(self, gone[i]);
    free(gone);
    return n;
}

void timeline_set_due(timeline_t *self, entry_t *entry, int64_t due_us)
{
    entry->due_us = due_us;
    sift(self, entry->heap_at, (place_t){ due_us, entry, entry->order });
}

entry_t *timeline_first(const timeline_t *self)
{
    return self->n ? self->heap[0].entry : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/map.h"

#include <stdlib.h>

static size_t home(const map_t *self, uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15); /* Fibonacci hashing */
    return (size_t)(key >> 20) & (self->room - 1);
}

static size_t find(const map_t *self, uint64_t key)
{
    size_t at = home(self, key);
    while (self->slots[at].key != 0 && self->slots[at].key != key)
        at = (at + 1) & (self->room - 1);
    return at;
}

void *map_get(const map_t *self, uint64_t key)
{
    return self->room ? self->slots[find(self, key)].value : NULL;
}

void map_put(map_t *self, uint64_t key, void *value)
{
    CHECK(key != 0 && value != NULL);
    if (self->n * 2 >= self->room) {
        map_t bigger = { .room = self->room ? self->room * 2 : 64 };
        bigger.slots = mem_new(bigger.room * sizeof *bigger.slots);
        for (size_t i = 0; i < self->room; i++)
            if (self->slots[i].key != 0)
                bigger.slots[find(&bigger, self->slots[i].key)] = self->slots[i];
        free(self->slots);
        self->slots = bigger.slots;
        self->room = bigger.room;
    }
    struct map_slot *slot = &self->slots[find(self, key)];
    self->n += slot->key == 0;
    *slot = (struct map_slot){ key, value };
}

void *map_take(map_t *self, uint64_t key)
{
    if (self->room == 0) return NULL;
    size_t hole = find(self, key);
    void *value = self->slots[hole].value;
    if (value == NULL) return NULL;
    self->n--;
    for (size_t at = (hole + 1) & (self->room - 1); self->slots[at].key != 0;
         at = (at + 1) & (self->room - 1)) {
        size_t wanted = home(self, self->slots[at].key);
        if (((at - wanted) & (self->room - 1)) >= ((at - hole) & (self->room - 1))) {
            self->slots[hole] = self->slots[at];
            hole = at;
        }
    }
    self->slots[hole] = (struct map_slot){ 0, NULL };
    return value;
}

void *map_next(const map_t *self, size_t *at)
{
    while (*at < self->room) {
        void *value = self->slots[(*at)++].value;
        if (value != NULL) return value;
    }
    return NULL;
}

void map_free(map_t *self)
{
    free(self->slots);
    *self = (map_t){ 0 };
}

static void *next_of(const void *value, size_t link_at)
{
    void *next;
    memcpy(&next, (const char *)value + link_at, sizeof next);
    return next;
}

static void set_next(void *value, size_t link_at, void *next)
{
    memcpy((char *)value + link_at, &next, sizeof next);
}

void map_chain(map_t *self, uint64_t key, void *value, size_t link_at)
{
    set_next(value, link_at, map_get(self, key));
    map_put(self, key, value);
}

void map_unchain(map_t *self, uint64_t key, void *value, size_t link_at)
{
    void *before = map_get(self, key), *next = next_of(value, link_at);
    if (before != value) {
        while (next_of(before, link_at) != value)
            before = next_of(before, link_at);
        set_next(before, link_at, next);
    } else if (next) {
        map_put(self, key, next);
    } else {
        map_take(self, key);
    }
}

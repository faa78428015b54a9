/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_arena.c - the bump allocator of wire.h.
 *
 * Chunks double from 4 KiB and are kept in a list; a reset goes back to the first one. So in steady
 * state a batch is decoded without a single malloc. */
#include <stdio.h>
#include <stdlib.h>

#include "schemas/wire_unpack.h"

struct wire_chunk {
    wire_chunk_t *next;
    size_t room;
    _Alignas(16) uint8_t at[];
};

enum { CHUNK_LEAST = 4 << 10, CHUNK_MOST = 1 << 20, KEPT_MOST = 1 << 20 };

static void *on_alloc(void *self, size_t bytes)
{
    return wire_arena_take(self, bytes);
}

static void on_free(void *self, void *at)
{
    (void)self;
    (void)at;
}

void wire_arena_init(wire_arena_t *self)
{
    *self = (wire_arena_t){ .end = SIZE_MAX };
    self->allocator = (ProtobufCAllocator){ on_alloc, on_free, self };
}

void wire_arena_reset(wire_arena_t *self)
{
    size_t kept = 0;
    for (wire_chunk_t **link = &self->first; *link;) {
        wire_chunk_t *chunk = *link;
        if (kept + chunk->room > KEPT_MOST) { /* one large message must not cost memory for ever */
            *link = chunk->next;
            free(chunk);
        } else {
            kept += chunk->room;
            link = &chunk->next;
        }
    }
    self->now = self->first;
    self->used = 0;
    self->total = 0;
    self->end = SIZE_MAX;
    self->no_memory = false;
}

void wire_arena_free(wire_arena_t *self)
{
    while (self->first) {
        wire_chunk_t *chunk = self->first;
        self->first = chunk->next;
        free(chunk);
    }
    wire_arena_init(self);
}

/* Makes `now` a chunk with room for `bytes`: the next kept one if it is large enough, else a new
 * one in front of it. */
static bool next_chunk(wire_arena_t *self, size_t bytes)
{
    wire_chunk_t *next = self->now ? self->now->next : self->first;
    if (!next || next->room < bytes) {
        size_t room = self->now ? self->now->room * 2 : CHUNK_LEAST;
        if (room > CHUNK_MOST) room = CHUNK_MOST;
        if (room < bytes) room = bytes;
        wire_chunk_t *chunk = malloc(sizeof *chunk + room);
        if (!chunk) {
            self->no_memory = true;
            return false;
        }
        chunk->room = room;
        chunk->next = next;
        *(self->now ? &self->now->next : &self->first) = chunk;
        next = chunk;
    }
    self->now = next;
    self->used = 0;
    return true;
}

void *wire_arena_take(wire_arena_t *self, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + 7) & ~(size_t)7;
    if (bytes > self->end - self->total) return NULL;
    if (!self->now || self->now->room - self->used < bytes) {
        if (!next_chunk(self, bytes)) return NULL;
    }
    uint8_t *at = self->now->at + self->used;
    self->used += bytes;
    self->total += bytes;
    return at;
}

char *wire_arena_print(wire_arena_t *self, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = len < 0 ? NULL : wire_arena_take(self, (size_t)len + 1);
    if (text) vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

wire_mark_t wire_arena_mark(const wire_arena_t *self)
{
    return (wire_mark_t){ self->now, self->used, self->total };
}

void wire_arena_rewind(wire_arena_t *self, wire_mark_t mark)
{
    /* marked before there was a chunk: nothing of the first one was in use */
    self->now = mark.now ? mark.now : self->first;
    self->used = mark.now ? mark.used : 0;
    self->total = mark.total;
    self->no_memory = false;
}

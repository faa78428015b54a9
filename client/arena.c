/* SPDX-License-Identifier: Apache-2.0 */
#include "client/arena.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 16, CAP_BASE = 64 << 10, CAP_FACTOR = 32 };

typedef struct chunk {
    struct chunk *next;
    size_t used, room; /* of the bytes behind this head */
} chunk_t;

/* A message that was serialized inside another one. */
typedef struct inner {
    struct inner *next;
    const uint8_t *source; /* the bytes it came from: what it is found by */
    const void *message;
} inner_t;

typedef struct arena {
    chunk_t *chunks;
    size_t taken, cap;    /* bytes of all chunks, and how many they may be */
    pthread_mutex_t lock; /* of `inners` and what is unpacked late */
    inner_t *inners;
    ProtobufCAllocator allocator;
} arena_t;

static uint8_t *chunk_bytes(chunk_t *self)
{
    return (uint8_t *)self + ((sizeof *self + 15) & ~(size_t)15);
}

static bool add_chunk(arena_t *self, size_t least)
{
    size_t room = self->chunks ? self->chunks->room * 2 : 1024;
    while (room < least)
        room *= 2;
    if (room > self->cap - self->taken) room = self->cap - self->taken;
    if (room < least) return false;
    chunk_t *chunk = malloc(sizeof *chunk + 16 + room);
    if (!chunk) return false;
    *chunk = (chunk_t){ .next = self->chunks, .room = room };
    self->chunks = chunk;
    self->taken += room;
    return true;
}

static void *take(void *data, size_t size)
{
    arena_t *self = data;
    if (size > self->cap) return NULL;
    size_t need = HEAD + ((size + 15) & ~(size_t)15);
    if ((!self->chunks || self->chunks->room - self->chunks->used < need) && !add_chunk(self, need))
        return NULL;
    uint8_t *at = chunk_bytes(self->chunks) + self->chunks->used;
    self->chunks->used += need;
    memcpy(at, &self, sizeof self);
    return at + HEAD;
}

static void forget(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

static arena_t *arena_new(size_t len)
{
    arena_t *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->cap = CAP_BASE + (len < (size_t)1 << 32 ? len * CAP_FACTOR : (size_t)1 << 37);
    pthread_mutex_init(&self->lock, NULL);
    self->allocator = (ProtobufCAllocator){ take, forget, self };
    return self;
}

static void arena_free(arena_t *self)
{
    while (self->chunks) {
        chunk_t *next = self->chunks->next;
        free(self->chunks);
        self->chunks = next;
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static arena_t *arena_of(const void *message)
{
    arena_t *self;
    memcpy(&self, (const uint8_t *)message - HEAD, sizeof self);
    return self;
}

void *arena_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len)
{
    arena_t *self = arena_new(len);
    if (!self) return NULL;
    void *message = protobuf_c_message_unpack(type, &self->allocator, len, bytes);
    if (!message) arena_free(self);
    return message;
}

const void *arena_unpack_inner(const void *owner, const ProtobufCMessageDescriptor *type,
                               const ProtobufCBinaryData *bytes)
{
    arena_t *self = arena_of(owner);
    const void *message = NULL;
    pthread_mutex_lock(&self->lock);
    inner_t *inner = self->inners;
    while (inner && inner->source != bytes->data)
        inner = inner->next;
    if (!inner && (inner = take(self, sizeof *inner))) {
        message = protobuf_c_message_unpack(type, &self->allocator, bytes->len, bytes->data);
        *inner = (inner_t){ self->inners, bytes->data, message };
        self->inners = inner;
    } else if (inner) {
        message = inner->message;
    }
    pthread_mutex_unlock(&self->lock);
    return message;
}

void *arena_message_new(const ProtobufCMessageDescriptor *type)
{
    arena_t *self = arena_new(0);
    if (!self) return NULL;
    void *message = take(self, type->sizeof_message);
    if (message)
        type->message_init(message);
    else
        arena_free(self);
    return message;
}

char *arena_text(const void *message, const char *text)
{
    arena_t *self = arena_of(message);
    size_t size = strlen(text) + 1;
    pthread_mutex_lock(&self->lock);
    char *copy = take(self, size);
    if (copy) memcpy(copy, text, size);
    pthread_mutex_unlock(&self->lock);
    return copy;
}

void arena_free_of(const void *message)
{
    if (message) arena_free(arena_of(message));
}

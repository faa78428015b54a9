/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/logs/log_lost.h"

#include <stdlib.h>

typedef struct span {
    uint8_t id[16];
    uint64_t token, from, to;
} span_t;

struct log_lost {
    span_t *spans;
    size_t n, room;
    uint64_t bytes;
};

log_lost_t *log_lost_new(void)
{
    return mem_new(sizeof(log_lost_t));
}

void log_lost_destroy(log_lost_t **self_p)
{
    if (*self_p == NULL) return;
    free((*self_p)->spans);
    free(*self_p);
    *self_p = NULL;
}

/* Newest first: who writes now most likely wrote a moment ago. */
static span_t *span_of(log_lost_t *self, const Pawl__V1__LogChunk *chunk)
{
    for (size_t i = self->n; i-- > 0;)
        if (self->spans[i].token == chunk->token &&
            memcmp(self->spans[i].id, chunk->id.data, sizeof self->spans[i].id) == 0)
            return &self->spans[i];
    if (self->n == LOG_LOST_SPANS) return NULL;
    if (self->n == self->room) {
        self->room = self->room ? self->room * 2 : 16;
        self->spans = mem_grow(self->spans, self->room * sizeof *self->spans);
    }
    span_t *span = &self->spans[self->n++];
    *span = (span_t){ .token = chunk->token, .from = chunk->offset, .to = chunk->offset };
    memcpy(span->id, chunk->id.data, sizeof span->id);
    return span;
}

void log_lost_add(log_lost_t *self, const Pawl__V1__LogChunk *chunk)
{
    uint64_t end = chunk->offset + chunk->data.len;
    span_t *span = span_of(self, chunk);
    self->bytes += chunk->data.len;
    if (span == NULL) return;
    if (chunk->offset < span->from) span->from = chunk->offset;
    if (end > span->to) span->to = end;
}

bool log_lost_any(const log_lost_t *self)
{
    return self->n > 0;
}

uint64_t log_lost_take_bytes(log_lost_t *self)
{
    uint64_t bytes = self->bytes;
    self->bytes = 0;
    return bytes;
}

err_t log_lost_mark(const log_lost_t *self, log_store_t *store, int64_t wall_us)
{
    err_t err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < self->n; i++) {
        const span_t *span = &self->spans[i];
        err = log_store_mark(store, span->id, span->token, span->from, span->to, wall_us);
    }
    return err;
}

void log_lost_forget(log_lost_t *self)
{
    self->n = 0;
}

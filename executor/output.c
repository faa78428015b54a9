/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/output.h"

#include <stdlib.h>

#include "schemas/limits.h"
#include "schemas/wire.h"

enum {
    RING = LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD,
    TAIL = 2048, /* of stderr, for the last line */
};

struct output {
    struct output_sink sink;
    uint64_t total; /* bytes that were written */
    uint64_t sent;  /* bytes the sink has or knows to be a hole: the offset of its next byte */
    uint64_t cut;
    /* The ring holds the bytes [total - held, total). Byte n stands at n % RING; its stream is two
     * bits of `streams`, so a writer of single bytes costs no more than any other. */
    uint8_t *ring;
    uint8_t *streams; /* four bytes' streams in one */
    size_t held;
    bool refused; /* the sink said no at the last try */
    char tail[TAIL];
    size_t tail_len;
};

output_t *output_new(const struct output_sink *sink)
{
    output_t *self = mem_new(sizeof *self);
    self->sink = *sink;
    return self;
}

void output_destroy(output_t **self_p)
{
    output_t *self = *self_p;
    if (!self) return;
    free(self->ring);
    free(self->streams);
    free(self);
    *self_p = NULL;
}

static int stream_at(const output_t *self, size_t at)
{
    return self->streams[at / 4] >> at % 4 * 2 & 3;
}

static void set_stream(output_t *self, size_t at, size_t len, int stream)
{
    for (; len && at % 4; at++, len--)
        self->streams[at / 4] =
            (uint8_t)((self->streams[at / 4] & ~(3 << at % 4 * 2)) | stream << at % 4 * 2);
    memset(self->streams + at / 4, stream * 0x55, len / 4);
    for (at += len / 4 * 4, len %= 4; len; at++, len--)
        self->streams[at / 4] =
            (uint8_t)((self->streams[at / 4] & ~(3 << at % 4 * 2)) | stream << at % 4 * 2);
}

/* What lies before the ring and was not sent is lost: the sink is told. */
static void tell_hole(output_t *self)
{
    uint64_t first = self->total - self->held;
    if (self->sent < first) {
        self->sink.skip(self->sink.arg, first - self->sent);
        self->cut += first - self->sent;
        self->sent = first;
    }
}

static void keep(output_t *self, int stream, const uint8_t *bytes, size_t len)
{
    if (!self->ring) {
        self->ring = mem_new(RING);
        self->streams = mem_new(RING / 4 + 1);
    }
    if (len > RING) {
        self->total += len - RING;
        self->held = 0;
        bytes += len - RING;
        len = RING;
    }
    while (len) {
        size_t at = self->total % RING;
        size_t piece = len < RING - at ? len : RING - at;
        memcpy(self->ring + at, bytes, piece);
        set_stream(self, at, piece, stream);
        self->total += piece;
        self->held = self->held + piece < RING ? self->held + piece : RING;
        bytes += piece;
        len -= piece;
    }
}

static void remember_line(output_t *self, const char *bytes, size_t len)
{
    if (len >= TAIL) {
        memcpy(self->tail, bytes + len - TAIL, TAIL);
        self->tail_len = TAIL;
        return;
    }
    size_t stay = self->tail_len + len > TAIL ? TAIL - len : self->tail_len;
    memmove(self->tail, self->tail + self->tail_len - stay, stay);
    memcpy(self->tail + stay, bytes, len);
    self->tail_len = stay + len;
}

void output_add(output_t *self, int stream, const void *bytes, size_t len)
{
    if (len == 0) return;
    if (stream == 2) remember_line(self, bytes, len);
    output_flush(self, false);
    if (self->held == 0 && self->sent == self->total && self->total + len <= LIMIT_LOG_ATTEMPT) {
        self->refused = self->sink.put(self->sink.arg, stream, bytes, len) != 0;
        if (!self->refused) {
            self->total += len;
            self->sent += len;
            return;
        }
    }
    keep(self, stream, bytes, len);
}

bool output_flush(output_t *self, bool all)
{
    self->refused = false;
    while (self->sent < self->total && (all || self->sent < LIMIT_LOG_ATTEMPT)) {
        tell_hole(self);
        size_t at = self->sent % RING;
        size_t most = (size_t)(self->total - self->sent);
        if (most > RING - at) most = RING - at;
        if (most > LIMIT_LOG_CHUNK) most = LIMIT_LOG_CHUNK;
        if (!all && most > LIMIT_LOG_ATTEMPT - self->sent)
            most = (size_t)(LIMIT_LOG_ATTEMPT - self->sent);
        int stream = stream_at(self, at);
        size_t len = 1;
        while (len < most && stream_at(self, at + len) == stream)
            len++;
        if (self->sink.put(self->sink.arg, stream, self->ring + at, len) != 0) {
            self->refused = true;
            return false;
        }
        self->sent += len;
    }
    if (self->sent == self->total) self->held = 0;
    return self->sent == self->total;
}

bool output_full(const output_t *self)
{
    return self->refused && self->held == RING && self->sent < LIMIT_LOG_ATTEMPT;
}

uint64_t output_total(const output_t *self)
{
    return self->total;
}

uint64_t output_cut(const output_t *self)
{
    return self->cut;
}

bool output_last_line(const output_t *self, char *line, size_t room)
{
    size_t end = self->tail_len;
    while (end && strchr("\r\n\t ", self->tail[end - 1]))
        end--;
    size_t start = end;
    while (start && self->tail[start - 1] != '\n')
        start--;
    /* a cut through a character at the start of what is kept */
    while (start < end && start == 0 && self->tail_len == TAIL &&
           ((uint8_t)self->tail[start] & 0xC0) == 0x80)
        start++;
    wire_text_line(line, room, self->tail + start, end - start);
    return end > start;
}

/* SPDX-License-Identifier: Apache-2.0
 * executor/output.h - what a command writes, on its way to the broker, in bounded memory.
 *
 * Up to LIMIT_LOG_ATTEMPT bytes go out as they come. What comes after that, or while the sink is
 * full, waits in a ring of the newest 768 KiB (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD); what falls out
 * of the ring is a hole, told to the sink, so that each byte keeps its true offset (all streams
 * counted together). output_flush at the end sends the ring. No byte is looked at but for the last
 * line of standard error. */
#ifndef EXECUTOR_OUTPUT_H
#define EXECUTOR_OUTPUT_H

#include "client/base/base.h"

/* put: 0 = taken whole, else nothing was taken: try later. skip: a hole of `len` bytes. */
struct output_sink {
    int (*put)(void *arg, int stream, const void *bytes, size_t len);
    void (*skip)(void *arg, uint64_t len);
    void *arg;
};

typedef struct output output_t;

output_t *output_new(const struct output_sink *sink);
void output_destroy(output_t **self_p);
/* stream: 1 stdout, 2 stderr, 3 notes. */
void output_add(output_t *self, int stream, const void *bytes, size_t len);
/* Tries again what the sink refused. `all`: the end, also what was held back. True: nothing waits.
 */
bool output_flush(output_t *self, bool all);
/* The sink refuses and the ring is full: reading on would cut bytes that could still be kept. */
bool output_full(const output_t *self);
uint64_t output_total(const output_t *self); /* bytes written so far */
uint64_t output_cut(const output_t *self);   /* of those, bytes that were left out */
/* The last line of stderr that is not empty: valid UTF-8 without control bytes, at most `room` - 1
 * bytes. Returns false when there is none. */
bool output_last_line(const output_t *self, char *line, size_t room);

#endif

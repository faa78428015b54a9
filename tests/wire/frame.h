/* SPDX-License-Identifier: Apache-2.0
 * tests/wire/frame.h - a packed message on the heap of exactly its size, so that a sanitizer sees a
 * read past its end. Whoever packs it frees `at`. */
#ifndef TESTS_WIRE_FRAME_H
#define TESTS_WIRE_FRAME_H

#include <stdint.h>
#include <stdlib.h>

#include "schemas/wire.h"

typedef struct frame {
    uint8_t *at;
    size_t len;
} frame_t;

/* wire_room_fn onto a frame_t. */
static inline uint8_t *frame_room(void *arg, size_t len)
{
    frame_t *frame = arg;
    frame->at = malloc(len);
    frame->len = len;
    return frame->at;
}

static inline frame_t frame_of(const ProtobufCMessage *message)
{
    frame_t frame = { NULL, 0 };
    wire_pack(message, frame_room, &frame);
    return frame;
}

#endif

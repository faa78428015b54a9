/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/schemas/wire_kit.h - requests, packed and decoded with the checks. */
#ifndef TESTS_UNIT_SCHEMAS_WIRE_KIT_H
#define TESTS_UNIT_SCHEMAS_WIRE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/limits.h"
#include "schemas/wire.h"
#include "tests/wire/frame.h"

__attribute__((unused)) static uint8_t id[16] = "0123456789abcde", session[16] = "sessionsessions";

static inline ProtobufCBinaryData data(const void *at, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)at };
}

static inline Pawl__V1__Request request(void)
{
    Pawl__V1__Request self = PAWL__V1__REQUEST__INIT;
    self.seq = 2;
    self.session = data(session, 16);
    self.request_id = data(id, 16);
    return self;
}

static inline frame_t pack(Pawl__V1__Request *self)
{
    frame_t frame;
    assert_true(wire_request_pack(self, frame_room, &frame) == frame.len);
    return frame;
}

static inline err_t decode(frame_t frame, wire_fault_t *fault)
{
    wire_arena_t arena;
    const Pawl__V1__Request *out;
    wire_arena_init(&arena);
    err_t err = wire_request_decode(&arena, frame.at, frame.len, &out, fault);
    wire_arena_free(&arena);
    return err;
}

#endif

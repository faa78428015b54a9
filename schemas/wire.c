/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire.c - frames: magic, envelope, and the order of the checks. Those of single fields are
 * wire_rules.c, those that look at more than one wire_task.c and wire_body.c, the reading itself is
 * wire_unpack.c. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "schemas/wire_unpack.h"

enum { BODY_FIRST = 10 };

void wire_fault_error(const wire_fault_t *fault, Pawl__V1__Error *error)
{
    pawl__v1__error__init(error);
    error->code = (uint32_t)fault->err;
    error->text = (char *)fault->text;
    error->field = (char *)fault->field;
    error->retry_after_us = fault->retry_after_us;
}

/* ---- magic ------------------------------------------------------------------------------- */

static bool read_magic(const uint8_t *bytes, size_t len, uint32_t *magic)
{
    if (len < 5 || bytes[0] != 0x0D) return false;
    memcpy(magic, bytes + 1, 4);
    *magic = le32toh(*magic);
    return true;
}

wire_kind_t wire_kind(const uint8_t *bytes, size_t len)
{
    uint32_t magic;
    if (!read_magic(bytes, len, &magic)) return WIRE_NONE;
    return magic == WIRE_MAGIC_REQUEST ? WIRE_REQUEST
           : magic == WIRE_MAGIC_REPLY ? WIRE_REPLY
           : magic == WIRE_MAGIC_PUSH  ? WIRE_PUSH
                                       : WIRE_NONE;
}

static err_t check_frame(const uint8_t *bytes, size_t len, uint32_t wanted, wire_fault_t *fault)
{
    if (len > LIMIT_MESSAGE)
        return FAULT(fault, ERR_TOO_LARGE, "", "the frame has %zu bytes, at most %d are allowed",
                     len, LIMIT_MESSAGE);
    uint32_t magic = 0;
    if (read_magic(bytes, len, &magic) && magic == wanted) return ERR_OK;
    if (magic && (magic & 0xFFFFFF) == (wanted & 0xFFFFFF) && (magic >> 24) >= '0' &&
        (magic >> 24) <= '9')
        return FAULT(fault, ERR_VERSION, "magic", "major version %c is not spoken here, %c is",
                     (int)(magic >> 24), (int)(wanted >> 24));
    return FAULT(fault, ERR_BAD_MAGIC, "magic",
                 "the frame does not start with this protocol's magic");
}

/* Reads the envelope behind the magic; it is the same in every major version. */
static bool read_envelope(const uint8_t *bytes, size_t len, uint64_t *seq, const uint8_t **session)
{
    const uint8_t *at = bytes + 5, *end = bytes + len;
    bool found = false;
    while (at < end) {
        uint64_t tag, value;
        at = wire_varint(at, end, &tag);
        if (!at || tag >> 3 == 0 || tag >> 3 >= BODY_FIRST) break;
        if (tag == (2 << 3 | 0)) {
            at = wire_varint(at, end, &value);
            if (!at) break;
            *seq = value;
            found = true;
        } else if (tag == (3 << 3 | 2)) {
            const uint8_t *value_at = wire_varint(at, end, &value);
            if (value_at && value == 16 && end - value_at >= 16) *session = value_at;
            at = wire_skip(at, end, 2);
        } else {
            at = wire_skip(at, end, tag & 7);
        }
        if (!at) break;
    }
    return found;
}

bool wire_request_peek(const uint8_t *bytes, size_t len, uint64_t *seq, const uint8_t **session)
{
    *seq = 0;
    *session = NULL;
    return wire_kind(bytes, len) == WIRE_REQUEST && read_envelope(bytes, len, seq, session);
}

/* ---- request ----------------------------------------------------------------------------- */

bool wire_reply_is_remembered(Pawl__V1__Request__BodyCase body)
{
    return body == PAWL__V1__REQUEST__BODY_TASK_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_TASK_COMPLETE ||
           body == PAWL__V1__REQUEST__BODY_SCHEDULE_PUT ||
           body == PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_CALENDAR_PUT ||
           body == PAWL__V1__REQUEST__BODY_CALENDAR_REMOVE ||
           body == PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_QUEUE_CHANGE ||
           body == PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
}

static err_t check_request(wire_arena_t *arena, const Pawl__V1__Request *request, uint32_t unknown,
                           wire_fault_t *fault)
{
    if (request->body_case == PAWL__V1__REQUEST__BODY__NOT_SET) {
        if (unknown >= BODY_FIRST)
            return FAULT(fault, ERR_UNIMPLEMENTED, "body", "request %u is not known here", unknown);
        return FAULT(fault, ERR_BAD_REQUEST, "body", "the request has no body");
    }
    if (request->session.len == 0 && request->body_case != PAWL__V1__REQUEST__BODY_HELLO)
        return FAULT(fault, ERR_NO_SESSION, "session", "no session: send Hello first");
    if (wire_reply_is_remembered(request->body_case) && request->request_id.len == 0)
        return FAULT(fault, ERR_BAD_REQUEST, "request_id",
                     "request_id: is missing; this request needs 16 random bytes");
    return wire_check_body(arena, request, fault);
}

err_t wire_request_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                          const Pawl__V1__Request **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    wire_mark_t mark = wire_arena_mark(arena);
    ProtobufCMessage *message = NULL;
    uint32_t unknown = 0;
    err_t err = check_frame(bytes, len, WIRE_MAGIC_REQUEST, fault);
    if (!err)
        err = wire_unpack(arena, &pawl__v1__request__descriptor, bytes, len, wire_budget(len), 0,
                          &message, &unknown, fault);
    if (!err) err = check_request(arena, (const Pawl__V1__Request *)message, unknown, fault);
    if (err) {
        const uint8_t *session;
        wire_arena_rewind(arena, mark);
        if (err == ERR_VERSION && len >= 5)
            read_envelope(bytes, len, &fault->seq, &session);
        else
            wire_request_peek(bytes, len, &fault->seq, &session);
        return err;
    }
    *out = (const Pawl__V1__Request *)message;
    return ERR_OK;
}

/* ---- frames from the broker -------------------------------------------------------------- */

static err_t from_broker(wire_arena_t *arena, const ProtobufCMessageDescriptor *type,
                         uint32_t magic, const uint8_t *bytes, size_t len, ProtobufCMessage **out,
                         wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    err_t err = check_frame(bytes, len, magic, fault);
    if (err) return err;
    /* lists of small items (counts by status) grow more than requests do */
    size_t most = 16 * len + (64 << 10);
    return wire_unpack(arena, type, bytes, len, most, UNPACK_LENIENT, out, NULL, fault);
}

err_t wire_reply_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                        const Pawl__V1__Reply **out, wire_fault_t *fault)
{
    ProtobufCMessage *message;
    err_t err = from_broker(arena, &pawl__v1__reply__descriptor, WIRE_MAGIC_REPLY, bytes, len,
                            &message, fault);
    if (!err) *out = (const Pawl__V1__Reply *)message;
    return err;
}

err_t wire_push_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                       const Pawl__V1__Push **out, wire_fault_t *fault)
{
    ProtobufCMessage *message;
    err_t err = from_broker(arena, &pawl__v1__push__descriptor, WIRE_MAGIC_PUSH, bytes, len,
                            &message, fault);
    if (!err) *out = (const Pawl__V1__Push *)message;
    return err;
}

/* ---- encode ------------------------------------------------------------------------------ */

size_t wire_pack(const ProtobufCMessage *message, wire_room_fn *room, void *arg)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len == 0) return 0;
    uint8_t *at = room(arg, len);
    if (!at) return 0;
    if (protobuf_c_message_pack(message, at) != len)
        abort(); /* the message was changed while it was packed */
    return len;
}

size_t wire_request_pack(Pawl__V1__Request *request, wire_room_fn *room, void *arg)
{
    request->magic = WIRE_MAGIC_REQUEST;
    return wire_pack(&request->base, room, arg);
}

size_t wire_reply_pack(Pawl__V1__Reply *reply, wire_room_fn *room, void *arg)
{
    reply->magic = WIRE_MAGIC_REPLY;
    return wire_pack(&reply->base, room, arg);
}

size_t wire_push_pack(Pawl__V1__Push *push, wire_room_fn *room, void *arg)
{
    push->magic = WIRE_MAGIC_PUSH;
    return wire_pack(&push->base, room, arg);
}

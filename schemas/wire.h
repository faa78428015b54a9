/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire.h - bytes from the wire to checked messages, and back.
 *
 * Everything that comes from another process passes here, once, before anybody acts on it: sizes,
 * nesting, counts, UTF-8, control bytes, names, ids, ranges and combinations that can be judged
 * without the broker's state. What comes out holds every rule of schemas/README.md, section
 * "Fields"; core and front need not look again.
 *
 * Memory: messages live in a wire_arena_t, a bump allocator that is emptied as a whole; nothing is
 * freed one by one (never call *__free_unpacked). Unknown fields are ignored and not kept.
 * Errors: err_t plus a wire_fault_t with the field and a sentence. Nothing here aborts on bytes.
 * Threads: an arena belongs to one thread at a time; the functions keep no other state. */
#ifndef SCHEMAS_WIRE_H
#define SCHEMAS_WIRE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schemas/errors.h"
#include "schemas/pawl.pb-c.h"

/* Field 1 of every frame, fixed32, little-endian on the wire: 0D 50 57 4C 31 is a Request. */
#define WIRE_MAGIC_REQUEST UINT32_C(0x314C5750) /* PWL1 */
#define WIRE_MAGIC_REPLY   UINT32_C(0x31525750) /* PWR1 */
#define WIRE_MAGIC_PUSH    UINT32_C(0x31505750) /* PWP1 */

enum {
    WIRE_MINOR = 1,        /* what we say in Hello and Welcome */
    WIRE_MINOR_OLDEST = 1, /* a Hello below it is refused with VERSION */
    WIRE_DEPTH = 8,        /* nesting of messages */
    WIRE_FIELD_MAX = 160,
    WIRE_TEXT_MAX = 320,
};

/* ---- arena ------------------------------------------------------------------------------- */

typedef struct wire_chunk wire_chunk_t;
typedef struct wire_arena {
    wire_chunk_t *first, *now;    /* list of chunks, and the one in use */
    size_t used;                  /* bytes used of `now` */
    size_t total;                 /* bytes handed out since the last reset */
    size_t end;                   /* `total` may not pass this */
    bool no_memory;               /* malloc failed (else: the cap was met) */
    ProtobufCAllocator allocator; /* the arena as protobuf-c wants it; its free does nothing */
} wire_arena_t;

/* Makes it empty; takes no memory yet. Do not move the struct afterwards (allocator points to it).
 */
void wire_arena_init(wire_arena_t *self);
/* Forgets all that was handed out; keeps the memory up to about 1 MiB. */
void wire_arena_reset(wire_arena_t *self);
void wire_arena_free(wire_arena_t *self);
/* 8-aligned, not zeroed; NULL: the cap (none outside a decode) was met or memory is out. */
void *wire_arena_take(wire_arena_t *self, size_t bytes);
/* A text of the arena; NULL as above. */
char *wire_arena_print(wire_arena_t *self, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Where an arena stands; going back gives up what was taken since. */
typedef struct wire_mark {
    wire_chunk_t *now;
    size_t used, total;
} wire_mark_t;
wire_mark_t wire_arena_mark(const wire_arena_t *arena);
void wire_arena_rewind(wire_arena_t *arena, wire_mark_t mark);

/* ---- faults ------------------------------------------------------------------------------ */

typedef struct wire_fault {
    err_t err;
    uint64_t seq;               /* of the request, when it could be read (a frame of another major
                                   version too); else 0: nobody could match an answer */
    int64_t retry_after_us;     /* 0: none */
    char field[WIRE_FIELD_MAX]; /* "report.results[3].id"; "" when no field is at fault */
    char text[WIRE_TEXT_MAX];   /* one sentence: what and why, with the limit and the value */
} wire_fault_t;

/* The fault as the message that goes back; texts are borrowed from `fault`. */
void wire_fault_error(const wire_fault_t *fault, Pawl__V1__Error *error);

/* ---- decode ------------------------------------------------------------------------------ */

typedef enum { WIRE_NONE, WIRE_REQUEST, WIRE_REPLY, WIRE_PUSH } wire_kind_t;
/* By the first five bytes alone. */
wire_kind_t wire_kind(const uint8_t *bytes, size_t len);

/* A frame from a client. `*out` lives in the arena (bytes fields are copied too) until its reset; a
 * failed decode leaves the arena as it was. In this order: size (TOO_LARGE), magic (BAD_MAGIC;
 * another major version: VERSION), structure (BAD_REQUEST), each field in the order of the bytes,
 * unknown or missing body (UNIMPLEMENTED, BAD_REQUEST), session (NO_SESSION), then what concerns
 * several fields. Of Submit only count and structure are checked: its tasks one by one with
 * wire_task_check. Schedules (SchedulePut) are checked with their template.
 * The arena may hold any number of decoded requests (a batch). */
MUST_CHECK err_t wire_request_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                     const Pawl__V1__Request **out, wire_fault_t *fault);

/* The reply to it is kept under (principal, request id), so that it needs one; the others tell a
 * resend by what they carry. */
bool wire_reply_is_remembered(Pawl__V1__Request__BodyCase body);

/* Reads the envelope only: seq and session ("" or 16 bytes) of a frame, without checks of the rest.
 * False: not even that can be read. `session` points into bytes. */
bool wire_request_peek(const uint8_t *bytes, size_t len, uint64_t *seq, const uint8_t **session);

typedef enum {
    WIRE_TASK_SUBMITTED, /* id: 16 bytes */
    WIRE_TASK_TEMPLATE,  /* the task of a schedule: id and at_us empty */
    WIRE_TASK_PRODUCED,  /* made from a row, or the template for it: id empty, no producer itself */
} wire_task_use_t;

/* A serialized Task. Field paths start at the task ("labels[2].key"). Bytes fields (id, input,
 * script_text, stdin) of `*out` point into `bytes`, the rest lives in the arena. The time in the id
 * is not judged here: that needs a clock. */
MUST_CHECK err_t wire_task_check(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                 wire_task_use_t use, const Pawl__V1__Task **out,
                                 wire_fault_t *fault);
/* A Task that was checked once and comes from our own store: structure and UTF-8 only. */
MUST_CHECK err_t wire_task_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                  const Pawl__V1__Task **out, wire_fault_t *fault);

/* What of a Schedule can be judged without rule library and zone data: template (`*task` when not
 * NULL), mode against overlap, bounds. Done by wire_request_decode for SchedulePut already. */
MUST_CHECK err_t wire_schedule_check(wire_arena_t *arena, const Pawl__V1__Schedule *schedule,
                                     const Pawl__V1__Task **task, wire_fault_t *fault);
/* A serialized Schedule from our own store. Bytes fields point into `bytes`. */
MUST_CHECK err_t wire_schedule_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                      const Pawl__V1__Schedule **out, wire_fault_t *fault);

/* Frames from the broker, for clients: structure, UTF-8 and sizes; enums may have numbers that this
 * version does not know; a body of a newer version reads as no body. All of it lives in the arena.
 */
MUST_CHECK err_t wire_reply_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                   const Pawl__V1__Reply **out, wire_fault_t *fault);
MUST_CHECK err_t wire_push_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                                  const Pawl__V1__Push **out, wire_fault_t *fault);

/* ---- single values, for who makes messages ------------------------------------------------ */

/* category/name, each part 1 or more of A-Z a-z 0-9 _ . -, at most LIMIT_NAME bytes in all. */
bool wire_type_valid(const char *text, size_t len);
/* 1 to LIMIT_NAME bytes of UTF-8 without control characters, no space at either end. */
bool wire_name_valid(const char *text, size_t len);
/* Valid UTF-8 without NUL. */
bool wire_utf8_valid(const char *text, size_t len);
/* Takes out what is no valid UTF-8: of a text that was cut somewhere, the parts of characters. A
 * text that is not valid makes the whole message unreadable. */
void wire_text_mend(char *text);
/* Makes of any bytes a line that every reader takes: tabs and ends of lines become spaces, what is
 * no UTF-8 or a control character '?'; cut at a character's edge, `room` - 1 bytes at most. May be
 * done in place. */
void wire_text_line(char *to, size_t room, const void *bytes, size_t len);

/* ---- encode ------------------------------------------------------------------------------ */

/* Gives `len` writable bytes that follow what was given before; NULL: no memory. */
typedef uint8_t *wire_room_fn(void *arg, size_t len);

/* Packs any message into exactly the room it needs. Returns its size; 0: no room (an empty message
 * also has size 0 and asks for nothing). Aborts if the packed size is not the announced one. */
size_t wire_pack(const ProtobufCMessage *message, wire_room_fn *room, void *arg);
/* The same, with the magic set. */
size_t wire_request_pack(Pawl__V1__Request *request, wire_room_fn *room, void *arg);
size_t wire_reply_pack(Pawl__V1__Reply *reply, wire_room_fn *room, void *arg);
size_t wire_push_pack(Pawl__V1__Push *push, wire_room_fn *room, void *arg);

#endif

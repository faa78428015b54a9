/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_unpack.h - reads protobuf bytes into protobuf-c's structs in one pass, checking
 * every field against the table of rules. Private to schemas/.
 *
 * The packaged protobuf_c_message_unpack has no limit on nesting or memory, keeps unknown fields,
 * shortens a string silently at a NUL and accepts invalid UTF-8. This one knows the same generated
 * descriptors, allocates from the arena only, refuses what the rules refuse, names the field. */
#ifndef SCHEMAS_WIRE_UNPACK_H
#define SCHEMAS_WIRE_UNPACK_H

#include "schemas/wire.h"

/* What a text may hold beside valid UTF-8 without NUL. */
typedef enum {
    TEXT_LINE,    /* no control characters */
    TEXT_NAME,    /* a line without a space at either end; a bad length is BAD_NAME */
    TEXT_FREE,    /* newline and tab too */
    TEXT_PROGRAM, /* any: what a program is given */
} text_class_t;

typedef enum {
    UNPACK_LENIENT = 1, /* from a trusted side: no rules, unknown enum numbers pass */
    UNPACK_BORROW = 2,  /* bytes fields point into the input */
} unpack_flags_t;

/* Reads `bytes` as a message of `type` that takes at most `budget` bytes of the arena.
 * *unknown (may be NULL) gets the number of the first unknown field of the outermost message, or 0.
 * On failure the arena is as before. */
MUST_CHECK err_t wire_unpack(wire_arena_t *arena, const ProtobufCMessageDescriptor *type,
                             const uint8_t *bytes, size_t len, size_t budget, unsigned flags,
                             ProtobufCMessage **out, uint32_t *unknown, wire_fault_t *fault);

/* Reads a varint; NULL: truncated or longer than ten bytes. */
const uint8_t *wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);
/* Steps over the value of a field with this wire type; NULL: truncated, or not a type of proto3. */
const uint8_t *wire_skip(const uint8_t *at, const uint8_t *end, unsigned wire_type);

/* True: `text` keeps the class. */
bool wire_text_valid(const uint8_t *text, size_t len, text_class_t class);

/* Sets the fault; returns err. The path of the field is put in front of what is there already by
 * wire_fault_within. */
err_t wire_fault_set(wire_fault_t *fault, err_t err, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define FAULT wire_fault_set
/* "name" or "name[index]" (index >= 0) in front of the path. */
void wire_fault_within(wire_fault_t *fault, const char *name, int64_t index);

/* ---- what concerns several fields ---------------------------------------------------------- */

/* category/name, or a fault of this field. */
err_t wire_check_type(const char *type, const char *field, wire_fault_t *fault);
/* One body; its name is in front of the path of a fault. */
err_t wire_check_body(wire_arena_t *arena, const Pawl__V1__Request *request, wire_fault_t *fault);
/* What a message of so many bytes may take of an arena. */
size_t wire_budget(size_t len);

/* ---- rules: one row a field -------------------------------------------------------------- */

typedef enum {
    RULE_TEXT,   /* low..high bytes */
    RULE_ID,     /* a task id: 16 bytes, or none when low is 0: BAD_ID */
    RULE_RANDOM, /* 16 bytes, or none when low is 0: BAD_VALUE */
    RULE_BYTES,  /* low..high bytes */
    RULE_NUMBER, /* low..high, enums too */
    RULE_PART,   /* a message: must be there when low is 1 */
} rule_kind_t;

/* A rule that the empty value breaks makes its field required. */
typedef struct wire_rule {
    const char *field; /* Message.field */
    rule_kind_t kind;
    text_class_t class;
    int64_t low, high;
    uint32_t items; /* of a repeated field; 0: LIMIT_ITEMS */
} wire_rule_t;

extern const wire_rule_t wire_rules[];
extern const size_t wire_rule_count;

#endif

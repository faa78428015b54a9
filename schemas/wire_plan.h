/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_plan.h - the generated descriptors and the table of rules, joined for the reader:
 * per message an index by field number, per field its place in the struct and its rule. Made once,
 * at first use, by whichever thread comes first; read-only from then on. Private to schemas/. */
#ifndef SCHEMAS_WIRE_PLAN_H
#define SCHEMAS_WIRE_PLAN_H

#include "schemas/wire_unpack.h"

enum { WT_VARINT = 0, WT_FIXED64 = 1, WT_LENGTH = 2, WT_FIXED32 = 5 }; /* wire types of proto3 */

/* Field numbers below NUMBERS are one look-up away, larger ones are searched for. */
enum { NUMBERS = 64, REPEATED_MOST = 9 /* repeated fields of a message */ };
enum shape { SINGLE, ONE_OF, REPEATED };

typedef struct message_plan message_plan_t;
typedef struct field_plan {
    const ProtobufCFieldDescriptor *field;
    const message_plan_t *message; /* of a message field */
    uint32_t offset, case_offset;  /* case_offset: of a oneof's case, of an array's count */
    uint32_t items;
    uint8_t type, wire_type;
    uint8_t shape;
    uint8_t rule; /* rule_kind_t */
    uint8_t class;
    uint8_t array;     /* which of the message's repeated fields */
    uint64_t required; /* its bit among those that must be there; 0: it need not */
    int64_t low, high;
} field_plan_t;

struct message_plan {
    const ProtobufCMessageDescriptor *type;
    uint8_t by_number[NUMBERS]; /* 0: unknown, else index + 1 into fields */
    field_plan_t *fields;
    uint64_t required; /* the bits of the fields that must be there */
};

/* NULL: not a message that crosses the wire. */
const message_plan_t *wire_plan(const ProtobufCMessageDescriptor *type);
/* The field with this number, 0 and the largest included; NULL: the message has none. */
const field_plan_t *wire_plan_far(const message_plan_t *self, uint32_t number);
static inline const field_plan_t *wire_plan_field(const message_plan_t *self, uint32_t number)
{
    if (number >= NUMBERS) return wire_plan_far(self, number);
    return self->by_number[number] ? &self->fields[self->by_number[number] - 1] : NULL;
}

/* ---- for tests ------------------------------------------------------------------------------- */

/* Plans a message that is not of the wire, and what it holds. Before any decode, by one thread. */
const message_plan_t *wire_plan_make(const ProtobufCMessageDescriptor *type);

#endif

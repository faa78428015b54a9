/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_plan.h - the generated descriptors and the table of rules, joined for the reader:
 * per message an index by field number, per field its place in the struct and its rule. Made once,
 * at first use, by whichever thread comes first; read-only from then on. Private to schemas/. */
#ifndef SCHEMAS_WIRE_PLAN_H
#define SCHEMAS_WIRE_PLAN_H

#include "schemas/wire_unpack.h"

enum { WT_VARINT = 0, WT_FIXED64 = 1, WT_LENGTH = 2, WT_FIXED32 = 5 }; /* wire types of proto3 */

enum { NUMBERS = 64, REPEATED_MOST = 9 }; /* field numbers below, repeated fields of a message */
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
    uint8_t array; /* which of the message's repeated fields */
    int64_t low, high;
} field_plan_t;

struct message_plan {
    const ProtobufCMessageDescriptor *type;
    uint8_t by_number[NUMBERS]; /* 0: unknown, else index + 1 into fields */
    field_plan_t *fields;
    uint64_t required; /* bit i: fields[i] must be there */
};

/* NULL: not a message that crosses the wire. */
const message_plan_t *wire_plan(const ProtobufCMessageDescriptor *type);

#endif

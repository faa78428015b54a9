/* SPDX-License-Identifier: Apache-2.0
 * Every field of every message is read, whatever its number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/pawl.pb-c.h"
#include "schemas/wire_plan.h"

/* ---- a message with numbers that the schema does not have yet -------------------------------- */

typedef struct far_message {
    ProtobufCMessage base;
    uint32_t near;
    char *text;
    uint64_t largest;
} far_message_t;

enum { TEXT_NUMBER = 70, LARGEST_NUMBER = (1 << 29) - 1 };
#define FIELD(field_name, number, field_type)                                                      \
    {                                                                                              \
        .name = #field_name, .id = (number), .label = PROTOBUF_C_LABEL_NONE,                       \
        .type = PROTOBUF_C_TYPE_##field_type, .offset = offsetof(far_message_t, field_name)        \
    }
static const ProtobufCFieldDescriptor far_fields[] = {
    FIELD(near, 1, UINT32),
    FIELD(text, TEXT_NUMBER, STRING),
    FIELD(largest, LARGEST_NUMBER, UINT64),
};
static const ProtobufCIntRange far_ranges[] = {
    { 1, 0 }, { TEXT_NUMBER, 1 }, { LARGEST_NUMBER, 2 }, { 0, 3 }
};
static void far_init(ProtobufCMessage *message);
static const ProtobufCMessageDescriptor far_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "tests.FarMessage",
    .short_name = "FarMessage",
    .sizeof_message = sizeof(far_message_t),
    .n_fields = 3,
    .fields = far_fields,
    .n_field_ranges = 3,
    .field_ranges = far_ranges,
    .message_init = far_init,
};
static void far_init(ProtobufCMessage *message)
{
    *(far_message_t *)message = (far_message_t){ .base = { .descriptor = &far_descriptor },
                                                 .text = (char *)protobuf_c_empty_string };
}

static err_t read_one(wire_arena_t *arena, const ProtobufCMessageDescriptor *type,
                      const uint8_t *bytes, size_t len, ProtobufCMessage **out, uint32_t *unknown)
{
    wire_fault_t fault;
    return wire_unpack(arena, type, bytes, len, 1 << 16, UNPACK_LENIENT, out, unknown, &fault);
}

static void a_field_of_any_number_is_read(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0xb2, 0x04, 2,    'h',  'i',              /* text */
                                     0x08, 7,                                  /* near */
                                     0xf8, 0xff, 0xff, 0xff, 0x0f, 0x81, 0x01, /* largest */
                                     0xb8, 0x04, 1 };                          /* 71: nobody's */
    wire_arena_t arena;
    ProtobufCMessage *message;
    uint32_t unknown;
    wire_arena_init(&arena);
    wire_plan_make(&far_descriptor);
    assert_int_equal(read_one(&arena, &far_descriptor, bytes, sizeof bytes, &message, &unknown),
                     ERR_OK);
    const far_message_t *read = (far_message_t *)message;
    assert_string_equal(read->text, "hi");
    assert_int_equal(read->near, 7);
    assert_int_equal(read->largest, 129);
    assert_int_equal(unknown, 71);
    wire_arena_free(&arena);
}

/* ---- the schema ------------------------------------------------------------------------------ */

typedef struct walk {
    const ProtobufCMessageDescriptor *seen[512];
    size_t seen_n, fields_n;
    wire_arena_t arena;
} walk_t;

static size_t put_varint(uint8_t *to, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

static void walk(walk_t *self, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < self->seen_n; i++)
        if (self->seen[i] == type) return;
    assert_true(self->seen_n < sizeof self->seen / sizeof *self->seen);
    self->seen[self->seen_n++] = type;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const message_plan_t *plan = wire_plan(type);
        uint8_t bytes[16] = { 0 };
        ProtobufCMessage *message;
        uint32_t unknown;
        assert_non_null(plan);
        const field_plan_t *planned = wire_plan_field(plan, field->id);
        if (planned == NULL || planned->field != field)
            fail_msg("%s.%s (%u) is not read", type->short_name, field->name, field->id);
        size_t len = put_varint(bytes, (uint64_t)field->id << 3 | planned->wire_type);
        len += planned->wire_type == WT_FIXED32 ? 4 : 1; /* zero, or nothing */
        err_t err = read_one(&self->arena, type, bytes, len, &message, &unknown);
        if (err != ERR_OK || unknown != 0)
            fail_msg("%s.%s (%u): error %d, unknown %u", type->short_name, field->name, field->id,
                     (int)err, unknown);
        self->fields_n++;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) walk(self, field->descriptor);
    }
    wire_arena_reset(&self->arena);
}

static void every_field_of_the_schema_is_read(void **state)
{
    (void)state;
    static walk_t all;
    wire_arena_init(&all.arena);
    walk(&all, &pawl__v1__request__descriptor);
    walk(&all, &pawl__v1__reply__descriptor);
    walk(&all, &pawl__v1__push__descriptor);
    walk(&all, &pawl__v1__task__descriptor);
    walk(&all, &pawl__v1__schedule__descriptor);
    assert_true(all.seen_n > 100 && all.fields_n > 600);
    wire_arena_free(&all.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_of_any_number_is_read), /* first: it plans a message */
        cmocka_unit_test(every_field_of_the_schema_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

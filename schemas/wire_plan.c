/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_plan.c - makes the plans of wire_plan.h. A schema that has outgrown the constants
 * here, or a rule for a field that does not exist, is a bug: the first decode says which message
 * and what of it, and aborts, in any test. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "schemas/wire_plan.h"

enum { PLANS_MOST = 256, FIELDS_MOST = 2048 };

static struct {
    message_plan_t plans[PLANS_MOST];
    field_plan_t fields[FIELDS_MOST];
    size_t plan_count, field_count;
} book;
static pthread_once_t book_once = PTHREAD_ONCE_INIT;

static void outgrown(const char *message, const char *field, const char *what)
{
    fprintf(stderr, "schemas/wire_plan.c: %s%s%s: %s\n", message, *field ? "." : "", field, what);
    abort();
}

static const message_plan_t *plan_of(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < book.plan_count; i++)
        if (book.plans[i].type == type) return &book.plans[i];
    return NULL;
}

static uint8_t wire_type_of(const ProtobufCMessageDescriptor *message,
                            const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WT_VARINT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WT_LENGTH;
    case PROTOBUF_C_TYPE_FIXED32:
        return WT_FIXED32;
    default:
        outgrown(message->short_name, field->name, "the reader does not read fields of this type");
        return WT_FIXED64;
    }
}

static void default_rule(field_plan_t *plan)
{
    const ProtobufCFieldDescriptor *field = plan->field;
    plan->items = LIMIT_ITEMS;
    plan->low = INT64_MIN;
    plan->high = INT64_MAX;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        plan->rule = RULE_TEXT;
        plan->low = 0;
        plan->high = LIMIT_TEXT;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        plan->rule = RULE_BYTES;
        plan->low = 0;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        plan->rule = RULE_PART;
        plan->low = 0;
        break;
    case PROTOBUF_C_TYPE_ENUM: { /* dense from 0: the highest number is the bound */
        const ProtobufCEnumDescriptor *words = field->descriptor;
        plan->rule = RULE_NUMBER;
        plan->low = 0;
        plan->high = (int64_t)words->n_values - 1;
        if (words->n_value_ranges != 1 || words->values[0].value != 0)
            outgrown(words->short_name, "", "the numbers of an enum are dense and begin with 0");
        break;
    }
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_UINT32:
        plan->low = 0;
        /* fallthrough */
    default:
        plan->rule = RULE_NUMBER;
        break;
    }
}

static bool apply_rule(field_plan_t *plan, const wire_rule_t *rule)
{
    const ProtobufCFieldDescriptor *field = plan->field;
    plan->rule = (uint8_t)rule->kind;
    plan->class = (uint8_t)rule->class;
    plan->low = rule->low;
    if (!(field->type == PROTOBUF_C_TYPE_ENUM && rule->high == INT64_MAX)) plan->high = rule->high;
    if (rule->items) plan->items = rule->items;
    return plan->shape == SINGLE && rule->low > 0;
}

static const wire_rule_t *rule_of(const char *message, const char *field)
{
    size_t len = strlen(message);
    for (size_t i = 0; i < wire_rule_count; i++) {
        const char *name = wire_rules[i].field;
        if (strncmp(name, message, len) == 0 && name[len] == '.' &&
            strcmp(name + len + 1, field) == 0)
            return &wire_rules[i];
    }
    return NULL;
}

static size_t rules_used;

static void plan_field(message_plan_t *self, unsigned index, uint8_t *arrays, unsigned *required)
{
    const ProtobufCFieldDescriptor *field = &self->type->fields[index];
    const char *message = self->type->short_name;
    field_plan_t *plan = &self->fields[index];
    if (field->id < NUMBERS) self->by_number[field->id] = (uint8_t)(index + 1);
    plan->field = field;
    plan->type = (uint8_t)field->type;
    plan->wire_type = wire_type_of(self->type, field);
    plan->offset = field->offset;
    plan->case_offset = field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        plan->shape = REPEATED;
        plan->array = (*arrays)++;
        if (*arrays > REPEATED_MOST) outgrown(message, field->name, "raise REPEATED_MOST");
    } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        plan->shape = ONE_OF;
    }
    default_rule(plan);
    const wire_rule_t *rule = rule_of(message, field->name);
    if (rule == NULL) return;
    rules_used++;
    if (!apply_rule(plan, rule)) return;
    if (*required == 64) outgrown(message, field->name, "more than 64 fields are required");
    plan->required = UINT64_C(1) << (*required)++;
    self->required |= plan->required;
}

const message_plan_t *wire_plan_make(const ProtobufCMessageDescriptor *type)
{
    const message_plan_t *known = plan_of(type);
    if (known) return known;
    if (book.plan_count == PLANS_MOST) outgrown(type->short_name, "", "raise PLANS_MOST");
    if (book.field_count + type->n_fields > FIELDS_MOST)
        outgrown(type->short_name, "", "raise FIELDS_MOST");
    if (type->n_fields > UINT8_MAX) outgrown(type->short_name, "", "more than 255 fields");
    message_plan_t *self = &book.plans[book.plan_count++];
    self->type = type;
    self->fields = &book.fields[book.field_count];
    book.field_count += type->n_fields;
    uint8_t arrays = 0;
    unsigned required = 0;
    for (unsigned i = 0; i < type->n_fields; i++)
        plan_field(self, i, &arrays, &required);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            self->fields[i].message = wire_plan_make(type->fields[i].descriptor);
    return self;
}

const field_plan_t *wire_plan_far(const message_plan_t *self, uint32_t number)
{
    const ProtobufCFieldDescriptor *field =
        number <= INT32_MAX ? protobuf_c_message_descriptor_get_field(self->type, number) : NULL;
    return field ? &self->fields[field - self->type->fields] : NULL;
}

static void make_book(void)
{
    wire_plan_make(&pawl__v1__task__descriptor); /* first: looked up once a task */
    wire_plan_make(&pawl__v1__request__descriptor);
    wire_plan_make(&pawl__v1__reply__descriptor);
    wire_plan_make(&pawl__v1__push__descriptor);
    wire_plan_make(&pawl__v1__schedule__descriptor);
    if (rules_used != wire_rule_count)
        outgrown("wire_rules.c", "", "a rule names a field that does not exist");
}

const message_plan_t *wire_plan(const ProtobufCMessageDescriptor *type)
{
    pthread_once(&book_once, make_book);
    return plan_of(type);
}

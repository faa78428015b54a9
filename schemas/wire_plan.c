/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_plan.c - makes the plans of wire_plan.h. A schema that has outgrown the constants
 * here, or a rule for a field that does not exist, is a bug: the first decode aborts, in any test.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "schemas/wire_plan.h"

enum { PLANS_MOST = 160, FIELDS_MOST = 1200 };

static struct {
    message_plan_t plans[PLANS_MOST];
    field_plan_t fields[FIELDS_MOST];
    size_t plan_count, field_count;
} book;
static pthread_once_t book_once = PTHREAD_ONCE_INIT;

static const message_plan_t *plan_of(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < book.plan_count; i++)
        if (book.plans[i].type == type) return &book.plans[i];
    return NULL;
}

static uint8_t wire_type_of(ProtobufCType type)
{
    switch (type) {
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
        abort(); /* the schema uses a type that the reader below does not read */
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
        if (words->n_value_ranges != 1 || words->values[0].value != 0) abort();
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

static message_plan_t *make_plan(const ProtobufCMessageDescriptor *type)
{
    message_plan_t *known = (message_plan_t *)plan_of(type);
    if (known) return known;
    if (book.plan_count == PLANS_MOST || book.field_count + type->n_fields > FIELDS_MOST ||
        type->n_fields > 64)
        abort(); /* the schema has outgrown the constants above */
    message_plan_t *self = &book.plans[book.plan_count++];
    self->type = type;
    self->fields = &book.fields[book.field_count];
    book.field_count += type->n_fields;
    uint8_t arrays = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        field_plan_t *plan = &self->fields[i];
        if (field->id >= NUMBERS) abort();
        self->by_number[field->id] = (uint8_t)(i + 1);
        plan->field = field;
        plan->type = (uint8_t)field->type;
        plan->wire_type = wire_type_of(field->type);
        plan->offset = field->offset;
        plan->case_offset = field->quantifier_offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            plan->shape = REPEATED;
            plan->array = arrays++;
            if (arrays > REPEATED_MOST) abort();
        } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            plan->shape = ONE_OF;
        }
        default_rule(plan);
        const wire_rule_t *rule = rule_of(type->short_name, field->name);
        if (rule) {
            rules_used++;
            if (apply_rule(plan, rule)) self->required |= UINT64_C(1) << i;
        }
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) plan->message = make_plan(field->descriptor);
    }
    return self;
}

static void make_book(void)
{
    make_plan(&pawl__v1__task__descriptor); /* first: looked up once a task */
    make_plan(&pawl__v1__request__descriptor);
    make_plan(&pawl__v1__reply__descriptor);
    make_plan(&pawl__v1__push__descriptor);
    make_plan(&pawl__v1__schedule__descriptor);
    if (rules_used != wire_rule_count) abort(); /* a rule names a field that does not exist */
}

const message_plan_t *wire_plan(const ProtobufCMessageDescriptor *type)
{
    pthread_once(&book_once, make_book);
    return plan_of(type);
}

/* SPDX-License-Identifier: Apache-2.0
 * A record is read through the descriptor that protobuf-c generates for its message, so a field
 * that is added to the schema is a field of the record without a line here. */
#include "client/record.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "schemas/pawl.pb-c.h"

/* ---- enum words --------------------------------------------------------------------------- */

static const ProtobufCEnumDescriptor *const enums[] = {
    &pawl__v1__role__descriptor,           &pawl__v1__claim_verdict__descriptor,
    &pawl__v1__directive_kind__descriptor, &pawl__v1__task_status__descriptor,
    &pawl__v1__on_lost__descriptor,        &pawl__v1__task_verb__descriptor,
    &pawl__v1__outcome__descriptor,        &pawl__v1__report_verdict__descriptor,
    &pawl__v1__mode__descriptor,           &pawl__v1__overlap__descriptor,
    &pawl__v1__on_resume__descriptor,      &pawl__v1__order__descriptor,
    &pawl__v1__scope__descriptor,          &pawl__v1__cursor_action__descriptor,
    &pawl__v1__schedule_verb__descriptor,  &pawl__v1__proposal_verdict__descriptor,
    &pawl__v1__fanout_done__descriptor,    &pawl__v1__fanout_offline__descriptor,
    &pawl__v1__sql_unknown__descriptor,    &pawl__v1__sql_transaction__descriptor,
};
enum { WORDS_MAX = 24, WORD_SIZE = 32 };
static char words[ARRAY_LEN(enums)][WORDS_MAX][WORD_SIZE];
static pthread_once_t words_once = PTHREAD_ONCE_INIT;

/* How many bytes the names of all values but 0 have in common, up to and with an underscore. */
static size_t prefix_of(const ProtobufCEnumDescriptor *type)
{
    const char *first = NULL;
    size_t common = 0;
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *name = type->values[i].name;
        if (type->values[i].value == 0) continue;
        if (!first) {
            first = name;
            common = strlen(name);
        }
        size_t same = 0;
        while (same < common && name[same] == first[same])
            same++;
        common = same;
    }
    while (common > 0 && first[common - 1] != '_')
        common--;
    return common;
}

static void make_words(void)
{
    for (size_t i = 0; i < ARRAY_LEN(enums); i++) {
        size_t skip = prefix_of(enums[i]);
        for (unsigned k = 0; k < enums[i]->n_values && k < WORDS_MAX; k++) {
            if (enums[i]->values[k].value == 0) continue;
            const char *from = enums[i]->values[k].name + skip;
            for (size_t c = 0; c < WORD_SIZE - 1 && from[c]; c++)
                words[i][k][c] = (char)(from[c] >= 'A' && from[c] <= 'Z' ? from[c] + 32 : from[c]);
        }
    }
}

static int index_of(const ProtobufCEnumDescriptor *type)
{
    pthread_once(&words_once, make_words);
    for (size_t i = 0; i < ARRAY_LEN(enums); i++)
        if (enums[i] == type) return (int)i;
    return -1;
}

static const char *enum_word(const ProtobufCEnumDescriptor *type, int number)
{
    int at = index_of(type);
    if (at < 0) return "";
    for (unsigned k = 0; k < type->n_values && k < WORDS_MAX; k++)
        if (type->values[k].value == number) return words[at][k];
    return "";
}

bool enum_number(const ProtobufCEnumDescriptor *type, const char *word, int *number)
{
    int at = index_of(type);
    if (at < 0 || !word || !*word) return false;
    for (unsigned k = 0; k < type->n_values && k < WORDS_MAX; k++) {
        if (strcmp(words[at][k], word) == 0) {
            *number = type->values[k].value;
            return true;
        }
    }
    return false;
}

/* ---- fields ------------------------------------------------------------------------------- */

static const ProtobufCMessage *message_of(const pawl_record_t *self)
{
    return (const ProtobufCMessage *)self;
}

static const ProtobufCFieldDescriptor *find(const pawl_record_t *self, const char *field)
{
    if (!self || !field) return NULL;
    return protobuf_c_message_descriptor_get_field_by_name(message_of(self)->descriptor, field);
}

static const void *at(const pawl_record_t *self, const ProtobufCFieldDescriptor *field)
{
    return (const uint8_t *)self + field->offset;
}

static bool is_list(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static size_t count_of(const pawl_record_t *self, const ProtobufCFieldDescriptor *field)
{
    size_t n;
    memcpy(&n, (const uint8_t *)self + field->quantifier_offset, sizeof n);
    return n;
}

/* True unless the field is a member of a oneof that holds another member, or none. */
static bool is_chosen(const pawl_record_t *self, const ProtobufCFieldDescriptor *field)
{
    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) return true;
    uint32_t chosen;
    memcpy(&chosen, (const uint8_t *)self + field->quantifier_offset, sizeof chosen);
    return chosen == field->id;
}

static pawl_field_kind kind_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return PAWL_FIELD_TEXT;
    case PROTOBUF_C_TYPE_BYTES:
        return PAWL_FIELD_BYTES;
    case PROTOBUF_C_TYPE_BOOL:
        return PAWL_FIELD_BOOL;
    case PROTOBUF_C_TYPE_ENUM:
        return PAWL_FIELD_ENUM;
    case PROTOBUF_C_TYPE_MESSAGE:
        return PAWL_FIELD_RECORD;
    default:
        return PAWL_FIELD_INT;
    }
}

/* Of one item of a list of numbers. */
static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return 8;
    default:
        return 4; /* protobuf_c_boolean and enums are ints */
    }
}

static int64_t number_at(const ProtobufCFieldDescriptor *field, const void *value)
{
    uint64_t wide;
    uint32_t narrow;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        memcpy(&wide, value, sizeof wide);
        return (int64_t)wide;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        memcpy(&narrow, value, sizeof narrow);
        return narrow;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL: /* protobuf_c_boolean is an int */
        memcpy(&narrow, value, sizeof narrow);
        return (int32_t)narrow;
    default:
        return 0;
    }
}

static const void *pointer_at(const void *place)
{
    const void *pointer;
    memcpy(&pointer, place, sizeof pointer);
    return pointer;
}

/* The bytes fields that hold a serialized message, and which. */
static const struct nested {
    const ProtobufCMessageDescriptor *in;
    const char *field;
    const ProtobufCMessageDescriptor *holds;
} nested[] = {
    { &pawl__v1__task_info__descriptor, "task", &pawl__v1__task__descriptor },
    { &pawl__v1__lease__descriptor, "task", &pawl__v1__task__descriptor },
    { &pawl__v1__schedule__descriptor, "task", &pawl__v1__task__descriptor },
    { &pawl__v1__schedule_info__descriptor, "schedule", &pawl__v1__schedule__descriptor },
};

static const ProtobufCMessageDescriptor *nested_type(const pawl_record_t *self, const char *field)
{
    for (size_t i = 0; i < ARRAY_LEN(nested); i++)
        if (nested[i].in == message_of(self)->descriptor && strcmp(nested[i].field, field) == 0)
            return nested[i].holds;
    return NULL;
}

/* ---- the public face ---------------------------------------------------------------------- */

const char *pawl_record_kind(const pawl_record_t *self)
{
    return self ? message_of(self)->descriptor->short_name : "";
}

size_t pawl_record_fields(const pawl_record_t *self)
{
    return self ? message_of(self)->descriptor->n_fields : 0;
}

const char *pawl_record_field_name(const pawl_record_t *self, size_t i)
{
    return i < pawl_record_fields(self) ? message_of(self)->descriptor->fields[i].name : "";
}

pawl_field_kind pawl_record_field_kind(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found) return PAWL_FIELD_NONE;
    return is_list(found) ? PAWL_FIELD_LIST : kind_of(found);
}

pawl_field_kind pawl_record_item_kind(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    return found && is_list(found) ? kind_of(found) : PAWL_FIELD_NONE;
}

bool pawl_record_has(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found) return false;
    if (is_list(found)) return count_of(self, found) > 0;
    if (found->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) return is_chosen(self, found);
    switch (kind_of(found)) {
    case PAWL_FIELD_TEXT:
        return *pawl_record_text(self, field) != '\0';
    case PAWL_FIELD_BYTES: {
        size_t len = 0;
        pawl_record_bytes(self, field, &len);
        return len > 0;
    }
    case PAWL_FIELD_RECORD:
        return pointer_at(at(self, found)) != NULL;
    default:
        return number_at(found, at(self, found)) != 0;
    }
}

const char *pawl_record_text(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found || is_list(found) || !is_chosen(self, found)) return "";
    if (found->type == PROTOBUF_C_TYPE_ENUM)
        return enum_word(found->descriptor, (int)number_at(found, at(self, found)));
    const char *text = found->type == PROTOBUF_C_TYPE_STRING ? pointer_at(at(self, found)) : NULL;
    return text ? text : "";
}

int64_t pawl_record_int(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found || is_list(found) || !is_chosen(self, found)) return 0;
    return number_at(found, at(self, found));
}

const void *pawl_record_bytes(const pawl_record_t *self, const char *field, size_t *len)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    ProtobufCBinaryData data = { 0, NULL };
    if (found && !is_list(found) && is_chosen(self, found)) {
        if (found->type == PROTOBUF_C_TYPE_BYTES) {
            memcpy(&data, at(self, found), sizeof data);
        } else if (found->type == PROTOBUF_C_TYPE_STRING) {
            const char *text = pawl_record_text(self, field);
            if (len) *len = strlen(text);
            return text;
        }
    }
    if (len) *len = data.len;
    return data.data ? (const void *)data.data : "";
}

const pawl_record_t *pawl_record_sub(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found || is_list(found) || !is_chosen(self, found)) return NULL;
    if (found->type == PROTOBUF_C_TYPE_MESSAGE) return record_of_const(pointer_at(at(self, found)));
    const ProtobufCMessageDescriptor *type =
        found->type == PROTOBUF_C_TYPE_BYTES ? nested_type(self, field) : NULL;
    ProtobufCBinaryData data;
    if (!type) return NULL;
    memcpy(&data, at(self, found), sizeof data);
    return data.len ? record_of_const(arena_unpack_inner(self, type, &data)) : NULL;
}

size_t pawl_record_count(const pawl_record_t *self, const char *field)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    return found && is_list(found) ? count_of(self, found) : 0;
}

/* Where item i of a list stands; NULL: no list, or not so long. */
static const void *item_at(const pawl_record_t *self, const ProtobufCFieldDescriptor *field,
                           size_t size, size_t i)
{
    if (!field || !is_list(field) || i >= count_of(self, field)) return NULL;
    return (const uint8_t *)pointer_at(at(self, field)) + i * size;
}

int64_t pawl_record_int_at(const pawl_record_t *self, const char *field, size_t i)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found || kind_of(found) == PAWL_FIELD_TEXT || kind_of(found) == PAWL_FIELD_BYTES ||
        kind_of(found) == PAWL_FIELD_RECORD)
        return 0;
    const void *item = item_at(self, found, size_of(found), i);
    return item ? number_at(found, item) : 0;
}

const char *pawl_record_text_at(const pawl_record_t *self, const char *field, size_t i)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    const void *item = NULL;
    if (found && found->type == PROTOBUF_C_TYPE_ENUM) {
        item = item_at(self, found, sizeof(int), i);
        return item ? enum_word(found->descriptor, (int)number_at(found, item)) : "";
    }
    if (found && found->type == PROTOBUF_C_TYPE_STRING)
        item = item_at(self, found, sizeof(char *), i);
    const char *text = item ? pointer_at(item) : NULL;
    return text ? text : "";
}

const pawl_record_t *pawl_record_sub_at(const pawl_record_t *self, const char *field, size_t i)
{
    const ProtobufCFieldDescriptor *found = find(self, field);
    if (!found || found->type != PROTOBUF_C_TYPE_MESSAGE) return NULL;
    const void *item = item_at(self, found, sizeof(void *), i);
    return item ? record_of_const(pointer_at(item)) : NULL;
}

void pawl_record_destroy(pawl_record_t **self_p)
{
    if (!self_p || !*self_p) return;
    arena_free_of(*self_p);
    *self_p = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_unpack.c - one pass over protobuf bytes: decode and check.
 *
 * One look-up a field, in the plan of its message (wire_plan.h). Repeated fields: encoders write
 * their items one behind the other, so the first item of such a run counts the run and takes the
 * array in one piece.
 *
 * Standing promises, whatever the bytes:
 *   - reads only [bytes, bytes + len), writes only what the arena gave;
 *   - nests at most WIRE_DEPTH deep (unknown messages are stepped over, not entered);
 *   - time is linear in len, but for arrays given in pieces, which the arena's cap bounds. */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/wire_plan.h"

/* ---- faults ------------------------------------------------------------------------------ */

err_t wire_fault_set(wire_fault_t *fault, err_t err, const char *field, const char *format, ...)
{
    fault->err = err;
    snprintf(fault->field, sizeof fault->field, "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    wire_text_mend(fault->text); /* what is quoted may have been cut */
    return err;
}

void wire_fault_within(wire_fault_t *fault, const char *name, int64_t index)
{
    char inner[WIRE_FIELD_MAX];
    memcpy(inner, fault->field, sizeof inner);
    const char *dot = inner[0] ? "." : "";
    int len = index >= 0 ? snprintf(fault->field, sizeof fault->field, "%.60s[%lld]%s", name,
                                    (long long)index, dot)
                         : snprintf(fault->field, sizeof fault->field, "%.60s%s", name, dot);
    size_t room = sizeof fault->field - (size_t)len; /* len < 90 */
    snprintf(fault->field + len, room, "%.*s", (int)room - 1, inner);
}

/* ---- bytes ------------------------------------------------------------------------------- */

static const uint8_t *long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) return NULL;
        sum |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = sum;
            return at;
        }
    }
    return NULL;
}

static inline const uint8_t *varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    return long_varint(at, end, value);
}

const uint8_t *wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    return varint(at, end, value);
}

const uint8_t *wire_skip(const uint8_t *at, const uint8_t *end, unsigned wire_type)
{
    uint64_t value;
    switch (wire_type) {
    case WT_VARINT:
        return varint(at, end, &value);
    case WT_FIXED64:
        return end - at >= 8 ? at + 8 : NULL;
    case WT_FIXED32:
        return end - at >= 4 ? at + 4 : NULL;
    case WT_LENGTH:
        at = varint(at, end, &value);
        return at && value <= (uint64_t)(end - at) ? at + value : NULL;
    default: /* groups */
        return NULL;
    }
}

/* ---- reader ------------------------------------------------------------------------------ */

typedef struct reading {
    wire_arena_t *arena;
    wire_fault_t *fault;
    unsigned flags;
    uint32_t unknown; /* first unknown field of the outermost message */
} reading_t;

/* The number of a field, or a length. In five bytes at most, as every encoder writes them: other
 * readers, among them protobuf-c's, with which core unpacks definitions, take no more. */
static inline const uint8_t *prefix(const reading_t *self, const uint8_t *at, const uint8_t *end,
                                    uint64_t *value)
{
    enum { PREFIX_MOST = 5 };
    const uint8_t *behind = varint(at, end, value);
    bool strict = !(self->flags & UNPACK_LENIENT);
    return strict && behind && behind - at > PREFIX_MOST ? NULL : behind;
}

static const uint8_t *skip(const reading_t *self, const uint8_t *at, const uint8_t *end,
                           unsigned wire_type)
{
    uint64_t len;
    if (wire_type != WT_LENGTH) return wire_skip(at, end, wire_type);
    at = prefix(self, at, end, &len);
    return at && len <= (uint64_t)(end - at) ? at + len : NULL;
}

static err_t malformed(reading_t *self, const char *what)
{
    return wire_fault_set(self->fault, ERR_BAD_REQUEST, "", "malformed message: %s", what);
}

static void *take(reading_t *self, size_t bytes)
{
    void *at = wire_arena_take(self->arena, bytes);
    if (!at) {
        if (self->arena->no_memory)
            wire_fault_set(self->fault, ERR_NO_MEMORY, "", "out of memory");
        else
            wire_fault_set(self->fault, ERR_TOO_LARGE, "",
                           "unpacked the message needs more memory than its size allows");
    }
    return at;
}

static err_t bad_length(reading_t *self, const field_plan_t *plan, size_t len)
{
    const char *name = plan->field->name;
    if (plan->rule == RULE_ID)
        return wire_fault_set(self->fault, ERR_BAD_ID, name, "%s: %zu bytes, a task id has 16",
                              name, len);
    if (plan->rule == RULE_RANDOM)
        return wire_fault_set(self->fault, ERR_BAD_VALUE, name, "%s: %zu bytes, it must have 16",
                              name, len);
    if (plan->rule == RULE_BYTES && plan->low == plan->high)
        return wire_fault_set(self->fault, ERR_BAD_VALUE, name, "%s: %zu bytes, it must have %lld",
                              name, len, (long long)plan->high);
    err_t err = plan->class == TEXT_NAME && plan->rule == RULE_TEXT ? ERR_BAD_NAME
                : len == 0                                          ? ERR_BAD_VALUE
                                                                    : ERR_TOO_LARGE;
    if (len == 0) return wire_fault_set(self->fault, err, name, "%s: must not be empty", name);
    return wire_fault_set(self->fault, err, name, "%s: %zu bytes, at most %lld are allowed", name,
                          len, (long long)plan->high);
}

static bool length_fits(const field_plan_t *plan, size_t len)
{
    if (plan->rule == RULE_ID || plan->rule == RULE_RANDOM)
        return len == 16 || (len == 0 && plan->low == 0);
    return (int64_t)len >= plan->low && (int64_t)len <= plan->high;
}

static err_t read_text(reading_t *self, const field_plan_t *plan, const uint8_t *at, size_t len,
                       char **out)
{
    bool lenient = self->flags & UNPACK_LENIENT;
    if (!lenient && !length_fits(plan, len)) return bad_length(self, plan, len);
    if (len == 0) {
        *out = (char *)protobuf_c_empty_string;
        return ERR_OK;
    }
    text_class_t class = lenient ? TEXT_PROGRAM : (text_class_t)plan->class;
    if (!wire_text_valid(at, len, class)) {
        const char *name = plan->field->name;
        if (wire_text_valid(at, len, TEXT_LINE))
            return wire_fault_set(self->fault, ERR_BAD_NAME, name,
                                  "%s: begins or ends with a space", name);
        return wire_fault_set(self->fault, ERR_BAD_UTF8, name, "%s: %s", name,
                              wire_text_valid(at, len, TEXT_PROGRAM) ? "holds control characters"
                              : memchr(at, 0, len)                   ? "holds a NUL byte"
                                                                     : "not valid UTF-8");
    }
    char *copy = take(self, len + 1);
    if (!copy) return self->fault->err;
    memcpy(copy, at, len);
    copy[len] = '\0';
    *out = copy;
    return ERR_OK;
}

static err_t read_bytes(reading_t *self, const field_plan_t *plan, const uint8_t *at, size_t len,
                        ProtobufCBinaryData *out)
{
    if (!(self->flags & UNPACK_LENIENT) && !length_fits(plan, len))
        return bad_length(self, plan, len);
    out->len = len;
    out->data = NULL;
    if (len == 0) return ERR_OK;
    if (self->flags & UNPACK_BORROW) {
        out->data = (uint8_t *)at;
        return ERR_OK;
    }
    out->data = take(self, len);
    if (!out->data) return self->fault->err;
    memcpy(out->data, at, len);
    return ERR_OK;
}

static err_t bad_number(reading_t *self, const field_plan_t *plan, uint64_t value)
{
    const char *name = plan->field->name;
    char shown[24];
    bool is_signed = plan->type != PROTOBUF_C_TYPE_UINT64 && plan->type != PROTOBUF_C_TYPE_UINT32;
    if (is_signed)
        snprintf(shown, sizeof shown, "%lld", (long long)value);
    else
        snprintf(shown, sizeof shown, "%llu", (unsigned long long)value);
    if (plan->type == PROTOBUF_C_TYPE_ENUM)
        return wire_fault_set(self->fault, ERR_BAD_VALUE, name, "%s: %s is not one of %lld to %lld",
                              name, shown, (long long)plan->low, (long long)plan->high);
    if (plan->high == INT64_MAX)
        return wire_fault_set(self->fault, ERR_BAD_VALUE, name, "%s: %s, at least %lld is needed",
                              name, shown, (long long)plan->low);
    return wire_fault_set(self->fault, ERR_BAD_VALUE, name, "%s: %s is outside %lld to %lld", name,
                          shown, (long long)plan->low, (long long)plan->high);
}

/* A varint into the struct, if its type and rule take it. */
static err_t store_number(reading_t *self, const field_plan_t *plan, uint64_t value, void *to)
{
    bool strict = !(self->flags & UNPACK_LENIENT);
    int64_t as_signed = (int64_t)value;
    switch (plan->type) {
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)to = value != 0;
        return ERR_OK;
    case PROTOBUF_C_TYPE_UINT64:
        if (strict && (value < (uint64_t)plan->low ||
                       (plan->high != INT64_MAX && value > (uint64_t)plan->high)))
            return bad_number(self, plan, value);
        *(uint64_t *)to = value;
        return ERR_OK;
    case PROTOBUF_C_TYPE_INT64:
        if (strict && (as_signed < plan->low || as_signed > plan->high))
            return bad_number(self, plan, value);
        *(int64_t *)to = as_signed;
        return ERR_OK;
    case PROTOBUF_C_TYPE_UINT32:
        if (strict && (value > UINT32_MAX || as_signed < plan->low || as_signed > plan->high))
            return bad_number(self, plan, value);
        *(uint32_t *)to = (uint32_t)value;
        return ERR_OK;
    default: /* int32, enum */
        if (strict && (as_signed < INT32_MIN || as_signed > INT32_MAX || as_signed < plan->low ||
                       as_signed > plan->high))
            return bad_number(self, plan, value);
        *(int32_t *)to = (int32_t)value;
        return ERR_OK;
    }
}

static size_t size_of(const field_plan_t *plan)
{
    switch (plan->type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* Makes room for `more` items behind those of the array; room: how many fit now. */
static err_t grow(reading_t *self, const field_plan_t *plan, uint8_t *message, size_t more,
                  size_t *room)
{
    size_t *count = (size_t *)(message + plan->case_offset);
    void **array = (void **)(message + plan->offset);
    if (!(self->flags & UNPACK_LENIENT) && more > plan->items - *count) {
        const char *name = plan->field->name;
        return wire_fault_set(self->fault, ERR_TOO_MANY, name,
                              "%s: %zu items, at most %u are allowed", name, *count + more,
                              plan->items);
    }
    if (*count + more <= *room) return ERR_OK;
    size_t each = size_of(plan);
    size_t wanted = *count + (more > *count ? more : *count);
    if (wanted < *count + more) wanted = *count + more;
    void *larger = take(self, wanted * each);
    if (!larger) return self->fault->err;
    if (*count) memcpy(larger, *array, *count * each);
    *array = larger;
    *room = wanted;
    return ERR_OK;
}

/* How many items of the same field stand one behind the other, this one (behind its tag) included.
 */
static size_t count_run(const uint8_t *tag, size_t tag_len, const uint8_t *at, const uint8_t *end,
                        unsigned wire_type)
{
    size_t n = 0;
    for (;;) {
        at = wire_skip(at, end, wire_type);
        n++;
        if (!at || (size_t)(end - at) < tag_len || memcmp(at, tag, tag_len) != 0) return n;
        at += tag_len;
    }
}

static err_t read_message(reading_t *self, const message_plan_t *plan, const uint8_t *at,
                          const uint8_t *end, ProtobufCMessage *message, unsigned depth);

static err_t read_part(reading_t *self, const field_plan_t *plan, const uint8_t *at,
                       const uint8_t *end, ProtobufCMessage **to, unsigned depth, int64_t index)
{
    if (depth >= WIRE_DEPTH) return malformed(self, "nested deeper than 8");
    /* protobuf would merge the two, protobuf-c takes the last when they are in a oneof; no encoder
     * writes that, so it is refused */
    if (*to)
        return wire_fault_set(self->fault, ERR_BAD_REQUEST, plan->field->name,
                              "malformed message: %s is there twice", plan->field->name);
    const ProtobufCMessageDescriptor *type = plan->message->type;
    *to = take(self, type->sizeof_message);
    if (!*to) return self->fault->err;
    type->message_init(*to);
    err_t err = read_message(self, plan->message, at, end, *to, depth + 1);
    if (err) wire_fault_within(self->fault, plan->field->name, index);
    return err;
}

/* A length-delimited value of a field that is not packed. */
static err_t read_value(reading_t *self, const field_plan_t *plan, const uint8_t *at, size_t len,
                        void *to, unsigned depth, int64_t index)
{
    err_t err;
    switch (plan->type) {
    case PROTOBUF_C_TYPE_STRING:
        err = read_text(self, plan, at, len, to);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        err = read_bytes(self, plan, at, len, to);
        break;
    default:
        return read_part(self, plan, at, at + len, to, depth, index);
    }
    if (err && index >= 0 && self->fault->field[0]) {
        self->fault->field[0] = '\0';
        wire_fault_within(self->fault, plan->field->name, index);
    }
    return err;
}

/* Numbers of a repeated field in one length-delimited piece. */
static err_t read_packed(reading_t *self, const field_plan_t *plan, const uint8_t *at,
                         const uint8_t *end, uint8_t *message, size_t *room)
{
    size_t n = 0;
    for (const uint8_t *byte = at; byte < end; byte++)
        n += *byte < 0x80;
    err_t err = n ? grow(self, plan, message, n, room) : ERR_OK;
    size_t *count = (size_t *)(message + plan->case_offset);
    while (!err && at < end) {
        uint64_t value;
        at = varint(at, end, &value);
        if (!at) return malformed(self, "a number is cut short");
        uint8_t *array = *(uint8_t **)(message + plan->offset);
        err = store_number(self, plan, value, array + *count * size_of(plan));
        if (!err) ++*count;
    }
    return err;
}

/* Where a single value goes; a oneof's other member is given up. */
static void *place(const field_plan_t *plan, uint8_t *message)
{
    void *to = message + plan->offset;
    if (plan->shape == ONE_OF) {
        uint32_t *which = (uint32_t *)(message + plan->case_offset);
        if (*which != plan->field->id) {
            memset(to, 0, size_of(plan));
            *which = plan->field->id;
        }
    }
    return to;
}

static err_t missing(reading_t *self, const message_plan_t *plan, uint64_t seen)
{
    const field_plan_t *field = plan->fields;
    while (!(field->required & ~seen))
        field++;
    const char *name = field->field->name;
    err_t err = field->rule == RULE_ID                                  ? ERR_BAD_ID
                : field->rule == RULE_PART                              ? ERR_BAD_REQUEST
                : field->rule == RULE_TEXT && field->class == TEXT_NAME ? ERR_BAD_NAME
                                                                        : ERR_BAD_VALUE;
    return wire_fault_set(self->fault, err, name, "%s: is missing", name);
}

static err_t read_message(reading_t *self, const message_plan_t *plan, const uint8_t *at,
                          const uint8_t *end, ProtobufCMessage *message, unsigned depth)
{
    uint8_t *base = (uint8_t *)message;
    size_t room[REPEATED_MOST] = { 0 };
    uint64_t seen = 0;
    err_t err = ERR_OK;
    while (at < end) {
        const uint8_t *tag_at = at;
        uint64_t tag, value;
        at = prefix(self, at, end, &tag);
        if (!at || tag > UINT32_MAX || tag < 8) return malformed(self, "bad field number");
        uint32_t number = (uint32_t)tag >> 3;
        unsigned wire_type = (unsigned)tag & 7;
        const field_plan_t *field = wire_plan_field(plan, number);
        if (!field) {
            if (depth == 0 && !self->unknown) self->unknown = number;
            at = skip(self, at, end, wire_type);
            if (!at) return malformed(self, "a field is cut short");
            continue;
        }
        seen |= field->required;
        bool many = field->shape == REPEATED;

        if (wire_type == WT_VARINT && field->wire_type == WT_VARINT) {
            at = varint(at, end, &value);
            if (!at) return malformed(self, "a number is cut short");
            if (many) {
                err = grow(self, field, base, 1, &room[field->array]);
                if (err) return err;
                size_t *count = (size_t *)(base + field->case_offset);
                uint8_t *array = *(uint8_t **)(base + field->offset);
                err = store_number(self, field, value, array + *count * size_of(field));
                ++*count;
            } else {
                err = store_number(self, field, value, place(field, base));
            }
            if (err) return err;
            continue;
        }
        if (wire_type == WT_FIXED32 && field->wire_type == WT_FIXED32 && !many) {
            if (end - at < 4) return malformed(self, "a field is cut short");
            uint32_t fixed;
            memcpy(&fixed, at, 4);
            *(uint32_t *)place(field, base) = le32toh(fixed);
            at += 4;
            continue;
        }
        if (wire_type != WT_LENGTH || (field->wire_type != WT_LENGTH && !many)) {
            wire_fault_set(self->fault, ERR_BAD_REQUEST, field->field->name,
                           "malformed message: %s has wire type %u", field->field->name, wire_type);
            return ERR_BAD_REQUEST;
        }
        const uint8_t *value_at = prefix(self, at, end, &value);
        if (!value_at || value > (uint64_t)(end - value_at))
            return malformed(self, "a field is cut short");
        if (!many) {
            err = read_value(self, field, value_at, (size_t)value, place(field, base), depth, -1);
        } else if (field->wire_type == WT_VARINT) {
            err = read_packed(self, field, value_at, value_at + value, base, &room[field->array]);
        } else {
            size_t *count = (size_t *)(base + field->case_offset);
            if (*count >= room[field->array]) {
                size_t run = count_run(tag_at, (size_t)(at - tag_at), at, end, WT_LENGTH);
                err = grow(self, field, base, run, &room[field->array]);
                if (err) return err;
            } else if (!(self->flags & UNPACK_LENIENT) && *count >= field->items) {
                return grow(self, field, base, 1, &room[field->array]);
            }
            uint8_t *to = *(uint8_t **)(base + field->offset) + *count * size_of(field);
            if (field->type == PROTOBUF_C_TYPE_MESSAGE) *(void **)to = NULL;
            err = read_value(self, field, value_at, (size_t)value, to, depth, (int64_t)*count);
            ++*count;
        }
        if (err) return err;
        at = value_at + value;
    }
    if (!(self->flags & UNPACK_LENIENT) && (plan->required & ~seen))
        return missing(self, plan, seen);
    return ERR_OK;
}

err_t wire_unpack(wire_arena_t *arena, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                  size_t len, size_t budget, unsigned flags, ProtobufCMessage **out,
                  uint32_t *unknown, wire_fault_t *fault)
{
    const message_plan_t *plan = wire_plan(type);
    if (!plan) abort(); /* not a message that crosses the wire */
    wire_mark_t mark = wire_arena_mark(arena);
    size_t end = arena->end;
    if (budget < end - arena->total) arena->end = arena->total + budget;
    reading_t self = { arena, fault, flags, 0 };
    err_t err = ERR_OK;
    ProtobufCMessage *message = take(&self, type->sizeof_message);
    if (message) {
        type->message_init(message);
        err = read_message(&self, plan, bytes, bytes + len, message, 0);
    } else {
        err = fault->err;
    }
    arena->end = end;
    if (err) {
        wire_arena_rewind(arena, mark);
        return err;
    }
    if (unknown) *unknown = self.unknown;
    *out = message;
    return ERR_OK;
}

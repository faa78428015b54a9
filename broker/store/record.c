/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record.c - see record.h. tests/unit/broker/test_record.c pins the bytes of each
 * record.
 *
 * Value = version u8, then the fields in the order written here. Instants and what is looked up by
 * eye are fixed width (big-endian); numbers that are small in practice are varints (7 bits a byte,
 * lowest first, as in protobuf); texts are a varint length and bytes. Nothing may be left over at
 * the end of a value, so a truncated row is never taken for a shorter one. */
#include "broker/store/record.h"

#include <sodium.h>

enum { VARINT_MAX = 10 };

static uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (~(value & 1) + 1));
}

static uint8_t *put_signed(uint8_t *to, int64_t value)
{
    return put_varint(to, zigzag(value));
}

static uint8_t *put_slice(uint8_t *to, slice_t bytes)
{
    return be_put_bytes(put_varint(to, bytes.len), bytes.at, bytes.len);
}

static uint64_t take_varint(reader_t *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(in);
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return value;
    }
    in->bad = true;
    return 0;
}

/* A varint that must not exceed `most`. */
static uint64_t take_bounded(reader_t *in, uint64_t most)
{
    uint64_t value = take_varint(in);
    if (value > most) in->bad = true;
    return in->bad ? 0 : value;
}

static uint32_t take_no(reader_t *in)
{
    return (uint32_t)take_bounded(in, UINT32_MAX);
}

static uint16_t take_range(reader_t *in)
{
    uint32_t range = take_no(in);
    if (range == 0 || range > UINT16_MAX) in->bad = true;
    return (uint16_t)range;
}

static int64_t take_signed(reader_t *in)
{
    return unzigzag(take_varint(in));
}

static slice_t take_slice(reader_t *in)
{
    uint64_t len = take_varint(in);
    return reader_bytes(in, in->bad ? SIZE_MAX : (size_t)len);
}

static void take_array(reader_t *in, uint8_t *to, size_t len)
{
    const uint8_t *at = reader_take(in, len);
    if (at) memcpy(to, at, len);
}

/* Makes room for `most` bytes and writes the version; record_end sets the length. */
static uint8_t *record_begin(buf_t *to, size_t most)
{
    buf_need(to, most + 1);
    return be_put_u8(to->at + to->len, RECORD_VERSION);
}

static void record_end(buf_t *to, const uint8_t *end)
{
    to->len = (size_t)(end - to->at);
    CHECK(to->len <= to->room);
}

static reader_t record_read(slice_t from)
{
    reader_t in = { from.at, from.at, true };
    if (from.len == 0) return in;
    in = reader(from);
    in.bad = reader_u8(&in) != RECORD_VERSION;
    return in;
}

static bool record_done(const reader_t *in)
{
    return !in->bad && in->at == in->end;
}

static void key_done(rec_key_t *key, const uint8_t *end)
{
    key->len = (size_t)(end - key->at);
}

/* Appends a text of any length to a key: what does not fit is replaced by a hash, so that different
 * texts keep different keys. Only keys with a hash are KEY_MAX bytes long. */
static uint8_t *put_key_text(rec_key_t *key, uint8_t *to, slice_t text)
{
    enum { HASH = 32 };
    size_t room = KEY_MAX - (size_t)(to - key->at);
    if (text.len < room) return be_put_bytes(to, text.at, text.len);
    to = be_put_bytes(to, text.at, room - HASH);
    crypto_generichash(to, HASH, text.at, text.len, NULL, 0);
    return to + HASH;
}

/* ---- meta -------------------------------------------------------------------------------------
 */
rec_key_t key_u8(uint8_t value)
{
    rec_key_t key;
    key_done(&key, be_put_u8(key.at, value));
    return key;
}

void meta_static_encode(const meta_static_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 64);
    at = be_put_u16(at, self->format);
    at = be_put_u16(at, self->generation);
    at = be_put_bytes(at, self->store_id, sizeof self->store_id);
    at = be_put_bytes(at, self->secret, sizeof self->secret);
    at = be_put_i64(at, self->created_wall_us);
    record_end(to, at);
}

bool meta_static_decode(meta_static_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (meta_static_t){ 0 };
    self->format = reader_u16(&in);
    self->generation = reader_u16(&in);
    take_array(&in, self->store_id, sizeof self->store_id);
    take_array(&in, self->secret, sizeof self->secret);
    self->created_wall_us = reader_i64(&in);
    return record_done(&in);
}

void meta_dynamic_encode(const meta_dynamic_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 6 * 8 + sizeof self->next_no);
    at = be_put_u64(at, self->epoch);
    at = be_put_u64(at, self->batch);
    at = be_put_u64(at, self->next_n);
    at = be_put_u64(at, self->next_seq);
    at = be_put_i64(at, self->broker_us);
    at = be_put_i64(at, self->wall_us);
    for (size_t i = 0; i < ARRAY_LEN(self->next_no); i++)
        at = be_put_u32(at, self->next_no[i]);
    record_end(to, at);
}

bool meta_dynamic_decode(meta_dynamic_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (meta_dynamic_t){ 0 };
    self->epoch = reader_u64(&in);
    self->batch = reader_u64(&in);
    self->next_n = reader_u64(&in);
    self->next_seq = reader_u64(&in);
    self->broker_us = reader_i64(&in);
    self->wall_us = reader_i64(&in);
    for (size_t i = 0; i < ARRAY_LEN(self->next_no); i++)
        self->next_no[i] = reader_u32(&in);
    return record_done(&in);
}

/* ---- ids --------------------------------------------------------------------------------------
 */
rec_key_t key_id(const uint8_t id[16])
{
    rec_key_t key;
    key_done(&key, be_put_bytes(key.at, id, 16));
    return key;
}

void id_row_encode(const id_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 13);
    at = be_put_u8(at, self->kind);
    at = be_put_u64(at, self->n);
    if (self->kind == ID_TOMBSTONE) at = be_put_u32(at, self->expiry_s);
    record_end(to, at);
}

bool id_row_decode(id_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (id_row_t){ 0 };
    self->kind = reader_u8(&in);
    self->n = reader_u64(&in);
    if (self->kind == ID_TOMBSTONE) self->expiry_s = reader_u32(&in);
    return record_done(&in) && self->kind >= ID_TASK && self->kind <= ID_TOMBSTONE;
}

/* ---- spec -------------------------------------------------------------------------------------
 */
rec_key_t key_n(uint64_t n)
{
    rec_key_t key;
    key_done(&key, be_put_u64(key.at, n));
    return key;
}

static uint8_t *put_firing(uint8_t *at, const spec_row_t *self)
{
    at = be_put_u8(at, self->firing);
    if (self->firing & FIRING_RANGE) at = put_varint(at, self->range);
    if (self->firing & FIRING_FOLDED) {
        at = be_put_i64(at, self->folded_first_us);
        at = put_varint(at, self->folded_count);
    }
    return self->firing & FIRING_GATE ? be_put_bytes(at, self->gate, 16) : at;
}

static void take_firing(reader_t *in, spec_row_t *self)
{
    self->firing = reader_u8(in);
    if (self->firing & FIRING_RANGE) self->range = take_range(in);
    if (self->firing & FIRING_FOLDED) {
        self->folded_first_us = reader_i64(in);
        self->folded_count = take_varint(in);
    }
    if (self->firing & FIRING_GATE) take_array(in, self->gate, sizeof self->gate);
    if (self->firing == 0 || self->firing > 7) in->bad = true;
}

void spec_row_encode(const spec_row_t *self, buf_t *to)
{
    bool inline_body = !(self->flags & (SPEC_PARTS | SPEC_CHILD));
    CHECK(!inline_body || self->body.len == self->body_len);
    uint8_t *at = record_begin(to, 192 + (inline_body ? self->body.len : 0));
    at = be_put_u16(at, self->flags);
    at = be_put_u8(at, self->priority);
    at = put_varint(at, self->attempts_max);
    at = put_varint(at, self->lane);
    at = put_varint(at, self->principal);
    at = put_varint(at, self->queue);
    at = put_varint(at, self->type);
    at = be_put_i64(at, self->created_wall_us);
    at = be_put_i64(at, self->due_us);
    at = be_put_bytes(at, self->id, sizeof self->id);
    if (self->flags & SPEC_SCHEDULED) {
        at = put_varint(at, self->schedule);
        at = be_put_i64(at, self->instant_wall_us);
    }
    if (self->flags & SPEC_FIRING) at = put_firing(at, self);
    if (self->flags & SPEC_DELAYED) {
        at = be_put_u8(at, self->timer_clock);
        at = be_put_i64(at, self->timer_at);
    }
    if (self->flags & SPEC_EXPIRES) {
        at = be_put_u8(at, self->expire_clock);
        at = be_put_i64(at, self->expire_us);
    }
    if (self->flags & SPEC_CHILD) at = put_varint(be_put_u64(at, self->parent), self->index);
    at = put_varint(at, self->body_len);
    if (inline_body) at = be_put_bytes(at, self->body.at, self->body.len);
    record_end(to, at);
}

bool spec_row_decode(spec_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (spec_row_t){ 0 };
    self->flags = reader_u16(&in);
    self->priority = reader_u8(&in);
    self->attempts_max = take_no(&in);
    self->lane = take_no(&in);
    self->principal = take_no(&in);
    self->queue = take_no(&in);
    self->type = take_no(&in);
    self->created_wall_us = reader_i64(&in);
    self->due_us = reader_i64(&in);
    take_array(&in, self->id, sizeof self->id);
    if (self->flags & SPEC_SCHEDULED) {
        self->schedule = take_no(&in);
        self->instant_wall_us = reader_i64(&in);
    }
    if (self->flags & SPEC_FIRING) take_firing(&in, self);
    if (self->flags & SPEC_DELAYED) {
        self->timer_clock = reader_u8(&in);
        self->timer_at = reader_i64(&in);
    }
    if (self->flags & SPEC_EXPIRES) {
        self->expire_clock = reader_u8(&in);
        self->expire_us = reader_i64(&in);
    }
    if (self->flags & SPEC_CHILD) {
        self->parent = reader_u64(&in);
        self->index = take_no(&in);
    }
    self->body_len = take_no(&in);
    if (!(self->flags & (SPEC_PARTS | SPEC_CHILD))) self->body = reader_bytes(&in, self->body_len);
    return record_done(&in);
}

/* ---- part -------------------------------------------------------------------------------------
 */
rec_key_t key_part(uint64_t n, uint8_t kind, uint64_t token, uint16_t part)
{
    rec_key_t key;
    uint8_t *at = be_put_u8(be_put_u64(key.at, n), kind);
    key_done(&key, be_put_u16(be_put_u64(at, token), part));
    return key;
}

/* ---- state: 42 bytes, then what the tail mask (bit number = TAIL_*) announces, in its order
 * ------ */
static uint16_t tail_mask(const state_row_t *self)
{
    unsigned mask = 0;
    mask |= self->due_us ? 1u << TAIL_PLACE : 0;
    mask |= self->message.len ? 1u << TAIL_MESSAGE : 0;
    mask |= self->output.len || (self->flags & STATE_OUTPUT_PARTS) ? 1u << TAIL_OUTPUT : 0;
    mask |= self->output_type.len ? 1u << TAIL_OUTPUT_TYPE : 0;
    mask |= self->progress_text.len || self->progress_done || self->progress_total
                ? 1u << TAIL_PROGRESS
                : 0;
    mask |= self->cpu_us || self->memory_bytes ? 1u << TAIL_USAGE : 0;
    mask |= self->timer_clock ? 1u << TAIL_TIMER : 0;
    mask |= self->park.len ? 1u << TAIL_PARK : 0;
    mask |= self->polls ? 1u << TAIL_POLL : 0;
    mask |= self->lane ? 1u << TAIL_LANE : 0;
    return (uint16_t)mask;
}

void state_row_encode(const state_row_t *self, buf_t *to)
{
    CHECK(self->park.len == 0 || self->park.len == 16);
    uint16_t mask = tail_mask(self);
    bool parts = self->flags & STATE_OUTPUT_PARTS;
    uint8_t *at = record_begin(to, 160 + self->message.len + self->output.len +
                                       self->output_type.len + self->progress_text.len);
    at = be_put_u8(at, self->status);
    at = be_put_u16(at, self->flags);
    at = be_put_u16(at, self->attempts);
    at = be_put_u8(at, self->lost);
    at = be_put_u8(at, self->reason);
    at = be_put_u64(at, self->token);
    at = be_put_u32(at, self->executor);
    at = be_put_i64(at, self->start_wall_us);
    at = be_put_i64(at, self->end_wall_us);
    at = be_put_u16(at, (uint16_t)self->exit_code);
    at = be_put_u8(at, self->outcome);
    at = be_put_u8(at, self->signal);
    at = be_put_u16(at, mask);
    if (mask & 1u << TAIL_PLACE) at = be_put_i64(at, self->due_us);
    if (mask & 1u << TAIL_MESSAGE) at = put_slice(at, self->message);
    if (mask & 1u << TAIL_OUTPUT)
        at = parts ? put_varint(at, self->output_len) : put_slice(at, self->output);
    if (mask & 1u << TAIL_OUTPUT_TYPE) at = put_slice(at, self->output_type);
    if (mask & 1u << TAIL_PROGRESS) {
        at = put_signed(at, self->progress_done);
        at = put_signed(at, self->progress_total);
        at = put_slice(at, self->progress_text);
    }
    if (mask & 1u << TAIL_USAGE) {
        at = put_signed(at, self->cpu_us);
        at = put_signed(at, self->memory_bytes);
    }
    if (mask & 1u << TAIL_TIMER) at = be_put_i64(be_put_u8(at, self->timer_clock), self->timer_at);
    if (mask & 1u << TAIL_PARK) at = be_put_bytes(at, self->park.at, 16);
    if (mask & 1u << TAIL_POLL) {
        at = put_varint(at, self->polls);
        at = put_signed(at, self->poll_since_us);
        at = put_varint(at, self->poll_len);
    }
    if (mask & 1u << TAIL_LANE) at = be_put_u32(at, self->lane);
    record_end(to, at);
}

bool state_row_decode(state_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (state_row_t){ 0 };
    self->status = reader_u8(&in);
    self->flags = reader_u16(&in);
    self->attempts = reader_u16(&in);
    self->lost = reader_u8(&in);
    self->reason = reader_u8(&in);
    self->token = reader_u64(&in);
    self->executor = reader_u32(&in);
    self->start_wall_us = reader_i64(&in);
    self->end_wall_us = reader_i64(&in);
    self->exit_code = (int16_t)reader_u16(&in);
    self->outcome = reader_u8(&in);
    self->signal = reader_u8(&in);
    unsigned mask = reader_u16(&in);
    if (mask & 1u << TAIL_PLACE) self->due_us = reader_i64(&in);
    if (mask & 1u << TAIL_MESSAGE) self->message = take_slice(&in);
    if (mask & 1u << TAIL_OUTPUT) {
        if (!(self->flags & STATE_OUTPUT_PARTS)) self->output = take_slice(&in);
        self->output_len =
            self->flags & STATE_OUTPUT_PARTS ? take_no(&in) : (uint32_t)self->output.len;
    }
    if (mask & 1u << TAIL_OUTPUT_TYPE) self->output_type = take_slice(&in);
    if (mask & 1u << TAIL_PROGRESS) {
        self->progress_done = take_signed(&in);
        self->progress_total = take_signed(&in);
        self->progress_text = take_slice(&in);
    }
    if (mask & 1u << TAIL_USAGE) {
        self->cpu_us = take_signed(&in);
        self->memory_bytes = take_signed(&in);
    }
    if (mask & 1u << TAIL_TIMER) {
        self->timer_clock = reader_u8(&in);
        self->timer_at = reader_i64(&in);
    }
    if (mask & 1u << TAIL_PARK) self->park = reader_bytes(&in, 16);
    if (mask & 1u << TAIL_POLL) {
        self->polls = take_no(&in);
        self->poll_since_us = take_signed(&in);
        self->poll_len = take_no(&in);
    }
    if (mask & 1u << TAIL_LANE) self->lane = reader_u32(&in);
    enum { STATUS_LAST = 11 }; /* TaskStatus, STATUS_EXPIRED */
    return record_done(&in) && self->status >= 1 && self->status <= STATUS_LAST &&
           !(mask & ~(0x3FEu | 1u << TAIL_LANE));
}

const char *task_reason_text(uint8_t reason)
{
    switch (reason) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        TASK_REASONS(X)
#undef X
    default:
        return "";
    }
}

/* ---- ready ------------------------------------------------------------------------------------
 */
/* Flag and tag keep room for fair queues (level, virtual time); zero in this format. */
static uint8_t *put_tag(uint8_t *to)
{
    return be_put_u16(be_put_u32(to, 0), 0);
}

static void take_tag(reader_t *in)
{
    if (reader_u32(in) | reader_u16(in)) in->bad = true;
}

rec_key_t key_ready(uint32_t lane, int64_t due_us, uint64_t n)
{
    rec_key_t key;
    uint8_t *at = put_tag(be_put_u8(be_put_u32(key.at, lane), 0));
    key_done(&key, be_put_u64(be_put_i64(at, due_us), n));
    return key;
}

bool ready_key_decode(slice_t key, uint32_t *lane, int64_t *due_us, uint64_t *n)
{
    reader_t in = reader(key);
    *lane = reader_u32(&in);
    if (reader_u8(&in)) in.bad = true;
    take_tag(&in);
    *due_us = reader_i64(&in);
    *n = reader_u64(&in);
    return record_done(&in);
}

/* ---- run --------------------------------------------------------------------------------------
 */
void run_row_encode(const run_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 80);
    at = be_put_u8(at, self->flags);
    at = be_put_u8(at, self->lost);
    at = be_put_u64(at, self->token);
    at = be_put_u64(at, self->incarnation);
    at = be_put_i64(at, self->leased_us);
    at = be_put_i64(at, self->leased_wall_us);
    at = put_varint(at, self->executor);
    at = put_varint(at, self->attempt);
    at = put_varint(at, self->lane);
    at = put_varint(at, self->schedule);
    record_end(to, at);
}

bool run_row_decode(run_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (run_row_t){ 0 };
    self->flags = reader_u8(&in);
    self->lost = reader_u8(&in);
    self->token = reader_u64(&in);
    self->incarnation = reader_u64(&in);
    self->leased_us = reader_i64(&in);
    self->leased_wall_us = reader_i64(&in);
    self->executor = take_no(&in);
    self->attempt = (uint16_t)take_bounded(&in, UINT16_MAX);
    self->lane = take_no(&in);
    self->schedule = take_no(&in);
    return record_done(&in);
}

/* ---- timer ------------------------------------------------------------------------------------
 */
rec_key_t key_timer(uint8_t clock, int64_t at, uint8_t kind, uint64_t n)
{
    rec_key_t key;
    uint8_t *to = be_put_i64(be_put_u8(key.at, clock), at);
    key_done(&key, be_put_u64(be_put_u8(to, kind), n));
    return key;
}

bool timer_key_decode(slice_t key, uint8_t *clock, int64_t *at, uint8_t *kind, uint64_t *n)
{
    reader_t in = reader(key);
    *clock = reader_u8(&in);
    *at = reader_i64(&in);
    *kind = reader_u8(&in);
    *n = reader_u64(&in);
    return record_done(&in) && (*clock == CLOCK_ELAPSED || *clock == CLOCK_WALL);
}

/* ---- park, gate -------------------------------------------------------------------------------
 */
void gate_of_schedule(uint32_t schedule, uint8_t gate[16])
{
    memset(gate, 0, 16);
    gate[0] = GATE_OVERLAP;
    be_put_u32(gate + 12, schedule);
}

rec_key_t key_gate(const uint8_t gate[16])
{
    return key_id(gate);
}

rec_key_t key_park(const uint8_t gate[16], bool backlog, int64_t due_us, uint64_t n)
{
    rec_key_t key;
    uint8_t *at = be_put_bytes(key.at, gate, 16);
    at = be_put_u16(be_put_u32(at, 0), backlog);
    key_done(&key, be_put_u64(be_put_i64(at, due_us), n));
    return key;
}

bool park_key_decode(slice_t key, uint8_t gate[16], int64_t *due_us, uint64_t *n)
{
    reader_t in = reader(key);
    take_array(&in, gate, 16);
    if (reader_u32(&in) != 0 || reader_u16(&in) > 1) in.bad = true;
    *due_us = reader_i64(&in);
    *n = reader_u64(&in);
    return record_done(&in);
}

void park_row_encode(uint32_t lane, buf_t *to)
{
    record_end(to, put_varint(record_begin(to, VARINT_MAX), lane));
}

bool park_row_decode(uint32_t *lane, slice_t from)
{
    reader_t in = record_read(from);
    *lane = take_no(&in);
    return record_done(&in);
}

void gate_row_encode(const gate_row_t *self, buf_t *to)
{
    uint8_t *at = be_put_u8(record_begin(to, 32), self->kind);
    at = put_varint(at, self->subject);
    record_end(to, put_varint(at, self->waiting));
}

bool gate_row_decode(gate_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (gate_row_t){ .kind = reader_u8(&in) };
    self->subject = take_no(&in);
    self->waiting = take_no(&in);
    return record_done(&in);
}

/* ---- lane -------------------------------------------------------------------------------------
 */
rec_key_t key_u32(uint32_t value)
{
    rec_key_t key;
    key_done(&key, be_put_u32(key.at, value));
    return key;
}

void lane_row_encode(const lane_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 64 + self->target.len);
    at = be_put_u8(at, self->band);
    at = be_put_u8(at, self->target_kind);
    at = put_varint(at, self->queue);
    at = put_varint(at, self->type);
    at = put_varint(at, self->waiting);
    record_end(to, put_slice(at, self->target));
}

bool lane_row_decode(lane_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (lane_row_t){ .band = reader_u8(&in) };
    self->target_kind = reader_u8(&in);
    self->queue = take_no(&in);
    self->type = take_no(&in);
    self->waiting = take_no(&in);
    self->target = take_slice(&in);
    return record_done(&in) && self->band <= BAND_LATE && self->target_kind <= TARGET_HASH;
}

/* ---- try --------------------------------------------------------------------------------------
 */
rec_key_t key_try(uint64_t n, uint64_t token)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u64(key.at, n), token));
    return key;
}

void try_row_encode(const try_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 96 + self->message.len);
    at = be_put_u8(at, self->outcome);
    at = be_put_u8(at, self->signal);
    at = be_put_u8(at, self->flags);
    at = be_put_u16(at, (uint16_t)self->exit_code);
    at = be_put_i64(at, self->start_wall_us);
    at = be_put_i64(at, self->end_wall_us);
    at = put_varint(at, self->attempt);
    at = put_varint(at, self->executor);
    at = put_signed(at, self->cpu_us);
    at = put_signed(at, self->memory_bytes);
    record_end(to, put_slice(at, self->message));
}

bool try_row_decode(try_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (try_row_t){ .outcome = reader_u8(&in) };
    self->signal = reader_u8(&in);
    self->flags = reader_u8(&in);
    self->exit_code = (int16_t)reader_u16(&in);
    self->start_wall_us = reader_i64(&in);
    self->end_wall_us = reader_i64(&in);
    self->attempt = (uint16_t)take_bounded(&in, UINT16_MAX);
    self->executor = take_no(&in);
    self->cpu_us = take_signed(&in);
    self->memory_bytes = take_signed(&in);
    self->message = take_slice(&in);
    return record_done(&in);
}

/* ---- uniq -------------------------------------------------------------------------------------
 */
rec_key_t key_uniq(uint8_t scope, uint32_t type, slice_t text)
{
    rec_key_t key;
    uint8_t *at = be_put_u32(be_put_u8(key.at, scope), type);
    key_done(&key, put_key_text(&key, at, text));
    return key;
}

void uniq_row_encode(uint64_t n, buf_t *to)
{
    record_end(to, be_put_u64(record_begin(to, 8), n));
}

bool uniq_row_decode(uint64_t *n, slice_t from)
{
    reader_t in = record_read(from);
    *n = reader_u64(&in);
    return record_done(&in);
}

/* ---- jrn: version, count u16, entries -----------------------------------------------------------
 */
/* Entry: event u8 (high bit: attempt and aux follow), subject and milliseconds as signed
 * differences to the entry before, [attempt, aux]. */
enum { ENTRY_LONG = 0x80, ENTRY_MAX = 1 + 4 * VARINT_MAX, JOURNAL_HEAD = 3 };

const char *journal_event_text(uint8_t event)
{
    switch (event) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        JOURNAL_EVENTS(X)
#undef X
    default:
        return NULL;
    }
}

void journal_pack_begin(journal_pack_t *self, uint64_t first_seq)
{
    self->first_seq = first_seq;
    self->last_subject = 0;
    self->last_ms = 0;
    self->count = 0;
    be_put_u16(be_put_u8(self->at, RECORD_VERSION), 0);
    self->len = JOURNAL_HEAD;
}

bool journal_pack_add(journal_pack_t *self, const journal_entry_t *entry)
{
    CHECK(entry->event > 0 && entry->event < ENTRY_LONG);
    CHECK(entry->seq == self->first_seq + self->count);
    if (self->len + ENTRY_MAX > sizeof self->at) return false;
    bool is_long = entry->attempt || entry->aux;
    int64_t ms = entry->wall_us / 1000;
    uint8_t *at =
        be_put_u8(self->at + self->len, (uint8_t)(entry->event | (is_long ? ENTRY_LONG : 0)));
    at = put_signed(at, (int64_t)(entry->subject - self->last_subject));
    at = put_signed(at, (int64_t)((uint64_t)ms - (uint64_t)self->last_ms));
    if (is_long) at = put_varint(put_varint(at, entry->attempt), entry->aux);
    self->len = (size_t)(at - self->at);
    self->last_subject = entry->subject;
    self->last_ms = ms;
    self->count++;
    be_put_u16(self->at + 1, (uint16_t)self->count);
    return true;
}

bool journal_unpack_begin(journal_unpack_t *self, uint64_t first_seq, slice_t row)
{
    *self = (journal_unpack_t){ .in = record_read(row), .seq = first_seq };
    self->left = reader_u16(&self->in);
    if (self->left == 0) self->in.bad = true;
    return !self->in.bad;
}

bool journal_unpack_next(journal_unpack_t *self, journal_entry_t *entry)
{
    if (self->left == 0) {
        if (self->in.at != self->in.end) self->in.bad = true;
        return false;
    }
    uint8_t event = reader_u8(&self->in);
    self->last_subject += (uint64_t)take_signed(&self->in);
    self->last_ms = (int64_t)((uint64_t)self->last_ms + (uint64_t)take_signed(&self->in));
    *entry = (journal_entry_t){ .seq = self->seq, .event = event & (ENTRY_LONG - 1) };
    entry->subject = self->last_subject;
    if (event & ENTRY_LONG) {
        entry->attempt = take_no(&self->in);
        entry->aux = take_varint(&self->in);
    }
    if (entry->event == 0 || __builtin_mul_overflow(self->last_ms, 1000, &entry->wall_us))
        self->in.bad = true;
    self->left--;
    self->seq++;
    return !self->in.bad;
}

/* ---- block, count -----------------------------------------------------------------------------
 */
void block_row_encode(const block_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 12 * 3 + 4 * 8);
    for (size_t i = 0; i < ARRAY_LEN(self->counts); i++)
        at = put_varint(at, self->counts[i]);
    at = be_put_i64(at, self->created_min_us);
    at = be_put_i64(at, self->created_max_us);
    at = be_put_i64(at, self->end_min_us);
    at = be_put_i64(at, self->end_max_us);
    record_end(to, at);
}

bool block_row_decode(block_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (block_row_t){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(self->counts); i++)
        self->counts[i] = (uint16_t)take_bounded(&in, UINT16_MAX);
    self->created_min_us = reader_i64(&in);
    self->created_max_us = reader_i64(&in);
    self->end_min_us = reader_i64(&in);
    self->end_max_us = reader_i64(&in);
    return record_done(&in);
}

rec_key_t key_kind_no(uint8_t kind, uint32_t no)
{
    rec_key_t key;
    key_done(&key, be_put_u32(be_put_u8(key.at, kind), no));
    return key;
}

void count_row_encode(const uint64_t counts[12], buf_t *to)
{
    uint8_t *at = record_begin(to, 12 * VARINT_MAX);
    for (size_t i = 0; i < 12; i++)
        at = put_varint(at, counts[i]);
    record_end(to, at);
}

bool count_row_decode(uint64_t counts[12], slice_t from)
{
    reader_t in = record_read(from);
    for (size_t i = 0; i < 12; i++)
        counts[i] = take_varint(&in);
    return record_done(&in);
}

/* ---- names, reg, zone -------------------------------------------------------------------------
 */
rec_key_t key_name(enum name_kind kind, slice_t text)
{
    rec_key_t key;
    key_done(&key, put_key_text(&key, be_put_u8(key.at, (uint8_t)kind), text));
    return key;
}

void name_row_encode(uint32_t no, buf_t *to)
{
    record_end(to, be_put_u32(record_begin(to, 4), no));
}

bool name_row_decode(uint32_t *no, slice_t from)
{
    reader_t in = record_read(from);
    *no = reader_u32(&in);
    return record_done(&in);
}

void reg_row_encode(const reg_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 64 + self->name.len + self->reason.len);
    at = be_put_u8(at, self->flags);
    at = be_put_i64(at, self->since_wall_us);
    at = be_put_u64(at, self->value);
    at = put_slice(at, self->name);
    record_end(to, put_slice(at, self->reason));
}

bool reg_row_decode(reg_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (reg_row_t){ .flags = reader_u8(&in) };
    self->since_wall_us = reader_i64(&in);
    self->value = reader_u64(&in);
    self->name = take_slice(&in);
    self->reason = take_slice(&in);
    return record_done(&in);
}

rec_key_t key_zone(uint64_t hash, uint16_t part)
{
    rec_key_t key;
    key_done(&key, be_put_u16(be_put_u64(key.at, hash), part));
    return key;
}

/* ---- calendar ---------------------------------------------------------------------------------
 */
rec_key_t key_calendar_part(uint64_t hash, uint16_t part)
{
    rec_key_t key;
    key_done(&key, be_put_u16(be_put_u64(be_put_u8(key.at, CALENDAR_PART), hash), part));
    return key;
}

rec_key_t key_calendar_user(uint32_t calendar, uint32_t schedule)
{
    rec_key_t key;
    key_done(&key, be_put_u32(be_put_u32(be_put_u8(key.at, CALENDAR_USER), calendar), schedule));
    return key;
}

bool calendar_user_key_decode(slice_t key, uint32_t *calendar, uint32_t *schedule)
{
    if (key.len != 9 || key.at[0] != CALENDAR_USER) return false;
    *calendar = be_u32(key.at + 1);
    *schedule = be_u32(key.at + 5);
    return true;
}

void calendar_user_encode(buf_t *to)
{
    record_end(to, record_begin(to, 0));
}

/* ---- sched ------------------------------------------------------------------------------------
 */
rec_key_t key_sched(uint32_t schedule, uint8_t kind, uint64_t number)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u8(be_put_u32(key.at, schedule), kind), number));
    return key;
}

void sched_row_encode(const sched_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 128 + self->name.len + self->reason.len);
    at = be_put_bytes(at, self->uid, sizeof self->uid);
    at = be_put_u64(at, self->revision);
    at = be_put_u8(at, self->flags);
    at = be_put_i64(at, self->created_wall_us);
    at = be_put_i64(at, self->edited_wall_us);
    at = be_put_i64(at, self->paused_wall_us);
    at = put_varint(at, self->principal);
    at = put_varint(at, self->definition_len);
    at = put_slice(at, self->name);
    record_end(to, put_slice(at, self->reason));
}

bool sched_row_decode(sched_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (sched_row_t){ 0 };
    take_array(&in, self->uid, sizeof self->uid);
    self->revision = reader_u64(&in);
    self->flags = reader_u8(&in);
    self->created_wall_us = reader_i64(&in);
    self->edited_wall_us = reader_i64(&in);
    self->paused_wall_us = reader_i64(&in);
    self->principal = take_no(&in);
    self->definition_len = take_no(&in);
    self->name = take_slice(&in);
    self->reason = take_slice(&in);
    return record_done(&in);
}

/* Version 1 ends with the exclusions; it is still written where there is no more to say. */
enum { RULE_VERSION = 2 };

static size_t also_bytes(const sched_rule_row_t *self)
{
    size_t bytes = 0;
    for (size_t i = 0; i < self->also_n; i++)
        bytes += VARINT_MAX + self->also[i].len;
    return bytes;
}

void sched_rule_row_encode(const sched_rule_row_t *self, buf_t *to)
{
    uint8_t *at =
        record_begin(to, 64 + 5 * VARINT_MAX + self->rule.len + self->zone.len +
                             self->exclusions.len + also_bytes(self) + 8 * self->calendars_n);
    at = be_put_u64(at, self->zone_hash);
    at = be_put_i64(at, self->jitter_us);
    at = be_put_i64(at, self->from_us);
    at = be_put_i64(at, self->to_us);
    at = put_slice(at, self->rule);
    at = put_slice(at, self->zone);
    at = put_slice(at, self->exclusions);
    if (self->also_n || self->calendars_n || self->after_us) {
        to->at[to->len] = RULE_VERSION;
        at = be_put_i64(at, self->after_us);
        at = put_varint(at, self->also_n);
        for (size_t i = 0; i < self->also_n; i++)
            at = put_slice(at, self->also[i]);
        at = put_varint(at, self->calendars_n);
        for (size_t i = 0; i < self->calendars_n; i++)
            at = be_put_u64(at, self->calendars[i]);
    }
    record_end(to, at);
}

static void take_rule_tail(reader_t *in, sched_rule_row_t *self)
{
    self->after_us = reader_i64(in);
    uint64_t also = take_varint(in);
    if (also > ARRAY_LEN(self->also)) in->bad = true;
    while (!in->bad && self->also_n < also)
        self->also[self->also_n++] = take_slice(in);
    uint64_t calendars = take_varint(in);
    if (calendars > ARRAY_LEN(self->calendars)) in->bad = true;
    while (!in->bad && self->calendars_n < calendars)
        self->calendars[self->calendars_n++] = reader_u64(in);
}

bool sched_rule_row_decode(sched_rule_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    bool more = from.len > 0 && from.at[0] == RULE_VERSION;
    if (more) in.bad = false;
    *self = (sched_rule_row_t){ .zone_hash = reader_u64(&in) };
    self->jitter_us = reader_i64(&in);
    self->from_us = reader_i64(&in);
    self->to_us = reader_i64(&in);
    self->rule = take_slice(&in);
    self->zone = take_slice(&in);
    self->exclusions = take_slice(&in);
    if (more) take_rule_tail(&in, self);
    return record_done(&in);
}

/* ---- ledger, scur -----------------------------------------------------------------------------
 */
enum { EXTENT_MAX = 5 * 8 + 2 + 3 * VARINT_MAX };

const char *verdict_text(uint8_t verdict)
{
    switch (verdict) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        VERDICTS(X)
#undef X
    default:
        return "";
    }
}

const char *verdict_reason_text(uint8_t reason)
{
    switch (reason) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        VERDICT_REASONS(X)
#undef X
    default:
        return "";
    }
}

rec_key_t key_ledger(uint32_t schedule, uint16_t range, int64_t from_us)
{
    rec_key_t key;
    key_done(&key, be_put_i64(be_put_u16(be_put_u32(key.at, schedule), range), from_us));
    return key;
}

bool ledger_key_decode(slice_t key, uint32_t *schedule, uint16_t *range, int64_t *from_us)
{
    reader_t in = reader(key);
    *schedule = reader_u32(&in);
    *range = reader_u16(&in);
    *from_us = reader_i64(&in);
    return record_done(&in);
}

static uint8_t *put_extent(uint8_t *at, const extent_t *self)
{
    at = be_put_u8(at, self->verdict);
    at = be_put_u8(at, self->reason);
    at = be_put_i64(at, self->from_us);
    at = be_put_i64(at, self->to_us);
    at = be_put_i64(at, self->decided_first_us);
    at = be_put_i64(at, self->decided_last_us);
    at = be_put_u64(at, self->zone_hash);
    at = put_varint(at, self->count);
    at = put_varint(at, self->revision);
    return put_varint(at, self->aux);
}

static void take_extent(reader_t *in, extent_t *self)
{
    self->verdict = reader_u8(in);
    self->reason = reader_u8(in);
    self->from_us = reader_i64(in);
    self->to_us = reader_i64(in);
    self->decided_first_us = reader_i64(in);
    self->decided_last_us = reader_i64(in);
    self->zone_hash = reader_u64(in);
    self->count = take_varint(in);
    self->revision = take_varint(in);
    self->aux = take_varint(in);
    if (self->verdict < VERDICT_FIRED || self->verdict > VERDICT_SUPERSEDED || self->count == 0 ||
        self->from_us > self->to_us)
        in->bad = true;
}

void extent_encode(const extent_t *self, buf_t *to)
{
    record_end(to, put_extent(record_begin(to, EXTENT_MAX), self));
}

bool extent_decode(extent_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (extent_t){ 0 };
    take_extent(&in, self);
    return record_done(&in);
}

/* What stands behind the numbers of a cursor. */
enum { SCUR_EXTENT = 1, SCUR_ELSEWHERE = 2, SCUR_WARNED = 4, SCUR_ZONE = 8, SCUR_DUE = 16 };

void scur_row_encode(const scur_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 5 * 8 + 10 * VARINT_MAX + 1 + EXTENT_MAX);
    at = be_put_i64(at, self->cursor_us);
    at = be_put_i64(at, self->floor_us);
    at = be_put_i64(at, self->armed_us);
    at = be_put_i64(at, self->last_fired_us);
    at = put_varint(at, self->revision);
    at = put_varint(at, self->running);
    at = put_varint(at, self->waiting);
    at = put_varint(at, self->admitted);
    at = put_varint(at, self->fired);
    at = put_varint(at, self->missed);
    at = put_varint(at, self->number);
    at = put_varint(at, self->last_n);
    at = put_varint(at, self->leased_n);
    at = be_put_u8(
        at, (uint8_t)((self->open.count ? SCUR_EXTENT : 0) |
                      (self->elsewhere ? SCUR_ELSEWHERE : 0) | (self->warned ? SCUR_WARNED : 0) |
                      (self->zone_us ? SCUR_ZONE : 0) | (self->due_known ? SCUR_DUE : 0)));
    if (self->open.count) at = put_extent(at, &self->open);
    if (self->elsewhere) at = put_varint(at, self->elsewhere);
    if (self->zone_us) at = be_put_i64(at, self->zone_us);
    if (self->due_known) {
        at = be_put_i64(at, self->due_us);
        at = put_varint(at, (uint64_t)self->jitter_us);
    }
    record_end(to, at);
}

bool scur_row_decode(scur_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (scur_row_t){ .cursor_us = reader_i64(&in) };
    self->floor_us = reader_i64(&in);
    self->armed_us = reader_i64(&in);
    self->last_fired_us = reader_i64(&in);
    self->revision = take_varint(&in);
    self->running = take_no(&in);
    self->waiting = take_no(&in);
    self->admitted = take_no(&in);
    self->fired = take_varint(&in);
    self->missed = take_varint(&in);
    self->number = take_varint(&in);
    self->last_n = take_varint(&in);
    self->leased_n = take_varint(&in);
    uint8_t more = reader_u8(&in);
    if (more & SCUR_EXTENT) take_extent(&in, &self->open);
    if (more & SCUR_ELSEWHERE) self->elsewhere = take_no(&in);
    self->warned = (more & SCUR_WARNED) != 0;
    if (more & SCUR_ZONE) self->zone_us = reader_i64(&in);
    if (more & SCUR_DUE) {
        self->due_known = true;
        self->due_us = reader_i64(&in);
        self->jitter_us = (int64_t)take_varint(&in);
    }
    return record_done(&in) && more < 2 * SCUR_DUE;
}

/* ---- range ------------------------------------------------------------------------------------
 */

const char *range_state_text(uint8_t state)
{
    switch (state) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        RANGE_STATES(X)
#undef X
    default:
        return "";
    }
}

rec_key_t key_range(uint32_t schedule, uint16_t range)
{
    rec_key_t key;
    key_done(&key, be_put_u16(be_put_u32(key.at, schedule), range));
    return key;
}

bool range_key_decode(slice_t key, uint32_t *schedule, uint16_t *range)
{
    reader_t in = reader(key);
    *schedule = reader_u32(&in);
    *range = reader_u16(&in);
    return record_done(&in) && *range > 0;
}

void range_row_encode(const range_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 5 + 6 * 8 + 5 * VARINT_MAX + EXTENT_MAX);
    at = be_put_u8(at, self->state);
    at = be_put_u8(at, self->flags);
    at = be_put_u8(at, self->cause);
    at = be_put_u8(at, self->overlap);
    at = be_put_i64(at, self->from_us);
    at = be_put_i64(at, self->to_us);
    at = be_put_i64(at, self->low_us);
    at = be_put_i64(at, self->high_us);
    at = be_put_i64(at, self->made_wall_us);
    at = be_put_i64(at, self->ended_wall_us);
    at = put_varint(at, self->rate);
    at = put_varint(at, self->revision);
    at = put_varint(at, self->fired);
    at = put_varint(at, self->skipped);
    at = put_varint(at, self->failed);
    at = be_put_u8(at, self->open.count ? 1 : 0);
    record_end(to, self->open.count ? put_extent(at, &self->open) : at);
}

bool range_row_decode(range_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (range_row_t){ .state = reader_u8(&in) };
    self->flags = reader_u8(&in);
    self->cause = reader_u8(&in);
    self->overlap = reader_u8(&in);
    self->from_us = reader_i64(&in);
    self->to_us = reader_i64(&in);
    self->low_us = reader_i64(&in);
    self->high_us = reader_i64(&in);
    self->made_wall_us = reader_i64(&in);
    self->ended_wall_us = reader_i64(&in);
    self->rate = take_no(&in);
    self->revision = take_varint(&in);
    self->fired = take_varint(&in);
    self->skipped = take_varint(&in);
    self->failed = take_varint(&in);
    uint8_t open = reader_u8(&in);
    if (open == 1) take_extent(&in, &self->open);
    return record_done(&in) && open <= 1 && self->state >= RANGE_OPEN &&
           self->state <= RANGE_CANCELLED && self->flags <= (RANGE_NEWEST | RANGE_STOP) &&
           (self->cause == CAUSE_LIVE || self->cause == CAUSE_BACKFILL) &&
           self->from_us <= self->low_us && self->low_us <= self->high_us &&
           self->high_us <= self->to_us;
}

void completion_key(const uint8_t secret[32], uint8_t key[16])
{
    static const char use[] = "completion token";
    crypto_generichash(key, 16, (const uint8_t *)use, sizeof use - 1, secret, 32);
}

void completion_make(const uint8_t key[16], uint64_t n, uint64_t token,
                     uint8_t bytes[LIMIT_COMPLETION])
{
    uint8_t *end = be_put_u64(be_put_u64(bytes, n), token);
    crypto_shorthash_siphashx24(end, bytes, (unsigned long long)(end - bytes), key);
}

bool completion_read(const uint8_t key[16], const uint8_t bytes[LIMIT_COMPLETION], uint64_t *n,
                     uint64_t *token)
{
    uint8_t own[LIMIT_COMPLETION];
    *n = be_u64(bytes);
    *token = be_u64(bytes + 8);
    completion_make(key, *n, *token, own);
    return sodium_memcmp(own, bytes, sizeof own) == 0;
}

void firing_id(const uint8_t secret[32], const uint8_t uid[16], int64_t instant_us, uint8_t cause,
               uint64_t number, uint8_t id[16])
{
    uint8_t text[16 + 8 + 1 + 8], hash[16];
    uint8_t *at = be_put_bytes(text, uid, 16);
    at = be_put_u64(be_put_u8(be_put_i64(at, instant_us), cause), number);
    CHECK(at == text + sizeof text);
    crypto_generichash(hash, sizeof hash, text, sizeof text, secret, 32);
    uint64_t ms = instant_us > 0 ? (uint64_t)instant_us / 1000 : 0;
    at = be_put_u16(id, (uint16_t)(ms >> 32));
    be_put_bytes(be_put_u32(at, (uint32_t)ms), hash, 10);
}

/* ---- reply, replyage --------------------------------------------------------------------------
 */
rec_key_t key_reply(uint32_t principal, const uint8_t request_id[16])
{
    rec_key_t key;
    key_done(&key, be_put_bytes(be_put_u32(key.at, principal), request_id, 16));
    return key;
}

rec_key_t key_reply_age(uint32_t principal, int64_t order_us, const uint8_t request_id[16])
{
    rec_key_t key;
    uint8_t *at = be_put_i64(be_put_u32(key.at, principal), order_us);
    key_done(&key, be_put_bytes(at, request_id, 16));
    return key;
}

void reply_row_encode(int64_t order_us, slice_t reply, buf_t *to)
{
    uint8_t *at = be_put_i64(record_begin(to, 8 + VARINT_MAX + reply.len), order_us);
    record_end(to, put_slice(at, reply));
}

bool reply_row_decode(int64_t *order_us, slice_t *reply, slice_t from)
{
    reader_t in = record_read(from);
    *order_us = reader_i64(&in);
    *reply = take_slice(&in);
    return record_done(&in);
}

/* ---- watermark ----------------------------------------------------------------------------------
 */
rec_key_t key_watermark(const uint8_t scope[16])
{
    rec_key_t key;
    key_done(&key, be_put_bytes(key.at, scope, 16));
    return key;
}

void watermark_row_encode(const watermark_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 1 + 2 * VARINT_MAX + self->value.len);
    record_end(to, put_slice(put_varint(be_put_u8(at, self->kind), self->created), self->value));
}

bool watermark_row_decode(watermark_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    self->kind = reader_u8(&in);
    self->created = take_varint(&in);
    self->value = take_slice(&in);
    return record_done(&in) && self->kind >= SCOPE_TASK && self->kind <= SCOPE_NAMED;
}

void scope_id(const uint8_t secret[32], scope_kind_t kind, slice_t name, uint8_t scope[16])
{
    static const uint8_t use[] = "pawl producer scope";
    uint8_t number = (uint8_t)kind;
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret, 32, 16);
    crypto_generichash_update(&state, use, sizeof use);
    crypto_generichash_update(&state, &number, 1);
    crypto_generichash_update(&state, name.at, name.len);
    crypto_generichash_final(&state, scope, 16);
}

void produced_id(const uint8_t secret[32], const uint8_t scope[16], const uint8_t time[6],
                 bool content, slice_t identity, uint8_t id[16])
{
    uint8_t kind = content, hash[16];
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret, 32, sizeof hash);
    crypto_generichash_update(&state, scope, 16);
    crypto_generichash_update(&state, &kind, 1);
    crypto_generichash_update(&state, identity.at, identity.len);
    crypto_generichash_final(&state, hash, sizeof hash);
    be_put_bytes(be_put_bytes(id, time, 6), hash, 10);
}

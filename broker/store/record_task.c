/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record_task.c - the tables that follow a task: its spec, where it stands, who runs
 * it, what wakes it. See record.h. */
#include "broker/store/record_inside.h"

#include <sodium.h>

/* ---- spec ------------------------------------------------------------------------------------ */
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

/* ---- part ------------------------------------------------------------------------------------ */
rec_key_t key_part(uint64_t n, uint8_t kind, uint64_t token, uint16_t part)
{
    rec_key_t key;
    uint8_t *at = be_put_u8(be_put_u64(key.at, n), kind);
    key_done(&key, be_put_u16(be_put_u64(at, token), part));
    return key;
}

/* ---- state: 42 bytes, then what the tail mask (bit number = TAIL_*) announces, in its order -- */
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

/* ---- ready ----------------------------------------------------------------------------------- */
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

/* ---- run ------------------------------------------------------------------------------------- */
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

/* ---- timer ----------------------------------------------------------------------------------- */
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

/* ---- park, gate ------------------------------------------------------------------------------ */
void gate_of_schedule(uint32_t schedule, uint8_t gate[16])
{
    memset(gate, 0, 16);
    gate[0] = GATE_OVERLAP;
    be_put_u32(gate + 12, schedule);
}

void gate_of_range(uint32_t schedule, uint16_t range, uint8_t gate[16])
{
    gate_of_schedule(schedule, gate);
    gate[0] = GATE_RANGE;
    be_put_u16(gate + 10, range);
}

void gate_of_scope(const uint8_t secret[32], uint8_t scope, slice_t text, uint8_t gate[16])
{
    static const uint8_t use[] = "pawl overlap scope";
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret, 32, 16);
    crypto_generichash_update(&state, use, sizeof use);
    crypto_generichash_update(&state, &scope, 1);
    crypto_generichash_update(&state, text.at, text.len);
    crypto_generichash_final(&state, gate, 16);
    gate[0] = GATE_SCOPE;
}

void gate_of_task(const spec_row_t *spec, uint8_t gate[16])
{
    if (spec->flags & SPEC_FIRING && spec->firing & FIRING_GATE)
        memcpy(gate, spec->gate, 16);
    else
        gate_of_schedule(spec->schedule, gate);
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
    uint8_t *at = be_put_u8(record_begin(to, 1 + 5 * VARINT_MAX), self->kind);
    at = put_varint(at, self->subject);
    at = put_varint(at, self->waiting);
    if (self->kind != GATE_OVERLAP) {
        at = put_varint(at, self->admitted);
        at = put_varint(at, self->running);
        at = put_varint(at, self->leased_n);
    }
    record_end(to, at);
}

bool gate_row_decode(gate_row_t *self, slice_t from)
{
    reader_t in = record_read(from);
    *self = (gate_row_t){ .kind = reader_u8(&in) };
    self->subject = take_no(&in);
    self->waiting = take_no(&in);
    if (self->kind != GATE_OVERLAP) {
        self->admitted = take_no(&in);
        self->running = take_no(&in);
        self->leased_n = take_varint(&in);
    }
    return record_done(&in) && self->kind >= GATE_OVERLAP && self->kind <= GATE_RANGE;
}

/* ---- lane ------------------------------------------------------------------------------------ */
rec_key_t key_u32(uint32_t value)
{
    rec_key_t key;
    key_done(&key, be_put_u32(key.at, value));
    return key;
}

enum { LANE_VERSION = 2 };

void lane_row_encode(const lane_row_t *self, buf_t *to)
{
    buf_need(to, 64 + self->target.len);
    uint8_t *at = be_put_u8(to->at + to->len, self->counted ? LANE_VERSION : RECORD_VERSION);
    at = be_put_u8(at, self->band);
    at = be_put_u8(at, self->target_kind);
    at = put_varint(at, self->queue);
    at = put_varint(at, self->type);
    at = put_varint(at, self->waiting);
    at = put_slice(at, self->target);
    record_end(to, self->counted ? put_varint(at, self->tasks) : at);
}

bool lane_row_decode(lane_row_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, LANE_VERSION, &version);
    *self = (lane_row_t){ .band = reader_u8(&in), .counted = version == LANE_VERSION };
    self->target_kind = reader_u8(&in);
    self->queue = take_no(&in);
    self->type = take_no(&in);
    self->waiting = take_no(&in);
    self->target = take_slice(&in);
    if (self->counted) self->tasks = take_varint(&in);
    return record_done(&in) && self->band <= BAND_LATE && self->target_kind <= TARGET_HASH;
}

/* ---- try ------------------------------------------------------------------------------------- */
rec_key_t key_try(uint64_t n, uint64_t token)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u64(key.at, n), token));
    return key;
}

enum { TRY_POLLED = 16 }; /* in the flags: `polls` follows the memory */

void try_row_encode(const try_row_t *self, buf_t *to)
{
    uint8_t polled = self->polls ? TRY_POLLED : 0;
    uint8_t *at = record_begin(to, 96 + self->message.len);
    at = be_put_u8(at, self->outcome);
    at = be_put_u8(at, self->signal);
    at = be_put_u8(at, (uint8_t)((self->flags & ~TRY_POLLED) | polled));
    at = be_put_u16(at, (uint16_t)self->exit_code);
    at = be_put_i64(at, self->start_wall_us);
    at = be_put_i64(at, self->end_wall_us);
    at = put_varint(at, self->attempt);
    at = put_varint(at, self->executor);
    at = put_signed(at, self->cpu_us);
    at = put_signed(at, self->memory_bytes);
    if (polled) at = put_varint(at, self->polls);
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
    if (self->flags & TRY_POLLED) {
        self->flags &= (uint8_t)~TRY_POLLED;
        self->polls = take_no(&in);
        in.bad |= self->polls == 0;
    }
    self->message = take_slice(&in);
    return record_done(&in);
}

/* ---- uniq ------------------------------------------------------------------------------------ */
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

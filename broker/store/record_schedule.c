/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record_schedule.c - calendars, schedules, their ledgers, cursors and ranges. See
 * record.h. */
#include "broker/store/record_inside.h"

#include <sodium.h>

/* ---- calendar -------------------------------------------------------------------------------- */
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

/* ---- sched ----------------------------------------------------------------------------------- */
rec_key_t key_sched(uint32_t schedule, uint8_t kind, uint64_t number)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u8(be_put_u32(key.at, schedule), kind), number));
    return key;
}

/* Version 1 ends with the reason; it is still written where there never was a range. */
enum { SCHED_VERSION_RANGES = 2 };

static uint8_t *put_range_list(uint8_t *at, const range_list_t *self)
{
    at = put_varint(at, self->last);
    at = be_put_u8(at, (uint8_t)self->n);
    for (size_t i = 0; i < self->n; i++)
        at = be_put_u16(at, self->open[i]);
    return at;
}

static void take_range_list(reader_t *in, range_list_t *self)
{
    self->known = true;
    self->last = take_range(in);
    size_t n = reader_u8(in);
    if (n > ARRAY_LEN(self->open)) in->bad = true;
    for (uint16_t before = 0; !in->bad && self->n < n; before = self->open[self->n++]) {
        self->open[self->n] = reader_u16(in);
        if (self->open[self->n] <= before || self->open[self->n] > self->last) in->bad = true;
    }
}

void sched_row_encode(const sched_row_t *self, buf_t *to)
{
    bool ranges = self->ranges.known && self->ranges.last;
    size_t list_max = VARINT_MAX + 1 + sizeof self->ranges.open;
    uint8_t *at = record_begin(to, 128 + self->name.len + self->reason.len + list_max);
    if (ranges) to->at[to->len] = SCHED_VERSION_RANGES;
    at = be_put_bytes(at, self->uid, sizeof self->uid);
    at = be_put_u64(at, self->revision);
    at = be_put_u8(at, self->flags);
    at = be_put_i64(at, self->created_wall_us);
    at = be_put_i64(at, self->edited_wall_us);
    at = be_put_i64(at, self->paused_wall_us);
    at = put_varint(at, self->principal);
    at = put_varint(at, self->definition_len);
    at = put_slice(at, self->name);
    at = put_slice(at, self->reason);
    record_end(to, ranges ? put_range_list(at, &self->ranges) : at);
}

bool sched_row_decode(sched_row_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, SCHED_VERSION_RANGES, &version);
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
    if (version == SCHED_VERSION_RANGES) take_range_list(&in, &self->ranges);
    if (!(self->flags & SCHEDULE_RANGES)) self->ranges.known = true;
    return record_done(&in);
}

/* Version 1 ends with the exclusions; it is still written where there is no more to say. */
enum { RULE_VERSION = 2, RULE_VERSION_BEGUN = 3 };

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
        record_begin(to, 80 + 5 * VARINT_MAX + self->rule.len + self->zone.len +
                             self->exclusions.len + also_bytes(self) + 8 * self->calendars_n);
    at = be_put_u64(at, self->zone_hash);
    at = be_put_i64(at, self->jitter_us);
    at = be_put_i64(at, self->from_us);
    at = be_put_i64(at, self->to_us);
    at = put_slice(at, self->rule);
    at = put_slice(at, self->zone);
    at = put_slice(at, self->exclusions);
    if (self->also_n || self->calendars_n || self->after_us || self->begun) {
        to->at[to->len] = self->begun ? RULE_VERSION_BEGUN : RULE_VERSION;
        at = be_put_i64(at, self->after_us);
        at = put_varint(at, self->also_n);
        for (size_t i = 0; i < self->also_n; i++)
            at = put_slice(at, self->also[i]);
        at = put_varint(at, self->calendars_n);
        for (size_t i = 0; i < self->calendars_n; i++)
            at = be_put_u64(at, self->calendars[i]);
    }
    if (self->begun) at = be_put_i64(be_put_i64(at, self->settled_us), self->begin_us);
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
    uint8_t version;
    reader_t in = record_read_upto(from, RULE_VERSION_BEGUN, &version);
    *self = (sched_rule_row_t){ .zone_hash = reader_u64(&in) };
    self->jitter_us = reader_i64(&in);
    self->from_us = reader_i64(&in);
    self->to_us = reader_i64(&in);
    self->rule = take_slice(&in);
    self->zone = take_slice(&in);
    self->exclusions = take_slice(&in);
    if (version >= RULE_VERSION) take_rule_tail(&in, self);
    self->begun = version == RULE_VERSION_BEGUN;
    if (self->begun) {
        self->settled_us = reader_i64(&in);
        self->begin_us = reader_i64(&in);
    }
    return record_done(&in);
}

/* ---- ledger, scur ---------------------------------------------------------------------------- */
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
enum {
    SCUR_EXTENT = 1,
    SCUR_ELSEWHERE = 2,
    SCUR_WARNED = 4,
    SCUR_ZONE = 8,
    SCUR_DUE = 16,
    SCUR_PARKED = 32
};

void scur_row_encode(const scur_row_t *self, buf_t *to)
{
    uint8_t *at = record_begin(to, 5 * 8 + 11 * VARINT_MAX + 1 + EXTENT_MAX);
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
    at = be_put_u8(at,
                   (uint8_t)((self->open.count ? SCUR_EXTENT : 0) |
                             (self->elsewhere ? SCUR_ELSEWHERE : 0) |
                             (self->warned ? SCUR_WARNED : 0) | (self->zone_us ? SCUR_ZONE : 0) |
                             (self->due_known ? SCUR_DUE : 0) | (self->parked ? SCUR_PARKED : 0)));
    if (self->open.count) at = put_extent(at, &self->open);
    if (self->elsewhere) at = put_varint(at, self->elsewhere);
    if (self->zone_us) at = be_put_i64(at, self->zone_us);
    if (self->due_known) {
        at = be_put_i64(at, self->due_us);
        at = put_varint(at, (uint64_t)self->jitter_us);
    }
    if (self->parked) at = put_varint(at, self->parked);
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
    if (more & SCUR_PARKED) self->parked = take_no(&in);
    return record_done(&in) && more < 2 * SCUR_PARKED;
}

/* ---- range ----------------------------------------------------------------------------------- */

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

/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record_journal.c - what is told and counted of tasks: the journal, blocks, counts.
 * See record.h. */
#include "broker/store/record_inside.h"

/* ---- jrn: version, count u16, entries -------------------------------------------------------- */
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

/* The lower 16 bits of `before` stand above `after` in aux, the others are attempt. */
void journal_edit_put(journal_entry_t *entry, int64_t before_us, int64_t after_us)
{
    const uint64_t most = (UINT64_C(1) << 48) - 1; /* the year 10889 */
    uint64_t before = before_us > 0 ? (uint64_t)before_us / 1000 : 0;
    uint64_t after = after_us > 0 ? (uint64_t)after_us / 1000 : 0;
    if (before > most) before = most;
    if (after > most) after = most;
    entry->attempt = (uint32_t)(before >> 16);
    entry->aux = before << 48 | after;
}

void journal_edit_get(const journal_entry_t *entry, int64_t *before_us, int64_t *after_us)
{
    *before_us = (int64_t)((uint64_t)entry->attempt << 16 | entry->aux >> 48) * 1000;
    *after_us = (int64_t)(entry->aux & ((UINT64_C(1) << 48) - 1)) * 1000;
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

/* ---- block, count ---------------------------------------------------------------------------- */
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

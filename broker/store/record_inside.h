/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record_inside.h - what the encoders and decoders of record_*.c are made from. For
 * those files alone; everybody else reads record.h.
 *
 * Value = version u8, then the fields in the order written in its encoder. Instants and what is
 * looked up by eye are fixed width (big-endian); numbers that are small in practice are varints (7
 * bits a byte, lowest first, as in protobuf); signed ones are zigzag varints; texts are a varint
 * length and bytes. Nothing may be left over at the end of a value, so a truncated row is never
 * taken for a shorter one.
 *
 * put_* write at `to`, which has room (record_begin made it), and return the place behind. take_*
 * read from `in` and mark it bad when the bytes are too few or out of bounds; what they return then
 * is 0 or empty, and record_done says no. */
#ifndef BROKER_STORE_RECORD_INSIDE_H
#define BROKER_STORE_RECORD_INSIDE_H

#include "broker/store/record.h"

enum { VARINT_MAX = 10 };

static inline uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (~(value & 1) + 1));
}

static inline uint8_t *put_signed(uint8_t *to, int64_t value)
{
    return put_varint(to, zigzag(value));
}

static inline uint8_t *put_slice(uint8_t *to, slice_t bytes)
{
    return be_put_bytes(put_varint(to, bytes.len), bytes.at, bytes.len);
}

static inline uint64_t take_varint(reader_t *in)
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
static inline uint64_t take_bounded(reader_t *in, uint64_t most)
{
    uint64_t value = take_varint(in);
    if (value > most) in->bad = true;
    return in->bad ? 0 : value;
}

static inline uint32_t take_no(reader_t *in)
{
    return (uint32_t)take_bounded(in, UINT32_MAX);
}

static inline uint16_t take_range(reader_t *in)
{
    uint32_t range = take_no(in);
    if (range == 0 || range > UINT16_MAX) in->bad = true;
    return (uint16_t)range;
}

static inline int64_t take_signed(reader_t *in)
{
    return unzigzag(take_varint(in));
}

static inline slice_t take_slice(reader_t *in)
{
    uint64_t len = take_varint(in);
    return reader_bytes(in, in->bad ? SIZE_MAX : (size_t)len);
}

static inline void take_array(reader_t *in, uint8_t *to, size_t len)
{
    const uint8_t *at = reader_take(in, len);
    if (at) memcpy(to, at, len);
}

/* Makes room for `most` bytes and writes the version; record_end sets the length. */
static inline uint8_t *record_begin(buf_t *to, size_t most)
{
    buf_need(to, most + 1);
    return be_put_u8(to->at + to->len, RECORD_VERSION);
}

static inline void record_end(buf_t *to, const uint8_t *end)
{
    to->len = (size_t)(end - to->at);
    CHECK(to->len <= to->room);
}

/* Of a row that has had several versions, `newest` the last of them. */
static inline reader_t record_read_upto(slice_t from, uint8_t newest, uint8_t *version)
{
    reader_t in = { from.at, from.at, true };
    *version = 0;
    if (from.len == 0) return in;
    in = reader(from);
    *version = reader_u8(&in);
    if (*version < RECORD_VERSION || *version > newest) in.bad = true;
    return in;
}

static inline reader_t record_read(slice_t from)
{
    uint8_t version;
    return record_read_upto(from, RECORD_VERSION, &version);
}

static inline bool record_done(const reader_t *in)
{
    return !in->bad && in->at == in->end;
}

static inline void key_done(rec_key_t *key, const uint8_t *end)
{
    key->len = (size_t)(end - key->at);
}

/* Appends a text of any length to a key: what does not fit is replaced by a hash, so that different
 * texts keep different keys. Only keys with a hash are KEY_MAX bytes long. */
uint8_t *put_key_text(rec_key_t *key, uint8_t *to, slice_t text);

#endif

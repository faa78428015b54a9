/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record_names.c - what has a name and a number: names, their records, zones. See
 * record.h. */
#include "broker/store/record_inside.h"

/* ---- names, reg, zone ------------------------------------------------------------------------ */
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

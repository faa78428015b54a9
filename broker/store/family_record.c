/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store/family_record.h"
#include "broker/store/record_inside.h"

#include <sodium.h>

/* ---- fam ------------------------------------------------------------------------------------- */

rec_key_t key_fam(uint8_t kind, uint64_t parent)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u8(key.at, kind), parent));
    return key;
}

rec_key_t key_fam_fired(uint32_t schedule, uint64_t parent)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u32(be_put_u8(key.at, FAM_FIRED), schedule), parent));
    return key;
}

bool fam_fired_decode(slice_t key, uint32_t *schedule, uint64_t *parent)
{
    reader_t in = reader(key);
    bool fired = reader_u8(&in) == FAM_FIRED;
    *schedule = reader_u32(&in);
    *parent = reader_u64(&in);
    return fired && record_done(&in);
}

enum { FAM_VERSION = 2 }; /* with passes: only while one is under way */

void fam_row_encode(const fam_row_t *self, buf_t *to)
{
    enum { ROW = 1 + 2 + 2 + 4 * 4 + 2 * 8 + 8 * 4 + 8 + 5 * 8, PASSES = 1 + 8 };
    buf_need(to, ROW + PASSES);
    uint8_t *start = to->at + to->len;
    uint8_t version = self->passes ? FAM_VERSION : RECORD_VERSION;
    uint8_t *at = be_put_u16(be_put_u8(start, version), self->flags);
    at = be_put_u8(be_put_u8(at, self->done), self->offline);
    const uint32_t policy[] = { self->done_count, self->parallel, self->stop_failures,
                                self->stop_percent };
    const uint32_t counts[] = { self->total,  self->open,    self->blocked, self->ok,
                                self->failed, self->expired, self->skipped, self->cancelled };
    const int64_t times[] = { self->started_us, self->pause_until_us, self->look_us,
                              self->join_until_us, self->timer_at };
    for (size_t i = 0; i < ARRAY_LEN(policy); i++)
        at = be_put_u32(at, policy[i]);
    at = be_put_i64(be_put_i64(at, self->offline_us), self->pause_us);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        at = be_put_u32(at, counts[i]);
    at = be_put_u64(at, self->next_n);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        at = be_put_i64(at, times[i]);
    if (self->passes) at = be_put_u64(be_put_u8(at, self->passes), self->pass_n);
    CHECK(at == start + ROW + (self->passes ? PASSES : 0));
    to->len += (size_t)(at - start);
}

bool fam_row_decode(fam_row_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, FAM_VERSION, &version);
    *self = (fam_row_t){ 0 };
    self->flags = reader_u16(&in);
    self->done = reader_u8(&in);
    self->offline = reader_u8(&in);
    uint32_t *const policy[] = { &self->done_count, &self->parallel, &self->stop_failures,
                                 &self->stop_percent };
    uint32_t *const counts[] = { &self->total,  &self->open,    &self->blocked, &self->ok,
                                 &self->failed, &self->expired, &self->skipped, &self->cancelled };
    int64_t *const times[] = { &self->started_us, &self->pause_until_us, &self->look_us,
                               &self->join_until_us, &self->timer_at };
    for (size_t i = 0; i < ARRAY_LEN(policy); i++)
        *policy[i] = reader_u32(&in);
    self->offline_us = reader_i64(&in);
    self->pause_us = reader_i64(&in);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = reader_u32(&in);
    self->next_n = reader_u64(&in);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        *times[i] = reader_i64(&in);
    if (version == FAM_VERSION) {
        self->passes = reader_u8(&in);
        self->pass_n = reader_u64(&in);
        if (self->passes == 0) in.bad = true;
    }
    return record_done(&in);
}

/* ---- kids ------------------------------------------------------------------------------------ */

rec_key_t key_kid(uint64_t parent, uint16_t step, uint64_t n)
{
    rec_key_t key;
    key_done(&key, be_put_u64(be_put_u16(be_put_u64(key.at, parent), step), n));
    return key;
}

bool kid_key_decode(slice_t key, uint64_t *parent, uint16_t *step, uint64_t *n)
{
    reader_t in = reader(key);
    *parent = reader_u64(&in);
    *step = reader_u16(&in);
    *n = reader_u64(&in);
    return record_done(&in);
}

void kid_row_encode(slice_t child_key, buf_t *to)
{
    buf_need(to, 1 + child_key.len);
    be_put_bytes(be_put_u8(to->at + to->len, RECORD_VERSION), child_key.at, child_key.len);
    to->len += 1 + child_key.len;
}

bool kid_row_decode(slice_t *child_key, slice_t from)
{
    reader_t in = record_read(from);
    if (in.bad) return false;
    *child_key = reader_bytes(&in, (size_t)(in.end - in.at));
    return record_done(&in) && child_key->len > 0;
}

void child_id(const uint8_t secret[32], const uint8_t parent[16], slice_t child_key, uint8_t id[16])
{
    uint8_t hash[16];
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret, 32, sizeof hash);
    crypto_generichash_update(&state, parent, 16);
    crypto_generichash_update(&state, child_key.at, child_key.len);
    crypto_generichash_final(&state, hash, sizeof hash);
    be_put_bytes(be_put_bytes(id, parent, 6), hash, 10);
}

/* ---- enrolled -------------------------------------------------------------------------------- */

static uint8_t *put_list(uint8_t *to, slice_t bytes)
{
    return be_put_bytes(be_put_u16(to, (uint16_t)bytes.len), bytes.at, bytes.len);
}

static slice_t take_list(reader_t *in)
{
    size_t len = reader_u16(in);
    return reader_bytes(in, len);
}

enum { ENROLLED_VERSION = 2 }; /* with interpreters */

void enrolled_row_encode(const enrolled_row_t *self, buf_t *to)
{
    size_t most = 1 + 8 + 4 * 2 + self->labels.len + self->types.len + self->queues.len +
                  self->interpreters.len;
    CHECK(self->labels.len <= UINT16_MAX && self->types.len <= UINT16_MAX &&
          self->queues.len <= UINT16_MAX && self->interpreters.len <= UINT16_MAX);
    buf_need(to, most);
    uint8_t *start = to->at + to->len;
    uint8_t version = self->has_interpreters ? ENROLLED_VERSION : RECORD_VERSION;
    uint8_t *at = be_put_i64(be_put_u8(start, version), self->seen_us);
    at = put_list(put_list(put_list(at, self->labels), self->types), self->queues);
    if (self->has_interpreters) at = put_list(at, self->interpreters);
    to->len += (size_t)(at - start);
}

bool enrolled_row_decode(enrolled_row_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, ENROLLED_VERSION, &version);
    *self = (enrolled_row_t){ .has_interpreters = version == ENROLLED_VERSION };
    self->seen_us = reader_i64(&in);
    self->labels = take_list(&in);
    self->types = take_list(&in);
    self->queues = take_list(&in);
    if (self->has_interpreters) self->interpreters = take_list(&in);
    return record_done(&in) && self->types.len % 4 == 0 && self->queues.len % 4 == 0;
}

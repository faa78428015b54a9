/* SPDX-License-Identifier: Apache-2.0
 * broker/store/record.c - keys and values of the tables that belong to no other file: the
 * store itself, ids, completion tokens, replies, watermarks. See record.h; the tasks, schedules,
 * names and the journal have a record_*.c each. tests/unit/broker/test_record.c pins the bytes of
 * every record. */
#include "broker/store/record_inside.h"

#include <sodium.h>

uint8_t *put_key_text(rec_key_t *key, uint8_t *to, slice_t text)
{
    enum { HASH = 32 };
    size_t room = KEY_MAX - (size_t)(to - key->at);
    if (text.len < room) return be_put_bytes(to, text.at, text.len);
    to = be_put_bytes(to, text.at, room - HASH);
    crypto_generichash(to, HASH, text.at, text.len, NULL, 0);
    return to + HASH;
}

/* ---- meta ------------------------------------------------------------------------------------ */
rec_key_t key_u8(uint8_t value)
{
    rec_key_t key;
    key_done(&key, be_put_u8(key.at, value));
    return key;
}

/* Version 2: the flags that stores have from their beginning on. */
enum { META_VERSION = 2, META_NUMBERS_ORDER = 1 };

void meta_static_encode(const meta_static_t *self, buf_t *to)
{
    size_t start = to->len;
    uint8_t *at = record_begin(to, 64);
    at = be_put_u16(at, self->format);
    at = be_put_u16(at, self->generation);
    at = be_put_bytes(at, self->store_id, sizeof self->store_id);
    at = be_put_bytes(at, self->secret, sizeof self->secret);
    at = be_put_i64(at, self->created_wall_us);
    if (self->numbers_order) {
        to->at[start] = META_VERSION;
        at = be_put_u8(at, META_NUMBERS_ORDER);
    }
    record_end(to, at);
}

bool meta_static_decode(meta_static_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, META_VERSION, &version);
    *self = (meta_static_t){ 0 };
    self->format = reader_u16(&in);
    self->generation = reader_u16(&in);
    take_array(&in, self->store_id, sizeof self->store_id);
    take_array(&in, self->secret, sizeof self->secret);
    self->created_wall_us = reader_i64(&in);
    if (version == META_VERSION) {
        self->numbers_order = true;
        if (reader_u8(&in) != META_NUMBERS_ORDER) in.bad = true;
    }
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

/* ---- ids ------------------------------------------------------------------------------------- */
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

/* ---- completion token ------------------------------------------------------------------------ */
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

/* ---- reply, replyage ------------------------------------------------------------------------- */
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

/* ---- watermark ------------------------------------------------------------------------------- */
rec_key_t key_watermark(const uint8_t scope[16])
{
    rec_key_t key;
    key_done(&key, be_put_bytes(key.at, scope, 16));
    return key;
}

/* Version 2 adds whose it is and who wrote it; version 1 knew only the hash. */
enum { WATERMARK_VERSION = 2 };

void watermark_row_encode(const watermark_row_t *self, buf_t *to)
{
    size_t start = to->len;
    uint8_t *at = record_begin(to, 1 + 8 + 6 * VARINT_MAX + self->value.len + self->name.len);
    at = put_slice(put_varint(be_put_u8(at, self->kind), self->created), self->value);
    if (self->revision) {
        to->at[start] = WATERMARK_VERSION;
        at = put_varint(put_varint(at, self->revision), self->no);
        at = be_put_i64(put_varint(put_slice(at, self->name), self->writer), self->changed_wall_us);
    }
    record_end(to, at);
}

bool watermark_row_decode(watermark_row_t *self, slice_t from)
{
    uint8_t version;
    reader_t in = record_read_upto(from, WATERMARK_VERSION, &version);
    *self = (watermark_row_t){ 0 };
    self->kind = reader_u8(&in);
    self->created = take_varint(&in);
    self->value = take_slice(&in);
    if (version == WATERMARK_VERSION) {
        self->revision = take_varint(&in);
        self->no = take_no(&in);
        self->name = take_slice(&in);
        self->writer = take_varint(&in);
        self->changed_wall_us = reader_i64(&in);
        if (self->revision == 0) in.bad = true;
    }
    bool whole = self->name.len == 0 || self->kind == SCOPE_NAMED ||
                 (self->kind == SCOPE_TASK && self->name.len == 16);
    return record_done(&in) && whole && self->kind >= SCOPE_TASK && self->kind <= SCOPE_NAMED;
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

void scope_of_name(const uint8_t secret[32], uint32_t principal, const char *name,
                   uint8_t scope[16])
{
    uint8_t text[4 + LIMIT_LABEL];
    size_t len = strlen(name);
    CHECK(len <= LIMIT_LABEL);
    be_put_bytes(be_put_u32(text, principal), name, len);
    scope_id(secret, SCOPE_NAMED, slice(text, 4 + len), scope);
}

/* A key of at most 18 digits and nothing else. */
static bool key_number(slice_t key, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] < '0' || key.at[i] > '9') return false;
        *number = *number * 10 + (uint64_t)(key.at[i] - '0');
    }
    return key.len > 0 && key.len <= 18;
}

void produced_id(const uint8_t secret[32], const uint8_t scope[16], const uint8_t time[6],
                 bool content, bool in_order, slice_t identity, uint8_t id[16])
{
    uint8_t kind = content, hash[16];
    uint64_t number;
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret, 32, sizeof hash);
    crypto_generichash_update(&state, scope, 16);
    crypto_generichash_update(&state, &kind, 1);
    crypto_generichash_update(&state, identity.at, identity.len);
    crypto_generichash_final(&state, hash, sizeof hash);
    be_put_bytes(be_put_bytes(id, time, 6), hash, 10);
    if (in_order && !content && key_number(identity, &number))
        be_put_u16(id + 6, (uint16_t)(number >> 8));
}

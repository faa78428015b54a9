/* SPDX-License-Identifier: Apache-2.0
 * reply.c - replies to what may not happen twice, remembered for a day or the newest ten thousand
 * of each principal. */
#include "broker/core/inside.h"

enum { FORGET_AT_ONCE = 4 };

/* The reply of an earlier copy, if there is one, goes out again. */
err_t reply_repeat(core_t *core, uint32_t principal, const command_t *command, bool *done)
{
    const Pawl__V1__Request *request = command->request;
    rec_key_t key = key_reply(principal, request->request_id.data);
    slice_t value, bytes;
    int64_t order;
    *done = false;
    err_t err = store_get(core->store, TABLE_reply, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!reply_row_decode(&order, &bytes, value)) return ERR_CORRUPT;
    Pawl__V1__Reply *reply = pawl__v1__reply__unpack(&core->arena->allocator, bytes.len, bytes.at);
    if (reply == NULL) return ERR_CORRUPT;
    reply->seq = request->seq;
    reply->repeated_reply = true;
    out_reply(core, command->conn, OUT_REPLY, reply);
    *done = true;
    return ERR_OK;
}

static err_t forget_oldest(core_t *core, uint32_t principal, uint64_t *kept)
{
    for (unsigned i = 0; i < FORGET_AT_ONCE; i++) {
        rec_key_t from = key_reply_age(principal, INT64_MIN, (const uint8_t[16]){ 0 });
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_replyage, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u32(key.at) != principal)) return ERR_OK;
        TRY(err);
        int64_t order = be_i64(key.at + 4);
        if (*kept <= LIMIT_REPLIES_KEPT && order + 86400 * PAWL_SEC_US > core->now_us)
            return ERR_OK;
        uint8_t id[16];
        memcpy(id, key.at + 12, 16);
        rec_key_t age = key_reply_age(principal, order, id), reply = key_reply(principal, id);
        TRY(del_row(core, TABLE_replyage, &age));
        TRY(del_row(core, TABLE_reply, &reply));
        (*kept)--;
    }
    return ERR_OK;
}

err_t reply_remember(core_t *core, uint32_t principal, const uint8_t id[16], Pawl__V1__Reply *reply)
{
    buf_t bytes = { 0 };
    uint64_t seq = reply->seq;
    reply->seq = 0;
    wire_reply_pack(reply, buf_room, &bytes);
    reply->seq = seq;
    core->scratch.len = 0;
    reply_row_encode(core->now_us, slice(bytes.at, bytes.len), &core->scratch);
    buf_free(&bytes);
    rec_key_t key = key_reply(principal, id), age = key_reply_age(principal, core->now_us, id);
    TRY(put_scratch(core, TABLE_reply, &key, 0));
    TRY(store_put(core->store, TABLE_replyage, key_slice(&age), slice(NULL, 0), 0));
    uint64_t counts[STATUS_KINDS] = { 0 };
    rec_key_t count = key_kind_no(COUNT_REPLIES, principal);
    slice_t value;
    err_t err = store_get(core->store, TABLE_count, key_slice(&count), &value);
    if (err == ERR_OK && !count_row_decode(counts, value)) return ERR_CORRUPT;
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    counts[1]++;
    TRY(forget_oldest(core, principal, &counts[1]));
    core->scratch.len = 0;
    count_row_encode(counts, &core->scratch);
    return put_scratch(core, TABLE_count, &count, 0);
}

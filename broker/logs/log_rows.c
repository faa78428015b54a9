/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/logs/log_rows.h"

enum { VERSION = 1, PIECE_HEAD = 1 + 1 + 8, SIZE_ROW = 1 + 5 * 8, CRC = 4 };
_Static_assert(PIECE_HEAD + LOG_PIECE + CRC <= LIMIT_PART, "a piece fits one overflow page");

const char *const log_tables[LOG_TABLES] = {
    [LOG_TABLE_PIECE] = "piece",
    [LOG_TABLE_SIZE] = "size",
    [LOG_TABLE_AGE] = "age",
};

void log_key(uint8_t key[LOG_KEY], const uint8_t id[16], uint64_t token)
{
    be_put_u64(be_put_bytes(key, id, 16), token);
}

void piece_key(uint8_t key[PIECE_KEY], const uint8_t log[LOG_KEY], uint64_t offset)
{
    be_put_u64(be_put_bytes(key, log, LOG_KEY), offset);
}

void age_key(uint8_t key[AGE_KEY], int64_t begun_us, const uint8_t log[LOG_KEY])
{
    be_put_bytes(be_put_i64(key, begun_us), log, LOG_KEY);
}

static uint32_t crc_of(uint8_t table, slice_t key, const uint8_t *value, size_t len)
{
    uint32_t crc = crc32c(0, &table, 1);
    crc = crc32c(crc, key.at, key.len);
    return crc32c(crc, value, len);
}

err_t log_row_open(uint8_t table, slice_t key, slice_t *row)
{
    if (row->len < 1 + CRC) return ERR_CORRUPT;
    size_t len = row->len - CRC;
    if (be_u32(row->at + len) != crc_of(table, key, row->at, len)) return ERR_CORRUPT;
    if (row->at[0] != VERSION) return ERR_STORE_VERSION;
    *row = slice(row->at + 1, len - 1);
    return ERR_OK;
}

err_t size_parse(const uint8_t log[LOG_KEY], slice_t row, size_row_t *size)
{
    err_t err = log_row_open(LOG_TABLE_SIZE, slice(log, LOG_KEY), &row);
    if (err != ERR_OK) return err;
    reader_t in = reader(row);
    size->total = reader_u64(&in);
    size->hole_from = reader_u64(&in);
    size->hole_to = reader_u64(&in);
    size->begun_us = reader_i64(&in);
    size->last_us = reader_i64(&in);
    return in.bad ? ERR_CORRUPT : ERR_OK;
}

err_t size_put(kv_t *kv, const uint8_t log[LOG_KEY], const size_row_t *size)
{
    uint8_t *room;
    err_t err = kv_put(kv, LOG_TABLE_SIZE, slice(log, LOG_KEY), SIZE_ROW + CRC, 0, &room);
    if (err != ERR_OK) return err;
    uint8_t *to = be_put_u8(room, VERSION);
    to = be_put_u64(to, size->total);
    to = be_put_u64(to, size->hole_from);
    to = be_put_u64(to, size->hole_to);
    to = be_put_i64(to, size->begun_us);
    to = be_put_i64(to, size->last_us);
    be_put_u32(to, crc_of(LOG_TABLE_SIZE, slice(log, LOG_KEY), room, SIZE_ROW));
    return ERR_OK;
}

err_t piece_put(kv_t *kv, const uint8_t log[LOG_KEY], const Pawl__V1__LogChunk *chunk, size_t from,
                size_t len)
{
    uint8_t key[PIECE_KEY], *room;
    piece_key(key, log, chunk->offset + from);
    size_t row = PIECE_HEAD + len;
    err_t err = kv_put(kv, LOG_TABLE_PIECE, slice(key, sizeof key), row + CRC, 0, &room);
    if (err != ERR_OK) return err;
    uint8_t *to = be_put_u8(room, VERSION);
    to = be_put_u8(to, (uint8_t)chunk->stream);
    to = be_put_i64(to, chunk->time_us);
    to = be_put_bytes(to, chunk->data.data + from, len);
    be_put_u32(to, crc_of(LOG_TABLE_PIECE, slice(key, sizeof key), room, row));
    return ERR_OK;
}

bool piece_of(slice_t key, slice_t row, const uint8_t log[LOG_KEY], uint64_t *offset, uint64_t *end)
{
    if (key.len != PIECE_KEY || memcmp(key.at, log, LOG_KEY) != 0 || row.len < PIECE_HEAD + CRC)
        return false;
    *offset = be_u64(key.at + LOG_KEY);
    *end = *offset + row.len - PIECE_HEAD - CRC;
    return true;
}

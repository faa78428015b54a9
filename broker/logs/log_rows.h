/* SPDX-License-Identifier: Apache-2.0
 * broker/logs/log_rows.h - the rows of the logs environment. Numbers big-endian, crc = CRC32C over
 * (table u8, key, value without crc), version 1 first.
 *
 *   piece  id 16, token u64, offset u64 -> ver u8, stream u8, time i64, data (at most PIECE), crc
 *   size   id 16, token u64             -> ver u8, total u64, hole_from u64, hole_to u64,
 *                                          begun i64, last i64, crc
 *   age    begun i64, id 16, token u64  -> empty: where sweeping finds the oldest
 *
 * total is the highest offset behind any byte that came, or that is known to have been written.
 * [hole_from, hole_to) was cut, or never came. A piece row is at most one overflow page, so the
 * free list never needs runs of pages. */
#ifndef BROKER_LOG_ROWS_H
#define BROKER_LOG_ROWS_H

#include "client/base/kv.h"
#include "schemas/limits.h"
#include "schemas/pawl.pb-c.h"

enum { LOG_TABLE_PIECE = 1, LOG_TABLE_SIZE = 2, LOG_TABLE_AGE = 3, LOG_TABLES };
enum {
    LOG_PIECE = 4040, /* bytes of data in one row */
    LOG_KEY = 16 + 8,
    PIECE_KEY = LOG_KEY + 8,
    AGE_KEY = 8 + LOG_KEY,
};
extern const char *const log_tables[LOG_TABLES];

typedef struct size_row {
    uint64_t total, hole_from, hole_to;
    int64_t begun_us, last_us;
} size_row_t;

void log_key(uint8_t key[LOG_KEY], const uint8_t id[16], uint64_t token);
void piece_key(uint8_t key[PIECE_KEY], const uint8_t log[LOG_KEY], uint64_t offset);
void age_key(uint8_t key[AGE_KEY], int64_t begun_us, const uint8_t log[LOG_KEY]);

/* Checks and strips version and checksum: ERR_CORRUPT, ERR_STORE_VERSION. */
MUST_CHECK err_t log_row_open(uint8_t table, slice_t key, slice_t *row);
MUST_CHECK err_t size_parse(const uint8_t log[LOG_KEY], slice_t row, size_row_t *size);
MUST_CHECK err_t size_put(kv_t *kv, const uint8_t log[LOG_KEY], const size_row_t *size);
/* `len` bytes of the chunk from `from` on, at most LOG_PIECE. */
MUST_CHECK err_t piece_put(kv_t *kv, const uint8_t log[LOG_KEY], const Pawl__V1__LogChunk *chunk,
                           size_t from, size_t len);
/* The piece row's own facts, without a look at its checksum: for what deletes. False: another
 * log's, or no piece. */
bool piece_of(slice_t key, slice_t row, const uint8_t log[LOG_KEY], uint64_t *offset,
              uint64_t *end);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * log_store.c - adding, marking, sweeping and reading logs; log_rows.h has the layout. */
#include "broker/logs/log_rows.h"
#include "broker/logs/logs.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/base/log.h"

enum { READ_DEFAULT = 256 << 10, READ_MAX = 1 << 20 };

struct log_store {
    kv_t *kv; /* NULL: it failed and could not be opened again yet */
    char *path;
    logs_config_t config;
    pthread_rwlock_t opened; /* readers hold it while they have a view */
};

/* ---- writing --------------------------------------------------------------------------------- */

static err_t open_kv(log_store_t *self)
{
    kv_config_t kv = { .path = self->path,
                       .tables = log_tables,
                       .table_count = LOG_TABLES,
                       .map_bytes = self->config.map_bytes,
                       .wait_us = self->config.wait_us };
    return kv_open(&self->kv, &kv, NULL);
}

err_t log_store_open(log_store_t **out, const logs_config_t *config)
{
    log_store_t *self = mem_new(sizeof *self);
    self->config = *config;
    self->path = mem_text(config->path);
    if (self->config.most_bytes == 0) self->config.most_bytes = config->map_bytes / 10 * 9;
    CHECK(pthread_rwlock_init(&self->opened, NULL) == 0);
    err_t err = open_kv(self);
    if (err == ERR_OK)
        *out = self;
    else
        log_store_close(&self);
    return err;
}

void log_store_close(log_store_t **self_p)
{
    log_store_t *self = *self_p;
    if (self == NULL) return;
    if (self->kv) kv_close(&self->kv);
    pthread_rwlock_destroy(&self->opened);
    free(self->path);
    free(self);
    *self_p = NULL;
}

err_t log_store_reopen(log_store_t *self)
{
    pthread_rwlock_wrlock(&self->opened);
    if (self->kv) kv_close(&self->kv);
    self->kv = NULL;
    err_t err = open_kv(self);
    if (err != ERR_OK) self->kv = NULL;
    pthread_rwlock_unlock(&self->opened);
    return err;
}

err_t log_store_begin(log_store_t *self)
{
    return self->kv ? kv_begin(self->kv) : ERR_STORE_IO;
}

err_t log_store_commit(log_store_t *self)
{
    return kv_commit(self->kv);
}

void log_store_abort(log_store_t *self)
{
    if (self->kv) kv_abort(self->kv);
}

static err_t size_load(log_store_t *self, const uint8_t log[LOG_KEY], int64_t wall_us,
                       size_row_t *size)
{
    slice_t row;
    err_t err = kv_get(self->kv, LOG_TABLE_SIZE, slice(log, LOG_KEY), &row);
    if (err == ERR_OK) err = size_parse(log, row, size);
    if (err == ERR_CORRUPT) /* one bad row must not keep others' chunks out: counted anew */
        log_event(LOG_ERROR, "LOG_SIZE_CORRUPT", "token=%llu",
                  (unsigned long long)be_u64(log + 16));
    else if (err != ERR_NOT_FOUND)
        return err;
    *size = (size_row_t){ .begun_us = wall_us };
    uint8_t key[AGE_KEY], *room;
    age_key(key, wall_us, log);
    return kv_put(self->kv, LOG_TABLE_AGE, slice(key, sizeof key), 0, 0, &room);
}

/* Where bytes are missing, in one span: the place of the first gap; a second one widens it. */
static void note_gap(size_row_t *size, const Pawl__V1__LogChunk *chunk)
{
    uint64_t end = chunk->offset + chunk->data.len;
    if (chunk->offset > size->total) {
        if (size->hole_from == size->hole_to) size->hole_from = size->total;
        size->hole_to = chunk->offset;
    } else if (chunk->offset == size->hole_from && end <= size->hole_to && end < size->total) {
        size->hole_from = end; /* came late after all */
    }
}

/* Deletes what lies between the head and the newest LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD bytes. */
static err_t cut_middle(log_store_t *self, const uint8_t log[LOG_KEY], size_row_t *size)
{
    if (size->total <= LIMIT_LOG_ATTEMPT) return ERR_OK;
    uint64_t tail_from = size->total - (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD);
    uint64_t at = LIMIT_LOG_HEAD;
    while (true) {
        uint8_t from[PIECE_KEY];
        slice_t key, row;
        uint64_t offset, end;
        piece_key(from, log, at);
        err_t err = kv_seek(self->kv, LOG_TABLE_PIECE, slice(from, sizeof from), false, &key, &row);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        if (err != ERR_OK) return err;
        if (!piece_of(key, row, log, &offset, &end) || end > tail_from) return ERR_OK;
        if (size->hole_from == size->hole_to || offset < size->hole_from) size->hole_from = offset;
        if (end > size->hole_to) size->hole_to = end;
        piece_key(from, log, offset);
        err = kv_del(self->kv, LOG_TABLE_PIECE, slice(from, sizeof from));
        if (err != ERR_OK) return err;
        at = end;
    }
}

err_t log_store_add(log_store_t *self, const Pawl__V1__LogChunk *chunk, int64_t wall_us)
{
    if (chunk->offset > UINT64_MAX / 2) return ERR_OK; /* an offset that no log has */
    if (chunk->data.len == 0)
        return log_store_mark(self, chunk->id.data, chunk->token, chunk->offset, chunk->offset,
                              wall_us);
    uint8_t log[LOG_KEY];
    log_key(log, chunk->id.data, chunk->token);
    size_row_t size = { 0 };
    err_t err = size_load(self, log, wall_us, &size);
    uint64_t end = chunk->offset + chunk->data.len;
    bool cut = size.total > LIMIT_LOG_ATTEMPT && chunk->offset >= LIMIT_LOG_HEAD &&
               end + (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD) <= size.total;
    if (err == ERR_OK && cut) return ERR_OK; /* a late copy of what was cut */
    for (size_t from = 0; err == ERR_OK && from < chunk->data.len; from += LOG_PIECE) {
        size_t left = chunk->data.len - from;
        err = piece_put(self->kv, log, chunk, from, left < LOG_PIECE ? left : LOG_PIECE);
    }
    if (err != ERR_OK) return err;
    note_gap(&size, chunk);
    if (end > size.total) size.total = end;
    size.last_us = wall_us;
    err = cut_middle(self, log, &size);
    return err == ERR_OK ? size_put(self->kv, log, &size) : err;
}

/* Where what lies from `from` on without a gap ends, at most `to`. */
static err_t behind_pieces(log_store_t *self, const uint8_t log[LOG_KEY], uint64_t *from,
                           uint64_t to)
{
    while (*from < to) {
        uint8_t at[PIECE_KEY];
        uint64_t offset, end;
        slice_t row, key = slice(at, sizeof at);
        piece_key(at, log, *from);
        err_t err = kv_get(self->kv, LOG_TABLE_PIECE, key, &row);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && !piece_of(key, row, log, &offset, &end)))
            return ERR_OK;
        if (err != ERR_OK) return err;
        *from = end;
    }
    return ERR_OK;
}

err_t log_store_mark(log_store_t *self, const uint8_t id[16], uint64_t token, uint64_t from,
                     uint64_t to, int64_t wall_us)
{
    uint8_t log[LOG_KEY];
    size_row_t size = { 0 };
    log_key(log, id, token);
    err_t err = size_load(self, log, wall_us, &size);
    if (err == ERR_OK) err = behind_pieces(self, log, &from, to);
    if (err != ERR_OK) return err;
    if (from > size.total) from = size.total; /* what never came before is missing, too */
    if (from < to) {
        bool none = size.hole_from == size.hole_to;
        if (none || from < size.hole_from) size.hole_from = from;
        if (none || to > size.hole_to) size.hole_to = to;
    }
    if (to > size.total) size.total = to;
    size.last_us = wall_us;
    err = cut_middle(self, log, &size);
    return err == ERR_OK ? size_put(self->kv, log, &size) : err;
}

/* ---- sweeping -------------------------------------------------------------------------------- */

/* Deletes rows of one log, its size and age rows last, so that a slice can end in between. */
static err_t sweep_log(log_store_t *self, const uint8_t age[AGE_KEY], unsigned *keys)
{
    const uint8_t *log = age + 8;
    while (*keys > 0) {
        uint8_t from[PIECE_KEY];
        slice_t key, row;
        uint64_t offset, end;
        piece_key(from, log, 0);
        err_t err = kv_seek(self->kv, LOG_TABLE_PIECE, slice(from, sizeof from), false, &key, &row);
        bool found = err == ERR_OK && piece_of(key, row, log, &offset, &end);
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
        if (!found) {
            err = kv_del(self->kv, LOG_TABLE_SIZE, slice(log, LOG_KEY));
            if (err == ERR_OK || err == ERR_NOT_FOUND)
                err = kv_del(self->kv, LOG_TABLE_AGE, slice(age, AGE_KEY));
            --*keys;
            return err;
        }
        piece_key(from, log, offset);
        err = kv_del(self->kv, LOG_TABLE_PIECE, slice(from, sizeof from));
        if (err != ERR_OK) return err;
        --*keys;
    }
    return ERR_OK;
}

static bool too_big(log_store_t *self)
{
    kv_usage_t usage;
    kv_usage(self->kv, &usage);
    uint64_t most = self->config.most_bytes;
    if (usage.map_bytes / 10 * 9 < most) most = usage.map_bytes / 10 * 9;
    return usage.used_bytes > most;
}

/* A log that is still written moves to the young end. */
static err_t keep_young(log_store_t *self, const uint8_t age[AGE_KEY], int64_t cutoff_us,
                        bool *kept)
{
    slice_t row;
    size_row_t size = { 0 };
    *kept = false;
    err_t err = kv_get(self->kv, LOG_TABLE_SIZE, slice(age + 8, LOG_KEY), &row);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err == ERR_OK) err = size_parse(age + 8, row, &size);
    if (err == ERR_CORRUPT) return ERR_OK; /* goes, with what it counted */
    if (err != ERR_OK || size.last_us <= cutoff_us) return err;
    uint8_t log[LOG_KEY], key[AGE_KEY], *room;
    memcpy(log, age + 8, LOG_KEY);
    *kept = true;
    size.begun_us = size.last_us;
    age_key(key, size.begun_us, log);
    err = kv_del(self->kv, LOG_TABLE_AGE, slice(age, AGE_KEY));
    if (err == ERR_OK) err = kv_put(self->kv, LOG_TABLE_AGE, slice(key, sizeof key), 0, 0, &room);
    return err == ERR_OK ? size_put(self->kv, log, &size) : err;
}

err_t log_store_sweep(log_store_t *self, int64_t wall_us, bool by_size, unsigned keys, bool *more)
{
    int64_t cutoff_us = wall_us - self->config.keep_us;
    unsigned left = keys;
    *more = false;
    if (self->kv == NULL) return ERR_STORE_IO;
    if (by_size && !too_big(self)) return ERR_OK;
    err_t err = kv_begin(self->kv);
    while (err == ERR_OK && left > 0) {
        slice_t key, row;
        err = kv_seek(self->kv, LOG_TABLE_AGE, slice("\0", 1), false, &key, &row);
        if (err == ERR_NOT_FOUND) {
            err = ERR_OK;
            break;
        }
        if (err != ERR_OK) break;
        if (key.len != AGE_KEY) {
            err = ERR_CORRUPT;
            break;
        }
        uint8_t age[AGE_KEY];
        memcpy(age, key.at, AGE_KEY);
        if (!by_size) {
            bool kept;
            if (be_i64(age) > cutoff_us) break;
            err = keep_young(self, age, cutoff_us, &kept);
            left -= kept;
            if (kept) continue;
        }
        if (err == ERR_OK) err = sweep_log(self, age, &left);
    }
    *more = left == 0;
    if (err != ERR_OK || left == keys) {
        kv_abort(self->kv);
        return err;
    }
    return kv_commit(self->kv);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* *all: there is no more; what is missing up to the total is lost. */
static err_t read_pieces(kv_scan_t *scan, answer_t *answer, const uint8_t log[LOG_KEY],
                         uint32_t limit, Pawl__V1__LogData *data, bool *all)
{
    size_t room = limit / 512 + 16;
    uint32_t given = 0;
    data->pieces = answer_take(answer, room * sizeof *data->pieces);
    while (given < limit && data->n_pieces < room) {
        slice_t key, row;
        uint64_t from, end;
        err_t err = kv_scan_next(scan, &key, &row);
        *all = err == ERR_NOT_FOUND;
        if (err != ERR_OK) return *all ? ERR_OK : err;
        if (!piece_of(key, row, log, &from, &end)) {
            if (slice_compare(key, slice(log, LOG_KEY)) < 0)
                continue; /* the seek for a piece that begins before `next` met another log */
            *all = true;
            return ERR_OK;
        }
        if (end <= data->next) continue;
        err = log_row_open(LOG_TABLE_PIECE, key, &row);
        if (err != ERR_OK) return err;
        size_t skip = from < data->next ? (size_t)(data->next - from) : 0;
        size_t len = (size_t)(end - from) - skip;
        if (len > limit - given) len = limit - given;
        Pawl__V1__LogPiece *piece = answer_take(answer, sizeof *piece);
        pawl__v1__log_piece__init(piece);
        piece->stream = row.at[0];
        piece->time_us = be_i64(row.at + 1);
        piece->offset = from + skip;
        piece->data = answer_bytes(answer, slice(row.at + 9 + skip, len));
        data->pieces[data->n_pieces++] = piece;
        data->next = piece->offset + len;
        given += (uint32_t)len;
    }
    return ERR_OK;
}

err_t log_store_after(log_store_t *self, const uint8_t id[16], uint64_t token, uint64_t *found)
{
    uint8_t from[LOG_KEY];
    kv_view_t *view = NULL;
    kv_scan_t *scan = NULL;
    slice_t key, row;
    *found = 0;
    if (token == UINT64_MAX) return ERR_OK;
    log_key(from, id, token + 1);
    pthread_rwlock_rdlock(&self->opened);
    err_t err = self->kv ? kv_view_open(self->kv, &view) : ERR_STORE_IO;
    if (err == ERR_OK) {
        err = kv_scan_open(view, LOG_TABLE_SIZE, slice(from, sizeof from), false, &scan);
        if (err == ERR_OK) err = kv_scan_next(scan, &key, &row);
        if (err == ERR_OK && key.len == LOG_KEY && memcmp(key.at, id, 16) == 0)
            *found = be_u64(key.at + 16);
        kv_scan_close(&scan);
        kv_view_close(&view);
    }
    pthread_rwlock_unlock(&self->opened);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t log_store_read(log_store_t *self, answer_t *answer, const uint8_t id[16], uint64_t token,
                     uint64_t offset, uint32_t limit, Pawl__V1__LogData *data)
{
    uint8_t log[LOG_KEY], from[PIECE_KEY];
    kv_view_t *view = NULL;
    kv_scan_t *scan = NULL;
    slice_t row;
    size_row_t size = { 0 };
    log_key(log, id, token);
    data->next = offset;
    if (limit == 0) limit = READ_DEFAULT;
    if (limit > READ_MAX) limit = READ_MAX;
    pthread_rwlock_rdlock(&self->opened);
    err_t err = self->kv ? kv_view_open(self->kv, &view) : ERR_STORE_IO;
    if (err != ERR_OK) {
        pthread_rwlock_unlock(&self->opened);
        return err;
    }
    err = kv_view_get(view, LOG_TABLE_SIZE, slice(log, LOG_KEY), &row);
    if (err == ERR_OK)
        err = size_parse(log, row, &size);
    else if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    data->total = size.total;
    data->hole_from = size.hole_from;
    data->hole_to = size.hole_to;
    if (err == ERR_OK && offset < size.total) {
        /* a piece that holds `offset` begins less than LOG_PIECE before it */
        piece_key(from, log, offset < LOG_PIECE ? 0 : offset - LOG_PIECE + 1);
        err = kv_scan_open(view, LOG_TABLE_PIECE, slice(from, sizeof from), false, &scan);
        bool all = false;
        if (err == ERR_OK) err = read_pieces(scan, answer, log, limit, data, &all);
        kv_scan_close(&scan);
        if (err == ERR_OK && all) data->next = size.total;
    }
    kv_view_close(&view);
    pthread_rwlock_unlock(&self->opened);
    return err;
}

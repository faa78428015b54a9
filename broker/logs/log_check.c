/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/logs/log_check.h"

#include <stdarg.h>

#include "broker/logs/log_rows.h"
#include "client/base/ulid.h"

enum { LINES_MAX = 100 };

typedef struct check {
    kv_view_t *view;
    FILE *out;
    log_owner_fn *owner;
    void *arg;
    log_tally_t *tally;
} check_t;

static void problem(check_t *self, const uint8_t log[LOG_KEY], const char *format, ...)
    PRINTF_LIKE(3, 4);
static void problem(check_t *self, const uint8_t log[LOG_KEY], const char *format, ...)
{
    if (++self->tally->problems > LINES_MAX) return;
    char id[ULID_TEXT + 1] = "";
    va_list args;
    va_start(args, format);
    ulid_print(log, id);
    fprintf(self->out, "logs: task %s, token %llu: ", id, (unsigned long long)be_u64(log + 16));
    vfprintf(self->out, format, args);
    fputc('\n', self->out);
    va_end(args);
}

/* What of a log is there: pieces in the order of their offsets. */
typedef struct cover {
    const size_row_t *size;
    uint64_t at; /* everything below is in a piece or in the hole */
} cover_t;

static void cover_gap(check_t *self, const uint8_t log[LOG_KEY], cover_t *cover, uint64_t to)
{
    const size_row_t *size = cover->size;
    if (to > cover->at && !(cover->at >= size->hole_from && to <= size->hole_to))
        problem(self, log, "bytes %llu to %llu are missing and not marked",
                (unsigned long long)cover->at, (unsigned long long)to);
    if (to > cover->at) cover->at = to;
}

static err_t check_pieces(check_t *self, const uint8_t log[LOG_KEY], const size_row_t *size)
{
    uint8_t from[PIECE_KEY];
    kv_scan_t *scan = NULL;
    slice_t key, row;
    uint64_t offset, end;
    cover_t cover = { .size = size };
    piece_key(from, log, 0);
    err_t err = kv_scan_open(self->view, LOG_TABLE_PIECE, slice(from, sizeof from), false, &scan);
    while (err == ERR_OK && (err = kv_scan_next(scan, &key, &row)) == ERR_OK) {
        if (!piece_of(key, row, log, &offset, &end)) break;
        if (log_row_open(LOG_TABLE_PIECE, key, &row) != ERR_OK)
            problem(self, log, "the piece at byte %llu fails its checksum",
                    (unsigned long long)offset);
        if (end > size->total)
            problem(self, log, "a piece ends at byte %llu, the log at %llu",
                    (unsigned long long)end, (unsigned long long)size->total);
        cover_gap(self, log, &cover, offset);
        if (end > cover.at) cover.at = end;
        self->tally->pieces++;
        self->tally->bytes += end - offset;
    }
    kv_scan_close(&scan);
    if (cover.at < size->total) cover_gap(self, log, &cover, size->total);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static err_t check_log(check_t *self, slice_t key, slice_t row)
{
    uint8_t age[AGE_KEY];
    size_row_t size = { 0 };
    if (key.len != LOG_KEY) {
        fprintf(self->out, "logs: a size row has a key of %zu bytes, not %d\n", key.len, LOG_KEY);
        self->tally->problems++;
        return ERR_OK;
    }
    self->tally->logs++;
    if (self->owner && !self->owner(self->arg, key.at)) self->tally->orphans++;
    if (size_parse(key.at, row, &size) != ERR_OK) {
        problem(self, key.at, "its size row fails its checksum");
        return ERR_OK;
    }
    if (size.hole_from > size.hole_to || size.hole_to > size.total)
        problem(self, key.at, "its hole ends behind it");
    age_key(age, size.begun_us, key.at);
    err_t err = kv_view_get(self->view, LOG_TABLE_AGE, slice(age, sizeof age), &row);
    if (err == ERR_NOT_FOUND) problem(self, key.at, "no age row: it would never be swept");
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    return check_pieces(self, key.at, &size);
}

/* A row without its log. `at`: where the log's key begins in the row's. */
static err_t check_strays(check_t *self, unsigned table, size_t len, size_t at)
{
    kv_scan_t *scan = NULL;
    slice_t key, row;
    err_t err = kv_scan_open(self->view, table, slice(NULL, 0), false, &scan);
    while (err == ERR_OK && (err = kv_scan_next(scan, &key, &row)) == ERR_OK) {
        if (key.len != len) {
            fprintf(self->out, "logs: a key of %zu bytes in table %s\n", key.len,
                    log_tables[table]);
            self->tally->problems++;
            continue;
        }
        err_t found = kv_view_get(self->view, LOG_TABLE_SIZE, slice(key.at + at, LOG_KEY), &row);
        if (found == ERR_NOT_FOUND)
            self->tally->orphans++;
        else
            err = found;
    }
    kv_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static err_t check_all(check_t *self)
{
    kv_scan_t *scan = NULL;
    slice_t key, row;
    err_t err = kv_scan_open(self->view, LOG_TABLE_SIZE, slice(NULL, 0), false, &scan);
    while (err == ERR_OK && (err = kv_scan_next(scan, &key, &row)) == ERR_OK)
        err = check_log(self, key, row);
    kv_scan_close(&scan);
    if (err == ERR_NOT_FOUND) err = check_strays(self, LOG_TABLE_PIECE, PIECE_KEY, 0);
    if (err == ERR_OK) err = check_strays(self, LOG_TABLE_AGE, AGE_KEY, 8);
    return err;
}

err_t log_check(const char *folder, log_owner_fn *owner, void *arg, FILE *out, log_tally_t *tally)
{
    kv_t *kv = NULL;
    kv_config_t config = { .path = folder,
                           .tables = log_tables,
                           .table_count = LOG_TABLES,
                           .map_bytes = (uint64_t)DEFAULT_MAP_BYTES };
    check_t self = { .out = out, .owner = owner, .arg = arg, .tally = tally };
    err_t err = kv_open(&kv, &config, NULL);
    if (err != ERR_OK) return err;
    err = kv_view_open(kv, &self.view);
    if (err == ERR_OK) err = check_all(&self);
    kv_view_close(&self.view);
    kv_close(&kv);
    return err;
}

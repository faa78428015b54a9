/* SPDX-License-Identifier: Apache-2.0
 * check_rows.c - what every part of the check stands on: telling a problem, counting for a number,
 * reading rows in the order of keys. */
#include <stdarg.h>

#include "broker/check/check_inside.h"

enum { NUMBER_MAX = 1 << 24 };

/* ---- the report ------------------------------------------------------------------------------ */

void check_problem(check_t *self, table_t table, slice_t key, const char *format, ...)
{
    self->problems++;
    if (self->out == NULL || self->problems > CHECK_LINES) return;
    fprintf(self->out, "%s ", table_name(table));
    for (size_t i = 0; i < key.len && i < 40; i++)
        fprintf(self->out, "%02x", key.at[i]);
    fprintf(self->out, key.len ? ": " : "- ");
    va_list args;
    va_start(args, format);
    vfprintf(self->out, format, args);
    va_end(args);
    fputc('\n', self->out);
}

tally_t *check_tally(check_t *self, tallies_t *of, uint32_t no, table_t table, slice_t key)
{
    if (no >= NUMBER_MAX) {
        check_problem(self, table, key, "the number %u was never given out", no);
        return NULL;
    }
    if (no >= of->n) {
        size_t n = of->n ? of->n : 64;
        while (n <= no)
            n *= 2;
        of->at = mem_grow(of->at, n * sizeof *of->at);
        memset(of->at + of->n, 0, (n - of->n) * sizeof *of->at);
        of->n = n;
    }
    return &of->at[no];
}

/* ---- reading --------------------------------------------------------------------------------- */

void check_note_place(check_t *self, table_t table, slice_t key)
{
    if (self->place == NULL) return;
    size_t len = key.len < sizeof self->place->key ? key.len : sizeof self->place->key;
    self->place->table = (int32_t)table;
    for (size_t i = 0; i < len; i++)
        self->place->key[i] = key.at[i];
    self->place->key_len = (uint32_t)len;
}

err_t check_each(check_t *self, table_t table, check_row_fn *fn)
{
    store_scan_t *scan = NULL;
    uint8_t last[512];
    size_t last_len = 0;
    check_note_place(self, table, slice(NULL, 0));
    err_t err = store_scan_open(self->view, table, slice(NULL, 0), false, &scan);
    while (err == ERR_OK) {
        slice_t key = slice(NULL, 0), value = slice(NULL, 0);
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK && err != ERR_CORRUPT) break;
        if (key.len == 0 || key.len > sizeof last ||
            (last_len && slice_compare(key, slice(last, last_len)) <= 0)) {
            check_problem(self, table, key, "the order of keys is broken here");
            err = ERR_OK;
            break;
        }
        memcpy(last, key.at, key.len);
        last_len = key.len;
        check_note_place(self, table, key);
        self->rows++;
        if (err == ERR_CORRUPT)
            check_problem(self, table, key, "the checksum is wrong");
        else if (fn)
            fn(self, key, value);
        err = ERR_OK;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

bool check_get(check_t *self, table_t table, const rec_key_t *key, slice_t *value)
{
    return store_view_get(self->view, table, key_slice(key), value) == ERR_OK;
}

bool check_has(check_t *self, table_t table, const rec_key_t *key)
{
    slice_t value;
    err_t err = store_view_get(self->view, table, key_slice(key), &value);
    return err == ERR_OK || err == ERR_CORRUPT;
}

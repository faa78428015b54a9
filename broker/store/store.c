/* SPDX-License-Identifier: Apache-2.0
 *
 * A checked value on disk is the value and 4 bytes: CRC32C over (table number u8, key, value),
 * big-endian. An unchecked table has empty values: its key is all there is. */
#include "broker/store/store.h"

#include <stdlib.h>

#include "broker/store/tally.h"

enum { CHECKSUM = 4 };
#define DELETED UINT32_C(0xFFFFFFFF)

static const struct row {
    const char *name;
    bool checked, append;
} rows[TABLE_COUNT] = {
#define TABLE(name, number, checked, append) [number] = { #name, checked, append },
#include "schemas/tables.tbl.h"
#undef TABLE
};

static const struct row *row_of(table_t table)
{
    CHECK((unsigned)table < TABLE_COUNT && rows[table].name);
    return &rows[table];
}

const char *table_name(table_t table)
{
    return (unsigned)table < TABLE_COUNT ? rows[table].name : NULL;
}

bool table_checked(table_t table)
{
    return row_of(table)->checked;
}

static uint32_t checksum(table_t table, slice_t key, const uint8_t *value, size_t len)
{
    uint8_t number = (uint8_t)table;
    uint32_t crc = crc32c(0, &number, 1);
    crc = crc32c(crc, key.at, key.len);
    return crc32c(crc, value, len);
}

static err_t verify(table_t table, slice_t key, slice_t raw, slice_t *value)
{
    *value = slice(NULL, 0);
    if (!row_of(table)->checked) return raw.len == 0 ? ERR_OK : ERR_CORRUPT;
    if (raw.len < CHECKSUM) return ERR_CORRUPT;
    size_t len = raw.len - CHECKSUM;
    if (checksum(table, key, raw.at, len) != be_u32(raw.at + len)) return ERR_CORRUPT;
    *value = slice(raw.at, len);
    return ERR_OK;
}

/* ---- the write set --------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len--)
        hash = (hash ^ *at++) * UINT64_C(0x100000001b3);
    return hash;
}

static void record(store_t *self, table_t table, slice_t key, slice_t value, uint32_t len)
{
    self->writes++;
    if (!self->keep_write_set && !self->hash_writes) return;
    uint8_t before[3], between[4];
    be_put_u16(be_put_u8(before, (uint8_t)table), (uint16_t)key.len);
    be_put_u32(between, len);
    if (self->keep_write_set) {
        buf_add(&self->write_set, before, sizeof before);
        buf_add(&self->write_set, key.at, key.len);
        buf_add(&self->write_set, between, sizeof between);
        buf_add(&self->write_set, value.at, value.len);
    }
    if (self->hash_writes) {
        uint64_t hash = fnv(self->write_hash, before, sizeof before);
        hash = fnv(hash, key.at, key.len);
        hash = fnv(hash, between, sizeof between);
        self->write_hash = fnv(hash, value.at, value.len);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

void store_forget_writes(store_t *self)
{
    self->write_set.len = 0;
    self->write_hash = UINT64_C(0xcbf29ce484222325);
    self->writes = 0;
}

err_t store_begin(store_t *self)
{
    store_forget_writes(self);
    self->doom = ERR_OK;
    tally_begin(self);
    return self->ops->begin(self);
}

err_t store_get(store_t *self, table_t table, slice_t key, slice_t *value)
{
    slice_t raw;
    err_t err = self->ops->get(self, table, key, &raw);
    return err ? err : verify(table, key, raw, value);
}

err_t store_put(store_t *self, table_t table, slice_t key, slice_t value, unsigned flags)
{
    const struct row *row = row_of(table);
    CHECK(row->checked || value.len == 0);
    if (self->doom) return self->doom;
    uint8_t *room = NULL;
    size_t len = row->checked ? value.len + CHECKSUM : 0;
    unsigned all_flags = (flags & STORE_NEW) | (row->append ? STORE_APPEND : 0);
    /* the sum first: `value` may be a slice of this store that the put is about to invalidate */
    uint32_t sum = row->checked ? checksum(table, key, value.at, value.len) : 0;
    tally_put(self, table, key, len);
    err_t err = self->ops->put(self, table, key, len, all_flags, &room);
    if (err) {
        if (err != ERR_EXISTS) self->doom = err;
        return err;
    }
    if (row->checked) be_put_u32(be_put_bytes(room, value.at, value.len), sum);
    record(self, table, key, value, (uint32_t)value.len);
    return ERR_OK;
}

err_t store_del(store_t *self, table_t table, slice_t key)
{
    CHECK(row_of(table));
    if (self->doom) return self->doom;
    tally_del(self, table);
    err_t err = self->ops->del(self, table, key);
    if (!err)
        record(self, table, key, slice(NULL, 0), DELETED);
    else if (err != ERR_NOT_FOUND)
        self->doom = err;
    return err;
}

err_t store_seek(store_t *self, table_t table, slice_t from, bool down, slice_t *key,
                 slice_t *value)
{
    slice_t raw;
    err_t err = self->ops->seek(self, table, from, down, key, &raw);
    return err ? err : verify(table, *key, raw, value);
}

err_t store_commit(store_t *self)
{
    if (self->doom) {
        self->ops->abort(self);
        return self->doom;
    }
    return self->ops->commit(self);
}

void store_abort(store_t *self)
{
    self->ops->abort(self);
}

void store_usage(store_t *self, store_usage_t *usage)
{
    self->ops->usage(self, usage);
}

void store_written(store_t *self, store_written_t *written)
{
    self->ops->written(self, written);
    if (!self->hash_writes) return;
    uint8_t told[16];
    be_put_u64(be_put_u64(told, written->dirty), written->grown);
    buf_add(&self->told, told, sizeof told);
}

void store_close(store_t **self_p)
{
    if (!*self_p) return;
    buf_free(&(*self_p)->write_set);
    buf_free(&(*self_p)->told);
    tally_free(*self_p);
    (*self_p)->ops->close(self_p);
    *self_p = NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

err_t store_view_open(store_t *self, store_view_t **view)
{
    err_t err = self->ops->view_open(self, view);
    if (!err) (*view)->store = self;
    return err;
}

void store_view_close(store_view_t **view_p)
{
    if (*view_p) (*view_p)->store->ops->view_close(view_p);
    *view_p = NULL;
}

err_t store_view_get(store_view_t *view, table_t table, slice_t key, slice_t *value)
{
    slice_t raw;
    err_t err = view->store->ops->view_get(view, table, key, &raw);
    return err ? err : verify(table, key, raw, value);
}

err_t store_scan_open(store_view_t *view, table_t table, slice_t from, bool down,
                      store_scan_t **scan)
{
    CHECK(row_of(table));
    err_t err = view->store->ops->scan_open(view, table, from, down, scan);
    if (!err) {
        (*scan)->view = view;
        (*scan)->table = table;
    }
    return err;
}

err_t store_scan_next(store_scan_t *scan, slice_t *key, slice_t *value)
{
    slice_t raw;
    err_t err = scan->view->store->ops->scan_next(scan, key, &raw);
    return err ? err : verify(scan->table, *key, raw, value);
}

void store_scan_close(store_scan_t **scan_p)
{
    if (*scan_p) (*scan_p)->view->store->ops->scan_close(scan_p);
    *scan_p = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/outbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/base/kv.h"

/* Key: 16 bytes of id, 8 of token, big-endian. Value: i64 when it was put there (us, big-endian),
 * u32 CRC32C of the rest, the rest. */
enum {
    TABLE_RESULTS,
    TABLE_ORPHANS,
    TABLES,
    KEY = 24,
    HEAD = 12,
    MAP_BYTES = 1 << 30,
    RESERVE_BYTES = 4 << 20,
    SETTLED_MAX = 1024, /* written at once when so many wait */
    TIDY_ROWS = 500,    /* orphans forgotten in one commit */
};
static const char *const tables[TABLES] = { "results", "orphans" };

struct settled {
    uint8_t key[KEY];
    bool unknown;
};

struct outbox {
    kv_t *kv;
    pthread_mutex_t lock;
    struct settled settled[SETTLED_MAX];
    size_t settled_count;
};

err_t outbox_open(outbox_t **out, const char *folder, int64_t *holder)
{
    outbox_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    kv_config_t config = { .path = folder,
                           .tables = tables,
                           .table_count = TABLES,
                           .map_bytes = MAP_BYTES,
                           .reserve_bytes = RESERVE_BYTES,
                           .wait_us = 5000000 };
    err_t err = kv_open(&self->kv, &config, holder);
    if (err) outbox_close(&self);
    *out = self;
    return err;
}

static void key_of(uint8_t key[KEY], const uint8_t id[16], uint64_t token)
{
    be_put_u64(be_put_bytes(key, id, 16), token);
}

static err_t put_row(kv_t *kv, unsigned table, const uint8_t key[KEY], int64_t now,
                     const void *bytes, size_t len)
{
    uint8_t *room;
    err_t err = kv_put(kv, table, slice(key, KEY), HEAD + len, 0, &room);
    if (!err) be_put_bytes(be_put_u32(be_put_i64(room, now), crc32c(0, bytes, len)), bytes, len);
    return err;
}

/* Inside a transaction: the rows whose answer came. The list is emptied by the caller after the
 * commit, so that a failed one loses nothing. */
static err_t write_settled(outbox_t *self, int64_t now)
{
    for (size_t i = 0; i < self->settled_count; i++) {
        slice_t value, key = slice(self->settled[i].key, KEY);
        err_t err = kv_get(self->kv, TABLE_RESULTS, key, &value);
        if (err == ERR_NOT_FOUND) continue;
        if (!err && self->settled[i].unknown && value.len >= HEAD) {
            void *copy = mem_copy(value.at + HEAD, value.len - HEAD); /* borrowed until the put */
            err =
                put_row(self->kv, TABLE_ORPHANS, self->settled[i].key, now, copy, value.len - HEAD);
            free(copy);
        }
        if (!err) err = kv_del(self->kv, TABLE_RESULTS, key);
        if (err) return err;
    }
    return ERR_OK;
}

static err_t finish(outbox_t *self, err_t err)
{
    if (err) {
        kv_abort(self->kv);
        return err;
    }
    err = kv_commit(self->kv);
    if (!err) self->settled_count = 0;
    return err;
}

err_t outbox_store(outbox_t *self, const uint8_t id[16], uint64_t token, const void *bytes,
                   size_t len)
{
    uint8_t key[KEY];
    key_of(key, id, token);
    int64_t now = clock_wall_us();
    pthread_mutex_lock(&self->lock);
    err_t err = kv_begin(self->kv);
    if (!err) {
        err = write_settled(self, now);
        if (!err) err = put_row(self->kv, TABLE_RESULTS, key, now, bytes, len);
        err = finish(self, err);
    }
    pthread_mutex_unlock(&self->lock);
    return err;
}

static err_t flush(outbox_t *self)
{
    if (self->settled_count == 0) return ERR_OK;
    err_t err = kv_begin(self->kv);
    return err ? err : finish(self, write_settled(self, clock_wall_us()));
}

void outbox_settled(outbox_t *self, const uint8_t id[16], uint64_t token, bool unknown)
{
    pthread_mutex_lock(&self->lock);
    /* a list that stays full because the disk fails: the row is reported again at the next start */
    if (self->settled_count < SETTLED_MAX || flush(self) == ERR_OK) {
        struct settled *row = &self->settled[self->settled_count++];
        key_of(row->key, id, token);
        row->unknown = unknown;
    }
    pthread_mutex_unlock(&self->lock);
}

static err_t forget_orphans(outbox_t *self, int64_t before_us)
{
    uint8_t old[TIDY_ROWS][KEY];
    size_t count = 0;
    kv_view_t *view;
    kv_scan_t *scan;
    err_t err = kv_view_open(self->kv, &view);
    if (err) return err;
    err = kv_scan_open(view, TABLE_ORPHANS, slice(NULL, 0), false, &scan);
    if (!err) {
        slice_t key, value;
        while (count < TIDY_ROWS && kv_scan_next(scan, &key, &value) == ERR_OK)
            if (key.len == KEY && (value.len < HEAD || be_i64(value.at) < before_us))
                memcpy(old[count++], key.at, KEY);
        kv_scan_close(&scan);
    }
    kv_view_close(&view);
    if (err || count == 0) return err;
    err = kv_begin(self->kv);
    if (err) return err;
    for (size_t i = 0; !err && i < count; i++)
        err = kv_del(self->kv, TABLE_ORPHANS, slice(old[i], KEY));
    if (err) {
        kv_abort(self->kv);
        return err;
    }
    return kv_commit(self->kv);
}

err_t outbox_tidy(outbox_t *self, int64_t now_us)
{
    pthread_mutex_lock(&self->lock);
    err_t err = flush(self);
    if (!err) err = forget_orphans(self, now_us - OUTBOX_KEEP_ORPHANS_US);
    pthread_mutex_unlock(&self->lock);
    return err;
}

static err_t each(outbox_t *self, unsigned table, outbox_each_fn *fn, void *arg)
{
    kv_view_t *view;
    kv_scan_t *scan;
    err_t err = kv_view_open(self->kv, &view);
    if (err) return err;
    err = kv_scan_open(view, table, slice(NULL, 0), false, &scan);
    if (!err) {
        slice_t key, value;
        bool corrupt = false;
        while ((err = kv_scan_next(scan, &key, &value)) == ERR_OK)
            if (key.len != KEY || value.len < HEAD ||
                be_u32(value.at + 8) != crc32c(0, value.at + HEAD, value.len - HEAD))
                corrupt = true; /* the others are still good */
            else
                fn(arg, key.at, be_u64(key.at + 16), value.at + HEAD, value.len - HEAD);
        kv_scan_close(&scan);
        if (err == ERR_NOT_FOUND) err = corrupt ? ERR_CORRUPT : ERR_OK;
    }
    kv_view_close(&view);
    return err;
}

err_t outbox_each(outbox_t *self, outbox_each_fn *fn, void *arg)
{
    return each(self, TABLE_RESULTS, fn, arg);
}

err_t outbox_each_orphan(outbox_t *self, outbox_each_fn *fn, void *arg)
{
    return each(self, TABLE_ORPHANS, fn, arg);
}

void outbox_close(outbox_t **self_p)
{
    outbox_t *self = *self_p;
    if (!self) return;
    if (self->kv) {
        err_t err = flush(self);
        (void)err; /* they are reported once more at the next start */
        kv_close(&self->kv);
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
    *self_p = NULL;
}

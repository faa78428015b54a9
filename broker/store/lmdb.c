/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/store/lmdb.h"

#include "broker/store/tally.h"

#include <stdlib.h>

_Static_assert((int)STORE_NEW == (int)KV_NEW && (int)STORE_APPEND == (int)KV_APPEND,
               "put's flags are handed through");

typedef struct lmdb_store {
    store_t base;
    kv_t *kv;
} lmdb_store_t;

typedef struct lmdb_view {
    store_view_t base;
    kv_view_t *kv;
} lmdb_view_t;

typedef struct lmdb_scan {
    store_scan_t base;
    kv_scan_t *kv;
} lmdb_scan_t;

static const char *const names[TABLE_COUNT] = {
#define TABLE(name, number, checked, append) [number] = #name,
#include "schemas/tables.tbl.h"
#undef TABLE
};

kv_t *lmdb_store_kv(store_t *self)
{
    return ((lmdb_store_t *)self)->kv;
}

static err_t lmdb_begin(store_t *self)
{
    kv_set_freeing(lmdb_store_kv(self), self->freeing);
    return kv_begin(lmdb_store_kv(self));
}

static err_t lmdb_get(store_t *self, table_t table, slice_t key, slice_t *raw)
{
    return kv_get(lmdb_store_kv(self), table, key, raw);
}

static err_t lmdb_put(store_t *self, table_t table, slice_t key, size_t len, unsigned flags,
                      uint8_t **room)
{
    return kv_put(lmdb_store_kv(self), table, key, len, flags, room);
}

static err_t lmdb_del(store_t *self, table_t table, slice_t key)
{
    return kv_del(lmdb_store_kv(self), table, key);
}

static err_t lmdb_seek(store_t *self, table_t table, slice_t from, bool down, slice_t *key,
                       slice_t *raw)
{
    return kv_seek(lmdb_store_kv(self), table, from, down, key, raw);
}

static err_t lmdb_commit(store_t *self)
{
    return kv_commit(lmdb_store_kv(self));
}

static void lmdb_abort(store_t *self)
{
    kv_abort(lmdb_store_kv(self));
}

static void lmdb_usage(store_t *self, store_usage_t *usage)
{
    kv_usage_t all;
    kv_usage(lmdb_store_kv(self), &all);
    *usage = (store_usage_t){ .map_bytes = all.map_bytes,
                              .used_bytes = all.used_bytes,
                              .held_bytes = all.held_bytes,
                              .page_bytes = all.page_bytes };
}

static void lmdb_written(store_t *self, store_written_t *written)
{
    kv_tree_t old[TABLE_COUNT + 1], open[TABLE_COUNT + 1];
    store_tree_t before[TABLE_COUNT + 1], now[TABLE_COUNT + 1];
    kv_trees(lmdb_store_kv(self), old, open);
    for (size_t i = 0; i <= TABLE_COUNT; i++) {
        before[i] = (store_tree_t){ old[i].branch, old[i].leaf, old[i].overflow, old[i].depth };
        now[i] = (store_tree_t){ open[i].branch, open[i].leaf, open[i].overflow, open[i].depth };
    }
    tally_sum(self, before, now, written);
}

static void lmdb_close(store_t **self_p)
{
    lmdb_store_t *self = (lmdb_store_t *)*self_p;
    kv_close(&self->kv);
    free(self);
    *self_p = NULL;
}

static err_t lmdb_view_open(store_t *self, store_view_t **out)
{
    lmdb_view_t *view = mem_new(sizeof *view);
    err_t err = kv_view_open(lmdb_store_kv(self), &view->kv);
    if (err) {
        free(view);
        view = NULL;
    }
    *out = view ? &view->base : NULL;
    return err;
}

static void lmdb_view_close(store_view_t **view_p)
{
    lmdb_view_t *view = (lmdb_view_t *)*view_p;
    kv_view_close(&view->kv);
    free(view);
    *view_p = NULL;
}

static err_t lmdb_view_get(store_view_t *view, table_t table, slice_t key, slice_t *raw)
{
    return kv_view_get(((lmdb_view_t *)view)->kv, table, key, raw);
}

static err_t lmdb_scan_open(store_view_t *view, table_t table, slice_t from, bool down,
                            store_scan_t **out)
{
    lmdb_scan_t *scan = mem_new(sizeof *scan);
    err_t err = kv_scan_open(((lmdb_view_t *)view)->kv, table, from, down, &scan->kv);
    if (err) {
        free(scan);
        scan = NULL;
    }
    *out = scan ? &scan->base : NULL;
    return err;
}

static err_t lmdb_scan_next(store_scan_t *scan, slice_t *key, slice_t *raw)
{
    return kv_scan_next(((lmdb_scan_t *)scan)->kv, key, raw);
}

static void lmdb_scan_close(store_scan_t **scan_p)
{
    lmdb_scan_t *scan = (lmdb_scan_t *)*scan_p;
    kv_scan_close(&scan->kv);
    free(scan);
    *scan_p = NULL;
}

static const store_ops_t lmdb_ops = {
    .begin = lmdb_begin,
    .get = lmdb_get,
    .put = lmdb_put,
    .del = lmdb_del,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
    .usage = lmdb_usage,
    .seek = lmdb_seek,
    .view_open = lmdb_view_open,
    .view_close = lmdb_view_close,
    .view_get = lmdb_view_get,
    .scan_open = lmdb_scan_open,
    .scan_next = lmdb_scan_next,
    .scan_close = lmdb_scan_close,
    .close = lmdb_close,
    .written = lmdb_written,
};

err_t lmdb_store_open(store_t **out, const kv_config_t *config, int64_t *holder)
{
    *out = NULL;
    kv_config_t own = *config;
    own.tables = names;
    own.table_count = TABLE_COUNT;
    lmdb_store_t *self = mem_new(sizeof *self);
    self->base.ops = &lmdb_ops;
    err_t err = kv_open(&self->kv, &own, holder);
    if (err) {
        free(self);
        return err;
    }
    *out = &self->base;
    return ERR_OK;
}

err_t store_open(store_t **out, const char *path, uint64_t map_bytes, int64_t wait_us,
                 int64_t *holder)
{
    kv_config_t config = { .path = path, .map_bytes = map_bytes, .wait_us = wait_us };
    return lmdb_store_open(out, &config, holder);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How a commit becomes durable: LMDB writes the changed pages to free places of data.mdb, calls
 * fdatasync, and then writes one of two 120-byte meta records through a second, O_DSYNC descriptor.
 * A crash before that last write leaves the old tree, after it the new one.
 *
 * How an environment comes to be: it is built as new.mdb, synced, renamed, and the folder synced. A
 * crash on the way leaves a new.mdb that the next open throws away, never a torn data.mdb.
 *
 * Two limits. map_bytes is the one callers see: a transaction that begins at or above it may only
 * delete. LMDB's own map is larger by a reserve, since copy-on-write needs pages to delete, too; a
 * commit that would eat more than half of the reserve with puts is refused. */
#include "client/base/kv_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/base/log.h"

struct kv_scan {
    const kv_view_t *view;
    MDB_cursor *cursor;
    bool down;
    bool started, ended;
    size_t from_len;
    uint8_t from[KV_KEY_MAX];
};

/* ---- errors ---------------------------------------------------------------------------------- */

/* For everything but a commit that has begun to write. */
err_t kv_error(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return ERR_OK;
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND;
    case MDB_KEYEXIST:
        return ERR_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_DBS_FULL:
        return ERR_STORE_FULL;
    case MDB_READERS_FULL:
        return ERR_BUSY;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return ERR_STORE_VERSION;
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
        return ERR_OS;
    default:
        return ERR_STORE_IO;
    }
}

/* LMDB raises these in a commit before its first write, everything else perhaps after it. */
static bool commit_wrote_nothing(int rc)
{
    return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == ENOMEM;
}

void kv_log_failure(const kv_t *self, const char *event, int rc)
{
    /* a short write on a full disk comes back as EIO: say which it is */
    uint64_t space = kv_disk_free(self);
    log_event(LOG_ERROR, event, "path=%s why=\"%s\" rc=%d disk_free=%" PRIu64 "%s", self->path,
              mdb_strerror(rc), rc, space, space < (UINT64_C(1) << 20) ? " DISK_FULL" : "");
}

/* ---- writing --------------------------------------------------------------------------------- */

static MDB_val val(slice_t bytes)
{
    return (MDB_val){ bytes.len, (void *)(uintptr_t)bytes.at };
}

static slice_t from_val(MDB_val bytes)
{
    return slice(bytes.mv_data, bytes.mv_size);
}

void kv_set_freeing(kv_t *self, bool freeing)
{
    CHECK(!self->txn);
    self->freeing = freeing;
}

err_t kv_begin(kv_t *self)
{
    CHECK(!self->txn);
    if (self->dead) return ERR_STORE_IO;
    if (self->promise_again_us) kv_promise_space(self); /* others may have made room since */
    int rc = mdb_txn_begin(self->env, NULL, 0, &self->txn);
    if (rc != 0) {
        self->txn = NULL;
        kv_log_failure(self, "STORE_BEGIN_FAILED", rc);
        return kv_error(rc);
    }
    self->failed = ERR_OK;
    self->added = false;
    self->refusal = self->freeing ? ERR_OK : kv_limit_reached(self);
    return ERR_OK;
}

static MDB_cursor *cursor_of(kv_t *self, unsigned table)
{
    CHECK(self->txn && table < self->table_count && self->tables[table].open);
    kv_table_t *row = &self->tables[table];
    if (!row->cursor && !self->failed) {
        int rc = mdb_cursor_open(self->txn, row->dbi, &row->cursor);
        if (rc != 0) {
            row->cursor = NULL;
            self->failed = kv_error(rc);
        }
    }
    return row->cursor;
}

/* Remembers what dooms the transaction: LMDB would only answer BAD_TXN from here on. */
static err_t outcome(kv_t *self, int rc)
{
    err_t err = kv_error(rc);
    if (err && err != ERR_NOT_FOUND && err != ERR_EXISTS && !self->failed) {
        self->failed = err;
        if (err != ERR_STORE_FULL) kv_log_failure(self, "STORE_ACCESS_FAILED", rc);
    }
    return err;
}

err_t kv_get(kv_t *self, unsigned table, slice_t key, slice_t *value)
{
    CHECK(key.len > 0 && key.len <= KV_KEY_MAX);
    MDB_cursor *cursor = cursor_of(self, table);
    if (self->failed) return self->failed;
    MDB_val k = val(key), v;
    err_t err = outcome(self, mdb_cursor_get(cursor, &k, &v, MDB_SET));
    if (!err) *value = from_val(v);
    return err;
}

err_t kv_put(kv_t *self, unsigned table, slice_t key, size_t len, unsigned flags, uint8_t **room)
{
    CHECK(key.len > 0 && key.len <= KV_KEY_MAX);
    MDB_cursor *cursor = cursor_of(self, table);
    if (!self->failed) self->failed = self->refusal;
    if (self->failed) return self->failed;
    self->added = true;
    MDB_val k = val(key), v = { len, NULL };
    int rc = MDB_KEYEXIST;
    if (flags & KV_APPEND) rc = mdb_cursor_put(cursor, &k, &v, MDB_RESERVE | MDB_APPEND);
    if (rc == MDB_KEYEXIST) {
        v = (MDB_val){ len, NULL };
        rc = mdb_cursor_put(cursor, &k, &v, MDB_RESERVE | (flags & KV_NEW ? MDB_NOOVERWRITE : 0));
    }
    if (rc == 0) *room = v.mv_data;
    return outcome(self, rc);
}

err_t kv_del(kv_t *self, unsigned table, slice_t key)
{
    CHECK(key.len > 0 && key.len <= KV_KEY_MAX);
    MDB_cursor *cursor = cursor_of(self, table);
    if (self->failed) return self->failed;
    MDB_val k = val(key), v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET);
    if (rc == 0) rc = mdb_cursor_del(cursor, 0);
    return outcome(self, rc);
}

/* Places `cursor` on the first key >= from, or downwards on the last <= from. */
static int place(MDB_cursor *cursor, slice_t from, bool down, MDB_val *k, MDB_val *v)
{
    if (from.len == 0) return mdb_cursor_get(cursor, k, v, down ? MDB_LAST : MDB_FIRST);
    *k = val(from);
    int rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
    if (!down) return rc;
    if (rc == MDB_NOTFOUND) return mdb_cursor_get(cursor, k, v, MDB_LAST);
    if (rc == 0 && !slice_equal(from_val(*k), from)) return mdb_cursor_get(cursor, k, v, MDB_PREV);
    return rc;
}

err_t kv_seek(kv_t *self, unsigned table, slice_t from, bool down, slice_t *key, slice_t *value)
{
    CHECK(from.len <= KV_KEY_MAX);
    MDB_cursor *cursor = cursor_of(self, table);
    if (self->failed) return self->failed;
    MDB_val k, v;
    err_t err = outcome(self, place(cursor, from, down, &k, &v));
    if (!err) {
        *key = from_val(k);
        *value = from_val(v);
    }
    return err;
}

/* LMDB frees the cursors of a write transaction with it. */
static MDB_txn *end_txn(kv_t *self)
{
    for (unsigned i = 0; i < self->table_count; i++)
        self->tables[i].cursor = NULL;
    MDB_txn *txn = self->txn;
    self->txn = NULL;
    return txn;
}

err_t kv_commit(kv_t *self)
{
    CHECK(self->txn);
    if (!self->failed && self->added) {
        uint64_t limit = self->map_bytes + self->delete_reserve / 2;
        if (self->freeing) limit += self->delete_reserve / 4;
        MDB_envinfo info;
        mdb_env_info(self->env, &info);
        /* the last page may only be far off when it is near already, or the batch is enormous */
        if (((uint64_t)info.me_last_pgno + 1) * self->page_bytes > self->map_bytes / 2 &&
            kv_live_bytes(self, self->txn) > limit)
            self->failed = ERR_STORE_FULL;
    }
    err_t err = self->failed;
    MDB_txn *txn = end_txn(self);
    if (err) {
        mdb_txn_abort(txn);
        return err;
    }
    int rc = mdb_txn_commit(txn);
    if (rc == 0) {
        kv_promise_space(self);
        return ERR_OK;
    }
    kv_log_failure(self, "STORE_COMMIT_FAILED", rc);
    if (commit_wrote_nothing(rc)) return kv_error(rc);
    self->dead = true;
    kv_note_suspect(self);
    return ERR_STORE_IO;
}

void kv_abort(kv_t *self)
{
    if (self->txn) mdb_txn_abort(end_txn(self));
}

/* ---- reading --------------------------------------------------------------------------------- */

err_t kv_view_open(kv_t *self, kv_view_t **out)
{
    kv_view_t *view = mem_new(sizeof *view);
    view->kv = self;
    view->opened_us = clock_steady_us();
    pthread_mutex_lock(&self->guard);
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &view->txn);
    if (rc == 0) {
        view->txn_id = mdb_txn_id(view->txn);
        view->next = self->views;
        view->link = &self->views;
        if (view->next) view->next->link = &view->next;
        self->views = view;
    }
    pthread_mutex_unlock(&self->guard);
    if (rc != 0) {
        free(view);
        view = NULL;
    }
    *out = view;
    return kv_error(rc);
}

void kv_view_close(kv_view_t **view_p)
{
    kv_view_t *view = *view_p;
    if (!view) return;
    pthread_mutex_lock(&view->kv->guard);
    mdb_txn_abort(view->txn);
    *view->link = view->next;
    if (view->next) view->next->link = view->link;
    pthread_mutex_unlock(&view->kv->guard);
    free(view);
    *view_p = NULL;
}

err_t kv_view_get(kv_view_t *view, unsigned table, slice_t key, slice_t *value)
{
    const kv_t *kv = view->kv;
    CHECK(table < kv->table_count && kv->tables[table].open);
    CHECK(key.len > 0 && key.len <= KV_KEY_MAX);
    MDB_val k = val(key), v;
    err_t err = kv_error(mdb_get(view->txn, kv->tables[table].dbi, &k, &v));
    if (!err) *value = from_val(v);
    return err;
}

err_t kv_scan_open(kv_view_t *view, unsigned table, slice_t from, bool down, kv_scan_t **out)
{
    const kv_t *kv = view->kv;
    CHECK(table < kv->table_count && kv->tables[table].open && from.len <= KV_KEY_MAX);
    kv_scan_t *scan = mem_new(sizeof *scan);
    scan->view = view;
    scan->down = down;
    scan->from_len = from.len;
    be_put_bytes(scan->from, from.at, from.len);
    err_t err = kv_error(mdb_cursor_open(view->txn, kv->tables[table].dbi, &scan->cursor));
    if (err) {
        free(scan);
        scan = NULL;
    }
    *out = scan;
    return err;
}

err_t kv_scan_next(kv_scan_t *scan, slice_t *key, slice_t *value)
{
    if (scan->ended) return ERR_NOT_FOUND;
    MDB_val k, v;
    int rc;
    if (!scan->started)
        rc = place(scan->cursor, slice(scan->from, scan->from_len), scan->down, &k, &v);
    else
        rc = mdb_cursor_get(scan->cursor, &k, &v, scan->down ? MDB_PREV : MDB_NEXT);
    scan->started = true;
    if (rc == 0) {
        *key = from_val(k);
        *value = from_val(v);
    }
    scan->ended = rc != 0;
    return kv_error(rc);
}

void kv_scan_close(kv_scan_t **scan_p)
{
    if (!*scan_p) return;
    mdb_cursor_close((*scan_p)->cursor);
    free(*scan_p);
    *scan_p = NULL;
}

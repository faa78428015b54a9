/* SPDX-License-Identifier: Apache-2.0
 * kv_space.c - how much there is: of the map, of the disk, of pages that readers hold back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/statvfs.h>

#include "client/base/clock.h"
#include "client/base/kv_inside.h"
#include "client/base/log.h"

enum { META_PAGES = 2 };
#define USAGE_EVERY_US INT64_C(1000000)

/* ---- the disk -------------------------------------------------------------------------------- */

uint64_t kv_disk_free(const kv_t *self)
{
    struct statvfs disk;
    if (fstatvfs(self->folder_fd, &disk) != 0) return UINT64_MAX;
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

static void promised(kv_t *self, uint64_t bytes)
{
    pthread_mutex_lock(
        &self->guard); /* kv_usage reads it on any thread; only the writer changes it */
    self->promised_bytes = bytes;
    pthread_mutex_unlock(&self->guard);
}

void kv_promise_space(kv_t *self)
{
    MDB_envinfo info;
    mdb_env_info(self->env, &info);
    uint64_t end = ((uint64_t)info.me_last_pgno + 1) * self->page_bytes;
    if (end + self->ahead_bytes / 2 <= self->promised_bytes) return;
    if (self->promise_again_us && clock_steady_us() < self->promise_again_us) return;
    uint64_t target = end + self->ahead_bytes;
    int fd = -1;
    mdb_env_get_fd(self->env, &fd);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)target) == 0) {
        promised(self, target);
        self->promise_again_us = 0;
        return;
    }
    if (errno == EOPNOTSUPP) {
        promised(self, UINT64_MAX / 2); /* nothing to be had here, ever */
        return;
    }
    if (!self->promise_again_us)
        log_event(LOG_WARN, "STORE_SPACE_LOW", "path=%s wanted=%" PRIu64 " why=\"%s\"", self->path,
                  target, strerror(errno));
    self->promise_again_us = clock_steady_us() + USAGE_EVERY_US;
}

/* ---- pages ------------------------------------------------------------------------------------
 */

uint64_t kv_live_bytes(const kv_t *self, MDB_txn *txn)
{
    uint64_t pages = META_PAGES;
    MDB_stat stat;
    if (mdb_stat(txn, FREE_TABLE, &stat) == 0)
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    if (mdb_stat(txn, MAIN_TABLE, &stat) == 0)
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    for (unsigned i = 0; i < self->table_count; i++)
        if (self->tables[i].open && mdb_stat(txn, self->tables[i].dbi, &stat) == 0)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    return pages * self->page_bytes;
}

/* Pages freed by transaction `oldest` or later cannot be reused while a reader is that old; those
 * of the last commit never can, yet. */
static uint64_t held_bytes(const kv_t *self, MDB_txn *txn, size_t oldest)
{
    MDB_cursor *cursor = NULL;
    if (mdb_cursor_open(txn, FREE_TABLE, &cursor) != 0) return 0;
    uint64_t pages = 0;
    MDB_val key = { sizeof oldest, &oldest }, value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        size_t count = 0;
        if (value.mv_size >= sizeof count) memcpy(&count, value.mv_data, sizeof count);
        pages += count;
    }
    mdb_cursor_close(cursor);
    return pages * self->page_bytes;
}

static void look_at_disk(kv_t *self, uint64_t file_bytes)
{
    uint64_t space = kv_disk_free(self), behind = file_bytes;
    /* as kv_limit_reached() draws the line: who refuses by degrees must come before it */
    if (self->promised_bytes > self->ahead_bytes / 4 && self->promised_bytes < UINT64_MAX / 2)
        behind = self->promised_bytes - self->ahead_bytes / 4;
    self->disk_limit = space > UINT64_MAX / 2 ? space : space + behind;
}

/* Counts what may have changed since it was counted last: a view of its own dirties the table of
 * readers, which is a file, and nothing is to be written when nothing happens. False: no view is to
 * be had. `due`: what is held back, too. */
static bool count_pages(kv_t *self, size_t last_txn, size_t oldest, bool due)
{
    bool held = due && (self->held_txn != last_txn || self->held_oldest != oldest);
    if (!held && self->live_txn == last_txn && self->live_bytes > 0) return true;
    MDB_txn *txn = NULL;
    if (mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn) != 0) return false;
    if (held) {
        self->held_bytes = held_bytes(self, txn, oldest);
        self->held_txn = last_txn;
        self->held_oldest = oldest;
    }
    self->live_bytes = kv_live_bytes(self, txn);
    self->live_txn = last_txn;
    mdb_txn_abort(txn);
    return true;
}

void kv_usage(kv_t *self, kv_usage_t *usage)
{
    MDB_envinfo info;
    mdb_env_info(self->env, &info);
    *usage = (kv_usage_t){ .page_bytes = self->page_bytes, .map_bytes = self->map_bytes };
    usage->file_bytes = ((uint64_t)info.me_last_pgno + 1) * self->page_bytes;
    usage->used_bytes = usage->file_bytes; /* stays when no reader slot is to be had */
    pthread_mutex_lock(&self->guard);
    int64_t now = clock_steady_us();
    size_t oldest = info.me_last_txnid;
    for (const kv_view_t *view = self->views; view; view = view->next) {
        if (view->txn_id < oldest) oldest = view->txn_id;
        if (now - view->opened_us > usage->oldest_view_us)
            usage->oldest_view_us = now - view->opened_us;
    }
    bool due = now >= self->usage_again_us;
    if (due) {
        self->usage_again_us = now + USAGE_EVERY_US;
        look_at_disk(self, usage->file_bytes);
    }
    if (count_pages(self, info.me_last_txnid, oldest, due))
        usage->used_bytes = self->live_bytes + self->held_bytes;
    usage->held_bytes = self->held_bytes;
    if (self->disk_limit && self->disk_limit < usage->map_bytes)
        usage->map_bytes = self->disk_limit;
    pthread_mutex_unlock(&self->guard);
}

void kv_pages(kv_t *self, uint64_t *live, uint64_t *freed)
{
    MDB_envinfo info;
    MDB_txn *txn = NULL;
    *live = *freed = 0;
    mdb_env_info(self->env, &info);
    if (mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn) != 0) return;
    *live = kv_live_bytes(self, txn) / self->page_bytes;
    *freed = held_bytes(self, txn, info.me_last_txnid) / self->page_bytes;
    mdb_txn_abort(txn);
}

static void trees_of(const kv_t *self, MDB_txn *txn, kv_tree_t *trees)
{
    for (unsigned i = 0; i <= self->table_count; i++) {
        MDB_stat stat;
        MDB_dbi dbi = i == self->table_count ? FREE_TABLE : self->tables[i].dbi;
        trees[i] = (kv_tree_t){ 0 };
        if (i < self->table_count && !self->tables[i].open) continue;
        if (mdb_stat(txn, dbi, &stat) != 0) continue;
        trees[i] = (kv_tree_t){ stat.ms_branch_pages, stat.ms_leaf_pages, stat.ms_overflow_pages,
                                stat.ms_depth };
    }
}

void kv_trees(kv_t *self, kv_tree_t *before, kv_tree_t *now)
{
    CHECK(self->txn);
    MDB_txn *committed = NULL;
    trees_of(self, self->txn, now);
    memset(before, 0, (self->table_count + 1) * sizeof *before); /* no slot: all counts as new */
    if (mdb_txn_begin(self->env, NULL, MDB_RDONLY, &committed) != 0) return;
    trees_of(self, committed, before);
    mdb_txn_abort(committed);
}

/* Free figures first, since this is asked each time. */
err_t kv_limit_reached(kv_t *self)
{
    MDB_envinfo info;
    mdb_env_info(self->env, &info);
    uint64_t end = ((uint64_t)info.me_last_pgno + 1) * self->page_bytes;
    if (end >= self->map_bytes && kv_live_bytes(self, self->txn) >= self->map_bytes)
        return ERR_STORE_FULL;
    if (!self->promise_again_us) return ERR_OK;
    /* The disk gave no more when half of the promise was used: a quarter is for what ends, the last
     * one for the pages that a batch copies. */
    kv_usage_t usage;
    pthread_mutex_lock(&self->guard);
    self->usage_again_us = 0;
    pthread_mutex_unlock(&self->guard);
    kv_usage(self, &usage);
    bool enough = usage.used_bytes + self->ahead_bytes / 4 < self->promised_bytes;
    return enough ? ERR_OK : ERR_DISK_FULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/base/kv.h - one LMDB environment: named ordered tables, one writer, many snapshots.
 *
 * The only door to LMDB. It knows no table of Pawl: the broker's store, its logs and an executor's
 * outbox each open an environment of their own. Keys are 1 to 511 bytes; order is byte order.
 *
 * Durability: a commit that returned ERR_OK survives a power cut. The environment is always opened
 * synced; there is no option to weaken that. A failed commit is either cleanly not done
 * (ERR_STORE_FULL, ERR_DISK_FULL, ERR_NO_MEMORY: nothing changed, go on) or unknown (ERR_STORE_IO:
 * acknowledge nothing, leave the process; every later call fails).
 *
 * Threads: begin to commit or abort belongs to one thread at a time, and one write transaction is
 * open at a time. Views and usage may be used from any thread, each view by one thread at a time.
 * No handle may be used in a forked child.
 *
 * Folder: data.mdb, lock.mdb (LMDB), lock.pawl (ours: flock'd while open, holds the pid in
 * ASCII and, after a commit with an unknown outcome, the line "suspect"),
 * new.mdb (an environment being created; renamed when it is complete and synced). */
#ifndef BASE_KV_H
#define BASE_KV_H

#include "client/base/base.h"

typedef struct kv kv_t;
typedef struct kv_view kv_view_t;
typedef struct kv_scan kv_scan_t;

enum { KV_KEY_MAX = 511 };
enum {
    KV_NEW = 1,    /* put: ERR_EXISTS when the key is there */
    KV_APPEND = 2, /* put: the key is likely the highest; no harm when it is not */
};

typedef struct kv_config {
    const char *path; /* the folder; made with mode 0700 when missing, its parent must exist */
    const char *const
        *tables; /* by number; NULL entries are skipped; kept: must outlive the kv_t */
    unsigned table_count;
    uint64_t map_bytes;     /* the most it may hold; lowered to what the disk can give at open */
    uint64_t reserve_bytes; /* disk space promised ahead of the data; 0: 64 MiB or an eighth of the
                               map */
    int64_t wait_us;        /* how long to wait for another process to let go of the folder */
    unsigned test_flags;    /* crash tests only: LMDB flags that break the promise above. Keep 0. */
} kv_config_t;

typedef struct kv_usage {
    uint64_t map_bytes;  /* the most it may hold now: the map, or the disk when that gives less */
    uint64_t used_bytes; /* pages in use, and pages that readers or the last commits hold back */
    uint64_t held_bytes; /* the second part of it, at most a second old */
    uint64_t file_bytes; /* of data.mdb; never shrinks */
    uint64_t page_bytes;
    int64_t oldest_view_us; /* age of the oldest open view; 0: none */
} kv_usage_t;

/* ERR_STORE_LOCKED: another process has the folder after wait_us; its pid in *holder when that is
 * not NULL (0: not told). ERR_DISK_FULL, ERR_STORE_IO, ERR_CORRUPT, ERR_STORE_VERSION, ERR_OS. */
MUST_CHECK err_t kv_open(kv_t **out, const kv_config_t *config, int64_t *holder);
/* Every view must be closed before. Aborts an open transaction. */
void kv_close(kv_t **self_p);

/* While set, transactions may put although a limit is reached: for those that delete more than they
 * add, but cannot do without a row. A quarter of the reserve for deletes is theirs. False at first;
 * between transactions. */
void kv_set_freeing(kv_t *self, bool freeing);
MUST_CHECK err_t kv_begin(kv_t *self);
/* ERR_NOT_FOUND: no such key. `value` is borrowed until the next put, del, commit or abort. */
MUST_CHECK err_t kv_get(kv_t *self, unsigned table, slice_t key, slice_t *value);
/* Makes room for a value of `len` bytes under `key`: the caller must write all of *room before the
 * next call. ERR_STORE_FULL, ERR_DISK_FULL: the transaction can only be aborted. At the limit of
 * the map or of the disk puts are refused and deletes still work: a reserve is kept for them. */
MUST_CHECK err_t kv_put(kv_t *self, unsigned table, slice_t key, size_t len, unsigned flags,
                        uint8_t **room);
MUST_CHECK err_t kv_del(kv_t *self, unsigned table, slice_t key); /* ERR_NOT_FOUND */
/* The first row with a key >= from; `down`: the last with a key <= from. ERR_NOT_FOUND: none. */
MUST_CHECK err_t kv_seek(kv_t *self, unsigned table, slice_t from, bool down, slice_t *key,
                         slice_t *value);
/* Ends the transaction whatever it returns. After a put or del that failed with anything but
 * ERR_NOT_FOUND or ERR_EXISTS it aborts and returns that error. */
MUST_CHECK err_t kv_commit(kv_t *self);
void kv_abort(kv_t *self); /* harmless when none is open */

void kv_usage(kv_t *self, kv_usage_t *usage);
/* Pages in use, and pages that the last commit took out of use: what it wrote is their sum less the
 * pages that were in use before it. For measuring estimates; walks the free list. */
void kv_pages(kv_t *self, uint64_t *live, uint64_t *freed);
/* The tree of one table: pages, and levels from the root to the leaves. */
typedef struct kv_tree {
    uint64_t branch, leaf, overflow;
    unsigned depth;
} kv_tree_t;
/* By number of the table, and LMDB's list of free pages behind the last: `before` as committed
 * last, `now` as the open transaction has them (the list changes in its commit only). Both have
 * room for table_count + 1. */
void kv_trees(kv_t *self, kv_tree_t *before, kv_tree_t *now);

/* A snapshot of everything committed so far. Pages it sees are not reused until it is closed: keep
 * it short. ERR_BUSY: too many are open. */
MUST_CHECK err_t kv_view_open(kv_t *self, kv_view_t **view);
void kv_view_close(kv_view_t **view_p);
MUST_CHECK err_t kv_view_get(kv_view_t *view, unsigned table, slice_t key, slice_t *value);
/* Rows from `from` upwards, or downwards from the largest key <= from. An empty `from` begins at
 * the first row, or downwards at the last. Close scans before their view. */
MUST_CHECK err_t kv_scan_open(kv_view_t *view, unsigned table, slice_t from, bool down,
                              kv_scan_t **scan);
/* ERR_NOT_FOUND at the end. Key and value are borrowed until the view is closed. */
MUST_CHECK err_t kv_scan_next(kv_scan_t *scan, slice_t *key, slice_t *value);
void kv_scan_close(kv_scan_t **scan_p);

#endif

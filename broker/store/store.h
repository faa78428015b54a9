/* SPDX-License-Identifier: Apache-2.0
 * broker/store/store.h - the store as core sees it: ordered tables, one writer, snapshots.
 *
 * Two implementations stand behind it: LMDB (broker/store/lmdb.c, on client/base/kv.h) and plain
 * memory (broker/store/memstore.c). Core never sees a handle of either.
 *
 * Writing: store_begin, any number of get/put/del/scan, then store_commit or store_abort. One
 * write transaction at a time, owned by one thread. A commit has three outcomes: ERR_OK; cleanly
 * not done (ERR_STORE_FULL, ERR_DISK_FULL, ERR_NO_MEMORY: nothing changed, go on); unknown
 * (ERR_STORE_IO: no reply may leave, the process must exit). Every put and delete is also appended
 * to the batch's write set.
 *
 * Values of checked tables: store_put appends a CRC32C over (table number, key, value), store_get
 * and scans verify and strip it: a row that was damaged or stands in the wrong place is
 * ERR_CORRUPT. Borrowed slices that get or a scan return are valid until the next put, del, commit
 * or abort. */
#ifndef BROKER_STORE_STORE_H
#define BROKER_STORE_STORE_H

#include "client/base/base.h"

typedef enum {
#define TABLE(name, number, checked, append) TABLE_##name = (number),
#include "schemas/tables.tbl.h"
#undef TABLE
    TABLE_COUNT
} table_t;

/* Name of a table ("ids"), NULL for a number that is none; whether its values are checked. */
const char *table_name(table_t table);
bool table_checked(table_t table);

typedef struct store store_t;
typedef struct store_view store_view_t; /* a snapshot, for readers */
typedef struct store_scan store_scan_t;

enum {
    STORE_NEW = 1,    /* put: ERR_EXISTS when the key is there (and nothing is written) */
    STORE_APPEND = 2, /* between wrapper and implementation: the table's column `append` */
};

/* What a transaction did to one table, so far; a run is rows that are put one behind the other with
 * no other row between them. */
typedef struct store_tally {
    uint32_t puts, dels;
    uint32_t copies;   /* leaves of the last commit that it may have touched, at most */
    uint32_t overflow; /* pages of values too large for a leaf */
    uint32_t in_run;   /* rows of the run; 0: none is known */
    bool at_end;       /* nothing follows the run */
    buf_t last, next;  /* its last key, and the key that follows it */
} store_tally_t;

/* Pages that the open transaction has written, copies and list of free pages included, and of them
 * those by which the store grew: at most. */
typedef struct store_written {
    uint64_t dirty, grown;
} store_written_t;

typedef struct store_usage {
    uint64_t map_bytes;  /* the most it may hold */
    uint64_t used_bytes; /* pages in use and pages held back by readers */
    uint64_t held_bytes; /* the second part of it */
    uint64_t page_bytes;
} store_usage_t;

/* The operations an implementation provides. `self` is the first argument of all. */
typedef struct store_ops {
    err_t (*begin)(store_t *);
    err_t (*get)(store_t *, table_t, slice_t key, slice_t *raw);
    /* flags: STORE_NEW, STORE_APPEND; the wrapper fills all of *room at once */
    err_t (*put)(store_t *, table_t, slice_t key, size_t len, unsigned flags, uint8_t **room);
    err_t (*del)(store_t *, table_t, slice_t key);
    err_t (*commit)(store_t *);
    void (*abort)(store_t *);
    void (*usage)(store_t *, store_usage_t *);
    /* smallest key >= from (or, down, largest key <= from) inside the write transaction */
    err_t (*seek)(store_t *, table_t, slice_t from, bool down, slice_t *key, slice_t *raw);
    err_t (*view_open)(store_t *, store_view_t **);
    void (*view_close)(store_view_t **);
    err_t (*view_get)(store_view_t *, table_t, slice_t key, slice_t *raw);
    err_t (*scan_open)(store_view_t *, table_t, slice_t from, bool down, store_scan_t **);
    err_t (*scan_next)(store_scan_t *, slice_t *key, slice_t *raw);
    void (*scan_close)(store_scan_t **);
    void (*close)(store_t **);
    void (*written)(store_t *, store_written_t *);
} store_ops_t;

struct store {
    const store_ops_t *ops;
    buf_t write_set;     /* of the open transaction: (table u8, key len u16, key, len u32, value)* ;
                            a deletion has len 0xFFFFFFFF */
    bool keep_write_set; /* set it between transactions; default false: write_set stays empty */
    bool hash_writes;    /* likewise: keep write_hash up to date (costs about 1 ns a byte) */
    uint64_t write_hash; /* FNV-1a over the write set of the open transaction, for replay tests */
    unsigned writes;     /* puts and deletes of the open transaction */
    bool freeing; /* set it between transactions: those that follow may also put when the store is
                     full, because they delete more: part of a reserve is for them */
    bool watch;   /* set it between transactions: runs are found out, which makes `copies` exact to
                     a page or two a run; costs a look for each row that begins one */
    store_tally_t tally[TABLE_COUNT];
    buf_t told; /* while hash_writes: what store_written has answered, `dirty u64, grown u64` each;
                   the caller empties it */
    err_t doom; /* why the open transaction can only be aborted, or ERR_OK */
};

/* What an implementation's views and scans begin with; the wrapper functions fill them in. */
struct store_view {
    store_t *store;
};
struct store_scan {
    store_view_t *view;
    table_t table;
};

MUST_CHECK err_t store_begin(store_t *self);
/* A batch that opened no transaction wrote nothing: its write set is empty, not the last one's. */
void store_forget_writes(store_t *self);
/* ERR_NOT_FOUND: no such key. ERR_CORRUPT: checksum. `value` comes without the checksum. */
MUST_CHECK err_t store_get(store_t *self, table_t table, slice_t key, slice_t *value);
MUST_CHECK err_t store_put(store_t *self, table_t table, slice_t key, slice_t value,
                           unsigned flags);
/* ERR_NOT_FOUND when it was not there. */
MUST_CHECK err_t store_del(store_t *self, table_t table, slice_t key);
/* The first row whose key is >= `from` (down: the last whose key is <= `from`). ERR_NOT_FOUND:
 * none. The caller checks that the key still has its prefix. */
MUST_CHECK err_t store_seek(store_t *self, table_t table, slice_t from, bool down, slice_t *key,
                            slice_t *value);
/* Ends the transaction whatever it returns. After a put or del that failed with anything but
 * ERR_EXISTS or ERR_NOT_FOUND it aborts and returns that error. */
MUST_CHECK err_t store_commit(store_t *self);
void store_abort(store_t *self); /* harmless when none is open */
void store_usage(store_t *self, store_usage_t *usage);
/* Of the open transaction; like the usage an input of whoever decides by it (broker/tape.h). */
void store_written(store_t *self, store_written_t *written);
void store_close(store_t **self_p);

/* A snapshot sees everything committed before it was opened. Any thread; one thread at a time. */
MUST_CHECK err_t store_view_open(store_t *self, store_view_t **view);
void store_view_close(store_view_t **view_p);
MUST_CHECK err_t store_view_get(store_view_t *view, table_t table, slice_t key, slice_t *value);
/* Rows in key order from `from` upwards (or downwards, starting at the largest key <= from). An
 * empty `from`, here and in store_seek, is the first row or, downwards, the last. */
MUST_CHECK err_t store_scan_open(store_view_t *view, table_t table, slice_t from, bool down,
                                 store_scan_t **scan);
MUST_CHECK err_t store_scan_next(store_scan_t *scan, slice_t *key,
                                 slice_t *value); /* ERR_NOT_FOUND at the end */
void store_scan_close(store_scan_t **scan_p);

/* The LMDB store in folder `path` (made with mode 0700 when missing); ERR_STORE_LOCKED with the
 * holder's pid in *holder when another process has it (waits wait_us for it first). */
MUST_CHECK err_t store_open(store_t **out, const char *path, uint64_t map_bytes, int64_t wait_us,
                            int64_t *holder);

#endif

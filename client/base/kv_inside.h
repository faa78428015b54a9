/* SPDX-License-Identifier: Apache-2.0
 * client/base/kv_inside.h - what kv.c, kv_open.c and kv_space.c share. Nobody else includes it. */
#ifndef BASE_KV_INSIDE_H
#define BASE_KV_INSIDE_H

#include <lmdb.h>
#include <pthread.h>

#include "client/base/kv.h"

enum {
    FREE_TABLE = 0, /* LMDB's own: pages freed, by transaction */
    MAIN_TABLE = 1, /* LMDB's own: names of tables */
};

typedef struct kv_table {
    MDB_dbi dbi;
    bool open;
    MDB_cursor *cursor; /* of the write transaction, made at first use, gone with it */
} kv_table_t;

struct kv_view {
    kv_t *kv;
    MDB_txn *txn;
    size_t txn_id;
    int64_t opened_us;
    kv_view_t *next, **link; /* list of open views, newest first */
};

struct kv {
    char *path;
    const char *const *names;
    kv_table_t *tables;
    unsigned table_count;
    unsigned env_flags;
    int folder_fd;
    int lock_fd;
    MDB_env *env;
    uint64_t page_bytes;
    uint64_t map_bytes;       /* the limit that callers see */
    uint64_t delete_reserve;  /* what LMDB's map has beyond it */
    uint64_t ahead_bytes;     /* disk space to keep behind the last page */
    uint64_t promised_bytes;  /* the file system has promised space up to here */
    int64_t promise_again_us; /* after a refusal: not before this */
    bool suspect;             /* the process before met an unknown outcome */
    bool dead;                /* a commit's outcome is unknown */

    MDB_txn *txn;  /* the write transaction, or NULL */
    err_t failed;  /* the first error that dooms it */
    err_t refusal; /* why it may not add: it began at a limit */
    bool added;    /* it has a put */
    bool freeing;  /* it may put beyond the limit */

    pthread_mutex_t guard; /* of what follows */
    kv_view_t *views;
    int64_t usage_again_us; /* held and disk figures are fresh until then */
    uint64_t held_bytes;
    size_t held_txn, held_oldest; /* counted after that commit, with that oldest reader */
    uint64_t live_bytes;
    size_t live_txn;     /* counted after that commit */
    uint64_t disk_limit; /* file + free disk */
};

err_t kv_error(int rc); /* of LMDB or errno, for everything but a commit that has begun to write */
void kv_log_failure(const kv_t *self, const char *event, int rc);
uint64_t kv_disk_free(const kv_t *self); /* bytes; UINT64_MAX: not known */
/* The file system keeps this much space for us behind the last page: a disk filled by others then
 * does not fail a commit half-way. Where that cannot be had, usage tells a lower limit. */
void kv_promise_space(kv_t *self);
/* Bytes of all pages that some tree owns, as `txn` sees them: what is not on the free list. */
uint64_t kv_live_bytes(const kv_t *self, MDB_txn *txn);
/* Of the transaction just begun: why it may not add, or ERR_OK. */
err_t kv_limit_reached(kv_t *self);
/* Leaves word for the next process. A power cut takes this note, and with it the need for it. */
void kv_note_suspect(kv_t *self);

#endif

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
#include "client/base/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"

enum {
    READERS_MAX = 510,
    LOCK_POLL_US = 20000,
    FREE_TABLE = 0, /* LMDB's own: pages freed, by transaction */
    MAIN_TABLE = 1, /* LMDB's own: names of tables */
    META_PAGES = 2,
};
#define SUSPECT            "suspect"
#define USAGE_EVERY_US     INT64_C(1000000)
#define RESERVE_DEFAULT    (UINT64_C(64) << 20)
#define DELETE_RESERVE_MIN (UINT64_C(1) << 20)
#define DELETE_RESERVE_MAX (UINT64_C(256) << 20)

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

struct kv_scan {
    const kv_view_t *view;
    MDB_cursor *cursor;
    bool down;
    bool started, ended;
    size_t from_len;
    uint8_t from[KV_KEY_MAX];
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
    uint64_t disk_limit; /* file + free disk */
};

/* ---- errors ---------------------------------------------------------------------------------- */

/* For everything but a commit that has begun to write. */
static err_t error_of(int rc)
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

static uint64_t disk_free(const kv_t *self)
{
    struct statvfs disk;
    if (fstatvfs(self->folder_fd, &disk) != 0) return UINT64_MAX;
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

static void log_failure(const kv_t *self, const char *event, int rc)
{
    /* a short write on a full disk comes back as EIO: say which it is */
    uint64_t space = disk_free(self);
    log_event(LOG_ERROR, event, "path=%s why=\"%s\" rc=%d disk_free=%" PRIu64 "%s", self->path,
              mdb_strerror(rc), rc, space, space < (UINT64_C(1) << 20) ? " DISK_FULL" : "");
}

/* ---- the folder ------------------------------------------------------------------------------ */

static err_t sync_folder(int fd, const char *path)
{
    if (fsync(fd) == 0) return ERR_OK;
    log_event(LOG_ERROR, "STORE_SYNC_FAILED", "path=%s why=\"%s\"", path, strerror(errno));
    return ERR_STORE_IO;
}

static err_t sync_parent(const char *path)
{
    char *parent = mem_text(path);
    size_t len = strlen(parent);
    while (len > 1 && parent[len - 1] == '/')
        parent[--len] = '\0';
    char *slash = strrchr(parent, '/');
    if (slash) slash[slash == parent ? 1 : 0] = '\0';
    int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err_t err = fd < 0 ? ERR_OS : sync_folder(fd, parent);
    if (fd >= 0) close(fd);
    free(parent);
    return err;
}

static err_t open_folder(kv_t *self)
{
    bool made = mkdir(self->path, 0700) == 0;
    if (!made && errno != EEXIST) {
        err_t err = errno == ENOSPC ? ERR_DISK_FULL : ERR_OS;
        log_event(LOG_ERROR, "STORE_OPEN_FAILED", "path=%s why=\"%s\"", self->path,
                  strerror(errno));
        return err;
    }
    self->folder_fd = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->folder_fd < 0) {
        log_event(LOG_ERROR, "STORE_OPEN_FAILED", "path=%s why=\"%s\"", self->path,
                  strerror(errno));
        return ERR_OS;
    }
    return made ? sync_parent(self->path) : ERR_OK;
}

/* flock, not LMDB's own lock: that one lets several writers in turn, and its readers' table means
 * nothing across PID namespaces. */
static err_t take_lock(kv_t *self, int64_t wait_us, int64_t *holder)
{
    self->lock_fd = openat(self->folder_fd, "lock.pawl", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) {
        log_event(LOG_ERROR, "STORE_OPEN_FAILED", "path=%s/lock.pawl why=\"%s\"", self->path,
                  strerror(errno));
        return error_of(errno);
    }
    int64_t until = clock_steady_us() + wait_us;
    while (flock(self->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) return ERR_OS;
        if (clock_steady_us() >= until) {
            char text[24] = "";
            ssize_t len = pread(self->lock_fd, text, sizeof text - 1, 0);
            if (holder) *holder = len > 0 ? strtoll(text, NULL, 10) : 0;
            return ERR_STORE_LOCKED;
        }
        nanosleep(&(struct timespec){ .tv_nsec = LOCK_POLL_US * 1000 }, NULL);
    }
    char before[40] = "";
    if (pread(self->lock_fd, before, sizeof before - 1, 0) > 0)
        self->suspect = strstr(before, SUSPECT) != NULL;
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(self->lock_fd, 0) != 0 || pwrite(self->lock_fd, text, (size_t)len, 0) != len) {
        log_event(LOG_WARN, "STORE_LOCK_UNNAMED", "path=%s why=\"%s\"", self->path,
                  strerror(errno));
    }
    return ERR_OK;
}

/* What the last process wrote may be in memory only: killed inside a commit, or after a sync that
 * failed, when the kernel calls the pages clean although the disk never got them. What is read from
 * here on will be acknowledged, so it must come from the disk. */
static int settle_file(kv_t *self)
{
    int fd = openat(self->folder_fd, "data.mdb", O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : errno;
    int rc = fdatasync(fd) == 0 ? 0 : errno;
    if (rc == 0 && self->suspect) {
        rc = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        log_event(LOG_WARN, "STORE_READ_AGAIN",
                  "path=%s why=\"the last commit's outcome was unknown\"", self->path);
    }
    close(fd);
    return rc;
}

/* Leaves word for the next process. A power cut takes this note, and with it the need for it. */
static void note_suspect(kv_t *self)
{
    char text[40];
    int len = snprintf(text, sizeof text, "%ld\n" SUSPECT "\n", (long)getpid());
    if (pwrite(self->lock_fd, text, (size_t)len, 0) != len)
        log_event(LOG_ERROR, "STORE_NOTE_FAILED", "path=%s why=\"%s\"", self->path,
                  strerror(errno));
}

/* ---- opening --------------------------------------------------------------------------------- */

static int env_start(const kv_t *self, MDB_env **env, const char *path, unsigned flags)
{
    int rc = mdb_env_create(env);
    if (rc == 0) rc = mdb_env_set_maxdbs(*env, self->table_count);
    if (rc == 0) rc = mdb_env_set_maxreaders(*env, READERS_MAX);
    if (rc == 0) rc = mdb_env_set_mapsize(*env, (size_t)(self->map_bytes + self->delete_reserve));
    if (rc == 0) rc = mdb_env_open(*env, path, MDB_NOTLS | self->env_flags | flags, 0600);
    return rc;
}

static int open_tables(MDB_env *env, kv_t *self, unsigned txn_flags)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(env, NULL, txn_flags, &txn);
    for (unsigned i = 0; rc == 0 && i < self->table_count; i++) {
        if (!self->names[i]) continue;
        unsigned flags = txn_flags & MDB_RDONLY ? 0 : MDB_CREATE;
        rc = mdb_dbi_open(txn, self->names[i], flags, &self->tables[i].dbi);
    }
    if (rc == 0) return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int create(kv_t *self)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s/new.mdb", self->path) < 0) return ENOMEM;
    unlinkat(self->folder_fd, "new.mdb", 0);
    unlinkat(self->folder_fd, "new.mdb-lock", 0);
    MDB_env *env = NULL;
    int rc = env_start(self, &env, temporary, MDB_NOSUBDIR);
    if (rc == 0) rc = open_tables(env, self, 0);
    if (env) mdb_env_close(env);
    if (rc == 0 && renameat(self->folder_fd, "new.mdb", self->folder_fd, "data.mdb") != 0)
        rc = errno;
    if (rc == 0 && fsync(self->folder_fd) != 0) rc = errno;
    unlinkat(self->folder_fd, "new.mdb-lock", 0);
    free(temporary);
    return rc;
}

static void promised(kv_t *self, uint64_t bytes)
{
    pthread_mutex_lock(
        &self->guard); /* kv_usage reads it on any thread; only the writer changes it */
    self->promised_bytes = bytes;
    pthread_mutex_unlock(&self->guard);
}

/* The file system keeps this much space for us behind the last page: a disk filled by others then
 * does not fail a commit half-way. Where that cannot be had, usage tells a lower limit. */
static void promise_space(kv_t *self)
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

static err_t open_env(kv_t *self)
{
    int rc = settle_file(self);
    bool created = false;
    if (rc == 0 && faccessat(self->folder_fd, "data.mdb", F_OK, 0) != 0) {
        created = true;
        rc = errno == ENOENT ? create(self) : errno;
    }
    if (rc == 0) rc = env_start(self, &self->env, self->path, 0);
    if (rc == 0) {
        int fd = -1;
        rc = mdb_env_get_fd(self->env, &fd);
        if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) rc = errno;
    }
    if (rc == 0) {
        int dead = 0;
        mdb_reader_check(self->env, &dead);
        rc = open_tables(self->env, self, MDB_RDONLY);
        if (rc == MDB_NOTFOUND)
            rc = open_tables(self->env, self, 0); /* tables that this version adds */
    }
    if (rc == 0) {
        for (unsigned i = 0; i < self->table_count; i++)
            self->tables[i].open = self->names[i] != NULL;
        MDB_stat stat;
        rc = mdb_env_stat(self->env, &stat);
        self->page_bytes = stat.ms_psize;
        int fd = -1;
        struct stat file;
        if (mdb_env_get_fd(self->env, &fd) == 0 && fstat(fd, &file) == 0)
            self->promised_bytes = (uint64_t)file.st_blocks * 512; /* what an earlier run got */
    }
    if (rc == 0) {
        promise_space(self);
        return ERR_OK;
    }
    log_failure(self, created ? "STORE_CREATE_FAILED" : "STORE_OPEN_FAILED", rc);
    return error_of(rc);
}

/* A map beyond what the disk can hold would be a promise that only SIGBUS or EIO takes back. */
static void choose_sizes(kv_t *self, const kv_config_t *config)
{
    struct stat file = { 0 };
    if (fstatat(self->folder_fd, "data.mdb", &file, 0) != 0) file.st_blocks = 0;
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t space = disk_free(self);
    uint64_t most = space > UINT64_MAX / 2 ? space : space + (uint64_t)file.st_blocks * 512;
    uint64_t map = config->map_bytes < most ? config->map_bytes : most;
    if (map < 64 * unit) map = 64 * unit;
    self->map_bytes = map / unit * unit;
    uint64_t reserve = self->map_bytes / 16;
    if (reserve < DELETE_RESERVE_MIN) reserve = DELETE_RESERVE_MIN;
    if (reserve > DELETE_RESERVE_MAX) reserve = DELETE_RESERVE_MAX;
    self->delete_reserve = reserve / unit * unit;
    self->ahead_bytes = config->reserve_bytes;
    if (!self->ahead_bytes)
        self->ahead_bytes = map / 8 < RESERVE_DEFAULT ? map / 8 : RESERVE_DEFAULT;
}

err_t kv_open(kv_t **out, const kv_config_t *config, int64_t *holder)
{
    CHECK(out && config->path && config->tables && config->map_bytes > 0);
    kv_t *self = mem_new(sizeof *self);
    self->path = mem_text(config->path);
    self->names = config->tables;
    self->table_count = config->table_count;
    self->tables = mem_new(config->table_count * sizeof *self->tables);
    self->env_flags = config->test_flags;
    self->folder_fd = self->lock_fd = -1;
    pthread_mutex_init(&self->guard, NULL);
    err_t err = open_folder(self);
    if (!err) err = take_lock(self, config->wait_us, holder);
    if (!err) {
        choose_sizes(self, config);
        err = open_env(self);
    }
    if (err) kv_close(&self);
    *out = self;
    return err;
}

void kv_close(kv_t **self_p)
{
    kv_t *self = *self_p;
    if (!self) return;
    CHECK(!self->views);
    kv_abort(self);
    if (self->env) mdb_env_close(self->env);
    if (self->lock_fd >= 0) close(self->lock_fd);
    if (self->folder_fd >= 0) close(self->folder_fd);
    pthread_mutex_destroy(&self->guard);
    free(self->tables);
    free(self->path);
    free(self);
    *self_p = NULL;
}

/* ---- space ----------------------------------------------------------------------------------- */

/* Bytes of all pages that some tree owns, as `txn` sees them: what is not on the free list. */
static uint64_t live_bytes(const kv_t *self, MDB_txn *txn)
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
    MDB_txn *txn = NULL;
    if (mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn) == 0) {
        if (now >= self->usage_again_us) {
            self->usage_again_us = now + USAGE_EVERY_US;
            self->held_bytes = held_bytes(self, txn, oldest);
            uint64_t space = disk_free(self);
            uint64_t behind = usage->file_bytes;
            /* as limit_reached() draws the line: who refuses by degrees must come before it */
            if (self->promised_bytes > self->ahead_bytes / 4 &&
                self->promised_bytes < UINT64_MAX / 2)
                behind = self->promised_bytes - self->ahead_bytes / 4;
            self->disk_limit = space > UINT64_MAX / 2 ? space : space + behind;
        }
        usage->used_bytes = live_bytes(self, txn) + self->held_bytes;
        mdb_txn_abort(txn);
    }
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
    *live = live_bytes(self, txn) / self->page_bytes;
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

void kv_check_readers(kv_t *self)
{
    int dead = 0;
    int rc = mdb_reader_check(self->env, &dead);
    if (rc != 0 || dead > 0)
        log_event(LOG_WARN, "STORE_READERS_FREED", "path=%s count=%d rc=%d", self->path, dead, rc);
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

/* Of the transaction just begun: may it add? Free figures first, since this is asked each time. */
static err_t limit_reached(kv_t *self)
{
    MDB_envinfo info;
    mdb_env_info(self->env, &info);
    uint64_t end = ((uint64_t)info.me_last_pgno + 1) * self->page_bytes;
    if (end >= self->map_bytes && live_bytes(self, self->txn) >= self->map_bytes)
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

void kv_set_freeing(kv_t *self, bool freeing)
{
    CHECK(!self->txn);
    self->freeing = freeing;
}

err_t kv_begin(kv_t *self)
{
    CHECK(!self->txn);
    if (self->dead) return ERR_STORE_IO;
    if (self->promise_again_us) promise_space(self); /* others may have made room since */
    int rc = mdb_txn_begin(self->env, NULL, 0, &self->txn);
    if (rc != 0) {
        self->txn = NULL;
        log_failure(self, "STORE_BEGIN_FAILED", rc);
        return error_of(rc);
    }
    self->failed = ERR_OK;
    self->added = false;
    self->refusal = self->freeing ? ERR_OK : limit_reached(self);
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
            self->failed = error_of(rc);
        }
    }
    return row->cursor;
}

/* Remembers what dooms the transaction: LMDB would only answer BAD_TXN from here on. */
static err_t outcome(kv_t *self, int rc)
{
    err_t err = error_of(rc);
    if (err && err != ERR_NOT_FOUND && err != ERR_EXISTS && !self->failed) {
        self->failed = err;
        if (err != ERR_STORE_FULL) log_failure(self, "STORE_ACCESS_FAILED", rc);
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
            live_bytes(self, self->txn) > limit)
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
        promise_space(self);
        return ERR_OK;
    }
    log_failure(self, "STORE_COMMIT_FAILED", rc);
    if (commit_wrote_nothing(rc)) return error_of(rc);
    self->dead = true;
    note_suspect(self);
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
    return error_of(rc);
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
    err_t err = error_of(mdb_get(view->txn, kv->tables[table].dbi, &k, &v));
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
    err_t err = error_of(mdb_cursor_open(view->txn, kv->tables[table].dbi, &scan->cursor));
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
    return error_of(rc);
}

void kv_scan_close(kv_scan_t **scan_p)
{
    if (!*scan_p) return;
    mdb_cursor_close((*scan_p)->cursor);
    free(*scan_p);
    *scan_p = NULL;
}

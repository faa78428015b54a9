/* SPDX-License-Identifier: Apache-2.0
 * kv_open.c - how an environment is opened: its folder, its lock, its first file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/kv_inside.h"
#include "client/base/log.h"

enum {
    READERS_MAX = 510,
    LOCK_POLL_US = 20000,
};
#define SUSPECT            "suspect"
#define RESERVE_DEFAULT    (UINT64_C(64) << 20)
#define DELETE_RESERVE_MIN (UINT64_C(1) << 20)
#define DELETE_RESERVE_MAX (UINT64_C(256) << 20)

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
 * nothing across PID namespaces.
 *
 * It is looked at again and again: Linux has no lock of a file that is waited for with an end, and
 * what would end such a wait, a signal, belongs to the program. This happens once in the life of a
 * process, and only beside a predecessor that is about to end. */
static err_t take_lock(kv_t *self, int64_t wait_us, int64_t *holder)
{
    self->lock_fd = openat(self->folder_fd, "lock.pawl", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) {
        log_event(LOG_ERROR, "STORE_OPEN_FAILED", "path=%s/lock.pawl why=\"%s\"", self->path,
                  strerror(errno));
        return kv_error(errno);
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

void kv_note_suspect(kv_t *self)
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
        kv_promise_space(self);
        return ERR_OK;
    }
    kv_log_failure(self, created ? "STORE_CREATE_FAILED" : "STORE_OPEN_FAILED", rc);
    return kv_error(rc);
}

/* A map beyond what the disk can hold would be a promise that only SIGBUS or EIO takes back. */
static void choose_sizes(kv_t *self, const kv_config_t *config)
{
    struct stat file = { 0 };
    if (fstatat(self->folder_fd, "data.mdb", &file, 0) != 0) file.st_blocks = 0;
    uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t space = kv_disk_free(self);
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

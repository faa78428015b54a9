/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/kv.h"

/* Key: 16 bytes of id, 8 of token, big-endian. Value: i64 when it was put there (us, big-endian),
 * u32 CRC32C of the rest, the rest.
 *
 * `fresh` is a run of records: u32 length of the bytes, u32 CRC32C of all that follows it, u8 kind
 * (1 stored, 2 settled), key, bytes. A record that is cut or does not fit its checksum ends the
 * file: the process died while writing it, so its result was never given. That a result was
 * settled is written with the next one that is stored, or by outbox_tidy: what dies in between
 * reports it once more and is answered as before. When nothing in it waits the file is cut to
 * nothing, once it has FRESH_CUT bytes or by outbox_tidy; under steady load it is written anew from
 * what waits each FRESH_BYTES. */
#define ORPHANS_LOOK_US INT64_C(60000000)

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
    FRESH_HEAD = 9,
    FRESH_BYTES = 8 << 20,
    FRESH_CUT = 64 << 10, /* cutting costs more than a hundred appends */
    FRESH_STORED = 1,
    FRESH_SETTLED = 2,
};
static const char *const tables[TABLES] = { "results", "orphans" };

struct settled {
    uint8_t key[KEY];
    bool unknown;
};

/* A result in `fresh`, kept here as well: moving it reads no file. Oldest first. */
struct fresh {
    struct fresh *next;
    uint8_t key[KEY];
    int64_t since_us; /* steady */
    bool orphan;      /* settled as unknown: goes to the orphans */
    size_t len;
    uint8_t bytes[];
};

struct outbox {
    kv_t *kv;
    pthread_mutex_t lock;
    int fd;         /* of `fresh` */
    char path[512]; /* its name */
    off_t size;     /* of `fresh` */
    buf_t news;     /* records of settled results, to be written with the next */
    struct fresh *first, **last;
    int64_t orphans_us; /* wall: next look at the orphans */
    struct settled settled[SETTLED_MAX];
    size_t settled_count;
};

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

/* ---- fresh ----------------------------------------------------------------------------------- */

enum { RECORD_HEAD = FRESH_HEAD + KEY };

static void make_head(uint8_t head[RECORD_HEAD], int kind, const uint8_t key[KEY],
                      const void *bytes, size_t len)
{
    be_put_u32(head, (uint32_t)len);
    be_put_bytes(be_put_u8(head + 8, (uint8_t)kind), key, KEY);
    be_put_u32(head + 4, crc32c(crc32c(0, head + 8, 1 + KEY), bytes, len));
}

/* The news, and behind it a record in two parts (`bytes` of it may be none). */
static err_t append(outbox_t *self, slice_t head, slice_t bytes)
{
    struct iovec parts[3];
    const slice_t slices[3] = { slice(self->news.at, self->news.len), head, bytes };
    int count = 0;
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        if (slices[i].len == 0) continue;
        parts[count++] = (struct iovec){ (void *)(uintptr_t)slices[i].at, slices[i].len };
        len += slices[i].len;
    }
    ssize_t put = pwritev(self->fd, parts, count, self->size);
    if (put != (ssize_t)len) {
        bool full = put >= 0 || errno == ENOSPC || errno == EDQUOT;
        int cut = ftruncate(self->fd, self->size); /* half a record would end the file, too */
        (void)cut;
        return full ? ERR_DISK_FULL : ERR_OS;
    }
    self->size += put;
    self->news.len = 0;
    return ERR_OK;
}

static err_t append_stored(outbox_t *self, const uint8_t key[KEY], const void *bytes, size_t len)
{
    uint8_t head[RECORD_HEAD];
    make_head(head, FRESH_STORED, key, bytes, len);
    return append(self, slice(head, sizeof head), slice(bytes, len));
}

static void keep(outbox_t *self, const uint8_t key[KEY], const void *bytes, size_t len)
{
    struct fresh *row = mem_new(sizeof *row + len);
    memcpy(row->key, key, KEY);
    row->since_us = clock_steady_us();
    row->len = len;
    be_put_bytes(row->bytes, bytes, len);
    *self->last = row;
    self->last = &row->next;
}

static struct fresh **find(outbox_t *self, const uint8_t key[KEY])
{
    struct fresh **at = &self->first;
    while (*at && memcmp((*at)->key, key, KEY) != 0)
        at = &(*at)->next;
    return at;
}

static void drop(outbox_t *self, struct fresh **at)
{
    struct fresh *row = *at;
    *at = row->next;
    if (!*at) self->last = at;
    free(row);
}

/* Nothing in it waits. */
static void cut_fresh(outbox_t *self)
{
    self->news.len = 0;
    if (self->size && ftruncate(self->fd, 0) == 0) self->size = 0;
}

/* The file again with what waits only, when it has become long. */
static void rewrite(outbox_t *self)
{
    if (!self->first && self->size >= FRESH_CUT) cut_fresh(self);
    if (!self->first || self->size < FRESH_BYTES) return;
    self->news.len = 0;
    char path[sizeof self->path + 8];
    snprintf(path, sizeof path, "%s.new", self->path);
    int old_fd = self->fd;
    off_t old_size = self->size;
    self->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    self->size = 0;
    err_t err = self->fd < 0 ? ERR_OS : ERR_OK;
    for (struct fresh *row = self->first; row && !err; row = row->next)
        err = append_stored(self, row->key, row->bytes, row->len);
    if (!err && rename(path, self->path) == 0) {
        close(old_fd);
        return;
    }
    if (self->fd >= 0) close(self->fd);
    unlink(path);
    self->fd = old_fd; /* it goes on growing until there is room */
    self->size = old_size;
}

/* The first *len bytes, or as many as there are. A disk that does not give them is no empty file:
 * what stands there would be written over. */
static bool read_whole(int fd, uint8_t *bytes, size_t *len)
{
    size_t done = 0;
    while (done < *len) {
        ssize_t got = pread(fd, bytes + done, *len - done, (off_t)done);
        if (got < 0 && errno != EINTR) return false;
        if (got == 0) break;
        done += got > 0 ? (size_t)got : 0;
    }
    *len = done;
    return true;
}

/* What an earlier life left. */
static err_t read_fresh(outbox_t *self)
{
    struct stat info;
    if (fstat(self->fd, &info) != 0) return ERR_OS;
    size_t len = (size_t)info.st_size;
    uint8_t *all = mem_new(len);
    if (!read_whole(self->fd, all, &len)) {
        free(all);
        return ERR_OS;
    }
    reader_t in = reader(slice(all, len));
    for (;;) {
        const uint8_t *start = in.at;
        uint32_t bytes_len = reader_u32(&in), sum = reader_u32(&in);
        uint8_t kind = reader_u8(&in);
        const uint8_t *key = reader_take(&in, KEY);
        slice_t bytes = reader_bytes(&in, bytes_len);
        if (in.bad || crc32c(0, start + 8, 1 + KEY + bytes.len) != sum) break;
        struct fresh **known = find(self, key);
        if (kind == FRESH_STORED && !*known)
            keep(self, key, bytes.at, bytes.len);
        else if (kind == FRESH_SETTLED && *known)
            drop(self, known);
        self->size = in.at - all;
    }
    free(all);
    return ERR_OK;
}

err_t outbox_store(outbox_t *self, const uint8_t id[16], uint64_t token, const void *bytes,
                   size_t len)
{
    uint8_t key[KEY];
    key_of(key, id, token);
    pthread_mutex_lock(&self->lock);
    err_t err = append_stored(self, key, bytes, len);
    if (!err) keep(self, key, bytes, len);
    pthread_mutex_unlock(&self->lock);
    return err;
}

/* ---- the environment ------------------------------------------------------------------------- */

/* One commit: rows that waited long enough, and what was settled of those that are there. */
static err_t flush(outbox_t *self, int64_t older_than_us)
{
    bool any = self->settled_count > 0;
    for (struct fresh *row = self->first; row && !any; row = row->next)
        any = row->orphan || row->since_us <= older_than_us;
    if (!any) return ERR_OK;
    int64_t now = clock_wall_us();
    err_t err = kv_begin(self->kv);
    if (err) return err;
    err = write_settled(self, now);
    for (struct fresh *row = self->first; row && !err; row = row->next)
        if (row->orphan || row->since_us <= older_than_us)
            err = put_row(self->kv, row->orphan ? TABLE_ORPHANS : TABLE_RESULTS, row->key, now,
                          row->bytes, row->len);
    err = finish(self, err);
    for (struct fresh **at = &self->first; *at && !err;)
        if ((*at)->orphan || (*at)->since_us <= older_than_us)
            drop(self, at);
        else
            at = &(*at)->next;
    if (self->first)
        rewrite(self);
    else
        cut_fresh(self);
    return err;
}

void outbox_settled(outbox_t *self, const uint8_t id[16], uint64_t token, bool unknown)
{
    uint8_t key[KEY];
    key_of(key, id, token);
    pthread_mutex_lock(&self->lock);
    struct fresh **row = find(self, key);
    if (*row && unknown) {
        (*row)->orphan = true;
    } else if (*row) {
        uint8_t head[RECORD_HEAD];
        drop(self, row);
        make_head(head, FRESH_SETTLED, key, NULL, 0);
        buf_add(&self->news, head, sizeof head);
        rewrite(self);
    } else if (self->settled_count < SETTLED_MAX || flush(self, INT64_MIN) == ERR_OK) {
        /* a list that stays full because the disk fails: reported again at the next start */
        struct settled *later = &self->settled[self->settled_count++];
        memcpy(later->key, key, KEY);
        later->unknown = unknown;
    }
    pthread_mutex_unlock(&self->lock);
}

err_t outbox_open(outbox_t **out, const char *folder, int64_t *holder)
{
    outbox_t *self = mem_new(sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
    self->fd = -1;
    self->last = &self->first;
    kv_config_t config = { .path = folder,
                           .tables = tables,
                           .table_count = TABLES,
                           .map_bytes = MAP_BYTES,
                           .reserve_bytes = RESERVE_BYTES,
                           .wait_us = 5000000 };
    err_t err = kv_open(&self->kv, &config, holder);
    if (!err) {
        snprintf(self->path, sizeof self->path, "%s/fresh", folder);
        self->fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        err = self->fd < 0 ? ERR_OS : read_fresh(self);
    }
    if (!err) err = flush(self, INT64_MAX);
    if (err) outbox_close(&self);
    *out = self;
    return err;
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
    err_t err = flush(self, clock_steady_us() - OUTBOX_FRESH_US);
    if (!self->first)
        cut_fresh(self);
    else if (self->news.len)
        (void)!append(self, slice(NULL, 0), slice(NULL, 0)); /* tried again with the next */
    if (!err && now_us >= self->orphans_us) {
        self->orphans_us = now_us + ORPHANS_LOOK_US;
        err = forget_orphans(self, now_us - OUTBOX_KEEP_ORPHANS_US);
    }
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
    for (const struct fresh *row = self->first; row; row = row->next)
        if (!row->orphan) fn(arg, row->key, be_u64(row->key + 16), row->bytes, row->len);
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
        err_t err = self->fd < 0 ? ERR_OK : flush(self, INT64_MAX);
        (void)err; /* then they stay in `fresh` */
        if (self->fd >= 0 && !self->first) cut_fresh(self);
        kv_close(&self->kv);
    }
    while (self->first)
        drop(self, &self->first);
    buf_free(&self->news);
    if (self->fd >= 0) close(self->fd);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *self_p = NULL;
}

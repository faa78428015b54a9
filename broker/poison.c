/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/poison.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/map.h"
#include "client/base/log.h"

enum { HASHED_MAX = 256 };

struct poison {
    poison_file_t *file; /* mapped, shared */
    map_t suspects;      /* hash -> its entry in the file */
};

/* For the handler of faults, which has nothing else to go by. */
static poison_file_t *watched;
static __thread bool applying_here;

/* ---- the file -------------------------------------------------------------------------------- */

static struct poison_suspect *place_for(poison_file_t *file)
{
    struct poison_suspect *least = &file->suspects[0];
    for (size_t i = 0; i < POISON_SUSPECTS_MAX; i++) {
        if (file->suspects[i].hash == 0) return &file->suspects[i];
        if (file->suspects[i].marks < least->marks) least = &file->suspects[i];
    }
    return least;
}

static void mark(poison_t *self, uint64_t hash, uint32_t marks)
{
    struct poison_suspect *suspect = map_get(&self->suspects, hash);
    if (suspect == NULL) {
        suspect = place_for(self->file);
        if (suspect->hash) map_take(&self->suspects, suspect->hash);
        *suspect = (struct poison_suspect){ .hash = hash };
        map_put(&self->suspects, hash, suspect);
    }
    suspect->marks += marks;
}

/* What the process before left. */
static void take_over(poison_t *self)
{
    poison_file_t *file = self->file;
    if (file->magic != POISON_MAGIC || file->applying > POISON_APPLYING_MAX) {
        memset(file, 0, sizeof *file);
        file->magic = POISON_MAGIC;
        return;
    }
    for (size_t i = 0; i < POISON_SUSPECTS_MAX; i++)
        if (file->suspects[i].hash)
            map_put(&self->suspects, file->suspects[i].hash, &file->suspects[i]);
    if (file->applying)
        log_event(LOG_WARN, "CRASHED_BEFORE", "requests=%u cause=%s", file->applying,
                  file->own ? "\"the thread that applied them\"" : "outside");
    for (uint32_t i = 0; i < file->applying; i++)
        if (file->hashes[i]) mark(self, file->hashes[i], file->own ? POISON_OWN : POISON_KILLED);
    file->applying = file->own = 0;
}

err_t poison_open(poison_t **out, const char *path)
{
    *out = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return ERR_OS;
    /* all of it allocated: a page that the disk refuses later would be a fault of our own */
    int rc = fchmod(fd, 0600) != 0 ? errno : posix_fallocate(fd, 0, sizeof(poison_file_t));
    void *at = MAP_FAILED;
    if (rc == 0) at = mmap(NULL, sizeof(poison_file_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return rc == ENOSPC ? ERR_DISK_FULL : ERR_OS;
    poison_t *self = mem_new(sizeof *self);
    self->file = at;
    take_over(self);
    *out = self;
    return ERR_OK;
}

void poison_close(poison_t **self_p)
{
    poison_t *self = *self_p;
    if (self == NULL) return;
    if (watched == self->file) watched = NULL;
    memset(self->file, 0, sizeof *self->file);
    munmap(self->file, sizeof *self->file);
    map_free(&self->suspects);
    free(self);
    *self_p = NULL;
}

/* ---- a death of our own ---------------------------------------------------------------------- */

static void on_fault(int number)
{
    if (watched && applying_here) watched->own = 1;
    raise(number); /* the handler is gone by now: it takes its course */
}

void poison_watch(poison_t *self)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
    if (self == NULL) return;
    watched = self->file;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct sigaction action;
        /* a sanitizer's or debugger's handler stays */
        if (sigaction(faults[i], NULL, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        action.sa_handler = on_fault;
        action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
        sigemptyset(&action.sa_mask);
        (void)sigaction(faults[i], &action, NULL);
    }
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const uint8_t *at, size_t len)
{
    return (hash ^ hash64(at, len)) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool take_varint(slice_t *from, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && from->len > 0; shift += 7) {
        uint8_t byte = *from->at;
        *from = slice(from->at + 1, from->len - 1);
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* Fields of the envelope that a resend draws anew: magic, seq, session, assign_seen. */
static bool is_fleeting(uint64_t field)
{
    return field <= 3 || field == 5;
}

uint64_t poison_hash(slice_t frame)
{
    uint64_t hash = 1, tag, len;
    while (take_varint(&frame, &tag)) {
        switch (tag & 7) {
        case 0:
            if (!take_varint(&frame, &len)) return hash;
            continue;
        case 1:
        case 5:
            len = (tag & 7) == 1 ? 8 : 4;
            break;
        case 2:
            if (take_varint(&frame, &len)) break;
            return hash;
        default:
            return hash;
        }
        if (len > frame.len) return hash;
        if (!is_fleeting(tag >> 3)) {
            size_t part = len < HASHED_MAX ? (size_t)len : HASHED_MAX;
            hash = mix(hash ^ tag ^ len << 8, frame.at, part);
            hash = mix(hash, frame.at + len - part, part);
        }
        frame = slice(frame.at + len, frame.len - (size_t)len);
    }
    return hash ? hash : 1;
}

/* ---- a batch --------------------------------------------------------------------------------- */

void poison_begin(poison_t *self)
{
    if (self) applying_here = true;
}

void poison_add(poison_t *self, uint64_t hash)
{
    if (self == NULL || hash == 0 || self->file->applying == POISON_APPLYING_MAX) return;
    self->file->hashes[self->file->applying] = hash;
    __atomic_store_n(&self->file->applying, self->file->applying + 1, __ATOMIC_RELEASE);
}

void poison_end(poison_t *self)
{
    if (self == NULL) return;
    __atomic_store_n(&self->file->applying, 0, __ATOMIC_RELEASE);
    applying_here = false;
}

poison_verdict_t poison_judge(const poison_t *self, uint64_t hash)
{
    if (self == NULL || self->suspects.n == 0) return POISON_NONE;
    const struct poison_suspect *suspect = map_get(&self->suspects, hash);
    if (suspect == NULL) return POISON_NONE;
    if (suspect->marks >= POISON_MARKS) return POISON_REFUSE;
    return suspect->marks >= POISON_OWN ? POISON_SUSPECT : POISON_NONE;
}

void poison_clear(poison_t *self, uint64_t hash)
{
    if (self == NULL || self->suspects.n == 0) return;
    struct poison_suspect *suspect = map_take(&self->suspects, hash);
    if (suspect) memset(suspect, 0, sizeof *suspect);
}

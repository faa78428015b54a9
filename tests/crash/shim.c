/* SPDX-License-Identifier: Apache-2.0
 * tests/crash/shim.c - LD_PRELOAD: sees every write and sync of a store's data file.
 *
 * Each call on data.mdb, new.mdb or a folder that holds them is a step: 1, 2, 3, ... By
 * environment: CRASH_LOG=file     appends what happened (crash_event_t, then the bytes) to a file
 *   CRASH_KILL=N       the process is killed in front of step N
 *   CRASH_FAIL=N:E     step N fails with errno E and does nothing; E = 0: it writes half
 * The program calls crash_mark to tell what it acknowledges. */
#include "tests/crash/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static long step_number;

static void log_event_bytes(char kind, uint64_t at, const struct iovec *parts, int count)
{
    static int fd = -2;
    if (fd == -2) {
        const char *path = getenv("CRASH_LOG");
        fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (fd < 0) return;
    crash_event_t event = { .kind = kind, .at = at };
    for (int i = 0; i < count; i++)
        event.len += parts[i].iov_len;
    syscall(SYS_write, fd, &event, sizeof event);
    if (count) syscall(SYS_writev, fd, parts, count);
}

/* '\0': not ours. 'f': a store's file, 'd': one that writes through, '/': a folder. */
static char kind_of(int fd)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0) return 0;
    if (S_ISDIR(stat.st_mode)) return '/';
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 9) return 0;
    path[len] = '\0';
    if (strcmp(path + len - 9, "/data.mdb") != 0 && strcmp(path + len - 8, "/new.mdb") != 0)
        return 0;
    return fcntl(fd, F_GETFL) & O_DSYNC ? 'd' : 'f';
}

/* Counts a step. False: it is to fail; *half: after half of its bytes. */
static bool step(bool *half)
{
    const char *text = getenv("CRASH_KILL");
    step_number++;
    if (text && atol(text) == step_number) kill(getpid(), SIGKILL);
    text = getenv("CRASH_FAIL");
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!colon || atol(text) != step_number) return true;
    log_event_bytes(CRASH_STRUCK, 0, NULL, 0);
    errno = atoi(colon + 1);
    *half = errno == 0;
    return false;
}

SHOWN void crash_mark(char kind, uint64_t number)
{
    log_event_bytes(kind, number, NULL, 0);
}

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t at, bool positioned)
{
    char kind = kind_of(fd);
    bool half = false, dies = kind && kind != '/' ? !step(&half) : false;
    if (dies && !half) return -1;
    off_t from = positioned ? at : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done;
    struct iovec first = parts[0];
    if (half) {
        first.iov_len = first.iov_len / 2;
        parts = &first;
        count = 1;
    }
    if (positioned)
        done = syscall(SYS_pwritev, fd, parts, count, (long)at, 0L);
    else
        done = syscall(SYS_writev, fd, parts, count);
    if (kind && kind != '/' && done >= 0)
        log_event_bytes(kind == 'd' ? CRASH_WRITE_THROUGH : CRASH_WRITE, (uint64_t)from, parts,
                        count);
    return done;
}

static int sync_file(int fd, long call)
{
    char kind = kind_of(fd);
    bool half = false;
    if (kind && !step(&half)) {
        errno = half ? EIO : errno;
        return -1;
    }
    int rc = (int)syscall(call, fd);
    if (kind && rc == 0) log_event_bytes(kind == '/' ? CRASH_SYNC_FOLDER : CRASH_SYNC, 0, NULL, 0);
    return rc;
}

SHOWN ssize_t write(int fd, const void *bytes, size_t len)
{
    return write_parts(fd, &(struct iovec){ (void *)(uintptr_t)bytes, len }, 1, 0, false);
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_parts(fd, parts, count, 0, false);
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    return write_parts(fd, &(struct iovec){ (void *)(uintptr_t)bytes, len }, 1, at, true);
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    return pwrite(fd, bytes, len, at);
}

SHOWN ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return write_parts(fd, parts, count, at, true);
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
    return write_parts(fd, parts, count, at, true);
}

SHOWN int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

SHOWN int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

SHOWN int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    bool half = false;
    if (!step(&half)) {
        errno = half ? EIO : errno;
        return -1;
    }
    int rc = (int)syscall(SYS_renameat, from_folder, from, to_folder, to);
    if (rc == 0) log_event_bytes(CRASH_RENAME, 0, NULL, 0);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0
 * process_kit.h - for tests with real processes: a marker in their environment by which any
 * survivor is found, whatever it did to its name, session or parent; and waits for events with a
 * deadline. */
#ifndef TESTS_PROCESS_KIT_H
#define TESTS_PROCESS_KIT_H

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/process/warden.h"

/* A new marker: PAWL_MARK=<pid>-<number>-<clock>. */
static inline const char *mark_new(void)
{
    static char mark[96];
    static unsigned number;
    snprintf(mark, sizeof mark, "PAWL_MARK=%d-%u-%lld", (int)getpid(), number++,
             (long long)clock_steady_us());
    return mark;
}

/* How many living processes (no zombies: their environment is empty) carry the marker. */
static inline unsigned mark_count(const char *mark)
{
    static char text[1 << 16];
    unsigned found = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        char path[300];
        snprintf(path, sizeof path, "/proc/%s/environ", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t got = read(fd, text, sizeof text);
        close(fd);
        found += got > 0 && memmem(text, (size_t)got, mark, strlen(mark) + 1) != NULL;
    }
    if (proc) closedir(proc);
    return found;
}

/* Looks again and again until `want` processes carry the marker, or more when `at_least`. */
/* A deadline that no slow machine meets by its slowness. */
enum { PATIENCE_MS = 60000 };

static inline bool mark_becomes(const char *mark, unsigned want, bool at_least, int within_ms)
{
    int64_t deadline = clock_steady_us() + within_ms * INT64_C(1000);
    do {
        unsigned now = mark_count(mark);
        if (now == want || (at_least && now > want)) return true;
        poll(NULL, 0, 2);
    } while (clock_steady_us() < deadline);
    return false;
}

/* A command under a warden, with its two output pipes. */
struct command {
    int sock;
    int out, err;
};

static inline int command_run(struct command *self, int sock, char **argv, char **envp,
                              const launch_t *more)
{
    int out[2], err[2];
    *self = (struct command){ sock, -1, -1 };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return errno;
    launch_t launch = more ? *more : (launch_t){ .mask = 0027 };
    launch.argv = argv;
    launch.envp = envp;
    int failed = warden_run(sock, &launch, (int[3]){ null, out[1], err[1] }, INT64_MAX);
    close(null);
    close(out[1]);
    close(err[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    *self = (struct command){ sock, out[0], err[0] };
    return failed;
}

/* The next notice; kind 0 when none came in time or the warden died. */
static inline struct notice command_notice(const struct command *self, int within_ms)
{
    struct notice notice = { 0 };
    struct pollfd watch = { .fd = self->sock, .events = POLLIN };
    if (poll(&watch, 1, within_ms) <= 0 || warden_notice(self->sock, &notice) != 0) notice.kind = 0;
    return notice;
}

/* Waits until the command has written something; returns its length. */
static inline size_t command_read(const struct command *self, char *text, size_t room,
                                  int within_ms)
{
    struct pollfd watch = { .fd = self->out, .events = POLLIN };
    if (poll(&watch, 1, within_ms) <= 0) return 0;
    ssize_t got = read(self->out, text, room - 1);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

static inline void command_close(struct command *self)
{
    close(self->out);
    close(self->err);
}

#endif

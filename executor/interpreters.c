/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/interpreters.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "schemas/limits.h"

enum { SAID = 512 };

typedef struct probe {
    const char *name;
    pid_t pid; /* 0: could not be started */
    int fd;    /* -1: done */
    char said[SAID];
    size_t len;
} probe_t;

void interpreter_version(const char *said, char version[INTERPRETER_VERSION])
{
    version[0] = '\0';
    for (const char *at = said; *at; at++) {
        if (!isdigit((unsigned char)*at)) continue;
        size_t len = strspn(at, "0123456789.");
        while (len && at[len - 1] == '.')
            len--;
        if (memchr(at, '.', len) != NULL && len < INTERPRETER_VERSION) {
            memcpy(version, at, len);
            version[len] = '\0';
            return;
        }
        at += len - 1;
    }
}

static void start(probe_t *self, const char *path)
{
    int ends[2];
    char *argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t) "--version", NULL };
    char *envp[] = { (char *)(uintptr_t) "LC_ALL=C", NULL };
    self->fd = -1;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    posix_spawn_file_actions_adddup2(&files, ends[1], 2);
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK);
    int failed = posix_spawn(&self->pid, path, &files, &how, argv, envp);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (failed) {
        log_event(LOG_WARN, "INTERPRETER_MISSING", "name=%s path=%s why=\"%s\"", self->name, path,
                  strerror(failed));
        self->pid = 0;
        close(ends[0]);
        return;
    }
    self->fd = ends[0];
}

static void hear(probe_t *self)
{
    ssize_t got = read(self->fd, self->said + self->len, SAID - 1 - self->len);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) self->len += (size_t)got;
    if (got > 0 && self->len < SAID - 1) return;
    close(self->fd);
    self->fd = -1;
}

static void hear_all(probe_t *probes, size_t n)
{
    int64_t until = clock_steady_us() + INTERPRETERS_WITHIN_MS * 1000;
    for (;;) {
        struct pollfd watch[LIMIT_INTERPRETERS];
        int64_t left_ms = (until - clock_steady_us()) / 1000;
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            watch[i] = (struct pollfd){ .fd = probes[i].fd, .events = POLLIN };
            any |= probes[i].fd >= 0;
        }
        if (!any || left_ms <= 0) return;
        if (poll(watch, n, (int)left_ms) < 0) continue;
        for (size_t i = 0; i < n; i++)
            if (watch[i].revents) hear(&probes[i]);
    }
}

void interpreters_probe(const conf_t *conf, interpreter_fn *fn, void *arg)
{
    static probe_t probes[LIMIT_INTERPRETERS];
    size_t n = conf_count(conf, "allow.interpreters");
    CHECK(n <= LIMIT_INTERPRETERS); /* the configuration is complete */
    for (size_t i = 0; i < n; i++) {
        probes[i] = (probe_t){ .name = conf_name(conf, "allow.interpreters", i) };
        start(&probes[i], conf_item(conf, "allow.interpreters", i));
    }
    hear_all(probes, n);
    for (size_t i = 0; i < n; i++) {
        char version[INTERPRETER_VERSION];
        if (probes[i].pid == 0) continue;
        if (probes[i].fd >= 0) close(probes[i].fd);
        kill(probes[i].pid, SIGKILL); /* who said enough and goes on, or nothing at all */
        while (waitpid(probes[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
        interpreter_version(probes[i].said, version);
        fn(arg, probes[i].name, version);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * bench_spawn: empty commands per second (/bin/true with two pipes read to their ends, reaped) by
 * posix_spawn in one loop, and through the executor's wardens, without and with a cgroup. The
 * ways take turns, so that all of them see the same machine. One line a way, then the ratios.
 *
 * usage: bench_spawn [COMMANDS [AT_ONCE [posix_spawn]]]   default 2000, 2, all ways; posix_spawn:
 * that one alone, one round (for tests/bench/bench_commands.py) */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/process/cgroup.h"
#include "executor/process/helper.h"
#include "executor/process/warden.h"

enum { ROUNDS = 5, AT_ONCE_MAX = 64 };

struct running {
    pid_t pid;    /* posix_spawn */
    int sock;     /* warden */
    int out, err; /* our ends */
    bool busy;
};

static int at_once = 2;
static struct running running[AT_ONCE_MAX];
static char *const argv_true[] = { (char *)"/bin/true", NULL };
static char *const envp_true[] = { (char *)"PATH=/usr/bin:/bin", NULL };
static int null_fd;

static void fail(const char *what)
{
    fprintf(stderr, "bench_spawn: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_pipes(struct running *self, int out[2], int err[2])
{
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) fail("pipe");
    self->out = out[0];
    self->err = err[0];
    self->busy = true;
}

static void spawn_one(struct running *self)
{
    int out[2], err[2];
    make_pipes(self, out, err);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, null_fd, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if (posix_spawn(&self->pid, "/bin/true", &actions, NULL, argv_true, envp_true) != 0)
        fail("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
}

static void warden_one(struct running *self)
{
    int out[2], err[2];
    make_pipes(self, out, err);
    launch_t launch = {
        .argv = (char **)argv_true, .envp = (char **)envp_true, .cwd = "/", .mask = 0027
    };
    if (warden_run(self->sock, &launch, (int[3]){ null_fd, out[1], err[1] }, INT64_MAX) != 0)
        fail("warden_run");
    close(out[1]);
    close(err[1]);
}

static void read_to_end(int fd)
{
    char bytes[256];
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    close(fd);
}

/* Ends one that has closed its pipes. */
static void end_one(struct running *self, bool warden)
{
    read_to_end(self->out);
    read_to_end(self->err);
    if (warden) {
        struct notice notice;
        struct pollfd watch = { .fd = self->sock, .events = POLLIN };
        while (poll(&watch, 1, -1) < 0 || warden_notice(self->sock, &notice) == EAGAIN)
            ;
        if (notice.kind != NOTICE_EXITED) fail("no exit");
    } else if (waitpid(self->pid, NULL, 0) != self->pid) {
        fail("waitpid");
    }
    self->busy = false;
}

/* Seconds for `commands` of them, `at_once` at a time. */
static double run(int commands, bool warden)
{
    int64_t start = clock_steady_us();
    for (int begun = 0, ended = 0; ended < commands;) {
        struct pollfd watch[AT_ONCE_MAX];
        for (int i = 0; i < at_once; i++) {
            if (!running[i].busy && begun < commands) {
                (warden ? warden_one : spawn_one)(&running[i]);
                begun++;
            }
            watch[i] =
                (struct pollfd){ .fd = running[i].busy ? running[i].out : -1, .events = POLLIN };
        }
        if (poll(watch, (nfds_t)at_once, -1) < 0) continue;
        for (int i = 0; i < at_once; i++)
            if (running[i].busy && watch[i].revents) {
                end_one(&running[i], warden);
                ended++;
            }
    }
    return (double)(clock_steady_us() - start) / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    helper_t *helper;
    if (helper_start(&helper) != ERR_OK) fail("helper");
    int commands = argc > 1 ? atoi(argv[1]) : 2000;
    at_once = argc > 2 ? atoi(argv[2]) : 2;
    bool alone = argc > 3 && strcmp(argv[3], "posix_spawn") == 0;
    if (commands < 1 || at_once < 1 || at_once > AT_ONCE_MAX || (argc > 3 && !alone)) {
        fprintf(stderr, "usage: bench_spawn [COMMANDS [AT_ONCE [posix_spawn]]]\n");
        return 2;
    }
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (alone) {
        printf("spawn posix_spawn %.0f/s, %d at a time\n", commands / run(commands, false),
               at_once);
        return helper_stop(&helper, 3000) ? 0 : 1;
    }
    char why[128], state[] = "/tmp/pawl-bench-XXXXXX";
    if (!mkdtemp(state)) fail("mkdtemp");
    cgroup_t *cgroup = cgroup_open(state, why, sizeof why);
    int plain[AT_ONCE_MAX], grouped[AT_ONCE_MAX];
    for (int i = 0; i < at_once; i++) {
        int fd = cgroup ? cgroup_child(cgroup, (unsigned)i) : -1;
        if (helper_warden(helper, -1, &plain[i]) != ERR_OK ||
            helper_warden(helper, fd, &grouped[i]) != ERR_OK)
            fail("warden");
        if (fd >= 0) close(fd);
    }
    enum { SPAWN, PLAIN, GROUPED, WAYS };
    static const char *const name[WAYS] = { "posix_spawn", "warden", "warden + cgroup" };
    double rate[WAYS][ROUNDS];
    int ways = cgroup ? WAYS : GROUPED;
    for (int round = 0; round < ROUNDS; round++)
        for (int way = 0; way < ways; way++) {
            for (int i = 0; i < at_once; i++)
                running[i].sock = way == PLAIN ? plain[i] : grouped[i];
            rate[way][round] = commands / run(commands, way != SPAWN);
        }
    for (int way = 0; way < ways; way++) {
        qsort(rate[way], ROUNDS, sizeof rate[way][0], compare);
        printf("spawn %-16s %6.0f/s median of %d (least %.0f, most %.0f), %d at a time, %.2f of "
               "posix_spawn\n",
               name[way], rate[way][ROUNDS / 2], ROUNDS, rate[way][0], rate[way][ROUNDS - 1],
               at_once, rate[way][ROUNDS / 2] / rate[SPAWN][ROUNDS / 2]);
    }
    if (!cgroup) printf("spawn warden + cgroup  not measured: %s\n", why);
    for (int i = 0; i < at_once; i++) {
        close(plain[i]);
        close(grouped[i]);
    }
    helper_stop(&helper, 3000);
    cgroup_close(&cgroup);
    rmdir(state);
    return 0;
}

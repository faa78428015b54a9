/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/seal.h"
#include "client/cli/text.h"

enum {
    RESTART_US = 200 * 1000,
    BACKOFF_DOUBLINGS = 5,
    AT_ONCE_US = 8 * 1000 * 1000, /* a life shorter than this is a failed start: above the 5 s that
                                     a broker waits for the lock of a store */
    FAILED_STARTS_MOST = 5,
    DRAIN_US = 30 * 1000 * 1000,
    SAME_WISH_US = 500 * 1000, /* signals so close together are one: to a group and to its leader */
    LAST_LINES_BYTES = 1500,
    LOG_LARGEST = 8 << 20,
    STAGES = 3,
};

typedef struct child {
    char *label;
    char **argv;
    char *log; /* NULL: our stderr */
    int order;
    int hopeless_exit;
    pid_t pid;          /* 0: not running */
    int64_t started_us; /* of this life */
    int64_t due_us;     /* not running: when to start again */
    int failed_starts;  /* in a row */
} child_t;

struct supervisor {
    child_t *children;
    size_t count;
    const char *log_folder;
    int signals; /* a signalfd */
    sigset_t mask_before;
    int stage;           /* of the stop; -1: not stopping */
    int64_t asked_us;    /* when the stop began */
    int64_t deadline_us; /* of the drain */
    bool killed, cut_short, gave_up;
};

supervisor_t *supervisor_new(const char *log_folder)
{
    supervisor_t *self = mem_new(sizeof *self);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &self->mask_before);
    signal(SIGINT, SIG_DFL); /* a shell starts what runs in its background with INT ignored */
    signal(SIGPIPE, SIG_IGN);
    self->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(self->signals >= 0);
    self->log_folder = log_folder;
    self->stage = -1;
    return self;
}

/* ---- a child --------------------------------------------------------------------------------- */

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* A role may run for years and has its log open: what stands there is copied to PATH.1, then cut
 * off. Roles append, so they go on at the new beginning. A line of this very moment may be lost. */
static void trim_log(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || info.st_size <= LOG_LARGEST) return;
    char *old_path = NULL;
    int from = open(path, O_RDONLY | O_CLOEXEC), to = -1;
    if (asprintf(&old_path, "%s.1", path) > 0) /* not say(): this goes on for years */
        to = open(old_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    free(old_path);
    while (from >= 0 && to >= 0 && sendfile(to, from, NULL, LOG_LARGEST) > 0)
        ;
    if (from >= 0) close(from);
    if (to >= 0) close(to);
    (void)!truncate(path, 0); /* also when nothing could be copied: the disk may be full */
}

/* What a terminal sends to the whole group means the supervisor alone. */
static const int of_the_terminal[] = { SIGINT, SIGHUP, SIGQUIT, SIGTSTP };

/* In the child, between fork and exec: only calls that are safe there. */
static void become(const supervisor_t *self, const child_t *child, pid_t parent, int log)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILURE);
    for (size_t i = 0; i < ARRAY_LEN(of_the_terminal); i++)
        signal(of_the_terminal[i], SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &self->mask_before, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : STDERR_FILENO, STDOUT_FILENO);
    if (log >= 0) dup2(log, STDERR_FILENO);
    seal_restore_cores();
    execv(child->argv[0], child->argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", child->argv[0], strerror(errno));
    _exit(127);
}

static void start(supervisor_t *self, child_t *child)
{
    int log = child->log ? open_log(child->log) : -1;
    pid_t parent = getpid();
    fflush(NULL);
    child->pid = fork();
    if (child->pid == 0) become(self, child, parent, log);
    if (log >= 0) close(log);
    child->started_us = clock_steady_us();
    if (child->pid < 0) {
        child->pid = 0;
        child->due_us = child->started_us + RESTART_US;
    }
}

void supervisor_add(supervisor_t *self, const char *label, char *const *argv, int order,
                    int hopeless_exit)
{
    CHECK(order >= 0 && order < STAGES);
    size_t n = 0;
    while (argv[n])
        n++;
    self->children = mem_grow(self->children, (self->count + 1) * sizeof *self->children);
    child_t *child = &self->children[self->count++];
    *child = (child_t){ .label = mem_text(label), .order = order, .hopeless_exit = hopeless_exit };
    child->argv = mem_new((n + 1) * sizeof *child->argv);
    for (size_t i = 0; i < n; i++)
        child->argv[i] = mem_text(argv[i]);
    if (self->log_folder) child->log = mem_text(say("%s/%s.log", self->log_folder, label));
    start(self, child);
}

pid_t supervisor_pid(const supervisor_t *self, size_t i)
{
    return i < self->count ? self->children[i].pid : 0;
}

bool supervisor_stopping(const supervisor_t *self)
{
    return self->stage >= 0;
}

/* ---- the end of a child ---------------------------------------------------------------------- */

static void print_last_lines(const child_t *child)
{
    char text[LAST_LINES_BYTES + 1];
    FILE *file = child->log ? fopen(child->log, "re") : NULL;
    if (!file) return;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fseek(file, size > LAST_LINES_BYTES ? size - LAST_LINES_BYTES : 0, SEEK_SET);
    size_t got = fread(text, 1, LAST_LINES_BYTES, file);
    fclose(file);
    text[got] = '\0';
    const char *from = text;
    if (size > LAST_LINES_BYTES && strchr(text, '\n')) from = strchr(text, '\n') + 1;
    fprintf(stderr, "%s%s", from, got && text[got - 1] != '\n' ? "\n" : "");
}

static const char *how_it_ended(int status)
{
    return WIFEXITED(status) ? say("exit %d", WEXITSTATUS(status))
                             : say("signal %d", WTERMSIG(status));
}

static void kill_all(supervisor_t *self, int signal_number)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid) kill(self->children[i].pid, signal_number);
}

static void stop_now(supervisor_t *self)
{
    self->stage = STAGES;
    self->killed = true;
    kill_all(self, SIGKILL);
}

/* While those of earlier stages are ending they need the later ones: an executor hands in its last
 * results to a broker, also when somebody sent TERM to all of the group. */
static bool is_wanted(const supervisor_t *self, const child_t *child)
{
    return child->order > self->stage;
}

static void ended(supervisor_t *self, child_t *child, int status)
{
    int64_t now = clock_steady_us();
    /* killed from outside is no failed start: it begins again as soon as it may */
    bool outside =
        WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    child->pid = 0;
    if (!is_wanted(self, child)) return;
    child->failed_starts =
        outside || now - child->started_us > AT_ONCE_US ? 0 : child->failed_starts + 1;
    bool hopeless =
        child->hopeless_exit && WIFEXITED(status) && WEXITSTATUS(status) == child->hopeless_exit;
    if (hopeless || child->failed_starts >= FAILED_STARTS_MOST) {
        fprintf(stderr, "%s ended (%s) and is not started again; its last lines:\n", child->label,
                how_it_ended(status));
        print_last_lines(child);
        self->gave_up = true;
        stop_now(self);
        return;
    }
    int doublings = child->failed_starts > 1 ? child->failed_starts - 1 : 0;
    int64_t wait_us = (int64_t)RESTART_US
                      << (doublings < BACKOFF_DOUBLINGS ? doublings : BACKOFF_DOUBLINGS);
    child->due_us = now + wait_us;
    fprintf(stderr, "%s ended (%s), starts again in %" PRId64 " ms\n", child->label,
            how_it_ended(status), wait_us / 1000);
}

static void reap(supervisor_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        int status;
        child_t *child = &self->children[i];
        if (child->pid && waitpid(child->pid, &status, WNOHANG) == child->pid)
            ended(self, child, status);
    }
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void enter_stage(supervisor_t *self, int stage)
{
    self->stage = stage;
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid && self->children[i].order == stage)
            kill(self->children[i].pid, SIGTERM);
}

static bool any_alive(const supervisor_t *self, int order)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid && (order < 0 || self->children[i].order == order)) return true;
    return false;
}

static void on_signal(supervisor_t *self)
{
    int64_t now = clock_steady_us();
    if (self->stage >= 0) {
        if (now - self->asked_us < SAME_WISH_US) return;
        self->cut_short = true;
        stop_now(self);
        return;
    }
    self->asked_us = now;
    self->deadline_us = now + DRAIN_US;
    fprintf(stderr, "stopping: running tasks get %d s (once more stops at once)\n",
            DRAIN_US / 1000000);
    enter_stage(self, 0);
}

static void read_signals(supervisor_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->signals, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD) on_signal(self);
}

static bool is_idle(const supervisor_t *self, const child_t *child)
{
    return !child->pid && is_wanted(self, child);
}

/* When the next thing is due, at most wait_us from now. */
static int64_t wait_for(const supervisor_t *self, int64_t wait_us)
{
    int64_t now = clock_steady_us(), until = now + wait_us;
    if (self->stage >= 0 && self->deadline_us < until) until = self->deadline_us;
    for (size_t i = 0; i < self->count; i++)
        if (is_idle(self, &self->children[i]) && self->children[i].due_us < until)
            until = self->children[i].due_us;
    return until > now ? until - now : 0;
}

supervise_t supervisor_turn(supervisor_t *self, int64_t wait_us)
{
    struct pollfd look = { .fd = self->signals, .events = POLLIN };
    poll(&look, 1, (int)((wait_for(self, wait_us) + 999) / 1000));
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].log) trim_log(self->children[i].log);
    read_signals(self);
    reap(self);
    int64_t now = clock_steady_us();
    while (self->stage >= 0 && self->stage < STAGES && !any_alive(self, self->stage))
        enter_stage(self, self->stage + 1);
    for (size_t i = 0; i < self->count; i++)
        if (is_idle(self, &self->children[i]) && self->children[i].due_us <= now)
            start(self, &self->children[i]);
    if (self->stage < 0) return SUPERVISE_GOES_ON;
    if (!self->killed && now >= self->deadline_us) {
        fprintf(stderr, "not done after %d s: stopping at once\n", DRAIN_US / 1000000);
        stop_now(self);
    }
    if (any_alive(self, -1)) return SUPERVISE_GOES_ON;
    return self->gave_up     ? SUPERVISE_GAVE_UP
           : self->cut_short ? SUPERVISE_CUT_SHORT
                             : SUPERVISE_ENDED;
}

void supervisor_destroy(supervisor_t **self_p)
{
    supervisor_t *self = *self_p;
    if (!self) return;
    kill_all(self, SIGKILL);
    for (size_t i = 0; i < self->count; i++) {
        child_t *child = &self->children[i];
        if (child->pid) waitpid(child->pid, NULL, 0);
        for (char **word = child->argv; *word; word++)
            free(*word);
        free(child->argv);
        free(child->label);
        free(child->log);
    }
    free(self->children);
    close(self->signals);
    free(self);
    *self_p = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/process/tree.h"

enum {
    ORDER_RUN = 1,
    ORDER_TERMINATE,
    ORDER_KILL,
    ORDER_EXTEND,

    INLINE_MAX =
        48 << 10, /* a larger launch goes through a memory file: sockets have small buffers */
    KILL_WITHIN_US = 2000000,
    KILL_ROUND_MS = 10,
};

struct order {
    uint32_t kind;
    int64_t until_us; /* run, extend */
    uint32_t len;     /* bytes of the launch; those above INLINE_MAX are in the fourth descriptor */
};

/* ---- the executor's side --------------------------------------------------------------------- */

static int send_order(int sock, const struct order *order, const void *bytes, size_t len,
                      const int *fds, size_t fd_count)
{
    struct iovec parts[2] = { { (void *)(uintptr_t)order, sizeof *order },
                              { (void *)(uintptr_t)bytes, len } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = len ? 2 : 1 };
    if (fd_count) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(sock, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

int warden_run(int sock, const launch_t *launch, const int stdio[3], int64_t until_us)
{
    buf_t bytes = { 0 };
    launch_encode(launch, &bytes);
    struct order order = { .kind = ORDER_RUN, .until_us = until_us, .len = (uint32_t)bytes.len };
    int fds[4] = { stdio[0], stdio[1], stdio[2], -1 };
    int error = 0;
    if (bytes.len <= INLINE_MAX) {
        error = send_order(sock, &order, bytes.at, bytes.len, fds, 3);
    } else {
        fds[3] = memfd_create("pawl-launch", MFD_CLOEXEC);
        for (size_t done = 0; fds[3] >= 0 && done < bytes.len && !error;) {
            ssize_t put = write(fds[3], bytes.at + done, bytes.len - done);
            if (put < 0 && errno != EINTR) error = errno;
            done += put > 0 ? (size_t)put : 0;
        }
        if (fds[3] < 0) error = errno;
        if (!error) error = send_order(sock, &order, NULL, 0, fds, 4);
        if (fds[3] >= 0) close(fds[3]);
    }
    buf_free(&bytes);
    return error;
}

int warden_terminate(int sock)
{
    return send_order(sock, &(struct order){ .kind = ORDER_TERMINATE }, NULL, 0, NULL, 0);
}

int warden_kill(int sock)
{
    return send_order(sock, &(struct order){ .kind = ORDER_KILL }, NULL, 0, NULL, 0);
}

int warden_extend(int sock, int64_t until_us)
{
    struct order order = { .kind = ORDER_EXTEND, .until_us = until_us };
    return send_order(sock, &order, NULL, 0, NULL, 0);
}

int warden_notice(int sock, struct notice *notice)
{
    ssize_t got;
    do
        got = recv(sock, notice, sizeof *notice, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN ? EAGAIN : EPIPE;
    return got == (ssize_t)sizeof *notice ? 0 : EPIPE;
}

/* ---- the warden ------------------------------------------------------------------------------ */

struct warden {
    int sock, signals, cgroup_fd;
    struct launch_failure *failure; /* shared with the child until it has become its program */
    pid_t command;                  /* the main process, 0 = none */
    bool busy;                      /* a tree may be there */
    bool told;                      /* `exited` or `refused` was sent */
    bool killed;                    /* the cgroup was: no other command may be put into it */
    bool reaped;                    /* the main process was reaped, with: */
    int status;
    int64_t cpu_us, rss_bytes;
    int64_t until_us; /* of what runs */
    bool cut_off;     /* it ran out */
};

static void tell(struct warden *self, struct notice notice)
{
    notice.last |= self->killed;
    notice.cut_off = self->cut_off;
    notice.cpu_us = self->cpu_us;
    notice.rss_bytes = self->rss_bytes;
    ssize_t sent;
    do
        sent = send(self->sock, &notice, sizeof notice, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    /* a closed socket is seen by the loop, which then ends */
}

static void refuse(struct warden *self, enum launch_step step, int error)
{
    tell(self, (struct notice){ .kind = NOTICE_REFUSED, .step = (int)step, .error = error });
    self->busy = false;
}

/* Takes all that ended. False: no child is left, so the whole tree is gone. */
static bool reap(struct warden *self)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG | __WALL, &usage);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return pid == 0;
        self->cpu_us += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
                        usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
        if (usage.ru_maxrss * INT64_C(1024) > self->rss_bytes)
            self->rss_bytes = usage.ru_maxrss * INT64_C(1024);
        if (pid == self->command) {
            self->reaped = true;
            self->status = status;
        }
    }
}

static void on_child(struct warden *self)
{
    bool left = reap(self);
    if (!self->busy) return;
    if (self->reaped && !self->told) {
        self->told = true;
        if (self->failure->step != STEP_NONE) {
            refuse(self, (enum launch_step)self->failure->step, self->failure->error);
            return;
        }
        tell(self, (struct notice){ .kind = NOTICE_EXITED, .status = self->status, .alive = left });
        self->busy = left;
    } else if (self->told && !left) {
        self->busy = false;
        tell(self, (struct notice){ .kind = NOTICE_GONE });
    }
}

/* fork, straight into the cgroup where there is one. Own-system-call form: the process has one
 * thread and the child makes system calls only. `inside` tells whether the cgroup was entered. */
static pid_t fork_into(int cgroup_fd, bool *inside)
{
    *inside = false;
    if (cgroup_fd >= 0) {
        struct clone_args args = { .flags = CLONE_INTO_CGROUP,
                                   .exit_signal = SIGCHLD,
                                   .cgroup = (unsigned long long)cgroup_fd };
        long pid = syscall(SYS_clone3, &args, sizeof args);
        if (pid >= 0) {
            *inside = true;
            return (pid_t)pid;
        }
    }
    return _Fork(); /* see lean.h */
}

static void run(struct warden *self, void *bytes, size_t len, const int stdio[3])
{
    launch_t launch;
    CHECK(!self->busy && !self->killed && launch_decode(&launch, bytes, len));
    *self->failure = (struct launch_failure){ 0 };
    self->busy = true;
    self->told = self->reaped = false;
    self->cpu_us = self->rss_bytes = 0;
    pid_t parent = getpid();
    bool inside;
    pid_t pid = fork_into(self->cgroup_fd, &inside);
    if (pid == 0)
        launch_become(&launch, stdio, inside ? -1 : self->cgroup_fd, parent, self->failure);
    self->command = pid;
    if (pid < 0) refuse(self, STEP_FORK, errno);
    launch_release(&launch);
}

static void run_order(struct warden *self, const struct order *order, uint8_t *bytes, size_t len,
                      const int fds[4])
{
    if (len == order->len && fds[2] >= 0) {
        run(self, bytes, len, fds);
    } else {
        void *map = fds[3] < 0
                        ? MAP_FAILED
                        : mmap(NULL, order->len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[3], 0);
        if (map == MAP_FAILED) {
            refuse(self, STEP_FORK,
                   errno); /* descriptors did not come through: the table is full */
        } else {
            run(self, map, order->len, fds);
            munmap(map, order->len);
        }
    }
}

/* KILL in rounds until nothing is left or the time is over. */
static void kill_tree(struct warden *self)
{
    int64_t deadline = clock_steady_us() + KILL_WITHIN_US;
    pid_t me = getpid();
    while (self->busy && clock_steady_us() < deadline) {
        int fd =
            self->cgroup_fd < 0 ? -1 : openat(self->cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            ssize_t put = write(fd, "1", 1);
            self->killed |= put == 1; /* the sweep below follows in any case */
            close(fd);
        }
        tree_signal(me, SIGKILL);
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        struct timespec wait = { 0, KILL_ROUND_MS * 1000000 };
        sigtimedwait(&child, NULL, &wait);
        on_child(self);
    }
}

/* The executor is gone, or gave this warden up: nothing of the tree may stay. */
static _Noreturn void end(struct warden *self)
{
    while (self->busy)
        kill_tree(self);
    _exit(0);
}

static void kill_order(struct warden *self)
{
    kill_tree(self);
    if (!self->busy) return;
    pid_t pids[256];
    size_t n = tree_find(getpid(), pids, ARRAY_LEN(pids));
    tell(self, (struct notice){ .kind = NOTICE_GONE, .survivors = n ? (uint32_t)n : 1, .last = 1 });
    end(self);
}

static void on_order(struct warden *self)
{
    static uint8_t bytes[INLINE_MAX];
    struct order order = { 0 };
    struct iovec parts[2] = { { &order, sizeof order }, { bytes, sizeof bytes } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t got = recvmsg(self->sock, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got < (ssize_t)sizeof order) end(self);
    int fds[4] = { -1, -1, -1, -1 };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    size_t fd_count = 0;
    if (rights && rights->cmsg_type == SCM_RIGHTS) {
        fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(rights), fd_count * sizeof(int));
    }
    switch (order.kind) {
    case ORDER_RUN:
        self->until_us = order.until_us;
        self->cut_off = false;
        run_order(self, &order, bytes, (size_t)got - sizeof order, fds);
        break;
    case ORDER_TERMINATE:
        if (self->busy) tree_terminate(getpid());
        break;
    case ORDER_KILL:
        kill_order(self);
        break;
    case ORDER_EXTEND:
        if (order.until_us > self->until_us) self->until_us = order.until_us;
        break;
    default:
        CHECK(false); /* orders come from this program */
    }
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
}

static int wait_ms(const struct warden *self)
{
    if (!self->busy || self->until_us == INT64_MAX) return -1;
    int64_t left_us = self->until_us - clock_steady_us();
    return left_us <= 0 ? 0 : left_us > 3600000000 ? 3600000 : (int)(left_us / 1000) + 1;
}

_Noreturn void warden_main(int sock, int cgroup_fd)
{
    prctl(PR_SET_NAME, "pawl-warden");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t all, watched;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    struct warden self = { .sock = sock, .cgroup_fd = cgroup_fd };
    self.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    self.failure =
        mmap(NULL, sizeof *self.failure, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(self.signals >= 0 && self.failure != MAP_FAILED);
    for (;;) {
        struct pollfd watch[2] = { { .fd = self.signals, .events = POLLIN },
                                   { .fd = sock, .events = POLLIN } };
        if (poll(watch, 2, wait_ms(&self)) < 0) continue;
        if (watch[0].revents) {
            struct signalfd_siginfo info;
            while (read(self.signals, &info, sizeof info) > 0)
                ; /* one is enough: all that ended is taken below */
            on_child(&self);
        }
        if (watch[1].revents) on_order(&self);
        if (self.busy && clock_steady_us() >= self.until_us) {
            self.cut_off = true;
            self.until_us = INT64_MAX;
            kill_order(&self);
        }
    }
}

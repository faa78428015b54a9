/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/process/cgroup.h"
#include "executor/process/lean.h"
#include "executor/process/tree.h"
#include "executor/process/warden.h"

enum { ROUND_MS = 10, STRANGERS_MAX = 4096, PATH_ROOM = 4096 };
enum { SAY_WARDEN = 'w', SAY_CLEAN = 'c' };

struct helper {
    int control; /* SOCK_SEQPACKET: SAY_WARDEN with its socket (and cgroup), SAY_CLEAN with a path
                  */
    pid_t pid;
};

/* ---- the helper's own life ------------------------------------------------------------------- */

struct nursery {
    int control, signals;
    pid_t *wardens;
    size_t count, room;
    char cgroup[PATH_ROOM]; /* to be removed at the end; "": none */
    ino_t cgroup_inode;     /* of it: a next executor may have made one of the same name */
};

static bool is_warden(const struct nursery *self, pid_t pid)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->wardens[i] == pid) return true;
    return false;
}

static void forget(struct nursery *self, pid_t pid)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->wardens[i] == pid) {
            self->wardens[i] = self->wardens[--self->count];
            return;
        }
}

/* Kills what a dead warden left. Returns true while such processes are there. */
static bool kill_strangers(const struct nursery *self)
{
    static pid_t children[STRANGERS_MAX];
    size_t n = tree_children(getpid(), children, STRANGERS_MAX);
    bool found = false;
    for (size_t i = 0; i < n; i++)
        if (!is_warden(self, children[i])) {
            tree_signal(children[i], SIGKILL);
            kill(children[i], SIGKILL);
            found = true;
        }
    return found;
}

/* Takes what ended. False: no child is left at all. */
static bool reap(struct nursery *self)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return pid == 0;
        forget(self, pid);
    }
}

static void start_warden(struct nursery *self, int sock, int cgroup_fd)
{
    pid_t pid = _Fork(); /* see lean.h */
    if (pid == 0) {
        /* nothing of the helper or of other wardens may stay open: a copy of an end would hide that
         * the other side has closed */
        int low = fcntl(sock, F_DUPFD_CLOEXEC, 64);
        int cgroup = cgroup_fd < 0 ? -1 : fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 64);
        CHECK(low >= 64 && (cgroup >= 64 || cgroup_fd < 0));
        int ends[2] = { dup3(low, 3, O_CLOEXEC), cgroup < 0 ? -1 : dup3(cgroup, 4, O_CLOEXEC) };
        int first = ends[1] < 0 ? 4 : 5;
        if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) != 0)
            for (int fd = first; fd < 1024; fd++)
                close(fd); /* a kernel before 5.9 */
        warden_main(ends[0], ends[1]);
    }
    if (pid > 0) {
        if (self->count == self->room) {
            self->room = self->room ? self->room * 2 : 16;
            self->wardens = mem_grow(self->wardens, self->room * sizeof *self->wardens);
        }
        self->wardens[self->count++] = pid;
    }
    /* no process could be made: the socket closes and the executor sees that */
}

/* 0: it is not there. */
static ino_t inode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_ino : 0;
}

/* False: the executor is gone. */
static bool on_control(struct nursery *self)
{
    char said[1 + PATH_ROOM];
    struct iovec part = { said, sizeof said };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t got = recvmsg(self->control, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    if (said[0] == SAY_CLEAN) {
        snprintf(self->cgroup, sizeof self->cgroup, "%.*s", (int)got - 1, said + 1);
        self->cgroup_inode = inode_of(self->cgroup);
    }
    int fds[2] = { -1, -1 };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
    if (fds[0] >= 0) start_warden(self, fds[0], fds[1]);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
    return true;
}

/* A copy of all that the executor was given, in this process and each warden; a launch says what a
 * command gets. */
static void forget_environment(void)
{
    for (char **at = environ; at && *at; at++)
        explicit_bzero(*at, strlen(*at));
    environ = NULL;
}

static _Noreturn void helper_main(int control)
{
    forget_environment();
    prctl(PR_SET_NAME, "pawl-helper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 2; fd++)
        dup2(null, fd);
    sigset_t all, watched;
    /* what is ignored stays so through exec; the C library lets nobody touch its own two signals
     * (32, 33), yet they may come to us ignored: so by the system call */
    static const unsigned long standard[8]; /* a kernel's sigaction, all zero: the default */
    for (int signal = 1; signal < NSIG; signal++)
        syscall(SYS_rt_sigaction, signal, standard, NULL, 8);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    struct nursery self = { .control = control,
                            .signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK) };
    CHECK(self.signals >= 0);
    lean_children();
    bool open_control = true, strangers = false;
    for (;;) {
        struct pollfd watch[2] = { { .fd = self.signals, .events = POLLIN },
                                   { .fd = open_control ? control : -1, .events = POLLIN } };
        if (poll(watch, 2, strangers ? ROUND_MS : -1) < 0) continue;
        if (watch[1].revents && !on_control(&self)) {
            open_control = false;
            close(control);
        }
        struct signalfd_siginfo info;
        while (read(self.signals, &info, sizeof info) > 0)
            ; /* all that ended is taken at once */
        bool left = reap(&self);
        if (!left && !open_control) {
            if (self.cgroup_inode && inode_of(self.cgroup) == self.cgroup_inode)
                (void)!cgroup_remove(self.cgroup);
            _exit(0);
        }
        strangers = left && kill_strangers(&self);
    }
}

/* ---- the executor's side --------------------------------------------------------------------- */

err_t helper_start(helper_t **out)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ERR_OS;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        helper_main(pair[1]);
    }
    int error = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = error;
        return ERR_OS;
    }
    helper_t *self = mem_new(sizeof *self);
    self->control = pair[0];
    self->pid = pid;
    *out = self;
    return ERR_OK;
}

err_t helper_warden(helper_t *self, int cgroup_fd, int *sock)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ERR_OS;
    char byte = SAY_WARDEN;
    struct iovec part = { &byte, 1 };
    int fds[2] = { pair[1], cgroup_fd };
    size_t fd_count = cgroup_fd < 0 ? 1 : 2;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = CMSG_SPACE(fd_count * sizeof(int)) };
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    ssize_t sent;
    do
        sent = sendmsg(self->control, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int error = errno;
    close(pair[1]);
    if (sent < 0) {
        close(pair[0]);
        errno = error;
        return ERR_OS;
    }
    *sock = pair[0];
    return ERR_OK;
}

void helper_cleans(helper_t *self, const char *cgroup_path)
{
    char said[1 + PATH_ROOM] = { SAY_CLEAN };
    size_t len = strlen(cgroup_path);
    if (len >= PATH_ROOM) return;
    memcpy(said + 1, cgroup_path, len + 1);
    (void)!send(self->control, said, 1 + len, MSG_NOSIGNAL);
}

int helper_fd(const helper_t *self)
{
    return self->control;
}

pid_t helper_pid(const helper_t *self)
{
    return self->pid;
}

bool helper_stop(helper_t **self_p, int wait_ms)
{
    helper_t *self = *self_p;
    *self_p = NULL;
    if (!self) return true;
    int process = (int)syscall(SYS_pidfd_open, self->pid, 0);
    close(self->control);
    struct pollfd watch = { .fd = process, .events = POLLIN };
    bool gone = process < 0 || poll(&watch, 1, wait_ms) > 0;
    if (gone) waitpid(self->pid, NULL, 0);
    if (process >= 0) close(process);
    free(self);
    return gone;
}

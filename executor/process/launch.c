/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/base/seal.h"

/* The fixed part of an encoded launch; behind it stand cwd (if any), argv and envp as texts, each
 * with its NUL. */
struct launch_head {
    uint32_t argc, envc;
    uint32_t has_cwd, cwd_or_root, switch_user;
    uint32_t mask;
    int32_t nice;
    uint32_t uid, gid;
    uint32_t group_count, limit_count;
    uint32_t groups[LAUNCH_GROUPS_MAX];
    struct launch_limit limits[LAUNCH_LIMITS_MAX];
};

static uint32_t count(char **texts)
{
    uint32_t n = 0;
    while (texts[n])
        n++;
    return n;
}

void launch_encode(const launch_t *self, buf_t *to)
{
    CHECK(self->group_count <= LAUNCH_GROUPS_MAX && self->limit_count <= LAUNCH_LIMITS_MAX);
    struct launch_head head = { .argc = count(self->argv),
                                .envc = count(self->envp),
                                .has_cwd = self->cwd != NULL,
                                .cwd_or_root = self->cwd_or_root,
                                .switch_user = self->switch_user,
                                .mask = self->mask,
                                .nice = self->nice,
                                .uid = self->uid,
                                .gid = self->gid,
                                .group_count = self->group_count,
                                .limit_count = self->limit_count };
    CHECK(head.argc > 0);
    memcpy(head.groups, self->groups, self->group_count * sizeof *self->groups);
    memcpy(head.limits, self->limits, self->limit_count * sizeof *self->limits);
    buf_add(to, &head, sizeof head);
    if (self->cwd) buf_add(to, self->cwd, strlen(self->cwd) + 1);
    for (uint32_t i = 0; i < head.argc; i++)
        buf_add(to, self->argv[i], strlen(self->argv[i]) + 1);
    for (uint32_t i = 0; i < head.envc; i++)
        buf_add(to, self->envp[i], strlen(self->envp[i]) + 1);
}

static char *take_text(char **at, const char *end)
{
    char *text = *at;
    char *stop = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;
    if (!stop) return NULL;
    *at = stop + 1;
    return text;
}

bool launch_decode(launch_t *self, void *bytes, size_t len)
{
    struct launch_head head;
    *self = (launch_t){ 0 };
    if (len < sizeof head) return false;
    memcpy(&head, bytes, sizeof head);
    if (head.argc == 0 || head.argc > len || head.envc > len ||
        head.group_count > LAUNCH_GROUPS_MAX || head.limit_count > LAUNCH_LIMITS_MAX)
        return false;
    self->mask = head.mask;
    self->nice = head.nice;
    self->switch_user = head.switch_user != 0;
    self->cwd_or_root = head.cwd_or_root != 0;
    self->uid = head.uid;
    self->gid = head.gid;
    self->group_count = head.group_count;
    self->limit_count = head.limit_count;
    memcpy(self->groups, head.groups, head.group_count * sizeof *self->groups);
    memcpy(self->limits, head.limits, head.limit_count * sizeof *self->limits);

    char *at = (char *)bytes + sizeof head;
    const char *end = (char *)bytes + len;
    char **texts = mem_new(((size_t)head.argc + head.envc + 2) * sizeof *texts);
    self->arena = texts;
    self->argv = texts;
    self->envp = texts + head.argc + 1;
    bool whole = !head.has_cwd || (self->cwd = take_text(&at, end)) != NULL;
    for (uint32_t i = 0; whole && i < head.argc; i++)
        whole = (self->argv[i] = take_text(&at, end)) != NULL;
    for (uint32_t i = 0; whole && i < head.envc; i++)
        whole = (self->envp[i] = take_text(&at, end)) != NULL;
    if (!whole || at != end) {
        launch_release(self);
        return false;
    }
    return true;
}

void launch_release(launch_t *self)
{
    free(self->arena);
    *self = (launch_t){ 0 };
}

static _Noreturn void give_up(struct launch_failure *failure, enum launch_step step)
{
    failure->error = errno;
    failure->step = (int)step;
    _exit(127);
}

static bool enter_cgroup(int cgroup_fd)
{
    int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    bool entered = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0) close(fd);
    return entered;
}

static bool apply_limits(const launch_t *self)
{
    for (uint32_t i = 0; i < self->limit_count; i++) {
        /* above the hard limit only root may go: the hard limit is then what is given. A second
         * more of CPU time: at the soft limit SIGXCPU says what it is, at the hard one KILL would
         * come in its place */
        bool cpu = self->limits[i].resource == RLIMIT_CPU;
        struct rlimit old, want = { self->limits[i].value, self->limits[i].value + cpu };
        if (getrlimit((__rlimit_resource_t)self->limits[i].resource, &old) != 0) return false;
        if (geteuid() != 0 && want.rlim_max > old.rlim_max)
            want = (struct rlimit){ old.rlim_max, old.rlim_max };
        if (setrlimit((__rlimit_resource_t)self->limits[i].resource, &want) != 0) return false;
    }
    if (self->nice) {
        errno = 0;
        if (nice(self->nice) == -1 && errno) return false;
    }
    return true;
}

/* Groups before gid before uid; then all of them are read back: a set*id that half worked must not
 * go unseen. */
static bool become_account(const launch_t *self)
{
    if (setgroups(self->group_count, self->groups) != 0 ||
        setresgid(self->gid, self->gid, self->gid) != 0 ||
        setresuid(self->uid, self->uid, self->uid) != 0)
        return false;
    uid_t real_user, user, saved_user;
    gid_t real_group, group, saved_group;
    if (getresuid(&real_user, &user, &saved_user) != 0 ||
        getresgid(&real_group, &group, &saved_group) != 0)
        return false;
    bool same = real_user == self->uid && user == self->uid && saved_user == self->uid &&
                real_group == self->gid && group == self->gid && saved_group == self->gid;
    if (!same) errno = EPERM;
    return same;
}

/* Tries each folder of PATH. Returns only when none worked: EACCES where something was found that
 * may not be run, else ENOENT. */
static void exec_in_path(const launch_t *self, const char *path)
{
    static char candidate[4096];
    size_t name_len = strlen(self->argv[0]);
    int worst = ENOENT;
    for (const char *part = path; part;) {
        const char *stop = strchrnul(part, ':');
        size_t len = (size_t)(stop - part);
        if (len > 0 && len + name_len + 2 <= sizeof candidate) {
            memcpy(candidate, part, len);
            candidate[len] = '/';
            memcpy(candidate + len + 1, self->argv[0], name_len + 1);
            execve(candidate, self->argv, self->envp);
            if (errno != ENOENT && errno != ENOTDIR) {
                worst = errno;
                if (errno != EACCES) break;
            }
        }
        part = *stop ? stop + 1 : NULL;
    }
    errno = worst;
}

_Noreturn void launch_become(const launch_t *self, const int stdio[3], int cgroup_fd, pid_t parent,
                             struct launch_failure *failure)
{
    if (setsid() < 0) give_up(failure, STEP_SESSION);
    if (cgroup_fd >= 0 && !enter_cgroup(cgroup_fd)) give_up(failure, STEP_CGROUP);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(stdio[fd], fd) < 0) give_up(failure, STEP_STDIO);
    if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
        for (int fd = 3; fd < 1024; fd++)
            close(fd); /* a kernel before 5.9 */
    umask(self->mask);
    seal_restore_cores();
    if (!apply_limits(self)) give_up(failure, STEP_LIMITS);
    if (self->switch_user && !become_account(self)) give_up(failure, STEP_ACCOUNT);
    seal_again();
    /* after the account: a change of credentials clears the death signal */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        give_up(failure, STEP_PARENT);
    if (getppid() != parent) {
        errno = ECHILD;
        give_up(failure, STEP_PARENT);
    }
    if (self->cwd && chdir(self->cwd) != 0 &&
        !(self->cwd_or_root && errno == ENOENT && chdir("/") == 0))
        give_up(failure, STEP_CWD);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    if (strchr(self->argv[0], '/')) {
        execve(self->argv[0], self->argv, self->envp);
    } else {
        const char *path = NULL;
        for (char **env = self->envp; *env && !path; env++)
            path = strncmp(*env, "PATH=", 5) == 0 ? *env + 5 : NULL;
        exec_in_path(self, path ? path : "/usr/bin:/bin");
    }
    give_up(failure, STEP_EXEC);
}

int launch_explain(enum launch_step step, int error, const char *program, const char *cwd,
                   const char *account, buf_t *message)
{
    const char *why = strerror(error);
    switch (step) {
    case STEP_EXEC:
        if (error == ENOENT) {
            if (!strchr(program, '/'))
                buf_printf(message, "program \"%s\" was not found in PATH", program);
            else if (access(program, F_OK) == 0)
                buf_printf(message,
                           "the interpreter that \"%s\" names in its first line was not found",
                           program);
            else
                buf_printf(message, "program \"%s\" was not found", program);
            return 127;
        }
        if (error == EACCES)
            buf_printf(message, "program \"%s\" may not be executed: %s", program, why);
        else if (error == ENOEXEC)
            buf_printf(message, "program \"%s\" is no executable format (a script needs a #! line)",
                       program);
        else if (error == E2BIG)
            buf_printf(message, "program \"%s\": arguments and environment are too long", program);
        else
            buf_printf(message, "program \"%s\" could not be started: %s", program, why);
        return 126;
    case STEP_CWD:
        buf_printf(message, "folder \"%s\" could not be entered: %s", cwd ? cwd : "", why);
        return 126;
    case STEP_ACCOUNT:
        buf_printf(message, "account \"%s\" could not be used: %s%s", account ? account : "", why,
                   geteuid() == 0 ? "" : " (the executor does not run as root)");
        return 126;
    case STEP_FORK:
        buf_printf(message, "no process could be made: %s", why);
        return 126;
    case STEP_CGROUP:
        buf_printf(message, "the cgroup of the attempt could not be entered: %s", why);
        return 126;
    case STEP_LIMITS:
        buf_printf(message, "resource limits could not be set: %s", why);
        return 126;
    default:
        buf_printf(message, "the process could not be prepared (step %d): %s", (int)step, why);
        return 126;
    }
}

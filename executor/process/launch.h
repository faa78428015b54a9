/* SPDX-License-Identifier: Apache-2.0
 * executor/process/launch.h - what is to be run and how, and the last steps of a child before it
 * becomes it.
 *
 * A launch travels from the executor to a warden as bytes (launch_encode, launch_decode): both are
 * the same program, so numbers are in the machine's own order. launch_become runs in a freshly
 * forked child and makes system calls only: no memory is taken, no lock, no lookup of names. */
#ifndef EXECUTOR_LAUNCH_H
#define EXECUTOR_LAUNCH_H

#include <sys/types.h>

#include "client/base/base.h"

enum { LAUNCH_LIMITS_MAX = 8, LAUNCH_GROUPS_MAX = 64 };

/* Which step a child failed at; the errno says why. */
enum launch_step {
    STEP_NONE,
    STEP_FORK,    /* no process could be made */
    STEP_SESSION, /* a session of its own */
    STEP_CGROUP,
    STEP_STDIO,
    STEP_LIMITS, /* rlimits, niceness */
    STEP_ACCOUNT,
    STEP_PARENT, /* the warden died meanwhile, or privileges could not be sealed */
    STEP_CWD,
    STEP_EXEC,
};

struct launch_limit {
    int resource;   /* RLIMIT_* */
    uint64_t value; /* soft and hard */
};

/* Pointers are borrowed by encode; after decode they point into the decoded bytes and into one
 * allocation that launch_release frees. */
typedef struct launch {
    char **argv;      /* NULL at the end; argv[0] without a slash is looked up in PATH of envp */
    char **envp;      /* NULL at the end: the whole environment */
    const char *cwd;  /* NULL: stays where the executor is */
    bool cwd_or_root; /* / when there is no such folder */
    mode_t mask;      /* umask */
    int nice;         /* added to the executor's */
    bool switch_user; /* become uid, gid, groups */
    uid_t uid;
    gid_t gid;
    gid_t groups[LAUNCH_GROUPS_MAX];
    uint32_t group_count;
    struct launch_limit limits[LAUNCH_LIMITS_MAX];
    uint32_t limit_count;
    void *arena; /* of decode */
} launch_t;

void launch_encode(const launch_t *self, buf_t *to);
/* false: not what launch_encode made. `bytes` must outlive the launch. */
bool launch_decode(launch_t *self, void *bytes, size_t len);
void launch_release(launch_t *self);

/* Where a child leaves its failure: memory shared with the warden. */
struct launch_failure {
    int step; /* enum launch_step */
    int error;
};

/* Never returns: becomes the program, or notes the failure and exits with 127. `stdio` are the
 * three descriptors to become 0, 1, 2 (each above 2); `cgroup_fd` is the folder of a cgroup to
 * enter, or -1. */
_Noreturn void launch_become(const launch_t *self, const int stdio[3], int cgroup_fd, pid_t parent,
                             struct launch_failure *failure);

/* A sentence for a task's message, and the exit code a shell would give: 127 not found, else 126.
 */
int launch_explain(enum launch_step step, int error, const char *program, const char *cwd,
                   const char *account, buf_t *message);

#endif

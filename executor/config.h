/* SPDX-License-Identifier: Apache-2.0
 * executor/config.h - what this executor is and what it will run: its own file, environment, flags.
 *
 * Read in this order, later wins: defaults, the file, the files of conf.d beside it (in order of
 * names), PAWL_EXECUTOR__KEY (`__` for each level: PAWL_EXECUTOR__PROCESS__KILL_GRACE), flags. One
 * table holds all keys; lists are written with commas in the environment and in flags. Sections of
 * other roles are skipped. */
#ifndef EXECUTOR_CONFIG_H
#define EXECUTOR_CONFIG_H

#include <sys/types.h>

#include "client/base/base.h"
#include "client/base/log.h"
#include "executor/launch.h"

enum { CONFIG_SLOTS_MAX = 4096, CONFIG_LIST_MAX = 256 };

/* Texts in order of the file. */
struct config_list {
    char **items;
    size_t count;
};

enum config_cgroup { CGROUP_AUTO, CGROUP_NEVER, CGROUP_ALWAYS };

typedef struct executor_config {
    char *state;                     /* folder of lock, outbox and work */
    char *broker;                    /* endpoint; "" = the SDK's default */
    char *name;                      /* "" = host name */
    char *outbox;                    /* "" = STATE/outbox */
    char *workdir;                   /* "" = STATE/work */
    int64_t slots;                   /* 0 = number of CPUs */
    struct config_list queues;       /* none = all */
    struct config_list labels;       /* key=value */
    struct config_list kinds;        /* shell, script */
    struct config_list accounts;     /* that a task may name, beside our own */
    struct config_list interpreters; /* name=path */
    struct config_list env_keep;     /* names passed on from our own environment */
    int64_t drain_timeout_us, time_limit_us, kill_grace_us; /* time_limit 0 = none */
    mode_t mask;
    int nice;
    enum config_cgroup cgroup;
    struct launch_limit limits[LAUNCH_LIMITS_MAX];
    uint32_t limit_count;
    enum log_level log_level;
} executor_config_t;

executor_config_t *config_new(void); /* the defaults */
void config_destroy(executor_config_t **self_p);

/* Each of these adds to `error` (what, why, what to type; three lines at most) and returns
 * ERR_CONFIG. */
MUST_CHECK err_t config_read_file(executor_config_t *self, const char *path, buf_t *error);
MUST_CHECK err_t config_read_environment(executor_config_t *self, char **envp, buf_t *error);
/* One key as text, e.g. "process.kill_grace", "10s". `where` is named in the error. Lists: replaced
 * by what stands between commas. */
MUST_CHECK err_t config_set(executor_config_t *self, const char *key, const char *value,
                            const char *where, buf_t *error);
/* Adds to a list (flags that may be repeated). */
MUST_CHECK err_t config_add(executor_config_t *self, const char *key, const char *value,
                            const char *where, buf_t *error);
/* Fills in what depends on the machine (name, slots, folders, interpreters found in PATH). */
MUST_CHECK err_t config_complete(executor_config_t *self, buf_t *error);

bool config_listed(const struct config_list *list, const char *text);
/* Value of `key` in a list of key=value; NULL when it is not there. */
const char *config_mapped(const struct config_list *list, const char *key);

/* "500ms", "20s", "5m", "1h", "2d" to microseconds; a bare number other than 0 is refused. */
bool config_duration(const char *text, int64_t *out_us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * executor/config.h - what this executor is and what it will run: its own file, environment, flags.
 *
 * One table of keys over client/base/conf.h, in the section `executor` of the file. Later wins:
 * defaults, the file, the files of conf.d beside it, PAWL_EXECUTOR__KEY, flags. What is read often
 * or means more than its text is taken out of the table once, by config_complete; lists and maps
 * are read where they stand: conf_listed(config->conf, "allow.accounts", name). */
#ifndef EXECUTOR_CONFIG_H
#define EXECUTOR_CONFIG_H

#include <sys/types.h>

#include "client/base/conf.h"
#include "client/base/log.h"
#include "executor/process/launch.h"
#include "executor/sql/sources.h"

#define CONFIG_ENVIRONMENT "PAWL_EXECUTOR__"

enum { CONFIG_SLOTS_MAX = 4096 };

enum config_cgroup { CGROUP_AUTO, CGROUP_NEVER, CGROUP_ALWAYS };

typedef struct executor_config {
    conf_t *conf;                  /* all keys; sources are loaded into it before config_complete */
    sources_t sources;             /* databases */
    const char *broker;            /* endpoint; "" = the SDK's default */
    const char *key;               /* file, for a tcp endpoint; "" = the SDK's default */
    char *state;                   /* folder of lock, outbox and work */
    char *name, *outbox, *workdir; /* filled in where the file is silent */
    int64_t slots;                 /* at least 1 */
    int64_t drain_timeout_us, time_limit_us, kill_grace_us; /* time_limit 0 = none */
    mode_t mask;
    int nice;
    enum config_cgroup cgroup;
    bool cgroup_limits; /* memory and processes are the cgroup's business (set by main) */
    struct launch_limit limits[LAUNCH_LIMITS_MAX];
    uint32_t limit_count;
    enum log_level log_level;
} executor_config_t;

/* What holds for the attempts of one type: `process`, then `types`. */
struct config_limits {
    struct launch_limit at[LAUNCH_LIMITS_MAX];
    uint32_t count;
    int64_t memory, processes;     /* 0: none */
    int64_t cpu_us, time_limit_us; /* 0: none */
};
struct config_limits config_limits(const executor_config_t *self, const char *type);

executor_config_t *config_new(void); /* the defaults */
void config_destroy(executor_config_t **self_p);
/* Checks what one key alone cannot tell, and fills in what depends on the machine (name, slots,
 * folders, interpreters found in PATH). ERR_CONFIG with one sentence in `why`. */
MUST_CHECK err_t config_complete(executor_config_t *self, char *why, size_t len);

#endif

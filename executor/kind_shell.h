/* SPDX-License-Identifier: Apache-2.0
 * executor/kind_shell.h - the kinds shell and script: from a task to what is launched.
 *
 * pawl/shell runs `argv` as it is, or gives `shell` to /bin/sh -c. pawl/script writes the text into
 * the attempt's folder and gives it to an interpreter of this executor's own list, with `argv` as
 * its arguments; or it runs a file of an allowed folder where it stands, by itself when it is
 * executable and no interpreter is named. No way leads out of the folder, by `..` or by a link. A
 * secret is a private copy of one of the executor's own files, readable by the account alone.
 * What the task asks for and this executor's file does not allow is refused here.
 *
 * The environment begins empty: the kept names of our own (PATH, LANG), HOME and USER of the
 * account, PAWL_TASK_ID PAWL_TYPE PAWL_ATTEMPT PAWL_TOKEN PAWL_PLANNED (RFC 3339, UTC)
 * PAWL_SCHEDULE PAWL_INPUT PAWL_OUTPUT PAWL_COMPLETION (the token by which somebody else may end
 * the task), PAWL_POLLS and PAWL_STATE (a file: what the last poll left) once it was asked before,
 * PAWL_SECRET_NAME_FILE for each secret, then what the task declares. A task may not declare names
 * that are empty or hold '=', nor PAWL_* (they say who it is), nor LD_* (they would load code into
 * whatever the executor's file allows; who needs them for one program writes `env
 * LD_LIBRARY_PATH=... program`).
 *
 * Without `cwd` a command starts in the home of its account, as under cron, or in / without one. */
#ifndef EXECUTOR_KIND_SHELL_H
#define EXECUTOR_KIND_SHELL_H

#include "executor/config.h"
#include "executor/process/launch.h"
#include "executor/spare.h"

struct shell_env {
    const char *name, *value;
};

/* One attempt as the broker gave it. Everything is borrowed; texts may be "". */
typedef struct shell_task {
    const char *id, *type, *schedule;
    const char *parent; /* of a fan-out's child: the id of its parent; "" */
    unsigned shard_index, shard_total;
    unsigned attempt;
    uint64_t token;
    int64_t planned_us;
    int64_t folded_first_us; /* it stands for folded_count instants from there to its own */
    uint64_t folded_count;   /* 0: only for its own */
    const char *const *argv;
    size_t argc;
    const char *shell, *interpreter;
    slice_t script, input, standard_input; /* len 0: none */
    const struct shell_env *env;
    size_t env_count;
    const char *cwd, *account;
    const char *script_file;    /* below one of allow.script_dirs */
    const char *const *secrets; /* names */
    size_t secret_count;
    const char *completion; /* token by which somebody else may end it */
    unsigned polls;         /* how often this attempt said: ask again */
    slice_t poll_state;     /* what it left then */
    spare_t *spare;         /* a folder that may be used again, or NULL */
} shell_task_t;

/* What was made of it. Limits of memory and processes that a cgroup sets are in `limits`. */
typedef struct shell_plan {
    launch_t launch;
    struct config_limits limits;
    int stdin_fd;                 /* to be passed as descriptor 0; -1: it reads nothing */
    int error;                    /* errno when its folder could not be prepared, else 0 */
    char folder[WORKFOLDER_PATH]; /* of the attempt; made, and given up by the caller; "": none */
    const char *program;          /* for messages */
    buf_t texts;                  /* what argv and envp point into */
    char **pointers;
} shell_plan_t;

/* True: run `plan`. False: the attempt fails with `message` and `exit_code` (126, 127). Call
 * shell_plan_release in both cases, and before it workfolder_remove(plan->folder) unless that is
 * "", or spare_keep. */
bool shell_plan_make(shell_plan_t *plan, const executor_config_t *config, const char *work,
                     const shell_task_t *task, buf_t *message, int *exit_code);
void shell_plan_release(shell_plan_t *plan);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/kind_shell.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/instant.h"
#include "executor/private_file.h"
#include "schemas/limits.h"
#include "schemas/requirement.h"

#define INPUT         SPARE_INPUT
#define OUTPUT        "output.json"
#define COMPLETION    "PAWL_COMPLETION"
#define SCRIPT        "script"
#define STDIN         "stdin"
#define STATE         "state.json"
#define SECRET        "secret-"
#define FALLBACK_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- the account ----------------------------------------------------------------------------- */

struct account {
    char name[64], home[256];
    uid_t uid;
    gid_t gid;
    bool found;
};

/* Names are looked up once for our own account: it does not change while we run. */
static const struct account *own_account(void)
{
    static struct account own;
    if (!own.found) {
        const struct passwd *entry = getpwuid(geteuid());
        snprintf(own.name, sizeof own.name, "%s", entry ? entry->pw_name : "");
        snprintf(own.home, sizeof own.home, "%s", entry ? entry->pw_dir : "/");
        own.uid = (uid_t)-1; /* nothing to change, nothing to hand over */
        own.gid = (gid_t)-1;
        own.found = true;
    }
    return &own;
}

static bool find_account(const char *name, const executor_config_t *config, launch_t *launch,
                         struct account *account, buf_t *message)
{
    *account = *own_account();
    if (!*name || strcmp(name, account->name) == 0) return true;
    if (!conf_listed(config->conf, "allow.accounts", name)) {
        buf_printf(message,
                   "account \"%s\" may not be used here: it is not in executor.allow.accounts of "
                   "executor \"%s\"",
                   name, config->name);
        return false;
    }
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (!entry) {
        buf_printf(message, "account \"%s\" does not exist on this machine", name);
        return false;
    }
    snprintf(account->name, sizeof account->name, "%s", entry->pw_name);
    snprintf(account->home, sizeof account->home, "%s", entry->pw_dir);
    account->uid = launch->uid = entry->pw_uid;
    account->gid = launch->gid = entry->pw_gid;
    launch->switch_user = true;
    int count = LAUNCH_GROUPS_MAX;
    if (getgrouplist(name, entry->pw_gid, launch->groups, &count) < 0) {
        buf_printf(message, "account \"%s\" is in more than %d groups", name, LAUNCH_GROUPS_MAX);
        return false;
    }
    launch->group_count = (uint32_t)count;
    return true;
}

/* ---- argv and environment -------------------------------------------------------------------- */

/* Texts are gathered one behind the other; pointers are made when all are there. */
struct gathered {
    buf_t *texts;
    size_t count;
};

static void gather(struct gathered *self, const char *text)
{
    buf_add(self->texts, text, strlen(text) + 1);
    self->count++;
}

static void gather_env(struct gathered *self, const char *name, const char *value)
{
    buf_add(self->texts, name, strlen(name));
    buf_add(self->texts, "=", 1);
    gather(self, value);
}

static bool declared(const shell_task_t *task, const char *name)
{
    for (size_t i = 0; i < task->env_count; i++)
        if (strcmp(task->env[i].name, name) == 0) return true;
    return false;
}

static void gather_default(struct gathered *self, const shell_task_t *task, const char *name,
                           const char *value)
{
    if (value && !declared(task, name)) gather_env(self, name, value);
}

/* A name that a task declares, empty, to be given the token: a command is given no other names than
 * those that its task declares or all commands have. */
static bool asks_for_completion(const struct shell_env *env)
{
    return strcmp(env->name, COMPLETION) == 0 && !*env->value;
}

static bool is_script(const shell_task_t *task)
{
    return task->script.len || *task->interpreter || *task->script_file;
}

/* Interpreters run what some variables say (BASH_ENV, PERL5OPT, NODE_OPTIONS, an exported function,
 * PATH): where the scripts are the executor's own choice, so is what they are run with. */
static bool is_open_to_tasks(const executor_config_t *config, const shell_task_t *task,
                             const char *name, buf_t *message)
{
    if (!is_script(task) || !conf_bool(config->conf, "scripts.folder_only") ||
        conf_listed(config->conf, "scripts.variables", name))
        return true;
    buf_printf(message,
               "variable \"%s\" may not be set here: executor \"%s\" runs scripts of its folders "
               "only (executor.scripts.folder_only), with the variables of "
               "executor.scripts.variables",
               name, config->name);
    return false;
}

static bool name_allowed(const char *name, buf_t *message)
{
    const char *why = !*name                           ? "a name may not be empty"
                      : strchr(name, '=')              ? "a name may not hold '='"
                      : strncmp(name, "PAWL_", 5) == 0 ? "PAWL_* is set by the executor"
                      : strncmp(name, "LD_", 3) == 0   ? "LD_* would load code into other programs"
                                                       : NULL;
    if (why) buf_printf(message, "variable \"%s\" may not be declared: %s", name, why);
    return !why;
}

static bool gather_environment(struct gathered *self, const executor_config_t *config,
                               const shell_task_t *task, const struct account *account,
                               const char *folder, buf_t *message)
{
    for (size_t i = 0; i < task->env_count; i++)
        if (!asks_for_completion(&task->env[i]) &&
            (!name_allowed(task->env[i].name, message) ||
             !is_open_to_tasks(config, task, task->env[i].name, message)))
            return false;
    const char *path =
        conf_listed(config->conf, "process.env_keep", "PATH") ? getenv("PATH") : NULL;
    gather_default(self, task, "PATH", path && *path ? path : FALLBACK_PATH);
    gather_default(self, task, "HOME", account->home);
    gather_default(self, task, "USER", account->name);
    const char *lang =
        conf_listed(config->conf, "process.env_keep", "LANG") ? getenv("LANG") : NULL;
    gather_default(self, task, "LANG", lang && *lang ? lang : "C.UTF-8");
    for (size_t i = 0; i < conf_count(config->conf, "process.env_keep"); i++) {
        const char *name = conf_item(config->conf, "process.env_keep", i);
        if (strcmp(name, "PATH") != 0 && strcmp(name, "LANG") != 0)
            gather_default(self, task, name, getenv(name));
    }
    char text[WORKFOLDER_PATH + 32];
    gather_env(self, "PAWL_TASK_ID", task->id);
    gather_env(self, "PAWL_TYPE", task->type);
    snprintf(text, sizeof text, "%u", task->attempt);
    gather_env(self, "PAWL_ATTEMPT", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)task->token);
    gather_env(self, "PAWL_TOKEN", text);
    instant_print(task->planned_us, 'T', "Z", text);
    gather_env(self, "PAWL_PLANNED", text);
    if (task->folded_count) {
        gather_env(self, "PAWL_FOLDED_LAST", text);
        instant_print(task->folded_first_us, 'T', "Z", text);
        gather_env(self, "PAWL_FOLDED_FIRST", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)task->folded_count);
        gather_env(self, "PAWL_FOLDED_COUNT", text);
    }
    gather_env(self, "PAWL_SCHEDULE", task->schedule);
    if (task->parent && *task->parent) {
        gather_env(self, "PAWL_PARENT_ID", task->parent);
        snprintf(text, sizeof text, "%u", task->shard_index);
        gather_env(self, "PAWL_SHARD_INDEX", text);
        snprintf(text, sizeof text, "%u", task->shard_total);
        gather_env(self, "PAWL_SHARD_TOTAL", text);
    }
    snprintf(text, sizeof text, "%s/" INPUT, folder);
    gather_env(self, "PAWL_INPUT", text);
    snprintf(text, sizeof text, "%s/" OUTPUT, folder);
    gather_env(self, "PAWL_OUTPUT", text);
    if (is_script(task) || declared(task, COMPLETION))
        gather_env(self, COMPLETION, task->completion);
    if (task->polls) {
        snprintf(text, sizeof text, "%u", task->polls);
        gather_env(self, "PAWL_POLLS", text);
        snprintf(text, sizeof text, "%s/" STATE, folder);
        gather_env(self, "PAWL_STATE", text);
    }
    for (size_t i = 0; i < task->secret_count; i++) {
        char name[LIMIT_LABEL + 32];
        int len =
            snprintf(name, sizeof name, "PAWL_SECRET_%.*s_FILE", LIMIT_LABEL, task->secrets[i]);
        for (int at = 0; at < len; at++)
            name[at] =
                isalnum((unsigned char)name[at]) ? (char)toupper((unsigned char)name[at]) : '_';
        snprintf(text, sizeof text, "%s/" SECRET "%s", folder, task->secrets[i]);
        gather_env(self, name, text);
    }
    for (size_t i = 0; i < task->env_count; i++)
        if (!asks_for_completion(&task->env[i]))
            gather_env(self, task->env[i].name, task->env[i].value);
    return true;
}

/* The allowed folder that holds the script; the real path of the script, which lies below it. */
static bool find_script(const executor_config_t *config, const char *name, char path[PATH_MAX],
                        buf_t *message)
{
    char folder[PATH_MAX], wanted[2 * PATH_MAX];
    bool out = false;
    for (size_t i = 0; i < conf_count(config->conf, "allow.script_dirs"); i++) {
        struct stat info;
        if (!realpath(conf_item(config->conf, "allow.script_dirs", i), folder)) continue;
        snprintf(wanted, sizeof wanted, "%s/%s", folder, name);
        if (!realpath(wanted, path)) continue;
        size_t len = strlen(folder);
        bool below = strncmp(path, folder, len) == 0 && (path[len] == '/' || len == 1);
        out |= !below;
        if (below && stat(path, &info) == 0 && S_ISREG(info.st_mode)) return true;
    }
    if (out)
        buf_printf(message, "script \"%s\" leads out of the folder it is in: a link may not", name);
    else
        buf_printf(message,
                   "script \"%s\" is in none of the folders of executor \"%s\" "
                   "(executor.allow.script_dirs)",
                   name, config->name);
    return false;
}

static bool gather_interpreter(struct gathered *self, const executor_config_t *config,
                               const char *wanted, buf_t *message)
{
    for (size_t i = 0; i < conf_count(config->conf, "allow.interpreters"); i++) {
        const char *name = conf_name(config->conf, "allow.interpreters", i);
        size_t len = requirement_name(wanted);
        if (len != strlen(name) || memcmp(name, wanted, len) != 0) continue;
        gather(self, conf_item(config->conf, "allow.interpreters", i));
        return true;
    }
    buf_printf(message, "interpreter \"%s\" is not offered here; executor \"%s\" has:", wanted,
               config->name);
    for (size_t i = 0; i < conf_count(config->conf, "allow.interpreters"); i++)
        buf_printf(message, " %s", conf_name(config->conf, "allow.interpreters", i));
    return false;
}

static bool gather_script(struct gathered *self, const executor_config_t *config,
                          const shell_task_t *task, const char *folder, buf_t *message,
                          int *exit_code)
{
    char path[PATH_MAX];
    bool file = *task->script_file != '\0';
    if (!file && conf_bool(config->conf, "scripts.folder_only")) {
        buf_printf(
            message,
            "text of a task is not run here: executor \"%s\" takes scripts from its folders "
            "only (executor.scripts.folder_only); name a file below executor.allow.script_dirs",
            config->name);
        return false;
    }
    *exit_code = 127;
    if (file && !find_script(config, task->script_file, path, message)) return false;
    if (!file) snprintf(path, sizeof path, "%s/" SCRIPT, folder);
    if (*task->interpreter && !gather_interpreter(self, config, task->interpreter, message))
        return false;
    struct stat info;
    *exit_code = 126;
    if (file && !*task->interpreter && (stat(path, &info) != 0 || !(info.st_mode & 0111))) {
        buf_printf(message, "script \"%s\" is not executable: chmod +x it, or name an interpreter",
                   task->script_file);
        return false;
    }
    gather(self, path);
    return true;
}

static bool gather_argv(struct gathered *self, const executor_config_t *config,
                        const shell_task_t *task, const char *folder, buf_t *message,
                        int *exit_code)
{
    if (is_script(task)) {
        if (!gather_script(self, config, task, folder, message, exit_code)) return false;
    } else if (strcmp(task->type, "pawl/script") == 0) {
        buf_printf(message, "the task names no script");
        *exit_code = 127;
        return false;
    } else if (*task->shell) {
        gather(self, "/bin/sh");
        gather(self, "-c");
        gather(self, task->shell);
        return true;
    } else if (task->argc == 0 || !*task->argv[0]) {
        buf_printf(message, "the task names no program: one of argv, shell, script is needed");
        *exit_code = 127;
        return false;
    }
    for (size_t i = 0; i < task->argc; i++)
        gather(self, task->argv[i]);
    return true;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A private copy: whoever has the folder reads it, and it goes away with the attempt. */
static bool write_secret(const shell_plan_t *plan, const executor_config_t *config,
                         const char *name, const struct account *account, buf_t *message)
{
    static uint8_t bytes[64 << 10];
    const char *source = conf_mapped(config->conf, "secrets", name);
    if (source == NULL) {
        buf_printf(message, "secret \"%s\" is not one of executor \"%s\" (executor.secrets)", name,
                   config->name);
        return false;
    }
    int fd;
    const char *wrong = private_file_open(source, &fd);
    if (wrong) {
        buf_printf(message, "secret \"%s\" could not be given: %s", name, wrong);
        return false;
    }
    size_t len = 0;
    ssize_t got = 1;
    while (got != 0 && len < sizeof bytes) {
        got = read(fd, bytes + len, sizeof bytes - len);
        if (got > 0)
            len += (size_t)got;
        else if (got < 0 && errno != EINTR)
            break;
    }
    char copy[LIMIT_LABEL + sizeof SECRET];
    snprintf(copy, sizeof copy, SECRET "%s", name);
    /* a part of a secret is none: all was read, or nothing is given */
    bool fine = got == 0 && workfolder_write(plan->folder, copy, bytes, len, 0400, account->uid,
                                             account->gid) == ERR_OK;
    if (!fine)
        buf_printf(message, "secret \"%s\" could not be given: %s", name,
                   len == sizeof bytes ? "it is larger than 64 KiB" : strerror(errno));
    explicit_bzero(bytes, len);
    close(fd);
    return fine;
}

static bool write_files(shell_plan_t *plan, const executor_config_t *config,
                        const shell_task_t *task, const struct account *account, buf_t *message)
{
    bool ours = account->uid == (uid_t)-1;
    bool again = ours && task->spare && spare_take(task->spare, plan->folder);
    bool is_null = task->input.len == 0, written = again && is_null && task->spare->null_input;
    err_t err = again ? ERR_OK : workfolder_make(plan->folder);
    slice_t input = is_null ? slice_text(SPARE_NULL) : task->input;
    if (!err && !written)
        err = workfolder_write(plan->folder, INPUT, input.at, input.len, 0600, account->uid,
                               account->gid);
    if (ours && task->spare) task->spare->null_input = is_null;
    if (!err && task->script.len)
        err = workfolder_write(plan->folder, SCRIPT, task->script.at, task->script.len, 0700,
                               account->uid, account->gid);
    if (!err && task->standard_input.len)
        err = workfolder_write(plan->folder, STDIN, task->standard_input.at,
                               task->standard_input.len, 0600, account->uid, account->gid);
    if (!err && task->polls)
        err = workfolder_write(plan->folder, STATE, task->poll_state.at, task->poll_state.len, 0600,
                               account->uid, account->gid);
    for (size_t i = 0; !err && i < task->secret_count; i++)
        if (!write_secret(plan, config, task->secrets[i], account, message)) return false;
    bool reads = task->standard_input.len || task->input.len;
    char path[WORKFOLDER_PATH + 16];
    snprintf(path, sizeof path, "%s/%s", plan->folder, task->standard_input.len ? STDIN : INPUT);
    if (!err && reads) plan->stdin_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!err && reads && plan->stdin_fd < 0) err = ERR_OS;
    if (!err && !ours) err = workfolder_hand_over(plan->folder, account->uid, account->gid);
    if (err) {
        plan->error = errno;
        buf_printf(message, "folder %s could not be prepared: %s", plan->folder, strerror(errno));
        return false;
    }
    return true;
}

bool shell_plan_make(shell_plan_t *plan, const executor_config_t *config, const char *work,
                     const shell_task_t *task, buf_t *message, int *exit_code)
{
    *plan = (shell_plan_t){ .stdin_fd = -1 };
    *exit_code = 126;
    launch_t *launch = &plan->launch;
    launch->mask = config->mask;
    launch->nice = config->nice;
    plan->limits = config_limits(config, task->type);
    memcpy(launch->limits, plan->limits.at, sizeof launch->limits);
    launch->limit_count = plan->limits.count;

    struct account account;
    char folder[WORKFOLDER_PATH];
    int folder_len = snprintf(folder, sizeof folder, "%s/%s-%llu", work, task->id,
                              (unsigned long long)task->token);
    CHECK(folder_len < WORKFOLDER_PATH); /* the length of `work` is checked at start */
    struct gathered argv = { &plan->texts, 0 }, envp = { &plan->texts, 0 };
    if (!find_account(task->account, config, launch, &account, message) ||
        !gather_argv(&argv, config, task, folder, message, exit_code) ||
        !gather_environment(&envp, config, task, &account, folder, message))
        return false;
    size_t cwd_at = plan->texts.len;
    const char *cwd = *task->cwd ? task->cwd : account.home;
    launch->cwd_or_root = !*task->cwd;
    buf_add(&plan->texts, cwd, strlen(cwd) + 1);

    plan->pointers = mem_new((argv.count + envp.count + 2) * sizeof *plan->pointers);
    char *at = (char *)plan->texts.at;
    for (size_t i = 0; i < argv.count + envp.count; i++) {
        plan->pointers[i + (i >= argv.count)] = at;
        at += strlen(at) + 1;
    }
    launch->argv = plan->pointers;
    launch->envp = plan->pointers + argv.count + 1;
    launch->cwd = (char *)plan->texts.at + cwd_at;
    plan->program = launch->argv[0];
    memcpy(plan->folder, folder, sizeof folder);
    return write_files(plan, config, task, &account, message);
}

void shell_plan_release(shell_plan_t *plan)
{
    if (plan->stdin_fd >= 0) close(plan->stdin_fd);
    plan->stdin_fd = -1;
    buf_free(&plan->texts);
    free(plan->pointers);
    plan->pointers = NULL;
    plan->launch = (launch_t){ 0 };
}

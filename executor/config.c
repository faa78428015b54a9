/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "schemas/limits.h"

/* Every key, once. A kind with things of its own to configure by name (the databases of sql) makes
 * its key CONF_ENTRIES and gives conf_entries() its table in config_new. */
static const conf_key_t keys[] = {
    { "broker", CONF_TEXT, "", 0, 0, "endpoint of the broker; empty: as the clients find it" },
    { "name", CONF_TEXT, "", 0, 0, "name of this executor; empty: the host's" },
    { "key", CONF_TEXT, "", 0, 0,
      "file of the key that a tcp endpoint needs; it names the broker's" },
    { "slots", CONF_COUNT, "0", 0, CONFIG_SLOTS_MAX, "commands run at once; 0: number of CPUs" },
    { "queues", CONF_LIST, "", 0, 0, "queues it serves; empty: all" },
    { "labels", CONF_MAP, "", 0, 0, "what tasks may ask for" },
    { "outbox", CONF_TEXT, "", 0, 0, "folder of results that wait; empty: outbox in state_dir" },
    { "state_dir", CONF_TEXT, "", 0, 0, "folder of lock, outbox and work" },
    { "drain_timeout", CONF_DURATION, "30s", 0, 0, "how long a drain lets commands run" },
    { "allow.kinds", CONF_LIST, "shell,script,sql,sql-producer", 0, 0,
      "shell, script; with sources sql, sql-producer" },
    { "allow.accounts", CONF_LIST, "", 0, 0, "accounts a task may name, beside our own" },
    { "allow.script_dirs", CONF_LIST, "/etc/pawl/scripts", 0, 0,
      "folders whose scripts a task may name" },
    { "scripts.folder_only", CONF_BOOL, "false", 0, 0,
      "refuse the text of a task; only files of allow.script_dirs are scripts" },
    { "scripts.variables", CONF_LIST, "", 0, 0,
      "with folder_only: variables that a task may set for a script" },
    { "allow.interpreters", CONF_MAP, "", 0, 0, "name to path; empty: the usual ones in PATH" },
    { "process.time_limit", CONF_DURATION, "0", 0, 0,
      "of an attempt whose task has none; 0: none" },
    { "process.kill_grace", CONF_DURATION, "10s", 0, 0, "between TERM and KILL" },
    { "process.umask", CONF_OCTAL, "0027", 0, 0777, "of every command" },
    { "process.workdir", CONF_TEXT, "", 0, 0, "folder of attempts; empty: work in state_dir" },
    { "process.env_keep", CONF_LIST, "PATH,LANG", 0, 0, "variables of ours that commands get" },
    { "process.nice", CONF_COUNT, "0", -20, 19, "added to our niceness" },
    { "process.cgroup", CONF_WORD, "auto never always", 0, 0, "a cgroup for each command" },
    { "process.rlimits", CONF_MAP, "nofile=1024", 0, 0, "limits of each process" },
    { "secrets", CONF_MAP, "", 0, 0, "name to file: what tasks may ask for as PAWL_SECRET_*_FILE" },
    { "types", CONF_ENTRIES, "", 0, 0, "limits of the attempts of one type, by its name" },
    { "sources", CONF_ENTRIES, "", 0, 0, "databases by name" },
    { "log.level", CONF_WORD, "info debug warn error", 0, 0, "what is logged" },
};

static const conf_key_t type_keys[] = {
    { "memory", CONF_BYTES, "0", 0, 0,
      "of the whole tree in a cgroup, else of each process; 0: all" },
    { "cpu_time", CONF_DURATION, "0", 0, 0, "of each process; 0: no limit" },
    { "files", CONF_COUNT, "0", 0, 1 << 20, "open at once in each process; 0: as rlimits say" },
    { "processes", CONF_COUNT, "0", 0, 1 << 22, "of the tree in a cgroup, else of the account" },
    { "time_limit", CONF_DURATION, "0", 0, 0, "of an attempt whose task has none; 0: as process" },
};

static const struct {
    const char *name;
    int resource;
} rlimits[] = { { "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC },
                { "fsize", RLIMIT_FSIZE },   { "cpu", RLIMIT_CPU },
                { "as", RLIMIT_AS },         { "core", RLIMIT_CORE },
                { "stack", RLIMIT_STACK },   { "memlock", RLIMIT_MEMLOCK } };
_Static_assert(ARRAY_LEN(rlimits) <= LAUNCH_LIMITS_MAX, "each rlimit has its place in a launch");

static void set_limit(struct launch_limit *limits, uint32_t *count, int resource, int64_t value)
{
    uint32_t at = 0;
    while (at < *count && limits[at].resource != resource)
        at++;
    CHECK(value >= 0 && at < LAUNCH_LIMITS_MAX);
    limits[at] = (struct launch_limit){ resource, (uint64_t)value };
    *count += at == *count;
}

struct config_limits config_limits(const executor_config_t *self, const char *type)
{
    struct config_limits limits = { .time_limit_us = self->time_limit_us,
                                    .count = self->limit_count };
    memcpy(limits.at, self->limits, sizeof limits.at);
    const conf_t *own = conf_entry_named(self->conf, "types", type);
    if (own == NULL) return limits;
    int64_t files = conf_number(own, "files"), time_limit = conf_number(own, "time_limit");
    limits.cpu_us = conf_number(own, "cpu_time");
    limits.memory = conf_number(own, "memory");
    limits.processes = conf_number(own, "processes");
    if (time_limit) limits.time_limit_us = time_limit;
    if (files) set_limit(limits.at, &limits.count, RLIMIT_NOFILE, files);
    if (limits.cpu_us)
        set_limit(limits.at, &limits.count, RLIMIT_CPU,
                  (limits.cpu_us + PAWL_SEC_US - 1) / PAWL_SEC_US);
    if (limits.memory && !self->cgroup_limits)
        set_limit(limits.at, &limits.count, RLIMIT_AS, limits.memory);
    if (limits.processes && !self->cgroup_limits)
        set_limit(limits.at, &limits.count, RLIMIT_NPROC, limits.processes);
    return limits;
}

executor_config_t *config_new(void)
{
    executor_config_t *self = mem_new(sizeof *self);
    self->conf = conf_new_section("executor", keys, ARRAY_LEN(keys));
    conf_entries(self->conf, "types", type_keys, ARRAY_LEN(type_keys));
    conf_entries(self->conf, "sources", source_keys, source_key_count);
    return self;
}

void config_destroy(executor_config_t **self_p)
{
    executor_config_t *self = *self_p;
    if (!self) return;
    sources_free(&self->sources);
    conf_destroy(&self->conf);
    free(self->state);
    free(self->name);
    free(self->outbox);
    free(self->workdir);
    free(self);
    *self_p = NULL;
}

/* "1024", "8K", "2M", "1G" */
static bool parse_amount(const char *text, uint64_t *amount)
{
    char *rest;
    errno = 0;
    unsigned long long number = strtoull(text, &rest, 10);
    unsigned shift = *rest == 'K' ? 10 : *rest == 'M' ? 20 : *rest == 'G' ? 30 : 0;
    if (errno || rest == text || *text == '-' || rest[shift != 0] || number > UINT64_MAX >> shift)
        return false;
    *amount = number << shift;
    return true;
}

static bool take_rlimit(executor_config_t *self, const char *name, const char *amount)
{
    for (size_t i = 0; i < ARRAY_LEN(rlimits); i++) {
        struct launch_limit *limit = &self->limits[self->limit_count];
        if (strcmp(rlimits[i].name, name) != 0) continue;
        limit->resource = rlimits[i].resource;
        self->limit_count++;
        return parse_amount(amount, &limit->value);
    }
    return false;
}

static err_t take_rlimits(executor_config_t *self, char *why, size_t len)
{
    for (size_t i = 0; i < conf_count(self->conf, "process.rlimits"); i++)
        if (!take_rlimit(self, conf_name(self->conf, "process.rlimits", i),
                         conf_item(self->conf, "process.rlimits", i)))
            return conf_refuse(self->conf, "process.rlimits",
                               "a map of nofile, nproc, fsize, cpu, as, core, stack, memlock to "
                               "numbers, of which sizes may end in K, M, G",
                               why, len);
    return ERR_OK;
}

static void find_interpreters(executor_config_t *self)
{
    static const char *const usual[] = { "python3", "python", "bash", "sh", "node", "perl" };
    const char *path = getenv("PATH");
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        for (const char *part = path ? path : "/usr/bin:/bin"; part;) {
            size_t len = strcspn(part, ":");
            char item[PATH_MAX], why[256];
            int item_len =
                snprintf(item, sizeof item, "%s=%.*s/%s", usual[i], (int)len, part, usual[i]);
            if (part[0] == '/' && item_len < (int)sizeof item &&
                access(strchr(item, '=') + 1, X_OK) == 0 &&
                conf_add(self->conf, "allow.interpreters", item, "PATH", why, sizeof why) == ERR_OK)
                break;
            part = part[len] ? part + len + 1 : NULL;
        }
}

static char *below(const char *folder, const char *name)
{
    buf_t path = { 0 };
    buf_printf(&path, "%s/%s", folder, name);
    return (char *)path.at;
}

static char *own_name(const char *text)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    return mem_text(*text ? text : *host ? host : "localhost");
}

static char *state_folder(const char *text)
{
    const char *home = getenv("HOME");
    if (*text) return mem_text(text);
    return geteuid() == 0 || !home ? mem_text("/var/lib/pawl") : below(home, ".local/share/pawl");
}

err_t config_complete(executor_config_t *self, char *why, size_t len)
{
    static const char *const kinds[] = { "shell", "script", "sql", "sql-producer" };
    static const enum log_level levels[] = { LOG_INFO, LOG_DEBUG, LOG_WARN, LOG_ERROR };
    const conf_t *conf = self->conf;
    for (size_t i = 0; i < conf_count(conf, "allow.kinds"); i++) {
        size_t known = 0;
        while (known < ARRAY_LEN(kinds) &&
               strcmp(kinds[known], conf_item(conf, "allow.kinds", i)) != 0)
            known++;
        if (known == ARRAY_LEN(kinds))
            return conf_refuse(conf, "allow.kinds", "some of shell, script, sql, sql-producer", why,
                               len);
    }
    if (conf_count(conf, "allow.interpreters") > LIMIT_INTERPRETERS) {
        snprintf(why, len,
                 "%s: executor.allow.interpreters has %zu of them, one executor announces at most "
                 "%d",
                 conf_origin(conf, "allow.interpreters"), conf_count(conf, "allow.interpreters"),
                 LIMIT_INTERPRETERS);
        return ERR_CONFIG;
    }
    err_t err = take_rlimits(self, why, len);
    if (err == ERR_OK) err = sources_read(&self->sources, conf, why, len);
    if (err != ERR_OK) return err;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    self->broker = conf_text(conf, "broker");
    self->key = conf_text(conf, "key");
    self->name = own_name(conf_text(conf, "name"));
    self->state = state_folder(conf_text(conf, "state_dir"));
    const char *outbox = conf_text(conf, "outbox"), *work = conf_text(conf, "process.workdir");
    self->outbox = *outbox ? mem_text(outbox) : below(self->state, "outbox");
    self->workdir = *work ? mem_text(work) : below(self->state, "work");
    self->slots = conf_number(conf, "slots");
    if (self->slots == 0) self->slots = cpus > 0 ? cpus : 1;
    self->drain_timeout_us = conf_number(conf, "drain_timeout");
    self->time_limit_us = conf_number(conf, "process.time_limit");
    self->kill_grace_us = conf_number(conf, "process.kill_grace");
    self->mask = (mode_t)conf_number(conf, "process.umask");
    self->nice = (int)conf_number(conf, "process.nice");
    self->cgroup = (enum config_cgroup)conf_number(conf, "process.cgroup");
    self->log_level = levels[conf_number(conf, "log.level")];
    if (conf_count(conf, "allow.interpreters") == 0) find_interpreters(self);
    return ERR_OK;
}

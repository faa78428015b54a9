/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/config.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include <libfyaml.h>

#include "schemas/limits.h"

#define ENV_PREFIX "PAWL_EXECUTOR__"

enum key_kind {
    KEY_TEXT,
    KEY_COUNT,
    KEY_DURATION,
    KEY_LIST,
    KEY_MAP,
    KEY_UMASK,
    KEY_NICE,
    KEY_CGROUP,
    KEY_RLIMITS,
    KEY_LEVEL,
    KEY_EMPTY, /* known, but what it needs is not in this build: may only be empty */
    KEY_UNUSED /* known, read by another part */
};

/* Every key, once. `executor.` stands before each in the file. */
static const struct key {
    const char *name;
    enum key_kind kind;
    size_t at; /* offset in executor_config_t */
} keys[] = {
#define FIELD(name) offsetof(executor_config_t, name)
    { "broker", KEY_TEXT, FIELD(broker) },
    { "name", KEY_TEXT, FIELD(name) },
    { "key", KEY_EMPTY, 0 },
    { "broker_key", KEY_EMPTY, 0 },
    { "slots", KEY_COUNT, FIELD(slots) },
    { "queues", KEY_LIST, FIELD(queues) },
    { "labels", KEY_MAP, FIELD(labels) },
    { "outbox", KEY_TEXT, FIELD(outbox) },
    { "state_dir", KEY_TEXT, FIELD(state) },
    { "drain_timeout", KEY_DURATION, FIELD(drain_timeout_us) },
    { "allow.kinds", KEY_LIST, FIELD(kinds) },
    { "allow.accounts", KEY_LIST, FIELD(accounts) },
    { "allow.script_dirs", KEY_UNUSED, 0 },
    { "allow.interpreters", KEY_MAP, FIELD(interpreters) },
    { "process.time_limit", KEY_DURATION, FIELD(time_limit_us) },
    { "process.kill_grace", KEY_DURATION, FIELD(kill_grace_us) },
    { "process.umask", KEY_UMASK, FIELD(mask) },
    { "process.workdir", KEY_TEXT, FIELD(workdir) },
    { "process.env_keep", KEY_LIST, FIELD(env_keep) },
    { "process.nice", KEY_NICE, FIELD(nice) },
    { "process.cgroup", KEY_CGROUP, FIELD(cgroup) },
    { "process.rlimits", KEY_RLIMITS, FIELD(limits) },
    { "sources", KEY_EMPTY, 0 },
    { "log.level", KEY_LEVEL, FIELD(log_level) },
#undef FIELD
};

static const char *const other_sections[] = { "environment", "log",       "broker",  "queues",
                                              "types",       "scheduler", "gateway", "metrics",
                                              "alerts",      "tracing" };

/* ---- values --------------------------------------------------------------------------------- */

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){ 0 };
}

static bool list_add(struct config_list *list, const char *text, size_t len)
{
    if (list->count >= CONFIG_LIST_MAX) return false;
    list->items = mem_grow(list->items, (list->count + 1) * sizeof *list->items);
    char *item = mem_new(len + 1);
    memcpy(item, text, len);
    list->items[list->count++] = item;
    return true;
}

/* A later value of the same key takes the place of the first. */
static bool map_add(struct config_list *list, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    if (!equals || equals == text) return false;
    size_t key_len = (size_t)(equals - text) + 1;
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->items[i], text, key_len) == 0) {
            free(list->items[i]);
            list->items[i] = mem_new(len + 1);
            memcpy(list->items[i], text, len);
            return true;
        }
    return list_add(list, text, len);
}

bool config_listed(const struct config_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0) return true;
    return false;
}

const char *config_mapped(const struct config_list *list, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->items[i], key, len) == 0 && list->items[i][len] == '=')
            return list->items[i] + len + 1;
    return NULL;
}

bool config_duration(const char *text, int64_t *out_us)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = { { "us", 1 },
                  { "ms", 1000 },
                  { "s", PAWL_SEC_US },
                  { "m", 60 * PAWL_SEC_US },
                  { "h", 3600 * PAWL_SEC_US },
                  { "d", 86400 * PAWL_SEC_US } };
    if (strcmp(text, "0") == 0) {
        *out_us = 0;
        return true;
    }
    if (!isdigit((unsigned char)text[0])) return false;
    char *rest;
    errno = 0;
    long long number = strtoll(text, &rest, 10);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(rest, units[i].unit) == 0)
            return errno == 0 && !__builtin_mul_overflow(number, units[i].us, out_us);
    return false;
}

static bool whole_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *rest;
    errno = 0;
    long long number = strtoll(text, &rest, 10);
    if (errno || rest == text || *rest || number < least || number > most) return false;
    *out = number;
    return true;
}

static const struct {
    const char *name;
    int resource;
} rlimits[] = { { "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC },
                { "fsize", RLIMIT_FSIZE },   { "cpu", RLIMIT_CPU },
                { "as", RLIMIT_AS },         { "core", RLIMIT_CORE },
                { "stack", RLIMIT_STACK },   { "memlock", RLIMIT_MEMLOCK } };
_Static_assert(ARRAY_LEN(rlimits) <= LAUNCH_LIMITS_MAX, "each rlimit has its place in a launch");

/* "nofile=1024"; sizes may carry K, M, G. */
static bool set_rlimit(executor_config_t *self, const char *text, size_t len)
{
    char item[64];
    if (len >= sizeof item) return false;
    memcpy(item, text, len);
    item[len] = 0;
    char *value = strchr(item, '=');
    if (!value) return false;
    *value++ = 0;
    char *rest;
    errno = 0;
    unsigned long long number = strtoull(value, &rest, 10);
    unsigned shift = *rest == 'K' ? 10 : *rest == 'M' ? 20 : *rest == 'G' ? 30 : 0;
    rest += shift != 0;
    if (errno || rest == value || *rest || *value == '-' || number > UINT64_MAX >> shift)
        return false;
    number <<= shift;
    for (size_t i = 0; i < ARRAY_LEN(rlimits); i++) {
        if (strcmp(rlimits[i].name, item) != 0) continue;
        uint32_t at = 0;
        while (at < self->limit_count && self->limits[at].resource != rlimits[i].resource)
            at++;
        self->limits[at] = (struct launch_limit){ rlimits[i].resource, number };
        self->limit_count += at == self->limit_count;
        return true;
    }
    return false;
}

static bool set_word(const char *const *words, size_t count, const char *value, int *out)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(words[i], value) == 0) {
            *out = (int)i;
            return true;
        }
    return false;
}

/* What a value of this kind looks like: the third line of an error. */
static const char *example(enum key_kind kind)
{
    static const char *const text[] = {
        [KEY_TEXT] = "a text",
        [KEY_COUNT] = "a whole number from 0 to 4096",
        [KEY_DURATION] = "a number with its unit: 500ms, 20s, 5m, 1h, 2d",
        [KEY_LIST] = "a list: [a, b], on one line with commas: a,b",
        [KEY_MAP] = "a map: {key: value}, on one line: key=value,key=value",
        [KEY_UMASK] = "an octal number from 0000 to 0777, in quotes: \"0027\"",
        [KEY_NICE] = "a whole number from -20 to 19",
        [KEY_CGROUP] = "auto, never or always",
        [KEY_RLIMITS] = "a map of nofile, nproc, fsize, cpu, as, core, stack, memlock to numbers",
        [KEY_LEVEL] = "debug, info, warn or error",
        [KEY_EMPTY] = "nothing: this build does not have what it is for",
        [KEY_UNUSED] = "",
    };
    return text[kind];
}

static bool add_item(executor_config_t *self, const struct key *key, const char *text, size_t len)
{
    struct config_list *list = (void *)((char *)self + key->at);
    if (key->kind == KEY_RLIMITS) return set_rlimit(self, text, len);
    return key->kind == KEY_MAP ? map_add(list, text, len) : list_add(list, text, len);
}

static bool add_items(executor_config_t *self, const struct key *key, const char *value)
{
    while (*value) {
        size_t len = strcspn(value, ",");
        if (len && !add_item(self, key, value, len)) return false;
        value += len + (value[len] == ',');
    }
    return true;
}

static bool set_value(executor_config_t *self, const struct key *key, const char *value)
{
    static const char *const cgroups[] = { "auto", "never", "always" };
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    void *at = (char *)self + key->at;
    int64_t number;
    int word;
    switch (key->kind) {
    case KEY_TEXT:
        free(*(char **)at);
        *(char **)at = mem_text(value);
        return true;
    case KEY_COUNT:
        return whole_number(value, 0, CONFIG_SLOTS_MAX, at);
    case KEY_DURATION:
        return config_duration(value, at);
    case KEY_LIST:
    case KEY_MAP:
        list_clear(at);
        return add_items(self, key, value);
    case KEY_RLIMITS:
        return add_items(self, key, value);
    case KEY_UMASK: {
        char *rest;
        unsigned long mask = strtoul(value, &rest, 8);
        self->mask = (mode_t)mask;
        return rest != value && *rest == 0 && mask <= 0777;
    }
    case KEY_NICE:
        if (!whole_number(value, -20, 19, &number)) return false;
        self->nice = (int)number;
        return true;
    case KEY_CGROUP:
        if (!set_word(cgroups, ARRAY_LEN(cgroups), value, &word)) return false;
        self->cgroup = (enum config_cgroup)word;
        return true;
    case KEY_LEVEL:
        if (!set_word(levels, ARRAY_LEN(levels), value, &word)) return false;
        self->log_level = (enum log_level)word;
        return true;
    case KEY_EMPTY:
        return *value == 0;
    case KEY_UNUSED:
        return true;
    }
    return false;
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

/* Levenshtein, for short texts. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    size_t b_len = strlen(b);
    if (b_len >= ARRAY_LEN(row)) return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            size_t change = corner + (a[i] != b[j]);
            corner = row[j + 1];
            size_t least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[b_len];
}

static err_t unknown_key(const char *name, const char *where, buf_t *error)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t far = distance(name, keys[i].name);
        /* a key written one level too high or too low */
        const char *last = strrchr(keys[i].name, '.'), *given = strrchr(name, '.');
        if (last && strcmp(last + 1, given ? given + 1 : name) == 0) far = 1;
        if (far < least) {
            least = far;
            nearest = keys[i].name;
        }
    }
    buf_printf(error, "%s: unknown key \"executor.%s\"\n", where, name);
    if (nearest && least <= 4) buf_printf(error, "did you mean \"executor.%s\"?\n", nearest);
    return ERR_CONFIG;
}

static err_t bad_value(const struct key *key, const char *value, const char *where, buf_t *error)
{
    buf_printf(error, "%s: %s%s: \"%s\" cannot be read\nwanted: %s\n", where,
               strcmp(key->name, "log.level") == 0 ? "" : "executor.", key->name, value,
               example(key->kind));
    return ERR_CONFIG;
}

err_t config_set(executor_config_t *self, const char *name, const char *value, const char *where,
                 buf_t *error)
{
    const struct key *key = find_key(name);
    if (!key) return unknown_key(name, where, error);
    return set_value(self, key, value) ? ERR_OK : bad_value(key, value, where, error);
}

err_t config_add(executor_config_t *self, const char *name, const char *value, const char *where,
                 buf_t *error)
{
    const struct key *key = find_key(name);
    CHECK(key && (key->kind == KEY_LIST || key->kind == KEY_MAP));
    return add_items(self, key, value) ? ERR_OK : bad_value(key, value, where, error);
}

err_t config_read_environment(executor_config_t *self, char **envp, buf_t *error)
{
    err_t err = ERR_OK;
    for (; *envp && !err; envp++) {
        if (strncmp(*envp, ENV_PREFIX, strlen(ENV_PREFIX)) != 0) continue;
        const char *at = *envp + strlen(ENV_PREFIX);
        char name[64], where[128];
        size_t len = 0;
        for (; *at && *at != '=' && len + 1 < sizeof name; at++) {
            if (at[0] == '_' && at[1] == '_') {
                name[len++] = '.';
                at++;
            } else {
                name[len++] = (char)tolower((unsigned char)*at);
            }
        }
        name[len] = 0;
        snprintf(where, sizeof where, "%.*s", (int)strcspn(*envp, "="), *envp);
        const char *equals = strchr(*envp, '=');
        err = config_set(self, name, equals ? equals + 1 : "", where, error);
    }
    return err;
}

/* ---- the file -----------------------------------------------------------------------------------
 */

struct file {
    executor_config_t *config;
    const char *path;
    buf_t *error;
};

static void place(const struct file *self, struct fy_node *node, char *where, size_t len)
{
    struct fy_token *token =
        node && fy_node_is_scalar(node) ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark)
        snprintf(where, len, "%s:%d", self->path, mark->line + 1);
    else
        snprintf(where, len, "%s", self->path);
}

static const char *scalar(struct fy_node *node, char *room, size_t room_len)
{
    size_t len = 0;
    const char *text = node ? fy_node_get_scalar(node, &len) : NULL;
    if (!text || len >= room_len) return text ? NULL : "";
    memcpy(room, text, len);
    room[len] = 0;
    return strcmp(room, "null") == 0 || strcmp(room, "~") == 0 ? "" : room;
}

static err_t read_items(const struct file *self, const struct key *key, struct fy_node *node,
                        const char *where)
{
    char name[256], value[4096], item[4400];
    if (key->kind != KEY_RLIMITS) list_clear((void *)((char *)self->config + key->at));
    void *step = NULL;
    if (fy_node_is_sequence(node)) {
        for (struct fy_node *one; (one = fy_node_sequence_iterate(node, &step));) {
            const char *text = scalar(one, value, sizeof value);
            if (!text || !fy_node_is_scalar(one) || key->kind != KEY_LIST ||
                !add_item(self->config, key, text, strlen(text)))
                return bad_value(key, text ? text : "(too long)", where, self->error);
        }
        return ERR_OK;
    }
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &step));) {
        const char *left = scalar(fy_node_pair_key(pair), name, sizeof name);
        const char *right = scalar(fy_node_pair_value(pair), value, sizeof value);
        snprintf(item, sizeof item, "%s=%s", left ? left : "", right ? right : "");
        if (key->kind == KEY_LIST || !left || !right ||
            !add_item(self->config, key, item, strlen(item)))
            return bad_value(key, item, where, self->error);
    }
    return ERR_OK;
}

static err_t read_section(const struct file *self, struct fy_node *section, const char *prefix)
{
    void *step = NULL;
    err_t err = ERR_OK;
    for (struct fy_node_pair *pair; !err && (pair = fy_node_mapping_iterate(section, &step));) {
        char last[64], name[160], where[4400], text[4096];
        struct fy_node *value = fy_node_pair_value(pair);
        const char *key_text = scalar(fy_node_pair_key(pair), last, sizeof last);
        snprintf(name, sizeof name, "%s%s", prefix, key_text ? key_text : "(too long)");
        place(self, fy_node_pair_key(pair), where, sizeof where);
        const struct key *key = find_key(name);
        bool branch = strcmp(name, "allow") == 0 || strcmp(name, "process") == 0;
        bool plain = !value || fy_node_is_scalar(value);
        bool many =
            key && (key->kind == KEY_LIST || key->kind == KEY_MAP || key->kind == KEY_RLIMITS);
        if (branch && !plain && fy_node_is_mapping(value)) {
            snprintf(name + strlen(name), sizeof name - strlen(name), ".");
            err = read_section(self, value, name);
        } else if (!key) {
            err = branch && plain ? ERR_OK : unknown_key(name, where, self->error);
        } else if (key->kind == KEY_UNUSED) {
            continue;
        } else if (key->kind == KEY_EMPTY && !plain) {
            if (!fy_node_is_mapping(value) || !fy_node_mapping_is_empty(value))
                err = bad_value(key, "{...}", where, self->error);
        } else if (plain) {
            const char *one = scalar(value, text, sizeof text);
            err = one ? config_set(self->config, name, one, where, self->error)
                      : bad_value(key, "(too long)", where, self->error);
        } else if (many) {
            err = read_items(self, key, value, where);
        } else {
            err = bad_value(key, "{...}", where, self->error);
        }
    }
    return err;
}

static err_t read_root(const struct file *self, struct fy_node *root)
{
    void *step = NULL;
    err_t err = ERR_OK;
    for (struct fy_node_pair *pair; !err && (pair = fy_node_mapping_iterate(root, &step));) {
        char room[64], where[4400], text[64];
        const char *name = scalar(fy_node_pair_key(pair), room, sizeof room);
        struct fy_node *value = fy_node_pair_value(pair);
        place(self, fy_node_pair_key(pair), where, sizeof where);
        if (name && strcmp(name, "executor") == 0) {
            if (value && fy_node_is_mapping(value)) err = read_section(self, value, "");
            continue;
        }
        bool known = false;
        for (size_t i = 0; name && i < ARRAY_LEN(other_sections); i++)
            known = known || strcmp(name, other_sections[i]) == 0;
        if (!known) {
            buf_printf(self->error, "%s: unknown section \"%s\"\n", where, name ? name : "");
            if (name && distance(name, "executor") <= 3)
                buf_printf(self->error, "did you mean \"executor\"?\n");
            err = ERR_CONFIG;
        } else if (strcmp(name, "log") == 0 && value && fy_node_is_mapping(value)) {
            const char *level =
                scalar(fy_node_mapping_lookup_by_string(value, "level", FY_NT), text, sizeof text);
            if (level && *level)
                err = config_set(self->config, "log.level", level, where, self->error);
        }
    }
    return err;
}

static err_t read_one(executor_config_t *self, const char *path, buf_t *error)
{
    if (access(path, R_OK) != 0) {
        buf_printf(error, "%s: %s\n", path, strerror(errno));
        return ERR_CONFIG;
    }
    struct fy_parse_cfg how = { .flags = FYPCF_DEFAULT_DOC };
    struct fy_document *document = fy_document_build_from_file(&how, path);
    if (!document) {
        buf_printf(error, "%s: not YAML (see above)\n", path);
        return ERR_CONFIG;
    }
    struct file file = { self, path, error };
    struct fy_node *root = fy_document_root(document);
    err_t err = ERR_OK;
    if (root && fy_node_is_mapping(root)) {
        err = read_root(&file, root);
    } else if (root) {
        buf_printf(error, "%s: the file must be a map of sections\n", path);
        err = ERR_CONFIG;
    }
    fy_document_destroy(document);
    return err;
}

err_t config_read_file(executor_config_t *self, const char *path, buf_t *error)
{
    err_t err = read_one(self, path, error);
    char pattern[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(pattern, sizeof pattern, "%.*sconf.d/*.yaml", slash ? (int)(slash - path) + 1 : 0,
             path);
    glob_t more;
    if (!err && glob(pattern, 0, NULL, &more) == 0) {
        for (size_t i = 0; i < more.gl_pathc && !err; i++)
            err = read_one(self, more.gl_pathv[i], error);
        globfree(&more);
    }
    return err;
}

/* ---- defaults
 * ------------------------------------------------------------------------------------ */

executor_config_t *config_new(void)
{
    executor_config_t *self = mem_new(sizeof *self);
    self->state = mem_text("");
    self->broker = mem_text("");
    self->name = mem_text("");
    self->outbox = mem_text("");
    self->workdir = mem_text("");
    self->drain_timeout_us = 30 * PAWL_SEC_US;
    self->kill_grace_us = DEFAULT_KILL_GRACE_US;
    self->mask = 0027;
    self->log_level = LOG_INFO;
    CHECK(set_rlimit(self, "nofile=1024", 11));
    for (const char *const *name = (const char *const[]){ "PATH", "LANG", NULL }; *name; name++)
        list_add(&self->env_keep, *name, strlen(*name));
    for (const char *const *kind = (const char *const[]){ "shell", "script", NULL }; *kind; kind++)
        list_add(&self->kinds, *kind, strlen(*kind));
    return self;
}

void config_destroy(executor_config_t **self_p)
{
    executor_config_t *self = *self_p;
    if (!self) return;
    free(self->state);
    free(self->broker);
    free(self->name);
    free(self->outbox);
    free(self->workdir);
    list_clear(&self->queues);
    list_clear(&self->labels);
    list_clear(&self->kinds);
    list_clear(&self->accounts);
    list_clear(&self->interpreters);
    list_clear(&self->env_keep);
    free(self);
    *self_p = NULL;
}

static void find_interpreters(executor_config_t *self)
{
    static const char *const usual[] = { "python3", "python", "bash", "sh", "node", "perl" };
    const char *path = getenv("PATH");
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        for (const char *part = path ? path : "/usr/bin:/bin"; part;) {
            size_t len = strcspn(part, ":");
            char item[PATH_MAX];
            int name_len =
                snprintf(item, sizeof item, "%s=%.*s/%s", usual[i], (int)len, part, usual[i]);
            if (len && part[0] == '/' && name_len < (int)sizeof item &&
                access(strchr(item, '=') + 1, X_OK) == 0) {
                map_add(&self->interpreters, item, (size_t)name_len);
                break;
            }
            part = part[len] ? part + len + 1 : NULL;
        }
}

static char *below(const char *folder, const char *name)
{
    buf_t path = { 0 };
    buf_printf(&path, "%s/%s", folder, name);
    return (char *)path.at;
}

err_t config_complete(executor_config_t *self, buf_t *error)
{
    if (!*self->name) {
        char host[256] = "";
        gethostname(host, sizeof host - 1);
        free(self->name);
        self->name = mem_text(*host ? host : "localhost");
    }
    if (self->slots == 0) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        self->slots = cpus > 0 ? cpus : 1;
    }
    if (!*self->state) {
        const char *home = getenv("HOME");
        free(self->state);
        self->state =
            geteuid() == 0 || !home ? mem_text("/var/lib/pawl") : below(home, ".local/share/pawl");
    }
    if (!*self->outbox) {
        free(self->outbox);
        self->outbox = below(self->state, "outbox");
    }
    if (!*self->workdir) {
        free(self->workdir);
        self->workdir = below(self->state, "work");
    }
    if (self->interpreters.count == 0) find_interpreters(self);
    static const char *const kinds[] = { "shell", "script", "sql", "sql-producer" };
    for (size_t i = 0; i < self->kinds.count; i++) {
        int word;
        if (!set_word(kinds, ARRAY_LEN(kinds), self->kinds.items[i], &word)) {
            buf_printf(error,
                       "executor.allow.kinds: \"%s\" is no kind\n"
                       "wanted: some of shell, script, sql, sql-producer\n",
                       self->kinds.items[i]);
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <libfyaml.h>
#include <limits.h>

#include "client/base/conf_inside.h"

/* Every section a file may have, so that one file can serve all programs of a machine and a
 * misspelt section is still found. */
static const char *const sections[] = { "environment", "log",       "broker",  "queues",
                                        "types",       "scheduler", "gateway", "metrics",
                                        "alerts",      "tracing",   "executor" };

/* One file while it is read. */
typedef struct file {
    const char *path;
    char *why;
    size_t len;
} file_t;

static void origin_of(const file_t *self, struct fy_node *node, char *origin, size_t room)
{
    struct fy_token *token =
        node && fy_node_is_scalar(node) ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark)
        snprintf(origin, room, "%.4000s:%d", self->path, mark->line + 1);
    else
        snprintf(origin, room, "%.4000s", self->path);
}

/* A scalar as text; nothing at all and null are "". False: no scalar, a NUL inside, or too long. */
static bool text_of(struct fy_node *node, char *text, size_t room)
{
    size_t len = 0;
    const char *at = "";
    if (node != NULL && !fy_node_is_scalar(node)) return false;
    if (node != NULL && !fy_node_is_null(node)) at = fy_node_get_scalar(node, &len);
    if (at == NULL || len >= room || memchr(at, 0, len) != NULL) return false;
    memcpy(text, at, len);
    text[len] = '\0';
    return true;
}

static err_t must_be(const file_t *self, const conf_t *conf, size_t key, const char *origin)
{
    char full[2 * CONF_NAME_MAX];
    snprintf(self->why, self->len, "%s: %s must be %s", origin,
             conf_full(conf, conf->keys[key].name, full), conf_looks(&conf->keys[key]));
    return ERR_CONFIG;
}

static err_t load_list(const file_t *self, conf_t *conf, size_t key, struct fy_node *list,
                       const char *origin)
{
    conf_value_t *value = &conf->values[key];
    char text[CONF_VALUE_MAX];
    conf_begin(value, origin);
    void *step = NULL;
    for (struct fy_node *one; (one = fy_node_sequence_iterate(list, &step)) != NULL;)
        if (!text_of(one, text, sizeof text) || !conf_put_item(value, NULL, text))
            return must_be(self, conf, key, origin);
    return ERR_OK;
}

static err_t load_map(const file_t *self, conf_t *conf, size_t key, struct fy_node *map,
                      const char *origin)
{
    conf_value_t *value = &conf->values[key];
    char name[CONF_NAME_MAX], text[CONF_VALUE_MAX];
    conf_begin(value, origin);
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(map, &step)) != NULL;)
        if (!text_of(fy_node_pair_key(pair), name, sizeof name) || *name == '\0' ||
            !text_of(fy_node_pair_value(pair), text, sizeof text) ||
            !conf_put_item(value, name, text))
            return must_be(self, conf, key, origin);
    return ERR_OK;
}

static err_t load_mapping(const file_t *self, conf_t *conf, struct fy_node *mapping,
                          const char *prefix);

static err_t load_entries(const file_t *self, conf_t *conf, size_t key, struct fy_node *map,
                          const char *origin)
{
    char name[CONF_NAME_MAX];
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(map, &step)) != NULL;) {
        struct fy_node *value = fy_node_pair_value(pair);
        conf_t *entry = text_of(fy_node_pair_key(pair), name, sizeof name)
                            ? conf_make_entry(conf, key, name)
                            : NULL;
        bool keys = value != NULL && fy_node_is_mapping(value);
        if (entry == NULL || (!keys && value != NULL && !fy_node_is_null(value)))
            return must_be(self, conf, key, origin);
        err_t err = keys ? load_mapping(self, entry, value, "") : ERR_OK;
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static err_t load_value(const file_t *self, conf_t *conf, size_t key, struct fy_node *value,
                        const char *origin)
{
    char text[CONF_VALUE_MAX];
    conf_type_t type = conf->keys[key].type;
    bool map = value != NULL && fy_node_is_mapping(value);
    if (type == CONF_LIST && value != NULL && fy_node_is_sequence(value))
        return load_list(self, conf, key, value, origin);
    if (type == CONF_MAP && map) return load_map(self, conf, key, value, origin);
    if (type == CONF_ENTRIES && map) return load_entries(self, conf, key, value, origin);
    if (type == CONF_ABSENT && map && fy_node_mapping_is_empty(value)) return ERR_OK;
    if (text_of(value, text, sizeof text))
        return conf_set(conf, conf->keys[key].name, text, origin, self->why, self->len);
    return must_be(self, conf, key, origin);
}

/* The pairs of a mapping, `prefix` in front of their keys; groups are mappings in mappings. */
static err_t load_mapping(const file_t *self, conf_t *conf, struct fy_node *mapping,
                          const char *prefix)
{
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(mapping, &step)) != NULL;) {
        struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        char part[CONF_NAME_MAX], name[2 * CONF_NAME_MAX + 2], origin[4200];
        if (key == NULL || !text_of(key, part, sizeof part) || *part == '\0') {
            snprintf(self->why, self->len, "%s: a key is not a plain word", self->path);
            return ERR_CONFIG;
        }
        origin_of(self, key, origin, sizeof origin);
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", part);
        size_t at = conf_index(conf, name);
        err_t err;
        if (strlen(name) >= CONF_NAME_MAX) {
            snprintf(self->why, self->len, "%s: unknown key '%.60s...'", origin, name);
            err = ERR_CONFIG;
        } else if (at < conf->n) {
            err = load_value(self, conf, at, value, origin);
        } else if (value != NULL && fy_node_is_mapping(value) && conf_is_group(conf, name)) {
            err = load_mapping(self, conf, value, name);
        } else {
            err = conf_unknown(conf, name, origin, self->why, self->len);
        }
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (strcmp(sections[i], name) == 0) return true;
    return false;
}

/* `log` is everybody's: what our table does not know of it is another program's. */
static err_t load_log(const file_t *self, conf_t *conf, struct fy_node *log)
{
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(log, &step)) != NULL;) {
        char part[CONF_NAME_MAX - 8], name[CONF_NAME_MAX], origin[4200];
        if (!text_of(fy_node_pair_key(pair), part, sizeof part)) continue;
        snprintf(name, sizeof name, "log.%s", part);
        size_t at = conf_index(conf, name);
        if (at == conf->n) continue;
        origin_of(self, fy_node_pair_key(pair), origin, sizeof origin);
        err_t err = load_value(self, conf, at, fy_node_pair_value(pair), origin);
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static err_t load_sections(const file_t *self, conf_t *conf, struct fy_node *root)
{
    void *step = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(root, &step)) != NULL;) {
        char name[CONF_NAME_MAX] = "", origin[4200];
        struct fy_node *value = fy_node_pair_value(pair);
        bool word = text_of(fy_node_pair_key(pair), name, sizeof name);
        bool map = value != NULL && fy_node_is_mapping(value);
        err_t err = ERR_OK;
        if (!word || !is_section(name)) {
            origin_of(self, fy_node_pair_key(pair), origin, sizeof origin);
            snprintf(self->why, self->len, "%s: unknown section '%.100s'; ours is '%s'", origin,
                     name, conf->section);
            err = ERR_CONFIG;
        } else if (strcmp(name, conf->section) == 0 && map) {
            err = load_mapping(self, conf, value, "");
        } else if (strcmp(name, "log") == 0 && map) {
            err = load_log(self, conf, value);
        }
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

/* What the parser did not like, in one line. False: nothing; the file holds no document at all. */
static bool first_fault(struct fy_diag *diag, const file_t *self)
{
    void *step = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &step);
    if (error)
        snprintf(self->why, self->len, "%s:%d: not YAML: %s", self->path, error->line, error->msg);
    return error != NULL;
}

err_t conf_load(conf_t *self, const char *path, char *why, size_t len)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        snprintf(why, len, "%s: %s", path, strerror(errno));
        return ERR_CONFIG;
    }
    file_t file = { path, why, len };
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    CHECK(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = { .flags = FYPCF_COLLECT_DIAG | FYPCF_RESOLVE_DOCUMENT,
                                   .diag = diag };
    struct fy_document *document = fy_document_build_from_fp(&config, in);
    err_t err = ERR_OK;
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    if (document == NULL) {
        if (first_fault(diag, &file)) err = ERR_CONFIG;
    } else if (root && fy_node_is_mapping(root)) {
        err =
            self->section ? load_sections(&file, self, root) : load_mapping(&file, self, root, "");
    } else if (root && !(fy_node_is_scalar(root) && fy_node_is_null(root))) {
        snprintf(why, len, "%s: must be `key: value` lines", path);
        err = ERR_CONFIG;
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    fclose(in);
    return err;
}

err_t conf_load_all(conf_t *self, const char *path, char *why, size_t len)
{
    char pattern[PATH_MAX];
    const char *slash = strrchr(path, '/');
    err_t err = conf_load(self, path, why, len);
    snprintf(pattern, sizeof pattern, "%.*sconf.d/*.yaml", slash ? (int)(slash - path) + 1 : 0,
             path);
    glob_t more;
    if (err != ERR_OK || glob(pattern, 0, NULL, &more) != 0) return err;
    for (size_t i = 0; i < more.gl_pathc && err == ERR_OK; i++)
        err = conf_load(self, more.gl_pathv[i], why, len);
    globfree(&more);
    return err;
}

err_t conf_environment(conf_t *self, const char *prefix, char *const environ_[], char *why,
                       size_t len)
{
    size_t skip = strlen(prefix);
    for (; environ_ && *environ_; environ_++) {
        const char *text = *environ_, *equals = strchr(text, '=');
        if (equals == NULL || strncmp(text, prefix, skip) != 0) continue;
        char origin[CONF_NAME_MAX + 64], name[CONF_NAME_MAX];
        snprintf(origin, sizeof origin, "%.*s", (int)(equals - text), text);
        size_t n = 0;
        for (const char *at = text + skip; at < equals && n + 1 < sizeof name; at++) {
            bool dot = at[0] == '_' && at + 1 < equals && at[1] == '_';
            name[n++] = dot ? '.' : (char)tolower((unsigned char)*at);
            at += dot;
        }
        name[n] = '\0';
        err_t err = conf_set(self, name, equals + 1, origin, why, len);
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

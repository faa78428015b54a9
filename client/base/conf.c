/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <libfyaml.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 128 };

typedef struct value {
    char *text, *origin;
    int64_t number;
} value_t;

struct conf {
    const conf_key_t *keys;
    value_t *values; /* beside keys */
    size_t n;
};

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct unit {
    const char *name;
    int64_t factor;
} unit_t;

static bool parse_number(const char *text, const unit_t *units, int64_t *number)
{
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    char *end;
    long long whole = strtoll(text, &end, 10);
    if (errno != 0) return false;
    for (; units->name; units++)
        if (strcmp(end, units->name) == 0)
            return !__builtin_mul_overflow((int64_t)whole, units->factor, number);
    return false;
}

bool conf_parse_bytes(const char *text, int64_t *bytes)
{
    static const unit_t units[] = {
        { "", 1 },
        { "KiB", INT64_C(1) << 10 },
        { "MiB", INT64_C(1) << 20 },
        { "GiB", INT64_C(1) << 30 },
        { "TiB", INT64_C(1) << 40 },
        { NULL, 0 },
    };
    return parse_number(text, units, bytes);
}

bool conf_parse_duration(const char *text, int64_t *us)
{
    static const unit_t units[] = {
        { "us", 1 },
        { "ms", 1000 },
        { "s", 1000000 },
        { "m", INT64_C(60000000) },
        { "h", INT64_C(3600000000) },
        { "d", INT64_C(86400000000) },
        { NULL, 0 },
    };
    return parse_number(text, units, us);
}

/* What a value of the type looks like, for the sentence that refuses one. */
static const char *looks(conf_type_t type)
{
    static const char *const words[] = {
        [CONF_TEXT] = "a text without control characters",
        [CONF_BOOL] = "true or false",
        [CONF_COUNT] = "a whole number",
        [CONF_BYTES] = "a size like 512KiB or 64GiB",
        [CONF_DURATION] = "a duration with its unit, like 500ms, 30s, 5m, 1h, 2d",
    };
    return words[type];
}

static bool parse_value(const conf_key_t *key, const char *text, int64_t *number)
{
    static const unit_t plain[] = { { "", 1 }, { NULL, 0 } };
    *number = 0;
    switch (key->type) {
    case CONF_TEXT:
        for (const char *at = text; *at; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f) return false;
        return true;
    case CONF_BOOL:
        *number = strcmp(text, "true") == 0;
        return *number || strcmp(text, "false") == 0;
    case CONF_COUNT:
        return parse_number(text, plain, number);
    case CONF_BYTES:
        return conf_parse_bytes(text, number);
    case CONF_DURATION:
        return conf_parse_duration(text, number);
    }
    return false;
}

/* ---- names ----------------------------------------------------------------------------------- */

static size_t index_of(const conf_t *self, const char *name)
{
    size_t i = 0;
    while (i < self->n && strcmp(self->keys[i].name, name) != 0)
        i++;
    return i;
}

/* Levenshtein distance; names are short. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t n = strlen(b);
    if (n > NAME_MAX_BYTES) return UINT32_MAX;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static const char *nearest(const conf_t *self, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)strlen(name) / 3 + 2;
    for (size_t i = 0; i < self->n; i++) {
        unsigned d = distance(name, self->keys[i].name);
        if (d < best_distance) {
            best_distance = d;
            best = self->keys[i].name;
        }
    }
    return best;
}

static bool is_group(const conf_t *self, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < self->n; i++)
        if (strncmp(self->keys[i].name, name, len) == 0 && self->keys[i].name[len] == '.')
            return true;
    return false;
}

/* ---- the table ------------------------------------------------------------------------------- */

err_t conf_set(conf_t *self, const char *name, const char *value, const char *origin, char *why,
               size_t len)
{
    size_t i = index_of(self, name);
    if (i == self->n) {
        const char *meant = nearest(self, name);
        snprintf(why, len, "%s: unknown key '%.100s'%s%s%s", origin, name,
                 meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
        return ERR_CONFIG;
    }
    const conf_key_t *key = &self->keys[i];
    int64_t number;
    if (!parse_value(key, value, &number)) {
        snprintf(why, len, "%s: %s is '%.100s', but must be %s", origin, name, value,
                 looks(key->type));
        return ERR_CONFIG;
    }
    if ((key->least || key->most) && (number < key->least || number > key->most)) {
        snprintf(why, len, "%s: %s is '%.100s', outside its range (%lld to %lld%s)", origin, name,
                 value, (long long)key->least, (long long)key->most,
                 key->type == CONF_DURATION ? " microseconds"
                 : key->type == CONF_BYTES  ? " bytes"
                                            : "");
        return ERR_CONFIG;
    }
    value_t *slot = &self->values[i];
    char *text_copy = mem_text(value), *origin_copy = mem_text(origin);
    free(slot->text);
    free(slot->origin);
    *slot = (value_t){ text_copy, origin_copy, number };
    return ERR_OK;
}

conf_t *conf_new(const conf_key_t *keys, size_t n)
{
    conf_t *self = mem_new(sizeof *self);
    self->keys = keys;
    self->n = n;
    self->values = mem_new(n * sizeof *self->values);
    for (size_t i = 0; i < n; i++) {
        char why[256];
        err_t err = conf_set(self, keys[i].name, keys[i].standard, "default", why, sizeof why);
        CHECK(err == ERR_OK);
    }
    return self;
}

void conf_destroy(conf_t **self_p)
{
    conf_t *self = *self_p;
    if (self == NULL) return;
    for (size_t i = 0; i < self->n; i++) {
        free(self->values[i].text);
        free(self->values[i].origin);
    }
    free(self->values);
    free(self);
    *self_p = NULL;
}

static const value_t *value_of(const conf_t *self, const char *name)
{
    size_t i = index_of(self, name);
    CHECK(i < self->n);
    return &self->values[i];
}

const char *conf_text(const conf_t *self, const char *name)
{
    return value_of(self, name)->text;
}

int64_t conf_number(const conf_t *self, const char *name)
{
    return value_of(self, name)->number;
}

bool conf_bool(const conf_t *self, const char *name)
{
    return value_of(self, name)->number != 0;
}

const char *conf_origin(const conf_t *self, const char *name)
{
    return value_of(self, name)->origin;
}

void conf_print(const conf_t *self, FILE *out)
{
    for (size_t i = 0; i < self->n; i++) {
        const conf_key_t *key = &self->keys[i];
        const value_t *value = &self->values[i];
        fprintf(out, "# %s (%s)\n", key->help, value->origin);
        if (key->type == CONF_TEXT) {
            fprintf(out, "%s: \"", key->name);
            for (const char *at = value->text; *at; at++)
                fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
            fprintf(out, "\"\n");
        } else {
            fprintf(out, "%s: %s\n", key->name, value->text);
        }
    }
}

/* ---- sources --------------------------------------------------------------------------------- */

err_t conf_environment(conf_t *self, const char *prefix, char *const environ_[], char *why,
                       size_t len)
{
    size_t skip = strlen(prefix);
    for (; environ_ && *environ_; environ_++) {
        const char *text = *environ_, *equals = strchr(text, '=');
        if (equals == NULL || strncmp(text, prefix, skip) != 0) continue;
        char origin[NAME_MAX_BYTES + 64], name[NAME_MAX_BYTES];
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

static int line_of(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

static bool text_of(struct fy_node *node, char *text, size_t room)
{
    size_t len = 0;
    const char *at = fy_node_get_scalar(node, &len);
    if (at == NULL || len >= room || memchr(at, 0, len) != NULL) return false;
    memcpy(text, at, len);
    text[len] = '\0';
    return true;
}

/* The pairs of a mapping, `prefix` in front of their keys; groups are mappings in mappings. */
static err_t load_mapping(conf_t *self, const char *path, struct fy_node *mapping,
                          const char *prefix, char *why, size_t len)
{
    void *iterator = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(mapping, &iterator)) != NULL) {
        struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        char part[NAME_MAX_BYTES], name[2 * NAME_MAX_BYTES + 2], text[4096], origin[4200];
        if (!key || !fy_node_is_scalar(key) || !text_of(key, part, sizeof part)) {
            snprintf(why, len, "%s: a key is not a plain word", path);
            return ERR_CONFIG;
        }
        int line = line_of(key);
        snprintf(origin, sizeof origin, "%.4000s:%d", path, line);
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", part);
        err_t err = ERR_CONFIG;
        if (strlen(name) >= NAME_MAX_BYTES)
            snprintf(why, len, "%s: unknown key '%.60s...'", origin, name);
        else if (value && fy_node_is_mapping(value) && is_group(self, name))
            err = load_mapping(self, path, value, name, why, len);
        else if (value && fy_node_is_scalar(value) && text_of(value, text, sizeof text))
            err = conf_set(self, name, text, origin, why, len);
        else if (index_of(self, name) == self->n)
            err = conf_set(self, name, "", origin, why, len); /* unknown: says so */
        else
            snprintf(why, len, "%s: %s must be %s", origin, name,
                     looks(self->keys[index_of(self, name)].type));
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

/* What the parser did not like, in one line. False: nothing; the file holds no document at all. */
static bool first_fault(struct fy_diag *diag, const char *path, char *why, size_t len)
{
    void *iterator = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &iterator);
    if (error) snprintf(why, len, "%s:%d: not YAML: %s", path, error->line, error->msg);
    return error != NULL;
}

err_t conf_load(conf_t *self, const char *path, char *why, size_t len)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        snprintf(why, len, "%s: %s", path, strerror(errno));
        return ERR_CONFIG;
    }
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
        if (first_fault(diag, path, why, len)) err = ERR_CONFIG;
    } else if (root && fy_node_is_mapping(root)) {
        err = load_mapping(self, path, root, "", why, len);
    } else if (root && !(fy_node_is_scalar(root) && fy_node_is_null(root))) {
        snprintf(why, len, "%s: must be `key: value` lines", path);
        err = ERR_CONFIG;
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    fclose(in);
    return err;
}

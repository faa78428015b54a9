/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/yamlfile.h"

#include <ctype.h>
#include <errno.h>
#include <libfyaml.h>
#include <stdlib.h>

#include "client/cli/text.h"

enum { MOST_NODES = 1000000, DEEPEST = 32 };

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
    const char *path;
    json_t *lines;
    size_t nodes;
    int line; /* of the fault */
    const char *fault;
} reading_t;

static int line_of(struct fy_node *node)
{
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

/* The line of a node's first scalar. */
static int first_line(struct fy_node *node)
{
    void *iterator = NULL;
    while (node && !fy_node_is_scalar(node)) {
        iterator = NULL;
        if (fy_node_is_mapping(node)) {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &iterator);
            node = pair ? fy_node_pair_key(pair) : NULL;
        } else {
            node = fy_node_sequence_iterate(node, &iterator);
        }
    }
    return node ? line_of(node) : 0;
}

static json_t *fault(reading_t *self, struct fy_node *node, const char *words)
{
    if (!self->fault) {
        self->fault = words;
        self->line = node ? first_line(node) : 0;
    }
    return NULL;
}

static bool is_integer(const char *text)
{
    text += *text == '-' || *text == '+';
    return *text && !text[strspn(text, "0123456789")];
}

static bool is_float(const char *text)
{
    const char *at = text + (*text == '-' || *text == '+');
    size_t whole = strspn(at, "0123456789");
    at += whole;
    size_t part = *at == '.' ? strspn(at + 1, "0123456789") : 0;
    at += *at == '.' ? part + 1 : 0;
    if (!whole && !part) return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        size_t digits = strspn(at, "0123456789");
        if (!digits) return false;
        at += digits;
    }
    return !*at;
}

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}

/* What a plain scalar means; NULL: a text. */
static json_t *plain_value(const char *text)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    static const char *const trues[] = { "true", "True", "TRUE" };
    static const char *const falses[] = { "false", "False", "FALSE" };
    if (is_one_of(text, nulls, ARRAY_LEN(nulls))) return json_null();
    if (is_one_of(text, trues, ARRAY_LEN(trues))) return json_true();
    if (is_one_of(text, falses, ARRAY_LEN(falses))) return json_false();
    errno = 0;
    if (is_integer(text)) {
        long long number = strtoll(text, NULL, 10);
        if (!errno) return json_integer(number);
    }
    return is_float(text) ? json_real(strtod(text, NULL)) : NULL;
}

static json_t *scalar(reading_t *self, struct fy_node *node)
{
    size_t len = 0;
    const char *at = fy_node_get_scalar(node, &len);
    if (!at) return json_null();
    bool plain = fy_node_get_style(node) == FYNS_PLAIN;
    json_t *value = plain && !memchr(at, '\0', len) ? plain_value(say("%.*s", (int)len, at)) : NULL;
    if (!value) value = json_stringn(at, len);
    return value ? value : fault(self, node, "a text is not valid UTF-8");
}

static json_t *value_of(reading_t *self, struct fy_node *node, const char *path, int depth);

static json_t *mapping(reading_t *self, struct fy_node *node, const char *path, int depth)
{
    json_t *object = json_object(), *merged = NULL;
    void *iterator = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &iterator))) {
        struct fy_node *key = fy_node_pair_key(pair);
        size_t len = 0;
        const char *at = key && fy_node_is_scalar(key) ? fy_node_get_scalar(key, &len) : NULL;
        if (!at || memchr(at, '\0', len)) {
            fault(self, node, "a key is not a plain word");
            break;
        }
        const char *name = say("%.*s", (int)len, at);
        bool merges = strcmp(name, "<<") == 0;
        const char *inner = merges ? path : say("%s%s%s", path, *path ? "." : "", name);
        if (!merges) json_object_set_new(self->lines, inner, json_integer(line_of(key)));
        json_t *value = value_of(self, fy_node_pair_value(pair), inner, depth + 1);
        if (!value) break;
        if (merges && json_is_object(value)) {
            json_decref(merged);
            merged = value;
        } else if (merges || json_object_set_new(object, name, value)) {
            fault(self, key, merges ? "<< needs a mapping" : "a key is not valid UTF-8");
            if (merges) json_decref(value);
            break;
        }
    }
    if (merged) json_object_update_missing(object, merged);
    json_decref(merged);
    if (!self->fault) return object;
    json_decref(object);
    return NULL;
}

static json_t *sequence(reading_t *self, struct fy_node *node, const char *path, int depth)
{
    json_t *array = json_array();
    void *iterator = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(node, &iterator))) {
        json_t *value = value_of(self, item, path, depth + 1);
        if (!value) {
            json_decref(array);
            return NULL;
        }
        json_array_append_new(array, value);
    }
    return array;
}

static json_t *value_of(reading_t *self, struct fy_node *node, const char *path, int depth)
{
    if (++self->nodes > MOST_NODES || depth > DEEPEST)
        return fault(self, node, "it is nested or repeated too often");
    if (!node) return json_null();
    if (fy_node_is_alias(node)) {
        struct fy_node *anchored = fy_node_resolve_alias(node);
        return anchored ? value_of(self, anchored, path, depth + 1)
                        : fault(self, node,
                                "an alias names no anchor (a rule that begins with * "
                                "must stand in quotes)");
    }
    if (fy_node_is_mapping(node)) return mapping(self, node, path, depth);
    if (fy_node_is_sequence(node)) return sequence(self, node, path, depth);
    return scalar(self, node);
}

static void add_document(yaml_file_t *self, json_t *value, json_t *lines, int line)
{
    self->documents = mem_grow(self->documents, (self->count + 1) * sizeof *self->documents);
    self->documents[self->count++] = (yaml_document_t){ value, lines, line };
}

/* False: reading->fault. */
static bool take_root(yaml_file_t *self, reading_t *reading, struct fy_node *root)
{
    void *iterator = NULL;
    bool list = root && fy_node_is_sequence(root);
    struct fy_node *item = list ? fy_node_sequence_iterate(root, &iterator) : root;
    for (; item; item = list ? fy_node_sequence_iterate(root, &iterator) : NULL) {
        reading->lines = json_object();
        json_t *value = value_of(reading, item, "", 0);
        if (!value || json_is_null(value)) {
            json_decref(value);
            json_decref(reading->lines);
            if (reading->fault) return false;
            continue;
        }
        add_document(self, value, reading->lines, first_line(item));
    }
    return true;
}

bool yaml_read(yaml_file_t *self, const char *path, const char *text, size_t len, const char **why)
{
    *self = (yaml_file_t){ .path = path };
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    CHECK(diag);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg config = { .flags = FYPCF_COLLECT_DIAG, .diag = diag };
    struct fy_parser *parser = fy_parser_create(&config);
    CHECK(parser && fy_parser_set_string(parser, text, len) == 0);
    struct fy_document *document;
    reading_t reading = { .path = path };
    *why = NULL;
    while (!*why && (document = fy_parse_load_document(parser))) {
        if (!take_root(self, &reading, fy_document_root(document)))
            *why = say("%s:%d: %s", path, reading.line, reading.fault);
        fy_parse_document_destroy(parser, document);
    }
    void *iterator = NULL;
    struct fy_diag_error *error = *why ? NULL : fy_diag_errors_iterate(diag, &iterator);
    if (error)
        *why = say("%s:%d: not YAML: %s (texts that begin with * stand in quotes)", path,
                   error->line, error->msg);
    else if (!*why && fy_parser_get_stream_error(parser))
        *why = say("%s:1: not YAML", path);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    if (*why) yaml_free(self);
    return *why == NULL;
}

void yaml_free(yaml_file_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        json_decref(self->documents[i].value);
        json_decref(self->documents[i].lines);
    }
    free(self->documents);
    *self = (yaml_file_t){ .path = self->path };
}

int yaml_line(const yaml_document_t *self, const char *key)
{
    char *name = text_keep(mem_text(key));
    for (;;) {
        const json_t *line = json_object_get(self->lines, name);
        if (line) return (int)json_integer_value(line);
        char *dot = strrchr(name, '.');
        if (!dot) return self->line;
        *dot = '\0';
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Texts that are the same without quotes, also for YAML 1.1 readers (no, on, 12:30:00). */
static bool needs_no_quotes(const char *text)
{
    static const char *const words[] = { "y",   "n",    "yes",   "no",   "on",
                                         "off", "true", "false", "null", "nan" };
    if (!isalpha((unsigned char)*text) && *text != '/') return false;
    char *low = text_keep(mem_text(text));
    for (char *at = low; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    if (is_one_of(low, words, ARRAY_LEN(words))) return false;
    size_t len = strlen(text);
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_./ +@=,", *at)) return false;
    return text[len - 1] != ' ';
}

/* A literal block keeps it byte for byte. */
static bool can_be_block(const char *text)
{
    size_t len = strlen(text);
    if (!strchr(text, '\n') || *text == ' ' || *text == '\n' || text[len - 1] != '\n' ||
        (len > 1 && text[len - 2] == '\n'))
        return false;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < 0x20 && *at != '\n') || *at >= 0x7f || (*at == ' ' && at[1] == '\n'))
            return false;
    return true;
}

static void write_text(const json_t *value, int indent, FILE *to)
{
    const char *text = json_string_value(value);
    if (strlen(text) == json_string_length(value) && needs_no_quotes(text)) {
        fprintf(to, " %s\n", text);
    } else if (strlen(text) == json_string_length(value) && can_be_block(text)) {
        fputs(" |\n", to);
        while (*text) {
            size_t len = strcspn(text, "\n");
            fprintf(to, "%*s%.*s\n", len ? indent : 0, "", (int)len, text);
            text += len + 1;
        }
    } else {
        char *quoted = json_dumps(value, JSON_ENCODE_ANY);
        fprintf(to, " %s\n", quoted);
        free(quoted);
    }
}

static void write_fields(const json_t *object, int indent, FILE *to)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        json_t *name = json_string(key);
        char *quoted = needs_no_quotes(key) ? NULL : json_dumps(name, JSON_ENCODE_ANY);
        fprintf(to, "%*s%s:", indent, "", quoted ? quoted : key);
        free(quoted);
        json_decref(name);
        bool nested = json_is_object(value) && json_object_size(value) && strcmp(key, "input") != 0;
        if (json_is_string(value)) {
            write_text(value, indent + 2, to);
        } else if (nested) {
            fputc('\n', to);
            write_fields(value, indent + 2, to);
        } else { /* flow style is JSON */
            char *flow = json_dumps(value, JSON_ENCODE_ANY);
            fprintf(to, " %s\n", flow);
            free(flow);
        }
    }
}

void yaml_write(const json_t *object, FILE *to)
{
    write_fields(object, 0, to);
}

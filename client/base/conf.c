/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "client/base/conf_inside.h"
#include "client/base/near.h"

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

static bool parse_bytes(const char *text, int64_t *bytes)
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
    if (strcmp(text, "0") == 0) {
        *us = 0;
        return true;
    }
    return parse_number(text, units, us);
}

static bool parse_count(const conf_key_t *key, const char *text, int64_t *number)
{
    static const unit_t plain[] = { { "", 1 }, { NULL, 0 } };
    bool negative = key->least < 0 && *text == '-';
    if (!parse_number(text + negative, plain, number)) return false;
    if (negative) *number = -*number;
    return true;
}

static bool parse_octal(const char *text, int64_t *number)
{
    if (*text == '\0' || strlen(text) > 10 || strspn(text, "01234567") != strlen(text))
        return false;
    *number = strtoll(text, NULL, 8);
    return true;
}

/* Which of the words between spaces `text` is. */
static bool parse_word(const char *words, const char *text, int64_t *number)
{
    size_t len = strlen(text);
    for (*number = 0; *words; (*number)++) {
        size_t word = strcspn(words, " ");
        if (len && word == len && memcmp(words, text, len) == 0) return true;
        words += word + (words[word] == ' ');
    }
    return false;
}

const char *conf_looks(const conf_key_t *key)
{
    static const char *const words[] = {
        [CONF_TEXT] = "a text without control characters",
        [CONF_SECRET] = "a text without control characters",
        [CONF_BOOL] = "true or false",
        [CONF_COUNT] = "a whole number",
        [CONF_OCTAL] = "an octal number in quotes, like \"0027\"",
        [CONF_BYTES] = "a size like 512KiB or 64GiB",
        [CONF_DURATION] = "a duration with its unit, like 500ms, 30s, 5m, 1h, 2d",
        [CONF_LIST] = "a list: [a, b], on one line a,b",
        [CONF_MAP] = "a map: {key: value}, on one line key=value,key=value",
        [CONF_ENTRIES] = "a map of names, each with its own keys: {name: {key: value}}",
        [CONF_ABSENT] = "empty: this build does not have what it is for",
    };
    return key->type == CONF_WORD ? key->standard : words[key->type];
}

static bool plain_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) return false;
    return true;
}

static bool parse_value(const conf_key_t *key, const char *text, int64_t *number)
{
    *number = 0;
    switch (key->type) {
    case CONF_TEXT:
    case CONF_SECRET:
    case CONF_LIST:
    case CONF_MAP:
        return plain_text(text);
    case CONF_BOOL:
        *number = strcmp(text, "true") == 0;
        return *number || strcmp(text, "false") == 0;
    case CONF_COUNT:
        return parse_count(key, text, number);
    case CONF_OCTAL:
        return parse_octal(text, number);
    case CONF_BYTES:
        return parse_bytes(text, number);
    case CONF_DURATION:
        return conf_parse_duration(text, number);
    case CONF_WORD:
        return parse_word(key->standard, text, number);
    case CONF_ENTRIES:
    case CONF_ABSENT:
        return *text == '\0';
    }
    return false;
}

/* ---- lists, maps, entries -------------------------------------------------------------------- */

static void drop_items(conf_value_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->names) free(self->names[i]);
        if (self->items) free(self->items[i]);
        if (self->entries) conf_destroy(&self->entries[i]);
    }
    free(self->names);
    free(self->items);
    free(self->entries);
    self->names = self->items = NULL;
    self->entries = NULL;
    self->count = 0;
}

void conf_begin(conf_value_t *self, const char *origin)
{
    char *copy = mem_text(origin);
    drop_items(self);
    free(self->origin);
    self->origin = copy;
}

static size_t item_index(const conf_value_t *self, const char *name)
{
    size_t i = 0;
    while (i < self->count && strcmp(self->names[i], name) != 0)
        i++;
    return i;
}

bool conf_put_item(conf_value_t *self, const char *name, const char *item)
{
    size_t at = name ? item_index(self, name) : self->count;
    if (at < self->count) {
        char *copy = mem_text(item);
        free(self->items[at]);
        self->items[at] = copy;
        return true;
    }
    if (self->count == CONF_ITEMS_MAX) return false;
    size_t room = (self->count + 1) * sizeof(char *);
    self->items = mem_grow(self->items, room);
    self->items[at] = mem_text(item);
    if (name) {
        self->names = mem_grow(self->names, room);
        self->names[at] = mem_text(name);
    }
    self->count++;
    return true;
}

conf_t *conf_make_entry(conf_t *self, size_t key, const char *name)
{
    conf_value_t *value = &self->values[key];
    CHECK(value->entry_keys != NULL); /* conf_entries() was to be called first */
    size_t at = item_index(value, name);
    if (at < value->count) return value->entries[at];
    char section[CONF_NAME_MAX], full[2 * CONF_NAME_MAX];
    int len = snprintf(section, sizeof section, "%s.%s",
                       conf_full(self, self->keys[key].name, full), name);
    if (*name == '\0' || len >= (int)sizeof section || value->count == CONF_ITEMS_MAX) return NULL;
    size_t room = (value->count + 1) * sizeof(char *);
    value->names = mem_grow(value->names, room);
    value->entries = mem_grow(value->entries, room);
    value->names[at] = mem_text(name);
    value->entries[at] = conf_new_section(section, value->entry_keys, value->entry_keys_n);
    value->count++;
    return value->entries[at];
}

/* What stands between commas. False: no item of a map, or too many. */
static bool put_items(const conf_key_t *key, conf_value_t *self, const char *text)
{
    while (*text) {
        char item[CONF_VALUE_MAX];
        size_t len = strcspn(text, ",");
        if (len >= sizeof item) return false;
        memcpy(item, text, len);
        item[len] = '\0';
        text += len + (text[len] == ',');
        if (len == 0) continue;
        char *equals = key->type == CONF_MAP ? strchr(item, '=') : NULL;
        if (key->type == CONF_MAP && (equals == NULL || equals == item)) return false;
        if (equals) *equals++ = '\0';
        if (!conf_put_item(self, equals ? item : NULL, equals ? equals : item)) return false;
    }
    return true;
}

/* ---- names ----------------------------------------------------------------------------------- */

size_t conf_index(const conf_t *self, const char *name)
{
    size_t i = 0;
    while (i < self->n && strcmp(self->keys[i].name, name) != 0)
        i++;
    return i;
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* The key with the fewest changes, or one that was written a level too high or too low. */
static const char *nearest(const conf_t *self, const char *name)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;
    for (size_t i = 0; i < self->n; i++) {
        size_t d = edit_distance(name, self->keys[i].name);
        if (d > 1 && strcmp(last_part(name), last_part(self->keys[i].name)) == 0) d = 1;
        if (d < best_distance) {
            best_distance = d;
            best = self->keys[i].name;
        }
    }
    return best;
}

bool conf_is_group(const conf_t *self, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < self->n; i++)
        if (strncmp(self->keys[i].name, name, len) == 0 && self->keys[i].name[len] == '.')
            return true;
    return false;
}

const char *conf_full(const conf_t *self, const char *name, char full[2 * CONF_NAME_MAX])
{
    snprintf(full, 2 * CONF_NAME_MAX, "%s%s%.120s", self->section ? self->section : "",
             self->section ? "." : "", name);
    return full;
}

err_t conf_unknown(const conf_t *self, const char *name, const char *origin, char *why, size_t len)
{
    char full[2 * CONF_NAME_MAX], meant_full[2 * CONF_NAME_MAX];
    const char *meant = nearest(self, name);
    if (meant) conf_full(self, meant, meant_full);
    snprintf(why, len, "%s: unknown key '%.100s'%s%s%s", origin, conf_full(self, name, full),
             meant ? "; did you mean '" : "", meant ? meant_full : "", meant ? "'?" : "");
    return ERR_CONFIG;
}

/* ---- the table ------------------------------------------------------------------------------- */

static err_t refuse(const conf_t *self, const conf_key_t *key, const char *value,
                    const char *origin, const char *wanted, char *why, size_t len)
{
    char full[2 * CONF_NAME_MAX];
    conf_full(self, key->name, full);
    if (key->type == CONF_SECRET)
        snprintf(why, len, "%s: %s must be %s", origin, full, wanted);
    else
        snprintf(why, len, "%s: %s is '%.100s', but must be %s%s", origin, full, value,
                 key->type == CONF_WORD ? "one of: " : "", wanted);
    return ERR_CONFIG;
}

err_t conf_refuse(const conf_t *self, const char *name, const char *wanted, char *why, size_t len)
{
    size_t i = conf_index(self, name);
    CHECK(i < self->n);
    return refuse(self, &self->keys[i], self->values[i].text, self->values[i].origin, wanted, why,
                  len);
}

/* "sources.crm.driver": the key `driver` of the entry `crm`. n: no key holds entries so named. */
static size_t entry_of(const conf_t *self, const char *name)
{
    for (size_t i = 0; i < self->n; i++) {
        size_t len = strlen(self->keys[i].name);
        if (self->keys[i].type == CONF_ENTRIES && strncmp(name, self->keys[i].name, len) == 0 &&
            name[len] == '.' && strchr(name + len + 1, '.') != NULL)
            return i;
    }
    return self->n;
}

static err_t set_in_entry(conf_t *self, size_t i, const char *name, const char *value,
                          const char *origin, char *why, size_t len)
{
    const char *at = name + strlen(self->keys[i].name) + 1, *dot = strchr(at, '.');
    char entry_name[CONF_NAME_MAX];
    snprintf(entry_name, sizeof entry_name, "%.*s", (int)(dot - at), at);
    conf_t *entry = conf_make_entry(self, i, entry_name);
    if (entry == NULL) return conf_unknown(self, name, origin, why, len);
    return conf_set(entry, dot + 1, value, origin, why, len);
}

static err_t take_value(conf_t *self, size_t i, const char *value, const char *origin, bool more,
                        char *why, size_t len)
{
    const conf_key_t *key = &self->keys[i];
    conf_value_t *slot = &self->values[i];
    int64_t number;
    if (!parse_value(key, value, &number))
        return refuse(self, key, value, origin, conf_looks(key), why, len);
    bool numbered = key->type != CONF_WORD && (key->least || key->most);
    if (numbered && (number < key->least || number > key->most)) {
        char full[2 * CONF_NAME_MAX];
        snprintf(why, len, "%s: %s is '%.100s', outside its range (%lld to %lld%s)", origin,
                 conf_full(self, key->name, full), value, (long long)key->least,
                 (long long)key->most,
                 key->type == CONF_DURATION ? " microseconds"
                 : key->type == CONF_BYTES  ? " bytes"
                                            : "");
        return ERR_CONFIG;
    }
    if (key->type == CONF_LIST || key->type == CONF_MAP) {
        if (!more) conf_begin(slot, origin);
        if (!put_items(key, slot, value))
            return refuse(self, key, value, origin, conf_looks(key), why, len);
    }
    if (key->type == CONF_ENTRIES) conf_begin(slot, origin);
    char *text_copy = mem_text(value), *origin_copy = mem_text(origin);
    free(slot->text);
    free(slot->origin);
    slot->text = text_copy;
    slot->origin = origin_copy;
    slot->number = number;
    return ERR_OK;
}

err_t conf_set(conf_t *self, const char *name, const char *value, const char *origin, char *why,
               size_t len)
{
    size_t i = conf_index(self, name);
    if (i < self->n) return take_value(self, i, value, origin, false, why, len);
    i = entry_of(self, name);
    if (i < self->n) return set_in_entry(self, i, name, value, origin, why, len);
    return conf_unknown(self, name, origin, why, len);
}

err_t conf_add(conf_t *self, const char *name, const char *value, const char *origin, char *why,
               size_t len)
{
    size_t i = conf_index(self, name);
    CHECK(i < self->n && (self->keys[i].type == CONF_LIST || self->keys[i].type == CONF_MAP));
    return take_value(self, i, value, origin, true, why, len);
}

conf_t *conf_new_section(const char *section, const conf_key_t *keys, size_t n)
{
    conf_t *self = mem_new(sizeof *self);
    self->section = section ? mem_text(section) : NULL;
    self->keys = keys;
    self->n = n;
    self->values = mem_new(n * sizeof *self->values);
    for (size_t i = 0; i < n; i++) {
        char why[256], first[CONF_VALUE_MAX];
        size_t len =
            keys[i].type == CONF_WORD ? strcspn(keys[i].standard, " ") : strlen(keys[i].standard);
        CHECK(len < sizeof first);
        snprintf(first, sizeof first, "%.*s", (int)len, keys[i].standard);
        CHECK(take_value(self, i, first, "default", false, why, sizeof why) == ERR_OK);
    }
    return self;
}

conf_t *conf_new(const conf_key_t *keys, size_t n)
{
    return conf_new_section(NULL, keys, n);
}

static conf_value_t *value_of(const conf_t *self, const char *name)
{
    size_t i = conf_index(self, name);
    CHECK(i < self->n);
    return &self->values[i];
}

void conf_entries(conf_t *self, const char *name, const conf_key_t *keys, size_t n)
{
    conf_value_t *value = value_of(self, name);
    value->entry_keys = keys;
    value->entry_keys_n = n;
}

void conf_destroy(conf_t **self_p)
{
    conf_t *self = *self_p;
    if (self == NULL) return;
    for (size_t i = 0; i < self->n; i++) {
        drop_items(&self->values[i]);
        free(self->values[i].text);
        free(self->values[i].origin);
    }
    free(self->section);
    free(self->values);
    free(self);
    *self_p = NULL;
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

size_t conf_count(const conf_t *self, const char *name)
{
    return value_of(self, name)->count;
}

const char *conf_name(const conf_t *self, const char *name, size_t at)
{
    const conf_value_t *value = value_of(self, name);
    CHECK(at < value->count && value->names);
    return value->names[at];
}

const char *conf_item(const conf_t *self, const char *name, size_t at)
{
    const conf_value_t *value = value_of(self, name);
    CHECK(at < value->count && value->items);
    return value->items[at];
}

const conf_t *conf_entry(const conf_t *self, const char *name, size_t at)
{
    const conf_value_t *value = value_of(self, name);
    CHECK(at < value->count && value->entries);
    return value->entries[at];
}

const conf_t *conf_entry_named(const conf_t *self, const char *name, const char *entry)
{
    const conf_value_t *value = value_of(self, name);
    size_t at = item_index(value, entry);
    return at < value->count ? value->entries[at] : NULL;
}

bool conf_listed(const conf_t *self, const char *name, const char *text)
{
    const conf_value_t *value = value_of(self, name);
    for (size_t i = 0; i < value->count; i++)
        if (strcmp(value->items[i], text) == 0) return true;
    return false;
}

const char *conf_mapped(const conf_t *self, const char *name, const char *item)
{
    const conf_value_t *value = value_of(self, name);
    size_t at = item_index(value, item);
    return at < value->count ? value->items[at] : NULL;
}

const char *conf_origin(const conf_t *self, const char *name)
{
    return value_of(self, name)->origin;
}

/* ---- print ----------------------------------------------------------------------------------- */

static void print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc('"', out);
}

static void print_many(const conf_key_t *key, const conf_value_t *value, FILE *out)
{
    fputs(key->type == CONF_LIST ? "[" : "{", out);
    for (size_t i = 0; i < value->count; i++) {
        if (i) fputs(", ", out);
        if (key->type == CONF_MAP) {
            print_quoted(value->names[i], out);
            fputs(": ", out);
        }
        print_quoted(value->items[i], out);
    }
    fputs(key->type == CONF_LIST ? "]\n" : "}\n", out);
}

static void print_keys(const conf_t *self, unsigned indent, FILE *out)
{
    for (size_t i = 0; i < self->n; i++) {
        const conf_key_t *key = &self->keys[i];
        const conf_value_t *value = &self->values[i];
        if (key->type == CONF_ABSENT) continue;
        fprintf(out, "%*s# %s (%s)\n%*s%s: ", (int)indent, "", key->help, value->origin,
                (int)indent, "", key->name);
        if (key->type == CONF_TEXT || key->type == CONF_OCTAL) {
            print_quoted(value->text, out);
            fputc('\n', out);
        } else if (key->type == CONF_SECRET) {
            fprintf(out, "\"%s\"\n", *value->text ? "(not shown)" : "");
        } else if (key->type == CONF_LIST || key->type == CONF_MAP) {
            print_many(key, value, out);
        } else if (key->type == CONF_ENTRIES) {
            fputs(value->count ? "\n" : "{}\n", out);
            for (size_t j = 0; j < value->count; j++) {
                fprintf(out, "%*s", (int)indent + 2, "");
                print_quoted(value->names[j], out);
                fputs(":\n", out);
                print_keys(value->entries[j], indent + 4, out);
            }
        } else {
            fprintf(out, "%s\n", value->text);
        }
    }
}

void conf_print(const conf_t *self, FILE *out)
{
    if (self->section) fprintf(out, "%s:\n", self->section);
    print_keys(self, self->section ? 2 : 0, out);
}

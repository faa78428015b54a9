/* SPDX-License-Identifier: Apache-2.0
 * client/base/conf_inside.h - what conf.c (the table and its values) and conf_yaml.c (the file)
 * share. For these two only. */
#ifndef BASE_CONF_INSIDE_H
#define BASE_CONF_INSIDE_H

#include "client/base/conf.h"

enum { CONF_NAME_MAX = 128, CONF_ITEMS_MAX = 1024, CONF_VALUE_MAX = 4096 };

typedef struct conf_value {
    char *text, *origin;
    int64_t number;
    char **names, **items; /* beside each other; names: maps and entries, items: lists and maps */
    conf_t **entries;
    size_t count;
    const conf_key_t *entry_keys;
    size_t entry_keys_n;
} conf_value_t;

struct conf {
    char *section; /* NULL: the file is all ours */
    const conf_key_t *keys;
    conf_value_t *values; /* beside keys */
    size_t n;
};

/* n: there is none. */
size_t conf_index(const conf_t *self, const char *name);
/* Does any key begin with `name` and a dot? */
bool conf_is_group(const conf_t *self, const char *name);
/* "keep.logs", "executor.slots" */
const char *conf_full(const conf_t *self, const char *name, char full[2 * CONF_NAME_MAX]);
err_t conf_unknown(const conf_t *self, const char *name, const char *origin, char *why, size_t len);
/* What a value of the type looks like, for the sentence that refuses one. */
const char *conf_looks(const conf_key_t *key);

/* Empties a list or map and notes where its new items come from. */
void conf_begin(conf_value_t *value, const char *origin);
/* `name` is NULL in a list. False: too many. A name that is there already gets the new value. */
bool conf_put_item(conf_value_t *value, const char *name, const char *item);
/* The entry of that name, made when it is new; NULL: too many, or a name that cannot be one. */
conf_t *conf_make_entry(conf_t *self, size_t key, const char *name);

#endif

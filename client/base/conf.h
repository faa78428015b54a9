/* SPDX-License-Identifier: Apache-2.0
 * client/base/conf.h - the configuration of a program: one table of keys, three sources.
 *
 * Values come, the later the stronger, from the table's defaults, the file (YAML; nested mappings
 * are joined by dots), the environment (PAWL_BROKER__KEEP__LOGS is keep.logs of the broker) and the
 * flags. An unknown key is an error that names file, line and the nearest key there is.
 *
 * Lists and maps are written with commas where there is one line only (environment, flags):
 * `a,b` and `key=value,key=value`. A key that holds entries (CONF_ENTRIES) is a mapping of names,
 * each with keys of its own from a second table; one value of an entry is `sources.crm.driver`.
 *
 * For programs (aborts when memory is out); one thread, before others exist; afterwards reads only.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdio.h>

#include "client/base/base.h"

typedef enum {
    CONF_TEXT,
    CONF_SECRET,   /* as text; no message and no print shows it */
    CONF_BOOL,     /* true, false */
    CONF_COUNT,    /* 42; below zero only where `least` is */
    CONF_OCTAL,    /* 0027 */
    CONF_BYTES,    /* 512, 64KiB, 8MiB, 2GiB; number: bytes */
    CONF_DURATION, /* 500ms, 30s, 5m, 1h, 2d, 0; another bare number is refused; number: us */
    CONF_WORD,     /* one of the words of `standard` ("auto never"), the first of which is the
                    * default; number: which */
    CONF_LIST,     /* texts in order; a later source replaces the whole list */
    CONF_MAP,      /* names to texts; a later source replaces the whole map */
    CONF_ENTRIES,  /* names to values of a table of their own: conf_entries() */
    CONF_ABSENT,   /* known, but what it is for is not in this build: may only be empty */
} conf_type_t;

typedef struct conf_key {
    const char *name; /* dotted: "keep.logs" */
    conf_type_t type;
    const char *standard; /* as it would be typed on one line; "" = unset (text, list, map) */
    int64_t least, most;  /* of the number; both 0: any that is not negative */
    const char *help;     /* one phrase */
} conf_key_t;

typedef struct conf conf_t;

/* `keys` must outlive it. A default that its own type refuses is a bug (CHECK). `section`: NULL, or
 * the mapping of the file that is ours ("executor"); it stands before each key in messages. */
conf_t *conf_new(const conf_key_t *keys, size_t n);
conf_t *conf_new_section(const char *section, const conf_key_t *keys, size_t n);
/* Which keys each entry of `name` has. Before anything is loaded; `keys` must outlive it. */
void conf_entries(conf_t *self, const char *name, const conf_key_t *keys, size_t n);
void conf_destroy(conf_t **self_p);

/* All of these: ERR_CONFIG with one sentence in `why`. */
/* Of a configuration with a section only that one is read (and the keys `log.*` from the section
 * `log`, which all programs share); sections of other programs are skipped, unknown ones refused.
 */
MUST_CHECK err_t conf_load(conf_t *self, const char *path, char *why, size_t len);
/* As conf_load, then the files *.yaml of the folder conf.d beside it, in order of their names. */
MUST_CHECK err_t conf_load_all(conf_t *self, const char *path, char *why, size_t len);
/* Variables that begin with `prefix` ("PAWL_BROKER__"); environ may be NULL. */
MUST_CHECK err_t conf_environment(conf_t *self, const char *prefix, char *const environ_[],
                                  char *why, size_t len);
/* `origin` says where the value was found, for messages: "--listen". */
MUST_CHECK err_t conf_set(conf_t *self, const char *name, const char *value, const char *origin,
                          char *why, size_t len);
/* Adds to a list or map what stands between commas (flags that may be repeated). */
MUST_CHECK err_t conf_add(conf_t *self, const char *name, const char *value, const char *origin,
                          char *why, size_t len);
/* For what only the program can judge: the sentence that refuses the value of `name`. */
MUST_CHECK err_t conf_refuse(const conf_t *self, const char *name, const char *wanted, char *why,
                             size_t len);

/* A name that is not in the table, or of another type, is a bug. */
const char *conf_text(const conf_t *self, const char *name);
int64_t conf_number(const conf_t *self, const char *name); /* all that have a number */
bool conf_bool(const conf_t *self, const char *name);
/* Lists, maps, entries: how many, and one of them. conf_name: of maps and entries. */
size_t conf_count(const conf_t *self, const char *name);
const char *conf_name(const conf_t *self, const char *name, size_t at);
const char *conf_item(const conf_t *self, const char *name, size_t at); /* lists and maps */
const conf_t *conf_entry(const conf_t *self, const char *name, size_t at);
/* The entry of that name, or NULL. */
const conf_t *conf_entry_named(const conf_t *self, const char *name, const char *entry);
bool conf_listed(const conf_t *self, const char *name, const char *text);
/* The value of `item` in a map; NULL when it is not there. */
const char *conf_mapped(const conf_t *self, const char *name, const char *item);
/* "default", "FILE:LINE", "PAWL_BROKER__LISTEN", "--listen" */
const char *conf_origin(const conf_t *self, const char *name);

/* Every key with value, origin and help, as YAML with comments. */
void conf_print(const conf_t *self, FILE *out);

/* For flags that are no configuration. */
bool conf_parse_duration(const char *text, int64_t *us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/base/conf.h - the configuration of a program: one table of keys, three sources.
 *
 * Values come, the later the stronger, from the table's defaults, the file (YAML; nested mappings
 * are joined by dots), the environment (PAWL_BROKER__KEEP__LOGS is keep.logs of the broker) and the
 * flags. An unknown key is an error that names file, line and the nearest key there is.
 *
 * For programs (aborts when memory is out); one thread, before others exist; afterwards reads only.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdio.h>

#include "client/base/base.h"

typedef enum {
    CONF_TEXT,
    CONF_BOOL,     /* true, false */
    CONF_COUNT,    /* 42 */
    CONF_BYTES,    /* 512, 64KiB, 8MiB, 2GiB; number: bytes */
    CONF_DURATION, /* 500ms, 30s, 5m, 1h, 2d; a bare number is refused; number: microseconds */
} conf_type_t;

typedef struct conf_key {
    const char *name; /* dotted: "keep.logs" */
    conf_type_t type;
    const char *standard; /* as it would be typed; "" = unset (text only) */
    int64_t least, most;  /* of the number; both 0: any that is not negative */
    const char *help;     /* one phrase */
} conf_key_t;

typedef struct conf conf_t;

/* `keys` must outlive it. A default that its own type refuses is a bug (CHECK). */
conf_t *conf_new(const conf_key_t *keys, size_t n);
void conf_destroy(conf_t **self_p);

/* All three: ERR_CONFIG with one sentence in `why`. */
MUST_CHECK err_t conf_load(conf_t *self, const char *path, char *why, size_t len);
/* Variables that begin with `prefix` ("PAWL_BROKER__"); environ may be NULL. */
MUST_CHECK err_t conf_environment(conf_t *self, const char *prefix, char *const environ_[],
                                  char *why, size_t len);
/* `origin` says where the value was found, for messages: "--listen". */
MUST_CHECK err_t conf_set(conf_t *self, const char *name, const char *value, const char *origin,
                          char *why, size_t len);

/* A name that is not in the table, or of another type, is a bug. */
const char *conf_text(const conf_t *self, const char *name);
int64_t conf_number(const conf_t *self, const char *name); /* COUNT, BYTES, DURATION */
bool conf_bool(const conf_t *self, const char *name);
/* "default", "FILE:LINE", "PAWL_BROKER__LISTEN", "--listen" */
const char *conf_origin(const conf_t *self, const char *name);

/* Every key with value, origin and help, as YAML with comments. */
void conf_print(const conf_t *self, FILE *out);

/* The two parsers, for flags that are no configuration. */
bool conf_parse_bytes(const char *text, int64_t *bytes);
bool conf_parse_duration(const char *text, int64_t *us);

#endif

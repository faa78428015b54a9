/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/json.h - values between JSON (RFC 8259) and a database, with nothing lost.
 *
 * To JSON: NULL is null; bool true, false; an integer of up to 64 bits a number with all its
 * digits, a larger one a text; a decimal a text, its scale kept ("10.50"); a float the shortest
 * number that means the same, NaN and infinities a text; dates and times RFC 3339 texts; bytes, and
 * text that is not UTF-8 or holds NUL, {"$bytes": base64}.
 *
 * From JSON: the same the other way, plus {"$time": RFC 3339}, which the driver writes as its
 * database reads it. A number keeps every digit it was written with. Any other object, and a list,
 * is handed on as its JSON text. */
#ifndef EXECUTOR_SQL_JSON_H
#define EXECUTOR_SQL_JSON_H

#include "executor/sql/driver.h"

typedef struct sql_param {
    char *name; /* "1", "2" of a list */
    sql_value_t value;
} sql_param_t;

typedef struct sql_params {
    sql_param_t *items;
    size_t count;
} sql_params_t;

/* An object by name or a list by position; no bytes at all: none. False: `why` says what is wrong
 * and where. */
bool sql_params_read(sql_params_t *self, slice_t json, char *why, size_t len);
/* Adds or replaces one; the value's bytes are copied. */
void sql_params_set(sql_params_t *self, const char *name, sql_kind_t kind, const void *at,
                    size_t len);
const sql_value_t *sql_params_find(const sql_params_t *self, const char *name);
void sql_params_free(sql_params_t *self);
/* One JSON value, e.g. a watermark, as the parameter `name`. */
bool sql_params_read_one(sql_params_t *self, const char *name, slice_t json, char *why, size_t len);

void json_add_value(buf_t *to, const sql_value_t *value);
void json_add_text(buf_t *to, const char *text, size_t len); /* valid UTF-8; quoted here */

#endif

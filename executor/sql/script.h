/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/script.h - a text of SQL as statements, with :name turned into the driver's marks.
 *
 * :name and :1 stand for parameters where the dialect has code: not in quoted texts and names, not
 * in comments, not in dollar quotes, not in `::` and `:=`, and not behind a letter, digit, bracket
 * or quote without a space (the slice a[1:2]). `\:` is a plain colon.
 *
 * Statements end with `;`. Within CREATE one may stand between BEGIN or CASE and its END. */
#ifndef EXECUTOR_SQL_SCRIPT_H
#define EXECUTOR_SQL_SCRIPT_H

#include "executor/sql/driver.h"

enum { SCRIPT_STATEMENTS_MAX = 1000, SCRIPT_NAMES_MAX = 1000 };

typedef struct sql_statement {
    char *text;
    size_t *params; /* indexes into the script's names, in order of the marks */
    size_t param_count;
    bool sets; /* it begins with SET: it changes the session */
} sql_statement_t;

typedef struct sql_script {
    sql_statement_t *statements; /* none is empty */
    size_t count;
    char **names; /* without the colon, each once */
    size_t name_count;
} sql_script_t;

/* False: `why` tells what is not closed, not allowed (BEGIN, COMMIT and the like: the transaction
 * is the task's), or too many. */
bool sql_script_read(sql_script_t *self, const sql_dialect_t *dialect, const char *text, char *why,
                     size_t len);
void sql_script_free(sql_script_t *self);

#endif

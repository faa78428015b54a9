/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/crontab.h - reads crontab(5): user's files, and the system's with a user
 * column.
 *
 * Taken as cron takes it: environment lines hold for the lines below them; `\%` is a percent sign,
 * the first bare % ends the command and the rest is its standard input with each % a newline.
 * Pure: no file, clock or broker. Whether a rule or zone is good is the time library's business. */
#ifndef CLI_CRONTAB_H
#define CLI_CRONTAB_H

#include <jansson.h>

#include "client/base/base.h"

/* Texts are those of text.h; env is owned by the crontab. */
typedef struct crontab_line {
    size_t number;          /* from 1 */
    const char *name;       /* of a comment `# pawl: schedule NAME` right above; NULL: none */
    const char *rule;       /* five fields divided by one blank, or @daily and the like */
    const char *account;    /* of the user column; "" without one */
    const char *source;     /* the command as written, for reports */
    const char *command;    /* what the shell gets */
    const char *stdin_text; /* NULL: none */
    const char *zone;       /* CRON_TZ in force; NULL: none */
    const char *shell;      /* SHELL in force; NULL: none */
    json_t *env;            /* the other variables in force */
    bool unescaped;         /* a \% was undone */
    const char *refused;    /* NULL: taken. Else why not; what could be read is there */
} crontab_line_t;

typedef struct crontab {
    crontab_line_t *lines;
    size_t count;
    const char *mailto;   /* the last MAILTO; NULL: none */
    const char **ignored; /* names of variables that mean something to cron only */
    size_t ignored_count;
} crontab_t;

/* Never fails: a line that cannot be taken says why in `refused`. */
void crontab_read(crontab_t *self, const char *text, size_t len, bool user_column);
void crontab_free(crontab_t *self);

#endif

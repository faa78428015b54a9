/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/execstart.h - command lines of service units: quoting, variables, prefixes, as
 * systemd.service(5) "COMMAND LINES" has them. Pure. */
#ifndef CLI_EXECSTART_H
#define CLI_EXECSTART_H

#include <jansson.h>

#include "client/base/base.h"

typedef struct word {
    const char *text;
    bool quoted; /* some of it stood in quotes or behind a backslash */
} word_t;

typedef struct words {
    word_t *at;
    size_t count;
} words_t;

/* Splits and unquotes; `%%` becomes %, another specifier is refused. False: *why. */
bool words_read(words_t *self, const char *text, const char **why);
void words_free(words_t *self);

/* One command of several that run one after the other. */
typedef struct exec {
    const char **argv;
    size_t count;
    bool may_fail; /* the prefix - */
} exec_t;

typedef struct execs {
    exec_t *at;
    size_t count;
} execs_t;

/* Adds the commands of one line. `env`: what variables mean; another one is refused. */
bool execs_read(execs_t *self, const char *text, const json_t *env, bool has_user,
                const char **why);
/* Sets argv when there is one command, else a shell line that ends at the first that fails. */
void execs_task(const execs_t *self, json_t *task);
void execs_free(execs_t *self);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/command.h - the command table: one row a command, from which parsing, help, usage
 * errors and "did you mean" all come. client/cli/commands.c holds the rows.
 *
 * Global flags may stand anywhere; a command's own flags stand behind its name; `--` ends flags. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "client/base/base.h"

typedef enum {
    FLAG_SWITCH,   /* takes no value */
    FLAG_TEXT,     /* any text */
    FLAG_NUMBER,   /* a whole number from least to most */
    FLAG_DURATION, /* 500ms 20s 5m 1h 2d */
    FLAG_WORD,     /* one of `words` */
    FLAG_PAIR,     /* two texts, the second in a word of its own */
} flag_kind_t;

typedef struct flag {
    const char *name;
    char letter; /* 0: none */
    flag_kind_t kind;
    const char *value; /* how help calls the value; FLAG_WORD: the words, divided by | */
    const char *help;
    bool many; /* may be given more than once */
    int64_t least, most;
} flag_t;

typedef enum {
    REST_NONE,     /* `--` only ends the flags */
    REST_COMMAND,  /* what follows `--` is a command line and kept apart */
    REST_IMPLICIT, /* the same, and the first word that is no flag begins it */
} rest_t;

typedef struct cli cli_t;

enum { FLAG_GROUPS = 4 };
typedef struct command {
    const char *name;  /* "task list", "run" */
    const char *words; /* how help calls the words behind it, e.g. "ID..." */
    const char *help;  /* one line */
    const char *example;
    int (*run)(cli_t *cli); /* returns the exit code. NULL: only a group, `name` is one word */
    const flag_t *flags[FLAG_GROUPS]; /* lists that end with a nameless flag */
    size_t words_least, words_most;
    rest_t rest;
    const char *short_form; /* "ls" */
} command_t;

extern const command_t commands[]; /* ends with a nameless one */
extern const flag_t global_flags[];

typedef struct given {
    const flag_t *flag;
    const char *value;  /* NULL for a switch */
    const char *second; /* FLAG_PAIR */
    int64_t number;     /* FLAG_NUMBER; FLAG_DURATION in microseconds */
} given_t;

/* A command line, read. Borrows argv. */
typedef struct args {
    const command_t *command; /* a group too; NULL: none was named */
    given_t *given;
    size_t given_count;
    const char **words;
    size_t word_count;
    char **rest; /* what follows `--` of a REST_COMMAND */
    size_t rest_count;
    bool wants_help, wants_version;
} args_t;

/* 0, or the exit code of a usage error that has been printed. */
int args_read(args_t *self, int argc, char **argv);
void args_free(args_t *self);

bool args_has(const args_t *self, const char *flag);
size_t args_count(const args_t *self, const char *flag);
/* The last value given; NULL or `otherwise` without one. */
const char *args_text(const args_t *self, const char *flag);
int64_t args_number(const args_t *self, const char *flag, int64_t otherwise);
const given_t *args_given(const args_t *self, const char *flag, size_t i); /* the i-th of it */

/* Prints the page of a command or group; NULL: the overview. */
void help_print(const command_t *command);
/* Prints the page of the command, group or topic of these words. 0, or the code of a printed error.
 */
int help_words(const char *const *words, size_t n);
/* The command or group of these words; *used says how many of them name it. NULL: there is none. */
const command_t *command_find(const char *const *words, size_t n, size_t *used);
/* Prints the error for words that name no command, returns its exit code. What to type begins with
 * `program`: pawl, pawl help. next: the word behind them, NULL: none. */
int command_unknown(const char *program, const char *const *words, size_t n, const char *next);

#endif

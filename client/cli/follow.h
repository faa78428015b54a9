/* SPDX-License-Identifier: Apache-2.0
 * client/cli/follow.h - follows a task to its end: status lines on stderr, its log on stdout.
 *
 * Outlives a restart of the broker; gives up when it is away for longer than --timeout. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "client/cli/cli.h"

typedef struct outcome {
    char status[16]; /* "finished" */
    bool has_exit;
    int exit_code;
    int signal;
} outcome_t;

typedef struct follow_options {
    bool log;           /* print the log of each attempt */
    bool output;        /* print what it returned once it has ended */
    bool status_lines;  /* one line on stderr for each change */
    const char *prefix; /* in front of each line of the log */
    unsigned attempt;   /* begin with the log of this one; 0: the one at hand */
} follow_options_t;

/* Where we are in the log of one attempt. */
typedef struct log_view {
    cli_t *cli;
    const uint8_t *id;
    unsigned attempt;
    uint64_t offset;
    const char *prefix;
    const char *host; /* of a fan-out's child: stands in JSON; NULL: none */
    bool inside_line, ended;
} log_view_t;
/* One look. *got says whether anything came. NOT_FOUND: the attempt has no log. */
pawl_err log_pump(log_view_t *self, int64_t wait_us, bool *got);
void log_end_line(log_view_t *self);

/* 0 when the task has ended and *outcome is set, else the code of a printed error. */
int task_follow(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], const follow_options_t *options,
                outcome_t *outcome);
/* Prints what there is of the log of one attempt (0: the last). */
int log_print(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], unsigned attempt, const char *prefix);
/* Of one attempt (0: the last): the log of each poll, in order. */
int log_print_polls(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], unsigned attempt);
/* Exit code that an outcome stands for. */
int outcome_code(const outcome_t *outcome, bool own_exit_code);

#endif

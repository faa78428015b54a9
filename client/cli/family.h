/* SPDX-License-Identifier: Apache-2.0
 * client/cli/family.h - a fan-out as people see it: its counters, a row for each host, and what the
 * hosts print, each line behind the name of its host. */
#ifndef CLI_FAMILY_H
#define CLI_FAMILY_H

#include <jansson.h>

#include "client/cli/cli.h"
#include "client/cli/follow.h"

/* The counters of a parent as JSON; NULL: the task is no fan-out. */
json_t *family_json(const pawl_record_t *task);
/* The children of `id` that pass the filter, in the order of their index. Takes filter. */
pawl_err family_children(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], pawl_filter_t *filter,
                         pawl_list_t **list);
/* A row for each child of `id`: printed, or as a JSON array. Exit code. */
int family_all(cli_t *cli, const uint8_t id[PAWL_ID_BYTES]);
json_t *family_all_json(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], int *code);
/* Leaves out what says nothing of a parent, for people. */
void family_trim(json_t *parent);
/* What is shown beside a parent: its children when they are few, else how many there are of each
 * status and the first that failed. Exit code. */
int family_summary(cli_t *cli, const pawl_record_t *parent);

/* Where we are in the logs of the children (family_logs.c). Zero-initialised is the beginning. */
typedef struct family_logs {
    log_view_t *views; /* by index among the siblings */
    size_t n;
    const log_view_t **by_id; /* sorted; NULL: nothing was listed yet */
    size_t by_id_n;
    size_t *reading; /* a line of those whose attempt has more to say, by index */
    size_t reading_n;
    uint64_t seen_seq;   /* the last event that was looked at */
    uint64_t listed_seq; /* starts up to this event may be known from the list */
} family_logs_t;
/* Prints what has come since the last call, of so many of them at most. *more: somebody was not
 * asked who may have more. */
pawl_err family_logs_read(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs,
                          size_t most, bool *more);
void family_logs_free(family_logs_t *logs);

#endif

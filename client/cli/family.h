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
/* A row for each child of `id`, in the order of their index. Exit code. */
int family_table(cli_t *cli, const uint8_t id[PAWL_ID_BYTES]);

/* Where we are in the logs of the children. Zero-initialised is the beginning. */
typedef struct family_logs {
    log_view_t *views; /* by index among the siblings */
    size_t n;
} family_logs_t;
/* Prints what has come since the last call. */
pawl_err family_logs_read(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs);
void family_logs_free(family_logs_t *logs);

#endif

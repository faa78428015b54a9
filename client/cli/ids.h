/* SPDX-License-Identifier: Apache-2.0
 * client/cli/ids.h - the tasks that a command line means: ids and unique prefixes, `-` for standard
 * input, or all that a filter matches. */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include "client/cli/cli.h"

typedef struct ids {
    uint8_t *at; /* PAWL_ID_BYTES each */
    size_t count, room;
    bool go_on;     /* in: a word that names no task is told and counted, and the others are read */
    size_t unknown; /* such words */
    int unknown_code; /* of the last one's error */
} ids_t;

void ids_add(ids_t *self, const uint8_t id[PAWL_ID_BYTES]);
void ids_free(ids_t *self);
/* One id or unique prefix. 0 or the code of a printed error. */
int id_read(cli_t *cli, const char *text, const char *what, uint8_t id[PAWL_ID_BYTES]);
/* Of all words behind the command; with --all-matching of the filter flags. Fails with the first
 * word that names no task, with go_on only when there is no other word. */
int ids_read(cli_t *cli, const char *what, ids_t *to);
/* From the filter flags. NULL: a usage error was printed, *code says which. */
pawl_filter_t *filter_read(cli_t *cli, int *code);

#endif

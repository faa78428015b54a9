/* SPDX-License-Identifier: Apache-2.0
 * client/cli/import.h - what every import does with a list of items: gives names, compares with
 * what is on record, writes, reports a row an item. */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "client/cli/cli.h"
#include "client/cli/formats/importlist.h"

/* Fills the list from the command's words. 0, or the code of a printed error: nothing is written
 * then. */
typedef int import_read_fn(cli_t *cli, import_list_t *list);

/* The whole command; `kind` ("crontab") marks what it made. Its exit code: 8 when an item was
 * refused. */
int import_run(cli_t *cli, const char *kind, import_read_fn *read);

/* "backup" of /etc/cron.d/backup.conf. */
const char *import_stem(const char *path);

#endif

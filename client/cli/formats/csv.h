/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/csv.h - reads CSV (RFC 4180): commas, quotes doubled inside quotes, lines in
 * quotes; and NULL or \N for no value; \" inside quotes, as mysql writes it. Pure. */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "client/base/base.h"

typedef struct csv {
    const char *at, *end;
    size_t line;        /* of the next record, from 1 */
    size_t record_line; /* of the record read last */
    const char **cells; /* "" for no value */
    size_t count, room;
} csv_t;

void csv_open(csv_t *self, const char *text, size_t len); /* borrows text */
/* The next record; blank lines are passed over. False at the end. */
bool csv_next(csv_t *self);
void csv_close(csv_t *self);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/time/when_batch.h - `pawl when --batch`: rules in, instants out, one line each. */
#ifndef TIME_WHEN_BATCH_H
#define TIME_WHEN_BATCH_H

#include <stdio.h>

/* Reads lines `zone TAB rule TAB start TAB count [TAB except [TAB name]]` and writes for each one
 * line: the next `count` instants after start, separated by blanks, `none`, or
 * `error CODE COLUMN`. Bytes, not characters: a line may hold NULs and be as long as memory. 0 when
 * all was read and written, 1 after a failed read or write. Zones are read once a run. */
int when_batch(FILE *in, FILE *out);

#endif

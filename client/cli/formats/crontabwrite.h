/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/crontabwrite.h - schedules as a crontab that crontab.h reads back as the same
 * ones.
 *
 * What a crontab cannot say stands in comments. A schedule is left out (with the reason) where its
 * line would run at other times, at all when it should not, or something else. Pure. */
#ifndef CLI_CRONTABWRITE_H
#define CLI_CRONTABWRITE_H

#include <jansson.h>
#include <stdio.h>

#include "client/base/base.h"

typedef struct crontab_written {
    const char *name;
    const char *left_out; /* NULL: it is written. Else why not */
    const char *unsaid;   /* "mode strict, jitter 30s"; "" nothing */
} crontab_written_t;

/* specs: canonical ones (schedulespec.h). account: of system crontabs, for tasks that name none;
 * NULL: a user's crontab. results: one for each spec, in the order written. */
void crontab_write(json_t *const *specs, size_t n, const char *account, FILE *to,
                   crontab_written_t *results);

#endif

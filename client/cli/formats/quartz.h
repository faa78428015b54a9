/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/quartz.h - Quartz cron expressions (second minute hour day month weekday
 * [year], `?`, weekdays 1-7 from Sunday) as a rule of ours that fires at the same local times.
 * Pure. */
#ifndef CLI_QUARTZ_H
#define CLI_QUARTZ_H

#include "client/base/base.h"

typedef struct quartz {
    const char *rule;
    int from_year, to_year; /* 0: every year */
} quartz_t;

/* False: *why says what cannot be read or said. */
bool quartz_read(const char *text, quartz_t *out, const char **why);

#endif

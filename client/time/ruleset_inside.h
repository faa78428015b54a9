/* SPDX-License-Identifier: Apache-2.0
 * client/time/ruleset_inside.h - what ruleset.c and union.c share. Inside client/time. */
#ifndef TIME_RULESET_INSIDE_H
#define TIME_RULESET_INSIDE_H

#include "client/time/ruleset.h"

struct ruleset {
    rule_t **rules;
    rule_t **open; /* the same without calendars; only when there are any */
    size_t count;
    calendar_t **calendars; /* held */
    size_t calendars_count;
    void *tail[]; /* what the three point to: most are one rule, and a hundred thousand are kept */
};

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/time/ruleset_inside.h - what ruleset.c and union.c share. Inside client/time. */
#ifndef TIME_RULESET_INSIDE_H
#define TIME_RULESET_INSIDE_H

#include "client/time/ruleset.h"

struct ruleset {
    rule_t *rules[RULESET_RULES_MAX];
    rule_t *open[RULESET_RULES_MAX]; /* the same without calendars; only when there are any */
    size_t count;
    calendar_t *calendars[RULESET_CALENDARS_MAX]; /* held */
    size_t calendars_count;
};

#endif

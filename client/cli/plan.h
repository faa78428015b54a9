/* SPDX-License-Identifier: Apache-2.0
 * client/cli/plan.h - the rule that --cron, --every, --at or --dates mean. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "client/cli/cli.h"

/* *rule is NULL when none of the flags was given and none is needed. 0, or the code of a printed
 * error. Reads no clock but for the anchor of --every. */
int plan_rule(cli_t *cli, const char *zone, bool needed, const char **rule);
/* "5m" for "5m", "90m" for "1h30m": one number and one unit. NULL: not whole seconds, or 0. */
const char *plan_every(const char *text);
/* Dates from a text: divided by commas, blanks or newlines; # begins a comment. */
const char *plan_dates(const char *text);

#endif

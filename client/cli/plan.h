/* SPDX-License-Identifier: Apache-2.0
 * client/cli/plan.h - the rule that --cron, --every, --at or --dates mean. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "client/cli/cli.h"
#include "client/cli/moments.h"

/* *rule is NULL when none of the flags was given and none is needed. 0, or the code of a printed
 * error. Reads no clock but for the anchor of --every. */
int plan_rule(cli_t *cli, const char *zone, bool needed, const char **rule);
/* The schedule `name` that the flags describe: a new one, or what is on record with the flags over
 * it (*moments is NULL then when they say nothing of its rule). 0, or the code of a printed error;
 * destroy what was made either way. */
int plan_new(cli_t *cli, const char *name, pawl_schedule_t **schedule, moments_t **moments);
int plan_changed(cli_t *cli, const char *name, pawl_schedule_t **schedule, uint64_t *revision,
                 moments_t **moments);
/* --cursor as the SDK takes it: keep, now, microseconds; NULL: not given. 0 or the code of a
 * printed error. */
int plan_cursor(cli_t *cli, const char **cursor);
/* What becomes of missed instants, in words: in this mode, with --order and --live-first as they
 * are given or, for a schedule on record (`name` may be NULL), as they stand there. `delay`: a
 * fixed one in place of a rule. */
const char *plan_if_late(cli_t *cli, const char *name, const char *mode, bool delay);
/* What the schedule would do or does: its rule, the next instants, what becomes of missed ones,
 * warnings. name: of which the broker is asked what flags leave open; NULL: it is not asked. mode
 * may be NULL: the default. made: it as it stands now; NULL: only planned. */
void plan_print(cli_t *cli, const char *name, const moments_t *moments, const char *mode,
                const pawl_record_t *made);
/* The same of a dry run as an object; moments is NULL where the rule stays. */
json_t *plan_json(const cli_t *cli, const char *name, const moments_t *moments, const char *mode,
                  bool is_new);
/* "5m" for "5m", "90m" for "1h30m": one number and one unit. NULL: not whole seconds, or 0. */
const char *plan_every(const char *text);
/* Dates from a text: divided by commas, blanks or newlines; # begins a comment. */
const char *plan_dates(const char *text);

/* Refuses what `schedule add` (is_new) or `set` would refuse, changing nothing. `moments`: of a new
 * rule, else NULL. *mode: the one that the schedule would have. 0 or the code of a printed error.
 */
int plan_try(cli_t *cli, const pawl_schedule_t *schedule, const char *name, bool is_new,
             const moments_t *moments, const char **mode);

#endif

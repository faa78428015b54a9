/* SPDX-License-Identifier: Apache-2.0
 * client/cli/fanoutspec.h - a fan-out as people write it: {"fanout":{...}} and the flags of
 * `pawl run`.
 *
 *   executors [names] | labels {k:v}, count n      who
 *   done "all" "any" "quorum:3" "percent:80"       when the parent is done
 *   offline "wait" "wait:10m" "skip" "fail"        what becomes of who is not there
 *   parallel n, pause "30s"                        waves
 *   stop_after 2 or "10%"                          no further child after so many failures
 *   late_join, cancel_rest, move                   true or false */
#ifndef CLI_FANOUTSPEC_H
#define CLI_FANOUTSPEC_H

#include <jansson.h>

#include "client/cli/command.h"
#include "client/cli/taskspec.h"
#include "schemas/pawl.pb-c.h"

/* False: `error` names the field and why. */
bool fanout_from_json(pawl_task_t *task, const json_t *value, spec_error_t *error);
json_t *fanout_json_from_message(const Pawl__V1__Fanout *fanout);
/* `--on` as a fan-out (all, all:K=V,..., n:3:K=V,..., a,b,c): NULL, it is something else. */
json_t *fanout_from_on(const char *value);
/* --done and the like into `fanout`. False: a usage error was printed. */
bool fanout_flags_read(json_t *fanout, const args_t *args);

#endif

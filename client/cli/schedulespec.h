/* SPDX-License-Identifier: Apache-2.0
 * client/cli/schedulespec.h - a schedule as people write it: one JSON object with the flags of
 * `pawl schedule add` as keys and the task below `task`.
 *
 *   {"name", "rule" | "cron" | "every" | "at" | "dates" | "after", "also": [...], "zone", "except",
 *    "calendars": [...], "max_firings", "title",
 *    "mode", "overlap", "overlap_scope", "overlap_key", "on_resume", "window", "grace", "jitter",
 *    "start_by", "ahead", "max_running", "rate", "supersede", "start", "end", "paused",
 *    "task": {...}}
 *
 * A spec that was read is canonical: one way of writing for one meaning, what is the default left
 * out. So two specs of the same meaning are equal JSON. All JSON here is owned by the caller. */
#ifndef CLI_SCHEDULESPEC_H
#define CLI_SCHEDULESPEC_H

#include "client/cli/taskspec.h"

/* The label of the template that says who made a schedule: "apply/OWNER", "import/crontab". It is
 * no part of a spec. */
#define MADE_BY "made-by"

/* Canonical; `zone` is that of specs which name none. NULL: `error` names the field and why. Rule,
 * zone and task have been tried: what is left to the broker is what only it knows. The rule
 * `@every 5m` may lack its anchor; see schedule_spec_anchor. */
json_t *schedule_spec_read(const json_t *given, const char *zone, spec_error_t *error);

/* Of an answer to ScheduleGet. *made_by (may be NULL) is the label's value, "" without one. */
json_t *schedule_spec_of_record(const pawl_record_t *record, const char **made_by);

/* Puts every field of a canonical spec over `to`. False: `error` says why. */
bool schedule_spec_put(const json_t *spec, const char *made_by, pawl_schedule_t *to,
                       spec_error_t *error);

/* Gives `@every 5m` its anchor: that of `old` (may be NULL) when the step is the same, else the
 * spec's start, else now. */
void schedule_spec_anchor(json_t *spec, const json_t *old);

/* [{"field", "old", "new"}] by field, those of the task by "task.argv" and the like. Only fields of
 * `wanted`, unless `all`: then what it leaves out counts as gone (but for paused). */
json_t *schedule_spec_changes(const json_t *old, const json_t *wanted, bool all);

#endif

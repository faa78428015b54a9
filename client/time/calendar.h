/* SPDX-License-Identifier: Apache-2.0
 * client/time/calendar.h - a blackout calendar: local times at which nothing is planned.
 *
 * One entry a line; empty lines and what stands behind a `#` at the beginning of a word say
 * nothing:
 *
 *   2026-12-24                            one day
 *   2026-12-24..2027-01-02                days, the last one included
 *   2026-12-24T18:00..2026-12-25T06:00    from the first local time up to, without, the second
 *   12-25   02-29   12-24..01-02          each year, the last day included
 *   SUN     SAT..SUN                      each week
 *   days DOM MONTH DOW                    the days that these three fields of a cron rule match:
 *                                         `days * 11 THU#4` is the fourth Thursday of November
 *
 * Local times are seconds of a clock that reads local time (civil.h); a calendar has no zone: each
 * rule reads it by its own. Immutable once made but for its count of holders, which belongs to one
 * thread. */
#ifndef TIME_CALENDAR_H
#define TIME_CALENDAR_H

#include "client/base/base.h"
#include "client/time/rule.h"

enum {
    CALENDAR_TEXT_MAX = 64 << 10,
    CALENDAR_ENTRIES_MAX = 4096,
    CALENDAR_RULES_MAX = 64, /* entries that repeat by weekday or `days` */
};

typedef struct calendar calendar_t;

/* The new calendar has one holder. ERR_BAD_RULE: *error (may be NULL) says where, by the column in
 * the whole text, and why; its codes are those of a rule, and `many`. */
MUST_CHECK err_t calendar_parse(calendar_t **out, slice_t text, rule_error_t *error);
calendar_t *calendar_hold(calendar_t *self); /* one holder more; returns self */
void calendar_release(calendar_t **self_p);  /* the last holder's release frees it */

/* The text as it is kept: an entry a line, without blanks around it, notes and empty lines. */
void calendar_text(slice_t text, buf_t *out);

/* Is this local time closed? Then [*since, *until) around it is closed as well. */
bool calendar_closed(const calendar_t *self, int64_t local, int64_t *since, int64_t *until);
/* Where the next closed stretch behind an open local time begins; INT64_MAX: nowhere. */
int64_t calendar_next_closing(const calendar_t *self, int64_t local);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/cronsets.h - a clock rule as sets of numbers, and the cron rule that says
 * exactly that.
 *
 * Other tools write the same sets in other words (weekdays from 1, both day fields must match);
 * here they become a rule of ours or a reason why none says it. Pure. */
#ifndef CLI_CRONSETS_H
#define CLI_CRONSETS_H

#include "client/base/base.h"

/* Bit n of a set is the value n. A day of the year must be in all three of days, months and
 * weekdays. */
typedef struct cron_sets {
    uint64_t seconds, minutes, hours; /* 0-59, 0-59, 0-23 */
    uint64_t days, months, weekdays;  /* 1-31, 1-12, 0-6 from Sunday */
    bool last_day, last_week;         /* instead of days: the last day, the last seven days */
} cron_sets_t;

enum { SECONDS_ALL = 60, HOURS_ALL = 24 };
uint64_t cron_set_of(unsigned from, unsigned to, unsigned step); /* from <= to */
cron_sets_t cron_sets_all(void);                                 /* every second of every day */
/* When at most one field differs, the union is one rule again: put into *to. */
bool cron_sets_join(cron_sets_t *to, const cron_sets_t *other);

/* "*", "1-5", "0,30", of a set that is not empty. */
const char *cron_field(uint64_t set, unsigned low, unsigned high);
/* NULL: *why says what no rule of ours can say. Six fields where seconds are not just 0. */
const char *cron_sets_rule(const cron_sets_t *self, const char **why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/cronsets.h"

#include <stdio.h>

#include "client/cli/text.h"

enum { DAY_LAST = 31, MONTH_LAST = 12, WEEKDAY_LAST = 6, WEEK = 7 };

uint64_t cron_set_of(unsigned from, unsigned to, unsigned step)
{
    uint64_t set = 0;
    for (unsigned at = from; at <= to; at += step)
        set |= UINT64_C(1) << at;
    return set;
}

cron_sets_t cron_sets_all(void)
{
    return (cron_sets_t){ .seconds = cron_set_of(0, SECONDS_ALL - 1, 1),
                          .minutes = cron_set_of(0, SECONDS_ALL - 1, 1),
                          .hours = cron_set_of(0, HOURS_ALL - 1, 1),
                          .days = cron_set_of(1, DAY_LAST, 1),
                          .months = cron_set_of(1, MONTH_LAST, 1),
                          .weekdays = cron_set_of(0, WEEKDAY_LAST, 1) };
}

bool cron_sets_join(cron_sets_t *to, const cron_sets_t *other)
{
    uint64_t *mine[] = { &to->seconds, &to->minutes, &to->hours,
                         &to->days,    &to->months,  &to->weekdays };
    const uint64_t theirs[] = { other->seconds, other->minutes, other->hours,
                                other->days,    other->months,  other->weekdays };
    if (to->last_day != other->last_day || to->last_week != other->last_week) return false;
    size_t differ = 0, at = 0;
    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        if (*mine[i] != theirs[i]) {
            differ++;
            at = i;
        }
    if (differ > 1) return false;
    *mine[at] |= theirs[at];
    return true;
}

static bool has(uint64_t set, unsigned value)
{
    return set >> value & 1;
}

/* The step s with set = low, low+s, ... up to high; 0: there is none above 1. */
static unsigned star_step(uint64_t set, unsigned low, unsigned high)
{
    for (unsigned step = 2; step <= high - low + 1; step++)
        if (set == cron_set_of(low, high, step)) return step;
    return 0;
}

const char *cron_field(uint64_t set, unsigned low, unsigned high)
{
    if (set == cron_set_of(low, high, 1)) return "*";
    unsigned step = star_step(set, low, high);
    if (step && step <= (high - low) / 2) return say("*/%u", step); /* else a list is clearer */
    buf_t list = { 0 };
    for (unsigned at = low; at <= high; at++) {
        if (!has(set, at)) continue;
        unsigned end = at;
        while (end < high && has(set, end + 1))
            end++;
        buf_printf(&list, "%s%u", list.len ? "," : "", at);
        if (end > at) buf_printf(&list, "%c%u", end > at + 1 ? '-' : ',', end);
        at = end;
    }
    return text_keep((char *)list.at);
}

/* Days that are whole weeks of a month, with weekdays: 1-7 and Monday is the first Monday. */
static const char *numbered_weekdays(uint64_t days, uint64_t weekdays)
{
    enum { WEEKS = 5 };
    buf_t list = { 0 };
    for (unsigned week = 0; week < WEEKS; week++) {
        unsigned first = 1 + WEEK * week, last = week + 1 < WEEKS ? first + WEEK - 1 : DAY_LAST;
        uint64_t all = cron_set_of(first, last, 1);
        if ((days & all) == 0) continue;
        if ((days & all) != all) {
            buf_free(&list);
            return NULL;
        }
        for (unsigned day = 0; day <= WEEKDAY_LAST; day++)
            if (has(weekdays, day))
                buf_printf(&list, "%s%u#%u", list.len ? "," : "", day, week + 1);
    }
    return text_keep((char *)list.at);
}

static const char *last_weekdays(uint64_t weekdays)
{
    buf_t list = { 0 };
    for (unsigned day = 0; day <= WEEKDAY_LAST; day++)
        if (has(weekdays, day)) buf_printf(&list, "%s%uL", list.len ? "," : "", day);
    return text_keep((char *)list.at);
}

/* Cron takes either day field when both are restricted, and both only where one of them begins with
 * a star: those are the forms looked for here. */
static bool day_fields(const cron_sets_t *self, const char **day, const char **weekday,
                       const char **why)
{
    bool all_weekdays = self->weekdays == cron_set_of(0, WEEKDAY_LAST, 1);
    bool all_days = self->days == cron_set_of(1, DAY_LAST, 1);
    unsigned day_step = star_step(self->days, 1, DAY_LAST);
    unsigned weekday_step = star_step(self->weekdays, 0, WEEKDAY_LAST);
    *day = "*";
    *weekday = "*";
    if (self->last_day || self->last_week) {
        if (self->last_day && all_weekdays) {
            *day = "L";
        } else if (self->last_day && weekday_step) {
            *day = "L";
            *weekday = say("*/%u", weekday_step);
        } else if (self->last_week && !all_weekdays) {
            *weekday = last_weekdays(self->weekdays);
        } else {
            *why = "no rule here counts days from the end of a month, but for the last one and the "
                   "last of a weekday";
            return false;
        }
        return true;
    }
    if (all_weekdays || all_days) {
        if (!all_days) *day = cron_field(self->days, 1, DAY_LAST);
        if (!all_weekdays) *weekday = cron_field(self->weekdays, 0, WEEKDAY_LAST);
        return true;
    }
    if (day_step) {
        *day = say("*/%u", day_step);
        *weekday = cron_field(self->weekdays, 0, WEEKDAY_LAST);
        return true;
    }
    if (weekday_step) {
        *day = cron_field(self->days, 1, DAY_LAST);
        *weekday = say("*/%u", weekday_step);
        return true;
    }
    const char *numbered = numbered_weekdays(self->days, self->weekdays);
    if (numbered) {
        *weekday = numbered;
        return true;
    }
    *why = say("the day of the month (%s) and the weekday (%s) must both match; cron's rule takes "
               "either",
               cron_field(self->days, 1, DAY_LAST), cron_field(self->weekdays, 0, WEEKDAY_LAST));
    return false;
}

const char *cron_sets_rule(const cron_sets_t *self, const char **why)
{
    const char *day, *weekday;
    const uint64_t sets[] = { self->seconds, self->minutes, self->hours, self->months,
                              self->weekdays };
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        if (!sets[i]) {
            *why = "a field names no value";
            return NULL;
        }
    if (!self->days && !self->last_day && !self->last_week) {
        *why = "it names no day";
        return NULL;
    }
    if (!day_fields(self, &day, &weekday, why)) return NULL;
    const char *seconds =
        self->seconds == 1 ? "" : say("%s ", cron_field(self->seconds, 0, SECONDS_ALL - 1));
    return say("%s%s %s %s %s %s", seconds, cron_field(self->minutes, 0, SECONDS_ALL - 1),
               cron_field(self->hours, 0, HOURS_ALL - 1), day,
               cron_field(self->months, 1, MONTH_LAST), weekday);
}

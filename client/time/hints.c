/* SPDX-License-Identifier: Apache-2.0
 *
 * One function a hint, one table of them. They look at the text where the writing is the trap (a
 * step, a star), at the sets where the meaning is. */
#include "client/time/hints.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/time/civil.h"
#include "client/time/rule_inside.h"

enum { FIELDS = 6, LOOK_AHEAD = 400 * DAY_SECONDS, CHANGES = 4, HINT_TEXT = 640 };
enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY };

typedef struct look {
    const rule_t *rule;
    char *copy;
    const char *field[FIELDS]; /* of a cron rule; field[SECOND] NULL: five fields */
    int64_t from;
    hint_fn *fn;
    void *arg;
} look_t;

static void tell(const look_t *self, const char *format, ...) PRINTF_LIKE(2, 3);

static void tell(const look_t *self, const char *format, ...)
{
    char text[HINT_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    self->fn(self->arg, text);
}

/* Cuts the text of a cron rule into its fields; false: it is none, or a macro. */
static bool cut(look_t *self, const char *text)
{
    char *words[FIELDS + 1], *rest = self->copy = mem_text(text);
    size_t count = 0;
    for (char *word; count <= FIELDS && (word = strsep(&rest, " \t")) != NULL;)
        if (*word) words[count++] = word;
    if (count != 5 && count != FIELDS) return false;
    for (size_t i = 0; i < count; i++)
        self->field[i + FIELDS - count] = words[i];
    return true;
}

static bool starred(const char *field)
{
    return field[0] == '*';
}

static int bits(uint64_t set)
{
    return __builtin_popcountll(set);
}

/* The rule of five fields in words; false: they are no rule. */
static bool words_of(const look_t *self, const char *five, buf_t *out)
{
    rule_t *rule = NULL;
    if (rule_parse(&rule, five, strlen(five), NULL, "H", self->rule->zone, NULL) != ERR_OK)
        return false;
    rule_explain(rule, "en", out);
    rule_destroy(&rule);
    return true;
}

/* ---- what is written ------------------------------------------------------------------------- */

static void six_fields(const look_t *self)
{
    const char *const *f = self->field;
    if (!f[SECOND] || bits(self->rule->cron.second) < 2) return;
    char five[512];
    snprintf(five, sizeof five, "%s %s %s %s %s", f[MINUTE], f[HOUR], f[DAY], f[MONTH], f[WEEKDAY]);
    buf_t now = { 0 }, meant = { 0 };
    rule_explain(self->rule, "en", &now);
    if (words_of(self, five, &meant))
        tell(self,
             "six fields: the first is the second, so it fires more than once a minute (%s); as a "
             "rule of five fields it would be \"%s\" (%s): type that if you mean it",
             (char *)now.at, five, (char *)meant.at);
    buf_free(&now);
    buf_free(&meant);
}

static void either_day(const look_t *self)
{
    const char *day = self->field[DAY], *weekday = self->field[WEEKDAY];
    if (starred(day) || starred(weekday)) return;
    const char *time = self->field[MINUTE], *hour = self->field[HOUR], *month = self->field[MONTH];
    char nth[96] = "";
    if (strcmp(day, "1-7") == 0 && strlen(weekday) <= 3)
        snprintf(nth, sizeof nth, "; for the first one of the month \"%s %s * %s %s#1\"", time,
                 hour, month, weekday);
    tell(self,
         "day of month and day of week are both given: it fires on days that match either (as cron "
         "does), not both; for the days of the month only \"%s %s %s %s *\", for the weekdays only "
         "\"%s %s * %s %s\"%s",
         time, hour, day, month, time, hour, month, weekday, nth);
}

/* The step of "*" + "/n"; 0: the field is none. */
static int star_step(const char *field)
{
    int step = 0, end = 0;
    if (field == NULL || sscanf(field, "*/%d%n", &step, &end) != 1 || field[end]) return 0;
    return step;
}

static void uneven_steps(const look_t *self)
{
    static const struct {
        int field, size;
        const char *unit, *turn, *steady; /* steady NULL: there is no such interval */
    } units[] = { { SECOND, 60, "seconds", "minute", "s" },
                  { MINUTE, 60, "minutes", "hour", "m" },
                  { HOUR, 24, "hours", "day", "h" } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int step = star_step(self->field[units[i].field]), size = units[i].size;
        if (step < 2) continue;
        int last = (size - 1) / step * step;
        if (step >= size || last == 0)
            tell(self, "*/%d there is once in each %s, at 0: write 0", step, units[i].turn);
        else if (size % step)
            tell(self,
                 "*/%d begins anew each %s: after %d comes 0, %d %s later; for a steady %d%s use "
                 "\"@every %d%s\"",
                 step, units[i].turn, last, size - last, units[i].unit, step, units[i].steady, step,
                 units[i].steady);
    }
    int step = star_step(self->field[DAY]);
    if (step > 1)
        tell(self,
             "*/%d in the day of month begins anew on each 1st, so the last pause of a month is "
             "shorter; for a steady rhythm use \"@every %dd\"",
             step, step);
    step = star_step(self->field[MONTH]);
    if (step > 1 && 12 % step)
        tell(self, "*/%d in the month begins anew each January: name the months you mean", step);
    step = star_step(self->field[WEEKDAY]);
    if (step > 1)
        tell(self,
             "*/%d in the day of week begins anew each Sunday: name the weekdays, or use "
             "\"@every %dd\"",
             step, step);
}

static void every_minute_of_an_hour(const look_t *self)
{
    const cron_t *cron = &self->rule->cron;
    const char *const *f = self->field;
    if (bits(cron->minute) < 60 || bits(cron->hour) == 24) return;
    tell(self,
         "the minute is *: it fires each minute of the hours given, %d times a day; for once in "
         "each of them \"0 %s %s %s %s\"",
         60 * bits(cron->hour), f[HOUR], f[DAY], f[MONTH], f[WEEKDAY]);
}

static void hours_over_midnight(const look_t *self)
{
    int from = 0, to = 0;
    const char *hour = self->field[HOUR];
    bool wraps = sscanf(hour, "%d-%d", &from, &to) == 2 && from > to;
    if (!wraps || (self->rule->cron.every_day)) return;
    tell(self,
         "hours %s go over midnight, the date does not: it fires from 00 to %02d and from %02d on "
         "of the same day; the morning after needs a rule of its own (--also)",
         hour, to, from);
}

/* ---- which dates there are ------------------------------------------------------------------- */

static void days_not_in_all_months(const look_t *self)
{
    const cron_t *cron = &self->rule->cron;
    uint32_t late = UINT32_C(7) << 29;
    bool only = (cron->day || cron->nearest) && !((cron->day | cron->nearest) & ~late);
    if (!only || cron->last_day || cron->last_workday || cron->day_star) return;
    if (!cron->weekday_star && (cron->weekday || cron->special_days) && !cron->nearest) return;
    int lowest = __builtin_ctz(cron->day | cron->nearest);
    if (cron->month == 1u << 2) {
        tell(self, "29 February is there in leap years only; for the last day of February use L");
        return;
    }
    bool missing = false;
    for (int month = 1; month <= 12; month++)
        missing |= (cron->month >> month & 1) && month_length(2027, month) < lowest;
    if (missing)
        tell(self,
             "months without a day %d have no run at all; for the last day of each month use L "
             "(\"%s %s L %s *\")",
             lowest, self->field[MINUTE], self->field[HOUR], self->field[MONTH]);
}

/* ---- changes of the clock -------------------------------------------------------------------- */

typedef struct local_text {
    char date[24], clock[16];
} local_text_t;

static local_text_t local_text(int64_t local)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    civil_t date = civil_from_days(day_of(local));
    int32_t second = second_of_day(local);
    local_text_t text;
    snprintf(text.date, sizeof text.date, "%s %04d-%02d-%02d", days[weekday_of(day_of(local))],
             (int)date.year % 10000, (int)date.month % 100, (int)date.day % 100);
    if (second % 60)
        snprintf(text.clock, sizeof text.clock, "%02d:%02d:%02d", second / 3600 % 24,
                 second / 60 % 60, second % 60);
    else
        snprintf(text.clock, sizeof text.clock, "%02d:%02d", second / 3600 % 24, second / 60 % 60);
    return text;
}

/* The jump from `low` to `high` of a clock that goes forward: a time that the rule names on a date
 * that is shown in part runs at `high`, one of a date that is skipped whole does not run. */
static void jump_forward(const look_t *self, int64_t low, int64_t high)
{
    const char *zone = zone_name(self->rule->zone);
    const cron_t *cron = &self->rule->cron;
    int64_t whole_from = local_at(day_of(low + DAY_SECONDS - 1), 0);
    int64_t whole_to = local_at(day_of(high), 0), local = cron_next(cron, low);
    if (whole_from < whole_to && local >= whole_from && local < whole_to) {
        tell(self,
             "%s is no date in %s (the clock skips it whole): it will not run; --zone UTC "
             "avoids it",
             local_text(local).date, zone);
        local = cron_next(cron, whole_to);
    }
    if (local >= high) return;
    local_text_t text = local_text(local);
    tell(self,
         "%s has no %s in %s: it will run at %s (clocks go forward); another hour, or --zone UTC, "
         "avoids it",
         text.date, text.clock, zone, local_text(high).clock);
}

static void jump_back(const look_t *self, int64_t low, int64_t high)
{
    int64_t local = cron_next(&self->rule->cron, low);
    if (local >= high) return;
    local_text_t text = local_text(local);
    tell(self,
         "%s has %s twice in %s: it will run once, the first time (clocks go back); another hour, "
         "or --zone UTC, avoids it",
         text.date, text.clock, zone_name(self->rule->zone));
}

static void clock_changes(const look_t *self)
{
    int64_t at = self->from;
    int32_t before, after;
    if (self->rule->every_hour) return;
    for (int i = 0; i < CHANGES; i++) {
        if (!zone_next_change(self->rule->zone, at, &at, &before, &after) ||
            at - self->from > LOOK_AHEAD)
            return;
        if (after > before)
            jump_forward(self, at + before, at + after);
        else
            jump_back(self, at + after, at + before);
    }
}

/* ---- intervals ------------------------------------------------------------------------------- */

static void day_in_hours(const look_t *self)
{
    int64_t at;
    int32_t before, after;
    if (self->rule->kind != RULE_EVERY || self->rule->step % DAY_SECONDS) return;
    if (!zone_next_change(self->rule->zone, self->from, &at, &before, &after)) return;
    tell(self,
         "%" PRId64
         "h is elapsed time: in %s its local time moves when clocks change; for the same "
         "time each day use %" PRId64 "d",
         self->rule->step / 3600, zone_name(self->rule->zone), self->rule->step / DAY_SECONDS);
}

static void dates_in_the_past(const look_t *self)
{
    const rule_t *rule = self->rule;
    if (rule->kind != RULE_AT && rule->kind != RULE_DATES) return;
    size_t past = 0;
    while (past < rule->instants_count && rule->instants[past] <= self->from)
        past++;
    if (past)
        tell(self,
             "%zu of its %zu instants lie in the past: in mode strict they run at once, else those "
             "older than 5 minutes go on record as skipped",
             past, rule->instants_count);
}

void rule_hints(const rule_t *rule, const char *text, int64_t from, hint_fn *fn, void *arg)
{
    static void (*const of_fields[])(const look_t *) = {
        six_fields,          either_day,
        uneven_steps,        every_minute_of_an_hour,
        hours_over_midnight, days_not_in_all_months,
    };
    look_t self = { .rule = rule, .from = from, .fn = fn, .arg = arg };
    if (rule->kind == RULE_CRON && cut(&self, text))
        for (size_t i = 0; i < ARRAY_LEN(of_fields); i++)
            of_fields[i](&self);
    if (rule->kind == RULE_CRON) clock_changes(&self);
    day_in_hours(&self);
    dates_in_the_past(&self);
    free(self.copy);
}

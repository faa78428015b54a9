/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/moments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/cli/fail.h"
#include "client/cli/instant.h"
#include "client/cli/text.h"
#include "client/time/civil.h"
#include "client/time/rule.h"

struct moments {
    zone_t *zone;
    rule_t *rule;
    char *text;
};

enum { WARN_DAYS = 400, CHANGES_LOOKED_AT = 4 };

void moments_close(moments_t **self_p)
{
    moments_t *self = *self_p;
    if (!self) return;
    rule_destroy(&self->rule);
    zone_destroy(&self->zone);
    free(self->text);
    free(self);
    *self_p = NULL;
}

static char *completed(const char *rule)
{
    buf_t text = { 0 };
    rule_complete(rule, clock_wall_us() / 1000000, &text);
    buf_add(&text, "", 1);
    return (char *)text.at;
}

/* Words behind the rule that point at the byte. */
static const char *where(const char *rule, const rule_error_t *error)
{
    if (error->in_exclusions) return say("%s (exclusions, column %zu)", error->text, error->column);
    size_t at = error->column ? error->column - 1 : 0, len = strlen(rule);
    const char *what = *error->text ? error->text : error->code;
    if (at >= len) return say("%s: column %zu, behind its end", what, error->column);
    return say("%s: column %zu, at \"%s\"", what, error->column, rule + at);
}

const char *moments_refusal(const char *rule, const char *zone_name_text)
{
    zone_t *zone = NULL;
    rule_t *read = NULL;
    rule_error_t error;
    const char *why = NULL;
    char *text = completed(rule);
    if (zone_open(&zone, zone_name_text, NULL))
        why = say("unknown time zone %s", zone_name_text);
    else if (rule_parse(&read, text, strlen(text), NULL, NULL, zone, &error))
        why = where(text, &error);
    rule_destroy(&read);
    zone_destroy(&zone);
    free(text);
    return why;
}

int moments_open(moments_t **out, const char *rule, const char *zone, const char *exclusions)
{
    moments_t *self = mem_new(sizeof *self);
    rule_error_t error;
    int code = 0;
    self->text = completed(rule);
    if (zone_open(&self->zone, zone, NULL))
        code = fail(EXIT_USAGE, say("unknown time zone %s", zone),
                    "it is not in this machine's zone database (names are like Europe/Paris)",
                    "--zone Europe/Paris, or --zone UTC");
    else if (rule_parse(&self->rule, self->text, strlen(self->text), exclusions, NULL, self->zone,
                        &error))
        code = fail(EXIT_USAGE, say("cannot read the rule \"%s\"", self->text),
                    where(self->text, &error),
                    "pawl when \"30 2 * * 1-5\" (minute hour day month weekday), or \"@every 5m\"");
    if (code) moments_close(&self);
    *out = self;
    return code;
}

int64_t moments_next(const moments_t *self, int64_t after)
{
    return rule_next(self->rule, after);
}

const char *moments_rule(const moments_t *self)
{
    return self->text;
}

const char *moments_words(const moments_t *self, const char *lang)
{
    buf_t words = { 0 };
    rule_explain(self->rule, lang, &words);
    buf_add(&words, "", 1);
    return text_keep((char *)words.at);
}

const char *moments_zone(const moments_t *self)
{
    return zone_name(self->zone);
}

static const char *clock_text(int64_t local)
{
    int32_t second = second_of_day(local);
    if (second % 60) return say("%02d:%02d:%02d", second / 3600, second / 60 % 60, second % 60);
    return say("%02d:%02d", second / 3600, second / 60 % 60);
}

static const char *date_text(int64_t local)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    civil_t date = civil_from_days(day_of(local));
    return say("%s %04d-%02d-%02d", days[weekday_of(day_of(local))], date.year, date.month,
               date.day);
}

const char *moments_show(const moments_t *self, int64_t at)
{
    int32_t offset = zone_offset(self->zone, at), size = offset < 0 ? -offset : offset;
    int64_t local = at + offset;
    return say("%s %s %c%02d:%02d", date_text(local), clock_text(local), offset < 0 ? '-' : '+',
               size / 3600, size / 60 % 60);
}

const char *moments_from_now(int64_t at, int64_t now)
{
    int64_t s = at - now, size = s < 0 ? -s : s;
    const char *span;
    if (size < 60)
        span = say("%" PRId64 " s", size);
    else if (size < 3600)
        span = say("%" PRId64 " min %02" PRId64 " s", size / 60, size % 60);
    else if (size < 86400)
        span = say("%" PRId64 " h %02" PRId64 " min", size / 3600, size / 60 % 60);
    else
        span = say("%" PRId64 " d", size / 86400);
    return s == 0 ? "now" : s > 0 ? say("in %s", span) : say("%s ago", span);
}

// ---- warnings
// ------------------------------------------------------------------------------------

/* The first local time in [from, to) that the rule names, read as on a clock without changes. */
static bool names_local(const rule_t *plain, int64_t from, int64_t to, int64_t *local)
{
    *local = rule_next(plain, from - 1);
    return *local != RULE_NONE && *local < to;
}

static void warn_of_changes(const moments_t *self, const rule_t *plain, int64_t from, json_t *list)
{
    int64_t at = from, local;
    int32_t before, after;
    for (int i = 0; i < CHANGES_LOOKED_AT; i++) {
        if (!zone_next_change(self->zone, at, &at, &before, &after) ||
            at - from > (int64_t)WARN_DAYS * DAY_SECONDS)
            return;
        if (after > before && names_local(plain, at + before, at + after, &local))
            json_array_append_new(
                list, json_string(say("%s has no %s in %s: it will run at %s (clocks go forward)",
                                      date_text(local), clock_text(local), moments_zone(self),
                                      clock_text(at + after))));
        if (after < before && names_local(plain, at + after, at + before, &local))
            json_array_append_new(
                list, json_string(say("%s has %s twice in %s: it will run once, the first time "
                                      "(clocks go back)",
                                      date_text(local), clock_text(local), moments_zone(self))));
    }
}

json_t *moments_warnings(const moments_t *self, int64_t from)
{
    json_t *list = json_array();
    zone_t *utc = NULL;
    rule_t *plain = NULL;
    if (!rule_is_cron(self->rule)) return list;
    int64_t first = rule_next(self->rule, from);
    int64_t second = first == RULE_NONE ? RULE_NONE : rule_next(self->rule, first);
    if (second != RULE_NONE && second - first < 60)
        json_array_append_new(
            list,
            json_string(say("it has six fields and fires %" PRId64 " s apart: the first field "
                            "is the second; leave it out for a rule of minutes",
                            second - first)));
    if (!rule_every_hour(self->rule) && !zone_open(&utc, "UTC", NULL) &&
        !rule_parse(&plain, self->text, strlen(self->text), NULL, NULL, utc, NULL))
        warn_of_changes(self, plain, from, list);
    rule_destroy(&plain);
    zone_destroy(&utc);
    return list;
}

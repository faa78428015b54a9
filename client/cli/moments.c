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
#include "client/time/hints.h"
#include "client/time/terms.h"

struct moments {
    zone_t *zone;
    ruleset_t *set; /* NULL: a fixed delay */
    char *text, *also[RULESET_RULES_MAX];
    size_t also_count;
    char *exclusions, *calendars[RULESET_CALENDARS_MAX];
    terms_t terms;
};

void moments_close(moments_t **self_p)
{
    moments_t *self = *self_p;
    if (!self) return;
    ruleset_destroy(&self->set);
    zone_destroy(&self->zone);
    for (size_t i = 0; i < self->also_count; i++)
        free(self->also[i]);
    for (size_t i = 0; i < self->terms.calendars_count; i++)
        free(self->calendars[i]);
    free(self->exclusions);
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

/* A file of very many schedules names the same few zones: each is read once. NULL: there is none.
 * Good until ZONES_KEPT others were asked for. */
static const zone_t *known_zone(const char *name)
{
    enum { ZONES_KEPT = 64 };
    static zone_t *kept[ZONES_KEPT];
    static size_t next;
    for (size_t i = 0; i < ZONES_KEPT && kept[i]; i++)
        if (strcmp(zone_name(kept[i]), name) == 0) return kept[i];
    zone_t *zone = NULL;
    if (zone_open(&zone, name, NULL)) return NULL;
    zone_destroy(&kept[next % ZONES_KEPT]);
    kept[next++ % ZONES_KEPT] = zone;
    return zone;
}

const char *moments_refusal(const char *rule, const char *zone_name_text)
{
    const zone_t *zone = known_zone(zone_name_text);
    rule_t *read = NULL;
    rule_error_t error;
    const char *why = NULL;
    char *text = completed(rule);
    if (zone == NULL)
        why = say("unknown time zone %s", zone_name_text);
    else if (rule_parse(&read, text, strlen(text), NULL, NULL, zone, &error))
        why = where(text, &error);
    rule_destroy(&read);
    free(text);
    return why;
}

static int read_calendars(const moments_spec_t *spec, calendar_t *calendars[], size_t *count)
{
    rule_error_t error;
    *count = 0;
    for (size_t i = 0; spec->calendar_texts && i < spec->calendars_count; i++) {
        const char *text = spec->calendar_texts[i];
        if (calendar_parse(&calendars[*count], slice_text(text), &error))
            return fail(EXIT_USAGE, say("cannot read the calendar \"%s\"", spec->calendars[i]),
                        where(text, &error),
                        "dates, ranges (..), MM-DD, weekdays, or \"days * 11 THU#4\"");
        ++*count;
    }
    return 0;
}

static int read_set(moments_t *self, const moments_spec_t *spec)
{
    slice_t also[RULESET_RULES_MAX];
    calendar_t *calendars[RULESET_CALENDARS_MAX] = { NULL };
    rule_error_t error;
    size_t which = 0;
    for (size_t i = 0; i < self->also_count; i++)
        also[i] = slice_text(self->also[i]);
    ruleset_spec_t rules = { .rule = slice_text(self->text),
                             .also = also,
                             .also_count = self->also_count,
                             .exclusions = slice_text(self->exclusions),
                             .name = slice_text(spec->name ? spec->name : ""),
                             .zone = self->zone,
                             .calendars = calendars };
    int code = read_calendars(spec, calendars, &rules.calendars_count);
    if (!code && ruleset_parse(&self->set, &rules, &error, &which)) {
        const char *text = which ? self->also[which - 1] : self->text;
        code = fail(EXIT_USAGE, say("cannot read the rule \"%s\"", text), where(text, &error),
                    "pawl when \"30 2 * * 1-5\" (minute hour day month weekday), or \"@every 5m\"");
    }
    for (size_t i = 0; i < ARRAY_LEN(calendars); i++)
        calendar_release(&calendars[i]);
    return code;
}

int moments_open(moments_t **out, const moments_spec_t *spec)
{
    *out = NULL;
    if (spec->also_count >= RULESET_RULES_MAX || spec->calendars_count > RULESET_CALENDARS_MAX)
        return fail(EXIT_USAGE, "too many rules or calendars",
                    say("a schedule has at most %d rules and %d calendars", RULESET_RULES_MAX,
                        RULESET_CALENDARS_MAX),
                    "put more days into one calendar: pawl calendar set NAME ...");
    moments_t *self = mem_new(sizeof *self);
    int code = 0;
    self->text = completed(spec->rule ? spec->rule : "");
    self->exclusions = mem_text(spec->exclusions ? spec->exclusions : "");
    for (; self->also_count < spec->also_count; self->also_count++)
        self->also[self->also_count] = completed(spec->also[self->also_count]);
    for (size_t i = 0; i < spec->calendars_count; i++)
        self->calendars[i] = mem_text(spec->calendars[i]);
    if (zone_open(&self->zone, spec->zone, NULL))
        code = fail(EXIT_USAGE, say("unknown time zone %s", spec->zone),
                    "it is not in this machine's zone database (names are like Europe/Paris)",
                    "--zone Europe/Paris, or --zone UTC");
    else if (!spec->after_us)
        code = read_set(self, spec);
    self->terms = (terms_t){ .set = self->set,
                             .after_us = spec->after_us,
                             .exclusions = self->exclusions,
                             .calendars = (const char *const *)self->calendars,
                             .calendars_count = spec->calendars_count,
                             .zone = self->zone,
                             .from_us = spec->from_us,
                             .to_us = spec->to_us,
                             .max_firings = spec->max_firings };
    if (code) moments_close(&self);
    *out = self;
    return code;
}

/* Validity is part of when it runs: [from, to], rounded into it. */
static int64_t first_valid(const moments_t *self)
{
    return self->terms.from_us > 0 ? (self->terms.from_us + 999999) / 1000000 : 0;
}

static int64_t last_valid(const moments_t *self)
{
    return self->terms.to_us ? self->terms.to_us / 1000000 : RULE_END;
}

int64_t moments_next(const moments_t *self, int64_t after)
{
    if (!self->set) return RULE_NONE;
    if (after < first_valid(self) - 1) after = first_valid(self) - 1;
    int64_t next = ruleset_next(self->set, after);
    return next > last_valid(self) ? RULE_NONE : next;
}

int64_t moments_prev(const moments_t *self, int64_t before)
{
    if (!self->set) return RULE_NONE;
    if (before > last_valid(self)) before = last_valid(self) + 1;
    int64_t prev = ruleset_prev(self->set, before);
    return prev < first_valid(self) ? RULE_NONE : prev;
}

uint64_t moments_count(const moments_t *self, int64_t after, int64_t upto)
{
    if (!self->set) return 0;
    if (after < first_valid(self) - 1) after = first_valid(self) - 1;
    if (upto > last_valid(self)) upto = last_valid(self);
    return after < upto ? ruleset_count(self->set, after, upto) : 0;
}

int64_t moments_closed_next(const moments_t *self, int64_t after, const char **calendar)
{
    size_t which = 0;
    if (!self->set) return RULE_NONE;
    if (after < first_valid(self) - 1) after = first_valid(self) - 1;
    int64_t at = ruleset_closed_next(self->set, after, &which);
    if (at == RULE_NONE || at > last_valid(self)) return RULE_NONE;
    *calendar = self->calendars[which];
    return at;
}

bool moments_delays(const moments_t *self)
{
    return self->terms.after_us != 0;
}

const char *moments_rule(const moments_t *self)
{
    return self->text;
}

const char *moments_also(const moments_t *self, size_t n)
{
    return n < self->also_count ? self->also[n] : NULL;
}

const char *moments_rules(const moments_t *self)
{
    buf_t all = { 0 };
    if (!self->set) return "(a fixed delay)";
    buf_printf(&all, "%s", self->text);
    for (size_t i = 0; i < self->also_count; i++)
        buf_printf(&all, " | %s", self->also[i]);
    return text_keep((char *)all.at);
}

const char *moments_normal(const moments_t *self)
{
    buf_t lines = { 0 }, all = { 0 };
    if (!self->set) return "";
    ruleset_normal(self->set, &lines);
    for (size_t i = 0; i < lines.len; i++)
        if (lines.at[i] == '\n')
            buf_add(&all, " | ", 3);
        else
            buf_add(&all, &lines.at[i], 1);
    buf_add(&all, "", 1);
    buf_free(&lines);
    return text_keep((char *)all.at);
}

const char *moments_words(const moments_t *self, const char *lang)
{
    buf_t words = { 0 };
    terms_explain(&self->terms, lang, &words);
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

/* ---- warnings -------------------------------------------------------------------------------- */

typedef struct warnings {
    json_t *list;
    const char *rule; /* of several: named in front */
} warnings_t;

static void warn(void *arg, const char *text)
{
    warnings_t *self = arg;
    const char *line = self->rule ? say("%s: %s", self->rule, text) : text;
    json_array_append_new(self->list, json_string(line));
}

json_t *moments_warnings(const moments_t *self, int64_t from)
{
    warnings_t warnings = { json_array(), NULL };
    for (size_t i = 0; self->set && i < ruleset_size(self->set); i++) {
        const char *text = i ? self->also[i - 1] : self->text;
        if (self->also_count) warnings.rule = text;
        rule_hints(ruleset_rule(self->set, i), text, from, warn, &warnings);
    }
    return warnings.list;
}

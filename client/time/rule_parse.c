/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads rules and exclusion lists. The number of words is settled first, then they are read from
 * left to right; the first failure wins. */
#include <stdio.h>
#include <stdlib.h>

#include "client/time/civil.h"
#include "client/time/rule_inside.h"

enum { WORDS_MAX = 7, STEP_MAX = 999999999 };

typedef struct words {
    slice_t at[WORDS_MAX]; /* the first ones */
    size_t count;          /* at most WORDS_MAX: more are not told apart */
} words_t;

static words_t split(slice_t text)
{
    words_t words = { .count = 0 };
    const uint8_t *at = text.at, *end = text.at + text.len;
    while (words.count < WORDS_MAX) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const uint8_t *from = at;
        while (at < end && *at != ' ' && *at != '\t')
            at++;
        if (at == from) break;
        words.at[words.count++] = slice(from, (size_t)(at - from));
    }
    return words;
}

static bool word_is(slice_t word, const char *lower)
{
    if (word.len != strlen(lower)) return false;
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.at[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)lower[i]) return false;
    }
    return true;
}

/* ---- exclusions ------------------------------------------------------------------------------ */

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* How many are left. */
static size_t sort_unique(int64_t *at, size_t count)
{
    if (count == 0) return 0;
    qsort(at, count, sizeof *at, compare_int64);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (at[i] != at[kept - 1]) at[kept++] = at[i];
    return kept;
}

/* How many items a list can have at most. */
static size_t items_max(slice_t list)
{
    size_t commas = 0;
    for (size_t i = 0; i < list.len; i++)
        commas += list.at[i] == ',';
    return commas + 1;
}

static bool exclusions_scan(rule_t *rule, scan_t *scan, slice_t list)
{
    size_t days = 0, times = 0, room = items_max(list);
    int64_t *day = mem_new(room * sizeof *day);
    rule->excluded_times = mem_new(room * sizeof *rule->excluded_times);
    bool good;
    do {
        stamp_t stamp;
        good = stamp_scan(scan, true, false, &stamp);
        if (good && stamp.bare)
            day[days++] = day_of(stamp.local);
        else if (good)
            rule->excluded_times[times++] = stamp.local;
    } while (good && scan_accept(scan, ','));
    if (good && scan->at < scan->end)
        good = scan_fail(scan, "syntax", scan->at, "\",\" or the end of the exclusions");
    rule->excluded_days_count = sort_unique(day, days);
    rule->excluded_days = mem_new(room * sizeof *rule->excluded_days);
    for (size_t i = 0; i < rule->excluded_days_count; i++)
        rule->excluded_days[i] = (int32_t)day[i];
    free(day);
    times = sort_unique(rule->excluded_times, times);
    for (size_t i = 0; i < times; i++)
        if (!rule_excludes_day(rule, day_of(rule->excluded_times[i])))
            rule->excluded_times[rule->excluded_times_count++] = rule->excluded_times[i];
    return good;
}

/* ---- @every, @at, @dates --------------------------------------------------------------------- */

/* The instant of a stamp and the local time it stands for. */
static bool stamp_resolve(const rule_t *rule, scan_t *scan, const uint8_t *from,
                          const stamp_t *stamp, int64_t *instant, int64_t *local)
{
    if (stamp->absolute) {
        *instant = stamp->local - stamp->offset;
        *local = *instant + zone_offset(rule->zone, *instant);
        return true;
    }
    *instant = zone_instant(rule->zone, stamp->local, NULL);
    *local = stamp->local;
    return (*instant >= 0 && *instant < RULE_END) ||
           scan_fail(scan, "range", from, "an instant from 1970 to 9998 in UTC");
}

static void enter(scan_t *scan, slice_t word)
{
    scan->at = word.at;
    scan->end = word.at + word.len;
}

static bool leave(scan_t *scan)
{
    return scan->at == scan->end || scan_fail(scan, "syntax", scan->at, "the end of the word");
}

static bool interval_scan(rule_t *rule, scan_t *scan)
{
    static const struct {
        char letter;
        int32_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', DAY_SECONDS } };
    const uint8_t *from = scan->at;
    int64_t number;
    if (!scan_number(scan, &number, "a number and s, m, h or d")) return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!scan_accept(scan, units[i].letter)) continue;
        if (!leave(scan)) return false;
        rule->kind = units[i].letter == 'd' ? RULE_EVERY_DAYS : RULE_EVERY;
        rule->step = number * units[i].seconds; /* number is at most 10^12 */
        return (rule->step >= 1 && rule->step <= STEP_MAX) ||
               scan_fail(scan, "range", from, "an interval from 1 to 999999999 seconds");
    }
    return scan_fail(scan, "syntax", scan->at, "one of the units s, m, h, d");
}

static bool from_scan(scan_t *scan)
{
    for (const char *want = "FROM"; *want; want++, scan->at++)
        if (!scan_letter(scan) || (*scan->at & ~0x20) != *want)
            return scan_fail(scan, "syntax", scan->at, "the word \"from\"");
    return leave(scan);
}

static bool every_scan(rule_t *rule, scan_t *scan, const words_t *words)
{
    stamp_t stamp;
    enter(scan, words->at[1]);
    if (!interval_scan(rule, scan)) return false;
    enter(scan, words->at[2]);
    if (!from_scan(scan)) return false;
    enter(scan, words->at[3]);
    return stamp_scan(scan, false, true, &stamp) && leave(scan) &&
           stamp_resolve(rule, scan, words->at[3].at, &stamp, &rule->anchor, &rule->anchor_local);
}

static bool dates_scan(rule_t *rule, scan_t *scan, slice_t word, bool list)
{
    enter(scan, word);
    rule->instants = mem_new(items_max(word) * sizeof *rule->instants);
    rule->listed = mem_new(items_max(word) * sizeof *rule->listed);
    rule->named = mem_new(items_max(word) * sizeof *rule->named);
    do {
        stamp_t stamp;
        int64_t instant, local;
        const uint8_t *from = scan->at;
        if (!stamp_scan(scan, list, true, &stamp) ||
            !stamp_resolve(rule, scan, from, &stamp, &instant, &local))
            return false;
        rule->named[rule->named_count++] = instant;
        if (instant > 0) rule->listed[rule->listed_count++] = (listed_t){ instant, local };
    } while (list && scan_accept(scan, ','));
    rule_close(rule, NULL, 0);
    rule->named_count = sort_unique(rule->named, rule->named_count);
    return scan->at == scan->end ||
           scan_fail(scan, "syntax", scan->at,
                     list ? "\",\" or the end of the list" : "the end of the time");
}

/* ---- the whole ------------------------------------------------------------------------------- */

// clang-format off
static const struct {
    const char *word;
    size_t words;     /* with this one */
    const char *cron; /* what a macro stands for */
    enum rule_kind kind;
} openers[] = {
    { "@hourly",   1, "0 * * * *", RULE_CRON },
    { "@daily",    1, "0 0 * * *", RULE_CRON },
    { "@midnight", 1, "0 0 * * *", RULE_CRON },
    { "@weekly",   1, "0 0 * * 0", RULE_CRON },
    { "@monthly",  1, "0 0 1 * *", RULE_CRON },
    { "@yearly",   1, "0 0 1 1 *", RULE_CRON },
    { "@annually", 1, "0 0 1 1 *", RULE_CRON },
    { "@every",    4, NULL, RULE_EVERY },
    { "@at",       2, NULL, RULE_AT },
    { "@dates",    2, NULL, RULE_DATES },
};
// clang-format on

static bool fields_settled(scan_t *scan, const words_t *words, size_t least, size_t most,
                           slice_t text, const char *expected)
{
    const uint8_t *end = text.at + text.len;
    scan->end = end;
    if (words->count < least) return scan_fail(scan, "fields", end, expected);
    return words->count <= most || scan_fail(scan, "fields", words->at[most].at, expected);
}

static bool cron_rule_scan(rule_t *rule, scan_t *scan, const words_t *words, slice_t name)
{
    rule->kind = RULE_CRON;
    if (!cron_scan(scan, words->at, words->count, name, &rule->cron)) return false;
    rule->every_hour = rule->cron.hour == 0xffffff;
    return true;
}

static bool rule_scan(rule_t *rule, scan_t *scan, slice_t text, slice_t name)
{
    words_t words = split(text);
    if (words.count == 0 || words.at[0].at[0] != '@')
        return fields_settled(scan, &words, 5, 6, text, "5 or 6 fields") &&
               cron_rule_scan(rule, scan, &words, name);
    for (size_t i = 0; i < ARRAY_LEN(openers); i++) {
        if (!word_is(words.at[0], openers[i].word)) continue;
        size_t count = openers[i].words;
        const char *expected = count == 1   ? "nothing after the macro"
                               : count == 2 ? "one argument"
                                            : "an interval, \"from\" and a time";
        if (!fields_settled(scan, &words, count, count, text, expected)) return false;
        rule->kind = openers[i].kind;
        if (openers[i].cron) {
            words_t fields = split(slice_text(openers[i].cron));
            return cron_rule_scan(rule, scan, &fields, name);
        }
        return count == 4 ? every_scan(rule, scan, &words)
                          : dates_scan(rule, scan, words.at[1], openers[i].kind == RULE_DATES);
    }
    enter(scan, words.at[0]);
    return scan_fail(scan, "macro", scan->at,
                     "@hourly @daily @weekly @monthly @yearly @every @at or @dates");
}

static bool length_good(rule_error_t *error, slice_t text)
{
    if (text.len <= RULE_TEXT_MAX) return true;
    error->code = "too_long";
    error->column = RULE_TEXT_MAX + 1;
    snprintf(error->text, sizeof error->text, "found %zu bytes, expected at most %d", text.len,
             RULE_TEXT_MAX);
    return false;
}

err_t rule_parse_bytes(rule_t **out, slice_t text, slice_t exclusions, slice_t name,
                       const zone_t *zone, rule_error_t *error)
{
    CHECK(out && zone);
    rule_error_t unseen;
    error = error ? error : &unseen;
    *error = (rule_error_t){ 0 };
    *out = NULL;
    if (!text.at) text = slice_text("");
    rule_t *self = mem_new(sizeof *self);
    self->zone = zone;
    bool good = true;
    if (exclusions.len) {
        scan_t scan = { exclusions.at, exclusions.at, exclusions.at + exclusions.len, error };
        good = length_good(error, exclusions) && exclusions_scan(self, &scan, exclusions);
        error->in_exclusions = !good;
    }
    scan_t scan = { text.at, text.at, text.at + text.len, error };
    good = good && length_good(error, text) && rule_scan(self, &scan, text, name);
    if (good)
        *out = self;
    else
        rule_destroy(&self);
    return good ? ERR_OK : ERR_BAD_RULE;
}

err_t rule_parse(rule_t **out, const char *text, size_t len, const char *exclusions,
                 const char *name, const zone_t *zone, rule_error_t *error)
{
    return rule_parse_bytes(out, slice(text, len), slice_text(exclusions ? exclusions : ""),
                            slice_text(name ? name : ""), zone, error);
}

void rule_close(rule_t *self, const calendar_t *const *calendars, size_t count)
{
    int64_t since, until;
    self->calendars = calendars;
    self->calendars_count = count;
    self->instants_count = 0;
    for (size_t i = 0; i < self->listed_count; i++)
        if (!rule_shut(self, self->listed[i].local, &since, &until))
            self->instants[self->instants_count++] = self->listed[i].instant;
    self->instants_count = sort_unique(self->instants, self->instants_count);
}

void rule_destroy(rule_t **self_p)
{
    rule_t *self = *self_p;
    if (!self) return;
    free(self->instants);
    free(self->named);
    free(self->listed);
    free(self->excluded_times);
    free(self->excluded_days);
    free(self);
    *self_p = NULL;
}

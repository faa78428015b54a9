/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/oncalendar.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "client/cli/instant.h"
#include "client/cli/text.h"

/* One field: the values it names; `one` is its only value, -1 when it has several or all. */
typedef struct component {
    uint64_t set;
    int one;
    bool all;
    bool plain_range; /* A..B or A/1: of a day counted from the end */
    unsigned from;
} component_t;

static bool refuse(const char **why, const char *words)
{
    *why = words;
    return false;
}

static bool number(const char **at, unsigned *value)
{
    char *end;
    if (!isdigit((unsigned char)**at)) return false;
    unsigned long read = strtoul(*at, &end, 10);
    if (end - *at > 6) return false;
    *at = end;
    *value = (unsigned)read;
    return true;
}

/* "*", or a list of A, A..B, A/S, A..B/S. Stops at the first byte that does not belong. */
static bool read_component(const char **at, unsigned low, unsigned high, component_t *out,
                           const char **why)
{
    *out = (component_t){ .one = -1 };
    if (**at == '*') {
        ++*at;
        out->all = true;
        out->set = cron_set_of(low, high, 1);
        return true;
    }
    for (size_t n = 0;; n++) {
        unsigned from, to, step = 1;
        if (!number(at, &from)) return refuse(why, "a number or * is missing");
        bool range = (*at)[0] == '.' && (*at)[1] == '.';
        to = from;
        if (range) {
            *at += 2;
            if (!number(at, &to)) return refuse(why, "the end of a range is missing");
        }
        if (**at == '.') return refuse(why, "parts of a second cannot be said here");
        if (**at == '/') {
            ++*at;
            if (!number(at, &step) || step == 0) return refuse(why, "a step is missing or 0");
            if (!range) to = high;
            range = true;
            if (to <= high && from + step > to)
                return refuse(why, "a step is larger than its range");
        }
        if (from < low || to > high || from > to) return refuse(why, "a number is out of range");
        out->set |= cron_set_of(from, to, step);
        out->one = n == 0 && !range ? (int)from : -1;
        out->plain_range = n == 0 && range && step == 1;
        out->from = from;
        if (**at != ',') return true;
        out->plain_range = false;
        ++*at;
    }
}

/* ---- weekdays -------------------------------------------------------------------------------- */

static int weekday(const char **at)
{
    static const char *const names[] = { "sunday",   "monday", "tuesday", "wednesday",
                                         "thursday", "friday", "saturday" };
    size_t len = 0;
    while (isalpha((unsigned char)(*at)[len]))
        len++;
    for (int day = 0; day < 7; day++)
        if ((len == 3 || len == strlen(names[day])) && strncasecmp(*at, names[day], len) == 0) {
            *at += len;
            return day;
        }
    return -1;
}

/* True also when it begins with none: then nothing is taken. */
static bool read_weekdays(const char **at, uint64_t *set, const char **why)
{
    const char *from = *at;
    uint64_t found = 0;
    if (!isalpha((unsigned char)**at)) return true;
    for (;;) {
        int first = weekday(at), last = first;
        if (first < 0) {
            *at = from;
            return found ? refuse(why, "a weekday cannot be read") : true; /* a zone's name */
        }
        bool range = strncmp(*at, "..", 2) == 0 || **at == '-';
        if (range) {
            *at += **at == '-' ? 1 : 2;
            last = weekday(at);
            if (last < 0) return refuse(why, "a weekday cannot be read");
        }
        int after_monday = (first + 6) % 7, end = (last + 6) % 7;
        if (range && after_monday > end) return refuse(why, "a range of weekdays runs backwards");
        for (int day = after_monday; day <= end; day++)
            found |= UINT64_C(1) << (day + 1) % 7;
        while (**at == ' ' && (*at)[1] == ' ')
            ++*at;
        if (**at != ',') break;
        ++*at;
        *at += strspn(*at, " ");
        if (!isalpha((unsigned char)**at)) break; /* "Mon, 10:00" */
    }
    *set = found;
    return true;
}

/* ---- date and time --------------------------------------------------------------------------- */

typedef struct parts {
    int year; /* -1: every year */
    component_t month, day, hour, minute, second;
    bool from_end; /* the day is counted from the month's end */
} parts_t;

static bool read_date(const char *at, parts_t *parts, const char **why)
{
    const char *first = at, *dash = strpbrk(at, "-~");
    const char *second = dash ? strpbrk(dash + 1, "-~") : NULL;
    unsigned year;
    if (!dash) return refuse(why, "a date has no -");
    if (second) { /* with a year */
        if (strncmp(first, "*-", 2) == 0) {
            at += 2;
        } else if (number(&at, &year) && *at == '-') {
            parts->year = (int)(year < 70 ? year + 2000 : year < 100 ? year + 1900 : year);
            at++;
        } else {
            return refuse(why, "lists and ranges of years cannot be said here");
        }
    }
    if (!read_component(&at, 1, 12, &parts->month, why)) return false;
    if (*at != '-' && *at != '~') return refuse(why, "a date cannot be read");
    parts->from_end = *at++ == '~';
    if (!read_component(&at, 1, 31, &parts->day, why)) return false;
    return *at ? refuse(why, "a date cannot be read") : true;
}

static bool read_time(const char *at, parts_t *parts, const char **why)
{
    if (!read_component(&at, 0, 23, &parts->hour, why)) return false;
    if (*at++ != ':') return refuse(why, "a time cannot be read");
    if (!read_component(&at, 0, 59, &parts->minute, why)) return false;
    if (*at == ':') {
        at++;
        if (!read_component(&at, 0, 59, &parts->second, why)) return false;
    }
    return *at ? refuse(why, "a time cannot be read") : true;
}

static component_t just(unsigned value)
{
    return (component_t){ .set = UINT64_C(1) << value, .one = (int)value };
}

static bool to_sets(const parts_t *parts, uint64_t weekdays, on_calendar_t *out, const char **why)
{
    cron_sets_t *sets = &out->sets;
    bool all_weekdays = weekdays == cron_set_of(0, 6, 1);
    *sets = (cron_sets_t){ .seconds = parts->second.set,
                           .minutes = parts->minute.set,
                           .hours = parts->hour.set,
                           .days = parts->day.set,
                           .months = parts->month.set,
                           .weekdays = weekdays };
    if (parts->from_end && !parts->day.all) {
        sets->days = 0;
        sets->last_day = parts->day.one == 1;
        /* ~07/1 is the seventh day from the end and all behind it */
        sets->last_week = parts->day.plain_range && parts->day.from == 7;
        if (!sets->last_day && !sets->last_week)
            return refuse(why, "no rule here counts days from the end of a month, but for the last "
                               "one (~01) and the last of a weekday (Mon *-*~07/1)");
    }
    if (parts->year < 0) return true;
    const component_t *each[] = { &parts->month, &parts->day, &parts->hour, &parts->minute,
                                  &parts->second };
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        if (each[i]->one < 0) return refuse(why, "a rule that holds for one year only");
    if (!all_weekdays || parts->from_end)
        return refuse(why, "one date with a weekday or counted from the end of its month");
    out->stamp = say("%04d-%02d-%02dT%02d:%02d:%02d", parts->year, parts->month.one, parts->day.one,
                     parts->hour.one, parts->minute.one, parts->second.one);
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static const char *in_full(const char *text)
{
    static const char *const shorthands[][2] = {
        { "minutely", "*-*-* *:*:00" },
        { "hourly", "*-*-* *:00:00" },
        { "daily", "*-*-* 00:00:00" },
        { "weekly", "Mon *-*-* 00:00:00" },
        { "monthly", "*-*-01 00:00:00" },
        { "yearly", "*-01-01 00:00:00" },
        { "annually", "*-01-01 00:00:00" },
        { "anually", "*-01-01 00:00:00" }, /* systemd takes this one too */
        { "quarterly", "*-01,04,07,10-01 00:00:00" },
        { "semiannually", "*-01,07-01 00:00:00" },
        { "semi-annually", "*-01,07-01 00:00:00" },
        { "biannually", "*-01,07-01 00:00:00" },
        { "bi-annually", "*-01,07-01 00:00:00" },
    };
    for (size_t i = 0; i < ARRAY_LEN(shorthands); i++)
        if (strcasecmp(shorthands[i][0], text) == 0) return shorthands[i][1];
    return text;
}

/* Cuts a last word off that is a zone's name. */
static const char *take_zone(char *text)
{
    char *blank = strrchr(text, ' ');
    if (!blank || (strcmp(blank + 1, "UTC") != 0 && !zone_exists(blank + 1))) return NULL;
    *blank = '\0';
    return blank + 1;
}

bool on_calendar_read(const char *given, on_calendar_t *out, const char **why)
{
    char *text = text_keep(mem_text(given + strspn(given, " \t")));
    *out = (on_calendar_t){ .sets = cron_sets_all() };
    for (size_t len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
        text[len - 1] = '\0';
    if (text[0] == '@') {
        int64_t seconds = strtoll(text + 1, NULL, 10);
        if (!text[1] || text[1 + strspn(text + 1, "0123456789")] || strlen(text) > 11)
            return refuse(why, "an instant behind @ cannot be read");
        out->stamp = instant_text_in("UTC", seconds * 1000000);
        out->stamp = say("%s", out->stamp);
        return true;
    }
    out->zone = take_zone(text);
    const char *at = in_full(text);
    parts_t parts = { .year = -1, .hour = just(0), .minute = just(0), .second = just(0) };
    parts.month = (component_t){ .set = out->sets.months, .one = -1, .all = true };
    parts.day = (component_t){ .set = out->sets.days, .one = -1, .all = true };
    uint64_t weekdays = out->sets.weekdays;
    if (!*at) return refuse(why, "it is empty");
    const char *begin = at;
    if (!read_weekdays(&at, &weekdays, why)) return false;
    if (at != begin && *at && *at != ' ' && at[-1] != ' ' && at[-1] != ',')
        return refuse(why, "a weekday cannot be read");
    at += strspn(at, " ");
    char *rest = text_keep(mem_text(at));
    bool dated = false, timed = false;
    for (char *word; (word = strsep(&rest, " T"));) {
        if (!*word) continue;
        bool is_time = strchr(word, ':') != NULL;
        if (timed || (dated && !is_time)) return refuse(why, "a word too many (an unknown zone?)");
        if (!(is_time ? read_time(word, &parts, why) : read_date(word, &parts, why))) return false;
        timed = is_time;
        dated = true;
    }
    return to_sets(&parts, weekdays, out, why);
}

bool systemd_span_read(const char *text, int64_t *us)
{
    static const struct {
        const char *names; /* divided by | */
        int64_t us;
    } units[] = {
        { "|us|usec|", 1 },
        { "|ms|msec|", 1000 },
        { "||s|sec|second|seconds|", 1000000 },
        { "|m|min|minute|minutes|", 60 * INT64_C(1000000) },
        { "|h|hr|hour|hours|", 3600 * INT64_C(1000000) },
        { "|d|day|days|", 86400 * INT64_C(1000000) },
        { "|w|week|weeks|", 604800 * INT64_C(1000000) },
    }; /* months and years have no fixed length */
    int64_t sum = 0;
    size_t parts = 0;
    for (text += strspn(text, " \t"); *text; text += strspn(text, " \t"), parts++) {
        char *end;
        size_t digits = strspn(text, "0123456789"), i = 0;
        if (!digits || digits > 12) return false;
        int64_t count = strtoll(text, &end, 10), part;
        end += strspn(end, " ");
        size_t letters = 0;
        while (isalpha((unsigned char)end[letters]))
            letters++;
        const char *unit = say("|%.*s|", (int)letters, end);
        while (i < ARRAY_LEN(units) && !strstr(units[i].names, unit))
            i++;
        if (i == ARRAY_LEN(units) || __builtin_mul_overflow(count, units[i].us, &part) ||
            __builtin_add_overflow(sum, part, &sum))
            return false;
        text = end + letters;
    }
    *us = sum;
    return parts > 0;
}

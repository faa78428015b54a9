/* SPDX-License-Identifier: Apache-2.0
 * The instants of the rules that clients of the simulator write, minute by minute and step by step:
 * nothing of client/time, and a clock of Paris of our own. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    DAY = 86400,
    HOUR = 3600,
    SEARCH_MINUTES = 3 * 1440
}; /* each rule names minutes of any day */

/* ---- Paris: an hour ahead, two from the last Sunday of March to that of October, 01:00 UTC -----
 */

static int64_t last_sunday(int year, int month) /* of 31 days; 01:00 UTC */
{
    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 31, .tm_hour = 1 };
    int64_t end = timegm(&tm);
    timegm(&tm); /* fills in the weekday */
    return end - tm.tm_wday * DAY;
}

static int64_t paris_offset(int64_t t)
{
    static int64_t from, to, begin, end; /* of the year that was asked for last */
    if (t < from || t >= to) {
        struct tm tm;
        time_t second = (time_t)t;
        gmtime_r(&second, &tm);
        int year = tm.tm_year + 1900;
        struct tm first = { .tm_year = tm.tm_year, .tm_mday = 1 },
                  next = { .tm_year = tm.tm_year + 1, .tm_mday = 1 };
        from = timegm(&first);
        to = timegm(&next);
        begin = last_sunday(year, 3);
        end = last_sunday(year, 10);
    }
    return t >= begin && t < end ? 2 * HOUR : HOUR;
}

static int64_t offset(bool paris, int64_t t)
{
    return paris ? paris_offset(t) : 0;
}

/* ---- cron: a minute and an hour of every day ---------------------------------------------------
 */

typedef struct daily {
    bool minutes[60], hours[24];
    bool every_hour;
} daily_t;

static bool read_field(const char *text, bool *has, int size)
{
    int first = 0, last = size - 1, step = 1, n;
    if (sscanf(text, "*/%d", &step) != 1 && strcmp(text, "*") != 0) {
        n = sscanf(text, "%d-%d", &first, &last);
        if (n < 1) return false;
        if (n == 1) last = first;
    }
    for (int value = first; value <= last && value < size; value += step)
        has[value] = true;
    return first < size;
}

static bool read_daily(const char *rule, daily_t *daily)
{
    char minute[16], hour[16], rest[16];
    *daily = (daily_t){ .every_hour = true };
    if (sscanf(rule, "%15s %15s %15[* ]", minute, hour, rest) != 3 || strcmp(rest, "* * *") != 0 ||
        !read_field(minute, daily->minutes, 60) || !read_field(hour, daily->hours, 24))
        return false;
    for (int i = 0; i < 24; i++)
        daily->every_hour &= daily->hours[i];
    return true;
}

static bool names(const daily_t *daily, int64_t reading)
{
    return daily->minutes[reading / 60 % 60] && daily->hours[reading / HOUR % 24];
}

/* A rule of every hour goes by what the clock shows. Any other fires once for each time of day:
 * when it is shown first, or when the clock jumps over it. */
static bool fires(const daily_t *daily, bool paris, int64_t t)
{
    int64_t reading = t + offset(paris, t), before = offset(paris, t - 60);
    if (names(daily, reading)) {
        bool again = paris && t - HOUR + offset(paris, t - HOUR) == reading;
        if (daily->every_hour || !again) return true;
    }
    if (daily->every_hour) return false;
    for (int64_t skipped = t + before; skipped < reading; skipped += 60)
        if (names(daily, skipped)) return true;
    return false;
}

static int64_t daily_next(const daily_t *daily, bool paris, int64_t after)
{
    int64_t minute = after / 60 + 1;
    for (int i = 0; i < SEARCH_MINUTES; i++, minute++)
        if (fires(daily, paris, minute * 60)) return minute * 60;
    return INT64_MAX;
}

/* ---- all rules ---------------------------------------------------------------------------------
 */

static bool read_utc(const char *stamp, int64_t *t)
{
    struct tm tm = { 0 };
    const char *end = strptime(stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (end == NULL || *end) return false;
    *t = timegm(&tm);
    return true;
}

bool instants_next(const char *rule, const char *zone, int64_t after, int64_t *next)
{
    long count;
    char unit, stamp[32];
    int64_t at;
    daily_t daily;
    bool paris = strcmp(zone, "Europe/Paris") == 0;
    if (!paris && strcmp(zone, "UTC") != 0) return false;
    if (sscanf(rule, "@at %31s", stamp) == 1 && read_utc(stamp, &at)) {
        *next = at > after ? at : INT64_MAX;
        return true;
    }
    if (sscanf(rule, "@every %ld%c from %31s", &count, &unit, stamp) == 3 && read_utc(stamp, &at)) {
        int64_t step = count * (unit == 's' ? 1 : unit == 'm' ? 60 : HOUR);
        if (unit != 's' && unit != 'm' && unit != 'h') return false;
        *next = after < at ? at : at + ((after - at) / step + 1) * step;
        return true;
    }
    if (!read_daily(rule, &daily)) return false;
    *next = daily_next(&daily, paris, after);
    return true;
}

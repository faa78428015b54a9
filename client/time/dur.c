/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/dur.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/time/civil.h"

#define SECOND_US INT64_C(1000000)

enum { YEAR_LOW = 1970, YEAR_HIGH = 9998 };

/* Largest first. */
static const struct {
    const char *name;
    int64_t us;
} units[] = {
    { "d", 86400 * SECOND_US },
    { "h", 3600 * SECOND_US },
    { "m", 60 * SECOND_US },
    { "s", SECOND_US },
    { "ms", 1000 },
    { "us", 1 },
};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

void dur_print(int64_t us, char text[DUR_TEXT])
{
    size_t unit = 0;
    while (us % units[unit].us != 0)
        unit++;
    if (us == 0) unit = 3; /* 0s */
    snprintf(text, DUR_TEXT, "%" PRId64 "%s", us / units[unit].us, units[unit].name);
}

/* Exactly `digits` digits in [low, high]; moves *at behind them. */
static bool field(const char **at, int digits, int32_t low, int32_t high, int32_t *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (!digit(**at)) return false;
        *value = *value * 10 + (**at - '0');
    }
    return *value >= low && *value <= high;
}

static bool literal(const char **at, char byte)
{
    if (**at != byte) return false;
    (*at)++;
    return true;
}

/* hh:mm[:ss[.ffffff]] in microseconds of the day. */
static bool clock_parse(const char **at, int64_t *us)
{
    int32_t hour, minute, second = 0;
    int64_t fraction = 0;
    if (!field(at, 2, 0, 23, &hour) || !literal(at, ':') || !field(at, 2, 0, 59, &minute))
        return false;
    if (literal(at, ':')) {
        if (!field(at, 2, 0, 59, &second)) return false;
        if (literal(at, '.')) {
            int64_t worth = SECOND_US / 10;
            if (!digit(**at)) return false;
            for (; digit(**at); (*at)++, worth /= 10) {
                if (worth == 0) return false;
                fraction += (**at - '0') * worth;
            }
        }
    }
    *us = (hour * 3600 + minute * 60 + second) * SECOND_US + fraction;
    return true;
}

/* Z or +hh:mm in seconds; *absolute when there was one. */
static bool offset_parse(const char **at, bool *absolute, int32_t *offset)
{
    *offset = 0;
    *absolute = literal(at, 'Z') || literal(at, 'z');
    if (*absolute || (**at != '+' && **at != '-')) return true;
    int32_t sign = *(*at)++ == '-' ? -1 : 1, hour, minute;
    if (!field(at, 2, 0, 23, &hour) || !literal(at, ':') || !field(at, 2, 0, 59, &minute))
        return false;
    *absolute = true;
    *offset = sign * (hour * 3600 + minute * 60);
    return true;
}

err_t moment_parse(const char *text, const zone_t *zone, int64_t *us)
{
    CHECK(text && us);
    const char *at = text;
    int32_t year, month, day, offset = 0;
    int64_t clock = 0;
    bool absolute = false;
    if (!field(&at, 4, YEAR_LOW, YEAR_HIGH, &year) || !literal(&at, '-') ||
        !field(&at, 2, 1, 12, &month) || !literal(&at, '-') ||
        !field(&at, 2, 1, month_length(year, month), &day))
        return ERR_BAD_VALUE;
    if (*at && !((literal(&at, 'T') || literal(&at, 't') || literal(&at, ' ')) &&
                 clock_parse(&at, &clock) && offset_parse(&at, &absolute, &offset)))
        return ERR_BAD_VALUE;
    if (*at || (!absolute && !zone)) return ERR_BAD_VALUE;
    int64_t local = local_at(days_from_civil(year, month, day), (int32_t)(clock / SECOND_US));
    bool skipped = false;
    int64_t instant = absolute ? local - offset : zone_instant(zone, local, &skipped);
    if (instant < 0) return ERR_BAD_VALUE;
    *us = instant * SECOND_US + (skipped ? 0 : clock % SECOND_US);
    return ERR_OK;
}

void moment_print(int64_t us, const zone_t *zone, char text[MOMENT_TEXT])
{
    int64_t instant = us / SECOND_US, fraction = us % SECOND_US;
    if (fraction < 0) {
        fraction += SECOND_US;
        instant--;
    }
    int32_t offset = zone ? zone_offset(zone, instant) / 60 * 60 : 0;
    int64_t local = instant + offset;
    if (local < -INT64_C(62167219200) || local >= INT64_C(253402300800)) {
        snprintf(text, MOMENT_TEXT, "%" PRId64 "us", us); /* no RFC 3339 text: not years 0-9999 */
        return;
    }
    civil_t date = civil_from_days(day_of(local));
    int32_t second = second_of_day(local);
    int len = snprintf(text, MOMENT_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", date.year, date.month,
                       date.day, second / 3600, second / 60 % 60, second % 60);
    if (fraction) {
        len += snprintf(text + len, MOMENT_TEXT - (size_t)len, ".%06d", (int)fraction);
        while (text[len - 1] == '0')
            text[--len] = 0;
    }
    if (!zone)
        snprintf(text + len, MOMENT_TEXT - (size_t)len, "Z");
    else
        snprintf(text + len, MOMENT_TEXT - (size_t)len, "%c%02d:%02d", offset < 0 ? '-' : '+',
                 abs(offset) / 3600, abs(offset) / 60 % 60);
}

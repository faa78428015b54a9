/* SPDX-License-Identifier: Apache-2.0
 * client/time/civil.h - proleptic Gregorian dates as whole numbers of days since 1970-01-01.
 *
 * Pure integer arithmetic; good for the years -32767 to 32767. Local times are seconds of a clock
 * that reads local time: day * DAY_SECONDS + second of the day. */
#ifndef TIME_CIVIL_H
#define TIME_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

enum { DAY_SECONDS = 86400, CYCLE_YEARS = 400, CYCLE_DAYS = 146097 };

typedef struct civil {
    int32_t year;
    int32_t month; /* 1 to 12 */
    int32_t day;   /* 1 to 31 */
} civil_t;

static inline bool year_is_leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static inline int32_t month_length(int32_t year, int32_t month)
{
    if (month == 2) return year_is_leap(year) ? 29 : 28;
    return 30 + ((month + (month >> 3)) & 1);
}

/* The year is counted from March, so that the leap day is its last; eras are 400 years. */
static inline int32_t days_from_civil(int32_t year, int32_t month, int32_t day)
{
    year -= month <= 2;
    int32_t era = (year >= 0 ? year : year - 399) / CYCLE_YEARS;
    int32_t of_era = year - era * CYCLE_YEARS;
    int32_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * CYCLE_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static inline civil_t civil_from_days(int32_t days)
{
    days += 719468;
    int32_t era = (days >= 0 ? days : days - (CYCLE_DAYS - 1)) / CYCLE_DAYS;
    uint32_t of_era = (uint32_t)(days - era * CYCLE_DAYS);
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * of_year + 2) / 153; /* 0 is March */
    civil_t date = { .day = (int32_t)(of_year - (153 * month + 2) / 5 + 1),
                     .month = (int32_t)(month < 10 ? month + 3 : month - 9) };
    date.year = (int32_t)year + era * CYCLE_YEARS + (date.month <= 2);
    return date;
}

/* 0 is Sunday. */
static inline int32_t weekday_of(int32_t days)
{
    int32_t weekday = (days + 4) % 7;
    return weekday < 0 ? weekday + 7 : weekday;
}

/* The day of a local time, rounding down before 1970 too. */
static inline int32_t day_of(int64_t local)
{
    int64_t day = local / DAY_SECONDS;
    return (int32_t)(local % DAY_SECONDS < 0 ? day - 1 : day);
}

static inline int32_t second_of_day(int64_t local)
{
    return (int32_t)(local - (int64_t)day_of(local) * DAY_SECONDS);
}

static inline int64_t local_at(int32_t day, int32_t second)
{
    return (int64_t)day * DAY_SECONDS + second;
}

#endif

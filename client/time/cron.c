/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/cron.h"

#include "client/time/civil.h"

enum { YEAR_LOW = 1900, YEAR_HIGH = 10000, SUNDAY = 0, SATURDAY = 6 };

static int lowest(uint64_t bits)
{
    return __builtin_ctzll(bits);
}

static int highest(uint64_t bits)
{
    return 63 - __builtin_clzll(bits);
}

/* Bits from `low` on; low is at most 63. */
static uint64_t from_bit(uint64_t bits, int low)
{
    return bits >> low << low;
}

/* Bits up to and with `high`. */
static uint64_t to_bit(uint64_t bits, int high)
{
    return high >= 63 ? bits : bits & ((UINT64_C(1) << (high + 1)) - 1);
}

/* A set of weekdays as a week that begins with the month's first day: bit 0 is day 1. */
static uint32_t week_from(uint32_t weekdays, int first)
{
    return (weekdays >> first | weekdays << (7 - first)) & 127;
}

/* A week repeated over a month: bit d is day d. */
static uint32_t spread(uint32_t week)
{
    return (uint32_t)((uint64_t)week * UINT64_C(0x10204081) << 1);
}

/* Where nW falls: the nearest Monday to Friday within the month. */
static int nearest_workday(int day, int first, int length)
{
    int weekday = (first + day - 1) % 7;
    if (weekday == SATURDAY) return day == 1 ? 3 : day - 1;
    if (weekday == SUNDAY) return day == length ? day - 2 : day + 1;
    return day;
}

/* The days of a month of this length that begins on this weekday. */
static uint32_t days_of_kind(const cron_t *self, int first, int length)
{
    uint32_t all = (uint32_t)(((UINT64_C(1) << length) - 1) << 1);
    uint32_t days = self->day & all;
    uint32_t weekdays = spread(week_from(self->weekday, first));
    if (self->special_days) {
        for (uint32_t left = self->nearest & all; left; left &= left - 1)
            days |= 1u << nearest_workday(lowest(left), first, length);
        if (self->last_day) days |= 1u << length;
        if (self->last_workday) {
            int weekday = (first + length - 1) % 7;
            days |= 1u << (length - (weekday == SATURDAY ? 1 : weekday == SUNDAY ? 2 : 0));
        }
        for (int n = 0; n < 5; n++)
            weekdays |= (uint32_t)((uint64_t)week_from(self->weekday_nth[n], first) << (7 * n + 1));
        weekdays |= spread(week_from(self->weekday_last, first)) &
                    (uint32_t)(UINT64_C(127) << (length - 6));
    }
    weekdays &= all;
    return self->day_star || self->weekday_star ? days & weekdays : days | weekdays;
}

uint32_t cron_month_days(const cron_t *self, int32_t year, int32_t month)
{
    if (!(self->month >> month & 1)) return 0;
    return days_of_kind(self, weekday_of(days_from_civil(year, month, 1)),
                        month_length(year, month));
}

bool cron_finish(cron_t *self)
{
    uint32_t nth = 0;
    for (int n = 0; n < 5; n++)
        nth |= self->weekday_nth[n];
    self->special_days =
        self->nearest || self->last_day || self->last_workday || self->weekday_last || nth;
    uint32_t all_days = UINT32_MAX - 1;
    bool full_day = (self->day & all_days) == all_days, full_weekday = self->weekday == 127;
    bool both = self->day_star || self->weekday_star;
    self->every_day = (self->month & 0x1ffe) == 0x1ffe &&
                      (both ? full_day && full_weekday : full_day || full_weekday);
    if (!self->second || !self->minute || !self->hour) return false;
    self->first_second =
        lowest(self->hour) * 3600 + lowest(self->minute) * 60 + lowest(self->second);
    self->last_second =
        highest(self->hour) * 3600 + highest(self->minute) * 60 + highest(self->second);
    /* 28 years in a row hold all 14 kinds of year */
    for (int32_t year = 2000; year < 2028; year++)
        for (int32_t month = 1; month <= 12; month++)
            if (cron_month_days(self, year, month)) return true;
    return false;
}

static bool day_matches(const cron_t *self, int32_t day)
{
    if (self->every_day) return true;
    civil_t date = civil_from_days(day);
    return cron_month_days(self, date.year, date.month) >> date.day & 1;
}

/* The first matching time of day >= second, or -1. */
static int32_t time_next(const cron_t *self, int32_t second)
{
    int hour = second / 3600, minute = second / 60 % 60;
    if (second > self->last_second) return -1;
    if (second <= self->first_second) return self->first_second;
    if (self->hour >> hour & 1) {
        if (self->minute >> minute & 1) {
            uint64_t left = from_bit(self->second, second % 60);
            if (left) return hour * 3600 + minute * 60 + lowest(left);
        }
        uint64_t left = from_bit(self->minute, minute + 1);
        if (left) return hour * 3600 + lowest(left) * 60 + lowest(self->second);
    }
    uint64_t left = from_bit(self->hour, hour + 1);
    return left ? lowest(left) * 3600 + self->first_second % 3600 : -1;
}

/* The last matching time of day <= second, or -1. */
static int32_t time_prev(const cron_t *self, int32_t second)
{
    int hour = second / 3600, minute = second / 60 % 60;
    if (second < self->first_second) return -1;
    if (second >= self->last_second) return self->last_second;
    if (self->hour >> hour & 1) {
        if (self->minute >> minute & 1) {
            uint64_t left = to_bit(self->second, second % 60);
            if (left) return hour * 3600 + minute * 60 + highest(left);
        }
        uint64_t left = minute ? to_bit(self->minute, minute - 1) : 0;
        if (left) return hour * 3600 + highest(left) * 60 + highest(self->second);
    }
    uint64_t left = hour ? to_bit(self->hour, hour - 1) : 0;
    return left ? highest(left) * 3600 + self->last_second % 3600 : -1;
}

/* Matching times of day < second. */
static uint64_t times_before(const cron_t *self, int32_t second)
{
    uint64_t seconds = (uint64_t)__builtin_popcountll(self->second);
    uint64_t minutes = (uint64_t)__builtin_popcountll(self->minute);
    if (second >= DAY_SECONDS) return (uint64_t)__builtin_popcount(self->hour) * minutes * seconds;
    int hour = second / 3600, minute = second / 60 % 60;
    uint64_t hours = self->hour & ((UINT64_C(1) << hour) - 1);
    uint64_t count = (uint64_t)__builtin_popcountll(hours) * minutes * seconds;
    if (!(self->hour >> hour & 1)) return count;
    count += (uint64_t)__builtin_popcountll(self->minute & ((UINT64_C(1) << minute) - 1)) * seconds;
    if (self->minute >> minute & 1)
        count +=
            (uint64_t)__builtin_popcountll(self->second & ((UINT64_C(1) << (second % 60)) - 1));
    return count;
}

/* The first matching day >= day; INT32_MAX: none before the year 10000. */
static int32_t day_next(const cron_t *self, int32_t day)
{
    if (self->every_day) return day;
    civil_t date = civil_from_days(day);
    uint32_t days = (uint32_t)from_bit(cron_month_days(self, date.year, date.month), date.day);
    if (days) return day - date.day + lowest(days);
    while (date.year < YEAR_HIGH) {
        uint32_t months = date.month < 12 ? (uint32_t)from_bit(self->month, date.month + 1) : 0;
        if (!months) {
            date.year++;
            months = self->month;
        }
        date.month = lowest(months);
        int32_t first = days_from_civil(date.year, date.month, 1);
        days = days_of_kind(self, weekday_of(first), month_length(date.year, date.month));
        if (days) return first - 1 + lowest(days);
    }
    return INT32_MAX;
}

/* The last matching day <= day; INT32_MIN: none since 1900. */
static int32_t day_prev(const cron_t *self, int32_t day)
{
    if (self->every_day) return day;
    civil_t date = civil_from_days(day);
    uint32_t days = (uint32_t)to_bit(cron_month_days(self, date.year, date.month), date.day);
    if (days) return day - date.day + highest(days);
    while (date.year > YEAR_LOW) {
        uint32_t months = (uint32_t)to_bit(self->month, date.month - 1);
        if (!months) {
            date.year--;
            months = self->month;
        }
        date.month = highest(months);
        int32_t first = days_from_civil(date.year, date.month, 1);
        days = days_of_kind(self, weekday_of(first), month_length(date.year, date.month));
        if (days) return first - 1 + highest(days);
    }
    return INT32_MIN;
}

int64_t cron_next(const cron_t *self, int64_t local)
{
    int32_t day = day_of(local);
    int32_t found = day_next(self, day);
    if (found == day) {
        int32_t second = time_next(self, second_of_day(local));
        if (second >= 0) return local_at(day, second);
        found = day_next(self, day + 1);
    }
    return found == INT32_MAX ? LOCAL_NONE : local_at(found, self->first_second);
}

int64_t cron_prev(const cron_t *self, int64_t local)
{
    int32_t day = day_of(local);
    int32_t found = day_prev(self, day);
    if (found == day) {
        int32_t second = time_prev(self, second_of_day(local));
        if (second >= 0) return local_at(day, second);
        found = day_prev(self, day - 1);
    }
    return found == INT32_MIN ? LOCAL_BEFORE : local_at(found, self->last_second);
}

/* Matching days in [from, to). */
static uint64_t days_count(const cron_t *self, int32_t from, int32_t to)
{
    if (from >= to) return 0;
    if (self->every_day) return (uint64_t)(to - from);
    civil_t date = civil_from_days(from), end = civil_from_days(to);
    uint64_t count = 0;
    for (int32_t low = date.day; date.year < end.year || date.month <= end.month; low = 1) {
        uint64_t days = from_bit(cron_month_days(self, date.year, date.month), low);
        bool last = date.year == end.year && date.month == end.month;
        count += (uint64_t)__builtin_popcountll(last ? to_bit(days, end.day - 1) : days);
        if (last) break;
        if (++date.month > 12) {
            date.month = 1;
            date.year++;
        }
    }
    return count;
}

uint64_t cron_count(const cron_t *self, int64_t from, int64_t to)
{
    if (from >= to) return 0;
    int32_t first = day_of(from), last = day_of(to);
    uint64_t before = day_matches(self, first) ? times_before(self, second_of_day(from)) : 0;
    uint64_t after = day_matches(self, last) ? times_before(self, second_of_day(to)) : 0;
    return days_count(self, first, last) * times_before(self, DAY_SECONDS) + after - before;
}

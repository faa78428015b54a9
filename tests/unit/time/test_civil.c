/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/time/civil.h"

static void each_day_from_1600_to_2400_follows_the_one_before(void **state)
{
    (void)state;
    int32_t days = days_from_civil(1600, 1, 1), weekday = weekday_of(days);
    for (int32_t year = 1600; year < 2400; year++)
        for (int32_t month = 1; month <= 12; month++)
            for (int32_t day = 1; day <= month_length(year, month); day++) {
                civil_t date = civil_from_days(days);
                assert_int_equal(date.year, year);
                assert_int_equal(date.month, month);
                assert_int_equal(date.day, day);
                assert_int_equal(days_from_civil(year, month, day), days);
                assert_int_equal(weekday_of(days), weekday);
                days++;
                weekday = (weekday + 1) % 7;
            }
}

static void known_dates_have_their_numbers_and_weekdays(void **state)
{
    (void)state;
    assert_int_equal(days_from_civil(1970, 1, 1), 0);
    assert_int_equal(days_from_civil(2000, 2, 29), 11016);
    assert_int_equal(days_from_civil(9999, 1, 1), 2932532);
    assert_int_equal(weekday_of(0), 4); /* a Thursday */
    assert_int_equal(weekday_of(days_from_civil(2026, 3, 8)), 0);
}

static void months_have_the_lengths_of_the_gregorian_calendar(void **state)
{
    (void)state;
    static const int32_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    for (int32_t month = 1; month <= 12; month++)
        assert_int_equal(month_length(2026, month), lengths[month - 1]);
    assert_int_equal(month_length(2024, 2), 29);
    assert_int_equal(month_length(2100, 2), 28);
    assert_int_equal(month_length(2000, 2), 29);
}

static void a_local_time_before_1970_belongs_to_the_day_before(void **state)
{
    (void)state;
    assert_int_equal(day_of(-1), -1);
    assert_int_equal(second_of_day(-1), DAY_SECONDS - 1);
    assert_int_equal(day_of(-DAY_SECONDS), -1);
    assert_int_equal(second_of_day(-DAY_SECONDS), 0);
    assert_int_equal(day_of(DAY_SECONDS - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_day_from_1600_to_2400_follows_the_one_before),
        cmocka_unit_test(known_dates_have_their_numbers_and_weekdays),
        cmocka_unit_test(months_have_the_lengths_of_the_gregorian_calendar),
        cmocka_unit_test(a_local_time_before_1970_belongs_to_the_day_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

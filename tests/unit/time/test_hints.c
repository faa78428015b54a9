/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "client/time/hints.h"
#include "client/time/terms.h"

static void collect(void *arg, const char *text)
{
    buf_printf(arg, "%s\n", text);
}

/* All hints of a rule at an instant, a line each; static memory. */
static const char *hints_at(const char *zone_name, const char *text, int64_t from)
{
    static char all[4096];
    zone_t *zone = NULL;
    rule_t *rule = NULL;
    rule_error_t error;
    buf_t found = { 0 };
    assert_int_equal(zone_open(&zone, zone_name, NULL), ERR_OK);
    if (rule_parse(&rule, text, strlen(text), NULL, NULL, zone, &error) != ERR_OK)
        fail_msg("%s: %s", text, error.text);
    rule_hints(rule, text, from, collect, &found);
    snprintf(all, sizeof all, "%.*s", (int)found.len, found.at ? (char *)found.at : "");
    buf_free(&found);
    rule_destroy(&rule);
    zone_destroy(&zone);
    return all;
}

static const char *hints_of(const char *zone_name, const char *text)
{
    return hints_at(zone_name, text, 1795219200 /* 2026-11-21 */);
}

static void a_trap_is_named_with_what_to_type(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "UTC", "* */15 * * * *", "\"*/15 * * * *\" (every 15 minutes)" },
        { "UTC", "*/5 0 2 * * *", "more than once a minute (every day every 5 seconds" },
        { "UTC", "0 0 1 * MON", "\"0 0 1 * *\", for the weekdays only \"0 0 * * MON\"" },
        { "UTC", "0 9 1-7 * MON", "\"0 9 * * MON#1\"" },
        { "UTC", "*/7 * * * *", "after 56 comes 0, 4 minutes later" },
        { "UTC", "0 */5 * * *", "\"@every 5h\"" },
        { "UTC", "*/60 * * * *", "once in each hour, at 0" },
        { "UTC", "*/45 * * * *", "after 45 comes 0, 15 minutes later" },
        { "UTC", "0 0 */2 * *", "begins anew on each 1st" },
        { "UTC", "0 0 * * */2", "begins anew each Sunday" },
        { "UTC", "0 0 1 */5 *", "begins anew each January" },
        { "UTC", "* 2 * * *", "60 times a day; for once in each of them \"0 2 * * *\"" },
        { "UTC", "0 22-6 * * FRI", "from 00 to 06 and from 22 on of the same day" },
        { "UTC", "0 0 31 * *", "\"0 0 L * *\"" },
        { "UTC", "0 0 30,31 * *", "without a day 30" },
        { "UTC", "0 0 29 2 *", "leap years only" },
        { "Europe/Berlin", "30 2 * * *",
          "Sun 2027-03-28 has no 02:30 in Europe/Berlin: it will "
          "run at 03:00" },
        { "Europe/Berlin", "30 2 * * *", "Sun 2027-10-31 has 02:30 twice" },
        { "America/New_York", "@daily", "" },
        { "Asia/Beirut", "@daily", "has no 00:00 in Asia/Beirut" },
        { "Europe/Berlin", "@every 24h from 2026-01-01T00:00:00Z", "same time each day use 1d" },
        { "UTC", "@dates 2020-01-01,2030-01-01", "1 of its 2 instants lie in the past" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *all = hints_of(cases[i][0], cases[i][1]);
        if (!strstr(all, cases[i][2])) fail_msg("%s: %s", cases[i][1], all);
    }
}

/* Samoa went over the date line: 2011-12-30 was on no clock there. */
static void of_a_date_that_is_skipped_whole_it_says_that_nothing_runs(void **state)
{
    (void)state;
    enum { FROM = 1322697600 /* 2011-12-01 */ };
    const char *all = hints_at("Pacific/Apia", "0 0 * * *", FROM);
    assert_non_null(strstr(all, "Fri 2011-12-30 is no date in Pacific/Apia"));
    assert_non_null(strstr(all, "it will not run;"));
    assert_null(strstr(all, "2011-12-30 has no 00:00"));
    assert_null(strstr(hints_at("Pacific/Apia", "0 0 29 * *", FROM), "2011-12"));
}

static void a_plain_rule_has_no_hint(void **state)
{
    (void)state;
    static const char *const plain[] = {
        "0 2 * * 1-5",  "*/5 * * * *",
        "0 */2 * * *",  "15 30 2 * * *",
        "* * * * *",    "0 22-6 * * *",
        "0 0 L * *",    "0 0 15 * *",
        "0 0 31 1,3 *", "0 0 * * MON#1",
        "@daily",       "@hourly",
        "0 0 * 1,7 *",  "@every 24h from 2026-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (*hints_of("UTC", plain[i])) fail_msg("%s: %s", plain[i], hints_of("UTC", plain[i]));
}

static void assert_told(const terms_t *terms, const char *language, const char *expected)
{
    buf_t text = { 0 };
    terms_explain(terms, language, &text);
    assert_string_equal((char *)text.at, expected);
    buf_free(&text);
}

static void terms_are_told_in_both_languages(void **state)
{
    (void)state;
    zone_t *zone = NULL;
    ruleset_t *set = NULL;
    calendar_t *calendar = NULL;
    slice_t also = slice_text("0 12 * * 6");
    assert_int_equal(zone_open(&zone, "UTC", NULL), ERR_OK);
    assert_int_equal(calendar_parse(&calendar, slice_text("12-25"), NULL), ERR_OK);
    ruleset_spec_t spec = { .rule = slice_text("0 9 * * 1-5"),
                            .also = &also,
                            .also_count = 1,
                            .zone = zone,
                            .calendars = &calendar,
                            .calendars_count = 1 };
    assert_int_equal(ruleset_parse(&set, &spec, NULL, NULL), ERR_OK);
    const char *const names[] = { "holidays", "moves" };
    terms_t terms = { .set = set,
                      .exclusions = "2026-12-31",
                      .calendars = names,
                      .calendars_count = 2,
                      .zone = zone,
                      .to_us = INT64_C(1798761600000000),
                      .max_firings = 5 };
    assert_told(&terms, "en",
                "at 09:00, Monday to Friday, and also at 12:00, Saturday; not at 2026-12-31; not "
                "while closed by holidays, moves; until 2027-01-01T00:00:00+00:00; 5 firings, then "
                "it has ended");
    assert_told(&terms, "zh",
                "星期一至星期五 09:00，以及 星期六 12:00；2026-12-31 除外；日历 holidays、moves "
                "关闭的时间除外；至 2027-01-01T00:00:00+00:00 止；触发 5 次后结束");
    terms = (terms_t){ .after_us = INT64_C(600000000), .zone = zone, .max_firings = 1 };
    assert_told(&terms, "en", "10m after each run has ended; one firing, then it has ended");
    assert_told(&terms, "zh", "每次运行结束后 10m；触发一次后结束");
    ruleset_destroy(&set);
    calendar_release(&calendar);
    zone_destroy(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trap_is_named_with_what_to_type),
        cmocka_unit_test(of_a_date_that_is_skipped_whole_it_says_that_nothing_runs),
        cmocka_unit_test(a_plain_rule_has_no_hint),
        cmocka_unit_test(terms_are_told_in_both_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

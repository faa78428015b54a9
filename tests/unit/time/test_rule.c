/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "client/time/dur.h"
#include "client/time/rule.h"

static zone_t *open_zone(const char *name)
{
    zone_t *zone = NULL;
    assert_int_equal(zone_open(&zone, name, NULL), ERR_OK);
    return zone;
}

static rule_t *read_rule(const char *text, const char *exclusions, const char *name,
                         const zone_t *zone)
{
    rule_t *rule = NULL;
    rule_error_t error;
    if (rule_parse(&rule, text, strlen(text), exclusions, name, zone, &error) != ERR_OK)
        fail_msg("%s: %s at %zu: %s", text, error.code, error.column, error.text);
    return rule;
}

static int64_t seconds(const char *text, const zone_t *zone)
{
    int64_t us = 0;
    if (moment_parse(text, zone, &us) != ERR_OK) fail_msg("no moment: %s", text);
    return us / 1000000;
}

typedef struct worked {
    const char *zone, *rule, *start; /* local */
    const char *fires[5];
} worked_t;

static void assert_fires(const worked_t *c, const char *exclusions)
{
    zone_t *zone = open_zone(c->zone);
    rule_t *rule = read_rule(c->rule, exclusions, NULL, zone);
    int64_t t = seconds(c->start, zone), start = t;
    for (size_t i = 0; i < ARRAY_LEN(c->fires) && c->fires[i]; i++) {
        char text[MOMENT_TEXT];
        t = rule_next(rule, t);
        assert_true(t != RULE_NONE);
        moment_print(t * 1000000, zone, text);
        if (t != seconds(c->fires[i], NULL))
            fail_msg("%s %s: %s instead of %s", c->zone, c->rule, text, c->fires[i]);
        assert_true(rule_count(rule, start, t) == i + 1);
        if (i > 0) assert_true(rule_prev(rule, t) == seconds(c->fires[i - 1], NULL));
    }
    rule_destroy(&rule);
    assert_null(rule);
    zone_destroy(&zone);
}

// clang-format off
static const worked_t worked[] = {
    { "America/New_York", "30 2 * * *", "2026-03-08T01:30",
      { "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00", "2026-03-10T02:30:00-04:00" } },
    { "America/New_York", "15 30 2 * * *", "2026-03-08T01:30",
      { "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:15-04:00" } },
    { "America/New_York", "*/15 2 * * *", "2026-03-08T01:30",
      { "2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00", "2026-03-09T02:15:00-04:00" } },
    { "America/New_York", "0 1-4 * * *", "2026-03-08T01:30",
      { "2026-03-08T03:00:00-04:00", "2026-03-08T04:00:00-04:00", "2026-03-09T01:00:00-04:00" } },
    { "America/New_York", "0 */2 * * *", "2026-03-08T01:30",
      { "2026-03-08T03:00:00-04:00", "2026-03-08T04:00:00-04:00", "2026-03-08T06:00:00-04:00" } },
    { "America/New_York", "30 * * * *", "2026-03-08T01:30",
      { "2026-03-08T03:30:00-04:00", "2026-03-08T04:30:00-04:00" } },
    { "America/New_York", "*/15 * * * *", "2026-03-08T01:30",
      { "2026-03-08T01:45:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T03:15:00-04:00" } },
    { "America/New_York", "30 1 * * *", "2026-11-01T00:45",
      { "2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00" } },
    { "America/New_York", "*/30 1 * * *", "2026-11-01T00:45",
      { "2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-02T01:00:00-05:00" } },
    { "America/New_York", "30 * * * *", "2026-11-01T00:45",
      { "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00" } },
    { "Europe/Berlin", "0 */2 * * *", "2026-10-25T01:45",
      { "2026-10-25T02:00:00+02:00", "2026-10-25T04:00:00+01:00" } },
    { "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00",
      { "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00" } },
    { "Australia/Lord_Howe", "45 1 * * *", "2026-04-05T00:50", { "2026-04-05T01:45:00+11:00" } },
    { "Australia/Lord_Howe", "45 * * * *", "2026-04-05T00:50",
      { "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-05T02:45:00+10:30" } },
    { "Pacific/Apia", "0 9 * * *", "2011-12-29T08:00",
      { "2011-12-29T09:00:00-10:00", "2011-12-31T09:00:00+14:00" } },
    { "Pacific/Apia", "0 9 30 * *", "2011-12-01T00:00", { "2012-01-30T09:00:00+14:00" } },
    { "Africa/Casablanca", "30 2 * * *", "2026-03-21T12:00",
      { "2026-03-22T03:00:00+01:00", "2026-03-23T02:30:00+01:00" } },
    { "Africa/Cairo", "@daily", "2026-04-23T12:00",
      { "2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00" } },
    { "Antarctica/Troll", "0 1,2 * * *", "2026-03-28T12:00",
      { "2026-03-29T03:00:00+02:00", "2026-03-30T01:00:00+02:00", "2026-03-30T02:00:00+02:00" } },
    { "Antarctica/Troll", "0 * * * *", "2026-10-25T00:30",
      { "2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T01:00:00+00:00",
        "2026-10-25T02:00:00+00:00" } },
    { "Europe/Dublin", "30 1 * * *", "2026-03-28T12:00", { "2026-03-29T02:00:00+01:00" } },
    { "Europe/Dublin", "30 1 * * *", "2026-10-24T12:00",
      { "2026-10-25T01:30:00+01:00", "2026-10-26T01:30:00+00:00" } },
    { "Asia/Kathmandu", "5 0 * * *", "1985-12-30T12:00",
      { "1985-12-31T00:05:00+05:30", "1986-01-01T00:15:00+05:45" } },
    { "Pacific/Chatham", "0 3 * * *", "2026-09-26T12:00", { "2026-09-27T03:45:00+13:45" } },
    { "Pacific/Chatham", "0 3 * * *", "2026-04-04T12:00",
      { "2026-04-05T03:00:00+13:45", "2026-04-06T03:00:00+12:45" } },
    { "Asia/Beirut", "@daily", "2026-03-28T12:00",
      { "2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00" } },
    { "America/Havana", "@daily", "2026-03-07T12:00",
      { "2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00" } },
    { "America/Santiago", "@daily", "2026-09-05T12:00",
      { "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00" } },
    { "America/Asuncion", "@daily", "2023-09-30T12:00", { "2023-10-01T01:00:00-03:00" } },
    { "America/Havana", "@daily", "2025-11-01T12:00",
      { "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00" } },
    { "America/Nuuk", "30 23 * * *", "2026-03-28T12:00",
      { "2026-03-29T00:00:00-01:00", "2026-03-29T23:30:00-01:00" } },
    { "America/New_York", "30 2 * * *", "2060-03-13T12:00",
      { "2060-03-14T03:00:00-04:00", "2060-03-15T02:30:00-04:00" } },
};
// clang-format on

static void clock_changes_are_answered_as_the_time_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(worked); i++)
        assert_fires(&worked[i], NULL);
}

static void an_exclusion_drops_the_local_time_that_a_fire_stands_for(void **state)
{
    (void)state;
    static const worked_t both = { "America/New_York",
                                   "0 2,3 * * *",
                                   "2026-03-08T01:30",
                                   { "2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00" } };
    static const worked_t none = {
        "America/New_York", "0 2,3 * * *", "2026-03-08T01:30", { "2026-03-09T02:00:00-04:00" }
    };
    assert_fires(&both, "2026-03-08T02:00"); /* 03:00 keeps the instant */
    assert_fires(&both, "2026-03-08T03:00"); /* 02:00 keeps it */
    assert_fires(&none, "2026-03-08T02:00,2026-03-08T03:00");
    assert_fires(&none, "2026-03-08");
}

static void calendar_days_keep_the_wall_time_and_hours_do_not(void **state)
{
    (void)state;
    static const worked_t days = { "Europe/Berlin",
                                   "@every 1d from 2026-03-28T02:30",
                                   "2026-03-27T00:00",
                                   { "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
                                     "2026-03-30T02:30:00+02:00" } };
    static const worked_t hours = { "Europe/Berlin",
                                    "@every 24h from 2026-03-28T02:30",
                                    "2026-03-27T00:00",
                                    { "2026-03-28T02:30:00+01:00", "2026-03-29T03:30:00+02:00",
                                      "2026-03-30T03:30:00+02:00" } };
    assert_fires(&days, NULL);
    assert_fires(&hours, NULL);
}

static void nothing_fires_outside_of_time(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    rule_t *rule = read_rule("* * * * * *", NULL, NULL, zone);
    assert_true(rule_next(rule, -5) == 1);
    assert_true(rule_next(rule, RULE_END - 2) == RULE_END - 1);
    assert_true(rule_next(rule, RULE_END - 1) == RULE_NONE);
    assert_true(rule_next(rule, INT64_MAX) == RULE_NONE);
    assert_true(rule_prev(rule, INT64_MAX) == RULE_END - 1);
    assert_true(rule_prev(rule, 2) == 1);
    assert_true(rule_prev(rule, 1) == RULE_NONE);
    assert_true(rule_count(rule, INT64_MIN, INT64_MAX) == (uint64_t)RULE_END - 1);
    rule_destroy(&rule);
    zone_destroy(&zone);
}

static void a_list_ends(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    rule_t *rule =
        read_rule("@dates 2026-02-01,2026-01-01T00:00Z,2026-02-01T00:00", NULL, NULL, zone);
    int64_t first = seconds("2026-01-01T00:00Z", NULL), last = seconds("2026-02-01T00:00Z", NULL);
    assert_true(rule_next(rule, 0) == first);
    assert_true(rule_next(rule, first) == last);
    assert_true(rule_next(rule, last) == RULE_NONE);
    assert_true(rule_count(rule, 0, last) == 2);
    assert_true(rule_prev(rule, first) == RULE_NONE);
    rule_destroy(&rule);
    zone_destroy(&zone);
}

static void a_rule_that_all_is_excluded_from_never_fires_and_says_so_soon(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Europe/Paris");
    rule_t *rule = read_rule("@every 1s from 2026-01-01T00:00", "2026-01-01", NULL, zone);
    assert_true(rule_next(rule, 0) == seconds("2026-01-02T00:00", zone));
    assert_true(rule_prev(rule, seconds("2026-01-02T00:00", zone)) == RULE_NONE);
    assert_true(rule_count(rule, 0, seconds("2026-01-02T00:00", zone)) == 1);
    rule_destroy(&rule);
    zone_destroy(&zone);
}

/* ---- next, prev and count are one set -------------------------------------------------------- */

static uint64_t random_below(uint64_t *state, uint64_t high)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (*state >> 33) % high;
}

static void next_prev_and_count_agree_around_clock_changes(void **state)
{
    (void)state;
    static const char *const zones[] = {
        "UTC",          "America/New_York", "Europe/Dublin",     "Australia/Lord_Howe",
        "Pacific/Apia", "America/St_Johns", "Africa/Casablanca", "Antarctica/Troll",
        "Asia/Gaza",    "America/Santiago", "Pacific/Kwajalein"
    };
    static const char *const rules[] = { "*/15 * * * *",
                                         "*/20 0-3 * * *",
                                         "0 */2 * * *",
                                         "@daily",
                                         "30 1,2,23 * * 0,5L",
                                         "0 0 29 2 *",
                                         "0 12 LW * MON#1,FRIL",
                                         "7 7 7 * * *",
                                         "@every 7m from 1993-08-20T12:01:00",
                                         "@every 1d from 1990-01-01T02:30",
                                         "@every 3d from 1995-06-05T00:15:00Z" };
    static const char *const excluded[] = { NULL, "2026-03-29,2011-12-31,2000-01-01T00:00" };
    uint64_t random = 7;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        zone_t *zone = open_zone(zones[z]);
        for (size_t r = 0; r < ARRAY_LEN(rules) * 2; r++) {
            rule_t *rule = read_rule(rules[r / 2], excluded[r % 2], NULL, zone);
            for (int n = 0; n < 20; n++) {
                int64_t start = (int64_t)random_below(&random, INT64_C(2000000000)), change, t;
                int32_t before, after;
                if (zone_next_change(zone, start, &change, &before, &after))
                    start = change - (int64_t)random_below(&random, 100000);
                int64_t last = RULE_NONE;
                t = start;
                for (uint64_t i = 1; i <= 60; i++) {
                    int64_t next = rule_next(rule, t);
                    if (next == RULE_NONE) break;
                    assert_true(next > t);
                    if (last != RULE_NONE) assert_true(rule_prev(rule, next) == last);
                    assert_true(rule_next(rule, next - 1) == next);
                    assert_true(rule_prev(rule, next + 1) == next);
                    if (rule_count(rule, start, next) != i)
                        fail_msg("%s %s: count after %lld", zones[z], rules[r / 2],
                                 (long long)start);
                    assert_true(rule_count(rule, start, next - 1) == i - 1);
                    t = last = next;
                }
            }
            rule_destroy(&rule);
        }
        zone_destroy(&zone);
    }
}

static void counts_of_parts_add_up_to_the_count_of_the_whole(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Europe/Berlin");
    rule_t *rule = read_rule("*/7 1-5 * * *", "2026-03-29", NULL, zone);
    const int64_t from = seconds("2020-01-01T00:00", zone), to = seconds("2120-01-01T00:00", zone);
    uint64_t sum = 0, random = 3;
    for (int64_t t = from; t < to;) {
        int64_t next = t + (int64_t)random_below(&random, 400 * 86400);
        next = next < to ? next : to;
        sum += rule_count(rule, t, next);
        t = next;
    }
    assert_true(sum == rule_count(rule, from, to));
    rule_destroy(&rule);
    zone_destroy(&zone);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void the_normal_form_reads_back_as_the_same_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text, *normal;
    } cases[] = {
        { "  05   3-5,4 *  jan-mar,DEC *", "5 3-5 * 1-3,12 *" },
        { "*/15 * * * *", "*/15 * * * *" },
        { "0 0,15,30,45 * * * *", "*/15 * * * *" },
        { "0 22-4/2 * * *", "0 0,2,4,22 * * *" },
        { "0 0 */2 * 1", "0 0 */2 * 1" },
        { "0 0 */2,4 * *,5", "0 0 */2,4 * *" },
        { "0 0 1-31 * MON", "0 0 1-31 * 1" },
        { "0 0 L,15W,LW * FRIL,mon#2", "0 0 15W,L,LW * 1#2,5L" },
        { "@weekly", "0 0 * * 0" },
        { "@every 90m from 2026-01-01T01:00+01:00", "@every 90m from 2026-01-01T00:00:00Z" },
        { "@every 1d from 2026-06-01T02:30", "@every 1d from 2026-06-01T02:30:00" },
        { "@at 2026-06-01T02:30", "@at 2026-06-01T00:30:00Z" },
        { "@dates 2026-06-02,2026-06-01T12:00Z",
          "@dates 2026-06-01T12:00:00Z,2026-06-01T22:00:00Z" },
    };
    zone_t *zone = open_zone("Europe/Paris");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rule_t *rule = read_rule(cases[i].text, NULL, NULL, zone);
        buf_t normal = { 0 }, again = { 0 };
        rule_normal(rule, &normal);
        assert_string_equal((const char *)normal.at, cases[i].normal);
        rule_t *same = read_rule(cases[i].normal, NULL, NULL, zone);
        rule_normal(same, &again);
        assert_string_equal((const char *)again.at, cases[i].normal);
        int64_t t = 1700000000;
        for (int n = 0; n < 100 && t != RULE_NONE; n++) {
            assert_true(rule_next(same, t) == rule_next(rule, t));
            t = rule_next(rule, t);
        }
        buf_free(&normal);
        buf_free(&again);
        rule_destroy(&same);
        rule_destroy(&rule);
    }
    zone_destroy(&zone);
}

static void h_spreads_by_the_name(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    rule_t *rule = read_rule("H H * * *", NULL, "backup", zone);
    buf_t normal = { 0 };
    rule_normal(rule, &normal);
    assert_string_equal((const char *)normal.at, "32 5 * * *");
    buf_free(&normal);
    rule_destroy(&rule);
    zone_destroy(&zone);
}

static void rules_are_told_in_english_and_chinese(void **state)
{
    (void)state;
    static const struct {
        const char *text, *en, *zh;
    } cases[] = {
        { "30 2 * * *", "every day at 02:30", "每天 02:30" },
        { "0 2 * * 1-5", "at 02:00, Monday to Friday", "星期一至星期五 02:00" },
        { "*/5 * * * *", "every 5 minutes", "每 5 分钟" },
        { "* * * * *", "every minute", "每分钟" },
        { "*/10 * * * * *", "every 10 seconds", "每 10 秒" },
        { "15 * * * *", "every hour at minute 15", "每小时第 15 分" },
        { "0 0 L * *", "at 00:00, the last day", "每月最后一天 00:00" },
        { "0 9 1 * MON", "at 09:00, on day 1 of the month, and also Monday",
          "每月 1 日，以及星期一 09:00" },
        { "0 0 1 JAN,JUL *", "at 00:00, on day 1, in January and July",
          "1月、7月 每月 1 日 00:00" },
        { "@every 1h from 2026-01-01T00:00Z", "every hour, counted from 2026-01-01T00:00:00+00:00",
          "每小时，自 2026-01-01T00:00:00+00:00 起" },
        { "@at 2026-01-01T00:00Z", "once, at 2026-01-01T00:00:00+00:00",
          "一次，2026-01-01T00:00:00+00:00" },
    };
    zone_t *zone = open_zone("UTC");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rule_t *rule = read_rule(cases[i].text, NULL, NULL, zone);
        buf_t en = { 0 }, zh = { 0 };
        rule_explain(rule, "en", &en);
        rule_explain(rule, "zh", &zh);
        assert_string_equal((const char *)en.at, cases[i].en);
        assert_string_equal((const char *)zh.at, cases[i].zh);
        buf_free(&en);
        buf_free(&zh);
        rule_destroy(&rule);
    }
    zone_destroy(&zone);
}

static void a_short_interval_gets_its_anchor(void **state)
{
    (void)state;
    static const struct {
        const char *text, *complete;
    } cases[] = {
        { "5m", "@every 5m from 2023-11-14T22:13:20Z" },
        { "@every 5m", "@every 5m from 2023-11-14T22:13:20Z" },
        { " @EVERY  90s ", "@every 90s from 2023-11-14T22:13:20Z" },
        { "@every 5m from 2026-01-01T00:00Z", "@every 5m from 2026-01-01T00:00Z" },
        { "*/5 * * * *", "*/5 * * * *" },
        { "@daily", "@daily" },
        { "5", "5" },
        { "5x", "5x" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t out = { 0 };
        rule_complete(cases[i].text, 1700000000, &out);
        assert_string_equal((const char *)out.at, cases[i].complete);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_changes_are_answered_as_the_time_rules_say),
        cmocka_unit_test(an_exclusion_drops_the_local_time_that_a_fire_stands_for),
        cmocka_unit_test(calendar_days_keep_the_wall_time_and_hours_do_not),
        cmocka_unit_test(nothing_fires_outside_of_time),
        cmocka_unit_test(a_list_ends),
        cmocka_unit_test(a_rule_that_all_is_excluded_from_never_fires_and_says_so_soon),
        cmocka_unit_test(next_prev_and_count_agree_around_clock_changes),
        cmocka_unit_test(counts_of_parts_add_up_to_the_count_of_the_whole),
        cmocka_unit_test(the_normal_form_reads_back_as_the_same_rule),
        cmocka_unit_test(h_spreads_by_the_name),
        cmocka_unit_test(rules_are_told_in_english_and_chinese),
        cmocka_unit_test(a_short_interval_gets_its_anchor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

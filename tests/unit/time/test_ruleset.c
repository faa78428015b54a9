/* SPDX-License-Identifier: Apache-2.0
 * Unions, calendars and counting, against a walk of single rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/time/civil.h"
#include "client/time/dur.h"
#include "client/time/ruleset.h"

static zone_t *open_zone(const char *name)
{
    zone_t *zone = NULL;
    assert_int_equal(zone_open(&zone, name, NULL), ERR_OK);
    return zone;
}

static calendar_t *read_calendar(const char *text)
{
    calendar_t *calendar = NULL;
    rule_error_t error;
    if (calendar_parse(&calendar, slice_text(text), &error) != ERR_OK)
        fail_msg("%s: %s at %zu: %s", text, error.code, error.column, error.text);
    return calendar;
}

/* rules: separated by "|". */
static ruleset_t *read_set(const char *rules, const char *exclusions, calendar_t *calendar,
                           const zone_t *zone)
{
    slice_t parts[RULESET_RULES_MAX];
    size_t count = 0, which;
    for (const char *at = rules;; at++) {
        const char *end = strchr(at, '|');
        parts[count++] = slice(at, end ? (size_t)(end - at) : strlen(at));
        if (!end) break;
        at = end;
    }
    ruleset_spec_t spec = { .rule = parts[0],
                            .also = parts + 1,
                            .also_count = count - 1,
                            .exclusions = slice_text(exclusions),
                            .zone = zone,
                            .calendars = &calendar,
                            .calendars_count = calendar != NULL };
    ruleset_t *set = NULL;
    rule_error_t error;
    if (ruleset_parse(&set, &spec, &error, &which) != ERR_OK)
        fail_msg("%s, rule %zu: %s at %zu: %s", rules, which, error.code, error.column, error.text);
    return set;
}

static int64_t at(const char *text, const zone_t *zone)
{
    int64_t us = 0;
    if (moment_parse(text, zone, &us) != ERR_OK) fail_msg("no moment: %s", text);
    return us / 1000000;
}

static void coinciding_instants_are_one(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Europe/Berlin");
    ruleset_t *set = read_set("0 9 * * *|0 9 * * 1-5|0 12 * * 6|0 */9 * * *", "", NULL, zone);
    static const char *const fires[] = { "2026-11-20T00:00+01:00", "2026-11-20T09:00+01:00",
                                         "2026-11-20T18:00+01:00", "2026-11-21T00:00+01:00",
                                         "2026-11-21T09:00+01:00", "2026-11-21T12:00+01:00" };
    int64_t start = at("2026-11-19T23:00+01:00", NULL), t = start;
    for (size_t i = 0; i < ARRAY_LEN(fires); i++) {
        int64_t before = t;
        t = ruleset_next(set, t);
        assert_true(t == at(fires[i], NULL));
        assert_true(ruleset_count(set, start, t) == i + 1);
        if (i) assert_true(ruleset_prev(set, t) == before);
    }
    buf_t text = { 0 };
    ruleset_normal(set, &text);
    buf_add(&text, "", 1);
    assert_string_equal((char *)text.at, "0 */9 * * *\n0 12 * * 6\n0 9 * * *\n0 9 * * 1-5");
    buf_free(&text);
    ruleset_destroy(&set);
    assert_null(set);
    zone_destroy(&zone);
}

static void one_bad_rule_of_several_is_named(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    slice_t also[] = { slice_text("0 1 * * *"), slice_text("0 25 * * *") };
    ruleset_spec_t spec = {
        .rule = slice_text("0 0 * * *"), .also = also, .also_count = 2, .zone = zone
    };
    ruleset_t *set;
    rule_error_t error;
    size_t which = 9;
    assert_int_equal(ruleset_parse(&set, &spec, &error, &which), ERR_BAD_RULE);
    assert_null(set);
    assert_int_equal(which, 2);
    assert_string_equal(error.code, "range");
    assert_int_equal(error.column, 3);
    zone_destroy(&zone);
}

/* ---- calendars ------------------------------------------------------------------------------- */

static bool closed(const calendar_t *calendar, const char *local)
{
    int64_t since = 0, until = 0, us;
    zone_t *utc = open_zone("UTC");
    assert_int_equal(moment_parse(local, utc, &us), ERR_OK);
    zone_destroy(&utc);
    bool is = calendar_closed(calendar, us / 1000000, &since, &until);
    if (is) assert_true(since <= us / 1000000 && us / 1000000 < until);
    return is;
}

static void entries_close_what_they_say(void **state)
{
    (void)state;
    calendar_t *calendar = read_calendar("2026-12-24   # half of it is worked\n"
                                         "2027-02-01..2027-02-03\n\n# nothing\n"
                                         "2026-12-30T18:00..2026-12-31T06:00\n"
                                         "2027-05-05T10:00\n"
                                         "12-25..01-01\n 02-29\r\n"
                                         "SAT..SUN\n"
                                         "days * 11 THU#4\n");
    static const char *const shut[] = {
        "2026-12-24T00:00", "2026-12-24T23:59:59", "2027-02-01T00:00", "2027-02-03T23:59",
        "2026-12-31T05:59", "2027-05-05T10:00:00", "2030-12-25T00:00", "2031-01-01T12:00",
        "2028-02-29T01:00", "2026-11-21T10:00",    "2026-11-22T10:00", "2026-11-26T10:00",
        "2027-11-25T10:00",
    };
    static const char *const open[] = {
        "2025-12-24T00:00",    "2026-11-23T23:59:59", "2027-02-04T00:00",
        "2027-01-29T23:59",    "2026-12-23T18:00",    "2027-05-05T10:00:01",
        "2027-05-05T09:59:59", "2026-11-19T10:00",    "2027-01-04T12:00",
    };
    for (size_t i = 0; i < ARRAY_LEN(shut); i++)
        if (!closed(calendar, shut[i])) fail_msg("%s is open", shut[i]);
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        if (closed(calendar, open[i])) fail_msg("%s is closed", open[i]);
    assert_ptr_equal(calendar_hold(calendar), calendar);
    calendar_t *other = calendar;
    calendar_release(&other);
    assert_null(other);
    buf_t text = { 0 };
    calendar_text(slice_text("  SUN  \r\n# a note\n\n2026-01-01 # new year"), &text);
    assert_int_equal(text.len, strlen("SUN\n2026-01-01"));
    assert_memory_equal(text.at, "SUN\n2026-01-01", text.len);
    buf_free(&text);
    calendar_release(&calendar);
}

static void wrong_entries_are_named_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
        size_t column;
    } bad[] = {
        { "", "fields", 1 },
        { "# only a note", "fields", 1 },
        { "2026-02-30", "range", 9 },
        { "SUN\n2026-13-01", "range", 10 },
        { "2026-01-05..2026-01-01", "range", 1 },
        { "2026-01-05..2026-01-06T01:00", "syntax", 13 },
        { "2026-01-05T10:00..2026-01-05T10:00", "range", 1 },
        { "02-30", "range", 1 },
        { "13-01", "range", 1 },
        { "12/25", "syntax", 3 },
        { "SUNDAY", "name", 1 },
        { "SAT-SUN", "name", 1 },
        { "FEB", "name", 1 },
        { "days * *", "fields", 9 },
        { "days * * * *", "fields", 12 },
        { "days 30 2 *", "never", 6 },
        { "days * * MON#6", "nth", 14 },
        { "2026-01-01 2026-01-02", "syntax", 11 },
        { "2026-01-01T00:00Z", "syntax", 17 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        calendar_t *calendar = NULL;
        rule_error_t error = { 0 };
        if (calendar_parse(&calendar, slice_text(bad[i].text), &error) != ERR_BAD_RULE)
            fail_msg("%s was taken", bad[i].text);
        if (strcmp(error.code, bad[i].code) != 0 || error.column != bad[i].column)
            fail_msg("%s: %s at %zu (%s)", bad[i].text, error.code, error.column, error.text);
    }
    buf_t many = { 0 };
    for (int i = 0; i <= CALENDAR_RULES_MAX; i++)
        buf_printf(&many, "days %d * *\n", i % 28 + 1);
    calendar_t *calendar = NULL;
    rule_error_t error;
    assert_int_equal(calendar_parse(&calendar, slice(many.at, many.len), &error), ERR_BAD_RULE);
    assert_string_equal(error.code, "many");
    many.len = 0;
    for (int i = 0; i <= CALENDAR_ENTRIES_MAX; i++)
        buf_printf(&many, "2026-01-01\n");
    assert_int_equal(calendar_parse(&calendar, slice(many.at, many.len), &error), ERR_BAD_RULE);
    assert_string_equal(error.code, "many");
    buf_free(&many);
}

/* Pieces of entries in any order: refused with a place inside the text, or taken and answered. */
static void no_text_is_read_beyond_its_end(void **state)
{
    (void)state;
    static const char *const bits[] = { "2026-12-24", "T18:00",    "..",  "12-25", "SAT",
                                        "days ",      "* ",        "11 ", "L",     "THU#4",
                                        "\n",         "#",         " ",   "\r\n",  "-",
                                        "\0\xff",     "9998-12-31" };
    uint64_t seed = 42;
    size_t taken = 0;
    for (int i = 0; i < 40000; i++) {
        buf_t text = { 0 };
        for (seed = seed * 6364136223846793005u + 1442695040888963407u; text.len < 60;) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t which = (seed >> 33) % ARRAY_LEN(bits);
            buf_add(&text, bits[which], which == 15 ? 2 : strlen(bits[which]));
            if ((seed >> 50) % 4 == 0) break;
        }
        uint8_t *exact = mem_copy(text.at, text.len);
        calendar_t *calendar = NULL;
        rule_error_t error;
        if (calendar_parse(&calendar, slice(exact, text.len), &error) != ERR_OK) {
            assert_true(error.column >= 1 && error.column <= text.len + 1 && *error.text);
        } else {
            int64_t since, until, local = INT64_C(1795000000) + (int64_t)(seed >> 40);
            taken++;
            if (calendar_closed(calendar, local, &since, &until)) {
                assert_true(since <= local && local < until);
            } else {
                int64_t next = calendar_next_closing(calendar, local);
                assert_true(next > local);
                if (next != INT64_MAX) assert_true(calendar_closed(calendar, next, &since, &until));
            }
        }
        calendar_release(&calendar);
        free(exact);
        buf_free(&text);
    }
    assert_true(taken > 500);
}

static void a_closed_instant_is_none_and_is_shown_apart(void **state)
{
    (void)state;
    zone_t *zone = open_zone("Europe/Berlin");
    calendar_t *calendar = read_calendar("SAT..SUN\n2026-12-24..2026-12-26");
    ruleset_t *set = read_set("0 9 * * *", "", calendar, zone);
    int64_t t = at("2026-12-23T09:00", zone);
    size_t which = 7;
    assert_true(ruleset_next(set, t) == at("2026-12-28T09:00", zone)); /* 27th: a Sunday */
    assert_true(ruleset_prev(set, at("2026-12-28T09:00", zone)) == t);
    assert_true(ruleset_closed_next(set, t, &which) == at("2026-12-24T09:00", zone));
    assert_int_equal(which, 0);
    assert_true(ruleset_closed_next(set, at("2026-12-27T09:00", zone), NULL) == RULE_NONE);
    ruleset_destroy(&set);
    calendar_release(&calendar);
    zone_destroy(&zone);
}

static void a_rule_that_is_closed_for_ever_has_no_next(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    calendar_t *calendar = read_calendar("MON");
    ruleset_t *set = read_set("0 9 * * MON", "", calendar, zone);
    assert_true(ruleset_next(set, 0) == RULE_NONE);
    assert_true(ruleset_prev(set, at("2026-01-01T00:00", zone)) == RULE_NONE);
    ruleset_destroy(&set);
    calendar_release(&calendar);
    calendar = read_calendar("2000-01-01..9998-12-31");
    set = read_set("* * * * * *|@every 1s from 1990-01-01T00:00:00Z", "", calendar, zone);
    assert_true(ruleset_next(set, at("2026-01-01T00:00", zone)) == RULE_NONE);
    assert_true(ruleset_prev(set, at("2026-01-01T00:00", zone)) == at("1999-12-31T23:59:59", zone));
    ruleset_destroy(&set);
    calendar_release(&calendar);
    zone_destroy(&zone);
}

static void a_listed_date_is_judged_by_what_it_stands_for(void **state)
{
    (void)state;
    zone_t *zone = open_zone("America/New_York");
    /* 02:30 does not exist on that day: it stands for 02:30, and fires at 03:00 */
    calendar_t *calendar = read_calendar("2026-03-08T02:00..2026-03-08T03:00");
    ruleset_t *set =
        read_set("@dates 2026-03-08T02:30,2026-03-08T07:00:00Z,2026-03-09", "", calendar, zone);
    int64_t t = at("2026-03-07T12:00", zone);
    assert_true(ruleset_next(set, t) == at("2026-03-08T07:00Z", NULL)); /* reads 03:00 */
    assert_true(ruleset_count(set, t, RULE_END) == 2);
    ruleset_destroy(&set);
    set = read_set("30 2 * * *", "", calendar, zone);
    assert_true(ruleset_next(set, t) == at("2026-03-09T02:30", zone));
    ruleset_destroy(&set);
    calendar_release(&calendar);
    zone_destroy(&zone);
}

/* ---- counting, and order both ways, against the rules one by one ----------------------------- */

static int64_t walk_next(const ruleset_t *set, int64_t t)
{
    int64_t first = RULE_NONE;
    for (size_t i = 0; i < ruleset_size(set); i++) {
        int64_t next = rule_next(ruleset_rule(set, i), t);
        if (next != RULE_NONE && (first == RULE_NONE || next < first)) first = next;
    }
    return first;
}

static void assert_counts(const char *zone_name, const char *rules, const char *exclusions,
                          const char *entries)
{
    zone_t *zone = open_zone(zone_name);
    calendar_t *calendar = entries ? read_calendar(entries) : NULL;
    ruleset_t *set = read_set(rules, exclusions, calendar, zone);
    ruleset_t *open = read_set(rules, exclusions, NULL, zone);
    static const char *const spans[][2] = {
        { "2026-02-20T00:00", "2026-04-10T00:00" },
        { "2026-03-07T22:13:05", "2026-03-08T12:00" },
        { "2026-03-28T22:13:05", "2026-03-29T12:00" },
        { "2026-09-20T00:00", "2026-11-15T07:33" },
        { "2026-11-01T00:20", "2026-11-01T01:10" },
    };
    for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
        int64_t from = at(spans[i][0], zone), to = at(spans[i][1], zone), t = from,
                last = RULE_NONE;
        int64_t since, until;
        uint64_t count = 0, left = 0;
        for (; (t = walk_next(set, t)) != RULE_NONE && t <= to; count++)
            last = t;
        if (ruleset_count(set, from, to) != count)
            fail_msg("%s %s (%s): %s has %llu instants, counted %llu", zone_name, rules,
                     entries ? entries : "", spans[i][0], (unsigned long long)count,
                     (unsigned long long)ruleset_count(set, from, to));
        if (last != RULE_NONE) assert_true(ruleset_prev(set, to + 1) == last);
        if (calendar == NULL || strcmp(zone_name, "UTC") != 0) continue;
        for (t = from; (t = walk_next(open, t)) != RULE_NONE && t <= to;)
            left += !calendar_closed(calendar, t, &since, &until);
        assert_true(left == count);
    }
    ruleset_destroy(&open);
    ruleset_destroy(&set);
    if (calendar) calendar_release(&calendar);
    zone_destroy(&zone);
}

static void counting_by_days_is_counting_one_by_one(void **state)
{
    (void)state;
    static const char *const zones[] = { "UTC",
                                         "America/New_York",
                                         "Europe/Berlin",
                                         "Australia/Lord_Howe",
                                         "America/St_Johns",
                                         "Africa/Casablanca",
                                         "Antarctica/Troll" };
    static const char *const sets[] = {
        "*/5 * * * *|*/7 * * * *",
        "*/15 2 * * *|30 * * * *",
        "0 */2 * * *|30 1 * * *|*/30 1-3 * * 0,6",
        "30 2 * * *|0 3 * * *|@every 1h from 2026-03-08T07:30:00Z",
        "*/10 * * * *|@every 7m from 2026-01-01T00:00:00Z",
        "@every 90m from 2026-03-01T00:10:00Z|@every 1d from 2026-03-05T02:30:00|0 * 1 * MON",
        "@every 1d from 2026-03-05T02:30:00|@every 2d from 2026-03-05T02:30:00|30 2 * * *",
        "@dates 2026-03-08,2026-03-29T02:30,2026-11-01T01:30|0 0 * * *|@at 2026-03-08T00:00",
        "@every 7h from 2026-03-01T00:00:00Z|@every 11h from 2026-03-01T00:00:00Z",
        "@every 7m from 2026-03-05T00:00:03Z|@every 11s from 2026-03-07T00:00:00Z|30 2 * * *",
        "*/7 * * * *|@every 1000s from 2026-01-01T00:00:20Z|@every 100000s from 2026-02-21T05:00",
        "@every 36h from 2026-01-01T02:30:00|*/30 2,3 * * *|@every 2h from 2026-03-08T07:30:00Z",
        "10,40 */3 */10,5-6 JUL *|20,42,52 * * * *|59 23 L * 5L",
        "1 0 30,15 * *|*/20 * * * 6",
    };
    for (size_t z = 0; z < ARRAY_LEN(zones); z++)
        for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
            assert_counts(zones[z], sets[i], "", NULL);
            assert_counts(zones[z], sets[i], "2026-03-09,2026-03-10T02:30,2026-10-01", NULL);
            assert_counts(zones[z], sets[i], "2026-03-01",
                          "SUN\n2026-03-05T08:10..2026-03-05T08:50\n2026-10-03..2026-10-10\n"
                          "2026-11-01T01:15..2026-11-01T01:35\n2026-03-29T02:10..2026-03-29T03:00");
        }
}

static void one_rule_with_a_calendar_counts_by_days_too(void **state)
{
    (void)state;
    static const char *const rules[] = { "*/5 * * * *", "30 2 * * *", "0 */2 * * *",
                                         "@every 7m from 2026-03-01T00:00:00Z",
                                         "@every 3d from 2026-03-01T02:30:00" };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        assert_counts("Europe/Berlin", rules[i], "2026-03-09", "SAT..SUN\n03-12\ndays L * *");
        assert_counts("America/New_York", rules[i], "", "2026-03-08T01:00..2026-03-08T04:10");
    }
}

/* ---- @every beside others: its times of day are others each day ------------------------------ */

static uint64_t draw(uint64_t *random, uint64_t n)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % n;
}

/* A rule of any kind but a list, around a year and a zone's clock changes. */
static int draw_rule(uint64_t *random, char *to, size_t room)
{
    static const char *const crons[] = { "*/10 * * * *",   "*/7 1-3 * * *", "30 2 * * *",
                                         "0 */2 * * *",    "15 1 * * 0,6",  "5,25 * 1,8,15-31 * *",
                                         "*/20 0 3 * * *", "0 0 * * *" };
    static const int seconds[] = { 7,    61,   90,    367,   420,   1000,   2700,
                                   3600, 5400, 25200, 50000, 86401, 129600, 1000003 };
    unsigned month = 1 + (unsigned)draw(random, 10), day = 1 + (unsigned)draw(random, 28);
    unsigned hour = (unsigned)draw(random, 24), minute = (unsigned)draw(random, 60);
    unsigned second = draw(random, 2) ? (unsigned)draw(random, 60) : 0;
    const char *utc = draw(random, 2) ? "Z" : "";
    switch (draw(random, 5)) {
    case 0:
    case 1:
        return snprintf(to, room, "%s", crons[draw(random, ARRAY_LEN(crons))]);
    case 2:
        return snprintf(to, room, "@every %ud from 2026-%02u-%02uT02:%02u", 1 + month % 3, month,
                        day, minute);
    default:
        return snprintf(to, room, "@every %ds from 2026-%02u-%02uT%02u:%02u:%02u%s",
                        seconds[draw(random, ARRAY_LEN(seconds))], month, day, hour, minute, second,
                        utc);
    }
}

static void a_union_of_any_rules_counts_what_a_walk_meets(void **state)
{
    (void)state;
    enum { SETS = 150, MOST = 12000 };
    static const char *const zones[] = { "UTC",
                                         "America/New_York",
                                         "Australia/Lord_Howe",
                                         "America/St_Johns",
                                         "Africa/Casablanca",
                                         "Asia/Kathmandu" };
    static const char *const without[] = { "", "", "2026-03-29,2026-10-25T02:30", "2026-11-01" };
    uint64_t random = 20260329;
    for (size_t i = 0; i < SETS; i++) {
        char rules[400];
        size_t len = 0, n = 2 + draw(&random, 3);
        for (size_t k = 0; k < n; k++) {
            if (k) rules[len++] = '|';
            len += (size_t)draw_rule(&random, rules + len, sizeof rules - len);
        }
        zone_t *zone = open_zone(zones[draw(&random, ARRAY_LEN(zones))]);
        ruleset_t *set = read_set(rules, without[draw(&random, ARRAY_LEN(without))], NULL, zone);
        /* a day before 2026 begins up to a day after it: a span that ends with so many instants */
        int64_t from = 1767139200 + (int64_t)draw(&random, 366 * DAY_SECONDS), t = from, next;
        uint64_t walked = 0;
        for (; walked < MOST && (next = walk_next(set, t)) != RULE_NONE; walked++) {
            t = next;
            if (walked % 1000 == 500 && ruleset_count(set, from, t - 1) != walked)
                fail_msg("%s, %s: up to before %lld", zone_name(zone), rules, (long long)t);
        }
        if (ruleset_count(set, from, t) != walked)
            fail_msg("%s, %s: from %lld to %lld there are %llu, counted %llu", zone_name(zone),
                     rules, (long long)from, (long long)t, (unsigned long long)walked,
                     (unsigned long long)ruleset_count(set, from, t));
        ruleset_destroy(&set);
        zone_destroy(&zone);
    }
}

static void a_century_of_every_seven_minutes_beside_ten_is_counted_by_its_days(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    ruleset_t *set = read_set("*/10 * * * *|@every 7m from 2026-01-01T00:00:00Z", "", NULL, zone);
    int64_t from = at("2026-01-01T00:00:00Z", NULL), minutes = INT64_C(36525) * 24 * 60;
    uint64_t tens = (uint64_t)(minutes / 10), sevens = (uint64_t)(minutes / 7),
             both = (uint64_t)(minutes / 70);
    assert_true(ruleset_count(set, from, from + minutes * 60) == tens + sevens - both);
    /* what it costs is that of the seven kinds of days that there are, 206 instants each and more
     */
    uint64_t of_two = ruleset_count_steps(set, 2);
    assert_true(of_two >= 2 * 206 && of_two < 2 * 1000);
    assert_true(ruleset_count_steps(set, 36525) == of_two / 2 * 7);
    ruleset_destroy(&set);
    set = read_set("@every 7m from 2026-01-01T00:00:00Z", "", NULL, zone);
    assert_true(ruleset_count_steps(set, 36525) == 0);
    ruleset_destroy(&set);
    zone_destroy(&zone);
}

#define EVERY(step) "@every " step " from 2026-01-01T00:00:00Z"

static void more_kinds_of_days_than_are_kept_are_charged_by_the_day(void **state)
{
    (void)state;
    zone_t *zone = open_zone("UTC");
    /* 7 * 11 * 13 = 1,001 kinds, and their sums do not all stay until they come back */
    ruleset_t *set = read_set(EVERY("7s") "|" EVERY("11s") "|" EVERY("13s"), "", NULL, zone);
    uint64_t of_two = ruleset_count_steps(set, 2);
    assert_true(of_two >= 2 * (86400 / 7 + 86400 / 11 + 86400 / 13));
    assert_true(ruleset_count_steps(set, 36525) == of_two / 2 * 36525);
    ruleset_destroy(&set);
    set = read_set(EVERY("7s") "|" EVERY("11s"), "", NULL, zone);
    assert_true(ruleset_count_steps(set, 36525) == ruleset_count_steps(set, 77));
    ruleset_destroy(&set);
    zone_destroy(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coinciding_instants_are_one),
        cmocka_unit_test(one_bad_rule_of_several_is_named),
        cmocka_unit_test(entries_close_what_they_say),
        cmocka_unit_test(wrong_entries_are_named_by_their_place),
        cmocka_unit_test(no_text_is_read_beyond_its_end),
        cmocka_unit_test(a_closed_instant_is_none_and_is_shown_apart),
        cmocka_unit_test(a_rule_that_is_closed_for_ever_has_no_next),
        cmocka_unit_test(a_listed_date_is_judged_by_what_it_stands_for),
        cmocka_unit_test(counting_by_days_is_counting_one_by_one),
        cmocka_unit_test(one_rule_with_a_calendar_counts_by_days_too),
        cmocka_unit_test(a_union_of_any_rules_counts_what_a_walk_meets),
        cmocka_unit_test(a_century_of_every_seven_minutes_beside_ten_is_counted_by_its_days),
        cmocka_unit_test(more_kinds_of_days_than_are_kept_are_charged_by_the_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

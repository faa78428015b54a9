/* SPDX-License-Identifier: Apache-2.0
 * tests/time/bench_rules.c - nanoseconds per next instant, per parse and per count.
 *
 * Next is chained: each answer is the next question. Median of five runs. With an argument the
 * figures are in a zone of that name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/time/ruleset.h"
#include "tests/bench/median.h"

enum { RUNS = 5, START = 1772931600 };

static const char *const texts[] = {
    "* * * * *",
    "*/5 9-17 * * 1-5",
    "0 3 * * *",
    "30 2 * * *",
    "30 4 1 * *",
    "*/10 * * * * *",
    "0 0 L * *",
    "0 0 * * 1#5",
    "0 0 29 2 *",
    "0 0 31 * 1#5",
    "0 0 29 2 */7",
    "@every 5m from 2026-01-01T00:00Z",
    "@every 1d from 2026-01-01T02:30",
};

static rule_t *read_rule(const char *text, const zone_t *zone)
{
    rule_t *rule = NULL;
    rule_error_t error;
    if (rule_parse(&rule, text, strlen(text), NULL, NULL, zone, &error) != ERR_OK) {
        fprintf(stderr, "%s: %s\n", text, error.text);
        exit(1);
    }
    return rule;
}

static double time_next(const rule_t *rule, int64_t *sum)
{
    double runs[RUNS];
    const int times = 100000;
    for (int run = 0; run < RUNS; run++) {
        int64_t t = START, from = clock_steady_us();
        for (int i = 0; i < times; i++) {
            t = rule_next(rule, t);
            if (t == RULE_NONE) t = START;
        }
        runs[run] = (double)(clock_steady_us() - from) * 1000 / times;
        *sum += t;
    }
    return median(runs, RUNS);
}

static double time_parse(const char *text, const zone_t *zone)
{
    double runs[RUNS];
    const int times = 20000;
    for (int run = 0; run < RUNS; run++) {
        int64_t from = clock_steady_us();
        for (int i = 0; i < times; i++) {
            rule_t *rule = read_rule(text, zone);
            rule_destroy(&rule);
        }
        runs[run] = (double)(clock_steady_us() - from) * 1000 / times;
    }
    return median(runs, RUNS);
}

static double time_count(const rule_t *rule, int64_t span, int64_t *sum)
{
    double runs[RUNS];
    const int times = 200;
    for (int run = 0; run < RUNS; run++) {
        int64_t from = clock_steady_us();
        for (int i = 0; i < times; i++)
            *sum += (int64_t)rule_count(rule, START + i, START + i + span);
        runs[run] = (double)(clock_steady_us() - from) * 1000 / times;
    }
    return median(runs, RUNS);
}

/* Unions of 1 to 16 rules, at different minutes; with a calendar of weekends and a feast. */
static void time_unions(const zone_t *zone, bool closed, int64_t *sum)
{
    char texts_of[RULESET_RULES_MAX][32];
    slice_t also[RULESET_RULES_MAX];
    calendar_t *calendar = NULL;
    if (calendar_parse(&calendar, slice_text("SAT..SUN\n12-24..12-26\ndays * 11 THU#4"), NULL))
        exit(1);
    for (size_t n = 1; n <= RULESET_RULES_MAX; n *= 2) {
        for (size_t i = 0; i < n; i++) {
            snprintf(texts_of[i], sizeof texts_of[i], "%d %d-23 * * *", (int)i * 3, (int)i);
            also[i] = slice_text(texts_of[i]);
        }
        ruleset_spec_t spec = { .rule = also[0],
                                .also = also + 1,
                                .also_count = n - 1,
                                .zone = zone,
                                .calendars = &calendar,
                                .calendars_count = closed };
        ruleset_t *set = NULL;
        if (ruleset_parse(&set, &spec, NULL, NULL) != ERR_OK) exit(1);
        double next[RUNS], count[RUNS];
        const int times = 20000, counts = 20;
        for (int run = 0; run < RUNS; run++) {
            int64_t t = START, from = clock_steady_us();
            for (int i = 0; i < times; i++)
                t = ruleset_next(set, t);
            int64_t between = clock_steady_us();
            for (int i = 0; i < counts; i++)
                *sum += (int64_t)ruleset_count(set, START + i, START + i + INT64_C(3653) * 86400);
            next[run] = (double)(between - from) * 1000 / times;
            count[run] = (double)(clock_steady_us() - between) * 1000 / counts;
            *sum += t;
        }
        printf("union of %2zu%-23s %10.0f %10s %14.0f\n", n, closed ? ", less a calendar" : "",
               median(next, RUNS), "", median(count, RUNS));
        ruleset_destroy(&set);
    }
    calendar_release(&calendar);
}

/* Cron beside `@every N` whose N does not divide a day: instants of a year. */
static void time_every(const zone_t *zone, int64_t *sum)
{
    static const char *const unions[][2] = {
        { "*/10 * * * *", "@every 7m from 2026-01-01T00:00Z" },
        { "* * * * *", "@every 7s from 2026-01-01T00:00Z" },
        { "0 */2 * * 1-5", "@every 367s from 2026-01-01T00:00Z" },
        { "@every 11s from 2026-01-01T00:00Z", "@every 13s from 2026-01-01T00:00Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(unions); i++) {
        slice_t also = slice_text(unions[i][1]);
        ruleset_spec_t spec = {
            .rule = slice_text(unions[i][0]), .also = &also, .also_count = 1, .zone = zone
        };
        ruleset_t *set = NULL;
        double runs[RUNS];
        if (ruleset_parse(&set, &spec, NULL, NULL) != ERR_OK) exit(1);
        for (int run = 0; run < RUNS; run++) {
            int64_t from = clock_steady_us();
            *sum += (int64_t)ruleset_count(set, START + run, START + run + INT64_C(365) * 86400);
            runs[run] = (double)(clock_steady_us() - from);
        }
        printf("%s and %.12s: %.0f us a year\n", unions[i][0], unions[i][1], median(runs, RUNS));
        ruleset_destroy(&set);
    }
}

int main(int argc, char **argv)
{
    zone_t *zone = NULL;
    const char *name = argc > 1 ? argv[1] : "America/New_York";
    if (zone_open(&zone, name, NULL) != ERR_OK) {
        fprintf(stderr, "no zone %s\n", name);
        return 1;
    }
    int64_t sum = 0, from = clock_steady_us();
    for (int i = 0; i < 20; i++) {
        zone_t *again = NULL;
        if (zone_open(&again, name, NULL) != ERR_OK) return 1;
        zone_destroy(&again);
    }
    printf("zone %s opened in %.1f us\n", name, (double)(clock_steady_us() - from) / 20);
    printf("%-34s %10s %10s %14s\n", "rule", "next ns", "parse ns", "count 10 y ns");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        rule_t *rule = read_rule(texts[i], zone);
        printf("%-34s %10.0f %10.0f %14.0f\n", texts[i], time_next(rule, &sum),
               time_parse(texts[i], zone), time_count(rule, INT64_C(3653) * 86400, &sum));
        rule_destroy(&rule);
    }
    time_unions(zone, false, &sum);
    time_unions(zone, true, &sum);
    time_every(zone, &sum);
    zone_destroy(&zone);
    return sum == 42; /* the sum is used: nothing is optimised away */
}

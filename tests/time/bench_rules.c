/* SPDX-License-Identifier: Apache-2.0
 * tests/time/bench_rules.c - nanoseconds per next instant, per parse and per count.
 *
 * Next is chained: each answer is the next question. Median of five runs. With an argument the
 * figures are in a zone of that name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/time/rule.h"

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

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *runs)
{
    qsort(runs, RUNS, sizeof *runs, ascending);
    return runs[RUNS / 2];
}

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
    return median(runs);
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
    return median(runs);
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
    return median(runs);
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
    zone_destroy(&zone);
    return sum == 42; /* the sum is used: nothing is optimised away */
}

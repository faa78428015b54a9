/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/bench_cron.c - next instant of cron rules, beside ccronexpr.
 *
 * Built when CCRONEXPR names a folder with that library, built by its own means: ccronexpr.h and
 * libccronexpr.so, which is the argument; loaded at run time, since a function of ours has the name
 * of one of theirs. Both are asked in UTC (it knows no zones), chained: each answer is the next
 * question. Its rules have six fields. Median of five runs, in turns, so that a busy machine slows
 * both. Where the answers differ the rule is not compared. */
#include <stdio.h>

#if __has_include(<ccronexpr.h>)
#include <ccronexpr.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/time/rule.h"
#include "tests/bench/median.h"

enum { RUNS = 5, TIMES = 20000, START = 1772931600 };

static const struct {
    const char *ours, *theirs;
    int times;
} rules[] = {
    { "* * * * *", "0 * * * * *", TIMES },
    { "*/5 9-17 * * 1-5", "0 */5 9-17 * * 1-5", TIMES },
    { "0 3 * * *", "0 0 3 * * *", TIMES },
    { "30 2 * * *", "0 30 2 * * *", TIMES },
    { "30 4 1 * *", "0 30 4 1 * *", TIMES },
    { "0 0 * * 0", "0 0 0 * * 0", TIMES },
    { "15 10 15 6 *", "0 15 10 15 6 *", TIMES / 10 },
    { "*/10 * * * * *", "*/10 * * * * *", TIMES },
    { "0 0 29 2 *", "0 0 0 29 2 *", TIMES / 10 },
};

static void (*peer_parse)(const char *, cron_expr *, const char **);
static time_t (*peer_next)(cron_expr *, time_t);

static bool load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library) *(void **)&peer_parse = dlsym(library, "cron_parse_expr");
    if (library) *(void **)&peer_next = dlsym(library, "cron_next");
    if (!peer_parse || !peer_next) fprintf(stderr, "bench_cron: %s\n", dlerror());
    return peer_parse && peer_next;
}

static int64_t ours_next(const rule_t *rule, int64_t t)
{
    int64_t next = rule_next(rule, t);
    return next == RULE_NONE || next > INT64_C(3900000000) ? START : next;
}

static int64_t theirs_next(cron_expr *rule, int64_t t)
{
    time_t next = peer_next(rule, (time_t)t);
    return next == (time_t)-1 || next > INT64_C(3900000000) ? START : next;
}

/* Nanoseconds a question: [0] ours, [1] theirs. False: they do not say the same. */
static bool compare(const rule_t *ours, cron_expr *theirs, int times, double ns[2])
{
    double runs[2][RUNS];
    for (int run = 0; run < RUNS; run++) {
        int64_t a = START, b = START, from = clock_steady_us();
        for (int i = 0; i < times; i++)
            a = ours_next(ours, a);
        int64_t between = clock_steady_us();
        for (int i = 0; i < times; i++)
            b = theirs_next(theirs, b);
        runs[0][run] = (double)(between - from) * 1000 / times;
        runs[1][run] = (double)(clock_steady_us() - between) * 1000 / times;
        if (a != b) return false;
    }
    ns[0] = median(runs[0], RUNS);
    ns[1] = median(runs[1], RUNS);
    return true;
}

int main(int argc, char **argv)
{
    zone_t *zone = NULL;
    if (!load(argc > 1 ? argv[1] : "libccronexpr.so") || zone_open(&zone, "UTC", NULL) != ERR_OK)
        return 1;
    printf("%-24s %10s %14s %8s\n", "next, chained, in UTC", "pawl ns", "ccronexpr ns", "ratio");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        rule_t *rule = NULL;
        cron_expr theirs;
        const char *error = NULL;
        double ns[2];
        peer_parse(rules[i].theirs, &theirs, &error);
        if (error || rule_parse(&rule, rules[i].ours, strlen(rules[i].ours), NULL, NULL, zone,
                                NULL) != ERR_OK)
            printf("%-24s %s\n", rules[i].ours, error ? error : "is no rule");
        else if (compare(rule, &theirs, rules[i].times, ns))
            printf("%-24s %10.0f %14.0f %8.1f\n", rules[i].ours, ns[0], ns[1], ns[1] / ns[0]);
        else
            printf("%-24s the answers differ\n", rules[i].ours);
        rule_destroy(&rule);
    }
    zone_destroy(&zone);
    return 0;
}

#else

int main(void)
{
    fprintf(stderr, "bench_cron was built without ccronexpr: make bench-cron CCRONEXPR=DIR, a "
                    "folder with ccronexpr.h and libccronexpr.so\n");
    return 2;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * bench-outage FOLDER [SCHEDULES] - so many minute schedules (100) after a year without a broker,
 * on LMDB and through core alone, mode by mode: what the start costs, the batch in which all of
 * them are proposed, and the one behind it, in which live schedules have their turn. Then the same
 * of schedules of every ten minutes and every seven, whose instants no day has alike: of those a
 * batch takes what its work on rules allows. One line a mode. */
#include <sys/resource.h>

#include "tests/bench/plan_world.h"

#define YEAR (365 * 86400 * SECOND)

typedef struct mode {
    const char *name;
    Pawl__V1__Mode mode;
    bool live_first;
} outage_mode_t;

static long memory_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* All of them in one request, as a scheduler does. */
static double propose(bench_t *self, bench_fired_t *sum)
{
    double before = sum->ms;
    uint32_t *all = mem_new((self->n + 1) * sizeof *all);
    for (size_t i = 0; i < self->n; i++)
        all[i] = (uint32_t)i;
    bench_propose(self, all, self->n, self->n, sum);
    free(all);
    return sum->ms - before;
}

static void run(const char *folder, size_t schedules, const outage_mode_t *mode, bool several)
{
    char *every = (char *)(uintptr_t) "@every 7m from 2026-01-01T00:00:00Z";
    bench_t self = { .clock_us = INT64_C(1790000000) * SECOND, .n = schedules };
    bench_fired_t sum = { 0 };
    Pawl__V1__Schedule like = PAWL__V1__SCHEDULE__INIT;
    like.rule = (char *)(uintptr_t)(several ? "*/10 * * * *" : "* * * * *");
    like.also = &every;
    like.n_also = several;
    like.zone = (char *)(uintptr_t) "UTC";
    like.mode = mode->mode;
    like.live_first = mode->live_first;
    bench_open(&self, folder, UINT64_C(1) << 30);
    bench_zone(&self, "UTC");
    bench_put(&self, "old", &like);
    bench_list(&self);
    bench_close(&self);
    self.clock_us += YEAR;
    double began = now_ms(CLOCK_MONOTONIC);
    bench_open(&self, folder, UINT64_C(1) << 30);
    double start = now_ms(CLOCK_MONOTONIC) - began;
    double first = propose(&self, &sum);
    self.clock_us += 60 * SECOND;
    double next = propose(&self, &sum);
    printf("%-18s %-11s start %7.2f ms   first batch %7.2f ms   next %7.2f ms   fired %llu   "
           "skipped or "
           "split %llu   memory %ld KiB\n",
           mode->name, several ? "10 m or 7 m" : "1 m", start, first, next,
           (unsigned long long)sum.fired, (unsigned long long)sum.skipped, memory_kib());
    bench_close(&self);
    outputs_free(&self.out);
    free(self.plans);
}

int main(int argc, char **argv)
{
    static const outage_mode_t modes[] = {
        { "normal", PAWL__V1__MODE__MODE_NORMAL, false },
        { "latest", PAWL__V1__MODE__MODE_LATEST, false },
        { "strict", PAWL__V1__MODE__MODE_STRICT, false },
        { "strict, live first", PAWL__V1__MODE__MODE_STRICT, true },
    };
    if (argc < 2) {
        fprintf(stderr, "usage: bench-outage FOLDER [SCHEDULES]\n");
        return 2;
    }
    size_t schedules = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 100;
    for (size_t i = 0; i < 2 * ARRAY_LEN(modes); i++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%s/%zu", argv[1], i);
        run(folder, schedules, &modes[i % ARRAY_LEN(modes)], i >= ARRAY_LEN(modes));
    }
    return 0;
}

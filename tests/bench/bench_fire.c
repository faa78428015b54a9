/* SPDX-License-Identifier: Apache-2.0
 * bench-fire FOLDER [SCHEDULES [OTHERS [shuffled]]] - a minute at which so many schedules (100,000)
 * of a store with OTHERS more are due, on LMDB and through core alone: what a firing costs the
 * broker, its commits included, with nobody who runs the tasks.
 *
 *   first   after a start: each schedule is read
 *   second  what is in the cache; the first minute's tasks, which nobody began, are superseded
 *   third   likewise
 *
 * shuffled: proposed in an order that is not that of the rows. */
#include "tests/bench/plan_world.h"

enum { REQUEST = 512, BATCH = 2048 }; /* as the scheduler and the front cut them */

static void shuffle(uint32_t *of, size_t n)
{
    uint64_t seed = 88172645463325252;
    for (size_t i = n; i > 1; i--) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        size_t k = seed % i;
        uint32_t swap = of[i - 1];
        of[i - 1] = of[k];
        of[k] = swap;
    }
}

static void minute(bench_t *self, const char *name, size_t first, bool shuffled)
{
    bench_fired_t sum = { 0 };
    size_t n = self->n - first, batches = 0, again = 0;
    uint32_t *of = mem_new((n + BATCH) * sizeof *of), part[BATCH];
    for (size_t i = 0; i < n; i++)
        of[i] = (uint32_t)(first + i);
    if (shuffled) shuffle(of, n);
    double cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t done = 0, left = 0; done < n || left > 0; batches++) {
        while (left < BATCH && done < n)
            part[left++] = of[done++];
        bench_propose(self, part, left, REQUEST, &sum);
        left = sum.again;
        again += left;
    }
    cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    CHECK(sum.fired == n);
    printf("%-7s %7.0f ms   %5.2f us a firing, CPU %5.2f us   %zu batches   %zu asked for again\n",
           name, sum.ms, sum.ms * 1e3 / (double)n, cpu * 1e3 / (double)n, batches, again);
    free(of);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench-fire FOLDER [SCHEDULES [OTHERS [shuffled]]]\n");
        return 2;
    }
    size_t due = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 100000;
    size_t others = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 0;
    bool shuffled = argc > 4 && strcmp(argv[4], "shuffled") == 0;
    bench_t self = { .clock_us = INT64_C(1790000000) * SECOND, .n = others };
    Pawl__V1__Schedule like = PAWL__V1__SCHEDULE__INIT;
    like.rule = (char *)(uintptr_t) "0 0 29 2 *";
    like.zone = (char *)(uintptr_t) "UTC";
    like.overlap = PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    bench_open(&self, argv[1], UINT64_C(16) << 30);
    bench_zone(&self, "UTC");
    bench_put(&self, "rare", &like);
    like.rule = (char *)(uintptr_t) "* * * * *";
    self.n = due;
    bench_put(&self, "minute", &like);
    bench_close(&self);
    self.n = others + due;
    bench_open(&self, argv[1], UINT64_C(16) << 30);
    bench_list(&self);
    static const char *const names[] = { "first", "second", "third" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        self.clock_us = (self.clock_us / (60 * SECOND) + 1) * 60 * SECOND;
        minute(&self, names[i], others, shuffled);
    }
    bench_close(&self);
    outputs_free(&self.out);
    free(self.plans);
    return 0;
}

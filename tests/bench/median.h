/* SPDX-License-Identifier: Apache-2.0
 * tests/bench/median.h - the median of some runs, for benchmarks. */
#ifndef TESTS_BENCH_MEDIAN_H
#define TESTS_BENCH_MEDIAN_H

#include <stdlib.h>

static inline int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n runs, which are sorted by it; the upper one of an even number. */
static inline double median(double *runs, size_t n)
{
    qsort(runs, n, sizeof *runs, ascending);
    return runs[n / 2];
}

#endif

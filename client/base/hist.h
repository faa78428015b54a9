/* SPDX-License-Identifier: Apache-2.0
 * client/base/hist.h - how often which value came: a log-linear histogram of fixed size.
 *
 * Four buckets for each power of two, so a percentile is at most 25 % above the true value and
 * never below it. Values are microseconds or counts; negative ones count as 0. A plain struct: a
 * zeroed one is empty, a copy is a snapshot. No lock: one thread at a time. */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include "client/base/base.h"

enum { HIST_STEPS = 4, HIST_BUCKETS = 42 * HIST_STEPS }; /* the last bucket takes all above 2^42 */

typedef struct hist {
    uint64_t count, sum; /* values seen, and their sum */
    int64_t max;         /* the largest, exactly */
    uint64_t buckets[HIST_BUCKETS];
} hist_t;

void hist_add(hist_t *self, int64_t value);
void hist_reset(hist_t *self);
/* The upper edge of the bucket in which the value of rank `per_mille`/1000 lies, never above max;
 * 0 when empty. 500 is the median, 990 the 99th percentile, 1000 the maximum. */
int64_t hist_percentile(const hist_t *self, unsigned per_mille);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/hist.h"

/* Bucket of a value: 0..3 stand for themselves; above, the power of two and the two bits below its
 * top bit. */
static unsigned bucket_of(uint64_t value)
{
    if (value < HIST_STEPS) return (unsigned)value;
    unsigned top = 63u - (unsigned)__builtin_clzll(value);
    unsigned bucket = (top - 1) * HIST_STEPS + (unsigned)(value >> (top - 2) & 3);
    return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

static int64_t upper_edge(unsigned bucket)
{
    if (bucket < HIST_STEPS) return bucket;
    unsigned top = bucket / HIST_STEPS + 1;
    uint64_t low = (UINT64_C(4) + bucket % HIST_STEPS) << (top - 2);
    return (int64_t)(low + (UINT64_C(1) << (top - 2)) - 1);
}

void hist_add(hist_t *self, int64_t value)
{
    if (value < 0) value = 0;
    self->buckets[bucket_of((uint64_t)value)]++;
    self->count++;
    self->sum += (uint64_t)value;
    if (value > self->max) self->max = value;
}

void hist_reset(hist_t *self)
{
    *self = (hist_t){ 0 };
}

int64_t hist_percentile(const hist_t *self, unsigned per_mille)
{
    if (self->count == 0) return 0;
    if (per_mille >= 1000) return self->max;
    uint64_t rank = (self->count * per_mille + 999) / 1000, seen = 0;
    if (rank == 0) rank = 1;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += self->buckets[i];
        if (seen >= rank) {
            int64_t edge = upper_edge(i);
            return i == HIST_BUCKETS - 1 || edge > self->max ? self->max : edge;
        }
    }
    return self->max;
}

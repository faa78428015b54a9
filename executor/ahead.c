/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/ahead.h"

enum {
    SHORT_US = 50000,     /* longer attempts are not asked for ahead */
    ROUND_US = 16000,     /* a report and the next lease take less than that */
    PATIENCE_US = 200000, /* so long a lease may wait for a slot */
    MOST = 64,
};

void ahead_ask(ahead_t *self, pawl_worker_t *worker, slots_t *slots, int64_t slot_count, bool full,
               int64_t now_us)
{
    if (self->asked && full && now_us >= self->look_us) {
        self->look_us = now_us + PATIENCE_US;
        if (pawl_worker_return_waiting(worker, PATIENCE_US))
            slots_expect(slots, SHORT_US); /* they were not as short as that */
    }
    int64_t typical = slots_typical_us(slots);
    int64_t wanted = typical >= SHORT_US ? 0 : slot_count * (1 + ROUND_US / (typical + 1));
    if (wanted > MOST) wanted = MOST;
    /* small changes are not worth a word */
    if (wanted == self->asked ||
        (wanted && self->asked && wanted < 2 * self->asked && self->asked < 2 * wanted))
        return;
    self->asked = wanted;
    (void)!pawl_worker_prefetch(worker, (unsigned)wanted);
}

int64_t ahead_deadline(const ahead_t *self, int64_t now_us)
{
    return self->asked && now_us < self->look_us ? self->look_us : INT64_MAX;
}

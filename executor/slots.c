/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/slots.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/slot.h"

struct slots {
    slot_common_t common;
    size_t count;
    slot_t slots[];
};

void slots_take(slots_t *self, pawl_job_t *job)
{
    slot_t *slot = self->slots;
    while (slot < self->slots + self->count && slot->state != SLOT_IDLE)
        slot++;
    CHECK(slot < self->slots + self->count);
    slot_take(slot, job);
}

void slots_event(slots_t *self, uint64_t what)
{
    CHECK(slot_number(what) < self->count);
    slot_event(&self->slots[slot_number(what)], what);
}

int64_t slots_deadline(const slots_t *self)
{
    int64_t least = INT64_MAX, now = clock_steady_us();
    for (size_t i = 0; self->common.busy && i < self->count; i++) {
        int64_t deadline = slot_deadline(&self->slots[i], now);
        if (deadline < least) least = deadline;
    }
    return least;
}

void slots_tick(slots_t *self, int64_t now_us)
{
    for (size_t i = 0; self->common.busy && i < self->count; i++)
        slot_tick(&self->slots[i], now_us);
}

void slots_stop(slots_t *self, bool hard)
{
    for (size_t i = 0; i < self->count; i++)
        slot_stop(&self->slots[i], hard);
}

int64_t slots_typical_us(const slots_t *self)
{
    return self->common.typical_us;
}

void slots_expect(slots_t *self, int64_t us)
{
    if (self->common.typical_us < us) self->common.typical_us = us;
}

size_t slots_busy(const slots_t *self)
{
    return self->common.busy;
}

slots_t *slots_new(const struct slots_setup *setup)
{
    size_t count = (size_t)setup->config->slots;
    slots_t *self = mem_new(sizeof *self + count * sizeof *self->slots);
    self->count = count;
    self->common = (slot_common_t){ .setup = *setup,
                                    .maker = { setup->helper, setup->cgroup, 0, setup->epoll },
                                    .bytes = mem_new(PIPES_READ),
                                    .null = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                    .typical_us = PAWL_SEC_US }; /* until the first have ended */
    CHECK(self->common.null >= 0);
    for (size_t i = 0; i < count; i++)
        slot_init(&self->slots[i], &self->common, (uint32_t)i);
    return self;
}

void slots_destroy(slots_t **self_p)
{
    slots_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < self->count; i++)
        slot_clear(&self->slots[i]);
    close(self->common.null);
    free(self->common.bytes);
    free(self);
    *self_p = NULL;
}

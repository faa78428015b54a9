/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/time/wall.h"

#include <stdlib.h>

#include "client/base/base.h"

enum { STEP = 4 * 3600, DAY = 86400 };

static struct tm show(int64_t instant)
{
    struct tm shown;
    time_t t = (time_t)instant;
    CHECK(localtime_r(&t, &shown) != NULL);
    return shown;
}

static int64_t offset(int64_t instant)
{
    return show(instant).tm_gmtoff;
}

/* The first instant in (low, high] with another offset than low. */
static int64_t first_other(int64_t low, int64_t high)
{
    int64_t before = offset(low);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (offset(middle) == before)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static void add(wall_t *self, int64_t from, int64_t to)
{
    CHECK(self->count < WALL_STRETCHES);
    self->stretches[self->count++] = (stretch_t){ from, to, offset(from) };
}

void wall_open(wall_t *self, const char *zone, int64_t from, int64_t to)
{
    CHECK(setenv("TZ", zone, 1) == 0);
    tzset();
    self->count = 0;
    int64_t since = from, before = offset(from);
    for (int64_t t = from; t < to; t += STEP) {
        int64_t then = t + STEP < to ? t + STEP : to, now = offset(then);
        if (now == before) continue;
        int64_t change = first_other(t, then);
        add(self, since, change);
        since = change;
        before = now;
    }
    add(self, since, to);
}

int64_t wall_first_shown(const wall_t *self, int64_t reading)
{
    for (size_t i = 0; i < self->count; i++) {
        const stretch_t *one = &self->stretches[i];
        int64_t instant = reading - one->offset;
        if (one->from <= instant && instant < one->to) return instant;
    }
    return INT64_MAX;
}

int64_t wall_jump_over(const wall_t *self, int64_t reading)
{
    for (size_t i = 1; i < self->count; i++) {
        const stretch_t *one = &self->stretches[i];
        if (one->from + one[-1].offset <= reading && reading < one->from + one->offset)
            return one->from;
    }
    return INT64_MAX;
}

bool wall_shows_date(const wall_t *self, int64_t reading)
{
    int64_t midnight = reading - reading % DAY;
    for (size_t i = 0; i < self->count; i++) {
        const stretch_t *one = &self->stretches[i];
        if (one->from + one->offset < midnight + DAY && one->to + one->offset > midnight)
            return true;
    }
    return false;
}

int64_t wall_reading(const wall_t *self, int64_t instant)
{
    (void)self;
    return instant + offset(instant);
}

size_t wall_ticks(const wall_t *self, int64_t from, int64_t to, tick_t ticks[WALL_TICKS])
{
    (void)self;
    size_t n = 0;
    CHECK(from % 60 == 0 && to % 60 == 0);
    for (int64_t t = from; t < to; t += ticks[n++].seconds) {
        struct tm shown = show(t);
        CHECK(n < WALL_TICKS);
        bool even = t % 60 == 0 && shown.tm_sec == 0 && offset(t + 59) == shown.tm_gmtoff;
        ticks[n] = (tick_t){ t, t + shown.tm_gmtoff, shown, even ? 60 : 1 };
    }
    return n;
}

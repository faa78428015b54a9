/* SPDX-License-Identifier: Apache-2.0
 * The model's calendars: what clients of the simulator write are stretches of dates with times, and
 * are read here by a reader of our own. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <time.h>

enum { CALENDARS_KEPT = 4096, STRETCHES = 4 };

static struct kept {
    uint64_t hash;
    int64_t from[STRETCHES], to[STRETCHES];
    size_t n;
} kept[CALENDARS_KEPT];
static size_t kept_n;

void calendars_forget(void)
{
    kept_n = 0;
}

static const struct kept *find(uint64_t hash)
{
    for (size_t i = 0; i < kept_n; i++)
        if (kept[i].hash == hash) return &kept[i];
    return NULL;
}

static bool read_stamp(const char *text, int64_t *local)
{
    struct tm tm = { 0 };
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) return false;
    *local = timegm(&tm);
    return true;
}

void calendars_row(sim_t *sim, slice_t key, slice_t value)
{
    if (key.len != 11 || key.at[0] != CALENDAR_PART) return;
    uint64_t hash = be_u64(key.at + 1);
    if (find(hash) || kept_n == CALENDARS_KEPT) return;
    struct kept *self = &kept[kept_n++];
    *self = (struct kept){ .hash = hash };
    char text[400] = "", from[32], to[32];
    memcpy(text, value.at, value.len < sizeof text ? value.len : sizeof text - 1);
    for (const char *at = text; at && self->n < STRETCHES; self->n++) {
        if (sscanf(at, "%19s..%19s", from, to) != 2 || !read_stamp(from, &self->from[self->n]) ||
            !read_stamp(to, &self->to[self->n])) {
            sim_fail(sim, "the calendar %s is none of ours", text);
            return;
        }
        at = strchr(at, '\n');
        if (at) at++;
    }
}

bool calendars_closed(uint64_t hash, int64_t local)
{
    const struct kept *self = find(hash);
    for (size_t i = 0; self && i < self->n; i++)
        if (local >= self->from[i] && local < self->to[i]) return true;
    return false;
}

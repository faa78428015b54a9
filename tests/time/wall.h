/* SPDX-License-Identifier: Apache-2.0
 * tests/time/wall.h - what a clock on the wall shows, as the C library has it.
 *
 * Nothing of client/time is behind it: every answer is one of localtime_r, with TZ set to the zone.
 * TZ is one per process, so there is one wall at a time: the one opened last. Instants are seconds
 * since 1970-01-01T00:00:00Z; a reading is what the clock shows, counted like an instant. */
#ifndef TIME_WALL_H
#define TIME_WALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { WALL_STRETCHES = 600, WALL_TICKS = 2000 };

/* As long as the clock goes evenly. */
typedef struct stretch {
    int64_t from, to;
    int64_t offset; /* reading minus instant */
} stretch_t;

typedef struct wall {
    stretch_t stretches[WALL_STRETCHES];
    size_t count;
} wall_t;

/* Looks at the clock of the zone every four hours of [from, to), and closer where it changed. */
void wall_open(wall_t *self, const char *zone, int64_t from, int64_t to);

/* The first instant at which the clock shows this reading; INT64_MAX: at none. */
int64_t wall_first_shown(const wall_t *self, int64_t reading);
/* The first jump that passes this reading over; INT64_MAX: none does. */
int64_t wall_jump_over(const wall_t *self, int64_t reading);
/* Does the clock ever show a time of that reading's date? */
bool wall_shows_date(const wall_t *self, int64_t reading);
int64_t wall_reading(const wall_t *self, int64_t instant);

/* A minute of the clock, or a second of one in which it jumps: its fields, and how many seconds
 * from then on differ in nothing but the second. */
typedef struct tick {
    int64_t instant, reading;
    struct tm shown;
    int seconds;
} tick_t;

/* All of [from, to), in order; both are whole minutes. */
size_t wall_ticks(const wall_t *self, int64_t from, int64_t to, tick_t ticks[WALL_TICKS]);

#endif

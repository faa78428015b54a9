/* SPDX-License-Identifier: Apache-2.0
 * tests/time/naive.h - when a rule fires, worked out minute by minute.
 *
 * The rules of client/time/rule.h without a line of it: fields are sets, every minute that the
 * clock shows is looked at, and so is every one that it jumps over. Slow, and meant to be read
 * beside the description of the rules: what a clock shows comes from wall.h. */
#ifndef TIME_NAIVE_H
#define TIME_NAIVE_H

#include "tests/time/wall.h"

enum { NAIVE_STAMPS = 8, NAIVE_INSTANTS = 4000 };

typedef struct naive {
    enum { NAIVE_CRON, NAIVE_ELAPSED, NAIVE_DAYS, NAIVE_LIST } kind;
    bool has[6][60];              /* second, minute, hour, day, month, weekday */
    bool either_day;              /* day or weekday is enough */
    bool every_hour;              /* follows the clock; else each reading counts once */
    int64_t anchor, since, step;  /* of `@every`: instant, reading, seconds */
    int64_t stamps[NAIVE_STAMPS]; /* of `@at` and `@dates`: instants */
    int64_t stamp_readings[NAIVE_STAMPS];
    size_t stamps_count;
    int64_t without[NAIVE_STAMPS];      /* readings that are left out */
    int64_t without_days[NAIVE_STAMPS]; /* midnights of dates that are */
    size_t without_count, without_days_count;
} naive_t;

/* Reads a rule as the sweep writes them: cron without letters, `@every`, `@at`, `@dates`, `@daily`,
 * `@hourly`. `without` is a list of dates and local times, or empty. */
void naive_read(naive_t *self, const char *text, const char *without, const wall_t *wall);

/* All instants in [from, to) in order, each once; ticks are those of wall_ticks(from, to). */
size_t naive_instants(const naive_t *self, const wall_t *wall, const tick_t *ticks,
                      size_t ticks_count, int64_t from, int64_t to,
                      int64_t instants[NAIVE_INSTANTS]);

/* Sorted, each once. Returns how many are left. */
size_t naive_sort(int64_t *instants, size_t count);

#endif

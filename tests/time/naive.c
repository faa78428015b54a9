/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/time/naive.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/base/base.h"

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY };
enum { DAY_LENGTH = 86400 };

static const int low[] = { 0, 0, 0, 1, 1, 0 }, high[] = { 59, 59, 23, 31, 12, 6 };

/* ---- reading --------------------------------------------------------------------------------- */

/* `*`, `*` and a step, N, A-B, A-B and a step; from A to B as on the face of a clock. */
static void read_item(naive_t *self, int field, const char *item)
{
    int first = low[field], last = high[field], step = 1;
    if (sscanf(item, "*/%d", &step) < 1 && item[0] != '*') {
        int got = sscanf(item, "%d-%d/%d", &first, &last, &step);
        CHECK(got >= 1);
        if (got == 1) last = first;
    }
    for (int value = first, i = 0;; i++) {
        if (i % step == 0) self->has[field][value] = true;
        if (value == last) break;
        value = value == high[field] ? low[field] : value + 1;
    }
}

static void read_cron(naive_t *self, const char *text)
{
    char copy[200], *rest = NULL, *words[6];
    size_t count = 0;
    CHECK((size_t)snprintf(copy, sizeof copy, "%s", text) < sizeof copy);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        CHECK(count < 6);
        words[count++] = word;
    }
    CHECK(count >= 5);
    if (count == 5) self->has[SECOND][0] = true;
    for (size_t i = 0; i < count; i++) {
        int field = (int)(i + 6 - count);
        if (field == DAY) self->either_day = words[i][0] != '*';
        if (field == WEEKDAY) self->either_day &= words[i][0] != '*';
        for (char *item = strtok_r(words[i], ",", &rest); item; item = strtok_r(NULL, ",", &rest))
            read_item(self, field, item);
    }
    self->every_hour = true;
    for (int hour = 0; hour < 24; hour++)
        self->every_hour &= self->has[HOUR][hour];
}

/* The reading that a stamp names; *rest is what follows it. */
static int64_t read_reading(const char *text, const char **rest)
{
    struct tm tm = { 0 };
    *rest = strptime(text, "%Y-%m-%d", &tm);
    CHECK(*rest != NULL);
    if (**rest == 'T') *rest = strptime(*rest, "T%H:%M", &tm);
    CHECK(*rest != NULL);
    return timegm(&tm);
}

/* A time that somebody named fires once: when it is first shown, or when the clock jumps over it.
 */
static int64_t instant_of(const wall_t *wall, int64_t reading)
{
    int64_t shown = wall_first_shown(wall, reading);
    return shown == INT64_MAX ? wall_jump_over(wall, reading) : shown;
}

static int64_t read_stamp(const wall_t *wall, const char **text, int64_t *reading)
{
    *reading = read_reading(*text, text);
    if (**text != 'Z') return instant_of(wall, *reading);
    int64_t instant = *reading;
    ++*text;
    *reading = wall_reading(wall, instant);
    return instant;
}

static void read_list(naive_t *self, const wall_t *wall, const char *text)
{
    self->kind = NAIVE_LIST;
    do {
        CHECK(self->stamps_count < NAIVE_STAMPS);
        size_t i = self->stamps_count++;
        self->stamps[i] = read_stamp(wall, &text, &self->stamp_readings[i]);
    } while (*text++ == ',');
}

static void read_every(naive_t *self, const wall_t *wall, const char *text)
{
    long count;
    char unit;
    int at = 0;
    CHECK(sscanf(text, "%ld%c from %n", &count, &unit, &at) == 2 && at > 0);
    text += at;
    self->kind = unit == 'd' ? NAIVE_DAYS : NAIVE_ELAPSED;
    self->step = count * (unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : DAY_LENGTH);
    self->anchor = read_stamp(wall, &text, &self->since);
    self->has[SECOND][0] = true; /* stamps here have no seconds */
}

static void read_without(naive_t *self, const char *text)
{
    while (*text) {
        bool whole_day = strcspn(text, ",") == 10;
        CHECK(self->without_count < NAIVE_STAMPS && self->without_days_count < NAIVE_STAMPS);
        int64_t reading = read_reading(text, &text);
        if (whole_day)
            self->without_days[self->without_days_count++] = reading;
        else
            self->without[self->without_count++] = reading;
        text += *text == ',';
    }
}

void naive_read(naive_t *self, const char *text, const char *without, const wall_t *wall)
{
    *self = (naive_t){ 0 };
    if (strncmp(text, "@every ", 7) == 0)
        read_every(self, wall, text + 7);
    else if (strncmp(text, "@at ", 4) == 0)
        read_list(self, wall, text + 4);
    else if (strncmp(text, "@dates ", 7) == 0)
        read_list(self, wall, text + 7);
    else if (strcmp(text, "@daily") == 0)
        read_cron(self, "0 0 * * *");
    else if (strcmp(text, "@hourly") == 0)
        read_cron(self, "0 * * * *");
    else
        read_cron(self, text);
    read_without(self, without);
}

/* ---- firing ---------------------------------------------------------------------------------- */

static bool left_out(const naive_t *self, int64_t reading)
{
    for (size_t i = 0; i < self->without_count; i++)
        if (self->without[i] == reading) return true;
    for (size_t i = 0; i < self->without_days_count; i++)
        if (self->without_days[i] <= reading && reading < self->without_days[i] + DAY_LENGTH)
            return true;
    return false;
}

/* Is there a second of this minute that the rule names? `reading` is the minute's begin. */
static bool names_minute(const naive_t *self, int64_t reading, const struct tm *shown)
{
    if (self->kind == NAIVE_DAYS)
        return reading > self->since && (reading - self->since) % self->step == 0;
    bool day = self->has[DAY][shown->tm_mday], weekday = self->has[WEEKDAY][shown->tm_wday];
    return self->has[MINUTE][shown->tm_min] && self->has[HOUR][shown->tm_hour] &&
           self->has[MONTH][shown->tm_mon + 1] &&
           (self->either_day ? day || weekday : day && weekday);
}

/* What the clock shows. */
static size_t shown_instants(const naive_t *self, const wall_t *wall, const tick_t *tick,
                             int64_t *instants)
{
    size_t n = 0;
    if (!names_minute(self, tick->reading - tick->shown.tm_sec, &tick->shown)) return 0;
    for (int i = 0; i < tick->seconds; i++) {
        int64_t instant = tick->instant + i, reading = tick->reading + i;
        if (!self->has[SECOND][tick->shown.tm_sec + i] || left_out(self, reading)) continue;
        if (self->every_hour || wall_first_shown(wall, reading) == instant) instants[n++] = instant;
    }
    return n;
}

/* Does the jump pass over a reading that the rule names, that the clock shows at no other time, of
 * a date that it shows? */
static bool jump_fires(const naive_t *self, const wall_t *wall, const stretch_t *before,
                       const stretch_t *after)
{
    int64_t from = after->from + before->offset, to = after->from + after->offset;
    for (int64_t minute = from - from % 60; minute < to; minute += 60) {
        struct tm tm;
        time_t t = (time_t)minute;
        gmtime_r(&t, &tm);
        if (!names_minute(self, minute, &tm)) continue;
        for (int second = 0; second < 60; second++) {
            int64_t reading = minute + second;
            if (reading >= from && reading < to && self->has[SECOND][second] &&
                !left_out(self, reading) && wall_first_shown(wall, reading) == INT64_MAX &&
                wall_jump_over(wall, reading) == after->from && wall_shows_date(wall, reading))
                return true;
        }
    }
    return false;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

size_t naive_sort(int64_t *instants, size_t count)
{
    size_t n = 0;
    qsort(instants, count, sizeof *instants, by_value);
    for (size_t i = 0; i < count; i++)
        if (n == 0 || instants[n - 1] != instants[i]) instants[n++] = instants[i];
    return n;
}

/* Instants that are there whatever the clock shows. */
static size_t fixed_instants(const naive_t *self, const wall_t *wall, int64_t from, int64_t to,
                             int64_t *instants)
{
    size_t n = 0;
    if (self->kind == NAIVE_DAYS && from <= self->anchor && self->anchor < to &&
        !left_out(self, self->since))
        instants[n++] = self->anchor;
    for (size_t i = 0; i < self->stamps_count; i++)
        if (from <= self->stamps[i] && self->stamps[i] < to &&
            !left_out(self, self->stamp_readings[i]))
            instants[n++] = self->stamps[i];
    if (self->kind != NAIVE_ELAPSED) return n;
    for (int64_t t = from; t < to; t += 60) /* anchors and steps are whole minutes here */
        if (t >= self->anchor && (t - self->anchor) % self->step == 0 &&
            !left_out(self, wall_reading(wall, t)))
            instants[n++] = t;
    return n;
}

size_t naive_instants(const naive_t *self, const wall_t *wall, const tick_t *ticks,
                      size_t ticks_count, int64_t from, int64_t to,
                      int64_t instants[NAIVE_INSTANTS])
{
    size_t n = fixed_instants(self, wall, from, to, instants);
    bool by_clock = self->kind == NAIVE_CRON || self->kind == NAIVE_DAYS;
    for (size_t i = 0; by_clock && i < ticks_count; i++) {
        CHECK(n + 60 < NAIVE_INSTANTS);
        n += shown_instants(self, wall, &ticks[i], instants + n);
    }
    for (size_t i = 1; by_clock && !self->every_hour && i < wall->count; i++) {
        const stretch_t *one = &wall->stretches[i];
        if (from <= one->from && one->from < to && jump_fires(self, wall, one - 1, one))
            instants[n++] = one->from;
    }
    if (self->kind == NAIVE_DAYS) { /* nothing before its anchor, nor at it again */
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (instants[i] >= self->anchor) instants[kept++] = instants[i];
        n = kept;
    }
    return naive_sort(instants, n);
}

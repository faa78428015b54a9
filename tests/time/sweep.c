/* SPDX-License-Identifier: Apache-2.0
 * tests/time/sweep.c - every zone of the system, every clock change from 2000 to 2040, three hours
 * to both sides: rules of many shapes against an answer worked out minute by minute (naive.h) from
 * what the C library's clock shows (wall.h).
 *
 *   time-sweep [ZONE...]      all zones, or these
 *
 * Next and previous instant are asked in a chain from end to end, both and the count between also
 * at odd places. Names of one file, and files of the same bytes, are looked at once. The first
 * difference ends it with exit code 1. */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/time/ruleset.h"
#include "tests/time/naive.h"

enum { HOUR_LENGTH = 3600, DAY_LENGTH = 86400, AROUND = 3 * HOUR_LENGTH, RULES_MOST = 3 };
static const int64_t year_2000 = 946684800, year_2041 = 2240524800, year_length = 366 * DAY_LENGTH;

/* ---- shapes: {} are filled in from the reading in the middle of what is skipped or repeated ----
 */

/* {M} {H} {D} {N} {W} minute, hour, day, month, weekday; {p} {n} the hours before and after it;
 * {at} the reading as a stamp, {eve} the one a day before, {day} {days} its date and the one after
 */
typedef struct shape {
    const char *rules[RULES_MOST];
    const char *without;
} shape_t;

static const shape_t shapes[] = {
    { .rules = { "{M} {H} * * *" } },
    { .rules = { "{M} {H} {D} {N} *" } },
    { .rules = { "{M} {H} * * {W}" } },
    { .rules = { "{M} {H} {D} * {W}" } },
    { .rules = { "*/7 {p}-{n} * * *" } },
    { .rules = { "0 */2 * * *" } },
    { .rules = { "0,30 0-22 * * *" } },
    { .rules = { "* * * * *" } },
    { .rules = { "*/15 * * * *" } },
    { .rules = { "{M} 0-23 * * *" } },
    { .rules = { "20,50 */10 {p},{H} * * *" } },
    { .rules = { "*/30 * * * * *" } },
    { .rules = { "@daily" } },
    { .rules = { "@hourly" } },
    { .rules = { "@every 7m from {eve}Z" } },
    { .rules = { "@every 90m from {at}" } },
    { .rules = { "@every 1d from {eve}" } },
    { .rules = { "@every 1d from {at}" } },
    { .rules = { "@at {at}" } },
    { .rules = { "@dates {day},{days},{at},{eve}" } },
    { .rules = { "*/10 {p}-{n} * * *" }, .without = "{at}" },
    { .rules = { "0,{M} * * * *" }, .without = "{days},{at}" },
    { .rules = { "@every 1h from {eve}" }, .without = "{day}" },
    { .rules = { "{M} {H} * * *", "*/15 * * * *", "@every 7m from {eve}" } },
    { .rules = { "*/10 {p}-{n} * * *", "@every 7m from {eve}", "@every 13m from {at}" },
      .without = "{at}" },
    { .rules = { "0 {H} * * *", "30 {n} * * *", "{M} {p},{H} {D} * *" }, .without = "{at}" },
};

typedef struct middle {
    struct tm shown, eve, next;
} middle_t;

static struct tm fields_of(int64_t reading)
{
    struct tm tm;
    time_t t = (time_t)reading;
    gmtime_r(&t, &tm);
    return tm;
}

static middle_t middle_of(const stretch_t *before, const stretch_t *after)
{
    int64_t reading = after->from + (before->offset + after->offset) / 2;
    reading -= reading % 60;
    return (middle_t){ fields_of(reading), fields_of(reading - DAY_LENGTH),
                       fields_of(reading + DAY_LENGTH) };
}

static void fill_one(const char *name, size_t len, const middle_t *middle, char *to, size_t room)
{
    const struct tm *tm = &middle->shown;
    const struct {
        const char *name;
        int number;
    } numbers[] = { { "M", tm->tm_min },
                    { "H", tm->tm_hour },
                    { "D", tm->tm_mday },
                    { "W", tm->tm_wday },
                    { "N", tm->tm_mon + 1 },
                    { "p", (tm->tm_hour + 23) % 24 },
                    { "n", (tm->tm_hour + 1) % 24 } };
    const struct {
        const char *name, *format;
        const struct tm *tm;
    } stamps[] = { { "at", "%Y-%m-%dT%H:%M", tm },
                   { "eve", "%Y-%m-%dT%H:%M", &middle->eve },
                   { "day", "%Y-%m-%d", tm },
                   { "days", "%Y-%m-%d", &middle->next } };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (strlen(numbers[i].name) == len && memcmp(numbers[i].name, name, len) == 0) {
            snprintf(to, room, "%d", numbers[i].number);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(stamps); i++)
        if (strlen(stamps[i].name) == len && memcmp(stamps[i].name, name, len) == 0) {
            strftime(to, room, stamps[i].format, stamps[i].tm);
            return;
        }
    CHECK(false);
}

static void fill(const char *text, const middle_t *middle, char *to, size_t room)
{
    size_t n = 0;
    for (; *text; text++) {
        CHECK(n + 1 < room);
        to[n] = *text;
        if (*text != '{') {
            n++;
            continue;
        }
        size_t len = strcspn(text + 1, "}");
        fill_one(text + 1, len, middle, to + n, room - n);
        n += strlen(to + n);
        text += 1 + len;
    }
    to[n] = 0;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static struct {
    size_t names, zones, changes, rules;
    uint64_t instants;
} looked_at;

typedef struct question {
    const char *zone;
    int64_t change, from, to; /* instants in [from, to) */
    char texts[RULES_MOST][120], without[60];
    size_t texts_count;
    int64_t instants[NAIVE_INSTANTS * RULES_MOST];
    size_t count;
} question_t;

static void differ(const question_t *self, const char *asked, int64_t at, int64_t expected,
                   int64_t got)
{
    printf("%s, change at %" PRId64 ", rule \"%s\"", self->zone, self->change, self->texts[0]);
    for (size_t i = 1; i < self->texts_count; i++)
        printf(" and \"%s\"", self->texts[i]);
    if (self->without[0]) printf(" without %s", self->without);
    printf(": %s %" PRId64 " is %" PRId64 ", expected %" PRId64 "\n0 passed, 1 failed\n", asked, at,
           got, expected);
    exit(1);
}

static void expect_next(const question_t *self, const ruleset_t *rules, int64_t at, size_t i)
{
    int64_t got = ruleset_next(rules, at);
    if (i < self->count ? got != self->instants[i] : got != RULE_NONE && got < self->to)
        differ(self, "next after", at, i < self->count ? self->instants[i] : RULE_NONE, got);
}

/* i: how many instants are below `at`. */
static void expect_prev(const question_t *self, const ruleset_t *rules, int64_t at, size_t i)
{
    int64_t got = ruleset_prev(rules, at);
    if (i > 0 ? got != self->instants[i - 1] : got >= self->from)
        differ(self, "previous before", at, i > 0 ? self->instants[i - 1] : RULE_NONE, got);
}

static void compare(const question_t *self, const ruleset_t *rules)
{
    int64_t at = self->from - 1;
    for (size_t i = 0; i <= self->count; i++) {
        expect_next(self, rules, at, i);
        if (i < self->count) at = self->instants[i];
    }
    at = self->to;
    for (size_t i = self->count + 1; i-- > 0;) {
        expect_prev(self, rules, at, i);
        if (i > 0) at = self->instants[i - 1];
    }
    int64_t step = (self->to - self->from) / 11;
    size_t i = 0;
    for (int64_t cut = self->from - 1, odd = 0; cut < self->to; cut += step + odd) {
        int64_t places[] = { cut, self->change - 1, self->change, self->change + 1 };
        for (size_t k = 0; k < (odd ? 1 : ARRAY_LEN(places)); k++) {
            for (i = 0; i < self->count && self->instants[i] <= places[k]; i++)
                continue;
            expect_next(self, rules, places[k], i);
            expect_prev(self, rules, places[k] + 1, i);
            uint64_t before = ruleset_count(rules, self->from - 1, places[k]),
                     after = ruleset_count(rules, places[k], self->to - 1);
            if (before != i) differ(self, "count up to", places[k], (int64_t)i, (int64_t)before);
            if (after != self->count - i)
                differ(self, "count after", places[k], (int64_t)(self->count - i), (int64_t)after);
        }
        odd = 1 + odd * 7 % 90;
    }
    looked_at.instants += self->count;
    looked_at.rules++;
}

/* ---- zones ----------------------------------------------------------------------------------- */

static ruleset_t *parse(const question_t *self, const zone_t *zone)
{
    slice_t also[RULES_MOST];
    for (size_t i = 1; i < self->texts_count; i++)
        also[i - 1] = slice_text(self->texts[i]);
    ruleset_spec_t spec = { .rule = slice_text(self->texts[0]),
                            .also = also,
                            .also_count = self->texts_count - 1,
                            .exclusions = slice_text(self->without),
                            .zone = zone };
    ruleset_t *rules;
    rule_error_t error;
    size_t which;
    if (ruleset_parse(&rules, &spec, &error, &which) == ERR_OK) return rules;
    printf("%s: \"%s\": %s\n0 passed, 1 failed\n", self->zone, self->texts[which], error.text);
    exit(1);
}

static void ask(const shape_t *shape, const wall_t *wall, size_t change, const zone_t *zone,
                const tick_t *ticks, size_t ticks_count)
{
    static question_t question;
    static naive_t naive;
    const stretch_t *after = &wall->stretches[change];
    middle_t middle = middle_of(after - 1, after);
    question.zone = zone_name(zone);
    question.change = after->from;
    question.from = ticks[0].instant;
    question.to = ticks[ticks_count - 1].instant + ticks[ticks_count - 1].seconds;
    question.texts_count = question.count = 0;
    fill(shape->without ? shape->without : "", &middle, question.without, sizeof question.without);
    for (size_t i = 0; i < RULES_MOST && shape->rules[i]; i++) {
        char *text = question.texts[question.texts_count++];
        fill(shape->rules[i], &middle, text, sizeof question.texts[0]);
        naive_read(&naive, text, question.without, wall);
        question.count += naive_instants(&naive, wall, ticks, ticks_count, question.from,
                                         question.to, question.instants + question.count);
    }
    question.count = naive_sort(question.instants, question.count);
    ruleset_t *rules = parse(&question, zone);
    compare(&question, rules);
    ruleset_destroy(&rules);
}

static void sweep(const char *name)
{
    static wall_t wall;
    static tick_t ticks[WALL_TICKS];
    zone_t *zone;
    wall_open(&wall, name, year_2000 - year_length, year_2041 + year_length);
    if (zone_open(&zone, name, NULL) != ERR_OK) {
        printf("%s is refused\n0 passed, 1 failed\n", name);
        exit(1);
    }
    for (size_t i = 1; i < wall.count; i++) {
        int64_t change = wall.stretches[i].from, minute = change - change % 60;
        if (change < year_2000 || change >= year_2041) continue;
        size_t count = wall_ticks(&wall, minute - AROUND, minute + AROUND, ticks);
        for (size_t k = 0; k < ARRAY_LEN(shapes); k++)
            ask(&shapes[k], &wall, i, zone, ticks, count);
        looked_at.changes++;
    }
    zone_destroy(&zone);
    looked_at.zones++;
}

typedef struct known { /* a file of zone data; the shortest name of those with these bytes */
    char name[64];
    buf_t bytes;
} known_t;

static known_t *known;
static size_t known_count;

static void keep(const char *name, buf_t *bytes)
{
    looked_at.names++;
    for (size_t i = 0; i < known_count; i++) {
        if (!slice_equal(slice(known[i].bytes.at, known[i].bytes.len),
                         slice(bytes->at, bytes->len)))
            continue;
        if (strlen(name) < strlen(known[i].name)) memcpy(known[i].name, name, strlen(name) + 1);
        buf_free(bytes);
        return;
    }
    known = mem_grow(known, (known_count + 1) * sizeof *known);
    known[known_count] = (known_t){ .bytes = *bytes };
    memcpy(known[known_count++].name, name, strlen(name) + 1);
}

static int on_file(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)where;
    const char *name = path + sizeof ZONE_DIRECTORY;
    bool other = strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0 ||
                 strcmp(name, "localtime") == 0 || strcmp(name, "posixrules") == 0;
    if (kind != FTW_F || other || strlen(name) >= sizeof known->name) return 0;
    FILE *file = fopen(path, "rb");
    buf_t bytes = { 0 };
    uint8_t part[4096];
    for (size_t n; file && (n = fread(part, 1, sizeof part, file)) > 0;)
        buf_add(&bytes, part, n);
    if (file) fclose(file);
    if (bytes.len > 4 && memcmp(bytes.at, "TZif", 4) == 0)
        keep(name, &bytes);
    else
        buf_free(&bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1 && nftw(ZONE_DIRECTORY, on_file, 16, 0) != 0) known_count = 0;
    for (int i = 1; i < argc; i++)
        sweep(argv[i]);
    for (size_t i = 0; i < known_count; i++) {
        sweep(known[i].name);
        buf_free(&known[i].bytes);
    }
    free(known);
    printf("%zu zones (%zu names), %zu clock changes, %zu rules, %" PRIu64 " instants: 0 missed, "
           "0 double, 0 out of order\n",
           looked_at.zones, looked_at.names, looked_at.changes, looked_at.rules,
           looked_at.instants);
    bool good = looked_at.changes > 0;
    printf("%d passed, %d failed\n", good, !good);
    return !good;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/when_batch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "client/time/rule.h"

enum { COLUMNS = 6 };

/* A zone that was asked for, also one that does not exist (zone NULL): not looked for again. */
typedef struct known_zone {
    char *name;
    zone_t *zone;
} known_zone_t;

typedef struct batch {
    known_zone_t *zones;
    size_t zones_count, zones_room;
    FILE *out;
} batch_t;

static const zone_t *zone_of(batch_t *self, slice_t name)
{
    if (!zone_name_valid(name)) return NULL;
    for (size_t i = 0; i < self->zones_count; i++)
        if (slice_equal(name, slice_text(self->zones[i].name))) return self->zones[i].zone;
    if (self->zones_count == self->zones_room) {
        self->zones_room = self->zones_room ? self->zones_room * 2 : 16;
        self->zones = mem_grow(self->zones, self->zones_room * sizeof *self->zones);
    }
    known_zone_t *known = &self->zones[self->zones_count++];
    char text[ZONE_NAME_MAX + 1] = { 0 };
    memcpy(text, name.at, name.len);
    known->name = mem_text(text);
    if (zone_open(&known->zone, text, NULL) != ERR_OK) known->zone = NULL;
    return known->zone;
}

/* Digits only; what does not fit stays at the largest number. */
static bool number(slice_t text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.at[i] - '0');
        if (digit > 9) return false;
        if (*value > (UINT64_MAX - 9) / 10) *value = (UINT64_MAX - 9) / 10;
        *value = *value * 10 + digit;
    }
    return text.len > 0;
}

static void print_error(batch_t *self, const char *code, size_t column)
{
    fprintf(self->out, "error %s %zu\n", code, column);
}

static void print_instants(batch_t *self, const rule_t *rule, int64_t start, uint64_t count)
{
    uint64_t printed = 0;
    for (; printed < count; printed++) {
        start = rule_next(rule, start);
        if (start == RULE_NONE || ferror(self->out)) break;
        fprintf(self->out, printed ? " %" PRId64 : "%" PRId64, start);
    }
    fputs(printed ? "\n" : "none\n", self->out);
}

static void answer(batch_t *self, slice_t line)
{
    slice_t column[COLUMNS] = { { 0 } };
    size_t columns = 0;
    const uint8_t *at = line.at, *end = line.at + line.len;
    for (; columns < COLUMNS; columns++) {
        const uint8_t *tab = columns + 1 < COLUMNS ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        column[columns] = slice(at, (size_t)((tab ? tab : end) - at));
        if (!tab) {
            columns++;
            break;
        }
        at = tab + 1;
    }
    const zone_t *zone = zone_of(self, column[0]);
    if (!zone) {
        print_error(self, "zone", 0);
        return;
    }
    uint64_t start, count;
    if (!number(column[2], &start) || start >= (uint64_t)RULE_END) {
        print_error(self, "time", 0);
        return;
    }
    if (!number(column[3], &count)) {
        print_error(self, "count", 0);
        return;
    }
    rule_t *rule = NULL;
    rule_error_t error;
    if (rule_parse_bytes(&rule, column[1], column[4], column[5], zone, &error) == ERR_OK)
        print_instants(self, rule, (int64_t)start, count);
    else
        print_error(self, error.code, error.column);
    rule_destroy(&rule);
}

int when_batch(FILE *in, FILE *out)
{
    batch_t self = { .out = out };
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    while (!ferror(out) && (len = getline(&line, &room, in)) > 0) {
        if (line[len - 1] == '\n') len--;
        answer(&self, slice(line, (size_t)len));
    }
    free(line);
    for (size_t i = 0; i < self.zones_count; i++) {
        free(self.zones[i].name);
        zone_destroy(&self.zones[i].zone);
    }
    free(self.zones);
    return ferror(in) || fflush(out) != 0 || ferror(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/time/ruleset.h"

#include <stdlib.h>

#include "client/time/ruleset_inside.h"

void ruleset_destroy(ruleset_t **self_p)
{
    ruleset_t *self = *self_p;
    if (!self) return;
    for (size_t i = 0; i < self->count; i++) {
        rule_destroy(&self->rules[i]);
        if (self->calendars_count) rule_destroy(&self->open[i]);
    }
    for (size_t i = 0; i < self->calendars_count; i++)
        calendar_release(&self->calendars[i]);
    free(self);
    *self_p = NULL;
}

err_t ruleset_parse(ruleset_t **out, const ruleset_spec_t *spec, rule_error_t *error, size_t *which)
{
    CHECK(spec->also_count < RULESET_RULES_MAX && spec->calendars_count <= RULESET_CALENDARS_MAX);
    size_t rules = 1 + spec->also_count, open = spec->calendars_count ? rules : 0;
    ruleset_t *self =
        mem_new(sizeof *self + (rules + open + spec->calendars_count) * sizeof *self->tail);
    self->rules = (rule_t **)self->tail;
    self->open = self->rules + rules;
    self->calendars = (calendar_t **)(self->tail + rules + open);
    err_t err = ERR_OK;
    for (; self->calendars_count < spec->calendars_count; self->calendars_count++)
        self->calendars[self->calendars_count] =
            calendar_hold(spec->calendars[self->calendars_count]);
    for (size_t i = 0; err == ERR_OK && i <= spec->also_count; i++) {
        slice_t text = i ? spec->also[i - 1] : spec->rule;
        if (which) *which = i;
        err = rule_parse_bytes(&self->rules[i], text, spec->exclusions, spec->name, spec->zone,
                               error);
        if (err == ERR_OK) self->count++;
        if (err == ERR_OK && self->calendars_count) {
            rule_close(self->rules[i], (const calendar_t *const *)self->calendars,
                       self->calendars_count);
            err = rule_parse_bytes(&self->open[i], text, spec->exclusions, spec->name, spec->zone,
                                   error);
        }
    }
    if (err != ERR_OK) ruleset_destroy(&self);
    *out = self;
    return err;
}

int64_t ruleset_next(const ruleset_t *self, int64_t start)
{
    int64_t first = rule_next(self->rules[0], start);
    for (size_t i = 1; i < self->count; i++) {
        int64_t next = rule_next(self->rules[i], start);
        if (next != RULE_NONE && (first == RULE_NONE || next < first)) first = next;
    }
    return first;
}

int64_t ruleset_prev(const ruleset_t *self, int64_t before)
{
    int64_t last = RULE_NONE; /* below all instants */
    for (size_t i = 0; i < self->count; i++) {
        int64_t prev = rule_prev(self->rules[i], before);
        if (prev > last) last = prev;
    }
    return last;
}

size_t ruleset_size(const ruleset_t *self)
{
    return self->count;
}

size_t ruleset_parts(const ruleset_t *self)
{
    return self->count + self->calendars_count;
}

const rule_t *ruleset_rule(const ruleset_t *self, size_t index)
{
    return self->rules[index];
}

const zone_t *ruleset_zone(const ruleset_t *self)
{
    return rule_zone(self->rules[0]);
}

int64_t ruleset_closed_next(const ruleset_t *self, int64_t start, size_t *calendar)
{
    int64_t next = ruleset_next(self, start), first = RULE_NONE, since, until;
    for (size_t i = 0; self->calendars_count && i < self->count; i++) {
        int64_t found = rule_next(self->open[i], start);
        if (found != RULE_NONE && (first == RULE_NONE || found < first)) first = found;
    }
    if (first == RULE_NONE || (next != RULE_NONE && first >= next)) return RULE_NONE;
    if (calendar == NULL) return first;
    *calendar = 0;
    int64_t local = first + zone_offset(ruleset_zone(self), first);
    for (size_t i = 0; i < self->calendars_count; i++)
        if (calendar_closed(self->calendars[i], local, &since, &until)) {
            *calendar = i;
            break;
        }
    return first;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void ruleset_normal(const ruleset_t *self, buf_t *out)
{
    char *texts[RULESET_RULES_MAX];
    for (size_t i = 0; i < self->count; i++) {
        buf_t text = { 0 };
        rule_normal(self->rules[i], &text);
        buf_add(&text, "", 1);
        texts[i] = (char *)text.at;
    }
    qsort(texts, self->count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < self->count; i++) {
        if (i == 0 || strcmp(texts[i], texts[i - 1]) != 0)
            buf_printf(out, "%s%s", i ? "\n" : "", texts[i]);
    }
    for (size_t i = 0; i < self->count; i++)
        free(texts[i]);
}

/* SPDX-License-Identifier: Apache-2.0
 * client/time/ruleset.h - what a schedule plans by: one rule or several, less exclusions and what
 * blackout calendars close.
 *
 * The set of instants is the union of the rules' (rule.h); where two coincide there is one instant.
 * All rules share zone, exclusions, calendars and the name that H spreads by. Immutable; borrows
 * its zone, holds its calendars. Costs grow with the number of rules. */
#ifndef TIME_RULESET_H
#define TIME_RULESET_H

#include "client/time/calendar.h"
#include "client/time/rule.h"

enum { RULESET_RULES_MAX = 16, RULESET_CALENDARS_MAX = 16 };

typedef struct ruleset ruleset_t;

typedef struct ruleset_spec {
    slice_t rule;
    const slice_t *also; /* more rules */
    size_t also_count;
    slice_t exclusions, name; /* empty: none */
    const zone_t *zone;       /* borrowed */
    calendar_t *const *calendars;
    size_t calendars_count;
} ruleset_spec_t;

/* ERR_BAD_RULE: *error (may be NULL) is that of the rule *which (may be NULL): 0 the first, n the
 * n-th of also. More rules or calendars than the limits are the caller's bug. */
MUST_CHECK err_t ruleset_parse(ruleset_t **out, const ruleset_spec_t *spec, rule_error_t *error,
                               size_t *which);
void ruleset_destroy(ruleset_t **self_p);

/* As rule_next, rule_prev, rule_count. Counting costs by days and clock changes, and steps of rules
 * `@every N` beside others. */
int64_t ruleset_next(const ruleset_t *self, int64_t start);
int64_t ruleset_prev(const ruleset_t *self, int64_t before);
uint64_t ruleset_count(const ruleset_t *self, int64_t after, int64_t upto);

/* What counting over so many days costs beside the days, in instants of `@every N` that are looked
 * at one by one, about: those of the days that differ, or of all days where so many differ that
 * they cannot be kept. 0 for a single rule, which needs none. */
uint64_t ruleset_count_steps(const ruleset_t *self, int64_t days);

size_t ruleset_size(const ruleset_t *self);
/* Rules and calendars: what each question above costs in proportion to. */
size_t ruleset_parts(const ruleset_t *self);
const rule_t *ruleset_rule(const ruleset_t *self, size_t index);
const zone_t *ruleset_zone(const ruleset_t *self);

/* The first instant after start that is none because of the calendars, up to the next one that is;
 * RULE_NONE: there is none between them. *calendar (may be NULL): which one closes it first. */
int64_t ruleset_closed_next(const ruleset_t *self, int64_t start, size_t *calendar);

/* Appends the normal forms of the rules in byte order, each once, a line each. */
void ruleset_normal(const ruleset_t *self, buf_t *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/moments.h - when a schedule runs, as the CLI shows it: next instants, words, hints. */
#ifndef CLI_MOMENTS_H
#define CLI_MOMENTS_H

#include <jansson.h>

#include "client/base/base.h"
#include "client/time/ruleset.h"

typedef struct moments moments_t;

/* What to read; all borrowed until moments_open returns. */
typedef struct moments_spec {
    const char *rule;                     /* may be short: `5m` for `@every 5m from now` */
    const char *zone, *exclusions, *name; /* NULL: none */
    const char *const *also;
    size_t also_count;
    const char *const *calendars;      /* names, for the words */
    const char *const *calendar_texts; /* their entries; NULL: they are not read */
    size_t calendars_count;
    int64_t after_us; /* a fixed delay in place of a rule */
    int64_t from_us, to_us;
    uint64_t max_firings;
} moments_spec_t;

/* 0, or the code of a printed error. */
int moments_open(moments_t **out, const moments_spec_t *spec);
void moments_close(moments_t **self_p);

/* Seconds; RULE_NONE (client/time/rule.h) when there is none. With a fixed delay: none. */
int64_t moments_next(const moments_t *self, int64_t after);
int64_t moments_prev(const moments_t *self, int64_t before);
uint64_t moments_count(const moments_t *self, int64_t after, int64_t upto);
/* What calendars close between `after` and the next instant; RULE_NONE: nothing. */
int64_t moments_closed_next(const moments_t *self, int64_t after, const char **calendar);
bool moments_delays(const moments_t *self);      /* a fixed delay, no rule */
const char *moments_rule(const moments_t *self); /* completed, as it is stored */
/* The n-th rule beside it, completed; NULL: there are no more. */
const char *moments_also(const moments_t *self, size_t n);
const char *moments_rules(const moments_t *self);  /* all, for people */
const char *moments_normal(const moments_t *self); /* the normal forms, for people */
const char *moments_words(const moments_t *self, const char *lang);
const char *moments_zone(const moments_t *self);

/* "Thu 2027-03-25 02:00 +01:00", seconds when they are not 0. */
const char *moments_show(const moments_t *self, int64_t at);
/* "in 2 h 12 min", "now", "3 d ago". */
const char *moments_from_now(int64_t at, int64_t now);

/* What its author may not have meant: a list of sentences. json_decref it. */
json_t *moments_warnings(const moments_t *self, int64_t from);

/* Why `rule` in `zone` cannot be taken; NULL: it can. */
const char *moments_refusal(const char *rule, const char *zone);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/moments.h - a rule in its zone as the CLI shows it: next instants, words, warnings. */
#ifndef CLI_MOMENTS_H
#define CLI_MOMENTS_H

#include <jansson.h>

#include "client/base/base.h"

typedef struct moments moments_t;

/* 0, or the code of a printed error. `rule` may be short (`5m` for `@every 5m from now`);
 * exclusions may be NULL. */
int moments_open(moments_t **out, const char *rule, const char *zone, const char *exclusions);
void moments_close(moments_t **self_p);

/* Seconds; RULE_NONE (client/time/rule.h) when there is none. */
int64_t moments_next(const moments_t *self, int64_t after);
const char *moments_rule(const moments_t *self); /* completed, as it is stored */
const char *moments_words(const moments_t *self, const char *lang);
const char *moments_zone(const moments_t *self);

/* "Thu 2027-03-25 02:00 +01:00", seconds when they are not 0. */
const char *moments_show(const moments_t *self, int64_t at);
/* "in 2 h 12 min", "now", "3 d ago". */
const char *moments_from_now(int64_t at, int64_t now);

/* What the next changes of the clock do to a cron rule, and a rule that fires surprisingly often:
 * a list of sentences. json_decref it. */
json_t *moments_warnings(const moments_t *self, int64_t from);

/* Why `rule` in `zone` cannot be taken; NULL: it can. */
const char *moments_refusal(const char *rule, const char *zone);

#endif

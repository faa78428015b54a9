/* SPDX-License-Identifier: Apache-2.0
 * client/time/terms.h - all that says when a schedule runs, in words. */
#ifndef TIME_TERMS_H
#define TIME_TERMS_H

#include "client/time/ruleset.h"

typedef struct terms {
    const ruleset_t *set;         /* NULL: after_us holds */
    int64_t after_us;             /* a fixed delay behind the end of each run */
    const char *exclusions;       /* as they were written; NULL or "": none */
    const char *const *calendars; /* names */
    size_t calendars_count;
    const zone_t *zone;     /* of from and to */
    int64_t from_us, to_us; /* 0: no bound */
    uint64_t max_firings;   /* 0: no bound */
} terms_t;

/* Appends them. `lang` "zh" is Chinese, all else English. */
void terms_explain(const terms_t *self, const char *lang, buf_t *out);

#endif

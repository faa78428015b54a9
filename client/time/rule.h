/* SPDX-License-Identifier: Apache-2.0
 * client/time/rule.h - a rule with its zone: a set of instants, and questions about it.
 *
 * A rule is a cron expression, a macro, `@every N unit from STAMP`, `@at STAMP` or `@dates LIST`.
 * Instants are whole seconds since 1970-01-01T00:00:00Z, 0 < t < RULE_END. A rule reads no clock,
 * keeps no state and is immutable: any number of threads may ask. It borrows its zone, which must
 * outlive it; it copies the text, the exclusions and the name. */
#ifndef TIME_RULE_H
#define TIME_RULE_H

#include "client/base/base.h"
#include "client/time/zone.h"

#define RULE_NONE INT64_MIN
#define RULE_END  INT64_C(253370764800) /* 9999-01-01T00:00:00Z */

enum { RULE_TEXT_MAX = 4095 };

typedef struct rule rule_t;

enum rule_kind {
    RULE_CRON,
    RULE_EVERY,      /* elapsed time from an anchor */
    RULE_EVERY_DAYS, /* calendar days from an anchor */
    RULE_AT,
    RULE_DATES,
};

typedef struct rule_error {
    const char *code; /* static: macro fields syntax name range step nth never too_long */
    size_t column;    /* 1-based byte of the first wrong byte, or where the missing should begin */
    bool in_exclusions; /* the column counts in the exclusion list, not in the rule */
    char text[160];     /* what was found and what was expected, one line of printable ASCII */
} rule_error_t;

/* Reads a rule. `exclusions`: a list of local dates or date-times, or NULL; `name`: what H spreads
 * by, or NULL. ERR_BAD_RULE: *error (may be NULL) says where and why. */
MUST_CHECK err_t rule_parse(rule_t **out, const char *text, size_t len, const char *exclusions,
                            const char *name, const zone_t *zone, rule_error_t *error);
/* The same for texts that may hold NULs; empty exclusions or name: none. */
MUST_CHECK err_t rule_parse_bytes(rule_t **out, slice_t text, slice_t exclusions, slice_t name,
                                  const zone_t *zone, rule_error_t *error);
void rule_destroy(rule_t **self_p);

/* From now on the rule drops what stands for a local time that one of the calendars closes. Array
 * and calendars are borrowed and must outlive the rule. Not while another thread asks. A rule whose
 * next 4,096 candidates in a row are closed has no next instant. */
struct calendar;
void rule_close(rule_t *self, const struct calendar *const *calendars, size_t count);

/* The smallest instant strictly greater than start (not below 0), or RULE_NONE. */
int64_t rule_next(const rule_t *self, int64_t start);
/* The largest instant strictly smaller than before, or RULE_NONE. */
int64_t rule_prev(const rule_t *self, int64_t before);
/* How many instants in (after, upto]. Costs by days and clock changes, not by instants. */
uint64_t rule_count(const rule_t *self, int64_t after, int64_t upto);

enum rule_kind rule_kind(const rule_t *self);
bool rule_is_cron(const rule_t *self); /* macros are cron rules too */
const zone_t *rule_zone(const rule_t *self);
/* Seconds between instants of RULE_EVERY and RULE_EVERY_DAYS (of 86400 each), else 0. */
int64_t rule_step(const rule_t *self);

/* Appends the rule as text that reads back as the same rule: sorted lists, names as numbers, H
 * resolved. Exclusions are not part of it. */
void rule_normal(const rule_t *self, buf_t *out);
/* Appends the rule in words. `lang` "zh" is Chinese, all else English. */
void rule_explain(const rule_t *self, const char *lang, buf_t *out);

/* What a person types to what is stored: `5m`, `@every 5m` get ` from ` and the instant `now` (in
 * seconds) as anchor; everything else is appended as it is. */
void rule_complete(const char *text, int64_t now, buf_t *out);

#endif

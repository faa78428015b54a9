/* SPDX-License-Identifier: Apache-2.0
 * client/time/rule_inside.h - what the files of a rule share. Inside client/time. */
#ifndef TIME_RULE_INSIDE_H
#define TIME_RULE_INSIDE_H

#include "client/time/calendar.h"
#include "client/time/cron.h"
#include "client/time/rule.h"

/* One stamp of @at or @dates, exclusions applied: the instant and the local time it stands for. */
typedef struct listed {
    int64_t instant, local;
} listed_t;

struct rule {
    enum rule_kind kind;
    bool every_hour;
    const zone_t *zone;   /* borrowed */
    cron_t cron;          /* RULE_CRON */
    int64_t anchor;       /* RULE_EVERY, RULE_EVERY_DAYS: first instant */
    int64_t anchor_local; /* the local time it stands for */
    int64_t step;         /* seconds; whole days for RULE_EVERY_DAYS */
    int64_t *instants; /* RULE_AT, RULE_DATES: sorted, unique, exclusions and calendars applied */
    size_t instants_count;
    listed_t *listed; /* what they were made of, as it stood in the text */
    size_t listed_count;
    int64_t *named; /* the same before exclusions, for the normal form */
    size_t named_count;
    int64_t *excluded_times; /* local, sorted, unique, none on an excluded day */
    size_t excluded_times_count;
    int32_t *excluded_days; /* sorted, unique */
    size_t excluded_days_count;
    const calendar_t *const *calendars; /* borrowed, array too */
    size_t calendars_count;
};

bool rule_excludes_day(const rule_t *self, int32_t day);
/* Exclusions and calendars alike. *since and *until: a stretch of local times around this one that
 * is shut as well, [since, until). */
bool rule_shut(const rule_t *self, int64_t local, int64_t *since, int64_t *until);
/* Where the next shut stretch behind an open local time begins; LOCAL_NONE: nowhere. */
int64_t rule_shut_next(const rule_t *self, int64_t local);
/* Does the rule name a skipped time of a date that is shown in part? */
struct piece;
bool rule_skipped_matches(const rule_t *self, const struct piece *piece);
/* The number of the first piece that has something to say about instants >= t. */
size_t rule_first_piece(const zone_t *zone, int64_t t);

/* A text being read; the first failure stays. */
typedef struct scan {
    const uint8_t *text, *at, *end; /* of the text; next byte; end of the word being read */
    rule_error_t *error;
} scan_t;

void scan_note(scan_t *self, const char *code, const uint8_t *at, const char *expected);
/* Notes the failure at byte `at`; always false, where a compiler sees it. */
static inline bool scan_fail(scan_t *self, const char *code, const uint8_t *at,
                             const char *expected)
{
    scan_note(self, code, at, expected);
    return false;
}
bool scan_accept(scan_t *self, char byte);
bool scan_digit(const scan_t *self);
bool scan_letter(const scan_t *self);
/* All the digits that are there, at least one; more than 10^12 stays 10^12. */
bool scan_number(scan_t *self, int64_t *value, const char *expected);
/* Length of the run of letters at the next byte. */
size_t scan_run(const scan_t *self);

/* A local or absolute time as it stands in a rule. */
typedef struct stamp {
    int64_t local; /* seconds of the clock that the text speaks of */
    int32_t offset;
    bool absolute; /* has Z or an offset: the instant is local - offset */
    bool bare;     /* a date without time */
} stamp_t;

/* `bare`: a date alone will do; `offsets`: Z or an offset may follow. */
bool stamp_scan(scan_t *self, bool bare, bool offsets, stamp_t *stamp);

/* The six fields of a cron rule from words[0..count), 5 or 6. */
bool cron_scan(scan_t *self, const slice_t *words, size_t count, slice_t name, cron_t *cron);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/time/cron.h - the calendar side of a cron rule: which local times match. Inside
 * client/time.
 *
 * Sets are bit masks. No zone, no instants: local times are seconds of a clock that reads local
 * time. Searches go from month to month by masks and never visit days that do not match. */
#ifndef TIME_CRON_H
#define TIME_CRON_H

#include "client/base/base.h"

#define LOCAL_NONE   INT64_MAX /* no later match */
#define LOCAL_BEFORE INT64_MIN /* no earlier match */

typedef struct cron {
    uint64_t second, minute;           /* bits 0-59 */
    uint32_t hour;                     /* bits 0-23 */
    uint32_t day;                      /* bits 1-31 */
    uint32_t nearest;                  /* bits 1-31: nW */
    uint16_t month;                    /* bits 1-12 */
    uint8_t weekday;                   /* bits 0-6 */
    uint8_t weekday_last;              /* bits 0-6: dL */
    uint8_t weekday_nth[5];            /* bits 0-6: d#1 to d#5 */
    bool last_day;                     /* L */
    bool last_workday;                 /* LW */
    bool day_star, weekday_star;       /* the text of the field begins with a star */
    bool special_days;                 /* any of nW L LW dL d#n */
    bool every_day;                    /* all dates match */
    int32_t first_second, last_second; /* of a day that matches */
} cron_t;

/* Computes the last four fields. False: no date, or no time of day, matches ever. */
bool cron_finish(cron_t *self);

/* The matching days of a month as bits 1-31; 0 when the month does not match. */
uint32_t cron_month_days(const cron_t *self, int32_t year, int32_t month);
/* The smallest match >= local, the largest <= local. */
int64_t cron_next(const cron_t *self, int64_t local);
int64_t cron_prev(const cron_t *self, int64_t local);
/* Matches in [from, to). */
uint64_t cron_count(const cron_t *self, int64_t from, int64_t to);

#endif

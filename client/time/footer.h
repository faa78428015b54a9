/* SPDX-License-Identifier: Apache-2.0
 * client/time/footer.h - the POSIX TZ string at the end of a TZif file. Inside client/time.
 *
 * As RFC 9636 3.3.1 has it: hours of -167 to 167 in the times of change. */
#ifndef TIME_FOOTER_H
#define TIME_FOOTER_H

#include "client/base/base.h"

typedef struct footer_date {
    char kind; /* 'M' month week weekday, 'J' day 1-365 without 29 February, 'N' day 0-365 */
    int32_t a, b, c;
    int32_t time; /* local seconds after midnight, may be negative or above a day */
} footer_date_t;

typedef struct footer {
    bool present;             /* an empty footer says nothing */
    bool daylight;            /* has two changes a year */
    int32_t standard, summer; /* offsets */
    footer_date_t start, end; /* of summer; start in standard time, end in summer time */
} footer_t;

/* False: not a TZ string. */
bool footer_parse(slice_t text, footer_t *footer);
/* The instants of the two changes of a year. */
int64_t footer_start(const footer_t *self, int32_t year);
int64_t footer_end(const footer_t *self, int32_t year);

#endif

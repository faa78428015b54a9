/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/audit.h - is every instant of a schedule on record, once? The rule of each
 * revision is evaluated anew, with the zone data and calendars of its time, and compared with the
 * ledger: each span counts what the rule has there, begins at an instant, follows the one before
 * without a hole or a double, and what was split off as a range lies where the live line has
 * nothing. `pawl schedule audit` and `pawl broker check` ask the same. */
#ifndef BROKER_AUDIT_H
#define BROKER_AUDIT_H

#include "broker/readers/query_schedule.h"

typedef struct audit_span {
    uint16_t range; /* 0: of the live line of time */
    extent_t extent;
    uint64_t tasks, gone; /* of a span that fired, when audit_t.tasks: on record; no longer kept */
} audit_span_t;

typedef struct audit {
    answer_t *answer;
    const schedule_rows_t *schedule;
    int64_t from_us, to_us; /* only spans that touch it; both included */
    uint32_t after;         /* spans of these that need no look any more: they were told */
    bool tasks;             /* each fired instant must have its task, while that is kept */
    /* Told once a span, after its problems. False: enough, go no further. NULL: nobody asks. */
    bool (*on_span)(void *arg, const audit_span_t *span);
    void (*on_problem)(void *arg, table_t table,
                       const char *text); /* one line; lasts for the call */
    void *arg;
    /* the audit's own */
    revision_t revision;
    uint8_t secret[32];
    uint32_t seen; /* spans so far */
    bool stopped;
} audit_t;

/* ERR_OK also with problems, which were told. Closes what it opened. */
MUST_CHECK err_t audit_run(audit_t *self);

#endif

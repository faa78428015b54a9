/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_calendar.h - blackout calendars from a snapshot. */
#ifndef BROKER_QUERY_CALENDAR_H
#define BROKER_QUERY_CALENDAR_H

#include "broker/readers/answer.h"

/* Appends the entries kept under a hash, a line each. ERR_CORRUPT: there are none. */
MUST_CHECK err_t calendar_entries(answer_t *self, uint64_t hash, buf_t *text);
MUST_CHECK err_t query_calendar_list(answer_t *self, const Pawl__V1__CalendarList *ask,
                                     Pawl__V1__Reply *reply);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/oncalendar.h - systemd.time(7): calendar events and time spans. Pure. */
#ifndef CLI_ONCALENDAR_H
#define CLI_ONCALENDAR_H

#include "client/cli/formats/cronsets.h"

typedef struct on_calendar {
    cron_sets_t sets;
    const char *stamp; /* instead of sets: one local date-time, or an instant with Z */
    const char *zone;  /* NULL: it names none */
} on_calendar_t;

/* False: *why says what cannot be read or said here. Texts are those of text.h. */
bool on_calendar_read(const char *text, on_calendar_t *out, const char **why);
/* "1h 30min", "90", "2weeks": microseconds. */
bool systemd_span_read(const char *text, int64_t *us);

#endif

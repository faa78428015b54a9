/* SPDX-License-Identifier: Apache-2.0
 * client/cli/formats/systemd.h - a timer unit and its service, as an item to import. Pure.
 *
 * Taken is what means exactly the same here; a setting that decides whether, when, as whom or how
 * the command runs and has no counterpart is a reason to refuse; the others are listed as not taken
 * over. See systemd.timer(5), systemd.service(5), systemd.exec(5). */
#ifndef CLI_SYSTEMD_H
#define CLI_SYSTEMD_H

#include "client/cli/formats/importlist.h"

typedef struct unit_line {
    const char *section, *key, *value;
} unit_line_t;

typedef struct unit {
    unit_line_t *lines;
    size_t count;
} unit_t;

/* Adds the lines of a unit file, or of a drop-in for it. */
void unit_read(unit_t *self, const char *text, size_t len);
void unit_free(unit_t *self);
/* The last value; NULL: not set, or set to nothing. */
const char *unit_value(const unit_t *self, const char *section, const char *key);

/* The file name of the unit that the timer starts, "backup.service" for "backup.timer". */
const char *timer_service(const unit_t *timer, const char *file_name);

/* service NULL: there is none. `user`: units of a user's own manager, which run as that user. */
void systemd_import(import_list_t *list, const char *file_name, const unit_t *timer,
                    const unit_t *service, bool user);

#endif

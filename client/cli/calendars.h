/* SPDX-License-Identifier: Apache-2.0
 * client/cli/calendars.h - blackout calendars: what files say of them, and their entries for
 * whoever shows instants. */
#ifndef CLI_CALENDARS_H
#define CLI_CALENDARS_H

#include "client/cli/settle.h"
#include "client/cli/taskspec.h"

/* {"kind": "calendar", "name", "title", "entries": [...]}: is this document one? */
bool calendar_is_spec(const json_t *given);
/* Canonical; NULL: `error` names the field and why. The entries have been tried. */
json_t *calendar_spec_read(const json_t *given, spec_error_t *error);
json_t *calendar_spec_of_record(const pawl_record_t *record);
/* What apply makes of it: looks, and writes when `writes`. `out` as settle_look leaves it. 0, or
 * the code of a printed error: the broker could not be asked. */
int calendar_settle(cli_t *cli, const json_t *spec, bool writes, settlement_t *out);

/* The entries of calendars, a text each, valid until the command ends. `names` from a record's
 * repeated field. 0, or the code of a printed error. */
int calendar_texts(cli_t *cli, const char *const *names, size_t n, const char **texts);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/settle.h - brings one schedule to what a spec says: look first, write after.
 *
 * For apply and import, which make schedules from files. A written schedule that was looked at
 * carries its revision: whoever changed it in between gets a conflict, nothing is overwritten. */
#ifndef CLI_SETTLE_H
#define CLI_SETTLE_H

#include "client/cli/cli.h"
#include "client/cli/schedulespec.h"

typedef enum { SETTLE_UNCHANGED, SETTLE_CREATE, SETTLE_EDIT, SETTLE_REFUSED } settle_kind_t;

typedef struct settlement {
    settle_kind_t kind;
    bool whole;          /* what the spec leaves out goes back to its standard */
    json_t *spec;        /* canonical, anchored; owned */
    json_t *old;         /* on record; NULL: none; owned */
    json_t *changes;     /* of schedule_spec_changes; NULL: none; owned */
    const char *made_by; /* of the one on record */
    int64_t revision;
    const char *why; /* SETTLE_REFUSED */
} settlement_t;

/* Looks at the schedule named by `spec` (copied). Without a connection it counts as absent. 0, or
 * the code of a printed error: the broker could not be asked. */
int settle_look(cli_t *cli, settlement_t *out, const json_t *spec, bool whole);
/* The same with what is on record at hand: the row of pawl_schedule_get or of a whole list, NULL:
 * it is not there. */
void settle_compare(settlement_t *out, const json_t *spec, bool whole, const pawl_record_t *row);
/* Does it. `made_by`: the mark to leave; NULL: the one it has. cursor: NULL = now when the rule or
 * the zone changed, else keep. False, and kind is SETTLE_REFUSED with `why`. */
bool settle_write(cli_t *cli, settlement_t *self, const char *made_by, const char *cursor);
/* The same for many, in few requests; each is done or refused by itself. */
typedef struct settling {
    settlement_t *settled;
    const char *made_by, *cursor; /* as in settle_write */
} settling_t;
void settle_write_many(cli_t *cli, settling_t *items, size_t n);
void settlement_free(settlement_t *self);

const char *settle_word(settle_kind_t kind); /* created, edited, unchanged, refused */
/* "mode: strict -> latest" for each change, each on a line of its own behind `indent`. */
void settle_print_changes(const settlement_t *self, const char *indent);

#endif

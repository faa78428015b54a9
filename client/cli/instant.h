/* SPDX-License-Identifier: Apache-2.0
 * client/cli/instant.h - instants as people type and read them: RFC 3339.
 *
 * Instants are microseconds since 1970 UTC. What is printed is in the zone of zone_show(); the C
 * library's zone is one a process, so these belong to the thread that runs the command. */
#ifndef CLI_INSTANT_H
#define CLI_INSTANT_H

#include "client/base/base.h"

const char *local_zone(void);       /* IANA name of this machine's zone, else UTC */
bool zone_exists(const char *name); /* in the system's zone database */
void zone_show(const char *name);   /* NULL or "local": this machine's */

/* "2026-12-01T02:00:00+01:00", with a fraction when there is one. Valid for the next seven calls.
 */
const char *instant_text(int64_t us);
/* The same in another zone. */
const char *instant_text_in(const char *zone, int64_t us);

/* Reads 2026-12-01T02:00:00+01:00 (also Z, a blank for T, a fraction, no seconds), or without an
 * offset local time in `zone`; a date alone is its midnight; "now". False: not an instant. */
bool instant_read(const char *text, const char *zone, int64_t *us);

#endif

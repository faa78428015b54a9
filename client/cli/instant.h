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
/* A sentence of the broker's, which knows no zone but UTC, with its instants as instant_text() has
 * them: those behind "at", "since", "until", "before", "next" and "->". What follows a colon is
 * somebody else's words and stays as it is. Valid until text_forget(). */
const char *instants_shown(const char *sentence);

/* Reads what moment_parse() of client/time/dur.h reads, by the same zone reader as rules: without
 * an offset it is local time in `zone`, where a time that the clock skips is the first instant
 * after the jump and one that it shows twice the first showing. Also "now". False: not an instant,
 * or local time of a zone that there is not. */
bool instant_read(const char *text, const char *zone, int64_t *us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/time/zone.h - one time zone: what a clock there reads at an instant.
 *
 * Read from TZif files (RFC 9636) by our own code: 64-bit data and the footer, which holds for ever
 * after the last listed change. Instants are seconds since 1970-01-01T00:00:00Z. A zone_t is
 * immutable once it exists: any number of threads may use it, and it must outlive the rules that
 * borrow it. Nothing here caches, locks or keeps global state. */
#ifndef TIME_ZONE_H
#define TIME_ZONE_H

#include "client/base/base.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

enum { ZONE_NAME_MAX = 64, ZONE_FILE_MAX = 256 << 10 };

typedef struct zone zone_t;

/* 1 to 64 bytes of A-Za-z0-9_+-/, no empty part, not localtime or posixrules, not under right/ or
 * posix/. Says nothing about whether there is such a file. */
bool zone_name_valid(slice_t name);

/* Appends the bytes of the zone's file to `bytes`. `dir` NULL: ZONE_DIRECTORY. ERR_BAD_ZONE: the
 * name is refused, or there is no TZif file of that name. */
MUST_CHECK err_t zone_read_file(const char *name, const char *dir, buf_t *bytes);

/* Makes a zone of the bytes of a TZif file, which it copies what it needs from. ERR_BAD_ZONE: not
 * a TZif file of version 2 or later, inconsistent, or with leap seconds. */
MUST_CHECK err_t zone_parse(zone_t **out, const char *name, slice_t tzif);

/* Reads and parses. */
MUST_CHECK err_t zone_open(zone_t **out, const char *name, const char *dir);
void zone_destroy(zone_t **self_p);

const char *zone_name(const zone_t *self);
/* hash64 of the file's bytes: names the version of the data. */
uint64_t zone_hash(const zone_t *self);

/* Local clock minus UTC at instant t, in seconds. */
int32_t zone_offset(const zone_t *self, int64_t t);

/* The first change of offset strictly after t: when, and the offsets before and after it. False:
 * the offset never changes again. */
bool zone_next_change(const zone_t *self, int64_t t, int64_t *at, int32_t *before, int32_t *after);

/* The instant at which a clock there first reads `local`; for a reading that the clock skips, the
 * first second after the jump, and *skipped (may be NULL) is set. */
int64_t zone_instant(const zone_t *self, int64_t local, bool *skipped);

#endif

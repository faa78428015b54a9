/* SPDX-License-Identifier: Apache-2.0
 * broker/zone_cache.h - zones of the store, each parsed once for all rules that use it.
 *
 * A parsed zone may be 40 KiB (400 years of its clock changes), and a hundred thousand schedules
 * name the same few. Known by the hash of its bytes, so that each version of its data is a zone of
 * its own. One that nobody uses stays a while, as it is often wanted again: when another is read
 * and ZONES_IDLE of them are idle, all of these go.
 *
 * Core has one, the readers have one: a cache and its zones belong to one thread. A cache of zeros
 * is empty. */
#ifndef BROKER_ZONE_CACHE_H
#define BROKER_ZONE_CACHE_H

#include "broker/map.h"
#include "broker/store/record.h"
#include "client/time/zone.h"

typedef struct cached_zone {
    zone_t *parsed;
    uint64_t hash;
    size_t users;
} cached_zone_t;

typedef struct zone_cache {
    map_t zones; /* by hash */
} zone_cache_t;

/* Reads one row of the table zone; ERR_NOT_FOUND: there is none. */
typedef err_t zone_row_fn(void *arg, const rec_key_t *key, slice_t *value);
/* The zone whose bytes have this hash; `name` is the parsed one's name. Of a zone that is not in
 * the cache the rows are read. ERR_BAD_ZONE: they are missing or none; else what `read` returned.
 */
MUST_CHECK err_t zone_cache_use(zone_cache_t *self, uint64_t hash, const char *name,
                                zone_row_fn *read, void *arg, cached_zone_t **out);
void zone_cache_release(cached_zone_t **zone); /* *zone NULL: nothing to do */
void zone_cache_free(zone_cache_t *self);      /* whoever uses one still, uses it no more */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/zone_cache.h"

#include <stdlib.h>

enum { ZONES_IDLE = 256 };

static void drop(zone_cache_t *self, cached_zone_t *zone)
{
    map_take(&self->zones, zone->hash);
    zone_destroy(&zone->parsed);
    free(zone);
}

static void drop_idle(zone_cache_t *self)
{
    cached_zone_t *idle[ZONES_IDLE];
    size_t n = 0, at = 0;
    for (cached_zone_t *zone; n < ZONES_IDLE && (zone = map_next(&self->zones, &at)) != NULL;)
        if (zone->users == 0) idle[n++] = zone;
    if (n < ZONES_IDLE) return;
    while (n > 0)
        drop(self, idle[--n]);
}

static err_t parse(uint64_t hash, const char *name, zone_row_fn *read, void *arg, zone_t **parsed)
{
    buf_t bytes = { 0 };
    err_t err = ERR_OK;
    for (uint16_t part = 0; err == ERR_OK; part++) {
        rec_key_t key = key_zone(hash, part);
        slice_t value;
        err = read(arg, &key, &value);
        if (err == ERR_OK) buf_add(&bytes, value.at, value.len);
    }
    if (err == ERR_NOT_FOUND) err = zone_parse(parsed, name, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return err;
}

err_t zone_cache_use(zone_cache_t *self, uint64_t hash, const char *name, zone_row_fn *read,
                     void *arg, cached_zone_t **out)
{
    cached_zone_t *zone = map_get(&self->zones, hash);
    if (zone == NULL) {
        zone_t *parsed;
        err_t err = parse(hash, name, read, arg, &parsed);
        if (err != ERR_OK) return err;
        drop_idle(self);
        zone = mem_new(sizeof *zone);
        zone->hash = hash;
        zone->parsed = parsed;
        map_put(&self->zones, hash, zone);
    }
    zone->users++;
    *out = zone;
    return ERR_OK;
}

void zone_cache_release(cached_zone_t **zone)
{
    if (*zone) (*zone)->users--;
    *zone = NULL;
}

void zone_cache_free(zone_cache_t *self)
{
    size_t at = 0;
    for (cached_zone_t *zone; (zone = map_next(&self->zones, &at)) != NULL;) {
        zone_destroy(&zone->parsed);
        free(zone);
    }
    map_free(&self->zones);
}

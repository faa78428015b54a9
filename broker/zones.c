/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/zones.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/time/zone.h"

typedef struct known {
    char *name;
    uint64_t hash;
    unsigned missing; /* looks in a row that found no such file */
} known_t;

enum { LOOKS_UNTIL_GONE = 2 }; /* an update of tzdata replaces its files one by one */

struct zones {
    const char *folder; /* NULL: the system's */
    known_t *known;     /* some hundred at most */
    size_t n, room;
};

zones_t *zones_new(const char *folder)
{
    zones_t *self = mem_new(sizeof *self);
    self->folder = *folder ? folder : NULL;
    return self;
}

void zones_destroy(zones_t **self_p)
{
    zones_t *self = *self_p;
    if (self == NULL) return;
    for (size_t i = 0; i < self->n; i++)
        free(self->known[i].name);
    free(self->known);
    free(self);
    *self_p = NULL;
}

void zones_add(void *arg, const char *name, uint64_t hash)
{
    zones_t *self = arg;
    for (size_t i = 0; i < self->n; i++)
        if (strcmp(self->known[i].name, name) == 0) {
            self->known[i].hash = hash;
            self->known[i].missing = 0;
            return;
        }
    if (self->n == self->room) {
        self->room = self->room ? self->room * 2 : 16;
        self->known = mem_grow(self->known, self->room * sizeof *self->known);
    }
    self->known[self->n++] = (known_t){ mem_text(name), hash, 0 };
}

err_t zones_read(const zones_t *self, const char *name, buf_t *bytes)
{
    return zone_read_file(name, self->folder, bytes);
}

/* No such file, in a folder that is there. */
static bool is_absent(const zones_t *self, const char *name)
{
    const char *folder = self->folder ? self->folder : ZONE_DIRECTORY;
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    return len > 0 && (size_t)len < sizeof path && access(folder, R_OK | X_OK) == 0 &&
           access(path, F_OK) != 0 && errno == ENOENT;
}

const char *zones_next_changed(zones_t *self, size_t *at, buf_t *bytes)
{
    while (*at < self->n) {
        known_t *known = &self->known[(*at)++];
        zone_t *zone = NULL;
        bytes->len = 0;
        if (zones_read(self, known->name, bytes) != ERR_OK) {
            bytes->len = 0;
            if (is_absent(self, known->name) && ++known->missing == LOOKS_UNTIL_GONE) {
                known->hash = 0; /* it is news when it comes back */
                return known->name;
            }
            continue;
        }
        known->missing = 0;
        uint64_t hash = hash64(bytes->at, bytes->len);
        if (hash == known->hash) continue;
        if (zone_parse(&zone, known->name, slice(bytes->at, bytes->len)) != ERR_OK) continue;
        zone_destroy(&zone);
        known->hash = hash;
        return known->name;
    }
    return NULL;
}

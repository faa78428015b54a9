/* SPDX-License-Identifier: Apache-2.0
 * broker/zones.h - which zone files the store lives by, and whether they have changed.
 *
 * Zone data is state of the store: core never reads a file. The front keeps the names and the
 * hashes of what it handed to core, looks at the files at start and now and then, and hands over
 * what has changed. A file that is gone or damaged changes nothing: the store has its own copy.
 *
 * Owned by the front's thread. */
#ifndef BROKER_ZONES_H
#define BROKER_ZONES_H

#include "client/base/base.h"

typedef struct zones zones_t;
/* `folder` of the zone files, borrowed; "" is the system's. */
zones_t *zones_new(const char *folder);
void zones_destroy(zones_t **self_p);

/* The store has zone `name` with bytes of this hash64. */
void zones_add(void *self, const char *name, uint64_t hash);

/* Appends the file of `name` to `bytes`. ERR_BAD_ZONE: no such name, no such file, not a zone. */
MUST_CHECK err_t zones_read(const zones_t *self, const char *name, buf_t *bytes);

/* Walks the known zones whose files have other bytes than the store: *at = 0 to begin. NULL at the
 * end. Else the name, and the file's content in `bytes`; it counts as handed over. Empty bytes: two
 * walks in a row found no such file, in a folder that is there. */
const char *zones_next_changed(zones_t *self, size_t *at, buf_t *bytes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/front/keys.h - whose key is whose: the public files of a folder, as a table.
 *
 * The folder is read whole and then takes the place of what was known; a file at fault keeps the
 * old table in force. The handler of handshakes asks from its own thread; everything else is the
 * front's. */
#ifndef BROKER_KEYS_H
#define BROKER_KEYS_H

#include "broker/front/access.h"
#include "client/base/keyfile.h"

typedef struct keys keys_t;

/* `folder` is copied; it need not exist yet. */
keys_t *keys_new(const char *folder);
void keys_destroy(keys_t **self_p);

/* Reads the folder (files *.pub). ERR_CONFIG, ERR_OS with a sentence: nothing has changed. */
MUST_CHECK err_t keys_load(keys_t *self, char *why, size_t len);
/* Has the folder another look than at the last keys_load? Names, sizes and times of its files. */
bool keys_changed(keys_t *self);

/* The owner of a public key (40 characters of Z85). False: nobody's. Any thread. */
bool keys_owner(keys_t *self, const char *public_key, char name[KEY_NAME], access_role_t *role);
/* Has somebody of that name and role a key? Walks the table: for changes of it. */
bool keys_has(keys_t *self, const char *name, access_role_t role);
size_t keys_count(keys_t *self);
/* One more owner, of no file, for the test at start; NULL takes it away. */
void keys_trial(keys_t *self, const char *public_key);

#endif

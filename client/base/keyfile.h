/* SPDX-License-Identifier: Apache-2.0
 * client/base/keyfile.h - files that hold the keys of CURVE (https://rfc.zeromq.org/spec/26/).
 *
 * A secret file belongs to one program and is for its user alone; a public file says to the broker
 * who that is and what it may do. Both are lines `name: value`; `#` begins a comment:
 *
 *   web-07.key (0600)                       web-07.pub
 *     name: web-07                            name: web-07
 *     role: executor                          role: executor
 *     public: <40 characters of Z85>          public: <40 characters of Z85>
 *     secret: <40 characters of Z85>
 *     broker: <the public key of the broker it may talk to>
 *
 * No state; any thread. */
#ifndef BASE_KEYFILE_H
#define BASE_KEYFILE_H

#include "client/base/base.h"

enum { KEY_TEXT = 41, KEY_NAME = 65 }; /* bytes with the ending zero */

typedef struct keyfile {
    char name[KEY_NAME]; /* a letter or digit, then those and ._- */
    char role[16];
    char public_key[KEY_TEXT], secret_key[KEY_TEXT], broker_key[KEY_TEXT]; /* "" where absent */
} keyfile_t;

bool keyfile_is_name(const char *text);
bool keyfile_is_key(const char *text); /* 40 characters of Z85 (https://rfc.zeromq.org/spec/32/) */

/* Reads a file of at most 4 KiB that nobody but its owner may write to. `secret`: it must have a
 * secret key, be a file of this user or of root, and nobody else may read it. ERR_NOT_FOUND;
 * ERR_CONFIG: it says something else, or others can read or write it; ERR_OS. `why`: one sentence
 * with path and line; no key is ever in it. */
MUST_CHECK err_t keyfile_read(const char *path, bool secret, keyfile_t *out, char *why, size_t len);
/* Makes the file (a secret one 0600, else 0644) and syncs it; ERR_EXISTS: there is one already. */
MUST_CHECK err_t keyfile_write(const char *path, const keyfile_t *keys, char *why, size_t len);
/* Forgets the keys for good: the compiler may not leave it out. */
void keyfile_wipe(keyfile_t *self);

#endif

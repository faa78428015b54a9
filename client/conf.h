/* SPDX-License-Identifier: Apache-2.0
 * client/conf.h - what a pawl_conf_t holds, read by client_new. */
#ifndef CLIENT_CONF_H
#define CLIENT_CONF_H

#include "client/base/keyfile.h"
#include "client/pawl.h"

enum conf_key {
    CONF_BROKER,
    CONF_KEY_FILE,
    CONF_NAME,
    CONF_ROLE,
    CONF_MAX_PENDING,
    CONF_CONNECT_IVL,
    CONF_CONNECT_MAX,
    CONF_KEYS
};

struct pawl_conf {
    char *value[CONF_KEYS]; /* NULL: unset */
};

/* The number of a key that was checked when it was set; `otherwise` when unset. */
long conf_setting(const pawl_conf_t *self, enum conf_key key, long otherwise);
/* The endpoint by the rules of pawl.h. False: no candidate fits in `endpoint`. */
bool conf_endpoint(const pawl_conf_t *self, char *endpoint, size_t size);
/* The keys a TCP endpoint needs, by the rules of pawl.h; ERR_CONFIG with a sentence in `why`. */
err_t conf_keys(const pawl_conf_t *self, keyfile_t *keys, char *why, size_t len);

#endif

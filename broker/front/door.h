/* SPDX-License-Identifier: Apache-2.0
 * broker/front/door.h - who stands at the door: the kernel's word over ipc, a key over TCP.
 *
 * A peer's identity is settled with the connection, before any of its bytes is believed: its
 * principal and role come from here, never from what it says of itself. The front's thread. */
#ifndef BROKER_DOOR_H
#define BROKER_DOOR_H

#include <zmq.h>

#include "broker/front/keys.h"

typedef struct door_config {
    const char *endpoint;    /* tcp://ADDRESS:PORT; "" = nobody comes over TCP */
    const char *own_file;    /* the broker's secret key */
    const char *keys_folder; /* of the public keys of those who may come */
} door_config_t;

typedef struct visitor {
    char principal[KEY_NAME]; /* "uid:1000", or the name of its key */
    access_role_t role;
} visitor_t;

typedef struct door door_t;
/* `router`: raw, bound to its ipc endpoint already. With an endpoint the keys must be good:
 * ERR_CONFIG, ERR_OS, ERR_REFUSED with two lines in the log. The strings are borrowed. */
MUST_CHECK err_t door_open(door_t **out, const door_config_t *config, void *router);
void door_close(door_t **self_p);

/* Whose connection brought the frame; `fd`: the connection, -1 unknown. False: nobody's who may
 * come in, which is the end of it: no answer. */
bool door_visitor(door_t *self, zmq_msg_t *frame, int fd, visitor_t *out);
/* To be called every few seconds: takes over keys whose files have changed. True: they have, and
 * whoever is in must be asked about again. */
bool door_look(door_t *self);
/* May it stay? */
bool door_welcome(door_t *self, const visitor_t *visitor);

#endif

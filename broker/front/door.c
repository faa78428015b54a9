/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/front/curve.h"
#include "client/base/log.h"

#define LOCAL "uid:" /* no key has a name that begins so: a colon is not in names */

struct door {
    keys_t *keys; /* NULL: nobody comes over TCP */
    curve_t *curve;
};

static err_t refuse(err_t err, const char *why, const char *advice)
{
    log_event(LOG_ERROR, "NO_TCP", "why=\"%s\" then=\"%s\"", why, advice);
    return err;
}

static err_t open_tcp(door_t *self, const door_config_t *config, void *router)
{
    char why[512] = "";
    keyfile_t own;
    self->keys = keys_new(config->keys_folder);
    err_t err = keys_load(self->keys, why, sizeof why);
    if (err != ERR_OK) return refuse(err, why, "mend or remove the file");
    if (keys_count(self->keys) == 0)
        log_event(LOG_WARN, "NO_KEYS", "folder=\"%s\" then=\"pawl key new NAME --role executor\"",
                  config->keys_folder);
    err = keyfile_read(config->own_file, true, &own, why, sizeof why);
    if (err != ERR_OK) return refuse(err, why, "pawl key new NAME makes the broker's key too");
    err = curve_start(&self->curve, self->keys);
    if (err == ERR_OK)
        err = curve_bind(self->curve, router, config->endpoint, &own, why, sizeof why);
    keyfile_wipe(&own);
    return err == ERR_OK ? ERR_OK : refuse(err, why, "tcp must be a free tcp://ADDRESS:PORT");
}

err_t door_open(door_t **out, const door_config_t *config, void *router)
{
    door_t *self = mem_new(sizeof *self);
    *out = self;
    return config->endpoint && *config->endpoint ? open_tcp(self, config, router) : ERR_OK;
}

void door_close(door_t **self_p)
{
    door_t *self = *self_p;
    if (self == NULL) return;
    curve_stop(&self->curve);
    keys_destroy(&self->keys);
    free(self);
    *self_p = NULL;
}

/* The kernel has checked the user of such a connection when it was accepted. */
static bool is_local(int fd)
{
    int domain;
    socklen_t size = sizeof domain;
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

/* Only this user and root come so far; which of the two is for the record. */
static uid_t user_of(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    bool told = is_local(fd) && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                size == sizeof peer;
    return told ? peer.uid : geteuid();
}

bool door_visitor(door_t *self, zmq_msg_t *frame, int fd, visitor_t *out)
{
    /* Over TCP the handler of handshakes has set it, and nothing a peer sends can replace it. Over
     * ipc a peer may send one, and is then judged by that key: never more than it had. */
    const char *key = zmq_msg_gets(frame, "User-Id");
    if (key == NULL || *key == '\0') {
        if (self->keys != NULL && !is_local(fd)) return false;
        snprintf(out->principal, sizeof out->principal, LOCAL "%u", (unsigned)user_of(fd));
        out->role = ACCESS_ADMIN;
        return true;
    }
    return self->keys != NULL && keys_owner(self->keys, key, out->principal, &out->role) &&
           out->role != ACCESS_NONE;
}

bool door_look(door_t *self)
{
    char why[512];
    if (self->keys == NULL || !keys_changed(self->keys)) return false;
    if (keys_load(self->keys, why, sizeof why) != ERR_OK) {
        log_event(LOG_ERROR, "KEYS_UNCHANGED", "why=\"%s\"", why);
        return false;
    }
    log_event(LOG_INFO, "KEYS_CHANGED", "keys=%zu", keys_count(self->keys));
    return true;
}

bool door_welcome(door_t *self, const visitor_t *visitor)
{
    if (visitor->role == ACCESS_ADMIN && strncmp(visitor->principal, LOCAL, strlen(LOCAL)) == 0)
        return true;
    return self->keys != NULL && keys_has(self->keys, visitor->principal, visitor->role);
}

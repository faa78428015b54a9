/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "client/base/log.h"

err_t endpoint_check(const char *endpoint, char *why, size_t len)
{
    struct sockaddr_un address;
    if (strncmp(endpoint, "tcp:", 4) == 0) {
        snprintf(why, len,
                 "%s: this endpoint is for peers of this machine; those of others come with "
                 "keys to the endpoint `tcp`",
                 endpoint);
        return ERR_CONFIG;
    }
    if (strncmp(endpoint, "ipc://", 6) != 0 || endpoint[6] != '/') {
        snprintf(why, len, "%s: not an endpoint; it must read ipc:///path/to/broker.sock",
                 endpoint);
        return ERR_CONFIG;
    }
    if (strlen(endpoint + 6) >= sizeof address.sun_path) {
        snprintf(why, len, "%s: the path has %zu bytes; a socket's path can have %zu", endpoint,
                 strlen(endpoint + 6), sizeof address.sun_path - 1);
        return ERR_CONFIG;
    }
    return ERR_OK;
}

err_t endpoint_bind(void *socket, const char *endpoint)
{
    uid_t me = geteuid(), root = 0;
    /* with a filter set, the kernel's word for a peer's user decides before any byte is read */
    if (zmq_setsockopt(socket, ZMQ_IPC_FILTER_UID, &me, sizeof me) != 0 ||
        zmq_setsockopt(socket, ZMQ_IPC_FILTER_UID, &root, sizeof root) != 0) {
        log_event(LOG_ERROR, "NO_USER_CHECK", "why=\"%s\"", zmq_strerror(errno));
        return ERR_OS;
    }
    mode_t mask = umask(0177);
    int rc = zmq_bind(socket, endpoint);
    int saved = errno;
    umask(mask);
    if (rc != 0 || chmod(endpoint + strlen("ipc://"), 0600) != 0) {
        log_event(LOG_ERROR, "BIND_FAILED", "endpoint=\"%s\" why=\"%s\"", endpoint,
                  zmq_strerror(rc != 0 ? saved : errno));
        return ERR_OS;
    }
    return ERR_OK;
}

void endpoint_unbound(const char *endpoint)
{
    enum { LOOKS = 200, LOOK_US = 1000 };
    for (int i = 0; i < LOOKS && access(endpoint + strlen("ipc://"), F_OK) == 0; i++)
        usleep(LOOK_US);
}

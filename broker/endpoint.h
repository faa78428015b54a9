/* SPDX-License-Identifier: Apache-2.0
 * broker/endpoint.h - where peers connect: ipc sockets that only this user may open. */
#ifndef BROKER_ENDPOINT_H
#define BROKER_ENDPOINT_H

#include "client/base/base.h"

/* `ipc://PATH`, short enough for a socket address? Else a sentence in `why`. */
MUST_CHECK err_t endpoint_check(const char *endpoint, char *why, size_t len);
/* Binds `socket` (raw) to an ipc endpoint for this user only: file mode 0600, and for listening
 * stream peers the kernel's word for their user. */
MUST_CHECK err_t endpoint_bind(void *socket, const char *endpoint);
/* After the socket was closed: waits, not long, until the library has removed the socket file,
 * which it does behind our back: later it could be the file of a successor. */
void endpoint_unbound(const char *endpoint);

#endif

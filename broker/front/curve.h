/* SPDX-License-Identifier: Apache-2.0
 * broker/front/curve.h - handshakes over TCP: CURVE (https://rfc.zeromq.org/spec/26/), and the
 * handler that says whose key is welcome (ZAP, https://rfc.zeromq.org/spec/27/).
 *
 * The library lets everybody in when nobody answers ZAP. So the handler runs before the endpoint is
 * bound, the domain is enforced, and before anybody is served two handshakes are tried at the bound
 * endpoint: a key nobody knows must be refused, one that is known must pass. */
#ifndef BROKER_CURVE_H
#define BROKER_CURVE_H

#include "broker/front/keys.h"

typedef struct curve curve_t;

/* Starts the handler. `keys` is borrowed and must outlive it. ERR_OS: another handler is there. */
MUST_CHECK err_t curve_start(curve_t **out, keys_t *keys);
void curve_stop(curve_t **self_p);
/* Handshakes that were refused since the start; any thread. */
uint64_t curve_refused(const curve_t *self);

/* Binds `socket` (raw; endpoints bound before keep their own terms) to tcp://ADDRESS:PORT with the
 * broker's own key and tries it. ERR_CONFIG: the endpoint cannot be bound; ERR_REFUSED: the trial
 * failed. `why`: one sentence. */
MUST_CHECK err_t curve_bind(curve_t *self, void *socket, const char *endpoint, const keyfile_t *own,
                            char *why, size_t len);

#endif

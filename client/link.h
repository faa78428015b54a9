/* SPDX-License-Identifier: Apache-2.0
 * client/link.h - the I/O thread: it alone owns the DEALER socket and speaks the session. */
#ifndef CLIENT_LINK_H
#define CLIENT_LINK_H

#include "client/client.h"

link_t *link_new(void);
void link_destroy(link_t **self_p);
void *link_main(void *client); /* the thread; ends when client->stopping is set */

#endif

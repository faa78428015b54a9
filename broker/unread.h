/* SPDX-License-Identifier: Apache-2.0
 * broker/unread.h - what one connection was sent and has not taken: counted in bytes.
 *
 * libzmq's high-water mark counts frames, and frames may have 8 MiB each. So frames are handed over
 * with a function that the library calls when it needs them no more (written to the connection, or
 * thrown away with it); until then their bytes are on the count of the connection.
 *
 * The count is shared by the front's thread and the library's: it is atomic, and it lives until the
 * last frame of it is gone, which may be later than the session and the front. */
#ifndef BROKER_UNREAD_H
#define BROKER_UNREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

typedef struct unread unread_t;
unread_t *unread_new(void);                  /* nothing waits; one holder */
unread_t *unread_hold(unread_t *self);       /* one holder more; returns it */
void unread_drop(unread_t **self_p);         /* one less; freed with the last. NULL is fine. */
uint64_t unread_bytes(const unread_t *self); /* handed over and not taken yet */
uint64_t unread_taken(const unread_t *self); /* frames that were taken; only rises */

/* Makes `frame` a copy of `bytes` that counts until the library lets go of it. */
void unread_frame(unread_t *self, zmq_msg_t *frame, const uint8_t *bytes, size_t len);

/* The connection itself, for cutting it off: the library has no call for that. */
typedef struct connection {
    int fd;         /* the library's, never ours to close; -1: unknown */
    uint64_t inode; /* of that descriptor's socket: numbers of descriptors are used again */
} connection_t;
/* That `frame`, which was received, came over. */
connection_t connection_of(zmq_msg_t *frame);
/* Shuts it in both directions: the library sees its end and frees what waits for the peer, which
 * sees a lost connection. No effect when it has ended already. */
void connection_cut(const connection_t *self);

#endif

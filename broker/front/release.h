/* SPDX-License-Identifier: Apache-2.0
 * broker/front/release.h - the one function that sends to peers (tests/one_sender.sh holds us to
 * it).
 *
 * Owned by the front's thread. */
#ifndef BROKER_RELEASE_H
#define BROKER_RELEASE_H

#include "broker/front/front.h"

/* Sends everything that need not wait any longer: what returned with a batch up to `durable`, and
 * the front's own answers; settles what the batch changed in the session table and tells readers
 * and stats. What a peer could not be given becomes a command of the next batch. Never blocks. */
void broker_release(front_t *self, uint64_t durable);

#endif

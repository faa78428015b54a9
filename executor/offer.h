/* SPDX-License-Identifier: Apache-2.0
 * executor/offer.h - what this executor tells the broker that it runs: kinds, types, interpreters
 * and their versions, queues, labels, sources. */
#ifndef EXECUTOR_OFFER_H
#define EXECUTOR_OFFER_H

#include "client/pawl.h"
#include "executor/config.h"

typedef struct offer offer_t;

/* Asks the interpreters for their versions: before any thread exists. `config` is borrowed. */
offer_t *offer_new(const executor_config_t *config);
void offer_destroy(offer_t **self_p);
/* `process_control`: how trees are killed, a label unless the configuration has one of that name.
 */
MUST_CHECK pawl_err offer_make(const offer_t *self, pawl_worker_t *worker,
                               const char *process_control);

#endif

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
/* Is work of this type run here? Whatever the broker sends: what runs is said by our own file. */
bool offer_has(const offer_t *self, const char *type);
/* `has_cgroup`: trees are killed by it; `cgroup_limits`: memory and processes are limited by it.
 * Both become labels, unless the configuration has labels of their names.
 */
MUST_CHECK pawl_err offer_make(const offer_t *self, pawl_worker_t *worker, bool has_cgroup,
                               bool cgroup_limits);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * tests/crash/scenario.h - numbered batches of writes whose result can be checked from the store
 * alone: the row meta/"b" holds the number of the last batch and a digest of all other rows. */
#ifndef CRASH_SCENARIO_H
#define CRASH_SCENARIO_H

#include "broker/store/store.h"

/* Begins, writes batch `number` and leaves the commit to the caller; an error leaves the abort. */
MUST_CHECK err_t scenario_write(store_t *store, uint64_t seed, uint64_t number);

/* Reads every row. The last batch in it and the digest; *why is NULL when all is consistent. */
void scenario_check(store_t *store, uint64_t *number, uint64_t *digest, const char **why);

#endif

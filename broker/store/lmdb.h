/* SPDX-License-Identifier: Apache-2.0
 * broker/store/lmdb.h - the LMDB store opened with all of kv's settings. Programs use store_open;
 * this is for tests that need what programs must not have (kv_config_t.test_flags) and for tools
 * that look behind the store. */
#ifndef BROKER_STORE_LMDB_H
#define BROKER_STORE_LMDB_H

#include "broker/store/store.h"
#include "client/base/kv.h"

/* `config`'s tables are set here. Errors: as store_open. */
MUST_CHECK err_t lmdb_store_open(store_t **out, const kv_config_t *config, int64_t *holder);
/* The environment behind a store that lmdb_store_open or store_open made; borrowed. */
kv_t *lmdb_store_kv(store_t *self);

#endif

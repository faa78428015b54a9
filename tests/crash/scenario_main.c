/* SPDX-License-Identifier: Apache-2.0
 * crash-scenario FOLDER BATCHES SEED [FAULT] - runs batches up to BATCHES on the LMDB store in
 * FOLDER, where a run before may have left off, and marks what it begins and acknowledges.
 *
 * FAULT, to prove that the checker sees it: `nometasync` opens the store so that the last commits
 * are not durable; `ack-early` acknowledges before the commit.
 * Exit: 0 all done; 3 the store could not be opened; 10 a commit's outcome is unknown, as the
 * contract says; 11 the contract was broken. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/store/lmdb.h"
#include "tests/crash/scenario.h"
#include "tests/crash/shim.h"

enum { NOMETASYNC = 0x40000 /* MDB_NOMETASYNC */, MAP_BYTES = 8 << 20, TRIES = 4 };

static void mark(char kind, uint64_t number)
{
    if (crash_mark) crash_mark(kind, number);
}

static int broken(const char *what, err_t err)
{
    fprintf(stderr, "crash-scenario: %s: %s\n", what, err_name(err));
    return 11;
}

static bool clean(err_t err)
{
    return err == ERR_STORE_FULL || err == ERR_DISK_FULL || err == ERR_NO_MEMORY;
}

static int run(store_t *store, uint64_t batches, uint64_t seed, bool ack_early)
{
    uint64_t done, digest;
    const char *why;
    scenario_check(store, &done, &digest, &why);
    if (why) return broken(why, ERR_CORRUPT);
    unsigned tries = 0;
    while (done < batches) {
        mark(CRASH_BEGUN, done + 1);
        if (ack_early) mark(CRASH_ACKED, done + 1);
        err_t err = scenario_write(store, seed, done + 1);
        if (!err)
            err = store_commit(store);
        else
            store_abort(store);
        if (clean(err) && ++tries < TRIES) continue; /* cleanly not done: the same batch again */
        if (err == ERR_STORE_IO)
            return store_begin(store) == ERR_STORE_IO ? 10 : broken("went on after", err);
        if (err) return broken("commit", err);
        tries = 0;
        mark(CRASH_ACKED, ++done);
    }
    return 0;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4 || argc == 5);
    const char *fault = argc == 5 ? argv[4] : "";
    kv_config_t config = { .path = argv[1], .map_bytes = MAP_BYTES };
    if (strcmp(fault, "nometasync") == 0) config.test_flags = NOMETASYNC;
    store_t *store;
    if (lmdb_store_open(&store, &config, NULL) != ERR_OK) return 3;
    int code = run(store, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                   strcmp(fault, "ack-early") == 0);
    store_close(&store);
    return code;
}

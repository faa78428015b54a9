/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check.h - is a store whole? `pawl broker check`, and the simulator after each run.
 *
 * Reads every row: checksum, decoding, and what rows say of each other - a task is in exactly one
 * place, counters count, ids and specs pair, cursors and ledgers meet, the journal is dense.
 * schemas/STORE.md lists it table by table. Nothing is written. */
#ifndef BROKER_CHECK_H
#define BROKER_CHECK_H

#include <stdio.h>

#include "broker/store/store.h"

/* The folders inside a broker's state folder. */
#define CHECK_STORE_FOLDER "store"
#define CHECK_LOGS_FOLDER  "logs"

enum { CHECK_WHOLE = 0, CHECK_DAMAGED = 1, CHECK_MISSING = 3, CHECK_LOCKED = 4 };

/* Checks store and logs of a broker that does not run; with one running: CHECK_LOCKED and three
 * lines on stderr with its pid. The work is done in a child process, so that pages which make the
 * reader crash are a line of the report. Writes one line a problem, a line `ok: N tasks, ...` or
 * `damaged: N problems`, and the same for the logs (log_check.h). Returns the exit code. Call it
 * before any thread is started. */
int broker_check(const char *state_dir, FILE *out);

/* The same on an open store, on its snapshot. ERR_OK: *problems tells (0: whole). Otherwise it
 * could not be read at all. `out` may be NULL. */
MUST_CHECK err_t check_store(store_t *store, FILE *out, size_t *problems);

#endif

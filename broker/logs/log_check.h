/* SPDX-License-Identifier: Apache-2.0
 * broker/logs/log_check.h - is the environment of the logs whole? For `pawl broker check`.
 *
 * Every row: key, checksum, version. Every log: each byte below its total is in a piece or in its
 * hole, and its age row is there, by which it is swept. Logs of tasks that are gone, and pieces or
 * age rows without a log, are harmless: sweeping takes them; they are counted as orphans. */
#ifndef BROKER_LOG_CHECK_H
#define BROKER_LOG_CHECK_H

#include <stdio.h>

#include "client/base/kv.h"

typedef struct log_tally {
    uint64_t logs, pieces, bytes, orphans;
    size_t problems;
} log_tally_t;

/* Is there a task with this id? NULL: nobody knows. */
typedef bool log_owner_fn(void *arg, const uint8_t id[16]);
/* Opens the environment in `folder` and reads all of it. One line a problem to `out`, at most 100.
 * Errors of kv_open, and ERR_STORE_IO; ERR_OK: the tally tells. */
MUST_CHECK err_t log_check(const char *folder, log_owner_fn *owner, void *arg, FILE *out,
                           log_tally_t *tally);

#endif

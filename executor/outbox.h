/* SPDX-License-Identifier: Apache-2.0
 * executor/outbox.h - results on disk until the broker has answered them.
 *
 * Two places, because most results wait for milliseconds and some for hours. `fresh` is a plain
 * file that is appended to without a sync: what stands in it survives the end of this process,
 * however it ends. A result that is not answered within OUTBOX_FRESH_US moves to an LMDB
 * environment, in one synced commit with all others of that age, and then survives a power cut too.
 * (A power cut within that time costs what it costs anyway while a command runs: the lease ends and
 * the task's on_lost decides. Nothing is recorded twice.) Tables: `results` (id, token -> when, the
 * bytes) and `orphans`, where results go that the broker does not know: kept 7 days for whoever
 * looks for them.
 *
 * Threads: outbox_store and outbox_settled may be called from the SDK's thread while another calls
 * outbox_tidy; a lock inside serves them one at a time. */
#ifndef EXECUTOR_OUTBOX_H
#define EXECUTOR_OUTBOX_H

#include "client/base/base.h"

#define OUTBOX_KEEP_ORPHANS_US (INT64_C(7) * 86400 * 1000000)

#define OUTBOX_FRESH_US INT64_C(2000000)

typedef struct outbox outbox_t;

/* As kv_open. holder may be NULL. What `fresh` held moves to the environment first. */
MUST_CHECK err_t outbox_open(outbox_t **out, const char *folder, int64_t *holder);
void outbox_close(outbox_t **self_p); /* writes what waits */

MUST_CHECK err_t outbox_store(outbox_t *self, const uint8_t id[16], uint64_t token,
                              const void *bytes, size_t len);
/* `unknown`: the broker does not know the task; the result becomes an orphan. */
void outbox_settled(outbox_t *self, const uint8_t id[16], uint64_t token, bool unknown);
/* To be called every second or so: moves what is older than OUTBOX_FRESH_US, writes what was
 * settled, forgets orphans older than 7 days. Cheap when there is nothing to do. */
MUST_CHECK err_t outbox_tidy(outbox_t *self, int64_t now_us);

typedef void outbox_each_fn(void *arg, const uint8_t id[16], uint64_t token, const void *bytes,
                            size_t len);
/* Every result that awaits an answer. ERR_CORRUPT: some rows could not be read, the others were
 * given. */
MUST_CHECK err_t outbox_each(outbox_t *self, outbox_each_fn *fn, void *arg);
/* Every orphan. */
MUST_CHECK err_t outbox_each_orphan(outbox_t *self, outbox_each_fn *fn, void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/logs/logs.h - what attempts wrote: an environment and an actor of their own, so that their
 * churn neither bloats nor delays the store of the tasks.
 *
 * A Report with log chunks comes here before core sees it (LETTER_QUERY), and goes back to the
 * front (LETTER_DONE) when the chunks are synced: chunks are durable before the result they belong
 * to. Everything that waits is one commit. Of an attempt LIMIT_LOG_ATTEMPT bytes are kept: the
 * first LIMIT_LOG_HEAD and the last of the rest; what lies between is cut and its place is told
 * (hole). The same chunk twice is stored once.
 *
 * Chunks that cannot be stored (disk full, a disk that fails) are lost, and the report goes on:
 * work that ends must always be able to end. They are remembered; when a failed environment could
 * be opened again (tried after 100 ms doubling to 30 s), or the disk has room, the missing bytes
 * become a hole in the log they belong to. The front is told how many bytes were lost
 * (LETTER_LOST).
 */
#ifndef BROKER_LOGS_H
#define BROKER_LOGS_H

#include "broker/readers/readers.h"
#include "client/base/kv.h"

typedef struct logs_config {
    const char *path; /* folder; its parent must exist */
    uint64_t map_bytes;
    uint64_t most_bytes; /* oldest logs give way above it; 0: 90 % of the map */
    int64_t keep_us;     /* since the last write */
    int64_t wait_us;     /* for the folder's lock */
} logs_config_t;

typedef struct logs logs_t;
/* Opens the environment and starts the thread. Errors of kv_open. */
MUST_CHECK err_t logs_start(logs_t **out, const logs_config_t *config);
void *logs_socket(logs_t *self); /* the front's end, raw */
/* The thread ends after the commit in hand; the environment stays open for readers until close. */
void logs_stop(logs_t *self);
void logs_close(logs_t **self_p);

/* Readers' thread: answers a LogRead from a snapshot. `arg` is the logs_t. */
err_t logs_read(void *arg, answer_t *answer, const Pawl__V1__LogRead *ask, const log_ask_t *log,
                Pawl__V1__Reply *reply, bool *more);

/* ---- the store behind it, without thread or socket (tests) ------------------------------------
 */

typedef struct log_store log_store_t;
MUST_CHECK err_t log_store_open(log_store_t **out, const logs_config_t *config);
void log_store_close(log_store_t **self_p);
/* After a commit whose outcome is unknown nothing works until the environment is opened anew: waits
 * for readers, closes, opens. After an error: as before, and to be tried again. */
MUST_CHECK err_t log_store_reopen(log_store_t *self);
MUST_CHECK err_t log_store_begin(log_store_t *self);
/* One chunk into the open transaction. `wall_us`: now. One without data says that the log has
 * `offset` bytes: what has not come of them is a hole. */
MUST_CHECK err_t log_store_add(log_store_t *self, const Pawl__V1__LogChunk *chunk, int64_t wall_us);
/* The bytes [from, to) of a log were lost, as far as they are not there after all. */
MUST_CHECK err_t log_store_mark(log_store_t *self, const uint8_t id[16], uint64_t token,
                                uint64_t from, uint64_t to, int64_t wall_us);
MUST_CHECK err_t log_store_commit(log_store_t *self);
void log_store_abort(log_store_t *self);
/* Deletes at most `keys` rows of the oldest logs that are older than keep_us, or (`by_size`) until
 * the environment is below its most; its own transaction. *more: there is more to delete. */
MUST_CHECK err_t log_store_sweep(log_store_t *self, int64_t wall_us, bool by_size, unsigned keys,
                                 bool *more);
/* The first lease of this task after `token` that has a log; 0: none. */
MUST_CHECK err_t log_store_after(log_store_t *self, const uint8_t id[16], uint64_t token,
                                 uint64_t *found);
/* Appends up to `limit` bytes from `offset` on to data->pieces, memory of the answer's arena. */
MUST_CHECK err_t log_store_read(log_store_t *self, answer_t *answer, const uint8_t id[16],
                                uint64_t token, uint64_t offset, uint32_t limit,
                                Pawl__V1__LogData *data);

#endif

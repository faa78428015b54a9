/* SPDX-License-Identifier: Apache-2.0
 * broker/logs/log_lost.h - what attempts wrote and the logs could not take: spans, kept in memory
 * until they can be marked as holes in the logs they belong to.
 *
 * Owned by the logs' thread. At most LOG_LOST_SPANS logs are remembered; of more only the bytes. */
#ifndef BROKER_LOG_LOST_H
#define BROKER_LOG_LOST_H

#include "broker/logs/logs.h"

enum { LOG_LOST_SPANS = 10000 };

typedef struct log_lost log_lost_t;
log_lost_t *log_lost_new(void);
void log_lost_destroy(log_lost_t **self_p);

/* A chunk that could not be stored. */
void log_lost_add(log_lost_t *self, const Pawl__V1__LogChunk *chunk);
bool log_lost_any(const log_lost_t *self); /* spans wait for their mark */
/* Bytes lost since the last call. What turns out to be stored after all is counted, too. */
uint64_t log_lost_take_bytes(log_lost_t *self);
/* Marks into the open transaction; forget them when it is committed. Errors of log_store_mark. */
MUST_CHECK err_t log_lost_mark(const log_lost_t *self, log_store_t *store, int64_t wall_us);
void log_lost_forget(log_lost_t *self);

#endif

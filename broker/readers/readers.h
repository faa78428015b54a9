/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/readers.h - the actor that answers queries beside the writer, each from a snapshot
 * that is no older than the query, so that whoever was told of a commit also sees it.
 *
 * Letters over its PAIR: LETTER_QUERY down, answered with LETTER_DONE (query->reply is packed);
 * LETTER_NOTICE down after each commit while a query is out; LETTER_PURGE up: task numbers whose
 * time is over. Long polls (TaskWait, EventRead, LogRead) are
 * parked first and looked at then, so an end that commits in between is not missed: it is in the
 * snapshot or its notice is still to come. */
#ifndef BROKER_READERS_H
#define BROKER_READERS_H

#include "broker/readers/answer.h"
#include "broker/readers/query.h"

/* Fills reply->log with what the lease's log has from ask->offset on. *more: nothing is there yet,
 * and something may still come. Runs on the readers' thread. */
typedef err_t read_log_fn(void *arg, answer_t *answer, const Pawl__V1__LogRead *ask,
                          const log_ask_t *log, Pawl__V1__Reply *reply, bool *more);

typedef struct readers_config {
    store_t *store;        /* borrowed: must outlive the readers */
    read_log_fn *read_log; /* NULL: LogRead is refused as UNIMPLEMENTED */
    void *read_log_arg;
    retention_t keep;    /* how long ended tasks stay; from 60 % of the store on all of them give
                            way, oldest first */
    bool keep_all;       /* nothing is purged */
    uint32_t output_max; /* as core_config_t */
} readers_config_t;

typedef struct readers readers_t;
MUST_CHECK err_t readers_start(readers_t **out, const readers_config_t *config);
void *readers_socket(readers_t *self); /* the front's end of the PAIR, raw */
/* Answers what is parked as it stands, hands all queries back and ends the thread. The letters wait
 * on the front's end, which readers_close then closes with what is still in it. */
void readers_stop(readers_t *self);
void readers_close(readers_t **self_p); /* stops first when it still runs */

/* The answer of one attempt, without sockets, for tests and the simulator. *more: it is a long poll
 * that has nothing to tell yet (never with `last`). `waits` (room for the ids of a TaskWait, else
 * 1) gets the tasks whose end or log would change that; *from_seq: where an EventRead stands, 0
 * before the first attempt. */
err_t readers_attempt(const readers_config_t *config, answer_t *answer,
                      const Pawl__V1__Request *request, bool last, Pawl__V1__Reply *reply,
                      bool *more, uint8_t (*waits)[16], size_t *waits_n, uint64_t *from_seq);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "schemas/limits.h"

enum {
    SWEEP_KEYS = 500,
    SWEEP_US = 60000000,
    BATCH_QUERIES = 1024, /* reports of one commit */
    IDLE_MS = 10000,
};

struct logs {
    zactor_t *actor;
    zsock_t *near, *far;
    log_store_t *store;
    query_t **batch;
    size_t n;
    int64_t swept_us;
    bool sweeping; /* the last slice left something */
    bool sweep_by_size;
    bool was_full; /* so that a full disk is told once, not for each chunk */
};

/* All chunks of the batch in one transaction. */
static err_t store_batch(logs_t *self)
{
    int64_t wall_us = clock_wall_us();
    err_t err = log_store_begin(self->store);
    bool any = false;
    for (size_t i = 0; err == ERR_OK && i < self->n; i++) {
        const Pawl__V1__Request *request = self->batch[i]->request;
        if (request->body_case != PAWL__V1__REQUEST__BODY_REPORT)
            continue; /* waits here only for its turn */
        const Pawl__V1__Report *report = request->report;
        for (size_t c = 0; err == ERR_OK && c < report->n_logs; c++) {
            err = log_store_add(self->store, report->logs[c], wall_us);
            any = true;
        }
    }
    if (err == ERR_OK && any) return log_store_commit(self->store);
    log_store_abort(self->store);
    return err;
}

static void commit_batch(logs_t *self)
{
    err_t err = store_batch(self);
    for (int slice = 0; slice < 8 && (err == ERR_STORE_FULL || err == ERR_DISK_FULL); slice++) {
        bool more;
        err_t swept = log_store_sweep(self->store, INT64_MAX / 2, false, SWEEP_KEYS, &more);
        if (swept != ERR_OK) break;
        err = store_batch(self);
    }
    if (err != ERR_OK && !self->was_full)
        log_event(LOG_ERROR, "LOGS_LOST", "err=%s reports=%zu", err_name(err), self->n);
    self->was_full = err != ERR_OK;
    for (size_t i = 0; i < self->n; i++) {
        self->batch[i]->err = err;
        letter_send(zsock_resolve(self->far), LETTER_DONE, self->batch[i], 0);
    }
    self->n = 0;
}

/* One slice at a time, by age and then by size; between slices waiting reports go first. */
static void sweep(logs_t *self)
{
    err_t err = log_store_sweep(self->store, clock_wall_us(), self->sweep_by_size, SWEEP_KEYS,
                                &self->sweeping);
    if (err != ERR_OK) log_event(LOG_WARN, "LOGS_SWEEP", "err=%s", err_name(err));
    if (err != ERR_OK) self->sweeping = false;
    if (!self->sweeping) {
        self->sweep_by_size = !self->sweep_by_size;
        self->sweeping = self->sweep_by_size && err == ERR_OK;
        self->swept_us = clock_steady_us();
    }
}

static bool take_batch(logs_t *self)
{
    letter_t letter;
    while (self->n < BATCH_QUERIES && letter_take(zsock_resolve(self->far), &letter))
        self->batch[self->n++] = letter.object;
    return self->n > 0;
}

static void logs_main(zsock_t *pipe, void *arg)
{
    logs_t *self = arg;
    zmq_pollitem_t items[] = { { zsock_resolve(self->far), 0, ZMQ_POLLIN, 0 },
                               { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 } };
    prctl(PR_SET_NAME, "pawl-logs");
    zsock_signal(pipe, 0);
    while (true) {
        int ready = zmq_poll(items, ARRAY_LEN(items), self->sweeping ? 0 : IDLE_MS);
        if (ready < 0 && errno != EINTR) break;
        if (take_batch(self))
            commit_batch(self);
        else if (self->sweeping || clock_steady_us() - self->swept_us > SWEEP_US)
            sweep(self);
        if (ready > 0 && items[1].revents) {
            char *word = zstr_recv(pipe);
            bool ended = word == NULL || streq(word, "$TERM");
            zstr_free(&word);
            if (ended) break;
        }
    }
    if (take_batch(self)) commit_batch(self);
    HANDED_OVER(self);
}

err_t logs_start(logs_t **out, const logs_config_t *config)
{
    logs_t *self = mem_new(sizeof *self);
    err_t err = log_store_open(&self->store, config);
    if (err != ERR_OK) {
        free(self);
        return err;
    }
    self->batch = mem_new(BATCH_QUERIES * sizeof(query_t *));
    self->swept_us = clock_steady_us();
    self->near = letter_pipe(&self->far);
    self->actor = zactor_new(logs_main, self);
    CHECK(self->actor != NULL);
    *out = self;
    return ERR_OK;
}

void *logs_socket(logs_t *self)
{
    return zsock_resolve(self->near);
}

void logs_stop(logs_t *self)
{
    if (self == NULL || self->actor == NULL) return;
    zactor_destroy(&self->actor);
    TAKEN_OVER(self);
}

void logs_close(logs_t **self_p)
{
    logs_t *self = *self_p;
    if (self == NULL) return;
    logs_stop(self);
    letter_t letter;
    while (letter_take(zsock_resolve(self->near), &letter)) {
        query_t *query = letter.object;
        query_free(&query);
    }
    zsock_destroy(&self->near);
    zsock_destroy(&self->far);
    log_store_close(&self->store);
    free(self->batch);
    free(self);
    *self_p = NULL;
}

err_t logs_read(void *arg, answer_t *answer, const Pawl__V1__LogRead *ask, const log_ask_t *log,
                Pawl__V1__Reply *reply, bool *more)
{
    logs_t *self = arg;
    Pawl__V1__LogData *data = answer_take(answer, sizeof *data);
    pawl__v1__log_data__init(data);
    data->attempt = log->attempt;
    *more = false;
    err_t err =
        log_store_read(self->store, answer, log->id, log->token, ask->offset, ask->limit, data);
    if (err != ERR_OK) {
        answer_refuse(answer, reply, err, "", "the log cannot be read: %s", err_text(err));
        return ERR_OK;
    }
    data->ended = !log->running && data->next >= data->total;
    *more = log->running && data->n_pieces == 0;
    reply->body_case = PAWL__V1__REPLY__BODY_LOG;
    reply->log = data;
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/logs/log_lost.h"

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
    AGAIN_US = 100000, /* after a failure, doubling to AGAIN_MOST_US */
    AGAIN_MOST_US = 30000000,
    TOLD_US = 10000000, /* losses are told so often */
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
    log_lost_t *lost;
    bool down;               /* the environment must be opened again */
    int64_t again_us, pause; /* steady: when to mend next; the wait before the one after */
    int64_t told_us;         /* steady: losses were told last */
};

/* NULL: a request that waits here only for its turn. */
static const Pawl__V1__Report *report_of(const query_t *query)
{
    bool report = query->request->body_case == PAWL__V1__REQUEST__BODY_REPORT;
    return report ? query->request->report : NULL;
}

/* All chunks of the batch in one transaction. */
static err_t store_batch(logs_t *self)
{
    int64_t wall_us = clock_wall_us();
    err_t err = log_store_begin(self->store);
    bool any = false;
    for (size_t i = 0; err == ERR_OK && i < self->n; i++) {
        const Pawl__V1__Report *report = report_of(self->batch[i]);
        for (size_t c = 0; err == ERR_OK && report && c < report->n_logs; c++) {
            err = log_store_add(self->store, report->logs[c], wall_us);
            any = true;
        }
    }
    if (err == ERR_OK && any) return log_store_commit(self->store);
    log_store_abort(self->store);
    return err;
}

static bool is_full(err_t err)
{
    return err == ERR_STORE_FULL || err == ERR_DISK_FULL || err == ERR_NO_MEMORY;
}

/* How much was lost, to the front, which has it in the journal. */
static void tell_losses(logs_t *self)
{
    int64_t now = clock_steady_us();
    if (self->told_us && now - self->told_us < TOLD_US) return;
    uint64_t bytes = log_lost_take_bytes(self->lost);
    if (bytes == 0) return;
    self->told_us = now;
    log_event(LOG_ERROR, "LOGS_LOST", "bytes=%llu", (unsigned long long)bytes);
    letter_send(zsock_resolve(self->far), LETTER_LOST, NULL,
                bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX);
}

static void on_failure(logs_t *self, err_t err)
{
    if (!self->down && !is_full(err)) {
        log_event(LOG_ERROR, "LOGS_DOWN", "err=%s", err_name(err));
        self->down = true;
    }
    self->pause = self->pause == 0                  ? AGAIN_US
                  : self->pause * 2 > AGAIN_MOST_US ? AGAIN_MOST_US
                                                    : self->pause * 2;
    self->again_us = clock_steady_us() + self->pause;
}

static void lose_batch(logs_t *self)
{
    for (size_t i = 0; i < self->n; i++) {
        const Pawl__V1__Report *report = report_of(self->batch[i]);
        for (size_t c = 0; report && c < report->n_logs; c++)
            log_lost_add(self->lost, report->logs[c]);
    }
}

/* Opens the environment again if it failed, then marks what was lost. */
static void mend(logs_t *self)
{
    err_t err = self->down ? log_store_reopen(self->store) : ERR_OK;
    if (err == ERR_OK) err = log_store_begin(self->store);
    if (err == ERR_OK) {
        err = log_lost_mark(self->lost, self->store, clock_wall_us());
        if (err == ERR_OK)
            err = log_store_commit(self->store);
        else
            log_store_abort(self->store);
    }
    if (err != ERR_OK) {
        on_failure(self, err);
        return;
    }
    log_lost_forget(self->lost);
    if (self->down) log_event(LOG_WARN, "LOGS_BACK", "meaning=\"what was lost is marked\"");
    self->down = false;
    self->pause = 0;
    self->told_us = 0; /* the rest of the losses */
    tell_losses(self);
}

static bool must_mend(const logs_t *self)
{
    return self->down || log_lost_any(self->lost);
}

static int wait_ms(const logs_t *self)
{
    if (self->sweeping && !self->down) return 0;
    if (!must_mend(self)) return IDLE_MS;
    int64_t left_us = self->again_us - clock_steady_us();
    return left_us <= 0 ? 0 : (int)(left_us / 1000 + 1);
}

static void commit_batch(logs_t *self)
{
    err_t err = self->down ? ERR_STORE_IO : store_batch(self);
    for (int slice = 0; slice < 8 && (err == ERR_STORE_FULL || err == ERR_DISK_FULL); slice++) {
        bool more;
        err_t swept = log_store_sweep(self->store, INT64_MAX / 2, false, SWEEP_KEYS, &more);
        if (swept != ERR_OK) break;
        err = store_batch(self);
    }
    if (err != ERR_OK) {
        lose_batch(self);
        if (!self->down) on_failure(self, err);
        tell_losses(self);
    }
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
    if (err != ERR_OK && !is_full(err)) on_failure(self, err);
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
        int ready = zmq_poll(items, ARRAY_LEN(items), wait_ms(self));
        if (ready < 0 && errno != EINTR) break;
        if (must_mend(self) && clock_steady_us() >= self->again_us) mend(self);
        if (take_batch(self))
            commit_batch(self);
        else if (!self->down && (self->sweeping || clock_steady_us() - self->swept_us > SWEEP_US))
            sweep(self);
        if (ready > 0 && items[1].revents) {
            char *word = zstr_recv(pipe);
            bool ended = word == NULL || streq(word, "$TERM");
            zstr_free(&word);
            if (ended) break;
        }
    }
    if (take_batch(self)) commit_batch(self);
    if (must_mend(self)) mend(self); /* the marks are in memory only */
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
    self->lost = log_lost_new();
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
        if (query) query_free(&query);
    }
    zsock_destroy(&self->near);
    zsock_destroy(&self->far);
    log_store_close(&self->store);
    log_lost_destroy(&self->lost);
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
    data->token = log->token;
    err_t err =
        ask->after ? log_store_after(self->store, log->id, ask->token, &data->token) : ERR_OK;
    if (err == ERR_OK && (data->token || !ask->after))
        err = log_store_read(self->store, answer, log->id, data->token, ask->offset, ask->limit,
                             data);
    if (err != ERR_OK) {
        answer_refuse(answer, reply, err, "", "the log cannot be read: %s", err_text(err));
        return ERR_OK;
    }
    data->ended = !log->running && data->next >= data->total;
    data->lost = log->lost;
    *more = log->running && data->n_pieces == 0 && !ask->after;
    reply->body_case = PAWL__V1__REPLY__BODY_LOG;
    reply->log = data;
    return ERR_OK;
}

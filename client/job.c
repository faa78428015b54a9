/* SPDX-License-Identifier: Apache-2.0
 * One attempt in a program's hands: what it reads, what it says, how it ends. A pawl_job_t is the
 * lease itself; ending it takes it out of the program's hands and makes it the carrier of its
 * result. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "client/record.h"
#include "client/worker.h"
#include "schemas/limits.h"
#include "schemas/wire.h"

static pthread_mutex_t *lock_of(const pawl_job_t *self)
{
    return &self->worker->client->work_lock;
}

/* ---- what it is ------------------------------------------------------------------------------ */

const uint8_t *pawl_job_id(const pawl_job_t *self)
{
    return self->id;
}

uint64_t pawl_job_token(const pawl_job_t *self)
{
    return self->token;
}

unsigned pawl_job_attempt(const pawl_job_t *self)
{
    return self->attempt;
}

unsigned pawl_job_attempts_max(const pawl_job_t *self)
{
    return self->attempts_max;
}

uint64_t pawl_job_folded(const pawl_job_t *self, int64_t *first_us, int64_t *last_us)
{
    if (first_us) *first_us = self->folded_count ? self->folded_first_us : self->planned_us;
    if (last_us) *last_us = self->planned_us;
    return self->folded_count;
}

int64_t pawl_job_planned_us(const pawl_job_t *self)
{
    return self->planned_us;
}

const char *pawl_job_schedule(const pawl_job_t *self)
{
    return self->schedule ? self->schedule : "";
}

const uint8_t *pawl_job_parent(const pawl_job_t *self)
{
    return self->shard_total ? self->parent : NULL;
}

unsigned pawl_job_shard_index(const pawl_job_t *self)
{
    return self->shard_index;
}

unsigned pawl_job_shard_total(const pawl_job_t *self)
{
    return self->shard_total;
}

const char *pawl_job_type(const pawl_job_t *self)
{
    return self->task->type;
}

const void *pawl_job_input(const pawl_job_t *self, size_t *len)
{
    if (len) *len = self->task->input.len;
    return self->task->input.data ? (const void *)self->task->input.data : "";
}

const pawl_record_t *pawl_job_task(const pawl_job_t *self)
{
    return record_of_const(self->task);
}

const char *pawl_job_completion(const pawl_job_t *self)
{
    return self->completion;
}

unsigned pawl_job_polls(const pawl_job_t *self)
{
    return self->polls;
}

const void *pawl_job_poll_state(const pawl_job_t *self, size_t *len)
{
    if (len) *len = self->poll_state.len;
    return self->poll_state.at ? (const void *)self->poll_state.at : "";
}

int64_t pawl_job_until_us(const pawl_job_t *self)
{
    pawl_client_t *client = self->worker->client;
    if (!self->task->exclusive) return INT64_MAX;
    if (!client_is_ours(client)) return 0;
    pthread_mutex_lock(&client->lock);
    int64_t lease_us = client->lease_us;
    pthread_mutex_unlock(&client->lock);
    return atomic_load(&client->answered_us) + lease_us - EXCLUSIVE_MARGIN_US(lease_us);
}

pawl_job_state pawl_job_state_of(const pawl_job_t *self)
{
    return (pawl_job_state)atomic_load(&self->state);
}

int pawl_job_fd(const pawl_job_t *self)
{
    if (!client_is_ours(self->worker->client)) return -1;
    pawl_job_t *job = (pawl_job_t *)(uintptr_t)self;
    pthread_mutex_lock(lock_of(self));
    if (job->fd < 0) {
        job->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (job->fd >= 0 && atomic_load(&job->state) != PAWL_RUN) raise_fd(job->fd);
    }
    int fd = job->fd;
    pthread_mutex_unlock(lock_of(self));
    return fd;
}

void job_set_state(struct pawl_job *self, pawl_job_state state)
{
    if (atomic_load(&self->state) >= (int)state) return; /* fenced is for ever */
    atomic_store(&self->state, (int)state);
    if (self->fd >= 0) raise_fd(self->fd);
    worker_signal(self->worker);
}

/* ---- what it says ---------------------------------------------------------------------------- */

/* The broker refuses texts with control bytes or bad UTF-8 as a whole: make them harmless here.
 * NULL: out of memory. */
static char *harmless(const char *text, size_t most)
{
    const char *from = text ? text : "";
    size_t len = strlen(from), room = (len < most ? len : most) + 1;
    char *line = malloc(room);
    if (line) wire_text_line(line, room, from, len);
    return line;
}

pawl_err pawl_job_progress(pawl_job_t *self, int64_t done, int64_t total, const char *text)
{
    pawl_err err = client_check(self->worker->client);
    if (err) return err;
    char *copy = harmless(text, LIMIT_TEXT);
    if (!copy) return fail_with(self->worker->client, PAWL_E_NO_MEMORY, NULL);
    pthread_mutex_lock(lock_of(self));
    free(self->progress_text);
    self->progress_text = copy;
    self->progress_done = done;
    self->progress_total = total;
    self->has_progress = true;
    if (!self->log_since_us) self->log_since_us = clock_steady_us();
    client_wake(self->worker->client);
    pthread_mutex_unlock(lock_of(self));
    return PAWL_OK;
}

static log_chunk_t *chunk_after(pawl_job_t *self, log_chunk_t *last, int stream)
{
    log_chunk_t *chunk = calloc(1, sizeof *chunk);
    if (!chunk) return NULL;
    chunk->stream = (uint32_t)stream;
    chunk->offset = self->log_offset;
    chunk->time_us = clock_wall_us();
    if (last)
        last->next = chunk;
    else
        self->logs = chunk;
    self->logs_last = chunk;
    return chunk;
}

/* The chunk that takes the next bytes: the last one while it fits seamlessly. */
static log_chunk_t *chunk_for(pawl_job_t *self, int stream)
{
    log_chunk_t *last = self->logs ? self->logs_last : NULL;
    if (last && last->stream == (uint32_t)stream && last->data.len < LIMIT_LOG_CHUNK &&
        last->offset + last->data.len == self->log_offset)
        return last;
    return chunk_after(self, last, stream);
}

pawl_err pawl_job_log(pawl_job_t *self, int stream, const void *bytes, size_t len)
{
    pawl_err err = client_check(self->worker->client);
    if (err) return err;
    if (stream < 1 || stream > 3)
        return fail_with(self->worker->client, PAWL_E_BAD_REQUEST, "a stream is 1, 2 or 3");
    pthread_mutex_lock(lock_of(self));
    if (self->log_bytes && self->log_bytes + len > WORKER_LOG_WAITING) err = PAWL_E_BACKPRESSURE;
    const uint8_t *from = bytes;
    bool first = !self->logs;
    while (!err && len > 0) {
        log_chunk_t *chunk = chunk_for(self, stream);
        size_t room = chunk ? LIMIT_LOG_CHUNK - chunk->data.len : 0;
        size_t part = len < room ? len : room;
        if (!chunk || !bytes_add(&chunk->data, from, part)) {
            err = PAWL_E_NO_MEMORY;
            break;
        }
        self->log_offset += part;
        self->log_bytes += part;
        from += part;
        len -= part;
    }
    if (!self->log_since_us && self->logs) self->log_since_us = clock_steady_us();
    if (first) client_wake(self->worker->client);
    pthread_mutex_unlock(lock_of(self));
    return err ? fail_with(self->worker->client, err, NULL) : PAWL_OK;
}

bool job_log_has(struct pawl_job *self, uint64_t bytes)
{
    self->log_offset = bytes;
    return bytes == 0 || chunk_after(self, NULL, 3) != NULL;
}

void pawl_job_log_skip(pawl_job_t *self, uint64_t len)
{
    if (!client_is_ours(self->worker->client)) return;
    pthread_mutex_lock(lock_of(self));
    self->log_offset += len;
    pthread_mutex_unlock(lock_of(self));
}

pawl_err pawl_job_output(pawl_job_t *self, const void *bytes, size_t len, const char *content_type)
{
    const pawl_client_t *client = self->worker->client;
    pawl_err err = client_check(client);
    if (err) return err;
    if (len > LIMIT_OUTPUT)
        return fail_with_field(client, -(pawl_err)ERR_TOO_LARGE,
                               "an output has at most 1 MiB: store it elsewhere and return where",
                               "output", 0);
    char *type = harmless(content_type, LIMIT_NAME);
    bytes_t copy = { 0 };
    if (!type || !bytes_add(&copy, bytes, len)) {
        free(type);
        return fail_with(client, PAWL_E_NO_MEMORY, NULL);
    }
    pthread_mutex_lock(lock_of(self));
    bytes_free(&self->output);
    free(self->output_type);
    self->output = copy;
    self->output_type = type;
    pthread_mutex_unlock(lock_of(self));
    return PAWL_OK;
}

void pawl_job_exit(pawl_job_t *self, int exit_code, int signal)
{
    if (!client_is_ours(self->worker->client)) return;
    pthread_mutex_lock(lock_of(self));
    self->has_exit = true;
    self->exit_code = exit_code;
    self->signal = signal > 0 ? (unsigned)signal : 0;
    pthread_mutex_unlock(lock_of(self));
}

void pawl_job_usage(pawl_job_t *self, int64_t cpu_us, int64_t memory_bytes)
{
    if (!client_is_ours(self->worker->client)) return;
    pthread_mutex_lock(lock_of(self));
    self->cpu_us = cpu_us;
    self->memory_bytes = memory_bytes;
    pthread_mutex_unlock(lock_of(self));
}

void pawl_job_started(pawl_job_t *self, int64_t started_us)
{
    if (!client_is_ours(self->worker->client)) return;
    pthread_mutex_lock(lock_of(self));
    self->started_us = started_us;
    pthread_mutex_unlock(lock_of(self));
}

/* ---- how it ends ----------------------------------------------------------------------------- */

bool job_make_result(struct pawl_job *self, Pawl__V1__Outcome outcome, const char *message,
                     int64_t retry_after_us)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    Pawl__V1__Usage usage = PAWL__V1__USAGE__INIT;
    char *text = harmless(message, LIMIT_MESSAGE_KEPT);
    bytes_t packed = { 0 };
    result.id = (ProtobufCBinaryData){ 16, self->id };
    result.token = self->token;
    result.outcome = outcome;
    if (self->has_exit) {
        result.exit_code = self->exit_code;
        result.exit_set_case = PAWL__V1__RESULT__EXIT_SET_EXIT_CODE;
        result.signal = self->signal;
    }
    result.output = (ProtobufCBinaryData){ self->output.len, self->output.at };
    if (self->output_type) result.output_type = self->output_type;
    if (text) result.message = text;
    result.started_us = self->started_us;
    result.ended_us = clock_wall_us();
    result.retry_after_us = retry_after_us;
    result.log_bytes = self->log_offset;
    if (outcome == PAWL__V1__OUTCOME__OUTCOME_AGAIN)
        result.poll_state = (ProtobufCBinaryData){ self->poll_state.len, self->poll_state.at };
    if (outcome == PAWL__V1__OUTCOME__OUTCOME_ASYNC) result.deadline_us = self->deadline_us;
    if (self->cpu_us || self->memory_bytes) {
        usage.cpu_us = self->cpu_us;
        usage.memory_bytes = self->memory_bytes;
        result.usage = &usage;
    }
    bool ok = text && bytes_add_message(&packed, &result.base);
    free(text);
    if (!ok) {
        bytes_free(&packed);
        return false;
    }
    bytes_free(&self->result);
    self->result = packed;
    return true;
}

/* The caller's own thread asks the outbox: a hand-over to another would cost more than most stores.
 * Caller holds the lock, which is free meanwhile; a job that is being stored is nobody else's. */
static pawl_err store_result(pawl_job_t *self)
{
    const pawl_outbox_t *outbox = &self->worker->outbox;
    pthread_mutex_t *lock = lock_of(self);
    job_move(self, LEASE_STORING);
    pthread_mutex_unlock(lock);
    int rc = outbox->store(outbox->arg, self->id, self->token, self->result.at, self->result.len);
    pthread_mutex_lock(lock);
    self->kept = rc == 0;
    if (self->kept) return PAWL_OK;
    job_move(self, LEASE_RUNNING);
    return PAWL_E_OS;
}

static pawl_err end(pawl_job_t **self_p, Pawl__V1__Outcome outcome, const char *message,
                    int64_t retry_after_us)
{
    pawl_job_t *self = *self_p;
    pawl_worker_t *worker = self->worker;
    pawl_client_t *client = worker->client;
    pawl_err err = client_check(client);
    if (err) return err;
    pthread_mutex_lock(&client->work_lock);
    if (!job_make_result(self, outcome, message, retry_after_us)) err = PAWL_E_NO_MEMORY;
    if (!err && worker->outbox.store) err = store_result(self);
    if (!err) {
        *self_p = NULL;
        if (self->ended) *self->ended = true;
        self->ended = NULL;
        arena_free_of(self->task);
        self->task = NULL;
        bytes_free(&self->output);
        if (self->fd >= 0) close(self->fd);
        self->fd = -1;
        if (worker->waiting.n == 0) worker->waiting_since_us = clock_steady_us();
        job_move(self, LEASE_WAITING);
        if (worker->ready.n)
            worker_signal(worker); /* a slot is free for it */
        else
            pthread_cond_broadcast(&worker->changed);
        /* the answer to a report in flight wakes the link anyway */
        bool looks = worker->flight[job_has_words(self) ? LANE_WORDS : LANE_RESULTS].seq == 0;
        if (looks && (worker->waiting.n == 1 || worker->waiting.n == GATHER_MOST))
            client_wake(client);
    }
    pthread_mutex_unlock(&client->work_lock);
    return err ? fail_with(client, err,
                           err == PAWL_E_OS ? "the outbox could not keep the result" : NULL)
               : PAWL_OK;
}

pawl_err pawl_job_finish(pawl_job_t **self_p, const char *message)
{
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_DONE, message, 0);
}

pawl_err pawl_job_fail(pawl_job_t **self_p, const char *message, bool permanent)
{
    return end(self_p,
               permanent ? PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT
                         : PAWL__V1__OUTCOME__OUTCOME_FAIL,
               message, 0);
}

pawl_err pawl_job_timed_out(pawl_job_t **self_p, const char *message)
{
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_TIMEOUT, message, 0);
}

pawl_err pawl_job_cancelled(pawl_job_t **self_p, const char *message)
{
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_CANCELLED, message, 0);
}

pawl_err pawl_job_give_back(pawl_job_t **self_p, const char *message)
{
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_RETURN, message, 0);
}

pawl_err pawl_job_retry_after(pawl_job_t **self_p, int64_t delay_us, const char *message)
{
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_RETRY_AFTER, message,
               delay_us > 0 ? delay_us : 0);
}

pawl_err pawl_job_again(pawl_job_t **self_p, int64_t delay_us, const void *state, size_t len,
                        const char *message)
{
    pawl_job_t *self = *self_p;
    const pawl_client_t *client = self->worker->client;
    pawl_err err = client_check(client);
    if (err) return err;
    if (len > LIMIT_POLL_STATE)
        return fail_with_field(client, -(pawl_err)ERR_TOO_LARGE,
                               "a poll leaves at most 64 KiB: store it elsewhere and leave where",
                               "state", 0);
    bytes_t copy = { 0 };
    if (!bytes_add(&copy, state, len)) return fail_with(client, PAWL_E_NO_MEMORY, NULL);
    pthread_mutex_lock(lock_of(self));
    bytes_free(&self->poll_state);
    self->poll_state = copy;
    pthread_mutex_unlock(lock_of(self));
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_AGAIN, message, delay_us > 0 ? delay_us : 0);
}

pawl_err pawl_job_external(pawl_job_t **self_p, int64_t deadline_us, const char *note)
{
    pawl_err err = client_check((*self_p)->worker->client);
    if (err) return err;
    pthread_mutex_lock(lock_of(*self_p));
    (*self_p)->deadline_us = deadline_us > 0 ? deadline_us : 0;
    pthread_mutex_unlock(lock_of(*self_p));
    return end(self_p, PAWL__V1__OUTCOME__OUTCOME_ASYNC, note, 0);
}

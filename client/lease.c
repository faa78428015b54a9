/* SPDX-License-Identifier: Apache-2.0
 * The leases of a worker: a table by (id, token) and a list for each stage. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/worker.h"

static size_t bucket_of(const uint8_t id[16], uint64_t token)
{
    return (size_t)((hash64(id, 16) ^ (token * 0x9e3779b97f4a7c15u)) % WORKER_BUCKETS);
}

static job_list_t *list_of(pawl_worker_t *self, lease_stage stage)
{
    switch (stage) {
    case LEASE_READY:
        return &self->ready;
    case LEASE_RUNNING:
        return &self->running;
    case LEASE_STORING:
        return &self->storing;
    case LEASE_WAITING:
        return &self->waiting;
    default:
        return &self->sent;
    }
}

static void list_add(job_list_t *list, struct pawl_job *job)
{
    job->prev = list->last;
    job->next = NULL;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
    list->n++;
}

static void list_remove(job_list_t *list, struct pawl_job *job)
{
    *(job->prev ? &job->prev->next : &list->first) = job->next;
    *(job->next ? &job->next->prev : &list->last) = job->prev;
    job->prev = job->next = NULL;
    list->n--;
}

struct pawl_job *worker_find(pawl_worker_t *self, const uint8_t id[16], uint64_t token)
{
    struct pawl_job *job = self->buckets[bucket_of(id, token)];
    while (job && (job->token != token || memcmp(job->id, id, 16) != 0))
        job = job->bucket_next;
    return job;
}

void worker_insert(pawl_worker_t *self, struct pawl_job *job)
{
    struct pawl_job **bucket = &self->buckets[bucket_of(job->id, job->token)];
    job->bucket_next = *bucket;
    *bucket = job;
    list_add(list_of(self, job->stage), job);
}

void job_move(struct pawl_job *self, lease_stage stage)
{
    list_remove(list_of(self->worker, self->stage), self);
    self->stage = stage;
    list_add(list_of(self->worker, stage), self);
}

static void free_chunks(log_chunk_t *chunk)
{
    while (chunk) {
        log_chunk_t *next = chunk->next;
        bytes_free(&chunk->data);
        free(chunk);
        chunk = next;
    }
}

void job_free(struct pawl_job *self)
{
    pawl_worker_t *worker = self->worker;
    struct pawl_job **at = &worker->buckets[bucket_of(self->id, self->token)];
    while (*at != self)
        at = &(*at)->bucket_next;
    *at = self->bucket_next;
    list_remove(list_of(worker, self->stage), self);
    free_chunks(self->logs);
    free_chunks(self->logs_sent);
    arena_free_of(self->task);
    bytes_free(&self->output);
    bytes_free(&self->result);
    free(self->output_type);
    free(self->progress_text);
    free(self->schedule);
    bytes_free(&self->poll_state);
    if (self->fd >= 0) close(self->fd);
    free(self);
}

void job_settle(struct pawl_job *self, const char *verdict)
{
    pawl_worker_t *worker = self->worker;
    struct settled *slot = &worker->settled[worker->settled_at++ % WORKER_SETTLED];
    memcpy(slot->id, self->id, 16);
    slot->token = self->token;
    if (worker->outbox.settled && self->kept)
        worker->outbox.settled(worker->outbox.arg, self->id, self->token, verdict);
    job_free(self);
    pthread_cond_broadcast(&worker->changed);
}

bool job_has_words(const struct pawl_job *self)
{
    return self->logs || self->logs_sent || self->has_progress || self->progress_sent;
}

void job_end_unrun(struct pawl_job *self, Pawl__V1__Outcome outcome, const char *message)
{
    /* Out of memory: it stays READY; the broker will ask again, or take it back with the session.
     */
    if (job_make_result(self, outcome, message, 0)) job_move(self, LEASE_WAITING);
}

bool worker_drains(const pawl_worker_t *self)
{
    return self->drain_local || self->drain_remote;
}

size_t worker_held(const pawl_worker_t *self)
{
    return self->ready.n + self->running.n + self->storing.n + self->waiting.n + self->sent.n;
}

uint32_t worker_credit(const pawl_worker_t *self)
{
    /* draining: none, not "as many as are held": what a report gives back would come again with the
     * room that the same report makes */
    size_t credit = worker_drains(self) ? 0 : (size_t)self->slots + self->prefetch;
    return credit > UINT32_MAX ? UINT32_MAX : (uint32_t)credit;
}

void worker_signal(pawl_worker_t *self)
{
    if (!self->raised) raise_fd(self->fd);
    self->raised = true;
    pthread_cond_broadcast(&self->changed);
}

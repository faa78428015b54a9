/* SPDX-License-Identifier: Apache-2.0
 * The life of a worker: what it serves, its threads, taking jobs, draining. */
#include "client/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "schemas/limits.h"

enum { SLOTS_MAX = 10000, PREFETCH_DEFAULT_MAX = 64 };

pawl_worker_t *pawl_worker_new(pawl_client_t *client)
{
    if (client_check(client)) return NULL;
    if (client->role != PAWL__V1__ROLE__ROLE_EXECUTOR) {
        fail_with(client, PAWL_E_CONFIG, "a worker needs a handle whose role is executor");
        return NULL;
    }
    pawl_worker_t *self = calloc(1, sizeof *self);
    int fd = self ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (fd < 0) {
        fail_with(client, self ? PAWL_E_OS : PAWL_E_NO_MEMORY, NULL);
        free(self);
        return NULL;
    }
    self->client = client;
    self->fd = fd;
    self->slots = 1;
    cond_init(&self->changed);
    pthread_mutex_lock(&client->work_lock);
    bool taken = client->worker != NULL;
    if (!taken) client->worker = self;
    pthread_mutex_unlock(&client->work_lock);
    if (taken) {
        fail_with(client, PAWL_E_EXISTS, "this handle has a worker already");
        close(fd);
        pthread_cond_destroy(&self->changed);
        free(self);
        return NULL;
    }
    client_hold(client);
    return self;
}

/* ---- what it serves: before start ------------------------------------------------------------ */

static pawl_err add_name(names_t *names, const char *name)
{
    char *copy = strdup(name);
    char **at = copy ? realloc(names->at, (names->n + 1) * sizeof *at) : NULL;
    if (!at) {
        free(copy);
        return PAWL_E_NO_MEMORY;
    }
    names->at = at;
    at[names->n++] = copy;
    return PAWL_OK;
}

static void free_names(names_t *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->at[i]);
    free(names->at);
}

static pawl_err not_started(const pawl_worker_t *self)
{
    pawl_err err = client_check(self->client);
    if (err) return err;
    return self->started ? fail_with(self->client, PAWL_E_CONFIG, "the worker has started already")
                         : PAWL_OK;
}

pawl_err pawl_worker_type(pawl_worker_t *self, const char *type, pawl_work_fn *fn, void *arg)
{
    pawl_err err = not_started(self);
    if (err) return err;
    worker_type_t *types = realloc(self->types, (self->type_count + 1) * sizeof *types);
    if (!types) return fail_with(self->client, PAWL_E_NO_MEMORY, NULL);
    self->types = types;
    char *name = strdup(type);
    if (!name) return fail_with(self->client, PAWL_E_NO_MEMORY, NULL);
    types[self->type_count++] = (worker_type_t){ name, fn, arg };
    return PAWL_OK;
}

pawl_err pawl_worker_kind(pawl_worker_t *self, const char *kind)
{
    pawl_err err = not_started(self);
    return err ? err : fail_with(self->client, add_name(&self->kinds, kind), NULL);
}

pawl_err pawl_worker_queue(pawl_worker_t *self, const char *queue)
{
    pawl_err err = not_started(self);
    return err ? err : fail_with(self->client, add_name(&self->queues, queue), NULL);
}

pawl_err pawl_worker_label(pawl_worker_t *self, const char *key, const char *value)
{
    pawl_err err = not_started(self);
    if (!err) err = add_name(&self->label_keys, key);
    if (!err && (err = add_name(&self->label_values, value)))
        free(self->label_keys.at[--self->label_keys.n]);
    return fail_with(self->client, err, NULL);
}

pawl_err pawl_worker_interpreter(pawl_worker_t *self, const char *name, const char *version)
{
    pawl_err err = not_started(self);
    if (!err) err = add_name(&self->interpreters, name);
    if (!err && (err = add_name(&self->interpreter_versions, version ? version : "")))
        free(self->interpreters.at[--self->interpreters.n]);
    return fail_with(self->client, err, NULL);
}

pawl_err pawl_worker_source(pawl_worker_t *self, const char *name)
{
    pawl_err err = not_started(self);
    return err ? err : fail_with(self->client, add_name(&self->sources, name), NULL);
}

pawl_err pawl_worker_slots(pawl_worker_t *self, unsigned slots)
{
    pawl_err err = not_started(self);
    if (!err && (slots < 1 || slots > SLOTS_MAX))
        err = fail_with_field(self->client, PAWL_E_CONFIG, "slots are 1 to 10000", "slots", 0);
    if (!err) self->slots = slots;
    return err;
}

pawl_err pawl_worker_prefetch(pawl_worker_t *self, unsigned extra)
{
    pawl_err err = client_check(self->client);
    if (!err && extra > SLOTS_MAX)
        err = fail_with_field(self->client, PAWL_E_CONFIG, "prefetch is 0 to 10000", "prefetch", 0);
    if (err) return err;
    pthread_mutex_lock(&self->client->work_lock);
    self->prefetch = extra; /* the broker learns it with the next report */
    self->prefetch_set = true;
    pthread_mutex_unlock(&self->client->work_lock);
    return PAWL_OK;
}

bool pawl_worker_end_wanted(const pawl_worker_t *self, int64_t *within_us)
{
    *within_us = 0;
    if (!client_is_ours(self->client)) return false;
    pthread_mutex_lock(&self->client->work_lock);
    bool wanted = self->end_wanted;
    *within_us = self->end_within_us;
    pthread_mutex_unlock(&self->client->work_lock);
    return wanted;
}

size_t pawl_worker_return_waiting(pawl_worker_t *self, int64_t older_us)
{
    if (!client_is_ours(self->client)) return 0;
    int64_t before = clock_steady_us() - older_us;
    size_t n = 0;
    pthread_mutex_lock(&self->client->work_lock);
    for (struct pawl_job *job = self->ready.first, *next; job; job = next) {
        next = job->next;
        if (job->came_us > before) continue;
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_RETURN, "it waited for a slot here");
        n++;
    }
    if (n) client_wake(self->client);
    pthread_mutex_unlock(&self->client->work_lock);
    return n;
}

void pawl_worker_outbox(pawl_worker_t *self, const pawl_outbox_t *outbox)
{
    if (!client_is_ours(self->client)) return;
    pthread_mutex_lock(&self->client->work_lock);
    self->outbox = *outbox;
    pthread_mutex_unlock(&self->client->work_lock);
}

/* The bytes are a packed Result, as the outbox was given it. */
pawl_err pawl_worker_restore(pawl_worker_t *self, const uint8_t id[PAWL_ID_BYTES], uint64_t token,
                             const void *bytes, size_t len)
{
    pawl_err err = not_started(self);
    if (err) return err;
    Pawl__V1__Result *result = pawl__v1__result__unpack(NULL, len, bytes);
    bool fits = result && result->id.len == 16 && !memcmp(result->id.data, id, 16) &&
                result->token == token;
    uint64_t log_bytes = fits ? result->log_bytes : 0;
    if (result) pawl__v1__result__free_unpacked(result, NULL);
    if (!fits)
        return fail_with(self->client, PAWL_E_BAD_REQUEST,
                         "these bytes are no result of this lease");
    struct pawl_job *job = calloc(1, sizeof *job);
    if (!job || !bytes_add(&job->result, bytes, len)) {
        free(job);
        return fail_with(self->client, PAWL_E_NO_MEMORY, NULL);
    }
    memcpy(job->id, id, 16);
    job->token = token;
    job->worker = self;
    job->stage = LEASE_WAITING;
    job->kept = true;
    job->fd = -1;
    if (!job_log_has(job, log_bytes)) {
        bytes_free(&job->result);
        free(job);
        return fail_with(self->client, PAWL_E_NO_MEMORY, NULL);
    }
    pthread_mutex_lock(&self->client->work_lock);
    worker_insert(self, job);
    pthread_mutex_unlock(&self->client->work_lock);
    return PAWL_OK;
}

/* ---- taking jobs ----------------------------------------------------------------------------- */

static const worker_type_t *type_of(const pawl_worker_t *self, const char *name)
{
    for (size_t i = 0; i < self->type_count; i++)
        if (!strcmp(self->types[i].name, name)) return &self->types[i];
    return NULL;
}

/* The first lease that a thread of ours (with_fn) or a puller may take, while a slot is free. */
static struct pawl_job *next_ready(pawl_worker_t *self, bool with_fn)
{
    if (self->running.n + self->storing.n >= self->slots) return NULL;
    for (struct pawl_job *job = self->ready.first; job; job = job->next) {
        const worker_type_t *type = type_of(self, job->task->type);
        bool ours =
            self->thread_count && (!type || type->fn); /* unknown types: our thread fails it */
        if (ours == with_fn) return job;
    }
    return NULL;
}

static pawl_err take(pawl_worker_t *self, bool with_fn, struct pawl_job **job, int64_t deadline)
{
    bool in_time = true;
    for (;;) {
        *job = self->closed || self->ending ? NULL : next_ready(self, with_fn);
        if (*job) {
            job_move(*job, LEASE_RUNNING);
            (*job)->started_us = clock_wall_us();
            return PAWL_OK;
        }
        if (self->closed || self->ending) return PAWL_E_CLOSED;
        if (!in_time) return PAWL_E_TIMEOUT;
        in_time = cond_wait_until(&self->changed, &self->client->work_lock, deadline);
    }
}

pawl_err pawl_worker_next(pawl_worker_t *self, pawl_job_t **job, int64_t timeout_us)
{
    *job = NULL;
    pawl_err err = client_check(self->client);
    if (err) return err;
    int64_t deadline = deadline_of(timeout_us);
    pthread_mutex_lock(&self->client->work_lock);
    err = take(self, false, job, deadline);
    if (err && self->raised) { /* seen: nothing to take now */
        lower_fd(self->fd);
        self->raised = false;
    }
    pthread_mutex_unlock(&self->client->work_lock);
    return err ? fail_with(self->client, err, err == PAWL_E_TIMEOUT ? "no job came in time" : NULL)
               : PAWL_OK;
}

int pawl_worker_fd(const pawl_worker_t *self)
{
    return self->fd;
}

/* Ends a job that its callback left, as often as the outbox refuses it: else its slot is gone. */
static void fail_left(pawl_worker_t *self, pawl_job_t *job, const char *why)
{
    pthread_mutex_t *lock = &self->client->work_lock;
    while (pawl_job_fail(&job, why, false) && job) {
        int64_t deadline = deadline_of(PAWL_SEC_US);
        pthread_mutex_lock(lock);
        while (!self->closed && !self->ending && cond_wait_until(&self->changed, lock, deadline))
            ;
        bool over = self->closed || self->ending;
        pthread_mutex_unlock(lock);
        if (over) return;
    }
}

static void *run_jobs(void *arg)
{
    pawl_worker_t *self = arg;
    for (;;) {
        struct pawl_job *job;
        bool ended = false;
        pthread_mutex_lock(&self->client->work_lock);
        pawl_err err = take(self, true, &job, INT64_MAX);
        const worker_type_t *type = err ? NULL : type_of(self, job->task->type);
        if (!err) job->ended = &ended;
        pthread_mutex_unlock(&self->client->work_lock);
        if (err) return NULL;
        if (type) type->fn(job, type->arg);
        pthread_mutex_lock(&self->client->work_lock);
        bool left = !ended;
        pthread_mutex_unlock(&self->client->work_lock);
        if (left)
            fail_left(self, job,
                      type ? "the program left the job without ending it"
                           : "this program does not serve the type");
    }
}

static pawl_err start_threads(pawl_worker_t *self)
{
    bool wanted = false;
    for (size_t i = 0; i < self->type_count; i++)
        wanted = wanted || self->types[i].fn;
    if (!wanted) return PAWL_OK;
    self->threads = calloc(self->slots, sizeof *self->threads);
    if (!self->threads) return PAWL_E_NO_MEMORY;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    while (rc == 0 && self->thread_count < self->slots) {
        rc = pthread_create(&self->threads[self->thread_count], NULL, run_jobs, self);
        if (rc == 0) self->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? PAWL_OK : PAWL_E_OS;
}

pawl_err pawl_worker_start(pawl_worker_t *self, int64_t timeout_us)
{
    pawl_client_t *client = self->client;
    pawl_err err = client_check(client);
    if (!err) err = not_started(self);
    if (!err && !self->kinds.n) err = fail_with(client, add_name(&self->kinds, "worker"), NULL);
    if (err) return err;
    if (!self->prefetch_set)
        self->prefetch = self->slots < PREFETCH_DEFAULT_MAX ? self->slots : PREFETCH_DEFAULT_MAX;
    pthread_mutex_lock(&client->work_lock);
    self->started = true;
    err = start_threads(self);
    pthread_mutex_unlock(&client->work_lock);
    if (err) return fail_with(client, err, "the worker's threads cannot be started");
    pthread_mutex_lock(&client->lock);
    client->started = true;
    client_wake(client);
    pthread_mutex_unlock(&client->lock);
    return pawl_client_connect(client, timeout_us);
}

/* ---- draining and the end -------------------------------------------------------------------- */

/* Caller holds the lock: takes no more. Prefetched leases go back. Asked again it tells nothing
 * new, so a program may look again as often as it likes. */
static void give_back(pawl_worker_t *self)
{
    if (self->drain_local && !self->ready.n) return;
    self->drain_local = true;
    for (struct pawl_job *job = self->ready.first, *next; job; job = next) {
        next = job->next;
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_RETURN, "the executor drains");
    }
    self->report_wanted = true;
    client_wake(self->client);
}

static bool is_idle(const pawl_worker_t *self)
{
    return worker_held(self) == 0;
}

static bool await_idle(pawl_worker_t *self, int64_t deadline)
{
    bool in_time = true;
    while (!is_idle(self) && !self->closed && in_time)
        in_time = cond_wait_until(&self->changed, &self->client->work_lock, deadline);
    return is_idle(self);
}

pawl_err pawl_worker_drain(pawl_worker_t *self, int64_t timeout_us)
{
    pawl_err err = client_check(self->client);
    if (err) return err;
    int64_t deadline = deadline_of(timeout_us);
    pthread_mutex_lock(&self->client->work_lock);
    give_back(self);
    worker_signal(self);
    bool idle = await_idle(self, deadline);
    bool closed = self->closed;
    pthread_mutex_unlock(&self->client->work_lock);
    if (idle) return PAWL_OK;
    return fail_with(self->client, closed ? PAWL_E_CLOSED : PAWL_E_TIMEOUT,
                     "jobs still run, or results have no answer yet");
}

void pawl_worker_resume(pawl_worker_t *self)
{
    if (!client_is_ours(self->client)) return;
    pthread_mutex_lock(&self->client->work_lock);
    self->drain_local = false;
    self->report_wanted = true;
    client_wake(self->client);
    pthread_mutex_unlock(&self->client->work_lock);
}

bool pawl_worker_draining(const pawl_worker_t *self)
{
    if (!client_is_ours(self->client)) return true;
    pthread_mutex_lock(&self->client->work_lock);
    bool drains = worker_drains(self);
    pthread_mutex_unlock(&self->client->work_lock);
    return drains;
}

static void free_worker(pawl_worker_t *self)
{
    job_list_t *lists[] = { &self->ready, &self->running, &self->storing, &self->waiting,
                            &self->sent };
    for (int k = 0; k < 5; k++)
        while (lists[k]->first)
            job_free(lists[k]->first);
    for (size_t i = 0; i < self->type_count; i++)
        free(self->types[i].name);
    free(self->types);
    free_names(&self->kinds);
    free_names(&self->queues);
    free_names(&self->label_keys);
    free_names(&self->label_values);
    free_names(&self->interpreters);
    free_names(&self->sources);
    free_names(&self->interpreter_versions);
    free(self->threads);
    free(self->claims);
    free(self->claim_ids);
    close(self->fd);
    pthread_cond_destroy(&self->changed);
    free(self);
}

void pawl_worker_destroy(pawl_worker_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl_worker_t *self = *self_p;
    pawl_client_t *client = self->client;
    *self_p = NULL;
    if (client->pid != getpid()) return;
    pthread_mutex_lock(&client->work_lock);
    self->ending = true;
    give_back(self);
    worker_signal(self);
    pthread_mutex_unlock(&client->work_lock);
    for (unsigned i = 0; i < self->thread_count; i++)
        pthread_join(self->threads[i], NULL);
    pthread_mutex_lock(&client->work_lock);
    for (struct pawl_job *job = self->running.first, *next; job; job = next) {
        next = job->next;
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_RETURN, "the program ended before the job");
    }
    client_wake(client);
    if (self->started) await_idle(self, deadline_of(PAWL_SEC_US));
    client->no_bye = self->storing.n + self->waiting.n + self->sent.n > 0;
    client->worker = NULL;
    pthread_mutex_unlock(&client->work_lock);
    free_worker(self);
    client_release(client);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"

enum {
    IDLE_MS = 60000,
    AGAIN_US = 200000,      /* a timer whose batch was refused is tried again so much later */
    TOLD_US = 10000000,     /* refusals are told so often */
    OUTPUTS_KEPT = 4 << 20, /* one large batch must not cost memory for ever */
};

struct writer {
    zactor_t *actor;
    zsock_t *near, *far; /* the PAIR: the front's end, ours */
    core_t *core;
    store_t *store;
    poison_t *poison;
    tape_t *tape;    /* NULL: nothing is recorded */
    int want_events; /* as core was told last; -1: never */
    uint64_t number;
    int64_t hold_until_us; /* no batch of our own before: the last one was refused */
    int64_t told_us;       /* a refusal was logged */
    uint64_t refused;      /* since then */
    hist_t commit, batch;
};

/* ---- jobs ------------------------------------------------------------------------------------ */

job_t *job_new(void)
{
    job_t *self = mem_new(sizeof *self);
    wire_arena_init(&self->arena);
    self->want_events = -1;
    return self;
}

void job_reset(job_t *self)
{
    for (size_t i = 0; i < self->n; i++)
        if (self->commands[i].kind == CMD_PURGE) free((void *)(uintptr_t)self->commands[i].ns);
    for (size_t i = 0; i < self->held_n; i++)
        query_free(&self->held[i]);
    self->held_n = 0;
    self->n = 0;
    self->ops = 0;
    wire_arena_reset(&self->arena);
    self->record.len = 0;
    self->want_stats = false;
    self->want_events = -1;
    outputs_clear(&self->outputs);
    self->outputs.batch = 0; /* it was in none */
    if (self->outputs.bytes.room > OUTPUTS_KEPT) buf_free(&self->outputs.bytes);
    writer_stats_free(&self->stats);
    self->own = self->refused = false;
    self->next = NULL;
}

void job_free(job_t **self_p)
{
    job_t *self = *self_p;
    if (self == NULL) return;
    job_reset(self);
    wire_arena_free(&self->arena);
    outputs_free(&self->outputs);
    buf_free(&self->record);
    free(self->held);
    free(self->commands);
    free(self->items);
    free(self);
    *self_p = NULL;
}

command_t *job_add(job_t *self, job_item_t item)
{
    if (self->n == self->room) {
        self->room = self->room ? self->room * 2 : 64;
        self->commands = mem_grow(self->commands, self->room * sizeof *self->commands);
        self->items = mem_grow(self->items, self->room * sizeof *self->items);
    }
    self->items[self->n] = item;
    command_t *command = &self->commands[self->n++];
    *command = (command_t){ .conn = item.conn };
    self->ops += item.items ? item.items : 1;
    return command;
}

void writer_stats_free(writer_stats_t **self_p)
{
    if (*self_p == NULL) return;
    free((*self_p)->core.queues);
    free(*self_p);
    *self_p = NULL;
}

writer_stats_t *writer_stats_take(const core_t *core, store_t *store)
{
    writer_stats_t *stats = mem_new(sizeof *stats);
    core_stats(core, &stats->core);
    if (stats->core.queue_us != NULL) stats->queue = *stats->core.queue_us;
    if (stats->core.run_us != NULL) stats->run = *stats->core.run_us;
    stats->core.queue_us = stats->core.run_us = NULL;
    store_usage(store, &stats->usage);
    return stats;
}

/* ---- the step -------------------------------------------------------------------------------- */

/* What is due stays due: without a pause an empty batch would be tried without end. */
static void on_refused(writer_t *self, const job_t *job, err_t err)
{
    int64_t now = clock_steady_us();
    self->hold_until_us = now + AGAIN_US;
    self->refused++;
    if (self->told_us && now - self->told_us < TOLD_US) return;
    log_event(LOG_WARN, "COMMIT_REFUSED", "err=%s commands=%zu batches=%llu", err_name(err), job->n,
              (unsigned long long)self->refused);
    self->told_us = now;
    self->refused = 0;
}

/* When an empty batch is due: core's next timer, later when the last batch was refused. */
static int64_t own_due_us(const writer_t *self)
{
    int64_t due = core_next_due_us(self->core);
    return due < self->hold_until_us ? self->hold_until_us : due;
}

/* Steps core. Returns only when the outputs may leave. */
static void step(writer_t *self, job_t *job)
{
    batch_t batch = { .wall_us = clock_wall_us(),
                      .steady_us = clock_steady_us(),
                      .commands = job->commands,
                      .n = job->n };
    random_bytes(batch.random, sizeof batch.random);
    self->number++;
    store_usage_t usage;
    store_usage(self->store, &usage);
    tape_batch(self->tape, self->number, &batch, self->want_events, &usage,
               slice(job->record.at, job->record.len));
    poison_begin(self->poison);
    for (size_t i = 0; i < job->n; i++)
        poison_add(self->poison, job->items[i].hash);
    self->store->told.len = 0;
    err_t err = core_step(self->core, &batch, &job->outputs);
    poison_end(self->poison);
    tape_outcome(self->tape, self->number, err, self->store, &job->outputs);
    job->refused = err != ERR_OK;
    if (err != ERR_OK && !core_refused(err)) {
        log_event(LOG_ERROR, "COMMIT_UNKNOWN",
                  "err=%s meaning=\"nothing of this batch was answered; the next start reads what "
                  "the disk holds\"",
                  err_name(err));
        _exit(WRITER_EXIT_UNKNOWN);
    }
    self->hold_until_us = 0;
    if (err != ERR_OK) on_refused(self, job, err);
    hist_add(&self->commit, clock_steady_us() - batch.steady_us);
    hist_add(&self->batch, job->ops);
}

static void on_job(writer_t *self, job_t *job)
{
    if (job->want_events >= 0) {
        self->want_events = job->want_events;
        core_want_events(self->core, job->want_events == 1);
    }
    if (job->n > 0 || own_due_us(self) <= clock_steady_us()) step(self, job);
    if (job->want_stats) {
        job->stats = writer_stats_take(self->core, self->store);
        job->stats->commit = self->commit;
        job->stats->batch = self->batch;
    }
    letter_send(zsock_resolve(self->far), LETTER_DONE, job, 0);
}

/* Milliseconds until core's next timer, rounded up. */
static long until_due_ms(const writer_t *self)
{
    int64_t due = own_due_us(self);
    if (due == INT64_MAX) return IDLE_MS;
    int64_t left = due - clock_steady_us();
    if (left <= 0) return 0;
    return left / 1000 >= IDLE_MS ? IDLE_MS : (long)(left / 1000 + 1);
}

static void writer_main(zsock_t *pipe, void *arg)
{
    writer_t *self = arg;
    void *far = zsock_resolve(self->far);
    zmq_pollitem_t items[] = { { far, 0, ZMQ_POLLIN, 0 },
                               { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 } };
    prctl(PR_SET_NAME, "pawl-writer");
    zsock_signal(pipe, 0);
    bool ending = false;
    while (!ending) {
        letter_t letter;
        if (letter_take(far, &letter)) {
            on_job(self, letter.object);
            continue;
        }
        int ready = zmq_poll(items, ARRAY_LEN(items), until_due_ms(self));
        if (ready < 0 && errno != EINTR) break;
        if (items[1].revents & ZMQ_POLLIN) {
            char *word = zstr_recv(pipe);
            ending = word == NULL || streq(word, "$TERM");
            zstr_free(&word);
        }
        if (ready == 0 && own_due_us(self) <= clock_steady_us()) {
            job_t *job = job_new();
            job->own = true;
            step(self, job);
            letter_send(far, LETTER_DONE, job, 0);
        }
    }
    HANDED_OVER(self);
}

err_t writer_start(writer_t **out, core_t *core, store_t *store, poison_t *poison, tape_t *tape)
{
    writer_t *self = mem_new(sizeof *self);
    self->core = core;
    self->store = store;
    self->poison = poison;
    self->tape = tape;
    self->want_events = -1;
    store->hash_writes = tape != NULL;
    self->near = letter_pipe(&self->far);
    self->actor = zactor_new(writer_main, self);
    CHECK(self->actor != NULL);
    *out = self;
    return ERR_OK;
}

void *writer_socket(writer_t *self)
{
    return zsock_resolve(self->near);
}

void writer_stop(writer_t **self_p)
{
    writer_t *self = *self_p;
    if (self == NULL) return;
    zactor_destroy(&self->actor);
    TAKEN_OVER(self);
    letter_t letter;
    while (letter_take(zsock_resolve(self->near), &letter)) {
        job_t *job = letter.object;
        job_free(&job);
    }
    zsock_destroy(&self->near);
    zsock_destroy(&self->far);
    core_close(&self->core);
    store_close(&self->store);
    free(self);
    *self_p = NULL;
}

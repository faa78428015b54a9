/* SPDX-License-Identifier: Apache-2.0
 * The record (--record FILE), for replay tests; big-endian, one entry a batch:
 *   length u32 of what follows, batch number u64, wall i64, steady i64, random 32 bytes,
 *   count u32 of commands, then each command:
 *     kind u8, conn u64, and for CMD_REQUEST: principal (length u16, bytes), the frame as it came
 *     (length u32, bytes); CMD_ZONE: name (u16, bytes), file (u32, bytes); CMD_PURGE: n u32, n x
 *     u64; CMD_LOST: silent u64; CMD_SUSPECT: flag u8.
 * It is written before the step, without a sync: a crash may cut the last entry. */
#include "broker/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/log.h"

enum { IDLE_MS = 60000 };

struct writer {
    zactor_t *actor;
    zsock_t *near, *far; /* the PAIR: the front's end, ours */
    core_t *core;
    store_t *store;
    poison_t *poison;
    int record_fd; /* -1: nothing is recorded */
    uint64_t number;
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

static void put_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len) {
        ssize_t put = write(fd, at, len);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            log_event(LOG_ERROR, "RECORD_FAILED", "why=\"%s\"", strerror(errno));
            return;
        }
        at += put;
        len -= (size_t)put;
    }
}

static void record_batch(const writer_t *self, const job_t *job, const batch_t *batch)
{
    uint8_t head[4 + 8 + 8 + 8 + 32 + 4], *to = head;
    to = be_put_u32(to, (uint32_t)(sizeof head - 4 + job->record.len));
    to = be_put_u64(to, self->number);
    to = be_put_u64(to, (uint64_t)batch->wall_us);
    to = be_put_u64(to, (uint64_t)batch->steady_us);
    to = be_put_bytes(to, batch->random, sizeof batch->random);
    be_put_u32(to, (uint32_t)batch->n);
    put_all(self->record_fd, head, sizeof head);
    put_all(self->record_fd, job->record.at, job->record.len);
}

/* Steps core. Returns only when the outputs may leave. */
static void step(writer_t *self, job_t *job)
{
    if (job->want_events >= 0) core_want_events(self->core, job->want_events == 1);
    batch_t batch = { .wall_us = clock_wall_us(),
                      .steady_us = clock_steady_us(),
                      .commands = job->commands,
                      .n = job->n };
    random_bytes(batch.random, sizeof batch.random);
    self->number++;
    if (self->record_fd >= 0) record_batch(self, job, &batch);
    poison_begin(self->poison);
    for (size_t i = 0; i < job->n; i++)
        poison_add(self->poison, job->items[i].hash);
    err_t err = core_step(self->core, &batch, &job->outputs);
    poison_end(self->poison);
    job->refused = err != ERR_OK;
    if (err != ERR_OK && !core_refused(err)) {
        log_event(LOG_ERROR, "COMMIT_UNKNOWN",
                  "err=%s meaning=\"nothing of this batch was answered; the next start reads what "
                  "the disk holds\"",
                  err_name(err));
        _exit(WRITER_EXIT_UNKNOWN);
    }
    if (err != ERR_OK)
        log_event(LOG_WARN, "COMMIT_REFUSED", "err=%s commands=%zu", err_name(err), job->n);
    hist_add(&self->commit, clock_steady_us() - batch.steady_us);
    hist_add(&self->batch, job->ops);
}

static void on_job(writer_t *self, job_t *job)
{
    if (job->n > 0 || core_next_due_us(self->core) <= clock_steady_us())
        step(self, job);
    else if (job->want_events >= 0)
        core_want_events(self->core, job->want_events == 1);
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
    int64_t due = core_next_due_us(self->core);
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
        if (ready == 0 && core_next_due_us(self->core) <= clock_steady_us()) {
            job_t *job = job_new();
            job->own = true;
            step(self, job);
            letter_send(far, LETTER_DONE, job, 0);
        }
    }
    HANDED_OVER(self);
}

err_t writer_start(writer_t **out, core_t *core, store_t *store, poison_t *poison,
                   const char *record)
{
    int fd = -1;
    if (record != NULL) {
        fd = open(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) {
            log_event(LOG_ERROR, "RECORD_FAILED", "file=\"%s\" why=\"%s\"", record,
                      strerror(errno));
            return ERR_OS;
        }
    }
    writer_t *self = mem_new(sizeof *self);
    self->core = core;
    self->store = store;
    self->poison = poison;
    self->record_fd = fd;
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
    if (self->record_fd >= 0) close(self->record_fd);
    core_close(&self->core);
    store_close(&self->store);
    free(self);
    *self_p = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * What a worker tells the broker and hears from it. All on the I/O thread, under work_lock.
 *
 * One Report of each lane (client/worker.h) is in flight at a time; what happens meanwhile goes
 * with the next one. A result goes only when all of its job's log has gone: with its last chunks in
 * lane WORDS, or in lane RESULTS when the broker has confirmed them or there were none. What was in
 * a report that had no answer when the session ended waits again, and Hello claims it: the result's
 * lease is kept until it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "client/worker.h"
#include "schemas/limits.h"

enum { LOG_FLUSH_US = 200 * 1000, AGAIN_US = 1000 * 1000, REPORT_ROOM = 4096 };

/* ---- what the broker says -------------------------------------------------------------------- */

static bool is_settled(const pawl_worker_t *self, const uint8_t id[16], uint64_t token)
{
    for (size_t i = 0; i < WORKER_SETTLED; i++)
        if (self->settled[i].token == token && memcmp(self->settled[i].id, id, 16) == 0)
            return true;
    return false;
}

/* An attempt of the same task with a newer token is here: the older ones are fenced. */
static void fence_older(pawl_worker_t *self, const uint8_t id[16], uint64_t token)
{
    job_list_t *lists[] = { &self->running, &self->ready };
    for (int k = 0; k < 2; k++) {
        for (struct pawl_job *job = lists[k]->first, *next; job; job = next) {
            next = job->next;
            if (job->token >= token || memcmp(job->id, id, 16) != 0) continue;
            if (job->stage == LEASE_READY)
                job_settle(job, "stale");
            else
                job_set_state(job, PAWL_FENCED);
        }
    }
}

static void take_lease(pawl_worker_t *self, const Pawl__V1__Lease *lease)
{
    if (lease->id.len != 16 || worker_find(self, lease->id.data, lease->token) ||
        is_settled(self, lease->id.data, lease->token))
        return; /* a repeat */
    struct pawl_job *job = calloc(1, sizeof *job);
    Pawl__V1__Task *task =
        arena_unpack(&pawl__v1__task__descriptor, lease->task.data, lease->task.len);
    char *schedule = *lease->schedule ? strdup(lease->schedule) : NULL;
    if (!job || (*lease->schedule && !schedule)) {
        free(job);
        free(schedule);
        arena_free_of(task);
        self->send_running = true; /* the broker learns that it is not run here */
        return;
    }
    if (!bytes_add(&job->poll_state, lease->poll_state.data, lease->poll_state.len)) {
        free(job);
        free(schedule);
        arena_free_of(task);
        self->send_running = true;
        return;
    }
    for (size_t i = 0; i < lease->completion.len && i < LIMIT_COMPLETION; i++)
        snprintf(job->completion + 2 * i, 3, "%02x", lease->completion.data[i]);
    job->polls = lease->polls;
    job->came_us = clock_steady_us();
    memcpy(job->id, lease->id.data, 16);
    job->token = lease->token;
    job->worker = self;
    job->stage = LEASE_READY;
    job->attempt = lease->attempt;
    job->attempts_max = lease->attempts_max;
    job->planned_us = lease->planned_us;
    job->folded_first_us = lease->folded_first_us;
    job->folded_count = lease->folded_count;
    job->schedule = schedule;
    if (lease->parent.len == sizeof job->parent) {
        memcpy(job->parent, lease->parent.data, sizeof job->parent);
        job->shard_index = lease->shard_index;
        job->shard_total = lease->shard_total;
    }
    job->task = task;
    job->fd = -1;
    atomic_init(&job->state, PAWL_RUN);
    fence_older(self, job->id, job->token);
    worker_insert(self, job);
    if (!task)
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_FAIL, "the task cannot be read here");
    else if (worker_drains(self))
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_RETURN, "the executor drains");
}

void worker_on_assign(pawl_worker_t *self, const Pawl__V1__Assign *assign)
{
    if (assign->number > self->assign_seen + 1)
        self->send_running = true; /* one is missing: let the broker compare */
    if (assign->number > self->assign_seen) self->assign_seen = assign->number;
    for (size_t i = 0; i < assign->n_leases; i++)
        take_lease(self, assign->leases[i]);
    if (self->ready.n) worker_signal(self);
}

static void give_back_ready(pawl_worker_t *self)
{
    for (struct pawl_job *job = self->ready.first, *next; job; job = next) {
        next = job->next;
        job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_RETURN, "the executor drains");
    }
}

void worker_on_directive(pawl_worker_t *self, const Pawl__V1__Directive *directive)
{
    struct pawl_job *job =
        directive->id.len == 16 ? worker_find(self, directive->id.data, directive->token) : NULL;
    switch (directive->kind) {
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL:
        if (job && job->stage == LEASE_READY)
            job_end_unrun(job, PAWL__V1__OUTCOME__OUTCOME_CANCELLED, "cancelled before it began");
        else if (job && job->stage == LEASE_RUNNING)
            job_set_state(job, PAWL_CANCEL);
        break;
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP:
        if (job && job->stage == LEASE_READY)
            job_settle(job, "stale");
        else if (job && job->stage == LEASE_RUNNING)
            job_set_state(job, PAWL_FENCED);
        break;
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_DRAIN:
        self->drain_remote = self->report_wanted = true;
        give_back_ready(self);
        worker_signal(self);
        break;
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_RESUME:
        self->drain_remote = false;
        self->report_wanted = true;
        worker_signal(self);
        break;
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_END:
        self->end_wanted = true;
        self->end_within_us = directive->deadline_us;
        worker_signal(self);
        break;
    case PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_SEND_RUNNING:
        self->send_running = true;
        break;
    default:
        break;
    }
}

/* ---- reports --------------------------------------------------------------------------------- */

/* Pointers into the worker's own things: packed, then forgotten. */
typedef struct draft {
    Pawl__V1__Report report;
    Pawl__V1__LogChunk *logs;
    Pawl__V1__Progress *progress;
    size_t log_room, progress_room, result_count;
    size_t bytes, bytes_max, items, items_max;
} draft_t;

static void draft_chunk(draft_t *self, struct pawl_job *job)
{
    log_chunk_t *chunk = job->logs;
    Pawl__V1__LogChunk *row = &self->logs[self->report.n_logs];
    pawl__v1__log_chunk__init(row);
    row->id = (ProtobufCBinaryData){ 16, job->id };
    row->token = job->token;
    row->stream = chunk->stream;
    row->offset = chunk->offset;
    row->data = (ProtobufCBinaryData){ chunk->data.len, chunk->data.at };
    row->time_us = chunk->time_us;
    self->report.logs[self->report.n_logs++] = row;
    self->bytes += chunk->data.len + 80;
    self->items++;
    job->logs = chunk->next;
    chunk->next = NULL;
    if (job->logs_sent)
        job->logs_sent_last->next = chunk;
    else
        job->logs_sent = chunk;
    job->logs_sent_last = chunk;
}

static bool has_room(const draft_t *self, size_t bytes)
{
    return self->items < self->items_max &&
           (self->items == 0 || self->bytes + bytes <= self->bytes_max);
}

static void draft_progress(draft_t *self, struct pawl_job *job)
{
    if (!job->has_progress || self->report.n_progress >= self->progress_room ||
        !has_room(self, LIMIT_TEXT + 64))
        return;
    Pawl__V1__Progress *row = &self->progress[self->report.n_progress];
    pawl__v1__progress__init(row);
    row->id = (ProtobufCBinaryData){ 16, job->id };
    row->token = job->token;
    row->done = job->progress_done;
    row->total = job->progress_total;
    if (job->progress_text) row->text = job->progress_text;
    self->report.progress[self->report.n_progress++] = row;
    self->bytes += 64 + (job->progress_text ? strlen(job->progress_text) : 0);
    self->items++;
    job->has_progress = false;
    job->progress_sent = true;
}

/* All that a job has said, as far as there is room. True: nothing is left. */
static bool draft_words(draft_t *self, struct pawl_job *job)
{
    draft_progress(self, job);
    while (job->logs && self->report.n_logs < self->log_room &&
           has_room(self, job->logs->data.len + 80))
        draft_chunk(self, job);
    if (!job->logs && !job->has_progress) job->log_since_us = 0;
    return !job->logs;
}

static size_t words_of(const job_list_t *list, size_t *progress)
{
    size_t chunks = 0;
    for (const struct pawl_job *job = list->first; job; job = job->next) {
        for (const log_chunk_t *chunk = job->logs; chunk; chunk = chunk->next)
            chunks++;
        *progress += job->has_progress;
    }
    return chunks;
}

static void draft_free(draft_t *self)
{
    free(self->logs);
    free(self->progress);
    free(self->report.logs);
    free(self->report.progress);
    free(self->report.running);
}

/* The list of what is held, and the credit: both hold from now on, so they are not to stand behind
 * somebody's log. */
static bool draft_standing(draft_t *self, pawl_worker_t *worker)
{
    if (worker->send_running) {
        if (!worker_make_claims(worker, worker->client->limit_items)) return false;
        self->report.running = worker_claim_list(worker);
        if (!self->report.running) return false;
        self->report.n_running = worker->claim_count;
        self->report.running_complete = worker->claim_count == worker_held(worker);
        self->bytes += worker->claim_count * 40;
    }
    self->report.credit = worker_credit(worker);
    self->report.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT;
    return true;
}

static bool draft_open(draft_t *self, pawl_worker_t *worker, report_lane lane)
{
    const pawl_client_t *client = worker->client;
    *self = (draft_t){ .items_max = worker->flight[lane].one_by_one ? 1 : client->limit_items,
                       .bytes_max = client->limit_message - REPORT_ROOM };
    pawl__v1__report__init(&self->report);
    if (lane == LANE_RESULTS) return draft_standing(self, worker);
    self->log_room = words_of(&worker->waiting, &self->progress_room) +
                     words_of(&worker->running, &self->progress_room) +
                     words_of(&worker->storing, &self->progress_room);
    self->logs = calloc(self->log_room + 1, sizeof *self->logs);
    self->report.logs = calloc(self->log_room + 1, sizeof *self->report.logs);
    self->progress = calloc(self->progress_room + 1, sizeof *self->progress);
    self->report.progress = calloc(self->progress_room + 1, sizeof *self->report.progress);
    return self->logs && self->report.logs && self->progress && self->report.progress;
}

static bool draft_result(draft_t *self, struct pawl_job *job, report_lane lane)
{
    if (!has_room(self, job->result.len + 16)) return false;
    self->bytes += job->result.len + 16;
    self->items++;
    job->lane = lane;
    job_move(job, LEASE_SENT);
    return true;
}

/* Results that have nothing to say beside. */
static void draft_quiet(draft_t *self, const pawl_worker_t *worker)
{
    for (struct pawl_job *job = worker->waiting.first, *next; job; job = next) {
        next = job->next;
        if (!job_has_words(job) && !draft_result(self, job, LANE_RESULTS)) return;
    }
}

/* Words, first of what has ended, with its result behind the last of them. */
static void draft_loud(draft_t *self, const pawl_worker_t *worker)
{
    for (struct pawl_job *job = worker->waiting.first, *next; job; job = next) {
        next = job->next;
        if (!job_has_words(job)) continue;
        if (!draft_words(self, job) || !draft_result(self, job, LANE_WORDS)) break;
    }
    for (struct pawl_job *job = worker->running.first; job; job = job->next)
        draft_words(self, job);
    for (struct pawl_job *job = worker->storing.first; job; job = job->next)
        draft_words(self, job);
}

enum { RESULT_TAG = 0x0a, REPORT_TAG = 0x72 /* Request.report */ };

/* The body: field tag and length of Report, the packed results one by one, then the rest. */
static bool write_body(const draft_t *draft, const pawl_worker_t *worker, report_lane lane,
                       bytes_t *body)
{
    const uint8_t report_tag = REPORT_TAG, result_tag = RESULT_TAG;
    bytes_t rest = { 0 };
    size_t len = 0;
    bool ok = bytes_add_message(&rest, &draft->report.base);
    for (const struct pawl_job *job = worker->sent.first; job; job = job->next)
        if (job->lane == lane) len += 1 + varint_size(job->result.len) + job->result.len;
    ok = ok && bytes_need(body, len + rest.len + 16) && bytes_add(body, &report_tag, 1) &&
         bytes_add_varint(body, len + rest.len);
    for (const struct pawl_job *job = worker->sent.first; ok && job; job = job->next)
        if (job->lane == lane)
            ok = bytes_add(body, &result_tag, 1) && bytes_add_varint(body, job->result.len) &&
                 bytes_add(body, job->result.at, job->result.len);
    ok = ok && bytes_add(body, rest.at, rest.len);
    bytes_free(&rest);
    return ok;
}

/* While there is other work at hand results are gathered for a moment: one report, one commit. */
static int64_t results_due(const pawl_worker_t *self, int64_t now)
{
    bool busy = self->ready.n > 0 && self->waiting.n < GATHER_MOST;
    return busy ? self->waiting_since_us + GATHER_US : now;
}

/* When something has to go: now for results and the like, in a while for logs. */
static int64_t report_due(const pawl_worker_t *self, report_lane lane, int64_t now)
{
    int64_t due = INT64_MAX;
    for (const struct pawl_job *job = self->waiting.first; job && due == INT64_MAX; job = job->next)
        if (job_has_words(job) == (lane == LANE_WORDS)) due = results_due(self, now);
    if (lane == LANE_RESULTS) {
        if (self->report_wanted || self->send_running) due = now;
    } else {
        const job_list_t *lists[] = { &self->running, &self->storing };
        for (int k = 0; k < 2; k++)
            for (const struct pawl_job *job = lists[k]->first; job && due > now; job = job->next)
                if (job->log_since_us && job->log_since_us + LOG_FLUSH_US < due)
                    due = job->log_since_us + LOG_FLUSH_US;
    }
    int64_t not_before = self->flight[lane].not_before_us;
    return due > not_before ? due : not_before;
}

bool worker_next_report(pawl_worker_t *self, report_lane lane, int64_t now_us, bytes_t *body,
                        int64_t *due_us)
{
    struct report_flight *flight = &self->flight[lane];
    if (flight->seq) return false; /* its answer will wake us */
    int64_t due = report_due(self, lane, now_us);
    if (due > now_us) {
        *due_us = due < *due_us ? due : *due_us;
        return false;
    }
    draft_t draft;
    bool ok = draft_open(&draft, self, lane);
    if (ok) {
        if (lane == LANE_RESULTS)
            draft_quiet(&draft, self);
        else
            draft_loud(&draft, self);
        flight->items = draft.items;
        ok = write_body(&draft, self, lane, body);
    }
    draft_free(&draft);
    if (!ok) {
        worker_report_unsent(self, lane);
        flight->not_before_us = now_us + AGAIN_US;
    } else if (lane == LANE_RESULTS) {
        self->report_wanted = self->send_running = false;
    }
    return ok;
}

void worker_report_sent(pawl_worker_t *self, report_lane lane, uint64_t seq)
{
    self->flight[lane].seq = seq;
}

report_lane worker_lane_of(const pawl_worker_t *self, uint64_t seq)
{
    report_lane lane = LANE_RESULTS;
    while (lane < LANES && (seq == 0 || self->flight[lane].seq != seq))
        lane++;
    return lane;
}

/* Chunks in flight of one list go back in front of what waits, or are done with. */
static void chunks_back(const job_list_t *list)
{
    for (struct pawl_job *job = list->first; job; job = job->next) {
        if (job->progress_sent) { /* with what it says by now */
            job->has_progress = true;
            job->log_since_us = 1;
        }
        job->progress_sent = false;
        if (!job->logs_sent) continue;
        job->logs_sent_last->next = job->logs;
        if (!job->logs) job->logs_last = job->logs_sent_last;
        job->logs = job->logs_sent;
        job->logs_sent = job->logs_sent_last = NULL;
        job->log_since_us = 1; /* long due */
    }
}

static void chunks_done(const job_list_t *list)
{
    for (struct pawl_job *job = list->first; job; job = job->next) {
        job->progress_sent = false;
        while (job->logs_sent) {
            log_chunk_t *chunk = job->logs_sent;
            job->logs_sent = chunk->next;
            job->log_bytes -= chunk->data.len;
            bytes_free(&chunk->data);
            free(chunk);
        }
        job->logs_sent_last = NULL;
    }
}

static void for_every_list(pawl_worker_t *self, void (*visit)(const job_list_t *list))
{
    visit(&self->running);
    visit(&self->storing);
    visit(&self->waiting);
    visit(&self->sent);
}

/* To the front of what waits. */
static void wait_first(struct pawl_job *job)
{
    job_list_t *list = &job->worker->waiting;
    job_move(job, LEASE_WAITING);
    if (!job->prev) return;
    list->last = job->prev;
    list->last->next = NULL;
    job->prev = NULL;
    job->next = list->first;
    list->first->prev = job;
    list->first = job;
}

void worker_report_unsent(pawl_worker_t *self, report_lane lane)
{
    self->flight[lane].seq = 0;
    if (lane == LANE_WORDS) {
        for_every_list(self, chunks_back);
    } else {
        if (self->claim_count) self->send_running = true;
        worker_forget_claims(self);
        self->report_wanted = true;
    }
    for (struct pawl_job *job = self->sent.last, *before; job; job = before) { /* in their order */
        before = job->prev;
        if (job->lane == lane) wait_first(job);
    }
}

void worker_on_lost(pawl_worker_t *self)
{
    for (report_lane lane = LANE_RESULTS; lane < LANES; lane++) {
        worker_report_unsent(self, lane);
        self->flight[lane].not_before_us = 0;
    }
    self->send_running = false; /* Hello claims everything */
}

static const char *verdict_word(Pawl__V1__ReportVerdict verdict)
{
    switch (verdict) {
    case PAWL__V1__REPORT_VERDICT__REPORT_DONE:
        return "done";
    case PAWL__V1__REPORT_VERDICT__REPORT_RECOVERED:
        return "recovered";
    case PAWL__V1__REPORT_VERDICT__REPORT_STALE:
        return "stale";
    case PAWL__V1__REPORT_VERDICT__REPORT_LATE:
        return "late";
    case PAWL__V1__REPORT_VERDICT__REPORT_UNKNOWN:
        return "unknown";
    default:
        return NULL;
    }
}

/* The broker refused a report as a whole, and would again. Of one with many items the next reports
 * carry one each; a single result is sent once more without what may be wrong in it. */
static struct pawl_job *first_sent(const pawl_worker_t *self, report_lane lane)
{
    struct pawl_job *job = self->sent.first;
    while (job && job->lane != lane)
        job = job->next;
    return job;
}

static void on_refused(pawl_worker_t *self, report_lane lane, const Pawl__V1__Error *error,
                       int64_t now_us)
{
    struct report_flight *flight = &self->flight[lane];
    struct pawl_job *job = first_sent(self, lane);
    if (flight->items != 1) {
        worker_report_unsent(self, lane);
        flight->one_by_one = flight->items;
        flight->not_before_us = now_us + (flight->items ? LOG_FLUSH_US : AGAIN_US);
        return;
    }
    if (lane == LANE_WORDS) for_every_list(self, chunks_done); /* a refused piece is given up */
    if (job && job->stripped) {
        job_settle(job, "unknown");
    } else if (job) {
        bytes_free(&job->output);
        job->stripped = true;
        job_make_result(job, PAWL__V1__OUTCOME__OUTCOME_FAIL, error->text, 0);
        job_move(job, LEASE_WAITING);
    }
}

/* Would the same report be refused again for what is in it? Not when the broker's disk fails. */
static bool is_refusal(const Pawl__V1__Error *error)
{
    return error->code != ERR_STORE_IO && !pawl_err_retryable(-(pawl_err)(error->code % 10000));
}

void worker_on_reported(pawl_worker_t *self, report_lane lane, const Pawl__V1__Reply *reply,
                        int64_t now_us)
{
    struct report_flight *flight = &self->flight[lane];
    flight->seq = 0;
    flight->one_by_one -= flight->one_by_one > 0;
    bool answered = reply && !reply->error && reply->body_case == PAWL__V1__REPLY__BODY_REPORTED;
    if (!answered && reply && reply->error && is_refusal(reply->error)) {
        on_refused(self, lane, reply->error, now_us);
        pthread_cond_broadcast(&self->changed);
        return;
    }
    if (!answered) { /* BUSY and the like: the same again, later */
        int64_t wait = reply && reply->error && reply->error->retry_after_us > 0
                           ? reply->error->retry_after_us
                           : LOG_FLUSH_US;
        worker_report_unsent(self, lane);
        flight->not_before_us = now_us + (wait < 10 * PAWL_SEC_US ? wait : 10 * PAWL_SEC_US);
        return;
    }
    const Pawl__V1__Reported *reported = reply->reported;
    if (lane == LANE_WORDS) for_every_list(self, chunks_done);
    size_t i = 0;
    for (struct pawl_job *job = self->sent.first, *next; job; job = next) {
        next = job->next;
        if (job->lane != lane) continue;
        const char *word = i < reported->n_verdicts ? verdict_word(reported->verdicts[i]) : NULL;
        i++;
        if (word) {
            job_settle(job, word);
        } else { /* no verdict: ask again, but not in a circle */
            job_move(job, LEASE_WAITING);
            flight->not_before_us = now_us + LOG_FLUSH_US;
        }
    }
    if (lane == LANE_RESULTS) {
        for (i = 0; i < reported->n_claims && i < self->claim_count; i++)
            worker_on_verdict(self, &self->claims[i], reported->claims[i]);
        worker_forget_claims(self);
    }
    pthread_cond_broadcast(&self->changed);
}

void worker_on_closed(pawl_worker_t *self)
{
    self->closed = true;
    worker_on_lost(self);
    worker_signal(self);
}

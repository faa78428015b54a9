/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/runner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <mysql.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "executor/ending.h"
#include "executor/sql/kind.h"
#include "schemas/limits.h"

enum {
    LOOK_US = 50000,       /* how often attempts are looked at */
    STOP_AGAIN_MS = 500,   /* the next statement may have begun between two looks */
    REPORT_AGAIN_MS = 1000 /* the outbox refused a result */
};

typedef struct attempt {
    struct attempt *next;
    runner_t *runner;
    pawl_job_t *job; /* NULL once the result is given; under the lock */
    char id[PAWL_ID_TEXT];
    session_t *session;
    pthread_t thread, stopper;
    bool stopping; /* there is a stopper */
    bool told;     /* that none could be made */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum ending_cause cause; /* under the lock */
    bool ended;              /* likewise: the thread does nothing more but end */
    bool abandoned;          /* likewise: no result is wanted */
    bool cut_off; /* likewise: exclusive, and the broker is silent: nothing may be done */
    int64_t limit_us, deadline_us;
} attempt_t;

struct runner {
    struct runner_setup setup;
    pool_t *pools[SOURCES_MAX];
    attempt_t *attempts;
    size_t busy;
};

static const struct {
    const char *type;
    sql_kind_fn *run;
} kinds[] = { { "pawl/sql", kind_sql }, { "pawl/sql-producer", kind_producer } };

bool runner_takes(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0) return true;
    return false;
}

runner_t *runner_new(const struct runner_setup *setup)
{
    runner_t *self = mem_new(sizeof *self);
    self->setup = *setup;
    CHECK(mysql_library_init(0, NULL, NULL) == 0); /* before there are threads that use it */
    for (size_t i = 0; i < setup->sources->count; i++)
        self->pools[i] = pool_new(&setup->sources->items[i]);
    return self;
}

/* ---- the attempt's thread -------------------------------------------------------------------- */

static pawl_err give_result(attempt_t *self, const sql_result_t *result)
{
    if (result->outcome == RESULT_STOPPED && self->cause == ENDING_FENCE)
        return pawl_job_fail(&self->job, "stopped", false); /* nobody will hear it */
    if (result->outcome == RESULT_STOPPED)                  /* by nobody: it saw it itself */
        return ending_stopped(self->cause ? self->cause : ENDING_CUT_OFF, self->limit_us,
                              self->cause == ENDING_CANCEL ? "; the statement was stopped" : "",
                              &self->job);
    if (result->outcome != RESULT_DONE)
        return pawl_job_fail(&self->job, result->message, result->outcome == RESULT_PERMANENT);
    pawl_err err = PAWL_OK;
    if (result->output.len)
        err = pawl_job_output(self->job, result->output.at, result->output.len, NULL);
    return err ? pawl_job_fail(&self->job, pawl_err_text(err), true)
               : pawl_job_finish(&self->job, result->message);
}

static void wait_ms(attempt_t *self, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&self->changed, &self->lock, &until);
}

static void report(attempt_t *self, const sql_result_t *result)
{
    pthread_mutex_lock(&self->lock);
    while (self->job && !self->abandoned) {
        pawl_err err = give_result(self, result);
        if (!self->job) break;
        log_event(LOG_ERROR, "RESULT_NOT_KEPT", "task=%s why=\"%s\"", self->id, pawl_err_text(err));
        wait_ms(self, REPORT_AGAIN_MS);
    }
    self->ended = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void *run(void *arg)
{
    attempt_t *self = arg;
    sql_result_t result = { .outcome = RESULT_PERMANENT };
    const pawl_record_t *task = pawl_job_task(self->job);
    sql_work_t work = { .job = self->job,
                        .session = self->session,
                        .task = task,
                        .sql = pawl_record_sub(task, "sql"),
                        .result = &result };
    const char *name = work.sql ? pawl_record_text(work.sql, "source") : "";
    work.source = sources_find(self->runner->setup.sources, name);
    if (!self->session)
        work_fail(&work, RESULT_PERMANENT,
                  "this executor has no source \"%.40s\": its file names those it has under "
                  "executor.sources",
                  name);
    for (size_t i = 0; self->session && i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].type, pawl_job_type(self->job)) == 0) kinds[i].run(&work);
    if (self->session) session_end(self->session, false);
    report(self, &result);
    buf_free(&result.output);
    mysql_thread_end();
    return NULL;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void *stop_it(void *arg)
{
    attempt_t *self = arg;
    int64_t cut_us = clock_steady_us() + self->runner->setup.kill_grace_us;
    pthread_mutex_lock(&self->lock);
    while (!self->ended) {
        bool cut_off = self->cut_off;
        bool cut = cut_off || self->abandoned || clock_steady_us() >= cut_us;
        pthread_mutex_unlock(&self->lock);
        if (cut) session_cut(self->session); /* first: no COMMIT can leave from here on */
        if (!cut || cut_off) session_stop(self->session);
        pthread_mutex_lock(&self->lock);
        if (!self->ended) wait_ms(self, STOP_AGAIN_MS);
    }
    pthread_mutex_unlock(&self->lock);
    mysql_thread_end();
    return NULL;
}

/* Under the lock. The first cause stands, but that a fence makes all others void. */
static void stop(attempt_t *self, enum ending_cause cause)
{
    if (self->ended) return;
    if (self->cause == ENDING_NONE || cause == ENDING_FENCE) self->cause = cause;
    if (self->stopping || !self->session) return;
    self->stopping = pthread_create(&self->stopper, NULL, stop_it, self) == 0;
    if (!self->stopping && !self->told) log_event(LOG_ERROR, "NO_THREAD", "task=%s", self->id);
    self->told = !self->stopping; /* it is tried again at each look */
}

/* ---- the main loop's side -------------------------------------------------------------------- */

static session_t *session_for(runner_t *self, pawl_job_t *job)
{
    const pawl_record_t *sql = pawl_record_sub(pawl_job_task(job), "sql");
    const sources_t *sources = self->setup.sources;
    const sql_source_t *source =
        sql ? sources_find(sources, pawl_record_text(sql, "source")) : NULL;
    return source ? session_new(self->pools[source - sources->items]) : NULL;
}

static void attempt_free(attempt_t *self)
{
    session_destroy(&self->session);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    free(self);
}

void runner_take(runner_t *self, pawl_job_t *job)
{
    attempt_t *attempt = mem_new(sizeof *attempt);
    pthread_condattr_t steady;
    attempt->runner = self;
    attempt->job = job;
    pawl_id_print(pawl_job_id(job), attempt->id);
    attempt->session = session_for(self, job);
    pthread_mutex_init(&attempt->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&attempt->changed, &steady);
    pthread_condattr_destroy(&steady);
    attempt->limit_us = pawl_record_int(pawl_job_task(job), "time_limit_us");
    if (attempt->limit_us <= 0) attempt->limit_us = self->setup.time_limit_us;
    attempt->deadline_us =
        attempt->limit_us > 0 ? clock_steady_us() + attempt->limit_us : INT64_MAX;
    pawl_job_started(job, clock_wall_us());
    if (pthread_create(&attempt->thread, NULL, run, attempt) != 0) {
        (void)!pawl_job_retry_after(&attempt->job, 5 * PAWL_SEC_US, "no thread could be made");
        attempt_free(attempt);
        return;
    }
    attempt->next = self->attempts;
    self->attempts = attempt;
    self->busy++;
}

static void look(attempt_t *self, int64_t now_us)
{
    if (!self->job) return;
    pawl_job_state state = pawl_job_state_of(self->job);
    if (state == PAWL_FENCED)
        stop(self, ENDING_FENCE);
    else if (state == PAWL_CANCEL)
        stop(self, ENDING_CANCEL);
    else if (now_us >= self->deadline_us)
        stop(self, ENDING_TIMEOUT);
    if (now_us < pawl_job_until_us(self->job)) return;
    self->cut_off = true;
    stop(self, ENDING_CUT_OFF);
}

static void join(attempt_t *self)
{
    pthread_join(self->thread, NULL);
    if (self->stopping) pthread_join(self->stopper, NULL);
    attempt_free(self);
}

void runner_tick(runner_t *self, int64_t now_us)
{
    for (attempt_t **at = &self->attempts; *at;) {
        attempt_t *attempt = *at;
        pthread_mutex_lock(&attempt->lock);
        look(attempt, now_us);
        bool ended = attempt->ended;
        pthread_mutex_unlock(&attempt->lock);
        if (ended) {
            *at = attempt->next;
            join(attempt);
            self->busy--;
        } else {
            at = &attempt->next;
        }
    }
}

int64_t runner_deadline(const runner_t *self)
{
    return self->busy ? clock_steady_us() + LOOK_US : INT64_MAX;
}

void runner_stop(runner_t *self)
{
    for (attempt_t *attempt = self->attempts; attempt; attempt = attempt->next) {
        pthread_mutex_lock(&attempt->lock);
        stop(attempt, ENDING_DRAIN);
        pthread_mutex_unlock(&attempt->lock);
    }
}

size_t runner_busy(const runner_t *self)
{
    return self->busy;
}

void runner_destroy(runner_t **self_p)
{
    runner_t *self = *self_p;
    if (!self) return;
    while (self->attempts) {
        attempt_t *attempt = self->attempts;
        self->attempts = attempt->next;
        pthread_mutex_lock(&attempt->lock);
        attempt->abandoned = true;
        stop(attempt, ENDING_FENCE);
        pthread_cond_broadcast(&attempt->changed);
        pthread_mutex_unlock(&attempt->lock);
        join(attempt);
    }
    for (size_t i = 0; i < self->setup.sources->count; i++)
        pool_destroy(&self->pools[i]);
    mysql_library_end();
    free(self);
    *self_p = NULL;
}

/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/client/worker_bench.h - a worker with its handle and the peer that it works for. The
 * test plays the broker, and whoever pulls the jobs. */
#ifndef TESTS_UNIT_CLIENT_WORKER_BENCH_H
#define TESTS_UNIT_CLIENT_WORKER_BENCH_H

#include "tests/unit/client/peer.h"

#include <pthread.h>

#include "client/base/clock.h"
#include "schemas/errors.h"

#define DONE            PAWL__V1__REPORT_VERDICT__REPORT_DONE
#define OUTCOME(name)   PAWL__V1__OUTCOME__OUTCOME_##name
#define DIRECTIVE(name) PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_##name
#define CLAIM(name)     PAWL__V1__CLAIM_VERDICT__CLAIM_##name

typedef struct bench {
    peer_t *peer;
    pawl_client_t *client;
    pawl_worker_t *worker;
} bench_t;

PEER_MAYBE void *start_worker(void *worker)
{
    return (void *)(intptr_t)pawl_worker_start(worker, PATIENCE_US);
}

/* A worker of type a/b with its handle and peer, not started; fn NULL: its jobs are pulled. */
PEER_MAYBE bench_t bench_of(pawl_work_fn *fn)
{
    bench_t self = { .peer = peer_open() };
    self.client = peer_client(self.peer, "executor", NULL);
    self.worker = pawl_worker_new(self.client);
    assert_non_null(self.worker);
    assert_int_equal(pawl_worker_type(self.worker, "a/b", fn, NULL), 0);
    return self;
}

PEER_MAYBE bench_t bench_open(unsigned slots, unsigned prefetch)
{
    bench_t self = bench_of(NULL);
    assert_int_equal(pawl_worker_label(self.worker, "role", "web"), 0);
    assert_int_equal(pawl_worker_slots(self.worker, slots), 0);
    assert_int_equal(pawl_worker_prefetch(self.worker, prefetch), 0);
    return self;
}

/* Starts it; the peer keeps Hello as its last request until the welcome. */
PEER_MAYBE void bench_start_with(bench_t *self, Pawl__V1__ClaimVerdict *verdicts, size_t n)
{
    pthread_t starter;
    void *err;
    pthread_create(&starter, NULL, start_worker, self->worker);
    peer_next(self->peer, PAWL__V1__REQUEST__BODY_HELLO);
    peer_welcome_with(self->peer, verdicts, n);
    pthread_join(starter, &err);
    assert_int_equal((intptr_t)err, 0);
}

PEER_MAYBE void bench_start(bench_t *self)
{
    bench_start_with(self, NULL, 0);
}

PEER_MAYBE Pawl__V1__Report *next_report(bench_t *self)
{
    return peer_next(self->peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
}

/* The first report of a session tells the credit; answers it. */
PEER_MAYBE uint32_t first_credit(bench_t *self)
{
    uint32_t credit = next_report(self)->credit;
    peer_reported(self->peer, DONE);
    return credit;
}

PEER_MAYBE pawl_job_t *next_job(bench_t *self)
{
    pawl_job_t *job;
    assert_int_equal(pawl_worker_next(self->worker, &job, PATIENCE_US), 0);
    return job;
}

/* Given a worker that has begun: the broker knows its credit. */
PEER_MAYBE bench_t given_a_worker(unsigned slots, unsigned prefetch)
{
    bench_t self = bench_open(slots, prefetch);
    bench_start(&self);
    first_credit(&self);
    return self;
}

/* Assigns tasks 1 .. n, each with its number as its token. */
PEER_MAYBE void assign_up_to(bench_t *self, uint8_t n)
{
    for (uint8_t i = 1; i <= n; i++)
        peer_assign(self->peer, i, i, i);
}

/* Given the one job that it has: task 1. */
PEER_MAYBE pawl_job_t *given_a_job(bench_t *self)
{
    assign_up_to(self, 1);
    return next_job(self);
}

/* It is alive, so it has seen what was sent before. */
PEER_MAYBE void await_ping(bench_t *self)
{
    peer_next(self->peer, PAWL__V1__REQUEST__BODY_PING);
    peer_pong(self->peer);
}

/* Answers the report `seq`, which has no results. */
PEER_MAYBE void reported_without_results(peer_t *peer, uint64_t seq)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Reported reported = PAWL__V1__REPORTED__INIT;
    reply.body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply.reported = &reported;
    peer_reply_to(peer, seq, &reply);
}

/* The next result, answered. */
PEER_MAYBE void take_result(bench_t *self)
{
    peer_result(self->peer);
    peer_reported(self->peer, DONE);
}

PEER_MAYBE void bench_close(bench_t *self)
{
    pawl_client_destroy(&self->client); /* before the worker: it is closed then and does not wait */
    pawl_worker_destroy(&self->worker);
    peer_close(&self->peer);
}

PEER_MAYBE void await_state(pawl_job_t *job, pawl_job_state state)
{
    zmq_pollitem_t item = { NULL, pawl_job_fd(job), ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, PEER_PATIENCE_MS), 1);
    assert_int_equal(pawl_job_state_of(job), state);
}

/* What a worker with callbacks does: task 2 is a bug in somebody's program, and never ended. */
PEER_MAYBE void work(pawl_job_t *job, void *arg)
{
    (void)arg;
    if (pawl_job_token(job) == 2) return;
    pawl_job_finish(&job, "by a thread");
}

#endif

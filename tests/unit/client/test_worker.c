/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/peer.h"

#include <pthread.h>

#include "client/base/clock.h"
#include "schemas/errors.h"

#define DONE PAWL__V1__REPORT_VERDICT__REPORT_DONE

typedef struct bench {
    peer_t *peer;
    pawl_client_t *client;
    pawl_worker_t *worker;
} bench_t;

/* What the outbox of a test saw; stores in the thread that ends a job. */
typedef struct box {
    pthread_mutex_t lock;
    int stores, settles, fail_next;
    char verdict[32];
    uint8_t bytes[512];
    size_t len;
} box_t;

static int box_store(void *arg, const uint8_t id[16], uint64_t token, const void *bytes, size_t len)
{
    box_t *box = arg;
    (void)id;
    (void)token;
    pthread_mutex_lock(&box->lock);
    int rc = box->fail_next > 0 ? -1 : 0;
    box->fail_next -= box->fail_next > 0;
    box->stores++;
    box->len = len < sizeof box->bytes ? len : sizeof box->bytes;
    memcpy(box->bytes, bytes, box->len);
    pthread_mutex_unlock(&box->lock);
    return rc;
}

static void box_settled(void *arg, const uint8_t id[16], uint64_t token, const char *verdict)
{
    box_t *box = arg;
    (void)id;
    (void)token;
    pthread_mutex_lock(&box->lock);
    box->settles++;
    snprintf(box->verdict, sizeof box->verdict, "%s", verdict);
    pthread_mutex_unlock(&box->lock);
}

static int settles_of(box_t *box)
{
    pthread_mutex_lock(&box->lock);
    int settles = box->settles;
    pthread_mutex_unlock(&box->lock);
    return settles;
}

static void box_use(bench_t *bench, box_t *box)
{
    pawl_outbox_t outbox = { box_store, box_settled, box };
    pthread_mutex_init(&box->lock, NULL);
    pawl_worker_outbox(bench->worker, &outbox);
}

static void *start_worker(void *worker)
{
    return (void *)(intptr_t)pawl_worker_start(worker, 10 * SECOND);
}

/* A worker of type a/b with its handle and peer, not started. */
static bench_t bench_open(unsigned slots, unsigned prefetch)
{
    bench_t self = { .peer = peer_open() };
    self.client = peer_client(self.peer, "executor", NULL);
    self.worker = pawl_worker_new(self.client);
    assert_non_null(self.worker);
    assert_int_equal(pawl_worker_type(self.worker, "a/b", NULL, NULL), 0);
    assert_int_equal(pawl_worker_label(self.worker, "role", "web"), 0);
    assert_int_equal(pawl_worker_slots(self.worker, slots), 0);
    assert_int_equal(pawl_worker_prefetch(self.worker, prefetch), 0);
    return self;
}

/* Starts it; the peer keeps Hello as its last request until the welcome. */
static void bench_start_with(bench_t *self, Pawl__V1__ClaimVerdict *verdicts, size_t n)
{
    pthread_t starter;
    void *err;
    pthread_create(&starter, NULL, start_worker, self->worker);
    peer_next(self->peer, PAWL__V1__REQUEST__BODY_HELLO);
    peer_welcome_with(self->peer, verdicts, n);
    pthread_join(starter, &err);
    assert_int_equal((intptr_t)err, 0);
}

static void bench_start(bench_t *self)
{
    bench_start_with(self, NULL, 0);
}

/* The first report of a session tells the credit; answers it. */
static uint32_t first_credit(bench_t *self)
{
    Pawl__V1__Report *report = peer_next(self->peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    uint32_t credit = report->credit;
    peer_reported(self->peer, DONE);
    return credit;
}

static pawl_job_t *next_job(bench_t *self)
{
    pawl_job_t *job;
    assert_int_equal(pawl_worker_next(self->worker, &job, 10 * SECOND), 0);
    return job;
}

static void bench_close(bench_t *self)
{
    pawl_client_destroy(&self->client); /* before the worker: it is closed then and does not wait */
    pawl_worker_destroy(&self->worker);
    peer_close(&self->peer);
}

static void await_state(pawl_job_t *job, pawl_job_state state)
{
    zmq_pollitem_t item = { NULL, pawl_job_fd(job), ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, PEER_PATIENCE_MS), 1);
    assert_int_equal(pawl_job_state_of(job), state);
}

static void hello_waits_for_the_start_and_tells_what_is_served(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 2);
    zmq_pollitem_t item = { bench.peer->router, 0, ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, 30), 0);
    bench_start(&bench);
    Pawl__V1__Hello *hello = bench.peer->request->hello;
    assert_int_equal(hello->role, PAWL__V1__ROLE__ROLE_EXECUTOR);
    assert_int_equal(hello->slots, 3);
    assert_int_equal(hello->credit, 5);
    assert_int_equal(hello->n_types, 1);
    assert_string_equal(hello->types[0], "a/b");
    assert_int_equal(hello->n_kinds, 1);
    assert_string_equal(hello->kinds[0], "worker");
    assert_int_equal(hello->n_labels, 1);
    assert_string_equal(hello->labels[0]->value, "web");
    assert_int_equal(first_credit(&bench), 5);
    bench_close(&bench);
}

static void a_job_is_pulled_run_and_answered(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    size_t len;
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 7, 70);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_id(job)[1], 7);
    assert_int_equal(pawl_job_token(job), 70);
    assert_string_equal(pawl_job_type(job), "a/b");
    assert_memory_equal(pawl_job_input(job, &len), "x", 1);
    assert_string_equal(pawl_record_text(pawl_job_task(job), "type"), "a/b");
    assert_int_equal(pawl_job_output(job, "{}", 2, NULL), 0);
    pawl_job_exit(job, 3, 0);
    assert_int_equal(pawl_job_finish(&job, "bad \x01 \xff text"), 0);
    assert_null(job);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
    assert_int_equal(bench.peer->request->assign_seen, 1);
    assert_int_equal(result->outcome, PAWL__V1__OUTCOME__OUTCOME_DONE);
    assert_int_equal(result->token, 70);
    assert_int_equal(result->exit_code, 3);
    assert_int_equal(result->output.len, 2);
    assert_string_equal(result->message, "bad ? ? text");
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_worker_next(bench.worker, &job, 0), PAWL_E_TIMEOUT);
    bench_close(&bench);
}

static void slots_bound_what_runs_and_prefetch_waits(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    pawl_job_t *second;
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    peer_assign(bench.peer, 2, 2, 2);
    pawl_job_t *first = next_job(&bench);
    assert_int_equal(pawl_worker_next(bench.worker, &second, 20 * 1000), PAWL_E_TIMEOUT);
    assert_int_equal(pawl_job_finish(&first, ""), 0);
    second = next_job(&bench); /* without waiting for the broker */
    assert_int_equal(pawl_job_id(second)[1], 2);
    bench_close(&bench);
}

static void the_log_goes_before_the_result_in_the_same_report(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_log(job, 1, "out", 3), 0);
    assert_int_equal(pawl_job_log(job, 1, "put", 3), 0);
    assert_int_equal(pawl_job_log(job, 2, "err", 3), 0);
    pawl_job_log_skip(job, 100);
    assert_int_equal(pawl_job_log(job, 2, "end", 3), 0);
    assert_int_equal(pawl_job_log(job, 9, "x", 1), PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_job_progress(job, 1, 2, "half"), 0);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    while (!report->n_results && !report->n_logs) { /* the acknowledgement of the assign */
        peer_reported(bench.peer, DONE);
        report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    }
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->n_progress, 1);
    assert_int_equal(report->n_logs, 3);
    assert_memory_equal(report->logs[0]->data.data, "output", 6);
    assert_int_equal(report->logs[1]->offset, 6);
    assert_int_equal(report->logs[2]->offset, 109);
    bench_close(&bench);
}

/* The broker writes the log of a report before it looks at the rest of it. */
static void a_result_without_words_waits_for_no_report_that_has_them(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 0);
    bench_start(&bench);
    first_credit(&bench);
    for (uint8_t i = 1; i <= 3; i++)
        peer_assign(bench.peer, i, i, 10);
    pawl_job_t *loud = next_job(&bench), *quiet = next_job(&bench), *other = next_job(&bench);
    assert_int_equal(pawl_job_log(loud, 1, "out", 3), 0);
    Pawl__V1__Request *request = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT);
    assert_int_equal(request->report->n_logs, 1);
    assert_int_equal(request->report->n_results, 0);
    assert_int_equal(request->report->credit_set_case, 0); /* it may be overtaken */
    uint64_t words = request->seq;                         /* has no answer for now */

    assert_int_equal(pawl_job_finish(&quiet, ""), 0);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->n_logs, 0);
    assert_int_equal(report->results[0]->id.data[1], 2);
    assert_int_equal(report->credit, 3);
    peer_reported(bench.peer, DONE);

    /* a result whose log has no answer yet waits for it, others go on */
    assert_int_equal(pawl_job_finish(&loud, ""), 0);
    assert_int_equal(pawl_job_finish(&other, ""), 0);
    report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->results[0]->id.data[1], 3);
    peer_reported(bench.peer, DONE);
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Reported reported = PAWL__V1__REPORTED__INIT;
    reply.body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply.reported = &reported;
    peer_reply_to(bench.peer, words, &reply);
    report = peer_result(bench.peer);
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->results[0]->id.data[1], 1);
    assert_int_equal(report->results[0]->log_bytes, 3);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

static void what_was_in_flight_in_either_lane_comes_again_in_the_next_session(void **state)
{
    (void)state;
    bench_t bench = bench_open(2, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 10);
    peer_assign(bench.peer, 2, 2, 10);
    pawl_job_t *loud = next_job(&bench), *quiet = next_job(&bench);
    assert_int_equal(pawl_job_log(loud, 1, "out", 3), 0);
    assert_int_equal(pawl_job_finish(&loud, ""), 0);
    assert_int_equal(pawl_job_finish(&quiet, ""), 0);
    bool seen[2] = { false, false };
    for (int i = 0; i < 2; i++) { /* none is answered */
        Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
        assert_int_equal(report->n_results, 1);
        seen[report->n_logs > 0] = true;
    }
    assert_true(seen[0] && seen[1]);
    peer_stop(bench.peer);
    peer_start(bench.peer);
    Pawl__V1__Request *request = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_HELLO);
    assert_int_equal(request->hello->n_claims, 2);
    Pawl__V1__ClaimVerdict keep[2] = { PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP,
                                       PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP };
    peer_welcome_with(bench.peer, keep, 2);
    seen[0] = seen[1] = false;
    while (!seen[0] || !seen[1]) {
        Pawl__V1__Report *report = peer_result(bench.peer);
        assert_int_equal(report->n_results, 1);
        assert_int_equal(report->results[0]->id.data[1], report->n_logs ? 1 : 2);
        seen[report->n_logs > 0] = true;
        peer_reported(bench.peer, DONE);
    }
    bench_close(&bench);
}

static void a_quiet_job_still_gets_its_log_out_soon(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    int64_t began = clock_steady_us();
    assert_int_equal(pawl_job_log(job, 1, "still here", 10), 0);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_int_equal(report->n_logs, 1);
    assert_true(clock_steady_us() - began < 2 * SECOND);
    bench_close(&bench);
}

static void too_much_log_is_held_back_until_some_is_answered(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    char *block = calloc(1, 1 << 20);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pawl_job_log(job, 1, block, 1 << 20), 0);
    assert_int_equal(pawl_job_log(job, 1, block, 1), PAWL_E_BACKPRESSURE);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_true(report->n_logs >= 1);
    peer_reported(bench.peer, DONE);
    int64_t deadline = clock_steady_us() + 60 * SECOND;
    while (pawl_job_log(job, 1, block, 1) && clock_steady_us() < deadline)
        pawl_client_poll(bench.client, 1000);
    assert_true(clock_steady_us() < deadline);
    free(block);
    bench_close(&bench);
}

static void repeated_assigns_are_run_once_and_a_gap_sends_the_running_list(void **state)
{
    (void)state;
    bench_t bench = bench_open(2, 0);
    pawl_job_t *again;
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    peer_assign(bench.peer, 2, 1, 1);
    pawl_job_t *job = next_job(&bench);
    peer_assign(bench.peer, 5, 1, 1); /* 3 and 4 were lost */
    Pawl__V1__Request *request = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT);
    assert_int_equal(request->assign_seen, 5);
    assert_true(request->report->running_complete);
    assert_int_equal(request->report->n_running, 1);
    assert_int_equal(request->report->running[0]->token, 1);
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    peer_result(bench.peer);
    peer_reported(bench.peer, DONE);
    peer_assign(bench.peer, 6, 1, 1); /* just settled */
    peer_assign(bench.peer, 7, 9, 9);
    again = next_job(&bench);
    assert_int_equal(pawl_job_id(again)[1], 9);
    bench_close(&bench);
}

static void directives_reach_the_job(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 1);
    bench_start(&bench);
    first_credit(&bench);
    for (uint8_t i = 1; i <= 3; i++)
        peer_assign(bench.peer, i, i, 10);
    pawl_job_t *cancelled = next_job(&bench), *stopped = next_job(&bench),
               *fenced = next_job(&bench);
    peer_assign(bench.peer, 4, 4, 10); /* stays prefetched */
    assert_int_equal(pawl_job_state_of(cancelled), PAWL_RUN);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, 1, 9); /* an old token */
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP, 2, 10);
    await_state(stopped, PAWL_FENCED);
    assert_int_equal(pawl_job_state_of(cancelled), PAWL_RUN);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, 1, 10);
    await_state(cancelled, PAWL_CANCEL);
    peer_assign(bench.peer, 5, 3, 11); /* a newer token of the same task */
    await_state(fenced, PAWL_FENCED);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, 4, 10);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0]; /* not begun: ends at once */
    assert_int_equal(result->id.data[1], 4);
    assert_int_equal(result->outcome, PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_job_cancelled(&cancelled, "as told"), 0);
    result = peer_result(bench.peer)->results[0];
    assert_int_equal(result->outcome, PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_SEND_RUNNING, 0, 0);
    peer_reported(bench.peer, DONE);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_true(report->running_complete);
    assert_int_equal(report->n_running, 3);
    bench_close(&bench);
}

static void a_new_session_claims_everything_and_results_come_again(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 0);
    box_t box = { .len = 0 };
    box_use(&bench, &box);
    bench_start(&bench);
    first_credit(&bench);
    for (uint8_t i = 1; i <= 3; i++)
        peer_assign(bench.peer, i, i, i);
    pawl_job_t *ended = next_job(&bench), *kept = next_job(&bench), *fenced = next_job(&bench);
    assert_int_equal(pawl_job_log(ended, 1, "words", 5), 0);
    assert_int_equal(pawl_job_finish(&ended, ""), 0);
    peer_result(bench.peer); /* taken, and the session ends before the answer */
    peer_error(bench.peer, ERR_SESSION_LOST, "silence", 0);
    Pawl__V1__Hello *hello = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_HELLO)->hello;
    assert_int_equal(hello->n_claims, 3);
    Pawl__V1__ClaimVerdict verdicts[3];
    for (size_t i = 0; i < 3; i++) {
        uint8_t name = hello->claims[i]->id.data[1];
        assert_int_equal(hello->claims[i]->result_waits, name == 1);
        verdicts[i] =
            name == 3 ? PAWL__V1__CLAIM_VERDICT__CLAIM_STOP : PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP;
    }
    peer_welcome_with(bench.peer, verdicts, 3);
    await_state(fenced, PAWL_FENCED);
    assert_int_equal(pawl_job_state_of(kept), PAWL_RUN);
    Pawl__V1__Report *report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->token, 1);
    assert_int_equal(report->n_logs, 1);
    assert_int_equal(bench.peer->request->assign_seen, 0); /* the numbers begin anew */
    peer_reported(bench.peer, PAWL__V1__REPORT_VERDICT__REPORT_RECOVERED);
    assert_int_equal(pawl_job_fail(&fenced, "stopped", false), 0);
    peer_result(bench.peer);
    pthread_mutex_lock(&box.lock);
    assert_int_equal(box.settles, 1);
    assert_string_equal(box.verdict, "recovered");
    pthread_mutex_unlock(&box.lock);
    peer_reported(bench.peer, PAWL__V1__REPORT_VERDICT__REPORT_STALE);
    bench_close(&bench);
}

enum { RESTORED_TOKEN = 50 };
static uint8_t restored_id[16] = { 'i', 5 };

/* A result that the life before has left; `token`: of which it is said to be. */
static pawl_err restore(bench_t *bench, uint64_t token, uint64_t log_bytes)
{
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT;
    uint8_t packed[128];
    result.id = (ProtobufCBinaryData){ 16, restored_id };
    result.token = RESTORED_TOKEN;
    result.outcome = PAWL__V1__OUTCOME__OUTCOME_DONE;
    result.log_bytes = log_bytes;
    size_t len = pawl__v1__result__pack(&result, packed);
    return pawl_worker_restore(bench->worker, restored_id, token, packed, len);
}

static void a_result_of_a_task_nobody_knows_is_settled_by_the_claim(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    box_t box = { .len = 0 };
    box_use(&bench, &box);
    assert_int_equal(restore(&bench, RESTORED_TOKEN + 1, 0), PAWL_E_BAD_REQUEST);
    assert_int_equal(restore(&bench, RESTORED_TOKEN, 0), 0);
    Pawl__V1__ClaimVerdict unknown = PAWL__V1__CLAIM_VERDICT__CLAIM_UNKNOWN;
    bench_start_with(&bench, &unknown, 1);
    assert_int_equal(pawl_worker_drain(bench.worker, 5 * SECOND), 0);
    assert_string_equal(box.verdict, "unknown");
    bench_close(&bench);
}

static void a_restored_result_is_claimed_and_reported(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    box_t box = { .len = 0 };
    box_use(&bench, &box);
    assert_int_equal(restore(&bench, RESTORED_TOKEN, 1000), 0);
    bench_start(&bench);
    assert_int_equal(bench.peer->request->hello->n_claims, 1);
    assert_true(bench.peer->request->hello->claims[0]->result_waits);
    const Pawl__V1__Report *report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->token, RESTORED_TOKEN);
    /* what of the log had not gone is lost with the process before: only its end is known */
    assert_int_equal(report->n_logs, 1);
    assert_int_equal(report->logs[0]->offset, 1000);
    assert_int_equal(report->logs[0]->data.len, 0);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

static void a_job_whose_result_cannot_be_kept_is_not_ended(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    box_t box = { .fail_next = 1 };
    box_use(&bench, &box);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_finish(&job, ""), PAWL_E_OS);
    assert_non_null(job);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    assert_null(job);
    assert_int_equal(box.stores, 2);
    Pawl__V1__Report *report = peer_result(bench.peer);
    assert_int_equal(report->n_results, 1);
    assert_int_equal(settles_of(&box), 0);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

static void *drain(void *worker)
{
    return (void *)(intptr_t)pawl_worker_drain(worker, 10 * SECOND);
}

static void drain_gives_back_what_was_not_begun_and_waits_for_the_rest(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    pthread_t drainer;
    void *err;
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    peer_assign(bench.peer, 2, 2, 2);
    pawl_job_t *job = next_job(&bench);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_PING); /* both are seen */
    peer_pong(bench.peer);
    pthread_create(&drainer, NULL, drain, bench.worker);
    Pawl__V1__Report *report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->outcome, PAWL__V1__OUTCOME__OUTCOME_RETURN);
    assert_int_equal(report->results[0]->token, 2);
    assert_int_equal(report->credit, 0); /* else what goes back would come again */
    assert_true(pawl_worker_draining(bench.worker));
    peer_reported(bench.peer, DONE);
    peer_assign(bench.peer, 3, 3, 3); /* crossed the drain on its way: goes back */
    report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->outcome, PAWL__V1__OUTCOME__OUTCOME_RETURN);
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    peer_result(bench.peer);
    peer_reported(bench.peer, DONE);
    pthread_join(drainer, &err);
    assert_int_equal((intptr_t)err, 0);
    pawl_worker_resume(bench.worker);
    assert_int_equal(first_credit(&bench), 2);
    bench_close(&bench);
}

static void a_drain_by_the_broker_is_ended_by_resume(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    bench_start(&bench);
    first_credit(&bench);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_DRAIN, 0, 0);
    assert_int_equal(first_credit(&bench), 0);
    assert_true(pawl_worker_draining(bench.worker));
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_RESUME, 0, 0);
    assert_int_equal(first_credit(&bench), 2);
    assert_false(pawl_worker_draining(bench.worker));
    bench_close(&bench);
}

static void a_drain_that_was_ended_while_the_session_was_away_is_over(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    bench_start(&bench);
    first_credit(&bench);
    peer_direct(bench.peer, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_DRAIN, 0, 0);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT);
    peer_error(bench.peer, ERR_SESSION_LOST, "silence", 0);
    peer_greet(bench.peer); /* which says nothing of a drain */
    assert_int_equal(first_credit(&bench), 2);
    assert_false(pawl_worker_draining(bench.worker));
    bench_close(&bench);
}

static void no_bye_gives_away_the_lease_of_a_result_that_has_no_answer(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    peer_result(bench.peer);            /* and no answer */
    pawl_worker_destroy(&bench.worker); /* waits a second for it */
    pawl_client_close(bench.client, SECOND);
    pawl_client_destroy(&bench.client);
    for (;;) {
        zmq_pollitem_t item = { bench.peer->router, 0, ZMQ_POLLIN, 0 };
        if (zmq_poll(&item, 1, 200) <= 0) break;
        uint8_t frame[1024];
        zmq_recv(bench.peer->router, frame, sizeof frame, 0);
        int len = zmq_recv(bench.peer->router, frame, sizeof frame, 0);
        Pawl__V1__Request *request = pawl__v1__request__unpack(NULL, (size_t)len, frame);
        assert_non_null(request);
        assert_int_not_equal(request->body_case, PAWL__V1__REQUEST__BODY_BYE);
        pawl__v1__request__free_unpacked(request, NULL);
    }
    peer_close(&bench.peer);
}

static void a_program_that_looks_at_its_drain_again_and_again_reports_once(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_worker_drain(bench.worker, 0), PAWL_E_TIMEOUT);
    assert_int_equal(first_credit(&bench), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pawl_worker_drain(bench.worker, 0), PAWL_E_TIMEOUT);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_PING); /* no report before it */
    peer_pong(bench.peer);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    assert_int_equal(peer_result(bench.peer)->n_results, 1);
    bench_close(&bench);
}

static void a_result_the_broker_refuses_does_not_block_the_others(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 0);
    unsigned seen[4] = { 0 };
    bench_start(&bench);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT); /* unanswered: results gather */
    uint64_t seq = bench.peer->request->seq;
    for (uint8_t i = 1; i <= 3; i++)
        peer_assign(bench.peer, i, i, i);
    for (int i = 0; i < 3; i++) {
        pawl_job_t *job = next_job(&bench);
        assert_int_equal(pawl_job_finish(&job, ""), 0);
    }
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Reported reported = PAWL__V1__REPORTED__INIT;
    reply.body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply.reported = &reported;
    peer_reply_to(bench.peer, seq, &reply);
    assert_int_equal(peer_result(bench.peer)->n_results, 3);
    peer_error(bench.peer, ERR_BAD_VALUE, "results[1] is wrong", 0);
    for (int rounds = 0; seen[1] < 1 || seen[2] < 2 || seen[3] < 1; rounds++) {
        assert_true(rounds < 10);
        Pawl__V1__Report *report = peer_result(bench.peer);
        assert_int_equal(report->n_results, 1);
        uint64_t token = report->results[0]->token;
        seen[token]++;
        if (token == 2 && report->results[0]->outcome == PAWL__V1__OUTCOME__OUTCOME_DONE)
            peer_error(bench.peer, ERR_BAD_VALUE, "this one", 0);
        else
            peer_reported(bench.peer, DONE);
    }
    bench_close(&bench);
}

static void progress_that_had_no_answer_is_told_in_the_next_session(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_progress(job, 1, 2, "half"), 0);
    Pawl__V1__Report *report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
    assert_int_equal(report->n_progress, 1);
    peer_error(bench.peer, ERR_SESSION_LOST, "silence", 0);
    peer_greet(bench.peer);
    do {
        report = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT)->report;
        peer_reported(bench.peer, DONE);
    } while (report->n_progress == 0);
    assert_string_equal(report->progress[0]->text, "half");
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    assert_int_equal(peer_result(bench.peer)->n_progress, 0); /* and once */
    bench_close(&bench);
}

static void a_failing_disk_of_the_broker_takes_nothing_from_a_result(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_output(job, "{}", 2, NULL), 0);
    assert_int_equal(pawl_job_finish(&job, "done"), 0);
    for (int i = 0; i < 4; i++) {
        Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
        assert_int_equal(result->outcome, PAWL__V1__OUTCOME__OUTCOME_DONE);
        assert_int_equal(result->output.len, 2);
        if (i < 3) peer_error(bench.peer, ERR_STORE_IO, "the disk failed", 0);
    }
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_worker_drain(bench.worker, 10 * SECOND), 0);
    bench_close(&bench);
}

static void work(pawl_job_t *job, void *arg)
{
    (void)arg;
    if (pawl_job_token(job) == 2) return; /* a bug in somebody's program: never ended */
    pawl_job_finish(&job, "by a thread");
}

static void callbacks_run_in_threads_of_the_worker(void **state)
{
    (void)state;
    bench_t bench = { .peer = peer_open() };
    bench.client = peer_client(bench.peer, "executor", NULL);
    bench.worker = pawl_worker_new(bench.client);
    assert_int_equal(pawl_worker_type(bench.worker, "a/b", work, NULL), 0);
    assert_int_equal(pawl_worker_slots(bench.worker, 2), 0);
    bench_start(&bench);
    assert_int_equal(first_credit(&bench), 4);
    peer_assign(bench.peer, 1, 1, 1);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
    assert_string_equal(result->message, "by a thread");
    peer_reported(bench.peer, DONE);
    peer_assign(bench.peer, 2, 2, 2);
    result = peer_result(bench.peer)->results[0];
    assert_int_equal(result->outcome, PAWL__V1__OUTCOME__OUTCOME_FAIL);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

static void
a_job_that_its_callback_left_is_ended_also_when_the_outbox_refuses_at_first(void **state)
{
    (void)state;
    box_t box = { .fail_next = 1 };
    bench_t bench = { .peer = peer_open() };
    bench.client = peer_client(bench.peer, "executor", NULL);
    bench.worker = pawl_worker_new(bench.client);
    box_use(&bench, &box);
    assert_int_equal(pawl_worker_type(bench.worker, "a/b", work, NULL), 0);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 2, 2);
    assert_int_equal(peer_result(bench.peer)->results[0]->outcome, PAWL__V1__OUTCOME__OUTCOME_FAIL);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
    pthread_mutex_destroy(&box.lock);
}

static void *destroy_worker(void *worker)
{
    pawl_worker_destroy((pawl_worker_t **)worker);
    return NULL;
}

static void a_worker_that_goes_gives_its_jobs_back(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 1);
    pthread_t destroyer;
    bool returned[3] = { false };
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 1, 1);
    peer_assign(bench.peer, 2, 2, 2);
    next_job(&bench);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_PING);
    peer_pong(bench.peer);
    pthread_create(&destroyer, NULL, destroy_worker, &bench.worker);
    while (!returned[1] || !returned[2]) {
        Pawl__V1__Report *report = peer_result(bench.peer);
        for (size_t i = 0; i < report->n_results; i++) {
            assert_int_equal(report->results[i]->outcome, PAWL__V1__OUTCOME__OUTCOME_RETURN);
            returned[report->results[i]->token] = true;
        }
        peer_reported(bench.peer, DONE);
    }
    pthread_join(destroyer, NULL);
    pawl_client_destroy(&bench.client);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_BYE);
    peer_close(&bench.peer);
}

static void a_worker_may_go_at_any_moment(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        bench_t bench = { .peer = peer_open() };
        uint8_t random[2];
        bench.client = peer_client(bench.peer, "executor", NULL);
        bench.worker = pawl_worker_new(bench.client);
        pawl_worker_type(bench.worker, "a/b", round % 2 ? work : NULL, NULL);
        pawl_worker_slots(bench.worker, 4);
        random_bytes(random, sizeof random);
        bench_start(&bench);
        for (uint8_t i = 1; i < random[0] % 8; i++)
            peer_assign(bench.peer, i, i, (uint64_t)i * 2 + 1);
        pawl_job_t *job = NULL;
        if (!(round % 2) && (random[1] & 4)) pawl_worker_next(bench.worker, &job, 1000);
        if (job && (random[1] & 8)) pawl_job_finish(&job, "");
        if (random[1] & 1) peer_stop(bench.peer);
        if (random[1] & 2)
            pawl_client_destroy(&bench.client);
        else
            pawl_client_close(bench.client, 0);
        pawl_worker_destroy(&bench.worker);
        pawl_client_destroy(&bench.client);
        peer_close(&bench.peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_waits_for_the_start_and_tells_what_is_served),
        cmocka_unit_test(a_job_is_pulled_run_and_answered),
        cmocka_unit_test(slots_bound_what_runs_and_prefetch_waits),
        cmocka_unit_test(the_log_goes_before_the_result_in_the_same_report),
        cmocka_unit_test(a_result_without_words_waits_for_no_report_that_has_them),
        cmocka_unit_test(what_was_in_flight_in_either_lane_comes_again_in_the_next_session),
        cmocka_unit_test(a_quiet_job_still_gets_its_log_out_soon),
        cmocka_unit_test(too_much_log_is_held_back_until_some_is_answered),
        cmocka_unit_test(repeated_assigns_are_run_once_and_a_gap_sends_the_running_list),
        cmocka_unit_test(directives_reach_the_job),
        cmocka_unit_test(a_new_session_claims_everything_and_results_come_again),
        cmocka_unit_test(a_result_of_a_task_nobody_knows_is_settled_by_the_claim),
        cmocka_unit_test(a_restored_result_is_claimed_and_reported),
        cmocka_unit_test(a_job_whose_result_cannot_be_kept_is_not_ended),
        cmocka_unit_test(drain_gives_back_what_was_not_begun_and_waits_for_the_rest),
        cmocka_unit_test(a_drain_by_the_broker_is_ended_by_resume),
        cmocka_unit_test(a_drain_that_was_ended_while_the_session_was_away_is_over),
        cmocka_unit_test(no_bye_gives_away_the_lease_of_a_result_that_has_no_answer),
        cmocka_unit_test(a_program_that_looks_at_its_drain_again_and_again_reports_once),
        cmocka_unit_test(a_result_the_broker_refuses_does_not_block_the_others),
        cmocka_unit_test(progress_that_had_no_answer_is_told_in_the_next_session),
        cmocka_unit_test(a_failing_disk_of_the_broker_takes_nothing_from_a_result),
        cmocka_unit_test(callbacks_run_in_threads_of_the_worker),
        cmocka_unit_test(
            a_job_that_its_callback_left_is_ended_also_when_the_outbox_refuses_at_first),
        cmocka_unit_test(a_worker_that_goes_gives_its_jobs_back),
        cmocka_unit_test(a_worker_may_go_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

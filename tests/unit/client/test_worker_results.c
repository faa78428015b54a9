/* SPDX-License-Identifier: Apache-2.0
 * No result of a worker is lost: over sessions, restarts, refusals and a failing disk. */
#include "tests/unit/client/worker_bench.h"

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

static void what_was_in_flight_in_either_lane_comes_again_in_the_next_session(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(2, 0);
    peer_assign(bench.peer, 1, 1, 10);
    peer_assign(bench.peer, 2, 2, 10);
    pawl_job_t *loud = next_job(&bench), *quiet = next_job(&bench);
    assert_int_equal(pawl_job_log(loud, 1, "out", 3), 0);
    assert_int_equal(pawl_job_finish(&loud, ""), 0);
    assert_int_equal(pawl_job_finish(&quiet, ""), 0);
    bool seen[2] = { false, false };
    for (int i = 0; i < 2; i++) { /* none is answered */
        Pawl__V1__Report *report = next_report(&bench);
        assert_int_equal(report->n_results, 1);
        seen[report->n_logs > 0] = true;
    }
    assert_true(seen[0] && seen[1]);
    peer_stop(bench.peer);
    peer_start(bench.peer);
    Pawl__V1__Request *request = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_HELLO);
    assert_int_equal(request->hello->n_claims, 2);
    Pawl__V1__ClaimVerdict keep[2] = { CLAIM(KEEP), CLAIM(KEEP) };
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

static void a_new_session_claims_everything_and_results_come_again(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 0);
    box_t box = { .len = 0 };
    box_use(&bench, &box);
    bench_start(&bench);
    first_credit(&bench);
    assign_up_to(&bench, 3);
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
        verdicts[i] = name == 3 ? CLAIM(STOP) : CLAIM(KEEP);
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
    result.outcome = OUTCOME(DONE);
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
    Pawl__V1__ClaimVerdict unknown = CLAIM(UNKNOWN);
    bench_start_with(&bench, &unknown, 1);
    assert_int_equal(pawl_worker_drain(bench.worker, PATIENCE_US), 0);
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
    pawl_job_t *job = given_a_job(&bench);
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

static void a_result_the_broker_refuses_does_not_block_the_others(void **state)
{
    (void)state;
    bench_t bench = bench_open(3, 0);
    unsigned seen[4] = { 0 };
    bench_start(&bench);
    peer_next(bench.peer, PAWL__V1__REQUEST__BODY_REPORT); /* unanswered: results gather */
    uint64_t seq = bench.peer->request->seq;
    assign_up_to(&bench, 3);
    for (int i = 0; i < 3; i++) {
        pawl_job_t *job = next_job(&bench);
        assert_int_equal(pawl_job_finish(&job, ""), 0);
    }
    reported_without_results(bench.peer, seq);
    assert_int_equal(peer_result(bench.peer)->n_results, 3);
    peer_error(bench.peer, ERR_BAD_VALUE, "results[1] is wrong", 0);
    for (int rounds = 0; seen[1] < 1 || seen[2] < 2 || seen[3] < 1; rounds++) {
        assert_true(rounds < 10);
        Pawl__V1__Report *report = peer_result(bench.peer);
        assert_int_equal(report->n_results, 1);
        uint64_t token = report->results[0]->token;
        seen[token]++;
        if (token == 2 && report->results[0]->outcome == OUTCOME(DONE))
            peer_error(bench.peer, ERR_BAD_VALUE, "this one", 0);
        else
            peer_reported(bench.peer, DONE);
    }
    bench_close(&bench);
}

static void progress_that_had_no_answer_is_told_in_the_next_session(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
    assert_int_equal(pawl_job_progress(job, 1, 2, "half"), 0);
    Pawl__V1__Report *report = next_report(&bench);
    assert_int_equal(report->n_progress, 1);
    peer_error(bench.peer, ERR_SESSION_LOST, "silence", 0);
    peer_greet(bench.peer);
    do {
        report = next_report(&bench);
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
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
    assert_int_equal(pawl_job_output(job, "{}", 2, NULL), 0);
    assert_int_equal(pawl_job_finish(&job, "done"), 0);
    for (int i = 0; i < 4; i++) {
        Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
        assert_int_equal(result->outcome, OUTCOME(DONE));
        assert_int_equal(result->output.len, 2);
        if (i < 3) peer_error(bench.peer, ERR_STORE_IO, "the disk failed", 0);
    }
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_worker_drain(bench.worker, PATIENCE_US), 0);
    bench_close(&bench);
}

static void
a_job_that_its_callback_left_is_ended_also_when_the_outbox_refuses_at_first(void **state)
{
    (void)state;
    box_t box = { .fail_next = 1 };
    bench_t bench = bench_of(work);
    box_use(&bench, &box);
    bench_start(&bench);
    first_credit(&bench);
    peer_assign(bench.peer, 1, 2, 2);
    assert_int_equal(peer_result(bench.peer)->results[0]->outcome, OUTCOME(FAIL));
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
    pthread_mutex_destroy(&box.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_in_flight_in_either_lane_comes_again_in_the_next_session),
        cmocka_unit_test(a_new_session_claims_everything_and_results_come_again),
        cmocka_unit_test(a_result_of_a_task_nobody_knows_is_settled_by_the_claim),
        cmocka_unit_test(a_restored_result_is_claimed_and_reported),
        cmocka_unit_test(a_job_whose_result_cannot_be_kept_is_not_ended),
        cmocka_unit_test(a_result_the_broker_refuses_does_not_block_the_others),
        cmocka_unit_test(progress_that_had_no_answer_is_told_in_the_next_session),
        cmocka_unit_test(a_failing_disk_of_the_broker_takes_nothing_from_a_result),
        cmocka_unit_test(
            a_job_that_its_callback_left_is_ended_also_when_the_outbox_refuses_at_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

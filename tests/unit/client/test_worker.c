/* SPDX-License-Identifier: Apache-2.0
 * What a worker takes on and tells: its types and slots, jobs, their logs, directives. */
#include "tests/unit/client/worker_bench.h"

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
    bench_t bench = given_a_worker(1, 1);
    size_t len;
    peer_assign(bench.peer, 1, 7, 70);
    pawl_job_t *job = next_job(&bench);
    assert_int_equal(pawl_job_id(job)[1], 7);
    assert_int_equal(pawl_job_token(job), 70);
    assert_int_equal(pawl_job_attempt(job), 1);
    assert_int_equal(pawl_job_attempts_max(job), 3);
    assert_string_equal(pawl_job_type(job), "a/b");
    assert_memory_equal(pawl_job_input(job, &len), "x", 1);
    assert_string_equal(pawl_record_text(pawl_job_task(job), "type"), "a/b");
    assert_int_equal(pawl_job_output(job, "{}", 2, NULL), 0);
    pawl_job_exit(job, 3, 0);
    assert_int_equal(pawl_job_finish(&job, "bad \x01 \xff text"), 0);
    assert_null(job);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
    assert_int_equal(bench.peer->request->assign_seen, 1);
    assert_int_equal(result->outcome, OUTCOME(DONE));
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
    bench_t bench = given_a_worker(1, 1);
    pawl_job_t *second;
    assign_up_to(&bench, 2);
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
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
    assert_int_equal(pawl_job_log(job, 1, "out", 3), 0);
    assert_int_equal(pawl_job_log(job, 1, "put", 3), 0);
    assert_int_equal(pawl_job_log(job, 2, "err", 3), 0);
    pawl_job_log_skip(job, 100);
    assert_int_equal(pawl_job_log(job, 2, "end", 3), 0);
    assert_int_equal(pawl_job_log(job, 9, "x", 1), PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_job_progress(job, 1, 2, "half"), 0);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    Pawl__V1__Report *report = next_report(&bench);
    while (!report->n_results && !report->n_logs) { /* the acknowledgement of the assign */
        peer_reported(bench.peer, DONE);
        report = next_report(&bench);
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
    bench_t bench = given_a_worker(3, 0);
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
    Pawl__V1__Report *report = next_report(&bench);
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->n_logs, 0);
    assert_int_equal(report->results[0]->id.data[1], 2);
    assert_int_equal(report->credit, 3);
    peer_reported(bench.peer, DONE);

    /* a result whose log has no answer yet waits for it, others go on */
    assert_int_equal(pawl_job_finish(&loud, ""), 0);
    assert_int_equal(pawl_job_finish(&other, ""), 0);
    report = next_report(&bench);
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->results[0]->id.data[1], 3);
    peer_reported(bench.peer, DONE);
    reported_without_results(bench.peer, words);
    report = peer_result(bench.peer);
    assert_int_equal(report->n_results, 1);
    assert_int_equal(report->results[0]->id.data[1], 1);
    assert_int_equal(report->results[0]->log_bytes, 3);
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

/* In place of the C library's. */
int getloadavg(double *averages, int n)
{
    assert_int_equal(n, 1);
    *averages = 3.5;
    return 1;
}

static void the_load_is_told_in_each_session_before_a_ping_is_due(void **state)
{
    (void)state;
    bench_t bench = bench_open(1, 0);
    bench.peer->ping_us = 2 * PEER_PATIENCE_MS * (SECOND / 1000);
    bench_start(&bench);
    for (int session = 0; session < 2; session++) {
        first_credit(&bench);
        const Pawl__V1__Ping *ping = peer_next(bench.peer, PAWL__V1__REQUEST__BODY_PING)->ping;
        assert_int_equal(ping->load_set_case, PAWL__V1__PING__LOAD_SET_LOAD_MILLI);
        assert_int_equal(ping->load_milli, 3500);
        peer_pong(bench.peer);
        if (session) break;
        peer_stop(bench.peer);
        peer_start(bench.peer);
        peer_greet(bench.peer);
    }
    bench_close(&bench);
}

static void a_quiet_job_still_gets_its_log_out_soon(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
    int64_t began = clock_steady_us();
    assert_int_equal(pawl_job_log(job, 1, "still here", 10), 0);
    Pawl__V1__Report *report = next_report(&bench);
    assert_int_equal(report->n_logs, 1);
    assert_true(clock_steady_us() - began < 20 * SECOND); /* on however busy a machine */
    bench_close(&bench);
}

static void too_much_log_is_held_back_until_some_is_answered(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 0);
    char *block = calloc(1, 1 << 20);
    pawl_job_t *job = given_a_job(&bench);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pawl_job_log(job, 1, block, 1 << 20), 0);
    assert_int_equal(pawl_job_log(job, 1, block, 1), PAWL_E_BACKPRESSURE);
    Pawl__V1__Report *report = next_report(&bench);
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
    bench_t bench = given_a_worker(2, 0);
    pawl_job_t *again;
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
    take_result(&bench);
    peer_assign(bench.peer, 6, 1, 1); /* just settled */
    peer_assign(bench.peer, 7, 9, 9);
    again = next_job(&bench);
    assert_int_equal(pawl_job_id(again)[1], 9);
    bench_close(&bench);
}

static void directives_reach_the_job(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(3, 1);
    for (uint8_t i = 1; i <= 3; i++)
        peer_assign(bench.peer, i, i, 10);
    pawl_job_t *cancelled = next_job(&bench), *stopped = next_job(&bench),
               *fenced = next_job(&bench);
    peer_assign(bench.peer, 4, 4, 10); /* stays prefetched */
    assert_int_equal(pawl_job_state_of(cancelled), PAWL_RUN);
    peer_direct(bench.peer, DIRECTIVE(CANCEL), 1, 9); /* an old token */
    peer_direct(bench.peer, DIRECTIVE(STOP), 2, 10);
    await_state(stopped, PAWL_FENCED);
    assert_int_equal(pawl_job_state_of(cancelled), PAWL_RUN);
    peer_direct(bench.peer, DIRECTIVE(CANCEL), 1, 10);
    await_state(cancelled, PAWL_CANCEL);
    peer_assign(bench.peer, 5, 3, 11); /* a newer token of the same task */
    await_state(fenced, PAWL_FENCED);
    peer_direct(bench.peer, DIRECTIVE(CANCEL), 4, 10);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0]; /* not begun: ends at once */
    assert_int_equal(result->id.data[1], 4);
    assert_int_equal(result->outcome, OUTCOME(CANCELLED));
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_job_cancelled(&cancelled, "as told"), 0);
    result = peer_result(bench.peer)->results[0];
    assert_int_equal(result->outcome, OUTCOME(CANCELLED));
    peer_direct(bench.peer, DIRECTIVE(SEND_RUNNING), 0, 0);
    peer_reported(bench.peer, DONE);
    Pawl__V1__Report *report = next_report(&bench);
    assert_true(report->running_complete);
    assert_int_equal(report->n_running, 3);
    bench_close(&bench);
}

static void callbacks_run_in_threads_of_the_worker(void **state)
{
    (void)state;
    bench_t bench = bench_of(work);
    assert_int_equal(pawl_worker_slots(bench.worker, 2), 0);
    bench_start(&bench);
    assert_int_equal(first_credit(&bench), 4);
    peer_assign(bench.peer, 1, 1, 1);
    Pawl__V1__Result *result = peer_result(bench.peer)->results[0];
    assert_string_equal(result->message, "by a thread");
    peer_reported(bench.peer, DONE);
    peer_assign(bench.peer, 2, 2, 2);
    result = peer_result(bench.peer)->results[0];
    assert_int_equal(result->outcome, OUTCOME(FAIL));
    peer_reported(bench.peer, DONE);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_waits_for_the_start_and_tells_what_is_served),
        cmocka_unit_test(a_job_is_pulled_run_and_answered),
        cmocka_unit_test(slots_bound_what_runs_and_prefetch_waits),
        cmocka_unit_test(the_log_goes_before_the_result_in_the_same_report),
        cmocka_unit_test(a_result_without_words_waits_for_no_report_that_has_them),
        cmocka_unit_test(the_load_is_told_in_each_session_before_a_ping_is_due),
        cmocka_unit_test(a_quiet_job_still_gets_its_log_out_soon),
        cmocka_unit_test(too_much_log_is_held_back_until_some_is_answered),
        cmocka_unit_test(repeated_assigns_are_run_once_and_a_gap_sends_the_running_list),
        cmocka_unit_test(directives_reach_the_job),
        cmocka_unit_test(callbacks_run_in_threads_of_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

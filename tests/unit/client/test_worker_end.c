/* SPDX-License-Identifier: Apache-2.0
 * How a worker ends: drained by its program or by the broker, or gone at any moment. */
#include "tests/unit/client/worker_bench.h"

static void *drain(void *worker)
{
    return (void *)(intptr_t)pawl_worker_drain(worker, PATIENCE_US);
}

static void drain_gives_back_what_was_not_begun_and_waits_for_the_rest(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 1);
    pthread_t drainer;
    void *err;
    assign_up_to(&bench, 2);
    pawl_job_t *job = next_job(&bench);
    await_ping(&bench); /* both are seen */
    pthread_create(&drainer, NULL, drain, bench.worker);
    Pawl__V1__Report *report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->outcome, OUTCOME(RETURN));
    assert_int_equal(report->results[0]->token, 2);
    assert_int_equal(report->credit, 0); /* else what goes back would come again */
    assert_true(pawl_worker_draining(bench.worker));
    peer_reported(bench.peer, DONE);
    peer_assign(bench.peer, 3, 3, 3); /* crossed the drain on its way: goes back */
    report = peer_result(bench.peer);
    assert_int_equal(report->results[0]->outcome, OUTCOME(RETURN));
    peer_reported(bench.peer, DONE);
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    take_result(&bench);
    pthread_join(drainer, &err);
    assert_int_equal((intptr_t)err, 0);
    pawl_worker_resume(bench.worker);
    assert_int_equal(first_credit(&bench), 2);
    bench_close(&bench);
}

static void a_drain_by_the_broker_is_ended_by_resume(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 1);
    peer_direct(bench.peer, DIRECTIVE(DRAIN), 0, 0);
    assert_int_equal(first_credit(&bench), 0);
    assert_true(pawl_worker_draining(bench.worker));
    peer_direct(bench.peer, DIRECTIVE(RESUME), 0, 0);
    assert_int_equal(first_credit(&bench), 2);
    assert_false(pawl_worker_draining(bench.worker));
    bench_close(&bench);
}

static void a_drain_that_was_ended_while_the_session_was_away_is_over(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 1);
    peer_direct(bench.peer, DIRECTIVE(DRAIN), 0, 0);
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
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
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
    bench_t bench = given_a_worker(1, 0);
    pawl_job_t *job = given_a_job(&bench);
    assert_int_equal(pawl_worker_drain(bench.worker, 0), PAWL_E_TIMEOUT);
    assert_int_equal(first_credit(&bench), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(pawl_worker_drain(bench.worker, 0), PAWL_E_TIMEOUT);
    await_ping(&bench); /* no report before it */
    assert_int_equal(pawl_job_finish(&job, ""), 0);
    assert_int_equal(peer_result(bench.peer)->n_results, 1);
    bench_close(&bench);
}

static void *destroy_worker(void *worker)
{
    pawl_worker_destroy((pawl_worker_t **)worker);
    return NULL;
}

static void a_worker_that_goes_gives_its_jobs_back(void **state)
{
    (void)state;
    bench_t bench = given_a_worker(1, 1);
    pthread_t destroyer;
    bool returned[3] = { false };
    assign_up_to(&bench, 2);
    next_job(&bench);
    await_ping(&bench);
    pthread_create(&destroyer, NULL, destroy_worker, &bench.worker);
    while (!returned[1] || !returned[2]) {
        Pawl__V1__Report *report = peer_result(bench.peer);
        for (size_t i = 0; i < report->n_results; i++) {
            assert_int_equal(report->results[i]->outcome, OUTCOME(RETURN));
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
        bench_t bench = bench_of(round % 2 ? work : NULL);
        uint8_t random[2];
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
        cmocka_unit_test(drain_gives_back_what_was_not_begun_and_waits_for_the_rest),
        cmocka_unit_test(a_drain_by_the_broker_is_ended_by_resume),
        cmocka_unit_test(a_drain_that_was_ended_while_the_session_was_away_is_over),
        cmocka_unit_test(no_bye_gives_away_the_lease_of_a_result_that_has_no_answer),
        cmocka_unit_test(a_program_that_looks_at_its_drain_again_and_again_reports_once),
        cmocka_unit_test(a_worker_that_goes_gives_its_jobs_back),
        cmocka_unit_test(a_worker_may_go_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

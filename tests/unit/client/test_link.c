/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client/peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "client/base/clock.h"
#include "schemas/errors.h"

static pawl_op_t *submit_one(pawl_client_t *client, uint8_t name)
{
    pawl_task_t *task = pawl_task_new("a/b");
    uint8_t id[16] = { 'i', name };
    pawl_err err;
    pawl_task_set_id(task, id);
    pawl_op_t *op = pawl_submit_op(client, task, &err);
    pawl_task_destroy(&task);
    assert_int_equal(err, 0);
    assert_non_null(op);
    return op;
}

/* Which task a Submit carries. */
static uint8_t name_in(const Pawl__V1__Request *request)
{
    Pawl__V1__Task *task =
        pawl__v1__task__unpack(NULL, request->submit->tasks[0].len, request->submit->tasks[0].data);
    uint8_t name = task->id.data[1];
    pawl__v1__task__free_unpacked(task, NULL);
    return name;
}

static Pawl__V1__Request *next_submit(peer_t *peer)
{
    return peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT);
}

static void answers_find_their_requests_in_any_order(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    peer_greet(peer);
    pawl_op_t *first = submit_one(client, 1), *second = submit_one(client, 2);
    uint64_t seq = next_submit(peer)->seq;
    assert_true(next_submit(peer)->seq > seq);
    assert_int_equal(peer->request->session.len, 16);
    peer_submitted(peer);
    assert_int_equal(pawl_op_wait(second, PATIENCE_US), 0);
    assert_false(pawl_op_done(first));
    peer_submitted_to(peer, seq);
    assert_int_equal(pawl_op_wait(first, PATIENCE_US), 0);
    pawl_op_destroy(&first);
    pawl_op_destroy(&second);
}

static void hello_says_who_it_is_and_keeps_its_incarnation(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    uint8_t incarnation[16];
    Pawl__V1__Hello *hello = peer_next(peer, PAWL__V1__REQUEST__BODY_HELLO)->hello;
    assert_string_equal(hello->name, "tester");
    assert_int_equal(hello->role, PAWL__V1__ROLE__ROLE_SCHEDULER);
    assert_int_equal(hello->pid, getpid());
    memcpy(incarnation, hello->incarnation.data, 16);
    peer_welcome_with(peer, NULL, 0);
    assert_int_equal(pawl_client_connect(client, PATIENCE_US), 0);
    peer_stop(peer);
    peer_start(peer);
    hello = peer_next(peer, PAWL__V1__REQUEST__BODY_HELLO)->hello;
    assert_memory_equal(hello->incarnation.data, incarnation, 16);
}

static void what_has_no_answer_is_sent_again_in_order_to_the_next_broker(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pawl_op_t *ops[5];
    peer_greet(peer);
    for (uint8_t i = 0; i < 5; i++)
        ops[i] = submit_one(client, i);
    for (uint8_t i = 0; i < 5; i++) {
        assert_int_equal(name_in(next_submit(peer)), i);
        if (i == 2) peer_submitted(peer);
    }
    assert_int_equal(pawl_op_wait(ops[2], PATIENCE_US), 0);
    uint64_t last_seq = peer->request->seq;
    peer_stop(peer);
    peer_start(peer);
    peer_greet(peer);
    const uint8_t again[] = { 0, 1, 3, 4 };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(name_in(next_submit(peer)), again[i]);
        assert_true(peer->request->seq > last_seq);
        peer_submitted(peer);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pawl_op_wait(ops[i], PATIENCE_US), 0);
        pawl_op_destroy(&ops[i]);
    }
}

static void *pause_queue(void *client)
{
    return (void *)(intptr_t)pawl_queue_change(client, "q", true, "why", PATIENCE_US);
}

static void a_change_is_resent_with_the_same_request_id_after_the_session_was_lost(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pthread_t caller;
    uint8_t request_id[16];
    void *err;
    pthread_create(&caller, NULL, pause_queue, client);
    peer_greet(peer);
    Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_QUEUE_CHANGE);
    assert_int_equal(request->request_id.len, 16);
    memcpy(request_id, request->request_id.data, 16);
    uint64_t old_seq = request->seq;
    peer_error(peer, ERR_SESSION_LOST, "too long a silence", 0);
    peer_greet(peer);
    request = peer_next(peer, PAWL__V1__REQUEST__BODY_QUEUE_CHANGE);
    assert_memory_equal(request->request_id.data, request_id, 16);
    /* an answer to the old copy, arriving late, is nobody's */
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Changed changed = PAWL__V1__CHANGED__INIT;
    Pawl__V1__ItemResult item = PAWL__V1__ITEM_RESULT__INIT, *items = &item;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    error.code = ERR_REFUSED;
    item.error = &error;
    changed.n_items = 1;
    changed.items = &items;
    reply.body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply.changed = &changed;
    peer_reply_to(peer, old_seq, &reply);
    changed.n_items = 0;
    peer_reply(peer, &reply);
    pthread_join(caller, &err);
    assert_int_equal((intptr_t)err, 0);
}

static void busy_is_sent_again_when_the_broker_asked(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    peer_greet(peer);
    pawl_op_t *op = submit_one(client, 1), *other = submit_one(client, 2);
    next_submit(peer);
    peer_error(peer, ERR_BUSY, "too much in flight", 40 * 1000);
    int64_t began = clock_steady_us();
    uint8_t name = name_in(next_submit(peer));
    if (name == 2) { /* was on its way already */
        peer_submitted(peer);
        name = name_in(next_submit(peer));
    }
    assert_int_equal(name, 1);
    assert_true(clock_steady_us() - began >= 15 * 1000);
    peer_submitted(peer);
    assert_int_equal(pawl_op_wait(op, PATIENCE_US), 0);
    pawl_op_destroy(&op);
    pawl_op_destroy(&other);
}

static void a_silent_broker_is_left_after_two_pings(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    peer->ping_us = 300 * 1000;
    peer->mute = true;
    pawl_client_t *client = peer_client(peer, "client", NULL);
    peer_greet(peer);
    peer_next(peer, PAWL__V1__REQUEST__BODY_PING);
    peer_greet(peer); /* no answer: Hello again */
    peer->mute = false;
    for (int answered = 0; answered < 5;) { /* answered pings keep a session */
        const Pawl__V1__Request *request = peer_take(peer);
        assert_non_null(request);
        Pawl__V1__Request__BodyCase kind = request->body_case;
        if (kind == PAWL__V1__REQUEST__BODY_HELLO) { /* we were too slow for it: from the start */
            peer_welcome_with(peer, NULL, 0);
            answered = 0;
        } else {
            assert_int_equal(kind, PAWL__V1__REQUEST__BODY_PING);
            peer_pong(peer);
            answered++;
        }
    }
    assert_true(peer->sessions >= 2);
    assert_int_equal(pawl_client_state(client), PAWL_CONNECTED);
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void garbage_is_ignored(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    peer_greet(peer);
    pawl_op_t *op = submit_one(client, 1);
    next_submit(peer);
    const char *junk[] = { "",        "x", "\x0dPWR1", "\x0dPWR1\xff\xff\xff", "\x0dPWP1\x52\x7f",
                           "\x0dXXXX" };
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
        peer_raw(peer, junk[i], strlen(junk[i]));
    for (int i = 0; i < 500; i++) {
        uint8_t noise[64] = { 0x0d, 'P', 'W', i % 2 ? 'R' : 'P', '1' };
        random_bytes(noise + 5, sizeof noise - 5);
        noise[5] = 0x52; /* never a seq: it might be that of the request */
        peer_raw(peer, noise, 6 + (size_t)i % 58);
    }
    peer_submitted_to(peer, peer->request->seq + 1000);
    zmq_send(peer->router, peer->route, peer->route_len, ZMQ_SNDMORE);
    zmq_send(peer->router, "two", 3, ZMQ_SNDMORE);
    zmq_send(peer->router, "frames", 6, 0);
    peer_submitted(peer);
    assert_int_equal(pawl_op_wait(op, PATIENCE_US), 0);
    pawl_op_destroy(&op);
}

static void connect_tells_the_brokers_refusal(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    peer_next(peer, PAWL__V1__REQUEST__BODY_HELLO);
    peer_error(peer, ERR_REFUSED, "uid 7 may not speak here", 0);
    assert_int_equal(pawl_client_connect(client, PATIENCE_US), PAWL_E_REFUSED);
    assert_string_equal(pawl_client_error(client), "uid 7 may not speak here");
}

static void without_a_broker_the_error_names_the_endpoint_and_why(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    peer_stop(peer);
    unlink(peer->endpoint + 6);
    pawl_client_t *client = peer_client(peer, "client", NULL);
    int64_t deadline = clock_steady_us() + PATIENCE_US;
    do /* it has to try before it can say why */
        assert_int_equal(pawl_client_connect(client, 50 * 1000), PAWL_E_UNREACHABLE);
    while (!strstr(pawl_client_error(client), "No such file") && clock_steady_us() < deadline);
    assert_non_null(strstr(pawl_client_error(client), peer->endpoint));
    assert_non_null(strstr(pawl_client_error(client), "No such file"));
    assert_int_equal(pawl_queue_change(client, "q", true, NULL, 20 * 1000), PAWL_E_UNREACHABLE);
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    pawl_client_t *client = peer_client(peer, "client", "2");
    pawl_op_t *ops[2] = { submit_one(client, 1), submit_one(client, 2) };
    pawl_task_t *task = pawl_task_new("a/b");
    pawl_err err;
    assert_null(pawl_submit_op(client, task, &err));
    assert_int_equal(err, PAWL_E_BACKPRESSURE);
    assert_int_equal(pawl_submit(client, task, NULL, 20 * 1000), PAWL_E_BACKPRESSURE);
    peer_greet(peer);
    for (int i = 0; i < 2; i++) {
        next_submit(peer);
        peer_submitted(peer);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pawl_op_wait(ops[i], PATIENCE_US), 0);
        pawl_op_destroy(&ops[i]);
    }
    ops[0] = submit_one(client, 3);
    pawl_op_destroy(&ops[0]); /* what was sent stays sent */
    assert_int_equal(name_in(next_submit(peer)), 3);
    pawl_task_destroy(&task);
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void no_more_is_in_flight_than_the_broker_takes(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    peer->in_flight = 5; /* two are kept for pings and reports */
    pawl_client_t *client = peer_client(peer, "client", NULL);
    pawl_op_t *ops[20];
    peer_greet(peer);
    for (uint8_t i = 0; i < 20; i++)
        ops[i] = submit_one(client, i);
    for (int i = 0; i < 3; i++)
        next_submit(peer);
    zmq_pollitem_t item = { peer->router, 0, ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, 30), 0);
    peer_submitted_to(peer, peer->request->seq - 2);
    peer_submitted_to(peer, peer->request->seq - 1);
    peer_submitted(peer);
    for (int i = 3; i < 20; i++) {
        next_submit(peer);
        peer_submitted(peer);
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pawl_op_wait(ops[i], PATIENCE_US), 0);
        pawl_op_destroy(&ops[i]);
    }
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void a_child_process_is_refused(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    pawl_client_t *client = peer_client(peer, "client", NULL);
    peer_greet(peer);
    pawl_op_t *done = submit_one(client, 2);
    next_submit(peer);
    peer_submitted(peer);
    assert_int_equal(pawl_op_wait(done, PATIENCE_US), 0);
    pid_t pid = fork();
    if (pid == 0) { /* also what only asks: the lock may have been somebody's in the parent */
        int ok = pawl_client_connect(client, 1000) == PAWL_E_FORKED &&
                 pawl_queue_change(client, "q", true, NULL, 1000) == PAWL_E_FORKED &&
                 pawl_op_result(done) == PAWL_E_FORKED && !pawl_op_done(done);
        pawl_op_destroy(&done);
        pawl_client_destroy(&client);
        _exit(ok && !client ? 0 : 1);
    }
    pawl_op_destroy(&done);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pawl_op_t *op = submit_one(client, 1); /* the parent goes on */
    next_submit(peer);
    peer_submitted(peer);
    assert_int_equal(pawl_op_wait(op, PATIENCE_US), 0);
    pawl_op_destroy(&op);
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void count_op(pawl_op_t *op, void *arg)
{
    (void)op;
    ++*(int *)arg;
}

static void a_callback_runs_once_inside_poll_and_never_after_destroy(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    int told = 0, never = 0;
    peer_greet(peer);
    pawl_op_t *op = submit_one(client, 1), *dead = submit_one(client, 2);
    pawl_op_on_done(op, count_op, &told);
    pawl_op_on_done(dead, count_op, &never);
    for (int i = 0; i < 2; i++) {
        next_submit(peer);
        peer_submitted(peer);
    }
    assert_int_equal(pawl_op_wait(op, PATIENCE_US), 0);
    assert_int_equal(pawl_op_wait(dead, PATIENCE_US), 0);
    assert_int_equal(told, 0);
    pawl_op_destroy(&dead);
    zmq_pollitem_t item = { NULL, pawl_client_fd(client), ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, 5000), 1);
    assert_int_equal(pawl_client_poll(client, PATIENCE_US), 1);
    assert_int_equal(pawl_client_poll(client, 0), 0);
    assert_int_equal(zmq_poll(&item, 1, 0), 0);
    assert_int_equal(told, 1);
    assert_int_equal(never, 0);
    pawl_op_destroy(&op);
}

static void close_says_bye_when_all_is_answered(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    peer_greet(peer);
    assert_int_equal(pawl_client_connect(client, PATIENCE_US), 0);
    assert_int_equal(pawl_client_close(client, PATIENCE_US), 0);
    peer_next(peer, PAWL__V1__REQUEST__BODY_BYE);
    pawl_task_t *task = pawl_task_new("a/b");
    assert_int_equal(pawl_submit(client, task, NULL, SECOND), PAWL_E_CLOSED);
    pawl_task_destroy(&task);
}

/* ---- many threads ---------------------------------------------------------------------------- */

static atomic_int threads_done;

static void *submit_ten(void *client)
{
    intptr_t failed = 0;
    for (int i = 0; i < 10; i++) {
        pawl_task_t *task = pawl_task_new("a/b");
        uint8_t id[16], given[16];
        pawl_task_id(task, given);
        failed += pawl_submit(client, task, id, PATIENCE_US) != 0 || memcmp(id, given, 16) != 0;
        pawl_task_destroy(&task);
    }
    atomic_fetch_add(&threads_done, 1);
    return (void *)failed;
}

static void many_threads_block_on_one_handle_at_once(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, submit_ten, client);
    peer_greet(peer);
    for (int taken = 0; atomic_load(&threads_done) < 8;) {
        zmq_pollitem_t item = { peer->router, 0, ZMQ_POLLIN, 0 };
        if (zmq_poll(&item, 1, 20) <= 0) continue;
        next_submit(peer);
        if (++taken == 40) { /* a broker that stops in the middle; what it had taken comes again */
            peer_stop(peer);
            peer_start(peer);
            peer_greet(peer);
        } else {
            peer_submitted(peer);
        }
    }
    for (int i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_int_equal((intptr_t)failed, 0);
    }
}

typedef struct faulty {
    pawl_client_t *client;
    const char *verb;
    char text[200];
} faulty_t;

static void *fail_by(void *arg)
{
    faulty_t *self = arg;
    uint8_t id[16] = { 0 };
    pawl_err err = self->verb[0] == 's'
                       ? pawl_schedule_change(self->client, self->verb, "n", NULL, NULL, NULL, 0)
                       : pawl_task_change(self->client, self->verb, id, 1, NULL, NULL, 0);
    snprintf(self->text, sizeof self->text, "%d %s", err, pawl_client_error(self->client));
    return NULL;
}

static void each_thread_has_its_own_error(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    faulty_t faults[2] = { { client, "shout", "" }, { client, "xyz", "" } };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, fail_by, &faults[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_non_null(strstr(faults[0].text, "-1 a schedule is changed by"));
    assert_non_null(strstr(faults[1].text, "-1 a task is changed by"));
    assert_string_equal(pawl_client_error(client), "");
}

static bool swallow(const pawl_record_t *event, void *arg)
{
    (void)event;
    (void)arg;
    return true;
}

/* Destroys everything at a random moment of a lively session, in a random order. */
static void anything_may_be_destroyed_at_any_moment(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    for (unsigned round = 0; round < 60; round++) {
        pawl_client_t *client = peer_client(peer, "client", NULL);
        pawl_op_t *ops[4];
        int calls = 0;
        for (uint8_t i = 0; i < 4; i++) {
            ops[i] = submit_one(client, i);
            pawl_op_on_done(ops[i], count_op, &calls);
        }
        pawl_watch_t *watch = pawl_watch_new(client, 1, swallow, NULL);
        uint8_t random[2];
        random_bytes(random, sizeof random);
        int steps = random[0] % 6;
        if (steps > 0) peer_greet(peer);
        for (int i = 1; i < steps; i++) {
            next_submit(peer);
            if (random[1] & (1 << i)) peer_submitted(peer);
        }
        if (random[1] & 1) pawl_client_poll(client, 0);
        if (random[1] & 2) pawl_client_destroy(&client);
        for (int i = 0; i < 4; i++)
            pawl_op_destroy(&ops[i]);
        pawl_watch_destroy(&watch);
        pawl_client_destroy(&client);
        /* a new router: nothing of this round is left for the next one */
        peer_stop(peer);
        peer_start(peer);
    }
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AS_CLIENT(answers_find_their_requests_in_any_order),
        AS_SCHEDULER(hello_says_who_it_is_and_keeps_its_incarnation),
        AS_CLIENT(what_has_no_answer_is_sent_again_in_order_to_the_next_broker),
        AS_CLIENT(a_change_is_resent_with_the_same_request_id_after_the_session_was_lost),
        AS_CLIENT(busy_is_sent_again_when_the_broker_asked),
        cmocka_unit_test(a_silent_broker_is_left_after_two_pings),
        AS_CLIENT(garbage_is_ignored),
        AS_CLIENT(connect_tells_the_brokers_refusal),
        cmocka_unit_test(without_a_broker_the_error_names_the_endpoint_and_why),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(no_more_is_in_flight_than_the_broker_takes),
        cmocka_unit_test(a_child_process_is_refused),
        AS_CLIENT(a_callback_runs_once_inside_poll_and_never_after_destroy),
        AS_CLIENT(close_says_bye_when_all_is_answered),
        AS_CLIENT(many_threads_block_on_one_handle_at_once),
        AS_CLIENT(each_thread_has_its_own_error),
        cmocka_unit_test(anything_may_be_destroyed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

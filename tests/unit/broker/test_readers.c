/* SPDX-License-Identifier: Apache-2.0
 * The actor: letters down, answers up; long polls that are woken, time out or end with it. */
#include "tests/unit/broker/query_world.h"

#include <czmq.h>
#include <stdatomic.h>
#include <unistd.h>

#include "broker/readers/readers.h"

static readers_t *readers;
static char folder[64];
static atomic_bool log_is_there; /* told by the test, read by the readers' thread */

static err_t read_log(void *arg, answer_t *answer, const Pawl__V1__LogRead *ask,
                      const log_ask_t *log, Pawl__V1__Reply *reply, bool *more)
{
    (void)arg;
    Pawl__V1__LogData *data = answer_take(answer, sizeof *data);
    pawl__v1__log_data__init(data);
    data->next = ask->offset + (log_is_there ? 1 : 0);
    data->attempt = log->attempt;
    reply->log = data;
    reply->body_case = PAWL__V1__REPLY__BODY_LOG;
    *more = !log_is_there && log->running;
    return ERR_OK;
}

/* keep_us 0: nothing is purged */
static void start(int64_t keep_us)
{
    readers_config_t config = { .store = world.store, .read_log = read_log };
    config.keep = (retention_t){ keep_us, keep_us };
    config.keep_all = keep_us == 0;
    assert_int_equal(readers_start(&readers, &config), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    store_t *store = NULL;
    char path[96];
    strcpy(folder, "/tmp/pawl-readers-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    assert_int_equal(store_open(&store, path, 64 << 20, 0, NULL), ERR_OK);
    world_open_on(&world, store);
    log_is_there = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {
        "s/data.mdb", "s/lock.mdb", "s/lock.pawl", "s/new.mdb", "s/new.mdb-lock", "s", ""
    };
    char path[96];
    readers_close(&readers);
    world_close(&world);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    return 0;
}

/* Sends a request as the front does. */
static void ask(Pawl__V1__Request *request, uint64_t seq)
{
    uint8_t session[16] = { 1 }, packed[4096];
    wire_fault_t fault;
    request->magic = WIRE_MAGIC_REQUEST;
    request->seq = seq;
    request->session = (ProtobufCBinaryData){ 16, session };
    assert_true(pawl__v1__request__get_packed_size(request) <= sizeof packed);
    size_t len = pawl__v1__request__pack(request, packed);
    query_t *query = query_new();
    err_t err = wire_request_decode(&query->arena, packed, len, &query->request, &fault);
    if (err != ERR_OK) fail_msg("%s: %s", fault.field, fault.text);
    letter_send(readers_socket(readers), LETTER_QUERY, query, 0);
}

/* The next letter; a minute is more than any machine needs. */
static letter_t next_letter(void)
{
    letter_t letter;
    zmq_pollitem_t item = { readers_socket(readers), 0, ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&item, 1, 60000), 1);
    assert_true(letter_take(readers_socket(readers), &letter));
    return letter;
}

/* The next answer; it must be that to request `seq`. */
static Pawl__V1__Reply *expect_answer(uint64_t seq)
{
    letter_t letter = next_letter();
    assert_int_equal(letter.kind, LETTER_DONE);
    query_t *query = letter.object;
    Pawl__V1__Reply *reply = pawl__v1__reply__unpack(NULL, query->reply.len, query->reply.at);
    assert_non_null(reply);
    assert_int_equal(reply->magic, WIRE_MAGIC_REPLY);
    assert_int_equal(reply->seq, seq);
    query_free(&query);
    return reply;
}

static void forget(Pawl__V1__Reply *reply)
{
    pawl__v1__reply__free_unpacked(reply, NULL);
}

/* What was asked before is parked when a question asked after it is answered first. */
static void expect_parked(uint64_t seq)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__QueueList list = PAWL__V1__QUEUE_LIST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_QUEUE_LIST;
    request.queue_list = &list;
    ask(&request, seq);
    forget(expect_answer(seq));
}

/* Asks as request 1, which has no answer for now. */
static void ask_and_park(Pawl__V1__Request *request)
{
    ask(request, 1);
    expect_parked(2);
}

static void notice(const uint8_t *ended, const uint8_t *logged)
{
    notice_t *sent = notice_new(1, 1);
    if (ended) memcpy(sent->ended[sent->ended_n++], ended, 16);
    if (logged) memcpy(sent->logged[sent->logged_n++], logged, 16);
    letter_send(readers_socket(readers), LETTER_NOTICE, sent, 0);
}

static void ask_wait(const uint8_t (*ids)[16], size_t n, bool any, int64_t wait_us, uint64_t seq)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskWait wait = PAWL__V1__TASK_WAIT__INIT;
    ProtobufCBinaryData list[4];
    for (size_t i = 0; i < n; i++)
        list[i] = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)ids[i] };
    wait.ids = list;
    wait.n_ids = n;
    wait.any = any;
    wait.wait_us = wait_us;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_WAIT;
    request.task_wait = &wait;
    ask(&request, seq);
}

static void submit_two(uint8_t ids[2][16], world_lease_t leases[2])
{
    Pawl__V1__Task task;
    world_executor(&world, 1, "exec-1", 2);
    for (int i = 0; i < 2; i++) {
        world_task(&task);
        world_submit(&world, &task, ids[i]);
        assert_int_equal(world.leases_n, 1);
        leases[i] = world.leases[0];
    }
}

/* Given two tasks that run, and readers that purge nothing. */
static void given_two_that_run(uint8_t ids[2][16], world_lease_t leases[2])
{
    submit_two(ids, leases);
    start(0);
}

static void done(const world_lease_t *lease)
{
    world_report(&world, 1, lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice(NULL, 0));
}

static void a_wait_is_woken_by_the_end_of_the_last_task(void **state)
{
    (void)state;
    uint8_t ids[2][16];
    world_lease_t leases[2];
    given_two_that_run(ids, leases);
    ask_wait(ids, 2, false, 60000000, 1);
    ask_wait(ids, 2, true, 60000000, 2);
    expect_parked(3);
    done(&leases[1]);
    notice(ids[1], NULL);
    Pawl__V1__Reply *reply = expect_answer(2);
    assert_true(reply->waited->done);
    assert_int_equal(reply->waited->n_items, 1);
    forget(reply);
    notice(NULL, ids[0]); /* its log grew: no end */
    expect_parked(4);
    done(&leases[0]);
    notice(ids[0], NULL);
    reply = expect_answer(1);
    assert_true(reply->waited->done);
    assert_int_equal(reply->waited->n_items, 2);
    assert_int_equal(reply->waited->items[0]->status, S(FINISHED));
    forget(reply);
    /* an end that was durable before the question needs no notice */
    ask_wait(ids, 2, false, 60000000, 5);
    forget(expect_answer(5));
}

static void a_wait_ends_with_its_patience_or_with_the_actor(void **state)
{
    (void)state;
    uint8_t ids[2][16], unknown[1][16] = { { 9 } };
    world_lease_t leases[2];
    given_two_that_run(ids, leases);
    ask_wait(ids, 2, false, 1000, 1);
    Pawl__V1__Reply *reply = expect_answer(1);
    assert_false(reply->waited->done);
    forget(reply);
    ask_wait((const uint8_t(*)[16])unknown, 1, false, 60000000, 2);
    reply = expect_answer(2);
    assert_int_equal(reply->error->code, ERR_NOT_FOUND);
    forget(reply);
    ask_wait(ids, 2, false, 60000000, 3);
    expect_parked(4);
    readers_stop(readers);
    reply = expect_answer(3);
    assert_false(reply->waited->done);
    forget(reply);
}

static void events_wake_who_waits_for_them(void **state)
{
    (void)state;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__EventRead read = PAWL__V1__EVENT_READ__INIT;
    uint8_t ids[2][16];
    world_lease_t leases[2];
    given_two_that_run(ids, leases);
    read.from_now = true;
    read.wait_us = 60000000;
    request.body_case = PAWL__V1__REQUEST__BODY_EVENT_READ;
    request.event_read = &read;
    ask_and_park(&request);
    done(&leases[0]);
    notice(ids[0], NULL);
    Pawl__V1__Reply *reply = expect_answer(1);
    assert_int_equal(reply->events->n_items, 1);
    assert_string_equal(reply->events->items[0]->kind, "finished");
    forget(reply);
}

static void a_log_that_grows_wakes_who_reads_it(void **state)
{
    (void)state;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__LogRead read = PAWL__V1__LOG_READ__INIT;
    uint8_t ids[2][16];
    world_lease_t leases[2];
    given_two_that_run(ids, leases);
    read.id = (ProtobufCBinaryData){ 16, ids[0] };
    read.wait_us = 60000000;
    request.body_case = PAWL__V1__REQUEST__BODY_LOG_READ;
    request.log_read = &read;
    ask_and_park(&request);
    log_is_there = true;
    notice(NULL, ids[0]);
    Pawl__V1__Reply *reply = expect_answer(1);
    assert_int_equal(reply->log->next, 1);
    assert_int_equal(reply->log->attempt, 1);
    forget(reply);
}

static void expired_tasks_are_handed_up(void **state)
{
    (void)state;
    uint8_t ids[2][16];
    world_lease_t leases[2];
    submit_two(ids, leases);
    done(&leases[1]);
    start(1); /* a microsecond: the test's clock is long past */
    letter_t letter = next_letter();
    assert_int_equal(letter.kind, LETTER_PURGE);
    purge_t *purge = letter.object;
    assert_int_equal(purge->n, 1);
    assert_int_equal(purge->ns[0], 2);
    free(purge);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_wait_is_woken_by_the_end_of_the_last_task),
        TEST(a_wait_ends_with_its_patience_or_with_the_actor),
        TEST(events_wake_who_waits_for_them),
        TEST(a_log_that_grows_wakes_who_reads_it),
        TEST(expired_tasks_are_handed_up),
    };
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

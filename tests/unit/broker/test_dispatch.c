/* SPDX-License-Identifier: Apache-2.0
 * Who gets what waits, when dispatch looks at those only that have changed: whatever it is that
 * makes a task and an executor fit, the task is given away in that batch. After each step memory is
 * looked at as a whole (core_verify): nobody has room for what waits. */
#include "tests/unit/broker/core_world.h"

enum { FLEET = 40, SUBMITTER = 1 };

typedef struct offer {
    const char *name, *type, *label, *host, *queue;
    uint32_t slots, credit;
} offer_t;

static void assert_whole(world_t *w)
{
    char difference[300];
    assert_int_equal(core_verify(w->core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
}

static void join(world_t *w, conn_t conn, offer_t offer)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[] = { &label };
    char *types[] = { (char *)(uintptr_t)(offer.type ? offer.type : "test/work") };
    char *queues[] = { (char *)(uintptr_t)offer.queue };
    uint8_t incarnation[16] = { (uint8_t)conn, (uint8_t)(conn >> 8), 1 };
    label.key = (char *)(uintptr_t) "role";
    label.value = (char *)(uintptr_t)offer.label;
    h.minor = WIRE_MINOR;
    h.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    h.name = (char *)(uintptr_t)offer.name;
    h.host = (char *)(uintptr_t)(offer.host ? offer.host : "");
    h.incarnation = (ProtobufCBinaryData){ sizeof incarnation, incarnation };
    h.types = types;
    h.n_types = 1;
    h.labels = labels;
    h.n_labels = offer.label != NULL;
    h.queues = queues;
    h.n_queues = offer.queue != NULL;
    h.slots = offer.slots ? offer.slots : 1;
    h.credit = offer.credit ? offer.credit : h.slots;
    r.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    r.hello = &h;
    assert_null(request(w, conn, &r)->error);
    assert_whole(w);
}

static void leave(world_t *w, conn_t conn)
{
    is_gone(w, conn);
    assert_whole(w);
}

static void give(world_t *w, Pawl__V1__Target target)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    uint8_t random[10];
    be_put_u64(random, ++w->seq);
    random[8] = random[9] = 0;
    ulid_t id = ulid_make(EPOCH_US, random);
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.type = (char *)(uintptr_t) "test/work";
    task.target = &target;
    const Pawl__V1__Reply *reply = submit_task(w, SUBMITTER, &task);
    assert_int_equal(reply->submitted->n_items, 0);
    assert_whole(w);
}

static Pawl__V1__Target anywhere(void)
{
    return (Pawl__V1__Target)PAWL__V1__TARGET__INIT;
}

static size_t got(world_t *w, conn_t conn)
{
    const Pawl__V1__Lease *leases[64];
    return leases_of(w, conn, leases, 64);
}

static void set_paused(world_t *w, bool paused)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__QueueChange c = PAWL__V1__QUEUE_CHANGE__INIT;
    uint8_t request_id[16] = { 77, (uint8_t)++w->next_random };
    c.name = (char *)(uintptr_t) "default";
    c.pause = paused;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_QUEUE_CHANGE;
    r.queue_change = &c;
    assert_null(request(w, SUBMITTER, &r)->error);
    assert_whole(w);
}

static void set_drained(world_t *w, const char *name, bool drain)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ExecutorChange c = PAWL__V1__EXECUTOR_CHANGE__INIT;
    uint8_t request_id[16] = { 78, (uint8_t)++w->next_random };
    c.name = (char *)(uintptr_t)name;
    c.drain = drain;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
    r.executor_change = &c;
    assert_null(request(w, SUBMITTER, &r)->error);
    assert_whole(w);
}

static void ping(world_t *w, conn_t conn)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Ping p = PAWL__V1__PING__INIT;
    r.body_case = PAWL__V1__REQUEST__BODY_PING;
    r.ping = &p;
    assert_null(request(w, conn, &r)->error);
    assert_whole(w);
}

static void single_tasks_go_round_a_fleet_of_unequal_crews(void **state)
{
    world_t *w = *state;
    static const char *const labels[] = { NULL, "web", "db" };
    size_t counts[FLEET] = { 0 };
    for (size_t i = 0; i < FLEET; i++) { /* one without a label, ten, and all the others */
        char name[20];
        snprintf(name, sizeof name, "host-%02zu", i);
        join(w, 10 + i,
             (offer_t){ .name = name,
                        .label = labels[i == 0    ? 0
                                        : i <= 10 ? 1
                                                  : 2],
                        .slots = 9 });
    }
    for (size_t n = 0; n < FLEET * 5; n++) {
        give(w, anywhere());
        for (size_t i = 0; i < FLEET; i++)
            counts[i] += got(w, 10 + i);
    }
    for (size_t i = 0; i < FLEET; i++)
        assert_in_range(counts[i], 4, 6);
    assert_int_equal(COUNT(w, RUNNING), FLEET * 5);
}

static void a_free_slot_anywhere_comes_before_the_next_task_of_a_busy_one(void **state)
{
    world_t *w = *state;
    join(w, 10, (offer_t){ .name = "a", .slots = 1, .credit = 3 });
    give(w, anywhere());
    assert_int_equal(got(w, 10), 1);
    give(w, anywhere()); /* nobody else is here: it has the next one at hand */
    assert_int_equal(got(w, 10), 1);
    join(w, 11, (offer_t){ .name = "b", .slots = 2, .credit = 2 });
    give(w, anywhere());
    assert_int_equal(got(w, 11), 1);
    give(w, anywhere());
    assert_int_equal(got(w, 11), 1);
    give(w, anywhere());
    assert_int_equal(got(w, 10), 1);
    give(w, anywhere());
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void what_waits_goes_to_who_comes_is_heard_or_may_work_again(void **state)
{
    world_t *w = *state;
    join(w, 10, (offer_t){ .name = "other", .type = "test/other", .slots = 9 });
    join(w, 11, (offer_t){ .name = "busy", .slots = 1 });
    give(w, anywhere());
    give(w, anywhere());
    give(w, anywhere());
    give(w, anywhere());
    give(w, anywhere());
    assert_int_equal(COUNT(w, WAITING), 4);
    join(w, 12, (offer_t){ .name = "new", .slots = 1 });
    assert_int_equal(got(w, 12), 1);
    /* suspected, and heard again */
    command_t suspect = { .kind = CMD_SUSPECT, .conn = 13, .flag = true };
    set_paused(w, true);
    join(w, 13, (offer_t){ .name = "quiet", .slots = 1 });
    assert_int_equal(got(w, 13), 0);
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    set_paused(w, false);
    assert_int_equal(COUNT(w, WAITING), 3);
    ping(w, 13);
    assert_int_equal(got(w, 13), 1);
    /* drained while there was no work, and resumed */
    set_paused(w, true);
    join(w, 14, (offer_t){ .name = "drained", .slots = 1 });
    set_drained(w, "drained", true);
    set_paused(w, false);
    assert_int_equal(COUNT(w, WAITING), 2);
    set_drained(w, "drained", false);
    assert_int_equal(got(w, 14), 1);
    /* a queue that was paused */
    set_paused(w, true);
    join(w, 15, (offer_t){ .name = "last", .slots = 1 });
    set_paused(w, false);
    assert_int_equal(got(w, 15), 1);
    assert_int_equal(COUNT(w, WAITING), 0);
}

static void targets_find_their_executors_among_many_that_are_idle(void **state)
{
    world_t *w = *state;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[] = { &label };
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    for (size_t i = 0; i < FLEET; i++) {
        char name[20], host[20];
        snprintf(name, sizeof name, "host-%02zu", i);
        snprintf(host, sizeof host, "10.0.0.%zu", i);
        join(w, 10 + i, (offer_t){ .name = name, .host = host, .label = i == 7 ? "db" : "web" });
    }
    label.key = (char *)(uintptr_t) "role";
    label.value = (char *)(uintptr_t) "db";
    target.labels = labels;
    target.n_labels = 1;
    give(w, target);
    assert_int_equal(got(w, 17), 1);
    give(w, target); /* waits for it */
    leave(w, 17);
    assert_int_equal(COUNT(w, WAITING), 1);
    join(w, 200, (offer_t){ .name = "host-new", .label = "db" });
    assert_int_equal(got(w, 200), 1);
    target = anywhere();
    target.host = (char *)(uintptr_t) "10.0.0.20";
    give(w, target);
    assert_int_equal(got(w, 30), 1);
    target = anywhere();
    target.executor = (char *)(uintptr_t) "host-21";
    give(w, target);
    assert_int_equal(got(w, 31), 1);
    give(w, target);
    assert_int_equal(COUNT(w, WAITING), 1);
    target.executor = (char *)(uintptr_t) "host-99"; /* is not there yet */
    give(w, target);
    join(w, 201, (offer_t){ .name = "host-99" });
    assert_int_equal(got(w, 201), 1);
}

static void a_bucket_whose_executor_leaves_goes_to_one_that_was_idle_all_along(void **state)
{
    world_t *w = *state;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    for (size_t i = 0; i < FLEET; i++) {
        char name[20];
        snprintf(name, sizeof name, "host-%02zu", i);
        join(w, 10 + i, (offer_t){ .name = name, .slots = 1 });
    }
    target.hash = (char *)(uintptr_t) "customer-4711";
    give(w, target);
    conn_t owner = 0;
    for (size_t i = 0; i < FLEET; i++)
        if (got(w, 10 + i)) owner = 10 + i;
    assert_int_not_equal(owner, 0);
    give(w, target); /* it is busy, and nobody else gets it */
    assert_int_equal(COUNT(w, WAITING), 1);
    leave(w, owner);
    assert_int_equal(COUNT(w, WAITING), 0);
    assert_int_equal(COUNT(w, RUNNING), 2); /* the first one until its lease ends */
}

static void who_says_hello_with_another_offer_is_of_another_crew(void **state)
{
    world_t *w = *state;
    join(w, 11, (offer_t){ .name = "b" }); /* so that the type is known */
    leave(w, 11);
    join(w, 10, (offer_t){ .name = "a", .type = "test/other" });
    give(w, anywhere());
    assert_int_equal(COUNT(w, WAITING), 1);
    join(w, 10, (offer_t){ .name = "a", .type = "test/work", .queue = "urgent" });
    assert_int_equal(COUNT(w, WAITING), 1);
    join(w, 10, (offer_t){ .name = "a", .type = "test/work", .queue = "default" });
    assert_int_equal(got(w, 10), 1);
}

static void a_commit_that_is_refused_takes_the_lines_back_too(void **state)
{
    world_t *w = *state;
    join(w, 10, (offer_t){ .name = "a", .slots = 2 });
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    join(w, 11, (offer_t){ .name = "b", .slots = 2, .label = "new" });
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    is_gone(w, 10);
    assert_whole(w);
    give(w, anywhere());
    give(w, anywhere());
    assert_int_equal(COUNT(w, RUNNING), 2);
    assert_int_equal(COUNT(w, WAITING), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(single_tasks_go_round_a_fleet_of_unequal_crews),
        TEST(a_free_slot_anywhere_comes_before_the_next_task_of_a_busy_one),
        TEST(what_waits_goes_to_who_comes_is_heard_or_may_work_again),
        TEST(targets_find_their_executors_among_many_that_are_idle),
        TEST(a_bucket_whose_executor_leaves_goes_to_one_that_was_idle_all_along),
        TEST(who_says_hello_with_another_offer_is_of_another_crew),
        TEST(a_commit_that_is_refused_takes_the_lines_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

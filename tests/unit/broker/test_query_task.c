/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/broker/query_world.h"

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static void a_task_is_told_in_each_status_of_its_life(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    uint8_t id[16], held[16], delayed[16];
    world_executor(&world, 1, "exec-1", 0);
    world_task(&task);
    retry.max_attempts = 2;
    task.retry = &retry;
    task.title = (char *)(uintptr_t) "a title";
    world_submit(&world, &task, id);
    const Pawl__V1__TaskInfo *info = world_get(&world, id);
    assert_int_equal(info->status, S(WAITING));
    assert_string_equal(info->type, "test/work");
    assert_string_equal(info->queue, "default");
    assert_string_equal(info->title, "a title");
    assert_int_equal(info->priority, 5);
    assert_int_equal(info->attempts_max, 2);
    assert_int_equal(info->created_us, WORLD_BEGIN);
    assert_memory_equal(info->id.data, id, 16);
    Pawl__V1__Task other;
    world_task(&other);
    other.hold = true;
    world_submit(&world, &other, held);
    assert_int_equal(world_get(&world, held)->status, S(HELD));
    world_task(&other);
    other.delay_us = 5000000;
    world_submit(&world, &other, delayed);
    info = world_get(&world, delayed);
    assert_int_equal(info->status, S(DELAYED));
    assert_int_equal(info->planned_us, WORLD_BEGIN + 5000000);
    /* now it runs, fails, waits for its retry, runs and succeeds */
    world_executor(&world, 1, "exec-1", 1);
    assert_int_equal(world.leases_n, 1);
    world_lease_t lease = world.leases[0];
    assert_memory_equal(lease.id, id, 16);
    info = world_get(&world, id);
    assert_int_equal(info->status, S(RUNNING));
    assert_string_equal(info->executor, "exec-1");
    assert_int_equal(info->attempt, 1);
    assert_int_equal(info->n_attempts, 1);
    assert_string_equal(info->attempts[0]->outcome, "running");
    world.wall_us += 1000000;
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_FAIL, "it broke", slice(NULL, 0));
    info = world_get(&world, id);
    assert_int_equal(info->status, S(DELAYED));
    assert_string_equal(info->reason, "retry");
    assert_string_equal(info->message, "it broke");
    assert_true(info->planned_us > world.wall_us);
    world_sleep(&world, 60000000);
    while (world.leases_n && memcmp(world.leases[0].id, id, 16) != 0) {
        lease = world.leases[0]; /* the delayed one came first */
        world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice(NULL, 0));
    }
    assert_int_equal(world.leases_n, 1);
    lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice_text("{\"a\":1}"));
    info = world_get(&world, id);
    assert_int_equal(info->status, S(FINISHED));
    assert_int_equal(info->exit_set_case, PAWL__V1__TASK_INFO__EXIT_SET_EXIT_CODE);
    assert_int_equal(info->output.len, 7);
    assert_int_equal(info->ended_us, world.wall_us);
    assert_int_equal(info->n_attempts, 2);
    assert_string_equal(info->attempts[0]->outcome, "failed");
    assert_string_equal(info->attempts[0]->message, "it broke");
    assert_string_equal(info->attempts[1]->outcome, "finished");
    assert_true(info->task.len > 0);
}

static void large_bodies_and_outputs_come_back_whole(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    uint8_t id[16], input[9000], output[70000];
    memset(input, 'i', sizeof input);
    for (size_t i = 0; i < sizeof output; i++)
        output[i] = (uint8_t)(i * 31);
    world_executor(&world, 1, "exec-1", 1);
    world_task(&task);
    task.input = (ProtobufCBinaryData){ sizeof input, input };
    world_submit(&world, &task, id);
    world_lease_t lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "",
                 slice(output, sizeof output));
    const Pawl__V1__TaskInfo *info = world_get(&world, id);
    assert_int_equal(info->output.len, sizeof output);
    assert_memory_equal(info->output.data, output, sizeof output);
    assert_true(info->task.len > sizeof input);
}

static void an_unknown_id_is_refused_and_a_prefix_must_be_unique(void **state)
{
    (void)state;
    Pawl__V1__TaskGet get = PAWL__V1__TASK_GET__INIT;
    uint8_t unknown[16] = { 1 }, id[16], id2[16];
    ProtobufCBinaryData ids = { 16, unknown };
    get.ids = &ids;
    get.n_ids = 1;
    assert_int_equal(query_task_get(world_ask(&world), &get, &world.reply), ERR_OK);
    assert_int_equal(world.reply.error->code, ERR_NOT_FOUND);
    Pawl__V1__Task task;
    world_executor(&world, 1, "exec-1", 0);
    world_task(&task);
    world_submit(&world, &task, id);
    world_task(&task);
    world_submit(&world, &task, id2);
    char text[ULID_TEXT + 1];
    ulid_t low, high;
    ulid_print(id, text);
    get.n_ids = 0;
    assert_true(ulid_prefix(text, 26, &low, &high));
    get.prefix_low = (ProtobufCBinaryData){ 16, low.at };
    get.prefix_high = (ProtobufCBinaryData){ 16, high.at };
    assert_int_equal(query_task_get(world_ask(&world), &get, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    assert_memory_equal(world.reply.tasks->items[0]->id.data, id, 16);
    assert_true(ulid_prefix(text, 8, &low, &high));
    assert_int_equal(query_task_get(world_ask(&world), &get, &world.reply), ERR_OK);
    assert_int_equal(world.reply.error->code, ERR_AMBIGUOUS);
}

enum { MANY = 3000 };

static void submit_many(void)
{
    Pawl__V1__Task task;
    uint8_t id[16];
    char key[32];
    world_executor(&world, 1, "exec-1", 0);
    for (int i = 0; i < MANY; i++) {
        world_task(&task);
        snprintf(key, sizeof key, "key-%d", i);
        task.key = key;
        task.hold = i % 1000 == 7;
        task.queue = (char *)(uintptr_t)(i % 3 ? "default" : "other");
        uint8_t random[10] = { 1, (uint8_t)(i >> 8), (uint8_t)i };
        ulid_t drawn = ulid_make(world.wall_us, random);
        memcpy(id, drawn.at, 16);
        task.id = (ProtobufCBinaryData){ 16, id };
        world_submit_as(&world, &task);
    }
}

/* Reads all pages; returns how many tasks came, in order and none twice. */
static size_t list_all(Pawl__V1__TaskFilter *filter, bool newest_first, uint32_t limit)
{
    Pawl__V1__TaskList list = PAWL__V1__TASK_LIST__INIT;
    size_t n = 0;
    uint8_t last[16] = { 0 };
    list.filter = filter;
    list.limit = limit;
    list.newest_first = newest_first;
    do {
        assert_int_equal(query_task_list(world_ask(&world), &list, &world.reply), ERR_OK);
        assert_null(world.reply.error);
        Pawl__V1__TaskItems *items = world.reply.tasks;
        assert_true(items->n_items <= limit);
        for (size_t i = 0; i < items->n_items; i++, n++) {
            int order = memcmp(items->items[i]->id.data, last, 16);
            if (n > 0) assert_true(newest_first ? order < 0 : order > 0);
            memcpy(last, items->items[i]->id.data, 16);
        }
        list.cursor = items->cursor;
    } while (list.cursor);
    return n;
}

static void lists_give_each_match_once_in_both_directions(void **state)
{
    (void)state;
    submit_many();
    Pawl__V1__TaskFilter filter = PAWL__V1__TASK_FILTER__INIT;
    assert_int_equal(list_all(&filter, false, 1000), MANY);
    assert_int_equal(list_all(&filter, true, 77), MANY);
    Pawl__V1__TaskStatus held = S(HELD), running = S(RUNNING);
    filter.statuses = &held;
    filter.n_statuses = 1;
    assert_int_equal(list_all(&filter, false, 1), 3);
    assert_int_equal(list_all(&filter, true, 2), 3);
    filter.statuses = &running;
    assert_int_equal(list_all(&filter, true, 10), 0);
    world_executor(&world, 1, "exec-1", 5);
    assert_int_equal(list_all(&filter, true, 2), 5);
    assert_int_equal(list_all(&filter, false, 2), 5);
    filter.executor = (char *)(uintptr_t) "exec-1";
    assert_int_equal(list_all(&filter, false, 10), 5);
    filter.n_statuses = 0;
    assert_int_equal(list_all(&filter, false, 10), 5);
    filter.executor = (char *)(uintptr_t) "nobody";
    assert_int_equal(list_all(&filter, false, 10), 0);
    filter.executor = (char *)(uintptr_t) "";
    filter.queue = (char *)(uintptr_t) "other";
    assert_int_equal(list_all(&filter, true, 100), MANY / 3);
    filter.queue = (char *)(uintptr_t) "";
    filter.key = (char *)(uintptr_t) "key-1234";
    assert_int_equal(list_all(&filter, true, 100), 1);
    filter.key = (char *)(uintptr_t) "";
    filter.text = (char *)(uintptr_t) "KEY-12";
    assert_int_equal(list_all(&filter, true, 100), 111);
    filter.text = (char *)(uintptr_t) "";
    filter.since_us = WORLD_BEGIN + 1;
    assert_int_equal(list_all(&filter, true, 100), 0);
    filter.since_us = WORLD_BEGIN;
    filter.until_us = WORLD_BEGIN + 1;
    assert_int_equal(list_all(&filter, true, 100), MANY);
}

static int64_t ticks;
static int64_t fast_clock(void)
{
    return ticks += 20000; /* each look at the clock: 20 ms later */
}

static void a_page_ends_when_its_time_is_over_and_the_next_goes_on(void **state)
{
    (void)state;
    submit_many();
    Pawl__V1__TaskFilter filter = PAWL__V1__TASK_FILTER__INIT;
    Pawl__V1__TaskList list = PAWL__V1__TASK_LIST__INIT;
    filter.key = (char *)(uintptr_t) "key-2900";
    list.filter = &filter;
    size_t pages = 0, found = 0;
    do {
        answer_t *answer = world_ask(&world);
        answer->clock_us = fast_clock;
        assert_int_equal(query_task_list(answer, &list, &world.reply), ERR_OK);
        found += world.reply.tasks->n_items;
        list.cursor = world.reply.tasks->cursor;
        assert_true(++pages < 100);
    } while (list.cursor);
    assert_int_equal(found, 1);
    assert_true(pages > 10);
}

static void waiting_tells_which_tasks_are_open(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    uint8_t ids[2][16], open[3][16];
    size_t open_n;
    world_executor(&world, 1, "exec-1", 1);
    for (int i = 0; i < 2; i++) {
        world_task(&task);
        world_submit(&world, &task, ids[i]);
        if (i == 0) {
            world_lease_t lease = world.leases[0];
            world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice(NULL, 0));
        }
    }
    Pawl__V1__TaskWait wait = PAWL__V1__TASK_WAIT__INIT;
    ProtobufCBinaryData list[] = { { 16, ids[0] }, { 16, ids[1] } };
    wait.ids = list;
    wait.n_ids = 2;
    assert_int_equal(query_task_wait(world_ask(&world), &wait, open, &open_n, &world.reply),
                     ERR_OK);
    assert_false(world.reply.waited->done);
    assert_int_equal(open_n, 1);
    assert_memory_equal(open[0], ids[1], 16);
    wait.any = true;
    assert_int_equal(query_task_wait(world_ask(&world), &wait, open, &open_n, &world.reply),
                     ERR_OK);
    assert_true(world.reply.waited->done);
    assert_int_equal(world.reply.waited->n_items, 1);
    assert_int_equal(world.reply.waited->items[0]->status, S(FINISHED));
}

static const Pawl__V1__Why *why(const uint8_t id[16], const Pawl__V1__ExecutorItems *executors)
{
    Pawl__V1__TaskWhy ask = PAWL__V1__TASK_WHY__INIT;
    ask.id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)id };
    answer_t *answer = world_ask(&world);
    answer->executors = executors;
    assert_int_equal(query_task_why(answer, &ask, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    assert_true(world.reply.why->n_lines > 0);
    return world.reply.why;
}

/* Some line of it holds the text. */
static bool tells(const Pawl__V1__Why *why, const char *text)
{
    for (size_t i = 0; i < why->n_lines; i++)
        if (strstr(why->lines[i], text)) return true;
    return false;
}

static void why_of_a_lost_one_tells_what_is_waited_for(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    Pawl__V1__ExecutorInfo executor = PAWL__V1__EXECUTOR_INFO__INIT, *list[] = { &executor };
    Pawl__V1__ExecutorItems none = PAWL__V1__EXECUTOR_ITEMS__INIT, one = none;
    uint8_t id[16];
    executor.name = (char *)(uintptr_t) "exec-1";
    executor.state = (char *)(uintptr_t) "ready";
    one.items = list;
    one.n_items = 1;
    world_executor(&world, 1, "exec-1", 1);
    world_task(&task);
    task.on_lost = PAWL__V1__ON_LOST__ON_LOST_FAIL;
    world_submit(&world, &task, id);
    assert_string_equal(why(id, &one)->reason, "running");
    command_t lost = { .kind = CMD_LOST, .conn = 1 };
    world_step(&world, &lost, 1);
    assert_string_equal(why(id, &none)->reason, "lost");
    assert_string_equal(world_get(&world, id)->reason, "lost");
    assert_true(tells(why(id, &none), "exec-1 is silent"));
    assert_true(tells(why(id, &none), "then it fails"));
    assert_string_equal(why(id, &one)->reason, "lost");
    assert_true(tells(why(id, &one), "exec-1 was started anew"));
    assert_false(tells(why(id, &one), "silent"));
}

static void why_names_what_the_one_it_is_aimed_at_lacks(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    Pawl__V1__Interpreter lua = PAWL__V1__INTERPRETER__INIT, *has[] = { &lua };
    Pawl__V1__ExecutorInfo first = PAWL__V1__EXECUTOR_INFO__INIT, second,
                           *list[] = { &first, &second };
    Pawl__V1__ExecutorItems two = PAWL__V1__EXECUTOR_ITEMS__INIT;
    char *types[] = { (char *)(uintptr_t) "pawl/script" };
    uint8_t id[16];
    first.state = (char *)(uintptr_t) "ready";
    first.types = types;
    first.n_types = 1;
    first.slots = first.credit = 2;
    second = first;
    first.name = (char *)(uintptr_t) "one";
    second.name = (char *)(uintptr_t) "two";
    lua.name = (char *)(uintptr_t) "lua";
    lua.version = (char *)(uintptr_t) "5.4";
    second.interpreters = has;
    second.n_interpreters = 1;
    two.items = list;
    two.n_items = 2;
    world_task(&task);
    task.type = types[0];
    command.script_text = (ProtobufCBinaryData){ 8, (uint8_t *)(uintptr_t) "print(1)" };
    command.interpreter = (char *)(uintptr_t) "lua";
    task.command = &command;
    target.executor = first.name;
    task.target = &target;
    world_submit(&world, &task, id);
    assert_string_equal(why(id, &two)->reason, "no_executor");
    assert_true(tells(why(id, &two), "one does not have lua"));
    first.interpreters = has;
    first.n_interpreters = 1;
    first.n_types = 0;
    assert_true(tells(why(id, &two), "one does not take the type pawl/script"));
    first.n_types = 1;
    assert_string_equal(why(id, &two)->reason, "ready");
}

static void why_names_what_a_task_waits_for(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    Pawl__V1__ExecutorInfo executor = PAWL__V1__EXECUTOR_INFO__INIT, *list[] = { &executor };
    Pawl__V1__ExecutorItems none = PAWL__V1__EXECUTOR_ITEMS__INIT, one = none;
    char *types[] = { (char *)(uintptr_t) "test/work" };
    uint8_t id[16], aimed[16], held[16], delayed[16];
    world_executor(&world, 1, "exec-1", 0);
    executor.name = (char *)(uintptr_t) "exec-1";
    executor.state = (char *)(uintptr_t) "ready";
    executor.types = types;
    executor.n_types = 1;
    executor.slots = executor.credit = 2;
    one.items = list;
    one.n_items = 1;
    world_task(&task);
    world_submit(&world, &task, id);
    assert_string_equal(why(id, &none)->reason, "no_executor");
    assert_string_equal(why(id, &one)->reason, "ready");
    assert_string_equal(why(id, &one)->status, "waiting");
    executor.used = 2;
    assert_string_equal(why(id, &one)->reason, "limit");
    target.executor = (char *)(uintptr_t) "elsewhere";
    task.target = &target;
    world_submit(&world, &task, aimed);
    assert_string_equal(why(aimed, &one)->reason, "target");
    world_task(&task);
    task.hold = true;
    world_submit(&world, &task, held);
    assert_string_equal(why(held, NULL)->reason, "held");
    world_task(&task);
    task.delay_us = 3600000000;
    world_submit(&world, &task, delayed);
    assert_string_equal(why(delayed, NULL)->reason, "delay");
    world_change(&world, PAWL__V1__TASK_VERB__TASK_CANCEL, held);
    assert_string_equal(why(held, NULL)->status, "cancelled");
}

static void a_log_is_that_of_the_lease_that_was_meant(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    uint8_t id[16];
    log_ask_t log;
    world_executor(&world, 1, "exec-1", 1);
    world_task(&task);
    retry.max_attempts = 2;
    task.retry = &retry;
    world_submit(&world, &task, id);
    world_lease_t first = world.leases[0];
    world_report(&world, 1, &first, PAWL__V1__OUTCOME__OUTCOME_FAIL, "no", slice(NULL, 0));
    world_sleep(&world, 60000000);
    world_lease_t second = world.leases[0];
    Pawl__V1__LogRead ask = PAWL__V1__LOG_READ__INIT;
    ask.id = (ProtobufCBinaryData){ 16, id };
    assert_int_equal(query_log_resolve(world_ask(&world), &ask, &log, &world.reply), ERR_OK);
    assert_true(log.token == second.token && log.attempt == 2 && log.running);
    ask.attempt = 1;
    assert_int_equal(query_log_resolve(world_ask(&world), &ask, &log, &world.reply), ERR_OK);
    assert_true(log.token == first.token && !log.running);
    ask.attempt = 3;
    assert_int_equal(query_log_resolve(world_ask(&world), &ask, &log, &world.reply), ERR_OK);
    assert_int_equal(world.reply.error->code, ERR_NOT_FOUND);
    assert_int_equal(log.n, 0);
}

static void queues_are_listed_with_counts_and_their_oldest_task(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    uint8_t id[16];
    world_executor(&world, 1, "exec-1", 0);
    world_task(&task);
    world_submit(&world, &task, id);
    world.wall_us += 2000000;
    world_task(&task);
    task.queue = (char *)(uintptr_t) "a-queue";
    task.priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY;
    task.priority = 0;
    world_submit(&world, &task, id);
    Pawl__V1__QueueList all = PAWL__V1__QUEUE_LIST__INIT, page = PAWL__V1__QUEUE_LIST__INIT;
    assert_int_equal(query_queue_list(world_ask(&world), &all, &world.reply), ERR_OK);
    assert_int_equal(world.reply.queues->n_items, 2);
    Pawl__V1__QueueInfo *queue = world.reply.queues->items[0];
    assert_string_equal(queue->name, "a-queue");
    assert_int_equal(queue->n_counts, 1);
    assert_int_equal(queue->counts[0]->status, S(WAITING));
    assert_int_equal(queue->oldest_waiting_us, WORLD_BEGIN + 2000000);
    assert_int_equal(world.reply.queues->items[1]->oldest_waiting_us, WORLD_BEGIN);
    assert_string_equal(world.reply.queues->next, "");

    page.limit = 1;
    assert_int_equal(query_queue_list(world_ask(&world), &page, &world.reply), ERR_OK);
    assert_int_equal(world.reply.queues->n_items, 1);
    assert_string_equal(world.reply.queues->next, "a-queue");
    page.after = (char *)(uintptr_t) "a-queue";
    assert_int_equal(query_queue_list(world_ask(&world), &page, &world.reply), ERR_OK);
    assert_int_equal(world.reply.queues->n_items, 1);
    assert_string_equal(world.reply.queues->items[0]->name, "default");
    assert_int_equal(world.reply.queues->items[0]->oldest_waiting_us, WORLD_BEGIN);
    assert_string_equal(world.reply.queues->next, "");
}

static void expired_tasks_are_found_and_live_ones_never(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    uint8_t ids[3][16];
    uint64_t block = 0, ns[8];
    size_t found;
    retention_t keep = { 1000000, 5000000 };
    world_executor(&world, 1, "exec-1", 1);
    for (int i = 0; i < 3; i++) {
        world_task(&task);
        Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
        retry.max_attempts = 1;
        task.retry = &retry;
        world_submit(&world, &task, ids[i]);
        world_lease_t lease = world.leases[0];
        if (i < 2)
            world_report(&world, 1, &lease,
                         i ? PAWL__V1__OUTCOME__OUTCOME_FAIL : PAWL__V1__OUTCOME__OUTCOME_DONE, "",
                         slice(NULL, 0));
    }
    assert_int_equal(query_expired(world_ask(&world), &keep, &block, ns, 8, &found), ERR_OK);
    assert_int_equal(found, 0);
    world.wall_us += 1000000;
    assert_int_equal(query_expired(world_ask(&world), &keep, &block, ns, 8, &found), ERR_OK);
    assert_int_equal(found, 1);
    assert_int_equal(ns[0], 1);
    world.wall_us += 100000000;
    assert_int_equal(query_expired(world_ask(&world), &keep, &block, ns, 8, &found), ERR_OK);
    assert_int_equal(found, 2);
    assert_int_equal(block, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_told_in_each_status_of_its_life),
        TEST(large_bodies_and_outputs_come_back_whole),
        TEST(an_unknown_id_is_refused_and_a_prefix_must_be_unique),
        TEST(lists_give_each_match_once_in_both_directions),
        TEST(a_page_ends_when_its_time_is_over_and_the_next_goes_on),
        TEST(waiting_tells_which_tasks_are_open),
        TEST(why_names_what_a_task_waits_for),
        TEST(why_of_a_lost_one_tells_what_is_waited_for),
        TEST(why_names_what_the_one_it_is_aimed_at_lacks),
        TEST(a_log_is_that_of_the_lease_that_was_meant),
        TEST(queues_are_listed_with_counts_and_their_oldest_task),
        TEST(expired_tasks_are_found_and_live_ones_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

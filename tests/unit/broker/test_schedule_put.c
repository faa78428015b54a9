/* SPDX-License-Identifier: Apache-2.0
 * The store refuses in the middle of making or editing a schedule, at each row in turn: what was
 * there stays as it was, the answer says that the store is full, and the same request goes through
 * afterwards. Under the sanitizers: nothing that was half made is left in memory. */
#include "tests/unit/broker/query_world.h"

typedef struct wish {
    const char *name, *rule;
    Pawl__V1__Mode mode;
    Pawl__V1__CursorAction cursor;
    bool two; /* and another one in the same request */
} wish_t;

static void put(wish_t wish)
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__SchedulePutItem item = PAWL__V1__SCHEDULE_PUT_ITEM__INIT, *more[] = { &item };
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[] = { &label };
    uint8_t packed[256];
    label.key = (char *)(uintptr_t) "team";
    label.value = (char *)(uintptr_t) "ops";
    schedule.name = (char *)(uintptr_t)wish.name;
    schedule.rule = (char *)(uintptr_t)wish.rule;
    schedule.zone = (char *)(uintptr_t) "UTC";
    schedule.mode = wish.mode;
    schedule.labels = labels;
    schedule.n_labels = 1;
    schedule.task = world_template(packed);
    Pawl__V1__Schedule second = schedule;
    second.name = (char *)(uintptr_t) "second";
    item.schedule = &second;
    body.schedule = &schedule;
    body.cursor = wish.cursor;
    body.more = more;
    body.n_more = wish.two;
    world_put(&world, &body);
    for (size_t i = 0; i < world.outputs.n; i++) { /* of several each has its own word */
        const output_t *out = &world.outputs.items[i];
        const uint8_t *bytes = world.outputs.bytes.at + out->at;
        if (out->kind != OUT_REPLY) continue;
        Pawl__V1__Reply *reply = pawl__v1__reply__unpack(NULL, out->len, bytes);
        assert_non_null(reply);
        if (reply->changed && reply->changed->n_items) {
            assert_int_equal(reply->changed->n_items, 2);
            world.error = reply->changed->items[0]->error->code;
        }
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
}

/* One put, the n-th, finds the store full. */
static bool refuse_nth(void *arg, table_t table)
{
    int *left = arg;
    (void)table;
    return --*left == 0;
}

static void assert_memory_is_the_store(void)
{
    char difference[300];
    assert_int_equal(core_verify(world.core, difference, sizeof difference), ERR_OK);
    assert_string_equal(difference, "");
}

static uint64_t schedule_rows(void)
{
    static const table_t tables[] = { TABLE_names, TABLE_reg,   TABLE_sched,
                                      TABLE_scur,  TABLE_range, TABLE_ledger };
    uint64_t rows = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        rows += memstore_rows(world.store, tables[i]);
    return rows;
}

/* The world as it is now, once for each row that the request writes. */
static void refuse_each_row_of(wish_t wish)
{
    store_t *before = memstore_clone(world.store);
    int64_t now = world.wall_us;
    world_close(&world);
    int rows = 0;
    for (bool refused = true; refused;) {
        world_open_on(&world, memstore_clone(before));
        world.wall_us = now;
        uint64_t rows_before = schedule_rows();
        int left = ++rows;
        memstore_faults(world.store)->on_put = refuse_nth;
        memstore_faults(world.store)->arg = &left;
        put(wish);
        refused = left <= 0;
        memstore_faults(world.store)->on_put = NULL;
        if (refused) {
            assert_int_equal(world.error, ERR_STORE_FULL);
            assert_memory_is_the_store();
            assert_int_equal(schedule_rows(), rows_before);
            put(wish);
        }
        assert_int_equal(world.error, 0);
        assert_memory_is_the_store();
        world_close_whole(&world);
    }
    print_message("%s: %d rows\n", wish.name, rows - 1);
    assert_true(rows > 5);
    world_open_on(&world, before);
    world.wall_us = now;
}

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = WORLD_BEGIN / MINUTE * MINUTE;
    world_executor(&world, 1, "exec-1", 4);
    world_zone(&world, "UTC");
    put((wish_t){ .name = "older", .rule = "0 * * * *" }); /* and who asks is known from here on */
    return 0;
}

static void a_new_schedule_is_there_as_a_whole_or_not_at_all(void **state)
{
    (void)state;
    refuse_each_row_of((wish_t){ .name = "new", .rule = "0 * * * *" });
    refuse_each_row_of((wish_t){ .name = "first", .rule = "0 * * * *", .two = true });
}

static void an_edit_that_ends_a_strict_backlog_is_whole_or_none(void **state)
{
    (void)state;
    put((wish_t){ .name = "job", .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT });
    world.wall_us += DAY;
    refuse_each_row_of(
        (wish_t){ .name = "job", .rule = "*/7 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT });
}

static void an_edit_that_skips_a_backlog_is_whole_or_none(void **state)
{
    (void)state;
    put((wish_t){ .name = "job", .rule = "0 * * * *" });
    world.wall_us += DAY;
    refuse_each_row_of((wish_t){ .name = "job", .rule = "*/7 * * * *" });
    refuse_each_row_of((wish_t){
        .name = "job", .rule = "0 * * * *", .cursor = PAWL__V1__CURSOR_ACTION__CURSOR_NOW });
}

/* The bytes of the task have been read by the wire's reader; that of the definition reads them
 * again, and need not be of the same opinion. */
static void a_task_that_only_one_reader_can_read_is_refused(void **state)
{
    (void)state;
    static uint8_t task[] = "\x12\x09test/work\xA0\x86\x80\x80\x80\x00\x01";
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    schedule.name = "odd";
    schedule.rule = "0 * * * *";
    schedule.zone = "UTC";
    schedule.task = (ProtobufCBinaryData){ sizeof task - 1, task };
    body.schedule = &schedule;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &body;
    world_request(&world, 99, &request);
    assert_int_equal(world.error, ERR_BAD_REQUEST);
    schedule.name = "older"; /* nor by an edit */
    world_request(&world, 99, &request);
    assert_int_equal(world.error, ERR_BAD_REQUEST);
    assert_memory_is_the_store();
}

static uint32_t change_older(Pawl__V1__ScheduleVerb verb)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.name = "older";
    body.verb = verb;
    if (verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW)
        body.overlap = PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    if (verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME)
        body.on_resume = PAWL__V1__ON_RESUME__ON_RESUME_LATEST;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = &body;
    world_request(&world, 99, &request);
    return world.error;
}

/* Down to the map in which the run has no room, page by page. */
static void a_run_by_hand_that_has_no_room_is_told_that_the_store_is_full(void **state)
{
    static const uint64_t steps[] = { 64 << 10, 4 << 10, 256 };
    (void)state;
    store_usage_t usage;
    store_usage(world.store, &usage);
    uint64_t *map = &memstore_faults(world.store)->map_bytes;
    *map = usage.used_bytes + (16 << 20);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        uint32_t error;
        while ((error = change_older(PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW)) == 0)
            *map -= steps[i];
        assert_int_equal(error, ERR_STORE_FULL);
        *map += steps[i];
    }
}

/* It stays paused, and is resumed when there is room, or without that run. */
static void nor_has_the_run_that_a_resume_asks_for(void **state)
{
    (void)state;
    store_usage_t usage;
    uint64_t *map = &memstore_faults(world.store)->map_bytes, large = *map;
    assert_int_equal(change_older(PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE), 0);
    world.wall_us += DAY;
    store_usage(world.store, &usage);
    *map = usage.used_bytes + (1 << 20); /* kept for the end of what may run */
    assert_int_equal(change_older(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME), ERR_STORE_FULL);
    assert_string_equal(world_schedule_get(&world, "older")->state, "paused");
    *map = large;
    assert_int_equal(change_older(PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME), 0);
    assert_string_equal(world_schedule_get(&world, "older")->state, "active");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_new_schedule_is_there_as_a_whole_or_not_at_all),
        TEST(an_edit_that_ends_a_strict_backlog_is_whole_or_none),
        TEST(an_edit_that_skips_a_backlog_is_whole_or_none),
        TEST(a_run_by_hand_that_has_no_room_is_told_that_the_store_is_full),
        TEST(nor_has_the_run_that_a_resume_asks_for),
        TEST(a_task_that_only_one_reader_can_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Rows of lanes come with the first task that names them and go with the last one, so labels and
 * names of executors that were used once do not stay for ever. After each test the check counts
 * the tasks of each lane. */
#include "tests/unit/broker/query_world.h"

#include "broker/store/record.h"

enum { MANY = 30 };
static uint8_t ids[MANY][16];

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world_executor(&world, 1, "exec-1", 50);
    return 0;
}

static void submit_to(const char *executor, uint8_t id[16])
{
    Pawl__V1__Task task;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    world_task(&task);
    target.executor = (char *)(uintptr_t)executor;
    task.target = &target;
    world_submit(&world, &task, id);
}

static void submit_many(void)
{
    for (size_t i = 0; i < MANY; i++) {
        char name[20];
        snprintf(name, sizeof name, "absent-%zu", i);
        submit_to(name, ids[i]);
    }
}

static void cancel_all(void)
{
    for (size_t i = 0; i < MANY; i++)
        world_change(&world, PAWL__V1__TASK_VERB__TASK_CANCEL, ids[i]);
}

static void purge_up_to(uint64_t last)
{
    uint64_t ns[MANY + 10];
    for (uint64_t n = 1; n <= last; n++)
        ns[n - 1] = n;
    command_t command = { .kind = CMD_PURGE, .ns = ns, .n = last };
    world_step(&world, &command, 1);
}

static uint64_t rows(void)
{
    return memstore_rows(world.store, TABLE_lane);
}

static void a_lane_goes_with_the_last_task_that_names_it(void **state)
{
    (void)state;
    uint8_t other[16];
    submit_many();
    assert_int_equal(rows(), MANY);
    submit_to("absent-0", other); /* the same lane */
    assert_int_equal(rows(), MANY);
    cancel_all();
    assert_int_equal(rows(), MANY); /* ended tasks may be run again, there */
    world_change(&world, PAWL__V1__TASK_VERB__TASK_RETRY, ids[3]);
    world_executor(&world, 2, "absent-3", 1);
    assert_int_equal(world.leases_n, 1);
    world_report(&world, 2, &world.leases[0], PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
    world.wall_us += 40 * DAY;
    purge_up_to(MANY + 1);
    assert_int_equal(rows(), 1); /* the one that still waits */
    world_change(&world, PAWL__V1__TASK_VERB__TASK_CANCEL, other);
    world.wall_us += 40 * DAY;
    purge_up_to(MANY + 1);
    assert_int_equal(rows(), 0);
}

static void a_lane_that_went_comes_again_under_another_number(void **state)
{
    (void)state;
    uint8_t id[16];
    submit_to("exec-1", id);
    world_report(&world, 1, &world.leases[0], PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
    world.wall_us += 40 * DAY;
    purge_up_to(1);
    assert_int_equal(rows(), 0);
    world_executor(&world, 1, "exec-1", 50);
    submit_to("exec-1", id);
    assert_int_equal(world.leases_n, 1);
    assert_int_equal(rows(), 1);
    rec_key_t key = key_u32(2);
    slice_t value;
    lane_row_t row;
    assert_int_equal(store_view_open(world.store, &world.view), ERR_OK);
    assert_int_equal(store_view_get(world.view, TABLE_lane, key_slice(&key), &value), ERR_OK);
    assert_true(lane_row_decode(&row, value) && row.counted && row.tasks == 1);
}

static void a_refused_commit_brings_the_lanes_back(void **state)
{
    (void)state;
    submit_many();
    cancel_all();
    world.wall_us += 40 * DAY;
    memstore_faults(world.store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    purge_up_to(MANY); /* the second try does it */
    assert_int_equal(rows(), 0);
    submit_many();
    assert_int_equal(rows(), MANY);
}

/* Written before lanes were counted: nobody knows whether another task names it. */
static void a_lane_of_an_older_store_stays(void **state)
{
    (void)state;
    uint8_t id[16];
    submit_to("exec-1", id);
    store_t *store = memstore_clone(world.store);
    lane_row_t row = { .queue = 1,
                       .type = 3,
                       .target_kind = TARGET_EXECUTOR,
                       .target = slice((const uint8_t *)"exec-1", 6) };
    rec_key_t key = key_u32(1);
    buf_t value = { 0 };
    lane_row_encode(&row, &value);
    assert_int_equal(store_begin(store), ERR_OK);
    assert_int_equal(store_put(store, TABLE_lane, key_slice(&key), slice(value.at, value.len), 0),
                     ERR_OK);
    assert_int_equal(store_commit(store), ERR_OK);
    buf_free(&value);
    world_close(&world);
    world_open_on(&world, store);
    world_change(&world, PAWL__V1__TASK_VERB__TASK_CANCEL, id);
    world_sleep(&world, 100 * DAY); /* its executor does not come back */
    world.wall_us += 40 * DAY;
    purge_up_to(1);
    assert_int_equal(memstore_rows(world.store, TABLE_spec), 0);
    assert_int_equal(rows(), 1);
    world_executor(&world, 1, "exec-1", 50);
    submit_to("exec-1", id);
    assert_int_equal(world.leases_n, 1);
    assert_int_equal(rows(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_lane_goes_with_the_last_task_that_names_it),
        TEST(a_lane_that_went_comes_again_under_another_number),
        TEST(a_refused_commit_brings_the_lanes_back),
        TEST(a_lane_of_an_older_store_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Backfills: one row each, worked off from one end, every instant on record once; and the list of
 * those that are open. After each test the whole store is checked, ledgers against their rules. */
#include "tests/unit/broker/ranges_world.h"

/* ---- backfill -------------------------------------------------------------------------------- */

static void a_backfill_makes_each_task_of_its_span_once(void **state)
{
    (void)state;
    strict("0 * * * *");
    backfill(world.wall_us - DAY, world.wall_us);
    assert_int_equal(tasks(), 0);
    assert_int_equal(range(1).left, 24);
    work_off(1);
    assert_int_equal(tasks(), 24);
    Pawl__V1__RangeInfo done = range(1);
    assert_string_equal(done.state, "done");
    assert_int_equal(done.fired, 24);
    assert_int_equal(on_record("fired", "backfill"), 24);
    assert_int_equal(audit(), 24);
}

static void the_ends_of_a_span_count_its_beginning_and_not_its_end(void **state)
{
    (void)state;
    strict("0 * * * *");
    backfill(world.wall_us - HOUR, world.wall_us);
    assert_int_equal(range(1).left, 1);
    backfill(world.wall_us - HOUR, world.wall_us + 1);
    assert_int_equal(range(2).left, 2);
    backfill(world.wall_us - HOUR + 1, world.wall_us + 1);
    assert_int_equal(range(3).left, 1);
}

static void the_same_instants_live_and_in_two_backfills_are_three_tasks(void **state)
{
    (void)state;
    strict("0 * * * *");
    int64_t from = world.wall_us;
    world.wall_us += 3 * HOUR;
    world_propose(&world, "job");
    backfill(from + 1, from + 3 * HOUR + 1);
    backfill(from + 1, from + 3 * HOUR + 1);
    work_off(1);
    work_off(2);
    assert_int_equal(tasks(), 9);
    assert_int_equal(on_record("fired", "backfill"), 6);
    assert_int_equal(audit(), 9);
}

static void newest_first_ends_with_the_oldest(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .rate = 1 });
    CHANGE(BACKFILL, what.from_us = world.wall_us - DAY, what.to_us = world.wall_us,
           what.order = PAWL__V1__ORDER__ORDER_NEWEST, what.rate = 1);
    world_sleep(&world, 1000000);
    propose(1);
    assert_int_equal(range(1).fired, 1);
    assert_true(range(1).high_us < range(1).to_us);
    assert_int_equal(range(1).low_us, range(1).from_us);
    assert_int_equal(audit(), 1);
    work_off(1);
    assert_int_equal(range(1).fired, 24);
    assert_int_equal(audit(), 24);
}

static void tasks_of_a_range_that_run_one_by_one_leave_the_gate_in_order(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .one_by_one = true });
    CHANGE(BACKFILL, what.from_us = world.wall_us - 6 * HOUR, what.to_us = world.wall_us,
           what.order = PAWL__V1__ORDER__ORDER_NEWEST);
    world_sleep(&world, 1000000);
    world_executor(&world, 2, "exec-2", 1);
    propose(1);
    assert_int_equal(tasks(), 6);
    int64_t before = INT64_MAX;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(world.leases_n, 1);
        world_lease_t lease = world.leases[0];
        int64_t planned = world_get(&world, lease.id)->planned_us;
        assert_true(planned < before);
        before = planned;
        world_report(&world, 2, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
    }
}

static void live_tasks_leave_the_gate_before_those_of_a_range(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .one_by_one = true });
    backfill(world.wall_us - 6 * HOUR, world.wall_us);
    int64_t live = world.wall_us + HOUR;
    world_sleep(&world, HOUR);
    world_executor(&world, 2, "exec-2", 1);
    propose(1);
    world_lease_t lease = world.leases[0];
    world_propose(&world, "job");
    assert_int_equal(tasks(), 7);
    world_report(&world, 2, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
    assert_int_equal(world.leases_n, 1);
    assert_int_equal(world_get(&world, world.leases[0].id)->planned_us, live);
}

static void a_span_that_lies_ahead_is_run_now(void **state)
{
    (void)state;
    strict("0 * * * *");
    backfill(world.wall_us + DAY, world.wall_us + 2 * DAY);
    work_off(1);
    assert_int_equal(range(1).fired, 24);
    world.wall_us += 3 * DAY; /* and the live line fires it when its time comes */
    world_propose(&world, "job");
    assert_int_equal(tasks(), 24 + 72);
    audit();
}

static void years_of_minutes_are_one_row_until_they_are_cancelled(void **state)
{
    (void)state;
    put((wish_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 8 });
    backfill(world.wall_us - 10 * 365 * DAY, world.wall_us);
    assert_int_equal(range(1).left, 10 * YEAR_OF_MINUTES);
    world_sleep(&world, 1000000); /* `rate` lets some */
    propose(1);
    propose(1);                   /* `ahead` is full: nothing more */
    assert_int_equal(tasks(), 6); /* a quarter of it is left for live ones */
    CHANGE(RANGE_CANCEL, what.range = 1);
    assert_int_equal(world.error, 0);
    assert_string_equal(range(1).state, "cancelled");
    assert_int_equal(range(1).fired, 6);
    assert_int_equal(range(1).skipped, 10 * YEAR_OF_MINUTES - 6);
    assert_int_equal(audit(), 10 * YEAR_OF_MINUTES);
    CHANGE(RANGE_CANCEL, what.range = 1);
    assert_int_equal(world.error, ERR_WRONG_STATUS);
}

static void a_paused_range_makes_nothing_and_goes_on_where_it_was(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 4 });
    backfill(world.wall_us - DAY, world.wall_us);
    world_sleep(&world, 1000000);
    propose(1);
    uint64_t made = range(1).fired;
    assert_true(made > 0);
    CHANGE(RANGE_PAUSE, what.range = 1);
    CHANGE(RANGE_PAUSE, what.range = 1);
    assert_int_equal(world.error, ERR_WRONG_STATUS);
    world_sleep(&world, HOUR);
    propose(1);
    assert_int_equal(range(1).fired, made);
    CHANGE(RANGE_RESUME, what.range = 1);
    assert_string_equal(range(1).state, "open");
    CHANGE(RANGE_CANCEL, what.range = 7);
    assert_int_equal(world.error, ERR_NOT_FOUND);
}

static void a_failure_stops_a_range_that_asks_for_it(void **state)
{
    (void)state;
    strict("0 * * * *");
    CHANGE(BACKFILL, what.from_us = world.wall_us - DAY, what.to_us = world.wall_us,
           what.stop = true, what.rate = 1);
    world_sleep(&world, 1000000);
    propose(1);
    world_executor(&world, 2, "exec-2", 1);
    assert_int_equal(world.leases_n, 1);
    world_lease_t lease = world.leases[0];
    world_report(&world, 2, &lease, PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT, "no", slice("", 0));
    assert_string_equal(range(1).state, "stopped");
    assert_int_equal(range(1).failed, 1);
    world_sleep(&world, 5000000);
    propose(1);
    assert_int_equal(range(1).fired, 1);
    CHANGE(RANGE_RESUME, what.range = 1);
    propose(1);
    assert_true(range(1).fired > 1);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    strict("0 0 1 1 *");
    CHANGE(BACKFILL, what.from_us = world.wall_us, what.to_us = world.wall_us + 1000);
    assert_int_equal(world.error, ERR_NO_INSTANT);
    CHANGE(BACKFILL, what.from_us = world.wall_us, what.to_us = world.wall_us);
    assert_int_equal(world.error, ERR_BAD_VALUE);
    for (int i = 0; i < 16; i++)
        backfill(world.wall_us - 3 * 365 * DAY, world.wall_us);
    CHANGE(BACKFILL, what.from_us = world.wall_us - 3 * 365 * DAY, what.to_us = world.wall_us);
    assert_int_equal(world.error, ERR_TOO_MANY);
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_NORMAL, .live_first = true });
    assert_int_equal(world.error, ERR_CONTRADICTION);
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .newest = true });
    assert_int_equal(world.error, ERR_CONTRADICTION);
}

static void a_removed_schedule_takes_its_ranges_along(void **state)
{
    (void)state;
    strict("0 * * * *");
    backfill(world.wall_us - DAY, world.wall_us);
    uint8_t uid[16];
    memcpy(uid, world_schedule_get(&world, "job")->uid.data, 16);
    CHANGE(REMOVE, (void)0);
    assert_int_equal(world.error, 0);
    Pawl__V1__ScheduleAudit ask = PAWL__V1__SCHEDULE_AUDIT__INIT;
    ask.uid = (ProtobufCBinaryData){ 16, uid };
    assert_int_equal(query_schedule_audit(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_int_equal(world.reply.audit->n_problems, 0);
    assert_int_equal(world.reply.audit->instants, 24);
    assert_string_equal(world.reply.audit->items[0]->reason, "removed");
}

static void restart(void)
{
    int64_t now = world.wall_us;
    store_t *kept = memstore_clone(world.store);
    world_close(&world);
    world_open_on(&world, kept);
    world.wall_us = now;
    world.next_request = 1000; /* ids of before are on record */
}

static void a_restart_goes_on_where_a_range_was(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .rate = 5 });
    backfill(world.wall_us - DAY, world.wall_us);
    world_sleep(&world, 1000000);
    propose(1);
    uint64_t made = range(1).fired;
    assert_true(made > 0 && made < 24);
    restart();
    assert_int_equal(range(1).fired, made);
    work_off(1);
    assert_int_equal(range(1).fired, 24);
    assert_int_equal(tasks(), 24);
}

static void write_row(table_t table, const rec_key_t *key, slice_t value)
{
    assert_int_equal(store_begin(world.store), ERR_OK);
    assert_int_equal(store_put(world.store, table, key_slice(key), value, 0), ERR_OK);
    assert_int_equal(store_commit(world.store), ERR_OK);
}

static void read_row(table_t table, const rec_key_t *key, buf_t *to)
{
    store_view_t *view = NULL;
    slice_t value;
    assert_int_equal(store_view_open(world.store, &view), ERR_OK);
    assert_int_equal(store_view_get(view, table, key_slice(key), &value), ERR_OK);
    to->len = 0;
    buf_add(to, value.at, value.len);
    store_view_close(&view);
}

/* Rows of the ranges that are done cannot be read: nobody notices. */
static void only_ranges_that_are_open_are_read(void **state)
{
    (void)state;
    buf_t done = { 0 };
    strict("0 * * * *");
    for (int i = 0; i < 5; i++)
        backfill(world.wall_us - DAY, world.wall_us);
    for (uint32_t number = 1; number <= 5; number++)
        if (number != 4) CHANGE(RANGE_CANCEL, what.range = number);
    rec_key_t key = key_range(1, 2);
    read_row(TABLE_range, &key, &done);
    write_row(TABLE_range, &key, slice("?", 1));
    restart();
    Pawl__V1__RangeList ask = PAWL__V1__RANGE_LIST__INIT;
    ask.name = "job";
    assert_int_equal(query_range_list(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_int_equal(world.reply.ranges->n_items, 1);
    assert_int_equal(world.reply.ranges->items[0]->number, 4);
    assert_int_equal(world_schedule_get(&world, "job")->n_ranges, 1);
    backfill(world.wall_us - DAY, world.wall_us);
    write_row(TABLE_range, &key, slice(done.at, done.len));
    buf_free(&done);
    assert_string_equal(range(6).state, "open");
    work_off(4);
    assert_int_equal(range(4).fired, 24);
}

/* As the header was before it listed them. */
static void a_store_of_before_the_list_is_read_and_gets_one(void **state)
{
    (void)state;
    buf_t row = { 0 };
    sched_row_t header;
    strict("0 * * * *");
    for (int i = 0; i < 3; i++)
        backfill(world.wall_us - DAY, world.wall_us);
    CHANGE(RANGE_CANCEL, what.range = 2);
    rec_key_t key = key_sched(1, SCHED_HEADER, 0);
    read_row(TABLE_sched, &key, &row);
    assert_true(sched_row_decode(&header, slice(row.at, row.len)));
    assert_int_equal(header.ranges.n, 2);
    buf_t old = { 0 };
    header.ranges.known = false;
    sched_row_encode(&header, &old);
    assert_true(sched_row_decode(&header, slice(old.at, old.len)));
    assert_false(header.ranges.known);
    write_row(TABLE_sched, &key, slice(old.at, old.len));
    restart();
    assert_int_equal(world_schedule_get(&world, "job")->n_ranges, 2);
    work_off(3);
    assert_int_equal(range(3).fired, 24);
    backfill(world.wall_us - DAY, world.wall_us);
    assert_string_equal(range(4).state, "open"); /* no number comes again */
    read_row(TABLE_sched, &key, &row);
    assert_true(sched_row_decode(&header, slice(row.at, row.len)));
    assert_true(header.ranges.known);
    assert_int_equal(header.ranges.last, 4);
    assert_int_equal(header.ranges.n, 2);
    assert_int_equal(header.ranges.open[1], 4);
    buf_free(&row);
    buf_free(&old);
}

static void a_list_that_lies_is_found(void **state)
{
    (void)state;
    static const struct {
        range_list_t list;
        const char *told;
    } lies[] = {
        { { true, 2, 0, { 0 } }, "it is open, and the schedule's header says otherwise" },
        { { true, 2, 2, { 1, 2 } }, "it is cancelled, and the schedule's header says otherwise" },
        { { true, 3, 2, { 2, 3 } }, "range 3, which is not done, is missing" },
        { { true, 1, 1, { 1 } }, "the schedule knows of ranges up to 1 only" },
    };
    static char report[4096];
    buf_t whole = { 0 };
    strict("0 * * * *");
    backfill(world.wall_us - DAY, world.wall_us);
    backfill(world.wall_us - DAY, world.wall_us);
    CHANGE(RANGE_CANCEL, what.range = 1);
    rec_key_t key = key_sched(1, SCHED_HEADER, 0);
    read_row(TABLE_sched, &key, &whole);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        sched_row_t header;
        buf_t row = { 0 };
        size_t problems = 0;
        assert_true(sched_row_decode(&header, slice(whole.at, whole.len)));
        header.ranges = lies[i].list;
        sched_row_encode(&header, &row);
        write_row(TABLE_sched, &key, slice(row.at, row.len));
        FILE *out = fmemopen(report, sizeof report, "w");
        assert_int_equal(check_store(world.store, out, &problems), ERR_OK);
        fclose(out);
        assert_true(problems > 0);
        if (strstr(report, lies[i].told) == NULL) fail_msg("not told: %s", lies[i].told);
        buf_free(&row);
    }
    write_row(TABLE_sched, &key, slice(whole.at, whole.len));
    buf_free(&whole);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_backfill_makes_each_task_of_its_span_once),
        TEST(the_ends_of_a_span_count_its_beginning_and_not_its_end),
        TEST(the_same_instants_live_and_in_two_backfills_are_three_tasks),
        TEST(newest_first_ends_with_the_oldest),
        TEST(tasks_of_a_range_that_run_one_by_one_leave_the_gate_in_order),
        TEST(live_tasks_leave_the_gate_before_those_of_a_range),
        TEST(a_span_that_lies_ahead_is_run_now),
        TEST(years_of_minutes_are_one_row_until_they_are_cancelled),
        TEST(a_paused_range_makes_nothing_and_goes_on_where_it_was),
        TEST(a_failure_stops_a_range_that_asks_for_it),
        TEST(what_makes_no_sense_is_refused),
        TEST(a_removed_schedule_takes_its_ranges_along),
        TEST(a_restart_goes_on_where_a_range_was),
        TEST(only_ranges_that_are_open_are_read),
        TEST(a_store_of_before_the_list_is_read_and_gets_one),
        TEST(a_list_that_lies_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Backfills and split-off backlogs: one row each, worked off from one end, every instant on record
 * once. After each test the whole store is checked, ledgers against their rules. */
#include "tests/unit/broker/query_world.h"

#include "broker/check/check.h"

static world_t world;
enum { YEAR_OF_MINUTES = 365 * 24 * 60 };

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = world.wall_us / DAY * DAY + DAY; /* a midnight */
    world_executor(&world, 1, "exec-1", 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close_whole(&world);
    return 0;
}

typedef struct wish {
    const char *rule;
    Pawl__V1__Mode mode;
    uint32_t ahead, rate, max_running;
    bool live_first, newest, one_by_one;
    int64_t window_us, jitter_us;
    Pawl__V1__CursorAction cursor;
    int64_t at_us;
} wish_t;

static void put(wish_t wish)
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    uint8_t packed[256];
    world_zone(&world, "UTC");
    schedule.name = "job";
    schedule.rule = (char *)(uintptr_t)wish.rule;
    schedule.zone = "UTC";
    schedule.mode = wish.mode;
    schedule.overlap =
        wish.one_by_one ? PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL : PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    schedule.ahead = wish.ahead;
    schedule.rate = wish.rate ? wish.rate : 1000;
    schedule.live_first = wish.live_first;
    schedule.window_us = wish.window_us;
    schedule.jitter_us = wish.jitter_us;
    if (wish.newest) schedule.order = PAWL__V1__ORDER__ORDER_NEWEST;
    schedule.task = world_template(packed);
    body.schedule = &schedule;
    body.cursor = wish.cursor;
    body.cursor_at_us = wish.at_us;
    world_put(&world, &body);
}

static void strict(const char *rule)
{
    put((wish_t){ .rule = rule, .mode = PAWL__V1__MODE__MODE_STRICT });
    assert_int_equal(world.error, 0);
}

static void change(Pawl__V1__ScheduleChange body)
{
    body.name = "job";
    world_change_schedule(&world, &body);
}

#define CHANGE(which, ...)                                                                         \
    do {                                                                                           \
        Pawl__V1__ScheduleChange what = PAWL__V1__SCHEDULE_CHANGE__INIT;                           \
        what.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_##which;                                     \
        __VA_ARGS__;                                                                               \
        change(what);                                                                              \
    } while (0)

static void backfill(int64_t from, int64_t to)
{
    CHANGE(BACKFILL, what.from_us = from, what.to_us = to);
    assert_int_equal(world.error, 0);
}

static Pawl__V1__RangeInfo range(uint32_t number)
{
    Pawl__V1__RangeList ask = PAWL__V1__RANGE_LIST__INIT;
    ask.name = "job";
    ask.all = true;
    assert_int_equal(query_range_list(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    for (size_t i = 0; i < world.reply.ranges->n_items; i++)
        if (world.reply.ranges->items[i]->number == number) return *world.reply.ranges->items[i];
    fail_msg("no range %u", number);
    return (Pawl__V1__RangeInfo)PAWL__V1__RANGE_INFO__INIT;
}

/* As a scheduler proposes for a range, once. */
static void propose(uint32_t number)
{
    Pawl__V1__RangeInfo info = range(number);
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    uint8_t uid[16];
    memcpy(uid, world_schedule_get(&world, "job")->uid.data, 16);
    item.uid = (ProtobufCBinaryData){ 16, uid };
    item.revision = info.revision;
    item.expect_cursor_us = info.cursor_us;
    item.range = number;
    body.items = items;
    body.n_items = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &body;
    world_request(&world, 98, &request);
}

static void work_off(uint32_t number)
{
    for (int i = 0; i < 1000 && strcmp(range(number).state, "open") == 0; i++) {
        propose(number);
        world_sleep(&world, 1000000);
    }
}

static uint64_t tasks(void)
{
    core_stats_t stats;
    uint64_t n = 0;
    core_stats(world.core, &stats);
    free(stats.queues);
    for (size_t i = 0; i < 12; i++)
        n += stats.counts[i];
    return n;
}

/* Instants with this verdict and reason in (from, to]. */
static size_t on_record(const char *verdict, const char *reason)
{
    size_t n = 0;
    for (int64_t after = 0;;) {
        Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
        ask.name = "job";
        ask.limit = 10000;
        ask.after_us = after;
        assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
        const Pawl__V1__HistoryItems *items = world.reply.history;
        for (size_t i = 0; i < items->n_items; i++) {
            if (i) assert_true(items->items[i]->instant_us >= items->items[i - 1]->instant_us);
            n += strcmp(items->items[i]->verdict, verdict) == 0 &&
                 strcmp(items->items[i]->reason, reason) == 0;
        }
        if ((after = items->next_us) == 0) return n;
    }
}

static uint64_t audit(void)
{
    uint64_t instants = 0;
    Pawl__V1__ScheduleAudit ask = PAWL__V1__SCHEDULE_AUDIT__INIT;
    ask.name = "job";
    do {
        assert_int_equal(query_schedule_audit(world_ask(&world), &ask, &world.reply), ERR_OK);
        if (world.reply.audit->n_problems) fail_msg("%s", world.reply.audit->problems[0]);
        instants += world.reply.audit->instants;
        ask.after = world.reply.audit->next;
    } while (ask.after);
    return instants;
}

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

/* ---- a backlog beside what is new ------------------------------------------------------------ */

static void after_an_outage_new_instants_run_beside_the_backlog(void **state)
{
    (void)state;
    put((wish_t){ .rule = "* * * * *",
                  .mode = PAWL__V1__MODE__MODE_STRICT,
                  .ahead = 100,
                  .live_first = true });
    world.wall_us += 365 * DAY;
    world_propose(&world, "job");
    assert_int_equal(tasks(), 1); /* this minute's */
    assert_int_equal(range(1).left, YEAR_OF_MINUTES - 1);
    assert_string_equal(range(1).cause, "backlog");
    world_sleep(&world, 1000000);
    propose(1);
    assert_true(range(1).fired > 0);
    uint64_t before = tasks();
    world.wall_us += MINUTE;
    world_propose(&world, "job");
    assert_int_equal(tasks(), before + 1);
    audit();
    CHANGE(RANGE_CANCEL, what.range = 1);
    assert_int_equal(audit(), YEAR_OF_MINUTES + 1);
}

static void what_is_on_time_before_and_after_a_backlog_is_not_one_span_over_it(void **state)
{
    (void)state;
    put((wish_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .live_first = true });
    world.wall_us += MINUTE;
    world_propose(&world, "job");
    world.wall_us += 10 * MINUTE;
    world_propose(&world, "job");
    world.wall_us += MINUTE;
    world_propose(&world, "job");
    assert_int_equal(range(1).left, 9);
    assert_int_equal(on_record("fired", "on time"), 3);
    assert_int_equal(audit(), 3);
}

static void the_newest_of_a_backlog_run_first_if_that_is_wanted(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *",
                  .mode = PAWL__V1__MODE__MODE_STRICT,
                  .live_first = true,
                  .newest = true,
                  .window_us = 10 * HOUR });
    world.wall_us += DAY;
    world_propose(&world, "job");
    assert_int_equal(on_record("skipped", "window"), 13); /* what the window leaves: 10:00 on */
    assert_int_equal(range(1).left, 10);
    work_off(1);
    assert_int_equal(on_record("fired", "catchup"), 10);
    assert_int_equal(audit(), 24);
}

static void one_late_instant_is_no_backlog(void **state)
{
    (void)state;
    put((wish_t){ .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .live_first = true });
    world.wall_us += HOUR + 10 * MINUTE;
    world_propose(&world, "job");
    assert_int_equal(on_record("fired", "catchup"), 1);
    assert_int_equal(world_schedule_get(&world, "job")->n_ranges, 0);
}

static void a_large_backlog_is_told_once(void **state)
{
    (void)state;
    put((wish_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 3 });
    world.wall_us += 2 * DAY;
    size_t told = 0;
    for (int i = 0; i < 3; i++) {
        world_sleep(&world, 1000000);
        world_propose(&world, "job");
    }
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    ask.limit = 1000;
    assert_int_equal(query_event_read(world_ask(&world), &ask, 1, &world.reply), ERR_OK);
    for (size_t i = 0; i < world.reply.events->n_items; i++)
        told += strcmp(world.reply.events->items[i]->kind, "schedule.backlog") == 0;
    assert_int_equal(told, 1);
}

/* ---- latest ---------------------------------------------------------------------------------- */

static void a_folded_run_is_told_what_it_stands_for(void **state)
{
    (void)state;
    put((wish_t){
        .rule = "0 * * * *", .mode = PAWL__V1__MODE__MODE_LATEST, .window_us = 5 * HOUR });
    int64_t begun = world.wall_us;
    world.wall_us += 10 * HOUR + 10 * MINUTE;
    world_propose(&world, "job");
    assert_int_equal(on_record("skipped", "window"), 5); /* 01:00 to 05:00 */
    assert_int_equal(on_record("folded", "latest"), 4);
    assert_int_equal(on_record("fired", "latest"), 1);
    world_executor(&world, 2, "exec-2", 1);
    assert_int_equal(world.leases_n, 1);
    const Pawl__V1__TaskInfo *info = world_get(&world, world.leases[0].id);
    assert_int_equal(info->folded_count, 5);
    assert_int_equal(info->folded_first_us, begun + 6 * HOUR);
    assert_int_equal(info->folded_last_us, begun + 10 * HOUR);
    assert_int_equal(audit(), 10);
}

/* ---- edits ----------------------------------------------------------------------------------- */

/* A year without a broker: what it costs does not depend on how many instants there were. */
static void a_year(wish_t wish, size_t made, const char *verdict, const char *reason,
                   uint64_t of_it)
{
    wish.rule = "* * * * *";
    put(wish);
    assert_int_equal(world.error, 0);
    world_sleep(&world, 365 * DAY);
    world_propose(&world, "job");
    assert_int_equal(tasks(), made);
    Pawl__V1__ScheduleAudit ask = PAWL__V1__SCHEDULE_AUDIT__INIT;
    ask.name = "job";
    assert_int_equal(query_schedule_audit(world_ask(&world), &ask, &world.reply), ERR_OK);
    const Pawl__V1__AuditItems *spans = world.reply.audit;
    assert_int_equal(spans->n_problems, 0);
    assert_true(spans->n_items <= 4);
    uint64_t n = 0;
    for (size_t i = 0; i < spans->n_items; i++)
        if (strcmp(spans->items[i]->verdict, verdict) == 0 &&
            strcmp(spans->items[i]->reason, reason) == 0)
            n += spans->items[i]->instants;
    assert_int_equal(n, of_it);
    uint64_t undecided = world_schedule_get(&world, "job")->behind;
    assert_int_equal(audit() + undecided, YEAR_OF_MINUTES);
}

static void a_year_in_mode_normal_is_one_skipped_span(void **state)
{
    (void)state;
    a_year((wish_t){ .mode = PAWL__V1__MODE__MODE_NORMAL }, 1, "skipped", "late",
           YEAR_OF_MINUTES - 1);
}

static void a_year_in_mode_latest_is_one_folded_run(void **state)
{
    (void)state;
    a_year((wish_t){ .mode = PAWL__V1__MODE__MODE_LATEST }, 2, "folded", "latest",
           YEAR_OF_MINUTES - 2);
}

static void a_year_in_mode_strict_waits_behind_ahead(void **state)
{
    (void)state;
    a_year((wish_t){ .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 7 }, 7, "fired", "catchup", 7);
}

static void a_year_with_live_first_is_one_range(void **state)
{
    (void)state;
    a_year((wish_t){ .mode = PAWL__V1__MODE__MODE_STRICT, .live_first = true }, 1, "fired",
           "on time", 1);
}

/* Of three hours behind, the old rule keeps what lies up to the cut. */
static void cut(Pawl__V1__Mode mode, int64_t jitter_us, int64_t off_us, size_t old, size_t new)
{
    put((wish_t){ .rule = "0 * * * *", .mode = mode, .jitter_us = jitter_us });
    int64_t begun = world.wall_us;
    world.wall_us += 3 * HOUR + 30 * MINUTE;
    put((wish_t){ .rule = "0,15 * * * *",
                  .mode = mode,
                  .jitter_us = jitter_us,
                  .cursor = PAWL__V1__CURSOR_ACTION__CURSOR_AT,
                  .at_us = begun + 2 * HOUR + off_us });
    assert_int_equal(world.error, 0);
    if (mode == PAWL__V1__MODE__MODE_STRICT) {
        work_off(1);
        assert_int_equal(range(1).fired, old);
        assert_int_equal(range(1).revision, 1);
    } else {
        assert_int_equal(on_record("skipped", "edited"), old);
    }
    assert_int_equal(world_schedule_get(&world, "job")->behind, new);
    if (jitter_us) { /* its turn is still to come: nothing may be early */
        assert_int_equal(audit(), old);
        return;
    }
    world_propose(&world, "job");
    assert_int_equal(audit(), old + new);
}

static void an_edit_at_an_instant_parts_the_rules_there(void **state)
{
    (void)state;
    cut(PAWL__V1__MODE__MODE_STRICT, 0, 1000, 2, 3); /* 02:15 03:00 03:15 are of the new one */
}

static void a_millisecond_before_it_is_of_the_new_rule(void **state)
{
    (void)state;
    cut(PAWL__V1__MODE__MODE_STRICT, 0, -1000, 1, 4);
}

static void jitter_does_not_move_where_the_rules_part(void **state)
{
    (void)state;
    cut(PAWL__V1__MODE__MODE_STRICT, 600 * INT64_C(1000000), 1000, 2, 3);
}

static void nor_a_millisecond_before(void **state)
{
    (void)state;
    cut(PAWL__V1__MODE__MODE_STRICT, 600 * INT64_C(1000000), -1000, 1, 4);
}

static void in_mode_normal_what_the_old_rule_owed_is_skipped(void **state)
{
    (void)state;
    cut(PAWL__V1__MODE__MODE_NORMAL, 0, 1000, 2, 3);
}

static void a_new_rule_under_strict_leaves_the_backlog_to_the_old_one(void **state)
{
    (void)state;
    strict("0 * * * *");
    world.wall_us += DAY + 30 * MINUTE;
    strict("15 * * * *");
    work_off(1);
    assert_int_equal(range(1).fired, 24);
    assert_int_equal(tasks(), 24);
    world.wall_us += HOUR;
    world_propose(&world, "job");
    assert_int_equal(tasks(), 25);
    assert_int_equal(audit(), 25);
}

static void a_cut_ahead_or_behind_what_is_decided_is_refused(void **state)
{
    (void)state;
    wish_t wish = { .rule = "0 * * * *",
                    .mode = PAWL__V1__MODE__MODE_STRICT,
                    .cursor = PAWL__V1__CURSOR_ACTION__CURSOR_AT };
    strict("15 * * * *");
    world.wall_us += DAY;
    world_propose(&world, "job");
    wish.at_us = world.wall_us + 1;
    put(wish);
    assert_int_equal(world.error, ERR_TOO_EARLY);
    wish.at_us = world.wall_us - DAY;
    put(wish);
    assert_int_equal(world.error, ERR_CONFLICT);
}

/* What parts the rules leaves the backlog to a range, also where the rule itself stays: with no
 * range left it is refused. */
static void a_cut_needs_a_range_for_the_backlog_before_it(void **state)
{
    (void)state;
    wish_t same = { .rule = "0 * * * *",
                    .mode = PAWL__V1__MODE__MODE_STRICT,
                    .cursor = PAWL__V1__CURSOR_ACTION__CURSOR_AT };
    strict(same.rule);
    for (int i = 0; i < LIMIT_RANGES; i++)
        backfill(world.wall_us - DAY, world.wall_us);
    world.wall_us += DAY;
    same.at_us = world.wall_us - HOUR;
    put(same);
    assert_int_equal(world.error, ERR_TOO_MANY);
    CHANGE(RANGE_CANCEL, what.range = 1);
    put(same);
    assert_int_equal(world.error, 0);
    work_off(LIMIT_RANGES + 1);
    assert_int_equal(range(LIMIT_RANGES + 1).fired, 23);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        TEST(after_an_outage_new_instants_run_beside_the_backlog),
        TEST(the_newest_of_a_backlog_run_first_if_that_is_wanted),
        TEST(what_is_on_time_before_and_after_a_backlog_is_not_one_span_over_it),
        TEST(one_late_instant_is_no_backlog),
        TEST(a_large_backlog_is_told_once),
        TEST(a_folded_run_is_told_what_it_stands_for),
        TEST(a_year_in_mode_normal_is_one_skipped_span),
        TEST(a_year_in_mode_latest_is_one_folded_run),
        TEST(a_year_in_mode_strict_waits_behind_ahead),
        TEST(a_year_with_live_first_is_one_range),
        TEST(an_edit_at_an_instant_parts_the_rules_there),
        TEST(a_millisecond_before_it_is_of_the_new_rule),
        TEST(jitter_does_not_move_where_the_rules_part),
        TEST(nor_a_millisecond_before),
        TEST(in_mode_normal_what_the_old_rule_owed_is_skipped),
        TEST(a_new_rule_under_strict_leaves_the_backlog_to_the_old_one),
        TEST(a_cut_ahead_or_behind_what_is_decided_is_refused),
        TEST(a_cut_needs_a_range_for_the_backlog_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

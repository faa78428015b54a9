/* SPDX-License-Identifier: Apache-2.0
 * History goes when its time has come or the store is crowded, and what stays is whole. */
#include "tests/unit/broker/query_world.h"

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world_executor(&world, 1, "exec-1", 0);
    return 0;
}

static void submit_keyed(char *key)
{
    Pawl__V1__Task task;
    uint8_t id[16];
    world_task(&task);
    task.key = key;
    world.wall_us += 1000; /* another id */
    world_submit(&world, &task, id);
    assert_int_equal(world.error, 0);
}

/* Batches that do nothing else: an idle broker commits none at all. */
static void batches(unsigned n)
{
    static const command_t nobody = { .kind = CMD_GONE, .conn = 999 };
    while (n-- > 0)
        world_step(&world, &nobody, 1);
}

static const Pawl__V1__EventItems *events_from(uint64_t seq)
{
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    assert_int_equal(query_event_read(world_ask(&world), &ask, seq, &world.reply), ERR_OK);
    return world.reply.events;
}

static void the_journal_is_kept_thirty_days_and_a_reader_from_before_is_told_the_gap(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        submit_keyed((char *)(uintptr_t) "");
    uint64_t rows = memstore_rows(world.store, TABLE_jrn);
    assert_int_equal(rows, 301); /* one a batch, with the executor's */
    world_sleep(&world, 29 * DAY);
    batches(128);
    assert_int_equal(memstore_rows(world.store, TABLE_jrn), rows);
    submit_keyed((char *)(uintptr_t) "");
    world_sleep(&world, 2 * DAY);
    batches(64);
    assert_int_equal(memstore_rows(world.store, TABLE_jrn), rows + 1 - 128); /* small steps */
    batches(128);
    assert_int_equal(memstore_rows(world.store, TABLE_jrn), 1);
    const Pawl__V1__EventItems *events = events_from(1);
    assert_int_equal(events->oldest_seq, 302);
    assert_int_equal(events->n_items, 1);
    assert_int_equal(events->items[0]->seq, 302);
    world_sleep(&world, 31 * DAY);
    batches(64);
    events = events_from(1); /* nothing is left, and the next number is known */
    assert_int_equal(events->oldest_seq, 303);
    assert_int_equal(events->next_seq, 303);
}

static void in_a_crowded_store_all_but_the_newest_events_go(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++)
        submit_keyed((char *)(uintptr_t) "");
    assert_int_equal(memstore_rows(world.store, TABLE_jrn), 5001);
    store_usage_t usage;
    store_usage(world.store, &usage);
    memstore_faults(world.store)->map_bytes = usage.used_bytes * 10 / 7;
    batches(4 * 9);
    /* and one more event tells the level of the store */
    assert_int_equal(events_from(1)->oldest_seq, 5001 - 4096 + 2);
}

static void an_alias_of_a_live_key_is_forgotten_after_a_day(void **state)
{
    (void)state;
    submit_keyed((char *)(uintptr_t) "order-7");
    submit_keyed((char *)(uintptr_t) "order-7");
    assert_int_equal(memstore_rows(world.store, TABLE_ids), 2);
    assert_int_equal(memstore_rows(world.store, TABLE_spec), 1);
    world_sleep(&world, 23 * HOUR);
    assert_int_equal(memstore_rows(world.store, TABLE_ids), 2);
    world_sleep(&world, 2 * HOUR);
    assert_int_equal(memstore_rows(world.store, TABLE_ids), 1);
    assert_int_equal(memstore_rows(world.store, TABLE_part), 0);
    assert_int_equal(memstore_rows(world.store, TABLE_timer), 0);
}

static void edit_rule(const char *rule)
{
    world_schedule(&world, "job", rule, PAWL__V1__MODE__MODE_NORMAL,
                   PAWL__V1__OVERLAP__OVERLAP_SKIP);
}

static void the_ledger_is_kept_a_year_and_rules_that_only_it_named_go_with_it(void **state)
{
    (void)state;
    uint64_t rules = 0, all = 0;
    edit_rule("0 * * * *");
    for (int day = 0; day < 400; day++) {
        world.wall_us += DAY;
        world_propose(&world, "job");
        if (day == 10) {
            edit_rule("30 * * * *");
            rules = memstore_rows(world.store, TABLE_sched);
        }
        if (day == 300) all = memstore_rows(world.store, TABLE_ledger);
    }
    batches(128);
    uint64_t kept = memstore_rows(world.store, TABLE_ledger);
    assert_true(all >= 300 && kept >= 364 && kept < all + 98); /* of 99 more days */
    assert_int_equal(memstore_rows(world.store, TABLE_sched), rules - 1);
    Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
    ask.name = (char *)(uintptr_t) "job";
    ask.limit = 1;
    assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    assert_int_equal(world.reply.history->n_items, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(the_journal_is_kept_thirty_days_and_a_reader_from_before_is_told_the_gap),
        TEST(in_a_crowded_store_all_but_the_newest_events_go),
        TEST(an_alias_of_a_live_key_is_forgotten_after_a_day),
        TEST(the_ledger_is_kept_a_year_and_rules_that_only_it_named_go_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

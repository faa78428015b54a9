/* SPDX-License-Identifier: Apache-2.0
 * Schedules, their history and the journal, as the readers tell them. */
#include "tests/unit/broker/query_world.h"

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = WORLD_BEGIN / MINUTE * MINUTE + 1000000; /* one second past a full minute */
    return 0;
}

static const Pawl__V1__HistoryItems *history(const char *name, int64_t after_us, uint32_t limit,
                                             bool missed_only)
{
    Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
    ask.name = (char *)(uintptr_t)name;
    ask.after_us = after_us;
    ask.limit = limit;
    ask.missed_only = missed_only;
    assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_null(world.reply.error);
    return world.reply.history;
}

static void a_schedule_tells_its_next_instant_and_what_is_behind(void **state)
{
    (void)state;
    world_executor(&world, 1, "exec-1", 0);
    world_schedule(&world, "each-minute", "* * * * *", PAWL__V1__MODE__MODE_NORMAL, 0);
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "each-minute");
    assert_string_equal(info->state, "active");
    assert_int_equal(info->next_us, world.wall_us / MINUTE * MINUTE + MINUTE);
    assert_int_equal(info->behind, 0);
    assert_true(info->schedule.len > 0);
    world.wall_us += 3 * MINUTE;
    assert_int_equal(world_schedule_get(&world, "each-minute")->behind, 3);
    world_propose(&world, "each-minute");
    info = world_schedule_get(&world, "each-minute");
    assert_int_equal(info->behind, 0);
    assert_int_equal(info->fired, 1);
    assert_int_equal(info->missed, 2);
    assert_int_equal(info->waiting, 1);
    Pawl__V1__ScheduleGet get = PAWL__V1__SCHEDULE_GET__INIT;
    get.name = (char *)(uintptr_t) "nobody";
    assert_int_equal(query_schedule_get(world_ask(&world), &get, &world.reply), ERR_OK);
    assert_int_equal(world.reply.error->code, ERR_NOT_FOUND);
}

static void history_spreads_extents_out_and_names_each_task(void **state)
{
    (void)state;
    int64_t first = world.wall_us / MINUTE * MINUTE + MINUTE;
    world_executor(&world, 1, "exec-1", 0);
    world_schedule(&world, "each-minute", "* * * * *", PAWL__V1__MODE__MODE_NORMAL,
                   PAWL__V1__OVERLAP__OVERLAP_ALLOW);
    for (int i = 0; i < 3; i++) {
        world.wall_us += MINUTE;
        world_propose(&world, "each-minute");
    }
    world.wall_us += 100 * MINUTE;
    world_propose(&world, "each-minute");
    const Pawl__V1__HistoryItems *items = history("each-minute", 0, 1000, false);
    assert_int_equal(items->n_items, 103);
    assert_int_equal(items->next_us, 0);
    uint8_t task[16];
    for (size_t i = 0; i < 103; i++) {
        const Pawl__V1__HistoryItem *item = items->items[i];
        bool fired = i < 3 || i == 102;
        assert_int_equal(item->instant_us, first + (int64_t)i * MINUTE);
        assert_string_equal(item->verdict, fired ? "fired" : "skipped");
        assert_string_equal(item->reason, fired ? "on time" : "late");
        assert_int_equal(item->task.len, fired ? 16 : 0);
        if (i == 1) memcpy(task, item->task.data, 16);
    }
    const Pawl__V1__TaskInfo *info = world_get(&world, task);
    assert_string_equal(info->schedule, "each-minute");
    assert_int_equal(info->planned_us, first + MINUTE);
    /* pages */
    size_t n = 0;
    int64_t after = 0;
    do {
        items = history("each-minute", after, 10, false);
        for (size_t i = 0; i < items->n_items; i++, n++)
            assert_int_equal(items->items[i]->instant_us, first + (int64_t)n * MINUTE);
        after = items->next_us;
    } while (after);
    assert_int_equal(n, 103);
    assert_int_equal(history("each-minute", 0, 1000, true)->n_items, 99);
    assert_int_equal(history("each-minute", first + 50 * MINUTE, 1000, true)->n_items, 51);
}

static void history_names_the_task_that_stood_in_the_way(void **state)
{
    (void)state;
    world_executor(&world, 1, "exec-1", 1);
    world_schedule(&world, "each-minute", "* * * * *", PAWL__V1__MODE__MODE_NORMAL,
                   PAWL__V1__OVERLAP__OVERLAP_SKIP);
    for (int i = 0; i < 4; i++) {
        world.wall_us += MINUTE;
        world_propose(&world, "each-minute");
    }
    assert_int_equal(world.leases_n, 1);
    const Pawl__V1__HistoryItems *items = history("each-minute", 0, 1000, false);
    assert_int_equal(items->n_items, 4);
    assert_int_equal(items->items[0]->blocker.len, 0);
    for (size_t i = 1; i < 4; i++) {
        assert_string_equal(items->items[i]->reason, "overlap");
        assert_int_equal(items->items[i]->task.len, 0);
        assert_int_equal(items->items[i]->blocker.len, 16);
        assert_memory_equal(items->items[i]->blocker.data, items->items[0]->task.data, 16);
    }
    assert_int_equal(history("each-minute", 0, 1000, true)->items[2]->blocker.len, 16);
}

static void an_edit_leaves_the_history_of_the_old_rule_as_it_was(void **state)
{
    (void)state;
    int64_t first = world.wall_us / MINUTE * MINUTE + MINUTE;
    world_executor(&world, 1, "exec-1", 0);
    world_schedule(&world, "job", "* * * * *", PAWL__V1__MODE__MODE_NORMAL, 0);
    world.wall_us += 5 * MINUTE;
    world_propose(&world, "job");
    world_schedule(&world, "job", "*/10 * * * *", PAWL__V1__MODE__MODE_NORMAL, 0);
    world.wall_us += 30 * MINUTE;
    world_propose(&world, "job");
    const Pawl__V1__HistoryItems *items = history("job", 0, 0, false);
    assert_int_equal(items->n_items, 8);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(items->items[i]->instant_us, first + (int64_t)i * MINUTE);
        assert_int_equal(items->items[i]->revision, 1);
    }
    for (size_t i = 5; i < 8; i++) {
        assert_int_equal(items->items[i]->instant_us % (10 * MINUTE), 0);
        assert_int_equal(items->items[i]->revision, 2);
    }
}

static void the_list_goes_on_behind_the_last_name(void **state)
{
    (void)state;
    char name[16];
    world_executor(&world, 1, "exec-1", 0);
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "job-%02d", i);
        world_schedule(&world, name, i % 2 ? "0 3 * * *" : "@hourly", PAWL__V1__MODE__MODE_NORMAL,
                       0);
    }
    Pawl__V1__ScheduleList list = PAWL__V1__SCHEDULE_LIST__INIT;
    char after[32] = "";
    list.limit = 10;
    list.after = after;
    size_t n = 0;
    do {
        assert_int_equal(query_schedule_list(world_ask(&world), &list, &world.reply), ERR_OK);
        Pawl__V1__ScheduleItems *items = world.reply.schedules;
        for (size_t i = 0; i < items->n_items; i++, n++) {
            snprintf(name, sizeof name, "job-%02d", (int)n);
            assert_string_equal(items->items[i]->name, name);
        }
        snprintf(after, sizeof after, "%s", items->next);
    } while (after[0]);
    assert_int_equal(n, 25);
    list.limit = 3;
    list.whole = true;
    assert_int_equal(query_schedule_list(world_ask(&world), &list, &world.reply), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        ProtobufCBinaryData bytes = world.reply.schedules->items[i]->schedule;
        Pawl__V1__Schedule *spec = pawl__v1__schedule__unpack(NULL, bytes.len, bytes.data);
        assert_string_equal(spec->name, world.reply.schedules->items[i]->name);
        assert_string_equal(spec->rule, i % 2 ? "0 3 * * *" : "@hourly");
        pawl__v1__schedule__free_unpacked(spec, NULL);
    }
    list.whole = false;
    char *names[] = { "job-07", "nobody", "job-03", "job-24" };
    list.names = names;
    list.n_names = 4;
    list.limit = 2;
    list.after = "job-10";
    assert_int_equal(query_schedule_list(world_ask(&world), &list, &world.reply), ERR_OK);
    assert_int_equal(world.reply.schedules->n_items, 2);
    assert_string_equal(world.reply.schedules->items[0]->name, "job-07");
    assert_string_equal(world.reply.schedules->items[1]->name, "job-03");
    assert_string_equal(world.reply.schedules->next, "job-03");
    list.names = names + 3;
    list.n_names = 1;
    assert_int_equal(query_schedule_list(world_ask(&world), &list, &world.reply), ERR_OK);
    assert_string_equal(world.reply.schedules->items[0]->name, "job-24");
    assert_string_equal(world.reply.schedules->next, "");
    list.n_names = 0;
    list.after = "";
    list.limit = 0;
    list.text = (char *)(uintptr_t) "hourly";
    assert_int_equal(query_schedule_list(world_ask(&world), &list, &world.reply), ERR_OK);
    assert_int_equal(world.reply.schedules->n_items, 13);
}

static void events_come_dense_with_names_and_a_gap_is_told(void **state)
{
    (void)state;
    Pawl__V1__Task task;
    uint8_t id[16];
    world_executor(&world, 1, "exec-1", 1);
    world_task(&task);
    world_submit(&world, &task, id);
    world_lease_t lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice(NULL, 0));
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    assert_int_equal(query_event_read(world_ask(&world), &ask, 1, &world.reply), ERR_OK);
    Pawl__V1__EventItems *items = world.reply.events;
    static const char *const kinds[] = { "created", "running", "finished" };
    size_t seen = 0;
    for (size_t i = 0; i < items->n_items; i++) {
        assert_int_equal(items->items[i]->seq, items->oldest_seq + i);
        if (items->items[i]->id.len == 0) continue;
        assert_memory_equal(items->items[i]->id.data, id, 16);
        assert_string_equal(items->items[i]->type, "test/work");
        assert_string_equal(items->items[i]->queue, "default");
        if (seen < 3 && strcmp(items->items[i]->kind, kinds[seen]) == 0) seen++;
        if (strcmp(items->items[i]->kind, "running") == 0)
            assert_string_equal(items->items[i]->executor, "exec-1");
    }
    assert_int_equal(seen, 3);
    uint64_t next = items->next_seq;
    ask.limit = 1;
    assert_int_equal(query_event_read(world_ask(&world), &ask, next - 2, &world.reply), ERR_OK);
    assert_int_equal(world.reply.events->n_items, 1);
    assert_int_equal(world.reply.events->items[0]->seq, next - 2);
    assert_int_equal(world.reply.events->next_seq, next - 1);
    assert_int_equal(query_event_read(world_ask(&world), &ask, next, &world.reply), ERR_OK);
    assert_int_equal(world.reply.events->n_items, 0);
    assert_int_equal(world.reply.events->next_seq, next);
    assert_int_equal(query_event_read(world_ask(&world), &ask, next + 50, &world.reply), ERR_OK);
    assert_int_equal(world.reply.events->next_seq, next);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_tells_its_next_instant_and_what_is_behind),
        TEST(history_spreads_extents_out_and_names_each_task),
        TEST(history_names_the_task_that_stood_in_the_way),
        TEST(an_edit_leaves_the_history_of_the_old_rule_as_it_was),
        TEST(the_list_goes_on_behind_the_last_name),
        TEST(events_come_dense_with_names_and_a_gap_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

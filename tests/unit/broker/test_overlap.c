/* SPDX-License-Identifier: Apache-2.0
 * Schedules that count together: each policy in a wider scope, ranges that count apart. After each
 * test the check counts all over again. */
#include "tests/unit/broker/query_world.h"

static const int64_t STEP = 5000000; /* less than a lease, so that the executor stays */
static world_lease_t held[32];       /* every lease so far */
static size_t held_n;

static int set_up(void **state)
{
    (void)state;
    held_n = 0;
    world_open(&world);
    world.wall_us = WORLD_BEGIN / STEP * STEP + 1000000;
    world_executor(&world, 1, "exec-1", 50);
    world_zone(&world, "UTC");
    return 0;
}

typedef struct wish {
    const char *name;
    Pawl__V1__Overlap overlap;
    Pawl__V1__Scope scope;
    const char *key;
    uint32_t max_running;
    bool strict;
    int64_t after_us;
} wish_t;

/* Every five seconds, or so long after each end, in the scope that was wished. Returns the error.
 */
static uint32_t put(wish_t wish)
{
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[] = { &label };
    uint8_t packed[256];
    label.key = (char *)(uintptr_t) "db";
    label.value = (char *)(uintptr_t) "main";
    schedule.name = (char *)(uintptr_t)wish.name;
    schedule.rule = (char *)(uintptr_t)(wish.after_us ? "" : "*/5 * * * * *");
    schedule.after_us = wish.after_us;
    schedule.zone = (char *)(uintptr_t) "UTC";
    schedule.mode = wish.strict ? PAWL__V1__MODE__MODE_STRICT : PAWL__V1__MODE__MODE_NORMAL;
    schedule.overlap = wish.overlap;
    if (wish.after_us == 0)
        schedule.supersede_set_case = PAWL__V1__SCHEDULE__SUPERSEDE_SET_SUPERSEDE;
    schedule.overlap_scope = wish.scope;
    schedule.overlap_key = (char *)(uintptr_t)(wish.key ? wish.key : "");
    schedule.max_running = wish.max_running;
    schedule.labels = labels;
    schedule.n_labels = 1;
    schedule.task = world_template(packed);
    return world_put_schedule(&world, &schedule);
}

static void by_type(const char *name, Pawl__V1__Overlap overlap)
{
    assert_int_equal(
        put((wish_t){ .name = name, .overlap = overlap, .scope = PAWL__V1__SCOPE__SCOPE_TYPE }), 0);
}

static void learn(void)
{
    for (size_t i = 0; i < world.leases_n; i++)
        held[held_n++] = world.leases[i];
}

static void propose(const char *name)
{
    world_propose(&world, name);
    learn();
}

static void next(const char *name)
{
    world.wall_us += STEP;
    propose(name);
}

static uint32_t running(const char *name)
{
    return world_schedule_get(&world, name)->running;
}

static uint32_t waiting(const char *name)
{
    return world_schedule_get(&world, name)->waiting;
}

static void end(size_t nth)
{
    world_report(&world, 1, &held[nth], PAWL__V1__OUTCOME__OUTCOME_DONE, "", slice("", 0));
    learn();
}

static void change(const char *name, Pawl__V1__ScheduleVerb verb, int64_t from, int64_t to,
                   Pawl__V1__Overlap overlap)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.name = (char *)(uintptr_t)name;
    body.verb = verb;
    body.from_us = from;
    body.to_us = to;
    body.overlap = overlap;
    world_change_schedule(&world, &body);
    learn();
}

#define POLICY(word) PAWL__V1__OVERLAP__OVERLAP_##word

static void one_of_a_type_runs_and_the_line_is_in_time_order_whoever_stands_in_it(void **state)
{
    (void)state;
    by_type("a", POLICY(QUEUE_ALL));
    by_type("b", POLICY(QUEUE_ALL));
    next("a"); /* runs */
    next("b"); /* waits first */
    propose("a");
    assert_int_equal(running("a"), 1);
    assert_int_equal(running("b"), 0);
    assert_int_equal(waiting("a"), 1);
    assert_int_equal(waiting("b"), 1);
    end(0);
    assert_int_equal(running("b"), 1);
    assert_int_equal(running("a"), 0);
    end(held_n - 1);
    assert_int_equal(running("a"), 1);
    assert_int_equal(waiting("a") + waiting("b"), 0);
}

static void skip_drops_for_what_another_schedule_runs_and_names_it(void **state)
{
    (void)state;
    by_type("a", POLICY(SKIP));
    by_type("b", POLICY(SKIP));
    next("a");
    propose("b");
    assert_int_equal(running("a"), 1);
    assert_int_equal(world_schedule_get(&world, "b")->fired, 0);
    change("b", PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW, 0, 0, 0);
    assert_int_equal(world.error, ERR_CONFLICT);
    change("b", PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW, 0, 0, POLICY(ALLOW));
    assert_int_equal(world.error, 0);
    assert_int_equal(running("b"), 1);
}

/* No end of its own will arm it: nothing of it is open. */
static void a_fixed_delay_that_is_skipped_for_another_schedule_is_armed_anew(void **state)
{
    (void)state;
    by_type("a", POLICY(QUEUE_ALL));
    assert_int_equal(put((wish_t){ .name = "poll",
                                   .overlap = POLICY(SKIP),
                                   .scope = PAWL__V1__SCOPE__SCOPE_TYPE,
                                   .after_us = 12 * STEP }),
                     0);
    next("a");
    propose("poll"); /* its first run is due, and dropped */
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "poll");
    assert_int_equal(info->fired, 0);
    assert_int_equal(info->next_us, world.wall_us + 12 * STEP);
    world.wall_us = info->next_us;
    propose("poll"); /* and so is the one after it */
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, world.wall_us + 12 * STEP);
    world.wall_us += 12 * STEP;
    end(0);
    propose("poll");
    assert_int_equal(running("poll"), 1);
    assert_int_equal(world_schedule_get(&world, "poll")->next_us, 0); /* its own end arms it now */
}

static void each_keeps_one_of_its_own_in_the_line(void **state)
{
    (void)state;
    by_type("a", POLICY(ALLOW));
    by_type("one", POLICY(QUEUE_ONE));
    by_type("latest", POLICY(QUEUE_LATEST));
    next("a");
    for (int i = 0; i < 3; i++) {
        propose("one");
        propose("latest");
        world.wall_us += STEP;
    }
    assert_int_equal(waiting("one"), 1);
    assert_int_equal(waiting("latest"), 1);
    assert_int_equal(world_schedule_get(&world, "one")->fired, 1);
    assert_int_equal(world_schedule_get(&world, "latest")->fired, 3); /* two were superseded */
}

static void kill_ends_what_another_schedule_runs_and_cancel_waits_for_its_end(void **state)
{
    (void)state;
    by_type("a", POLICY(QUEUE_ALL));
    by_type("k", POLICY(KILL));
    by_type("c", POLICY(CANCEL));
    next("a");
    propose("k");
    assert_int_equal(running("a"), 0);
    assert_int_equal(running("k"), 1);
    propose("c");
    assert_int_equal(running("k"), 1); /* told to stop */
    assert_int_equal(waiting("c"), 1);
    end(held_n - 1);
    assert_int_equal(running("c"), 1);
}

static void a_key_says_who_counts_and_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    wish_t wish = { .name = "a",
                    .overlap = POLICY(QUEUE_ALL),
                    .scope = PAWL__V1__SCOPE__SCOPE_KEY,
                    .key = "db-{label.db}",
                    .max_running = 1 };
    assert_int_equal(put(wish), 0);
    wish.name = "b";
    wish.max_running = 2;
    assert_int_equal(put(wish), 0);
    wish.name = "alone";
    wish.key = "{queue}/{type}/{schedule}";
    assert_int_equal(put(wish), 0);
    next("a");
    propose("b"); /* two may run for it */
    propose("alone");
    assert_int_equal(running("a") + running("b") + running("alone"), 3);
    next("a");
    assert_int_equal(running("a"), 1);
    assert_int_equal(waiting("a"), 1);
    static const char *const bad[] = { "{label.none}", "{host}", "{type", "a}b", "{}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        wish.key = bad[i];
        assert_int_equal(put(wish), ERR_BAD_VALUE);
    }
}

static void a_task_counts_to_its_end_where_it_was_made(void **state)
{
    (void)state;
    by_type("a", POLICY(QUEUE_ALL));
    by_type("b", POLICY(QUEUE_ALL));
    next("a");
    propose("b"); /* waits for a's */
    assert_int_equal(put((wish_t){ .name = "a", .overlap = POLICY(QUEUE_ALL) }), 0);
    assert_int_equal(put((wish_t){ .name = "b", .overlap = POLICY(QUEUE_ALL) }), 0);
    next("b"); /* at its own gate: free */
    assert_int_equal(running("b"), 1);
    assert_int_equal(waiting("b"), 1);
    change("b", PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE, 0, 0, 0);
    end(0); /* a's: the scope has room, b's old one goes although b is gone */
    assert_int_equal(world.error, 0);
}

static void a_backfill_with_its_own_policy_counts_apart(void **state)
{
    (void)state;
    int64_t from = world.wall_us - 10 * STEP;
    assert_int_equal(put((wish_t){ .name = "job", .overlap = POLICY(QUEUE_ALL), .strict = true }),
                     0);
    next("job");
    assert_int_equal(running("job"), 1);
    change("job", PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL, from, from + 3 * STEP,
           POLICY(QUEUE_ALL));
    assert_int_equal(world.error, 0);
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose propose = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal item = PAWL__V1__PROPOSAL__INIT, *items[] = { &item };
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job");
    uint8_t uid[16];
    memcpy(uid, info->uid.data, 16);
    item.uid = (ProtobufCBinaryData){ 16, uid };
    item.revision = info->revision;
    item.range = 1;
    item.expect_cursor_us = info->ranges[0]->low_us;
    item.new_cursor_us = info->ranges[0]->high_us;
    propose.items = items;
    propose.n_items = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &propose;
    world_sleep(&world, 1000000); /* tokens of its rate */
    world_request(&world, 98, &request);
    learn();
    assert_int_equal(running("job"), 2); /* one of the live line, one of the backfill */
    assert_int_equal(waiting("job"), 2);
    end(held_n - 1); /* makes room for the next of the backfill, not of the line */
    assert_int_equal(running("job"), 2);
    assert_int_equal(waiting("job"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(one_of_a_type_runs_and_the_line_is_in_time_order_whoever_stands_in_it),
        TEST(skip_drops_for_what_another_schedule_runs_and_names_it),
        TEST(a_fixed_delay_that_is_skipped_for_another_schedule_is_armed_anew),
        TEST(each_keeps_one_of_its_own_in_the_line),
        TEST(kill_ends_what_another_schedule_runs_and_cancel_waits_for_its_end),
        TEST(a_key_says_who_counts_and_what_does_not_fit_is_refused),
        TEST(a_task_counts_to_its_end_where_it_was_made),
        TEST(a_backfill_with_its_own_policy_counts_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

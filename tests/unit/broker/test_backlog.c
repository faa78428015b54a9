/* SPDX-License-Identifier: Apache-2.0
 * What an outage or an edit leaves behind: split off, folded, skipped or parted at an instant.
 * After each test the whole store is checked, ledgers against their rules. */
#include "tests/unit/broker/ranges_world.h"

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

/* What to wish for to cut its rule at at_us, and to keep it. */
static wish_t given_an_hourly_one_with_all_its_ranges(void)
{
    wish_t same = { .rule = "0 * * * *",
                    .mode = PAWL__V1__MODE__MODE_STRICT,
                    .cursor = PAWL__V1__CURSOR_ACTION__CURSOR_AT };
    strict(same.rule);
    for (int i = 0; i < LIMIT_RANGES; i++)
        backfill(world.wall_us - DAY, world.wall_us);
    return same;
}

/* What parts the rules leaves the backlog to a range, also where the rule itself stays: with no
 * range left it is refused. */
static void a_cut_needs_a_range_for_the_backlog_before_it(void **state)
{
    (void)state;
    wish_t same = given_an_hourly_one_with_all_its_ranges();
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

/* What it asks for is what lies before it: at the next instant there is nothing to part off, and
 * with its own instant the old rule owes one. */
static void a_cut_before_the_backlog_needs_no_range(void **state)
{
    (void)state;
    wish_t same = given_an_hourly_one_with_all_its_ranges();
    int64_t next = (world.wall_us / HOUR + 1) * HOUR;
    world.wall_us += DAY;
    same.at_us = next;
    put(same);
    assert_int_equal(world.error, ERR_TOO_MANY);
    same.at_us = next - 1; /* of the second before */
    put(same);
    assert_int_equal(world.error, 0);
    assert_int_equal(world_schedule_get(&world, "job")->behind, 24);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
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
        TEST(a_cut_before_the_backlog_needs_no_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * One request with very many proposals: a batch does its part, the rest is asked for again. */
#include "tests/unit/broker/core_world.h"

enum { SCHEDULES = 5000 };

static Pawl__V1__ScheduleInfo infos[SCHEDULES];
static uint8_t uids[SCHEDULES][16];

static void make_schedules(world_t *w, size_t also_n)
{
    static char *const minutes[] = { "1 * * * *",  "2 * * * *",  "3 * * * *",  "4 * * * *",
                                     "5 * * * *",  "6 * * * *",  "7 * * * *",  "8 * * * *",
                                     "9 * * * *",  "10 * * * *", "11 * * * *", "12 * * * *",
                                     "13 * * * *", "14 * * * *", "15 * * * *" };
    for (int i = 0; i < SCHEDULES; i++) {
        char name[24];
        snprintf(name, sizeof name, "s-%d", i);
        const Pawl__V1__ScheduleInfo *info =
            put_schedule(w, (plan_spec_t){ .name = name,
                                           .rule = "* * * * *",
                                           .mode = PAWL__V1__MODE__MODE_NORMAL,
                                           .also = (char **)(uintptr_t)minutes,
                                           .also_n = also_n });
        infos[i] = *info;
        memcpy(uids[i], info->uid.data, 16);
        infos[i].uid.data = uids[i];
    }
}

/* All that have not fired yet in one request; returns how many have in this batch. */
static size_t propose_all(world_t *w, bool *fired)
{
    static Pawl__V1__Proposal proposals[SCHEDULES];
    static Pawl__V1__Proposal *items[SCHEDULES];
    static int of_item[SCHEDULES];
    Pawl__V1__Request request_of = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    for (int i = 0; i < SCHEDULES; i++) {
        if (fired[i]) continue;
        pawl__v1__proposal__init(&proposals[i]);
        proposals[i].uid = infos[i].uid;
        proposals[i].revision = infos[i].revision;
        proposals[i].expect_cursor_us = infos[i].cursor_us;
        proposals[i].new_cursor_us = w->wall_us / 1000000 * 1000000;
        of_item[body.n_items] = i;
        items[body.n_items++] = &proposals[i];
    }
    body.items = items;
    request_of.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request_of.propose = &body;
    const Pawl__V1__Proposed *proposed = request(w, 5, &request_of)->proposed;
    size_t now = 0;
    assert_int_equal(proposed->n_items, body.n_items);
    for (size_t i = 0; i < proposed->n_items; i++) {
        const Pawl__V1__ProposalAnswer *answer = proposed->items[i];
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE) {
            assert_int_equal(answer->fired, 1);
            fired[of_item[i]] = true;
            now++;
            continue;
        }
        assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD);
        assert_int_equal(answer->retry_us, w->wall_us); /* at once */
        assert_true(answer->next_us <= w->wall_us);
        assert_int_equal(answer->cursor_us, infos[of_item[i]].cursor_us);
    }
    return now;
}

/* Returns how many the first batch took. */
static size_t propose_until_done(world_t *w)
{
    bool fired[SCHEDULES] = { false };
    size_t first = propose_all(w, fired), requests = 1;
    for (size_t done = first; done < SCHEDULES; requests++) {
        size_t now = propose_all(w, fired);
        assert_true(now > 0 && now <= LIMIT_FIRINGS);
        done += now;
    }
    assert_true(requests > 1);
    assert_int_equal(COUNT(w, WAITING) + COUNT(w, RUNNING), SCHEDULES);
    return first;
}

/* Their rules cost less than their tasks: what bounds a batch is the number of firings. */
static void a_request_of_very_many_is_cut_and_each_instant_fires_once(void **state)
{
    world_t *w = *state;
    make_schedules(w, 0);
    pass(w, 61000000);
    assert_int_equal(propose_until_done(w), LIMIT_FIRINGS);
}

static void unions_of_many_rules_are_cut_by_what_their_rules_cost(void **state)
{
    enum { RULES = 16, INSTANT_NS = 125 };
    world_t *w = *state;
    make_schedules(w, RULES - 1);
    pass(w, 61000000);
    size_t first = propose_until_done(w);
    assert_true(first > 0 && first <= LIMIT_RULE_WORK_US * 1000 / (RULES * INSTANT_NS) + 1);
}

/* Of both rules together, up to a time in seconds: each tells its own, and every 70 minutes they
 * have one instant. */
static uint64_t tens_and_sevens(int64_t upto)
{
    return (uint64_t)(upto / 600 + upto / 420 - upto / 4200);
}

static void a_year_of_ten_minutes_beside_seven_is_decided_at_once_and_counted_exactly(void **state)
{
    static char *const sevens[] = { "@every 7m from 1970-01-01T00:00:00Z" };
    world_t *w = *state;
    Pawl__V1__ScheduleInfo info =
        *put_schedule(w, (plan_spec_t){ .rule = "*/10 * * * *",
                                        .mode = PAWL__V1__MODE__MODE_NORMAL,
                                        .also = (char **)(uintptr_t)sevens,
                                        .also_n = 1 });
    uint8_t uid[16];
    memcpy(uid, info.uid.data, 16);
    info.uid.data = uid;
    int64_t from = info.cursor_us / 1000000;
    pass(w, INT64_C(365) * 86400 * 1000000);
    int64_t upto = w->wall_us / 1000000;
    const Pawl__V1__ProposalAnswer *answer = propose(w, &info, info.cursor_us);
    assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE);
    assert_int_equal(answer->retry_us, 0);
    assert_int_equal(answer->fired + answer->skipped,
                     tens_and_sevens(upto) - tens_and_sevens(from));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_of_very_many_is_cut_and_each_instant_fires_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(unions_of_many_rules_are_cut_by_what_their_rules_cost,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_year_of_ten_minutes_beside_seven_is_decided_at_once_and_counted_exactly, setup,
            teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

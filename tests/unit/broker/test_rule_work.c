/* SPDX-License-Identifier: Apache-2.0
 * One request with very many proposals: a batch does its part, the rest is asked for again. */
#include "tests/unit/broker/core_world.h"

enum { SCHEDULES = 5000 };

static Pawl__V1__ScheduleInfo infos[SCHEDULES];
static uint8_t uids[SCHEDULES][16];

static void make_schedules(world_t *w)
{
    for (int i = 0; i < SCHEDULES; i++) {
        char name[24];
        snprintf(name, sizeof name, "s-%d", i);
        const Pawl__V1__ScheduleInfo *info = put_schedule(
            w, (plan_spec_t){
                   .name = name, .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_NORMAL });
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
        assert_int_equal(answer->next_us, w->wall_us);
        assert_int_equal(answer->cursor_us, infos[of_item[i]].cursor_us);
    }
    return now;
}

static void a_request_of_very_many_is_cut_and_each_instant_fires_once(void **state)
{
    static bool fired[SCHEDULES];
    world_t *w = *state;
    make_schedules(w);
    pass(w, 61000000);
    size_t done = 0, requests = 0;
    while (done < SCHEDULES) {
        size_t now = propose_all(w, fired);
        assert_true(now > 0 && now <= LIMIT_RULE_WORK_US); /* a microsecond each, at least */
        done += now;
        requests++;
    }
    assert_true(requests > 2);
    assert_int_equal(COUNT(w, WAITING) + COUNT(w, RUNNING), SCHEDULES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_of_very_many_is_cut_and_each_instant_fires_once,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Exclusive tasks: nobody else gets one until a margin after the lease, and what comes of a lost
 * attempt then does not count. */
#include "tests/unit/broker/core_world.h"

enum { CLIENT = 1, FIRST = 2, OTHER = 3 };
static const int64_t LEASE_US = 30000000, MARGIN_US = 7500000;

static void a_lost_one_waits_a_margin_longer_before_another_gets_it(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease = NULL;
    hello(w, FIRST, "web-1", 1, 2);
    uint64_t token = leased(w, FIRST, id_at(w, 1), (spec_t){ .exclusive = true });
    leased(w, FIRST, id_at(w, 2), (spec_t){ 0 });
    hello(w, OTHER, "web-2", 2, 4);
    is_lost(w, FIRST);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 1); /* the usual one, at once */
    assert_memory_equal(lease->id.data, id_at(w, 2).at, 16);
    assert_int_equal(report(w, OTHER, id_at(w, 2), lease->token, DONE), VERDICT(DONE));
    later(w, MARGIN_US - 1);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 0);
    later(w, 1);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 1);
    assert_memory_equal(lease->id.data, id_at(w, 1).at, 16);
    assert_true(lease->token > token);
    assert_int_equal(lease->attempt, 1); /* not counted */
}

static void what_it_says_within_the_margin_counts_and_afterwards_does_not(void **state)
{
    world_t *w = *state;
    hello(w, FIRST, "web-1", 1, 2);
    submit(w, CLIENT, id_at(w, 1), (spec_t){ .exclusive = true });
    submit(w, CLIENT, id_at(w, 2), (spec_t){ .exclusive = true });
    uint64_t token = (UINT64_C(1) << 48) + 1;
    is_lost(w, FIRST);
    hello(w, FIRST, "web-1", 1, 0);
    assert_int_equal(report(w, FIRST, id_at(w, 1), token, DONE), VERDICT(DONE));
    is_lost(w, FIRST);
    later(w, MARGIN_US);
    assert_int_equal(COUNT(w, WAITING), 1);
    hello(w, FIRST, "web-1", 1, 0);
    assert_int_equal(report(w, FIRST, id_at(w, 2), token, DONE), VERDICT(LATE));
    assert_int_equal(COUNT(w, WAITING), 1);
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_broker_that_was_away_gives_it_lease_and_margin(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease = NULL;
    hello(w, FIRST, "web-1", 1, 1);
    leased(w, FIRST, id_at(w, 1), (spec_t){ .exclusive = true });
    core_close(&w->core);
    pass(w, 10 * LEASE_US);
    open_core(w);
    tick(w);
    hello(w, OTHER, "web-2", 2, 4);
    later(w, LEASE_US);
    later(w, MARGIN_US - 1);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 0);
    later(w, 1);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 1);
}

static void an_executor_that_leaves_in_order_has_stopped_it(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease = NULL;
    hello(w, FIRST, "web-1", 1, 1);
    leased(w, FIRST, id_at(w, 1), (spec_t){ .exclusive = true });
    hello(w, OTHER, "web-2", 2, 4);
    says_bye(w, FIRST);
    assert_int_equal(leases_of(w, OTHER, &lease, 1), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_lost_one_waits_a_margin_longer_before_another_gets_it),
        TEST(what_it_says_within_the_margin_counts_and_afterwards_does_not),
        TEST(a_broker_that_was_away_gives_it_lease_and_margin),
        TEST(an_executor_that_leaves_in_order_has_stopped_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The faults of the store in memory: commits that are refused or unknown, a full map, damage. */
#include "tests/unit/broker/store_world.h"

static void a_refused_commit_changes_nothing(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_ids, "a", "1");
    memstore_faults(store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    assert_int_equal(store_commit(store), ERR_STORE_FULL);
    begin(state);
    assert_missing(store, TABLE_ids, "a");
    put(store, TABLE_ids, "a", "1");
    commit(store);
}

static void an_unknown_commit_is_there_or_not_after_the_crash(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_ids, "a", "1");
    memstore_faults(store)->next_commit = MEMSTORE_COMMIT_APPLIED_UNKNOWN;
    assert_int_equal(store_commit(store), ERR_STORE_IO);
    assert_int_equal(store_begin(store), ERR_STORE_IO);
    memstore_crash(store);
    begin(state);
    assert_value(store, TABLE_ids, "a", "1");
    put(store, TABLE_ids, "b", "1");
    memstore_faults(store)->next_commit = MEMSTORE_COMMIT_LOST_UNKNOWN;
    assert_int_equal(store_commit(store), ERR_STORE_IO);
    memstore_crash(store);
    begin(state);
    assert_missing(store, TABLE_ids, "b");
    memstore_crash(store);
}

static bool map_is_full(void *arg, table_t table)
{
    return table == *(table_t *)arg;
}

static void a_put_can_be_told_to_find_the_map_full(void **state)
{
    store_t *store = begin(state);
    table_t full = TABLE_run;
    memstore_faults(store)->on_put = map_is_full;
    memstore_faults(store)->arg = &full;
    put(store, TABLE_ids, "a", "1");
    assert_int_equal(store_put(store, TABLE_run, T("a"), T("1"), 0), ERR_STORE_FULL);
    assert_int_equal(store_put(store, TABLE_ids, T("b"), T("1"), 0), ERR_STORE_FULL);
    assert_int_equal(store_commit(store), ERR_STORE_FULL);
    assert_int_equal(memstore_rows(store, TABLE_ids), 0);
}

static void a_clone_goes_its_own_way_and_comparing_finds_the_difference(void **state)
{
    store_t *store = begin(state);
    char difference[80] = "";
    put(store, TABLE_ids, "a", "1");
    put(store, TABLE_ready, "r", "");
    commit(store);
    store_t *clone = memstore_clone(store);
    assert_true(store_same(store, clone, difference, sizeof difference));
    assert_true(memstore_hash(store) == memstore_hash(clone));
    assert_int_equal(store_begin(clone), ERR_OK);
    put(clone, TABLE_ids, "a", "2");
    assert_int_equal(store_commit(clone), ERR_OK);
    assert_false(store_same(store, clone, difference, sizeof difference));
    assert_string_equal(difference, "ids has two values: 61");
    assert_true(memstore_hash(store) != memstore_hash(clone));
    begin(state);
    assert_value(store, TABLE_ids, "a", "1");
    put(store, TABLE_ids, "a", "2");
    commit(store);
    assert_true(store_same(store, clone, difference, sizeof difference));
    assert_int_equal(store_begin(clone), ERR_OK);
    assert_int_equal(store_del(clone, TABLE_ready, T("r")), ERR_OK);
    assert_int_equal(store_commit(clone), ERR_OK);
    assert_false(store_same(store, clone, difference, sizeof difference));
    assert_string_equal(difference, "ready only in the first: 72");
    store_close(&clone);
}

static void damage_is_found_by_the_next_read(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_ids, "a", "value");
    commit(store);
    store_view_t *older;
    slice_t value;
    assert_int_equal(store_view_open(store, &older), ERR_OK);
    assert_true(memstore_damage(store, TABLE_ids, T("a"), 3, 0x10));
    assert_false(memstore_damage(store, TABLE_ids, T("b"), 3, 0x10));
    assert_corrupt(state, TABLE_ids, "a");
    assert_int_equal(store_view_get(older, TABLE_ids, T("a"), &value), ERR_OK);
    store_view_close(&older);
    assert_true(memstore_damage(store, TABLE_ids, T("a"), 3, 0x10));
    begin(state);
    assert_value(store, TABLE_ids, "a", "value");
    store_abort(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY(a_refused_commit_changes_nothing),
        MEMORY(an_unknown_commit_is_there_or_not_after_the_crash),
        MEMORY(a_put_can_be_told_to_find_the_map_full),
        MEMORY(a_clone_goes_its_own_way_and_comparing_finds_the_difference),
        MEMORY(damage_is_found_by_the_next_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

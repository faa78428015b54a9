/* SPDX-License-Identifier: Apache-2.0
 * Every behaviour of broker/store/store.h, on both implementations. */
#include "tests/unit/broker/store_world.h"

static void what_was_put_is_got_and_survives_its_commit(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_state, "k", "one");
    put(store, TABLE_state, "k", "another");
    put(store, TABLE_ready, "k", "");
    assert_value(store, TABLE_state, "k", "another");
    next(state);
    assert_value(store, TABLE_state, "k", "another");
    assert_value(store, TABLE_ready, "k", "");
    assert_missing(store, TABLE_run, "k");
    assert_missing(store, TABLE_state, "kk");
    store_abort(store);
}

static void an_empty_value_of_a_checked_table_is_kept(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_state, "k", "");
    assert_value(store, TABLE_state, "k", "");
    commit(store);
}

static void a_deleted_row_is_gone_and_a_missing_one_says_so(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_ids, "a", "1");
    next(state);
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_OK);
    assert_missing(store, TABLE_ids, "a");
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_NOT_FOUND);
    next(state);
    assert_missing(store, TABLE_ids, "a");
    store_abort(store);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_ids, "a", "1");
    next(state);
    put(store, TABLE_ids, "a", "2");
    put(store, TABLE_ids, "b", "2");
    put(store, TABLE_spec, "s", "2");
    store_abort(store);
    store_abort(store);
    begin(state);
    assert_value(store, TABLE_ids, "a", "1");
    assert_missing(store, TABLE_ids, "b");
    assert_missing(store, TABLE_spec, "s");
    store_abort(store);
}

static void a_new_row_is_refused_where_one_is_and_nothing_is_written(void **state)
{
    store_t *store = begin(state);
    assert_int_equal(store_put(store, TABLE_ids, T("a"), T("1"), STORE_NEW), ERR_OK);
    assert_int_equal(store_put(store, TABLE_ids, T("a"), T("2"), STORE_NEW), ERR_EXISTS);
    assert_int_equal(store_put(store, TABLE_spec, T("b"), T("1"), STORE_NEW), ERR_OK);
    assert_int_equal(store_put(store, TABLE_spec, T("b"), T("2"), STORE_NEW), ERR_EXISTS);
    assert_int_equal(store_put(store, TABLE_spec, T("a"), T("3"), STORE_NEW), ERR_OK);
    assert_int_equal(store_put(store, TABLE_spec, T("a"), T("4"), STORE_NEW), ERR_EXISTS);
    assert_int_equal(store->writes, 3);
    assert_value(store, TABLE_ids, "a", "1");
    assert_value(store, TABLE_spec, "a", "3");
    assert_value(store, TABLE_spec, "b", "1");
    commit(store);
}

static void assert_seek(store_t *store, const char *from, bool down, const char *expected)
{
    slice_t key, value;
    err_t err = store_seek(store, TABLE_timer, T(from), down, &key, &value);
    assert_int_equal(err, expected ? ERR_OK : ERR_NOT_FOUND);
    if (expected) assert_true(slice_equal(key, T(expected)));
}

static void seek_finds_the_nearest_row_either_way(void **state)
{
    store_t *store = begin(state);
    assert_seek(store, "m", false, NULL);
    assert_seek(store, "m", true, NULL);
    put(store, TABLE_timer, "b", "");
    put(store, TABLE_timer, "d", "");
    put(store, TABLE_timer, "dd", "");
    assert_seek(store, "a", false, "b");
    assert_seek(store, "b", false, "b");
    assert_seek(store, "c", false, "d");
    assert_seek(store, "da", false, "dd");
    assert_seek(store, "e", false, NULL);
    assert_seek(store, "a", true, NULL);
    assert_seek(store, "b", true, "b");
    assert_seek(store, "c", true, "b");
    assert_seek(store, "d", true, "d");
    assert_seek(store, "z", true, "dd");
    assert_seek(store, "", false, "b");
    assert_seek(store, "", true, "dd");
    assert_int_equal(store_del(store, TABLE_timer, T("d")), ERR_OK);
    assert_seek(store, "c", false, "dd");
    assert_seek(store, "d", true, "b");
    commit(store);
}

static void assert_scan(store_view_t *view, table_t table, const char *from, bool down,
                        const char *expected)
{
    char got[64] = "";
    store_scan_t *scan;
    slice_t key, value;
    assert_int_equal(store_scan_open(view, table, T(from), down, &scan), ERR_OK);
    while (store_scan_next(scan, &key, &value) == ERR_OK) {
        strncat(got, (const char *)key.at, key.len);
        strncat(got, (const char *)value.at, value.len);
        strcat(got, " ");
    }
    assert_int_equal(store_scan_next(scan, &key, &value), ERR_NOT_FOUND);
    store_scan_close(&scan);
    assert_null(scan);
    assert_string_equal(got, expected);
}

static void a_view_sees_what_was_committed_before_it_and_no_more(void **state)
{
    store_t *store = begin(state);
    store_view_t *view;
    slice_t value;
    put(store, TABLE_lane, "a", "1");
    put(store, TABLE_lane, "c", "3");
    next(state);
    put(store, TABLE_lane, "b", "2");
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_int_equal(store_del(store, TABLE_lane, T("a")), ERR_OK);
    next(state);
    put(store, TABLE_lane, "c", "9");
    commit(store);
    assert_int_equal(store_view_get(view, TABLE_lane, T("a"), &value), ERR_OK);
    assert_true(slice_equal(value, T("1")));
    assert_int_equal(store_view_get(view, TABLE_lane, T("b"), &value), ERR_NOT_FOUND);
    assert_scan(view, TABLE_lane, "", false, "a1 c3 ");
    store_view_close(&view);
    assert_null(view);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_scan(view, TABLE_lane, "", false, "b2 c9 ");
    store_view_close(&view);
}

static void scans_run_both_ways_from_any_key(void **state)
{
    store_t *store = begin(state);
    store_view_t *view;
    put(store, TABLE_lane, "b", "1");
    put(store, TABLE_lane, "d", "2");
    put(store, TABLE_lane, "f", "3");
    put(store, TABLE_names, "c", "x");
    commit(store);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_scan(view, TABLE_lane, "", false, "b1 d2 f3 ");
    assert_scan(view, TABLE_lane, "c", false, "d2 f3 ");
    assert_scan(view, TABLE_lane, "d", false, "d2 f3 ");
    assert_scan(view, TABLE_lane, "g", false, "");
    assert_scan(view, TABLE_lane, "", true, "f3 d2 b1 ");
    assert_scan(view, TABLE_lane, "g", true, "f3 d2 b1 ");
    assert_scan(view, TABLE_lane, "e", true, "d2 b1 ");
    assert_scan(view, TABLE_lane, "d", true, "d2 b1 ");
    assert_scan(view, TABLE_lane, "a", true, "");
    assert_scan(view, TABLE_park, "a", true, "");
    assert_scan(view, TABLE_park, "a", false, "");
    store_view_close(&view);
}

/* Stores `raw` under `key` as it is, past the checksums. */
static void put_raw(store_t *store, table_t table, slice_t key, slice_t raw)
{
    uint8_t *room;
    assert_int_equal(store->ops->put(store, table, key, raw.len, 0, &room), ERR_OK);
    be_put_bytes(room, raw.at, raw.len);
}

static void any_flipped_bit_of_a_row_is_found(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_run, "key", "value");
    slice_t raw;
    uint8_t bytes[9];
    assert_int_equal(store->ops->get(store, TABLE_run, T("key"), &raw), ERR_OK);
    assert_int_equal(raw.len, sizeof bytes);
    memcpy(bytes, raw.at, sizeof bytes);
    store_abort(store);
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        begin(state);
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
        put_raw(store, TABLE_run, T("key"), slice(bytes, sizeof bytes));
        bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ 1u << bit % 8);
        slice_t value;
        assert_int_equal(store_get(store, TABLE_run, T("key"), &value), ERR_CORRUPT);
        store_abort(store);
    }
    begin(state);
    put_raw(store, TABLE_run, T("key"), slice(bytes, 3)); /* cut off inside the checksum */
    put_raw(store, TABLE_timer, T("key"), slice(bytes, 1));
    commit(store);
    assert_corrupt(state, TABLE_run, "key");
    assert_corrupt(state, TABLE_timer, "key");
}

static void a_row_in_another_rows_place_or_table_is_found(void **state)
{
    store_t *store = begin(state);
    put(store, TABLE_run, "key", "value");
    slice_t raw;
    uint8_t bytes[9];
    assert_int_equal(store->ops->get(store, TABLE_run, T("key"), &raw), ERR_OK);
    memcpy(bytes, raw.at, sizeof bytes);
    put_raw(store, TABLE_run, T("kez"), slice(bytes, sizeof bytes));
    put_raw(store, TABLE_gate, T("key"), slice(bytes, sizeof bytes));
    commit(store);
    assert_corrupt(state, TABLE_run, "kez");
    assert_corrupt(state, TABLE_gate, "key");
    begin(state);
    assert_value(store, TABLE_run, "key", "value");
    store_abort(store);
}

static void the_write_set_holds_puts_and_deletes_in_order(void **state)
{
    store_t *store = ((fixture_t *)*state)->store;
    store->keep_write_set = store->hash_writes = true;
    begin(state);
    put(store, TABLE_ids, "a", "xy");
    put(store, TABLE_ready, "bb", "");
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_OK);
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_NOT_FOUND);
    assert_missing(store, TABLE_ids, "a");
    static const uint8_t expected[] = "\2\0\1a\0\0\0\2xy"
                                      "\6\0\2bb\0\0\0\0"
                                      "\2\0\1a\377\377\377\377";
    assert_int_equal(store->writes, 3);
    assert_int_equal(store->write_set.len, sizeof expected - 1);
    assert_memory_equal(store->write_set.at, expected, sizeof expected - 1);
    assert_true(store->write_hash == hash64(expected, sizeof expected - 1));
    next(state);
    assert_int_equal(store->write_set.len, 0);
    assert_int_equal(store->writes, 0);
    store_abort(store);
}

static void usage_grows_with_rows_and_shrinks_with_deletes(void **state)
{
    store_t *store = ((fixture_t *)*state)->store;
    store_usage_t before, full, after;
    store_usage(store, &before);
    assert_int_equal(before.map_bytes, 64 << 20);
    begin(state);
    uint8_t key[8], value[1000] = { 0 };
    for (unsigned i = 0; i < 2000; i++) {
        be_put_u64(key, i);
        assert_int_equal(store_put(store, TABLE_spec, slice(key, 8), slice(value, 1000), 0),
                         ERR_OK);
    }
    commit(store);
    store_usage(store, &full);
    assert_true(full.used_bytes > before.used_bytes + 2000 * 1000);
    assert_true(full.used_bytes < before.used_bytes + 2000 * 1500);
    begin(state);
    for (unsigned i = 0; i < 2000; i++) {
        be_put_u64(key, i);
        assert_int_equal(store_del(store, TABLE_spec, slice(key, 8)), ERR_OK);
    }
    commit(store);
    store_usage(store, &after);
    assert_true(after.used_bytes < before.used_bytes + 64 * 4096);
}

static void a_full_store_refuses_rows_cleanly_and_still_deletes(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    if (self->lmdb) remove_folder(self->folder);
    if (self->lmdb) assert_int_equal(mkdir(self->folder, 0700), 0);
    open_with(self, 2 << 20);
    store_t *store = self->store;
    unsigned rows = 0;
    while (add_row(store, rows))
        assert_true(++rows < 4000);
    assert_true(rows > 1000);
    assert_false(add_row(store, rows));
    begin(state); /* all but a few go in one transaction */
    for (unsigned i = 5; i < rows; i++) {
        uint8_t key[8];
        be_put_u64(key, i);
        assert_int_equal(store_del(store, TABLE_spec, slice(key, 8)), ERR_OK);
    }
    commit(store);
    assert_true(add_row(store, rows)); /* service is back by itself */
    store_view_t *view;
    slice_t value;
    uint8_t key[8];
    be_put_u64(key, 4);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_int_equal(store_view_get(view, TABLE_spec, slice(key, 8), &value), ERR_OK);
    store_view_close(&view);
}

static void a_transaction_too_large_is_refused_whole(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    if (self->lmdb) remove_folder(self->folder);
    if (self->lmdb) assert_int_equal(mkdir(self->folder, 0700), 0);
    open_with(self, 2 << 20);
    store_t *store = begin(state);
    uint8_t key[8], value[1000] = { 0 };
    err_t err = ERR_OK;
    for (unsigned i = 0; i < 8000 && !err; i++) {
        be_put_u64(key, i);
        err = store_put(store, TABLE_spec, slice(key, 8), slice(value, sizeof value), 0);
    }
    assert_int_equal(err, ERR_STORE_FULL);
    assert_int_equal(store_put(store, TABLE_ids, T("a"), T("1"), 0), ERR_STORE_FULL);
    assert_int_equal(store_commit(store), ERR_STORE_FULL);
    store_usage_t usage;
    store_usage(store, &usage);
    assert_true(usage.used_bytes < 64 * 4096);
    assert_true(add_row(store, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_was_put_is_got_and_survives_its_commit),
        BOTH(an_empty_value_of_a_checked_table_is_kept),
        BOTH(a_deleted_row_is_gone_and_a_missing_one_says_so),
        BOTH(an_aborted_transaction_leaves_nothing),
        BOTH(a_new_row_is_refused_where_one_is_and_nothing_is_written),
        BOTH(seek_finds_the_nearest_row_either_way),
        BOTH(a_view_sees_what_was_committed_before_it_and_no_more),
        BOTH(scans_run_both_ways_from_any_key),
        BOTH(any_flipped_bit_of_a_row_is_found),
        BOTH(a_row_in_another_rows_place_or_table_is_found),
        BOTH(the_write_set_holds_puts_and_deletes_in_order),
        BOTH(usage_grows_with_rows_and_shrinks_with_deletes),
        BOTH(a_full_store_refuses_rows_cleanly_and_still_deletes),
        BOTH(a_transaction_too_large_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Every behaviour of broker/store/store.h, on both implementations; then what only one of them can
 * show: LMDB's lock, folder and full map, the memory store's faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/store/lmdb.h"
#include "broker/store/store.h"
#include "tests/sim/memstore.h"

typedef struct fixture {
    bool lmdb;
    char folder[64];
    store_t *store;
} fixture_t;

static slice_t T(const char *text)
{
    return slice_text(text);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = { "data.mdb", "lock.mdb", "lock.pawl", "new.mdb",
                                         "new.mdb-lock" };
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/s", folder);
    rmdir(path);
    rmdir(folder);
}

static const char *store_path(const fixture_t *self)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/s", self->folder);
    return path;
}

static void open_with(fixture_t *self, uint64_t map_bytes)
{
    if (self->lmdb) {
        assert_int_equal(store_open(&self->store, store_path(self), map_bytes, 0, NULL), ERR_OK);
        return;
    }
    self->store = memstore_new();
    memstore_faults(self->store)->map_bytes = map_bytes;
}

static int set_up(void **state)
{
    fixture_t *self = mem_new(sizeof *self);
    self->lmdb = *state != NULL;
    strcpy(self->folder, "/tmp/pawl-store-XXXXXX");
    if (self->lmdb && !mkdtemp(self->folder)) return -1;
    open_with(self, 64 << 20);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    if (self->lmdb) remove_folder(self->folder);
    free(self);
    return 0;
}

static store_t *begin(void **state)
{
    store_t *store = ((fixture_t *)*state)->store;
    assert_int_equal(store_begin(store), ERR_OK);
    return store;
}

static void put(store_t *store, table_t table, const char *key, const char *value)
{
    assert_int_equal(store_put(store, table, T(key), T(value), 0), ERR_OK);
}

static void assert_value(store_t *store, table_t table, const char *key, const char *expected)
{
    slice_t value;
    assert_int_equal(store_get(store, table, T(key), &value), ERR_OK);
    assert_true(slice_equal(value, T(expected)));
}

static void commit(store_t *store)
{
    assert_int_equal(store_commit(store), ERR_OK);
}

/* ---- both ------------------------------------------------------------------------------------ */

static void what_was_put_is_got_and_survives_its_commit(void **state)
{
    store_t *store = begin(state);
    slice_t value;
    put(store, TABLE_state, "k", "one");
    put(store, TABLE_state, "k", "another");
    put(store, TABLE_ready, "k", "");
    assert_value(store, TABLE_state, "k", "another");
    commit(store);
    begin(state);
    assert_value(store, TABLE_state, "k", "another");
    assert_value(store, TABLE_ready, "k", "");
    assert_int_equal(store_get(store, TABLE_run, T("k"), &value), ERR_NOT_FOUND);
    assert_int_equal(store_get(store, TABLE_state, T("kk"), &value), ERR_NOT_FOUND);
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
    slice_t value;
    put(store, TABLE_ids, "a", "1");
    commit(store);
    begin(state);
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_OK);
    assert_int_equal(store_get(store, TABLE_ids, T("a"), &value), ERR_NOT_FOUND);
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_NOT_FOUND);
    commit(store);
    begin(state);
    assert_int_equal(store_get(store, TABLE_ids, T("a"), &value), ERR_NOT_FOUND);
    store_abort(store);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    store_t *store = begin(state);
    slice_t value;
    put(store, TABLE_ids, "a", "1");
    commit(store);
    begin(state);
    put(store, TABLE_ids, "a", "2");
    put(store, TABLE_ids, "b", "2");
    put(store, TABLE_spec, "s", "2");
    store_abort(store);
    store_abort(store);
    begin(state);
    assert_value(store, TABLE_ids, "a", "1");
    assert_int_equal(store_get(store, TABLE_ids, T("b"), &value), ERR_NOT_FOUND);
    assert_int_equal(store_get(store, TABLE_spec, T("s"), &value), ERR_NOT_FOUND);
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
    commit(store);
    begin(state);
    put(store, TABLE_lane, "b", "2");
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_int_equal(store_del(store, TABLE_lane, T("a")), ERR_OK);
    commit(store);
    begin(state);
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

static void assert_corrupt(void **state, table_t table, const char *key)
{
    store_t *store = begin(state);
    store_view_t *view;
    store_scan_t *scan;
    slice_t found, value;
    assert_int_equal(store_get(store, table, T(key), &value), ERR_CORRUPT);
    assert_int_equal(store_seek(store, table, T(key), false, &found, &value), ERR_CORRUPT);
    store_abort(store);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    assert_int_equal(store_view_get(view, table, T(key), &value), ERR_CORRUPT);
    assert_int_equal(store_scan_open(view, table, T(key), false, &scan), ERR_OK);
    assert_int_equal(store_scan_next(scan, &found, &value), ERR_CORRUPT);
    store_scan_close(&scan);
    store_view_close(&view);
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
    slice_t value;
    put(store, TABLE_ids, "a", "xy");
    put(store, TABLE_ready, "bb", "");
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_OK);
    assert_int_equal(store_del(store, TABLE_ids, T("a")), ERR_NOT_FOUND);
    assert_int_equal(store_get(store, TABLE_ids, T("a"), &value), ERR_NOT_FOUND);
    static const uint8_t expected[] = "\2\0\1a\0\0\0\2xy"
                                      "\6\0\2bb\0\0\0\0"
                                      "\2\0\1a\377\377\377\377";
    assert_int_equal(store->writes, 3);
    assert_int_equal(store->write_set.len, sizeof expected - 1);
    assert_memory_equal(store->write_set.at, expected, sizeof expected - 1);
    assert_true(store->write_hash == hash64(expected, sizeof expected - 1));
    commit(store);
    begin(state);
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

/* One row of 1,000 bytes under key `i`; true when it is in. */
static bool add_row(store_t *store, unsigned i)
{
    uint8_t key[8], value[1000] = { 0 };
    be_put_u64(key, i);
    assert_int_equal(store_begin(store), ERR_OK);
    err_t err = store_put(store, TABLE_spec, slice(key, 8), slice(value, sizeof value), 0);
    err_t end = store_commit(store);
    assert_int_equal(end, err);
    assert_true(err == ERR_OK || err == ERR_STORE_FULL);
    return err == ERR_OK;
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

/* ---- both against a plain model -------------------------------------------------------------- */

enum { MODEL_KEYS = 300, MODEL_TABLES = 4, MODEL_STEPS = 20000 };

static const table_t model_tables[MODEL_TABLES] = { TABLE_spec, TABLE_state, TABLE_timer,
                                                    TABLE_jrn };

/* Rows by table and key number; key numbers are the order. The seed and length give the value. */
typedef struct model {
    struct {
        bool there;
        uint32_t seed;
        size_t len;
    } rows[MODEL_TABLES][MODEL_KEYS];
} model_t;

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static slice_t model_key(unsigned number, uint8_t to[KV_KEY_MAX])
{
    size_t padding = number * 37 % 211;
    memset(be_put_u16(to, (uint16_t)number), 'k', padding);
    return slice(to, 2 + padding);
}

static slice_t model_value(uint32_t seed, size_t len, uint8_t to[6000])
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(seed >> i % 4 * 8) ^ (uint8_t)i;
    return slice(to, len);
}

static void assert_model_row(const model_t *model, unsigned table, unsigned number, err_t err,
                             slice_t value)
{
    uint8_t expected[6000];
    assert_int_equal(err, model->rows[table][number].there ? ERR_OK : ERR_NOT_FOUND);
    if (!err)
        assert_true(slice_equal(value, model_value(model->rows[table][number].seed,
                                                   model->rows[table][number].len, expected)));
}

static void assert_model_scan(const model_t *model, store_view_t *view, unsigned table,
                              unsigned from, bool down)
{
    uint8_t bytes[KV_KEY_MAX];
    store_scan_t *scan;
    slice_t key, value;
    assert_int_equal(
        store_scan_open(view, model_tables[table], model_key(from, bytes), down, &scan), ERR_OK);
    for (unsigned i = from; i < MODEL_KEYS; i = down ? i - 1 : i + 1) {
        if (!model->rows[table][i].there) continue;
        assert_int_equal(store_scan_next(scan, &key, &value), ERR_OK);
        assert_true(slice_equal(key, model_key(i, bytes)));
        assert_model_row(model, table, i, ERR_OK, value);
    }
    assert_int_equal(store_scan_next(scan, &key, &value), ERR_NOT_FOUND);
    store_scan_close(&scan);
}

static void assert_model_seek(const model_t *model, store_t *store, unsigned table, unsigned from,
                              bool down)
{
    uint8_t bytes[KV_KEY_MAX];
    slice_t key, value;
    err_t err = store_seek(store, model_tables[table], model_key(from, bytes), down, &key, &value);
    unsigned i = from;
    while (i < MODEL_KEYS && !model->rows[table][i].there)
        i = down ? i - 1 : i + 1;
    if (i >= MODEL_KEYS) {
        assert_int_equal(err, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(err, ERR_OK);
    assert_true(slice_equal(key, model_key(i, bytes)));
    assert_model_row(model, table, i, ERR_OK, value);
}

static void model_write(model_t *model, store_t *store, uint64_t *random, unsigned table,
                        unsigned number)
{
    uint8_t bytes[KV_KEY_MAX], content[6000];
    slice_t key = model_key(number, bytes);
    bool there = model->rows[table][number].there;
    if (draw(random) % 3 == 0) {
        err_t err = store_del(store, model_tables[table], key);
        assert_int_equal(err, there ? ERR_OK : ERR_NOT_FOUND);
        model->rows[table][number].there = false;
        return;
    }
    uint32_t seed = (uint32_t)draw(random);
    size_t len = draw(random) % 16 == 0 ? draw(random) % 6000 : draw(random) % 400;
    if (!table_checked(model_tables[table])) len = 0;
    unsigned flags = draw(random) % 2 ? STORE_NEW : 0;
    slice_t value = model_value(seed, len, content);
    err_t err = store_put(store, model_tables[table], key, value, flags);
    assert_int_equal(err, flags && there ? ERR_EXISTS : ERR_OK);
    if (err) return;
    model->rows[table][number].there = true;
    model->rows[table][number].seed = seed;
    model->rows[table][number].len = len;
}

static void run_model(void **state, uint64_t seed)
{
    store_t *store = ((fixture_t *)*state)->store;
    model_t *committed = mem_new(sizeof *committed), *working = mem_new(sizeof *working);
    model_t *seen = mem_new(sizeof *seen); /* by `view` */
    store_view_t *view = NULL;
    uint64_t random = seed;
    assert_int_equal(store_begin(store), ERR_OK);
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        unsigned table = (unsigned)(draw(&random) % MODEL_TABLES);
        unsigned number = (unsigned)(draw(&random) % MODEL_KEYS);
        uint8_t bytes[KV_KEY_MAX];
        slice_t value = { 0 };
        switch (draw(&random) % 32) {
        case 0:
            if (draw(&random) % 3 == 0) {
                store_abort(store);
                *working = *committed;
            } else {
                commit(store);
                *committed = *working;
            }
            assert_int_equal(store_begin(store), ERR_OK);
            break;
        case 1:
            store_view_close(&view);
            assert_int_equal(store_view_open(store, &view), ERR_OK);
            *seen = *committed;
            break;
        case 2:
            if (view) assert_model_scan(seen, view, table, number, draw(&random) % 2);
            break;
        case 3: {
            err_t err =
                view ? store_view_get(view, model_tables[table], model_key(number, bytes), &value)
                     : ERR_NOT_FOUND;
            if (view) assert_model_row(seen, table, number, err, value);
            break;
        }
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
            assert_model_seek(working, store, table, number, draw(&random) % 2);
            break;
        case 9:
        case 10:
        case 11: {
            err_t err = store_get(store, model_tables[table], model_key(number, bytes), &value);
            assert_model_row(working, table, number, err, value);
            break;
        }
        default:
            model_write(working, store, &random, table, number);
        }
    }
    commit(store);
    store_view_close(&view);
    assert_int_equal(store_view_open(store, &view), ERR_OK);
    for (unsigned table = 0; table < MODEL_TABLES; table++) {
        assert_model_scan(working, view, table, 0, false);
        assert_model_scan(working, view, table, MODEL_KEYS - 1, true);
    }
    store_view_close(&view);
    free(committed);
    free(working);
    free(seen);
}

static void random_operations_agree_with_a_plain_array(void **state)
{
    const char *chosen = getenv("PAWL_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : UINT64_C(0x9E3779B97F4A7C15);
    print_message("seed %#llx\n", (unsigned long long)seed);
    run_model(state, seed);
}

/* ---- LMDB only ------------------------------------------------------------------------------- */

static void a_second_process_is_told_who_has_the_store(void **state)
{
    fixture_t *self = *state;
    pid_t owner = getpid();
    pid_t child = fork();
    if (child == 0) {
        store_t *second;
        int64_t holder = 0;
        err_t err = store_open(&second, store_path(self), 64 << 20, 30000, &holder);
        _exit(err == ERR_STORE_LOCKED && holder == owner && !second ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_lock_falls_to_whoever_waits_for_it(void **state)
{
    fixture_t *self = *state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    store_close(&self->store);
    pid_t child = fork();
    if (child == 0) {
        store_t *first = NULL;
        err_t err = store_open(&first, store_path(self), 64 << 20, 0, NULL);
        if (write(pipes[1], &err, sizeof err) != sizeof err) _exit(1);
        close(pipes[1]);
        usleep(50000); /* the parent is in its wait meanwhile; it passes whenever this ends */
        _exit(0);      /* dies with the store open */
    }
    err_t err;
    assert_int_equal(read(pipes[0], &err, sizeof err), sizeof err);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(store_open(&self->store, store_path(self), 64 << 20, 20 * 1000000, NULL),
                     ERR_OK);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(pipes[0]);
    close(pipes[1]);
}

static void rows_are_there_after_closing_and_opening(void **state)
{
    fixture_t *self = *state;
    store_t *store = begin(state);
    put(store, TABLE_meta, "m", "1");
    commit(store);
    begin(state);
    put(store, TABLE_meta, "m", "2");
    store_close(&self->store);
    open_with(self, 64 << 20);
    begin(state);
    assert_value(self->store, TABLE_meta, "m", "1");
    store_abort(self->store);
}

static void a_half_made_store_is_made_anew(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    char path[128];
    snprintf(path, sizeof path, "%s/s/data.mdb", self->folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/s/new.mdb", self->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "torn", 4), 4);
    close(fd);
    open_with(self, 64 << 20);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(add_row(self->store, 1));
}

static void the_folder_is_private_and_no_child_gets_the_file(void **state)
{
    fixture_t *self = *state;
    struct stat folder;
    assert_int_equal(stat(store_path(self), &folder), 0);
    assert_int_equal(folder.st_mode & 07777, 0700);
    char path[64], target[256];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        if (len <= 0) continue;
        target[len] = '\0';
        if (strstr(target, self->folder)) assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
}

static void a_file_that_is_no_store_is_refused(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    char path[128];
    snprintf(path, sizeof path, "%s/s/data.mdb", self->folder);
    int fd = open(path, O_WRONLY | O_TRUNC);
    uint8_t noise[8192];
    memset(noise, 0x5A, sizeof noise);
    assert_int_equal(write(fd, noise, sizeof noise), sizeof noise);
    close(fd);
    assert_int_equal(store_open(&self->store, store_path(self), 64 << 20, 0, NULL), ERR_CORRUPT);
    assert_null(self->store);
}

static void a_forgotten_view_shows_as_pages_held_back(void **state)
{
    fixture_t *self = *state;
    assert_true(add_row(self->store, 0));
    store_view_t *view;
    assert_int_equal(store_view_open(self->store, &view), ERR_OK);
    for (unsigned i = 0; i < 200; i++)
        assert_true(add_row(self->store, i % 4));
    kv_usage_t usage;
    kv_usage(lmdb_store_kv(self->store), &usage);
    assert_true(usage.held_bytes > 400 * 4096);
    assert_true(usage.oldest_view_us > 0);
    assert_true(usage.used_bytes <= usage.file_bytes);
    store_view_close(&view);
}

/* ---- the memory store's faults --------------------------------------------------------------- */

static void a_refused_commit_changes_nothing(void **state)
{
    store_t *store = begin(state);
    slice_t value;
    put(store, TABLE_ids, "a", "1");
    memstore_faults(store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    assert_int_equal(store_commit(store), ERR_STORE_FULL);
    begin(state);
    assert_int_equal(store_get(store, TABLE_ids, T("a"), &value), ERR_NOT_FOUND);
    put(store, TABLE_ids, "a", "1");
    commit(store);
}

static void an_unknown_commit_is_there_or_not_after_the_crash(void **state)
{
    store_t *store = begin(state);
    slice_t value;
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
    assert_int_equal(store_get(store, TABLE_ids, T("b"), &value), ERR_NOT_FOUND);
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

#define ON(where, backend, test)                                                                   \
    {                                                                                              \
        where ": " #test, test, set_up, tear_down, backend                                         \
    }
#define BOTH(test)   ON("memory", NULL, test), ON("lmdb", &lmdb_backend, test)
#define LMDB(test)   ON("lmdb", &lmdb_backend, test)
#define MEMORY(test) ON("memory", NULL, test)

int main(void)
{
    static int lmdb_backend;
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
        BOTH(random_operations_agree_with_a_plain_array),
        LMDB(a_second_process_is_told_who_has_the_store),
        LMDB(the_lock_falls_to_whoever_waits_for_it),
        LMDB(rows_are_there_after_closing_and_opening),
        LMDB(a_half_made_store_is_made_anew),
        LMDB(the_folder_is_private_and_no_child_gets_the_file),
        LMDB(a_file_that_is_no_store_is_refused),
        LMDB(a_forgotten_view_shows_as_pages_held_back),
        MEMORY(a_refused_commit_changes_nothing),
        MEMORY(an_unknown_commit_is_there_or_not_after_the_crash),
        MEMORY(a_put_can_be_told_to_find_the_map_full),
        MEMORY(a_clone_goes_its_own_way_and_comparing_finds_the_difference),
        MEMORY(damage_is_found_by_the_next_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * What kv adds to the broker's store, whose tests (tests/unit/broker/test_store*.c) cover the rest:
 * tables of anybody's choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/kv.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/pawl-kv-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = { "data.mdb", "lock.mdb", "lock.pawl" };
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static kv_t *open_with(const char *const *tables, unsigned count)
{
    kv_config_t config = {
        .path = folder, .tables = tables, .table_count = count, .map_bytes = 8 << 20
    };
    kv_t *kv;
    assert_int_equal(kv_open(&kv, &config, NULL), ERR_OK);
    return kv;
}

static void put(kv_t *kv, unsigned table, const char *key, const char *value)
{
    uint8_t *room;
    assert_int_equal(kv_put(kv, table, slice_text(key), strlen(value), KV_APPEND, &room), ERR_OK);
    memcpy(room, value, strlen(value));
}

static void assert_row(kv_t *kv, unsigned table, const char *key, const char *expected)
{
    slice_t value;
    assert_int_equal(kv_get(kv, table, slice_text(key), &value), ERR_OK);
    assert_true(slice_equal(value, slice_text(expected)));
}

static void a_version_that_knows_more_tables_finds_the_old_ones_and_new_empty_ones(void **state)
{
    (void)state;
    static const char *const before[] = { NULL, "chunks" };
    static const char *const after[] = { NULL, "chunks", NULL, "sizes" };
    kv_t *kv = open_with(before, ARRAY_LEN(before));
    assert_int_equal(kv_begin(kv), ERR_OK);
    put(kv, 1, "k", "value");
    assert_int_equal(kv_commit(kv), ERR_OK);
    kv_close(&kv);
    assert_null(kv);

    kv = open_with(after, ARRAY_LEN(after));
    assert_int_equal(kv_begin(kv), ERR_OK);
    assert_row(kv, 1, "k", "value");
    slice_t key, value;
    assert_int_equal(kv_seek(kv, 3, slice(NULL, 0), false, &key, &value), ERR_NOT_FOUND);
    put(kv, 3, "s", "1");
    assert_int_equal(kv_commit(kv), ERR_OK);
    kv_close(&kv);

    kv = open_with(before, ARRAY_LEN(before)); /* and the older one again */
    assert_int_equal(kv_begin(kv), ERR_OK);
    assert_row(kv, 1, "k", "value");
    kv_abort(kv);
    kv_close(&kv);
}

static void appending_out_of_order_puts_the_row_in_its_place(void **state)
{
    (void)state;
    static const char *const tables[] = { "only" };
    kv_t *kv = open_with(tables, 1);
    assert_int_equal(kv_begin(kv), ERR_OK);
    put(kv, 0, "b", "2");
    put(kv, 0, "d", "4");
    put(kv, 0, "a", "1");
    put(kv, 0, "c", "3");
    put(kv, 0, "b", "5");
    assert_int_equal(kv_commit(kv), ERR_OK);
    kv_view_t *view;
    kv_scan_t *scan;
    slice_t key, value;
    char got[32] = "";
    assert_int_equal(kv_view_open(kv, &view), ERR_OK);
    assert_int_equal(kv_scan_open(view, 0, slice(NULL, 0), false, &scan), ERR_OK);
    while (kv_scan_next(scan, &key, &value) == ERR_OK) {
        strncat(got, (const char *)key.at, key.len);
        strncat(got, (const char *)value.at, value.len);
    }
    assert_string_equal(got, "a1b5c3d4");
    kv_scan_close(&scan);
    kv_view_close(&view);
    kv_close(&kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_version_that_knows_more_tables_finds_the_old_ones_and_new_empty_ones, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(appending_out_of_order_puts_the_row_in_its_place, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

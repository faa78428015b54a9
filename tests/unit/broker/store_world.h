/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/store_world.h - a store of either implementation, LMDB in a folder of its own
 * or in memory, and words for what its tests do. */
#ifndef TESTS_UNIT_BROKER_STORE_WORLD_H
#define TESTS_UNIT_BROKER_STORE_WORLD_H

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

static inline slice_t T(const char *text)
{
    return slice_text(text);
}

static inline void remove_folder(const char *folder)
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

static inline const char *store_path(const fixture_t *self)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/s", self->folder);
    return path;
}

static inline void open_with(fixture_t *self, uint64_t map_bytes)
{
    if (self->lmdb) {
        assert_int_equal(store_open(&self->store, store_path(self), map_bytes, 0, NULL), ERR_OK);
        return;
    }
    self->store = memstore_new();
    memstore_faults(self->store)->map_bytes = map_bytes;
}

static inline int set_up(void **state)
{
    fixture_t *self = mem_new(sizeof *self);
    self->lmdb = *state != NULL;
    strcpy(self->folder, "/tmp/pawl-store-XXXXXX");
    if (self->lmdb && !mkdtemp(self->folder)) return -1;
    open_with(self, 64 << 20);
    *state = self;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture_t *self = *state;
    store_close(&self->store);
    if (self->lmdb) remove_folder(self->folder);
    free(self);
    return 0;
}

static inline store_t *begin(void **state)
{
    store_t *store = ((fixture_t *)*state)->store;
    assert_int_equal(store_begin(store), ERR_OK);
    return store;
}

static inline void put(store_t *store, table_t table, const char *key, const char *value)
{
    assert_int_equal(store_put(store, table, T(key), T(value), 0), ERR_OK);
}

static inline void assert_value(store_t *store, table_t table, const char *key,
                                const char *expected)
{
    slice_t value;
    assert_int_equal(store_get(store, table, T(key), &value), ERR_OK);
    assert_true(slice_equal(value, T(expected)));
}

static inline void commit(store_t *store)
{
    assert_int_equal(store_commit(store), ERR_OK);
}

/* Commits, and begins the next transaction. */
static inline void next(void **state)
{
    commit(((fixture_t *)*state)->store);
    begin(state);
}

static inline void assert_missing(store_t *store, table_t table, const char *key)
{
    slice_t value;
    assert_int_equal(store_get(store, table, T(key), &value), ERR_NOT_FOUND);
}

static inline void assert_corrupt(void **state, table_t table, const char *key)
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

/* One row of 1,000 bytes under key `i`; true when it is in. */
static inline bool add_row(store_t *store, unsigned i)
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

/* The state that a test begins with says on what: any address, on LMDB. */
__attribute__((unused)) static int on_lmdb;

#define ON(where, backend, test)                                                                   \
    {                                                                                              \
        where ": " #test, test, set_up, tear_down, backend                                         \
    }
#define BOTH(test)   ON("memory", NULL, test), ON("lmdb", &on_lmdb, test)
#define LMDB(test)   ON("lmdb", &on_lmdb, test)
#define MEMORY(test) ON("memory", NULL, test)

#endif

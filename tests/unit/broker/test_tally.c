/* SPDX-License-Identifier: Apache-2.0
 * What the store says that a transaction wrote is never less than what LMDB wrote: for random mixes
 * of rows that follow one another, that lie anywhere, that grow, shrink and go, in trees of any
 * size. PAWL_TALLY_COMMITS: commits to try (400; 1 GiB is enough for about 1,000). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store/lmdb.h"
#include "broker/store/record.h"

enum { KEYS = 40000, VALUE_MAX = 9000 };

typedef struct rows {
    store_t *store;
    uint64_t state; /* of the random numbers */
    uint64_t next;  /* of the rows that follow one another */
    uint8_t value[VALUE_MAX];
} rows_t;

static uint64_t draw(rows_t *self, uint64_t below)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 7;
    self->state ^= self->state << 17;
    return self->state % below;
}

static size_t some_size(rows_t *self)
{
    static const size_t most[] = { 30, 200, 200, 1800, 4060, VALUE_MAX };
    return draw(self, most[draw(self, 6)]);
}

static void put(rows_t *self, table_t table, uint64_t n, size_t len)
{
    rec_key_t key = key_n(n);
    slice_t value = slice(self->value, table_checked(table) ? len : 0);
    assert_int_equal(store_put(self->store, table, key_slice(&key), value, 0), ERR_OK);
}

static void del(rows_t *self, table_t table, uint64_t n)
{
    rec_key_t key = key_n(n);
    err_t err = store_del(self->store, table, key_slice(&key));
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
}

/* One kind of work on one table, as operations of core do it. */
static void work(rows_t *self, table_t table, size_t times)
{
    size_t size = some_size(self);
    uint64_t from = draw(self, KEYS) << 32;
    switch (draw(self, 7)) {
    case 0: /* at the end */
        for (size_t i = 0; i < times; i++)
            put(self, table, (UINT64_C(1) << 60) + self->next++, size);
        break;
    case 1: /* one behind the other, somewhere */
        for (size_t i = 0; i < times; i++)
            put(self, table, from + i, size);
        break;
    case 2: /* one before the other: each new leaf holds one row */
        for (size_t i = times; i > 0; i--)
            put(self, table, from + i, size);
        break;
    case 3: /* anywhere */
        for (size_t i = 0; i < times; i++)
            put(self, table, draw(self, KEYS) << 32 | draw(self, 4), some_size(self));
        break;
    case 4: /* away, anywhere */
        for (size_t i = 0; i < times; i++)
            del(self, table, draw(self, KEYS) << 32 | draw(self, 4));
        break;
    case 5: /* away, a whole stretch */
        for (uint64_t at = from, end = from + (times << 32); at < end; at++) {
            rec_key_t key = key_n(at);
            slice_t found, value;
            err_t err = store_seek(self->store, table, key_slice(&key), false, &found, &value);
            if (err != ERR_OK || (at = be_u64(found.at)) >= end) break;
            del(self, table, at);
        }
        break;
    default: /* away and back, larger or smaller */
        for (size_t i = 0; i < times; i++) {
            uint64_t n = draw(self, KEYS) << 32;
            del(self, table, n);
            put(self, table, n + draw(self, 4), some_size(self));
        }
    }
}

static void one_commit(rows_t *self, bool watch)
{
    static const table_t tables[] = { TABLE_spec, TABLE_ids, TABLE_state, TABLE_ready, TABLE_part };
    static const size_t most[] = { 3, 70, 70, 2000 };
    kv_t *kv = lmdb_store_kv(self->store);
    uint64_t before, live, freed;
    store_written_t told;
    self->store->watch = watch;
    kv_pages(kv, &before, &freed);
    assert_int_equal(store_begin(self->store), ERR_OK);
    for (uint64_t kinds = 1 + draw(self, 8); kinds > 0; kinds--)
        work(self, tables[draw(self, 5)], draw(self, most[draw(self, 4)]));
    store_written(self->store, &told);
    assert_int_equal(store_commit(self->store), ERR_OK);
    kv_pages(kv, &live, &freed);
    if (self->store->writes == 0) return; /* nothing was committed: `freed` is of the one before */
    uint64_t dirty = live + freed - before;
    if (dirty > told.dirty || live > before + told.grown)
        print_message("wrote %llu of %llu, from %llu to %llu of %llu more\n",
                      (unsigned long long)dirty, (unsigned long long)told.dirty,
                      (unsigned long long)before, (unsigned long long)live,
                      (unsigned long long)told.grown);
    assert_true(dirty <= told.dirty);
    assert_true(live <= before + told.grown);
}

static void try_commits(bool watch)
{
    const char *wanted = getenv("PAWL_TALLY_COMMITS");
    char folder[64], path[100];
    int64_t holder;
    snprintf(folder, sizeof folder, "%s/pawl-tally-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
    rows_t self = { .state = watch ? UINT64_C(88172645463325252) : UINT64_C(6364136223846793005) };
    assert_int_equal(store_open(&self.store, path, UINT64_C(1) << 30, 0, &holder), ERR_OK);
    for (int left = wanted ? atoi(wanted) : 400; left > 0; left--)
        one_commit(&self, watch);
    store_close(&self.store);
    static const char *const files[] = { "data.mdb", "lock.mdb", "lock.pawl" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/store/%s", folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/store", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void what_is_counted_row_by_row_is_never_below_what_was_written(void **state)
{
    (void)state;
    try_commits(false);
}

static void what_is_counted_by_runs_is_never_below_what_was_written(void **state)
{
    (void)state;
    try_commits(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_counted_row_by_row_is_never_below_what_was_written),
        cmocka_unit_test(what_is_counted_by_runs_is_never_below_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

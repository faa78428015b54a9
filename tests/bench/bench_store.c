/* SPDX-License-Identifier: Apache-2.0
 * bench-store FOLDER [TASKS [BATCH]] - what the store layer alone costs for a task's life: submit
 * and lease fused (ids new, spec appended with 300 bytes, run), then complete (run deleted, state
 * put), half a batch of each in one commit, plus meta, a packed journal row per 200 events and a
 * block row per 1,024 tasks. Microseconds are wall time; both ways through the wrapper are shown.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "broker/store/lmdb.h"
#include "client/base/ulid.h"

enum { SPEC_BODY = 300, STATE = 42, RUN = 42, EVENTS_A_ROW = 200, TASKS_A_BLOCK = 1024 };

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void put(store_t *store, table_t table, slice_t key, size_t len, unsigned flags)
{
    static const uint8_t bytes[2048] = { 1 };
    CHECK(store_put(store, table, key, slice(bytes, len), flags) == ERR_OK);
}

static void submit_and_lease(store_t *store, uint64_t n)
{
    uint8_t key[8];
    slice_t number = slice(key, 8);
    be_put_u64(key, n);
    uint8_t random[10];
    be_put_u64(random + 2, n * UINT64_C(0x9E3779B97F4A7C15));
    be_put_u16(random, (uint16_t)n);
    ulid_t id = ulid_make((int64_t)n * 10, random); /* ids of several producers rise only about */
    put(store, TABLE_ids, slice(id.at, ULID_BYTES), 10, STORE_NEW);
    put(store, TABLE_spec, number, 30 + SPEC_BODY, 0);
    put(store, TABLE_run, number, RUN, 0);
}

static void complete(store_t *store, uint64_t n)
{
    uint8_t key[8];
    slice_t number = slice(key, 8), value;
    be_put_u64(key, n);
    CHECK(store_get(store, TABLE_run, number, &value) == ERR_OK);
    CHECK(store_del(store, TABLE_run, number) == ERR_OK);
    put(store, TABLE_state, number, STATE, 0);
}

static void batch_rows(store_t *store, uint64_t first, uint64_t count, uint64_t *events)
{
    uint8_t key[8];
    put(store, TABLE_meta, slice("b", 1), 60, 0);
    for (uint64_t rows = (2 * count + EVENTS_A_ROW - 1) / EVENTS_A_ROW; rows; rows--) {
        be_put_u64(key, ++*events);
        put(store, TABLE_jrn, slice(key, 8), rows > 1 ? 1900 : 2 * count % EVENTS_A_ROW * 9, 0);
    }
    for (uint64_t block = first / TASKS_A_BLOCK; block <= (first + count) / TASKS_A_BLOCK;
         block++) {
        be_put_u64(key, block);
        put(store, TABLE_block, slice(key, 8), 200, 0);
    }
}

static void run(const char *path, uint64_t tasks, uint64_t batch, bool hashed)
{
    store_t *store;
    kv_config_t config = { .path = path, .map_bytes = UINT64_C(16) << 30 };
    const char *ahead = getenv("BENCH_AHEAD"); /* bytes of disk promised ahead */
    config.reserve_bytes = ahead ? strtoull(ahead, NULL, 10) : 0;
    CHECK(lmdb_store_open(&store, &config, NULL) == ERR_OK);
    store->hash_writes = hashed;
    double tree = 0, sync = 0;
    uint64_t events = 0, commits = 0;
    store_usage_t before, after;
    store_usage(store, &before);
    for (uint64_t first = 1; first <= tasks; first += batch) {
        double started = now();
        CHECK(store_begin(store) == ERR_OK);
        for (uint64_t n = first; n < first + batch; n++)
            submit_and_lease(store, n);
        for (uint64_t n = first > batch ? first - batch : first; first > 1 && n < first; n++)
            complete(store, n);
        batch_rows(store, first, batch, &events);
        double wrote = now();
        CHECK(store_commit(store) == ERR_OK);
        tree += wrote - started;
        sync += now() - wrote;
        commits++;
    }
    store_usage(store, &after);
    printf("%5" PRIu64 " a commit%s: %.2f us tree + %.2f us commit a life cycle, %.0f us a commit, "
           "%.0f B a task\n",
           batch, hashed ? ", hashed" : "", tree * 1e6 / (double)tasks, sync * 1e6 / (double)tasks,
           sync * 1e6 / (double)commits,
           (double)(after.used_bytes - before.used_bytes) / (double)tasks);
    store_close(&store);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "bench-store FOLDER [TASKS [BATCH]]\n");
        return 2;
    }
    uint64_t tasks = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
    static const uint64_t sizes[] = { 256, 2000, 2000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t batch = argc > 3 ? strtoull(argv[3], NULL, 10) : sizes[i];
        char path[512];
        snprintf(path, sizeof path, "%s/bench-%zu", argv[1], i);
        run(path, tasks / batch * batch, batch, i == 2);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * The check calls a good store whole, and each kind of damage by its name. */
#include "tests/unit/broker/query_world.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/check/check.h"

/* A bit of everything: tasks in each place, a key, parts, an attempt, a schedule with a ledger. */
static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = WORLD_BEGIN / MINUTE * MINUTE + 1000000;
    Pawl__V1__Task task;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    uint8_t id[16], input[5000] = { 1 };
    retry.max_attempts = 5;
    world_executor(&world, 1, "exec-1", 1);
    world_task(&task);
    task.retry = &retry;
    world_submit(&world, &task, id); /* n 1: failed once, delayed */
    world_lease_t lease = world.leases[0];
    world_report(&world, 1, &lease, PAWL__V1__OUTCOME__OUTCOME_FAIL, "no", slice(NULL, 0));
    world_task(&task);
    world_submit(&world, &task, id); /* n 2: runs */
    world_task(&task);
    task.key = (char *)(uintptr_t) "a key";
    task.expire_us = 3600000000;
    world_submit(&world, &task, id); /* n 3: waits, holds a key, expires */
    world_task(&task);
    task.input = (ProtobufCBinaryData){ sizeof input, input };
    task.delay_us = 3600000000;
    world_submit(&world, &task, id); /* n 4: delayed, in parts */
    world_task(&task);
    task.hold = true;
    world_submit(&world, &task, id); /* n 5: held */
    world_schedule(&world, "job", "* * * * *", PAWL__V1__MODE__MODE_STRICT,
                   PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL);
    for (int i = 0; i < 3; i++) {
        world.wall_us += MINUTE;
        world_propose(&world, "job"); /* n 6 is let through, 7 and 8 are parked */
    }
    world.wall_us += 3 * MINUTE;
    world_propose(&world, "job"); /* late ones: another extent */
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    static char *members[] = { (char *)(uintptr_t) "exec-1", (char *)(uintptr_t) "exec-2" };
    fanout.executors = members;
    fanout.n_executors = ARRAY_LEN(members);
    fanout.parallel = 1;
    world_task(&task);
    task.fanout = &fanout;
    world_submit(&world, &task, id); /* a parent, a child that waits and one that is blocked */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static char report[65536];

static size_t problems_now(void)
{
    size_t problems = 0;
    FILE *out = fmemopen(report, sizeof report, "w");
    assert_non_null(out);
    assert_int_equal(check_store(world.store, out, &problems), ERR_OK);
    fclose(out);
    return problems;
}

static void expect_told(const char *text)
{
    assert_true(problems_now() > 0);
    if (strstr(report, text) == NULL) fail_msg("\"%s\" is not in:\n%s", text, report);
}

static void expect_whole(void)
{
    if (problems_now()) fail_msg("%s", report);
}

static void put(table_t table, const rec_key_t *key, const buf_t *value)
{
    assert_int_equal(store_begin(world.store), ERR_OK);
    assert_int_equal(store_put(world.store, table, key_slice(key), slice(value->at, value->len), 0),
                     ERR_OK);
    assert_int_equal(store_commit(world.store), ERR_OK);
}

static void del(table_t table, slice_t key)
{
    assert_int_equal(store_begin(world.store), ERR_OK);
    assert_int_equal(store_del(world.store, table, key), ERR_OK);
    assert_int_equal(store_commit(world.store), ERR_OK);
}

/* The first key of a table at or behind `from`. */
static rec_key_t first_key(table_t table, slice_t from)
{
    rec_key_t found;
    store_view_t *view = NULL;
    store_scan_t *scan = NULL;
    slice_t key, value;
    assert_int_equal(store_view_open(world.store, &view), ERR_OK);
    assert_int_equal(store_scan_open(view, table, from, false, &scan), ERR_OK);
    assert_int_equal(store_scan_next(scan, &key, &value), ERR_OK);
    memcpy(found.at, key.at, key.len);
    found.len = key.len;
    store_scan_close(&scan);
    store_view_close(&view);
    return found;
}

static void a_store_in_use_is_whole(void **state)
{
    (void)state;
    assert_int_equal(problems_now(), 0);
    assert_non_null(strstr(report, "ok: "));
}

/* Every table that has rows and values here: one flipped bit in any row's value is found. */
static void a_flipped_bit_is_found_in_each_table(void **state)
{
    (void)state;
    unsigned tried = 0;
    for (int table = 1; table < TABLE_COUNT; table++) {
        if (!table_name((table_t)table) || !table_checked((table_t)table) ||
            memstore_rows(world.store, (table_t)table) == 0)
            continue;
        rec_key_t key = first_key((table_t)table, slice(NULL, 0));
        assert_true(memstore_damage(world.store, (table_t)table, key_slice(&key), 3, 0x10));
        char told[64];
        snprintf(told, sizeof told, "%s ", table_name((table_t)table));
        expect_told(told);
        expect_told("checksum");
        assert_true(memstore_damage(world.store, (table_t)table, key_slice(&key), 3, 0x10));
        tried++;
    }
    assert_int_equal(problems_now(), 0);
    assert_true(tried >= 17);
}

/* Deleting the first row of any table is found; what follows from it, too. */
static void a_missing_row_is_found_in_each_table(void **state)
{
    (void)state;
    store_t *whole = memstore_clone(world.store);
    for (int table = 1; table < TABLE_COUNT; table++) {
        /* of these the oldest go in time anyway */
        if (!table_name((table_t)table) || table == TABLE_jrn || table == TABLE_try ||
            table == TABLE_ledger ||
            table == TABLE_enrolled /* written again with the next Hello */ ||
            memstore_rows(world.store, (table_t)table) == 0)
            continue;
        rec_key_t key = first_key((table_t)table, slice(NULL, 0));
        store_t *kept = world.store;
        world.store = memstore_clone(whole);
        del((table_t)table, key_slice(&key));
        if (problems_now() == 0)
            fail_msg("the loss of a row of %s is not seen", table_name((table_t)table));
        store_close(&world.store);
        world.store = kept;
    }
    store_close(&whole);
}

static void a_child_that_was_not_counted_is_found(void **state)
{
    (void)state;
    rec_key_t key = first_key(TABLE_fam, slice(NULL, 0));
    store_view_t *view = NULL;
    slice_t value;
    fam_row_t row;
    buf_t bytes = { 0 };
    assert_int_equal(store_view_open(world.store, &view), ERR_OK);
    assert_int_equal(store_view_get(view, TABLE_fam, key_slice(&key), &value), ERR_OK);
    assert_true(fam_row_decode(&row, value));
    store_view_close(&view);
    assert_int_equal(row.open, 2);
    row.open--;
    row.ok++;
    fam_row_encode(&row, &bytes);
    put(TABLE_fam, &key, &bytes);
    buf_free(&bytes);
    expect_told("2 children are open, the row says 1");
}

static void a_gap_in_the_journal_is_found(void **state)
{
    (void)state;
    rec_key_t from = key_n(4), key = first_key(TABLE_jrn, key_slice(&from));
    del(TABLE_jrn, key_slice(&key));
    expect_told("jrn");
}

static void a_task_in_two_places_is_found(void **state)
{
    (void)state;
    static const buf_t nothing;
    rec_key_t ready = first_key(TABLE_ready, slice(NULL, 0));
    uint32_t lane;
    int64_t due;
    uint64_t n;
    assert_true(ready_key_decode(key_slice(&ready), &lane, &due, &n));
    rec_key_t again = key_ready(lane, due + 1, n);
    put(TABLE_ready, &again, &nothing);
    expect_told("waits elsewhere");
    expect_told("the lane says");
    del(TABLE_ready, key_slice(&again));
    again = key_timer(CLOCK_ELAPSED, due, TIMER_DUE, n);
    put(TABLE_timer, &again, &nothing);
    expect_told("does not need this timer");
    del(TABLE_timer, key_slice(&again));
    again = key_ready(lane, due, 2);
    put(TABLE_ready, &again, &nothing);
    expect_told("does not wait here");
}

static void a_wrong_counter_is_found(void **state)
{
    (void)state;
    rec_key_t key = key_kind_no(COUNT_QUEUE, 1);
    uint64_t counts[12] = { 0, 7 };
    buf_t value = { 0 };
    count_row_encode(counts, &value);
    put(TABLE_count, &key, &value);
    expect_told("count 0100000001");
    value.len = 0;
    block_row_t block = { .counts = { 0, 1 } };
    block_row_encode(&block, &value);
    key = key_n(0);
    put(TABLE_block, &key, &value);
    expect_told("block 0000000000000000");
    buf_free(&value);
}

static void a_cursor_that_lies_is_found(void **state)
{
    (void)state;
    rec_key_t key = first_key(TABLE_scur, slice(NULL, 0));
    slice_t raw;
    scur_row_t row;
    buf_t value = { 0 };
    world_ask(&world);
    assert_int_equal(store_view_get(world.view, TABLE_scur, key_slice(&key), &raw), ERR_OK);
    assert_true(scur_row_decode(&row, raw));
    scur_row_t good = row;
    row.cursor_us += MINUTE;
    scur_row_encode(&row, &value);
    put(TABLE_scur, &key, &value);
    expect_told("passed instants that have no verdict");
    row = good;
    row.running++;
    value.len = 0;
    scur_row_encode(&row, &value);
    put(TABLE_scur, &key, &value);
    expect_told("the cursor says");
    row = good;
    row.open.count++;
    value.len = 0;
    scur_row_encode(&row, &value);
    put(TABLE_scur, &key, &value);
    expect_told("instants, the rule");
    buf_free(&value);
}

static void a_hole_in_the_ledger_is_found(void **state)
{
    (void)state;
    rec_key_t first = first_key(TABLE_ledger, slice(NULL, 0)), next = first;
    next.at[next.len++] = 0;
    next = first_key(TABLE_ledger, key_slice(&next));
    del(TABLE_ledger, key_slice(&next));
    expect_told("have no verdict");
}

/* Verdicts before an edit, and behind it: one is taken out on each side of the seam. */
static void a_hole_at_the_seam_of_an_edit_is_found(void **state)
{
    (void)state;
    world_schedule(&world, "seam", "* * * * *", PAWL__V1__MODE__MODE_NORMAL,
                   PAWL__V1__OVERLAP__OVERLAP_SKIP);
    for (int i = 0; i < 3; i++) { /* on time, late, on time: three spans */
        world.wall_us += i == 1 ? 3 * MINUTE : MINUTE;
        world_propose(&world, "seam");
    }
    world_schedule(&world, "seam", "*/2 * * * *", PAWL__V1__MODE__MODE_NORMAL,
                   PAWL__V1__OVERLAP__OVERLAP_SKIP);
    for (int i = 0; i < 3; i++) {
        world.wall_us += i == 1 ? 8 * MINUTE : 2 * MINUTE;
        world_propose(&world, "seam");
    }
    expect_whole();
    rec_key_t keys[16];
    size_t n = 0;
    rec_key_t from = key_ledger(2, 0, INT64_MIN);
    store_scan_t *scan = NULL;
    slice_t key, value;
    (void)world_ask(&world); /* a fresh view */
    assert_int_equal(store_scan_open(world.view, TABLE_ledger, key_slice(&from), false, &scan),
                     ERR_OK);
    for (; n < ARRAY_LEN(keys) && store_scan_next(scan, &key, &value) == ERR_OK; n++) {
        memcpy(keys[n].at, key.at, key.len);
        keys[n].len = key.len;
    }
    store_scan_close(&scan);
    store_view_close(&world.view);
    assert_true(n >= 4);
    store_t *whole = memstore_clone(world.store);
    size_t found = 0;
    for (size_t i = 1; i < n; i++) { /* the oldest may be gone with its age */
        store_t *kept = world.store;
        world.store = memstore_clone(whole);
        del(TABLE_ledger, key_slice(&keys[i]));
        expect_told("have no verdict");
        found += strstr(report, "instants of revision") != NULL;
        store_close(&world.store);
        world.store = kept;
    }
    assert_true(found >= 2);
    store_close(&whole);
}

static void held_tasks_of_a_schedule_keep_its_counters_right(void **state)
{
    (void)state;
    Pawl__V1__TaskList list = PAWL__V1__TASK_LIST__INIT;
    Pawl__V1__TaskFilter filter = PAWL__V1__TASK_FILTER__INIT;
    uint8_t ids[3][16];
    filter.schedule = (char *)(uintptr_t) "job";
    list.filter = &filter;
    assert_int_equal(query_task_list(world_ask(&world), &list, &world.reply), ERR_OK);
    assert_true(world.reply.tasks->n_items >= 3);
    for (int i = 0; i < 3; i++)
        memcpy(ids[i], world.reply.tasks->items[i]->id.data, 16);
    for (int i = 0; i < 3; i++) {
        world_change(&world, PAWL__V1__TASK_VERB__TASK_HOLD, ids[i]);
        expect_whole();
    }
    world_change(&world, PAWL__V1__TASK_VERB__TASK_CANCEL, ids[0]);
    expect_whole();
    world_change(&world, PAWL__V1__TASK_VERB__TASK_START, ids[1]);
    expect_whole();
    world_change(&world, PAWL__V1__TASK_VERB__TASK_RETRY, ids[0]);
    expect_whole();
}

/* ---- as a program ---------------------------------------------------------------------------- */

static char folder[32];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pawl-check-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "store/data.mdb", "store/lock.mdb",     "store/lock.pawl",
                                         "store/new.mdb",  "store/new.mdb-lock", "store" };
    char path[256];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    return rmdir(folder);
}

static int check_folder(void)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    int code = broker_check(folder, out);
    fseek(out, 0, SEEK_SET);
    report[fread(report, 1, sizeof report - 1, out)] = 0;
    fclose(out);
    return code;
}

static void a_folder_is_whole_locked_or_damaged(void **state)
{
    (void)state;
    char path[128];
    assert_int_equal(check_folder(), CHECK_MISSING); /* no store there, and none is made */
    snprintf(path, sizeof path, "%s/store", folder);
    struct stat info;
    assert_int_equal(stat(path, &info), -1);
    store_t *store = NULL;
    core_t *core = NULL;
    core_config_t config;
    uint8_t random[32] = { 1 };
    core_config_default(&config);
    assert_int_equal(store_open(&store, path, 64 << 20, 0, NULL), ERR_OK);
    assert_int_equal(core_open(&core, store, &config, WORLD_BEGIN, WORLD_BEGIN, random), ERR_OK);
    assert_int_equal(check_folder(), CHECK_LOCKED);
    core_close(&core);
    store_close(&store);
    assert_int_equal(check_folder(), CHECK_WHOLE);
    assert_non_null(strstr(report, "ok: 0 tasks"));
    /* every page but the two heads is overwritten: unreadable or a dead reader, never "ok" */
    snprintf(path, sizeof path, "%s/store/data.mdb", folder);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t noise[4096];
    memset(noise, 0xA5, sizeof noise);
    for (off_t at = 2 * 4096; at < 64 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    close(fd);
    assert_int_equal(check_folder(), CHECK_DAMAGED);
    assert_non_null(strstr(report, "damaged"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_store_in_use_is_whole),
        TEST(a_flipped_bit_is_found_in_each_table),
        TEST(a_missing_row_is_found_in_each_table),
        TEST(a_child_that_was_not_counted_is_found),
        TEST(a_gap_in_the_journal_is_found),
        TEST(a_task_in_two_places_is_found),
        TEST(a_wrong_counter_is_found),
        TEST(a_cursor_that_lies_is_found),
        TEST(a_hole_in_the_ledger_is_found),
        TEST(a_hole_at_the_seam_of_an_edit_is_found),
        TEST(held_tasks_of_a_schedule_keep_its_counters_right),
        cmocka_unit_test_setup_teardown(a_folder_is_whole_locked_or_damaged, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

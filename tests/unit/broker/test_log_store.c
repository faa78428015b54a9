/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/logs/log_check.h"
#include "broker/logs/log_lost.h"
#include "broker/logs/log_rows.h"
#include "broker/logs/logs.h"
#include "schemas/limits.h"
#include "tests/unit/broker/durations.h"

static const uint8_t ID[16] = "task-0000000001", OTHER[16] = "task-0000000002";
static const int64_t NOW = INT64_C(1700000000000000);

typedef struct fixture {
    char path[64];
    log_store_t *store;
    wire_arena_t arena;
    answer_t answer;
} fixture_t;

static int open_store(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/pawl-logs-XXXXXX");
    if (mkdtemp(f->path) == NULL) return -1;
    char folder[80];
    snprintf(folder, sizeof folder, "%s/logs", f->path);
    logs_config_t config = {
        .path = folder, .map_bytes = 64 << 20, .most_bytes = 8 << 20, .keep_us = 30 * DAY
    };
    if (log_store_open(&f->store, &config) != ERR_OK) return -1;
    wire_arena_init(&f->arena);
    f->answer.arena = &f->arena;
    *state = f;
    return 0;
}

static int close_store(void **state)
{
    fixture_t *f = *state;
    char command[128];
    log_store_close(&f->store);
    wire_arena_free(&f->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", f->path);
    free(f);
    return system(command);
}

/* Byte number i of a log, so that every byte read can be judged by its offset. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

static void add(fixture_t *f, const uint8_t id[16], uint64_t token, uint64_t offset, size_t len,
                int64_t wall_us)
{
    uint8_t *data = malloc(len + 1), copy[16];
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(offset + i);
    memcpy(copy, id, 16);
    Pawl__V1__LogChunk chunk = PAWL__V1__LOG_CHUNK__INIT;
    chunk.id = (ProtobufCBinaryData){ 16, copy };
    chunk.token = token;
    chunk.stream = 1;
    chunk.offset = offset;
    chunk.data = (ProtobufCBinaryData){ len, data };
    chunk.time_us = 77;
    assert_int_equal(log_store_begin(f->store), ERR_OK);
    assert_int_equal(log_store_add(f->store, &chunk, wall_us), ERR_OK);
    assert_int_equal(log_store_commit(f->store), ERR_OK);
    free(data);
}

static void fill(fixture_t *f, const uint8_t id[16], uint64_t total, int64_t wall_us)
{
    for (uint64_t at = 0; at < total; at += LIMIT_LOG_CHUNK)
        add(f, id, 1, at, total - at < LIMIT_LOG_CHUNK ? total - at : LIMIT_LOG_CHUNK, wall_us);
}

static Pawl__V1__LogData read_at(fixture_t *f, const uint8_t id[16], uint64_t token,
                                 uint64_t offset, uint32_t limit)
{
    Pawl__V1__LogData data = PAWL__V1__LOG_DATA__INIT;
    wire_arena_reset(&f->arena);
    assert_int_equal(log_store_read(f->store, &f->answer, id, token, offset, limit, &data), ERR_OK);
    for (size_t i = 0; i < data.n_pieces; i++)
        for (size_t b = 0; b < data.pieces[i]->data.len; b++)
            if (data.pieces[i]->data.data[b] != byte_at(data.pieces[i]->offset + b))
                fail_msg("wrong byte at %llu", (unsigned long long)data.pieces[i]->offset + b);
    return data;
}

/* Reads on from `offset` to the end; returns how many bytes came. */
static uint64_t read_all(fixture_t *f, const uint8_t id[16], uint32_t limit)
{
    uint64_t bytes = 0, next = 0;
    while (true) {
        Pawl__V1__LogData data = read_at(f, id, 1, next, limit);
        for (size_t i = 0; i < data.n_pieces; i++) {
            assert_true(data.pieces[i]->offset >= next);
            next = data.pieces[i]->offset + data.pieces[i]->data.len;
            bytes += data.pieces[i]->data.len;
        }
        assert_true(data.next >= next);
        next = data.next;
        if (next >= data.total) return bytes;
    }
}

static void what_was_written_reads_back_from_any_offset(void **state)
{
    fixture_t *f = *state;
    fill(f, ID, 100000, NOW);
    assert_int_equal(read_all(f, ID, 0), 100000);
    assert_int_equal(read_all(f, ID, 777), 100000);
    const uint64_t offsets[] = { 0, 1, 4039, 4040, 4041, 65535, 65536, 99999 };
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        Pawl__V1__LogData data = read_at(f, ID, 1, offsets[i], 10);
        assert_int_equal(data.n_pieces > 0 ? data.pieces[0]->offset : 0, offsets[i]);
        assert_int_equal(data.total, 100000);
        assert_int_equal(data.hole_from, data.hole_to);
        assert_int_equal(data.pieces[0]->stream, 1);
        assert_int_equal(data.pieces[0]->time_us, 77);
    }
    assert_int_equal(read_at(f, ID, 1, 100000, 10).n_pieces, 0);
    assert_int_equal(read_at(f, ID, 1, 500000, 10).next, 500000);
}

static void the_next_lease_that_wrote_something_is_found(void **state)
{
    fixture_t *f = *state;
    add(f, ID, 3, 0, 10, NOW);
    add(f, ID, 7, 0, 10, NOW);
    add(f, OTHER, 5, 0, 10, NOW);
    static const uint64_t after[][2] = { { 0, 3 }, { 2, 3 }, { 3, 7 }, { 6, 7 }, { 7, 0 } };
    uint64_t found;
    for (size_t i = 0; i < ARRAY_LEN(after); i++) {
        assert_int_equal(log_store_after(f->store, ID, after[i][0], &found), ERR_OK);
        assert_int_equal(found, after[i][1]);
    }
    assert_int_equal(log_store_after(f->store, ID, UINT64_MAX, &found), ERR_OK);
    assert_int_equal(found, 0);
}

static void attempts_and_tasks_have_logs_of_their_own(void **state)
{
    fixture_t *f = *state;
    add(f, ID, 1, 0, 10, NOW);
    add(f, ID, 2, 0, 20, NOW);
    add(f, OTHER, 1, 0, 30, NOW);
    assert_int_equal(read_at(f, ID, 1, 0, 0).total, 10);
    assert_int_equal(read_at(f, ID, 2, 0, 0).total, 20);
    assert_int_equal(read_at(f, OTHER, 1, 0, 0).total, 30);
    assert_int_equal(read_at(f, OTHER, 9, 0, 0).total, 0);
}

static void the_same_chunk_twice_is_there_once(void **state)
{
    fixture_t *f = *state;
    for (int i = 0; i < 3; i++) {
        add(f, ID, 1, 0, 5000, NOW);
        add(f, ID, 1, 5000, 5000, NOW);
    }
    assert_int_equal(read_all(f, ID, 0), 10000);
    /* cut in another way on the second sending: still every byte once */
    add(f, ID, 1, 0, 10000, NOW);
    add(f, ID, 1, 2500, 7500, NOW);
    assert_int_equal(read_all(f, ID, 0), 10000);
}

static void a_long_log_keeps_its_head_and_its_end_and_tells_the_hole(void **state)
{
    fixture_t *f = *state;
    const uint64_t total = 5 * LIMIT_LOG_ATTEMPT + 12345;
    fill(f, ID, total, NOW);
    Pawl__V1__LogData data = read_at(f, ID, 1, 0, 0);
    assert_int_equal(data.total, total);
    assert_true(data.hole_from >= LIMIT_LOG_HEAD && data.hole_from < LIMIT_LOG_HEAD + 4096);
    assert_true(data.hole_to <= total - (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD));
    assert_true(data.hole_to > total - (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD) - 4096);
    assert_int_equal(read_all(f, ID, 0), total - (data.hole_to - data.hole_from));
    Pawl__V1__LogData behind = read_at(f, ID, 1, data.hole_from, 100);
    assert_int_equal(behind.pieces[0]->offset, data.hole_to);
    /* a late copy of what was cut changes nothing */
    add(f, ID, 1, LIMIT_LOG_ATTEMPT, LIMIT_LOG_CHUNK, NOW);
    assert_int_equal(read_all(f, ID, 0), total - (data.hole_to - data.hole_from));
}

static void bytes_that_never_came_are_a_hole_until_they_do(void **state)
{
    fixture_t *f = *state;
    add(f, ID, 1, 0, 1000, NOW);
    add(f, ID, 1, 3000, 1000, NOW);
    Pawl__V1__LogData data = read_at(f, ID, 1, 0, 0);
    assert_int_equal(data.hole_from, 1000);
    assert_int_equal(data.hole_to, 3000);
    assert_int_equal(read_all(f, ID, 0), 2000);
    add(f, ID, 1, 1000, 2000, NOW);
    data = read_at(f, ID, 1, 0, 0);
    assert_int_equal(data.hole_from, data.hole_to);
    assert_int_equal(read_all(f, ID, 0), 4000);
}

static void sweep(fixture_t *f, int64_t wall_us, bool by_size, unsigned *slices)
{
    bool more = true;
    for (*slices = 0; more; ++*slices)
        assert_int_equal(log_store_sweep(f->store, wall_us, by_size, 50, &more), ERR_OK);
}

static void old_logs_go_in_small_slices_and_what_is_still_written_stays(void **state)
{
    fixture_t *f = *state;
    unsigned slices;
    fill(f, ID, 600000, NOW);
    add(f, OTHER, 1, 0, 10, NOW);
    add(f, OTHER, 1, 10, 10, NOW + 20 * DAY);
    sweep(f, NOW + 29 * DAY, false, &slices);
    assert_int_equal(read_all(f, ID, 0), 600000);
    sweep(f, NOW + 31 * DAY, false, &slices);
    assert_true(slices >= 3);
    assert_int_equal(read_at(f, ID, 1, 0, 0).total, 0);
    assert_int_equal(read_all(f, OTHER, 0), 20);
    sweep(f, NOW + 51 * DAY, false, &slices);
    assert_int_equal(read_at(f, OTHER, 1, 0, 0).total, 0);
}

static void above_the_total_size_the_oldest_logs_give_way(void **state)
{
    fixture_t *f = *state;
    unsigned slices;
    uint8_t id[16] = { 0 };
    enum { LOGS = 14 };
    for (uint8_t i = 0; i < LOGS; i++) {
        id[15] = i;
        fill(f, id, 1000000, NOW + i);
    }
    sweep(f, NOW, true, &slices);
    id[15] = 0;
    assert_int_equal(read_at(f, id, 1, 0, 0).total, 0);
    id[15] = LOGS - 1;
    assert_int_equal(read_all(f, id, 0), 1000000);
}

static bool nobody_is_known(void *arg, const uint8_t id[16])
{
    (void)arg;
    (void)id;
    return false;
}

static char report[65536];

/* Closes the store, checks its folder, opens it again. */
static log_tally_t check_of(fixture_t *f)
{
    char folder[80];
    log_tally_t tally = { 0 };
    snprintf(folder, sizeof folder, "%s/logs", f->path);
    log_store_close(&f->store);
    FILE *out = fmemopen(report, sizeof report, "w");
    assert_non_null(out);
    assert_int_equal(log_check(folder, NULL, NULL, out, &tally), ERR_OK);
    log_tally_t known = tally, unknown = { 0 };
    assert_int_equal(log_check(folder, nobody_is_known, NULL, out, &unknown), ERR_OK);
    assert_int_equal(unknown.orphans, known.orphans + known.logs);
    fclose(out);
    logs_config_t config = {
        .path = folder, .map_bytes = 64 << 20, .most_bytes = 8 << 20, .keep_us = 30 * DAY
    };
    assert_int_equal(log_store_open(&f->store, &config), ERR_OK);
    return tally;
}

/* Writes `value` into a row, behind the store's back. */
static void damage(fixture_t *f, unsigned table, slice_t key, slice_t value)
{
    char folder[80];
    kv_t *kv = NULL;
    uint8_t *room;
    snprintf(folder, sizeof folder, "%s/logs", f->path);
    log_store_close(&f->store);
    kv_config_t config = {
        .path = folder, .tables = log_tables, .table_count = LOG_TABLES, .map_bytes = 64 << 20
    };
    assert_int_equal(kv_open(&kv, &config, NULL), ERR_OK);
    assert_int_equal(kv_begin(kv), ERR_OK);
    if (value.at) {
        assert_int_equal(kv_put(kv, table, key, value.len, 0, &room), ERR_OK);
        memcpy(room, value.at, value.len);
    } else {
        assert_int_equal(kv_del(kv, table, key), ERR_OK);
    }
    assert_int_equal(kv_commit(kv), ERR_OK);
    kv_close(&kv);
    logs_config_t again = { .path = folder, .map_bytes = 64 << 20, .keep_us = 30 * DAY };
    assert_int_equal(log_store_open(&f->store, &again), ERR_OK);
}

static void the_check_finds_what_is_damaged_and_counts_what_is_left_over(void **state)
{
    fixture_t *f = *state;
    uint8_t log[LOG_KEY], piece[PIECE_KEY], age[AGE_KEY];
    fill(f, ID, 3 << 20, NOW); /* with a hole */
    fill(f, OTHER, 10000, NOW);
    log_tally_t tally = check_of(f);
    assert_int_equal(tally.problems, 0);
    assert_int_equal(tally.logs, 2);
    assert_int_equal(tally.orphans, 0);
    log_key(log, OTHER, 1);
    piece_key(piece, log, LOG_PIECE);
    damage(f, LOG_TABLE_PIECE, slice(piece, sizeof piece), slice(NULL, 0));
    assert_int_equal(check_of(f).problems, 1);
    assert_non_null(strstr(report, "bytes 4040 to 8080 are missing and not marked"));
    assert_int_equal(log_store_begin(f->store), ERR_OK);
    assert_int_equal(log_store_mark(f->store, OTHER, 1, LOG_PIECE, 2 * LOG_PIECE, NOW), ERR_OK);
    assert_int_equal(log_store_commit(f->store), ERR_OK);
    assert_int_equal(check_of(f).problems, 0);

    static uint8_t bytes[200];
    piece_key(piece, log, 0);
    damage(f, LOG_TABLE_PIECE, slice(piece, sizeof piece), slice(bytes, sizeof bytes));
    assert_true(check_of(f).problems >= 1);
    assert_non_null(strstr(report, "the piece at byte 0 fails its checksum"));
    damage(f, LOG_TABLE_SIZE, slice(log, sizeof log), slice(bytes, 45));
    assert_true(check_of(f).problems >= 1);
    assert_non_null(strstr(report, "its size row fails its checksum"));
    add(f, OTHER, 1, 10000, 10, NOW); /* and a bad row keeps nobody's chunks out */

    log_key(log, ID, 1);
    age_key(age, NOW, log);
    damage(f, LOG_TABLE_AGE, slice(age, sizeof age), slice(NULL, 0));
    check_of(f);
    assert_non_null(strstr(report, "no age row"));
    log_key(log, (const uint8_t *)"task-0000000003", 9);
    age_key(age, NOW, log);
    uint64_t orphans = check_of(f).orphans;
    damage(f, LOG_TABLE_AGE, slice(age, sizeof age), slice(bytes, 1));
    assert_int_equal(check_of(f).orphans, orphans + 1);
}

static void lost_bytes_are_marked_unless_they_are_there_after_all(void **state)
{
    fixture_t *f = *state;
    log_lost_t *lost = log_lost_new();
    uint8_t data[LIMIT_LOG_CHUNK] = { 0 }, id[16];
    memcpy(id, ID, 16);
    Pawl__V1__LogChunk chunk = PAWL__V1__LOG_CHUNK__INIT;
    chunk.id = (ProtobufCBinaryData){ 16, id };
    chunk.token = 1;
    add(f, ID, 1, 0, 100, NOW);
    add(f, ID, 1, 100, 60000, NOW); /* its commit was unknown, and is there */
    const uint64_t offsets[] = { 100, 60100, 61100 }, sizes[] = { 60000, 1000, 500 };
    for (size_t i = 0; i < 3; i++) {
        chunk.offset = offsets[i];
        chunk.data = (ProtobufCBinaryData){ sizes[i], data };
        log_lost_add(lost, &chunk);
    }
    assert_true(log_lost_any(lost));
    assert_int_equal(log_lost_take_bytes(lost), 61500);
    assert_int_equal(log_lost_take_bytes(lost), 0);
    assert_int_equal(log_store_reopen(f->store), ERR_OK);
    assert_int_equal(log_store_begin(f->store), ERR_OK);
    assert_int_equal(log_lost_mark(lost, f->store, NOW), ERR_OK);
    assert_int_equal(log_store_commit(f->store), ERR_OK);
    log_lost_forget(lost);
    assert_false(log_lost_any(lost));
    Pawl__V1__LogData data_read = read_at(f, ID, 1, 0, 1 << 20);
    assert_int_equal(data_read.total, 61600);
    assert_int_equal(data_read.hole_from, 60100);
    assert_int_equal(data_read.hole_to, 61600);
    assert_int_equal(data_read.next, 61600);
    log_lost_destroy(&lost);
    assert_null(lost);
}

static void a_chunk_without_data_tells_how_long_the_log_was(void **state)
{
    fixture_t *f = *state;
    add(f, ID, 1, 0, 100, NOW);
    add(f, ID, 1, 100, 0, NOW);
    Pawl__V1__LogData data = read_at(f, ID, 1, 0, 0);
    assert_int_equal(data.hole_to, data.hole_from);
    add(f, ID, 1, 300, 0, NOW);
    data = read_at(f, ID, 1, 0, 0);
    assert_int_equal(data.total, 300);
    assert_int_equal(data.hole_from, 100);
    assert_int_equal(data.hole_to, 300);
    add(f, ID, 1, 50, 0, NOW);
    assert_int_equal(read_at(f, ID, 1, 0, 0).total, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
        TEST(what_was_written_reads_back_from_any_offset),
        TEST(the_next_lease_that_wrote_something_is_found),
        TEST(attempts_and_tasks_have_logs_of_their_own),
        TEST(the_same_chunk_twice_is_there_once),
        TEST(a_long_log_keeps_its_head_and_its_end_and_tells_the_hole),
        TEST(bytes_that_never_came_are_a_hole_until_they_do),
        TEST(old_logs_go_in_small_slices_and_what_is_still_written_stays),
        TEST(above_the_total_size_the_oldest_logs_give_way),
        TEST(the_check_finds_what_is_damaged_and_counts_what_is_left_over),
        TEST(lost_bytes_are_marked_unless_they_are_there_after_all),
        TEST(a_chunk_without_data_tells_how_long_the_log_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

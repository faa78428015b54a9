/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/lock.h"
#include "executor/outbox.h"

struct seen {
    unsigned count;
    uint64_t tokens; /* sum */
    char last[32];
};

static void see(void *arg, const uint8_t id[16], uint64_t token, const void *bytes, size_t len)
{
    struct seen *self = arg;
    (void)id;
    self->count++;
    self->tokens += token;
    snprintf(self->last, sizeof self->last, "%.*s", (int)len, (const char *)bytes);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    char *folder = mem_text("/tmp/pawl-outbox-XXXXXX");
    *state = folder;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    int failed = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return failed;
}

static outbox_t *open_in(const char *folder)
{
    char path[64];
    snprintf(path, sizeof path, "%s/outbox", folder);
    outbox_t *outbox;
    assert_int_equal(outbox_open(&outbox, path, NULL), ERR_OK);
    return outbox;
}

/* One result is in it, and this one. */
static void assert_one_waits(outbox_t *outbox, const char *bytes)
{
    struct seen seen = { 0 };
    assert_int_equal(outbox_each(outbox, see, &seen), ERR_OK);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last, bytes);
}

static const uint8_t id_a[16] = { 1 }, id_b[16] = { 2 };

static void what_was_stored_is_there_after_a_restart_until_it_is_settled(void **state)
{
    outbox_t *outbox = open_in(*state);
    assert_int_equal(outbox_store(outbox, id_a, 7, "result a", 8), ERR_OK);
    assert_int_equal(outbox_store(outbox, id_b, 9, "result b", 8), ERR_OK);
    outbox_settled(outbox, id_a, 7, false);
    outbox_close(&outbox);

    outbox = open_in(*state);
    struct seen seen = { 0 };
    assert_int_equal(outbox_each(outbox, see, &seen), ERR_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.tokens, 9);
    assert_string_equal(seen.last, "result b");
    outbox_close(&outbox);
}

static void a_result_survives_a_kill_right_after_it_was_stored(void **state)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        outbox_t *own = open_in(*state);
        if (outbox_store(own, id_a, 1, "kept", 4) != ERR_OK || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    outbox_t *outbox = open_in(*state);
    assert_one_waits(outbox, "kept");
    outbox_close(&outbox);
}

static void a_half_written_record_ends_the_file_and_harms_nothing(void **state)
{
    char path[64];
    snprintf(path, sizeof path, "%s/outbox/fresh", (char *)*state);
    uint8_t bytes[256];
    outbox_t *outbox = open_in(*state);
    assert_int_equal(outbox_store(outbox, id_a, 1, "whole", 5), ERR_OK);
    assert_int_equal(outbox_store(outbox, id_b, 2, "cut off", 7), ERR_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    outbox_settled(outbox, id_a, 1, false);
    outbox_settled(outbox, id_b, 2, false);
    outbox_close(&outbox);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len - 3, file), len - 3);
    fclose(file);
    outbox = open_in(*state);
    assert_one_waits(outbox, "whole");
    outbox_close(&outbox);
}

static int failing; /* errno of reads of `fresh`; 0: they work */

/* In place of the C library's. */
ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    char link[64], name[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t name_len = readlink(link, name, sizeof name);
    bool fresh = name_len > 6 && memcmp(name + name_len - 6, "/fresh", 6) == 0;
    if (fresh && failing) {
        errno = failing;
        return -1;
    }
    if (fresh && len > 7) len = 7; /* in pieces, as a kernel may */
    return syscall(SYS_pread64, fd, to, len, at);
}

static void what_cannot_be_read_is_not_taken_for_nothing(void **state)
{
    char path[80], outbox_path[64];
    struct stat before, after;
    snprintf(outbox_path, sizeof outbox_path, "%s/outbox", (char *)*state);
    snprintf(path, sizeof path, "%s/fresh", outbox_path);
    pid_t life = fork();
    if (life == 0) {
        outbox_t *outbox = open_in(*state);
        _exit(outbox_store(outbox, id_a, 5, "kept", 4) == ERR_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(life, &status, 0), life);
    assert_int_equal(status, 0);
    assert_int_equal(stat(path, &before), 0);
    outbox_t *outbox;
    failing = EIO;
    assert_int_equal(outbox_open(&outbox, outbox_path, NULL), ERR_OS);
    failing = 0;
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    outbox = open_in(*state);
    assert_one_waits(outbox, "kept");
    outbox_close(&outbox);
}

static off_t size_of_fresh(const char *folder)
{
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "%s/outbox/fresh", folder);
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

/* What was answered is in the file with the next result, or after a second; a life that is killed
 * before leaves it to be told once more, never anything else. */
static void a_killed_life_tells_again_only_what_was_settled_last(void **state)
{
    for (int tidied = 0; tidied < 2; tidied++) {
        pid_t child = fork();
        if (child == 0) {
            outbox_t *outbox = open_in(*state);
            bool fine = outbox_store(outbox, id_a, 1, "first", 5) == ERR_OK;
            outbox_settled(outbox, id_a, 1, false);
            fine = fine && outbox_store(outbox, id_a, 2, "settled", 7) == ERR_OK;
            fine = fine && outbox_store(outbox, id_b, 3, "waits", 5) == ERR_OK;
            outbox_settled(outbox, id_a, 2, false);
            if (tidied) fine = fine && outbox_tidy(outbox, clock_wall_us()) == ERR_OK;
            _exit(!fine);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        outbox_t *outbox = open_in(*state);
        struct seen seen = { 0 };
        assert_int_equal(outbox_each(outbox, see, &seen), ERR_OK);
        assert_int_equal(seen.tokens, tidied ? 3 : 2 + 3);
        outbox_settled(outbox, id_a, 2, false);
        outbox_settled(outbox, id_b, 3, false);
        outbox_close(&outbox);
        assert_int_equal(size_of_fresh(*state), 0);
    }
}

static void fresh_is_cut_when_nothing_waits(void **state)
{
    outbox_t *outbox = open_in(*state);
    static uint8_t bytes[1000];
    for (uint64_t token = 1; token <= 1000; token++) {
        assert_int_equal(outbox_store(outbox, id_a, token, bytes, sizeof bytes), ERR_OK);
        outbox_settled(outbox, id_a, token, false);
        assert_true(size_of_fresh(*state) < 70000);
    }
    assert_int_equal(outbox_tidy(outbox, clock_wall_us()), ERR_OK);
    assert_int_equal(size_of_fresh(*state), 0);
    outbox_close(&outbox);
}

static void fresh_does_not_grow_under_steady_load(void **state)
{
    outbox_t *outbox = open_in(*state);
    static uint8_t bytes[100000];
    assert_int_equal(outbox_store(outbox, id_b, 1, "waits", 5), ERR_OK);
    for (uint64_t token = 1; token <= 200; token++) {
        assert_int_equal(outbox_store(outbox, id_a, token, bytes, sizeof bytes), ERR_OK);
        outbox_settled(outbox, id_a, token, false);
    }
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "%s/outbox/fresh", (char *)*state);
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size < 9 << 20);
    assert_one_waits(outbox, "waits");
    outbox_close(&outbox);
}

static void a_result_nobody_knows_is_kept_apart_for_seven_days(void **state)
{
    outbox_t *outbox = open_in(*state);
    struct seen seen = { 0 }, orphans = { 0 }, later = { 0 };
    assert_int_equal(outbox_store(outbox, id_a, 3, "orphan", 6), ERR_OK);
    outbox_settled(outbox, id_a, 3, true);
    int64_t now = clock_wall_us();
    assert_int_equal(outbox_tidy(outbox, now), ERR_OK);
    assert_int_equal(outbox_each(outbox, see, &seen), ERR_OK);
    assert_int_equal(outbox_each_orphan(outbox, see, &orphans), ERR_OK);
    assert_int_equal(seen.count, 0);
    assert_int_equal(orphans.count, 1);
    assert_string_equal(orphans.last, "orphan");
    assert_int_equal(outbox_tidy(outbox, now + OUTBOX_KEEP_ORPHANS_US + 60000000), ERR_OK);
    assert_int_equal(outbox_each_orphan(outbox, see, &later), ERR_OK);
    assert_int_equal(later.count, 0);
    outbox_close(&outbox);
}

static void more_answers_than_fit_in_memory_are_written_on_the_way(void **state)
{
    outbox_t *outbox = open_in(*state);
    for (uint64_t token = 1; token <= 50; token++)
        assert_int_equal(outbox_store(outbox, id_a, token, "x", 1), ERR_OK);
    outbox_close(&outbox); /* moves them to the environment */
    outbox = open_in(*state);
    for (uint64_t round = 0; round < 60; round++)
        for (uint64_t token = 1; token <= 49; token++)
            outbox_settled(outbox, id_a, token, false);
    assert_int_equal(outbox_tidy(outbox, clock_wall_us()), ERR_OK);
    struct seen seen = { 0 };
    assert_int_equal(outbox_each(outbox, see, &seen), ERR_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.tokens, 50);
    outbox_close(&outbox);
}

static void a_second_executor_is_told_the_pid_of_the_first(void **state)
{
    pid_t holder;
    int first = lock_take(*state, &holder);
    assert_true(first >= 0);
    assert_int_equal(lock_take(*state, &holder), -1);
    assert_int_equal(holder, getpid());
    close(first);
    first = lock_take(*state, &holder);
    assert_true(first >= 0);
    close(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define case_of(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        case_of(what_was_stored_is_there_after_a_restart_until_it_is_settled),
        case_of(a_result_survives_a_kill_right_after_it_was_stored),
        case_of(a_half_written_record_ends_the_file_and_harms_nothing),
        case_of(what_cannot_be_read_is_not_taken_for_nothing),
        case_of(a_killed_life_tells_again_only_what_was_settled_last),
        case_of(fresh_is_cut_when_nothing_waits),
        case_of(fresh_does_not_grow_under_steady_load),
        case_of(a_result_nobody_knows_is_kept_apart_for_seven_days),
        case_of(more_answers_than_fit_in_memory_are_written_on_the_way),
        case_of(a_second_executor_is_told_the_pid_of_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * What only LMDB can show: its lock, its folder, its file, its pages. */
#include "tests/unit/broker/store_world.h"

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
    next(state);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LMDB(a_second_process_is_told_who_has_the_store),
        LMDB(the_lock_falls_to_whoever_waits_for_it),
        LMDB(rows_are_there_after_closing_and_opening),
        LMDB(a_half_made_store_is_made_anew),
        LMDB(the_folder_is_private_and_no_child_gets_the_file),
        LMDB(a_file_that_is_no_store_is_refused),
        LMDB(a_forgotten_view_shows_as_pages_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

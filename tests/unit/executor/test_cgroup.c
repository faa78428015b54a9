/* SPDX-License-Identifier: Apache-2.0
 * What is written into a cgroup's files, and read from them: a folder of plain files stands for a
 * machine that delegates memory and pids. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "executor/process/cgroup.h"
#include "executor/process/helper.h"
#include "executor/seat.h"

typedef struct fixture {
    char place[64], branch[192];
} fixture_t;

static void put(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *get(const char *folder, const char *name)
{
    static char text[64];
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

static int make(void **state)
{
    fixture_t *self = calloc(1, sizeof *self);
    char state_dir[] = "/nowhere/state";
    snprintf(self->place, sizeof self->place, "/tmp/pawl-cgroup-XXXXXX");
    if (!mkdtemp(self->place)) return -1;
    /* the kernel makes the files with the folder; here they stand there before */
    snprintf(self->branch, sizeof self->branch, "%s/pawl-executor-%016llx", self->place,
             (unsigned long long)hash64(state_dir, strlen(state_dir)));
    mkdir(self->branch, 0700);
    put(self->branch, "cgroup.kill", "");
    *state = self;
    return 0;
}

static int clear(void **state)
{
    fixture_t *self = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", self->place);
    free(self);
    return system(command);
}

static void memory_and_processes_are_limited_where_they_are_delegated(void **state)
{
    fixture_t *self = *state;
    char why[128] = "", child[256];
    put(self->branch, "cgroup.subtree_control", "");
    cgroup_t *cgroup = cgroup_open_in(self->place, "/nowhere/state", why, sizeof why);
    assert_non_null(cgroup);
    assert_true(cgroup_has_limits(cgroup));
    assert_string_equal(get(self->branch, "cgroup.subtree_control"), "+memory +pids");
    assert_string_equal(get(self->branch, "cgroup.kill"), "1"); /* what a predecessor left */
    int fd = cgroup_child(cgroup, 7);
    assert_true(fd >= 0);
    close(fd);
    snprintf(child, sizeof child, "%s/7", self->branch);
    assert_false(cgroup_limit(cgroup, 7, 1 << 20, 64)); /* no files: a limit that is not set */
    put(child, "memory.max", "");
    put(child, "pids.max", "");
    assert_true(cgroup_limit(cgroup, 7, 512 << 20, 64));
    assert_string_equal(get(child, "memory.max"), "536870912");
    assert_string_equal(get(child, "pids.max"), "64");
    put(child, "memory.max", "");
    put(child, "pids.max", "");
    assert_true(cgroup_limit(cgroup, 7, 0, 0)); /* the next attempt has none */
    assert_string_equal(get(child, "memory.max"), "max");
    assert_string_equal(get(child, "pids.max"), "max");
    assert_int_equal(cgroup_oom_kills(cgroup, 7), 0);
    put(child, "memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 3\n");
    assert_int_equal(cgroup_oom_kills(cgroup, 7), 3);
    cgroup_close(&cgroup);
}

static void without_the_controllers_it_kills_and_says_that_it_limits_nothing(void **state)
{
    fixture_t *self = *state;
    char why[128] = "";
    cgroup_t *cgroup = cgroup_open_in(self->place, "/nowhere/state", why, sizeof why);
    assert_non_null(cgroup);
    assert_false(cgroup_has_limits(cgroup));
    cgroup_close(&cgroup);
}

static void a_branch_that_somebody_removed_is_made_anew(void **state)
{
    fixture_t *self = *state;
    char why[128] = "", command[256];
    cgroup_t *cgroup = cgroup_open_in(self->place, "/nowhere/state", why, sizeof why);
    assert_non_null(cgroup);
    snprintf(command, sizeof command, "rm -rf '%s'", self->branch);
    assert_int_equal(system(command), 0);
    int fd = cgroup_child(cgroup, 3);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(system(command), 0);
    put(self->place, strrchr(self->branch, '/') + 1, "no folder"); /* and where it cannot be */
    assert_int_equal(cgroup_child(cgroup, 4), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(unlink(self->branch), 0);
    cgroup_close(&cgroup);
}

static void a_kernel_without_kill_is_said_to_be_one(void **state)
{
    fixture_t *self = *state;
    char why[128] = "", other[] = "/nowhere/other";
    assert_null(cgroup_open_in(self->place, other, why, sizeof why));
    assert_string_equal(why, "a kernel without cgroup.kill");
    assert_null(cgroup_open_in("/nowhere", other, why, sizeof why));
    assert_string_equal(why, "no right to make a cgroup");
}

static helper_t *helper;

static void no_command_is_seated_outside_of_its_cgroup(void **state)
{
    fixture_t *self = *state;
    char why[128] = "";
    cgroup_t *cgroup = cgroup_open_in(self->place, "/nowhere/state", why, sizeof why);
    assert_non_null(cgroup);
    seat_maker_t maker = { helper, cgroup, 0, epoll_create1(EPOLL_CLOEXEC) };
    const struct config_limits limits = { 0 };
    seat_t seat = SEAT_EMPTY;
    put(self->branch, "0", "no folder can be made here");
    assert_false(seat_prepare(&seat, &maker, &limits, 1));
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(seat.warden, -1);
    assert_true(seat_prepare(&seat, &maker, &limits, 1)); /* the next one has its own */
    assert_int_equal(seat.cgroup, 1);
    seat_clear(&seat, &maker);
    close(maker.epoll);
    cgroup_close(&cgroup);
}

int main(void)
{
    if (helper_start(&helper) != ERR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_and_processes_are_limited_where_they_are_delegated,
                                        make, clear),
        cmocka_unit_test_setup_teardown(
            without_the_controllers_it_kills_and_says_that_it_limits_nothing, make, clear),
        cmocka_unit_test_setup_teardown(a_kernel_without_kill_is_said_to_be_one, make, clear),
        cmocka_unit_test_setup_teardown(a_branch_that_somebody_removed_is_made_anew, make, clear),
        cmocka_unit_test_setup_teardown(no_command_is_seated_outside_of_its_cgroup, make, clear),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return helper_stop(&helper, 60000) ? failed : 1;
}

/* SPDX-License-Identifier: Apache-2.0
 * The poison file, with processes that really die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/poison.h"
#include "schemas/pawl.pb-c.h"

static char folder[] = "/tmp/pawl-poison-XXXXXX", path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/poison", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static poison_t *opened(void)
{
    poison_t *poison;
    assert_int_equal(poison_open(&poison, path), ERR_OK);
    return poison;
}

/* A process applies requests `a` and `b` in one batch and dies of `number`. */
static void die_of(int number, uint64_t a, uint64_t b)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        poison_t *poison;
        if (poison_open(&poison, path) != ERR_OK) _exit(1);
        signal(number, SIG_DFL);
        poison_watch(poison);
        poison_begin(poison);
        poison_add(poison, a);
        poison_add(poison, b);
        kill(getpid(), number);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == number);
}

static void a_request_that_kills_twice_is_refused_and_its_neighbour_is_not(void **state)
{
    (void)state;
    die_of(SIGSEGV, 71, 72);
    die_of(SIGABRT, 71, 0); /* alone, as suspects are */
    poison_t *poison = opened();
    assert_int_equal(poison_judge(poison, 71), POISON_REFUSE);
    assert_int_equal(poison_judge(poison, 72), POISON_SUSPECT);
    assert_int_equal(poison_judge(poison, 73), POISON_NONE);
    poison_clear(poison, 72);
    assert_int_equal(poison_judge(poison, 72), POISON_NONE);
    poison_close(&poison); /* an orderly end forgives */
    poison = opened();
    assert_int_equal(poison_judge(poison, 71), POISON_NONE);
    poison_close(&poison);
}

static void a_kill_from_outside_says_little_about_a_request(void **state)
{
    (void)state;
    for (unsigned i = 0; i < POISON_MARKS; i++)
        die_of(SIGKILL, 5, 0);
    poison_t *poison = opened();
    assert_int_equal(poison_judge(poison, 5), POISON_REFUSE);
    poison_close(&poison);
    for (unsigned i = 0; i < POISON_OWN - 1; i++)
        die_of(SIGKILL, 5, 0);
    poison = opened();
    assert_int_equal(poison_judge(poison, 5), POISON_NONE);
    poison_close(&poison);
}

static void a_process_that_dies_between_batches_leaves_no_mark(void **state)
{
    (void)state;
    poison_t *poison = opened();
    poison_begin(poison);
    for (uint64_t i = 1; i < POISON_APPLYING_MAX + 9; i++)
        poison_add(poison, i);
    poison_end(poison);
    die_of(SIGSEGV, 0, 0);
    poison_t *next = opened();
    assert_int_equal(poison_judge(next, 1), POISON_NONE);
    poison_close(&next);
    poison_close(&poison);
}

static void a_file_of_something_else_is_thrown_away_and_it_belongs_to_its_owner(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 40000; i++)
        fputc('x', file);
    fclose(file);
    chmod(path, 0644);
    poison_t *poison = opened();
    assert_int_equal(poison_judge(poison, UINT64_C(0x7878787878787878)), POISON_NONE);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    poison_close(&poison);
    assert_int_equal(poison_open(&poison, "/nowhere/poison"), ERR_OS);
    assert_int_equal(poison_judge(NULL, 1), POISON_NONE); /* it runs without */
}

static uint64_t hash_of(Pawl__V1__Request *request)
{
    uint8_t bytes[4096];
    return poison_hash(slice(bytes, pawl__v1__request__pack(request, bytes)));
}

static void a_resend_in_a_new_session_is_the_same_request(void **state)
{
    (void)state;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange change = PAWL__V1__TASK_CHANGE__INIT;
    uint8_t session[16] = "one", request_id[16] = "id";
    request.magic = 7;
    request.seq = 3;
    request.session.data = session;
    request.session.len = 16;
    request.request_id.data = request_id;
    request.request_id.len = 16;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    request.task_change = &change;
    char reason[600];
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    change.reason = reason;
    uint64_t first = hash_of(&request);
    request.seq = 90000;
    request.assign_seen = 12;
    session[0]++;
    assert_true(hash_of(&request) == first && first != 0);
    reason[0] = 's';
    assert_true(hash_of(&request) != first);
    reason[0] = 'r';
    reason[sizeof reason - 2] = 's';
    assert_true(hash_of(&request) != first);
    reason[sizeof reason - 2] = 'r';
    request_id[0]++;
    assert_true(hash_of(&request) != first);
    assert_true(poison_hash(slice("\xff\xff", 2)) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_kills_twice_is_refused_and_its_neighbour_is_not),
        cmocka_unit_test(a_kill_from_outside_says_little_about_a_request),
        cmocka_unit_test(a_process_that_dies_between_batches_leaves_no_mark),
        cmocka_unit_test(a_file_of_something_else_is_thrown_away_and_it_belongs_to_its_owner),
        cmocka_unit_test(a_resend_in_a_new_session_is_the_same_request),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/base.h"
#include "client/base/ulid.h"

static void an_id_reads_back_from_its_text(void **state)
{
    (void)state;
    ulid_t id = ulid_now(), again;
    char text[ULID_TEXT + 1];
    ulid_print(id.at, text);
    assert_true(ulid_parse(text, strlen(text), &again));
    assert_memory_equal(id.at, again.at, ULID_BYTES);
}

static void the_reference_text_has_the_reference_bytes(void **state)
{
    (void)state;
    ulid_t id;
    assert_true(ulid_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", 26, &id));
    assert_int_equal(ulid_time_us(id.at), INT64_C(1469922850259) * 1000);
    char text[ULID_TEXT + 1];
    ulid_print(id.at, text);
    assert_string_equal(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

static void ids_of_one_process_rise(void **state)
{
    (void)state;
    ulid_t last = ulid_now();
    for (int i = 0; i < 10000; i++) {
        ulid_t next = ulid_now();
        assert_true(memcmp(next.at, last.at, ULID_BYTES) > 0);
        last = next;
    }
}

/* Within one millisecond, which is why it is tried often. */
static void a_forked_child_draws_ids_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        int pipes[2], ended;
        ulid_t last = ulid_now(), theirs;
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            ulid_t drawn = ulid_now();
            _exit(write(pipes[1], &drawn, sizeof drawn) != sizeof drawn);
        }
        ulid_t ours = ulid_now();
        assert_int_equal(read(pipes[0], &theirs, sizeof theirs), sizeof theirs);
        assert_int_equal(waitpid(pid, &ended, 0), pid);
        close(pipes[0]);
        close(pipes[1]);
        assert_true(memcmp(ours.at, theirs.at, ULID_BYTES) != 0);
        assert_true(memcmp(ours.at, last.at, ULID_BYTES) > 0);
    }
}

static void a_prefix_stands_for_a_range(void **state)
{
    (void)state;
    ulid_t low, high, id;
    assert_true(ulid_parse("01ARZ3NDEKTSV4RRFFQ69G5FAV", 26, &id));
    assert_true(ulid_prefix("01arz3nd", 8, &low, &high));
    assert_true(memcmp(low.at, id.at, 16) <= 0 && memcmp(id.at, high.at, 16) <= 0);
    assert_false(ulid_prefix("8", 1, &low, &high));
    assert_false(ulid_prefix("01U", 3, &low, &high));
}

static void the_checksum_is_castagnolis(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_reads_back_from_its_text),
        cmocka_unit_test(the_reference_text_has_the_reference_bytes),
        cmocka_unit_test(ids_of_one_process_rise),
        cmocka_unit_test(a_forked_child_draws_ids_of_its_own),
        cmocka_unit_test(a_prefix_stands_for_a_range),
        cmocka_unit_test(the_checksum_is_castagnolis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

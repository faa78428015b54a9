/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scheduler/timeline.h"

static void uid_of(uint64_t i, uint8_t uid[16])
{
    be_put_u64(be_put_u64(uid, i * UINT64_C(0x9E3779B97F4A7C15)), i);
}

static void the_first_is_always_the_one_due_first(void **state)
{
    (void)state;
    enum { N = 500, STEPS = 20000 };
    int64_t due[N];
    bool there[N];
    timeline_t *line = timeline_new();
    uint64_t seed = 42;
    for (int i = 0; i < N; i++)
        there[i] = false;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t i = (seed >> 33) % N;
        uint8_t uid[16];
        uid_of(i, uid);
        if ((seed >> 20) % 5 == 0) {
            timeline_remove(line, uid);
            there[i] = false;
        } else {
            due[i] = (int64_t)((seed >> 12) % 1000);
            there[i] = true;
            timeline_set_due(line, timeline_entry(line, uid), due[i]);
        }
        int64_t least = INT64_MAX;
        size_t n = 0;
        for (size_t k = 0; k < N; k++) {
            n += there[k];
            if (there[k] && due[k] < least) least = due[k];
        }
        assert_int_equal(timeline_size(line), n);
        entry_t *first = timeline_first(line);
        assert_true(n == 0 ? first == NULL : first->due_us == least);
    }
    timeline_destroy(&line);
    assert_null(line);
}

static void a_removed_schedule_is_not_found_and_others_are(void **state)
{
    (void)state;
    timeline_t *line = timeline_new();
    uint8_t uid[16];
    for (uint64_t i = 0; i < 1000; i++) {
        uid_of(i, uid);
        timeline_entry(line, uid)->revision = i;
    }
    for (uint64_t i = 0; i < 1000; i += 2) {
        uid_of(i, uid);
        timeline_remove(line, uid);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        uid_of(i, uid);
        entry_t *entry = timeline_find(line, uid);
        assert_true(i % 2 ? entry && entry->revision == i : entry == NULL);
    }
    timeline_destroy(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_one_due_first),
        cmocka_unit_test(a_removed_schedule_is_not_found_and_others_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

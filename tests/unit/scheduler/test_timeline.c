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
            entry_t *entry = timeline_find(line, uid);
            if (entry) timeline_remove(line, entry);
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
        timeline_remove(line, timeline_find(line, uid));
    }
    for (uint64_t i = 0; i < 1000; i++) {
        uid_of(i, uid);
        entry_t *entry = timeline_find(line, uid);
        assert_true(i % 2 ? entry && entry->revision == i : entry == NULL);
    }
    timeline_destroy(&line);
}

static void those_due_together_have_their_turn_in_the_order_in_which_they_were_made(void **state)
{
    (void)state;
    enum { N = 1000 };
    timeline_t *line = timeline_new();
    uint8_t uid[16];
    for (uint64_t i = 0; i < N; i++) {
        uid_of(i, uid);
        timeline_entry(line, uid);
    }
    for (int minute = 1; minute <= 3; minute++) {
        for (uint64_t i = N; i-- > 0;) { /* whatever the order in which they are answered */
            uid_of(i * 7 % N, uid);
            timeline_set_due(line, timeline_find(line, uid), i * 7 % N % 3 ? 60 * minute : 1000);
        }
        for (uint64_t i = 0; i < N; i++) {
            if (i % 3 == 0) continue;
            uid_of(i, uid);
            entry_t *first = timeline_first(line);
            assert_memory_equal(first->uid, uid, 16);
            timeline_set_due(line, first, TIMELINE_NEVER);
        }
    }
    timeline_destroy(&line);
}

static void a_range_goes_with_its_schedule(void **state)
{
    (void)state;
    timeline_t *line = timeline_new();
    uint8_t uid[16], back[16];
    for (uint64_t i = 0; i < 100; i++) {
        uid_of(i, uid);
        entry_t *schedule = timeline_entry(line, uid);
        schedule->list = (uint8_t)(i % 2);
        for (uint16_t range = 1; range <= 5; range++)
            assert_ptr_equal(timeline_range(line, schedule, range),
                             timeline_range(line, schedule, range));
        timeline_range_uid(schedule->ranges->uid, 5, back);
        assert_memory_equal(back, uid, 16);
        timeline_remove(line, schedule->ranges->ranges); /* in the middle: number 4 */
        int n = 0;
        for (entry_t *range = schedule->ranges; range; range = range->ranges, n++)
            assert_int_not_equal(range->range, 4);
        assert_int_equal(n, 4);
    }
    assert_int_equal(timeline_size(line), 500);
    assert_int_equal(timeline_keep(line, 1), 50);
    assert_int_equal(timeline_size(line), 250);
    uid_of(1, uid);
    timeline_remove(line, timeline_find(line, uid));
    assert_int_equal(timeline_size(line), 245);
    timeline_destroy(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_one_due_first),
        cmocka_unit_test(a_removed_schedule_is_not_found_and_others_are),
        cmocka_unit_test(those_due_together_have_their_turn_in_the_order_in_which_they_were_made),
        cmocka_unit_test(a_range_goes_with_its_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/base/hist.h"

static void an_empty_histogram_answers_zero(void **state)
{
    (void)state;
    hist_t hist = { 0 };
    assert_int_equal(hist_percentile(&hist, 500), 0);
    assert_int_equal(hist_percentile(&hist, 1000), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (int64_t value = 0; value < 8; value++) {
        hist_t hist = { 0 };
        hist_add(&hist, value);
        hist_add(&hist, 100);
        assert_int_equal(hist_percentile(&hist, 500), value);
    }
}

static void a_percentile_is_at_most_a_quarter_too_high_and_never_too_low(void **state)
{
    (void)state;
    for (int64_t value = 4; value < INT64_C(1) << 40; value += value / 7 + 1) {
        hist_t hist = { 0 };
        hist_add(&hist, value);
        hist_add(&hist, INT64_C(1) << 41);
        int64_t median = hist_percentile(&hist, 500);
        assert_true(median >= value);
        assert_true(median <= value + value / 4);
    }
}

static void percentiles_stand_in_order_and_end_at_the_exact_maximum(void **state)
{
    (void)state;
    hist_t hist = { 0 };
    for (int i = 1; i <= 1000; i++)
        hist_add(&hist, i);
    int64_t last = 0;
    for (unsigned p = 0; p <= 1000; p += 10) {
        assert_true(hist_percentile(&hist, p) >= last);
        last = hist_percentile(&hist, p);
    }
    assert_int_equal(last, 1000);
    assert_in_range(hist_percentile(&hist, 500), 500, 625);
    assert_in_range(hist_percentile(&hist, 990), 990, 1000);
}

static void values_beyond_the_last_bucket_and_below_zero_are_counted(void **state)
{
    (void)state;
    hist_t hist = { 0 };
    hist_add(&hist, INT64_MAX);
    hist_add(&hist, -5);
    assert_int_equal(hist.count, 2);
    assert_int_equal(hist_percentile(&hist, 100), 0);
    assert_true(hist_percentile(&hist, 990) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_answers_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(a_percentile_is_at_most_a_quarter_too_high_and_never_too_low),
        cmocka_unit_test(percentiles_stand_in_order_and_end_at_the_exact_maximum),
        cmocka_unit_test(values_beyond_the_last_bucket_and_below_zero_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The numbers of the stats object: those of the last minute, not since start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/stats.h"

/* `max` of latency.run, in seconds, when `before` was measured a minute ago and `now` since. */
static double max_of_last_minute(const hist_t *before, const hist_t *now)
{
    stats_window_t *window = stats_window_new();
    writer_stats_t stats = { .run = *before };
    front_numbers_t front = { 0 };
    for (int second = 0; second < 60; second++)
        stats_window_add(window, &stats, second * INT64_C(1000000));
    buf_t json = { 0 };
    stats.run = *now;
    stats_json(&json, window, &stats, INT64_C(60000000), &front);
    buf_add(&json, "", 1);
    const char *run = strstr((char *)json.at, "\"run\":");
    assert_non_null(run);
    const char *max = strstr(run, "\"max\":");
    assert_non_null(max);
    double seconds = strtod(max + 6, NULL);
    buf_free(&json);
    stats_window_destroy(&window);
    return seconds;
}

static void the_largest_of_a_minute_is_told_also_when_it_is_one_in_many(void **state)
{
    (void)state;
    hist_t before = { 0 };
    hist_add(&before, 3600000000); /* an hour, long ago: not of this minute */
    hist_t now = before;
    for (int i = 0; i < 10000; i++)
        hist_add(&now, 1000);
    hist_add(&now, 60000000);
    double max = max_of_last_minute(&before, &now);
    assert_true(max >= 60 && max < 60 * 1.25);
}

static void a_minute_in_which_nothing_ended_has_no_largest(void **state)
{
    (void)state;
    hist_t before = { 0 };
    hist_add(&before, 1000);
    assert_true(max_of_last_minute(&before, &before) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_of_a_minute_is_told_also_when_it_is_one_in_many),
        cmocka_unit_test(a_minute_in_which_nothing_ended_has_no_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

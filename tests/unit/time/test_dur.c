/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/time/dur.h"

static void a_duration_is_printed_in_the_largest_unit_that_is_exact(void **state)
{
    (void)state;
    char text[DUR_TEXT];
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = { { "500ms", 500000 }, { "90s", 90000000 },
                  { "5m", 300000000 }, { "2h", INT64_C(7200000000) },
                  { "7us", 7 },        { "2d", INT64_C(172800000000) },
                  { "0s", 0 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dur_print(cases[i].us, text);
        assert_string_equal(text, cases[i].text);
    }
    dur_print(INT64_MIN, text);
    assert_string_equal(text, "-9223372036854775808us");
}

static void moments_are_rfc_3339_or_local_time_in_a_zone(void **state)
{
    (void)state;
    zone_t *paris = NULL;
    assert_int_equal(zone_open(&paris, "Europe/Paris", NULL), ERR_OK);
    const struct {
        const char *text;
        const zone_t *zone;
        int64_t us;
    } good[] = {
        { "2026-12-01T02:00:00+01:00", NULL, INT64_C(1796086800000000) },
        { "2026-12-01T01:00:00Z", NULL, INT64_C(1796086800000000) },
        { "2026-12-01 01:00:00.000001Z", NULL, INT64_C(1796086800000001) },
        { "2026-12-01T02:00", paris, INT64_C(1796086800000000) },
        { "2026-12-01T01:00:00Z", paris, INT64_C(1796086800000000) },
        { "2026-12-01", paris, INT64_C(1796079600000000) },
        { "2026-03-29T02:30", paris, INT64_C(1774746000000000) }, /* skipped: 03:00 +02:00 */
        { "2026-10-25T02:30", paris, INT64_C(1792888200000000) }, /* the first of two */
    };
    static const char *const bad[] = { "",
                                       "2026-12-01T01:00:00",
                                       "2026-12-01",
                                       "2026-13-01T00:00Z",
                                       "2026-02-29T00:00Z",
                                       "2026-12-01T24:00Z",
                                       "2026-12-01T00:00:60Z",
                                       "2026-12-01T00:00Zx",
                                       "2026-12-01T00:00:00.1234567Z",
                                       "2026-12-01T00:00+1:00",
                                       "1970-01-01T00:00+01:00",
                                       "now",
                                       "1700000000" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t us = 0;
        assert_int_equal(moment_parse(good[i].text, good[i].zone, &us), ERR_OK);
        assert_true(us == good[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t us = -1;
        assert_int_equal(moment_parse(bad[i], NULL, &us), ERR_BAD_VALUE);
        assert_true(us == -1);
    }
    zone_destroy(&paris);
}

static void a_moment_is_printed_with_its_offset_and_reads_back(void **state)
{
    (void)state;
    static const char *const zones[] = { "UTC", "Asia/Kathmandu", "America/St_Johns",
                                         "Africa/Monrovia" };
    char text[MOMENT_TEXT];
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        zone_t *zone = NULL;
        assert_int_equal(zone_open(&zone, zones[i], NULL), ERR_OK);
        for (int64_t t = INT64_C(86400000000); t < INT64_C(4000000000000000);
             t += INT64_C(12345678901234)) {
            moment_print(t, zone, text);
            assert_int_equal(moment_parse(text, NULL, &us), ERR_OK);
            assert_true(us == t);
        }
        zone_destroy(&zone);
    }
    moment_print(INT64_C(1796086800500000), NULL, text);
    assert_string_equal(text, "2026-12-01T01:00:00.5Z");
    moment_print(-1, NULL, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    moment_print(INT64_MAX, NULL, text);
    assert_string_equal(text, "9223372036854775807us");
    moment_print(INT64_MIN, NULL, text);
    assert_string_equal(text, "-9223372036854775808us");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_printed_in_the_largest_unit_that_is_exact),
        cmocka_unit_test(moments_are_rfc_3339_or_local_time_in_a_zone),
        cmocka_unit_test(a_moment_is_printed_with_its_offset_and_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include "client/cli/instant.h"
#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static const char *read_as(const char *text, const char *zone)
{
    int64_t us;
    return instant_read(text, zone, &us) ? instant_text_in(zone, us) : "refused";
}

static void a_local_time_is_what_rules_make_of_it(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "2027-03-28T02:30:00", "Europe/Paris", "2027-03-28T03:00:00+02:00" }, /* in the gap */
        { "2027-03-28 02:00", "Europe/Paris", "2027-03-28T03:00:00+02:00" },
        { "2027-03-28T02:59:59.5", "Europe/Paris", "2027-03-28T03:00:00+02:00" },
        { "2027-03-28T01:59:59", "Europe/Paris", "2027-03-28T01:59:59+01:00" },
        { "2027-10-31T02:30:00", "Europe/Paris", "2027-10-31T02:30:00+02:00" }, /* shown twice */
        { "2027-10-31T02:30:00+01:00", "Europe/Paris", "2027-10-31T02:30:00+01:00" },
        { "2027-10-31T01:30:00Z", "Europe/Paris", "2027-10-31T02:30:00+01:00" },
        { "2027-03-14T02:30:00", "America/New_York", "2027-03-14T03:00:00-04:00" },
        { "2027-11-07T01:30:00", "America/New_York", "2027-11-07T01:30:00-04:00" },
        { "2011-12-30T12:00:00", "Pacific/Apia", "2011-12-31T00:00:00+14:00" },
        { "2027-03-28", "Asia/Beirut", "2027-03-28T01:00:00+03:00" }, /* no midnight */
        { "2026-12-01T02:00:00", "UTC", "2026-12-01T02:00:00+00:00" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = read_as(cases[i][0], cases[i][1]);
        if (strcmp(got, cases[i][2]) != 0)
            fail_msg("%s in %s: %s, not %s", cases[i][0], cases[i][1], got, cases[i][2]);
    }
}

static void what_is_no_instant_is_refused(void **state)
{
    (void)state;
    static const char *const none[] = { "",
                                        "tomorrow",
                                        "2026-02-30",
                                        "2026-12-01T",
                                        "2026-12-01T25:00:00",
                                        "2026-12-01T02:00:00+1",
                                        "2026-12-01T02:00:00 ",
                                        "2026-12-01T02:60" };
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        if (instant_read(none[i], "UTC", &us)) fail_msg("taken: %s", none[i]);
    assert_false(instant_read("2026-12-01", "Atlantis/Sunken", &us));
    assert_true(instant_read("2026-12-01T00:00Z", "Atlantis/Sunken", &us));
    assert_true(instant_read("now", "UTC", &us));
}

static void sentences_have_their_instants_in_the_zone_that_is_shown(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "it may start at 2026-12-01T01:00:00Z", "it may start at 2026-12-01T10:00:00+09:00" },
        { "paused since 2026-12-01T01:00:00Z: until 2026-12-01T01:00:00Z",
          "paused since 2026-12-01T10:00:00+09:00: until 2026-12-01T01:00:00Z" },
        { "next 2026-12-01T01:00:00Z -> never", "next 2026-12-01T10:00:00+09:00 -> never" },
        { "next never -> 2026-12-01T01:00:00Z", "next never -> 2026-12-01T10:00:00+09:00" },
        { "file 2026-12-01T01:00:00Z", "file 2026-12-01T01:00:00Z" },
        { "at 2026-12-01T01:00:0", "at 2026-12-01T01:00:0" },
        { "at 2026-13-01T01:00:00Z", "at 2026-13-01T01:00:00Z" },
        { "", "" },
    };
    zone_show("Asia/Tokyo");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(instants_shown(cases[i][0]), cases[i][1]);
    zone_show("UTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_local_time_is_what_rules_make_of_it, forget),
        cmocka_unit_test_teardown(what_is_no_instant_is_refused, forget),
        cmocka_unit_test(sentences_have_their_instants_in_the_zone_that_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

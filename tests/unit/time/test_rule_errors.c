/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/time/rule.h"

static zone_t *zone;

static int open_zone(void **state)
{
    (void)state;
    return zone_open(&zone, "Europe/Berlin", NULL) == ERR_OK ? 0 : -1;
}

static int close_zone(void **state)
{
    (void)state;
    zone_destroy(&zone);
    return 0;
}

static void assert_refused(slice_t text, const char *exclusions, const char *code, size_t column)
{
    rule_t *rule = NULL;
    rule_error_t error;
    assert_int_equal(
        rule_parse(&rule, (const char *)text.at, text.len, exclusions, NULL, zone, &error),
        ERR_BAD_RULE);
    assert_null(rule);
    if (strcmp(error.code, code) != 0 || error.column != column)
        fail_msg("%.*s: %s %zu instead of %s %zu", (int)text.len, (const char *)text.at, error.code,
                 error.column, code, column);
    assert_true(strlen(error.text) > 10);
}

static void the_first_wrong_byte_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
        size_t column;
    } cases[] = {
        { "", "fields", 1 },
        { "* * * *", "fields", 8 },
        { " 1,,2 * * * *", "syntax", 4 },
        { "*/90 * * * *", "step", 3 },
        { "99x * * * *", "range", 1 },
        { "0 0 * * MON#6", "nth", 13 },
        { "0 0 L-3 * *", "syntax", 6 },
        { "0 0 30 2 *", "never", 5 },
        { "0 0 31 4,6 *", "never", 5 },
        { "0 0 30W 2 *", "never", 5 },
        { "0 0 LW * */7", "never", 5 },
        { "0 0 */10 2 5#5", "never", 5 },
        { "@daily x", "fields", 8 },
        { "@reboot", "macro", 1 },
        { "0 0 1-15W * *", "syntax", 9 },
        { "0 0 * * MON-FRI#2", "syntax", 16 },
        { "0 0 L/2 * *", "syntax", 6 },
        { "0 0 15W-20 * *", "syntax", 8 },
        { "0 0 * * MON-FRIL", "name", 13 },
        { "0 0 * JANUARY *", "name", 7 },
        { "0 0 * MON *", "name", 7 },
        { "0 L * * *", "name", 3 },
        { "H * * * *", "name", 1 },
        { "0 0 * * L", "name", 9 },
        { "0 0 ? * *", "syntax", 5 },
        { "4294967296 * * * *", "range", 1 },
        { "* * * * * * *", "fields", 13 },
        { "1, * * * *", "syntax", 3 },
        { "@every 5m", "fields", 10 },
        { "@every 5m from 2026-01-01T00:00 x", "fields", 33 },
        { "@every 0s from 2026-01-01T00:00", "range", 8 },
        { "@every 5w from 2026-01-01T00:00", "syntax", 9 },
        { "@every 5m at 2026-01-01T00:00", "syntax", 11 },
        { "@at 2026-02-29T00:00", "range", 13 },
        { "@at 2026-01-01T24:00", "range", 16 },
        { "@at 1969-12-31T23:59Z", "range", 5 },
        { "@at 2026-01-01", "syntax", 15 },
        { "@dates 2026-01-01,", "syntax", 19 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(slice_text(cases[i].text), NULL, cases[i].code, cases[i].column);
}

static void bytes_that_are_no_text_are_syntax_errors(void **state)
{
    (void)state;
    assert_refused(slice("* * * *\0 *", 10), NULL, "syntax", 8);
    assert_refused(slice_text("* * *\n* * *"), NULL, "syntax", 6);
    assert_refused(slice_text("* * * * \xff"), NULL, "syntax", 9);
}

static void a_text_of_4095_bytes_is_read_and_one_more_is_too_long(void **state)
{
    (void)state;
    char text[RULE_TEXT_MAX + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "* * * * *", 9);
    rule_t *rule = NULL;
    assert_int_equal(rule_parse(&rule, text, RULE_TEXT_MAX, NULL, NULL, zone, NULL), ERR_OK);
    rule_destroy(&rule);
    assert_refused(slice(text, RULE_TEXT_MAX + 1), NULL, "too_long", RULE_TEXT_MAX + 1);
}

static void exclusions_are_read_before_the_rule(void **state)
{
    (void)state;
    rule_t *rule = NULL;
    rule_error_t error;
    assert_refused(slice_text("* * *"), "2026-01-01,2026-02-30", "range", 20);
    assert_refused(slice_text("* * *"), "2026-01-01T00:00Z", "syntax", 17);
    assert_refused(slice_text("* * *"), "2026-01-01, 2026-01-02", "syntax", 12);
    assert_int_equal(rule_parse(&rule, "* * * * *", 9, "x", NULL, zone, &error), ERR_BAD_RULE);
    assert_true(error.in_exclusions);
    assert_int_equal(rule_parse(&rule, "* * * *", 7, "2026-01-01", NULL, zone, &error),
                     ERR_BAD_RULE);
    assert_false(error.in_exclusions);
}

static void errors_say_what_was_found_and_what_was_expected(void **state)
{
    (void)state;
    rule_t *rule = NULL;
    rule_error_t error;
    assert_int_equal(rule_parse(&rule, "99 * * * *", 10, NULL, NULL, zone, &error), ERR_BAD_RULE);
    assert_string_equal(error.text, "found \"99\", expected a minute from 0 to 59");
    assert_int_equal(rule_parse(&rule, "1, * * * *", 10, NULL, NULL, zone, &error), ERR_BAD_RULE);
    assert_string_equal(error.text, "found the end, expected a minute from 0 to 59");
}

/* Whatever bytes come, parsing ends with a rule that answers or with a code and a column. */
static void random_bytes_end_as_a_rule_or_an_error(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789*,-/#LWH() \tMONFRIJAN@everyatdsfromTZ:+\n?";
    uint64_t random = 99;
    for (int i = 0; i < 200000; i++) {
        char text[40];
        size_t len = 0;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t want = (size_t)(random >> 40) % sizeof text;
        while (len < want) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            text[len++] = random >> 60 ? alphabet[(random >> 33) % (sizeof alphabet - 1)]
                                       : "* "[random >> 50 & 1];
        }
        char *exact = mem_copy(text, len); /* its own memory: a read behind it is seen */
        rule_t *rule = NULL;
        rule_error_t error;
        if (rule_parse(&rule, exact, len, NULL, "job", zone, &error) == ERR_OK) {
            int64_t next = rule_next(rule, 1700000000);
            assert_true(next == RULE_NONE || next > 1700000000);
        } else {
            assert_in_range(error.column, 1, len + 1);
        }
        rule_destroy(&rule);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_wrong_byte_is_named),
        cmocka_unit_test(bytes_that_are_no_text_are_syntax_errors),
        cmocka_unit_test(a_text_of_4095_bytes_is_read_and_one_more_is_too_long),
        cmocka_unit_test(exclusions_are_read_before_the_rule),
        cmocka_unit_test(errors_say_what_was_found_and_what_was_expected),
        cmocka_unit_test(random_bytes_end_as_a_rule_or_an_error),
    };
    return cmocka_run_group_tests(tests, open_zone, close_zone);
}

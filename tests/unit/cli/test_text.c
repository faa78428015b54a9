/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static void wide_letters_take_two_columns_and_marks_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {
        { "", 0 },
        { "abc", 3 },
        { "\xc3\xa9t\xc3\xa9", 3 },        /* été */
        { "\xe5\x90\x8c\xe6\xad\xa5", 4 }, /* 同步 */
        { "e\xcc\x81", 1 },                /* é of two letters */
        { "\xf0\x9f\x9a\x80!", 3 },        /* a rocket */
        { "\xff\xfe", 2 },
        { "\xe5\x90", 2 },
        { "\xe5", 1 },
        { "\xf8\x80\x80", 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(text_width(cases[i].text), cases[i].width);
}

static void a_cut_is_at_a_letter_and_no_wider_than_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *cut;
        size_t most;
    } cases[] = {
        { "abcdef", "abcdef", 6 },
        { "abcdefg", "abc...", 6 },
        { "\xe5\x90\x8c\xe6\xad\xa5", "\xe5\x90\x8c\xe6\xad\xa5", 4 },
        { "\xe5\x90\x8c\xe6\xad\xa5\xe5\x90\x8c", "\xe5\x90\x8c...", 5 },
        { "\xe5\x90\x8c\xe6\xad\xa5\xe5\x90\x8c", "...", 4 },
        { "", "", 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[40];
        strcpy(text, cases[i].text);
        text_cut(text, cases[i].most);
        assert_string_equal(text, cases[i].cut);
        assert_true(text_width(text) <= cases[i].most);
    }
}

static void nothing_that_a_terminal_obeys_is_left(void **state)
{
    (void)state;
    assert_string_equal(text_tamed("a\033[31mred\n\tb\x7f"), "a [31mred  b ");
    assert_string_equal(text_tamed("\xc2\x9b"
                                   "31m"),
                        "  31m"); /* CSI in one letter */
    assert_string_equal(text_tamed("\xc2\xa0\xc3\x9b"), "\xc2\xa0\xc3\x9b");
    assert_string_equal(text_tamed("\xc2"), "\xc2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_letters_take_two_columns_and_marks_none),
        cmocka_unit_test(a_cut_is_at_a_letter_and_no_wider_than_asked_for),
        cmocka_unit_test(nothing_that_a_terminal_obeys_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

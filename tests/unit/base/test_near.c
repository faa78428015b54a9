/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "client/base/near.h"

static void only_near_words_are_suggested(void **state)
{
    (void)state;
    static const char *const words[] = { "list", "show", "cancel" };
    assert_string_equal(did_you_mean("lsit", words, 3), "list");
    assert_string_equal(did_you_mean("cancle", words, 3), "cancel");
    assert_null(did_you_mean("restart", words, 3));
    assert_int_equal(edit_distance("ab", "ba"), 1);
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    char longest[65];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_true(edit_distance(longest, "a") == SIZE_MAX);
    assert_int_equal(edit_distance(longest + 1, "a"), 62);
    assert_null(did_you_mean("", words, 3));
    assert_null(did_you_mean("list", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_near_words_are_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

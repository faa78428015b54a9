/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "schemas/requirement.h"

static void a_requirement_is_a_name_and_perhaps_a_version(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t name;
    } cases[] = {
        { "python3", 7 },
        { "python3>=3.11", 7 },
        { "node >= 18", 4 },
        { "perl<5.40", 4 },
        { "bash=5.2", 4 },
        { "a-b.c>1", 5 },
        { "", 0 },
        { ">=3", 0 },
        { "python3>", 0 },
        { "python3>=", 0 },
        { "python3>=x", 0 },
        { "python3 3", 0 },
        { "python3>=3 x", 0 },
        { "python3==3", 0 },
        { "python3>=3.x", 0 },
        { "python3 ", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(requirement_name(cases[i].text), cases[i].name);
}

static void versions_are_compared_number_by_number(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *version;
        bool met;
    } cases[] = {
        { "python3", "python3", "", true },
        { "python3", "python3", "3.9", true },
        { "python3", "python", "3.9", false },
        { "python", "python3", "3.9", false },
        { "python3>=3.11", "python3", "3.11", true },
        { "python3>=3.11", "python3", "3.11.2", true },
        { "python3>=3.11", "python3", "3.9.18", false },
        { "python3>3.11", "python3", "3.11.0", false },
        { "python3>3.11", "python3", "3.11.1", true },
        { "python3<3.11", "python3", "3.10.99", true },
        { "python3<3.11", "python3", "3.11", false },
        { "python3<=3.11", "python3", "3.11.0", true },
        { "python3=3.11", "python3", "3.11.0", true },
        { "python3=3.11", "python3", "3.11.2", false },
        { "python3 >= 3", "python3", "", false },
        { "bash>=5.2", "bash", "5.2.15(1)-release", true },
        { "python3>=3.13", "python3", "3.13rc1", true },
        { "node>=99999999999999999999", "node", "18", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (requirement_met(cases[i].text, cases[i].name, cases[i].version) != cases[i].met)
            fail_msg("%s with %s %s", cases[i].text, cases[i].name, cases[i].version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_requirement_is_a_name_and_perhaps_a_version),
        cmocka_unit_test(versions_are_compared_number_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

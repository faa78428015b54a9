/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "executor/interpreters.h"
#include "executor/lines.h"

struct told {
    int times;
    int64_t done, total;
    char text[LINES_ROOM];
};

static void on_progress(void *arg, int64_t done, int64_t total, const char *text)
{
    struct told *told = arg;
    told->times++;
    told->done = done;
    told->total = total;
    snprintf(told->text, sizeof told->text, "%s", text);
}

static void a_line_says_how_far_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        int times;
        int64_t done, total;
        const char *text;
    } cases[] = {
        { "::pawl progress 40/100 pages read\n", 1, 40, 100, "pages read" },
        { "before\n::pawl progress 7\nafter\n", 1, 7, 0, "" },
        { "::pawl progress 1/2\r\n", 1, 1, 2, "" },
        { "::pawl progress 1/2", 0, 0, 0, "" }, /* the line is not over */
        { " ::pawl progress 1/2\n", 0, 0, 0, "" },
        { "::pawl progress x\n::pawl progress -1/2\n::pawl progress 1/x\n", 0, 0, 0, "" },
        { "::pawl\n::pawl \n::pawl dance\n::paw", 0, 0, 0, "" },
        { "::pawl progress 99999999999999999999/1\n", 0, 0, 0, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece <= 64; piece *= 4) { /* however it is cut */
            struct told told = { 0 };
            lines_t lines = { .progress = on_progress, .arg = &told };
            size_t len = strlen(cases[i].said);
            for (size_t at = 0; at < len; at += piece)
                lines_hear(&lines, cases[i].said + at, len - at < piece ? len - at : piece);
            assert_int_equal(told.times, cases[i].times);
            assert_int_equal(told.done, cases[i].done);
            assert_int_equal(told.total, cases[i].total);
            assert_string_equal(told.text, cases[i].text);
        }
}

static void the_last_line_that_asks_for_something_counts(void **state)
{
    (void)state;
    static const char said[] = "::pawl external 1h the bank has it\n::pawl again 30 no unit\n"
                               "::pawl again 30s not yet\n";
    lines_t lines = { .progress = on_progress };
    lines_hear(&lines, said, 34);
    assert_int_equal(lines.ask, LINES_NOTHING);
    lines_hear(&lines, said + 34, 1);
    assert_int_equal(lines.ask, LINES_EXTERNAL);
    assert_int_equal(lines.after_us, INT64_C(3600000000));
    assert_string_equal(lines.text, "the bank has it");
    lines_hear(&lines, said + 35, sizeof said - 36);
    assert_int_equal(lines.ask, LINES_AGAIN);
    assert_int_equal(lines.after_us, 30000000);
    assert_string_equal(lines.text, "not yet");
}

static void bytes_of_any_kind_and_lines_of_any_length_do_no_harm(void **state)
{
    (void)state;
    struct told told = { 0 };
    lines_t lines = { .progress = on_progress, .arg = &told };
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 100; i++)
        lines_hear(&lines, bytes, sizeof bytes);
    lines_hear(&lines, "\n::pawl progress 1/2 ", 21);
    for (int i = 0; i < 100; i++)
        lines_hear(&lines, "long words, ", 12);
    lines_hear(&lines, "\n::pawl progress 3/4 \0x\n", 24);
    assert_int_equal(told.times, 2);
    assert_int_equal(told.done, 3);
}

static void a_version_is_the_first_number_with_dots(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "Python 3.11.2\n", "3.11.2" },
        { "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", "5.2.15" },
        { "v18.19.0\n", "18.19.0" },
        { "\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x", "5.36.0" },
        { "/bin/sh: 0: Illegal option --", "" },
        { "", "" },
        { "3.", "" },
        { "1.2.3.", "1.2.3" },
    };
    char version[INTERPRETER_VERSION];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        interpreter_version(cases[i][0], version);
        assert_string_equal(version, cases[i][1]);
    }
}

static void count_versions(void *arg, const char *name, const char *version)
{
    (void)name;
    *(int *)arg += 1 + 100 * (*version != '\0');
}

static void an_interpreter_that_hangs_or_is_not_there_does_not_hold_up_the_start(void **state)
{
    (void)state;
    static const conf_key_t keys[] = { { "allow.interpreters", CONF_MAP, "", 0, 0, "" } };
    conf_t *conf = conf_new(keys, 1);
    char why[256];
    assert_int_equal(conf_set(conf, "allow.interpreters",
                              "bash=/bin/bash,yes=/usr/bin/yes,none=/no/such/program", "test", why,
                              sizeof why),
                     ERR_OK);
    int found = 0;
    interpreters_probe(conf, count_versions, &found);
    assert_int_equal(found % 100, 2);
    assert_true(found / 100 >= 1);
    conf_destroy(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_how_far_it_is),
        cmocka_unit_test(the_last_line_that_asks_for_something_counts),
        cmocka_unit_test(bytes_of_any_kind_and_lines_of_any_length_do_no_harm),
        cmocka_unit_test(a_version_is_the_first_number_with_dots),
        cmocka_unit_test(an_interpreter_that_hangs_or_is_not_there_does_not_hold_up_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

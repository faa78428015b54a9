/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include <stdio.h>
#include <stdlib.h>

#include "client/cli/formats/crontab.h"
#include "client/cli/formats/crontabwrite.h"
#include "client/cli/text.h"

static crontab_t read_text(const char *text, bool user_column)
{
    crontab_t crontab;
    crontab_read(&crontab, text, strlen(text), user_column);
    return crontab;
}

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static void comments_and_blank_lines_are_no_entries_but_count_as_lines(void **state)
{
    (void)state;
    crontab_t crontab =
        read_text("# a comment\n\n   # another\n5 4 * * 1-5\tbackup.sh  --full\r\n", false);
    assert_int_equal(crontab.count, 1);
    assert_int_equal(crontab.lines[0].number, 4);
    assert_string_equal(crontab.lines[0].rule, "5 4 * * 1-5");
    assert_string_equal(crontab.lines[0].command, "backup.sh  --full");
    assert_null(crontab.lines[0].refused);
    crontab_free(&crontab);
}

static void a_line_with_a_nul_is_refused_and_not_cut(void **state)
{
    (void)state;
    static const char text[] = "* * * * * rm -r /tmp/x\0y\n* * * * * true\n";
    crontab_t crontab;
    crontab_read(&crontab, text, sizeof text - 1, false);
    assert_int_equal(crontab.count, 2);
    assert_non_null(crontab.lines[0].refused);
    assert_null(crontab.lines[1].refused);
    crontab_free(&crontab);
    text_forget();
}

static void percent_signs_follow_crontab_5(void **state)
{
    (void)state;
    static const struct {
        const char *written, *command, *input;
    } cases[] = {
        { "date +\\%F", "date +%F", NULL },
        { "mail ops%hello%there", "mail ops", "hello\nthere\n" },
        { "cat%", "cat", "" },
        { "cat%50\\% off%", "cat", "50% off\n" },
        { "echo \\\\n", "echo \\\\n", NULL },
        { "echo a\\", "echo a\\", NULL },
        { "echo \\\\%in", "echo \\\\", "in\n" },
        { "a\\%b%c\\d", "a%b", "c\\d\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        crontab_t crontab = read_text(say("* * * * * %s\n", cases[i].written), false);
        assert_string_equal(crontab.lines[0].command, cases[i].command);
        if (cases[i].input)
            assert_string_equal(crontab.lines[0].stdin_text, cases[i].input);
        else
            assert_null(crontab.lines[0].stdin_text);
        crontab_free(&crontab);
    }
}

static void variables_hold_for_the_lines_below_them(void **state)
{
    (void)state;
    crontab_t crontab = read_text("@daily first\nPATH=/usr/bin:/bin\n NAME = \"two words \" \n"
                                  "SHELL=/bin/bash\nCRON_TZ=Asia/Tokyo\nMAILTO=ops@example.org\n"
                                  "RANDOM_DELAY=5\n@hourly second\nCRON_TZ=\n@weekly third\n",
                                  false);
    assert_int_equal(crontab.count, 3);
    assert_int_equal(json_object_size(crontab.lines[0].env), 0);
    assert_null(crontab.lines[0].shell);
    assert_string_equal(crontab.lines[1].rule, "@hourly");
    assert_string_equal(json_string_value(json_object_get(crontab.lines[1].env, "NAME")),
                        "two words ");
    assert_string_equal(json_string_value(json_object_get(crontab.lines[1].env, "PATH")),
                        "/usr/bin:/bin");
    assert_int_equal(json_object_size(crontab.lines[1].env), 2);
    assert_string_equal(crontab.lines[1].shell, "/bin/bash");
    assert_string_equal(crontab.lines[1].zone, "Asia/Tokyo");
    assert_null(crontab.lines[2].zone);
    assert_string_equal(crontab.mailto, "ops@example.org");
    assert_int_equal(crontab.ignored_count, 1);
    crontab_free(&crontab);
}

static void the_system_format_has_a_user_column(void **state)
{
    (void)state;
    crontab_t crontab = read_text("17 *\t* * *\troot    cd / && run-parts /etc/cron.hourly\n"
                                  "@daily app job.sh\n",
                                  true);
    assert_string_equal(crontab.lines[0].rule, "17 * * * *");
    assert_string_equal(crontab.lines[0].account, "root");
    assert_string_equal(crontab.lines[0].command, "cd / && run-parts /etc/cron.hourly");
    assert_string_equal(crontab.lines[1].account, "app");
    crontab_free(&crontab);
}

static void what_cannot_be_taken_says_why(void **state)
{
    (void)state;
    crontab_t crontab = read_text("@reboot init.sh\n1 2 3\n* * * * *\nnonsense\n", false);
    assert_int_equal(crontab.count, 4);
    for (size_t i = 0; i < crontab.count; i++)
        assert_non_null(crontab.lines[i].refused);
    assert_non_null(strstr(crontab.lines[0].refused, "clock"));
    crontab_free(&crontab);
    crontab = read_text("* * * * * root\n", true);
    assert_non_null(crontab.lines[0].refused);
    crontab_free(&crontab);
}

static void a_command_with_an_equals_sign_is_no_variable(void **state)
{
    (void)state;
    crontab_t crontab = read_text("* * * * * A=b cmd", false);
    assert_int_equal(crontab.count, 1);
    assert_string_equal(crontab.lines[0].command, "A=b cmd");
    crontab_free(&crontab);
}

/* One schedule as a crontab: its text, and what stands in no line of it. */
static const char *written(const char *extra, crontab_written_t *result)
{
    char *text = NULL;
    size_t len = 0;
    json_error_t error;
    FILE *to = open_memstream(&text, &len);
    json_t *spec = json_loads(say("{\"name\": \"tidy up at night\", \"rule\": \"0 2 * * *\", "
                                  "\"zone\": \"UTC\", \"task\": {\"shell\": \"true\"}}"),
                              0, &error);
    json_t *more = json_loads(extra, 0, &error);
    assert_non_null(more);
    json_object_update(json_object_get(spec, "task"), json_object_get(more, "task"));
    json_object_del(more, "task");
    json_object_update(spec, more);
    crontab_write(&spec, 1, NULL, to, result);
    result->name = say("%s", result->name);
    result->unsaid = say("%s", result->unsaid);
    assert_int_equal(fclose(to), 0);
    json_decref(more);
    json_decref(spec);
    return text_keep(text);
}

static void what_a_line_does_not_say_is_told_whatever_it_is(void **state)
{
    static const char *const fields[][2] = {
        { "{\"overlap_scope\": \"type\"}", "overlap_scope type" },
        { "{\"overlap_key\": \"db-1\"}", "overlap_key db-1" },
        { "{\"warn\": 5}", "warn" },
        { "{\"live_first\": true}", "live_first" },
        { "{\"order\": \"newest\"}", "order newest" },
        { "{\"title\": \"Tidy\"}", "title Tidy" },
        { "{\"labels\": {\"a\": \"b\"}}", "labels" },
        { "{\"task\": {\"exclusive\": true}}", "exclusive" },
        { "{\"task\": {\"secrets\": [\"s\"]}}", "secrets" },
        { "{\"task\": {\"poll\": {}}}", "poll" },
        { "{\"made_tomorrow\": 1}", "made_tomorrow" }, /* a field that this writer has never met */
    };
    (void)state;
    crontab_written_t result;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *text = written(fields[i][0], &result);
        assert_null(result.left_out);
        if (strcmp(result.unsaid, fields[i][1]) != 0)
            fail_msg("%s: \"%s\"", fields[i][0], result.unsaid);
        assert_non_null(strstr(text, say("# not said here: %s\n", fields[i][1])));
    }
    const char *text = written("{\"title\": \"a\\n* * * * * reboot\"}", &result);
    assert_non_null(strstr(text, "# not said here: title a * * * * * reboot\n"));
    written("{}", &result);
    assert_string_equal(result.unsaid, "");
}

static void a_name_with_blanks_goes_out_and_comes_back(void **state)
{
    (void)state;
    crontab_written_t result;
    crontab_t crontab = read_text(written("{}", &result), false);
    assert_int_equal(crontab.count, 1);
    assert_string_equal(crontab.lines[0].name, "tidy up at night");
    crontab_free(&crontab);
    crontab = read_text("# pawl: schedule tidy \t\r\n0 2 * * * true\n", false);
    assert_string_equal(crontab.lines[0].name, "tidy");
    crontab_free(&crontab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_and_blank_lines_are_no_entries_but_count_as_lines),
        cmocka_unit_test(a_line_with_a_nul_is_refused_and_not_cut),
        cmocka_unit_test(percent_signs_follow_crontab_5),
        cmocka_unit_test(variables_hold_for_the_lines_below_them),
        cmocka_unit_test(the_system_format_has_a_user_column),
        cmocka_unit_test(what_cannot_be_taken_says_why),
        cmocka_unit_test(a_command_with_an_equals_sign_is_no_variable),
        cmocka_unit_test(what_a_line_does_not_say_is_told_whatever_it_is),
        cmocka_unit_test(a_name_with_blanks_goes_out_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

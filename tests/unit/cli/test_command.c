/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/command.h"
#include "client/cli/fail.h"
#include "client/cli/handlers.h"
#include "client/cli/plan.h"
#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

/* Reads a line of words; what is printed on stderr goes to `said`. */
static int read_words(args_t *args, const char *line, char *said, size_t room)
{
    static char *words[32];
    int n = 0;
    char *at = text_keep(mem_text(line)), *word;
    while ((word = strsep(&at, " ")))
        words[n++] = word;
    words[n] = NULL;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    int code = args_read(args, n, words);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    said[fread(said, 1, room - 1, file)] = '\0';
    fclose(file);
    return code;
}

static void global_flags_may_stand_anywhere(void **state)
{
    (void)state;
    char said[2000];
    static const char *const lines[] = {
        "pawl -o json --timeout 3s task list --limit 7",
        "pawl task -o=json list --limit=7 --timeout=3s",
        "pawl task list --limit 7 -ojson --timeout 3s",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        args_t args;
        assert_int_equal(read_words(&args, lines[i], said, sizeof said), 0);
        assert_string_equal(args.command->name, "task list");
        assert_int_equal(args_number(&args, "limit", 0), 7);
        assert_int_equal(args_number(&args, "timeout", 0), 3000000);
        assert_string_equal(args_text(&args, "output"), "json");
        args_free(&args);
    }
}

static void what_follows_two_dashes_is_the_command(void **state)
{
    (void)state;
    char said[2000];
    args_t args;
    assert_int_equal(read_words(&args,
                                "pawl schedule add a --cron x --env A=1 --env B=2 -- echo -o json",
                                said, sizeof said),
                     0);
    assert_int_equal(args.word_count, 1);
    assert_int_equal(args.rest_count, 3);
    assert_string_equal(args.rest[1], "-o");
    assert_int_equal(args_count(&args, "env"), 2);
    assert_string_equal(args_given(&args, "env", 1)->value, "B=2");
    args_free(&args);
    assert_int_equal(read_words(&args, "pawl run --wait echo --hi", said, sizeof said), 0);
    assert_int_equal(args.rest_count, 2);
    assert_true(args_has(&args, "wait"));
    args_free(&args);
}

static void short_forms_and_letters_are_known(void **state)
{
    (void)state;
    char said[2000];
    args_t args;
    assert_int_equal(read_words(&args, "pawl ls", said, sizeof said), 0);
    assert_string_equal(args.command->name, "task list");
    args_free(&args);
    assert_int_equal(read_words(&args, "pawl when RULE -n3", said, sizeof said), 0);
    assert_int_equal(args_number(&args, "count", 0), 3);
    args_free(&args);
    assert_int_equal(read_words(&args, "pawl logs -fq x", said, sizeof said), 0);
    assert_true(args_has(&args, "follow") && args_has(&args, "quiet"));
    args_free(&args);
}

static void wrong_lines_get_three_lines_and_exit_2(void **state)
{
    (void)state;
    static const struct {
        const char *line, *hint;
    } cases[] = {
        { "pawl tsk list", "did you mean" },
        { "pawl task lsit", "pawl task list (did you mean" },
        { "pawl task list --statsu failed", "--status" },
        { "pawl task list --limit 0", "from 1 to 100000" },
        { "pawl task list --limit 100001", "from 1 to 100000" },
        { "pawl task list --limit", "needs a value" },
        { "pawl --timeout 5 task list", "20s" },
        { "pawl schedule add x --mode always", "normal|latest|strict" },
        { "pawl task show", "ID" },
        { "pawl task show a b", "too many words" },
        { "pawl task list --newest-first=1", "takes no value" },
        { "pawl --status failed task list", "global" },
        { "pawl -Z", "unknown flag -Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char said[4000];
        args_t args;
        int lines = 0;
        assert_int_equal(read_words(&args, cases[i].line, said, sizeof said), EXIT_USAGE);
        args_free(&args);
        for (const char *at = said; (at = strchr(at, '\n')); at++)
            lines++;
        assert_int_equal(lines, 3);
        assert_non_null(strstr(said, cases[i].hint));
    }
}

static void every_command_has_help_and_an_example_that_reads(void **state)
{
    (void)state;
    for (const command_t *command = commands; command->name; command++) {
        assert_true(*command->help);
        assert_non_null(strstr(command->example, "pawl"));
        if (!command->run) assert_null(strchr(command->name, ' '));
        for (size_t i = 0; i < FLAG_GROUPS; i++)
            for (const flag_t *flag = command->flags[i]; flag && flag->name; flag++) {
                assert_true(*flag->help);
                for (const flag_t *other = global_flags; other->name; other++) {
                    assert_string_not_equal(flag->name, other->name);
                    assert_true(!flag->letter || flag->letter != other->letter);
                }
            }
    }
}

static void durations_read_back_and_bare_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *back;
    } cases[] = {
        { "500ms", 500000, "500ms" },
        { "20s", 20000000, "20s" },
        { "5m", INT64_C(300000000), "5m" },
        { "1h30m", INT64_C(5400000000), "1h30m" },
        { "2d", INT64_C(172800000000), "2d" },
        { "90s", 90000000, "1m30s" },
        { "0s", 0, "0s" },
    };
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(duration_read(cases[i].text, &us));
        assert_int_equal(us, cases[i].us);
        assert_string_equal(duration_text(us), cases[i].back);
    }
    static const char *const refused[] = { "",
                                           "5",
                                           "s",
                                           "-5s",
                                           "5 s",
                                           "5x",
                                           "5S",
                                           "1.5h",
                                           "99999999999999999999s",
                                           "9223372036854775807d" };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_false(duration_read(refused[i], &us));
}

static void intervals_keep_their_unit_where_one_is_enough(void **state)
{
    (void)state;
    assert_string_equal(plan_every("5m"), "5m");
    assert_string_equal(plan_every("1d"), "1d");
    assert_string_equal(plan_every("1h30m"), "90m");
    assert_string_equal(plan_every("1m1s"), "61s");
    assert_string_equal(plan_every("2000ms"), "2s");
    assert_null(plan_every("500ms"));
    assert_null(plan_every("0s"));
    assert_null(plan_every("5"));
}

static void lists_of_dates_may_have_comments(void **state)
{
    (void)state;
    assert_string_equal(plan_dates("2026-12-24, 2026-12-31"), "2026-12-24,2026-12-31");
    assert_string_equal(plan_dates("2026-12-24 # eve\n# more\n2026-12-25T12:00\n"),
                        "2026-12-24,2026-12-25T12:00");
}

static void quoted_words_are_what_sh_reads_back(void **state)
{
    (void)state;
    char *words[] = { "echo", "it's", "a b", "", "$HOME" };
    assert_string_equal(shell_words(words, 5), "echo 'it'\\''s' 'a b' '' '$HOME'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global_flags_may_stand_anywhere),
        cmocka_unit_test(what_follows_two_dashes_is_the_command),
        cmocka_unit_test(short_forms_and_letters_are_known),
        cmocka_unit_test(wrong_lines_get_three_lines_and_exit_2),
        cmocka_unit_test(every_command_has_help_and_an_example_that_reads),
        cmocka_unit_test(durations_read_back_and_bare_numbers_are_refused),
        cmocka_unit_test(intervals_keep_their_unit_where_one_is_enough),
        cmocka_unit_test(lists_of_dates_may_have_comments),
        cmocka_unit_test(quoted_words_are_what_sh_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

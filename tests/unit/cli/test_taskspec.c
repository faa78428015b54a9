/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include "client/cli/taskspec.h"
#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static bool taken(const char *line, spec_error_t *error)
{
    pawl_task_t *task = task_from_line(line, strlen(line), "Europe/Paris", error);
    bool good = task != NULL;
    pawl_task_destroy(&task);
    return good;
}

static void a_line_with_every_field_is_taken(void **state)
{
    (void)state;
    spec_error_t error;
    bool good = taken(
        "{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"argv\":[\"/bin/"
        "echo\",\"hi\"],\"env\":{\"A\":\"b\"},"
        "\"cwd\":\"/"
        "srv\",\"account\":\"app\",\"stdin\":\"x\",\"input\":{\"a\":[1,2]},\"key\":\"order-7\","
        "\"queue\":\"default\",\"priority\":5,\"title\":\"t\",\"labels\":{\"team\":\"ops\"},"
        "\"operation\":\"o\",\"at\":\"2026-12-01T02:00:00+01:00\",\"hold\":false,\"expire\":\"1h\","
        "\"time_limit\":\"10m\",\"target\":{\"labels\":{\"role\":\"web\"}},"
        "\"retry\":{\"max_attempts\":3,\"backoff\":\"20s\",\"factor\":2,\"cap\":\"1h\"},"
        "\"on_lost\":\"retry\"}",
        &error);
    if (!good) print_error("%s: %s\n", error.field, error.why);
    assert_true(good);
}

static void the_id_of_the_line_is_the_tasks(void **state)
{
    (void)state;
    spec_error_t error;
    static const char line[] = "{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"shell\":\"true\"}";
    pawl_task_t *task = task_from_line(line, strlen(line), "UTC", &error);
    uint8_t id[PAWL_ID_BYTES];
    char text[PAWL_ID_TEXT];
    assert_non_null(task);
    pawl_task_id(task, id);
    pawl_id_print(id, text);
    assert_string_equal(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    pawl_task_destroy(&task);
}

static void what_is_wrong_is_named_by_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *line, *field;
    } cases[] = {
        { "{\"shell\":\"true\",\"prioritty\":3}", "prioritty" },
        { "{\"shell\":\"true\",\"retry\":{\"attempts\":3}}", "retry.attempts" },
        { "{\"shell\":\"true\",\"priority\":10}", "priority" },
        { "{\"shell\":\"true\",\"priority\":\"5\"}", "priority" },
        { "{\"shell\":\"true\",\"delay\":30}", "delay" },
        { "{\"shell\":\"true\",\"delay\":\"30\"}", "delay" },
        { "{\"shell\":\"true\",\"at\":\"tomorrow\"}", "at" },
        { "{\"shell\":\"true\",\"at\":\"2026-02-30T00:00:00Z\"}", "at" },
        { "{\"shell\":\"true\",\"at\":\"2026-12-01T02:00:00Z\",\"delay\":\"1s\"}", "delay" },
        { "{\"shell\":\"true\",\"argv\":[\"true\"]}", "shell" },
        { "{\"argv\":[]}", "argv" },
        { "{\"argv\":\"true\"}", "argv" },
        { "{\"argv\":[1]}", "argv" },
        { "{\"id\":\"short\",\"shell\":\"true\"}", "id" },
        { "{\"shell\":\"true\",\"hold\":1}", "hold" },
        { "{\"shell\":\"true\",\"env\":{\"A\":1}}", "env" },
        { "{\"shell\":\"true\",\"env\":[]}", "env" },
        { "{\"shell\":\"true\",\"on_lost\":\"maybe\"}", "on_lost" },
        { "{\"shell\":\"true\",\"target\":{\"host\":\"a\",\"executor\":\"b\"}}", "target" },
        { "{\"script\":{\"text\":\"x\"}}", "script" },
        { "{\"type\":7}", "type" },
        { "{}", "" },
        { "[]", "" },
        { "{\"shell\":\"true\"", "" },
        { "{\"shell\":\"a\",\"shell\":\"b\"}", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        spec_error_t error;
        assert_false(taken(cases[i].line, &error));
        assert_string_equal(error.field, cases[i].field);
        assert_true(*error.why);
    }
}

static void an_unknown_field_comes_with_the_one_that_was_meant(void **state)
{
    (void)state;
    spec_error_t error;
    assert_false(taken("{\"shell\":\"true\",\"prioritty\":3}", &error));
    assert_non_null(strstr(error.why, "\"priority\""));
}

static void flags_and_lines_mean_the_same_task(void **state)
{
    (void)state;
    char *argv[] = { "pawl",      "run",   "--on",      "label=role=web",
                     "--env",     "A=b=c", "--retry",   "3",
                     "--in",      "30s",   "--hold",    "--input",
                     "{\"n\":1}", "--",    "/bin/echo", "hi there",
                     NULL };
    args_t args;
    assert_int_equal(args_read(&args, (int)ARRAY_LEN(argv) - 1, argv), 0);
    json_t *object = task_json_from_args(&args);
    json_t *wanted = json_loads("{\"delay\":\"30s\",\"hold\":true,\"retry\":{\"max_attempts\":3},"
                                "\"argv\":[\"/bin/echo\",\"hi there\"],\"env\":{\"A\":\"b=c\"},"
                                "\"target\":{\"labels\":{\"role\":\"web\"}},\"input\":{\"n\":1}}",
                                0, NULL);
    assert_true(json_equal(object, wanted));
    assert_string_equal(task_json_command(object), "/bin/echo 'hi there'");
    json_decref(object);
    json_decref(wanted);
    args_free(&args);
}

static void a_new_command_replaces_the_old_one_in_a_template(void **state)
{
    (void)state;
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "type", "pawl/shell", "shell", "old", "queue", "q");
    json_t *changes = json_pack("{s:[s]}", "argv", "new");
    task_json_merge(object, changes);
    assert_null(json_object_get(object, "shell"));
    assert_non_null(json_object_get(object, "argv"));
    assert_string_equal(json_string_value(json_object_get(object, "queue")), "q");
    json_decref(object);
    json_decref(changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_with_every_field_is_taken),
        cmocka_unit_test(the_id_of_the_line_is_the_tasks),
        cmocka_unit_test(what_is_wrong_is_named_by_its_field),
        cmocka_unit_test(an_unknown_field_comes_with_the_one_that_was_meant),
        cmocka_unit_test(flags_and_lines_mean_the_same_task),
        cmocka_unit_test(a_new_command_replaces_the_old_one_in_a_template),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

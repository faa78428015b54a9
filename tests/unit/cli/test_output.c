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

#include "client/cli/output.h"

static const column_t columns[] = {
    { "id", "", AS_GIVEN, IN_TABLE },
    { "status", "", AS_GIVEN, IN_TABLE },
    { "labels", "", AS_GIVEN, IN_WIDE },
    { "note", "", AS_GIVEN, IN_JSON },
    { 0 },
};

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static json_t *row(const char *id, const char *status)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:n}", "id", id, "status", status, "labels", "team",
                     "ops", "note");
}

static char *printed(const char *format, const char *fields, bool head, size_t rows, uint64_t limit,
                     int *code)
{
    static char text[40000];
    FILE *file = tmpfile();
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), saved_error = dup(STDERR_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    int null = fileno(fopen("/dev/null", "w"));
    dup2(null, STDERR_FILENO);
    *code = output_setup(format, fields, head, true, "utc");
    if (!*code) {
        output_t *output = output_new(columns, limit);
        for (size_t i = 0; i < rows && output_row(output, row(i ? "b" : "a\"1", "waiting")); i++) {
        }
        *code = output_end(&output);
    }
    fflush(stdout);
    fflush(stderr);
    dup2(saved, STDOUT_FILENO);
    dup2(saved_error, STDERR_FILENO);
    close(saved);
    close(saved_error);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void each_format_prints_the_same_records(void **state)
{
    (void)state;
    static const struct {
        const char *format, *fields, *text;
        bool head;
    } cases[] = {
        { "json", NULL,
          "[{\"id\":\"a\\\"1\",\"status\":\"waiting\",\"labels\":{\"team\":\"ops\"},\"note\":null},"
          "\n"
          " {\"id\":\"b\",\"status\":\"waiting\",\"labels\":{\"team\":\"ops\"},\"note\":null}]\n",
          true },
        { "ndjson", "status,id",
          "{\"status\":\"waiting\",\"id\":\"a\\\"1\"}\n{\"status\":\"waiting\",\"id\":\"b\"}\n",
          true },
        { "table", NULL, "ID   STATUS\na\"1  waiting\nb    waiting\n", true },
        { "table", NULL, "a\"1  waiting\nb    waiting\n", false },
        { "wide", NULL, "ID   STATUS   LABELS\na\"1  waiting  team=ops\nb    waiting  team=ops\n",
          true },
        { "csv", "id,labels", "id,labels\r\n\"a\"\"1\",team=ops\r\nb,team=ops\r\n", true },
        { "id", NULL, "a\"1\nb\n", true },
        { "yaml", "id", "- id: \"a\\\"1\"\n- id: \"b\"\n", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int code;
        char *text = printed(cases[i].format, cases[i].fields, cases[i].head, 2, 0, &code);
        assert_int_equal(code, 0);
        assert_string_equal(text, cases[i].text);
    }
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static void an_empty_list_is_empty_in_every_format(void **state)
{
    (void)state;
    int code;
    assert_string_equal(printed("json", NULL, true, 0, 0, &code), "[]\n");
    assert_string_equal(printed("ndjson", NULL, true, 0, 0, &code), "");
    assert_string_equal(printed("table", NULL, true, 0, 0, &code), "ID  STATUS\n");
    assert_string_equal(printed("table", NULL, false, 0, 0, &code), "");
    assert_string_equal(printed("id", NULL, true, 0, 0, &code), "");
    assert_int_equal(lines_of(printed("csv", NULL, true, 0, 0, &code)), 1); /* which columns */
    assert_string_equal(printed("csv", NULL, false, 0, 0, &code), "");
    assert_int_equal(code, 0);
}

static void a_table_shows_100_rows_and_ndjson_all_unless_a_limit_is_given(void **state)
{
    (void)state;
    int code;
    assert_int_equal(lines_of(printed("table", NULL, true, 250, 0, &code)), 101);
    assert_int_equal(lines_of(printed("table", NULL, true, 250, 120, &code)), 121);
    assert_int_equal(lines_of(printed("ndjson", NULL, true, 250, 0, &code)), 250);
    assert_int_equal(lines_of(printed("ndjson", NULL, true, 250, 7, &code)), 7);
}

static void unknown_formats_and_fields_are_usage_errors(void **state)
{
    (void)state;
    int code;
    printed("jsn", NULL, true, 1, 0, &code);
    assert_int_equal(code, EXIT_USAGE);
    assert_string_equal(printed("json", "stauts", true, 1, 0, &code), "");
    assert_int_equal(code, EXIT_USAGE);
}

static void instants_read_and_print_in_their_zones(void **state)
{
    (void)state;
    static const struct {
        const char *text, *zone;
        int64_t seconds;
    } cases[] = {
        { "2026-12-01T02:00:00+01:00", "UTC", 1796086800 },
        { "2026-12-01T02:00:00", "Europe/Paris", 1796086800 },
        { "2026-12-01 02:00", "Europe/Paris", 1796086800 },
        { "2026-12-01T01:00:00Z", "Asia/Tokyo", 1796086800 },
        { "2026-12-01", "UTC", 1796083200 },
        { "2026-07-01T02:00", "Europe/Paris", 1782864000 },
        { "2026-11-30T20:30:00-04:30", "UTC", 1796086800 },
    };
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(instant_read(cases[i].text, cases[i].zone, &us));
        assert_int_equal(us, cases[i].seconds * 1000000);
    }
    static const char *const refused[] = { "",
                                           "2026",
                                           "2026-13-01",
                                           "2026-02-29",
                                           "2026-12-01T24:00",
                                           "2026-12-01T02:00:00+0100",
                                           "2026-12-01T02",
                                           "tomorrow",
                                           "2026-12-01T02:00:00Zx" };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_false(instant_read(refused[i], "UTC", &us));
    assert_string_equal(instant_text_in("Europe/Paris", INT64_C(1796086800000000)),
                        "2026-12-01T02:00:00+01:00");
    assert_string_equal(instant_text_in("Asia/Kolkata", INT64_C(1796086800250000)),
                        "2026-12-01T06:30:00.250+05:30");
    assert_string_equal(instant_text_in("UTC", 1), "1970-01-01T00:00:00.000001+00:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_prints_the_same_records),
        cmocka_unit_test(an_empty_list_is_empty_in_every_format),
        cmocka_unit_test(a_table_shows_100_rows_and_ndjson_all_unless_a_limit_is_given),
        cmocka_unit_test(unknown_formats_and_fields_are_usage_errors),
        cmocka_unit_test(instants_read_and_print_in_their_zones),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

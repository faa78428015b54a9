/* SPDX-License-Identifier: Apache-2.0
 * What of the kinds sql needs no database: statements and their marks, values and JSON, watermarks,
 * sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/worker.h"
#include "executor/sql/json.h"
#include "executor/sql/kind.h"
#include "executor/sql/script.h"
#include "executor/sql/sources.h"
#include "executor/sql/watermark.h"

/* ---- statements ------------------------------------------------------------------------------ */

#define PG   (&sql_postgresql.dialect)
#define MY   (&sql_mariadb.dialect)
#define LITE (&sql_sqlite.dialect)

/* Statements joined by " | ", then the names of their parameters. */
static void expect_script(const sql_dialect_t *dialect, const char *text, const char *wanted)
{
    sql_script_t script;
    char why[200] = "", told[2000] = "";
    buf_t all = { 0 };
    if (!sql_script_read(&script, dialect, text, why, sizeof why)) {
        snprintf(told, sizeof told, "refused: %s", why);
    } else {
        for (size_t i = 0; i < script.count; i++) {
            const char *at = script.statements[i].text;
            buf_printf(&all, "%s%s", i ? " | " : "", at + strspn(at, " \n"));
            for (size_t k = 0; k < script.statements[i].param_count; k++)
                buf_printf(&all, " <%s>", script.names[script.statements[i].params[k]]);
        }
        snprintf(told, sizeof told, "%s", (char *)all.at);
        sql_script_free(&script);
    }
    buf_free(&all);
    if (strcmp(told, wanted) != 0) fail_msg("%s\n  became  %s\n  wanted  %s", text, told, wanted);
}

static void names_become_the_marks_of_the_driver(void **state)
{
    (void)state;
    expect_script(PG, "select :a, :b, :a", "select $1, $2, $1 <a> <b>");
    expect_script(MY, "select :a, :b, :a", "select ?, ?, ? <a> <b> <a>");
    expect_script(LITE, "select :1+:2", "select ?+? <1> <2>");
    expect_script(PG, "select :a::int, '{}'::jsonb", "select $1::int, '{}'::jsonb <a>");
    expect_script(PG, "select x[1:2], array[:a,:b]", "select x[1:2], array[$1,$2] <a> <b>");
    expect_script(PG, "select x[:a\\:2]", "select x[$1:2] <a>");
    expect_script(MY, "set @x := :a", "set @x := ? <a>");
    expect_script(PG, "select :zwölf", "select $1 <zwölf>");
}

static void quotes_and_comments_are_left_alone(void **state)
{
    (void)state;
    expect_script(PG, "select ':a', \":b\" -- :c ; x\n, :d",
                  "select ':a', \":b\" -- :c ; x\n, $1 <d>");
    expect_script(PG, "select 'it''s :a', E'\\':b', '\\', :c",
                  "select 'it''s :a', E'\\':b', '\\', $1 <c>");
    expect_script(PG, "select $$ :a ; $$, $f$ :b $$ $f$, :c",
                  "select $$ :a ; $$, $f$ :b $$ $f$, $1 <c>");
    expect_script(PG, "/* :a /* ; */ :b */ select :c", "/* :a /* ; */ :b */ select $1 <c>");
    expect_script(MY, "/* /* */ select ':a\\'', `:b`, \":c\", :d # :e\n",
                  "/* /* */ select ':a\\'', `:b`, \":c\", ? # :e\n <d>");
    expect_script(LITE, "select [:a], `:b`, :c", "select [:a], `:b`, ? <c>");
}

static void statements_end_with_a_semicolon(void **state)
{
    (void)state;
    expect_script(PG, "select 1; ; select ';' ;\n-- the end\n", "select 1 | select ';' ");
    expect_script(
        LITE,
        "create trigger t after insert on a begin update b set n = case when 1 then 2 end; "
        "delete from c; end; select 1",
        "create trigger t after insert on a begin update b set n = case when 1 then 2 end; "
        "delete from c; end | select 1");
    expect_script(
        MY, "create procedure p() begin if 1 then select 1; end if; select 2; end; select 3",
        "create procedure p() begin if 1 then select 1; end if; select 2; end | select 3");
    expect_script(PG, "select case when a then b end; select 2",
                  "select case when a then b end | select 2");
}

static void what_cannot_be_read_is_refused_with_a_reason(void **state)
{
    (void)state;
    expect_script(PG, "select 'open", "refused: the statement text ends inside a quoted text");
    expect_script(PG, "select \"open", "refused: the statement text ends inside a quoted name");
    expect_script(PG, "select $x$ $y$", "refused: the statement text ends inside a dollar quote");
    expect_script(PG, "select 1 /* /* */", "refused: the statement text ends inside a comment");
    expect_script(PG, " -- nothing\n;", "refused: it has no statement");
    expect_script(PG, "select 1; Commit",
                  "refused: Commit is not allowed: the transaction is the "
                  "task's; \"transaction\": \"none\" commits each statement");
    static const char *const hidden[] = { "/*! commit */", "select 1; /*!50000 set @x = 1 */",
                                          "/*M! commit */ chain", "select /*!999999 1 */ 2" };
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        char wanted[120];
        snprintf(wanted, sizeof wanted,
                 "refused: code in a comment (%.4s) is not allowed: write it without the comment",
                 strstr(hidden[i], "/*"));
        expect_script(MY, hidden[i], wanted);
    }
    expect_script(LITE, "select 1 /*! */", "select 1 /*! */");
    expect_script(MY, "select /*+ MAX_EXECUTION_TIME(1000) */ 1 /* ! */ /*m! */",
                  "select /*+ MAX_EXECUTION_TIME(1000) */ 1 /* ! */ /*m! */");
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *param(const char *json, const char *name)
{
    static const char *const kinds[] = {
        [SQL_NULL] = "null",   [SQL_BOOL] = "bool",       [SQL_INTEGER] = "integer",
        [SQL_FLOAT] = "float", [SQL_DECIMAL] = "decimal", [SQL_TEXT] = "text",
        [SQL_TIME] = "time",   [SQL_BYTES] = "bytes"
    };
    static char told[300];
    char why[200] = "";
    sql_params_t params = { 0 };
    if (!sql_params_read(&params, slice_text(json), why, sizeof why)) {
        snprintf(told, sizeof told, "refused: %s", why);
    } else {
        const sql_value_t *value = sql_params_find(&params, name);
        if (value)
            snprintf(told, sizeof told, "%s %zu %s", kinds[value->kind], value->len, value->at);
        else
            snprintf(told, sizeof told, "none");
    }
    sql_params_free(&params);
    return told;
}

static void parameters_keep_what_they_were_written_with(void **state)
{
    (void)state;
    assert_string_equal(param("{\"a\": 12345678901234567890123}", "a"),
                        "integer 23 12345678901234567890123");
    assert_string_equal(param("{\"a\": -0.10}", "a"), "decimal 5 -0.10");
    assert_string_equal(param("{\"a\":1e5,\"b\":2}", "a"), "decimal 3 1e5");
    assert_string_equal(param("[null, true, \"x\"]", "1"), "null 0 ");
    assert_string_equal(param("[null, true, \"x\"]", "2"), "bool 4 true");
    assert_string_equal(param("[null, true, \"x\"]", "4"), "none");
    assert_string_equal(param("{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\/\"}", "a"), "text 8 é😀\n/");
    assert_string_equal(param("{\"a\":{\"$bytes\":\"AP8Q\"}}", "a"), "bytes 3 ");
    assert_string_equal(param("{\"a\":{\"$time\":\"2026-12-01T02:00:00.5+01:00\"}}", "a"),
                        "time 27 2026-12-01T01:00:00.500000Z");
    assert_string_equal(param("{\"a\":{\"b\": [1, {\"c\": null}]}}", "a"),
                        "text 23 {\"b\": [1, {\"c\": null}]}");
    assert_string_equal(param("", "a"), "none");
    assert_string_equal(param("{\"a\":1,\"a\":2}", "a"), "integer 1 2");
}

static void parameters_that_are_no_json_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "7",
        "{",
        "[1,]",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":nul}",
        "{\"a\" 1}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{} x",
        "{\"a\":\"",
        "{\"a\":\"\n\"}",
        "{\"a\":{\"$bytes\":\"?\"}}",
        "{\"a\":{\"$time\":\"2026-13-01T00:00:00Z\"}}",
        "{\"a\":{\"$time\":\"2026-12-01T00:00:00\"}}",
        "[\"\xff\"]",
        "{\"a\":[[}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (strncmp(param(bad[i], "a"), "refused", 7) != 0) fail_msg("taken: %s", bad[i]);
    char deep[1024];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_non_null(strstr(param(deep, "a"), "nested too deeply"));
}

static void values_become_json_that_loses_nothing(void **state)
{
    (void)state;
    static const struct {
        sql_kind_t kind;
        const char *text, *wanted;
    } cases[] = {
        { SQL_NULL, "", "null" },
        { SQL_BOOL, "true", "true" },
        { SQL_INTEGER, "-9223372036854775808", "-9223372036854775808" },
        { SQL_INTEGER, "18446744073709551615", "\"18446744073709551615\"" },
        { SQL_FLOAT, "1e+300", "1e+300" },
        { SQL_FLOAT, "-Infinity", "\"-Infinity\"" },
        { SQL_FLOAT, "NaN", "\"NaN\"" },
        { SQL_DECIMAL, "10.50", "\"10.50\"" },
        { SQL_TEXT, "a\"\\\n\t\x01é", "\"a\\\"\\\\\\n\\u0009\\u0001é\"" },
        { SQL_TEXT, "\xff", "{\"$bytes\":\"/w==\"}" },
        { SQL_BYTES, "", "{\"$bytes\":\"\"}" },
        { SQL_TIME, "2026-12-01", "\"2026-12-01\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t told = { 0 };
        json_add_value(&told,
                       &(sql_value_t){ cases[i].kind, cases[i].text, strlen(cases[i].text) });
        buf_add(&told, "", 1);
        assert_string_equal((char *)told.at, cases[i].wanted);
        buf_free(&told);
    }
}

/* ---- watermarks ------------------------------------------------------------------------------ */

static int compare(sql_kind_t kind, const char *a, const char *b)
{
    int order = watermark_compare(&(sql_value_t){ kind, a, strlen(a) },
                                  &(sql_value_t){ kind, b, strlen(b) });
    return (order > 0) - (order < 0);
}

static void watermarks_have_the_order_of_the_database(void **state)
{
    (void)state;
    assert_int_equal(compare(SQL_INTEGER, "9", "10"), -1);
    assert_int_equal(compare(SQL_INTEGER, "-9", "-10"), 1);
    assert_int_equal(compare(SQL_INTEGER, "-1", "1"), -1);
    assert_int_equal(compare(SQL_DECIMAL, "1.50", "1.5"), 0);
    assert_int_equal(compare(SQL_DECIMAL, "-0.0", "0"), 0);
    assert_int_equal(compare(SQL_DECIMAL, "12345678901234567890.2", "12345678901234567890.19"), 1);
    assert_int_equal(compare(SQL_FLOAT, "1e+30", "2e+29"), 1);
    assert_int_equal(compare(SQL_TIME, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00.5Z"), -1);
    assert_int_equal(compare(SQL_TIME, "2026-12-01T00:00:00.10Z", "2026-12-01T00:00:00.1Z"), 0);
    assert_int_equal(compare(SQL_TIME, "2026-12-01", "2026-12-02"), -1);
    assert_int_equal(compare(SQL_TEXT, "a", "ab"), -1);
    assert_false(watermark_can(&(sql_value_t){ SQL_NULL, "", 0 }, PG));
    assert_false(watermark_can(&(sql_value_t){ SQL_TEXT, "a", 1 }, PG));
    assert_true(watermark_can(&(sql_value_t){ SQL_TEXT, "a", 1 }, LITE));
    assert_false(watermark_can(&(sql_value_t){ SQL_FLOAT, "NaN", 3 }, PG));
    assert_false(watermark_can(&(sql_value_t){ SQL_TIME, "infinity", 8 }, PG));
}

/* ---- sources --------------------------------------------------------------------------------- */

static const conf_key_t conf_keys[] = { { "sources", CONF_ENTRIES, "", 0, 0, "databases" } };

/* "" or why they were refused; the sources are freed. */
static const char *read_sources(const char *yaml, sources_t *sources)
{
    static char why[500];
    char path[] = "/tmp/pawl-sources-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
    close(fd);
    conf_t *conf = conf_new_section("executor", conf_keys, ARRAY_LEN(conf_keys));
    conf_entries(conf, "sources", source_keys, source_key_count);
    why[0] = '\0';
    *sources = (sources_t){ 0 };
    err_t err = conf_load(conf, path, why, sizeof why);
    if (!err) err = sources_read(sources, conf, why, sizeof why);
    assert_true((err == ERR_OK) == (why[0] == '\0'));
    if (!err && sources->count) {
        assert_non_null(sources_find(sources, sources->items[0].name));
        assert_null(sources_find(sources, "another"));
    }
    unlink(path);
    if (err || sources->count == 0)
        sources_free(sources);
    else { /* texts belong to conf: what is looked at is looked at here */
        assert_string_equal(sources->items[0].name, "app");
        assert_int_equal(sources->items[0].port, 5432);
        assert_string_equal(sources->items[0].host, "localhost");
        assert_string_equal(sources->items[0].password, "secret");
        assert_true(sources->items[0].read_only);
        sources_free(sources);
    }
    conf_destroy(&conf);
    return why;
}

static void sources_are_read_with_their_passwords(void **state)
{
    (void)state;
    sources_t sources;
    setenv("PAWL_TEST_PASSWORD", "secret", 1);
    assert_string_equal(
        read_sources("executor: {sources: {app: {driver: postgresql, database: d, "
                     "user: u, password_env: PAWL_TEST_PASSWORD, read_only: true}}}",
                     &sources),
        "");
    assert_string_equal(read_sources("executor: {sources: {}}", &sources), "");
}

static void a_source_that_lacks_something_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *words;
    } cases[] = {
        { "{database: d, user: u}", "needs driver" },
        { "{driver: mariadb, user: u}", "needs driver, database" },
        { "{driver: mariadb, database: d}", "user" },
        { "{driver: sqlite, database: d, password_env: NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE" },
        { "{driver: sqlite, database: d, password_file: /no/such}", "/no/such" },
        { "{driver: sqlite, database: d, password_file: /tmp}", "plain file" },
        { "{driver: oracle, database: d}", "driver" },
        { "{driver: sqlite, database: d, password: x}", "password" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sources_t sources;
        char yaml[300];
        snprintf(yaml, sizeof yaml, "executor: {sources: {app: %s}}", cases[i].entry);
        const char *why = read_sources(yaml, &sources);
        if (!strstr(why, cases[i].words)) fail_msg("%s: %s", cases[i].entry, why);
    }
}

static void errors_never_hold_the_password(void **state)
{
    (void)state;
    char password[] = "hunter2";
    const sql_source_t source = { .name = "app", .password = password };
    sql_error_t error;
    sql_error_set(&error, &source, "28P01", "FATAL: hunter2\nconn=\"password=hunter2 x\"\x1b[0m");
    assert_null(strstr(error.text, "hunter2"));
    assert_null(strchr(error.text, '\n'));
    assert_null(strchr(error.text, '\x1b'));
    assert_string_equal(error.state, "28P01");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void no_error_shows_a_password(void **state)
{
    char password[] = "s3cret-42", text[600];
    const sql_source_t source = { .name = "app", .password = password };
    sql_error_t error;
    (void)state;
    sql_error_set(&error, &source, "28P01",
                  "bad \"host=db password=s3cret-42\"\n\tpostgresql://u:s3cret-42@db/app\001\n");
    assert_string_equal(error.state, "28P01");
    assert_string_equal(error.text,
                        "bad \"host=db password=*********\" postgresql://u:*********@db/app");
    for (size_t before = 460; before < 490; before++) { /* also where the text is cut short */
        memset(text, 'x', before);
        snprintf(text + before, sizeof text - before, "%s", password);
        sql_error_set(&error, &source, "", text);
        assert_null(strstr(error.text, "s3c"));
    }
    sql_error_set(&error, &(sql_source_t){ .name = "app" }, NULL, "no password at all");
    assert_string_equal(error.text, "no password at all");
}

/* ---- work ------------------------------------------------------------------------------------ */

static void work_that_is_fenced_changes_nothing_more(void **state)
{
    (void)state;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    pawl_client_t client = { 0 };
    struct pawl_worker worker = { .client = &client };
    struct pawl_job job = { .worker = &worker, .task = &task };
    const sql_work_t work = { .job = &job };
    atomic_store(&job.state, PAWL_CANCEL);
    assert_false(work_is_cut_off(&work)); /* of a cancel the stopper decides */
    atomic_store(&job.state, PAWL_FENCED);
    assert_true(work_is_cut_off(&work)); /* though the broker has just answered */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_the_marks_of_the_driver),
        cmocka_unit_test(quotes_and_comments_are_left_alone),
        cmocka_unit_test(statements_end_with_a_semicolon),
        cmocka_unit_test(what_cannot_be_read_is_refused_with_a_reason),
        cmocka_unit_test(parameters_keep_what_they_were_written_with),
        cmocka_unit_test(parameters_that_are_no_json_are_refused),
        cmocka_unit_test(values_become_json_that_loses_nothing),
        cmocka_unit_test(watermarks_have_the_order_of_the_database),
        cmocka_unit_test(no_error_shows_a_password),
        cmocka_unit_test(sources_are_read_with_their_passwords),
        cmocka_unit_test(a_source_that_lacks_something_is_refused_by_name),
        cmocka_unit_test(errors_never_hold_the_password),
        cmocka_unit_test(work_that_is_fenced_changes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

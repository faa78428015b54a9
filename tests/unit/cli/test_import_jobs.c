/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>

#include <cmocka.h>

#include "client/cli/formats/celery.h"
#include "client/cli/formats/csv.h"
#include "client/cli/formats/quartz.h"
#include "client/cli/text.h"
#include "client/cli/formats/xxljob.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static const char *text_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const char *file_text(const char *path, size_t *len)
{
    buf_t text = { 0 };
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got;
    do {
        buf_need(&text, 4097);
        got = fread(text.at + text.len, 1, 4096, file);
        text.len += got;
    } while (got);
    assert_int_equal(fclose(file), 0);
    *len = text.len;
    buf_add(&text, "", 1);
    return text_keep((char *)text.at);
}

static const import_item_t *item_named(const import_list_t *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    fail_msg("no item %s", name);
    return NULL;
}

static void fields_of_celery_are_read_as_celery_does(void **state)
{
    static const struct {
        const char *text;
        unsigned low, high;
        const char *field; /* NULL: refused */
    } cases[] = {
        { "*", 0, 59, "*" },
        { "*/15", 0, 59, "*/15" },
        { "*/2", 1, 31, "*/2" },
        { "*/3,8-17", 0, 23, "0,3,6,8-18,21" },
        { "8-18/2", 0, 23, "8,10,12,14,16,18" },
        { "mon-fri", 0, 6, "1-5" },
        { "sunday", 0, 6, "0" },
        { "fri-mon", 0, 6, "0,1,5,6" },
        { "22-2", 0, 23, "0-2,22,23" },
        { "jan,mar", 1, 12, "1,3" },
        { " 5 , 7 ", 0, 59, "5,7" },
        { "7", 0, 6, NULL },
        { "3/5", 0, 59, NULL },
        { "60", 0, 59, NULL },
        { "*/0", 0, 59, NULL },
        { "mon", 0, 59, NULL },
        { "", 0, 59, NULL },
        { "1,", 0, 59, NULL },
        { "x", 0, 6, NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t set;
        const char *why = NULL;
        bool good = celery_field(cases[i].text, cases[i].low, cases[i].high, &set, &why);
        const char *field = good ? cron_field(set, cases[i].low, cases[i].high) : "refused";
        assert_true(good || why);
        if (strcmp(field, cases[i].field ? cases[i].field : "refused") != 0)
            fail_msg("\"%s\": %s", cases[i].text, field);
    }
}

static void fixtures_of_django_celery_beat_are_taken(void **state)
{
    (void)state;
    size_t len;
    const char *text = file_text("tests/data/import/beat.json", &len);
    json_t *types = json_pack("{s:s}", "shop.tasks.poll", "shop/poll");
    import_list_t list = { .types = types };
    assert_null(celery_import(&list, text, len));
    assert_int_equal(list.count, 6);
    const import_item_t *item = item_named(&list, "sync-orders");
    const json_t *task = json_object_get(item->spec, "task");
    assert_null(item->refused);
    assert_string_equal(text_in(item->spec, "rule"), "*/15 8,10,12,14,16,18 * * 1-5");
    assert_string_equal(text_in(item->spec, "zone"), "Europe/Paris");
    assert_string_equal(text_in(item->spec, "start_by"), "10m");
    assert_true(json_is_true(json_object_get(item->spec, "paused")));
    assert_string_equal(text_in(task, "type"), "celery/shop.tasks.sync_orders");
    assert_string_equal(text_in(task, "queue"), "orders");
    char *input = json_dumps(json_object_get(task, "input"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(input, "{\"args\":[\"eu-1\"],\"kwargs\":{\"full\":false}}");
    free(input);
    item = item_named(&list, "poll");
    assert_string_equal(text_in(item->spec, "every"), "10m");
    assert_string_equal(text_in(json_object_get(item->spec, "task"), "type"), "shop/poll");
    assert_non_null(strstr(item_named(&list, "friday-13")->refused, "both match"));
    assert_non_null(strstr(item_named(&list, "lamps")->refused, "solar"));
    assert_non_null(strstr(item_named(&list, "too-often")->refused, "whole seconds"));
    import_list_free(&list);
    json_decref(types);
}

static void plain_beat_schedules_are_taken(void **state)
{
    (void)state;
    size_t len;
    const char *text = file_text("tests/data/import/beat_plain.json", &len);
    import_list_t list = { .prefix = "shop" };
    assert_null(celery_import(&list, text, len));
    const import_item_t *item = item_named(&list, "shop-weekly-report");
    assert_string_equal(text_in(item->spec, "rule"), "30 7 * * 1");
    assert_string_equal(text_in(item->spec, "start_by"), "1h");
    assert_string_equal(text_in(item->spec, "zone"), "UTC");
    assert_string_equal(text_in(item_named(&list, "shop-odd-days")->spec, "rule"),
                        "0 0,3,6,8-18,21 */2 * *");
    assert_string_equal(text_in(item_named(&list, "shop-timed")->spec, "every"), "90m");
    assert_non_null(strstr(item_named(&list, "shop-eta")->refused, "countdown"));
    import_list_free(&list);
    assert_non_null(celery_import(&list, "{", 1));
    assert_non_null(celery_import(&list, "[]", 2));
    import_list_free(&list);
}

static void quartz_rules_keep_their_meaning(void **state)
{
    static const char *const cases[][2] = {
        { "0 0 0 * * ? *", "0 0 * * *" },
        { "0 0/10 8-18 ? * MON-FRI", "*/10 8-18 * * 1-5" },
        { "0 30 2 ? * 1", "30 2 * * 0" },
        { "0 30 2 ? * 2-6", "30 2 * * 1-5" },
        { "0 30 2 ? * 7", "30 2 * * 6" },
        { "0 0 3 ? * 6L", "0 3 * * 5L" },
        { "0 0 3 ? * FRI#3", "0 3 * * 5#3" },
        { "0 0 3 ? * 6#3", "0 3 * * 5#3" },
        { "0 0 3 ? * L", "0 3 * * 6" },
        { "0 0 3 ? * FRI-MON", "0 3 * * 0,1,5,6" },
        { "0 0 3 L * ?", "0 3 L * *" },
        { "0 0 3 LW * ?", "0 3 LW * *" },
        { "0 0 3 15W * ?", "0 3 15W * *" },
        { "0/5 * * * * ?", "*/5 * * * * *" },
        { "15 0 3 1/2 JAN,JUL ?", "15 0 3 */2 1,7 *" },
        { "0 5 22-2 * * ?", "5 0-2,22,23 * * *" },
        { "0 0 3 1 * ? 2027", "0 3 1 * *" },
        { "0 0 3 1 * MON", "refused" },
        { "0 0 3 ? * ?", "refused" },
        { "0 0 3 * * *", "refused" },
        { "0 0 3 L-3 * ?", "refused" },
        { "0 0 3 ? * 8", "refused" },
        { "0 0 3 ? * 0", "refused" },
        { "0 0/60 3 * * ?", "refused" },
        { "0 0 3 1C * ?", "refused" },
        { "0 0 3 1 * ? 2027/2", "refused" },
        { "0 3 * * ?", "refused" },
        { "", "refused" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        quartz_t quartz;
        const char *why = NULL;
        bool good = quartz_read(cases[i][0], &quartz, &why);
        assert_true(good || why);
        const char *rule = good ? quartz.rule : "refused";
        if (strcmp(rule, cases[i][1]) != 0) fail_msg("%s: %s", cases[i][0], rule);
    }
}

static void csv_holds_lines_quotes_and_no_values(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a,b,c\r\n\r\n\"x, \"\"y\"\"\",\"one\ntwo\",NULL\n"
                               "\"back\\\"slash\",\\N,\"NULL\"";
    csv_t csv;
    (void)state;
    csv_open(&csv, text, strlen(text));
    assert_true(csv_next(&csv));
    assert_string_equal(csv.cells[0], "a");
    assert_int_equal(csv.count, 3);
    assert_true(csv_next(&csv));
    assert_int_equal(csv.record_line, 3);
    assert_string_equal(csv.cells[0], "x, \"y\"");
    assert_string_equal(csv.cells[1], "one\ntwo");
    assert_string_equal(csv.cells[2], "");
    assert_true(csv_next(&csv));
    assert_int_equal(csv.record_line, 5);
    assert_string_equal(csv.cells[0], "back\"slash");
    assert_string_equal(csv.cells[1], "");
    assert_string_equal(csv.cells[2], "NULL");
    assert_false(csv_next(&csv));
    csv_close(&csv);
}

static void the_table_of_xxl_job_is_taken(void **state)
{
    (void)state;
    size_t len;
    const char *text = file_text("tests/data/import/xxl_job_info.csv", &len);
    import_list_t list = { 0 };
    assert_null(xxl_job_import(&list, text, len));
    assert_int_equal(list.count, 9);
    const import_item_t *item = item_named(&list, "xxl-job-1");
    assert_string_equal(text_in(item->spec, "rule"), "0 0 * * *");
    assert_string_equal(text_in(item->spec, "overlap"), "queue_all");
    assert_string_equal(text_in(item->spec, "title"), "测试任务1");
    assert_true(json_is_true(json_object_get(item->spec, "paused")));
    item = item_named(&list, "xxl-job-2");
    const json_t *task = json_object_get(item->spec, "task");
    assert_string_equal(text_in(item->spec, "mode"), "latest");
    assert_string_equal(text_in(item->spec, "overlap"), "skip");
    assert_string_equal(text_in(task, "type"), "xxl-job/syncOrders");
    assert_string_equal(text_in(task, "input"), "{\"region\":\"eu-1\"}");
    assert_string_equal(text_in(task, "time_limit"), "600s");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(task, "retry"), "max_attempts")), 3);
    item = item_named(&list, "xxl-job-3");
    assert_string_equal(text_in(item->spec, "rule"), "30 2 * * 0");
    assert_string_equal(
        text_in(json_object_get(json_object_get(item->spec, "task"), "script"), "text"),
        "set -- '/var/tmp 7' 0 1\n#!/bin/bash\nfind \"$1\" -mtime +7 -delete\nexit 0\n");
    item = item_named(&list, "xxl-job-7");
    assert_string_equal(text_in(item->spec, "start"), "2027-01-01T00:00:00");
    assert_string_equal(text_in(item->spec, "end"), "2028-12-31T23:59:59");
    assert_string_equal(text_in(item_named(&list, "xxl-job-4")->spec, "every"), "30s");
    assert_non_null(item_named(&list, "xxl-job-5")->refused);
    assert_non_null(strstr(item_named(&list, "xxl-job-6")->refused, "GLUE_GROOVY"));
    assert_non_null(strstr(item_named(&list, "xxl-job-8")->refused, "NONE"));
    assert_non_null(strstr(item_named(&list, "xxl-job-9")->refused, "?"));
    import_list_free(&list);
    assert_non_null(xxl_job_import(&list, "1,2,3\n", 6));
    assert_non_null(xxl_job_import(&list, "", 0));
}

static void a_delay_behind_the_end_of_a_run_is_a_fixed_delay(void **state)
{
    (void)state;
    static const char table[] =
        "id,schedule_type,schedule_conf,misfire_strategy,executor_handler,glue_type\n"
        "1,FIX_DELAY,90,DO_NOTHING,poll,BEAN\n"
        "2,FIX_DELAY,soon,DO_NOTHING,poll,BEAN\n";
    import_list_t list = { 0 };
    assert_null(xxl_job_import(&list, table, sizeof table - 1));
    const import_item_t *item = item_named(&list, "xxl-job-1");
    assert_null(item->refused);
    assert_string_equal(text_in(item->spec, "after"), "90s");
    assert_null(json_object_get(item->spec, "every"));
    assert_non_null(strstr(item_named(&list, "xxl-job-2")->refused, "FIX_DELAY \"soon\""));
    import_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(fields_of_celery_are_read_as_celery_does, forget),
        cmocka_unit_test_teardown(fixtures_of_django_celery_beat_are_taken, forget),
        cmocka_unit_test_teardown(plain_beat_schedules_are_taken, forget),
        cmocka_unit_test_teardown(quartz_rules_keep_their_meaning, forget),
        cmocka_unit_test_teardown(csv_holds_lines_quotes_and_no_values, forget),
        cmocka_unit_test_teardown(the_table_of_xxl_job_is_taken, forget),
        cmocka_unit_test_teardown(a_delay_behind_the_end_of_a_run_is_a_fixed_delay, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

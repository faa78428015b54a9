/* SPDX-License-Identifier: Apache-2.0
 * The parts that need no broker: configuration, records, tasks, filters, texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "client/pawl.h"
#include "client/record.h"
#include "client/task.h"
#include "client/worker.h"
#include "schemas/pawl.pb-c.h"

static void a_configuration_takes_what_is_right_and_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        bool good;
    } cases[] = {
        { "broker", "ipc:///run/x", true },
        { "broker", "tcp://h:1", true },
        { "broker", "udp://h:1", false },
        { "broker", "ipc://", false },
        { "role", "executor", true },
        { "role", "king", false },
        { "max_pending", "0", false },
        { "max_pending", "12x", false },
        { "max_pending", "12", true },
        { "connect_ivl_ms", "-1", false },
        { "name", "", false },
        { "colour", "red", false },
    };
    pawl_conf_t *conf = pawl_conf_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[200] = "";
        pawl_err err = pawl_conf_set(conf, cases[i].key, cases[i].value, why, sizeof why);
        assert_int_equal(err, cases[i].good ? 0 : PAWL_E_CONFIG);
        if (!cases[i].good) assert_non_null(strstr(why, cases[i].key));
    }
    assert_string_equal(pawl_conf_get(conf, "max_pending"), "12");
    assert_null(pawl_conf_get(conf, "name"));
    pawl_conf_destroy(&conf);
    assert_null(conf);
    pawl_conf_destroy(&conf);
}

/* A TaskInfo as it would arrive, with a serialized Task inside. */
static pawl_record_t *made_record(void)
{
    Pawl__V1__TaskInfo info = PAWL__V1__TASK_INFO__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels = &label;
    uint8_t id[16] = { 1, 2, 3 }, packed[200], bytes[600];
    task.type = (char *)(uintptr_t) "mail/send";
    task.priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY;
    label.key = (char *)(uintptr_t) "team";
    label.value = (char *)(uintptr_t) "ops";
    info.id = (ProtobufCBinaryData){ 16, id };
    info.status = PAWL__V1__TASK_STATUS__STATUS_RUNNING;
    info.created_us = INT64_MAX - 1;
    info.token = UINT64_MAX;
    info.exit_set_case = PAWL__V1__TASK_INFO__EXIT_SET_EXIT_CODE;
    info.exit_code = 0;
    info.n_labels = 1;
    info.labels = &labels;
    info.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, packed), packed };
    size_t len = pawl__v1__task_info__pack(&info, bytes);
    return record_of(arena_unpack(&pawl__v1__task_info__descriptor, bytes, len));
}

static void a_record_is_read_by_field_names(void **state)
{
    (void)state;
    pawl_record_t *record = made_record();
    size_t len;
    assert_string_equal(pawl_record_kind(record), "TaskInfo");
    assert_string_equal(pawl_record_text(record, "status"), "running");
    assert_int_equal(pawl_record_field_kind(record, "status"), PAWL_FIELD_ENUM);
    assert_int_equal(pawl_record_int(record, "status"), 5);
    assert_true(pawl_record_int(record, "created_us") == INT64_MAX - 1);
    assert_true((uint64_t)pawl_record_int(record, "token") == UINT64_MAX);
    assert_int_equal(((const uint8_t *)pawl_record_bytes(record, "id", &len))[2], 3);
    assert_int_equal(len, 16);
    assert_int_equal(pawl_record_field_kind(record, "labels"), PAWL_FIELD_LIST);
    assert_int_equal(pawl_record_item_kind(record, "labels"), PAWL_FIELD_RECORD);
    assert_int_equal(pawl_record_count(record, "labels"), 1);
    assert_string_equal(pawl_record_text(pawl_record_sub_at(record, "labels", 0), "value"), "ops");
    assert_null(pawl_record_sub_at(record, "labels", 1));
    pawl_record_destroy(&record);
    assert_null(record);
}

static void a_set_zero_differs_from_an_absent_field(void **state)
{
    (void)state;
    pawl_record_t *record = made_record();
    const pawl_record_t *task = pawl_record_sub(record, "task");
    assert_true(pawl_record_has(record, "exit_code"));
    assert_int_equal(pawl_record_int(record, "exit_code"), 0);
    assert_false(pawl_record_has(record, "message"));
    assert_non_null(task); /* the serialized Task, unpacked */
    assert_string_equal(pawl_record_kind(task), "Task");
    assert_string_equal(pawl_record_text(task, "type"), "mail/send");
    assert_true(pawl_record_has(task, "priority"));
    assert_ptr_equal(pawl_record_sub(record, "task"), task);
    assert_false(pawl_record_has(task, "retry"));
    assert_null(pawl_record_sub(task, "retry"));
    assert_int_equal(pawl_record_int(pawl_record_sub(task, "retry"), "max_attempts"), 0);
    pawl_record_destroy(&record);
}

static void what_is_not_there_reads_as_nothing(void **state)
{
    (void)state;
    pawl_record_t *record = made_record();
    size_t len = 7;
    assert_int_equal(pawl_record_field_kind(record, "nonsense"), PAWL_FIELD_NONE);
    assert_string_equal(pawl_record_text(record, "nonsense"), "");
    assert_int_equal(pawl_record_int(record, "type"), 0);
    assert_non_null(pawl_record_bytes(record, "output", &len));
    assert_int_equal(len, 0);
    assert_string_equal(pawl_record_text(NULL, "type"), "");
    assert_int_equal(pawl_record_count(NULL, "labels"), 0);
    for (size_t i = 0; i < pawl_record_fields(record); i++) /* all kinds of reads of all fields */
        for (int k = 0; k < 4; k++) {
            const char *name = pawl_record_field_name(record, i);
            pawl_record_text(record, name);
            pawl_record_text_at(record, name, 0);
            pawl_record_sub_at(record, name, 0);
            pawl_record_sub(record, name);
            pawl_record_bytes(record, name, NULL);
        }
    pawl_record_destroy(&record);
}

static void every_enum_word_reads_back_as_its_number(void **state)
{
    (void)state;
    static const struct {
        const ProtobufCEnumDescriptor *type;
        const char *word;
        int number;
    } cases[] = {
        { &pawl__v1__task_status__descriptor, "superseded", 10 },
        { &pawl__v1__overlap__descriptor, "queue_latest", 4 },
        { &pawl__v1__on_resume__descriptor, "catchup", 1 },
        { &pawl__v1__on_lost__descriptor, "fail", 2 },
        { &pawl__v1__task_verb__descriptor, "cancel", 1 },
        { &pawl__v1__schedule_verb__descriptor, "now", 3 },
        { &pawl__v1__cursor_action__descriptor, "now", 2 },
        { &pawl__v1__proposal_verdict__descriptor, "too_early", 3 },
        { &pawl__v1__mode__descriptor, "strict", 3 },
    };
    int number;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(enum_number(cases[i].type, cases[i].word, &number));
        assert_int_equal(number, cases[i].number);
    }
    assert_false(enum_number(&pawl__v1__mode__descriptor, "", &number));
    assert_false(enum_number(&pawl__v1__mode__descriptor, "unspecified", &number));
}

static void noise_never_unpacks_beyond_its_cap(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        uint8_t noise[300];
        random_bytes(noise, sizeof noise);
        void *message = arena_unpack(&pawl__v1__reply__descriptor, noise, (size_t)i % 300);
        arena_free_of(message);
    }
    size_t len = 4 << 20; /* empty strings, as many as fit: a hundredfold in memory */
    uint8_t *bomb = malloc(len);
    for (size_t i = 0; i + 2 <= len; i += 2) {
        bomb[i] = 0x1a; /* Why.lines */
        bomb[i + 1] = 0;
    }
    void *message = arena_unpack(&pawl__v1__why__descriptor, bomb, len);
    arena_free_of(message);
    free(bomb);
}

static void task_fields_are_set_by_name_and_checked(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        int64_t value;
        bool good;
    } numbers[] = {
        { "priority", 9, true },    { "priority", 10, false },
        { "priority", -1, false },  { "delay_us", 5, true },
        { "delay_us", -5, false },  { "hold", 1, true },
        { "hold", 2, false },       { "on_lost", 2, true },
        { "on_lost", 3, false },    { "retry.cap_us", 1, true },
        { "retry.nope", 1, false }, { "retry.backoff_us", 0, true },
        { "speed", 1, false },      { "retry.max_attempts", INT64_MAX, false },
    };
    pawl_task_t *task = pawl_task_new("a/b");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(pawl_task_set_int(task, numbers[i].field, numbers[i].value),
                         numbers[i].good ? 0 : PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_task_set_text(task, "target.executor", "web-1"), 0);
    assert_int_equal(pawl_task_set_text(task, "cwd", "/srv"), 0);
    assert_int_equal(pawl_task_set_text(task, "nope", "x"), PAWL_E_BAD_REQUEST);
    const char *argv[] = { "echo", "hi" };
    for (int i = 0; i < 2; i++) /* again: replaces */
        assert_int_equal(pawl_task_set_argv(task, argv, 2), 0);
    assert_int_equal(pawl_task_add_env(task, "A", "b"), 0);
    assert_int_equal(pawl_task_add_label(task, "team", "ops"), 0);
    assert_int_equal(pawl_task_add_target_label(task, "role", "web"), 0);
    assert_int_equal(task->message->command->n_argv, 2);
    assert_string_equal(task->message->target->executor, "web-1");
    assert_int_equal(task->message->retry->backoff_set_case,
                     PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US);
    pawl_task_destroy(&task);
}

static void a_task_has_an_id_from_the_start(void **state)
{
    (void)state;
    pawl_task_t *one = pawl_task_new("a/b"), *two = pawl_task_new("a/b");
    uint8_t first[16], second[16], again[16];
    pawl_task_id(one, first);
    pawl_task_id(two, second);
    assert_memory_not_equal(first, second, 16);
    pawl_task_set_id(two, first);
    pawl_task_id(two, again);
    assert_memory_equal(first, again, 16);
    pawl_task_destroy(&one);
    pawl_task_destroy(&two);
}

static void a_filter_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    pawl_filter_t *filter = pawl_filter_new();
    assert_int_equal(pawl_filter_add(filter, "status", "failed"), 0);
    assert_int_equal(pawl_filter_add(filter, "status", "waiting"), 0);
    assert_int_equal(pawl_filter_add(filter, "status", "happy"), PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_filter_add(filter, "label", "a=b"), 0);
    assert_int_equal(pawl_filter_add(filter, "label", "ab"), PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_filter_add(filter, "since_us", "12"), 0);
    assert_int_equal(pawl_filter_add(filter, "since_us", "12h"), PAWL_E_BAD_REQUEST);
    assert_int_equal(pawl_filter_add(filter, "newest_first", "1"), 0);
    assert_int_equal(pawl_filter_add(filter, "moon", "1"), PAWL_E_BAD_REQUEST);
    pawl_filter_destroy(&filter);
}

static void errors_have_names_texts_and_exit_codes(void **state)
{
    (void)state;
    assert_string_equal(pawl_err_name(PAWL_E_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(pawl_err_exit_code(PAWL_E_UNREACHABLE), 6);
    assert_true(pawl_err_retryable(PAWL_E_BUSY));
    assert_false(pawl_err_retryable(PAWL_E_REFUSED));
    assert_string_equal(pawl_err_name(-9999), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_takes_what_is_right_and_says_what_is_wrong),
        cmocka_unit_test(a_record_is_read_by_field_names),
        cmocka_unit_test(a_set_zero_differs_from_an_absent_field),
        cmocka_unit_test(what_is_not_there_reads_as_nothing),
        cmocka_unit_test(every_enum_word_reads_back_as_its_number),
        cmocka_unit_test(noise_never_unpacks_beyond_its_cap),
        cmocka_unit_test(task_fields_are_set_by_name_and_checked),
        cmocka_unit_test(a_task_has_an_id_from_the_start),
        cmocka_unit_test(a_filter_refuses_what_it_does_not_know),
        cmocka_unit_test(errors_have_names_texts_and_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

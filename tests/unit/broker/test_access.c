/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/front/access.h"

static bool may(access_role_t role, unsigned body)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleList list = PAWL__V1__SCHEDULE_LIST__INIT;
    request.body_case = (Pawl__V1__Request__BodyCase)body;
    if (body == PAWL__V1__REQUEST__BODY_SCHEDULE_LIST) request.schedule_list = &list;
    return access_allows(role, &request);
}

static bool may_list_whole(access_role_t role)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleList list = PAWL__V1__SCHEDULE_LIST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_LIST;
    request.schedule_list = &list;
    list.whole = true;
    return access_allows(role, &request);
}

/* A request that only an administrator may send is one that was forgotten in the table. */
static void each_request_of_the_schema_is_of_use_to_some_role(void **state)
{
    const ProtobufCMessageDescriptor *descriptor = &pawl__v1__request__descriptor;
    (void)state;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool body = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        if (!body || field->id == PAWL__V1__REQUEST__BODY_HELLO) continue;
        if (!may(ACCESS_OPERATOR, field->id) && !may(ACCESS_EXECUTOR, field->id) &&
            !may(ACCESS_SCHEDULER, field->id))
            fail_msg("%s has no row in broker/front/access.c", field->name);
        assert_true(may(ACCESS_ADMIN, field->id));
        assert_false(may(ACCESS_NONE, field->id));
    }
}

static void a_request_nobody_knows_is_for_nobody_but_an_administrator(void **state)
{
    (void)state;
    for (int role = ACCESS_ADMIN + 1; role < ACCESS_ROLES; role++)
        assert_false(may((access_role_t)role, 9999));
}

static void who_may_only_watch_reads_no_payload_and_changes_nothing(void **state)
{
    static const unsigned closed[] = {
        PAWL__V1__REQUEST__BODY_SUBMIT,          PAWL__V1__REQUEST__BODY_TASK_GET,
        PAWL__V1__REQUEST__BODY_TASK_CHANGE,     PAWL__V1__REQUEST__BODY_LOG_READ,
        PAWL__V1__REQUEST__BODY_SCHEDULE_GET,    PAWL__V1__REQUEST__BODY_SCHEDULE_PUT,
        PAWL__V1__REQUEST__BODY_QUEUE_CHANGE,    PAWL__V1__REQUEST__BODY_REPORT,
        PAWL__V1__REQUEST__BODY_PROPOSE,         PAWL__V1__REQUEST__BODY_WATERMARK_LIST,
        PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        assert_false(may(ACCESS_MONITOR, closed[i]));
    assert_true(may(ACCESS_MONITOR, PAWL__V1__REQUEST__BODY_STATS_GET));
}

/* Commands, environment and input stand in a definition, however it is asked for. */
static void who_may_not_read_a_definition_may_not_list_definitions(void **state)
{
    (void)state;
    for (int role = ACCESS_NONE; role < ACCESS_ROLES; role++)
        assert_int_equal(may_list_whole((access_role_t)role),
                         may((access_role_t)role, PAWL__V1__REQUEST__BODY_SCHEDULE_GET));
    assert_true(may(ACCESS_MONITOR, PAWL__V1__REQUEST__BODY_SCHEDULE_LIST));
    assert_true(may(ACCESS_SUBMITTER, PAWL__V1__REQUEST__BODY_SCHEDULE_LIST));
}

static void a_role_has_one_word_and_a_word_one_role(void **state)
{
    (void)state;
    for (int role = ACCESS_ADMIN; role < ACCESS_ROLES; role++)
        assert_int_equal(access_role_of(access_role_text((access_role_t)role)), role);
    assert_int_equal(access_role_of("none"), ACCESS_NONE);
    assert_int_equal(access_role_of(""), ACCESS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_of_the_schema_is_of_use_to_some_role),
        cmocka_unit_test(a_request_nobody_knows_is_for_nobody_but_an_administrator),
        cmocka_unit_test(who_may_only_watch_reads_no_payload_and_changes_nothing),
        cmocka_unit_test(who_may_not_read_a_definition_may_not_list_definitions),
        cmocka_unit_test(a_role_has_one_word_and_a_word_one_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

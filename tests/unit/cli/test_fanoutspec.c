/* SPDX-License-Identifier: Apache-2.0
 * Fan-outs as people write them: in a line of NDJSON, and behind --on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka's; fail.h has one of its own */

#include "client/cli/fanoutspec.h"
#include "client/cli/text.h"
#include "client/task.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static const char *const whole[] = {
    "{\"labels\":{}}",
    "{\"labels\":{\"role\":\"web\",\"site\":\"fra\"},\"count\":3,\"done\":\"quorum:2\"}",
    "{\"executors\":[\"web-1\",\"web-2\"],\"done\":\"any\",\"offline\":\"fail\",\"move\":true}",
    "{\"labels\":{},\"done\":\"percent:80\",\"offline\":\"wait:10m\",\"parallel\":10,"
    "\"pause\":\"30s\",\"stop_after\":\"10%\",\"late_join\":true,\"cancel_rest\":false}",
    "{\"labels\":{},\"done\":\"all\",\"offline\":\"skip\",\"parallel\":1,\"stop_after\":2}",
};

static void what_is_written_comes_back_as_it_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        spec_error_t error = { "", "" };
        json_t *value = json_loads(whole[i], 0, NULL);
        pawl_task_t *task = pawl_task_new("pawl/shell");
        assert_non_null(value);
        if (!fanout_from_json(task, value, &error)) fail_msg("%s: %s", error.field, error.why);
        json_t *back = fanout_json_from_message(task->message->fanout);
        char *text = json_dumps(back, JSON_COMPACT);
        if (!json_equal(back, value)) fail_msg("%s came back as %s", whole[i], text);
        free(text);
        json_decref(back);
        json_decref(value);
        pawl_task_destroy(&task);
    }
}

static void what_is_wrong_is_named_by_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } wrong[] = { { "{\"hosts\":3}", "fanout.hosts" },
                  { "{\"executors\":[]}", "fanout.executors" },
                  { "{\"executors\":[3]}", "fanout.executors" },
                  { "{\"labels\":{\"a\":1}}", "fanout.labels" },
                  { "{\"count\":\"3\"}", "fanout.count" },
                  { "{\"count\":-1}", "fanout.count" },
                  { "{\"done\":\"most\"}", "fanout.done" },
                  { "{\"done\":\"quorum:two\"}", "fanout.done" },
                  { "{\"offline\":\"wait:10\"}", "fanout.offline" },
                  { "{\"pause\":30}", "fanout.pause" },
                  { "{\"stop_after\":\"ten\"}", "fanout.stop_after" },
                  { "{\"late_join\":1}", "fanout.late_join" },
                  { "[]", "fanout" } };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        spec_error_t error = { "", "" };
        json_t *value = json_loads(wrong[i].text, 0, NULL);
        pawl_task_t *task = pawl_task_new("pawl/shell");
        if (fanout_from_json(task, value, &error)) fail_msg("%s was taken", wrong[i].text);
        assert_string_equal(error.field, wrong[i].field);
        json_decref(value);
        pawl_task_destroy(&task);
    }
}

static void on_tells_one_place_from_many(void **state)
{
    (void)state;
    static const struct {
        const char *on, *fanout; /* NULL: something else */
    } cases[] = { { "all", "{\"labels\":{}}" },
                  { "all:role=web,site=fra", "{\"labels\":{\"role\":\"web\",\"site\":\"fra\"}}" },
                  { "n:3:role=web", "{\"labels\":{\"role\":\"web\"},\"count\":3}" },
                  { "n:3", "{\"labels\":{},\"count\":3}" },
                  { "web-1,web-2", "{\"executors\":[\"web-1\",\"web-2\"]}" },
                  { "web-1", "{\"executors\":[\"web-1\"]}" },
                  { "n:0:role=web", NULL },
                  { "all:web", NULL },
                  { "host=web-1", NULL },
                  { "label=role=web", NULL },
                  { "hash=7", NULL },
                  { "", NULL } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *fanout = fanout_from_on(cases[i].on);
        json_t *wanted = cases[i].fanout ? json_loads(cases[i].fanout, 0, NULL) : NULL;
        if (!fanout != !wanted || (fanout && !json_equal(fanout, wanted)))
            fail_msg("--on %s means something else", cases[i].on);
        json_decref(fanout);
        json_decref(wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back_as_it_was_written),
        cmocka_unit_test(what_is_wrong_is_named_by_its_field),
        cmocka_unit_test(on_tells_one_place_from_many),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}

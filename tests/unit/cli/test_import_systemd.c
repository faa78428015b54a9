/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cli/formats/oncalendar.h"
#include "client/cli/formats/systemd.h"
#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

/* The rule, "@at STAMP", or "refused". */
static const char *rule_of(const char *text)
{
    on_calendar_t read;
    const char *why = NULL, *rule;
    if (!on_calendar_read(text, &read, &why)) {
        assert_non_null(why);
        return "refused";
    }
    rule = read.stamp ? say("@at %s", read.stamp) : cron_sets_rule(&read.sets, &why);
    if (!rule) assert_non_null(why);
    return say("%s%s%s", rule ? rule : "refused", read.zone ? " in " : "",
               read.zone ? read.zone : "");
}

static void calendar_events_become_rules(void **state)
{
    static const char *const cases[][2] = {
        { "daily", "0 0 * * *" },
        { "hourly", "0 * * * *" },
        { "minutely", "* * * * *" },
        { "WEEKLY", "0 0 * * 1" },
        { "monthly", "0 0 1 * *" },
        { "yearly", "0 0 1 1 *" },
        { "quarterly", "0 0 1 */3 *" },
        { "semiannually", "0 0 1 1,7 *" },
        { "*-*-* 02:00:00", "0 2 * * *" },
        { "*-*-* 6,18:00", "0 6,18 * * *" },
        { "Mon..Fri 22:30", "30 22 * * 1-5" },
        { "Mon,Wed,Fri *-*-* 09:15", "15 9 * * 1,3,5" },
        { "Mon-Fri 9:00", "0 9 * * 1-5" },
        { "Sat,Sun 10:00", "0 10 * * 0,6" },
        { "*:0/15", "*/15 * * * *" },
        { "*:5/15", "5,20,35,50 * * * *" },
        { "*-*-* *:*:0/20", "*/20 * * * * *" },
        { "*-*-* 00/2:30:00", "30 */2 * * *" },
        { "*-*-1,15 4:00", "0 4 1,15 * *" },
        { "*-01..03-01 00:00", "0 0 1 1-3 *" },
        { "Mon *-*-1..7 3:00", "0 3 * * 1#1" },
        { "Sun *-*-15..21 3:00", "0 3 15-21 * */7" },
        { "*-*~01 23:00", "0 23 L * *" },
        { "Mon *-05~07/1 00:00", "0 0 * 5 1L" },
        { "2026-12-24 02:00", "@at 2026-12-24T02:00:00" },
        { "2026-12-24", "@at 2026-12-24T00:00:00" },
        { "daily UTC", "0 0 * * * in UTC" },
        { "9:00 Europe/Paris", "0 9 * * * in Europe/Paris" },
        { "Fri *-*-13 12:00", "refused" },
        { "*-*~03 00:00", "refused" },
        { "2026..2027-01-01 00:00", "refused" },
        { "2026-*-01 00:00", "refused" },
        { "*:*/5", "refused" },
        { "Fri..Mon 9:00", "refused" },
        { "25:00", "refused" },
        { "12", "refused" },
        { "*-*-* 1:2:3.5", "refused" },
        { "9:00 Atlantis/Sunken", "refused" },
        { "", "refused" },
        { "Mon,, Tue", "refused" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *rule = rule_of(cases[i][0]);
        if (strcmp(rule, cases[i][1]) != 0)
            fail_msg("%s: %s, not %s", cases[i][0], rule, cases[i][1]);
    }
}

static void spans_are_systemds(void **state)
{
    int64_t us;
    (void)state;
    assert_true(systemd_span_read("1h 30min", &us));
    assert_int_equal(us, 5400 * INT64_C(1000000));
    assert_true(systemd_span_read("90", &us));
    assert_int_equal(us, 90 * INT64_C(1000000));
    assert_true(systemd_span_read("2weeks", &us));
    assert_int_equal(us, 1209600 * INT64_C(1000000));
    assert_false(systemd_span_read("1M", &us)); /* a month has no fixed length */
    assert_false(systemd_span_read("", &us));
    assert_false(systemd_span_read("5 parsecs", &us));
}

static import_list_t import_text(const char *timer_text, const char *service_text)
{
    import_list_t list = { 0 };
    unit_t timer = { 0 }, service = { 0 };
    unit_read(&timer, timer_text, strlen(timer_text));
    if (service_text) unit_read(&service, service_text, strlen(service_text));
    systemd_import(&list, "job.timer", &timer, service_text ? &service : NULL, false);
    unit_free(&timer);
    unit_free(&service);
    return list;
}

static void a_timer_with_its_service_becomes_a_schedule(void **state)
{
    (void)state;
    import_list_t list = import_text(
        "[Unit]\nDescription=Job\n[Timer]\nOnCalendar=hourly\nOnCalendar=\nOnCalendar=Mon 02:30\n"
        "OnCalendar=Tue 02:30\nPersistent=true\nRandomizedDelaySec=15min\n",
        "[Service]\nType=oneshot\nUser=app\nWorkingDirectory=/srv\nEnvironment=\"A=x y\" B=2\n"
        "Environment=OPTS=\"-q -v\"\n"
        "# a comment\nExecStart=/bin/job \\\n  --to ${A} $OPTS \"c d\" 5%% $$HOME '' \\x41\n");
    assert_null(list.items[0].refused);
    const json_t *spec = list.items[0].spec, *task = json_object_get(spec, "task");
    char *argv = json_dumps(json_object_get(task, "argv"), JSON_COMPACT);
    assert_string_equal(argv, "[\"/bin/job\",\"--to\",\"x y\",\"-q\",\"-v\",\"c d\",\"5%\","
                              "\"$HOME\",\"\",\"A\"]");
    free(argv);
    assert_string_equal(json_string_value(json_object_get(spec, "rule")), "30 2 * * 1,2");
    assert_string_equal(json_string_value(json_object_get(spec, "mode")), "latest");
    assert_string_equal(json_string_value(json_object_get(spec, "jitter")), "15m");
    assert_string_equal(json_string_value(json_object_get(task, "account")), "app");
    assert_string_equal(json_string_value(json_object_get(task, "cwd")), "/srv");
    assert_string_equal(list.items[0].name, "job");
    import_list_free(&list);
}

static void several_commands_stop_at_the_first_that_fails(void **state)
{
    (void)state;
    import_list_t list = import_text("[Timer]\nOnBootSec=1min\nOnUnitActiveSec=1d\n",
                                     "[Service]\nType=oneshot\nExecStartPre=-/bin/mkdir -p /a\n"
                                     "ExecStart=/bin/one ; /bin/two 'x y'\nExecStart=/bin/three\n");
    assert_null(list.items[0].refused);
    const json_t *spec = list.items[0].spec, *task = json_object_get(spec, "task");
    assert_string_equal(json_string_value(json_object_get(task, "shell")),
                        "{ /bin/mkdir -p /a || :; } && /bin/one && /bin/two 'x y' && /bin/three");
    assert_string_equal(json_string_value(json_object_get(spec, "every")), "24h");
    import_list_free(&list);
}

static void a_delay_behind_the_end_of_a_run_is_a_fixed_delay(void **state)
{
    (void)state;
    import_list_t list = import_text("[Timer]\nOnBootSec=1min\nOnUnitInactiveSec=90min\n"
                                     "RandomizedDelaySec=5min\n",
                                     "[Service]\nType=oneshot\nExecStart=/bin/a\n");
    assert_null(list.items[0].refused);
    const json_t *spec = list.items[0].spec;
    assert_string_equal(json_string_value(json_object_get(spec, "after")), "90m");
    assert_null(json_object_get(spec, "every"));
    assert_null(json_object_get(spec, "jitter")); /* nothing moves a fixed delay */
    assert_non_null(strstr(list.items[0].notes, "90m after the end of each run"));
    assert_non_null(strstr(list.items[0].notes, "RandomizedDelaySec="));
    import_list_free(&list);
}

static void what_has_no_counterpart_is_refused_with_the_reason(void **state)
{
    static const char *const cases[][3] = {
        { "OnBootSec=5min", "ExecStart=/bin/a", "OnBootSec=" },
        { "OnUnitInactiveSec=5min\nOnUnitActiveSec=1h", "ExecStart=/bin/a", "OnUnitInactiveSec=" },
        { "OnUnitInactiveSec=5min\nOnCalendar=daily", "ExecStart=/bin/a", "OnUnitInactiveSec=" },
        { "OnUnitInactiveSec=5min\nOnUnitInactiveSec=1h", "ExecStart=/bin/a", "several" },
        { "OnUnitInactiveSec=500ms", "ExecStart=/bin/a", "whole seconds" },
        { "OnCalendar=daily\nOnBootSec=5min", "ExecStart=/bin/a", "OnBootSec=" },
        { "OnCalendar=Mon 02:00\nOnCalendar=Tue 03:00", "ExecStart=/bin/a", "no one rule" },
        { "OnCalendar=daily", "ExecStart=/bin/a %i", "specifier" },
        { "OnCalendar=daily", "ExecStart=/bin/a ${HOME}", "HOME is not set" },
        { "OnCalendar=daily", "ExecStart=/bin/a\nExecStart=/bin/b", "oneshot" },
        { "OnCalendar=daily", "EnvironmentFile=/etc/a\nExecStart=/bin/a", "EnvironmentFile=" },
        { "OnCalendar=daily", "Type=forking\nExecStart=/bin/a", "Type=forking" },
        { "OnCalendar=daily", "DynamicUser=yes\nExecStart=/bin/a", "DynamicUser=" },
        { "OnCalendar=daily", "ExecStart=@/bin/a b", "prefix @" },
        { "OnCalendar=daily", "User=a\nExecStart=+/bin/a b", "other rights" },
        { "OnCalendar=daily", "Type=oneshot", "no ExecStart=" },
        { "OnCalendar=daily", "ExecStart=/bin/a \"b", "quote" },
        { "OnCalendar=sometimes", "ExecStart=/bin/a", "OnCalendar=sometimes" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        import_list_t list =
            import_text(say("[Timer]\n%s\n", cases[i][0]), say("[Service]\n%s\n", cases[i][1]));
        const char *why = list.items[0].refused;
        if (!why || !strstr(why, cases[i][2]))
            fail_msg("case %zu: %s, without \"%s\"", i, why ? why : "taken", cases[i][2]);
        assert_null(list.items[0].spec);
        import_list_free(&list);
    }
    import_list_t list = import_text("[Timer]\nOnCalendar=daily\n", NULL);
    assert_non_null(strstr(list.items[0].refused, "job.service was not found"));
    import_list_free(&list);
    list = import_text("[Unit]\nConditionACPower=true\n[Timer]\nOnCalendar=daily\n", "");
    assert_non_null(strstr(list.items[0].refused, "ConditionACPower="));
    import_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(calendar_events_become_rules, forget),
        cmocka_unit_test_teardown(spans_are_systemds, forget),
        cmocka_unit_test_teardown(a_timer_with_its_service_becomes_a_schedule, forget),
        cmocka_unit_test_teardown(several_commands_stop_at_the_first_that_fails, forget),
        cmocka_unit_test_teardown(a_delay_behind_the_end_of_a_run_is_a_fixed_delay, forget),
        cmocka_unit_test_teardown(what_has_no_counterpart_is_refused_with_the_reason, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

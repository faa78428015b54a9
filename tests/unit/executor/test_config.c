/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "executor/config.h"

/* Reads `text` as a file; the error ends up in `error`. */
static err_t read_text(executor_config_t *config, const char *text, buf_t *error)
{
    char path[] = "/tmp/pawl-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    err_t err = config_read_file(config, path, error);
    unlink(path);
    return err;
}

static void the_defaults_are_those_of_the_documentation(void **state)
{
    (void)state;
    executor_config_t *config = config_new();
    buf_t error = { 0 };
    assert_int_equal(config_complete(config, &error), ERR_OK);
    assert_int_equal(config->drain_timeout_us, 30000000);
    assert_int_equal(config->kill_grace_us, 10000000);
    assert_int_equal(config->time_limit_us, 0);
    assert_int_equal(config->mask, 0027);
    assert_int_equal(config->limit_count, 1);
    assert_int_equal(config->limits[0].resource, RLIMIT_NOFILE);
    assert_int_equal(config->limits[0].value, 1024);
    assert_true(config->slots >= 1);
    assert_true(*config->name);
    assert_non_null(config_mapped(&config->interpreters, "sh"));
    config_destroy(&config);
}

static void a_file_sets_texts_lists_maps_and_durations(void **state)
{
    (void)state;
    executor_config_t *config = config_new();
    buf_t error = { 0 };
    assert_int_equal(read_text(config,
                               "environment: test\n"
                               "log: {level: warn, format: auto}\n"
                               "broker:\n  listen: [ipc:///run/x]\n  anything: 1\n"
                               "executor:\n"
                               "  broker: ipc:///tmp/b.sock\n"
                               "  key: \"\"\n"
                               "  slots: 7\n"
                               "  queues: [default, mail]\n"
                               "  labels: {role: web, zone: eu-1}\n"
                               "  drain_timeout: 1m\n"
                               "  sources: {}\n"
                               "  allow:\n"
                               "    kinds: [script]\n"
                               "    accounts: [app]\n"
                               "    interpreters: {python: /usr/bin/python3}\n"
                               "  process:\n"
                               "    kill_grace: 500ms\n"
                               "    umask: \"0077\"\n"
                               "    cgroup: never\n"
                               "    rlimits: {nofile: 64, fsize: 2M}\n",
                               &error),
                     ERR_OK);
    assert_string_equal(config->broker, "ipc:///tmp/b.sock");
    assert_int_equal(config->slots, 7);
    assert_int_equal(config->queues.count, 2);
    assert_string_equal(config->queues.items[1], "mail");
    assert_string_equal(config_mapped(&config->labels, "zone"), "eu-1");
    assert_int_equal(config->drain_timeout_us, 60000000);
    assert_int_equal(config->kill_grace_us, 500000);
    assert_false(config_listed(&config->kinds, "shell"));
    assert_true(config_listed(&config->accounts, "app"));
    assert_int_equal(config->mask, 0077);
    assert_int_equal(config->cgroup, CGROUP_NEVER);
    assert_int_equal(config->limit_count, 2);
    assert_int_equal(config->limits[1].value, 2 << 20);
    assert_int_equal(config->log_level, LOG_WARN);
    config_destroy(&config);
}

static void a_mistake_is_told_with_its_line_and_what_to_type(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *says;
    } cases[] = {
        { "executor:\n  slot: 3\n", ":2: ", "did you mean \"executor.slots\"?" },
        { "executor:\n  process:\n    kil_grace: 1s\n", ":3: ", "executor.process.kill_grace" },
        { "executor:\n  kill_grace: 1s\n", ":2: ", "executor.process.kill_grace" },
        { "executer:\n  slots: 3\n", ":1: ", "did you mean \"executor\"?" },
        { "executor:\n  drain_timeout: 30\n", ":2: ", "500ms, 20s, 5m, 1h, 2d" },
        { "executor:\n  slots: -1\n", ":2: ", "0 to 4096" },
        { "executor:\n  slots: many\n", ":2: ", "0 to 4096" },
        { "executor:\n  labels: [a, b]\n", ":2: ", "a map" },
        { "executor:\n  key: /etc/key\n", ":2: ", "does not have" },
        { "executor:\n  process: {rlimits: {files: 3}}\n", ":2: ", "nofile" },
        { "executor:\n  process: {umask: \"9\"}\n", ":2: ", "octal" },
        { "- a\n", "", "map of sections" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        executor_config_t *config = config_new();
        buf_t error = { 0 };
        assert_int_equal(read_text(config, cases[i].text, &error), ERR_CONFIG);
        assert_non_null(strstr((char *)error.at, cases[i].line));
        assert_non_null(strstr((char *)error.at, cases[i].says));
        buf_free(&error);
        config_destroy(&config);
    }
}

static void the_environment_wins_over_the_file_and_flags_over_both(void **state)
{
    (void)state;
    executor_config_t *config = config_new();
    buf_t error = { 0 };
    char *envp[] = {
        (char *)"PAWL_EXECUTOR__SLOTS=5",        (char *)"PAWL_EXECUTOR__PROCESS__KILL_GRACE=2s",
        (char *)"PAWL_EXECUTOR__LABELS=a=b,c=d", (char *)"PAWL_TASK_ID=not configuration",
        (char *)"PAWL_BROKER__LISTEN=not ours",  NULL
    };
    assert_int_equal(read_text(config, "executor: {slots: 3, labels: {x: y}}\n", &error), ERR_OK);
    assert_int_equal(config_read_environment(config, envp, &error), ERR_OK);
    assert_int_equal(config->slots, 5);
    assert_int_equal(config->kill_grace_us, 2000000);
    assert_null(config_mapped(&config->labels, "x"));
    assert_string_equal(config_mapped(&config->labels, "c"), "d");
    assert_int_equal(config_set(config, "slots", "9", "command line", &error), ERR_OK);
    assert_int_equal(config_add(config, "labels", "e=f", "--labels", &error), ERR_OK);
    assert_int_equal(config->slots, 9);
    assert_int_equal(config->labels.count, 3);
    char *wrong[] = { (char *)"PAWL_EXECUTOR__SLOTZ=5", NULL };
    assert_int_equal(config_read_environment(config, wrong, &error), ERR_CONFIG);
    assert_non_null(strstr((char *)error.at, "PAWL_EXECUTOR__SLOTZ"));
    buf_free(&error);
    config_destroy(&config);
}

static void durations_carry_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = { { "0", 0 }, { "500ms", 500000 }, { "20s", 20000000 }, { "2d", 172800000000 } };
    static const char *const bad[] = { "", "5", "5 s", "-5s", "s", "99999999999999999d", "1y" };
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(config_duration(good[i].text, &us));
        assert_int_equal(us, good[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(config_duration(bad[i], &us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_documentation),
        cmocka_unit_test(a_file_sets_texts_lists_maps_and_durations),
        cmocka_unit_test(a_mistake_is_told_with_its_line_and_what_to_type),
        cmocka_unit_test(the_environment_wins_over_the_file_and_flags_over_both),
        cmocka_unit_test(durations_carry_a_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

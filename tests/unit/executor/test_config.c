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
#include "executor/offer.h"
#include "schemas/limits.h"

/* The configuration of a file with that text, completed. */
static executor_config_t *read_text(const char *text, char why[512], err_t *err)
{
    char path[] = "/tmp/pawl-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    executor_config_t *config = config_new();
    why[0] = '\0';
    *err = conf_load(config->conf, path, why, 512);
    if (!*err) *err = config_complete(config, why, 512);
    unlink(path);
    return config;
}

static void the_defaults_are_those_of_the_documentation(void **state)
{
    (void)state;
    executor_config_t *config = config_new();
    char why[512];
    assert_int_equal(config_complete(config, why, sizeof why), ERR_OK);
    assert_int_equal(config->drain_timeout_us, 30000000);
    assert_int_equal(config->kill_grace_us, 10000000);
    assert_int_equal(config->time_limit_us, 0);
    assert_int_equal(config->mask, 0027);
    assert_int_equal(config->limit_count, 1);
    assert_int_equal(config->limits[0].resource, RLIMIT_NOFILE);
    assert_int_equal(config->limits[0].value, 1024);
    assert_true(config->slots >= 1);
    assert_true(*config->name);
    assert_true(conf_listed(config->conf, "allow.kinds", "script"));
    assert_non_null(conf_mapped(config->conf, "allow.interpreters", "sh"));
    config_destroy(&config);
}

static void a_file_sets_texts_lists_maps_and_durations(void **state)
{
    (void)state;
    char why[512];
    err_t err;
    executor_config_t *config = read_text("environment: test\n"
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
                                          "    nice: -5\n"
                                          "    cgroup: never\n"
                                          "    rlimits: {nofile: 64, fsize: 2M}\n",
                                          why, &err);
    if (err) fail_msg("%s", why);
    assert_string_equal(config->broker, "ipc:///tmp/b.sock");
    assert_int_equal(config->slots, 7);
    assert_int_equal(conf_count(config->conf, "queues"), 2);
    assert_string_equal(conf_item(config->conf, "queues", 1), "mail");
    assert_string_equal(conf_mapped(config->conf, "labels", "zone"), "eu-1");
    assert_int_equal(config->drain_timeout_us, 60000000);
    assert_int_equal(config->kill_grace_us, 500000);
    assert_false(conf_listed(config->conf, "allow.kinds", "shell"));
    assert_true(conf_listed(config->conf, "allow.accounts", "app"));
    assert_int_equal(config->mask, 0077);
    assert_int_equal(config->nice, -5);
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
        { "executor:\n  slot: 3\n", ":2: ", "did you mean 'executor.slots'?" },
        { "executor:\n  process:\n    kil_grace: 1s\n", ":3: ", "executor.process.kill_grace" },
        { "executor:\n  kill_grace: 1s\n", ":2: ", "executor.process.kill_grace" },
        { "executer:\n  slots: 3\n", ":1: ", "unknown section 'executer'; ours is 'executor'" },
        { "executor:\n  drain_timeout: 30\n", ":2: ", "500ms, 30s, 5m, 1h, 2d" },
        { "executor:\n  slots: -1\n", ":2: ", "a whole number" },
        { "executor:\n  slots: 5000\n", ":2: ", "0 to 4096" },
        { "executor:\n  slots: many\n", ":2: ", "a whole number" },
        { "executor:\n  labels: [a, b]\n", ":2: ", "a map" },
        { "executor:\n  process: {rlimits: {files: 3}}\n", ":2: ", "nofile" },
        { "executor:\n  process: {rlimits: {nofile: 3x}}\n", ":2: ", "nofile" },
        { "executor:\n  process: {umask: \"9\"}\n", ":2: ", "octal" },
        { "executor:\n  process: {cgroup: maybe}\n", ":2: ", "one of: auto never always" },
        { "executor:\n  allow: {kinds: [shell, fortran]}\n", ":2: ", "sql-producer" },
        { "log: {level: loud}\n", ":1: ", "one of: info debug warn error" },
        { "- a\n", "", "key: value" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[512];
        err_t err;
        executor_config_t *config = read_text(cases[i].text, why, &err);
        assert_int_equal(err, ERR_CONFIG);
        if (!strstr(why, cases[i].line) || !strstr(why, cases[i].says))
            fail_msg("%s -> %s", cases[i].text, why);
        config_destroy(&config);
    }
}

static void more_interpreters_than_are_announced_are_refused(void **state)
{
    (void)state;
    buf_t text = { 0 };
    buf_printf(&text, "executor:\n  allow:\n    interpreters:\n");
    for (int i = 0; i <= LIMIT_INTERPRETERS; i++)
        buf_printf(&text, "      name%d: /bin/sh\n", i);
    for (int round = 0; round < 2; round++) {
        char why[512] = "";
        err_t err;
        executor_config_t *config = read_text((char *)text.at, why, &err);
        assert_int_equal(err, round ? ERR_OK : ERR_CONFIG);
        if (!round)
            assert_non_null(strstr(why, "has 65 of them, one executor announces at most 64"));
        config_destroy(&config);
        if (!round) *strstr((char *)text.at, "      name64") = '\0';
    }
    buf_free(&text);
}

static void what_is_run_is_said_by_the_file_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type;
        bool run;
    } cases[] = {
        { "", "pawl/shell", true },
        { "", "pawl/script", true },
        { "", "pawl/sql", false }, /* no source */
        { "", "mail/send", false },
        { "executor: {allow: {kinds: [script]}}\n", "pawl/script", true },
        { "executor: {allow: {kinds: [script]}}\n", "pawl/shell", false },
        { "executor: {allow: {kinds: [sql-producer]}, sources: {a: {driver: sqlite, database: "
          "x}}}\n",
          "pawl/sql", false },
        { "executor: {allow: {kinds: [sql-producer]}, sources: {a: {driver: sqlite, database: "
          "x}}}\n",
          "pawl/sql-producer", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[512] = "";
        err_t err;
        executor_config_t *config = read_text(cases[i].text, why, &err);
        assert_int_equal(err, ERR_OK);
        offer_t *offer = offer_new(config);
        if (offer_has(offer, cases[i].type) != cases[i].run)
            fail_msg("%s: %s", cases[i].text, cases[i].type);
        offer_destroy(&offer);
        config_destroy(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_documentation),
        cmocka_unit_test(a_file_sets_texts_lists_maps_and_durations),
        cmocka_unit_test(a_mistake_is_told_with_its_line_and_what_to_type),
        cmocka_unit_test(more_interpreters_than_are_announced_are_refused),
        cmocka_unit_test(what_is_run_is_said_by_the_file_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/conf.h"

static const conf_key_t keys[] = {
    { "listen", CONF_TEXT, "", 0, 0, "where peers connect" },
    { "map", CONF_BYTES, "64GiB", 1 << 20, INT64_C(1) << 46, "size of the store" },
    { "lease", CONF_DURATION, "30s", 0, 0, "silence after which a peer is lost" },
    { "keep.logs", CONF_DURATION, "30d", 0, 0, "how long logs stay" },
    { "limits.peers", CONF_COUNT, "20000", 1, 100000, "live sessions" },
    { "debug", CONF_BOOL, "false", 0, 0, "say more" },
};

static char path[] = "/tmp/pawl-conf-XXXXXX";

static void write_file(const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static err_t load(const char *text, conf_t **conf, char why[256])
{
    write_file(text);
    why[0] = '\0';
    *conf = conf_new(keys, ARRAY_LEN(keys));
    return conf_load(*conf, path, why, 256);
}

static void defaults_hold_without_any_source(void **state)
{
    (void)state;
    conf_t *conf = conf_new(keys, ARRAY_LEN(keys));
    assert_string_equal(conf_text(conf, "listen"), "");
    assert_true(conf_number(conf, "map") == INT64_C(64) << 30);
    assert_int_equal(conf_number(conf, "lease"), 30000000);
    assert_false(conf_bool(conf, "debug"));
    assert_string_equal(conf_origin(conf, "map"), "default");
    conf_destroy(&conf);
    assert_null(conf);
}

static void the_file_is_yaml_with_groups_or_dots(void **state)
{
    (void)state;
    conf_t *conf;
    char why[256];
    assert_int_equal(load("# mine\nlisten: ipc:///tmp/x\nkeep:\n  logs: 5d\nlimits.peers: 7\n"
                          "debug: true\n",
                          &conf, why),
                     ERR_OK);
    assert_string_equal(conf_text(conf, "listen"), "ipc:///tmp/x");
    assert_true(conf_number(conf, "keep.logs") == INT64_C(5) * 86400 * 1000000);
    assert_int_equal(conf_number(conf, "limits.peers"), 7);
    assert_true(conf_bool(conf, "debug"));
    assert_non_null(strstr(conf_origin(conf, "keep.logs"), ":4"));
    conf_destroy(&conf);
}

static void an_empty_file_changes_nothing(void **state)
{
    (void)state;
    const char *const texts[] = { "", "# only a comment\n", "---\n", "{}\n" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        conf_t *conf;
        char why[256];
        assert_int_equal(load(texts[i], &conf, why), ERR_OK);
        assert_int_equal(conf_number(conf, "lease"), 30000000);
        conf_destroy(&conf);
    }
}

static void a_fault_in_the_file_names_the_line_and_what_was_meant(void **state)
{
    (void)state;
    const struct {
        const char *text, *says;
    } cases[] = {
        { "listen: x\nleese: 3s\n", ":2: unknown key 'leese'; did you mean 'lease'?" },
        { "keep:\n  log: 3d\n", ":2: unknown key 'keep.log'; did you mean 'keep.logs'?" },
        { "lease: 30\n", ":1: lease is '30', but must be a duration" },
        { "lease: -3s\n", "must be a duration" },
        { "map: 64GB\n", "must be a size" },
        { "map: 9999999999999TiB\n", "must be a size" },
        { "map: 1KiB\n", "outside its range" },
        { "limits.peers: 0\n", "outside its range" },
        { "debug: yes\n", "must be true or false" },
        { "lease: [1, 2]\n", "lease must be a duration" },
        { "- a\n- b\n", "key: value" },
        { "a: b: c\n", "not YAML" },
        { "lease: 1s\nlease: 2s\n", "not YAML" },
        { "zzzzzzzzzzzzzzzzzzzzzz: 1\n", "unknown key 'zzzzzzzzzzzzzzzzzzzzzz'" },
        { "keep: 3\n", "unknown key 'keep'" },
        { "other:\n  x: 3\n", "unknown key 'other'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        conf_t *conf;
        char why[256];
        assert_int_equal(load(cases[i].text, &conf, why), ERR_CONFIG);
        if (strstr(why, cases[i].says) == NULL) fail_msg("%s -> %s", cases[i].text, why);
        conf_destroy(&conf);
    }
}

static void a_missing_file_is_an_error(void **state)
{
    (void)state;
    char why[256];
    conf_t *conf = conf_new(keys, ARRAY_LEN(keys));
    assert_int_equal(conf_load(conf, "/nonexistent/x.yaml", why, sizeof why), ERR_CONFIG);
    assert_non_null(strstr(why, "No such file"));
    conf_destroy(&conf);
}

static void the_environment_overrides_the_file_and_flags_override_both(void **state)
{
    (void)state;
    conf_t *conf;
    char why[256];
    char *environment[] = { "PATH=/bin",
                            "PAWL_BROKER=ipc:///elsewhere",
                            "PAWL_TASK_ID=7",
                            "PAWL_BROKER__KEEP__LOGS=2d",
                            "PAWL_BROKER__LEASE=9s",
                            NULL };
    assert_int_equal(load("lease: 5s\nkeep.logs: 1d\n", &conf, why), ERR_OK);
    assert_int_equal(conf_environment(conf, "PAWL_BROKER__", environment, why, sizeof why), ERR_OK);
    assert_int_equal(conf_set(conf, "lease", "11s", "--lease", why, sizeof why), ERR_OK);
    assert_true(conf_number(conf, "keep.logs") == INT64_C(2) * 86400 * 1000000);
    assert_int_equal(conf_number(conf, "lease"), 11000000);
    assert_string_equal(conf_origin(conf, "keep.logs"), "PAWL_BROKER__KEEP__LOGS");
    char *wrong[] = { "PAWL_BROKER__LISTN=x", NULL };
    assert_int_equal(conf_environment(conf, "PAWL_BROKER__", wrong, why, sizeof why), ERR_CONFIG);
    assert_string_equal(why, "PAWL_BROKER__LISTN: unknown key 'listn'; did you mean 'listen'?");
    conf_destroy(&conf);
}

static void what_is_printed_can_be_loaded(void **state)
{
    (void)state;
    conf_t *conf;
    char why[256];
    assert_int_equal(load("listen: 'a \"b\" \\ c'\nlease: 5s\n", &conf, why), ERR_OK);
    FILE *out = fopen(path, "w");
    conf_print(conf, out);
    fclose(out);
    conf_t *again = conf_new(keys, ARRAY_LEN(keys));
    if (conf_load(again, path, why, sizeof why) != ERR_OK) fail_msg("%s", why);
    assert_string_equal(conf_text(again, "listen"), "a \"b\" \\ c");
    assert_int_equal(conf_number(again, "lease"), 5000000);
    conf_destroy(&again);
    conf_destroy(&conf);
}

static const conf_key_t many_keys[] = {
    { "broker", CONF_TEXT, "", 0, 0, "endpoint" },
    { "queues", CONF_LIST, "a,b", 0, 0, "queues" },
    { "labels", CONF_MAP, "", 0, 0, "labels" },
    { "process.nice", CONF_COUNT, "0", -20, 19, "niceness" },
    { "process.umask", CONF_OCTAL, "0027", 0, 0777, "umask" },
    { "process.cgroup", CONF_WORD, "auto never always", 0, 0, "cgroups" },
    { "sources", CONF_ENTRIES, "", 0, 0, "databases" },
    { "later", CONF_ABSENT, "", 0, 0, "not there" },
    { "log.level", CONF_WORD, "info debug", 0, 0, "level" },
};
static const conf_key_t source_keys[] = {
    { "driver", CONF_WORD, "sqlite postgresql", 0, 0, "what it is" },
    { "password", CONF_SECRET, "", 0, 0, "never shown" },
    { "rows", CONF_COUNT, "100", 1, 1000, "rows at most" },
};

static err_t load_many(const char *text, conf_t **conf, char why[256])
{
    write_file(text);
    why[0] = '\0';
    *conf = conf_new_section("executor", many_keys, ARRAY_LEN(many_keys));
    conf_entries(*conf, "sources", source_keys, ARRAY_LEN(source_keys));
    return conf_load(*conf, path, why, 256);
}

static void lists_maps_and_entries_stand_in_a_section_of_a_file_of_all_programs(void **state)
{
    (void)state;
    conf_t *conf;
    char why[256];
    if (load_many("log: {level: debug, format: auto}\nbroker: {listen: x, y: [1]}\n"
                  "executor:\n  queues: [mail, 'x,y']\n  labels: {zone: eu, role: web}\n"
                  "  process: {nice: -5, umask: '0077', cgroup: never}\n  later: {}\n"
                  "  sources:\n    crm: {driver: postgresql, password: hunter2}\n    own: {}\n",
                  &conf, why) != ERR_OK)
        fail_msg("%s", why);
    assert_int_equal(conf_count(conf, "queues"), 2);
    assert_string_equal(conf_item(conf, "queues", 1), "x,y");
    assert_true(conf_listed(conf, "queues", "mail"));
    assert_false(conf_listed(conf, "queues", "a"));
    assert_string_equal(conf_name(conf, "labels", 0), "zone");
    assert_string_equal(conf_mapped(conf, "labels", "role"), "web");
    assert_null(conf_mapped(conf, "labels", "other"));
    assert_int_equal(conf_number(conf, "process.nice"), -5);
    assert_int_equal(conf_number(conf, "process.umask"), 0077);
    assert_int_equal(conf_number(conf, "process.cgroup"), 1);
    assert_int_equal(conf_number(conf, "log.level"), 1);
    assert_int_equal(conf_count(conf, "sources"), 2);
    const conf_t *crm = conf_entry_named(conf, "sources", "crm");
    assert_int_equal(conf_number(crm, "driver"), 1);
    assert_string_equal(conf_text(crm, "password"), "hunter2");
    assert_non_null(strstr(conf_origin(crm, "password"), ":9"));
    assert_int_equal(conf_number(conf_entry(conf, "sources", 1), "rows"), 100);
    assert_null(conf_entry_named(conf, "sources", "none"));
    conf_destroy(&conf);
}

static void a_line_holds_a_whole_list_and_one_key_of_an_entry(void **state)
{
    (void)state;
    conf_t *conf;
    char why[256];
    char *environment[] = { "PAWL_EXECUTOR__QUEUES=", "PAWL_EXECUTOR__LABELS=a=b,c=d=e",
                            "PAWL_EXECUTOR__SOURCES__CRM__ROWS=7", NULL };
    assert_int_equal(
        load_many("executor: {labels: {x: y}, sources: {crm: {password: p}}}\n", &conf, why),
        ERR_OK);
    if (conf_environment(conf, "PAWL_EXECUTOR__", environment, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_int_equal(conf_count(conf, "queues"), 0);
    assert_null(conf_mapped(conf, "labels", "x"));
    assert_string_equal(conf_mapped(conf, "labels", "c"), "d=e");
    assert_int_equal(conf_number(conf_entry_named(conf, "sources", "crm"), "rows"), 7);
    assert_string_equal(conf_text(conf_entry_named(conf, "sources", "crm"), "password"), "p");
    assert_int_equal(conf_add(conf, "labels", "c=f,g=h", "--labels", why, sizeof why), ERR_OK);
    assert_int_equal(conf_count(conf, "labels"), 3);
    assert_string_equal(conf_mapped(conf, "labels", "c"), "f");
    conf_destroy(&conf);
}

static void a_wrong_value_of_many_is_told_and_a_secret_never(void **state)
{
    (void)state;
    const struct {
        const char *text, *says;
    } cases[] = {
        { "executor: {queues: {a: b}}\n", ":1: executor.queues must be a list" },
        { "executor: {labels: [a]}\n", "executor.labels must be a map" },
        { "executor: {labels: a}\n", "executor.labels is 'a', but must be a map" },
        { "executor: {queues: [[a]]}\n", "executor.queues must be a list" },
        { "executor:\n  sources: {crm: {driver: oracle}}\n",
          ":2: executor.sources.crm.driver is 'oracle', but must be one of: sqlite postgresql" },
        { "executor: {sources: {crm: {passwort: x}}}\n",
          "unknown key 'executor.sources.crm.passwort'; did you mean "
          "'executor.sources.crm.password'?" },
        { "executor: {sources: {crm: {password: \"a\\u0001b\"}}}\n",
          "executor.sources.crm.password must be a text" },
        { "executor: {sources: [a]}\n", "executor.sources must be a map of names" },
        { "executor: {later: {a: b}}\n", "executor.later must be empty" },
        { "executor: {nice: 5}\n", "did you mean 'executor.process.nice'?" },
        { "executer: {}\n", ":1: unknown section 'executer'; ours is 'executor'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        conf_t *conf;
        char why[256];
        assert_int_equal(load_many(cases[i].text, &conf, why), ERR_CONFIG);
        if (strstr(why, cases[i].says) == NULL) fail_msg("%s -> %s", cases[i].text, why);
        conf_destroy(&conf);
    }
}

static void what_is_printed_of_many_can_be_loaded_but_for_secrets(void **state)
{
    (void)state;
    conf_t *conf, *again;
    char why[256];
    assert_int_equal(load_many("executor: {queues: ['a \"b', c], labels: {k: 'v: w'},"
                               " sources: {crm: {password: hunter2, rows: 9}}}\n",
                               &conf, why),
                     ERR_OK);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    conf_print(conf, out);
    fclose(out);
    assert_null(strstr(text, "hunter2"));
    if (load_many(text, &again, why) != ERR_OK) fail_msg("%s in\n%s", why, text);
    assert_string_equal(conf_item(again, "queues", 0), "a \"b");
    assert_string_equal(conf_mapped(again, "labels", "k"), "v: w");
    assert_int_equal(conf_number(conf_entry_named(again, "sources", "crm"), "rows"), 9);
    free(text);
    conf_destroy(&again);
    conf_destroy(&conf);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static void durations_carry_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        { "500ms", 500000 },
        { "20s", 20000000 },
        { "5m", 300000000 },
        { "1h", INT64_C(3600000000) },
        { "2d", INT64_C(172800000000) },
        { "0s", 0 },
        { "7us", 7 },
    };
    static const char *const bad[] = { "",           "5",
                                       "s",          "-5s",
                                       "5 s",        "5M",
                                       "1.5h",       "1h30m",
                                       "+5s",        "9223372036854775808us",
                                       "106751992d", "99999999999999999999s" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t us = -1;
        assert_true(conf_parse_duration(good[i].text, &us));
        assert_true(us == good[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t us = -1;
        if (conf_parse_duration(bad[i], &us)) fail_msg("%s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_carry_a_unit),
        cmocka_unit_test(defaults_hold_without_any_source),
        cmocka_unit_test(the_file_is_yaml_with_groups_or_dots),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(a_fault_in_the_file_names_the_line_and_what_was_meant),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(the_environment_overrides_the_file_and_flags_override_both),
        cmocka_unit_test(what_is_printed_can_be_loaded),
        cmocka_unit_test(lists_maps_and_entries_stand_in_a_section_of_a_file_of_all_programs),
        cmocka_unit_test(a_line_holds_a_whole_list_and_one_key_of_an_entry),
        cmocka_unit_test(a_wrong_value_of_many_is_told_and_a_secret_never),
        cmocka_unit_test(what_is_printed_of_many_can_be_loaded_but_for_secrets),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

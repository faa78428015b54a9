/* SPDX-License-Identifier: Apache-2.0
 * What crontab_write writes, crontab_read reads back as the same schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/cli/formats/crontab.h"
#include "client/cli/formats/crontabwrite.h"
#include "client/cli/text.h"

static int forget(void **state)
{
    (void)state;
    text_forget();
    return 0;
}

static char *written(json_t *const *specs, size_t n, const char *account,
                     crontab_written_t *results)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    crontab_write(specs, n, account, to, results);
    assert_int_equal(fclose(to), 0);
    return text;
}

static json_t *spec_of(const char *name, const char *rule, const char *zone, const char *shell,
                       json_t *env, const char *input, const char *command)
{
    json_t *task = json_object();
    json_t *all = json_deep_copy(env);
    json_object_set_new(all, "SHELL", json_string(shell));
    if (strcmp(shell, "/bin/sh") == 0)
        json_object_set_new(task, "shell", json_string(command));
    else
        json_object_set_new(task, "argv", json_pack("[s, s, s]", shell, "-c", command));
    json_object_set_new(task, "env", all);
    if (input && *input) json_object_set_new(task, "stdin", json_string(input));
    return json_pack("{s:s, s:s, s:s, s:o}", "name", name, "rule", rule, "zone", zone, "task",
                     task);
}

/* xorshift: the same texts in every run of a seed. */
static uint64_t dice;
static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice % sides);
}

static const char *some_text(const char *letters, unsigned longest, unsigned least)
{
    char *text = mem_new(longest + least + 1);
    unsigned len = least + roll(longest);
    for (unsigned i = 0; i < len; i++)
        text[i] = letters[roll((unsigned)strlen(letters))];
    return text_keep(text);
}

static const char *some_rule(void)
{
    static const char *const macros[] = { "@daily", "@hourly", "@weekly", "@monthly", "@yearly" };
    static const char *const days[] = { "*", "sun", "Mon-Fri", "1,3", "5-7", "*/2", "0-6/2" };
    if (roll(6) == 0) return macros[roll(5)];
    return say("%s %u %s %u-12 %s", roll(2) ? "*/5" : say("%u,%u-59/7", roll(30), roll(40)),
               roll(24), roll(2) ? "*" : say("%u", 1 + roll(31)), 1 + roll(12), days[roll(7)]);
}

/* A crontab as text; what it says is given by reading it, so the text itself is the oracle. */
static const char *some_crontab(void)
{
    static const char *const zones[] = { "Europe/Paris", "UTC", "America/New_York" };
    static const char *const shells[] = { "/bin/bash", "/bin/sh" };
    buf_t text = { 0 };
    buf_printf(&text, "CRON_TZ=%s\n", zones[roll(3)]);
    for (unsigned i = 0, lines = 1 + roll(12); i < lines; i++) {
        switch (roll(8)) {
        case 0:
            buf_printf(&text, "CRON_TZ=%s\n", zones[roll(3)]);
            break;
        case 1:
            buf_printf(&text, "SHELL=%s\n", shells[roll(2)]);
            break;
        case 2:
            buf_printf(&text, "%s=%s\n", some_text("ABC_", 2, 1), some_text("ab\"' %\\=#$", 9, 0));
            break;
        case 3:
            buf_printf(&text, "# %s\n", some_text("abc =%", 9, 0));
            break;
        default:
            buf_printf(&text, "%s %s\n", some_rule(), some_text("ab %%\\\"'$|;#=", 24, 1));
        }
    }
    return text_keep((char *)text.at);
}

static json_t **specs_of(const crontab_t *crontab, size_t *n)
{
    json_t **specs = mem_new((crontab->count + 1) * sizeof *specs);
    *n = 0;
    for (size_t i = 0; i < crontab->count; i++) {
        const crontab_line_t *line = &crontab->lines[i];
        if (line->refused) continue;
        const char *shell = line->shell ? line->shell : "/bin/sh";
        specs[(*n)++] = spec_of(line->name ? line->name : say("job-%zu", line->number), line->rule,
                                line->zone ? line->zone : "UTC", shell, line->env, line->stdin_text,
                                line->command);
    }
    return specs;
}

static void forget_specs(json_t **specs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_decref(specs[i]);
    free(specs);
}

static const json_t *named(json_t *const *specs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_string_value(json_object_get(specs[i], "name")), name) == 0)
            return specs[i];
    return NULL;
}

static void crontabs_come_back_as_the_same_schedules(void **state)
{
    enum { SEEDS = 3000 };
    size_t taken = 0, left_out = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        dice = seed * UINT64_C(0x9E3779B97F4A7C15);
        const char *text = some_crontab();
        crontab_t first, second;
        size_t n, m;
        crontab_read(&first, text, strlen(text), false);
        json_t **specs = specs_of(&first, &n);
        crontab_written_t *results = mem_new((n + 1) * sizeof *results);
        char *again = written(specs, n, NULL, results);
        crontab_read(&second, again, strlen(again), false);
        json_t **back = specs_of(&second, &m);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            if (results[i].left_out) continue;
            kept++;
            const json_t *mine = named(specs, n, results[i].name);
            const json_t *theirs = named(back, m, results[i].name);
            if (!theirs || json_equal(mine, theirs) != 1)
                fail_msg("seed %llu: %s came back different\n%s\n--- written\n%s",
                         (unsigned long long)seed, results[i].name, text, again);
        }
        /* every command that a crontab said can be said again */
        if (kept != m || kept != n)
            fail_msg("seed %llu: %zu of %zu written, %zu read\n%s\n--- written\n%s",
                     (unsigned long long)seed, kept, n, m, text, again);
        taken += kept;
        left_out += n - kept;
        free(again);
        free(results);
        forget_specs(specs, n);
        forget_specs(back, m);
        crontab_free(&first);
        crontab_free(&second);
        text_forget();
    }
    assert_true(taken > SEEDS);
    assert_int_equal(left_out, 0);
}

static const char *left_out_why(const char *rule, const char *command, const char *key,
                                json_t *value)
{
    crontab_written_t result;
    json_t *env = json_object();
    json_t *spec = spec_of("job", rule, "Europe/Paris", "/bin/sh", env, NULL, command);
    if (key) json_object_set_new(spec, key, value);
    char *text = written(&spec, 1, NULL, &result);
    assert_true(!result.left_out == (strstr(text, " is not written") == NULL));
    free(text);
    json_decref(spec);
    json_decref(env);
    return result.left_out ? result.left_out : say("written; unsaid: %s", result.unsaid);
}

static void what_a_crontab_cannot_say_is_told(void **state)
{
    (void)state;
    assert_non_null(strstr(left_out_why("0 2 L * *", "a", NULL, NULL), "no rule of crontab(5)"));
    assert_non_null(strstr(left_out_why("*/30 0 2 * * *", "a", NULL, NULL), "crontab(5)"));
    assert_non_null(
        strstr(left_out_why("@every 5m from 2026-01-01T00:00:00Z", "a", NULL, NULL), "crontab(5)"));
    assert_non_null(strstr(left_out_why("0 2 * * *", "a\nb", NULL, NULL), "new line"));
    assert_non_null(strstr(left_out_why("0 2 * * *", "a\\%b", NULL, NULL), "backslash"));
    assert_non_null(strstr(left_out_why("0 2 * * *", "a", "paused", json_true()), "paused"));
    assert_non_null(
        strstr(left_out_why("0 2 * * *", "a", "except", json_string("2026-12-25")), "except"));
    assert_string_equal(left_out_why("0 2 * * *", "a", "mode", json_string("strict")),
                        "written; unsaid: mode strict");
    assert_string_equal(left_out_why("0 0 2 * * *", "date +%F", NULL, NULL), "written; unsaid: ");
    assert_string_equal(left_out_why("0 22-4 * * FRI-MON", "a", NULL, NULL), "written; unsaid: ");
}

static void rules_that_cron_reads_otherwise_are_written_out(void **state)
{
    (void)state;
    crontab_written_t result;
    json_t *env = json_object();
    json_t *spec = spec_of("job", "0 22-2 * * FRI-SUN", "UTC", "/bin/sh", env, NULL, "a");
    char *text = written(&spec, 1, "root", &result);
    assert_non_null(strstr(text, " root a\n"));
    assert_null(strstr(text, "22-2"));
    assert_null(strstr(text, "FRI-SUN"));
    free(text);
    json_decref(spec);
    json_decref(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(crontabs_come_back_as_the_same_schedules, forget),
        cmocka_unit_test_teardown(what_a_crontab_cannot_say_is_told, forget),
        cmocka_unit_test_teardown(rules_that_cron_reads_otherwise_are_written_out, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/taskargs.c - the flags of `pawl run` and `pawl schedule add` as the JSON object that a
 * line of `pawl task submit` would be. What a field may hold is checked where JSON becomes a task:
 * here only what cannot be said in JSON. */
#include "client/cli/taskspec.h"

#include <errno.h>
#include <stdio.h>

#include "client/cli/fail.h"
#include "client/cli/fanoutspec.h"
#include "client/cli/sqlspec.h"
#include "client/cli/text.h"

static bool bad_pair(const char *flag, const char *text)
{
    fail(EXIT_USAGE, say("bad value of --%s", flag), say("\"%s\" has no =", text),
         say("--%s name=value", flag));
    return false;
}

static bool given_twice(const char *flag, const char *key)
{
    fail(EXIT_USAGE, say("--%s %s is given twice", flag, key),
         "which of the two values is meant cannot be told", say("--%s %s=value, once", flag, key));
    return false;
}

/* {"A":"b"} from every --env A=b */
static bool pairs_from_args(json_t *object, const char *name, const args_t *args, const char *flag)
{
    json_t *pairs = NULL;
    const given_t *given;
    for (size_t i = 0; (given = args_given(args, flag, i)); i++) {
        const char *equals = strchr(given->value, '=');
        if (!equals || equals == given->value) {
            json_decref(pairs);
            return bad_pair(flag, given->value);
        }
        const char *key = say("%.*s", (int)(equals - given->value), given->value);
        if (json_object_get(pairs, key)) {
            json_decref(pairs);
            return given_twice(flag, key);
        }
        if (!pairs) pairs = json_object();
        json_object_set_new(pairs, key, json_string(equals + 1));
    }
    if (pairs) json_object_set_new(object, name, pairs);
    return true;
}

static const char *const fanout_only[] = { "done",      "offline",   "wave", "stop-after",
                                           "late-join", "keep-rest", "move", "pause" };

/* The --pause of a schedule is another, a switch. */
static bool is_fanout_flag(const args_t *args, const char *flag)
{
    const given_t *given = args_given(args, flag, 0);
    return given && (strcmp(flag, "pause") != 0 || given->flag->kind == FLAG_TEXT);
}

/* --on all:role=web and the like. *found: it was a fan-out, or one of its flags stands alone. */
static bool fanout_from_args(json_t *object, const args_t *args, bool *found)
{
    const given_t *given = args_given(args, "on", 0);
    json_t *fanout = given && !args_given(args, "on", 1) ? fanout_from_on(given->value) : NULL;
    *found = fanout != NULL;
    if (fanout) {
        json_object_set_new(object, "fanout", fanout);
        return fanout_flags_read(fanout, args);
    }
    for (size_t i = 0; i < ARRAY_LEN(fanout_only); i++)
        if (is_fanout_flag(args, fanout_only[i])) {
            fail(EXIT_USAGE, say("--%s without a fan-out", fanout_only[i]),
                 "it says how a task that goes to several executors ends or is spread",
                 "--on all:role=web, --on n:3:role=web or --on host1,host2");
            return false;
        }
    return true;
}

/* --on host=web-07, --on executor=e1, --on label=role=web, --on hash=KEY */
static bool target_from_args(json_t *object, const args_t *args)
{
    json_t *target = NULL;
    bool found;
    if (!fanout_from_args(object, args, &found)) return false;
    if (found) return true;
    const given_t *given;
    for (size_t i = 0; (given = args_given(args, "on", i)); i++) {
        const char *equals = strchr(given->value, '=');
        const char *kind = equals ? say("%.*s", (int)(equals - given->value), given->value) : "";
        const char *second = equals ? strchr(equals + 1, '=') : NULL;
        if (!target) target = json_object();
        if (strcmp(kind, "host") == 0 || strcmp(kind, "executor") == 0 ||
            strcmp(kind, "hash") == 0) {
            json_object_set_new(target, kind, json_string(equals + 1));
        } else if (strcmp(kind, "label") == 0 && second) {
            json_t *labels = json_object_get(target, "labels");
            if (!labels) {
                labels = json_object();
                json_object_set_new(target, "labels", labels);
            }
            json_object_set_new(labels, say("%.*s", (int)(second - equals - 1), equals + 1),
                                json_string(second + 1));
        } else {
            json_decref(target);
            fail(EXIT_USAGE, "bad value of --on",
                 say("\"%s\" is none of host=H, executor=E, label=KEY=VALUE, hash=KEY, "
                     "all:K=V, n:3:K=V, a,b,c",
                     given->value),
                 "--on host=web-07 or --on label=role=web for one; --on all:role=web for all");
            return false;
        }
    }
    if (target) json_object_set_new(object, "target", target);
    return true;
}

/* --input '{"a":1}', --input @file, --input - (standard input) */
static bool input_from_args(json_t *object, const args_t *args)
{
    const char *text = args_text(args, "input");
    json_error_t why;
    if (!text) return true;
    json_t *value;
    if (strcmp(text, "-") == 0) {
        value = json_loadf(stdin, JSON_DECODE_ANY, &why);
    } else if (text[0] == '@') {
        FILE *file = fopen(text + 1, "re");
        if (!file) {
            fail(EXIT_FAILED, say("cannot read the input %s", text + 1), strerror(errno),
                 "--input @FILE with a file that can be read");
            return false;
        }
        value = json_loadf(file, JSON_DECODE_ANY, &why);
        fclose(file);
    } else {
        value = json_loads(text, JSON_DECODE_ANY, &why);
    }
    if (!value) {
        fail(EXIT_USAGE, "bad value of --input",
             say("not JSON: %s, line %d, column %d", why.text, why.line, why.column),
             "--input '{\"region\":\"eu-1\"}', --input @FILE, or --input - for standard input");
        return false;
    }
    json_object_set_new(object, "input", value);
    return true;
}

static void set_if_given(json_t *object, const char *name, const args_t *args, const char *flag)
{
    const char *text = args_text(args, flag);
    if (text) json_object_set_new(object, name, json_string(text));
}

/* --script-file makes what follows -- the script's arguments. */
static void script_from_args(json_t *object, const args_t *args)
{
    const char *file = args_text(args, "script-file");
    const given_t *given;
    json_t *argv = json_object_get(object, "argv"), *secrets = json_array();
    for (size_t i = 0; (given = args_given(args, "secret", i)); i++)
        json_array_append_new(secrets, json_string(given->value));
    if (json_array_size(secrets)) json_object_set(object, "secrets", secrets);
    json_decref(secrets);
    if (!file) return;
    json_t *script = json_pack("{s:s}", "file", file);
    if (args_has(args, "interpreter"))
        json_object_set_new(script, "interpreter", json_string(args_text(args, "interpreter")));
    if (argv) json_object_set(script, "args", argv);
    json_object_del(object, "argv");
    json_object_set_new(object, "script", script);
}

static bool command_from_args(json_t *object, const args_t *args)
{
    const char *shell = args_text(args, "shell");
    if (shell && args->rest_count) {
        fail(EXIT_USAGE, "two commands were given",
             "--shell and words behind -- exclude each other", args->command->example);
        return false;
    }
    if (shell) json_object_set_new(object, "shell", json_string(shell));
    if (args->rest_count) {
        json_t *argv = json_array();
        for (size_t i = 0; i < args->rest_count; i++) {
            json_t *word = json_string(args->rest[i]);
            if (!word) {
                json_decref(argv);
                fail(EXIT_USAGE, "the command cannot be taken",
                     say("word %zu is not valid UTF-8", i + 1), args->command->example);
                return false;
            }
            json_array_append_new(argv, word);
        }
        json_object_set_new(object, "argv", argv);
    }
    script_from_args(object, args);
    return true;
}

/* Flags that say more of what another one names: alone they would do nothing, unseen. */
static int check_company(const args_t *args)
{
    static const struct {
        const char *flag, *with, *other;
    } company[] = {
        { "interpreter", "script-file", NULL },
        { "param", "sql", "each" },
        { "rows", "sql", "each" },
        { "on-unknown", "sql", NULL },
        { "transaction", "sql", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(company); i++) {
        const char *with = company[i].with, *other = company[i].other;
        if (!args_has(args, company[i].flag) || args_has(args, with) ||
            (other && args_has(args, other)))
            continue;
        const char *both = other ? say("--%s or --%s", with, other) : say("--%s", with);
        return fail(EXIT_USAGE, say("--%s goes with %s", company[i].flag, both),
                    "without it, it says nothing of the task",
                    say("pawl help %s", args->command->name));
    }
    return 0;
}

int task_command_given(const args_t *args)
{
    static const char *const flags[] = { "type", "shell", "script-file", "sql", "each" };
    bool given = args->rest_count > 0;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        given = given || args_has(args, flags[i]);
    if (given) return check_company(args);
    return fail(EXIT_USAGE, "no command was given",
                "it stands behind --, or in --shell, --script-file, --sql, --each or --type",
                args->command->example);
}

/* The flag that a field was made from; the field itself where none of that name was typed. */
static const char *typed_as(const args_t *args, const char *field)
{
    static const char *const others[][2] = {
        { "delay", "in" },           { "labels", "label" },
        { "target.labels", "on" },   { "retry.max_attempts", "retry" },
        { "script", "script-file" }, { "retry.backoff", "backoff" },
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(field, others[i][0]) == 0 && args_has(args, others[i][1]))
            return say("--%s", others[i][1]);
    char *flag = text_keep(mem_text(field));
    for (char *dash; (dash = strchr(flag, '_'));)
        *dash = '-';
    return args_has(args, flag) ? say("--%s", flag) : field;
}

int task_refused(const args_t *args, const char *what, const spec_error_t *error)
{
    return fail(EXIT_USAGE, what,
                *error->field ? say("%s: %s", typed_as(args, error->field), error->why)
                              : error->why,
                args->command->example);
}

json_t *task_json_from_args(const args_t *args)
{
    static const char *const same_name[] = { "type",       "key",    "queue",   "title",
                                             "cwd",        "expire", "account", "at",
                                             "time-limit", "stdin",  "on-lost" };
    json_t *object = json_object();
    for (size_t i = 0; i < ARRAY_LEN(same_name); i++) {
        char *name = text_keep(mem_text(same_name[i]));
        for (char *dash; (dash = strchr(name, '-'));)
            *dash = '_';
        set_if_given(object, name, args, same_name[i]);
    }
    set_if_given(object, "delay", args, "in");
    if (args_has(args, "priority"))
        json_object_set_new(object, "priority", json_integer(args_number(args, "priority", 5)));
    if (args_has(args, "exclusive")) json_object_set_new(object, "exclusive", json_true());
    if (args_has(args, "hold")) json_object_set_new(object, "hold", json_true());
    json_t *retry = json_object();
    if (args_has(args, "retry"))
        json_object_set_new(retry, "max_attempts", json_integer(args_number(args, "retry", 1)));
    set_if_given(retry, "backoff", args, "backoff");
    if (json_object_size(retry)) json_object_set(object, "retry", retry);
    json_decref(retry);
    if (command_from_args(object, args) && pairs_from_args(object, "env", args, "env") &&
        pairs_from_args(object, "labels", args, "label") && target_from_args(object, args) &&
        input_from_args(object, args) && sqlspec_from_args(object, args) &&
        sqlspec_each_from_args(object, args))
        return object;
    json_decref(object);
    return NULL;
}

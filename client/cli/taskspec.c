/* SPDX-License-Identifier: Apache-2.0
 * client/cli/taskspec.c - JSON to task. One row a field: its name, the JSON kind it must have and
 * the setter; a name without a row is refused. */
#include "client/cli/taskspec.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/cli/fail.h"
#include "client/cli/fanoutspec.h"
#include "client/cli/instant.h"
#include "client/cli/sqlspec.h"
#include "client/cli/text.h"

typedef struct reading {
    pawl_task_t *task;
    const char *zone;
    spec_error_t *error;
    const char *inside; /* "retry." and the like; "" at the top */
} reading_t;

typedef struct field field_t;
typedef bool set_fn(reading_t *self, const field_t *field, const json_t *value);
struct field {
    const char *name;
    set_fn *set;
    const char *target; /* name of the SDK's field; NULL: the same */
};

static bool refuse(reading_t *self, const char *name, const char *why)
{
    snprintf(self->error->field, sizeof self->error->field, "%s%s", self->inside, name);
    snprintf(self->error->why, sizeof self->error->why, "%s", why);
    return false;
}

static bool taken(reading_t *self, const field_t *field, pawl_err err)
{
    return err == PAWL_OK ||
           refuse(self, field->name,
                  err == PAWL_E_BAD_REQUEST ? "the value is out of its range" : pawl_err_text(err));
}

static const char *sdk_name(const field_t *field)
{
    return field->target ? field->target : field->name;
}

/* The text of a JSON string; NULL and refused when it is none or holds a NUL. */
static const char *text_of(reading_t *self, const field_t *field, const json_t *value)
{
    if (!json_is_string(value)) {
        refuse(self, field->name, "it must be a text");
        return NULL;
    }
    const char *text = json_string_value(value);
    if (strlen(text) != json_string_length(value)) {
        refuse(self, field->name, "it holds a NUL byte");
        return NULL;
    }
    return text;
}

static bool set_text(reading_t *self, const field_t *field, const json_t *value)
{
    const char *text = text_of(self, field, value);
    return text && taken(self, field, pawl_task_set_text(self->task, sdk_name(field), text));
}

static bool set_number(reading_t *self, const field_t *field, const json_t *value)
{
    if (!json_is_integer(value)) return refuse(self, field->name, "it must be a whole number");
    return taken(self, field,
                 pawl_task_set_int(self->task, sdk_name(field), json_integer_value(value)));
}

static bool set_factor(reading_t *self, const field_t *field, const json_t *value)
{
    double factor = json_number_value(value);
    if (!json_is_number(value) || !(factor >= 1 && factor <= 1000))
        return refuse(self, field->name, "it must be a number from 1 to 1000");
    return taken(self, field,
                 pawl_task_set_int(self->task, sdk_name(field), (int64_t)(factor * 1000 + 0.5)));
}

static bool set_duration(reading_t *self, const field_t *field, const json_t *value)
{
    int64_t us;
    if (!json_is_string(value) || !duration_read(json_string_value(value), &us))
        return refuse(self, field->name, "it must be a duration with a unit, e.g. \"30s\"");
    return taken(self, field, pawl_task_set_int(self->task, sdk_name(field), us));
}

static bool set_instant(reading_t *self, const field_t *field, const json_t *value)
{
    int64_t us;
    if (!json_is_string(value) || !instant_read(json_string_value(value), self->zone, &us))
        return refuse(self, field->name,
                      "it must be an instant, e.g. \"2026-12-01T02:00:00+01:00\"");
    return taken(self, field, pawl_task_set_int(self->task, sdk_name(field), us));
}

static bool set_switch(reading_t *self, const field_t *field, const json_t *value)
{
    if (!json_is_boolean(value)) return refuse(self, field->name, "it must be true or false");
    return taken(self, field, pawl_task_set_int(self->task, sdk_name(field), json_is_true(value)));
}

static bool set_on_lost(reading_t *self, const field_t *field, const json_t *value)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    int choice = strcmp(text, "retry") == 0 ? 1 : strcmp(text, "fail") == 0 ? 2 : 0;
    if (!choice) return refuse(self, field->name, "it must be \"retry\" or \"fail\"");
    return taken(self, field, pawl_task_set_int(self->task, sdk_name(field), choice));
}

static bool set_id(reading_t *self, const field_t *field, const json_t *value)
{
    uint8_t id[PAWL_ID_BYTES];
    if (!json_is_string(value) || !pawl_id_parse(json_string_value(value), id))
        return refuse(self, field->name, "it must be a ULID of 26 characters");
    pawl_task_set_id(self->task, id);
    return true;
}

static bool set_argv(reading_t *self, const field_t *field, const json_t *value)
{
    size_t n = json_array_size(value);
    if (n == 0) return refuse(self, field->name, "it must be a list of at least one text");
    const char **argv = mem_new(n * sizeof *argv);
    bool good = true;
    for (size_t i = 0; good && i < n; i++)
        good = (argv[i] = text_of(self, field, json_array_get(value, i))) != NULL;
    good = good && taken(self, field, pawl_task_set_argv(self->task, argv, n));
    free(argv);
    return good;
}

static bool set_shell(reading_t *self, const field_t *field, const json_t *value)
{
    const char *text = text_of(self, field, value);
    return text && taken(self, field, pawl_task_set_shell(self->task, text));
}

static bool set_stdin(reading_t *self, const field_t *field, const json_t *value)
{
    if (!json_is_string(value)) return refuse(self, field->name, "it must be a text");
    return taken(
        self, field,
        pawl_task_set_stdin(self->task, json_string_value(value), json_string_length(value)));
}

static bool set_input(reading_t *self, const field_t *field, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    bool good =
        text && taken(self, field, pawl_task_set_input(self->task, text, strlen(text), NULL));
    free(text);
    return good;
}

typedef pawl_err pair_fn(pawl_task_t *task, const char *key, const char *value);

static bool set_pairs(reading_t *self, const field_t *field, const json_t *value, pair_fn *add)
{
    const char *key;
    json_t *item;
    if (!json_is_object(value)) return refuse(self, field->name, "it must be an object of texts");
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        const char *text = text_of(self, field, item);
        if (!text || !taken(self, field, add(self->task, key, text))) return false;
    }
    return true;
}

static bool set_env(reading_t *self, const field_t *field, const json_t *value)
{
    return set_pairs(self, field, value, pawl_task_add_env);
}

static bool set_labels(reading_t *self, const field_t *field, const json_t *value)
{
    return set_pairs(self, field, value, pawl_task_add_label);
}

static bool set_target_labels(reading_t *self, const field_t *field, const json_t *value)
{
    return set_pairs(self, field, value, pawl_task_add_target_label);
}

static bool set_fields(reading_t *self, const field_t *fields, size_t n, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == n) {
            const char *names[40];
            for (i = 0; i < n; i++)
                names[i] = fields[i].name;
            const char *near = did_you_mean(key, names, n);
            char why[128];
            snprintf(why, sizeof why, "unknown field%s%s%s", near ? " (did you mean \"" : "",
                     near ? near : "", near ? "\"?)" : "");
            return refuse(self, key, why);
        }
        if (fields[i].set && !fields[i].set(self, &fields[i], value)) return false;
    }
    return true;
}

static bool set_inside(reading_t *self, const field_t *field, const json_t *value,
                       const field_t *fields, size_t n, const char *inside)
{
    if (!json_is_object(value)) return refuse(self, field->name, "it must be an object");
    self->inside = inside;
    bool good = set_fields(self, fields, n, value);
    self->inside = "";
    return good;
}

static bool set_target(reading_t *self, const field_t *field, const json_t *value)
{
    static const field_t fields[] = {
        { "executor", set_text, "target.executor" },
        { "host", set_text, "target.host" },
        { "labels", set_target_labels, NULL },
        { "hash", set_text, "target.hash" },
    };
    if (json_is_object(value) && json_object_size(value) != 1)
        return refuse(self, field->name, "it holds exactly one of executor, host, labels, hash");
    return set_inside(self, field, value, fields, ARRAY_LEN(fields), "target.");
}

static bool set_fanout(reading_t *self, const field_t *field, const json_t *value)
{
    (void)field;
    return fanout_from_json(self->task, value, self->error);
}

static bool set_retry(reading_t *self, const field_t *field, const json_t *value)
{
    static const field_t fields[] = {
        { "max_attempts", set_number, "retry.max_attempts" },
        { "backoff", set_duration, "retry.backoff_us" },
        { "factor", set_factor, "retry.factor_milli" },
        { "cap", set_duration, "retry.cap_us" },
    };
    return set_inside(self, field, value, fields, ARRAY_LEN(fields), "retry.");
}

static bool set_script(reading_t *self, const field_t *field, const json_t *value)
{
    static const field_t fields[] = { { "interpreter", set_text, "command.interpreter" },
                                      { "file", set_text, "command.script_file" },
                                      { "text", NULL, NULL },
                                      { "args", set_argv, NULL } };
    if (!set_inside(self, field, value, fields, ARRAY_LEN(fields), "script.")) return false;
    const char *interpreter = json_string_value(json_object_get(value, "interpreter"));
    const json_t *text = json_object_get(value, "text");
    if (json_object_get(value, "file") && !text) return true;
    if (!interpreter || !json_is_string(text))
        return refuse(self, field->name,
                      "it needs the texts \"interpreter\" and \"text\", or \"file\"");
    return taken(self, field,
                 pawl_task_set_script(self->task, interpreter, json_string_value(text),
                                      json_string_length(text)));
}

static bool set_poll(reading_t *self, const field_t *field, const json_t *value)
{
    static const field_t fields[] = { { "max_polls", set_number, "poll.max_polls" },
                                      { "deadline", set_duration, "poll.deadline_us" } };
    return set_inside(self, field, value, fields, ARRAY_LEN(fields), "poll.");
}

static bool set_secrets(reading_t *self, const field_t *field, const json_t *value)
{
    bool good = json_is_array(value) || refuse(self, field->name, "it must be a list of names");
    for (size_t i = 0; good && i < json_array_size(value); i++) {
        const char *name = text_of(self, field, json_array_get(value, i));
        good = name && taken(self, field, pawl_task_add_secret(self->task, name));
    }
    return good;
}

static bool set_sql(reading_t *self, const field_t *field, const json_t *value)
{
    (void)field;
    return sqlspec_read(self->task, value, self->error);
}

static bool set_sql_producer(reading_t *self, const field_t *field, const json_t *value)
{
    (void)field;
    return sqlspec_read_producer(self->task, value, self->zone, self->error);
}

static const field_t task_fields[] = {
    { "id", set_id, NULL },
    { "type", NULL, NULL }, /* read first: it makes the task */
    { "argv", set_argv, NULL },
    { "shell", set_shell, NULL },
    { "script", set_script, NULL },
    { "sql", set_sql, NULL },
    { "sql_producer", set_sql_producer, NULL },
    { "env", set_env, NULL },
    { "secrets", set_secrets, NULL },
    { "poll", set_poll, NULL },
    { "cwd", set_text, NULL },
    { "account", set_text, NULL },
    { "stdin", set_stdin, NULL },
    { "input", set_input, NULL },
    { "key", set_text, NULL },
    { "queue", set_text, NULL },
    { "priority", set_number, NULL },
    { "title", set_text, NULL },
    { "labels", set_labels, NULL },
    { "operation", set_text, NULL },
    { "at", set_instant, "at_us" },
    { "delay", set_duration, "delay_us" },
    { "hold", set_switch, NULL },
    { "exclusive", set_switch, NULL },
    { "expire", set_duration, "expire_us" },
    { "time_limit", set_duration, "time_limit_us" },
    { "target", set_target, NULL },
    { "fanout", set_fanout, NULL },
    { "retry", set_retry, NULL },
    { "on_lost", set_on_lost, NULL },
};

/* The type it names, or the built-in one that its command means. NULL: refused. */
static const char *type_of(reading_t *self, const json_t *object)
{
    static const struct {
        const char *field, *type;
    } commands_of[] = { { "argv", "pawl/shell" },
                        { "shell", "pawl/shell" },
                        { "script", "pawl/script" },
                        { "sql", "pawl/sql" },
                        { "sql_producer", "pawl/sql-producer" } };
    const json_t *type = json_object_get(object, "type");
    const char *command = NULL, *meant = NULL;
    for (size_t i = 0; i < ARRAY_LEN(commands_of); i++) {
        if (!json_object_get(object, commands_of[i].field)) continue;
        if (command) {
            refuse(self, commands_of[i].field,
                   say("it excludes \"%s\": give one of them", command));
            return NULL;
        }
        command = commands_of[i].field;
        meant = commands_of[i].type;
    }
    if (!type && !command) {
        refuse(self, "", "one of type, argv, shell, script, sql, sql_producer is needed");
        return NULL;
    }
    if (type) {
        static const field_t field = { "type", NULL, NULL };
        return text_of(self, &field, type);
    }
    return meant;
}

pawl_task_t *task_from_json(const json_t *object, const char *zone, spec_error_t *error)
{
    *error = (spec_error_t){ "", "" };
    reading_t self = { .zone = zone, .error = error, .inside = "" };
    if (!json_is_object(object)) {
        refuse(&self, "", "it is not a JSON object");
        return NULL;
    }
    const char *type = type_of(&self, object);
    if (!type) return NULL;
    if (json_object_get(object, "at") && json_object_get(object, "delay")) {
        refuse(&self, "delay", "it excludes \"at\": give one of them");
        return NULL;
    }
    self.task = pawl_task_new(type);
    if (!self.task) {
        refuse(&self, "type", "it is not a type's name: category/name");
        return NULL;
    }
    if (!set_fields(&self, task_fields, ARRAY_LEN(task_fields), object))
        pawl_task_destroy(&self.task);
    return self.task;
}

pawl_task_t *task_from_line(const char *line, size_t len, const char *zone, spec_error_t *error)
{
    json_error_t why;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!object) {
        *error = (spec_error_t){ "", "" };
        snprintf(error->why, sizeof error->why, "not JSON: %.200s, column %d", why.text,
                 why.column);
        return NULL;
    }
    pawl_task_t *task = task_from_json(object, zone, error);
    json_decref(object);
    return task;
}

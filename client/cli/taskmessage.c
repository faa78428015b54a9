/* SPDX-License-Identifier: Apache-2.0
 * client/cli/taskmessage.c - the broker's bytes of a task, as the JSON that people write. */
#include "client/cli/taskspec.h"

#include "schemas/pawl.pb-c.h"

#include "client/cli/fanoutspec.h"
#include "client/cli/instant.h"
#include "client/cli/sqlspec.h"
#include "client/cli/text.h"

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text && *text) json_object_set_new(object, name, json_string(text));
}

static void set_duration(json_t *object, const char *name, int64_t us)
{
    if (us) json_object_set_new(object, name, json_string(duration_text(us)));
}

static void set_labels(json_t *object, const char *name, Pawl__V1__Label *const *labels, size_t n)
{
    if (!n) return;
    json_t *pairs = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(pairs, labels[i]->key, json_string(labels[i]->value));
    json_object_set_new(object, name, pairs);
}

static void set_command(json_t *object, const Pawl__V1__Command *command)
{
    set_text(object, "shell", command->shell);
    set_text(object, "cwd", command->cwd);
    set_text(object, "account", command->account);
    bool file = command->script_file[0] != '\0', script = file || command->script_text.len;
    json_t *what = script ? json_object() : json_incref(object);
    if (command->n_argv) {
        json_t *argv = json_array();
        for (size_t i = 0; i < command->n_argv; i++)
            json_array_append_new(argv, json_string(command->argv[i]));
        json_object_set_new(what, script ? "args" : "argv", argv);
    }
    set_text(what, "interpreter", command->interpreter);
    set_text(what, "file", command->script_file);
    if (command->script_text.len)
        json_object_set_new(
            what, "text",
            json_stringn((const char *)command->script_text.data, command->script_text.len));
    if (script) json_object_set(object, "script", what);
    json_decref(what);
    if (command->n_secrets) {
        json_t *secrets = json_array();
        for (size_t i = 0; i < command->n_secrets; i++)
            json_array_append_new(secrets, json_string(command->secrets[i]));
        json_object_set_new(object, "secrets", secrets);
    }
    if (command->stdin.len)
        json_object_set_new(object, "stdin",
                            json_stringn((const char *)command->stdin.data, command->stdin.len));
    if (command->n_env) {
        json_t *env = json_object();
        for (size_t i = 0; i < command->n_env; i++)
            json_object_set_new(env, command->env[i]->name, json_string(command->env[i]->value));
        json_object_set_new(object, "env", env);
    }
}

static void set_target(json_t *object, const Pawl__V1__Target *target)
{
    json_t *to = json_object();
    set_text(to, "executor", target->executor);
    set_text(to, "host", target->host);
    set_text(to, "hash", target->hash);
    set_labels(to, "labels", target->labels, target->n_labels);
    if (json_object_size(to)) json_object_set(object, "target", to);
    json_decref(to);
}

static void set_retry(json_t *object, const Pawl__V1__Retry *retry)
{
    json_t *to = json_object();
    if (retry->max_attempts)
        json_object_set_new(to, "max_attempts", json_integer(retry->max_attempts));
    if (retry->backoff_set_case == PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US)
        json_object_set_new(to, "backoff", json_string(duration_text(retry->backoff_us)));
    if (retry->factor_milli)
        json_object_set_new(to, "factor", json_real(retry->factor_milli / 1000.0));
    set_duration(to, "cap", retry->cap_us);
    if (json_object_size(to)) json_object_set(object, "retry", to);
    json_decref(to);
}

static void set_input(json_t *object, const ProtobufCBinaryData *input)
{
    json_error_t why;
    json_t *value = input->len
                        ? json_loadb((const char *)input->data, input->len, JSON_DECODE_ANY, &why)
                        : NULL;
    if (!value && input->len) value = json_stringn((const char *)input->data, input->len);
    if (value) json_object_set_new(object, "input", value);
}

json_t *task_json_from_message(const void *bytes, size_t len)
{
    Pawl__V1__Task *task = pawl__v1__task__unpack(NULL, len, bytes);
    if (!task) return NULL;
    json_t *object = json_object();
    set_text(object, "type", task->type);
    if (task->command) set_command(object, task->command);
    sqlspec_from_message(object, task);
    set_text(object, "queue", task->queue);
    if (task->priority_set_case == PAWL__V1__TASK__PRIORITY_SET_PRIORITY)
        json_object_set_new(object, "priority", json_integer(task->priority));
    set_input(object, &task->input);
    set_text(object, "key", task->key);
    set_text(object, "title", task->title);
    set_labels(object, "labels", task->labels, task->n_labels);
    set_text(object, "operation", task->operation);
    if (task->at_us) json_object_set_new(object, "at", json_string(instant_text(task->at_us)));
    set_duration(object, "delay", task->delay_us);
    if (task->exclusive) json_object_set_new(object, "exclusive", json_true());
    if (task->hold) json_object_set_new(object, "hold", json_true());
    set_duration(object, "expire", task->expire_us);
    set_duration(object, "time_limit", task->time_limit_us);
    if (task->poll) {
        json_t *poll = json_object();
        if (task->poll->max_polls)
            json_object_set_new(poll, "max_polls", json_integer(task->poll->max_polls));
        set_duration(poll, "deadline", task->poll->deadline_us);
        json_object_set_new(object, "poll", poll);
    }
    if (task->target) set_target(object, task->target);
    if (task->fanout) json_object_set_new(object, "fanout", fanout_json_from_message(task->fanout));
    if (task->retry) set_retry(object, task->retry);
    if (task->on_lost)
        json_object_set_new(
            object, "on_lost",
            json_string(task->on_lost == PAWL__V1__ON_LOST__ON_LOST_FAIL ? "fail" : "retry"));
    pawl__v1__task__free_unpacked(task, NULL);
    return object;
}

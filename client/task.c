/* SPDX-License-Identifier: Apache-2.0 */
#include "client/task.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/base.h"
#include "client/base/ulid.h"

/* ---- messages on the heap ------------------------------------------------------------------- */

static void free_text(char *text)
{
    if (text != (const char *)protobuf_c_empty_string) free(text);
}

bool set_text(char **field, const char *value)
{
    char *copy = strdup(value);
    if (!copy) return false;
    free_text(*field);
    *field = copy;
    return true;
}

bool set_bytes(ProtobufCBinaryData *field, const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    if (!copy) return false;
    if (len) memcpy(copy, bytes, len);
    free(field->data);
    *field = (ProtobufCBinaryData){ len, copy };
    return true;
}

/* Room for one more pointer in a repeated field. */
static void **grow(size_t n, void *list)
{
    return realloc(list, (n + 1) * sizeof(void *));
}

bool add_label(size_t *n, Pawl__V1__Label ***labels, const char *key, const char *value)
{
    Pawl__V1__Label **list = (Pawl__V1__Label **)grow(*n, *labels);
    if (!list) return false;
    *labels = list;
    Pawl__V1__Label *label = malloc(sizeof *label);
    if (!label) return false;
    pawl__v1__label__init(label);
    if (!set_text(&label->key, key) || !set_text(&label->value, value)) {
        pawl__v1__label__free_unpacked(label, NULL);
        return false;
    }
    list[(*n)++] = label;
    return true;
}

/* The sub-message of a field, made when it is not there; NULL: out of memory. */
#define SUB(function, Type, field, init)                                                           \
    static Type *function(pawl_task_t *self)                                                       \
    {                                                                                              \
        if (!self->message->field) {                                                               \
            Type *made = malloc(sizeof *made);                                                     \
            if (made) init(made);                                                                  \
            self->message->field = made;                                                           \
        }                                                                                          \
        return self->message->field;                                                               \
    }
SUB(command_of, Pawl__V1__Command, command, pawl__v1__command__init)
SUB(target_of, Pawl__V1__Target, target, pawl__v1__target__init)
SUB(retry_of, Pawl__V1__Retry, retry, pawl__v1__retry__init)
SUB(poll_of, Pawl__V1__Poll, poll, pawl__v1__poll__init)
#undef SUB

/* ---- life ------------------------------------------------------------------------------------ */

pawl_task_t *pawl_task_new(const char *type)
{
    pawl_task_t *self = calloc(1, sizeof *self);
    Pawl__V1__Task *message = malloc(sizeof *message);
    if (!self || !message) {
        free(self);
        free(message);
        return NULL;
    }
    pawl__v1__task__init(message);
    self->message = message;
    ulid_t id = ulid_now();
    if (!set_text(&message->type, type ? type : "") || !set_bytes(&message->id, id.at, ULID_BYTES))
        pawl_task_destroy(&self);
    return self;
}

void pawl_task_destroy(pawl_task_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl__v1__task__free_unpacked((*self_p)->message, NULL);
    free(*self_p);
    *self_p = NULL;
}

void pawl_task_set_id(pawl_task_t *self, const uint8_t id[PAWL_ID_BYTES])
{
    memcpy(self->message->id.data, id, PAWL_ID_BYTES); /* its room is there since new */
}

void pawl_task_id(const pawl_task_t *self, uint8_t id[PAWL_ID_BYTES])
{
    memcpy(id, self->message->id.data, PAWL_ID_BYTES);
}

/* ---- what it runs ---------------------------------------------------------------------------- */

static pawl_err done(bool ok)
{
    return ok ? PAWL_OK : PAWL_E_NO_MEMORY;
}

pawl_err pawl_task_set_input(pawl_task_t *self, const void *input, size_t len,
                             const char *content_type)
{
    return done(set_bytes(&self->message->input, input, len) &&
                set_text(&self->message->input_type, content_type ? content_type : ""));
}

static void free_argv(Pawl__V1__Command *command)
{
    for (size_t i = 0; i < command->n_argv; i++)
        free_text(command->argv[i]);
    free(command->argv);
    command->argv = NULL;
    command->n_argv = 0;
}

pawl_err pawl_task_set_argv(pawl_task_t *self, const char *const *argv, size_t n)
{
    Pawl__V1__Command *command = command_of(self);
    char **copy = command ? calloc(n + 1, sizeof *copy) : NULL;
    if (!copy) return PAWL_E_NO_MEMORY;
    free_argv(command);
    command->argv = copy;
    for (; command->n_argv < n; command->n_argv++) {
        copy[command->n_argv] = strdup(argv[command->n_argv]);
        if (!copy[command->n_argv]) {
            free_argv(command);
            return PAWL_E_NO_MEMORY;
        }
    }
    return PAWL_OK;
}

pawl_err pawl_task_set_shell(pawl_task_t *self, const char *command_line)
{
    Pawl__V1__Command *command = command_of(self);
    return done(command && set_text(&command->shell, command_line));
}

pawl_err pawl_task_set_script(pawl_task_t *self, const char *interpreter, const void *text,
                              size_t len)
{
    Pawl__V1__Command *command = command_of(self);
    return done(command && set_text(&command->interpreter, interpreter) &&
                set_bytes(&command->script_text, text, len));
}

pawl_err pawl_task_add_secret(pawl_task_t *self, const char *name)
{
    Pawl__V1__Command *command = command_of(self);
    char **list = command ? (char **)grow(command->n_secrets, command->secrets) : NULL;
    if (!list) return PAWL_E_NO_MEMORY;
    command->secrets = list;
    list[command->n_secrets] = strdup(name);
    if (!list[command->n_secrets]) return PAWL_E_NO_MEMORY;
    command->n_secrets++;
    return PAWL_OK;
}

pawl_err pawl_task_add_env(pawl_task_t *self, const char *name, const char *value)
{
    Pawl__V1__Command *command = command_of(self);
    if (!command) return PAWL_E_NO_MEMORY;
    Pawl__V1__EnvVar **list = (Pawl__V1__EnvVar **)grow(command->n_env, command->env);
    if (!list) return PAWL_E_NO_MEMORY;
    command->env = list;
    Pawl__V1__EnvVar *env = malloc(sizeof *env);
    if (!env) return PAWL_E_NO_MEMORY;
    pawl__v1__env_var__init(env);
    if (!set_text(&env->name, name) || !set_text(&env->value, value)) {
        pawl__v1__env_var__free_unpacked(env, NULL);
        return PAWL_E_NO_MEMORY;
    }
    list[command->n_env++] = env;
    return PAWL_OK;
}

pawl_err pawl_task_set_stdin(pawl_task_t *self, const void *bytes, size_t len)
{
    Pawl__V1__Command *command = command_of(self);
    return done(command && set_bytes(&command->stdin, bytes, len));
}

/* ---- fields by name -------------------------------------------------------------------------- */

static pawl_err set_command(pawl_task_t *self, const char *field, const char *value)
{
    Pawl__V1__Command *command = command_of(self);
    if (!command) return PAWL_E_NO_MEMORY;
    const struct {
        const char *name;
        char **text;
    } texts[] = { { "cwd", &command->cwd },
                  { "account", &command->account },
                  { "interpreter", &command->interpreter },
                  { "script_file", &command->script_file } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strcmp(texts[i].name, field)) return done(set_text(texts[i].text, value));
    return PAWL_E_BAD_REQUEST;
}

static pawl_err set_target(pawl_task_t *self, const char *field, const char *value)
{
    Pawl__V1__Target *target = target_of(self);
    if (!target) return PAWL_E_NO_MEMORY;
    char **text = !strcmp(field, "executor") ? &target->executor
                  : !strcmp(field, "host")   ? &target->host
                  : !strcmp(field, "hash")   ? &target->hash
                                             : NULL;
    return text ? done(set_text(text, value)) : PAWL_E_BAD_REQUEST;
}

pawl_err pawl_task_set_text(pawl_task_t *self, const char *field, const char *value)
{
    Pawl__V1__Task *task = self->message;
    const struct {
        const char *name;
        char **text;
    } texts[] = { { "type", &task->type },
                  { "queue", &task->queue },
                  { "key", &task->key },
                  { "title", &task->title },
                  { "operation", &task->operation } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strcmp(texts[i].name, field)) return done(set_text(texts[i].text, value));
    if (!strncmp(field, "command.", 8)) return set_command(self, field + 8, value);
    if (!strcmp(field, "cwd") || !strcmp(field, "account")) return set_command(self, field, value);
    if (!strncmp(field, "fanout.", 7)) return fanout_set_text(self, field + 7, value);
    if (!strncmp(field, "producer.", 9)) return producer_set_text(self, field + 9, value);
    if (!strncmp(field, "target.", 7)) return set_target(self, field + 7, value);
    return PAWL_E_BAD_REQUEST;
}

static bool set_span(int64_t *to, int64_t value)
{
    if (value < 0) return false;
    *to = value;
    return true;
}

static pawl_err set_retry(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__Retry *retry = retry_of(self);
    if (!retry) return PAWL_E_NO_MEMORY;
    if (value < 0) return PAWL_E_BAD_REQUEST;
    if (!strcmp(field, "max_attempts") && value <= UINT32_MAX)
        retry->max_attempts = (uint32_t)value;
    else if (!strcmp(field, "factor_milli") && value <= UINT32_MAX)
        retry->factor_milli = (uint32_t)value;
    else if (!strcmp(field, "cap_us"))
        retry->cap_us = value;
    else if (!strcmp(field, "backoff_us")) {
        retry->backoff_us = value;
        retry->backoff_set_case = PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US;
    } else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

static pawl_err set_poll(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__Poll *poll = poll_of(self);
    if (!poll) return PAWL_E_NO_MEMORY;
    if (value < 0) return PAWL_E_BAD_REQUEST;
    if (!strcmp(field, "max_polls") && value <= UINT32_MAX)
        poll->max_polls = (uint32_t)value;
    else if (!strcmp(field, "deadline_us"))
        poll->deadline_us = value;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

pawl_err pawl_task_set_int(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__Task *task = self->message;
    bool ok = false;
    if (!strncmp(field, "retry.", 6)) return set_retry(self, field + 6, value);
    if (!strncmp(field, "poll.", 5)) return set_poll(self, field + 5, value);
    if (!strncmp(field, "fanout.", 7)) return fanout_set_int(self, field + 7, value);
    if (!strncmp(field, "sql.", 4) || !strncmp(field, "producer.", 9))
        return sql_set_int(self, field, value);
    if (!strcmp(field, "priority") && value >= 0 && value <= 9) {
        task->priority = (uint32_t)value;
        task->priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY;
        ok = true;
    } else if (!strcmp(field, "hold") && (value == 0 || value == 1)) {
        task->hold = (protobuf_c_boolean)value;
        ok = true;
    } else if (!strcmp(field, "exclusive") && (value == 0 || value == 1)) {
        task->exclusive = (protobuf_c_boolean)value;
        ok = true;
    } else if (!strcmp(field, "on_lost") && value >= 0 && value <= 2) {
        task->on_lost = (Pawl__V1__OnLost)value;
        ok = true;
    } else if (!strcmp(field, "at_us")) {
        ok = set_span(&task->at_us, value);
    } else if (!strcmp(field, "delay_us")) {
        ok = set_span(&task->delay_us, value);
    } else if (!strcmp(field, "expire_us")) {
        ok = set_span(&task->expire_us, value);
    } else if (!strcmp(field, "time_limit_us")) {
        ok = set_span(&task->time_limit_us, value);
    }
    return ok ? PAWL_OK : PAWL_E_BAD_REQUEST;
}

pawl_err pawl_task_add_label(pawl_task_t *self, const char *key, const char *value)
{
    return done(add_label(&self->message->n_labels, &self->message->labels, key, value));
}

pawl_err pawl_task_add_target_label(pawl_task_t *self, const char *key, const char *value)
{
    Pawl__V1__Target *target = target_of(self);
    return done(target && add_label(&target->n_labels, &target->labels, key, value));
}

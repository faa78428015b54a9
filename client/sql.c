/* SPDX-License-Identifier: Apache-2.0
 * What a task runs on a database, being written: pawl_task_set_sql, pawl_task_set_producer, and the
 * fields "sql.*" and "producer.*" of pawl_task_set_text and pawl_task_set_int. */
#include <stdlib.h>
#include <string.h>

#include "client/base/base.h"
#include "client/task.h"

static Pawl__V1__Sql *sql_of(pawl_task_t *self)
{
    if (!self->message->sql) {
        Pawl__V1__Sql *made = malloc(sizeof *made);
        if (made) pawl__v1__sql__init(made);
        self->message->sql = made;
    }
    return self->message->sql;
}

static Pawl__V1__SqlProducer *producer_of(pawl_task_t *self)
{
    if (!self->message->producer) {
        Pawl__V1__SqlProducer *made = malloc(sizeof *made);
        if (made) pawl__v1__sql_producer__init(made);
        self->message->producer = made;
    }
    return self->message->producer;
}

pawl_err pawl_task_set_sql(pawl_task_t *self, const char *source, const char *text,
                           const void *params, size_t len)
{
    Pawl__V1__Sql *sql = sql_of(self);
    bool good = sql && set_text(&sql->source, source) && set_text(&sql->text, text) &&
                (len == 0 || set_bytes(&sql->params, params, len));
    return good ? PAWL_OK : PAWL_E_NO_MEMORY;
}

pawl_err pawl_task_set_producer(pawl_task_t *self, const pawl_task_t *template)
{
    Pawl__V1__SqlProducer *producer = producer_of(self);
    if (!producer) return PAWL_E_NO_MEMORY;
    Pawl__V1__Task copy = *template->message;
    copy.id = (ProtobufCBinaryData){ 0, NULL }; /* each row's task has its own */
    size_t len = pawl__v1__task__get_packed_size(&copy);
    uint8_t *bytes = malloc(len + 1);
    if (!bytes) return PAWL_E_NO_MEMORY;
    pawl__v1__task__pack(&copy, bytes);
    free(producer->task.data);
    producer->task = (ProtobufCBinaryData){ len, bytes };
    return PAWL_OK;
}

pawl_err pawl_task_add_producer_input(pawl_task_t *self, const char *column)
{
    Pawl__V1__SqlProducer *producer = producer_of(self);
    if (!producer) return PAWL_E_NO_MEMORY;
    char **list = realloc(producer->input, (producer->n_input + 1) * sizeof *list);
    if (!list) return PAWL_E_NO_MEMORY;
    producer->input = list;
    char *copy = strdup(column);
    if (!copy) return PAWL_E_NO_MEMORY;
    list[producer->n_input++] = copy;
    return PAWL_OK;
}

pawl_err producer_set_text(pawl_task_t *self, const char *field, const char *value)
{
    Pawl__V1__SqlProducer *producer = producer_of(self);
    if (!producer) return PAWL_E_NO_MEMORY;
    const struct {
        const char *name;
        char **text;
    } texts[] = { { "key", &producer->key },
                  { "priority", &producer->priority },
                  { "at", &producer->at },
                  { "title", &producer->title },
                  { "executor", &producer->executor },
                  { "host", &producer->host },
                  { "watermark", &producer->watermark },
                  { "scope", &producer->scope } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strcmp(texts[i].name, field))
            return set_text(texts[i].text, value) ? PAWL_OK : PAWL_E_NO_MEMORY;
    return PAWL_E_BAD_REQUEST;
}

static pawl_err set_of_sql(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__Sql *sql = sql_of(self);
    if (!sql) return PAWL_E_NO_MEMORY;
    if (!strcmp(field, "rows") && value <= UINT32_MAX)
        sql->rows = (uint32_t)value;
    else if (!strcmp(field, "on_unknown") && value <= 2)
        sql->on_unknown = (Pawl__V1__SqlUnknown)value;
    else if (!strcmp(field, "transaction") && value <= 2)
        sql->transaction = (Pawl__V1__SqlTransaction)value;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

static pawl_err set_of_producer(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__SqlProducer *producer = producer_of(self);
    if (!producer) return PAWL_E_NO_MEMORY;
    if (!strcmp(field, "batch") && value <= UINT32_MAX)
        producer->batch = (uint32_t)value;
    else if (!strcmp(field, "rows"))
        producer->rows = (uint64_t)value;
    else if (!strcmp(field, "dry_run") && value <= 1)
        producer->dry_run = (protobuf_c_boolean)value;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

pawl_err sql_set_int(pawl_task_t *self, const char *field, int64_t value)
{
    if (value < 0) return PAWL_E_BAD_REQUEST;
    return !strncmp(field, "sql.", 4) ? set_of_sql(self, field + 4, value)
                                      : set_of_producer(self, field + strlen("producer."), value);
}

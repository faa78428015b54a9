/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/sqlspec.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/cli/fail.h"
#include "client/cli/text.h"

/* ---- from JSON ------------------------------------------------------------------------------- */

static bool refuse(spec_error_t *error, const char *inside, const char *name, const char *why)
{
    snprintf(error->field, sizeof error->field, "%s%s%.90s", inside, *name ? "." : "", name);
    snprintf(error->why, sizeof error->why, "%s", why);
    return false;
}

static bool known(const json_t *object, const char *const *names, size_t n, const char *inside,
                  spec_error_t *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(names[i], key) != 0)
            i++;
        if (i < n) continue;
        const char *near = did_you_mean(key, names, n);
        return refuse(error, inside, key,
                      near ? say("unknown field (did you mean \"%s\"?)", near) : "unknown field");
    }
    return true;
}

static bool set_number(pawl_task_t *task, const json_t *object, const char *name, const char *field,
                       const char *inside, spec_error_t *error)
{
    const json_t *value = json_object_get(object, name);
    if (!value) return true;
    if (json_is_integer(value) &&
        pawl_task_set_int(task, field, json_integer_value(value)) == PAWL_OK)
        return true;
    return refuse(error, inside, name, "it must be a whole number that is not negative");
}

/* One of two words, the first of which is the default. */
static bool set_choice(pawl_task_t *task, const json_t *object, const char *name, const char *field,
                       const char *const words[2], spec_error_t *error)
{
    const json_t *value = json_object_get(object, name);
    const char *word = json_string_value(value);
    for (int i = 0; word && i < 2; i++)
        if (strcmp(word, words[i]) == 0) return pawl_task_set_int(task, field, i + 1) == PAWL_OK;
    return !value ||
           refuse(error, "sql", name, say("it must be \"%s\" or \"%s\"", words[0], words[1]));
}

/* Source, text, params: what both have. */
static bool set_statement(pawl_task_t *task, const json_t *object, const char *inside,
                          spec_error_t *error)
{
    const json_t *params = json_object_get(object, "params");
    const char *source = json_string_value(json_object_get(object, "source"));
    const char *text = json_string_value(json_object_get(object, "text"));
    if (!source || !text)
        return refuse(error, inside, source ? "text" : "source",
                      "it needs the texts \"source\", the "
                      "name of a database, and \"text\"");
    if (params && !json_is_object(params) && !json_is_array(params))
        return refuse(error, inside, "params",
                      "it must be an object by name or a list by position");
    char *bytes = params ? json_dumps(params, JSON_COMPACT) : NULL;
    pawl_err err = pawl_task_set_sql(task, source, text, bytes, bytes ? strlen(bytes) : 0);
    free(bytes);
    return err == PAWL_OK || refuse(error, inside, "", pawl_err_text(err));
}

bool sqlspec_read(pawl_task_t *task, const json_t *sql, spec_error_t *error)
{
    static const char *const names[] = { "source", "text",       "params",
                                         "rows",   "on_unknown", "transaction" };
    static const char *const unknown[2] = { "fail", "retry" }, *const one[2] = { "one", "none" };
    if (!json_is_object(sql)) return refuse(error, "sql", "", "it must be an object");
    return known(sql, names, ARRAY_LEN(names), "sql", error) &&
           set_statement(task, sql, "sql", error) &&
           set_number(task, sql, "rows", "sql.rows", "sql", error) &&
           set_choice(task, sql, "on_unknown", "sql.on_unknown", unknown, error) &&
           set_choice(task, sql, "transaction", "sql.transaction", one, error);
}

static bool set_column(pawl_task_t *task, const json_t *object, const char *name,
                       const char *inside, spec_error_t *error)
{
    const json_t *value = json_object_get(object, name);
    if (!value) return true;
    const char *text = json_string_value(value);
    if (text && pawl_task_set_text(task, say("producer.%s", name), text) == PAWL_OK) return true;
    return refuse(error, inside, name, "it must be a text");
}

static bool set_columns(pawl_task_t *task, const json_t *columns, spec_error_t *error)
{
    static const char *const names[] = { "key",      "priority", "at",   "title",
                                         "executor", "host",     "input" };
    static const char inside[] = "sql_producer.columns";
    if (!columns) return true;
    if (!json_is_object(columns)) return refuse(error, inside, "", "it must be an object");
    if (!known(columns, names, ARRAY_LEN(names), inside, error)) return false;
    for (size_t i = 0; i + 1 < ARRAY_LEN(names); i++)
        if (!set_column(task, columns, names[i], inside, error)) return false;
    const json_t *input = json_object_get(columns, "input");
    size_t at;
    json_t *one;
    if (input && !json_is_array(input))
        return refuse(error, inside, "input", "it must be a list of columns");
    json_array_foreach((json_t *)(uintptr_t)input, at, one)
    {
        const char *text = json_string_value(one);
        if (!text || pawl_task_add_producer_input(task, text))
            return refuse(error, inside, "input", "it must be a list of columns");
    }
    return true;
}

static bool set_template(pawl_task_t *task, const json_t *given, const char *zone,
                         spec_error_t *error)
{
    spec_error_t inside;
    if (!given) return refuse(error, "sql_producer", "task", "it is missing: what a row becomes");
    pawl_task_t *made = task_from_json(given, zone, &inside);
    if (!made) return refuse(error, "sql_producer.task", inside.field, inside.why);
    pawl_err err = pawl_task_set_producer(task, made);
    pawl_task_destroy(&made);
    return err == PAWL_OK || refuse(error, "sql_producer", "task", pawl_err_text(err));
}

bool sqlspec_read_producer(pawl_task_t *task, const json_t *producer, const char *zone,
                           spec_error_t *error)
{
    static const char *const names[] = { "source",    "text",  "params", "task", "columns",
                                         "watermark", "scope", "batch",  "rows", "dry_run" };
    static const char inside[] = "sql_producer";
    if (!json_is_object(producer)) return refuse(error, inside, "", "it must be an object");
    const json_t *dry = json_object_get(producer, "dry_run");
    if (dry && !json_is_boolean(dry))
        return refuse(error, inside, "dry_run", "it must be true or false");
    if (json_is_true(dry)) pawl_task_set_int(task, "producer.dry_run", 1);
    return known(producer, names, ARRAY_LEN(names), inside, error) &&
           set_statement(task, producer, inside, error) &&
           set_template(task, json_object_get(producer, "task"), zone, error) &&
           set_columns(task, json_object_get(producer, "columns"), error) &&
           set_column(task, producer, "watermark", inside, error) &&
           set_column(task, producer, "scope", inside, error) &&
           set_number(task, producer, "batch", "producer.batch", inside, error) &&
           set_number(task, producer, "rows", "producer.rows", inside, error);
}

/* ---- from flags ------------------------------------------------------------------------------ */

json_t *sql_param_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_real(value)) {
        char *again = json_dumps(value, JSON_ENCODE_ANY);
        bool same = again && strcmp(again, text) == 0;
        free(again);
        if (same) return value;
    } else if (value && !json_is_string(value)) {
        return value;
    }
    json_decref(value);
    return json_string(text);
}

static bool params_from_args(json_t *statement, const args_t *args)
{
    const given_t *given;
    json_t *params = NULL;
    for (size_t i = 0; (given = args_given(args, "param", i)); i++) {
        const char *equals = strchr(given->value, '=');
        json_t *value = equals && equals != given->value ? sql_param_value(equals + 1) : NULL;
        if (!value) {
            json_decref(params);
            fail(EXIT_USAGE, "bad value of --param",
                 say("\"%s\" has no = or is not UTF-8", given->value), "--param name=value");
            return false;
        }
        if (!params) params = json_object();
        json_object_set_new(params, say("%.*s", (int)(equals - given->value), given->value), value);
    }
    if (params) json_object_set_new(statement, "params", params);
    return true;
}

static void set_if_given(json_t *object, const char *name, const args_t *args, const char *flag)
{
    const char *text = args_text(args, flag);
    if (text) json_object_set_new(object, name, json_string(text));
}

/* {"source","text","params"} of a flag that has both. */
static json_t *statement_from_args(const args_t *args, const char *flag)
{
    const given_t *given = args_given(args, flag, 0);
    json_t *statement = json_object();
    json_object_set_new(statement, "source", json_string(given->value));
    json_object_set_new(statement, "text", json_string(given->second));
    if (args_has(args, "rows"))
        json_object_set_new(statement, "rows", json_integer(args_number(args, "rows", 0)));
    if (params_from_args(statement, args)) return statement;
    json_decref(statement);
    return NULL;
}

bool sqlspec_from_args(json_t *object, const args_t *args)
{
    static const char *const of_each[] = { "column", "watermark", "scope", "batch", "rehearse" };
    if (!args_has(args, "each"))
        for (size_t i = 0; i < ARRAY_LEN(of_each); i++)
            if (args_has(args, of_each[i])) {
                fail(EXIT_USAGE, say("--%s goes with --each", of_each[i]),
                     "it says how the rows of a query become tasks",
                     "pawl run --each app 'select id from orders' --column key=id -- ./one.sh");
                return false;
            }
    if (!args_has(args, "sql")) return true;
    json_t *sql = statement_from_args(args, "sql");
    if (!sql) return false;
    set_if_given(sql, "on_unknown", args, "on-unknown");
    set_if_given(sql, "transaction", args, "transaction");
    json_object_set_new(object, "sql", sql);
    return true;
}

static bool columns_from_args(json_t *producer, const args_t *args)
{
    const given_t *given;
    json_t *columns = json_object();
    for (size_t i = 0; (given = args_given(args, "column", i)); i++) {
        const char *equals = strchr(given->value, '=');
        if (!equals || equals == given->value) {
            json_decref(columns);
            fail(EXIT_USAGE, "bad value of --column", say("\"%s\" has no =", given->value),
                 "--column key=id (key, priority, at, title, executor, host, input)");
            return false;
        }
        const char *field = say("%.*s", (int)(equals - given->value), given->value);
        if (strcmp(field, "input") == 0) {
            json_t *list = json_object_get(columns, "input");
            if (!list) {
                list = json_array();
                json_object_set_new(columns, "input", list);
            }
            json_array_append_new(list, json_string(equals + 1));
        } else {
            json_object_set_new(columns, field, json_string(equals + 1));
        }
    }
    if (json_object_size(columns)) json_object_set(producer, "columns", columns);
    json_decref(columns);
    return true;
}

bool sqlspec_each_from_args(json_t *object, const args_t *args)
{
    static const char *const of_one_task[] = { "key", "expire", "at", "delay", "hold" };
    if (!args_has(args, "each")) return true;
    json_t *producer = statement_from_args(args, "each");
    if (!producer || !columns_from_args(producer, args)) {
        json_decref(producer);
        return false;
    }
    set_if_given(producer, "watermark", args, "watermark");
    set_if_given(producer, "scope", args, "scope");
    if (args_has(args, "batch"))
        json_object_set_new(producer, "batch", json_integer(args_number(args, "batch", 0)));
    if (args_has(args, "rehearse")) json_object_set_new(producer, "dry_run", json_true());
    json_t *outer = json_object();
    for (size_t i = 0; i < ARRAY_LEN(of_one_task); i++) {
        json_t *value = json_object_get(object, of_one_task[i]);
        if (value) json_object_set(outer, of_one_task[i], value);
        json_object_del(object, of_one_task[i]);
    }
    json_object_set_new(producer, "task", json_copy(object));
    json_object_clear(object);
    json_object_update(object, outer);
    json_object_set_new(object, "sql_producer", producer);
    json_decref(outer);
    return true;
}

/* ---- from the broker's bytes ----------------------------------------------------------------- */

static void set_text(json_t *object, const char *name, const char *text)
{
    if (*text) json_object_set_new(object, name, json_string(text));
}

static void set_count(json_t *object, const char *name, uint64_t number)
{
    if (number) json_object_set_new(object, name, json_integer((json_int_t)number));
}

static json_t *statement_of(const Pawl__V1__Sql *sql)
{
    json_t *statement = json_object();
    set_text(statement, "source", sql->source);
    set_text(statement, "text", sql->text);
    json_t *params = sql->params.len
                         ? json_loadb((const char *)sql->params.data, sql->params.len, 0, NULL)
                         : NULL;
    if (params) json_object_set_new(statement, "params", params);
    return statement;
}

static json_t *producer_of(const Pawl__V1__Sql *sql, const Pawl__V1__SqlProducer *producer)
{
    const struct {
        const char *name, *column;
    } given[] = {
        { "key", producer->key },     { "priority", producer->priority }, { "at", producer->at },
        { "title", producer->title }, { "executor", producer->executor }, { "host", producer->host }
    };
    json_t *object = statement_of(sql), *columns = json_object(), *input = json_array();
    json_t *template = task_json_from_message(producer->task.data, producer->task.len);
    if (template) json_object_set_new(object, "task", template);
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        set_text(columns, given[i].name, given[i].column);
    for (size_t i = 0; i < producer->n_input; i++)
        json_array_append_new(input, json_string(producer->input[i]));
    if (json_array_size(input)) json_object_set(columns, "input", input);
    if (json_object_size(columns)) json_object_set(object, "columns", columns);
    json_decref(input);
    json_decref(columns);
    set_text(object, "watermark", producer->watermark);
    set_text(object, "scope", producer->scope);
    set_count(object, "batch", producer->batch);
    set_count(object, "rows", producer->rows);
    if (producer->dry_run) json_object_set_new(object, "dry_run", json_true());
    return object;
}

void sqlspec_from_message(json_t *object, const Pawl__V1__Task *task)
{
    const Pawl__V1__Sql *sql = task->sql;
    if (!sql) return;
    if (task->producer) {
        json_object_set_new(object, "sql_producer", producer_of(sql, task->producer));
        return;
    }
    json_t *plain = statement_of(sql);
    set_count(plain, "rows", sql->rows);
    if (sql->on_unknown == PAWL__V1__SQL_UNKNOWN__SQL_UNKNOWN_RETRY)
        set_text(plain, "on_unknown", "retry");
    if (sql->transaction == PAWL__V1__SQL_TRANSACTION__SQL_TRANSACTION_NONE)
        set_text(plain, "transaction", "none");
    json_object_set_new(object, "sql", plain);
}

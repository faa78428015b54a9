/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/fanoutspec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/base.h"
#include "client/cli/fail.h"
#include "client/cli/instant.h"
#include "client/cli/text.h"

// ---- from JSON ---------------------------------------------------------------------------------

static bool refuse(spec_error_t *error, const char *field, const char *why)
{
    snprintf(error->field, sizeof error->field, "fanout.%s", field);
    snprintf(error->why, sizeof error->why, "%s", why);
    return false;
}

static bool taken(spec_error_t *error, const char *field, pawl_err err)
{
    return err == PAWL_OK ||
           refuse(error, field,
                  err == PAWL_E_BAD_REQUEST ? "the value is out of its range" : pawl_err_text(err));
}

/* A whole number in decimal, nothing behind it. */
static bool number_read(const char *text, int64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    *number = strtoll(text, &end, 10);
    return *end == '\0';
}

typedef bool set_fn(pawl_task_t *task, const json_t *value, spec_error_t *error);

static bool set_executors(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name) return refuse(error, "executors", "it must be a list of names");
        if (!taken(error, "executors", pawl_task_add_member(task, name))) return false;
    }
    return json_array_size(value) > 0 ||
           refuse(error, "executors", "it must be a list of names, and not an empty one");
}

static bool set_labels(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value)) return refuse(error, "labels", "it must be an object of texts");
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        if (!json_is_string(text)) return refuse(error, "labels", "it must be an object of texts");
        if (!taken(error, "labels", pawl_task_add_member_label(task, key, json_string_value(text))))
            return false;
    }
    return true;
}

static bool set_number(pawl_task_t *task, const json_t *value, const char *field,
                       spec_error_t *error)
{
    if (!json_is_integer(value)) return refuse(error, field, "it must be a whole number");
    return taken(error, field,
                 pawl_task_set_int(task, say("fanout.%s", field), json_integer_value(value)));
}

static bool set_count(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    return set_number(task, value, "count", error);
}

static bool set_parallel(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    return set_number(task, value, "parallel", error);
}

static bool set_done(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    const char *colon = strchr(text, ':');
    const char *word = say("%.*s", (int)(colon ? colon - text : (ptrdiff_t)strlen(text)), text);
    int64_t number = 0;
    if ((colon && !number_read(colon + 1, &number)) ||
        pawl_task_set_text(task, "fanout.done", word) != PAWL_OK)
        return refuse(error, "done", "it is none of all, any, quorum:N, percent:P");
    return taken(error, "done", pawl_task_set_int(task, "fanout.done_count", number));
}

static bool set_offline(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    const char *colon = strchr(text, ':');
    const char *word = say("%.*s", (int)(colon ? colon - text : (ptrdiff_t)strlen(text)), text);
    int64_t us = 0;
    if ((colon && !duration_read(colon + 1, &us)) ||
        pawl_task_set_text(task, "fanout.offline", word) != PAWL_OK)
        return refuse(error, "offline", "it is none of wait, wait:10m, skip, fail");
    return taken(error, "offline", pawl_task_set_int(task, "fanout.offline_us", us));
}

static bool set_pause(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    int64_t us;
    if (!json_is_string(value) || !duration_read(json_string_value(value), &us))
        return refuse(error, "pause", "it must be a duration with a unit, e.g. \"30s\"");
    return taken(error, "pause", pawl_task_set_int(task, "fanout.pause_us", us));
}

static bool set_stop(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    const char *text = json_string_value(value);
    size_t len = text ? strlen(text) : 0;
    int64_t number;
    if (len > 1 && text[len - 1] == '%' && number_read(say("%.*s", (int)(len - 1), text), &number))
        return taken(error, "stop_after", pawl_task_set_int(task, "fanout.stop_percent", number));
    if (!json_is_integer(value))
        return refuse(error, "stop_after", "it must be a whole number, or a share: \"10%\"");
    return taken(error, "stop_after",
                 pawl_task_set_int(task, "fanout.stop_failures", json_integer_value(value)));
}

static bool set_switch(pawl_task_t *task, const json_t *value, const char *field,
                       spec_error_t *error)
{
    if (!json_is_boolean(value)) return refuse(error, field, "it must be true or false");
    return taken(error, field,
                 pawl_task_set_int(task, say("fanout.%s", field), json_is_true(value)));
}

static bool set_late_join(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    return set_switch(task, value, "late_join", error);
}

static bool set_cancel_rest(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    return set_switch(task, value, "cancel_rest", error);
}

static bool set_move(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    return set_switch(task, value, "move", error);
}

static const struct {
    const char *name;
    set_fn *set;
} fields[] = { { "executors", set_executors },
               { "labels", set_labels },
               { "count", set_count },
               { "done", set_done },
               { "offline", set_offline },
               { "parallel", set_parallel },
               { "pause", set_pause },
               { "stop_after", set_stop },
               { "late_join", set_late_join },
               { "cancel_rest", set_cancel_rest },
               { "move", set_move } };

bool fanout_from_json(pawl_task_t *task, const json_t *value, spec_error_t *error)
{
    const char *key;
    json_t *inner;
    if (!json_is_object(value)) {
        snprintf(error->field, sizeof error->field, "fanout");
        snprintf(error->why, sizeof error->why, "it must be an object");
        return false;
    }
    if (pawl_task_set_fanout(task) != PAWL_OK) return refuse(error, "", "out of memory");
    json_object_foreach((json_t *)(uintptr_t)value, key, inner)
    {
        size_t i = 0;
        while (i < ARRAY_LEN(fields) && strcmp(fields[i].name, key) != 0)
            i++;
        if (i == ARRAY_LEN(fields)) return refuse(error, key, "unknown field");
        if (!fields[i].set(task, inner, error)) return false;
    }
    return true;
}

// ---- to JSON -----------------------------------------------------------------------------------

json_t *fanout_json_from_message(const Pawl__V1__Fanout *fanout)
{
    static const char *const done[] = { NULL, "all", "any", "quorum", "percent" };
    static const char *const offline[] = { NULL, "wait", "skip", "fail" };
    json_t *to = json_object();
    if (fanout->n_executors) {
        json_t *names = json_array();
        for (size_t i = 0; i < fanout->n_executors; i++)
            json_array_append_new(names, json_string(fanout->executors[i]));
        json_object_set_new(to, "executors", names);
    } else {
        json_t *labels = json_object();
        for (size_t i = 0; i < fanout->n_labels; i++)
            json_object_set_new(labels, fanout->labels[i]->key,
                                json_string(fanout->labels[i]->value));
        json_object_set_new(to, "labels", labels);
    }
    if (fanout->count) json_object_set_new(to, "count", json_integer(fanout->count));
    if (fanout->done > 0 && (size_t)fanout->done < ARRAY_LEN(done))
        json_object_set_new(to, "done",
                            json_string(fanout->done_count
                                            ? say("%s:%u", done[fanout->done], fanout->done_count)
                                            : done[fanout->done]));
    if (fanout->offline > 0 && (size_t)fanout->offline < ARRAY_LEN(offline))
        json_object_set_new(to, "offline",
                            json_string(fanout->offline_us ? say("%s:%s", offline[fanout->offline],
                                                                 duration_text(fanout->offline_us))
                                                           : offline[fanout->offline]));
    if (fanout->parallel) json_object_set_new(to, "parallel", json_integer(fanout->parallel));
    if (fanout->pause_us)
        json_object_set_new(to, "pause", json_string(duration_text(fanout->pause_us)));
    if (fanout->stop_failures)
        json_object_set_new(to, "stop_after", json_integer(fanout->stop_failures));
    else if (fanout->stop_percent)
        json_object_set_new(to, "stop_after", json_string(say("%u%%", fanout->stop_percent)));
    if (fanout->late_join) json_object_set_new(to, "late_join", json_true());
    if (fanout->cancel_rest_set_case)
        json_object_set_new(to, "cancel_rest", json_boolean(fanout->cancel_rest));
    if (fanout->move) json_object_set_new(to, "move", json_true());
    return to;
}

// ---- from the command line ---------------------------------------------------------------------

/* role=web,site=fra; NULL: not pairs */
static json_t *labels_read(const char *text)
{
    json_t *labels = json_object();
    for (char *at = text_keep(mem_text(text)), *word; *text && (word = strsep(&at, ","));) {
        char *equals = strchr(word, '=');
        if (!equals || equals == word) {
            json_decref(labels);
            return NULL;
        }
        *equals = '\0';
        json_object_set_new(labels, word, json_string(equals + 1));
    }
    return labels;
}

json_t *fanout_from_on(const char *value)
{
    json_t *labels = NULL;
    int64_t count = 0;
    if (strcmp(value, "all") == 0) {
        labels = json_object();
    } else if (strncmp(value, "all:", 4) == 0) {
        labels = labels_read(value + 4);
    } else if (strncmp(value, "n:", 2) == 0) {
        const char *colon = strchr(value + 2, ':');
        const char *number =
            say("%.*s", (int)(colon ? colon - value - 2 : (ptrdiff_t)strlen(value + 2)), value + 2);
        if (!number_read(number, &count) || count == 0) return NULL;
        labels = labels_read(colon ? colon + 1 : "");
    } else if (!strchr(value, '=') && *value) {
        json_t *names = json_array();
        for (char *at = text_keep(mem_text(value)), *word; (word = strsep(&at, ","));)
            json_array_append_new(names, json_string(word));
        return json_pack("{s:o}", "executors", names);
    }
    if (!labels) return NULL;
    json_t *fanout = json_pack("{s:o}", "labels", labels);
    if (count) json_object_set_new(fanout, "count", json_integer(count));
    return fanout;
}

static bool wave_read(json_t *fanout, const char *text)
{
    const char *colon = strchr(text, ':');
    int64_t parallel, us;
    if (!number_read(say("%.*s", (int)(colon ? colon - text : (ptrdiff_t)strlen(text)), text),
                     &parallel) ||
        parallel == 0 || (colon && !duration_read(colon + 1, &us))) {
        fail(EXIT_USAGE, "bad value of --wave",
             say("\"%s\" is no number of hosts, with or without a pause", text),
             "--wave 10, or --wave 10:30s for a pause of 30 s between waves");
        return false;
    }
    json_object_set_new(fanout, "parallel", json_integer(parallel));
    if (colon) json_object_set_new(fanout, "pause", json_string(colon + 1));
    return true;
}

bool fanout_flags_read(json_t *fanout, const args_t *args)
{
    static const char *const same_name[] = { "done", "offline" };
    const char *text = args_text(args, "wave");
    int64_t number;
    if (text && !wave_read(fanout, text)) return false;
    /* a schedule's --pause is another: there the pause stands behind the size, --wave 10:30s */
    bool run = strcmp(args->command->name, "run") == 0;
    if (run && (text = args_text(args, "pause")))
        json_object_set_new(fanout, "pause", json_string(text));
    for (size_t i = 0; i < ARRAY_LEN(same_name); i++)
        if ((text = args_text(args, same_name[i])))
            json_object_set_new(fanout, same_name[i], json_string(text));
    if ((text = args_text(args, "stop-after")))
        json_object_set_new(fanout, "stop_after",
                            number_read(text, &number) ? json_integer(number) : json_string(text));
    if (args_has(args, "late-join")) json_object_set_new(fanout, "late_join", json_true());
    if (args_has(args, "keep-rest")) json_object_set_new(fanout, "cancel_rest", json_false());
    if (args_has(args, "move")) json_object_set_new(fanout, "move", json_true());
    return true;
}

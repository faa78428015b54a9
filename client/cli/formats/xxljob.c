/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/xxljob.h"

#include <stdlib.h>
#include <strings.h>

#include "client/cli/formats/csv.h"
#include "client/cli/formats/quartz.h"
#include "client/cli/text.h"

typedef struct table {
    const char **names;
    size_t count;
    const csv_t *row;
} table_t;

/* "" where the table has no such column or no value in it. */
static const char *cell(const table_t *self, const char *name)
{
    for (size_t i = 0; i < self->count && i < self->row->count; i++)
        if (strcasecmp(self->names[i], name) == 0) return self->row->cells[i];
    return "";
}

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

static void set(import_item_t *item, const char *key, const char *value)
{
    json_object_set_new(item->spec, key, json_string(value));
}

static bool whole_number(const char *text, long most, long *number)
{
    *number = 0;
    if (!*text) return true;
    if (text[strspn(text, "0123456789")] || strlen(text) > 9) return false;
    *number = strtol(text, NULL, 10);
    return *number <= most;
}

static bool read_when(import_item_t *item, const table_t *row)
{
    const char *type = cell(row, "schedule_type"), *conf = cell(row, "schedule_conf"), *why = NULL;
    if (!*type && *cell(row, "job_cron")) { /* before 2.3 */
        type = "CRON";
        conf = cell(row, "job_cron");
    }
    item->rule = *conf ? conf : type;
    long seconds;
    if (is(type, "FIX_RATE") || is(type, "FIX_DELAY")) {
        if (!whole_number(conf, 999999999, &seconds) || seconds < 1)
            return import_refuse(item, "%s \"%s\" is not a number of seconds", type, conf);
        if (is(type, "FIX_RATE"))
            import_every(item, seconds);
        else
            import_after(item, seconds);
        return true;
    }
    if (!is(type, "CRON"))
        return import_refuse(item, "schedule_type %s: nothing starts it by the clock",
                             *type ? type : "(none)");
    quartz_t quartz;
    if (!quartz_read(conf, &quartz, &why)) return import_refuse(item, "%s", why);
    set(item, "rule", quartz.rule);
    import_note(item, "rule %s", quartz.rule);
    if (quartz.from_year) {
        set(item, "start", say("%d-01-01T00:00:00", quartz.from_year));
        set(item, "end", say("%d-12-31T23:59:59", quartz.to_year));
        import_note(item, "years %d-%d", quartz.from_year, quartz.to_year);
    }
    return true;
}

static bool read_policies(import_item_t *item, const table_t *row)
{
    static const char *const overlaps[][2] = { { "SERIAL_EXECUTION", "queue_all" },
                                               { "DISCARD_LATER", "skip" },
                                               { "COVER_EARLY", "cancel" } };
    const char *misfire = cell(row, "misfire_strategy"),
               *block = cell(row, "executor_block_strategy");
    if (is(misfire, "FIRE_ONCE_NOW"))
        set(item, "mode", "latest");
    else if (*misfire && !is(misfire, "DO_NOTHING"))
        return import_refuse(item, "misfire_strategy %s is not known", misfire);
    size_t i = 0;
    while (*block && i < ARRAY_LEN(overlaps) && !is(overlaps[i][0], block))
        i++;
    if (i == ARRAY_LEN(overlaps))
        return import_refuse(item, "executor_block_strategy %s is not known", block);
    if (*block) set(item, "overlap", overlaps[i][1]);
    if (*block) import_note(item, "%s: overlap %s", block, overlaps[i][1]);
    if (is(cell(row, "executor_route_strategy"), "SHARDING_BROADCAST"))
        return import_refuse(item, "SHARDING_BROADCAST runs it on every executor at once");
    if (*cell(row, "child_jobid"))
        return import_refuse(item, "child_jobid %s: it starts other jobs when it has ended",
                             cell(row, "child_jobid"));
    if (is(cell(row, "trigger_status"), "0")) {
        json_object_set_new(item->spec, "paused", json_true());
        import_note(item, "paused");
    }
    return true;
}

/* XXL-JOB gives a script its parameter, the shard's index and the number of shards. */
static bool script_task(import_item_t *item, json_t *task, const table_t *row, const char *glue)
{
    static const char *const interpreters[][2] = { { "GLUE_SHELL", "bash" },
                                                   { "GLUE_PYTHON", "python" },
                                                   { "GLUE_PHP", "php" },
                                                   { "GLUE_NODEJS", "node" },
                                                   { "GLUE_POWERSHELL", "powershell" } };
    const char *text = cell(row, "glue_source"), *given = cell(row, "executor_param");
    size_t i = 0;
    while (i < ARRAY_LEN(interpreters) && !is(interpreters[i][0], glue))
        i++;
    if (i == ARRAY_LEN(interpreters))
        return import_refuse(item, "glue_type %s has no counterpart", glue);
    if (!*text) return import_refuse(item, "its glue_source is empty");
    item->what = glue;
    if (*given && i > 0)
        return import_refuse(
            item, "a script here gets no arguments, and it has the parameter \"%s\"", given);
    if (*given) {
        char *words[] = { (char *)(uintptr_t)given };
        text = say("set -- %s 0 1\n%s", shell_words(words, 1), text);
        import_note(item, "its parameter stands in a line `set --` above the script");
    }
    json_object_set_new(task, "script",
                        json_pack("{s:s, s:s}", "interpreter", interpreters[i][1], "text", text));
    import_note(item, "a script for %s", interpreters[i][1]);
    return true;
}

static bool read_task(import_list_t *list, import_item_t *item, const table_t *row)
{
    const char *glue = cell(row, "glue_type"), *handler = cell(row, "executor_handler");
    const char *input = cell(row, "executor_param");
    json_t *task = json_object();
    long number;
    json_object_set_new(item->spec, "task", task);
    if (!*glue || is(glue, "BEAN")) {
        if (!*handler) return import_refuse(item, "it has no executor_handler");
        item->what = handler;
        json_object_set_new(task, "type", json_string(import_type(list, "xxl-job", handler)));
        if (*input) json_object_set_new(task, "input", json_string(input));
        import_note(item, "type %s", import_type(list, "xxl-job", handler));
    } else if (!script_task(item, task, row, glue)) {
        return false;
    }
    if (!whole_number(cell(row, "executor_timeout"), 999999999, &number))
        return import_refuse(item, "executor_timeout is not a number of seconds");
    if (number) json_object_set_new(task, "time_limit", json_string(say("%lds", number)));
    if (!whole_number(cell(row, "executor_fail_retry_count"), 999, &number))
        return import_refuse(item, "executor_fail_retry_count is not a number below 1000");
    json_object_set_new(task, "retry", json_pack("{s:i}", "max_attempts", (int)number + 1));
    return true;
}

static void read_row(import_list_t *list, const table_t *row)
{
    const char *id = cell(row, "id"), *title = cell(row, "job_desc");
    import_item_t *item = import_add(list, say("line %zu", row->row->record_line));
    item->spec = json_object();
    item->name = import_name(list, say("xxl-job-%s", id));
    item->what = *cell(row, "executor_handler") ? cell(row, "executor_handler") : title;
    if (*title) set(item, "title", title);
    if (row->row->count != row->count)
        import_refuse(item, "it has %zu values, the header names %zu", row->row->count, row->count);
    else if (!*id)
        import_refuse(item, "it has no id");
    else if (read_when(item, row) && read_task(list, item, row))
        read_policies(item, row);
    if (*cell(row, "alarm_email")) import_note(item, "alarm_email is not taken over");
    if (!item->refused) return;
    json_decref(item->spec);
    item->spec = NULL;
}

const char *xxl_job_import(import_list_t *list, const char *text, size_t len)
{
    csv_t csv;
    table_t table = { 0 };
    const char *why = NULL;
    csv_open(&csv, text, len);
    if (csv_next(&csv)) {
        table.names = mem_copy(csv.cells, csv.count * sizeof *csv.cells);
        table.count = csv.count;
    }
    table.row = &csv;
    if (!*cell(&table, "id") || (!*cell(&table, "schedule_type") && !*cell(&table, "job_cron")))
        why = "its first line does not name the columns of xxl_job_info (id, schedule_type, ...)";
    while (!why && csv_next(&csv))
        read_row(list, &table);
    free(table.names);
    csv_close(&csv);
    return why;
}

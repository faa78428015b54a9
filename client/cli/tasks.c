/* SPDX-License-Identifier: Apache-2.0
 * client/cli/tasks.c - pawl task list, show, wait, cancel, retry, start, hold, output; pawl why. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/family.h"
#include "client/cli/handlers.h"
#include "client/cli/ids.h"
#include "client/cli/output.h"
#include "client/cli/taskspec.h"

const char *verb_of(const cli_t *cli)
{
    const char *blank = strrchr(cli->args.command->name, ' ');
    return blank ? blank + 1 : cli->args.command->name;
}

int cmd_task_list(cli_t *cli)
{
    int code = cli_connect(cli);
    pawl_filter_t *filter = code ? NULL : filter_read(cli, &code);
    if (code) return code;
    if (strcmp(cli->args.command->name, "ps") == 0) pawl_filter_add(filter, "status", "running");
    /* what a person looks for is mostly what came last */
    bool newest = output_is_table() && strcmp(cli->args.command->name, "task list") == 0;
    if (args_has(&cli->args, "newest-first") || (newest && !args_has(&cli->args, "oldest-first")))
        pawl_filter_add(filter, "newest_first", "1");
    if (args_has(&cli->args, "roots")) pawl_filter_add(filter, "roots", "1");
    pawl_list_t *list = NULL;
    const pawl_record_t *task;
    pawl_err err = pawl_task_list(cli->client, filter, &list, cli->timeout_us);
    pawl_filter_destroy(&filter);
    if (err) return fail_client(cli->client, err, "cannot list tasks");
    output_t *output = output_new(task_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((task = pawl_list_next(list, &err)) && output_record(output, task)) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all tasks") : code;
}

/* The record with what only TaskGet tells: attempts, the task as it was submitted, its output. */
static json_t *task_whole(const pawl_record_t *task)
{
    json_t *object = record_json(task, task_columns);
    size_t len = 0;
    const void *bytes = pawl_record_bytes(task, "task", &len);
    json_t *spec = len ? task_json_from_message(bytes, len) : NULL;
    json_t *attempts = json_array();
    for (size_t i = 0; i < pawl_record_count(task, "attempts"); i++)
        json_array_append_new(
            attempts, record_json(pawl_record_sub_at(task, "attempts", i), attempt_columns));
    json_object_set_new(object, "attempts", attempts);
    json_object_set_new(object, "task", spec ? spec : json_null());
    json_t *fanout = family_json(task);
    if (fanout) json_object_set_new(object, "fanout", fanout);
    bytes = pawl_record_bytes(task, "output", &len);
    json_t *output = len ? json_loadb(bytes, len, JSON_DECODE_ANY, NULL) : NULL;
    if (!output && len) output = json_stringn(bytes, len);
    json_object_set_new(object, "output", output ? output : json_null());
    return object;
}

/* The task of the first word. NULL: *code is that of a printed error. */
static pawl_record_t *task_named(cli_t *cli, const char *what, int *code)
{
    uint8_t id[PAWL_ID_BYTES];
    pawl_record_t *task = NULL;
    *code = cli_connect(cli);
    if (!*code) *code = id_read(cli, cli->args.words[0], what, id);
    if (*code) return NULL;
    pawl_err err = pawl_task_get(cli->client, id, &task, cli->timeout_us);
    if (err) *code = fail_client(cli->client, err, what);
    return task;
}

int cmd_task_show(cli_t *cli)
{
    int code;
    size_t len;
    uint8_t id[PAWL_ID_BYTES];
    pawl_record_t *task = task_named(cli, "cannot show the task", &code);
    if (!task) return code;
    memcpy(id, pawl_record_bytes(task, "id", &len), sizeof id);
    bool all = args_has(&cli->args, "children"), picked = args_text(&cli->args, "fields") != NULL;
    bool parent = pawl_record_sub(task, "fanout") != NULL, people = output_is_table();
    bool rows = all && !output_is_json() && (picked || !people); /* of the children, nothing else */
    json_t *object = task_whole(task);
    if (all && output_is_json())
        json_object_set_new(object, "children", family_all_json(cli, id, &code));
    if (parent && people && !picked) family_trim(object);
    if (!code && !rows) code = output_object(json_incref(object));
    if (!code && people && !picked && (all || parent)) putchar('\n');
    if (!code && all && !output_is_json())
        code = family_all(cli, id);
    else if (!code && people && parent && !picked)
        code = family_summary(cli, task);
    json_decref(object);
    pawl_record_destroy(&task);
    return code;
}

int cmd_task_output(cli_t *cli)
{
    int code;
    pawl_record_t *task = task_named(cli, "cannot show the task's output", &code);
    if (!task) return code;
    size_t len = 0;
    const void *bytes = pawl_record_bytes(task, "output", &len);
    fwrite(bytes ? bytes : "", 1, len, stdout);
    if (len == 0)
        cli_note(cli, "no output (status %s); what it printed: pawl logs %s",
                 pawl_record_text(task, "status"), cli->args.words[0]);
    pawl_record_destroy(&task);
    return output_written();
}

int cmd_why(cli_t *cli)
{
    uint8_t id[PAWL_ID_BYTES];
    pawl_record_t *why = NULL;
    int code = cli_connect(cli);
    if (!code) code = id_read(cli, cli->args.words[0], "cannot tell why", id);
    if (code) return code;
    pawl_err err = pawl_task_why(cli->client, id, &why, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot tell why");
    char text[PAWL_ID_TEXT];
    pawl_id_print(id, text);
    json_t *lines = json_array();
    for (size_t i = 0; i < pawl_record_count(why, "lines"); i++)
        json_array_append_new(lines,
                              json_string(instants_shown(pawl_record_text_at(why, "lines", i))));
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:o}", "id", text, "status", pawl_record_text(why, "status"),
                  "reason", pawl_record_text(why, "reason"), "lines", lines);
    pawl_record_destroy(&why);
    if (!output_is_table()) return output_object(object);
    printf("%s  %s  %s\n", text, json_string_value(json_object_get(object, "status")),
           json_string_value(json_object_get(object, "reason")));
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(object, "lines"), i, line)
        printf("  %s\n", text_tamed(json_string_value(line)));
    json_decref(object);
    return 0;
}

int cmd_task_wait(cli_t *cli)
{
    static const char what[] = "cannot wait for the tasks";
    const int64_t slice_us = 30 * INT64_C(1000000);
    ids_t ids = { 0 };
    int code = cli_connect(cli);
    if (!code) code = ids_read(cli, what, &ids);
    cli_leave_on_interrupt("interrupted: the tasks go on\n");
    pawl_err err = code ? PAWL_OK : PAWL_E_TIMEOUT;
    for (int64_t left = cli->timeout_given ? cli->timeout_us : INT64_MAX;
         err == PAWL_E_TIMEOUT && left > 0; left -= slice_us) {
        err = pawl_task_wait(cli->client, ids.at, ids.count, args_has(&cli->args, "any"),
                             left < slice_us ? left : slice_us);
        if (err == PAWL_E_TIMEOUT && cli_away_us(cli) > cli->timeout_us) break;
    }
    if (err == PAWL_E_TIMEOUT && cli_away_us(cli) == 0)
        code = fail(EXIT_UNREACHABLE, what,
                    say("not ended within %s (--timeout)", duration_text(cli->timeout_us)),
                    "a longer --timeout, or none; pawl why ID tells what a task waits for");
    else if (err)
        code = fail_client(cli->client, err, what);
    output_t *output = code ? NULL : output_new(task_columns, ids.count);
    bool all_good = true;
    for (size_t i = 0; !code && i < ids.count; i++) {
        pawl_record_t *task = NULL;
        err = pawl_task_get(cli->client, ids.at + i * PAWL_ID_BYTES, &task, cli->timeout_us);
        if (err) {
            code = fail_client(cli->client, err, what);
            break;
        }
        if (pawl_record_int(task, "ended_us"))
            all_good = all_good && strcmp(pawl_record_text(task, "status"), "finished") == 0;
        output_record(output, task);
        pawl_record_destroy(&task);
    }
    int printed = output ? output_end(&output) : 0;
    ids_free(&ids);
    return code ? code : printed ? printed : all_good ? 0 : EXIT_TASK_FAILED;
}

/* cancel, retry, start, hold: of many, in requests the broker takes. */
/* What to type after a refusal, by its kind. */
static const char *after_refusal(pawl_err err, const char *id)
{
    if (pawl_err_retryable(err)) return "the same again in a moment";
    return err == PAWL_E_NOT_FOUND ? "pawl task list" : say("pawl why %s", id);
}

enum { REFUSALS_TOLD = 20 };

typedef struct refusals {
    const char *verb;
    size_t told;
} refusals_t;

static void tell_refusal(void *arg, const uint8_t id[PAWL_ID_BYTES], pawl_err err, const char *why)
{
    refusals_t *self = arg;
    char text[PAWL_ID_TEXT];
    if (self->told++ >= REFUSALS_TOLD) return;
    pawl_id_print(id, text);
    fail(EXIT_PARTLY, say("cannot %s %s", self->verb, text),
         say("%s (%s)", *why ? why : pawl_err_text(err), pawl_err_name(err)),
         after_refusal(err, text));
}

/* "ids": those that were meant. */
static json_t *changed_json(const cli_t *cli, const ids_t *ids, size_t done, size_t refused)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        char text[PAWL_ID_TEXT];
        pawl_id_print(ids->at + i * PAWL_ID_BYTES, text);
        json_array_append_new(list, json_string(text));
    }
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:o}", "action", verb_of(cli), "dry_run",
                     cli->dry_run, "done", cli->dry_run ? (json_int_t)0 : (json_int_t)done,
                     "refused", (json_int_t)refused, "unknown", (json_int_t)ids->unknown, "ids",
                     list);
}

static void tell_chosen(const cli_t *cli, const ids_t *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        char text[PAWL_ID_TEXT];
        pawl_id_print(ids->at + i * PAWL_ID_BYTES, text);
        puts(text);
    }
    cli_note(cli, "would %s %zu (nothing changed)", verb_of(cli), ids->count);
}

int cmd_task_change(cli_t *cli)
{
    enum { AT_ONCE = 1000 };
    const char *verb = verb_of(cli), *what = say("cannot %s", verb);
    const char *reason = args_text(&cli->args, "reason");
    ids_t ids = { .go_on = true };
    refusals_t refusals = { .verb = verb };
    size_t refused = 0;
    int refusal_code = 0, code = cli_connect(cli);
    if (!code) code = ids_read(cli, what, &ids);
    for (size_t at = 0; !code && !cli->dry_run && at < ids.count; at += AT_ONCE) {
        size_t n = ids.count - at < AT_ONCE ? ids.count - at : AT_ONCE, not_taken = 0;
        bool bulk = ids.count > 1 || ids.unknown > 0;
        pawl_err err = pawl_task_change_each(cli->client, verb, ids.at + at * PAWL_ID_BYTES, n,
                                             reason ? reason : "", bulk ? tell_refusal : NULL,
                                             &refusals, &not_taken, cli->timeout_us);
        if (err && !bulk)
            code = fail_client(cli->client, err, say("cannot %s the task", verb));
        else if (err && not_taken == 0)
            code = fail_client(cli->client, err, what);
        else if (err)
            refusal_code = EXIT_PARTLY;
        refused += not_taken;
    }
    size_t done = ids.count - refused;
    if (ids.unknown) refusal_code = EXIT_PARTLY;
    if (!code && output_is_json())
        code = output_object(changed_json(cli, &ids, done, refused));
    else if (!code && cli->dry_run)
        tell_chosen(cli, &ids);
    else if (!code && refused)
        cli_note(cli, "%s: %zu done, %zu refused%s", verb, done, refused,
                 refused > REFUSALS_TOLD ? say(", the first %d are named above", REFUSALS_TOLD)
                                         : "");
    else if (!code && ids.unknown)
        cli_note(cli, "%s: %zu done, %zu unknown", verb, done, ids.unknown);
    else if (!code)
        cli_note(cli, "%s: %zu done", verb, done);
    ids_free(&ids);
    return code ? code : refusal_code;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/run.c - pawl run: one task; pawl logs: what it printed. */
#include <stdio.h>

#include "client/cli/follow.h"
#include "client/cli/handlers.h"
#include "client/cli/ids.h"
#include "client/cli/output.h"
#include "client/cli/targets.h"
#include "client/cli/taskspec.h"

enum { NEXT_TASK_LOOK_MS = 500 };

/* The zone that times on the command line are meant in. */
static const char *zone_typed(const cli_t *cli)
{
    const char *zone = args_text(&cli->args, "tz");
    if (!zone || strcmp(zone, "local") == 0) return local_zone();
    return strcmp(zone, "utc") == 0 ? "UTC" : zone;
}

/* *object: the same as JSON. */
static pawl_task_t *task_typed(cli_t *cli, json_t **object, int *code)
{
    spec_error_t error;
    *object = NULL;
    *code = task_command_given(&cli->args);
    if (*code) return NULL;
    *object = task_json_from_args(&cli->args);
    *code = EXIT_USAGE;
    if (!*object) return NULL;
    pawl_task_t *task = task_from_json(*object, zone_typed(cli), &error);
    *code = task ? 0 : task_refused(&cli->args, "the task cannot be taken", &error);
    if (task && cli->dry_run) {
        pawl_task_destroy(&task);
        *code = output_object(json_incref(*object));
        cli_note(cli, "(nothing submitted)");
    }
    return task;
}

int cmd_run(cli_t *cli)
{
    const args_t *args = &cli->args;
    int code;
    uint8_t id[PAWL_ID_BYTES];
    char text[PAWL_ID_TEXT];
    json_t *object;
    pawl_task_t *task = task_typed(cli, &object, &code);
    if (task) code = cli_connect(cli);
    pawl_err err = task && !code ? pawl_submit(cli->client, task, id, cli->timeout_us) : PAWL_OK;
    if (err) code = fail_client(cli->client, err, "the task was not submitted");
    if (task && !code) targets_warn(cli, object);
    bool submitted = task && !code;
    pawl_task_destroy(&task);
    json_decref(object);
    if (!submitted) return code;
    pawl_id_print(id, text);
    bool own_code = args_has(args, "exit-code"), follow = args_has(args, "follow");
    if (output_is_json())
        code = output_object(json_pack("{s:s}", "id", text));
    else
        puts(text);
    if (!code) code = output_written();
    if (code) fprintf(stderr, "%s is on record\n", text); /* nobody else could tell its id */
    if (code || !(own_code || follow || args_has(args, "wait"))) return code;
    outcome_t outcome;
    const follow_options_t options = {
        .log = follow, .output = follow, .status_lines = !cli->quiet, .prefix = "  | "
    };
    cli_leave_on_interrupt(say("\n%s goes on (pawl task cancel %s stops it)\n", text, text));
    code = task_follow(cli, id, &options, &outcome);
    return code ? code : outcome_code(&outcome, own_code);
}

// ---- logs
// ----------------------------------------------------------------------------------------

/* The newest task of a schedule. False: none yet, or *err. */
static bool newest_of(cli_t *cli, const char *schedule, uint8_t id[PAWL_ID_BYTES], pawl_err *err)
{
    pawl_filter_t *filter = pawl_filter_new();
    pawl_list_t *list = NULL;
    const pawl_record_t *task = NULL;
    pawl_filter_add(filter, "schedule", schedule);
    pawl_filter_add(filter, "newest_first", "1");
    *err = pawl_task_list(cli->client, filter, &list, cli->timeout_us);
    if (!*err) task = pawl_list_next(list, err);
    if (task) {
        size_t len;
        memcpy(id, pawl_record_bytes(task, "id", &len), PAWL_ID_BYTES);
    }
    pawl_list_destroy(&list);
    pawl_filter_destroy(&filter);
    return task != NULL;
}

/* Task after task of a schedule, until Ctrl-C. */
static int follow_schedule(cli_t *cli, const char *name)
{
    uint8_t id[PAWL_ID_BYTES], last[PAWL_ID_BYTES] = { 0 };
    const follow_options_t options = { .log = true, .prefix = "" };
    for (;;) {
        pawl_err err;
        outcome_t outcome;
        bool found = newest_of(cli, name, id, &err);
        if (err && cli_away_us(cli) > cli->timeout_us)
            return fail_client(cli->client, err, "cannot follow the schedule");
        if (found && memcmp(id, last, sizeof id) != 0) {
            int code = task_follow(cli, id, &options, &outcome);
            if (code) return code;
            memcpy(last, id, sizeof id);
            continue;
        }
        pawl_client_poll(cli->client, NEXT_TASK_LOOK_MS * 1000);
    }
}

int cmd_logs(cli_t *cli)
{
    const char *what = "cannot read the log", *name = cli->args.words[0];
    unsigned attempt = (unsigned)args_number(&cli->args, "attempt", 0);
    bool follow = args_has(&cli->args, "follow");
    uint8_t id[PAWL_ID_BYTES];
    pawl_record_t *record = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    if (follow) cli_leave_on_interrupt(NULL);
    if (!pawl_id_parse(name, id)) {
        pawl_err err = pawl_schedule_get(cli->client, name, &record, cli->timeout_us);
        pawl_record_destroy(&record);
        if (!err && follow) return follow_schedule(cli, name);
        if (!err && !newest_of(cli, name, id, &err)) {
            cli_note(cli, "schedule %s has made no task yet", name);
            return err ? fail_client(cli->client, err, what) : 0;
        }
        if (err) /* no schedule: then it begins an id */
            code = id_read(cli, name, "cannot read the log: no schedule is called so", id);
    }
    if (code) return code;
    if (args_has(&cli->args, "polls")) return log_print_polls(cli, id, attempt);
    if (!follow) return log_print(cli, id, attempt, "");
    outcome_t outcome;
    const follow_options_t options = { .log = true, .attempt = attempt, .prefix = "" };
    code = task_follow(cli, id, &options, &outcome);
    return code ? code : outcome_code(&outcome, false);
}

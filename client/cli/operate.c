/* SPDX-License-Identifier: Apache-2.0
 * client/cli/operate.c - pawl executor, queue, peer, broker; events; version and help. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"
#include "client/cli/programs.h"
#include "schemas/limits.h"
#include "schemas/wire.h"

typedef pawl_err list_fn(cli_t *cli, pawl_list_t **list);

static pawl_err list_executors(cli_t *cli, pawl_list_t **list)
{
    return pawl_executor_list(cli->client, "", list, cli->timeout_us);
}

static pawl_err list_queues(cli_t *cli, pawl_list_t **list)
{
    return pawl_queue_list(cli->client, list, cli->timeout_us);
}

static int print_list(cli_t *cli, list_fn *ask, const column_t *columns, const char *what)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = ask(cli, &list);
    if (err) return fail_client(cli->client, err, what);
    output_t *output = output_new(columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((row = pawl_list_next(list, &err)) && output_record(output, row)) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, what) : code;
}

int cmd_executor_list(cli_t *cli)
{
    return print_list(cli, list_executors, executor_columns, "cannot list executors");
}

int cmd_queue_list(cli_t *cli)
{
    return print_list(cli, list_queues, queue_columns, "cannot list queues");
}

/* A person asks who is there: those that have gone would hide them. */
static bool is_wanted_peer(const cli_t *cli, const pawl_record_t *peer)
{
    return !output_is_table() || args_has(&cli->args, "all") || pawl_record_int(peer, "alive");
}

int cmd_peer_list(cli_t *cli)
{
    static const char what[] = "cannot list peers";
    pawl_list_t *list = NULL;
    const pawl_record_t *peer;
    size_t gone = 0;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_peer_list(cli->client, &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    output_t *output = output_new(peer_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((peer = pawl_list_next(list, &err))) {
        if (!is_wanted_peer(cli, peer))
            gone++;
        else if (!output_record(output, peer))
            break;
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    if (err && !code) return fail_client(cli->client, err, what);
    if (!code && gone) cli_note(cli, "%zu more that have gone: --all", gone);
    return code;
}

/* What it runs now: id, type, attempt, since when. */
static json_t *running_on(cli_t *cli, const char *name)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *task;
    json_t *rows = json_array();
    pawl_filter_t *filter = pawl_filter_new();
    pawl_err err = PAWL_E_NO_MEMORY;
    if (filter && pawl_filter_add(filter, "executor", name) == PAWL_OK &&
        pawl_filter_add(filter, "status", "running") == PAWL_OK)
        err = pawl_task_list(cli->client, filter, &list, cli->timeout_us);
    while (!err && (task = pawl_list_next(list, &err))) {
        json_t *row = record_json(task, task_columns);
        static const char *const kept[] = { "id", "type", "attempt", "started", "title", "reason" };
        json_t *short_row = json_object();
        for (size_t i = 0; i < ARRAY_LEN(kept); i++)
            if (json_object_get(row, kept[i]) &&
                (strcmp(kept[i], "reason") != 0 ||
                 json_string_length(json_object_get(row, kept[i]))))
                json_object_set(short_row, kept[i], json_object_get(row, kept[i]));
        json_array_append_new(rows, short_row);
        json_decref(row);
    }
    if (err) cli_note(cli, "what it runs could not be listed: %s", client_why(cli->client, err));
    pawl_list_destroy(&list);
    pawl_filter_destroy(&filter);
    return rows;
}

/* The executor of the first word, as long as *list lives. NULL: *code is that of a printed error.
 */
static const pawl_record_t *executor_named(cli_t *cli, const char *what, pawl_list_t **list,
                                           int *code)
{
    const char *name = cli->args.words[0];
    const pawl_record_t *executor = NULL;
    *list = NULL;
    *code = cli_connect(cli);
    if (*code) return NULL;
    pawl_err err = pawl_executor_list(cli->client, name, list, cli->timeout_us);
    while (!err && (executor = pawl_list_next(*list, &err)) &&
           strcmp(pawl_record_text(executor, "name"), name) != 0) {
    }
    if (err)
        *code = fail_client(cli->client, err, what);
    else if (!executor)
        *code = fail(EXIT_NOT_FOUND, what, "no executor of that name has been seen",
                     "pawl executor list");
    return executor;
}

int cmd_executor_show(cli_t *cli)
{
    pawl_list_t *list;
    int code;
    const char *name = cli->args.words[0];
    const pawl_record_t *executor =
        executor_named(cli, say("cannot show executor %s", name), &list, &code);
    if (executor) {
        json_t *object = record_json(executor, executor_columns);
        json_object_set_new(object, "running", running_on(cli, name));
        code = output_object(object);
    }
    pawl_list_destroy(&list);
    return code;
}

int cmd_executor_change(cli_t *cli)
{
    const char *verb = verb_of(cli), *name = cli->args.words[0];
    const char *reason = args_text(&cli->args, "reason");
    const char *what = say("cannot %s executor %s", verb, name);
    int code = cli_connect(cli);
    if (!code && cli->dry_run) {
        pawl_list_t *list;
        if (executor_named(cli, what, &list, &code))
            code = cli_done(cli, cli_deed(cli, name, verb),
                            "would %s executor %s (nothing changed)", verb, name);
        pawl_list_destroy(&list);
        return code;
    }
    if (code) return code;
    bool quiet = strcmp(verb, "resume") != 0; /* quiet is another word for drain */
    pawl_err err;
    if (strcmp(verb, "stop") == 0)
        err = pawl_executor_stop(cli->client, name, args_number(&cli->args, "deadline", 0), reason,
                                 cli->timeout_us);
    else if (strcmp(verb, "retire") == 0)
        err = pawl_executor_retire(cli->client, name, reason, cli->timeout_us);
    else
        err = pawl_executor_change(cli->client, name, quiet, reason, cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    return cli_done(cli, cli_deed(cli, name, verb), "%s: %s", verb, name);
}

static pawl_err find_queue(cli_t *cli, const char *name, bool *known)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *queue;
    pawl_err err = pawl_queue_list(cli->client, &list, cli->timeout_us);
    while (!err && !*known && (queue = pawl_list_next(list, &err)))
        *known = strcmp(pawl_record_text(queue, "name"), name) == 0;
    pawl_list_destroy(&list);
    return err;
}

int cmd_queue_change(cli_t *cli)
{
    const char *verb = verb_of(cli), *name = cli->args.words[0];
    const char *reason = args_text(&cli->args, "reason");
    const char *what = say("cannot %s queue %s", verb, name);
    bool pauses = strcmp(verb, "pause") == 0, known = false;
    if (!wire_name_valid(name, strlen(name)))
        return fail(EXIT_USAGE, what,
                    say("a name has 1 to %d bytes and no control characters", LIMIT_NAME),
                    "pawl queue list shows what there is");
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = find_queue(cli, name, &known);
    if (err) return fail_client(cli->client, err, what);
    if (!known && !pauses)
        return fail(EXIT_NOT_FOUND, what, "no task was ever in a queue of that name",
                    "pawl queue list shows what there is");
    if (cli->dry_run)
        return cli_done(cli, cli_deed(cli, name, verb), "would %s queue %s (nothing changed)", verb,
                        name);
    err = pawl_queue_change(cli->client, name, pauses, reason ? reason : "", cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    return cli_done(cli, cli_deed(cli, name, verb), "%s: %s%s", verb, name,
                    known ? "" : " (new: no task was ever in a queue of that name)");
}

int cmd_broker_status(cli_t *cli)
{
    pawl_record_t *status = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_broker_status(cli->client, &status, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot show the broker's state");
    json_t *object = record_json(status, status_columns);
    json_object_set_new(object, "endpoint", json_string(pawl_client_endpoint(cli->client)));
    pawl_record_destroy(&status);
    return output_object(object);
}

/* The check is the broker's own, in a process of its own: a store that breaks it breaks nobody. */
int cmd_broker_check(cli_t *cli)
{
    const char *state = args_text(&cli->args, "state"), *program = program_path("pawl-broker");
    const char *broker = args_text(&cli->args, "broker");
    if (state && broker)
        return fail(EXIT_USAGE, "two stores are named", "--state and --broker exclude each other",
                    "pawl broker check --state DIR");
    if (!state && !broker) broker = getenv("PAWL_BROKER");
    if (broker && *broker && !(state = state_of_endpoint(broker)))
        return fail(EXIT_USAGE, say("%s names no state folder", broker),
                    "a store is checked where it lies: a folder, or ipc://FOLDER/broker.sock",
                    "pawl broker check --state DIR");
    if (!state) state = default_state();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, "pawl-broker", "--check", "--state", state, (char *)NULL);
        fprintf(stderr,
                "error: cannot run %s\n  why: %s\n  try: an installation with the programs "
                "in one folder\n",
                program, strerror(errno));
        _exit(EXIT_FAILED);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return fail(EXIT_FAILED, "cannot check the store", strerror(errno), "the same again");
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    return fail(EXIT_FAILED, "the check was ended", say("by signal %d", WTERMSIG(status)),
                "a copy of the store kept for a report, and the same command again");
}

/* ---- events ---------------------------------------------------------------------------------- */

typedef struct listening {
    output_t *output; /* NULL: lines for people */
    int64_t left;     /* of --limit */
} listening_t;

static void print_line(const pawl_record_t *event)
{
    json_t *row = record_json(event, event_columns);
    const char *id = json_string_value(json_object_get(row, "id"));
    printf("%-8" PRId64 " %s  %-12s %s%s%s %s\n", pawl_record_int(event, "seq"),
           instant_text(pawl_record_int(event, "time_us")), pawl_record_text(event, "kind"),
           id ? id : "", id ? " " : "", pawl_record_text(event, "name"),
           text_tamed(instants_shown(pawl_record_text(event, "detail"))));
    json_decref(row);
}

/* In a table what the broker says of instants is in the zone of the others. */
static bool print_row(output_t *output, const pawl_record_t *event)
{
    if (!output_is_table()) return output_record(output, event);
    json_t *row = record_json(event, event_columns);
    const char *detail = json_string_value(json_object_get(row, "detail"));
    if (detail) json_object_set_new(row, "detail", json_string(instants_shown(detail)));
    return output_row(output, row);
}

static bool print_event(const pawl_record_t *event, void *arg)
{
    listening_t *self = arg;
    if (strcmp(pawl_record_text(event, "kind"), "error") == 0)
        return false; /* the watch is over; what it says comes with the exit code */
    if (self->output)
        output_record(self->output, event);
    else
        print_line(event);
    fflush(stdout);
    return --self->left > 0;
}

static int follow_events(cli_t *cli, uint64_t from)
{
    enum { TURN_US = 500 * 1000 };
    static const char what[] = "cannot follow events";
    listening_t self = { .output = output_is_table() ? NULL : output_stream(event_columns),
                         .left = args_number(&cli->args, "limit", INT64_MAX) };
    cli_leave_on_interrupt(NULL);
    pawl_watch_t *watch = pawl_watch_new(cli->client, from, print_event, &self);
    pawl_err err = watch ? PAWL_OK : PAWL_E_NO_MEMORY;
    while (!err && self.left > 0 && cli_away_us(cli) <= cli->timeout_us) {
        pawl_client_poll(cli->client, TURN_US);
        err = pawl_watch_error(watch);
    }
    uint64_t seq = watch ? pawl_watch_seq(watch) : from;
    pawl_watch_destroy(&watch);
    int code = self.output ? output_end(&self.output) : output_written();
    if (err) return fail_client(cli->client, err, what);
    if (code || self.left <= 0) return code;
    return fail(EXIT_UNREACHABLE, "the broker is away",
                say("for longer than %s (--timeout)", duration_text(cli->timeout_us)),
                say("pawl events -f --from %" PRIu64 " goes on where this ended", seq));
}

/* A person looks for what came last: as many as the table will have rows. */
static pawl_err last_events(cli_t *cli, uint64_t *from)
{
    pawl_record_t *status = NULL;
    uint64_t rows = (uint64_t)args_number(&cli->args, "limit", OUTPUT_TABLE_ROWS);
    pawl_err err = pawl_broker_status(cli->client, &status, cli->timeout_us);
    uint64_t seq = err ? 0 : (uint64_t)pawl_record_int(status, "events_seq");
    *from = seq > rows ? seq - rows + 1 : 1;
    pawl_record_destroy(&status);
    if (*from > 1) cli_note(cli, "the last %" PRIu64 " events; older ones: --from 1", rows);
    return err;
}

int cmd_events(cli_t *cli)
{
    uint64_t from = (uint64_t)args_number(&cli->args, "from", 0);
    pawl_list_t *list = NULL;
    const pawl_record_t *event;
    int code = cli_connect(cli);
    if (code) return code;
    if (args_has(&cli->args, "follow")) return follow_events(cli, from);
    pawl_err err = from || !output_is_table() ? PAWL_OK : last_events(cli, &from);
    if (!err) err = pawl_event_list(cli->client, from ? from : 1, &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot list events");
    output_t *output = output_new(event_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((event = pawl_list_next(list, &err)) && print_row(output, event)) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all events") : code;
}

/* ---- help ------------------------------------------------------------------------------------ */

int cmd_version(cli_t *cli)
{
    (void)cli;
    if (output_is_json())
        return output_object(
            json_pack("{s:s, s:i}", "version", pawl_version(), "api", pawl_api_version()));
    printf("pawl %s\n", pawl_version());
    return 0;
}

int cmd_help(cli_t *cli)
{
    if (cli->args.word_count) return help_words(cli->args.words, cli->args.word_count);
    help_print(NULL);
    return 0;
}

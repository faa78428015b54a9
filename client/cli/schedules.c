/* SPDX-License-Identifier: Apache-2.0
 * client/cli/schedules.c - pawl schedule list, show, pause, resume, now, rm, preview, history,
 * missed. */
#include <inttypes.h>
#include <stdio.h>

#include "schemas/pawl.pb-c.h"

#include "client/base/clock.h"
#include "client/cli/calendars.h"
#include "client/cli/command.h"
#include "client/cli/handlers.h"
#include "client/cli/moments.h"
#include "client/cli/output.h"
#include "client/cli/taskspec.h"
#include "client/time/rule.h"

/* For people all rules are one text; a fixed delay says itself. */
static bool list_row(output_t *output, const pawl_record_t *schedule)
{
    json_t *row = record_json(schedule, schedule_columns);
    const char *rule = pawl_record_text(schedule, "rule");
    if (pawl_record_int(schedule, "after_us"))
        rule = say("(after %s)", duration_text(pawl_record_int(schedule, "after_us")));
    for (size_t i = 0; i < pawl_record_count(schedule, "also"); i++)
        rule = say("%s | %s", rule, pawl_record_text_at(schedule, "also", i));
    json_object_set_new(row, "rule", json_string(rule));
    return output_row(output, row);
}

/* The values of a flag that may be given several times, joined by commas. */
static const char *joined(const args_t *args, const char *flag)
{
    const char *all = "";
    const given_t *given;
    for (size_t i = 0; (given = args_given(args, flag, i)); i++)
        all = i ? say("%s,%s", all, given->value) : given->value;
    return all;
}

int cmd_schedule_list(cli_t *cli)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *schedule;
    const char *text = args_text(&cli->args, "text");
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_schedule_list_select(cli->client, text ? text : "",
                                             joined(&cli->args, "label"), &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot list schedules");
    output_t *output = output_new(schedule_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    bool people = output_is_table();
    while ((schedule = pawl_list_next(list, &err)) &&
           (people ? list_row(output, schedule) : output_record(output, schedule))) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all schedules") : code;
}

/* The schedule of the first word. NULL: *code is that of a printed error. */
static pawl_record_t *schedule_named(cli_t *cli, const char *what, int *code)
{
    pawl_record_t *schedule = NULL;
    *code = cli_connect(cli);
    if (*code) return NULL;
    pawl_err err = pawl_schedule_get(cli->client, cli->args.words[0], &schedule, cli->timeout_us);
    if (err) *code = fail_client(cli->client, err, what);
    return schedule;
}

/* All that its definition says beside what lists show, in tables and in JSON. */
static void add_policies(json_t *object, const pawl_record_t *schedule)
{
    size_t len = 0;
    json_t *policies = record_json(schedule, policy_columns);
    json_object_update(object, policies);
    json_decref(policies);
    const void *bytes = pawl_record_bytes(schedule, "task", &len);
    json_t *task = task_json_from_message(bytes, len);
    json_object_set_new(object, "task", task ? task : json_null());
}

/* When the schedule of a record runs, calendars read from the broker. */
static int open_moments(cli_t *cli, const pawl_record_t *record, moments_t **moments)
{
    const char *also[RULESET_RULES_MAX], *calendars[RULESET_CALENDARS_MAX];
    const char *texts[RULESET_CALENDARS_MAX];
    const pawl_record_t *schedule = pawl_record_sub(record, "schedule");
    moments_spec_t spec = { .rule = pawl_record_text(schedule, "rule"),
                            .zone = pawl_record_text(schedule, "zone"),
                            .exclusions = pawl_record_text(schedule, "exclusions"),
                            .name = pawl_record_text(record, "name"),
                            .also = also,
                            .also_count = pawl_record_count(schedule, "also"),
                            .calendars = calendars,
                            .calendar_texts = texts,
                            .calendars_count = pawl_record_count(schedule, "calendars"),
                            .after_us = pawl_record_int(schedule, "after_us"),
                            .from_us = pawl_record_int(schedule, "from_us"),
                            .to_us = pawl_record_int(schedule, "to_us"),
                            .max_firings = (uint64_t)pawl_record_int(schedule, "max_firings") };
    for (size_t i = 0; i < spec.also_count && i < ARRAY_LEN(also); i++)
        also[i] = pawl_record_text_at(schedule, "also", i);
    for (size_t i = 0; i < spec.calendars_count && i < ARRAY_LEN(calendars); i++)
        calendars[i] = pawl_record_text_at(schedule, "calendars", i);
    int code = calendar_texts(cli, calendars, spec.calendars_count, texts);
    return code ? code : moments_open(moments, &spec);
}

int cmd_schedule_show(cli_t *cli)
{
    int code;
    pawl_record_t *record = schedule_named(cli, "cannot show the schedule", &code);
    if (!record) return code;
    json_t *object = record_json(record, schedule_columns);
    if (pawl_record_sub(record, "schedule"))
        add_policies(object, pawl_record_sub(record, "schedule"));
    moments_t *moments = NULL;
    code = open_moments(cli, record, &moments);
    if (!code) json_object_set_new(object, "words", json_string(moments_words(moments, "en")));
    moments_close(&moments);
    pawl_record_destroy(&record);
    return output_object(object);
}

int cmd_schedule_why(cli_t *cli)
{
    int code;
    pawl_record_t *record = schedule_named(cli, "cannot tell why", &code);
    if (!record) return code;
    const char *state = pawl_record_text(record, "state"), *reason = "";
    int64_t next = pawl_record_int(record, "next_us"), behind = pawl_record_int(record, "behind");
    if (*pawl_record_text(record, "reason"))
        reason = say("%s", pawl_record_text(record, "reason"));
    else if (strcmp(state, "ended") == 0)
        reason = "its rule has no instant any more";
    else if (strcmp(state, "held") == 0)
        reason = say("%" PRId64 " unfinished tasks of it: no more are made until some have ended",
                     pawl_record_int(record, "running") + pawl_record_int(record, "waiting"));
    else if (strcmp(state, "active") == 0)
        reason = say("next at %s", instant_text(next));
    if (!output_is_table()) {
        json_t *object = json_pack("{s:s, s:s, s:s, s:I}", "name", cli->args.words[0], "state",
                                   state, "reason", reason, "behind", (json_int_t)behind);
        pawl_record_destroy(&record);
        return output_object(object);
    }
    printf("%s%s%s\n", state, *reason ? ": " : "", text_tamed(reason));
    if (behind) printf("%" PRId64 " instants that are due have no verdict yet\n", behind);
    pawl_record_destroy(&record);
    return 0;
}

int cmd_schedule_change(cli_t *cli)
{
    const char *verb = verb_of(cli), *name = cli->args.words[0], *what;
    const char *reason = args_text(&cli->args, "reason"), *option = NULL;
    bool now = strcmp(verb, "now") == 0, removes = strcmp(verb, "rm") == 0;
    uint8_t id[PAWL_ID_BYTES] = { 0 };
    what = say("cannot %s schedule %s", removes ? "remove" : now ? "run" : verb, name);
    if (now)
        option = args_text(&cli->args, "overlap");
    else if (args_has(&cli->args, "skip-missed"))
        option = "skip";
    else if (args_has(&cli->args, "make-missed"))
        option = "catchup";
    else
        option = args_text(&cli->args, "missed");
    int code = cli_connect(cli);
    if (code) return code;
    char uid[PAWL_ID_TEXT] = "";
    if (cli->dry_run || removes) {
        pawl_record_t *record = schedule_named(cli, what, &code);
        if (!code) pawl_id_print(pawl_record_bytes(record, "uid", NULL), uid);
        pawl_record_destroy(&record);
        if (!code && cli->dry_run)
            code = cli_done(cli, cli_deed(cli, name, verb), "would %s %s (nothing changed)", verb,
                            name);
        if (code || cli->dry_run) return code;
    }
    pawl_err err = pawl_schedule_change(cli->client, removes ? "remove" : verb, name,
                                        reason ? reason : "", option, id, cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    if (now) {
        char text[PAWL_ID_TEXT];
        pawl_id_print(id, text);
        if (output_is_json()) return output_object(json_pack("{s:s}", "id", text));
        puts(text);
        return 0;
    }
    json_t *deed = cli_deed(cli, name, verb);
    if (removes) json_object_set_new(deed, "uid", json_string(uid));
    return cli_done(cli, deed, "%s  %s%s%s",
                    removes                      ? "removed"
                    : strcmp(verb, "pause") == 0 ? "paused"
                                                 : "resumed",
                    name, removes ? "\nhistory  pawl schedule history " : "", uid);
}

/* Firings to come, by max_firings. */
static int64_t left_of(const pawl_record_t *record)
{
    int64_t most = pawl_record_int(record, "max_firings");
    int64_t left = most - pawl_record_int(record, "fired");
    return most == 0 ? INT64_MAX : left > 0 ? left : 0;
}

static bool preview_row(output_t *output, const moments_t *moments, int64_t at, int64_t now,
                        const char *calendar)
{
    return output_row(output, json_pack("{s:s, s:s, s:s, s:s?}", "instant",
                                        instant_text_in(moments_zone(moments), at * 1000000), "utc",
                                        instant_text_in("UTC", at * 1000000), "from_now",
                                        moments_from_now(at, now), "closed", calendar));
}

/* What calendars close in front of the next instant: why nothing runs then. */
static void preview_closed(output_t *output, const moments_t *moments, int64_t at, int64_t now)
{
    enum { CLOSED_SHOWN = 100 };
    const char *calendar;
    for (int i = 0; i < CLOSED_SHOWN; i++) {
        at = moments_closed_next(moments, at, &calendar);
        if (at == RULE_NONE || !preview_row(output, moments, at, now, calendar)) return;
    }
}

int cmd_schedule_preview(cli_t *cli)
{
    static const column_t columns[] = {
        { "instant", "", AS_GIVEN, IN_TABLE },
        { "utc", "", AS_GIVEN, IN_TABLE },
        { "from_now", "", AS_GIVEN, IN_TABLE },
        { "closed", "", AS_GIVEN, IN_TABLE },
        { 0 },
    };
    int code;
    pawl_record_t *record = schedule_named(cli, "cannot preview the schedule", &code);
    if (!record) return code;
    moments_t *moments = NULL;
    code = open_moments(cli, record, &moments);
    int64_t now = clock_wall_us() / 1000000, n = args_number(&cli->args, "count", 10);
    int64_t armed = pawl_record_int(record, "after_us") ? pawl_record_int(record, "next_us") : 0;
    int64_t left = left_of(record), jitter = pawl_record_int(record, "jitter_us");
    bool delays = pawl_record_int(record, "after_us") != 0;
    pawl_record_destroy(&record);
    if (code) return code;
    if (delays)
        cli_note(cli, "a fixed delay: %s",
                 armed ? "the instants behind this one follow from when its run ends"
                       : "its next instant follows from when the run that is open ends");
    if (jitter >= 1000)
        cli_note(cli, "jitter: each run comes %s after its instant",
                 duration_text(jitter / 1000 * 1000));
    output_t *output = output_new(columns, 0);
    if (armed) preview_row(output, moments, armed / 1000000, now, NULL);
    for (int64_t at = now; n > 0 && left > 0; n--, left--) {
        preview_closed(output, moments, at, now);
        at = moments_next(moments, at);
        if (at == RULE_NONE || !preview_row(output, moments, at, now, NULL)) break;
    }
    moments_close(&moments);
    return output_end(&output);
}

int cmd_schedule_history(cli_t *cli)
{
    bool missed = strcmp(verb_of(cli), "missed") == 0;
    int64_t from_us, to_us;
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    int code = cli_span(cli, &from_us, &to_us);
    if (!code) code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_schedule_history(cli->client, cli->args.words[0], from_us, to_us, missed,
                                         &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot show the history");
    output_t *output = output_new(history_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((row = pawl_list_next(list, &err)) && output_record(output, row)) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot show all of the history") : code;
}

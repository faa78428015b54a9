/* SPDX-License-Identifier: Apache-2.0
 * client/cli/plan.c - pawl schedule add and set. */
#include "client/cli/plan.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/pawl.pb-c.h"

#include "client/base/clock.h"
#include "client/cli/calendars.h"
#include "client/cli/handlers.h"
#include "client/cli/moments.h"
#include "client/cli/output.h"
#include "client/cli/taskspec.h"
#include "client/time/rule.h"

/* ---- the rule -------------------------------------------------------------------------------- */

const char *plan_every(const char *text)
{
    int64_t us;
    size_t digits = strspn(text, "0123456789");
    if (!duration_read(text, &us) || us <= 0 || us % 1000000) return NULL;
    if (text[digits] && strchr("smhd", text[digits]) && !text[digits + 1]) return text;
    int64_t seconds = us / 1000000; /* never days: those are of the calendar */
    if (seconds % 3600 == 0) return say("%" PRId64 "h", seconds / 3600);
    return seconds % 60 == 0 ? say("%" PRId64 "m", seconds / 60) : say("%" PRId64 "s", seconds);
}

const char *plan_dates(const char *text)
{
    buf_t list = { 0 };
    buf_printf(&list, "%s", "");
    while (*text) {
        if (*text == '#') {
            text += strcspn(text, "\n");
        } else if (*text == ',' || isspace((unsigned char)*text)) {
            text++;
        } else {
            size_t len = strcspn(text, ",# \t\r\n");
            buf_printf(&list, "%s%.*s", list.len ? "," : "", (int)len, text);
            text += len;
        }
    }
    return text_keep((char *)list.at);
}

static int dates_rule(const char *given, const char **rule)
{
    const char *text = given;
    if (given[0] == '@') {
        FILE *file = strcmp(given, "@-") == 0 ? stdin : fopen(given + 1, "re");
        if (!file)
            return fail(EXIT_FAILED, say("cannot read the dates %s", given + 1), strerror(errno),
                        "--dates @FILE with one date a line, or --dates 2026-12-24,2026-12-31");
        buf_t all = { 0 };
        size_t got;
        do {
            buf_need(&all, 4097);
            got = fread(all.at + all.len, 1, 4096, file);
            all.len += got;
        } while (got);
        buf_add(&all, "", 1);
        if (file != stdin) fclose(file);
        text = text_keep((char *)all.at);
    }
    *rule = say("@dates %s", plan_dates(text));
    return 0;
}

static int at_rule(cli_t *cli, const char *zone, const char **rule)
{
    size_t n = args_count(&cli->args, "at");
    buf_t list = { 0 };
    for (size_t i = 0; i < n; i++) {
        int64_t us;
        int code = cli_instant(cli, "at", args_given(&cli->args, "at", i)->value, false, &us);
        if (code) {
            buf_free(&list);
            return code;
        }
        buf_printf(&list, "%s%s", i ? "," : "", instant_text_in(zone, us - us % 1000000));
    }
    *rule = say("%s %s", n == 1 ? "@at" : "@dates", (char *)list.at);
    buf_free(&list);
    return 0;
}

static int every_rule(cli_t *cli, const char *given, const char **rule)
{
    const char *every = plan_every(given), *start = args_text(&cli->args, "start");
    int64_t us = clock_wall_us();
    if (!every)
        return fail(EXIT_USAGE, "bad value of --every",
                    say("\"%s\" is not whole seconds above 0 with a unit", given),
                    "--every 5m (units: s m h d)");
    int code = start && *start ? cli_instant(cli, "start", start, false, &us) : 0;
    *rule = say("@every %s from %s", every, instant_text_in("UTC", us - us % 1000000));
    return code;
}

int plan_rule(cli_t *cli, const char *zone, bool needed, const char **rule)
{
    static const char *const ways[] = { "cron", "every", "at", "dates", "after" };
    const args_t *args = &cli->args;
    const char *way = NULL;
    *rule = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        if (!args_has(args, ways[i])) continue;
        if (way)
            return fail(EXIT_USAGE, "the schedule has two rules",
                        say("--%s and --%s exclude each other", way, ways[i]),
                        args->command->example);
        way = ways[i];
    }
    if (!way && needed)
        return fail(EXIT_USAGE, "the schedule has no rule",
                    "one of --cron, --every, --at, --dates, --after is needed",
                    args->command->example);
    if (!way) return 0;
    const char *given = args_text(args, way);
    switch (way[0]) {
    case 'c':
        *rule = given;
        return 0;
    case 'e':
        return every_rule(cli, given, rule);
    case 'a':
        if (strcmp(way, "after") == 0) return 0; /* it has none */
        return at_rule(cli, zone, rule);
    default:
        return dates_rule(given, rule);
    }
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static int refuse(pawl_err err, const char *flag, const char *value)
{
    return fail((exit_t)pawl_err_exit_code(err), say("bad value of --%s", flag),
                say("\"%s\" is not taken: %s", value, pawl_err_text(err)),
                "pawl help schedule add");
}

static int set_policies(cli_t *cli, pawl_schedule_t *schedule)
{
    static const char *const texts[][2] = {
        { "mode", "mode" },   { "overlap", "overlap" },     { "except", "exclusions" },
        { "title", "title" }, { "on-resume", "on_resume" }, { "order", "order" },
    };
    static const char *const numbers[][2] = {
        { "window", "window_us" },
        { "ahead", "ahead" },
        { "grace", "grace_us" },
        { "jitter", "jitter_us" },
        { "start-by", "start_by_us" },
        { "max-running", "max_running" },
        { "rate", "rate" },
        { "warn", "warn" },
        { "max-firings", "max_firings" },
    };
    static const char *const switches[][2] = { { "live-first", "live_first" },
                                               { "supersede", "supersede" } };
    static const char *const bounds[][2] = { { "start", "from_us" }, { "end", "to_us" } };
    const args_t *args = &cli->args;
    /* Overlap and on_resume follow the mode: a new mode brings its own unless they are said too. */
    static const char *const followers[] = { "overlap", "on_resume" };
    for (size_t i = 0; args_has(args, "mode") && i < ARRAY_LEN(followers); i++) {
        pawl_err err = pawl_schedule_set_text(schedule, followers[i], "");
        if (err) return refuse(err, "mode", followers[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *text = args_text(args, texts[i][0]);
        pawl_err err = text ? pawl_schedule_set_text(schedule, texts[i][1], text) : PAWL_OK;
        if (err) return refuse(err, texts[i][0], text);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const given_t *given = args_given(args, numbers[i][0], 0);
        pawl_err err =
            given ? pawl_schedule_set_int(schedule, numbers[i][1], given->number) : PAWL_OK;
        if (err) return refuse(err, numbers[i][0], given->value);
    }
    const char *scope = args_text(args, "overlap-scope");
    if (scope) {
        bool word = !strcmp(scope, "schedule") || !strcmp(scope, "type") || !*scope;
        pawl_err err = pawl_schedule_set_text(schedule, "overlap_scope", word ? scope : "key");
        if (!err) err = pawl_schedule_set_text(schedule, "overlap_key", word ? "" : scope);
        if (err) return refuse(err, "overlap-scope", scope);
    }
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        const char *word = args_text(args, switches[i][0]);
        pawl_err err =
            word ? pawl_schedule_set_int(schedule, switches[i][1], strcmp(word, "yes") == 0)
                 : PAWL_OK;
        if (err) return refuse(err, switches[i][0], word);
    }
    const given_t *label;
    if (args_has(args, "label")) pawl_schedule_set_label(schedule, NULL, NULL);
    for (size_t i = 0; (label = args_given(args, "label", i)); i++) { /* its tasks carry them too */
        const char *sign = strchr(label->value, '=');
        if (!sign || sign == label->value) return refuse(PAWL_E_BAD_REQUEST, "label", label->value);
        pawl_err err = pawl_schedule_set_label(
            schedule, say("%.*s", (int)(sign - label->value), label->value), sign + 1);
        if (err) return refuse(err, "label", label->value);
    }
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        const char *text = args_text(args, bounds[i][0]);
        int64_t us = 0;
        if (!text) continue;
        int code = *text ? cli_instant(cli, bounds[i][0], text, false, &us) : 0;
        if (code) return code;
        pawl_err err = pawl_schedule_set_int(schedule, bounds[i][1], us);
        if (err) return refuse(err, bounds[i][0], text);
    }
    return 0;
}

/* ---- when it runs ---------------------------------------------------------------------------- */

/* All that says when: what is on record, with the flags over it. */
typedef struct terms_given {
    const char *also[RULESET_RULES_MAX], *calendars[RULESET_CALENDARS_MAX];
    const char *texts[RULESET_CALENDARS_MAX];
    moments_spec_t spec;
    bool changed; /* by a flag: a new rule begins now */
} terms_given_t;

/* The values of a flag that may be repeated, or of a field on record. An empty one clears. */
static int take_list(const args_t *args, const char *flag, const pawl_record_t *old,
                     const char *field, const char **to, size_t room, size_t *n)
{
    size_t given = args_count(args, flag);
    *n = 0;
    for (size_t i = 0; i < given; i++) {
        const char *value = args_given(args, flag, i)->value;
        if (!*value) continue;
        if (*n == room)
            return fail(EXIT_USAGE, say("too many of --%s", flag),
                        say("a schedule has at most %zu", room), args->command->example);
        to[(*n)++] = value;
    }
    for (size_t i = 0; !given && old && i < pawl_record_count(old, field) && i < room; i++)
        to[(*n)++] = say("%s", pawl_record_text_at(old, field, i));
    return 0;
}

/* `old`: the Schedule on record, NULL for a new one. */
static int take_terms(cli_t *cli, const char *name, const pawl_record_t *old, const char *zone,
                      const char *rule, terms_given_t *terms)
{
    static const char *const changing[] = { "cron",   "every", "at",     "dates",
                                            "after",  "also",  "except", "calendar",
                                            "jitter", "start", "end",    "zone" };
    const args_t *args = &cli->args;
    const char *after = args_text(args, "after"), *except = args_text(args, "except");
    moments_spec_t *spec = &terms->spec;
    *terms = (terms_given_t){ .spec = { .rule = rule, .zone = zone, .name = name } };
    for (size_t i = 0; i < ARRAY_LEN(changing); i++)
        terms->changed |= args_has(args, changing[i]);
    if (after && (!duration_read(after, &spec->after_us) || spec->after_us < 1000000))
        return fail(EXIT_USAGE, "bad value of --after",
                    say("\"%s\" is no duration of at least a second", after),
                    "--after 10m (units: s m h d)");
    if (old && !after && !rule) {
        spec->after_us = pawl_record_int(old, "after_us");
        spec->rule = say("%s", pawl_record_text(old, "rule"));
    }
    if (old) {
        spec->from_us = pawl_record_int(old, "from_us");
        spec->to_us = pawl_record_int(old, "to_us");
    }
    int code = 0;
    const char *start = args_text(args, "start"), *end = args_text(args, "end");
    if (start) spec->from_us = 0;
    if (start && *start) code = cli_instant(cli, "start", start, false, &spec->from_us);
    if (end) spec->to_us = 0;
    if (!code && end && *end) code = cli_instant(cli, "end", end, false, &spec->to_us);
    spec->max_firings =
        (uint64_t)args_number(args, "max-firings", old ? pawl_record_int(old, "max_firings") : 0);
    if (code || spec->after_us) return code;
    spec->exclusions = except ? except
                       : old  ? say("%s", pawl_record_text(old, "exclusions"))
                              : NULL;
    spec->also = terms->also;
    spec->calendars = terms->calendars;
    spec->calendar_texts = terms->texts;
    code =
        take_list(args, "also", old, "also", terms->also, RULESET_RULES_MAX - 1, &spec->also_count);
    if (!code)
        code = take_list(args, "calendar", old, "calendars", terms->calendars,
                         RULESET_CALENDARS_MAX, &spec->calendars_count);
    return code ? code : calendar_texts(cli, terms->calendars, spec->calendars_count, terms->texts);
}

/* Puts what was read over the schedule; what a fixed delay excludes goes with it. */
static pawl_err put_terms(pawl_schedule_t *schedule, const terms_given_t *terms,
                          const moments_t *moments)
{
    const moments_spec_t *spec = &terms->spec;
    const char *also[RULESET_RULES_MAX];
    for (size_t i = 0; i < spec->also_count; i++)
        also[i] = moments_also(moments, i);
    pawl_err err =
        pawl_schedule_set_text(schedule, "rule", spec->after_us ? "" : moments_rule(moments));
    if (!err) err = pawl_schedule_set_text(schedule, "zone", spec->zone);
    if (!err) err = pawl_schedule_set_int(schedule, "after_us", spec->after_us);
    if (!err) err = pawl_schedule_set_list(schedule, "also", also, spec->also_count);
    if (!err)
        err =
            pawl_schedule_set_list(schedule, "calendars", terms->calendars, spec->calendars_count);
    if (!err && spec->after_us) err = pawl_schedule_set_text(schedule, "exclusions", "");
    if (!err && spec->after_us) err = pawl_schedule_set_int(schedule, "jitter_us", 0);
    if (!err && spec->after_us) err = pawl_schedule_set_int(schedule, "window_us", 0);
    return err;
}

/* Sets the template from `object`, the task's JSON. */
static int set_template(pawl_schedule_t *schedule, const json_t *object, const char *zone,
                        const args_t *args)
{
    spec_error_t error;
    pawl_task_t *task = task_from_json(object, zone, &error);
    if (!task) return task_refused(args, "the schedule's task cannot be taken", &error);
    pawl_err err = pawl_schedule_set_task(schedule, task);
    pawl_task_destroy(&task);
    return err ? fail_client(NULL, err, "the schedule's task cannot be taken") : 0;
}

/* The flags of the task; `at` and `start` are the schedule's own. NULL: a printed error. */
static json_t *template_from_args(const args_t *args)
{
    json_t *object = task_json_from_args(args);
    if (object) {
        json_object_del(object, "at");
        json_object_del(object, "title");
    }
    return object;
}

static int put(cli_t *cli, const pawl_schedule_t *schedule, const char *name, int64_t revision,
               const char *cursor, const moments_t *moments)
{
    const char *word = revision == 0 ? "created" : "changed", *mode = NULL;
    bool people = !output_is_json() && strcmp(output_format(), "id") != 0;
    bool plan = people && moments && !cli->quiet;
    pawl_record_t *made = NULL;
    if (cli->dry_run) {
        int code = cli_connect(cli);
        if (code == EXIT_UNREACHABLE)
            cli_note(cli, "--dry-run has the broker judge; without one only this was read:");
        if (!code)
            code = plan_try(cli, schedule, name, revision == 0, moments, &mode);
        else
            mode = args_text(&cli->args, "mode");
        if (plan && (!code || code == EXIT_UNREACHABLE))
            plan_print(cli, code ? NULL : name, moments, mode, NULL); /* asked once is enough */
        return code ? code
                    : cli_done(cli, plan_json(cli, name, moments, mode, revision == 0),
                               "%s would be %s (nothing changed)", name, word);
    }
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err =
        pawl_schedule_put(cli->client, schedule, revision, cursor, &made, cli->timeout_us);
    if (err) return fail_client(cli->client, err, say("schedule %s was not %s", name, word));
    if (args_has(&cli->args, "pause"))
        err = pawl_schedule_change(cli->client, "pause", name, "created paused", NULL, NULL,
                                   cli->timeout_us);
    if (!err && args_has(&cli->args, "pause")) {
        pawl_record_destroy(&made);
        err = pawl_schedule_get(cli->client, name, &made, cli->timeout_us);
    }
    if (plan && made) plan_print(cli, name, moments, pawl_record_text(made, "mode"), made);
    if (err)
        code = fail_client(cli->client, err, say("schedule %s was %s, but not paused", name, word));
    else if (people)
        printf("%s  %s  revision %" PRId64 "%s\n", word, name, pawl_record_int(made, "revision"),
               args_has(&cli->args, "pause") ? "  paused" : "");
    else
        code = output_object(record_json(made, schedule_columns));
    pawl_record_destroy(&made);
    return code;
}

static bool explains(const args_t *args)
{
    return strcmp(args->command->name, "schedule explain") == 0;
}

/* A command that does nothing is enough where nothing runs. */
static json_t *template_or_nothing(const args_t *args)
{
    json_t *object = template_from_args(args);
    if (object && explains(args) && json_object_size(object) == 0)
        json_object_set_new(object, "argv", json_pack("[s]", "true"));
    return object;
}

int plan_new(cli_t *cli, const char *name, pawl_schedule_t **schedule, moments_t **moments)
{
    const args_t *args = &cli->args;
    const char *zone = args_text(args, "zone"), *rule;
    terms_given_t terms;
    *moments = NULL;
    if (!zone) zone = local_zone();
    int code = plan_rule(cli, zone, true, &rule);
    if (!code) code = take_terms(cli, name, NULL, zone, rule, &terms);
    if (!code) code = moments_open(moments, &terms.spec);
    if (!code && !explains(args)) code = task_command_given(args);
    json_t *object = code ? NULL : template_or_nothing(args);
    if (!code && !object) code = EXIT_USAGE;
    *schedule = pawl_schedule_new(name);
    if (!code && !*schedule)
        code = fail(EXIT_USAGE, "bad name of a schedule", say("\"%s\" cannot be one", name),
                    args->command->example);
    if (!code) code = set_template(*schedule, object, zone, args);
    if (!code) code = set_policies(cli, *schedule);
    pawl_err err = code ? PAWL_OK : put_terms(*schedule, &terms, *moments);
    if (err) code = fail_client(NULL, err, "the schedule cannot be taken");
    json_decref(object);
    return code;
}

int cmd_schedule_add(cli_t *cli)
{
    const char *name = cli->args.words[0];
    pawl_schedule_t *schedule = NULL;
    moments_t *moments = NULL;
    int code = plan_new(cli, name, &schedule, &moments);
    if (!code) code = put(cli, schedule, name, 0, NULL, moments);
    pawl_schedule_destroy(&schedule);
    moments_close(&moments);
    return code;
}

/* The template on record with the flags put over it. */
static int change_template(cli_t *cli, pawl_schedule_t *schedule, const pawl_record_t *record,
                           const char *zone)
{
    json_t *changes = template_from_args(&cli->args), *object = NULL;
    size_t len = 0;
    int code = changes ? 0 : EXIT_USAGE;
    if (changes && json_object_size(changes)) {
        const void *bytes = pawl_record_bytes(record, "schedule", &len);
        Pawl__V1__Schedule *old = len ? pawl__v1__schedule__unpack(NULL, len, bytes) : NULL;
        object = old ? task_json_from_message(old->task.data, old->task.len) : NULL;
        if (old) pawl__v1__schedule__free_unpacked(old, NULL);
        if (!object) object = json_object();
        task_json_merge(object, changes);
        code = set_template(schedule, object, zone, &cli->args);
    }
    json_decref(object);
    json_decref(changes);
    return code;
}

int plan_changed(cli_t *cli, const char *name, pawl_schedule_t **schedule, uint64_t *revision,
                 moments_t **moments)
{
    const args_t *args = &cli->args;
    const char *zone = args_text(args, "zone"), *rule = NULL;
    const char *what = say("cannot change schedule %s", name);
    pawl_record_t *record = NULL;
    *schedule = NULL;
    *moments = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_schedule_load(cli->client, name, schedule, revision, cli->timeout_us);
    if (!err) err = pawl_schedule_get(cli->client, name, &record, cli->timeout_us);
    if (err) code = fail_client(cli->client, err, what);
    int64_t wanted = args_number(args, "revision", 0);
    if (!code && wanted && wanted != (int64_t)*revision)
        code = fail(
            EXIT_CONFLICT, what,
            say("it has revision %" PRIu64 " by now, not %" PRId64, *revision, wanted),
            say("pawl schedule show %s, then the same with --revision %" PRIu64, name, *revision));
    const pawl_record_t *old = record ? pawl_record_sub(record, "schedule") : NULL;
    terms_given_t terms;
    if (!zone) zone = record ? say("%s", pawl_record_text(record, "zone")) : "UTC";
    if (!code) code = plan_rule(cli, zone, false, &rule);
    if (!code) code = take_terms(cli, name, old, zone, rule, &terms);
    if (!code && terms.changed) code = moments_open(moments, &terms.spec);
    if (!code) code = set_policies(cli, *schedule);
    if (!code && *moments) err = put_terms(*schedule, &terms, *moments);
    if (!code && err) code = fail_client(NULL, err, what);
    if (!code) code = change_template(cli, *schedule, record, zone);
    pawl_record_destroy(&record);
    return code;
}

int plan_cursor(cli_t *cli, const char **cursor)
{
    const char *text = args_text(&cli->args, "cursor");
    int64_t at_us;
    *cursor = text;
    if (!text || strcmp(text, "keep") == 0 || strcmp(text, "now") == 0) return 0;
    int code = cli_instant(cli, "cursor", text, true, &at_us);
    if (!code) *cursor = say("%" PRId64, at_us);
    return code;
}

int cmd_schedule_set(cli_t *cli)
{
    const char *name = cli->args.words[0], *cursor;
    pawl_schedule_t *schedule = NULL;
    moments_t *moments = NULL;
    uint64_t revision = 0;
    int code = plan_cursor(cli, &cursor);
    if (!code) code = plan_changed(cli, name, &schedule, &revision, &moments);
    if (!cursor) cursor = moments ? "" : "keep";
    if (!code) code = put(cli, schedule, name, (int64_t)revision, cursor, moments);
    pawl_schedule_destroy(&schedule);
    moments_close(&moments);
    return code;
}

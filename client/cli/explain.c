/* SPDX-License-Identifier: Apache-2.0
 * client/cli/explain.c - pawl schedule explain: what an outage does to a schedule. The broker plays
 * it with its own deciding code; here it is asked, and shown. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"
#include "client/cli/plan.h"

/* ---- what is asked --------------------------------------------------------------------------- */

static int bad_down(const char *why)
{
    return fail(EXIT_USAGE, "bad value of --down", why,
                "--down 2026-12-01T01:00..2026-12-01T06:30, or --down 2026-12-01T01:00..+5h, or "
                "--down 3h..now");
}

/* An instant, or behind `from_us` as +4h. */
static int moment(cli_t *cli, const char *flag, const char *text, int64_t from_us, int64_t *us)
{
    int64_t span;
    if (text[0] != '+') return cli_instant(cli, flag, text, true, us);
    if (!duration_read(text + 1, &span))
        return fail(EXIT_USAGE, say("bad value of --%s", flag),
                    say("\"%s\" is no duration", text + 1),
                    say("--%s +90m (units: ms s m h d)", flag));
    *us = from_us + span;
    return 0;
}

static int read_outage(cli_t *cli, pawl_outage_t *outage)
{
    const char *down = args_text(&cli->args, "down"), *until = args_text(&cli->args, "until");
    const char *dots = down ? strstr(down, "..") : NULL;
    if (!down)
        return fail(EXIT_USAGE, "which outage?", "without --down nothing is down",
                    cli->args.command->example);
    if (!dots || dots == down || !dots[2])
        return bad_down(say("\"%s\" has not two ends with .. between them", down));
    const char *from = say("%.*s", (int)(dots - down), down);
    int code = cli_instant(cli, "down", from, true, &outage->down_from_us);
    if (!code) code = moment(cli, "down", dots + 2, outage->down_from_us, &outage->down_to_us);
    if (!code && outage->down_to_us <= outage->down_from_us)
        code = bad_down(say("it ends at %s, before it begins", instant_text(outage->down_to_us)));
    if (!code && until) code = moment(cli, "until", until, outage->down_to_us, &outage->until_us);
    outage->takes_us = args_number(&cli->args, "takes", 0);
    return code;
}

/* Do the flags say anything of the schedule itself? */
static bool defines(const args_t *args)
{
    if (args->rest_count) return true;
    for (size_t i = 0; i < args->given_count; i++)
        for (size_t group = 1; group < FLAG_GROUPS; group++) /* the first are those of explain */
            for (const flag_t *flag = args->command->flags[group]; flag && flag->name; flag++)
                if (args->given[i].flag == flag) return true;
    return false;
}

/* The schedule that the flags describe: over one on record, if there is one of this name. */
static int define(cli_t *cli, const char *name, pawl_schedule_t **schedule, moments_t **moments)
{
    pawl_record_t *record = NULL;
    uint64_t revision;
    pawl_err err =
        name ? pawl_schedule_get(cli->client, name, &record, cli->timeout_us) : PAWL_E_NOT_FOUND;
    pawl_record_destroy(&record);
    if (err == PAWL_OK) return plan_changed(cli, name, schedule, &revision, moments);
    if (err == PAWL_E_NOT_FOUND) return plan_new(cli, name ? name : "new", schedule, moments);
    return fail_client(cli->client, err, "cannot explain the schedule");
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const column_t columns[] = {
    { "instant", "from_us", AS_INSTANT, IN_TABLE },
    { "to", "", AS_GIVEN, IN_TABLE },
    { "count", "count", AS_INT, IN_TABLE },
    { "verdict", "verdict", AS_WORD, IN_TABLE },
    { "reason", "reason", AS_TEXT, IN_JSON },
    { "why", "", AS_GIVEN, IN_TABLE },
    { "started", "started_us", AS_INSTANT, IN_TABLE },
    { "ended", "ended_us", AS_INSTANT, IN_WIDE },
    { "decided", "decided_us", AS_INSTANT, IN_WIDE },
    { "planned", "planned_us", AS_INSTANT, IN_JSON },
    { "range", "range", AS_INT, IN_WIDE },
    { "status", "", AS_GIVEN, IN_JSON },
    { "other", "other_us", AS_INSTANT, IN_JSON },
    { "folded_first", "folded_first_us", AS_INSTANT, IN_JSON },
    { "folded_count", "folded_count", AS_INT, IN_JSON },
    { 0 },
};

/* The reason as a sentence would say it. */
static const char *why_text(const pawl_record_t *item)
{
    const char *reason = pawl_record_text(item, "reason");
    const char *status = pawl_record_text(item, "status");
    int64_t other = pawl_record_int(item, "other_us");
    int64_t folded = pawl_record_int(item, "folded_count");
    const char *why = reason;
    if (strcmp(reason, "overlap") == 0 && other)
        why = say("overlap: the run of %s went on", instant_text(other));
    else if (other)
        why = say("%s stands for them", instant_text(other));
    else if (folded > 1)
        why = say("stands for %" PRId64, folded);
    if (strcmp(status, "waiting") == 0 || strcmp(status, "delayed") == 0)
        return say("%s; waits for its turn", why);
    if (strcmp(status, "superseded") == 0) return say("%s; the next one took its place", why);
    if (strcmp(status, "expired") == 0) return say("%s; too late to start, dropped", why);
    if (strcmp(status, "cancelled") == 0) return say("%s; stopped for the next one", why);
    return why;
}

static json_t *row_of(const pawl_record_t *item)
{
    json_t *row = record_json(item, columns);
    int64_t from = pawl_record_int(item, "from_us"), to = pawl_record_int(item, "to_us");
    const char *status = pawl_record_text(item, "status");
    json_object_set_new(row, "to", to > from ? json_string(instant_text(to)) : json_null());
    json_object_set_new(row, "why", json_string(why_text(item)));
    json_object_set_new(row, "status",
                        *status && strcmp(status, "unspecified") != 0 ? json_string(status)
                                                                      : json_null());
    return row;
}

/* ---- sums ------------------------------------------------------------------------------------ */

enum { SUMS = 12 };
typedef struct sum {
    const char *verdict, *reason;
    uint64_t count;
} sum_t;

/* Instants by verdict and reason, from <= instant < to. Returns how many sums. */
static size_t add_up(const pawl_record_t *rehearsal, int64_t from, int64_t to, sum_t sums[SUMS])
{
    size_t n = 0;
    for (size_t i = 0; i < pawl_record_count(rehearsal, "items"); i++) {
        const pawl_record_t *item = pawl_record_sub_at(rehearsal, "items", i);
        const char *verdict = pawl_record_text(item, "verdict");
        const char *reason = pawl_record_text(item, "reason");
        int64_t at = pawl_record_int(item, "from_us");
        if (at < from || at >= to) continue;
        size_t k = 0;
        while (k < n &&
               (strcmp(sums[k].verdict, verdict) != 0 || strcmp(sums[k].reason, reason) != 0))
            k++;
        if (k == SUMS) continue; /* there are not so many */
        if (k == n) sums[n++] = (sum_t){ verdict, reason, 0 };
        sums[k].count += (uint64_t)pawl_record_int(item, "count");
    }
    return n;
}

static const char *sums_text(const sum_t *sums, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = say("%s%s%" PRIu64 " %s (%s)", text, i ? ", " : "", sums[i].count, sums[i].verdict,
                   sums[i].reason);
    return *text ? text : "none";
}

static json_t *sums_json(const sum_t *sums, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I}", "verdict", sums[i].verdict, "reason",
                                        sums[i].reason, "count", (json_int_t)sums[i].count));
    return list;
}

/* ---- shown ----------------------------------------------------------------------------------- */

static const char *rule_of(const pawl_record_t *schedule)
{
    const char *rule = pawl_record_text(schedule, "rule");
    if (pawl_record_int(schedule, "after_us"))
        rule = say("(after %s)", duration_text(pawl_record_int(schedule, "after_us")));
    for (size_t i = 0; i < pawl_record_count(schedule, "also"); i++)
        rule = say("%s | %s", rule, pawl_record_text_at(schedule, "also", i));
    return rule;
}

/* "every day at 02:00"; "" where this machine does not know the zone. */
static const char *words_of(const pawl_record_t *schedule)
{
    const char *also[RULESET_RULES_MAX], *calendars[RULESET_CALENDARS_MAX];
    moments_spec_t spec = { .rule = pawl_record_text(schedule, "rule"),
                            .zone = pawl_record_text(schedule, "zone"),
                            .exclusions = pawl_record_text(schedule, "exclusions"),
                            .name = pawl_record_text(schedule, "name"),
                            .also = also,
                            .calendars = calendars,
                            .after_us = pawl_record_int(schedule, "after_us") };
    size_t n_also = pawl_record_count(schedule, "also");
    size_t n_calendars = pawl_record_count(schedule, "calendars");
    for (; spec.also_count < n_also && spec.also_count < ARRAY_LEN(also); spec.also_count++)
        also[spec.also_count] = pawl_record_text_at(schedule, "also", spec.also_count);
    for (; spec.calendars_count < n_calendars && spec.calendars_count < ARRAY_LEN(calendars);
         spec.calendars_count++)
        calendars[spec.calendars_count] =
            pawl_record_text_at(schedule, "calendars", spec.calendars_count);
    moments_t *moments = NULL;
    const char *words = "";
    if (zone_exists(spec.zone) && moments_open(&moments, &spec) == 0)
        words = say("   %s", moments_words(moments, "en"));
    moments_close(&moments);
    return words;
}

static void print_head(cli_t *cli, const pawl_record_t *rehearsal, const pawl_outage_t *outage)
{
    const pawl_record_t *schedule = pawl_record_sub(rehearsal, "schedule");
    const char *mode = pawl_record_text(schedule, "mode");
    const char *name = cli->args.word_count ? cli->args.words[0] : NULL;
    bool delay = pawl_record_int(schedule, "after_us") != 0;
    int64_t takes = outage->takes_us ? outage->takes_us : 1000000;
    int64_t down = pawl_record_int(rehearsal, "down");
    printf("%s   %s%s   zone %s\n", pawl_record_text(schedule, "name"), rule_of(schedule),
           words_of(schedule), pawl_record_text(schedule, "zone"));
    printf("if late   %s\n", plan_if_late(cli, name, mode, delay));
    printf("overlap   %s; each run takes %s\n", pawl_record_text(schedule, "overlap"),
           duration_text(takes));
    printf("down      %s .. %s   %s%s\n", instant_text(outage->down_from_us),
           instant_text(outage->down_to_us),
           duration_text((outage->down_to_us - outage->down_from_us) / 1000 * 1000),
           delay ? "" : say(", %" PRId64 " instant%s", down, down == 1 ? "" : "s"));
    for (size_t i = 0; i < pawl_record_count(rehearsal, "notes"); i++)
        printf("note      %s\n", pawl_record_text_at(rehearsal, "notes", i));
    putchar('\n');
}

static void print_end(const pawl_record_t *rehearsal, const pawl_outage_t *outage)
{
    const pawl_record_t *schedule = pawl_record_sub(rehearsal, "schedule");
    int64_t caught = pawl_record_int(rehearsal, "caught_up_us");
    int64_t behind = pawl_record_int(schedule, "behind");
    int64_t waiting = pawl_record_int(schedule, "waiting");
    const char *cut = pawl_record_text(rehearsal, "cut"), *next = "";
    sum_t sums[SUMS];
    printf("\noutage    %s\n", sums_text(sums, add_up(rehearsal, 0, outage->down_to_us, sums)));
    printf("after it  %s\n",
           sums_text(sums, add_up(rehearsal, outage->down_to_us, INT64_MAX, sums)));
    if (caught)
        printf("caught up %s, %s\n", instant_text(caught),
               caught == outage->down_to_us
                   ? "as soon as schedulers are back"
                   : say("%s after schedulers are back",
                         duration_text((caught - outage->down_to_us) / 1000 * 1000)));
    else
        printf("caught up not by %s\n", instant_text(pawl_record_int(rehearsal, "end_us")));
    if (behind) printf("open      %" PRId64 " instants have no verdict by then\n", behind);
    if (waiting) printf("waiting   %" PRId64 " runs by then\n", waiting);
    for (size_t i = 0; i < pawl_record_count(rehearsal, "next_us"); i++)
        next = say("%s%s%s", next, i ? "   " : "",
                   instant_text(pawl_record_int_at(rehearsal, "next_us", i)));
    if (*next) printf("next      %s\n", next);
    if (*cut) printf("cut       %s\n", cut);
}

static int print_rows(const pawl_record_t *rehearsal, uint64_t limit)
{
    output_t *output = output_new(columns, limit);
    size_t n = pawl_record_count(rehearsal, "items");
    for (size_t i = 0; i < n; i++)
        if (!output_row(output, row_of(pawl_record_sub_at(rehearsal, "items", i)))) break;
    return output_end(&output);
}

static json_t *moment_json(int64_t us)
{
    return us ? json_string(instant_text(us)) : json_null();
}

static int print_json(const pawl_record_t *rehearsal, const pawl_outage_t *outage)
{
    const pawl_record_t *schedule = pawl_record_sub(rehearsal, "schedule");
    json_t *items = json_array(), *next = json_array(), *notes = json_array();
    const char *cut = pawl_record_text(rehearsal, "cut");
    sum_t missed[SUMS], after[SUMS];
    size_t missed_n = add_up(rehearsal, 0, outage->down_to_us, missed);
    size_t after_n = add_up(rehearsal, outage->down_to_us, INT64_MAX, after);
    for (size_t i = 0; i < pawl_record_count(rehearsal, "items"); i++)
        json_array_append_new(items, row_of(pawl_record_sub_at(rehearsal, "items", i)));
    for (size_t i = 0; i < pawl_record_count(rehearsal, "next_us"); i++)
        json_array_append_new(next, moment_json(pawl_record_int_at(rehearsal, "next_us", i)));
    for (size_t i = 0; i < pawl_record_count(rehearsal, "notes"); i++)
        json_array_append_new(notes, json_string(pawl_record_text_at(rehearsal, "notes", i)));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:o, "
        "s:o, s:o}",
        "name", pawl_record_text(schedule, "name"), "rule", rule_of(schedule), "zone",
        pawl_record_text(schedule, "zone"), "mode", pawl_record_text(schedule, "mode"), "overlap",
        pawl_record_text(schedule, "overlap"), "down_from", moment_json(outage->down_from_us),
        "down_to", moment_json(outage->down_to_us), "down_instants",
        (json_int_t)pawl_record_int(rehearsal, "down"), "outage", sums_json(missed, missed_n),
        "after", sums_json(after, after_n), "caught_up",
        moment_json(pawl_record_int(rehearsal, "caught_up_us")), "end",
        moment_json(pawl_record_int(rehearsal, "end_us")), "state",
        pawl_record_text(schedule, "state"), "behind",
        (json_int_t)pawl_record_int(schedule, "behind"), "running",
        (json_int_t)pawl_record_int(schedule, "running"), "waiting",
        (json_int_t)pawl_record_int(schedule, "waiting"), "next", next, "notes", notes, "items",
        items);
    json_object_set_new(object, "cut", *cut ? json_string(cut) : json_null());
    return output_object(object);
}

static int show(cli_t *cli, const pawl_record_t *rehearsal, const pawl_outage_t *outage)
{
    const char *format = output_format();
    bool people = strcmp(format, "table") == 0 || strcmp(format, "wide") == 0;
    uint64_t limit = (uint64_t)args_number(&cli->args, "limit", 0);
    if (strcmp(format, "json") == 0 || strcmp(format, "yaml") == 0)
        return print_json(rehearsal, outage);
    if (people && !cli->quiet) print_head(cli, rehearsal, outage);
    int code = print_rows(rehearsal, limit);
    if (!code && people && !cli->quiet) print_end(rehearsal, outage);
    return code;
}

int cmd_schedule_explain(cli_t *cli)
{
    const char *name = cli->args.word_count ? cli->args.words[0] : NULL;
    pawl_outage_t outage = { 0 };
    pawl_schedule_t *schedule = NULL;
    pawl_record_t *rehearsal = NULL;
    moments_t *moments = NULL;
    const char *zone = args_text(&cli->args, "zone");
    bool defined = defines(&cli->args);
    /* as --down is read, unless another zone is asked for */
    if (zone && zone_exists(zone) && !args_has(&cli->args, "tz") && !getenv("PAWL_TZ"))
        zone_show(zone);
    if (!name && !defined)
        return fail(EXIT_USAGE, "which schedule?",
                    "neither a name is given, nor flags that describe one",
                    cli->args.command->example);
    int code = read_outage(cli, &outage);
    if (!code) code = cli_connect(cli);
    if (!code && defined) code = define(cli, name, &schedule, &moments);
    pawl_err err = PAWL_OK;
    if (!code)
        err = pawl_schedule_rehearse(cli->client, name, schedule, &outage, &rehearsal,
                                     cli->timeout_us);
    if (err) code = fail_client(cli->client, err, say("cannot explain %s", name ? name : "it"));
    if (!code) code = show(cli, rehearsal, &outage);
    pawl_record_destroy(&rehearsal);
    pawl_schedule_destroy(&schedule);
    moments_close(&moments);
    return code;
}

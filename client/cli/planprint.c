/* SPDX-License-Identifier: Apache-2.0
 * client/cli/planprint.c - a schedule before or after it is put, as a person reads it. See plan.h.
 */
#include <stdio.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/cli/instant.h"
#include "client/cli/plan.h"
#include "client/time/rule.h"

enum { SHOWN = 3 };

typedef struct backlog {
    bool apart;  /* beside what is new, not before it */
    bool newest; /* first */
} backlog_t;

/* Lists do not tell these two: the definition is asked for, and only where flags leave it open. */
static backlog_t backlog_of(cli_t *cli, const char *name)
{
    const char *order = args_text(&cli->args, "order"), *live = args_text(&cli->args, "live-first");
    backlog_t backlog = { live && strcmp(live, "yes") == 0, order && strcmp(order, "newest") == 0 };
    pawl_record_t *record = NULL;
    if (name && cli->client && !(order && live))
        (void)!pawl_schedule_get(cli->client, name, &record, cli->timeout_us);
    const pawl_record_t *old = record ? pawl_record_sub(record, "schedule") : NULL;
    if (old && !live) backlog.apart = pawl_record_int(old, "live_first");
    if (old && !order) backlog.newest = strcmp(pawl_record_text(old, "order"), "newest") == 0;
    pawl_record_destroy(&record);
    return backlog;
}

const char *plan_if_late(cli_t *cli, const char *name, const char *mode, bool delay)
{
    if (delay) return "nothing is ever missed: its run starts when it is seen (a fixed delay)";
    if (mode && strcmp(mode, "latest") == 0)
        return "one run stands for all that were missed (latest)";
    if (!mode || strcmp(mode, "strict") != 0)
        return "missed ones are skipped and on record (normal)";
    backlog_t backlog = backlog_of(cli, name);
    return say("every missed one is made, %s first%s (strict)",
               backlog.newest ? "newest" : "oldest", backlog.apart ? ", beside what is new" : "");
}

/* Of a schedule on record its own share of the jitter is known: it follows from its uid. */
static void print_jitter(const args_t *args, const pawl_record_t *made)
{
    int64_t own = made ? pawl_record_int(made, "jitter_us") : 0;
    int64_t most = args_number(args, "jitter", 0);
    if (own >= 1000)
        printf("jitter   %s after each instant\n", duration_text(own / 1000 * 1000));
    else if (most && !made)
        printf("jitter   up to %s after each instant\n", duration_text(most));
}

void plan_print(cli_t *cli, const char *name, const moments_t *moments, const char *mode,
                const pawl_record_t *made)
{
    const args_t *args = &cli->args;
    int64_t now = clock_wall_us() / 1000000, at = now;
    const char *calendar = "";
    printf("rule     %s    %s    zone %s\n", moments_rules(moments), moments_words(moments, "en"),
           moments_zone(moments));
    int64_t closed = moments_closed_next(moments, at, &calendar);
    if (closed != RULE_NONE)
        printf("closed   %s   by %s\n", moments_show(moments, closed), calendar);
    for (int i = 0; i < SHOWN && (at = moments_next(moments, at)) != RULE_NONE; i++)
        printf("%-8s %s   %s\n", i ? "" : "next", moments_show(moments, at),
               moments_from_now(at, now));
    print_jitter(args, made);
    printf("if late  %s\n", plan_if_late(cli, name, mode, moments_delays(moments)));
    if (args_number(args, "window", 0) && (!mode || strcmp(mode, "normal") == 0))
        printf("warning  --window does nothing in mode normal, which runs no missed instants\n");
    json_t *warnings = moments_warnings(moments, now), *warning;
    size_t i;
    json_array_foreach(warnings, i, warning) printf("warning  %s\n", json_string_value(warning));
    json_decref(warnings);
}

json_t *plan_json(const cli_t *cli, const char *name, const moments_t *moments, const char *mode,
                  bool is_new)
{
    json_t *object = cli_deed(cli, name, is_new ? "add" : "set");
    json_object_set_new(object, "mode", mode ? json_string(mode) : json_null());
    if (!moments) return object;
    int64_t at = clock_wall_us() / 1000000;
    json_t *next = json_array();
    for (int i = 0; i < SHOWN && (at = moments_next(moments, at)) != RULE_NONE; i++)
        json_array_append_new(next,
                              json_string(instant_text_in(moments_zone(moments), at * 1000000)));
    json_object_set_new(object, "rule", json_string(moments_rules(moments)));
    json_object_set_new(object, "words", json_string(moments_words(moments, "en")));
    json_object_set_new(object, "zone", json_string(moments_zone(moments)));
    json_object_set_new(object, "next", next);
    return object;
}

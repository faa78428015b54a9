/* SPDX-License-Identifier: Apache-2.0
 * client/cli/plantry.c - what --dry-run of schedule add and set refuses. See plan.h. */
#include <inttypes.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/cli/output.h"
#include "client/cli/plan.h"
#include "client/time/rule.h"

/* What the broker's own code says of it: a rehearsal of one second, which changes nothing. */
static int rehearse(cli_t *cli, const pawl_schedule_t *schedule, const char *what,
                    const char **mode)
{
    int64_t now = clock_wall_us();
    pawl_outage_t outage = { .down_from_us = now,
                             .down_to_us = now + 1000000,
                             .until_us = now + 1000000 };
    pawl_record_t *rehearsal = NULL;
    pawl_err err =
        pawl_schedule_rehearse(cli->client, NULL, schedule, &outage, &rehearsal, cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    *mode = say("%s", pawl_record_text(pawl_record_sub(rehearsal, "schedule"), "mode"));
    pawl_record_destroy(&rehearsal);
    return 0;
}

/* Nothing but @at and @dates. */
static bool is_dated(const moments_t *moments)
{
    const char *rule = moments_rule(moments);
    for (size_t i = 0; rule; rule = moments_also(moments, i++))
        if (strncmp(rule, "@at ", 4) != 0 && strncmp(rule, "@dates ", 7) != 0) return false;
    return true;
}

/* Would it ever run? As the broker judges a rule that is put: of listed dates a new schedule may be
 * late by its grace, and strict runs all of them. */
static int refuse_past(cli_t *cli, const moments_t *moments, const char *mode, bool is_new,
                       const char *what)
{
    static const char *const rules[] = { "cron", "every", "at", "dates" };
    const int64_t grace_of_dates_us = INT64_C(300000000);
    bool has_rule = false, late = is_new && is_dated(moments);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        has_rule |= args_has(&cli->args, rules[i]);
    if (!has_rule || (late && strcmp(mode, "strict") == 0)) return 0;
    int64_t since = clock_wall_us();
    if (late) since -= args_number(&cli->args, "grace", grace_of_dates_us);
    if (moments_next(moments, since / 1000000) != RULE_NONE) return 0;
    return fail(EXIT_USAGE, what, "the rule has no instant after now: nothing would ever run",
                late ? "an instant to come, or --mode strict, which runs past dates too"
                     : "an instant to come");
}

int plan_try(cli_t *cli, const pawl_schedule_t *schedule, const char *name, bool is_new,
             const moments_t *moments, const char **mode)
{
    const char *what = say("schedule %s would not be %s", name, is_new ? "created" : "changed");
    pawl_record_t *there = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err =
        is_new ? pawl_schedule_get(cli->client, name, &there, cli->timeout_us) : PAWL_E_NOT_FOUND;
    int64_t revision = there ? pawl_record_int(there, "revision") : 0;
    pawl_record_destroy(&there);
    if (!err)
        return fail(EXIT_CONFLICT, what,
                    say("a schedule \"%s\" exists (revision %" PRId64 ")", name, revision),
                    say("pawl schedule set %s, or another name", name));
    if (err != PAWL_E_NOT_FOUND) return fail_client(cli->client, err, what);
    code = rehearse(cli, schedule, what, mode);
    if (!code && moments) code = refuse_past(cli, moments, *mode, is_new, what);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/ranges.c - pawl schedule backfill, range, audit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/handlers.h"
#include "client/cli/output.h"

int cmd_schedule_backfill(cli_t *cli)
{
    const char *name = cli->args.words[0], *failure = args_text(&cli->args, "on-failure");
    pawl_backfill_t backfill = { .order = args_text(&cli->args, "order"),
                                 .overlap = args_text(&cli->args, "overlap"),
                                 .rate = (uint32_t)args_number(&cli->args, "rate", 0),
                                 .stop = failure && strcmp(failure, "stop") == 0 };
    uint32_t range;
    if (!args_has(&cli->args, "from") || !args_has(&cli->args, "to"))
        return fail(EXIT_USAGE, "a backfill needs both ends",
                    "without --from and --to nobody knows which instants are meant",
                    say("pawl schedule backfill %s --from 2026-01-01 --to 2026-02-01", name));
    int code = cli_span(cli, &backfill.from_us, &backfill.to_us);
    if (!code) code = cli_connect(cli);
    if (code) return code;
    pawl_record_t *there = NULL;
    pawl_err err = cli->dry_run ? pawl_schedule_get(cli->client, name, &there, cli->timeout_us)
                                : pawl_schedule_backfill(cli->client, name, &backfill, &range,
                                                         cli->timeout_us);
    pawl_record_destroy(&there);
    if (err) return fail_client(cli->client, err, say("cannot backfill schedule %s", name));
    if (cli->dry_run)
        return cli_done(cli, cli_deed(cli, name, "backfill"),
                        "%s would be backfilled from %s to %s (nothing changed)", name,
                        instant_text(backfill.from_us), instant_text(backfill.to_us));
    if (output_is_json())
        return output_object(json_pack("{s:s, s:i}", "schedule", name, "range", (int)range));
    printf("%u\n", range);
    cli_note(cli, "range %u of %s: pawl schedule range list %s", range, name, name);
    return 0;
}

static int list_ranges(cli_t *cli, const char *name)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *range;
    pawl_err err =
        pawl_range_list(cli->client, name, args_has(&cli->args, "all"), &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, say("cannot list the ranges of %s", name));
    output_t *output = output_new(range_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((range = pawl_list_next(list, &err)) && output_record(output, range)) {
    }
    pawl_list_destroy(&list);
    int code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all ranges") : code;
}

static pawl_err find_range(cli_t *cli, const char *name, int64_t number)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *range = NULL;
    pawl_err err = pawl_range_list(cli->client, name, true, &list, cli->timeout_us);
    while (!err && (range = pawl_list_next(list, &err)) &&
           pawl_record_int(range, "number") != number) {
    }
    pawl_list_destroy(&list);
    return err || range ? err : PAWL_E_NOT_FOUND;
}

int cmd_schedule_range(cli_t *cli)
{
    const char *verb = cli->args.words[0], *name = cli->args.words[1];
    bool lists = strcmp(verb, "list") == 0;
    if (!lists && strcmp(verb, "pause") != 0 && strcmp(verb, "resume") != 0 &&
        strcmp(verb, "cancel") != 0)
        return fail(EXIT_USAGE, say("unknown word \"%s\"", verb),
                    "ranges are listed, paused, resumed or cancelled",
                    say("pawl schedule range list %s", name));
    if (lists != (cli->args.word_count == 2))
        return fail(EXIT_USAGE, lists ? "too many words" : "which range?",
                    lists ? "list takes the schedule's name alone"
                          : "a range is named by its number",
                    say("pawl schedule range list %s", name));
    int64_t number = 0;
    if (!lists) {
        char *end;
        number = strtoll(cli->args.words[2], &end, 10);
        if (*end || number < 1 || number > UINT16_MAX)
            return fail(EXIT_USAGE, say("\"%s\" is no range", cli->args.words[2]),
                        "ranges have numbers from 1 on", say("pawl schedule range list %s", name));
    }
    int code = cli_connect(cli);
    if (code) return code;
    if (lists) return list_ranges(cli, name);
    pawl_err err = cli->dry_run ? find_range(cli, name, number)
                                : pawl_range_change(cli->client, verb, name, (uint32_t)number,
                                                    cli->timeout_us);
    if (err)
        return fail_client(cli->client, err,
                           say("cannot %s range %d of %s", verb, (int)number, name));
    json_t *deed = cli_deed(cli, name, verb);
    json_object_set_new(deed, "range", json_integer(number));
    if (cli->dry_run)
        return cli_done(cli, deed, "would %s range %d of %s (nothing changed)", verb, (int)number,
                        name);
    return cli_done(cli, deed, "%s range %d of %s",
                    strcmp(verb, "pause") == 0    ? "paused"
                    : strcmp(verb, "resume") == 0 ? "resumed"
                                                  : "cancelled",
                    (int)number, name);
}

/* One page of spans; its problems to stderr. */
static void audit_page(const pawl_record_t *page, output_t *output, uint64_t sums[3])
{
    size_t n = pawl_record_count(page, "items"), wrong = pawl_record_count(page, "problems");
    for (size_t i = 0; i < n; i++)
        output_record(output, pawl_record_sub_at(page, "items", i));
    for (size_t i = 0; i < wrong; i++)
        fprintf(stderr, "wrong  %s\n", pawl_record_text_at(page, "problems", i));
    sums[0] += (uint64_t)pawl_record_int(page, "instants");
    sums[1] += (uint64_t)pawl_record_int(page, "tasks");
    sums[2] += wrong;
}

int cmd_schedule_audit(cli_t *cli)
{
    const char *name = cli->args.words[0];
    int64_t from_us, to_us;
    uint64_t sums[3] = { 0 }; /* instants, tasks, problems */
    int code = cli_span(cli, &from_us, &to_us);
    if (!code) code = cli_connect(cli);
    if (code) return code;
    output_t *output = output_new(audit_columns, UINT64_MAX);
    pawl_err err = PAWL_OK;
    for (int64_t after = 0;;) {
        pawl_record_t *page = NULL;
        err = pawl_schedule_audit(cli->client, name, from_us, to_us, (uint32_t)after, &page,
                                  cli->timeout_us);
        if (err) break;
        audit_page(page, output, sums);
        after = pawl_record_int(page, "next");
        pawl_record_destroy(&page);
        if (after == 0) break;
    }
    code = output_end(&output);
    if (err) return fail_client(cli->client, err, say("cannot audit schedule %s", name));
    if (code) return code;
    cli_note(cli, "%" PRIu64 " instants, %" PRIu64 " tasks on record: %s", sums[0], sums[1],
             sums[2] ? say("%" PRIu64 " problems", sums[2]) : "no hole, no double");
    return sums[2] ? EXIT_FAILED : 0;
}

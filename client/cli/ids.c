/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/ids.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/handlers.h"

void ids_add(ids_t *self, const uint8_t id[PAWL_ID_BYTES])
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 64;
        self->at = mem_grow(self->at, self->room * PAWL_ID_BYTES);
    }
    memcpy(self->at + self->count++ * PAWL_ID_BYTES, id, PAWL_ID_BYTES);
}

void ids_free(ids_t *self)
{
    free(self->at);
    *self = (ids_t){ 0 };
}

int id_read(cli_t *cli, const char *text, const char *what, uint8_t id[PAWL_ID_BYTES])
{
    if (pawl_id_parse(text, id)) return 0;
    pawl_record_t *task = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_task_find(cli->client, text, &task, cli->timeout_us);
    if (err) return fail_client(cli->client, err, say("%s (id %s)", what, text));
    size_t len = 0;
    const void *bytes = pawl_record_bytes(task, "id", &len);
    CHECK(len == PAWL_ID_BYTES);
    memcpy(id, bytes, PAWL_ID_BYTES);
    pawl_record_destroy(&task);
    return 0;
}

static int add_text(cli_t *cli, const char *text, const char *what, ids_t *to)
{
    uint8_t id[PAWL_ID_BYTES];
    int code = id_read(cli, text, what, id);
    if (!code) ids_add(to, id);
    if (code != EXIT_NOT_FOUND && code != EXIT_USAGE) return code; /* not the word's fault */
    to->unknown++;
    to->unknown_code = code;
    return to->go_on ? 0 : code;
}

static int add_stdin(cli_t *cli, const char *what, ids_t *to)
{
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    while (!code && getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (*line) code = add_text(cli, text_keep(mem_text(line)), what, to);
    }
    free(line);
    return code;
}

static const char *what_is_one(const char *flag)
{
    if (strcmp(flag, "label") == 0) return "--label KEY=VALUE, e.g. --label team=ops";
    if (strcmp(flag, "status") == 0)
        return "one of held delayed blocked waiting running external finished failed cancelled "
               "superseded expired";
    return "pawl help task list";
}

/* Flags that are called as the filter's field, and those that are instants. */
static const char *const same_filters[] = { "status",   "type", "queue", "schedule",
                                            "executor", "key",  "text",  "label" };
static const char *const instant_filters[][2] = { { "since", "since_us" },
                                                  { "until", "until_us" } };

pawl_filter_t *filter_read(cli_t *cli, int *code)
{
    pawl_filter_t *filter = pawl_filter_new();
    const given_t *given;
    *code = 0;
    for (size_t i = 0; !*code && i < ARRAY_LEN(same_filters); i++)
        for (size_t n = 0; !*code && (given = args_given(&cli->args, same_filters[i], n)); n++) {
            char *words = text_keep(mem_text(given->value)), *word;
            while (!*code &&
                   (word = strcmp(same_filters[i], "status") == 0 ? strsep(&words, ",") : words)) {
                if (pawl_filter_add(filter, same_filters[i], word))
                    *code = fail(EXIT_USAGE, say("bad value of --%s", same_filters[i]),
                                 say("\"%s\" is not one", word), what_is_one(same_filters[i]));
                if (word == words) break;
            }
        }
    for (size_t i = 0; !*code && i < ARRAY_LEN(instant_filters); i++) {
        const char *text = args_text(&cli->args, instant_filters[i][0]);
        int64_t us;
        if (!text) continue;
        *code = cli_instant(cli, instant_filters[i][0], text, true, &us);
        if (!*code) pawl_filter_add(filter, instant_filters[i][1], say("%" PRId64, us));
    }
    if (*code) pawl_filter_destroy(&filter);
    return filter;
}

/* Without --status all that the verb can change is meant: the rest would only be refused. */
static void add_statuses(pawl_filter_t *filter, const char *verb)
{
    static const char *const takes[][2] = {
        { "cancel", "held delayed blocked waiting running external" },
        { "retry", "failed cancelled superseded expired" },
        { "start", "held" },
        { "hold", "waiting delayed" },
    };
    for (size_t i = 0; i < ARRAY_LEN(takes); i++) {
        char *words = text_keep(mem_text(takes[i][1])), *word;
        while (strcmp(takes[i][0], verb) == 0 && (word = strsep(&words, " ")))
            pawl_filter_add(filter, "status", word);
    }
}

/* One that was given; NULL: none. */
static const char *any_filter(const args_t *args)
{
    for (size_t i = 0; i < ARRAY_LEN(same_filters); i++)
        if (args_has(args, same_filters[i])) return same_filters[i];
    for (size_t i = 0; i < ARRAY_LEN(instant_filters); i++)
        if (args_has(args, instant_filters[i][0])) return instant_filters[i][0];
    return NULL;
}

static int add_matching(cli_t *cli, const char *what, ids_t *to)
{
    int code;
    if (!any_filter(&cli->args) && !cli->dry_run && !args_has(&cli->args, "yes"))
        return fail(EXIT_USAGE, what, "no filter was given: every task of everybody would be meant",
                    say("%s --all-matching --queue NAME --since 1h, or --yes if all are meant",
                        say("pawl %s", cli->args.command->name)));
    pawl_filter_t *filter = filter_read(cli, &code);
    if (!filter) return code;
    if (!args_has(&cli->args, "status")) add_statuses(filter, verb_of(cli));
    pawl_list_t *list = NULL;
    const pawl_record_t *task;
    pawl_err err = pawl_task_list(cli->client, filter, &list, cli->timeout_us);
    while (!err && (task = pawl_list_next(list, &err))) {
        size_t len;
        ids_add(to, pawl_record_bytes(task, "id", &len));
    }
    pawl_list_destroy(&list);
    pawl_filter_destroy(&filter);
    return err ? fail_client(cli->client, err, what) : 0;
}

int ids_read(cli_t *cli, const char *what, ids_t *to)
{
    const args_t *args = &cli->args;
    bool all = args_has(args, "all-matching");
    if (all == (args->word_count > 0))
        return fail(EXIT_USAGE, what,
                    all ? "--all-matching and ids exclude each other" : "no task was named",
                    say("%s, ids from standard input: -, or filters with --all-matching",
                        args->command->example));
    if (all) return add_matching(cli, what, to);
    const char *filter = any_filter(args);
    if (filter)
        return fail(
            EXIT_USAGE, what, say("--%s and ids exclude each other", filter),
            say("pawl %s with ids alone, or with --all-matching and filters", args->command->name));
    int code = 0;
    for (size_t i = 0; !code && i < args->word_count; i++)
        code = strcmp(args->words[i], "-") == 0 ? add_stdin(cli, what, to)
                                                : add_text(cli, args->words[i], what, to);
    return code || to->count || to->unknown != 1 ? code : to->unknown_code;
}

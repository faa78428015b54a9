/* SPDX-License-Identifier: Apache-2.0
 * client/cli/export.c - pawl export: schedules as YAML or JSON that `pawl schedule apply` reads, or
 * as a crontab. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/calendars.h"
#include "client/cli/formats/crontabwrite.h"
#include "client/cli/handlers.h"
#include "client/cli/schedulespec.h"
#include "client/cli/yamlfile.h"

typedef struct exporting {
    cli_t *cli;
    json_t **specs;
    size_t count;
} exporting_t;

static int add_spec(exporting_t *self, const char *name, bool may_be_gone)
{
    cli_t *cli = self->cli;
    pawl_record_t *record = NULL;
    pawl_err err = pawl_schedule_get(cli->client, name, &record, cli->timeout_us);
    if (err == PAWL_E_NOT_FOUND && may_be_gone) return 0;
    if (err) return fail_client(cli->client, err, say("cannot export schedule %s", name));
    self->specs = mem_grow(self->specs, (self->count + 1) * sizeof *self->specs);
    self->specs[self->count++] = schedule_spec_of_record(record, NULL);
    pawl_record_destroy(&record);
    return 0;
}

/* Of an export of everything: schedules name them. */
static int add_calendars(exporting_t *self)
{
    cli_t *cli = self->cli;
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    const char **names = NULL;
    size_t count = 0;
    pawl_err err = pawl_calendar_list(cli->client, &list, cli->timeout_us);
    while (!err && (row = pawl_list_next(list, &err))) {
        names = mem_grow(names, (count + 1) * sizeof *names);
        names[count++] = say("%s", pawl_record_text(row, "name"));
    }
    pawl_list_destroy(&list);
    for (size_t i = 0; !err && i < count; i++) {
        pawl_record_t *record = NULL;
        err = pawl_calendar_get(cli->client, names[i], &record, cli->timeout_us);
        if (err) break;
        self->specs = mem_grow(self->specs, (self->count + 1) * sizeof *self->specs);
        self->specs[self->count++] = calendar_spec_of_record(record);
        pawl_record_destroy(&record);
    }
    free(names);
    return err ? fail_client(cli->client, err, "cannot export the calendars") : 0;
}

static int add_all(exporting_t *self)
{
    cli_t *cli = self->cli;
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    const char *text = args_text(&cli->args, "text");
    int code = 0;
    pawl_err err = pawl_schedule_list(cli->client, text ? text : "", &list, cli->timeout_us);
    while (!err && !code && (row = pawl_list_next(list, &err)))
        code = add_spec(self, say("%s", pawl_record_text(row, "name")), true);
    pawl_list_destroy(&list);
    return code ? code : err ? fail_client(cli->client, err, "cannot list schedules") : 0;
}

static void write_yaml(const exporting_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        puts("---");
        yaml_write(self->specs[i], stdout);
    }
}

static void write_json(const exporting_t *self)
{
    json_t *all = json_array();
    for (size_t i = 0; i < self->count; i++)
        json_array_append(all, self->specs[i]);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static int write_crontab(const exporting_t *self)
{
    crontab_written_t *results = mem_new((self->count + 1) * sizeof *results);
    const struct passwd *user = getpwuid(geteuid());
    const char *account =
        args_has(&self->cli->args, "system") ? user ? user->pw_name : "root" : NULL;
    size_t left_out = 0;
    crontab_write(self->specs, self->count, account, stdout, results);
    for (size_t i = 0; i < self->count; i++) {
        left_out += results[i].left_out != NULL;
        if (results[i].left_out)
            fprintf(stderr, "%s is not written: %s\n", results[i].name, results[i].left_out);
        else if (*results[i].unsaid)
            cli_note(self->cli, "%s: a crontab does not say %s", results[i].name,
                     results[i].unsaid);
    }
    free(results);
    return left_out ? EXIT_PARTLY : EXIT_OK;
}

int cmd_export(cli_t *cli)
{
    exporting_t self = { .cli = cli };
    const char *format = verb_of(cli);
    int code = cli_connect(cli);
    for (size_t i = 0; !code && i < cli->args.word_count; i++)
        code = add_spec(&self, cli->args.words[i], false);
    bool all = cli->args.word_count == 0, calendars = strcmp(format, "crontab") != 0;
    if (!code && all && calendars) code = add_calendars(&self);
    if (!code && all) code = add_all(&self);
    if (!code && strcmp(format, "yaml") == 0) write_yaml(&self);
    if (!code && strcmp(format, "json") == 0) write_json(&self);
    if (!code && strcmp(format, "crontab") == 0) code = write_crontab(&self);
    if (fflush(stdout) != 0 || ferror(stdout))
        code = fail(EXIT_FAILED, "cannot write the output", "the place it goes to takes no more",
                    "pawl export yaml > schedules.yaml");
    for (size_t i = 0; i < self.count; i++)
        json_decref(self.specs[i]);
    free(self.specs);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/import.c - pawl import crontab: each line becomes a schedule, or a reason why not. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/crontab.h"
#include "client/cli/handlers.h"
#include "client/cli/moments.h"
#include "client/cli/output.h"
#include "client/cli/taskspec.h"

static const column_t import_columns[] = {
    { "line", "", AS_GIVEN, IN_TABLE },
    { "rule", "", AS_GIVEN, IN_TABLE },
    { "account", "", AS_GIVEN, IN_TABLE },
    { "command", "", AS_GIVEN, IN_TABLE },
    { "result", "", AS_GIVEN, IN_TABLE },
    { "schedule", "", AS_GIVEN, IN_TABLE },
    { "zone", "", AS_GIVEN, IN_TABLE },
    { "notes", "", AS_GIVEN, IN_TABLE },
    { 0 },
};

typedef struct importing {
    cli_t *cli;
    output_t *output;
    bool people;
    const char *zone;
    const char **names; /* given out in this run */
    size_t name_count, lines, taken, refused;
} importing_t;

/* The file's name without folder and ending, letters that names may have. */
static const char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *stem = text_keep(mem_text(slash ? slash + 1 : path));
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem) *dot = '\0';
    for (char *at = stem; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at)) *at = '-';
    return *stem && strcmp(stem, "-") != 0 ? stem : "crontab";
}

static const char *name_for(importing_t *self, const char *stem, size_t number)
{
    const char *name = say("%s-%zu", stem, number);
    for (size_t i = 0, copy = 2; i < self->name_count;) {
        if (strcmp(self->names[i], name) != 0) {
            i++;
            continue;
        }
        name = say("%s-%zu-%zu", stem, number, copy++);
        i = 0;
    }
    self->names = mem_grow(self->names, (self->name_count + 1) * sizeof *self->names);
    return self->names[self->name_count++] = name;
}

static const char *own_account(void)
{
    const struct passwd *user = getpwuid(geteuid());
    return user ? user->pw_name : "";
}

/* The task of a line: its shell, environment, standard input and account. */
static json_t *task_of(const crontab_line_t *line)
{
    json_t *task = json_object();
    if (line->shell && strcmp(line->shell, "/bin/sh") != 0)
        json_object_set_new(task, "argv", json_pack("[s, s, s]", line->shell, "-c", line->command));
    else
        json_object_set_new(task, "shell", json_string(line->command));
    json_t *env = json_copy(line->env);
    json_object_set_new(env, "SHELL", json_string(line->shell ? line->shell : "/bin/sh"));
    json_object_set_new(task, "env", env);
    if (line->stdin_text) json_object_set_new(task, "stdin", json_string(line->stdin_text));
    if (*line->account && strcmp(line->account, own_account()) != 0)
        json_object_set_new(task, "account", json_string(line->account));
    return task;
}

/* NULL: the schedule exists now (or would). Else why not. */
static const char *create(importing_t *self, const crontab_line_t *line, const char *name,
                          const char *zone)
{
    cli_t *cli = self->cli;
    spec_error_t error;
    json_t *object = task_of(line);
    pawl_task_t *task = task_from_json(object, zone, &error);
    json_decref(object);
    if (!task) return say("%s: %s", error.field, error.why);
    pawl_schedule_t *schedule = pawl_schedule_new(name);
    pawl_err err = schedule ? PAWL_OK : PAWL_E_BAD_REQUEST;
    if (!err) err = pawl_schedule_set_text(schedule, "rule", line->rule);
    if (!err) err = pawl_schedule_set_text(schedule, "zone", zone);
    if (!err) err = pawl_schedule_set_task(schedule, task);
    bool sent = !err && !cli->dry_run;
    if (sent) err = pawl_schedule_put(cli->client, schedule, 0, NULL, NULL, cli->timeout_us);
    pawl_schedule_destroy(&schedule);
    pawl_task_destroy(&task);
    return err ? client_why(sent ? cli->client : NULL, err) : NULL;
}

static bool both_days(const char *rule)
{
    char *fields = text_keep(mem_text(rule)), *field[5] = { NULL };
    for (size_t i = 0; i < 5; i++)
        field[i] = strsep(&fields, " ");
    return field[4] && field[2][0] != '*' && field[4][0] != '*';
}

static const char *notes_of(const crontab_line_t *line, const char *zone, const char *given_zone)
{
    buf_t notes = { 0 };
    buf_printf(&notes, "zone %s%s", zone,
               line->zone   ? " (CRON_TZ)"
               : given_zone ? ""
                            : " (this machine's)");
    if (line->unescaped) buf_printf(&notes, "; \"\\%%\" unescaped");
    if (both_days(line->rule)) buf_printf(&notes, "; day of month OR weekday (cron's rule)");
    if (line->stdin_text) buf_printf(&notes, "; text after %% becomes standard input");
    if (*line->account) buf_printf(&notes, "; account %s", line->account);
    return text_keep((char *)notes.at);
}

static void report(importing_t *self, const char *at, const crontab_line_t *line, const char *name,
                   const char *zone, const char *why, const char *notes)
{
    self->lines++;
    self->taken += !why;
    self->refused += why != NULL;
    if (self->people) {
        const char *account = *line->account ? say("%-8s ", line->account) : "";
        if (why)
            printf("%-14s %-16s %s%.40s  -> REFUSED: %s\n", at, line->rule, account, line->source,
                   why);
        else
            printf("%-14s %-16s %s%.40s  -> schedule %s; %s\n", at, line->rule, account,
                   line->source, name, notes);
        return;
    }
    output_row(self->output,
               json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s?, s:s}", "line", at, "rule",
                         line->rule, "account", line->account, "command", line->source, "result",
                         why ? "refused" : "taken", "schedule", why ? NULL : name, "zone",
                         why ? NULL : zone, "notes", why ? why : notes));
}

static void import_line(importing_t *self, const char *stem, const crontab_line_t *line)
{
    const char *prefix = args_text(&self->cli->args, "prefix"), *zone, *why = line->refused;
    const char *at = say("%s:%zu", stem, line->number), *name = NULL;
    zone = line->zone ? line->zone : self->zone ? self->zone : local_zone();
    if (!why) why = moments_refusal(line->rule, zone);
    if (!why) {
        name = name_for(self, prefix ? prefix : stem, line->number);
        why = create(self, line, name, zone);
    }
    report(self, at, line, name, zone, why, why ? "" : notes_of(line, zone, self->zone));
}

static int read_all(FILE *file, buf_t *text)
{
    size_t got;
    do {
        buf_need(text, 65536);
        got = fread(text->at + text->len, 1, 65536, file);
        text->len += got;
    } while (got);
    return ferror(file) ? -1 : 0;
}

static bool is_system(const char *path)
{
    return strcmp(path, "/etc/crontab") == 0 || strstr(path, "/cron.d/") != NULL;
}

static int import_file(importing_t *self, const char *path)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file)
        return fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno),
                    "pawl import crontab FILE, or crontab -l | pawl import crontab -");
    buf_t text = { 0 };
    int failed = read_all(file, &text);
    if (!standard_input) fclose(file);
    if (failed) {
        buf_free(&text);
        return fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno), "a readable file");
    }
    crontab_t crontab;
    crontab_read(&crontab, (char *)text.at, text.len,
                 args_has(&self->cli->args, "system") || is_system(path));
    buf_free(&text);
    const char *stem = stem_of(path);
    for (size_t i = 0; i < crontab.count; i++)
        import_line(self, stem, &crontab.lines[i]);
    if (crontab.mailto)
        cli_note(self->cli,
                 "%s: MAILTO=%s is not taken over: output is kept with the task (pawl logs)", stem,
                 crontab.mailto);
    for (size_t i = 0; i < crontab.ignored_count; i++)
        cli_note(self->cli, "%s: %s is not taken over", stem, crontab.ignored[i]);
    crontab_free(&crontab);
    return 0;
}

/* As cron reads a folder: names of letters, digits, - and _ only. */
static int wanted(const struct dirent *entry)
{
    for (const char *at = entry->d_name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_') return 0;
    return 1;
}

static int import_path(importing_t *self, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    if (strcmp(path, "-") == 0 || stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return import_file(self, path);
    int n = scandir(path, &entries, wanted, alphasort), code = 0;
    for (int i = 0; i < n; i++) {
        if (!code) code = import_file(self, say("%s/%s", path, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno), "a folder")
                 : code;
}

int cmd_import_crontab(cli_t *cli)
{
    importing_t self = { .cli = cli, .zone = args_text(&cli->args, "zone") };
    int code = cli->dry_run ? 0 : cli_connect(cli);
    if (!code && cli->args.word_count == 0 && isatty(STDIN_FILENO))
        code = fail(EXIT_USAGE, "pawl import crontab needs a file", "none was named",
                    "pawl import crontab FILE --dry-run, or crontab -l | pawl import crontab -");
    if (code) return code;
    self.people = !output_is_json() && strcmp(output_format(), "csv") != 0 &&
                  strcmp(output_format(), "id") != 0;
    self.output = self.people ? NULL : output_new(import_columns, 0);
    if (cli->args.word_count == 0) code = import_path(&self, "-");
    for (size_t i = 0; !code && i < cli->args.word_count; i++)
        code = import_path(&self, cli->args.words[i]);
    int printed = self.output ? output_end(&self.output) : 0;
    fflush(stdout);
    cli_note(cli, "%zu lines: %zu taken, %zu refused%s", self.lines, self.taken, self.refused,
             cli->dry_run ? "   (nothing written)" : "");
    free(self.names);
    return code ? code : printed ? printed : self.refused ? EXIT_PARTLY : EXIT_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/apply.c - pawl schedule apply and diff: what files say becomes what is scheduled.
 *
 * A schedule that apply makes is marked as OWNER's; --prune removes only those with that mark. All
 * files are read and checked before anything is written. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>

#include "client/cli/calendars.h"
#include "client/cli/handlers.h"
#include "client/cli/fileread.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/plan.h"
#include "client/cli/settle.h"
#include "client/cli/yamlfile.h"

static const column_t apply_columns[] = {
    { "name", "", AS_GIVEN, IN_TABLE },
    { "action", "", AS_GIVEN, IN_TABLE },
    { "file", "", AS_GIVEN, IN_TABLE },
    { "line", "", AS_GIVEN, IN_TABLE },
    { "reason", "", AS_GIVEN, IN_TABLE },
    { "changes", "", AS_GIVEN, IN_JSON },
    { 0 },
};

enum { BATCH = 250 }; /* written at once, in one request */

typedef struct wanted {
    const char *path;
    int line;
    json_t *spec;
    bool calendar;
    settlement_t *found; /* what it is to become, when it is on record; NULL: it is not */
} wanted_t;

typedef struct applying {
    cli_t *cli;
    wanted_t *wanted;
    size_t count, faults;
    json_t *names[2]; /* of what is wanted, schedules and calendars: name -> index */
    struct batch *batch;
    const char *mark; /* "apply/OWNER" */
    const char *cursor;
    bool writes;      /* neither diff nor --dry-run */
    output_t *output; /* NULL: for people */
    size_t created, edited, unchanged, pruned, refused;
} applying_t;

/* ---- the files ------------------------------------------------------------------------------- */

enum { FAULTS_SHOWN = 20 };

static void tell_fault(applying_t *self, const char *why)
{
    if (self->faults++ < FAULTS_SHOWN) fprintf(stderr, "%s\n", why);
}

static void take_document(applying_t *self, const yaml_file_t *file, const yaml_document_t *found)
{
    spec_error_t error;
    bool calendar = calendar_is_spec(found->value);
    json_t *spec = calendar ? calendar_spec_read(found->value, &error)
                            : schedule_spec_read(found->value, local_zone(), &error);
    int line = spec ? found->line : yaml_line(found, error.field);
    if (!spec) {
        tell_fault(self, say("%s:%d: %s%s%s", file->path, line, error.field,
                             *error.field ? ": " : "", error.why));
        return;
    }
    const char *name = text_at(spec, "name");
    const json_t *taken = json_object_get(self->names[calendar], name);
    if (taken) {
        CHECK(self->wanted != NULL); /* what `names` counts is there */
        const wanted_t *first = &self->wanted[json_integer_value(taken)];
        tell_fault(self, say("%s:%d: name: \"%s\" is that of %s:%d already", file->path,
                             yaml_line(found, "name"), name, first->path, first->line));
    } else {
        json_object_set_new(self->names[calendar], name, json_integer((json_int_t)self->count));
    }
    self->wanted = mem_grow(self->wanted, (self->count + 1) * sizeof *self->wanted);
    self->wanted[self->count++] = (wanted_t){ file->path, line, spec, calendar, NULL };
}

static int read_file(applying_t *self, const char *path)
{
    buf_t text = { 0 };
    yaml_file_t file;
    const char *why;
    int code = file_read(path, &text);
    if (code) {
        buf_free(&text);
        return code;
    }
    if (!yaml_read(&file, path, (const char *)text.at, text.len, &why)) {
        tell_fault(self, why);
    } else {
        for (size_t i = 0; i < file.count; i++)
            take_document(self, &file, &file.documents[i]);
        yaml_free(&file);
    }
    buf_free(&text);
    return 0;
}

static int is_yaml(const struct dirent *entry)
{
    static const char *const ends[] = { ".yaml", ".yml", ".json" };
    const char *dot = strrchr(entry->d_name, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(ends); i++)
        if (strcmp(dot, ends[i]) == 0) return entry->d_name[0] != '.';
    return 0;
}

static int read_path(applying_t *self, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    if (strcmp(path, "-") == 0 || stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return read_file(self, path);
    int n = scandir(path, &entries, is_yaml, alphasort), code = 0;
    for (int i = 0; i < n; i++) {
        if (!code) code = read_file(self, say("%s/%s", path, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    if (n == 0)
        return fail(EXIT_USAGE, say("%s holds no schedules", path),
                    "no file in it ends with .yaml, .yml or .json", "pawl schedule apply -f FILE");
    return n < 0 ? fail(EXIT_FAILED, say("cannot read %s", path), strerror(errno), "a folder")
                 : code;
}

/* ---- one schedule ---------------------------------------------------------------------------- */

/* `settled` NULL: it is pruned. */
static void report(applying_t *self, const char *name, const wanted_t *wanted,
                   const settlement_t *settled)
{
    const char *word = settled ? settle_word(settled->kind) : "pruned";
    const char *why = settled ? settled->why : NULL;
    if (self->output) {
        const json_t *changes = settled ? settled->changes : NULL;
        output_row(self->output,
                   json_pack("{s:s, s:s, s:s?, s:o, s:s?, s:O?}", "name", name, "action", word,
                             "file", wanted ? wanted->path : NULL, "line",
                             wanted ? json_integer(wanted->line) : json_null(), "reason", why,
                             "changes", changes));
        return;
    }
    if (why)
        printf("REFUSED    %s: %s\n", name, why);
    else if (!settled || settled->kind != SETTLE_UNCHANGED || self->cli->verbose)
        printf("%-10s %s\n", word, name);
    if (settled && settled->kind == SETTLE_EDIT) settle_print_changes(settled, "           ");
}

static bool owned_by_another(const applying_t *self, const settlement_t *settled)
{
    return settled->old && strncmp(settled->made_by, "apply/", strlen("apply/")) == 0 &&
           strcmp(settled->made_by, self->mark) != 0;
}

static int settle_calendar(applying_t *self, const wanted_t *wanted)
{
    settlement_t settled;
    int code = calendar_settle(self->cli, wanted->spec, self->writes, &settled);
    size_t *const counts[] = { &self->unchanged, &self->created, &self->edited, &self->refused };
    if (!code) ++*counts[settled.kind];
    if (!code) report(self, text_at(wanted->spec, "name"), wanted, &settled);
    settlement_free(&settled);
    return code;
}

/* Looked at, and not yet written and told of. */
typedef struct batch {
    size_t n, writing_n;
    const wanted_t *wanted[BATCH];
    settlement_t settled[BATCH];
    settling_t writing[BATCH];
} batch_t;

static void finish_batch(applying_t *self)
{
    batch_t *batch = self->batch;
    size_t *const counts[] = { &self->unchanged, &self->created, &self->edited, &self->refused };
    if (batch->writing_n) settle_write_many(self->cli, batch->writing, batch->writing_n);
    for (size_t i = 0; i < batch->n; i++) {
        settlement_t *settled = &batch->settled[i];
        ++*counts[settled->kind];
        report(self, text_at(batch->wanted[i]->spec, "name"), batch->wanted[i], settled);
        settlement_free(settled);
    }
    batch->n = batch->writing_n = 0;
}

/* What becomes of one that was looked at. */
static void judge(const applying_t *self, settlement_t *settled)
{
    bool adopts = args_has(&self->cli->args, "adopt");
    if (settled->old && adopts && strcmp(settled->made_by, self->mark) != 0) {
        if (settled->kind == SETTLE_UNCHANGED) settled->kind = SETTLE_EDIT;
        json_array_append_new(settled->changes,
                              json_pack("{s:s, s:s, s:s}", "field", "owner", "old",
                                        settled->made_by, "new", self->mark));
    }
    if (owned_by_another(self, settled) && !adopts && settled->kind == SETTLE_EDIT) {
        settled->kind = SETTLE_REFUSED;
        settled->why = say("it is of %s (--owner, or --adopt to take it over)", settled->made_by);
    }
}

static void settle(applying_t *self, wanted_t *wanted)
{
    batch_t *batch = self->batch;
    settlement_t settled;
    if (wanted->found)
        settled = *wanted->found;
    else
        settle_compare(&settled, wanted->spec, true, NULL);
    free(wanted->found);
    wanted->found = NULL;
    bool writes = settled.kind == SETTLE_CREATE || settled.kind == SETTLE_EDIT;
    bool marks = settled.kind == SETTLE_CREATE || args_has(&self->cli->args, "adopt");
    if (self->writes && writes)
        batch->writing[batch->writing_n++] =
            (settling_t){ &batch->settled[batch->n], marks ? self->mark : NULL, self->cursor };
    batch->wanted[batch->n] = wanted;
    batch->settled[batch->n++] = settled;
    if (batch->n == BATCH) finish_batch(self);
}

/* Asks for many at once. Each row is compared as it comes, and of what is not to be touched nothing
 * is kept: they may be many. */
static int look_at_all(applying_t *self)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    const char **names = mem_new((self->count + 1) * sizeof *names);
    size_t n = 0;
    pawl_err err = PAWL_OK;
    for (size_t i = 0; i < self->count; i++)
        if (!self->wanted[i].calendar) names[n++] = text_at(self->wanted[i].spec, "name");
    if (n)
        err = pawl_schedule_list_named(self->cli->client, names, n, &list, self->cli->timeout_us);
    while (list && !err && (row = pawl_list_next(list, &err))) {
        const json_t *at = json_object_get(self->names[0], pawl_record_text(row, "name"));
        if (!at) continue;
        wanted_t *wanted = &self->wanted[json_integer_value(at)];
        if (wanted->found) continue;
        wanted->found = mem_new(sizeof *wanted->found);
        settle_compare(wanted->found, wanted->spec, true, row);
        judge(self, wanted->found);
        if (wanted->found->kind == SETTLE_UNCHANGED) settlement_free(wanted->found);
    }
    pawl_list_destroy(&list);
    free(names);
    return err ? fail_client(self->cli->client, err, "cannot look at the schedules") : 0;
}

static int settle_schedules(applying_t *self)
{
    int code = look_at_all(self);
    self->batch = mem_new(sizeof *self->batch);
    for (size_t i = 0; !code && i < self->count; i++)
        if (!self->wanted[i].calendar) settle(self, &self->wanted[i]);
    finish_batch(self);
    free(self->batch);
    return code;
}

/* ---- what is no longer there ----------------------------------------------------------------- */

static void prune_one(applying_t *self, const char *name)
{
    cli_t *cli = self->cli;
    pawl_err err = PAWL_OK;
    if (self->writes)
        err = pawl_schedule_change(cli->client, "remove", name, "no longer in the files", NULL,
                                   NULL, cli->timeout_us);
    if (err == PAWL_E_NOT_FOUND) return;
    if (err) {
        settlement_t refused = { .kind = SETTLE_REFUSED, .why = client_why(cli->client, err) };
        self->refused++;
        report(self, name, NULL, &refused);
        return;
    }
    self->pruned++;
    report(self, name, NULL, NULL);
}

/* At a terminal what would be removed is named, and asked for; in a script --prune is the word, and
 * it takes only what this owner's files have made. */
static int may_prune(const applying_t *self, const char *const *names, size_t count)
{
    char answer[8] = "";
    if (!self->writes || count == 0 || args_has(&self->cli->args, "yes") || !isatty(STDIN_FILENO))
        return 0;
    const char *which = say("%s%s", names[0], count > 1 ? say(" and %zu more", count - 1) : "");
    fprintf(stderr, "remove %s, which the files do not hold any more? [y/N] ", which);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) return 0;
    return fail(EXIT_USAGE, "nothing was pruned; what the files hold is applied",
                say("--prune would remove %s, and nobody said yes", which),
                "-y with --prune, or --dry-run to see what would go");
}

static int prune(applying_t *self)
{
    cli_t *cli = self->cli;
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    const char **names = NULL;
    size_t count = 0;
    pawl_err err = pawl_schedule_list_whole(cli->client, &list, cli->timeout_us);
    while (!err && (row = pawl_list_next(list, &err))) {
        const char *made_by, *name = pawl_record_text(row, "name");
        if (json_object_get(self->names[0], name)) continue;
        json_decref(schedule_spec_of_record(row, &made_by));
        if (strcmp(made_by, self->mark) != 0) continue;
        names = mem_grow(names, (count + 1) * sizeof *names);
        names[count++] = say("%s", name);
    }
    pawl_list_destroy(&list);
    int code = err ? fail_client(cli->client, err, "cannot list schedules")
                   : may_prune(self, names, count);
    for (size_t i = 0; !code && i < count; i++)
        prune_one(self, names[i]);
    free(names);
    return code;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static int apply_all(applying_t *self)
{
    const args_t *args = &self->cli->args;
    const given_t *file;
    int code = 0;
    for (size_t i = 0; !code && (file = args_given(args, "file", i)); i++)
        code = read_path(self, file->value);
    if (!code && self->faults)
        code = fail(EXIT_USAGE, say("the files cannot be taken: %zu at fault", self->faults),
                    "see above; nothing was changed", "pawl export yaml shows how it is written");
    if (!code && self->count == 0 && args_has(args, "prune") && !args_has(args, "yes"))
        code = fail(EXIT_USAGE, "the files hold no schedule at all",
                    "--prune would remove every schedule of this owner", "--yes if that is meant");
    if (!code) code = cli_connect(self->cli);
    for (size_t i = 0; !code && i < self->count; i++) /* schedules name them */
        if (self->wanted[i].calendar) code = settle_calendar(self, &self->wanted[i]);
    if (!code) code = settle_schedules(self);
    if (!code && args_has(args, "prune")) code = prune(self);
    return code;
}

int cmd_schedule_apply(cli_t *cli)
{
    const char *owner = args_text(&cli->args, "owner");
    bool diff = strcmp(verb_of(cli), "diff") == 0;
    applying_t self = { .cli = cli, .writes = !diff && !cli->dry_run };
    bool people = !output_is_json() && strcmp(output_format(), "csv") != 0 &&
                  strcmp(output_format(), "id") != 0;
    for (size_t i = 0; i < ARRAY_LEN(self.names); i++)
        self.names[i] = json_object();
    self.mark = say("apply/%s", owner ? owner : "default");
    int code = 0;
    if (!args_has(&cli->args, "file"))
        code = fail(EXIT_USAGE, "no file was named", "-f FILE or -f DIR is needed",
                    cli->args.command->example);
    else if (strlen(self.mark) > 64 || strspn(self.mark, " \t"))
        code = fail(EXIT_USAGE, "bad value of --owner", "it has at most 58 bytes", "--owner ops");
    if (!code) code = plan_cursor(cli, &self.cursor);
    self.output = people || code ? NULL : output_new(apply_columns, 0);
    if (!code) code = apply_all(&self);
    int printed = self.output ? output_end(&self.output) : 0;
    fflush(stdout);
    size_t changes = self.created + self.edited + self.pruned;
    if (!code && !changes && !self.refused)
        cli_note(cli, "no changes (%zu schedules)", self.unchanged);
    else if (!code)
        cli_note(cli, "%zu created, %zu edited, %zu unchanged, %zu pruned, %zu refused%s",
                 self.created, self.edited, self.unchanged, self.pruned, self.refused,
                 self.writes ? "" : "   (nothing changed)");
    for (size_t i = 0; i < self.count; i++) {
        json_decref(self.wanted[i].spec);
        if (self.wanted[i].found) settlement_free(self.wanted[i].found);
        free(self.wanted[i].found);
    }
    for (size_t i = 0; i < ARRAY_LEN(self.names); i++)
        json_decref(self.names[i]);
    free(self.wanted);
    return code ? code : printed ? printed : self.refused ? EXIT_PARTLY : EXIT_OK;
}

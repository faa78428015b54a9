/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/import.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/settle.h"

static const column_t import_columns[] = {
    { "line", "", AS_GIVEN, IN_TABLE },    { "rule", "", AS_GIVEN, IN_TABLE },
    { "account", "", AS_GIVEN, IN_TABLE }, { "command", "", AS_GIVEN, IN_TABLE },
    { "result", "", AS_GIVEN, IN_TABLE },  { "schedule", "", AS_GIVEN, IN_TABLE },
    { "zone", "", AS_GIVEN, IN_TABLE },    { "notes", "", AS_GIVEN, IN_TABLE },
    { "action", "", AS_GIVEN, IN_TABLE },  { 0 },
};

/* A schedule that an earlier import may have made. */
typedef struct made {
    const char *name;
    json_t *spec;
    bool claimed;
} made_t;

typedef struct importing {
    cli_t *cli;
    const char *mark; /* "import/crontab" */
    import_list_t list;
    json_t *task_fields; /* of --on and --queue, put over every task */
    made_t *made;
    size_t made_count;
    output_t *output; /* NULL: for people */
    size_t taken, refused, unchanged;
} importing_t;

/* ---- files ----------------------------------------------------------------------------------- */

const char *import_stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *stem = text_keep(mem_text(slash ? slash + 1 : path));
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem) *dot = '\0';
    for (char *at = stem; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at)) *at = '-';
    return *stem && strcmp(stem, "-") != 0 ? stem : "crontab";
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "backup" made "backup-3" and "backup-3-2". */
static bool made_from(const char *name, const char *stem)
{
    size_t len = strlen(stem);
    return strncmp(name, stem, len) == 0 && name[len] == '-' &&
           isdigit((unsigned char)name[len + 1]) &&
           name[len + 1 + strspn(name + len + 1, "0123456789-")] == '\0';
}

/* Fetches what earlier imports made from files of this name. */
static int find_made(importing_t *self, const char *stem)
{
    cli_t *cli = self->cli;
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    pawl_err err = pawl_schedule_list(cli->client, stem, &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot list schedules");
    while ((row = pawl_list_next(list, &err))) {
        const char *name = pawl_record_text(row, "name"), *mark = "";
        pawl_record_t *whole = NULL;
        if (!made_from(name, stem) || pawl_schedule_get(cli->client, name, &whole, cli->timeout_us))
            continue;
        json_t *spec = schedule_spec_of_record(whole, &mark);
        pawl_record_destroy(&whole);
        if (strcmp(mark, self->mark) != 0) {
            json_decref(spec);
            continue;
        }
        self->made = mem_grow(self->made, (self->made_count + 1) * sizeof *self->made);
        self->made[self->made_count++] = (made_t){ text_at(spec, "name"), spec, false };
    }
    pawl_list_destroy(&list);
    return err ? fail_client(cli->client, err, "cannot list schedules") : 0;
}

static bool same_field(const json_t *a, const json_t *b, const char *field)
{
    return json_equal(json_object_get(a, field), json_object_get(b, field)) == 1;
}

static bool name_is_taken(const importing_t *self, const char *name)
{
    for (size_t i = 0; i < self->list.count; i++) {
        const char *other = self->list.items[i].name;
        if (other && strcmp(other, name) == 0) return true;
    }
    for (size_t i = 0; i < self->made_count; i++)
        if (self->made[i].claimed && strcmp(self->made[i].name, name) == 0) return true;
    return false;
}

/* How sure it is that `made` is what this item became: the same in all, the same task, the same
 * place. */
static bool is_same(const import_item_t *item, const made_t *made, int pass)
{
    bool task = same_field(item->spec, made->spec, "task");
    if (pass == 0)
        return task && same_field(item->spec, made->spec, "rule") &&
               same_field(item->spec, made->spec, "zone");
    if (pass == 1) return task;
    return strcmp(made->name, say("%s-%zu", item->stem, item->number)) == 0;
}

/* Lines move when others come and go: a line keeps the name it got when it was new. */
static void name_items(importing_t *self)
{
    enum { PASSES = 3 };
    for (int pass = 0; pass < PASSES; pass++)
        for (size_t i = 0; i < self->list.count; i++) {
            import_item_t *item = &self->list.items[i];
            for (size_t k = 0; !item->name && !item->refused && k < self->made_count; k++) {
                made_t *made = &self->made[k];
                if (made->claimed || !made_from(made->name, item->stem) ||
                    !is_same(item, made, pass))
                    continue;
                item->name = made->name;
                made->claimed = true;
            }
        }
    for (size_t i = 0; i < self->list.count; i++) {
        import_item_t *item = &self->list.items[i];
        if (item->name || item->refused) continue;
        const char *name = say("%s-%zu", item->stem, item->number);
        for (size_t copy = 2; name_is_taken(self, name); copy++)
            name = say("%s-%zu-%zu", item->stem, item->number, copy);
        item->name = name;
    }
}

static int give_names(importing_t *self)
{
    const char **seen = NULL;
    size_t count = 0;
    int code = 0;
    for (size_t i = 0; !code && self->cli->client && i < self->list.count; i++) {
        const import_item_t *item = &self->list.items[i];
        size_t k = 0;
        while (k < count && strcmp(seen[k], item->stem) != 0)
            k++;
        if (item->name || !*item->stem || k < count) continue;
        seen = mem_grow(seen, (count + 1) * sizeof *seen);
        seen[count++] = item->stem;
        code = find_made(self, item->stem);
    }
    free(seen);
    if (!code) name_items(self);
    return code;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Makes the spec canonical, or refuses. The name is a placeholder until it has one. */
static void check(importing_t *self, import_item_t *item)
{
    spec_error_t error;
    if (item->refused || !item->spec) return;
    if (self->task_fields)
        json_object_update(json_object_get(item->spec, "task"), self->task_fields);
    json_object_set_new(item->spec, "name", json_string(item->name ? item->name : "unnamed"));
    const char *zone = self->list.zone ? self->list.zone : local_zone();
    json_t *spec = schedule_spec_read(item->spec, zone, &error);
    if (!spec && (strcmp(error.field, "rule") == 0 || strcmp(error.field, "zone") == 0))
        import_refuse(item, "%s", error.why);
    else if (!spec)
        import_refuse(item, "%s: %s", error.field, error.why);
    json_decref(item->spec);
    item->spec = spec;
}

static void twice(importing_t *self)
{
    for (size_t i = 0; i < self->list.count; i++)
        for (size_t k = 0; k < i && self->list.items[i].name; k++) {
            const import_item_t *first = &self->list.items[k];
            if (!first->refused && first->name &&
                strcmp(first->name, self->list.items[i].name) == 0)
                import_refuse(&self->list.items[i], "the name %s is that of %s already",
                              first->name, first->at);
        }
}

enum { WHAT_WIDEST = 43 };

static void report(importing_t *self, const import_item_t *item, const settlement_t *settled)
{
    const char *why = item->refused, *action = settle_word(why ? SETTLE_REFUSED : settled->kind);
    const char *zone = why ? NULL : text_at(item->spec, "zone");
    self->taken += !why;
    self->refused += why != NULL;
    self->unchanged += !why && settled->kind == SETTLE_UNCHANGED;
    if (self->output) {
        output_row(self->output,
                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s?, s:s, s:s}", "line", item->at,
                             "rule", item->rule, "account", item->account, "command", item->what,
                             "result", why ? "refused" : "taken", "schedule",
                             why ? NULL : item->name, "zone", zone, "notes",
                             why ? why : item->notes, "action", action));
        return;
    }
    const char *account = *item->account ? say("%-8s ", item->account) : "";
    char *what = text_keep(mem_text(text_tamed(item->what)));
    text_cut(what, WHAT_WIDEST);
    printf("%-14s %-16s %s%s  -> ", text_tamed(item->at), text_tamed(item->rule),
           text_tamed(account), what);
    if (why)
        printf("REFUSED: %s\n", text_tamed(why));
    else
        printf("schedule %s %s%s%s%s\n", text_tamed(item->name),
               self->cli->dry_run && settled->kind != SETTLE_UNCHANGED ? "would be " : "", action,
               *item->notes ? "; " : "", text_tamed(item->notes));
    if (!why && settled->kind == SETTLE_EDIT) settle_print_changes(settled, "    ");
}

static int settle(importing_t *self, import_item_t *item)
{
    cli_t *cli = self->cli;
    settlement_t settled = { 0 };
    bool named = *item->stem && item->number == 0; /* its file says which schedule it is */
    int code = 0;
    if (!item->refused) {
        json_object_set_new(item->spec, "name", json_string(item->name));
        code = settle_look(cli, &settled, item->spec, false);
    }
    if (!code && settled.kind == SETTLE_EDIT && strcmp(settled.made_by, self->mark) != 0 && !named)
        import_refuse(item,
                      "a schedule %s exists that no import of this kind made (--prefix gives "
                      "other names)",
                      item->name);
    if (!code && !item->refused && !cli->dry_run &&
        (settled.kind == SETTLE_CREATE || settled.kind == SETTLE_EDIT) &&
        !settle_write(cli, &settled, settled.old ? NULL : self->mark, NULL))
        import_refuse(item, "%s", settled.why);
    if (!code) report(self, item, &settled);
    settlement_free(&settled);
    return code;
}

static void tell_gone(const importing_t *self)
{
    buf_t names = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < self->made_count; i++)
        if (!self->made[i].claimed) buf_printf(&names, "%s%s", n++ ? ", " : "", self->made[i].name);
    if (n)
        cli_note(self->cli, "no longer there, but still scheduled: %s (pawl schedule rm NAME)",
                 (const char *)names.at);
    buf_free(&names);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* --type-map THEIRS=OURS, as often as wanted. */
static int read_types(cli_t *cli, json_t *types)
{
    const given_t *given;
    for (size_t i = 0; (given = args_given(&cli->args, "type-map", i)); i++) {
        const char *equals = strchr(given->value, '=');
        if (!equals || equals == given->value || !equals[1])
            return fail(EXIT_USAGE, "bad value of --type-map",
                        say("\"%s\" is not THEIRS=OURS", given->value),
                        "--type-map shop.tasks.send=mail/send");
        json_object_set_new(types, say("%.*s", (int)(equals - given->value), given->value),
                            json_string(equals + 1));
    }
    return 0;
}

static int import_all(importing_t *self, import_read_fn *read)
{
    cli_t *cli = self->cli;
    enum { LOOK_US = 1000 * 1000 };
    int code = cli->dry_run ? 0 : cli_connect(cli);
    if (!code) code = read(cli, &self->list);
    if (!code && cli->dry_run &&
        !cli_try_connect(cli, cli->timeout_given ? cli->timeout_us : LOOK_US))
        cli_note(cli, "no broker answers: what is scheduled already was not compared");
    for (size_t i = 0; !code && i < self->list.count; i++)
        check(self, &self->list.items[i]);
    if (!code) twice(self);
    if (!code) code = give_names(self);
    for (size_t i = 0; !code && i < self->list.count; i++)
        code = settle(self, &self->list.items[i]);
    return code;
}

int import_run(cli_t *cli, const char *kind, import_read_fn *read)
{
    importing_t self = { .cli = cli, .mark = say("import/%s", kind) };
    json_t *types = json_object();
    bool people = !output_is_json() && strcmp(output_format(), "csv") != 0 &&
                  strcmp(output_format(), "id") != 0;
    self.list.zone = args_text(&cli->args, "zone");
    self.list.prefix = args_text(&cli->args, "prefix");
    self.list.types = types;
    self.task_fields = task_json_from_args(&cli->args);
    int code = self.task_fields ? read_types(cli, types) : EXIT_USAGE;
    if (!code && self.list.zone && !zone_exists(self.list.zone))
        code = fail(EXIT_USAGE, say("unknown time zone %s", self.list.zone),
                    "it is not in this machine's zone database", "--zone Europe/Paris");
    self.output = people || code ? NULL : output_new(import_columns, 0);
    if (!code) code = import_all(&self, read);
    int printed = self.output ? output_end(&self.output) : 0;
    fflush(stdout);
    if (!code) {
        tell_gone(&self);
        cli_note(cli, "%zu found: %zu taken (%zu unchanged), %zu refused%s",
                 self.taken + self.refused, self.taken, self.unchanged, self.refused,
                 cli->dry_run ? "   (nothing written)" : "");
    }
    for (size_t i = 0; i < self.made_count; i++)
        json_decref(self.made[i].spec);
    free(self.made);
    import_list_free(&self.list);
    json_decref(self.task_fields);
    json_decref(types);
    return code ? code : printed ? printed : self.refused ? EXIT_PARTLY : EXIT_OK;
}

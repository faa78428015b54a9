/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/formats/crontabwrite.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "client/cli/formats/crontab.h"
#include "client/cli/json.h"
#include "client/cli/programs.h"
#include "client/cli/text.h"
#include "client/time/rule.h"

/* A schedule on its way into the file. */
typedef struct entry {
    const json_t *spec;
    const char *name, *zone, *rule, *shell, *command, *input, *account;
    json_t *env; /* without SHELL; owned */
    const char *left_out, *unsaid;
} entry_t;

/* What a line says, or why it is left out, judged by name. All other keys, those to come too, are
 * told as not said. */
static const char *const said[] = { "name", "rule", "also", "after", "zone", "paused", "task" };
static const char *const said_of_task[] = { "type",  "argv", "shell",  "script",
                                            "stdin", "env",  "account" };
/* Without these it would run when it should not. */
static const char *const needed[] = { "except", "start", "end", "calendars", "max_firings" };

static bool is_in(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static void leave_out(entry_t *self, const char *why)
{
    if (!self->left_out) self->left_out = why;
}

static void leave_unsaid(entry_t *self, const char *words)
{
    self->unsaid = *self->unsaid ? say("%s, %s", self->unsaid, words) : words;
}

/* ---- the rule -------------------------------------------------------------------------------- */

static bool take_value(const char **at, long *value)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdecsunmontuewedthufrisat";
    char *end;
    if (isdigit((unsigned char)**at)) {
        *value = strtol(*at, &end, 10);
        *at = end;
        return true;
    }
    for (long i = 0; names[3 * i]; i++)
        if (strncasecmp(names + 3 * i, *at, 3) == 0) {
            *value = i < 12 ? i + 1 : i - 12;
            *at += 3;
            return true;
        }
    return false;
}

/* As crontab(5) has it: no wrap, no step behind a single value, none of L W #. */
static bool field_is_plain(const char *at)
{
    for (;; at++) {
        long from, to;
        bool range = *at == '*';
        if (range) {
            at++;
        } else {
            if (!take_value(&at, &from)) return false;
            if (*at == '-') {
                at++;
                range = true;
                if (!take_value(&at, &to) || to < from) return false;
            }
        }
        if (*at == '/') {
            at++;
            if (!range || !take_value(&at, &from)) return false;
        }
        if (!*at) return true;
        if (*at != ',') return false;
    }
}

static bool is_plain(const char *rule)
{
    char *rest = text_keep(mem_text(rule));
    size_t n = 0;
    if (*rule == '@') return strchr(rule, ' ') == NULL; /* the macros are cron's own */
    for (char *field; (field = strsep(&rest, " \t"));) {
        if (!*field) continue;
        if (!field_is_plain(field)) return false;
        n++;
    }
    return n == 5;
}

/* NULL: crontab(5) cannot say it. */
static const char *plain_rule(const char *text, const char *zone_text)
{
    zone_t *zone = NULL;
    rule_t *rule = NULL;
    const char *plain = NULL;
    if (is_plain(text)) return text;
    if (!zone_open(&zone, zone_text, NULL) &&
        !rule_parse(&rule, text, strlen(text), NULL, NULL, zone, NULL) && rule_is_cron(rule)) {
        buf_t normal = { 0 };
        rule_normal(rule, &normal);
        buf_add(&normal, "", 1);
        plain = text_keep((char *)normal.at);
        size_t blanks = 0;
        for (const char *at = plain; *at; at++)
            blanks += *at == ' ';
        if (blanks == 5 && strncmp(plain, "0 ", 2) == 0) plain += 2; /* at second 0 */
        if (!is_plain(plain)) plain = NULL;
    }
    rule_destroy(&rule);
    zone_destroy(&zone);
    return plain;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* % means a new line in a crontab, so it is \%. */
static void add_escaped(buf_t *to, const char *text)
{
    for (; *text; text++)
        buf_printf(to, *text == '%' ? "\\%c" : "%c", *text);
}

static const char *command_text(const entry_t *self)
{
    buf_t text = { 0 };
    add_escaped(&text, self->command);
    if (self->input && *self->input) {
        size_t len = strlen(self->input);
        bool last = self->input[len - 1] == '\n' && (len < 2 || self->input[len - 2] != '\n');
        char *input = text_keep(mem_text(self->input));
        if (last && len > 1) input[len - 1] = '\0'; /* cron ends the last line itself */
        buf_printf(&text, "%%");
        for (char *line; (line = strsep(&input, "\n"));) {
            add_escaped(&text, line);
            if (input) buf_printf(&text, "%%");
        }
    }
    return text.at ? text_keep((char *)text.at) : "";
}

static const char *entry_line(const entry_t *self)
{
    return say("%s%s%s %s", self->rule, self->account ? " " : "",
               self->account ? self->account : "", command_text(self));
}

static const char *variable_line(const char *name, const char *value)
{
    size_t len = strlen(value);
    bool quoted = !len || isspace((unsigned char)*value) ||
                  isspace((unsigned char)value[len - 1]) || strchr("\"'", *value);
    const char *mark = !quoted ? "" : strchr(value, '"') ? "'" : "\"";
    return say("%s=%s%s%s", name, mark, value, mark);
}

static void read_task(entry_t *self, bool system)
{
    const json_t *task = json_object_get(self->spec, "task"), *argv = json_object_get(task, "argv");
    const char *shell = text_at(task, "shell"), *own = text_at(self->env, "SHELL");
    const char *first = json_string_value(json_array_get(argv, 0));
    const char *second = json_string_value(json_array_get(argv, 1));
    self->input = text_at(task, "stdin");
    self->shell = "/bin/sh";
    if (shell) {
        self->command = shell;
        if (own && strcmp(own, "/bin/sh") != 0)
            leave_out(self, "its variable SHELL is not the shell that runs it");
    } else if (json_array_size(argv) == 3 && second && strcmp(second, "-c") == 0 &&
               (!own || strcmp(own, first) == 0)) {
        self->shell = first;
        self->command = json_string_value(json_array_get(argv, 2));
    } else if (argv) {
        size_t count = json_array_size(argv);
        char **words = mem_new((count + 1) * sizeof *words);
        for (size_t i = 0; i < count; i++)
            words[i] = (char *)(uintptr_t)json_string_value(json_array_get(argv, i));
        self->command = shell_words(words, count);
        free(words);
    } else {
        self->command = "";
        leave_out(self, json_object_get(task, "script")
                            ? "its script stands in no file"
                            : say("tasks of the type %s are no commands", text_at(task, "type")));
    }
    json_object_del(self->env, "SHELL");
    const char *account = text_at(task, "account");
    if (system && account) self->account = account;
    if (!system && account) leave_unsaid(self, say("account %s", account));
    const char *cwd = text_at(task, "cwd"), *home = cron_home(self->env, account);
    bool as_cron = cwd && home && strcmp(cwd, home) == 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)task, key, value)
    {
        if (!is_in(said_of_task, ARRAY_LEN(said_of_task), key) &&
            !(as_cron && strcmp(key, "cwd") == 0))
            leave_unsaid(self, key);
    }
}

/* ---- a schedule ------------------------------------------------------------------------------ */

static bool is_line(const entry_t *self, const crontab_line_t *line)
{
    const char *input = line->stdin_text ? line->stdin_text : "";
    return !line->refused && line->zone && line->shell && strcmp(line->zone, self->zone) == 0 &&
           strcmp(line->shell, self->shell) == 0 && strcmp(line->rule, self->rule) == 0 &&
           strcmp(line->command, self->command) == 0 &&
           strcmp(input, self->input ? self->input : "") == 0 &&
           strcmp(line->account, self->account ? self->account : "") == 0 &&
           json_equal(line->env, self->env) == 1;
}

/* Reads back what would be written and looks whether it is the same. */
static bool reads_back(const entry_t *self)
{
    crontab_t crontab;
    buf_t text = { 0 };
    const char *name;
    json_t *value;
    buf_printf(&text, "CRON_TZ=%s\n%s\n", self->zone, variable_line("SHELL", self->shell));
    json_object_foreach(self->env, name, value)
        buf_printf(&text, "%s\n", variable_line(name, json_string_value(value)));
    buf_printf(&text, "%s\n", entry_line(self));
    crontab_read(&crontab, (const char *)text.at, text.len, self->account != NULL);
    bool same = crontab.count == 1 && is_line(self, &crontab.lines[0]);
    crontab_free(&crontab);
    buf_free(&text);
    return same;
}

/* The fields of a rule divided by one blank, as they read back. */
static const char *one_blank(const char *rule)
{
    buf_t text = { 0 };
    char *rest = text_keep(mem_text(rule));
    for (char *field; (field = strsep(&rest, " \t"));)
        if (*field) buf_printf(&text, "%s%s", text.len ? " " : "", field);
    return text_keep((char *)text.at);
}

static void read_spec(entry_t *self, const json_t *spec, const char *account)
{
    *self = (entry_t){ .spec = spec, .unsaid = "", .account = account };
    self->name = text_at(spec, "name");
    self->zone = text_at(spec, "zone") ? text_at(spec, "zone") : "UTC";
    json_t *env = json_object_get(json_object_get(spec, "task"), "env");
    self->env = env ? json_copy(env) : json_object();
    const char *rule = text_at(spec, "rule");
    self->rule = rule ? plain_rule(rule, self->zone) : NULL;
    if (!rule)
        leave_out(self, "a crontab has no delay behind the end of a run");
    else if (json_object_get(spec, "also"))
        leave_out(self, "a line of a crontab has one rule");
    else if (self->rule)
        self->rule = one_blank(self->rule);
    else
        leave_out(self, say("no rule of crontab(5) is %s", rule));
    if (json_is_true(json_object_get(spec, "paused"))) leave_out(self, "it is paused");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)spec, key, value)
    {
        const char *text = json_string_value(value);
        if (is_in(needed, ARRAY_LEN(needed), key))
            leave_out(self, say("a crontab has no %s: it would run when it should not", key));
        else if (!is_in(said, ARRAY_LEN(said), key))
            leave_unsaid(self, say("%s%s%s", key, text ? " " : "", text ? text : ""));
    }
    read_task(self, account != NULL);
    if (!self->left_out && !reads_back(self))
        leave_out(self, "its command, standard input or environment cannot be written in a crontab "
                        "(a new line, or a backslash before %)");
}

/* ---- the file -------------------------------------------------------------------------------- */

/* backup-2 before backup-10. */
static int by_name(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *end_a, *end_b;
            unsigned long long x = strtoull(a, &end_a, 10), y = strtoull(b, &end_b, 10);
            if (x != y) return x < y ? -1 : 1;
            a = end_a;
            b = end_b;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

/* Variables stay in force to the end of the file: those with few come first. */
static int by_variables(const void *a, const void *b)
{
    const entry_t *left = a, *right = b;
    size_t x = json_object_size(left->env), y = json_object_size(right->env);
    return x != y ? (x < y ? -1 : 1) : by_name(left->name, right->name);
}

typedef struct in_force {
    const char *zone, *shell;
    json_t *env;
} in_force_t;

static void write_variables(in_force_t *now, const entry_t *entry, FILE *to)
{
    const char *name;
    json_t *value;
    if (!now->zone || strcmp(now->zone, entry->zone) != 0) fprintf(to, "CRON_TZ=%s\n", entry->zone);
    if (!now->shell || strcmp(now->shell, entry->shell) != 0)
        fprintf(to, "%s\n", variable_line("SHELL", entry->shell));
    json_object_foreach(entry->env, name, value)
    {
        if (json_equal(json_object_get(now->env, name), value) == 1) continue;
        fprintf(to, "%s\n", variable_line(name, json_string_value(value)));
        json_object_set(now->env, name, value);
    }
    now->zone = entry->zone;
    now->shell = entry->shell;
}

/* What stands in a comment must not end it: titles are free text. */
static const char *one_line(const char *text)
{
    char *line = text_keep(mem_text(text));
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at)) *at = ' ';
    return line;
}

static void write_entry(in_force_t *now, entry_t *entry, FILE *to)
{
    const char *name;
    json_t *value;
    json_object_foreach(now->env, name, value) if (!json_object_get(entry->env, name)) leave_out(
        entry, say("the variable %s, set above for others, cannot be unset: export it to a "
                   "file of its own",
                   name));
    if (entry->left_out) {
        fprintf(to, "# %s is not written: %s\n", entry->name, one_line(entry->left_out));
        return;
    }
    write_variables(now, entry, to);
    fprintf(to, "# pawl: schedule %s\n", entry->name);
    if (*entry->unsaid) fprintf(to, "# not said here: %s\n", one_line(entry->unsaid));
    fprintf(to, "%s\n", entry_line(entry));
}

void crontab_write(json_t *const *specs, size_t n, const char *account, FILE *to,
                   crontab_written_t *results)
{
    entry_t *entries = mem_new((n + 1) * sizeof *entries);
    in_force_t now = { .env = json_object() };
    for (size_t i = 0; i < n; i++)
        read_spec(&entries[i], specs[i], account);
    qsort(entries, n, sizeof *entries, by_variables);
    fputs("# Written by `pawl export crontab`. Cron starts a run while the last one still runs.\n"
          "# CRON_TZ is cronie's: another cron runs everything in the machine's zone.\n",
          to);
    for (size_t i = 0; i < n; i++) {
        write_entry(&now, &entries[i], to);
        results[i] = (crontab_written_t){ entries[i].name, entries[i].left_out, entries[i].unsaid };
        json_decref(entries[i].env);
    }
    json_decref(now.env);
    free(entries);
}

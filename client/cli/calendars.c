/* SPDX-License-Identifier: Apache-2.0
 * client/cli/calendars.c - pawl calendar set, list, show, rm; calendars in files. */
#include "client/cli/calendars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/handlers.h"
#include "client/cli/fileread.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/time/calendar.h"

static const char usage[] =
    "2026-12-24, 12-24..01-02, SAT..SUN, 2026-05-01T18:00..2026-05-02T06:00, \"days * 11 THU#4\"";

/* ---- entries --------------------------------------------------------------------------------- */

static void add_text(json_t *list, slice_t text)
{
    buf_t kept = { 0 };
    calendar_text(text, &kept);
    for (size_t from = 0, at = 0; at <= kept.len && kept.len; at++) {
        if (at < kept.len && kept.at[at] != '\n') continue;
        json_array_append_new(list, json_stringn((const char *)kept.at + from, at - from));
        from = at + 1;
    }
    buf_free(&kept);
}

/* Why the entries cannot be taken; NULL: they can. */
static const char *refusal(const json_t *entries)
{
    buf_t text = { 0 };
    rule_error_t error;
    calendar_t *calendar = NULL;
    const char *why = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry)
        buf_printf(&text, "%s%s", i ? "\n" : "", json_string_value(entry));
    if (calendar_parse(&calendar, slice(text.at, text.len), &error)) {
        size_t begin = 0, line = 0;
        for (size_t at = 0; at + 1 < error.column && at < text.len; at++)
            if (text.at[at] == '\n') {
                begin = at + 1;
                line++;
            }
        const char *which = json_string_value(json_array_get(entries, line));
        why = say("%s in \"%s\", column %zu", error.text, which ? which : "",
                  error.column > begin ? error.column - begin : error.column);
    }
    calendar_release(&calendar);
    buf_free(&text);
    return why;
}

static int add_file(json_t *list, const char *path)
{
    buf_t text = { 0 };
    int code = file_read(path, &text);
    if (!code) add_text(list, slice(text.at, text.len));
    buf_free(&text);
    return code;
}

static pawl_err put(cli_t *cli, const json_t *spec, int64_t if_revision)
{
    const json_t *entries = json_object_get(spec, "entries");
    size_t n = json_array_size(entries);
    const char **texts = mem_new((n + 1) * sizeof *texts);
    for (size_t i = 0; i < n; i++)
        texts[i] = json_string_value(json_array_get(entries, i));
    const char *title = text_at(spec, "title");
    pawl_err err = pawl_calendar_put(cli->client, text_at(spec, "name"), texts, n,
                                     title ? title : "", if_revision, cli->timeout_us);
    free(texts);
    return err;
}

/* ---- commands -------------------------------------------------------------------------------- */

static const column_t calendar_columns[] = {
    { "name", "name", AS_WORD, IN_TABLE },
    { "entries", "entries_n", AS_INT, IN_TABLE },
    { "users", "users", AS_INT, IN_TABLE },
    { "changed", "changed_us", AS_INSTANT, IN_TABLE },
    { "title", "title", AS_TEXT, IN_TABLE },
    { "following", "following", AS_BOOL, IN_WIDE },
    { 0 },
};

int cmd_calendar_set(cli_t *cli)
{
    const args_t *args = &cli->args;
    const char *name = args->words[0], *title = args_text(args, "title");
    json_t *entries = json_array();
    int code = 0;
    for (size_t i = 1; i < args->word_count; i++)
        add_text(entries, slice_text(args->words[i]));
    for (size_t i = 0; !code && i < args_count(args, "file"); i++)
        code = add_file(entries, args_given(args, "file", i)->value);
    const char *why = code ? NULL : refusal(entries);
    if (why) code = fail(EXIT_USAGE, say("the calendar %s cannot be taken", name), why, usage);
    json_t *spec = json_pack("{s:s, s:o, s:s?}", "name", name, "entries", entries, "title", title);
    if (!code && !cli->dry_run) code = cli_connect(cli);
    if (!code && !cli->dry_run) {
        pawl_err err = put(cli, spec, -1);
        if (err) code = fail_client(cli->client, err, say("the calendar %s was not set", name));
    }
    size_t n = json_array_size(entries);
    json_t *deed = cli_deed(cli, name, "set");
    json_object_set_new(deed, "entries", json_integer((json_int_t)n));
    if (!code)
        code = cli_done(cli, json_incref(deed), "%s  %s  %zu entr%s",
                        cli->dry_run ? "would set" : "set", name, n, n == 1 ? "y" : "ies");
    json_decref(deed);
    json_decref(spec);
    return code;
}

int cmd_calendar_list(cli_t *cli)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_calendar_list(cli->client, &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot list calendars");
    output_t *output = output_new(calendar_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((row = pawl_list_next(list, &err)) && output_record(output, row)) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all calendars") : code;
}

int cmd_calendar_show(cli_t *cli)
{
    pawl_record_t *record = NULL;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_calendar_get(cli->client, cli->args.words[0], &record, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot show the calendar");
    json_t *object = record_json(record, calendar_columns);
    json_t *spec = calendar_spec_of_record(record);
    json_object_set(object, "entries", json_object_get(spec, "entries"));
    json_decref(spec);
    pawl_record_destroy(&record);
    return output_object(object);
}

int cmd_calendar_rm(cli_t *cli)
{
    const char *name = cli->args.words[0];
    int code = cli_connect(cli);
    if (code) return code;
    pawl_record_t *there = NULL;
    pawl_err err = cli->dry_run ? pawl_calendar_get(cli->client, name, &there, cli->timeout_us)
                                : pawl_calendar_remove(cli->client, name, cli->timeout_us);
    pawl_record_destroy(&there);
    if (err) return fail_client(cli->client, err, say("cannot remove the calendar %s", name));
    if (cli->dry_run)
        return cli_done(cli, cli_deed(cli, name, "rm"), "would remove %s (nothing changed)", name);
    return cli_done(cli, cli_deed(cli, name, "rm"), "removed  %s", name);
}

/* ---- files ----------------------------------------------------------------------------------- */

bool calendar_is_spec(const json_t *given)
{
    const char *kind = text_at(given, "kind");
    return kind && strcmp(kind, "calendar") == 0;
}

static json_t *refuse(spec_error_t *error, const char *field, const char *why)
{
    snprintf(error->field, sizeof error->field, "%s", field);
    snprintf(error->why, sizeof error->why, "%s", why);
    return NULL;
}

json_t *calendar_spec_read(const json_t *given, spec_error_t *error)
{
    static const char *const keys[] = { "kind", "name", "title", "entries" };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
            known |= strcmp(keys[i], key) == 0;
        if (!known) return refuse(error, key, "unknown key of a calendar");
    }
    const char *name = text_at(given, "name");
    const json_t *list = json_object_get(given, "entries");
    if (!name || !*name) return refuse(error, "name", "it is needed");
    if (!json_is_array(list)) return refuse(error, "entries", say("it must be a list: %s", usage));
    json_t *entries = json_array();
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, value) if (json_is_string(value))
        add_text(entries, slice_text(json_string_value(value)));
    const char *why = refusal(entries);
    if (why) {
        json_decref(entries);
        return refuse(error, "entries", why);
    }
    const char *title = text_at(given, "title");
    return json_pack("{s:s, s:s, s:o, s:s*}", "kind", "calendar", "name", name, "entries", entries,
                     "title", title && *title ? title : NULL);
}

json_t *calendar_spec_of_record(const pawl_record_t *record)
{
    json_t *entries = json_array();
    for (size_t i = 0; i < pawl_record_count(record, "entries"); i++)
        json_array_append_new(entries, json_string(pawl_record_text_at(record, "entries", i)));
    const char *title = pawl_record_text(record, "title");
    return json_pack("{s:s, s:s, s:o, s:s*}", "kind", "calendar", "name",
                     pawl_record_text(record, "name"), "entries", entries, "title",
                     *title ? title : NULL);
}

int calendar_settle(cli_t *cli, const json_t *spec, bool writes, settlement_t *out)
{
    pawl_record_t *record = NULL;
    const char *name = text_at(spec, "name");
    *out = (settlement_t){ .kind = SETTLE_CREATE, .made_by = "" };
    out->spec = json_deep_copy(spec);
    pawl_err err = pawl_calendar_get(cli->client, name, &record, cli->timeout_us);
    if (err && err != PAWL_E_NOT_FOUND)
        return fail_client(cli->client, err, say("cannot look at calendar %s", name));
    if (record) {
        out->old = calendar_spec_of_record(record);
        out->revision = pawl_record_int(record, "revision");
        out->changes = schedule_spec_changes(out->old, out->spec, true);
        out->kind = json_array_size(out->changes) ? SETTLE_EDIT : SETTLE_UNCHANGED;
    }
    pawl_record_destroy(&record);
    if (!writes || out->kind == SETTLE_UNCHANGED) return 0;
    err = put(cli, out->spec, out->old ? out->revision : 0);
    if (err) {
        out->kind = SETTLE_REFUSED;
        out->why = client_why(cli->client, err);
    }
    return 0;
}

int calendar_texts(cli_t *cli, const char *const *names, size_t n, const char **texts)
{
    int code = n ? cli_connect(cli) : 0;
    for (size_t i = 0; !code && i < n; i++) {
        pawl_record_t *record = NULL;
        buf_t text = { 0 };
        pawl_err err = pawl_calendar_get(cli->client, names[i], &record, cli->timeout_us);
        if (err) return fail_client(cli->client, err, say("cannot read the calendar %s", names[i]));
        for (size_t k = 0; k < pawl_record_count(record, "entries"); k++)
            buf_printf(&text, "%s%s", k ? "\n" : "", pawl_record_text_at(record, "entries", k));
        pawl_record_destroy(&record);
        texts[i] = text_keep((char *)text.at);
    }
    return code;
}

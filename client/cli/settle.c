/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/settle.h"
#include "client/cli/json.h"

#include <stdio.h>
#include <stdlib.h>

void settle_compare(settlement_t *out, const json_t *spec, bool whole, const pawl_record_t *row)
{
    *out = (settlement_t){ .kind = SETTLE_CREATE, .whole = whole, .made_by = "" };
    out->spec = json_deep_copy(spec);
    if (row) {
        out->old = schedule_spec_of_record(row, &out->made_by);
        out->revision = pawl_record_int(row, "revision");
    }
    schedule_spec_anchor(out->spec, out->old);
    if (!row) return;
    out->changes = schedule_spec_changes(out->old, out->spec, whole);
    out->kind = json_array_size(out->changes) ? SETTLE_EDIT : SETTLE_UNCHANGED;
}

int settle_look(cli_t *cli, settlement_t *out, const json_t *spec, bool whole)
{
    pawl_record_t *record = NULL;
    const char *name = text_at(spec, "name");
    pawl_err err = PAWL_E_NOT_FOUND;
    *out = (settlement_t){ 0 };
    if (cli->client) err = pawl_schedule_get(cli->client, name, &record, cli->timeout_us);
    if (err && err != PAWL_E_NOT_FOUND)
        return fail_client(cli->client, err, say("cannot look at schedule %s", name));
    settle_compare(out, spec, whole, record);
    pawl_record_destroy(&record);
    return 0;
}

static bool changed(const settlement_t *self, const char *field)
{
    size_t i;
    json_t *change;
    json_array_foreach(self->changes, i,
                       change) if (strcmp(text_at(change, "field"), field) == 0) return true;
    return false;
}

static void refuse(settlement_t *self, const char *why)
{
    self->kind = SETTLE_REFUSED;
    self->why = why;
}

/* As it is to be on record; NULL: *err, or *error, says why not. */
static pawl_schedule_t *wanted_schedule(cli_t *cli, const settlement_t *self, const char *mark,
                                        pawl_err *err, spec_error_t *error)
{
    pawl_schedule_t *schedule = NULL;
    uint64_t revision = (uint64_t)self->revision;
    const char *name = text_at(self->spec, "name");
    *err = PAWL_OK;
    if (self->old && !self->whole)
        *err = pawl_schedule_load(cli->client, name, &schedule, &revision, cli->timeout_us);
    else
        schedule = pawl_schedule_new(name);
    if (!*err && !schedule) *err = PAWL_E_NO_MEMORY;
    if (!*err && (int64_t)revision != self->revision) *err = PAWL_E_CONFLICT;
    if (!*err && !schedule_spec_put(self->spec, mark, schedule, error)) *err = PAWL_E_BAD_REQUEST;
    if (*err) pawl_schedule_destroy(&schedule);
    return schedule;
}

static const char *cursor_of(const settlement_t *self, const char *cursor)
{
    static const char *const of_a_rule[] = { "rule",      "zone",   "also",  "except", "after",
                                             "calendars", "jitter", "start", "end" };
    if (!self->old) return NULL;
    for (size_t i = 0; !cursor && i < ARRAY_LEN(of_a_rule); i++)
        if (changed(self, of_a_rule[i])) cursor = "";
    return cursor ? cursor : "keep";
}

/* What only `paused` says is done apart. */
static bool is_put(const settlement_t *self)
{
    bool only_paused = changed(self, "paused") && json_array_size(self->changes) == 1;
    return self->kind == SETTLE_CREATE || !only_paused;
}

static void pause_or_resume(cli_t *cli, settlement_t *self)
{
    const json_t *paused = json_object_get(self->spec, "paused");
    bool was_paused = json_is_true(json_object_get(self->old, "paused"));
    if (self->kind == SETTLE_REFUSED || !paused || json_is_true(paused) == was_paused) return;
    pawl_err err = pawl_schedule_change(cli->client, was_paused ? "resume" : "pause",
                                        text_at(self->spec, "name"), "as its file says", NULL, NULL,
                                        cli->timeout_us);
    if (err) refuse(self, client_why(cli->client, err));
}

static void take_outcome(cli_t *cli, settlement_t *self, pawl_schedule_item_t *item)
{
    pawl_schedule_t *schedule = (pawl_schedule_t *)(uintptr_t)item->schedule;
    pawl_schedule_destroy(&schedule);
    if (item->err)
        refuse(self, *item->why ? say("%s (%s)", item->why, pawl_err_name(item->err))
                                : client_why(cli->client, item->err));
}

void settle_write_many(cli_t *cli, settling_t *items, size_t n)
{
    pawl_schedule_item_t *puts = mem_new((n + 1) * sizeof *puts);
    settlement_t **of = mem_new((n + 1) * sizeof *of);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        settlement_t *self = items[i].settled;
        const char *mark = items[i].made_by ? items[i].made_by : self->made_by;
        spec_error_t error = { "", "" };
        if (!is_put(self)) continue;
        pawl_schedule_item_t put = { .if_revision = self->revision,
                                     .cursor = cursor_of(self, items[i].cursor) };
        put.schedule = wanted_schedule(cli, self, mark, &put.err, &error);
        if (!put.schedule) {
            refuse(self, *error.why ? say("%s: %s", error.field, error.why)
                                    : client_why(cli->client, put.err));
        } else {
            of[count] = self;
            puts[count++] = put;
        }
    }
    /* each item has its outcome, that of the whole included */
    (void)pawl_schedule_put_many(cli->client, puts, count, cli->timeout_us);
    for (size_t i = 0; i < count; i++)
        take_outcome(cli, of[i], &puts[i]);
    for (size_t i = 0; i < n; i++)
        pause_or_resume(cli, items[i].settled);
    free(puts);
    free(of);
}

bool settle_write(cli_t *cli, settlement_t *self, const char *made_by, const char *cursor)
{
    settling_t one = { self, made_by, cursor };
    settle_write_many(cli, &one, 1);
    return self->kind != SETTLE_REFUSED;
}

void settlement_free(settlement_t *self)
{
    json_decref(self->spec);
    json_decref(self->old);
    json_decref(self->changes);
    *self = (settlement_t){ 0 };
}

const char *settle_word(settle_kind_t kind)
{
    static const char *const words[] = { "unchanged", "created", "edited", "refused" };
    return words[kind];
}

static const char *shown(const json_t *value)
{
    if (!value || json_is_null(value)) return "(none)";
    const char *plain = json_string_value(value);
    for (const char *at = plain; at && *at; at++)
        if ((unsigned char)*at < 0x20) { /* one line, and nothing that a terminal obeys */
            plain = NULL;
            break;
        }
    if (plain) return plain;
    return text_keep(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));
}

void settle_print_changes(const settlement_t *self, const char *indent)
{
    size_t i;
    json_t *change;
    json_array_foreach(self->changes, i, change)
        printf("%s%s: %s -> %s\n", indent, text_at(change, "field"),
               shown(json_object_get(change, "old")), shown(json_object_get(change, "new")));
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/watermarks.c - pawl watermark list, show, set, rm.
 *
 * A change looks first and sends the revision that it saw: whoever was there in between, a producer
 * or a person, is not written over unseen, but for --force without --expect. */
#include <string.h>

#include "client/cli/handlers.h"
#include "client/cli/ids.h"
#include "client/cli/output.h"
#include "client/cli/sqlspec.h"
#include "schemas/limits.h"

static const char usage[] = "schedule=NAME, scope=NAME, task=ID or id=ID: see pawl watermark list";

/* ---- which one ------------------------------------------------------------------------------- */

typedef struct which {
    pawl_watermark_of_t of;
    uint8_t id[PAWL_ID_BYTES]; /* of points here for a task and an id */
} which_t;

static int which_read(cli_t *cli, const char *text, which_t *self)
{
    const char *principal = args_text(&cli->args, "principal"), *equals = strchr(text, '=');
    const char *value = equals ? equals + 1 : text;
    size_t len = equals ? (size_t)(equals - text) : 0;
    *self = (which_t){ .of = { .principal = principal } };
    bool names = strncmp(text, "scope=", len + 1) == 0;
    if (principal && !(equals && names))
        return fail(EXIT_USAGE, say("%s has no principal", text),
                    "only a scope that producers name belongs to one", usage);
    if (equals && *value && names) {
        self->of.name = value;
    } else if (equals && *value && strncmp(text, "schedule=", len + 1) == 0) {
        self->of.schedule = value;
    } else if (equals && strncmp(text, "task=", len + 1) == 0) {
        self->of.task = self->id;
        return id_read(cli, value, "cannot find the watermark", self->id);
    } else if (pawl_id_parse(value, self->id) && (!equals || strncmp(text, "id=", len + 1) == 0)) {
        self->of.scope = self->id;
    } else {
        return fail(EXIT_USAGE, say("\"%s\" names no watermark", text),
                    "it is said by what it belongs to", usage);
    }
    return 0;
}

/* ---- what there is --------------------------------------------------------------------------- */

static const column_t watermark_columns[] = {
    { "of", "", AS_GIVEN, IN_TABLE },
    { "value", "", AS_GIVEN, IN_TABLE },
    { "tasks", "created", AS_INT, IN_TABLE },
    { "running", "running", AS_BOOL, IN_TABLE },
    { "changed", "changed_us", AS_INSTANT, IN_TABLE },
    { "id", "scope", AS_ID, IN_WIDE },
    { "principal", "principal", AS_TEXT, IN_WIDE },
    { "writer", "writer", AS_ID, IN_WIDE },
    { "revision", "revision", AS_INT, IN_JSON },
    { "kind", "kind", AS_WORD, IN_JSON },
    { "name", "name", AS_TEXT, IN_JSON },
    { "task", "task", AS_ID, IN_JSON },
    { 0 },
};

/* NULL: none yet. */
static json_t *value_of(const pawl_record_t *record)
{
    size_t len = 0;
    const char *bytes = pawl_record_bytes(record, "value", &len);
    return len ? json_loadb(bytes, len, JSON_DECODE_ANY, NULL) : NULL;
}

static json_t *watermark_json(const pawl_record_t *record)
{
    json_t *object = record_json(record, watermark_columns), *value = value_of(record);
    const char *kind = pawl_record_text(record, "kind"), *name = pawl_record_text(record, "name");
    const char *task = json_string_value(json_object_get(object, "task"));
    const char *id = json_string_value(json_object_get(object, "id"));
    if (task) name = task;
    bool known = *name != '\0';
    json_object_set_new(object, "of",
                        json_string(say("%s=%s", known ? kind : "id", known ? name : id)));
    if (value) json_object_set_new(object, "value", value);
    return object;
}

int cmd_watermark_list(cli_t *cli)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *row;
    int code = cli_connect(cli);
    if (code) return code;
    pawl_err err = pawl_watermark_list(cli->client, &list, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot list watermarks");
    output_t *output = output_new(watermark_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((row = pawl_list_next(list, &err)) && output_row(output, watermark_json(row))) {
    }
    pawl_list_destroy(&list);
    code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all watermarks") : code;
}

int cmd_watermark_show(cli_t *cli)
{
    pawl_record_t *record = NULL;
    which_t which;
    int code = cli_connect(cli);
    if (!code) code = which_read(cli, cli->args.words[0], &which);
    if (code) return code;
    pawl_err err = pawl_watermark_get(cli->client, &which.of, &record, cli->timeout_us);
    if (err) return fail_client(cli->client, err, "cannot show the watermark");
    json_t *object = watermark_json(record);
    pawl_record_destroy(&record);
    return output_object(object);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* As --param reads it; a bare text where an instant stands is one, as producers write them. */
static json_t *value_read(const char *text, const json_t *now)
{
    json_t *value = sql_param_value(text);
    if (json_is_string(value) && json_is_object(now) && json_object_get(now, "$time"))
        return json_pack("{s:o}", "$time", value);
    return value;
}

static const char *shown(const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    return text ? text_keep(text) : "none";
}

/* 0, or the code of a printed error: the present value is not what --expect says. */
static int compare(const cli_t *cli, const char *what, const json_t *now)
{
    const char *expected = args_text(&cli->args, "expect");
    if (!expected) return 0;
    json_t *wanted = *expected ? value_read(expected, now) : NULL;
    bool same = wanted && now ? json_equal(wanted, now) : !*expected && !now;
    json_decref(wanted);
    return same ? 0
                : fail(EXIT_CONFLICT, what, say("the present value is %s", shown(now)),
                       say("pawl watermark show %s", cli->args.words[0]));
}

static int change(cli_t *cli, const which_t *which, const json_t *now, int64_t revision,
                  const char *what)
{
    const args_t *args = &cli->args;
    bool sets = args->word_count == 2, force = args_has(args, "force");
    json_t *value = sets ? value_read(args->words[1], now) : NULL;
    const char *text = shown(value);
    bool plain = sets && (json_is_number(value) || json_is_string(value) || json_is_object(value));
    json_decref(value);
    if (sets && (!plain || strlen(text) > LIMIT_WATERMARK))
        return fail(EXIT_USAGE, what,
                    say("%.60s is no number, text or {\"$time\": ...} of at most %d bytes", text,
                        LIMIT_WATERMARK),
                    "pawl watermark set schedule=NAME 1200");
    if (force && !args_text(args, "expect"))
        revision = -1; /* one that runs moves it all the time */
    const char *was = shown(now);
    pawl_err err = PAWL_OK;
    if (!cli->dry_run)
        err =
            sets ? pawl_watermark_set(cli->client, &which->of, text, strlen(text), revision, force,
                                      cli->timeout_us)
                 : pawl_watermark_remove(cli->client, &which->of, revision, force, cli->timeout_us);
    if (err) return fail_client(cli->client, err, what);
    json_t *deed = cli_deed(cli, args->words[0], sets ? "set" : "rm");
    json_object_set_new(deed, "value",
                        sets ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null());
    json_object_set_new(deed, "was", now ? json_deep_copy(now) : json_null());
    if (cli->dry_run)
        return cli_done(cli, deed, "would %s %s (now %s; nothing changed)",
                        sets ? say("set to %s:", text) : "remove", args->words[0], was);
    return cli_done(cli, deed, "%s  %s  %s (was %s)", sets ? "set" : "removed", args->words[0],
                    sets ? text : "none", was);
}

int cmd_watermark_change(cli_t *cli)
{
    const char *what = say("cannot %s the watermark %s", verb_of(cli), cli->args.words[0]);
    pawl_record_t *record = NULL;
    which_t which;
    int code = cli_connect(cli);
    if (!code) code = which_read(cli, cli->args.words[0], &which);
    if (code) return code;
    pawl_err err = pawl_watermark_get(cli->client, &which.of, &record, cli->timeout_us);
    if (err && !(err == PAWL_E_NOT_FOUND && cli->args.word_count == 2))
        return fail_client(cli->client, err, what);
    json_t *now = record ? value_of(record) : NULL;
    code = compare(cli, what, now);
    if (!code)
        code = change(cli, &which, now, record ? pawl_record_int(record, "revision") : 0, what);
    json_decref(now);
    pawl_record_destroy(&record);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/cli/family.c - the children of a fan-out: pawl task children, and what task show says. */
#include "client/cli/family.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/cli/handlers.h"
#include "client/cli/ids.h"
#include "client/cli/output.h"

enum {
    TAIL_BYTES = 2000,
    LAST_LINE_MOST = 60,
    FEW = 20,          /* so many children are shown beside their parent */
    FIRST_FAILED = 10, /* of more of them these */
    CELL_MOST = 200    /* letters of one field of a parent */
};

json_t *family_json(const pawl_record_t *task)
{
    const pawl_record_t *fanout = pawl_record_sub(task, "fanout");
    return fanout ? record_json(fanout, fanout_columns) : NULL;
}

pawl_err family_children(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], pawl_filter_t *filter,
                         pawl_list_t **list)
{
    char text[PAWL_ID_TEXT];
    pawl_id_print(id, text);
    pawl_filter_add(filter, "parent", text);
    pawl_err err = pawl_task_list(cli->client, filter, list, cli->timeout_us);
    pawl_filter_destroy(&filter);
    return err;
}

// ---- a row for each host -----------------------------------------------------------------------

static json_t *line_json(const char *text, size_t len)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    size_t from = len;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    if (len - from > LAST_LINE_MOST) {
        len = from + LAST_LINE_MOST;
        while (len > from && (text[len] & 0xC0) == 0x80)
            len--; /* no part of a character */
    }
    json_t *line = len > from ? json_stringn(text + from, len - from) : NULL;
    return line ? line : json_null();
}

/* The last line that a child printed. One or two requests: only where it is shown. */
static json_t *last_line(cli_t *cli, const pawl_record_t *child)
{
    size_t len = 0;
    const uint8_t *id = pawl_record_bytes(child, "id", &len);
    pawl_record_t *log = NULL;
    uint64_t offset = 0;
    json_t *line = NULL;
    for (unsigned look = 0; look < 2 && !line; look++) {
        if (pawl_log_read(cli->client, id, 0, offset, 0, &log, cli->timeout_us)) return json_null();
        uint64_t total = (uint64_t)pawl_record_int(log, "total");
        size_t pieces = pawl_record_count(log, "pieces");
        bool all = (uint64_t)pawl_record_int(log, "next") >= total;
        if (pieces && all) {
            const pawl_record_t *piece = pawl_record_sub_at(log, "pieces", pieces - 1);
            const char *data = pawl_record_bytes(piece, "data", &len);
            line = line_json(data ? data : "", data ? len : 0);
        }
        pawl_record_destroy(&log);
        if (total <= TAIL_BYTES || all) break;
        offset = total - TAIL_BYTES;
    }
    return line ? line : json_null();
}

static json_t *child_row(cli_t *cli, const pawl_record_t *child, bool with_line)
{
    json_t *row = record_json(child, child_columns);
    int64_t started = pawl_record_int(child, "started_us"),
            ended = pawl_record_int(child, "ended_us");
    const char *message = pawl_record_text(child, "message");
    bool read = with_line && started;
    if (!ended && started) ended = clock_wall_us();
    int64_t took = ended > started ? (ended - started) / 1000 * 1000 : 0; /* whole milliseconds */
    json_object_set_new(row, "duration", started ? json_string(duration_text(took)) : json_null());
    json_t *line = read ? last_line(cli, child) : json_null();
    if (json_is_null(line) && *message) line = line_json(message, strlen(message));
    json_object_set_new(row, "last_line", line);
    return row;
}

/* limit: as for output_new; most: rows at most, of more nothing is said. */
static int table(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], pawl_filter_t *filter, uint64_t limit,
                 uint64_t most)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *child;
    pawl_err err = family_children(cli, id, filter, &list);
    if (err) return fail_client(cli->client, err, "cannot list the children");
    output_t *output = output_new(child_columns, limit);
    bool line = output_wants(output, "last_line");
    while (most-- > 0 && (child = pawl_list_next(list, &err)) &&
           output_row(output, child_row(cli, child, line))) {
    }
    pawl_list_destroy(&list);
    int code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all children") : code;
}

int cmd_task_children(cli_t *cli)
{
    uint8_t id[PAWL_ID_BYTES];
    int code = cli_connect(cli);
    pawl_filter_t *filter = code ? NULL : filter_read(cli, &code);
    if (!code) code = id_read(cli, cli->args.words[0], "cannot list the children", id);
    if (!code)
        return table(cli, id, filter, (uint64_t)args_number(&cli->args, "limit", 0), UINT64_MAX);
    pawl_filter_destroy(&filter);
    return code;
}

int family_all(cli_t *cli, const uint8_t id[PAWL_ID_BYTES])
{
    return table(cli, id, pawl_filter_new(), UINT64_MAX, UINT64_MAX);
}

json_t *family_all_json(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], int *code)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *child;
    json_t *rows = json_array();
    pawl_err err = family_children(cli, id, pawl_filter_new(), &list);
    while (!err && (child = pawl_list_next(list, &err)))
        json_array_append_new(rows, child_row(cli, child, true));
    pawl_list_destroy(&list);
    *code = err ? fail_client(cli->client, err, "cannot list all children") : 0;
    return rows;
}

void family_trim(json_t *parent)
{
    static const char *const of_attempts[] = { "attempt", "attempts", "attempts_max" };
    void *next;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < ARRAY_LEN(of_attempts); i++)
        json_object_del(parent, of_attempts[i]);
    json_object_foreach_safe(parent, next, key, value)
    {
        char *text = cell_text(value);
        bool says_nothing = !*text || strcmp(text, "0") == 0;
        size_t len = strlen(text);
        if (len > CELL_MOST) { /* ten thousand names */
            for (len = CELL_MOST; len > 0 && (text[len] & 0xC0) == 0x80;)
                len--;
            text[len] = '\0';
            json_object_set_new(parent, key, json_string(say("%s ...", text)));
        }
        if (says_nothing) json_object_del(parent, key);
        free(text);
    }
}

/* How many there are of each status, as far as the parent counts them. */
static int count_table(const pawl_record_t *fanout)
{
    static const struct {
        const char *status, *field;
    } rows[] = { { "finished", "ok" },         { "failed", "failed" },   { "expired", "expired" },
                 { "cancelled", "cancelled" }, { "skipped", "skipped" }, { "blocked", "blocked" } };
    output_t *output = output_new(child_count_columns, UINT64_MAX);
    int64_t at_work = pawl_record_int(fanout, "open") - pawl_record_int(fanout, "blocked");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t n = pawl_record_int(fanout, rows[i].field);
        if (n)
            output_row(output, json_pack("{s:s, s:I}", "status", rows[i].status, "children",
                                         (json_int_t)n));
    }
    if (at_work)
        output_row(output, json_pack("{s:s, s:I}", "status", "waiting or running", "children",
                                     (json_int_t)at_work));
    return output_end(&output);
}

int family_summary(cli_t *cli, const pawl_record_t *parent)
{
    const pawl_record_t *fanout = pawl_record_sub(parent, "fanout");
    size_t len;
    const uint8_t *id = pawl_record_bytes(parent, "id", &len);
    char text[PAWL_ID_TEXT];
    if (pawl_record_int(fanout, "total") <= FEW)
        return table(cli, id, pawl_filter_new(), UINT64_MAX, FEW);
    int64_t bad = pawl_record_int(fanout, "failed") + pawl_record_int(fanout, "expired");
    int code = count_table(fanout);
    pawl_id_print(id, text);
    if (!code && bad) {
        pawl_filter_t *filter = pawl_filter_new();
        pawl_filter_add(filter, "status", "failed");
        pawl_filter_add(filter, "status", "expired");
        putchar('\n');
        code = table(cli, id, filter, UINT64_MAX, FIRST_FAILED);
    }
    if (!code && bad > FIRST_FAILED)
        cli_note(cli,
                 "the first %d of %" PRId64 "; all: pawl task children %s --status failed,expired",
                 FIRST_FAILED, bad, text);
    if (!code) cli_note(cli, "every host: pawl task show %s --children", text);
    return code;
}

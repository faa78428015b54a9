/* SPDX-License-Identifier: Apache-2.0
 * client/cli/family.c - pawl task children, and fan-outs in task show, logs and run --follow. */
#include "client/cli/family.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/base/clock.h"
#include "client/cli/handlers.h"
#include "client/cli/ids.h"
#include "client/cli/output.h"

enum { TAIL_BYTES = 2000, LAST_LINE_MOST = 60 };

json_t *family_json(const pawl_record_t *task)
{
    const pawl_record_t *fanout = pawl_record_sub(task, "fanout");
    return fanout ? record_json(fanout, fanout_columns) : NULL;
}

/* The children of a parent, as a list. */
static pawl_err open_children(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], pawl_list_t **list)
{
    char text[PAWL_ID_TEXT];
    pawl_filter_t *filter = pawl_filter_new();
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

/* The last line that a child printed. One or two requests: only where a person reads. */
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

static json_t *child_row(cli_t *cli, const pawl_record_t *child)
{
    json_t *row = record_json(child, child_columns);
    int64_t started = pawl_record_int(child, "started_us"),
            ended = pawl_record_int(child, "ended_us");
    const char *message = pawl_record_text(child, "message");
    bool read = !output_is_json() && started;
    if (!ended && started) ended = clock_wall_us();
    int64_t took = ended > started ? (ended - started) / 1000 * 1000 : 0; /* whole milliseconds */
    json_object_set_new(row, "duration", started ? json_string(duration_text(took)) : json_null());
    json_t *line = read ? last_line(cli, child) : json_null();
    if (json_is_null(line) && *message) line = line_json(message, strlen(message));
    json_object_set_new(row, "last_line", line);
    return row;
}

int family_table(cli_t *cli, const uint8_t id[PAWL_ID_BYTES])
{
    pawl_list_t *list = NULL;
    const pawl_record_t *child;
    pawl_err err = open_children(cli, id, &list);
    if (err) return fail_client(cli->client, err, "cannot list the children");
    output_t *output = output_new(child_columns, (uint64_t)args_number(&cli->args, "limit", 0));
    while ((child = pawl_list_next(list, &err)) && output_row(output, child_row(cli, child))) {
    }
    pawl_list_destroy(&list);
    int code = output_end(&output);
    return err && !code ? fail_client(cli->client, err, "cannot list all children") : code;
}

int cmd_task_children(cli_t *cli)
{
    uint8_t id[PAWL_ID_BYTES];
    int code = cli_connect(cli);
    if (!code) code = id_read(cli, cli->args.words[0], "cannot list the children", id);
    return code ? code : family_table(cli, id);
}

// ---- what the hosts print ----------------------------------------------------------------------

/* The view of one child; it begins with its first line. */
static log_view_t *view_of(cli_t *cli, family_logs_t *logs, const pawl_record_t *child)
{
    size_t index = (size_t)pawl_record_int(child, "shard_index"), len;
    if (index >= logs->n) {
        size_t n = index + 1;
        logs->views = mem_grow(logs->views, n * sizeof *logs->views);
        memset(logs->views + logs->n, 0, (n - logs->n) * sizeof *logs->views);
        logs->n = n;
    }
    log_view_t *view = &logs->views[index];
    if (!view->cli) {
        view->cli = cli;
        view->id = mem_copy(pawl_record_bytes(child, "id", &len), PAWL_ID_BYTES);
        view->prefix = mem_text(say("%s | ", pawl_record_text(child, "child_key")));
    }
    return view;
}

static pawl_err read_on(log_view_t *view, const pawl_record_t *child)
{
    unsigned attempt = (unsigned)pawl_record_int(child, "attempt");
    pawl_err err = PAWL_OK;
    bool got = true;
    if (attempt == 0) return PAWL_OK; /* not started */
    if (view->attempt != attempt) {
        view->attempt = attempt;
        view->offset = 0;
        view->ended = false;
    }
    while (!err && got && !view->ended)
        err = log_pump(view, 0, &got);
    log_end_line(view); /* another host's may follow */
    return err == PAWL_E_NOT_FOUND ? PAWL_OK : err;
}

pawl_err family_logs_read(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *child;
    pawl_err err = open_children(cli, id, &list);
    while (!err && (child = pawl_list_next(list, &err)))
        err = read_on(view_of(cli, logs, child), child);
    pawl_list_destroy(&list);
    return err;
}

void family_logs_free(family_logs_t *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        free((void *)(uintptr_t)logs->views[i].id);
        free((void *)(uintptr_t)logs->views[i].prefix);
    }
    free(logs->views);
    *logs = (family_logs_t){ 0 };
}

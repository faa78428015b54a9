/* SPDX-License-Identifier: Apache-2.0
 * client/cli/family_logs.c - what the hosts of a fan-out print, while they print it.
 *
 * The children are listed once. Who starts after that is told by events, so ten thousand children
 * that wait cost nothing. Only logs of attempts that have more to say are read, some at a time. On
 * a busy broker the events of others may be more than the children: then these are listed again. */
#include "client/cli/family.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_EACH = 5, /* events of others that are read rather than a child listed again */
    EVENTS_LEAST = 1000
};

/* ---- one of them ------------------------------------------------------------------------------
 */

static log_view_t *view_at(cli_t *cli, family_logs_t *logs, const pawl_record_t *child)
{
    size_t index = (size_t)pawl_record_int(child, "shard_index"), len;
    if (index >= logs->n) {
        size_t n = index + 1;
        logs->views = mem_grow(logs->views, n * sizeof *logs->views);
        memset(logs->views + logs->n, 0, (n - logs->n) * sizeof *logs->views);
        logs->reading = mem_grow(logs->reading, n * sizeof *logs->reading);
        logs->n = n;
    }
    log_view_t *view = &logs->views[index];
    if (view->cli) return view;
    view->cli = cli;
    view->id = mem_copy(pawl_record_bytes(child, "id", &len), PAWL_ID_BYTES);
    view->host = mem_text(pawl_record_text(child, "child_key"));
    view->prefix = mem_text(say("%s | ", view->host));
    view->ended = true; /* nothing was started yet */
    return view;
}

static pawl_err read_on(log_view_t *view)
{
    pawl_err err = PAWL_OK;
    bool got = true;
    while (!err && got && !view->ended)
        err = log_pump(view, 0, &got);
    log_end_line(view);                              /* another host's may follow */
    if (err == PAWL_E_NOT_FOUND) view->ended = true; /* this attempt left no log */
    return err == PAWL_E_NOT_FOUND ? PAWL_OK : err;
}

/* From its first line on, when all of the one before is told. */
static pawl_err begin_attempt(family_logs_t *logs, log_view_t *view, unsigned attempt)
{
    bool in_line = !view->ended;
    pawl_err err = in_line ? read_on(view) : PAWL_OK;
    if (!in_line) logs->reading[logs->reading_n++] = (size_t)(view - logs->views);
    view->attempt = attempt;
    view->offset = 0;
    view->ended = false;
    return err;
}

/* ---- who prints ------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b)
{
    const log_view_t *const *x = a, *const *y = b;
    return memcmp((*x)->id, (*y)->id, PAWL_ID_BYTES);
}

static void sort_by_id(family_logs_t *logs)
{
    size_t n = 0;
    logs->by_id = mem_grow((void *)logs->by_id, (logs->n + 1) * sizeof *logs->by_id);
    for (size_t i = 0; i < logs->n; i++)
        if (logs->views[i].cli) logs->by_id[n++] = &logs->views[i];
    for (size_t i = n; i < logs->n; i++)
        logs->by_id[i] = NULL;
    logs->by_id_n = n;
    qsort((void *)logs->by_id, n, sizeof *logs->by_id, compare_ids);
}

static log_view_t *view_of(const family_logs_t *logs, const uint8_t *id)
{
    const log_view_t wanted = { .id = id }, *key = &wanted;
    const log_view_t **found = (const log_view_t **)bsearch(
        &key, (const void *)logs->by_id, logs->by_id_n, sizeof *logs->by_id, compare_ids);
    return found ? &logs->views[*found - logs->views] : NULL;
}

static pawl_err newest_event(cli_t *cli, uint64_t *seq)
{
    pawl_record_t *status = NULL;
    pawl_err err = pawl_broker_status(cli->client, &status, cli->timeout_us);
    if (!err) *seq = (uint64_t)pawl_record_int(status, "events_seq");
    pawl_record_destroy(&status);
    return err;
}

static pawl_err list_them(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *child;
    pawl_err err = family_children(cli, id, pawl_filter_new(), &list);
    while (!err && (child = pawl_list_next(list, &err))) {
        log_view_t *view = view_at(cli, logs, child);
        unsigned attempt = (unsigned)pawl_record_int(child, "attempt");
        if (attempt != view->attempt) err = begin_attempt(logs, view, attempt);
    }
    pawl_list_destroy(&list);
    sort_by_id(logs);
    return err ? err : newest_event(cli, &logs->listed_seq);
}

/* What the events behind seen_seq say of the children. *again: they must be listed. */
static pawl_err read_events(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs,
                            uint64_t upto, bool *again)
{
    pawl_list_t *list = NULL;
    const pawl_record_t *event;
    pawl_err err = pawl_event_list(cli->client, logs->seen_seq + 1, &list, cli->timeout_us);
    while (!err && !*again && logs->seen_seq < upto && (event = pawl_list_next(list, &err))) {
        uint64_t seq = (uint64_t)pawl_record_int(event, "seq");
        const char *kind = pawl_record_text(event, "kind");
        size_t len = 0;
        const uint8_t *of = pawl_record_bytes(event, "id", &len);
        *again = seq != logs->seen_seq + 1; /* older ones are gone */
        logs->seen_seq = seq;
        if (!of || len != PAWL_ID_BYTES) continue;
        if (strcmp(kind, "fanout.joined") == 0) *again |= memcmp(of, id, PAWL_ID_BYTES) == 0;
        log_view_t *view = strcmp(kind, "running") == 0 ? view_of(logs, of) : NULL;
        unsigned attempt = (unsigned)pawl_record_int(event, "attempt");
        bool known = view && seq <= logs->listed_seq && attempt == view->attempt;
        if (view && !known) err = begin_attempt(logs, view, attempt);
    }
    pawl_list_destroy(&list);
    return err;
}

static pawl_err look(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs)
{
    uint64_t newest = 0;
    pawl_err err = newest_event(cli, &newest);
    if (err || (logs->by_id && newest == logs->seen_seq)) return err;
    uint64_t most = EVENTS_LEAST + EVENTS_EACH * (uint64_t)logs->n;
    bool again = !logs->by_id || newest < logs->seen_seq || newest - logs->seen_seq > most;
    if (!again) err = read_events(cli, id, logs, newest, &again);
    if (err || !again) return err;
    logs->seen_seq = newest;
    return list_them(cli, id, logs);
}

pawl_err family_logs_read(cli_t *cli, const uint8_t id[PAWL_ID_BYTES], family_logs_t *logs,
                          size_t most, bool *more)
{
    pawl_err err = look(cli, id, logs);
    size_t asked = 0, n = logs->reading_n < most ? logs->reading_n : most;
    size_t *again = mem_new((n + 1) * sizeof *again), again_n = 0;
    *more = n < logs->reading_n;
    for (; !err && asked < n; asked++) {
        log_view_t *view = &logs->views[logs->reading[asked]];
        err = read_on(view);
        if (!view->ended) again[again_n++] = logs->reading[asked];
    }
    /* who was asked goes to the end of the line */
    logs->reading_n -= asked;
    memmove(logs->reading, logs->reading + asked, logs->reading_n * sizeof *logs->reading);
    memcpy(logs->reading + logs->reading_n, again, again_n * sizeof *again);
    logs->reading_n += again_n;
    free(again);
    return err;
}

void family_logs_free(family_logs_t *logs)
{
    for (size_t i = 0; i < logs->n; i++) {
        free((void *)(uintptr_t)logs->views[i].id);
        free((void *)(uintptr_t)logs->views[i].host);
        free((void *)(uintptr_t)logs->views[i].prefix);
    }
    free(logs->views);
    free((void *)logs->by_id);
    free(logs->reading);
    *logs = (family_logs_t){ 0 };
}

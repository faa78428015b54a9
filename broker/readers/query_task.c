/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_task.c - single tasks: their bodies, TaskGet, TaskWait, the log
 * meant. */
#include "broker/readers/answer.h"

#include "broker/readers/query_task.h"
#include "client/base/ulid.h"

bool task_status_ended(Pawl__V1__TaskStatus status)
{
    return status >= TASK_S(FINISHED);
}

/* ---- ids and bodies ------------------------------------------------------------------------- */

err_t task_asked(answer_t *self, const uint8_t id[16], uint64_t *n, uint8_t *kind)
{
    uint32_t asks = 0;
    ANSWER_TRY(task_number(self->view, id, n, kind));
    if (!self->own_only || *kind == ID_TOMBSTONE) return ERR_OK;
    ANSWER_TRY(answer_number(self, NAME_PRINCIPAL, self->principal, &asks));
    spec_row_t spec;
    ANSWER_TRY(spec_row_get(self->view, *n, &spec));
    return spec.principal == asks ? ERR_OK : ERR_NOT_FOUND;
}

/* Puts `len` bytes together from part rows, from part 0 on. */
static err_t join_parts(answer_t *self, uint64_t n, uint8_t kind, uint64_t token, uint32_t len,
                        slice_t *out)
{
    uint8_t *bytes = answer_take(self, len);
    size_t have = 0;
    for (uint16_t part = 0; have < len; part++) {
        rec_key_t key = key_part(n, kind, token, part);
        slice_t value;
        err_t err = store_view_get(self->view, TABLE_part, key_slice(&key), &value);
        if (err == ERR_NOT_FOUND) return ERR_CORRUPT;
        if (err != ERR_OK) return err;
        if (value.len == 0 || value.len > len - have) return ERR_CORRUPT;
        memcpy(bytes + have, value.at, value.len);
        have += value.len;
    }
    *out = slice(bytes, len);
    return ERR_OK;
}

/* A child's is its parent's. */
err_t task_rows_body(answer_t *self, const task_rows_t *rows, slice_t *body)
{
    const spec_row_t *spec = &rows->spec;
    spec_row_t parent;
    uint64_t owner = rows->n;
    if (spec->flags & SPEC_CHILD) {
        owner = spec->parent;
        err_t err = spec_row_get(self->view, owner, &parent);
        if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        spec = &parent;
    }
    *body = spec->body;
    if (!(spec->flags & SPEC_PARTS)) return ERR_OK;
    return join_parts(self, owner, PART_SPEC, 0, spec->body_len, body);
}

err_t task_rows_unpack(answer_t *self, const task_rows_t *rows, const Pawl__V1__Task **task)
{
    slice_t body;
    wire_fault_t fault;
    ANSWER_TRY(task_rows_body(self, rows, &body));
    return wire_task_decode(self->arena, body.at, body.len, task, &fault) == ERR_OK ? ERR_OK
                                                                                    : ERR_CORRUPT;
}

/* ---- TaskInfo -------------------------------------------------------------------------------- */

static Pawl__V1__Label **copy_labels(answer_t *self, const Pawl__V1__Task *task)
{
    Pawl__V1__Label **labels = answer_take(self, (task->n_labels + 1) * sizeof *labels);
    if (task->n_labels) memcpy(labels, task->labels, task->n_labels * sizeof *labels);
    return labels;
}

/* Why it waits, failed or was dropped, in a word. */
static const char *reason_of(const task_rows_t *rows)
{
    if (rows->status == TASK_S(RUNNING)) /* lost: only its result is waited for */
        return rows->has_run && rows->run.flags & RUN_LOST ? task_reason_text(REASON_LOST) : "";
    if (rows->status == TASK_S(HELD)) return task_reason_text(REASON_HELD);
    if (rows->has_state && rows->state.reason) return task_reason_text(rows->state.reason);
    if (rows->parked) return task_reason_text(REASON_OVERLAP);
    if (rows->status == TASK_S(DELAYED)) return task_reason_text(REASON_DELAY);
    if (rows->status == TASK_S(BLOCKED)) return task_reason_text(REASON_WAVE);
    return "";
}

static int64_t planned_of(const task_rows_t *rows, const meta_dynamic_t *meta)
{
    if (rows->spec.flags & SPEC_SCHEDULED && !(rows->spec.flags & SPEC_MANUAL))
        return rows->spec.instant_wall_us;
    if (rows->status == TASK_S(DELAYED))
        return answer_calendar(meta, rows->timer_clock, rows->timer_at);
    if (rows->spec.timer_clock == CLOCK_WALL) return rows->spec.timer_at;
    return rows->spec.created_wall_us;
}

static void info_of_run(const run_row_t *run, Pawl__V1__TaskInfo *info)
{
    info->attempt = run->attempt;
    info->started_us = run->leased_wall_us;
    info->token = run->token;
    info->cancelling = run->flags & RUN_CANCELLING;
    info->lost = run->lost;
}

static void info_of_state(answer_t *self, const task_rows_t *rows, Pawl__V1__TaskInfo *info)
{
    const state_row_t *state = &rows->state;
    info->progress = answer_text(self, state->progress_text);
    info->progress_done = state->progress_done;
    info->progress_total = state->progress_total;
    if (rows->has_run) { /* the rest is of an earlier attempt, but for who wished its end */
        if (rows->run.flags & RUN_CANCELLING) info->message = answer_text(self, state->message);
        return;
    }
    info->attempt = state->attempts;
    info->token = state->token;
    info->lost = state->lost;
    info->started_us = state->start_wall_us;
    info->ended_us = task_status_ended(rows->status) ? state->end_wall_us : 0;
    info->message = answer_text(self, state->message);
    info->signal = state->signal;
    if (state->flags & STATE_EXIT) {
        info->exit_set_case = PAWL__V1__TASK_INFO__EXIT_SET_EXIT_CODE;
        info->exit_code = state->exit_code;
    }
}

err_t task_info(answer_t *self, const task_rows_t *rows, const meta_dynamic_t *meta,
                const Pawl__V1__Task *task, Pawl__V1__TaskInfo **out)
{
    Pawl__V1__TaskInfo *info = answer_take(self, sizeof *info);
    pawl__v1__task_info__init(info);
    const spec_row_t *spec = &rows->spec;
    info->id = answer_bytes(self, slice(spec->id, sizeof spec->id));
    info->status = rows->status;
    info->priority = spec->priority;
    info->attempts_max = spec->attempts_max;
    info->created_us = spec->created_wall_us;
    info->planned_us = planned_of(rows, meta);
    info->range = rows->spec.range;
    if (rows->spec.folded_count) {
        info->folded_first_us = rows->spec.folded_first_us;
        info->folded_last_us = rows->spec.instant_wall_us;
        info->folded_count = rows->spec.folded_count;
    }
    info->reason = answer_text(self, slice_text(reason_of(rows)));
    ANSWER_TRY(answer_name(self, NAME_TYPE, spec->type, &info->type));
    ANSWER_TRY(answer_name(self, NAME_QUEUE, spec->queue, &info->queue));
    if (spec->flags & SPEC_SCHEDULED)
        ANSWER_TRY(answer_name(self, NAME_SCHEDULE, spec->schedule, &info->schedule));
    if (rows->has_run) info_of_run(&rows->run, info);
    if (rows->has_state) info_of_state(self, rows, info);
    uint32_t executor = rows->has_run ? rows->run.executor : rows->state.executor;
    if (executor) ANSWER_TRY(answer_name(self, NAME_EXECUTOR, executor, &info->executor));
    info->key = task->key;
    info->title = task->title;
    info->n_labels = task->n_labels;
    info->labels = copy_labels(self, task);
    *out = info;
    return task_info_family(self, rows, meta, info);
}

static const char *outcome_text(uint8_t outcome, bool cancelled)
{
    switch (outcome) {
    case PAWL__V1__OUTCOME__OUTCOME_DONE:
        return "finished";
    case PAWL__V1__OUTCOME__OUTCOME_FAIL:
    case PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT:
        return "failed";
    case PAWL__V1__OUTCOME__OUTCOME_TIMEOUT:
        return "timeout";
    case PAWL__V1__OUTCOME__OUTCOME_CANCELLED:
        return "cancelled";
    case PAWL__V1__OUTCOME__OUTCOME_RETURN:
    case PAWL__V1__OUTCOME__OUTCOME_RETRY_AFTER:
        return "returned";
    case PAWL__V1__OUTCOME__OUTCOME_AGAIN:
        return cancelled ? "cancelled" : "again";
    case PAWL__V1__OUTCOME__OUTCOME_ASYNC:
        return cancelled ? "cancelled" : "external";
    case ENDED_STALE:
        return "stale";
    case ENDED_LOST:
        return "lost";
    default:
        return cancelled ? "cancelled" : "lost";
    }
}

static err_t attempt_add(answer_t *self, const try_row_t *row, uint64_t token, const char *outcome,
                         Pawl__V1__TaskInfo *info)
{
    Pawl__V1__AttemptInfo *attempt = answer_take(self, sizeof *attempt);
    pawl__v1__attempt_info__init(attempt);
    attempt->attempt = row->attempt;
    attempt->token = token;
    attempt->started_us = row->start_wall_us;
    attempt->ended_us = row->end_wall_us;
    attempt->outcome = answer_text(self, slice_text(outcome));
    attempt->signal = row->signal;
    attempt->message = answer_text(self, row->message);
    attempt->cpu_us = row->cpu_us;
    attempt->memory_bytes = row->memory_bytes;
    attempt->polls = row->polls;
    if (row->flags & STATE_EXIT) {
        attempt->exit_set_case = PAWL__V1__ATTEMPT_INFO__EXIT_SET_EXIT_CODE;
        attempt->exit_code = row->exit_code;
    }
    if (row->executor)
        ANSWER_TRY(answer_name(self, NAME_EXECUTOR, row->executor, &attempt->executor));
    /* grows by doubling: a power of two of elements is full */
    if ((info->n_attempts & (info->n_attempts - 1)) == 0) {
        size_t room = info->n_attempts ? info->n_attempts * 2 : 1;
        Pawl__V1__AttemptInfo **more = answer_take(self, room * sizeof *more);
        if (info->n_attempts) memcpy(more, info->attempts, info->n_attempts * sizeof *more);
        info->attempts = more;
    }
    info->attempts[info->n_attempts++] = attempt;
    return ERR_OK;
}

/* The attempts in try rows, then the last one: the lease that runs, or what ended the task. */
static err_t attempts_of(answer_t *self, const task_rows_t *rows, Pawl__V1__TaskInfo *info)
{
    rec_key_t from = key_try(rows->n, 0);
    store_scan_t *scan = NULL;
    uint64_t last = 0;
    err_t err = store_scan_open(self->view, TABLE_try, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        try_row_t row;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_NOT_FOUND ||
            (err == ERR_OK && (key.len != 16 || be_u64(key.at) != rows->n))) {
            err = ERR_OK;
            break;
        }
        if (err != ERR_OK) break;
        if (!try_row_decode(&row, value)) {
            err = ERR_CORRUPT;
            break;
        }
        last = be_u64(key.at + 8);
        err = attempt_add(self, &row, last, outcome_text(row.outcome, false), info);
    }
    store_scan_close(&scan);
    ANSWER_TRY(err);
    if (rows->has_run) {
        try_row_t row = { .attempt = rows->run.attempt,
                          .executor = rows->run.executor,
                          .start_wall_us = rows->run.leased_wall_us,
                          .polls = rows->has_state ? rows->state.polls : 0 };
        return attempt_add(self, &row, rows->run.token, "running", info);
    }
    const state_row_t *state = &rows->state;
    bool goes_on = rows->status == TASK_S(EXTERNAL) || state->polls;
    if (!rows->has_state || state->token <= last || !(goes_on || task_status_ended(rows->status)))
        return ERR_OK;
    try_row_t row = { .attempt = state->attempts,
                      .executor = state->executor,
                      .start_wall_us = state->start_wall_us,
                      .end_wall_us = state->end_wall_us,
                      .signal = state->signal,
                      .flags = (uint8_t)(state->flags & STATE_EXIT),
                      .exit_code = state->exit_code,
                      .cpu_us = state->cpu_us,
                      .memory_bytes = state->memory_bytes,
                      .polls = state->polls,
                      .message = state->message };
    return attempt_add(self, &row, state->token,
                       outcome_text(state->outcome, rows->status == TASK_S(CANCELLED)), info);
}

/* What only TaskGet tells. */
static err_t add_details(answer_t *self, const task_rows_t *rows, slice_t body,
                         Pawl__V1__TaskInfo *info)
{
    info->task = answer_bytes(self, body);
    ANSWER_TRY(attempts_of(self, rows, info));
    const state_row_t *state = &rows->state;
    if (!rows->has_state || rows->has_run) return ERR_OK;
    slice_t output = state->output;
    if (state->flags & STATE_OUTPUT_PARTS)
        ANSWER_TRY(
            join_parts(self, rows->n, PART_OUTPUT, state->token, state->output_len, &output));
    info->output = answer_bytes(self, output);
    info->output_type = answer_text(self, state->output_type);
    return ERR_OK;
}

static err_t detailed(answer_t *self, uint64_t n, const meta_dynamic_t *meta,
                      Pawl__V1__TaskInfo **info)
{
    task_rows_t rows;
    slice_t body;
    wire_fault_t fault;
    const Pawl__V1__Task *task;
    ANSWER_TRY(task_rows_shown(self->view, n, &rows));
    ANSWER_TRY(task_rows_body(self, &rows, &body));
    if (wire_task_decode(self->arena, body.at, body.len, &task, &fault) != ERR_OK)
        return ERR_CORRUPT;
    ANSWER_TRY(task_info(self, &rows, meta, task, info));
    return add_details(self, &rows, body, *info);
}

static void refuse_unknown(answer_t *self, Pawl__V1__Reply *reply, const char *field,
                           const uint8_t id[16])
{
    char text[ULID_TEXT + 1];
    ulid_print(id, text);
    answer_refuse(self, reply, ERR_NOT_FOUND, field,
                  "no task %s is on record: it never was, or its time was over", text);
}

/* The one task whose id lies in the range that a typed prefix stands for. */
static err_t find_prefix(answer_t *self, const Pawl__V1__TaskGet *ask, uint8_t id[16], bool *one,
                         Pawl__V1__Reply *reply)
{
    enum { LOOKS_MAX = 10000 }; /* at ids of others */
    *one = false;
    if (ask->prefix_low.len != 16 || ask->prefix_high.len != 16) {
        answer_refuse(self, reply, ERR_BAD_REQUEST, "task_get.ids", "no id and no range of ids");
        return ERR_OK;
    }
    store_scan_t *scan = NULL;
    slice_t key, value, from = slice(ask->prefix_low.data, 16),
                        to = slice(ask->prefix_high.data, 16);
    unsigned found = 0, looks = 0;
    err_t err = store_scan_open(self->view, TABLE_ids, from, false, &scan);
    while (err == ERR_OK && found < 2) {
        if (looks++ == LOOKS_MAX) { /* too many begin so, whosever they are */
            found = 2;
            break;
        }
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK || slice_compare(key, to) > 0) break;
        id_row_t row;
        uint64_t n;
        uint8_t kind;
        if (key.len != 16 || !id_row_decode(&row, value)) {
            err = ERR_CORRUPT;
        } else if (row.kind != ID_TOMBSTONE) {
            err = task_asked(self, key.at, &n, &kind);
            if (err == ERR_OK) memcpy(id, key.at, 16);
            found += err == ERR_OK;
            if (err == ERR_NOT_FOUND) err = ERR_OK; /* of another */
        }
    }
    store_scan_close(&scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (found == 0)
        answer_refuse(self, reply, ERR_NOT_FOUND, "task_get.prefix_low",
                      "no task's id begins like this");
    if (found == 2)
        answer_refuse(self, reply, ERR_AMBIGUOUS, "task_get.prefix_low",
                      "more than one task's id begins like this: type more of it");
    *one = found == 1;
    return ERR_OK;
}

Pawl__V1__TaskItems *task_items(answer_t *self, size_t room, Pawl__V1__Reply *reply)
{
    Pawl__V1__TaskItems *items = answer_take(self, sizeof *items);
    pawl__v1__task_items__init(items);
    items->items = answer_take(self, (room + 1) * sizeof *items->items);
    reply->tasks = items;
    reply->body_case = PAWL__V1__REPLY__BODY_TASKS;
    return items;
}

/* Task `id` in full, to the end of `items`. ERR_NOT_FOUND: unknown, or only its id is remembered.
 */
static err_t add_task(answer_t *self, const uint8_t id[16], const meta_dynamic_t *meta,
                      Pawl__V1__TaskItems *items)
{
    uint64_t n;
    uint8_t kind;
    ANSWER_TRY(task_asked(self, id, &n, &kind));
    if (kind == ID_TOMBSTONE) return ERR_NOT_FOUND;
    ANSWER_TRY(detailed(self, n, meta, &items->items[items->n_items]));
    items->n_items++;
    return ERR_OK;
}

err_t query_task_get(answer_t *self, const Pawl__V1__TaskGet *ask, Pawl__V1__Reply *reply)
{
    meta_dynamic_t meta;
    ANSWER_TRY(answer_meta(self, &meta));
    uint8_t id[16];
    size_t asked = ask->n_ids;
    if (asked == 0) {
        bool one;
        ANSWER_TRY(find_prefix(self, ask, id, &one, reply));
        if (!one) return ERR_OK;
        asked = 1;
    }
    Pawl__V1__TaskItems *items = task_items(self, asked, reply);
    items->seq = meta.next_seq;
    const uint8_t *unknown = NULL;
    for (size_t i = 0; i < asked; i++) {
        const uint8_t *want = ask->n_ids ? ask->ids[i].data : id;
        err_t err = add_task(self, want, &meta, items);
        if (err == ERR_NOT_FOUND)
            unknown = want; /* of several, those that are there are answered */
        else if (err != ERR_OK)
            return err;
        if (self->arena->total > 2 * ANSWER_BYTES_MAX ||
            pawl__v1__reply__get_packed_size(reply) > ANSWER_BYTES_MAX) {
            answer_refuse(self, reply, ERR_TOO_LARGE, "task_get.ids",
                          "the answer would be larger than a message of 8 MiB after %zu of %zu "
                          "tasks: ask for fewer at once",
                          i + 1, asked);
            return ERR_OK;
        }
    }
    if (items->n_items == 0) refuse_unknown(self, reply, "task_get.ids", unknown);
    return ERR_OK;
}

/* ---- TaskWait -------------------------------------------------------------------------------- */

static err_t waited(answer_t *self, const uint64_t *ns, size_t n, const meta_dynamic_t *meta,
                    Pawl__V1__Waited *done)
{
    done->done = true;
    done->items = answer_take(self, (n + 1) * sizeof *done->items);
    for (size_t i = 0; i < n && self->arena->total < ANSWER_PAGE_BYTES; i++) {
        task_rows_t rows;
        const Pawl__V1__Task *task;
        err_t err = task_rows_shown(self->view, ns[i], &rows);
        if (err == ERR_NOT_FOUND) continue; /* ended, and purged since */
        if (err == ERR_OK) err = task_rows_unpack(self, &rows, &task);
        if (err == ERR_OK) err = task_info(self, &rows, meta, task, &done->items[done->n_items]);
        if (err != ERR_OK) return err;
        done->n_items++;
    }
    return ERR_OK;
}

err_t query_task_wait(answer_t *self, const Pawl__V1__TaskWait *ask, uint8_t (*open)[16],
                      size_t *open_n, Pawl__V1__Reply *reply)
{
    meta_dynamic_t meta;
    ANSWER_TRY(answer_meta(self, &meta));
    uint64_t *ended = answer_take(self, (ask->n_ids + 1) * sizeof *ended);
    size_t ended_n = 0;
    *open_n = 0;
    for (size_t i = 0; i < ask->n_ids; i++) {
        uint64_t n = 0;
        uint8_t kind = 0;
        err_t err = task_asked(self, ask->ids[i].data, &n, &kind);
        if (err == ERR_NOT_FOUND) {
            refuse_unknown(self, reply, "task_wait.ids", ask->ids[i].data);
            return ERR_OK;
        }
        if (err != ERR_OK) return err;
        task_rows_t rows = { .status = TASK_S(FINISHED) }; /* a tombstone stands for an end */
        if (kind != ID_TOMBSTONE) {
            err = task_rows_shown(self->view, n, &rows);
            if (err == ERR_NOT_FOUND) rows.status = TASK_S(FINISHED);
            if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
        }
        if (task_status_ended(rows.status))
            ended[ended_n++] = n;
        else
            memcpy(open[(*open_n)++], rows.spec.id, 16);
    }
    Pawl__V1__Waited *done = answer_take(self, sizeof *done);
    pawl__v1__waited__init(done);
    reply->waited = done;
    reply->body_case = PAWL__V1__REPLY__BODY_WAITED;
    if (*open_n > 0 && !(ask->any && ended_n > 0)) return ERR_OK;
    return waited(self, ended, ended_n, &meta, done);
}

/* ---- LogRead: which lease -------------------------------------------------------------------- */

/* The lease of `token` ended because its executor was lost. */
static err_t was_lost(answer_t *self, const task_rows_t *rows, uint64_t token, bool *lost)
{
    Pawl__V1__TaskInfo tries = PAWL__V1__TASK_INFO__INIT;
    ANSWER_TRY(attempts_of(self, rows, &tries));
    for (size_t i = 0; i < tries.n_attempts; i++)
        *lost |=
            tries.attempts[i]->token == token && strcmp(tries.attempts[i]->outcome, "lost") == 0;
    return ERR_OK;
}

/* Token of attempt number `attempt`: the newest lease that counted as it. 0: none. */
static err_t token_of_attempt(answer_t *self, const task_rows_t *rows, uint32_t attempt,
                              uint64_t *token)
{
    *token = 0;
    if (rows->has_run && rows->run.attempt == attempt) *token = rows->run.token;
    if (!rows->has_run && rows->has_state && rows->state.attempts == attempt)
        *token = rows->state.token;
    if (*token) return ERR_OK;
    Pawl__V1__TaskInfo tries = PAWL__V1__TASK_INFO__INIT;
    ANSWER_TRY(attempts_of(self, rows, &tries));
    for (size_t i = 0; i < tries.n_attempts; i++)
        if (tries.attempts[i]->attempt == attempt) *token = tries.attempts[i]->token;
    return ERR_OK;
}

err_t query_log_resolve(answer_t *self, const Pawl__V1__LogRead *ask, log_ask_t *log,
                        Pawl__V1__Reply *reply)
{
    *log = (log_ask_t){ 0 };
    uint64_t n;
    uint8_t kind;
    task_rows_t rows;
    err_t err = task_asked(self, ask->id.data, &n, &kind);
    if (err == ERR_OK && kind == ID_TOMBSTONE) err = ERR_NOT_FOUND;
    if (err == ERR_OK) err = task_rows_shown(self->view, n, &rows);
    if (err == ERR_NOT_FOUND) {
        refuse_unknown(self, reply, "log_read.id", ask->id.data);
        return ERR_OK;
    }
    if (err != ERR_OK) return err;
    uint64_t newest = rows.has_run ? rows.run.token : rows.state.token;
    log->attempt = rows.has_run ? rows.run.attempt : rows.state.attempts;
    log->token = ask->token ? ask->token : newest;
    if (!ask->token && ask->attempt && ask->attempt != log->attempt) {
        log->attempt = ask->attempt;
        ANSWER_TRY(token_of_attempt(self, &rows, ask->attempt, &log->token));
        if (log->token == 0) {
            answer_refuse(self, reply, ERR_NOT_FOUND, "log_read.attempt",
                          "the task has no attempt %u: it had %u so far", ask->attempt,
                          rows.has_run ? rows.run.attempt : rows.state.attempts);
            return ERR_OK;
        }
    }
    /* a task that will run again: its first lease is still to come */
    log->running =
        log->token == newest && !task_status_ended(rows.status) && (rows.has_run || newest == 0);
    if (!log->running) ANSWER_TRY(was_lost(self, &rows, log->token, &log->lost));
    memcpy(log->id, rows.spec.id, 16);
    log->n = n;
    return ERR_OK;
}

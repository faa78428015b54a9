/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_why.c - TaskWhy: why a task is where it is, with the facts a person would
 * look up.
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker/readers/query_task.h"
#include "broker/core/space.h"
#include "client/base/ulid.h"
#include "schemas/requirement.h"

enum { LINES_MAX = 24, EXECUTORS_TOLD = 8 };

typedef struct story {
    answer_t *answer;
    Pawl__V1__Why *why;
    meta_dynamic_t meta;
    task_rows_t rows;
    const Pawl__V1__Task *task;
} story_t;

#define TELL(story, ...)                                                                           \
    do {                                                                                           \
        if ((story)->why->n_lines < LINES_MAX)                                                     \
            (story)->why->lines[(story)->why->n_lines++] =                                         \
                answer_printf((story)->answer, __VA_ARGS__);                                       \
    } while (0)

static void set_reason(story_t *story, const char *reason)
{
    story->why->reason = answer_text(story->answer, slice_text(reason));
}

/* ---- who could run it ------------------------------------------------------------------------ */

static bool has_text(char *const *texts, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(texts[i], text) == 0) return true;
    return false;
}

static bool has_label(const Pawl__V1__ExecutorInfo *executor, const Pawl__V1__Label *label)
{
    for (size_t i = 0; i < executor->n_labels; i++)
        if (strcmp(executor->labels[i]->key, label->key) == 0 &&
            strcmp(executor->labels[i]->value, label->value) == 0)
            return true;
    return false;
}

static bool has_interpreter(const Pawl__V1__ExecutorInfo *executor,
                            const Pawl__V1__Command *command)
{
    if (command == NULL || command->interpreter[0] == '\0') return true;
    for (size_t i = 0; i < executor->n_interpreters; i++)
        if (requirement_met(command->interpreter, executor->interpreters[i]->name,
                            executor->interpreters[i]->version))
            return true;
    return false;
}

/* Its label, too: so did executors announce a source before there was a field for it. */
static bool has_source(const Pawl__V1__ExecutorInfo *executor, const Pawl__V1__Task *task)
{
    const Pawl__V1__Target *target = task->target;
    char key[LIMIT_SOURCE + 8];
    Pawl__V1__Label label = { .key = key, .value = (char *)(uintptr_t) "yes" };
    if (task->sql == NULL || (target && target->executor[0])) return true;
    if (has_text(executor->sources, executor->n_sources, task->sql->source)) return true;
    snprintf(key, sizeof key, "sql.%s", task->sql->source);
    return has_label(executor, &label);
}

static bool fits_target(const Pawl__V1__ExecutorInfo *executor, const Pawl__V1__Target *target)
{
    if (target == NULL) return true;
    if (target->executor[0]) return strcmp(executor->name, target->executor) == 0;
    if (target->host[0])
        return strcmp(executor->host, target->host) == 0 ||
               has_text(executor->addresses, executor->n_addresses, target->host);
    for (size_t i = 0; i < target->n_labels; i++)
        if (!has_label(executor, target->labels[i])) return false;
    return true;
}

typedef struct census {
    unsigned connected, type, queue, interpreter, source, target, ready, room;
    uint32_t slots, used;
} census_t;

/* Each executor is counted as far as it gets. */
static void count_executor(const story_t *story, const Pawl__V1__ExecutorInfo *executor,
                           const char *type, const char *queue, census_t *census)
{
    if (strcmp(executor->state, "lost") == 0) return;
    census->connected++;
    if (!has_text(executor->types, executor->n_types, type)) return;
    census->type++;
    if (executor->n_queues && !has_text(executor->queues, executor->n_queues, queue)) return;
    census->queue++;
    if (!has_interpreter(executor, story->task->command)) return;
    census->interpreter++;
    if (!has_source(executor, story->task)) return;
    census->source++;
    if (!fits_target(executor, story->task->target)) return;
    census->target++;
    if (strcmp(executor->state, "ready") != 0) return;
    census->ready++;
    census->slots += executor->slots;
    census->used += executor->used;
    census->room += executor->used < executor->credit;
}

static void tell_who_could(story_t *story, const char *type, const char *queue)
{
    const Pawl__V1__ExecutorItems *all = story->answer->executors;
    unsigned told = 0;
    for (size_t i = 0; all && i < all->n_items; i++) {
        const Pawl__V1__ExecutorInfo *executor = all->items[i];
        census_t census = { 0 };
        count_executor(story, executor, type, queue, &census);
        if (census.target && ++told <= EXECUTORS_TOLD)
            TELL(story, "%s could run it: %s, %u of %u slots used", executor->name, executor->state,
                 executor->used, executor->slots);
    }
    if (told > EXECUTORS_TOLD) TELL(story, "and %u more", told - EXECUTORS_TOLD);
}

static char *target_text(answer_t *self, const Pawl__V1__Target *target)
{
    if (target->executor[0]) return answer_printf(self, "executor %s", target->executor);
    if (target->host[0]) return answer_printf(self, "host %s", target->host);
    if (target->hash[0]) return answer_printf(self, "whoever has the hash of %s", target->hash);
    char *text = answer_text(self, slice_text("labels"));
    for (size_t i = 0; i < target->n_labels; i++)
        text =
            answer_printf(self, "%s %s=%s", text, target->labels[i]->key, target->labels[i]->value);
    return text;
}

/* What an executor of the task's target lacks for it. NULL: nothing. */
static const char *lack_of(const story_t *story, const Pawl__V1__ExecutorInfo *executor,
                           const char *type, const char *queue)
{
    answer_t *self = story->answer;
    const Pawl__V1__Task *task = story->task;
    if (!has_text(executor->types, executor->n_types, type))
        return answer_printf(self, "does not take the type %s", type);
    if (executor->n_queues && !has_text(executor->queues, executor->n_queues, queue))
        return answer_printf(self, "does not serve queue %s", queue);
    if (!has_interpreter(executor, task->command))
        return answer_printf(self, "does not have %s, which its script needs",
                             task->command->interpreter);
    if (!has_source(executor, task))
        return answer_printf(self, "does not have the source %s", task->sql->source);
    return NULL;
}

/* The executors that its target means, each with what it lacks. False: there is none, or the task
 * names none. */
static bool tell_lacks(story_t *story, const char *type, const char *queue)
{
    const Pawl__V1__ExecutorItems *all = story->answer->executors;
    const Pawl__V1__Target *target = story->task->target;
    unsigned told = 0;
    if (target == NULL || (!target->executor[0] && !target->host[0] && target->n_labels == 0))
        return false;
    for (size_t i = 0; i < all->n_items; i++) {
        const Pawl__V1__ExecutorInfo *executor = all->items[i];
        if (strcmp(executor->state, "lost") == 0 || !fits_target(executor, target)) continue;
        const char *lack = lack_of(story, executor, type, queue);
        if (lack && ++told <= EXECUTORS_TOLD)
            TELL(story, "it must run on %s, and %s %s", target_text(story->answer, target),
                 executor->name, lack);
    }
    if (told > EXECUTORS_TOLD) TELL(story, "and %u more lack something", told - EXECUTORS_TOLD);
    if (told > 0) TELL(story, "`pawl executor list -o json` tells what each of them has");
    return told > 0;
}

/* Where it stands in its lane, as far as counting is cheap. */
static err_t tell_position(story_t *story, const char *queue)
{
    enum { COUNTED_MAX = 10000 };
    rec_key_t from = key_ready(story->rows.lane, INT64_MIN, 0);
    store_scan_t *scan = NULL;
    unsigned before = 0;
    bool found = false;
    err_t err = store_scan_open(story->answer->view, TABLE_ready, key_slice(&from), false, &scan);
    while (err == ERR_OK && before < COUNTED_MAX && !found) {
        slice_t key, value;
        uint32_t lane;
        int64_t due;
        uint64_t n;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_OK && !ready_key_decode(key, &lane, &due, &n)) err = ERR_CORRUPT;
        if (err != ERR_OK || lane != story->rows.lane) break;
        found = n == story->rows.n;
        before += !found;
    }
    store_scan_close(&scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (found)
        TELL(story, "%u tasks stand before it in its lane of queue %s", before, queue);
    else
        TELL(story, "more than %d tasks stand before it in its lane of queue %s", COUNTED_MAX,
             queue);
    return ERR_OK;
}

/* ---- the statuses ---------------------------------------------------------------------------- */

/* Parked at a gate that is not its schedule's own. */
static err_t explain_gate(story_t *story)
{
    char *name;
    bool scope = story->rows.gate[0] == GATE_SCOPE;
    ANSWER_TRY(answer_name(story->answer, NAME_SCHEDULE, story->rows.spec.schedule, &name));
    if (scope)
        TELL(story,
             "schedule %s counts together with others, and they let no more run side by side",
             name);
    else
        TELL(story, "a backfill of schedule %s lets no more of its tasks run side by side", name);
    rec_key_t key = key_gate(story->rows.gate);
    slice_t value;
    gate_row_t gate;
    err_t err = store_view_get(story->answer->view, TABLE_gate, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err != ERR_OK) return err;
    if (!gate_row_decode(&gate, value)) return ERR_CORRUPT;
    TELL(story, "%u of their tasks were let through and have not ended, %u wait", gate.admitted,
         gate.waiting);
    TELL(story, "`pawl schedule get %s` shows what it counts together with: overlap_scope", name);
    return ERR_OK;
}

static err_t explain_parked(story_t *story)
{
    char *name;
    uint32_t schedule = be_u32(story->rows.gate + 12);
    rec_key_t key = key_u32(schedule);
    slice_t value;
    set_reason(story, task_reason_text(REASON_OVERLAP));
    if (story->rows.gate[0] != GATE_OVERLAP) return explain_gate(story);
    ANSWER_TRY(answer_name(story->answer, NAME_SCHEDULE, schedule, &name));
    TELL(story, "schedule %s lets no more of its tasks run side by side", name);
    err_t err = store_view_get(story->answer->view, TABLE_scur, key_slice(&key), &value);
    scur_row_t cursor;
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err != ERR_OK) return err;
    if (!scur_row_decode(&cursor, value)) return ERR_CORRUPT;
    TELL(story, "%u of its tasks had a lease and have not ended, %u wait", cursor.running,
         cursor.waiting);
    TELL(story, "`pawl task list --schedule %s` shows them", name);
    return ERR_OK;
}

/* Tasks that run, from the counters of the queues. */
static err_t count_running(const story_t *story, uint64_t *running)
{
    rec_key_t from = key_kind_no(COUNT_QUEUE, 0);
    store_scan_t *scan = NULL;
    slice_t key, value;
    *running = 0;
    ANSWER_TRY(store_scan_open(story->answer->view, TABLE_count, key_slice(&from), false, &scan));
    err_t err;
    while ((err = store_scan_next(scan, &key, &value)) == ERR_OK && key.at[0] == COUNT_QUEUE) {
        uint64_t counts[12];
        if (!count_row_decode(counts, value)) {
            err = ERR_CORRUPT;
            break;
        }
        *running += counts[TASK_S(RUNNING)];
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* No lease is given when the store could not take the largest result besides those of what runs. */
static bool space_is_short(story_t *story, err_t *err)
{
    store_usage_t usage;
    uint64_t running;
    space_t space;
    if (story->answer->output_max == 0) return false;
    if ((*err = count_running(story, &running)) != ERR_OK) return false;
    store_usage(story->answer->view->store, &usage);
    space_judge(&space, &usage, running, story->answer->output_max);
    if (space.leases_left > 0 && !space.end_only) return false;
    TELL(
        story,
        "the store has no room for one more result: %llu of %llu MiB are in use, %llu MiB are kept "
        "for the results of %llu running tasks (%u KiB each at most)",
        (unsigned long long)(space.used * space.page_bytes >> 20),
        (unsigned long long)(space.map * space.page_bytes >> 20),
        (unsigned long long)(space.reserved * space.page_bytes >> 20), (unsigned long long)running,
        story->answer->output_max >> 10);
    TELL(story,
         "it runs when others have ended; a larger broker.map lets more of them run at once");
    return true;
}

static err_t explain_waiting(story_t *story)
{
    err_t err = ERR_OK;
    answer_t *self = story->answer;
    const spec_row_t *spec = &story->rows.spec;
    char *queue, *type;
    rec_key_t key = key_kind_no(NAME_QUEUE, spec->queue);
    slice_t value;
    reg_row_t queue_row;
    ANSWER_TRY(answer_name(self, NAME_QUEUE, spec->queue, &queue));
    ANSWER_TRY(answer_name(self, NAME_TYPE, spec->type, &type));
    ANSWER_TRY(store_view_get(self->view, TABLE_reg, key_slice(&key), &value));
    if (!reg_row_decode(&queue_row, value)) return ERR_CORRUPT;
    if (queue_row.flags & REG_PAUSED) {
        set_reason(story, "pause");
        TELL(story, "queue %s is paused since %s%s%.*s", queue,
             answer_instant(self, queue_row.since_wall_us), queue_row.reason.len ? ": " : "",
             (int)queue_row.reason.len, (const char *)queue_row.reason.at);
        TELL(story, "`pawl queue resume %s` lets it go on", queue);
        return ERR_OK;
    }
    census_t census = { 0 };
    const Pawl__V1__ExecutorItems *all = self->executors;
    for (size_t i = 0; all && i < all->n_items; i++)
        count_executor(story, all->items[i], type, queue, &census);
    if (all && census.target == 0 && tell_lacks(story, type, queue)) {
        set_reason(story, "no_executor");
    } else if (all && census.queue == 0) {
        set_reason(story, "no_executor");
        TELL(story, "%u executors are connected, %u take the type %s, %u of these serve queue %s",
             census.connected, census.type, type, census.queue, queue);
    } else if (all && census.interpreter == 0) {
        set_reason(story, "no_executor");
        TELL(story, "its script needs %s, and NO executor has it: %u take its type and queue",
             story->task->command->interpreter, census.queue);
        TELL(story, "`pawl executor list -o json` tells what each of them has");
    } else if (all && census.source == 0) {
        set_reason(story, "no_executor");
        TELL(story, "no executor has the source %s: %u take its type and queue",
             story->task->sql->source, census.interpreter);
        TELL(story, "an executor's own file names its sources, under executor.sources");
    } else if (all && census.target == 0) {
        set_reason(story, "target");
        TELL(story,
             "it must run on %s, and none of the %u executors for its type and queue is that",
             target_text(self, story->task->target), census.source);
    } else if (all && census.ready == 0) {
        set_reason(story, "no_executor");
        TELL(story, "%u executors could run it, but none of them is ready", census.target);
    } else if (all && census.room == 0) {
        set_reason(story, "limit");
        TELL(story, "all slots are taken: %u of %u on %u executors", census.used, census.slots,
             census.ready);
    } else if (space_is_short(story, &err)) {
        set_reason(story, "space");
    } else {
        set_reason(story, "ready");
        if (all)
            TELL(story, "%u executors with room could run it: it is next in line or nearly so",
                 census.room);
    }
    if (err != ERR_OK) return err;
    tell_who_could(story, type, queue);
    return tell_position(story, queue);
}

static err_t explain_delayed(story_t *story)
{
    const task_rows_t *rows = &story->rows;
    int64_t due = answer_calendar(&story->meta, rows->timer_clock, rows->timer_at);
    bool again = rows->has_state && rows->state.attempts > 0;
    set_reason(story, again ? "retry" : "delay");
    if (rows->has_state && rows->state.polls) {
        set_reason(story, task_reason_text(REASON_POLL));
        TELL(story, "attempt %u of %u said %u times that it is not done; it is asked again at %s",
             rows->state.attempts + 1u, rows->spec.attempts_max, rows->state.polls,
             answer_instant(story->answer, due));
    } else if (again)
        TELL(story, "attempt %u of %u begins at %s", rows->state.attempts + 1u,
             rows->spec.attempts_max, answer_instant(story->answer, due));
    else
        TELL(story, "it may start at %s", answer_instant(story->answer, due));
    if (again && rows->state.message.len)
        TELL(story, "the last one said: %.*s", (int)rows->state.message.len,
             (const char *)rows->state.message.at);
    return ERR_OK;
}

/* A parent: how far its children are, and what the next ones wait for. */
static err_t explain_family(story_t *story)
{
    fam_row_t row;
    ANSWER_TRY(fam_row_get(story->answer->view, story->rows.n, &row));
    set_reason(story, row.flags & FAM_CANCELLING ? "cancelling"
                      : row.flags & FAM_HELD     ? "held"
                      : row.flags & FAM_STOPPED  ? task_reason_text(REASON_STOPPED)
                                                 : task_reason_text(REASON_CHILDREN));
    TELL(story, "%u of %u children finished, %u must; %u are open, %u of these not released yet",
         row.ok, row.total, fam_row_needed(&row), row.open, row.blocked);
    if (row.failed || row.expired || row.skipped || row.cancelled)
        TELL(story, "%u failed, %u expired, %u were skipped, %u cancelled", row.failed, row.expired,
             row.skipped, row.cancelled);
    if (row.blocked && row.parallel) TELL(story, "at most %u run at once", row.parallel);
    if (row.blocked && row.pause_until_us)
        TELL(story, "the next wave starts at %s",
             answer_instant(story->answer,
                            answer_calendar(&story->meta, CLOCK_ELAPSED, row.pause_until_us)));
    if (row.passes)
        TELL(story, "what was said of all of it is being done, some children at a time");
    TELL(story, "`pawl task children` lists them");
    return ERR_OK;
}

/* A child that waits or is held: what was said of its fan-out stands above all. */
static err_t explain_family_word(story_t *story, bool *told)
{
    fam_row_t row;
    *told = false;
    if (!(story->rows.spec.flags & SPEC_CHILD)) return ERR_OK;
    ANSWER_TRY(fam_row_get(story->answer->view, story->rows.spec.parent, &row));
    if (row.passes & (PASS_KILL | PASS_CANCEL)) {
        set_reason(story, "cancelling");
        TELL(story, "its fan-out is cancelled: so will it be in a moment");
    } else if (row.flags & FAM_HELD) {
        set_reason(story, task_reason_text(REASON_HELD));
        TELL(story, "its fan-out is held: `pawl task start` on the parent lets it go on");
    } else {
        return ERR_OK;
    }
    *told = true;
    return ERR_OK;
}

static err_t explain_blocked(story_t *story)
{
    fam_row_t row;
    char *name;
    ANSWER_TRY(fam_row_get(story->answer->view, story->rows.spec.parent, &row));
    ANSWER_TRY(child_key_get(story->answer, &story->rows.spec, story->rows.n, &name));
    set_reason(story, task_reason_text(row.flags & FAM_HELD ? REASON_HELD : REASON_WAVE));
    TELL(story, "child %u of %u of a fan-out, for executor %s", story->rows.spec.index + 1,
         row.total, name);
    if (!(row.flags & FAM_STARTED))
        TELL(story, "its parent has not started");
    else if (row.flags & FAM_HELD)
        TELL(story, "its parent is held: `pawl task start` on the parent lets it go on");
    else if (row.parallel)
        TELL(story, "at most %u children run at once, %u do now, %u wait to be released",
             row.parallel, row.open - row.blocked, row.blocked);
    return ERR_OK;
}

/* Its executor is away, or there again without it. */
static void explain_lost(story_t *story, const char *executor)
{
    const Pawl__V1__ExecutorItems *all = story->answer->executors;
    const run_row_t *run = &story->rows.run;
    bool there = false;
    for (size_t i = 0; all && i < all->n_items; i++)
        there |=
            strcmp(all->items[i]->name, executor) == 0 && strcmp(all->items[i]->state, "lost") != 0;
    if (there)
        TELL(story,
             "%s was started anew and does not run it; a result that its life before had written "
             "down still counts",
             executor);
    else
        TELL(story, "%s is silent; should it come back with it, or with its result, that counts",
             executor);
    TELL(
        story, "this is waited for until %s, then it %s",
        answer_instant(story->answer, answer_calendar(&story->meta, CLOCK_ELAPSED, run->leased_us)),
        story->task->on_lost == PAWL__V1__ON_LOST__ON_LOST_FAIL
            ? "fails, since it may run once at most (on_lost: fail)"
            : "is run again");
}

static err_t explain_running(story_t *story)
{
    if (!story->rows.has_run) return explain_family(story);
    const run_row_t *run = &story->rows.run;
    char *executor;
    ANSWER_TRY(answer_name(story->answer, NAME_EXECUTOR, run->executor, &executor));
    set_reason(story, run->flags & RUN_LOST         ? "lost"
                      : run->flags & RUN_CANCELLING ? "cancelling"
                                                    : "running");
    TELL(story,
         run->flags & RUN_LOST ? "attempt %u of %u began on %s at %s and was lost"
                               : "attempt %u of %u runs on %s since %s",
         run->attempt, story->rows.spec.attempts_max, executor,
         answer_instant(story->answer, run->leased_wall_us));
    if (run->flags & RUN_LOST)
        explain_lost(story, executor);
    else if (run->flags & RUN_CANCELLING)
        TELL(story, "it was told to stop: %.*s", (int)story->rows.state.message.len,
             (const char *)story->rows.state.message.at);
    return ERR_OK;
}

static err_t explain_external(story_t *story)
{
    const state_row_t *state = &story->rows.state;
    set_reason(story, task_reason_text(REASON_EXTERNAL));
    TELL(story, "attempt %u of %u was accepted; somebody with its completion token ends it",
         state->attempts, story->rows.spec.attempts_max);
    TELL(story, "if nobody does before %s it has timed out",
         answer_instant(story->answer,
                        answer_calendar(&story->meta, state->timer_clock, state->timer_at)));
    if (state->message.len)
        TELL(story, "it said: %.*s", (int)state->message.len, (const char *)state->message.at);
    return ERR_OK;
}

static err_t explain_ended(story_t *story)
{
    const state_row_t *state = &story->rows.state;
    set_reason(story, task_reason_text(state->reason));
    TELL(story, "it ended at %s, attempts: %u", answer_instant(story->answer, state->end_wall_us),
         state->attempts);
    if (state->flags & STATE_EXIT) TELL(story, "exit code %d", state->exit_code);
    if (state->signal) TELL(story, "ended by signal %u", state->signal);
    if (state->message.len)
        TELL(story, "%.*s", (int)state->message.len, (const char *)state->message.at);
    return ERR_OK;
}

static const char *const status_texts[] = { "",        "held",      "delayed",    "blocked",
                                            "waiting", "running",   "external",   "finished",
                                            "failed",  "cancelled", "superseded", "expired" };

/* A child's body is its parent's: whom it is for stands elsewhere. */
static err_t aim_child(story_t *story)
{
    const task_rows_t *rows = &story->rows;
    if (!(rows->spec.flags & SPEC_CHILD) || rows->lane != rows->spec.lane) return ERR_OK;
    Pawl__V1__Task *own = answer_take(story->answer, sizeof *own);
    *own = *story->task;
    own->target = answer_take(story->answer, sizeof *own->target);
    pawl__v1__target__init(own->target);
    story->task = own;
    return child_key_get(story->answer, &rows->spec, rows->n, &own->target->executor);
}

err_t query_task_why(answer_t *self, const Pawl__V1__TaskWhy *ask, Pawl__V1__Reply *reply)
{
    story_t story = { .answer = self };
    uint64_t n;
    uint8_t kind;
    err_t err = task_asked(self, ask->id.data, &n, &kind);
    if (err == ERR_OK && kind == ID_TOMBSTONE) err = ERR_NOT_FOUND;
    if (err == ERR_OK) err = task_rows_shown(self->view, n, &story.rows);
    if (err == ERR_NOT_FOUND) {
        char text[ULID_TEXT + 1];
        ulid_print(ask->id.data, text);
        answer_refuse(self, reply, err, "task_why.id", "no task %s is on record", text);
        return ERR_OK;
    }
    if (err != ERR_OK) return err;
    ANSWER_TRY(answer_meta(self, &story.meta));
    ANSWER_TRY(task_rows_unpack(self, &story.rows, &story.task));
    ANSWER_TRY(aim_child(&story));
    Pawl__V1__Why *why = answer_take(self, sizeof *why);
    pawl__v1__why__init(why);
    why->lines = answer_take(self, LINES_MAX * sizeof *why->lines);
    why->status = answer_text(self, slice_text(status_texts[story.rows.status]));
    story.why = why;
    reply->why = why;
    reply->body_case = PAWL__V1__REPLY__BODY_WHY;
    bool told = false;
    if (story.rows.status == TASK_S(HELD) || story.rows.status == TASK_S(WAITING))
        ANSWER_TRY(explain_family_word(&story, &told));
    if (told) return ERR_OK;
    switch (story.rows.status) {
    case TASK_S(HELD):
        set_reason(&story, task_reason_text(REASON_HELD));
        TELL(&story, "it is held until somebody starts it: `pawl task start`");
        return ERR_OK;
    case TASK_S(DELAYED):
        return explain_delayed(&story);
    case TASK_S(WAITING):
        return story.rows.parked ? explain_parked(&story) : explain_waiting(&story);
    case TASK_S(RUNNING):
        return explain_running(&story);
    case TASK_S(EXTERNAL):
        return explain_external(&story);
    case TASK_S(BLOCKED):
        return explain_blocked(&story);
    default:
        return explain_ended(&story);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * lease.c - the right to run one attempt: given, ended by a report, lost, given back.
 *
 * Each lease has a token that rises with every lease of the task (generation << 48 | counter). A
 * report counts when it carries the newest token and the task has not ended otherwise; so however
 * often an executor reports, and whoever else ran the task meanwhile, one outcome is recorded. */
#include "broker/inside.h"

#include <stdlib.h>

enum { LOST_MAX = 3 /* executors of distinct names that a task may cost before quarantine */ };

static uint64_t id_hash(const uint8_t id[16])
{
    uint64_t hash = be_u64(id) * 31 + be_u64(id + 8);
    return hash ? hash : 1;
}

run_t *run_by_id(core_t *core, const uint8_t id[16])
{
    run_t *run = map_get(&core->runs, id_hash(id));
    while (run && memcmp(run->id, id, 16) != 0)
        run = run->same_hash;
    return run;
}

/* What a lease keeps of its task's spec, so that its end needs no read. */
static void run_fill(run_t *run, const spec_row_t *spec)
{
    memcpy(run->id, spec->id, 16);
    run->queue = spec->queue;
    run->type = spec->type;
    run->spec_flags = spec->flags;
    run->priority = spec->priority;
    run->attempts_max = spec->attempts_max;
    run->instant_us = spec->instant_wall_us;
    run->parent = spec->parent;
    run->index = spec->index;
    run->firing = spec->firing;
    memcpy(run->gate, spec->gate, sizeof run->gate);
    run->range = spec->range;
    run->folded_first_us = spec->folded_first_us;
    run->folded_count = spec->folded_count;
}

static void run_keep(core_t *core, run_t *run)
{
    run->same_hash = map_get(&core->runs, id_hash(run->id));
    map_put(&core->runs, id_hash(run->id), run);
    core->cancelling += (run->row.flags & RUN_CANCELLING) != 0;
}

static void run_unmap(core_t *core, run_t *run)
{
    uint64_t hash = id_hash(run->id);
    run_t *first = map_get(&core->runs, hash);
    if (first != run) {
        while (first->same_hash != run)
            first = first->same_hash;
        first->same_hash = run->same_hash;
    } else if (run->same_hash) {
        map_put(&core->runs, hash, run->same_hash);
    } else {
        map_take(&core->runs, hash);
    }
}

/* Takes the lease out of store and memory. The caller frees `run` when done with it; on an error it
 * is still in memory, which goes as a whole. */
err_t run_remove(core_t *core, run_t *run)
{
    executor_t *executor = run->executor;
    if (run->row.flags & RUN_LOST) {
        rec_key_t timer = key_timer(CLOCK_ELAPSED, run->row.leased_us, TIMER_LOST, run->n);
        err_t err = store_del(core->store, TABLE_timer, key_slice(&timer));
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err; /* absent: that timer is what ends it */
    }
    rec_key_t key = key_n(run->n);
    TRY(del_row(core, TABLE_run, &key));
    if (executor) {
        executor_withhold(executor, run);
        if (run->prev)
            run->prev->next = run->next;
        else
            executor->runs = run->next;
        if (run->next) run->next->prev = run->prev;
        executor->held--;
        executor->told_held_dirty = true;
    }
    run_unmap(core, run);
    core->cancelling -= (run->row.flags & RUN_CANCELLING) != 0;
    core->made_room = true;
    return ERR_OK;
}

err_t run_save(core_t *core, const run_t *run)
{
    core->scratch.len = 0;
    run_row_encode(&run->row, &core->scratch);
    rec_key_t key = key_n(run->n);
    return put_scratch(core, TABLE_run, &key, 0);
}

void runs_free(core_t *core)
{
    size_t at = 0;
    for (run_t *run; (run = map_next(&core->runs, &at)) != NULL;)
        for (run_t *next; run; run = next) {
            next = run->same_hash;
            free(run);
        }
    map_free(&core->runs);
    core->cancelling = 0;
}

err_t runs_load(core_t *core)
{
    rec_key_t from = key_n(0);
    for (;;) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_run, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        run_t *run = mem_new(sizeof *run);
        run->n = be_u64(key.at);
        spec_row_t spec;
        bool good = key.len == 8 && run_row_decode(&run->row, value);
        rec_key_t spec_key = key_n(run->n);
        err = good ? store_get(core->store, TABLE_spec, key_slice(&spec_key), &value) : ERR_CORRUPT;
        named_t *name = name_at(core, NAME_EXECUTOR, run->row.executor);
        if (err != ERR_OK || !spec_row_decode(&spec, value) || name == NULL) {
            free(run);
            return err == ERR_OK || err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        run_fill(run, &spec);
        run_keep(core, run);
        executor_attach(executor_for(core, name), run);
        from = key_n(run->n + 1);
    }
}

/* ---- given ----------------------------------------------------------------------------------- */

static err_t add_to_assign(core_t *core, run_t *run, const task_t *task, slice_t body)
{
    Pawl__V1__Lease *lease = batch_alloc(core, sizeof *lease);
    pawl__v1__lease__init(lease);
    lease->id.data = run->id; /* lives as long as the run: the push is packed in this batch */
    lease->id.len = 16;
    lease->token = run->row.token;
    lease->attempt = run->row.attempt;
    lease->attempts_max = run->attempts_max;
    lease->planned_us = run->instant_us ? run->instant_us : run->row.leased_wall_us;
    if (run->row.schedule) {
        plan_t *plan;
        TRY(plan_get(core, run->row.schedule, &plan));
        if (run->folded_count) {
            lease->folded_first_us = run->folded_first_us;
            lease->folded_last_us = run->instant_us;
            lease->folded_count = run->folded_count;
        }
        lease->schedule = batch_printf(core, "%.*s", (int)plan->row.name.len, plan->row.name.at);
    }
    if (run->parent) TRY(family_lease(core, run, lease));
    uint8_t *copy = batch_alloc(core, body.len);
    memcpy(copy, body.at, body.len);
    lease->task.data = copy;
    lease->task.len = body.len;
    TRY(external_lease(core, task, lease));
    executor_assign(core, run, lease);
    return ERR_OK;
}

err_t lease_again(core_t *core, run_t *run)
{
    task_t task;
    TRY(task_of_run(core, run, &task));
    slice_t body;
    TRY(task_body(core, &task, &body));
    return add_to_assign(core, run, &task, body);
}

uint64_t lease_next_token(const core_t *core, uint64_t last)
{
    uint64_t first = (uint64_t)core->fixed.generation << 48;
    return (last > first ? last : first) + 1;
}

/* A first lease: expiry no longer counts; true in *expired when it struck already. Nor does it for
 * a task that was run again by hand: its timer went when it ended. */
err_t lease_check_expiry(core_t *core, task_t *task, bool *expired)
{
    *expired = false;
    if (!(task->spec.flags & SPEC_EXPIRES) || task->state.token != 0 ||
        (task->state.flags & STATE_BY_HAND))
        return ERR_OK;
    int64_t now = task->spec.expire_clock == CLOCK_WALL ? core->wall_us : core->now_us;
    if (task->spec.expire_us <= now) {
        *expired = true;
        return ERR_OK;
    }
    return timer_clear(core, task->spec.expire_clock, task->spec.expire_us, TIMER_EXPIRE, task->n);
}

err_t lease_take(core_t *core, executor_t *executor, lane_t *lane, const fresh_t *fresh,
                 bool *taken)
{
    task_t task;
    *taken = false;
    TRY(task_load(core, fresh->n, &task));
    if (task.status != S(WAITING)) return ERR_CORRUPT;
    bool expired;
    TRY(lease_check_expiry(core, &task, &expired));
    if (expired) {
        lane_add(core, lane, fresh->due_us, fresh->n, NULL); /* task_end takes it out */
        return task_end(core, &task, S(EXPIRED), REASON_EXPIRED);
    }
    if (task.spec.flags & SPEC_CHILD) {
        bool may;
        TRY(family_may_lease(core, &task, &may));
        if (!may) {
            lane_add(core, lane, fresh->due_us, fresh->n, NULL); /* from where it is taken away */
            return family_put_aside(core, &task);
        }
    }
    slice_t body;
    if (fresh->spec)
        body = fresh->spec->body;
    else
        TRY(task_body(core, &task, &body));
    run_t *run = mem_new(sizeof *run);
    run->n = task.n;
    run_fill(run, &task.spec);
    run->row = (run_row_t){ .executor = executor->name->no,
                            .incarnation = executor->incarnation8,
                            .token = lease_next_token(core, task.state.token),
                            .attempt = (uint16_t)(task.state.attempts + 1),
                            .flags = task.has_state ? RUN_HAS_STATE : 0,
                            .lost = task.state.lost,
                            .leased_us = core->now_us,
                            .leased_wall_us = core->wall_us,
                            .lane = lane->no,
                            .schedule = task.spec.schedule };
    run_keep(core, run);
    executor_attach(executor, run);
    TRY(run_save(core, run));
    bool first = task.state.token == 0;
    task_move(core, &task, S(RUNNING));
    task.run = run;
    if (task.spec.flags & SPEC_SCHEDULED) TRY(schedule_task_leased(core, &task, first));
    hist_add(core->queue_hist,
             core->now_us - (fresh->due_us - priority_offset_us(task.spec.priority)));
    TRY(add_to_assign(core, run, &task, body));
    executor->told_held_dirty = true;
    core->started++;
    core->ops++;
    *taken = true;
    return journal_task(core, EVENT_RUNNING, &task, executor->name->no);
}

/* ---- ended ----------------------------------------------------------------------------------- */

/* The attempt as it ended goes into the task's state. */
static err_t record(core_t *core, task_t *task, const run_t *run, const Pawl__V1__Result *result)
{
    state_row_t *state = &task->state;
    state->token = run->row.token;
    state->attempts = run->row.attempt;
    state->lost = run->row.lost;
    state->executor = run->row.executor;
    state->flags = STATE_REPORTED;
    state->start_wall_us = result->started_us ? result->started_us : run->row.leased_wall_us;
    state->end_wall_us = result->ended_us ? result->ended_us : core->wall_us;
    state->outcome = (uint8_t)result->outcome;
    state->signal = (uint8_t)result->signal;
    if (result->exit_set_case == PAWL__V1__RESULT__EXIT_SET_EXIT_CODE) {
        state->flags |= STATE_EXIT;
        state->exit_code = (int16_t)result->exit_code;
    }
    state->message = text_clip(slice_text(result->message), LIMIT_MESSAGE_KEPT);
    state->output_type = text_clip(slice_text(result->output_type), LIMIT_NAME);
    state->output_len = (uint32_t)result->output.len;
    state->output = slice(result->output.data, result->output.len);
    if (result->output.len > LIMIT_OUTPUT_INLINE) {
        state->flags |= STATE_OUTPUT_PARTS;
        state->output = slice(NULL, 0);
        TRY(put_parts(core, task->n, PART_OUTPUT, run->row.token,
                      slice(result->output.data, result->output.len)));
    }
    if (result->usage) {
        state->cpu_us = result->usage->cpu_us;
        state->memory_bytes = result->usage->memory_bytes;
    }
    state->progress_text = slice(NULL, 0);
    state->progress_done = state->progress_total = 0;
    return ERR_OK;
}

/* An attempt that does not end its task leaves a row of its own. */
static err_t keep_try(core_t *core, const task_t *task, const run_t *run, uint8_t outcome)
{
    const state_row_t *state = &task->state;
    try_row_t row = { .attempt = run->row.attempt,
                      .executor = run->row.executor,
                      .start_wall_us = state->start_wall_us,
                      .end_wall_us = state->end_wall_us,
                      .outcome = outcome,
                      .signal = state->signal,
                      .flags = state->flags & STATE_EXIT,
                      .exit_code = state->exit_code,
                      .cpu_us = state->cpu_us,
                      .memory_bytes = state->memory_bytes,
                      .message = state->message };
    core->scratch.len = 0;
    try_row_encode(&row, &core->scratch);
    rec_key_t key = key_try(task->n, run->row.token);
    return put_scratch(core, TABLE_try, &key, 0);
}

/* Exponential, with a jitter that is a hash of task and attempt: replay gives the same. */
static int64_t back_off_us(const run_t *run, unsigned failures, const Pawl__V1__Retry *retry)
{
    int64_t wait = DEFAULT_BACKOFF_US, cap = DEFAULT_BACKOFF_CAP_US;
    uint32_t factor = DEFAULT_BACKOFF_FACTOR_MILLI;
    if (retry && retry->backoff_set_case == PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US)
        wait = retry->backoff_us;
    if (retry && retry->factor_milli) factor = retry->factor_milli;
    if (retry && retry->cap_us) cap = retry->cap_us;
    for (unsigned i = 1; i < failures && wait < cap; i++)
        wait = wait / 1000 * factor + wait % 1000 * factor / 1000;
    if (wait > cap) wait = cap;
    uint8_t seed[18];
    be_put_u16(be_put_bytes(seed, run->id, 16), (uint16_t)failures);
    int64_t spread = wait / 1000 * DEFAULT_BACKOFF_JITTER_MILLI;
    return spread > 0 ? wait + (int64_t)(hash64(seed, sizeof seed) % (uint64_t)spread) : wait;
}

err_t lease_failed(core_t *core, task_t *task, run_t *run, Pawl__V1__Outcome outcome)
{
    bool timed_out = outcome == PAWL__V1__OUTCOME__OUTCOME_TIMEOUT;
    if (outcome == PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT)
        return task_end(core, task, S(FAILED), REASON_PERMANENT);
    if (run->row.attempt >= run->attempts_max)
        return task_end(core, task, S(FAILED), timed_out ? REASON_TIMEOUT : REASON_EXHAUSTED);
    TRY(keep_try(core, task, run, (uint8_t)outcome));
    TRY(poll_forget(core, task));
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    task->state.reason = REASON_RETRY;
    int64_t wait = back_off_us(run, run->row.attempt, body->retry);
    return task_place_timer(core, task, CLOCK_ELAPSED, core->now_us + wait);
}

/* Uncounted: the same attempt number comes again, now or after delay_us. */
static err_t again(core_t *core, task_t *task, run_t *run, int64_t delay_us, uint8_t reason,
                   uint8_t outcome)
{
    TRY(keep_try(core, task, run, outcome));
    task->state.attempts = (uint16_t)(run->row.attempt - 1);
    task->state.reason = reason;
    return delay_us > 0 ? task_place_timer(core, task, CLOCK_ELAPSED, core->now_us + delay_us)
                        : task_place_ready(core, task);
}

/* What the result, which is in task->state, makes of the task. The lease is over. */
static err_t settle(core_t *core, task_t *task, run_t *run, const Pawl__V1__Result *result)
{
    switch ((int)result->outcome) {
    case PAWL__V1__OUTCOME__OUTCOME_DONE:
        return task_end(core, task, S(FINISHED), REASON_NONE);
    case PAWL__V1__OUTCOME__OUTCOME_AGAIN:
        return poll_again(core, task, run, result);
    case PAWL__V1__OUTCOME__OUTCOME_ASYNC:
        return external_begin(core, task, result);
    case PAWL__V1__OUTCOME__OUTCOME_RETRY_AFTER:
        return again(core, task, run, result->retry_after_us, REASON_RETRY_AFTER,
                     (uint8_t)result->outcome);
    case PAWL__V1__OUTCOME__OUTCOME_RETURN:
    case PAWL__V1__OUTCOME__OUTCOME_CANCELLED:
        return again(core, task, run, 0, REASON_RETURNED, (uint8_t)result->outcome);
    default:
        return lease_failed(core, task, run, result->outcome);
    }
}

static err_t apply_result(core_t *core, run_t *run, const Pawl__V1__Result *result)
{
    task_t task;
    TRY(task_of_run(core, run, &task));
    bool cancelled = (run->row.flags & RUN_CANCELLING) != 0 &&
                     result->outcome != PAWL__V1__OUTCOME__OUTCOME_DONE;
    slice_t words =
        cancelled ? stop_words(core, task.state.message, slice_text(result->message)) : slice(0, 0);
    TRY(record(core, &task, run, result));
    if (cancelled) task.state.message = words;
    hist_add(core->run_hist, core->now_us - run->row.leased_us);
    TRY(run_remove(core, run));
    task.run = NULL;
    err_t err = cancelled ? task_end(core, &task, S(CANCELLED), REASON_BY_HAND)
                          : settle(core, &task, run, result);
    free(run);
    return err;
}

/* Kept for audit beside the attempts: what a fenced executor reported. */
static err_t keep_orphan(core_t *core, uint64_t n, const Pawl__V1__Result *result)
{
    rec_key_t key = key_try(n, result->token);
    slice_t old;
    try_row_t row = { 0 };
    err_t err = store_get(core->store, TABLE_try, key_slice(&key), &old);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (err == ERR_OK && !try_row_decode(&row, old)) return ERR_CORRUPT;
    if (row.outcome == ENDED_STALE) return ERR_OK; /* a resend */
    row.outcome = ENDED_STALE;
    row.end_wall_us = result->ended_us ? result->ended_us : core->wall_us;
    row.signal = (uint8_t)result->signal;
    if (result->exit_set_case == PAWL__V1__RESULT__EXIT_SET_EXIT_CODE) {
        row.flags = STATE_EXIT;
        row.exit_code = (int16_t)result->exit_code;
    }
    row.message = text_clip(slice_text(result->message), LIMIT_MESSAGE_KEPT);
    core->scratch.len = 0;
    try_row_encode(&row, &core->scratch);
    return put_scratch(core, TABLE_try, &key, 0);
}

void lease_was(run_t *run, const task_t *task)
{
    *run = (run_t){ .n = task->n };
    run_fill(run, &task->spec);
    run->row = (run_row_t){ .executor = task->state.executor,
                            .token = task->state.token,
                            .attempt = (uint16_t)(task->state.attempts + 1),
                            .lost = task->state.lost,
                            .leased_wall_us = task->state.start_wall_us };
}

/* The lease was lost and nobody has the task since: the work is not thrown away. */
static err_t recover(core_t *core, task_t *task, const Pawl__V1__Result *result)
{
    TRY(task_unplace(core, task));
    run_t run;
    lease_was(&run, task);
    rec_key_t lost = key_try(task->n, result->token);
    err_t err = store_del(core->store, TABLE_try, key_slice(&lost));
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    TRY(record(core, task, &run, result));
    task_move(core, task, S(RUNNING)); /* it is, for the moment of this transaction */
    return settle(core, task, &run, result);
}

static err_t is_exclusive(core_t *core, const task_t *task, bool *exclusive)
{
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    *exclusive = body->exclusive;
    return ERR_OK;
}

/* A result for a lease that is not running. */
static err_t late_result(core_t *core, const Pawl__V1__Result *result,
                         Pawl__V1__ReportVerdict *verdict)
{
    uint64_t n;
    uint8_t kind;
    *verdict = PAWL__V1__REPORT_VERDICT__REPORT_UNKNOWN;
    err_t err = task_find(core, result->id.data, &n, &kind);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && kind != ID_TASK)) return ERR_OK;
    TRY(err);
    task_t task;
    TRY(task_load(core, n, &task));
    uint64_t newest = task.run ? task.run->row.token : task.state.token;
    if (newest == 0 || result->token > newest)
        return ERR_OK; /* never leased, or a token nobody gave out */
    if (result->token < newest) {
        *verdict = PAWL__V1__REPORT_VERDICT__REPORT_STALE;
        return keep_orphan(core, n, result);
    }
    if (task.state.flags & STATE_REPORTED) {
        *verdict = PAWL__V1__REPORT_VERDICT__REPORT_DONE;
        return ERR_OK; /* a resend of what is recorded */
    }
    bool exclusive;
    TRY(is_exclusive(core, &task, &exclusive));
    if ((task.status == S(WAITING) || task.status == S(DELAYED)) &&
        (task.state.flags & STATE_LOST) && !exclusive) {
        *verdict = PAWL__V1__REPORT_VERDICT__REPORT_RECOVERED;
        return recover(core, &task, result);
    }
    *verdict = PAWL__V1__REPORT_VERDICT__REPORT_LATE;
    return keep_orphan(core, n, result);
}

static err_t report_result(core_t *core, const Pawl__V1__Result *result,
                           Pawl__V1__ReportVerdict *verdict)
{
    run_t *run = run_by_id(core, result->id.data);
    if (run && run->row.token == result->token) {
        *verdict = PAWL__V1__REPORT_VERDICT__REPORT_DONE;
        return apply_result(core, run, result);
    }
    return late_result(core, result, verdict);
}

/* Progress is written through: a newer one replaces it, the end removes it. */
static err_t report_progress(core_t *core, const Pawl__V1__Progress *progress)
{
    run_t *run = run_by_id(core, progress->id.data);
    if (run == NULL || run->row.token != progress->token)
        return ERR_OK; /* fenced: its result will be told so */
    task_t task;
    TRY(task_of_run(core, run, &task));
    if (!task.has_state) {
        task.state.attempts = (uint16_t)(run->row.attempt - 1);
        run->row.flags |= RUN_HAS_STATE;
        TRY(run_save(core, run));
    }
    task.state.status = S(RUNNING);
    task.state.progress_done = progress->done;
    task.state.progress_total = progress->total;
    task.state.progress_text = text_clip(slice_text(progress->text), LIMIT_NAME);
    return task_save(core, &task);
}

err_t lease_report(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Report *report = command->request->report;
    executor_t *executor = executor_of(core, command->conn);
    if (executor == NULL) {
        refuse(core, reply, ERR_NO_SESSION, "",
               "this session is not an executor's: send Hello first");
        return ERR_OK;
    }
    Pawl__V1__Reported *answer = batch_alloc(core, sizeof *answer);
    pawl__v1__reported__init(answer);
    answer->verdicts = batch_alloc(core, (report->n_results + 1) * sizeof *answer->verdicts);
    answer->claims = batch_alloc(core, (report->n_running + 1) * sizeof *answer->claims);
    for (size_t i = 0; i < report->n_progress; i++)
        TRY(report_progress(core, report->progress[i]));
    for (size_t i = 0; i < report->n_results; i++) {
        TRY(report_result(core, report->results[i], &answer->verdicts[i]));
        core->ops++;
    }
    answer->n_verdicts = report->n_results;
    if (report->n_running || report->running_complete) {
        TRY(executor_claims(core, executor, report->running, report->n_running, answer->claims));
        answer->n_claims = report->n_running;
        if (report->running_complete) TRY(executor_settle(core, executor));
    }
    if (report->credit_set_case == PAWL__V1__REPORT__CREDIT_SET_CREDIT)
        executor->credit = report->credit;
    reply->body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply->reported = answer;
    return ERR_OK;
}

/* ---- lost and given back --------------------------------------------------------------------- */

/* How many executors of distinct names this task has cost, the current one included. */
static err_t count_lost(core_t *core, const run_t *run, unsigned *count)
{
    uint32_t seen[LOST_MAX + 1] = { run->row.executor };
    *count = 1;
    rec_key_t from = key_try(run->n, 0);
    while (*count <= LOST_MAX) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_try, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u64(key.at) != run->n)) return ERR_OK;
        TRY(err);
        try_row_t row;
        if (!try_row_decode(&row, value)) return ERR_CORRUPT;
        bool known = row.outcome != ENDED_LOST;
        for (unsigned i = 0; i < *count; i++)
            known = known || seen[i] == row.executor;
        if (!known) seen[(*count)++] = row.executor;
        from = key_try(run->n, be_u64(key.at + 8) + 1);
    }
    return ERR_OK;
}

/* The lost attempt as it goes on record; the run is over. */
static err_t end_lost(core_t *core, run_t *run, task_t *task)
{
    TRY(task_of_run(core, run, task));
    state_row_t *state = &task->state;
    state->token = run->row.token;
    state->attempts = (uint16_t)(run->row.attempt - 1);
    state->lost = (uint8_t)(run->row.lost < UINT8_MAX ? run->row.lost + 1 : UINT8_MAX);
    state->executor = run->row.executor;
    state->flags = STATE_LOST;
    state->start_wall_us = run->row.leased_wall_us;
    state->end_wall_us = core->wall_us;
    slice_t lost = slice_text("the executor was lost");
    state->message =
        run->row.flags & RUN_CANCELLING ? stop_words(core, state->message, lost) : lost;
    state->output = state->output_type = state->progress_text = slice(NULL, 0);
    state->output_len = 0;
    task->has_state = true;
    TRY(journal_task(core, EVENT_LOST, task, run->row.executor));
    TRY(run_remove(core, run));
    task->run = NULL;
    return ERR_OK;
}

err_t lease_alone_us(core_t *core, run_t *run, int64_t *us)
{
    task_t task;
    const Pawl__V1__Task *body;
    TRY(task_of_run(core, run, &task));
    TRY(task_unpack(core, &task, &body));
    bool only = body->on_lost == PAWL__V1__ON_LOST__ON_LOST_FAIL;
    *us = only              ? core->config.lease_us
          : body->exclusive ? EXCLUSIVE_MARGIN_US(core->config.lease_us)
                            : 0;
    return ERR_OK;
}

/* The loss takes effect. */
static err_t lose_now(core_t *core, run_t *run)
{
    task_t task;
    bool cancelling = (run->row.flags & RUN_CANCELLING) != 0;
    unsigned names;
    const Pawl__V1__Task *body;
    TRY(count_lost(core, run, &names));
    if (names > run->row.lost + 1u) names = run->row.lost + 1u; /* since it was run again by hand */
    TRY(end_lost(core, run, &task));
    TRY(task_unpack(core, &task, &body));
    err_t err;
    if (cancelling)
        err = task_end(core, &task, S(CANCELLED), REASON_BY_HAND);
    else if (names >= LOST_MAX)
        err = task_end(core, &task, S(FAILED), REASON_QUARANTINE);
    else {
        /* The first loss is the machine's fault: at once. A task that goes on costing executors
         * waits, as it waits after a failure. */
        int64_t wait =
            task.state.lost > 1 ? back_off_us(run, task.state.lost - 1u, body->retry) : 0;
        err = keep_try(core, &task, run, ENDED_LOST);
        if (err == ERR_OK && run->parent) err = family_move_child(core, &task);
        task.state.reason = REASON_LOST;
        if (err == ERR_OK)
            err = wait > 0 ? task_place_timer(core, &task, CLOCK_ELAPSED, core->now_us + wait)
                           : task_place_ready(core, &task);
    }
    free(run);
    return err;
}

err_t lease_lose(core_t *core, run_t *run)
{
    if (run->row.flags & RUN_LOST) return ERR_OK; /* its last lease is counting already */
    if (!(run->row.flags & RUN_CANCELLING)) {
        int64_t alone_us;
        TRY(lease_alone_us(core, run, &alone_us));
        if (alone_us > 0) {
            /* Nobody else gets it yet, but its result counts so much longer. */
            run->row.flags |= RUN_LOST;
            run->row.leased_us = core->now_us + alone_us;
            TRY(timer_set(core, CLOCK_ELAPSED, run->row.leased_us, TIMER_LOST, run->n));
            return run_save(core, run);
        }
    }
    return lose_now(core, run);
}

err_t lease_keep(core_t *core, run_t *run)
{
    uint64_t incarnation = run->executor->incarnation8;
    if (run->row.incarnation == incarnation && !(run->row.flags & RUN_LOST)) return ERR_OK;
    if (run->row.flags & RUN_LOST) {
        TRY(timer_clear(core, CLOCK_ELAPSED, run->row.leased_us, TIMER_LOST, run->n));
        run->row.flags &= (uint8_t)~RUN_LOST;
        run->row.leased_us = core->now_us;
    }
    run->row.incarnation = incarnation;
    return run_save(core, run);
}

err_t lease_lose_for_good(core_t *core, uint64_t n)
{
    task_t task;
    TRY(task_load(core, n, &task));
    run_t *run = task.run;
    if (run == NULL || !(run->row.flags & RUN_LOST)) return ERR_CORRUPT;
    bool cancelling = (run->row.flags & RUN_CANCELLING) != 0;
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, &task, &body));
    if (body->on_lost != PAWL__V1__ON_LOST__ON_LOST_FAIL)
        return lose_now(core, run); /* exclusive: whoever had it has stopped by now */
    TRY(end_lost(core, run, &task));
    err_t err = cancelling ? task_end(core, &task, S(CANCELLED), REASON_BY_HAND)
                           : task_end(core, &task, S(FAILED), REASON_LOST);
    free(run);
    return err;
}

err_t lease_return(core_t *core, run_t *run, int64_t delay_us, uint8_t reason, const char *message)
{
    task_t task;
    TRY(task_of_run(core, run, &task));
    task.state.token = run->row.token;
    task.state.lost = run->row.lost;
    task.state.executor = run->row.executor;
    task.state.flags = STATE_LOST; /* nobody reported it: should its result come yet, it counts */
    task.state.start_wall_us = run->row.leased_wall_us;
    task.state.end_wall_us = core->wall_us;
    bool cancelling = (run->row.flags & RUN_CANCELLING) != 0;
    slice_t said = slice_text(message);
    task.state.message = cancelling ? stop_words(core, task.state.message, said) : said;
    TRY(run_remove(core, run));
    task.run = NULL;
    err_t err = cancelling
                    ? task_end(core, &task, S(CANCELLED), REASON_BY_HAND)
                    : again(core, &task, run, delay_us, reason, PAWL__V1__OUTCOME__OUTCOME_RETURN);
    free(run);
    return err;
}

/* Lost, yet nobody has it since and the executor still runs it: the lease goes on (no effect when
 * that is not so). The way back of lease_lose. */
err_t lease_resume(core_t *core, executor_t *executor, const uint8_t id[16], uint64_t token)
{
    uint64_t n;
    uint8_t kind;
    if (run_by_id(core, id)) return ERR_OK;
    err_t err = task_find(core, id, &n, &kind);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && kind != ID_TASK)) return ERR_OK;
    TRY(err);
    task_t task;
    TRY(task_load(core, n, &task));
    if ((task.status != S(WAITING) && task.status != S(DELAYED)) ||
        !(task.state.flags & STATE_LOST) || task.state.token != token ||
        task.state.executor != executor->no)
        return ERR_OK;
    bool exclusive;
    TRY(is_exclusive(core, &task, &exclusive));
    if (exclusive) return ERR_OK; /* it has ended itself; what it says now is of a dead attempt */
    TRY(task_unplace(core, &task));
    rec_key_t lost = key_try(n, token);
    TRY(del_row(core, TABLE_try, &lost));
    run_t *run = mem_new(sizeof *run);
    run->n = n;
    run_fill(run, &task.spec);
    run->row = (run_row_t){ .executor = executor->no,
                            .incarnation = executor->incarnation8,
                            .token = token,
                            .attempt = (uint16_t)(task.state.attempts + 1),
                            .flags = RUN_HAS_STATE,
                            .lost = (uint8_t)(task.state.lost - (task.state.lost > 0)),
                            .leased_us = core->now_us,
                            .leased_wall_us = task.state.start_wall_us,
                            .lane = task_lane(&task),
                            .schedule = task.spec.schedule };
    run_keep(core, run);
    executor_attach(executor, run);
    executor->told_held_dirty = true;
    TRY(run_save(core, run));
    task_move(core, &task, S(RUNNING));
    task.run = run;
    task.state.lost = run->row.lost;
    task.state.flags = 0;
    TRY(task_save(core, &task));
    return journal_task(core, EVENT_RUNNING, &task, executor->no);
}

/* A lease of an at-most-once task whose second lease ran out while the broker was down: its
 * executor gets one more, to say Hello. */
err_t lease_wait_again(core_t *core, run_t *run)
{
    int64_t until = core->now_us + core->config.lease_us;
    if (!(run->row.flags & RUN_LOST) || run->row.leased_us >= until) return ERR_OK;
    TRY(timer_clear(core, CLOCK_ELAPSED, run->row.leased_us, TIMER_LOST, run->n));
    run->row.leased_us = until;
    TRY(timer_set(core, CLOCK_ELAPSED, until, TIMER_LOST, run->n));
    return run_save(core, run);
}

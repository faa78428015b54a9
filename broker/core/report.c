/* SPDX-License-Identifier: Apache-2.0
 * report.c - attempts that their executors report as over. */
#include "broker/core/inside.h"

#include <stdlib.h>

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
        return attempt_again(core, task, run, result->retry_after_us, REASON_RETRY_AFTER,
                             (uint8_t)result->outcome);
    case PAWL__V1__OUTCOME__OUTCOME_RETURN:
    case PAWL__V1__OUTCOME__OUTCOME_CANCELLED:
        return attempt_again(core, task, run, 0, REASON_RETURNED, (uint8_t)result->outcome);
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
    TRY(task_is_exclusive(core, &task, &exclusive));
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
    executor_changed(core, executor);
    reply->body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply->reported = answer;
    return ERR_OK;
}

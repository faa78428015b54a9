/* SPDX-License-Identifier: Apache-2.0
 * external.c - attempts that go on although nobody has a lease of them.
 *
 * AGAIN: "not yet, ask again". The same attempt waits for its next poll like any delayed task; what
 * one poll left comes back with the next, on whatever executor. How often and for how long is
 * bounded, and the bound ends the attempt as a time-out.
 *
 * ASYNC: "accepted, somebody else ends it". The task is external: no lease, no slot, but it goes on
 * counting for the overlap of its schedule. Whoever has its completion token ends it or moves its
 * deadline; the deadline ends the attempt as a time-out. A token is (n, token, MAC): nothing is
 * stored for it, nobody can guess it, and it is dead once the task has a newer token. It may be
 * used before the report that makes the task external is in: then it is answered NOT_YET. */
#include "broker/core/inside.h"

/* ---- polls ----------------------------------------------------------------------------------- */

err_t poll_end(core_t *core, task_t *task)
{
    if (task->state.poll_len) TRY(del_parts(core, task->n, PART_POLL, 0));
    task->state.poll_len = 0;
    task->state.poll_since_us = 0;
    return ERR_OK;
}

err_t poll_forget(core_t *core, task_t *task)
{
    TRY(poll_end(core, task));
    task->state.polls = 0;
    return ERR_OK;
}

/* What one poll leaves takes the place of what the last one left. */
static err_t keep_poll_state(core_t *core, task_t *task, slice_t bytes)
{
    if (task->state.poll_len) TRY(del_parts(core, task->n, PART_POLL, 0));
    task->state.poll_len = (uint32_t)bytes.len;
    return put_parts(core, task->n, PART_POLL, 0, bytes);
}

static const char *over(core_t *core, const task_t *task, const Pawl__V1__Poll *poll,
                        int64_t delay_us)
{
    uint32_t most = poll && poll->max_polls ? poll->max_polls : DEFAULT_POLLS;
    int64_t within = poll && poll->deadline_us ? poll->deadline_us : DEFAULT_POLL_DEADLINE_US;
    if (task->state.polls > most) return batch_printf(core, "asked %u times in vain", most);
    if (core->now_us + delay_us - task->state.poll_since_us > within)
        return batch_printf(core, "not done within %lld s of the first poll",
                            (long long)(within / PAWL_SEC_US));
    return NULL;
}

err_t poll_again(core_t *core, task_t *task, run_t *run, const Pawl__V1__Result *result)
{
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    if (task->state.polls++ == 0) task->state.poll_since_us = core->now_us;
    const char *why = over(core, task, body->poll, result->retry_after_us);
    if (why) {
        task->state.message = slice_text(why);
        task->state.outcome = PAWL__V1__OUTCOME__OUTCOME_TIMEOUT;
        return lease_failed(core, task, run, PAWL__V1__OUTCOME__OUTCOME_TIMEOUT);
    }
    TRY(keep_poll_state(core, task, slice(result->poll_state.data, result->poll_state.len)));
    task->state.attempts = (uint16_t)(run->row.attempt - 1);
    task->state.reason = REASON_POLL;
    return result->retry_after_us > 0
               ? task_place_timer(core, task, CLOCK_ELAPSED, core->now_us + result->retry_after_us)
               : task_place_ready(core, task);
}

err_t external_lease(core_t *core, const task_t *task, Pawl__V1__Lease *lease)
{
    lease->completion.data = batch_alloc(core, LIMIT_COMPLETION);
    lease->completion.len = LIMIT_COMPLETION;
    completion_make(core->completion_key, task->n, lease->token, lease->completion.data);
    lease->polls = task->state.polls;
    if (task->state.poll_len == 0) return ERR_OK;
    lease->poll_state.data = batch_alloc(core, task->state.poll_len);
    for (uint16_t part = 0; lease->poll_state.len < task->state.poll_len; part++) {
        rec_key_t key = key_part(task->n, PART_POLL, 0, part);
        slice_t value;
        TRY(store_get(core->store, TABLE_part, key_slice(&key), &value));
        if (value.len == 0 || value.len > task->state.poll_len - lease->poll_state.len)
            return ERR_CORRUPT;
        memcpy(lease->poll_state.data + lease->poll_state.len, value.at, value.len);
        lease->poll_state.len += value.len;
    }
    return ERR_OK;
}

/* ---- external -------------------------------------------------------------------------------- */

static err_t set_deadline(core_t *core, task_t *task, int64_t after_us)
{
    task->state.timer_clock = CLOCK_ELAPSED;
    task->state.timer_at = core->now_us + after_us;
    TRY(timer_set(core, CLOCK_ELAPSED, task->state.timer_at, TIMER_EXTERNAL, task->n));
    TRY(task_save(core, task));
    return journal_task(core, EVENT_EXTERNAL, task, task->state.executor);
}

err_t external_begin(core_t *core, task_t *task, const Pawl__V1__Result *result)
{
    task->state.reason = REASON_EXTERNAL;
    task->state.due_us = 0;
    task->has_state = true;
    task_move(core, task, S(EXTERNAL));
    return set_deadline(core, task,
                        result->deadline_us > 0 ? result->deadline_us : DEFAULT_EXTERNAL_US);
}

/* The attempt that was external ends now. */
static err_t end_attempt(core_t *core, task_t *task, Pawl__V1__Outcome outcome, slice_t message)
{
    run_t run;
    lease_was(&run, task);
    task_move(core, task, S(RUNNING));      /* for the moment of this transaction, as it was */
    run.row.attempt = task->state.attempts; /* counted when it became external */
    task->state.outcome = (uint8_t)outcome;
    task->state.end_wall_us = core->wall_us;
    task->state.message = message;
    if (outcome == PAWL__V1__OUTCOME__OUTCOME_DONE)
        return task_end(core, task, S(FINISHED), REASON_NONE);
    task->state.flags &= (uint16_t)~STATE_EXIT;
    return lease_failed(core, task, &run, outcome);
}

err_t external_due(core_t *core, uint64_t n)
{
    task_t task;
    TRY(task_load(core, n, &task));
    if (task.status != S(EXTERNAL)) return ERR_CORRUPT;
    task.state.timer_clock = 0;
    task.state.timer_at = 0;
    return end_attempt(core, &task, PAWL__V1__OUTCOME__OUTCOME_TIMEOUT,
                       slice_text("nobody completed it before its deadline"));
}

static err_t keep_output(core_t *core, task_t *task, const Pawl__V1__TaskComplete *complete)
{
    state_row_t *state = &task->state;
    if (state->flags & STATE_OUTPUT_PARTS) TRY(del_parts(core, task->n, PART_OUTPUT, state->token));
    state->flags &= (uint16_t)~STATE_OUTPUT_PARTS;
    state->output_type = slice_text(complete->output_type);
    state->output = slice(complete->output.data, complete->output.len);
    state->output_len = (uint32_t)complete->output.len;
    if (complete->output.len <= LIMIT_OUTPUT_INLINE) return ERR_OK;
    slice_t whole = state->output;
    state->flags |= STATE_OUTPUT_PARTS;
    state->output = slice(NULL, 0);
    return put_parts(core, task->n, PART_OUTPUT, state->token, whole);
}

static err_t complete_one(core_t *core, task_t *task, const Pawl__V1__TaskComplete *complete)
{
    slice_t message = text_clip(slice_text(complete->message), LIMIT_MESSAGE_KEPT);
    TRY(task_unplace(core, task));
    switch ((int)complete->verb) {
    case PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND:
        if (message.len) task->state.message = message;
        return set_deadline(core, task, complete->extend_us);
    case PAWL__V1__COMPLETE_VERB__COMPLETE_DONE:
        TRY(keep_output(core, task, complete));
        return end_attempt(core, task, PAWL__V1__OUTCOME__OUTCOME_DONE, message);
    default:
        TRY(keep_output(core, task, complete));
        return end_attempt(core, task,
                           complete->permanent ? PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT
                                               : PAWL__V1__OUTCOME__OUTCOME_FAIL,
                           message);
    }
}

err_t task_complete(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__TaskComplete *complete = command->request->task_complete;
    uint64_t n, token;
    task_t task;
    err_t err = ERR_NOT_FOUND;
    if (completion_read(core->completion_key, complete->completion.data, &n, &token))
        err = task_load(core, n, &task);
    else
        refuse(core, reply, ERR_BAD_TOKEN, "completion",
               "this is no completion token of this broker: it must be passed on as it came");
    if (reply->error) return ERR_OK;
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    uint64_t newest = err ? 0 : task.run ? task.run->row.token : task.state.token;
    if (err == ERR_NOT_FOUND) {
        refuse(core, reply, ERR_NOT_FOUND, "completion", "the task is not on record any more");
    } else if (token != newest) {
        refuse(core, reply, ERR_STALE, "completion",
               "the task has been leased again since: this token is dead");
    } else if (task.status == S(RUNNING)) {
        refuse(core, reply, ERR_NOT_YET, "completion",
               "the attempt still runs: send the same again when it has said that it is external");
        reply->error->retry_after_us = PAWL_SEC_US;
    } else if (task.status != S(EXTERNAL)) {
        refuse(core, reply, ERR_WRONG_STATUS, "completion", "the task is not external (any more)");
    } else {
        TRY(complete_one(core, &task, complete));
        Pawl__V1__Changed *changed = reply_changed(core, reply);
        changed->done = 1;
        changed->id.data = batch_alloc(core, 16);
        changed->id.len = 16;
        memcpy(changed->id.data, task.spec.id, 16);
        core->ops++;
    }
    return ERR_OK;
}

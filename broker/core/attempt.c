/* SPDX-License-Identifier: Apache-2.0
 * attempt.c - what is kept of an attempt that did not end its task, and when the next one begins.
 */
#include "broker/core/inside.h"

/* An attempt that does not end its task leaves a row of its own. */
err_t attempt_keep(core_t *core, const task_t *task, uint16_t attempt, uint8_t outcome)
{
    const state_row_t *state = &task->state;
    try_row_t row = { .attempt = attempt,
                      .executor = state->executor,
                      .start_wall_us = state->start_wall_us,
                      .end_wall_us = state->end_wall_us,
                      .outcome = outcome,
                      .signal = state->signal,
                      .flags = state->flags & STATE_EXIT,
                      .exit_code = state->exit_code,
                      .cpu_us = state->cpu_us,
                      .memory_bytes = state->memory_bytes,
                      .polls = state->polls,
                      .message = state->message };
    core->scratch.len = 0;
    try_row_encode(&row, &core->scratch);
    rec_key_t key = key_try(task->n, state->token);
    return put_scratch(core, TABLE_try, &key, 0);
}

/* Exponential, with a jitter that is a hash of task and attempt: replay gives the same. */
int64_t attempt_back_off_us(const run_t *run, unsigned failures, const Pawl__V1__Retry *retry)
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
    TRY(attempt_keep(core, task, run->row.attempt, (uint8_t)outcome));
    TRY(poll_forget(core, task));
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    task->state.reason = REASON_RETRY;
    int64_t wait = attempt_back_off_us(run, run->row.attempt, body->retry);
    return task_place_timer(core, task, CLOCK_ELAPSED, core->now_us + wait);
}

/* Uncounted: the same attempt number comes again, now or after delay_us. */
err_t attempt_again(core_t *core, task_t *task, run_t *run, int64_t delay_us, uint8_t reason,
                    uint8_t outcome)
{
    TRY(attempt_keep(core, task, run->row.attempt, outcome));
    task->state.attempts = (uint16_t)(run->row.attempt - 1);
    task->state.reason = reason;
    return delay_us > 0 ? task_place_timer(core, task, CLOCK_ELAPSED, core->now_us + delay_us)
                        : task_place_ready(core, task);
}

/* SPDX-License-Identifier: Apache-2.0
 * loss.c - attempts whose executor was lost, gave them back, or is back with them. */
#include "broker/core/inside.h"

#include <stdlib.h>

enum { LOST_MAX = 3 /* executors of distinct names that a task may cost before quarantine */ };

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
            task.state.lost > 1 ? attempt_back_off_us(run, task.state.lost - 1u, body->retry) : 0;
        err = attempt_keep(core, &task, run->row.attempt, ENDED_LOST);
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
            /* Nobody else gets it yet, but its result counts so much longer. Its executor may be
             * there again without it: then it has that slot for others. */
            run->row.flags |= RUN_LOST;
            run->executor->lost++;
            run->executor->told_held_dirty = true;
            executor_changed(core, run->executor);
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
        run->executor->lost--;
        run->executor->told_held_dirty = true;
        executor_changed(core, run->executor);
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
    err_t err = cancelling ? task_end(core, &task, S(CANCELLED), REASON_BY_HAND)
                           : attempt_again(core, &task, run, delay_us, reason,
                                           PAWL__V1__OUTCOME__OUTCOME_RETURN);
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
    TRY(task_is_exclusive(core, &task, &exclusive));
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
    executor_attach(core, executor, run);
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

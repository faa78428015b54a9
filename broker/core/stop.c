/* SPDX-License-Identifier: Apache-2.0
 * stop.c - attempts that run and shall not: told to stop (cancel) or ended on record at once
 * (kill).
 *
 * Who wished it, and why, is written into the task's state with the wish, so that it outlives a
 * restart and every way the attempt may end: by its executor's report, lost, or given back. */
#include "broker/core/inside.h"

#include <stdlib.h>

slice_t stop_words(core_t *core, slice_t wished, slice_t said)
{
    static const char plain[] = "cancelled"; /* what executors say, and nothing else */
    if (said.len >= sizeof plain - 1 && memcmp(said.at, plain, sizeof plain - 1) == 0)
        said = slice(said.at + sizeof plain - 1, said.len - (sizeof plain - 1));
    while (said.len > 0 && (said.at[0] == ';' || said.at[0] == ' '))
        said = slice(said.at + 1, said.len - 1);
    if (said.len == 0) return wished;
    if (wished.len == 0) return said;
    char *words = batch_printf(core, "%.*s; %.*s", (int)wished.len, (const char *)wished.at,
                               (int)said.len, (const char *)said.at);
    return text_clip(slice_text(words), LIMIT_MESSAGE_KEPT);
}

err_t lease_cancel(core_t *core, run_t *run, const char *wish)
{
    if (run->row.flags & RUN_CANCELLING) return ERR_OK;
    task_t task;
    TRY(task_of_run(core, run, &task));
    if (!task.has_state) task.state.attempts = (uint16_t)(run->row.attempt - 1);
    run->row.flags |= RUN_CANCELLING | RUN_HAS_STATE;
    TRY(run_save(core, run));
    task.state.status = S(RUNNING);
    task.state.message = slice_text(wish);
    TRY(task_save(core, &task));
    run->told_us = core->now_us;
    executor_tell_again(run->executor, run);
    executor_changed(core, run->executor);
    executor_directive(core, run->executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, run);
    return journal_task(core, EVENT_CANCELLING, &task, run->row.executor);
}

err_t lease_kill(core_t *core, run_t *run, const char *wish)
{
    task_t task;
    executor_directive(core, run->executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP, run);
    TRY(task_of_run(core, run, &task));
    if (!(run->row.flags & RUN_CANCELLING)) task.state.message = slice_text(wish);
    task.state.token = run->row.token;
    task.state.attempts = run->row.attempt;
    task.state.lost = run->row.lost;
    task.state.executor = run->row.executor;
    task.state.flags = 0;
    task.state.start_wall_us = run->row.leased_wall_us;
    task.state.end_wall_us = core->wall_us;
    TRY(run_remove(core, run));
    free(run);
    task.run = NULL;
    return task_end(core, &task, S(CANCELLED), REASON_OVERLAP);
}

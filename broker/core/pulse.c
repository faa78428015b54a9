/* SPDX-License-Identifier: Apache-2.0
 * pulse.c - what becomes due for executors as time passes: losses, assigns and directives said
 * again, running lists compared. */
#include "broker/core/inside.h"

#define TELL_AGAIN_US (2 * PAWL_SEC_US)

/* Said again until its session ends: a push may be lost. */
void executor_tell_end(core_t *core, executor_t *executor)
{
    Pawl__V1__Directive directive = PAWL__V1__DIRECTIVE__INIT;
    directive.kind = PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_END;
    directive.deadline_us = executor->end_within_us;
    executor->told_end_us = core->now_us;
    out_add(core, OUT_DRAIN, executor->conn)->flag = true;
    executor_direct(core, executor, &directive);
}

void executor_tell_again(executor_t *executor, const run_t *run)
{
    int64_t at = run->told_us ? run->told_us + TELL_AGAIN_US : 0;
    if (executor->cancelling++ == 0 || at < executor->tell_at_us) executor->tell_at_us = at;
}

static void tell_cancelled(core_t *core, executor_t *executor)
{
    executor->tell_at_us = INT64_MAX;
    for (run_t *run = executor->runs; run; run = run->next) {
        if (!(run->row.flags & RUN_CANCELLING)) continue;
        if (core->now_us - run->told_us >= TELL_AGAIN_US) {
            run->told_us = core->now_us;
            executor_directive(core, executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, run);
        }
        if (run->told_us + TELL_AGAIN_US < executor->tell_at_us)
            executor->tell_at_us = run->told_us + TELL_AGAIN_US;
    }
}

/* ---- what is due ----------------------------------------------------------------------------- */

static err_t tick(core_t *core, executor_t *executor)
{
    if (executor->conn == 0)
        return executor->lost_at_us && executor->lost_at_us <= core->now_us
                   ? executor_lost(core, executor)
                   : ERR_OK;
    TRY(enrol_daily(core, executor));
    TRY(executor_send_unseen(core, executor));
    if (executor->held && executor->compare_at_us <= core->now_us) {
        executor->compare_at_us = core->now_us + COMPARE_US;
        executor_directive(core, executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_SEND_RUNNING, NULL);
    }
    if (executor->name->flags & REG_ENDING && core->now_us - executor->told_end_us >= TELL_AGAIN_US)
        executor_tell_end(core, executor);
    if (executor->cancelling && executor->tell_at_us <= core->now_us)
        tell_cancelled(core, executor);
    return ERR_OK;
}

/* When tick has something to do, as the executor stands now. */
int64_t executor_due_us(const executor_t *executor)
{
    if (executor->conn == 0) return executor->lost_at_us ? executor->lost_at_us : INT64_MAX;
    int64_t due = executor->enrolled_us + ENROL_EVERY_US;
    bool unseen = executor->held && executor->assign_seen < executor->assign_no;
    const struct {
        bool set;
        int64_t at_us;
    } others[] = { { unseen, executor->assign_sent_us + ASSIGN_AGAIN_US },
                   { executor->held > 0, executor->compare_at_us },
                   { (executor->name->flags & REG_ENDING) != 0,
                     executor->told_end_us + TELL_AGAIN_US },
                   { executor->cancelling > 0, executor->tell_at_us } };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].set && others[i].at_us < due) due = others[i].at_us;
    return due;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool comes_before(const executor_t *a, const executor_t *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->no < b->no;
}

static void place(core_t *core, executor_t *executor, size_t at)
{
    core->due[at] = executor;
    executor->due_at = at;
}

/* To where its time belongs, from a place that is free or its own. */
static void sift(core_t *core, executor_t *executor, size_t at)
{
    for (; at > 1 && comes_before(executor, core->due[at / 2]); at /= 2)
        place(core, core->due[at / 2], at);
    for (size_t below; (below = 2 * at) <= core->due_n; at = below) {
        if (below < core->due_n && comes_before(core->due[below + 1], core->due[below])) below++;
        if (!comes_before(core->due[below], executor)) break;
        place(core, core->due[below], at);
    }
    place(core, executor, at);
}

static void take_out(core_t *core, executor_t *executor)
{
    size_t at = executor->due_at;
    executor_t *last = core->due[core->due_n--];
    executor->due_at = 0;
    if (last != executor) sift(core, last, at);
}

/* ---- as time passes -------------------------------------------------------------------------- */

err_t executors_tick(core_t *core)
{
    while (core->due_n > 0 && core->due[1]->due_us <= core->now_us) {
        executor_t *executor = core->due[1];
        take_out(core, executor);
        executor_changed(core, executor); /* its next time is found when the batch ends */
    }
    for (size_t i = 0; i < core->changed_n; i++)
        if (executor_due_us(core->changed[i]) <= core->now_us) TRY(tick(core, core->changed[i]));
    return ERR_OK;
}

int64_t executors_due_us(const core_t *core)
{
    return core->due_n > 0 ? core->due[1]->due_us : INT64_MAX;
}

void executors_wind(core_t *core)
{
    for (size_t i = 0; i < core->changed_n; i++) {
        executor_t *executor = core->changed[i];
        executor->changed = false;
        executor->due_us = executor_due_us(executor);
        if (executor->due_us == INT64_MAX) {
            if (executor->due_at) take_out(core, executor);
        } else {
            sift(core, executor, executor->due_at ? executor->due_at : ++core->due_n);
        }
    }
    core->changed_n = 0;
}

void executors_unwind(core_t *core)
{
    core->due_n = 0;
    for (size_t i = 0; i < core->executors_n; i++)
        core->executors[i]->due_at = 0;
}

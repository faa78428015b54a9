/* SPDX-License-Identifier: Apache-2.0
 * pulse.c - what becomes due for executors as time passes: losses, assigns and directives said
 * again, running lists compared. */
#include "broker/inside.h"

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
    if (core->cancelling)
        for (run_t *run = executor->runs; run; run = run->next)
            if ((run->row.flags & RUN_CANCELLING) && core->now_us - run->told_us >= TELL_AGAIN_US) {
                run->told_us = core->now_us;
                executor_directive(core, executor, PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL, run);
            }
    return ERR_OK;
}

err_t executors_tick(core_t *core)
{
    for (size_t i = 0; i < core->executors_n; i++)
        TRY(tick(core, core->executors[i]));
    return ERR_OK;
}

int64_t executors_due_us(const core_t *core)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < core->executors_n; i++) {
        const executor_t *executor = core->executors[i];
        int64_t next = INT64_MAX;
        if (executor->conn == 0)
            next = executor->lost_at_us ? executor->lost_at_us : INT64_MAX;
        else if (executor->assign_seen < executor->assign_no && executor->held)
            next = executor->assign_sent_us + ASSIGN_AGAIN_US;
        else if (executor->held)
            next = executor->compare_at_us;
        due = next < due ? next : due;
        if (executor->conn && executor->name->flags & REG_ENDING) {
            next = executor->told_end_us ? executor->told_end_us + TELL_AGAIN_US : core->now_us;
            due = next < due ? next : due;
        }
    }
    int64_t tell = core->now_us + TELL_AGAIN_US;
    return core->cancelling && tell < due ? tell : due;
}

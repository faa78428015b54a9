/* SPDX-License-Identifier: Apache-2.0
 * after.c - schedules with a fixed delay behind each end.
 *
 * Such a schedule has at most one instant, `armed` in its cursor row. The transaction that ends its
 * last open task arms it: end + delay, rounded up to a second. From the moment a task of it is made
 * until then nothing is armed, so that there is one open firing at most whatever a scheduler
 * proposes, and a restart changes nothing. Runs by hand and by retry count like planned ones: what
 * is open holds the next one back. The instant is never missed: a late one fires when it is seen.
 */
#include "broker/core/inside.h"

static int64_t round_up(int64_t us)
{
    return (us + PAWL_SEC_US - 1) / PAWL_SEC_US * PAWL_SEC_US;
}

static bool is_open(const plan_t *plan)
{
    return plan->cur.running + plan->cur.waiting > 0;
}

/* The first second from `us` on that is valid and behind what is decided. */
static void arm(plan_t *plan, int64_t us)
{
    int64_t at = round_up(us > plan->spec->from_us ? us : plan->spec->from_us);
    int64_t least = plan->cur.cursor_us + PAWL_SEC_US;
    plan->cur.armed_us = at > least ? at : least;
    plan->cur_dirty = true;
    plan->tell = true;
}

void after_first(core_t *core, plan_t *plan)
{
    plan->cur.cursor_us = core->wall_us / PAWL_SEC_US * PAWL_SEC_US - PAWL_SEC_US;
    arm(plan, core->wall_us);
}

void after_made(plan_t *plan)
{
    if (!plan->spec->after_us) return;
    plan->cur.armed_us = 0;
    plan->cur_dirty = true;
    plan->tell = true;
}

err_t after_ended(core_t *core, plan_t *plan)
{
    if (!plan->spec->after_us || is_open(plan)) return ERR_OK;
    bool over = plan_is_over(plan);
    arm(plan, core->wall_us + plan->spec->after_us);
    if (over || !plan_is_over(plan) || plan->row.flags & SCHEDULE_GONE) return ERR_OK;
    return journal_add(core, EVENT_SCHEDULE_ENDED, plan->no, 0, plan->cur.fired);
}

void after_skipped(core_t *core, plan_t *plan)
{
    if (plan->spec->after_us && !is_open(plan) && plan->cur.armed_us <= plan->cur.cursor_us)
        arm(plan, core->wall_us + plan->spec->after_us);
}

void after_edited(core_t *core, plan_t *plan, int64_t old_after_us)
{
    if (plan->spec->after_us == 0) {
        plan->cur.armed_us = 0;
    } else if (!is_open(plan)) {
        bool armed = old_after_us && plan->cur.armed_us > plan->cur.cursor_us;
        int64_t at = armed ? plan->cur.armed_us - old_after_us + plan->spec->after_us : 0;
        arm(plan, at > core->wall_us ? at : core->wall_us);
    }
    plan->cur_dirty = true;
}

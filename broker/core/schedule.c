/* SPDX-License-Identifier: Apache-2.0
 * schedule.c - what people do to a schedule that is there: pause, resume, run now, remove. How one
 * is made and edited is definition.c, what becomes of its instants is decided in fire.c. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* The instants between the cursor and now, under the old rule, get their verdict before it goes. */
err_t schedule_close_backlog(core_t *core, plan_t *plan, enum verdict_reason reason)
{
    int64_t last = plan_last_us(plan, plan->cur.cursor_us, core->wall_us);
    if (plan_has_fired_all(plan)) return ERR_OK; /* its instants behind the last firing are none */
    if (last != INT64_MIN) TRY(ledger_skip(core, plan, last, reason, 0));
    if (plan->cur.cursor_us < core->wall_us)
        plan->cur.cursor_us = core->wall_us / PAWL_SEC_US * PAWL_SEC_US;
    plan->cur_dirty = true;
    after_skipped(core, plan);
    return ERR_OK;
}

void schedule_answer(core_t *core, const plan_t *plan, Pawl__V1__Reply *reply)
{
    Pawl__V1__Changed *changed = reply_changed(core, reply);
    changed->done = 1;
    changed->schedule = batch_alloc(core, sizeof *changed->schedule);
    plan_info(core, plan, changed->schedule);
}

static err_t set_paused(core_t *core, plan_t *plan, bool paused, const char *reason)
{
    plan->row.flags &= (uint8_t) ~(SCHEDULE_PAUSED | SCHEDULE_ZONELESS);
    if (paused) plan->row.flags |= SCHEDULE_PAUSED;
    plan->row.paused_wall_us = paused ? core->wall_us : 0;
    free((void *)(uintptr_t)plan->row.reason.at);
    plan->row.reason = slice(mem_copy(reason, strlen(reason)), strlen(reason));
    plan->tell = true;
    attended_look_soon(core);
    TRY(plan_save(core, plan));
    return journal_add(core, paused ? EVENT_SCHEDULE_PAUSED : EVENT_SCHEDULE_RESUMED, plan->no, 0,
                       0);
}

/* Its zone is gone from tzdata: it waits with its cursor where it is, and goes on as after an
 * outage when the zone is back. A pause by hand stays one. */
err_t schedule_zoneless(core_t *core, plan_t *plan, bool gone)
{
    if (gone ? plan->row.flags & SCHEDULE_PAUSED : !(plan->row.flags & SCHEDULE_ZONELESS))
        return ERR_OK;
    const char *reason =
        gone ? batch_printf(core, "the time zone %s is gone from tzdata", plan->spec->zone) : "";
    TRY(set_paused(core, plan, gone, reason));
    if (!gone) return ERR_OK;
    plan->row.flags |= SCHEDULE_ZONELESS;
    return plan_save(core, plan);
}

static err_t resume(core_t *core, plan_t *plan, Pawl__V1__OnResume how, Pawl__V1__Reply *reply)
{
    if (how == PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED) how = plan->spec->on_resume;
    if (how == PAWL__V1__ON_RESUME__ON_RESUME_SKIP)
        TRY(schedule_close_backlog(core, plan, VERDICT_REASON_PAUSED));
    else if (how == PAWL__V1__ON_RESUME__ON_RESUME_LATEST)
        TRY(fire_latest(core, plan, reply));
    return reply->error ? ERR_OK : set_paused(core, plan, false, "");
}

static err_t remove_plan(core_t *core, plan_t *plan)
{
    TRY(schedule_close_backlog(core, plan, VERDICT_REASON_REMOVED));
    for (range_t *range = plan->ranges; range; range = range->next)
        if (range_is_live(range)) TRY(range_cancel(core, plan, range, VERDICT_REASON_REMOVED));
    rec_key_t name = key_name(NAME_SCHEDULE, plan->row.name);
    TRY(del_row(core, TABLE_names, &name));
    TRY(calendar_users(core, plan->no, plan->spec, NULL));
    plan->row.flags |= SCHEDULE_GONE;
    plan->tell = plan->cur_dirty = true;
    attended_look_soon(core);
    TRY(plan_save(core, plan));
    TRY(watermark_forget_schedule(core, plan));
    return journal_add(core, EVENT_SCHEDULE_REMOVED, plan->no, 0, 0);
}

err_t schedule_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__ScheduleChange *change = command->request->schedule_change;
    plan_t *plan;
    err_t err = plan_by_name(core, change->name, &plan);
    if (err == ERR_NOT_FOUND) {
        refuse(core, reply, ERR_NOT_FOUND, "name", "no schedule \"%s\": see `pawl schedule list`",
               change->name);
        return ERR_OK;
    }
    TRY(err);
    uint8_t id[16];
    uint16_t range = 0;
    switch (change->verb) {
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE:
        TRY(set_paused(core, plan, true, change->reason));
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME:
        if (!(plan->row.flags & SCHEDULE_PAUSED)) {
            refuse(core, reply, ERR_WRONG_STATUS, "name", "the schedule \"%s\" is not paused",
                   change->name);
            return ERR_OK;
        }
        if (plan->row.flags & SCHEDULE_ZONELESS) {
            refuse(core, reply, ERR_WRONG_STATUS, "name",
                   "the time zone %s is gone from tzdata: the schedule goes on by itself when it "
                   "is back; or give it another zone, and resume it then",
                   plan->spec->zone);
            return ERR_OK;
        }
        TRY(resume(core, plan, change->on_resume, reply));
        if (reply->error) return ERR_OK;
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW:
        TRY(schedule_fire_now(core, plan, change->overlap, id, reply));
        if (reply->error) return ERR_OK;
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE:
        TRY(remove_plan(core, plan));
        break;
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL:
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_PAUSE:
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_RESUME:
    case PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_CANCEL:
        TRY(range_change(core, plan, change, reply, &range));
        if (reply->error) return ERR_OK;
        break;
    default:
        refuse(core, reply, ERR_BAD_VALUE, "verb", "verb %d is not known", (int)change->verb);
        return ERR_OK;
    }
    schedule_answer(core, plan, reply);
    reply->changed->range = range;
    if (change->verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW) {
        reply->changed->id.data = batch_alloc(core, 16);
        memcpy(reply->changed->id.data, id, 16);
        reply->changed->id.len = 16;
    }
    return ERR_OK;
}

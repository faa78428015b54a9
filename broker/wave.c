/* SPDX-License-Identifier: Apache-2.0
 * wave.c - what a fan-out does next: once a batch for each family that something happened to.
 *
 *   look     executors that stay away: their children expire, are skipped or fail
 *   stop     too many failed: what was not released is cancelled
 *   decide   the parent ends, once
 *   sweep    what is left when it has ended
 *   release  the next children, as many as there is room for
 *
 * A child that ends in one of these steps touches its family again, so it goes round until nothing
 * changes. With a pause, `parallel` children make a wave: the next one starts that long after the
 * last child of it has ended. Without one, each end makes room for the next child at once. */
#include "broker/inside.h"

#define LOOK_MOST_US (60 * PAWL_SEC_US)

static uint32_t members_of(const fam_row_t *row)
{
    return row->total - row->skipped;
}

uint32_t fam_row_needed(const fam_row_t *row)
{
    uint64_t members = members_of(row);
    switch (row->done) {
    case PAWL__V1__FANOUT_DONE__FANOUT_ANY:
        return 1;
    case PAWL__V1__FANOUT_DONE__FANOUT_QUORUM:
        return row->done_count;
    case PAWL__V1__FANOUT_DONE__FANOUT_PERCENT:
        return (uint32_t)((members * row->done_count + 99) / 100);
    default:
        return (uint32_t)members;
    }
}

static bool may_be_joined(const core_t *core, const fam_row_t *row)
{
    return row->flags & FAM_JOINABLE && !(row->flags & FAM_CANCELLING) &&
           row->join_until_us > core->now_us;
}

/* ---- executors that stay away ---------------------------------------------------------------- */

static err_t give_up(core_t *core, task_t *child, uint8_t offline)
{
    switch (offline) {
    case PAWL__V1__FANOUT_OFFLINE__FANOUT_SKIP:
        return task_end(core, child, S(CANCELLED), REASON_OFFLINE);
    case PAWL__V1__FANOUT_OFFLINE__FANOUT_FAIL:
        return task_end(core, child, S(FAILED), REASON_OFFLINE);
    default:
        return task_end(core, child, S(EXPIRED), REASON_OFFLINE);
    }
}

/* Broker time at which a waiting child has waited long enough for its executor. */
static err_t deadline_of(core_t *core, const family_t *family, const task_t *child,
                         const char *name, int64_t *deadline_us)
{
    int64_t due = child->has_state ? child->state.due_us : child->spec.due_us, seen;
    int64_t since = due - priority_offset_us(child->spec.priority);
    TRY(enrol_seen_us(core, name, &seen));
    *deadline_us = (seen > since ? seen : since) + family->row.offline_us;
    return ERR_OK;
}

static err_t look_at(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                     bool *more)
{
    int64_t *next = arg, deadline;
    (void)more;
    if (child->status != S(WAITING) || child->state.lane || !enrol_away(core, name)) return ERR_OK;
    TRY(deadline_of(core, family, child, name, &deadline));
    if (deadline <= core->now_us) return give_up(core, child, family->row.offline);
    if (deadline < *next) *next = deadline;
    return ERR_OK;
}

/* The next look is in time for the first deadline that is known, and for those that are not. */
static err_t look(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    if (row->look_us > core->now_us) return ERR_OK;
    int64_t wait = row->offline_us ? row->offline_us : core->config.lease_us;
    int64_t next = core->now_us + (wait < LOOK_MOST_US ? wait : LOOK_MOST_US);
    TRY(family_each(core, family, 0, look_at, &next));
    row->look_us = next;
    return ERR_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

static err_t stop_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                      bool *more)
{
    (void)family, (void)name, (void)arg, (void)more;
    return child->status == S(BLOCKED) ? task_end(core, child, S(CANCELLED), REASON_STOPPED)
                                       : ERR_OK;
}

static err_t stop(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    uint64_t bad = (uint64_t)row->failed + row->expired;
    bool enough =
        (row->stop_failures && bad >= row->stop_failures) ||
        (row->stop_percent && bad && bad * 100 >= (uint64_t)row->stop_percent * row->total);
    if (!enough || row->blocked == 0) return ERR_OK;
    row->flags |= FAM_STOPPED;
    TRY(journal_add(core, EVENT_FANOUT_STOPPED, family->n, 0, bad));
    return family_each(core, family, row->next_n, stop_one, NULL);
}

static err_t end_parent(core_t *core, family_t *family, status_t status, uint8_t reason)
{
    const fam_row_t *row = &family->row;
    task_t parent;
    TRY(task_load(core, family->n, &parent));
    parent.state.outcome = status == S(FINISHED)    ? PAWL__V1__OUTCOME__OUTCOME_DONE
                           : status == S(CANCELLED) ? PAWL__V1__OUTCOME__OUTCOME_CANCELLED
                                                    : PAWL__V1__OUTCOME__OUTCOME_FAIL;
    if (parent.state.message.len == 0) {
        char *text = batch_printf(core, "%u of %u finished", row->ok, members_of(row));
        if (row->failed) text = batch_printf(core, "%s, %u failed", text, row->failed);
        if (row->expired) text = batch_printf(core, "%s, %u expired", text, row->expired);
        if (row->cancelled) text = batch_printf(core, "%s, %u cancelled", text, row->cancelled);
        if (row->skipped) text = batch_printf(core, "%s, %u skipped", text, row->skipped);
        if (reason == REASON_NO_MEMBERS)
            text = row->flags & FAM_SHORT
                       ? batch_printf(core,
                                      "fewer executors are enrolled than it asks for, or "
                                      "more than %d",
                                      LIMIT_CHILDREN)
                       : batch_printf(core, "no executor is enrolled for it");
        parent.state.message = slice_text(text);
    }
    return task_end(core, &parent, status, reason);
}

/* `all` waits for everybody. The others end as soon as they can, or cannot, be reached. */
static err_t decide(core_t *core, family_t *family)
{
    const fam_row_t *row = &family->row;
    bool all = row->done == PAWL__V1__FANOUT_DONE__FANOUT_ALL;
    bool over = row->open == 0 && !may_be_joined(core, row);
    uint32_t needed = fam_row_needed(row);
    if (over && row->flags & FAM_CANCELLING && row->ok < needed)
        return end_parent(core, family, S(CANCELLED), REASON_BY_HAND);
    if (over && members_of(row) == 0) return end_parent(core, family, S(FAILED), REASON_NO_MEMBERS);
    if (all ? over && row->ok == needed : row->ok >= needed && needed > 0)
        return end_parent(core, family, S(FINISHED), REASON_NONE);
    bool lost = !all && !may_be_joined(core, row) && row->ok + row->open < needed &&
                !(row->flags & FAM_CANCELLING);
    if (!over && !lost) return ERR_OK;
    if (row->failed) return end_parent(core, family, S(FAILED), REASON_CHILDREN);
    if (row->expired) return end_parent(core, family, S(EXPIRED), REASON_OFFLINE);
    return row->cancelled ? end_parent(core, family, S(CANCELLED), REASON_CHILDREN)
                          : end_parent(core, family, S(FAILED), REASON_CHILDREN);
}

static err_t cancel_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                        bool *more)
{
    (void)family, (void)name, (void)arg, (void)more;
    return child->status < S(FINISHED) ? task_cancel(core, child, REASON_PARENT, "") : ERR_OK;
}

/* After the parent's end: nobody joins any more, and the rest goes, unless it may go on. */
static err_t sweep(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    bool whole = row->flags & FAM_CANCEL_REST || !(row->flags & FAM_STARTED);
    row->flags |= FAM_SWEPT;
    return whole && row->open ? family_each(core, family, 0, cancel_one, NULL) : ERR_OK;
}

static err_t close_to_others(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    if (!(row->flags & FAM_JOINABLE) || (!(row->flags & FAM_ENDED) && may_be_joined(core, row)))
        return ERR_OK;
    row->flags &= (uint16_t)~FAM_JOINABLE;
    rec_key_t key = key_fam(FAM_JOIN, family->n);
    return del_row(core, TABLE_fam, &key);
}

/* ---- the next children ----------------------------------------------------------------------- */

static err_t release_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                         bool *more)
{
    uint32_t *room = arg;
    fam_row_t *row = &family->row;
    row->next_n = child->n + 1;
    if (child->status != S(BLOCKED)) return ERR_OK;
    if (row->offline != PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT && enrol_away(core, name)) {
        TRY(give_up(core, child, row->offline));
    } else {
        row->blocked--;
        child->state.reason = 0;
        TRY(task_place_ready(core, child));
        (*room)--;
    }
    *more = *room > 0 && row->blocked > 0;
    return ERR_OK;
}

static err_t release(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    uint32_t active = row->open - row->blocked;
    uint32_t room = row->parallel
                        ? row->parallel - (active < row->parallel ? active : row->parallel)
                        : row->blocked;
    bool over = row->flags & FAM_ENDED && row->flags & FAM_CANCEL_REST;
    if (!(row->flags & FAM_STARTED) || row->flags & (FAM_HELD | FAM_CANCELLING | FAM_STOPPED) ||
        over || row->blocked == 0 || room == 0)
        return ERR_OK;
    if (row->pause_us) { /* a wave at a time */
        if (active > 0) return ERR_OK;
        if (row->pause_until_us == 0) row->pause_until_us = core->now_us + row->pause_us;
        if (row->pause_until_us > core->now_us) return ERR_OK;
        row->pause_until_us = 0;
    }
    return family_each(core, family, row->next_n, release_one, &room);
}

/* ---- once a batch ---------------------------------------------------------------------------- */

static err_t set_timer(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    int64_t at = INT64_MAX;
    if (row->open > row->blocked) at = row->look_us;
    if (row->pause_until_us > core->now_us && row->blocked && row->pause_until_us < at &&
        !(row->flags & FAM_HELD))
        at = row->pause_until_us;
    if (may_be_joined(core, row) && row->join_until_us < at) at = row->join_until_us;
    if (at == INT64_MAX) at = 0;
    if (at == row->timer_at) return ERR_OK;
    if (row->timer_at)
        TRY(timer_clear(core, CLOCK_ELAPSED, row->timer_at, TIMER_FAMILY, family->n));
    row->timer_at = at;
    return at ? timer_set(core, CLOCK_ELAPSED, at, TIMER_FAMILY, family->n) : ERR_OK;
}

static err_t settle(core_t *core, family_t *family)
{
    const fam_row_t *row = &family->row;
    bool started = row->flags & FAM_STARTED;
    if (started && row->open > row->blocked) TRY(look(core, family));
    if (started && !(row->flags & (FAM_ENDED | FAM_STOPPED))) TRY(stop(core, family));
    if (started && !(row->flags & FAM_ENDED)) TRY(decide(core, family));
    TRY(close_to_others(core, family));
    if (row->flags & FAM_ENDED && !(row->flags & FAM_SWEPT)) TRY(sweep(core, family));
    TRY(release(core, family));
    return set_timer(core, family);
}

err_t families_settle(core_t *core)
{
    for (size_t i = 0; i < core->unsettled_n; i++) { /* grows meanwhile */
        family_t *family = core->unsettled[i];
        family->touched = false;
        if (!family->gone) TRY(settle(core, family));
    }
    core->unsettled_n = 0;
    return ERR_OK;
}

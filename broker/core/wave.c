/* SPDX-License-Identifier: Apache-2.0
 * wave.c - what a fan-out does next: once a batch for each family that something happened to.
 *
 *   pass     what was begun for every child goes on (tree.c)
 *   look     executors that stay away: their children expire, are skipped or fail
 *   stop     too many failed: what was not released is cancelled
 *   decide   the parent ends, once
 *   sweep    what is left when it has ended
 *   release  the next children, as many as there is room for
 *
 * A child that ends in one of these steps touches its family again, so it goes round until nothing
 * changes, or the batch has taken on as many children as it may; then the family's timer is due at
 * once. With a pause, `parallel` children make a wave: the next one starts that long after the last
 * child of it has ended. Without one, each end makes room for the next child at once. */
#include "broker/core/inside.h"

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

uint32_t *fam_row_counter(fam_row_t *row, uint8_t status, uint8_t reason)
{
    switch ((int)status) {
    case S(FINISHED):
        return &row->ok;
    case S(FAILED):
        return &row->failed;
    case S(EXPIRED):
        return &row->expired;
    default:
        return reason == REASON_OFFLINE ? &row->skipped : &row->cancelled;
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

/* A lane for one executor that stays away: what waits in it may be a child of this family. */
static err_t look_at(core_t *core, family_t *family, const task_t *parent, const lane_t *lane,
                     int64_t *next)
{
    uint8_t id[16], kind;
    uint64_t n;
    task_t child;
    int64_t deadline;
    child_id(core->fixed.secret, parent->spec.id, slice_text(lane->target), id);
    err_t err = task_find(core, id, &n, &kind);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    TRY(task_load(core, n, &child));
    if (child.status != S(WAITING) || task_lane(&child) != lane->no) return ERR_OK;
    TRY(deadline_of(core, family, &child, lane->target, &deadline));
    if (deadline > core->now_us) {
        if (deadline < *next) *next = deadline;
        return ERR_OK;
    }
    if (core->children_left == 0) {
        family->more = true;
        return ERR_OK;
    }
    core->children_left--;
    return give_up(core, &child, family->row.offline);
}

static bool is_served(const core_t *core, const lane_t *lane)
{
    for (size_t i = 0; i < core->executors_n; i++)
        if (core->executors[i]->conn && executor_serves(core->executors[i], lane)) return true;
    return false;
}

/* At looks a lease's time apart nobody was here for this lane. */
static bool is_deserted(const core_t *core, lane_t *lane)
{
    if (is_served(core, lane)) {
        lane->unserved_us = 0;
        return false;
    }
    if (lane->unserved_us == 0) lane->unserved_us = core->now_us;
    return core->now_us - lane->unserved_us >= core->config.lease_us;
}

/* Children that may run elsewhere, when nobody elsewhere can take them any more, are their own
 * executors' again, so that looks find them; unless that one is here and could not take it either.
 * What has moved shares a lane with what is no child of this family, so the children are read. */
static err_t bring_home(core_t *core, family_t *family)
{
    task_t child;
    char name[LIMIT_NAME + 1];
    err_t err;
    for (uint64_t from = 0; (err = family_next(core, family, from, &child, name)) == ERR_OK;) {
        lane_t *lane, *home;
        from = child.n + 1;
        if (child.status != S(WAITING) || child.state.lane == 0) continue;
        TRY(lane_get(core, child.state.lane, &lane));
        TRY(lane_get(core, child.spec.lane, &home));
        if (!is_deserted(core, lane) || (enrol_is_here(core, name) && !is_served(core, home)))
            continue;
        family->more = core->children_left == 0;
        if (family->more) return ERR_OK;
        core->children_left--;
        TRY(task_unplace(core, &child));
        TRY(lane_forget(core, child.state.lane));
        child.state.lane = 0;
        TRY(task_place_ready(core, &child));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* In time for a deadline that nobody knows yet: an executor may leave at any moment. */
static int64_t next_look(const core_t *core, const fam_row_t *row)
{
    int64_t wait = row->offline_us ? row->offline_us : core->config.lease_us;
    return core->now_us + (wait < LOOK_MOST_US ? wait : LOOK_MOST_US);
}

/* Each child waits in a lane for its executor alone, unless it has moved: so of all children only
 * those are read for whose executor something waits, and who is away. */
static err_t look(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    int64_t next = next_look(core, row);
    task_t parent;
    if (row->look_us == 0 || row->look_us > core->now_us) return ERR_OK;
    TRY(task_load(core, family->n, &parent));
    bool moved = false;
    for (size_t i = 0; i < core->lanes_n; i++) {
        lane_t *lane = core->lanes[i];
        if (!lane->waiting || lane->queue != parent.spec.queue || lane->type != parent.spec.type)
            continue;
        if (lane->target_kind == TARGET_ANY || lane->target_kind == TARGET_LABELS)
            moved |= row->flags & FAM_MOVE && is_deserted(core, lane);
        else if (lane->target_kind == TARGET_EXECUTOR && enrol_away(core, lane->target))
            TRY(look_at(core, family, &parent, lane, &next));
    }
    if (moved) TRY(bring_home(core, family));
    row->look_us = family->more ? core->now_us : next;
    return ERR_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The next blocked child, its executor's name too. ERR_NOT_FOUND: none, or none in this batch. */
static err_t next_blocked(core_t *core, family_t *family, task_t *child, char name[LIMIT_NAME + 1])
{
    fam_row_t *row = &family->row;
    while (row->blocked > 0) {
        family->more = core->children_left == 0;
        if (family->more) break;
        core->children_left--;
        TRY(family_next(core, family, row->next_n, child, name));
        row->next_n = child->n + 1;
        if (child->status == S(BLOCKED)) return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

static err_t stop(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    uint64_t bad = (uint64_t)row->failed + row->expired;
    bool enough =
        (row->stop_failures && bad >= row->stop_failures) ||
        (row->stop_percent && bad && bad * 100 >= (uint64_t)row->stop_percent * row->total);
    if (row->blocked == 0) return ERR_OK;
    if (enough && !(row->flags & FAM_STOPPED)) {
        row->flags |= FAM_STOPPED;
        TRY(journal_add(core, EVENT_FANOUT_STOPPED, family->n, 0, bad));
    }
    if (!(row->flags & FAM_STOPPED)) return ERR_OK;
    task_t child;
    char name[LIMIT_NAME + 1];
    err_t err;
    while ((err = next_blocked(core, family, &child, name)) == ERR_OK)
        TRY(task_end(core, &child, S(CANCELLED), REASON_STOPPED));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Why it has no children, with the numbers of now: those it was asked with, or nearly so. */
static err_t tell_members(core_t *core, const task_t *parent, char **text)
{
    const Pawl__V1__Task *body;
    members_t members;
    TRY(task_unpack(core, parent, &body));
    TRY(enrol_members(core, body, parent->spec.id, &members));
    if (members.too_many)
        *text = batch_printf(core, "%zu executors are enrolled for it, and it can go to %d at most",
                             members.too_many, LIMIT_CHILDREN);
    else if (members.shortage)
        *text = batch_printf(core, "it asks for %u executors, and %zu are enrolled for it",
                             body->fanout->count, members.found);
    else
        *text = batch_printf(core, "no executor is enrolled for it");
    return ERR_OK;
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
        if (reason == REASON_NO_MEMBERS) TRY(tell_members(core, &parent, &text));
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

/* After the parent's end: nobody joins any more, and the rest goes, unless it may go on. */
static void sweep(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    bool whole = row->flags & FAM_CANCEL_REST || !(row->flags & FAM_STARTED);
    row->flags |= FAM_SWEPT;
    if (whole && row->open) family_pass(core, family, PASS_CANCEL);
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
    task_t child;
    char name[LIMIT_NAME + 1];
    err_t err = ERR_OK;
    while (room > 0 && (err = next_blocked(core, family, &child, name)) == ERR_OK) {
        if (row->offline != PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT && enrol_away(core, name)) {
            TRY(give_up(core, &child, row->offline));
            continue;
        }
        row->blocked--;
        room--;
        child.state.reason = 0;
        TRY(task_place_ready(core, &child));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* ---- once a batch ---------------------------------------------------------------------------- */

static err_t set_timer(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    int64_t at = INT64_MAX;
    bool some_are_out = row->open > row->blocked;
    if (some_are_out && row->look_us == 0) row->look_us = next_look(core, row);
    if (some_are_out) at = row->look_us;
    if (row->pause_until_us > core->now_us && row->blocked && row->pause_until_us < at &&
        !(row->flags & FAM_HELD))
        at = row->pause_until_us;
    if (may_be_joined(core, row) && row->join_until_us < at) at = row->join_until_us;
    if (row->passes || family->more) at = core->now_us; /* with the next batch */
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
    TRY(family_passes(core, family));
    if (family->gone) return ERR_OK;
    /* until all that did not finish is open again nothing can be said of it */
    if (row->passes & PASS_AGAIN) return set_timer(core, family);
    bool started = row->flags & FAM_STARTED;
    if (started && row->open > row->blocked) TRY(look(core, family));
    bool stops = !(row->flags & FAM_ENDED) || row->flags & FAM_STOPPED; /* what it began */
    if (started && stops) TRY(stop(core, family));
    if (started && !(row->flags & FAM_ENDED)) TRY(decide(core, family));
    TRY(close_to_others(core, family));
    if (row->flags & FAM_ENDED && !(row->flags & FAM_SWEPT)) sweep(core, family);
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

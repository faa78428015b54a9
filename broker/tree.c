/* SPDX-License-Identifier: Apache-2.0
 * tree.c - what people do to a fan-out as a whole (cancel, hold, start, retry), and its removal as
 * a whole when its time is over: leaves first, some at a time, the root last. */
#include "broker/inside.h"

#include <stdio.h>

enum { PURGED_AT_ONCE = 500 };

/* ---- by hand --------------------------------------------------------------------------------- */

static err_t cancel_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                        bool *more)
{
    const bool *hard = arg;
    (void)family, (void)name, (void)more;
    if (child->status >= S(FINISHED)) return ERR_OK;
    return *hard && child->run
               ? lease_kill(core, child->run, "stopped for a newer run of its schedule")
               : task_cancel(core, child, REASON_PARENT, "");
}

/* Not started: at once, its children follow (wave.c). Else when the last of them has stopped. */
err_t family_cancel(core_t *core, task_t *parent, uint8_t reason, const char *message, bool hard)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    fam_row_t *row = &family->row;
    if (message[0]) parent->state.message = slice_text(message);
    if (!(row->flags & FAM_STARTED)) return task_end(core, parent, S(CANCELLED), reason);
    if (!(row->flags & FAM_CANCELLING)) {
        row->flags |= FAM_CANCELLING;
        if (message[0]) TRY(task_save(core, parent));
        TRY(family_each(core, family, 0, cancel_one, &hard));
        family_touch(core, family);
        if (row->open) TRY(journal_task(core, EVENT_CANCELLING, parent, 0));
    }
    return hard ? task_end(core, parent, S(CANCELLED), reason) : ERR_OK;
}

static err_t hold_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                      bool *more)
{
    (void)family, (void)name, (void)arg, (void)more;
    return child->status == S(WAITING) || child->status == S(DELAYED) ? task_hold(core, child)
                                                                      : ERR_OK;
}

err_t family_hold(core_t *core, task_t *parent)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    family->row.flags |= FAM_HELD;
    family_touch(core, family);
    return family_each(core, family, 0, hold_one, NULL);
}

static err_t start_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                       bool *more)
{
    (void)family, (void)name, (void)arg, (void)more;
    return child->status == S(HELD) ? task_start(core, child) : ERR_OK;
}

err_t family_resume(core_t *core, family_t *family)
{
    return family_each(core, family, 0, start_one, NULL);
}

/* Takes an ended child back into the open ones. */
static void reopen(fam_row_t *row, const task_t *child)
{
    if (child->status == S(FAILED))
        row->failed--;
    else if (child->status == S(EXPIRED))
        row->expired--;
    else if (child->state.reason == REASON_OFFLINE)
        row->skipped--;
    else
        row->cancelled--;
    row->open++;
}

static err_t block_again(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                         bool *more)
{
    (void)name, (void)arg, (void)more;
    if (child->status <= S(FINISHED)) return ERR_OK;
    reopen(&family->row, child);
    family->row.blocked++;
    TRY(task_fresh_budget(core, child));
    child->state.reason = REASON_WAVE;
    child->has_state = true;
    task_move(core, child, S(BLOCKED));
    TRY(task_save(core, child));
    return journal_task(core, EVENT_BLOCKED, child, 0);
}

err_t family_may_retry(core_t *core, const task_t *parent, const char **refusal)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    if (family->row.flags & FAM_PURGING) *refusal = "it is being removed: submit a new task";
    const fam_row_t *row = &family->row;
    if (row->open && row->flags & FAM_CANCEL_REST)
        *refusal = "some of its children still stop: try again in a moment";
    if (*refusal) return ERR_OK;
    size_t writes = row->total - row->ok - row->open;
    if (row->total == 0) { /* then its members are who is enrolled now */
        const Pawl__V1__Task *body;
        members_t members;
        TRY(task_unpack(core, parent, &body));
        TRY(enrol_members(core, body, parent->spec.id, &members));
        writes = members.n;
    }
    space_cost_t cost = { 0 };
    space_add(&cost, SPACE_CHILD, writes, 0, core->space.page_bytes);
    if (core->children >= LIMIT_CHILDREN)
        *refusal = "other fan-outs of many children came just before: try again in a moment";
    else if (!space_take(&core->space, &cost))
        *refusal = "the store has no room for its children: wait for old tasks to be removed";
    return ERR_OK;
}

err_t family_retry(core_t *core, task_t *parent)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    family->row.flags &=
        (uint16_t) ~(FAM_STARTED | FAM_HELD | FAM_CANCELLING | FAM_STOPPED | FAM_ENDED | FAM_SWEPT);
    family->row.next_n = 0;
    family->row.pause_until_us = 0;
    TRY(family_again(core, parent));
    return family_each(core, family, 0, block_again, NULL);
}

err_t family_child_again(core_t *core, const task_t *child, const char **refusal)
{
    family_t *family;
    TRY(family_get(core, child->spec.parent, &family));
    if (family->row.flags & FAM_ENDED)
        *refusal = "its fan-out has ended: retry the parent, which runs again what did not finish";
    else if (family->row.flags & FAM_CANCELLING)
        *refusal = "its fan-out is being cancelled";
    if (*refusal) return ERR_OK;
    reopen(&family->row, child);
    family_touch(core, family);
    return ERR_OK;
}

/* ---- removal --------------------------------------------------------------------------------- */

static err_t purge_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                       bool *more)
{
    unsigned *left = arg;
    (void)name;
    TRY(task_purge_rows(core, child));
    rec_key_t key = key_kid(family->n, 0, child->n);
    TRY(del_row(core, TABLE_kids, &key));
    *more = --*left > 0;
    return ERR_OK;
}

err_t family_purge(core_t *core, uint64_t parent, bool *over)
{
    family_t *family;
    unsigned left = PURGED_AT_ONCE;
    *over = false;
    TRY(family_get(core, parent, &family));
    if (family->row.open > 0) return ERR_OK;
    family->row.flags |= FAM_PURGING;
    family->dirty = true;
    TRY(family_each(core, family, 0, purge_one, &left));
    if (left == 0) return ERR_OK; /* the rest next time */
    *over = family->gone = true;
    rec_key_t key = key_fam(FAM_ROW, parent);
    return del_row(core, TABLE_fam, &key);
}

/* ---- memory against store -------------------------------------------------------------------- */

static err_t count_one(core_t *core, family_t *family, task_t *child, const char *name, void *arg,
                       bool *more)
{
    fam_row_t *sum = arg;
    (void)core, (void)family, (void)name, (void)more;
    sum->total++;
    if (child->status < S(FINISHED)) {
        sum->open++;
        sum->blocked += child->status == S(BLOCKED);
        return ERR_OK;
    }
    sum->ok += child->status == S(FINISHED);
    sum->failed += child->status == S(FAILED);
    sum->expired += child->status == S(EXPIRED);
    bool skipped = child->status == S(CANCELLED) && child->state.reason == REASON_OFFLINE;
    sum->skipped += skipped;
    sum->cancelled += child->status == S(CANCELLED) && !skipped;
    return ERR_OK;
}

err_t families_verify(core_t *core, char *difference, size_t len)
{
    for (uint64_t n = 0;; n++) {
        rec_key_t from = key_fam(FAM_ROW, n);
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_fam, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (key.at[0] != FAM_ROW) return ERR_OK;
        if (key.len != 9) return ERR_CORRUPT;
        n = be_u64(key.at + 1);
        family_t family = { .n = n };
        fam_row_t sum = { 0 };
        if (!fam_row_decode(&family.row, value)) return ERR_CORRUPT;
        TRY(family_each(core, &family, 0, count_one, &sum));
        const fam_row_t *row = &family.row;
        if (row->flags & FAM_PURGING) continue;
        if (sum.total != row->total || sum.open != row->open || sum.blocked != row->blocked ||
            sum.ok != row->ok || sum.failed != row->failed || sum.expired != row->expired ||
            sum.skipped != row->skipped || sum.cancelled != row->cancelled) {
            snprintf(difference, len,
                     "family %llu: %u of %u open, %u ok, %u failed | children: %u of %u open, %u "
                     "ok, %u failed",
                     (unsigned long long)n, row->open, row->total, row->ok, row->failed, sum.open,
                     sum.total, sum.ok, sum.failed);
            return ERR_OK;
        }
    }
}

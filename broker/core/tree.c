/* SPDX-License-Identifier: Apache-2.0
 * tree.c - what is done to a fan-out as a whole: cancel, kill, hold, start, run again, and removal
 * when its time is over, leaves first, the root last.
 *
 * What concerns every child is a *pass*. The word itself is durable at once: flags and passes of
 * the fam row say what holds from now on, and no child is leased against them (family_may_lease).
 * The pass then takes the children in the order of their numbers, as many a batch as
 * core->children_left says. Its place is in the fam row and the family's timer is due, so it goes
 * on with the next batch, after a crash too. A pass may begin anew at any time: a child that is as
 * it should be is left as it is. */
#include "broker/core/inside.h"

#include <stdio.h>

/* ---- passes ---------------------------------------------------------------------------------- */

static bool is_open(const task_t *child)
{
    return child->status < S(FINISHED);
}

static err_t cancel_one(core_t *core, family_t *family, task_t *child)
{
    (void)family;
    return is_open(child) ? task_cancel(core, child, REASON_PARENT, "") : ERR_OK;
}

static err_t kill_one(core_t *core, family_t *family, task_t *child)
{
    return child->run ? lease_kill(core, child->run, "stopped for a newer run of its schedule")
                      : cancel_one(core, family, child);
}

static err_t hold_one(core_t *core, family_t *family, task_t *child)
{
    (void)family;
    bool waits = child->status == S(WAITING) || child->status == S(DELAYED);
    return waits ? task_hold(core, child) : ERR_OK;
}

static err_t start_one(core_t *core, family_t *family, task_t *child)
{
    (void)family;
    return child->status == S(HELD) ? task_start(core, child) : ERR_OK;
}

/* Takes an ended child back into the open ones. */
static void reopen(fam_row_t *row, const task_t *child)
{
    (*fam_row_counter(row, (uint8_t)child->status, child->state.reason))--;
    row->open++;
}

static err_t again_one(core_t *core, family_t *family, task_t *child)
{
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

static err_t remove_one(core_t *core, family_t *family, task_t *child)
{
    rec_key_t key = key_kid(family->n, 0, child->n);
    TRY(del_row(core, TABLE_kids, &key));
    return task_purge_rows(core, child);
}

enum { STOPS = PASS_KILL | PASS_CANCEL };

static const struct pass {
    uint8_t pass, voids; /* voids: passes that make no sense any more once this one has begun */
    err_t (*take)(core_t *core, family_t *family, task_t *child);
} passes[] = {
    { PASS_KILL, PASS_CANCEL | PASS_AGAIN | PASS_HOLD | PASS_START, kill_one },
    { PASS_CANCEL, PASS_AGAIN | PASS_HOLD | PASS_START, cancel_one },
    { PASS_AGAIN, 0, again_one },
    { PASS_HOLD, PASS_START, hold_one },
    { PASS_START, PASS_HOLD, start_one },
    { PASS_REMOVE, 0, remove_one },
};

static const struct pass *first_pass(const fam_row_t *row)
{
    for (size_t i = 0; i < ARRAY_LEN(passes); i++)
        if (row->passes & passes[i].pass) return &passes[i];
    return NULL;
}

void family_pass(core_t *core, family_t *family, uint8_t pass)
{
    fam_row_t *row = &family->row;
    const struct pass *before = first_pass(row), *wanted = passes;
    family_touch(core, family);
    if (pass == PASS_CANCEL && row->passes & PASS_KILL) return; /* that does more */
    while (wanted->pass != pass)
        wanted++;
    row->passes = (uint8_t)((row->passes & ~wanted->voids) | pass);
    if (first_pass(row) != before) row->pass_n = 0;
}

static err_t remove_parent(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    rec_key_t key = key_fam(FAM_ROW, family->n);
    task_t parent;
    if (row->timer_at)
        TRY(timer_clear(core, CLOCK_ELAPSED, row->timer_at, TIMER_FAMILY, family->n));
    family->gone = true;
    TRY(del_row(core, TABLE_fam, &key));
    TRY(task_load(core, family->n, &parent));
    return task_purge_rows(core, &parent);
}

/* Of what a batch takes on a pass leaves a quarter to waves, and one that only tidies up half to
 * the words of people: so nothing waits for a pass over many large trees to end. */
static bool may_go_on(const core_t *core, const struct pass *pass)
{
    uint32_t at_once = core->config.children_at_once;
    return core->children_left > (pass->pass == PASS_REMOVE ? at_once / 2 : at_once / 4);
}

err_t family_passes(core_t *core, family_t *family)
{
    fam_row_t *row = &family->row;
    const struct pass *pass;
    task_t child;
    char name[LIMIT_NAME + 1];
    while ((pass = first_pass(row)) != NULL) {
        bool nobody = row->open == 0 && !(pass->pass & (PASS_AGAIN | PASS_REMOVE));
        if (!nobody && !may_go_on(core, pass)) return ERR_OK;
        err_t err = nobody ? ERR_NOT_FOUND : family_next(core, family, row->pass_n, &child, name);
        if (err == ERR_NOT_FOUND) {
            row->passes &= (uint8_t)~pass->pass;
            row->pass_n = 0;
            if (pass->pass == PASS_REMOVE) return remove_parent(core, family);
            continue;
        }
        TRY(err);
        core->children_left--;
        row->pass_n = child.n + 1;
        TRY(pass->take(core, family, &child));
    }
    return ERR_OK;
}

err_t family_is_held(core_t *core, const task_t *child, bool *held)
{
    family_t *family;
    TRY(family_get(core, child->spec.parent, &family));
    *held = family->row.flags & FAM_HELD;
    return ERR_OK;
}

err_t family_may_lease(core_t *core, const task_t *child, bool *may)
{
    family_t *family;
    TRY(family_get(core, child->spec.parent, &family));
    *may = !(family->row.passes & STOPS) && !(family->row.flags & FAM_HELD);
    return ERR_OK;
}

err_t family_put_aside(core_t *core, task_t *child)
{
    family_t *family;
    TRY(family_get(core, child->spec.parent, &family));
    return family->row.passes & STOPS ? cancel_one(core, family, child) : task_hold(core, child);
}

/* ---- by hand, and by the overlap policy of its schedule -------------------------------------- */

/* Not started: at once, its children follow (wave.c). Else when the last of them has stopped. */
err_t family_cancel(core_t *core, task_t *parent, uint8_t reason, const char *message, bool hard)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    fam_row_t *row = &family->row;
    if (message[0]) parent->state.message = slice_text(message);
    if (!(row->flags & FAM_STARTED)) return task_end(core, parent, S(CANCELLED), reason);
    bool news = !(row->flags & FAM_CANCELLING);
    if (news || hard) family_pass(core, family, hard ? PASS_KILL : PASS_CANCEL);
    if (news) {
        row->flags |= FAM_CANCELLING;
        if (message[0]) TRY(task_save(core, parent));
        if (row->open) TRY(journal_task(core, EVENT_CANCELLING, parent, 0));
    }
    return hard ? task_end(core, parent, S(CANCELLED), reason) : ERR_OK;
}

err_t family_hold(core_t *core, const task_t *parent)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    family->row.flags |= FAM_HELD;
    family_pass(core, family, PASS_HOLD);
    return ERR_OK;
}

err_t family_may_retry(core_t *core, const task_t *parent, const char **refusal)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    if (family->row.flags & FAM_PURGING) *refusal = "it is being removed: submit a new task";
    const fam_row_t *row = &family->row;
    if (row->passes & STOPS || (row->open && row->flags & FAM_CANCEL_REST))
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
    else if (!room_take(core, &cost))
        *refusal = "the store has no room for its children: wait for old tasks to be removed";
    return ERR_OK;
}

err_t family_retry(core_t *core, task_t *parent)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    fam_row_t *row = &family->row;
    row->flags &=
        (uint16_t) ~(FAM_STARTED | FAM_HELD | FAM_CANCELLING | FAM_STOPPED | FAM_ENDED | FAM_SWEPT);
    row->next_n = 0;
    row->pause_until_us = 0;
    if (row->total) family_pass(core, family, PASS_AGAIN);
    return family_again(core, parent);
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

/* ---- its time is over ------------------------------------------------------------------------ */

err_t family_remove(core_t *core, uint64_t parent, bool *begun)
{
    family_t *family;
    TRY(family_get(core, parent, &family));
    *begun = family->row.open == 0 && family->row.passes == 0;
    if (!*begun) return ERR_OK;
    family->row.flags |= FAM_PURGING; /* answers do not find it any more */
    family_pass(core, family, PASS_REMOVE);
    return ERR_OK;
}

/* ---- memory against store -------------------------------------------------------------------- */

static err_t count_children(core_t *core, const family_t *family, fam_row_t *sum)
{
    task_t child;
    char name[LIMIT_NAME + 1];
    err_t err;
    for (uint64_t n = 0; (err = family_next(core, family, n, &child, name)) == ERR_OK;
         n = child.n + 1) {
        sum->total++;
        sum->open += is_open(&child);
        sum->blocked += child.status == S(BLOCKED);
        if (!is_open(&child)) (*fam_row_counter(sum, (uint8_t)child.status, child.state.reason))++;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
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
        TRY(count_children(core, &family, &sum));
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

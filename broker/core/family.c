/* SPDX-License-Identifier: Apache-2.0
 * family.c - a fan-out from its acceptance on: the parent, one child for each member, and what one
 * end of a lease or a Hello does to them. Decisions are in wave.c, hands in tree.c.
 *
 * Parent, fam row, children and kids rows are one commit. A child is a task like any other, with an
 * id derived from (parent, executor), so it can exist only once; its body is its parent's and is
 * stored there alone. A parent moves held / delayed / parked -> running -> ended; it runs from the
 * moment its first child may be released, and ends once. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* ---- rows in memory -------------------------------------------------------------------------- */

static void list_add(family_t ***list, size_t *n, size_t *room, family_t *family)
{
    if (*n == *room) {
        *room = *room ? *room * 2 : 16;
        *list = mem_grow(*list, *room * sizeof(family_t *));
    }
    (*list)[(*n)++] = family;
}

static family_t *keep(core_t *core, uint64_t parent)
{
    family_t *family = mem_new(sizeof *family);
    family->n = parent;
    map_put(&core->families_by_n, parent, family);
    list_add(&core->families, &core->families_n, &core->families_room, family);
    return family;
}

err_t family_get(core_t *core, uint64_t parent, family_t **out)
{
    *out = map_get(&core->families_by_n, parent);
    if (*out) return ERR_OK;
    rec_key_t key = key_fam(FAM_ROW, parent);
    slice_t value;
    fam_row_t row;
    err_t err = store_get(core->store, TABLE_fam, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    if (!fam_row_decode(&row, value)) return ERR_CORRUPT;
    *out = keep(core, parent);
    (*out)->row = row;
    return ERR_OK;
}

void family_touch(core_t *core, family_t *family)
{
    family->dirty = true;
    if (family->touched) return;
    family->touched = true;
    list_add(&core->unsettled, &core->unsettled_n, &core->unsettled_room, family);
}

/* Nothing stays in memory from one batch to the next: the rows are the truth. */
err_t families_flush(core_t *core)
{
    CHECK(core->unsettled_n == 0);
    for (size_t i = 0; i < core->families_n; i++) {
        const family_t *family = core->families[i];
        if (!family->dirty || family->gone) continue;
        core->scratch.len = 0;
        fam_row_encode(&family->row, &core->scratch);
        rec_key_t key = key_fam(FAM_ROW, family->n);
        TRY(put_scratch(core, TABLE_fam, &key, 0));
    }
    families_free(core);
    return ERR_OK;
}

void families_free(core_t *core)
{
    for (size_t i = 0; i < core->families_n; i++)
        free(core->families[i]);
    free(core->families);
    free(core->unsettled);
    core->families = core->unsettled = NULL;
    core->families_n = core->families_room = core->unsettled_n = core->unsettled_room = 0;
    map_free(&core->families_by_n);
}

err_t family_next(core_t *core, const family_t *family, uint64_t from, task_t *child,
                  char name[LIMIT_NAME + 1])
{
    rec_key_t at = key_kid(family->n, 0, from);
    slice_t key, value, text;
    uint64_t parent, n;
    uint16_t step;
    TRY(store_seek(core->store, TABLE_kids, key_slice(&at), false, &key, &value));
    if (!kid_key_decode(key, &parent, &step, &n) || !kid_row_decode(&text, value) ||
        text.len > LIMIT_NAME)
        return ERR_CORRUPT;
    if (parent != family->n) return ERR_NOT_FOUND;
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    err_t err = task_load(core, n, child);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* ---- acceptance ------------------------------------------------------------------------------ */

static void take_policy(core_t *core, const Pawl__V1__Fanout *fanout, fam_row_t *row)
{
    bool list = fanout->n_executors > 0;
    row->done = fanout->done ? (uint8_t)fanout->done : PAWL__V1__FANOUT_DONE__FANOUT_ALL;
    row->done_count = fanout->done_count;
    row->offline = fanout->offline ? (uint8_t)fanout->offline
                   : list          ? PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT
                                   : PAWL__V1__FANOUT_OFFLINE__FANOUT_SKIP;
    int64_t wait = fanout->offline_us ? fanout->offline_us : DEFAULT_OFFLINE_US;
    row->offline_us = row->offline == PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT ? wait : 0;
    row->parallel = fanout->parallel;
    row->pause_us = fanout->pause_us;
    row->stop_failures = fanout->stop_failures;
    row->stop_percent = fanout->stop_percent;
    if (!fanout->cancel_rest_set_case || fanout->cancel_rest) row->flags |= FAM_CANCEL_REST;
    if (fanout->move) row->flags |= FAM_MOVE;
    if (fanout->late_join) {
        row->flags |= FAM_JOINABLE;
        row->join_until_us = core->now_us + wait;
    }
}

/* Which fan-outs of a schedule are open: its overlap policy stops them all, not the newest alone.
 */
static err_t note_fired(core_t *core, const task_t *parent, bool open)
{
    if (!(parent->spec.flags & SPEC_SCHEDULED)) return ERR_OK;
    rec_key_t key = key_fam_fired(parent->spec.schedule, parent->n);
    const uint8_t version = RECORD_VERSION;
    return open ? store_put(core->store, TABLE_fam, key_slice(&key), slice(&version, 1), 0)
                : del_row(core, TABLE_fam, &key);
}

err_t families_stop_fired(core_t *core, uint32_t schedule, const uint8_t gate[16], bool hard)
{
    uint32_t of = schedule;
    for (uint64_t n = 0;; n++) {
        rec_key_t from = key_fam_fired(of, n);
        slice_t key, value;
        task_t parent;
        err_t err = store_seek(core->store, TABLE_fam, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (!fam_fired_decode(key, &of, &n)) return ERR_CORRUPT;
        if (schedule && of != schedule) return ERR_OK;
        TRY(task_load(core, n, &parent));
        uint8_t at[16];
        gate_of_task(&parent.spec, at);
        if (parent.status == S(RUNNING) && memcmp(at, gate, 16) == 0)
            TRY(family_cancel(core, &parent, REASON_OVERLAP, "", hard));
    }
}

/* Not a second one for an executor that was named twice. */
static err_t make_child(core_t *core, family_t *family, const task_t *parent,
                        const Pawl__V1__Task *body, slice_t bytes, const char *name, bool blocked)
{
    fam_row_t *row = &family->row;
    task_t child = { .n = core->meta.next_n };
    spec_row_t *spec = &child.spec;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    child_id(core->fixed.secret, parent->spec.id, slice_text(name), spec->id);
    err_t err = task_put_id(core, spec->id, ID_TASK, child.n, STORE_NEW);
    if (err == ERR_EXISTS) return ERR_OK;
    TRY(err);
    core->meta.next_n++;
    spec->principal = parent->spec.principal;
    spec->type = parent->spec.type;
    spec->queue = parent->spec.queue;
    spec->priority = parent->spec.priority;
    spec->flags =
        (uint16_t)(SPEC_CHILD | (parent->spec.flags & SPEC_LATE) | (blocked ? SPEC_BLOCKED : 0));
    spec->parent = parent->n;
    spec->index = row->total;
    target.executor = (char *)(uintptr_t)name;
    TRY(task_create(core, &child, body, bytes, &target));
    rec_key_t key = key_kid(parent->n, 0, child.n);
    core->scratch.len = 0;
    kid_row_encode(slice_text(name), &core->scratch);
    TRY(put_scratch(core, TABLE_kids, &key, 0));
    if (blocked && row->blocked == 0) row->next_n = child.n;
    row->total++;
    row->open++;
    row->blocked += blocked;
    core->children++;
    core->ops++;
    return ERR_OK;
}

/* A child for each; bytes: the body as family_make has it, or nothing. */
static err_t make_members(core_t *core, family_t *family, const task_t *parent,
                          const Pawl__V1__Task *body, slice_t bytes, const members_t *members,
                          bool blocked_all)
{
    fam_row_t *row = &family->row;
    if (members->shortage || members->too_many) row->flags |= FAM_SHORT;
    if (row->flags & FAM_SHORT) row->flags &= (uint16_t)~FAM_JOINABLE;
    for (size_t i = 0; i < members->n; i++) {
        const char *name = members->names[i];
        bool wave_full = row->parallel && row->open - row->blocked >= row->parallel;
        bool blocked =
            blocked_all || wave_full ||
            (row->offline != PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT && enrol_away(core, name));
        TRY(make_child(core, family, parent, body, bytes, name, blocked));
    }
    return ERR_OK;
}

err_t family_make(core_t *core, task_t *parent, const Pawl__V1__Task *body, slice_t bytes,
                  const members_t *members)
{
    family_t *family = keep(core, parent->n);
    fam_row_t *row = &family->row;
    bool ready = parent->status == S(WAITING) && !(parent->spec.flags & SPEC_PARKED);
    take_policy(core, body->fanout, row);
    TRY(make_members(core, family, parent, body, bytes, members, !ready));
    if (row->flags & FAM_JOINABLE) {
        rec_key_t key = key_fam(FAM_JOIN, parent->n);
        const uint8_t version = RECORD_VERSION;
        TRY(store_put(core->store, TABLE_fam, key_slice(&key), slice(&version, 1), 0));
    }
    TRY(note_fired(core, parent, true));
    family_touch(core, family);
    return ready ? family_start(core, parent) : ERR_OK;
}

Pawl__V1__Error *family_crowd(core_t *core)
{
    if (core->children < LIMIT_CHILDREN) return NULL;
    Pawl__V1__Error *error = make_error(
        core, ERR_BUSY, "fanout",
        "other fan-outs of %u children in all came just before: send it again", core->children);
    error->retry_after_us = PAWL_SEC_US;
    return error;
}

err_t family_start(core_t *core, task_t *parent)
{
    family_t *family;
    bool expired;
    TRY(family_get(core, parent->n, &family));
    TRY(lease_check_expiry(core, parent, &expired));
    if (expired) return task_end(core, parent, S(EXPIRED), REASON_EXPIRED);
    fam_row_t *row = &family->row;
    bool again = row->flags & FAM_STARTED; /* it was held meanwhile */
    bool first = parent->state.token == 0;
    row->flags = (uint16_t)((row->flags | FAM_STARTED) & ~FAM_HELD);
    family_touch(core, family);
    if (!again) {
        /* The token says that it has run, to retention, expiry and its schedule; nobody gets it. */
        parent->state.token = lease_next_token(core, parent->state.token);
        parent->state.attempts++;
        parent->state.start_wall_us = core->wall_us;
        row->started_us = core->now_us;
        row->look_us = 0; /* when the first child is out (wave.c) */
        row->pause_until_us = row->pause_us && row->open == row->blocked ? core->now_us : 0;
    }
    parent->state.due_us = 0;
    parent->state.park = slice(NULL, 0);
    parent->has_state = true;
    task_move(core, parent, S(RUNNING));
    TRY(task_save(core, parent));
    if (parent->spec.flags & SPEC_SCHEDULED) TRY(schedule_task_leased(core, parent, first));
    TRY(journal_task(core, EVENT_RUNNING, parent, 0));
    if (again) family_pass(core, family, PASS_START);
    return ERR_OK;
}

err_t family_again(core_t *core, task_t *parent)
{
    family_t *family;
    TRY(family_get(core, parent->n, &family));
    TRY(note_fired(core, parent, true));
    family_touch(core, family);
    if (family->row.total) return ERR_OK;
    const Pawl__V1__Task *body;
    members_t members;
    TRY(task_unpack(core, parent, &body));
    TRY(enrol_members(core, body, parent->spec.id, &members));
    family->row.flags &= (uint16_t)~FAM_SHORT;
    return make_members(core, family, parent, body, slice(NULL, 0), &members, true);
}

/* ---- hooks of the task life cycle ------------------------------------------------------------ */

err_t family_child_ended(core_t *core, const task_t *child, status_t from)
{
    family_t *family;
    TRY(family_get(core, child->spec.parent, &family));
    fam_row_t *row = &family->row;
    CHECK(row->open > 0);
    row->open--;
    row->blocked -= from == S(BLOCKED);
    (*fam_row_counter(row, (uint8_t)child->status, child->state.reason))++;
    family_touch(core, family);
    return ERR_OK;
}

err_t family_parent_ended(core_t *core, const task_t *parent)
{
    family_t *family;
    TRY(note_fired(core, parent, false));
    TRY(family_get(core, parent->n, &family));
    /* A hold ends with it: nobody could start the parent any more to let the rest go on. */
    if (family->row.flags & FAM_HELD) family_pass(core, family, PASS_START);
    family->row.flags = (uint16_t)((family->row.flags | FAM_ENDED) & ~FAM_HELD);
    family_touch(core, family);
    return ERR_OK;
}

err_t family_timer(core_t *core, uint64_t parent)
{
    family_t *family;
    TRY(family_get(core, parent, &family));
    family->row.timer_at = 0; /* its row is gone */
    family_touch(core, family);
    return ERR_OK;
}

/* ---- who comes later ------------------------------------------------------------------------- */

static err_t join_one(core_t *core, uint64_t n, const executor_t *executor)
{
    family_t *family;
    task_t parent;
    const Pawl__V1__Task *body;
    bool fits;
    TRY(family_get(core, n, &family));
    fam_row_t *row = &family->row;
    if (row->flags & (FAM_ENDED | FAM_CANCELLING) || row->join_until_us <= core->now_us ||
        row->total >= LIMIT_CHILDREN)
        return ERR_OK;
    TRY(task_load(core, n, &parent));
    TRY(task_unpack(core, &parent, &body));
    TRY(enrol_fits(core, executor, body, parent.spec.type, parent.spec.queue, &fits));
    if (!fits) return ERR_OK;
    uint32_t total = row->total;
    TRY(make_child(core, family, &parent, body, slice(NULL, 0), executor->name->name, true));
    if (row->total == total) return ERR_OK; /* it has its child */
    family_touch(core, family);
    return journal_add(core, EVENT_FANOUT_JOINED, n, 0, row->total);
}

err_t families_join(core_t *core, const executor_t *executor)
{
    if (core->refuse_adds) return ERR_OK;
    for (uint64_t n = 0;; n++) {
        rec_key_t from = key_fam(FAM_JOIN, n);
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_fam, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && key.at[0] != FAM_JOIN)) return ERR_OK;
        TRY(err);
        if (key.len != 9) return ERR_CORRUPT;
        n = be_u64(key.at + 1);
        TRY(join_one(core, n, executor));
    }
}

/* ---- leases ---------------------------------------------------------------------------------- */

err_t family_lease(core_t *core, const run_t *run, Pawl__V1__Lease *lease)
{
    family_t *family;
    rec_key_t key = key_n(run->parent);
    slice_t value;
    spec_row_t spec;
    TRY(family_get(core, run->parent, &family));
    TRY(store_get(core->store, TABLE_spec, key_slice(&key), &value));
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    lease->parent.data = batch_alloc(core, 16);
    memcpy(lease->parent.data, spec.id, 16);
    lease->parent.len = 16;
    lease->shard_index = run->index;
    lease->shard_total = family->row.total;
    if (!(spec.flags & SPEC_SCHEDULED)) return ERR_OK;
    plan_t *plan;
    TRY(plan_get(core, spec.schedule, &plan));
    lease->schedule = batch_printf(core, "%.*s", (int)plan->row.name.len, plan->row.name.at);
    lease->planned_us = spec.instant_wall_us;
    if (spec.folded_count) {
        lease->folded_first_us = spec.folded_first_us;
        lease->folded_last_us = spec.instant_wall_us;
        lease->folded_count = spec.folded_count;
    }
    return ERR_OK;
}

err_t family_move_child(core_t *core, task_t *child)
{
    family_t *family;
    const Pawl__V1__Task *body;
    lane_t *lane;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    TRY(family_get(core, child->spec.parent, &family));
    if (!(family->row.flags & FAM_MOVE)) return ERR_OK;
    TRY(task_unpack(core, child, &body));
    target.labels = body->fanout->labels;
    target.n_labels = body->fanout->n_labels;
    TRY(lane_for(core, child->spec.queue, child->spec.type, &target, body,
                 child->spec.flags & SPEC_LATE ? BAND_LATE : BAND_LIVE, &lane));
    TRY(lane_forget(core, child->state.lane));
    lane_count(core, lane, 1);
    child->state.lane = lane->no;
    return ERR_OK;
}

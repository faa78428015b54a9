/* SPDX-License-Identifier: Apache-2.0
 * change.c - what people do to tasks by hand (cancel, retry, start, hold), and retention. */
#include "broker/core/inside.h"
#include "broker/core/watermark.h"

enum { /* in one go, however little room there is */
       PURGE_ALWAYS = 16,
       CANCEL_ALWAYS = 16
};

typedef struct refusal {
    err_t err;
    const char *text;
} refusal_t;

static bool has_ended(status_t status)
{
    return status >= S(FINISHED);
}

err_t task_cancel(core_t *core, task_t *task, uint8_t reason, const char *message)
{
    if (task->spec.flags & SPEC_PARENT) return family_cancel(core, task, reason, message, false);
    if (task->status == S(RUNNING))
        return lease_cancel(core, task->run, message[0] ? message : "cancelled with its parent");
    if (message[0]) task->state.message = slice_text(message);
    return task_end(core, task, S(CANCELLED), reason);
}

static err_t cancel(core_t *core, task_t *task, const command_t *command, refusal_t *refusal)
{
    static const char text[] = "it has ended already";
    const char *reason = command->request->task_change->reason;
    if (has_ended(task->status)) {
        if (task->status != S(CANCELLED)) *refusal = (refusal_t){ ERR_WRONG_STATUS, text };
        return ERR_OK;
    }
    const char *wish = batch_printf(core, "cancelled by %s%s%s", command->principal,
                                    reason[0] ? ": " : "", reason);
    slice_t kept = text_clip(slice_text(wish), LIMIT_MESSAGE_KEPT);
    return task_cancel(core, task, REASON_BY_HAND,
                       batch_printf(core, "%.*s", (int)kept.len, (const char *)kept.at));
}

/* Again by hand takes the key anew; who has it meanwhile keeps it. */
static err_t take_key_again(core_t *core, task_t *task, refusal_t *refusal)
{
    if (!(task->spec.flags & SPEC_KEYED)) return ERR_OK;
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    rec_key_t key = key_uniq(0, task->spec.type, slice_text(body->key));
    core->scratch.len = 0;
    uniq_row_encode(task->n, &core->scratch);
    err_t err = put_scratch(core, TABLE_uniq, &key, STORE_NEW);
    if (err != ERR_EXISTS) return err;
    *refusal = (refusal_t){ ERR_DUPLICATE, "a live task holds its key: wait for its end" };
    return ERR_OK;
}

/* A child that was cancelled before its fan-out began would run ahead of it. */
static err_t not_begun(core_t *core, const task_t *child, const char **why)
{
    task_t parent;
    bool held;
    TRY(task_load(core, child->spec.parent, &parent));
    TRY(family_is_held(core, child, &held)); /* by a word, later: then it waits with the others */
    if (!held && !has_ended(parent.status) && parent.status != S(RUNNING))
        *why = "its fan-out has not begun: start the parent";
    return ERR_OK;
}

static err_t retry(core_t *core, task_t *task, refusal_t *refusal)
{
    if (!has_ended(task->status) || task->status == S(FINISHED)) {
        *refusal =
            (refusal_t){ ERR_WRONG_STATUS, task->status == S(FINISHED)
                                               ? "it finished: submit a new task to run it again"
                                               : "it has not ended" };
        return ERR_OK;
    }
    const char *why = NULL;
    if (task->spec.flags & SPEC_PARENT) TRY(family_may_retry(core, task, &why));
    if (task->spec.flags & SPEC_CHILD) TRY(not_begun(core, task, &why));
    if (why == NULL && task->spec.flags & SPEC_CHILD) TRY(family_child_again(core, task, &why));
    if (why) {
        *refusal = (refusal_t){ ERR_WRONG_STATUS, why };
        return ERR_OK;
    }
    TRY(take_key_again(core, task, refusal));
    if (refusal->err) return ERR_OK;
    if (task->spec.flags & SPEC_PARENT) TRY(family_retry(core, task));
    TRY(task_fresh_budget(core, task));
    return task_place_ready(core, task);
}

err_t task_fresh_budget(core_t *core, task_t *task)
{
    if (task->state.flags & STATE_OUTPUT_PARTS)
        TRY(del_parts(core, task->n, PART_OUTPUT, task->state.token));
    uint64_t token = task->state.token;
    uint32_t executor = task->state.executor;
    uint8_t status = task->state.status;
    /* A fresh budget; the ended attempt stays on record as one of its tries. */
    if (token) TRY(attempt_keep(core, task, task->state.attempts, task->state.outcome));
    TRY(lane_forget(core, task->state.lane)); /* a child that has moved goes back to its host */
    task->state = (state_row_t){
        .status = status, .token = token, .executor = executor, .flags = STATE_BY_HAND
    };
    return ERR_OK;
}

err_t task_start(core_t *core, task_t *task)
{
    bool moved = task->has_state;
    uint8_t clock = moved ? task->state.timer_clock : task->spec.timer_clock;
    int64_t at = moved ? task->state.timer_at : task->spec.timer_at;
    int64_t now = clock == CLOCK_WALL ? core->wall_us : core->now_us;
    if (clock != 0 && at > now) return task_place_timer(core, task, clock, at);
    return task_place_ready(core, task);
}

static err_t start(core_t *core, task_t *task, refusal_t *refusal)
{
    bool with_parent = false;
    if (task->spec.flags & SPEC_CHILD) TRY(family_is_held(core, task, &with_parent));
    if (with_parent && task->status == S(HELD)) {
        *refusal = (refusal_t){ ERR_WRONG_STATUS, "its fan-out is held: start the parent" };
        return ERR_OK;
    }
    if (task->status == S(HELD)) return task_start(core, task);
    *refusal = (refusal_t){ ERR_WRONG_STATUS, "it is not held" };
    return ERR_OK;
}

static err_t hold(core_t *core, task_t *task, refusal_t *refusal)
{
    bool tree = task->spec.flags & SPEC_PARENT && task->status == S(RUNNING);
    if (task->status == S(HELD)) return ERR_OK;
    if (tree || task->status == S(WAITING) || task->status == S(DELAYED))
        return task_hold(core, task);
    *refusal = (refusal_t){ ERR_WRONG_STATUS, "only what waits can be held" };
    return ERR_OK;
}

err_t task_hold(core_t *core, task_t *task)
{
    if (task->spec.flags & SPEC_PARENT && task->status == S(RUNNING)) TRY(family_hold(core, task));
    bool moved = task->has_state;
    bool parked = moved ? task->state.park.len > 0 : (task->spec.flags & SPEC_PARKED) != 0;
    uint8_t clock = 0;
    int64_t at = 0;
    if (task->status == S(DELAYED)) { /* its time still holds when it is started */
        clock = moved ? task->state.timer_clock : task->spec.timer_clock;
        at = moved ? task->state.timer_at : task->spec.timer_at;
    }
    TRY(task_unplace(core, task));
    task->state.timer_clock = clock;
    task->state.timer_at = at;
    TRY(task_place_held(core, task));
    return task->spec.flags & SPEC_SCHEDULED ? schedule_task_held(core, task, parked) : ERR_OK;
}

static err_t change_one(core_t *core, const command_t *command, slice_t id, refusal_t *refusal)
{
    const Pawl__V1__TaskChange *change = command->request->task_change;
    uint64_t n;
    uint8_t kind;
    err_t err = task_find(core, id.at, &n, &kind);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && kind == ID_TOMBSTONE)) {
        *refusal = (refusal_t){ ERR_NOT_FOUND, "no such task" };
        return ERR_OK;
    }
    TRY(err);
    task_t task;
    err = task_load(core, n, &task);
    if (err == ERR_NOT_FOUND) {
        *refusal = (refusal_t){ ERR_NOT_FOUND, "no such task" };
        return ERR_OK;
    }
    TRY(err);
    if (command->own_only) {
        const named_t *asks = name_find(core, NAME_PRINCIPAL, command->principal);
        if (!asks || task.spec.principal != asks->no) {
            *refusal = (refusal_t){ ERR_NOT_FOUND, "no such task" };
            return ERR_OK;
        }
    }
    switch (change->verb) {
    case PAWL__V1__TASK_VERB__TASK_CANCEL:
        return cancel(core, &task, command, refusal);
    case PAWL__V1__TASK_VERB__TASK_RETRY:
        return retry(core, &task, refusal);
    case PAWL__V1__TASK_VERB__TASK_START:
        return start(core, &task, refusal);
    case PAWL__V1__TASK_VERB__TASK_HOLD:
        return hold(core, &task, refusal);
    default:
        *refusal = (refusal_t){ ERR_BAD_VALUE, "this verb is not known" };
        return ERR_OK;
    }
}

/* A cancellation leads to room: some of them always go. */
static bool may_change(core_t *core, const Pawl__V1__TaskChange *change, uint64_t done)
{
    space_cost_t cost = space_cost(SPACE_CHANGE, 0, core->space.page_bytes);
    bool frees = change->verb == PAWL__V1__TASK_VERB__TASK_CANCEL;
    if (frees) cost.grown = 0;
    return room_take(core, &cost) || (frees && done < CANCEL_ALWAYS);
}

err_t task_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__TaskChange *change = command->request->task_change;
    Pawl__V1__Changed *changed = reply_changed(core, reply);
    changed->items = batch_alloc(core, (change->n_ids + 1) * sizeof *changed->items);
    for (size_t i = 0; i < change->n_ids; i++) {
        refusal_t refusal = { ERR_OK, "" };
        if (!may_change(core, change, changed->done))
            refusal = (refusal_t){ ERR_STORE_FULL, "the store has no room for more changes in one "
                                                   "batch: send the rest again" };
        else
            TRY(change_one(core, command, slice(change->ids[i].data, change->ids[i].len),
                           &refusal));
        core->ops++;
        if (refusal.err == ERR_OK) {
            changed->done++;
            continue;
        }
        Pawl__V1__ItemResult *row = batch_alloc(core, sizeof *row);
        pawl__v1__item_result__init(row);
        row->index = (uint32_t)i;
        row->error = make_error(core, refusal.err, "ids", "%s", refusal.text);
        row->id.data = change->ids[i].data;
        row->id.len = change->ids[i].len;
        changed->items[changed->n_items++] = row;
    }
    return ERR_OK;
}

/* ---- retention
 * ------------------------------------------------------------------------------------------ */

static err_t forget_tries(core_t *core, uint64_t n)
{
    rec_key_t from = key_try(n, 0);
    for (;;) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_try, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u64(key.at) != n)) return ERR_OK;
        TRY(err);
        rec_key_t row = key_try(n, be_u64(key.at + 8));
        TRY(del_row(core, TABLE_try, &row));
        from = row;
    }
}

/* Input and outputs, those of earlier attempts too. */
static err_t forget_parts(core_t *core, uint64_t n)
{
    for (;;) {
        rec_key_t from = key_part(n, 0, 0, 0), row;
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_part, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u64(key.at) != n)) return ERR_OK;
        TRY(err);
        if (key.len > sizeof row.at) return ERR_CORRUPT;
        memcpy(row.at, key.at, key.len); /* the key is gone with its row */
        row.len = key.len;
        TRY(del_row(core, TABLE_part, &row));
    }
}

/* The id stays remembered for a day after acceptance, so that a late resend creates nothing. */
static err_t forget_id(core_t *core, const task_t *task)
{
    int64_t until = task->spec.created_wall_us + 86400 * PAWL_SEC_US;
    rec_key_t key = key_id(task->spec.id);
    if (until <= core->wall_us) return del_row(core, TABLE_ids, &key);
    id_row_t row = { .kind = ID_TOMBSTONE,
                     .n = task->n,
                     .expiry_s = (uint32_t)(until / PAWL_SEC_US) };
    core->scratch.len = 0;
    id_row_encode(&row, &core->scratch);
    TRY(put_scratch(core, TABLE_ids, &key, 0));
    rec_key_t part = key_part(task->n, PART_TOMBSTONE, 0, 0);
    TRY(store_put(core->store, TABLE_part, key_slice(&part), slice(task->spec.id, 16), 0));
    /* broker time: a calendar timer would be looked at every second */
    return timer_set(core, CLOCK_ELAPSED, core->now_us + (until - core->wall_us), TIMER_TOMBSTONE,
                     task->n);
}

err_t task_purge_rows(core_t *core, task_t *task)
{
    TRY(forget_tries(core, task->n));
    TRY(forget_parts(core, task->n));
    TRY(forget_id(core, task));
    if (strcmp(name_at(core, NAME_TYPE, task->spec.type)->name, TYPE_PRODUCER) == 0)
        TRY(watermark_forget_task(core, task->spec.id));
    rec_key_t key = key_n(task->n);
    TRY(del_row(core, TABLE_state, &key));
    TRY(del_row(core, TABLE_spec, &key));
    TRY(lane_forget_task(core, task));
    task_move(core, task, 0);
    core->purged++;
    core->made_room = true;
    core->ops++;
    return ERR_OK;
}

static err_t purge_one(core_t *core, uint64_t n, bool *gone)
{
    task_t task;
    *gone = false;
    err_t err = task_load(core, n, &task);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && !has_ended(task.status))) return ERR_OK;
    TRY(err);
    int64_t keep =
        task.status == S(FAILED) ? core->config.keep_failed_us : core->config.keep_finished_us;
    bool forced = core->level_history; /* history gives way to live work, oldest first */
    if (!forced && task.state.end_wall_us + keep > core->wall_us) return ERR_OK;
    if (task.spec.flags & SPEC_CHILD) return ERR_OK; /* goes with its parent */
    if (task.spec.flags & SPEC_PARENT) return family_remove(core, n, gone);
    *gone = true;
    return task_purge_rows(core, &task);
}

err_t task_purge(core_t *core, const command_t *command)
{
    uint64_t purged = 0;
    space_cost_t cost = space_cost(SPACE_PURGE, 0, core->space.page_bytes);
    cost.grown = 0;
    for (size_t i = 0; i < command->n; i++) {
        bool gone;
        TRY(purge_one(core, command->ns[i], &gone));
        purged += gone;
        if (gone && !room_take(core, &cost) && purged >= PURGE_ALWAYS)
            break; /* what is left out here is found again */
    }
    if (core->level_history && purged)
        return journal_add(core, EVENT_HISTORY_GAVE_WAY, 0, 0, purged);
    return ERR_OK;
}

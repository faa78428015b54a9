/* SPDX-License-Identifier: Apache-2.0
 * task.c - a task from its acceptance to its end, whatever runs it.
 *
 * A task is in exactly one place: a lane's ready rows (waiting), a gate's park rows (waiting,
 * parked), the timers (delayed), the run table (running), or nowhere (held, ended). Its spec row
 * never changes; its state row appears with the first thing that happens to it beyond plain
 * waiting and running. */
#include "broker/inside.h"

#include <stdlib.h>

#include "client/base/ulid.h"

/* Bounded waiting: a task of low priority overtakes newer ones of a higher one after at most the
 * difference of their offsets, with no rescan. */
int64_t priority_offset_us(unsigned priority)
{
    static const int32_t seconds[] = { -3600, -2880, -2160, -1440, -720, 0, 900, 1800, 2700, 3600 };
    return seconds[priority < ARRAY_LEN(seconds) ? priority : 5] * PAWL_SEC_US;
}

/* ---- load and save ----------------------------------------------------------------------------
 */

/* Copies what the decoded row points to into the task's own tail. */
static bool own_tail(task_t *task)
{
    slice_t *const slices[] = { &task->state.park, &task->state.message, &task->state.output,
                                &task->state.output_type, &task->state.progress_text };
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        if (slices[i]->len > TASK_TAIL - used) return false;
        if (slices[i]->len) memcpy(task->tail + used, slices[i]->at, slices[i]->len);
        slices[i]->at = task->tail + used;
        used += slices[i]->len;
    }
    return true;
}

static err_t load_state(core_t *core, task_t *task)
{
    rec_key_t key = key_n(task->n);
    slice_t value;
    err_t err = store_get(core->store, TABLE_state, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!state_row_decode(&task->state, value) || !own_tail(task)) return ERR_CORRUPT;
    task->has_state = true;
    return ERR_OK;
}

static void clear(task_t *task, uint64_t n)
{
    memset(task, 0, offsetof(task_t, tail));
    task->n = n;
}

err_t task_load(core_t *core, uint64_t n, task_t *task)
{
    clear(task, n);
    rec_key_t key = key_n(n);
    slice_t value;
    TRY(store_get(core->store, TABLE_spec, key_slice(&key), &value));
    if (!spec_row_decode(&task->spec, value)) return ERR_CORRUPT;
    task->spec.body = slice(NULL, 0);
    TRY(load_state(core, task));
    task->run = run_by_id(core, task->spec.id);
    task->status = task->run                         ? S(RUNNING)
                   : task->has_state                 ? (status_t)task->state.status
                   : task->spec.flags & SPEC_HELD    ? S(HELD)
                   : task->spec.flags & SPEC_DELAYED ? S(DELAYED)
                   : task->spec.flags & SPEC_BLOCKED ? S(BLOCKED)
                                                     : S(WAITING);
    return ERR_OK;
}

void task_of_spec(task_t *task, uint64_t n, const spec_row_t *spec)
{
    clear(task, n);
    task->spec = *spec;
    task->status = S(WAITING);
}

err_t task_of_run(core_t *core, run_t *run, task_t *task)
{
    clear(task, run->n);
    memcpy(task->spec.id, run->id, 16);
    task->spec.flags = run->spec_flags;
    task->spec.priority = run->priority;
    task->spec.attempts_max = run->attempts_max;
    task->spec.lane = run->row.lane;
    task->spec.queue = run->queue;
    task->spec.type = run->type;
    task->spec.schedule = run->row.schedule;
    task->spec.instant_wall_us = run->instant_us;
    task->spec.parent = run->parent;
    task->spec.index = run->index;
    task->spec.firing = run->firing;
    memcpy(task->spec.gate, run->gate, sizeof run->gate);
    task->spec.range = run->range;
    task->spec.folded_first_us = run->folded_first_us;
    task->spec.folded_count = run->folded_count;
    task->run = run;
    task->status = S(RUNNING);
    return run->row.flags & RUN_HAS_STATE ? load_state(core, task) : ERR_OK;
}

err_t task_save(core_t *core, const task_t *task)
{
    core->scratch.len = 0;
    state_row_encode(&task->state, &core->scratch);
    rec_key_t key = key_n(task->n);
    return put_scratch(core, TABLE_state, &key, 0);
}

err_t put_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token, slice_t bytes)
{
    for (uint16_t part = 0; bytes.len > 0; part++) {
        size_t len = bytes.len < LIMIT_PART ? bytes.len : LIMIT_PART;
        rec_key_t key = key_part(n, kind, token, part);
        TRY(store_put(core->store, TABLE_part, key_slice(&key), slice(bytes.at, len), 0));
        bytes = slice(bytes.at + len, bytes.len - len);
    }
    return ERR_OK;
}

err_t del_parts(core_t *core, uint64_t n, uint8_t kind, uint64_t token)
{
    for (uint16_t part = 0;; part++) {
        rec_key_t key = key_part(n, kind, token, part);
        err_t err = store_del(core->store, TABLE_part, key_slice(&key));
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
    }
}

err_t task_body(core_t *core, const task_t *task, slice_t *body)
{
    uint64_t owner = task->spec.flags & SPEC_CHILD ? task->spec.parent : task->n;
    rec_key_t key = key_n(owner);
    slice_t value;
    spec_row_t spec;
    err_t err = store_get(core->store, TABLE_spec, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND && owner != task->n ? ERR_CORRUPT : err;
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    core->body.len = 0;
    if (!(spec.flags & SPEC_PARTS)) buf_add(&core->body, spec.body.at, spec.body.len);
    for (uint16_t part = 0; core->body.len < spec.body_len; part++) {
        rec_key_t part_key = key_part(owner, PART_SPEC, 0, part);
        TRY(store_get(core->store, TABLE_part, key_slice(&part_key), &value));
        if (value.len == 0) return ERR_CORRUPT;
        buf_add(&core->body, value.at, value.len);
    }
    *body = slice(core->body.at, core->body.len);
    return ERR_OK;
}

err_t task_unpack(core_t *core, const task_t *task, const Pawl__V1__Task **body)
{
    slice_t bytes;
    TRY(task_body(core, task, &bytes));
    wire_fault_t fault;
    uint8_t *copy = batch_alloc(core, bytes.len);
    memcpy(copy, bytes.at, bytes.len); /* the message points into it */
    return wire_task_decode(core->arena, copy, bytes.len, body, &fault) == ERR_OK ? ERR_OK
                                                                                  : ERR_CORRUPT;
}

/* ---- counters -----------------------------------------------------------------------------------
 */

static err_t count_move(core_t *core, const task_t *task, status_t from, status_t to)
{
    named_t *of[] = { name_at(core, NAME_QUEUE, task->spec.queue),
                      name_at(core, NAME_TYPE, task->spec.type) };
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        of[i]->counts[from]--;
        of[i]->counts[to]++;
        of[i]->counts[0] = 0;
        of[i]->counts_dirty = true;
    }
    core->counts[from]--;
    core->counts[to]++;
    core->counts[0] = 0;
    block_t *block;
    TRY(block_of(core, task->n, &block));
    if (from != 0) block->row.counts[from]--;
    block->row.counts[to]++; /* [0]: purged */
    return ERR_OK;
}

/* Block rows are read when first met, so this may fail like any read: kept for the end of the
 * batch. */
void task_move(core_t *core, task_t *task, status_t to)
{
    if (task->status == to) return;
    err_t err = count_move(core, task, task->status, to);
    if (err != ERR_OK && core->failed == ERR_OK) core->failed = err;
    task->status = to;
    task->state.status = (uint8_t)to;
}

uint32_t task_attempts_max(core_t *core, uint32_t type, const Pawl__V1__Task *body)
{
    if (body->retry && body->retry->max_attempts) return body->retry->max_attempts;
    /* commands: once, as cron does; programs built on the SDK: three tries */
    return strncmp(name_at(core, NAME_TYPE, type)->name, "pawl/", 5) == 0 ? 1 : 3;
}

/* ---- acceptance
 * ----------------------------------------------------------------------------------- */

err_t task_create(core_t *core, task_t *task, const Pawl__V1__Task *body, slice_t bytes,
                  const Pawl__V1__Target *target)
{
    spec_row_t *spec = &task->spec;
    lane_t *lane = NULL;
    TRY(lane_for(core, spec->queue, spec->type, target, body,
                 spec->flags & SPEC_LATE ? BAND_LATE : BAND_LIVE, &lane));
    spec->lane = lane->no;
    spec->attempts_max = task_attempts_max(core, spec->type, body);
    spec->created_wall_us = core->wall_us;
    spec->due_us = core->now_us + priority_offset_us(spec->priority);
    if (!(spec->flags & SPEC_CHILD)) {
        spec->body_len = (uint32_t)bytes.len;
        spec->body = bytes;
    }
    if (spec->body_len > LIMIT_SPEC_INLINE) {
        spec->flags |= SPEC_PARTS;
        spec->body = slice(NULL, 0);
        TRY(put_parts(core, task->n, PART_SPEC, 0, bytes));
    }
    core->scratch.len = 0;
    spec_row_encode(spec, &core->scratch);
    rec_key_t key = key_n(task->n);
    TRY(put_scratch(core, TABLE_spec, &key, 0));
    if (spec->flags & SPEC_EXPIRES)
        TRY(timer_set(core, spec->expire_clock, spec->expire_us, TIMER_EXPIRE, task->n));
    status_t to = S(WAITING);
    if (spec->flags & SPEC_HELD) {
        to = S(HELD);
    } else if (spec->flags & SPEC_DELAYED) {
        to = S(DELAYED);
        TRY(timer_set(core, spec->timer_clock, spec->timer_at, TIMER_DUE, task->n));
    } else if (spec->flags & SPEC_BLOCKED) {
        to = S(BLOCKED);
    } else if (!(spec->flags & (SPEC_PARKED | SPEC_PARENT))) {
        spec_row_t *kept = batch_alloc(core, sizeof *kept);
        *kept = *spec;
        kept->body = bytes;
        lane_add(core, lane, spec->due_us, task->n, kept);
    }
    task_move(core, task, to);
    block_t *block;
    TRY(block_of(core, task->n, &block));
    if (block->row.created_min_us == 0) block->row.created_min_us = core->wall_us;
    block->row.created_max_us = core->wall_us;
    core->submitted++;
    TRY(journal_task(core, EVENT_CREATED, task, 0));
    if (to != S(WAITING))
        TRY(journal_task(core,
                         to == S(HELD)      ? EVENT_HELD
                         : to == S(DELAYED) ? EVENT_DELAYED
                                            : EVENT_BLOCKED,
                         task, 0));
    return ERR_OK;
}

static void place_of(core_t *core, const Pawl__V1__Task *body, spec_row_t *spec)
{
    if (body->delay_us > 0) {
        spec->timer_clock = CLOCK_ELAPSED;
        spec->timer_at = core->now_us + body->delay_us;
    } else if (body->at_us > core->wall_us) {
        spec->timer_clock = CLOCK_WALL;
        spec->timer_at = body->at_us;
    }
    if (body->hold) spec->flags |= SPEC_HELD;
    if (spec->timer_clock) spec->flags |= SPEC_DELAYED; /* held first, where both are set */
    if (body->expire_us > 0) {
        spec->flags |= SPEC_EXPIRES;
        spec->expire_clock = CLOCK_ELAPSED;
        spec->expire_us = core->now_us + body->expire_us;
    }
}

static unsigned priority_of(const Pawl__V1__Task *body)
{
    return body->priority_set_case == PAWL__V1__TASK__PRIORITY_SET_PRIORITY ? body->priority : 5;
}

err_t task_find(core_t *core, const uint8_t id[16], uint64_t *n, uint8_t *kind)
{
    rec_key_t key = key_id(id);
    slice_t value;
    TRY(store_get(core->store, TABLE_ids, key_slice(&key), &value));
    id_row_t row;
    if (!id_row_decode(&row, value)) return ERR_CORRUPT;
    *n = row.n;
    *kind = row.kind;
    return ERR_OK;
}

err_t task_put_id(core_t *core, const uint8_t id[16], uint8_t kind, uint64_t n, unsigned flags)
{
    id_row_t row = { .kind = kind, .n = n };
    core->scratch.len = 0;
    id_row_encode(&row, &core->scratch);
    rec_key_t key = key_id(id);
    return put_scratch(core, TABLE_ids, &key, flags);
}

/* What one item of a Submit comes to. */
typedef struct verdict_of_item {
    Pawl__V1__Error *error; /* refused */
    uint8_t id[16];         /* answered with another task */
    bool other;
} item_t;

static err_t answer_other(core_t *core, uint64_t n, item_t *item)
{
    task_t task;
    err_t err = task_load(core, n, &task);
    if (err == ERR_NOT_FOUND) return ERR_OK; /* purged since: it was on record */
    TRY(err);
    item->other = true;
    memcpy(item->id, task.spec.id, 16);
    return ERR_OK;
}

/* The id is on record: a resend gets the first answer, another body is refused. */
static err_t resubmitted(core_t *core, uint32_t principal, slice_t bytes, const uint8_t id[16],
                         item_t *item)
{
    uint64_t n;
    uint8_t kind;
    TRY(task_find(core, id, &n, &kind));
    if (kind == ID_TOMBSTONE) return ERR_OK;
    if (kind == ID_ALIAS) return answer_other(core, n, item);
    task_t task;
    TRY(task_load(core, n, &task));
    slice_t first;
    TRY(task_body(core, &task, &first));
    if (task.spec.principal != principal || !slice_equal(first, bytes))
        item->error = make_error(core, ERR_ID_REUSED, "id",
                                 "this id is on record with another body: draw a new id");
    return ERR_OK;
}

/* The id of a task that another one answered for is remembered for a day, as those of purged tasks
 * are; it gets a number of its own for that. */
static err_t remember_alias(core_t *core, const uint8_t id[16], uint64_t holder)
{
    uint64_t n = core->meta.next_n++;
    TRY(task_put_id(core, id, ID_ALIAS, holder, 0));
    rec_key_t part = key_part(n, PART_TOMBSTONE, 0, 0);
    TRY(store_put(core->store, TABLE_part, key_slice(&part), slice(id, 16), 0));
    return timer_set(core, CLOCK_ELAPSED, core->now_us + 86400 * PAWL_SEC_US, TIMER_TOMBSTONE, n);
}

/* A live task with the same type and key answers for this one; its id stays an alias. *held. */
static err_t held_by_key(core_t *core, named_t *type, const uint8_t id[16],
                         const Pawl__V1__Task *body, item_t *item, bool *held)
{
    *held = false;
    if (body->key[0] == '\0') return ERR_OK;
    rec_key_t key = key_uniq(0, type->no, slice_text(body->key));
    slice_t value;
    err_t err = store_get(core->store, TABLE_uniq, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    uint64_t n;
    if (!uniq_row_decode(&n, value)) return ERR_CORRUPT;
    *held = true;
    TRY(remember_alias(core, id, n));
    return answer_other(core, n, item);
}

static err_t take_key(core_t *core, uint32_t type, const char *text, uint64_t n)
{
    rec_key_t key = key_uniq(0, type, slice_text(text));
    core->scratch.len = 0;
    uniq_row_encode(n, &core->scratch);
    return put_scratch(core, TABLE_uniq, &key, 0);
}

static Pawl__V1__Error *judge_id_time(core_t *core, const Pawl__V1__Task *body)
{
    int64_t drawn = ulid_time_us(body->id.data);
    if (drawn >= core->wall_us - LIMIT_ID_PAST_US && drawn <= core->wall_us + LIMIT_ID_AHEAD_US)
        return NULL;
    return make_error(core, ERR_BAD_ID, "id",
                      "the id was drawn at %lld s, the broker's clock says %lld s: at most 90 days "
                      "back and a day ahead are taken; check the clocks",
                      (long long)(drawn / PAWL_SEC_US), (long long)(core->wall_us / PAWL_SEC_US));
}

/* A fan-out counts as what it writes: after so many children a batch takes no further one. */
static Pawl__V1__Error *judge_members(core_t *core, const members_t *members)
{
    if (members->too_many)
        return make_error(core, ERR_TOO_MANY, "fanout",
                          "%zu executors are members, at most %d are allowed: narrow it by labels, "
                          "or by fanout.count",
                          members->too_many, LIMIT_CHILDREN);
    space_cost_t cost = { 0 };
    space_add(&cost, SPACE_CHILD, members->n, 0, core->space.page_bytes);
    if (!room_take(core, &cost))
        return make_error(core, ERR_STORE_FULL, "fanout",
                          "the store has no room for %zu children: wait for old tasks to be "
                          "removed, or enlarge broker.store.map",
                          members->n);
    if (core->children < LIMIT_CHILDREN) return NULL;
    Pawl__V1__Error *error = make_error(
        core, ERR_BUSY, "fanout",
        "other fan-outs of %u children in all came just before: send it again", core->children);
    error->retry_after_us = PAWL_SEC_US;
    return error;
}

/* The row of the id is written; the rest of a new task but what waits where. */
static err_t fill_task(core_t *core, task_t *task, const named_t *type, const uint8_t id[16],
                       uint32_t principal, const Pawl__V1__Task *body)
{
    named_t *queue;
    TRY(name_make(core, NAME_QUEUE, body->queue[0] ? body->queue : DEFAULT_QUEUE, &queue));
    clear(task, core->meta.next_n++);
    memcpy(task->spec.id, id, 16);
    task->spec.principal = principal;
    task->spec.type = type->no;
    task->spec.queue = queue->no;
    task->spec.priority = (uint8_t)priority_of(body);
    place_of(core, body, &task->spec);
    if (body->key[0] == '\0') return ERR_OK;
    task->spec.flags |= SPEC_KEYED;
    return take_key(core, type->no, body->key, task->n);
}

static Pawl__V1__Error *no_room(core_t *core)
{
    Pawl__V1__Error *error = make_error(core, ERR_STORE_FULL, "",
                                        "the store has no room for this task: send it again "
                                        "later, or enlarge broker.map");
    error->retry_after_us = 5 * PAWL_SEC_US;
    return error;
}

static err_t submit_one(core_t *core, uint32_t principal, const Pawl__V1__Task *body, slice_t bytes,
                        item_t *item)
{
    uint64_t known;
    uint8_t kind;
    named_t *type = name_find(core, NAME_TYPE, body->type);
    Pawl__V1__Error *refusal = judge_id_time(core, body);
    if (refusal == NULL && type == NULL)
        refusal = make_error(core, ERR_UNKNOWN_TYPE, "type",
                             "no executor has announced the type \"%s\": start one that takes "
                             "it, or use pawl/shell",
                             body->type);
    if (refusal || body->key[0]) { /* on record: a resend gets the first answer, whatever changed */
        err_t found = task_find(core, body->id.data, &known, &kind);
        if (found == ERR_OK) return resubmitted(core, principal, bytes, body->id.data, item);
        if (found != ERR_NOT_FOUND) return found;
    }
    if (refusal || type == NULL) {
        item->error = refusal;
        return ERR_OK;
    }
    members_t members = { 0 };
    if (body->fanout) {
        err_t found = task_find(core, body->id.data, &known, &kind);
        if (found == ERR_OK) return resubmitted(core, principal, bytes, body->id.data, item);
        if (found != ERR_NOT_FOUND) return found;
        TRY(enrol_members(core, body, body->id.data, &members));
        item->error = judge_members(core, &members);
        if (item->error) return ERR_OK;
    }
    if (body->key[0]) {
        bool held;
        TRY(held_by_key(core, type, body->id.data, body, item, &held));
        if (held) return ERR_OK;
    }
    err_t err = task_put_id(core, body->id.data, ID_TASK, core->meta.next_n, STORE_NEW);
    if (err == ERR_EXISTS) return resubmitted(core, principal, bytes, body->id.data, item);
    TRY(err);
    task_t task;
    TRY(fill_task(core, &task, type, body->id.data, principal, body));
    if (body->fanout) task.spec.flags |= SPEC_PARENT;
    TRY(task_create(core, &task, body, bytes, body->target));
    return body->fanout ? family_make(core, &task, body, bytes, &members) : ERR_OK;
}

err_t task_produce(core_t *core, const uint8_t id[16], uint32_t principal,
                   const Pawl__V1__Task *body, slice_t bytes, bool *created)
{
    uint64_t known;
    uint8_t kind;
    item_t item = { 0 };
    bool held = false;
    task_t task;
    *created = false;
    err_t err = task_find(core, id, &known, &kind);
    if (err != ERR_NOT_FOUND) return err; /* on record, whatever has become of it */
    named_t *type = name_find(core, NAME_TYPE, body->type);
    CHECK(type != NULL);
    TRY(held_by_key(core, type, id, body, &item, &held));
    if (held) return ERR_OK;
    TRY(task_put_id(core, id, ID_TASK, core->meta.next_n, STORE_NEW));
    *created = true;
    TRY(fill_task(core, &task, type, id, principal, body));
    return task_create(core, &task, body, bytes, body->target);
}

/* What one task may write, before anything is looked up. */
static bool has_room(core_t *core, const Pawl__V1__Task *body, size_t len)
{
    uint64_t page = core->space.page_bytes;
    space_cost_t cost = { 0 };
    room_add_task(&cost, body, len, page);
    if (name_find(core, NAME_QUEUE, body->queue[0] ? body->queue : DEFAULT_QUEUE) == NULL)
        space_add(&cost, SPACE_NAME, 1, 0, page);
    return room_take(core, &cost);
}

/* Of a large request what fits is taken; of one whose first task does not fit, nothing. */
static bool begins_to_fit(core_t *core, const Pawl__V1__Submit *submit, Pawl__V1__Reply *reply)
{
    uint64_t page = core->space.page_bytes;
    space_cost_t cost = { 0 };
    space_add(&cost, SPACE_NAME, 2, 0, page); /* the principal, the first task's queue */
    if (submit->n_tasks) room_add_task(&cost, NULL, submit->tasks[0].len, page);
    return space_or_refuse(core, &cost, "new tasks", reply);
}

err_t task_submit(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Submit *submit = command->request->submit;
    if (!begins_to_fit(core, submit, reply)) return ERR_OK;
    named_t *principal;
    TRY(name_make(core, NAME_PRINCIPAL, command->principal, &principal));
    Pawl__V1__Submitted *answer = batch_alloc(core, sizeof *answer);
    pawl__v1__submitted__init(answer);
    size_t room = 0;
    bool full = false; /* from the first task that does not fit on, none is tried */
    for (size_t i = 0; i < submit->n_tasks; i++) {
        slice_t bytes = slice(submit->tasks[i].data, submit->tasks[i].len);
        const Pawl__V1__Task *body = NULL;
        wire_fault_t own;
        const wire_fault_t *fault = &own;
        if (command->tasks) {
            body = command->tasks[i].task;
            fault = command->tasks[i].fault;
        } else if (wire_task_check(core->arena, bytes.at, bytes.len, WIRE_TASK_SUBMITTED, &body,
                                   &own) != ERR_OK) {
            body = NULL;
        }
        item_t item = { 0 };
        full = full || (body && i > 0 && !has_room(core, body, bytes.len));
        if (body == NULL)
            item.error = make_error(core, fault->err, fault->field, "%s", fault->text);
        else if (full)
            item.error = no_room(core);
        else
            TRY(submit_one(core, principal->no, body, bytes, &item));
        core->ops++;
        answer->accepted += item.error == NULL;
        if (item.error == NULL && !item.other) continue;
        if (answer->n_items == room) { /* grown by doubling inside the batch's arena */
            room = room ? room * 2 : 8;
            Pawl__V1__ItemResult **more = batch_alloc(core, room * sizeof *more);
            if (answer->n_items) memcpy(more, answer->items, answer->n_items * sizeof *more);
            answer->items = more;
        }
        Pawl__V1__ItemResult *row = batch_alloc(core, sizeof *row);
        pawl__v1__item_result__init(row);
        row->index = (uint32_t)i;
        row->error = item.error;
        if (item.other) {
            row->id.data = batch_alloc(core, 16);
            memcpy(row->id.data, item.id, 16);
            row->id.len = 16;
        }
        answer->items[answer->n_items++] = row;
    }
    reply->body_case = PAWL__V1__REPLY__BODY_SUBMITTED;
    reply->submitted = answer;
    return ERR_OK;
}

err_t task_fire(core_t *core, const firing_t *firing, const Pawl__V1__Task *template, slice_t bytes,
                uint32_t principal, uint64_t *n)
{
    named_t *type, *queue;
    TRY(name_make(core, NAME_TYPE, template->type, &type));
    TRY(name_make(core, NAME_QUEUE, template->queue[0] ? template->queue : DEFAULT_QUEUE, &queue));
    task_t task;
    clear(&task, core->meta.next_n);
    err_t err = task_put_id(core, firing->id, ID_TASK, task.n, STORE_NEW);
    if (err == ERR_EXISTS) return ERR_CORRUPT; /* derived ids are unique by construction */
    TRY(err);
    core->meta.next_n++;
    memcpy(task.spec.id, firing->id, 16);
    task.spec.principal = principal;
    task.spec.type = type->no;
    task.spec.queue = queue->no;
    task.spec.priority = (uint8_t)priority_of(template);
    task.spec.flags = SPEC_SCHEDULED;
    task.spec.flags |= template->fanout ? SPEC_PARENT : 0;
    task.spec.flags |= firing->late ? SPEC_LATE : 0;
    task.spec.flags |= firing->manual ? SPEC_MANUAL : 0;
    task.spec.flags |= firing->parked ? SPEC_PARKED : 0;
    task.spec.schedule = firing->schedule;
    task.spec.instant_wall_us = firing->instant_us;
    task.spec.range = firing->range;
    task.spec.folded_first_us = firing->folded_first_us;
    task.spec.folded_count = firing->folded_count;
    task.spec.firing =
        (uint8_t)((firing->range ? FIRING_RANGE : 0) | (firing->folded_count ? FIRING_FOLDED : 0) |
                  (firing->gate ? FIRING_GATE : 0));
    if (firing->gate) memcpy(task.spec.gate, firing->gate, 16);
    if (task.spec.firing) task.spec.flags |= SPEC_FIRING;
    if (firing->start_by_us) {
        task.spec.flags |= SPEC_EXPIRES;
        task.spec.expire_clock = CLOCK_WALL;
        task.spec.expire_us = firing->start_by_us;
    }
    *n = task.n;
    members_t members = { 0 };
    if (template->fanout) TRY(enrol_members(core, template, firing->id, &members));
    uint8_t *copy = batch_alloc(core, bytes.len);
    bytes = slice(memcpy(copy, bytes.at, bytes.len), bytes.len);
    TRY(task_create(core, &task, template, bytes, template->target));
    return template->fanout ? family_make(core, &task, template, bytes, &members) : ERR_OK;
}

/* ---- places
 * ----------------------------------------------------------------------------------------- */

err_t task_unplace(core_t *core, task_t *task)
{
    bool moved = task->has_state; /* the state row knows better than the spec */
    if (task->status == S(WAITING)) {
        int64_t due = moved ? task->state.due_us : task->spec.due_us;
        bool parked = moved ? task->state.park.len > 0 : (task->spec.flags & SPEC_PARKED) != 0;
        task->state.park = slice(NULL, 0);
        task->state.due_us = 0;
        if (parked) return schedule_task_unpark(core, task, due);
        if (task->spec.flags & SPEC_PARENT) return ERR_OK; /* on its way to run: in no lane */
        return lane_remove(core, lane_at(core, task_lane(task)), due, task->n);
    }
    if (task->status == S(DELAYED)) {
        uint8_t clock = moved ? task->state.timer_clock : task->spec.timer_clock;
        int64_t at = moved ? task->state.timer_at : task->spec.timer_at;
        task->state.timer_clock = 0;
        task->state.timer_at = 0;
        return timer_clear(core, clock, at, TIMER_DUE, task->n);
    }
    if (task->status == S(EXTERNAL)) {
        int64_t at = task->state.timer_at;
        task->state.timer_clock = 0;
        task->state.timer_at = 0;
        return timer_clear(core, CLOCK_ELAPSED, at, TIMER_EXTERNAL, task->n);
    }
    return ERR_OK;
}

err_t task_place_held(core_t *core, task_t *task)
{
    task_move(core, task, S(HELD));
    task->has_state = true;
    TRY(task_save(core, task));
    return journal_task(core, EVENT_HELD, task, 0);
}

err_t task_place_ready(core_t *core, task_t *task)
{
    bool park = false, held = false;
    task->state.timer_clock = 0;
    task->state.timer_at = 0;
    task->state.due_us = 0;
    task->state.park = slice(NULL, 0);
    if (task->spec.flags & SPEC_CHILD) TRY(family_is_held(core, task, &held));
    if (held) return task_place_held(core, task); /* until its fan-out goes on */
    task->state.due_us = core->now_us + priority_offset_us(task->spec.priority);
    if (task->spec.flags & SPEC_SCHEDULED) TRY(schedule_task_again(core, task, &park));
    bool parent = task->spec.flags & SPEC_PARENT;
    task_move(core, task, S(WAITING));
    if (!park && !parent)
        lane_add(core, lane_at(core, task_lane(task)), task->state.due_us, task->n, NULL);
    task->has_state = true;
    TRY(task_save(core, task));
    TRY(journal_task(core, EVENT_WAITING, task, 0));
    return parent && !park ? family_start(core, task) : ERR_OK;
}

err_t task_place_timer(core_t *core, task_t *task, uint8_t clock, int64_t at)
{
    task->state.timer_clock = clock;
    task->state.timer_at = at;
    task->state.due_us = 0;
    task_move(core, task, S(DELAYED));
    TRY(timer_set(core, clock, at, TIMER_DUE, task->n));
    task->has_state = true;
    TRY(task_save(core, task));
    return journal_task(core, EVENT_DELAYED, task, 0);
}

/* ---- the end
 * ------------------------------------------------------------------------------------------ */

static uint8_t event_of(status_t status)
{
    switch ((int)status) {
    case S(FINISHED):
        return EVENT_FINISHED;
    case S(FAILED):
        return EVENT_FAILED;
    case S(CANCELLED):
        return EVENT_CANCELLED;
    case S(SUPERSEDED):
        return EVENT_SUPERSEDED;
    default:
        return EVENT_EXPIRED;
    }
}

/* The key is free again, unless another task took it meanwhile (run again by hand is refused then).
 */
static err_t free_key(core_t *core, task_t *task)
{
    const Pawl__V1__Task *body;
    TRY(task_unpack(core, task, &body));
    rec_key_t key = key_uniq(0, task->spec.type, slice_text(body->key));
    return del_row(core, TABLE_uniq, &key);
}

err_t task_end(core_t *core, task_t *task, status_t status, uint8_t reason)
{
    bool had_lease = task->state.token != 0 || task->run != NULL;
    bool was_parked = /* the overlap policy has not let it through */
        task->status == S(HELD) ||
        (task->status == S(WAITING) &&
         (task->has_state ? task->state.park.len > 0 : (task->spec.flags & SPEC_PARKED) != 0));
    if (task->status != S(RUNNING)) {
        TRY(task_unplace(core, task));
        if ((task->spec.flags & SPEC_EXPIRES) && !had_lease) {
            rec_key_t key =
                key_timer(task->spec.expire_clock, task->spec.expire_us, TIMER_EXPIRE, task->n);
            err_t err = store_del(core->store, TABLE_timer, key_slice(&key));
            if (err != ERR_OK && err != ERR_NOT_FOUND)
                return err; /* absent: that timer is what ends it */
        }
    }
    if (task->spec.flags & SPEC_KEYED) TRY(free_key(core, task));
    if (task->state.polls) TRY(poll_forget(core, task));
    status_t from = task->status;
    task_move(core, task, status);
    task->state.reason = reason;
    if (task->state.end_wall_us == 0 || from != S(RUNNING)) task->state.end_wall_us = core->wall_us;
    task->state.due_us = 0;
    block_t *block;
    TRY(block_of(core, task->n, &block));
    if (block->row.end_min_us == 0 || core->wall_us < block->row.end_min_us)
        block->row.end_min_us = core->wall_us;
    if (core->wall_us > block->row.end_max_us) block->row.end_max_us = core->wall_us;
    TRY(task_save(core, task));
    core->ended++;
    TRY(journal_task(core, event_of(status), task, task->state.executor));
    if (task->spec.flags & SPEC_SCHEDULED)
        TRY(schedule_task_ended(core, task, status, had_lease, was_parked));
    if (task->spec.flags & SPEC_CHILD) TRY(family_child_ended(core, task, from));
    if (task->spec.flags & SPEC_PARENT) TRY(family_parent_ended(core, task));
    output_t *out = out_add(core, OUT_ENDED, 0);
    memcpy(out->id, task->spec.id, 16);
    return ERR_OK;
}

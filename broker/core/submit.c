/* SPDX-License-Identifier: Apache-2.0
 * submit.c - how a task comes to be: submitted, fired by its schedule, made of a row. */
#include "broker/core/inside.h"

#include "client/base/ulid.h"

err_t task_create(core_t *core, task_t *task, const Pawl__V1__Task *body, slice_t bytes,
                  const Pawl__V1__Target *target)
{
    spec_row_t *spec = &task->spec;
    lane_t *lane = NULL;
    TRY(lane_for(core, spec->queue, spec->type, target, body,
                 spec->flags & SPEC_LATE ? BAND_LATE : BAND_LIVE, &lane));
    spec->lane = lane->no;
    lane_count(core, lane, 1);
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

static Pawl__V1__Error *judge_members(core_t *core, const members_t *members)
{
    if (members->too_many)
        return make_error(core, ERR_TOO_MANY, "fanout",
                          "%zu executors are members, at most %d are allowed: narrow it by labels, "
                          "or by fanout.count",
                          members->too_many, LIMIT_CHILDREN);
    space_cost_t cost = { 0 };
    Pawl__V1__Error *error = family_crowd(core);
    if (error) return error;
    space_add(&cost, SPACE_CHILD, members->n, 0, core->space.page_bytes);
    if (room_take(core, &cost)) return NULL;
    error =
        make_error(core, ERR_STORE_FULL, "fanout",
                   "the store has no room for %zu children: wait for old tasks to be removed, or "
                   "enlarge broker.map",
                   members->n);
    error->retry_after_us = 5 * PAWL_SEC_US;
    return error;
}

/* The row of the id is written; the rest of a new task but what waits where. */
static err_t fill_task(core_t *core, task_t *task, const named_t *type, const uint8_t id[16],
                       uint32_t principal, const Pawl__V1__Task *body)
{
    named_t *queue;
    TRY(name_make(core, NAME_QUEUE, body->queue[0] ? body->queue : DEFAULT_QUEUE, &queue));
    task_clear(task, core->meta.next_n++);
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
    /* on record: a resend gets the first answer, whatever changed */
    if (refusal || body->key[0] || body->fanout) {
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
    task_clear(&task, core->meta.next_n);
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

/* SPDX-License-Identifier: Apache-2.0
 * produce.c - rows of a producer become tasks.
 *
 * One Produce is one transaction: all of its tasks, the watermark and the count, or nothing. An id
 * is a hash of (scope, what tells the row apart), keyed with the store's secret: the same row
 * again, by a resend, by the next attempt, or by the next firing of the schedule, finds itself on
 * record.
 *
 * The scope says how far "the same row" reaches:
 *   named      whatever producers of one principal give that name
 *   schedule   all firings of it: of a producer with a key or a watermark
 *   task       this producer alone, in all its attempts: every other one, and the name "task"
 * Its watermark is kept as long as the task or schedule is, a named one for good.
 *
 * Only who holds the lease of the producer may do this, and what it makes belongs to the principal
 * that submitted the producer. */
#include "broker/inside.h"

#include <stdio.h>

typedef struct production {
    task_t task; /* the producer */
    const Pawl__V1__SqlProducer *spec;
    uint8_t scope[16], time[6]; /* time: what ids of the scope begin with */
    watermark_row_t mark;
} production_t;

static void put_time(uint8_t to[6], int64_t us)
{
    uint64_t ms = us > 0 ? (uint64_t)us / 1000 : 0;
    be_put_u32(be_put_u16(to, (uint16_t)(ms >> 32)), (uint32_t)ms);
}

static err_t find_scope(core_t *core, production_t *self)
{
    const char *name = self->spec->scope;
    bool lasting = self->spec->key[0] || self->spec->watermark[0];
    if (name[0] && strcmp(name, "task") != 0) {
        uint8_t text[4 + LIMIT_LABEL];
        size_t len = strlen(name);
        CHECK(len <= LIMIT_LABEL);
        be_put_bytes(be_put_u32(text, self->task.spec.principal), name, len);
        self->mark.kind = SCOPE_NAMED;
        scope_id(core->fixed.secret, SCOPE_NAMED, slice(text, 4 + len), self->scope);
        put_time(self->time, core->fixed.created_wall_us);
    } else if (!name[0] && lasting && (self->task.spec.flags & SPEC_SCHEDULED)) {
        plan_t *plan;
        TRY(plan_get(core, self->task.spec.schedule, &plan));
        self->mark.kind = SCOPE_SCHEDULE;
        scope_id(core->fixed.secret, SCOPE_SCHEDULE, slice(plan->row.uid, 16), self->scope);
        put_time(self->time, plan->row.created_wall_us);
    } else {
        self->mark.kind = SCOPE_TASK;
        scope_id(core->fixed.secret, SCOPE_TASK, slice(self->task.spec.id, 16), self->scope);
        memcpy(self->time, self->task.spec.id, sizeof self->time);
    }
    return ERR_OK;
}

/* The row as it is on record; its value lasts until the batch ends. */
static err_t load_mark(core_t *core, production_t *self)
{
    rec_key_t key = key_watermark(self->scope);
    slice_t value;
    err_t err = store_get(core->store, TABLE_watermark, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!watermark_row_decode(&self->mark, value)) return ERR_CORRUPT;
    uint8_t *copy = batch_alloc(core, self->mark.value.len);
    self->mark.value =
        slice(memcpy(copy, self->mark.value.at, self->mark.value.len), self->mark.value.len);
    return ERR_OK;
}

static err_t save_mark(core_t *core, const production_t *self)
{
    rec_key_t key = key_watermark(self->scope);
    core->scratch.len = 0;
    watermark_row_encode(&self->mark, &core->scratch);
    return put_scratch(core, TABLE_watermark, &key, 0);
}

/* What the request is about. Refused: the reply says why. */
static err_t load(core_t *core, const command_t *command, production_t *self,
                  Pawl__V1__Reply *reply)
{
    const Pawl__V1__Produce *request = command->request->produce;
    run_t *run = run_by_id(core, request->id.data);
    if (run == NULL || run->row.token != request->token || run->executor->conn != command->conn) {
        refuse(core, reply, ERR_STALE, "token",
               "this is not the lease of the producer (any more): nothing was made");
        return ERR_OK;
    }
    const Pawl__V1__Task *body;
    TRY(task_load(core, run->n, &self->task));
    TRY(task_unpack(core, &self->task, &body));
    if (body->producer == NULL) {
        refuse(core, reply, ERR_CONTRADICTION, "id", "the task is of type %s: it makes no others",
               body->type);
        return ERR_OK;
    }
    self->spec = body->producer;
    TRY(find_scope(core, self));
    return load_mark(core, self);
}

/* Each task once it has been checked; NULL: one was refused, and nothing of the request is done. */
static const Pawl__V1__Task **check_items(core_t *core, const Pawl__V1__Produce *request,
                                          Pawl__V1__Reply *reply)
{
    const Pawl__V1__Task **bodies = batch_alloc(core, (request->n_items + 1) * sizeof *bodies);
    for (size_t i = 0; i < request->n_items; i++) {
        const Pawl__V1__ProduceItem *item = request->items[i];
        wire_fault_t fault;
        char field[WIRE_FIELD_MAX + 32];
        err_t err = wire_task_check(core->arena, item->task.data, item->task.len,
                                    WIRE_TASK_PRODUCED, &bodies[i], &fault);
        if (err == ERR_OK && name_find(core, NAME_TYPE, bodies[i]->type) != NULL) continue;
        snprintf(field, sizeof field, "items[%zu].task%s%s", i, err ? "." : ".type",
                 err ? fault.field : "");
        if (err)
            refuse(core, reply, err, field, "row %zu of the batch: %s", i + 1, fault.text);
        else
            refuse(core, reply, ERR_UNKNOWN_TYPE, field,
                   "no executor has announced the type \"%s\" of the template", bodies[i]->type);
        return NULL;
    }
    return bodies;
}

static err_t make_tasks(core_t *core, production_t *self, const Pawl__V1__Produce *request,
                        const Pawl__V1__Task *const *bodies, Pawl__V1__Produced *answer)
{
    for (size_t i = 0; i < request->n_items; i++) {
        const Pawl__V1__ProduceItem *item = request->items[i];
        bool content = item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT, created;
        slice_t identity =
            content ? slice(item->content.data, item->content.len) : slice_text(item->key);
        uint8_t id[16];
        produced_id(core->fixed.secret, self->scope, self->time, content, identity, id);
        TRY(task_produce(core, id, self->task.spec.principal, bodies[i],
                         slice(item->task.data, item->task.len), &created));
        answer->created += created;
        answer->repeated_rows += !created;
        core->ops++;
    }
    self->mark.created += answer->created;
    return ERR_OK;
}

/* What it may write, before anything is looked up: names and a row of the watermark, too. */
static space_cost_t produce_cost(const core_t *core, const Pawl__V1__Produce *request)
{
    uint64_t page = core->space.page_bytes;
    space_cost_t cost = space_cost(SPACE_NAME, LIMIT_WATERMARK, page);
    for (size_t i = 0; i < request->n_items; i++)
        space_add(&cost, SPACE_SUBMIT, 1, request->items[i]->task.len, page);
    return cost;
}

err_t produce(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Produce *request = command->request->produce;
    production_t self = { .spec = NULL };
    bool marks = request->watermark_set_case == PAWL__V1__PRODUCE__WATERMARK_SET_WATERMARK;
    space_cost_t cost = produce_cost(core, request);
    if ((request->n_items || marks) && !space_or_refuse(core, &cost, "new tasks", reply))
        return ERR_OK;
    TRY(load(core, command, &self, reply));
    const Pawl__V1__Task **bodies = reply->error ? NULL : check_items(core, request, reply);
    if (bodies == NULL) return ERR_OK;
    Pawl__V1__Produced *answer = batch_alloc(core, sizeof *answer);
    pawl__v1__produced__init(answer);
    TRY(make_tasks(core, &self, request, bodies, answer));
    if (marks) self.mark.value = slice(request->watermark.data, request->watermark.len);
    if (marks || answer->created) TRY(save_mark(core, &self));
    if (self.mark.value.len) {
        answer->watermark_set_case = PAWL__V1__PRODUCED__WATERMARK_SET_WATERMARK;
        answer->watermark.data = (uint8_t *)(uintptr_t)self.mark.value.at;
        answer->watermark.len = self.mark.value.len;
    }
    answer->created_all = self.mark.created;
    reply->body_case = PAWL__V1__REPLY__BODY_PRODUCED;
    reply->produced = answer;
    return ERR_OK;
}

static err_t forget(core_t *core, scope_kind_t kind, const uint8_t name[16])
{
    uint8_t scope[16];
    scope_id(core->fixed.secret, kind, slice(name, 16), scope);
    rec_key_t key = key_watermark(scope);
    err_t err = store_del(core->store, TABLE_watermark, key_slice(&key));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t produce_forget_task(core_t *core, const uint8_t id[16])
{
    return forget(core, SCOPE_TASK, id);
}

err_t produce_forget_schedule(core_t *core, const uint8_t uid[16])
{
    return forget(core, SCOPE_SCHEDULE, uid);
}

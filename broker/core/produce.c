/* SPDX-License-Identifier: Apache-2.0
 * produce.c - rows of a producer become tasks.
 *
 * One Produce is one transaction: all of its tasks, the watermark and the count, or nothing. An id
 * is a hash of (scope, what tells the row apart), keyed with the store's secret, behind the order
 * of keys that are numbers (produced_id): the same row again, by a resend, by the next attempt, or
 * by the next firing of the schedule, finds itself on record.
 *
 * The scope (watermark.c) says how far "the same row" reaches.
 *
 * Only who holds the lease of the producer may do this, and what it makes belongs to the principal
 * that submitted the producer. */
#include "broker/core/inside.h"

#include <stdio.h>

typedef struct production {
    task_t task; /* the producer */
    mark_t mark;
} production_t;

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
    if (run->row.flags & RUN_REPLACED) {
        refuse(core, reply, ERR_STALE, "token",
               "the watermark was changed by hand while this attempt ran: nothing was made, the "
               "next attempt goes on from there");
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
    TRY(mark_of_producer(core, &self->task, body->producer, &self->mark));
    return mark_load(core, &self->mark);
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
        produced_id(core->fixed.secret, self->mark.scope, self->mark.time, content,
                    core->fixed.numbers_order, identity, id);
        TRY(task_produce(core, id, self->task.spec.principal, bodies[i],
                         slice(item->task.data, item->task.len), &created));
        answer->created += created;
        answer->repeated_rows += !created;
        core->ops++;
    }
    self->mark.row.created += answer->created;
    return ERR_OK;
}

/* What it may write, before anything is looked up: names and a row of the watermark, too. */
static space_cost_t produce_cost(const core_t *core, const Pawl__V1__Produce *request)
{
    uint64_t page = core->space.page_bytes;
    space_cost_t cost = space_cost(SPACE_NAME, LIMIT_WATERMARK, page);
    for (size_t i = 0; i < request->n_items; i++)
        room_add_task(&cost, NULL, request->items[i]->task.len, page);
    return cost;
}

err_t produce(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Produce *request = command->request->produce;
    production_t self = { .mark = { .known = false } };
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
    slice_t *value = &self.mark.row.value;
    if (marks) *value = slice(request->watermark.data, request->watermark.len);
    if (marks || answer->created) TRY(mark_save(core, &self.mark, self.task.n));
    if (value->len) {
        answer->watermark_set_case = PAWL__V1__PRODUCED__WATERMARK_SET_WATERMARK;
        answer->watermark.data = (uint8_t *)(uintptr_t)value->at;
        answer->watermark.len = value->len;
    }
    answer->created_all = self.mark.row.created;
    reply->body_case = PAWL__V1__REPLY__BODY_PRODUCED;
    reply->produced = answer;
    return ERR_OK;
}

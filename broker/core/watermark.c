/* SPDX-License-Identifier: Apache-2.0
 * watermark.c - how far producers have come, a row for each scope; and changing it by hand.
 *
 * The scope says which producers share a watermark, and how far "the same row" reaches:
 *   named      whatever producers of one principal give that name
 *   schedule   all firings of it: of a producer with a key or a watermark
 *   task       this producer alone, in all its attempts: every other one, and the name "task"
 * The row is kept as long as the task is; as the schedule is, and then until the last of its tasks
 * that are open has ended; a named one until it is removed by hand.
 *
 * A producer that runs has read the watermark and would write its own over one that is set by hand.
 * So a change is refused while one runs, or, with force, its lease is marked (RUN_REPLACED): that
 * attempt makes nothing more, and the next one reads what was set. */
#include "broker/core/inside.h"

#include "broker/core/watermark.h"
#include "client/base/ulid.h"

static void put_time(uint8_t to[6], int64_t us)
{
    uint64_t ms = us > 0 ? (uint64_t)us / 1000 : 0;
    be_put_u32(be_put_u16(to, (uint16_t)(ms >> 32)), (uint32_t)ms);
}

static void mark_of_name(core_t *core, uint32_t principal, const char *name, mark_t *out)
{
    *out = (mark_t){
        .row = { .kind = SCOPE_NAMED, .no = principal, .name = slice_text(name) },
    };
    scope_of_name(core->fixed.secret, principal, name, out->scope);
    put_time(out->time, core->fixed.created_wall_us);
}

static void mark_of_plan(core_t *core, const plan_t *plan, mark_t *out)
{
    *out = (mark_t){ .row = { .kind = SCOPE_SCHEDULE, .no = plan->no } };
    scope_id(core->fixed.secret, SCOPE_SCHEDULE, slice(plan->row.uid, 16), out->scope);
    put_time(out->time, plan->row.created_wall_us);
}

err_t mark_of_producer(core_t *core, const task_t *task, const Pawl__V1__SqlProducer *spec,
                       mark_t *out)
{
    plan_t *plan;
    switch (watermark_kind(spec, task->spec.flags & SPEC_SCHEDULED)) {
    case SCOPE_NAMED:
        mark_of_name(core, task->spec.principal, spec->scope, out);
        break;
    case SCOPE_SCHEDULE:
        TRY(plan_get(core, task->spec.schedule, &plan));
        mark_of_plan(core, plan, out);
        break;
    case SCOPE_TASK:
        *out = (mark_t){ .row = { .kind = SCOPE_TASK } };
        out->row.name = slice(memcpy(batch_alloc(core, 16), task->spec.id, 16), 16);
        scope_id(core->fixed.secret, SCOPE_TASK, out->row.name, out->scope);
        memcpy(out->time, task->spec.id, sizeof out->time);
        break;
    }
    return ERR_OK;
}

static slice_t keep(core_t *core, slice_t bytes)
{
    if (bytes.len == 0) return slice(NULL, 0);
    return slice(memcpy(batch_alloc(core, bytes.len), bytes.at, bytes.len), bytes.len);
}

err_t mark_load(core_t *core, mark_t *self)
{
    rec_key_t key = key_watermark(self->scope);
    slice_t value;
    watermark_row_t row;
    err_t err = store_get(core->store, TABLE_watermark, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!watermark_row_decode(&row, value)) return ERR_CORRUPT;
    row.value = keep(core, row.value);
    /* a row of version 1 does not know whose it is; who asks for it by a name does */
    row.name = row.revision ? keep(core, row.name) : self->row.name;
    if (row.revision == 0) row.no = self->row.no;
    self->row = row;
    self->known = true;
    return ERR_OK;
}

err_t mark_save(core_t *core, mark_t *self, uint64_t writer)
{
    rec_key_t key = key_watermark(self->scope);
    self->row.revision = self->known ? watermark_revision(&self->row) + 1 : 1;
    self->row.writer = writer;
    self->row.changed_wall_us = core->wall_us;
    core->scratch.len = 0;
    watermark_row_encode(&self->row, &core->scratch);
    return put_scratch(core, TABLE_watermark, &key, 0);
}

/* ---- which one is meant ---------------------------------------------------------------------- */

static err_t find_task(core_t *core, const uint8_t id[16], mark_t *out, Pawl__V1__Reply *reply)
{
    uint64_t n;
    uint8_t kind;
    task_t *task = batch_alloc(core, sizeof *task);
    const Pawl__V1__Task *body;
    err_t err = task_find(core, id, &n, &kind);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && kind != ID_TASK)) {
        refuse(core, reply, ERR_NOT_FOUND, "watermark_change.of.task",
               "no such task is on record, and with it its watermark is gone");
        return ERR_OK;
    }
    TRY(err);
    TRY(task_load(core, n, task));
    TRY(task_unpack(core, task, &body));
    if (body->producer) return mark_of_producer(core, task, body->producer, out);
    refuse(core, reply, ERR_CONTRADICTION, "watermark_change.of.task",
           "the task is of type %s: only producers have a watermark", body->type);
    return ERR_OK;
}

static err_t find_name(core_t *core, const command_t *command, const Pawl__V1__WatermarkOf *of,
                       mark_t *out, Pawl__V1__Reply *reply)
{
    const char *text = of->principal[0] ? of->principal : command->principal;
    named_t *principal = name_find(core, NAME_PRINCIPAL, text);
    if (principal == NULL && of->principal[0]) {
        refuse(core, reply, ERR_NOT_FOUND, "watermark_change.of.principal",
               "no principal \"%s\" has been here", text);
        return ERR_OK;
    }
    if (principal == NULL) TRY(name_make(core, NAME_PRINCIPAL, text, &principal));
    mark_of_name(core, principal->no, of->name, out);
    return ERR_OK;
}

static err_t find(core_t *core, const command_t *command, mark_t *out, Pawl__V1__Reply *reply)
{
    const Pawl__V1__WatermarkOf *of = command->request->watermark_change->of;
    plan_t *plan;
    err_t err;
    switch (of->of_case) {
    case PAWL__V1__WATERMARK_OF__OF_SCHEDULE:
        err = plan_by_name(core, of->schedule, &plan);
        if (err == ERR_NOT_FOUND)
            refuse(core, reply, ERR_NOT_FOUND, "watermark_change.of.schedule",
                   "there is no schedule \"%s\"", of->schedule);
        else if (err == ERR_OK)
            mark_of_plan(core, plan, out);
        if (err != ERR_NOT_FOUND) TRY(err);
        break;
    case PAWL__V1__WATERMARK_OF__OF_TASK:
        TRY(find_task(core, of->task.data, out, reply));
        break;
    case PAWL__V1__WATERMARK_OF__OF_NAME:
        TRY(find_name(core, command, of, out, reply));
        break;
    default: /* SCOPE: the wire's check leaves nothing else */
        memcpy(out->scope, of->scope.data, sizeof out->scope);
    }
    if (reply->error) return ERR_OK;
    TRY(mark_load(core, out));
    if (out->known || out->row.kind) return ERR_OK;
    refuse(core, reply, ERR_NOT_FOUND, "watermark_change.of.scope",
           "no watermark is kept under this id: see `pawl watermark list`");
    return ERR_OK;
}

/* ---- who runs -------------------------------------------------------------------------------- */

/* The next producer of the scope that runs and may still write; NULL in *out: there is none. Begin
 * with *at = 0, *out = NULL. */
static err_t next_runner(core_t *core, const mark_t *mark, size_t *at, run_t **out)
{
    const named_t *type = name_find(core, NAME_TYPE, TYPE_PRODUCER);
    run_t *run = *out ? (*out)->same_hash : NULL;
    *out = NULL;
    if (type == NULL) return ERR_OK;
    for (;; run = run->same_hash) {
        task_t *task;
        const Pawl__V1__Task *body;
        mark_t other;
        if (run == NULL && (run = map_next(&core->runs, at)) == NULL) return ERR_OK;
        if (run->type != type->no || run->row.flags & RUN_REPLACED) continue;
        core->ops++;
        task = batch_alloc(core, sizeof *task);
        TRY(task_load(core, run->n, task));
        TRY(task_unpack(core, task, &body));
        if (body->producer == NULL) continue;
        TRY(mark_of_producer(core, task, body->producer, &other));
        if (memcmp(other.scope, mark->scope, sizeof other.scope) != 0) continue;
        *out = run;
        return ERR_OK;
    }
}

static err_t refuse_running(core_t *core, const mark_t *mark, Pawl__V1__Reply *reply)
{
    char id[ULID_TEXT + 1];
    size_t at = 0;
    run_t *run = NULL;
    TRY(next_runner(core, mark, &at, &run));
    if (run == NULL) return ERR_OK;
    ulid_print(run->id, id);
    refuse(core, reply, ERR_IN_USE, "watermark_change.of",
           "task %s runs and keeps this watermark: wait for its end, cancel it, or use --force, "
           "which ends what this attempt makes",
           id);
    return ERR_OK;
}

static err_t replace_runners(core_t *core, const mark_t *mark)
{
    size_t at = 0;
    run_t *run = NULL;
    for (;;) {
        TRY(next_runner(core, mark, &at, &run));
        if (run == NULL) return ERR_OK;
        run->row.flags |= RUN_REPLACED;
        TRY(run_save(core, run));
    }
}

/* ---- by hand --------------------------------------------------------------------------------- */

/* The row is not as the request expects it. */
static bool refuse_revision(core_t *core, const Pawl__V1__WatermarkChange *change,
                            const mark_t *mark, Pawl__V1__Reply *reply)
{
    uint64_t revision = mark->known ? watermark_revision(&mark->row) : 0;
    bool removes = change->value_set_case != PAWL__V1__WATERMARK_CHANGE__VALUE_SET_VALUE;
    bool moved = change->revision_set_case && change->if_revision != revision;
    if (moved)
        refuse(core, reply, change->if_revision ? ERR_CONFLICT : ERR_EXISTS,
               "watermark_change.if_revision",
               change->if_revision ? "the watermark is at revision %llu by now: look at it again"
                                   : "there is a watermark already, at revision %llu",
               (unsigned long long)revision);
    else if (removes && !mark->known)
        refuse(core, reply, ERR_NOT_FOUND, "watermark_change.of", "there is no watermark of it");
    return reply->error != NULL;
}

static err_t tell(core_t *core, const mark_t *mark, uint8_t event)
{
    uint64_t subject = mark->row.no;
    uint8_t kind;
    if (mark->row.kind == SCOPE_TASK && mark->row.name.len == 16) {
        err_t err = task_find(core, mark->row.name.at, &subject, &kind);
        if (err != ERR_NOT_FOUND) TRY(err);
    }
    return journal_add(core, event, subject, mark->row.kind, be_u64(mark->scope));
}

err_t watermark_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__WatermarkChange *change = command->request->watermark_change;
    bool sets = change->value_set_case == PAWL__V1__WATERMARK_CHANGE__VALUE_SET_VALUE;
    space_cost_t cost = space_cost(SPACE_NAME, LIMIT_WATERMARK, core->space.page_bytes);
    mark_t mark = { .known = false };
    core->ops++;
    if (sets && !space_or_refuse(core, &cost, "a watermark", reply)) return ERR_OK;
    TRY(find(core, command, &mark, reply));
    if (!reply->error && !change->force) TRY(refuse_running(core, &mark, reply));
    if (reply->error || refuse_revision(core, change, &mark, reply)) return ERR_OK;
    if (change->force) TRY(replace_runners(core, &mark));
    if (sets) {
        mark.row.value = slice(change->value.data, change->value.len);
        TRY(mark_save(core, &mark, 0));
    } else {
        rec_key_t key = key_watermark(mark.scope);
        TRY(del_row(core, TABLE_watermark, &key));
    }
    TRY(tell(core, &mark, sets ? EVENT_WATERMARK_SET : EVENT_WATERMARK_REMOVED));
    reply_done(core, reply);
    return ERR_OK;
}

/* ---- the end of a scope ---------------------------------------------------------------------- */

static err_t forget(core_t *core, scope_kind_t kind, const uint8_t name[16])
{
    uint8_t scope[16];
    scope_id(core->fixed.secret, kind, slice(name, 16), scope);
    rec_key_t key = key_watermark(scope);
    err_t err = store_del(core->store, TABLE_watermark, key_slice(&key));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t watermark_forget_task(core_t *core, const uint8_t id[16])
{
    return forget(core, SCOPE_TASK, id);
}

err_t watermark_forget_schedule(core_t *core, const plan_t *plan)
{
    bool open = plan->cur.running + plan->cur.waiting > 0;
    if (!(plan->row.flags & SCHEDULE_GONE) || open) return ERR_OK;
    return forget(core, SCOPE_SCHEDULE, plan->row.uid);
}

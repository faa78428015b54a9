/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_watermark.c - WatermarkList: a page of watermarks in the order of their
 * scopes, or the one that is meant.
 *
 * A scope is a hash, so which one a schedule, a task or a name has is computed as core does
 * (broker/core/watermark.h); what a row belongs to stands in the row. */
#include "broker/readers/query_watermark.h"

#include "broker/readers/query_schedule.h"
#include "broker/core/watermark.h"

static const char *const kind_words[] = {
    [SCOPE_TASK] = "task", [SCOPE_SCHEDULE] = "schedule", [SCOPE_NAMED] = "scope"
};

static bool run_exists(answer_t *self, uint64_t n, err_t *err)
{
    rec_key_t key = key_n(n);
    slice_t value;
    *err = store_view_get(self->view, TABLE_run, key_slice(&key), &value);
    bool found = *err == ERR_OK;
    if (*err == ERR_NOT_FOUND) *err = ERR_OK;
    return found;
}

/* Who wrote it last, if that task is still on record. */
static err_t add_writer(answer_t *self, uint64_t n, Pawl__V1__WatermarkInfo *info)
{
    spec_row_t spec;
    if (n == 0) return ERR_OK;
    err_t err = spec_row_get(self->view, n, &spec);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_OK : err;
    info->writer = answer_bytes(self, slice(spec.id, sizeof spec.id));
    info->running = run_exists(self, n, &err);
    return err;
}

static err_t add_info(answer_t *self, slice_t scope, slice_t value, Pawl__V1__WatermarkItems *items)
{
    watermark_row_t row;
    if (scope.len != 16 || !watermark_row_decode(&row, value)) return ERR_CORRUPT;
    Pawl__V1__WatermarkInfo *info = answer_take(self, sizeof *info);
    pawl__v1__watermark_info__init(info);
    info->scope = answer_bytes(self, scope);
    info->kind = answer_text(self, slice_text(kind_words[row.kind]));
    info->value = answer_bytes(self, row.value);
    info->created = row.created;
    info->revision = watermark_revision(&row);
    info->changed_us = row.changed_wall_us;
    if (row.kind == SCOPE_TASK) info->task = answer_bytes(self, row.name);
    if (row.kind == SCOPE_NAMED) info->name = answer_text(self, row.name);
    if (row.kind == SCOPE_NAMED && row.no)
        ANSWER_TRY(answer_name(self, NAME_PRINCIPAL, row.no, &info->principal));
    if (row.kind == SCOPE_SCHEDULE && row.no)
        ANSWER_TRY(answer_name(self, NAME_SCHEDULE, row.no, &info->name));
    ANSWER_TRY(add_writer(self, row.writer, info));
    items->items[items->n_items++] = info;
    return ERR_OK;
}

/* ---- the one that is meant ------------------------------------------------------------------- */

static err_t scope_of_schedule(answer_t *self, uint32_t no, const uint8_t secret[32],
                               uint8_t scope[16])
{
    schedule_rows_t rows;
    ANSWER_TRY(schedule_rows_get(self, no, &rows));
    scope_id(secret, SCOPE_SCHEDULE, slice(rows.row.uid, 16), scope);
    return ERR_OK;
}

/* ERR_NOT_FOUND: no such task, or it is no producer. */
static err_t scope_of_task(answer_t *self, const uint8_t id[16], const uint8_t secret[32],
                           uint8_t scope[16])
{
    uint64_t n;
    uint8_t kind;
    task_rows_t rows;
    const Pawl__V1__Task *task;
    ANSWER_TRY(task_number(self->view, id, &n, &kind));
    if (kind != ID_TASK) return ERR_NOT_FOUND;
    ANSWER_TRY(task_rows_get(self->view, n, &rows));
    ANSWER_TRY(task_rows_unpack(self, &rows, &task));
    if (task->producer == NULL) return ERR_NOT_FOUND;
    switch (watermark_kind(task->producer, rows.spec.flags & SPEC_SCHEDULED)) {
    case SCOPE_NAMED:
        scope_of_name(secret, rows.spec.principal, task->producer->scope, scope);
        return ERR_OK;
    case SCOPE_SCHEDULE:
        return scope_of_schedule(self, rows.spec.schedule, secret, scope);
    case SCOPE_TASK:
        scope_id(secret, SCOPE_TASK, slice(rows.spec.id, 16), scope);
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

/* ERR_NOT_FOUND: there is no such schedule, task or principal. */
static err_t scope_asked(answer_t *self, const Pawl__V1__WatermarkOf *of, uint8_t scope[16])
{
    meta_static_t fixed;
    slice_t value;
    uint32_t no;
    rec_key_t key = key_u8(META_STATIC);
    ANSWER_TRY(store_view_get(self->view, TABLE_meta, key_slice(&key), &value));
    if (!meta_static_decode(&fixed, value)) return ERR_CORRUPT;
    switch (of->of_case) {
    case PAWL__V1__WATERMARK_OF__OF_SCHEDULE:
        ANSWER_TRY(answer_number(self, NAME_SCHEDULE, of->schedule, &no));
        return scope_of_schedule(self, no, fixed.secret, scope);
    case PAWL__V1__WATERMARK_OF__OF_TASK:
        return scope_of_task(self, of->task.data, fixed.secret, scope);
    case PAWL__V1__WATERMARK_OF__OF_NAME:
        ANSWER_TRY(answer_number(self, NAME_PRINCIPAL,
                                 of->principal[0] ? of->principal : self->principal, &no));
        scope_of_name(fixed.secret, no, of->name, scope);
        return ERR_OK;
    default: /* SCOPE: the wire's check leaves nothing else */
        memcpy(scope, of->scope.data, 16);
        return ERR_OK;
    }
}

static err_t add_one(answer_t *self, const Pawl__V1__WatermarkOf *of,
                     Pawl__V1__WatermarkItems *items, Pawl__V1__Reply *reply)
{
    uint8_t scope[16];
    slice_t value;
    err_t err = scope_asked(self, of, scope);
    if (err == ERR_OK) {
        rec_key_t key = key_watermark(scope);
        err = store_view_get(self->view, TABLE_watermark, key_slice(&key), &value);
    }
    if (err == ERR_NOT_FOUND) {
        answer_refuse(self, reply, ERR_NOT_FOUND, "watermark_list.of",
                      "no watermark is kept for it: see `pawl watermark list`");
        return ERR_OK;
    }
    if (err != ERR_OK) return err;
    return add_info(self, slice(scope, sizeof scope), value, items);
}

/* ---- a page ---------------------------------------------------------------------------------- */

static err_t add_page(answer_t *self, const Pawl__V1__WatermarkList *ask, uint32_t limit,
                      Pawl__V1__WatermarkItems *items)
{
    int64_t begun = answer_now(self);
    rec_key_t from = { .len = 0 };
    if (ask->after.len) {
        from = key_watermark(ask->after.data);
        from.at[from.len++] = 0; /* strictly behind it */
    }
    store_scan_t *scan = NULL;
    err_t err = store_scan_open(self->view, TABLE_watermark, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK) break;
        if (items->n_items == limit || (items->n_items && answer_page_over(self, begun))) {
            items->next = items->items[items->n_items - 1]->scope;
            break;
        }
        err = add_info(self, key, value, items);
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_watermark_list(answer_t *self, const Pawl__V1__WatermarkList *ask,
                           Pawl__V1__Reply *reply)
{
    uint32_t limit = ask->limit && ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    Pawl__V1__WatermarkItems *items = answer_take(self, sizeof *items);
    pawl__v1__watermark_items__init(items);
    items->items = answer_take(self, limit * sizeof *items->items);
    reply->watermarks = items;
    reply->body_case = PAWL__V1__REPLY__BODY_WATERMARKS;
    if (ask->of) return add_one(self, ask->of, items, reply);
    return add_page(self, ask, limit, items);
}

err_t watermark_name(answer_t *self, uint64_t begins, char **name)
{
    rec_key_t from = key_n(begins);
    store_scan_t *scan = NULL;
    slice_t key = { 0 }, value = { 0 };
    watermark_row_t row;
    err_t err = store_scan_open(self->view, TABLE_watermark, key_slice(&from), false, &scan);
    if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
    bool found = err == ERR_OK && key.len == 16 && be_u64(key.at) == begins;
    if (found && watermark_row_decode(&row, value)) *name = answer_text(self, row.name);
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

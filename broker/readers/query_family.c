/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_family.c - what answers tell of fan-outs: a parent's counters, a child's
 * place, the children of a parent in the order of their index, and why either is where it is. */
#include "broker/readers/query_task.h"

err_t child_key_get(answer_t *self, const spec_row_t *spec, uint64_t n, char **name)
{
    rec_key_t key = key_kid(spec->parent, 0, n);
    slice_t value, text;
    err_t err = store_view_get(self->view, TABLE_kids, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    if (!kid_row_decode(&text, value)) return ERR_CORRUPT;
    *name = answer_text(self, text);
    return ERR_OK;
}

static err_t tell_parent(answer_t *self, const meta_dynamic_t *meta, uint64_t n,
                         Pawl__V1__TaskInfo *info)
{
    fam_row_t row;
    ANSWER_TRY(fam_row_get(self->view, n, &row));
    Pawl__V1__FanoutInfo *fan = answer_take(self, sizeof *fan);
    pawl__v1__fanout_info__init(fan);
    fan->total = row.total;
    fan->open = row.open;
    fan->blocked = row.blocked;
    fan->ok = row.ok;
    fan->failed = row.failed;
    fan->expired = row.expired;
    fan->skipped = row.skipped;
    fan->cancelled = row.cancelled;
    fan->needed = fam_row_needed(&row);
    fan->stopped = row.flags & FAM_STOPPED;
    fan->held = row.flags & FAM_HELD;
    if (row.pause_until_us && row.blocked)
        fan->pause_until_us = answer_calendar(meta, CLOCK_ELAPSED, row.pause_until_us);
    info->fanout = fan;
    info->cancelling = row.flags & FAM_CANCELLING && !(row.flags & FAM_ENDED);
    return ERR_OK;
}

static err_t tell_child(answer_t *self, const spec_row_t *spec, uint64_t n,
                        Pawl__V1__TaskInfo *info)
{
    fam_row_t row;
    spec_row_t parent;
    ANSWER_TRY(fam_row_get(self->view, spec->parent, &row));
    err_t err = spec_row_get(self->view, spec->parent, &parent);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    info->parent = answer_bytes(self, slice(parent.id, sizeof parent.id));
    info->shard_index = spec->index;
    info->shard_total = row.total;
    info->key = (char *)(uintptr_t) ""; /* the body's is the parent's, no child holds it */
    return child_key_get(self, spec, n, &info->child_key);
}

err_t task_info_family(answer_t *self, const task_rows_t *rows, const meta_dynamic_t *meta,
                       Pawl__V1__TaskInfo *info)
{
    if (rows->spec.flags & SPEC_PARENT) return tell_parent(self, meta, rows->n, info);
    if (rows->spec.flags & SPEC_CHILD) return tell_child(self, &rows->spec, rows->n, info);
    return ERR_OK;
}

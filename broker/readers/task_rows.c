/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/task_rows.c - what the store holds of a task: its rows put together, its status,
 * the number that its id stands for, whether it is on its way out. */
#include "broker/readers/query_task.h"

static err_t get_row(store_view_t *view, table_t table, uint64_t n, slice_t *value, bool *there)
{
    rec_key_t key = key_n(n);
    err_t err = store_view_get(view, table, key_slice(&key), value);
    *there = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t spec_row_get(store_view_t *view, uint64_t n, spec_row_t *spec)
{
    slice_t value;
    bool there;
    ANSWER_TRY(get_row(view, TABLE_spec, n, &value, &there));
    if (!there) return ERR_NOT_FOUND;
    return spec_row_decode(spec, value) ? ERR_OK : ERR_CORRUPT;
}

err_t task_rows_get(store_view_t *view, uint64_t n, task_rows_t *rows)
{
    *rows = (task_rows_t){ .n = n };
    slice_t value;
    ANSWER_TRY(spec_row_get(view, n, &rows->spec));
    ANSWER_TRY(get_row(view, TABLE_run, n, &value, &rows->has_run));
    if (rows->has_run && !run_row_decode(&rows->run, value)) return ERR_CORRUPT;
    if (!rows->has_run || rows->run.flags & RUN_HAS_STATE) {
        ANSWER_TRY(get_row(view, TABLE_state, n, &value, &rows->has_state));
        if (rows->has_state && !state_row_decode(&rows->state, value)) return ERR_CORRUPT;
    }
    const spec_row_t *spec = &rows->spec;
    rows->lane = rows->has_state && rows->state.lane ? rows->state.lane : spec->lane;
    if (rows->has_run) {
        rows->status = TASK_S(RUNNING);
    } else if (rows->has_state) {
        rows->status = (Pawl__V1__TaskStatus)rows->state.status;
        rows->parked = rows->status == TASK_S(WAITING) && rows->state.park.len == 16;
        if (rows->parked) memcpy(rows->gate, rows->state.park.at, 16);
        rows->timer_clock = rows->state.timer_clock;
        rows->timer_at = rows->state.timer_at;
    } else {
        rows->status = spec->flags & SPEC_HELD      ? TASK_S(HELD)
                       : spec->flags & SPEC_DELAYED ? TASK_S(DELAYED)
                       : spec->flags & SPEC_BLOCKED ? TASK_S(BLOCKED)
                                                    : TASK_S(WAITING);
        rows->parked = rows->status == TASK_S(WAITING) && spec->flags & SPEC_PARKED;
        if (rows->parked) gate_of_task(spec, rows->gate);
        rows->timer_clock = spec->timer_clock;
        rows->timer_at = spec->timer_at;
    }
    return ERR_OK;
}

err_t task_number(store_view_t *view, const uint8_t id[16], uint64_t *n, uint8_t *kind)
{
    rec_key_t key = key_id(id);
    slice_t value;
    id_row_t row;
    ANSWER_TRY(store_view_get(view, TABLE_ids, key_slice(&key), &value));
    if (!id_row_decode(&row, value)) return ERR_CORRUPT;
    *n = row.n;
    *kind = row.kind;
    return ERR_OK;
}

err_t fam_row_get(store_view_t *view, uint64_t parent, fam_row_t *row)
{
    rec_key_t key = key_fam(FAM_ROW, parent);
    slice_t value;
    err_t err = store_view_get(view, TABLE_fam, key_slice(&key), &value);
    if (err != ERR_OK) return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    return fam_row_decode(row, value) ? ERR_OK : ERR_CORRUPT;
}

err_t task_tree_goes(store_view_t *view, const task_rows_t *rows, bool *goes)
{
    const spec_row_t *spec = &rows->spec;
    fam_row_t row;
    *goes = false;
    if (!(spec->flags & (SPEC_PARENT | SPEC_CHILD))) return ERR_OK;
    ANSWER_TRY(fam_row_get(view, spec->flags & SPEC_CHILD ? spec->parent : rows->n, &row));
    *goes = row.flags & FAM_PURGING;
    return ERR_OK;
}

err_t task_rows_shown(store_view_t *view, uint64_t n, task_rows_t *rows)
{
    bool goes;
    ANSWER_TRY(task_rows_get(view, n, rows));
    ANSWER_TRY(task_tree_goes(view, rows, &goes));
    return goes ? ERR_NOT_FOUND : ERR_OK;
}

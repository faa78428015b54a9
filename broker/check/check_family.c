/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check_family.c - fan-outs: every parent has its row, every row its children, and the
 * counters are the children's statuses. */
#include "broker/check/check_inside.h"

static void count_child(const task_rows_t *rows, fam_row_t *sum)
{
    bool ended = task_status_ended(rows->status);
    sum->total++;
    sum->open += !ended;
    sum->blocked += rows->status == TASK_S(BLOCKED);
    if (ended) (*fam_row_counter(sum, (uint8_t)rows->status, rows->state.reason))++;
}

/* Sums up the children of a parent, read from its kids rows. */
static err_t count_children(check_t *self, slice_t key, uint64_t parent, fam_row_t *sum)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_kid(parent, 0, 0);
    err_t err = store_scan_open(self->view, TABLE_kids, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t kid, value;
        uint64_t of, n;
        uint16_t step;
        task_rows_t rows;
        err = store_scan_next(scan, &kid, &value);
        if (err != ERR_OK) break;
        if (!kid_key_decode(kid, &of, &step, &n)) continue; /* told with its own table */
        if (of != parent) break;
        if (task_rows_get(self->view, n, &rows) == ERR_OK)
            count_child(&rows, sum);
        else
            check_problem(self, TABLE_fam, key, "child %llu does not exist or cannot be read",
                          (unsigned long long)n);
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

static void check_counters(check_t *self, slice_t key, const fam_row_t *row, const fam_row_t *sum)
{
    const struct {
        const char *name;
        uint32_t row, children;
    } pairs[] = {
        { "total", row->total, sum->total },       { "open", row->open, sum->open },
        { "blocked", row->blocked, sum->blocked }, { "ok", row->ok, sum->ok },
        { "failed", row->failed, sum->failed },    { "expired", row->expired, sum->expired },
        { "skipped", row->skipped, sum->skipped }, { "cancelled", row->cancelled, sum->cancelled }
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (pairs[i].row != pairs[i].children)
            check_problem(self, TABLE_fam, key, "%u children are %s, the row says %u",
                          pairs[i].children, pairs[i].name, pairs[i].row);
}

static void check_join(check_t *self, slice_t key, uint64_t parent)
{
    fam_row_t row;
    if (fam_row_get(self->view, parent, &row) != ERR_OK || !(row.flags & FAM_JOINABLE))
        check_problem(self, TABLE_fam, key, "task %llu cannot be joined",
                      (unsigned long long)parent);
}

static void check_fired(check_t *self, slice_t key, uint32_t schedule, uint64_t n)
{
    task_rows_t parent;
    if (task_rows_get(self->view, n, &parent) != ERR_OK || !(parent.spec.flags & SPEC_PARENT) ||
        parent.spec.schedule != schedule || task_status_ended(parent.status))
        check_problem(self, TABLE_fam, key, "task %llu is no open fan-out of schedule %u",
                      (unsigned long long)n, schedule);
}

static void check_fam(check_t *self, slice_t key, slice_t value)
{
    fam_row_t row, sum = { 0 };
    task_rows_t parent;
    uint32_t schedule;
    uint64_t fired;
    if (fam_fired_decode(key, &schedule, &fired)) {
        check_fired(self, key, schedule, fired);
        return;
    }
    if (key.len != 9 || (key.at[0] != FAM_ROW && key.at[0] != FAM_JOIN)) {
        check_problem(self, TABLE_fam, key, "the key cannot be read");
        return;
    }
    uint64_t n = be_u64(key.at + 1);
    if (key.at[0] == FAM_JOIN) {
        check_join(self, key, n);
        return;
    }
    if (!fam_row_decode(&row, value)) {
        check_problem(self, TABLE_fam, key, "the row cannot be read");
        return;
    }
    if (task_rows_get(self->view, n, &parent) != ERR_OK || !(parent.spec.flags & SPEC_PARENT)) {
        check_problem(self, TABLE_fam, key, "task %llu is no fan-out", (unsigned long long)n);
        return;
    }
    if (task_status_ended(parent.status) != ((row.flags & FAM_ENDED) != 0))
        check_problem(self, TABLE_fam, key, "the parent's status is %d, the row says otherwise",
                      parent.status);
    rec_key_t join = key_fam(FAM_JOIN, n),
              timer = key_timer(CLOCK_ELAPSED, row.timer_at, TIMER_FAMILY, n);
    if (row.flags & FAM_JOINABLE && !check_has(self, TABLE_fam, &join))
        check_problem(self, TABLE_fam, key, "it can be joined, but nobody would find it");
    if (row.timer_at ? !check_has(self, TABLE_timer, &timer) : row.passes != 0)
        check_problem(self, TABLE_fam, key, "nothing will wake it");
    if (row.flags & FAM_PURGING) return; /* some of its leaves are gone */
    if (count_children(self, key, n, &sum) == ERR_OK) check_counters(self, key, &row, &sum);
}

static void check_kid(check_t *self, slice_t key, slice_t value)
{
    uint64_t parent, n;
    uint16_t step;
    slice_t name;
    task_rows_t child;
    if (!kid_key_decode(key, &parent, &step, &n) || step != 0 || !kid_row_decode(&name, value)) {
        check_problem(self, TABLE_kids, key, "the row cannot be read");
        return;
    }
    rec_key_t fam = key_fam(FAM_ROW, parent);
    if (!check_has(self, TABLE_fam, &fam))
        check_problem(self, TABLE_kids, key, "task %llu has no row as a parent",
                      (unsigned long long)parent);
    if (task_rows_get(self->view, n, &child) != ERR_OK || !(child.spec.flags & SPEC_CHILD) ||
        child.spec.parent != parent)
        check_problem(self, TABLE_kids, key, "task %llu is no child of %llu", (unsigned long long)n,
                      (unsigned long long)parent);
}

void check_family_of(check_t *self, slice_t key, const task_rows_t *rows)
{
    rec_key_t fam = key_fam(FAM_ROW, rows->n), kid = key_kid(rows->spec.parent, 0, rows->n),
              fired = key_fam_fired(rows->spec.schedule, rows->n);
    if (rows->spec.flags & SPEC_PARENT && !check_has(self, TABLE_fam, &fam))
        check_problem(self, TABLE_spec, key, "the fan-out has no counters");
    if (rows->spec.flags & SPEC_PARENT && rows->spec.flags & SPEC_SCHEDULED &&
        !task_status_ended(rows->status) && !check_has(self, TABLE_fam, &fired))
        check_problem(self, TABLE_spec, key, "the policy of its schedule would not find it");
    if (rows->spec.flags & SPEC_CHILD && !check_has(self, TABLE_kids, &kid))
        check_problem(self, TABLE_spec, key, "task %llu does not list this child",
                      (unsigned long long)rows->spec.parent);
}

static void check_enrolled(check_t *self, slice_t key, slice_t value)
{
    enrolled_row_t row;
    if (key.len != 4 || !enrolled_row_decode(&row, value)) {
        check_problem(self, TABLE_enrolled, key, "the row cannot be read");
        return;
    }
    rec_key_t reg = key_kind_no(NAME_EXECUTOR, be_u32(key.at));
    if (!check_has(self, TABLE_reg, &reg))
        check_problem(self, TABLE_enrolled, key, "executor %u is not registered", be_u32(key.at));
}

err_t check_families(check_t *self)
{
    ANSWER_TRY(check_each(self, TABLE_fam, check_fam));
    ANSWER_TRY(check_each(self, TABLE_kids, check_kid));
    return check_each(self, TABLE_enrolled, check_enrolled);
}

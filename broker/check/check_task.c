/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check_task.c - each task is in exactly one place, and that place knows it.
 *
 * From the spec rows: the place that a task's rows speak of must exist. From the places (ready,
 * park, timer, run): the task must speak of this one. Both ways together exclude a second place. */
#include "broker/check/check_inside.h"

static bool had_lease(const task_rows_t *rows)
{
    return rows->has_run || rows->state.token != 0;
}

/* Of a task that waits: the due in its ready or park key. */
static int64_t due_of(const task_rows_t *rows)
{
    return rows->has_state ? rows->state.due_us : rows->spec.due_us;
}

static bool expiry_stands(const task_rows_t *rows)
{
    return rows->spec.flags & SPEC_EXPIRES && !had_lease(rows) && !task_status_ended(rows->status);
}

/* ---- from the task to its place -------------------------------------------------------------- */

static void check_parts(check_t *self, slice_t of, uint64_t n, uint8_t kind, uint64_t token,
                        uint32_t len)
{
    uint64_t have = 0;
    for (uint16_t part = 0; have < len; part++) {
        rec_key_t key = key_part(n, kind, token, part);
        slice_t value;
        if (!check_get(self, TABLE_part, &key, &value) || value.len == 0) {
            check_problem(self, TABLE_part, of, "part %u of kind %u is missing", part, kind);
            return;
        }
        have += value.len;
    }
    if (have != len)
        check_problem(self, TABLE_part, of, "parts hold %llu bytes, the row says %u",
                      (unsigned long long)have, len);
}

static void check_place_of(check_t *self, slice_t key, const task_rows_t *rows)
{
    const spec_row_t *spec = &rows->spec;
    rec_key_t place;
    if (rows->status == TASK_S(WAITING) && rows->parked) {
        place = key_park(rows->gate, rows->spec.range != 0, due_of(rows), rows->n);
        if (!check_has(self, TABLE_park, &place))
            check_problem(self, TABLE_spec, key, "the task waits at a gate, but has no park row");
    } else if (rows->status == TASK_S(WAITING)) {
        place = key_ready(rows->lane, due_of(rows), rows->n);
        if (!check_has(self, TABLE_ready, &place))
            check_problem(self, TABLE_spec, key, "the task waits in lane %u, but has no ready row",
                          rows->lane);
    } else if (rows->status == TASK_S(DELAYED)) {
        place = key_timer(rows->timer_clock, rows->timer_at, TIMER_DUE, rows->n);
        if (!check_has(self, TABLE_timer, &place))
            check_problem(self, TABLE_spec, key, "the task is delayed, but no timer will wake it");
    }
    if (rows->status == TASK_S(EXTERNAL)) {
        place = key_timer(CLOCK_ELAPSED, rows->timer_at, TIMER_EXTERNAL, rows->n);
        if (!check_has(self, TABLE_timer, &place))
            check_problem(self, TABLE_spec, key, "the task is external, but has no deadline");
    }
    bool by_hand = rows->has_state && rows->state.flags & STATE_BY_HAND;
    if (expiry_stands(rows) && !by_hand) {
        place = key_timer(spec->expire_clock, spec->expire_us, TIMER_EXPIRE, rows->n);
        if (!check_has(self, TABLE_timer, &place))
            check_problem(self, TABLE_spec, key, "the task expires, but has no timer for it");
    }
}

static void check_id_of(check_t *self, slice_t key, const task_rows_t *rows)
{
    rec_key_t id = key_id(rows->spec.id);
    slice_t value;
    id_row_t row;
    if (!check_get(self, TABLE_ids, &id, &value) || !id_row_decode(&row, value))
        check_problem(self, TABLE_spec, key, "the task's id has no ids row");
    else if (row.kind != ID_TASK || row.n != rows->n)
        check_problem(self, TABLE_spec, key, "the task's id stands for kind %u number %llu",
                      row.kind, (unsigned long long)row.n);
}

static void tally_schedule(check_t *self, slice_t key, const task_rows_t *rows)
{
    if (!(rows->spec.flags & SPEC_SCHEDULED)) return;
    tally_t *tally = check_tally(self, &self->schedules, rows->spec.schedule, TABLE_spec, key);
    if (tally == NULL) return;
    tally->counts[rows->status]++;
    if (task_status_ended(rows->status)) return;
    if (had_lease(rows))
        tally->running++;
    else
        tally->waiting++;
    bool admitted = !rows->parked && rows->status != TASK_S(HELD);
    uint8_t gate[16];
    gate_of_task(&rows->spec, gate);
    if (gate[0] == GATE_OVERLAP) {
        tally->admitted += admitted;
        return;
    }
    gate_tally_t *at = check_gate_tally(self, gate);
    at->admitted += admitted;
    at->running += had_lease(rows);
    tally->elsewhere += had_lease(rows);
    tally->scoped += gate[0] == GATE_SCOPE && rows->parked;
}

static void tally_lane(check_t *self, slice_t key, uint32_t no)
{
    tally_t *lane = check_tally(self, &self->lanes, no, TABLE_spec, key);
    if (lane) lane->tasks++;
}

static void check_spec(check_t *self, slice_t key, slice_t value)
{
    (void)value;
    task_rows_t rows;
    lane_row_t lane;
    if (key.len != 8) {
        check_problem(self, TABLE_spec, key, "the key is no task number");
        return;
    }
    err_t err = task_rows_get(self->view, be_u64(key.at), &rows);
    if (err != ERR_OK) {
        check_problem(self, TABLE_spec, key, "the task's spec, run or state row cannot be read");
        return;
    }
    self->tasks++;
    self->live += !task_status_ended(rows.status);
    if (rows.n == 0 || rows.n >= self->meta.next_n)
        check_problem(self, TABLE_spec, key, "the number was not given out yet (next %llu)",
                      (unsigned long long)self->meta.next_n);
    rec_key_t lane_key = key_u32(rows.lane);
    if (!check_get(self, TABLE_lane, &lane_key, &value) || !lane_row_decode(&lane, value))
        check_problem(self, TABLE_spec, key, "lane %u does not exist", rows.lane);
    else if (lane.queue != rows.spec.queue || lane.type != rows.spec.type)
        check_problem(self, TABLE_spec, key, "lane %u is of another queue or type", rows.lane);
    tally_lane(self, key, rows.spec.lane);
    if (rows.has_state && rows.state.lane) tally_lane(self, key, rows.state.lane);
    check_id_of(self, key, &rows);
    check_family_of(self, key, &rows);
    check_place_of(self, key, &rows);
    if (rows.spec.flags & SPEC_PARTS)
        check_parts(self, key, rows.n, PART_SPEC, 0, rows.spec.body_len);
    if (!rows.has_run && rows.has_state && rows.state.flags & STATE_OUTPUT_PARTS)
        check_parts(self, key, rows.n, PART_OUTPUT, rows.state.token, rows.state.output_len);
    if (rows.has_state && rows.state.poll_len)
        check_parts(self, key, rows.n, PART_POLL, 0, rows.state.poll_len);
    tally_t *queue = check_tally(self, &self->queues, rows.spec.queue, TABLE_spec, key);
    tally_t *type = check_tally(self, &self->types, rows.spec.type, TABLE_spec, key);
    if (queue) queue->counts[rows.status]++;
    if (type) type->counts[rows.status]++;
    self->keyed += rows.spec.flags & SPEC_KEYED && !task_status_ended(rows.status);
    tally_schedule(self, key, &rows);
}

/* ---- from the place to its task -------------------------------------------------------------- */

/* The task that a row names; false: told. */
static bool task_of(check_t *self, table_t table, slice_t key, uint64_t n, task_rows_t *rows)
{
    if (task_rows_get(self->view, n, rows) == ERR_OK) return true;
    check_problem(self, table, key, "task %llu does not exist or cannot be read",
                  (unsigned long long)n);
    return false;
}

static void check_ready(check_t *self, slice_t key, slice_t value)
{
    (void)value;
    uint32_t lane;
    int64_t due;
    uint64_t n;
    task_rows_t rows;
    if (!ready_key_decode(key, &lane, &due, &n)) {
        check_problem(self, TABLE_ready, key, "the key cannot be read");
        return;
    }
    tally_t *tally = check_tally(self, &self->lanes, lane, TABLE_ready, key);
    if (tally) tally->ready++;
    if (!task_of(self, TABLE_ready, key, n, &rows)) return;
    if (rows.status != TASK_S(WAITING) || rows.parked)
        check_problem(self, TABLE_ready, key, "task %llu does not wait here: its status is %d%s",
                      (unsigned long long)n, rows.status, rows.parked ? ", at a gate" : "");
    else if (rows.lane != lane || due_of(&rows) != due)
        check_problem(self, TABLE_ready, key, "task %llu waits elsewhere: lane %u",
                      (unsigned long long)n, rows.lane);
}

static void check_park(check_t *self, slice_t key, slice_t value)
{
    uint8_t gate[16];
    int64_t due;
    uint64_t n;
    uint32_t lane;
    task_rows_t rows;
    if (!park_key_decode(key, gate, &due, &n) || !park_row_decode(&lane, value)) {
        check_problem(self, TABLE_park, key, "the row cannot be read");
        return;
    }
    if (gate[0] == GATE_OVERLAP) {
        tally_t *tally = check_tally(self, &self->schedules, be_u32(gate + 12), TABLE_park, key);
        if (tally) tally->parked++;
    } else {
        check_gate_tally(self, gate)->parked++;
    }
    if (!task_of(self, TABLE_park, key, n, &rows)) return;
    if (!rows.parked || memcmp(rows.gate, gate, 16) != 0 || due_of(&rows) != due)
        check_problem(self, TABLE_park, key, "task %llu does not wait at this gate",
                      (unsigned long long)n);
    else if (rows.spec.lane != lane)
        check_problem(self, TABLE_park, key, "task %llu is of lane %u, not %u",
                      (unsigned long long)n, rows.spec.lane, lane);
}

static void check_run(check_t *self, slice_t key, slice_t value)
{
    run_row_t run;
    task_rows_t rows;
    slice_t state;
    if (key.len != 8 || !run_row_decode(&run, value)) {
        check_problem(self, TABLE_run, key, "the row cannot be read");
        return;
    }
    if (!task_of(self, TABLE_run, key, be_u64(key.at), &rows)) return;
    rec_key_t executor = key_kind_no(NAME_EXECUTOR, run.executor), same = key_n(rows.n);
    if (!check_has(self, TABLE_reg, &executor))
        check_problem(self, TABLE_run, key, "executor %u is not registered", run.executor);
    if (run.token == 0) check_problem(self, TABLE_run, key, "the lease has no token");
    if (run.lane != rows.lane || run.schedule != rows.spec.schedule)
        check_problem(self, TABLE_run, key, "lane or schedule is not the task's");
    bool has_state = check_get(self, TABLE_state, &same, &state);
    if (has_state != ((run.flags & RUN_HAS_STATE) != 0))
        check_problem(self, TABLE_run, key, "a state row is %s, the lease says otherwise",
                      has_state ? "there" : "missing");
    if (rows.has_state && rows.state.token > run.token)
        check_problem(self, TABLE_run, key, "the token went back");
    if (run.flags & RUN_LOST) {
        rec_key_t timer = key_timer(CLOCK_ELAPSED, run.leased_us, TIMER_LOST, rows.n);
        if (!check_has(self, TABLE_timer, &timer))
            check_problem(self, TABLE_run, key, "the lease is lost, but no timer will end it");
    }
}

static void check_tombstone(check_t *self, slice_t key, uint64_t n)
{
    rec_key_t part = key_part(n, PART_TOMBSTONE, 0, 0);
    slice_t id, value;
    id_row_t row;
    if (!check_get(self, TABLE_part, &part, &id) || id.len != 16) {
        check_problem(self, TABLE_timer, key, "the id to forget of number %llu is not on record",
                      (unsigned long long)n);
        return;
    }
    rec_key_t id_key = key_id(id.at);
    if (!check_get(self, TABLE_ids, &id_key, &value) || !id_row_decode(&row, value) ||
        row.kind == ID_TASK || (row.kind == ID_TOMBSTONE && row.n != n))
        check_problem(self, TABLE_timer, key, "the id to forget of number %llu stands for a task",
                      (unsigned long long)n);
    else
        self->tombstones++;
}

static void check_timer(check_t *self, slice_t key, slice_t value)
{
    (void)value;
    uint8_t clock, kind;
    int64_t at;
    uint64_t n;
    task_rows_t rows;
    if (!timer_key_decode(key, &clock, &at, &kind, &n)) {
        check_problem(self, TABLE_timer, key, "the key cannot be read");
        return;
    }
    if (kind == TIMER_TOMBSTONE) {
        check_tombstone(self, key, n);
        return;
    }
    if (!task_of(self, TABLE_timer, key, n, &rows)) return;
    bool needed = false;
    fam_row_t family;
    if (kind == TIMER_FAMILY)
        needed = rows.spec.flags & SPEC_PARENT && fam_row_get(self->view, n, &family) == ERR_OK &&
                 family.timer_at == at;
    else if (kind == TIMER_DUE)
        needed = rows.status == TASK_S(DELAYED) && rows.timer_clock == clock && rows.timer_at == at;
    else if (kind == TIMER_EXPIRE)
        needed =
            expiry_stands(&rows) && rows.spec.expire_clock == clock && rows.spec.expire_us == at;
    else if (kind == TIMER_LOST)
        needed = rows.has_run && rows.run.flags & RUN_LOST && rows.run.leased_us == at;
    else if (kind == TIMER_EXTERNAL)
        needed = rows.status == TASK_S(EXTERNAL) && rows.timer_at == at;
    if (!needed)
        check_problem(self, TABLE_timer, key,
                      "task %llu (status %d) does not need this timer of "
                      "kind %u",
                      (unsigned long long)n, rows.status, kind);
}

/* ---- ids, and rows that hang on a task ------------------------------------------------------- */

static void check_id(check_t *self, slice_t key, slice_t value)
{
    id_row_t row;
    spec_row_t spec;
    if (key.len != 16 || !id_row_decode(&row, value)) {
        check_problem(self, TABLE_ids, key, "the row cannot be read");
        return;
    }
    self->remembered += row.kind != ID_TASK;
    if (row.kind != ID_TASK) return;
    self->task_ids++;
    rec_key_t n = key_n(row.n);
    if (!check_get(self, TABLE_spec, &n, &value) || !spec_row_decode(&spec, value))
        check_problem(self, TABLE_ids, key, "task %llu does not exist", (unsigned long long)row.n);
    else if (memcmp(spec.id, key.at, 16) != 0)
        check_problem(self, TABLE_ids, key, "task %llu has another id", (unsigned long long)row.n);
}

static void check_state(check_t *self, slice_t key, slice_t value)
{
    state_row_t row;
    task_rows_t rows;
    if (key.len != 8 || !state_row_decode(&row, value)) {
        check_problem(self, TABLE_state, key, "the row cannot be read");
        return;
    }
    if (!task_of(self, TABLE_state, key, be_u64(key.at), &rows)) return;
    if (!rows.has_run && row.status == (uint8_t)TASK_S(RUNNING) && !(rows.spec.flags & SPEC_PARENT))
        check_problem(self, TABLE_state, key, "the task runs, but nobody has a lease of it");
}

static void check_try(check_t *self, slice_t key, slice_t value)
{
    try_row_t row;
    task_rows_t rows;
    if (key.len != 16 || !try_row_decode(&row, value)) {
        check_problem(self, TABLE_try, key, "the row cannot be read");
        return;
    }
    if (!task_of(self, TABLE_try, key, be_u64(key.at), &rows)) return;
    uint64_t newest = rows.has_run ? rows.run.token : rows.state.token;
    if (be_u64(key.at + 8) > newest)
        check_problem(self, TABLE_try, key, "the attempt's token is above the task's newest");
}

static void check_part(check_t *self, slice_t key, slice_t value)
{
    (void)value;
    if (key.len != 19) {
        check_problem(self, TABLE_part, key, "the key cannot be read");
        return;
    }
    rec_key_t n = key_n(be_u64(key.at));
    bool there = check_has(self, TABLE_spec, &n);
    if (there == (key.at[8] == PART_TOMBSTONE))
        check_problem(self, TABLE_part, key, "task %llu %s", (unsigned long long)be_u64(key.at),
                      there ? "exists, and its tombstone too" : "does not exist");
}

static void check_uniq(check_t *self, slice_t key, slice_t value)
{
    uint64_t n;
    task_rows_t rows;
    if (key.len < 5 || !uniq_row_decode(&n, value)) {
        check_problem(self, TABLE_uniq, key, "the row cannot be read");
        return;
    }
    self->uniques++;
    if (!task_of(self, TABLE_uniq, key, n, &rows)) return;
    if (task_status_ended(rows.status) || !(rows.spec.flags & SPEC_KEYED))
        check_problem(self, TABLE_uniq, key, "task %llu (status %d) holds the key without a right",
                      (unsigned long long)n, rows.status);
}

err_t check_tasks(check_t *self)
{
    static const struct {
        table_t table;
        check_row_fn *fn;
    } passes[] = {
        { TABLE_spec, check_spec },   { TABLE_ids, check_id },    { TABLE_state, check_state },
        { TABLE_ready, check_ready }, { TABLE_park, check_park }, { TABLE_run, check_run },
        { TABLE_timer, check_timer }, { TABLE_try, check_try },   { TABLE_part, check_part },
        { TABLE_uniq, check_uniq },
    };
    for (size_t i = 0; i < ARRAY_LEN(passes); i++)
        ANSWER_TRY(check_each(self, passes[i].table, passes[i].fn));
    if (self->task_ids != self->tasks)
        check_problem(self, TABLE_ids, slice(NULL, 0), "%llu ids stand for tasks, there are %llu",
                      (unsigned long long)self->task_ids, (unsigned long long)self->tasks);
    if (self->remembered != self->tombstones)
        check_problem(self, TABLE_ids, slice(NULL, 0),
                      "%llu ids are remembered, %llu will be forgotten",
                      (unsigned long long)self->remembered, (unsigned long long)self->tombstones);
    if (self->uniques != self->keyed)
        check_problem(self, TABLE_uniq, slice(NULL, 0), "%llu keys are held, %llu tasks hold one",
                      (unsigned long long)self->uniques, (unsigned long long)self->keyed);
    return ERR_OK;
}

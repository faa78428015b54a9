/* SPDX-License-Identifier: Apache-2.0
 * Tasks: each row of each durable batch, each event of the journal, each word to a peer. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <stdlib.h>

const uint8_t *judge_secret(const sim_t *sim)
{
    return sim->judge->fixed.secret;
}

mschedule_t *judge_schedules(const sim_t *sim, size_t *n)
{
    *n = sim->judge->schedules_n;
    return sim->judge->schedules;
}

void judge_start(sim_t *sim)
{
    sim->judge = mem_new(sizeof *sim->judge);
    sim->judge->next_seq = sim->judge->present = 1;
    calendars_forget();
}

void judge_free(sim_t *sim)
{
    judge_t *judge = sim->judge;
    for (size_t i = 0; i < judge->tasks_n; i++) {
        free(judge->tasks[i].reported);
        kin_free(&judge->tasks[i]);
    }
    members_free(judge);
    for (size_t i = 0; i < judge->schedules_n; i++)
        ledger_free(&judge->schedules[i]);
    for (size_t i = 0; i < judge->executors_n; i++)
        free(judge->executors[i]);
    free(judge->executors);
    free(judge->tasks);
    free(judge->ids.at);
    free(judge->replies.at);
    free(judge->schedules);
    free(judge->told);
    free(judge->touched);
    free(judge->open);
    free(judge->families);
    free(judge->tables);
    free(judge);
}

/* ---- finding --------------------------------------------------------------------------------- */

mtask_t *judge_at(judge_t *judge, uint64_t n)
{
    if (n >= judge->tasks_room) {
        size_t room = judge->tasks_room ? judge->tasks_room : 256;
        while (room <= n)
            room *= 2;
        judge->tasks = mem_grow(judge->tasks, room * sizeof *judge->tasks);
        memset(judge->tasks + judge->tasks_room, 0,
               (room - judge->tasks_room) * sizeof *judge->tasks);
        judge->tasks_room = room;
    }
    if (n >= judge->tasks_n) judge->tasks_n = n + 1;
    mtask_t *task = &judge->tasks[n];
    task->n = n;
    return task;
}

mtask_t *judge_touch(judge_t *judge, uint64_t n)
{
    mtask_t *task = judge_at(judge, n);
    if (task->touched) return task;
    task->touched = true;
    if (judge->touched_n == judge->touched_room) {
        judge->touched_room = judge->touched_room ? judge->touched_room * 2 : 64;
        judge->touched = mem_grow(judge->touched, judge->touched_room * sizeof *judge->touched);
    }
    judge->touched[judge->touched_n++] = n;
    return task;
}

static mschedule_t *schedule_at(judge_t *judge, uint32_t no)
{
    if (no >= judge->schedules_n) {
        judge->schedules = mem_grow(judge->schedules, (no + 1u) * sizeof *judge->schedules);
        memset(judge->schedules + judge->schedules_n, 0,
               (no + 1u - judge->schedules_n) * sizeof *judge->schedules);
        judge->schedules_n = no + 1u;
    }
    mschedule_t *schedule = &judge->schedules[no];
    schedule->no = no;
    schedule->touched = true;
    return schedule;
}

mtask_t *judge_task(sim_t *sim, const uint8_t id[16])
{
    const known_t *known = known_at(&sim->judge->ids, id);
    return known->kind == ID_TASK ? &sim->judge->tasks[known->n] : NULL;
}

bool judge_known(sim_t *sim, const uint8_t id[16])
{
    return known_at(&sim->judge->ids, id)->kind != 0;
}

/* By its id, or by one that stands for it. */
bool judge_was_told(judge_t *judge, const mtask_t *task, uint64_t token, int what)
{
    for (size_t i = 0; i < judge->told_n; i++) {
        const told_t *told = &judge->told[i];
        if (told->what != what || (token && told->token != token)) continue;
        if (memcmp(told->id, task->id, 16) == 0) return true;
        const known_t *known = known_at(&judge->ids, told->id);
        if (known->kind == ID_ALIAS && known->n == task->n) return true;
    }
    return false;
}

/* ---- the batch ------------------------------------------------------------------------------- */

static void note(judge_t *judge, const uint8_t *id, uint64_t token, int what)
{
    if (judge->told_n == judge->told_room) {
        judge->told_room = judge->told_room ? judge->told_room * 2 : 64;
        judge->told = mem_grow(judge->told, judge->told_room * sizeof *judge->told);
    }
    told_t *told = &judge->told[judge->told_n++];
    memcpy(told->id, id, 16);
    told->token = token;
    told->what = what;
}

void judge_before(sim_t *sim, const batch_t *batch)
{
    judge_t *judge = sim->judge;
    judge->told_n = 0;
    memory_batch(sim, batch);
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->commands[i].kind != CMD_REQUEST) continue;
        const Pawl__V1__Request *request = batch->commands[i].request;
        ledger_told(sim, request);
        if (request->body_case == PAWL__V1__REQUEST__BODY_REPORT)
            for (size_t k = 0; k < request->report->n_results; k++) {
                const Pawl__V1__Result *result = request->report->results[k];
                note(judge, result->id.data, result->token, (int)result->outcome);
            }
        if (request->body_case == PAWL__V1__REQUEST__BODY_TASK_CHANGE)
            for (size_t k = 0; k < request->task_change->n_ids; k++) {
                const uint8_t *id = request->task_change->ids[k].data;
                note(judge, id, 0, 100 + (int)request->task_change->verb);
            }
        if (request->body_case == PAWL__V1__REQUEST__BODY_TASK_COMPLETE) {
            const uint8_t *token = request->task_complete->completion.data;
            uint64_t n = be_u64(token);
            if (n < judge->tasks_n)
                note(judge, judge->tasks[n].id, be_u64(token + 8),
                     200 + (int)request->task_complete->verb);
        }
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void on_spec(sim_t *sim, uint64_t n, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    mtask_t *task = judge_touch(judge, n);
    spec_row_t spec;
    if (gone) {
        memory_purged(sim, task);
        sim_met(MET_PURGED);
        task->there = false;
        task->purged = true;
        return;
    }
    if (task->there) sim_fail(sim, "the spec of task %llu was rewritten", (unsigned long long)n);
    if (!spec_row_decode(&spec, value)) {
        sim_fail(sim, "the spec of task %llu cannot be read", (unsigned long long)n);
        return;
    }
    task->there = true;
    memcpy(task->id, spec.id, 16);
    task->spec_flags = spec.flags;
    task->schedule = spec.schedule;
    task->range = spec.range;
    if (spec.flags & SPEC_SCHEDULED) gate_of_task(&spec, task->gate);
    task->type = spec.type;
    task->queue = spec.queue;
    task->lane = spec.lane;
    task->instant_us = spec.instant_wall_us;
    task->created_wall_us = spec.created_wall_us;
    Pawl__V1__Task *body = spec.flags & (SPEC_PARTS | SPEC_CHILD)
                               ? NULL
                               : pawl__v1__task__unpack(NULL, spec.body.len, spec.body.at);
    if (body) {
        task->at_most_once = body->on_lost == PAWL__V1__ON_LOST__ON_LOST_FAIL;
        task->targeted = body->target != NULL;
        rows_spec(sim, task, &spec, body);
    }
    kin_spec(sim, task, &spec, &body);
    if (body) pawl__v1__task__free_unpacked(body, NULL);
    if (spec.flags & SPEC_SCHEDULED) {
        mschedule_t *schedule = schedule_at(judge, spec.schedule);
        if (spec.flags & SPEC_MANUAL)
            schedule->manual++;
        else
            schedule->live++; /* a backfill's too: which they are their ranges tell */
    }
}

static void on_state(sim_t *sim, uint64_t n, slice_t value, bool gone)
{
    mtask_t *task = judge_touch(sim->judge, n);
    state_row_t state;
    task->has_state = !gone;
    if (gone) return;
    if (!state_row_decode(&state, value)) {
        sim_fail(sim, "the state of task %llu cannot be read", (unsigned long long)n);
        return;
    }
    if (state.token < task->state_token)
        sim_fail(sim, "the token of task %llu went back", (unsigned long long)n);
    task->state_status = state.status;
    task->state_flags = state.flags;
    task->state_token = state.token;
    task->reason = state.reason;
    task->end_us = state.end_wall_us;
    task->parked = state.park.len > 0;
    if (state.token > task->token) task->token = state.token;
    if (!(state.flags & STATE_REPORTED) || state.token == 0) return;
    for (size_t i = 0; i < task->reported_n; i++)
        if (task->reported[i] == state.token) return;
    task->reported = mem_grow(task->reported, (task->reported_n + 1) * sizeof *task->reported);
    task->reported[task->reported_n++] = state.token;
}

static void on_run(sim_t *sim, uint64_t n, slice_t value, bool gone)
{
    mtask_t *task = judge_touch(sim->judge, n);
    run_row_t run;
    if (gone) {
        task->run = false;
        return;
    }
    if (!run_row_decode(&run, value)) {
        sim_fail(sim, "the lease of task %llu cannot be read", (unsigned long long)n);
        return;
    }
    bool same = task->run && run.token == task->run_token;
    /* lost or given back, and claimed by who had it before anybody else got it: it goes on */
    bool resumed = !task->run && run.token == task->token && run.executor == task->run_executor &&
                   task->state_flags & STATE_LOST;
    if (resumed) sim_met(MET_RESUMED);
    task->resumed |= resumed;
    if (same && run.executor != task->run_executor)
        sim_fail(sim, "task %llu: one token, two executors", (unsigned long long)n);
    if (!same && !resumed && run.token <= task->token)
        sim_fail(sim, "task %llu was leased with token %llx after %llx", (unsigned long long)n,
                 (unsigned long long)run.token, (unsigned long long)task->token);
    if (!same && task->run)
        sim_fail(sim, "task %llu was leased twice at once", (unsigned long long)n);
    task->run = true;
    task->run_lost = (run.flags & RUN_LOST) != 0;
    bool replaced = (run.flags & RUN_REPLACED) != 0;
    if (replaced && !task->replaced) sim_met(MET_REPLACED);
    task->replaced = !replaced ? 0 : task->replaced ? task->replaced : sim->judge->batches;
    task->run_token = task->token = run.token;
    task->run_executor = run.executor;
}

/* ---- a durable batch ------------------------------------------------------------------------- */

static void on_reg(judge_t *judge, slice_t key, slice_t value, bool gone)
{
    reg_row_t row;
    if (gone || key.len != 5 || !reg_row_decode(&row, value)) return;
    uint32_t no = be_u32(key.at + 1);
    if (key.at[0] == NAME_QUEUE && no < ARRAY_LEN(judge->queue_paused))
        judge->queue_paused[no] = (row.flags & REG_PAUSED) != 0;
    if (key.at[0] != NAME_EXECUTOR) return;
    if (no >= judge->executors_n) {
        judge->executors = mem_grow(judge->executors, (no + 1u) * sizeof(char *));
        for (size_t i = judge->executors_n; i <= no; i++)
            judge->executors[i] = NULL;
        judge->executors_n = no + 1u;
    }
    free(judge->executors[no]);
    judge->executors[no] = mem_new(row.name.len + 1);
    memcpy(judge->executors[no], row.name.at, row.name.len);
}

static void on_cursor(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    mschedule_t *schedule = schedule_at(sim->judge, be_u32(key.at));
    scur_row_t row;
    if (gone || !scur_row_decode(&row, value)) {
        sim_fail(sim, "the cursor of schedule %u is gone or cannot be read", schedule->no);
        return;
    }
    if (schedule->has_cursor && row.cursor_us < schedule->cursor.cursor_us)
        sim_fail(sim, "the cursor of schedule %u went back from %lld to %lld", schedule->no,
                 (long long)schedule->cursor.cursor_us, (long long)row.cursor_us);
    schedule->has_cursor = true;
    if (schedule->cursor.armed_us != row.armed_us) attended_changed(sim); /* it has a due again */
    schedule->cursor = row;
}

static void on_meta(sim_t *sim, slice_t key, slice_t value)
{
    judge_t *judge = sim->judge;
    meta_dynamic_t meta;
    if (key.at[0] == META_STATIC) {
        if (!meta_static_decode(&judge->fixed, value)) sim_fail(sim, "meta cannot be read");
        return;
    }
    if (!meta_dynamic_decode(&meta, value)) {
        sim_fail(sim, "meta cannot be read");
        return;
    }
    if (meta.batch < judge->batch || meta.batch > judge->batch + 2)
        sim_fail(sim, "batch %llu follows %llu", (unsigned long long)meta.batch,
                 (unsigned long long)judge->batch);
    judge->batch = meta.batch;
    memory_meta(sim, &meta);
}

static void on_row(sim_t *sim, table_t table, slice_t key, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    uint32_t no;
    uint16_t range;
    int64_t from;
    extent_t extent;
    switch (table) {
    case TABLE_spec:
        on_spec(sim, be_u64(key.at), value, gone);
        break;
    case TABLE_state:
        on_state(sim, be_u64(key.at), value, gone);
        break;
    case TABLE_run:
        on_run(sim, be_u64(key.at), value, gone);
        break;
    case TABLE_kids:
        kin_key(sim, key, value, gone);
        break;
    case TABLE_enrolled:
        members_row(sim, key, value, gone);
        break;
    case TABLE_fam:
        kin_row(sim, key, value, gone);
        break;
    case TABLE_ids:
        memory_id(sim, key, value, gone);
        break;
    case TABLE_reg:
        on_reg(judge, key, value, gone);
        break;
    case TABLE_scur:
        on_cursor(sim, key, value, gone);
        break;
    case TABLE_sched:
        judge->attended_changed_us = sim->now_us;
        if (!gone) ledger_sched_row(sim, schedule_at(judge, be_u32(key.at)), key, value);
        break;
    case TABLE_calendar:
        if (!gone) calendars_row(sim, key, value);
        break;
    case TABLE_range:
        if (!range_key_decode(key, &no, &range))
            sim_fail(sim, "a range cannot be read");
        else if (gone)
            memory_range_gone(sim, spans_at(schedule_at(judge, no), range));
        else
            spans_row(sim, schedule_at(judge, no), range, value);
        break;
    case TABLE_ledger:
        if (!ledger_key_decode(key, &no, &range, &from) ||
            (!gone && !extent_decode(&extent, value)))
            sim_fail(sim, "a ledger row cannot be read");
        else if (gone)
            memory_extent_gone(sim, schedule_at(judge, no), range, from);
        else
            range ? spans_extent(sim, schedule_at(judge, no), range, &extent)
                  : ledger_extent(schedule_at(judge, no), &extent);
        break;
    case TABLE_reply:
        memory_reply(sim, key, value, gone);
        break;
    case TABLE_watermark:
        rows_mark(sim, key, value, gone);
        break;
    case TABLE_meta:
        on_meta(sim, key, value);
        break;
    default:
        break;
    }
}

static bool next_write(reader_t *in, table_t *table, slice_t *key, slice_t *value, bool *gone)
{
    if (in->at == in->end) return false;
    *table = (table_t)reader_u8(in);
    size_t len = (size_t)reader_u8(in) << 8;
    len |= reader_u8(in);
    *key = slice(reader_take(in, len), len);
    const uint8_t *four = reader_take(in, 4);
    uint32_t value_len = four ? be_u32(four) : 0;
    *gone = value_len == UINT32_MAX;
    *value = *gone ? slice(NULL, 0) : slice(reader_take(in, value_len), value_len);
    CHECK(!in->bad);
    return true;
}

/* In and out of the list of those that have not ended. */
static void list_open(judge_t *judge, mtask_t *task)
{
    bool open = (task->there && !judge_has_ended(task->status)) || task->run;
    bool over = task->purged || judge_has_ended(task->status);
    if (over != task->over) judge->over_n += over ? 1 : (size_t)-1;
    task->over = over;
    if (open == task->open) return;
    size_t low = 0, high = judge->open_n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judge->open[middle] < task->n)
            low = middle + 1;
        else
            high = middle;
    }
    task->open = open;
    if (!open) {
        CHECK(judge->open[low] == task->n);
        memmove(judge->open + low, judge->open + low + 1,
                (--judge->open_n - low) * sizeof *judge->open);
        return;
    }
    if (judge->open_n == judge->open_room) {
        judge->open_room = judge->open_room ? judge->open_room * 2 : 256;
        judge->open = mem_grow(judge->open, judge->open_room * sizeof *judge->open);
    }
    memmove(judge->open + low + 1, judge->open + low,
            (judge->open_n++ - low) * sizeof *judge->open);
    judge->open[low] = task->n;
}

static void settle(sim_t *sim, mtask_t *task)
{
    task->touched = task->resumed = false;
    task->reported_before = task->reported_n;
    if (task->there && task->id_gone)
        sim_fail(sim, "task %llu is there, and its id is forgotten", (unsigned long long)task->n);
    task->id_gone = false;
    if (!task->there) return;
    uint8_t status = task->run                         ? T(RUNNING)
                     : task->has_state                 ? task->state_status
                     : task->spec_flags & SPEC_HELD    ? T(HELD)
                     : task->spec_flags & SPEC_DELAYED ? T(DELAYED)
                     : task->spec_flags & SPEC_BLOCKED ? T(BLOCKED)
                                                       : T(WAITING);
    if (!task->has_state) task->parked = (task->spec_flags & SPEC_PARKED) != 0;
    if (status != task->journal)
        sim_fail(sim, "task %llu: its rows say status %d, its events %d",
                 (unsigned long long)task->n, status, task->journal);
    if (status == T(FINISHED) && task->status != T(FINISHED) && !(task->spec_flags & SPEC_PARENT) &&
        !judge_was_told(sim->judge, task, task->token, PAWL__V1__OUTCOME__OUTCOME_DONE) &&
        !judge_was_told(sim->judge, task, task->token, TOLD_COMPLETE))
        sim_fail(sim, "task %llu finished without a report of its newest token",
                 (unsigned long long)task->n);
    static const met_t mets[] = { MET_FINISHED, MET_FAILED, MET_CANCELLED, MET_SUPERSEDED,
                                  MET_EXPIRED };
    if (status != task->status && judge_has_ended(status)) sim_met(mets[status - T(FINISHED)]);
    if (task->parked && status == T(WAITING)) sim_met(MET_PARKED);
    if (status == T(EXTERNAL)) sim_met(MET_EXTERNAL);
    if (task->status == T(EXTERNAL) && status == T(FINISHED)) sim_met(MET_COMPLETED);
    if (status != task->status) task->waiting_since_us = sim->now_us;
    task->status = status;
    kin_settled(sim->judge, task);
}

void judge_committed(sim_t *sim, store_t *store, const batch_t *batch, const outputs_t *out)
{
    judge_t *judge = sim->judge;
    reader_t in = reader(slice(store->write_set.at, store->write_set.len));
    table_t table;
    slice_t key, value;
    bool gone, runs = false;
    if (batch == NULL) {
        judge->told_n = 0;
        judge->alone_told = 0; /* a broker that starts has told nothing yet */
        memory_start(sim);
    }
    /* the journal tells of tasks whose rows may come later in the set: rows first */
    while (next_write(&in, &table, &key, &value, &gone)) {
        on_row(sim, table, key, value, gone);
        runs |= table == TABLE_run;
    }
    in = reader(slice(store->write_set.at, store->write_set.len));
    while (next_write(&in, &table, &key, &value, &gone))
        if (table == TABLE_jrn) events_row(sim, key, value, gone);
    for (size_t i = 0; i < judge->touched_n; i++) {
        settle(sim, &judge->tasks[judge->touched[i]]);
        list_open(judge, &judge->tasks[judge->touched[i]]);
    }
    judge->touched_n = 0;
    memory_judge(sim);
    members_batch(sim, batch, out);
    kin_judge(sim);
    rows_judge(sim);
    for (size_t i = 0; i < judge->schedules_n; i++)
        if (judge->schedules[i].touched) ledger_settle(sim, &judge->schedules[i]);
    if (runs) crowd_judge(sim);
}

void judge_released(sim_t *sim, const char *executor)
{
    uint32_t held = judge_held_by(sim, executor, true);
    if (held) sim_fail(sim, "%s was declared lost, and still holds %u leases", executor, held);
}

void judge_counts(sim_t *sim, const core_t *core)
{
    judge_t *judge = sim->judge;
    core_stats_t stats;
    uint64_t counts[12] = { 0 };
    for (size_t i = 0; i < judge->tasks_n; i++)
        if (judge->tasks[i].there) counts[judge->tasks[i].status]++;
    core_stats(core, &stats);
    free(stats.queues);
    for (size_t i = 1; i < ARRAY_LEN(counts); i++)
        if (counts[i] != stats.counts[i])
            sim_fail(sim, "core counts %llu tasks of status %zu, there are %llu",
                     (unsigned long long)stats.counts[i], i, (unsigned long long)counts[i]);
}

void judge_end(sim_t *sim)
{
    for (size_t i = 0; i < sim->judge->schedules_n && !sim->failed; i++)
        if (sim->judge->schedules[i].there) ledger_judge(sim, &sim->judge->schedules[i]);
}

/* SPDX-License-Identifier: Apache-2.0
 * Fan-outs: each parent against its children, by what their rows and events say, after every
 * durable batch that touched one of them. The counters that core keeps are not looked at here (the
 * check of the store compares them): this is what they are for.
 *
 * What is done to all children may take several batches. Meanwhile they may be any mixture of
 * before and after, but none of them starts; and it goes on at once. That it comes to its end the
 * rest of the seed shows: no child may be left over. */
#include "tests/sim/judge.h"

#include <stdlib.h>

typedef struct tally {
    uint32_t total, open, blocked, ok, failed, expired, skipped, cancelled;
} tally_t;

void kin_free(mtask_t *task)
{
    free(task->children);
    if (task->body) pawl__v1__task__free_unpacked(task->body, NULL);
}

static void note_family(judge_t *judge, uint64_t parent)
{
    mtask_t *task = &judge->tasks[parent];
    if (task->family_touched) return;
    task->family_touched = true;
    if (judge->families_n == judge->families_room) {
        judge->families_room = judge->families_room ? judge->families_room * 2 : 16;
        judge->families = mem_grow(judge->families, judge->families_room * sizeof(uint64_t));
    }
    judge->families[judge->families_n++] = parent;
}

void kin_spec(sim_t *sim, mtask_t *task, const spec_row_t *spec, Pawl__V1__Task **body)
{
    judge_t *judge = sim->judge;
    if (spec->flags & SPEC_PARENT && *body && (*body)->fanout) {
        task->fanout = (*body)->fanout;
        task->body = *body;
        *body = NULL;
        task->born = judge->batches;
        note_family(judge, task->n);
    }
    if (!(spec->flags & SPEC_CHILD)) return;
    task->parent = spec->parent;
    task->targeted = true;
    mtask_t *parent = &judge->tasks[spec->parent];
    if (parent->fanout == NULL) {
        sim_fail(sim, "task %llu is a child of %llu, which is no fan-out",
                 (unsigned long long)task->n, (unsigned long long)spec->parent);
        return;
    }
    /* Without a child until it was run again by hand: its members are who is enrolled by then. */
    if (parent->children_n == 0 &&
        judge_was_told(judge, parent, 0, 100 + PAWL__V1__TASK_VERB__TASK_RETRY))
        parent->born = judge->batches;
    if (parent->born != judge->batches) {
        sim_met(MET_JOINED);
        if (!parent->fanout->late_join)
            sim_fail(sim, "fan-out %llu got another child after its own commit",
                     (unsigned long long)parent->n);
    }
    task->at_most_once = parent->at_most_once;
    parent->children =
        mem_grow(parent->children, (parent->children_n + 1) * sizeof *parent->children);
    parent->children[parent->children_n++] = task->n;
}

void kin_key(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    uint64_t parent, n;
    uint16_t step;
    slice_t name;
    if (gone) return;
    if (!kid_key_decode(key, &parent, &step, &n) || !kid_row_decode(&name, value) ||
        n >= sim->judge->tasks_n || name.len >= sizeof sim->judge->tasks[n].host) {
        sim_fail(sim, "a row of kids cannot be read");
        return;
    }
    mtask_t *task = &sim->judge->tasks[n];
    uint8_t id[16];
    memcpy(task->host, name.at, name.len);
    child_id(sim->judge->fixed.secret, sim->judge->tasks[parent].id, name, id);
    if (memcmp(id, task->id, 16) != 0)
        sim_fail(sim, "the id of child %llu does not follow from its parent and executor",
                 (unsigned long long)n);
}

void kin_row(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    fam_row_t row;
    if (gone || key.len != 9 || key.at[0] != FAM_ROW) return;
    uint64_t n = be_u64(key.at + 1);
    if (n >= judge->tasks_n || !fam_row_decode(&row, value)) {
        sim_fail(sim, "the row of a fan-out cannot be read");
        return;
    }
    mtask_t *parent = &judge->tasks[n];
    if (row.passes & ~parent->passes) sim_met(MET_PASS);
    parent->passes = row.passes;
    parent->goes_on_us = row.timer_at;
    parent->join_until_us = row.flags & FAM_JOINABLE ? row.join_until_us : 0;
    note_family(judge, n);
}

void kin_settled(judge_t *judge, const mtask_t *task)
{
    if (task->spec_flags & SPEC_PARENT) note_family(judge, task->n);
    if (task->spec_flags & SPEC_CHILD) note_family(judge, task->parent);
}

/* ---- events ---------------------------------------------------------------------------------- */

bool kin_may_follow(const mtask_t *task, uint8_t event)
{
    uint8_t from = task->journal;
    bool parent = task->spec_flags & SPEC_PARENT, child = task->spec_flags & SPEC_CHILD;
    /* started once: held since, or parked again when it was let go */
    bool runs = from == T(RUNNING) || ((from == T(HELD) || from == T(WAITING)) && task->token);
    switch (event) {
    case EVENT_BLOCKED:
        return child && (from == T(WAITING) || (judge_has_ended(from) && from != T(FINISHED)));
    case EVENT_WAITING: /* once more: it had moved, and is its own executor's again */
        return child && (from == T(BLOCKED) || from == T(WAITING));
    case EVENT_HELD: /* a child: it comes back while its fan-out is held */
        return (parent && from == T(RUNNING)) ||
               (child && (from == T(RUNNING) || from == T(EXTERNAL) ||
                          (judge_has_ended(from) && from != T(FINISHED))));
    case EVENT_CANCELLING:
        return parent && runs;
    case EVENT_FINISHED:
        return parent && runs;
    case EVENT_FAILED:
        return (parent && runs) || (child && (from == T(BLOCKED) || from == T(WAITING)));
    case EVENT_CANCELLED:
        return (parent && runs) || (child && from == T(BLOCKED));
    case EVENT_EXPIRED:
        return (parent && runs) || (child && (from == T(BLOCKED) || from == T(WAITING)));
    default:
        return false;
    }
}

/* The rows of a batch are read before its events, so both the parent and the reason are known. */
bool kin_founded(sim_t *sim, const mtask_t *task, uint8_t event)
{
    judge_t *judge = sim->judge;
    if (task->spec_flags & SPEC_PARENT)
        return event == EVENT_FINISHED || event == EVENT_EXPIRED ||
               (event == EVENT_CANCELLED && task->reason == REASON_CHILDREN);
    if (!(task->spec_flags & SPEC_CHILD)) return false;
    const mtask_t *parent = &judge->tasks[task->parent];
    bool over = judge_has_ended(parent->state_status) || parent->cancel_asked || parent->schedule ||
                judge_was_told(judge, parent, 0, 100 + PAWL__V1__TASK_VERB__TASK_CANCEL);
    switch (event) {
    case EVENT_BLOCKED:
        return parent->retried;
    case EVENT_CANCELLING:
        return over;
    case EVENT_CANCELLED:
        return over || task->reason == REASON_OFFLINE || task->reason == REASON_STOPPED;
    case EVENT_EXPIRED:
        return task->reason == REASON_OFFLINE;
    case EVENT_HELD:
        return parent->state_status == T(HELD) ||
               judge_was_told(judge, parent, 0, 100 + PAWL__V1__TASK_VERB__TASK_HOLD);
    default:
        return false;
    }
}

static bool leaves_rest(const mtask_t *parent)
{
    const Pawl__V1__Fanout *fanout = parent->fanout;
    return fanout->cancel_rest_set_case && !fanout->cancel_rest && parent->token;
}

const char *kin_against(sim_t *sim, const mtask_t *task)
{
    const mtask_t *parent = &sim->judge->tasks[task->parent];
    if (!(task->spec_flags & SPEC_CHILD) || task->resumed) return NULL;
    if (parent->journal == T(HELD)) return "it starts while its fan-out is held";
    if (judge_has_ended(parent->journal))
        return leaves_rest(parent) ? NULL : "it starts after the end of its fan-out";
    return parent->cancel_asked ? "it starts while its fan-out is cancelled" : NULL;
}

/* ---- a family after a batch ------------------------------------------------------------------ */

static tally_t count(sim_t *sim, const mtask_t *parent)
{
    tally_t sum = { 0 };
    for (size_t i = 0; i < parent->children_n; i++) {
        const mtask_t *child = &sim->judge->tasks[parent->children[i]];
        if (!child->there) continue;
        bool away = child->reason == REASON_OFFLINE && child->has_state;
        sum.total++;
        sum.open += !judge_has_ended(child->status);
        sum.blocked += child->status == T(BLOCKED);
        sum.ok += child->status == T(FINISHED);
        sum.failed += child->status == T(FAILED);
        sum.expired += child->status == T(EXPIRED);
        sum.skipped += child->status == T(CANCELLED) && away;
        sum.cancelled += child->status == T(CANCELLED) && !away;
    }
    return sum;
}

static uint32_t needed_of(const Pawl__V1__Fanout *fanout, const tally_t *sum)
{
    uint32_t members = sum->total - sum->skipped;
    switch (fanout->done) {
    case PAWL__V1__FANOUT_DONE__FANOUT_ANY:
        return 1;
    case PAWL__V1__FANOUT_DONE__FANOUT_QUORUM:
        return fanout->done_count;
    case PAWL__V1__FANOUT_DONE__FANOUT_PERCENT:
        return (members * fanout->done_count + 99) / 100;
    default:
        return members;
    }
}

static bool wants_all(const Pawl__V1__Fanout *fanout)
{
    return fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_DONE_UNSPECIFIED ||
           fanout->done == PAWL__V1__FANOUT_DONE__FANOUT_ALL;
}

static void judge_finished(sim_t *sim, const mtask_t *parent, const tally_t *sum)
{
    uint32_t needed = needed_of(parent->fanout, sum);
    if (wants_all(parent->fanout) && sum->open)
        sim_fail(sim, "fan-out %llu finished, and %u of its %u children have not ended",
                 (unsigned long long)parent->n, sum->open, sum->total);
    if (sum->ok < needed || sum->ok == 0)
        sim_fail(sim, "fan-out %llu finished with %u of %u children, %u must",
                 (unsigned long long)parent->n, sum->ok, sum->total, needed);
}

/* It runs: then nothing is decided, and what may be released is. */
static void judge_running(sim_t *sim, const mtask_t *parent, const tally_t *sum)
{
    const Pawl__V1__Fanout *fanout = parent->fanout;
    uint32_t needed = needed_of(fanout, sum), active = sum->open - sum->blocked;
    bool waits = fanout->late_join; /* for who may still come */
    if (sum->open == 0 && !waits)
        sim_fail(sim, "fan-out %llu runs, and all its %u children have ended",
                 (unsigned long long)parent->n, sum->total);
    if (!wants_all(fanout) && sum->ok >= needed && needed)
        sim_fail(sim, "fan-out %llu runs, and %u of %u children finished, %u must",
                 (unsigned long long)parent->n, sum->ok, sum->total, needed);
    if (sum->blocked && !fanout->pause_us && (!fanout->parallel || active < fanout->parallel))
        sim_fail(sim, "fan-out %llu: %u children are blocked, %u of %u run",
                 (unsigned long long)parent->n, sum->blocked, active, fanout->parallel);
}

static void judge_hosts(sim_t *sim, const mtask_t *parent)
{
    judge_t *judge = sim->judge;
    if (parent->fanout->move) return;
    for (size_t i = 0; i < parent->children_n; i++) {
        const mtask_t *child = &judge->tasks[parent->children[i]];
        if (child->run && child->run_executor < judge->executors_n &&
            judge->executors[child->run_executor] &&
            strcmp(judge->executors[child->run_executor], child->host) != 0)
            sim_fail(sim, "child %llu is for %s and runs on %s", (unsigned long long)child->n,
                     child->host, judge->executors[child->run_executor]);
    }
}

static void judge_family(sim_t *sim, mtask_t *parent)
{
    const Pawl__V1__Fanout *fanout = parent->fanout;
    tally_t sum = count(sim, parent);
    if (!parent->there || parent->passes & PASS_REMOVE || sim->failed) return;
    bool goes_on = parent->goes_on_us && parent->goes_on_us <= sim->judge->broker_us;
    if (parent->passes && !goes_on)
        sim_fail(sim, "fan-out %llu: what was begun for all children does not go on",
                 (unsigned long long)parent->n);
    for (size_t i = 0; i < parent->children_n; i++) /* run again by hand beside the waves */
        parent->loose |= judge_was_told(sim->judge, &sim->judge->tasks[parent->children[i]], 0,
                                        100 + PAWL__V1__TASK_VERB__TASK_RETRY);
    if (fanout->parallel && sum.open - sum.blocked > fanout->parallel && !parent->loose)
        sim_fail(sim, "fan-out %llu: %u children at once, at most %u may be",
                 (unsigned long long)parent->n, sum.open - sum.blocked, fanout->parallel);
    judge_hosts(sim, parent);
    if (sum.skipped) sim_met(MET_SKIPPED);
    if (sum.expired) sim_met(MET_AWAY);
    if (parent->status == T(FINISHED)) judge_finished(sim, parent, &sum);
    if (parent->status == T(RUNNING) && !parent->cancel_asked && !goes_on)
        judge_running(sim, parent, &sum);
    if (judge_has_ended(parent->status) && sum.open > sum.blocked &&
        parent->status != parent->family_status)
        sim_met(MET_REST);
    if (judge_has_ended(parent->status) && sum.blocked && !goes_on && !leaves_rest(parent))
        sim_fail(sim, "fan-out %llu has ended, and %u children are blocked for ever",
                 (unsigned long long)parent->n, sum.blocked);
    if (parent->status != parent->family_status && parent->status == T(FINISHED))
        sim_met(MET_FANNED);
    if (parent->status != parent->family_status && parent->status == T(FAILED))
        sim_met(MET_FAN_FAILED);
    parent->family_status = parent->status;
}

void kin_judge(sim_t *sim)
{
    judge_t *judge = sim->judge;
    members_judge(sim);
    for (size_t i = 0; i < judge->families_n; i++) {
        mtask_t *parent = &judge->tasks[judge->families[i]];
        parent->family_touched = false;
        judge_family(sim, parent);
    }
    judge->families_n = 0;
    judge->batches++;
}

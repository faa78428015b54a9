/* SPDX-License-Identifier: Apache-2.0
 * What peers were told against the model, and what others ask of it. */
#include <stdio.h>

#include "tests/sim/judge.h"

/* ---- what peers were told -------------------------------------------------------------------- */

void judge_accepted(sim_t *sim, const uint8_t id[16], const uint8_t *other)
{
    const known_t *known = known_at(&sim->judge->ids, id);
    if (known->forgotten) return; /* while the answer was on its way */
    if (known->kind == 0)
        sim_fail(sim, "task %s was acknowledged and is not on record", hex(id, 16));
    if (other == NULL || known->kind != ID_ALIAS) return;
    if (memcmp(sim->judge->tasks[known->n].id, other, 16) != 0)
        sim_fail(sim, "id %s was answered with task %s, it stands for another", hex(id, 16),
                 hex(other, 16));
}

void judge_leased(sim_t *sim, const peer_t *peer, const Pawl__V1__Lease *lease)
{
    const known_t *known = known_at(&sim->judge->ids, lease->id.data);
    mtask_t *task = known->kind ? &sim->judge->tasks[known->n] : NULL;
    if (task == NULL || lease->token > task->token) {
        sim_fail(sim, "%s was given task %s with token %llx, which is not on record", peer->name,
                 hex(lease->id.data, 16), (unsigned long long)lease->token);
        return;
    }
    if (lease->token < task->holder_token) return; /* late, and fenced by now */
    for (size_t i = 0; i < sim->peers_n; i++)
        if (sim->peers[i].role == PEER_EXECUTOR && &sim->peers[i] != peer &&
            worker_runs(sim, &sim->peers[i], lease->id.data, lease->token))
            sim_fail(sim, "exclusive task %s: %s got it while %s still runs it", hex(task->id, 16),
                     peer->name, sim->peers[i].name);
    if (lease->token == task->holder_token && task->holder != peer->index)
        sim_fail(sim, "task %s: %s and peer %u were given the same token", hex(task->id, 16),
                 peer->name, task->holder);
    task->holder_token = lease->token;
    task->holder = peer->index;
    if (lease->completion.len != LIMIT_COMPLETION) {
        sim_fail(sim, "%s was given task %s without a completion token", peer->name,
                 hex(task->id, 16));
        return;
    }
    memcpy(task->completion, lease->completion.data, LIMIT_COMPLETION);
    if (lease->polls == 0) return;
    /* executors leave the token of the lease they answer: it must be one whose answer is on record
     */
    bool known_poll = false;
    for (size_t i = 0; lease->poll_state.len == 8 && i < task->reported_n; i++)
        known_poll |= task->reported[i] == be_u64(lease->poll_state.data);
    if (!known_poll)
        sim_fail(sim, "%s is asked again about task %s with what no poll has left", peer->name,
                 hex(task->id, 16));
    sim_met(MET_POLLED);
}

void judge_verdict(sim_t *sim, const peer_t *peer, const uint8_t id[16], uint64_t token,
                   Pawl__V1__Outcome outcome, Pawl__V1__ReportVerdict verdict)
{
    const known_t *known = known_at(&sim->judge->ids, id);
    mtask_t *task = known->kind == ID_TASK ? &sim->judge->tasks[known->n] : NULL;
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_UNKNOWN) {
        sim_met(MET_UNKNOWN);
        if (task && !task->purged)
            sim_fail(sim, "%s: the result of task %s was UNKNOWN", peer->name, hex(id, 16));
        return;
    }
    if (task == NULL || task->purged) return; /* purged meanwhile */
    bool recorded = false;
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_RECOVERED) sim_met(MET_RECOVERED);
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_STALE) sim_met(MET_STALE);
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_LATE) sim_met(MET_LATE);
    for (size_t i = 0; i < task->reported_n; i++)
        recorded |= task->reported[i] == token;
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_STALE) {
        if (task->token <= token)
            sim_fail(sim, "task %s: token %llx is called stale, there is no newer one", hex(id, 16),
                     (unsigned long long)token);
        return;
    }
    if (verdict == PAWL__V1__REPORT_VERDICT__REPORT_LATE) return;
    if (!recorded)
        sim_fail(sim, "%s was told that its result of task %s token %llx is recorded; it is not",
                 peer->name, hex(id, 16), (unsigned long long)token);
    if (outcome != PAWL__V1__OUTCOME__OUTCOME_DONE) return;
    if (task->status != T(FINISHED) || task->token != token)
        sim_fail(sim,
                 "%s was told that task %s is done with token %llx; its status is %d, token %llx",
                 peer->name, hex(id, 16), (unsigned long long)token, task->status,
                 (unsigned long long)task->token);
    if (task->done_token && task->done_token != token)
        sim_fail(sim, "task %s was accepted as done twice", hex(id, 16));
    task->done_token = token;
}

/* ---- rest ------------------------------------------------------------------------------------ */

size_t judge_unfinished(sim_t *sim, char *what, size_t len)
{
    judge_t *judge = sim->judge;
    const mtask_t *task;
    size_t n = 0;
    for (size_t i = 0; (task = judge_next_open(judge, &i)) != NULL;) {
        if (!task->there || judge_has_ended(task->status)) continue;
        if (n++ == 0 && what)
            snprintf(what, len,
                     "task %llu status %d parked %d schedule %u attempt token %llx executor %u",
                     (unsigned long long)task->n, task->status, task->parked, task->schedule,
                     (unsigned long long)task->token, task->run_executor);
    }
    return n;
}

size_t judge_ended(const sim_t *sim)
{
    return sim->judge->over_n;
}

size_t judge_backlog(sim_t *sim)
{
    size_t n = 0;
    for (size_t i = 0; i < sim->judge->schedules_n; i++)
        n += ledger_due(sim, &sim->judge->schedules[i]);
    return n;
}

const mtask_t *judge_work_waits(sim_t *sim, int64_t since_us)
{
    judge_t *judge = sim->judge;
    const mtask_t *task;
    for (size_t i = 0; (task = judge_next_open(judge, &i)) != NULL;) {
        if (task->there && task->status == T(WAITING) && !task->parked && !task->targeted &&
            task->waiting_since_us <= since_us &&
            !(task->queue < ARRAY_LEN(judge->queue_paused) && judge->queue_paused[task->queue]))
            return task;
    }
    return NULL;
}

uint32_t judge_held_by(sim_t *sim, const char *executor, bool for_good)
{
    judge_t *judge = sim->judge;
    const mtask_t *task;
    uint32_t held = 0;
    for (size_t i = 0; (task = judge_next_open(judge, &i)) != NULL;) {
        if (task->run && !(for_good && task->run_lost) && task->run_executor < judge->executors_n &&
            judge->executors[task->run_executor] &&
            strcmp(judge->executors[task->run_executor], executor) == 0)
            held++;
    }
    return held;
}

size_t judge_held(sim_t *sim, uint8_t ids[][16], size_t room)
{
    const mtask_t *task;
    size_t n = 0;
    for (size_t i = 0; n < room && (task = judge_next_open(sim->judge, &i)) != NULL;)
        if (task->there && task->status == T(HELD)) memcpy(ids[n++], task->id, 16);
    return n;
}

size_t judge_external(sim_t *sim, uint8_t tokens[][LIMIT_COMPLETION], size_t room)
{
    const mtask_t *task;
    size_t n = 0;
    for (size_t i = 0; n < room && (task = judge_next_open(sim->judge, &i)) != NULL;)
        if (task->there && task->status == T(EXTERNAL) && task->holder_token == task->token)
            memcpy(tokens[n++], task->completion, LIMIT_COMPLETION);
    return n;
}

bool judge_pick(sim_t *sim, uint8_t id[16])
{
    judge_t *judge = sim->judge;
    if (judge->tasks_n < 2) return false;
    uint64_t span = judge->tasks_n - 1 < 40 ? judge->tasks_n - 1 : 40;
    const mtask_t *task = &judge->tasks[judge->tasks_n - 1 - sim_below(sim, span)];
    memcpy(id, task->id, 16);
    return task->there;
}

/* The nth of those that have not finished, the newest first; none: `id` stays as it is. */
void judge_pick_parent(sim_t *sim, uint64_t nth, uint8_t id[16])
{
    enum { NEWEST = 6 };
    judge_t *judge = sim->judge;
    const mtask_t *found[NEWEST];
    size_t n = 0;
    for (size_t i = judge->tasks_n; i-- > 1 && n < NEWEST;)
        if (judge->tasks[i].there && judge->tasks[i].fanout &&
            judge->tasks[i].status != T(FINISHED))
            found[n++] = &judge->tasks[i];
    if (n) memcpy(id, found[nth % n]->id, 16);
}

size_t judge_old_ones(sim_t *sim, uint64_t *ns, size_t room)
{
    judge_t *judge = sim->judge;
    size_t n = 0;
    while (judge->present < judge->tasks_n && judge->tasks[judge->present].purged)
        judge->present++;
    for (size_t i = judge->present; i < judge->tasks_n && n < room; i++)
        if (judge->tasks[i].there && judge_has_ended(judge->tasks[i].status) && sim_coin(sim, 30))
            ns[n++] = i;
    return n;
}

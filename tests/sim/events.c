/* SPDX-License-Identifier: Apache-2.0
 * The journal: each event is a step of the table of statuses, and somebody asked for it. */
#include "tests/sim/judge.h"

/* Nobody has the task, and no result of its newest token was on record when the batch began. */
static bool may_recover(const mtask_t *task)
{
    if (task->token == 0 || (task->journal != T(WAITING) && task->journal != T(DELAYED)))
        return false;
    for (size_t i = 0; i < task->reported_before; i++)
        if (task->reported[i] == task->token) return false;
    return true;
}

static bool may_follow(const mtask_t *task, uint8_t event)
{
    uint8_t from = task->journal;
    bool waits = from == T(WAITING) || from == T(DELAYED);
    bool recovered = may_recover(task);
    if (kin_may_follow(task, event)) return true;
    switch (event) {
    case EVENT_CREATED:
        return from == 0;
    case EVENT_HELD:
        return waits;
    case EVENT_DELAYED:
        return from == T(RUNNING) || from == T(HELD) || from == T(EXTERNAL) ||
               (from == T(WAITING) && task->token == 0) || recovered;
    case EVENT_WAITING:
        return from == T(DELAYED) || from == T(HELD) || from == T(RUNNING) || recovered ||
               (judge_has_ended(from) && from != T(FINISHED));
    case EVENT_RUNNING:
        return from == T(WAITING) || recovered;
    case EVENT_LOST:
    case EVENT_CANCELLING:
        return from == T(RUNNING);
    case EVENT_EXTERNAL:
    case EVENT_FINISHED:
    case EVENT_FAILED:
        return from == T(RUNNING) || from == T(EXTERNAL) || recovered;
    case EVENT_CANCELLED:
        return waits || from == T(HELD) || from == T(RUNNING) || from == T(EXTERNAL);
    case EVENT_SUPERSEDED:
        return waits;
    case EVENT_EXPIRED:
        return waits || from == T(HELD);
    default:
        return false;
    }
}

static uint8_t status_of_event(uint8_t event, uint8_t before)
{
    static const struct {
        uint8_t event, status;
    } map[] = { { EVENT_HELD, T(HELD) },           { EVENT_BLOCKED, T(BLOCKED) },
                { EVENT_DELAYED, T(DELAYED) },     { EVENT_WAITING, T(WAITING) },
                { EVENT_RUNNING, T(RUNNING) },     { EVENT_EXTERNAL, T(EXTERNAL) },
                { EVENT_FINISHED, T(FINISHED) },   { EVENT_FAILED, T(FAILED) },
                { EVENT_CANCELLED, T(CANCELLED) }, { EVENT_SUPERSEDED, T(SUPERSEDED) },
                { EVENT_EXPIRED, T(EXPIRED) } };
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].event == event) return map[i].status;
    return event == EVENT_CREATED ? T(WAITING) : before;
}

/* A parent ends as cancelled when its children were. */
static bool child_cancelled(sim_t *sim, const mtask_t *task)
{
    for (size_t i = 0; i < task->children_n; i++)
        if (judge_at(sim->judge, task->children[i])->journal == T(CANCELLED)) return true;
    return false;
}

static const char *unfounded(sim_t *sim, const mtask_t *task, const journal_entry_t *e)
{
    judge_t *judge = sim->judge;
    const char *against = e->event == EVENT_RUNNING ? kin_against(sim, task) : NULL;
    if (against) return against;
    if (kin_founded(sim, task, e->event)) return NULL;
    switch (e->event) {
    case EVENT_EXTERNAL:
        if (!judge_was_told(judge, task, 0, PAWL__V1__OUTCOME__OUTCOME_ASYNC) &&
            !judge_was_told(judge, task, 0, TOLD_EXTEND))
            return "external without a report that says so";
        break;
    case EVENT_FINISHED:
        if (!judge_was_told(judge, task, 0, PAWL__V1__OUTCOME__OUTCOME_DONE) &&
            !judge_was_told(judge, task, 0, TOLD_COMPLETE))
            return "finished without a report that says so";
        break;
    case EVENT_WAITING:
        if (judge_has_ended(task->journal) &&
            !judge_was_told(judge, task, 0, 100 + PAWL__V1__TASK_VERB__TASK_RETRY))
            return "runs again without anybody asking";
        break;
    case EVENT_BLOCKED:
        if (judge_has_ended(task->journal)) return "runs again without anybody asking";
        break;
    case EVENT_HELD:
        if (task->journal != T(WAITING) &&
            !judge_was_told(judge, task, 0, 100 + PAWL__V1__TASK_VERB__TASK_HOLD))
            return "held without anybody asking";
        break;
    case EVENT_CANCELLING:
        if (!task->schedule &&
            !judge_was_told(judge, task, 0, 100 + PAWL__V1__TASK_VERB__TASK_CANCEL))
            return "cancelling without anybody asking";
        break;
    case EVENT_CANCELLED:
        if (!task->schedule && !task->cancel_asked && !child_cancelled(sim, task) &&
            !judge_was_told(judge, task, 0, 100 + PAWL__V1__TASK_VERB__TASK_CANCEL))
            return "cancelled without anybody asking";
        break;
    case EVENT_EXPIRED:
        if (!(task->spec_flags & SPEC_EXPIRES)) return "expired, but never expires";
        break;
    case EVENT_SUPERSEDED:
        if (!task->schedule) return "superseded, but of no schedule";
        break;
    case EVENT_RUNNING:
        if (task->at_most_once && task->lost) return "at most once, and leased after a loss";
        break;
    default:
        break;
    }
    return NULL;
}

static void on_event(sim_t *sim, const journal_entry_t *entry)
{
    judge_t *judge = sim->judge;
    mtask_t *task = judge_touch(judge, entry->subject);
    if (entry->event == EVENT_PURGED) return;
    sim_say(sim, "task %llu %s", (unsigned long long)entry->subject,
            journal_event_text(entry->event));
    const char *wrong = may_follow(task, entry->event) ? unfounded(sim, task, entry)
                                                       : "not a step of the table of statuses";
    if (wrong)
        sim_fail(sim, "task %llu (%s): event %s after status %d: %s",
                 (unsigned long long)entry->subject, hex(task->id, 16),
                 journal_event_text(entry->event), task->journal, wrong);
    if (entry->event == EVENT_LOST)
        task->lost = true;
    else if (entry->event == EVENT_RUNNING || judge_has_ended(task->journal))
        task->lost = false;
    if (entry->event == EVENT_CANCELLING) task->cancel_asked = true;
    bool again = entry->event == EVENT_WAITING || entry->event == EVENT_BLOCKED;
    if (again && judge_has_ended(task->journal)) {
        sim_met(MET_AGAIN);
        task->cancel_asked = false;
        task->retried = true;
        task->done_token = 0;
    }
    task->journal = status_of_event(entry->event, task->journal);
}

void events_row(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    judge_t *judge = sim->judge;
    journal_unpack_t unpack;
    journal_entry_t entry;
    if (gone) return;
    if (key.len != 8 || !journal_unpack_begin(&unpack, be_u64(key.at), value)) {
        sim_fail(sim, "a journal row cannot be read");
        return;
    }
    while (journal_unpack_next(&unpack, &entry)) {
        if (entry.seq < judge->next_seq) continue; /* the row was there, it grew */
        if (entry.seq != judge->next_seq)
            sim_fail(sim, "the journal jumps from %llu to %llu",
                     (unsigned long long)judge->next_seq, (unsigned long long)entry.seq);
        judge->next_seq = entry.seq + 1;
        if (entry.event < 32) on_event(sim, &entry);
        judge->gave_way |= entry.event == EVENT_HISTORY_GAVE_WAY;
        attended_event(sim, &entry);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Schedulers that choose schedules by labels: which schedules nobody looks after, and whether that
 * is told. */
#include "tests/sim/judge.h"

/* The choices that schedulers of the simulator make, read by eye. */
static bool chooses(const char *select, const char *team)
{
    if (strcmp(select, "team") == 0) return team != NULL;
    if (strcmp(select, "!team") == 0) return team == NULL;
    if (strncmp(select, "team!=", 6) == 0) return team == NULL || strcmp(team, select + 6) != 0;
    if (strncmp(select, "team=", 5) == 0) return team && strcmp(team, select + 5) == 0;
    return true;
}

bool attended_chooses(const char *select, Pawl__V1__Label *const *labels, size_t n)
{
    const char *team = NULL;
    for (size_t i = 0; i < n; i++)
        if (strcmp(labels[i]->key, "team") == 0) team = labels[i]->value;
    return chooses(select, team);
}

/* Would it fire, if somebody looked after it, and does nobody? */
static bool alone(const sim_t *sim, const mschedule_t *schedule)
{
    if (!schedule->there || schedule->gone || schedule->paused || schedule->revisions_n == 0)
        return false;
    mrevision_t *revision = &schedule->revisions[schedule->revisions_n - 1];
    if (!ledger_goes_on(schedule, revision)) return false;
    for (size_t i = 0; i < sim->peers_n; i++)
        if (sim->peers[i].role == PEER_SCHEDULER &&
            attended_chooses(planner_select(&sim->peers[i]), revision->spec->labels,
                             revision->spec->n_labels))
            return false;
    return true;
}

void attended_event(sim_t *sim, const journal_entry_t *entry)
{
    if (entry->event == EVENT_SCHEDULE_UNATTENDED) {
        sim->judge->alone_told = entry->aux;
        sim_met(MET_ALONE);
    } else if (entry->event == EVENT_SCHEDULE_ATTENDED) {
        sim->judge->alone_told = 0;
        sim_met(MET_ATTENDED);
    }
}

void attended_judge(sim_t *sim)
{
    const judge_t *judge = sim->judge;
    uint64_t n = 0;
    unsigned first = 0;
    for (size_t i = 0; i < judge->schedules_n; i++) {
        if (!alone(sim, &judge->schedules[i])) continue;
        if (n++ == 0) first = judge->schedules[i].no;
    }
    if (n != judge->alone_told)
        sim_fail(sim, "nobody looks after %llu schedules (the first is %u), %llu are told",
                 (unsigned long long)n, first, (unsigned long long)judge->alone_told);
}

void attended_changed(sim_t *sim)
{
    sim->judge->attended_changed_us = sim->now_us;
}

bool attended_is_calm(const sim_t *sim)
{
    for (size_t i = 0; i < sim->peers_n; i++)
        if (sim->peers[i].role == PEER_SCHEDULER && !sim->peers[i].welcomed) return false;
    return sim->now_us - sim->judge->attended_changed_us > ATTENDED_CALM_US;
}

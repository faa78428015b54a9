/* SPDX-License-Identifier: Apache-2.0
 * How many tasks of schedules are under lease at once: no more than a policy allows, each at its
 * own gate or together with others. */
#include "tests/sim/judge.h"

#include <stdlib.h>

/* How many may be under lease at a gate, as far as this task of it may tell; 0: no bound. */
static uint32_t most_at(const mtask_t *task, const mschedule_t *schedule)
{
    if (schedule->loose || schedule->revisions_n == 0) return 0;
    const Pawl__V1__Schedule *spec = schedule->revisions[schedule->revisions_n - 1].spec;
    if (spec == NULL) return 0;
    for (size_t i = 0; task->gate[0] == GATE_RANGE && i < schedule->ranges_n; i++) {
        const range_row_t *row = &schedule->ranges[i].row;
        if (schedule->ranges[i].no == task->range &&
            (row->overlap == PAWL__V1__OVERLAP__OVERLAP_ALLOW ||
             row->overlap == PAWL__V1__OVERLAP__OVERLAP_KILL))
            return 0;
    }
    return spec->max_running;
}

/* Under lease at one gate that is not a schedule's own. */
typedef struct crowd {
    uint8_t gate[16];
    uint32_t leased, most;
    bool loose;
} crowd_t;

static void join_crowd(crowd_t **crowds, size_t *n, const mtask_t *task, uint32_t most)
{
    size_t i = 0;
    while (i < *n && memcmp((*crowds)[i].gate, task->gate, 16) != 0)
        i++;
    if (i == *n) {
        *crowds = mem_grow(*crowds, (*n + 1) * sizeof **crowds);
        (*crowds)[(*n)++] = (crowd_t){ 0 };
        memcpy((*crowds)[i].gate, task->gate, 16);
    }
    crowd_t *crowd = &(*crowds)[i];
    crowd->leased++;
    crowd->loose |= most == 0;
    if (most > crowd->most) crowd->most = most;
}

/* Who came last found room by the bound of its own schedule, so all together are within the largest
 * of their bounds. */
void crowd_judge(sim_t *sim)
{
    judge_t *judge = sim->judge;
    crowd_t *crowds = NULL;
    size_t crowds_n = 0;
    for (size_t i = 0; i < judge->schedules_n; i++)
        judge->schedules[i].leased = 0;
    const mtask_t *task;
    for (size_t i = 0; (task = judge_next_open(judge, &i)) != NULL;) {
        if ((!task->run && task->status != T(EXTERNAL)) || !task->there || !task->schedule ||
            task->schedule >= judge->schedules_n)
            continue;
        mschedule_t *schedule = &judge->schedules[task->schedule];
        if (task->gate[0] == GATE_OVERLAP) {
            uint32_t most = most_at(task, schedule);
            if (++schedule->leased > most && most)
                sim_fail(sim, "schedule %u has %u tasks under lease, its policy allows %u",
                         schedule->no, schedule->leased, most);
        } else {
            sim_met(task->gate[0] == GATE_SCOPE ? MET_SCOPED : MET_APART);
            join_crowd(&crowds, &crowds_n, task, most_at(task, schedule));
        }
    }
    for (size_t i = 0; i < crowds_n; i++) {
        if (crowds[i].leased > 1 && crowds[i].gate[0] == GATE_SCOPE) sim_met(MET_TOGETHER);
        if (!crowds[i].loose && crowds[i].leased > crowds[i].most)
            sim_fail(sim, "%u tasks are under lease at one gate, %u may be", crowds[i].leased,
                     crowds[i].most);
    }
    free(crowds);
}

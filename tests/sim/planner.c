/* SPDX-License-Identifier: Apache-2.0
 * A scheduler: follows all schedules and proposes by a clock of its own that may be wrong. */
#include "tests/sim/sim.h"

#include <stdlib.h>

enum { ASK_FOLLOW = 1, ASK_PROPOSE = 2, PLANS_MAX = 160 };

typedef struct known_plan {
    uint8_t uid[16];
    uint64_t revision;
    int64_t cursor_us, next_us, jitter_us, retry_us;
    bool asked;
    uint32_t range; /* 0: the schedule itself */
} known_plan_t;

typedef struct planner {
    int64_t skew_us; /* its clock minus the broker's, as it is; corrected when it is told */
    int64_t followed_us;
    bool mirror;        /* proposes what it should not, now and then */
    bool brief;         /* follows in the short form */
    bool chose_all;     /* once the world is quiet */
    const char *select; /* the labels it chooses by; "": all */
    known_plan_t plans[PLANS_MAX];
    size_t n;
} planner_t;

void planner_start(sim_t *sim, peer_t *peer)
{
    planner_t *self = peer->self = mem_new(sizeof *self);
    if (sim_coin(sim, 50)) self->skew_us = sim_between(sim, -3 * SEC_US, 3 * SEC_US);
    self->mirror = sim_coin(sim, 30);
    self->brief = sim_coin(sim, 50);
    static const char *const selects[] = { "", "team=a", "team=b", "team!=a", "team", "!team" };
    self->select = selects[sim->swarm.choices ? sim_below(sim, ARRAY_LEN(selects)) : 0];
}

bool planner_chose_all(const peer_t *peer)
{
    return ((const planner_t *)peer->self)->chose_all;
}

const char *planner_select(const peer_t *peer)
{
    return ((const planner_t *)peer->self)->select;
}

void planner_free(peer_t *peer)
{
    free(peer->self);
}

void planner_forget(peer_t *peer)
{
    ((planner_t *)peer->self)->n = 0;
}

static known_plan_t *find(planner_t *self, const uint8_t *uid, uint32_t range)
{
    for (size_t i = 0; i < self->n; i++)
        if (memcmp(self->plans[i].uid, uid, 16) == 0 && self->plans[i].range == range)
            return &self->plans[i];
    return NULL;
}

static void keep(planner_t *self, const uint8_t *uid, const known_plan_t *told)
{
    known_plan_t *plan = find(self, uid, told->range);
    if (plan == NULL) {
        if (self->n == PLANS_MAX) return;
        plan = &self->plans[self->n++];
    }
    *plan = *told;
    memcpy(plan->uid, uid, 16);
}

static void drop(planner_t *self, known_plan_t *plan)
{
    *plan = self->plans[--self->n];
}

static void take(sim_t *sim, planner_t *self, const Pawl__V1__ScheduleInfo *info)
{
    if (info->name[0] && !info->removed && /* the short form has no labels */
        !attended_chooses(self->select, info->labels, info->n_labels))
        sim_fail(sim, "schedule %s was told to a scheduler that chooses \"%s\"", info->name,
                 self->select);
    known_plan_t told = { .revision = info->revision,
                          .cursor_us = info->cursor_us,
                          .next_us = info->next_us,
                          .jitter_us = info->jitter_us };
    if (!info->removed) {
        keep(self, info->uid.data, &told);
    } else {
        for (size_t i = self->n; i-- > 0;)
            if (memcmp(self->plans[i].uid, info->uid.data, 16) == 0) drop(self, &self->plans[i]);
    }
    for (size_t i = 0; i < info->n_ranges; i++) {
        const Pawl__V1__RangeInfo *range = info->ranges[i];
        told = (known_plan_t){ .range = range->number,
                               .revision = range->revision,
                               .cursor_us = range->cursor_us,
                               .next_us = strcmp(range->state, "open") == 0 ? 1 : 0 };
        keep(self, info->uid.data, &told);
    }
}

static void follow(sim_t *sim, peer_t *peer, char *after)
{
    planner_t *self = peer->self;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleFollow body = PAWL__V1__SCHEDULE_FOLLOW__INIT;
    self->followed_us = sim->now_us;
    body.after = after;
    body.limit = 3;
    body.brief = self->brief;
    body.select = (char *)(uintptr_t)self->select;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW;
    request.schedule_follow = &body;
    peer_ask(sim, peer, &request, ASK_FOLLOW, 0);
}

void planner_welcome(sim_t *sim, peer_t *peer)
{
    planner_t *self = peer->self;
    for (size_t i = 0; i < self->n; i++)
        self->plans[i].asked = false;
    attended_changed(sim);
    follow(sim, peer, (char *)(uintptr_t) "");
}

void planner_push(sim_t *sim, peer_t *peer, const Pawl__V1__Push *push)
{
    if (push->body_case != PAWL__V1__PUSH__BODY_SCHEDULES) return;
    for (size_t i = 0; i < push->schedules->n_items; i++)
        take(sim, peer->self, push->schedules->items[i]);
}

/* Faults are over: when it has had time to be told what nobody looks after, that is judged, and the
 * first one looks after everything, so that the world comes to rest. */
static void choose_all(sim_t *sim, peer_t *peer)
{
    planner_t *self = peer->self;
    if (strcmp(peer->name, "planner-0") != 0 || self->chose_all || !attended_is_calm(sim) ||
        sim->now_us - sim->quiet_us < 3 * sim->swarm.lease_us)
        return;
    attended_judge(sim);
    self->chose_all = true;
    if (self->select[0] == '\0') return;
    self->select = "";
    attended_changed(sim);
    follow(sim, peer, (char *)(uintptr_t) "");
}

void planner_tick(sim_t *sim, peer_t *peer)
{
    planner_t *self = peer->self;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose propose = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal items[16], *list[16];
    if (!peer->welcomed || peer->pending_n > 2) return;
    if (sim->quiet) choose_all(sim, peer);
    if (sim->now_us - self->followed_us > 20 * SEC_US) follow(sim, peer, (char *)(uintptr_t) "");
    int64_t wall = sim_wall_us(sim) + self->skew_us;
    for (size_t i = 0; i < self->n && propose.n_items < ARRAY_LEN(items); i++) {
        known_plan_t *plan = &self->plans[i];
        bool wild = self->mirror && sim_chance(sim, 20);
        if (!wild &&
            (plan->asked || plan->next_us == 0 || plan->next_us > wall || plan->retry_us > wall))
            continue;
        Pawl__V1__Proposal *one = &items[propose.n_items];
        pawl__v1__proposal__init(one);
        one->uid.data = plan->uid;
        one->uid.len = 16;
        one->revision = plan->revision;
        one->expect_cursor_us = plan->cursor_us;
        one->range = plan->range;
        one->new_cursor_us = wall - plan->jitter_us;
        if (wild) one->new_cursor_us += sim_between(sim, -100 * SEC_US, 100 * SEC_US);
        if (wild && sim_coin(sim, 30)) one->expect_cursor_us += SEC_US;
        if (one->new_cursor_us < 0) continue;
        list[propose.n_items++] = one;
        plan->asked = true;
    }
    if (propose.n_items == 0) return;
    propose.items = list;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &propose;
    peer_ask(sim, peer, &request, ASK_PROPOSE, 0);
}

static void on_proposed(sim_t *sim, planner_t *self, const pending_t *asked,
                        const Pawl__V1__Proposed *proposed)
{
    Pawl__V1__Request *request = pawl__v1__request__unpack(NULL, asked->len, asked->body);
    CHECK(request != NULL && request->body_case == PAWL__V1__REQUEST__BODY_PROPOSE);
    if (proposed->n_items != request->propose->n_items)
        sim_fail(sim, "%zu proposals, %zu answers", request->propose->n_items, proposed->n_items);
    bool corrected = sim->quiet; /* a clock that is behind shows in nothing but slowness */
    for (size_t i = 0; i < proposed->n_items && i < request->propose->n_items; i++) {
        const Pawl__V1__ProposalAnswer *answer = proposed->items[i];
        const Pawl__V1__Proposal *proposal = request->propose->items[i];
        known_plan_t *plan = find(self, proposal->uid.data, proposal->range);
        if (plan == NULL) continue;
        plan->asked = false;
        plan->retry_us = 0;
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_CONFLICT) sim_met(MET_CONFLICT);
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD) sim_met(MET_HELD);
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_GONE) {
            sim_met(MET_GONE);
            drop(self, plan);
            continue;
        }
        plan->revision = answer->revision;
        plan->cursor_us = answer->cursor_us;
        plan->next_us = answer->next_us;
        plan->retry_us = answer->retry_us;
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_TOO_EARLY) {
            sim_met(MET_TOO_EARLY);
            corrected = true;
        }
        if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD && answer->retry_us == 0)
            plan->next_us = 0; /* a push tells */
    }
    if (corrected) self->skew_us = proposed->wall_us - sim_wall_us(sim);
    pawl__v1__request__free_unpacked(request, NULL);
}

void planner_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply)
{
    planner_t *self = peer->self;
    if (asked->kind == ASK_PROPOSE && reply->body_case == PAWL__V1__REPLY__BODY_PROPOSED) {
        on_proposed(sim, self, asked, reply->proposed);
    } else if (asked->kind == ASK_PROPOSE) {
        for (size_t i = 0; i < self->n; i++)
            self->plans[i].asked = false;
    } else if (reply->body_case == PAWL__V1__REPLY__BODY_SCHEDULES) {
        for (size_t i = 0; i < reply->schedules->n_items; i++)
            take(sim, self, reply->schedules->items[i]);
        if (reply->schedules->next[0]) follow(sim, peer, reply->schedules->next);
    }
}

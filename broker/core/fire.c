/* SPDX-License-Identifier: Apache-2.0
 * fire.c - what becomes of each instant of a schedule.
 *
 * A scheduler proposes "decide up to T"; the instants of (cursor, T] are computed here, each gets
 * exactly one verdict, and verdicts, tasks, counters and the new cursor are one transaction. A
 * proposal that is behind gets CONFLICT and changes nothing, so any number of schedulers may run.
 *
 *   normal   late instants are skipped as one range, on-time ones fire
 *   latest   late instants are folded into the last of them, which fires
 *   strict   every instant fires, oldest first; beyond `ahead` unfinished tasks, or faster than
 *            `rate` when late, the cursor waits: the backlog is one integer
 *
 * The cursor is the last decided instant. */
#include "broker/core/inside.h"

#include <stdlib.h>

#define RATE_ALL 1000 /* late tasks a second over all schedules */

/* ---- one firing
 * ---------------------------------------------------------------------------------------- */

static bool supersedes(const plan_t *plan)
{
    if (plan->spec->after_us) return false; /* what is open holds the next one back */
    if (plan->spec->supersede_set_case) return plan->spec->supersede;
    return plan->spec->mode == PAWL__V1__MODE__MODE_NORMAL;
}

static int64_t period_us(const plan_t *plan, int64_t instant)
{
    int64_t next = plan_next_us(plan, instant);
    return next == INT64_MAX ? INT64_MAX : next - instant;
}

static int64_t grace_us(const plan_t *plan, int64_t instant)
{
    int64_t grace = DEFAULT_GRACE_US;
    if (plan->spec->grace_set_case)
        grace = plan->spec->grace_us;
    else if (plan_is_dated(plan))
        grace = 300 * PAWL_SEC_US;
    int64_t half = period_us(plan, instant) / 2;
    return grace < half ? grace : half;
}

static int64_t start_by_us(const plan_t *plan, int64_t instant)
{
    if (plan->spec->start_by_set_case)
        return plan->spec->start_by_us ? instant + plan->spec->start_by_us : 0;
    if (!supersedes(plan)) return 0;
    /* The next instant takes its place; a little later it goes even when nobody proposes that. */
    int64_t next = plan_next_us(plan, instant);
    return next == INT64_MAX ? 0 : next + plan_jitter_us(plan) + grace_us(plan, next);
}

/* One instant on its way to a verdict. */
typedef struct decision {
    range_t *range; /* NULL: of the live line */
    int64_t instant_us;
    bool late;
    enum verdict_reason reason; /* if it fires */
    int64_t folded_first_us;    /* mode latest: with these before it */
    uint64_t folded_count;
} decision_t;

static err_t make_task(core_t *core, plan_t *plan, firing_t *firing, enum cause cause,
                       uint64_t number, const uint8_t gate[16], bool parked)
{
    firing->schedule = plan->no;
    firing->gate = memcmp(gate, plan->gate_id, 16) == 0 ? NULL : gate;
    firing->parked = parked;
    firing_id(core->fixed.secret, plan->row.uid, firing->instant_us, (uint8_t)cause, number,
              firing->id);
    TRY(plan_count_in(core, plan, gate, parked));
    after_made(plan);
    uint64_t n;
    slice_t bytes = slice(plan->spec->task.data, plan->spec->task.len);
    TRY(task_fire(core, firing, plan->template, bytes, plan->row.principal, &n));
    if (cause == CAUSE_LIVE && firing->range == 0) plan->cur.last_n = n; /* it may be superseded */
    core->ops++;
    return parked ? plan_park(core, plan, gate, n) : ERR_OK;
}

/* A backfill is asked for so that its instants run: a policy that would drop all but one of them
 * holds for it only when it was said with it. */
static Pawl__V1__Overlap overlap_of(const plan_t *plan, const range_t *range)
{
    if (range && range->row.overlap) return (Pawl__V1__Overlap)range->row.overlap;
    Pawl__V1__Overlap overlap = plan->spec->overlap;
    if (range && (overlap == PAWL__V1__OVERLAP__OVERLAP_SKIP ||
                  overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE ||
                  overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST))
        return PAWL__V1__OVERLAP__OVERLAP_QUEUE_ALL;
    return overlap;
}

/* Decides one instant: a task, or skipped because of what still runs. */
static err_t decide(core_t *core, plan_t *plan, const decision_t *decision, bool *fired)
{
    enum admission answer;
    range_t *range = decision->range;
    int64_t instant = decision->instant_us;
    extent_t extent = { .from_us = instant, .to_us = instant, .count = 1 };
    if (range == NULL && supersedes(plan)) TRY(plan_supersede(core, plan));
    uint8_t gate[16];
    plan_gate(plan, range, gate);
    TRY(plan_admit(core, plan, gate, overlap_of(plan, range), &answer));
    *fired = answer != DROP;
    if (answer == DROP) {
        extent.verdict = VERDICT_SKIPPED;
        extent.reason = VERDICT_REASON_OVERLAP;
        TRY(plan_blocker(core, plan, gate, &extent.aux));
        TRY(ledger_add(core, plan, range, &extent));
        /* what stands in the way may be another schedule's: then no end of ours arms it again */
        if (range == NULL) after_skipped(core, plan);
        return ERR_OK;
    }
    firing_t firing = { .instant_us = instant,
                        .late = decision->late,
                        .range = range ? range->no : 0,
                        .folded_first_us = decision->folded_first_us,
                        .folded_count = decision->folded_count,
                        .start_by_us = range ? 0 : start_by_us(plan, instant) };
    enum cause cause = range ? (enum cause)range->row.cause : CAUSE_LIVE;
    uint64_t number = cause == CAUSE_BACKFILL ? range->no : 0;
    TRY(make_task(core, plan, &firing, cause, number, gate, answer == PARK));
    if (cause == CAUSE_LIVE) {
        plan->cur.fired++;
        if (instant > plan->cur.last_fired_us) plan->cur.last_fired_us = instant;
    }
    extent.verdict = VERDICT_FIRED;
    extent.reason = (uint8_t)decision->reason;
    return ledger_add(core, plan, range, &extent);
}

static space_cost_t firing_cost(const core_t *core, const plan_t *plan)
{
    space_cost_t cost = space_cost(SPACE_FIRE, plan->spec->task.len, core->space.page_bytes);
    if (plan->template->fanout)
        space_add(&cost, SPACE_CHILD, enrol_most(core, plan->template->fanout), 0,
                  core->space.page_bytes);
    return cost;
}

/* By hand: there is room for what it writes, or the reply says that there is none. Room is asked
 * for last: what is taken of it is gone for the batch. */
static bool may_fire_now(core_t *core, const plan_t *plan, Pawl__V1__Reply *reply)
{
    space_cost_t cost = firing_cost(core, plan);
    if (plan->template->fanout) reply->error = family_crowd(core);
    return reply->error == NULL && space_or_refuse(core, &cost, "its task", reply);
}

err_t schedule_fire_now(core_t *core, plan_t *plan, Pawl__V1__Overlap overlap, uint8_t id[16],
                        Pawl__V1__Reply *reply)
{
    enum admission answer;
    if (overlap == PAWL__V1__OVERLAP__OVERLAP_UNSPECIFIED) overlap = plan->spec->overlap;
    uint8_t gate[16];
    if (!may_fire_now(core, plan, reply)) return ERR_OK;
    plan_gate(plan, NULL, gate);
    TRY(plan_admit(core, plan, gate, overlap, &answer));
    if (answer == DROP) {
        refuse(core, reply, ERR_CONFLICT, "overlap", "%s",
               overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE
                   ? "one is waiting already, and its overlap policy is queue_one"
               : plan->scoped
                   ? "what it counts together with is running, and its overlap policy is skip: "
                     "wait, or say --overlap allow"
                   : "it is running, and its overlap policy is skip: wait, or say --overlap "
                     "allow");
        return ERR_OK;
    }
    firing_t firing = { .instant_us = core->wall_us, .manual = true };
    TRY(make_task(core, plan, &firing, CAUSE_MANUAL, ++plan->cur.number, gate, answer == PARK));
    memcpy(id, firing.id, 16);
    return ERR_OK;
}

/* ---- a proposal
 * ------------------------------------------------------------------------------------------- */

typedef struct outcome {
    uint32_t fired;
    uint64_t skipped;
    bool held;        /* no room: a push tells when there is */
    int64_t retry_us; /* or: look again at this instant (wall) */
} outcome_t;

/* Late only because zone data changed counts as on time. */
static bool is_late(core_t *core, const plan_t *plan, int64_t instant)
{
    return instant > plan->cur.zone_us &&
           core->wall_us - (instant + plan_jitter_us(plan)) > grace_us(plan, instant);
}

bool plan_is_late(core_t *core, const plan_t *plan)
{
    int64_t next = plan_next_us(plan, plan->cur.cursor_us);
    return next <= core->wall_us && is_late(core, plan, next);
}

static enum verdict_reason on_time(const plan_t *plan, int64_t instant)
{
    return instant <= plan->cur.zone_us ? VERDICT_REASON_ZONE : VERDICT_REASON_ON_TIME;
}

/* Tokens in microseconds: a firing costs a second divided by the rate; at most a second is saved.
 */
static bool take_token(int64_t now_us, int64_t *at_us, int64_t *tokens_us, uint32_t rate,
                       int64_t *wait_us)
{
    int64_t cost = PAWL_SEC_US / rate;
    *tokens_us += now_us - *at_us;
    *at_us = now_us;
    if (*tokens_us > PAWL_SEC_US) *tokens_us = PAWL_SEC_US;
    if (*tokens_us < cost) {
        *wait_us = cost - *tokens_us;
        return false;
    }
    *tokens_us -= cost;
    return true;
}

static bool may_fire_late(core_t *core, plan_t *plan, range_t *range, outcome_t *outcome)
{
    int64_t wait = 0, *at = range ? &range->rate_at_us : &plan->rate_at_us;
    int64_t *tokens = range ? &range->rate_tokens_us : &plan->rate_tokens_us;
    uint32_t rate = range && range->row.rate ? range->row.rate : plan->spec->rate;
    if (take_token(core->now_us, at, tokens, rate, &wait)) {
        if (take_token(core->now_us, &core->rate_all_at_us, &core->rate_all_tokens_us, RATE_ALL,
                       &wait))
            return true;
        *tokens += PAWL_SEC_US / rate;
    }
    /* Enough tokens for a handful, so that a backlog does not cost a request a task. */
    outcome->retry_us = core->wall_us + (wait > 50000 ? wait : 50000);
    return false;
}

static bool firing_left(core_t *core, const plan_t *plan, outcome_t *outcome)
{
    if (core->firings_left == 0 || core->children >= LIMIT_CHILDREN) {
        outcome->retry_us = core->wall_us;
        return false;
    }
    space_cost_t cost = firing_cost(core, plan);
    if (!room_take(core, &cost)) { /* the cursor waits until there is room */
        outcome->retry_us = core->wall_us + 5 * PAWL_SEC_US;
        return false;
    }
    core->firings_left--;
    return true;
}

/* The last late instant up to `upto`: back from there over those that are on time. */
static int64_t last_late_us(core_t *core, const plan_t *plan, int64_t first, int64_t upto)
{
    int64_t last = plan_last_us(plan, plan->cur.cursor_us, upto);
    for (unsigned i = 0; i < 4096 && last > first && !is_late(core, plan, last); i++)
        last = plan_last_us(plan, plan->cur.cursor_us, last - 1);
    return last;
}

/* Everything before `last` is on record as folded into it, which fires for all of them. */
static err_t fold(core_t *core, plan_t *plan, int64_t last, bool *fired)
{
    decision_t decision = { .instant_us = last, .reason = VERDICT_REASON_LATEST };
    int64_t first = plan_next_us(plan, plan->cur.cursor_us);
    if (first < last) {
        int64_t before = plan_last_us(plan, plan->cur.cursor_us, last - 1);
        extent_t extent = { .from_us = first,
                            .to_us = before,
                            .count = plan_count(plan, plan->cur.cursor_us, before),
                            .verdict = VERDICT_FOLDED,
                            .reason = VERDICT_REASON_LATEST,
                            .aux = (uint64_t)last };
        decision.folded_first_us = first;
        decision.folded_count = extent.count + 1;
        TRY(ledger_add(core, plan, NULL, &extent));
    }
    return decide(core, plan, &decision, fired);
}

/* Too old by `window`, counted from now. */
static err_t skip_window(core_t *core, plan_t *plan, int64_t floor_us, int64_t upto,
                         outcome_t *outcome)
{
    int64_t last =
        plan_last_us(plan, plan->cur.cursor_us, floor_us - 1 < upto ? floor_us - 1 : upto);
    if (last == INT64_MIN) return ERR_OK;
    outcome->skipped += plan_count(plan, plan->cur.cursor_us, last);
    return ledger_skip(core, plan, last, VERDICT_REASON_WINDOW, 0);
}

/* normal and latest: what is certainly late goes as one range, the rest one by one. */
static err_t decide_lossy(core_t *core, plan_t *plan, int64_t upto, outcome_t *outcome)
{
    bool latest = plan->spec->mode == PAWL__V1__MODE__MODE_LATEST;
    for (;;) {
        int64_t instant = plan_next_us(plan, plan->cur.cursor_us);
        if (instant > upto) return ERR_OK;
        bool fired, late = is_late(core, plan, instant);
        if (late && latest && plan->spec->window_us) {
            int64_t floor = core->wall_us - plan->spec->window_us;
            TRY(skip_window(core, plan, floor, upto, outcome));
            if (instant < floor) continue;
        }
        if (late && !latest) {
            int64_t last = last_late_us(core, plan, instant, upto);
            outcome->skipped += plan_count(plan, plan->cur.cursor_us, last);
            TRY(ledger_skip(core, plan, last, VERDICT_REASON_LATE, 0));
            continue;
        }
        if (!firing_left(core, plan, outcome)) return ERR_OK;
        decision_t decision = { .instant_us = instant, .reason = on_time(plan, instant) };
        if (late)
            TRY(fold(core, plan, last_late_us(core, plan, instant, upto), &fired));
        else
            TRY(decide(core, plan, &decision, &fired));
        outcome->fired += fired;
        outcome->skipped += !fired;
    }
}

/* A backlog up to `upto` that is larger than the schedule finds normal is told once. */
static err_t warn(core_t *core, plan_t *plan, int64_t upto)
{
    uint32_t most = plan->spec->warn_set_case ? plan->spec->warn : DEFAULT_WARN;
    if (plan->cur.warned || most == 0) return ERR_OK; /* counting a year costs */
    uint64_t backlog = plan_count(plan, plan->cur.cursor_us, upto);
    if (backlog <= most) return ERR_OK;
    plan->cur.warned = plan->cur_dirty = true;
    return journal_add(core, EVENT_BACKLOG, plan->no, 0, backlog);
}

/* What is late becomes a range, and the cursor goes on with what is not. One late instant is no
 * backlog. */
static err_t split_backlog(core_t *core, plan_t *plan, int64_t instant, int64_t upto, bool *split)
{
    *split = false;
    if (!plan->spec->live_first || plan->spec->max_firings || !range_fits(plan)) return ERR_OK;
    int64_t last = last_late_us(core, plan, instant, upto);
    if (last == instant) return ERR_OK;
    range_row_t row = { .cause = CAUSE_LIVE,
                        .flags =
                            plan->spec->order == PAWL__V1__ORDER__ORDER_NEWEST ? RANGE_NEWEST : 0,
                        .from_us = plan->cur.cursor_us,
                        .to_us = last };
    range_t *range;
    TRY(range_make(core, plan, &row, &range));
    plan->cur.cursor_us = last;
    plan->cur_dirty = true;
    *split = true;
    return ERR_OK;
}

static err_t decide_strict(core_t *core, plan_t *plan, int64_t upto, outcome_t *outcome)
{
    for (;;) {
        int64_t instant = plan_next_us(plan, plan->cur.cursor_us);
        if (instant > upto) return ERR_OK;
        bool fired, split, late = is_late(core, plan, instant);
        if (!late) {
            if (plan->cur.floor_us || plan->cur.warned) plan->cur_dirty = true;
            plan->cur.floor_us = 0;
            plan->cur.warned = false;
        } else if (plan->cur.floor_us == 0) { /* a gap was found: the window is applied once */
            plan->cur.floor_us = plan->spec->window_us ? core->wall_us - plan->spec->window_us : 1;
            plan->cur_dirty = true;
        }
        if (late && instant < plan->cur.floor_us) {
            TRY(skip_window(core, plan, plan->cur.floor_us, upto, outcome));
            continue;
        }
        if (late) {
            TRY(warn(core, plan, upto));
            TRY(split_backlog(core, plan, instant, upto, &split));
            if (split) {
                outcome->skipped++; /* something was done: the cursor moved */
                continue;
            }
        }
        if (plan->cur.running + plan->cur.waiting >= plan->spec->ahead) {
            outcome->held = true;
            return ERR_OK;
        }
        if ((late && !may_fire_late(core, plan, NULL, outcome)) ||
            !firing_left(core, plan, outcome))
            return ERR_OK;
        decision_t decision = { .instant_us = instant,
                                .late = late,
                                .reason = late ? VERDICT_REASON_CATCHUP : on_time(plan, instant) };
        TRY(decide(core, plan, &decision, &fired));
        outcome->fired++;
    }
}

/* Unfinished tasks that ranges may fill `ahead` with: a quarter is left to the live line. */
static uint32_t range_room(const plan_t *plan)
{
    uint32_t ahead = plan->spec->ahead, rest = ahead / 4 ? ahead / 4 : 1;
    return ahead > 1 ? ahead - rest : 1;
}

static err_t decide_range(core_t *core, plan_t *plan, range_t *range, outcome_t *outcome)
{
    range_row_t *row = &range->row;
    TRY(range_line(core, plan, range));
    while (row->state == RANGE_OPEN) {
        int64_t instant = row->flags & RANGE_NEWEST
                              ? line_last_us(&range->line, row->low_us, row->high_us)
                              : line_next_us(&range->line, row->low_us);
        if (instant == INT64_MIN || instant > row->high_us)
            return range_end(core, plan, range, RANGE_DONE);
        /* the end of a rule that was edited: its jitter is still to pass */
        if (row->cause == CAUSE_LIVE && instant + range->line.jitter_us > core->wall_us) {
            outcome->retry_us = instant + range->line.jitter_us;
            return ERR_OK;
        }
        if (plan->cur.running + plan->cur.waiting >= range_room(plan)) {
            outcome->held = true;
            return ERR_OK;
        }
        if (!may_fire_late(core, plan, range, outcome) || !firing_left(core, plan, outcome))
            return ERR_OK;
        bool fired;
        decision_t decision = { .range = range,
                                .instant_us = instant,
                                .late = true,
                                .reason = row->cause == CAUSE_BACKFILL ? VERDICT_REASON_BACKFILL
                                                                       : VERDICT_REASON_CATCHUP };
        TRY(decide(core, plan, &decision, &fired));
        outcome->fired += fired;
        outcome->skipped += !fired;
    }
    return ERR_OK;
}

err_t fire_latest(core_t *core, plan_t *plan, Pawl__V1__Reply *reply)
{
    int64_t last = plan_last_us(plan, plan->cur.cursor_us, core->wall_us - plan_jitter_us(plan));
    bool fired;
    if (last == INT64_MIN || !may_fire_now(core, plan, reply)) return ERR_OK;
    return fold(core, plan, last, &fired);
}

/* true: not now, and the answer says so. */
static bool must_wait(core_t *core, const plan_t *plan, Pawl__V1__ProposalAnswer *answer)
{
    answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD;
    if (plan->row.flags & SCHEDULE_PAUSED) return true;
    if (core->refuse_adds) answer->retry_us = core->wall_us + 5 * PAWL_SEC_US;
    return core->refuse_adds;
}

static void answer_outcome(core_t *core, const outcome_t *outcome, Pawl__V1__ProposalAnswer *answer)
{
    answer->fired = outcome->fired;
    answer->skipped = outcome->skipped;
    answer->retry_us = outcome->retry_us;
    if (outcome->fired || outcome->skipped || !(outcome->held || outcome->retry_us))
        answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE;
    if (outcome->held && answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE)
        answer->retry_us = core->wall_us + PAWL_SEC_US; /* the next proposal will say held */
}

static err_t propose(core_t *core, plan_t *plan, const Pawl__V1__Proposal *proposal,
                     Pawl__V1__ProposalAnswer *answer)
{
    if (proposal->revision != plan->row.revision ||
        proposal->expect_cursor_us != plan->cur.cursor_us) {
        answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_CONFLICT;
        return ERR_OK;
    }
    if (proposal->new_cursor_us + plan_jitter_us(plan) > core->wall_us) {
        answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_TOO_EARLY;
        return ERR_OK;
    }
    if (must_wait(core, plan, answer)) {
        plan->held |= (plan->row.flags & SCHEDULE_PAUSED) != 0;
        return ERR_OK;
    }
    outcome_t outcome = { 0 };
    if (plan->spec->mode == PAWL__V1__MODE__MODE_STRICT || plan->spec->after_us)
        TRY(decide_strict(core, plan, proposal->new_cursor_us, &outcome));
    else
        TRY(decide_lossy(core, plan, proposal->new_cursor_us, &outcome));
    if ((outcome.fired || outcome.skipped) && plan_is_over(plan))
        TRY(journal_add(core, EVENT_SCHEDULE_ENDED, plan->no, 0, plan->cur.fired));
    plan->held = outcome.held;
    answer_outcome(core, &outcome, answer);
    return ERR_OK;
}

/* The same checks for one of its ranges; what its ends are is not the proposal's business. */
static err_t propose_range(core_t *core, plan_t *plan, const Pawl__V1__Proposal *proposal,
                           Pawl__V1__ProposalAnswer *answer)
{
    range_t *range;
    TRY(range_find(core, plan, (uint16_t)proposal->range, &range));
    answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_GONE;
    if (range == NULL || !range_is_live(range)) return ERR_OK;
    if (proposal->revision != range->row.revision ||
        proposal->expect_cursor_us != range_cursor_us(range)) {
        answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_CONFLICT;
    } else if (!must_wait(core, plan, answer) && range->row.state == RANGE_OPEN) {
        outcome_t outcome = { 0 };
        TRY(decide_range(core, plan, range, &outcome));
        range->held = outcome.held;
        answer_outcome(core, &outcome, answer);
    }
    answer->revision = range->row.revision;
    answer->cursor_us = range_cursor_us(range);
    bool runs = range->row.state == RANGE_OPEN && !(plan->row.flags & SCHEDULE_PAUSED);
    answer->next_us = runs ? core->wall_us : 0;
    return ERR_OK;
}

/* ---- the work of rules ----------------------------------------------------------------------- */

/* What a batch may spend on rules is bounded (LIMIT_RULE_WORK_US), so that a submit beside ten
 * thousand proposals is not kept waiting. Counted where rules are asked (line.c), never timed: a
 * replay stops at the same proposal. */

/* False: this batch has done its part; the answer says: again, at once. */
static bool rule_work_left(core_t *core, const Pawl__V1__Proposal *proposal,
                           Pawl__V1__ProposalAnswer *answer)
{
    if (core->rule_work_left_ns > 0) return true;
    answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD;
    answer->revision = proposal->revision;
    answer->cursor_us = proposal->expect_cursor_us;
    answer->next_us = answer->retry_us = core->wall_us;
    return false;
}

static void rule_work_done(core_t *core, const plan_t *plan)
{
    core->rule_work_left_ns -= line_work_ns(&plan->line);
    for (const range_t *range = plan->ranges; range; range = range->next)
        core->rule_work_left_ns -= line_work_ns(&range->line);
}

err_t schedules_propose(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__Propose *request = command->request->propose;
    Pawl__V1__Proposed *proposed = batch_alloc(core, sizeof *proposed);
    pawl__v1__proposed__init(proposed);
    proposed->wall_us = core->wall_us;
    proposed->items = batch_alloc(core, (request->n_items + 1) * sizeof *proposed->items);
    for (size_t i = 0; i < request->n_items; i++) {
        const Pawl__V1__Proposal *proposal = request->items[i];
        Pawl__V1__ProposalAnswer *answer = batch_alloc(core, sizeof *answer);
        pawl__v1__proposal_answer__init(answer);
        proposed->items[proposed->n_items++] = answer;
        if (!rule_work_left(core, proposal, answer)) continue;
        plan_t *plan;
        err_t err = plan_by_uid(core, slice(proposal->uid.data, proposal->uid.len), &plan);
        if (err == ERR_NOT_FOUND) {
            answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_GONE;
            continue;
        }
        TRY(err);
        core->ops++;
        if (plan->row.flags & SCHEDULE_GONE) {
            answer->verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_GONE;
            continue;
        }
        if (proposal->range) {
            TRY(propose_range(core, plan, proposal, answer));
            rule_work_done(core, plan);
            continue;
        }
        TRY(propose(core, plan, proposal, answer));
        int64_t due = plan_due_us(plan);
        bool paused = plan->row.flags & SCHEDULE_PAUSED; /* nothing is due until a push says so */
        answer->revision = plan->row.revision;
        answer->cursor_us = plan->cur.cursor_us;
        answer->next_us = due == INT64_MAX || paused ? 0 : due;
        rule_work_done(core, plan);
    }
    reply->body_case = PAWL__V1__REPLY__BODY_PROPOSED;
    reply->proposed = proposed;
    return ERR_OK;
}

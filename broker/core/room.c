/* SPDX-License-Identifier: Apache-2.0
 * room.c - whether what a batch is about to write has room, asked before it is written.
 *
 * Each thing is first counted at its worst (space.c). That is far too much for many of them, since
 * their rows share pages; so when the sum no longer fits, what was thought is replaced by what the
 * store says it has written so far (store_written), and only the next thing counts at its worst. A
 * batch with much room never asks. */
#include "broker/core/inside.h"

static const char *const levels[] = { "ok", "history", "refuse", "end-only" };

enum {
    PAGES_AN_ITEM = 32, /* of a batch that is surely not tight */
    BYTES_A_PAGE = 1024,
};

/* Bytes of what the request brings, and how many things there are. */
static void weigh(const Pawl__V1__Request *request, uint64_t *items, uint64_t *bytes)
{
    const Pawl__V1__Submit *submit = request->submit;
    const Pawl__V1__Produce *made = request->produce;
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_SUBMIT:
        *items += submit->n_tasks;
        for (size_t i = 0; i < submit->n_tasks; i++)
            *bytes += submit->tasks[i].len;
        break;
    case PAWL__V1__REQUEST__BODY_PRODUCE:
        *items += made->n_items;
        for (size_t i = 0; i < made->n_items; i++)
            *bytes += made->items[i]->task.len;
        break;
    case PAWL__V1__REQUEST__BODY_TASK_CHANGE:
        *items += request->task_change->n_ids;
        break;
    default:
        *items += 1;
    }
}

/* What the batch wants may not fit: then it pays to know to the page what was written. */
static bool is_tight(const core_t *core, const batch_t *batch)
{
    uint64_t items = 0, bytes = 0;
    for (size_t i = 0; i < batch->n; i++)
        if (batch->commands[i].kind == CMD_REQUEST)
            weigh(batch->commands[i].request, &items, &bytes);
    uint64_t most = items * PAGES_AN_ITEM + bytes / BYTES_A_PAGE;
    return most > core->space.adds_left || most > core->space.dirty_left;
}

/* From 60 % of the store history gives way, from 85 % nothing is added, from 92 % nothing starts;
 * space.h says what counts. */
void room_judge(core_t *core, const batch_t *batch, enum effort effort)
{
    store_usage_t usage;
    store_usage(core->store, &usage);
    space_judge(&core->space, &usage, core->counts[S(RUNNING)], core->config.output_max);
    core->level_history = core->space.history;
    core->refuse_adds = effort != EFFORT_ALL || core->space.refuse_adds;
    core->free_only = effort == EFFORT_FREES;
    core->end_only = core->free_only || core->space.end_only;
    core->level = levels[core->end_only ? 3 : core->refuse_adds ? 2 : core->level_history ? 1 : 0];
    core->leases_wait = core->made_room = false;
    core->leased = 0;
    space_begin(&core->space);
    core->store->watch = is_tight(core, batch);
}

/* Rows that this batch keeps in memory until its end: what became ready, lanes, counters, blocks,
 * families, cursors. */
static space_cost_t left_to_write(const core_t *core)
{
    enum { READY_ROW = 48, PAGES = 2, CURSOR_ROWS = 4, FAMILY_ROWS = 2, JOURNAL_EVENT = 24 };
    uint64_t fresh = 0, runs = 0;
    for (size_t i = 0; i < core->fresh_lanes_n; i++) {
        const lane_t *lane = core->fresh_lanes[i];
        fresh += lane->fresh_n - lane->fresh_taken;
        runs += lane->fresh_runs;
    }
    uint64_t events = core->meta.next_seq - core->seq_begun;
    uint64_t bytes = fresh * READY_ROW + events * JOURNAL_EVENT;
    space_cost_t cost = { .grown = 2 * bytes / core->space.page_bytes + 1 };
    cost.dirty = cost.grown +
                 PAGES * (runs + core->dirty_lanes_n + core->dirty_names_n + core->dirty_blocks_n +
                          CURSOR_ROWS * core->touched_n + FAMILY_ROWS * core->families_n);
    return cost;
}

void room_add_task(space_cost_t *to, const Pawl__V1__Task *body, size_t len, uint64_t page_bytes)
{
    space_add(to, SPACE_SUBMIT, 1, len, page_bytes);
    bool waits = body == NULL || body->delay_us || body->at_us || body->expire_us;
    if (waits) space_add(to, SPACE_DELAY, 2, 0, page_bytes);
    if (body == NULL || body->key[0]) space_add(to, SPACE_KEY, 1, 0, page_bytes);
}

bool room_take(core_t *core, const space_cost_t *cost)
{
    if (space_take(&core->space, cost)) return true;
    store_written_t written;
    store_written(core->store, &written);
    space_cost_t later = left_to_write(core);
    space_settle(&core->space, &(space_cost_t){ written.dirty, written.grown }, &later);
    return space_take(&core->space, cost);
}

bool space_or_refuse(core_t *core, const space_cost_t *cost, const char *what,
                     Pawl__V1__Reply *reply)
{
    if (!core->refuse_adds && room_take(core, cost)) return true;
    if (!core->end_only) core->level = levels[2]; /* for this one, if not for a smaller one */
    refuse(core, reply, ERR_STORE_FULL, "",
           "the store has no room for %s (level %s; %llu MiB are kept for the results of %llu "
           "running tasks): wait for tasks to end, send less at a time, or enlarge broker.map",
           what, core->level,
           (unsigned long long)(core->space.reserved * core->space.page_bytes >> 20),
           (unsigned long long)core->counts[S(RUNNING)]);
    reply->error->retry_after_us = 5 * PAWL_SEC_US;
    return false;
}

enum {
    TELL_LEVEL_US = 10000000, /* a level that falls again is told so much later */
    LOOK_AGAIN_US = 1000000,  /* leases that wait for room: for what readers give back */
};

/* The journal tells when the store fills, and when leases wait for room though hands are there. */
err_t room_tell(core_t *core)
{
    int level = 0;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (core->level == levels[i]) level = (int)i;
    if (level > core->level_told ||
        (level < core->level_told && core->now_us - core->level_told_us >= TELL_LEVEL_US)) {
        core->level_told = level;
        core->level_told_us = core->now_us;
        TRY(journal_add(core, EVENT_STORE_LEVEL, 0, 0, (uint64_t)level));
    }
    if (core->leases_wait && !core->leases_wait_told)
        TRY(journal_add(core, EVENT_LEASES_WAIT, 0, 0, core->counts[S(RUNNING)]));
    /* what ended in this batch counts in the next one; a reader's pages come back unannounced */
    core->leases_again_us =
        core->leases_wait ? core->now_us + (core->made_room ? 0 : LOOK_AGAIN_US) : INT64_MAX;
    core->leases_wait_told = core->leases_wait;
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Rehearsals of outages, of whatever schedules a world has come to: none may fail, and what one
 * says of the live line of time has each instant of the rule once. They draw nothing from the
 * seed's stream, so that a world is the same with and without them. */
#include "tests/sim/sim.h"

#include "broker/readers/query_schedule.h"

#define DAY_US (86400 * SEC_US)

static uint64_t drawn(const uint64_t from[3], uint64_t what)
{
    uint64_t words[4] = { from[0], from[1], from[2], what };
    return hash64(words, sizeof words);
}

static int64_t drawn_us(const uint64_t from[3], uint64_t what, int64_t low, int64_t high)
{
    return low + (int64_t)(drawn(from, what) % (uint64_t)(high - low));
}

/* The nth schedule that has a name, "" when there are not so many. */
static void pick(sim_t *sim, answer_t *answer, uint64_t nth, char name[LIMIT_NAME + 1])
{
    rec_key_t from = key_name(NAME_SCHEDULE, slice(NULL, 0));
    store_scan_t *scan = NULL;
    slice_t key, value;
    name[0] = '\0';
    if (store_scan_open(answer->view, TABLE_names, key_slice(&from), false, &scan) != ERR_OK) {
        sim_fail(sim, "the names cannot be read");
        return;
    }
    for (uint64_t i = 0; store_scan_next(scan, &key, &value) == ERR_OK && key.len > 1 &&
                         key.at[0] == NAME_SCHEDULE && i <= nth;
         i++)
        snprintf(name, LIMIT_NAME + 1, "%.*s", (int)(key.len - 1), key.at + 1);
    store_scan_close(&scan);
}

static void judge(sim_t *sim, answer_t *answer, const Pawl__V1__Rehearse *ask,
                  const Pawl__V1__Rehearsal *said)
{
    schedule_rows_t rows;
    revision_t revision = { 0 };
    uint32_t no;
    uint64_t count = 0;
    int64_t upto = 0;
    for (size_t i = 0; i < said->n_items; i++) {
        const Pawl__V1__RehearsalItem *item = said->items[i];
        if (item->range) return; /* what was split off, or runs beside it, lies between */
        if (item->count == 0 || item->to_us < item->from_us || (i && item->from_us <= upto))
            sim_fail(sim, "rehearsal of %s: item %zu overlaps or is none", ask->name, i);
        upto = item->to_us;
        count += item->count;
    }
    if (said->n_items == 0 || said->schedule->n_ranges)
        return; /* what these still have, has none */
    if (answer_number(answer, NAME_SCHEDULE, ask->name, &no) != ERR_OK ||
        schedule_rows_get(answer, no, &rows) != ERR_OK ||
        revision_load(answer, &rows, rows.row.revision, &revision) != ERR_OK) {
        sim_fail(sim, "the rule of %s cannot be read", ask->name);
        return;
    }
    uint64_t rule = revision_count(&revision, said->items[0]->from_us - 1, upto);
    if (revision.after_us == 0 && rule != count)
        sim_fail(sim, "rehearsal of %s: %llu instants, its rule has %llu", ask->name,
                 (unsigned long long)count, (unsigned long long)rule);
    revision_close(&revision);
}

/* As it would be under another mode, with the policies that go with it. */
static bool wish(answer_t *answer, const char *name, uint64_t mode, Pawl__V1__Schedule *schedule)
{
    uint32_t no;
    schedule_rows_t rows;
    if (answer_number(answer, NAME_SCHEDULE, name, &no) != ERR_OK ||
        schedule_rows_get(answer, no, &rows) != ERR_OK)
        return false;
    *schedule = *rows.spec;
    schedule->mode = (Pawl__V1__Mode)(1 + mode % 3);
    schedule->overlap = PAWL__V1__OVERLAP__OVERLAP_UNSPECIFIED;
    schedule->order = PAWL__V1__ORDER__ORDER_UNSPECIFIED;
    schedule->on_resume = PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED;
    schedule->live_first = false;
    schedule->supersede_set_case = PAWL__V1__SCHEDULE__SUPERSEDE_SET__NOT_SET;
    return true;
}

void outage_rehearse(sim_t *sim, store_t *store, uint64_t nth)
{
    uint64_t from[3] = { sim->seed, sim->events, nth };
    wire_arena_t arena;
    char name[LIMIT_NAME + 1];
    Pawl__V1__Rehearse ask = PAWL__V1__REHEARSE__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    wire_arena_init(&arena);
    answer_t answer = { .names = names_new(), .arena = &arena, .wall_us = sim_wall_us(sim) };
    if (store_view_open(store, &answer.view) == ERR_OK) {
        pick(sim, &answer, drawn(from, 1) % 8, name);
        ask.name = name;
        ask.down_from_us = answer.wall_us + drawn_us(from, 2, -2 * DAY_US, 2 * DAY_US);
        if (drawn(from, 3) % 3 == 0) ask.down_from_us = answer.wall_us;
        ask.down_to_us =
            ask.down_from_us + drawn_us(from, 4, 1, drawn(from, 5) % 2 ? DAY_US : 60 * SEC_US);
        ask.takes_us = drawn_us(from, 6, 0, drawn(from, 7) % 2 ? 3600 * SEC_US : 3 * SEC_US);
        if (ask.down_from_us < 1) ask.down_from_us = 1;
        if (drawn(from, 8) % 4 == 0 && wish(&answer, name, drawn(from, 9), &schedule)) {
            put.schedule = &schedule;
            ask.put = &put;
        }
        err_t err = name[0] ? query_rehearse(&answer, &ask, &reply) : ERR_NOT_FOUND;
        if (name[0] && err != ERR_OK) sim_fail(sim, "rehearsal of %s: %s", name, err_name(err));
        if (reply.error && reply.error->code != ERR_TOO_LATE)
            sim_fail(sim, "rehearsal of %s is refused: %s", name, reply.error->text);
        if (reply.rehearsal && reply.body_case == PAWL__V1__REPLY__BODY_REHEARSAL) {
            sim_met(MET_REHEARSED);
            if (ask.put == NULL) judge(sim, &answer, &ask, reply.rehearsal);
        }
        store_view_close(&answer.view);
    }
    names_destroy(&answer.names);
    wire_arena_free(&arena);
}

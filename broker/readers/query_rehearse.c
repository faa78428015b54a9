/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_rehearse.c - what an outage of all schedulers would do to a schedule, or
 * would have done (docs/decisions/0033).
 *
 * Nothing is decided here: what the snapshot has of the schedule is put on a stage (stage.h), where
 * core decides as it always does. It begins some instants before the outage, so that what runs then
 * is what would run, and ends when told to or when nothing waits any more. Then the ledger and the
 * tasks of the stage are read like any other's. */
#include <stdlib.h>

#include "broker/readers/rehearsal.h"

enum {
    AFTER = 3, /* instants after it has caught up, when no end is given */
    FIRED_MOST = 1000,
    STEPS_MOST = 10000,  /* batches */
    LOOKS_MOST = 200000, /* looks at the clock */
};

/* ---- the play -------------------------------------------------------------------------------- */

/* Too much of it; what was seen so far is told. */
static const char *too_long(const rehearsal_t *self, uint64_t fired)
{
    if (fired > FIRED_MOST) return "so many runs are enough: the rest would go on like that";
    if (self->stage.steps > STEPS_MOST || self->stage.looks > LOOKS_MOST)
        return self->stage.clock_us < self->ask->down_from_us
                   ? "too much happens before the outage begins: choose one that begins sooner"
                   : "too much happens: choose a shorter outage, or an earlier --until";
    return NULL;
}

static err_t play(rehearsal_t *self)
{
    stage_t *stage = &self->stage;
    Pawl__V1__Rehearsal *told = self->told;
    int64_t until = self->ask->until_us ? self->ask->until_us : INT64_MAX;
    uint64_t fired = 0, decided = 0;
    bool down = false;
    for (const char *why; told->cut[0] == '\0';) {
        int64_t next = stage_next_us(stage);
        if (!down && next >= self->ask->down_from_us) {
            down = true;
            self->down_cursor_us = stage->turns[0].cursor_us;
            fired = stage->fired;
        }
        if (next > until || next == INT64_MAX) break;
        ANSWER_TRY(stage_play(stage, next));
        bool back = stage->clock_us >= self->ask->down_to_us;
        if (back && told->caught_up_us == 0 && stage_caught_up(stage)) {
            told->caught_up_us = stage->clock_us;
            decided = stage->decided;
        }
        if (told->caught_up_us && self->ask->until_us == 0 && stage->decided >= decided + AFTER)
            break;
        if ((why = too_long(self, down ? stage->fired - fired : 0)))
            told->cut = answer_text(self->answer, slice_text(why));
    }
    if (!down) self->down_cursor_us = stage->turns[0].cursor_us;
    told->end_us = until < INT64_MAX && told->cut[0] == '\0' ? until : stage->clock_us;
    return ERR_OK;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void keep_extent(rehearsal_t *self, uint16_t range, const extent_t *extent)
{
    if (extent->count == 0) return;
    if (self->extents_n == self->extents_room) {
        self->extents_room = self->extents_room ? self->extents_room * 2 : 64;
        self->extents = mem_grow(self->extents, self->extents_room * sizeof *self->extents);
    }
    self->extents[self->extents_n++] = (known_extent_t){ range, *extent };
}

/* The whole ledger of the stage, with what is still open of it. */
static err_t read_extents(rehearsal_t *self, const scur_row_t *cursor)
{
    rec_key_t from = key_ledger(STAGE_NO, 0, INT64_MIN);
    store_scan_t *scan = NULL;
    slice_t key, value;
    err_t err = store_scan_open(self->seen.view, TABLE_ledger, key_slice(&from), false, &scan);
    while (err == ERR_OK && (err = store_scan_next(scan, &key, &value)) == ERR_OK) {
        uint32_t no;
        uint16_t range;
        int64_t first;
        extent_t extent;
        if (ledger_key_decode(key, &no, &range, &first) && extent_decode(&extent, value))
            keep_extent(self, range, &extent);
        else
            err = ERR_CORRUPT;
    }
    store_scan_close(&scan);
    if (err != ERR_NOT_FOUND) return err;
    keep_extent(self, 0, &cursor->open);
    uint16_t no = 0;
    range_row_t row;
    while ((err = schedule_range_next(&self->seen, STAGE_NO, &no, &row)) == ERR_OK)
        keep_extent(self, no, &row.open);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static Pawl__V1__RehearsalItem *add_item(rehearsal_t *self)
{
    Pawl__V1__Rehearsal *told = self->told;
    if (told->n_items == self->items_room) {
        size_t room = self->items_room ? self->items_room * 2 : 64;
        Pawl__V1__RehearsalItem **more = answer_take(self->answer, room * sizeof *more);
        if (told->n_items) memcpy(more, told->items, told->n_items * sizeof *more);
        told->items = more;
        self->items_room = room;
    }
    Pawl__V1__RehearsalItem *item = answer_take(self->answer, sizeof *item);
    pawl__v1__rehearsal_item__init(item);
    told->items[told->n_items++] = item;
    return item;
}

static const extent_t *extent_at(const rehearsal_t *self, uint16_t range, int64_t instant)
{
    for (size_t i = self->extents_n; i-- > 0;) {
        const known_extent_t *known = &self->extents[i];
        if (known->range == range && known->extent.from_us <= instant &&
            instant <= known->extent.to_us)
            return &known->extent;
    }
    return NULL;
}

static void say_verdict(Pawl__V1__RehearsalItem *item, uint16_t range, uint8_t verdict,
                        uint8_t reason)
{
    item->range = range;
    item->verdict = (char *)(uintptr_t)verdict_text(verdict);
    item->reason = (char *)(uintptr_t)verdict_reason_text(reason);
}

/* Was it decided after the outage had begun? */
static bool is_of_play(const rehearsal_t *self, uint16_t range, int64_t instant, int64_t decided)
{
    return range ? decided >= self->ask->down_from_us : instant > self->down_cursor_us;
}

/* The tasks that were made. */
static err_t tell_fired(rehearsal_t *self, int64_t jitter_us)
{
    for (uint64_t n = 1;; n++) {
        task_rows_t rows;
        err_t err = task_rows_get(self->seen.view, n, &rows);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        ANSWER_TRY(err);
        const spec_row_t *spec = &rows.spec;
        const extent_t *extent = extent_at(self, spec->range, spec->instant_wall_us);
        if (extent == NULL ||
            !is_of_play(self, spec->range, spec->instant_wall_us, spec->created_wall_us))
            continue;
        Pawl__V1__RehearsalItem *item = add_item(self);
        say_verdict(item, spec->range, extent->verdict, extent->reason);
        item->from_us = item->to_us = spec->instant_wall_us;
        item->count = 1;
        item->decided_us = spec->created_wall_us;
        item->planned_us = spec->instant_wall_us + jitter_us;
        item->status = rows.status;
        if (rows.has_run)
            item->started_us = rows.run.leased_wall_us;
        else if (rows.has_state)
            item->started_us = rows.state.start_wall_us;
        if (rows.has_state && !rows.has_run) item->ended_us = rows.state.end_wall_us;
        item->folded_first_us = spec->folded_first_us;
        item->folded_count = spec->folded_count;
    }
}

/* Instants that were no task of their own, span by span. */
static err_t tell_dropped(rehearsal_t *self)
{
    for (size_t i = 0; i < self->extents_n; i++) {
        const extent_t *extent = &self->extents[i].extent;
        uint16_t range = self->extents[i].range;
        if (extent->verdict == VERDICT_FIRED ||
            !is_of_play(self, range, extent->to_us, extent->decided_last_us))
            continue;
        Pawl__V1__RehearsalItem *item = add_item(self);
        say_verdict(item, range, extent->verdict, extent->reason);
        item->from_us = extent->from_us;
        item->to_us = extent->to_us;
        item->count = extent->count;
        item->decided_us = extent->decided_first_us;
        if (range == 0 && extent->from_us <= self->down_cursor_us) { /* began before the outage */
            item->from_us = revision_next(&self->revision, self->down_cursor_us);
            item->count = revision_count(&self->revision, self->down_cursor_us, extent->to_us);
            item->decided_us = extent->decided_last_us;
        }
        if (extent->verdict == VERDICT_FOLDED) item->other_us = (int64_t)extent->aux;
        spec_row_t blocker;
        err_t err = extent_blocker(&self->seen, extent, &blocker);
        if (err == ERR_OK) item->other_us = blocker.instant_wall_us;
        if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    }
    return ERR_OK;
}

static int by_instant(const void *a, const void *b)
{
    const Pawl__V1__RehearsalItem *x = *(Pawl__V1__RehearsalItem *const *)a;
    const Pawl__V1__RehearsalItem *y = *(Pawl__V1__RehearsalItem *const *)b;
    if (x->from_us != y->from_us) return x->from_us < y->from_us ? -1 : 1;
    return (x->range > y->range) - (x->range < y->range);
}

static err_t tell(rehearsal_t *self)
{
    Pawl__V1__Rehearsal *told = self->told;
    Pawl__V1__ScheduleGet get = PAWL__V1__SCHEDULE_GET__INIT;
    Pawl__V1__Reply end = PAWL__V1__REPLY__INIT;
    schedule_rows_t rows;
    int64_t jitter_us = self->stage.turns[0].jitter_us;
    ANSWER_TRY(rehearsal_look(self));
    self->seen.wall_us = told->end_us;
    get.name = self->spec.name;
    ANSWER_TRY(query_schedule_get(&self->seen, &get, &end));
    if (end.error) return ERR_CORRUPT;
    told->schedule = end.schedules->items[0];
    told->schedule->schedule = (ProtobufCBinaryData){ 0, NULL }; /* its task is not the real one */
    ANSWER_TRY(schedule_rows_get(&self->seen, STAGE_NO, &rows));
    ANSWER_TRY(read_extents(self, &rows.cursor));
    ANSWER_TRY(tell_fired(self, jitter_us));
    ANSWER_TRY(tell_dropped(self));
    if (told->n_items) qsort(told->items, told->n_items, sizeof *told->items, by_instant);
    told->down = revision_count(&self->revision, self->ask->down_from_us - jitter_us - 1,
                                self->ask->down_to_us - jitter_us - 1);
    told->next_us = answer_take(self->answer, AFTER * sizeof *told->next_us);
    for (int64_t at = told->schedule->next_us; at && told->n_next_us < AFTER;) {
        told->next_us[told->n_next_us++] = at;
        at = revision_next(&self->revision, at - jitter_us);
        if (at) at += jitter_us;
    }
    return ERR_OK;
}

err_t query_rehearse(answer_t *self, const Pawl__V1__Rehearse *ask, Pawl__V1__Reply *reply)
{
    rehearsal_t rehearsal = { .answer = self, .ask = ask };
    rehearsal.told = answer_take(self, sizeof *rehearsal.told);
    pawl__v1__rehearsal__init(rehearsal.told);
    err_t err = rehearsal_open(&rehearsal, reply);
    if (err == ERR_OK && reply->error == NULL) {
        err = play(&rehearsal);
        if (err == ERR_OK) err = tell(&rehearsal);
        reply->body_case = PAWL__V1__REPLY__BODY_REHEARSAL;
        reply->rehearsal = rehearsal.told;
    }
    free(rehearsal.extents);
    rehearsal_close(&rehearsal);
    return err;
}

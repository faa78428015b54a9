/* SPDX-License-Identifier: Apache-2.0
 * follow.c - what schedulers are told: the list, page by page, then what changes.
 *
 * A scheduler may choose by labels which schedules it looks after. A page in short form is read
 * from rows alone (the cursor's row holds when it is due), no rule is loaded for it, so a million
 * take a second or two in pages of a few milliseconds. Who follows is memory: each new session
 * follows anew. */
#include "broker/core/inside.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    FOLLOW_PAGE = 500,       /* rows in full, each with its rule loaded */
    BRIEF_PAGE = 4000,       /* in short form: some 3 ms */
    BRIEF_LOOKED_AT = 16000, /* rows looked at for a page that leaves some out */
    TOLD_AT_ONCE = 1000,     /* in one push */
};

struct follower {
    conn_t conn;
    bool brief;
    select_t select; /* no terms: all of them */
};

static follower_t *follower_of(core_t *core, conn_t conn)
{
    for (size_t i = 0; i < core->followers_n; i++)
        if (core->followers[i]->conn == conn) return core->followers[i];
    return NULL;
}

void schedule_unfollow(core_t *core, conn_t conn)
{
    for (size_t i = 0; i < core->followers_n; i++) {
        if (core->followers[i]->conn != conn) continue;
        free(core->followers[i]);
        core->followers[i] = core->followers[--core->followers_n];
        attended_look(core);
        return;
    }
}

void followers_free(core_t *core)
{
    for (size_t i = 0; i < core->followers_n; i++)
        free(core->followers[i]);
    free(core->followers);
    core->followers = NULL;
    core->followers_n = 0;
}

/* ---- labels ---------------------------------------------------------------------------------- */

size_t spec_labels(const Pawl__V1__Schedule *spec, label_t labels[LIMIT_LABELS])
{
    size_t n = spec->n_labels < LIMIT_LABELS ? spec->n_labels : LIMIT_LABELS;
    for (size_t i = 0; i < n; i++)
        labels[i] =
            (label_t){ slice_text(spec->labels[i]->key), slice_text(spec->labels[i]->value) };
    return n;
}

/* From the row of schedule `no`; none when there is no row. */
static err_t labels_of_row(core_t *core, uint32_t no, label_t labels[LIMIT_LABELS], size_t *n)
{
    rec_key_t key = key_sched(no, SCHED_LABELS, 0);
    slice_t value;
    *n = 0;
    err_t err = store_get(core->store, TABLE_sched, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    *n = labels_decode(labels, value);
    return *n == SIZE_MAX ? ERR_CORRUPT : ERR_OK;
}

err_t labels_save(core_t *core, uint32_t no, const Pawl__V1__Schedule *spec, bool had)
{
    label_t labels[LIMIT_LABELS];
    size_t n = spec_labels(spec, labels);
    rec_key_t key = key_sched(no, SCHED_LABELS, 0);
    if (n == 0) return had ? del_row(core, TABLE_sched, &key) : ERR_OK;
    core->scratch.len = 0;
    labels_encode(&core->scratch, labels, n);
    return put_scratch(core, TABLE_sched, &key, 0);
}

bool labels_same(const Pawl__V1__Schedule *a, const Pawl__V1__Schedule *b)
{
    if (a->n_labels != b->n_labels) return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i]->key, b->labels[i]->key) != 0 ||
            strcmp(a->labels[i]->value, b->labels[i]->value) != 0)
            return false;
    return true;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* What a scheduler needs of it, and no more. */
static Pawl__V1__ScheduleInfo *brief_of(core_t *core, const Pawl__V1__ScheduleInfo *whole)
{
    Pawl__V1__ScheduleInfo *brief = batch_alloc(core, sizeof *brief);
    pawl__v1__schedule_info__init(brief);
    brief->uid = whole->uid;
    brief->revision = whole->revision;
    brief->cursor_us = whole->cursor_us;
    brief->next_us = whole->next_us;
    brief->jitter_us = whole->jitter_us;
    brief->state = whole->state;
    brief->removed = whole->removed;
    brief->ranges = whole->ranges;
    brief->n_ranges = whole->n_ranges;
    return brief;
}

/* Another one's from now on. */
static Pawl__V1__ScheduleInfo *taken_away(core_t *core, const Pawl__V1__ScheduleInfo *whole)
{
    Pawl__V1__ScheduleInfo *info = batch_alloc(core, sizeof *info);
    pawl__v1__schedule_info__init(info);
    info->name = whole->name;
    info->uid = whole->uid;
    info->revision = whole->revision;
    info->removed = true;
    return info;
}

static void push_items(core_t *core, conn_t conn, Pawl__V1__ScheduleItems *items)
{
    Pawl__V1__Push push = PAWL__V1__PUSH__INIT;
    if (items->n_items == 0) return;
    push.body_case = PAWL__V1__PUSH__BODY_SCHEDULES;
    push.schedules = items;
    out_push(core, conn, &push, false);
    items->n_items = 0;
}

static void tell_one(core_t *core, const follower_t *follower, plan_t *const *plans,
                     Pawl__V1__ScheduleInfo *const *infos, size_t n)
{
    Pawl__V1__ScheduleItems items = PAWL__V1__SCHEDULE_ITEMS__INIT;
    items.items = batch_alloc(core, (n < TOLD_AT_ONCE ? n : TOLD_AT_ONCE) * sizeof *items.items);
    for (size_t i = 0; i < n; i++) {
        label_t labels[LIMIT_LABELS];
        bool chosen =
            follower->select.n == 0 ||
            select_matches(&follower->select, labels, spec_labels(plans[i]->spec, labels));
        if (!chosen && !plans[i]->relabelled) continue;
        items.items[items.n_items++] = !chosen           ? taken_away(core, infos[i])
                                       : follower->brief ? brief_of(core, infos[i])
                                                         : infos[i];
        if (items.n_items == TOLD_AT_ONCE) push_items(core, follower->conn, &items);
    }
    push_items(core, follower->conn, &items);
}

void schedules_tell(core_t *core)
{
    size_t n = 0;
    for (size_t t = 0; t < core->touched_n; t++)
        n += core->touched[t]->tell;
    if (n == 0) return;
    plan_t **plans = batch_alloc(core, n * sizeof *plans);
    Pawl__V1__ScheduleInfo **infos = batch_alloc(core, n * sizeof *infos);
    n = 0;
    for (size_t t = 0; t < core->touched_n; t++) {
        plan_t *plan = core->touched[t];
        if (!plan->tell) continue;
        plan->tell = false;
        infos[n] = batch_alloc(core, sizeof *infos[n]);
        plan_info(core, plan, infos[n]);
        plans[n++] = plan;
    }
    for (size_t i = 0; i < core->followers_n; i++)
        tell_one(core, core->followers[i], plans, infos, n);
    for (size_t i = 0; i < n; i++)
        plans[i]->relabelled = false;
}

/* ---- the list -------------------------------------------------------------------------------- */

static err_t chosen(core_t *core, const follower_t *follower, uint32_t no, bool *yes)
{
    label_t labels[LIMIT_LABELS];
    size_t n;
    *yes = true;
    if (follower->select.n == 0) return ERR_OK;
    TRY(labels_of_row(core, no, labels, &n));
    *yes = select_matches(&follower->select, labels, n);
    return ERR_OK;
}

/* In full, in the order of names. */
static err_t whole_page(core_t *core, const follower_t *follower,
                        const Pawl__V1__ScheduleFollow *ask, Pawl__V1__ScheduleItems *items)
{
    uint32_t limit = ask->limit && ask->limit < FOLLOW_PAGE ? ask->limit : FOLLOW_PAGE;
    items->items = batch_alloc(core, limit * sizeof *items->items);
    rec_key_t from = key_name(NAME_SCHEDULE, slice_text(ask->after));
    if (ask->after[0]) from.at[from.len++] = 0; /* strictly behind it */
    for (uint32_t looked = 0;; looked++) {
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_names, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && key.at[0] != NAME_SCHEDULE)) return ERR_OK;
        TRY(err);
        if (items->n_items == limit || looked == BRIEF_LOOKED_AT) break;
        uint32_t no;
        if (!name_row_decode(&no, value)) return ERR_CORRUPT;
        memcpy(from.at, key.at, key.len);
        from.len = key.len;
        from.at[from.len++] = 0;
        plan_t *plan;
        bool yes;
        TRY(chosen(core, follower, no, &yes));
        if (!yes) continue;
        TRY(plan_get(core, no, &plan));
        Pawl__V1__ScheduleInfo *info = batch_alloc(core, sizeof *info);
        plan_info(core, plan, info);
        items->items[items->n_items++] = info;
    }
    /* behind the last one looked at: key = kind, name, 0 */
    items->next = batch_printf(core, "%.*s", (int)(from.len - 2), from.at + 1);
    return ERR_OK;
}

/* One row in short form; NULL: it is not to be told. */
static err_t brief_row(core_t *core, const follower_t *follower, int64_t due_us, uint32_t no,
                       slice_t value, Pawl__V1__ScheduleInfo **out)
{
    scur_row_t cur;
    sched_row_t row;
    bool yes;
    slice_t header;
    *out = NULL;
    if (!scur_row_decode(&cur, value)) return ERR_CORRUPT;
    if (cur.due_known && due_us && cur.due_us > due_us) return ERR_OK;
    rec_key_t key = key_sched(no, SCHED_HEADER, 0);
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &header));
    if (!sched_row_decode(&row, header)) return ERR_CORRUPT;
    if (row.flags & SCHEDULE_GONE) return ERR_OK;
    bool ranges = !row.ranges.known || row.ranges.n > 0;
    TRY(chosen(core, follower, no, &yes));
    if (!yes) return ERR_OK;
    Pawl__V1__ScheduleInfo *info = batch_alloc(core, sizeof *info);
    if (!cur.due_known || ranges) { /* of a version that did not keep it, or with more to tell */
        plan_t *plan;
        TRY(plan_get(core, no, &plan));
        plan_info(core, plan, info);
        info = brief_of(core, info);
    } else {
        pawl__v1__schedule_info__init(info);
        info->uid.data = batch_alloc(core, 16);
        info->uid.len = 16;
        memcpy(info->uid.data, row.uid, 16);
        info->revision = row.revision;
        info->cursor_us = cur.cursor_us;
        info->next_us = cur.due_us == INT64_MAX ? 0 : cur.due_us;
        info->jitter_us = cur.jitter_us;
        info->state = (char *)(uintptr_t)(row.flags & SCHEDULE_PAUSED ? "paused" : "active");
    }
    if (due_us == 0 || ranges || (info->next_us && info->next_us <= due_us)) *out = info;
    return ERR_OK;
}

/* In short form, in the order of creation; `after` is the number of the last one looked at. */
static err_t brief_page(core_t *core, const follower_t *follower,
                        const Pawl__V1__ScheduleFollow *ask, Pawl__V1__ScheduleItems *items)
{
    uint32_t limit = ask->limit && ask->limit < BRIEF_PAGE ? ask->limit : BRIEF_PAGE;
    uint32_t no = (uint32_t)strtoul(ask->after, NULL, 10);
    items->items = batch_alloc(core, limit * sizeof *items->items);
    for (uint32_t looked = 0;; looked++) {
        rec_key_t from = key_u32(no + 1);
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_scur, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (items->n_items == limit || looked == BRIEF_LOOKED_AT) break;
        no = be_u32(key.at);
        TRY(brief_row(core, follower, ask->due_us, no, value, &items->items[items->n_items]));
        items->n_items += items->items[items->n_items] != NULL;
    }
    items->next = batch_printf(core, "%" PRIu32, no);
    return ERR_OK;
}

/* A page of the list, and from now on every change. */
err_t schedule_follow(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__ScheduleFollow *ask = command->request->schedule_follow;
    select_t select;
    const char *why;
    size_t column;
    if (!select_parse(&select, ask->select, &why, &column)) {
        refuse(core, reply, ERR_BAD_VALUE, "schedule_follow.select", "at column %zu: %s", column,
               why);
        return ERR_OK;
    }
    follower_t *follower = follower_of(core, command->conn);
    if (follower == NULL) {
        core->followers =
            mem_grow(core->followers, (core->followers_n + 1) * sizeof *core->followers);
        core->followers[core->followers_n++] = follower = mem_new(sizeof *follower);
        follower->conn = command->conn;
        attended_look(core);
    } else if (strcmp(follower->select.text, select.text) != 0) {
        attended_look(core);
    }
    /* read again: its terms point into its own text */
    CHECK(select_parse(&follower->select, ask->select, &why, &column));
    follower->brief = ask->brief;
    Pawl__V1__ScheduleItems *items = batch_alloc(core, sizeof *items);
    pawl__v1__schedule_items__init(items);
    TRY(ask->brief ? brief_page(core, follower, ask, items)
                   : whole_page(core, follower, ask, items));
    items->seq = core->meta.next_seq - 1;
    reply->body_case = PAWL__V1__REPLY__BODY_SCHEDULES;
    reply->schedules = items;
    return ERR_OK;
}

/* ---- schedules that nobody looks after ------------------------------------------------------- */

/* Whoever left may come back in a moment, with nothing lost: a word is due only after that. */
#define ATTENDED_AFTER_US (10 * PAWL_SEC_US)
enum { ATTENDED_AT_ONCE = 1000 };

void attended_look(core_t *core)
{
    core->attended_at = 0; /* what was counted so far is of before */
    core->attended_due_us = core->now_us + ATTENDED_AFTER_US;
}

void attended_look_soon(core_t *core)
{
    if (core->attended_due_us == INT64_MAX) attended_look(core);
}

void attended_armed(core_t *core, const plan_t *plan)
{
    label_t labels[LIMIT_LABELS];
    size_t n = spec_labels(plan->spec, labels);
    for (size_t i = 0; i < core->followers_n; i++)
        if (core->followers[i]->select.n == 0 ||
            select_matches(&core->followers[i]->select, labels, n))
            return;
    attended_look_soon(core);
}

static bool all_attended(const core_t *core)
{
    for (size_t i = 0; i < core->followers_n; i++)
        if (core->followers[i]->select.n == 0) return true;
    return false;
}

/* Does this one fire, if anybody looks after it, and does nobody? */
static err_t is_alone(core_t *core, uint32_t no, const sched_row_t *row, bool *alone)
{
    rec_key_t key = key_u32(no);
    slice_t value;
    scur_row_t cur;
    *alone = false;
    if (row->flags & (SCHEDULE_GONE | SCHEDULE_PAUSED)) return ERR_OK;
    TRY(store_get(core->store, TABLE_scur, key_slice(&key), &value));
    if (!scur_row_decode(&cur, value)) return ERR_CORRUPT;
    if (cur.due_known && cur.due_us == INT64_MAX) return ERR_OK;
    for (size_t i = 0; i < core->followers_n; i++) {
        bool yes;
        TRY(chosen(core, core->followers[i], no, &yes));
        if (yes) return ERR_OK;
    }
    *alone = true;
    return ERR_OK;
}

static err_t attended_done(core_t *core)
{
    uint64_t alone = core->alone, before = core->alone_told;
    core->attended_at = 0;
    core->alone_told = alone;
    if (alone == before) return ERR_OK;
    if (alone) return journal_add(core, EVENT_SCHEDULE_UNATTENDED, core->alone_first, 0, alone);
    return journal_add(core, EVENT_SCHEDULE_ATTENDED, core->alone_first, 0, before);
}

/* Counts some more of those that nobody looks after; at the end a change is an event. */
err_t attended_step(core_t *core)
{
    if (core->attended_due_us <= core->now_us) {
        core->attended_due_us = INT64_MAX;
        core->attended_at = 1;
        core->alone = 0;
    }
    if (core->attended_at && all_attended(core)) return attended_done(core);
    for (unsigned i = 0; i < ATTENDED_AT_ONCE && core->attended_at; i++) {
        rec_key_t from = key_sched(core->attended_at, SCHED_HEADER, 0);
        slice_t key, value;
        sched_row_t row;
        bool alone;
        err_t err = store_seek(core->store, TABLE_sched, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return attended_done(core);
        TRY(err);
        if (key.len != 13 || key.at[4] != SCHED_HEADER || !sched_row_decode(&row, value))
            return ERR_CORRUPT;
        uint32_t no = be_u32(key.at);
        core->attended_at = no + 1;
        TRY(is_alone(core, no, &row, &alone));
        if (!alone) continue;
        if (core->alone++ == 0) core->alone_first = no;
    }
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query_queue.c - QueueList from registry, counters and lane heads; and what is
 * expired. */
#include <stdlib.h>

#include "broker/readers/query_task.h"
#include "schemas/limits.h"

enum { STATUSES = 12 };

/* ---- queues ---------------------------------------------------------------------------------- */

typedef struct queue_entry {
    Pawl__V1__QueueInfo *info;
    uint32_t no;
} queue_entry_t;

typedef struct queue_list {
    queue_entry_t *at;
    size_t n, room;
} queue_list_t;

static err_t add_counts(answer_t *self, uint32_t no, Pawl__V1__QueueInfo *info)
{
    rec_key_t key = key_kind_no(COUNT_QUEUE, no);
    slice_t value;
    uint64_t counts[STATUSES];
    err_t err = store_view_get(self->view, TABLE_count, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK; /* nothing was ever in it */
    if (err != ERR_OK) return err;
    if (!count_row_decode(counts, value)) return ERR_CORRUPT;
    info->counts = answer_take(self, STATUSES * sizeof *info->counts);
    for (int status = 1; status < STATUSES; status++) {
        if (counts[status] == 0) continue;
        Pawl__V1__StatusCount *count = answer_take(self, sizeof *count);
        pawl__v1__status_count__init(count);
        count->status = (Pawl__V1__TaskStatus)status;
        count->count = counts[status];
        info->counts[info->n_counts++] = count;
    }
    return ERR_OK;
}

static void add_queue(answer_t *self, uint32_t no, const reg_row_t *row, queue_list_t *list)
{
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        queue_entry_t *at = answer_take(self, room * sizeof *at);
        if (list->n) memcpy(at, list->at, list->n * sizeof *at);
        list->at = at;
        list->room = room;
    }
    Pawl__V1__QueueInfo *info = answer_take(self, sizeof *info);
    pawl__v1__queue_info__init(info);
    info->name = answer_text(self, row->name);
    info->paused = row->flags & REG_PAUSED;
    info->reason = answer_text(self, row->reason);
    list->at[list->n++] = (queue_entry_t){ info, no };
}

/* When the lane's first task became ready: the due in its key less the offset of its priority is
 * broker time; as calendar time. */
static err_t oldest_of_lane(answer_t *self, uint32_t lane, const meta_dynamic_t *meta,
                            int64_t *oldest)
{
    rec_key_t from = key_ready(lane, INT64_MIN, 0);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t no = 0;
    int64_t due = 0;
    uint64_t n = 0;
    *oldest = 0;
    ANSWER_TRY(store_scan_open(self->view, TABLE_ready, key_slice(&from), false, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && !ready_key_decode(key, &no, &due, &n)) err = ERR_CORRUPT;
    store_scan_close(&scan);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err != ERR_OK || no != lane) return err;
    task_rows_t rows;
    err = task_rows_get(self->view, n, &rows);
    if (err == ERR_NOT_FOUND) return ERR_CORRUPT;
    if (err != ERR_OK) return err;
    int64_t offset = priority_offset_us(rows.spec.priority);
    *oldest = answer_calendar(meta, CLOCK_ELAPSED, due - offset);
    return ERR_OK;
}

static err_t add_oldest(answer_t *self, const meta_dynamic_t *meta, queue_list_t *list)
{
    store_scan_t *scan = NULL;
    err_t err = store_scan_open(self->view, TABLE_lane, slice(NULL, 0), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        lane_row_t row;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_OK && (key.len != 4 || !lane_row_decode(&row, value))) err = ERR_CORRUPT;
        if (err != ERR_OK || row.waiting == 0) continue;
        int64_t oldest;
        err = oldest_of_lane(self, be_u32(key.at), meta, &oldest);
        for (size_t i = 0; i < list->n; i++) {
            int64_t *mine = &list->at[i].info->oldest_waiting_us;
            if (list->at[i].no == row.queue && oldest && (*mine == 0 || oldest < *mine))
                *mine = oldest;
        }
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const queue_entry_t *)a)->info->name, ((const queue_entry_t *)b)->info->name);
}

/* All whose name comes behind `after`, in the order of names. */
static err_t queues_after(answer_t *self, const char *after, queue_list_t *list)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_kind_no(NAME_QUEUE, 0);
    err_t err = store_scan_open(self->view, TABLE_reg, key_slice(&from), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        reg_row_t row;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK || key.len != 5 || key.at[0] != NAME_QUEUE) break;
        if (!reg_row_decode(&row, value))
            err = ERR_CORRUPT;
        else if (slice_compare(row.name, slice_text(after)) > 0)
            add_queue(self, be_u32(key.at + 1), &row, list);
    }
    store_scan_close(&scan);
    if (list->n) qsort(list->at, list->n, sizeof *list->at, by_name);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_queue_list(answer_t *self, const Pawl__V1__QueueList *ask, Pawl__V1__Reply *reply)
{
    meta_dynamic_t meta;
    queue_list_t list = { 0 };
    ANSWER_TRY(answer_meta(self, &meta));
    ANSWER_TRY(queues_after(self, ask->after, &list));
    Pawl__V1__QueueItems *items = answer_take(self, sizeof *items);
    pawl__v1__queue_items__init(items);
    size_t limit = ask->limit < LIMIT_LIST ? ask->limit : LIMIT_LIST;
    if (limit && list.n > limit) {
        list.n = limit;
        items->next = list.at[limit - 1].info->name;
    }
    for (size_t i = 0; i < list.n; i++)
        ANSWER_TRY(add_counts(self, list.at[i].no, list.at[i].info));
    ANSWER_TRY(add_oldest(self, &meta, &list));
    items->items = answer_take(self, (list.n + 1) * sizeof *items->items);
    for (; items->n_items < list.n; items->n_items++)
        items->items[items->n_items] = list.at[items->n_items].info;
    reply->queues = items;
    reply->body_case = PAWL__V1__REPLY__BODY_QUEUES;
    return ERR_OK;
}

/* ---- retention ------------------------------------------------------------------------------- */

/* Children go with their parents, when those are over. */
static err_t is_child(const answer_t *self, slice_t key, bool *answer)
{
    slice_t value;
    spec_row_t spec;
    ANSWER_TRY(store_view_get(self->view, TABLE_spec, key, &value));
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    *answer = spec.flags & SPEC_CHILD;
    return ERR_OK;
}

static bool is_expired(const answer_t *self, const retention_t *keep, const state_row_t *state)
{
    Pawl__V1__TaskStatus status = (Pawl__V1__TaskStatus)state->status;
    if (!task_status_ended(status)) return false;
    int64_t kept = status == TASK_S(FAILED) ? keep->keep_failed_us : keep->keep_finished_us;
    return state->end_wall_us + kept <= self->wall_us;
}

/* Expired tasks of block `no`. *full: `room` was met before its end. */
static err_t expired_of_block(answer_t *self, const retention_t *keep, uint64_t no, uint64_t *ns,
                              size_t room, size_t *found, bool *full)
{
    store_scan_t *scan = NULL;
    rec_key_t from = key_n(no << BLOCK_SHIFT);
    err_t err = store_scan_open(self->view, TABLE_state, key_slice(&from), false, &scan);
    *full = false;
    while (err == ERR_OK) {
        slice_t key, value, run;
        state_row_t state;
        err = store_scan_next(scan, &key, &value);
        if (err == ERR_OK && (key.len != 8 || !state_row_decode(&state, value))) err = ERR_CORRUPT;
        if (err != ERR_OK || be_u64(key.at) >> BLOCK_SHIFT != no) break;
        if (!is_expired(self, keep, &state)) continue;
        err = store_view_get(self->view, TABLE_run, key, &run);
        if (err == ERR_OK) continue; /* runs again: the state row is of before */
        if (err != ERR_NOT_FOUND) break;
        bool child;
        uint64_t n = be_u64(key.at);
        err = is_child(self, key, &child);
        if (err != ERR_OK) break;
        if (child) continue;
        if ((*full = *found == room)) break;
        ns[(*found)++] = n;
    }
    store_scan_close(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t query_expired(answer_t *self, const retention_t *keep, uint64_t *block, uint64_t *ns,
                    size_t room, size_t *found)
{
    int64_t begun = answer_now(self);
    int64_t least = keep->keep_finished_us < keep->keep_failed_us ? keep->keep_finished_us
                                                                  : keep->keep_failed_us;
    store_scan_t *scan = NULL;
    rec_key_t from = key_n(*block);
    *found = 0;
    err_t err = store_scan_open(self->view, TABLE_block, key_slice(&from), false, &scan);
    for (;;) {
        slice_t key, value;
        block_row_t row;
        if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
        if (err == ERR_NOT_FOUND) {
            err = ERR_OK;
            *block = 0;
            break;
        }
        if (err == ERR_OK && (key.len != 8 || !block_row_decode(&row, value))) err = ERR_CORRUPT;
        if (err != ERR_OK) break;
        uint64_t no = be_u64(key.at);
        *block = no;
        if (answer_page_over(self, begun)) break;
        unsigned ended = 0;
        for (unsigned status = TASK_S(FINISHED); status < STATUSES; status++)
            ended += row.counts[status];
        if (ended == 0 || (row.end_min_us && row.end_min_us + least > self->wall_us)) continue;
        bool full;
        err = expired_of_block(self, keep, no, ns, room, found, &full);
        if (full) break;
    }
    store_scan_close(&scan);
    return err;
}

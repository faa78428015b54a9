/* SPDX-License-Identifier: Apache-2.0
 * core_stats.c - the numbers that core tells of itself. */
#include "broker/core/inside.h"

#include <stdio.h>
#include <stdlib.h>

/* When the lane's first task became ready, in broker time: the due of its key less the offset of
 * its priority. A lane's head that no executor has asked for is in the store only. */
static err_t first_ready(store_view_t *view, const lane_t *lane, int64_t *ready_us)
{
    rec_key_t from = key_ready(lane->no, INT64_MIN, 0);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t no = 0;
    int64_t due = 0;
    uint64_t n = 0;
    spec_row_t spec;
    TRY(store_scan_open(view, TABLE_ready, key_slice(&from), false, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && !ready_key_decode(key, &no, &due, &n)) err = ERR_CORRUPT;
    store_scan_close(&scan);
    if (err == ERR_OK && no != lane->no) err = ERR_NOT_FOUND;
    TRY(err);
    rec_key_t of_task = key_n(n);
    TRY(store_view_get(view, TABLE_spec, key_slice(&of_task), &value));
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    *ready_us = due - priority_offset_us(spec.priority);
    return ERR_OK;
}

/* Fills `oldest` by the number of the queue, in the caller's steady time. Numbers only: what cannot
 * be read is left out here and refused where it is used. */
static void find_oldest(const core_t *core, int64_t *oldest)
{
    store_view_t *view = NULL;
    if (core->counts[S(WAITING)] == 0 || store_view_open(core->store, &view) != ERR_OK) return;
    for (size_t i = 0; i < core->lanes_n; i++) {
        const lane_t *lane = core->lanes[i];
        int64_t ready_us;
        if (lane->waiting == 0 || lane->queue >= core->names_n[NAME_QUEUE] ||
            first_ready(view, lane, &ready_us) != ERR_OK)
            continue;
        ready_us -= core->shift_us;
        if (ready_us < oldest[lane->queue]) oldest[lane->queue] = ready_us;
    }
    store_view_close(&view);
}

void core_stats(const core_t *core, core_stats_t *stats)
{
    *stats = (core_stats_t){ .batch = core->meta.batch,
                             .epoch = core->meta.epoch,
                             .events_seq = core->meta.next_seq - 1,
                             .generation = core->fixed.generation,
                             .submitted = core->submitted,
                             .started = core->started,
                             .ended = core->ended,
                             .commits = core->commits,
                             .last_batch_ops = core->ops,
                             .schedules = core->meta.next_no[NAME_SCHEDULE] - 1,
                             .level = core->level,
                             .reserved_bytes = core->space.reserved * core->space.page_bytes,
                             .leases_left = core->space.leases_left,
                             .queue_us = core->queue_hist,
                             .run_us = core->run_hist };
    memcpy(stats->counts, core->counts, sizeof stats->counts);
    memcpy(stats->store_id, core->fixed.store_id, 16);
    int64_t *oldest = mem_new((core->names_n[NAME_QUEUE] + 1) * sizeof *oldest);
    for (size_t no = 0; no < core->names_n[NAME_QUEUE]; no++)
        oldest[no] = INT64_MAX;
    find_oldest(core, oldest);
    stats->queues = mem_new((core->names_n[NAME_QUEUE] + 1) * sizeof *stats->queues);
    for (size_t no = 0; no < core->names_n[NAME_QUEUE]; no++) {
        const named_t *queue = core->names[NAME_QUEUE][no];
        if (queue == NULL) continue;
        core_queue_stats_t *row = &stats->queues[stats->queue_count++];
        snprintf(row->name, sizeof row->name, "%s", queue->name);
        row->paused = (queue->flags & REG_PAUSED) != 0;
        memcpy(row->counts, queue->counts, sizeof row->counts);
        row->oldest_ready_us = oldest[no];
    }
    free(oldest);
}

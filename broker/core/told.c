/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/told.h"

#include "client/base/base.h"

int64_t schedule_jitter_us(const uint8_t uid[16], int64_t bound_us)
{
    return bound_us > 0 ? (int64_t)(hash64(uid, 16) % (uint64_t)bound_us) : 0;
}

void schedule_info_fill(const sched_row_t *row, const scur_row_t *cursor,
                        const Pawl__V1__Schedule *spec, Pawl__V1__ScheduleInfo *info)
{
    pawl__v1__schedule_info__init(info);
    info->revision = row->revision;
    info->created_us = row->created_wall_us;
    info->removed = (row->flags & SCHEDULE_GONE) != 0;
    info->rule = spec->rule;
    info->zone = spec->zone;
    info->exclusions = spec->exclusions;
    info->after_us = spec->after_us;
    info->also = spec->also;
    info->n_also = spec->n_also;
    info->calendars = spec->calendars;
    info->n_calendars = spec->n_calendars;
    info->max_firings = spec->max_firings;
    info->mode = spec->mode;
    info->overlap = spec->overlap;
    info->labels = spec->labels;
    info->n_labels = spec->n_labels;
    info->last_us = cursor->last_fired_us;
    info->cursor_us = cursor->cursor_us;
    info->missed = cursor->missed;
    info->fired = cursor->fired;
    info->running = cursor->running;
    info->waiting = cursor->waiting;
}

void range_info_fill(const range_row_t *row, uint16_t no, Pawl__V1__RangeInfo *info)
{
    pawl__v1__range_info__init(info);
    info->number = no;
    info->cause = (char *)(uintptr_t)(row->cause == CAUSE_BACKFILL ? "backfill" : "backlog");
    info->state = (char *)(uintptr_t)range_state_text(row->state);
    info->order =
        row->flags & RANGE_NEWEST ? PAWL__V1__ORDER__ORDER_NEWEST : PAWL__V1__ORDER__ORDER_OLDEST;
    info->overlap = (Pawl__V1__Overlap)row->overlap;
    info->rate = row->rate;
    info->stop = (row->flags & RANGE_STOP) != 0;
    info->revision = row->revision;
    info->from_us = row->from_us;
    info->to_us = row->to_us;
    info->low_us = row->low_us;
    info->high_us = row->high_us;
    info->fired = row->fired;
    info->skipped = row->skipped;
    info->failed = row->failed;
    info->made_us = row->made_wall_us;
    info->ended_us = row->ended_wall_us;
    info->cursor_us = row->flags & RANGE_NEWEST ? row->high_us : row->low_us;
}

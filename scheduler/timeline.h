/* SPDX-License-Identifier: Apache-2.0
 * scheduler/timeline.h - whose turn is next: all schedules by uid, each with its ranges, and a heap
 * by due instant.
 *
 * Pure: no clock, no socket; one thread. Instants are microseconds of wall time. An entry takes
 * about 150 bytes with its place in heap and table: a million schedules are 150 MB. Of those due at
 * the same instant the one that was made first has its turn first: a list tells of schedules in the
 * order of the broker's rows, and a hundred thousand proposals in that order touch each page of its
 * store once. */
#ifndef SCHEDULER_TIMELINE_H
#define SCHEDULER_TIMELINE_H

#include "client/base/base.h"

#define TIMELINE_NEVER INT64_MAX

typedef struct timeline timeline_t;
typedef struct entry {
    uint8_t uid[16];
    uint64_t revision;
    int64_t cursor_us; /* every instant up to it is decided */
    int64_t jitter_us; /* an instant is due this long after it */
    int64_t told_us;   /* what a push made of due_us while a proposal was under way, else NEVER */
    int64_t due_us;    /* when to propose; TIMELINE_NEVER: nothing to do until something changes */
    struct entry *ranges; /* of a schedule: its first range; of a range: the next one */
    uint32_t heap_at;     /* the timeline's business */
    uint32_t order;       /* likewise: rises with each entry that is made */
    uint16_t range;       /* 0: a schedule; else one of its ranges, whose uid is made of both */
    bool proposed;        /* a proposal is under way: not due whatever due_us says */
    uint8_t list; /* the list, or a change since it began, that told of it last; of a range: told */
} entry_t;

timeline_t *timeline_new(void);
void timeline_destroy(timeline_t **self_p);
void timeline_clear(timeline_t *self);
size_t timeline_size(const timeline_t *self);

/* The entry of a schedule, made when missing (due never). Borrowed until timeline_remove or _clear.
 */
entry_t *timeline_entry(timeline_t *self, const uint8_t uid[16]);
/* The entry of one of its ranges (from 1 on), likewise; it goes with its schedule. */
entry_t *timeline_range(timeline_t *self, entry_t *schedule, uint16_t range);
entry_t *timeline_find(const timeline_t *self, const uint8_t uid[16]); /* NULL: none */
/* The uid of a range from that of its schedule, and back. */
void timeline_range_uid(const uint8_t uid[16], uint16_t range, uint8_t made[16]);
void timeline_remove(timeline_t *self, entry_t *entry);
/* Removes all schedules that `list` did not tell of. Returns how many. */
size_t timeline_keep(timeline_t *self, uint8_t list);
/* Moves it to its new place. */
void timeline_set_due(timeline_t *self, entry_t *entry, int64_t due_us);
/* The entry that is due first; NULL: there are none. */
entry_t *timeline_first(const timeline_t *self);

#endif

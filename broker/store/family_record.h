/* SPDX-License-Identifier: Apache-2.0
 * broker/store/family_record.h - rows of fan-outs: the parent's counters (fam), its children
 * (kids), and the executors that were ever here (enrolled), which is who a fan-out goes to.
 *
 * As in record.h: keys big-endian, a version byte first, decoders return false for what they cannot
 * read. Times without `wall` are broker time, microseconds. */
#ifndef BROKER_STORE_FAMILY_RECORD_H
#define BROKER_STORE_FAMILY_RECORD_H

#include "broker/store/record.h"

/* ---- fam: kind, parent n -> FAM_ROW: counters and policy; FAM_JOIN: empty, it may be joined.
 *      FAM_FIRED, schedule, parent n -> empty: a fan-out of this schedule that has not ended -- */
enum { FAM_ROW = 1, FAM_JOIN = 2, FAM_FIRED = 3 };
rec_key_t key_fam(uint8_t kind, uint64_t parent);
rec_key_t key_fam_fired(uint32_t schedule, uint64_t parent);
bool fam_fired_decode(slice_t key, uint32_t *schedule, uint64_t *parent); /* false: another kind */
enum {
    FAM_STARTED = 1,      /* children may be released */
    FAM_HELD = 2,         /* by hand: no child is released */
    FAM_CANCELLING = 4,   /* by hand: it ends when the last child has stopped */
    FAM_STOPPED = 8,      /* too many failed: no child is released */
    FAM_ENDED = 16,       /* the parent has ended */
    FAM_SWEPT = 32,       /* and what was left of its children has been cancelled, or may go on */
    FAM_CANCEL_REST = 64, /* policy: so it shall be */
    FAM_MOVE = 128,       /* policy: a lost child may run elsewhere */
    FAM_JOINABLE = 256,   /* a FAM_JOIN row stands */
    FAM_PURGING = 512,    /* its leaves are being removed: not found any more */
    FAM_SHORT = 1024,     /* fewer members than were asked for: it fails */
};
/* Passes over all children, which may take several commits. Where several are due, the one with
 * the lowest number goes first. */
enum {
    PASS_KILL = 1,    /* open children end on record at once */
    PASS_CANCEL = 2,  /* open children are cancelled */
    PASS_AGAIN = 4,   /* children that ended and did not finish are open again */
    PASS_HOLD = 8,    /* waiting and delayed children are held */
    PASS_START = 16,  /* held children go on */
    PASS_REMOVE = 32, /* its time is over: children are removed, behind the last one the parent */
};
typedef struct fam_row {
    uint16_t flags;
    uint8_t done, offline; /* FanoutDone, FanoutOffline; never UNSPECIFIED */
    uint32_t done_count, parallel, stop_failures, stop_percent;
    int64_t offline_us, pause_us;
    /* total = open + ok + failed + expired + skipped + cancelled; blocked are part of open */
    uint32_t total, open, blocked, ok, failed, expired, skipped, cancelled;
    uint64_t next_n; /* no child below it is blocked */
    int64_t started_us, pause_until_us, look_us, join_until_us;
    int64_t timer_at; /* of its TIMER_FAMILY row on the elapsed clock; 0: there is none */
    uint8_t passes;   /* PASS_*: those that are not over */
    uint64_t pass_n;  /* the first of them goes on from this child */
} fam_row_t;
void fam_row_encode(const fam_row_t *self, buf_t *to);
bool fam_row_decode(fam_row_t *self, slice_t from);

/* ---- kids: parent n, step u16, n -> child key (name of its executor) ------------------------- */
rec_key_t key_kid(uint64_t parent, uint16_t step, uint64_t n);
bool kid_key_decode(slice_t key, uint64_t *parent, uint16_t *step, uint64_t *n);
void kid_row_encode(slice_t child_key, buf_t *to);
bool kid_row_decode(slice_t *child_key, slice_t from);
/* Id of a child: the time of its parent's, then 80 bits of BLAKE2b keyed with the store's secret
 * over (parent id, child key). */
void child_id(const uint8_t secret[32], const uint8_t parent[16], slice_t child_key,
              uint8_t id[16]);

/* ---- enrolled: executor number -> who it is, for the choice of members ----------------------- */
enum { ENROLLED_TYPES_MAX = 256 };
typedef struct enrolled_row {
    int64_t seen_us;       /* when it last said Hello or left, or a day ago at most */
    slice_t labels;        /* "k=v" sorted, joined by NUL */
    slice_t types, queues; /* numbers, 4 bytes each, sorted; types empty: more than the row
                              holds, queues empty: all */
    bool has_interpreters; /* false: a row from before they were kept, or more than it holds */
    slice_t interpreters;  /* name, NUL, version, NUL */
} enrolled_row_t;
void enrolled_row_encode(const enrolled_row_t *self, buf_t *to);
bool enrolled_row_decode(enrolled_row_t *self, slice_t from);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * keep.c - history that core lets go by itself, a few rows at a time: journal rows past their
 * retention or, in a crowded store, all but the newest; ledger extents past theirs, and with them
 * the rules that only they named. Which schedule is looked at follows from the batch number, so
 * nothing has to be remembered. Tasks are purged by command (change.c), replies and ids of purged
 * tasks as they come of age (reply.c, timer.c).
 *
 * A removed schedule keeps its header, definition and cursor, some 600 bytes, for good: tasks of it
 * may be on record, and can be run again by hand. */
#include "broker/core/inside.h"

enum {
    LOOK_EVERY = 64,   /* batches */
    CROWDED_EVERY = 4, /* while history gives way to live work */
    ROWS_AT_ONCE = 128,
    EVENTS_KEPT = 4096, /* the newest, however crowded the store is */
};

/* ---- journal --------------------------------------------------------------------------------- */

static err_t may_go(const core_t *core, slice_t key, slice_t value, bool *go)
{
    journal_unpack_t unpack;
    journal_entry_t entry;
    uint64_t first = key.len == 8 ? be_u64(key.at) : 0;
    if (first == 0 || !journal_unpack_begin(&unpack, first, value)) return ERR_CORRUPT;
    uint64_t end = first + unpack.left;
    if (!journal_unpack_next(&unpack, &entry)) return ERR_CORRUPT;
    bool old = entry.wall_us + core->config.keep_journal_us <= core->wall_us;
    *go = old || (core->level_history && end + EVENTS_KEPT <= core->meta.next_seq);
    return ERR_OK;
}

static err_t trim_journal(core_t *core)
{
    for (unsigned i = 0; i < ROWS_AT_ONCE; i++) {
        rec_key_t from = key_n(0);
        slice_t key, value;
        bool go;
        err_t err = store_seek(core->store, TABLE_jrn, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        TRY(may_go(core, key, value, &go));
        if (!go) return ERR_OK;
        rec_key_t row = key_n(be_u64(key.at));
        TRY(del_row(core, TABLE_jrn, &row));
    }
    return ERR_OK;
}

/* ---- ledger ---------------------------------------------------------------------------------- */

/* The oldest revision that the ledger of a schedule still names. */
static err_t oldest_revision(core_t *core, uint32_t no, uint64_t *revision)
{
    rec_key_t key = key_u32(no);
    slice_t value;
    scur_row_t cursor;
    *revision = 0;
    err_t err = store_get(core->store, TABLE_scur, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!scur_row_decode(&cursor, value)) return ERR_CORRUPT;
    *revision = cursor.open.count ? cursor.open.revision : cursor.revision;
    return ERR_OK;
}

/* Extents of one range, from the oldest on. *n: rows that may still go in this batch. */
static err_t drop_extents(core_t *core, uint32_t no, uint16_t range, unsigned *n)
{
    for (; *n > 0; (*n)--) {
        rec_key_t from = key_ledger(no, range, INT64_MIN);
        slice_t key, value;
        uint32_t found;
        uint16_t of;
        int64_t first;
        err_t err = store_seek(core->store, TABLE_ledger, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (!ledger_key_decode(key, &found, &of, &first)) return ERR_CORRUPT;
        if (found != no || of != range) return ERR_OK;
        rec_key_t row = key_ledger(no, range, first);
        TRY(del_row(core, TABLE_ledger, &row));
    }
    return ERR_OK;
}

/* Ranges go a while after their end, whole; the newest keeps its row, so that its number does not
 * come again. *revision: the oldest that the others still name, if it is older. */
static err_t trim_ranges(core_t *core, uint32_t no, uint64_t *revision)
{
    unsigned left = ROWS_AT_ONCE;
    for (uint16_t after = 0, next; after < UINT16_MAX; after = next) {
        rec_key_t from = key_range(no, (uint16_t)(after + 1));
        slice_t key, value;
        uint32_t found;
        range_row_t row;
        err_t err = store_seek(core->store, TABLE_range, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (!range_key_decode(key, &found, &next)) return ERR_CORRUPT;
        if (found != no) return ERR_OK;
        if (!range_row_decode(&row, value)) return ERR_CORRUPT;
        bool old = row.state >= RANGE_DONE &&
                   row.ended_wall_us + core->config.keep_ledger_us <= core->wall_us;
        if (old) TRY(drop_extents(core, no, next, &left));
        if (!old || left == 0) {
            if (row.revision < *revision) *revision = row.revision;
            if (left == 0) return ERR_OK;
            continue;
        }
        from = key_range(no, (uint16_t)(next + 1));
        err = next == UINT16_MAX
                  ? ERR_NOT_FOUND
                  : store_seek(core->store, TABLE_range, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u32(key.at) != no)) return ERR_OK;
        TRY(err);
        from = key_range(no, next);
        TRY(del_row(core, TABLE_range, &from));
    }
    return ERR_OK;
}

static err_t trim_extents(core_t *core, uint32_t no, uint64_t *revision)
{
    TRY(oldest_revision(core, no, revision));
    for (unsigned i = 0; i < ROWS_AT_ONCE; i++) {
        rec_key_t from = key_ledger(no, 0, INT64_MIN);
        slice_t key, value;
        uint32_t found;
        uint16_t range;
        int64_t first;
        extent_t extent;
        err_t err = store_seek(core->store, TABLE_ledger, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (!ledger_key_decode(key, &found, &range, &first)) return ERR_CORRUPT;
        if (found != no || range != 0) return ERR_OK;
        if (!extent_decode(&extent, value)) return ERR_CORRUPT;
        if (extent.decided_last_us + core->config.keep_ledger_us > core->wall_us) {
            *revision = extent.revision;
            return ERR_OK;
        }
        rec_key_t row = key_ledger(no, range, first);
        TRY(del_row(core, TABLE_ledger, &row));
    }
    *revision = 0; /* there may be more: rules go when it is known what they are needed for */
    return ERR_OK;
}

static err_t trim_rules(core_t *core, uint32_t no, uint64_t below)
{
    for (unsigned i = 0; i < ROWS_AT_ONCE && below > 0; i++) {
        rec_key_t from = key_sched(no, SCHED_RULE, 0);
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_sched, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        if (key.len != 13 || be_u32(key.at) != no || key.at[4] != SCHED_RULE ||
            be_u64(key.at + 5) >= below)
            return ERR_OK;
        rec_key_t row = key_sched(no, SCHED_RULE, be_u64(key.at + 5));
        TRY(del_row(core, TABLE_sched, &row));
    }
    return ERR_OK;
}

static err_t trim_ledger(core_t *core)
{
    uint32_t schedules = core->meta.next_no[NAME_SCHEDULE] - 1;
    if (schedules == 0) return ERR_OK;
    uint32_t no = 1 + (uint32_t)(core->meta.batch / LOOK_EVERY % schedules);
    uint64_t revision;
    TRY(trim_extents(core, no, &revision));
    TRY(trim_ranges(core, no, &revision));
    return trim_rules(core, no, revision);
}

err_t history_trim(core_t *core)
{
    if (core->meta.batch % (core->level_history ? CROWDED_EVERY : LOOK_EVERY) != 0) return ERR_OK;
    TRY(trim_journal(core));
    return core->meta.batch % LOOK_EVERY == 0 ? trim_ledger(core) : ERR_OK;
}

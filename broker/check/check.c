/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/check/check.h"

#include <stdlib.h>

#include "broker/check/check_inside.h"

/* ---- meta, names, counters, journal, replies ------------------------------------------------- */

static void check_meta(check_t *self)
{
    rec_key_t key = key_u8(META_STATIC);
    slice_t value;
    if (!check_get(self, TABLE_meta, &key, &value) || !meta_static_decode(&self->fixed, value))
        check_problem(self, TABLE_meta, key_slice(&key), "missing or unreadable");
    else if (self->fixed.format != STORE_FORMAT)
        check_problem(self, TABLE_meta, key_slice(&key), "format %u, this program knows %d",
                      self->fixed.format, STORE_FORMAT);
    key = key_u8(META_DYNAMIC);
    if (!check_get(self, TABLE_meta, &key, &value) || !meta_dynamic_decode(&self->meta, value))
        check_problem(self, TABLE_meta, key_slice(&key), "missing or unreadable");
}

static bool has_reg(uint8_t kind)
{
    return kind == NAME_TYPE || kind == NAME_QUEUE || kind == NAME_PRINCIPAL ||
           kind == NAME_EXECUTOR || kind == NAME_ZONE || kind == NAME_CALENDAR;
}

static void check_name(check_t *self, slice_t key, slice_t value)
{
    uint32_t no;
    reg_row_t row;
    slice_t reg;
    if (key.len == 0 || !name_row_decode(&no, value)) {
        check_problem(self, TABLE_names, key, "the row cannot be read");
        return;
    }
    if (!has_reg(key.at[0])) return;
    rec_key_t reg_key = key_kind_no(key.at[0], no);
    if (!check_get(self, TABLE_reg, &reg_key, &reg) || !reg_row_decode(&row, reg)) {
        check_problem(self, TABLE_names, key, "number %u is not registered", no);
        return;
    }
    rec_key_t same = key_name((enum name_kind)key.at[0], row.name);
    if (!slice_equal(key_slice(&same), key))
        check_problem(self, TABLE_names, key, "number %u has another name", no);
}

static void check_reg(check_t *self, slice_t key, slice_t value)
{
    reg_row_t row;
    uint32_t no;
    slice_t name_value;
    if (key.len != 5 || !reg_row_decode(&row, value)) {
        check_problem(self, TABLE_reg, key, "the row cannot be read");
        return;
    }
    if (!has_reg(key.at[0])) return;
    rec_key_t name = key_name((enum name_kind)key.at[0], row.name);
    if (!check_get(self, TABLE_names, &name, &name_value) || !name_row_decode(&no, name_value) ||
        no != be_u32(key.at + 1))
        check_problem(self, TABLE_reg, key, "the name does not lead to this number");
}

static void check_lane(check_t *self, slice_t key, slice_t value)
{
    static const tally_t none;
    lane_row_t row;
    if (key.len != 4 || !lane_row_decode(&row, value)) {
        check_problem(self, TABLE_lane, key, "the row cannot be read");
        return;
    }
    uint32_t no = be_u32(key.at);
    const tally_t *tally = no < self->lanes.n ? &self->lanes.at[no] : &none;
    if (row.waiting != tally->ready)
        check_problem(self, TABLE_lane, key, "%llu tasks are ready, the lane says %u",
                      (unsigned long long)tally->ready, row.waiting);
    if (row.counted && row.tasks != tally->tasks)
        check_problem(self, TABLE_lane, key, "%llu tasks name the lane, its row says %llu",
                      (unsigned long long)tally->tasks, (unsigned long long)row.tasks);
    if (row.counted && row.tasks == 0)
        check_problem(self, TABLE_lane, key, "no task names the lane, and it is still there");
}

static void check_count(check_t *self, slice_t key, slice_t value)
{
    static const tally_t none;
    uint64_t counts[STATUSES];
    if (key.len != 5 || !count_row_decode(counts, value) || key.at[0] < COUNT_QUEUE ||
        key.at[0] > COUNT_REPLIES) {
        check_problem(self, TABLE_count, key, "the row cannot be read");
        return;
    }
    if (key.at[0] == COUNT_REPLIES) {
        tally_t *replies =
            check_tally(self, &self->principals, be_u32(key.at + 1), TABLE_count, key);
        if (replies && replies->replies != counts[1])
            check_problem(self, TABLE_count, key, "%llu replies are remembered, the row says %llu",
                          (unsigned long long)replies->replies, (unsigned long long)counts[1]);
        return;
    }
    tallies_t *of = key.at[0] == COUNT_QUEUE ? &self->queues : &self->types;
    uint32_t no = be_u32(key.at + 1);
    tally_t *tally = no < of->n ? &of->at[no] : NULL;
    for (size_t status = 1; status < STATUSES; status++) {
        uint64_t there = (tally ? tally : &none)->counts[status];
        if (counts[status] != there)
            check_problem(self, TABLE_count, key, "%llu tasks have status %zu, the row says %llu",
                          (unsigned long long)there, status, (unsigned long long)counts[status]);
    }
    if (tally) tally->counts[0] = 1; /* has its row */
}

static void check_counts_missing(check_t *self, const tallies_t *of, const char *what)
{
    for (size_t no = 0; no < of->n; no++) {
        uint64_t sum = 0;
        for (size_t status = 1; status < STATUSES; status++)
            sum += of->at[no].counts[status];
        if (sum && of->at[no].counts[0] == 0)
            check_problem(self, TABLE_count, slice(NULL, 0), "%s %zu has tasks but no counters",
                          what, no);
    }
}

/* The tasks of one block, read again: blocks do not lie in the order of a tally. */
static void check_block(check_t *self, slice_t key, slice_t value)
{
    block_row_t row;
    uint16_t counts[STATUSES] = { 0 };
    if (key.len != 8 || !block_row_decode(&row, value)) {
        check_problem(self, TABLE_block, key, "the row cannot be read");
        return;
    }
    uint64_t low = be_u64(key.at) << BLOCK_SHIFT, high = low + (1u << BLOCK_SHIFT);
    for (uint64_t n = low; n < high && n < self->meta.next_n; n++) {
        task_rows_t rows;
        err_t err = task_rows_get(self->view, n, &rows);
        if (err == ERR_OK && (unsigned)rows.status < STATUSES) counts[rows.status]++;
    }
    for (size_t status = 1; status < STATUSES; status++)
        if (counts[status] != row.counts[status])
            check_problem(self, TABLE_block, key, "%u tasks have status %zu, the row says %u",
                          counts[status], status, row.counts[status]);
}

static void check_blocks_missing(check_t *self)
{
    for (uint64_t no = 0; no << BLOCK_SHIFT < self->meta.next_n; no++) {
        rec_key_t key = key_n(no), first = key_n(no << BLOCK_SHIFT);
        if (check_has(self, TABLE_block, &key)) continue;
        store_scan_t *scan = NULL;
        slice_t found, value;
        err_t err = store_scan_open(self->view, TABLE_spec, key_slice(&first), false, &scan);
        if (err == ERR_OK) err = store_scan_next(scan, &found, &value);
        if (err == ERR_OK && found.len == 8 && be_u64(found.at) >> BLOCK_SHIFT == no)
            check_problem(self, TABLE_block, key_slice(&key), "the block has tasks but no row");
        store_scan_close(&scan);
    }
}

static err_t check_journal(check_t *self)
{
    store_scan_t *scan = NULL;
    uint64_t next = 0;
    check_note_place(self, TABLE_jrn, slice(NULL, 0));
    err_t err = store_scan_open(self->view, TABLE_jrn, slice(NULL, 0), false, &scan);
    while (err == ERR_OK) {
        slice_t key, value;
        journal_unpack_t unpack;
        journal_entry_t entry;
        err = store_scan_next(scan, &key, &value);
        if (err != ERR_OK && err != ERR_CORRUPT) break;
        self->rows++;
        check_note_place(self, TABLE_jrn, key);
        uint64_t first = key.len == 8 ? be_u64(key.at) : 0;
        bool readable = err == ERR_OK && journal_unpack_begin(&unpack, first, value);
        if (next && first != next)
            check_problem(self, TABLE_jrn, key, "the row before ends at %llu",
                          (unsigned long long)next);
        while (readable && journal_unpack_next(&unpack, &entry))
            continue;
        if (err == ERR_CORRUPT)
            check_problem(self, TABLE_jrn, key, "the checksum is wrong");
        else if (!readable || unpack.in.bad)
            check_problem(self, TABLE_jrn, key, "the row cannot be read");
        next = readable ? unpack.seq : 0;
        err = ERR_OK;
    }
    store_scan_close(&scan);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (next && next != self->meta.next_seq)
        check_problem(self, TABLE_jrn, slice(NULL, 0), "ends at %llu, meta goes on at %llu",
                      (unsigned long long)next, (unsigned long long)self->meta.next_seq);
    return ERR_OK;
}

static void check_reply(check_t *self, slice_t key, slice_t value)
{
    int64_t order;
    slice_t reply;
    if (key.len != 20 || !reply_row_decode(&order, &reply, value)) {
        check_problem(self, TABLE_reply, key, "the row cannot be read");
        return;
    }
    tally_t *tally = check_tally(self, &self->principals, be_u32(key.at), TABLE_reply, key);
    if (tally) tally->replies++;
    rec_key_t age = key_reply_age(be_u32(key.at), order, key.at + 4);
    if (!check_has(self, TABLE_replyage, &age))
        check_problem(self, TABLE_reply, key, "the remembered reply would never be forgotten");
}

static void check_reply_age(check_t *self, slice_t key, slice_t value)
{
    int64_t order;
    slice_t reply;
    if (key.len != 28) {
        check_problem(self, TABLE_replyage, key, "the key cannot be read");
        return;
    }
    rec_key_t reply_key = key_reply(be_u32(key.at), key.at + 12);
    if (!check_get(self, TABLE_reply, &reply_key, &value) ||
        !reply_row_decode(&order, &reply, value) || order != be_i64(key.at + 4))
        check_problem(self, TABLE_replyage, key, "there is no such reply");
}

/* The scope of what the row says it belongs to. False: that is not on record. */
static bool scope_of(check_t *self, const watermark_row_t *row, uint8_t scope[16])
{
    rec_key_t key = row->kind == SCOPE_SCHEDULE ? key_sched(row->no, SCHED_HEADER, 0)
                    : row->kind == SCOPE_TASK   ? key_id(row->name.at)
                                                : key_kind_no(NAME_PRINCIPAL, row->no);
    slice_t value;
    sched_row_t schedule;
    id_row_t id;
    char name[LIMIT_LABEL + 1];
    switch (row->kind) {
    case SCOPE_SCHEDULE:
        if (!check_get(self, TABLE_sched, &key, &value) || !sched_row_decode(&schedule, value))
            return false;
        scope_id(self->fixed.secret, SCOPE_SCHEDULE, slice(schedule.uid, 16), scope);
        return true;
    case SCOPE_TASK:
        scope_id(self->fixed.secret, SCOPE_TASK, row->name, scope);
        return check_get(self, TABLE_ids, &key, &value) && id_row_decode(&id, value) &&
               id.kind == ID_TASK;
    default:
        if (row->name.len > LIMIT_LABEL || !check_has(self, TABLE_reg, &key)) return false;
        memcpy(name, row->name.at, row->name.len);
        name[row->name.len] = '\0';
        scope_of_name(self->fixed.secret, row->no, name, scope);
        return true;
    }
}

static void check_watermark(check_t *self, slice_t key, slice_t value)
{
    watermark_row_t row;
    uint8_t scope[16];
    if (key.len != 16 || !watermark_row_decode(&row, value)) {
        check_problem(self, TABLE_watermark, key, "the row cannot be read");
        return;
    }
    bool says = row.kind == SCOPE_SCHEDULE ? row.no > 0 : row.name.len > 0;
    if (!says) return; /* a row of version 1, or one that was set by its scope since */
    if (!scope_of(self, &row, scope))
        check_problem(self, TABLE_watermark, key, "what it belongs to is not on record");
    else if (memcmp(scope, key.at, sizeof scope) != 0)
        check_problem(self, TABLE_watermark, key, "it belongs to another scope");
}

/* ---- the whole ------------------------------------------------------------------------------- */

static err_t check_all(check_t *self)
{
    ANSWER_TRY(check_each(self, TABLE_meta, NULL));
    check_meta(self);
    ANSWER_TRY(check_tasks(self)); /* tallies for what follows */
    ANSWER_TRY(check_families(self));
    ANSWER_TRY(check_schedules(self));
    ANSWER_TRY(check_each(self, TABLE_reply, check_reply));
    ANSWER_TRY(check_each(self, TABLE_lane, check_lane));
    ANSWER_TRY(check_each(self, TABLE_count, check_count));
    check_counts_missing(self, &self->queues, "queue");
    check_counts_missing(self, &self->types, "type");
    ANSWER_TRY(check_each(self, TABLE_block, check_block));
    check_blocks_missing(self);
    ANSWER_TRY(check_each(self, TABLE_names, check_name));
    ANSWER_TRY(check_each(self, TABLE_reg, check_reg));
    ANSWER_TRY(check_journal(self));
    ANSWER_TRY(check_each(self, TABLE_watermark, check_watermark));
    return check_each(self, TABLE_replyage, check_reply_age);
}

static const char *level_of(const store_usage_t *usage)
{
    uint64_t percent = usage->map_bytes ? usage->used_bytes * 100 / usage->map_bytes : 0;
    return percent >= 92 ? "end-only" : percent >= 85 ? "refuse" : percent >= 60 ? "history" : "ok";
}

static void sum_up(const check_t *self, store_t *store)
{
    if (self->out == NULL) return;
    if (self->problems > CHECK_LINES)
        fprintf(self->out, "and %zu more\n", self->problems - CHECK_LINES);
    store_usage_t usage;
    store_usage(store, &usage);
    if (self->problems)
        fprintf(self->out, "damaged: %zu problems in", self->problems);
    else
        fprintf(self->out, "ok:");
    fprintf(self->out,
            " %llu tasks, %llu of them not ended, %llu ledger extents, %llu rows; %llu of %llu "
            "bytes used, level %s, batch %llu\n",
            (unsigned long long)self->tasks, (unsigned long long)self->live,
            (unsigned long long)self->extents, (unsigned long long)self->rows,
            (unsigned long long)usage.used_bytes, (unsigned long long)usage.map_bytes,
            level_of(&usage), (unsigned long long)self->meta.batch);
}

err_t check_with(store_t *store, FILE *out, volatile check_place_t *place, size_t *problems)
{
    check_t self = { .out = out, .place = place };
    ANSWER_TRY(store_view_open(store, &self.view));
    err_t err = check_all(&self);
    store_view_close(&self.view);
    if (err == ERR_OK) sum_up(&self, store);
    free(self.queues.at);
    free(self.types.at);
    free(self.lanes.at);
    free(self.schedules.at);
    check_gates_free(&self);
    free(self.principals.at);
    *problems = self.problems;
    return err;
}

err_t check_store(store_t *store, FILE *out, size_t *problems)
{
    return check_with(store, out, NULL, problems);
}

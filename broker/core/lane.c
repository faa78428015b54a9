/* SPDX-License-Identifier: Apache-2.0
 * lane.c - a lane is all waiting tasks of one (queue, type, target, band): an executor may take any
 * of them or none, so choosing (dispatch.c) is a comparison of the lanes' heads and never a scan
 * past tasks it cannot take.
 *
 * In a batch, what becomes ready is *fresh*: kept in memory until dispatch. What an executor takes
 * never touches the ready table; the rest is written there at the end of the batch. */
#include "broker/core/inside.h"

#include <stdlib.h>

/* ---- finding and making lanes ---------------------------------------------------------------- */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Behind a host or a bucket: the source as it stands among labels elsewhere. */
static void add_source(const Pawl__V1__Sql *sql, buf_t *to)
{
    static const char mark[] = { '\0', LANE_SOURCE };
    if (sql == NULL) return;
    buf_add(to, mark, sizeof mark);
    buf_printf(to, SOURCE_LABEL, sql->source);
}

/* The target as one run of bytes: labels sorted, joined by NUL. A task of sql goes to who has its
 * source, as if that were one more label (SOURCE_LABEL); who names an executor gets that one, and
 * its word if it has no such source. */
static uint8_t where_text(const Pawl__V1__Target *target, const Pawl__V1__Sql *sql, buf_t *to)
{
    static const Pawl__V1__Target anywhere = PAWL__V1__TARGET__INIT;
    if (target == NULL) target = &anywhere;
    to->len = 0;
    if (target->executor[0]) {
        buf_add(to, target->executor, strlen(target->executor));
        return TARGET_EXECUTOR;
    }
    if (target->host[0]) {
        buf_add(to, target->host, strlen(target->host));
        add_source(sql, to);
        return TARGET_HOST;
    }
    if (target->hash[0]) { /* a lane a bucket: the executors share the buckets out (lane_server) */
        uint8_t bucket = (uint8_t)hash_mix(hash64(target->hash, strlen(target->hash)));
        buf_add(to, &bucket, 1);
        add_source(sql, to);
        return TARGET_HASH;
    }
    if (target->n_labels == 0 && sql == NULL) return TARGET_ANY;
    char *texts[LIMIT_LABELS + 1];
    size_t n = target->n_labels < LIMIT_LABELS ? target->n_labels : LIMIT_LABELS;
    buf_t all = { 0 };
    size_t starts[LIMIT_LABELS + 1];
    for (size_t i = 0; i < n; i++) {
        starts[i] = all.len;
        buf_printf(&all, "%s=%s", target->labels[i]->key, target->labels[i]->value);
        all.len++; /* keep the NUL */
    }
    if (sql) {
        starts[n++] = all.len;
        buf_printf(&all, SOURCE_LABEL, sql->source);
        all.len++;
    }
    for (size_t i = 0; i < n; i++)
        texts[i] = (char *)all.at + starts[i];
    qsort(texts, n, sizeof *texts, compare_text);
    for (size_t i = 0; i < n; i++)
        buf_add(to, texts[i], strlen(texts[i]) + (i + 1 < n));
    buf_free(&all);
    return TARGET_LABELS;
}

/* What the task asks of an interpreter stands behind the target, as one more of its texts, with a
 * mark that no name and no label has. */
static uint8_t target_text(const Pawl__V1__Target *target, const Pawl__V1__Task *body, buf_t *to)
{
    uint8_t kind = where_text(target, body->sql, to);
    const char *needs = body->command ? body->command->interpreter : "";
    if (*needs == '\0') return kind;
    static const char mark[] = { '\0', LANE_NEEDS };
    buf_add(to, mark + (kind == TARGET_ANY), sizeof mark - (kind == TARGET_ANY));
    buf_add(to, needs, strlen(needs));
    return kind == TARGET_ANY ? TARGET_LABELS : kind;
}

static uint64_t lane_hash(uint32_t queue, uint32_t type, uint8_t band, uint8_t kind, slice_t target)
{
    uint64_t hash = hash64(target.at, target.len) ^ kind;
    hash = hash * 31 + queue;
    hash = hash * 31 + type;
    hash = hash * 31 + band;
    return hash ? hash : 1;
}

static void list_add(lane_t ***list, size_t *n, size_t *room, lane_t *lane)
{
    if (*n == *room) {
        *room = *room ? *room * 2 : 64;
        *list = mem_grow(*list, *room * sizeof(lane_t *));
    }
    (*list)[(*n)++] = lane;
}

static void make_dirty(core_t *core, lane_t *lane)
{
    if (lane->dirty) return;
    lane->dirty = true;
    list_add(&core->dirty_lanes, &core->dirty_lanes_n, &core->dirty_lanes_room, lane);
}

uint64_t lane_own_hash(const char *name, size_t len)
{
    uint64_t hash = hash64(name, len);
    return hash ? hash : 1;
}

/* Lanes for one executor only may be as many as executors: nobody else ever looks at them. */
static void offer(core_t *core, lane_t *lane)
{
    if (lane->target_kind != TARGET_EXECUTOR) {
        core->lanes_stamp++;
        list_add(&core->open_lanes, &core->open_lanes_n, &core->open_lanes_room, lane);
        return;
    }
    uint64_t hash = lane_own_hash(lane->target, strlen(lane->target));
    map_chain(&core->own_lanes, hash, lane, offsetof(lane_t, next_own));
}

void lane_opened(core_t *core, lane_t *lane)
{
    if (lane->opened) return;
    lane->opened = true;
    list_add(&core->opened_lanes, &core->opened_lanes_n, &core->opened_lanes_room, lane);
}

/* The text behind a mark. Of names and labels none has one; a hash's bucket is a byte of any value.
 */
static const char *marked(const lane_t *lane, char mark)
{
    size_t skip = lane->target_kind == TARGET_HASH;
    if (lane->target_len <= skip) return NULL;
    const char *at = memchr(lane->target + skip, mark, lane->target_len - skip);
    return at ? at + 1 : NULL;
}

static lane_t *keep(core_t *core, uint32_t no, const lane_row_t *row)
{
    lane_t *lane = mem_new(sizeof *lane);
    lane->no = no;
    lane->queue = row->queue;
    lane->type = row->type;
    lane->band = row->band;
    lane->target_kind = row->target_kind;
    lane->target = mem_new(row->target.len + 1);
    if (row->target.len) memcpy(lane->target, row->target.at, row->target.len);
    lane->target_len = row->target.len;
    lane->needs = marked(lane, LANE_NEEDS);
    lane->source = marked(lane, LANE_SOURCE);
    lane->waiting = row->waiting;
    lane->counted = row->counted;
    lane->tasks = row->tasks;
    list_add(&core->lanes, &core->lanes_n, &core->lanes_room, lane);
    map_put(&core->lanes_by_no, no, lane);
    offer(core, lane);
    uint64_t hash = lane_hash(row->queue, row->type, row->band, row->target_kind, row->target);
    map_chain(&core->lanes_by_hash, hash, lane, offsetof(lane_t, same_hash));
    return lane;
}

err_t lane_for(core_t *core, uint32_t queue, uint32_t type, const Pawl__V1__Target *target,
               const Pawl__V1__Task *body, uint8_t band, lane_t **out)
{
    lane_row_t row = { .queue = queue, .type = type, .band = band, .counted = true };
    row.target_kind = target_text(target, body, &core->scratch);
    row.target = slice(core->scratch.at, core->scratch.len);
    lane_t *lane =
        map_get(&core->lanes_by_hash, lane_hash(queue, type, band, row.target_kind, row.target));
    while (lane && !(lane->queue == queue && lane->type == type && lane->band == band &&
                     lane->target_kind == row.target_kind &&
                     slice_equal(slice(lane->target, lane->target_len), row.target)))
        lane = lane->same_hash;
    if (lane == NULL) {
        lane = keep(core, core->meta.next_no[NAME_LANE]++, &row);
        make_dirty(core, lane);
        lane->head_known = true; /* nothing is stored under it yet */
    }
    *out = lane;
    return ERR_OK;
}

err_t lane_get(core_t *core, uint32_t no, lane_t **out)
{
    *out = map_get(&core->lanes_by_no, no);
    return *out ? ERR_OK : ERR_CORRUPT;
}

void lane_count(core_t *core, lane_t *lane, int change)
{
    lane->tasks += (uint64_t)(int64_t)change;
    make_dirty(core, lane);
}

err_t lane_forget(core_t *core, uint32_t no)
{
    lane_t *lane;
    if (no == 0) return ERR_OK;
    TRY(lane_get(core, no, &lane));
    lane_count(core, lane, -1);
    return ERR_OK;
}

err_t lane_forget_task(core_t *core, const task_t *task)
{
    TRY(lane_forget(core, task->spec.lane));
    return lane_forget(core, task->state.lane);
}

err_t lanes_load(core_t *core)
{
    slice_t key, value;
    rec_key_t from = key_u32(0);
    for (;;) {
        err_t err = store_seek(core->store, TABLE_lane, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        TRY(err);
        lane_row_t row;
        if (key.len != 4 || !lane_row_decode(&row, value)) return ERR_CORRUPT;
        uint32_t no = be_u32(key.at);
        keep(core, no, &row);
        from = key_u32(no + 1);
    }
}

static void lane_free(lane_t *lane)
{
    free(lane->target);
    free(lane->fresh);
    free(lane->servers);
    free(lane->crews);
    free(lane);
}

void lanes_free(core_t *core)
{
    for (size_t i = 0; i < core->lanes_n; i++)
        lane_free(core->lanes[i]);
    free(core->lanes);
    free(core->fresh_lanes);
    free(core->open_lanes);
    free(core->opened_lanes);
    free(core->dirty_lanes);
    core->lanes = core->fresh_lanes = core->open_lanes = core->dirty_lanes = NULL;
    core->opened_lanes = NULL;
    core->opened_lanes_n = core->opened_lanes_room = 0;
    core->lanes_n = core->lanes_room = core->fresh_lanes_n = core->fresh_lanes_room = 0;
    core->open_lanes_n = core->open_lanes_room = 0;
    core->dirty_lanes_n = core->dirty_lanes_room = 0;
    core->lanes_stamp++; /* never that of a crew that has chosen no lanes yet */
    map_free(&core->lanes_by_no);
    map_free(&core->lanes_by_hash);
    map_free(&core->own_lanes);
}

/* ---- what waits in a lane ---------------------------------------------------------------------
 */

void lane_add(core_t *core, lane_t *lane, int64_t due_us, uint64_t n, const spec_row_t *spec)
{
    if (lane->fresh_n == lane->fresh_room) {
        lane->fresh_room = lane->fresh_room ? lane->fresh_room * 2 : 64;
        lane->fresh = mem_grow(lane->fresh, lane->fresh_room * sizeof *lane->fresh);
    }
    if (lane->fresh_n == 0)
        lane->fresh_sorted = true;
    else if (lane->fresh[lane->fresh_n - 1].due_us > due_us ||
             (lane->fresh[lane->fresh_n - 1].due_us == due_us &&
              lane->fresh[lane->fresh_n - 1].n > n))
        lane->fresh_sorted = false;
    lane->fresh_runs += lane->fresh_n == 0 || lane->fresh[lane->fresh_n - 1].due_us != due_us;
    lane->fresh[lane->fresh_n++] = (fresh_t){ due_us, n, spec };
    if (lane->waiting++ == 0) lane_opened(core, lane);
    make_dirty(core, lane);
    if (!lane->on_fresh_list) {
        lane->on_fresh_list = true;
        if (core->fresh_lanes_n == core->fresh_lanes_room) {
            core->fresh_lanes_room = core->fresh_lanes_room ? core->fresh_lanes_room * 2 : 64;
            core->fresh_lanes =
                mem_grow(core->fresh_lanes, core->fresh_lanes_room * sizeof(lane_t *));
        }
        core->fresh_lanes[core->fresh_lanes_n++] = lane;
    }
}

err_t lane_remove(core_t *core, lane_t *lane, int64_t due_us, uint64_t n)
{
    lane->waiting--;
    make_dirty(core, lane);
    /* most were stored before this batch, and are due before the first fresh one */
    bool before = lane->fresh_sorted && lane->fresh_taken < lane->fresh_n &&
                  due_us < lane->fresh[lane->fresh_taken].due_us;
    for (size_t i = lane->fresh_n; !before && i-- > lane->fresh_taken;)
        if (lane->fresh[i].n == n) {
            lane->fresh[i].n = 0;
            return ERR_OK;
        }
    if (lane->head_n == n) lane->head_known = false;
    rec_key_t key = key_ready(lane->no, due_us, n);
    return del_row(core, TABLE_ready, &key);
}

static err_t know_head(core_t *core, lane_t *lane)
{
    if (lane->head_known) return ERR_OK;
    lane->head_known = true;
    lane->head_n = 0;
    rec_key_t from = key_ready(lane->no, INT64_MIN, 0);
    slice_t key, value;
    err_t err = store_seek(core->store, TABLE_ready, key_slice(&from), false, &key, &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    uint32_t no;
    int64_t due;
    uint64_t n;
    if (!ready_key_decode(key, &no, &due, &n)) return ERR_CORRUPT;
    if (no == lane->no) {
        lane->head_due_us = due;
        lane->head_n = n;
    }
    return ERR_OK;
}

int fresh_compare(const void *a, const void *b)
{
    const fresh_t *x = a, *y = b;
    if (x->due_us != y->due_us) return x->due_us < y->due_us ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

/* The lane's first task, fresh or stored; *stored tells which. n = 0: nothing waits. */
err_t lane_peek(core_t *core, lane_t *lane, fresh_t *first, bool *stored)
{
    if (!lane->fresh_sorted && lane->fresh_n > 0) {
        qsort(lane->fresh + lane->fresh_taken, lane->fresh_n - lane->fresh_taken, sizeof(fresh_t),
              fresh_compare);
        lane->fresh_sorted = true;
    }
    while (lane->fresh_taken < lane->fresh_n && lane->fresh[lane->fresh_taken].n == 0)
        lane->fresh_taken++;
    TRY(know_head(core, lane));
    *first = (fresh_t){ lane->head_due_us, lane->head_n, NULL };
    *stored = true;
    if (lane->fresh_taken < lane->fresh_n) {
        const fresh_t *fresh = &lane->fresh[lane->fresh_taken];
        if (lane->head_n == 0 || fresh_compare(fresh, first) < 0) {
            *first = *fresh;
            *stored = false;
        }
    }
    return ERR_OK;
}

err_t lane_pop(core_t *core, lane_t *lane, const fresh_t *first, bool stored)
{
    lane->waiting--;
    make_dirty(core, lane);
    if (!stored) {
        lane->fresh_taken++;
        return ERR_OK;
    }
    lane->head_known = false;
    rec_key_t key = key_ready(lane->no, first->due_us, first->n);
    return del_row(core, TABLE_ready, &key);
}

static err_t store_fresh(core_t *core, lane_t *lane)
{
    for (size_t k = lane->fresh_taken; k < lane->fresh_n; k++) {
        const fresh_t *fresh = &lane->fresh[k];
        if (fresh->n == 0) continue;
        rec_key_t key = key_ready(lane->no, fresh->due_us, fresh->n);
        TRY(store_put(core->store, TABLE_ready, key_slice(&key), slice(NULL, 0), 0));
        if (lane->head_known && (lane->head_n == 0 || fresh->due_us < lane->head_due_us ||
                                 (fresh->due_us == lane->head_due_us && fresh->n < lane->head_n))) {
            lane->head_n = fresh->n;
            lane->head_due_us = fresh->due_us;
        }
    }
    lane->fresh_n = lane->fresh_taken = lane->fresh_runs = 0;
    lane->fresh_sorted = true;
    lane->on_fresh_list = false;
    return ERR_OK;
}

/* A lane that no task names any more goes with the last of them. */
static err_t store_lane(core_t *core, lane_t *lane)
{
    rec_key_t key = key_u32(lane->no);
    lane->dirty = false;
    lane->gone = lane->counted && lane->tasks == 0;
    if (lane->gone) {
        err_t err = store_del(core->store, TABLE_lane, key_slice(&key));
        return err == ERR_NOT_FOUND ? ERR_OK : err; /* it came in this batch, too */
    }
    lane_row_t row = { .queue = lane->queue,
                       .type = lane->type,
                       .band = lane->band,
                       .target_kind = lane->target_kind,
                       .target = slice(lane->target, lane->target_len),
                       .waiting = lane->waiting,
                       .counted = lane->counted,
                       .tasks = lane->tasks };
    core->scratch.len = 0;
    lane_row_encode(&row, &core->scratch);
    return put_scratch(core, TABLE_lane, &key, 0);
}

static void unlink_lane(core_t *core, lane_t *lane)
{
    slice_t target = slice(lane->target, lane->target_len);
    map_take(&core->lanes_by_no, lane->no);
    map_unchain(&core->lanes_by_hash,
                lane_hash(lane->queue, lane->type, lane->band, lane->target_kind, target), lane,
                offsetof(lane_t, same_hash));
    if (lane->target_kind == TARGET_EXECUTOR)
        map_unchain(&core->own_lanes, lane_own_hash(lane->target, strlen(lane->target)), lane,
                    offsetof(lane_t, next_own));
    else
        core->lanes_stamp++;
}

static void list_sweep(lane_t **list, size_t *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (!list[i]->gone) list[kept++] = list[i];
    *n = kept;
}

/* Those that went leave every list, in one pass over each. */
static void sweep(core_t *core)
{
    list_sweep(core->open_lanes, &core->open_lanes_n);
    list_sweep(core->opened_lanes, &core->opened_lanes_n);
    size_t kept = 0;
    for (size_t i = 0; i < core->lanes_n; i++) {
        lane_t *lane = core->lanes[i];
        if (lane->gone) {
            unlink_lane(core, lane);
            lane_free(lane);
        } else {
            core->lanes[kept++] = lane;
        }
    }
    core->lanes_n = kept;
}

err_t lanes_store(core_t *core)
{
    bool some_went = false;
    for (size_t i = 0; i < core->fresh_lanes_n; i++)
        TRY(store_fresh(core, core->fresh_lanes[i]));
    core->fresh_lanes_n = 0;
    for (size_t i = 0; i < core->dirty_lanes_n; i++) {
        TRY(store_lane(core, core->dirty_lanes[i]));
        some_went |= core->dirty_lanes[i]->gone;
    }
    core->dirty_lanes_n = 0;
    if (some_went) sweep(core);
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * plan.c - a schedule as core works with it: its rows, read once and kept while they are used, its
 * rule, and what schedulers are told of it. */
#include "broker/core/inside.h"

#include <stdlib.h>

#define PLANS_BYTES (UINT64_C(256) << 20) /* of plans kept; some 120,000 small ones */

/* ---- the definition, unpacked into one block ------------------------------------------------- */

typedef struct plan_block {
    struct plan_block *next;
    size_t room, used;
    max_align_t at[];
} plan_block_t;

static void *block_take(void *plan_p, size_t bytes)
{
    plan_t *plan = plan_p;
    plan_block_t *block = plan->definition;
    bytes = (bytes + 7) & ~(size_t)7;
    if (block == NULL || block->room - block->used < bytes) { /* the guess was too low */
        size_t room = bytes > 512 ? bytes : 512;
        plan_block_t *more = mem_new(sizeof *more + room);
        *more = (plan_block_t){ .next = block, .room = room };
        plan->definition = block = more;
        plan->bytes += sizeof *more + room;
    }
    void *taken = (uint8_t *)block->at + block->used;
    block->used += bytes;
    return taken;
}

static void block_give(void *plan, void *at) /* all at once, with the plan */
{
    (void)plan;
    (void)at;
}

static void definition_free(plan_block_t *block)
{
    for (plan_block_t *next; block; block = next) {
        next = block->next;
        free(block);
    }
}

bool plan_unpack(plan_t *plan, slice_t packed)
{
    ProtobufCAllocator allocator = { block_take, block_give, plan };
    /* the task is in it twice: as it came, and unpacked */
    size_t room = sizeof *plan->spec + sizeof *plan->template + 2 * packed.len + 128;
    plan->definition = mem_new(sizeof *plan->definition + room);
    plan->definition->room = room;
    /* what is in the definition is in the rule as well, as instants and masks; zones and calendars
     * are shared */
    plan->bytes = sizeof *plan + sizeof *plan->definition + room + 640 + packed.len;
    plan->spec = pawl__v1__schedule__unpack(&allocator, packed.len, packed.at);
    if (plan->spec == NULL) return false;
    plan->template =
        pawl__v1__task__unpack(&allocator, plan->spec->task.len, plan->spec->task.data);
    return plan->template != NULL;
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

void plan_free(plan_t *plan)
{
    line_free(&plan->line);
    ranges_free(plan);
    definition_free(plan->definition);
    free((void *)(uintptr_t)plan->row.name.at);
    free((void *)(uintptr_t)plan->row.reason.at);
    free(plan);
}

static uint64_t uid_hash(const uint8_t uid[16]) /* they are random */
{
    uint64_t hash = be_u64(uid);
    return hash ? hash : 1;
}

void plan_keep(core_t *core, plan_t *plan)
{
    map_put(&core->plans, plan->no, plan);
    map_put(&core->plans_by_uid, uid_hash(plan->row.uid), plan);
    core->plans_bytes += plan->bytes;
}

void plan_drop(core_t *core, plan_t *plan)
{
    uint64_t hash = uid_hash(plan->row.uid);
    map_take(&core->plans, plan->no);
    if (map_get(&core->plans_by_uid, hash) == plan) map_take(&core->plans_by_uid, hash);
    core->plans_bytes -= plan->bytes;
    plan_free(plan);
}

void schedules_free(core_t *core)
{
    size_t at = 0;
    for (plan_t *plan; (plan = map_next(&core->plans, &at)) != NULL;)
        plan_free(plan);
    map_free(&core->plans);
    map_free(&core->plans_by_uid);
    gates_free(core);
    zone_cache_free(&core->zones);
    core->plans_bytes = core->plans_at = 0;
    free(core->touched);
    core->touched = NULL;
    core->touched_n = core->touched_room = 0;
}

void plan_touch(core_t *core, plan_t *plan)
{
    if (plan->used == core->meta.batch) return;
    plan->used = core->meta.batch;
    if (core->touched_n == core->touched_room) {
        core->touched_room = core->touched_room ? core->touched_room * 2 : 64;
        core->touched = mem_grow(core->touched, core->touched_room * sizeof(plan_t *));
    }
    core->touched[core->touched_n++] = plan;
}

static err_t load_definition(core_t *core, plan_t *plan)
{
    buf_t bytes = { 0 };
    for (uint64_t part = 0; bytes.len < plan->row.definition_len; part++) {
        rec_key_t key = key_sched(plan->no, SCHED_PART, part);
        slice_t value;
        err_t err = store_get(core->store, TABLE_sched, key_slice(&key), &value);
        if (err != ERR_OK || value.len == 0) {
            buf_free(&bytes);
            return err == ERR_OK || err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
        }
        buf_add(&bytes, value.at, value.len);
    }
    bool read = plan_unpack(plan, slice(bytes.at, bytes.len));
    buf_free(&bytes);
    return read ? ERR_OK : ERR_CORRUPT;
}

static err_t load_row(core_t *core, plan_t *plan)
{
    rec_key_t key = key_sched(plan->no, SCHED_HEADER, 0);
    slice_t value;
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &value));
    if (!sched_row_decode(&plan->row, value)) {
        plan->row.name = plan->row.reason = slice(NULL, 0);
        return ERR_CORRUPT;
    }
    plan->row.name.at = mem_copy(plan->row.name.at, plan->row.name.len);
    plan->row.reason.at = mem_copy(plan->row.reason.at, plan->row.reason.len);
    rec_key_t cur = key_u32(plan->no);
    TRY(store_get(core->store, TABLE_scur, key_slice(&cur), &value));
    if (!scur_row_decode(&plan->cur, value)) return ERR_CORRUPT;
    gate_of_schedule(plan->no, plan->gate_id);
    return ERR_OK;
}

err_t plan_get(core_t *core, uint32_t no, plan_t **out)
{
    plan_t *plan = map_get(&core->plans, no);
    if (plan == NULL) {
        plan = mem_new(sizeof *plan);
        plan->no = no;
        plan->rate_at_us = core->now_us;
        err_t err = load_row(core, plan);
        const char *why;
        if (err == ERR_OK) err = load_definition(core, plan);
        if (err == ERR_OK && !gate_find_scope(core, plan, &why)) err = ERR_CORRUPT;
        if (err == ERR_OK)
            err =
                line_load(core, no, plan->row.uid, plan->row.name, plan->row.revision, &plan->line);
        if (err == ERR_OK) err = ranges_load(core, plan);
        if (err != ERR_OK) {
            plan_free(plan);
            return err;
        }
        plan_keep(core, plan);
    }
    plan_touch(core, plan);
    *out = plan;
    return ERR_OK;
}

static err_t look_up(core_t *core, enum name_kind kind, slice_t text, uint32_t *no)
{
    rec_key_t key = key_name(kind, text);
    slice_t value;
    TRY(store_get(core->store, TABLE_names, key_slice(&key), &value));
    return name_row_decode(no, value) ? ERR_OK : ERR_CORRUPT;
}

err_t plan_by_name(core_t *core, const char *name, plan_t **out)
{
    uint32_t no;
    TRY(look_up(core, NAME_SCHEDULE, slice_text(name), &no));
    TRY(plan_get(core, no, out));
    return calendar_follow(core, *out);
}

err_t plan_by_uid(core_t *core, slice_t uid, plan_t **out)
{
    CHECK(uid.len == 16); /* the wire's checks saw to it */
    const plan_t *known = map_get(&core->plans_by_uid, uid_hash(uid.at));
    uint32_t no = known && memcmp(known->row.uid, uid.at, 16) == 0 ? known->no : 0;
    if (no == 0) TRY(look_up(core, NAME_UID, uid, &no));
    TRY(plan_get(core, no, out));
    return calendar_follow(core, *out);
}

err_t plan_save(core_t *core, const plan_t *plan)
{
    core->scratch.len = 0;
    sched_row_encode(&plan->row, &core->scratch);
    rec_key_t key = key_sched(plan->no, SCHED_HEADER, 0);
    return put_scratch(core, TABLE_sched, &key, 0);
}

err_t plan_save_definition(core_t *core, uint32_t no, uint32_t old_len, slice_t bytes)
{
    uint64_t part = 0;
    for (; bytes.len > 0; part++) {
        size_t len = bytes.len < LIMIT_SPEC_INLINE ? bytes.len : LIMIT_SPEC_INLINE;
        rec_key_t key = key_sched(no, SCHED_PART, part);
        TRY(store_put(core->store, TABLE_sched, key_slice(&key), slice(bytes.at, len), 0));
        bytes = slice(bytes.at + len, bytes.len - len);
    }
    for (uint64_t old = (old_len + LIMIT_SPEC_INLINE - 1) / LIMIT_SPEC_INLINE; part < old; part++) {
        rec_key_t key = key_sched(no, SCHED_PART, part);
        TRY(del_row(core, TABLE_sched, &key));
    }
    return ERR_OK;
}

err_t plan_save_rule(core_t *core, const plan_t *plan)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    sched_rule_row_t row = { .zone_hash = plan->line.zone_hash,
                             .jitter_us = spec->jitter_us,
                             .from_us = spec->from_us,
                             .to_us = spec->to_us,
                             .rule = slice_text(spec->rule),
                             .zone = slice_text(spec->zone),
                             .exclusions = slice_text(spec->exclusions),
                             .also_n = spec->n_also,
                             .calendars_n = spec->n_calendars,
                             .after_us = spec->after_us,
                             .begun = true,
                             .settled_us = plan->settled_us,
                             .begin_us = plan->cur.cursor_us };
    for (size_t i = 0; i < spec->n_also; i++)
        row.also[i] = slice_text(spec->also[i]);
    memcpy(row.calendars, plan->line.calendars, spec->n_calendars * sizeof *row.calendars);
    core->scratch.len = 0;
    sched_rule_row_encode(&row, &core->scratch);
    rec_key_t key = key_sched(plan->no, SCHED_RULE, plan->row.revision);
    return put_scratch(core, TABLE_sched, &key, 0);
}

/* The data of its zone, or a calendar of it, changed: a new revision of the same definition. The
 * cursor stays. */
err_t schedule_reread(core_t *core, plan_t *plan, uint64_t zone_hash)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    uint64_t hashes[LIMIT_CALENDARS];
    cached_zone_t *zone = NULL;
    ruleset_t *rule = NULL;
    size_t bad;
    if (calendar_hashes(core, spec, hashes, &bad) != ERR_OK) return ERR_CORRUPT;
    err_t err = core_zone_use(core, zone_hash, spec->zone, &zone);
    if (err != ERR_OK) return err == ERR_BAD_ZONE ? ERR_CORRUPT : err;
    err = plan_read_rules(core, spec, zone->parsed, hashes, &rule, NULL);
    if (err != ERR_OK) {
        /* e.g. a local date that is none any more: it keeps what it has */
        zone_cache_release(&zone);
        return err == ERR_BAD_RULE ? ERR_OK : err;
    }
    /* Instants that are late only because the zone changed count as on time. */
    if (zone_hash != plan->line.zone_hash && !plan_is_late(core, plan)) {
        plan->cur.zone_us = core->wall_us;
        plan->cur_dirty = true;
    }
    int64_t before_us = plan_due_us(plan);
    line_free(&plan->line);
    line_set_rule(&plan->line, rule);
    plan->line.zone = zone;
    plan->line.zone_hash = zone_hash;
    memcpy(plan->line.calendars, hashes, spec->n_calendars * sizeof *hashes);
    plan->line.revision = plan->cur.revision = ++plan->row.revision;
    plan->settled_us = plan->cur.cursor_us;
    plan->cur_dirty = true;
    plan->tell = true;
    TRY(plan_save(core, plan));
    TRY(plan_save_rule(core, plan));
    return journal_edit(core, plan, before_us);
}

err_t schedules_flush(core_t *core)
{
    for (size_t i = 0; i < core->touched_n; i++) {
        plan_t *plan = core->touched[i];
        if (plan->cur_dirty) {
            plan->cur_dirty = false;
            bool had = plan->cur.due_known && plan->cur.due_us != INT64_MAX;
            plan->cur.due_known = true;
            plan->cur.due_us = plan_due_us(plan);
            if (!had && plan->cur.due_us != INT64_MAX) attended_armed(core, plan);
            plan->cur.jitter_us = plan_jitter_us(plan);
            core->scratch.len = 0;
            scur_row_encode(&plan->cur, &core->scratch);
            rec_key_t key = key_u32(plan->no);
            TRY(put_scratch(core, TABLE_scur, &key, 0));
        }
        TRY(ranges_flush(core, plan));
        (void)line_work_ns(&plan->line); /* what other requests asked it */
    }
    return gates_flush(core);
}

/* After the batch: plans that were not used in it leave the cache until it is small enough. The
 * walk goes on where it stopped, so that each has its turn. Those that are held or have ranges know
 * what no row says. */
void schedules_trim(core_t *core)
{
    gates_trim(core);
    enum { AT_ONCE = 512 };
    plan_t *idle[AT_ONCE];
    for (unsigned i = 0; i < 16 && core->plans_bytes > PLANS_BYTES; i++) {
        size_t n = 0, looked = 0;
        while (n < AT_ONCE && looked++ < (size_t)4 * AT_ONCE) {
            plan_t *plan = map_next(&core->plans, &core->plans_at);
            if (plan == NULL) { /* from the beginning, with the next lot: none is taken twice */
                core->plans_at = 0;
                break;
            }
            if (plan->used != core->meta.batch && !plan->held && plan->ranges == NULL)
                idle[n++] = plan;
        }
        while (n > 0)
            plan_drop(core, idle[--n]);
    }
}

/* ---- told to schedulers
 * ---------------------------------------------------------------------------- */

void plan_info(core_t *core, const plan_t *plan, Pawl__V1__ScheduleInfo *info)
{
    int64_t due = plan_due_us(plan);
    schedule_info_fill(&plan->row, &plan->cur, plan->spec, info);
    info->name = batch_printf(core, "%.*s", (int)plan->row.name.len, plan->row.name.at);
    info->uid.data = (uint8_t *)(uintptr_t)plan->row.uid;
    info->uid.len = 16;
    info->jitter_us = plan_jitter_us(plan);
    info->state = (char *)(uintptr_t)(plan->row.flags & SCHEDULE_GONE     ? "removed"
                                      : plan->row.flags & SCHEDULE_PAUSED ? "paused"
                                      : plan_is_over(plan)                ? "ended"
                                      : plan->held                        ? "held"
                                                                          : "active");
    info->next_us = due == INT64_MAX ? 0 : due;
    info->behind = plan_count(plan, plan->cur.cursor_us, core->wall_us);
    range_infos(core, plan, info);
    info->reason = batch_printf(core, "%.*s", (int)plan->row.reason.len, plan->row.reason.at);
}

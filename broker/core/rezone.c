/* SPDX-License-Identifier: Apache-2.0
 * rezone.c - zone data comes into the store, and schedules follow it.
 *
 * A zone whose bytes changed is marked in its reg row until every schedule that names it has a new
 * revision with the new data, some hundred a batch: a restart in between begins again, and finds
 * done what is done. How many went over is told when all have. The cursor of a schedule stays where
 * it is. A zone that tzdata has no more is marked as gone: its data stay, its schedules are paused
 * until it is back. */
#include "broker/core/inside.h"

#include <stdlib.h>

enum { SCHEDULES_AT_ONCE = 256 };

static err_t zone_gone(core_t *core, const char *name)
{
    named_t *zone = name_find(core, NAME_ZONE, name);
    if (zone == NULL || zone->value == 0 || zone->flags & REG_GONE) return ERR_OK;
    zone->flags |= REG_GONE | REG_REZONE;
    zone->since_wall_us = core->wall_us;
    core->rezone_at = 1;
    TRY(journal_add(core, EVENT_ZONE_GONE, zone->no, 0, 0));
    return name_save(core, zone);
}

err_t zone_import(core_t *core, const char *name, slice_t bytes)
{
    named_t *zone;
    zone_t *parsed = NULL;
    if (bytes.len == 0) return zone_gone(core, name);
    uint64_t hash = hash64(bytes.at, bytes.len);
    if (zone_parse(&parsed, name, bytes) != ERR_OK) return ERR_OK; /* whoever names it is told */
    zone_destroy(&parsed);
    TRY(name_make(core, NAME_ZONE, name, &zone));
    if (zone->value == hash && !(zone->flags & REG_GONE)) return ERR_OK;
    zone->flags &= (uint8_t)~REG_GONE;
    if (zone->value != 0) {
        zone->flags |= REG_REZONE;
        core->rezone_at = 1;
    }
    zone->value = hash;
    zone->since_wall_us = core->wall_us;
    for (uint16_t part = 0; bytes.len > 0; part++) {
        size_t len = bytes.len < LIMIT_PART ? bytes.len : LIMIT_PART;
        rec_key_t key = key_zone(hash, part);
        TRY(store_put(core->store, TABLE_zone, key_slice(&key), slice(bytes.at, len), 0));
        bytes = slice(bytes.at + len, bytes.len - len);
    }
    return name_save(core, zone);
}

void rezone_load(core_t *core)
{
    core->rezone_at = 0;
    for (size_t no = 0; no < core->names_n[NAME_ZONE]; no++) {
        const named_t *zone = core->names[NAME_ZONE][no];
        if (zone && zone->flags & REG_REZONE) core->rezone_at = 1;
    }
}

/* To the journal, and to the broker's own log. */
static err_t tell_moved(core_t *core, const named_t *zone)
{
    output_t *out = out_add(core, OUT_ZONE, 0);
    out->count = zone->followed;
    out->at = (uint32_t)core->out->bytes.len;
    out->len = (uint32_t)strlen(zone->name);
    buf_add(&core->out->bytes, zone->name, out->len);
    return journal_add(core, EVENT_ZONE_CHANGED, zone->no, 0, UINT64_C(1) + zone->followed);
}

static err_t all_done(core_t *core)
{
    core->rezone_at = 0;
    for (size_t no = 0; no < core->names_n[NAME_ZONE]; no++) {
        named_t *zone = core->names[NAME_ZONE][no];
        if (zone == NULL || !(zone->flags & REG_REZONE)) continue;
        zone->flags &= (uint8_t)~REG_REZONE;
        TRY(name_save(core, zone));
        if (!(zone->flags & REG_GONE)) TRY(tell_moved(core, zone));
    }
    return ERR_OK;
}

/* A pass begins, or begins again: each schedule is looked at once, also those that went over before
 * a restart. */
static void count_anew(core_t *core)
{
    for (size_t no = 0; no < core->names_n[NAME_ZONE]; no++)
        if (core->names[NAME_ZONE][no]) core->names[NAME_ZONE][no]->followed = 0;
}

static err_t rezone_one(core_t *core, uint32_t no, uint64_t revision)
{
    rec_key_t key = key_sched(no, SCHED_RULE, revision);
    slice_t value;
    sched_rule_row_t row;
    TRY(store_get(core->store, TABLE_sched, key_slice(&key), &value));
    if (!sched_rule_row_decode(&row, value)) return ERR_CORRUPT;
    const char *name = batch_printf(core, "%.*s", (int)row.zone.len, row.zone.at);
    named_t *zone = name_find(core, NAME_ZONE, name);
    if (zone == NULL || !(zone->flags & REG_REZONE)) return ERR_OK;
    zone->followed++;
    plan_t *plan;
    TRY(plan_get(core, no, &plan));
    TRY(schedule_zoneless(core, plan, zone->flags & REG_GONE));
    return zone->value == row.zone_hash ? ERR_OK : schedule_reread(core, plan, zone->value);
}

err_t rezone_step(core_t *core)
{
    if (core->rezone_at == 1) count_anew(core);
    for (unsigned i = 0; i < SCHEDULES_AT_ONCE && core->rezone_at; i++) {
        rec_key_t from = key_sched(core->rezone_at, SCHED_HEADER, 0);
        slice_t key, value;
        sched_row_t row;
        err_t err = store_seek(core->store, TABLE_sched, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND) return all_done(core);
        TRY(err);
        if (key.len != 13 || key.at[4] != SCHED_HEADER || !sched_row_decode(&row, value))
            return ERR_CORRUPT;
        uint32_t no = be_u32(key.at);
        core->rezone_at = no + 1;
        if (!(row.flags & SCHEDULE_GONE)) TRY(rezone_one(core, no, row.revision));
        core->ops++;
    }
    return ERR_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * name.c - numbers for names: types, queues, principals, executors. A number is never reused, and a
 * name once known stays: rows all over the store hold the number. */
#include "broker/core/inside.h"

#include <stdlib.h>

static uint64_t name_hash(enum name_kind kind, const char *text)
{
    uint64_t hash = hash64(text, strlen(text)) * 31 + kind;
    return hash ? hash : 1;
}

named_t *name_find(core_t *core, enum name_kind kind, const char *text)
{
    named_t *name = map_get(&core->names_by_hash, name_hash(kind, text));
    while (name && (name->kind != kind || strcmp(name->name, text) != 0))
        name = name->same_hash;
    return name;
}

named_t *name_at(core_t *core, enum name_kind kind, uint32_t no)
{
    return no < core->names_n[kind] ? core->names[kind][no] : NULL;
}

static named_t *keep(core_t *core, enum name_kind kind, uint32_t no, slice_t text)
{
    named_t *name = mem_new(sizeof *name);
    name->kind = kind;
    name->no = no;
    name->name = mem_new(text.len + 1);
    memcpy(name->name, text.at, text.len);
    if (no >= core->names_n[kind]) {
        size_t n = no + 1u;
        core->names[kind] = mem_grow(core->names[kind], n * sizeof *core->names[kind]);
        for (size_t i = core->names_n[kind]; i < n; i++)
            core->names[kind][i] = NULL;
        core->names_n[kind] = n;
    }
    core->names[kind][no] = name;
    uint64_t hash = name_hash(kind, name->name);
    map_chain(&core->names_by_hash, hash, name, offsetof(named_t, same_hash));
    return name;
}

err_t name_save(core_t *core, const named_t *name)
{
    reg_row_t row = { .flags = name->flags,
                      .since_wall_us = name->since_wall_us,
                      .value = name->value,
                      .name = slice_text(name->name),
                      .reason = name->reason ? slice_text(name->reason) : slice(NULL, 0) };
    core->scratch.len = 0;
    reg_row_encode(&row, &core->scratch);
    rec_key_t key = key_kind_no((uint8_t)name->kind, name->no);
    return put_scratch(core, TABLE_reg, &key, 0);
}

err_t name_make(core_t *core, enum name_kind kind, const char *text, named_t **out)
{
    named_t *name = name_find(core, kind, text);
    if (name == NULL) {
        name = keep(core, kind, core->meta.next_no[kind]++, slice_text(text));
        rec_key_t key = key_name(kind, slice_text(text));
        core->scratch.len = 0;
        name_row_encode(name->no, &core->scratch);
        TRY(put_scratch(core, TABLE_names, &key, 0));
        TRY(name_save(core, name));
    }
    *out = name;
    return ERR_OK;
}

/* Which kinds live in memory; the rest (schedules, zones, lanes) is looked up when needed. */
static const enum name_kind kept_kinds[] = { NAME_TYPE,     NAME_QUEUE, NAME_PRINCIPAL,
                                             NAME_EXECUTOR, NAME_ZONE,  NAME_CALENDAR };

static err_t load_counts(core_t *core, named_t *name)
{
    uint8_t kind = name->kind == NAME_QUEUE  ? COUNT_QUEUE
                   : name->kind == NAME_TYPE ? COUNT_TYPE
                                             : 0;
    if (kind == 0) return ERR_OK;
    rec_key_t key = key_kind_no(kind, name->no);
    slice_t value;
    err_t err = store_get(core->store, TABLE_count, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!count_row_decode(name->counts, value)) return ERR_CORRUPT;
    if (kind == COUNT_QUEUE)
        for (size_t i = 0; i < STATUS_KINDS; i++)
            core->counts[i] += name->counts[i];
    return ERR_OK;
}

err_t names_load(core_t *core)
{
    for (size_t k = 0; k < ARRAY_LEN(kept_kinds); k++) {
        enum name_kind kind = kept_kinds[k];
        for (uint32_t no = 1; no < core->meta.next_no[kind]; no++) {
            rec_key_t key = key_kind_no((uint8_t)kind, no);
            slice_t value;
            TRY(store_get(core->store, TABLE_reg, key_slice(&key), &value));
            reg_row_t row;
            if (!reg_row_decode(&row, value)) return ERR_CORRUPT;
            named_t *name = keep(core, kind, no, row.name);
            name->flags = row.flags;
            name->since_wall_us = row.since_wall_us;
            name->value = row.value;
            if (row.reason.len) {
                name->reason = mem_new(row.reason.len + 1);
                memcpy(name->reason, row.reason.at, row.reason.len);
            }
            TRY(load_counts(core, name));
        }
    }
    return ERR_OK;
}

void name_counted(core_t *core, named_t *name)
{
    if (name->counts_dirty) return;
    name->counts_dirty = true;
    if (core->dirty_names_n == core->dirty_names_room) {
        core->dirty_names_room = core->dirty_names_room ? core->dirty_names_room * 2 : 64;
        core->dirty_names =
            mem_grow(core->dirty_names, core->dirty_names_room * sizeof *core->dirty_names);
    }
    core->dirty_names[core->dirty_names_n++] = name;
}

err_t names_flush(core_t *core)
{
    for (size_t i = 0; i < core->dirty_names_n; i++) {
        named_t *name = core->dirty_names[i];
        name->counts_dirty = false;
        core->scratch.len = 0;
        count_row_encode(name->counts, &core->scratch);
        rec_key_t key = key_kind_no(name->kind == NAME_QUEUE ? COUNT_QUEUE : COUNT_TYPE, name->no);
        TRY(put_scratch(core, TABLE_count, &key, 0));
    }
    core->dirty_names_n = 0;
    return ERR_OK;
}

void names_free(core_t *core)
{
    for (size_t kind = 0; kind < NAME_KINDS; kind++) {
        for (size_t no = 0; no < core->names_n[kind]; no++)
            if (core->names[kind][no]) {
                free(core->names[kind][no]->name);
                free(core->names[kind][no]->reason);
                free(core->names[kind][no]);
            }
        free(core->names[kind]);
        core->names[kind] = NULL;
        core->names_n[kind] = 0;
    }
    map_free(&core->names_by_hash);
    free(core->dirty_names);
    core->dirty_names = NULL;
    core->dirty_names_n = core->dirty_names_room = 0;
}

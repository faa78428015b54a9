/* SPDX-License-Identifier: Apache-2.0
 * gate.c - where firings are counted and wait for room: a schedule's own gate, that of all the
 * schedules that count together, and that of a range with a policy of its own
 * (docs/decisions/0009, 0031). */
#include "broker/core/inside.h"

#include <stdlib.h>

enum { GATES_KEPT = 20000 };

/* ---- rows ------------------------------------------------------------------------------------ */

static uint64_t gate_hash(const uint8_t id[16])
{
    uint64_t hash = hash64(id, 16);
    return hash ? hash : 1;
}

static err_t gate_load(core_t *core, gate_t *gate)
{
    gate->row.kind = gate->id[0];
    if (gate->row.kind != GATE_SCOPE) gate->row.subject = be_u32(gate->id + 12);
    rec_key_t key = key_gate(gate->id);
    slice_t value;
    err_t err = store_get(core->store, TABLE_gate, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK; /* nothing counts there */
    TRY(err);
    return gate_row_decode(&gate->row, value) ? ERR_OK : ERR_CORRUPT;
}

err_t gate_get(core_t *core, const uint8_t id[16], gate_t **out)
{
    uint64_t hash = gate_hash(id);
    for (*out = map_get(&core->gates, hash); *out; *out = (*out)->same_hash)
        if (memcmp((*out)->id, id, 16) == 0) return ERR_OK;
    gate_t *gate = mem_new(sizeof *gate);
    memcpy(gate->id, id, 16);
    err_t err = gate_load(core, gate);
    if (err != ERR_OK) {
        free(gate);
        return err;
    }
    map_chain(&core->gates, hash, gate, offsetof(gate_t, same_hash));
    *out = gate;
    return ERR_OK;
}

void gate_changed(core_t *core, gate_t *gate)
{
    if (gate->dirty) return;
    gate->dirty = true;
    gate->next = NULL;
    if (core->gates_dirty == NULL) core->gates_dirty_end = &core->gates_dirty;
    *core->gates_dirty_end = gate;
    core->gates_dirty_end = &gate->next;
}

err_t gates_flush(core_t *core)
{
    for (gate_t *gate; (gate = core->gates_dirty) != NULL;) {
        core->gates_dirty = gate->next;
        gate->dirty = false;
        rec_key_t key = key_gate(gate->id);
        const gate_row_t *row = &gate->row;
        if (row->waiting == 0 && row->admitted == 0 && row->running == 0) {
            err_t err = store_del(core->store, TABLE_gate, key_slice(&key));
            if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
            continue;
        }
        core->scratch.len = 0;
        gate_row_encode(row, &core->scratch);
        TRY(put_scratch(core, TABLE_gate, &key, 0));
    }
    return ERR_OK;
}

void gates_free(core_t *core)
{
    size_t at = 0;
    for (gate_t *gate; (gate = map_next(&core->gates, &at)) != NULL;)
        for (gate_t *next; gate; gate = next) {
            next = gate->same_hash;
            free(gate);
        }
    map_free(&core->gates);
    core->gates_dirty = NULL;
}

void gates_trim(core_t *core)
{
    if (core->gates.n > GATES_KEPT) gates_free(core);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

/* What stands for the name between braces; NULL: there is no such thing. */
static const char *filled(const plan_t *plan, slice_t name)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    const Pawl__V1__Task *task = plan->template;
    const struct {
        const char *name, *text;
    } texts[] = {
        { "schedule", spec->name },
        { "type", task->type },
        { "queue", task->queue[0] ? task->queue : DEFAULT_QUEUE },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (slice_equal(name, slice_text(texts[i].name))) return texts[i].text;
    if (name.len <= 6 || memcmp(name.at, "label.", 6) != 0) return NULL;
    slice_t label = slice(name.at + 6, name.len - 6);
    for (size_t i = 0; i < spec->n_labels; i++)
        if (slice_equal(label, slice_text(spec->labels[i]->key))) return spec->labels[i]->value;
    return NULL;
}

/* The key with what stands between braces filled in. */
static bool fill_key(core_t *core, const plan_t *plan, const char *key, buf_t *text,
                     const char **why)
{
    for (const char *at = key; *at;) {
        size_t plain = strcspn(at, "{}");
        buf_add(text, at, plain);
        at += plain;
        if (*at == '\0') break;
        const char *end = *at == '{' ? strpbrk(at + 1, "{}") : NULL;
        if (end == NULL || *end != '}') {
            *why = "a brace stands alone: write {schedule}, {type}, {queue} or {label.NAME}";
            return false;
        }
        slice_t name = slice((const uint8_t *)at + 1, (size_t)(end - at - 1));
        const char *value = filled(plan, name);
        if (value == NULL) {
            *why = batch_printf(core,
                                "{%.*s} stands for nothing here: there are {schedule}, {type}, "
                                "{queue}, and {label.NAME} for each label of the schedule",
                                (int)name.len, (const char *)name.at);
            return false;
        }
        buf_add(text, value, strlen(value));
        at = end + 1;
    }
    return true;
}

bool gate_find_scope(core_t *core, plan_t *plan, const char **why)
{
    const Pawl__V1__Schedule *spec = plan->spec;
    buf_t text = { 0 };
    plan->scoped = spec->overlap_scope > PAWL__V1__SCOPE__SCOPE_SCHEDULE;
    if (!plan->scoped) return true;
    bool good = true;
    if (spec->overlap_scope == PAWL__V1__SCOPE__SCOPE_TYPE)
        buf_add(&text, plan->template->type, strlen(plan->template->type));
    else
        good = fill_key(core, plan, spec->overlap_key, &text, why);
    if (good)
        gate_of_scope(core->fixed.secret, (uint8_t)spec->overlap_scope, slice(text.at, text.len),
                      plan->scope_id);
    buf_free(&text);
    return good;
}

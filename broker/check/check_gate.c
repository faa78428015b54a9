/* SPDX-License-Identifier: Apache-2.0
 * broker/check/check_gate.c - gates: what their rows say against the tasks that count there and the
 * park rows that wait there. */
#include <stdlib.h>
#include <string.h>

#include "broker/check/check_inside.h"

gate_tally_t *check_gate_tally(check_t *self, const uint8_t id[16])
{
    uint64_t hash = hash64(id, 16);
    if (hash == 0) hash = 1;
    gate_tally_t *tally = map_get(&self->gates, hash);
    for (; tally; tally = tally->same_hash)
        if (memcmp(tally->id, id, 16) == 0) return tally;
    tally = mem_new(sizeof *tally);
    memcpy(tally->id, id, 16);
    map_chain(&self->gates, hash, tally, offsetof(gate_tally_t, same_hash));
    return tally;
}

static void check_shared(check_t *self, slice_t key, const gate_row_t *row)
{
    gate_tally_t *tally = check_gate_tally(self, key.at);
    tally->row = true;
    if (row->admitted != tally->admitted || row->running != tally->running ||
        row->waiting != tally->parked)
        check_problem(self, TABLE_gate, key,
                      "%llu tasks were let through, %llu had a lease, %llu are parked; the gate "
                      "says %u, %u and %u",
                      (unsigned long long)tally->admitted, (unsigned long long)tally->running,
                      (unsigned long long)tally->parked, row->admitted, row->running, row->waiting);
}

static void check_gate(check_t *self, slice_t key, slice_t value)
{
    gate_row_t row;
    if (key.len != 16 || !gate_row_decode(&row, value) || key.at[0] != row.kind)
        check_problem(self, TABLE_gate, key, "the row cannot be read");
    else if (row.kind != GATE_SCOPE && row.subject != be_u32(key.at + 12))
        check_problem(self, TABLE_gate, key, "the gate is of schedule %u", row.subject);
    else if (row.waiting == 0 && row.admitted == 0 && row.running == 0)
        check_problem(self, TABLE_gate, key, "the gate counts nothing");
    else if (row.kind != GATE_OVERLAP) /* a schedule's own: with its schedule */
        check_shared(self, key, &row);
}

err_t check_gates(check_t *self)
{
    ANSWER_TRY(check_each(self, TABLE_gate, check_gate));
    size_t at = 0;
    for (gate_tally_t *tally; (tally = map_next(&self->gates, &at)) != NULL;)
        for (; tally; tally = tally->same_hash)
            if (!tally->row && (tally->admitted || tally->running || tally->parked))
                check_problem(self, TABLE_gate, slice(tally->id, 16),
                              "%llu tasks count at a gate that has no row",
                              (unsigned long long)tally->admitted + tally->parked);
    return ERR_OK;
}

void check_gates_free(check_t *self)
{
    size_t at = 0;
    for (gate_tally_t *tally; (tally = map_next(&self->gates, &at)) != NULL;)
        for (gate_tally_t *next; tally; tally = next) {
            next = tally->same_hash;
            free(tally);
        }
    map_free(&self->gates);
}

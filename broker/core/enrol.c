/* SPDX-License-Identifier: Apache-2.0
 * enrol.c - who was ever here, in the store: a fan-out goes to the enrolled executors, not to those
 * that happen to be connected, so right after a start it reaches the same ones as before it.
 *
 * A row is written with the first Hello and when labels, types or queues change; the time it was
 * seen is renewed once a day and when it leaves, so idle executors cost no writes. */
#include "broker/core/inside.h"

#include "schemas/requirement.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEN_STALE_US (3600 * PAWL_SEC_US)

static err_t enrol_read(core_t *core, uint32_t no, enrolled_row_t *row)
{
    rec_key_t key = key_u32(no);
    slice_t value;
    TRY(store_get(core->store, TABLE_enrolled, key_slice(&key), &value));
    return enrolled_row_decode(row, value) ? ERR_OK : ERR_CORRUPT;
}

static err_t enrol_write(core_t *core, executor_t *executor, const enrolled_row_t *row)
{
    rec_key_t key = key_u32(executor->no);
    core->scratch.len = 0;
    enrolled_row_encode(row, &core->scratch);
    executor->enrolled_us = core->now_us;
    return put_scratch(core, TABLE_enrolled, &key, 0);
}

static slice_t pack_numbers(core_t *core, const uint32_t *numbers, size_t n)
{
    uint8_t *bytes = batch_alloc(core, 4 * n), *at = bytes;
    for (size_t i = 0; i < n; i++)
        at = be_put_u32(at, numbers[i]);
    return slice(bytes, 4 * n);
}

static size_t label_len(const char *text)
{
    return strlen(text) + 1;
}

/* Of "name NUL version NUL". */
static size_t interpreter_len(const char *text)
{
    size_t name = strlen(text) + 1;
    return name + strlen(text + name) + 1;
}

static slice_t pack_texts(core_t *core, char *const *texts, size_t n,
                          size_t (*len_of)(const char *text))
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += len_of(texts[i]);
    uint8_t *bytes = batch_alloc(core, len), *at = bytes;
    for (size_t i = 0; i < n; i++)
        at = be_put_bytes(at, texts[i], len_of(texts[i]));
    return slice(bytes, len);
}

err_t enrol_hello(core_t *core, executor_t *executor)
{
    const crew_t *crew = executor->crew;
    enrolled_row_t row = { .seen_us = core->now_us }, old;
    row.labels = pack_texts(core, crew->labels, crew->labels_n, label_len);
    if (crew->types_n <= ENROLLED_TYPES_MAX)
        row.types = pack_numbers(core, crew->types, crew->types_n);
    if (crew->queues_n <= ENROLLED_TYPES_MAX)
        row.queues = pack_numbers(core, crew->queues, crew->queues_n);
    row.interpreters = pack_texts(core, crew->interpreters, crew->interpreters_n, interpreter_len);
    row.has_interpreters = row.interpreters.len <= UINT16_MAX;
    if (!row.has_interpreters) row.interpreters = slice(NULL, 0);
    err_t err = enrol_read(core, executor->no, &old);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    executor->enrolled_us = core->now_us;
    if (err == ERR_OK && slice_equal(old.labels, row.labels) && slice_equal(old.types, row.types) &&
        slice_equal(old.queues, row.queues) && old.has_interpreters == row.has_interpreters &&
        slice_equal(old.interpreters, row.interpreters) &&
        core->now_us - old.seen_us < SEEN_STALE_US)
        return ERR_OK;
    return enrol_write(core, executor, &row);
}

err_t enrol_seen(core_t *core, executor_t *executor)
{
    enrolled_row_t row;
    err_t err = enrol_read(core, executor->no, &row);
    if (err == ERR_NOT_FOUND) return ERR_OK; /* from before there were such rows */
    TRY(err);
    row.seen_us = core->now_us;
    return enrol_write(core, executor, &row);
}

err_t enrol_forget(core_t *core, uint32_t no, bool *known)
{
    rec_key_t key = key_u32(no);
    err_t err = store_del(core->store, TABLE_enrolled, key_slice(&key));
    *known = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

err_t enrol_daily(core_t *core, executor_t *executor)
{
    if (core->now_us - executor->enrolled_us < ENROL_EVERY_US) return ERR_OK;
    executor->enrolled_us = core->now_us; /* also where there is no row */
    return enrol_seen(core, executor);
}

err_t enrol_seen_us(core_t *core, const char *name, int64_t *seen_us)
{
    enrolled_row_t row;
    *seen_us = 0;
    const named_t *executor = name_find(core, NAME_EXECUTOR, name);
    if (executor == NULL) return ERR_OK;
    err_t err = enrol_read(core, executor->no, &row);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    *seen_us = row.seen_us;
    return ERR_OK;
}

bool enrol_is_here(core_t *core, const char *name)
{
    const named_t *executor = name_find(core, NAME_EXECUTOR, name);
    return executor && executor->executor && executor->executor->conn;
}

bool enrol_away(core_t *core, const char *name)
{
    return !enrol_is_here(core, name) && core->now_us >= core->opened_us + core->config.lease_us;
}

/* ---- who belongs to a fan-out ---------------------------------------------------------------- */

static bool has_number(slice_t numbers, uint32_t wanted)
{
    for (size_t at = 0; at + 4 <= numbers.len; at += 4)
        if (be_u32(numbers.at + at) == wanted) return true;
    return numbers.len == 0;
}

static bool has_text(slice_t labels, const char *wanted, size_t len)
{
    for (size_t at = 0; at < labels.len;) {
        const char *text = (const char *)labels.at + at;
        size_t n = strnlen(text, labels.len - at);
        if (n == len && memcmp(text, wanted, n) == 0) return true;
        at += n + 1;
    }
    return false;
}

static bool has_interpreter(const enrolled_row_t *row, const char *needs)
{
    if (*needs == '\0' || !row->has_interpreters) return true;
    const char *text = (const char *)row->interpreters.at, *end = text + row->interpreters.len;
    if (row->interpreters.len == 0 || end[-1] != '\0') return false;
    while (text < end) {
        const char *version = text + strlen(text) + 1;
        if (version >= end) return false;
        if (requirement_met(needs, text, version)) return true;
        text = version + strlen(version) + 1;
    }
    return false;
}

/* Who would be given it, were it alone: its labels, and what else dispatch asks of an executor
 * (executor_serves). */
static bool fits(const enrolled_row_t *row, const Pawl__V1__Task *body, uint32_t type,
                 uint32_t queue)
{
    const Pawl__V1__Fanout *fanout = body->fanout;
    char text[LIMIT_LABEL + 1 + LIMIT_LABEL + 1];
    if (!has_number(row->types, type) || !has_number(row->queues, queue)) return false;
    for (size_t i = 0; i < fanout->n_labels; i++) {
        int len =
            snprintf(text, sizeof text, "%s=%s", fanout->labels[i]->key, fanout->labels[i]->value);
        if (!has_text(row->labels, text, (size_t)len)) return false;
    }
    if (body->sql) {
        int len = snprintf(text, sizeof text, SOURCE_LABEL, body->sql->source);
        if (!has_text(row->labels, text, (size_t)len)) return false;
    }
    return has_interpreter(row, body->command ? body->command->interpreter : "");
}

err_t enrol_fits(core_t *core, const executor_t *executor, const Pawl__V1__Task *body,
                 uint32_t type, uint32_t queue, bool *answer)
{
    enrolled_row_t row;
    TRY(enrol_read(core, executor->no, &row));
    *answer = fits(&row, body, type, queue);
    return ERR_OK;
}

typedef struct candidate {
    const char *name;
    uint32_t no;
    bool away;
    uint64_t weight;
} candidate_t;

/* Those that are here first, then by a hash that spreads fan-outs over the fleet. */
static int compare_worth(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;
    if (x->away != y->away) return x->away ? 1 : -1;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return (x->no > y->no) - (x->no < y->no);
}

static int compare_number(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;
    return (x->no > y->no) - (x->no < y->no);
}

static err_t choose_by_labels(core_t *core, const Pawl__V1__Task *body, uint32_t type,
                              uint32_t queue, const uint8_t id[16], members_t *members)
{
    const Pawl__V1__Fanout *fanout = body->fanout;
    candidate_t *all = batch_alloc(core, core->names_n[NAME_EXECUTOR] * sizeof *all);
    size_t n = 0;
    for (uint32_t no = 1; no < core->names_n[NAME_EXECUTOR]; no++) {
        const named_t *name = name_at(core, NAME_EXECUTOR, no);
        enrolled_row_t row;
        if (name == NULL) continue;
        err_t err = enrol_read(core, no, &row);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        bool here = name->executor && name->executor->conn;
        if (!here && core->now_us - row.seen_us > DEFAULT_ENROLLED_US) continue;
        if (!fits(&row, body, type, queue)) continue;
        uint8_t seed[20];
        be_put_u32(be_put_bytes(seed, id, 16), no);
        all[n++] = (candidate_t){ name->name, no, enrol_away(core, name->name),
                                  hash_mix(hash64(seed, sizeof seed)) };
    }
    members->found = n;
    if (fanout->count) {
        members->shortage = n < fanout->count;
        if (n > fanout->count) {
            qsort(all, n, sizeof *all, compare_worth);
            n = fanout->count;
            qsort(all, n, sizeof *all, compare_number);
        }
    }
    if (members->shortage) n = 0; /* nothing is done by halves */
    members->names = batch_alloc(core, (n + 1) * sizeof *members->names);
    for (size_t i = 0; i < n; i++)
        members->names[members->n++] = all[i].name;
    return ERR_OK;
}

size_t enrol_most(const core_t *core, const Pawl__V1__Fanout *fanout)
{
    size_t most = fanout->n_executors ? fanout->n_executors
                  : fanout->count     ? fanout->count
                                      : core->names_n[NAME_EXECUTOR];
    return most < LIMIT_CHILDREN ? most : LIMIT_CHILDREN;
}

err_t enrol_members(core_t *core, const Pawl__V1__Task *body, const uint8_t id[16],
                    members_t *members)
{
    const Pawl__V1__Fanout *fanout = body->fanout;
    const named_t *type = name_find(core, NAME_TYPE, body->type);
    const named_t *queue =
        name_find(core, NAME_QUEUE, body->queue[0] ? body->queue : DEFAULT_QUEUE);
    *members = (members_t){ 0 };
    if (fanout->n_executors) {
        members->names = batch_alloc(core, fanout->n_executors * sizeof *members->names);
        for (size_t i = 0; i < fanout->n_executors; i++)
            members->names[members->n++] = fanout->executors[i];
    } else {
        TRY(choose_by_labels(core, body, type ? type->no : 0, queue ? queue->no : 0, id, members));
    }
    if (members->n > LIMIT_CHILDREN) {
        members->too_many = members->n;
        members->n = 0;
    }
    return ERR_OK;
}

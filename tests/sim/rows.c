/* SPDX-License-Identifier: Apache-2.0
 * Rows that become tasks: the tables there are, who reads them, and what must come of it.
 *
 * Row i of a table has the value i / 2 in the column the query is ordered by: each value stands
 * twice, so that a kill falls between two equal ones. A reader sees an even number of rows, and
 * more the later it begins. What it makes says in its title of which producer's which row it is,
 * so the judge needs nothing of the ids and scopes that core derives, save to tell tables apart. */
#include "tests/sim/judge.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH_ROWS = 5, CONTENT_BYTES = 32 };

/* ---- a producer as somebody submits it ------------------------------------------------------- */

void rows_draw(sim_t *sim, Pawl__V1__Task *task, rows_wish_t *wish, bool scheduled)
{
    static char *const scopes[] = { (char *)(uintptr_t) "", (char *)(uintptr_t) "task",
                                    (char *)(uintptr_t) "mails", (char *)(uintptr_t) "orders" };
    static const char template[] =
        "\x12\x0apawl/shell\x3a\x06\x12\x04true"; /* type, command.shell */
    pawl__v1__sql__init(&wish->sql);
    pawl__v1__sql_producer__init(&wish->producer);
    wish->sql.source = (char *)(uintptr_t) "db";
    wish->sql.text = (char *)(uintptr_t) "select";
    wish->producer.task =
        (ProtobufCBinaryData){ sizeof template - 1, (uint8_t *)(uintptr_t) template };
    if (sim_coin(sim, 70)) wish->producer.watermark = (char *)(uintptr_t) "value";
    size_t scope = scheduled ? 0 : sim_below(sim, ARRAY_LEN(scopes));
    wish->producer.scope = scopes[scope];
    /* who shares a scope tells rows apart in the same way */
    if (scheduled || scope > 1 || sim_coin(sim, 50)) wish->producer.key = (char *)(uintptr_t) "key";
    task->type = (char *)(uintptr_t) "pawl/sql-producer";
    task->sql = &wish->sql;
    task->producer = &wish->producer;
    task->command = NULL;
}

static table_rows_t *table_of(judge_t *judge, const uint8_t scope[16]);

/* That of a producer that runs, or any. */
static const table_rows_t *table_drawn(sim_t *sim)
{
    judge_t *judge = sim->judge;
    static const uint8_t none[16];
    if (judge->tables_n == 0) return NULL;
    size_t first = sim_below(sim, judge->tasks_n), most = sim_coin(sim, 80) ? judge->tasks_n : 0;
    for (size_t i = 0; i < most; i++) {
        const mtask_t *task = &judge->tasks[(first + i) % judge->tasks_n];
        if (task->run && memcmp(task->scope, none, sizeof none) != 0)
            return table_of(judge, task->scope);
    }
    return &judge->tables[sim_below(sim, judge->tables_n)];
}

bool rows_change(sim_t *sim, rows_change_t *room, Pawl__V1__Request *request)
{
    const table_rows_t *table = table_drawn(sim);
    if (table == NULL) return false;
    pawl__v1__watermark_of__init(&room->of);
    pawl__v1__watermark_change__init(&room->body);
    memcpy(room->scope, table->scope, sizeof room->scope);
    room->of.of_case = PAWL__V1__WATERMARK_OF__OF_SCOPE;
    room->of.scope = (ProtobufCBinaryData){ sizeof room->scope, room->scope };
    room->body.of = &room->of;
    room->body.force = sim_coin(sim, 70);
    if (table->marked && sim_coin(sim, 70)) { /* never ahead: rows in between would be lost */
        snprintf(room->value, sizeof room->value, "%u",
                 (unsigned)sim_below(sim, (uint64_t)table->mark + 1));
        room->body.value_set_case = PAWL__V1__WATERMARK_CHANGE__VALUE_SET_VALUE;
        room->body.value = (ProtobufCBinaryData){ strlen(room->value), (uint8_t *)room->value };
    }
    request->body_case = PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE;
    request->watermark_change = &room->body;
    return true;
}

/* ---- who reads ------------------------------------------------------------------------------- */

void rows_begin(const sim_t *sim, reading_t *self, const Pawl__V1__SqlProducer *producer)
{
    uint32_t seen = 2 * (2 + (uint32_t)(sim->events / 200));
    *self = (reading_t){ .on = true,
                         .marks = producer->watermark[0] != '\0',
                         .content = producer->key[0] == '\0',
                         .end = seen < ROWS_MOST ? seen : ROWS_MOST };
}

static Pawl__V1__ProduceItem *make_item(const sim_t *sim, const reading_t *self,
                                        const uint8_t id[16], uint32_t row)
{
    struct room {
        Pawl__V1__ProduceItem item;
        uint8_t task[200], content[CONTENT_BYTES];
        char key[16], title[64];
    } *room = wire_arena_take((wire_arena_t *)(uintptr_t)&sim->arena, sizeof *room);
    CHECK(room != NULL);
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    snprintf(room->title, sizeof room->title, "row %s %u", hex(id, 16), row);
    task.type = (char *)(uintptr_t) "pawl/shell";
    command.shell = (char *)(uintptr_t) "true";
    task.command = &command;
    task.title = room->title;
    pawl__v1__produce_item__init(&room->item);
    room->item.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, room->task), room->task };
    memset(room->content, 0, sizeof room->content);
    be_put_u32(room->content, row);
    snprintf(room->key, sizeof room->key, "%u", row);
    room->item.identity_case = self->content ? PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT
                                             : PAWL__V1__PRODUCE_ITEM__IDENTITY_KEY;
    if (self->content)
        room->item.content = (ProtobufCBinaryData){ sizeof room->content, room->content };
    else
        room->item.key = room->key;
    return &room->item;
}

/* With a batch goes the highest value below that of its last row, at the end that value itself. */
static bool mark_of(const reading_t *self, char *text, size_t len)
{
    uint32_t last = (self->upto - 1) / 2;
    bool whole = self->upto == self->end;
    if (!self->marks || self->upto == 0 || (!whole && last == 0)) return false;
    snprintf(text, len, "%u", whole ? last : last - 1);
    return true;
}

void rows_ask(sim_t *sim, peer_t *peer, reading_t *self, const uint8_t id[16], uint64_t token,
              unsigned kind)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Produce body;
    Pawl__V1__ProduceItem *items[BATCH_ROWS];
    char mark[16];
    if (!self->on || self->asked || self->done || !peer->welcomed || peer->pending_n > 3) return;
    pawl__v1__produce__init(&body);
    if (self->placed) {
        uint32_t left = self->end - self->next, n = 1 + (uint32_t)sim_below(sim, BATCH_ROWS);
        self->upto = self->next + (n < left ? n : left);
        for (uint32_t row = self->next; row < self->upto; row++)
            items[body.n_items++] = make_item(sim, self, id, row);
        if (mark_of(self, mark, sizeof mark)) {
            body.watermark_set_case = PAWL__V1__PRODUCE__WATERMARK_SET_WATERMARK;
            body.watermark = (ProtobufCBinaryData){ strlen(mark), (uint8_t *)mark };
        }
    }
    body.id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)id };
    body.token = token;
    body.items = items;
    request.body_case = PAWL__V1__REQUEST__BODY_PRODUCE;
    request.produce = &body;
    self->asked = true;
    peer_ask(sim, peer, &request, kind, 0);
}

static bool read_mark(const ProtobufCBinaryData *json, uint32_t *value)
{
    char text[16] = "";
    if (json->len == 0 || json->len >= sizeof text) return false;
    memcpy(text, json->data, json->len);
    return sscanf(text, "%u", value) == 1;
}

static uint32_t row_of(const Pawl__V1__ProduceItem *item)
{
    return item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT
               ? be_u32(item->content.data)
               : (uint32_t)strtoul(item->key, NULL, 10);
}

/* False: an answer to what the attempt asked before it was begun anew under the same token. */
static bool is_awaited(const reading_t *self, const Pawl__V1__Produce *asked)
{
    if (!self->asked) return false;
    if (!self->placed) return asked->n_items == 0;
    return asked->n_items == self->upto - self->next && row_of(asked->items[0]) == self->next;
}

void rows_reply(sim_t *sim, peer_t *peer, reading_t *self, const Pawl__V1__Produce *asked,
                const Pawl__V1__Reply *reply)
{
    const Pawl__V1__Produced *answer = reply->produced;
    uint32_t value;
    bool awaited = is_awaited(self, asked);
    if (awaited) self->asked = false;
    if (reply->error) {
        uint32_t code = reply->error->code;
        if (code == ERR_STALE && awaited)
            self->done = self->stale = true;
        else if (code != ERR_STALE && code != ERR_BUSY && code != ERR_STORE_FULL &&
                 code != ERR_DISK_FULL)
            sim_fail(sim, "%s: rows were refused: %u %s", peer->name, code, reply->error->text);
        return;
    }
    if (reply->body_case != PAWL__V1__REPLY__BODY_PRODUCED ||
        answer->created + answer->repeated_rows != asked->n_items) {
        sim_fail(sim, "%s: %zu rows were answered otherwise", peer->name, asked->n_items);
        return;
    }
    if (answer->repeated_rows) sim_met(MET_ROWS_AGAIN);
    if (asked->n_items) {
        uint32_t first = row_of(asked->items[0]);
        judge_rows(sim, asked->id.data, first, first + (uint32_t)asked->n_items);
    }
    if (!awaited) return;
    if (!self->placed) {
        self->placed = true;
        if (self->marks && answer->watermark_set_case && read_mark(&answer->watermark, &value)) {
            sim_met(MET_WENT_ON);
            self->next = 2 * (value + 1);
        }
    } else if (!sim_chance(sim, 50)) { /* else: the answer came too late, it is asked again */
        self->next = self->upto;
    }
    if (self->next >= self->end) self->done = true;
}

/* ---- the judge ------------------------------------------------------------------------------- */

static table_rows_t *table_of(judge_t *judge, const uint8_t scope[16])
{
    for (size_t i = 0; i < judge->tables_n; i++)
        if (memcmp(judge->tables[i].scope, scope, 16) == 0) return &judge->tables[i];
    judge->tables = mem_grow(judge->tables, (judge->tables_n + 1) * sizeof *judge->tables);
    table_rows_t *table = &judge->tables[judge->tables_n++];
    memset(table, 0, sizeof *table);
    memcpy(table->scope, scope, 16);
    return table;
}

static void on_producer(sim_t *sim, mtask_t *task, const spec_row_t *spec,
                        const Pawl__V1__SqlProducer *producer)
{
    const uint8_t *secret = sim->judge->fixed.secret;
    const char *name = producer->scope;
    uint8_t text[4 + LIMIT_LABEL];
    bool lasting = producer->key[0] || producer->watermark[0];
    if (name[0] && strcmp(name, "task") != 0) {
        be_put_bytes(be_put_u32(text, spec->principal), name, strlen(name));
        scope_id(secret, SCOPE_NAMED, slice(text, 4 + strlen(name)), task->scope);
    } else if (!name[0] && lasting && spec->flags & SPEC_SCHEDULED) {
        const uint8_t *uid = sim->judge->schedules[spec->schedule].uid;
        scope_id(secret, SCOPE_SCHEDULE, slice(uid, 16), task->scope);
    } else {
        scope_id(secret, SCOPE_TASK, slice(task->id, 16), task->scope);
    }
}

void rows_spec(sim_t *sim, mtask_t *task, const spec_row_t *spec, const Pawl__V1__Task *body)
{
    unsigned bytes[16], row;
    uint8_t id[16];
    int at = 4;
    if (body->producer) on_producer(sim, task, spec, body->producer);
    if (strncmp(body->title, "row ", 4) != 0) return;
    for (size_t i = 0; i < 16; i++, at += 2) {
        if (sscanf(body->title + at, "%2x", &bytes[i]) != 1) return;
        id[i] = (uint8_t)bytes[i];
    }
    if (sscanf(body->title + at, "%u", &row) != 1 || row >= ROWS_MOST) return;
    const mtask_t *producer = judge_task(sim, id);
    if (producer == NULL) {
        sim_fail(sim, "task %llu is a row of a producer that is not on record",
                 (unsigned long long)task->n);
        return;
    }
    if (producer->run && producer->replaced && producer->replaced < sim->judge->batches)
        sim_fail(sim, "task %llu is a row of an attempt whose watermark was changed by hand",
                 (unsigned long long)task->n);
    table_rows_t *table = table_of(sim->judge, producer->scope);
    sim_met(MET_ROW);
    uint64_t before = table->made[row];
    if (before && sim->judge->tasks[before].there)
        sim_fail(sim, "row %u became two tasks: %llu and %llu", row, (unsigned long long)before,
                 (unsigned long long)task->n);
    table->made[row] = task->n;
    table->created++;
}

void rows_mark(sim_t *sim, slice_t key, slice_t value, bool gone)
{
    table_rows_t *table = table_of(sim->judge, key.at);
    watermark_row_t row;
    table->touched = true;
    table->marked = false;
    if (gone) {
        table->said = table->created = 0;
        return;
    }
    if (!watermark_row_decode(&row, value)) {
        sim_fail(sim, "a watermark cannot be read");
        return;
    }
    ProtobufCBinaryData json = { row.value.len, (uint8_t *)(uintptr_t)row.value.at };
    table->said = row.created;
    table->marked = read_mark(&json, &table->mark);
}

/* After a durable batch: what a watermark says is behind it was made, and counted. */
void rows_judge(sim_t *sim)
{
    for (size_t t = 0; t < sim->judge->tables_n; t++) {
        table_rows_t *table = &sim->judge->tables[t];
        if (!table->touched) continue;
        table->touched = false;
        for (uint32_t i = 0; table->marked && i < ROWS_MOST && i / 2 <= table->mark; i++)
            if (table->made[i] == 0)
                sim_fail(sim, "a watermark stands at %u, and row %u is no task", table->mark, i);
        if (table->said != table->created)
            sim_fail(sim, "%llu rows became tasks, the counter of their scope says %llu",
                     (unsigned long long)table->created, (unsigned long long)table->said);
    }
}

/* Somebody was told that these rows are on record. */
void judge_rows(sim_t *sim, const uint8_t id[16], uint32_t from, uint32_t to)
{
    const mtask_t *producer = judge_task(sim, id);
    if (producer == NULL) return; /* purged meanwhile */
    const table_rows_t *table = table_of(sim->judge, producer->scope);
    for (uint32_t row = from; row < to; row++)
        if (table->made[row] == 0)
            sim_fail(sim, "row %u of producer %s was acknowledged and is no task", row,
                     hex(id, 16));
}

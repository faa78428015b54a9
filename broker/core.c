/* SPDX-License-Identifier: Apache-2.0
 * core.c - the step: one batch, one transaction.
 *
 *   begin -> due timers -> commands in order -> executors' clocks -> dispatch -> write what was
 *   gathered in memory (lanes, counters, blocks, cursors, journal, meta) -> commit
 *
 * When the commit fails cleanly (the store is full) memory is thrown away and rebuilt from the
 * store exactly as at start, sessions kept, and the batch is tried once more with everything that
 * adds refused; then, in what the store keeps in reserve for this, with nothing but what frees.
 * Any other failure is not survived: the caller exits and the next start reads the truth. */
#include "broker/inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what every file uses -----------------------------------------------------------------------
 */

void *batch_alloc(core_t *core, size_t bytes)
{
    void *at = wire_arena_take(core->arena, bytes ? bytes : 1);
    CHECK(at != NULL);
    return memset(at, 0, bytes);
}

static char *format_text(core_t *core, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    CHECK(len >= 0);
    char *text = batch_alloc(core, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *batch_printf(core_t *core, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(core, format, args);
    va_end(args);
    return text;
}

static Pawl__V1__Error *new_error(core_t *core, err_t err, const char *field, char *text)
{
    Pawl__V1__Error *error = batch_alloc(core, sizeof *error);
    pawl__v1__error__init(error);
    error->code = (uint32_t)err;
    error->field = batch_printf(core, "%s", field);
    error->text = text;
    return error;
}

Pawl__V1__Error *make_error(core_t *core, err_t err, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(core, format, args);
    va_end(args);
    return new_error(core, err, field, text);
}

void refuse(core_t *core, Pawl__V1__Reply *reply, err_t err, const char *field, const char *format,
            ...)
{
    va_list args;
    va_start(args, format);
    reply->error = new_error(core, err, field, format_text(core, format, args));
    va_end(args);
    reply->body_case = PAWL__V1__REPLY__BODY__NOT_SET;
}

void outputs_clear(outputs_t *self)
{
    self->n = 0;
    self->bytes.len = 0;
}

void outputs_free(outputs_t *self)
{
    free(self->items);
    buf_free(&self->bytes);
    *self = (outputs_t){ 0 };
}

output_t *out_add(core_t *core, output_kind_t kind, conn_t conn)
{
    outputs_t *out = core->out;
    if (out->n == out->room) {
        out->room = out->room ? out->room * 2 : 64;
        out->items = mem_grow(out->items, out->room * sizeof *out->items);
    }
    output_t *item = &out->items[out->n++];
    memset(item, 0, sizeof *item);
    item->kind = kind;
    item->conn = conn;
    return item;
}

static uint8_t *out_room(void *arg, size_t len)
{
    buf_t *bytes = arg;
    buf_need(bytes, len);
    uint8_t *at = bytes->at + bytes->len;
    bytes->len += len;
    return at;
}

void out_reply(core_t *core, conn_t conn, output_kind_t kind, const Pawl__V1__Reply *reply)
{
    Pawl__V1__Reply copy = *reply;
    output_t *item = out_add(core, kind, conn);
    item->at = (uint32_t)core->out->bytes.len;
    item->len = (uint32_t)wire_reply_pack(&copy, out_room, &core->out->bytes);
}

void out_push(core_t *core, conn_t conn, const Pawl__V1__Push *push, bool assign)
{
    Pawl__V1__Push copy = *push;
    output_t *item = out_add(core, OUT_PUSH, conn);
    item->flag = assign;
    item->at = (uint32_t)core->out->bytes.len;
    item->len = (uint32_t)wire_push_pack(&copy, out_room, &core->out->bytes);
}

/* A stream from the batch's 32 bytes: hash of (bytes, counter). Secret enough for uids and session
 * ids, because the bytes are. */
void draw_random(core_t *core, void *to, size_t len)
{
    uint8_t id[16];
    CHECK(len <= sizeof id);
    firing_id(core->batch->random, core->fixed.store_id, (int64_t)core->meta.batch, 0,
              ++core->random_used, id);
    uint8_t mixed[16];
    firing_id(core->batch->random, id, 0, 1, core->random_used, mixed);
    /* the first six bytes of a derived id are a time: take the random ends of two */
    memcpy(id, mixed + 6, 6);
    memcpy(to, id, len);
}

err_t put_scratch(core_t *core, table_t table, const rec_key_t *key, unsigned flags)
{
    return store_put(core->store, table, key_slice(key), slice(core->scratch.at, core->scratch.len),
                     flags);
}

err_t del_row(core_t *core, table_t table, const rec_key_t *key)
{
    err_t err = store_del(core->store, table, key_slice(key));
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* ---- memory
 * ----------------------------------------------------------------------------------------- */

static err_t load_meta(core_t *core)
{
    slice_t value;
    rec_key_t key = key_u8(META_STATIC);
    TRY(store_get(core->store, TABLE_meta, key_slice(&key), &value));
    if (!meta_static_decode(&core->fixed, value)) return ERR_CORRUPT;
    if (core->fixed.format != STORE_FORMAT) return ERR_STORE_VERSION;
    completion_key(core->fixed.secret, core->completion_key);
    key = key_u8(META_DYNAMIC);
    TRY(store_get(core->store, TABLE_meta, key_slice(&key), &value));
    return meta_dynamic_decode(&core->meta, value) ? ERR_OK : ERR_CORRUPT;
}

static err_t save_meta(core_t *core)
{
    core->scratch.len = 0;
    meta_dynamic_encode(&core->meta, &core->scratch);
    rec_key_t key = key_u8(META_DYNAMIC);
    return put_scratch(core, TABLE_meta, &key, 0);
}

static void forget_memory(core_t *core)
{
    runs_free(core);
    executors_forget_runs(core);
    lanes_free(core);
    schedules_free(core);
    calendars_free(core);
    families_free(core);
    blocks_free(core);
    names_free(core);
    memset(core->counts, 0, sizeof core->counts);
    core->journal_open = false;
    core->failed = ERR_OK;
}

/* Everything that memory holds of the store, from the store; inside a transaction. */
err_t load_all(core_t *core)
{
    TRY(load_meta(core));
    TRY(names_load(core));
    rezone_load(core);
    calendars_load(core);
    executors_relink(core);
    TRY(lanes_load(core));
    TRY(runs_load(core));
    return timers_due(core);
}

static err_t rebuild(core_t *core)
{
    store_abort(core->store);
    executors_undo(core);
    forget_memory(core);
    core->alone_told = 0; /* the event of this batch, if any, is told again */
    attended_look(core);
    TRY(store_begin(core->store));
    err_t err = load_all(core);
    store_abort(core->store);
    return err;
}

/* ---- open
 * -------------------------------------------------------------------------------------------- */

void core_config_default(core_config_t *config)
{
    *config = (core_config_t){ .lease_us = DEFAULT_LEASE_US,
                               .suspect_us = DEFAULT_SUSPECT_US,
                               .ping_us = DEFAULT_PING_US,
                               .keep_finished_us = DEFAULT_KEEP_FINISHED_US,
                               .keep_failed_us = DEFAULT_KEEP_FAILED_US,
                               .keep_ledger_us = DEFAULT_KEEP_LEDGER_US,
                               .keep_journal_us = DEFAULT_KEEP_JOURNAL_US,
                               .items_max = LIMIT_ITEMS,
                               .requests_in_flight = LIMIT_REQUESTS_IN_FLIGHT,
                               .items_in_flight = LIMIT_ITEMS_IN_FLIGHT,
                               .bytes_in_flight = LIMIT_BYTES_IN_FLIGHT,
                               .output_max = LIMIT_OUTPUT,
                               .children_at_once = LIMIT_CHILDREN_AT_ONCE };
}

static err_t create(core_t *core, const uint8_t random[32])
{
    core->fixed = (meta_static_t){ .format = STORE_FORMAT,
                                   .generation = 1,
                                   .created_wall_us = core->wall_us };
    memcpy(core->fixed.store_id, random, 16);
    /* the secret must not be guessable from the id: derived through the keyed hash */
    for (uint64_t i = 0; i < 4; i++) {
        uint8_t id[16];
        firing_id(random, core->fixed.store_id, 0, 2, i, id);
        memcpy(core->fixed.secret + 8 * i, id + 6, 8);
    }
    core->meta = (meta_dynamic_t){ .next_n = 1, .next_seq = 1 };
    for (size_t i = 0; i < ARRAY_LEN(core->meta.next_no); i++)
        core->meta.next_no[i] = 1;
    core->scratch.len = 0;
    meta_static_encode(&core->fixed, &core->scratch);
    rec_key_t key = key_u8(META_STATIC);
    TRY(put_scratch(core, TABLE_meta, &key, 0));
    static const char *const builtin[] = { "pawl/shell", "pawl/script" };
    for (size_t i = 0; i < ARRAY_LEN(builtin); i++) {
        named_t *type;
        TRY(name_make(core, NAME_TYPE, builtin[i], &type));
        type->flags |= REG_BUILTIN;
        TRY(name_save(core, type));
    }
    TRY(save_meta(core));
    return names_flush(core);
}

static err_t open_store(core_t *core, int64_t steady_us, const uint8_t random[32])
{
    rec_key_t key = key_u8(META_STATIC);
    slice_t value;
    err_t err = store_get(core->store, TABLE_meta, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND)
        TRY(create(core, random));
    else
        TRY(err);
    forget_memory(core);
    TRY(load_all(core));
    core->meta.epoch++;
    /* Broker time never goes back, also over a restart on a machine whose clock did. */
    core->now_us = core->meta.broker_us > core->wall_us ? core->meta.broker_us : core->wall_us;
    core->shift_us = core->now_us - steady_us;
    core->opened_us = core->now_us;
    core->meta.broker_us = core->now_us;
    core->meta.wall_us = core->wall_us;
    core->rate_all_at_us = core->now_us;
    for (size_t i = 0; i < core->executors_n; i++) { /* everybody has one full lease to say Hello */
        core->executors[i]->lost_at_us = core->now_us + core->config.lease_us;
        for (run_t *run = core->executors[i]->runs; run; run = run->next)
            TRY(lease_wait_again(core, run));
    }
    TRY(timers_due(core));
    return save_meta(core);
}

err_t core_open(core_t **out, store_t *store, const core_config_t *config, int64_t wall_us,
                int64_t steady_us, const uint8_t random[32])
{
    core_t *core = mem_new(sizeof *core);
    core->store = store;
    core->config = *config;
    core->wall_us = wall_us;
    core->level = "ok";
    core->leases_again_us = INT64_MAX;
    core->arena = mem_new(sizeof *core->arena);
    wire_arena_init(core->arena);
    core->queue_hist = mem_new(sizeof *core->queue_hist);
    core->run_hist = mem_new(sizeof *core->run_hist);
    store->freeing = true; /* also a full store must be opened, to make room */
    err_t err = store_begin(store);
    if (err == ERR_OK) {
        err = open_store(core, steady_us, random);
        core->attended_due_us =
            core->meta.next_no[NAME_SCHEDULE] > 1 ? core->now_us + 30 * PAWL_SEC_US : INT64_MAX;
        if (err == ERR_OK)
            err = store_commit(store);
        else
            store_abort(store);
    }
    if (err != ERR_OK) core_close(&core);
    *out = core;
    return err;
}

void core_close(core_t **self_p)
{
    core_t *core = *self_p;
    if (core == NULL) return;
    forget_memory(core);
    executors_free(core);
    followers_free(core);
    wire_arena_free(core->arena);
    free(core->arena);
    free(core->queue_hist);
    free(core->run_hist);
    buf_free(&core->scratch);
    buf_free(&core->body);
    free(core);
    *self_p = NULL;
}

void core_zones(const core_t *self, core_zone_fn *fn, void *arg)
{
    for (size_t no = 0; no < self->names_n[NAME_ZONE]; no++) {
        const named_t *zone = self->names[NAME_ZONE][no];
        if (zone) fn(arg, zone->name, zone->flags & REG_GONE ? 0 : zone->value);
    }
}

void core_want_events(core_t *self, bool want)
{
    self->config.want_events = want;
}

/* ---- remembered replies
 * ---------------------------------------------------------------------------------- */

enum { FORGET_AT_ONCE = 4 };

/* The reply of an earlier copy, if there is one, goes out again. */
static err_t repeat_reply(core_t *core, uint32_t principal, const command_t *command, bool *done)
{
    const Pawl__V1__Request *request = command->request;
    rec_key_t key = key_reply(principal, request->request_id.data);
    slice_t value, bytes;
    int64_t order;
    *done = false;
    err_t err = store_get(core->store, TABLE_reply, key_slice(&key), &value);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    TRY(err);
    if (!reply_row_decode(&order, &bytes, value)) return ERR_CORRUPT;
    Pawl__V1__Reply *reply = pawl__v1__reply__unpack(&core->arena->allocator, bytes.len, bytes.at);
    if (reply == NULL) return ERR_CORRUPT;
    reply->seq = request->seq;
    reply->repeated_reply = true;
    out_reply(core, command->conn, OUT_REPLY, reply);
    *done = true;
    return ERR_OK;
}

static err_t forget_oldest(core_t *core, uint32_t principal, uint64_t *kept)
{
    for (unsigned i = 0; i < FORGET_AT_ONCE; i++) {
        rec_key_t from = key_reply_age(principal, INT64_MIN, (const uint8_t[16]){ 0 });
        slice_t key, value;
        err_t err = store_seek(core->store, TABLE_replyage, key_slice(&from), false, &key, &value);
        if (err == ERR_NOT_FOUND || (err == ERR_OK && be_u32(key.at) != principal)) return ERR_OK;
        TRY(err);
        int64_t order = be_i64(key.at + 4);
        if (*kept <= LIMIT_REPLIES_KEPT && order + 86400 * PAWL_SEC_US > core->now_us)
            return ERR_OK;
        uint8_t id[16];
        memcpy(id, key.at + 12, 16);
        rec_key_t age = key_reply_age(principal, order, id), reply = key_reply(principal, id);
        TRY(del_row(core, TABLE_replyage, &age));
        TRY(del_row(core, TABLE_reply, &reply));
        (*kept)--;
    }
    return ERR_OK;
}

static err_t remember_reply(core_t *core, uint32_t principal, const uint8_t id[16],
                            Pawl__V1__Reply *reply)
{
    buf_t bytes = { 0 };
    uint64_t seq = reply->seq;
    reply->seq = 0;
    wire_reply_pack(reply, out_room, &bytes);
    reply->seq = seq;
    core->scratch.len = 0;
    reply_row_encode(core->now_us, slice(bytes.at, bytes.len), &core->scratch);
    buf_free(&bytes);
    rec_key_t key = key_reply(principal, id), age = key_reply_age(principal, core->now_us, id);
    TRY(put_scratch(core, TABLE_reply, &key, 0));
    TRY(store_put(core->store, TABLE_replyage, key_slice(&age), slice(NULL, 0), 0));
    uint64_t counts[STATUS_KINDS] = { 0 };
    rec_key_t count = key_kind_no(COUNT_REPLIES, principal);
    slice_t value;
    err_t err = store_get(core->store, TABLE_count, key_slice(&count), &value);
    if (err == ERR_OK && !count_row_decode(counts, value)) return ERR_CORRUPT;
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    counts[1]++;
    TRY(forget_oldest(core, principal, &counts[1]));
    core->scratch.len = 0;
    count_row_encode(counts, &core->scratch);
    return put_scratch(core, TABLE_count, &count, 0);
}

/* ---- commands
 * ------------------------------------------------------------------------------------------------
 */

static err_t on_ping(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    (void)command;
    Pawl__V1__Pong *pong = batch_alloc(core, sizeof *pong);
    pawl__v1__pong__init(pong);
    pong->wall_us = core->wall_us;
    reply->body_case = PAWL__V1__REPLY__BODY_PONG;
    reply->pong = pong;
    return ERR_OK;
}

static err_t on_queue_change(core_t *core, const command_t *command, Pawl__V1__Reply *reply)
{
    const Pawl__V1__QueueChange *change = command->request->queue_change;
    named_t *queue;
    TRY(name_make(core, NAME_QUEUE, change->name,
                  &queue)); /* a queue may be paused before its use */
    if (change->pause)
        queue->flags |= REG_PAUSED;
    else
        queue->flags &= (uint8_t)~REG_PAUSED;
    queue->since_wall_us = core->wall_us;
    free(queue->reason);
    queue->reason = mem_text(change->reason);
    TRY(name_save(core, queue));
    TRY(journal_add(core, change->pause ? EVENT_QUEUE_PAUSED : EVENT_QUEUE_RESUMED, queue->no, 0,
                    0));
    Pawl__V1__Changed *changed = batch_alloc(core, sizeof *changed);
    pawl__v1__changed__init(changed);
    changed->done = 1;
    reply->body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply->changed = changed;
    return ERR_OK;
}

typedef err_t handler_fn(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
#define BODY(name) PAWL__V1__REQUEST__BODY_##name
static const struct handler {
    handler_fn *run;
    bool remembered; /* the reply is kept under (principal, request id) */
} handlers[] = {
    [BODY(PING)] = { on_ping, false },
    [BODY(SUBMIT)] = { task_submit, false },
    [BODY(REPORT)] = { lease_report, false },
    [BODY(PROPOSE)] = { schedules_propose, false },
    [BODY(PRODUCE)] = { produce, false },
    [BODY(TASK_CHANGE)] = { task_change, true },
    [BODY(TASK_COMPLETE)] = { task_complete, true },
    [BODY(SCHEDULE_PUT)] = { schedule_put, true },
    [BODY(SCHEDULE_CHANGE)] = { schedule_change, true },
    [BODY(CALENDAR_PUT)] = { calendar_put, true },
    [BODY(CALENDAR_REMOVE)] = { calendar_remove, true },
    [BODY(WATERMARK_CHANGE)] = { watermark_change, true },
    [BODY(SCHEDULE_FOLLOW)] = { schedule_follow, false },
    [BODY(QUEUE_CHANGE)] = { on_queue_change, true },
    [BODY(EXECUTOR_CHANGE)] = { executor_change, true },
};

static void refuse_full(core_t *core, const command_t *command, err_t err)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    reply.seq = command->request->seq;
    refuse(core, &reply, err, "", "%s: nothing was done, free room and try again", err_text(err));
    reply.error->retry_after_us = 5 * PAWL_SEC_US;
    if (command->request->body_case == BODY(HELLO)) executor_gone(core, command->conn);
    out_reply(core, command->conn, OUT_REPLY, &reply);
}

/* What leads to room, however full the store is. */
static bool frees(const Pawl__V1__Request *request)
{
    return request->body_case == BODY(BYE) ||
           (request->body_case == BODY(TASK_CHANGE) &&
            request->task_change->verb == PAWL__V1__TASK_VERB__TASK_CANCEL);
}

/* How many items a request has where it has the most; the wire allows LIMIT_ITEMS of each, the
 * configuration perhaps fewer. */
static size_t most_items(const Pawl__V1__Request *request, const char **field)
{
    *field = "";
    if (request->body_case == BODY(SUBMIT)) {
        *field = "submit.tasks";
        return request->submit->n_tasks;
    }
    if (request->body_case == BODY(REPORT)) {
        *field = "report.results";
        return request->report->n_results;
    }
    if (request->body_case == BODY(PROPOSE)) {
        *field = "propose.items";
        return request->propose->n_items;
    }
    if (request->body_case == BODY(TASK_CHANGE)) {
        *field = "task_change.ids";
        return request->task_change->n_ids;
    }
    return 0;
}

static bool refuse_items(core_t *core, const command_t *command)
{
    const char *field;
    size_t n = most_items(command->request, &field);
    if (n <= core->config.items_max) return false;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    reply.seq = command->request->seq;
    refuse(core, &reply, ERR_TOO_MANY, field,
           "%zu items, at most %u are taken at once (broker.limits.items): send it in parts", n,
           core->config.items_max);
    out_reply(core, command->conn, OUT_REPLY, &reply);
    return true;
}

static err_t on_request(core_t *core, const command_t *command)
{
    const Pawl__V1__Request *request = command->request;
    executor_t *executor = executor_of(core, command->conn);
    if (executor) executor->suspect = false; /* it lives */
    if (executor && request->assign_seen > executor->assign_seen)
        executor->assign_seen =
            request->assign_seen < executor->assign_no ? request->assign_seen : executor->assign_no;
    if (refuse_items(core, command)) return ERR_OK;
    if (core->free_only && !frees(request)) {
        refuse_full(core, command, ERR_STORE_FULL);
        return ERR_OK;
    }
    if (request->body_case == BODY(HELLO)) return executor_hello(core, command);
    if (request->body_case == BODY(BYE)) {
        schedule_unfollow(core, command->conn);
        return executor_bye(core, command->conn);
    }
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    reply.seq = request->seq;
    const struct handler *handler = (size_t)request->body_case < ARRAY_LEN(handlers)
                                        ? &handlers[request->body_case]
                                        : &handlers[0];
    named_t *principal = NULL;
    if (handler->remembered) {
        bool done;
        TRY(name_make(core, NAME_PRINCIPAL, command->principal, &principal));
        TRY(repeat_reply(core, principal->no, command, &done));
        if (done) return ERR_OK;
    }
    if (handler->run)
        TRY(handler->run(core, command, &reply));
    else
        refuse(core, &reply, ERR_UNIMPLEMENTED, "", "core does not know request %d",
               (int)request->body_case);
    if (principal && reply.error == NULL)
        TRY(remember_reply(core, principal->no, request->request_id.data, &reply));
    out_reply(core, command->conn, OUT_REPLY, &reply);
    return ERR_OK;
}

static err_t on_gone(core_t *core, const command_t *command)
{
    schedule_unfollow(core, command->conn);
    executor_t *executor = executor_of(core, command->conn);
    executor_gone(core, command->conn);
    return executor ? enrol_seen(core, executor) : ERR_OK;
}

static err_t on_lost(core_t *core, const command_t *command)
{
    schedule_unfollow(core, command->conn);
    executor_t *executor = executor_of(core, command->conn);
    return executor ? executor_lost(core, executor) : ERR_OK;
}

static err_t on_note(core_t *core, const command_t *command)
{
    const executor_t *executor = executor_of(core, command->conn);
    return journal_add(core, command->event, executor ? executor->name->no : 0, 0, command->n);
}

static err_t apply(core_t *core, const command_t *command)
{
    switch (command->kind) {
    case CMD_REQUEST:
        return on_request(core, command);
    case CMD_LOST:
        return on_lost(core, command);
    case CMD_GONE:
        return on_gone(core, command);
    case CMD_SUSPECT:
        executor_suspect(core, command->conn, command->flag);
        return ERR_OK;
    case CMD_UNDELIVERED:
        return executor_undelivered(core, command->conn);
    case CMD_PURGE:
        return task_purge(core, command);
    case CMD_NOTE:
        return on_note(core, command);
    case CMD_ZONE:
        return zone_import(core, command->name, command->bytes);
    default:
        return ERR_OK;
    }
}

/* ---- the step
 * ---------------------------------------------------------------------------------------------- */

static err_t apply_all(core_t *core, const batch_t *batch)
{
    core->meta.batch++;
    core->meta.broker_us = core->now_us;
    core->meta.wall_us = core->wall_us;
    core->random_used = 0;
    core->seq_begun = core->meta.next_seq;
    core->firings_left = LIMIT_FIRINGS;
    core->rule_work_left_ns = LIMIT_RULE_WORK_US * INT64_C(1000);
    core->touched_n = 0;
    core->assigned_bytes = 0;
    core->more_to_give = false;
    core->children = 0;
    core->children_left = core->config.children_at_once;
    core->ops = 0;
    TRY(timers_run(core));
    for (size_t i = 0; i < batch->n; i++)
        TRY(apply(core, &batch->commands[i]));
    TRY(executors_tick(core));
    TRY(families_settle(core));
    TRY(lanes_dispatch(core));
    if (!core->refuse_adds) { /* new revisions wait for room */
        TRY(rezone_step(core));
        TRY(calendars_step(core));
    }
    TRY(attended_step(core));
    TRY(schedules_flush(core));
    TRY(history_trim(core));
    schedules_tell(core);
    executors_push(core);
    TRY(families_flush(core));
    TRY(room_tell(core));
    TRY(names_flush(core));
    TRY(blocks_flush(core));
    TRY(journal_flush(core));
    TRY(timers_due(core));
    TRY(core->failed);
    return save_meta(core);
}

static err_t attempt(core_t *core, const batch_t *batch, outputs_t *out, enum effort effort)
{
    outputs_clear(out);
    wire_arena_reset(core->arena);
    executors_settled(core);
    room_judge(core, batch, effort);
    core->batch = batch;
    core->out = out;
    core->failed = ERR_OK;
    core->store->freeing = effort == EFFORT_FREES;
    TRY(store_begin(core->store));
    TRY(apply_all(core, batch));
    out->batch = core->meta.batch;
    return store_commit(core->store);
}

bool core_refused(err_t err)
{
    return err == ERR_STORE_FULL || err == ERR_DISK_FULL || err == ERR_NO_MEMORY;
}

/* Nothing fits any more: each request is told so. */
static void refuse_all(core_t *core, const batch_t *batch, err_t err)
{
    outputs_clear(core->out);
    wire_arena_reset(core->arena);
    for (size_t i = 0; i < batch->n; i++) {
        const command_t *command = &batch->commands[i];
        if (command->kind == CMD_REQUEST) refuse_full(core, command, err);
    }
}

/* Looks anew at the wall clock too, which may have jumped towards a timer or away from it. */
static bool nothing_due(core_t *core)
{
    timers_look(core);
    int64_t due = core_next_due_us(core);
    return due == INT64_MAX || due + core->shift_us > core->now_us;
}

err_t core_step(core_t *core, const batch_t *batch, outputs_t *out)
{
    int64_t now = batch->steady_us + core->shift_us;
    if (now > core->now_us) core->now_us = now;
    core->wall_us = batch->wall_us;
    if (batch->n == 0 && nothing_due(core)) { /* only a look at the clock: nothing to commit */
        outputs_clear(out);
        store_forget_writes(core->store);
        out->batch = core->meta.batch;
        return ERR_OK;
    }
    err_t err = attempt(core, batch, out, EFFORT_ALL);
    if (core_refused(err)) {
        TRY(rebuild(core));
        err = attempt(core, batch, out, EFFORT_ENDS);
    }
    if (core_refused(err)) {
        TRY(rebuild(core));
        err = attempt(core, batch, out, EFFORT_FREES);
    }
    if (core_refused(err)) {
        TRY(rebuild(core));
        refuse_all(core, batch, err);
        return err;
    }
    TRY(err);
    schedules_trim(core);
    core->commits++;
    return ERR_OK;
}

int64_t core_next_due_us(const core_t *core)
{
    int64_t due = executors_due_us(core);
    if (core->timer_due_us < due) due = core->timer_due_us;
    if (core->leases_again_us < due) due = core->leases_again_us;
    if (core->attended_due_us < due) due = core->attended_due_us;
    bool behind = (core->rezone_at || core->calendar_at) && !core->refuse_adds;
    if (core->more_to_give || behind || core->attended_at)
        due = core->now_us; /* not done with what is due */
    return due == INT64_MAX ? INT64_MAX : due - core->shift_us;
}

/* ---- numbers
 * --------------------------------------------------------------------------------------------------
 */

/* When the lane's first task became ready, in broker time: the due of its key less the offset of
 * its priority. A lane's head that no executor has asked for is in the store only. */
static err_t first_ready(store_view_t *view, const lane_t *lane, int64_t *ready_us)
{
    rec_key_t from = key_ready(lane->no, INT64_MIN, 0);
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint32_t no = 0;
    int64_t due = 0;
    uint64_t n = 0;
    spec_row_t spec;
    TRY(store_scan_open(view, TABLE_ready, key_slice(&from), false, &scan));
    err_t err = store_scan_next(scan, &key, &value);
    if (err == ERR_OK && !ready_key_decode(key, &no, &due, &n)) err = ERR_CORRUPT;
    store_scan_close(&scan);
    if (err == ERR_OK && no != lane->no) err = ERR_NOT_FOUND;
    TRY(err);
    rec_key_t of_task = key_n(n);
    TRY(store_view_get(view, TABLE_spec, key_slice(&of_task), &value));
    if (!spec_row_decode(&spec, value)) return ERR_CORRUPT;
    *ready_us = due - priority_offset_us(spec.priority);
    return ERR_OK;
}

/* Fills `oldest` by the number of the queue, in the caller's steady time. Numbers only: what cannot
 * be read is left out here and refused where it is used. */
static void find_oldest(const core_t *core, int64_t *oldest)
{
    store_view_t *view = NULL;
    if (core->counts[S(WAITING)] == 0 || store_view_open(core->store, &view) != ERR_OK) return;
    for (size_t i = 0; i < core->lanes_n; i++) {
        const lane_t *lane = core->lanes[i];
        int64_t ready_us;
        if (lane == NULL || lane->waiting == 0 || lane->queue >= core->names_n[NAME_QUEUE] ||
            first_ready(view, lane, &ready_us) != ERR_OK)
            continue;
        ready_us -= core->shift_us;
        if (ready_us < oldest[lane->queue]) oldest[lane->queue] = ready_us;
    }
    store_view_close(&view);
}

void core_stats(const core_t *core, core_stats_t *stats)
{
    *stats = (core_stats_t){ .batch = core->meta.batch,
                             .epoch = core->meta.epoch,
                             .events_seq = core->meta.next_seq - 1,
                             .generation = core->fixed.generation,
                             .submitted = core->submitted,
                             .started = core->started,
                             .ended = core->ended,
                             .commits = core->commits,
                             .last_batch_ops = core->ops,
                             .schedules = core->meta.next_no[NAME_SCHEDULE] - 1,
                             .level = core->level,
                             .reserved_bytes = core->space.reserved * core->space.page_bytes,
                             .leases_left = core->space.leases_left,
                             .queue_us = core->queue_hist,
                             .run_us = core->run_hist };
    memcpy(stats->counts, core->counts, sizeof stats->counts);
    memcpy(stats->store_id, core->fixed.store_id, 16);
    int64_t *oldest = mem_new((core->names_n[NAME_QUEUE] + 1) * sizeof *oldest);
    for (size_t no = 0; no < core->names_n[NAME_QUEUE]; no++)
        oldest[no] = INT64_MAX;
    find_oldest(core, oldest);
    stats->queues = mem_new((core->names_n[NAME_QUEUE] + 1) * sizeof *stats->queues);
    for (size_t no = 0; no < core->names_n[NAME_QUEUE]; no++) {
        const named_t *queue = core->names[NAME_QUEUE][no];
        if (queue == NULL) continue;
        core_queue_stats_t *row = &stats->queues[stats->queue_count++];
        snprintf(row->name, sizeof row->name, "%s", queue->name);
        row->paused = (queue->flags & REG_PAUSED) != 0;
        memcpy(row->counts, queue->counts, sizeof row->counts);
        row->oldest_ready_us = oldest[no];
    }
    free(oldest);
}

/* ---- memory against store
 * ---------------------------------------------------------------------------------------- */

/* Memory as text, in an order that does not depend on how it came to be. */
static void dump(core_t *core, buf_t *to)
{
    buf_printf(to, "next n %llu seq %llu\n", (unsigned long long)core->meta.next_n,
               (unsigned long long)core->meta.next_seq);
    for (size_t kind = 0; kind < NAME_KINDS; kind++)
        for (size_t no = 0; no < core->names_n[kind]; no++) {
            const named_t *name = core->names[kind][no];
            if (name == NULL) continue;
            buf_printf(to, "name %zu.%zu %s flags %u counts", kind, no, name->name, name->flags);
            for (size_t i = 1; i < STATUS_KINDS; i++)
                buf_printf(to, " %llu", (unsigned long long)name->counts[i]);
            buf_printf(to, "\n");
        }
    for (size_t i = 1; i < STATUS_KINDS; i++)
        buf_printf(to, "count %zu %llu\n", i, (unsigned long long)core->counts[i]);
    for (size_t i = 0; i < core->lanes_n; i++)
        if (core->lanes[i]) buf_printf(to, "lane %zu waiting %u\n", i, core->lanes[i]->waiting);
    uint64_t next = 0;
    for (size_t done = 0; done < core->runs.n; done++) { /* by number: small tables only */
        size_t at = 0;
        const run_t *least = NULL;
        for (const run_t *run; (run = map_next(&core->runs, &at)) != NULL;)
            if (run->n >= next && (least == NULL || run->n < least->n)) least = run;
        if (least == NULL) break;
        buf_printf(to, "run %llu token %llx executor %u attempt %u flags %u\n",
                   (unsigned long long)least->n, (unsigned long long)least->row.token,
                   least->row.executor, least->row.attempt, least->row.flags);
        next = least->n + 1;
    }
}

err_t core_verify(core_t *core, char *difference, size_t len)
{
    core_t *fresh = mem_new(sizeof *fresh);
    fresh->store = core->store;
    fresh->config = core->config;
    fresh->arena = core->arena;
    fresh->now_us = core->now_us;
    fresh->wall_us = core->wall_us;
    buf_t mine = { 0 }, theirs = { 0 };
    difference[0] = '\0';
    err_t err = store_begin(core->store);
    if (err == ERR_OK) {
        err = load_all(fresh);
        if (err == ERR_OK) err = families_verify(core, difference, len);
        store_abort(core->store);
    }
    if (err == ERR_OK && difference[0] == '\0') {
        dump(core, &mine);
        dump(fresh, &theirs);
        size_t at = 0, line = 0;
        while (at < mine.len && at < theirs.len && mine.at[at] == theirs.at[at]) {
            line = mine.at[at] == '\n' ? at + 1 : line;
            at++;
        }
        if (mine.len != theirs.len || at < mine.len)
            snprintf(difference, len, "memory: %.100s | store: %.100s",
                     line < mine.len ? (char *)mine.at + line : "",
                     line < theirs.len ? (char *)theirs.at + line : "");
    }
    buf_free(&mine);
    buf_free(&theirs);
    forget_memory(fresh);
    executors_free(fresh);
    buf_free(&fresh->scratch);
    buf_free(&fresh->body);
    free(fresh);
    return err;
}

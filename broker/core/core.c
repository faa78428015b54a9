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
#include "broker/core/inside.h"

#include <stdio.h>
#include <stdlib.h>

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

void forget_memory(core_t *core)
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
    core->alone_told = core->alone_kept; /* the event of this batch, if any, is told again */
    attended_look(core);
    TRY(store_begin(core->store));
    err_t err = load_all(core);
    store_abort(core->store);
    executors_wind(core);
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
                                   .created_wall_us = core->wall_us,
                                   .numbers_order = true };
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
        executor_changed(core, core->executors[i]);
        core->executors[i]->lost_at_us = core->now_us + core->config.lease_us;
        for (run_t *run = core->executors[i]->runs; run; run = run->next)
            TRY(lease_wait_again(core, run));
    }
    executors_wind(core);
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
    core->ask_all = true;
    queue->since_wall_us = core->wall_us;
    free(queue->reason);
    queue->reason = mem_text(change->reason);
    TRY(name_save(core, queue));
    TRY(journal_add(core, change->pause ? EVENT_QUEUE_PAUSED : EVENT_QUEUE_RESUMED, queue->no, 0,
                    0));
    reply_done(core, reply);
    return ERR_OK;
}

typedef err_t handler_fn(core_t *core, const command_t *command, Pawl__V1__Reply *reply);
#define BODY(name) PAWL__V1__REQUEST__BODY_##name
static handler_fn *const handlers[] = {
    [BODY(PING)] = on_ping,
    [BODY(SUBMIT)] = task_submit,
    [BODY(REPORT)] = lease_report,
    [BODY(PROPOSE)] = schedules_propose,
    [BODY(PRODUCE)] = produce,
    [BODY(TASK_CHANGE)] = task_change,
    [BODY(TASK_COMPLETE)] = task_complete,
    [BODY(SCHEDULE_PUT)] = schedule_put,
    [BODY(SCHEDULE_CHANGE)] = schedule_change,
    [BODY(CALENDAR_PUT)] = calendar_put,
    [BODY(CALENDAR_REMOVE)] = calendar_remove,
    [BODY(WATERMARK_CHANGE)] = watermark_change,
    [BODY(SCHEDULE_FOLLOW)] = schedule_follow,
    [BODY(QUEUE_CHANGE)] = on_queue_change,
    [BODY(EXECUTOR_CHANGE)] = executor_change,
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
    if (executor) executor_heard(core, executor, request->assign_seen);
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
    size_t body = (size_t)request->body_case;
    handler_fn *handler = body < ARRAY_LEN(handlers) ? handlers[body] : NULL;
    named_t *principal = NULL;
    if (wire_reply_is_remembered(request->body_case)) {
        bool done;
        TRY(name_make(core, NAME_PRINCIPAL, command->principal, &principal));
        TRY(reply_repeat(core, principal->no, command, &done));
        if (done) return ERR_OK;
    }
    if (handler)
        TRY(handler(core, command, &reply));
    else
        refuse(core, &reply, ERR_UNIMPLEMENTED, "", "core does not know request %d",
               (int)request->body_case);
    if (principal && reply.error == NULL)
        TRY(reply_remember(core, principal->no, request->request_id.data, &reply));
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
    TRY(schedules_flush(core));
    TRY(attended_step(core)); /* reads the cursors of all, those of this batch too */
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
    executors_wind(core); /* sessions whose Hello was refused are gone */
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
    core->alone_kept = core->alone_told;
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

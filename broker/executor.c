/* SPDX-License-Identifier: Apache-2.0
 * executor.c - the executors that core knows: who they are, what they may take, what they hold.
 *
 * The session part lives in memory only: after a start everybody says Hello again, and until then
 * one full lease runs. What an executor holds is its run rows. Pushes are numbered within a session
 * and sent again until a request says they were seen; both running lists are compared after each
 * Hello and every 30 s, so an assign or a directive that got lost shows. */
#include "broker/inside.h"

#include <stdlib.h>

#include "schemas/requirement.h"

/* ---- the table ------------------------------------------------------------------------------- */

executor_t *executor_for(core_t *core, named_t *name)
{
    if (name->executor == NULL) {
        executor_t *executor = mem_new(sizeof *executor);
        executor->name = name;
        executor->no = name->no;
        name->executor = executor;
        core->executors = mem_grow(core->executors, (core->executors_n + 1) * sizeof(executor_t *));
        core->executors[core->executors_n++] = executor;
    }
    return name->executor;
}

void executor_attach(executor_t *executor, run_t *run)
{
    run->executor = executor;
    run->prev = NULL;
    run->next = executor->runs;
    if (run->next) run->next->prev = run;
    executor->runs = run;
    executor->held++;
}

executor_t *executor_of(core_t *core, conn_t conn)
{
    return conn ? map_get(&core->executors_by_conn, conn) : NULL;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

static void forget_details(executor_t *executor)
{
    free(executor->host);
    free_texts(executor->addresses, executor->addresses_n);
    free_texts(executor->labels, executor->labels_n);
    free_texts(executor->interpreters, executor->interpreters_n);
    free(executor->types);
    free(executor->queues);
    executor->host = NULL;
    executor->addresses = executor->labels = executor->interpreters = NULL;
    executor->types = executor->queues = NULL;
    executor->addresses_n = executor->labels_n = executor->types_n = executor->queues_n = 0;
    executor->interpreters_n = 0;
}

/* ---- what a refused commit takes back -------------------------------------------------------- */

struct executor_undo {
    executor_t *executor;
    executor_t before; /* its session part; owns the details */
};

/* Before its session changes. The details move: whoever says Hello brings new ones. */
static void remember(core_t *core, executor_t *executor)
{
    if (executor->remembered) return;
    if (core->undo_n == core->undo_room) {
        core->undo_room = core->undo_room ? core->undo_room * 2 : 16;
        core->undo = mem_grow(core->undo, core->undo_room * sizeof *core->undo);
    }
    core->undo[core->undo_n++] = (struct executor_undo){ executor, *executor };
    executor->remembered = true;
    executor->host = NULL;
    executor->addresses = executor->labels = executor->interpreters = NULL;
    executor->types = executor->queues = NULL;
    executor->addresses_n = executor->labels_n = executor->types_n = executor->queues_n = 0;
    executor->interpreters_n = 0;
}

void executors_settled(core_t *core)
{
    for (size_t i = 0; i < core->undo_n; i++) {
        core->undo[i].executor->remembered = false;
        forget_details(&core->undo[i].before);
    }
    core->undo_n = 0;
}

void executors_undo(core_t *core)
{
    for (size_t i = 0; i < core->undo_n; i++) {
        executor_t *executor = core->undo[i].executor;
        if (executor->conn) map_take(&core->executors_by_conn, executor->conn);
        executor->conn = 0;
    }
    for (size_t i = 0; i < core->undo_n; i++) {
        executor_t *executor = core->undo[i].executor, *before = &core->undo[i].before;
        forget_details(executor);
        before->lanes = executor->lanes; /* grown meanwhile, perhaps; the rest is read anew */
        before->pending = executor->pending;
        before->pending_room = executor->pending_room;
        *executor = *before;
        if (executor->conn) map_put(&core->executors_by_conn, executor->conn, executor);
    }
    core->undo_n = 0;
}

/* Sessions stay when memory is rebuilt: only what was read from the store goes. What was sent and
 * not seen is no longer known, so the running lists are compared soon. */
void executors_forget_runs(core_t *core)
{
    for (size_t i = 0; i < core->executors_n; i++) {
        core->executors[i]->runs = NULL;
        core->executors[i]->held = 0;
        core->executors[i]->pending_n = 0;
        core->executors[i]->lanes_n = 0;
        core->executors[i]->lanes_stamp = 0;
        core->executors[i]->compare_at_us = 0;
    }
}

static void executor_free(executor_t *executor)
{
    forget_details(executor);
    free(executor->lanes);
    free(executor->pending);
    free(executor);
}

/* A name that was made in the batch that failed is gone, and its executor with it. */
void executors_relink(core_t *core)
{
    size_t kept = 0;
    for (size_t i = 0; i < core->executors_n; i++) {
        executor_t *executor = core->executors[i];
        named_t *name = name_at(core, NAME_EXECUTOR, executor->no);
        if (name) {
            executor->name = name;
            name->executor = executor;
            core->executors[kept++] = executor;
        } else {
            if (executor->conn) map_take(&core->executors_by_conn, executor->conn);
            executor_free(executor);
        }
    }
    core->executors_n = kept;
}

void executors_free(core_t *core)
{
    executors_settled(core);
    free(core->undo);
    core->undo = NULL;
    for (size_t i = 0; i < core->executors_n; i++)
        executor_free(core->executors[i]);
    free(core->executors);
    core->executors = NULL;
    core->executors_n = 0;
    map_free(&core->executors_by_conn);
}

/* ---- what it may take ------------------------------------------------------------------------ */

static bool has_no(const uint32_t *sorted, size_t n, uint32_t wanted)
{
    for (size_t low = 0; low < n;) {
        size_t mid = (low + n) / 2;
        if (sorted[mid] == wanted) return true;
        if (sorted[mid] < wanted)
            low = mid + 1;
        else
            n = mid;
    }
    return false;
}

static bool has_text(char *const *texts, size_t n, const char *wanted, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) == len && memcmp(texts[i], wanted, len) == 0) return true;
    return false;
}

static bool has_labels(const executor_t *executor, const lane_t *lane)
{
    for (size_t at = 0; at < lane->target_len;) {
        size_t len = strnlen(lane->target + at, lane->target_len - at);
        if (lane->target[at] != LANE_NEEDS &&
            !has_text(executor->labels, executor->labels_n, lane->target + at, len))
            return false;
        at += len + 1;
    }
    return true;
}

/* What the lane's scripts ask of an interpreter. */
static bool has_interpreter(const executor_t *executor, const lane_t *lane)
{
    for (size_t i = 0; lane->needs && i < executor->interpreters_n; i++) {
        const char *name = executor->interpreters[i];
        if (requirement_met(lane->needs, name, name + strlen(name) + 1)) return true;
    }
    return lane->needs == NULL;
}

/* The source of a lane whose other texts are no labels. */
static bool has_source(const executor_t *executor, const lane_t *lane)
{
    return lane->source == NULL ||
           has_text(executor->labels, executor->labels_n, lane->source, strlen(lane->source));
}

bool executor_serves(core_t *core, const executor_t *executor, const lane_t *lane)
{
    (void)core;
    if (!has_no(executor->types, executor->types_n, lane->type)) return false;
    if (executor->queues_n && !has_no(executor->queues, executor->queues_n, lane->queue))
        return false;
    if (!has_interpreter(executor, lane) || !has_source(executor, lane)) return false;
    switch (lane->target_kind) {
    case TARGET_EXECUTOR:
        return strcmp(executor->name->name, lane->target) == 0;
    case TARGET_HOST:
        return (executor->host && strcmp(executor->host, lane->target) == 0) ||
               has_text(executor->addresses, executor->addresses_n, lane->target,
                        strlen(lane->target));
    case TARGET_LABELS:
        return has_labels(executor, lane);
    default:
        return true;
    }
}

/* ---- Hello ----------------------------------------------------------------------------------- */

static int compare_no(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static err_t take_names(core_t *core, enum name_kind kind, char *const *texts, size_t n,
                        uint32_t **nos)
{
    *nos = mem_new((n + 1) * sizeof **nos);
    for (size_t i = 0; i < n; i++) {
        named_t *name;
        TRY(name_make(core, kind, texts[i], &name));
        (*nos)[i] = name->no;
    }
    qsort(*nos, n, sizeof **nos, compare_no);
    return ERR_OK;
}

static char **take_texts(char *const *texts, size_t n)
{
    char **copy = mem_new((n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_text(texts[i]);
    return copy;
}

static err_t take_details(core_t *core, executor_t *executor, const Pawl__V1__Hello *hello)
{
    forget_details(executor);
    executor->host = mem_text(hello->host);
    executor->addresses = take_texts(hello->addresses, hello->n_addresses);
    executor->addresses_n = hello->n_addresses;
    executor->labels = mem_new((hello->n_labels + hello->n_sources + 1) * sizeof(char *));
    for (size_t i = 0; i < hello->n_labels; i++) {
        buf_t text = { 0 };
        buf_printf(&text, "%s=%s", hello->labels[i]->key, hello->labels[i]->value);
        executor->labels[executor->labels_n++] = (char *)text.at;
    }
    for (size_t i = 0; i < hello->n_sources; i++) {
        buf_t text = { 0 };
        buf_printf(&text, SOURCE_LABEL, hello->sources[i]);
        executor->labels[executor->labels_n++] = (char *)text.at;
    }
    executor->interpreters = mem_new((hello->n_interpreters + 1) * sizeof(char *));
    for (size_t i = 0; i < hello->n_interpreters; i++) {
        buf_t text = { 0 };
        buf_add(&text, hello->interpreters[i]->name, strlen(hello->interpreters[i]->name) + 1);
        buf_add(&text, hello->interpreters[i]->version,
                strlen(hello->interpreters[i]->version) + 1);
        executor->interpreters[executor->interpreters_n++] = (char *)text.at;
    }
    TRY(take_names(core, NAME_TYPE, hello->types, hello->n_types, &executor->types));
    executor->types_n = hello->n_types;
    TRY(take_names(core, NAME_QUEUE, hello->queues, hello->n_queues, &executor->queues));
    executor->queues_n = hello->n_queues;
    executor->slots = hello->slots;
    executor->credit = hello->credit;
    executor->lanes_stamp = 0;
    return ERR_OK;
}

/* The life that was to end has ended, or another has begun. */
static err_t end_forgotten(core_t *core, executor_t *executor)
{
    if (!(executor->name->flags & REG_ENDING)) return ERR_OK;
    executor->name->flags &= (uint8_t)~REG_ENDING;
    executor->name->value = 0;
    core->hosts_stamp++;
    return name_save(core, executor->name);
}

/* The connection is no longer this executor's; its leases run out from now. */
static void unbind(core_t *core, executor_t *executor)
{
    remember(core, executor);
    if (executor->conn) map_take(&core->executors_by_conn, executor->conn);
    executor->conn = 0;
    executor->suspect = false;
    executor->credit = 0;
    core->hosts_stamp++;
    executor->lost_at_us = executor->held ? core->now_us + core->config.lease_us : 0;
}

void executor_gone(core_t *core, conn_t conn)
{
    executor_t *executor = executor_of(core, conn);
    if (executor) unbind(core, executor);
}

static err_t join(core_t *core, const command_t *command, Pawl__V1__Welcome *welcome)
{
    const Pawl__V1__Hello *hello = command->request->hello;
    named_t *name;
    TRY(name_make(core, NAME_EXECUTOR, hello->name, &name));
    executor_t *executor = executor_for(core, name);
    executor_t *before = executor_of(core, command->conn);
    if (before && before != executor) unbind(core, before);
    if (executor->conn && executor->conn != command->conn) {
        out_add(core, OUT_DROP, executor->conn);
        unbind(core, executor);
    }
    remember(core, executor);
    TRY(take_details(core, executor, hello));
    bool fresh = memcmp(executor->incarnation, hello->incarnation.data, 16) != 0;
    memcpy(executor->incarnation, hello->incarnation.data, 16);
    executor->incarnation8 = be_u64(executor->incarnation);
    if (name->value != executor->incarnation8) TRY(end_forgotten(core, executor));
    executor->told_end_us = 0; /* the directive may have been lost with the session before */
    executor->conn = command->conn;
    executor->suspect = false;
    map_put(&core->executors_by_conn, command->conn, executor);
    executor->lost_at_us = 0;
    executor->assign_no = executor->assign_seen = 0;
    for (run_t *run = executor->runs; run; run = run->next) {
        run->assign_no = 0;
        run->claimed = false; /* by a list that the session before did not complete */
    }
    core->hosts_stamp++;
    if (fresh) TRY(journal_add(core, EVENT_EXECUTOR_JOINED, name->no, 0, 0));
    TRY(enrol_hello(core, executor));
    TRY(families_join(core, executor));
    welcome->n_verdicts = hello->n_claims;
    welcome->verdicts = batch_alloc(core, (hello->n_claims + 1) * sizeof *welcome->verdicts);
    TRY(executor_claims(core, executor, hello->claims, hello->n_claims, welcome->verdicts));
    executor->told_held_dirty = true;
    return hello->claims_follow ? ERR_OK : executor_settle(core, executor);
}

static char *const features[] = { (char *)(uintptr_t) "long-poll", (char *)(uintptr_t) "claims" };

static void tell_limits(const core_config_t *config, Pawl__V1__Limits *limits)
{
    pawl__v1__limits__init(limits);
    limits->message_bytes = LIMIT_MESSAGE;
    limits->input_bytes = LIMIT_INPUT;
    limits->output_bytes = config->output_max;
    limits->items = config->items_max;
    limits->requests_in_flight = config->requests_in_flight;
    limits->items_in_flight = config->items_in_flight;
    limits->bytes_in_flight = config->bytes_in_flight;
    limits->log_bytes = LIMIT_LOG_ATTEMPT;
    limits->log_head_bytes = LIMIT_LOG_HEAD;
}

err_t executor_hello(core_t *core, const command_t *command)
{
    const Pawl__V1__Hello *hello = command->request->hello;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Welcome welcome = PAWL__V1__WELCOME__INIT;
    Pawl__V1__Limits limits;
    Pawl__V1__Directive drain = PAWL__V1__DIRECTIVE__INIT, *directives[] = { &drain };
    uint8_t session[16];
    draw_random(core, session, sizeof session);
    reply.seq = command->request->seq;
    reply.body_case = PAWL__V1__REPLY__BODY_WELCOME;
    reply.welcome = &welcome;
    welcome.session.data = session;
    welcome.session.len = sizeof session;
    welcome.minor = WIRE_MINOR;
    welcome.features = (char **)(uintptr_t)features;
    welcome.n_features = ARRAY_LEN(features);
    tell_limits(&core->config, &limits);
    welcome.limits = &limits;
    welcome.lease_us = core->config.lease_us;
    welcome.suspect_us = core->config.suspect_us;
    welcome.ping_us = core->config.ping_us;
    welcome.wall_us = core->wall_us;
    welcome.principal = (char *)(uintptr_t)command->principal;
    welcome.store_id.data = core->fixed.store_id;
    welcome.store_id.len = sizeof core->fixed.store_id;
    welcome.software = (char *)(uintptr_t) "pawl " PAWL_VERSION;
    if (hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR) {
        TRY(join(core, command, &welcome));
        if (executor_of(core, command->conn)->name->flags & REG_DRAINED) {
            drain.kind = PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_DRAIN;
            reply.directives = directives;
            reply.n_directives = 1;
        }
    }
    out_reply(core, command->conn, OUT_WELCOME, &reply);
    memcpy(core->out->items[core->out->n - 1].id, session, sizeof session);
    return ERR_OK;
}

/* ---- the end of a session -------------------------------------------------------------------- */

err_t executor_lost(core_t *core, executor_t *executor)
{
    bool held = executor->runs != NULL;
    for (run_t *run = executor->runs, *next; run; run = next) {
        next = run->next;
        TRY(lease_lose(core, run));
    }
    unbind(core, executor);
    executor->lost_at_us = 0;
    memset(executor->incarnation, 0, sizeof executor->incarnation);
    TRY(end_forgotten(core, executor));
    TRY(enrol_seen(core, executor));
    return journal_add(core, held ? EVENT_EXECUTOR_LOST : EVENT_EXECUTOR_LEFT, executor->name->no,
                       0, 0);
}

err_t executor_bye(core_t *core, conn_t conn)
{
    executor_t *executor = executor_of(core, conn);
    if (executor == NULL) return ERR_OK;
    for (run_t *run = executor->runs, *next; run; run = next) {
        next = run->next;
        if (!(run->row.flags & RUN_LOST))
            TRY(lease_return(core, run, 0, REASON_RETURNED, "the executor left"));
    }
    unbind(core, executor);
    executor->lost_at_us = 0;
    memset(executor->incarnation, 0, sizeof executor->incarnation);
    TRY(end_forgotten(core, executor));
    TRY(enrol_seen(core, executor));
    return journal_add(core, EVENT_EXECUTOR_LEFT, executor->name->no, 0, 0);
}

err_t executor_undelivered(core_t *core, conn_t conn)
{
    executor_t *executor = executor_of(core, conn);
    if (executor == NULL) return ERR_OK;
    executor->credit = 0; /* nothing more until it says again what it has room for */
    for (run_t *run = executor->runs, *next; run; run = next) {
        int64_t alone_us;
        next = run->next;
        if (run->assign_no <= executor->assign_seen || (run->row.flags & RUN_LOST)) continue;
        /* An assign before the one that failed may have arrived and begun: what runs at most once
         * stays its own, and is sent again until it is seen or the session is lost. */
        TRY(lease_alone_us(core, run, &alone_us));
        if (alone_us == 0)
            TRY(lease_return(core, run, 0, REASON_RETURNED, "the assignment could not be sent"));
    }
    return ERR_OK;
}

void executor_suspect(core_t *core, conn_t conn, bool suspect)
{
    executor_t *executor = executor_of(core, conn);
    if (executor) executor->suspect = suspect;
}

/* SPDX-License-Identifier: Apache-2.0
 * executor.c - the executors that core knows: who they are, what they may take, what they hold.
 *
 * The session part lives in memory only: after a start everybody says Hello again, and until then
 * one full lease runs. What an executor holds is its run rows. Pushes are numbered within a session
 * and sent again until a request says they were seen; both running lists are compared after each
 * Hello and every 30 s, so an assign or a directive that got lost shows. */
#include "broker/core/inside.h"

#include <stdlib.h>

#include "schemas/requirement.h"

/* ---- the table ------------------------------------------------------------------------------- */

/* Each list has room for all. */
static void more_room(core_t *core)
{
    size_t room = core->executors_room ? 2 * core->executors_room : 16;
    core->executors = mem_grow(core->executors, room * sizeof(executor_t *));
    core->changed = mem_grow(core->changed, room * sizeof(executor_t *));
    core->asking = mem_grow(core->asking, room * sizeof(executor_t *));
    core->due = mem_grow(core->due, (room + 1) * sizeof(executor_t *));
    core->executors_room = room;
}

executor_t *executor_for(core_t *core, named_t *name)
{
    if (name->executor == NULL) {
        executor_t *executor = mem_new(sizeof *executor);
        executor->name = name;
        executor->no = name->no;
        executor->own_hash = lane_own_hash(name->name, strlen(name->name));
        name->executor = executor;
        if (core->executors_n == core->executors_room) more_room(core);
        core->executors[core->executors_n++] = executor;
    }
    return name->executor;
}

void executor_changed(core_t *core, executor_t *executor)
{
    if (!executor->changed) core->changed[core->changed_n++] = executor;
    if (!executor->asks) core->asking[core->asking_n++] = executor;
    executor->changed = executor->asks = true;
}

void executor_attach(core_t *core, executor_t *executor, run_t *run)
{
    run->executor = executor;
    run->prev = NULL;
    run->next = executor->runs;
    if (run->next) run->next->prev = run;
    executor->runs = run;
    executor->held++;
    executor->lost += (run->row.flags & RUN_LOST) != 0;
    if (run->row.flags & RUN_CANCELLING) executor_tell_again(executor, run);
    executor_changed(core, executor);
}

/* A lost one runs nowhere that is known: only its result is waited for. */
uint32_t executor_used(const executor_t *executor)
{
    return executor->held - executor->lost;
}

executor_t *executor_of(core_t *core, conn_t conn)
{
    return conn ? map_get(&core->executors_by_conn, conn) : NULL;
}

void texts_free(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

static void forget_details(core_t *core, executor_t *executor)
{
    free(executor->host);
    texts_free(executor->addresses, executor->addresses_n);
    crew_leave(core, &executor->crew);
    executor->host = NULL;
    executor->addresses = NULL;
    executor->addresses_n = 0;
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
    executor->addresses = NULL;
    executor->addresses_n = 0;
    executor->crew = NULL;
}

void executors_settled(core_t *core)
{
    for (size_t i = 0; i < core->undo_n; i++) {
        core->undo[i].executor->remembered = false;
        forget_details(core, &core->undo[i].before);
    }
    core->undo_n = 0;
}

void executors_undo(core_t *core)
{
    crews_forget_lines(core);
    for (size_t i = 0; i < core->undo_n; i++) {
        executor_t *executor = core->undo[i].executor;
        if (executor->conn) map_take(&core->executors_by_conn, executor->conn);
        executor->conn = 0;
    }
    for (size_t i = 0; i < core->undo_n; i++) {
        executor_t *executor = core->undo[i].executor, *before = &core->undo[i].before;
        forget_details(core, executor);
        before->pending = executor->pending; /* grown meanwhile, perhaps */
        before->pending_room = executor->pending_room;
        *executor = *before; /* its places in lists are forgotten with its runs */
        if (executor->conn) map_put(&core->executors_by_conn, executor->conn, executor);
    }
    core->undo_n = 0;
}

/* Sessions stay when memory is rebuilt: only what was read from the store goes. What was sent and
 * not seen is no longer known, so the running lists are compared soon. */
void executors_forget_runs(core_t *core)
{
    crews_forget_lines(core);
    executors_unwind(core);
    core->changed_n = core->asking_n = 0;
    core->ask_all = true;
    for (size_t i = 0; i < core->executors_n; i++) {
        executor_t *executor = core->executors[i];
        executor->runs = NULL;
        executor->held = executor->lost = executor->cancelling = 0;
        executor->pending_n = 0;
        executor->compare_at_us = 0;
        executor->changed = executor->asks = false;
    }
}

static void executor_free(core_t *core, executor_t *executor)
{
    forget_details(core, executor);
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
            executor_changed(core, executor);
        } else {
            if (executor->conn) map_take(&core->executors_by_conn, executor->conn);
            executor_free(core, executor);
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
        executor_free(core, core->executors[i]);
    free(core->executors);
    free(core->changed);
    free(core->asking);
    free(core->due);
    core->executors = core->changed = core->asking = core->due = NULL;
    core->executors_n = core->executors_room = 0;
    core->changed_n = core->asking_n = core->due_n = 0;
    crews_free(core);
    map_free(&core->executors_by_conn);
}

/* ---- what it may take ------------------------------------------------------------------------ */

bool executor_has_host(const executor_t *executor, const char *host)
{
    if (executor->host && strcmp(executor->host, host) == 0) return true;
    for (size_t i = 0; i < executor->addresses_n; i++)
        if (strcmp(executor->addresses[i], host) == 0) return true;
    return false;
}

bool executor_serves(const executor_t *executor, const lane_t *lane)
{
    if (executor->crew == NULL || !crew_serves(executor->crew, lane)) return false;
    if (lane->target_kind == TARGET_EXECUTOR)
        return strcmp(executor->name->name, lane->target) == 0;
    return lane->target_kind != TARGET_HOST || executor_has_host(executor, lane->target);
}

/* ---- Hello ----------------------------------------------------------------------------------- */

static char **take_texts(char *const *texts, size_t n)
{
    char **copy = mem_new((n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_text(texts[i]);
    return copy;
}

static err_t take_details(core_t *core, executor_t *executor, const Pawl__V1__Hello *hello)
{
    forget_details(core, executor);
    executor->host = mem_text(hello->host);
    executor->addresses = take_texts(hello->addresses, hello->n_addresses);
    executor->addresses_n = hello->n_addresses;
    executor->slots = hello->slots;
    executor->credit = hello->credit;
    return crew_join(core, hello, &executor->crew);
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
    executor_changed(core, executor);
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
    executor_changed(core, executor);
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
    executor_changed(core, executor);
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
    if (executor == NULL || executor->suspect == suspect) return;
    executor->suspect = suspect;
    executor_changed(core, executor);
}

void executor_heard(core_t *core, executor_t *executor, uint64_t assign_seen)
{
    uint64_t seen = assign_seen < executor->assign_no ? assign_seen : executor->assign_no;
    if (!executor->suspect && seen <= executor->assign_seen) return;
    executor->suspect = false; /* it lives */
    if (seen > executor->assign_seen) executor->assign_seen = seen;
    executor_changed(core, executor);
}

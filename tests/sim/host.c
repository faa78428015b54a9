/* SPDX-License-Identifier: Apache-2.0
 * The broker's process: the product's session table, wire code and core on a store with faults.
 *
 * Stands in for the front: frames come in, a batch is stepped, and what it puts out leaves when its
 * commit has taken its time - unless the process dies in between. Only outputs of a step that
 * returned ERR_OK, or was cleanly refused, ever leave. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/check/check.h"
#include "client/time/zone.h"
#include "tests/sim/judge.h"

enum { REHEARSE_EVERY = 8 /* audits */ };

typedef struct item {
    conn_t conn;
    uint64_t seq;
    uint32_t items;
    size_t bytes;
    bool counted, hello, bye, answer;
} item_t;

typedef struct release { /* what waits for its commit */
    struct release *next;
    outputs_t out;
    command_t *commands;
    item_t *items;
    size_t n;
    bool refused;
} release_t;

struct host {
    store_t *store;
    core_t *core;
    sessions_t *sessions;
    uint64_t life;
    bool up, stepping;
    int64_t stalled_until_us, ticked_us;
    wire_arena_t arena; /* of the open batch */
    command_t *commands;
    item_t *items;
    size_t n, room;
    bool newer_zone, no_zone;
    bool edits; /* the open batch changes a schedule */
    command_t *again;
    size_t again_n;
    outputs_t out;
    release_t *first, **last;
    int64_t due_us;                    /* the timer that is posted */
    uint64_t commits, audits, written; /* written: bytes of rows since the last audit */
    memstore_commit_t how;             /* of the last commit */
    char folder[64];
};

static buf_t zone_utc, zone_paris, zone_berlin; /* the two have the same rules since 1996 */

bool host_is_up(const sim_t *sim)
{
    return sim->host && sim->host->up;
}

uint64_t host_commits(const sim_t *sim)
{
    return sim->host->commits;
}

static moment_t moment(const sim_t *sim)
{
    return (moment_t){ sim->now_us, sim_wall_us(sim) };
}

/* ---- the store's faults ---------------------------------------------------------------------- */

static memstore_commit_t on_commit(void *arg, uint64_t number)
{
    sim_t *sim = arg;
    (void)number;
    memstore_commit_t how = MEMSTORE_COMMIT_OK;
    /* a full disk stays full for a while: core tries three times */
    if (sim_chance(sim,
                   sim->host->how == MEMSTORE_COMMIT_REFUSED ? 700 : sim->swarm.commit_refused))
        how = MEMSTORE_COMMIT_REFUSED;
    else if (sim_chance(sim, sim->swarm.commit_unknown))
        how = sim_coin(sim, 50) ? MEMSTORE_COMMIT_APPLIED_UNKNOWN : MEMSTORE_COMMIT_LOST_UNKNOWN;
    return sim->host->how = how;
}

static bool on_put(void *arg, table_t table)
{
    sim_t *sim = arg;
    (void)table;
    return !sim->quiet && sim_below(sim, 100000) < sim->swarm.put_full;
}

static void open_store(sim_t *sim)
{
    host_t *host = sim->host;
    if (sim->swarm.lmdb) {
        int64_t holder;
        CHECK(store_open(&host->store, host->folder, UINT64_C(256) << 20, 0, &holder) == ERR_OK);
    } else if (host->store == NULL) {
        host->store = memstore_new();
        memstore_fault_t *faults = memstore_faults(host->store);
        faults->on_commit = on_commit;
        if (sim->swarm.put_full) faults->on_put = on_put;
        faults->arg = sim;
        if (sim->swarm.map_bytes) faults->map_bytes = sim->swarm.map_bytes;
    }
    host->store->keep_write_set = host->store->hash_writes = true;
}

/* ---- life and death -------------------------------------------------------------------------- */

static void drop_release(release_t *release)
{
    outputs_free(&release->out);
    free(release->commands);
    free(release->items);
    free(release);
}

static void die(sim_t *sim, const char *why)
{
    host_t *host = sim->host;
    sim_say(sim, "broker dies: %s", why);
    if (host->how == MEMSTORE_COMMIT_APPLIED_UNKNOWN) sim_met(MET_COMMIT_APPLIED);
    if (host->how == MEMSTORE_COMMIT_LOST_UNKNOWN) sim_met(MET_COMMIT_LOST);
    core_close(&host->core);
    sessions_destroy(&host->sessions);
    while (host->first) {
        release_t *release = host->first;
        host->first = release->next;
        drop_release(release);
    }
    host->last = &host->first;
    if (sim->swarm.lmdb)
        store_close(&host->store);
    else
        memstore_crash(host->store);
    host->up = host->stepping = false;
    host->life++;
    host->n = host->again_n = 0;
    links_break_all(sim);
    int64_t away = sim_coin(sim, 70) ? sim_between(sim, 10000, 2 * SEC_US)
                                     : sim_between(sim, SEC_US, 3 * sim->swarm.lease_us);
    sim_post(sim, EV_START, sim->now_us + away, 0, host->life, NULL, 0);
}

static void post_due(sim_t *sim)
{
    host_t *host = sim->host;
    int64_t due = core_next_due_us(host->core);
    if (due == INT64_MAX || (host->due_us > sim->now_us && host->due_us <= due)) return;
    /* what is due at once waits for the batch before, now and then */
    int64_t soonest = sim->now_us + 1 + (host->commits % 2 ? sim->swarm.commit_us : 0);
    host->due_us = due > soonest ? due : soonest;
    sim_post(sim, EV_STEP, host->due_us, 0, host->life, NULL, 0);
}

static void start(sim_t *sim)
{
    host_t *host = sim->host;
    core_config_t config;
    sessions_config_t sessions;
    uint8_t random[32];
    open_store(sim);
    core_config_default(&config);
    config.lease_us = sim->swarm.lease_us;
    config.suspect_us = sim->swarm.lease_us / 2;
    config.ping_us = sim->swarm.lease_us / 6;
    config.output_max = 4096; /* maps are small here, and so are results */
    if (sim->swarm.children_at_once) config.children_at_once = sim->swarm.children_at_once;
    if (sim->swarm.short_history)
        config.keep_finished_us = config.keep_failed_us = SHORT_HISTORY_US;
    sim_bytes(sim, random, sizeof random);
    err_t err = core_open(&host->core, host->store, &config, sim_wall_us(sim), sim->now_us, random);
    bool applied =
        err == ERR_OK || (err == ERR_STORE_IO && host->how == MEMSTORE_COMMIT_APPLIED_UNKNOWN);
    if (applied) judge_committed(sim, host->store, NULL, NULL);
    if (err != ERR_OK) {
        if (err != ERR_STORE_IO && !core_refused(err))
            sim_fail(sim, "the broker does not start: %s", err_name(err));
        die(sim, "its start failed");
        return;
    }
    sessions_config_default(&sessions);
    sessions.lease_us = config.lease_us;
    sessions.suspect_us = config.suspect_us;
    sessions.keep_ended_us = 4 * config.lease_us;
    if (sim->swarm.tiny_limits) {
        sessions.requests_max = 3;
        sessions.items_max = 12;
        sessions.ended_max = 2;
    }
    host->sessions = sessions_new(&sessions);
    host->up = true;
    host->due_us = 0;
    host->ticked_us = sim->now_us;
    sessions_ran(host->sessions, sim->now_us);
    sim_post(sim, EV_BROKER_TICK, sim->now_us + 500000, 0, host->life, NULL, 0);
    post_due(sim);
}

void host_start(sim_t *sim)
{
    if (zone_utc.len == 0) {
        CHECK(zone_read_file("UTC", NULL, &zone_utc) == ERR_OK);
        CHECK(zone_read_file("Europe/Paris", NULL, &zone_paris) == ERR_OK);
        CHECK(zone_read_file("Europe/Berlin", NULL, &zone_berlin) == ERR_OK);
    }
    host_t *host = sim->host = mem_new(sizeof *host);
    wire_arena_init(&host->arena);
    host->last = &host->first;
    if (sim->swarm.lmdb) sim_met(MET_LMDB);
    if (sim->swarm.lmdb)
        snprintf(host->folder, sizeof host->folder, "/dev/shm/pawl-sim-%ld", (long)getpid());
    start(sim);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = { "data.mdb", "lock.mdb", "data.mdb-lock", "lock.pawl",
                                         "new.mdb" };
    char path[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

void host_free(sim_t *sim)
{
    host_t *host = sim->host;
    core_close(&host->core);
    sessions_destroy(&host->sessions);
    while (host->first) {
        release_t *release = host->first;
        host->first = release->next;
        drop_release(release);
    }
    if (host->store) store_close(&host->store);
    if (sim->swarm.lmdb) remove_folder(host->folder);
    wire_arena_free(&host->arena);
    outputs_free(&host->out);
    free(host->commands);
    free(host->items);
    free(host->again);
    free(host);
    sim->host = NULL;
}

void host_heal(sim_t *sim)
{
    if (!sim->swarm.lmdb && sim->host->store)
        memstore_faults(sim->host->store)->map_bytes = UINT64_C(64) << 30;
    sim->host->stalled_until_us = 0;
}

/* ---- out ------------------------------------------------------------------------------------- */

static command_t *add(sim_t *sim, command_kind_t kind, item_t item)
{
    host_t *host = sim->host;
    if (host->n == host->room) {
        host->room = host->room ? host->room * 2 : 64;
        host->commands = mem_grow(host->commands, host->room * sizeof *host->commands);
        host->items = mem_grow(host->items, host->room * sizeof *host->items);
    }
    host->items[host->n] = item;
    command_t *command = &host->commands[host->n++];
    *command = (command_t){ .kind = kind, .conn = item.conn };
    if (!host->stepping) {
        host->stepping = true;
        sim_post(sim, EV_STEP, sim->now_us + (int64_t)sim_below(sim, 3000), 0, host->life, NULL, 0);
    }
    return command;
}

static void answer(sim_t *sim, uint64_t route, uint64_t seq, Pawl__V1__Reply *reply)
{
    buf_t bytes = { 0 };
    reply->seq = seq;
    wire_reply_pack(reply, buf_room, &bytes);
    link_down(sim, route, bytes.at, bytes.len);
    buf_free(&bytes);
}

static void refuse_frame(sim_t *sim, uint64_t route, uint64_t seq, err_t err)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    error.code = (uint32_t)err;
    error.text = (char *)(uintptr_t)err_text(err);
    reply.error = &error;
    answer(sim, route, seq, &reply);
}

static void send_output(sim_t *sim, const outputs_t *out, const output_t *one)
{
    host_t *host = sim->host;
    session_t *session = sessions_by_conn(host->sessions, one->conn);
    if (session == NULL) return;
    if (one->kind == OUT_WELCOME &&
        !sessions_activate(host->sessions, one->conn, one->id, moment(sim)))
        return;
    if (!session_live(session) && one->kind != OUT_REPLY) return;
    const uint8_t *bytes = out->bytes.at + one->at;
    sim_hash(sim, bytes, one->len);
    if (link_down(sim, session->route, bytes, one->len)) return;
    if (one->kind == OUT_PUSH && one->flag && sim_coin(sim, 70))
        add(sim, CMD_UNDELIVERED, (item_t){ .conn = one->conn });
}

static void keep_for_later(sim_t *sim, const release_t *release)
{
    host_t *host = sim->host;
    host->again = mem_grow(host->again, (host->again_n + release->n + 1) * sizeof *host->again);
    for (size_t i = 0; i < release->n; i++) {
        command_t command = release->commands[i];
        if (command.kind == CMD_REQUEST && release->items[i].bye)
            command = (command_t){ .kind = CMD_LOST, .conn = command.conn };
        if (command.kind == CMD_LOST || command.kind == CMD_GONE ||
            command.kind == CMD_UNDELIVERED || command.kind == CMD_SUSPECT)
            host->again[host->again_n++] = command;
    }
}

static void settle_items(sim_t *sim, const release_t *release)
{
    host_t *host = sim->host;
    for (size_t i = 0; i < release->n; i++) {
        const item_t *item = &release->items[i];
        if (item->counted) sessions_done(host->sessions, item->conn, item->items, item->bytes);
        session_t *session =
            item->hello || item->bye ? sessions_by_conn(host->sessions, item->conn) : NULL;
        if (session == NULL) continue;
        if (item->answer && !(release->refused && release->commands[i].kind == CMD_REQUEST)) {
            Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
            answer(sim, session->route, item->seq, &reply);
        }
        if (item->bye || session->state == SESSION_CONNECTING)
            sessions_end(host->sessions, item->conn, SESSION_GONE, moment(sim));
    }
}

static void release(sim_t *sim)
{
    host_t *host = sim->host;
    release_t *one = host->first;
    if (one == NULL) return;
    host->first = one->next;
    if (host->first == NULL) host->last = &host->first;
    for (size_t i = 0; i < one->out.n; i++) {
        const output_t *out = &one->out.items[i];
        if (out->kind == OUT_REPLY || out->kind == OUT_PUSH || out->kind == OUT_WELCOME)
            send_output(sim, &one->out, out);
        else if (out->kind == OUT_DROP)
            sessions_end(host->sessions, out->conn, SESSION_GONE, moment(sim));
    }
    if (one->refused) keep_for_later(sim, one);
    settle_items(sim, one);
    drop_release(one);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Who was lost, and has not come back meanwhile. */
static void judge_lost(sim_t *sim, const batch_t *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->commands[i].kind != CMD_LOST) continue;
        session_t *lost = sessions_by_conn(sim->host->sessions, batch->commands[i].conn),
                  *next = lost;
        while (next && (next = sessions_next(sim->host->sessions, next->conn)) != NULL)
            if (strcmp(next->hello->name, lost->hello->name) == 0) break;
        sim_met(MET_LOST);
        if (lost && next == NULL) judge_released(sim, lost->hello->name);
    }
}

/* An audit reads all there is. When faults are over little is new from one to the next, and a world
 * that goes on for months is large: then once a part of it is new. */
static bool is_audited(sim_t *sim)
{
    enum { OF_COMMITS = 16, OF_CALM_COMMITS = 128, PART = 4 };
    store_usage_t usage;
    if (sim_random(sim) % (sim->quiet ? OF_CALM_COMMITS : OF_COMMITS) != 0) return false;
    store_usage(sim->host->store, &usage);
    return !sim->quiet || sim->host->written >= usage.used_bytes / PART;
}

static bool step(sim_t *sim)
{
    host_t *host = sim->host;
    batch_t batch = { .wall_us = sim_wall_us(sim),
                      .steady_us = sim->now_us,
                      .commands = host->commands,
                      .n = host->n };
    sim_bytes(sim, batch.random, sizeof batch.random);
    host->stepping = host->edits = false;
    host->how = MEMSTORE_COMMIT_OK;
    judge_before(sim, &batch);
    if (sim_chance(sim, sim->swarm.crash / 2)) {
        sim_met(MET_CRASH_BEFORE);
        die(sim, "before its commit");
        return false;
    }
    host->store->write_set.len = 0; /* a step that finds nothing to do begins no transaction */
    err_t err = core_step(host->core, &batch, &host->out);
    host->commits++;
    bool applied =
        err == ERR_OK || (err == ERR_STORE_IO && host->how == MEMSTORE_COMMIT_APPLIED_UNKNOWN);
    if (applied) {
        sim_hash(sim, &host->store->write_hash, sizeof host->store->write_hash);
        judge_committed(sim, host->store, &batch, &host->out);
    }
    if (err == ERR_OK) judge_lost(sim, &batch);
    if (err != ERR_OK && !core_refused(err)) {
        if (err != ERR_STORE_IO)
            sim_fail(sim, "core_step returned %s: the store contradicts itself", err_name(err));
        die(sim, "the outcome of a commit is unknown");
        return false;
    }
    if (err != ERR_OK) sim_met(MET_COMMIT_REFUSED);
    if (err != ERR_OK) sim_say(sim, "batch of %zu refused: %s", host->n, err_name(err));
    release_t *one = mem_new(sizeof *one);
    one->out = host->out;
    host->out = (outputs_t){ 0 };
    one->n = host->n;
    one->commands = mem_copy(host->commands, host->n * sizeof *host->commands);
    one->items = mem_copy(host->items, host->n * sizeof *host->items);
    one->refused = err != ERR_OK;
    host->n = 0;
    wire_arena_reset(&host->arena);
    *host->last = one;
    host->last = &one->next;
    if (sim_chance(sim, sim->swarm.crash / 2)) {
        sim_met(MET_CRASH_AFTER);
        die(sim, "between commit and answers");
        return false;
    }
    int64_t took = 50 + (int64_t)sim_below(sim, (uint64_t)sim->swarm.commit_us);
    sim_post(sim, EV_RELEASE, sim->now_us + took, 0, host->life, NULL, 0);
    host->written += host->store->write_set.len;
    if (err == ERR_OK && is_audited(sim)) host_audit(sim);
    post_due(sim);
    return true;
}

void host_audit(sim_t *sim)
{
    host_t *host = sim->host;
    char difference[300] = "";
    if (!host->up || sim->failed) return;
    host->written = 0;
    err_t err = core_verify(host->core, difference, sizeof difference);
    if (err != ERR_OK && err != ERR_STORE_IO)
        sim_fail(sim, "core_verify: %s", err_name(err));
    else if (difference[0])
        sim_fail(sim, "core's memory is not the store: %s", difference);
    size_t problems = 0;
    if (host->audits++ % 4 == 0) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        CHECK(out != NULL);
        err = check_store(host->store, out, &problems);
        fclose(out);
        if (err != ERR_OK || problems)
            sim_fail(sim, "the store is not whole (%s): %.300s", err_name(err), text ? text : "");
        free(text);
    }
    judge_counts(sim, host->core);
    if (host->audits % REHEARSE_EVERY == 0 && !sim->failed)
        outage_rehearse(sim, host->store, host->audits);
}

/* ---- in -------------------------------------------------------------------------------------- */

static uint32_t items_of(const Pawl__V1__Request *request)
{
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_SUBMIT:
        return (uint32_t)request->submit->n_tasks;
    case PAWL__V1__REQUEST__BODY_REPORT:
        return (uint32_t)(request->report->n_results + request->report->n_progress +
                          request->report->n_running);
    default:
        return 1;
    }
}

static void on_hello(sim_t *sim, uint64_t route, const Pawl__V1__Request *request)
{
    host_t *host = sim->host;
    conn_t conn, replaced;
    err_t err = sessions_hello(host->sessions, route, request->hello, "uid:1000", "", request->seq,
                               moment(sim), &conn, &replaced);
    if (err != ERR_OK) {
        refuse_frame(sim, route, request->seq, err);
        return;
    }
    if (replaced) add(sim, CMD_GONE, (item_t){ .conn = replaced });
    command_t *command =
        add(sim, CMD_REQUEST, (item_t){ .conn = conn, .seq = request->seq, .hello = true });
    command->request = request;
    command->principal = "uid:1000";
}

/* A batch that edits a schedule edits only that one, once: the judge can then tell which instants
 * belong to which revision. */
static bool seal_for_edit(sim_t *sim, const Pawl__V1__Request *request)
{
    if (request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_PUT &&
        request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE &&
        request->body_case != PAWL__V1__REQUEST__BODY_CALENDAR_PUT)
        return false;
    return sim->host->edits;
}

/* The file of Paris is replaced now and then by another one that says the same. */
static void tell_zone(sim_t *sim)
{
    const buf_t *bytes = sim->host->newer_zone ? &zone_berlin : &zone_paris;
    command_t *command = add(sim, CMD_ZONE, (item_t){ 0 });
    command->name = "Europe/Paris";
    command->bytes = sim->host->no_zone ? slice(NULL, 0) : slice(bytes->at, bytes->len);
}

static void add_zones(sim_t *sim, const Pawl__V1__Request *request)
{
    if (request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_PUT) return;
    const char *name = request->schedule_put->schedule->zone;
    bool paris = strcmp(name, "Europe/Paris") == 0;
    if (paris) {
        tell_zone(sim);
        return;
    }
    command_t *command = add(sim, CMD_ZONE, (item_t){ 0 });
    command->name = "UTC";
    command->bytes = slice(zone_utc.at, zone_utc.len);
}

static void on_request(sim_t *sim, uint64_t route, const Pawl__V1__Request *request, size_t len)
{
    host_t *host = sim->host;
    session_t *session;
    const char *limit;
    uint32_t items = items_of(request);
    err_t err =
        sessions_take(host->sessions, route, slice(request->session.data, request->session.len),
                      request->seq, items, len, moment(sim), &session, &limit);
    if (err == ERR_EMPTY) return;
    if (err != ERR_OK) {
        refuse_frame(sim, route, request->seq, err);
        return;
    }
    bool executor = session->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR;
    bool news = executor && request->assign_seen > session->assign_seen;
    if (request->body_case == PAWL__V1__REQUEST__BODY_PING && !news) {
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__Pong pong = PAWL__V1__PONG__INIT;
        reply.body_case = PAWL__V1__REPLY__BODY_PONG;
        reply.pong = &pong;
        answer(sim, route, request->seq, &reply);
        sessions_done(host->sessions, session->conn, items, len);
        return;
    }
    if (news) session->assign_seen = request->assign_seen;
    item_t item = {
        .conn = session->conn, .seq = request->seq, .items = items, .bytes = len, .counted = true
    };
    item.bye = item.answer = request->body_case == PAWL__V1__REQUEST__BODY_BYE;
    if (item.bye && !executor) {
        add(sim, CMD_GONE, item);
        return;
    }
    add_zones(sim, request);
    command_t *command = add(sim, CMD_REQUEST, item);
    command->request = request;
    command->principal = session->principal;
    host->edits |= request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_PUT ||
                   request->body_case == PAWL__V1__REQUEST__BODY_CALENDAR_PUT ||
                   request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
}

static void on_frame(sim_t *sim, const event_t *event)
{
    host_t *host = sim->host;
    const Pawl__V1__Request *request;
    wire_fault_t fault;
    err_t err = wire_request_decode(&host->arena, event->bytes, event->len, &request, &fault);
    if (err != ERR_OK) {
        uint64_t seq;
        const uint8_t *id;
        if (wire_request_peek(event->bytes, event->len, &seq, &id) && id)
            sessions_renew(host->sessions, event->life, slice(id, 16), moment(sim));
        if (fault.seq) refuse_frame(sim, event->life, fault.seq, fault.err);
        return;
    }
    if (seal_for_edit(sim, request)) {
        if (!step(sim)) return;
        err = wire_request_decode(&host->arena, event->bytes, event->len, &request, &fault);
        CHECK(err == ERR_OK);
    }
    if (request->body_case == PAWL__V1__REQUEST__BODY_HELLO)
        on_hello(sim, event->life, request);
    else
        on_request(sim, event->life, request, event->len);
}

static void tick(sim_t *sim)
{
    host_t *host = sim->host;
    session_ending_t endings[16];
    suspicion_t changes[16];
    size_t n;
    for (size_t i = 0; i < host->again_n; i++)
        *add(sim, host->again[i].kind, (item_t){ .conn = host->again[i].conn }) = host->again[i];
    host->again_n = 0;
    do {
        n = sessions_expire(host->sessions, sim->now_us, moment(sim), endings, ARRAY_LEN(endings));
        for (size_t i = 0; i < n; i++) {
            bool lost = endings[i].state == SESSION_LOST;
            add(sim, lost ? CMD_LOST : CMD_GONE, (item_t){ .conn = endings[i].conn })->silent_us =
                endings[i].silent_us;
            if (lost) sim_say(sim, "conn %llu is lost", (unsigned long long)endings[i].conn);
        }
    } while (n == ARRAY_LEN(endings));
    do {
        n = sessions_suspects(host->sessions, changes, ARRAY_LEN(changes));
        for (size_t i = 0; i < n; i++)
            add(sim, CMD_SUSPECT, (item_t){ .conn = changes[i].conn })->flag = changes[i].suspect;
    } while (n == ARRAY_LEN(changes));
    if (sim_coin(sim, sim->swarm.purge)) {
        size_t count;
        uint64_t *ns = wire_arena_take(&host->arena, 32 * sizeof *ns);
        CHECK(ns != NULL);
        if ((count = judge_old_ones(sim, ns, 32)) > 0) {
            command_t *command = add(sim, CMD_PURGE, (item_t){ 0 });
            command->ns = ns;
            command->n = count;
        }
    }
    if (sim_chance(sim, sim->swarm.wall_step)) {
        int64_t jump = sim_between(sim, SEC_US, sim->swarm.wall_most_us);
        sim_met(MET_WALL_STEP);
        if (sim_coin(sim, 40)) jump = -jump;
        sim->wall_shift_us += jump;
        sim_say(sim, "the calendar clock jumps by %lld s", (long long)(jump / SEC_US));
    }
    if (sim_chance(sim, sim->swarm.rezone)) {
        host->newer_zone = !host->newer_zone;
        host->no_zone = sim_coin(sim, 30);
        if (host->no_zone) sim_met(MET_ZONELESS);
        tell_zone(sim);
    }
    if (sim->quiet && host->no_zone) {
        host->no_zone = false;
        tell_zone(sim);
    }
    if (sim_chance(sim, sim->swarm.stall)) {
        host->stalled_until_us = sim->now_us + sim_between(sim, SEC_US, 2 * sim->swarm.lease_us);
        sim_met(MET_STALL);
        sim_say(sim, "the broker stands still");
    }
    sim_post(sim, EV_BROKER_TICK, sim->now_us + 400000, 0, host->life, NULL, 0);
}

void host_event(sim_t *sim, const event_t *event)
{
    host_t *host = sim->host;
    if (event->kind == EV_TO_BROKER) {
        if (!host->up || sim->peers[event->peer].route != event->life) return;
    } else if (event->life != host->life) {
        return;
    }
    if (host->stalled_until_us > sim->now_us) {
        sim_post(sim, event->kind, host->stalled_until_us, event->peer, event->life, event->bytes,
                 event->len);
        return;
    }
    if (event->kind == EV_START) {
        start(sim);
        return;
    }
    sessions_ran(host->sessions, sim->now_us);
    if (event->kind == EV_TO_BROKER)
        on_frame(sim, event);
    else if (event->kind == EV_RELEASE)
        release(sim);
    else if (event->kind == EV_BROKER_TICK)
        tick(sim);
    else if (host->n > 0 || core_next_due_us(host->core) <= sim->now_us)
        step(sim);
    else {
        host->stepping = false;
        post_due(sim);
    }
}

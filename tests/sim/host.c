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
#include "tests/sim/host_inside.h"
#include "tests/sim/judge.h"

enum { REHEARSE_EVERY = 8 /* audits */ };

bool host_is_up(const sim_t *sim)
{
    return sim->host && sim->host->up;
}

uint64_t host_commits(const sim_t *sim)
{
    return sim->host->commits;
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

static void die(sim_t *sim, const char *why)
{
    host_t *host = sim->host;
    sim_say(sim, "broker dies: %s", why);
    if (host->how == MEMSTORE_COMMIT_APPLIED_UNKNOWN) sim_met(MET_COMMIT_APPLIED);
    if (host->how == MEMSTORE_COMMIT_LOST_UNKNOWN) sim_met(MET_COMMIT_LOST);
    core_close(&host->core);
    sessions_destroy(&host->sessions);
    host_drop_releases(host);
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
    host_load_zones();
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
    host_drop_releases(host);
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

/* Core's memory against the store. */
static void verify(sim_t *sim)
{
    char difference[300] = "";
    err_t err = core_verify(sim->host->core, difference, sizeof difference);
    if (err != ERR_OK && err != ERR_STORE_IO)
        sim_fail(sim, "core_verify: %s", err_name(err));
    else if (difference[0])
        sim_fail(sim, "core's memory is not the store: %s", difference);
}

/* An audit reads all there is. When faults are over little is new from one to the next, and a world
 * that goes on for months is large: then only memory is looked at until a part of the store is new.
 */
static void look_after(sim_t *sim)
{
    enum { OF_COMMITS = 16, OF_CALM_COMMITS = 128, PART = 4 };
    store_usage_t usage;
    if (sim_random(sim) % (sim->quiet ? OF_CALM_COMMITS : OF_COMMITS) != 0) return;
    store_usage(sim->host->store, &usage);
    if (sim->quiet && sim->host->written < usage.used_bytes / PART)
        verify(sim);
    else
        host_audit(sim);
}

bool host_step(sim_t *sim)
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
    if (err == ERR_OK) look_after(sim);
    post_due(sim);
    return true;
}

void host_audit(sim_t *sim)
{
    host_t *host = sim->host;
    if (!host->up || sim->failed) return;
    host->written = 0;
    verify(sim);
    size_t problems = 0;
    if (host->audits++ % 4 == 0) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        CHECK(out != NULL);
        err_t err = check_store(host->store, out, &problems);
        fclose(out);
        if (err != ERR_OK || problems)
            sim_fail(sim, "the store is not whole (%s): %.300s", err_name(err), text ? text : "");
        free(text);
    }
    judge_counts(sim, host->core);
    if (host->audits % REHEARSE_EVERY == 0 && !sim->failed)
        outage_rehearse(sim, host->store, host->audits);
}

/* ---- its day -------------------------------------------------------------------------------- */

static void tick(sim_t *sim)
{
    host_t *host = sim->host;
    session_ending_t endings[16];
    suspicion_t changes[16];
    size_t n;
    for (size_t i = 0; i < host->again_n; i++)
        *host_add(sim, host->again[i].kind, (item_t){ .conn = host->again[i].conn }) =
            host->again[i];
    host->again_n = 0;
    do {
        n = sessions_expire(host->sessions, sim->now_us, host_moment(sim), endings,
                            ARRAY_LEN(endings));
        for (size_t i = 0; i < n; i++) {
            bool lost = endings[i].state == SESSION_LOST;
            host_add(sim, lost ? CMD_LOST : CMD_GONE, (item_t){ .conn = endings[i].conn })
                ->silent_us = endings[i].silent_us;
            if (lost) sim_say(sim, "conn %llu is lost", (unsigned long long)endings[i].conn);
        }
    } while (n == ARRAY_LEN(endings));
    do {
        n = sessions_suspects(host->sessions, changes, ARRAY_LEN(changes));
        for (size_t i = 0; i < n; i++)
            host_add(sim, CMD_SUSPECT, (item_t){ .conn = changes[i].conn })->flag =
                changes[i].suspect;
    } while (n == ARRAY_LEN(changes));
    if (sim_coin(sim, sim->swarm.purge)) {
        size_t count;
        uint64_t *ns = wire_arena_take(&host->arena, 32 * sizeof *ns);
        CHECK(ns != NULL);
        if ((count = judge_old_ones(sim, ns, 32)) > 0) {
            command_t *command = host_add(sim, CMD_PURGE, (item_t){ 0 });
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
        host_tell_zone(sim);
    }
    if (sim->quiet && host->no_zone) {
        host->no_zone = false;
        host_tell_zone(sim);
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
        host_frame(sim, event);
    else if (event->kind == EV_RELEASE)
        host_release(sim);
    else if (event->kind == EV_BROKER_TICK)
        tick(sim);
    else if (host->n > 0 || core_next_due_us(host->core) <= sim->now_us)
        host_step(sim);
    else {
        host->stepping = false;
        post_due(sim);
    }
}

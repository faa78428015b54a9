/* SPDX-License-Identifier: Apache-2.0
 * sim: seeds in, promises judged. The last line of a good run is `sim: N seeds, M events, hash H,
 * ok`; of a bad one the seed, what is wrong, and how to see it again. Exit code 0, 1, or 2 (usage).
 *
 *   sim [--seed N] [--seeds COUNT] [--events N] [--verbose] [--each] [--all] */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/judge.h"
#include "tests/sim/shrink.h"

enum { MET_SEEDS = 500, EVENTS = 3000, AGAIN_EVERY = 100, LMDB_EVERY = 100, REST_EVENTS = 400000 };
#define REST_US (INT64_C(4) * 3600 * SEC_US)

/* ---- chance ---------------------------------------------------------------------------------- */

uint64_t sim_random(sim_t *sim)
{
    uint64_t z = (sim->random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t sim_below(sim_t *sim, uint64_t n)
{
    return n ? sim_random(sim) % n : 0;
}

int64_t sim_between(sim_t *sim, int64_t low, int64_t high)
{
    return low + (int64_t)sim_below(sim, (uint64_t)(high - low) + 1);
}

bool sim_chance(sim_t *sim, unsigned of_1000)
{
    return of_1000 && !sim->quiet && sim_random(sim) % 1000 < of_1000;
}

bool sim_coin(sim_t *sim, unsigned of_100)
{
    return of_100 && sim_random(sim) % 100 < of_100;
}

void sim_bytes(sim_t *sim, uint8_t *to, size_t len)
{
    while (len--)
        *to++ = (uint8_t)sim_random(sim);
}

int64_t sim_wall_us(const sim_t *sim)
{
    return sim->now_us + sim->wall_shift_us;
}

void sim_hash(sim_t *sim, const void *bytes, size_t len)
{
    sim->hash = (sim->hash ^ hash64(bytes, len)) * UINT64_C(0x100000001b3);
}

const char *hex(const uint8_t *bytes, size_t len)
{
    static char ring[4][40];
    static unsigned turn;
    char *to = ring[turn++ % 4];
    for (size_t i = 0; i < len && i < 18; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
    return to;
}

/* ---- what was met ---------------------------------------------------------------------------- */

static uint64_t met[MET_KINDS];
static const char *const met_names[] = {
#define X(name, text) text,
    METS(X)
#undef X
};

void sim_met(met_t what)
{
    met[what]++;
}

/* A run of many seeds that never came by a place has a hole: it says so, and fails. */
static bool tell_met(uint64_t seeds)
{
    bool all = true;
    printf("sim: met");
    for (size_t i = 0; i < MET_KINDS; i++) {
        printf("%s %s %llu", i ? "," : "", met_names[i], (unsigned long long)met[i]);
        all &= met[i] > 0;
    }
    printf("\n");
    if (!all && seeds >= MET_SEEDS) printf("sim: something was never met in %d seeds\n", MET_SEEDS);
    return all || seeds < MET_SEEDS;
}

/* ---- words ----------------------------------------------------------------------------------- */

void sim_fail(sim_t *sim, const char *format, ...)
{
    if (sim->failed) return; /* the first one counts */
    sim->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
}

void sim_say(const sim_t *sim, const char *format, ...)
{
    if (!sim->verbose) return;
    printf("%12.6f ", (double)sim->now_us / 1e6);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool before(const event_t *a, const event_t *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_post(sim_t *sim, event_kind_t kind, int64_t at_us, uint32_t peer, uint64_t life,
              const uint8_t *bytes, size_t len)
{
    if (sim->heap_n == sim->heap_room) {
        sim->heap_room = sim->heap_room ? sim->heap_room * 2 : 256;
        sim->heap = mem_grow(sim->heap, sim->heap_room * sizeof *sim->heap);
    }
    event_t event = { at_us, sim->order++, kind, peer, life, NULL, len };
    if (bytes) event.bytes = mem_copy(bytes, len);
    size_t i = sim->heap_n++;
    for (; i > 0 && before(&event, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = event;
}

static event_t pop(sim_t *sim)
{
    event_t first = sim->heap[0], last = sim->heap[--sim->heap_n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim->heap_n) break;
        if (child + 1 < sim->heap_n && before(&sim->heap[child + 1], &sim->heap[child])) child++;
        if (!before(&sim->heap[child], &last)) break;
        sim->heap[i] = sim->heap[child];
        i = child;
    }
    sim->heap[i] = last;
    return first;
}

static void put_off(sim_t *sim, const event_t *event, int64_t until_us)
{
    sim_post(sim, event->kind, until_us, event->peer, event->life, event->bytes, event->len);
}

static void on_peer_event(sim_t *sim, const event_t *event)
{
    peer_t *peer = &sim->peers[event->peer];
    if (event->kind == EV_CONNECT) {
        link_connect(sim, peer);
        return;
    }
    if (peer->dead_until_us > sim->now_us) {
        if (event->kind == EV_TICK) put_off(sim, event, peer->dead_until_us);
        return;
    }
    if (peer->frozen_until_us > sim->now_us) {
        put_off(sim, event, peer->frozen_until_us);
        return;
    }
    switch (event->kind) {
    case EV_TO_PEER:
        if (peer->route == event->life) peer_take(sim, peer, event->bytes, event->len);
        break;
    case EV_WAKE:
        wire_arena_reset(&sim->arena);
        if (peer->life == event->life) worker_wake(sim, peer);
        break;
    default:
        peer_tick(sim, peer);
        sim_post(sim, EV_TICK,
                 sim->now_us + sim_between(sim, sim->swarm.tick_us / 2, 2 * sim->swarm.tick_us),
                 peer->index, 0, NULL, 0);
    }
}

static void run_one(sim_t *sim)
{
    event_t event = pop(sim);
    sim->now_us = event.at_us;
    sim->events++;
    if (event.kind == EV_TO_BROKER || event.kind >= EV_STEP)
        host_event(sim, &event);
    else
        on_peer_event(sim, &event);
    free(event.bytes);
    int64_t wall = sim_wall_us(sim);
    if (wall > sim->wall_most_us) sim->wall_most_us = wall;
}

/* ---- a seed ---------------------------------------------------------------------------------- */

static unsigned rate(sim_t *sim, unsigned most)
{
    return sim_coin(sim, 50) ? 0 : 1 + (unsigned)sim_below(sim, most);
}

static void draw_swarm(sim_t *sim)
{
    swarm_t *swarm = &sim->swarm;
    /* one statement each: the order of draws may not depend on the compiler */
    *swarm = (swarm_t){ 0 };
    swarm->clients = 1 + (unsigned)sim_below(sim, 4);
    swarm->executors = 1 + (unsigned)sim_below(sim, 5);
    swarm->schedulers = 1 + (unsigned)sim_below(sim, 5);
    swarm->schedules = sim_coin(sim, 70) ? 1 + (unsigned)sim_below(sim, 5) : 0;
    swarm->lease_us = sim_coin(sim, 30) ? 30 * SEC_US : sim_between(sim, 4 * SEC_US, 12 * SEC_US);
    swarm->tick_us = sim_between(sim, 200000, 1200000);
    swarm->latency_us = sim_coin(sim, 70) ? 3000 : 300000;
    swarm->commit_us = sim_coin(sim, 70) ? 2000 : 100000;
    swarm->loss = rate(sim, 20);
    swarm->twice = rate(sim, 20);
    swarm->cut = rate(sim, 20);
    swarm->partition = rate(sim, 10);
    swarm->crash = rate(sim, 15);
    swarm->commit_unknown = rate(sim, 10);
    swarm->commit_refused = rate(sim, 20);
    swarm->put_full = sim_coin(sim, 20) ? 1 + (unsigned)sim_below(sim, 300) : 0;
    swarm->stall = rate(sim, 8);
    swarm->executor_crash = rate(sim, 15);
    swarm->executor_freeze = rate(sim, 10);
    swarm->executor_bye = rate(sim, 8);
    swarm->wall_step = sim_coin(sim, 30) ? 1 + (unsigned)sim_below(sim, 20) : 0;
    swarm->purge = sim_coin(sim, 30) ? 20 : 0;
    swarm->rezone = sim_coin(sim, 30) ? 30 : 0;
    swarm->tiny_limits = sim_coin(sim, 10);
    swarm->short_history = sim_coin(sim, 20);
    swarm->by_hand = sim_coin(sim, 70);
    swarm->keys = sim_coin(sim, 50);
    swarm->fanouts = sim_coin(sim, 50);
    swarm->producers = sim_coin(sim, 40);
    swarm->children_at_once = (unsigned)(sim->seed % 5); /* fan-outs are small here */
    swarm->choices = sim_coin(sim, 25);
    swarm->lmdb = sim->seed % LMDB_EVERY == LMDB_EVERY - 1;
    swarm->map_bytes = sim_coin(sim, 10) ? 150000 + sim_below(sim, 500000) : 0;
    swarm->wall_most_us = 60 * SEC_US;
    if (swarm->wall_step && sim_coin(sim, 50)) {
        swarm->years = sim_coin(sim, 40);
        swarm->wall_most_us = INT64_C(86400) * SEC_US * (swarm->years ? 365 : 1);
        swarm->wall_step = 1 + swarm->wall_step / 8;
        swarm->slow_schedules = true;
    }
    if (swarm->lmdb) swarm->commit_unknown = swarm->commit_refused = swarm->put_full = 0;
    if (swarm->lmdb) swarm->map_bytes = 0;
    /* near the clock changes of Paris, or on some day */
    static const int64_t days[] = { 1774745000, 1792888000, 1790000000, 1780000000 };
    sim->now_us = sim_between(sim, SEC_US, 1000 * SEC_US);
    sim->wall_shift_us = days[sim_below(sim, 4)] * SEC_US - sim->now_us;
    sim->wall_shift_us += sim_between(sim, 0, 1800 * SEC_US);
}

static void start_world(sim_t *sim)
{
    const swarm_t *swarm = &sim->swarm;
    wire_arena_init(&sim->arena);
    judge_start(sim);
    sim->peers_n = swarm->clients + swarm->executors + swarm->schedulers;
    sim->peers = mem_new(sim->peers_n * sizeof *sim->peers);
    for (uint32_t i = 0; i < sim->peers_n; i++)
        sim->peers[i].index = i;
    host_start(sim);
    for (uint32_t i = 0; i < sim->peers_n; i++) {
        bool client = i < swarm->clients,
             executor = !client && i < swarm->clients + swarm->executors;
        peer_t *peer = &sim->peers[i];
        uint32_t nth = client     ? i
                       : executor ? i - swarm->clients
                                  : i - swarm->clients - swarm->executors;
        peer_start(sim, peer,
                   client     ? PEER_CLIENT
                   : executor ? PEER_EXECUTOR
                              : PEER_SCHEDULER,
                   i, nth);
    }
}

/* All faults stop; calendar time goes on from the latest that was ever read. */
static void become_quiet(sim_t *sim)
{
    sim->quiet = true;
    sim->quiet_us = sim->now_us;
    if (sim_wall_us(sim) < sim->wall_most_us) sim->wall_shift_us = sim->wall_most_us - sim->now_us;
    for (size_t i = 0; i < sim->peers_n; i++) {
        peer_t *peer = &sim->peers[i];
        peer->cut_until_us = peer->mute_up_until_us = peer->mute_down_until_us = 0;
    }
    host_heal(sim);
    sim_say(sim, "faults stop");
}

/* No free slot faces a task that it could take for more than 3 s: judged on the executor that
 * takes everything. */
static void judge_idleness(sim_t *sim, int64_t *free_since_us)
{
    const peer_t *peer = &sim->peers[sim->swarm.clients];
    const peer_t *client = &sim->peers[0];
    bool calm = sim->now_us - sim->quiet_us > 3 * sim->swarm.lease_us && host_is_up(sim) &&
                client_resumed(client);
    if (!calm || worker_free_slots(peer) == 0 ||
        judge_held_by(sim, peer->name, false) >= worker_slots(peer)) {
        *free_since_us = sim->now_us;
        return;
    }
    const mtask_t *task = judge_work_waits(sim, sim->now_us - 3 * SEC_US);
    if (task && sim->now_us - *free_since_us > 3 * SEC_US)
        sim_fail(sim, "%s has had room for 3 s, and task %llu waits that it could take", peer->name,
                 (unsigned long long)task->n);
}

static bool at_rest(sim_t *sim)
{
    if (!host_is_up(sim) || !client_done(&sim->peers[0])) return false;
    for (size_t i = 0; i < sim->peers_n; i++) {
        const peer_t *peer = &sim->peers[i];
        if (peer->role == PEER_EXECUTOR && !worker_idle(peer)) return false;
    }
    return judge_unfinished(sim, NULL, 0) == 0;
}

static void come_to_rest(sim_t *sim)
{
    int64_t looked_us = sim->now_us, free_since_us = sim->now_us, ended_us = sim->now_us;
    size_t ended = 0; /* tasks; while one ends now and then the world is only slow */
    uint64_t most = sim->events + REST_EVENTS;
    become_quiet(sim);
    while (!sim->failed) {
        run_one(sim);
        if (sim->now_us - looked_us < SEC_US) continue;
        looked_us = sim->now_us;
        judge_idleness(sim, &free_since_us);
        if (at_rest(sim)) return;
        size_t before = ended;
        ended = judge_ended(sim);
        if (ended != before) ended_us = sim->now_us;
        if (sim->now_us - ended_us < REST_US) {
            if (sim->events < most) continue;
            return; /* a backlog of months, one task at a time: it goes on, and nothing is stuck */
        }
        char what[300] = "";
        size_t n = judge_unfinished(sim, what, sizeof what);
        size_t busy = 0;
        for (size_t i = 0; i < sim->peers_n; i++)
            busy += sim->peers[i].role == PEER_EXECUTOR && !worker_idle(&sim->peers[i]);
        sim_fail(sim,
                 "no rest after %lld s: %zu tasks have not ended (%s), %zu schedules are "
                 "behind, %zu executors are busy, the client %s",
                 (long long)((sim->now_us - sim->quiet_us) / SEC_US), n, what, judge_backlog(sim),
                 busy, client_done(&sim->peers[0]) ? "is done" : "waits");
    }
}

static void free_world(sim_t *sim)
{
    for (size_t i = 0; i < sim->peers_n; i++)
        peer_free(&sim->peers[i]);
    for (size_t i = 0; i < sim->heap_n; i++)
        free(sim->heap[i].bytes);
    host_free(sim);
    judge_free(sim);
    wire_arena_free(&sim->arena);
    free(sim->heap);
    free(sim->peers);
    free(sim->routes);
}

static char seed_line[80]; /* for who has to say it in a signal handler */

static faults_t without; /* kinds of faults that are switched off */

static void run_seed(sim_t *sim, uint64_t seed, uint64_t events, bool verbose)
{
    *sim = (sim_t){ .seed = seed,
                    .random = seed * UINT64_C(0xD1342543DE82EF95) + 1,
                    .hash = UINT64_C(0xcbf29ce484222325),
                    .events_max = events,
                    .verbose = verbose };
    snprintf(seed_line, sizeof seed_line, "sim: died in --seed %llu\n", (unsigned long long)seed);
    draw_swarm(sim);
    faults_switch_off(&sim->swarm, without);
    start_world(sim);
    while (!sim->failed && sim->events < sim->events_max)
        run_one(sim);
    if (!sim->failed) come_to_rest(sim);
    for (unsigned i = 0; i < 4; i++) /* every fourth one reads the whole store */
        host_audit(sim);
    if (!sim->failed) judge_end(sim);
    for (size_t i = 0; i < sim->peers_n && !sim->failed; i++)
        if (sim->peers[i].role == PEER_CLIENT) client_judge(sim, &sim->peers[i]);
    free_world(sim);
}

/* ---- the program ----------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
    if (write(STDERR_FILENO, seed_line, strlen(seed_line)) < 0) _exit(2);
    _exit(1);
}

static int usage(void)
{
    fprintf(
        stderr,
        "usage: sim [--seed N] [--seeds COUNT] [--events N] [--without FAULT,...] [--verbose] "
        "[--each] [--all]\n"
        "       sim --shrink SEED [--events N]   the shortest prefix that fails, and the faults "
        "it needs\n");
    return 2;
}

static sim_t sim;

static bool fails(uint64_t seed, uint64_t events, faults_t fewer, uint64_t *ran)
{
    without = fewer;
    run_seed(&sim, seed, events, false);
    *ran = sim.events;
    return sim.failed;
}

static void tell_again(const char *program, uint64_t seed, uint64_t events)
{
    char names[400];
    faults_print(without, names, sizeof names);
    printf("sim: to see it again: %s --seed %llu --events %llu%s%s --verbose\n", program,
           (unsigned long long)seed, (unsigned long long)events, *names ? " --without " : "",
           names);
}

/* The exit code says whether there was anything to shrink. */
static int shrink_seed(const char *program, uint64_t seed, uint64_t events)
{
    uint64_t ran;
    if (!fails(seed, events, without, &ran)) {
        printf("sim: seed %llu passes\n", (unsigned long long)seed);
        return 2;
    }
    faults_t needless = without;
    shrink(fails, seed, &events, &needless);
    without = needless;
    if (!fails(seed, events, without, &ran)) return 2;
    printf("sim: seed %llu fails after %llu events: %s\n", (unsigned long long)seed,
           (unsigned long long)ran, sim.failure);
    tell_again(program, seed, events);
    return 1;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seeds = 1, events = EVENTS, total = 0, hash = 0;
    bool verbose = false, each = false, all = false, bad = false, smaller = false;
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0     ? &seed
                           : strcmp(argv[i], "--seeds") == 0  ? &seeds
                           : strcmp(argv[i], "--events") == 0 ? &events
                                                              : NULL;
        if (number && i + 1 < argc)
            *number = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--without") == 0 && i + 1 < argc &&
                 faults_read(argv[i + 1], &without))
            i++;
        else if (strcmp(argv[i], "--shrink") == 0 && i + 1 < argc) {
            smaller = true;
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--each") == 0)
            each = true;
        else if (strcmp(argv[i], "--all") == 0)
            all = true;
        else
            return usage();
    }
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    if (smaller) return shrink_seed(argv[0], seed, events);
    for (uint64_t end = seed + seeds; seed < end; seed++) {
        run_seed(&sim, seed, events, verbose);
        if (!sim.failed && seed % AGAIN_EVERY == 0) {
            uint64_t first = sim.hash;
            run_seed(&sim, seed, events, false);
            if (!sim.failed && sim.hash != first) sim_fail(&sim, "two runs of the seed differ");
        }
        if (sim.failed) {
            printf("sim: seed %llu fails after %llu events: %s\n", (unsigned long long)seed,
                   (unsigned long long)sim.events, sim.failure);
            tell_again(argv[0], seed, events);
            printf("sim: smaller: %s --shrink %llu --events %llu\n", argv[0],
                   (unsigned long long)seed, (unsigned long long)events);
            bad = true;
            if (!all) return 1;
        }
        if (each)
            printf("%llu %llu %016llx\n", (unsigned long long)seed, (unsigned long long)sim.events,
                   (unsigned long long)sim.hash);
        total += sim.events;
        hash = (hash ^ sim.hash) * UINT64_C(0x100000001b3);
    }
    if (seeds > 1 && !tell_met(seeds)) bad = true;
    if (bad) return 1;
    printf("sim: %llu seeds, %llu events, hash %016llx, ok\n", (unsigned long long)seeds,
           (unsigned long long)total, (unsigned long long)hash);
    return 0;
}

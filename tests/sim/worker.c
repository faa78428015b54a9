/* SPDX-License-Identifier: Apache-2.0
 * An executor: takes leases, runs each for a while, keeps results until they have their final
 * answer. Its attempts die with it; its results do not. */
#include "tests/sim/judge.h"

#include <stdlib.h>

enum { ASK_REPORT = 1, ASK_BYE = 2, ASK_PRODUCE = 3, HELD_MAX = 256, RESULTS_AT_ONCE = 8 };

typedef struct attempt {
    uint8_t id[16];
    uint64_t token;
    int64_t ends_us;
    bool cancelled, exclusive;
    reading_t reading; /* of a producer */
} attempt_t;

typedef struct result {
    uint8_t id[16];
    uint64_t token;
    Pawl__V1__Outcome outcome;
    bool asked; /* under way in a report of this session */
} result_t;

typedef struct worker {
    uint32_t slots, credit, credit_told;
    attempt_t attempts[HELD_MAX];
    size_t attempts_n;
    result_t results[HELD_MAX];
    size_t results_n;
    uint64_t assign_seen;
    bool list_wanted, all_types, one_queue, follow_claims;
    int64_t listed_us;
} worker_t;

static void draw_life(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self;
    sim_bytes(sim, peer->incarnation, 16);
    peer->life++;
    self->attempts_n = 0;
    self->assign_seen = 0;
    self->follow_claims = sim_coin(sim, 20);
    self->slots = 1 + (uint32_t)sim_below(sim, 6);
    self->credit = self->slots + (uint32_t)(sim_coin(sim, 40) ? sim_below(sim, 5) : 0);
}

/* Exclusive attempts end themselves, whatever their executor does or cannot do. */
static bool is_cut_off(const sim_t *sim, const peer_t *peer, const attempt_t *attempt)
{
    int64_t lease = sim->swarm.lease_us;
    return attempt->exclusive &&
           sim->now_us >= peer->answered_us + lease - EXCLUSIVE_MARGIN_US(lease);
}

static void drop_cut_off(const sim_t *sim, const peer_t *peer)
{
    worker_t *self = peer->self;
    for (size_t i = 0; i < self->attempts_n;)
        if (is_cut_off(sim, peer, &self->attempts[i])) {
            sim_met(MET_CUT_OFF);
            self->attempts[i] = self->attempts[--self->attempts_n];
        } else {
            i++;
        }
}

bool worker_runs(const sim_t *sim, const peer_t *peer, const uint8_t id[16], uint64_t token)
{
    const worker_t *self = peer->self;
    for (size_t i = 0; i < self->attempts_n; i++)
        if (memcmp(self->attempts[i].id, id, 16) == 0 && self->attempts[i].token < token &&
            self->attempts[i].exclusive && !is_cut_off(sim, peer, &self->attempts[i]))
            return true;
    return false;
}

void worker_start(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self = mem_new(sizeof *self);
    bool first = strcmp(peer->name, "worker-0") == 0;
    self->all_types = first || sim_coin(sim, 70);
    self->one_queue = !first && sim_coin(sim, 20);
    draw_life(sim, peer);
}

void worker_free(peer_t *peer)
{
    free(peer->self);
}

bool worker_idle(const peer_t *peer)
{
    const worker_t *self = peer->self;
    return self->attempts_n == 0 && self->results_n == 0;
}

uint32_t worker_free_slots(const peer_t *peer)
{
    const worker_t *self = peer->self;
    uint32_t most = self->credit_told < self->slots ? self->credit_told : self->slots;
    return peer->welcomed && most > self->attempts_n ? most - (uint32_t)self->attempts_n : 0;
}

uint64_t worker_assign_seen(const peer_t *peer)
{
    return ((const worker_t *)peer->self)->assign_seen;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void *room(sim_t *sim, size_t len)
{
    void *at = wire_arena_take(&sim->arena, len);
    CHECK(at != NULL);
    return at;
}

static Pawl__V1__Claim **claims_of(sim_t *sim, const peer_t *peer, size_t *n)
{
    worker_t *self = peer->self;
    drop_cut_off(sim, peer);
    *n = self->attempts_n + self->results_n;
    Pawl__V1__Claim **claims = room(sim, (*n + 1) * sizeof *claims);
    for (size_t i = 0; i < *n; i++) {
        bool waits = i >= self->attempts_n;
        result_t *result = waits ? &self->results[i - self->attempts_n] : NULL;
        claims[i] = room(sim, sizeof **claims);
        pawl__v1__claim__init(claims[i]);
        claims[i]->id.data = waits ? result->id : self->attempts[i].id;
        claims[i]->id.len = 16;
        claims[i]->token = waits ? result->token : self->attempts[i].token;
        claims[i]->result_waits = waits;
    }
    return claims;
}

/* What an executor has depends on which one it is, its labels also on its life: so that members of
 * fan-outs differ. Nothing is drawn for it. */
static void tell_abilities(const peer_t *peer, Pawl__V1__Hello *hello)
{
    static char *types[] = { (char *)(uintptr_t) "pawl/sql-producer",
                             (char *)(uintptr_t) "pawl/shell", (char *)(uintptr_t) "pawl/sql",
                             (char *)(uintptr_t) "mail/send", (char *)(uintptr_t) "pawl/script" };
    static char *some_types[ARRAY_LEN(types)];
    static char *sources[] = { (char *)(uintptr_t) "db", (char *)(uintptr_t) "ledger" };
    static char *queues[] = { (char *)(uintptr_t) "default" };
    static Pawl__V1__Label role, *labels[] = { &role };
    static Pawl__V1__Interpreter python, bash, *interpreters[] = { &python, &bash };
    const worker_t *self = peer->self;
    hello->types = some_types;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((i != 3 || self->all_types) && (i != 4 || peer->index != 3))
            some_types[hello->n_types++] = types[i];
    hello->sources = sources;
    hello->n_sources = 1 + (peer->index == 1);
    hello->queues = queues;
    hello->n_queues = self->one_queue ? 1 : 0;
    pawl__v1__interpreter__init(&python);
    pawl__v1__interpreter__init(&bash);
    python.name = (char *)(uintptr_t) "python3";
    python.version = (char *)(uintptr_t)(peer->index % 2 ? "3.9.18" : "3.11.2");
    bash.name = (char *)(uintptr_t) "bash";
    hello->interpreters = interpreters;
    hello->n_interpreters = peer->index % 3;
    if (peer->index % 2 && peer->incarnation[0] % 4) return;
    pawl__v1__label__init(&role);
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t)(peer->incarnation[1] % 8 ? "web" : "mail");
    hello->labels = labels;
    hello->n_labels = 1;
}

void worker_hello(sim_t *sim, peer_t *peer, Pawl__V1__Hello *hello)
{
    worker_t *self = peer->self;
    tell_abilities(peer, hello);
    hello->slots = self->slots;
    hello->credit = self->credit_told = self->credit;
    hello->claims = claims_of(sim, peer, &hello->n_claims);
    if (self->follow_claims && hello->n_claims > 1) {
        hello->n_claims = 1;
        hello->claims_follow = true;
    }
}

static Pawl__V1__Outcome outcome_of_reading(const reading_t *self)
{
    return self->done && !self->stale ? PAWL__V1__OUTCOME__OUTCOME_DONE
                                      : PAWL__V1__OUTCOME__OUTCOME_FAIL;
}

/* What the broker says of a claim: what is fenced is stopped, and now and then reported. */
static void on_claim(sim_t *sim, worker_t *self, const uint8_t *id, uint64_t token,
                     Pawl__V1__ClaimVerdict verdict)
{
    sim_met(verdict == PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP ? MET_KEEP : MET_STOP);
    if (verdict == PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP) return;
    for (size_t i = 0; i < self->attempts_n; i++) {
        attempt_t attempt = self->attempts[i];
        if (attempt.token != token || memcmp(attempt.id, id, 16) != 0) continue;
        self->attempts[i] = self->attempts[--self->attempts_n];
        if (sim_coin(sim, 30) && self->results_n < HELD_MAX) {
            result_t *result = &self->results[self->results_n++];
            *result = (result_t){ .token = token, .outcome = PAWL__V1__OUTCOME__OUTCOME_DONE };
            if (attempt.reading.on) result->outcome = outcome_of_reading(&attempt.reading);
            memcpy(result->id, id, 16);
        }
        return;
    }
}

void worker_welcome(sim_t *sim, peer_t *peer, const Pawl__V1__Reply *reply)
{
    worker_t *self = peer->self;
    self->assign_seen = 0;
    for (size_t i = 0; i < self->results_n; i++)
        self->results[i].asked = false;
    for (size_t i = 0; i < self->attempts_n; i++)
        self->attempts[i].reading.asked = false;
    /* the verdicts are in the order of the claims; nothing was taken on since */
    size_t n = reply->welcome->n_verdicts;
    attempt_t *attempts = mem_copy(self->attempts, self->attempts_n * sizeof *attempts);
    size_t attempts_n = self->attempts_n;
    for (size_t i = 0; i < n && i < attempts_n; i++)
        on_claim(sim, self, attempts[i].id, attempts[i].token, reply->welcome->verdicts[i]);
    free(attempts);
    self->list_wanted = n < attempts_n + self->results_n || sim_coin(sim, 20);
    worker_directives(sim, peer, reply->directives, reply->n_directives);
}

/* ---- work ------------------------------------------------------------------------------------ */

static Pawl__V1__Outcome draw_outcome(sim_t *sim)
{
    uint64_t draw = sim_below(sim, sim->quiet ? 75 : 100);
    return draw < 70   ? PAWL__V1__OUTCOME__OUTCOME_DONE
           : draw < 82 ? PAWL__V1__OUTCOME__OUTCOME_FAIL
           : draw < 86 ? PAWL__V1__OUTCOME__OUTCOME_TIMEOUT
           : draw < 89 ? PAWL__V1__OUTCOME__OUTCOME_FAIL_PERMANENT
           : draw < 92 ? PAWL__V1__OUTCOME__OUTCOME_RETURN
           : draw < 94 ? PAWL__V1__OUTCOME__OUTCOME_AGAIN
           : draw < 96 ? PAWL__V1__OUTCOME__OUTCOME_ASYNC
                       : PAWL__V1__OUTCOME__OUTCOME_RETRY_AFTER;
}

static void finish(sim_t *sim, worker_t *self, size_t i)
{
    attempt_t attempt = self->attempts[i];
    self->attempts[i] = self->attempts[--self->attempts_n];
    if (self->results_n == HELD_MAX) return;
    result_t *result = &self->results[self->results_n++];
    *result = (result_t){ .token = attempt.token,
                          .outcome = attempt.reading.on ? outcome_of_reading(&attempt.reading)
                                                        : draw_outcome(sim) };
    if (attempt.cancelled && sim_coin(sim, 80))
        result->outcome = PAWL__V1__OUTCOME__OUTCOME_CANCELLED;
    memcpy(result->id, attempt.id, 16);
}

static void read_task(const sim_t *sim, const Pawl__V1__Lease *lease, attempt_t *attempt)
{
    Pawl__V1__Task *task = pawl__v1__task__unpack(NULL, lease->task.len, lease->task.data);
    attempt->exclusive = task && task->exclusive;
    if (task && task->producer) rows_begin(sim, &attempt->reading, task->producer);
    pawl__v1__task__free_unpacked(task, NULL);
}

/* Producers go on with what they read; one that is through ends. */
static void go_on_reading(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self;
    for (size_t i = 0; i < self->attempts_n; i++) {
        attempt_t *attempt = &self->attempts[i];
        rows_ask(sim, peer, &attempt->reading, attempt->id, attempt->token, ASK_PRODUCE);
        if (!attempt->reading.done || attempt->ends_us != INT64_MAX) continue;
        attempt->ends_us = sim->now_us;
        sim_post(sim, EV_WAKE, sim->now_us, peer->index, peer->life, NULL, 0);
    }
}

static void on_produced(sim_t *sim, peer_t *peer, const Pawl__V1__Produce *asked,
                        const Pawl__V1__Reply *reply)
{
    worker_t *self = peer->self;
    for (size_t i = 0; i < self->attempts_n; i++) {
        attempt_t *attempt = &self->attempts[i];
        if (attempt->token == asked->token && memcmp(attempt->id, asked->id.data, 16) == 0)
            rows_reply(sim, peer, &attempt->reading, asked, reply);
    }
    go_on_reading(sim, peer);
}

static void take_lease(sim_t *sim, peer_t *peer, const Pawl__V1__Lease *lease)
{
    worker_t *self = peer->self;
    drop_cut_off(sim, peer);
    judge_leased(sim, peer, lease);
    for (size_t i = 0; i < self->results_n; i++)
        if (self->results[i].token == lease->token &&
            memcmp(self->results[i].id, lease->id.data, 16) == 0)
            return;
    for (size_t i = 0; i < self->attempts_n; i++) {
        if (memcmp(self->attempts[i].id, lease->id.data, 16) != 0) continue;
        if (self->attempts[i].token >= lease->token) return;
        self->attempts[i] = self->attempts[--self->attempts_n]; /* a higher token: it is fenced */
        break;
    }
    if (self->attempts_n == HELD_MAX) return;
    attempt_t *attempt = &self->attempts[self->attempts_n++];
    *attempt = (attempt_t){ .token = lease->token };
    memcpy(attempt->id, lease->id.data, 16);
    read_task(sim, lease, attempt);
    if (attempt->reading.on) { /* as long as it takes */
        attempt->ends_us = INT64_MAX;
        return;
    }
    int64_t runs = sim->quiet          ? sim_between(sim, 1000, SEC_US / 4)
                   : sim_coin(sim, 60) ? sim_between(sim, 1000, SEC_US)
                                       : sim_between(sim, SEC_US, sim->swarm.lease_us);
    if (sim_chance(sim, 20)) runs = 3 * sim->swarm.lease_us;
    attempt->ends_us = sim->now_us + runs;
    sim_post(sim, EV_WAKE, attempt->ends_us, peer->index, peer->life, NULL, 0);
}

void worker_directives(sim_t *sim, peer_t *peer, Pawl__V1__Directive *const *all, size_t n)
{
    worker_t *self = peer->self;
    for (size_t d = 0; d < n; d++) {
        if (all[d]->kind == PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_SEND_RUNNING)
            self->list_wanted = true;
        if (all[d]->kind != PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL &&
            all[d]->kind != PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP)
            continue;
        for (size_t i = 0; i < self->attempts_n; i++) {
            attempt_t *attempt = &self->attempts[i];
            if (attempt->token != all[d]->token || memcmp(attempt->id, all[d]->id.data, 16) != 0)
                continue;
            if (all[d]->kind == PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP && sim_coin(sim, 50)) {
                *attempt = self->attempts[--self->attempts_n];
                break;
            }
            attempt->cancelled = true;
            int64_t soon = sim->now_us + sim_between(sim, 1000, SEC_US);
            if (soon >= attempt->ends_us) continue;
            attempt->ends_us = soon;
            sim_post(sim, EV_WAKE, soon, peer->index, peer->life, NULL, 0);
        }
    }
}

void worker_push(sim_t *sim, peer_t *peer, const Pawl__V1__Push *push)
{
    worker_t *self = peer->self;
    if (push->body_case == PAWL__V1__PUSH__BODY_DIRECTIVES) {
        worker_directives(sim, peer, push->directives->directives, push->directives->n_directives);
        return;
    }
    if (push->body_case != PAWL__V1__PUSH__BODY_ASSIGN) return;
    if (push->assign->number > self->assign_seen + 1) { /* one is missing */
        sim_met(MET_ASSIGN_GAP);
        self->list_wanted = true;
    }
    if (push->assign->number > self->assign_seen) self->assign_seen = push->assign->number;
    for (size_t i = 0; i < push->assign->n_leases; i++)
        take_lease(sim, peer, push->assign->leases[i]);
    go_on_reading(sim, peer);
}

/* ---- reports --------------------------------------------------------------------------------- */

static void put_progress(sim_t *sim, worker_t *self, Pawl__V1__Report *report)
{
    if (self->attempts_n == 0 || !sim_chance(sim, 200)) return;
    attempt_t *attempt = &self->attempts[sim_below(sim, self->attempts_n)];
    Pawl__V1__Progress *progress = room(sim, sizeof *progress), **list = room(sim, sizeof *list);
    pawl__v1__progress__init(progress);
    progress->id.data = attempt->id;
    progress->id.len = 16;
    progress->token = attempt->token;
    progress->done = (int64_t)sim_below(sim, 100);
    progress->total = 100;
    list[0] = progress;
    report->progress = list;
    report->n_progress = 1;
}

static void put_results(sim_t *sim, worker_t *self, Pawl__V1__Report *report)
{
    static char *const output = (char *)(uintptr_t) "{\"n\":1}";
    report->results = room(sim, RESULTS_AT_ONCE * sizeof *report->results);
    for (size_t i = 0; i < self->results_n && report->n_results < RESULTS_AT_ONCE; i++) {
        result_t *kept = &self->results[i];
        if (kept->asked) continue;
        kept->asked = true;
        Pawl__V1__Result *result = room(sim, sizeof *result);
        pawl__v1__result__init(result);
        result->id.data = kept->id;
        result->id.len = 16;
        result->token = kept->token;
        result->outcome = kept->outcome;
        if (kept->outcome == PAWL__V1__OUTCOME__OUTCOME_AGAIN) {
            result->poll_state.data = room(sim, 8);
            result->poll_state.len = 8;
            be_put_u64(result->poll_state.data, kept->token);
        }
        if (kept->outcome == PAWL__V1__OUTCOME__OUTCOME_ASYNC)
            result->deadline_us = SEC_US + (int64_t)(kept->token % 5) * sim->swarm.lease_us;
        if (kept->outcome == PAWL__V1__OUTCOME__OUTCOME_RETRY_AFTER ||
            kept->outcome == PAWL__V1__OUTCOME__OUTCOME_AGAIN)
            result->retry_after_us = (int64_t)(kept->token % 3) * SEC_US;
        if (kept->outcome == PAWL__V1__OUTCOME__OUTCOME_DONE) {
            result->output.data = (uint8_t *)output;
            result->output.len = 7;
            if (kept->id[15] % 16 == 0) {
                result->output.len = 3000;
                result->output.data = room(sim, 3000);
                memset(result->output.data, 'x', 3000);
            }
        }
        report->results[report->n_results++] = result;
    }
}

static void report(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report body = PAWL__V1__REPORT__INIT;
    if (!peer->welcomed || peer->pending_n > 1) return;
    put_results(sim, self, &body);
    put_progress(sim, self, &body);
    if (self->list_wanted) {
        self->list_wanted = false;
        body.running = claims_of(sim, peer, &body.n_running);
        body.running_complete = true;
    }
    bool tell = self->credit != self->credit_told;
    if (tell) {
        body.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT;
        body.credit = self->credit_told = self->credit;
    }
    if (!tell && !body.running_complete && body.n_results + body.n_progress == 0) return;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &body;
    peer_ask(sim, peer, &request, ASK_REPORT, 0);
}

static void on_verdict(sim_t *sim, peer_t *peer, const Pawl__V1__Result *told,
                       Pawl__V1__ReportVerdict verdict)
{
    worker_t *self = peer->self;
    judge_verdict(sim, peer, told->id.data, told->token, told->outcome, verdict);
    for (size_t i = 0; i < self->results_n; i++) {
        result_t *result = &self->results[i];
        if (result->token != told->token || memcmp(result->id, told->id.data, 16) != 0) continue;
        if (sim_chance(sim, 30))
            result->asked = false; /* says it once more, although it was answered */
        else
            *result = self->results[--self->results_n];
        return;
    }
}

void worker_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply)
{
    worker_t *self = peer->self;
    if (asked->kind != ASK_REPORT && asked->kind != ASK_PRODUCE) return;
    Pawl__V1__Request *request = pawl__v1__request__unpack(NULL, asked->len, asked->body);
    if (asked->kind == ASK_PRODUCE) {
        CHECK(request != NULL && request->body_case == PAWL__V1__REQUEST__BODY_PRODUCE);
        on_produced(sim, peer, request->produce, reply);
        pawl__v1__request__free_unpacked(request, NULL);
        return;
    }
    CHECK(request != NULL && request->body_case == PAWL__V1__REQUEST__BODY_REPORT);
    const Pawl__V1__Report *body = request->report;
    if (reply->error) {
        for (size_t i = 0; i < self->results_n; i++)
            self->results[i].asked = false;
        if (body->running_complete) self->list_wanted = true;
        if (body->credit_set_case) self->credit_told = UINT32_MAX;
    } else if (reply->body_case != PAWL__V1__REPLY__BODY_REPORTED ||
               reply->reported->n_verdicts != body->n_results ||
               reply->reported->n_claims != body->n_running) {
        sim_fail(sim, "%s: a report of %zu results and %zu claims was answered otherwise",
                 peer->name, body->n_results, body->n_running);
    } else {
        for (size_t i = 0; i < body->n_results; i++)
            on_verdict(sim, peer, body->results[i], reply->reported->verdicts[i]);
        for (size_t i = 0; i < body->n_running; i++)
            on_claim(sim, self, body->running[i]->id.data, body->running[i]->token,
                     reply->reported->claims[i]);
    }
    pawl__v1__request__free_unpacked(request, NULL);
}

void worker_wake(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self;
    drop_cut_off(sim, peer);
    bool any = false;
    for (size_t i = 0; i < self->attempts_n;) {
        if (self->attempts[i].ends_us <= sim->now_us) {
            finish(sim, self, i);
            any = true;
        } else {
            i++;
        }
    }
    if (any) report(sim, peer);
}

/* ---- what befalls it ------------------------------------------------------------------------- */

static void leave(sim_t *sim, peer_t *peer, bool in_order)
{
    if (in_order && peer->welcomed) {
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
        Pawl__V1__Bye bye = PAWL__V1__BYE__INIT;
        request.body_case = PAWL__V1__REQUEST__BODY_BYE;
        request.bye = &bye;
        peer_ask(sim, peer, &request, ASK_BYE, 0);
    } else {
        link_break(sim, peer);
    }
    sim_say(sim, "%s %s", peer->name, in_order ? "says Bye" : "dies");
    peer_forget(peer);
    draw_life(sim, peer);
    peer->dead_until_us =
        sim->now_us + (sim_coin(sim, 50) ? sim_between(sim, 10000, SEC_US)
                                         : sim_between(sim, SEC_US, 2 * sim->swarm.lease_us));
}

void worker_tick(sim_t *sim, peer_t *peer)
{
    worker_t *self = peer->self;
    const swarm_t *swarm = &sim->swarm;
    if (sim_chance(sim, swarm->executor_crash)) {
        leave(sim, peer, false);
        return;
    }
    if (sim_chance(sim, swarm->executor_bye)) {
        leave(sim, peer, true);
        return;
    }
    if (sim_chance(sim, swarm->executor_freeze)) {
        peer->frozen_until_us = sim->now_us + sim_between(sim, SEC_US, 3 * swarm->lease_us);
        sim_say(sim, "%s freezes", peer->name);
    }
    if (sim->quiet)
        self->credit = self->slots;
    else if (sim_chance(sim, 20))
        self->credit = (uint32_t)sim_below(sim, self->slots + 3);
    if (sim->now_us - self->listed_us > 30 * SEC_US) {
        self->listed_us = sim->now_us;
        self->list_wanted = true;
    }
    wire_arena_reset(&sim->arena);
    go_on_reading(sim, peer);
    report(sim, peer);
}

uint32_t worker_slots(const peer_t *peer)
{
    const worker_t *self = peer->self;
    return self->credit_told < self->slots ? self->credit_told : self->slots;
}

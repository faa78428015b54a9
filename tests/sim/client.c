/* SPDX-License-Identifier: Apache-2.0
 * A client: submits, changes its mind, edits schedules, and asks again for what it was told, on
 * purpose. What was acknowledged is checked at once and for ever after. */
#include "tests/sim/judge.h"
#include "tests/sim/wishes.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASK_SUBMIT = 1, ASK_MEMO = 2, BATCH_MAX = 8, SCHEDULES_MAX = 8 };

typedef struct wish {
    uint8_t id[16], other[16];
    uint8_t *body;
    size_t len;
    bool acked, has_other;
} wish_t;

typedef struct memo { /* a request whose reply is remembered */
    uint8_t *body;
    size_t len;
    buf_t answer; /* the first one */
    bool answered;
    uint8_t id[16];
} memo_t;

typedef struct client {
    wish_t *wishes;
    size_t wishes_n, wishes_room;
    memo_t *memos;
    size_t memos_n, memos_room;
    unsigned told; /* once the world is quiet: 1 resumed, 2 removed */
} client_t;

void client_start(sim_t *sim, peer_t *peer)
{
    (void)sim;
    peer->self = mem_new(sizeof(client_t));
}

void client_free(peer_t *peer)
{
    client_t *self = peer->self;
    for (size_t i = 0; i < self->wishes_n; i++)
        free(self->wishes[i].body);
    for (size_t i = 0; i < self->memos_n; i++) {
        free(self->memos[i].body);
        buf_free(&self->memos[i].answer);
    }
    free(self->wishes);
    free(self->memos);
    free(self);
}

bool client_idle(const peer_t *peer)
{
    return peer->pending_n == 0;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static wish_t *new_wish(sim_t *sim, client_t *self)
{
    if (self->wishes_n == self->wishes_room) {
        self->wishes_room = self->wishes_room ? self->wishes_room * 2 : 64;
        self->wishes = mem_grow(self->wishes, self->wishes_room * sizeof *self->wishes);
    }
    wish_t *wish = &self->wishes[self->wishes_n++];
    buf_t body = { 0 };
    *wish = (wish_t){ 0 };
    wishes_task(sim, wish->id, &body);
    wish->body = body.at;
    wish->len = body.len;
    return wish;
}

/* note: the first wish and how many */
static void submit(sim_t *sim, peer_t *peer, size_t first, size_t n)
{
    client_t *self = peer->self;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit body = PAWL__V1__SUBMIT__INIT;
    ProtobufCBinaryData tasks[BATCH_MAX];
    for (size_t i = 0; i < n; i++)
        tasks[i] =
            (ProtobufCBinaryData){ self->wishes[first + i].len, self->wishes[first + i].body };
    body.tasks = tasks;
    body.n_tasks = n;
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    request.submit = &body;
    peer_ask(sim, peer, &request, ASK_SUBMIT, (uint64_t)first << 8 | n);
}

static void on_submitted(sim_t *sim, peer_t *peer, const pending_t *asked,
                         const Pawl__V1__Reply *reply)
{
    client_t *self = peer->self;
    size_t first = (size_t)(asked->note >> 8), n = (size_t)(asked->note & 255), refused = 0;
    if (reply->error && reply->error->code == ERR_BUSY) sim_met(MET_BUSY);
    if (reply->error && reply->error->code == ERR_STORE_FULL) sim_met(MET_FULL);
    if (reply->error) return; /* nothing of it was done, as far as this reply knows */
    if (reply->body_case != PAWL__V1__REPLY__BODY_SUBMITTED) {
        sim_fail(sim, "a Submit was answered with body %d", (int)reply->body_case);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        wish_t *wish = &self->wishes[first + i];
        const Pawl__V1__ItemResult *item = NULL;
        for (size_t k = 0; k < reply->submitted->n_items; k++)
            if (reply->submitted->items[k]->index == i) item = reply->submitted->items[k];
        if (item && item->error) {
            refused++;
            if (wish->acked && !judge_forgot(sim, wish->id))
                sim_fail(sim, "task %s was accepted, and a resend is refused: %u %s",
                         hex(wish->id, 16), item->error->code, item->error->text);
            continue;
        }
        const uint8_t *other = item && item->id.len == 16 ? item->id.data : NULL;
        bool kept = !judge_forgot(sim, wish->id);
        if (kept && wish->acked && other && wish->has_other && memcmp(other, wish->other, 16) != 0)
            sim_fail(sim, "task %s was answered with two others", hex(wish->id, 16));
        if (kept && wish->acked && other && !wish->has_other)
            sim_fail(sim, "task %s was accepted, a resend is answered with another",
                     hex(wish->id, 16));
        wish->acked = true;
        if (other) {
            sim_met(MET_KEY);
            wish->has_other = true;
            memcpy(wish->other, other, 16);
        }
        judge_accepted(sim, wish->id, other);
    }
    if (reply->submitted->accepted != n - refused)
        sim_fail(sim, "%u of %zu accepted, %zu refused", reply->submitted->accepted, n, refused);
}

/* ---- requests that are remembered ------------------------------------------------------------ */

static void ask_memo(sim_t *sim, peer_t *peer, Pawl__V1__Request *request)
{
    client_t *self = peer->self;
    uint8_t id[16];
    sim_bytes(sim, id, sizeof id);
    request->request_id.data = id;
    request->request_id.len = sizeof id;
    buf_t bytes = { 0 };
    wire_request_pack(request, buf_room, &bytes);
    if (self->memos_n == self->memos_room) {
        self->memos_room = self->memos_room ? self->memos_room * 2 : 16;
        self->memos = mem_grow(self->memos, self->memos_room * sizeof *self->memos);
    }
    self->memos[self->memos_n] = (memo_t){ .body = bytes.at, .len = bytes.len };
    memcpy(self->memos[self->memos_n].id, id, sizeof id);
    peer_ask(sim, peer, request, ASK_MEMO, self->memos_n++);
}

static void ask_again(sim_t *sim, peer_t *peer, size_t i)
{
    client_t *self = peer->self;
    Pawl__V1__Request *request =
        pawl__v1__request__unpack(NULL, self->memos[i].len, self->memos[i].body);
    CHECK(request != NULL);
    peer_ask(sim, peer, request, ASK_MEMO, i);
    pawl__v1__request__free_unpacked(request, NULL);
}

static void on_memo(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply)
{
    client_t *self = peer->self;
    memo_t *memo = &self->memos[asked->note];
    uint32_t code = reply->error ? reply->error->code : 0;
    if (code == ERR_BUSY || code == ERR_STORE_FULL || code == ERR_DISK_FULL) {
        sim_met(code == ERR_BUSY ? MET_BUSY : MET_FULL);
        if (sim->quiet) ask_again(sim, peer, asked->note); /* now it counts */
        return;
    }
    bool forgotten = judge_forgot_reply(sim, memo->id);
    if (code) {
        if (memo->answered && !forgotten)
            sim_fail(sim, "a request was done, and its resend is refused: %u %s", code,
                     reply->error->text);
        return;
    }
    Pawl__V1__Reply plain = *reply;
    buf_t bytes = { 0 };
    plain.seq = 0;
    plain.repeated_reply = false;
    plain.n_directives = 0;
    wire_reply_pack(&plain, buf_room, &bytes);
    if (reply->repeated_reply) sim_met(MET_REPEATED);
    if (!memo->answered) {
        memo->answered = true;
        memo->answer = bytes;
        return;
    }
    if (!forgotten && !reply->repeated_reply) sim_fail(sim, "a resent request was done again");
    if (!forgotten &&
        !slice_equal(slice(bytes.at, bytes.len), slice(memo->answer.at, memo->answer.len)))
        sim_fail(sim, "a resent request has another answer than the first copy");
    buf_free(&bytes);
}

void client_reply(sim_t *sim, peer_t *peer, const pending_t *asked, const Pawl__V1__Reply *reply)
{
    if (asked->kind == ASK_SUBMIT)
        on_submitted(sim, peer, asked, reply);
    else
        on_memo(sim, peer, asked, reply);
}

static void change_tasks(sim_t *sim, peer_t *peer)
{
    client_t *self = peer->self;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange body = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData ids[3];
    uint8_t any[3][16];
    size_t n = 1 + sim_below(sim, 3);
    for (size_t i = 0; i < n; i++) {
        if (self->wishes_n && sim_coin(sim, 70)) {
            /* young ones are more fun */
            size_t back = sim_below(sim, self->wishes_n < 20 ? self->wishes_n : 20);
            memcpy(any[i], self->wishes[self->wishes_n - 1 - back].id, 16);
        } else if (!judge_pick(sim, any[i])) {
            sim_bytes(sim, any[i], 16);
        }
        if (sim->events % 2) judge_pick_parent(sim, sim->events / 2, any[i]);
        ids[i] = (ProtobufCBinaryData){ 16, any[i] };
    }
    body.verb = (Pawl__V1__TaskVerb)(1 + sim_below(sim, 4));
    body.ids = ids;
    body.n_ids = n;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    request.task_change = &body;
    ask_memo(sim, peer, &request);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void change_calendar(sim_t *sim, peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarPut put = PAWL__V1__CALENDAR_PUT__INIT;
    Pawl__V1__Calendar calendar = PAWL__V1__CALENDAR__INIT;
    Pawl__V1__CalendarRemove removed = PAWL__V1__CALENDAR_REMOVE__INIT;
    char texts[WISHES_CLOSED][64], *entries[WISHES_CLOSED];
    char *name = (char *)(uintptr_t)(sim_coin(sim, 50) ? "calendar-0" : "calendar-1");
    if (sim_coin(sim, 10)) {
        removed.name = name;
        request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_REMOVE;
        request.calendar_remove = &removed;
    } else {
        calendar.name = name;
        calendar.entries = entries;
        calendar.n_entries = wishes_closed(sim, texts);
        for (size_t i = 0; i < calendar.n_entries; i++)
            entries[i] = texts[i];
        put.calendar = &calendar;
        request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_PUT;
        request.calendar_put = &put;
    }
    ask_memo(sim, peer, &request);
}

static void schedule_name(sim_t *sim, char *name, size_t len)
{
    snprintf(name, len, "schedule-%u", (unsigned)sim_below(sim, sim->swarm.schedules + 1));
}

static void put_schedule(sim_t *sim, peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    schedule_wish_t wish;
    char name[40];
    schedule_name(sim, name, sizeof name);
    wishes_schedule(sim, name, &wish);
    body.schedule = &wish.schedule;
    static const Pawl__V1__CursorAction actions[] = { PAWL__V1__CURSOR_ACTION__CURSOR_UNSPECIFIED,
                                                      PAWL__V1__CURSOR_ACTION__CURSOR_NOW,
                                                      PAWL__V1__CURSOR_ACTION__CURSOR_NOW,
                                                      PAWL__V1__CURSOR_ACTION__CURSOR_KEEP };
    body.cursor = actions[sim_below(sim, 4)];
    if (sim_coin(sim, 20)) {
        body.cursor = PAWL__V1__CURSOR_ACTION__CURSOR_AT;
        body.cursor_at_us = sim_wall_us(sim) - sim_between(sim, -SEC_US, 60 * SEC_US);
    }
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &body;
    ask_memo(sim, peer, &request);
}

static void ask_schedule_change(sim_t *sim, peer_t *peer, Pawl__V1__ScheduleChange *body)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = body;
    ask_memo(sim, peer, &request);
}

static void ask_change(sim_t *sim, peer_t *peer, const char *name, Pawl__V1__ScheduleVerb verb,
                       Pawl__V1__OnResume on_resume, Pawl__V1__Overlap overlap)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.name = (char *)(uintptr_t)name;
    body.verb = verb;
    body.on_resume = on_resume;
    body.overlap = overlap;
    ask_schedule_change(sim, peer, &body);
}

/* A backfill of what is past or to come, or a word about a range that may be there. */
static void change_range(sim_t *sim, peer_t *peer, const char *name)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.name = (char *)(uintptr_t)name;
    body.verb =
        (Pawl__V1__ScheduleVerb)(PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL + sim_below(sim, 4));
    if (body.verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL) {
        body.from_us = sim_wall_us(sim) + sim_between(sim, -400 * SEC_US, 100 * SEC_US);
        body.to_us = body.from_us + sim_between(sim, 0, 300 * SEC_US);
        body.order = (Pawl__V1__Order)sim_below(sim, 3);
        body.rate = (uint32_t)sim_below(sim, 10);
        body.stop = sim_coin(sim, 40);
        if (sim_coin(sim, 30)) body.overlap = (Pawl__V1__Overlap)(1 + sim_below(sim, 7));
    } else {
        body.range = 1 + (uint32_t)sim_below(sim, 4);
    }
    ask_schedule_change(sim, peer, &body);
}

static void change_schedule(sim_t *sim, peer_t *peer)
{
    char name[40];
    schedule_name(sim, name, sizeof name);
    if (sim_coin(sim, 40)) {
        change_range(sim, peer, name);
        return;
    }
    Pawl__V1__ScheduleVerb verb = sim_coin(sim, 15)
                                      ? PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE
                                      : (Pawl__V1__ScheduleVerb)(1 + sim_below(sim, 3));
    Pawl__V1__OnResume on_resume = sim_coin(sim, 60) ? PAWL__V1__ON_RESUME__ON_RESUME_UNSPECIFIED
                                                     : (Pawl__V1__OnResume)(1 + sim_below(sim, 3));
    Pawl__V1__Overlap overlap = sim_coin(sim, 80) ? PAWL__V1__OVERLAP__OVERLAP_UNSPECIFIED
                                                  : (Pawl__V1__Overlap)(1 + sim_below(sim, 7));
    if (verb != PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME) on_resume = 0;
    if (verb != PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW) overlap = 0;
    ask_change(sim, peer, name, verb, on_resume, overlap);
}

/* ---- queues and executors -------------------------------------------------------------------- */

static void pause_queue(sim_t *sim, peer_t *peer, size_t which, bool pause)
{
    static char *const names[] = { (char *)(uintptr_t) "default", (char *)(uintptr_t) "fast",
                                   (char *)(uintptr_t) "slow" };
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__QueueChange body = PAWL__V1__QUEUE_CHANGE__INIT;
    body.name = names[which];
    body.pause = pause;
    request.body_case = PAWL__V1__REQUEST__BODY_QUEUE_CHANGE;
    request.queue_change = &body;
    ask_memo(sim, peer, &request);
}

static void change_watermark(sim_t *sim, peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    rows_change_t change;
    if (rows_change(sim, &change, &request)) ask_memo(sim, peer, &request);
}

static void drain_executor(sim_t *sim, peer_t *peer, size_t which, bool drain)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ExecutorChange body = PAWL__V1__EXECUTOR_CHANGE__INIT;
    char name[32];
    snprintf(name, sizeof name, "worker-%zu", which);
    body.name = name;
    body.drain = drain;
    if (drain && sim->events % 2) { /* it will not come back, somebody thinks */
        body.drain = false;
        body.verb = PAWL__V1__EXECUTOR_VERB__EXECUTOR_RETIRE;
    }
    request.body_case = PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
    request.executor_change = &body;
    ask_memo(sim, peer, &request);
}

static void garbage(sim_t *sim, peer_t *peer)
{
    uint8_t bytes[60];
    sim_bytes(sim, bytes, sizeof bytes);
    if (sim_coin(sim, 70)) memcpy(bytes, "\x0dPWL1", 5);
    link_up(sim, peer, bytes, 5 + sim_below(sim, sizeof bytes - 5));
}

/* ---- its day --------------------------------------------------------------------------------- */

static void resume_all(sim_t *sim, peer_t *peer)
{
    for (size_t i = 0; i < 3; i++)
        pause_queue(sim, peer, i, false);
    for (size_t i = 0; i < sim->swarm.executors; i++)
        drain_executor(sim, peer, i, false);
    for (unsigned i = 0; i <= sim->swarm.schedules; i++) {
        char name[40];
        snprintf(name, sizeof name, "schedule-%u", i);
        if (ledger_paused(sim, name)) /* a word about others would make the broker look at them */
            ask_change(sim, peer, name, PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME, 0, 0);
    }
}

/* What people held is let go. False: nothing is held. */
static bool start_held(sim_t *sim, peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange body = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData ids[32];
    uint8_t held[32][16];
    body.n_ids = judge_held(sim, held, ARRAY_LEN(held));
    for (size_t i = 0; i < body.n_ids; i++)
        ids[i] = (ProtobufCBinaryData){ 16, held[i] };
    body.verb = PAWL__V1__TASK_VERB__TASK_START;
    body.ids = ids;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    request.task_change = &body;
    if (body.n_ids) ask_memo(sim, peer, &request);
    return body.n_ids > 0;
}

/* Somebody who was given a completion token uses it. */
static void complete(sim_t *sim, peer_t *peer)
{
    static char *const output = (char *)(uintptr_t) "{\"done\":true}";
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskComplete body = PAWL__V1__TASK_COMPLETE__INIT;
    uint8_t tokens[16][LIMIT_COMPLETION];
    size_t n = judge_external(sim, tokens, ARRAY_LEN(tokens));
    uint8_t *token = tokens[n ? sim_below(sim, n) : 0];
    if (n == 0) return;
    if (sim_chance(sim, 50)) token[31] ^= 1; /* one that nobody gave out */
    body.verb = (Pawl__V1__CompleteVerb)(1 + sim_below(sim, 3));
    body.completion = (ProtobufCBinaryData){ LIMIT_COMPLETION, token };
    if (body.verb == PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND)
        body.extend_us = sim_between(sim, SEC_US, 2 * sim->swarm.lease_us);
    else
        body.output = (ProtobufCBinaryData){ 13, (uint8_t *)output };
    body.permanent = body.verb == PAWL__V1__COMPLETE_VERB__COMPLETE_FAIL && sim_coin(sim, 30);
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_COMPLETE;
    request.task_complete = &body;
    ask_memo(sim, peer, &request);
}

static void remove_all(sim_t *sim, peer_t *peer)
{
    for (unsigned i = 0; i <= sim->swarm.schedules; i++) {
        char name[40];
        snprintf(name, sizeof name, "schedule-%u", i);
        ask_change(sim, peer, name, PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE, 0, 0);
    }
}

static void submit_some(sim_t *sim, peer_t *peer)
{
    client_t *self = peer->self;
    size_t first = self->wishes_n, n = 1 + (sim_coin(sim, 60) ? 0 : sim_below(sim, BATCH_MAX));
    for (size_t i = 0; i < n; i++)
        new_wish(sim, self);
    submit(sim, peer, first, n);
}

/* Nothing is removed before it is judged whom nobody looked after. */
static bool chose_all(const sim_t *sim)
{
    return !sim->swarm.choices ||
           planner_chose_all(&sim->peers[sim->swarm.clients + sim->swarm.executors]);
}

void client_tick(sim_t *sim, peer_t *peer)
{
    client_t *self = peer->self;
    if (sim->quiet) {
        if (strcmp(peer->name, "client-0") != 0) return;
        for (unsigned i = 0; i < sim->swarm.clients; i++) /* the last word is this one's */
            if (!client_idle(&sim->peers[i])) return;
        if (self->told == 0) {
            self->told = 1;
            resume_all(sim, peer);
        } else if (start_held(sim, peer)) {
            ;
        } else if (self->told == 1 && judge_backlog(sim) == 0 && chose_all(sim)) {
            self->told = 2;
            remove_all(sim, peer);
        }
        return;
    }
    if (peer->pending_n > 6) return;
    uint64_t draw = sim_below(sim, 100), which = sim_random(sim);
    bool on = sim_coin(sim, 30);
    if (draw < 55)
        submit_some(sim, peer);
    else if (draw < 62 && self->wishes_n > BATCH_MAX)
        submit(sim, peer, which % (self->wishes_n - BATCH_MAX), 1 + sim_below(sim, 3));
    else if (draw < 70 && self->memos_n)
        ask_again(sim, peer, sim_below(sim, self->memos_n));
    else if (draw < 80 && sim->swarm.by_hand)
        change_tasks(sim, peer);
    else if (draw < 83 && sim->swarm.schedules && which % 4 == 0)
        change_calendar(sim, peer);
    else if (draw < 83 && sim->swarm.schedules)
        put_schedule(sim, peer);
    else if (draw < 88 && sim->swarm.schedules)
        change_schedule(sim, peer);
    else if (draw < 92 && sim->swarm.by_hand)
        pause_queue(sim, peer, which % 3, on);
    else if (draw < 94 && sim->swarm.by_hand)
        drain_executor(sim, peer, which % sim->swarm.executors, on);
    else if (draw < 96)
        complete(sim, peer);
    else if (draw < 97)
        garbage(sim, peer);
    else if (sim->swarm.producers)
        change_watermark(sim, peer);
}

bool client_resumed(const peer_t *peer)
{
    return ((const client_t *)peer->self)->told > 0 && peer->pending_n == 0;
}

bool client_done(const peer_t *peer)
{
    return ((const client_t *)peer->self)->told == 2 && peer->pending_n == 0;
}

/* What was acknowledged is still on record when everything is over. */
void client_judge(sim_t *sim, const peer_t *peer)
{
    const client_t *self = peer->self;
    for (size_t i = 0; i < self->wishes_n && !sim->failed; i++)
        if (self->wishes[i].acked && !judge_known(sim, self->wishes[i].id) &&
            !judge_forgot(sim, self->wishes[i].id))
            sim_fail(sim, "task %s was acknowledged and is gone", hex(self->wishes[i].id, 16));
}

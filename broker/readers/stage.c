/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/stage.h"

#include <stdlib.h>

#include "broker/store/memstore.h"
#include "broker/store/record.h"
#include "client/base/turn.h"

enum {
    SCHEDULER = 1, /* connections */
    EXECUTOR = 2,
    OPERATOR = 3,
    ROOM = 1000000, /* of the executor: enough at any time */
};

#define STAGE_TRY(call)                                                                            \
    do {                                                                                           \
        err_t stage_err = (call);                                                                  \
        if (stage_err != ERR_OK) return stage_err;                                                 \
    } while (0)

/* ---- what core tells ------------------------------------------------------------------------- */

static stage_turn_t *turn_of(stage_t *self, uint16_t range)
{
    for (size_t i = 0; i < self->turns_n; i++)
        if (self->turns[i].range == range) return &self->turns[i];
    if (self->turns_n == STAGE_TURNS) return NULL; /* so many are not open at once */
    stage_turn_t *turn = &self->turns[self->turns_n++];
    *turn = (stage_turn_t){ .range = range, .due_us = TURN_NEVER };
    return turn;
}

static void drop_turn(stage_t *self, stage_turn_t *turn)
{
    size_t at = (size_t)(turn - self->turns);
    memmove(turn, turn + 1, (--self->turns_n - at) * sizeof *turn);
}

static void on_schedule(stage_t *self, const Pawl__V1__ScheduleInfo *info)
{
    bool paused = strcmp(info->state, "paused") == 0;
    stage_turn_t *turn = turn_of(self, 0);
    turn->revision = info->revision;
    turn->cursor_us = info->cursor_us;
    turn->jitter_us = info->jitter_us;
    turn->next_us = info->next_us;
    turn->due_us = turn_of_schedule(info->next_us, paused);
    memcpy(self->uid, info->uid.data, 16);
    self->turns_n = 1; /* all of its ranges that are not done follow */
    for (size_t i = 0; i < info->n_ranges; i++) {
        const Pawl__V1__RangeInfo *range = info->ranges[i];
        turn = turn_of(self, (uint16_t)range->number);
        if (turn == NULL) continue;
        turn->revision = range->revision;
        turn->cursor_us = range->cursor_us;
        turn->backlog = strcmp(range->cause, "backlog") == 0;
        bool open = !paused && strcmp(range->state, "open") == 0;
        turn->due_us = turn_of_range(open, self->clock_us);
    }
}

static stage_run_t *run_of(stage_t *self, ProtobufCBinaryData id, uint64_t token)
{
    for (size_t i = 0; i < self->runs_n; i++)
        if (self->runs[i].token == token && memcmp(self->runs[i].id, id.data, 16) == 0)
            return &self->runs[i];
    return NULL;
}

static void on_assign(stage_t *self, const Pawl__V1__Assign *assign)
{
    self->assign_no = assign->number;
    for (size_t i = 0; i < assign->n_leases; i++) {
        const Pawl__V1__Lease *lease = assign->leases[i];
        if (run_of(self, lease->id, lease->token)) continue; /* sent again */
        if (self->runs_n == self->runs_room) {
            self->runs_room = self->runs_room ? self->runs_room * 2 : 64;
            self->runs = mem_grow(self->runs, self->runs_room * sizeof *self->runs);
        }
        stage_run_t *run = &self->runs[self->runs_n++];
        *run = (stage_run_t){ .token = lease->token, .end_us = self->clock_us + self->takes_us };
        memcpy(run->id, lease->id.data, 16);
    }
}

static void on_directives(stage_t *self, const Pawl__V1__Directives *directives)
{
    for (size_t i = 0; i < directives->n_directives; i++) {
        const Pawl__V1__Directive *one = directives->directives[i];
        bool cancel = one->kind == PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_CANCEL;
        bool stop = one->kind == PAWL__V1__DIRECTIVE_KIND__DIRECTIVE_STOP;
        stage_run_t *run = cancel || stop ? run_of(self, one->id, one->token) : NULL;
        if (run == NULL) continue;
        run->stopped = true;
        run->end_us = self->clock_us;
    }
}

static err_t on_push(stage_t *self, const output_t *out)
{
    const Pawl__V1__Push *push;
    wire_fault_t fault;
    STAGE_TRY(
        wire_push_decode(&self->arena, self->out.bytes.at + out->at, out->len, &push, &fault));
    if (push->body_case == PAWL__V1__PUSH__BODY_ASSIGN)
        on_assign(self, push->assign);
    else if (push->body_case == PAWL__V1__PUSH__BODY_DIRECTIVES)
        on_directives(self, push->directives);
    else if (push->body_case == PAWL__V1__PUSH__BODY_SCHEDULES)
        for (size_t i = 0; i < push->schedules->n_items; i++)
            on_schedule(self, push->schedules->items[i]);
    return ERR_OK;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* A batch; what it pushes is taken when the reply has been read, as it comes to a real peer. */
static err_t step(stage_t *self, const command_t *commands, size_t n)
{
    batch_t batch = {
        .wall_us = self->clock_us, .steady_us = self->clock_us, .commands = commands, .n = n
    };
    if (n)
        self->steps++;
    else
        self->looks++;
    be_put_u64(batch.random, self->steps);
    wire_arena_reset(&self->arena);
    return core_step(self->core, &batch, &self->out);
}

static err_t take_pushes(stage_t *self)
{
    for (size_t i = 0; i < self->out.n; i++)
        if (self->out.items[i].kind == OUT_PUSH) STAGE_TRY(on_push(self, &self->out.items[i]));
    return ERR_OK;
}

static err_t reply_to(stage_t *self, uint64_t seq, const Pawl__V1__Reply **reply)
{
    for (size_t i = 0; i < self->out.n; i++) {
        const output_t *out = &self->out.items[i];
        wire_fault_t fault;
        if (out->kind != OUT_REPLY && out->kind != OUT_WELCOME) continue;
        STAGE_TRY(
            wire_reply_decode(&self->arena, self->out.bytes.at + out->at, out->len, reply, &fault));
        if ((*reply)->seq == seq) return ERR_OK;
    }
    return ERR_CORRUPT;
}

/* One request, in front of it the executor's word on what has come. */
static err_t ask(stage_t *self, conn_t conn, Pawl__V1__Request *request,
                 const Pawl__V1__Reply **reply)
{
    Pawl__V1__Request ping = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Ping nothing = PAWL__V1__PING__INIT;
    command_t commands[2];
    size_t n = 0;
    uint8_t id[16] = { 0 };
    if (self->assign_seen < self->assign_no) {
        self->assign_seen = ping.assign_seen = self->assign_no;
        ping.seq = ++self->seq;
        ping.body_case = PAWL__V1__REQUEST__BODY_PING;
        ping.ping = &nothing;
        commands[n++] = (command_t){
            .kind = CMD_REQUEST, .conn = EXECUTOR, .principal = "rehearsal", .request = &ping
        };
    }
    if (request) {
        request->seq = ++self->seq;
        be_put_u64(id + 8, self->seq);
        request->request_id = (ProtobufCBinaryData){ sizeof id, id };
        commands[n++] = (command_t){
            .kind = CMD_REQUEST, .conn = conn, .principal = "rehearsal", .request = request
        };
    }
    STAGE_TRY(step(self, commands, n));
    return request ? reply_to(self, request->seq, reply) : ERR_OK;
}

/* ---- the set --------------------------------------------------------------------------------- */

static err_t open_core(stage_t *self, int64_t clock_us)
{
    static const uint8_t random[32] = { 's', 't', 'a', 'g', 'e' };
    core_config_t config;
    core_config_default(&config);
    config.keep_ledger_us = config.keep_journal_us = INT64_MAX / 4; /* however far the clock goes */
    self->clock_us = clock_us;
    return core_open(&self->core, self->store, &config, clock_us, clock_us, random);
}

static err_t join(stage_t *self)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    uint8_t incarnation[16] = { 1 };
    const Pawl__V1__Reply *reply;
    hello.minor = WIRE_MINOR;
    hello.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    hello.name = (char *)(uintptr_t) "rehearsal";
    hello.incarnation = (ProtobufCBinaryData){ sizeof incarnation, incarnation };
    hello.types = &self->type;
    hello.n_types = 1;
    hello.slots = hello.credit = ROOM;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    self->assign_no = self->assign_seen = 0;
    return ask(self, EXECUTOR, &request, &reply);
}

err_t stage_open(stage_t *self, const char *type, int64_t clock_us)
{
    *self = (stage_t){ .store = memstore_new(), .type = mem_text(type) };
    wire_arena_init(&self->arena);
    STAGE_TRY(open_core(self, clock_us));
    return join(self);
}

void stage_close(stage_t *self)
{
    if (self->store == NULL) return; /* it was not opened */
    core_close(&self->core);
    store_close(&self->store);
    outputs_free(&self->out);
    wire_arena_free(&self->arena);
    free(self->type);
    free(self->runs);
    *self = (stage_t){ 0 };
}

err_t stage_zone(stage_t *self, const char *name, slice_t bytes)
{
    command_t command = { .kind = CMD_ZONE, .name = name, .bytes = bytes };
    return step(self, &command, 1);
}

err_t stage_calendar(stage_t *self, const char *name, slice_t entries,
                     const Pawl__V1__Error **error)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarPut put = PAWL__V1__CALENDAR_PUT__INIT;
    Pawl__V1__Calendar calendar = PAWL__V1__CALENDAR__INIT;
    const Pawl__V1__Reply *reply;
    char *text = mem_new(entries.len + 1), *rest = text;
    memcpy(text, entries.at, entries.len);
    calendar.name = (char *)(uintptr_t)name;
    for (char *line; (line = strsep(&rest, "\n"));) {
        calendar.entries =
            mem_grow(calendar.entries, (calendar.n_entries + 1) * sizeof *calendar.entries);
        calendar.entries[calendar.n_entries++] = line;
    }
    put.calendar = &calendar;
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_PUT;
    request.calendar_put = &put;
    err_t err = ask(self, OPERATOR, &request, &reply);
    if (err == ERR_OK) *error = reply->error;
    free(calendar.entries);
    free(text);
    return err;
}

err_t stage_put(stage_t *self, const Pawl__V1__Schedule *schedule, const Pawl__V1__Error **error)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    const Pawl__V1__Reply *reply;
    put.schedule = (Pawl__V1__Schedule *)(uintptr_t)schedule;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &put;
    STAGE_TRY(ask(self, OPERATOR, &request, &reply));
    *error = reply->error;
    return ERR_OK;
}

void stage_halt(stage_t *self)
{
    core_close(&self->core);
}

err_t stage_go_on(stage_t *self, int64_t clock_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleFollow follow = PAWL__V1__SCHEDULE_FOLLOW__INIT;
    const Pawl__V1__Reply *reply;
    STAGE_TRY(open_core(self, clock_us));
    STAGE_TRY(join(self));
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW;
    request.schedule_follow = &follow;
    STAGE_TRY(ask(self, SCHEDULER, &request, &reply));
    if (reply->body_case != PAWL__V1__REPLY__BODY_SCHEDULES || reply->schedules->n_items != 1)
        return ERR_CORRUPT;
    on_schedule(self, reply->schedules->items[0]);
    return take_pushes(self);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* What is due while nobody proposes waits until somebody does. */
static int64_t turn_us(const stage_t *self, const stage_turn_t *turn)
{
    bool down = turn->due_us >= self->down_from_us || self->clock_us >= self->down_from_us;
    return down && turn->due_us < self->down_to_us ? self->down_to_us : turn->due_us;
}

/* When core has something to do. Its own answer looks at the calendar's clock every second, which
 * may jump, and at what runs now and then: here no clock jumps, and nobody is lost. */
static int64_t core_us(const stage_t *self)
{
    int64_t due = core_next_due_us(self->core), at;
    store_view_t *view = NULL;
    store_scan_t *scan = NULL;
    slice_t key, value;
    uint8_t clock, kind;
    uint64_t n;
    if (due <= self->clock_us || store_view_open(self->store, &view) != ERR_OK) return due;
    err_t err = store_scan_open(view, TABLE_timer, slice(NULL, 0), false, &scan);
    if (err == ERR_OK) err = store_scan_next(scan, &key, &value);
    if (err == ERR_NOT_FOUND)
        due = INT64_MAX;
    else if (err == ERR_OK && timer_key_decode(key, &clock, &at, &kind, &n) && clock == CLOCK_WALL)
        due = at;
    store_scan_close(&scan);
    store_view_close(&view);
    return due;
}

int64_t stage_next_us(const stage_t *self)
{
    int64_t next = core_us(self);
    for (size_t i = 0; i < self->turns_n; i++)
        if (turn_us(self, &self->turns[i]) < next) next = turn_us(self, &self->turns[i]);
    for (size_t i = 0; i < self->runs_n; i++)
        if (self->runs[i].end_us < next) next = self->runs[i].end_us;
    return next;
}

/* False: the turn is over for good. */
static bool take_answer(stage_t *self, stage_turn_t *turn, const Pawl__V1__ProposalAnswer *answer)
{
    if (answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_GONE) return false;
    bool moved =
        answer->revision > turn->revision ||
        (turn->range ? answer->cursor_us != turn->cursor_us : answer->cursor_us > turn->cursor_us);
    turn_answer_t told = { .moved = moved,
                           .held = answer->verdict == PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD,
                           .next_us = answer->next_us,
                           .retry_us = answer->retry_us,
                           .told_us = TURN_NEVER };
    turn->revision = answer->revision;
    turn->cursor_us = answer->cursor_us;
    turn->next_us = answer->next_us;
    turn->due_us = turn_after(&told, self->clock_us);
    self->fired += answer->fired;
    if (turn->range == 0) self->decided += answer->fired + answer->skipped;
    return true;
}

/* All turns that are due, in one request. */
static err_t propose(stage_t *self)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose propose = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal items[STAGE_TURNS], *list[STAGE_TURNS];
    uint16_t ranges[STAGE_TURNS] = { 0 };
    const Pawl__V1__Reply *reply;
    for (size_t i = 0; i < self->turns_n; i++) {
        const stage_turn_t *turn = &self->turns[i];
        if (turn_us(self, turn) > self->clock_us) continue;
        Pawl__V1__Proposal *one = &items[propose.n_items];
        pawl__v1__proposal__init(one);
        one->uid = (ProtobufCBinaryData){ 16, self->uid };
        one->revision = turn->revision;
        one->expect_cursor_us = turn->cursor_us;
        one->new_cursor_us = turn_upto(turn->jitter_us, self->clock_us);
        one->range = turn->range;
        ranges[propose.n_items] = turn->range;
        list[propose.n_items++] = one;
    }
    propose.items = list;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &propose;
    STAGE_TRY(ask(self, SCHEDULER, &request, &reply));
    if (reply->body_case != PAWL__V1__REPLY__BODY_PROPOSED ||
        reply->proposed->n_items != propose.n_items)
        return ERR_CORRUPT;
    for (size_t i = 0; i < propose.n_items; i++) {
        stage_turn_t *turn = turn_of(self, ranges[i]);
        if (!take_answer(self, turn, reply->proposed->items[i])) drop_turn(self, turn);
    }
    return take_pushes(self);
}

/* All runs whose time is over, in one report. */
static err_t end_runs(stage_t *self)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    stage_run_t *ended = mem_new(self->runs_n * sizeof *ended);
    Pawl__V1__Result *results = mem_new(self->runs_n * sizeof *results);
    Pawl__V1__Result **list = mem_new(self->runs_n * sizeof *list);
    const Pawl__V1__Reply *reply;
    size_t kept = 0;
    for (size_t i = 0; i < self->runs_n; i++) {
        if (self->runs[i].end_us > self->clock_us) {
            self->runs[kept++] = self->runs[i];
            continue;
        }
        stage_run_t *run = &ended[report.n_results];
        Pawl__V1__Result *result = &results[report.n_results];
        *run = self->runs[i];
        pawl__v1__result__init(result);
        result->id = (ProtobufCBinaryData){ 16, run->id };
        result->token = run->token;
        result->outcome =
            run->stopped ? PAWL__V1__OUTCOME__OUTCOME_CANCELLED : PAWL__V1__OUTCOME__OUTCOME_DONE;
        list[report.n_results++] = result;
    }
    self->runs_n = kept;
    report.results = list;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &report;
    err_t err = ask(self, EXECUTOR, &request, &reply);
    free(list);
    free(results);
    free(ended);
    return err == ERR_OK ? take_pushes(self) : err;
}

static bool turn_is_due(const stage_t *self)
{
    for (size_t i = 0; i < self->turns_n; i++)
        if (turn_us(self, &self->turns[i]) <= self->clock_us) return true;
    return false;
}

static bool run_is_over(const stage_t *self)
{
    for (size_t i = 0; i < self->runs_n; i++)
        if (self->runs[i].end_us <= self->clock_us) return true;
    return false;
}

err_t stage_play(stage_t *self, int64_t clock_us)
{
    if (clock_us > self->clock_us) self->clock_us = clock_us;
    if (turn_is_due(self)) return propose(self);
    if (run_is_over(self)) return end_runs(self);
    STAGE_TRY(ask(self, EXECUTOR, NULL, NULL));
    return take_pushes(self);
}

bool stage_caught_up(const stage_t *self)
{
    for (size_t i = 0; i < self->turns_n; i++) {
        const stage_turn_t *turn = &self->turns[i];
        if (turn->range ? turn->backlog : turn->next_us && turn->next_us <= self->clock_us)
            return false;
    }
    return true;
}

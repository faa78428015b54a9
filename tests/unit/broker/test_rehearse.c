/* SPDX-License-Identifier: Apache-2.0
 * What explain says of an outage is what core did in it: for each mode, overlap policy and bound a
 * real core lives through one, second by second, and its history is compared with rehearsals of the
 * same outage, asked for before it, behind it, and of a schedule that is not on record. */
#include "tests/unit/broker/query_world.h"

#define V(kind, name) PAWL__V1__##kind##__##kind##_##name

enum { EXECUTOR = 1, SCHEDULER = 98, RUNS = 4096, BEFORE = 9 };

static world_t world;
static struct {
    uint8_t id[16];
    uint64_t token;
    int64_t end_us;
    bool stopped;
} runs[RUNS];
static size_t runs_n;

typedef struct wish {
    Pawl__V1__Mode mode;
    Pawl__V1__Overlap overlap;
    int64_t grace_us; /* -1: not said */
    int64_t window_us, jitter_us, start_by_us, takes_us;
    uint32_t ahead, max_running;
    bool live_first, newest;
} wish_t;

static int set_up(void **state)
{
    (void)state;
    world_open(&world);
    world.wall_us = world.wall_us / DAY * DAY + DAY; /* a midnight */
    world_executor(&world, EXECUTOR, "exec-1", 100000);
    world_zone(&world, "UTC");
    runs_n = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_close_whole(&world);
    return 0;
}

/* ---- a real core ----------------------------------------------------------------------------- */

static void define(const wish_t *wish, const char *name, Pawl__V1__Schedule *schedule,
                   uint8_t packed[256])
{
    pawl__v1__schedule__init(schedule);
    schedule->name = (char *)(uintptr_t)name;
    schedule->rule = (char *)(uintptr_t) "* * * * *";
    schedule->zone = (char *)(uintptr_t) "UTC";
    schedule->mode = wish->mode;
    schedule->overlap = wish->overlap;
    schedule->window_us = wish->window_us;
    schedule->jitter_us = wish->jitter_us;
    schedule->ahead = wish->ahead;
    schedule->max_running = wish->max_running;
    schedule->live_first = wish->live_first;
    if (wish->newest) schedule->order = PAWL__V1__ORDER__ORDER_NEWEST;
    if (wish->grace_us >= 0) {
        schedule->grace_set_case = PAWL__V1__SCHEDULE__GRACE_SET_GRACE_US;
        schedule->grace_us = wish->grace_us;
    }
    if (wish->start_by_us) {
        schedule->start_by_set_case = PAWL__V1__SCHEDULE__START_BY_SET_START_BY_US;
        schedule->start_by_us = wish->start_by_us;
    }
    schedule->task = world_template(packed);
}

static void put(const wish_t *wish)
{
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(wish, "job", &schedule, packed);
    assert_int_equal(world_put_schedule(&world, &schedule), 0);
}

/* Leases that came and attempts that are to stop, of the last step. */
static void take(int64_t takes_us)
{
    for (size_t i = 0; i < world.leases_n; i++) {
        assert_true(runs_n < RUNS);
        memcpy(runs[runs_n].id, world.leases[i].id, 16);
        runs[runs_n].token = world.leases[i].token;
        runs[runs_n].stopped = false;
        runs[runs_n++].end_us = world.wall_us + takes_us;
    }
    for (size_t i = 0; i < world.outputs.n; i++) {
        const output_t *out = &world.outputs.items[i];
        if (out->kind != OUT_PUSH || out->conn != EXECUTOR) continue;
        Pawl__V1__Push *push =
            pawl__v1__push__unpack(NULL, out->len, world.outputs.bytes.at + out->at);
        for (size_t k = 0; push->body_case == PAWL__V1__PUSH__BODY_DIRECTIVES &&
                           k < push->directives->n_directives;
             k++)
            for (size_t r = 0; r < runs_n; r++)
                if (runs[r].token == push->directives->directives[k]->token &&
                    memcmp(runs[r].id, push->directives->directives[k]->id.data, 16) == 0) {
                    runs[r].stopped = true;
                    runs[r].end_us = world.wall_us;
                }
        pawl__v1__push__free_unpacked(push, NULL);
    }
}

/* For the schedule and each range that is open; false: nothing was decided. */
static bool propose_once(int64_t takes_us)
{
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job");
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal items[20], *list[20];
    uint8_t uid[16];
    int64_t cursor = info->cursor_us;
    memcpy(uid, info->uid.data, 16);
    for (size_t i = 0; i <= info->n_ranges; i++) {
        const Pawl__V1__RangeInfo *range = i ? info->ranges[i - 1] : NULL;
        if (range ? strcmp(range->state, "open") != 0
                  : info->next_us == 0 || info->next_us > world.wall_us)
            continue;
        Pawl__V1__Proposal *one = &items[body.n_items];
        pawl__v1__proposal__init(one);
        one->uid = (ProtobufCBinaryData){ 16, uid };
        one->revision = range ? range->revision : info->revision;
        one->expect_cursor_us = range ? range->cursor_us : info->cursor_us;
        one->range = range ? range->number : 0;
        one->new_cursor_us = (world.wall_us - info->jitter_us) / SECOND * SECOND;
        list[body.n_items++] = one;
    }
    if (body.n_items == 0) return false;
    uint64_t fired = info->fired;
    size_t ranges = info->n_ranges;
    body.items = list;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &body;
    world_request(&world, SCHEDULER, &request);
    assert_int_equal(world.error, 0);
    take(takes_us);
    info = world_schedule_get(&world, "job");
    return info->cursor_us != cursor || info->fired != fired || info->n_ranges != ranges;
}

static void end_run(size_t at)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    uint8_t id[16];
    memcpy(id, runs[at].id, 16);
    result.id = (ProtobufCBinaryData){ 16, id };
    result.token = runs[at].token;
    result.outcome =
        runs[at].stopped ? PAWL__V1__OUTCOME__OUTCOME_CANCELLED : PAWL__V1__OUTCOME__OUTCOME_DONE;
    memmove(&runs[at], &runs[at + 1], (--runs_n - at) * sizeof runs[at]);
    report.results = results;
    report.n_results = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &report;
    world_request(&world, EXECUTOR, &request);
    assert_int_equal(world.error, 0);
}

/* False: no time was over. */
static bool end_runs(int64_t takes_us)
{
    bool any = false;
    for (size_t i = 0; i < runs_n;)
        if (runs[i].end_us > world.wall_us) {
            i++;
        } else {
            end_run(i);
            take(takes_us);
            i = 0;
            any = true;
        }
    return any;
}

/* Tick by tick until `upto`; nobody proposes from down_from until down_to. Who ends makes room, of
 * which a scheduler is told at once. */
static void live(int64_t upto, int64_t down_from, int64_t down_to, int64_t tick_us,
                 int64_t takes_us)
{
    for (;;) {
        bool down = world.wall_us >= down_from && world.wall_us < down_to;
        do {
            for (int i = 0; i < 100 && !down && propose_once(takes_us); i++) {
            }
        } while (end_runs(takes_us));
        if (world.wall_us >= upto) return;
        world_sleep(&world, tick_us);
        take(takes_us);
    }
}

/* ---- compared -------------------------------------------------------------------------------- */

typedef struct fact {
    int64_t instant_us, started_us;
    uint32_t range;
    const char *verdict, *reason;
    Pawl__V1__TaskStatus status;
} fact_t;
enum { FACTS = 4096 };
static fact_t facts[FACTS];
static size_t facts_n;

static void remember(int64_t from_us)
{
    static uint8_t ids[FACTS][16];
    Pawl__V1__ScheduleHistory ask = PAWL__V1__SCHEDULE_HISTORY__INIT;
    ask.name = (char *)(uintptr_t) "job";
    ask.from_us = from_us;
    ask.limit = FACTS;
    assert_int_equal(query_schedule_history(world_ask(&world), &ask, &world.reply), ERR_OK);
    const Pawl__V1__HistoryItems *items = world.reply.history;
    assert_int_equal(items->next_us, 0);
    facts_n = items->n_items;
    assert_true(facts_n > 0 && facts_n < FACTS);
    for (size_t i = 0; i < facts_n; i++) {
        const Pawl__V1__HistoryItem *item = items->items[i];
        facts[i] = (fact_t){ .instant_us = item->instant_us,
                             .range = item->range,
                             .verdict = item->verdict, /* words of the table: they stay */
                             .reason = item->reason };
        memset(ids[i], 0, 16);
        if (strcmp(item->verdict, "fired") == 0) memcpy(ids[i], item->task.data, 16);
    }
    for (size_t i = 0; i < facts_n; i++) {
        if (strcmp(facts[i].verdict, "fired") != 0) continue;
        const Pawl__V1__TaskInfo *task = world_get(&world, ids[i]);
        facts[i].started_us = task->started_us;
        facts[i].status = task->status;
    }
}

static const Pawl__V1__Rehearsal *rehearse(const Pawl__V1__Rehearse *ask)
{
    assert_int_equal(query_rehearse(world_ask(&world), ask, &world.reply), ERR_OK);
    if (world.reply.error) fail_msg("%s: %s", world.reply.error->field, world.reply.error->text);
    return world.reply.rehearsal;
}

static void print_both(const Pawl__V1__Rehearsal *said)
{
    for (size_t i = 0; i < facts_n; i++)
        print_message("did   %lld %s %s range %u status %d started %lld\n",
                      (long long)(facts[i].instant_us / SECOND), facts[i].verdict, facts[i].reason,
                      facts[i].range, (int)facts[i].status, (long long)facts[i].started_us);
    for (size_t i = 0; i < said->n_items; i++)
        print_message("said  %lld..%lld %s %s range %u status %d started %lld\n",
                      (long long)(said->items[i]->from_us / SECOND),
                      (long long)(said->items[i]->to_us / SECOND), said->items[i]->verdict,
                      said->items[i]->reason, said->items[i]->range, (int)said->items[i]->status,
                      (long long)said->items[i]->started_us);
}

static const Pawl__V1__RehearsalItem *item_of(const Pawl__V1__Rehearsal *said, const fact_t *fact)
{
    for (size_t i = 0; i < said->n_items; i++)
        if (said->items[i]->from_us <= fact->instant_us &&
            fact->instant_us <= said->items[i]->to_us && said->items[i]->range == fact->range)
            return said->items[i];
    return NULL;
}

/* Each instant of the facts has what was said of it, and nothing else was said. */
static void compare(const Pawl__V1__Rehearsal *said, int64_t slack_us, const char *which)
{
    uint64_t count = 0;
    assert_string_equal(said->cut, "");
    for (size_t i = 0; i < said->n_items; i++)
        count += said->items[i]->count;
    for (size_t i = 0; i < facts_n; i++) {
        const Pawl__V1__RehearsalItem *item = item_of(said, &facts[i]);
        bool same = item && strcmp(item->verdict, facts[i].verdict) == 0 &&
                    strcmp(item->reason, facts[i].reason) == 0 && item->status == facts[i].status &&
                    facts[i].started_us - item->started_us <= slack_us &&
                    facts[i].started_us >= item->started_us;
        if (same) continue;
        print_both(said);
        fail_msg("%s: the instant %lld is another", which,
                 (long long)(facts[i].instant_us / SECOND));
    }
    if (count == facts_n) return;
    print_both(said);
    fail_msg("%s: %llu instants said, %zu decided", which, (unsigned long long)count, facts_n);
}

static void outage(const wish_t *wish, const char *which)
{
    char text[300];
    int64_t from = world.wall_us + BEFORE * MINUTE + 20 * SECOND, to = from + 25 * MINUTE;
    int64_t until = to + 12 * MINUTE;
    int64_t slack_us = wish->jitter_us ? SECOND : 0;           /* a jitter is no whole ticks */
    int64_t tick_us = wish->live_first ? SECOND / 20 : SECOND; /* a range looks so often */
    Pawl__V1__Rehearse ask = PAWL__V1__REHEARSE__INIT;
    Pawl__V1__SchedulePut other = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    ask.name = (char *)(uintptr_t) "job";
    ask.down_from_us = from;
    ask.down_to_us = to;
    ask.until_us = until;
    ask.takes_us = wish->takes_us;
    world_sleep(&world, SECOND); /* the first instant is one of the rehearsal's too */
    put(wish);
    live(from - SECOND, from, to, SECOND, wish->takes_us);
    wire_arena_t kept; /* what was said before: the next questions must not take it away */
    wire_arena_init(&kept);
    world_ask(&world)->arena = &kept;
    Pawl__V1__Reply before = PAWL__V1__REPLY__INIT;
    assert_int_equal(query_rehearse(&world.answer, &ask, &before), ERR_OK);
    assert_null(before.error);
    live(to, from, to, SECOND, wish->takes_us);
    live(until, from, to, tick_us, wish->takes_us);
    remember(from / MINUTE * MINUTE + 1);
    snprintf(text, sizeof text, "%s, before it", which);
    compare(before.rehearsal, slack_us, text);
    wire_arena_free(&kept);
    snprintf(text, sizeof text, "%s, behind it", which);
    compare(rehearse(&ask), slack_us, text);
    if (wish->jitter_us) return; /* of another uid */
    define(wish, "other", &schedule, packed);
    other.schedule = &schedule;
    ask.name = (char *)(uintptr_t) "";
    ask.put = &other;
    snprintf(text, sizeof text, "%s, not on record", which);
    compare(rehearse(&ask), slack_us, text);
}

static const struct {
    const char *name;
    Pawl__V1__Mode mode;
} modes[] = { { "normal", V(MODE, NORMAL) },
              { "latest", V(MODE, LATEST) },
              { "strict", V(MODE, STRICT) } };

static const struct {
    const char *name;
    Pawl__V1__Overlap overlap;
    bool drops;
} overlaps[] = {
    { "allow", V(OVERLAP, ALLOW), false },
    { "skip", V(OVERLAP, SKIP), true },
    { "queue_one", V(OVERLAP, QUEUE_ONE), true },
    { "queue_latest", V(OVERLAP, QUEUE_LATEST), true },
    { "queue_all", V(OVERLAP, QUEUE_ALL), false },
    { "cancel", V(OVERLAP, CANCEL), false },
    { "kill", V(OVERLAP, KILL), false },
};

static const struct {
    const char *name;
    wish_t wish;
    bool strict_only;
} bounds[] = {
    { "as it comes", { .grace_us = -1, .takes_us = SECOND }, false },
    { "runs that overlap", { .grace_us = -1, .takes_us = 90 * SECOND }, false },
    { "no grace", { .grace_us = 0, .takes_us = SECOND }, false },
    { "grace of 20 s, window",
      { .grace_us = 20 * SECOND, .window_us = 8 * MINUTE, .takes_us = 7 * SECOND },
      false },
    { "window, two at once",
      { .grace_us = -1, .window_us = 5 * MINUTE, .max_running = 2, .takes_us = 70 * SECOND },
      false },
    { "start_by", { .grace_us = -1, .start_by_us = 3 * MINUTE, .takes_us = 100 * SECOND }, false },
    { "jitter", { .grace_us = -1, .jitter_us = 15 * SECOND, .takes_us = 20 * SECOND }, false },
    { "ahead of 3", { .grace_us = -1, .ahead = 3, .takes_us = 10 * SECOND }, false },
    { "live first", { .grace_us = -1, .live_first = true, .takes_us = 10 * SECOND }, true },
    { "live first, newest",
      { .grace_us = -1, .live_first = true, .newest = true, .ahead = 8, .takes_us = 30 * SECOND },
      true },
};

static void an_outage_is_what_was_said_of_it(void **state)
{
    (void)state;
    unsigned played = 0;
    tear_down(state);
    for (size_t m = 0; m < ARRAY_LEN(modes); m++)
        for (size_t o = 0; o < ARRAY_LEN(overlaps); o++)
            for (size_t b = 0; b < ARRAY_LEN(bounds); b++) {
                char which[200];
                wish_t wish = bounds[b].wish;
                bool strict = modes[m].mode == V(MODE, STRICT);
                if (strict ? overlaps[o].drops : bounds[b].strict_only) continue;
                wish.mode = modes[m].mode;
                wish.overlap = overlaps[o].overlap;
                snprintf(which, sizeof which, "%s, %s, %s", modes[m].name, overlaps[o].name,
                         bounds[b].name);
                set_up(state);
                outage(&wish, which);
                tear_down(state);
                played++;
            }
    print_message("%u outages\n", played);
    set_up(state);
}

/* ---- one thing at a time --------------------------------------------------------------------- */

typedef struct more {
    const char *rule, *zone, *calendar;
    int64_t after_us;
    uint64_t max_firings;
} more_t;

/* The schedule "job" in UTC, with what a table of modes has not. */
static void put_more(const wish_t *wish, more_t more)
{
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(wish, "job", &schedule, packed);
    if (more.rule) schedule.rule = (char *)(uintptr_t)more.rule;
    if (more.zone) schedule.zone = (char *)(uintptr_t)more.zone;
    schedule.after_us = more.after_us;
    if (more.after_us) schedule.rule = (char *)(uintptr_t) "";
    schedule.max_firings = more.max_firings;
    char *calendars[] = { (char *)(uintptr_t)more.calendar };
    schedule.calendars = calendars;
    schedule.n_calendars = more.calendar != NULL;
    assert_int_equal(world_put_schedule(&world, &schedule), 0);
}

static Pawl__V1__Rehearse of_job(int64_t from, int64_t to)
{
    Pawl__V1__Rehearse ask = PAWL__V1__REHEARSE__INIT;
    ask.name = (char *)(uintptr_t) "job";
    ask.down_from_us = from;
    ask.down_to_us = to;
    return ask;
}

static uint64_t said(const Pawl__V1__Rehearsal *rehearsal, const char *verdict, const char *reason)
{
    uint64_t n = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++)
        if (strcmp(rehearsal->items[i]->verdict, verdict) == 0 &&
            strcmp(rehearsal->items[i]->reason, reason) == 0)
            n += rehearsal->items[i]->count;
    return n;
}

static const wish_t plain = { .mode = V(MODE, NORMAL), .grace_us = -1 };
static const wish_t strict = { .mode = V(MODE, STRICT), .grace_us = -1 };

static void nobody_by_that_name_cannot_be_rehearsed(void **state)
{
    (void)state;
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    assert_int_equal(world.reply.error->code, ERR_NOT_FOUND);
}

static uint32_t refused(Pawl__V1__Schedule *schedule)
{
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    body.schedule = schedule;
    ask.name = (char *)(uintptr_t) "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    return world.reply.error->code;
}

static void what_could_not_be_put_is_refused_as_then(void **state)
{
    (void)state;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(&plain, "new", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "0 0 30 2 *";
    assert_int_equal(refused(&schedule), ERR_BAD_RULE);
    assert_string_equal(world.reply.error->field, "schedule.rule");
    define(&plain, "new", &schedule, packed);
    schedule.zone = (char *)(uintptr_t) "Mars/Olympus";
    assert_int_equal(refused(&schedule), ERR_BAD_ZONE);
    define(&plain, "new", &schedule, packed);
    char *calendars[] = { (char *)(uintptr_t) "nowhere" };
    schedule.calendars = calendars;
    schedule.n_calendars = 1;
    assert_int_equal(refused(&schedule), ERR_NOT_FOUND);
    define(&plain, "new", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "@at 2020-01-01T00:00:00Z";
    assert_int_equal(refused(&schedule), ERR_TOO_LATE);
}

static void nothing_of_it_is_kept(void **state)
{
    (void)state;
    put(&strict);
    world_sleep(&world, MINUTE);
    uint64_t hash = memstore_hash(world.store);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 3 * HOUR);
    assert_int_equal(said(rehearse(&ask), "fired", "catchup"), 120);
    assert_int_equal(memstore_hash(world.store), hash);
}

static void a_year_is_one_span_in_normal_and_is_cut_in_strict(void **state)
{
    (void)state;
    put(&plain);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + HOUR + 365 * DAY);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_string_equal(rehearsal->cut, "");
    assert_int_equal(rehearsal->down, 365 * 24 * 60);
    /* the instant of the end is on time */
    assert_int_equal(said(rehearsal, "skipped", "late"), 365 * 24 * 60);
    assert_true(rehearsal->n_items < 10);
    assert_int_equal(rehearsal->n_next_us, 3);
    assert_int_equal(rehearsal->caught_up_us, ask.down_to_us);

    wish_t slow = strict;
    slow.mode = V(MODE, STRICT);
    put(&slow);
    rehearsal = rehearse(&ask);
    assert_string_not_equal(rehearsal->cut, "");
    assert_in_range(said(rehearsal, "fired", "catchup"), 1000, 1200);
    assert_in_range(rehearsal->schedule->behind, 365 * 24 * 60 - 1200, 365 * 24 * 60);
    assert_int_equal(rehearsal->caught_up_us, 0);
}

static void what_would_be_counted_for_seconds_is_refused(void **state)
{
    (void)state;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    char *also[] = { "*/11 * * * *" };
    define(&plain, "new", &schedule, packed);
    schedule.rule = "@every 7s from 2020-01-01T00:00:00Z";
    schedule.also = also;
    schedule.n_also = 1;
    body.schedule = &schedule;
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + 10 * 365 * DAY);
    ask.name = "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_int_equal(world.reply.error->code, ERR_TOO_LARGE);
    ask.down_to_us = world.wall_us + DAY;
    assert_int_equal(said(rehearse(&ask), "fired", "on time"), 4);
}

/* Before an outage that lies ahead the play begins at the cursor, however far behind that is. */
static void what_would_be_counted_from_an_old_cursor_on_is_refused(void **state)
{
    (void)state;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    char *also[] = { "*/11 * * * *" };
    put(&plain);
    world_sleep(&world, 365 * DAY); /* nobody proposed */
    define(&plain, "job", &schedule, packed);
    schedule.mode = V(MODE, STRICT);
    schedule.overlap = V(OVERLAP, ALLOW);
    schedule.rule = "@every 7s from 2020-01-01T00:00:00Z";
    schedule.also = also;
    schedule.n_also = 1;
    body.schedule = &schedule;
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 2 * HOUR);
    ask.name = "";
    ask.put = &body;
    assert_int_equal(query_rehearse(world_ask(&world), &ask, &world.reply), ERR_OK);
    assert_non_null(world.reply.error);
    assert_int_equal(world.reply.error->code, ERR_TOO_LARGE);
}

/* Long runs, and what waits behind them for days: time is not walked through second by second. */
static void a_run_may_take_longer_than_its_period(void **state)
{
    (void)state;
    wish_t wish = plain;
    wish.overlap = V(OVERLAP, QUEUE_ONE);
    put_more(&wish, (more_t){ .rule = "0 0 * * *" });
    Pawl__V1__Rehearse ask = of_job(world.wall_us + 100 * DAY + HOUR, world.wall_us + 130 * DAY);
    ask.takes_us = 40 * HOUR;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_string_equal(rehearsal->cut, "");
    assert_int_equal(said(rehearsal, "skipped", "late"), 29);
    assert_int_equal(said(rehearsal, "fired", "on time"), 4);
}

static void a_pause_is_told_and_decides_nothing(void **state)
{
    (void)state;
    put(&plain);
    Pawl__V1__ScheduleChange change = PAWL__V1__SCHEDULE_CHANGE__INIT;
    change.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE;
    change.name = (char *)(uintptr_t) "job";
    assert_int_equal(world_change_schedule(&world, &change), 0);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 2 * HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(rehearsal->n_items, 0);
    assert_int_equal(rehearsal->n_notes, 1);
    assert_string_equal(rehearsal->schedule->state, "paused");
}

static void a_clock_that_is_put_forward_in_the_outage_counts_once(void **state)
{
    (void)state;
    world_zone(&world, "Europe/Berlin");
    put_more(&strict, (more_t){ .rule = "30 2 * * *", .zone = "Europe/Berlin" });
    /* 2026-03-29: 02:30 is not shown, it fires at 03:00 = 01:00 UTC */
    int64_t day = INT64_C(1774742400) * SECOND;
    Pawl__V1__Rehearse ask = of_job(day - DAY + HOUR, day + 2 * HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup"), 2);
    assert_int_equal(rehearsal->items[1]->from_us, day + HOUR);
}

static void calendars_close_on_the_stage_too(void **state)
{
    (void)state;
    const char *const closed[] = { "2026-01-02", "2026-01-04..2026-01-05" };
    assert_int_equal(world_set_calendar(&world, "closed", closed, 2), 0);
    put_more(&strict, (more_t){ .rule = "0 12 * * *", .calendar = "closed" });
    int64_t new_year = INT64_C(1767225600) * SECOND;
    Pawl__V1__Rehearse ask = of_job(new_year, new_year + 6 * DAY); /* 1, 3 and 6 are open */
    assert_int_equal(said(rehearse(&ask), "fired", "catchup"), 3);
}

static void a_fixed_delay_is_never_missed_only_late(void **state)
{
    (void)state;
    put_more(&plain, (more_t){ .after_us = 10 * MINUTE });
    Pawl__V1__Rehearse ask = of_job(world.wall_us + HOUR, world.wall_us + 3 * HOUR);
    ask.takes_us = 30 * SECOND;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(rehearsal->n_items, 4);
    assert_int_equal(rehearsal->items[0]->started_us, ask.down_to_us);
    for (size_t i = 1; i < rehearsal->n_items; i++)
        assert_int_equal(rehearsal->items[i]->from_us,
                         rehearsal->items[i - 1]->started_us + 30 * SECOND + 10 * MINUTE);
}

static void a_number_of_firings_ends_it_there_too(void **state)
{
    (void)state;
    put_more(&strict, (more_t){ .max_firings = 12 });
    int64_t begun = world.wall_us;
    live(begun + 5 * MINUTE + SECOND, INT64_MAX, INT64_MAX, SECOND, SECOND);
    /* five have fired: two more before, then four of the outage and one on time */
    Pawl__V1__Rehearse ask = of_job(begun + 7 * MINUTE + SECOND, begun + 11 * MINUTE + SECOND);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup"), 3);
    assert_int_equal(said(rehearsal, "fired", "on time"), 2);
    assert_string_equal(rehearsal->schedule->state, "ended");
    assert_int_equal(rehearsal->n_next_us, 0);
}

static void a_backfill_that_runs_goes_on_beside(void **state)
{
    (void)state;
    wish_t wish = strict;
    wish.overlap = V(OVERLAP, ALLOW);
    put(&wish);
    Pawl__V1__ScheduleChange change = PAWL__V1__SCHEDULE_CHANGE__INIT;
    change.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL;
    change.name = (char *)(uintptr_t) "job";
    change.from_us = world.wall_us - DAY;
    change.to_us = world.wall_us - DAY + HOUR;
    change.rate = 1;
    assert_int_equal(world_change_schedule(&world, &change), 0);
    world_sleep(&world, 20 * MINUTE);
    /* an outage of half an hour that begins with the first of its sixty */
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + 30 * MINUTE);
    ask.until_us = ask.down_to_us + 10 * MINUTE;
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    uint64_t backfilled = said(rehearsal, "fired", "backfill");
    assert_in_range(backfilled, 1, 60);
    for (size_t i = 0; i < rehearsal->n_items; i++)
        if (rehearsal->items[i]->range)
            assert_true(rehearsal->items[i]->started_us >= ask.down_to_us);
}

/* Given a strict schedule that was an hour behind, and of whose backlog a range was split off: how
 * much of the range is left to fire. Some of it is made already, as many as `ahead` leaves to it.
 */
static uint64_t given_a_backlog_split_off(wish_t *wish)
{
    *wish = strict;
    wish->overlap = V(OVERLAP, ALLOW);
    wish->live_first = true;
    wish->ahead = 8;
    put(wish);
    world_sleep(&world, HOUR);
    propose_once(600 * SECOND);
    const Pawl__V1__ScheduleInfo *info = world_schedule_get(&world, "job");
    assert_int_equal(info->n_ranges, 1);
    assert_true(info->ranges[0]->left > 40);
    return info->ranges[0]->left;
}

static void a_backlog_that_was_split_off_is_played_as_it_stands(void **state)
{
    (void)state;
    wish_t wish;
    uint64_t left = given_a_backlog_split_off(&wish);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + SECOND, world.wall_us + 10 * MINUTE);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    uint64_t of_range = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++) {
        of_range += rehearsal->items[i]->range == 1;
        for (size_t k = 0; k < i; k++) /* nothing twice, on whatever line */
            assert_int_not_equal(rehearsal->items[k]->from_us, rehearsal->items[i]->from_us);
    }
    assert_in_range(of_range, left - 8, left);
}

/* Instants of the line of time, and of what is split off from it in the outage, lie at every ten
 * minutes; `left` of the range that was there at every one. */
static void two_rules_are_played(const Pawl__V1__Rehearse *ask, uint64_t left)
{
    const Pawl__V1__Rehearsal *rehearsal = rehearse(ask);
    uint64_t of_range = 0, of_line = 0;
    for (size_t i = 0; i < rehearsal->n_items; i++) {
        const Pawl__V1__RehearsalItem *item = rehearsal->items[i];
        of_range += item->range == 1 ? item->count : 0;
        of_line += item->range == 1 ? 0 : item->count;
        if (item->range != 1) assert_int_equal(item->from_us % (10 * MINUTE), 0);
    }
    assert_in_range(of_range, left - 8, left);
    assert_int_equal(of_line, 6 + 3); /* six of the outage, three after it */
}

/* The range keeps the rule it was split off with, and the line of time has that of today. */
static void a_backlog_of_the_rule_before_leaves_the_rule_of_today(void **state)
{
    (void)state;
    wish_t wish;
    uint64_t left = given_a_backlog_split_off(&wish);
    Pawl__V1__Rehearse ask = of_job(world.wall_us + SECOND, world.wall_us + HOUR + SECOND);
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule;
    uint8_t packed[256];
    define(&wish, "job", &schedule, packed);
    schedule.rule = (char *)(uintptr_t) "*/10 * * * *";
    body.schedule = &schedule;
    ask.put = &body; /* were it put now */
    two_rules_are_played(&ask, left);
    put_more(&wish, (more_t){ .rule = schedule.rule });
    ask.put = NULL;
    two_rules_are_played(&ask, left);
}

static void one_that_is_behind_begins_where_it_stands(void **state)
{
    (void)state;
    put(&strict);
    world_sleep(&world, 3 * HOUR); /* nobody proposed: 180 behind */
    Pawl__V1__Rehearse ask = of_job(world.wall_us, world.wall_us + HOUR);
    const Pawl__V1__Rehearsal *rehearsal = rehearse(&ask);
    assert_int_equal(said(rehearsal, "fired", "catchup") + said(rehearsal, "fired", "on time"),
                     180 + 60 + 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_outage_is_what_was_said_of_it),
        TEST(nobody_by_that_name_cannot_be_rehearsed),
        TEST(what_could_not_be_put_is_refused_as_then),
        TEST(nothing_of_it_is_kept),
        TEST(a_year_is_one_span_in_normal_and_is_cut_in_strict),
        TEST(what_would_be_counted_for_seconds_is_refused),
        TEST(what_would_be_counted_from_an_old_cursor_on_is_refused),
        TEST(a_run_may_take_longer_than_its_period),
        TEST(a_pause_is_told_and_decides_nothing),
        TEST(a_clock_that_is_put_forward_in_the_outage_counts_once),
        TEST(calendars_close_on_the_stage_too),
        TEST(a_fixed_delay_is_never_missed_only_late),
        TEST(a_number_of_firings_ends_it_there_too),
        TEST(a_backfill_that_runs_goes_on_beside),
        TEST(a_backlog_that_was_split_off_is_played_as_it_stands),
        TEST(a_backlog_of_the_rule_before_leaves_the_rule_of_today),
        TEST(one_that_is_behind_begins_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

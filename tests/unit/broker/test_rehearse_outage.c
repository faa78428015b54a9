/* SPDX-License-Identifier: Apache-2.0
 * What explain says of an outage is what core did in it: for each mode, overlap policy and bound a
 * real core lives through one, and its history is compared with rehearsals of the same outage,
 * asked for before it, behind it, and of a schedule that is not on record. */
#include "tests/unit/broker/rehearse_world.h"

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
    world_ends_whole(state);
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
                world_ends_whole(state);
                played++;
            }
    print_message("%u outages\n", played);
    set_up(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_ends_whole)
    const struct CMUnitTest tests[] = {
        TEST(an_outage_is_what_was_said_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

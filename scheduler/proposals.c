/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/proposals.h"

#include <stdlib.h>

#include "client/base/clock.h"
#include "client/base/hist.h"
#include "client/base/log.h"
#include "client/base/turn.h"

/* In one request: some milliseconds of the broker's time, so that the first of very many are
 * durable long before the last; under way: four full batches of the broker, so that it never waits
 * for us, and well below what a peer may have in flight (LIMIT_ITEMS_IN_FLIGHT). */
enum { PROPOSALS_MAX = 512, REQUESTS_MAX = 16 };
#define LOOK_AGAIN_US   INT64_C(1000000) /* longest sleep: the wall clock may jump */
#define FAILED_AGAIN_US INT64_C(1000000)
#define TELL_AFTER_US   INT64_C(10000000) /* a line in the log for the firings of so long */

enum { RANGE_TOLD = 1 }; /* entry_t.list of a range */

struct proposals {
    pawl_client_t *client;
    timeline_t *line;
    int64_t offset_us; /* broker's clock - ours */
    uint8_t list;      /* number of the list that is being told, or was told last */
    unsigned requests; /* under way */
    int64_t begun_us;  /* steady: proposals_start; 0: the first proposal was told */
    hist_t lateness;   /* since tell_us: from an instant to the answer that its task is durable */
    uint64_t backlog;  /* likewise: firings of a gap, which are not in it */
    int64_t tell_us;   /* own wall clock: when the log is told of it; 0: nothing to tell */
};

/* One request under way, so that its answers find their schedules. */
typedef struct sent {
    proposals_t *owner;
    size_t n;
    int64_t sent_us; /* own wall clock */
    pawl_proposal_t items[];
} sent_t;

proposals_t *proposals_new(pawl_client_t *client)
{
    proposals_t *self = mem_new(sizeof *self);
    self->client = client;
    self->line = timeline_new();
    return self;
}

void proposals_destroy(proposals_t **self_p)
{
    if (*self_p == NULL) return;
    timeline_destroy(&(*self_p)->line);
    free(*self_p);
    *self_p = NULL;
}

timeline_t *proposals_timeline(proposals_t *self)
{
    return self->line;
}

/* A turn: due then, or, with a proposal under way, once that is answered. */
static void tell_due(proposals_t *self, entry_t *entry, int64_t due)
{
    if (!entry->proposed)
        timeline_set_due(self->line, entry, due);
    else
        entry->told_us = due; /* the answer under way may be older than this */
}

static void on_range(proposals_t *self, entry_t *schedule, bool paused, const pawl_record_t *range)
{
    uint16_t number = (uint16_t)pawl_record_int(range, "number");
    if (number == 0) return;
    entry_t *entry = timeline_range(self->line, schedule, number);
    entry->list = RANGE_TOLD;
    entry->revision = (uint64_t)pawl_record_int(range, "revision");
    entry->cursor_us = pawl_record_int(range, "cursor_us");
    bool open = !paused && strcmp(pawl_record_text(range, "state"), "open") == 0;
    tell_due(self, entry, turn_of_range(open, clock_wall_us() + self->offset_us));
}

/* All of its ranges that are not done: who is not among them has ended. */
static void on_ranges(proposals_t *self, entry_t *schedule, bool paused, const pawl_record_t *info)
{
    for (entry_t *range = schedule->ranges; range; range = range->ranges)
        range->list = 0;
    for (size_t i = 0; i < pawl_record_count(info, "ranges"); i++)
        on_range(self, schedule, paused, pawl_record_sub_at(info, "ranges", i));
    for (entry_t *range = schedule->ranges, *next; range; range = next) {
        next = range->ranges;
        if (range->list != RANGE_TOLD) timeline_remove(self->line, range);
    }
}

void proposals_on_schedule(proposals_t *self, pawl_follow_what what, const pawl_record_t *schedule)
{
    if (what == PAWL_FOLLOW_BEGIN) {
        self->list++;
        return;
    }
    if (what == PAWL_FOLLOW_END) {
        size_t gone = timeline_keep(self->line, self->list);
        log_event(LOG_INFO, "SCHEDULES_LISTED", "n=%zu gone=%zu", timeline_size(self->line), gone);
        return;
    }
    size_t len;
    const void *uid = pawl_record_bytes(schedule, "uid", &len);
    if (len != 16) return;
    if (pawl_record_int(schedule, "removed")) {
        entry_t *known = timeline_find(self->line, uid);
        if (known) timeline_remove(self->line, known);
        return;
    }
    entry_t *entry = timeline_entry(self->line, uid);
    entry->list = self->list;
    entry->revision = (uint64_t)pawl_record_int(schedule, "revision");
    entry->cursor_us = pawl_record_int(schedule, "cursor_us");
    entry->jitter_us = pawl_record_int(schedule, "jitter_us");
    bool paused = strcmp(pawl_record_text(schedule, "state"), "paused") == 0;
    tell_due(self, entry, turn_of_schedule(pawl_record_int(schedule, "next_us"), paused));
    on_ranges(self, entry, paused, schedule);
}

void proposals_take(proposals_t *self, const uint8_t uid[16], uint64_t revision, int64_t cursor_us,
                    int64_t next_us, int64_t retry_us, const char *verdict)
{
    entry_t *entry = timeline_find(self->line, uid);
    if (entry == NULL) return;
    int64_t told_us = entry->told_us;
    entry->proposed = false;
    entry->told_us = TIMELINE_NEVER;
    if (strcmp(verdict, "gone") == 0) {
        timeline_remove(self->line, entry);
        return;
    }
    if (revision < entry->revision) { /* of before a change that we were told of already */
        timeline_set_due(self->line, entry, told_us);
        return;
    }
    /* that of a range may go back in time: it begins with the newest */
    bool moved = revision > entry->revision ||
                 (entry->range ? cursor_us != entry->cursor_us : cursor_us > entry->cursor_us);
    if (moved) {
        entry->cursor_us = cursor_us;
        entry->revision = revision;
    }
    turn_answer_t answer = { .moved = moved,
                             .held = strcmp(verdict, "held") == 0,
                             .next_us = next_us,
                             .retry_us = retry_us,
                             .told_us = told_us };
    timeline_set_due(self->line, entry, turn_after(&answer, clock_wall_us() + self->offset_us));
}

static void on_follow(pawl_follow_what what, const pawl_record_t *schedule, void *arg)
{
    proposals_on_schedule(arg, what, schedule);
}

pawl_err proposals_start(proposals_t *self, const char *select)
{
    self->begun_us = clock_steady_us();
    return pawl_schedule_follow_select(self->client, select, on_follow, self);
}

/* No answer for those from `first` on: proposed again in a moment. */
static void failed(proposals_t *self, const sent_t *sent, size_t first, pawl_err err)
{
    if (first >= sent->n) return;
    log_event(LOG_WARN, "PROPOSAL_FAILED", "n=%zu error=%s", sent->n - first, pawl_err_name(err));
    for (size_t i = first; i < sent->n; i++) {
        uint8_t uid[16];
        timeline_range_uid(sent->items[i].uid, sent->items[i].range, uid);
        entry_t *entry = timeline_find(self->line, uid);
        if (entry == NULL) continue;
        entry->proposed = false;
        entry->told_us = TIMELINE_NEVER;
        timeline_set_due(self->line, entry, clock_wall_us() + self->offset_us + FAILED_AGAIN_US);
    }
}

/* The broker read its clock somewhere between the request and its answer: what we take for the
 * difference is moved only as far as that proves it wrong. An answer that was slow proves little.
 */
void proposals_compare(proposals_t *self, int64_t sent_us, int64_t told_us, int64_t now_us)
{
    int64_t least = told_us - now_us, most = told_us - sent_us;
    if (self->offset_us > most) self->offset_us = most;
    if (self->offset_us < least) self->offset_us = least; /* the last word: our clock may step */
}

int64_t proposals_offset(const proposals_t *self)
{
    return self->offset_us;
}

/* How late, with all that came in between. Firings of a backlog are counted apart: their lateness
 * is that of the gap. */
static void measure(proposals_t *self, const sent_t *sent, const pawl_record_t *item, size_t i,
                    int64_t now_us)
{
    enum { BACKLOG_US = 60000000 };
    const entry_t *entry = timeline_find(self->line, sent->items[i].uid);
    if (entry == NULL || pawl_record_int(item, "fired") == 0) return;
    int64_t late_us =
        now_us + self->offset_us - pawl_record_int(item, "cursor_us") - entry->jitter_us;
    if (late_us > BACKLOG_US)
        self->backlog += (uint64_t)pawl_record_int(item, "fired");
    else
        hist_add(&self->lateness, late_us);
    if (self->tell_us == 0) self->tell_us = now_us + TELL_AFTER_US;
}

static void tell_lateness(proposals_t *self, int64_t now_us)
{
    const hist_t *late = &self->lateness;
    if (self->tell_us == 0 || now_us < self->tell_us) return;
    log_event(LOG_INFO, "FIRED", "n=%llu p50_us=%lld p99_us=%lld max_us=%lld backlog=%llu",
              (unsigned long long)late->count, (long long)hist_percentile(late, 500),
              (long long)hist_percentile(late, 990), (long long)late->max,
              (unsigned long long)self->backlog);
    hist_reset(&self->lateness);
    self->backlog = 0;
    self->tell_us = 0;
}

static void on_answer(const pawl_record_t *answer, pawl_err err, void *arg)
{
    sent_t *sent = arg;
    proposals_t *self = sent->owner;
    self->requests--;
    if (answer == NULL) {
        failed(self, sent, 0, err);
        free(sent);
        return;
    }
    int64_t now_us = clock_wall_us();
    proposals_compare(self, sent->sent_us, pawl_record_int(answer, "wall_us"), now_us);
    size_t n = pawl_record_count(answer, "items");
    for (size_t i = 0; i < n && i < sent->n; i++) {
        const pawl_record_t *item = pawl_record_sub_at(answer, "items", i);
        uint8_t uid[16];
        timeline_range_uid(sent->items[i].uid, sent->items[i].range, uid);
        proposals_take(self, uid, (uint64_t)pawl_record_int(item, "revision"),
                       pawl_record_int(item, "cursor_us"), pawl_record_int(item, "next_us"),
                       pawl_record_int(item, "retry_us"), pawl_record_text(item, "verdict"));
        measure(self, sent, item, i, now_us);
    }
    failed(self, sent, n, PAWL_E_EMPTY);
    free(sent);
}

int64_t proposals_run(proposals_t *self, int64_t now_us)
{
    int64_t broker_us = now_us + self->offset_us;
    tell_lateness(self, now_us);
    while (self->requests < REQUESTS_MAX) {
        sent_t *sent = NULL;
        for (entry_t *entry; (entry = timeline_first(self->line)) && entry->due_us <= broker_us;) {
            if (sent == NULL) {
                sent = mem_new(sizeof *sent + PROPOSALS_MAX * sizeof *sent->items);
                sent->owner = self;
                sent->sent_us = now_us;
            }
            pawl_proposal_t *item = &sent->items[sent->n++];
            timeline_range_uid(entry->uid, entry->range, item->uid); /* back to the schedule's */
            item->range = entry->range;
            item->revision = entry->revision;
            item->expect_cursor_us = entry->cursor_us;
            item->new_cursor_us = turn_upto(entry->jitter_us, broker_us);
            entry->proposed = true;
            timeline_set_due(self->line, entry, TIMELINE_NEVER);
            if (sent->n == PROPOSALS_MAX) break;
        }
        if (sent == NULL) break;
        pawl_err err = pawl_propose(self->client, sent->items, sent->n, on_answer, sent);
        if (err != PAWL_OK) {
            failed(self, sent, 0, err);
            free(sent);
            break;
        }
        self->requests++;
        if (self->begun_us)
            log_event(LOG_INFO, "PROPOSING", "first_after_ms=%lld",
                      (long long)(clock_steady_us() - self->begun_us) / 1000);
        self->begun_us = 0;
    }
    if (self->requests == REQUESTS_MAX) return now_us + LOOK_AGAIN_US; /* an answer wakes us */
    entry_t *first = timeline_first(self->line);
    int64_t next =
        first && first->due_us != TIMELINE_NEVER ? first->due_us - self->offset_us : INT64_MAX;
    return next < now_us + LOOK_AGAIN_US ? next : now_us + LOOK_AGAIN_US;
}

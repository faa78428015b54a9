/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "broker/endpoint.h"
#include "broker/unread.h"
#include "client/base/log.h"
#include "client/base/ulid.h"
#include "schemas/limits.h"

enum { WINDOW_SECONDS = 60, EVENT_PREFIX = 6 }; /* "event." */

/* ---- the last minute ------------------------------------------------------------------------- */

typedef struct sample {
    int64_t steady_us;
    uint64_t submitted, started, ended;
    hist_t queue, run, commit, batch; /* since start */
} sample_t;

struct stats_window {
    sample_t samples[WINDOW_SECONDS]; /* a ring */
    unsigned n, next;
};

stats_window_t *stats_window_new(void)
{
    return mem_new(sizeof(stats_window_t));
}

void stats_window_destroy(stats_window_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void stats_window_add(stats_window_t *self, const writer_stats_t *now, int64_t steady_us)
{
    self->samples[self->next] = (sample_t){ .steady_us = steady_us,
                                            .submitted = now->core.submitted,
                                            .started = now->core.started,
                                            .ended = now->core.ended,
                                            .queue = now->queue,
                                            .run = now->run,
                                            .commit = now->commit,
                                            .batch = now->batch };
    self->next = (self->next + 1) % WINDOW_SECONDS;
    self->n += self->n < WINDOW_SECONDS;
}

/* The sample of `back` seconds ago (1: the newest), or the oldest there is; NULL: none yet. */
static const sample_t *sample_back(const stats_window_t *self, unsigned back)
{
    if (self->n == 0) return NULL;
    if (back > self->n) back = self->n;
    return &self->samples[(self->next + WINDOW_SECONDS - back) % WINDOW_SECONDS];
}

/* What was added between two snapshots of one histogram. The largest value of the span is known
 * only as well as its bucket. */
static hist_t between(const hist_t *now, const hist_t *then)
{
    hist_t span = *now;
    if (then == NULL) return span;
    span.count -= then->count;
    span.sum -= then->sum;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        span.buckets[i] -= then->buckets[i];
    if (now->max > then->max || span.count == 0) {
        span.max = span.count ? now->max : 0;
        return span;
    }
    unsigned top = HIST_BUCKETS - 1;
    while (top > 0 && span.buckets[top] == 0)
        top--;
    hist_t highest = { .count = 1, .max = now->max };
    highest.buckets[top] = 1;
    span.max = hist_percentile(&highest, 500);
    return span;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_text(buf_t *out, const char *text)
{
    buf_add(out, "\"", 1);
    for (const uint8_t *at = (const uint8_t *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            buf_printf(out, "\\%c", *at);
        else if (*at < 0x20)
            buf_printf(out, "\\u%04x", *at);
        else
            buf_add(out, at, 1);
    }
    buf_add(out, "\"", 1);
}

/* Seconds, as JSON's records have durations and instants of numbers: with six decimals. */
static void put_seconds(buf_t *out, const char *name, int64_t us)
{
    buf_printf(out, "\"%s\":%s%lld.%06lld", name, us < 0 ? "-" : "", (long long)llabs(us / 1000000),
               (long long)llabs(us % 1000000));
}

static void put_instant(buf_t *out, const char *name, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(out, "\"%s\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\"", name, tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us % 1000000));
}

static const char *status_word(unsigned status)
{
    static const char *const words[] = {
        [1] = "held",      [2] = "delayed",     [3] = "blocked",  [4] = "waiting",
        [5] = "running",   [6] = "external",    [7] = "finished", [8] = "failed",
        [9] = "cancelled", [10] = "superseded", [11] = "expired",
    };
    return words[status];
}

static void put_counts(buf_t *out, const uint64_t counts[12])
{
    for (unsigned i = 1; i < 12; i++)
        buf_printf(out, "%s\"%s\":%llu", i > 1 ? "," : "", status_word(i),
                   (unsigned long long)counts[i]);
}

static void put_latency(buf_t *out, const char *name, const hist_t *now, const hist_t *then)
{
    hist_t span = between(now, then);
    buf_printf(out, "\"%s\":{\"count\":%llu,", name, (unsigned long long)span.count);
    put_seconds(out, "p50", hist_percentile(&span, 500));
    buf_printf(out, ",");
    put_seconds(out, "p99", hist_percentile(&span, 990));
    buf_printf(out, ",");
    put_seconds(out, "max", span.max);
    buf_printf(out, "}");
}

static void put_queues(buf_t *out, const core_stats_t *core, int64_t steady_us, int64_t *oldest_us)
{
    buf_printf(out, "\"queues\":{");
    for (size_t i = 0; i < core->queue_count; i++) {
        const core_queue_stats_t *queue = &core->queues[i];
        int64_t age = queue->oldest_ready_us < steady_us ? steady_us - queue->oldest_ready_us : 0;
        if (age > *oldest_us) *oldest_us = age;
        buf_printf(out, "%s", i ? "," : "");
        put_text(out, queue->name);
        buf_printf(out, ":{");
        put_counts(out, queue->counts);
        buf_printf(out, ",\"paused\":%s,", queue->paused ? "true" : "false");
        put_seconds(out, "oldest_waiting", age);
        buf_printf(out, "}");
    }
    buf_printf(out, "},");
}

static void put_rates(buf_t *out, const stats_window_t *window, const core_stats_t *core,
                      int64_t steady_us)
{
    /* over about the last second; with a fresh sample at hand, over the one before it */
    const sample_t *then = sample_back(window, 1);
    if (then && steady_us - then->steady_us < PAWL_SEC_US / 2) then = sample_back(window, 2);
    double span = then ? (double)(steady_us - then->steady_us) / 1e6 : 0;
    if (span <= 0) span = 1;
    buf_printf(out, "\"rates\":{\"submitted\":%.1f,\"started\":%.1f,\"ended\":%.1f},",
               (double)(core->submitted - (then ? then->submitted : 0)) / span,
               (double)(core->started - (then ? then->started : 0)) / span,
               (double)(core->ended - (then ? then->ended : 0)) / span);
}

void stats_json(buf_t *out, const stats_window_t *window, const writer_stats_t *now,
                int64_t steady_us, const front_numbers_t *front)
{
    const core_stats_t *core = &now->core;
    const sample_t *minute = sample_back(window, WINDOW_SECONDS);
    if (minute && window->n < WINDOW_SECONDS)
        minute = NULL; /* younger than a minute: everything since start */
    int64_t oldest_us = 0;
    buf_printf(out, "{");
    put_instant(out, "time", front->wall_us);
    buf_printf(out, ",");
    put_seconds(out, "uptime", front->uptime_us);
    buf_printf(out, ",\"tasks\":{");
    put_counts(out, core->counts);
    buf_printf(out, "},");
    put_queues(out, core, steady_us, &oldest_us);
    put_rates(out, window, core, steady_us);
    buf_printf(out, "\"latency\":{");
    put_latency(out, "queue", &now->queue, minute ? &minute->queue : NULL);
    buf_printf(out, ",");
    put_latency(out, "run", &now->run, minute ? &minute->run : NULL);
    buf_printf(out, "},\"executors\":%u,\"slots\":%u,\"slots_used\":%u,", front->executors,
               front->slots, front->slots_used);
    put_seconds(out, "oldest_waiting", oldest_us);
    hist_t commit = between(&now->commit, minute ? &minute->commit : NULL);
    hist_t batch = between(&now->batch, minute ? &minute->batch : NULL);
    buf_printf(out, ",\"commit\":{\"count\":%llu,", (unsigned long long)core->commits);
    put_seconds(out, "p50", hist_percentile(&commit, 500));
    buf_printf(out, ",");
    put_seconds(out, "p99", hist_percentile(&commit, 990));
    buf_printf(out, ",\"batch\":%.1f},",
               batch.count ? (double)batch.sum / (double)batch.count : 0.0);
    buf_printf(out, "\"store\":{\"used\":%llu,\"live\":%llu,\"map\":%llu,\"level\":",
               (unsigned long long)now->usage.used_bytes,
               (unsigned long long)(now->usage.used_bytes - now->usage.held_bytes),
               (unsigned long long)now->usage.map_bytes);
    put_text(out, core->level ? core->level : "ok");
    buf_printf(out,
               ",\"reserved\":%llu,\"leases_left\":%llu},\"schedules\":%u,\"peers\":%u,"
               "\"requests\":%llu,\"rejected_frames\":%llu,"
               "\"undelivered\":%llu,\"poisoned\":%llu,\"slow_peers\":%llu,\"unread\":%llu,"
               "\"logs_lost\":%llu,"
               "\"events_seq\":%llu}",
               (unsigned long long)core->reserved_bytes, (unsigned long long)core->leases_left,
               core->schedules, front->peers, (unsigned long long)front->requests,
               (unsigned long long)front->rejected_frames, (unsigned long long)front->undelivered,
               (unsigned long long)front->poisoned, (unsigned long long)front->slow_peers,
               (unsigned long long)front->unread, (unsigned long long)front->logs_lost,
               (unsigned long long)core->events_seq);
}

bool stats_event_json(buf_t *out, char topic[256], slice_t packed)
{
    Pawl__V1__EventInfo *info = pawl__v1__event_info__unpack(NULL, packed.len, packed.at);
    if (info == NULL) return false;
    snprintf(topic, 256, "event.%.40s.%.200s", info->kind, info->queue);
    char id[ULID_TEXT + 1] = "";
    if (info->id.len == ULID_BYTES) ulid_print(info->id.data, id);
    buf_printf(out, "{\"seq\":%llu,", (unsigned long long)info->seq);
    put_instant(out, "time", info->time_us);
    const struct {
        const char *name, *text;
    } fields[] = {
        { "kind", info->kind },     { "id", id },
        { "name", info->name },     { "executor", info->executor },
        { "queue", info->queue },   { "type", info->type },
        { "detail", info->detail },
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        buf_printf(out, ",\"%s\":", fields[i].name);
        put_text(out, fields[i].text);
    }
    buf_printf(out, ",\"attempt\":%u}", info->attempt);
    pawl__v1__event_info__free_unpacked(info, NULL);
    return true;
}

page_t *page_new(void)
{
    return mem_new(sizeof(page_t));
}

void page_free(page_t **self_p)
{
    if (*self_p) buf_free(&(*self_p)->bytes);
    free(*self_p);
    *self_p = NULL;
}

/* ---- the actor ------------------------------------------------------------------------------- */

struct stats {
    zactor_t *actor;
    zsock_t *near, *far;
    zsock_t *publisher;
    char *endpoint;
    unsigned event_subscriptions;
    unread_t *unread; /* of all subscribers together: they share the frames */
    uint64_t unread_most;
    connection_t *subscribers; /* that subscribed since the last cut, some of them gone again */
    size_t subscribers_n, subscribers_room;
};

static void note_subscriber(stats_t *self, connection_t connection)
{
    if (connection.fd < 0) return;
    for (size_t i = 0; i < self->subscribers_n; i++)
        if (self->subscribers[i].fd == connection.fd) { /* the same, or its number is used again */
            self->subscribers[i] = connection;
            return;
        }
    if (self->subscribers_n == self->subscribers_room) {
        self->subscribers_room = self->subscribers_room ? self->subscribers_room * 2 : 16;
        self->subscribers =
            mem_grow(self->subscribers, self->subscribers_room * sizeof *self->subscribers);
    }
    self->subscribers[self->subscribers_n++] = connection;
}

/* Somebody subscribed and does not read. Nobody tells who, so all are disconnected: who reads comes
 * back by itself within a moment, and sees from the sequence what it missed. */
static void cut_subscribers(stats_t *self)
{
    log_event(LOG_WARN, "SUBSCRIBERS_CUT", "subscribers=%zu unread=%llu", self->subscribers_n,
              (unsigned long long)unread_bytes(self->unread));
    for (size_t i = 0; i < self->subscribers_n; i++)
        connection_cut(&self->subscribers[i]);
    self->subscribers_n = 0;
    unread_drop(&self->unread); /* what is on its way out counts no more */
    self->unread = unread_new();
}

static void publish(stats_t *self, const char *topic, slice_t json)
{
    void *socket = zsock_resolve(self->publisher);
    if (unread_bytes(self->unread) > self->unread_most) cut_subscribers(self);
    if (zmq_send(socket, topic, strlen(topic), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return;
    zmq_msg_t frame;
    unread_frame(self->unread, &frame, json.at, json.len);
    if (zmq_msg_send(&frame, socket, ZMQ_DONTWAIT) < 0) zmq_msg_close(&frame);
}

static void publish_events(stats_t *self, slice_t page)
{
    reader_t in = reader(page);
    buf_t json = { 0 };
    while (in.at < in.end) {
        slice_t packed = reader_bytes(&in, reader_u32(&in));
        CHECK(!in.bad);
        char topic[256];
        json.len = 0;
        if (stats_event_json(&json, topic, packed)) publish(self, topic, slice(json.at, json.len));
    }
    buf_free(&json);
}

static void take_letters(stats_t *self)
{
    letter_t letter;
    while (letter_take(zsock_resolve(self->far), &letter)) {
        page_t *page = letter.object;
        if (letter.kind == LETTER_TOPIC)
            publish(self, "stats.json", slice(page->bytes.at, page->bytes.len));
        else if (letter.kind == LETTER_EVENTS)
            publish_events(self, slice(page->bytes.at, page->bytes.len));
        page_free(&page);
    }
}

/* A subscription is one frame: 1 (begin) or 0 (end), then the prefix. The library tells all of them
 * (verboser), also the ends of those whose connection ends. One that fits event topics: a prefix of
 * "event." or longer. */
static void on_subscription(stats_t *self, const uint8_t *frame, size_t len)
{
    size_t prefix = len - 1, same = prefix < EVENT_PREFIX ? prefix : EVENT_PREFIX;
    if (memcmp(frame + 1, "event.", same) != 0) return;
    bool was = self->event_subscriptions > 0;
    if (frame[0] == 1)
        self->event_subscriptions++;
    else if (self->event_subscriptions > 0)
        self->event_subscriptions--;
    bool is = self->event_subscriptions > 0;
    if (is != was) letter_send(zsock_resolve(self->far), LETTER_WANT, NULL, is);
}

static void take_subscriptions(stats_t *self)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, zsock_resolve(self->publisher), ZMQ_DONTWAIT) > 0) {
        const uint8_t *at = zmq_msg_data(&frame);
        if (at[0] == 1) note_subscriber(self, connection_of(&frame));
        on_subscription(self, at, zmq_msg_size(&frame));
    }
    zmq_msg_close(&frame);
}

static void stats_main(zsock_t *pipe, void *arg)
{
    stats_t *self = arg;
    zmq_pollitem_t items[] = { { zsock_resolve(self->far), 0, ZMQ_POLLIN, 0 },
                               { zsock_resolve(self->publisher), 0, ZMQ_POLLIN, 0 },
                               { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 } };
    prctl(PR_SET_NAME, "pawl-stats");
    zsock_signal(pipe, 0);
    while (true) {
        if (zmq_poll(items, ARRAY_LEN(items), -1) < 0 && errno != EINTR) break;
        take_subscriptions(self);
        take_letters(self);
        if (items[2].revents) {
            char *word = zstr_recv(pipe);
            bool ended = word == NULL || streq(word, "$TERM");
            zstr_free(&word);
            if (ended) break;
        }
    }
    HANDED_OVER(self);
}

err_t stats_start(stats_t **out, const char *endpoint, uint64_t unread_most)
{
    stats_t *self = mem_new(sizeof *self);
    self->unread = unread_new();
    self->unread_most = unread_most;
    self->publisher = zsock_new(ZMQ_XPUB);
    CHECK(self->publisher != NULL);
    zsock_set_linger(self->publisher, 0);
    zsock_set_sndhwm(self->publisher, 100000);
    zsock_set_maxmsgsize(self->publisher, 4096); /* what subscribers send */
    zsock_set_xpub_verboser(self->publisher, 1);
    err_t err = endpoint_bind(zsock_resolve(self->publisher), endpoint);
    if (err != ERR_OK) {
        zsock_destroy(&self->publisher);
        unread_drop(&self->unread);
        free(self);
        return err;
    }
    self->endpoint = mem_text(endpoint);
    self->near = letter_pipe(&self->far);
    self->actor = zactor_new(stats_main, self);
    CHECK(self->actor != NULL);
    *out = self;
    return ERR_OK;
}

void *stats_socket(stats_t *self)
{
    return zsock_resolve(self->near);
}

void stats_stop(stats_t **self_p)
{
    stats_t *self = *self_p;
    if (self == NULL) return;
    zactor_destroy(&self->actor);
    TAKEN_OVER(self);
    take_letters(self);
    zsock_destroy(&self->near);
    zsock_destroy(&self->far);
    zsock_destroy(&self->publisher);
    endpoint_unbound(self->endpoint);
    unread_drop(&self->unread);
    free(self->subscribers);
    free(self->endpoint);
    free(self);
    *self_p = NULL;
}

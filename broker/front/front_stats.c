/* SPDX-License-Identifier: Apache-2.0
 * front_stats.c - numbers of core and of the front together: StatsGet, StatusGet, and the page that
 * is published every second. */
#include <unistd.h>

#include "broker/front/front_inside.h"
#include "schemas/limits.h"

static front_numbers_t numbers(front_t *self)
{
    front_numbers_t n = { .wall_us = self->now.wall_us,
                          .uptime_us = self->now.steady_us - self->started_steady_us,
                          .requests = self->requests,
                          .rejected_frames = self->rejected_frames,
                          .undelivered = self->undelivered,
                          .poisoned = self->poisoned,
                          .slow_peers = self->slow_peers,
                          .logs_lost = self->logs_lost,
                          .unread = sessions_unread(self->sessions) };
    roster_count(self->sessions, self->now.steady_us, &n);
    return n;
}

static void answer_status(front_t *self, Pawl__V1__Reply *reply, Pawl__V1__Status *status)
{
    writer_stats_t *stats = self->last_stats;
    status->software = (char *)(uintptr_t) "pawl " PAWL_VERSION;
    status->pid = getpid();
    status->started_us = self->started_us;
    status->store_id.data = stats->core.store_id;
    status->store_id.len = sizeof stats->core.store_id;
    status->state_dir = (char *)(uintptr_t)self->config.state_dir;
    status->store_used = stats->usage.used_bytes;
    status->store_map = stats->usage.map_bytes;
    status->store_level = (char *)(uintptr_t)stats->core.level;
    status->batch = stats->core.batch;
    status->epoch = stats->core.epoch;
    status->events_seq = stats->core.events_seq;
    status->peers = sessions_count(self->sessions);
    status->rejected_frames = self->rejected_frames;
    static char limits[256];
    const sessions_config_t *limit = &self->config.sessions;
    snprintf(
        limits, sizeof limits,
        "message %d, input %d, items %d; in flight per peer %u requests, %u items, %llu bytes; "
        "peers %u",
        LIMIT_MESSAGE, LIMIT_INPUT, LIMIT_ITEMS, limit->requests_max, limit->items_max,
        (unsigned long long)limit->bytes_max, limit->peers_max);
    status->limits = limits;
    reply->body_case = PAWL__V1__REPLY__BODY_STATUS;
    reply->status = status;
}

void front_on_stats(front_t *self, writer_stats_t *stats)
{
    writer_stats_free(&self->last_stats);
    self->last_stats = stats;
    self->stats_asked = false;
    front_numbers_t front = numbers(self);
    if (self->want_publish) stats_window_add(self->window, stats, self->now.steady_us);
    page_t *page = page_new();
    stats_json(&page->bytes, self->window, stats, self->now.steady_us, &front);
    for (size_t i = 0; i < self->askers_n; i++) {
        const asker_t *asker = &self->askers[i];
        session_t *session = sessions_by_conn(self->sessions, asker->conn);
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__Stats body = PAWL__V1__STATS__INIT;
        Pawl__V1__Status status = PAWL__V1__STATUS__INIT;
        buf_need(&page->bytes, 1);
        page->bytes.at[page->bytes.len] = '\0';
        if (!session_live(session)) { /* another may have its route by now */
            sessions_done(self->sessions, asker->conn, 1, asker->bytes);
            continue;
        }
        if (asker->status) {
            answer_status(self, &reply, &status);
        } else {
            body.json = (char *)page->bytes.at;
            reply.body_case = PAWL__V1__REPLY__BODY_STATS;
            reply.stats = &body;
        }
        front_reply(self, session->route, asker->seq, &reply);
        sessions_done(self->sessions, asker->conn, 1, asker->bytes);
    }
    self->askers_n = 0;
    if (self->want_publish)
        letter_send(self->config.stats, LETTER_TOPIC, page, 0);
    else
        page_free(&page);
    self->want_publish = false;
}

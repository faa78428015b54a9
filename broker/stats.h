/* SPDX-License-Identifier: Apache-2.0
 * broker/stats.h - numbers for whoever watches: the JSON object of `pawl stats` and the PUB socket.
 *
 * The socket sends two frames a message, topic and JSON object: `stats.json` every second, and
 * while somebody subscribes to `event...`: `event.KIND.QUEUE` for each change of status. The actor
 * owns the socket (XPUB: it sees subscriptions) and tells the front when the first subscription to
 * events comes and the last one goes. A slow subscriber loses messages (the sequence shows it). */
#ifndef BROKER_STATS_H
#define BROKER_STATS_H

#include <czmq.h>

#include "broker/writer.h"

/* What the front knows. */
typedef struct front_numbers {
    int64_t wall_us, uptime_us;
    uint32_t peers, executors, slots, slots_used;
    uint64_t requests, rejected_frames, undelivered, poisoned, slow_peers, unread, logs_lost;
} front_numbers_t;

/* Keeps a minute of histograms, so that latencies are those of the last minute, not since start. */
typedef struct stats_window stats_window_t;
stats_window_t *stats_window_new(void);
void stats_window_destroy(stats_window_t **self_p);
/* Once a second. */
void stats_window_add(stats_window_t *self, const writer_stats_t *now, int64_t steady_us);
/* Appends the object (schemas/README.md, section 12, tells its fields) to `out`, without a newline.
 */
void stats_json(buf_t *out, const stats_window_t *window, const writer_stats_t *now,
                int64_t steady_us, const front_numbers_t *front);
/* One change of status as JSON, from a packed EventInfo; false: not one. Also its topic. */
bool stats_event_json(buf_t *out, char topic[256], slice_t packed);

/* Letters to the actor (query.h). LETTER_TOPIC: topic `stats.json`; LETTER_EVENTS: packed
 * EventInfos, each behind its u32 length. Both pages are from page_new and belong to the actor
 * then. */
typedef struct page {
    buf_t bytes;
} page_t;
page_t *page_new(void);
void page_free(page_t **self_p);

typedef struct stats stats_t;
/* Binds `endpoint` (ipc, socket file mode 0600). ERR_OS with a line in the log. While more than
 * `unread_most` bytes wait for subscribers, their connections are shut: those that read come again.
 */
MUST_CHECK err_t stats_start(stats_t **out, const char *endpoint, uint64_t unread_most);
void *stats_socket(stats_t *self); /* the front's end */
void stats_stop(stats_t **self_p);

#endif

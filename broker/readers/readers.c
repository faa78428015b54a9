/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/readers.h"

#include <czmq.h>
#include <stdlib.h>

#include "broker/map.h"
#include "broker/readers/query_calendar.h"
#include "broker/readers/query_watermark.h"
#include "broker/core/space.h"
#include "client/base/clock.h"
#include "client/base/log.h"

enum {
    SLOW_US = 1000000,
    TICK_US = 1000000,
    PURGE_ROOM = LIMIT_BATCH_OPS,
    PURGE_MORE_US = 50000,    /* the last look found as many as it may */
    PURGE_AGAIN_US = 1000000, /* it found some, or has not seen all blocks yet */
    PURGE_IDLE_US = 10000000, /* nothing in all blocks, and no need for room */

    HANDED_UP_MAX = 32 << 20, /* bytes of answers that the front has not taken */
    FULL_LOOK_MS = 2,         /* so often it is looked whether it has */
};

typedef struct parked parked_t;

/* Task `id` ends (or its log grows): look at `parked` again. */
typedef struct wake {
    uint8_t id[16];
    parked_t *parked;
    struct wake *next; /* of the same hash */
    bool hit;
} wake_t;

struct parked {
    query_t *query;
    int64_t deadline_us; /* steady; the answer leaves then as it stands */
    uint64_t from_seq;   /* EventRead */
    wake_t *wakes;
    size_t wakes_n, left; /* wakes that were not hit */
    bool due;             /* to be looked at in this round */
    parked_t *next, *prev;
};

struct readers {
    readers_config_t config;
    zsock_t *far, *near; /* the actor's end of the PAIR, and the front's */
    zactor_t *actor;
    names_t *names;
    wire_arena_t arena;
    parked_t *parked;
    size_t event_reads;
    map_t wakes; /* by hash of id */
    int64_t purge_at_us;
    uint64_t purge_block;
    bool purge_found; /* something, since block 0 */
    atomic_size_t handed_up;
    bool left_due; /* the last look ended before its end: the front has enough */
};

/* ---- one attempt at an answer ---------------------------------------------------------------- */

static err_t attempt_log(const readers_config_t *config, answer_t *answer,
                         const Pawl__V1__LogRead *ask, Pawl__V1__Reply *reply, bool *more,
                         uint8_t (*waits)[16], size_t *waits_n)
{
    if (config->read_log == NULL) {
        answer_refuse(answer, reply, ERR_UNIMPLEMENTED, "log_read", "logs are not served here");
        return ERR_OK;
    }
    log_ask_t log;
    ANSWER_TRY(query_log_resolve(answer, ask, &log, reply));
    if (log.n == 0) return ERR_OK; /* refused */
    memcpy(waits[0], log.id, 16);
    *waits_n = 1;
    return config->read_log(config->read_log_arg, answer, ask, &log, reply, more);
}

static err_t attempt_events(answer_t *answer, const Pawl__V1__EventRead *ask,
                            Pawl__V1__Reply *reply, bool *more, uint64_t *from_seq)
{
    if (*from_seq == 0) {
        meta_dynamic_t meta;
        ANSWER_TRY(answer_meta(answer, &meta));
        *from_seq = ask->from_now ? meta.next_seq : ask->from_seq ? ask->from_seq : 1;
    }
    ANSWER_TRY(query_event_read(answer, ask, *from_seq, reply));
    /* a gap is news as well */
    *more = reply->events->n_items == 0 && reply->events->oldest_seq <= *from_seq;
    return ERR_OK;
}

err_t readers_attempt(const readers_config_t *config, answer_t *answer,
                      const Pawl__V1__Request *request, bool last, Pawl__V1__Reply *reply,
                      bool *more, uint8_t (*waits)[16], size_t *waits_n, uint64_t *from_seq)
{
    err_t err = ERR_OK;
    *more = false;
    *waits_n = 0;
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_TASK_GET:
        return query_task_get(answer, request->task_get, reply);
    case PAWL__V1__REQUEST__BODY_TASK_LIST:
        return query_task_list(answer, request->task_list, reply);
    case PAWL__V1__REQUEST__BODY_TASK_WHY:
        return query_task_why(answer, request->task_why, reply);
    case PAWL__V1__REQUEST__BODY_SCHEDULE_GET:
        return query_schedule_get(answer, request->schedule_get, reply);
    case PAWL__V1__REQUEST__BODY_SCHEDULE_LIST:
        return query_schedule_list(answer, request->schedule_list, reply);
    case PAWL__V1__REQUEST__BODY_SCHEDULE_HISTORY:
        return query_schedule_history(answer, request->schedule_history, reply);
    case PAWL__V1__REQUEST__BODY_RANGE_LIST:
        return query_range_list(answer, request->range_list, reply);
    case PAWL__V1__REQUEST__BODY_SCHEDULE_AUDIT:
        return query_schedule_audit(answer, request->schedule_audit, reply);
    case PAWL__V1__REQUEST__BODY_REHEARSE:
        return query_rehearse(answer, request->rehearse, reply);
    case PAWL__V1__REQUEST__BODY_QUEUE_LIST:
        return query_queue_list(answer, request->queue_list, reply);
    case PAWL__V1__REQUEST__BODY_CALENDAR_LIST:
        return query_calendar_list(answer, request->calendar_list, reply);
    case PAWL__V1__REQUEST__BODY_WATERMARK_LIST:
        return query_watermark_list(answer, request->watermark_list, reply);
    case PAWL__V1__REQUEST__BODY_TASK_WAIT:
        err = query_task_wait(answer, request->task_wait, waits, waits_n, reply);
        *more = err == ERR_OK && reply->error == NULL && !reply->waited->done;
        break;
    case PAWL__V1__REQUEST__BODY_LOG_READ:
        err = attempt_log(config, answer, request->log_read, reply, more, waits, waits_n);
        break;
    case PAWL__V1__REQUEST__BODY_EVENT_READ:
        err = attempt_events(answer, request->event_read, reply, more, from_seq);
        break;
    default:
        answer_refuse(answer, reply, ERR_UNIMPLEMENTED, "", "request %u is no query",
                      (unsigned)request->body_case);
    }
    if (last || reply->error) *more = false;
    return err;
}

static int64_t patience_us(const Pawl__V1__Request *request)
{
    int64_t wait = 0;
    if (request->body_case == PAWL__V1__REQUEST__BODY_TASK_WAIT)
        wait = request->task_wait->wait_us;
    else if (request->body_case == PAWL__V1__REQUEST__BODY_LOG_READ)
        wait = request->log_read->wait_us;
    else if (request->body_case == PAWL__V1__REQUEST__BODY_EVENT_READ)
        wait = request->event_read->wait_us;
    return wait < 0 ? 0 : wait > LIMIT_WAIT_US ? LIMIT_WAIT_US : wait;
}

static size_t waits_room(const Pawl__V1__Request *request)
{
    return request->body_case == PAWL__V1__REQUEST__BODY_TASK_WAIT ? request->task_wait->n_ids + 1
                                                                   : 1;
}

/* ---- wakes ----------------------------------------------------------------------------------- */

static uint64_t hash_of(const uint8_t id[16])
{
    uint64_t hash = hash64(id, 16);
    return hash ? hash : 1;
}

static void forget_wakes(readers_t *self, parked_t *parked)
{
    for (size_t i = parked->wakes_n;
         i-- > 0;) { /* the last came first: of one id it stands first */
        wake_t *wake = &parked->wakes[i];
        map_unchain(&self->wakes, hash_of(wake->id), wake, offsetof(wake_t, next));
    }
    free(parked->wakes);
    parked->wakes = NULL;
    parked->wakes_n = parked->left = 0;
}

static void set_wakes(readers_t *self, parked_t *parked, uint8_t (*ids)[16], size_t n)
{
    forget_wakes(self, parked);
    if (n == 0) return;
    parked->wakes = mem_new(n * sizeof *parked->wakes);
    parked->wakes_n = parked->left = n;
    for (size_t i = 0; i < n; i++) {
        wake_t *wake = &parked->wakes[i];
        memcpy(wake->id, ids[i], 16);
        wake->parked = parked;
        map_chain(&self->wakes, hash_of(wake->id), wake, offsetof(wake_t, next));
    }
}

static bool enough_ended(const parked_t *parked)
{
    const Pawl__V1__Request *request = parked->query->request;
    return parked->left == 0 || request->body_case != PAWL__V1__REQUEST__BODY_TASK_WAIT ||
           request->task_wait->any;
}

static void wake_id(readers_t *self, const uint8_t id[16], bool ended)
{
    for (wake_t *wake = map_get(&self->wakes, hash_of(id)); wake; wake = wake->next) {
        bool waits_for_end =
            wake->parked->query->request->body_case == PAWL__V1__REQUEST__BODY_TASK_WAIT;
        if (wake->hit || memcmp(wake->id, id, 16) != 0 || (waits_for_end && !ended)) continue;
        if (waits_for_end) {
            wake->hit = true;
            wake->parked->left--;
        }
        if (enough_ended(wake->parked)) wake->parked->due = true;
    }
}

/* ---- parking --------------------------------------------------------------------------------- */

static bool reads_events(const parked_t *parked)
{
    return parked->query->request->body_case == PAWL__V1__REQUEST__BODY_EVENT_READ;
}

static parked_t *park(readers_t *self, query_t *query)
{
    parked_t *parked = mem_new(sizeof *parked);
    parked->query = query;
    parked->deadline_us = clock_steady_us() + patience_us(query->request);
    parked->next = self->parked;
    if (parked->next) parked->next->prev = parked;
    self->parked = parked;
    self->event_reads += reads_events(parked);
    return parked;
}

static void hand_back(readers_t *self, parked_t *parked, Pawl__V1__Reply *reply)
{
    query_t *query = parked->query;
    reply->seq = query->request->seq;
    query->reply.len = 0;
    if (pawl__v1__reply__get_packed_size(reply) > LIMIT_MESSAGE) {
        /* the peer's library would end the connection for it, and it would never know why */
        answer_t answer = { .arena = &self->arena };
        answer_refuse(&answer, reply, ERR_TOO_LARGE, "",
                      "the answer would be larger than a message of %d bytes: ask for less at once",
                      LIMIT_MESSAGE);
    }
    wire_reply_pack(reply, buf_room, &query->reply);
    forget_wakes(self, parked);
    self->event_reads -= reads_events(parked);
    if (parked->prev)
        parked->prev->next = parked->next;
    else
        self->parked = parked->next;
    if (parked->next) parked->next->prev = parked->prev;
    free(parked);
    query->handed_up = &self->handed_up;
    atomic_fetch_add(&self->handed_up, query->reply.len);
    letter_send(zsock_resolve(self->far), LETTER_DONE, query, 0);
}

static bool front_has_enough(readers_t *self)
{
    return atomic_load(&self->handed_up) >= HANDED_UP_MAX;
}

/* Answers it from `view`, or leaves it parked. */
static void look(readers_t *self, store_view_t *view, parked_t *parked, bool last)
{
    const Pawl__V1__Request *request = parked->query->request;
    unsigned body = (unsigned)request->body_case; /* the request goes with the answer */
    int64_t begun = clock_steady_us();
    wire_arena_reset(&self->arena);
    answer_t answer = { .view = view,
                        .names = self->names,
                        .arena = &self->arena,
                        .wall_us = clock_wall_us(),
                        .principal = parked->query->principal,
                        .own_only = parked->query->own_only,
                        .clock_us = clock_steady_us,
                        .executors = parked->query->executors,
                        .output_max = self->config.output_max,
                        .followers = parked->query->followers,
                        .zone = parked->query->zone };
    uint8_t(*waits)[16] = answer_take(&answer, waits_room(request) * 16);
    size_t waits_n = 0;
    bool more = false;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    err_t err = readers_attempt(&self->config, &answer, request, last, &reply, &more, waits,
                                &waits_n, &parked->from_seq);
    if (err != ERR_OK) {
        log_event(LOG_ERROR, "QUERY_FAILED", "request=%u error=%s", body, err_name(err));
        answer_refuse(&answer, &reply, err, "", "the store cannot be read: %s", err_text(err));
        more = false;
    }
    if (more)
        set_wakes(self, parked, waits, waits_n);
    else
        hand_back(self, parked, &reply);
    int64_t took = clock_steady_us() - begun;
    if (took > SLOW_US)
        log_event(LOG_WARN, "QUERY_SLOW", "request=%u took_us=%lld", body, (long long)took);
}

static void refuse(readers_t *self, parked_t *parked, err_t err)
{
    wire_arena_reset(&self->arena);
    answer_t answer = { .arena = &self->arena };
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    answer_refuse(&answer, &reply, err, "", "the store cannot be read: %s", err_text(err));
    hand_back(self, parked, &reply);
}

/* Looks at all that are due, from one fresh snapshot, until the front has enough. `last`: whatever
 * they wait for, and however much that is. */
static void look_at_due(readers_t *self, bool last)
{
    store_view_t *view = NULL;
    int64_t opened = 0;
    self->left_due = false;
    for (parked_t *parked = self->parked, *next; parked; parked = next) {
        next = parked->next;
        if (!parked->due) continue;
        if (!last && front_has_enough(self)) {
            self->left_due = true;
            break;
        }
        parked->due = false;
        int64_t now = clock_steady_us();
        if (view && now - opened > SLOW_US)
            store_view_close(&view); /* pages must not be held long */
        err_t err = ERR_OK;
        if (view == NULL) {
            err = store_view_open(self->config.store, &view);
            opened = now;
        }
        if (err == ERR_OK)
            look(self, view, parked, last || parked->deadline_us <= now);
        else
            refuse(self, parked, err);
    }
    store_view_close(&view);
}

static void mark_all(readers_t *self, int64_t now_us)
{
    for (parked_t *parked = self->parked; parked; parked = parked->next)
        parked->due |= parked->deadline_us <= now_us;
}

static void on_notice(readers_t *self, const notice_t *notice)
{
    for (size_t i = 0; i < notice->ended_n; i++)
        wake_id(self, notice->ended[i], true);
    for (size_t i = 0; i < notice->logged_n; i++)
        wake_id(self, notice->logged[i], false);
    if (self->event_reads)
        for (parked_t *parked = self->parked; parked; parked = parked->next)
            parked->due |= reads_events(parked);
}

/* ---- retention ------------------------------------------------------------------------------- */

/* The store is so full that history gives way to live work. */
static bool crowded(readers_t *self)
{
    store_usage_t usage;
    store_usage(self->config.store, &usage);
    space_t space; /* as core judges; what runs does not count for it */
    space_judge(&space, &usage, 0, self->config.output_max);
    return space.history;
}

/* One page of the search. Numbers are handed up again until core has purged them. */
static err_t search_expired(readers_t *self, purge_t *purge)
{
    retention_t keep = self->config.keep, none = { 0 };
    store_view_t *view = NULL;
    wire_arena_reset(&self->arena);
    ANSWER_TRY(store_view_open(self->config.store, &view));
    answer_t answer = { .view = view,
                        .names = self->names,
                        .arena = &self->arena,
                        .wall_us = clock_wall_us(),
                        .clock_us = clock_steady_us };
    err_t err = query_expired(&answer, crowded(self) ? &none : &keep, &self->purge_block, purge->ns,
                              PURGE_ROOM, &purge->n);
    store_view_close(&view);
    return err;
}

static void find_expired(readers_t *self, int64_t now_us)
{
    if (self->config.keep_all || now_us < self->purge_at_us) return;
    purge_t *purge = mem_new(sizeof *purge + PURGE_ROOM * sizeof *purge->ns);
    err_t err = search_expired(self, purge);
    if (err != ERR_OK) log_event(LOG_ERROR, "RETENTION_FAILED", "error=%s", err_name(err));
    self->purge_found |= purge->n > 0;
    bool idle = self->purge_block == 0 && !self->purge_found && !crowded(self);
    self->purge_at_us = now_us + (err != ERR_OK || idle    ? PURGE_IDLE_US
                                  : purge->n == PURGE_ROOM ? PURGE_MORE_US
                                                           : PURGE_AGAIN_US);
    if (self->purge_block == 0) self->purge_found = false;
    if (err == ERR_OK && purge->n)
        letter_send(zsock_resolve(self->far), LETTER_PURGE, purge, 0);
    else
        free(purge);
}

/* ---- the actor ------------------------------------------------------------------------------- */

static void on_letters(readers_t *self)
{
    letter_t letter;
    while (letter_take(zsock_resolve(self->far), &letter)) {
        if (letter.kind == LETTER_QUERY) {
            park(self, letter.object)->due = true;
        } else if (letter.kind == LETTER_NOTICE) {
            notice_t *notice = letter.object;
            on_notice(self, notice);
            notice_free(&notice);
        }
    }
}

static long poll_ms(const readers_t *self, int64_t now_us)
{
    int64_t due = now_us + TICK_US;
    if (!self->config.keep_all && self->purge_at_us < due) due = self->purge_at_us;
    for (const parked_t *parked = self->parked; parked; parked = parked->next)
        if (parked->deadline_us < due) due = parked->deadline_us;
    return due <= now_us ? 0 : (long)((due - now_us + 999) / 1000);
}

static void readers_main(zsock_t *pipe, void *arg)
{
    readers_t *self = arg;
    zmq_pollitem_t items[] = { { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 },
                               { zsock_resolve(self->far), 0, ZMQ_POLLIN, 0 } };
    zsock_signal(pipe, 0);
    for (;;) {
        bool full = front_has_enough(self); /* what it was given comes before what is asked now */
        int rc = zmq_poll(items, full ? 1 : 2,
                          full             ? FULL_LOOK_MS
                          : self->left_due ? 0
                                           : poll_ms(self, clock_steady_us()));
        if (rc == -1 && zmq_errno() == ETERM) break;
        if (!full && !self->left_due) on_letters(self);
        int64_t now = clock_steady_us();
        mark_all(self, now);
        look_at_due(self, false);
        find_expired(self, now);
        if (items[0].revents & ZMQ_POLLIN) break; /* the only message of the pipe is $TERM */
    }
    on_letters(self);
    mark_all(self, INT64_MAX);
    look_at_due(self, true);
    HANDED_OVER(self);
}

err_t readers_start(readers_t **out, const readers_config_t *config)
{
    readers_t *self = mem_new(sizeof *self);
    char endpoint[64];
    self->config = *config;
    self->names = names_new();
    wire_arena_init(&self->arena);
    snprintf(endpoint, sizeof endpoint, "inproc://readers-%p", (void *)self);
    self->far = zsock_new(ZMQ_PAIR);
    self->near = zsock_new(ZMQ_PAIR);
    zsock_set_unbounded(self->far);
    zsock_set_unbounded(self->near);
    if (zsock_bind(self->far, "%s", endpoint) == -1 ||
        zsock_connect(self->near, "%s", endpoint) == -1) {
        readers_close(&self);
        return ERR_OS;
    }
    self->actor = zactor_new(readers_main, self);
    *out = self;
    return ERR_OK;
}

void *readers_socket(readers_t *self)
{
    return zsock_resolve(self->near);
}

void readers_stop(readers_t *self)
{
    zactor_destroy(&self->actor);
    TAKEN_OVER(self);
}

void readers_close(readers_t **self_p)
{
    readers_t *self = *self_p;
    if (self == NULL) return;
    readers_stop(self);
    letter_t letter;
    while (self->near && letter_take(zsock_resolve(self->near), &letter)) {
        if (letter.kind == LETTER_DONE) {
            query_t *query = letter.object;
            query_free(&query);
        } else {
            free(letter.object);
        }
    }
    zsock_destroy(&self->near);
    zsock_destroy(&self->far);
    names_destroy(&self->names);
    wire_arena_free(&self->arena);
    map_free(&self->wakes);
    free(self);
    *self_p = NULL;
}

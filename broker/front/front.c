/* SPDX-License-Identifier: Apache-2.0
 * front.c - the loop: what comes from peers into batches, what is durable out to peers.
 *
 *   peers --frames--> intake --> open job --> writer (sync) --> returned job --> broker_release
 *                        |--> readers, logs --> (report: open job) / (answer: parcel) --^
 *
 * At most one job is in the writer's hands; the next fills meanwhile. When one comes back the next
 * is handed over before the outputs of the first are sent: the disk never waits for the network. */
#include "broker/front/front_inside.h"
#include "broker/front/release.h"
#include "broker/store/record.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "client/base/clock.h"
#include "client/base/log.h"
#include "schemas/limits.h"

enum {
    TICK_US = 100000,
    TICK_MS = 100,
    SEALED_MAX = 2, /* full batches that may wait; then the socket is left alone */
    FRAMES_A_TURN = 4096,
    PARCELS_A_TURN = 8 << 20, /* bytes of answers */
    ENDINGS_A_TURN = 256,
    STOP_US = 5000000, /* what is in hand must be answered by then */
    DOOR_US = 2000000, /* between looks at the files of keys */
    READ_US = 250000,  /* then peers get so long to read the last answers: a library that sees the
                          connection go may throw away what it has received but not handed up */
};

/* ---- batches --------------------------------------------------------------------------------- */

job_t *front_open(front_t *self)
{
    if (self->open == NULL) {
        self->open = self->idle ? self->idle : job_new();
        if (self->idle) self->idle = self->idle->next;
        self->open->next = NULL;
    }
    return self->open;
}

void front_seal(front_t *self)
{
    if (self->open == NULL) return;
    if (self->sealed_last)
        self->sealed_last->next = self->open;
    else
        self->sealed = self->open;
    self->sealed_last = self->open;
    self->sealed_n++;
    self->open = NULL;
}

command_t *front_tell(front_t *self, command_kind_t kind, conn_t conn)
{
    command_t *command = job_add(front_open(self), (job_item_t){ .conn = conn });
    command->kind = kind;
    return command;
}

static bool may_take(const front_t *self)
{
    return self->sealed_n < SEALED_MAX;
}

/* The next batch to the writer, when it is free and there is something to do. */
static void hand_over(front_t *self)
{
    if (self->jobs_out > 0) return;
    bool wanted =
        self->want_publish || (self->askers_n > 0 && !self->stats_asked) || self->want_events >= 0;
    if (self->sealed == NULL && (wanted || (self->open != NULL && self->open->n > 0))) {
        front_open(self);
        front_seal(self);
    }
    job_t *job = self->sealed;
    if (job == NULL) return;
    self->sealed = job->next;
    if (self->sealed == NULL) self->sealed_last = NULL;
    self->sealed_n--;
    job->next = NULL;
    job->want_stats = self->want_publish || self->askers_n > 0;
    self->stats_asked = job->want_stats;
    job->want_events = self->want_events;
    self->want_events = -1;
    self->jobs_out++;
    letter_send(self->config.writer, LETTER_QUERY, job, 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void parcel_add(front_t *self, route_t route, uint64_t seq, size_t at)
{
    if (self->parcels_n == self->parcels_room) {
        self->parcels_room = self->parcels_room ? self->parcels_room * 2 : 64;
        self->parcels = mem_grow(self->parcels, self->parcels_room * sizeof *self->parcels);
    }
    self->parcels[self->parcels_n++] = (parcel_t){ route, seq, at, self->parcel_bytes.len - at };
}

void front_reply(front_t *self, route_t route, uint64_t seq, Pawl__V1__Reply *reply)
{
    size_t at = self->parcel_bytes.len;
    reply->seq = seq;
    size_t len = wire_reply_pack(reply, buf_room, &self->parcel_bytes);
    CHECK(len > 0);
    parcel_add(self, route, reply->error ? 0 : seq, at);
}

void front_refuse(front_t *self, route_t route, uint64_t seq, err_t err, int64_t retry_after_us,
                  const char *format, ...)
{
    char text[WIRE_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    error.code = (uint32_t)err;
    error.text = text;
    error.retry_after_us = retry_after_us;
    reply.error = &error;
    front_reply(self, route, seq, &reply);
}

/* ---- actors ---------------------------------------------------------------------------------- */

void front_give(front_t *self, query_t *query, void *socket, query_t **list)
{
    (void)self;
    query->prev = NULL;
    query->next = *list;
    if (*list) (*list)->prev = query;
    *list = query;
    letter_send(socket, LETTER_QUERY, query, 0);
}

void front_take_back(query_t *query, query_t **list)
{
    if (query->next) query->next->prev = query->prev;
    if (query->prev)
        query->prev->next = query->next;
    else
        *list = query->next;
    query->next = query->prev = NULL;
}

static void take_from_writer(front_t *self)
{
    letter_t letter;
    uint64_t durable = 0;
    while (letter_take(self->config.writer, &letter)) {
        job_t *job = letter.object;
        job->next = NULL;
        job_t **last = &self->returned;
        while (*last)
            last = &(*last)->next;
        *last = job;
        if (!job->own) self->jobs_out--;
        job->own = false;
        if (job->outputs.batch > durable) durable = job->outputs.batch;
        if (job->stats) {
            front_on_stats(self, job->stats);
            job->stats = NULL;
        }
    }
    hand_over(self);
    broker_release(self, durable);
}

static void take_from_readers(front_t *self)
{
    letter_t letter;
    /* what was taken is sent before more is */
    while (self->parcel_bytes.len < PARCELS_A_TURN && letter_take(self->config.readers, &letter)) {
        if (letter.kind == LETTER_PURGE) {
            purge_t *purge = letter.object;
            uint64_t *ns = mem_copy(purge->ns, purge->n * sizeof *ns);
            command_t *command = front_tell(self, CMD_PURGE, 0);
            command->ns = ns; /* freed by job_reset */
            command->n = purge->n;
            intake_record(self, self->open, command, slice(NULL, 0));
            free(purge);
            continue;
        }
        query_t *query = letter.object;
        query_taken(query);
        front_take_back(query, &self->readers_out);
        self->waiting_out--;
        session_t *session = sessions_by_conn(self->sessions, query->conn);
        size_t at = self->parcel_bytes.len;
        buf_add(&self->parcel_bytes, query->reply.at, query->reply.len);
        parcel_add(self, session->route, query->request->seq, at);
        if (!session_live(session)) self->parcels_n--; /* nobody reads it any more */
        sessions_done(self->sessions, query->conn, query->items, query->bytes);
        query_free(&query);
    }
}

static void take_from_logs(front_t *self)
{
    letter_t letter;
    while (letter_take(self->config.logs, &letter)) {
        if (letter.kind == LETTER_LOST) {
            self->logs_lost += letter.size;
            command_t *note = front_tell(self, CMD_NOTE, 0);
            note->event = EVENT_LOGS_LOST;
            note->n = letter.size;
            intake_record(self, self->open, note, slice(NULL, 0));
            continue;
        }
        query_t *query = letter.object;
        front_take_back(query, &self->logs_out);
        const Pawl__V1__Request *request = query->request;
        bool report = request->body_case == PAWL__V1__REQUEST__BODY_REPORT;
        if (self->waiting_out && report && request->report->n_logs > 0) {
            notice_t *notice = notice_new(0, request->report->n_logs);
            for (size_t i = 0; i < request->report->n_logs; i++)
                memcpy(notice->logged[notice->logged_n++], request->report->logs[i]->id.data, 16);
            letter_send(self->config.readers, LETTER_NOTICE, notice, 0);
        }
        intake_report(self, query);
    }
}

static void take_from_stats(front_t *self)
{
    letter_t letter;
    while (letter_take(self->config.stats, &letter))
        if (letter.kind == LETTER_WANT) self->want_events = letter.size != 0;
}

/* ---- peers ----------------------------------------------------------------------------------- */

/* Reads one message: the routing id that the library drew, then one frame. False: nothing there.
 * Ids that a peer chose, and messages of more or fewer frames, are counted and dropped. */
static bool take_frame(front_t *self, zmq_msg_t *frame)
{
    zmq_msg_t id;
    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, self->router, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&id);
        return false;
    }
    const uint8_t *at = zmq_msg_data(&id);
    bool ours = zmq_msg_size(&id) == 5 && at[0] == 0;
    route_t route = ours ? be_u32(at + 1) : 0;
    int more = zmq_msg_more(&id);
    zmq_msg_close(&id);
    unsigned frames = 0;
    while (more) {
        zmq_msg_t extra;
        zmq_msg_t *to = frames == 0 ? frame : &extra;
        if (frames) zmq_msg_init(&extra);
        if (zmq_msg_recv(to, self->router, 0) < 0) break;
        more = zmq_msg_more(to);
        if (frames) zmq_msg_close(&extra);
        frames++;
    }
    if (ours && frames == 1)
        intake_frame(self, route, frame);
    else
        self->rejected_frames++;
    return true;
}

static void take_from_peers(front_t *self)
{
    int64_t began = self->now.steady_us;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    for (unsigned n = 0; n < FRAMES_A_TURN && may_take(self); n++) {
        if (!take_frame(self, &frame)) {
            self->drained_us = began;
            break;
        }
        if (self->open && self->open->ops >= LIMIT_BATCH_OPS) front_seal(self);
    }
    zmq_msg_close(&frame);
}

/* Who has lost its key, or has another role now, must come again. */
static void look_at_keys(front_t *self)
{
    self->door_us = self->now.steady_us;
    if (!door_look(self->door)) return;
    for (session_t *session = sessions_next(self->sessions, 0); session;
         session = sessions_next(self->sessions, session->conn)) {
        visitor_t visitor = { .role = session->access };
        snprintf(visitor.principal, sizeof visitor.principal, "%s", session->principal);
        if (session_live(session) && !door_welcome(self->door, &visitor))
            front_cut(self, session, "its key is not known any more, or for another role");
    }
}

static void tick(front_t *self)
{
    session_ending_t endings[ENDINGS_A_TURN];
    size_t n;
    self->ticked_us = self->now.steady_us;
    for (size_t i = 0; i < self->again_n; i++) {
        *front_tell(self, self->again[i].kind, self->again[i].conn) = self->again[i];
        intake_record(self, self->open, &self->again[i], slice(NULL, 0));
    }
    self->again_n = 0;
    do {
        n = sessions_expire(self->sessions, self->drained_us, self->now, endings, ENDINGS_A_TURN);
        for (size_t i = 0; i < n; i++) {
            bool lost = endings[i].state == SESSION_LOST;
            command_t *command = front_tell(self, lost ? CMD_LOST : CMD_GONE, endings[i].conn);
            command->silent_us = endings[i].silent_us;
            intake_record(self, self->open, command, slice(NULL, 0));
            if (lost)
                log_event(LOG_WARN, "EXECUTOR_LOST", "conn=%llu silent_ms=%llu",
                          (unsigned long long)endings[i].conn,
                          (unsigned long long)endings[i].silent_us / 1000);
        }
    } while (n == ENDINGS_A_TURN);
    conn_t deaf[ENDINGS_A_TURN];
    do {
        n = sessions_deaf(self->sessions, self->now, deaf, ENDINGS_A_TURN);
        for (size_t i = 0; i < n; i++)
            front_cut_slow(self, sessions_by_conn(self->sessions, deaf[i]));
    } while (n == ENDINGS_A_TURN);
    suspicion_t changes[ENDINGS_A_TURN];
    do {
        n = sessions_suspects(self->sessions, changes, ENDINGS_A_TURN);
        for (size_t i = 0; i < n; i++) {
            command_t *command = front_tell(self, CMD_SUSPECT, changes[i].conn);
            command->flag = changes[i].suspect;
            intake_record(self, self->open, command, slice(NULL, 0));
        }
    } while (n == ENDINGS_A_TURN);
    if (self->now.steady_us - self->zones_us >= self->config.zones_every_us) intake_zones(self);
    if (self->now.steady_us - self->door_us >= DOOR_US) look_at_keys(self);
    if (self->now.steady_us - self->published_us >= PAWL_SEC_US) {
        /* keeps to the second, unless it fell behind by more */
        self->published_us += PAWL_SEC_US;
        if (self->now.steady_us - self->published_us >= PAWL_SEC_US)
            self->published_us = self->now.steady_us;
        self->want_publish = true;
    }
}

/* Queries that wait for something that will not come any more are answered. */
static void refuse_waiting(front_t *self)
{
    for (query_t *query = self->readers_out; query; query = query->next) {
        session_t *session = sessions_by_conn(self->sessions, query->conn);
        if (session_live(session))
            front_refuse(self, session->route, query->request->seq, ERR_SHUTTING_DOWN, PAWL_SEC_US,
                         "the broker is stopping");
    }
}

static bool all_answered(const front_t *self)
{
    return self->jobs_out == 0 && self->sealed == NULL && self->logs_out == NULL &&
           (self->open == NULL || self->open->n == 0) && self->returned == NULL;
}

static void look_at_time(front_t *self)
{
    self->now = (moment_t){ clock_steady_us(), clock_wall_us() };
    sessions_ran(self->sessions, self->now.steady_us);
}

static void front_main(zsock_t *pipe, void *arg)
{
    front_t *self = arg;
    enum { ROUTER, WRITER, LOGS, READERS, STATS, PIPE };
    zmq_pollitem_t items[] = {
        [ROUTER] = { self->router, 0, ZMQ_POLLIN, 0 },
        [WRITER] = { self->config.writer, 0, ZMQ_POLLIN, 0 },
        [LOGS] = { self->config.logs, 0, ZMQ_POLLIN, 0 },
        [READERS] = { self->config.readers, 0, ZMQ_POLLIN, 0 },
        [STATS] = { self->config.stats, 0, ZMQ_POLLIN, 0 },
        [PIPE] = { zsock_resolve(pipe), 0, ZMQ_POLLIN, 0 },
    };
    prctl(PR_SET_NAME, "pawl-front");
    zsock_signal(pipe, 0);
    int64_t stop_by = INT64_MAX;
    int64_t read_by = 0;
    bool ended = false;
    while (!ended) { /* what comes while it stops is told SHUTTING_DOWN */
        items[ROUTER].events = may_take(self) ? ZMQ_POLLIN : 0;
        int ready = zmq_poll(items, ARRAY_LEN(items), self->stopping ? TICK_MS / 10 : TICK_MS);
        if (ready < 0 && errno != EINTR) break;
        look_at_time(self);
        if (ready <= 0)
            for (size_t i = 0; i < ARRAY_LEN(items); i++)
                items[i].revents = 0;
        if (ready >= 0 && may_take(self)) /* an idle look counts: the socket was seen empty */
            take_from_peers(self);
        if (items[LOGS].revents) take_from_logs(self);
        if (items[READERS].revents) take_from_readers(self);
        if (items[STATS].revents) take_from_stats(self);
        if (items[WRITER].revents) take_from_writer(self);
        if (self->now.steady_us - self->ticked_us >= TICK_US) tick(self);
        hand_over(self);
        broker_release(self, 0);
        if (items[PIPE].revents && !self->stopping) {
            char *word = zstr_recv(pipe);
            zstr_free(&word);
            self->stopping = true;
            stop_by = self->now.steady_us + STOP_US;
            log_event(LOG_INFO, "STOPPING", "sessions=%u", sessions_count(self->sessions));
        }
        if (self->stopping && (all_answered(self) || self->now.steady_us >= stop_by)) {
            if (read_by == 0) {
                refuse_waiting(self);
                broker_release(self, 0);
                read_by = self->sent_us + READ_US; /* past when nothing was asked of late */
            }
            ended = self->now.steady_us >= (read_by < stop_by ? read_by : stop_by);
        }
    }
    HANDED_OVER(self);
}

/* ---- life ------------------------------------------------------------------------------------ */

static err_t router_open(front_t *self)
{
    self->router_sock = zsock_new(ZMQ_ROUTER);
    if (self->router_sock == NULL) return ERR_OS;
    void *router = self->router = zsock_resolve(self->router_sock);
    int64_t message_max = LIMIT_MESSAGE + 256;
    const struct {
        int option, value;
    } options[] = {
        { ZMQ_ROUTER_MANDATORY, 1 },
        { ZMQ_ROUTER_HANDOVER, 0 },
        { ZMQ_SNDTIMEO, 0 },
        { ZMQ_SNDHWM, SEND_HWM },
        { ZMQ_RCVHWM, LIMIT_REQUESTS_IN_FLIGHT },
        { ZMQ_LINGER, 1000 },
        { ZMQ_BACKLOG, 4096 },
        { ZMQ_HANDSHAKE_IVL, 5000 },
    };
    bool ok = zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) == 0;
    for (size_t i = 0; i < ARRAY_LEN(options) && ok; i++)
        ok = zmq_setsockopt(router, options[i].option, &options[i].value, sizeof(int)) == 0;
    if (!ok) {
        log_event(LOG_ERROR, "SOCKET_OPTION", "why=\"%s\"", zmq_strerror(errno));
        return ERR_OS;
    }
    err_t err = endpoint_bind(router, self->config.endpoint);
    return err == ERR_OK ? door_open(&self->door, &self->config.door, router) : err;
}

static void front_free(front_t **self_p)
{
    front_t *self = *self_p;
    zsock_destroy(&self->router_sock);
    door_close(&self->door);
    job_free(&self->open);
    job_t **lists[] = { &self->sealed, &self->idle, &self->returned };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        while (*lists[i]) {
            job_t *job = *lists[i];
            *lists[i] = job->next;
            job_free(&job);
        }
    sessions_destroy(&self->sessions);
    stats_window_destroy(&self->window);
    writer_stats_free(&self->last_stats);
    buf_free(&self->parcel_bytes);
    free(self->parcels);
    free(self->again);
    zones_destroy(&self->config.zones);
    free(self->askers);
    free(self);
    *self_p = NULL;
}

err_t front_start(front_t **out, const front_config_t *config, writer_stats_t *first)
{
    front_t *self = mem_new(sizeof *self);
    self->config = *config;
    self->last_stats = first;
    self->sessions = sessions_new(&config->sessions);
    self->window = stats_window_new();
    self->want_events = -1;
    look_at_time(self);
    self->started_us = self->now.wall_us;
    self->started_steady_us = self->now.steady_us;
    self->drained_us = self->ticked_us = self->now.steady_us;
    self->published_us = self->now.steady_us;
    err_t err = router_open(self);
    if (err != ERR_OK) {
        front_free(&self);
        return err;
    }
    intake_zones(self); /* before the first request: the first batch begins with them */
    self->actor = zactor_new(front_main, self);
    CHECK(self->actor != NULL);
    *out = self;
    return ERR_OK;
}

void front_stop(front_t **self_p)
{
    front_t *self = *self_p;
    if (self == NULL) return;
    zactor_destroy(&self->actor);
    TAKEN_OVER(self);
    zsock_destroy(&self->router_sock);
    endpoint_unbound(self->config.endpoint);
    front_free(self_p);
}

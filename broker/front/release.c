/* SPDX-License-Identifier: Apache-2.0
 * release.c - the only way out to peers: outputs of durable batches, and answers of the front. */
#include "broker/front/release.h"

#include <errno.h>
#include <zmq.h>

#include "broker/front/front_inside.h"
#include "broker/store/record.h"
#include "client/base/log.h"

enum {
    UNCOUNTED_MAX = 512, /* smaller frames are bounded well enough by SEND_HWM */
    BUSY_RETRY_US = 1000000,
    IDLE_MAX = 4,           /* empty jobs that are kept: one filling, two sealed, one out */
    PARCELS_KEPT = 4 << 20, /* one burst of large answers must not cost memory for ever */
};

typedef enum { SENT, NOBODY, SLOW } sent_t;

/* `session`: of the route, NULL when it has none (then only refusals are sent, which are small). */
static sent_t send_to(front_t *self, route_t route, session_t *session, const uint8_t *bytes,
                      size_t len)
{
    uint8_t id[5] = { 0 };
    be_put_u32(id + 1, (uint32_t)route);
    if (zmq_send(self->router, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN ? SLOW : NOBODY;
    self->sent_us = self->now.steady_us;
    if (session == NULL || len <= UNCOUNTED_MAX)
        return zmq_send(self->router, bytes, len, ZMQ_DONTWAIT) < 0 ? NOBODY : SENT;
    zmq_msg_t frame;
    unread_frame(session->unread, &frame, bytes, len);
    sessions_sent(self->sessions, len);
    if (zmq_msg_send(&frame, self->router, ZMQ_DONTWAIT) >= 0) return SENT;
    zmq_msg_close(&frame);
    return NOBODY;
}

/* A peer that does not read its answers cannot be told what it missed but by a new session. What
 * waits for it goes with its connection. */
void front_cut(front_t *self, session_t *session, const char *why)
{
    uint64_t waits = unread_bytes(session->unread);
    connection_cut(&session->connection);
    if (!session_live(session)) return;
    log_event(LOG_WARN, "PEER_CUT", "name=\"%s\" unread=%llu why=\"%s\"", session->hello->name,
              (unsigned long long)waits, why);
    sessions_end(self->sessions, session->conn, SESSION_GONE, self->now);
    session->state = SESSION_LOST;
    command_t *note = front_tell(self, CMD_NOTE, session->conn);
    note->event = EVENT_PEER_CUT;
    note->n = waits;
    intake_record(self, self->open, note, slice(NULL, 0));
    intake_record(self, front_open(self), front_tell(self, CMD_GONE, session->conn),
                  slice(NULL, 0));
}

void front_cut_slow(front_t *self, session_t *session)
{
    if (session_live(session)) self->slow_peers++;
    front_cut(self, session, "it does not read its answers");
}

static void send_output(front_t *self, const job_t *job, const output_t *out)
{
    session_t *session = sessions_by_conn(self->sessions, out->conn);
    if (session == NULL) return;
    if (out->kind == OUT_WELCOME &&
        !sessions_activate(self->sessions, out->conn, out->id, self->now))
        return;
    if (!session_live(session) && out->kind != OUT_REPLY) return;
    const uint8_t *bytes = job->outputs.bytes.at + out->at;
    sent_t sent = send_to(self, session->route, session, bytes, out->len);
    if (sent == SENT) return;
    if (out->kind == OUT_PUSH && out->flag) {
        self->undelivered++;
        intake_record(self, front_open(self), front_tell(self, CMD_UNDELIVERED, out->conn),
                      slice(NULL, 0));
    }
    if (sent == SLOW) front_cut_slow(self, session);
}

/* An answer of the front or of readers. One that is large can wait: what asked changed nothing, so
 * a peer that has too much unread is told to ask again, which takes little room. */
static void send_parcel(front_t *self, parcel_t parcel)
{
    session_t *session = sessions_by_route(self->sessions, parcel.route);
    if (session && parcel.seq && parcel.len > UNCOUNTED_MAX &&
        sessions_too_much_unread(self->sessions, session, parcel.len)) {
        front_refuse(self, parcel.route, parcel.seq, ERR_BUSY, BUSY_RETRY_US,
                     "this peer has not read %llu bytes of answers, the answer has %zu",
                     (unsigned long long)unread_bytes(session->unread), parcel.len);
        return;
    }
    sent_t sent =
        send_to(self, parcel.route, session, self->parcel_bytes.at + parcel.at, parcel.len);
    if (sent == SLOW && session) front_cut_slow(self, session);
}

static void settle_output(front_t *self, const job_t *job, const output_t *out, notice_t *notice,
                          page_t **events)
{
    session_t *session = NULL;
    switch (out->kind) {
    case OUT_REPLY:
    case OUT_PUSH:
    case OUT_WELCOME:
        send_output(self, job, out);
        break;
    case OUT_HELD:
        session = sessions_by_conn(self->sessions, out->conn);
        if (session) session->held = out->count;
        break;
    case OUT_DRAIN:
        session = sessions_by_conn(self->sessions, out->conn);
        if (session) session->draining = out->flag;
        break;
    case OUT_ZONE:
        log_event(LOG_INFO, "ZONE_MOVED", "name=%.*s schedules=%u", (int)out->len,
                  (const char *)job->outputs.bytes.at + out->at, out->count);
        break;
    case OUT_DROP:
        sessions_end(self->sessions, out->conn, SESSION_GONE, self->now);
        break;
    case OUT_ENDED:
        if (notice) memcpy(notice->ended[notice->ended_n++], out->id, 16);
        break;
    case OUT_EVENT: {
        uint8_t len[4];
        be_put_u32(len, out->len);
        if (*events == NULL) *events = page_new();
        buf_add(&(*events)->bytes, len, sizeof len);
        buf_add(&(*events)->bytes, job->outputs.bytes.at + out->at, out->len);
        break;
    }
    }
}

/* What the broker told core in a batch that was refused is told again: a peer that is lost stays
 * lost, however full the disk is. Requests were answered; purges come again by themselves. */
static void keep_for_later(front_t *self, const job_t *job)
{
    for (size_t i = 0; i < job->n; i++) {
        command_t command = job->commands[i];
        if (command.kind == CMD_REQUEST && job->items[i].bye)
            command = (command_t){ .kind = CMD_LOST, .conn = command.conn };
        if (command.kind == CMD_ZONE) zones_add(self->config.zones, command.name, 0); /* unknown */
        if (command.kind != CMD_LOST && command.kind != CMD_GONE &&
            command.kind != CMD_UNDELIVERED && command.kind != CMD_SUSPECT &&
            command.kind != CMD_NOTE)
            continue;
        if (self->again_n == self->again_room) {
            self->again_room = self->again_room ? self->again_room * 2 : 16;
            self->again = mem_grow(self->again, self->again_room * sizeof *self->again);
        }
        self->again[self->again_n++] = command;
    }
}

static const Pawl__V1__Report *report_of(const command_t *command)
{
    bool report = command->kind == CMD_REQUEST &&
                  command->request->body_case == PAWL__V1__REQUEST__BODY_REPORT;
    return report ? command->request->report : NULL;
}

static size_t results_of(const job_t *job)
{
    size_t n = 0;
    for (size_t i = 0; i < job->n; i++) {
        const Pawl__V1__Report *report = report_of(&job->commands[i]);
        if (report) n += report->n_results;
    }
    return n;
}

/* An attempt ended, also when its task did not: its log is complete, whoever follows it is told. */
static void note_results(const job_t *job, notice_t *notice)
{
    for (size_t i = 0; i < job->n; i++) {
        const Pawl__V1__Report *report = report_of(&job->commands[i]);
        for (size_t k = 0; report && k < report->n_results; k++)
            memcpy(notice->logged[notice->logged_n++], report->results[k]->id.data, 16);
    }
}

/* For the next batch. The writer makes jobs of its own, so some must go. */
static void put_aside(front_t *self, job_t *job)
{
    size_t kept = 0;
    for (const job_t *idle = self->idle; idle; idle = idle->next)
        kept++;
    if (kept >= IDLE_MAX) {
        job_free(&job);
        return;
    }
    job_reset(job);
    job->next = self->idle;
    self->idle = job;
}

void broker_release(front_t *self, uint64_t durable)
{
    while (self->returned && self->returned->outputs.batch <= durable) {
        job_t *job = self->returned;
        self->returned = job->next;
        notice_t *notice = self->waiting_out ? notice_new(job->outputs.n, results_of(job)) : NULL;
        page_t *events = NULL;
        for (size_t i = 0; i < job->outputs.n; i++)
            settle_output(self, job, &job->outputs.items[i], notice, &events);
        if (job->refused) keep_for_later(self, job);
        for (size_t i = 0; i < job->n; i++) {
            const job_item_t *item = &job->items[i];
            poison_clear(self->config.poison, item->hash);
            if (item->counted) sessions_done(self->sessions, item->conn, item->items, item->bytes);
            session_t *session =
                item->hello || item->bye ? sessions_by_conn(self->sessions, item->conn) : NULL;
            if (session == NULL) continue;
            if (item->answer && !(job->refused && job->commands[i].kind == CMD_REQUEST)) {
                Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
                front_reply(self, session->route, item->seq, &reply);
            }
            if (item->bye || session->state == SESSION_CONNECTING)
                sessions_end(self->sessions, item->conn, SESSION_GONE, self->now);
        }
        if (notice) note_results(job, notice);
        /* also of a batch of timers alone, which may have no more than events */
        if (notice && job->outputs.batch > 0)
            letter_send(self->config.readers, LETTER_NOTICE, notice, 0);
        else
            notice_free(&notice);
        if (events) letter_send(self->config.stats, LETTER_EVENTS, events, 0);
        put_aside(self, job);
    }
    for (size_t i = 0; i < self->parcels_n; i++) /* a refusal in its place is added at the end */
        send_parcel(self, self->parcels[i]);
    self->parcels_n = 0;
    self->parcel_bytes.len = 0;
    if (self->parcel_bytes.room > PARCELS_KEPT) buf_free(&self->parcel_bytes);
}

/* SPDX-License-Identifier: Apache-2.0
 * client/link_receive.c - what the broker and the transport say: answers to their calls by seq,
 * leases and directives to the worker, the end of a session to the loop. */
#include "client/link_inside.h"

#include <stdio.h>
#include <zmq.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/worker.h"
#include "schemas/limits.h"

#define MAGIC_REPLY 0x31525750u
#define MAGIC_PUSH  0x31505750u

enum { RECEIVE_ROUND = 256 };
#define ACK_US (200 * 1000)

static size_t limit_or(uint64_t told, size_t otherwise)
{
    return told ? (size_t)told : otherwise;
}

static void on_welcome(pawl_client_t *client, const Pawl__V1__Welcome *welcome)
{
    link_t *self = client->link;
    if (welcome->session.len != sizeof self->session) {
        self->lost = true;
        return;
    }
    memcpy(self->session, welcome->session.data, sizeof self->session);
    self->stage = LINK_UP;
    self->assign_seen = 0;
    self->load = (load_told_t){ 0 };
    pthread_mutex_lock(&client->work_lock);
    if (client->worker) {
        client->worker->assign_seen = 0;
        client->worker->drain_remote = false; /* the answer says so again if it still holds */
        worker_on_verdicts(client->worker, welcome->verdicts, welcome->n_verdicts);
    }
    pthread_mutex_unlock(&client->work_lock);
    pthread_mutex_lock(&client->lock);
    const Pawl__V1__Limits *limits = welcome->limits;
    if (limits) {
        client->limit_message = limit_or(limits->message_bytes, LIMIT_MESSAGE);
        client->limit_items = limit_or(limits->items, LIMIT_ITEMS);
        client->limit_requests = limit_or(limits->requests_in_flight, LIMIT_REQUESTS_IN_FLIGHT);
        client->limit_flying_items = limit_or(limits->items_in_flight, LIMIT_ITEMS_IN_FLIGHT);
        client->limit_flying_bytes = limit_or(limits->bytes_in_flight, LIMIT_BYTES_IN_FLIGHT);
    }
    client->ping_us = welcome->ping_us > 0 ? welcome->ping_us : DEFAULT_PING_US;
    client->lease_us = welcome->lease_us > 0 ? welcome->lease_us : DEFAULT_LEASE_US;
    client->refusal = PAWL_OK;
    *client->trouble = '\0';
    link_set_state(client, PAWL_CONNECTED);
    if (client->follow) follow_begin(client);
    pthread_mutex_unlock(&client->lock);
}

/* The broker does not want us. Calls fail with its words when it will not change its mind. */
static void on_refusal(pawl_client_t *client, const Pawl__V1__Error *error)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->lock);
    snprintf(client->refusal_text, sizeof client->refusal_text, "%s", error->text);
    client->refusal = error->code && error->code < 10000 ? -(pawl_err)error->code : PAWL_E_REFUSED;
    client->refusal_retry_us = error->retry_after_us;
    bool may_change = pawl_err_retryable(client->refusal);
    while (!may_change && client->queue)
        call_end(client->queue, client->refusal, client->refusal_text, NULL);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    if (!may_change)
        self->backoff_us = client->connect_max_us;
    else if (error->retry_after_us > self->backoff_us)
        self->backoff_us = error->retry_after_us < client->connect_max_us ? error->retry_after_us
                                                                          : client->connect_max_us;
    self->lost = true;
}

/* Errors that say something about the session, whatever the request was. */
static bool ends_session(const Pawl__V1__Reply *reply)
{
    uint32_t code = reply->error ? reply->error->code : 0;
    return code == ERR_NO_SESSION || code == ERR_SESSION_LOST || code == ERR_SHUTTING_DOWN;
}

static void hold_queue(link_t *self, const Pawl__V1__Error *error, int64_t now)
{
    int64_t wait = error->retry_after_us;
    if (wait < 10 * 1000) wait = 10 * 1000;
    if (wait > 10 * PAWL_SEC_US) wait = 10 * PAWL_SEC_US;
    self->busy_until_us = now + link_jittered(wait);
}

/* What was sent before it has been heard, too; of what left too long ago the time is not known. */
static void was_answered(pawl_client_t *client, uint64_t seq)
{
    const link_t *self = client->link;
    if (seq == 0 || seq > self->seq || self->seq - seq >= SENT_KEPT) return;
    int64_t left = self->left_us[seq % SENT_KEPT];
    if (left > atomic_load(&client->answered_us)) atomic_store(&client->answered_us, left);
}

static void on_reply(pawl_client_t *client, Pawl__V1__Reply *reply)
{
    link_t *self = client->link;
    if (self->stage == LINK_GREETING) {
        if (reply->seq != self->hello_seq) {
            arena_free_of(reply);
            return;
        }
        if (reply->error)
            on_refusal(client, reply->error);
        else if (reply->body_case == PAWL__V1__REPLY__BODY_WELCOME)
            on_welcome(client, reply->welcome);
        else
            self->lost = true;
    } else if (ends_session(reply)) {
        self->hasty = reply->error->code != ERR_SHUTTING_DOWN && self->backoff_us == 0;
        self->lost = true;
        arena_free_of(reply);
        return;
    } else {
        self->backoff_us = 0; /* the session works */
    }
    pthread_mutex_lock(&client->work_lock);
    pawl_worker_t *worker = client->worker;
    for (size_t i = 0; worker && i < reply->n_directives; i++)
        worker_on_directive(worker, reply->directives[i]);
    report_lane lane = worker ? worker_lane_of(worker, reply->seq) : LANES;
    if (lane != LANES) worker_on_reported(worker, lane, reply, clock_steady_us());
    /* last: who sees the longer time of exclusive work also sees what this answer fences */
    if (!reply->error || self->stage == LINK_UP) was_answered(client, reply->seq);
    pthread_mutex_unlock(&client->work_lock);
    if (lane != LANES) {
        arena_free_of(reply);
        return;
    }
    pthread_mutex_lock(&client->lock);
    call_t *call = link_flying_with(client, reply->seq);
    if (call && reply->error && reply->error->code == ERR_BUSY && !call->orphan) {
        hold_queue(self, reply->error, clock_steady_us());
        link_requeue(client, call);
        call = NULL;
    }
    if (call) {
        call_end(call, PAWL_OK, NULL, reply);
        reply = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    if (reply) arena_free_of(reply);
}

static void on_push(pawl_client_t *client, Pawl__V1__Push *push)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->work_lock);
    pawl_worker_t *worker = client->worker;
    if (worker && push->body_case == PAWL__V1__PUSH__BODY_ASSIGN) {
        worker_on_assign(worker, push->assign);
        self->assign_seen = worker->assign_seen;
        if (!self->ack_due_us) self->ack_due_us = clock_steady_us() + ACK_US;
    }
    if (worker && push->body_case == PAWL__V1__PUSH__BODY_DIRECTIVES)
        for (size_t i = 0; i < push->directives->n_directives; i++)
            worker_on_directive(worker, push->directives->directives[i]);
    pthread_mutex_unlock(&client->work_lock);
    if (push->body_case == PAWL__V1__PUSH__BODY_SCHEDULES) {
        pthread_mutex_lock(&client->lock);
        if (client->follow) {
            follow_push(client, push->schedules, push);
            push = NULL;
        }
        pthread_mutex_unlock(&client->lock);
    }
    if (push) arena_free_of(push);
}

/* A reply that cannot be unpacked still has its seq: its call must not wait for ever. */
static void on_unreadable(pawl_client_t *client, const uint8_t *bytes, size_t len)
{
    uint64_t seq = 0;
    if (len < 7 || bytes[5] != 0x10) return;
    for (size_t i = 6, shift = 0; i < len && shift < 64; i++, shift += 7) {
        seq |= (uint64_t)(bytes[i] & 0x7f) << shift;
        if (!(bytes[i] & 0x80)) break;
    }
    pthread_mutex_lock(&client->work_lock);
    report_lane lane = client->worker ? worker_lane_of(client->worker, seq) : LANES;
    if (lane != LANES) worker_on_reported(client->worker, lane, NULL, clock_steady_us());
    pthread_mutex_unlock(&client->work_lock);
    pthread_mutex_lock(&client->lock);
    call_t *call = link_flying_with(client, seq);
    if (call) call_end(call, PAWL_E_NO_MEMORY, "the broker's answer could not be read", NULL);
    pthread_mutex_unlock(&client->lock);
}

static void on_frame(pawl_client_t *client, const uint8_t *bytes, size_t len)
{
    if (len < 5 || bytes[0] != 0x0d) return;
    uint32_t magic = __builtin_bswap32(be_u32(bytes + 1));
    if (magic == MAGIC_REPLY) {
        Pawl__V1__Reply *reply = arena_unpack(&pawl__v1__reply__descriptor, bytes, len);
        if (reply)
            on_reply(client, reply);
        else
            on_unreadable(client, bytes, len);
    } else if (magic == MAGIC_PUSH && client->link->stage == LINK_UP) {
        Pawl__V1__Push *push = arena_unpack(&pawl__v1__push__descriptor, bytes, len);
        if (push)
            on_push(client, push);
        else
            follow_again(client); /* it may have been a schedule's */
    }
}

void link_receive(pawl_client_t *client)
{
    link_t *self = client->link;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool inside = false; /* a message of several frames is nothing of ours */
    for (int i = 0; self->socket && !self->lost && i < RECEIVE_ROUND; i++) {
        if (zmq_msg_recv(&frame, self->socket, ZMQ_DONTWAIT) < 0) break;
        self->waiting_us = 0;
        bool more = zmq_msg_more(&frame);
        if (!more && !inside) on_frame(client, zmq_msg_data(&frame), zmq_msg_size(&frame));
        inside = more;
    }
    zmq_msg_close(&frame);
}

/* The library does not try such a connection again; we do, later: the key may be let in meanwhile.
 */
static void refused_key(pawl_client_t *client)
{
    client->link->lost = true;
    pthread_mutex_lock(&client->lock);
    snprintf(client->trouble, sizeof client->trouble, "the broker does not know the key of %s",
             client->keys.name);
    pthread_mutex_unlock(&client->lock);
}

void link_hear_monitor(pawl_client_t *client)
{
    link_t *self = client->link;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (self->monitor && zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        if (zmq_msg_more(&frame) && zmq_msg_size(&frame) >= sizeof event) {
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
            if (event == ZMQ_EVENT_DISCONNECTED && self->stage >= LINK_GREETING) {
                link_receive(client); /* what came before the end still counts */
                self->lost = true;
            }
            if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) refused_key(client);
        }
    }
    zmq_msg_close(&frame);
}

/* SPDX-License-Identifier: Apache-2.0
 * client/link_send.c - the queue of calls, and frames that leave. See link_inside.h. */
#include "client/link_inside.h"

#include <errno.h>
#include <zmq.h>

#include "client/base/base.h"
#include "client/base/clock.h"

#define MAGIC_REQUEST 0x314C5750u

/* ---- the queue of calls: caller holds the lock ----------------------------------------------- */

void link_requeue(pawl_client_t *client, call_t *call)
{
    *(call->prev ? &call->prev->next : &client->in_flight) = call->next;
    *(call->next ? &call->next->prev : &client->in_flight_last) = call->prev;
    client->flying--;
    client->flying_items -= call->items;
    client->flying_bytes -= call->body.len;
    call->stage = CALL_QUEUED;
    call_t *after = NULL, *before = client->queue;
    while (before && before->order < call->order) {
        after = before;
        before = before->next;
    }
    call->prev = after;
    call->next = before;
    *(after ? &after->next : &client->queue) = call;
    *(before ? &before->prev : &client->queue_last) = call;
}

static void call_fly(pawl_client_t *client, call_t *call)
{
    client->queue = call->next;
    *(call->next ? &call->next->prev : &client->queue_last) = NULL;
    call->stage = CALL_SENT;
    call->prev = client->in_flight_last;
    call->next = NULL;
    *(client->in_flight_last ? &client->in_flight_last->next : &client->in_flight) = call;
    client->in_flight_last = call;
    client->flying++;
    client->flying_items += call->items;
    client->flying_bytes += call->body.len;
}

/* Room for one more in flight, one slot kept for pings and reports. */
static bool may_fly(const pawl_client_t *client, const call_t *call)
{
    return client->flying == 0 ||
           (client->flying + 2 < client->limit_requests &&
            client->flying_items + call->items <= client->limit_flying_items &&
            client->flying_bytes + call->body.len <= client->limit_flying_bytes);
}

call_t *link_flying_with(const pawl_client_t *client, uint64_t seq)
{
    call_t *call = client->in_flight;
    while (call && call->seq != seq)
        call = call->next;
    return call;
}

void link_set_state(pawl_client_t *client, pawl_state state)
{
    client->state = state;
    pthread_cond_broadcast(&client->changed);
}

/* ---- sending --------------------------------------------------------------------------------- */

bool link_send_frame(pawl_client_t *client, const uint8_t *request_id, const bytes_t *body,
                     uint64_t *seq)
{
    link_t *self = client->link;
    uint8_t head[80], *to = head;
    *to++ = 0x0d; /* field 1, fixed32 */
    for (int i = 0; i < 4; i++)
        *to++ = (uint8_t)(MAGIC_REQUEST >> (8 * i));
    *to++ = 0x10; /* field 2, varint */
    to = varint_put(to, self->seq + 1);
    if (self->stage == LINK_UP) {
        *to++ = 0x1a; /* field 3, bytes */
        *to++ = sizeof self->session;
        to = be_put_bytes(to, self->session, sizeof self->session);
    }
    if (request_id) {
        *to++ = 0x22; /* field 4, bytes */
        *to++ = 16;
        to = be_put_bytes(to, request_id, 16);
    }
    if (self->assign_seen && self->stage == LINK_UP) {
        *to++ = 0x28; /* field 5, varint */
        to = varint_put(to, self->assign_seen);
    }
    zmq_msg_t frame;
    size_t head_len = (size_t)(to - head);
    if (zmq_msg_init_size(&frame, head_len + body->len) < 0) return false;
    be_put_bytes(be_put_bytes(zmq_msg_data(&frame), head, head_len), body->at, body->len);
    if (zmq_msg_send(&frame, self->socket, ZMQ_DONTWAIT) < 0) {
        self->blocked = errno == EAGAIN;
        zmq_msg_close(&frame);
        return false;
    }
    *seq = ++self->seq;
    self->sent_us = clock_steady_us();
    self->left_us[*seq % SENT_KEPT] = self->sent_us;
    if (!self->waiting_us) self->waiting_us = self->sent_us;
    self->ack_due_us = 0;
    return true;
}

bool link_send_bare(pawl_client_t *client, const Pawl__V1__Request *request, uint64_t *seq)
{
    bytes_t body = { 0 };
    bool sent =
        bytes_add_message(&body, &request->base) && link_send_frame(client, NULL, &body, seq);
    bytes_free(&body);
    return sent;
}

void link_send_calls(pawl_client_t *client)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->lock);
    while (client->queue && !self->blocked && may_fly(client, client->queue)) {
        call_t *call = client->queue;
        if (!link_send_frame(client, call->remembered ? call->request_id : NULL, &call->body,
                             &call->seq))
            break;
        call_fly(client, call);
    }
    pthread_mutex_unlock(&client->lock);
}

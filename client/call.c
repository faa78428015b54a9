/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "schemas/errors.h"
#include "schemas/limits.h"

enum { ENVELOPE = 128, PENDING_BYTES = 256 << 20 };

call_t *call_new_packed(pawl_client_t *client, bytes_t *body, size_t items, unsigned flags)
{
    call_t *self = calloc(1, sizeof *self);
    if (!self) {
        bytes_free(body);
        return NULL;
    }
    self->client = client;
    self->body = *body;
    *body = (bytes_t){ 0 };
    self->items = items;
    self->refs = 1;
    self->remembered = flags & ASK_REMEMBERED;
    self->long_poll = flags & ASK_LONG_POLL;
    self->once = flags & ASK_ONCE;
    self->own = flags & ASK_OWN;
    if (self->remembered) random_bytes(self->request_id, sizeof self->request_id);
    cond_init(&self->done);
    return self;
}

call_t *call_new(pawl_client_t *client, const Pawl__V1__Request *request, unsigned flags)
{
    bytes_t body = { 0 };
    if (!bytes_add_message(&body, &request->base)) {
        bytes_free(&body);
        return NULL;
    }
    return call_new_packed(client, &body, 1, flags);
}

static void call_free(call_t *self)
{
    if (self->reply) arena_free_of(self->reply);
    bytes_free(&self->body);
    pthread_cond_destroy(&self->done);
    free(self);
}

void call_release(call_t *self)
{
    if (--self->refs == 0) call_free(self);
}

pawl_err call_queue(call_t *self, bool wait_for_room, int64_t deadline_us)
{
    pawl_client_t *client = self->client;
    if (self->body.len + ENVELOPE > client->limit_message) return -(pawl_err)ERR_TOO_LARGE;
    bool in_time = true;
    for (;;) {
        if (client->closing) return PAWL_E_CLOSED;
        if (self->own ||
            (client->pending < (size_t)client->max_pending &&
             (!client->pending || client->pending_bytes + self->body.len <= PENDING_BYTES)))
            break;
        if (!wait_for_room || !in_time) return PAWL_E_BACKPRESSURE;
        in_time = cond_wait_until(&client->changed, &client->lock, deadline_us);
    }
    self->order = ++client->order;
    self->stage = CALL_QUEUED;
    self->refs++;
    self->prev = client->queue_last;
    self->next = NULL;
    if (client->queue_last)
        client->queue_last->next = self;
    else
        client->queue = self;
    client->queue_last = self;
    client->pending++;
    client->pending_bytes += self->body.len;
    client_wake(client);
    return PAWL_OK;
}

static void leave_list(call_t *self)
{
    pawl_client_t *client = self->client;
    call_t **first = self->stage == CALL_SENT ? &client->in_flight : &client->queue;
    call_t **last = self->stage == CALL_SENT ? &client->in_flight_last : &client->queue_last;
    *(self->prev ? &self->prev->next : first) = self->next;
    *(self->next ? &self->next->prev : last) = self->prev;
    self->prev = self->next = NULL;
    if (self->stage == CALL_SENT) {
        client->flying--;
        client->flying_items -= self->items;
        client->flying_bytes -= self->body.len;
    }
    client->pending--;
    client->pending_bytes -= self->body.len;
}

void call_end(call_t *self, pawl_err err, const char *why, Pawl__V1__Reply *reply)
{
    pawl_client_t *client = self->client;
    leave_list(self);
    self->stage = CALL_DONE;
    self->err = err;
    self->why = why;
    self->reply = reply;
    pthread_cond_signal(&self->done);
    pthread_cond_broadcast(&client->changed);
    if (self->on_done) self->on_done(self);
    call_release(self);
}

pawl_err call_verdict(const call_t *self, Pawl__V1__Reply__BodyCase wanted)
{
    const pawl_client_t *client = self->client;
    if (self->err) return fail_with(client, self->err, self->why);
    if (self->reply->error) return fail_from_wire(client, self->reply->error);
    if (self->reply->body_case != wanted)
        return fail_with(client, PAWL_E_BAD_REQUEST, "the broker's answer is of another kind");
    return PAWL_OK;
}

static pawl_err time_is_over(pawl_client_t *client, const call_t *call, char text[512])
{
    if (client->state == PAWL_CONNECTED || call->stage == CALL_SENT) {
        snprintf(text, 512, "the broker at %s did not answer in time", client->endpoint);
        return PAWL_E_TIMEOUT;
    }
    if (client->refusal) {
        snprintf(text, 512, "%s", client->refusal_text);
        return client->refusal;
    }
    snprintf(text, 512, "no broker answers at %s%s%s", client->endpoint,
             *client->trouble ? ": " : "", client->trouble);
    return PAWL_E_UNREACHABLE;
}

pawl_err ask(pawl_client_t *client, const Pawl__V1__Request *request,
             Pawl__V1__Reply__BodyCase wanted, unsigned flags, int64_t timeout_us,
             Pawl__V1__Reply **reply)
{
    *reply = NULL;
    pawl_err err = client_check(client);
    if (err) return err;
    call_t *call = call_new(client, request, flags);
    if (!call) return fail_with(client, PAWL_E_NO_MEMORY, NULL);
    int64_t deadline = deadline_of(timeout_us);
    char text[512] = "";
    pthread_mutex_lock(&client->lock);
    err = call_queue(call, true, deadline);
    if (!err) {
        bool in_time = true;
        while (call->stage != CALL_DONE && in_time)
            in_time = cond_wait_until(&call->done, &client->lock, deadline);
        if (call->stage == CALL_DONE) {
            err = call_verdict(call, wanted);
            if (!err) {
                *reply = call->reply;
                call->reply = NULL;
            }
            call_release(call);
            pthread_mutex_unlock(&client->lock);
            return err;
        }
        err = time_is_over(client, call, text);
        if (call->stage == CALL_QUEUED)
            call_end(call, err, NULL, NULL);
        else
            call->orphan = true;
    }
    /* call_end gave back the reference of the list; this one is ours */
    call_release(call); // NOLINT(clang-analyzer-unix.Malloc)
    pthread_mutex_unlock(&client->lock);
    return fail_with(client, err, text);
}

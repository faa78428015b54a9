/* SPDX-License-Identifier: Apache-2.0
 * The session, as the I/O thread lives it:
 *
 *   DOWN     no socket; after a jittered wait a new one is made (so no late answer of an old
 * session can arrive: the new socket has a new routing id) OPENING  the transport connects; Hello
 * leaves as soon as it can GREETING Hello is sent, Welcome awaited UP       calls leave in order,
 * answers come back by seq
 *
 * A session ends by a disconnect, by NO_SESSION, SESSION_LOST or SHUTTING_DOWN in any answer, or by
 * silence of two pings. What had no answer then goes to the front of the queue, in its order, and
 * is sent again (same ids, new seq) after the next Welcome. BUSY puts a call back in its place and
 * holds the queue for as long as the broker asks.
 *
 * Every read of answers comes before every look at the clock, so a thread that was frozen does not
 * take its own pause for the broker's silence. */
#include "client/link.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/container.h"
#include "client/worker.h"
#include "schemas/limits.h"

#define MAGIC_REQUEST 0x314C5750u
#define MAGIC_REPLY   0x31525750u
#define MAGIC_PUSH    0x31505750u

enum { RECEIVE_ROUND = 256, LINGER_MS = 300, FRAME_MAX = 256 << 20, ADDRESSES = 16 };
#define ACK_US (200 * 1000)

typedef enum { LINK_DOWN, LINK_OPENING, LINK_GREETING, LINK_UP } link_stage;

enum { SENT_KEPT = 2048 }; /* above the requests that may be in flight */

struct link {
    link_stage stage;
    void *socket, *monitor;
    unsigned generation; /* names the monitor */
    uint8_t session[16];
    uint64_t seq, hello_seq, ping_seq;
    int64_t left_us[SENT_KEPT]; /* when the newest requests left, by seq */
    int64_t retry_at_us;        /* DOWN: make the next socket then */
    int64_t backoff_us;
    int64_t hello_at_us;
    int64_t sent_us;    /* when the last request left */
    int64_t waiting_us; /* since when nothing was heard though something is owed; 0: nothing is */
    int64_t busy_until_us;
    int64_t ack_due_us;   /* an Assign came: say so by then; 0: said */
    bool blocked;         /* the transport takes no more right now */
    bool lost;            /* the session is over: drop after this round */
    bool hasty;           /* reconnect at once: the broker is there */
    uint64_t assign_seen; /* the highest Assign of this session, told in every request */
};

link_t *link_new(void)
{
    return calloc(1, sizeof(link_t));
}

void link_destroy(link_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* ---- the queue of calls: caller holds the lock ------------------------------------------------
 */

/* From in flight to where it belongs in the queue. */
static void call_requeue(pawl_client_t *client, call_t *call)
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

static call_t *flying_with(const pawl_client_t *client, uint64_t seq)
{
    call_t *call = client->in_flight;
    while (call && call->seq != seq)
        call = call->next;
    return call;
}

static void set_state(pawl_client_t *client, pawl_state state)
{
    client->state = state;
    pthread_cond_broadcast(&client->changed);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Header and body as one frame. False: the transport takes nothing now. */
static bool send_frame(pawl_client_t *client, const uint8_t *request_id, const bytes_t *body,
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

/* A request without parameters: Ping, Bye. */
static bool send_bare(pawl_client_t *client, const Pawl__V1__Request *request, uint64_t *seq)
{
    bytes_t body = { 0 };
    bool sent = bytes_add_message(&body, &request->base) && send_frame(client, NULL, &body, seq);
    bytes_free(&body);
    return sent;
}

static void send_calls(pawl_client_t *client)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->lock);
    while (client->queue && !self->blocked && may_fly(client, client->queue)) {
        call_t *call = client->queue;
        if (!send_frame(client, call->remembered ? call->request_id : NULL, &call->body,
                        &call->seq))
            break;
        call_fly(client, call);
    }
    pthread_mutex_unlock(&client->lock);
}

/* ---- Hello --------------------------------------------------------------------------------------
 */

/* Addresses of this machine's interfaces, without loopback. */
static size_t own_addresses(char addresses[ADDRESSES][64])
{
    struct ifaddrs *all = NULL;
    size_t n = 0;
    if (getifaddrs(&all) < 0) return 0;
    for (struct ifaddrs *at = all; at && n < ADDRESSES; at = at->ifa_next) {
        int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;
        if ((family != AF_INET && family != AF_INET6) || (at->ifa_flags & IFF_LOOPBACK)) continue;
        socklen_t len =
            family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if (getnameinfo(at->ifa_addr, len, addresses[n], 64, NULL, 0, NI_NUMERICHOST) == 0) n++;
    }
    freeifaddrs(all);
    return n;
}

static void send_hello(pawl_client_t *client)
{
    link_t *self = client->link;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    Pawl__V1__Container container = PAWL__V1__CONTAINER__INIT;
    char host[256] = "", addresses[ADDRESSES][64];
    char *address_list[ADDRESSES];
    gethostname(host, sizeof host - 1);
    hello.minor = 1;
    hello.role = client->role;
    hello.name = client->name;
    hello.incarnation = (ProtobufCBinaryData){ 16, client->incarnation };
    hello.host = host;
    hello.n_addresses = own_addresses(addresses);
    for (size_t i = 0; i < hello.n_addresses; i++)
        address_list[i] = addresses[i];
    hello.addresses = address_list;
    hello.pid = client->pid;
    container_t found;
    if (container_find("", &found)) {
        container.id = found.id;
        container.name = found.name;
        container.image = found.image;
        hello.container = &container;
    }
    hello.software = (char *)(uintptr_t) "pawl " PAWL_VERSION;
    hello.clock_us = clock_wall_us();
    bytes_t body = { 0 };
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    pthread_mutex_lock(&client->work_lock);
    bool made = !client->worker || worker_fill_hello(client->worker, &hello);
    if (made && bytes_add_message(&body, &request.base) &&
        send_frame(client, NULL, &body, &self->hello_seq)) {
        self->stage = LINK_GREETING;
        self->hello_at_us = self->sent_us;
    }
    pthread_mutex_unlock(&client->work_lock);
    free(hello.claims);
    free(hello.labels);
    free(hello.interpreters);
    free(hello.types);
    bytes_free(&body);
}

/* ---- opening and dropping
 * ------------------------------------------------------------------------- */

static int64_t jittered(int64_t span_us)
{
    uint32_t random;
    random_bytes(&random, sizeof random);
    return span_us / 2 + (int64_t)((double)span_us * ((double)random / 4294967296.0));
}

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* A key that was checked when it was read: the library takes it, or there is no connection. */
static void use_keys(void *socket, const keyfile_t *keys)
{
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->broker_key, KEY_TEXT);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, KEY_TEXT);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_TEXT);
}

static void watch_connection(pawl_client_t *client)
{
    link_t *self = client->link;
    char where[64];
    snprintf(where, sizeof where, "inproc://monitor-%u", ++self->generation);
    if (zmq_socket_monitor(self->socket, where,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) < 0)
        return; /* then silence tells, later */
    self->monitor = zmq_socket(client->context, ZMQ_PAIR);
    if (!self->monitor) return;
    set_option(self->monitor, ZMQ_LINGER, 0);
    if (zmq_connect(self->monitor, where) < 0) {
        zmq_close(self->monitor);
        self->monitor = NULL;
    }
}

static void link_close(link_t *self, int linger_ms)
{
    if (self->socket) {
        zmq_socket_monitor(self->socket, NULL, 0);
        set_option(self->socket, ZMQ_LINGER, linger_ms);
        zmq_close(self->socket);
    }
    if (self->monitor) zmq_close(self->monitor);
    self->socket = self->monitor = NULL;
}

static void link_open(pawl_client_t *client)
{
    link_t *self = client->link;
    int64_t max_frame = FRAME_MAX;
    self->socket = zmq_socket(client->context, ZMQ_DEALER);
    if (!self->socket) {
        self->retry_at_us = clock_steady_us() + jittered(client->connect_ivl_us);
        return;
    }
    set_option(self->socket, ZMQ_LINGER, 0);
    set_option(self->socket, ZMQ_IMMEDIATE, 1);
    set_option(self->socket, ZMQ_SNDHWM, 0); /* bounded by max_pending and the broker's limits */
    set_option(self->socket, ZMQ_RCVHWM, 0);
    set_option(self->socket, ZMQ_RECONNECT_IVL, (int)(jittered(client->connect_ivl_us) / 1000) + 1);
    set_option(self->socket, ZMQ_RECONNECT_IVL_MAX, (int)(client->connect_max_us / 1000));
    set_option(self->socket, ZMQ_HANDSHAKE_IVL, 5000);
    set_option(self->socket, ZMQ_TCP_KEEPALIVE, 1);
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &max_frame, sizeof max_frame);
    if (*client->keys.secret_key) use_keys(self->socket, &client->keys);
    watch_connection(client);
    if (zmq_connect(self->socket, client->endpoint) < 0) {
        pthread_mutex_lock(&client->lock);
        snprintf(client->trouble, sizeof client->trouble, "%s", zmq_strerror(errno));
        pthread_mutex_unlock(&client->lock);
        link_close(self, 0);
        self->retry_at_us = clock_steady_us() + jittered(client->connect_max_us);
        return;
    }
    self->stage = LINK_OPENING;
    self->blocked = true; /* until the transport says it can write */
    self->lost = self->hasty = false;
    self->waiting_us = 0;
    self->ping_seq = self->hello_seq = 0;
}

/* For people: why an ipc endpoint does not answer. */
static void look_for_trouble(pawl_client_t *client)
{
    if (strncmp(client->endpoint, "ipc://", 6) != 0) return;
    const char *path = client->endpoint + 6;
    const char *why = "";
    struct stat info;
    if (stat(path, &info) < 0)
        why = strerror(errno);
    else if (access(path, W_OK) < 0)
        why = strerror(errno);
    else
        why = "the socket is there, but nobody answers on it";
    pthread_mutex_lock(&client->lock);
    snprintf(client->trouble, sizeof client->trouble, "%s", why);
    pthread_mutex_unlock(&client->lock);
}

/* The session is over: what has no answer waits for the next one. */
static void link_drop(pawl_client_t *client)
{
    link_t *self = client->link;
    link_close(self, 0);
    self->stage = LINK_DOWN;
    self->lost = self->blocked = false;
    self->waiting_us = self->ack_due_us = self->busy_until_us = 0;
    if (self->backoff_us < client->connect_ivl_us) self->backoff_us = client->connect_ivl_us;
    int64_t wait = jittered(self->hasty ? client->connect_ivl_us / 10 : self->backoff_us);
    self->hasty = false;
    self->backoff_us = self->backoff_us * 2 < client->connect_max_us ? self->backoff_us * 2
                                                                     : client->connect_max_us;
    self->retry_at_us = clock_steady_us() + wait;
    pthread_mutex_lock(&client->lock);
    while (client->in_flight_last) {
        call_t *call = client->in_flight_last;
        if (call->once || call->orphan)
            call_end(call, PAWL_E_UNREACHABLE, "the session ended before the answer came", NULL);
        else
            call_requeue(client, call);
    }
    set_state(client, client->state == PAWL_CONNECTED || client->state == PAWL_LOST
                          ? PAWL_LOST
                          : PAWL_CONNECTING);
    pthread_mutex_unlock(&client->lock);
    pthread_mutex_lock(&client->work_lock);
    if (client->worker) worker_on_lost(client->worker);
    pthread_mutex_unlock(&client->work_lock);
}

/* ---- receiving
 * ------------------------------------------------------------------------------------ */

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
    set_state(client, PAWL_CONNECTED);
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
    self->busy_until_us = now + jittered(wait);
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
    if (!reply->error || self->stage == LINK_UP) was_answered(client, reply->seq);
    pthread_mutex_lock(&client->work_lock);
    pawl_worker_t *worker = client->worker;
    for (size_t i = 0; worker && i < reply->n_directives; i++)
        worker_on_directive(worker, reply->directives[i]);
    bool reported = worker && reply->seq && reply->seq == worker->report_seq;
    if (reported) worker_on_reported(worker, reply, clock_steady_us());
    pthread_mutex_unlock(&client->work_lock);
    if (reported) {
        arena_free_of(reply);
        return;
    }
    pthread_mutex_lock(&client->lock);
    call_t *call = flying_with(client, reply->seq);
    if (call && reply->error && reply->error->code == ERR_BUSY && !call->orphan) {
        hold_queue(self, reply->error, clock_steady_us());
        call_requeue(client, call);
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
    if (client->worker && seq && seq == client->worker->report_seq)
        worker_on_reported(client->worker, NULL, clock_steady_us());
    pthread_mutex_unlock(&client->work_lock);
    pthread_mutex_lock(&client->lock);
    call_t *call = flying_with(client, seq);
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

static void receive(pawl_client_t *client)
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

static void hear_monitor(pawl_client_t *client)
{
    link_t *self = client->link;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (self->monitor && zmq_msg_recv(&frame, self->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        if (zmq_msg_more(&frame) && zmq_msg_size(&frame) >= sizeof event) {
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
            if (event == ZMQ_EVENT_DISCONNECTED && self->stage >= LINK_GREETING) {
                receive(client); /* what came before the end still counts */
                self->lost = true;
            }
            if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) refused_key(client);
        }
    }
    zmq_msg_close(&frame);
}

/* ---- the loop
 * -------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void send_report(pawl_client_t *client, int64_t now, int64_t *due)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->work_lock);
    pawl_worker_t *worker = client->worker;
    bytes_t body = { 0 };
    uint64_t seq;
    if (worker && !self->blocked && worker_next_report(worker, now, &body, due)) {
        if (send_frame(client, NULL, &body, &seq))
            worker_report_sent(worker, seq);
        else
            worker_report_unsent(worker);
    }
    pthread_mutex_unlock(&client->work_lock);
    bytes_free(&body);
}

static void send_ping(pawl_client_t *client)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Ping ping = PAWL__V1__PING__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_PING;
    request.ping = &ping;
    send_bare(client, &request, &client->link->ping_seq);
}

/* Begins the follow anew when that is due. */
static int64_t look_after_follow(pawl_client_t *client, int64_t now)
{
    int64_t again = atomic_load(&client->follow_again_us);
    if (again > now) return again;
    pthread_mutex_lock(&client->lock);
    atomic_store(&client->follow_again_us, INT64_MAX);
    if (client->follow) follow_begin(client);
    pthread_mutex_unlock(&client->lock);
    return INT64_MAX;
}

/* Does what is due in a session that stands; returns when to look again. */
static int64_t step_up(pawl_client_t *client, int64_t now)
{
    link_t *self = client->link;
    int64_t ping_us = client->ping_us; /* written by this thread only */
    int64_t due = look_after_follow(client, now);
    if (!self->blocked) {
        send_report(client, now, &due);
        if (now >= self->busy_until_us) send_calls(client);
        if (now - self->sent_us >= ping_us || (self->ack_due_us && now >= self->ack_due_us))
            send_ping(client);
    }
    if (self->waiting_us && now - self->waiting_us >= 2 * ping_us) self->lost = true;
    if (now < self->busy_until_us) due = earlier(due, self->busy_until_us);
    if (self->ack_due_us) due = earlier(due, self->ack_due_us);
    if (self->waiting_us) due = earlier(due, self->waiting_us + 2 * ping_us);
    return self->blocked ? earlier(due, now + ping_us) : earlier(due, self->sent_us + ping_us);
}

static int64_t step(pawl_client_t *client, bool started)
{
    link_t *self = client->link;
    int64_t now = clock_steady_us();
    if (self->lost) link_drop(client);
    if (self->stage == LINK_DOWN && started && now >= self->retry_at_us) link_open(client);
    switch (self->stage) {
    case LINK_DOWN:
        return started ? self->retry_at_us : INT64_MAX;
    case LINK_OPENING:
        if (!self->blocked) send_hello(client);
        look_for_trouble(client);
        return now + PAWL_SEC_US;
    case LINK_GREETING:
        if (now - self->hello_at_us >= 2 * client->ping_us) self->lost = true;
        return self->lost ? now : self->hello_at_us + 2 * client->ping_us;
    case LINK_UP:
        return step_up(client, now);
    }
    return now;
}

static void wait_for_work(pawl_client_t *client, int64_t until_us)
{
    link_t *self = client->link;
    int64_t left = until_us == INT64_MAX ? INT64_MAX : until_us - clock_steady_us();
    long ms = left == INT64_MAX ? -1 : left <= 0 ? 0 : (long)earlier(left / 1000 + 1, 3600000);
    zmq_pollitem_t items[3] = { { NULL, client->wake_fd, ZMQ_POLLIN, 0 } };
    int n = 1;
    if (self->socket)
        items[n++] = (zmq_pollitem_t){ self->socket, 0,
                                       (short)(ZMQ_POLLIN | (self->blocked ? ZMQ_POLLOUT : 0)), 0 };
    if (self->monitor) items[n++] = (zmq_pollitem_t){ self->monitor, 0, ZMQ_POLLIN, 0 };
    if (zmq_poll(items, n, ms) <= 0) return;
    if (items[0].revents & ZMQ_POLLIN) lower_fd(client->wake_fd);
    if (n > 1 && (items[1].revents & ZMQ_POLLOUT)) self->blocked = false;
}

/* An orderly end: unless a result has no answer yet, whose lease Bye would give away. */
static void say_bye(pawl_client_t *client)
{
    link_t *self = client->link;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Bye bye = PAWL__V1__BYE__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_BYE;
    request.bye = &bye;
    uint64_t seq;
    pthread_mutex_lock(&client->work_lock);
    const pawl_worker_t *worker = client->worker;
    bool owes = client->no_bye || (worker && worker->running.n + worker->storing.n +
                                                 worker->waiting.n + worker->sent.n);
    if (self->stage == LINK_UP && !owes) send_bare(client, &request, &seq);
    pthread_mutex_unlock(&client->work_lock);
}

void *link_main(void *arg)
{
    pawl_client_t *client = arg;
    link_t *self = client->link;
    for (;;) {
        pthread_mutex_lock(&client->lock);
        bool stopping = client->stopping, started = client->started;
        pthread_mutex_unlock(&client->lock);
        if (stopping) break;
        int64_t until = step(client, started);
        if (self->lost) continue;
        wait_for_work(client, until);
        if (self->socket) {
            receive(client);
            hear_monitor(client);
        }
    }
    send_calls(client);
    say_bye(client);
    link_close(self, self->stage == LINK_UP ? LINGER_MS : 0);
    self->stage = LINK_DOWN;
    pthread_mutex_lock(&client->work_lock);
    if (client->worker) worker_on_closed(client->worker);
    pthread_mutex_unlock(&client->work_lock);
    pthread_mutex_lock(&client->lock);
    set_state(client, PAWL_STOPPED);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

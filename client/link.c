/* SPDX-License-Identifier: Apache-2.0
 * client/link.c - the session, as the I/O thread lives it:
 *
 *   DOWN      no socket; after a jittered wait a new one is made (so no late answer of an old
 *             session can arrive: the new socket has a new routing id)
 *   OPENING   the transport connects; Hello leaves as soon as it can
 *   GREETING  Hello is sent, Welcome awaited
 *   UP        calls leave in order, answers come back by seq
 *
 * A session ends by a disconnect, by NO_SESSION, SESSION_LOST or SHUTTING_DOWN in any answer, or by
 * silence of two pings. What had no answer then goes to the front of the queue, in its order, and
 * is sent again (same ids, new seq) after the next Welcome. BUSY puts a call back in its place and
 * holds the queue for as long as the broker asks.
 *
 * Every read of answers comes before every look at the clock, so a thread that was frozen does not
 * take its own pause for the broker's silence. */
#include "client/link_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/worker.h"

enum { LINGER_MS = 300, FRAME_MAX = 256 << 20 };

link_t *link_new(void)
{
    return calloc(1, sizeof(link_t));
}

void link_destroy(link_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* ---- opening and dropping -------------------------------------------------------------------- */

int64_t link_jittered(int64_t span_us)
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
        self->retry_at_us = clock_steady_us() + link_jittered(client->connect_ivl_us);
        return;
    }
    set_option(self->socket, ZMQ_LINGER, 0);
    set_option(self->socket, ZMQ_IMMEDIATE, 1);
    set_option(self->socket, ZMQ_SNDHWM, 0); /* bounded by max_pending and the broker's limits */
    set_option(self->socket, ZMQ_RCVHWM, 0);
    set_option(self->socket, ZMQ_RECONNECT_IVL,
               (int)(link_jittered(client->connect_ivl_us) / 1000) + 1);
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
        self->retry_at_us = clock_steady_us() + link_jittered(client->connect_max_us);
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
    int64_t wait = link_jittered(self->hasty ? client->connect_ivl_us / 10 : self->backoff_us);
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
            link_requeue(client, call);
    }
    link_set_state(client, client->state == PAWL_CONNECTED || client->state == PAWL_LOST
                               ? PAWL_LOST
                               : PAWL_CONNECTING);
    pthread_mutex_unlock(&client->lock);
    pthread_mutex_lock(&client->work_lock);
    if (client->worker) worker_on_lost(client->worker);
    pthread_mutex_unlock(&client->work_lock);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void send_report(pawl_client_t *client, report_lane lane, int64_t now, int64_t *due)
{
    link_t *self = client->link;
    pthread_mutex_lock(&client->work_lock);
    pawl_worker_t *worker = client->worker;
    bytes_t body = { 0 };
    uint64_t seq;
    if (worker && !self->blocked && worker_next_report(worker, lane, now, &body, due)) {
        if (link_send_frame(client, NULL, &body, &seq))
            worker_report_sent(worker, lane, seq);
        else
            worker_report_unsent(worker, lane);
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
    bool with_load =
        client->role == PAWL__V1__ROLE__ROLE_EXECUTOR && machine_load(&ping.load_milli);
    if (with_load) ping.load_set_case = PAWL__V1__PING__LOAD_SET_LOAD_MILLI;
    if (link_send_bare(client, &request, &client->link->ping_seq) && with_load)
        load_note(&client->link->load, ping.load_milli, clock_steady_us());
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
        send_report(client, LANE_RESULTS, now, &due);
        send_report(client, LANE_WORDS, now, &due);
        if (now >= self->busy_until_us) link_send_calls(client);
        /* an executor at work sends no Ping for long: its load is told all the same */
        if (now - self->sent_us >= ping_us || (self->ack_due_us && now >= self->ack_due_us) ||
            (client->role == PAWL__V1__ROLE__ROLE_EXECUTOR && load_is_news(&self->load, now)))
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
        if (!self->blocked) link_send_hello(client);
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
    if (self->stage == LINK_UP && !owes) link_send_bare(client, &request, &seq);
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
            link_receive(client);
            link_hear_monitor(client);
        }
    }
    link_send_calls(client);
    say_bye(client);
    link_close(self, self->stage == LINK_UP ? LINGER_MS : 0);
    self->stage = LINK_DOWN;
    pthread_mutex_lock(&client->work_lock);
    if (client->worker) worker_on_closed(client->worker);
    pthread_mutex_unlock(&client->work_lock);
    pthread_mutex_lock(&client->lock);
    link_set_state(client, PAWL_STOPPED);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}

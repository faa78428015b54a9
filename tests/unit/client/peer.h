/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/client/peer.h - the other end of the wire, played by a test: a ROUTER on ipc in a
 * temporary folder that does what the script says, also what no broker should do.
 *
 * The test is the script: it takes requests one by one (each wait has a deadline) and sends what it
 * likes. Pings are answered on the way unless a ping is what is waited for, or `mute` is set. */
#ifndef TESTS_UNIT_CLIENT_PEER_H
#define TESTS_UNIT_CLIENT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "client/pawl.h"
#include "schemas/pawl.pb-c.h"

#define PEER_MAYBE __attribute__((unused)) static

enum { PEER_PATIENCE_MS = 60000 };
#define SECOND      INT64_C(1000000)
#define PATIENCE_US (PEER_PATIENCE_MS * INT64_C(1000)) /* what takes so long does not happen */

typedef struct peer {
    void *context, *router;
    pawl_client_t *client; /* of the fixtures below; NULL: the test makes its own */
    char dir[64], endpoint[96];
    uint8_t route[64]; /* of the last request */
    size_t route_len;
    Pawl__V1__Request *request; /* the last one */
    unsigned sessions;
    int64_t ping_us;    /* told in Welcome */
    uint32_t in_flight; /* told in Welcome; 0: the default */
    bool mute;          /* pings get no answer */
} peer_t;

PEER_MAYBE void peer_start(peer_t *self)
{
    int linger = 0;
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    zmq_setsockopt(self->router, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(self->router, self->endpoint), 0);
}

PEER_MAYBE void peer_stop(peer_t *self)
{
    if (self->router) zmq_close(self->router);
    self->router = NULL;
}

PEER_MAYBE peer_t *peer_open(void)
{
    peer_t *self = calloc(1, sizeof *self);
    snprintf(self->dir, sizeof self->dir, "/tmp/pawl-peer-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/broker.sock", self->dir);
    self->context = zmq_ctx_new();
    self->ping_us = 2 * SECOND;
    peer_start(self);
    return self;
}

PEER_MAYBE void peer_forget(peer_t *self)
{
    if (self->request) pawl__v1__request__free_unpacked(self->request, NULL);
    self->request = NULL;
}

PEER_MAYBE void peer_close(peer_t **self_p)
{
    peer_t *self = *self_p;
    peer_stop(self);
    peer_forget(self);
    zmq_ctx_term(self->context);
    unlink(self->endpoint + 6);
    rmdir(self->dir);
    free(self);
    *self_p = NULL;
}

PEER_MAYBE void peer_raw(peer_t *self, const void *bytes, size_t len)
{
    zmq_send(self->router, self->route, self->route_len, ZMQ_SNDMORE);
    zmq_send(self->router, bytes, len, 0);
}

/* Answers the last request. */
PEER_MAYBE void peer_reply_to(peer_t *self, uint64_t seq, Pawl__V1__Reply *reply)
{
    reply->magic = 0x31525750;
    reply->seq = seq;
    size_t len = pawl__v1__reply__get_packed_size(reply);
    uint8_t *bytes = malloc(len + 1);
    pawl__v1__reply__pack(reply, bytes);
    peer_raw(self, bytes, len);
    free(bytes);
}

PEER_MAYBE void peer_reply(peer_t *self, Pawl__V1__Reply *reply)
{
    peer_reply_to(self, self->request->seq, reply);
}

PEER_MAYBE void peer_push(peer_t *self, Pawl__V1__Push *push)
{
    push->magic = 0x31505750;
    size_t len = pawl__v1__push__get_packed_size(push);
    uint8_t *bytes = malloc(len + 1);
    pawl__v1__push__pack(push, bytes);
    peer_raw(self, bytes, len);
    free(bytes);
}

PEER_MAYBE void peer_error(peer_t *self, uint32_t code, const char *text, int64_t retry_us)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    error.code = code;
    error.text = (char *)(uintptr_t)text;
    error.retry_after_us = retry_us;
    reply.error = &error;
    peer_reply(self, &reply);
}

PEER_MAYBE void peer_pong(peer_t *self)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Pong pong = PAWL__V1__PONG__INIT;
    reply.body_case = PAWL__V1__REPLY__BODY_PONG;
    reply.pong = &pong;
    peer_reply(self, &reply);
}

/* The next request, whatever it is; NULL: none came for a while. */
PEER_MAYBE Pawl__V1__Request *peer_take(peer_t *self)
{
    zmq_pollitem_t item = { self->router, 0, ZMQ_POLLIN, 0 };
    if (zmq_poll(&item, 1, PEER_PATIENCE_MS) <= 0) return NULL;
    zmq_msg_t frame;
    int len = zmq_recv(self->router, self->route, sizeof self->route, 0);
    assert_true(len > 0);
    self->route_len = (size_t)len;
    zmq_msg_init(&frame);
    zmq_msg_recv(&frame, self->router, 0);
    assert_false(zmq_msg_more(&frame));
    peer_forget(self);
    self->request = pawl__v1__request__unpack(NULL, zmq_msg_size(&frame), zmq_msg_data(&frame));
    zmq_msg_close(&frame);
    assert_non_null(self->request);
    assert_int_equal(self->request->magic, 0x314C5750);
    return self->request;
}

/* The next request of the kind wanted; pings (and Byes of handles that go) are seen to on the way.
 * Fails the test after a while without. */
PEER_MAYBE Pawl__V1__Request *peer_next(peer_t *self, Pawl__V1__Request__BodyCase wanted)
{
    for (;;) {
        const Pawl__V1__Request *request = peer_take(self);
        if (!request) fail_msg("no request of kind %d came", (int)wanted);
        if (request->body_case == wanted) return self->request;
        if (request->body_case == PAWL__V1__REQUEST__BODY_PING) {
            if (!self->mute) peer_pong(self);
        } else if (request->body_case != PAWL__V1__REQUEST__BODY_BYE) {
            fail_msg("request of kind %d came, kind %d was wanted", (int)request->body_case,
                     (int)wanted);
        }
    }
}

PEER_MAYBE void peer_welcome_with(peer_t *self, Pawl__V1__ClaimVerdict *verdicts, size_t n)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Welcome welcome = PAWL__V1__WELCOME__INIT;
    Pawl__V1__Limits limits = PAWL__V1__LIMITS__INIT;
    uint8_t session[16] = { 's' };
    session[15] = (uint8_t)++self->sessions;
    welcome.session = (ProtobufCBinaryData){ 16, session };
    welcome.limits = &limits;
    limits.requests_in_flight = self->in_flight;
    welcome.ping_us = self->ping_us;
    welcome.lease_us = 3 * self->ping_us;
    welcome.verdicts = verdicts;
    welcome.n_verdicts = n;
    reply.body_case = PAWL__V1__REPLY__BODY_WELCOME;
    reply.welcome = &welcome;
    peer_reply(self, &reply);
}

/* Takes a Hello and welcomes it. */
PEER_MAYBE void peer_greet(peer_t *self)
{
    peer_next(self, PAWL__V1__REQUEST__BODY_HELLO);
    peer_welcome_with(self, NULL, 0);
}

PEER_MAYBE void peer_submitted_to(peer_t *self, uint64_t seq)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Submitted submitted = PAWL__V1__SUBMITTED__INIT;
    submitted.accepted = 1;
    reply.body_case = PAWL__V1__REPLY__BODY_SUBMITTED;
    reply.submitted = &submitted;
    peer_reply_to(self, seq, &reply);
}

PEER_MAYBE void peer_submitted(peer_t *self)
{
    peer_submitted_to(self, self->request->seq);
}

/* Pushes a lease of a task of type "a/b" whose input is "x". */
PEER_MAYBE void peer_assign(peer_t *self, uint64_t number, uint8_t name, uint64_t token)
{
    Pawl__V1__Push push = PAWL__V1__PUSH__INIT;
    Pawl__V1__Assign assign = PAWL__V1__ASSIGN__INIT;
    Pawl__V1__Lease lease = PAWL__V1__LEASE__INIT, *leases = &lease;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    uint8_t id[16] = { 'i', name }, input = 'x', packed[256];
    task.id = (ProtobufCBinaryData){ 16, id };
    task.type = (char *)(uintptr_t) "a/b";
    task.input = (ProtobufCBinaryData){ 1, &input };
    lease.id = task.id;
    lease.token = token;
    lease.attempt = 1;
    lease.attempts_max = 3;
    lease.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, packed), packed };
    assign.number = number;
    assign.n_leases = 1;
    assign.leases = &leases;
    push.body_case = PAWL__V1__PUSH__BODY_ASSIGN;
    push.assign = &assign;
    peer_push(self, &push);
}

PEER_MAYBE void peer_direct(peer_t *self, Pawl__V1__DirectiveKind kind, uint8_t name,
                            uint64_t token)
{
    Pawl__V1__Push push = PAWL__V1__PUSH__INIT;
    Pawl__V1__Directives directives = PAWL__V1__DIRECTIVES__INIT;
    Pawl__V1__Directive directive = PAWL__V1__DIRECTIVE__INIT, *list = &directive;
    uint8_t id[16] = { 'i', name };
    directive.kind = kind;
    directive.token = token;
    if (name) directive.id = (ProtobufCBinaryData){ 16, id };
    directives.n_directives = 1;
    directives.directives = &list;
    push.body_case = PAWL__V1__PUSH__BODY_DIRECTIVES;
    push.directives = &directives;
    peer_push(self, &push);
}

/* Answers the last report: one verdict for each result. */
PEER_MAYBE void peer_reported(peer_t *self, Pawl__V1__ReportVerdict verdict)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Reported reported = PAWL__V1__REPORTED__INIT;
    Pawl__V1__ReportVerdict verdicts[64];
    reported.n_verdicts = self->request->report->n_results;
    assert_true(reported.n_verdicts <= 64);
    for (size_t i = 0; i < reported.n_verdicts; i++)
        verdicts[i] = verdict;
    reported.verdicts = verdicts;
    reply.body_case = PAWL__V1__REPLY__BODY_REPORTED;
    reply.reported = &reported;
    peer_reply(self, &reply);
}

/* The next report with a result, answering those without. The caller answers it. */
PEER_MAYBE Pawl__V1__Report *peer_result(peer_t *self)
{
    for (;;) {
        Pawl__V1__Request *request = peer_next(self, PAWL__V1__REQUEST__BODY_REPORT);
        if (request->report->n_results) return request->report;
        peer_reported(self, PAWL__V1__REPORT_VERDICT__REPORT_DONE);
    }
}

/* A handle to this peer with a short back-off. */
PEER_MAYBE pawl_client_t *peer_client(const peer_t *self, const char *role, const char *max_pending)
{
    pawl_conf_t *conf = pawl_conf_new();
    char why[200] = "";
    assert_int_equal(pawl_conf_set(conf, "broker", self->endpoint, NULL, 0), 0);
    assert_int_equal(pawl_conf_set(conf, "name", "tester", NULL, 0), 0);
    assert_int_equal(pawl_conf_set(conf, "role", role, NULL, 0), 0);
    assert_int_equal(pawl_conf_set(conf, "connect_ivl_ms", "10", NULL, 0), 0);
    assert_int_equal(pawl_conf_set(conf, "connect_max_ms", "50", NULL, 0), 0);
    if (max_pending) assert_int_equal(pawl_conf_set(conf, "max_pending", max_pending, NULL, 0), 0);
    pawl_client_t *client = pawl_client_new(conf, why, sizeof why);
    if (!client) fail_msg("%s", why);
    pawl_conf_destroy(&conf);
    return client;
}

/* ---- fixtures: a peer and a handle to it, which go however the test ends --------------------- */

PEER_MAYBE int with_client(void **state)
{
    peer_t *self = peer_open();
    self->client = peer_client(self, "client", NULL);
    *state = self;
    return 0;
}

PEER_MAYBE int with_scheduler(void **state)
{
    peer_t *self = peer_open();
    self->client = peer_client(self, "scheduler", NULL);
    *state = self;
    return 0;
}

PEER_MAYBE int peer_gone(void **state)
{
    peer_t *self = *state;
    pawl_client_destroy(&self->client);
    peer_close(&self);
    return 0;
}

#define AS_CLIENT(test)    cmocka_unit_test_setup_teardown(test, with_client, peer_gone)
#define AS_SCHEDULER(test) cmocka_unit_test_setup_teardown(test, with_scheduler, peer_gone)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/front/session.h"
#include "tests/unit/broker/durations.h"

enum { ROUTE = 0x1234, OTHER = 0x9999 };
static const uint8_t ID[16] = "session-id-0001", ID2[16] = "session-id-0002";

static moment_t at(int64_t seconds)
{
    return (moment_t){ seconds * SECOND, seconds * SECOND + INT64_C(1700000000000000) };
}

static Pawl__V1__Hello hello(const char *name, Pawl__V1__Role role)
{
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    hello.name = (char *)(uintptr_t)name;
    hello.role = role;
    hello.slots = 4;
    hello.credit = 8;
    return hello;
}

static conn_t open_as(sessions_t *sessions, route_t route, const char *name, Pawl__V1__Role role,
                      const uint8_t id[16], int64_t seconds)
{
    conn_t conn, replaced;
    Pawl__V1__Hello message = hello(name, role);
    assert_int_equal(
        sessions_hello(sessions, route, &message, "uid:1", "", 1, at(seconds), &conn, &replaced),
        ERR_OK);
    assert_true(sessions_activate(sessions, conn, id, at(seconds)));
    return conn;
}

static err_t take(sessions_t *sessions, route_t route, const uint8_t id[16], uint64_t seq,
                  int64_t seconds)
{
    session_t *session;
    const char *limit;
    err_t err =
        sessions_take(sessions, route, slice(id, 16), seq, 1, 100, at(seconds), &session, &limit);
    if (err == ERR_OK) sessions_done(sessions, session->conn, 1, 100);
    return err;
}

static sessions_t *fresh(void)
{
    sessions_config_t config;
    sessions_config_default(&config);
    return sessions_new(&config);
}

static size_t expire(sessions_t *sessions, int64_t drained_s, int64_t now_s,
                     session_ending_t endings[8])
{
    return sessions_expire(sessions, drained_s * SECOND, at(now_s), endings, 8);
}

#define EXECUTOR PAWL__V1__ROLE__ROLE_EXECUTOR
#define CLIENT   PAWL__V1__ROLE__ROLE_CLIENT

static void nobody_is_served_before_hello_is_durable(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    assert_int_equal(take(sessions, ROUTE, ID, 1, 0), ERR_NO_SESSION);
    conn_t conn, replaced;
    Pawl__V1__Hello message = hello("a", CLIENT);
    assert_int_equal(
        sessions_hello(sessions, ROUTE, &message, "uid:1", "", 1, at(0), &conn, &replaced), ERR_OK);
    assert_int_equal(take(sessions, ROUTE, ID, 2, 0), ERR_NO_SESSION);
    assert_true(sessions_activate(sessions, conn, ID, at(0)));
    assert_int_equal(take(sessions, ROUTE, ID, 2, 0), ERR_OK);
    assert_int_equal(take(sessions, ROUTE, ID2, 3, 0), ERR_NO_SESSION);
    assert_int_equal(take(sessions, OTHER, ID, 3, 0), ERR_NO_SESSION);
    sessions_destroy(&sessions);
    assert_null(sessions);
}

static void a_seq_that_was_seen_is_dropped(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    assert_int_equal(take(sessions, ROUTE, ID, 1, 0), ERR_EMPTY); /* Hello's own */
    assert_int_equal(take(sessions, ROUTE, ID, 7, 0), ERR_OK);
    assert_int_equal(take(sessions, ROUTE, ID, 7, 0), ERR_EMPTY);
    assert_int_equal(take(sessions, ROUTE, ID, 6, 0), ERR_EMPTY);
    assert_int_equal(take(sessions, ROUTE, ID, 8, 0), ERR_OK);
    sessions_destroy(&sessions);
}

static void
a_client_that_only_submits_is_alive_until_one_interval_after_its_last_request(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t conn = open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    for (int64_t s = 10; s <= 100; s += 10) {
        session_ending_t endings[8];
        assert_int_equal(expire(sessions, s, s, endings), 0);
        assert_int_equal(take(sessions, ROUTE, ID, (uint64_t)s, s), ERR_OK);
    }
    const session_t *session = sessions_by_conn(sessions, conn);
    assert_true(sessions_alive(sessions, session, 115 * SECOND - 1));
    assert_false(sessions_alive(sessions, session, 115 * SECOND));
    sessions_destroy(&sessions);
}

static void a_client_that_left_is_listed_alive_until_its_interval_is_over(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t client = open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    conn_t executor = open_as(sessions, ROUTE + 1, "x", EXECUTOR, ID, 0);
    sessions_end(sessions, client, SESSION_GONE, at(1));
    sessions_end(sessions, executor, SESSION_GONE, at(1));
    const session_t *left = sessions_by_conn(sessions, client);
    assert_true(sessions_listed_alive(sessions, left, 15 * SECOND - 1));
    assert_false(sessions_listed_alive(sessions, left, 15 * SECOND));
    assert_false(sessions_alive(sessions, left, 2 * SECOND));
    left = sessions_by_conn(sessions, executor);
    assert_false(sessions_listed_alive(sessions, left, 2 * SECOND));
    sessions_destroy(&sessions);
}

static void silence_makes_suspect_then_lost_and_a_request_in_between_heals(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t conn = open_as(sessions, ROUTE, "x", EXECUTOR, ID, 0);
    session_ending_t endings[8];
    assert_int_equal(expire(sessions, 15, 15, endings), 0);
    assert_int_equal(sessions_by_conn(sessions, conn)->state, SESSION_SUSPECT);
    assert_int_equal(take(sessions, ROUTE, ID, 2, 20), ERR_OK);
    assert_int_equal(sessions_by_conn(sessions, conn)->state, SESSION_ACTIVE);
    assert_int_equal(expire(sessions, 49, 49, endings), 0);
    assert_int_equal(expire(sessions, 50, 50, endings), 1);
    assert_int_equal(endings[0].conn, conn);
    assert_int_equal(endings[0].state, SESSION_LOST);
    assert_int_equal(endings[0].silent_us, 30 * SECOND);
    assert_int_equal(expire(sessions, 51, 51, endings), 0);
    assert_int_equal(take(sessions, ROUTE, ID, 3, 51), ERR_SESSION_LOST);
    sessions_destroy(&sessions);
}

static void a_lost_client_is_forgotten_by_core_but_told_that_its_session_is_lost(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    session_ending_t endings[8];
    assert_int_equal(expire(sessions, 31, 31, endings), 1);
    assert_int_equal(endings[0].state, SESSION_GONE);
    assert_int_equal(take(sessions, ROUTE, ID, 3, 32), ERR_SESSION_LOST);
    assert_int_equal(sessions_count(sessions), 0);
    sessions_destroy(&sessions);
}

static void nobody_is_lost_while_the_socket_was_not_drained_past_the_deadline(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    open_as(sessions, ROUTE, "x", EXECUTOR, ID, 0);
    session_ending_t endings[8];
    assert_int_equal(expire(sessions, 29, 500, endings), 0);
    assert_int_equal(expire(sessions, 30, 500, endings), 1);
    sessions_destroy(&sessions);
}

static void a_pause_of_the_broker_itself_lengthens_every_lease_by_the_gap(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    sessions_ran(sessions, 1 * SECOND);
    open_as(sessions, ROUTE, "x", EXECUTOR, ID, 1);
    session_ending_t endings[8];
    for (int64_t s = 2; s <= 20; s++)
        sessions_ran(sessions, s * SECOND);
    sessions_ran(sessions, 120 * SECOND); /* frozen for 100 s */
    assert_int_equal(expire(sessions, 120, 120, endings), 0);
    assert_int_equal(expire(sessions, 130, 130, endings), 0);
    assert_int_equal(expire(sessions, 131, 131, endings), 1);
    sessions_destroy(&sessions);
}

static void a_new_hello_on_the_same_route_replaces_the_session(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t first = open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    conn_t second, replaced;
    Pawl__V1__Hello message = hello("a", CLIENT);
    assert_int_equal(
        sessions_hello(sessions, ROUTE, &message, "uid:1", "", 9, at(1), &second, &replaced),
        ERR_OK);
    assert_int_equal(replaced, first);
    assert_true(second > first);
    assert_true(sessions_activate(sessions, second, ID2, at(1)));
    assert_int_equal(take(sessions, ROUTE, ID, 10, 1), ERR_NO_SESSION);
    assert_int_equal(take(sessions, ROUTE, ID2, 10, 1), ERR_OK);
    assert_int_equal(sessions_count(sessions), 1);
    sessions_destroy(&sessions);
}

static void a_welcome_for_a_session_that_ended_meanwhile_activates_nothing(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t conn, replaced;
    Pawl__V1__Hello message = hello("a", CLIENT);
    assert_int_equal(
        sessions_hello(sessions, ROUTE, &message, "uid:1", "", 1, at(0), &conn, &replaced), ERR_OK);
    sessions_end(sessions, conn, SESSION_GONE, at(0));
    assert_false(sessions_activate(sessions, conn, ID, at(0)));
    assert_false(sessions_activate(sessions, 777, ID, at(0)));
    sessions_destroy(&sessions);
}

static void what_is_in_flight_is_bounded_per_peer_and_over_all(void **state)
{
    (void)state;
    const struct {
        uint32_t requests, items;
        uint64_t bytes, all;
        uint32_t each_items;
        size_t each_bytes;
        unsigned fit;
        const char *limit;
    } cases[] = {
        { 3, 1000, 10000, 100000, 1, 10, 3, "requests in flight of this peer" },
        { 99, 10, 10000, 100000, 4, 10, 2, "items in flight of this peer" },
        { 99, 1000, 100, 100000, 1, 40, 2, "bytes in flight of this peer" },
        { 99, 1000, 10000, 100, 1, 40, 2, "bytes in flight of all peers" },
        { 99, 10, 10000, 100000, 50, 10, 1, "items in flight of this peer" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        sessions_config_t config;
        sessions_config_default(&config);
        config.requests_max = cases[i].requests;
        config.items_max = cases[i].items;
        config.bytes_max = cases[i].bytes;
        config.bytes_all_max = cases[i].all;
        sessions_t *sessions = sessions_new(&config);
        conn_t conn = open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
        session_t *session;
        const char *limit = NULL;
        uint64_t seq = 2;
        unsigned fit = 0;
        while (sessions_take(sessions, ROUTE, slice(ID, 16), seq, cases[i].each_items,
                             cases[i].each_bytes, at(0), &session, &limit) == ERR_OK) {
            fit++;
            seq++;
        }
        assert_int_equal(fit, cases[i].fit);
        assert_string_equal(limit, cases[i].limit);
        sessions_done(sessions, conn, cases[i].each_items, cases[i].each_bytes);
        /* the refused seq was not taken: the same request may be sent again */
        assert_int_equal(sessions_take(sessions, ROUTE, slice(ID, 16), seq, cases[i].each_items,
                                       cases[i].each_bytes, at(0), &session, &limit),
                         ERR_OK);
        sessions_destroy(&sessions);
    }
}

static void peers_are_bounded_and_a_replacement_is_not_one_more(void **state)
{
    (void)state;
    sessions_config_t config;
    sessions_config_default(&config);
    config.peers_max = 2;
    sessions_t *sessions = sessions_new(&config);
    conn_t conn, replaced;
    Pawl__V1__Hello message = hello("a", CLIENT);
    open_as(sessions, 1, "a", CLIENT, ID, 0);
    open_as(sessions, 2, "b", CLIENT, ID, 0);
    assert_int_equal(sessions_hello(sessions, 3, &message, "u", "", 1, at(0), &conn, &replaced),
                     ERR_BUSY);
    assert_int_equal(sessions_hello(sessions, 2, &message, "u", "", 1, at(0), &conn, &replaced),
                     ERR_OK);
    sessions_end(sessions, conn, SESSION_GONE, at(0));
    assert_int_equal(sessions_hello(sessions, 3, &message, "u", "", 1, at(0), &conn, &replaced),
                     ERR_OK);
    /* back on the route of a session that has ended: one more */
    assert_int_equal(sessions_hello(sessions, 2, &message, "u", "", 2, at(0), &conn, &replaced),
                     ERR_BUSY);
    sessions_destroy(&sessions);
}

static void ended_sessions_are_listed_for_a_while_and_not_without_bound(void **state)
{
    (void)state;
    sessions_config_t config;
    sessions_config_default(&config);
    config.keep_ended_us = 100 * SECOND;
    config.ended_max = 3;
    sessions_t *sessions = sessions_new(&config);
    session_ending_t endings[8];
    conn_t conns[5];
    for (unsigned i = 0; i < 5; i++)
        conns[i] = open_as(sessions, 10 + i, "a", CLIENT, ID, 0);
    for (unsigned i = 0; i < 5; i++)
        sessions_end(sessions, conns[i], SESSION_GONE, at(i));
    expire(sessions, 5, 5, endings);
    assert_null(sessions_by_conn(sessions, conns[0]));
    assert_null(sessions_by_conn(sessions, conns[1]));
    assert_non_null(sessions_by_conn(sessions, conns[2]));
    expire(sessions, 103, 103, endings);
    assert_null(sessions_by_conn(sessions, conns[3]));
    assert_non_null(sessions_by_conn(sessions, conns[4]));
    assert_int_equal(take(sessions, 10, ID, 5, 103), ERR_NO_SESSION);
    sessions_destroy(&sessions);
}

static void a_session_with_requests_in_flight_is_kept_until_they_are_answered(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    conn_t conn = open_as(sessions, ROUTE, "a", CLIENT, ID, 0);
    session_t *session;
    const char *limit;
    session_ending_t endings[8];
    assert_int_equal(
        sessions_take(sessions, ROUTE, slice(ID, 16), 2, 1, 10, at(0), &session, &limit), ERR_OK);
    sessions_end(sessions, conn, SESSION_GONE, at(0));
    expire(sessions, 5000, 5000, endings);
    assert_non_null(sessions_by_conn(sessions, conn));
    sessions_done(sessions, conn, 1, 10);
    expire(sessions, 5001, 5001, endings);
    assert_null(sessions_by_conn(sessions, conn));
    assert_int_equal(sessions_bytes_in_flight(sessions), 0);
    sessions_destroy(&sessions);
}

static void thousands_of_routes_come_and_go_without_mixing(void **state)
{
    (void)state;
    sessions_config_t config;
    sessions_config_default(&config);
    config.ended_max = 0;
    sessions_t *sessions = sessions_new(&config);
    enum { N = 5000 };
    static conn_t conns[N];
    session_ending_t endings[8];
    for (unsigned i = 0; i < N; i++)
        conns[i] = open_as(sessions, 1000003u * i, "a", CLIENT, ID, 0);
    for (unsigned i = 0; i < N; i += 3)
        sessions_end(sessions, conns[i], SESSION_GONE, at(0));
    expire(sessions, 0, 0, endings);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(take(sessions, 1000003u * i, ID, 2, 0), i % 3 ? ERR_OK : ERR_NO_SESSION);
    size_t n = 0;
    conn_t last = 0;
    for (session_t *s = sessions_next(sessions, 0); s; s = sessions_next(sessions, s->conn)) {
        assert_true(s->conn > last);
        last = s->conn;
        n++;
    }
    assert_int_equal(n, sessions_count(sessions));
    sessions_destroy(&sessions);
}

static void a_hello_is_kept_without_its_claims(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    Pawl__V1__Hello message = hello("x", EXECUTOR);
    Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT, *claims[] = { &claim };
    message.claims = claims;
    message.n_claims = 1;
    conn_t conn, replaced;
    assert_int_equal(
        sessions_hello(sessions, ROUTE, &message, "uid:1", "10.0.0.1", 1, at(0), &conn, &replaced),
        ERR_OK);
    const session_t *session = sessions_by_conn(sessions, conn);
    assert_int_equal(session->hello->n_claims, 0);
    assert_int_equal(session->hello->slots, 4);
    assert_int_equal(session->credit, 8);
    assert_string_equal(session->address, "10.0.0.1");
    sessions_destroy(&sessions);
}

/* 1,000 ended sessions are kept: what a client says of itself must not fill the memory. */
static void of_a_client_nothing_is_kept_that_only_executors_have(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    char *types[] = { "a/b", "c/d" };
    const Pawl__V1__Role roles[] = { CLIENT, EXECUTOR };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        Pawl__V1__Hello message = hello("x", roles[i]);
        conn_t conn, replaced;
        message.types = message.queues = message.kinds = message.sources = types;
        message.n_types = message.n_queues = message.n_kinds = message.n_sources = 2;
        assert_int_equal(
            sessions_hello(sessions, ROUTE + i, &message, "uid:1", "", 1, at(0), &conn, &replaced),
            ERR_OK);
        const Pawl__V1__Hello *kept = sessions_by_conn(sessions, conn)->hello;
        size_t n = roles[i] == EXECUTOR ? 2 : 0;
        assert_int_equal(kept->n_types, n);
        assert_int_equal(kept->n_queues, n);
        assert_int_equal(kept->n_kinds, n);
        assert_int_equal(kept->n_sources, n);
        assert_string_equal(kept->name, "x");
    }
    sessions_destroy(&sessions);
}

static void executors_that_fall_silent_and_come_back_are_told_once_each_way(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    session_ending_t endings[8];
    suspicion_t changes[8];
    conn_t worker = open_as(sessions, ROUTE, "w", EXECUTOR, ID, 0);
    open_as(sessions, OTHER, "c", CLIENT, ID2, 0);
    expire(sessions, 14, 14, endings);
    assert_int_equal(sessions_suspects(sessions, changes, 8), 0);
    expire(sessions, 15, 15, endings);
    assert_int_equal(sessions_suspects(sessions, changes, 8), 1); /* a client gets no work anyway */
    assert_true(changes[0].conn == worker && changes[0].suspect);
    assert_int_equal(sessions_suspects(sessions, changes, 8), 0);
    assert_int_equal(take(sessions, ROUTE, ID, 2, 16), ERR_OK);
    expire(sessions, 16, 16, endings);
    assert_int_equal(sessions_suspects(sessions, changes, 8), 1);
    assert_true(changes[0].conn == worker && !changes[0].suspect);
    expire(sessions, 40, 40, endings);
    assert_int_equal(sessions_suspects(sessions, changes, 8), 1);
    expire(sessions, 50, 50, endings); /* lost: core hears that instead */
    assert_int_equal(sessions_suspects(sessions, changes, 8), 0);
    sessions_destroy(&sessions);
}

/* As the front does: a frame of `len` bytes on its way to the peer. */
static void send_to_peer(sessions_t *sessions, conn_t conn, zmq_msg_t *frame, size_t len)
{
    static const uint8_t bytes[4096];
    unread_frame(sessions_by_conn(sessions, conn)->unread, frame, bytes, len);
}

static size_t deaf(sessions_t *sessions, int64_t seconds, conn_t conns[8])
{
    return sessions_deaf(sessions, at(seconds), conns, 8);
}

static sessions_t *that_hold(uint64_t bytes, uint64_t bytes_all)
{
    sessions_config_t config;
    sessions_config_default(&config);
    config.bytes_max = bytes;
    config.bytes_all_max = bytes_all;
    return sessions_new(&config);
}

static void a_peer_with_too_much_unread_is_busy_until_it_reads(void **state)
{
    (void)state;
    sessions_t *sessions = that_hold(1000, 100000);
    conn_t conn = open_as(sessions, ROUTE, "a", CLIENT, ID, 0), conns[8];
    zmq_msg_t frames[2];
    assert_int_equal(take(sessions, ROUTE, ID, 2, 0), ERR_OK);
    send_to_peer(sessions, conn, &frames[0], 600);
    assert_int_equal(take(sessions, ROUTE, ID, 3, 0), ERR_OK);
    assert_true(sessions_too_much_unread(sessions, sessions_by_conn(sessions, conn), 401));
    assert_false(sessions_too_much_unread(sessions, sessions_by_conn(sessions, conn), 400));
    send_to_peer(sessions, conn, &frames[1], 400);
    assert_int_equal(take(sessions, ROUTE, ID, 4, 0), ERR_BUSY);
    assert_int_equal(deaf(sessions, 1, conns), 0);
    assert_int_equal(sessions_unread(sessions), 1000);
    zmq_msg_close(&frames[0]);
    assert_int_equal(take(sessions, ROUTE, ID, 4, 1), ERR_OK);
    zmq_msg_close(&frames[1]);
    assert_int_equal(deaf(sessions, 100, conns), 0); /* nothing waits: nothing to take */
    assert_int_equal(sessions_unread(sessions), 0);
    sessions_destroy(&sessions);
}

static void who_takes_nothing_for_a_lease_or_leaves_too_much_is_deaf(void **state)
{
    (void)state;
    sessions_t *sessions = that_hold(1000, 100000);
    conn_t a = open_as(sessions, ROUTE, "a", CLIENT, ID, 0), conns[8];
    zmq_msg_t frames[3];
    send_to_peer(sessions, a, &frames[0], 100);
    send_to_peer(sessions, a, &frames[1], 100);
    assert_int_equal(deaf(sessions, 20, conns), 0);
    zmq_msg_close(&frames[0]); /* it took one: the clock begins anew */
    assert_int_equal(deaf(sessions, 29, conns), 0);
    assert_int_equal(deaf(sessions, 58, conns), 0);
    assert_int_equal(deaf(sessions, 59, conns), 1);
    assert_int_equal(conns[0], a);
    assert_int_equal(deaf(sessions, 90, conns), 0); /* told once */

    conn_t b = open_as(sessions, OTHER, "b", CLIENT, ID2, 90);
    send_to_peer(sessions, b, &frames[0], 1800);
    assert_int_equal(deaf(sessions, 90, conns), 0);
    send_to_peer(sessions, b, &frames[2], 201);
    assert_int_equal(deaf(sessions, 90, conns), 1);
    assert_int_equal(conns[0], b);
    for (size_t i = 0; i < 3; i++)
        zmq_msg_close(&frames[i]);
    sessions_destroy(&sessions);
}

static void a_broker_that_stood_still_blames_nobody_for_what_was_not_taken(void **state)
{
    (void)state;
    sessions_t *sessions = that_hold(1000, 100000);
    conn_t a = open_as(sessions, ROUTE, "a", CLIENT, ID, 0), conns[8];
    zmq_msg_t frame;
    sessions_ran(sessions, 1 * SECOND);
    send_to_peer(sessions, a, &frame, 100);
    assert_int_equal(deaf(sessions, 1, conns), 0);
    sessions_ran(sessions, 61 * SECOND); /* suspended for a minute */
    assert_int_equal(deaf(sessions, 61, conns), 0);
    assert_int_equal(deaf(sessions, 89, conns), 0);
    assert_int_equal(deaf(sessions, 91, conns), 1);
    zmq_msg_close(&frame);
    sessions_destroy(&sessions);
}

static void when_all_leave_too_much_who_leaves_most_goes_and_who_reads_is_served(void **state)
{
    (void)state;
    sessions_t *sessions = that_hold(1000, 1500);
    static const uint8_t ID3[16] = "session-id-0003";
    conn_t a = open_as(sessions, ROUTE, "a", CLIENT, ID, 0), conns[8];
    conn_t b = open_as(sessions, OTHER, "b", CLIENT, ID2, 0);
    open_as(sessions, 7, "c", CLIENT, ID3, 0);
    zmq_msg_t frames[2];
    send_to_peer(sessions, a, &frames[0], 800);
    send_to_peer(sessions, b, &frames[1], 900);
    assert_int_equal(deaf(sessions, 1, conns), 1);
    assert_int_equal(conns[0], b);
    assert_int_equal(sessions_unread(sessions), 800);
    assert_int_equal(take(sessions, 7, ID3, 2, 1), ERR_OK);
    zmq_msg_close(&frames[0]);
    sessions_destroy(&sessions);
    zmq_msg_close(&frames[1]); /* the library lets go last */
}

static void a_new_session_on_a_connection_inherits_what_waits_there(void **state)
{
    (void)state;
    sessions_t *sessions = that_hold(1000, 100000);
    conn_t first = open_as(sessions, ROUTE, "a", CLIENT, ID, 0), conns[8];
    zmq_msg_t frame;
    send_to_peer(sessions, first, &frame, 1000);
    conn_t second = open_as(sessions, ROUTE, "a", CLIENT, ID2, 20);
    assert_int_equal(take(sessions, ROUTE, ID2, 2, 20), ERR_BUSY);
    assert_int_equal(deaf(sessions, 49, conns), 0);
    assert_int_equal(deaf(sessions, 50, conns), 1);
    assert_int_equal(conns[0], second);
    zmq_msg_close(&frame);
    sessions_destroy(&sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_served_before_hello_is_durable),
        cmocka_unit_test(a_seq_that_was_seen_is_dropped),
        cmocka_unit_test(
            a_client_that_only_submits_is_alive_until_one_interval_after_its_last_request),
        cmocka_unit_test(a_client_that_left_is_listed_alive_until_its_interval_is_over),
        cmocka_unit_test(silence_makes_suspect_then_lost_and_a_request_in_between_heals),
        cmocka_unit_test(executors_that_fall_silent_and_come_back_are_told_once_each_way),
        cmocka_unit_test(a_lost_client_is_forgotten_by_core_but_told_that_its_session_is_lost),
        cmocka_unit_test(nobody_is_lost_while_the_socket_was_not_drained_past_the_deadline),
        cmocka_unit_test(a_pause_of_the_broker_itself_lengthens_every_lease_by_the_gap),
        cmocka_unit_test(a_new_hello_on_the_same_route_replaces_the_session),
        cmocka_unit_test(a_welcome_for_a_session_that_ended_meanwhile_activates_nothing),
        cmocka_unit_test(what_is_in_flight_is_bounded_per_peer_and_over_all),
        cmocka_unit_test(peers_are_bounded_and_a_replacement_is_not_one_more),
        cmocka_unit_test(ended_sessions_are_listed_for_a_while_and_not_without_bound),
        cmocka_unit_test(a_session_with_requests_in_flight_is_kept_until_they_are_answered),
        cmocka_unit_test(thousands_of_routes_come_and_go_without_mixing),
        cmocka_unit_test(a_hello_is_kept_without_its_claims),
        cmocka_unit_test(of_a_client_nothing_is_kept_that_only_executors_have),
        cmocka_unit_test(a_peer_with_too_much_unread_is_busy_until_it_reads),
        cmocka_unit_test(who_takes_nothing_for_a_lease_or_leaves_too_much_is_deaf),
        cmocka_unit_test(a_broker_that_stood_still_blames_nobody_for_what_was_not_taken),
        cmocka_unit_test(when_all_leave_too_much_who_leaves_most_goes_and_who_reads_is_served),
        cmocka_unit_test(a_new_session_on_a_connection_inherits_what_waits_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

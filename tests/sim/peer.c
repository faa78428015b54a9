/* SPDX-License-Identifier: Apache-2.0
 * What all peers do: one session over links that break, requests that are sent again until they
 * are answered, a sign of life when nothing else was sent. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { KIND_PING = 1000 };

static void varint(buf_t *to, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 127);
        value >>= 7;
        if (value) byte |= 128;
        buf_add(to, &byte, 1);
    } while (value);
}

/* seq, session and assign_seen go between the magic and what was packed once. */
static void send_body(sim_t *sim, peer_t *peer, pending_t *ask)
{
    buf_t frame = { 0 };
    buf_add(&frame, ask->body, 5);
    ask->seq = ++peer->seq;
    ask->sent_us = peer->sent_us = sim->now_us;
    varint(&frame, 2 << 3);
    varint(&frame, ask->seq);
    varint(&frame, 3 << 3 | 2);
    varint(&frame, 16);
    buf_add(&frame, peer->session, 16);
    uint64_t seen = peer->role == PEER_EXECUTOR ? worker_assign_seen(peer) : 0;
    if (seen) {
        varint(&frame, 5 << 3);
        varint(&frame, seen);
    }
    buf_add(&frame, ask->body + 5, ask->len - 5);
    link_up(sim, peer, frame.at, frame.len);
    buf_free(&frame);
}

void peer_ask(sim_t *sim, peer_t *peer, Pawl__V1__Request *request, unsigned kind, uint64_t note)
{
    buf_t body = { 0 };
    wire_request_pack(request, buf_room, &body);
    if (peer->pending_n == peer->pending_room) {
        peer->pending_room = peer->pending_room ? peer->pending_room * 2 : 16;
        peer->pending = mem_grow(peer->pending, peer->pending_room * sizeof *peer->pending);
    }
    pending_t *ask = &peer->pending[peer->pending_n++];
    *ask = (pending_t){
        .sent_us = sim->now_us, .body = body.at, .len = body.len, .kind = kind, .note = note
    };
    if (peer->welcomed) send_body(sim, peer, ask);
}

static void forget_ask(peer_t *peer, size_t i)
{
    free(peer->pending[i].body);
    memmove(&peer->pending[i], &peer->pending[i + 1],
            (--peer->pending_n - i) * sizeof *peer->pending);
}

void peer_forget(peer_t *peer)
{
    while (peer->pending_n)
        forget_ask(peer, peer->pending_n - 1);
    peer->welcomed = false;
    peer->hello_seq = 0;
}

static void hello(sim_t *sim, peer_t *peer)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    static const Pawl__V1__Role roles[] = { PAWL__V1__ROLE__ROLE_CLIENT,
                                            PAWL__V1__ROLE__ROLE_EXECUTOR,
                                            PAWL__V1__ROLE__ROLE_SCHEDULER };
    wire_arena_reset(&sim->arena);
    hello.minor = WIRE_MINOR;
    hello.role = roles[peer->role];
    hello.name = peer->name;
    hello.host = peer->host;
    hello.incarnation.data = peer->incarnation;
    hello.incarnation.len = 16;
    hello.clock_us = sim_wall_us(sim);
    if (peer->role == PEER_EXECUTOR) worker_hello(sim, peer, &hello);
    request.seq = peer->hello_seq = ++peer->seq;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    buf_t frame = { 0 };
    wire_request_pack(&request, buf_room, &frame);
    peer->hello_us = peer->sent_us = sim->now_us;
    link_up(sim, peer, frame.at, frame.len);
    buf_free(&frame);
}

static void on_welcome(sim_t *sim, peer_t *peer, const Pawl__V1__Reply *reply)
{
    memcpy(peer->session, reply->welcome->session.data, 16);
    peer->welcomed = true;
    peer->hello_seq = 0;
    size_t kept = 0;
    for (size_t i = 0; i < peer->pending_n; i++) { /* signs of life of an old session are no use */
        if (peer->pending[i].kind == KIND_PING || peer->role == PEER_EXECUTOR)
            free(peer->pending[i].body);
        else
            peer->pending[kept++] = peer->pending[i];
    }
    peer->pending_n = kept;
    for (size_t i = 0; i < peer->pending_n; i++)
        send_body(sim, peer, &peer->pending[i]);
    if (peer->hello_us > peer->answered_us) peer->answered_us = peer->hello_us;
    if (peer->role == PEER_EXECUTOR) worker_welcome(sim, peer, reply);
    if (peer->role == PEER_SCHEDULER) planner_welcome(sim, peer);
}

static void on_reply(sim_t *sim, peer_t *peer, const Pawl__V1__Reply *reply)
{
    uint32_t code = reply->error ? reply->error->code : 0;
    if (peer->hello_seq && reply->seq == peer->hello_seq) {
        if (code == 0 && reply->body_case == PAWL__V1__REPLY__BODY_WELCOME)
            on_welcome(sim, peer, reply);
        else
            peer->hello_seq = 0; /* again with the next tick */
        return;
    }
    size_t i = 0;
    while (i < peer->pending_n && peer->pending[i].seq != reply->seq)
        i++;
    if (i == peer->pending_n || !peer->welcomed) return; /* of an older session, or a copy */
    if (code == ERR_NO_SESSION || code == ERR_SESSION_LOST || code == ERR_SHUTTING_DOWN) {
        peer->welcomed = false;
        return;
    }
    pending_t asked = peer->pending[i];
    if (asked.sent_us > peer->answered_us) peer->answered_us = asked.sent_us;
    memmove(&peer->pending[i], &peer->pending[i + 1],
            (--peer->pending_n - i) * sizeof *peer->pending);
    if (peer->role == PEER_EXECUTOR && reply->n_directives)
        worker_directives(sim, peer, reply->directives, reply->n_directives);
    if (asked.kind == KIND_PING)
        ;
    else if (peer->role == PEER_CLIENT)
        client_reply(sim, peer, &asked, reply);
    else if (peer->role == PEER_EXECUTOR)
        worker_reply(sim, peer, &asked, reply);
    else
        planner_reply(sim, peer, &asked, reply);
    free(asked.body);
}

void peer_take(sim_t *sim, peer_t *peer, const uint8_t *bytes, size_t len)
{
    wire_fault_t fault;
    wire_arena_reset(&sim->arena);
    if (wire_kind(bytes, len) == WIRE_REPLY) {
        const Pawl__V1__Reply *reply;
        if (wire_reply_decode(&sim->arena, bytes, len, &reply, &fault) != ERR_OK)
            sim_fail(sim, "%s got a reply that cannot be read: %s", peer->name, fault.text);
        else
            on_reply(sim, peer, reply);
        return;
    }
    const Pawl__V1__Push *push;
    if (wire_push_decode(&sim->arena, bytes, len, &push, &fault) != ERR_OK)
        sim_fail(sim, "%s got a push that cannot be read: %s", peer->name, fault.text);
    else if (peer->welcomed && peer->role == PEER_EXECUTOR)
        worker_push(sim, peer, push);
    else if (peer->welcomed && peer->role == PEER_SCHEDULER)
        planner_push(sim, peer, push);
}

/* A new connection of its own, and a new session on it. */
void peer_drop_link(sim_t *sim, peer_t *peer)
{
    peer->welcomed = false;
    peer->hello_seq = 0;
    link_break(sim, peer);
}

static void misfortune(sim_t *sim, peer_t *peer)
{
    const swarm_t *swarm = &sim->swarm;
    if (sim_chance(sim, swarm->cut)) link_break(sim, peer);
    if (!sim_chance(sim, swarm->partition)) return;
    int64_t until = sim->now_us + sim_between(sim, SEC_US, 2 * swarm->lease_us);
    switch (sim_below(sim, 3)) {
    case 0:
        peer->cut_until_us = until;
        link_break(sim, peer);
        break;
    case 1:
        peer->mute_up_until_us = until;
        break;
    default:
        peer->mute_down_until_us = until;
        break;
    }
}

void peer_tick(sim_t *sim, peer_t *peer)
{
    int64_t patience = sim->swarm.lease_us / 4 + SEC_US;
    misfortune(sim, peer);
    if (peer->route == 0) {
        if (!peer->connecting) link_break(sim, peer);
    } else if (!peer->welcomed) {
        if (peer->hello_seq == 0)
            hello(sim, peer);
        else if (sim->now_us - peer->hello_us > patience)
            peer_drop_link(sim, peer);
    } else if (peer->pending_n && sim->now_us - peer->pending[0].sent_us > patience) {
        peer_drop_link(sim, peer);
    }
    if (peer->role == PEER_CLIENT)
        client_tick(sim, peer);
    else if (peer->role == PEER_EXECUTOR)
        worker_tick(sim, peer);
    else
        planner_tick(sim, peer);
    if (peer->welcomed && sim->now_us - peer->sent_us > sim->swarm.lease_us / 6) {
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
        Pawl__V1__Ping ping = PAWL__V1__PING__INIT;
        request.body_case = PAWL__V1__REQUEST__BODY_PING;
        request.ping = &ping;
        peer_ask(sim, peer, &request, KIND_PING, 0);
    }
}

void peer_start(sim_t *sim, peer_t *peer, peer_role_t role, uint32_t index, uint32_t nth)
{
    static const char *const names[] = { "client", "worker", "planner" };
    peer->role = role;
    peer->index = index;
    snprintf(peer->name, sizeof peer->name, "%s-%u", names[role], nth);
    snprintf(peer->host, sizeof peer->host, "host-%u", nth % 3);
    sim_bytes(sim, peer->incarnation, 16);
    if (role == PEER_CLIENT)
        client_start(sim, peer);
    else if (role == PEER_EXECUTOR)
        worker_start(sim, peer);
    else
        planner_start(sim, peer);
    link_connect(sim, peer);
    sim_post(sim, EV_TICK, sim->now_us + sim_between(sim, 1000, 300000), index, 0, NULL, 0);
}

void peer_free(peer_t *peer)
{
    peer_forget(peer);
    free(peer->pending);
    if (peer->role == PEER_CLIENT)
        client_free(peer);
    else if (peer->role == PEER_EXECUTOR)
        worker_free(peer);
    else
        planner_free(peer);
}

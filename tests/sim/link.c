/* SPDX-License-Identifier: Apache-2.0
 * Links: in order within a connection; a connection that breaks takes what is under way with it,
 * and its peer is not told: it gets a new route, as a reconnecting socket does. */
#include "tests/sim/sim.h"

#include <stdlib.h>

static int64_t arrival(sim_t *sim, int64_t *last_us)
{
    int64_t at = sim->now_us + 50 + (int64_t)sim_below(sim, (uint64_t)sim->swarm.latency_us);
    if (sim_chance(sim, 5)) at += (int64_t)sim_below(sim, 2 * SEC_US);
    if (at <= *last_us) at = *last_us + 1;
    return *last_us = at;
}

static void connect_later(sim_t *sim, peer_t *peer, int64_t after_us)
{
    if (peer->connecting) return;
    peer->connecting = true;
    sim_post(sim, EV_CONNECT, sim->now_us + after_us, peer->index, 0, NULL, 0);
}

void link_break(sim_t *sim, peer_t *peer)
{
    peer->route = 0;
    connect_later(sim, peer, sim_between(sim, 1000, 500000));
}

void link_connect(sim_t *sim, peer_t *peer)
{
    peer->connecting = false;
    if (peer->route) return;
    if (!host_is_up(sim) || peer->cut_until_us > sim->now_us || peer->dead_until_us > sim->now_us) {
        connect_later(sim, peer, sim_between(sim, 100000, 800000));
        return;
    }
    if (sim->routes_n + 2 > sim->routes_room) {
        sim->routes_room = sim->routes_room ? sim->routes_room * 2 : 256;
        sim->routes = mem_grow(sim->routes, sim->routes_room * sizeof *sim->routes);
    }
    peer->route = ++sim->routes_n;
    sim->routes[peer->route] = peer->index;
    peer->up_at_us = peer->down_at_us = sim->now_us;
}

void links_break_all(sim_t *sim)
{
    for (size_t i = 0; i < sim->peers_n; i++)
        link_break(sim, &sim->peers[i]);
}

void link_up(sim_t *sim, peer_t *peer, const uint8_t *bytes, size_t len)
{
    if (peer->route == 0 || peer->mute_up_until_us > sim->now_us ||
        sim_chance(sim, sim->swarm.loss))
        return;
    sim_post(sim, EV_TO_BROKER, arrival(sim, &peer->up_at_us), peer->index, peer->route, bytes,
             len);
    if (sim_chance(sim, sim->swarm.twice))
        sim_post(sim, EV_TO_BROKER, arrival(sim, &peer->up_at_us), peer->index, peer->route, bytes,
                 len);
}

bool link_down(sim_t *sim, uint64_t route, const uint8_t *bytes, size_t len)
{
    peer_t *peer = &sim->peers[sim->routes[route]];
    if (peer->route != route) return false;
    if (peer->mute_down_until_us > sim->now_us || sim_chance(sim, sim->swarm.loss)) return true;
    sim_post(sim, EV_TO_PEER, arrival(sim, &peer->down_at_us), peer->index, route, bytes, len);
    return true;
}

/* SPDX-License-Identifier: Apache-2.0
 * Entries stand in one array in order of conn (conns rise, so new ones go to the end; the array is
 * squeezed when ended entries are forgotten) and are found by binary search; routes of live
 * sessions stand in a hash table with linear probing. */
#include "broker/front/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "schemas/limits.h"

enum { GAP_US = 1000000 };

typedef struct slot {
    route_t route;
    session_t *session; /* NULL: free */
} slot_t;

struct sessions {
    sessions_config_t config;
    session_t **all; /* by conn, rising */
    size_t n, room;
    slot_t *slots; /* by route; power of two, at most half full */
    size_t slot_count, used;
    uint32_t live, ended;
    conn_t last_conn;
    uint64_t bytes_in_flight, unread;
    int64_t ran_us;   /* last call of sessions_ran; 0 = never */
    bool any_suspect; /* sessions_suspects has something to look at */
};

void sessions_config_default(sessions_config_t *config)
{
    *config = (sessions_config_t){
        .lease_us = DEFAULT_LEASE_US,
        .suspect_us = DEFAULT_SUSPECT_US,
        .keep_ended_us = 600 * PAWL_SEC_US,
        .ended_max = 1000,
        .peers_max = LIMIT_PEERS,
        .requests_max = LIMIT_REQUESTS_IN_FLIGHT,
        .items_max = LIMIT_ITEMS_IN_FLIGHT,
        .bytes_max = LIMIT_BYTES_IN_FLIGHT,
        .bytes_all_max = LIMIT_BYTES_IN_FLIGHT_ALL,
    };
}

sessions_t *sessions_new(const sessions_config_t *config)
{
    sessions_t *self = mem_new(sizeof *self);
    self->config = *config;
    self->slot_count = 64;
    self->slots = mem_new(self->slot_count * sizeof *self->slots);
    return self;
}

static void session_free(session_t *session)
{
    pawl__v1__hello__free_unpacked(session->hello, NULL);
    free(session->principal);
    unread_drop(&session->unread);
    free(session->follows);
    free(session);
}

void sessions_destroy(sessions_t **self_p)
{
    sessions_t *self = *self_p;
    if (self == NULL) return;
    for (size_t i = 0; i < self->n; i++)
        session_free(self->all[i]);
    free(self->all);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static size_t slot_home(const sessions_t *self, route_t route)
{
    return (size_t)(route * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (self->slot_count - 1);
}

static slot_t *slot_find(const sessions_t *self, route_t route)
{
    size_t i = slot_home(self, route);
    while (self->slots[i].session != NULL && self->slots[i].route != route)
        i = (i + 1) & (self->slot_count - 1);
    return &self->slots[i];
}

static void route_put(sessions_t *self, session_t *session)
{
    if ((self->used + 1) * 2 > self->slot_count) {
        slot_t *old = self->slots;
        size_t count = self->slot_count;
        self->slot_count *= 2;
        self->slots = mem_new(self->slot_count * sizeof *self->slots);
        for (size_t i = 0; i < count; i++)
            if (old[i].session != NULL) *slot_find(self, old[i].route) = old[i];
        free(old);
    }
    slot_t *slot = slot_find(self, session->route);
    if (slot->session == NULL) self->used++;
    *slot = (slot_t){ session->route, session };
}

/* Frees the session's slot and closes the gap, so that probing never needs tombstones. */
static void route_drop(sessions_t *self, const session_t *session)
{
    slot_t *slot = slot_find(self, session->route);
    if (slot->session != session) return; /* a newer session stands on the route */
    size_t mask = self->slot_count - 1, hole = (size_t)(slot - self->slots);
    for (size_t i = (hole + 1) & mask; self->slots[i].session != NULL; i = (i + 1) & mask) {
        size_t home = slot_home(self, self->slots[i].route);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            self->slots[hole] = self->slots[i];
            hole = i;
        }
    }
    self->slots[hole] = (slot_t){ 0 };
    self->used--;
}

/* ---- entries --------------------------------------------------------------------------------- */

static size_t first_from(const sessions_t *self, conn_t conn)
{
    size_t low = 0, high = self->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (self->all[mid]->conn < conn)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

session_t *sessions_by_conn(sessions_t *self, conn_t conn)
{
    size_t i = first_from(self, conn);
    return i < self->n && self->all[i]->conn == conn ? self->all[i] : NULL;
}

session_t *sessions_next(sessions_t *self, conn_t after)
{
    size_t i = first_from(self, after + 1);
    return i < self->n ? self->all[i] : NULL;
}

session_t *sessions_by_route(sessions_t *self, route_t route)
{
    return slot_find(self, route)->session;
}

bool session_live(const session_t *session)
{
    return session->state <= SESSION_SUSPECT;
}

void session_follows(session_t *session, const char *select)
{
    free(session->follows);
    session->follows = mem_text(select);
}

bool sessions_alive(const sessions_t *self, const session_t *session, int64_t steady_us)
{
    return session_live(session) && steady_us - session->last_us < self->config.suspect_us;
}

bool sessions_listed_alive(const sessions_t *self, const session_t *session, int64_t steady_us)
{
    bool client_left =
        session->state == SESSION_GONE && session->hello->role == PAWL__V1__ROLE__ROLE_CLIENT;
    return (session_live(session) || client_left) &&
           steady_us - session->last_us < self->config.suspect_us;
}

uint32_t sessions_count(const sessions_t *self)
{
    return self->live;
}

uint64_t sessions_bytes_in_flight(const sessions_t *self)
{
    return self->bytes_in_flight;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Without what may be long and is nobody's business after the Hello: the claims, and of who runs
 * nothing all that says what it would run. Copies are kept for a while after the session's end, so
 * a peer that comes again and again must not fill the memory with them. */
static Pawl__V1__Hello *hello_copy(const Pawl__V1__Hello *hello)
{
    Pawl__V1__Hello plain = *hello;
    plain.n_claims = 0;
    if (hello->role != PAWL__V1__ROLE__ROLE_EXECUTOR)
        plain.n_kinds = plain.n_types = plain.n_queues = plain.n_labels = plain.n_interpreters =
            plain.n_sources = 0;
    size_t len = pawl__v1__hello__get_packed_size(&plain);
    uint8_t *bytes = mem_new(len);
    pawl__v1__hello__pack(&plain, bytes);
    Pawl__V1__Hello *copy = pawl__v1__hello__unpack(NULL, len, bytes);
    free(bytes);
    CHECK(copy != NULL);
    return copy;
}

err_t sessions_hello(sessions_t *self, route_t route, const Pawl__V1__Hello *hello,
                     const char *principal, const char *address, uint64_t seq, moment_t now,
                     conn_t *conn, conn_t *replaced)
{
    session_t *old = sessions_by_route(self, route);
    *replaced = 0;
    bool one_more = old == NULL || !session_live(old);
    if (one_more && self->live >= self->config.peers_max) return ERR_BUSY;
    if (old != NULL && session_live(old)) {
        *replaced = old->conn;
        sessions_end(self, old->conn, SESSION_GONE, now);
    }
    session_t *session = mem_new(sizeof *session);
    session->conn = ++self->last_conn;
    session->route = route;
    session->state = SESSION_CONNECTING;
    session->seq = seq;
    session->hello = hello_copy(hello);
    session->principal = mem_text(principal);
    snprintf(session->address, sizeof session->address, "%s", address);
    session->last_us = now.steady_us;
    session->last_wall_us = session->since_wall_us = now.wall_us;
    session->requests = 1;
    session->unread = old != NULL ? unread_hold(old->unread) : unread_new();
    session->taken = unread_taken(session->unread);
    session->taken_us = now.steady_us;
    session->credit = hello->credit;
    if (self->n == self->room) {
        self->room = self->room ? self->room * 2 : 64;
        self->all = mem_grow(self->all, self->room * sizeof *self->all);
    }
    self->all[self->n++] = session;
    self->live++;
    route_put(self, session);
    *conn = session->conn;
    return ERR_OK;
}

bool sessions_activate(sessions_t *self, conn_t conn, const uint8_t id[16], moment_t now)
{
    session_t *session = sessions_by_conn(self, conn);
    if (session == NULL || !session_live(session)) return false;
    memcpy(session->id, id, sizeof session->id);
    session->state = SESSION_ACTIVE;
    if (session->last_us < now.steady_us)
        session->last_us = now.steady_us; /* a slow commit is not the peer's silence */
    return true;
}

static const char *over_limit(const sessions_t *self, const session_t *session, uint32_t items,
                              size_t bytes)
{
    const sessions_config_t *limit = &self->config;
    uint64_t unread = unread_bytes(session->unread);
    if (unread >= limit->bytes_max) return "bytes of answers that this peer has not read";
    if (unread > 0 && self->unread > limit->bytes_all_max) /* who reads is served all the same */
        return "bytes of answers that peers have not read";
    if (session->requests_in_flight >= limit->requests_max)
        return "requests in flight of this peer";
    if (session->requests_in_flight == 0)
        /* a single request is bounded by the message limits alone: it must get through */
        return self->bytes_in_flight > limit->bytes_all_max ? "bytes in flight of all peers" : NULL;
    if (session->items_in_flight + (uint64_t)items > limit->items_max)
        return "items in flight of this peer";
    if (session->bytes_in_flight + bytes > limit->bytes_max) return "bytes in flight of this peer";
    if (self->bytes_in_flight + bytes > limit->bytes_all_max) return "bytes in flight of all peers";
    return NULL;
}

static void renew(session_t *session, moment_t now)
{
    session->last_us = now.steady_us;
    session->last_wall_us = now.wall_us;
    session->state = SESSION_ACTIVE;
    session->requests++;
}

static bool is_id_of(const session_t *session, slice_t id)
{
    return session != NULL && session->state != SESSION_CONNECTING &&
           id.len == sizeof session->id && memcmp(id.at, session->id, sizeof session->id) == 0;
}

void sessions_renew(sessions_t *self, route_t route, slice_t id, moment_t now)
{
    session_t *session = sessions_by_route(self, route);
    if (is_id_of(session, id) && session_live(session)) renew(session, now);
}

err_t sessions_take(sessions_t *self, route_t route, slice_t id, uint64_t seq, uint32_t items,
                    size_t bytes, moment_t now, session_t **out, const char **limit)
{
    session_t *session = sessions_by_route(self, route);
    *out = session;
    *limit = NULL;
    if (!is_id_of(session, id)) return ERR_NO_SESSION;
    if (session->state == SESSION_LOST) return ERR_SESSION_LOST;
    if (session->state == SESSION_GONE) return ERR_NO_SESSION;
    renew(session, now);
    if (seq <= session->seq) return ERR_EMPTY;
    *limit = over_limit(self, session, items, bytes);
    if (*limit != NULL) return ERR_BUSY;
    session->seq = seq;
    session->requests_in_flight++;
    session->items_in_flight += items;
    session->bytes_in_flight += bytes;
    self->bytes_in_flight += bytes;
    return ERR_OK;
}

void sessions_done(sessions_t *self, conn_t conn, uint32_t items, size_t bytes)
{
    CHECK(self->bytes_in_flight >= bytes);
    self->bytes_in_flight -= bytes;
    session_t *session = sessions_by_conn(self, conn);
    if (session == NULL) return;
    CHECK(session->requests_in_flight > 0 && session->items_in_flight >= items &&
          session->bytes_in_flight >= bytes);
    session->requests_in_flight--;
    session->items_in_flight -= items;
    session->bytes_in_flight -= bytes;
}

void sessions_end(sessions_t *self, conn_t conn, session_state_t state, moment_t now)
{
    CHECK(state == SESSION_LOST || state == SESSION_GONE);
    session_t *session = sessions_by_conn(self, conn);
    if (session == NULL || !session_live(session)) return;
    session->state = state;
    session->ended_us = now.steady_us;
    session->held = 0;
    self->live--;
    self->ended++;
    /* The route stays known until the entry is forgotten, so that a thawed peer is told that its
     * session is lost; a new Hello takes the route over. */
}

void sessions_ran(sessions_t *self, int64_t steady_us)
{
    int64_t gap = self->ran_us ? steady_us - self->ran_us : 0;
    self->ran_us = steady_us;
    if (gap <= GAP_US) return;
    for (size_t i = 0; i < self->n; i++) {
        self->all[i]->taken_us += gap; /* nobody could take anything from a broker that stood */
        if (session_live(self->all[i])) self->all[i]->last_us += gap;
    }
}

static void forget(sessions_t *self, session_t *session)
{
    route_drop(self, session);
    self->ended--;
    session_free(session);
}

/* Drops ended entries that are old, or the oldest when there are too many; one pass. */
static void squeeze(sessions_t *self, int64_t steady_us)
{
    uint32_t surplus =
        self->ended > self->config.ended_max ? self->ended - self->config.ended_max : 0;
    size_t kept = 0;
    for (size_t i = 0; i < self->n; i++) {
        session_t *session = self->all[i];
        bool old = !session_live(session) &&
                   (surplus || steady_us - session->ended_us >= self->config.keep_ended_us);
        if (old && session->requests_in_flight == 0 && unread_bytes(session->unread) == 0) {
            surplus -= surplus != 0;
            forget(self, session);
        } else {
            self->all[kept++] = session;
        }
    }
    self->n = kept;
}

size_t sessions_expire(sessions_t *self, int64_t drained_us, moment_t now,
                       session_ending_t *endings, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n && n < room; i++) {
        session_t *session = self->all[i];
        if (!session_live(session)) continue;
        if (session->state == SESSION_CONNECTING)
            continue; /* core has the Hello in hand: the broker's time, not the peer's */
        int64_t silent = drained_us - session->last_us;
        if (silent >= self->config.lease_us) {
            bool executor = session->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR;
            session_state_t state = executor ? SESSION_LOST : SESSION_GONE;
            endings[n++] = (session_ending_t){ session->conn, state, (uint64_t)silent };
            sessions_end(self, session->conn, state, now);
            session->state = SESSION_LOST; /* told SESSION_LOST, whatever its role */
        } else if (silent >= self->config.suspect_us) {
            session->state = SESSION_SUSPECT;
            self->any_suspect = true;
        }
    }
    if (self->ended) squeeze(self, now.steady_us);
    return n;
}

size_t sessions_suspects(sessions_t *self, suspicion_t *changes, size_t room)
{
    size_t n = 0;
    if (!self->any_suspect) return 0;
    bool any = false;
    for (size_t i = 0; i < self->n && n < room; i++) {
        session_t *session = self->all[i];
        bool suspect = session->state == SESSION_SUSPECT;
        if (session->hello->role != PAWL__V1__ROLE__ROLE_EXECUTOR || !session_live(session))
            continue;
        any |= suspect;
        if (suspect == session->suspect_told) continue;
        session->suspect_told = suspect;
        changes[n++] = (suspicion_t){ session->conn, suspect };
    }
    self->any_suspect = any || n == room;
    return n;
}

/* ---- who does not read ----------------------------------------------------------------------- */

bool sessions_too_much_unread(const sessions_t *self, const session_t *session, size_t bytes)
{
    uint64_t unread = unread_bytes(session->unread);
    return unread + bytes > self->config.bytes_max ||
           (unread > 0 && self->unread + bytes > self->config.bytes_all_max);
}

void sessions_sent(sessions_t *self, size_t bytes)
{
    self->unread += bytes;
}

uint64_t sessions_unread(const sessions_t *self)
{
    return self->unread;
}

/* Took nothing for too long, or leaves too much. */
static bool is_deaf(const sessions_t *self, session_t *session, uint64_t waits, moment_t now)
{
    uint64_t taken = unread_taken(session->unread);
    if (waits == 0 || taken != session->taken) {
        session->taken = taken;
        session->taken_us = now.steady_us;
    }
    return now.steady_us - session->taken_us >= self->config.lease_us ||
           waits > UNREAD_MOST * self->config.bytes_max;
}

size_t sessions_deaf(sessions_t *self, moment_t now, conn_t *conns, size_t room)
{
    size_t n = 0;
    uint64_t all = 0, most = 0;
    session_t *worst = NULL;
    for (size_t i = 0; i < self->n && n < room; i++) {
        session_t *session = self->all[i];
        if (session->cut || sessions_by_route(self, session->route) != session)
            continue; /* a newer session stands for the connection */
        uint64_t waits = unread_bytes(session->unread);
        if (is_deaf(self, session, waits, now)) {
            session->cut = true;
            conns[n++] = session->conn;
            continue;
        }
        all += waits;
        if (waits > most) {
            most = waits;
            worst = session;
        }
    }
    if (n < room && all > self->config.bytes_all_max) {
        worst->cut = true;
        conns[n++] = worst->conn;
        all -= most;
    }
    self->unread = all;
    return n;
}

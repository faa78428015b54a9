/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front/front_inside.h"
#include "broker/map.h"
#include "schemas/limits.h"

static const char *role_text(Pawl__V1__Role role)
{
    switch (role) {
    case PAWL__V1__ROLE__ROLE_CLIENT:
        return "client";
    case PAWL__V1__ROLE__ROLE_EXECUTOR:
        return "executor";
    case PAWL__V1__ROLE__ROLE_SCHEDULER:
        return "scheduler";
    default:
        return "";
    }
}

static void *take(wire_arena_t *arena, size_t bytes)
{
    void *at = wire_arena_take(arena, bytes);
    CHECK(at != NULL);
    return at;
}

/* Protobuf-c's structs want plain char; what they borrow here is only read. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* A page of sessions: so many rows, and no more bytes than fit a message well. Without a limit it
 * is all of them, which is refused where it leaves when no message holds it. */
enum { PAGE_BYTES = LIMIT_MESSAGE / 2 };

typedef struct roster_page {
    size_t limit, rows, bytes, bytes_max;
    conn_t last; /* listed */
} roster_page_t;

static roster_page_t page_of(sessions_t *sessions, conn_t cursor, uint32_t limit)
{
    roster_page_t page = { .limit = limit < LIMIT_LIST ? limit : LIMIT_LIST,
                           .bytes_max = PAGE_BYTES };
    if (limit > 0) return page;
    page.bytes_max = SIZE_MAX;
    for (session_t *s = sessions_next(sessions, cursor); s; s = sessions_next(sessions, s->conn))
        page.limit++;
    return page;
}

static bool page_has_room(const roster_page_t *self)
{
    return self->rows < self->limit && self->bytes < self->bytes_max;
}

static void page_add(roster_page_t *self, const session_t *session, size_t bytes)
{
    self->rows++;
    self->bytes += bytes;
    self->last = session->conn;
}

void roster_peers(sessions_t *sessions, moment_t now, const Pawl__V1__PeerList *ask,
                  wire_arena_t *arena, Pawl__V1__PeerItems *items)
{
    pawl__v1__peer_items__init(items);
    roster_page_t page = page_of(sessions, ask->cursor, ask->limit);
    items->items = take(arena, (page.limit + 1) * sizeof *items->items);
    for (session_t *s = sessions_next(sessions, ask->cursor); s;
         s = sessions_next(sessions, s->conn)) {
        if (s->state == SESSION_CONNECTING) continue;
        if (!page_has_room(&page)) {
            items->next = page.last;
            break;
        }
        Pawl__V1__PeerInfo *info = take(arena, sizeof *info);
        pawl__v1__peer_info__init(info);
        info->name = s->hello->name;
        info->role = borrow(role_text(s->hello->role));
        info->principal = s->principal;
        info->alive = sessions_listed_alive(sessions, s, now.steady_us);
        info->last_seen_us = s->last_wall_us;
        info->host = s->hello->host;
        if (s->hello->n_addresses) info->internal_ip = s->hello->addresses[0];
        info->external_ip = s->address;
        info->pid = s->hello->pid;
        info->container = s->hello->container;
        info->software = s->hello->software;
        info->since_us = s->since_wall_us;
        info->requests = s->requests;
        items->items[items->n_items++] = info;
        page_add(&page, s, pawl__v1__peer_info__get_packed_size(info));
    }
}

static const char *executor_state(const session_t *session)
{
    if (!session_live(session)) return "lost";
    if (session->state == SESSION_SUSPECT) return "suspect";
    return session->draining ? "draining" : "ready";
}

static uint64_t key_of(const session_t *session)
{
    uint64_t hash = hash64(session->hello->name, strlen(session->hello->name));
    return hash ? hash : 1; /* a map has no key 0 */
}

static bool is_listed_executor(const session_t *session)
{
    return session->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR &&
           session->state != SESSION_CONNECTING;
}

/* Newest session of its name? Older ones are history that `executor list` need not show. `newest`
 * is filled when it is first needed: in one pass, for the front does nothing else meanwhile. */
static bool is_newest(sessions_t *sessions, const session_t *session, map_t *newest)
{
    if (newest->n == 0)
        for (session_t *s = sessions_next(sessions, 0); s; s = sessions_next(sessions, s->conn))
            if (is_listed_executor(s)) map_put(newest, key_of(s), s);
    return map_get(newest, key_of(session)) == session;
}

void roster_executors(sessions_t *sessions, const Pawl__V1__ExecutorList *ask, wire_arena_t *arena,
                      Pawl__V1__ExecutorItems *items)
{
    pawl__v1__executor_items__init(items);
    const char *name = ask->name;
    map_t newest = { 0 };
    roster_page_t page = page_of(sessions, ask->cursor, ask->limit);
    items->items = take(arena, (page.limit + 1) * sizeof *items->items);
    for (session_t *s = sessions_next(sessions, ask->cursor); s;
         s = sessions_next(sessions, s->conn)) {
        if (!is_listed_executor(s) || s->state == SESSION_GONE) continue;
        if (*name && strcmp(name, s->hello->name) != 0) continue;
        if (!session_live(s) && !is_newest(sessions, s, &newest)) continue;
        if (!page_has_room(&page)) {
            items->next = page.last;
            break;
        }
        Pawl__V1__ExecutorInfo *info = take(arena, sizeof *info);
        pawl__v1__executor_info__init(info);
        const Pawl__V1__Hello *hello = s->hello;
        info->name = hello->name;
        info->state = borrow(executor_state(s));
        info->n_kinds = hello->n_kinds;
        info->kinds = hello->kinds;
        info->n_types = hello->n_types;
        info->types = hello->types;
        info->n_labels = hello->n_labels;
        info->labels = hello->labels;
        info->slots = hello->slots;
        info->used = s->held;
        info->host = hello->host;
        info->n_addresses = hello->n_addresses;
        info->addresses = hello->addresses;
        info->pid = hello->pid;
        info->container = hello->container;
        info->version = hello->software;
        info->last_seen_us = s->last_wall_us;
        info->clock_offset_us = hello->clock_us ? hello->clock_us - s->since_wall_us : 0;
        info->credit = s->credit;
        info->n_queues = hello->n_queues;
        info->queues = hello->queues;
        info->since_us = s->since_wall_us;
        info->n_interpreters = hello->n_interpreters;
        info->interpreters = hello->interpreters;
        info->n_sources = hello->n_sources;
        info->sources = hello->sources;
        info->machine = hello->machine;
        if (s->load_known) {
            info->load_set_case = PAWL__V1__EXECUTOR_INFO__LOAD_SET_LOAD_MILLI;
            info->load_milli = s->load_milli;
        }
        items->items[items->n_items++] = info;
        page_add(&page, s, pawl__v1__executor_info__get_packed_size(info));
    }
    map_free(&newest);
}

const followers_t *roster_followers(sessions_t *sessions, moment_t now, wire_arena_t *arena)
{
    size_t n = 0;
    for (session_t *s = sessions_next(sessions, 0); s; s = sessions_next(sessions, s->conn))
        n += s->follows && sessions_alive(sessions, s, now.steady_us);
    followers_t *followers = take(arena, sizeof *followers + n * sizeof followers->selects[0]);
    followers->n = 0;
    for (session_t *s = sessions_next(sessions, 0); s; s = sessions_next(sessions, s->conn)) {
        const char *why;
        size_t column;
        if (s->follows && sessions_alive(sessions, s, now.steady_us) &&
            select_parse(&followers->selects[followers->n], s->follows, &why, &column))
            followers->n++;
    }
    return followers;
}

void roster_count(sessions_t *sessions, int64_t steady_us, front_numbers_t *numbers)
{
    numbers->peers = numbers->executors = numbers->slots = numbers->slots_used = 0;
    for (session_t *s = sessions_next(sessions, 0); s; s = sessions_next(sessions, s->conn)) {
        if (!sessions_alive(sessions, s, steady_us) || s->state == SESSION_CONNECTING) continue;
        numbers->peers++;
        if (s->hello->role != PAWL__V1__ROLE__ROLE_EXECUTOR) continue;
        numbers->executors++;
        numbers->slots += s->hello->slots;
        numbers->slots_used += s->held;
    }
}

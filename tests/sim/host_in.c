/* SPDX-License-Identifier: Apache-2.0
 * Into the broker's process: frames by the product's wire code and session table, and files of
 * zones, as the front gives them to core. */
#include "client/time/zone.h"
#include "tests/sim/host_inside.h"

static buf_t zone_utc, zone_paris, zone_berlin; /* the two have the same rules since 1996 */

void host_load_zones(void)
{
    if (zone_utc.len == 0) {
        CHECK(zone_read_file("UTC", NULL, &zone_utc) == ERR_OK);
        CHECK(zone_read_file("Europe/Paris", NULL, &zone_paris) == ERR_OK);
        CHECK(zone_read_file("Europe/Berlin", NULL, &zone_berlin) == ERR_OK);
    }
}

static uint32_t items_of(const Pawl__V1__Request *request)
{
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_SUBMIT:
        return (uint32_t)request->submit->n_tasks;
    case PAWL__V1__REQUEST__BODY_REPORT:
        return (uint32_t)(request->report->n_results + request->report->n_progress +
                          request->report->n_running);
    default:
        return 1;
    }
}

static void on_hello(sim_t *sim, uint64_t route, const Pawl__V1__Request *request)
{
    host_t *host = sim->host;
    conn_t conn, replaced;
    err_t err = sessions_hello(host->sessions, route, request->hello, "uid:1000", "", request->seq,
                               host_moment(sim), &conn, &replaced);
    if (err != ERR_OK) {
        host_refuse(sim, route, request->seq, err);
        return;
    }
    if (replaced) host_add(sim, CMD_GONE, (item_t){ .conn = replaced });
    command_t *command =
        host_add(sim, CMD_REQUEST, (item_t){ .conn = conn, .seq = request->seq, .hello = true });
    command->request = request;
    command->principal = "uid:1000";
}

/* A batch that edits a schedule edits only that one, once: the judge can then tell which instants
 * belong to which revision. */
static bool seal_for_edit(sim_t *sim, const Pawl__V1__Request *request)
{
    if (request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_PUT &&
        request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE &&
        request->body_case != PAWL__V1__REQUEST__BODY_CALENDAR_PUT)
        return false;
    return sim->host->edits;
}

/* The file of Paris is replaced now and then by another one that says the same. */
void host_tell_zone(sim_t *sim)
{
    const buf_t *bytes = sim->host->newer_zone ? &zone_berlin : &zone_paris;
    command_t *command = host_add(sim, CMD_ZONE, (item_t){ 0 });
    command->name = "Europe/Paris";
    command->bytes = sim->host->no_zone ? slice(NULL, 0) : slice(bytes->at, bytes->len);
}

static void add_zones(sim_t *sim, const Pawl__V1__Request *request)
{
    if (request->body_case != PAWL__V1__REQUEST__BODY_SCHEDULE_PUT) return;
    const char *name = request->schedule_put->schedule->zone;
    bool paris = strcmp(name, "Europe/Paris") == 0;
    if (paris) {
        host_tell_zone(sim);
        return;
    }
    command_t *command = host_add(sim, CMD_ZONE, (item_t){ 0 });
    command->name = "UTC";
    command->bytes = slice(zone_utc.at, zone_utc.len);
}

static void on_request(sim_t *sim, uint64_t route, const Pawl__V1__Request *request, size_t len)
{
    host_t *host = sim->host;
    session_t *session;
    const char *limit;
    uint32_t items = items_of(request);
    err_t err =
        sessions_take(host->sessions, route, slice(request->session.data, request->session.len),
                      request->seq, items, len, host_moment(sim), &session, &limit);
    if (err == ERR_EMPTY) return;
    if (err != ERR_OK) {
        host_refuse(sim, route, request->seq, err);
        return;
    }
    bool executor = session->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR;
    bool news = executor && request->assign_seen > session->assign_seen;
    if (request->body_case == PAWL__V1__REQUEST__BODY_PING && !news) {
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__Pong pong = PAWL__V1__PONG__INIT;
        reply.body_case = PAWL__V1__REPLY__BODY_PONG;
        reply.pong = &pong;
        host_answer(sim, route, request->seq, &reply);
        sessions_done(host->sessions, session->conn, items, len);
        return;
    }
    if (news) session->assign_seen = request->assign_seen;
    item_t item = {
        .conn = session->conn, .seq = request->seq, .items = items, .bytes = len, .counted = true
    };
    item.bye = item.answer = request->body_case == PAWL__V1__REQUEST__BODY_BYE;
    if (item.bye && !executor) {
        host_add(sim, CMD_GONE, item);
        return;
    }
    add_zones(sim, request);
    command_t *command = host_add(sim, CMD_REQUEST, item);
    command->request = request;
    command->principal = session->principal;
    host->edits |= request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_PUT ||
                   request->body_case == PAWL__V1__REQUEST__BODY_CALENDAR_PUT ||
                   request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
}

void host_frame(sim_t *sim, const event_t *event)
{
    host_t *host = sim->host;
    const Pawl__V1__Request *request;
    wire_fault_t fault;
    err_t err = wire_request_decode(&host->arena, event->bytes, event->len, &request, &fault);
    if (err != ERR_OK) {
        uint64_t seq;
        const uint8_t *id;
        if (wire_request_peek(event->bytes, event->len, &seq, &id) && id)
            sessions_renew(host->sessions, event->life, slice(id, 16), host_moment(sim));
        if (fault.seq) host_refuse(sim, event->life, fault.seq, fault.err);
        return;
    }
    if (seal_for_edit(sim, request)) {
        if (!host_step(sim)) return;
        err = wire_request_decode(&host->arena, event->bytes, event->len, &request, &fault);
        CHECK(err == ERR_OK);
    }
    if (request->body_case == PAWL__V1__REQUEST__BODY_HELLO)
        on_hello(sim, event->life, request);
    else
        on_request(sim, event->life, request, event->len);
}

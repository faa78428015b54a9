/* SPDX-License-Identifier: Apache-2.0
 * intake.c - one frame from a peer: decode and check, session and limits, then whose it is. */
#include "broker/front/front_inside.h"

#include <zmq.h>

#include "client/base/log.h"
#include "schemas/limits.h"

typedef Pawl__V1__Request request_t;

enum { BUSY_RETRY_US = 100000 };

typedef enum { TO_CORE, TO_READERS, TO_FRONT } target_t;

static target_t target_of(const request_t *request)
{
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_TASK_GET:
    case PAWL__V1__REQUEST__BODY_TASK_LIST:
    case PAWL__V1__REQUEST__BODY_TASK_WAIT:
    case PAWL__V1__REQUEST__BODY_TASK_WHY:
    case PAWL__V1__REQUEST__BODY_LOG_READ:
    case PAWL__V1__REQUEST__BODY_EVENT_READ:
    case PAWL__V1__REQUEST__BODY_SCHEDULE_GET:
    case PAWL__V1__REQUEST__BODY_SCHEDULE_LIST:
    case PAWL__V1__REQUEST__BODY_SCHEDULE_HISTORY:
    case PAWL__V1__REQUEST__BODY_RANGE_LIST:
    case PAWL__V1__REQUEST__BODY_SCHEDULE_AUDIT:
    case PAWL__V1__REQUEST__BODY_REHEARSE:
    case PAWL__V1__REQUEST__BODY_QUEUE_LIST:
    case PAWL__V1__REQUEST__BODY_CALENDAR_LIST:
    case PAWL__V1__REQUEST__BODY_WATERMARK_LIST:
        return TO_READERS;
    case PAWL__V1__REQUEST__BODY_PING:
    case PAWL__V1__REQUEST__BODY_EXECUTOR_LIST:
    case PAWL__V1__REQUEST__BODY_PEER_LIST:
    case PAWL__V1__REQUEST__BODY_STATS_GET:
    case PAWL__V1__REQUEST__BODY_STATUS_GET:
        return TO_FRONT;
    default:
        return TO_CORE;
    }
}

/* Items of a request, about: what it costs in one commit. */
static uint32_t items_of(const request_t *request)
{
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_SUBMIT:
        return (uint32_t)request->submit->n_tasks;
    case PAWL__V1__REQUEST__BODY_REPORT:
        return (uint32_t)(request->report->n_results + request->report->n_progress +
                          request->report->n_logs + request->report->n_running);
    case PAWL__V1__REQUEST__BODY_PROPOSE:
        return (uint32_t)request->propose->n_items;
    case PAWL__V1__REQUEST__BODY_PRODUCE:
        return (uint32_t)request->produce->n_items;
    case PAWL__V1__REQUEST__BODY_TASK_CHANGE:
        return (uint32_t)request->task_change->n_ids;
    case PAWL__V1__REQUEST__BODY_SCHEDULE_PUT:
        return (uint32_t)request->schedule_put->n_more + 1;
    case PAWL__V1__REQUEST__BODY_HELLO:
        return (uint32_t)request->hello->n_claims;
    default:
        return 1;
    }
}

void intake_record(front_t *self, job_t *job, const command_t *command, slice_t frame)
{
    if (self->config.record) tape_command(&job->record, command, frame);
}

/* ---- to core --------------------------------------------------------------------------------- */

/* The tasks of a Submit, checked here so that core need not: the writer's time is the dear one. */
static const checked_task_t *check_tasks(wire_arena_t *arena, const Pawl__V1__Submit *submit)
{
    checked_task_t *tasks = wire_arena_take(arena, (submit->n_tasks + 1) * sizeof *tasks);
    CHECK(tasks != NULL);
    wire_fault_t fault;
    for (size_t i = 0; i < submit->n_tasks; i++) {
        const Pawl__V1__Task *task = NULL;
        if (wire_task_check(arena, submit->tasks[i].data, submit->tasks[i].len, WIRE_TASK_SUBMITTED,
                            &task, &fault) == ERR_OK) {
            tasks[i] = (checked_task_t){ task, NULL };
            continue;
        }
        wire_fault_t *kept = wire_arena_take(arena, sizeof *kept);
        CHECK(kept != NULL);
        *kept = fault;
        tasks[i] = (checked_task_t){ NULL, kept };
    }
    return tasks;
}

static void tell_zone(front_t *self, job_t *job, const char *name, slice_t bytes)
{
    uint8_t *kept = wire_arena_take(&job->arena, bytes.len + strlen(name) + 1);
    CHECK(kept != NULL);
    if (bytes.len) memcpy(kept, bytes.at, bytes.len);
    char *kept_name = memcpy(kept + bytes.len, name, strlen(name) + 1);
    command_t *command = job_add(job, (job_item_t){ 0 });
    command->kind = CMD_ZONE;
    command->name = kept_name;
    command->bytes = slice(kept, bytes.len);
    intake_record(self, job, command, slice(NULL, 0));
}

/* Zone data is state of the store: the bytes go into the batch before the schedule that names them.
 * A name without a file is left to core, which refuses it unless the store has the zone already. */
static void add_zone(front_t *self, job_t *job, const char *name)
{
    buf_t bytes = { 0 };
    if (*name && zones_read(self->config.zones, name, &bytes) == ERR_OK) {
        tell_zone(self, job, name, slice(bytes.at, bytes.len));
        zones_add(self->config.zones, name, hash64(bytes.at, bytes.len));
    }
    buf_free(&bytes);
}

/* Each zone that a SchedulePut names, once where neighbours name the same. */
static void add_zones(front_t *self, job_t *job, const Pawl__V1__SchedulePut *put)
{
    const char *last = put->schedule ? put->schedule->zone : "";
    add_zone(self, job, last);
    for (size_t i = 0; i < put->n_more; i++) {
        const char *zone = put->more[i]->schedule ? put->more[i]->schedule->zone : last;
        if (strcmp(zone, last) != 0) add_zone(self, job, zone);
        last = zone;
    }
}

void intake_zones(front_t *self)
{
    buf_t bytes = { 0 };
    size_t at = 0;
    self->zones_us = self->now.steady_us;
    for (const char *name; (name = zones_next_changed(self->config.zones, &at, &bytes)) != NULL;) {
        if (bytes.len)
            log_event(LOG_INFO, "ZONE_CHANGED", "name=%s bytes=%zu", name, bytes.len);
        else
            log_event(LOG_WARN, "ZONE_GONE", "name=%s", name);
        tell_zone(self, front_open(self), name, slice(bytes.at, bytes.len));
    }
    buf_free(&bytes);
}

static bool is_executor(const session_t *session)
{
    return session->hello->role == PAWL__V1__ROLE__ROLE_EXECUTOR;
}

/* A submitter has no business with the tasks of another. */
static bool sees_own_only(const session_t *session)
{
    return session->access == ACCESS_SUBMITTER;
}

static void to_core(front_t *self, job_t *job, const request_t *request, const char *principal,
                    job_item_t item, slice_t frame, wire_arena_t *arena)
{
    if (request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_PUT)
        add_zones(self, job, request->schedule_put);
    const checked_task_t *tasks = NULL;
    if (request->body_case == PAWL__V1__REQUEST__BODY_SUBMIT)
        tasks = check_tasks(arena, request->submit);
    command_t *command = job_add(job, item);
    /* a firing writes as much as some tasks that are submitted: smaller batches, so that a submit
     * beside a hundred thousand of them waits for 2,048 at a time and not for 4,096 */
    if (request->body_case == PAWL__V1__REQUEST__BODY_PROPOSE) job->ops += item.items;
    command->kind = CMD_REQUEST;
    command->request = request;
    command->principal = principal;
    if (request->body_case == PAWL__V1__REQUEST__BODY_TASK_CHANGE)
        command->own_only = sees_own_only(sessions_by_conn(self->sessions, item.conn));
    command->tasks = tasks;
    intake_record(self, job, command, frame);
}

/* It was being applied when the broker died, again and again: refused. */
static bool is_poison(front_t *self, route_t route, const request_t *request, const char *principal,
                      uint64_t hash)
{
    if (poison_judge(self->config.poison, hash) != POISON_REFUSE) return false;
    self->poisoned++;
    log_event(LOG_ERROR, "POISON_REFUSED", "principal=%s request=%d hash=%016llx", principal,
              (int)request->body_case, (unsigned long long)hash);
    front_refuse(self, route, request->seq, ERR_POISON, 0, "%s", err_text(ERR_POISON));
    return true;
}

/* True: its role may not ask for this, and it was told so. */
static bool refuse_access(front_t *self, route_t route, const request_t *request,
                          const char *principal, access_role_t role)
{
    if (access_allows(role, request)) return false;
    front_refuse(self, route, request->seq, ERR_REFUSED, 0, "%s has the role %s, which may not %s",
                 principal, access_role_text(role),
                 request->body_case == PAWL__V1__REQUEST__BODY_HELLO ? "be such a peer"
                                                                     : "ask for this");
    return true;
}

static bool is_suspect(const front_t *self, uint64_t hash)
{
    return poison_judge(self->config.poison, hash) == POISON_SUSPECT;
}

static void on_hello(front_t *self, job_t *job, route_t route, const request_t *request,
                     zmq_msg_t *frame, slice_t bytes)
{
    const char *address = zmq_msg_gets(frame, "Peer-Address");
    connection_t connection = connection_of(frame);
    visitor_t visitor;
    if (!door_visitor(self->door, frame, connection.fd, &visitor)) return;
    if (refuse_access(self, route, request, visitor.principal, visitor.role)) return;
    /* over ipc the library tells its own end or nothing: no address of a machine */
    if (address == NULL || zmq_msg_gets(frame, "User-Id") == NULL) address = "";
    if (strncmp(address, "::ffff:", 7) == 0 && strchr(address, '.')) address += 7; /* IPv4 */
    conn_t conn, replaced;
    if (is_poison(self, route, request, visitor.principal, poison_hash(bytes))) return;
    err_t err = sessions_hello(self->sessions, route, request->hello, visitor.principal, address,
                               request->seq, self->now, &conn, &replaced);
    session_t *session = err == ERR_OK ? sessions_by_conn(self->sessions, conn) : NULL;
    if (session != NULL) {
        session->connection = connection;
        session->access = visitor.role;
    } else {
        front_refuse(self, route, request->seq, err, PAWL_SEC_US,
                     "%u peers are connected, the limit", sessions_count(self->sessions));
        return;
    }
    if (replaced) {
        command_t *command = job_add(job, (job_item_t){ .conn = replaced });
        command->kind = CMD_GONE;
        intake_record(self, job, command, slice(NULL, 0));
    }
    job_item_t item = { .conn = conn,
                        .seq = request->seq,
                        .items = items_of(request),
                        .hash = poison_hash(bytes),
                        .hello = true };
    to_core(self, job, request, session->principal, item, bytes, &job->arena);
}

/* An executor's Bye is core's business (its leases go back); of others core need only forget. */
static void end_or_core(front_t *self, job_t *job, const session_t *session,
                        const request_t *request, const char *principal, job_item_t item,
                        slice_t frame, wire_arena_t *arena)
{
    item.bye = item.answer = request->body_case == PAWL__V1__REQUEST__BODY_BYE;
    if (!item.bye || is_executor(session)) {
        to_core(self, job, request, principal, item, frame, arena);
        return;
    }
    command_t *command = job_add(job, item);
    command->kind = CMD_GONE;
    intake_record(self, job, command, slice(NULL, 0));
}

void intake_report(front_t *self, query_t *query)
{
    session_t *session = sessions_by_conn(self->sessions, query->conn);
    CHECK(session != NULL && session->in_logs > 0); /* kept while a request of it is in flight */
    session->in_logs--;
    bool alone = is_suspect(self, query->hash);
    if (alone) front_seal(self);
    job_t *job = front_open(self);
    job_item_t item = { .conn = query->conn,
                        .seq = query->request->seq,
                        .items = query->items,
                        .bytes = query->bytes,
                        .hash = query->hash,
                        .counted = true };
    end_or_core(self, job, session, query->request, query->principal, item,
                slice(query->record.at, query->record.len), &query->arena);
    if (job->held_n == job->held_room) {
        job->held_room = job->held_room ? job->held_room * 2 : 16;
        job->held = mem_grow(job->held, job->held_room * sizeof(query_t *));
    }
    job->held[job->held_n++] = query;
    if (alone) front_seal(self);
}

/* ---- to readers and logs --------------------------------------------------------------------- */

/* The data of the zone that a definition to be rehearsed names, as a SchedulePut would bring them;
 * empty: none, or there is no such file, and the store may have them all the same. */
static slice_t zone_asked(const front_t *self, query_t *query)
{
    const Pawl__V1__SchedulePut *put = query->request->rehearse->put;
    buf_t bytes = { 0 };
    slice_t zone = slice(NULL, 0);
    if (put && zones_read(self->config.zones, put->schedule->zone, &bytes) == ERR_OK) {
        uint8_t *kept = wire_arena_take(&query->arena, bytes.len + 1);
        CHECK(kept != NULL);
        memcpy(kept, bytes.at, bytes.len);
        zone = slice(kept, bytes.len);
    }
    buf_free(&bytes);
    return zone;
}

/* Decodes again into memory of its own: the request outlives the batch that is being filled. */
static void hand_over(front_t *self, const session_t *session, slice_t bytes, uint32_t items,
                      void *socket, query_t **list)
{
    query_t *query = query_new();
    wire_fault_t fault;
    err_t err = wire_request_decode(&query->arena, bytes.at, bytes.len, &query->request, &fault);
    CHECK(err == ERR_OK); /* it was, a moment ago, from the same bytes */
    query->conn = session->conn;
    query->principal = mem_text(session->principal);
    query->own_only = sees_own_only(session);
    query->items = items;
    query->bytes = bytes.len;
    query->hash = poison_hash(bytes);
    if (query->request->body_case == PAWL__V1__REQUEST__BODY_TASK_WHY) {
        Pawl__V1__ExecutorItems *list_items = wire_arena_take(&query->arena, sizeof *list_items);
        wire_arena_t scratch; /* the list borrows from sessions: a packed copy travels */
        CHECK(list_items != NULL);
        wire_arena_init(&scratch);
        Pawl__V1__ExecutorList all = PAWL__V1__EXECUTOR_LIST__INIT;
        roster_executors(self->sessions, &all, &scratch, list_items);
        size_t len = pawl__v1__executor_items__get_packed_size(list_items);
        uint8_t *packed = wire_arena_take(&scratch, len + 1);
        CHECK(packed != NULL);
        pawl__v1__executor_items__pack(list_items, packed);
        query->executors = pawl__v1__executor_items__unpack(&query->arena.allocator, len, packed);
        wire_arena_free(&scratch);
    }
    bool lists = query->request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_LIST ||
                 query->request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_GET;
    if (lists) query->followers = roster_followers(self->sessions, self->now, &query->arena);
    if (query->request->body_case == PAWL__V1__REQUEST__BODY_REHEARSE)
        query->zone = zone_asked(self, query);
    if (self->config.record) buf_add(&query->record, bytes.at, bytes.len);
    front_give(self, query, socket, list);
}

/* ---- answered here --------------------------------------------------------------------------- */

static void ask_for_stats(front_t *self, const session_t *session, const request_t *request,
                          size_t bytes)
{
    if (self->askers_n == self->askers_room) {
        self->askers_room = self->askers_room ? self->askers_room * 2 : 16;
        self->askers = mem_grow(self->askers, self->askers_room * sizeof *self->askers);
    }
    bool status = request->body_case == PAWL__V1__REQUEST__BODY_STATUS_GET;
    self->askers[self->askers_n++] = (asker_t){ session->conn, request->seq, bytes, status };
}

static void answer_here(front_t *self, session_t *session, const request_t *request, size_t bytes)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Pong pong = PAWL__V1__PONG__INIT;
    Pawl__V1__PeerItems peers;
    Pawl__V1__ExecutorItems executors;
    wire_arena_t arena;
    wire_arena_init(&arena);
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_PING:
        pong.wall_us = self->now.wall_us;
        reply.body_case = PAWL__V1__REPLY__BODY_PONG;
        reply.pong = &pong;
        break;
    case PAWL__V1__REQUEST__BODY_PEER_LIST:
        roster_peers(self->sessions, self->now, request->peer_list, &arena, &peers);
        reply.body_case = PAWL__V1__REPLY__BODY_PEERS;
        reply.peers = &peers;
        break;
    case PAWL__V1__REQUEST__BODY_EXECUTOR_LIST:
        roster_executors(self->sessions, request->executor_list, &arena, &executors);
        reply.body_case = PAWL__V1__REPLY__BODY_EXECUTORS;
        reply.executors = &executors;
        break;
    default:
        ask_for_stats(self, session, request, bytes);
        return;
    }
    if (pawl__v1__reply__get_packed_size(&reply) > LIMIT_MESSAGE)
        front_refuse(self, session->route, request->seq, ERR_TOO_LARGE, 0,
                     "the list would be larger than a message of %d bytes", LIMIT_MESSAGE);
    else
        front_reply(self, session->route, request->seq, &reply);
    wire_arena_free(&arena);
    sessions_done(self->sessions, session->conn, 1, bytes);
}

/* ---- one frame ------------------------------------------------------------------------------- */

static void reject(front_t *self, route_t route, slice_t bytes, const wire_fault_t *fault)
{
    uint64_t seq;
    const uint8_t *id;
    self->rejected_frames++;
    if (wire_request_peek(bytes.at, bytes.len, &seq, &id) && id != NULL)
        sessions_renew(self->sessions, route, slice(id, 16), self->now);
    if (fault->seq == 0) return; /* nobody could match an answer */
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    wire_fault_error(fault, &error);
    reply.error = &error;
    front_reply(self, route, fault->seq, &reply);
}

static void refuse_session(front_t *self, route_t route, const request_t *request, err_t err,
                           const session_t *session, const char *limit)
{
    if (err == ERR_EMPTY)
        return; /* a copy of a request that was taken: its answer is on the way or was given */
    if (err == ERR_BUSY)
        front_refuse(self, route, request->seq, err, BUSY_RETRY_US,
                     "%s: the limit is reached (%u requests, %u items, %llu bytes are in flight)",
                     limit, session->requests_in_flight, session->items_in_flight,
                     (unsigned long long)session->bytes_in_flight);
    else
        front_refuse(self, route, request->seq, err, 0, "%s", err_text(err));
}

/* A Ping of an executor says which assignments it has; core must hear what is new of that. */
static bool news_for_core(const session_t *session, const request_t *request)
{
    return is_executor(session) && request->assign_seen > session->assign_seen;
}

static void on_request(front_t *self, job_t *job, route_t route, const request_t *request,
                       slice_t bytes)
{
    uint32_t items = items_of(request);
    slice_t id = slice(request->session.data, request->session.len);
    session_t *session;
    const char *limit;
    err_t err = sessions_take(self->sessions, route, id, request->seq, items, bytes.len, self->now,
                              &session, &limit);
    if (err != ERR_OK) {
        refuse_session(self, route, request, err, session, limit);
        return;
    }
    if (refuse_access(self, route, request, session->principal, session->access)) {
        sessions_done(self->sessions, session->conn, items, bytes.len);
        return;
    }
    target_t target = target_of(request);
    if (target == TO_READERS) {
        hand_over(self, session, bytes, items, self->config.readers, &self->readers_out);
        self->waiting_out++;
        return;
    }
    bool ping = request->body_case == PAWL__V1__REQUEST__BODY_PING;
    if (ping && request->ping->load_set_case == PAWL__V1__PING__LOAD_SET_LOAD_MILLI) {
        session->load_known = true;
        session->load_milli = request->ping->load_milli;
    }
    if (target == TO_FRONT && !(ping && news_for_core(session, request))) {
        answer_here(self, session, request, bytes.len);
        return;
    }
    uint64_t hash = poison_hash(bytes);
    if (is_poison(self, route, request, session->principal, hash)) {
        sessions_done(self->sessions, session->conn, items, bytes.len);
        return;
    }
    if (request->assign_seen > session->assign_seen) session->assign_seen = request->assign_seen;
    if (request->body_case == PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW)
        session_follows(session, request->schedule_follow->select);
    job_item_t item = { .conn = session->conn,
                        .seq = request->seq,
                        .items = items,
                        .bytes = bytes.len,
                        .hash = hash,
                        .counted = true };
    bool report = request->body_case == PAWL__V1__REQUEST__BODY_REPORT;
    if (report && request->report->credit_set_case != 0) session->credit = request->report->credit;
    if (session->in_logs > 0 || (report && request->report->n_logs > 0)) {
        session->in_logs++;
        hand_over(self, session, bytes, items, self->config.logs, &self->logs_out);
        return;
    }
    bool alone = is_suspect(self, hash);
    if ((alone || items > LIMIT_BATCH_OPS) && job->n > 0) {
        /* a commit of its own; decoded again, because what it lives in goes with the other batch */
        front_seal(self);
        job = front_open(self);
        wire_fault_t fault;
        err = wire_request_decode(&job->arena, bytes.at, bytes.len, &request, &fault);
        CHECK(err == ERR_OK);
    }
    end_or_core(self, job, session, request, session->principal, item, bytes, &job->arena);
    if (alone) front_seal(self);
}

void intake_frame(front_t *self, route_t route, zmq_msg_t *frame)
{
    slice_t bytes = slice(zmq_msg_data(frame), zmq_msg_size(frame));
    job_t *job = front_open(self);
    const request_t *request;
    wire_fault_t fault;
    wire_mark_t mark = wire_arena_mark(&job->arena);
    size_t had = job->n;
    self->requests++;
    if (wire_request_decode(&job->arena, bytes.at, bytes.len, &request, &fault) != ERR_OK) {
        reject(self, route, bytes, &fault);
    } else if (self->stopping) {
        front_refuse(self, route, request->seq, ERR_SHUTTING_DOWN, PAWL_SEC_US,
                     "the broker is stopping");
    } else if (request->body_case == PAWL__V1__REQUEST__BODY_HELLO) {
        on_hello(self, job, route, request, frame, bytes);
    } else {
        on_request(self, job, route, request, bytes);
    }
    /* what the batch does not hold, like queries, must not make it grow */
    if (self->open == job && job->n == 0)
        wire_arena_reset(&job->arena);
    else if (self->open == job && job->n == had)
        wire_arena_rewind(&job->arena, mark);
}

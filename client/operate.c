/* SPDX-License-Identifier: Apache-2.0
 * Queues, executors, peers, the broker itself. */
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/client.h"
#include "client/list.h"
#include "schemas/limits.h"

/* ---- lists -----------------------------------------------------------------------------------*/

/* Lists by a number: `cursor` asks for a page, `next` of the answer for the one behind it. */
#define NUMBERED_LIST(name, Name, NAME, ITEMS, items_field)                                        \
    static pawl_err fetch_##name(pawl_client_t *client, const list_place_t *place,                 \
                                 int64_t timeout_us, Pawl__V1__Reply **reply)                      \
    {                                                                                              \
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;                                       \
        Pawl__V1__##Name##List body = PAWL__V1__##NAME##_LIST__INIT;                               \
        body.cursor = place->cursor;                                                               \
        body.limit = LIMIT_LIST;                                                                   \
        fill_##name(&body, place);                                                                 \
        request.body_case = PAWL__V1__REQUEST__BODY_##NAME##_LIST;                                 \
        request.name##_list = &body;                                                               \
        return ask(client, &request, PAWL__V1__REPLY__BODY_##ITEMS, 0, timeout_us, reply);         \
    }                                                                                              \
    static bool turn_##name(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows,       \
                            size_t *n)                                                             \
    {                                                                                              \
        bool more = reply->items_field->next > place->cursor;                                      \
        place->cursor = reply->items_field->next;                                                  \
        *rows = (void **)reply->items_field->items;                                                \
        *n = reply->items_field->n_items;                                                          \
        return more;                                                                               \
    }                                                                                              \
    static const list_kind_t name##_list = { PAWL__V1__REPLY__BODY_##ITEMS, fetch_##name,          \
                                             turn_##name };

static void fill_peer(Pawl__V1__PeerList *body, const list_place_t *place)
{
    (void)body, (void)place;
}

static void fill_executor(Pawl__V1__ExecutorList *body, const list_place_t *place)
{
    if (place->text) body->name = place->text;
}

NUMBERED_LIST(peer, Peer, PEER, PEERS, peers)
NUMBERED_LIST(executor, Executor, EXECUTOR, EXECUTORS, executors)

static pawl_err fetch_queues(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                             Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__QueueList body = PAWL__V1__QUEUE_LIST__INIT;
    if (place->after) body.after = place->after;
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_QUEUE_LIST;
    request.queue_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_QUEUES, 0, timeout_us, reply);
}

static bool turn_queues(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n)
{
    *rows = (void **)reply->queues->items;
    *n = reply->queues->n_items;
    return list_after(place, reply->queues->next);
}

static const list_kind_t queue_list = { PAWL__V1__REPLY__BODY_QUEUES, fetch_queues, turn_queues };

pawl_err pawl_queue_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { 0 };
    return list_open(self, &queue_list, &place, list, timeout_us);
}

pawl_err pawl_peer_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { 0 };
    return list_open(self, &peer_list, &place, list, timeout_us);
}

pawl_err pawl_executor_list(pawl_client_t *self, const char *name, pawl_list_t **list,
                            int64_t timeout_us)
{
    list_place_t place = { .text = name && *name ? strdup(name) : NULL };
    *list = NULL;
    if (name && *name && !place.text) return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    return list_open(self, &executor_list, &place, list, timeout_us);
}

pawl_err pawl_queue_change(pawl_client_t *self, const char *name, bool pause, const char *reason,
                           int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__QueueChange body = PAWL__V1__QUEUE_CHANGE__INIT;
    body.name = (char *)(uintptr_t)name;
    body.pause = pause;
    if (reason) body.reason = (char *)(uintptr_t)reason;
    request.body_case = PAWL__V1__REQUEST__BODY_QUEUE_CHANGE;
    request.queue_change = &body;
    return ask_change(self, &request, timeout_us, NULL);
}

static pawl_err change_executor(pawl_client_t *self, Pawl__V1__ExecutorChange *body,
                                const char *name, const char *reason, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    body->name = (char *)(uintptr_t)name;
    if (reason) body->reason = (char *)(uintptr_t)reason;
    request.body_case = PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
    request.executor_change = body;
    return ask_change(self, &request, timeout_us, NULL);
}

pawl_err pawl_executor_change(pawl_client_t *self, const char *name, bool drain, const char *reason,
                              int64_t timeout_us)
{
    Pawl__V1__ExecutorChange body = PAWL__V1__EXECUTOR_CHANGE__INIT;
    body.drain = drain;
    return change_executor(self, &body, name, reason, timeout_us);
}

pawl_err pawl_executor_stop(pawl_client_t *self, const char *name, int64_t within_us,
                            const char *reason, int64_t timeout_us)
{
    Pawl__V1__ExecutorChange body = PAWL__V1__EXECUTOR_CHANGE__INIT;
    body.verb = PAWL__V1__EXECUTOR_VERB__EXECUTOR_STOP;
    body.deadline_us = within_us;
    return change_executor(self, &body, name, reason, timeout_us);
}

pawl_err pawl_executor_retire(pawl_client_t *self, const char *name, const char *reason,
                              int64_t timeout_us)
{
    Pawl__V1__ExecutorChange body = PAWL__V1__EXECUTOR_CHANGE__INIT;
    body.verb = PAWL__V1__EXECUTOR_VERB__EXECUTOR_RETIRE;
    return change_executor(self, &body, name, reason, timeout_us);
}

pawl_err pawl_stats_json(pawl_client_t *self, char **json, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__StatsGet body = PAWL__V1__STATS_GET__INIT;
    Pawl__V1__Reply *reply;
    *json = NULL;
    request.body_case = PAWL__V1__REQUEST__BODY_STATS_GET;
    request.stats_get = &body;
    pawl_err err = ask(self, &request, PAWL__V1__REPLY__BODY_STATS, 0, timeout_us, &reply);
    if (err) return err;
    *json = strdup(reply->stats->json);
    arena_free_of(reply);
    return *json ? PAWL_OK : fail_with(self, PAWL_E_NO_MEMORY, NULL);
}

pawl_err pawl_broker_status(pawl_client_t *self, pawl_record_t **status, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__StatusGet body = PAWL__V1__STATUS_GET__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_STATUS_GET;
    request.status_get = &body;
    return ask_record(self, &request, PAWL__V1__REPLY__BODY_STATUS, 0, timeout_us, status);
}

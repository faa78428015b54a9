/* SPDX-License-Identifier: Apache-2.0
 * Tasks on record: one, many, waiting for them, changing them, their logs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/base/clock.h"
#include "client/base/ulid.h"
#include "client/client.h"
#include "client/list.h"
#include "client/record.h"
#include "client/task.h"
#include "schemas/limits.h"

/* ---- one task -------------------------------------------------------------------------------- */

static pawl_err get(pawl_client_t *self, Pawl__V1__TaskGet *body, pawl_record_t **task,
                    int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_GET;
    request.task_get = body;
    return ask_first(self, &request, PAWL__V1__REPLY__BODY_TASKS, "no task has this id", timeout_us,
                     task);
}

pawl_err pawl_task_get(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES], pawl_record_t **task,
                       int64_t timeout_us)
{
    Pawl__V1__TaskGet body = PAWL__V1__TASK_GET__INIT;
    ProtobufCBinaryData item = { PAWL_ID_BYTES, (uint8_t *)(uintptr_t)id };
    body.n_ids = 1;
    body.ids = &item;
    return get(self, &body, task, timeout_us);
}

pawl_err pawl_task_find(pawl_client_t *self, const char *text, pawl_record_t **task,
                        int64_t timeout_us)
{
    Pawl__V1__TaskGet body = PAWL__V1__TASK_GET__INIT;
    ulid_t low, high;
    *task = NULL;
    if (!text || !ulid_prefix(text, strlen(text), &low, &high))
        return fail_with(self, PAWL_E_NOT_FOUND,
                         "an id has 26 characters of 0-9 and A-Z without I L O U; a unique "
                         "beginning of it will do");
    ProtobufCBinaryData item = { PAWL_ID_BYTES, low.at };
    if (strlen(text) == ULID_TEXT) {
        body.n_ids = 1;
        body.ids = &item;
    } else {
        body.prefix_low = (ProtobufCBinaryData){ PAWL_ID_BYTES, low.at };
        body.prefix_high = (ProtobufCBinaryData){ PAWL_ID_BYTES, high.at };
    }
    return get(self, &body, task, timeout_us);
}

pawl_err pawl_task_why(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES], pawl_record_t **why,
                       int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskWhy body = PAWL__V1__TASK_WHY__INIT;
    body.id = (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)id };
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_WHY;
    request.task_why = &body;
    return ask_record(self, &request, PAWL__V1__REPLY__BODY_WHY, 0, timeout_us, why);
}

/* `body` says which part of it. */
static pawl_err read_log(pawl_client_t *self, Pawl__V1__LogRead *body,
                         const uint8_t id[PAWL_ID_BYTES], pawl_record_t **log, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    body->id = (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)id };
    body->limit = LIMIT_LOG_ATTEMPT;
    request.body_case = PAWL__V1__REQUEST__BODY_LOG_READ;
    request.log_read = body;
    return ask_record(self, &request, PAWL__V1__REPLY__BODY_LOG,
                      body->wait_us > 0 ? ASK_LONG_POLL : 0, timeout_us, log);
}

pawl_err pawl_log_next(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES], uint64_t token,
                       uint64_t offset, pawl_record_t **log, int64_t timeout_us)
{
    Pawl__V1__LogRead body = PAWL__V1__LOG_READ__INIT;
    body.token = token;
    body.after = true;
    body.offset = offset;
    return read_log(self, &body, id, log, timeout_us);
}

pawl_err pawl_log_read(pawl_client_t *self, const uint8_t id[PAWL_ID_BYTES], unsigned attempt,
                       uint64_t offset, int64_t wait_us, pawl_record_t **log, int64_t timeout_us)
{
    Pawl__V1__LogRead body = PAWL__V1__LOG_READ__INIT;
    body.attempt = attempt;
    body.offset = offset;
    body.wait_us = wait_us < LIMIT_WAIT_US ? wait_us : LIMIT_WAIT_US;
    return read_log(self, &body, id, log, timeout_us);
}

/* ---- many ids -------------------------------------------------------------------------------- */

/* An array of `bytes` fields over n packed ids; NULL: out of memory. */
static ProtobufCBinaryData *id_fields(const uint8_t *ids, size_t n)
{
    ProtobufCBinaryData *fields = calloc(n + 1, sizeof *fields);
    for (size_t i = 0; fields && i < n; i++)
        fields[i] =
            (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)ids + i * PAWL_ID_BYTES };
    return fields;
}

enum { WAIT_GRACE_US = 250 * 1000, IDS_A_REQUEST = 10000 };

/* One long poll: *done tells. */
static pawl_err wait_slice(pawl_client_t *self, ProtobufCBinaryData *ids, size_t n, bool any,
                           int64_t wait_us, bool *done)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskWait body = PAWL__V1__TASK_WAIT__INIT;
    Pawl__V1__Reply *reply;
    body.n_ids = n;
    body.ids = ids;
    body.any = any;
    body.wait_us = wait_us;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_WAIT;
    request.task_wait = &body;
    pawl_err err = ask(self, &request, PAWL__V1__REPLY__BODY_WAITED, ASK_LONG_POLL,
                       wait_us + WAIT_GRACE_US, &reply);
    if (!err) {
        *done = reply->waited->done;
        arena_free_of(reply);
    }
    return err;
}

pawl_err pawl_task_wait(pawl_client_t *self, const uint8_t *ids, size_t n, bool any,
                        int64_t timeout_us)
{
    pawl_err err = client_check(self);
    if (err || n == 0) return err;
    if (any && n > IDS_A_REQUEST)
        return fail_with(self, -(pawl_err)ERR_TOO_MANY,
                         "any of at most 10000 tasks can be awaited");
    int64_t deadline = deadline_of(timeout_us);
    ProtobufCBinaryData *fields = id_fields(ids, n);
    if (!fields) return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    for (size_t at = 0; at < n && !err;) {
        size_t part = n - at < IDS_A_REQUEST ? n - at : IDS_A_REQUEST;
        bool done = false;
        int64_t left = deadline == INT64_MAX ? LIMIT_WAIT_US : deadline - clock_steady_us();
        bool last = left < LIMIT_WAIT_US;
        left = left < 0 ? 0 : left < LIMIT_WAIT_US ? left : LIMIT_WAIT_US;
        err = wait_slice(self, fields + at, part, any, left, &done);
        if (err == PAWL_E_TIMEOUT && !last)
            err = PAWL_OK; /* a session was replaced meanwhile: ask again */
        else if (!err && done)
            at += part;
        else if (!err && last)
            err = fail_with(self, PAWL_E_TIMEOUT, "not all of the tasks have ended yet");
    }
    free(fields);
    return err;
}

/* A change of many tasks: its requests share this. */
typedef struct changing {
    const uint8_t *ids;
    pawl_refusal_fn *each;
    void *arg;
    size_t refused;
    pawl_err first;
} changing_t;

/* `at`: the first task of this request, which has n. The first refusal of all is the handle's
 * error. */
static void read_changed(pawl_client_t *self, const Pawl__V1__Changed *changed, changing_t *all,
                         size_t at, size_t n)
{
    for (size_t i = 0; i < changed->n_items; i++) {
        const Pawl__V1__ItemResult *item = changed->items[i];
        if (!item->error || item->index >= n) continue;
        all->refused++;
        if (!all->first) all->first = fail_from_wire(self, item->error);
        if (all->each)
            all->each(all->arg, all->ids + (at + item->index) * PAWL_ID_BYTES,
                      -(pawl_err)item->error->code, item->error->text);
    }
}

pawl_err pawl_task_change_each(pawl_client_t *self, const char *verb, const uint8_t *ids, size_t n,
                               const char *reason, pawl_refusal_fn *each, void *arg,
                               size_t *refused, int64_t timeout_us)
{
    changing_t all = { .ids = ids, .each = each, .arg = arg };
    int number;
    pawl_err err = client_check(self);
    if (refused) *refused = 0;
    if (err) return err;
    if (!enum_number(&pawl__v1__task_verb__descriptor, verb, &number))
        return fail_with_field(self, PAWL_E_BAD_REQUEST,
                               "a task is changed by cancel, retry, start or hold", "verb", 0);
    ProtobufCBinaryData *fields = id_fields(ids, n);
    if (!fields) return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    for (size_t at = 0; at < n && !err; at += IDS_A_REQUEST) {
        Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
        Pawl__V1__TaskChange body = PAWL__V1__TASK_CHANGE__INIT;
        Pawl__V1__Reply *reply;
        body.verb = (Pawl__V1__TaskVerb)number;
        body.n_ids = n - at < IDS_A_REQUEST ? n - at : IDS_A_REQUEST;
        body.ids = fields + at;
        if (reason) body.reason = (char *)(uintptr_t)reason;
        request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
        request.task_change = &body;
        err =
            ask(self, &request, PAWL__V1__REPLY__BODY_CHANGED, ASK_REMEMBERED, timeout_us, &reply);
        if (err) break;
        read_changed(self, reply->changed, &all, at, body.n_ids);
        arena_free_of(reply);
    }
    free(fields);
    if (refused) *refused = all.refused;
    return err ? err : all.first;
}

pawl_err pawl_task_change(pawl_client_t *self, const char *verb, const uint8_t *ids, size_t n,
                          const char *reason, size_t *refused, int64_t timeout_us)
{
    return pawl_task_change_each(self, verb, ids, n, reason, NULL, NULL, refused, timeout_us);
}

/* ---- lists of tasks and events --------------------------------------------------------------- */

struct pawl_filter {
    Pawl__V1__TaskFilter *message;
    bool newest_first;
};

pawl_filter_t *pawl_filter_new(void)
{
    pawl_filter_t *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->message = malloc(sizeof *self->message);
    if (!self->message) {
        free(self);
        return NULL;
    }
    pawl__v1__task_filter__init(self->message);
    return self;
}

void pawl_filter_destroy(pawl_filter_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl__v1__task_filter__free_unpacked((*self_p)->message, NULL);
    free(*self_p);
    *self_p = NULL;
}

static bool read_number(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long read = strtoll(text, &end, 10);
    *value = read;
    return end != text && !*end && !errno;
}

static pawl_err add_status(Pawl__V1__TaskFilter *filter, const char *word)
{
    int number;
    if (!enum_number(&pawl__v1__task_status__descriptor, word, &number)) return PAWL_E_BAD_REQUEST;
    Pawl__V1__TaskStatus *list =
        realloc(filter->statuses, (filter->n_statuses + 1) * sizeof *filter->statuses);
    if (!list) return PAWL_E_NO_MEMORY;
    filter->statuses = list;
    list[filter->n_statuses++] = (Pawl__V1__TaskStatus)number;
    return PAWL_OK;
}

static pawl_err add_filter_label(Pawl__V1__TaskFilter *filter, const char *pair)
{
    const char *sign = strchr(pair, '=');
    char *key = sign && sign != pair ? strndup(pair, (size_t)(sign - pair)) : NULL;
    if (!sign || sign == pair) return PAWL_E_BAD_REQUEST;
    bool ok = key && add_label(&filter->n_labels, &filter->labels, key, sign + 1);
    free(key);
    return ok ? PAWL_OK : PAWL_E_NO_MEMORY;
}

pawl_err pawl_filter_add(pawl_filter_t *self, const char *key, const char *value)
{
    Pawl__V1__TaskFilter *filter = self->message;
    const struct {
        const char *key;
        char **field;
    } texts[] = { { "type", &filter->type },         { "queue", &filter->queue },
                  { "schedule", &filter->schedule }, { "executor", &filter->executor },
                  { "key", &filter->key },           { "text", &filter->text } };
    int64_t number;
    if (!key || !value) return PAWL_E_BAD_REQUEST;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strcmp(texts[i].key, key))
            return set_text(texts[i].field, value) ? PAWL_OK : PAWL_E_NO_MEMORY;
    if (!strcmp(key, "status")) return add_status(filter, value);
    if (!strcmp(key, "label")) return add_filter_label(filter, value);
    if (!strcmp(key, "parent")) {
        uint8_t id[PAWL_ID_BYTES];
        if (!pawl_id_parse(value, id)) return PAWL_E_BAD_REQUEST;
        return set_bytes(&filter->parent, id, sizeof id) ? PAWL_OK : PAWL_E_NO_MEMORY;
    }
    if (!read_number(value, &number)) return PAWL_E_BAD_REQUEST;
    if (!strcmp(key, "roots") && (number == 0 || number == 1))
        filter->roots = (protobuf_c_boolean)number;
    else if (!strcmp(key, "since_us"))
        filter->since_us = number;
    else if (!strcmp(key, "until_us"))
        filter->until_us = number;
    else if (!strcmp(key, "newest_first") && (number == 0 || number == 1))
        self->newest_first = number;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

static pawl_err fetch_tasks(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                            Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskList body = PAWL__V1__TASK_LIST__INIT;
    body.filter = place->filter;
    body.cursor = place->cursor;
    body.limit = LIMIT_LIST;
    body.newest_first = place->newest_first;
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_LIST;
    request.task_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_TASKS, 0, timeout_us, reply);
}

static bool turn_tasks(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n)
{
    *rows = (void **)reply->tasks->items;
    *n = reply->tasks->n_items;
    bool more = reply->tasks->cursor != 0 && reply->tasks->cursor != place->cursor;
    place->cursor = reply->tasks->cursor;
    return more;
}

static const list_kind_t task_list = { PAWL__V1__REPLY__BODY_TASKS, fetch_tasks, turn_tasks };

/* A copy of the filter on the heap, by way of its bytes. */
static bool copy_filter(const pawl_filter_t *filter, Pawl__V1__TaskFilter **copy)
{
    bytes_t packed = { 0 };
    *copy = NULL;
    if (bytes_add_message(&packed, &filter->message->base))
        *copy = pawl__v1__task_filter__unpack(NULL, packed.len, packed.at);
    bytes_free(&packed);
    return *copy != NULL;
}

pawl_err pawl_task_list(pawl_client_t *self, const pawl_filter_t *filter, pawl_list_t **list,
                        int64_t timeout_us)
{
    list_place_t place = { .newest_first = filter && filter->newest_first };
    *list = NULL;
    if (filter && !copy_filter(filter, &place.filter))
        return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    return list_open(self, &task_list, &place, list, timeout_us);
}

static pawl_err fetch_events(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                             Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__EventRead body = PAWL__V1__EVENT_READ__INIT;
    body.from_seq = place->cursor;
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_EVENT_READ;
    request.event_read = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_EVENTS, 0, timeout_us, reply);
}

static bool turn_events(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n)
{
    const Pawl__V1__EventItems *events = reply->events;
    *rows = (void **)events->items;
    *n = events->n_items;
    bool more = events->n_items > 0 && events->next_seq > place->cursor;
    place->cursor = events->next_seq;
    return more;
}

static const list_kind_t event_list = { PAWL__V1__REPLY__BODY_EVENTS, fetch_events, turn_events };

pawl_err pawl_event_list(pawl_client_t *self, uint64_t from_seq, pawl_list_t **list,
                         int64_t timeout_us)
{
    list_place_t place = { .cursor = from_seq ? from_seq : 1 };
    return list_open(self, &event_list, &place, list, timeout_us);
}

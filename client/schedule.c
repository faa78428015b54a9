/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/client.h"
#include "client/list.h"
#include "client/record.h"
#include "client/task.h"
#include "schemas/limits.h"

struct pawl_schedule {
    Pawl__V1__Schedule *message; /* on the heap */
};

/* ---- writing one ----------------------------------------------------------------------------- */

static pawl_schedule_t *wrap(Pawl__V1__Schedule *message)
{
    pawl_schedule_t *self = message ? calloc(1, sizeof *self) : NULL;
    if (self)
        self->message = message;
    else if (message)
        pawl__v1__schedule__free_unpacked(message, NULL);
    return self;
}

pawl_schedule_t *pawl_schedule_new(const char *name)
{
    Pawl__V1__Schedule *message = malloc(sizeof *message);
    if (message) pawl__v1__schedule__init(message);
    pawl_schedule_t *self = wrap(message);
    if (self && !set_text(&self->message->name, name ? name : "")) pawl_schedule_destroy(&self);
    return self;
}

void pawl_schedule_destroy(pawl_schedule_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl__v1__schedule__free_unpacked((*self_p)->message, NULL);
    free(*self_p);
    *self_p = NULL;
}

static pawl_err set_word(const ProtobufCEnumDescriptor *type, const char *word, int *field)
{
    *field = 0; /* "": what the broker makes of it */
    return !*word || enum_number(type, word, field) ? PAWL_OK : PAWL_E_BAD_REQUEST;
}

pawl_err pawl_schedule_set_text(pawl_schedule_t *self, const char *field, const char *value)
{
    Pawl__V1__Schedule *message = self->message;
    const struct {
        const char *name;
        char **field;
    } texts[] = { { "rule", &message->rule },
                  { "zone", &message->zone },
                  { "exclusions", &message->exclusions },
                  { "title", &message->title },
                  { "overlap_key", &message->overlap_key } };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!strcmp(texts[i].name, field))
            return set_text(texts[i].field, value) ? PAWL_OK : PAWL_E_NO_MEMORY;
    int number = 0;
    pawl_err err = PAWL_E_BAD_REQUEST;
    if (!strcmp(field, "mode")) {
        err = set_word(&pawl__v1__mode__descriptor, value, &number);
        if (!err) message->mode = (Pawl__V1__Mode)number;
    } else if (!strcmp(field, "overlap")) {
        err = set_word(&pawl__v1__overlap__descriptor, value, &number);
        if (!err) message->overlap = (Pawl__V1__Overlap)number;
    } else if (!strcmp(field, "overlap_scope")) {
        err = set_word(&pawl__v1__scope__descriptor, value, &number);
        if (!err) message->overlap_scope = (Pawl__V1__Scope)number;
    } else if (!strcmp(field, "on_resume")) {
        err = set_word(&pawl__v1__on_resume__descriptor, value, &number);
        if (!err) message->on_resume = (Pawl__V1__OnResume)number;
    } else if (!strcmp(field, "order")) {
        err = set_word(&pawl__v1__order__descriptor, value, &number);
        if (!err) message->order = (Pawl__V1__Order)number;
    }
    return err;
}

pawl_err pawl_schedule_set_int(pawl_schedule_t *self, const char *field, int64_t value)
{
    Pawl__V1__Schedule *message = self->message;
    const struct {
        const char *name;
        int64_t *wide;
        uint32_t *narrow;
    } numbers[] = {
        { "window_us", &message->window_us, NULL }, { "jitter_us", &message->jitter_us, NULL },
        { "from_us", &message->from_us, NULL },     { "to_us", &message->to_us, NULL },
        { "after_us", &message->after_us, NULL },   { "ahead", NULL, &message->ahead },
        { "rate", NULL, &message->rate },           { "max_running", NULL, &message->max_running }
    };
    if (value < 0) return PAWL_E_BAD_REQUEST;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (strcmp(numbers[i].name, field) != 0) continue;
        if (numbers[i].wide)
            *numbers[i].wide = value;
        else if (numbers[i].narrow && value <= UINT32_MAX)
            *numbers[i].narrow = (uint32_t)value;
        else
            return PAWL_E_BAD_REQUEST;
        return PAWL_OK;
    }
    if (!strcmp(field, "max_firings")) {
        message->max_firings = (uint64_t)value;
    } else if (!strcmp(field, "grace_us")) {
        message->grace_us = value;
        message->grace_set_case = PAWL__V1__SCHEDULE__GRACE_SET_GRACE_US;
    } else if (!strcmp(field, "start_by_us")) {
        message->start_by_us = value;
        message->start_by_set_case = PAWL__V1__SCHEDULE__START_BY_SET_START_BY_US;
    } else if (!strcmp(field, "warn") && value <= UINT32_MAX) {
        message->warn = (uint32_t)value;
        message->warn_set_case = PAWL__V1__SCHEDULE__WARN_SET_WARN;
    } else if (!strcmp(field, "live_first") && value <= 1) {
        message->live_first = (protobuf_c_boolean)value;
    } else if (!strcmp(field, "supersede") && value <= 1) {
        message->supersede = (protobuf_c_boolean)value;
        message->supersede_set_case = PAWL__V1__SCHEDULE__SUPERSEDE_SET_SUPERSEDE;
    } else {
        return PAWL_E_BAD_REQUEST;
    }
    return PAWL_OK;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
    free(texts);
}

pawl_err pawl_schedule_set_list(pawl_schedule_t *self, const char *field, const char *const *values,
                                size_t n)
{
    Pawl__V1__Schedule *message = self->message;
    bool also = !strcmp(field, "also");
    if (!also && strcmp(field, "calendars") != 0) return PAWL_E_BAD_REQUEST;
    char **texts = calloc(n + 1, sizeof *texts);
    size_t copied = 0;
    while (texts && copied < n && (texts[copied] = strdup(values[copied])))
        copied++;
    if (!texts || copied < n) {
        if (texts) free_texts(texts, copied);
        return PAWL_E_NO_MEMORY;
    }
    char ***list = also ? &message->also : &message->calendars;
    size_t *count = also ? &message->n_also : &message->n_calendars;
    free_texts(*list, *count);
    *list = texts;
    *count = n;
    return PAWL_OK;
}

static size_t find_label(const Pawl__V1__Schedule *message, const char *key)
{
    size_t i = 0;
    while (i < message->n_labels && strcmp(message->labels[i]->key, key) != 0)
        i++;
    return i;
}

static void drop_label(Pawl__V1__Schedule *message, size_t at)
{
    pawl__v1__label__free_unpacked(message->labels[at], NULL);
    message->labels[at] = message->labels[--message->n_labels];
}

pawl_err pawl_schedule_set_label(pawl_schedule_t *self, const char *key, const char *value)
{
    Pawl__V1__Schedule *message = self->message;
    while (!key && message->n_labels > 0)
        drop_label(message, message->n_labels - 1);
    if (!key) return PAWL_OK;
    size_t at = find_label(message, key);
    if (at < message->n_labels && !value) drop_label(message, at);
    if (!value) return PAWL_OK;
    bool ok = at < message->n_labels ? set_text(&message->labels[at]->value, value)
                                     : add_label(&message->n_labels, &message->labels, key, value);
    return ok ? PAWL_OK : PAWL_E_NO_MEMORY;
}

pawl_err pawl_schedule_set_task(pawl_schedule_t *self, const pawl_task_t *task)
{
    Pawl__V1__Task template = *task->message; /* a shallow copy without the id */
    template.id = (ProtobufCBinaryData){ 0, NULL };
    bytes_t packed = { 0 };
    bool ok = bytes_add_message(&packed, &template.base) &&
              set_bytes(&self->message->task, packed.at, packed.len);
    bytes_free(&packed);
    return ok ? PAWL_OK : PAWL_E_NO_MEMORY;
}

/* ---- on record ------------------------------------------------------------------------------- */

/* What the words of pawl_schedule_put mean; *at_us: of an instant. */
static pawl_err read_cursor(pawl_client_t *self, const char *cursor, Pawl__V1__CursorAction *action,
                            int64_t *at_us)
{
    int number = PAWL__V1__CURSOR_ACTION__CURSOR_KEEP;
    if (cursor && *cursor >= '0' && *cursor <= '9') {
        char *end;
        number = PAWL__V1__CURSOR_ACTION__CURSOR_AT;
        *at_us = strtoll(cursor, &end, 10);
        if (*end) number = -1;
    } else if (cursor && !*cursor) {
        number = PAWL__V1__CURSOR_ACTION__CURSOR_UNSPECIFIED;
    } else if (cursor && (!enum_number(&pawl__v1__cursor_action__descriptor, cursor, &number) ||
                          number == PAWL__V1__CURSOR_ACTION__CURSOR_AT)) {
        number = -1;
    }
    *action = (Pawl__V1__CursorAction)number;
    return number >= 0 ? PAWL_OK
                       : fail_with_field(self, PAWL_E_BAD_REQUEST,
                                         "the cursor is kept (keep), moved (now) or an instant",
                                         "cursor", 0);
}

pawl_err pawl_schedule_put(pawl_client_t *self, const pawl_schedule_t *schedule,
                           int64_t if_revision, const char *cursor, pawl_record_t **made,
                           int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Changed *changed;
    if (made) *made = NULL;
    pawl_err err = read_cursor(self, cursor, &body.cursor, &body.cursor_at_us);
    if (err) return err;
    body.schedule = schedule->message;
    if (if_revision >= 0) {
        body.if_revision = (uint64_t)if_revision;
        body.revision_set_case = PAWL__V1__SCHEDULE_PUT__REVISION_SET_IF_REVISION;
    }
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &body;
    err = ask_change(self, &request, timeout_us, &changed);
    if (!err && made && changed->schedule)
        *made = record_of(changed->schedule);
    else
        arena_free_of(changed);
    return err;
}

pawl_err pawl_schedule_rehearse(pawl_client_t *self, const char *name,
                                const pawl_schedule_t *schedule, const pawl_outage_t *outage,
                                pawl_record_t **rehearsal, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Rehearse body = PAWL__V1__REHEARSE__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    if (schedule) {
        put.schedule = schedule->message;
        body.put = &put;
    } else {
        body.name = (char *)(uintptr_t)(name ? name : "");
    }
    body.down_from_us = outage->down_from_us;
    body.down_to_us = outage->down_to_us;
    body.until_us = outage->until_us;
    body.takes_us = outage->takes_us;
    request.body_case = PAWL__V1__REQUEST__BODY_REHEARSE;
    request.rehearse = &body;
    return ask_record(self, &request, PAWL__V1__REPLY__BODY_REHEARSAL, 0, timeout_us, rehearsal);
}

/* An instant belongs to one schedule, and what is no cursor at all is that item's fault alone. */
static bool goes_alone(const char *cursor)
{
    return cursor && *cursor && strcmp(cursor, "keep") != 0 && strcmp(cursor, "now") != 0;
}

/* One request for items [0, n), none of which goes alone. */
static pawl_err put_some(pawl_client_t *self, pawl_schedule_item_t *items, size_t n,
                         int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__SchedulePutItem *more = calloc(n, sizeof *more), **list = calloc(n, sizeof *list);
    Pawl__V1__Reply *reply = NULL;
    pawl_err err = PAWL_OK;
    if (!more || !list) {
        free(more);
        free(list);
        return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    }
    for (size_t i = 0; !err && i < n; i++) {
        list[i] = &more[i];
        pawl__v1__schedule_put_item__init(list[i]);
        list[i]->schedule = items[i].schedule->message;
        err = read_cursor(self, items[i].cursor, &list[i]->cursor, &body.cursor_at_us);
        if (items[i].if_revision < 0) continue;
        list[i]->if_revision = (uint64_t)items[i].if_revision;
        list[i]->revision_set_case = PAWL__V1__SCHEDULE_PUT_ITEM__REVISION_SET_IF_REVISION;
    }
    if (!err) {
        body.schedule = list[0]->schedule;
        body.cursor = list[0]->cursor;
        body.if_revision = list[0]->if_revision;
        body.revision_set_case = (Pawl__V1__SchedulePut__RevisionSetCase)list[0]->revision_set_case;
        body.more = list + 1;
        body.n_more = n - 1;
        request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
        request.schedule_put = &body;
        err =
            ask(self, &request, PAWL__V1__REPLY__BODY_CHANGED, ASK_REMEMBERED, timeout_us, &reply);
    }
    for (size_t i = 0; i < n; i++)
        items[i].err = err;
    for (size_t i = 0; !err && i < reply->changed->n_items; i++) {
        const Pawl__V1__ItemResult *refused = reply->changed->items[i];
        if (refused->index >= n || !refused->error) continue;
        items[refused->index].err = fail_from_wire(self, refused->error);
        snprintf(items[refused->index].why, sizeof items->why, "%s", refused->error->text);
    }
    arena_free_of(reply);
    free(more);
    free(list);
    return err;
}

pawl_err pawl_schedule_put_many(pawl_client_t *self, pawl_schedule_item_t *items, size_t n,
                                int64_t timeout_us)
{
    enum { AT_ONCE = 250, BYTES_AT_ONCE = LIMIT_MESSAGE / 4 }; /* some 10 ms of the broker's time */
    pawl_err err = PAWL_OK;
    for (size_t done = 0, more = 1; done < n; done += more) {
        size_t bytes = 0;
        for (more = 0; done + more < n && more < AT_ONCE; more++) {
            if (goes_alone(items[done + more].cursor)) break;
            bytes += pawl__v1__schedule__get_packed_size(items[done + more].schedule->message);
            if (more > 0 && bytes > BYTES_AT_ONCE) break;
        }
        if (more == 0) more = 1;
        for (size_t i = 0; i < more; i++)
            items[done + i].why[0] = '\0';
        if (!err && more > 1) {
            err = put_some(self, items + done, more, timeout_us);
        } else if (!err) { /* a list of one would be answered as a single one */
            pawl_schedule_item_t *item = &items[done];
            item->err = pawl_schedule_put(self, item->schedule, item->if_revision, item->cursor,
                                          NULL, timeout_us);
            if (item->err) snprintf(item->why, sizeof item->why, "%s", pawl_client_error(self));
        } else {
            for (size_t i = 0; i < more; i++)
                items[done + i].err = err;
        }
    }
    return err;
}

pawl_err pawl_schedule_get(pawl_client_t *self, const char *name, pawl_record_t **schedule,
                           int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleGet body = PAWL__V1__SCHEDULE_GET__INIT;
    body.name = (char *)(uintptr_t)name;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_GET;
    request.schedule_get = &body;
    return ask_first(self, &request, PAWL__V1__REPLY__BODY_SCHEDULES, "no schedule has this name",
                     timeout_us, schedule);
}

pawl_err pawl_schedule_load(pawl_client_t *self, const char *name, pawl_schedule_t **schedule,
                            uint64_t *revision, int64_t timeout_us)
{
    pawl_record_t *record;
    *schedule = NULL;
    pawl_err err = pawl_schedule_get(self, name, &record, timeout_us);
    if (err) return err;
    size_t len;
    const void *bytes = pawl_record_bytes(record, "schedule", &len);
    if (revision) *revision = (uint64_t)pawl_record_int(record, "revision");
    *schedule = wrap(pawl__v1__schedule__unpack(NULL, len, bytes));
    pawl_record_destroy(&record);
    return *schedule ? PAWL_OK : fail_with(self, PAWL_E_NO_MEMORY, NULL);
}

pawl_err pawl_schedule_change(pawl_client_t *self, const char *verb, const char *name,
                              const char *reason, const char *option, uint8_t id_out[PAWL_ID_BYTES],
                              int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    Pawl__V1__Changed *changed;
    int number;
    if (!enum_number(&pawl__v1__schedule_verb__descriptor, verb, &number))
        return fail_with_field(self, PAWL_E_BAD_REQUEST,
                               "a schedule is changed by pause, resume, now or remove", "verb", 0);
    body.verb = (Pawl__V1__ScheduleVerb)number;
    bool resume = body.verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_RESUME;
    bool now = body.verb == PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW;
    if (option && *option) {
        const ProtobufCEnumDescriptor *type =
            resume ? &pawl__v1__on_resume__descriptor : &pawl__v1__overlap__descriptor;
        if ((!resume && !now) || !enum_number(type, option, &number))
            return fail_with_field(
                self, PAWL_E_BAD_REQUEST,
                "resume takes catchup, skip or latest; now takes an overlap word", "option", 0);
        if (resume)
            body.on_resume = (Pawl__V1__OnResume)number;
        else
            body.overlap = (Pawl__V1__Overlap)number;
    }
    body.name = (char *)(uintptr_t)name;
    if (reason) body.reason = (char *)(uintptr_t)reason;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = &body;
    pawl_err err = ask_change(self, &request, timeout_us, &changed);
    if (!err && id_out) {
        memset(id_out, 0, PAWL_ID_BYTES);
        if (changed->id.len == PAWL_ID_BYTES) memcpy(id_out, changed->id.data, PAWL_ID_BYTES);
    }
    arena_free_of(changed);
    return err;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static size_t names_in_page(const list_place_t *place)
{
    size_t left = place->names_n - place->names_at;
    return left < LIMIT_LIST ? left : LIMIT_LIST;
}

/* Behind `last`, or behind all of the page when that is empty. */
static bool names_after(list_place_t *place, const char *last)
{
    size_t n = names_in_page(place), at = 0;
    while (at < n && strcmp(place->names[place->names_at + at], last) != 0)
        at++;
    place->names_at += at < n ? at + 1 : n;
    return place->names_at < place->names_n;
}

static pawl_err fetch_schedules(pawl_client_t *client, const list_place_t *place,
                                int64_t timeout_us, Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleList body = PAWL__V1__SCHEDULE_LIST__INIT;
    if (place->after) body.after = place->after;
    if (place->text) body.text = place->text;
    if (place->select) body.select = place->select;
    body.whole = place->whole;
    body.limit = LIMIT_LIST;
    body.names = (char **)(uintptr_t)(place->names + place->names_at);
    body.n_names = names_in_page(place);
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_LIST;
    request.schedule_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_SCHEDULES, 0, timeout_us, reply);
}

static bool turn_schedules(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows,
                           size_t *n)
{
    *rows = (void **)reply->schedules->items;
    *n = reply->schedules->n_items;
    if (place->names) return names_after(place, reply->schedules->next);
    return list_after(place, reply->schedules->next);
}

static const list_kind_t schedule_list = { PAWL__V1__REPLY__BODY_SCHEDULES, fetch_schedules,
                                           turn_schedules };

pawl_err pawl_schedule_list_select(pawl_client_t *self, const char *text, const char *select,
                                   pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { .text = text ? strdup(text) : NULL,
                           .select = select ? strdup(select) : NULL };
    *list = NULL;
    if ((text && !place.text) || (select && !place.select)) {
        free(place.text);
        free(place.select);
        return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    }
    return list_open(self, &schedule_list, &place, list, timeout_us);
}

pawl_err pawl_schedule_list(pawl_client_t *self, const char *text, pawl_list_t **list,
                            int64_t timeout_us)
{
    return pawl_schedule_list_select(self, text, NULL, list, timeout_us);
}

pawl_err pawl_schedule_list_whole(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { .whole = true };
    *list = NULL;
    return list_open(self, &schedule_list, &place, list, timeout_us);
}

pawl_err pawl_schedule_list_named(pawl_client_t *self, const char *const *names, size_t n,
                                  pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { .whole = true, .names = names, .names_n = n };
    *list = NULL;
    if (n == 0) return fail_with(self, PAWL_E_BAD_REQUEST, "no schedule is named");
    return list_open(self, &schedule_list, &place, list, timeout_us);
}

static pawl_err fetch_history(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                              Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleHistory body = PAWL__V1__SCHEDULE_HISTORY__INIT;
    if (place->by_uid)
        body.uid = (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)place->uid };
    else
        body.name = place->text;
    body.from_us = place->from_us;
    body.to_us = place->to_us;
    body.after_us = place->after_us;
    body.missed_only = place->missed_only;
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_HISTORY;
    request.schedule_history = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_HISTORY, 0, timeout_us, reply);
}

static bool turn_history(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n)
{
    *rows = (void **)reply->history->items;
    *n = reply->history->n_items;
    bool more = reply->history->next_us > place->after_us;
    place->after_us = reply->history->next_us;
    return more;
}

static const list_kind_t history_list = { PAWL__V1__REPLY__BODY_HISTORY, fetch_history,
                                          turn_history };

pawl_err pawl_schedule_history(pawl_client_t *self, const char *name, int64_t from_us,
                               int64_t to_us, bool missed_only, pawl_list_t **list,
                               int64_t timeout_us)
{
    list_place_t removed = { .by_uid = true, .from_us = from_us, .to_us = to_us };
    list_place_t named = { .text = strdup(name ? name : ""), .from_us = from_us, .to_us = to_us };
    removed.missed_only = named.missed_only = missed_only;
    *list = NULL;
    if (!named.text) return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    bool may_be_uid = name && pawl_id_parse(name, removed.uid);
    pawl_err err = list_open(self, &history_list, &named, list, timeout_us);
    if (err == PAWL_E_NOT_FOUND && may_be_uid)
        err = list_open(self, &history_list, &removed, list, timeout_us);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0
 * Ranges of a schedule: backfills and split-off backlogs; and the audit of what is on record. */
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/client.h"
#include "client/list.h"
#include "client/record.h"
#include "schemas/limits.h"

static pawl_err change(pawl_client_t *self, Pawl__V1__ScheduleChange *body, uint32_t *range,
                       int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Changed *changed;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = body;
    pawl_err err = ask_change(self, &request, timeout_us, &changed);
    if (!err && range) *range = changed->range;
    arena_free_of(changed);
    return err;
}

pawl_err pawl_schedule_backfill(pawl_client_t *self, const char *name,
                                const pawl_backfill_t *backfill, uint32_t *range,
                                int64_t timeout_us)
{
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    int number = 0;
    if (range) *range = 0;
    body.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_BACKFILL;
    body.name = (char *)(uintptr_t)name;
    body.from_us = backfill->from_us;
    body.to_us = backfill->to_us;
    body.rate = backfill->rate;
    body.stop = backfill->stop;
    if (backfill->order && *backfill->order) {
        if (!enum_number(&pawl__v1__order__descriptor, backfill->order, &number))
            return fail_with_field(self, PAWL_E_BAD_REQUEST, "the order is oldest or newest",
                                   "order", 0);
        body.order = (Pawl__V1__Order)number;
    }
    if (backfill->overlap && *backfill->overlap) {
        if (!enum_number(&pawl__v1__overlap__descriptor, backfill->overlap, &number))
            return fail_with_field(self, PAWL_E_BAD_REQUEST, "this is no overlap policy", "overlap",
                                   0);
        body.overlap = (Pawl__V1__Overlap)number;
    }
    return change(self, &body, range, timeout_us);
}

pawl_err pawl_range_change(pawl_client_t *self, const char *verb, const char *name, uint32_t range,
                           int64_t timeout_us)
{
    static const struct {
        const char *word;
        Pawl__V1__ScheduleVerb verb;
    } verbs[] = { { "pause", PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_PAUSE },
                  { "resume", PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_RESUME },
                  { "cancel", PAWL__V1__SCHEDULE_VERB__SCHEDULE_RANGE_CANCEL } };
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (!strcmp(verbs[i].word, verb)) body.verb = verbs[i].verb;
    if (!body.verb)
        return fail_with_field(self, PAWL_E_BAD_REQUEST,
                               "a range is changed by pause, resume or cancel", "verb", 0);
    body.name = (char *)(uintptr_t)name;
    body.range = range;
    return change(self, &body, NULL, timeout_us);
}

static pawl_err fetch_ranges(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                             Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__RangeList body = PAWL__V1__RANGE_LIST__INIT;
    body.name = place->text;
    body.all = place->everything;
    body.after = (uint32_t)place->cursor;
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_RANGE_LIST;
    request.range_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_RANGES, 0, timeout_us, reply);
}

static bool turn_ranges(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n)
{
    bool more = reply->ranges->next > place->cursor;
    place->cursor = reply->ranges->next;
    *rows = (void **)reply->ranges->items;
    *n = reply->ranges->n_items;
    return more;
}

static const list_kind_t range_list = { PAWL__V1__REPLY__BODY_RANGES, fetch_ranges, turn_ranges };

pawl_err pawl_range_list(pawl_client_t *self, const char *name, bool all, pawl_list_t **list,
                         int64_t timeout_us)
{
    list_place_t place = { .text = strdup(name ? name : ""), .everything = all };
    *list = NULL;
    if (!place.text) return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    return list_open(self, &range_list, &place, list, timeout_us);
}

pawl_err pawl_schedule_audit(pawl_client_t *self, const char *name, int64_t from_us, int64_t to_us,
                             uint32_t after, pawl_record_t **page, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleAudit body = PAWL__V1__SCHEDULE_AUDIT__INIT;
    body.name = (char *)(uintptr_t)name;
    body.from_us = from_us;
    body.to_us = to_us;
    body.after = after;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_AUDIT;
    request.schedule_audit = &body;
    return ask_record(self, &request, PAWL__V1__REPLY__BODY_AUDIT, 0, timeout_us, page);
}

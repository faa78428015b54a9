/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/list.h"
#include "schemas/limits.h"

pawl_err pawl_calendar_put(pawl_client_t *self, const char *name, const char *const *entries,
                           size_t n, const char *title, int64_t if_revision, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarPut body = PAWL__V1__CALENDAR_PUT__INIT;
    Pawl__V1__Calendar calendar = PAWL__V1__CALENDAR__INIT;
    calendar.name = (char *)(uintptr_t)name;
    calendar.entries = (char **)(uintptr_t)entries;
    calendar.n_entries = n;
    if (title) calendar.title = (char *)(uintptr_t)title;
    body.calendar = &calendar;
    if (if_revision != -1) { /* revisions of calendars use all 64 bits */
        body.if_revision = (uint64_t)if_revision;
        body.revision_set_case = PAWL__V1__CALENDAR_PUT__REVISION_SET_IF_REVISION;
    }
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_PUT;
    request.calendar_put = &body;
    return ask_change(self, &request, timeout_us, NULL);
}

pawl_err pawl_calendar_remove(pawl_client_t *self, const char *name, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarRemove body = PAWL__V1__CALENDAR_REMOVE__INIT;
    body.name = (char *)(uintptr_t)name;
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_REMOVE;
    request.calendar_remove = &body;
    return ask_change(self, &request, timeout_us, NULL);
}

pawl_err pawl_calendar_get(pawl_client_t *self, const char *name, pawl_record_t **calendar,
                           int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarList body = PAWL__V1__CALENDAR_LIST__INIT;
    *calendar = NULL;
    if (!*name) return fail_with(self, PAWL_E_NOT_FOUND, "a calendar has a name");
    body.name = (char *)(uintptr_t)name;
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_LIST;
    request.calendar_list = &body;
    return ask_first(self, &request, PAWL__V1__REPLY__BODY_CALENDARS, "no calendar has this name",
                     timeout_us, calendar);
}

static pawl_err fetch_calendars(pawl_client_t *client, const list_place_t *place,
                                int64_t timeout_us, Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__CalendarList body = PAWL__V1__CALENDAR_LIST__INIT;
    if (place->after) body.after = place->after;
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_CALENDAR_LIST;
    request.calendar_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_CALENDARS, 0, timeout_us, reply);
}

static bool turn_calendars(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows,
                           size_t *n)
{
    *rows = (void **)reply->calendars->items;
    *n = reply->calendars->n_items;
    return list_after(place, reply->calendars->next);
}

static const list_kind_t calendar_list = { PAWL__V1__REPLY__BODY_CALENDARS, fetch_calendars,
                                           turn_calendars };

pawl_err pawl_calendar_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { .text = NULL };
    return list_open(self, &calendar_list, &place, list, timeout_us);
}

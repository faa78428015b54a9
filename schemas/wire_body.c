/* SPDX-License-Identifier: Apache-2.0
 * schemas/wire_body.c - the body of a Request: what concerns several of its fields. Tasks are
 * wire_task.c. */
#include <string.h>

#include "schemas/limits.h"
#include "schemas/wire_unpack.h"

/* ---- schedule ---------------------------------------------------------------------------- */

/* A fixed delay behind each end stands in place of all that names instants. */
static err_t check_after(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    if (schedule->after_us == 0)
        return schedule->rule[0]
                   ? ERR_OK
                   : FAULT(fault, ERR_BAD_VALUE, "rule", "neither a rule nor after_us is given");
    if (schedule->after_us < PAWL_SEC_US)
        return FAULT(fault, ERR_BAD_VALUE, "after_us", "a fixed delay is at least one second");
    if (schedule->rule[0] || schedule->n_also)
        return FAULT(fault, ERR_CONTRADICTION, "after_us",
                     "a fixed delay and a rule exclude each other");
    if (schedule->exclusions[0] || schedule->n_calendars || schedule->jitter_us ||
        schedule->window_us)
        return FAULT(fault, ERR_CONTRADICTION, "after_us",
                     "a fixed delay names no instants: no exclusions, calendars, jitter or window");
    return ERR_OK;
}

static err_t check_rules(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    size_t bytes = strlen(schedule->rule);
    for (size_t i = 0; i < schedule->n_also; i++)
        bytes += strlen(schedule->also[i]);
    if (bytes <= LIMIT_RULES_TEXT) return ERR_OK;
    return FAULT(fault, ERR_TOO_LARGE, "also", "the rules have %zu bytes together, the limit is %d",
                 bytes, LIMIT_RULES_TEXT);
}

static err_t check_calendars(const Pawl__V1__Schedule *schedule, wire_fault_t *fault)
{
    for (size_t i = 1; i < schedule->n_calendars; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(schedule->calendars[i], schedule->calendars[j]) == 0)
                return FAULT(fault, ERR_CONTRADICTION, "calendars", "the calendar is named twice");
    return ERR_OK;
}

static err_t check_schedule(wire_arena_t *arena, const Pawl__V1__Schedule *schedule,
                            const Pawl__V1__Task **out, wire_fault_t *fault)
{
    if (schedule->mode == PAWL__V1__MODE__MODE_STRICT) {
        if (schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_SKIP ||
            schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_ONE ||
            schedule->overlap == PAWL__V1__OVERLAP__OVERLAP_QUEUE_LATEST)
            return FAULT(fault, ERR_CONTRADICTION, "overlap",
                         "strict drops nothing: overlap may be allow, queue_all, cancel or kill");
        if (schedule->supersede_set_case && schedule->supersede)
            return FAULT(fault, ERR_CONTRADICTION, "supersede",
                         "strict drops nothing: supersede must be off");
    }
    bool by_key = schedule->overlap_scope == PAWL__V1__SCOPE__SCOPE_KEY;
    if (by_key != (schedule->overlap_key[0] != '\0'))
        return FAULT(fault, by_key ? ERR_BAD_VALUE : ERR_CONTRADICTION, "overlap_key",
                     by_key ? "the scope is a key, and none is given"
                            : "a key is given, and the scope is none: say overlap_scope key");
    if (schedule->to_us && schedule->from_us && schedule->to_us <= schedule->from_us)
        return FAULT(fault, ERR_CONTRADICTION, "to_us", "the schedule ends before it begins");
    err_t err = check_after(schedule, fault);
    if (!err) err = check_rules(schedule, fault);
    if (!err) err = check_calendars(schedule, fault);
    if (err) return err;
    const Pawl__V1__Task *task;
    err = wire_task_check(arena, schedule->task.data, schedule->task.len, WIRE_TASK_TEMPLATE, &task,
                          fault);
    if (err) {
        wire_fault_within(fault, "task", -1);
        return err;
    }
    if (out) *out = task;
    return ERR_OK;
}

err_t wire_schedule_check(wire_arena_t *arena, const Pawl__V1__Schedule *schedule,
                          const Pawl__V1__Task **task, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    return check_schedule(arena, schedule, task, fault);
}

err_t wire_schedule_decode(wire_arena_t *arena, const uint8_t *bytes, size_t len,
                           const Pawl__V1__Schedule **out, wire_fault_t *fault)
{
    *fault = (wire_fault_t){ 0 };
    ProtobufCMessage *message;
    err_t err = wire_unpack(arena, &pawl__v1__schedule__descriptor, bytes, len, SIZE_MAX,
                            UNPACK_BORROW | UNPACK_LENIENT, &message, NULL, fault);
    if (!err) *out = (const Pawl__V1__Schedule *)message;
    return err;
}

/* ---- bodies ------------------------------------------------------------------------------ */

static err_t check_hello(const Pawl__V1__Hello *hello, wire_fault_t *fault)
{
    if (hello->minor < WIRE_MINOR_OLDEST)
        return FAULT(fault, ERR_VERSION, "minor",
                     "minor version %u is not spoken here: %d to %d are", hello->minor,
                     WIRE_MINOR_OLDEST, WIRE_MINOR);
    for (size_t i = 0; i < hello->n_types; i++) {
        err_t err = wire_check_type(hello->types[i], "types", fault);
        if (err) return err;
    }
    return ERR_OK;
}

static err_t check_ids(size_t n, wire_fault_t *fault)
{
    return n ? ERR_OK : FAULT(fault, ERR_BAD_REQUEST, "ids", "no id is given");
}

static err_t check_task_get(const Pawl__V1__TaskGet *get, wire_fault_t *fault)
{
    if ((get->prefix_low.len == 0) != (get->prefix_high.len == 0))
        return FAULT(fault, ERR_BAD_REQUEST, "prefix_high", "a range of ids needs both its ends");
    if (get->n_ids && get->prefix_low.len)
        return FAULT(fault, ERR_CONTRADICTION, "prefix_low", "ids and a range exclude each other");
    return get->prefix_low.len ? ERR_OK : check_ids(get->n_ids, fault);
}

static err_t check_produce(const Pawl__V1__Produce *produce, wire_fault_t *fault)
{
    for (size_t i = 0; i < produce->n_items; i++) {
        const Pawl__V1__ProduceItem *item = produce->items[i];
        bool key = item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_KEY && item->key[0];
        if (key || item->identity_case == PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT) continue;
        FAULT(fault, ERR_BAD_REQUEST, "key", "a row has neither a key nor a hash of its content");
        wire_fault_within(fault, "items", (int64_t)i);
        return fault->err;
    }
    return ERR_OK;
}

static err_t check_report(const Pawl__V1__Report *report, wire_fault_t *fault)
{
    size_t items = report->n_results + report->n_progress + report->n_logs + report->n_running;
    if (items > LIMIT_ITEMS)
        return FAULT(fault, ERR_TOO_MANY, "", "%zu items, at most %d are allowed in one request",
                     items, LIMIT_ITEMS);
    return ERR_OK;
}

static err_t check_history(const Pawl__V1__ScheduleHistory *history, wire_fault_t *fault)
{
    if (history->name[0] || history->uid.len) return ERR_OK;
    return FAULT(fault, ERR_BAD_NAME, "name", "neither name nor uid is given");
}

static err_t check_complete(const Pawl__V1__TaskComplete *complete, wire_fault_t *fault)
{
    bool extend = complete->verb == PAWL__V1__COMPLETE_VERB__COMPLETE_EXTEND;
    if (extend == (complete->extend_us > 0)) return ERR_OK;
    return FAULT(fault, ERR_BAD_VALUE, "extend_us",
                 extend ? "by how long is not given" : "only `extend` has a duration");
}

static err_t check_put(wire_arena_t *arena, const Pawl__V1__SchedulePut *put, wire_fault_t *fault)
{
    err_t err = check_schedule(arena, put->schedule, NULL, fault);
    if (err) wire_fault_within(fault, "schedule", -1);
    for (size_t i = 0; !err && i < put->n_more; i++) {
        err = check_schedule(arena, put->more[i]->schedule, NULL, fault);
        if (!err) continue;
        wire_fault_within(fault, "schedule", -1);
        wire_fault_within(fault, "more", (int64_t)i);
    }
    return err;
}

static err_t check_rehearse(wire_arena_t *arena, const Pawl__V1__Rehearse *ask, wire_fault_t *fault)
{
    if ((ask->name[0] != '\0') == (ask->put != NULL))
        return ask->put
                   ? FAULT(fault, ERR_CONTRADICTION, "put",
                           "either a name or a definition is rehearsed, not both")
                   : FAULT(fault, ERR_BAD_NAME, "name", "neither a name nor a definition is given");
    if (ask->put && ask->put->n_more)
        return FAULT(fault, ERR_TOO_MANY, "put.more", "one schedule is rehearsed at a time");
    if (ask->down_to_us <= ask->down_from_us)
        return FAULT(fault, ERR_CONTRADICTION, "down_to_us", "the outage ends before it begins");
    if (ask->until_us && ask->until_us < ask->down_to_us)
        return FAULT(fault, ERR_CONTRADICTION, "until_us",
                     "it would stop before the outage is over");
    err_t err = ask->put ? check_put(arena, ask->put, fault) : ERR_OK;
    if (err) wire_fault_within(fault, "put", -1);
    return err;
}

static err_t check_calendar(const Pawl__V1__Calendar *calendar, wire_fault_t *fault)
{
    size_t bytes = 0;
    for (size_t i = 0; i < calendar->n_entries; i++)
        bytes += strlen(calendar->entries[i]) + 1;
    err_t err = ERR_OK;
    if (calendar->n_entries == 0)
        err = FAULT(fault, ERR_BAD_VALUE, "entries", "a calendar has at least one entry");
    else if (bytes > LIMIT_CALENDAR_TEXT)
        err = FAULT(fault, ERR_TOO_LARGE, "entries", "they have %zu bytes, the limit is %d", bytes,
                    LIMIT_CALENDAR_TEXT);
    if (err) wire_fault_within(fault, "calendar", -1);
    return err;
}

/* Which scope is meant is said once: where the fields are empty, or there are none, nothing is. */
static err_t check_watermark_of(const Pawl__V1__WatermarkOf *of, wire_fault_t *fault)
{
    bool said = (of->of_case == PAWL__V1__WATERMARK_OF__OF_SCOPE && of->scope.len) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_SCHEDULE && of->schedule[0]) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_TASK && of->task.len) ||
                (of->of_case == PAWL__V1__WATERMARK_OF__OF_NAME && of->name[0]);
    if (!said)
        return FAULT(fault, ERR_BAD_VALUE, "of",
                     "of: names no watermark: scope, schedule, task or name is needed");
    if (of->principal[0] && of->of_case != PAWL__V1__WATERMARK_OF__OF_NAME)
        return FAULT(fault, ERR_CONTRADICTION, "of.principal",
                     "of.principal: only a name belongs to a principal");
    return ERR_OK;
}

/* What concerns several fields of one body; puts the body's name in front of the path. */
err_t wire_check_body(wire_arena_t *arena, const Pawl__V1__Request *request, wire_fault_t *fault)
{
    err_t err = ERR_OK;
    const char *name = "";
    switch (request->body_case) {
    case PAWL__V1__REQUEST__BODY_HELLO:
        name = "hello";
        err = check_hello(request->hello, fault);
        break;
    case PAWL__V1__REQUEST__BODY_REPORT:
        name = "report";
        err = check_report(request->report, fault);
        break;
    case PAWL__V1__REQUEST__BODY_PRODUCE:
        name = "produce";
        err = check_produce(request->produce, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_GET:
        name = "task_get";
        err = check_task_get(request->task_get, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_WAIT:
        name = "task_wait";
        err = check_ids(request->task_wait->n_ids, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_CHANGE:
        name = "task_change";
        err = check_ids(request->task_change->n_ids, fault);
        break;
    case PAWL__V1__REQUEST__BODY_TASK_COMPLETE:
        name = "task_complete";
        err = check_complete(request->task_complete, fault);
        break;
    case PAWL__V1__REQUEST__BODY_SCHEDULE_PUT:
        name = "schedule_put";
        err = check_put(arena, request->schedule_put, fault);
        break;
    case PAWL__V1__REQUEST__BODY_CALENDAR_PUT:
        name = "calendar_put";
        err = check_calendar(request->calendar_put->calendar, fault);
        break;
    case PAWL__V1__REQUEST__BODY_WATERMARK_LIST:
        name = "watermark_list";
        if (request->watermark_list->of)
            err = check_watermark_of(request->watermark_list->of, fault);
        break;
    case PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE:
        name = "watermark_change";
        err = check_watermark_of(request->watermark_change->of, fault);
        break;
    case PAWL__V1__REQUEST__BODY_REHEARSE:
        name = "rehearse";
        err = check_rehearse(arena, request->rehearse, fault);
        break;
    case PAWL__V1__REQUEST__BODY_SCHEDULE_HISTORY:
        name = "schedule_history";
        err = check_history(request->schedule_history, fault);
        break;
    default:
        break;
    }
    if (err) wire_fault_within(fault, name, -1);
    return err;
}

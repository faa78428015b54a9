/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/front/access.h"

#include <string.h>

#define BIT(role) (1u << ACCESS_##role)
enum {
    EVERYBODY =
        BIT(ADMIN) | BIT(OPERATOR) | BIT(SUBMITTER) | BIT(EXECUTOR) | BIT(SCHEDULER) | BIT(MONITOR),
    OPERATES = BIT(ADMIN) | BIT(OPERATOR),
    SUBMITS = OPERATES | BIT(SUBMITTER),
    WATCHES = OPERATES | BIT(MONITOR), /* numbers and names, never payloads */
};

static const char *const names[ACCESS_ROLES] = {
    [ACCESS_NONE] = "none",         [ACCESS_ADMIN] = "admin",
    [ACCESS_OPERATOR] = "operator", [ACCESS_SUBMITTER] = "submitter",
    [ACCESS_EXECUTOR] = "executor", [ACCESS_SCHEDULER] = "scheduler",
    [ACCESS_MONITOR] = "monitor",
};

#define BODY(name) PAWL__V1__REQUEST__BODY_##name
static const struct {
    Pawl__V1__Request__BodyCase body;
    unsigned roles;
} allowed[] = {
    { BODY(PING), EVERYBODY },
    { BODY(BYE), EVERYBODY },
    { BODY(SUBMIT), SUBMITS },
    { BODY(REPORT), BIT(ADMIN) | BIT(EXECUTOR) },
    { BODY(PROPOSE), BIT(ADMIN) | BIT(SCHEDULER) },
    { BODY(PRODUCE), BIT(ADMIN) | BIT(EXECUTOR) },
    { BODY(SCHEDULE_FOLLOW), BIT(ADMIN) | BIT(SCHEDULER) },
    { BODY(TASK_GET), SUBMITS },
    { BODY(TASK_LIST), SUBMITS | BIT(MONITOR) },
    { BODY(TASK_WAIT), SUBMITS },
    { BODY(TASK_CHANGE), SUBMITS },
    { BODY(TASK_WHY), SUBMITS | BIT(MONITOR) },
    { BODY(LOG_READ), SUBMITS },
    { BODY(EVENT_READ), WATCHES },
    { BODY(TASK_COMPLETE), EVERYBODY }, /* it must show the task's own token */
    { BODY(SCHEDULE_PUT), OPERATES },
    { BODY(SCHEDULE_CHANGE), OPERATES },
    { BODY(SCHEDULE_GET), OPERATES },
    { BODY(SCHEDULE_LIST), WATCHES | BIT(SUBMITTER) },
    { BODY(SCHEDULE_HISTORY), WATCHES | BIT(SUBMITTER) },
    { BODY(RANGE_LIST), WATCHES | BIT(SUBMITTER) },
    { BODY(SCHEDULE_AUDIT), WATCHES | BIT(SUBMITTER) },
    { BODY(REHEARSE), WATCHES | BIT(SUBMITTER) }, /* changes nothing, tells no payload */
    { BODY(CALENDAR_PUT), OPERATES },
    { BODY(CALENDAR_REMOVE), OPERATES },
    { BODY(CALENDAR_LIST), WATCHES | BIT(SUBMITTER) },
    { BODY(WATERMARK_LIST), OPERATES }, /* values of columns */
    { BODY(WATERMARK_CHANGE), OPERATES },
    { BODY(QUEUE_LIST), WATCHES | BIT(SUBMITTER) },
    { BODY(QUEUE_CHANGE), OPERATES },
    { BODY(EXECUTOR_LIST), WATCHES },
    { BODY(EXECUTOR_CHANGE), OPERATES },
    { BODY(PEER_LIST), WATCHES },
    { BODY(STATS_GET), WATCHES },
    { BODY(STATUS_GET), WATCHES },
};

/* Which peers a key may be. */
static const unsigned may_be[] = {
    [PAWL__V1__ROLE__ROLE_CLIENT] = SUBMITS | BIT(MONITOR),
    [PAWL__V1__ROLE__ROLE_EXECUTOR] = BIT(ADMIN) | BIT(EXECUTOR),
    [PAWL__V1__ROLE__ROLE_SCHEDULER] = BIT(ADMIN) | BIT(SCHEDULER),
};

const char *access_role_text(access_role_t role)
{
    return names[role];
}

access_role_t access_role_of(const char *text)
{
    for (int i = ACCESS_ADMIN; i < ACCESS_ROLES; i++)
        if (strcmp(names[i], text) == 0) return (access_role_t)i;
    return ACCESS_NONE;
}

/* Whose row holds for it: a list of whole definitions is as many of them, each with its payload. */
static Pawl__V1__Request__BodyCase body_of(const Pawl__V1__Request *request)
{
    bool whole = request->body_case == BODY(SCHEDULE_LIST) && request->schedule_list->whole;
    return whole ? BODY(SCHEDULE_GET) : request->body_case;
}

bool access_allows(access_role_t role, const Pawl__V1__Request *request)
{
    unsigned bit = 1u << role;
    Pawl__V1__Request__BodyCase body = body_of(request);
    if (request->body_case == BODY(HELLO)) {
        size_t wanted = (size_t)request->hello->role;
        return wanted < ARRAY_LEN(may_be) && (may_be[wanted] & bit) != 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (allowed[i].body == body) return (allowed[i].roles & bit) != 0;
    return role == ACCESS_ADMIN;
}

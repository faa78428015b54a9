/* SPDX-License-Identifier: Apache-2.0
 * A task's fan-out being written: pawl_task_add_member, pawl_task_add_member_label, and the fields
 * "fanout.*" of pawl_task_set_text and pawl_task_set_int. */
#include <stdlib.h>
#include <string.h>

#include "client/base/base.h"
#include "client/record.h"
#include "client/task.h"

static Pawl__V1__Fanout *fanout_of(pawl_task_t *self)
{
    if (!self->message->fanout) {
        Pawl__V1__Fanout *made = malloc(sizeof *made);
        if (made) pawl__v1__fanout__init(made);
        self->message->fanout = made;
    }
    return self->message->fanout;
}

pawl_err pawl_task_set_fanout(pawl_task_t *self)
{
    return fanout_of(self) ? PAWL_OK : PAWL_E_NO_MEMORY;
}

pawl_err pawl_task_add_member(pawl_task_t *self, const char *executor)
{
    Pawl__V1__Fanout *fanout = fanout_of(self);
    char **list =
        fanout ? realloc(fanout->executors, (fanout->n_executors + 1) * sizeof *list) : NULL;
    if (!list) return PAWL_E_NO_MEMORY;
    fanout->executors = list;
    list[fanout->n_executors] = strdup(executor);
    if (!list[fanout->n_executors]) return PAWL_E_NO_MEMORY;
    fanout->n_executors++;
    return PAWL_OK;
}

pawl_err pawl_task_add_member_label(pawl_task_t *self, const char *key, const char *value)
{
    Pawl__V1__Fanout *fanout = fanout_of(self);
    return fanout && add_label(&fanout->n_labels, &fanout->labels, key, value) ? PAWL_OK
                                                                               : PAWL_E_NO_MEMORY;
}

pawl_err fanout_set_text(pawl_task_t *self, const char *field, const char *value)
{
    Pawl__V1__Fanout *fanout = fanout_of(self);
    int word;
    if (!fanout) return PAWL_E_NO_MEMORY;
    if (!strcmp(field, "done") && enum_number(&pawl__v1__fanout_done__descriptor, value, &word))
        fanout->done = (Pawl__V1__FanoutDone)word;
    else if (!strcmp(field, "offline") &&
             enum_number(&pawl__v1__fanout_offline__descriptor, value, &word))
        fanout->offline = (Pawl__V1__FanoutOffline)word;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

pawl_err fanout_set_int(pawl_task_t *self, const char *field, int64_t value)
{
    Pawl__V1__Fanout *fanout = fanout_of(self);
    if (!fanout) return PAWL_E_NO_MEMORY;
    if (value < 0) return PAWL_E_BAD_REQUEST;
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = { { "count", &fanout->count },
                    { "done_count", &fanout->done_count },
                    { "parallel", &fanout->parallel },
                    { "stop_failures", &fanout->stop_failures },
                    { "stop_percent", &fanout->stop_percent } };
    const struct {
        const char *name;
        protobuf_c_boolean *flag;
    } switches[] = { { "late_join", &fanout->late_join },
                     { "move", &fanout->move },
                     { "cancel_rest", &fanout->cancel_rest } };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!strcmp(numbers[i].name, field) && value <= UINT32_MAX) {
            *numbers[i].number = (uint32_t)value;
            return PAWL_OK;
        }
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        if (!strcmp(switches[i].name, field) && value <= 1) {
            *switches[i].flag = (protobuf_c_boolean)value;
            if (switches[i].flag == &fanout->cancel_rest)
                fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
            return PAWL_OK;
        }
    if (!strcmp(field, "offline_us"))
        fanout->offline_us = value;
    else if (!strcmp(field, "pause_us"))
        fanout->pause_us = value;
    else
        return PAWL_E_BAD_REQUEST;
    return PAWL_OK;
}

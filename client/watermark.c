/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client/client.h"
#include "client/list.h"
#include "schemas/limits.h"

static void say_which(const pawl_watermark_of_t *of, Pawl__V1__WatermarkOf *to)
{
    pawl__v1__watermark_of__init(to);
    if (of->scope) {
        to->of_case = PAWL__V1__WATERMARK_OF__OF_SCOPE;
        to->scope = (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)of->scope };
    } else if (of->task) {
        to->of_case = PAWL__V1__WATERMARK_OF__OF_TASK;
        to->task = (ProtobufCBinaryData){ PAWL_ID_BYTES, (uint8_t *)(uintptr_t)of->task };
    } else if (of->schedule) {
        to->of_case = PAWL__V1__WATERMARK_OF__OF_SCHEDULE;
        to->schedule = (char *)(uintptr_t)of->schedule;
    } else if (of->name) {
        to->of_case = PAWL__V1__WATERMARK_OF__OF_NAME;
        to->name = (char *)(uintptr_t)of->name;
        if (of->principal) to->principal = (char *)(uintptr_t)of->principal;
    }
}

/* `body->of` is the caller's, to be filled here. */
static pawl_err change(pawl_client_t *self, const pawl_watermark_of_t *of,
                       Pawl__V1__WatermarkChange *body, int64_t if_revision, bool force,
                       int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    say_which(of, body->of);
    body->force = force;
    if (if_revision >= 0) {
        body->if_revision = (uint64_t)if_revision;
        body->revision_set_case = PAWL__V1__WATERMARK_CHANGE__REVISION_SET_IF_REVISION;
    }
    request.body_case = PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE;
    request.watermark_change = body;
    return ask_change(self, &request, timeout_us, NULL);
}

pawl_err pawl_watermark_set(pawl_client_t *self, const pawl_watermark_of_t *of, const void *json,
                            size_t len, int64_t if_revision, bool force, int64_t timeout_us)
{
    Pawl__V1__WatermarkChange body;
    Pawl__V1__WatermarkOf which;
    pawl__v1__watermark_change__init(&body);
    body.of = &which;
    body.value_set_case = PAWL__V1__WATERMARK_CHANGE__VALUE_SET_VALUE;
    body.value = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)json };
    return change(self, of, &body, if_revision, force, timeout_us);
}

pawl_err pawl_watermark_remove(pawl_client_t *self, const pawl_watermark_of_t *of,
                               int64_t if_revision, bool force, int64_t timeout_us)
{
    Pawl__V1__WatermarkChange body;
    Pawl__V1__WatermarkOf which;
    pawl__v1__watermark_change__init(&body);
    body.of = &which;
    return change(self, of, &body, if_revision, force, timeout_us);
}

pawl_err pawl_watermark_get(pawl_client_t *self, const pawl_watermark_of_t *of,
                            pawl_record_t **watermark, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__WatermarkList body = PAWL__V1__WATERMARK_LIST__INIT;
    Pawl__V1__WatermarkOf which;
    say_which(of, &which);
    body.of = &which;
    request.body_case = PAWL__V1__REQUEST__BODY_WATERMARK_LIST;
    request.watermark_list = &body;
    return ask_first(self, &request, PAWL__V1__REPLY__BODY_WATERMARKS,
                     "no watermark is kept for it", timeout_us, watermark);
}

static pawl_err fetch_watermarks(pawl_client_t *client, const list_place_t *place,
                                 int64_t timeout_us, Pawl__V1__Reply **reply)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__WatermarkList body = PAWL__V1__WATERMARK_LIST__INIT;
    if (place->by_uid)
        body.after = (ProtobufCBinaryData){ sizeof place->uid, (uint8_t *)(uintptr_t)place->uid };
    body.limit = LIMIT_LIST;
    request.body_case = PAWL__V1__REQUEST__BODY_WATERMARK_LIST;
    request.watermark_list = &body;
    return ask(client, &request, PAWL__V1__REPLY__BODY_WATERMARKS, 0, timeout_us, reply);
}

static bool turn_watermarks(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows,
                            size_t *n)
{
    const ProtobufCBinaryData *next = &reply->watermarks->next;
    *rows = (void **)reply->watermarks->items;
    *n = reply->watermarks->n_items;
    if (next->len != sizeof place->uid) return false;
    if (place->by_uid && memcmp(next->data, place->uid, sizeof place->uid) <= 0) return false;
    memcpy(place->uid, next->data, sizeof place->uid);
    place->by_uid = true;
    return true;
}

static const list_kind_t watermark_list = { PAWL__V1__REPLY__BODY_WATERMARKS, fetch_watermarks,
                                            turn_watermarks };

pawl_err pawl_watermark_list(pawl_client_t *self, pawl_list_t **list, int64_t timeout_us)
{
    list_place_t place = { .text = NULL };
    return list_open(self, &watermark_list, &place, list, timeout_us);
}

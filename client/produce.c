/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "client/worker.h"

pawl_err pawl_job_produce(pawl_job_t *self, const pawl_produce_item_t *items, size_t n,
                          const void *watermark, size_t watermark_len, pawl_record_t **answer,
                          char *errbuf, size_t errlen, int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Produce body;
    pawl_client_t *client = self->worker->client;
    Pawl__V1__ProduceItem *rows = calloc(n + 1, sizeof *rows);
    Pawl__V1__ProduceItem **list = calloc(n + 1, sizeof *list);
    *answer = NULL;
    pawl__v1__produce__init(&body);
    pawl_err err = rows && list ? PAWL_OK : PAWL_E_NO_MEMORY;
    for (size_t i = 0; !err && i < n; i++) {
        pawl__v1__produce_item__init(&rows[i]);
        rows[i].task =
            (ProtobufCBinaryData){ items[i].task_len, (uint8_t *)(uintptr_t)items[i].task };
        if (items[i].key) {
            rows[i].identity_case = PAWL__V1__PRODUCE_ITEM__IDENTITY_KEY;
            rows[i].key = (char *)(uintptr_t)items[i].key;
        } else {
            rows[i].identity_case = PAWL__V1__PRODUCE_ITEM__IDENTITY_CONTENT;
            rows[i].content =
                (ProtobufCBinaryData){ PAWL_CONTENT_BYTES, (uint8_t *)(uintptr_t)items[i].content };
        }
        list[i] = &rows[i];
    }
    body.id = (ProtobufCBinaryData){ PAWL_ID_BYTES, self->id };
    body.token = self->token;
    body.n_items = n;
    body.items = list;
    if (watermark) {
        body.watermark_set_case = PAWL__V1__PRODUCE__WATERMARK_SET_WATERMARK;
        body.watermark = (ProtobufCBinaryData){ watermark_len, (uint8_t *)(uintptr_t)watermark };
    }
    request.body_case = PAWL__V1__REQUEST__BODY_PRODUCE;
    request.produce = &body;
    if (!err)
        err = ask_record(client, &request, PAWL__V1__REPLY__BODY_PRODUCED, 0, timeout_us, answer);
    if (err && errlen) snprintf(errbuf, errlen, "%s", pawl_client_error(client));
    free(list);
    free(rows);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/ask.c - what most calls of the public face are: a request and what is kept of its answer.
 */
#include "client/arena.h"
#include "client/client.h"
#include "client/record.h"

pawl_err ask_record(pawl_client_t *client, const Pawl__V1__Request *request,
                    Pawl__V1__Reply__BodyCase wanted, unsigned flags, int64_t timeout_us,
                    pawl_record_t **record)
{
    Pawl__V1__Reply *reply;
    *record = NULL;
    pawl_err err = ask(client, request, wanted, flags, timeout_us, &reply);
    if (!err) *record = record_of(reply->status); /* each body is a pointer to its message */
    return err;
}

pawl_err ask_first(pawl_client_t *client, const Pawl__V1__Request *request,
                   Pawl__V1__Reply__BodyCase wanted, const char *none, int64_t timeout_us,
                   pawl_record_t **record)
{
    pawl_record_t *list;
    *record = NULL;
    pawl_err err = ask_record(client, request, wanted, 0, timeout_us, &list);
    if (err) return err;
    const pawl_record_t *first = pawl_record_sub_at(list, "items", 0);
    if (!first) {
        pawl_record_destroy(&list);
        return fail_with(client, PAWL_E_NOT_FOUND, none);
    }
    *record = (pawl_record_t *)(uintptr_t)first; /* of the same arena, which goes with any of it */
    return PAWL_OK;
}

pawl_err ask_change(pawl_client_t *client, const Pawl__V1__Request *request, int64_t timeout_us,
                    Pawl__V1__Changed **changed)
{
    Pawl__V1__Reply *reply;
    if (changed) *changed = NULL;
    pawl_err err =
        ask(client, request, PAWL__V1__REPLY__BODY_CHANGED, ASK_REMEMBERED, timeout_us, &reply);
    if (err) return err;
    if (reply->changed->n_items && reply->changed->items[0]->error)
        err = fail_from_wire(client, reply->changed->items[0]->error);
    if (!err && changed)
        *changed = reply->changed;
    else
        arena_free_of(reply);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "client/list.h"

#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/record.h"

struct pawl_list {
    pawl_client_t *client;
    const list_kind_t *kind;
    list_place_t place;
    int64_t timeout_us; /* of each page */
    Pawl__V1__Reply *page;
    void **rows;
    size_t n, at;
    bool more; /* behind this page */
};

static void place_free(list_place_t *self)
{
    if (self->filter) pawl__v1__task_filter__free_unpacked(self->filter, NULL);
    free(self->text);
    free(self->after);
    free(self->select);
}

bool list_after(list_place_t *place, const char *next)
{
    if (!*next || (place->after && strcmp(place->after, next) >= 0)) return false;
    free(place->after);
    place->after = strdup(next);
    return place->after != NULL;
}

static pawl_err turn_page(pawl_list_t *self)
{
    Pawl__V1__Reply *reply;
    pawl_err err = self->kind->fetch(self->client, &self->place, self->timeout_us, &reply);
    if (err) return err;
    arena_free_of(self->page);
    self->page = reply;
    self->at = 0;
    self->more = self->kind->turn(&self->place, reply, &self->rows, &self->n);
    return PAWL_OK;
}

pawl_err list_open(pawl_client_t *client, const list_kind_t *kind, list_place_t *place,
                   pawl_list_t **list, int64_t timeout_us)
{
    *list = NULL;
    pawl_err err = client_check(client);
    pawl_list_t *self = err ? NULL : calloc(1, sizeof *self);
    if (!self) {
        place_free(place);
        return err ? err : fail_with(client, PAWL_E_NO_MEMORY, NULL);
    }
    *self = (pawl_list_t){ .client = client, .kind = kind, .place = *place };
    self->timeout_us = timeout_us;
    client_hold(client);
    err = turn_page(self);
    if (err) pawl_list_destroy(&self);
    *list = self;
    return err;
}

const pawl_record_t *pawl_list_next(pawl_list_t *self, pawl_err *err)
{
    pawl_err ignored;
    err = err ? err : &ignored;
    *err = PAWL_OK;
    while (self->at >= self->n) {
        if (!self->more) return NULL;
        *err = turn_page(self);
        if (*err) return NULL;
    }
    return record_of_const(self->rows[self->at++]);
}

void pawl_list_destroy(pawl_list_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl_list_t *self = *self_p;
    *self_p = NULL;
    arena_free_of(self->page);
    place_free(&self->place);
    client_release(self->client);
    free(self);
}

/* SPDX-License-Identifier: Apache-2.0
 * client/list.h - lists that fetch page after page: what each kind of list has to say. */
#ifndef CLIENT_LIST_H
#define CLIENT_LIST_H

#include "client/client.h"

/* Where a list stands and what it asks for. Texts are the list's own copies. */
typedef struct list_place {
    Pawl__V1__TaskFilter *filter; /* tasks: on the heap */
    bool newest_first;
    uint64_t cursor;                  /* tasks, events, peers, executors: 0 = start */
    char *text;                       /* schedules: filter; history, executors: name */
    char *after;                      /* schedules, queues: last name seen */
    char *select;                     /* schedules: choice by labels */
    int64_t from_us, to_us, after_us; /* history */
    bool missed_only;
    bool by_uid;                /* history: of a schedule that was removed */
    uint8_t uid[PAWL_ID_BYTES]; /* ... ; watermarks: the last one's scope, when by_uid */
    bool everything;            /* ranges: those that are done too */
    bool whole;                 /* schedules: with their definitions */
    const char *const *names;   /* schedules: these alone; borrowed; NULL: any */
    size_t names_n, names_at;   /* of them those before names_at were looked at */
} list_place_t;

typedef struct list_kind {
    Pawl__V1__Reply__BodyCase wanted;
    /* Asks for the page at `place`; 0 or an error. */
    pawl_err (*fetch)(pawl_client_t *client, const list_place_t *place, int64_t timeout_us,
                      Pawl__V1__Reply **reply);
    /* The rows of an answer; sets place to what follows. False: that was the last page. */
    bool (*turn)(list_place_t *place, const Pawl__V1__Reply *reply, void ***rows, size_t *n);
} list_kind_t;

/* Fetches the first page. Takes what `place` holds, also on failure. */
pawl_err list_open(pawl_client_t *client, const list_kind_t *kind, list_place_t *place,
                   pawl_list_t **list, int64_t timeout_us);

/* A list by name: goes on behind `next`. False: that was the last page. */
bool list_after(list_place_t *place, const char *next);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * broker/readers/query.h - what passes between the front and the actors beside core (readers,
 * logs).
 *
 * Each of them shares one inproc PAIR with the front. A message on it is one letter_t, 16 bytes;
 * the object it points to changes its owner with it, so nothing is ever shared. Life cycle ($TERM)
 * comes over the zactor pipe. An actor never waits for the front inside a handler. */
#ifndef BROKER_QUERY_H
#define BROKER_QUERY_H

#include <czmq.h>
#include <stdatomic.h>

#include "broker/readers/answer.h"
#include "broker/core/core.h"
#include "schemas/wire.h"

/* A request that does not go to core as it is. Made by the front; whoever holds it owns it. */
typedef struct query {
    conn_t conn;
    const Pawl__V1__Request *request; /* in `arena` */
    char *principal;
    bool own_only;                            /* tasks of others are as if there were none */
    const Pawl__V1__ExecutorItems *executors; /* TaskWhy: who is connected, in `arena`; else NULL */
    const followers_t *followers;             /* ScheduleList, ScheduleGet: in `arena`; else NULL */
    slice_t zone; /* Rehearse: data of the zone that its definition names, in `arena`; or empty */
    wire_arena_t arena;
    buf_t reply;              /* from readers: the packed Reply, seq and magic set */
    atomic_size_t *handed_up; /* of readers: their bytes that nobody has taken (query_taken) */
    buf_t record;             /* the raw frame, only while batches are recorded */
    uint32_t items;
    size_t bytes;              /* what counts as in flight for it */
    uint64_t hash;             /* of a Report: poison_hash */
    err_t err;                 /* from logs */
    struct query *next, *prev; /* the front's list of what is out; nobody else touches them */
} query_t;

/* What has just become durable, for who waits: sent to readers after a commit, and after a commit
 * of logs, while any query is in their hands. The receiver frees it with notice_free. */
typedef struct notice {
    size_t ended_n, logged_n;
    uint8_t (*ended)[16];  /* tasks that ended */
    uint8_t (*logged)[16]; /* tasks whose log grew or whose attempt's log ended */
} notice_t;
notice_t *notice_new(size_t ended_room, size_t logged_room);
void notice_free(notice_t **self_p);

/* Task numbers that look expired, from readers: becomes CMD_PURGE. */
typedef struct purge {
    size_t n;
    uint64_t ns[];
} purge_t;

typedef enum {
    LETTER_QUERY = 1, /* front -> actor: query_t to answer (readers) or to store (logs) */
    LETTER_DONE,      /* actor -> front: the same query_t, answered or stored */
    LETTER_NOTICE,    /* front -> readers: notice_t */
    LETTER_PURGE,     /* readers -> front: purge_t, from malloc; the front frees it */
    LETTER_EVENTS,    /* front -> stats: event_page_t; see stats.h */
    LETTER_TOPIC,     /* front -> stats: page_t; see stats.h */
    LETTER_LOST,      /* logs -> front: no object; size: bytes that could not be stored */
    LETTER_WANT,      /* stats -> front: no object; size = 1: somebody wants events, 0: nobody */
} letter_kind_t;

typedef struct letter {
    uint32_t kind; /* letter_kind_t */
    uint32_t size;
    void *object;
} letter_t;

/* ThreadSanitizer does not see the library's own synchronisation: what is handed over through a
 * socket says so here. Nothing in other builds. */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define HANDED_OVER(object) __tsan_release(object)
#define TAKEN_OVER(object)  __tsan_acquire(object)
#else
#define HANDED_OVER(object) ((void)(object))
#define TAKEN_OVER(object)  ((void)(object))
#endif

/* A PAIR inside the process without high-water marks: the near end (the front's) and *far. */
zsock_t *letter_pipe(zsock_t **far);
/* `socket`: a raw ZeroMQ PAIR. Sending never blocks (no high-water mark inside the process). */
void letter_send(void *socket, letter_kind_t kind, void *object, uint32_t size);
bool letter_take(void *socket, letter_t *letter); /* false: nothing there */

query_t *query_new(void);
void query_free(query_t **self_p);
/* The front has it back from readers. While too many bytes of answers wait for that, readers give
 * no more: else a few peers that ask for much at once would fill the memory before their answers
 * are counted as unread. */
void query_taken(const query_t *self);

#endif

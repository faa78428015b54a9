/* SPDX-License-Identifier: Apache-2.0
 * client/client.h - the inside of a handle: calls on their way, callbacks that are due, the link.
 *
 * Threads: `lock` guards everything below it. The I/O thread (link.c) alone touches `link`. Two
 * locks are never held at once, but that `work_lock` may be taken first and `lock` inside it.
 * A handle is counted: what was made from it (ops, lists, watches, workers) keeps its memory, so
 * objects may be destroyed in any order; pawl_client_destroy ends the thread and the context. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "client/bytes.h"
#include "client/base/keyfile.h"
#include "client/pawl.h"
#include "schemas/errors.h"
#include "schemas/pawl.pb-c.h"

/* ---- errors: the last one of each thread and handle ------------------------------------------ */

/* Keeps code, sentence, field and hint for pawl_client_error; returns err. text NULL: the phrase of
 * the table. */
pawl_err fail_with(const pawl_client_t *client, pawl_err err, const char *text);
pawl_err fail_with_field(const pawl_client_t *client, pawl_err err, const char *text,
                         const char *field, int64_t retry_us);
/* The same from a wire error: -code. */
pawl_err fail_from_wire(const pawl_client_t *client, const Pawl__V1__Error *error);

/* ---- calls ----------------------------------------------------------------------------------- */

typedef enum { CALL_QUEUED, CALL_SENT, CALL_DONE } call_stage;

/* A request on its way. Held by the one who made it and by the list it is in. */
typedef struct call {
    struct call *prev, *next; /* in client.queue or client.in_flight */
    pawl_client_t *client;
    bytes_t body;   /* the packed body; magic, seq, session are written when it is sent */
    size_t items;   /* how many the broker counts it as */
    uint64_t order; /* position among all calls: a resend keeps its place */
    uint64_t seq;   /* of the last sending */
    uint8_t request_id[16];
    bool remembered; /* has a request_id */
    bool long_poll;  /* the broker may take its time: close does not wait for it */
    bool once;       /* not sent again in a new session: ends as UNREACHABLE */
    bool orphan;     /* nobody waits any more: not sent again */
    bool own;        /* goes on with something that is there: not held by the bound on what waits */
    call_stage stage;
    unsigned refs;
    pawl_err err;           /* once done */
    const char *why;        /* for as long as the lock is held; NULL: the reply's error says it */
    Pawl__V1__Reply *reply; /* once done and answered; the call's until taken */
    pthread_cond_t done;
    void (*on_done)(struct call *self); /* on the I/O thread, under `lock`; may be NULL */
    void *arg;
} call_t;

/* OWN: of the SDK, one at a time for each object that is already there (watch). */
enum ask_flags { ASK_REMEMBERED = 1, ASK_LONG_POLL = 2, ASK_ONCE = 4, ASK_OWN = 8 };

/* Packs `request` (its body; the rest is filled in). NULL: out of memory. */
call_t *call_new(pawl_client_t *client, const Pawl__V1__Request *request, unsigned flags);
/* The same from a body that is packed already; takes its bytes, also on failure. */
call_t *call_new_packed(pawl_client_t *client, bytes_t *body, size_t items, unsigned flags);
/* Puts it in the queue. CLOSED, TOO_LARGE, BACKPRESSURE (wait_for_room false or deadline over).
 * The handle's error is not set. Caller holds `lock`; may release it while it waits for room. */
pawl_err call_queue(call_t *self, bool wait_for_room, int64_t deadline_us);
void call_release(call_t *self); /* caller holds `lock` */
/* Ends a call: under `lock`, wakes and calls back. It leaves its list. */
void call_end(call_t *self, pawl_err err, const char *why, Pawl__V1__Reply *reply);

/* Sends and waits. On success *reply (the caller frees it with arena_free_of) has the body wanted.
 * timeout_us < 0: for ever. The handle's error is set on failure. */
pawl_err ask(pawl_client_t *client, const Pawl__V1__Request *request,
             Pawl__V1__Reply__BodyCase wanted, unsigned flags, int64_t timeout_us,
             Pawl__V1__Reply **reply);
/* What a finished call means for its caller: 0, or the error, set on the handle. */
pawl_err call_verdict(const call_t *self, Pawl__V1__Reply__BodyCase wanted);

/* The same, and of the answer what is wanted (ask.c). *record: the body; NULL on failure. */
pawl_err ask_record(pawl_client_t *client, const Pawl__V1__Request *request,
                    Pawl__V1__Reply__BodyCase wanted, unsigned flags, int64_t timeout_us,
                    pawl_record_t **record);
/* *record: the first of its `items`. Where there is none: NOT_FOUND, in the words of `none`. */
pawl_err ask_first(pawl_client_t *client, const Pawl__V1__Request *request,
                   Pawl__V1__Reply__BodyCase wanted, const char *none, int64_t timeout_us,
                   pawl_record_t **record);
/* A change of one thing, remembered: its refusal is the call's. changed (may be NULL): what was
 * answered, to be freed with arena_free_of; NULL on failure. */
pawl_err ask_change(pawl_client_t *client, const Pawl__V1__Request *request, int64_t timeout_us,
                    Pawl__V1__Changed **changed);

/* ---- callbacks that are due ------------------------------------------------------------------ */

/* Something pawl_client_poll has to do. Embedded or allocated; `run` and `drop` own it. */
typedef struct due {
    struct due *next;
    const void *owner;            /* what due_forget finds it by */
    int (*run)(struct due *self); /* on the poller's thread, no lock held; how many callbacks ran */
    void (*drop)(struct due *self);
} due_t;

void due_add(pawl_client_t *client, due_t *due); /* caller holds `lock` */
/* Drops what is due for `owner` and waits until no callback of it runs on another thread. True: one
 * runs on this thread right now. */
bool due_forget(pawl_client_t *client, const void *owner);

/* ---- the handle ------------------------------------------------------------------------------ */

typedef struct link link_t;
struct follow;

struct pawl_client {
    atomic_uint refs;
    uint64_t serial; /* of the handle, for the errors of a thread */
    pid_t pid;       /* of the process it belongs to */
    char endpoint[256];
    keyfile_t keys; /* of a tcp endpoint */
    char name[208];
    Pawl__V1__Role role;
    long max_pending;
    int64_t connect_ivl_us, connect_max_us;
    uint8_t incarnation[16];
    void *context;
    int wake_fd; /* wakes the I/O thread */
    int due_fd;  /* readable while callbacks are due */
    pthread_t thread;
    link_t *link;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* state, room, due, poller */
    pawl_state state;
    bool started;     /* may say Hello */
    bool closing;     /* no new calls */
    bool stopping;    /* the thread ends */
    pawl_err refusal; /* what the broker said to the last Hello; 0: nothing */
    char refusal_text[512];
    int64_t refusal_retry_us;
    char trouble[200]; /* why there is no connection */
    call_t *queue, *queue_last, *in_flight, *in_flight_last;
    size_t pending, pending_bytes; /* queued and in flight */
    size_t flying, flying_items, flying_bytes;
    uint64_t order;
    size_t limit_message, limit_items, limit_requests, limit_flying_items, limit_flying_bytes;
    int64_t ping_us, lease_us;
    due_t *due, *due_last;
    bool polling;
    pthread_t poller;
    const void *running; /* owner of the callback that runs now */
    struct follow *follow;
    atomic_llong answered_us;     /* steady: when the last request that was answered left */
    atomic_llong follow_again_us; /* steady: something was lost, begin anew then; INT64_MAX: no */

    pthread_mutex_t work_lock; /* everything of the worker */
    pawl_worker_t *worker;
    bool no_bye; /* a worker went while results had no answer: their leases must stay */
};

/* FORKED (set on the handle) in a child process, CLOSED after destroy, else 0. */
pawl_err client_check(const pawl_client_t *self);
/* False in a forked child, whose locks may have stayed locked: for functions that return no error.
 */
bool client_is_ours(const pawl_client_t *self);
void client_hold(pawl_client_t *self);
void client_release(pawl_client_t *self);
void client_wake(pawl_client_t *self); /* the I/O thread looks again */
void raise_fd(int fd);
void lower_fd(int fd);
void cond_init(pthread_cond_t *cond);
/* Waits until the clock (clock_steady_us) reads deadline_us at the latest; INT64_MAX: no end. False
 * when the time is over. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us);
int64_t deadline_of(int64_t timeout_us); /* < 0: INT64_MAX */

/* ---- schedules followed (follow.c), called by the link under `lock` -------------------------- */

void follow_begin(pawl_client_t *client); /* a session stands */
void follow_push(pawl_client_t *client, const Pawl__V1__ScheduleItems *items, void *message);
void follow_again(pawl_client_t *client); /* something was lost; no lock needed */
void follow_free(pawl_client_t *client);

#endif

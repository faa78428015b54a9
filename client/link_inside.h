/* SPDX-License-Identifier: Apache-2.0
 * client/link_inside.h - what the files of the link share: the state of the session and the calls
 * from one to another. For link*.c alone. All of it runs on the I/O thread; `lock` and `work_lock`
 * are the client's, and each function takes those it needs unless its comment says otherwise. */
#ifndef CLIENT_LINK_INSIDE_H
#define CLIENT_LINK_INSIDE_H

#include "client/link.h"
#include "client/machine.h"

typedef enum { LINK_DOWN, LINK_OPENING, LINK_GREETING, LINK_UP } link_stage;

enum { SENT_KEPT = 2048 }; /* above the requests that may be in flight */

struct link {
    link_stage stage;
    void *socket, *monitor;
    unsigned generation; /* names the monitor */
    uint8_t session[16];
    uint64_t seq, hello_seq, ping_seq;
    int64_t left_us[SENT_KEPT]; /* when the newest requests left, by seq */
    int64_t retry_at_us;        /* DOWN: make the next socket then */
    int64_t backoff_us;
    int64_t hello_at_us;
    load_told_t load;   /* executors: of the machine, in this session */
    int64_t sent_us;    /* when the last request left */
    int64_t waiting_us; /* since when nothing was heard though something is owed; 0: nothing is */
    int64_t busy_until_us;
    int64_t ack_due_us;   /* an Assign came: say so by then; 0: said */
    bool blocked;         /* the transport takes no more right now */
    bool lost;            /* the session is over: drop after this round */
    bool hasty;           /* reconnect at once: the broker is there */
    uint64_t assign_seen; /* the highest Assign of this session, told in every request */
};

/* ---- link.c: opening, dropping, the loop ----------------------------------------------------- */
int64_t link_jittered(int64_t span_us); /* from half of it to one and a half */

/* ---- link_send.c: the queue of calls, and what leaves ---------------------------------------- */
/* Caller holds the lock: a call from in flight goes to where it belongs in the queue. */
void link_requeue(pawl_client_t *client, call_t *call);
call_t *link_flying_with(const pawl_client_t *client, uint64_t seq); /* locked; NULL: none */
void link_set_state(pawl_client_t *client, pawl_state state);        /* locked */
/* Header and body as one frame; *seq: its number. False: the transport takes nothing now. */
bool link_send_frame(pawl_client_t *client, const uint8_t *request_id, const bytes_t *body,
                     uint64_t *seq);
/* A request without parameters: Ping, Bye. */
bool link_send_bare(pawl_client_t *client, const Pawl__V1__Request *request, uint64_t *seq);
void link_send_calls(pawl_client_t *client); /* as many as the broker's limits let leave */

/* ---- link_hello.c: who we are ---------------------------------------------------------------- */
void link_send_hello(pawl_client_t *client);

/* ---- link_receive.c: what comes -------------------------------------------------------------- */
void link_receive(pawl_client_t *client);      /* a round of frames */
void link_hear_monitor(pawl_client_t *client); /* what the transport says of the connection */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What a scheduler stands on: all schedules, then their changes; and proposals.
 *
 * A follow belongs to a session. In each new one it begins with a call that says "forget", then
 * asks for page after page; pushes that come between the pages are told as they come, so a record
 * may be told twice, the later one is the truth. A page or a push that is lost on the way (refused,
 * unreadable, no memory) makes it begin anew a second later: who follows must not miss one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "client/client.h"
#include "client/record.h"
#include "schemas/limits.h"

struct follow {
    pawl_follow_fn *fn;           /* in full, or: */
    pawl_follow_select_fn *brief; /* in short form */
    void *arg;
    char *select;    /* choice by labels; NULL: all */
    int64_t soon_us; /* short form: the pages so far hold what is due until then; 0: the whole list
                        is told */
    bool told;       /* fn was called before: a new session says "forget" first */
    /* one page is fetched while one is told, never more: a slow reader must not fill the memory */
    unsigned list;  /* rises with each list that is begun */
    unsigned pages; /* of this list, come and not told yet */
    char *next;     /* what to ask for when there is room; NULL: nothing waits */
};

/* What is due so soon comes first. */
#define SOON_US (5 * PAWL_SEC_US)

/* Rows to tell: an answer or a push, or a list's begin or end. */
typedef struct telling {
    due_t due;
    pawl_client_t *client;
    struct follow *follow;
    pawl_follow_what what;
    Pawl__V1__ScheduleInfo **rows;
    size_t n;
    unsigned list; /* a page of this one; 0: a push */
    void *message; /* whose arena holds the rows; NULL: no rows */
} telling_t;

static void drop_telling(due_t *due)
{
    telling_t *self = (telling_t *)due;
    arena_free_of(self->message);
    free(self);
}

static void tell_row(struct follow *follow, pawl_follow_what what, const pawl_record_t *row)
{
    if (follow->brief)
        follow->brief(what, row, follow->arg);
    else if (what != PAWL_FOLLOW_END)
        follow->fn(row, follow->arg);
}

static void ask_page(pawl_client_t *client, const char *after);

static void page_told(pawl_client_t *client, unsigned list)
{
    pthread_mutex_lock(&client->lock);
    struct follow *follow = client->follow;
    if (follow->list == list) {
        follow->pages--;
        char *next = follow->next;
        follow->next = NULL;
        if (next) ask_page(client, next);
        free(next);
    }
    pthread_mutex_unlock(&client->lock);
}

static int run_telling(due_t *due)
{
    telling_t *self = (telling_t *)due;
    int ran = 0;
    if (self->what != PAWL_FOLLOW_SCHEDULE) {
        tell_row(self->follow, self->what, NULL);
        ran = 1;
    }
    for (size_t i = 0; i < self->n; i++, ran++)
        tell_row(self->follow, PAWL_FOLLOW_SCHEDULE, record_of_const(self->rows[i]));
    if (self->list) page_told(self->client, self->list);
    drop_telling(due);
    return ran;
}

void follow_again(pawl_client_t *client)
{
    atomic_store(&client->follow_again_us, clock_steady_us() + PAWL_SEC_US);
}

/* Takes `message`. */
static void tell(pawl_client_t *client, pawl_follow_what what, const Pawl__V1__ScheduleItems *items,
                 unsigned list, void *message)
{
    telling_t *telling = calloc(1, sizeof *telling);
    if (!telling) {
        arena_free_of(message);
        follow_again(client);
        return;
    }
    *telling = (telling_t){ { NULL, client->follow, run_telling, drop_telling },
                            client,
                            client->follow,
                            what,
                            items ? items->items : NULL,
                            items ? items->n_items : 0,
                            list,
                            message };
    due_add(client, &telling->due);
}

static void on_page(call_t *call)
{
    pawl_client_t *client = call->client;
    Pawl__V1__Reply *reply = call->reply;
    if (call->err || reply->error || reply->body_case != PAWL__V1__REPLY__BODY_SCHEDULES) {
        follow_again(client); /* of no use at the session's end: the next one begins anew anyway */
        return;
    }
    struct follow *follow = client->follow;
    bool last = !*reply->schedules->next && follow->soon_us == 0;
    if (!*reply->schedules->next) follow->soon_us = 0;
    if (!last && follow->pages > 0) {
        follow->next = strdup(reply->schedules->next);
        if (!follow->next) follow_again(client);
    } else if (!last) {
        ask_page(client, reply->schedules->next);
    }
    follow->pages++;
    call->reply = NULL;
    tell(client, PAWL_FOLLOW_SCHEDULE, reply->schedules, follow->list, reply);
    if (last) tell(client, PAWL_FOLLOW_END, NULL, 0, NULL);
}

static void ask_page(pawl_client_t *client, const char *after)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleFollow body = PAWL__V1__SCHEDULE_FOLLOW__INIT;
    body.after = (char *)(uintptr_t)after;
    body.limit = client->follow->brief ? LIMIT_ITEMS : LIMIT_LIST; /* the broker answers fewer */
    body.brief = client->follow->brief != NULL;
    body.due_us = client->follow->soon_us;
    if (client->follow->select) body.select = client->follow->select;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW;
    request.schedule_follow = &body;
    call_t *call = call_new(client, &request, ASK_ONCE);
    if (!call) {
        follow_again(client);
        return;
    }
    call->on_done = on_page;
    if (call_queue(call, false, 0)) follow_again(client);
    call_release(call);
}

void follow_begin(pawl_client_t *client)
{
    atomic_store(&client->follow_again_us, INT64_MAX);
    struct follow *follow = client->follow;
    if (follow->brief || follow->told) tell(client, PAWL_FOLLOW_BEGIN, NULL, 0, NULL);
    follow->told = true;
    follow->list += follow->list + 1 ? 1 : 2; /* never 0 */
    follow->pages = 0;
    free(follow->next);
    follow->next = NULL;
    if (follow->brief) follow->soon_us = clock_wall_us() + SOON_US;
    ask_page(client, "");
}

void follow_push(pawl_client_t *client, const Pawl__V1__ScheduleItems *items, void *message)
{
    tell(client, PAWL_FOLLOW_SCHEDULE, items, 0, message);
}

void follow_free(pawl_client_t *client)
{
    if (client->follow) free(client->follow->select);
    if (client->follow) free(client->follow->next);
    free(client->follow);
    client->follow = NULL;
}

/* Takes `follow`. */
static pawl_err begin(pawl_client_t *self, struct follow *follow)
{
    pawl_err err = PAWL_OK;
    pthread_mutex_lock(&self->lock);
    if (self->closing)
        err = PAWL_E_CLOSED;
    else if (self->follow)
        err = PAWL_E_EXISTS;
    else
        self->follow = follow;
    if (!err && self->state == PAWL_CONNECTED) follow_begin(self);
    pthread_mutex_unlock(&self->lock);
    if (err) {
        free(follow->select);
        free(follow);
        fail_with(self, err, err == PAWL_E_EXISTS ? "this handle follows already" : NULL);
    }
    return err;
}

pawl_err pawl_schedule_follow(pawl_client_t *self, pawl_follow_fn *fn, void *arg)
{
    pawl_err err = client_check(self);
    if (err) return err;
    struct follow *follow = fn ? calloc(1, sizeof *follow) : NULL;
    if (!follow) return fail_with(self, fn ? PAWL_E_NO_MEMORY : PAWL_E_BAD_REQUEST, NULL);
    follow->fn = fn;
    follow->arg = arg;
    return begin(self, follow);
}

pawl_err pawl_schedule_follow_select(pawl_client_t *self, const char *select,
                                     pawl_follow_select_fn *fn, void *arg)
{
    pawl_err err = client_check(self);
    if (err) return err;
    struct follow *follow = fn ? calloc(1, sizeof *follow) : NULL;
    if (follow && select && !(follow->select = strdup(select))) {
        free(follow);
        follow = NULL;
    }
    if (!follow) return fail_with(self, fn ? PAWL_E_NO_MEMORY : PAWL_E_BAD_REQUEST, NULL);
    follow->brief = fn;
    follow->arg = arg;
    return begin(self, follow);
}

/* ---- proposals ------------------------------------------------------------------------------- */

typedef struct proposal {
    due_t due;
    pawl_client_t *client;
    pawl_propose_fn *fn;
    void *arg;
    pawl_err err;
    char text[200]; /* of err */
    Pawl__V1__Reply *reply;
} proposal_t;

static void drop_proposal(due_t *due)
{
    proposal_t *self = (proposal_t *)due;
    arena_free_of(self->reply);
    free(self);
}

static int run_proposal(due_t *due)
{
    proposal_t *self = (proposal_t *)due;
    if (self->err) {
        fail_with(self->client, self->err, self->text);
        self->fn(NULL, self->err, self->arg);
    } else {
        self->fn(record_of_const(self->reply->proposed), PAWL_OK, self->arg);
    }
    drop_proposal(due);
    return 1;
}

static void on_proposed(call_t *call)
{
    proposal_t *self = call->arg;
    self->err = call_verdict(call, PAWL__V1__REPLY__BODY_PROPOSED);
    if (self->err) snprintf(self->text, sizeof self->text, "%s", pawl_client_error(call->client));
    self->reply = call->reply;
    call->reply = NULL;
    due_add(call->client, &self->due);
}

static call_t *proposal_call(pawl_client_t *client, const pawl_proposal_t *items, size_t n)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Proposal *rows = calloc(n, sizeof *rows);
    Pawl__V1__Proposal **list = calloc(n, sizeof *list);
    call_t *call = NULL;
    if (rows && list) {
        for (size_t i = 0; i < n; i++) {
            pawl__v1__proposal__init(&rows[i]);
            rows[i].uid = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)items[i].uid };
            rows[i].revision = items[i].revision;
            rows[i].expect_cursor_us = items[i].expect_cursor_us;
            rows[i].new_cursor_us = items[i].new_cursor_us;
            rows[i].range = items[i].range;
            list[i] = &rows[i];
        }
        body.n_items = n;
        body.items = list;
        request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
        request.propose = &body;
        call = call_new(client, &request, 0);
    }
    free(rows);
    free(list);
    if (call) call->items = n;
    return call;
}

pawl_err pawl_propose(pawl_client_t *self, const pawl_proposal_t *items, size_t n,
                      pawl_propose_fn *fn, void *arg)
{
    pawl_err err = client_check(self);
    if (err) return err;
    if (!n || !items || !fn) return fail_with(self, PAWL_E_BAD_REQUEST, "nothing is proposed");
    proposal_t *proposal = calloc(1, sizeof *proposal);
    call_t *call = proposal ? proposal_call(self, items, n) : NULL;
    if (!call) {
        free(proposal);
        return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    }
    *proposal = (proposal_t){
        .due = { NULL, proposal, run_proposal, drop_proposal }, .client = self, .fn = fn, .arg = arg
    };
    call->on_done = on_proposed;
    call->arg = proposal;
    pthread_mutex_lock(&self->lock);
    err = call_queue(call, false, 0);
    call_release(call);
    pthread_mutex_unlock(&self->lock);
    if (err) {
        free(proposal);
        return fail_with(self, err, NULL);
    }
    return PAWL_OK;
}

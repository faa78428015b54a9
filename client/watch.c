/* SPDX-License-Identifier: Apache-2.0
 * Events by long poll: one EventRead is out at a time; the next one leaves when its events have
 * been told, so a slow reader holds no more than a page. A lost session only resends the read. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/arena.h"
#include "client/client.h"
#include "client/record.h"
#include "schemas/limits.h"

struct pawl_watch {
    due_t due; /* a page to tell */
    pawl_client_t *client;
    pawl_event_fn *fn;
    void *arg;
    /* under client->lock */
    unsigned refs;     /* owner, read under way, page that is due */
    uint64_t next_seq; /* 0: from now on, not known yet */
    bool ended;
    Pawl__V1__Reply *page; /* due */
    pawl_err err;          /* due instead of a page; the watch is over then */
    char why[512];         /* of err; "": the reply's error says it, or the table */
};

static void watch_release(pawl_watch_t *self)
{
    if (--self->refs) return;
    arena_free_of(self->page);
    free(self);
}

static void drop_page(due_t *due)
{
    pawl_watch_t *self = (pawl_watch_t *)due;
    pawl_client_t *client = self->client;
    pthread_mutex_lock(&client->lock);
    watch_release(self);
    pthread_mutex_unlock(&client->lock);
    client_release(client);
}

static int run_page(due_t *due);

static void on_read(call_t *call)
{
    pawl_watch_t *self = call->arg;
    const Pawl__V1__Reply *reply = call->reply;
    if (self->ended || call->err == PAWL_E_CLOSED) {
        watch_release(self);
        return;
    }
    if (call->err) {
        self->err = call->err;
        /* a copy: the words of a refusal change with the next one */
        snprintf(self->why, sizeof self->why, "%s", call->why ? call->why : "");
    } else if (reply->error) {
        self->err = -(pawl_err)reply->error->code;
    } else if (reply->body_case != PAWL__V1__REPLY__BODY_EVENTS) {
        self->err = PAWL_E_BAD_REQUEST;
        snprintf(self->why, sizeof self->why, "the broker's answer is of another kind");
    }
    self->page = call->reply; /* the read's reference becomes the page's */
    call->reply = NULL;
    self->due = (due_t){ NULL, self, run_page, drop_page };
    client_hold(self->client);
    due_add(self->client, &self->due);
}

/* Under the lock. */
static pawl_err read_on(pawl_watch_t *self)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__EventRead body = PAWL__V1__EVENT_READ__INIT;
    body.from_seq = self->next_seq;
    body.from_now = self->next_seq == 0;
    body.limit = LIMIT_LIST;
    body.wait_us = self->next_seq ? LIMIT_WAIT_US : 0; /* first learn where "now" is */
    request.body_case = PAWL__V1__REQUEST__BODY_EVENT_READ;
    request.event_read = &body;
    call_t *call = call_new(self->client, &request, ASK_LONG_POLL | ASK_OWN);
    if (!call) return PAWL_E_NO_MEMORY;
    call->on_done = on_read;
    call->arg = self;
    pawl_err err = call_queue(call, false, 0);
    if (!err) self->refs++;
    call_release(call);
    return err;
}

/* An event that the SDK itself makes: a gap, or the end of the watch by an error. */
static bool tell_own(pawl_watch_t *self, const char *kind, uint64_t seq, const char *detail)
{
    Pawl__V1__EventInfo *event = arena_message_new(&pawl__v1__event_info__descriptor);
    if (!event) return true;
    char *kind_text = arena_text(event, kind), *detail_text = arena_text(event, detail);
    event->seq = seq;
    if (kind_text) event->kind = kind_text;
    if (detail_text) event->detail = detail_text;
    bool go_on = self->fn(record_of_const(event), self->arg);
    arena_free_of(event);
    return go_on;
}

static bool ended_now(pawl_watch_t *self)
{
    pthread_mutex_lock(&self->client->lock);
    bool ended = self->ended;
    pthread_mutex_unlock(&self->client->lock);
    return ended;
}

static int run_page(due_t *due)
{
    pawl_watch_t *self = (pawl_watch_t *)due;
    pawl_client_t *client = self->client;
    int ran = 0;
    bool go_on = !ended_now(self);
    const Pawl__V1__EventItems *events = self->err ? NULL : self->page->events;
    uint64_t next = self->next_seq;
    if (go_on && self->err) {
        const Pawl__V1__Error *error = self->page ? self->page->error : NULL;
        if (error)
            fail_from_wire(client, error);
        else
            fail_with(client, self->err, *self->why ? self->why : NULL);
        tell_own(self, "error", next, pawl_client_error(client));
        ran++;
        go_on = false;
    }
    if (go_on && events && next && events->oldest_seq > next) {
        go_on = tell_own(self, "gap", events->oldest_seq, "older events are gone: list again");
        ran++;
    }
    for (size_t i = 0; go_on && events && i < events->n_items; i++, ran++)
        go_on = self->fn(record_of_const(events->items[i]), self->arg) && !ended_now(self);
    pthread_mutex_lock(&client->lock);
    if (events) {
        uint64_t told = events->next_seq ? events->next_seq : 1;
        self->next_seq = told > next ? told : next;
        if (events->oldest_seq > self->next_seq) self->next_seq = events->oldest_seq;
    }
    arena_free_of(self->page);
    self->page = NULL;
    if (!go_on) self->ended = true;
    pawl_err stopped = self->ended ? PAWL_OK : read_on(self);
    if (stopped) {
        self->ended = true;
        self->err = stopped;
    }
    watch_release(self);
    pthread_mutex_unlock(&client->lock);
    client_release(client);
    return ran;
}

pawl_watch_t *pawl_watch_new(pawl_client_t *self, uint64_t from_seq, pawl_event_fn *fn, void *arg)
{
    if (client_check(self) || !fn) return NULL;
    pawl_watch_t *watch = calloc(1, sizeof *watch);
    if (!watch) {
        fail_with(self, PAWL_E_NO_MEMORY, NULL);
        return NULL;
    }
    watch->client = self;
    watch->fn = fn;
    watch->arg = arg;
    watch->refs = 1;
    watch->next_seq = from_seq;
    client_hold(self);
    pthread_mutex_lock(&self->lock);
    pawl_err err = read_on(watch);
    if (err) watch_release(watch);
    pthread_mutex_unlock(&self->lock);
    if (!err) return watch;
    fail_with(self, err, NULL);
    client_release(self);
    return NULL;
}

uint64_t pawl_watch_seq(const pawl_watch_t *self)
{
    if (!client_is_ours(self->client)) return 0;
    pthread_mutex_lock(&self->client->lock);
    uint64_t seq = self->next_seq;
    pthread_mutex_unlock(&self->client->lock);
    return seq;
}

pawl_err pawl_watch_error(const pawl_watch_t *self)
{
    pawl_err err = client_check(self->client);
    if (err) return err;
    pthread_mutex_lock(&self->client->lock);
    err = self->ended ? self->err : PAWL_OK;
    pthread_mutex_unlock(&self->client->lock);
    return err;
}

void pawl_watch_destroy(pawl_watch_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl_watch_t *self = *self_p;
    pawl_client_t *client = self->client;
    *self_p = NULL;
    if (client->pid != getpid()) return;
    pthread_mutex_lock(&client->lock);
    self->ended = true;
    pthread_mutex_unlock(&client->lock);
    due_forget(client, self);
    pthread_mutex_lock(&client->lock);
    watch_release(self);
    pthread_mutex_unlock(&client->lock);
    client_release(client);
}

/* SPDX-License-Identifier: Apache-2.0
 * Callbacks that are due. One thread at a time runs them, in the order in which they became due;
 * so what is told of one object is told in order, whoever polls. */
#include "client/client.h"

#include "client/base/clock.h"

int pawl_client_fd(const pawl_client_t *self)
{
    return self ? self->due_fd : -1;
}

void due_add(pawl_client_t *client, due_t *due)
{
    due->next = NULL;
    if (client->due)
        client->due_last->next = due;
    else
        client->due = due;
    client->due_last = due;
    raise_fd(client->due_fd);
    pthread_cond_broadcast(&client->changed);
}

static bool polls_here(const pawl_client_t *client)
{
    return client->polling && pthread_equal(client->poller, pthread_self());
}

bool due_forget(pawl_client_t *client, const void *owner)
{
    due_t *dropped = NULL;
    pthread_mutex_lock(&client->lock);
    due_t *last = NULL;
    for (due_t **at = &client->due; *at;) {
        due_t *due = *at;
        if (due->owner == owner) {
            *at = due->next;
            due->next = dropped;
            dropped = due;
        } else {
            last = due;
            at = &due->next;
        }
    }
    client->due_last = last;
    while (client->running == owner && !polls_here(client))
        pthread_cond_wait(&client->changed, &client->lock);
    bool here = client->running == owner;
    pthread_mutex_unlock(&client->lock);
    while (dropped) {
        due_t *next = dropped->next;
        dropped->drop(dropped);
        dropped = next;
    }
    return here;
}

/* Runs what is due now, not what becomes due meanwhile. Caller holds the lock and is the poller. */
static int run_due(pawl_client_t *self)
{
    int ran = 0;
    const due_t *last = self->due_last;
    for (bool more = self->due != NULL; more && self->due;) {
        due_t *due = self->due;
        more = due != last;
        self->due = due->next;
        if (!self->due) self->due_last = NULL;
        due->next = NULL;
        self->running = due->owner;
        pthread_mutex_unlock(&self->lock);
        ran += due->run(due);
        pthread_mutex_lock(&self->lock);
        self->running = NULL;
        pthread_cond_broadcast(&self->changed);
    }
    return ran;
}

int pawl_client_poll(pawl_client_t *self, int64_t timeout_us)
{
    if (client_check(self)) return 0;
    int64_t deadline = deadline_of(timeout_us);
    int ran = 0;
    bool in_time = true;
    pthread_mutex_lock(&self->lock);
    if (polls_here(self)) { /* called from a callback */
        pthread_mutex_unlock(&self->lock);
        return 0;
    }
    while ((!self->due || self->polling) && !self->stopping && in_time)
        in_time = cond_wait_until(&self->changed, &self->lock, deadline);
    if (self->due && !self->polling) {
        self->polling = true;
        self->poller = pthread_self();
        client_hold(self);
        ran = run_due(self);
        self->polling = false;
        if (!self->due) lower_fd(self->due_fd);
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        client_release(self);
        return ran;
    }
    pthread_mutex_unlock(&self->lock);
    return ran;
}

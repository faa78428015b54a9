/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/session.h"

#include <pthread.h>
#include <stdlib.h>

struct pool {
    const sql_source_t *source;
    pthread_mutex_t lock;
    pthread_cond_t room; /* a connection became free, or a waiting session was stopped */
    sql_link_t *idle[SOURCE_POOL_MAX];
    unsigned idle_count, used;
};

struct session {
    pool_t *pool;
    const sql_driver_t *driver;
    pthread_mutex_t lock; /* of `link` against stop and cut; never held while a statement runs */
    sql_link_t *link;
    bool counted, in_transaction;
    bool stopping; /* under the pool's lock */
};

pool_t *pool_new(const sql_source_t *source)
{
    pool_t *self = mem_new(sizeof *self);
    self->source = source;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->room, NULL);
    return self;
}

void pool_destroy(pool_t **self_p)
{
    pool_t *self = *self_p;
    if (!self) return;
    CHECK(self->used == 0);
    for (unsigned i = 0; i < self->idle_count; i++)
        self->source->driver->close(self->idle[i]);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->room);
    free(self);
    *self_p = NULL;
}

session_t *session_new(pool_t *pool)
{
    session_t *self = mem_new(sizeof *self);
    self->pool = pool;
    self->driver = pool->source->driver;
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

void session_destroy(session_t **self_p)
{
    session_t *self = *self_p;
    if (!self) return;
    session_end(self, false);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *self_p = NULL;
}

sql_link_t *session_link(session_t *self)
{
    return self->link;
}

bool session_stopped(session_t *self)
{
    pthread_mutex_lock(&self->pool->lock);
    bool stopping = self->stopping;
    pthread_mutex_unlock(&self->pool->lock);
    return stopping;
}

static void set_link(session_t *self, sql_link_t *link)
{
    pthread_mutex_lock(&self->lock);
    self->link = link;
    pthread_mutex_unlock(&self->lock);
}

/* One of the pool's places, and an idle connection if there is one. */
static sql_link_t *take_place(session_t *self)
{
    pool_t *pool = self->pool;
    sql_link_t *link = NULL;
    pthread_mutex_lock(&pool->lock);
    while (pool->used >= pool->source->pool && !self->stopping)
        pthread_cond_wait(&pool->room, &pool->lock);
    if (!self->stopping) {
        pool->used++;
        self->counted = true;
        if (pool->idle_count > 0) link = pool->idle[--pool->idle_count];
    }
    pthread_mutex_unlock(&pool->lock);
    return link;
}

static void close_link(session_t *self)
{
    sql_link_t *link = self->link;
    set_link(self, NULL);
    if (link) self->driver->close(link);
}

static sql_status_t open_link(session_t *self, sql_error_t *error)
{
    sql_link_t *link = NULL;
    sql_status_t status = self->driver->open(&link, self->pool->source, error);
    set_link(self, status ? NULL : link);
    return status;
}

static sql_status_t start(session_t *self, session_mode_t mode, sql_error_t *error)
{
    if (mode != SESSION_PLAIN)
        return self->driver->begin(self->link,
                                   mode == SESSION_READ || self->pool->source->read_only, error);
    if (self->driver->ping(self->link)) return SQL_OK;
    sql_error_set(error, self->pool->source, "", "the connection does not answer");
    return SQL_LOST;
}

sql_status_t session_begin(session_t *self, session_mode_t mode, sql_error_t *error)
{
    *error = (sql_error_t){ "", "" };
    set_link(self, take_place(self));
    if (!self->counted) return SQL_STOPPED;
    bool old = self->link != NULL;
    sql_status_t status = old ? SQL_OK : open_link(self, error);
    if (!status && session_stopped(self)) status = SQL_STOPPED;
    if (!status) status = start(self, mode, error);
    if (old && status == SQL_LOST) {
        close_link(self);
        status = open_link(self, error);
        if (!status) status = start(self, mode, error);
    }
    if (status == SQL_LOST) status = SQL_AWAY; /* nothing has been done yet */
    self->in_transaction = !status && mode != SESSION_PLAIN;
    return status;
}

void session_end(session_t *self, bool clean)
{
    pool_t *pool = self->pool;
    if (!self->counted) return;
    sql_link_t *link = self->link;
    bool keep = clean && link && !session_stopped(self);
    if (link && clean && self->in_transaction) self->driver->rollback(link);
    keep = keep && self->driver->reset(link);
    set_link(self, NULL);
    if (link && !keep) self->driver->close(link);
    pthread_mutex_lock(&pool->lock);
    if (keep) pool->idle[pool->idle_count++] = link;
    pool->used--;
    self->counted = self->in_transaction = false;
    pthread_cond_broadcast(&pool->room);
    pthread_mutex_unlock(&pool->lock);
}

static void note_stopping(session_t *self)
{
    pthread_mutex_lock(&self->pool->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->pool->room);
    pthread_mutex_unlock(&self->pool->lock);
}

void session_stop(session_t *self)
{
    note_stopping(self);
    pthread_mutex_lock(&self->lock);
    if (self->link) self->driver->stop(self->link);
    pthread_mutex_unlock(&self->lock);
}

void session_cut(session_t *self)
{
    note_stopping(self); /* first: what fails by it was stopped */
    pthread_mutex_lock(&self->lock);
    if (self->link) self->driver->cut(self->link);
    pthread_mutex_unlock(&self->lock);
}

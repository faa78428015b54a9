/* SPDX-License-Identifier: Apache-2.0
 * The handle: made and ended here, by the caller's threads. What goes over the wire is link.c's. */
#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "client/arena.h"
#include "client/base/clock.h"
#include "client/conf.h"
#include "client/link.h"
#include "client/worker.h"
#include "schemas/limits.h"

/* ---- errors of a thread ---------------------------------------------------------------------- */

enum { FAULTS = 4 };
typedef struct fault {
    uint64_t serial; /* of the handle; 0: unused */
    int64_t retry_us;
    char text[512], field[64];
} fault_t;

static _Thread_local fault_t faults[FAULTS];
static _Thread_local unsigned next_fault;

static fault_t *fault_find(const pawl_client_t *client)
{
    for (int i = 0; client && i < FAULTS; i++)
        if (faults[i].serial == client->serial) return &faults[i];
    return NULL;
}

pawl_err fail_with_field(const pawl_client_t *client, pawl_err err, const char *text,
                         const char *field, int64_t retry_us)
{
    if (!client || err == PAWL_OK) return err;
    fault_t *fault = fault_find(client);
    if (!fault) fault = &faults[next_fault++ % FAULTS];
    fault->serial = client->serial;
    fault->retry_us = retry_us;
    snprintf(fault->text, sizeof fault->text, "%s", text && *text ? text : pawl_err_text(err));
    snprintf(fault->field, sizeof fault->field, "%s", field ? field : "");
    return err;
}

pawl_err fail_with(const pawl_client_t *client, pawl_err err, const char *text)
{
    return fail_with_field(client, err, text, "", 0);
}

pawl_err fail_from_wire(const pawl_client_t *client, const Pawl__V1__Error *error)
{
    pawl_err err =
        error->code > 0 && error->code < 10000 ? -(pawl_err)error->code : PAWL_E_BAD_REQUEST;
    return fail_with_field(client, err, error->text, error->field, error->retry_after_us);
}

const char *pawl_client_error(const pawl_client_t *self)
{
    const fault_t *fault = fault_find(self);
    return fault ? fault->text : "";
}

const char *pawl_client_error_field(const pawl_client_t *self)
{
    const fault_t *fault = fault_find(self);
    return fault ? fault->field : "";
}

int64_t pawl_client_error_retry_us(const pawl_client_t *self)
{
    const fault_t *fault = fault_find(self);
    return fault ? fault->retry_us : 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void raise_fd(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void lower_fd(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) {
        pthread_cond_wait(cond, lock);
        return true;
    }
    int64_t left = deadline_us - clock_steady_us();
    if (left <= 0) return false;
    /* The two clocks differ by the time of suspends only: what is left is measured again after. */
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += left / PAWL_SEC_US;
    at.tv_nsec += (long)(left % PAWL_SEC_US) * 1000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    pthread_cond_timedwait(cond, lock, &at);
    return clock_steady_us() < deadline_us;
}

int64_t deadline_of(int64_t timeout_us)
{
    int64_t now = clock_steady_us();
    return timeout_us < 0 || timeout_us > INT64_MAX - now ? INT64_MAX : now + timeout_us;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void say(char *errbuf, size_t errlen, const char *what, const char *why)
{
    if (errbuf && errlen) snprintf(errbuf, errlen, "%s: %s", what, why);
}

static void default_name(char *name, size_t size)
{
    snprintf(name, size, "%s-%ld", program_invocation_short_name, (long)getpid());
}

static bool start_thread(pawl_client_t *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&self->thread, NULL, link_main, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static void client_free(pawl_client_t *self)
{
    if (self->context) {
        zmq_ctx_shutdown(self->context);
        while (zmq_ctx_term(self->context) < 0 && errno == EINTR)
            ;
    }
    if (self->wake_fd >= 0) close(self->wake_fd);
    if (self->due_fd >= 0) close(self->due_fd);
    link_destroy(&self->link);
    keyfile_wipe(&self->keys);
    follow_free(self);
    pthread_mutex_destroy(&self->lock);
    pthread_mutex_destroy(&self->work_lock);
    pthread_cond_destroy(&self->changed);
    free(self);
}

pawl_client_t *pawl_client_new(const pawl_conf_t *conf, char *errbuf, size_t errlen)
{
    static atomic_ullong serials;
    pawl_client_t *self = calloc(1, sizeof *self);
    if (!self) {
        say(errbuf, errlen, "handle", "out of memory");
        return NULL;
    }
    atomic_init(&self->refs, 1);
    atomic_init(&self->follow_again_us, INT64_MAX);
    self->serial = atomic_fetch_add(&serials, 1) + 1;
    self->pid = getpid();
    self->wake_fd = self->due_fd = -1;
    pthread_mutex_init(&self->lock, NULL);
    pthread_mutex_init(&self->work_lock, NULL);
    cond_init(&self->changed);
    const char *role = conf ? conf->value[CONF_ROLE] : NULL;
    self->role = role && !strcmp(role, "executor")    ? PAWL__V1__ROLE__ROLE_EXECUTOR
                 : role && !strcmp(role, "scheduler") ? PAWL__V1__ROLE__ROLE_SCHEDULER
                                                      : PAWL__V1__ROLE__ROLE_CLIENT;
    self->started = self->role != PAWL__V1__ROLE__ROLE_EXECUTOR;
    self->max_pending = conf_setting(conf, CONF_MAX_PENDING, LIMIT_REQUESTS_IN_FLIGHT);
    self->connect_ivl_us = conf_setting(conf, CONF_CONNECT_IVL, 100) * 1000;
    self->connect_max_us = conf_setting(conf, CONF_CONNECT_MAX, 10000) * 1000;
    if (self->connect_max_us < self->connect_ivl_us) self->connect_max_us = self->connect_ivl_us;
    self->limit_message = LIMIT_MESSAGE;
    self->limit_items = LIMIT_ITEMS;
    self->limit_requests = LIMIT_REQUESTS_IN_FLIGHT;
    self->limit_flying_items = LIMIT_ITEMS_IN_FLIGHT;
    self->limit_flying_bytes = LIMIT_BYTES_IN_FLIGHT;
    self->ping_us = DEFAULT_PING_US;
    self->lease_us = DEFAULT_LEASE_US;
    random_bytes(self->incarnation, sizeof self->incarnation);
    if (conf && conf->value[CONF_NAME])
        snprintf(self->name, sizeof self->name, "%s", conf->value[CONF_NAME]);
    else
        default_name(self->name, sizeof self->name);
    if (!conf_endpoint(conf, self->endpoint, sizeof self->endpoint)) {
        say(errbuf, errlen, "broker",
            "PAWL_BROKER is not an endpoint (ipc://PATH or tcp://HOST:PORT)");
        client_free(self);
        return NULL;
    }
    char fault[512];
    if (strncmp(self->endpoint, "tcp:", 4) == 0 &&
        conf_keys(conf, &self->keys, fault, sizeof fault) != ERR_OK) {
        say(errbuf, errlen, "key", fault);
        client_free(self);
        return NULL;
    }
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->due_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->link = link_new();
    self->context = self->wake_fd >= 0 && self->due_fd >= 0 ? zmq_ctx_new() : NULL;
    if (!self->context || !self->link || zmq_ctx_set(self->context, ZMQ_MAX_SOCKETS, 16) < 0 ||
        !start_thread(self)) {
        say(errbuf, errlen, "handle", strerror(errno));
        client_free(self);
        return NULL;
    }
    return self;
}

void client_hold(pawl_client_t *self)
{
    atomic_fetch_add(&self->refs, 1);
}

void client_release(pawl_client_t *self)
{
    if (atomic_fetch_sub(&self->refs, 1) == 1 && self->pid == getpid()) client_free(self);
}

pawl_err client_check(const pawl_client_t *self)
{
    if (!self) return PAWL_E_CONFIG;
    if (self->pid != getpid()) return fail_with(self, PAWL_E_FORKED, NULL);
    return PAWL_OK;
}

bool client_is_ours(const pawl_client_t *self)
{
    return self->pid == getpid();
}

void client_wake(pawl_client_t *self)
{
    raise_fd(self->wake_fd);
}

static void set_unreachable(pawl_client_t *self, pawl_err *err, char text[512])
{
    if (self->refusal) {
        *err = self->refusal;
        snprintf(text, 512, "%s", self->refusal_text);
    } else {
        *err = PAWL_E_UNREACHABLE;
        snprintf(text, 512, "no broker answers at %s%s%s", self->endpoint,
                 *self->trouble ? ": " : "", self->trouble);
    }
}

pawl_err pawl_client_connect(pawl_client_t *self, int64_t timeout_us)
{
    pawl_err err = client_check(self);
    if (err) return err;
    int64_t deadline = deadline_of(timeout_us);
    char text[512] = "";
    bool in_time = true;
    pthread_mutex_lock(&self->lock);
    while (self->state != PAWL_CONNECTED && self->started && !self->closing &&
           (!self->refusal || pawl_err_retryable(self->refusal)) && in_time)
        in_time = cond_wait_until(&self->changed, &self->lock, deadline);
    if (self->closing)
        err = PAWL_E_CLOSED;
    else if (self->state != PAWL_CONNECTED && self->started)
        set_unreachable(self, &err, text);
    int64_t retry_us = self->refusal_retry_us;
    pthread_mutex_unlock(&self->lock);
    return err ? fail_with_field(self, err, text, "", retry_us) : PAWL_OK;
}

/* Calls that close has to wait for. */
static bool owes_answers(const pawl_client_t *self)
{
    for (int k = 0; k < 2; k++)
        for (const call_t *call = k ? self->in_flight : self->queue; call; call = call->next)
            if (!call->long_poll && !call->orphan) return true;
    return false;
}

static void end_calls(pawl_client_t *self, bool long_polls_only)
{
    for (int k = 0; k < 2; k++) {
        call_t *call = k ? self->in_flight : self->queue;
        while (call) {
            call_t *next = call->next;
            if (!long_polls_only || call->long_poll) {
                call_end(call, PAWL_E_CLOSED, NULL, NULL);
                next = k ? self->in_flight : self->queue; /* a callback may have changed the list */
            }
            call = next;
        }
    }
}

pawl_err pawl_client_close(pawl_client_t *self, int64_t timeout_us)
{
    pawl_err err = client_check(self);
    if (err) return err;
    int64_t deadline = deadline_of(timeout_us);
    pthread_mutex_lock(&self->lock);
    self->closing = true;
    end_calls(self, true);
    bool in_time = true;
    while (owes_answers(self) && !self->stopping && in_time)
        in_time = cond_wait_until(&self->changed, &self->lock, deadline);
    if (owes_answers(self)) err = PAWL_E_TIMEOUT;
    self->stopping = true;
    client_wake(self);
    in_time = true;
    deadline = deadline_of(PAWL_SEC_US); /* the thread ends by itself */
    while (self->state != PAWL_STOPPED && in_time)
        in_time = cond_wait_until(&self->changed, &self->lock, deadline);
    end_calls(self, false);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return err ? fail_with(self, err, "not every request was answered before the end") : PAWL_OK;
}

void pawl_client_destroy(pawl_client_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl_client_t *self = *self_p;
    *self_p = NULL;
    if (self->pid != getpid())
        return; /* the thread, the context and maybe a locked lock stayed in the parent */
    pthread_mutex_lock(&self->lock);
    self->closing = self->stopping = true;
    client_wake(self);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_mutex_lock(&self->lock);
    end_calls(self, false);
    while (self->due) {
        due_t *due = self->due;
        self->due = due->next;
        due->next = NULL;
        pthread_mutex_unlock(&self->lock);
        due->drop(due);
        pthread_mutex_lock(&self->lock);
    }
    self->due_last = NULL;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    zmq_ctx_shutdown(self->context);
    while (zmq_ctx_term(self->context) < 0 && errno == EINTR)
        ;
    self->context = NULL;
    client_release(self);
}

pawl_state pawl_client_state(const pawl_client_t *self)
{
    if (!self || self->pid != getpid()) return PAWL_STOPPED;
    pawl_client_t *shared = (pawl_client_t *)(uintptr_t)self;
    pthread_mutex_lock(&shared->lock);
    pawl_state state = self->state;
    pthread_mutex_unlock(&shared->lock);
    return state;
}

const char *pawl_client_endpoint(const pawl_client_t *self)
{
    return self ? self->endpoint : "";
}

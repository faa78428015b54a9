/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/unread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "client/base/base.h"

struct unread {
    _Atomic uint64_t bytes, taken;
    _Atomic uint32_t holders;
};

/* A frame on its way: the count it is on, then its bytes. */
typedef struct counted {
    unread_t *unread;
    size_t len;
    uint8_t bytes[];
} counted_t;

unread_t *unread_new(void)
{
    unread_t *self = mem_new(sizeof *self);
    atomic_init(&self->holders, 1);
    return self;
}

unread_t *unread_hold(unread_t *self)
{
    atomic_fetch_add_explicit(&self->holders, 1, memory_order_relaxed);
    return self;
}

void unread_drop(unread_t **self_p)
{
    unread_t *self = *self_p;
    *self_p = NULL;
    if (self != NULL && atomic_fetch_sub_explicit(&self->holders, 1, memory_order_acq_rel) == 1)
        free(self);
}

uint64_t unread_bytes(const unread_t *self)
{
    return atomic_load_explicit(&self->bytes, memory_order_relaxed);
}

uint64_t unread_taken(const unread_t *self)
{
    return atomic_load_explicit(&self->taken, memory_order_relaxed);
}

/* The library's thread, or ours when the peer has just gone. */
static void on_taken(void *data, void *hint)
{
    (void)data;
    counted_t *counted = hint;
    atomic_fetch_sub_explicit(&counted->unread->bytes, counted->len, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->unread->taken, 1, memory_order_relaxed);
    unread_drop(&counted->unread);
    free(counted);
}

void unread_frame(unread_t *self, zmq_msg_t *frame, const uint8_t *bytes, size_t len)
{
    counted_t *counted = mem_grow(NULL, sizeof *counted + len);
    counted->unread = unread_hold(self);
    counted->len = len;
    if (len) memcpy(counted->bytes, bytes, len);
    atomic_fetch_add_explicit(&self->bytes, len, memory_order_relaxed);
    int rc = zmq_msg_init_data(frame, counted->bytes, len, on_taken, counted);
    CHECK(rc == 0);
}

connection_t connection_of(zmq_msg_t *frame)
{
    connection_t self = { .fd = zmq_msg_get(frame, ZMQ_SRCFD) };
    struct stat info;
    if (self.fd < 0 || fstat(self.fd, &info) != 0 || !S_ISSOCK(info.st_mode)) self.fd = -1;
    if (self.fd >= 0) self.inode = info.st_ino;
    return self;
}

void connection_cut(const connection_t *self)
{
    struct stat info;
    if (self->fd >= 0 && fstat(self->fd, &info) == 0 && S_ISSOCK(info.st_mode) &&
        info.st_ino == self->inode)
        (void)shutdown(self->fd, SHUT_RDWR);
}

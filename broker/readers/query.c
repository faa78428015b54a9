/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/readers/query.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

notice_t *notice_new(size_t ended_room, size_t logged_room)
{
    notice_t *self = mem_new(sizeof *self + (ended_room + logged_room) * 16);
    self->ended = (uint8_t(*)[16])(self + 1);
    self->logged = self->ended + ended_room;
    return self;
}

void notice_free(notice_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

zsock_t *letter_pipe(zsock_t **far)
{
    zsys_set_pipehwm(0);
    zsock_t *near = zsys_create_pipe(far);
    CHECK(near != NULL);
    return near;
}

void letter_send(void *socket, letter_kind_t kind, void *object, uint32_t size)
{
    letter_t letter = { (uint32_t)kind, size, object };
    if (object) HANDED_OVER(object);
    int rc = zmq_send(socket, &letter, sizeof letter, 0);
    CHECK(rc == sizeof letter);
}

bool letter_take(void *socket, letter_t *letter)
{
    int rc = zmq_recv(socket, letter, sizeof *letter, ZMQ_DONTWAIT);
    if (rc == -1) {
        CHECK(errno == EAGAIN);
        return false;
    }
    CHECK(rc == sizeof *letter);
    if (letter->object) TAKEN_OVER(letter->object);
    return true;
}

query_t *query_new(void)
{
    query_t *self = mem_new(sizeof *self);
    wire_arena_init(&self->arena);
    return self;
}

void query_free(query_t **self_p)
{
    query_t *self = *self_p;
    if (self == NULL) return;
    wire_arena_free(&self->arena);
    buf_free(&self->reply);
    buf_free(&self->record);
    free(self->principal);
    free(self);
    *self_p = NULL;
}

void query_taken(const query_t *self)
{
    atomic_fetch_sub(self->handed_up, self->reply.len);
}

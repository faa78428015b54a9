/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/base/log.h"

enum { SHORT = PIPES_READ / 16 }; /* a read of less than it has likely emptied the pipe */

static void close_one(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

bool pipes_open(pipes_t *self)
{
    *self = PIPES_NONE;
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            int error = errno;
            pipes_close(self);
            errno = error;
            return false;
        }
        self->in[i] = ends[0];
        self->out[i] = ends[1];
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    return true;
}

void pipes_watch(const pipes_t *self, int epoll, uint64_t what)
{
    for (unsigned i = 0; i < 2; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = what + i };
        if (self->in[i] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, self->in[i], &event) != 0 &&
            errno != EEXIST)
            log_event(LOG_ERROR, "WATCH_FAILED", "why=\"%s\"", strerror(errno));
    }
}

void pipes_unwatch(const pipes_t *self, int epoll)
{
    for (int i = 0; i < 2; i++)
        if (self->in[i] >= 0) epoll_ctl(epoll, EPOLL_CTL_DEL, self->in[i], NULL);
}

void pipes_end(pipes_t *self)
{
    for (int i = 0; i < 2; i++)
        close_one(&self->out[i]);
}

void pipes_read(pipes_t *self, int which, int rounds, uint8_t *room, pipes_heard_fn *heard,
                void *arg)
{
    while (rounds-- && self->in[which] >= 0) {
        ssize_t got = read(self->in[which], room, PIPES_READ);
        if (got > 0) {
            heard(arg, which, room, (size_t)got);
            if (got < SHORT && self->out[which] >= 0) return; /* it runs: epoll tells of more */
        } else if (got == 0) {
            close_one(&self->in[which]);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            close_one(&self->in[which]);
        }
    }
}

bool pipes_done(const pipes_t *self)
{
    return self->in[0] < 0 && self->in[1] < 0;
}

void pipes_close(pipes_t *self)
{
    pipes_end(self);
    for (int i = 0; i < 2; i++)
        close_one(&self->in[i]);
}

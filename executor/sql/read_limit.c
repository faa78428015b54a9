/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/sql/read_limit.h"

#include <errno.h>
#include <sys/socket.h>

static _Thread_local struct {
    int fd;
    size_t left;
} limit = { -1, 0 };

void read_limit_begin(int fd, size_t bytes)
{
    limit.fd = fd;
    limit.left = bytes;
}

size_t read_limit_end(void)
{
    limit.fd = -1;
    return limit.left;
}

/* Seen by the libraries. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *to, size_t len, int flags)
{
    if (fd != limit.fd) return recvfrom(fd, to, len, flags, NULL, NULL);
    if (limit.left == 0) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t got = recvfrom(fd, to, len < limit.left ? len : limit.left, flags, NULL, NULL);
    if (got > 0) limit.left -= (size_t)got;
    return got;
}

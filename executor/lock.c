/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

int lock_take(const char *folder, pid_t *holder)
{
    char path[4096], text[32] = "";
    *holder = 0;
    snprintf(path, sizeof path, "%s/executor.lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK && pread(fd, text, sizeof text - 1, 0) > 0)
            *holder = (pid_t)atoi(text);
        close(fd);
        return -1;
    }
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

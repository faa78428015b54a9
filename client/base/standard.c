/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/standard.h"

#include <fcntl.h>
#include <unistd.h>

void standard_files_open(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
}

void standard_files_fail(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) /* it is the lowest that is free, so open() gives this one */
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

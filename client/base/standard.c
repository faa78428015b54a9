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

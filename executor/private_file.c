/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

const char *private_file_open(const char *path, int *fd)
{
    struct stat what;
    const char *wrong = NULL;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &what) != 0)
        wrong = strerror(errno);
    else if (!S_ISREG(what.st_mode))
        wrong = "it is no plain file";
    else if (what.st_uid != geteuid() && what.st_uid != 0)
        wrong = "it belongs to somebody else";
    else if (what.st_mode & 077)
        wrong = "others may read it, it must have mode 0600";
    if (wrong && *fd >= 0) close(*fd);
    return wrong;
}

/* SPDX-License-Identifier: Apache-2.0
 * disk.c - an LD_PRELOAD library: a disk that fails or is slow, at a test's word. fdatasync of a
 * file below $PAWL_DISK/FOLDER/ fails with EIO while the file $PAWL_DISK/FOLDER.eio exists, and is
 * not done while $PAWL_DISK/FOLDER.slow exists. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_US = 2000 };

/* The name of the folder below $PAWL_DISK that the file is in; false: it is elsewhere. */
static int folder_of(int fd, char *mark, size_t room, const char *word)
{
    char link[64], path[4096];
    const char *disk = getenv("PAWL_DISK");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (!disk || len <= 0) return 0;
    path[len] = '\0';
    size_t prefix = strlen(disk);
    if (strncmp(path, disk, prefix) != 0 || path[prefix] != '/') return 0;
    const char *end = strchr(path + prefix + 1, '/');
    if (!end) return 0;
    snprintf(mark, room, "%.*s.%s", (int)(end - path), path, word);
    return 1;
}

int fdatasync(int fd)
{
    static int (*next)(int);
    char mark[4200];
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
    while (folder_of(fd, mark, sizeof mark, "slow") && access(mark, F_OK) == 0)
        usleep(LOOK_US);
    if (folder_of(fd, mark, sizeof mark, "eio") && access(mark, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return next(fd);
}

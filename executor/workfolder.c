/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/workfolder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"

enum { CLEAR_ROUNDS = 100, CLEAR_ROUND_MS = 10, DEPTH_MAX = 48, ROUNDS_MAX = 100000 };

err_t workfolder_make(const char *path)
{
    if (mkdir(path, 0700) != 0) {
        if (errno != EEXIST) return ERR_OS;
        workfolder_remove(path); /* the same token again: left by a life that was cut off */
        if (mkdir(path, 0700) != 0) return ERR_OS;
    }
    return ERR_OK;
}

err_t workfolder_hand_over(const char *path, uid_t owner, gid_t group)
{
    return chown(path, owner, group) == 0 ? ERR_OK : ERR_OS;
}

err_t workfolder_write(const char *path, const char *name, const void *bytes, size_t len,
                       mode_t mode, uid_t owner, gid_t group)
{
    char file[WORKFOLDER_PATH + 64];
    snprintf(file, sizeof file, "%s/%s", path, name);
    int fd = open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return ERR_OS;
    bool fine = true;
    for (size_t done = 0; fine && done < len;) {
        ssize_t put = write(fd, (const char *)bytes + done, len - done);
        fine = put > 0 || (put < 0 && errno == EINTR);
        done += put > 0 ? (size_t)put : 0;
    }
    /* cut after, not before: ext4 writes a file at once that was cut to nothing and filled again */
    struct stat info;
    if (fine && (fstat(fd, &info) != 0 || info.st_size != (off_t)len))
        fine = ftruncate(fd, (off_t)len) == 0;
    if (fine && owner != (uid_t)-1) fine = fchown(fd, owner, group) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return fine ? ERR_OK : ERR_OS;
}

/* A plain file with this one name. In another account's folder it must be that account's: who may
 * write into a folder may move files of others there, which we could read and it could not. */
static bool is_output(const char *path, int fd)
{
    struct stat folder, info;
    return lstat(path, &folder) == 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
           info.st_nlink <= 1 && (folder.st_uid == geteuid() || info.st_uid == folder.st_uid);
}

err_t workfolder_read(const char *path, const char *name, size_t limit, buf_t *to)
{
    char file[WORKFOLDER_PATH + 64];
    snprintf(file, sizeof file, "%s/%s", path, name);
    /* the command may have put anything there: a link to a secret, a pipe that never ends */
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? ERR_NOT_FOUND : ERR_OS;
    err_t err = is_output(path, fd) ? ERR_OK : ERR_OS;
    if (err) errno = EINVAL;
    while (!err) {
        buf_need(to, 1 << 16);
        ssize_t got = read(fd, to->at + to->len, to->room - to->len);
        if (got == 0) break;
        if (got < 0 && errno != EINTR) err = ERR_OS;
        to->len += got > 0 ? (size_t)got : 0;
        if (to->len > limit) err = ERR_TOO_LARGE;
    }
    close(fd);
    if (err) to->len = 0;
    return err;
}

/* Never a path below the folder: its owner may put a link in the place of any part of it while we
 * are there. -1: no folder, or not to be opened. */
static int open_folder(int parent, const char *name)
{
    int how = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = openat(parent, name, O_RDONLY | how);
    if (fd >= 0 || errno != EACCES) return fd;
    int place = openat(parent, name, O_PATH | how); /* its mode forbids it: ours to change */
    if (place < 0) return -1;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    if (chmod(path, 0700) == 0) fd = openat(place, ".", O_RDONLY | how);
    close(place);
    return fd;
}

struct removal {
    int top;
    dev_t device;
    bool moved; /* something from below DEPTH_MAX now stands in the top folder: once more */
};

/* Removes what is in the folder `fd`, and closes it. */
static void empty_folder(struct removal *self, int fd, unsigned depth)
{
    struct stat info;
    DIR *folder = fstat(fd, &info) == 0 && info.st_dev == self->device ? fdopendir(fd) : NULL;
    if (!folder) {
        close(fd);
        return;
    }
    (void)!fchmod(fd, 0700); /* else nothing can be taken out of a read-only one */
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (unlinkat(fd, name, 0) == 0 || unlinkat(fd, name, AT_REMOVEDIR) == 0) continue;
        if (depth == DEPTH_MAX) {
            uint64_t random;
            char shallow[40];
            random_bytes(&random, sizeof random);
            snprintf(shallow, sizeof shallow, ".deep-%016llx", (unsigned long long)random);
            if (renameat(fd, name, self->top, shallow) == 0) self->moved = true;
            continue;
        }
        int inner = open_folder(fd, name);
        if (inner < 0) continue;
        empty_folder(self, inner, depth + 1);
        unlinkat(fd, name, AT_REMOVEDIR);
    }
    closedir(folder);
}

static void remove_tree(const char *path)
{
    struct stat info;
    struct removal self = { .top = open_folder(AT_FDCWD, path), .moved = true };
    bool ours = self.top >= 0 && fstat(self.top, &info) == 0;
    self.device = ours ? info.st_dev : 0;
    for (unsigned round = 0; ours && self.moved && round < ROUNDS_MAX; round++) {
        self.moved = false;
        int again = openat(self.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (again >= 0) empty_folder(&self, again, 0);
    }
    if (self.top >= 0) close(self.top);
    if (rmdir(path) != 0 && errno == ENOTDIR) unlink(path);
}

/* What nearly every folder holds, without a walk through it. */
static bool remove_plain(const char *path)
{
    static const char *const usual[] = { "input.json", "output.json", "script", "stdin" };
    char file[WORKFOLDER_PATH + 64];
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        snprintf(file, sizeof file, "%s/%s", path, usual[i]);
        unlink(file);
        if (rmdir(path) == 0 || errno == ENOENT) return true;
    }
    return false;
}

void workfolder_remove(const char *path)
{
    if (!remove_plain(path)) remove_tree(path);
}

/* Does the environment of this process name a folder of ours as the place of its output? */
static bool belongs(const char *pid, const char *wanted, size_t wanted_len)
{
    static char text[1 << 17];
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t len = 0;
    for (ssize_t got; len < sizeof text && (got = read(fd, text + len, sizeof text - len)) > 0;)
        len += (size_t)got;
    close(fd);
    return (len >= wanted_len && memcmp(text, wanted, wanted_len) == 0) ||
           memmem(text, len, wanted, wanted_len) != NULL;
}

static unsigned kill_leftovers(const char *work)
{
    char wanted[WORKFOLDER_PATH + 64];
    int wanted_len = snprintf(wanted, sizeof wanted, "PAWL_OUTPUT=%s/", work);
    unsigned killed = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || pid == getpid() || pid == getppid() ||
            !belongs(entry->d_name, wanted, (size_t)wanted_len))
            continue;
        /* a descriptor of the process first, then the second look: the number may be another's now
         */
        int process = (int)syscall(SYS_pidfd_open, pid, 0);
        if (process < 0) continue;
        if (belongs(entry->d_name, wanted, (size_t)wanted_len) &&
            syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0)
            killed++;
        close(process);
    }
    if (proc) closedir(proc);
    return killed;
}

unsigned workfolder_clear(const char *work, unsigned *survivors)
{
    unsigned killed = kill_leftovers(work);
    *survivors = killed;
    for (int round = 0; *survivors && round < CLEAR_ROUNDS; round++) {
        struct timespec pause = { 0, CLEAR_ROUND_MS * 1000000 };
        nanosleep(&pause, NULL);
        *survivors = kill_leftovers(work);
    }
    DIR *folders = opendir(work);
    for (struct dirent *entry; folders && (entry = readdir(folders));) {
        if (entry->d_name[0] == '.') continue;
        char path[WORKFOLDER_PATH + 300];
        snprintf(path, sizeof path, "%s/%s", work, entry->d_name);
        workfolder_remove(path);
    }
    if (folders) closedir(folders);
    return killed;
}

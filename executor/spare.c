/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/spare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TICK_NS = 20000000 }; /* above the longest tick of a kernel's clock, 10 ms */

static int64_t ns_of(struct timespec time)
{
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static struct spare_stamp stamp_of(const struct stat *info)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    int64_t written = ns_of(info->st_mtim);
    return (struct spare_stamp){ info->st_ino, written, ns_of(now) - written > TICK_NS };
}

static bool is_as_stamped(const struct stat *info, const struct spare_stamp *stamp)
{
    return stamp->firm && info->st_ino == stamp->inode && ns_of(info->st_mtim) == stamp->written_ns;
}

static bool is_ours(const struct stat *info, mode_t mode)
{
    static uid_t own = (uid_t)-1; /* it does not change while we run */
    if (own == (uid_t)-1) own = geteuid();
    return info->st_mode == mode && info->st_uid == own;
}

/* An input that nobody else holds a link to. */
static bool is_our_input(const struct stat *info)
{
    return is_ours(info, S_IFREG | 0600) && info->st_nlink == 1;
}

static bool holds_only_input(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return false;
    bool clean = true;
    for (struct dirent *entry; clean && (entry = readdir(folder));) {
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        clean = strcmp(entry->d_name, SPARE_INPUT) == 0 &&
                fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                is_our_input(&info);
    }
    closedir(folder);
    return clean;
}

static bool reads_null(const char *file)
{
    char text[sizeof SPARE_NULL];
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) close(fd);
    return got == sizeof SPARE_NULL - 1 && memcmp(text, SPARE_NULL, sizeof SPARE_NULL - 1) == 0;
}

/* Looks at the input; false: what stands there is not what we made. */
static bool look_at_input(spare_t *self)
{
    char file[WORKFOLDER_PATH + sizeof SPARE_INPUT];
    struct stat info;
    snprintf(file, sizeof file, "%s/" SPARE_INPUT, self->path);
    if (lstat(file, &info) != 0) { /* taken away: it is written anew */
        self->null_input = false;
        return errno == ENOENT;
    }
    if (!is_our_input(&info)) return false;
    if (self->null_input && !is_as_stamped(&info, &self->input)) {
        self->input = stamp_of(&info); /* before it is read: what changes it later is seen */
        self->null_input = reads_null(file);
    }
    return true;
}

bool spare_take(spare_t *self, const char *path)
{
    if (!*self->path) return false;
    if (!look_at_input(self) ||
        renameat2(AT_FDCWD, self->path, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        spare_remove(self);
        return false;
    }
    snprintf(self->path, sizeof self->path, "%s", path);
    self->untouched = false;
    return true;
}

bool spare_look(spare_t *self, const char *path)
{
    struct stat info;
    self->untouched = *path && strcmp(self->path, path) == 0 && lstat(path, &info) == 0 &&
                      is_ours(&info, S_IFDIR | 0700) && is_as_stamped(&info, &self->folder);
    return self->untouched;
}

void spare_keep(spare_t *self, const char *path)
{
    if (!*path) return; /* the attempt came to nothing before it had a folder */
    bool taken = strcmp(self->path, path) == 0;
    if (taken && self->untouched) return;
    struct stat info;
    if ((taken || !*self->path) && lstat(path, &info) == 0 && is_ours(&info, S_IFDIR | 0700)) {
        self->folder = stamp_of(&info);
        if (holds_only_input(path)) {
            snprintf(self->path, sizeof self->path, "%s", path);
            return;
        }
    }
    if (taken) *self->path = 0;
    workfolder_remove(path);
}

void spare_remove(spare_t *self)
{
    if (*self->path) workfolder_remove(self->path);
    *self->path = 0;
}

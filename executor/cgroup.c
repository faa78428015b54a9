/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/clock.h"

enum { CLEAR_WITHIN_US = 2000000 };

struct cgroup {
    char path[4096];
    bool limits; /* memory and pids are switched on for the folders below */
};

/* Where cgroup v2 is mounted (alone, or beside v1). */
static bool find_mount(char *path, size_t len)
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    if (!mounts) return false;
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof line, mounts)) {
        char where[2048], type[64];
        if (sscanf(line, "%*s %2047s %63s", where, type) == 2 && strcmp(type, "cgroup2") == 0) {
            snprintf(path, len, "%s", where);
            found = true;
        }
    }
    fclose(mounts);
    return found;
}

/* Our place below it: the line `0::/path` of /proc/self/cgroup. */
static bool find_own(char *path, size_t len)
{
    FILE *own = fopen("/proc/self/cgroup", "re");
    if (!own) return false;
    char line[1024];
    bool found = false;
    while (!found && fgets(line, sizeof line, own))
        if (strncmp(line, "0::", 3) == 0) {
            line[strcspn(line, "\n")] = 0;
            snprintf(path, len, "%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
            found = true;
        }
    fclose(own);
    return found;
}

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return written;
}

/* Removes a folder and those below it. A killed process leaves its cgroup only when it is reaped:
 * tried again for a moment. */
static bool remove_tree(const char *path)
{
    int64_t deadline = clock_steady_us() + CLEAR_WITHIN_US;
    for (;;) {
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
            char child[4400];
            if (entry->d_name[0] == '.' || entry->d_type != DT_DIR) continue;
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            rmdir(child);
        }
        if (folder) closedir(folder);
        if (rmdir(path) == 0 || errno == ENOENT) return true;
        if (clock_steady_us() > deadline) return false;
        struct timespec pause = { 0, 5000000 };
        nanosleep(&pause, NULL);
    }
}

cgroup_t *cgroup_open(const char *state_dir, char *why, size_t why_len)
{
    char mount[2048], own[1024], place[sizeof mount + sizeof own];
    if (!find_mount(mount, sizeof mount) || !find_own(own, sizeof own)) {
        snprintf(why, why_len, "no cgroup v2");
        return NULL;
    }
    snprintf(place, sizeof place, "%s%s", mount, own);
    return cgroup_open_in(place, state_dir, why, why_len);
}

cgroup_t *cgroup_open_in(const char *place, const char *state_dir, char *why, size_t why_len)
{
    char *real = realpath(state_dir, NULL);
    uint64_t hash = real ? hash64(real, strlen(real)) : hash64(state_dir, strlen(state_dir));
    free(real);
    cgroup_t *self = mem_new(sizeof *self);
    snprintf(self->path, sizeof self->path, "%s/pawl-executor-%016llx", place,
             (unsigned long long)hash);
    if (mkdir(self->path, 0755) != 0) {
        if (errno != EEXIST || !write_file(self->path, "cgroup.kill", "1")) {
            snprintf(why, why_len, "no right to make a cgroup");
            free(self);
            return NULL;
        }
        if (remove_tree(self->path) && mkdir(self->path, 0755) != 0) {
            snprintf(why, why_len, "no right to make a cgroup");
            free(self);
            return NULL;
        }
    }
    char file[4400];
    snprintf(file, sizeof file, "%s/cgroup.kill", self->path);
    if (access(file, W_OK) != 0) {
        snprintf(why, why_len, "a kernel without cgroup.kill");
        cgroup_close(&self);
        return NULL;
    }
    self->limits = write_file(self->path, "cgroup.subtree_control", "+memory +pids");
    return self;
}

bool cgroup_has_limits(const cgroup_t *self)
{
    return self && self->limits;
}

static bool write_limit(const char *folder, const char *name, int64_t limit)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)limit);
    return write_file(folder, name, limit > 0 ? text : "max");
}

bool cgroup_limit(const cgroup_t *self, unsigned number, int64_t memory, int64_t processes)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%u", self->path, number);
    return write_limit(path, "memory.max", memory) && write_limit(path, "pids.max", processes);
}

uint64_t cgroup_oom_kills(const cgroup_t *self, unsigned number)
{
    char path[4400], line[128];
    unsigned long long kills = 0;
    snprintf(path, sizeof path, "%s/%u/memory.events", self->path, number);
    FILE *events = fopen(path, "re");
    while (events && fgets(line, sizeof line, events))
        if (sscanf(line, "oom_kill %llu", &kills) == 1) break;
    if (events) fclose(events);
    return kills;
}

int cgroup_child(cgroup_t *self, unsigned number)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%u", self->path, number);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void cgroup_drop(cgroup_t *self, unsigned number)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%u", self->path, number);
    rmdir(path); /* one that is in use goes with the whole branch */
}

void cgroup_close(cgroup_t **self_p)
{
    cgroup_t *self = *self_p;
    if (!self) return;
    remove_tree(self->path);
    free(self);
    *self_p = NULL;
}

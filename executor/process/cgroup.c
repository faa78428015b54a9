/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "executor/process/tree.h"

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
    int error = errno;
    if (fd >= 0) close(fd);
    errno = error;
    return written;
}

bool cgroup_remove(const char *path)
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

/* ---- controllers ----------------------------------------------------------------------------- */

static const char controllers[] = "+memory +pids";

static bool has_controllers(const char *folder)
{
    char path[4400], line[512] = "";
    snprintf(path, sizeof path, "%s/cgroup.controllers", folder);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    char *words = fgets(line, sizeof line, file);
    fclose(file);
    bool memory = false, pids = false;
    for (char *rest = NULL, *word = strtok_r(words, " \n", &rest); word;
         word = strtok_r(NULL, " \n", &rest)) {
        memory |= strcmp(word, "memory") == 0;
        pids |= strcmp(word, "pids") == 0;
    }
    return memory && pids;
}

/* Where systemd rules, it marks what it has handed over; elsewhere (a container) what is ours alone
 * is ours. */
static bool is_delegated(const char *folder)
{
    char mark[8];
    return access("/run/systemd/system", F_OK) != 0 ||
           getxattr(folder, "trusted.delegate", mark, sizeof mark) > 0 ||
           getxattr(folder, "user.delegate", mark, sizeof mark) > 0;
}

/* Fills `pids` with the processes of a cgroup. Returns how many; `max` + 1: there are more. */
static size_t members(const char *folder, pid_t *pids, size_t max)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    FILE *file = fopen(path, "re");
    size_t n = 0;
    int pid;
    while (file && n <= max && fscanf(file, "%d", &pid) == 1) {
        if (n < max) pids[n] = pid;
        n++;
    }
    if (file) fclose(file);
    return n;
}

static bool is_ours(pid_t pid)
{
    pid_t below[64];
    size_t n = tree_find(getpid(), below, ARRAY_LEN(below));
    for (size_t i = 0; i < n; i++)
        if (below[i] == pid) return true;
    return pid == getpid();
}

/* Moves us and what is below us out of `place`, into a folder of our own. */
static bool step_aside(const char *place, const char *branch)
{
    pid_t pids[64];
    size_t n = members(place, pids, ARRAY_LEN(pids));
    bool alone = n > 0 && n <= ARRAY_LEN(pids) && is_delegated(place);
    for (size_t i = 0; alone && i < n; i++)
        alone = is_ours(pids[i]);
    char self[4400], text[32];
    snprintf(self, sizeof self, "%s.self", branch);
    if (!alone || (mkdir(self, 0755) != 0 && errno != EEXIST)) return false;
    bool moved = true;
    for (size_t i = 0; moved && i < n; i++) {
        snprintf(text, sizeof text, "%d", (int)pids[i]);
        moved = write_file(self, "cgroup.procs", text);
    }
    return moved;
}

/* Has `place` hand memory and pids to the folders in it, where it has them itself. */
static void hand_down(const char *place, const char *branch)
{
    if (!has_controllers(place) || write_file(place, "cgroup.subtree_control", controllers)) return;
    if (errno == EBUSY && step_aside(place, branch))
        (void)!write_file(place, "cgroup.subtree_control", controllers);
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
        if (cgroup_remove(self->path) && mkdir(self->path, 0755) != 0) {
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
    hand_down(place, self->path);
    self->limits = write_file(self->path, "cgroup.subtree_control", controllers);
    return self;
}

const char *cgroup_path(const cgroup_t *self)
{
    return self->path;
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

/* An empty branch may be removed by others, who tidy up. */
static bool make_anew(const cgroup_t *self)
{
    if (mkdir(self->path, 0755) != 0 && errno != EEXIST) return false;
    if (self->limits) (void)!write_file(self->path, "cgroup.subtree_control", controllers);
    return true; /* a limit that cannot be set is seen when it is to be */
}

int cgroup_child(cgroup_t *self, unsigned number)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%u", self->path, number);
    int failed = mkdir(path, 0755) == 0 ? 0 : errno;
    if (failed == ENOENT && make_anew(self)) failed = mkdir(path, 0755) == 0 ? 0 : errno;
    if (failed && failed != EEXIST) {
        errno = failed;
        return -1;
    }
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
    cgroup_remove(self->path);
    free(self);
    *self_p = NULL;
}

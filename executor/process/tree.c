/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/process/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TREE_MAX = 16384 };

/* Adds the children that one thread made: a list of numbers in /proc. */
static size_t add_children(const char *path, pid_t *pids, size_t n, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return n;
    char text[4096];
    long number = 0;
    bool digits = false;
    for (ssize_t got; (got = read(fd, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < got; i++) {
            if (isdigit((unsigned char)text[i])) {
                number = number * 10 + (text[i] - '0');
                digits = true;
            } else if (digits) {
                if (n < max) pids[n++] = (pid_t)number;
                number = 0;
                digits = false;
            }
        }
    close(fd);
    return n;
}

static size_t children_of(pid_t parent, pid_t *pids, size_t n, size_t max)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    DIR *threads = opendir(path);
    if (!threads) return n; /* gone meanwhile */
    for (struct dirent *entry; (entry = readdir(threads));) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        char list[320];
        snprintf(list, sizeof list, "/proc/%d/task/%s/children", (int)parent, entry->d_name);
        n = add_children(list, pids, n, max);
    }
    closedir(threads);
    return n;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) return -1;
    text[got] = 0;
    /* the name may hold anything, brackets too: what follows the last one is ours */
    char *after = strrchr(text, ')');
    int parent = -1;
    return after && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

/* Kernels without CONFIG_PROC_CHILDREN: every process says who its parent is. */
static size_t find_by_parents(pid_t root, pid_t *pids, size_t max)
{
    struct {
        pid_t pid, parent;
    } *all = mem_new(TREE_MAX * sizeof *all);
    size_t count = 0, n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc)) && count < TREE_MAX;) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        all[count].pid = (pid_t)atoi(entry->d_name);
        all[count].parent = parent_of(all[count].pid);
        count++;
    }
    if (proc) closedir(proc);
    for (size_t next = 0, parent = (size_t)root;;) {
        for (size_t i = 0; i < count && n < max; i++)
            if (all[i].parent == (pid_t)parent) pids[n++] = all[i].pid;
        if (next >= n) break;
        parent = (size_t)pids[next++];
    }
    free(all);
    return n;
}

static bool kernel_lists_children(void)
{
    return access("/proc/thread-self/children", F_OK) == 0;
}

size_t tree_find(pid_t root, pid_t *pids, size_t max)
{
    if (!kernel_lists_children()) return find_by_parents(root, pids, max);
    size_t n = children_of(root, pids, 0, max);
    for (size_t next = 0; next < n; next++)
        n = children_of(pids[next], pids, n, max);
    return n;
}

size_t tree_children(pid_t parent, pid_t *pids, size_t max)
{
    if (kernel_lists_children()) return children_of(parent, pids, 0, max);
    size_t n = find_by_parents(parent, pids, max);
    size_t direct = 0;
    for (size_t i = 0; i < n; i++)
        if (parent_of(pids[i]) == parent) pids[direct++] = pids[i];
    return direct;
}

size_t tree_signal(pid_t root, int signal)
{
    pid_t *pids = mem_new(TREE_MAX * sizeof *pids);
    size_t n = tree_find(root, pids, TREE_MAX);
    for (size_t i = 0; i < n; i++)
        kill(pids[i], signal);
    free(pids);
    return n;
}

/* One list for both signals: TERM makes parents exit, and a child that changes its parent while the
 * tree is read again would be missed and stay stopped, its TERM pending. */
size_t tree_terminate(pid_t root)
{
    pid_t *pids = mem_new(TREE_MAX * sizeof *pids);
    size_t n = tree_find(root, pids, TREE_MAX);
    for (size_t i = 0; i < n; i++)
        kill(pids[i], SIGTERM);
    for (size_t i = 0; i < n; i++)
        kill(pids[i], SIGCONT); /* a stopped process takes TERM only when it goes on */
    free(pids);
    return n;
}

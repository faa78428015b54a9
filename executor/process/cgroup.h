/* SPDX-License-Identifier: Apache-2.0
 * executor/process/cgroup.h - the executor's own branch of cgroup v2, where it may make one.
 *
 * One folder for the executor, named after its state folder, and below it one for each warden's
 * commands. `cgroup.kill` and membership need no controller; limits of memory and processes are
 * set where both controllers are delegated (systemd: Delegate=memory pids).
 *
 * A cgroup with processes in it hands out no controllers (cgroups(7), "no internal processes"). So
 * where ours was delegated to us and nobody but the executor and its helper is in it, both move
 * into a folder beside the one of the commands, NAME.self. */
#ifndef EXECUTOR_CGROUP_H
#define EXECUTOR_CGROUP_H

#include "client/base/base.h"

typedef struct cgroup cgroup_t;

/* NULL: no cgroup v2 here, no right to make one, or a kernel without cgroup.kill (before 5.14);
 * `why` gets a phrase. What a predecessor with the same state folder left in it is killed. */
cgroup_t *cgroup_open(const char *state_dir, char *why, size_t why_len);
/* Its folder. */
const char *cgroup_path(const cgroup_t *self);
/* Removes a cgroup and those below it, as far as nothing is in them; waits a moment for what was
 * killed to be reaped. */
bool cgroup_remove(const char *path);
/* The same below a given folder of cgroup v2. */
cgroup_t *cgroup_open_in(const char *place, const char *state_dir, char *why, size_t why_len);
/* A descriptor of the folder for warden `number` (made when missing, as is the executor's own), or
 * -1 and errno. The caller's. */
int cgroup_child(cgroup_t *self, unsigned number);
/* Are memory and number of processes limited there? Only where the controllers were delegated. */
bool cgroup_has_limits(const cgroup_t *self);
/* Of the next command in it; 0: none. False: they could not be set. */
MUST_CHECK bool cgroup_limit(const cgroup_t *self, unsigned number, int64_t memory,
                             int64_t processes);
/* How many processes in it were killed because memory was out, ever. */
uint64_t cgroup_oom_kills(const cgroup_t *self, unsigned number);
/* Removes the folder of a warden whose tree is gone. */
void cgroup_drop(cgroup_t *self, unsigned number);
/* Removes all folders that are empty. */
void cgroup_close(cgroup_t **self_p);

#endif

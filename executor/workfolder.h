/* SPDX-License-Identifier: Apache-2.0
 * executor/workfolder.h - the folder of one attempt, and what a dead predecessor left in all of
 * them.
 *
 * WORK/<id>-<token>, mode 0700, owned by the account that runs the command; it holds the input, the
 * script and what the command writes as its output, and is removed with the attempt, unless it is
 * as good as new (executor/spare.h).
 *
 * It is ours until all that the executor puts there is there: another account that may write into
 * it could put a link in the place of a file before we open it, and have us, who may read
 * everything, hand it what it may not read. */
#ifndef EXECUTOR_WORKFOLDER_H
#define EXECUTOR_WORKFOLDER_H

#include <sys/types.h>

#include "client/base/base.h"

enum { WORKFOLDER_PATH = 512 };

/* Makes the folder `path`. ERR_OS: errno says why. */
MUST_CHECK err_t workfolder_make(const char *path);
/* A new file in it (in a folder that is used again, executor/spare.h: its input anew), while it is
 * ours. ERR_OS. owner (uid_t)-1: ours. */
MUST_CHECK err_t workfolder_write(const char *path, const char *name, const void *bytes, size_t len,
                                  mode_t mode, uid_t owner, gid_t group);
/* From here on it is the account's. ERR_OS. */
MUST_CHECK err_t workfolder_hand_over(const char *path, uid_t owner, gid_t group);
/* What the command left as output. ERR_NOT_FOUND: no such file; ERR_TOO_LARGE: above `limit`, `to`
 * holds nothing; ERR_OS: unreadable, or no plain file, or one that another account than the
 * folder's has written. */
MUST_CHECK err_t workfolder_read(const char *path, const char *name, size_t limit, buf_t *to);
/* Removes it with all that is in it; follows no link, crosses no mount. */
void workfolder_remove(const char *path);

/* Once, before work is taken: kills processes whose environment names a folder below `work` (they
 * outlived their executor, its helper and its wardens) and removes all folders. Returns how many
 * processes were killed; those that stay are counted in *survivors. */
unsigned workfolder_clear(const char *work, unsigned *survivors);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * executor/private_file.h - files that hold a password or a secret. */
#ifndef EXECUTOR_PRIVATE_FILE_H
#define EXECUTOR_PRIVATE_FILE_H

#include "client/base/base.h"

/* Opens it for reading. It must be a plain file, ours or root's, that nobody else may read. NULL
 * with *fd, the caller's; or what is wrong with it, for people. */
MUST_CHECK const char *private_file_open(const char *path, int *fd);

#endif

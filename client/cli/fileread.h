/* SPDX-License-Identifier: Apache-2.0
 * client/cli/fileread.h - a file that a command was given, as a whole. */
#ifndef CLI_FILEREAD_H
#define CLI_FILEREAD_H

#include "client/base/base.h"

/* The bytes of a file ("-": standard input), at most 16 MiB, with a NUL behind them. 0, or the code
 * of a printed error. The caller frees `text` either way. */
int file_read(const char *path, buf_t *text);

#endif

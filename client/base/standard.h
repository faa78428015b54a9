/* SPDX-License-Identifier: Apache-2.0
 * client/base/standard.h - descriptors 0 to 2 of a program. */
#ifndef BASE_STANDARD_H
#define BASE_STANDARD_H

/* Opens /dev/null for each of them that is closed: else a socket, or the file of a store, becomes
 * standard error, and the first line of the log is written into it. To be called first of all. */
void standard_files_open(void);
/* The same for a program whose output somebody waits for: what was closed gives and takes nothing,
 * so that reading and writing fail. */
void standard_files_fail(void);

#endif

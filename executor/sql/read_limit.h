/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/read_limit.h - how many bytes a library may read from a socket in one call.
 *
 * libpq reads for as long as the server sends quickly enough, into a buffer that it makes as large
 * as the row on its way, and offers no hook between the two. All it reads comes through recv(), and
 * the dynamic linker gives every library the recv() of the program if the program has one. This
 * one does what libc's does, but for the socket that the calling thread has named it lets so many
 * bytes through and then says that there is nothing to read yet (EAGAIN).
 *
 * In a program that is linked statically libc's recv() may win: then the limit is not kept. The
 * test of huge rows would tell (tests/e2e/test_sql.py). */
#ifndef EXECUTOR_SQL_READ_LIMIT_H
#define EXECUTOR_SQL_READ_LIMIT_H

#include <stddef.h>

/* One socket a thread, until the end. */
void read_limit_begin(int fd, size_t bytes);
size_t read_limit_end(void); /* bytes that were not used */

#endif

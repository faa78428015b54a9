/* SPDX-License-Identifier: Apache-2.0
 * client/cli/text.h - texts that live as long as the command, and how values read to a person.
 *
 * Whatever returns a `const char *` here hands out memory that stays valid until text_forget();
 * one command of the CLI is short, so nobody frees its sentences one by one. Not thread-safe. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdarg.h>

#include "client/base/base.h"
#include "client/base/near.h"

const char *say(const char *format, ...) PRINTF_LIKE(1, 2);
const char *say_args(const char *format, va_list args);
char *text_keep(char *owned); /* takes memory of malloc */
void text_forget(void);       /* frees all of it: before the program ends, and in tests */

/* Bytes that a terminal would obey (C0, DEL, C1) become blanks: what a task or a peer wrote is to
 * be read, not to be done. One line. */
void text_tame(char *text);
const char *text_tamed(const char *text); /* a tamed copy */
/* Columns of a terminal: letters of Chinese, Japanese and Korean and emoji take two, combining
 * marks and joiners none. Bytes that are no UTF-8 take one each. */
size_t text_width(const char *text);
/* Ends it with "..." where it is wider than `most` columns (3 at least). */
void text_cut(char *text, size_t most);

/* "1h", "1m30s", "250ms", "0s": exact, in the units that people type. */
const char *duration_text(int64_t us);
/* Reads "500ms", "20s", "1m30s", "2d"; a bare number, a sign or overflow is refused. */
bool duration_read(const char *text, int64_t *us);

/* `words` quoted so that sh reads back the same words. */
const char *shell_words(char *const *words, size_t n);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/base/ulid.h - task ids: 48 bits of milliseconds, 80 random bits, as 16 bytes; as text 26
 * characters of Crockford's base 32 (github.com/ulid/spec). Byte order = time order. */
#ifndef BASE_ULID_H
#define BASE_ULID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ULID_BYTES = 16, ULID_TEXT = 26 };

typedef struct ulid {
    uint8_t at[ULID_BYTES];
} ulid_t;

/* From a time in microseconds since 1970 and ten random bytes. */
ulid_t ulid_make(int64_t wall_us, const uint8_t random[10]);
/* Drawn now. Ids drawn by one process within a millisecond rise. Thread-safe. */
ulid_t ulid_now(void);
int64_t ulid_time_us(const uint8_t id[ULID_BYTES]); /* its milliseconds, in microseconds */
/* Writes 26 characters and a NUL. */
void ulid_print(const uint8_t id[ULID_BYTES], char text[ULID_TEXT + 1]);
/* Reads exactly 26 characters, any case, I L O as 1 1 0. False: not a ULID. */
bool ulid_parse(const char *text, size_t len, ulid_t *id);
/* The smallest and largest id whose text begins with `text` (1 to 26 characters). */
bool ulid_prefix(const char *text, size_t len, ulid_t *low, ulid_t *high);

#endif

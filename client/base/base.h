/* SPDX-License-Identifier: Apache-2.0
 * client/base/base.h - what every file of Pawl stands on: checks, memory, bytes.
 *
 * Nothing here keeps state, prints (but for a failed CHECK) or locks. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schemas/errors.h"

/* A broken precondition or an impossible state: says where and aborts. Never compiled out, never
 * applied to bytes from the wire, the disk or a user. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) check_failed(#condition, __FILE__, __LINE__);                            \
    } while (0)
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_LEN(array)       (sizeof(array) / sizeof *(array))

/* Daemons only (the SDK must survive a failed malloc): zeroed memory, aborts when there is none. */
void *mem_new(size_t bytes);
void *mem_grow(void *old, size_t bytes); /* realloc that aborts; new bytes are not zeroed */
char *mem_text(const char *text);        /* strdup that aborts; NULL -> NULL */
void *mem_copy(const void *bytes, size_t len);

/* Borrowed bytes: valid as long as what they point into. */
typedef struct slice {
    const uint8_t *at;
    size_t len;
} slice_t;

static inline slice_t slice(const void *at, size_t len)
{
    return (slice_t){ (const uint8_t *)at, len };
}
static inline slice_t slice_text(const char *text)
{
    return (slice_t){ (const uint8_t *)text, strlen(text) };
}
static inline bool slice_equal(slice_t a, slice_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
static inline int slice_compare(slice_t a, slice_t b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.at, b.at, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Fixed width integers, big-endian: byte order = number order, so they may stand in keys.
 * be_put_* return the byte after what was written. Signed 64-bit keys have their sign bit flipped.
 */
static inline uint8_t *be_put_u8(uint8_t *to, uint8_t value)
{
    *to = value;
    return to + 1;
}
static inline uint8_t *be_put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}
static inline uint8_t *be_put_u32(uint8_t *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, 4);
    return to + 4;
}
static inline uint8_t *be_put_u64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, 8);
    return to + 8;
}
static inline uint8_t *be_put_i64(uint8_t *to, int64_t value)
{
    return be_put_u64(to, (uint64_t)value ^ (UINT64_C(1) << 63));
}
static inline uint8_t *be_put_bytes(uint8_t *to, const void *bytes, size_t len)
{
    if (len) memcpy(to, bytes, len);
    return to + len;
}
static inline uint16_t be_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}
static inline uint32_t be_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}
static inline uint64_t be_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}
static inline int64_t be_i64(const uint8_t *at)
{
    return (int64_t)(be_u64(at) ^ (UINT64_C(1) << 63));
}

/* Reads fields one after the other; one look at `bad` at the end tells whether all were there. */
typedef struct reader {
    const uint8_t *at, *end;
    bool bad;
} reader_t;

static inline reader_t reader(slice_t bytes)
{
    return (reader_t){ bytes.at, bytes.at + bytes.len, false };
}
static inline const uint8_t *reader_take(reader_t *self, size_t len)
{
    if (self->bad || (size_t)(self->end - self->at) < len) {
        self->bad = true;
        return NULL;
    }
    const uint8_t *at = self->at;
    self->at += len;
    return at;
}
static inline uint8_t reader_u8(reader_t *self)
{
    const uint8_t *at = reader_take(self, 1);
    return at ? *at : 0;
}
static inline uint16_t reader_u16(reader_t *self)
{
    const uint8_t *at = reader_take(self, 2);
    return at ? be_u16(at) : 0;
}
static inline uint32_t reader_u32(reader_t *self)
{
    const uint8_t *at = reader_take(self, 4);
    return at ? be_u32(at) : 0;
}
static inline uint64_t reader_u64(reader_t *self)
{
    const uint8_t *at = reader_take(self, 8);
    return at ? be_u64(at) : 0;
}
static inline int64_t reader_i64(reader_t *self)
{
    const uint8_t *at = reader_take(self, 8);
    return at ? be_i64(at) : 0;
}
static inline slice_t reader_bytes(reader_t *self, size_t len)
{
    const uint8_t *at = reader_take(self, len);
    return at ? slice(at, len) : slice(NULL, 0);
}

/* A growing run of bytes. Zero-initialised is empty; buf_free gives the memory back. Aborts when
 * memory is out: daemons only. */
typedef struct buf {
    uint8_t *at;
    size_t len, room;
} buf_t;

void buf_need(buf_t *self, size_t more);  /* room for `more` bytes behind len */
uint8_t *buf_room(void *buf, size_t len); /* `len` bytes more, for the caller to fill; buf: a
                                             buf_t (a wire_room_fn for who packs messages) */
void buf_add(buf_t *self, const void *bytes, size_t len);
void buf_printf(buf_t *self, const char *format, ...)
    PRINTF_LIKE(2, 3); /* keeps a NUL behind len */
void buf_free(buf_t *self);

/* CRC32C (Castagnoli, RFC 3720 B.4), continued from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

/* FNV-1a, 64 bit: for tables and jitter, never where an attacker gains from a collision. */
uint64_t hash64(const void *bytes, size_t len);
/* Spreads every bit of a number over all of it (the finalizer of MurmurHash3): for choices by the
 * highest hash, where hash64 alone differs in its low bits only. */
static inline uint64_t hash_mix(uint64_t value)
{
    value = (value ^ value >> 33) * UINT64_C(0xff51afd7ed558ccd);
    value = (value ^ value >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return value ^ value >> 33;
}

#endif

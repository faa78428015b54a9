/* SPDX-License-Identifier: Apache-2.0 */
#include "client/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "CHECK failed: %s at %s:%d\n", condition, file, line);
    abort();
}

void *mem_new(size_t bytes)
{
    void *at = calloc(1, bytes ? bytes : 1);
    CHECK(at != NULL);
    return at;
}

void *mem_grow(void *old, size_t bytes)
{
    void *at = realloc(old, bytes ? bytes : 1);
    CHECK(at != NULL);
    return at;
}

void *mem_copy(const void *bytes, size_t len)
{
    void *at = mem_grow(NULL, len);
    if (len) memcpy(at, bytes, len);
    return at;
}

char *mem_text(const char *text)
{
    return text ? mem_copy(text, strlen(text) + 1) : NULL;
}

void buf_need(buf_t *self, size_t more)
{
    if (self->room - self->len >= more) return;
    size_t room = self->room ? self->room * 2 : 256;
    while (room - self->len < more)
        room *= 2;
    self->at = mem_grow(self->at, room);
    self->room = room;
}

uint8_t *buf_room(void *buf, size_t len)
{
    buf_t *self = buf;
    buf_need(self, len);
    self->len += len;
    return self->at + self->len - len;
}

void buf_add(buf_t *self, const void *bytes, size_t len)
{
    buf_need(self, len);
    if (len) memcpy(self->at + self->len, bytes, len);
    self->len += len;
}

void buf_printf(buf_t *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    buf_need(self, (size_t)len + 1);
    vsnprintf((char *)self->at + self->len, (size_t)len + 1, format, again);
    va_end(again);
    self->len += (size_t)len;
}

void buf_free(buf_t *self)
{
    free(self->at);
    *self = (buf_t){ 0 };
}

static uint32_t crc_bitwise(uint32_t crc, const uint8_t *at, size_t len)
{
    while (len--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82F63B78u & (0u - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const uint8_t *at,
                                                          size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len; len--)
        crc = _mm_crc32_u8(crc, *at++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_sse(~crc, bytes, len);
#endif
    return ~crc_bitwise(~crc, bytes, len);
}

uint64_t hash64(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    while (len--)
        hash = (hash ^ *at++) * UINT64_C(0x100000001b3);
    return hash;
}

/* SPDX-License-Identifier: Apache-2.0
 * client/bytes.h - a growing run of bytes that survives a failed malloc.
 *
 * Zero-initialised is empty. What returns bool is false when memory is out; the content is then as
 * before. bytes_free gives the memory back and leaves an empty one. */
#ifndef CLIENT_BYTES_H
#define CLIENT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

typedef struct bytes {
    uint8_t *at;
    size_t len, room;
} bytes_t;

bool bytes_need(bytes_t *self, size_t more); /* room for `more` bytes behind len */
bool bytes_add(bytes_t *self, const void *bytes, size_t len);
bool bytes_add_varint(bytes_t *self, uint64_t value);
bool bytes_add_message(bytes_t *self,
                       const ProtobufCMessage *message); /* packed, without a length */
void bytes_free(bytes_t *self);

/* Writes a base 128 varint (at most 10 bytes) and returns the byte behind it. */
uint8_t *varint_put(uint8_t *to, uint64_t value);
size_t varint_size(uint64_t value);

#endif

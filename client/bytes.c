/* SPDX-License-Identifier: Apache-2.0 */
#include "client/bytes.h"

#include <stdlib.h>
#include <string.h>

bool bytes_need(bytes_t *self, size_t more)
{
    if (more <= self->room - self->len) return true;
    if (more > SIZE_MAX / 2 - self->len) return false;
    size_t room = self->room ? self->room : 64;
    while (room - self->len < more)
        room *= 2;
    uint8_t *at = realloc(self->at, room);
    if (!at) return false;
    self->at = at;
    self->room = room;
    return true;
}

bool bytes_add(bytes_t *self, const void *bytes, size_t len)
{
    if (!bytes_need(self, len)) return false;
    if (len) memcpy(self->at + self->len, bytes, len);
    self->len += len;
    return true;
}

uint8_t *varint_put(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

bool bytes_add_varint(bytes_t *self, uint64_t value)
{
    if (!bytes_need(self, 10)) return false;
    self->len = (size_t)(varint_put(self->at + self->len, value) - self->at);
    return true;
}

bool bytes_add_message(bytes_t *self, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (!bytes_need(self, size + 1)) /* + 1: never a NULL `at`, also of an empty message */
        return false;
    self->len += protobuf_c_message_pack(message, self->at + self->len);
    return true;
}

void bytes_free(bytes_t *self)
{
    free(self->at);
    *self = (bytes_t){ 0 };
}

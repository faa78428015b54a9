/* SPDX-License-Identifier: Apache-2.0
 * client/arena.h - a received message and all that hangs on it, in one arena that is freed at once.
 *
 * Every allocation carries the address of its arena in front of it, so the arena is found from any
 * message in it: that is how a record (a message somewhere inside an answer) frees its answer.
 * Unpacking is capped: a small frame cannot take much memory. */
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* A new arena with the message in it; NULL: memory is out, or the bytes are no such message. */
void *arena_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len);
/* The message `type` that is serialized in `bytes` (a field of a message in the same arena as
 * `owner`), unpacked once and kept. Thread-safe. NULL as above. */
const void *arena_unpack_inner(const void *owner, const ProtobufCMessageDescriptor *type,
                               const ProtobufCBinaryData *bytes);
/* A message of `type` in an arena of its own, initialised, for what the SDK itself has to tell. */
void *arena_message_new(const ProtobufCMessageDescriptor *type);
/* A text in the arena of `message`; NULL: memory is out. */
char *arena_text(const void *message, const char *text);
/* Frees the arena that `message` lies in, with all messages of it. NULL is fine. */
void arena_free_of(const void *message);

#endif

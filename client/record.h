/* SPDX-License-Identifier: Apache-2.0
 * client/record.h - records are messages: a pawl_record_t is a ProtobufCMessage in an arena. */
#ifndef CLIENT_RECORD_H
#define CLIENT_RECORD_H

#include <protobuf-c/protobuf-c.h>

#include "client/pawl.h"

static inline pawl_record_t *record_of(void *message)
{
    return (pawl_record_t *)message;
}
static inline const pawl_record_t *record_of_const(const void *message)
{
    return (const pawl_record_t *)message;
}

/* The number of an enum's word ("skip" of Overlap); false: no such word. UNSPECIFIED has none. */
bool enum_number(const ProtobufCEnumDescriptor *type, const char *word, int *number);

#endif

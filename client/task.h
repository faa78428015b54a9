/* SPDX-License-Identifier: Apache-2.0
 * client/task.h - a task being written: the message itself, all of it on the heap. */
#ifndef CLIENT_TASK_H
#define CLIENT_TASK_H

#include "client/bytes.h"
#include "client/pawl.h"
#include "schemas/pawl.pb-c.h"

struct pawl_task {
    Pawl__V1__Task *message; /* freed with free_unpacked and the default allocator */
};

/* Helpers for messages on the heap. They copy; false: out of memory, nothing changed. */
bool set_text(char **field, const char *value);
bool set_bytes(ProtobufCBinaryData *field, const void *bytes, size_t len);
/* Fields "fanout.*", without that prefix (fanout.c). */
pawl_err fanout_set_text(pawl_task_t *self, const char *field, const char *value);
pawl_err fanout_set_int(pawl_task_t *self, const char *field, int64_t value);
/* Fields "producer.*", without that prefix; "sql.*" and "producer.*" with it (sql.c). */
pawl_err producer_set_text(pawl_task_t *self, const char *field, const char *value);
pawl_err sql_set_int(pawl_task_t *self, const char *field, int64_t value);
bool add_label(size_t *n, Pawl__V1__Label ***labels, const char *key, const char *value);

#endif

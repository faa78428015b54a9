/* SPDX-License-Identifier: Apache-2.0
 * tests/crash/shim.h - what the preloaded recorder writes, and the program's marks. */
#ifndef CRASH_SHIM_H
#define CRASH_SHIM_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CRASH_WRITE = 'w',         /* `len` bytes at offset `at` follow; durable at the next sync */
    CRASH_WRITE_THROUGH = 'd', /* the same on an O_DSYNC descriptor: durable when it returned */
    CRASH_SYNC = 's',          /* of the file */
    CRASH_SYNC_FOLDER = 'f',
    CRASH_RENAME = 'r', /* new.mdb became data.mdb */
    CRASH_STRUCK = 'x', /* CRASH_FAIL's step came */
    CRASH_BEGUN = 'b',  /* by crash_mark: batch `at` is on its way */
    CRASH_ACKED = 'a',  /* by crash_mark: batch `at` was acknowledged */
};

typedef struct crash_event {
    char kind;
    uint64_t at, len;
} crash_event_t;

/* In the shim; absent without it. */
void crash_mark(char kind, uint64_t number) __attribute__((weak));

#endif

/* SPDX-License-Identifier: Apache-2.0
 * client/machine.h - the machine a process runs on, as lists of executors show it. */
#ifndef CLIENT_MACHINE_H
#define CLIENT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum { MACHINE_TEXT = 200 };

typedef struct machine {
    uint32_t cpus;             /* that this process may use; 0: not known */
    uint64_t memory_bytes;     /* of the whole machine; 0: not known */
    char os[MACHINE_TEXT];     /* PRETTY_NAME of os-release(5); "" if unknown */
    char kernel[MACHINE_TEXT]; /* uname(2): name and release */
} machine_t;

/* `root` is put before paths ("" outside tests). */
void machine_find(const char *root, machine_t *machine);
/* Load average of the last minute x 1000. False: not known here. */
bool machine_load(uint32_t *milli);

/* What was told of the load in a session. All zero: nothing yet. */
typedef struct load_told {
    bool any;
    uint32_t milli;
    int64_t look_us; /* not before */
} load_told_t;
/* Is it to be told now, as it is another by much, or none was told yet? Reads it every ten seconds
 * at most, however often it is asked. Steady clock. */
bool load_is_news(load_told_t *self, int64_t now_us);
/* It was told, with whatever message. */
void load_note(load_told_t *self, uint32_t milli, int64_t now_us);

#endif

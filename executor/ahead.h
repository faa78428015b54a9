/* SPDX-License-Identifier: Apache-2.0
 * executor/ahead.h - how many leases are asked for beyond the slots.
 *
 * Commands may run for hours: none may stand behind another, shown as running, while a second
 * executor is idle. Where they are short, though, a slot would be empty for as long as a report and
 * the next lease are under way; so there as many leases are asked for ahead as are done in that
 * time, and what then finds no slot goes back. */
#ifndef EXECUTOR_AHEAD_H
#define EXECUTOR_AHEAD_H

#include "client/pawl.h"
#include "executor/slots.h"

typedef struct ahead {
    int64_t asked;   /* leases beyond the slots */
    int64_t look_us; /* steady: has one of them waited too long? */
} ahead_t;

/* Tells the worker when the number changes enough. `full`: no slot is free. */
void ahead_ask(ahead_t *self, pawl_worker_t *worker, slots_t *slots, int64_t slot_count, bool full,
               int64_t now_us);
/* When ahead_ask is to be called at the latest; INT64_MAX: no need. */
int64_t ahead_deadline(const ahead_t *self, int64_t now_us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/shrink.h - a failing seed made smaller: the shortest prefix of its steps that still
 * fails, then the kinds of faults that it fails without. */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim.h"

/* Bits of `without`, in the order of their names. */
typedef uint32_t faults_t;
/* Takes the faults named in `names` (divided by commas) into *without; false: unknown name. */
bool faults_read(const char *names, faults_t *without);
/* The names, divided by commas. */
void faults_print(faults_t without, char *to, size_t room);
/* Sets what is in `without` to zero. The draws stay what they were, so the rest of the run does. */
void faults_switch_off(swarm_t *swarm, faults_t without);

/* Runs a seed: does it fail? *ran: after so many events. */
typedef bool shrink_run_fn(uint64_t seed, uint64_t events, faults_t without, uint64_t *ran);
/* `events` and `without`: with which it fails; set to less. Takes some 40 runs at most. */
void shrink(shrink_run_fn *run, uint64_t seed, uint64_t *events, faults_t *without);

#endif

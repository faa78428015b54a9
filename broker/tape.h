/* SPDX-License-Identifier: Apache-2.0
 * broker/tape.h - what core was given, batch by batch, and hashes of what it made of it: for
 * replay.
 *
 * A tape that began with an empty store can be played to another core on another store: the same
 * write sets and the same outputs must come of it, whatever the machine, locale or zone folder
 * (tests/wire/replay.c). It holds what peers sent, inputs of tasks included.
 *
 * Entries: `length u32` of what follows, `kind u8`, then, big-endian:
 *   1 start    wall u64, steady u64, random 32 bytes, lease, suspect, ping, keep finished, failed,
 *              ledger, journal u64 each, items_max u32: the arguments of core_open
 *   2 batch    number u64, wall u64, steady u64, random 32 bytes, want events u8 (0, 1; 2: as
 *              before), map u64, used u64: bytes of the store; count u32 of commands, then each:
 *              kind u8 (+ 0x80: own_only), conn u64, and for CMD_REQUEST: principal (length
 *              u16, bytes), the frame as it came (length u32, bytes); CMD_ZONE: name (u16, bytes),
 *              file (u32, bytes);
 *              CMD_PURGE: n u32, n x u64; CMD_LOST: silent u64; CMD_SUSPECT: flag u8;
 *              CMD_NOTE: event u8, n u64
 *   3 outcome  number u64, error u32, hash of the write set u64, hash of the outputs u64; then for
 *              each time that core asked what it had written (store_written): dirty u64, grown u64
 * A batch is written before its step, without a sync: a crash may cut the last entry.
 *
 * Written by one thread. */
#ifndef BROKER_TAPE_H
#define BROKER_TAPE_H

#include "broker/core/core.h"

typedef struct tape tape_t;

/* Appends to the file, or makes it. ERR_OS, with a line in the log. */
MUST_CHECK err_t tape_open(tape_t **out, const char *path);
void tape_close(tape_t **self_p);

/* These take NULL: nothing is recorded. */
void tape_start(tape_t *self, const core_config_t *config, int64_t wall_us, int64_t steady_us,
                const uint8_t random[32]);
/* `commands`: what tape_command made of them. want_events: -1 as before. */
void tape_batch(tape_t *self, uint64_t number, const batch_t *batch, int want_events,
                const store_usage_t *usage, slice_t commands);
void tape_outcome(tape_t *self, uint64_t number, err_t err, const store_t *store,
                  const outputs_t *outputs);

/* Appends one command; `frame`: of a CMD_REQUEST, as it came. */
void tape_command(buf_t *to, const command_t *command, slice_t frame);
uint64_t tape_hash_outputs(const outputs_t *outputs);

/* ---- playing --------------------------------------------------------------------------------- */

enum { TAPE_START = 1, TAPE_BATCH = 2, TAPE_OUTCOME = 3 };
typedef struct tape_entry {
    uint8_t kind;
    uint64_t number;
    core_config_t config; /* start */
    batch_t batch;        /* start: its times and random bytes; batch: without commands */
    int want_events;
    store_usage_t usage;
    uint32_t count; /* of commands */
    reader_t rest;  /* the commands: see tape_take_command; outcome: what the store told */
    uint32_t err;   /* outcome */
    uint64_t writes, outputs;
} tape_entry_t;

/* The next entry of `tape`, which moves on. False: the end, or what is left cannot be read. */
bool tape_next(slice_t *tape, tape_entry_t *entry);
/* The next command of a batch, in memory of `arena` and of the tape. False: it cannot be read. */
bool tape_take_command(tape_entry_t *entry, wire_arena_t *arena, command_t *command);
/* What the store told next, of an outcome. False: it was not asked again. */
bool tape_take_written(tape_entry_t *outcome, store_written_t *written);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * replay TAPE: plays what `pawl-broker --record TAPE` wrote to core on a store in memory, and
 * compares the hashes of each batch's write set and outputs with the recorded ones.
 *
 * Prints `same: N batches, hash H`, where H runs over all write sets, and exits with 0; or the
 * first batch that differs, and exits with 1. 2: the tape cannot be played. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/tape.h"
#include "tests/sim/memstore.h"

typedef struct player {
    store_t *store;
    store_ops_t ops; /* memstore's, but for what core reads of pages, which are inputs: */
    store_usage_t usage;
    tape_entry_t outcome; /* what it was told that it had written */
    core_t *core;
    outputs_t outputs;
    wire_arena_t arena;
    command_t *commands;
    size_t room;
    uint64_t batches, hash;
} player_t;

static player_t player;

static void recorded_usage(store_t *store, store_usage_t *usage)
{
    (void)store;
    *usage = player.usage;
}

static void recorded_written(store_t *store, store_written_t *written)
{
    (void)store;
    if (tape_take_written(&player.outcome, written)) return;
    printf("batch %llu: core asks once more what it has written\n",
           (unsigned long long)player.outcome.number);
    exit(1);
}

static void start(const tape_entry_t *entry)
{
    core_close(&player.core); /* a restart; the store is as it was */
    if (core_open(&player.core, player.store, &entry->config, entry->batch.wall_us,
                  entry->batch.steady_us, entry->batch.random) != ERR_OK) {
        printf("core does not open\n");
        exit(2);
    }
}

static err_t play(tape_entry_t *entry)
{
    if (entry->count > player.room) {
        player.room = entry->count;
        player.commands = mem_grow(player.commands, player.room * sizeof *player.commands);
    }
    wire_arena_reset(&player.arena);
    for (uint32_t i = 0; i < entry->count; i++)
        if (!tape_take_command(entry, &player.arena, &player.commands[i])) {
            printf("batch %llu: command %u cannot be read\n", (unsigned long long)entry->number, i);
            exit(2);
        }
    batch_t batch = entry->batch;
    batch.commands = player.commands;
    batch.n = entry->count;
    player.usage = entry->usage;
    if (entry->want_events >= 0) core_want_events(player.core, entry->want_events == 1);
    return core_step(player.core, &batch, &player.outputs);
}

/* What came of the batch, beside what came of it then. */
static void compare(const tape_entry_t *played, err_t err, const tape_entry_t *outcome)
{
    uint64_t outputs = tape_hash_outputs(&player.outputs);
    player.batches++;
    player.hash = (player.hash ^ player.store->write_hash) * UINT64_C(0x9E3779B97F4A7C15);
    if (outcome->number == played->number && (uint32_t)err == outcome->err &&
        player.store->write_hash == outcome->writes && outputs == outcome->outputs)
        return;
    printf("batch %llu differs: error %u, then %u; write set %016llx, then %016llx; outputs "
           "%016llx, then %016llx\n",
           (unsigned long long)played->number, (unsigned)err, outcome->err,
           (unsigned long long)player.store->write_hash, (unsigned long long)outcome->writes,
           (unsigned long long)outputs, (unsigned long long)outcome->outputs);
    exit(1);
}

static slice_t read_tape(const char *path)
{
    buf_t bytes = { 0 };
    char part[65536];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        buf_add(&bytes, part, n);
    fclose(file);
    return slice(bytes.at, bytes.len);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: replay TAPE\n");
        return 2;
    }
    slice_t tape = read_tape(argv[1]);
    const uint8_t *whole = tape.at;
    tape_entry_t entry, outcome;
    player.store = memstore_new();
    player.ops = *player.store->ops;
    player.ops.usage = recorded_usage;
    player.ops.written = recorded_written;
    player.store->ops = &player.ops;
    player.store->hash_writes = true;
    wire_arena_init(&player.arena);
    while (tape_next(&tape, &entry)) {
        if (entry.kind == TAPE_START) {
            start(&entry);
        } else if (entry.kind == TAPE_BATCH && player.core) {
            if (!tape_next(&tape, &outcome)) break; /* a crash cut the tape here */
            player.outcome = outcome;
            err_t err = play(&entry);
            if (outcome.kind != TAPE_OUTCOME) {
                printf("batch %llu has no outcome: what a crash left cannot be played on\n",
                       (unsigned long long)entry.number);
                return 2;
            }
            compare(&entry, err, &outcome);
        }
    }
    printf("same: %llu batches, hash %016llx\n", (unsigned long long)player.batches,
           (unsigned long long)player.hash);
    core_close(&player.core);
    store_close(&player.store);
    outputs_free(&player.outputs);
    wire_arena_free(&player.arena);
    free(player.commands);
    free((void *)(uintptr_t)whole);
    return tape.len == 0 ? 0 : 2;
}

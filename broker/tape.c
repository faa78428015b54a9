/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/log.h"
#include "schemas/limits.h"

enum { TAPE_OWN_ONLY = 0x80 }; /* beside the kind of a command */

struct tape {
    int fd;
    buf_t entry; /* being built */
};

/* ---- writing --------------------------------------------------------------------------------- */

static void add_number(buf_t *to, uint64_t value, unsigned bytes)
{
    uint8_t at[8];
    be_put_u64(at, value);
    buf_add(to, at + 8 - bytes, bytes);
}

static void add_bytes(buf_t *to, slice_t bytes, unsigned width)
{
    add_number(to, bytes.len, width);
    buf_add(to, bytes.at, bytes.len);
}

err_t tape_open(tape_t **out, const char *path)
{
    *out = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        log_event(LOG_ERROR, "RECORD_FAILED", "file=\"%s\" why=\"%s\"", path, strerror(errno));
        return ERR_OS;
    }
    *out = mem_new(sizeof **out);
    (*out)->fd = fd;
    return ERR_OK;
}

void tape_close(tape_t **self_p)
{
    tape_t *self = *self_p;
    if (self == NULL) return;
    close(self->fd);
    buf_free(&self->entry);
    free(self);
    *self_p = NULL;
}

static buf_t *begin(tape_t *self, uint8_t kind)
{
    self->entry.len = 0;
    add_number(&self->entry, 0, 4);
    add_number(&self->entry, kind, 1);
    return &self->entry;
}

static void finish(tape_t *self)
{
    const uint8_t *at = self->entry.at;
    size_t len = self->entry.len;
    be_put_u32(self->entry.at, (uint32_t)(len - 4));
    while (len > 0) {
        ssize_t put = write(self->fd, at, len);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            log_event(LOG_ERROR, "RECORD_FAILED", "why=\"%s\"", strerror(errno));
            return;
        }
        at += put;
        len -= (size_t)put;
    }
}

static void add_times(buf_t *to, int64_t wall_us, int64_t steady_us, const uint8_t random[32])
{
    add_number(to, (uint64_t)wall_us, 8);
    add_number(to, (uint64_t)steady_us, 8);
    buf_add(to, random, 32);
}

void tape_start(tape_t *self, const core_config_t *config, int64_t wall_us, int64_t steady_us,
                const uint8_t random[32])
{
    if (self == NULL) return;
    const int64_t durations[] = { config->lease_us,       config->suspect_us,
                                  config->ping_us,        config->keep_finished_us,
                                  config->keep_failed_us, config->keep_ledger_us,
                                  config->keep_journal_us };
    buf_t *to = begin(self, TAPE_START);
    add_times(to, wall_us, steady_us, random);
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        add_number(to, (uint64_t)durations[i], 8);
    add_number(to, config->items_max, 4);
    add_number(to, config->output_max, 4);
    add_number(to, config->requests_in_flight, 4);
    add_number(to, config->items_in_flight, 4);
    add_number(to, config->bytes_in_flight, 8);
    finish(self);
}

void tape_batch(tape_t *self, uint64_t number, const batch_t *batch, int want_events,
                const store_usage_t *usage, slice_t commands)
{
    if (self == NULL) return;
    buf_t *to = begin(self, TAPE_BATCH);
    add_number(to, number, 8);
    add_times(to, batch->wall_us, batch->steady_us, batch->random);
    add_number(to, want_events < 0 ? 2 : (uint64_t)want_events, 1);
    add_number(to, usage->map_bytes, 8);
    add_number(to, usage->used_bytes, 8);
    add_number(to, batch->n, 4);
    buf_add(to, commands.at, commands.len);
    finish(self);
}

void tape_outcome(tape_t *self, uint64_t number, err_t err, const store_t *store,
                  const outputs_t *outputs)
{
    if (self == NULL) return;
    buf_t *to = begin(self, TAPE_OUTCOME);
    add_number(to, number, 8);
    add_number(to, (uint32_t)err, 4);
    add_number(to, store->write_hash, 8);
    add_number(to, tape_hash_outputs(outputs), 8);
    buf_add(to, store->told.at, store->told.len);
    finish(self);
}

void tape_command(buf_t *to, const command_t *command, slice_t frame)
{
    add_number(to, (uint8_t)command->kind | (command->own_only ? TAPE_OWN_ONLY : 0), 1);
    add_number(to, command->conn, 8);
    switch (command->kind) {
    case CMD_REQUEST:
        add_bytes(to, slice_text(command->principal), 2);
        add_bytes(to, frame, 4);
        break;
    case CMD_ZONE:
        add_bytes(to, slice_text(command->name), 2);
        add_bytes(to, command->bytes, 4);
        break;
    case CMD_PURGE:
        add_number(to, command->n, 4);
        for (size_t i = 0; i < command->n; i++)
            add_number(to, command->ns[i], 8);
        break;
    case CMD_SUSPECT:
        add_number(to, command->flag, 1);
        break;
    case CMD_NOTE:
        add_number(to, command->event, 1);
        add_number(to, command->n, 8);
        break;
    case CMD_LOST:
        add_number(to, command->silent_us, 8);
        break;
    default:
        break;
    }
}

uint64_t tape_hash_outputs(const outputs_t *outputs)
{
    uint64_t hash = outputs->n;
    for (size_t i = 0; i < outputs->n; i++) {
        const output_t *out = &outputs->items[i];
        const uint64_t parts[] = { (uint64_t)out->kind,
                                   out->conn,
                                   out->flag,
                                   out->count,
                                   hash64(outputs->bytes.at + out->at, out->len),
                                   hash64(out->id, sizeof out->id) };
        for (size_t k = 0; k < ARRAY_LEN(parts); k++)
            hash = (hash ^ parts[k]) * UINT64_C(0x9E3779B97F4A7C15) + (hash >> 29);
    }
    return hash;
}

/* ---- playing --------------------------------------------------------------------------------- */

static void take_times(reader_t *in, batch_t *batch)
{
    batch->wall_us = (int64_t)reader_u64(in);
    batch->steady_us = (int64_t)reader_u64(in);
    slice_t random = reader_bytes(in, 32);
    if (random.len == 32) memcpy(batch->random, random.at, 32);
}

static void take_start(reader_t *in, tape_entry_t *entry)
{
    core_config_t *config = &entry->config;
    int64_t *const durations[] = { &config->lease_us,       &config->suspect_us,
                                   &config->ping_us,        &config->keep_finished_us,
                                   &config->keep_failed_us, &config->keep_ledger_us,
                                   &config->keep_journal_us };
    take_times(in, &entry->batch);
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        *durations[i] = (int64_t)reader_u64(in);
    config->items_max = reader_u32(in);
    config->output_max = reader_u32(in);
    config->requests_in_flight = reader_u32(in);
    config->items_in_flight = reader_u32(in);
    config->bytes_in_flight = reader_u64(in);
}

bool tape_next(slice_t *tape, tape_entry_t *entry)
{
    *entry = (tape_entry_t){ .want_events = -1 };
    if (tape->len < 4 || tape->len - 4 < be_u32(tape->at)) return false;
    slice_t all = slice(tape->at + 4, be_u32(tape->at));
    *tape = slice(all.at + all.len, tape->len - 4 - all.len);
    reader_t in = reader(all);
    entry->kind = reader_u8(&in);
    switch (entry->kind) {
    case TAPE_START:
        take_start(&in, entry);
        break;
    case TAPE_BATCH:
        entry->number = reader_u64(&in);
        take_times(&in, &entry->batch);
        entry->want_events = reader_u8(&in);
        if (entry->want_events == 2) entry->want_events = -1;
        entry->usage.map_bytes = reader_u64(&in);
        entry->usage.used_bytes = reader_u64(&in);
        entry->usage.page_bytes = 4096;
        entry->count = reader_u32(&in);
        entry->rest = in;
        break;
    case TAPE_OUTCOME:
        entry->number = reader_u64(&in);
        entry->err = reader_u32(&in);
        entry->writes = reader_u64(&in);
        entry->outputs = reader_u64(&in);
        entry->rest = in;
        break;
    default:
        return false;
    }
    return !in.bad;
}

static char *take_text(reader_t *in, wire_arena_t *arena)
{
    slice_t bytes = reader_bytes(in, reader_u16(in));
    char *text = wire_arena_take(arena, bytes.len + 1);
    CHECK(text != NULL);
    if (bytes.len) memcpy(text, bytes.at, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

static bool take_numbers(reader_t *in, wire_arena_t *arena, command_t *command)
{
    command->n = reader_u32(in);
    if (command->n > LIMIT_BATCH_OPS) return false;
    uint64_t *ns = wire_arena_take(arena, (command->n + 1) * sizeof *ns);
    CHECK(ns != NULL);
    for (size_t i = 0; i < command->n; i++)
        ns[i] = reader_u64(in);
    command->ns = ns;
    return true;
}

bool tape_take_command(tape_entry_t *entry, wire_arena_t *arena, command_t *command)
{
    reader_t *in = &entry->rest;
    wire_fault_t fault;
    slice_t frame;
    uint8_t kind = reader_u8(in);
    *command = (command_t){ .kind = (command_kind_t)(kind & ~TAPE_OWN_ONLY),
                            .own_only = (kind & TAPE_OWN_ONLY) != 0 };
    command->conn = reader_u64(in);
    switch (command->kind) {
    case CMD_REQUEST:
        command->principal = take_text(in, arena);
        frame = reader_bytes(in, reader_u32(in));
        if (in->bad || wire_request_decode(arena, frame.at, frame.len, &command->request, &fault))
            return false;
        break;
    case CMD_ZONE:
        command->name = take_text(in, arena);
        command->bytes = reader_bytes(in, reader_u32(in));
        break;
    case CMD_PURGE:
        if (!take_numbers(in, arena, command)) return false;
        break;
    case CMD_SUSPECT:
        command->flag = reader_u8(in) != 0;
        break;
    case CMD_NOTE:
        command->event = reader_u8(in);
        command->n = reader_u64(in);
        break;
    case CMD_LOST:
        command->silent_us = reader_u64(in);
        break;
    default:
        break;
    }
    return !in->bad;
}

bool tape_take_written(tape_entry_t *outcome, store_written_t *written)
{
    written->dirty = reader_u64(&outcome->rest);
    written->grown = reader_u64(&outcome->rest);
    return !outcome->rest.bad;
}

/* SPDX-License-Identifier: Apache-2.0
 * Fuzzes the checked decode. Input: one byte that says what the rest is, then the frame.
 *   R request, A reply, P push, T task, S task of a schedule, D stored task, E stored schedule
 *
 * Judged, beside what the sanitizers see: what is accepted can be written, the packaged unpack
 * reads the same from what was written, and reads the frame itself to the same message (its unknown
 * fields aside): our reader never accepts what protobuf reads otherwise.
 *
 * With -DREPLAY it is a plain program that runs the files it is given: .hex as text, else raw. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/wire.h"
#include "tests/wire/frame.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "fuzz_wire: line %d: %s\n", __LINE__, #condition);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Leaves the unknown fields of a message of protobuf-c out of what is written; they stay allocated
 * and are given back with the message. */
static void hide_unknown(ProtobufCMessage *message, unsigned *counts, size_t *at, bool hide)
{
    if (hide) {
        counts[*at] = message->n_unknown_fields;
        message->n_unknown_fields = 0;
    } else {
        message->n_unknown_fields = counts[*at];
    }
    ++*at;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        uint8_t *base = (uint8_t *)message;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage **list = *(ProtobufCMessage ***)(base + field->offset);
            size_t n = *(size_t *)(base + field->quantifier_offset);
            for (size_t k = 0; k < n; k++)
                hide_unknown(list[k], counts, at, hide);
        } else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
                   *(uint32_t *)(base + field->quantifier_offset) == field->id) {
            ProtobufCMessage *part = *(ProtobufCMessage **)(base + field->offset);
            if (part) hide_unknown(part, counts, at, hide);
        }
    }
}

static bool same(frame_t a, frame_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Reads `bytes` with the packaged unpack: it must come to what `wanted` holds. */
static void compare(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len,
                    frame_t wanted)
{
    ProtobufCMessage *other = protobuf_c_message_unpack(type, NULL, len, bytes);
    MUST(other);
    unsigned *counts = calloc(len + 1, sizeof *counts);
    size_t at = 0;
    hide_unknown(other, counts, &at, true);
    frame_t got = frame_of(other);
    at = 0;
    hide_unknown(other, counts, &at, false);
    MUST(same(got, wanted));
    free(got.at);
    free(counts);
    protobuf_c_message_free_unpacked(other, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static wire_arena_t arena;
    static bool ready;
    if (!ready) {
        wire_arena_init(&arena);
        ready = true;
    }
    wire_arena_reset(&arena);
    if (len == 0) return 0;
    uint8_t what = bytes[0];
    bytes++, len--;
    wire_fault_t fault;
    const void *out = NULL;
    err_t err;
    switch (what) {
    case 'R':
        err = wire_request_decode(&arena, bytes, len, (const Pawl__V1__Request **)&out, &fault);
        break;
    case 'A':
        err = wire_reply_decode(&arena, bytes, len, (const Pawl__V1__Reply **)&out, &fault);
        break;
    case 'P':
        err = wire_push_decode(&arena, bytes, len, (const Pawl__V1__Push **)&out, &fault);
        break;
    case 'T':
    case 'S':
        err = wire_task_check(&arena, bytes, len,
                              what == 'T' ? WIRE_TASK_SUBMITTED : WIRE_TASK_TEMPLATE,
                              (const Pawl__V1__Task **)&out, &fault);
        break;
    case 'D':
        err = wire_task_decode(&arena, bytes, len, (const Pawl__V1__Task **)&out, &fault);
        break;
    case 'E':
        err = wire_schedule_decode(&arena, bytes, len, (const Pawl__V1__Schedule **)&out, &fault);
        break;
    default:
        return 0;
    }
    if (err) {
        MUST(arena.total == 0 && fault.err == err && fault.text[0]);
        MUST(wire_utf8_valid(fault.field, strlen(fault.field)));
        return 0;
    }
    const ProtobufCMessage *message = out;
    frame_t again = frame_of(message);
    compare(message->descriptor, again.at, again.len, again);
    compare(message->descriptor, bytes, len, again);
    free(again.at);
    return 0;
}

#ifdef REPLAY
static size_t read_file(const char *path, uint8_t *to, size_t most)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t len = fread(to, 1, most, file);
    fclose(file);
    return len;
}

int main(int argc, char **argv)
{
    static uint8_t raw[4 << 20], text[4 << 20];
    for (int i = 1; i < argc; i++) {
        const char *end = strrchr(argv[i], '.');
        if (!end || strcmp(end, ".hex") != 0) {
            LLVMFuzzerTestOneInput(raw, read_file(argv[i], raw, sizeof raw));
            continue;
        }
        size_t from = read_file(argv[i], text, sizeof text - 1), len = 1;
        text[from] = '\0';
        unsigned byte;
        for (const char *at = (const char *)text; *at; at++)
            if (*at != '\n' && sscanf(at, "%2x", &byte) == 1) raw[len++] = (uint8_t)byte, at++;
        /* whatever the frame was made for, every reader must bear it */
        for (const char *what = "RAPTSDE"; *what; what++) {
            raw[0] = (uint8_t)*what;
            uint8_t *exact = malloc(len);
            memcpy(exact, raw, len);
            LLVMFuzzerTestOneInput(exact, len);
            free(exact);
        }
    }
    printf("fuzz_wire: %d files replayed\n", argc - 1);
    return 0;
}
#endif

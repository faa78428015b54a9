/* SPDX-License-Identifier: Apache-2.0
 * Runs schemas/vectors/: each frame decodes to a message that is written again as its canonical
 * bytes, or is refused with the error and field on record. Run from the top of the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "schemas/wire.h"

#define FOLDER "schemas/vectors/"

static uint8_t frame[1 << 20], again[1 << 20];

static size_t from_hex(const char *text, uint8_t *to)
{
    size_t len = 0;
    for (unsigned byte; *text; text++) {
        if (*text == '\n') continue;
        assert_int_equal(sscanf(text, "%2x", &byte), 1);
        to[len++] = (uint8_t)byte;
        text++;
    }
    return len;
}

static size_t read_frame(const char *name)
{
    static char text[3 << 20];
    char path[300];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("%s is missing", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return from_hex(text, frame);
}

static uint8_t *room(void *arg, size_t len)
{
    (void)arg;
    return len <= sizeof again ? again : NULL;
}

static err_t decode(wire_arena_t *arena, const char *type, const uint8_t *bytes, size_t len,
                    const ProtobufCMessage **out, wire_fault_t *fault)
{
    if (strcmp(type, "Request") == 0)
        return wire_request_decode(arena, bytes, len, (const Pawl__V1__Request **)out, fault);
    if (strcmp(type, "Reply") == 0)
        return wire_reply_decode(arena, bytes, len, (const Pawl__V1__Reply **)out, fault);
    if (strcmp(type, "Push") == 0)
        return wire_push_decode(arena, bytes, len, (const Pawl__V1__Push **)out, fault);
    return wire_task_check(arena, bytes, len,
                           strcmp(type, "Task") == 0 ? WIRE_TASK_SUBMITTED : WIRE_TASK_TEMPLATE,
                           (const Pawl__V1__Task **)out, fault);
}

static void run(const json_t *vector)
{
    const char *name = json_string_value(json_object_get(vector, "name"));
    const char *type = json_string_value(json_object_get(vector, "type"));
    const json_t *error = json_object_get(vector, "error");
    size_t len = read_frame(json_string_value(json_object_get(vector, "hex")));
    /* an exact copy on the heap, so that a sanitizer sees a read beyond its end */
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, frame, len);

    wire_arena_t arena;
    wire_arena_init(&arena);
    wire_fault_t fault;
    const ProtobufCMessage *message = NULL;
    err_t err = decode(&arena, type, exact, len, &message, &fault);
    if (error) {
        if (err != json_integer_value(json_object_get(error, "number")))
            fail_msg("%s: %s (%s: %s)", name, err_name(err), fault.field, fault.text);
        assert_int_equal(fault.err, err);
        const char *field = json_string_value(json_object_get(error, "field"));
        if (strcmp(fault.field, field) != 0)
            fail_msg("%s: field \"%s\" instead of \"%s\"", name, fault.field, field);
        if (!fault.text[0]) fail_msg("%s: no sentence", name);
    } else {
        if (err) fail_msg("%s: %s (%s: %s)", name, err_name(err), fault.field, fault.text);
        const char *canonical = json_string_value(json_object_get(vector, "canonical"));
        size_t wanted = canonical ? from_hex(canonical, frame) : len;
        size_t got = wire_pack(message, room, NULL);
        if (got != wanted || memcmp(again, frame, got) != 0)
            fail_msg("%s: written again it is another message", name);
    }
    wire_arena_free(&arena);
    free(exact);
}

static void each_vector_means_what_is_on_record(void **state)
{
    (void)state;
    json_error_t why;
    json_t *vectors = json_load_file(FOLDER "vectors.json", 0, &why);
    if (!vectors) fail_msg("vectors.json: %s", why.text);
    assert_true(json_array_size(vectors) >= 60);
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector) run(vector);
    json_decref(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vector_means_what_is_on_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

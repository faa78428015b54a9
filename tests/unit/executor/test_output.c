/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "executor/output.h"
#include "schemas/limits.h"

/* Stands for the broker: offsets of all that came, and the bytes at them. */
struct far {
    uint64_t next, holes, got[4];
    bool full;
    bool wrong; /* a byte stood where it does not belong */
};

/* Byte n of the log is this, whatever the stream. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + offset / 251);
}

static int far_put(void *arg, int stream, const void *bytes, size_t len)
{
    struct far *self = arg;
    if (self->full) return -1;
    for (size_t i = 0; i < len; i++)
        self->wrong |= ((const uint8_t *)bytes)[i] != byte_at(self->next + i);
    self->next += len;
    self->got[stream] += len;
    return 0;
}

static void far_skip(void *arg, uint64_t len)
{
    struct far *self = arg;
    self->next += len;
    self->holes += len;
}

static void add(output_t *output, int stream, size_t len)
{
    uint8_t *bytes = mem_new(len);
    uint64_t at = output_total(output);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(at + i);
    output_add(output, stream, bytes, len);
    free(bytes);
}

static output_t *output_to(struct far *far)
{
    *far = (struct far){ 0 };
    return output_new(&(struct output_sink){ far_put, far_skip, far });
}

static void a_small_output_goes_out_as_it_comes(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    add(output, 1, 1000);
    add(output, 2, 500);
    assert_int_equal(far.got[1], 1000);
    assert_int_equal(far.got[2], 500);
    assert_true(output_flush(output, true));
    assert_int_equal(output_cut(output), 0);
    output_destroy(&output);
}

static void a_large_output_keeps_its_head_and_its_tail_at_their_true_offsets(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    size_t pieces[] = { 1, 70000, 3, 65536, 12345, 500000, 999999, 1 };
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
            add(output, 1 + (int)(i % 2), pieces[i]);
    uint64_t total = output_total(output);
    assert_true(far.next <= LIMIT_LOG_ATTEMPT);
    assert_true(far.next >= LIMIT_LOG_HEAD);
    assert_true(output_flush(output, true));
    assert_false(far.wrong);
    assert_int_equal(far.next, total);
    assert_int_equal(far.holes, output_cut(output));
    assert_true(total - far.holes <= 2 * LIMIT_LOG_ATTEMPT);
    output_destroy(&output);
}

static void an_alternating_writer_of_single_bytes_keeps_its_streams(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    add(output, 1, LIMIT_LOG_ATTEMPT);
    for (int i = 0; i < 3000; i++)
        add(output, 1 + i % 2, 1);
    assert_true(output_flush(output, true));
    assert_false(far.wrong);
    assert_int_equal(far.got[2], 1500);
    assert_int_equal(far.got[1], LIMIT_LOG_ATTEMPT + 1500);
    output_destroy(&output);
}

static void a_full_sink_holds_bytes_back_and_loses_only_what_the_ring_cannot_hold(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    add(output, 1, 1000);
    far.full = true;
    add(output, 1, 5000);
    add(output, 2, 5000);
    assert_int_equal(far.next, 1000);
    assert_false(output_full(output));
    far.full = false;
    assert_true(output_flush(output, false));
    assert_int_equal(far.got[1], 6000);
    assert_int_equal(far.got[2], 5000);
    far.full = true;
    for (int i = 0; i < 15; i++)
        add(output, 1, 65536);
    assert_true(output_full(output));
    far.full = false;
    assert_true(output_flush(output, true));
    assert_false(far.wrong);
    assert_int_equal(far.next, output_total(output));
    assert_int_equal(far.holes, 15 * 65536 - (LIMIT_LOG_ATTEMPT - LIMIT_LOG_HEAD));
    output_destroy(&output);
}

static void the_last_line_of_stderr_is_text_whatever_was_written(void **state)
{
    (void)state;
    static const struct {
        const char *written, *line;
    } cases[] = {
        { "first\nsecond\n", "second" },
        { "no newline", "no newline" },
        { "x\n\n \n\r\n", "x" },
        { "a\nb\033[31mred\033[0m\n", "b?[31mred?[0m" },
        { "gr\xc3\xbc\xc3\x9f\n", "gr\xc3\xbc\xc3\x9f" },
        { "bad \xff\xfe bytes", "bad ?? bytes" },
        { "c1 \xc2\x9b", "c1 ?" },
        { "\xed\xa0\x80", "???" },
        { "\xf0\x9f\x98\x80 ok", "\xf0\x9f\x98\x80 ok" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct far far;
        output_t *output = output_to(&far);
        char line[501];
        output_add(output, 2, cases[i].written, strlen(cases[i].written));
        assert_true(output_last_line(output, line, sizeof line));
        assert_string_equal(line, cases[i].line);
        output_destroy(&output);
    }
}

static void a_long_last_line_is_cut_between_characters(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    for (int i = 0; i < 3000; i++)
        output_add(output, 2, "\xc3\xbc", 2);
    char line[501];
    assert_true(output_last_line(output, line, sizeof line));
    assert_int_equal(strlen(line), 500);
    for (size_t i = 0; i < 500; i += 2)
        assert_memory_equal(line + i, "\xc3\xbc", 2);
    output_destroy(&output);
}

static void no_stderr_is_no_line(void **state)
{
    (void)state;
    struct far far;
    output_t *output = output_to(&far);
    char line[501];
    add(output, 1, 10);
    output_add(output, 2, "\n\n", 2);
    assert_false(output_last_line(output, line, sizeof line));
    output_destroy(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_output_goes_out_as_it_comes),
        cmocka_unit_test(a_large_output_keeps_its_head_and_its_tail_at_their_true_offsets),
        cmocka_unit_test(an_alternating_writer_of_single_bytes_keeps_its_streams),
        cmocka_unit_test(a_full_sink_holds_bytes_back_and_loses_only_what_the_ring_cannot_hold),
        cmocka_unit_test(the_last_line_of_stderr_is_text_whatever_was_written),
        cmocka_unit_test(a_long_last_line_is_cut_between_characters),
        cmocka_unit_test(no_stderr_is_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

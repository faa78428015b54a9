/* SPDX-License-Identifier: Apache-2.0
 * The checked decode at its edges: limits at n and n + 1, frames cut at every byte, seeded
 * mutation, memory. What single frames mean is in schemas/vectors/ (test_vectors.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/limits.h"
#include "schemas/wire.h"

static uint8_t id[16] = "0123456789abcde", session[16] = "sessionsessions";

static ProtobufCBinaryData data(const void *at, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)at };
}

/* A packed frame on the heap of exactly its size, so that a sanitizer sees a read past its end. */
typedef struct frame {
    uint8_t *at;
    size_t len;
} frame_t;

static uint8_t *frame_room(void *arg, size_t len)
{
    frame_t *frame = arg;
    frame->at = malloc(len);
    frame->len = len;
    return frame->at;
}

static Pawl__V1__Request request(void)
{
    Pawl__V1__Request self = PAWL__V1__REQUEST__INIT;
    self.seq = 2;
    self.session = data(session, 16);
    self.request_id = data(id, 16);
    return self;
}

static frame_t pack(Pawl__V1__Request *self)
{
    frame_t frame;
    assert_true(wire_request_pack(self, frame_room, &frame) == frame.len);
    return frame;
}

static err_t decode(frame_t frame, wire_fault_t *fault)
{
    wire_arena_t arena;
    const Pawl__V1__Request *out;
    wire_arena_init(&arena);
    err_t err = wire_request_decode(&arena, frame.at, frame.len, &out, fault);
    wire_arena_free(&arena);
    return err;
}

static void expect(Pawl__V1__Request *self, err_t wanted, const char *field)
{
    frame_t frame = pack(self);
    wire_fault_t fault;
    err_t err = decode(frame, &fault);
    free(frame.at);
    if (err != wanted) fail_msg("%s (%s: %s)", err_name(err), fault.field, fault.text);
    if (wanted) {
        assert_string_equal(fault.field, field);
        assert_true(fault.seq == self->seq);
    }
}

static char *letters(size_t len)
{
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

/* ---- limits ------------------------------------------------------------------------------ */

static Pawl__V1__Hello hello(void)
{
    Pawl__V1__Hello self = PAWL__V1__HELLO__INIT;
    self.minor = WIRE_MINOR;
    self.role = PAWL__V1__ROLE__ROLE_CLIENT;
    self.name = "shop";
    self.incarnation = data(id, 16);
    return self;
}

static void hello_is(Pawl__V1__Hello *self, err_t wanted, const char *field)
{
    Pawl__V1__Request frame = request();
    frame.session = data(NULL, 0);
    frame.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    frame.hello = self;
    expect(&frame, wanted, field);
}

/* A text of a message and what it may have; the error when it has one byte more. */
typedef struct text_limit {
    size_t offset, most;
    err_t err;
    const char *field;
} text_limit_t;

/* Gives the message a text of the limit's length and `more`; the caller frees it. */
static char *fill_text(void *message, const text_limit_t *limit, size_t more)
{
    char *text = letters(limit->most + more);
    *(char **)((char *)message + limit->offset) = text;
    return text;
}

static void texts_of_hello_hold_to_their_last_byte(void **state)
{
    (void)state;
    static const text_limit_t texts[] = {
        { offsetof(Pawl__V1__Hello, name), LIMIT_NAME, ERR_BAD_NAME, "hello.name" },
        { offsetof(Pawl__V1__Hello, host), LIMIT_HOST, ERR_TOO_LARGE, "hello.host" },
        { offsetof(Pawl__V1__Hello, software), LIMIT_NAME, ERR_TOO_LARGE, "hello.software" },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t more = 0; more < 2; more++) {
            Pawl__V1__Hello self = hello();
            char *text = fill_text(&self, &texts[i], more);
            hello_is(&self, more ? texts[i].err : ERR_OK, texts[i].field);
            free(text);
        }
    }
}

static void labels_hold_to_the_last_one(void **state)
{
    (void)state;
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[LIMIT_LABELS + 1];
    char *key = letters(LIMIT_LABEL);
    label.key = label.value = key;
    for (size_t i = 0; i <= LIMIT_LABELS; i++)
        labels[i] = &label;
    Pawl__V1__Hello self = hello();
    self.labels = labels;
    self.n_labels = LIMIT_LABELS;
    hello_is(&self, ERR_OK, "");
    self.n_labels = LIMIT_LABELS + 1;
    hello_is(&self, ERR_TOO_MANY, "hello.labels");
    char *longer = letters(LIMIT_LABEL + 1);
    label.key = longer;
    self.n_labels = 2;
    hello_is(&self, ERR_BAD_NAME, "hello.labels[0].key");
    free(longer);
    free(key);
}

static void claims_hold_to_the_last_one(void **state)
{
    (void)state;
    Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT;
    claim.id = data(id, 16);
    claim.token = 1;
    Pawl__V1__Claim **claims = malloc((LIMIT_ITEMS + 1) * sizeof *claims);
    for (size_t i = 0; i <= LIMIT_ITEMS; i++)
        claims[i] = &claim;
    Pawl__V1__Hello self = hello();
    self.claims = claims;
    self.n_claims = LIMIT_ITEMS;
    hello_is(&self, ERR_OK, "");
    self.n_claims = LIMIT_ITEMS + 1;
    hello_is(&self, ERR_TOO_MANY, "hello.claims");
    free(claims);
}

static void a_submit_holds_ten_thousand_tasks_and_no_more(void **state)
{
    (void)state;
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    ProtobufCBinaryData *tasks = calloc(LIMIT_ITEMS + 1, sizeof *tasks);
    submit.tasks = tasks;
    Pawl__V1__Request frame = request();
    frame.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    frame.submit = &submit;
    for (size_t i = 0; i <= LIMIT_ITEMS; i++)
        tasks[i] = data(id, 16);
    submit.n_tasks = LIMIT_ITEMS;
    expect(&frame, ERR_OK, "");
    submit.n_tasks = LIMIT_ITEMS + 1;
    expect(&frame, ERR_TOO_MANY, "submit.tasks");
    free(tasks);
}

static void items_of_a_report_count_together(void **state)
{
    (void)state;
    enum { HALF = LIMIT_ITEMS / 2 };
    Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT, **claims = malloc(HALF * sizeof *claims);
    Pawl__V1__Progress progress = PAWL__V1__PROGRESS__INIT,
                       **all = malloc((HALF + 1) * sizeof *all);
    claim.id = progress.id = data(id, 16);
    claim.token = progress.token = 1;
    for (size_t i = 0; i < HALF; i++)
        claims[i] = &claim;
    for (size_t i = 0; i <= HALF; i++)
        all[i] = &progress;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    report.running = claims, report.n_running = HALF;
    report.progress = all, report.n_progress = HALF;
    Pawl__V1__Request frame = request();
    frame.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    frame.report = &report;
    expect(&frame, ERR_OK, "");
    report.n_progress++;
    expect(&frame, ERR_TOO_MANY, "report");
    free(claims);
    free(all);
}

static void outputs_and_chunks_hold_to_their_last_byte(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, LIMIT_OUTPUT + 1);
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    Pawl__V1__LogChunk chunk = PAWL__V1__LOG_CHUNK__INIT, *chunks[] = { &chunk };
    result.id = chunk.id = data(id, 16);
    result.token = chunk.token = 1;
    result.outcome = PAWL__V1__OUTCOME__OUTCOME_DONE;
    chunk.stream = 1;
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    Pawl__V1__Request frame = request();
    frame.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    frame.report = &report;
    report.results = results, report.n_results = 1;
    result.output = data(bytes, LIMIT_OUTPUT);
    expect(&frame, ERR_OK, "");
    result.output.len++;
    expect(&frame, ERR_TOO_LARGE, "report.results[0].output");
    report.n_results = 0, report.logs = chunks, report.n_logs = 1;
    chunk.data = data(bytes, LIMIT_LOG_CHUNK);
    expect(&frame, ERR_OK, "");
    chunk.data.len++;
    expect(&frame, ERR_TOO_LARGE, "report.logs[0].data");
    free(bytes);
}

static err_t task_is(Pawl__V1__Task *task, wire_fault_t *fault)
{
    frame_t frame;
    wire_pack(&task->base, frame_room, &frame);
    wire_arena_t arena;
    wire_arena_init(&arena);
    const Pawl__V1__Task *out;
    err_t err = wire_task_check(&arena, frame.at, frame.len, WIRE_TASK_SUBMITTED, &out, fault);
    wire_arena_free(&arena);
    free(frame.at);
    return err;
}

static void texts_of_a_task_hold_to_their_last_byte(void **state)
{
    (void)state;
    static const text_limit_t texts[] = {
        { offsetof(Pawl__V1__Task, queue), LIMIT_NAME, ERR_BAD_NAME, "queue" },
        { offsetof(Pawl__V1__Task, key), LIMIT_KEY, ERR_TOO_LARGE, "key" },
        { offsetof(Pawl__V1__Task, title), LIMIT_TITLE, ERR_TOO_LARGE, "title" },
        { offsetof(Pawl__V1__Task, operation), LIMIT_NAME, ERR_TOO_LARGE, "operation" },
        { offsetof(Pawl__V1__Task, input_type), LIMIT_NAME, ERR_TOO_LARGE, "input_type" },
    };
    wire_fault_t fault;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t more = 0; more < 2; more++) {
            Pawl__V1__Task task = PAWL__V1__TASK__INIT;
            task.id = data(id, 16), task.type = "a/b";
            char *text = fill_text(&task, &texts[i], more);
            assert_int_equal(task_is(&task, &fault), more ? texts[i].err : ERR_OK);
            if (more) assert_string_equal(fault.field, texts[i].field);
            free(text);
        }
    }
    uint8_t *input = calloc(1, LIMIT_INPUT + 1);
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    task.id = data(id, 16), task.type = "a/b";
    task.input = data(input, LIMIT_INPUT);
    assert_int_equal(task_is(&task, &fault), ERR_OK);
    task.input.len++;
    assert_int_equal(task_is(&task, &fault), ERR_TOO_LARGE);
    assert_non_null(strstr(fault.text, "1048577"));
    assert_non_null(strstr(fault.text, "1048576"));
    free(input);
}

static void a_frame_holds_eight_mebibytes_and_no_more(void **state)
{
    (void)state;
    frame_t frame = { calloc(1, LIMIT_MESSAGE + 1), LIMIT_MESSAGE + 1 };
    memcpy(frame.at, "\x0dPWL1", 5);
    wire_fault_t fault;
    assert_int_equal(decode(frame, &fault), ERR_TOO_LARGE);
    /* at the limit: a Submit with one task that fills the frame; its size is the task's affair */
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    ProtobufCBinaryData task = data(frame.at, LIMIT_MESSAGE - 64);
    submit.tasks = &task, submit.n_tasks = 1;
    Pawl__V1__Request self = request();
    self.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    self.submit = &submit;
    expect(&self, ERR_OK, "");
    free(frame.at);
}

/* ---- names and types --------------------------------------------------------------------- */

static void types_have_two_parts_of_plain_bytes(void **state)
{
    (void)state;
    static const char *const good[] = { "a/b", "mail/send", "A.b-c_9/x" };
    static const char *const bad[] = { "",      "/",    "a",     "a/",         "/b",  "a/b/c",
                                       "a b/c", "a/b ", "a\n/b", "\xC3\xA4/b", "a//b" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(wire_type_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(wire_type_valid(bad[i], strlen(bad[i])));
}

static void every_wrong_utf8_sequence_is_refused_at_every_place(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xBF",
        "\xC0\xAF",
        "\xC1\xBF",
        "\xC2",
        "\xE0\x80\xAF",
        "\xE2\x82",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x80\x80\xAF",
        "\xF0\x9F\x92",
        "\xF5\x80\x80\x80",
        "\xF4\x90\x80\x80",
        "\xFE",
        "\xFF",
        "\xC2\x41",
    };
    static const char *const good[] = { "\xC2\xA0",        "\xDF\xBF",     "\xE0\xA0\x80",
                                        "\xED\x9F\xBF",    "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
                                        "\xF4\x8F\xBF\xBF" };
    char text[40];
    for (size_t before = 0; before < 20; before++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            int len = snprintf(text, sizeof text, "%.*s%s", (int)before, "abcdefghijklmnopqrstuvw",
                               bad[i]);
            assert_false(wire_utf8_valid(text, (size_t)len));
            len = snprintf(text, sizeof text, "%.*s%szzzzzzzzz", (int)before,
                           "abcdefghijklmnopqrstuvw", bad[i]);
            assert_false(wire_utf8_valid(text, (size_t)len));
        }
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            int len = snprintf(text, sizeof text, "%.*s%szzzz", (int)before,
                               "abcdefghijklmnopqrstuvw", good[i]);
            assert_true(wire_utf8_valid(text, (size_t)len));
        }
        memset(text, 'a', sizeof text);
        text[before] = '\0';
        assert_false(wire_utf8_valid(text, 24));
        text[before] = '\x1F';
        assert_false(wire_name_valid(text, 24));
        text[before] = '\x7F';
        assert_false(wire_name_valid(text, 24));
        text[before] = '~';
        assert_true(wire_name_valid(text, 24));
    }
}

/* ---- hostile bytes ----------------------------------------------------------------------- */

/* A request with every kind of field in it. */
static frame_t rich_report(void)
{
    static Pawl__V1__Usage usage = PAWL__V1__USAGE__INIT;
    static Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result, &result };
    static Pawl__V1__Progress progress = PAWL__V1__PROGRESS__INIT, *all[] = { &progress };
    static Pawl__V1__LogChunk chunk = PAWL__V1__LOG_CHUNK__INIT, *chunks[] = { &chunk };
    static Pawl__V1__Claim claim = PAWL__V1__CLAIM__INIT, *claims[] = { &claim, &claim, &claim };
    usage.cpu_us = 1, usage.memory_bytes = 1 << 30;
    result.id = progress.id = chunk.id = claim.id = data(id, 16);
    result.token = progress.token = chunk.token = claim.token = UINT64_C(1) << 48;
    result.outcome = PAWL__V1__OUTCOME__OUTCOME_FAIL;
    result.exit_set_case = PAWL__V1__RESULT__EXIT_SET_EXIT_CODE, result.exit_code = -1;
    result.usage = &usage, result.message = "na\xC3\xAFve", result.output = data("{}", 2);
    progress.text = "half", chunk.stream = 2, chunk.data = data("x\0y", 3);
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    report.results = results, report.n_results = 2;
    report.progress = all, report.n_progress = 1;
    report.logs = chunks, report.n_logs = 1;
    report.running = claims, report.n_running = 3;
    report.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT;
    Pawl__V1__Request self = request();
    self.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    self.report = &report;
    return pack(&self);
}

static void a_frame_cut_anywhere_is_refused_or_shorter_never_read_past(void **state)
{
    (void)state;
    frame_t whole = rich_report();
    wire_fault_t fault;
    assert_int_equal(decode(whole, &fault), ERR_OK);
    for (size_t len = 0; len < whole.len; len++) {
        frame_t cut = { malloc(len ? len : 1), len };
        memcpy(cut.at, whole.at, len);
        assert_int_not_equal(decode(cut, &fault), ERR_OK);
        assert_true(fault.text[0] != '\0');
        free(cut.at);
    }
    free(whole.at);
}

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* What is accepted can be written again and is accepted again. */
static void check_accepted(const ProtobufCMessage *message)
{
    frame_t again;
    wire_pack(message, frame_room, &again);
    wire_fault_t fault;
    assert_int_equal(decode(again, &fault), ERR_OK);
    free(again.at);
}

static void mutated_frames_are_refused_or_sound(void **state)
{
    (void)state;
    frame_t whole = rich_report();
    uint64_t seed = 20261121;
    unsigned accepted = 0;
    wire_arena_t arena;
    wire_arena_init(&arena);
    for (int round = 0; round < 30000; round++) {
        size_t len = whole.len;
        uint8_t *bytes = malloc(len);
        memcpy(bytes, whole.at, len);
        for (uint64_t n = 1 + draw(&seed) % 4; n; n--) {
            size_t at = 5 + draw(&seed) % (len - 5);
            switch (draw(&seed) % 4) {
            case 0:
                bytes[at] = (uint8_t)draw(&seed);
                break;
            case 1:
                bytes[at] ^= (uint8_t)(1u << draw(&seed) % 8);
                break;
            case 2:
                bytes[at] = draw(&seed) % 2 ? 0xFF : 0x80;
                break;
            default: {
                size_t from = 5 + draw(&seed) % (len - 5), most = len - (from > at ? from : at);
                memmove(bytes + at, bytes + from, draw(&seed) % most);
            }
            }
        }
        const Pawl__V1__Request *out;
        wire_fault_t fault;
        if (wire_request_decode(&arena, bytes, len, &out, &fault)) {
            assert_true(arena.total == 0);
        } else {
            accepted++;
            check_accepted(&out->base);
            wire_arena_reset(&arena);
        }
        free(bytes);
    }
    wire_arena_free(&arena);
    free(whole.at);
    assert_true(accepted > 100); /* the mutation is not so wild that nothing passes */
}

static void small_items_cannot_take_more_memory_than_their_size_allows(void **state)
{
    (void)state;
    /* 4,000 empty labels of 2 bytes each would take 64 bytes each; the count is refused first in a
     * request, so ask for a reply, where only the arena's cap stands */
    enum { N = 400000 };
    size_t len = 0;
    uint8_t *bytes = malloc(2 * N + 32);
    memcpy(bytes, "\x0dPWR1", 5), len = 5;
    bytes[len++] = 0x82, bytes[len++] = 0x02; /* schedules = 32, length-delimited */
    size_t body = 2 * N;
    bytes[len++] = (uint8_t)(body | 0x80), bytes[len++] = (uint8_t)(body >> 7 | 0x80);
    bytes[len++] = (uint8_t)(body >> 14);
    for (size_t i = 0; i < N; i++)
        bytes[len++] = 0x0A, bytes[len++] = 0;
    wire_arena_t arena;
    wire_arena_init(&arena);
    const Pawl__V1__Reply *reply;
    wire_fault_t fault;
    assert_int_equal(wire_reply_decode(&arena, bytes, len, &reply, &fault), ERR_TOO_LARGE);
    assert_true(arena.total == 0);
    wire_arena_free(&arena);
    free(bytes);
}

/* ---- arena and helpers ------------------------------------------------------------------- */

static void an_arena_holds_many_requests_and_is_emptied_at_once(void **state)
{
    (void)state;
    wire_arena_t arena;
    wire_arena_init(&arena);
    frame_t frame = rich_report();
    const Pawl__V1__Request *first, *next;
    wire_fault_t fault;
    assert_int_equal(wire_request_decode(&arena, frame.at, frame.len, &first, &fault), ERR_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(wire_request_decode(&arena, frame.at, frame.len, &next, &fault), ERR_OK);
    memset(frame.at + 5, 0xFF, frame.len - 5); /* nothing of a request points into the frame */
    assert_memory_equal(first->report->results[1]->id.data, id, 16);
    assert_string_equal(first->report->results[1]->message, "na\xC3\xAFve");
    assert_true(arena.total > 0);
    wire_arena_reset(&arena);
    assert_true(arena.total == 0);
    uint8_t *large = wire_arena_take(&arena, 3 << 20);
    memset(large, 1, 3 << 20);
    wire_arena_reset(&arena);
    assert_non_null(wire_arena_take(&arena, 1));
    wire_arena_free(&arena);
    free(frame.at);
}

static void the_first_bytes_tell_what_a_frame_is(void **state)
{
    (void)state;
    assert_int_equal(wire_kind((const uint8_t *)"\x0dPWL1", 5), WIRE_REQUEST);
    assert_int_equal(wire_kind((const uint8_t *)"\x0dPWR1", 5), WIRE_REPLY);
    assert_int_equal(wire_kind((const uint8_t *)"\x0dPWP1", 5), WIRE_PUSH);
    assert_int_equal(wire_kind((const uint8_t *)"\x0dPWP2", 5), WIRE_NONE);
    assert_int_equal(wire_kind((const uint8_t *)"\x0dPWP", 4), WIRE_NONE);
}

static void seq_and_session_can_be_read_of_a_damaged_request(void **state)
{
    (void)state;
    frame_t frame = rich_report();
    uint64_t seq;
    const uint8_t *at;
    assert_true(wire_request_peek(frame.at, frame.len / 2, &seq, &at));
    assert_true(seq == 2);
    assert_memory_equal(at, session, 16);
    assert_false(wire_request_peek(frame.at, 5, &seq, &at));
    frame.at[frame.len - 1] = 0xFF;
    wire_fault_t fault;
    assert_int_not_equal(decode(frame, &fault), ERR_OK);
    assert_true(fault.seq == 2);
    free(frame.at);
}

static uint8_t *no_room(void *arg, size_t len)
{
    (void)arg;
    (void)len;
    return NULL;
}

static void a_reply_carries_the_fault_and_the_magic(void **state)
{
    (void)state;
    wire_fault_t fault = { ERR_BUSY, 7, 500000, "", "1025 requests in flight" };
    Pawl__V1__Error error;
    wire_fault_error(&fault, &error);
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    reply.seq = fault.seq;
    reply.error = &error;
    frame_t frame;
    assert_true(wire_reply_pack(&reply, frame_room, &frame) == frame.len);
    assert_true(wire_reply_pack(&reply, no_room, NULL) == 0);
    wire_arena_t arena;
    wire_arena_init(&arena);
    const Pawl__V1__Reply *out;
    assert_int_equal(wire_reply_decode(&arena, frame.at, frame.len, &out, &fault), ERR_OK);
    assert_int_equal(out->error->code, ERR_BUSY);
    assert_int_equal(out->error->retry_after_us, 500000);
    assert_string_equal(out->error->text, "1025 requests in flight");
    wire_arena_free(&arena);
    free(frame.at);
}

static void what_was_checked_once_reads_back_without_rules(void **state)
{
    (void)state;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    task.type = "no type of today's rules";
    task.on_lost = (Pawl__V1__OnLost)77;
    frame_t frame;
    wire_pack(&task.base, frame_room, &frame);
    wire_arena_t arena;
    wire_arena_init(&arena);
    const Pawl__V1__Task *out;
    wire_fault_t fault;
    assert_int_equal(wire_task_decode(&arena, frame.at, frame.len, &out, &fault), ERR_OK);
    assert_string_equal(out->type, task.type);
    assert_int_equal(out->on_lost, 77);
    wire_arena_free(&arena);
    free(frame.at);
}

/* ---- what others read of it ---------------------------------------------------------------- */

/* A task in `tail` behind a type: refused, and by whom. */
static void tail_of_a_task(const void *tail, size_t len, bool refused)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    wire_arena_t arena;
    const Pawl__V1__Task *out;
    wire_fault_t fault;
    frame_t frame;
    task.type = "test/work";
    wire_pack(&task.base, frame_room, &frame);
    frame.at = realloc(frame.at, frame.len + len);
    memcpy(frame.at + frame.len, tail, len);
    frame.len += len;
    wire_arena_init(&arena);
    err_t err = wire_task_check(&arena, frame.at, frame.len, WIRE_TASK_TEMPLATE, &out, &fault);
    assert_int_equal(err, refused ? ERR_BAD_REQUEST : ERR_OK);
    /* one that is on record since before this was refused is still read */
    assert_int_equal(wire_task_decode(&arena, frame.at, frame.len, &out, &fault), ERR_OK);
    Pawl__V1__Task *theirs = pawl__v1__task__unpack(NULL, frame.len, frame.at);
    assert_true((theirs == NULL) == refused);
    if (theirs) pawl__v1__task__free_unpacked(theirs, NULL);
    wire_arena_free(&arena);
    free(frame.at);
}

/* protobuf's readers take five bytes for the number of a field and for a length, and no more. */
static void numbers_of_fields_and_lengths_have_five_bytes_at_most(void **state)
{
    (void)state;
    tail_of_a_task("\xA0\x86\x80\x80\x00\x01", 6, false); /* field 100: a number */
    tail_of_a_task("\xA0\x86\x80\x80\x80\x00\x01", 7, true);
    tail_of_a_task("\xA2\x06\x81\x80\x80\x80\x00x", 8, false); /* field 100: a byte */
    tail_of_a_task("\xA2\x06\x81\x80\x80\x80\x80\x00x", 9, true);
    tail_of_a_task("\x12\x89\x80\x80\x80\x00test/work", 15, false); /* the type again */
    tail_of_a_task("\x12\x89\x80\x80\x80\x80\x00test/work", 16, true);
}

/* The sentence goes into a reply, whose texts are valid UTF-8, whatever it quotes and cuts. */
static void what_a_fault_quotes_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t before = 0; before < 4; before++) {
        char type[120];
        size_t len = before;
        memset(type, 'a', before);
        while (len + 4 < 110)
            memcpy(type + len, "\xF0\x9F\x92\xA9", 4), len += 4;
        type[len] = '\0';
        Pawl__V1__Task task = PAWL__V1__TASK__INIT;
        wire_arena_t arena;
        const Pawl__V1__Task *out;
        wire_fault_t fault;
        frame_t frame;
        task.type = type;
        wire_pack(&task.base, frame_room, &frame);
        wire_arena_init(&arena);
        assert_int_equal(
            wire_task_check(&arena, frame.at, frame.len, WIRE_TASK_TEMPLATE, &out, &fault),
            ERR_BAD_NAME);
        assert_true(wire_utf8_valid(fault.text, strlen(fault.text)));
        assert_non_null(strstr(fault.text, "is not category/name"));
        wire_arena_free(&arena);
        free(frame.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_hello_hold_to_their_last_byte),
        cmocka_unit_test(labels_hold_to_the_last_one),
        cmocka_unit_test(claims_hold_to_the_last_one),
        cmocka_unit_test(a_submit_holds_ten_thousand_tasks_and_no_more),
        cmocka_unit_test(items_of_a_report_count_together),
        cmocka_unit_test(outputs_and_chunks_hold_to_their_last_byte),
        cmocka_unit_test(texts_of_a_task_hold_to_their_last_byte),
        cmocka_unit_test(a_frame_holds_eight_mebibytes_and_no_more),
        cmocka_unit_test(types_have_two_parts_of_plain_bytes),
        cmocka_unit_test(every_wrong_utf8_sequence_is_refused_at_every_place),
        cmocka_unit_test(a_frame_cut_anywhere_is_refused_or_shorter_never_read_past),
        cmocka_unit_test(mutated_frames_are_refused_or_sound),
        cmocka_unit_test(small_items_cannot_take_more_memory_than_their_size_allows),
        cmocka_unit_test(an_arena_holds_many_requests_and_is_emptied_at_once),
        cmocka_unit_test(the_first_bytes_tell_what_a_frame_is),
        cmocka_unit_test(seq_and_session_can_be_read_of_a_damaged_request),
        cmocka_unit_test(a_reply_carries_the_fault_and_the_magic),
        cmocka_unit_test(what_was_checked_once_reads_back_without_rules),
        cmocka_unit_test(numbers_of_fields_and_lengths_have_five_bytes_at_most),
        cmocka_unit_test(what_a_fault_quotes_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

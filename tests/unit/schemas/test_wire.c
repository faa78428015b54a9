/* SPDX-License-Identifier: Apache-2.0
 * The checked decode of hostile bytes: frames cut at every byte, seeded mutation, memory, what
 * others read of it. What single frames mean is in schemas/vectors/ (test_vectors.c). */
#include "tests/unit/schemas/wire_kit.h"

#include "schemas/wire_unpack.h"

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
    task.type = "test/work";
    frame_t frame = frame_of(&task.base);
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

static void any_bytes_make_a_line_that_every_reader_takes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        size_t most;
    } cases[] = {
        { "plain", "plain", 100 },
        { "tab\tnew\nline", "tab new line", 100 },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 100 },
        { "\xc3", "?", 100 },
        { "\xc0\xaf\xed\xa0\x80", "?????", 100 },
        { "\xc2\x85x\x7f", "?x?", 100 },
        { "\xe2\x82", "??", 100 },
        { "ab\xe2\x82\xac", "ab", 4 }, /* never half a character */
        { "abc", "ab", 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        strcpy(text, cases[i].in);
        wire_text_line(text, cases[i].most + 1, text, strlen(text));
        assert_string_equal(text, cases[i].out);
        assert_true(wire_text_valid((uint8_t *)text, strlen(text), TEXT_LINE));
    }
    char text[8];
    wire_text_line(text, sizeof text, "a\0b", 3);
    assert_string_equal(text, "a?b");
    wire_text_line(text, 1, "abc", 3);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(any_bytes_make_a_line_that_every_reader_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * The limits of the wire at n and n + 1, and what names, types and texts may consist of. */
#include "tests/unit/schemas/wire_kit.h"

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
    frame_t frame = frame_of(&task->base);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * bench_wire - what the checked decode of a Submit and of a Report costs, beside the packaged
 * protobuf_c_message_unpack. Prints microseconds an item, best of several rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schemas/wire.h"

enum { ITEMS = 64, ROUNDS = 40, REPEATS = 400 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint8_t frame[1 << 20];
static uint8_t *room(void *arg, size_t len)
{
    (void)arg;
    return len <= sizeof frame ? frame : NULL;
}

static ProtobufCBinaryData data(void *at, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = at };
}

static uint8_t id[16] = "0123456789abcde", session[16] = "sessionsessions";

static size_t make_submit(size_t *task_len)
{
    static uint8_t packed[ITEMS][512];
    static ProtobufCBinaryData tasks[ITEMS];
    char input[141] = "{\"to\":\"somebody@example.org\",\"template\":\"welcome\",\"values\":{";
    memset(input + strlen(input), 'x', 140 - strlen(input));
    Pawl__V1__Label label = PAWL__V1__LABEL__INIT, *labels[] = { &label };
    label.key = "team", label.value = "ops";
    for (int i = 0; i < ITEMS; i++) {
        Pawl__V1__Task task = PAWL__V1__TASK__INIT;
        task.id = data(id, 16);
        task.type = "mail/send", task.queue = "default", task.key = "order-2026-000017";
        task.priority_set_case = PAWL__V1__TASK__PRIORITY_SET_PRIORITY, task.priority = 3;
        task.input = data(input, 140);
        task.labels = labels, task.n_labels = 1;
        task.time_limit_us = 600000000;
        task.title = "welcome mail";
        *task_len = pawl__v1__task__pack(&task, packed[i]);
        tasks[i] = data(packed[i], *task_len);
    }
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    submit.tasks = tasks, submit.n_tasks = ITEMS;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.seq = 77, request.session = data(session, 16);
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT, request.submit = &submit;
    return wire_request_pack(&request, room, NULL);
}

static size_t make_report(void)
{
    static Pawl__V1__Result results[ITEMS], *list[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        results[i] = (Pawl__V1__Result)PAWL__V1__RESULT__INIT;
        results[i].id = data(id, 16);
        results[i].token = UINT64_C(1) << 48 | 5;
        results[i].outcome = PAWL__V1__OUTCOME__OUTCOME_DONE;
        results[i].started_us = 1790000000000000, results[i].ended_us = 1790000000500000;
        list[i] = &results[i];
    }
    Pawl__V1__Report report = PAWL__V1__REPORT__INIT;
    report.results = list, report.n_results = ITEMS;
    report.credit_set_case = PAWL__V1__REPORT__CREDIT_SET_CREDIT, report.credit = 64;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    request.seq = 78, request.session = data(session, 16);
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT, request.report = &report;
    return wire_request_pack(&request, room, NULL);
}

static void fail(const wire_fault_t *fault)
{
    fprintf(stderr, "bench_wire: %s: %s\n", fault->field, fault->text);
    exit(1);
}

static void checked(wire_arena_t *arena, size_t len)
{
    const Pawl__V1__Request *request;
    wire_fault_t fault;
    wire_arena_reset(arena);
    if (wire_request_decode(arena, frame, len, &request, &fault)) fail(&fault);
    for (size_t i = 0; request->submit && i < request->submit->n_tasks &&
                       request->body_case == PAWL__V1__REQUEST__BODY_SUBMIT;
         i++) {
        const Pawl__V1__Task *task;
        const ProtobufCBinaryData *bytes = &request->submit->tasks[i];
        if (wire_task_check(arena, bytes->data, bytes->len, WIRE_TASK_SUBMITTED, &task, &fault))
            fail(&fault);
    }
}

static void packaged(wire_arena_t *arena, size_t len)
{
    wire_arena_reset(arena);
    Pawl__V1__Request *request = pawl__v1__request__unpack(&arena->allocator, len, frame);
    if (!request) exit(1);
    if (request->body_case != PAWL__V1__REQUEST__BODY_SUBMIT) return;
    for (size_t i = 0; i < request->submit->n_tasks; i++) {
        const ProtobufCBinaryData *bytes = &request->submit->tasks[i];
        if (!pawl__v1__task__unpack(&arena->allocator, bytes->len, bytes->data)) exit(1);
    }
}

static double measure(void (*run)(wire_arena_t *, size_t), size_t len)
{
    wire_arena_t arena;
    wire_arena_init(&arena);
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double from = now_us();
        for (int i = 0; i < REPEATS; i++)
            run(&arena, len);
        double each = (now_us() - from) / REPEATS / ITEMS;
        if (each < best) best = each;
    }
    wire_arena_free(&arena);
    return best;
}

int main(void)
{
    size_t task_len = 0, len = make_submit(&task_len);
    printf("wire: submit of %d tasks of %zu bytes: %.3f us a task checked, %.3f unchecked "
           "(protobuf-c)\n",
           ITEMS, task_len, measure(checked, len), measure(packaged, len));
    len = make_report();
    printf("wire: report of %d results: %.3f us a result checked, %.3f unchecked (protobuf-c)\n",
           ITEMS, measure(checked, len), measure(packaged, len));
    return 0;
}

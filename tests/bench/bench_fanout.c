/* SPDX-License-Identifier: Apache-2.0
 * bench-fanout FOLDER [HOSTS [AT_ONCE]] - one fan-out to so many enrolled executors (10,000), on
 * LMDB and through core alone: the commit that writes parent and children with nobody connected,
 * the same with all connected (their leases are in it), the first report, the rest; then what is
 * done to all of it at once, in how many commits, and how long the longest of them took. One line
 * each, wall time with the commit and its sync. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "broker/core/core.h"
#include "client/base/ulid.h"
#include "schemas/limits.h"

enum { FIRST_CONN = 10 };

typedef struct bench {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t clock_us;
    uint64_t seq;
    uint8_t random;
    ulid_t parent;           /* the last one */
    Pawl__V1__Push **pushes; /* the last Assign of each connection */
    size_t hosts;
} bench_t;

static double now_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void keep_pushes(bench_t *self)
{
    for (size_t i = 0; i < self->out.n; i++) {
        const output_t *out = &self->out.items[i];
        if (out->kind != OUT_PUSH || out->conn < FIRST_CONN) continue;
        size_t at = (size_t)(out->conn - FIRST_CONN);
        if (self->pushes[at]) pawl__v1__push__free_unpacked(self->pushes[at], NULL);
        self->pushes[at] = pawl__v1__push__unpack(NULL, out->len, self->out.bytes.at + out->at);
    }
}

static double step(bench_t *self, const command_t *commands, size_t n)
{
    self->clock_us += 1000;
    batch_t batch = {
        .wall_us = self->clock_us, .steady_us = self->clock_us, .commands = commands, .n = n
    };
    memset(batch.random, ++self->random, sizeof batch.random);
    double began = now_s();
    CHECK(core_step(self->core, &batch, &self->out) == ERR_OK);
    double took = now_s() - began;
    keep_pushes(self);
    return took;
}

static double ask(bench_t *self, conn_t conn, Pawl__V1__Request *request)
{
    request->seq = ++self->seq;
    command_t command = {
        .kind = CMD_REQUEST, .conn = conn, .principal = "uid:1", .request = request
    };
    return step(self, &command, 1);
}

static void join(bench_t *self, size_t nth)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    Pawl__V1__Label role = PAWL__V1__LABEL__INIT, *labels[] = { &role };
    char name[32], *types[] = { (char *)(uintptr_t) "pawl/shell" };
    uint8_t incarnation[16] = { 1 };
    snprintf(name, sizeof name, "host-%05zu", nth);
    be_put_u64(incarnation + 8, nth);
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t) "web";
    hello.minor = WIRE_MINOR;
    hello.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    hello.name = name;
    hello.incarnation = (ProtobufCBinaryData){ sizeof incarnation, incarnation };
    hello.types = types;
    hello.n_types = 1;
    hello.labels = labels;
    hello.n_labels = 1;
    hello.slots = hello.credit = 2;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &hello;
    ask(self, FIRST_CONN + nth, &request);
}

static double fan_out(bench_t *self, uint8_t nth)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    uint8_t random[10] = { nth }, bytes[256];
    ulid_t id = self->parent = ulid_make(self->clock_us, random);
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.type = (char *)(uintptr_t) "pawl/shell";
    command.shell = (char *)(uintptr_t) "true";
    task.command = &command;
    task.fanout = &fanout;
    fanout.offline = PAWL__V1__FANOUT_OFFLINE__FANOUT_WAIT;
    ProtobufCBinaryData one = { pawl__v1__task__pack(&task, bytes), bytes };
    submit.tasks = &one;
    submit.n_tasks = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    request.submit = &submit;
    return ask(self, 1, &request);
}

static double report(bench_t *self, size_t nth)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report body = PAWL__V1__REPORT__INIT;
    Pawl__V1__Push *push = self->pushes[nth];
    CHECK(push && push->body_case == PAWL__V1__PUSH__BODY_ASSIGN);
    size_t n = push->assign->n_leases;
    Pawl__V1__Result results[8], *list[8];
    CHECK(n <= ARRAY_LEN(results));
    for (size_t i = 0; i < n; i++) {
        pawl__v1__result__init(&results[i]);
        results[i].id = push->assign->leases[i]->id;
        results[i].token = push->assign->leases[i]->token;
        results[i].outcome = PAWL__V1__OUTCOME__OUTCOME_DONE;
        list[i] = &results[i];
    }
    body.results = list;
    body.n_results = n;
    request.assign_seen = push->assign->number;
    request.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    request.report = &body;
    return ask(self, FIRST_CONN + nth, &request);
}

/* A word to the parent made with `nth`; then whatever the core has left to do at once. */
static void change(bench_t *self, Pawl__V1__TaskVerb verb, const char *name)
{
    static uint8_t nth;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskChange body = PAWL__V1__TASK_CHANGE__INIT;
    ProtobufCBinaryData one = { 16, self->parent.at };
    uint8_t request_id[16] = { ++nth };
    body.verb = verb;
    body.ids = &one;
    body.n_ids = 1;
    request.request_id = (ProtobufCBinaryData){ sizeof request_id, request_id };
    request.body_case = PAWL__V1__REQUEST__BODY_TASK_CHANGE;
    request.task_change = &body;
    double all = ask(self, 1, &request), longest = all;
    unsigned commits = 1;
    for (; core_next_due_us(self->core) <= self->clock_us; commits++) {
        double took = step(self, NULL, 0);
        all += took;
        if (took > longest) longest = took;
    }
    printf("%-6s the tree: %u commits, %.3f s, the longest %.3f s\n", name, commits, all, longest);
}

static uint64_t running(const bench_t *self)
{
    core_stats_t stats;
    core_stats(self->core, &stats);
    free(stats.queues);
    return stats.counts[PAWL__V1__TASK_STATUS__STATUS_RUNNING];
}

int main(int argc, char **argv)
{
    bench_t self = { .clock_us = INT64_C(1790000000) * 1000000,
                     .hosts = argc > 2 ? strtoul(argv[2], NULL, 10) : 10000 };
    core_config_t config;
    int64_t holder;
    uint8_t random[32] = { 7 };
    if (argc < 2) return fprintf(stderr, "usage: bench-fanout FOLDER [HOSTS [AT_ONCE]]\n"), 2;
    core_config_default(&config);
    if (argc > 3) config.children_at_once = (uint32_t)strtoul(argv[3], NULL, 10);
    self.pushes = mem_new(self.hosts * sizeof(Pawl__V1__Push *));
    CHECK(store_open(&self.store, argv[1], (uint64_t)DEFAULT_MAP_BYTES, 0, &holder) == ERR_OK);
    CHECK(core_open(&self.core, self.store, &config, self.clock_us, self.clock_us, random) ==
          ERR_OK);
    double began = now_s();
    for (size_t i = 0; i < self.hosts; i++)
        join(&self, i);
    printf("%zu executors said Hello, one commit each: %.1f s\n", self.hosts, now_s() - began);
    for (size_t i = 0; i < self.hosts; i++) { /* gone, and enrolled */
        command_t gone = { .kind = CMD_GONE, .conn = FIRST_CONN + i };
        if (i % 1000 == 0) step(&self, &gone, 1);
    }
    printf("parent and %zu children, all connected, one commit: %.3f s\n", self.hosts,
           fan_out(&self, 1));
    printf("the first report: %.4f s, tasks that run then: %llu\n", report(&self, 1),
           (unsigned long long)running(&self));
    began = now_s();
    for (size_t i = 2; i < self.hosts; i++)
        if (i % 1000) report(&self, i);
    printf("the others, one commit each: %.4f ms a report, tasks that run then: %llu\n",
           (now_s() - began) * 1000 / (double)self.hosts, (unsigned long long)running(&self));
    core_close(&self.core);
    CHECK(core_open(&self.core, self.store, &config, self.clock_us, self.clock_us, random) ==
          ERR_OK);
    printf("parent and %zu children, nobody connected, one commit: %.3f s\n", self.hosts,
           fan_out(&self, 2));
    change(&self, PAWL__V1__TASK_VERB__TASK_HOLD, "hold");
    change(&self, PAWL__V1__TASK_VERB__TASK_START, "start");
    change(&self, PAWL__V1__TASK_VERB__TASK_CANCEL, "cancel");
    change(&self, PAWL__V1__TASK_VERB__TASK_RETRY, "retry");
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("memory at most %ld MiB\n", usage.ru_maxrss / 1024);
    core_close(&self.core);
    store_close(&self.store);
    outputs_free(&self.out);
    for (size_t i = 0; i < self.hosts; i++)
        if (self.pushes[i]) pawl__v1__push__free_unpacked(self.pushes[i], NULL);
    free(self.pushes);
    return 0;
}

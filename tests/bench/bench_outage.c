/* SPDX-License-Identifier: Apache-2.0
 * bench-outage FOLDER [SCHEDULES] - so many minute schedules (100) after a year without a broker,
 * on LMDB and through core alone, mode by mode: what the start costs, the batch in which all of
 * them are proposed, and the one behind it, in which live schedules have their turn. One line a
 * mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "broker/core.h"
#include "client/time/zone.h"

#define SECOND INT64_C(1000000)
#define YEAR   (365 * 86400 * SECOND)

typedef struct bench {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t clock_us;
    uint64_t seq;
    uint8_t random;
    size_t schedules;
    struct plan {
        uint8_t uid[16];
        uint64_t revision;
        int64_t cursor_us;
    } * plans;
} bench_t;

typedef struct mode {
    const char *name;
    Pawl__V1__Mode mode;
    bool live_first;
} outage_mode_t;

static double now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static long memory_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static double step(bench_t *self, const command_t *command)
{
    batch_t batch = { .wall_us = self->clock_us,
                      .steady_us = self->clock_us,
                      .commands = command,
                      .n = command != NULL };
    memset(batch.random, ++self->random, sizeof batch.random);
    double began = now_ms();
    CHECK(core_step(self->core, &batch, &self->out) == ERR_OK);
    return now_ms() - began;
}

static double ask(bench_t *self, Pawl__V1__Request *request, Pawl__V1__Reply **reply)
{
    request->seq = ++self->seq;
    command_t command = {
        .kind = CMD_REQUEST, .conn = 1, .principal = "uid:1", .request = request
    };
    double took = step(self, &command);
    *reply = NULL;
    for (size_t i = 0; i < self->out.n; i++)
        if (self->out.items[i].kind == OUT_REPLY)
            *reply = pawl__v1__reply__unpack(NULL, self->out.items[i].len,
                                             self->out.bytes.at + self->out.items[i].at);
    CHECK(*reply && (*reply)->error == NULL);
    return took;
}

static void open_core(bench_t *self, const char *folder)
{
    core_config_t config;
    uint8_t random[32] = { 7 };
    int64_t holder;
    core_config_default(&config);
    CHECK(store_open(&self->store, folder, UINT64_C(1) << 30, 0, &holder) == ERR_OK);
    CHECK(core_open(&self->core, self->store, &config, self->clock_us, self->clock_us, random) ==
          ERR_OK);
}

static void put(bench_t *self, size_t i, const outage_mode_t *mode)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Reply *reply;
    uint8_t packed[100], id[16] = { 1 };
    char name[32];
    snprintf(name, sizeof name, "minute-%05zu", i);
    be_put_u64(id + 8, i);
    command.shell = (char *)(uintptr_t) "true";
    task.type = (char *)(uintptr_t) "pawl/shell";
    task.command = &command;
    schedule.name = name;
    schedule.rule = (char *)(uintptr_t) "* * * * *";
    schedule.zone = (char *)(uintptr_t) "UTC";
    schedule.mode = mode->mode;
    schedule.live_first = mode->live_first;
    schedule.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, packed), packed };
    body.schedule = &schedule;
    request.request_id = (ProtobufCBinaryData){ 16, id };
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &body;
    ask(self, &request, &reply);
    const Pawl__V1__ScheduleInfo *info = reply->changed->schedule;
    memcpy(self->plans[i].uid, info->uid.data, 16);
    self->plans[i].revision = info->revision;
    self->plans[i].cursor_us = info->cursor_us;
    pawl__v1__reply__free_unpacked(reply, NULL);
}

/* All of them in one request, as a scheduler does. */
static double propose(bench_t *self, uint64_t *fired, uint64_t *skipped)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Propose body = PAWL__V1__PROPOSE__INIT;
    Pawl__V1__Reply *reply;
    Pawl__V1__Proposal *items = mem_new(self->schedules * sizeof *items);
    Pawl__V1__Proposal **list = mem_new(self->schedules * sizeof *list);
    for (size_t i = 0; i < self->schedules; i++) {
        pawl__v1__proposal__init(&items[i]);
        items[i].uid = (ProtobufCBinaryData){ 16, self->plans[i].uid };
        items[i].revision = self->plans[i].revision;
        items[i].expect_cursor_us = self->plans[i].cursor_us;
        items[i].new_cursor_us = self->clock_us / SECOND * SECOND;
        list[i] = &items[i];
    }
    body.items = list;
    body.n_items = self->schedules;
    request.body_case = PAWL__V1__REQUEST__BODY_PROPOSE;
    request.propose = &body;
    double took = ask(self, &request, &reply);
    for (size_t i = 0; i < reply->proposed->n_items; i++) {
        self->plans[i].cursor_us = reply->proposed->items[i]->cursor_us;
        *fired += reply->proposed->items[i]->fired;
        *skipped += reply->proposed->items[i]->skipped;
    }
    pawl__v1__reply__free_unpacked(reply, NULL);
    free(items);
    free(list);
    return took;
}

static void run(const char *folder, size_t schedules, const outage_mode_t *mode)
{
    bench_t self = { .clock_us = INT64_C(1790000000) * SECOND, .schedules = schedules };
    buf_t utc = { 0 };
    uint64_t fired = 0, skipped = 0;
    self.plans = mem_new(schedules * sizeof *self.plans);
    open_core(&self, folder);
    CHECK(zone_read_file("UTC", NULL, &utc) == ERR_OK);
    command_t zone = { .kind = CMD_ZONE, .name = "UTC", .bytes = slice(utc.at, utc.len) };
    step(&self, &zone);
    for (size_t i = 0; i < schedules; i++)
        put(&self, i, mode);
    core_close(&self.core);
    store_close(&self.store);
    self.clock_us += YEAR;
    double began = now_ms();
    open_core(&self, folder);
    double start = now_ms() - began;
    double first = propose(&self, &fired, &skipped);
    self.clock_us += 60 * SECOND;
    double next = propose(&self, &fired, &skipped);
    printf("%-18s start %7.2f ms   first batch %7.2f ms   next %7.2f ms   fired %llu   skipped or "
           "split %llu   memory %ld KiB\n",
           mode->name, start, first, next, (unsigned long long)fired, (unsigned long long)skipped,
           memory_kib());
    core_close(&self.core);
    store_close(&self.store);
    outputs_free(&self.out);
    buf_free(&utc);
    free(self.plans);
}

int main(int argc, char **argv)
{
    static const outage_mode_t modes[] = {
        { "normal", PAWL__V1__MODE__MODE_NORMAL, false },
        { "latest", PAWL__V1__MODE__MODE_LATEST, false },
        { "strict", PAWL__V1__MODE__MODE_STRICT, false },
        { "strict, live first", PAWL__V1__MODE__MODE_STRICT, true },
    };
    if (argc < 2) {
        fprintf(stderr, "usage: bench-outage FOLDER [SCHEDULES]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%s/%zu", argv[1], i);
        run(folder, argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 100, &modes[i]);
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * old-store FOLDER DAYS - a broker's store as it was left so many days ago, on LMDB and through
 * core alone: a minute schedule in each mode, named as the table below says. Whoever starts a
 * broker on it starts behind an outage of that length. Tasks are of the type bench/nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/core.h"
#include "client/base/clock.h"
#include "client/time/zone.h"

#define DAY_US INT64_C(86400000000)

typedef struct old {
    store_t *store;
    core_t *core;
    outputs_t out;
    int64_t wall_us;
    uint64_t seq;
} old_t;

static const struct plan {
    char *name;
    Pawl__V1__Mode mode;
    bool live_first;
    uint32_t rate, ahead;
} plans[] = {
    { "year-normal", PAWL__V1__MODE__MODE_NORMAL, false, 0, 0 },
    { "year-latest", PAWL__V1__MODE__MODE_LATEST, false, 0, 0 },
    { "year-strict", PAWL__V1__MODE__MODE_STRICT, false, 0, 0 },
    { "year-live-first", PAWL__V1__MODE__MODE_STRICT, true, 0, 0 },
    { "year-fast", PAWL__V1__MODE__MODE_STRICT, false, 1000,
      1000000 }, /* as fast as core lets it */
};

static void step(old_t *self, const command_t *command)
{
    batch_t batch = {
        .wall_us = self->wall_us, .steady_us = self->wall_us, .commands = command, .n = 1
    };
    be_put_u64(batch.random, ++self->seq);
    CHECK(core_step(self->core, &batch, &self->out) == ERR_OK);
}

static void ask(old_t *self, Pawl__V1__Request *request)
{
    uint8_t id[16] = { 1 };
    be_put_u64(id + 8, self->seq);
    request->seq = self->seq + 1;
    request->request_id = (ProtobufCBinaryData){ sizeof id, id };
    command_t command = {
        .kind = CMD_REQUEST, .conn = 1, .principal = "uid:0", .request = request
    };
    step(self, &command);
    for (size_t i = 0; i < self->out.n; i++) {
        const output_t *out = &self->out.items[i];
        if (out->kind != OUT_REPLY) continue;
        Pawl__V1__Reply *reply =
            pawl__v1__reply__unpack(NULL, out->len, self->out.bytes.at + out->at);
        CHECK(reply && reply->error == NULL);
        pawl__v1__reply__free_unpacked(reply, NULL);
    }
}

/* Somebody must have announced the type. */
static void hello(old_t *self)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Hello body = PAWL__V1__HELLO__INIT;
    uint8_t incarnation[16] = { 1 };
    char *types[] = { "bench/nobody" };
    body.minor = WIRE_MINOR;
    body.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    body.name = "old";
    body.incarnation = (ProtobufCBinaryData){ sizeof incarnation, incarnation };
    body.types = types;
    body.n_types = 1;
    request.body_case = PAWL__V1__REQUEST__BODY_HELLO;
    request.hello = &body;
    ask(self, &request);
}

static void put(old_t *self, const struct plan *plan)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut body = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule schedule = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    uint8_t packed[100];
    task.type = "bench/nobody";
    schedule.name = plan->name;
    schedule.rule = "* * * * *";
    schedule.zone = "UTC";
    schedule.mode = plan->mode;
    schedule.overlap = PAWL__V1__OVERLAP__OVERLAP_ALLOW;
    schedule.live_first = plan->live_first;
    schedule.rate = plan->rate;
    schedule.ahead = plan->ahead;
    schedule.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, packed), packed };
    body.schedule = &schedule;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &body;
    ask(self, &request);
}

static void pause_it(old_t *self, const struct plan *plan)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    body.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_PAUSE;
    body.name = plan->name;
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    request.schedule_change = &body;
    ask(self, &request);
}

int main(int argc, char **argv)
{
    old_t self = { 0 };
    core_config_t config;
    uint8_t random[32] = { 3 };
    int64_t holder;
    buf_t utc = { 0 };
    if (argc != 3) {
        fprintf(stderr, "usage: old-store FOLDER DAYS\n");
        return 2;
    }
    self.wall_us = clock_wall_us() - strtoll(argv[2], NULL, 10) * DAY_US;
    core_config_default(&config);
    CHECK(store_open(&self.store, argv[1], UINT64_C(1) << 30, 0, &holder) == ERR_OK);
    CHECK(core_open(&self.core, self.store, &config, self.wall_us, self.wall_us, random) == ERR_OK);
    CHECK(zone_read_file("UTC", NULL, &utc) == ERR_OK);
    command_t zone = { .kind = CMD_ZONE, .name = "UTC", .bytes = slice(utc.at, utc.len) };
    step(&self, &zone);
    hello(&self);
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        put(&self, &plans[i]);
        pause_it(&self, &plans[i]);
    }
    core_close(&self.core);
    store_close(&self.store);
    outputs_free(&self.out);
    buf_free(&utc);
    return 0;
}

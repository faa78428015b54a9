/* SPDX-License-Identifier: Apache-2.0
 * The actor that owns core: what it does when the store takes nothing. */
#include "tests/unit/broker/query_world.h"

#include <czmq.h>
#include <stdatomic.h>

#include "broker/writer.h"
#include "client/base/clock.h"

static atomic_bool full;

static memstore_commit_t on_commit(void *arg, uint64_t number)
{
    (void)arg;
    (void)number;
    return full ? MEMSTORE_COMMIT_REFUSED : MEMSTORE_COMMIT_OK;
}

enum { PATIENCE_US = 60000000, AGAIN_US = 200000 /* as in broker/writer.c */ };

/* Takes what the writer hands up within `us`, or what comes first: how many batches were refused,
 * and was one done? */
static unsigned refusals(writer_t *writer, int64_t us, bool *done)
{
    unsigned n = 0;
    *done = false;
    int64_t end = clock_steady_us() + us, given_up = clock_steady_us() + PATIENCE_US;
    while (!*done && clock_steady_us() < (n ? end : given_up)) {
        zmq_pollitem_t item = { writer_socket(writer), 0, ZMQ_POLLIN, 0 };
        zmq_poll(&item, 1, 10);
        letter_t letter;
        while (letter_take(writer_socket(writer), &letter)) {
            job_t *job = letter.object;
            n += job->refused;
            *done |= !job->refused;
            job_free(&job);
        }
    }
    return n;
}

static void a_timer_that_finds_the_store_full_is_tried_again_and_not_without_pause(void **state)
{
    (void)state;
    core_config_t config;
    uint8_t random[32] = { 42 };
    world_open(&world);
    world_executor(&world, 1, "idle", 0);
    Pawl__V1__Task task;
    uint8_t id[16];
    world_task(&task);
    task.expire_us = 1000;
    world_submit(&world, &task, id);
    core_close(&world.core);
    core_config_default(&config);
    core_t *core = NULL; /* opened years later: it is long due */
    assert_int_equal(
        core_open(&core, world.store, &config, clock_wall_us(), clock_steady_us(), random), ERR_OK);
    full = true;
    memstore_faults(world.store)->on_commit = on_commit;
    writer_t *writer;
    assert_int_equal(writer_start(&writer, core, world.store, NULL, NULL), ERR_OK);
    bool done;
    int64_t began = clock_steady_us();
    unsigned n = refusals(writer, 500000, &done);
    assert_false(done);
    assert_in_range(n, 1, (clock_steady_us() - began) / AGAIN_US + 2);
    full = false;
    refusals(writer, PATIENCE_US, &done);
    assert_true(done);
    writer_stop(&writer); /* closes core and store */
    world.store = NULL;
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_that_finds_the_store_full_is_tried_again_and_not_without_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

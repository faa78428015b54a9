/* SPDX-License-Identifier: Apache-2.0
 * Schedules whose template is a fan-out: what each overlap policy does to the firings that still
 * run, and to how many of them. After each test memory is the store's and the check finds nothing.
 */
#include "tests/unit/broker/family_world.h"

#include "broker/check.h"

#define OVERLAP(name) PAWL__V1__OVERLAP__OVERLAP_##name
#define MINUTE        INT64_C(60000000)

static ulid_t seen[64];
static size_t seen_n;

static int begin(void **state)
{
    seen_n = 0;
    return setup(state);
}

static int whole(void **state)
{
    world_t *w = *state;
    size_t problems = 1;
    assert_int_equal(check_store(w->store, stderr, &problems), ERR_OK);
    assert_int_equal(problems, 0);
    return teardown(state);
}

/* Each minute, to all of role=web. */
static const Pawl__V1__ScheduleInfo *sweep(world_t *w, Pawl__V1__Overlap overlap, uint32_t most)
{
    import_utc(w);
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    Pawl__V1__Label role = PAWL__V1__LABEL__INIT, *labels[] = { &role };
    uint8_t request_id[16] = { 7, 7, 7 }, bytes[200];
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t) "web";
    fanout.labels = labels;
    fanout.n_labels = 1;
    command.shell = (char *)(uintptr_t) "true";
    task.type = (char *)(uintptr_t) "pawl/shell";
    task.command = &command;
    task.fanout = &fanout;
    s.name = (char *)(uintptr_t) "sweep";
    s.rule = (char *)(uintptr_t) "* * * * *";
    s.zone = (char *)(uintptr_t) "UTC";
    s.mode = overlap == OVERLAP(SKIP) ? PAWL__V1__MODE__MODE_NORMAL : PAWL__V1__MODE__MODE_STRICT;
    s.ahead = 50;
    s.overlap = overlap;
    s.max_running = most;
    s.task.data = bytes;
    s.task.len = pawl__v1__task__pack(&task, bytes);
    put.schedule = &s;
    r.request_id.data = request_id;
    r.request_id.len = 16;
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    r.schedule_put = &put;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    if (reply->error) print_message("%s %s\n", reply->error->field, reply->error->text);
    assert_null(reply->error);
    return reply->changed->schedule;
}

/* What was handed out now and not before: an Assign that nobody has confirmed is sent again. */
static size_t newly(world_t *w, handed_t *all, size_t room)
{
    handed_t got[16];
    size_t n = 0;
    for (size_t i = 0, had = handed_out(w, got, ARRAY_LEN(got)); i < had; i++) {
        bool known = false;
        for (size_t k = 0; k < seen_n; k++)
            known |= memcmp(seen[k].at, got[i].id.at, 16) == 0;
        if (known || n == room) continue;
        seen[seen_n++] = got[i].id;
        all[n++] = got[i];
    }
    return n;
}

/* A minute passes, and the schedule's next firing is proposed. */
static int64_t next_minute(world_t *w, const Pawl__V1__ScheduleInfo *info, int64_t cursor)
{
    pass(w, cursor == info->cursor_us ? info->next_us - w->wall_us : MINUTE);
    return propose(w, info, cursor)->cursor_us;
}

static void cancel_stops_every_running_fan_out_of_the_schedule(void **state)
{
    world_t *w = *state;
    handed_t first[8], second[8], third[8];
    join_all(w, 2);
    const Pawl__V1__ScheduleInfo *info = sweep(w, OVERLAP(CANCEL), 2);
    int64_t cursor = next_minute(w, info, info->cursor_us);
    assert_int_equal(newly(w, first, 8), 2);
    cursor = next_minute(w, info, cursor);
    assert_int_equal(newly(w, second, 8), 2);
    assert_false(look_up(w, first[0].parent)->cancelling); /* there was room for two */
    next_minute(w, info, cursor);
    assert_true(look_up(w, first[0].parent)->cancelling);
    assert_true(look_up(w, second[0].parent)->cancelling);
    for (unsigned i = 0; i < 2; i++)
        ends(w, &first[i], PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_int_equal(newly(w, third, 8), 2); /* its turn has come */
    assert_status(w, first[0].parent, CANCELLED);
    for (unsigned i = 0; i < 2; i++)
        ends(w, &second[i], PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_status(w, second[0].parent, CANCELLED);
    for (unsigned i = 0; i < 2; i++)
        ends(w, &third[i], DONE);
    assert_status(w, third[0].parent, FINISHED);
}

static void kill_ends_every_running_fan_out_on_record_at_once(void **state)
{
    world_t *w = *state;
    handed_t first[8], second[8], third[8];
    join_all(w, 2);
    const Pawl__V1__ScheduleInfo *info = sweep(w, OVERLAP(KILL), 2);
    int64_t cursor = next_minute(w, info, info->cursor_us);
    newly(w, first, 8);
    cursor = next_minute(w, info, cursor);
    newly(w, second, 8);
    next_minute(w, info, cursor);
    assert_int_equal(newly(w, third, 8), 2);
    assert_status(w, first[0].parent, CANCELLED);
    assert_status(w, second[0].parent, CANCELLED);
    assert_status(w, second[1].id, CANCELLED);
    for (unsigned i = 0; i < 2; i++)
        ends(w, &third[i], DONE);
    assert_status(w, third[0].parent, FINISHED);
}

static void skip_drops_a_firing_while_a_fan_out_runs(void **state)
{
    world_t *w = *state;
    handed_t first[8], second[8];
    join_all(w, 2);
    const Pawl__V1__ScheduleInfo *info = sweep(w, OVERLAP(SKIP), 1);
    int64_t cursor = next_minute(w, info, info->cursor_us);
    assert_int_equal(newly(w, first, 8), 2);
    ends(w, &first[0], DONE);
    cursor = next_minute(w, info, cursor); /* one of two has ended: it runs */
    assert_int_equal(newly(w, second, 8), 0);
    ends(w, &first[1], DONE);
    next_minute(w, info, cursor);
    assert_int_equal(newly(w, second, 8), 2);
}

static void a_fan_out_run_again_by_hand_is_stopped_by_the_policy_too(void **state)
{
    world_t *w = *state;
    handed_t first[8], second[8];
    join_all(w, 2);
    const Pawl__V1__ScheduleInfo *info = sweep(w, OVERLAP(CANCEL), 2);
    int64_t cursor = next_minute(w, info, info->cursor_us);
    newly(w, first, 8);
    ends(w, &first[0], FAIL);
    ends(w, &first[1], FAIL);
    cursor = next_minute(w, info, cursor);
    newly(w, second, 8);
    change(w, PAWL__V1__TASK_VERB__TASK_RETRY, first[0].parent, 9);
    next_minute(w, info, cursor);
    assert_true(look_up(w, first[0].parent)->cancelling);
    assert_true(look_up(w, second[0].parent)->cancelling);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, whole)
    const struct CMUnitTest tests[] = {
        TEST(cancel_stops_every_running_fan_out_of_the_schedule),
        TEST(kill_ends_every_running_fan_out_on_record_at_once),
        TEST(skip_drops_a_firing_while_a_fan_out_runs),
        TEST(a_fan_out_run_again_by_hand_is_stopped_by_the_policy_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

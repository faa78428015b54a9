/* SPDX-License-Identifier: Apache-2.0
 * Schedules whose template is a fan-out: what each overlap policy does to the firings that still
 * run, and to how many of them. After each test memory is the store's and the check finds nothing.
 */
#include "tests/unit/broker/family_world.h"

#define OVERLAP(name) PAWL__V1__OVERLAP__OVERLAP_##name

static ulid_t seen[64];
static size_t seen_n;

static int begin(void **state)
{
    seen_n = 0;
    return setup(state);
}

/* Each minute, to all of role=web. */
static const Pawl__V1__ScheduleInfo *sweep(world_t *w, Pawl__V1__Overlap overlap, uint32_t most)
{
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    fanout.labels = role_web();
    fanout.n_labels = 1;
    shell_task(&task, &command);
    task.fanout = &fanout;
    s.name = (char *)(uintptr_t) "sweep";
    s.rule = (char *)(uintptr_t) "* * * * *";
    bool drops = overlap == OVERLAP(SKIP) || overlap == OVERLAP(QUEUE_ONE) ||
                 overlap == OVERLAP(QUEUE_LATEST);
    s.mode = drops ? PAWL__V1__MODE__MODE_NORMAL : PAWL__V1__MODE__MODE_STRICT;
    s.ahead = 50;
    s.overlap = overlap;
    s.supersede_set_case = PAWL__V1__SCHEDULE__SUPERSEDE_SET_SUPERSEDE; /* by the policy only */
    s.max_running = most;
    return put_in_utc(w, &s, &task);
}

/* What was handed out now and not before: an Assign that nobody has confirmed is sent again. */
static size_t newly(world_t *w, handed_t *all, size_t room)
{
    handed_t got[FLEET_MOST];
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

/* A schedule and how far it is. */
typedef struct course {
    const Pawl__V1__ScheduleInfo *info;
    int64_t cursor_us;
} course_t;

/* A minute passes, and the schedule's next firing is proposed. */
static void next_minute(world_t *w, course_t *self)
{
    bool first = self->cursor_us == self->info->cursor_us;
    pass(w, first ? self->info->next_us - w->wall_us : MINUTE);
    self->cursor_us = propose(w, self->info, self->cursor_us)->cursor_us;
}

/* Given so many executors and a sweep of them whose first firing runs: first has its leases. */
static course_t given_a_sweep_of(world_t *w, unsigned executors, Pawl__V1__Overlap overlap,
                                 uint32_t most, handed_t first[FLEET_MOST])
{
    join_all(w, executors);
    course_t self = { .info = sweep(w, overlap, most) };
    self.cursor_us = self.info->cursor_us;
    next_minute(w, &self);
    assert_int_equal(newly(w, first, FLEET_MOST), executors);
    return self;
}

static void cancel_stops_every_running_fan_out_of_the_schedule(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8], third[8];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(CANCEL), 2, first);
    next_minute(w, &course);
    assert_int_equal(newly(w, second, 8), 2);
    assert_false(look_up(w, first[0].parent)->cancelling); /* there was room for two */
    next_minute(w, &course);
    assert_true(look_up(w, first[0].parent)->cancelling);
    assert_true(look_up(w, second[0].parent)->cancelling);
    all_end(w, first, 2, OUTCOME(CANCELLED));
    assert_int_equal(newly(w, third, 8), 2); /* its turn has come */
    assert_status(w, first[0].parent, CANCELLED);
    all_end(w, second, 2, OUTCOME(CANCELLED));
    assert_status(w, second[0].parent, CANCELLED);
    all_end(w, third, 2, DONE);
    assert_status(w, third[0].parent, FINISHED);
}

static void kill_ends_every_running_fan_out_on_record_at_once(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8], third[8];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(KILL), 2, first);
    next_minute(w, &course);
    newly(w, second, 8);
    next_minute(w, &course);
    assert_int_equal(newly(w, third, 8), 2);
    assert_status(w, first[0].parent, CANCELLED);
    assert_status(w, second[0].parent, CANCELLED);
    assert_status(w, second[1].id, CANCELLED);
    all_end(w, third, 2, DONE);
    assert_status(w, third[0].parent, FINISHED);
}

static void skip_drops_a_firing_while_a_fan_out_runs(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(SKIP), 1, first);
    ends(w, &first[0], DONE);
    next_minute(w, &course); /* one of two has ended: it runs */
    assert_int_equal(newly(w, second, 8), 0);
    ends(w, &first[1], DONE);
    next_minute(w, &course);
    assert_int_equal(newly(w, second, 8), 2);
}

static void a_fan_out_run_again_by_hand_is_stopped_by_the_policy_too(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(CANCEL), 2, first);
    all_end(w, first, 2, FAIL);
    next_minute(w, &course);
    newly(w, second, 8);
    RETRY_IT(w, first[0].parent);
    next_minute(w, &course);
    assert_true(look_up(w, first[0].parent)->cancelling);
    assert_true(look_up(w, second[0].parent)->cancelling);
}

/* ---- policies that let fan-outs stand in a line ---------------------------------------------- */

static void
queue_all_runs_them_one_after_another_and_each_has_the_members_of_its_making(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8], third[8];
    Pawl__V1__TaskInfo *roots[4];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(QUEUE_ALL), 1, first);
    next_minute(w, &course);
    join(w, 2, 1);
    next_minute(w, &course);
    assert_int_equal(newly(w, second, 8), 0);
    assert_int_equal(list_all(w, true, roots, 4), 3);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(roots[i]->status, PAWL__V1__TASK_STATUS__STATUS_WAITING);
        assert_string_equal(roots[i]->reason, "overlap");
        assert_int_equal(roots[i]->fanout->blocked, i + 1); /* two, and one more who came */
    }
    ends(w, &first[0], DONE);
    assert_int_equal(newly(w, second, 8), 0); /* it ends with its last child */
    ends(w, &first[1], DONE);
    assert_int_equal(newly(w, second, 8), 2);
    assert_memory_equal(second[0].parent.at, roots[1]->id.data, 16);
    ends(w, &second[0], FAIL);
    ends(w, &second[1], DONE);
    assert_status(w, second[0].parent, FAILED);
    assert_int_equal(newly(w, third, 8), 3);
    all_end(w, third, 3, DONE);
    assert_status(w, third[0].parent, FINISHED);
}

static void queue_one_keeps_one_fan_out_in_the_line_and_drops_the_others(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[8];
    Pawl__V1__TaskInfo *roots[4];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(QUEUE_ONE), 1, first);
    for (unsigned i = 0; i < 3; i++)
        next_minute(w, &course);
    assert_int_equal(list_all(w, true, roots, 4), 2);
    all_end(w, first, 2, DONE);
    assert_int_equal(newly(w, second, 8), 2);
    all_end(w, second, 2, DONE);
    assert_status(w, second[0].parent, FINISHED);
    next_minute(w, &course);
    assert_int_equal(newly(w, first, 8), 2);
}

static void queue_latest_supersedes_a_fan_out_with_all_its_children(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], last[8];
    Pawl__V1__TaskInfo *roots[4];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(QUEUE_LATEST), 1, first);
    for (unsigned i = 0; i < 3; i++)
        next_minute(w, &course);
    assert_int_equal(list_all(w, true, roots, 4), 4);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(roots[i]->status, PAWL__V1__TASK_STATUS__STATUS_SUPERSEDED);
        assert_int_equal(roots[i]->fanout->cancelled, 2);
    }
    assert_int_equal(COUNT(w, BLOCKED), 2);
    all_end(w, first, 2, DONE);
    assert_int_equal(newly(w, last, 8), 2);
    assert_memory_equal(last[0].parent.at, roots[3]->id.data, 16);
    all_end(w, last, 2, DONE);
    assert_status(w, last[0].parent, FINISHED);
}

static ulid_t id_of(const Pawl__V1__TaskInfo *info)
{
    ulid_t id;
    memcpy(id.at, info->id.data, 16);
    return id;
}

static void
a_fan_out_in_the_line_is_held_started_cancelled_and_run_again_like_any_task(void **state)
{
    world_t *w = *state;
    handed_t first[FLEET_MOST], got[8];
    Pawl__V1__TaskInfo *roots[4];
    course_t course = given_a_sweep_of(w, 2, OVERLAP(QUEUE_ALL), 1, first);
    next_minute(w, &course);
    next_minute(w, &course);
    assert_int_equal(list_all(w, true, roots, 4), 3);
    ulid_t second = id_of(roots[1]), third = id_of(roots[2]);
    HOLD_IT(w, second);
    CANCEL_IT(w, third);
    assert_status(w, third, CANCELLED);
    assert_int_equal(look_up(w, third)->fanout->cancelled, 2);
    all_end(w, first, 2, DONE);
    assert_int_equal(newly(w, got, 8), 0);
    RETRY_IT(w, third); /* nothing of it runs: its turn */
    assert_int_equal(newly(w, got, 8), 2);
    START_IT(w, second);
    assert_status(w, second, WAITING); /* behind the one that was let through */
    all_end(w, got, 2, DONE);
    assert_status(w, third, FINISHED);
    assert_int_equal(newly(w, got, 8), 2);
    assert_memory_equal(got[0].parent.at, second.at, 16);
}

static void a_kill_of_a_large_fan_out_ends_the_parent_at_once_and_its_children_in_turn(void **state)
{
    enum { MANY = 9 };
    world_t *w = *state;
    handed_t first[FLEET_MOST], second[16];
    w->children_at_once = 2;
    restart(w);
    course_t course = given_a_sweep_of(w, MANY, OVERLAP(KILL), 1, first);
    next_minute(w, &course);
    assert_status(w, first[0].parent, CANCELLED);
    assert_int_equal(newly(w, second, 16), MANY); /* the newer one runs */
    assert_int_equal(look_up(w, first[0].parent)->fanout->open, MANY - 2);
    restart(w);
    for (unsigned i = 0; i < MANY; i++)
        tick(w);
    for (unsigned i = 0; i < MANY; i++)
        assert_status(w, first[i].id, CANCELLED);
    assert_int_equal(look_up(w, first[0].parent)->fanout->cancelled, MANY);
}

/* A fan-out to as many as a batch takes, none of whom is there; id may be NULL. */
static size_t pack_large(const ulid_t *id, uint8_t **bytes)
{
    static char text[LIMIT_CHILDREN][8], *names[LIMIT_CHILDREN];
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    for (size_t i = 0; i < LIMIT_CHILDREN; i++) {
        snprintf(text[i], sizeof text[i], "x-%zu", i);
        names[i] = text[i];
    }
    fanout.executors = names;
    fanout.n_executors = LIMIT_CHILDREN;
    shell_task(&task, &command);
    task.fanout = &fanout;
    if (id) task.id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)id->at };
    *bytes = mem_new(pawl__v1__task__get_packed_size(&task));
    return pawl__v1__task__pack(&task, *bytes);
}

static void given_a_large_one(world_t *w)
{
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    uint8_t *bytes, id[16] = { 1 };
    import_utc(w);
    s.name = (char *)(uintptr_t) "large";
    s.rule = (char *)(uintptr_t) "0 0 1 1 *";
    s.zone = (char *)(uintptr_t) "UTC";
    s.overlap = OVERLAP(ALLOW);
    s.task.len = pack_large(NULL, &bytes);
    s.task.data = bytes;
    put.schedule = &s;
    request.seq = 1;
    request.request_id = (ProtobufCBinaryData){ 16, id };
    request.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    request.schedule_put = &put;
    command_t command = {
        .kind = CMD_REQUEST, .conn = 10, .principal = "uid:1", .request = &request
    };
    assert_int_equal(step(w, &command, 1), ERR_OK);
    assert_null(reply_of(w, 10)->error);
    free(bytes);
}

/* Two runs by hand in one batch, of conn 11 and 12. */
static void run_it_twice(world_t *w)
{
    static uint8_t asked;
    Pawl__V1__ScheduleChange now = PAWL__V1__SCHEDULE_CHANGE__INIT;
    Pawl__V1__Request requests[2];
    command_t commands[2];
    uint8_t ids[2][16] = { { 2 }, { 3 } };
    now.name = (char *)(uintptr_t) "large";
    now.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW;
    asked++;
    for (size_t i = 0; i < 2; i++) {
        pawl__v1__request__init(&requests[i]);
        ids[i][1] = asked;
        requests[i].seq = asked;
        requests[i].request_id = (ProtobufCBinaryData){ 16, ids[i] };
        requests[i].body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
        requests[i].schedule_change = &now;
        commands[i] = (command_t){
            .kind = CMD_REQUEST, .conn = 11 + i, .principal = "uid:1", .request = &requests[i]
        };
    }
    assert_int_equal(step(w, commands, 2), ERR_OK);
}

static void assert_crowded(const Pawl__V1__Error *error)
{
    assert_non_null(error);
    assert_int_equal(error->code, ERR_BUSY);
    assert_true(error->retry_after_us > 0);
}

static void a_batch_takes_no_further_fan_out_after_so_many_children(void **state)
{
    world_t *w = *state;
    given_a_large_one(w);
    run_it_twice(w);
    assert_null(reply_of(w, 11)->error);
    assert_crowded(reply_of(w, 12)->error);
}

enum { MAP_STEP = 1 << 20 }; /* less than a run writes */

/* The map grows until there is room for one run, not for two: the second one's turn is in a second,
 * and no room is asked for that it would not use. */

static void that_the_batch_is_full_is_said_before_the_room_is_asked(void **state)
{
    world_t *w = *state;
    given_a_large_one(w);
    uint64_t *map = &memstore_faults(w->store)->map_bytes;
    *map = MAP_STEP;
    for (run_it_twice(w); reply_of(w, 11)->error; run_it_twice(w)) {
        assert_int_equal(reply_of(w, 11)->error->code, ERR_STORE_FULL);
        *map += MAP_STEP;
    }
    assert_crowded(reply_of(w, 12)->error);
}

/* So it is with two that are submitted; the reply's items tell of what was not accepted. */
static const Pawl__V1__Reply *submit_it_twice(world_t *w)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit body = PAWL__V1__SUBMIT__INIT;
    ProtobufCBinaryData tasks[2];
    for (size_t i = 0; i < 2; i++) {
        ulid_t id = id_at(w, i ? 101 : 100); /* what was refused is not on record */
        uint8_t *bytes;
        tasks[i].len = pack_large(&id, &bytes);
        tasks[i].data = bytes;
    }
    body.tasks = tasks;
    body.n_tasks = 2;
    r.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    r.submit = &body;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    free(tasks[0].data);
    free(tasks[1].data);
    return reply;
}

static void nor_is_it_asked_for_a_second_one_that_is_submitted(void **state)
{
    world_t *w = *state;
    uint64_t *map = &memstore_faults(w->store)->map_bytes;
    const Pawl__V1__Reply *said;
    *map = MAP_STEP;
    do {
        *map += MAP_STEP;
        said = submit_it_twice(w);
    } while (said->error || said->submitted->accepted == 0);
    assert_int_equal(said->submitted->accepted, 1);
    assert_int_equal(said->submitted->items[0]->index, 1);
    assert_crowded(said->submitted->items[0]->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, whole)
    const struct CMUnitTest tests[] = {
        TEST(cancel_stops_every_running_fan_out_of_the_schedule),
        TEST(kill_ends_every_running_fan_out_on_record_at_once),
        TEST(skip_drops_a_firing_while_a_fan_out_runs),
        TEST(a_fan_out_run_again_by_hand_is_stopped_by_the_policy_too),
        TEST(queue_all_runs_them_one_after_another_and_each_has_the_members_of_its_making),
        TEST(queue_one_keeps_one_fan_out_in_the_line_and_drops_the_others),
        TEST(queue_latest_supersedes_a_fan_out_with_all_its_children),
        TEST(a_fan_out_in_the_line_is_held_started_cancelled_and_run_again_like_any_task),
        TEST(a_batch_takes_no_further_fan_out_after_so_many_children),
        TEST(that_the_batch_is_full_is_said_before_the_room_is_asked),
        TEST(nor_is_it_asked_for_a_second_one_that_is_submitted),
        TEST(a_kill_of_a_large_fan_out_ends_the_parent_at_once_and_its_children_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

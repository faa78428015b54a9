/* SPDX-License-Identifier: Apache-2.0
 * Fan-outs in core: who belongs to one, when its parent ends, how long it is kept, and where a task
 * with a target runs. After each test memory is the store's and the check finds nothing. */
#include "tests/unit/broker/family_world.h"

/* ---- who ------------------------------------------------------------------------------------- */

static void each_member_runs_its_own_child_and_the_parent_ends_after_all(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, NULL);
    assert_int_equal(handed_out(w, got, 8), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(got[i].executor, i);
        assert_int_equal(got[i].index, i);
        assert_int_equal(got[i].total, 3);
        assert_memory_equal(got[i].parent.at, parent.at, 16);
    }
    ends(w, &got[0], DONE);
    assert_status(w, parent, RUNNING); /* the first one's end is not the parent's */
    ends(w, &got[1], DONE);
    assert_status(w, parent, RUNNING);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FINISHED);
    const Pawl__V1__TaskInfo *info = look_up(w, parent);
    assert_int_equal(info->fanout->total, 3);
    assert_int_equal(info->fanout->ok, 3);
    assert_string_equal(info->message, "3 of 3 finished");
}

static void one_failure_makes_it_failed_and_only_after_all_have_ended(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    ends(w, &got[1], DONE);
    assert_status(w, parent, RUNNING);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FAILED);
    assert_string_equal(look_up(w, parent)->message, "2 of 3 finished, 1 failed");
    assert_string_equal(look_up(w, parent)->reason, "children");
}

static void nobody_enrolled_is_a_failure_and_never_success(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    hello(w, 5, (char *)(uintptr_t) "other", 1, 1); /* announces the type, has no labels */
    fan_out(w, parent, NULL);
    assert_status(w, parent, FAILED);
    assert_string_equal(look_up(w, parent)->reason, "no members");
}

static void a_start_reaches_those_who_were_here_before_it(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    restart(w); /* no sessions now */
    fan_out(w, parent, NULL);
    assert_int_equal(look_up(w, parent)->fanout->total, 3);
    join(w, 2, 1);
    assert_int_equal(handed_out(w, got, 8), 1);
    assert_int_equal(got[0].executor, 2);
}

static void who_was_not_seen_for_a_month_is_no_member(void **state)
{
    world_t *w = *state;
    join_all(w, 2);
    lose(w, 1);
    for (int day = 0; day < 31; day++) { /* web-0 is renewed once a day, by whatever happens */
        pass(w, DAY);
        submit(w, 1, id_at(w, (uint8_t)(100 + day)), (spec_t){ .delay_us = 1000000000000 });
    }
    ulid_t parent = ulid_make(w->wall_us, (uint8_t[10]){ 9 });
    fan_out(w, parent, NULL);
    assert_int_equal(look_up(w, parent)->fanout->total, 1);
}

static uint32_t retire(world_t *w, const char *name)
{
    static uint8_t nth = 200;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ExecutorChange body = PAWL__V1__EXECUTOR_CHANGE__INIT;
    uint8_t request_id[16] = { ++nth };
    body.name = (char *)(uintptr_t)name;
    body.verb = PAWL__V1__EXECUTOR_VERB__EXECUTOR_RETIRE;
    r.request_id.data = request_id;
    r.request_id.len = sizeof request_id;
    r.body_case = PAWL__V1__REQUEST__BODY_EXECUTOR_CHANGE;
    r.executor_change = &body;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    return reply->error ? reply->error->code : 0;
}

static void who_is_retired_is_no_member_until_it_says_hello_again(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    join_all(w, 2);
    assert_int_equal(retire(w, "web-9"), ERR_NOT_FOUND);
    assert_int_equal(retire(w, "web-1"), ERR_WRONG_STATUS); /* connected */
    fan_out(w, id_at(w, 1), NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    is_gone(w, conn_of(1));
    assert_int_equal(retire(w, "web-1"), ERR_WRONG_STATUS); /* it holds a task */
    ends(w, &got[0], DONE);
    later(w, 31 * SECOND);
    assert_int_equal(retire(w, "web-1"), 0);
    assert_int_equal(retire(w, "web-1"), ERR_NOT_FOUND);
    fan_out(w, id_at(w, 2), NULL);
    assert_int_equal(look_up(w, id_at(w, 2))->fanout->total, 1);
    restart(w);
    fan_out(w, id_at(w, 3), NULL);
    assert_int_equal(look_up(w, id_at(w, 3))->fanout->total, 1);
    join(w, 1, 2);
    fan_out(w, id_at(w, 4), NULL);
    assert_int_equal(look_up(w, id_at(w, 4))->fanout->total, 2);
}

static void a_list(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    static char *names[] = { (char *)(uintptr_t) "web-1", (char *)(uintptr_t) "absent",
                             (char *)(uintptr_t) "web-1" };
    (void)task;
    fanout->n_labels = 0;
    fanout->executors = names;
    fanout->n_executors = 3;
}

static void a_list_waits_an_hour_for_who_is_absent(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, a_list);
    assert_int_equal(handed_out(w, got, 8), 1); /* named twice, one child */
    assert_int_equal(look_up(w, parent)->fanout->total, 2);
    ends(w, &got[0], DONE);
    for (int minute = 0; minute < 59; minute++) {
        later(w, MINUTE);
    }
    assert_status(w, parent, RUNNING);
    later(w, 61 * SECOND);
    assert_status(w, parent, EXPIRED);
    assert_int_equal(look_up(w, parent)->fanout->expired, 1);
}

static void n_of_labels_takes_so_many_and_those_that_are_here_first(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    lose(w, 0);
    lose(w, 3);
    pass(w, 31 * SECOND);
    fan_out(w, parent, some_of_many);
    assert_int_equal(handed_out(w, got, 8), 2);
    assert_int_equal(got[0].executor, 1);
    assert_int_equal(got[1].executor, 2);
    assert_int_equal(got[0].total, 2);
}

static void five_of_many(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->count = 5;
}

static void fewer_than_asked_for_do_nothing_by_halves(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 4, five_of_many);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_status(w, parent, FAILED);
    assert_string_equal(look_up(w, parent)->reason, "no members");
    assert_string_equal(look_up(w, parent)->message,
                        "it asks for 5 executors, and 4 are enrolled for it");
}

static void with_python(Pawl__V1__Hello *hello)
{
    static Pawl__V1__Interpreter python, *all[] = { &python };
    pawl__v1__interpreter__init(&python);
    python.name = (char *)(uintptr_t) "python3";
    python.version = (char *)(uintptr_t) "3.11.2";
    hello->interpreters = all;
    hello->n_interpreters = 1;
}

static void with_source(Pawl__V1__Hello *hello)
{
    static char *sources[] = { (char *)(uintptr_t) "ledger" };
    hello->sources = sources;
    hello->n_sources = 1;
}

static void asks_for_python(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)fanout;
    task->type = (char *)(uintptr_t) "pawl/script";
    task->command->shell = (char *)(uintptr_t) "";
    task->command->script_text.data = (uint8_t *)(uintptr_t) "pass";
    task->command->script_text.len = 4;
    task->command->interpreter = (char *)(uintptr_t) "python3>=3.11";
}

static void asks_for_a_source(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    static Pawl__V1__Sql sql;
    (void)fanout;
    pawl__v1__sql__init(&sql);
    sql.source = (char *)(uintptr_t) "ledger";
    sql.text = (char *)(uintptr_t) "SELECT 1";
    task->type = (char *)(uintptr_t) "pawl/sql";
    task->command = NULL;
    task->sql = &sql;
}

/* A child for one that has not would wait there for ever, or fail. */
static void members_have_the_interpreter_or_the_source_that_it_asks_for(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    join(w, 0, 1);
    join_as(w, 1, 1, with_python);
    join_as(w, 2, 1, with_source);
    fan_out(w, id_at(w, 1), asks_for_python);
    assert_int_equal(handed_out(w, got, 8), 1);
    assert_int_equal(got[0].executor, 1);
    assert_int_equal(got[0].total, 1);
    fan_out(w, id_at(w, 2), asks_for_a_source);
    assert_int_equal(handed_out(w, got, 8), 1);
    assert_int_equal(got[0].executor, 2);
    assert_int_equal(got[0].total, 1);
    restart(w);
    fan_out(w, id_at(w, 3), asks_for_python); /* it is on record what it has */
    assert_int_equal(look_up(w, id_at(w, 3))->fanout->total, 1);
}

static void more_members_than_a_fan_out_may_have_are_refused_with_the_limit(void **state)
{
    enum { MANY = LIMIT_CHILDREN + 1 };
    world_t *w = *state;
    static Pawl__V1__Request requests[MANY];
    static Pawl__V1__Hello hellos[MANY];
    static command_t commands[MANY];
    static char names[MANY][16];
    static uint8_t incarnations[MANY][16];
    char *types[] = { (char *)(uintptr_t) "pawl/shell" };
    for (uint32_t i = 0; i < MANY; i++) {
        Pawl__V1__Hello *h = &hellos[i];
        pawl__v1__hello__init(h);
        pawl__v1__request__init(&requests[i]);
        snprintf(names[i], sizeof names[i], "web-%u", i);
        be_put_u32(incarnations[i], i + 1);
        h->minor = WIRE_MINOR;
        h->role = PAWL__V1__ROLE__ROLE_EXECUTOR;
        h->name = names[i];
        h->incarnation = (ProtobufCBinaryData){ 16, incarnations[i] };
        h->types = types;
        h->n_types = 1;
        h->labels = role_web();
        h->n_labels = 1;
        requests[i].seq = 1;
        requests[i].body_case = PAWL__V1__REQUEST__BODY_HELLO;
        requests[i].hello = h;
        commands[i] = (command_t){ .kind = CMD_REQUEST,
                                   .conn = FLEET_CONN + i,
                                   .principal = "uid:1",
                                   .request = &requests[i] };
    }
    assert_int_equal(step(w, commands, MANY), ERR_OK);
    const Pawl__V1__Reply *reply = fan_out(w, id_at(w, 1), NULL);
    assert_int_equal(reply->submitted->accepted, 0);
    assert_int_equal(reply->submitted->items[0]->error->code, ERR_TOO_MANY);
    assert_non_null(strstr(reply->submitted->items[0]->error->text, "10000"));
    assert_null(look_up(w, id_at(w, 1)));
    fan_out(w, id_at(w, 2), some_of_many);
    assert_int_equal(look_up(w, id_at(w, 2))->fanout->total, 2);
}

static void a_resend_makes_no_second_family(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 2, NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    join(w, 2, 1); /* another one now, so the members would be others */
    const Pawl__V1__Reply *reply = fan_out(w, parent, NULL);
    assert_int_equal(reply->submitted->accepted, 1);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_int_equal(look_up(w, parent)->fanout->total, 2);
}

/* ---- done ------------------------------------------------------------------------------------ */

static void quorum_of_two(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->done = F(DONE__FANOUT_QUORUM);
    fanout->done_count = 2;
}

static void a_quorum_ends_it_and_the_rest_is_cancelled(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 4, quorum_of_two);
    handed_out(w, got, 8);
    all_end(w, got, 2, DONE);
    assert_status(w, parent, FINISHED);
    assert_true(look_up(w, got[2].id)->cancelling);
    ends(w, &got[2], OUTCOME(CANCELLED));
    ends(w, &got[3], DONE); /* the result came first */
    assert_status(w, got[2].id, CANCELLED);
    const Pawl__V1__FanoutInfo *fan = look_up(w, parent)->fanout;
    assert_int_equal(fan->ok, 3);
    assert_int_equal(fan->cancelled, 1);
    assert_int_equal(fan->open, 0);
}

static void a_quorum_out_of_reach_fails_at_once(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, quorum_of_two);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    assert_status(w, parent, RUNNING);
    ends(w, &got[1], FAIL);
    assert_status(w, parent, FAILED);
}

static void half_of_them(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->done = F(DONE__FANOUT_PERCENT);
    fanout->done_count = 50;
    fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
    fanout->cancel_rest = false;
}

static void without_cancel_rest_the_others_go_on_and_are_counted(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, half_of_them);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    assert_status(w, parent, RUNNING); /* half of three is two */
    ends(w, &got[1], DONE);
    assert_status(w, parent, FINISHED);
    assert_false(look_up(w, got[2].id)->cancelling);
    ends(w, &got[2], FAIL);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->failed, 1);
}

/* ---- retention ------------------------------------------------------------------------------- */

static void a_tree_is_removed_as_one(void **state)
{
    world_t *w = *state;
    handed_t got[8];
    ulid_t parent = given_a_fan_out_to(w, 3, NULL);
    handed_out(w, got, 8);
    all_end(w, got, 2, DONE);
    pass(w, 20 * DAY);
    purge(w, 10); /* the ended children are old, the tree is not over */
    assert_status(w, got[0].id, FINISHED);
    ends(w, &got[2], DONE);
    pass(w, 6 * DAY);
    purge(w, 10);
    assert_status(w, parent, FINISHED);
    pass(w, 2 * DAY);
    purge(w, 10);
    assert_null(look_up(w, parent));
    assert_null(look_up(w, got[0].id));
    assert_int_equal(COUNT(w, FINISHED), 0);
}

/* ---- targets --------------------------------------------------------------------------------- */

/* The executor that runs task `nth`, whose target is this key. */
static unsigned runs_on(world_t *w, uint8_t nth, char *key)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    ulid_t id = id_at(w, nth);
    handed_t got[8];
    shell_task(&task, &command);
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.target = &target;
    target.hash = key;
    submit_task(w, 1, &task);
    assert_int_equal(handed_out(w, got, 8), 1);
    ends(w, &got[0], DONE);
    return got[0].executor;
}

static void a_hash_key_sticks_to_its_executor_while_that_is_there(void **state)
{
    world_t *w = *state;
    static char keys[8][8];
    unsigned home[8], others = 0, moved = 0;
    join_all(w, 4);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%u", i);
        home[i] = runs_on(w, (uint8_t)(1 + i), keys[i]);
        others += home[i] != home[0];
    }
    assert_true(others > 0); /* they spread */
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(runs_on(w, (uint8_t)(20 + i), keys[i]), home[i]);
    lose(w, home[0]);
    for (unsigned i = 0; i < 8; i++) {
        unsigned now = runs_on(w, (uint8_t)(40 + i), keys[i]);
        if (home[i] == home[0])
            moved += now != home[0];
        else
            assert_int_equal(now, home[i]); /* only the share of the lost one moves */
    }
    assert_true(moved > 0);
    join(w, home[0], 2);
    assert_int_equal(runs_on(w, 60, keys[0]), home[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, whole)
    const struct CMUnitTest tests[] = {
        TEST(each_member_runs_its_own_child_and_the_parent_ends_after_all),
        TEST(one_failure_makes_it_failed_and_only_after_all_have_ended),
        TEST(nobody_enrolled_is_a_failure_and_never_success),
        TEST(a_start_reaches_those_who_were_here_before_it),
        TEST(who_was_not_seen_for_a_month_is_no_member),
        TEST(who_is_retired_is_no_member_until_it_says_hello_again),
        TEST(a_list_waits_an_hour_for_who_is_absent),
        TEST(n_of_labels_takes_so_many_and_those_that_are_here_first),
        TEST(fewer_than_asked_for_do_nothing_by_halves),
        TEST(members_have_the_interpreter_or_the_source_that_it_asks_for),
        TEST(more_members_than_a_fan_out_may_have_are_refused_with_the_limit),
        TEST(a_resend_makes_no_second_family),
        TEST(a_quorum_ends_it_and_the_rest_is_cancelled),
        TEST(a_quorum_out_of_reach_fails_at_once),
        TEST(without_cancel_rest_the_others_go_on_and_are_counted),
        TEST(a_tree_is_removed_as_one),
        TEST(a_hash_key_sticks_to_its_executor_while_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Fan-outs in core: who belongs to one, when its parent ends, waves, offline executors, by hand,
 * schedules, retention. After each test memory is the store's and the check finds nothing. */
#include "tests/unit/broker/family_world.h"

static void cancel_now(world_t *w, ulid_t id)
{
    static uint8_t nth = 100;
    change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, id, ++nth);
}

static void retry_now(world_t *w, ulid_t id, uint32_t expect)
{
    static uint8_t nth = 10;
    const Pawl__V1__Reply *reply = change(w, PAWL__V1__TASK_VERB__TASK_RETRY, id, ++nth);
    assert_int_equal(reply->changed->n_items ? reply->changed->items[0]->error->code : 0, expect);
}

/* ---- who ------------------------------------------------------------------------------------- */

static void each_member_runs_its_own_child_and_the_parent_ends_after_all(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, NULL);
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, NULL);
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
    core_close(&w->core);
    open_core(w); /* no sessions now */
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
        pass(w, INT64_C(86400) * 1000000);
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
    command_t cut = { .kind = CMD_GONE, .conn = conn_of(1) };
    assert_int_equal(step(w, &cut, 1), ERR_OK);
    assert_int_equal(retire(w, "web-1"), ERR_WRONG_STATUS); /* it holds a task */
    ends(w, &got[0], DONE);
    pass(w, INT64_C(31000000));
    tick(w);
    assert_int_equal(retire(w, "web-1"), 0);
    assert_int_equal(retire(w, "web-1"), ERR_NOT_FOUND);
    fan_out(w, id_at(w, 2), NULL);
    assert_int_equal(look_up(w, id_at(w, 2))->fanout->total, 1);
    core_close(&w->core);
    open_core(w);
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, a_list);
    assert_int_equal(handed_out(w, got, 8), 1); /* named twice, one child */
    assert_int_equal(look_up(w, parent)->fanout->total, 2);
    ends(w, &got[0], DONE);
    for (int minute = 0; minute < 59; minute++) {
        pass(w, 60 * INT64_C(1000000));
        tick(w);
    }
    assert_status(w, parent, RUNNING);
    pass(w, 61 * INT64_C(1000000));
    tick(w);
    assert_status(w, parent, EXPIRED);
    assert_int_equal(look_up(w, parent)->fanout->expired, 1);
}

static void some_of_many(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->count = 2;
}

static void n_of_labels_takes_so_many_and_those_that_are_here_first(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    lose(w, 0);
    lose(w, 3);
    pass(w, 31 * INT64_C(1000000));
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    fan_out(w, parent, five_of_many);
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
    core_close(&w->core);
    open_core(w);
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
    Pawl__V1__Label role = PAWL__V1__LABEL__INIT, *labels[] = { &role };
    char *types[] = { (char *)(uintptr_t) "pawl/shell" };
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t) "web";
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
        h->labels = labels;
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, NULL);
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    fan_out(w, parent, quorum_of_two);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    ends(w, &got[1], DONE);
    assert_status(w, parent, FINISHED);
    assert_true(look_up(w, got[2].id)->cancelling);
    ends(w, &got[2], PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, quorum_of_two);
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
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, half_of_them);
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

/* ---- offline --------------------------------------------------------------------------------- */

static void skip_leaves_out_who_is_away_and_all_away_is_no_success(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1), second = id_at(w, 2);
    handed_t got[8];
    join_all(w, 3);
    lose(w, 1);
    pass(w, 31 * INT64_C(1000000)); /* since the start everybody had a lease's time to come */
    fan_out(w, parent, NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    ends(w, &got[0], DONE);
    ends(w, &got[1], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->skipped, 1);
    lose(w, 0);
    lose(w, 2);
    fan_out(w, second, NULL);
    assert_status(w, second, FAILED);
    assert_string_equal(look_up(w, second)->reason, "no members");
}

static void who_goes_away_while_his_child_waits_is_skipped_too(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    core_close(&w->core);
    open_core(w);
    fan_out(w, parent, NULL); /* after a start nobody is away yet */
    join(w, 0, 2);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    assert_status(w, parent, RUNNING);
    pass(w, 31 * INT64_C(1000000));
    tick(w);
    pass(w, 31 * INT64_C(1000000));
    tick(w);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->skipped, 1);
}

static void offline_fails(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->offline = F(OFFLINE__FANOUT_FAIL);
}

static void offline_fail_counts_as_a_failure(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    lose(w, 1);
    pass(w, 31 * INT64_C(1000000));
    fan_out(w, parent, offline_fails);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FAILED);
    assert_int_equal(look_up(w, parent)->fanout->failed, 1);
}

static void a_lost_child_is_retried_on_its_own_host(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8], again[8];
    join_all(w, 2);
    fan_out(w, parent, NULL);
    handed_out(w, got, 8);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 0);
    join(w, 1, 2);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 1);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    assert_true(again[0].token > got[1].token);
}

static void may_move(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->move = true;
}

static void with_move_a_lost_child_runs_elsewhere(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8], again[8];
    join_all(w, 2);
    fan_out(w, parent, may_move);
    handed_out(w, got, 8);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 0);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    ends(w, &again[0], DONE);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
}

static void a_moved_child_that_is_run_again_goes_back_to_its_own_host(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8], again[8];
    join_all(w, 2);
    fan_out(w, parent, may_move);
    assert_int_equal(handed_out(w, got, 8), 2);
    lose(w, 1);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 0);
    ends(w, &again[0], FAIL);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FAILED);
    retry_now(w, parent, ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 0);
    join(w, 1, 2);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_int_equal(again[0].executor, 1);
}

static void late_joiners(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->late_join = true;
    fanout->offline_us = 600 * INT64_C(1000000);
}

static void who_enrols_meanwhile_joins_and_nobody_waits_out_the_time(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join(w, 0, 1);
    fan_out(w, parent, late_joiners);
    handed_out(w, got, 8);
    join(w, 1, 1);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    assert_int_equal(got[1].index, 1);
    assert_int_equal(got[1].total, 2);
    ends(w, &got[0], DONE);
    ends(w, &got[1], DONE);
    assert_status(w, parent, RUNNING); /* somebody may still come */
    pass(w, 601 * INT64_C(1000000));
    tick(w);
    assert_status(w, parent, FINISHED);
    join(w, 2, 1);
    assert_int_equal(handed_out(w, got, 8), 0);
}

/* ---- waves ----------------------------------------------------------------------------------- */

static void two_at_once(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
}

static void each_end_makes_room_for_the_next_child_in_its_own_commit(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    fan_out(w, parent, two_at_once);
    assert_int_equal(handed_out(w, got, 8), 2);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 2);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    assert_int_equal(got[2].executor, 2);
    ends(w, &got[1], FAIL);
    assert_int_equal(handed_out(w, got + 3, 5), 1);
    ends(w, &got[2], DONE);
    ends(w, &got[3], DONE);
    assert_status(w, parent, FAILED);
}

static void two_and_a_pause(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
    fanout->pause_us = 30 * INT64_C(1000000);
}

static void a_pause_separates_waves_over_a_restart(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    fan_out(w, parent, two_and_a_pause);
    assert_int_equal(handed_out(w, got, 8), 2);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    ends(w, &got[1], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    core_close(&w->core);
    open_core(w);
    for (unsigned i = 0; i < 4; i++)
        join(w, i, 1);
    pass(w, 29 * INT64_C(1000000));
    tick(w);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    pass(w, 2 * INT64_C(1000000));
    tick(w);
    assert_int_equal(handed_out(w, got + 2, 6), 2);
    ends(w, &got[2], DONE);
    ends(w, &got[3], DONE);
    assert_status(w, parent, FINISHED);
}

static void stop_after_two(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
    fanout->stop_failures = 2;
}

static void after_so_many_failures_the_rest_is_cancelled_with_the_reason(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 5);
    fan_out(w, parent, stop_after_two);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    ends(w, &got[1], FAIL);
    assert_int_equal(handed_out(w, got + 3, 5), 0);
    assert_status(w, parent, RUNNING); /* the third still runs */
    assert_true(look_up(w, parent)->fanout->stopped);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FAILED);
    assert_string_equal(look_up(w, parent)->message, "1 of 5 finished, 2 failed, 2 cancelled");
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void cancel_acts_on_the_tree_and_waits_for_those_that_run(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 4);
    fan_out(w, parent, two_at_once);
    handed_out(w, got, 8);
    cancel_now(w, parent);
    assert_status(w, parent, RUNNING);
    assert_true(look_up(w, parent)->cancelling);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
    ends(w, &got[0], PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    ends(w, &got[1], PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_status(w, parent, CANCELLED);
}

static void held_first(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)fanout;
    task->hold = true;
}

static void what_was_never_started_is_cancelled_whole(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, held_first);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 2);
    cancel_now(w, parent);
    assert_status(w, parent, CANCELLED);
    assert_int_equal(look_up(w, parent)->fanout->cancelled, 2);
}

static void delayed_a_minute(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)fanout;
    task->delay_us = 60 * INT64_C(1000000);
}

static void a_delayed_fan_out_has_its_members_from_the_start(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, delayed_a_minute);
    join(w, 2, 1);
    assert_status(w, parent, DELAYED);
    pass(w, 61 * INT64_C(1000000));
    tick(w);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got, 8), 2);
}

static void hold_and_start_act_on_the_tree(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, two_at_once);
    handed_out(w, got, 8);
    change(w, PAWL__V1__TASK_VERB__TASK_HOLD, parent, 1);
    assert_status(w, parent, HELD);
    ends(w, &got[0], DONE);
    assert_int_equal(handed_out(w, got + 2, 6), 0);
    change(w, PAWL__V1__TASK_VERB__TASK_START, parent, 2);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got + 2, 6), 1);
    ends(w, &got[1], DONE);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FINISHED);
}

static void any_in_waves_rest_goes_on(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 1;
    fanout->done = F(DONE__FANOUT_ANY);
    fanout->cancel_rest_set_case = PAWL__V1__FANOUT__CANCEL_REST_SET_CANCEL_REST;
    fanout->cancel_rest = false;
}

static void a_hold_ends_with_the_parent_and_what_may_go_on_does(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, any_in_waves_rest_goes_on);
    handed_out(w, got, 8);
    change(w, PAWL__V1__TASK_VERB__TASK_HOLD, parent, 1);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    ends(w, &got[1], DONE);
    assert_int_equal(look_up(w, parent)->fanout->ok, 2);
}

static void retry_runs_again_only_what_did_not_finish(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8], again[8];
    join_all(w, 3);
    fan_out(w, parent, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    ends(w, &got[1], FAIL);
    retry_now(w, got[0].id, ERR_WRONG_STATUS);
    ends(w, &got[2], DONE);
    assert_status(w, parent, FAILED);
    retry_now(w, got[1].id, ERR_WRONG_STATUS); /* only through the parent */
    retry_now(w, parent, ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 1);
    assert_memory_equal(again[0].id.at, got[1].id.at, 16);
    assert_status(w, parent, RUNNING);
    ends(w, &again[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->ok, 3);
    retry_now(w, parent, ERR_WRONG_STATUS);
}

static void a_retry_looks_anew_for_members_when_there_were_none(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 2);
    handed_t got[8];
    join(w, 0, 1);
    fan_out(w, parent, some_of_many); /* more than there are */
    assert_status(w, parent, FAILED);
    join_all(w, 5);
    retry_now(w, parent, ERR_OK);
    assert_status(w, parent, RUNNING);
    assert_int_equal(handed_out(w, got, 8), 2);
    assert_int_equal(got[1].total, 2);
    for (unsigned i = 0; i < 2; i++)
        ends(w, &got[i], DONE);
    assert_status(w, parent, FINISHED);
}

static void a_child_of_an_open_family_may_be_run_again_by_itself(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8], again[8];
    join_all(w, 2);
    fan_out(w, parent, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], FAIL);
    retry_now(w, got[0].id, ERR_OK);
    assert_int_equal(handed_out(w, again, 8), 1);
    ends(w, &again[0], DONE);
    ends(w, &got[1], DONE);
    assert_status(w, parent, FINISHED);
}

static void a_child_does_not_run_again_before_its_fan_out_has_begun(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1), child = parent;
    handed_t got[8];
    Pawl__V1__TaskInfo *all[8];
    join_all(w, 2);
    fan_out(w, parent, held_first);
    assert_int_equal(list_all(w, false, all, 8), 3);
    for (size_t i = 0; i < 3; i++)
        if (memcmp(all[i]->id.data, parent.at, 16) != 0) memcpy(child.at, all[i]->id.data, 16);
    cancel_now(w, child);
    assert_status(w, child, CANCELLED);
    retry_now(w, child, ERR_WRONG_STATUS);
    assert_int_equal(handed_out(w, got, 8), 0);
    assert_status(w, child, CANCELLED);
}

/* ---- children that somebody else ends -------------------------------------------------------- */

/* The child says that it is external; to: its completion token. */
static void goes_outside(world_t *w, const handed_t *lease, uint8_t to[LIMIT_COMPLETION])
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Report rep = PAWL__V1__REPORT__INIT;
    Pawl__V1__Result result = PAWL__V1__RESULT__INIT, *results[] = { &result };
    const Pawl__V1__Lease *leases[8];
    size_t n = leases_of(w, conn_of(lease->executor), leases, 8);
    for (size_t i = 0; i < n; i++)
        if (memcmp(leases[i]->id.data, lease->id.at, 16) == 0)
            memcpy(to, leases[i]->completion.data, LIMIT_COMPLETION);
    result.id = (ProtobufCBinaryData){ 16, (uint8_t *)(uintptr_t)lease->id.at };
    result.token = lease->token;
    result.outcome = PAWL__V1__OUTCOME__OUTCOME_ASYNC;
    result.deadline_us = 50 * INT64_C(86400) * 1000000;
    rep.results = results;
    rep.n_results = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_REPORT;
    r.report = &rep;
    request(w, conn_of(lease->executor), &r);
}

static uint32_t complete(world_t *w, const uint8_t token[LIMIT_COMPLETION])
{
    static uint8_t nth;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__TaskComplete c = PAWL__V1__TASK_COMPLETE__INIT;
    uint8_t request_id[16] = { 9, ++nth };
    c.verb = PAWL__V1__COMPLETE_VERB__COMPLETE_DONE;
    c.completion = (ProtobufCBinaryData){ LIMIT_COMPLETION, (uint8_t *)(uintptr_t)token };
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_TASK_COMPLETE;
    r.task_complete = &c;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    return reply->error ? reply->error->code : 0;
}

static void an_external_child_keeps_its_place_in_the_wave_and_its_parent_open(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    uint8_t token[LIMIT_COMPLETION];
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, two_at_once);
    assert_int_equal(handed_out(w, got, 8), 2);
    goes_outside(w, &got[0], token);
    assert_status(w, got[0].id, EXTERNAL);
    assert_int_equal(look_up(w, parent)->fanout->blocked, 1); /* nobody has a slot, all the same */
    lose(w, 0); /* whose executor is not asked for any more */
    pass(w, 120 * INT64_C(1000000));
    tick(w);
    assert_status(w, got[0].id, EXTERNAL);
    ends(w, &got[1], DONE);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    ends(w, &got[1], DONE);
    assert_status(w, parent, RUNNING);
    assert_int_equal(complete(w, token), 0);
    assert_status(w, parent, FINISHED);
    assert_int_equal(look_up(w, parent)->fanout->ok, 3);
}

static void a_hold_leaves_external_children_alone_and_a_cancel_ends_them(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    uint8_t first[LIMIT_COMPLETION], second[LIMIT_COMPLETION];
    handed_t got[8];
    join_all(w, 2);
    fan_out(w, parent, NULL);
    assert_int_equal(handed_out(w, got, 8), 2);
    goes_outside(w, &got[0], first);
    change(w, PAWL__V1__TASK_VERB__TASK_HOLD, parent, 1);
    assert_status(w, got[0].id, EXTERNAL);
    assert_int_equal(complete(w, first), 0);
    assert_status(w, got[0].id, FINISHED);
    change(w, PAWL__V1__TASK_VERB__TASK_START, parent, 2);
    memset(second, 0, sizeof second);
    goes_outside(w, &got[1], second);
    cancel_now(w, parent);
    assert_status(w, got[1].id, CANCELLED);
    assert_status(w, parent, CANCELLED);
}

static void a_tree_with_an_external_child_is_not_removed_before_that_has_ended(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    uint8_t token[LIMIT_COMPLETION];
    handed_t got[8];
    uint64_t first = 1;
    command_t purge_it = { .kind = CMD_PURGE, .ns = &first, .n = 1 };
    join_all(w, 2);
    fan_out(w, parent, any_in_waves_rest_goes_on);
    assert_int_equal(handed_out(w, got, 8), 1);
    ends(w, &got[0], DONE);
    assert_status(w, parent, FINISHED);
    assert_int_equal(handed_out(w, got + 1, 7), 1);
    goes_outside(w, &got[1], token);
    pass(w, INT64_C(40) * 86400 * 1000000);
    assert_int_equal(step(w, &purge_it, 1), ERR_OK);
    assert_int_equal(look_up(w, parent)->fanout->open, 1);
    pass(w, INT64_C(11) * 86400 * 1000000); /* nobody has completed it */
    assert_int_equal(step(w, &purge_it, 1), ERR_OK);
    assert_null(look_up(w, parent));
}

/* ---- retention ------------------------------------------------------------------------------- */

static void purge(world_t *w, uint64_t last)
{
    uint64_t ns[64];
    for (uint64_t n = 1; n <= last; n++)
        ns[n - 1] = n;
    command_t command = { .kind = CMD_PURGE, .ns = ns, .n = last };
    assert_int_equal(step(w, &command, 1), ERR_OK);
}

static void a_tree_is_removed_as_one(void **state)
{
    world_t *w = *state;
    ulid_t parent = id_at(w, 1);
    handed_t got[8];
    join_all(w, 3);
    fan_out(w, parent, NULL);
    handed_out(w, got, 8);
    ends(w, &got[0], DONE);
    ends(w, &got[1], DONE);
    pass(w, INT64_C(20) * 86400 * 1000000);
    purge(w, 10); /* the ended children are old, the tree is not over */
    assert_status(w, got[0].id, FINISHED);
    ends(w, &got[2], DONE);
    pass(w, INT64_C(6) * 86400 * 1000000);
    purge(w, 10);
    assert_status(w, parent, FINISHED);
    pass(w, INT64_C(2) * 86400 * 1000000);
    purge(w, 10);
    assert_null(look_up(w, parent));
    assert_null(look_up(w, got[0].id));
    assert_int_equal(COUNT(w, FINISHED), 0);
}

/* ---- targets --------------------------------------------------------------------------------- */

static unsigned runs_on(world_t *w, uint8_t nth, char *key)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit s = PAWL__V1__SUBMIT__INIT;
    ulid_t id = id_at(w, nth);
    uint8_t bytes[300];
    handed_t got[8];
    command.shell = (char *)(uintptr_t) "true";
    task.id.data = id.at;
    task.id.len = 16;
    task.type = (char *)(uintptr_t) "pawl/shell";
    task.command = &command;
    task.target = &target;
    target.hash = key;
    ProtobufCBinaryData one = { pawl__v1__task__pack(&task, bytes), bytes };
    s.tasks = &one;
    s.n_tasks = 1;
    r.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    r.submit = &s;
    request(w, 1, &r);
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
        TEST(skip_leaves_out_who_is_away_and_all_away_is_no_success),
        TEST(who_goes_away_while_his_child_waits_is_skipped_too),
        TEST(offline_fail_counts_as_a_failure),
        TEST(a_lost_child_is_retried_on_its_own_host),
        TEST(with_move_a_lost_child_runs_elsewhere),
        TEST(a_moved_child_that_is_run_again_goes_back_to_its_own_host),
        TEST(who_enrols_meanwhile_joins_and_nobody_waits_out_the_time),
        TEST(each_end_makes_room_for_the_next_child_in_its_own_commit),
        TEST(a_pause_separates_waves_over_a_restart),
        TEST(after_so_many_failures_the_rest_is_cancelled_with_the_reason),
        TEST(cancel_acts_on_the_tree_and_waits_for_those_that_run),
        TEST(what_was_never_started_is_cancelled_whole),
        TEST(a_delayed_fan_out_has_its_members_from_the_start),
        TEST(hold_and_start_act_on_the_tree),
        TEST(a_hold_ends_with_the_parent_and_what_may_go_on_does),
        TEST(retry_runs_again_only_what_did_not_finish),
        TEST(a_retry_looks_anew_for_members_when_there_were_none),
        TEST(a_child_of_an_open_family_may_be_run_again_by_itself),
        TEST(a_child_does_not_run_again_before_its_fan_out_has_begun),
        TEST(an_external_child_keeps_its_place_in_the_wave_and_its_parent_open),
        TEST(a_hold_leaves_external_children_alone_and_a_cancel_ends_them),
        TEST(a_tree_with_an_external_child_is_not_removed_before_that_has_ended),
        TEST(a_tree_is_removed_as_one),
        TEST(a_hash_key_sticks_to_its_executor_while_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

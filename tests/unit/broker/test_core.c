/* SPDX-License-Identifier: Apache-2.0
 * Core through its own door: batches in, outputs and rows out, on the store in memory. */
#include "tests/unit/broker/core_world.h"

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_task_is_leased_in_the_commit_that_accepts_it(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    uint64_t commits = memstore_commits(w->store);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    assert_int_equal(memstore_commits(w->store), commits + 1);
    assert_int_equal(memstore_rows(w->store, TABLE_ready), 0);
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(memstore_rows(w->store, TABLE_run), 0);
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE)); /* a resend */
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void a_resent_submit_creates_nothing_and_another_body_is_refused(void **state)
{
    world_t *w = *state;
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
    const Pawl__V1__Reply *again = submit(w, 1, id_at(w, 1), (spec_t){ 0 });
    assert_int_equal(again->submitted->accepted, 1);
    assert_int_equal(COUNT(w, WAITING), 1);
    const Pawl__V1__Reply *other = submit(w, 1, id_at(w, 1), (spec_t){ .delay_us = 5 });
    assert_int_equal(other->submitted->accepted, 0);
    assert_int_equal(other->submitted->items[0]->error->code, ERR_ID_REUSED);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void a_resend_is_taken_after_the_calendar_clock_went_back(void **state)
{
    world_t *w = *state;
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
    w->wall_us -= 2 * DAY; /* its time now lies two days ahead */
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
    const Pawl__V1__Reply *fresh = submit(w, 1, id_at(w, 2), (spec_t){ 0 });
    assert_int_equal(fresh->submitted->items[0]->error->code, ERR_BAD_ID);
}

static void an_unknown_type_is_refused(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Reply *reply = submit(w, 1, id_at(w, 1), (spec_t){ .type = "no/such" });
    assert_int_equal(reply->submitted->items[0]->error->code, ERR_UNKNOWN_TYPE);
}

static void a_live_key_answers_for_a_second_task(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 0);
    submit(w, 1, id_at(w, 1), (spec_t){ .type = "mail/send", .key = "order-7" });
    const Pawl__V1__Reply *second =
        submit(w, 1, id_at(w, 2), (spec_t){ .type = "mail/send", .key = "order-7" });
    assert_int_equal(second->submitted->accepted, 1);
    ulid_t first = id_at(w, 1);
    assert_memory_equal(second->submitted->items[0]->id.data, first.at, 16);
    assert_int_equal(COUNT(w, WAITING), 1);
    /* and still does when it is sent again */
    second = submit(w, 1, id_at(w, 2), (spec_t){ .type = "mail/send", .key = "order-7" });
    assert_memory_equal(second->submitted->items[0]->id.data, first.at, 16);
}

static void a_failed_attempt_comes_again_after_its_back_off(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ .attempts = 2 });
    report(w, 2, id_at(w, 1), token, FAIL);
    assert_int_equal(COUNT(w, DELAYED), 1);
    later(w, 4 * SECOND);
    assert_int_equal(COUNT(w, DELAYED), 1);
    pass(w, 3 * SECOND);
    assert_true(core_next_due_us(w->core) <= w->steady_us);
    tick(w);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    assert_true(lease->token > token);
    assert_int_equal(lease->attempt, 2);
    report(w, 2, id_at(w, 1), lease->token, FAIL);
    assert_int_equal(COUNT(w, FAILED), 1);
}

static void a_lost_executors_task_runs_elsewhere_and_its_late_result_is_stale(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    hello(w, 3, "web-2", 2, 1);
    pass(w, 31 * SECOND);
    is_lost(w, 2);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 3, &lease, 1), 1);
    assert_true(lease->token > token);
    hello(w, 4, "web-1", 1, 1);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(STALE));
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(report(w, 3, id_at(w, 1), lease->token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static int64_t oldest_wait(const world_t *w)
{
    core_stats_t stats;
    core_stats(w->core, &stats);
    assert_int_equal(stats.queue_count, 1);
    int64_t since_us = stats.queues[0].oldest_ready_us;
    free(stats.queues);
    return since_us == INT64_MAX ? -1 : w->steady_us - since_us;
}

/* Its priority does not count, nor whether an executor has looked at it, nor a restart. */
static void the_numbers_tell_how_long_the_first_task_waits(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 0);
    submit(w, 1, id_at(w, 1), (spec_t){ .priority = 9 });
    assert_int_equal(oldest_wait(w), 0);
    pass(w, 7 * SECOND);
    submit(w, 1, id_at(w, 2), (spec_t){ .priority = 9 });
    assert_int_equal(oldest_wait(w), 7 * SECOND);
    core_close(&w->core);
    w->steady_us = 1; /* the machine was started anew */
    open_core(w);
    assert_int_equal(oldest_wait(w), 7 * SECOND);
    const Pawl__V1__Lease *leases[2];
    hello(w, 3, "web-2", 2, 4);
    assert_int_equal(leases_of(w, 3, leases, 2), 2);
    assert_int_equal(oldest_wait(w), -1);
}

static void a_suspect_executor_gets_nothing_new_until_it_is_heard_of(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Lease *lease;
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    command_t suspect = { .kind = CMD_SUSPECT, .conn = 2, .flag = true };
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    submit(w, 1, id_at(w, 2), (spec_t){ 0 });
    assert_int_equal(leases_of(w, 2, &lease, 1), 0);
    suspect.flag = false;
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
    suspect.flag = true;
    assert_int_equal(step(w, &suspect, 1), ERR_OK);
    submit(w, 1, id_at(w, 3), (spec_t){ 0 });
    /* a report is a sign of life as well, and what it had stays its own */
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(leases_of(w, 2, &lease, 1), 1);
}

/* Given that web-1 had task 1 and was not heard of for a lease: the token that it had. */
static uint64_t given_a_lost_lease(world_t *w, spec_t spec)
{
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), spec);
    pass(w, 31 * SECOND);
    is_lost(w, 2);
    return token;
}

static void a_result_of_a_lost_lease_that_nobody_has_since_is_recovered(void **state)
{
    world_t *w = *state;
    uint64_t token = given_a_lost_lease(w, (spec_t){ 0 });
    assert_int_equal(COUNT(w, WAITING), 1);
    hello(w, 4, "web-1", 1, 0);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(RECOVERED));
    assert_int_equal(COUNT(w, FINISHED), 1);
    assert_int_equal(COUNT(w, WAITING), 0);
}

static void a_lost_lease_that_is_claimed_before_anybody_else_has_it_goes_on(void **state)
{
    world_t *w = *state;
    uint64_t token = given_a_lost_lease(w, (spec_t){ 0 });
    assert_int_equal(COUNT(w, WAITING), 1);
    const Pawl__V1__Reply *reply = hello_claims(w, 3, 1, id_at(w, 1), token, false);
    assert_int_equal(reply->welcome->verdicts[0], PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP);
    assert_int_equal(COUNT(w, RUNNING), 1);
    assert_int_equal(COUNT(w, WAITING), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_ready), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_try), 0);
    assert_int_equal(report(w, 3, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(COUNT(w, FINISHED), 1);
}

static void
the_last_lease_of_an_at_most_once_task_does_not_run_out_while_the_broker_is_down(void **state)
{
    world_t *w = *state;
    uint64_t token = given_a_lost_lease(w, (spec_t){ .at_most_once = true });
    core_close(&w->core);
    pass(w, HOUR);
    open_core(w);
    tick(w);
    assert_int_equal(COUNT(w, RUNNING), 1);
    hello_claims(w, 3, 1, id_at(w, 1), token, false);
    assert_int_equal(report(w, 3, id_at(w, 1), token, DONE), VERDICT(DONE));
}

static void a_look_at_the_clock_commits_nothing(void **state)
{
    world_t *w = *state;
    submit(w, 1, id_at(w, 1), (spec_t){ .delay_us = MINUTE });
    uint64_t commits = memstore_commits(w->store);
    for (int i = 0; i < 50; i++)
        later(w, SECOND);
    assert_int_equal(memstore_commits(w->store), commits);
    later(w, 11 * SECOND);
    assert_int_equal(memstore_commits(w->store), commits + 1);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void at_most_once_fails_after_a_second_lease(void **state)
{
    world_t *w = *state;
    uint64_t token = given_a_lost_lease(w, (spec_t){ .at_most_once = true });
    assert_int_equal(COUNT(w, RUNNING), 1);
    later(w, 31 * SECOND);
    assert_int_equal(COUNT(w, FAILED), 1);
    hello(w, 4, "web-1", 1, 0);
    assert_int_equal(report(w, 4, id_at(w, 1), token, DONE), VERDICT(LATE));
    assert_int_equal(COUNT(w, FAILED), 1);
}

static void after_a_restart_leases_stand_until_claimed_or_a_lease_passed(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    core_close(&w->core);
    memstore_crash(w->store);
    open_core(w);
    assert_int_equal(COUNT(w, RUNNING), 1);
    later(w, 29 * SECOND);
    assert_int_equal(COUNT(w, RUNNING), 1);
    const Pawl__V1__Reply *reply = hello_claims(w, 9, 1, id_at(w, 1), token, false);
    assert_int_equal(reply->welcome->verdicts[0], PAWL__V1__CLAIM_VERDICT__CLAIM_KEEP);
    later(w, 10 * SECOND);
    assert_int_equal(report(w, 9, id_at(w, 1), token, DONE), VERDICT(DONE));
}

static void an_unclaimed_lease_of_an_older_life_is_lost_at_once(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    hello(w, 3, "web-1", 2, 1);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 3, &lease, 1), 1);
    assert_true(lease->token > token);
}

/* What the numbers tell of it: its leases that take a slot. */
static uint64_t used_by(const world_t *w, conn_t conn)
{
    for (size_t i = 0; i < w->out.n; i++)
        if (w->out.items[i].kind == OUT_HELD && w->out.items[i].conn == conn)
            return w->out.items[i].count;
    return UINT64_MAX;
}

static void a_lease_that_only_its_late_result_could_end_takes_no_slot(void **state)
{
    world_t *w = *state;
    ulid_t once = id_at(w, 1), next = id_at(w, 2);
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, once, (spec_t){ .at_most_once = true });
    hello(w, 3, "web-1", 2, 1); /* killed, and there again */
    assert_int_equal(used_by(w, 3), 0);
    assert_int_equal(COUNT(w, RUNNING), 1);
    uint64_t other = leased(w, 3, next, (spec_t){ 0 });
    assert_int_equal(used_by(w, 3), 1);
    assert_int_equal(report(w, 3, once, token, DONE), VERDICT(DONE));
    assert_int_equal(report(w, 3, next, other, DONE), VERDICT(DONE));
    assert_int_equal(used_by(w, 3), 0);
}

static void a_lease_that_its_executor_comes_back_with_takes_its_slot_again(void **state)
{
    world_t *w = *state;
    ulid_t once = id_at(w, 1);
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, once, (spec_t){ .at_most_once = true });
    is_lost(w, 2);
    hello_claims(w, 3, 1, once, token, true); /* more claims follow: it counts already */
    assert_int_equal(used_by(w, 3), 1);
    hello_claims(w, 4, 1, once, token, false);
    assert_int_equal(used_by(w, 4), 1);
    assert_int_equal(report(w, 4, once, token, DONE), VERDICT(DONE));
}

static void a_held_task_waits_for_its_start_and_an_expired_one_never_runs(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 4);
    submit(w, 1, id_at(w, 1), (spec_t){ .hold = true });
    assert_int_equal(COUNT(w, HELD), 1);
    submit(w, 1, id_at(w, 2), (spec_t){ .delay_us = 10 * SECOND, .expire_us = 5 * SECOND });
    later(w, 11 * SECOND);
    assert_int_equal(COUNT(w, EXPIRED), 1);
    assert_int_equal(COUNT(w, HELD), 1);
}

static void cancel_stops_what_waits_and_tells_what_runs(void **state)
{
    world_t *w = *state;
    ulid_t first = id_at(w, 1), second = id_at(w, 2);
    submit(w, 1, first, (spec_t){ 0 });
    assert_int_equal(change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, first, 1)->changed->done, 1);
    assert_int_equal(COUNT(w, CANCELLED), 1);
    assert_int_equal(memstore_rows(w->store, TABLE_ready), 0);
    hello(w, 2, "web-1", 1, 4);
    uint64_t token = leased(w, 2, second, (spec_t){ 0 });
    change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, second, 2);
    assert_int_equal(COUNT(w, RUNNING), 1);
    report(w, 2, second, token, PAWL__V1__OUTCOME__OUTCOME_CANCELLED);
    assert_int_equal(COUNT(w, CANCELLED), 2);
    /* again by hand, with the same request resent: one retry */
    const Pawl__V1__Reply *reply = change(w, PAWL__V1__TASK_VERB__TASK_RETRY, first, 3);
    assert_int_equal(reply->changed->done, 1);
    reply = change(w, PAWL__V1__TASK_VERB__TASK_RETRY, first, 3);
    assert_true(reply->repeated_reply);
    assert_int_equal(reply->changed->done, 1);
    assert_int_equal(COUNT(w, RUNNING), 1);
}

static void a_full_store_refuses_what_adds_and_takes_what_ends(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    const Pawl__V1__Reply *reply = submit(w, 1, id_at(w, 2), (spec_t){ 0 });
    assert_int_equal(reply->error->code, ERR_STORE_FULL);
    assert_true(reply->error->retry_after_us > 0);
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(submit(w, 1, id_at(w, 2), (spec_t){ 0 })->submitted->accepted, 1);
}

static const store_ops_t *real_ops;
static unsigned no_memory_left;

static err_t commit_without_memory(store_t *store)
{
    if (--no_memory_left == 0) store->ops = real_ops;
    real_ops->abort(store);
    return ERR_NO_MEMORY;
}

static void a_commit_without_memory_is_refused_and_survived(void **state)
{
    world_t *w = *state;
    static store_ops_t poor;
    hello(w, 2, "web-1", 1, 0);
    real_ops = w->store->ops;
    poor = *real_ops;
    poor.commit = commit_without_memory;
    w->store->ops = &poor;
    no_memory_left = 3; /* it is tried with less and less */
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Ping ping = PAWL__V1__PING__INIT;
    r.body_case = PAWL__V1__REQUEST__BODY_PING;
    r.ping = &ping;
    r.seq = 77;
    command_t command = { .kind = CMD_REQUEST, .conn = 1, .principal = "uid:1", .request = &r };
    err_t err = step(w, &command, 1);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_true(core_refused(err));
    assert_int_equal(reply_of(w, 1)->error->code, ERR_NO_MEMORY);
    assert_true(w->store->ops == real_ops);
    assert_int_equal(submit(w, 1, id_at(w, 1), (spec_t){ 0 })->submitted->accepted, 1);
}

static void a_store_that_is_full_to_the_brim_can_still_be_purged(void **state)
{
    world_t *w = *state;
    hello(w, 2, "web-1", 1, 1);
    uint64_t token = leased(w, 2, id_at(w, 1), (spec_t){ 0 });
    for (unsigned i = 2; i < 200; i++) {
        char key[201];
        snprintf(key, sizeof key, "%0200u", i);
        submit(w, 1, id_at(w, (uint8_t)i),
               (spec_t){ .type = (char *)(uintptr_t) "mail/send", .key = key, .hold = true });
    }
    assert_int_equal(report(w, 2, id_at(w, 1), token, DONE), VERDICT(DONE));
    store_usage_t usage;
    store_usage(w->store, &usage);
    memstore_faults(w->store)->map_bytes = usage.used_bytes - usage.page_bytes;
    /* nothing can be put in the normal way */
    const Pawl__V1__Reply *reply = submit(w, 1, id_at(w, 200), (spec_t){ 0 });
    assert_int_equal(reply->error->code, ERR_STORE_FULL);
    assert_true(reply->error->retry_after_us > 0);
    uint64_t rows = memstore_rows(w->store, TABLE_spec);
    purge(w, 1);
    assert_int_equal(memstore_rows(w->store, TABLE_spec), rows - 1);
    /* and a cancel is taken, since it leads to room */
    assert_int_equal(change(w, PAWL__V1__TASK_VERB__TASK_CANCEL, id_at(w, 2), 9)->changed->done, 1);
    assert_int_equal(COUNT(w, CANCELLED), 1);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void an_instant_fires_once_whoever_proposes_it(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(w, (plan_spec_t){ .rule = "* * * * *" });
    pass(w, info->next_us - w->wall_us + 1000);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, info->cursor_us);
    assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_DONE);
    assert_int_equal(answer->fired, 1);
    assert_int_equal(COUNT(w, WAITING), 1);
    const Pawl__V1__ProposalAnswer *second = propose(w, info, info->cursor_us);
    assert_int_equal(second->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_CONFLICT);
    assert_int_equal(second->cursor_us, answer->cursor_us);
    assert_int_equal(COUNT(w, WAITING), 1);
}

static void normal_skips_an_outage_as_one_range_and_supersedes_what_waits(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(w, (plan_spec_t){ .rule = "* * * * *" });
    pass(w, info->next_us - w->wall_us);
    int64_t cursor = propose(w, info, info->cursor_us)->cursor_us;
    uint64_t rows = memstore_rows(w->store, TABLE_ledger);
    pass(w, 365 * DAY);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, cursor);
    assert_int_equal(answer->skipped, 365 * 1440 - 1);
    assert_int_equal(answer->fired, 1);
    assert_true(memstore_rows(w->store, TABLE_ledger) <= rows + 2);
    assert_int_equal(COUNT(w, WAITING), 1);
    /* the firing of a year ago was dropped by its start_by, or gave way */
    assert_int_equal(COUNT(w, SUPERSEDED) + COUNT(w, EXPIRED), 1);
}

static void strict_makes_every_instant_up_to_ahead_and_keeps_the_rest_virtual(void **state)
{
    world_t *w = *state;
    const Pawl__V1__ScheduleInfo *info = put_schedule(
        w, (plan_spec_t){ .rule = "* * * * *", .mode = PAWL__V1__MODE__MODE_STRICT, .ahead = 5 });
    pass(w, HOUR);
    const Pawl__V1__ProposalAnswer *answer = propose(w, info, info->cursor_us);
    assert_int_equal(answer->fired, 5);
    assert_int_equal(COUNT(w, WAITING), 5);
    answer = propose(w, info, answer->cursor_us);
    assert_int_equal(answer->verdict, PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_HELD);
    hello(w, 2, "web-1", 1, 10);
    const Pawl__V1__Lease *leases[10];
    assert_int_equal(leases_of(w, 2, leases, 10), 1); /* queue_all: one at a time, in time order */
    ulid_t id;
    memcpy(id.at, leases[0]->id.data, 16);
    report(w, 2, id, leases[0]->token, DONE);
    assert_int_equal(leases_of(w, 2, leases, 10), 1);
    answer = propose(w, info, answer->cursor_us);
    assert_int_equal(answer->fired, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_leased_in_the_commit_that_accepts_it),
        TEST(a_resent_submit_creates_nothing_and_another_body_is_refused),
        TEST(an_unknown_type_is_refused),
        TEST(a_resend_is_taken_after_the_calendar_clock_went_back),
        TEST(a_live_key_answers_for_a_second_task),
        TEST(a_failed_attempt_comes_again_after_its_back_off),
        TEST(a_lost_executors_task_runs_elsewhere_and_its_late_result_is_stale),
        TEST(the_numbers_tell_how_long_the_first_task_waits),
        TEST(a_suspect_executor_gets_nothing_new_until_it_is_heard_of),
        TEST(a_result_of_a_lost_lease_that_nobody_has_since_is_recovered),
        TEST(a_lost_lease_that_is_claimed_before_anybody_else_has_it_goes_on),
        TEST(the_last_lease_of_an_at_most_once_task_does_not_run_out_while_the_broker_is_down),
        TEST(a_look_at_the_clock_commits_nothing),
        TEST(at_most_once_fails_after_a_second_lease),
        TEST(after_a_restart_leases_stand_until_claimed_or_a_lease_passed),
        TEST(an_unclaimed_lease_of_an_older_life_is_lost_at_once),
        TEST(a_lease_that_only_its_late_result_could_end_takes_no_slot),
        TEST(a_lease_that_its_executor_comes_back_with_takes_its_slot_again),
        TEST(a_held_task_waits_for_its_start_and_an_expired_one_never_runs),
        TEST(cancel_stops_what_waits_and_tells_what_runs),
        TEST(a_full_store_refuses_what_adds_and_takes_what_ends),
        TEST(a_commit_without_memory_is_refused_and_survived),
        TEST(a_store_that_is_full_to_the_brim_can_still_be_purged),
        TEST(an_instant_fires_once_whoever_proposes_it),
        TEST(normal_skips_an_outage_as_one_range_and_supersedes_what_waits),
        TEST(strict_makes_every_instant_up_to_ahead_and_keeps_the_rest_virtual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

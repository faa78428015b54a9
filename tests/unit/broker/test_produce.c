/* SPDX-License-Identifier: Apache-2.0
 * Rows that become tasks: once, whatever is sent again, and only by who holds the lease. */
#include "tests/unit/broker/produce_world.h"

static void rows_are_made_once_however_often_they_are_sent(void **state)
{
    world_t *w = *state;
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE);
    char *rows[] = { K1, K2, K2 };
    const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id_at(w, 1), token, rows, 3, MARK);
    assert_null(reply->error);
    assert_int_equal(reply->produced->created, 2);
    assert_int_equal(reply->produced->repeated_rows, 1);
    reply = produce(w, EXECUTOR, id_at(w, 1), token, rows, 3, NULL);
    assert_int_equal(reply->produced->created, 0);
    assert_int_equal(reply->produced->created_all, 2);
    assert_int_equal(reply->produced->watermark.len, 2);
    assert_memory_equal(reply->produced->watermark.data, "17", 2);
    assert_int_equal(COUNT(w, WAITING), 2);
}

static void a_batch_with_one_wrong_row_leaves_nothing(void **state)
{
    world_t *w = *state;
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE);
    char *rows[] = { K1, NOBODY, K2 };
    const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id_at(w, 1), token, rows, 3, MARK);
    assert_int_equal(reply->error->code, ERR_UNKNOWN_TYPE);
    assert_string_equal(reply->error->field, "items[1].task.type");
    assert_int_equal(COUNT(w, WAITING), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 0);
}

static void only_the_holder_of_the_lease_may(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE);
    hello_sql(w, OTHER, WEB2, 2);
    assert_int_equal(produce(w, OTHER, id_at(w, 1), token, rows, 1, MARK)->error->code, ERR_STALE);
    assert_int_equal(produce(w, EXECUTOR, id_at(w, 1), token + 1, rows, 1, MARK)->error->code,
                     ERR_STALE);
    assert_int_equal(produce(w, EXECUTOR, id_at(w, 2), token, rows, 1, MARK)->error->code,
                     ERR_STALE);
    assert_int_equal(report(w, EXECUTOR, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(produce(w, EXECUTOR, id_at(w, 1), token, rows, 1, MARK)->error->code,
                     ERR_STALE);
    assert_int_equal(COUNT(w, WAITING), 0);
}

static void the_next_attempt_goes_on_with_the_watermark_of_the_last(void **state)
{
    world_t *w = *state;
    char *first[] = { K1, K2 }, *second[] = { K2, K3 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE);
    produce(w, EXECUTOR, id_at(w, 1), token, first, 2, MARK);
    hello_sql(w, EXECUTOR, WEB1, 9); /* a new life: the old one is lost */
    const Pawl__V1__Lease *lease = leased_within(w, EXECUTOR, 20);
    ulid_t id = id_at(w, 1);
    assert_memory_equal(lease->id.data, id.at, 16);
    assert_true(lease->token > token);
    assert_int_equal(produce(w, EXECUTOR, id, token, first, 2, NULL)->error->code, ERR_STALE);
    uint64_t next = lease->token;
    const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id, next, NULL, 0, NULL);
    assert_memory_equal(reply->produced->watermark.data, "17", 2);
    reply = produce(w, EXECUTOR, id, next, second, 2, NULL);
    assert_int_equal(reply->produced->created, 1);
    assert_int_equal(reply->produced->created_all, 3);
}

static void a_named_scope_reaches_over_producers_and_none_does_not(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 };
    static const uint32_t created[2][2] = { { 1, 0 }, { 1, 1 } };
    for (unsigned unnamed = 0; unnamed < 2; unnamed++)
        for (unsigned i = 0; i < 2; i++) {
            conn_t conn = (conn_t)(10 + 2 * unnamed + i);
            char name[] = "web-x";
            name[4] = (char)('a' + 2 * unnamed + i);
            hello_sql(w, conn, name, (uint8_t)(20 + 2 * unnamed + i));
            ulid_t id = id_at(w, (uint8_t)(40 + 2 * unnamed + i));
            uint64_t token = submit_producer(w, conn, id, K1, unnamed ? NO_SCOPE : NAME);
            const Pawl__V1__Reply *reply = produce(w, conn, id, token, rows, 1, NULL);
            assert_null(reply->error);
            assert_int_equal(reply->produced->created, created[unnamed][i]);
        }
}

static void a_refused_commit_leaves_neither_tasks_nor_watermark(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1, K2 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE);
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id_at(w, 1), token, rows, 2, MARK);
    assert_int_equal(reply->error->code, ERR_STORE_FULL); /* tried again with nothing added */
    assert_int_equal(COUNT(w, WAITING), 0);
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 0);
    reply = produce(w, EXECUTOR, id_at(w, 1), token, rows, 2, MARK);
    assert_int_equal(reply->produced->created, 2);
}

static void a_task_that_was_lost_again_waits_as_its_own_retry_says(void **state)
{
    world_t *w = *state;
    hello_sql(w, EXECUTOR, WEB1, 1);
    assert_true(submit_producer(w, EXECUTOR, id_at(w, 1), K1, NO_SCOPE) > 0);
    for (uint8_t life = 2; life < 6; life++) { /* 1 s each time, and half as much of jitter */
        const Pawl__V1__Lease *lease = NULL;
        hello_sql(w, EXECUTOR, WEB1, life);
        for (unsigned i = 0; i < 4 && !leases_of(w, EXECUTOR, &lease, 1); i++) {
            later(w, 1000000);
        }
        assert_non_null(lease);
    }
}

static void whatever_the_target_says_its_executor_has_the_source(void **state)
{
    world_t *w = *state;
    static char *others[] = { (char *)(uintptr_t) "other" };
    static char *const keys[] = { K1, K2, K3, MARK, NAME };
    hello_with(w, OTHER, WEB2, 2, others, 1); /* with room, on the same host */
    hello_sql(w, EXECUTOR, WEB1, 1);
    for (uint8_t i = 0; i <= ARRAY_LEN(keys); i++) {
        Pawl__V1__Target target = PAWL__V1__TARGET__INIT;
        ulid_t id = id_at(w, (uint8_t)(60 + i));
        if (i < ARRAY_LEN(keys))
            target.hash = keys[i];
        else
            target.host = (char *)(uintptr_t) "db-host";
        uint64_t token = submit_to(w, EXECUTOR, id, K1, NO_SCOPE, &target);
        assert_true(token > 0);
        assert_int_equal(report(w, EXECUTOR, id, token, DONE), VERDICT(DONE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_made_once_however_often_they_are_sent,
                                        setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(a_batch_with_one_wrong_row_leaves_nothing, setup_mailer,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_the_holder_of_the_lease_may, setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(the_next_attempt_goes_on_with_the_watermark_of_the_last,
                                        setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(a_named_scope_reaches_over_producers_and_none_does_not,
                                        setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(a_task_that_was_lost_again_waits_as_its_own_retry_says,
                                        setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(whatever_the_target_says_its_executor_has_the_source,
                                        setup_mailer, teardown),
        cmocka_unit_test_setup_teardown(a_refused_commit_leaves_neither_tasks_nor_watermark,
                                        setup_mailer, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

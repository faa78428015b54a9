/* SPDX-License-Identifier: Apache-2.0
 * Lists of executors, made on the front's thread: what they show, and that nobody waits for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "broker/front/front_inside.h"
#include "client/base/clock.h"

enum { LIVE = 19000, LOST = 1000 };

static const moment_t now = { 1000000, INT64_C(1700000000000000) };

static conn_t open_executor(sessions_t *sessions, route_t route, const char *name)
{
    Pawl__V1__Hello hello = PAWL__V1__HELLO__INIT;
    uint8_t id[16] = { 1 };
    conn_t conn, replaced;
    hello.name = (char *)(uintptr_t)name;
    hello.role = PAWL__V1__ROLE__ROLE_EXECUTOR;
    assert_int_equal(sessions_hello(sessions, route, &hello, "uid:1", "", 1, now, &conn, &replaced),
                     ERR_OK);
    assert_true(sessions_activate(sessions, conn, id, now));
    return conn;
}

static sessions_t *fresh(void)
{
    sessions_config_t config;
    sessions_config_default(&config);
    return sessions_new(&config);
}

static size_t list(sessions_t *sessions, const char *name, wire_arena_t *arena,
                   Pawl__V1__ExecutorItems *items)
{
    Pawl__V1__ExecutorList ask = PAWL__V1__EXECUTOR_LIST__INIT;
    ask.name = (char *)(uintptr_t)name;
    roster_executors(sessions, &ask, arena, items);
    return items->n_items;
}

static void a_lost_executor_is_listed_until_one_of_its_name_came_after_it(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    wire_arena_t arena;
    Pawl__V1__ExecutorItems items;
    wire_arena_init(&arena);
    conn_t first = open_executor(sessions, 1, "a");
    open_executor(sessions, 2, "b");
    sessions_end(sessions, first, SESSION_LOST, now);
    assert_int_equal(list(sessions, "", &arena, &items), 2);
    assert_string_equal(items.items[0]->name, "a");
    assert_string_equal(items.items[0]->state, "lost");
    conn_t second = open_executor(sessions, 3, "a");
    assert_int_equal(list(sessions, "a", &arena, &items), 1);
    assert_string_equal(items.items[0]->state, "ready");
    sessions_end(sessions, second, SESSION_LOST, now);
    assert_int_equal(list(sessions, "", &arena, &items), 2);
    assert_string_equal(items.items[1]->name, "a");
    sessions_end(sessions, second, SESSION_GONE, now); /* it has ended: no effect */
    wire_arena_free(&arena);
    sessions_destroy(&sessions);
}

/* `pawl why` makes this list each time, and nothing is dispatched meanwhile. */
static void a_large_fleet_is_listed_with_its_lost_ones(void **state)
{
    (void)state;
    sessions_t *sessions = fresh();
    wire_arena_t arena;
    Pawl__V1__ExecutorItems items;
    char name[32];
    wire_arena_init(&arena);
    for (unsigned i = 0; i < LIVE + LOST; i++) {
        snprintf(name, sizeof name, "executor-%u", i);
        conn_t conn = open_executor(sessions, i + 1, name);
        if (i < LOST) sessions_end(sessions, conn, SESSION_LOST, now);
    }
    int64_t began = clock_steady_us();
    assert_int_equal(list(sessions, "", &arena, &items), LIVE + LOST);
    int64_t took = clock_steady_us() - began;
    print_message("a list of %d executors took %lld us\n", LIVE + LOST, (long long)took);
    wire_arena_free(&arena);
    sessions_destroy(&sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_executor_is_listed_until_one_of_its_name_came_after_it),
        cmocka_unit_test(a_large_fleet_is_listed_with_its_lost_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/family_world.h - a fleet of executors "web-0", "web-1", ... in front of one
 * core, and fan-outs to them. */
#ifndef TESTS_UNIT_BROKER_FAMILY_WORLD_H
#define TESTS_UNIT_BROKER_FAMILY_WORLD_H

#include "broker/readers/answer.h"
#include "broker/check/check.h"
#include "tests/unit/broker/core_world.h"

#define F(name) PAWL__V1__FANOUT_##name

enum { FLEET_CONN = 100, FLEET_MOST = 16 };

/* After each test memory is the store's, and the check finds nothing. */
static inline int whole(void **state)
{
    world_t *w = *state;
    size_t problems = 1;
    assert_int_equal(check_store(w->store, stderr, &problems), ERR_OK);
    assert_int_equal(problems, 0);
    return teardown(state);
}

static inline conn_t conn_of(unsigned nth)
{
    return FLEET_CONN + nth;
}

/* The one label that all of them have: role=web. */
static inline Pawl__V1__Label **role_web(void)
{
    static Pawl__V1__Label role, *labels[] = { &role };
    pawl__v1__label__init(&role);
    role.key = (char *)(uintptr_t) "role";
    role.value = (char *)(uintptr_t) "web";
    return labels;
}

/* web-`nth` says Hello; `life` tells its incarnations apart; `change_it` may be NULL. */
typedef void hello_fn(Pawl__V1__Hello *hello);

static inline void join_as(world_t *w, unsigned nth, uint8_t life, hello_fn *change_it)
{
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    char *types[] = { (char *)(uintptr_t) "pawl/shell", (char *)(uintptr_t) "pawl/script",
                      (char *)(uintptr_t) "pawl/sql" };
    char name[32];
    snprintf(name, sizeof name, "web-%u", nth);
    h.name = name;
    h.types = types;
    h.n_types = ARRAY_LEN(types);
    h.labels = role_web();
    h.n_labels = 1;
    h.slots = h.credit = 4;
    if (change_it) change_it(&h);
    assert_null(say_hello(w, conn_of(nth), &h, (uint8_t)(nth * 16u + life))->error);
}

static inline void join(world_t *w, unsigned nth, uint8_t life)
{
    join_as(w, nth, life, NULL);
}

static inline void join_all(world_t *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        join(w, i, 1);
}

static inline void lose(world_t *w, unsigned nth)
{
    is_lost(w, conn_of(nth));
}

/* Everything that the last step gave to web-0 .. web-15. */
typedef struct handed {
    unsigned executor;
    ulid_t id, parent;
    uint64_t token;
    uint32_t index, total;
} handed_t;

static inline size_t handed_out(world_t *w, handed_t *all, size_t room)
{
    size_t n = 0;
    for (unsigned i = 0; i < FLEET_MOST; i++) {
        const Pawl__V1__Lease *leases[8];
        size_t got = leases_of(w, conn_of(i), leases, 8);
        for (size_t k = 0; k < got && n < room; k++) {
            handed_t *to = &all[n++];
            *to = (handed_t){ .executor = i,
                              .token = leases[k]->token,
                              .index = leases[k]->shard_index,
                              .total = leases[k]->shard_total };
            memcpy(to->id.at, leases[k]->id.data, 16);
            if (leases[k]->parent.len == 16) memcpy(to->parent.at, leases[k]->parent.data, 16);
        }
    }
    return n;
}

static inline void ends(world_t *w, const handed_t *lease, Pawl__V1__Outcome outcome)
{
    report(w, conn_of(lease->executor), lease->id, lease->token, outcome);
}

static inline void all_end(world_t *w, const handed_t *leases, size_t n, Pawl__V1__Outcome outcome)
{
    for (size_t i = 0; i < n; i++)
        ends(w, &leases[i], outcome);
}

/* Submits a fan-out; `change_it` may be NULL. By default to all of role=web. */
typedef void fanout_fn(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout);

static inline const Pawl__V1__Reply *fan_out(world_t *w, ulid_t id, fanout_fn *change_it)
{
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    Pawl__V1__Fanout fanout = PAWL__V1__FANOUT__INIT;
    shell_task(&task, &command);
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.fanout = &fanout;
    fanout.labels = role_web();
    fanout.n_labels = 1;
    if (change_it) change_it(&task, &fanout);
    return submit_task(w, 1, &task);
}

static inline void some_of_many(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->count = 2;
}

static inline void two_at_once(Pawl__V1__Task *task, Pawl__V1__Fanout *fanout)
{
    (void)task;
    fanout->parallel = 2;
}

/* Given the executors web-0 .. and a fan-out to all of them: its parent. */
static inline ulid_t given_a_fan_out_to(world_t *w, unsigned executors, fanout_fn *change_it)
{
    ulid_t parent = id_at(w, 1);
    join_all(w, executors);
    fan_out(w, parent, change_it);
    return parent;
}

/* What readers are asked on; what they answer with goes when it is closed. */
static inline void open_answer(world_t *w, answer_t *answer)
{
    *answer = (answer_t){ .arena = &w->arena, .names = names_new(), .wall_us = w->wall_us };
    assert_int_equal(store_view_open(w->store, &answer->view), ERR_OK);
}

static inline void close_answer(answer_t *answer)
{
    store_view_close(&answer->view);
    names_destroy(&answer->names);
}

/* A copy in the world's arena, which outlives the answer. */
static inline Pawl__V1__TaskInfo *kept(world_t *w, const Pawl__V1__TaskInfo *info)
{
    size_t len = pawl__v1__task_info__get_packed_size(info);
    uint8_t *bytes = wire_arena_take(&w->arena, len);
    pawl__v1__task_info__pack(info, bytes);
    return pawl__v1__task_info__unpack(&w->arena.allocator, len, bytes);
}

/* A person's word. ERR_OK, or the code of the refusal. */
static inline uint32_t by_hand(world_t *w, Pawl__V1__TaskVerb verb, ulid_t id)
{
    static uint8_t nth;
    const Pawl__V1__Reply *reply = change(w, verb, id, ++nth);
    return reply->changed->n_items ? reply->changed->items[0]->error->code : ERR_OK;
}

#define CANCEL_IT(w, id) by_hand(w, PAWL__V1__TASK_VERB__TASK_CANCEL, id)
#define RETRY_IT(w, id)  by_hand(w, PAWL__V1__TASK_VERB__TASK_RETRY, id)
#define HOLD_IT(w, id)   by_hand(w, PAWL__V1__TASK_VERB__TASK_HOLD, id)
#define START_IT(w, id)  by_hand(w, PAWL__V1__TASK_VERB__TASK_START, id)

/* A task as readers see it; in the world's arena. */
static inline const Pawl__V1__TaskInfo *look_up(world_t *w, ulid_t id)
{
    Pawl__V1__TaskGet ask = PAWL__V1__TASK_GET__INIT;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    ProtobufCBinaryData one = { 16, id.at };
    answer_t answer;
    ask.ids = &one;
    ask.n_ids = 1;
    open_answer(w, &answer);
    assert_int_equal(query_task_get(&answer, &ask, &reply), ERR_OK);
    const Pawl__V1__TaskInfo *info = reply.error ? NULL : kept(w, reply.tasks->items[0]);
    close_answer(&answer);
    return info;
}

/* What a list shows, in the world's arena; of fan-outs the parents only, if roots. */
static inline size_t list_all(world_t *w, bool roots, Pawl__V1__TaskInfo **all, size_t room)
{
    Pawl__V1__TaskList ask = PAWL__V1__TASK_LIST__INIT;
    Pawl__V1__TaskFilter filter = PAWL__V1__TASK_FILTER__INIT;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    answer_t answer;
    filter.roots = roots;
    ask.filter = &filter;
    open_answer(w, &answer);
    assert_int_equal(query_task_list(&answer, &ask, &reply), ERR_OK);
    assert_null(reply.error);
    size_t n = reply.tasks->n_items;
    assert_true(n <= room);
    for (size_t i = 0; i < n; i++)
        all[i] = kept(w, reply.tasks->items[i]);
    close_answer(&answer);
    return n;
}

static inline Pawl__V1__TaskStatus status_of(world_t *w, ulid_t id)
{
    const Pawl__V1__TaskInfo *info = look_up(w, id);
    return info ? info->status : 0;
}

#define assert_status(w, id, name)                                                                 \
    assert_int_equal(status_of(w, id), PAWL__V1__TASK_STATUS__STATUS_##name)

#endif

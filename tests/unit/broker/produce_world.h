/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/broker/produce_world.h - producers in a world of one core: submitted, leased, and what
 * their executor sends. */
#ifndef TESTS_UNIT_BROKER_PRODUCE_WORLD_H
#define TESTS_UNIT_BROKER_PRODUCE_WORLD_H

#include "tests/unit/broker/core_world.h"

enum { EXECUTOR = 2, OTHER = 3 };

/* An executor of producers alone: what they make waits. */
static inline void hello_with(world_t *w, conn_t conn, char *name, uint8_t life, char **sources,
                              size_t n)
{
    static char *types[] = { (char *)(uintptr_t) "pawl/sql-producer" };
    Pawl__V1__Hello h = PAWL__V1__HELLO__INIT;
    h.name = name;
    h.types = types;
    h.n_types = ARRAY_LEN(types);
    h.host = (char *)(uintptr_t) "db-host";
    h.sources = sources;
    h.n_sources = n;
    h.slots = h.credit = 1;
    assert_null(say_hello(w, conn, &h, life)->error);
}

static inline void hello_sql(world_t *w, conn_t conn, char *name, uint8_t life)
{
    static char *sources[] = { (char *)(uintptr_t) "other", (char *)(uintptr_t) "app" };
    hello_with(w, conn, name, life, sources, ARRAY_LEN(sources));
}

/* Submits a producer; its token when it was leased at once, else 0. */
static inline uint64_t submit_to(world_t *w, conn_t conn, ulid_t id, char *key, char *scope,
                                 Pawl__V1__Target *target)
{
    Pawl__V1__Task made = PAWL__V1__TASK__INIT, task = PAWL__V1__TASK__INIT;
    Pawl__V1__Sql sql = PAWL__V1__SQL__INIT;
    Pawl__V1__SqlProducer producer;
    Pawl__V1__Retry retry = PAWL__V1__RETRY__INIT;
    uint8_t template[100];
    pawl__v1__sql_producer__init(&producer);
    made.type = (char *)(uintptr_t) "mail/send";
    producer.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&made, template), template };
    producer.key = key;
    producer.scope = scope;
    sql.source = (char *)(uintptr_t) "app";
    sql.text = (char *)(uintptr_t) "select 1";
    retry.max_attempts = 5;
    retry.backoff_set_case = PAWL__V1__RETRY__BACKOFF_SET_BACKOFF_US;
    retry.backoff_us = 1000000;
    retry.factor_milli = 1000;
    task.id = (ProtobufCBinaryData){ 16, id.at };
    task.type = (char *)(uintptr_t) "pawl/sql-producer";
    task.sql = &sql;
    task.producer = &producer;
    task.target = target;
    task.retry = &retry;
    assert_int_equal(submit_task(w, 1, &task)->submitted->accepted, 1);
    const Pawl__V1__Lease *lease = NULL;
    return leases_of(w, conn, &lease, 1) ? lease->token : 0;
}

static inline uint64_t submit_producer(world_t *w, conn_t conn, ulid_t id, char *key, char *scope)
{
    return submit_to(w, conn, id, key, scope, NULL);
}

/* The lease that an executor gets within so many seconds, looked for each second. */
static inline const Pawl__V1__Lease *leased_within(world_t *w, conn_t conn, unsigned seconds)
{
    const Pawl__V1__Lease *lease = NULL;
    for (unsigned i = 0; i < seconds && !leases_of(w, conn, &lease, 1); i++)
        later(w, SECOND);
    assert_non_null(lease);
    return lease;
}

/* Sends rows with these keys ("" among them: a task of a type that nobody has). */
static inline const Pawl__V1__Reply *produce(world_t *w, conn_t conn, ulid_t id, uint64_t token,
                                             char *const *keys, size_t n, char *watermark)
{
    static Pawl__V1__ProduceItem items[8], *list[8];
    static uint8_t bytes[8][200];
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Produce body;
    pawl__v1__produce__init(&body);
    for (size_t i = 0; i < n; i++) {
        Pawl__V1__Task task = PAWL__V1__TASK__INIT;
        pawl__v1__produce_item__init(&items[i]);
        task.type = (char *)(uintptr_t)(keys[i][0] ? "mail/send" : "no/such");
        items[i].task = (ProtobufCBinaryData){ pawl__v1__task__pack(&task, bytes[i]), bytes[i] };
        items[i].identity_case = PAWL__V1__PRODUCE_ITEM__IDENTITY_KEY;
        items[i].key = keys[i][0] ? keys[i] : (char *)(uintptr_t) "x";
        list[i] = &items[i];
    }
    body.id = (ProtobufCBinaryData){ 16, id.at };
    body.token = token;
    body.items = list;
    body.n_items = n;
    if (watermark) {
        body.watermark_set_case = PAWL__V1__PRODUCE__WATERMARK_SET_WATERMARK;
        body.watermark = (ProtobufCBinaryData){ strlen(watermark), (uint8_t *)watermark };
    }
    r.body_case = PAWL__V1__REQUEST__BODY_PRODUCE;
    r.produce = &body;
    return request(w, conn, &r);
}

__attribute__((unused)) static char K1[] = "1", K2[] = "2", K3[] = "3", NOBODY[] = "",
                                    NAME[] = "orders", MARK[] = "17", NO_SCOPE[] = "",
                                    WEB1[] = "web-1", WEB2[] = "web-2";

/* With somebody who has announced the type of what is made, and takes none of it. */
static inline int setup_mailer(void **state)
{
    int failed = setup(state);
    hello(*state, 9, (char *)(uintptr_t) "mailer", 7, 0);
    return failed;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Watermarks by hand: what a producer reads next, who may not be raced, which one is meant. */
#include "broker/check/check.h"
#include "broker/readers/query_watermark.h"
#include "broker/store/store.h"
#include "tests/unit/broker/produce_world.h"

typedef Pawl__V1__WatermarkOf of_t;

static of_t of_name(char *name)
{
    of_t of;
    pawl__v1__watermark_of__init(&of);
    of.of_case = PAWL__V1__WATERMARK_OF__OF_NAME;
    of.name = name;
    return of;
}

static of_t of_task(ulid_t *id)
{
    of_t of;
    pawl__v1__watermark_of__init(&of);
    of.of_case = PAWL__V1__WATERMARK_OF__OF_TASK;
    of.task = (ProtobufCBinaryData){ 16, id->at };
    return of;
}

static of_t of_scope(uint8_t scope[16])
{
    of_t of;
    pawl__v1__watermark_of__init(&of);
    of.of_case = PAWL__V1__WATERMARK_OF__OF_SCOPE;
    of.scope = (ProtobufCBinaryData){ 16, scope };
    return of;
}

enum { WHATEVER = -1 };

/* value NULL: it is removed. The code of the refusal, 0: done. */
static uint32_t change_mark(world_t *w, of_t of, char *value, int64_t if_revision, bool force)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__WatermarkChange body;
    uint8_t request_id[16];
    pawl__v1__watermark_change__init(&body);
    memset(request_id, (int)++w->seq, sizeof request_id);
    body.of = &of;
    body.force = force;
    if (value) {
        body.value_set_case = PAWL__V1__WATERMARK_CHANGE__VALUE_SET_VALUE;
        body.value = (ProtobufCBinaryData){ strlen(value), (uint8_t *)value };
    }
    if (if_revision != WHATEVER) {
        body.revision_set_case = PAWL__V1__WATERMARK_CHANGE__REVISION_SET_IF_REVISION;
        body.if_revision = (uint64_t)if_revision;
    }
    r.request_id = (ProtobufCBinaryData){ sizeof request_id, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_WATERMARK_CHANGE;
    r.watermark_change = &body;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    if (reply->error == NULL) assert_int_equal(reply->changed->done, 1);
    return reply->error ? reply->error->code : 0;
}

/* What peers are told, in memory that lasts until the next question. */
typedef struct asked {
    answer_t answer;
    Pawl__V1__Reply reply;
} asked_t;
static asked_t asked;

static void ask_begin(world_t *w)
{
    wire_arena_reset(&w->arena);
    names_destroy(&asked.answer.names); /* answers borrow from them */
    asked.answer = (answer_t){ .arena = &w->arena, .principal = "uid:1", .names = names_new() };
    pawl__v1__reply__init(&asked.reply);
    assert_int_equal(store_view_open(w->store, &asked.answer.view), ERR_OK);
}

static void ask_end(void)
{
    store_view_close(&asked.answer.view);
}

static const Pawl__V1__WatermarkItems *list(world_t *w, of_t *of, uint8_t after[16], uint32_t limit)
{
    Pawl__V1__WatermarkList ask = PAWL__V1__WATERMARK_LIST__INIT;
    ask.of = of;
    ask.limit = limit;
    if (after) ask.after = (ProtobufCBinaryData){ 16, after };
    ask_begin(w);
    assert_int_equal(query_watermark_list(&asked.answer, &ask, &asked.reply), ERR_OK);
    ask_end();
    return asked.reply.error ? NULL : asked.reply.watermarks;
}

static const Pawl__V1__WatermarkInfo *look(world_t *w, of_t of)
{
    const Pawl__V1__WatermarkItems *items = list(w, &of, NULL, 0);
    return items ? items->items[0] : NULL;
}

static void assert_value(const Pawl__V1__WatermarkInfo *info, const char *value)
{
    assert_non_null(info);
    assert_int_equal(info->value.len, strlen(value));
    assert_memory_equal(info->value.data, value, strlen(value));
}

static const Pawl__V1__Produced *asks(world_t *w, ulid_t id, uint64_t token)
{
    const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id, token, NULL, 0, NULL);
    assert_null(reply->error);
    return reply->produced;
}

static char FIVE[] = "5", SIX[] = "6", OTHER_NAME[] = "mails";

/* ---- tests ----------------------------------------------------------------------------------- */

static void what_is_set_by_hand_is_what_the_next_run_reads(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1, K2 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NAME);
    produce(w, EXECUTOR, id_at(w, 1), token, rows, 2, MARK);
    const Pawl__V1__WatermarkInfo *info = look(w, of_name(NAME));
    ulid_t id = id_at(w, 1);
    assert_value(info, "17");
    assert_string_equal(info->kind, "scope");
    assert_string_equal(info->name, NAME);
    assert_string_equal(info->principal, "uid:1");
    assert_true(info->running);
    assert_memory_equal(info->writer.data, id.at, 16);
    assert_int_equal(info->created, 2);
    assert_int_equal(info->changed_us, w->wall_us);
    assert_int_equal(report(w, EXECUTOR, id, token, DONE), VERDICT(DONE));
    assert_false(look(w, of_name(NAME))->running);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, false), 0);
    info = look(w, of_name(NAME));
    assert_value(info, "5");
    assert_int_equal(info->writer.len, 0);
    assert_int_equal(info->created, 2);
    token = submit_producer(w, EXECUTOR, id_at(w, 2), K1, NAME);
    const Pawl__V1__Produced *answer = asks(w, id_at(w, 2), token);
    assert_memory_equal(answer->watermark.data, "5", 1);
    assert_int_equal(answer->created_all, 2);
}

static void a_producer_that_runs_is_not_raced(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NAME);
    /* also before it has made anything: it has read where to begin */
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, false), ERR_IN_USE);
    assert_null(look(w, of_name(NAME)));
    produce(w, EXECUTOR, id_at(w, 1), token, rows, 1, MARK);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, false), ERR_IN_USE);
    assert_int_equal(change_mark(w, of_name(NAME), NULL, WHATEVER, false), ERR_IN_USE);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, 999, false), ERR_IN_USE); /* tells more */
    assert_value(look(w, of_name(NAME)), "17");
    /* another scope is nobody's business */
    assert_int_equal(change_mark(w, of_name(OTHER_NAME), FIVE, WHATEVER, false), 0);
    assert_int_equal(report(w, EXECUTOR, id_at(w, 1), token, DONE), VERDICT(DONE));
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, false), 0);
}

static void with_force_the_attempt_that_runs_makes_nothing_more(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 }, *more[] = { K2 };
    ulid_t id = id_at(w, 1);
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id, K1, NAME);
    produce(w, EXECUTOR, id, token, rows, 1, MARK);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, true), 0);
    restart(w); /* the mark on the lease is on record */
    hello_sql(w, EXECUTOR, WEB1, 1);
    assert_int_equal(produce(w, EXECUTOR, id, token, more, 1, MARK)->error->code, ERR_STALE);
    assert_int_equal(produce(w, EXECUTOR, id, token, NULL, 0, NULL)->error->code, ERR_STALE);
    assert_value(look(w, of_name(NAME)), "5");
    assert_int_equal(COUNT(w, WAITING), 1);
    /* it is fenced off already: nobody stands in the way of a second change */
    assert_int_equal(change_mark(w, of_name(NAME), SIX, WHATEVER, false), 0);
    assert_int_equal(report(w, EXECUTOR, id, token, FAIL), VERDICT(DONE));
    const Pawl__V1__Lease *lease = leased_within(w, EXECUTOR, 20);
    assert_memory_equal(asks(w, id, lease->token)->watermark.data, "6", 1);
}

static void a_change_may_say_what_it_expects(void **state)
{
    world_t *w = *state;
    assert_int_equal(change_mark(w, of_name(NAME), NULL, WHATEVER, false), ERR_NOT_FOUND);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, 1, false), ERR_CONFLICT);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, 0, false), 0);
    assert_int_equal(look(w, of_name(NAME))->revision, 1);
    assert_int_equal(change_mark(w, of_name(NAME), SIX, 0, false), ERR_EXISTS);
    assert_int_equal(change_mark(w, of_name(NAME), SIX, 1, false), 0);
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, 1, false), ERR_CONFLICT);
    assert_value(look(w, of_name(NAME)), "6");
    assert_int_equal(change_mark(w, of_name(NAME), NULL, 1, false), ERR_CONFLICT);
    assert_int_equal(change_mark(w, of_name(NAME), NULL, 2, false), 0);
    assert_null(look(w, of_name(NAME)));
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 0);
}

static void after_a_removal_no_row_becomes_a_second_task(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1, K2 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    for (uint8_t i = 1; i <= 2; i++) {
        uint64_t token = submit_producer(w, EXECUTOR, id_at(w, i), K1, NAME);
        assert_int_equal(asks(w, id_at(w, i), token)->watermark.len, 0);
        const Pawl__V1__Reply *reply = produce(w, EXECUTOR, id_at(w, i), token, rows, 2, MARK);
        assert_int_equal(reply->produced->created, i == 1 ? 2 : 0);
        assert_int_equal(report(w, EXECUTOR, id_at(w, i), token, DONE), VERDICT(DONE));
        assert_int_equal(change_mark(w, of_name(NAME), NULL, WHATEVER, false), 0);
    }
    assert_int_equal(COUNT(w, WAITING), 2);
}

static void a_task_means_the_watermark_that_it_uses(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 };
    ulid_t named = id_at(w, 1), plain = id_at(w, 2), nobody = id_at(w, 9), mail = id_at(w, 3);
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, named, K1, NAME);
    produce(w, EXECUTOR, named, token, rows, 1, MARK);
    assert_int_equal(report(w, EXECUTOR, named, token, DONE), VERDICT(DONE));
    assert_string_equal(look(w, of_task(&named))->name, NAME);
    token = submit_producer(w, EXECUTOR, plain, K1, NO_SCOPE);
    assert_null(look(w, of_task(&plain))); /* none yet */
    produce(w, EXECUTOR, plain, token, rows, 1, FIVE);
    const Pawl__V1__WatermarkInfo *info = look(w, of_task(&plain));
    assert_value(info, "5");
    assert_string_equal(info->kind, "task");
    assert_memory_equal(info->task.data, plain.at, 16);
    uint8_t scope[16];
    memcpy(scope, info->scope.data, sizeof scope);
    assert_value(look(w, of_scope(scope)), "5");
    assert_int_equal(report(w, EXECUTOR, plain, token, DONE), VERDICT(DONE));
    assert_int_equal(change_mark(w, of_scope(scope), SIX, WHATEVER, false), 0);
    assert_value(look(w, of_task(&plain)), "6");
    memset(scope, 9, sizeof scope);
    assert_int_equal(change_mark(w, of_scope(scope), SIX, WHATEVER, false), ERR_NOT_FOUND);
    assert_int_equal(change_mark(w, of_task(&nobody), SIX, WHATEVER, false), ERR_NOT_FOUND);
    submit(w, 1, mail, (spec_t){ .type = (char *)(uintptr_t) "mail/send" });
    assert_int_equal(change_mark(w, of_task(&mail), SIX, WHATEVER, false), ERR_CONTRADICTION);
    assert_null(look(w, of_task(&mail)));
}

static void a_schedule_has_one_before_it_ever_fired(void **state)
{
    world_t *w = *state;
    of_t of;
    import_utc(w);
    pawl__v1__watermark_of__init(&of);
    of.of_case = PAWL__V1__WATERMARK_OF__OF_SCHEDULE;
    of.schedule = (char *)(uintptr_t) "harvest";
    assert_int_equal(change_mark(w, of, FIVE, WHATEVER, false), ERR_NOT_FOUND);
    put_schedule(w, (plan_spec_t){ .name = (char *)(uintptr_t) "harvest",
                                   .rule = (char *)(uintptr_t) "0 3 * * *" });
    assert_null(look(w, of));
    assert_int_equal(change_mark(w, of, FIVE, WHATEVER, false), 0);
    const Pawl__V1__WatermarkInfo *info = look(w, of);
    assert_value(info, "5");
    assert_string_equal(info->kind, "schedule");
    assert_string_equal(info->name, "harvest");
}

static const Pawl__V1__Reply *change_harvest(world_t *w, Pawl__V1__ScheduleVerb verb)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleChange body = PAWL__V1__SCHEDULE_CHANGE__INIT;
    uint8_t request_id[16];
    memset(request_id, (int)++w->seq, sizeof request_id);
    body.name = (char *)(uintptr_t) "harvest";
    body.verb = verb;
    r.request_id = (ProtobufCBinaryData){ sizeof request_id, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    r.schedule_change = &body;
    const Pawl__V1__Reply *reply = request(w, 1, &r);
    assert_null(reply->error);
    return reply;
}

/* What a producer writes that still runs when its schedule is removed goes with its end. */
static void of_a_schedule_that_is_gone_nothing_stays(void **state)
{
    world_t *w = *state;
    Pawl__V1__Schedule s = PAWL__V1__SCHEDULE__INIT;
    Pawl__V1__Task made = PAWL__V1__TASK__INIT, task = PAWL__V1__TASK__INIT;
    Pawl__V1__Sql sql = PAWL__V1__SQL__INIT;
    Pawl__V1__SqlProducer producer;
    uint8_t template[100];
    char *rows[] = { K1, K2 };
    const Pawl__V1__Lease *lease = NULL;
    hello_sql(w, EXECUTOR, WEB1, 1);
    pawl__v1__sql_producer__init(&producer);
    made.type = (char *)(uintptr_t) "mail/send";
    producer.task = (ProtobufCBinaryData){ pawl__v1__task__pack(&made, template), template };
    producer.key = K1;
    sql.source = (char *)(uintptr_t) "app";
    sql.text = (char *)(uintptr_t) "select 1";
    task.type = (char *)(uintptr_t) "pawl/sql-producer";
    task.sql = &sql;
    task.producer = &producer;
    s.name = (char *)(uintptr_t) "harvest";
    s.rule = (char *)(uintptr_t) "0 3 * * *";
    put_in_utc(w, &s, &task);
    change_harvest(w, PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW);
    assert_int_equal(leases_of(w, EXECUTOR, &lease, 1), 1);
    ulid_t id;
    memcpy(id.at, lease->id.data, 16);
    uint64_t token = lease->token;
    assert_null(produce(w, EXECUTOR, id, token, rows, 1, FIVE)->error);
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 1);
    change_harvest(w, PAWL__V1__SCHEDULE_VERB__SCHEDULE_REMOVE);
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 1); /* it may be tried again */
    assert_null(produce(w, EXECUTOR, id, token, rows, 2, SIX)->error);
    assert_int_equal(report(w, EXECUTOR, id, token, DONE), VERDICT(DONE));
    assert_int_equal(memstore_rows(w->store, TABLE_watermark), 0);
}

static void a_row_of_an_earlier_version_is_shown_and_grows_up(void **state)
{
    world_t *w = *state;
    char *rows[] = { K1 };
    hello_sql(w, EXECUTOR, WEB1, 1);
    uint64_t token = submit_producer(w, EXECUTOR, id_at(w, 1), K1, NAME);
    produce(w, EXECUTOR, id_at(w, 1), token, rows, 1, MARK);
    uint8_t scope[16];
    memcpy(scope, look(w, of_name(NAME))->scope.data, sizeof scope);
    watermark_row_t old = { .kind = SCOPE_NAMED, .created = 1, .value = slice("17", 2) };
    rec_key_t key = key_watermark(scope);
    buf_t bytes = { 0 };
    watermark_row_encode(&old, &bytes);
    assert_int_equal(store_begin(w->store), ERR_OK);
    assert_int_equal(
        store_put(w->store, TABLE_watermark, key_slice(&key), slice(bytes.at, bytes.len), 0),
        ERR_OK);
    assert_int_equal(store_commit(w->store), ERR_OK);
    buf_free(&bytes);
    const Pawl__V1__WatermarkInfo *info = look(w, of_scope(scope));
    assert_value(info, "17");
    assert_string_equal(info->name, "");
    assert_int_equal(info->revision, 1);
    produce(w, EXECUTOR, id_at(w, 1), token, rows, 1, FIVE);
    info = look(w, of_scope(scope));
    assert_string_equal(info->name, NAME);
    assert_int_equal(info->revision, 2);
}

static void a_list_goes_on_page_after_page(void **state)
{
    world_t *w = *state;
    enum { MARKS = 7 };
    uint8_t after[16], seen[MARKS][16];
    size_t n = 0;
    bool begun = false;
    for (char i = 0; i < MARKS; i++) {
        char name[] = "scope-x";
        name[6] = (char)('a' + i);
        assert_int_equal(change_mark(w, of_name(name), FIVE, 0, false), 0);
    }
    for (;;) {
        const Pawl__V1__WatermarkItems *page = list(w, NULL, begun ? after : NULL, 3);
        for (size_t i = 0; i < page->n_items; i++) {
            assert_true(n < MARKS);
            memcpy(seen[n], page->items[i]->scope.data, 16);
            if (n) assert_true(memcmp(seen[n - 1], seen[n], 16) < 0);
            n++;
        }
        if (page->next.len == 0) break;
        memcpy(after, page->next.data, sizeof after);
        begun = true;
    }
    assert_int_equal(n, MARKS);
}

static void changes_by_hand_are_in_the_journal(void **state)
{
    world_t *w = *state;
    Pawl__V1__EventRead ask = PAWL__V1__EVENT_READ__INIT;
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, 0, false), 0);
    assert_int_equal(change_mark(w, of_name(OTHER_NAME), FIVE, 0, false), 0);
    assert_int_equal(change_mark(w, of_name(OTHER_NAME), NULL, 1, false), 0);
    assert_int_equal(change_mark(w, of_name(OTHER_NAME), NULL, 1, false), ERR_CONFLICT);
    ask_begin(w);
    assert_int_equal(query_event_read(&asked.answer, &ask, 1, &asked.reply), ERR_OK);
    ask_end();
    const Pawl__V1__EventItems *events = asked.reply.events;
    size_t n = 0;
    const Pawl__V1__EventInfo *found[4];
    for (size_t i = 0; i < events->n_items; i++)
        if (strncmp(events->items[i]->kind, "watermark.", 10) == 0 && n < ARRAY_LEN(found))
            found[n++] = events->items[i];
    assert_int_equal(n, 3);
    assert_string_equal(found[0]->kind, "watermark.set");
    assert_string_equal(found[0]->name, NAME);
    assert_string_equal(found[0]->detail, "of a scope of uid:1");
    assert_string_equal(found[2]->kind, "watermark.removed");
}

static size_t problems_of(world_t *w)
{
    static char report[4096];
    size_t problems = 0;
    FILE *out = fmemopen(report, sizeof report, "w");
    assert_non_null(out);
    assert_int_equal(check_store(w->store, out, &problems), ERR_OK);
    fclose(out);
    if (problems) print_message("%s", report);
    return problems;
}

static void a_row_that_is_not_whose_it_says_is_found(void **state)
{
    world_t *w = *state;
    uint8_t elsewhere[16] = { 9 };
    const watermark_row_t rows[] = {
        { .kind = SCOPE_NAMED, .no = 1, .name = slice_text(NAME), .revision = 1 },
        { .kind = SCOPE_NAMED, .no = 77, .name = slice_text(NAME), .revision = 1 },
        { .kind = SCOPE_SCHEDULE, .no = 5, .revision = 1 },
        { .kind = SCOPE_TASK, .name = slice(elsewhere, 16), .revision = 1 },
    };
    assert_int_equal(change_mark(w, of_name(NAME), FIVE, WHATEVER, false), 0);
    assert_int_equal(problems_of(w), 0);
    rec_key_t key = key_watermark(elsewhere);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_t bytes = { 0 };
        watermark_row_encode(&rows[i], &bytes);
        assert_int_equal(store_begin(w->store), ERR_OK);
        assert_int_equal(
            store_put(w->store, TABLE_watermark, key_slice(&key), slice(bytes.at, bytes.len), 0),
            ERR_OK);
        assert_int_equal(store_commit(w->store), ERR_OK);
        buf_free(&bytes);
        assert_int_equal(problems_of(w), 1);
    }
    assert_int_equal(store_begin(w->store), ERR_OK);
    assert_int_equal(store_del(w->store, TABLE_watermark, key_slice(&key)), ERR_OK);
    assert_int_equal(store_commit(w->store), ERR_OK);
}

static int end(void **state)
{
    names_destroy(&asked.answer.names);
    assert_int_equal(problems_of(*state), 0);
    return teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_mailer, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_set_by_hand_is_what_the_next_run_reads),
        TEST(a_producer_that_runs_is_not_raced),
        TEST(with_force_the_attempt_that_runs_makes_nothing_more),
        TEST(a_change_may_say_what_it_expects),
        TEST(after_a_removal_no_row_becomes_a_second_task),
        TEST(a_task_means_the_watermark_that_it_uses),
        TEST(a_schedule_has_one_before_it_ever_fired),
        TEST(of_a_schedule_that_is_gone_nothing_stays),
        TEST(a_row_of_an_earlier_version_is_shown_and_grows_up),
        TEST(a_list_goes_on_page_after_page),
        TEST(changes_by_hand_are_in_the_journal),
        TEST(a_row_that_is_not_whose_it_says_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

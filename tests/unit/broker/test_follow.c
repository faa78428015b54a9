/* SPDX-License-Identifier: Apache-2.0
 * Schedulers that choose by labels: each is told of its own schedules, a change of labels hands one
 * over, what nobody looks after is an event, and many are put in one request. */
#include "tests/unit/broker/core_world.h"

#include "broker/store/record.h"

enum { OPS = 5, WEB = 6, ALL = 7 };

typedef struct seen {
    char text[400]; /* names in the order in which they came; "-name": removed; "/": a page or push
                     */
} seen_t;

static void note(seen_t *seen, const Pawl__V1__ScheduleItems *items)
{
    for (size_t i = 0; i < items->n_items; i++)
        snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text), "%s%s ",
                 items->items[i]->removed ? "-" : "", items->items[i]->name);
}

/* What the last step pushed to a connection. */
static const char *pushed(world_t *w, conn_t conn)
{
    static seen_t seen;
    size_t at = 0;
    seen.text[0] = '\0';
    for (const Pawl__V1__Push *push; (push = next_push(w, conn, &at)) != NULL;)
        if (push->body_case == PAWL__V1__PUSH__BODY_SCHEDULES) note(&seen, push->schedules);
    return seen.text;
}

static const Pawl__V1__Reply *follow(world_t *w, conn_t conn, const char *select, bool brief,
                                     const char *after, int64_t due_us)
{
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleFollow f = PAWL__V1__SCHEDULE_FOLLOW__INIT;
    f.select = (char *)(uintptr_t)select;
    f.after = (char *)(uintptr_t)after;
    f.brief = brief;
    f.due_us = due_us;
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW;
    r.schedule_follow = &f;
    return request(w, conn, &r);
}

static const char *followed(world_t *w, conn_t conn, const char *select)
{
    static seen_t seen;
    seen.text[0] = '\0';
    const Pawl__V1__Reply *reply = follow(w, conn, select, false, "", 0);
    assert_null(reply->error);
    assert_string_equal(reply->schedules->next, "");
    note(&seen, reply->schedules);
    return seen.text;
}

typedef struct wanted {
    const char *name, *rule, *team;
    int64_t after_us;
} wanted_t;

/* Puts them in one request; returns the answer. */
static const Pawl__V1__Reply *put_all(world_t *w, const wanted_t *wanted, size_t n)
{
    enum { MOST = 8 };
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__SchedulePut put = PAWL__V1__SCHEDULE_PUT__INIT;
    Pawl__V1__SchedulePutItem more[MOST], *list[MOST];
    Pawl__V1__Schedule schedules[MOST];
    Pawl__V1__Label labels[MOST], *label_lists[MOST];
    Pawl__V1__Task task = PAWL__V1__TASK__INIT;
    Pawl__V1__Command command = PAWL__V1__COMMAND__INIT;
    uint8_t request_id[16] = { 9, w->next_random }, bytes[200];
    shell_task(&task, &command);
    size_t len = pawl__v1__task__pack(&task, bytes);
    for (size_t i = 0; i < n; i++) {
        Pawl__V1__Schedule *s = &schedules[i];
        pawl__v1__schedule__init(s);
        s->name = (char *)(uintptr_t)wanted[i].name;
        s->rule = (char *)(uintptr_t)wanted[i].rule;
        s->zone = (char *)(uintptr_t) "UTC";
        s->after_us = wanted[i].after_us;
        s->task = (ProtobufCBinaryData){ len, bytes };
        pawl__v1__label__init(&labels[i]);
        labels[i].key = (char *)(uintptr_t) "team";
        labels[i].value = (char *)(uintptr_t)wanted[i].team;
        label_lists[i] = &labels[i];
        s->labels = &label_lists[i];
        s->n_labels = wanted[i].team != NULL;
        pawl__v1__schedule_put_item__init(&more[i]);
        more[i].schedule = s;
        list[i] = &more[i];
    }
    put.schedule = &schedules[0];
    put.more = list + 1;
    put.n_more = n - 1;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_PUT;
    r.schedule_put = &put;
    return request(w, 1, &r);
}

static const wanted_t two[] = { { "backup", "0 3 * * *", "ops", 0 },
                                { "crawl", "* * * * *", "web", 0 } };

static int with_two(void **state)
{
    setup(state);
    world_t *w = *state;
    import_utc(w);
    hello(w, 2, "exec-1", 3, 0);
    const Pawl__V1__Reply *reply = put_all(w, two, 2);
    assert_null(reply->error);
    assert_int_equal(reply->changed->done, 2);
    return 0;
}

static void each_is_told_of_those_it_chooses(void **state)
{
    world_t *w = *state;
    assert_string_equal(followed(w, OPS, "team=ops"), "backup ");
    assert_string_equal(followed(w, WEB, "team!=ops"), "crawl ");
    assert_string_equal(followed(w, ALL, ""), "backup crawl ");
    const wanted_t third[] = { { "third", "* * * * *", "ops", 0 } };
    put_all(w, third, 1);
    assert_string_equal(pushed(w, OPS), "third ");
    assert_string_equal(pushed(w, WEB), "");
    assert_string_equal(pushed(w, ALL), "third ");
}

static void new_labels_hand_a_schedule_over(void **state)
{
    world_t *w = *state;
    followed(w, OPS, "team=ops");
    followed(w, WEB, "team=web");
    followed(w, ALL, "");
    const wanted_t moved[] = { { "backup", "0 3 * * *", "web", 0 } };
    assert_null(put_all(w, moved, 1)->error);
    assert_string_equal(pushed(w, OPS), "-backup ");
    assert_string_equal(pushed(w, WEB), "backup ");
    assert_string_equal(pushed(w, ALL), "backup ");
    assert_string_equal(followed(w, OPS, "team=ops"), "");
    const wanted_t bare[] = { { "backup", "0 3 * * *", NULL, 0 } };
    assert_null(put_all(w, bare, 1)->error);
    assert_string_equal(pushed(w, WEB), "-backup ");
    assert_string_equal(followed(w, ALL, "!team"), "backup ");
}

static void a_choice_that_cannot_be_read_is_refused(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Reply *reply = follow(w, OPS, "team=ops,=", false, "", 0);
    assert_non_null(reply->error);
    assert_int_equal(reply->error->code, ERR_BAD_VALUE);
    assert_string_equal(reply->error->field, "schedule_follow.select");
}

static void the_short_form_has_what_a_scheduler_needs_and_what_is_due_first(void **state)
{
    world_t *w = *state;
    const Pawl__V1__Reply *whole = follow(w, ALL, "", false, "", 0);
    const Pawl__V1__ScheduleInfo *crawl = whole->schedules->items[1];
    const Pawl__V1__Reply *reply = follow(w, ALL, "", true, "", w->wall_us + MINUTE);
    assert_int_equal(reply->schedules->n_items, 1); /* backup is not due for hours */
    const Pawl__V1__ScheduleInfo *brief = reply->schedules->items[0];
    assert_memory_equal(brief->uid.data, crawl->uid.data, 16);
    assert_int_equal(brief->revision, crawl->revision);
    assert_int_equal(brief->cursor_us, crawl->cursor_us);
    assert_int_equal(brief->next_us, crawl->next_us);
    assert_string_equal(brief->state, "active");
    assert_string_equal(brief->rule, "");
    reply = follow(w, ALL, "team=ops", true, "", 0);
    assert_int_equal(reply->schedules->n_items, 1);
    assert_string_equal(reply->schedules->next, "");
    int64_t cursor = crawl->cursor_us;
    uint8_t uid[16];
    memcpy(uid, crawl->uid.data, 16);
    pass(w, 61 * SECOND); /* a firing moves what the short form says */
    Pawl__V1__ScheduleInfo same = *crawl;
    same.uid.data = uid;
    int64_t next = propose(w, &same, cursor)->next_us;
    reply = follow(w, ALL, "team=web", true, "", 0);
    assert_int_equal(reply->schedules->items[0]->next_us, next);
}

static void each_of_many_is_done_or_refused_by_itself(void **state)
{
    world_t *w = *state;
    const wanted_t three[] = { { "good", "0 3 * * *", "ops", 0 },
                               { "bad", "61 * * * *", "ops", 0 },
                               { "fine", "0 4 * * *", "ops", 0 } };
    const Pawl__V1__Reply *reply = put_all(w, three, 3);
    assert_null(reply->error);
    assert_int_equal(reply->changed->done, 2);
    assert_int_equal(reply->changed->n_items, 1);
    assert_int_equal(reply->changed->items[0]->index, 1);
    assert_int_equal(reply->changed->items[0]->error->code, ERR_BAD_RULE);
    assert_string_equal(followed(w, OPS, "team=ops"), "backup fine good ");
}

/* The last event of the journal that is of a schedule; 0: none. */
static uint8_t last_event(world_t *w, uint64_t *aux)
{
    store_view_t *view;
    store_scan_t *scan;
    slice_t key, value;
    journal_entry_t entry = { 0 }, last = { 0 };
    assert_int_equal(store_view_open(w->store, &view), ERR_OK);
    rec_key_t from = key_n(0);
    assert_int_equal(store_scan_open(view, TABLE_jrn, key_slice(&from), false, &scan), ERR_OK);
    while (store_scan_next(scan, &key, &value) == ERR_OK) {
        journal_unpack_t unpack;
        assert_true(journal_unpack_begin(&unpack, be_u64(key.at), value));
        while (journal_unpack_next(&unpack, &entry))
            if (strncmp(journal_event_text(entry.event), "schedule.", 9) == 0) last = entry;
    }
    store_scan_close(&scan);
    store_view_close(&view);
    *aux = last.aux;
    return last.event;
}

static void what_nobody_looks_after_is_an_event_once_and_so_is_its_end(void **state)
{
    world_t *w = *state;
    uint64_t aux;
    followed(w, OPS, "team=ops");
    later(w, 9 * SECOND); /* whoever left may come back at once */
    assert_int_not_equal(last_event(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    pass(w, 2 * SECOND);
    assert_true(core_next_due_us(w->core) <= w->steady_us);
    tick(w);
    assert_int_equal(last_event(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    assert_int_equal(aux, 1); /* crawl */
    /* and nothing is looked for any more */
    assert_true(core_next_due_us(w->core) > w->steady_us + HOUR);
    followed(w, WEB, "team=web");
    later(w, 11 * SECOND);
    assert_int_equal(last_event(w, &aux), EVENT_SCHEDULE_ATTENDED);
    command_t gone[] = { { .kind = CMD_GONE, .conn = OPS }, { .kind = CMD_GONE, .conn = WEB } };
    assert_int_equal(step(w, gone, 2), ERR_OK);
    followed(w, ALL, ""); /* in time */
    later(w, 11 * SECOND);
    assert_int_equal(last_event(w, &aux), EVENT_SCHEDULE_ATTENDED);
    is_gone(w, ALL);
    later(w, 11 * SECOND);
    assert_int_equal(last_event(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    assert_int_equal(aux, 2);
}

/* Looks once more, and at what it says of schedules that nobody looks after. */
static uint8_t looked(world_t *w, uint64_t *aux)
{
    later(w, 11 * SECOND);
    return last_event(w, aux);
}

static void a_fixed_delay_is_told_again_when_its_task_has_ended(void **state)
{
    world_t *w = *state;
    uint64_t aux;
    followed(w, OPS, "team=ops");
    followed(w, WEB, "team=web");
    const wanted_t poll[] = { { "poll", "", NULL, MINUTE } };
    assert_null(put_all(w, poll, 1)->error);
    assert_int_equal(looked(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    Pawl__V1__Request r = PAWL__V1__REQUEST__INIT;
    Pawl__V1__ScheduleChange now = PAWL__V1__SCHEDULE_CHANGE__INIT;
    uint8_t request_id[16] = { 8 };
    now.name = (char *)(uintptr_t) "poll";
    now.verb = PAWL__V1__SCHEDULE_VERB__SCHEDULE_NOW;
    r.request_id = (ProtobufCBinaryData){ 16, request_id };
    r.body_case = PAWL__V1__REQUEST__BODY_SCHEDULE_CHANGE;
    r.schedule_change = &now;
    hello(w, 3, "exec-2", 4, 1);
    assert_null(request(w, 1, &r)->error);
    const Pawl__V1__Lease *lease;
    assert_int_equal(leases_of(w, 3, &lease, 1), 1);
    ulid_t id;
    memcpy(id.at, lease->id.data, sizeof id.at);
    uint64_t token = lease->token;
    followed(w, ALL, "team=nobody"); /* while its task runs it needs nobody */
    assert_int_equal(looked(w, &aux), EVENT_SCHEDULE_ATTENDED);
    report(w, 3, id, token, PAWL__V1__OUTCOME__OUTCOME_DONE);
    assert_int_equal(looked(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    assert_int_equal(aux, 1);
}

static void a_schedule_that_comes_while_it_is_looked_has_its_cursor_already(void **state)
{
    world_t *w = *state;
    uint64_t aux;
    followed(w, OPS, "team=ops");
    pass(w, 11 * SECOND);
    const wanted_t fresh[] = { { "fresh", "0 4 * * *", NULL, 0 } };
    assert_null(put_all(w, fresh, 1)->error); /* in the batch that looks */
    assert_int_equal(last_event(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    assert_int_equal(aux, 2); /* crawl, too */
}

static void what_was_told_is_not_forgotten_over_a_refused_commit(void **state)
{
    world_t *w = *state;
    uint64_t aux;
    followed(w, OPS, "team=ops");
    assert_int_equal(looked(w, &aux), EVENT_SCHEDULE_UNATTENDED);
    memstore_faults(w->store)->next_commit = MEMSTORE_COMMIT_REFUSED;
    followed(w, ALL, "");
    assert_int_equal(looked(w, &aux), EVENT_SCHEDULE_ATTENDED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_two, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_is_told_of_those_it_chooses),
        TEST(new_labels_hand_a_schedule_over),
        TEST(a_choice_that_cannot_be_read_is_refused),
        TEST(the_short_form_has_what_a_scheduler_needs_and_what_is_due_first),
        TEST(each_of_many_is_done_or_refused_by_itself),
        TEST(what_nobody_looks_after_is_an_event_once_and_so_is_its_end),
        TEST(a_fixed_delay_is_told_again_when_its_task_has_ended),
        TEST(a_schedule_that_comes_while_it_is_looked_has_its_cursor_already),
        TEST(what_was_told_is_not_forgotten_over_a_refused_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

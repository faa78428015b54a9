/* SPDX-License-Identifier: Apache-2.0
 * What comes piece by piece: lists, events, schedules followed, proposals, batches. */
#include "tests/unit/client/peer.h"

#include "schemas/limits.h"

#include <pthread.h>

#include "client/base/clock.h"
#include "schemas/errors.h"

typedef struct seen {
    int n;
    char text[400]; /* what was told, one word each */
    int stop_after; /* 0: never */
} seen_t;

static void note(seen_t *self, const char *word)
{
    size_t len = strlen(self->text);
    snprintf(self->text + len, sizeof self->text - len, "%s%s", len ? " " : "", word);
    self->n++;
}

static void poll_until(pawl_client_t *client, const seen_t *seen, int n)
{
    int64_t deadline = clock_steady_us() + 60 * SECOND;
    while (seen->n < n && clock_steady_us() < deadline)
        pawl_client_poll(client, 20 * 1000);
    assert_int_equal(seen->n, n);
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool on_event(const pawl_record_t *event, void *arg)
{
    seen_t *seen = arg;
    char word[64];
    snprintf(word, sizeof word, "%s:%d", pawl_record_text(event, "kind"),
             (int)pawl_record_int(event, "seq"));
    note(seen, word);
    return seen->n != seen->stop_after;
}

static void send_events(peer_t *peer, uint64_t from, uint64_t n, uint64_t oldest)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__EventItems events = PAWL__V1__EVENT_ITEMS__INIT;
    Pawl__V1__EventInfo rows[8], *list[8];
    for (uint64_t i = 0; i < n; i++) {
        pawl__v1__event_info__init(&rows[i]);
        rows[i].seq = from + i;
        rows[i].kind = (char *)(uintptr_t) "e";
        list[i] = &rows[i];
    }
    events.n_items = n;
    events.items = list;
    events.next_seq = from + n;
    events.oldest_seq = oldest;
    reply.body_case = PAWL__V1__REPLY__BODY_EVENTS;
    reply.events = &events;
    peer_reply(peer, &reply);
}

static void a_watch_goes_on_behind_the_last_event_after_a_reconnect_and_tells_gaps(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    pawl_watch_t *watch = pawl_watch_new(client, 5, on_event, &seen);
    peer_greet(peer);
    Pawl__V1__EventRead *read = peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read;
    assert_int_equal(read->from_seq, 5);
    send_events(peer, 5, 2, 1);
    poll_until(client, &seen, 2);
    read = peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read;
    assert_int_equal(read->from_seq, 7);
    peer_stop(peer);
    peer_start(peer);
    peer_greet(peer);
    read = peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read;
    assert_int_equal(read->from_seq, 7);
    send_events(peer, 20, 1, 20); /* 7 to 19 are gone */
    poll_until(client, &seen, 4);
    assert_string_equal(seen.text, "e:5 e:6 gap:20 e:20");
    assert_int_equal(pawl_watch_seq(watch), 21);
    pawl_watch_destroy(&watch);
}

static void a_watch_from_now_on_first_learns_where_now_is_and_ends_when_told(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { .stop_after = 1 };
    pawl_watch_t *watch = pawl_watch_new(client, 0, on_event, &seen);
    peer_greet(peer);
    assert_true(peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read->from_now);
    send_events(peer, 100, 0, 3);
    while (pawl_watch_seq(watch) != 100)
        pawl_client_poll(client, 10 * 1000);
    Pawl__V1__EventRead *read = peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read;
    assert_false(read->from_now);
    assert_int_equal(read->from_seq, 100);
    assert_true(read->wait_us > 0);
    send_events(peer, 100, 3, 3);
    poll_until(client, &seen, 1); /* fn said: enough */
    pawl_client_poll(client, 0);
    assert_int_equal(seen.n, 1);
    pawl_watch_destroy(&watch);
}

/* A role that may not read events, for one: its program must not wait for ever. */
static void a_watch_that_is_refused_is_told_and_over_with_the_brokers_words(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    peer_greet(peer);
    pawl_watch_t *watch = pawl_watch_new(client, 1, on_event, &seen);
    assert_non_null(watch);
    peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ);
    assert_int_equal(pawl_watch_error(watch), 0);
    peer_error(peer, ERR_REFUSED, "you may not", 0);
    poll_until(client, &seen, 1);
    assert_string_equal(seen.text, "error:1");
    assert_int_equal(pawl_watch_error(watch), PAWL_E_REFUSED);
    assert_string_equal(pawl_client_error(client), "you may not");
    pawl_watch_destroy(&watch);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void a_watch_whose_answer_cannot_be_read_is_told_so_and_over(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    pawl_watch_t *watch = pawl_watch_new(client, 3, on_event, &seen);
    peer_greet(peer);
    uint64_t seq = peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->seq;
    assert_true(seq < 0x80);
    const uint8_t cut[] = { 0x0d, 'P', 'W', 'R', '1', 0x10, (uint8_t)seq, 0x1a, 0x7f, 1 };
    peer_raw(peer, cut, sizeof cut);
    poll_until(client, &seen, 1);
    assert_string_equal(seen.text, "error:3");
    assert_int_equal(pawl_watch_error(watch), PAWL_E_NO_MEMORY);
    assert_non_null(strstr(pawl_client_error(client), "could not be read"));
    pawl_watch_destroy(&watch);
}

static pawl_op_t *submit_one(pawl_client_t *client)
{
    pawl_err err;
    pawl_task_t *task = pawl_task_new("a/b");
    pawl_op_t *op = pawl_submit_op(client, task, &err);
    pawl_task_destroy(&task);
    assert_int_equal(err, 0);
    return op;
}

static void a_watch_goes_on_while_no_more_requests_may_wait(void **state)
{
    (void)state;
    peer_t *peer = peer_open();
    pawl_client_t *client = peer_client(peer, "client", "2");
    seen_t seen = { 0 };
    pawl_op_t *first = submit_one(client);
    pawl_watch_t *watch = pawl_watch_new(client, 5, on_event, &seen);
    peer_greet(peer);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT); /* gets no answer */
    peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ);
    send_events(peer, 5, 1, 1);
    zmq_pollitem_t due = { NULL, pawl_client_fd(client), ZMQ_POLLIN, 0 };
    assert_int_equal(zmq_poll(&due, 1, PEER_PATIENCE_MS), 1);
    pawl_op_t *second = submit_one(client); /* takes the room that the read had */
    poll_until(client, &seen, 1);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT);
    assert_int_equal(peer_next(peer, PAWL__V1__REQUEST__BODY_EVENT_READ)->event_read->from_seq, 6);
    send_events(peer, 6, 1, 1);
    poll_until(client, &seen, 2);
    assert_int_equal(pawl_watch_error(watch), 0);
    pawl_watch_destroy(&watch);
    pawl_op_destroy(&first);
    pawl_op_destroy(&second);
    pawl_client_destroy(&client);
    peer_close(&peer);
}

static void note_refusal(void *arg, const uint8_t id[PAWL_ID_BYTES], pawl_err err, const char *why)
{
    char word[64];
    snprintf(word, sizeof word, "%d:%d:%s", id[0], err, why);
    note(arg, word);
}

static void *cancel_two(void *client)
{
    seen_t *seen = calloc(1, sizeof *seen);
    uint8_t ids[2 * PAWL_ID_BYTES] = { 7 };
    size_t refused = 0;
    ids[PAWL_ID_BYTES] = 8;
    assert_int_equal(pawl_task_change_each(client, "cancel", ids, 2, "", note_refusal, seen,
                                           &refused, PATIENCE_US),
                     PAWL_E_WRONG_STATUS);
    assert_int_equal(refused, 1);
    return seen;
}

static void a_refusal_of_a_task_that_was_not_named_is_nobodys(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pthread_t thread;
    seen_t *seen;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Changed changed = PAWL__V1__CHANGED__INIT;
    Pawl__V1__ItemResult rows[2], *list[2] = { &rows[0], &rows[1] };
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    peer_greet(peer);
    assert_int_equal(pthread_create(&thread, NULL, cancel_two, client), 0);
    peer_next(peer, PAWL__V1__REQUEST__BODY_TASK_CHANGE);
    error.code = ERR_WRONG_STATUS;
    error.text = (char *)(uintptr_t) "ended";
    for (size_t i = 0; i < 2; i++) {
        pawl__v1__item_result__init(&rows[i]);
        rows[i].error = &error;
    }
    rows[0].index = 1000000;
    rows[1].index = 1;
    changed.n_items = 2;
    changed.items = list;
    reply.body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply.changed = &changed;
    peer_reply(peer, &reply);
    assert_int_equal(pthread_join(thread, (void **)&seen), 0);
    assert_string_equal(seen->text, "8:-45:ended");
    free(seen);
}

static const char TOKEN[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void *complete_for_ever(void *client)
{
    static pawl_err err;
    pawl_completion_t completion = { .verb = "done", .token = TOKEN };
    err = pawl_task_complete(client, &completion, NULL, -1);
    return &err;
}

/* Who was told the token may be faster than the attempt that told it. */
static void a_completion_without_a_time_limit_waits_for_its_attempt(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pthread_t thread;
    pawl_err *err;
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Changed changed = PAWL__V1__CHANGED__INIT;
    peer_greet(peer);
    assert_int_equal(pthread_create(&thread, NULL, complete_for_ever, client), 0);
    for (int i = 0; i < 2; i++) {
        peer_next(peer, PAWL__V1__REQUEST__BODY_TASK_COMPLETE);
        peer_error(peer, ERR_NOT_YET, "it still runs", 0);
    }
    peer_next(peer, PAWL__V1__REQUEST__BODY_TASK_COMPLETE);
    reply.body_case = PAWL__V1__REPLY__BODY_CHANGED;
    reply.changed = &changed;
    peer_reply(peer, &reply);
    assert_int_equal(pthread_join(thread, (void **)&err), 0);
    assert_int_equal(*err, 0);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void on_schedule(const pawl_record_t *schedule, void *arg)
{
    note(arg, schedule ? pawl_record_text(schedule, "name") : "forget");
}

static void schedule_items(Pawl__V1__ScheduleItems *items, Pawl__V1__ScheduleInfo *row,
                           Pawl__V1__ScheduleInfo **list, const char *name, const char *next)
{
    pawl__v1__schedule_items__init(items);
    pawl__v1__schedule_info__init(row);
    row->name = (char *)(uintptr_t)name;
    *list = row;
    items->n_items = 1;
    items->items = list;
    items->next = (char *)(uintptr_t)next;
}

static void send_schedule(peer_t *peer, const char *name, const char *next, bool push)
{
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Push pushed = PAWL__V1__PUSH__INIT;
    Pawl__V1__ScheduleItems items;
    Pawl__V1__ScheduleInfo row, *list;
    schedule_items(&items, &row, &list, name, next);
    reply.body_case = PAWL__V1__REPLY__BODY_SCHEDULES;
    reply.schedules = &items;
    pushed.body_case = PAWL__V1__PUSH__BODY_SCHEDULES;
    pushed.schedules = &items;
    if (push)
        peer_push(peer, &pushed);
    else
        peer_reply(peer, &reply);
}

static void a_follower_hears_all_then_changes_and_begins_anew_in_a_new_session(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    assert_int_equal(pawl_schedule_follow(client, on_schedule, &seen), 0);
    assert_int_equal(pawl_schedule_follow(client, on_schedule, &seen), PAWL_E_EXISTS);
    peer_greet(peer);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    send_schedule(peer, "a", "a", false);
    Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    assert_string_equal(request->schedule_follow->after, "a");
    send_schedule(peer, "b", "", false);
    send_schedule(peer, "c", "", true);
    poll_until(client, &seen, 3);
    peer_error(peer, ERR_SESSION_LOST, "silence", 0); /* any reply may say so */
    peer_greet(peer);
    request = peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    assert_string_equal(request->schedule_follow->after, "");
    send_schedule(peer, "d", "", false);
    poll_until(client, &seen, 5);
    assert_string_equal(seen.text, "a b c forget d");
}

static void a_follower_begins_anew_when_something_was_lost_on_the_way(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    static const uint8_t broken[] = {
        0x0d, 0x50, 0x57, 0x50, 0x31, 0xff, 0xff
    }; /* a push's magic */
    assert_int_equal(pawl_schedule_follow(client, on_schedule, &seen), 0);
    peer_greet(peer);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    peer_error(peer, ERR_STORE_FULL, "no room", 0);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    send_schedule(peer, "a", "", false);
    poll_until(client, &seen, 2);
    peer_raw(peer, broken, sizeof broken);
    Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_SCHEDULE_FOLLOW);
    assert_string_equal(request->schedule_follow->after, "");
    send_schedule(peer, "b", "", false);
    poll_until(client, &seen, 4);
    assert_string_equal(seen.text, "forget a forget b");
}

static void on_proposed(const pawl_record_t *answer, pawl_err err, void *arg)
{
    note(arg, err ? pawl_err_name(err)
                  : pawl_record_text(pawl_record_sub_at(answer, "items", 0), "verdict"));
}

static void proposals_are_answered_inside_poll(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    seen_t seen = { 0 };
    pawl_proposal_t proposals[2] = { { { 'u' }, 3, 10, 20, 0 }, { { 'v' }, 4, 30, 40, 0 } };
    peer_greet(peer);
    assert_int_equal(pawl_propose(client, proposals, 2, on_proposed, &seen), 0);
    Pawl__V1__Propose *propose = peer_next(peer, PAWL__V1__REQUEST__BODY_PROPOSE)->propose;
    assert_int_equal(propose->n_items, 2);
    assert_int_equal(propose->items[1]->expect_cursor_us, 30);
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Proposed proposed = PAWL__V1__PROPOSED__INIT;
    Pawl__V1__ProposalAnswer answer = PAWL__V1__PROPOSAL_ANSWER__INIT, *answers = &answer;
    answer.verdict = PAWL__V1__PROPOSAL_VERDICT__PROPOSAL_TOO_EARLY;
    proposed.n_items = 1;
    proposed.items = &answers;
    reply.body_case = PAWL__V1__REPLY__BODY_PROPOSED;
    reply.proposed = &proposed;
    peer_reply(peer, &reply);
    poll_until(client, &seen, 1);
    assert_int_equal(pawl_propose(client, proposals, 1, on_proposed, &seen), 0);
    peer_next(peer, PAWL__V1__REQUEST__BODY_PROPOSE);
    peer_error(peer, ERR_REFUSED, "no", 0);
    poll_until(client, &seen, 2);
    assert_string_equal(seen.text, "too_early REFUSED");
}

/* ---- lists and batches ----------------------------------------------------------------------- */

/* A broker's part, played beside a call that waits; returns what it found wrong, NULL: nothing. */
static pthread_t answering(void *(*part)(void *peer), peer_t *peer)
{
    pthread_t self;
    assert_int_equal(pthread_create(&self, NULL, part, peer), 0);
    return self;
}

static void assert_answered(pthread_t part)
{
    void *wrong;
    assert_int_equal(pthread_join(part, &wrong), 0);
    assert_null(wrong);
}

static void *answer_two_pages(void *arg)
{
    peer_t *peer = arg;
    peer_greet(peer);
    for (int page = 0; page < 2; page++) {
        Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_TASK_LIST);
        if (request->task_list->cursor != (page ? 77u : 0u)) return (void *)1;
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__TaskItems items = PAWL__V1__TASK_ITEMS__INIT;
        Pawl__V1__TaskInfo rows[2] = { PAWL__V1__TASK_INFO__INIT, PAWL__V1__TASK_INFO__INIT };
        Pawl__V1__TaskInfo *list[2] = { &rows[0], &rows[1] };
        rows[0].priority = (uint32_t)page * 2;
        rows[1].priority = (uint32_t)page * 2 + 1;
        items.n_items = 2;
        items.items = list;
        items.cursor = page ? 0 : 77;
        reply.body_case = PAWL__V1__REPLY__BODY_TASKS;
        reply.tasks = &items;
        peer_reply(peer, &reply);
    }
    return NULL;
}

static void a_list_is_read_page_by_page(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pawl_list_t *list;
    pawl_err err;
    int n = 0;
    pthread_t broker = answering(answer_two_pages, peer);
    assert_int_equal(pawl_task_list(client, NULL, &list, PATIENCE_US), 0);
    const pawl_record_t *row;
    while ((row = pawl_list_next(list, &err)))
        assert_int_equal(pawl_record_int(row, "priority"), n++);
    assert_int_equal(err, 0);
    assert_int_equal(n, 4);
    assert_answered(broker);
    pawl_client_destroy(&peer->client); /* the list outlives it */
    pawl_list_destroy(&list);
}

/* Two pages of peers, then two of queues, each asked for where the one before ended. */
static void *answer_pages_of_peers_and_queues(void *arg)
{
    peer_t *peer = arg;
    peer_greet(peer);
    for (int page = 0; page < 2; page++) {
        Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_PEER_LIST);
        if (request->peer_list->cursor != (page ? 9u : 0u) ||
            request->peer_list->limit != LIMIT_LIST)
            return (void *)1;
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__PeerItems items = PAWL__V1__PEER_ITEMS__INIT;
        Pawl__V1__PeerInfo row = PAWL__V1__PEER_INFO__INIT, *rows[] = { &row };
        row.pid = page + 1;
        items.n_items = 1;
        items.items = rows;
        items.next = page ? 0 : 9;
        reply.body_case = PAWL__V1__REPLY__BODY_PEERS;
        reply.peers = &items;
        peer_reply(peer, &reply);
    }
    for (int page = 0; page < 2; page++) {
        Pawl__V1__Request *request = peer_next(peer, PAWL__V1__REQUEST__BODY_QUEUE_LIST);
        if (strcmp(request->queue_list->after, page ? "b" : "") != 0) return (void *)2;
        Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
        Pawl__V1__QueueItems items = PAWL__V1__QUEUE_ITEMS__INIT;
        Pawl__V1__QueueInfo row = PAWL__V1__QUEUE_INFO__INIT, *rows[] = { &row };
        row.name = (char *)(uintptr_t)(page ? "c" : "b");
        items.n_items = 1;
        items.items = rows;
        items.next = (char *)(uintptr_t)(page ? "" : "b");
        reply.body_case = PAWL__V1__REPLY__BODY_QUEUES;
        reply.queues = &items;
        peer_reply(peer, &reply);
    }
    return NULL;
}

static void peers_and_queues_are_read_page_by_page(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pawl_list_t *list;
    pawl_err err;
    pthread_t broker = answering(answer_pages_of_peers_and_queues, peer);
    assert_int_equal(pawl_peer_list(client, &list, PATIENCE_US), 0);
    assert_int_equal(pawl_record_int(pawl_list_next(list, &err), "pid"), 1);
    assert_int_equal(pawl_record_int(pawl_list_next(list, &err), "pid"), 2);
    assert_null(pawl_list_next(list, &err));
    assert_int_equal(err, 0);
    pawl_list_destroy(&list);
    assert_int_equal(pawl_queue_list(client, &list, PATIENCE_US), 0);
    assert_string_equal(pawl_record_text(pawl_list_next(list, &err), "name"), "b");
    assert_string_equal(pawl_record_text(pawl_list_next(list, &err), "name"), "c");
    assert_null(pawl_list_next(list, &err));
    pawl_list_destroy(&list);
    assert_answered(broker);
}

static void a_batch_too_large_for_one_message_is_split_and_told_item_by_item(void **state)
{
    peer_t *peer = *state;
    pawl_client_t *client = peer->client;
    pawl_batch_t *batch = pawl_batch_new();
    char *input = calloc(1, 1 << 20);
    pawl_err err;
    for (int i = 0; i < 12; i++) {
        pawl_task_t *task = pawl_task_new("a/b");
        assert_int_equal(pawl_task_set_input(task, input, 1 << 20, NULL), 0);
        assert_int_equal(pawl_batch_add(batch, task), 0);
        pawl_task_destroy(&task);
    }
    free(input);
    peer_greet(peer);
    pawl_op_t *op = pawl_batch_submit_op(client, batch, &err);
    assert_int_equal(err, 0);
    assert_int_equal(pawl_batch_item_error(batch, 0), PAWL_E_EMPTY); /* not answered yet */
    size_t first = peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT)->submit->n_tasks;
    assert_in_range(first, 1, 8);
    peer_submitted(peer);
    assert_int_equal(peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT)->submit->n_tasks, 12 - first);
    Pawl__V1__Reply reply = PAWL__V1__REPLY__INIT;
    Pawl__V1__Submitted submitted = PAWL__V1__SUBMITTED__INIT;
    Pawl__V1__ItemResult rows[2], *list[2] = { &rows[0], &rows[1] };
    Pawl__V1__Error error = PAWL__V1__ERROR__INIT;
    uint8_t id[16] = { 'o', 't', 'h', 'e', 'r' }, told[16];
    error.code = ERR_UNKNOWN_TYPE;
    error.text = (char *)(uintptr_t) "nobody takes it";
    for (int i = 0; i < 2; i++)
        pawl__v1__item_result__init(&rows[i]);
    rows[0].index = 1;
    rows[0].error = &error;
    rows[1].index = 2;
    rows[1].id = (ProtobufCBinaryData){ 16, id };
    submitted.n_items = 2;
    submitted.items = list;
    reply.body_case = PAWL__V1__REPLY__BODY_SUBMITTED;
    reply.submitted = &submitted;
    peer_reply(peer, &reply);
    assert_int_equal(pawl_op_wait(op, PATIENCE_US), 0);
    assert_int_equal(pawl_batch_item_error(batch, first + 1), -ERR_UNKNOWN_TYPE);
    assert_string_equal(pawl_batch_item_text(batch, first + 1), "nobody takes it");
    assert_int_equal(pawl_batch_item_error(batch, first + 2), 0);
    pawl_batch_item_id(batch, first + 2, told);
    assert_memory_equal(told, id, 16);
    pawl_batch_destroy(&batch);
    pawl_op_destroy(&op);
}

static void *answer_one_submit(void *arg)
{
    peer_t *peer = arg;
    peer_greet(peer);
    peer_next(peer, PAWL__V1__REQUEST__BODY_SUBMIT);
    peer_submitted(peer);
    return NULL;
}

static void a_batch_may_be_waited_for_as_long_as_one_likes(void **state)
{
    peer_t *peer = *state;
    uint8_t ids[2][PAWL_ID_BYTES], id[PAWL_ID_BYTES];
    pawl_batch_t *batch = pawl_batch_new();
    pawl_task_t *task = pawl_task_new("a/b");
    for (int i = 0; i < 2; i++) {
        pawl_id_new(ids[i]);
        pawl_task_set_id(task, ids[i]);
        assert_int_equal(pawl_batch_add(batch, task), 0);
    }
    pawl_task_destroy(&task);
    assert_true(memcmp(ids[0], ids[1], PAWL_ID_BYTES) < 0); /* in the order of their making */
    pthread_t broker = answering(answer_one_submit, peer);
    assert_int_equal(pawl_batch_submit(peer->client, batch, PATIENCE_US), 0);
    assert_answered(broker);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pawl_batch_item_error(batch, i), 0);
        pawl_batch_item_id(batch, i, id);
        assert_memory_equal(id, ids[i], PAWL_ID_BYTES);
    }
    assert_int_equal(pawl_batch_submit(peer->client, batch, 20 * 1000), PAWL_E_TIMEOUT);
    assert_int_equal(pawl_batch_item_error(batch, 0), PAWL_E_EMPTY); /* nobody has answered */
    pawl_batch_destroy(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AS_CLIENT(a_watch_goes_on_behind_the_last_event_after_a_reconnect_and_tells_gaps),
        AS_CLIENT(a_watch_from_now_on_first_learns_where_now_is_and_ends_when_told),
        AS_CLIENT(a_watch_that_is_refused_is_told_and_over_with_the_brokers_words),
        AS_CLIENT(a_watch_whose_answer_cannot_be_read_is_told_so_and_over),
        cmocka_unit_test(a_watch_goes_on_while_no_more_requests_may_wait),
        AS_CLIENT(a_refusal_of_a_task_that_was_not_named_is_nobodys),
        AS_CLIENT(a_completion_without_a_time_limit_waits_for_its_attempt),
        AS_SCHEDULER(a_follower_hears_all_then_changes_and_begins_anew_in_a_new_session),
        AS_SCHEDULER(a_follower_begins_anew_when_something_was_lost_on_the_way),
        AS_SCHEDULER(proposals_are_answered_inside_poll),
        AS_CLIENT(a_list_is_read_page_by_page),
        AS_CLIENT(peers_and_queues_are_read_page_by_page),
        AS_CLIENT(a_batch_too_large_for_one_message_is_split_and_told_item_by_item),
        AS_CLIENT(a_batch_may_be_waited_for_as_long_as_one_likes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Submitting. A batch keeps its tasks packed, each as an item of Submit, so that a request is one
 * copy of a run of bytes. What was answered for each item lies in `outcomes`, shared by the batch
 * and the operation under way, so either may be destroyed first. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/arena.h"
#include "client/base/base.h"
#include "client/client.h"
#include "client/task.h"

enum { ITEM_TEXT = 200, BODY_TAG = 0x6a /* Request.submit */, ITEM_TAG = 0x0a };

typedef struct item {
    uint8_t id[16];
    pawl_err err;
    char *text; /* NULL: none */
} item_t;

typedef struct outcomes {
    atomic_uint refs;
    atomic_bool told; /* the operation is done: the items do not change any more */
    size_t n;
    item_t items[];
} outcomes_t;

typedef struct entry {
    size_t at, len; /* in `packed`, tag and length included */
    uint8_t id[16];
} entry_t;

struct pawl_batch {
    bytes_t packed;
    bytes_t entries; /* of entry_t */
    outcomes_t *outcomes;
};

struct pawl_op {
    due_t due;
    pawl_client_t *client;
    unsigned refs; /* owner, each call on its way, the due list; under client->lock */
    size_t left;   /* calls without an answer */
    bool done, due_listed;
    bool single; /* of pawl_submit_op: the one task's refusal is the operation's */
    pawl_err err;
    char *text;
    int64_t retry_us;
    outcomes_t *outcomes;
    pawl_op_fn *fn; /* NULL: nobody wants to be called */
    void *arg;
};

/* One request of an operation: which items it carries. */
typedef struct part {
    pawl_op_t *op;
    size_t first, n;
} part_t;

/* ---- outcomes -------------------------------------------------------------------------------- */

static void outcomes_release(outcomes_t *self)
{
    if (!self || atomic_fetch_sub(&self->refs, 1) != 1) return;
    for (size_t i = 0; i < self->n; i++)
        free(self->items[i].text);
    free(self);
}

static outcomes_t *outcomes_new(const entry_t *entries, size_t n)
{
    outcomes_t *self = calloc(1, sizeof *self + n * sizeof(item_t));
    if (!self) return NULL;
    atomic_init(&self->refs, 1);
    atomic_init(&self->told, false);
    self->n = n;
    for (size_t i = 0; i < n; i++) {
        memcpy(self->items[i].id, entries[i].id, 16);
        self->items[i].err = PAWL_E_EMPTY; /* of a part that did not leave */
    }
    return self;
}

static void outcomes_fill(outcomes_t *self, size_t first, size_t n, pawl_err err)
{
    for (size_t i = first; i < first + n && i < self->n; i++)
        self->items[i].err = err;
}

static void outcomes_read(outcomes_t *self, size_t first, size_t n, const Pawl__V1__Submitted *told)
{
    outcomes_fill(self, first, n, PAWL_OK);
    for (size_t i = 0; i < told->n_items; i++) {
        const Pawl__V1__ItemResult *result = told->items[i];
        if (result->index >= n || first + result->index >= self->n) continue;
        item_t *item = &self->items[first + result->index];
        if (result->error) {
            item->err = result->error->code ? -(pawl_err)result->error->code : PAWL_E_BAD_REQUEST;
            free(item->text);
            item->text = strndup(result->error->text, 500);
        }
        if (result->id.len == 16) memcpy(item->id, result->id.data, 16);
    }
}

/* ---- batch ----------------------------------------------------------------------------------- */

pawl_batch_t *pawl_batch_new(void)
{
    return calloc(1, sizeof(pawl_batch_t));
}

void pawl_batch_destroy(pawl_batch_t **self_p)
{
    if (!self_p || !*self_p) return;
    bytes_free(&(*self_p)->packed);
    bytes_free(&(*self_p)->entries);
    outcomes_release((*self_p)->outcomes);
    free(*self_p);
    *self_p = NULL;
}

static const entry_t *entries_of(const pawl_batch_t *self)
{
    return (const entry_t *)(const void *)self->entries.at;
}

size_t pawl_batch_size(const pawl_batch_t *self)
{
    return self->entries.len / sizeof(entry_t);
}

void pawl_batch_clear(pawl_batch_t *self)
{
    self->packed.len = self->entries.len = 0;
    outcomes_release(self->outcomes);
    self->outcomes = NULL;
}

pawl_err pawl_batch_add(pawl_batch_t *self, const pawl_task_t *task)
{
    size_t size = protobuf_c_message_get_packed_size(&task->message->base);
    entry_t entry = { self->packed.len, 1 + varint_size(size) + size, { 0 } };
    pawl_task_id(task, entry.id);
    const uint8_t tag = ITEM_TAG;
    if (!bytes_need(&self->packed, entry.len) || !bytes_add(&self->entries, &entry, sizeof entry))
        return PAWL_E_NO_MEMORY;
    bytes_add(&self->packed, &tag, 1); /* the room is there */
    uint8_t *at = varint_put(self->packed.at + self->packed.len, size);
    protobuf_c_message_pack(&task->message->base, at);
    self->packed.len = entry.at + entry.len;
    return PAWL_OK;
}

/* The answer to item i; NULL: none yet. */
static const item_t *item_of(const pawl_batch_t *self, size_t i)
{
    const outcomes_t *outcomes = self->outcomes;
    return outcomes && i < outcomes->n && atomic_load(&outcomes->told) ? &outcomes->items[i] : NULL;
}

pawl_err pawl_batch_item_error(const pawl_batch_t *self, size_t i)
{
    const item_t *item = item_of(self, i);
    return item ? item->err : PAWL_E_EMPTY;
}

const char *pawl_batch_item_text(const pawl_batch_t *self, size_t i)
{
    const item_t *item = item_of(self, i);
    if (!item || !item->err) return "";
    return item->text ? item->text : pawl_err_text(item->err);
}

void pawl_batch_item_id(const pawl_batch_t *self, size_t i, uint8_t id[PAWL_ID_BYTES])
{
    const item_t *item = item_of(self, i);
    if (item)
        memcpy(id, item->id, PAWL_ID_BYTES);
    else if (i < pawl_batch_size(self))
        memcpy(id, entries_of(self)[i].id, PAWL_ID_BYTES);
    else
        memset(id, 0, PAWL_ID_BYTES);
}

/* ---- operations: under client->lock ---------------------------------------------------------- */

static void op_release(pawl_op_t *self)
{
    if (--self->refs) return;
    outcomes_release(self->outcomes);
    free(self->text);
    free(self);
}

static void op_note(pawl_op_t *self, const call_t *call)
{
    const Pawl__V1__Error *error = call->err ? NULL : call->reply->error;
    if (self->err) return; /* the first one stands */
    self->err = call->err ? call->err : error ? -(pawl_err)error->code : PAWL_E_BAD_REQUEST;
    const char *text = error ? error->text : call->why;
    self->text = text ? strndup(text, 500) : NULL;
    self->retry_us = error ? error->retry_after_us : 0;
}

static void on_answer(call_t *call)
{
    part_t *part = call->arg;
    pawl_op_t *self = part->op;
    if (!call->err && !call->reply->error &&
        call->reply->body_case == PAWL__V1__REPLY__BODY_SUBMITTED) {
        outcomes_read(self->outcomes, part->first, part->n, call->reply->submitted);
    } else {
        op_note(self, call);
        outcomes_fill(self->outcomes, part->first, part->n, self->err);
    }
    free(part);
    call->arg = NULL;
    if (--self->left == 0) {
        self->done = true;
        atomic_store(&self->outcomes->told, true);
        pthread_cond_broadcast(&self->client->changed);
        if (self->due_listed) due_add(self->client, &self->due);
    }
    op_release(self);
}

/* As many items from `first` as one request may carry. */
static size_t part_size(const pawl_client_t *client, const pawl_batch_t *batch, size_t first,
                        size_t *bytes)
{
    const entry_t *entries = entries_of(batch);
    size_t n = 0, total = pawl_batch_size(batch);
    *bytes = 0;
    while (first + n < total && n < client->limit_items &&
           (n == 0 || *bytes + entries[first + n].len + 256 <= client->limit_message)) {
        *bytes += entries[first + n].len;
        n++;
    }
    return n;
}

static call_t *part_call(pawl_op_t *self, const pawl_batch_t *batch, size_t first, size_t n,
                         size_t len)
{
    bytes_t body = { 0 };
    const uint8_t tag = BODY_TAG;
    part_t *part = malloc(sizeof *part);
    if (!part || !bytes_need(&body, len + 16) || !bytes_add(&body, &tag, 1) ||
        !bytes_add_varint(&body, len) ||
        !bytes_add(&body, batch->packed.at + entries_of(batch)[first].at, len)) {
        free(part);
        bytes_free(&body);
        return NULL;
    }
    call_t *call = call_new_packed(self->client, &body, n, 0);
    if (!call) {
        free(part);
        return NULL;
    }
    *part = (part_t){ self, first, n };
    call->arg = part;
    call->on_done = on_answer;
    return call;
}

/* Queues the requests of a batch. What is queued is on its way, also when a later part fails. */
static pawl_err op_start(pawl_op_t *self, const pawl_batch_t *batch, bool wait, int64_t deadline)
{
    pawl_client_t *client = self->client;
    pawl_err err = PAWL_OK;
    self->left++; /* this function: the op is not done while parts are being queued */
    for (size_t first = 0; first < pawl_batch_size(batch) && !err;) {
        size_t bytes, n = part_size(client, batch, first, &bytes);
        call_t *call = part_call(self, batch, first, n, bytes);
        if (!call) {
            err = PAWL_E_NO_MEMORY;
            break;
        }
        self->left++;
        self->refs++;
        err = call_queue(call, wait, deadline);
        if (err) {
            self->left--;
            self->refs--;
            free(call->arg);
        }
        call_release(call);
        first += n;
    }
    if (--self->left == 0) {
        self->done = true;
        atomic_store(&self->outcomes->told, true);
    }
    return err;
}

static void op_drop(due_t *due)
{
    pawl_op_t *self = (pawl_op_t *)due;
    pawl_client_t *client = self->client;
    pthread_mutex_lock(&client->lock);
    op_release(self);
    pthread_mutex_unlock(&client->lock);
    client_release(client);
}

static pawl_op_t *op_new(pawl_client_t *client, pawl_batch_t *batch)
{
    pawl_op_t *self = calloc(1, sizeof *self);
    outcomes_t *outcomes = outcomes_new(entries_of(batch), pawl_batch_size(batch));
    if (!self || !outcomes) {
        free(self);
        free(outcomes);
        return NULL;
    }
    self->client = client;
    self->refs = 1;
    self->outcomes = outcomes;
    atomic_fetch_add(&outcomes->refs, 1);
    outcomes_release(batch->outcomes);
    batch->outcomes = outcomes;
    client_hold(client);
    return self;
}

static pawl_op_t *start(pawl_client_t *client, pawl_batch_t *batch, bool wait, int64_t deadline,
                        pawl_err *err)
{
    *err = client_check(client);
    if (*err) return NULL;
    pawl_op_t *self = op_new(client, batch);
    if (!self) {
        *err = fail_with(client, PAWL_E_NO_MEMORY, NULL);
        return NULL;
    }
    pthread_mutex_lock(&client->lock);
    *err = op_start(self, batch, wait, deadline);
    if (*err) op_release(self); /* parts that are on their way have references of their own */
    pthread_mutex_unlock(&client->lock);
    if (!*err) return self;
    fail_with(client, *err, NULL);
    client_release(client);
    return NULL;
}

/* ---- the public face ------------------------------------------------------------------------- */

pawl_op_t *pawl_batch_submit_op(pawl_client_t *self, pawl_batch_t *batch, pawl_err *err)
{
    pawl_err ignored;
    return start(self, batch, false, 0, err ? err : &ignored);
}

pawl_op_t *pawl_submit_op(pawl_client_t *self, const pawl_task_t *task, pawl_err *err)
{
    pawl_err ignored;
    pawl_batch_t batch = { 0 };
    pawl_op_t *op = NULL;
    err = err ? err : &ignored;
    *err = pawl_batch_add(&batch, task);
    if (!*err) op = pawl_batch_submit_op(self, &batch, err);
    if (op) op->single = true; /* read by its owner alone, and only later */
    bytes_free(&batch.packed);
    bytes_free(&batch.entries);
    outcomes_release(batch.outcomes);
    return op;
}

/* A single task's refusal is the operation's. */
static pawl_err op_outcome(const pawl_op_t *self, const char **text)
{
    *text = self->text;
    if (self->err || !self->single) return self->err;
    *text = self->outcomes->items[0].text;
    return self->outcomes->items[0].err;
}

static pawl_err op_result(const pawl_op_t *self)
{
    const char *text;
    pawl_err err = client_check(self->client);
    if (err) return err;
    pthread_mutex_lock(&self->client->lock);
    err = self->done ? op_outcome(self, &text) : PAWL_E_EMPTY;
    if (err && self->done) fail_with_field(self->client, err, text, "", self->retry_us);
    pthread_mutex_unlock(&self->client->lock);
    return err;
}

bool pawl_op_done(const pawl_op_t *self)
{
    if (!client_is_ours(self->client)) return false;
    pthread_mutex_lock(&self->client->lock);
    bool is_done = self->done;
    pthread_mutex_unlock(&self->client->lock);
    return is_done;
}

pawl_err pawl_op_result(const pawl_op_t *self)
{
    return op_result(self);
}

static bool op_await(pawl_op_t *self, int64_t deadline)
{
    pawl_client_t *client = self->client;
    bool in_time = true;
    pthread_mutex_lock(&client->lock);
    while (!self->done && in_time)
        in_time = cond_wait_until(&client->changed, &client->lock, deadline);
    bool is_done = self->done;
    pthread_mutex_unlock(&client->lock);
    return is_done;
}

pawl_err pawl_op_wait(pawl_op_t *self, int64_t timeout_us)
{
    pawl_err err = client_check(self->client);
    if (err) return err;
    if (!op_await(self, deadline_of(timeout_us)))
        return fail_with(self->client, PAWL_E_TIMEOUT, "the answer did not come in time");
    return op_result(self);
}

static int op_run(due_t *due)
{
    pawl_op_t *self = (pawl_op_t *)due;
    self->fn(self, self->arg); /* set before it was listed, never changed after */
    op_drop(due);
    return 1;
}

void pawl_op_on_done(pawl_op_t *self, pawl_op_fn *fn, void *arg)
{
    pawl_client_t *client = self->client;
    if (client_check(client) || !fn) return;
    pthread_mutex_lock(&client->lock);
    if (!self->fn) {
        self->fn = fn;
        self->arg = arg;
        self->due = (due_t){ NULL, self, op_run, op_drop };
        self->due_listed = true;
        self->refs++; /* of the due list, now or later */
        client_hold(client);
        if (self->done) due_add(client, &self->due);
    }
    pthread_mutex_unlock(&client->lock);
}

/* A hook that has not become due dies with the operation. */
void pawl_op_destroy(pawl_op_t **self_p)
{
    if (!self_p || !*self_p) return;
    pawl_op_t *self = *self_p;
    pawl_client_t *client = self->client;
    *self_p = NULL;
    /* a forked child leaves alone what its parent uses */
    if (client->pid != getpid()) return; // NOLINT(clang-analyzer-unix.Malloc)
    pthread_mutex_lock(&client->lock);
    bool waits = self->due_listed && !self->done;
    self->due_listed = false; /* from here on it cannot become due any more */
    pthread_mutex_unlock(&client->lock);
    due_forget(client, self);
    pthread_mutex_lock(&client->lock);
    self->refs -= waits;
    op_release(self);
    pthread_mutex_unlock(&client->lock);
    if (waits) client_release(client);
    client_release(client);
}

pawl_err pawl_batch_submit(pawl_client_t *client, pawl_batch_t *batch, int64_t timeout_us)
{
    pawl_err err;
    int64_t deadline = deadline_of(timeout_us);
    pawl_op_t *op = start(client, batch, true, deadline, &err);
    if (!op) return err;
    if (!op_await(op, deadline))
        err = fail_with(client, PAWL_E_TIMEOUT, "the broker did not answer in time");
    else
        err = op->err ? op_result(op) : PAWL_OK;
    pawl_op_destroy(&op);
    return err;
}

pawl_err pawl_submit(pawl_client_t *self, const pawl_task_t *task, uint8_t id_out[PAWL_ID_BYTES],
                     int64_t timeout_us)
{
    Pawl__V1__Request request = PAWL__V1__REQUEST__INIT;
    Pawl__V1__Submit submit = PAWL__V1__SUBMIT__INIT;
    Pawl__V1__Reply *reply;
    bytes_t packed = { 0 };
    if (!bytes_add_message(&packed, &task->message->base)) {
        bytes_free(&packed);
        return fail_with(self, PAWL_E_NO_MEMORY, NULL);
    }
    ProtobufCBinaryData item = { packed.len, packed.at };
    submit.n_tasks = 1;
    submit.tasks = &item;
    request.body_case = PAWL__V1__REQUEST__BODY_SUBMIT;
    request.submit = &submit;
    pawl_err err = ask(self, &request, PAWL__V1__REPLY__BODY_SUBMITTED, 0, timeout_us, &reply);
    bytes_free(&packed);
    if (err) return err;
    uint8_t id[PAWL_ID_BYTES];
    pawl_task_id(task, id);
    if (reply->submitted->n_items) {
        const Pawl__V1__ItemResult *item_result = reply->submitted->items[0];
        if (item_result->error) err = fail_from_wire(self, item_result->error);
        if (item_result->id.len == PAWL_ID_BYTES) memcpy(id, item_result->id.data, PAWL_ID_BYTES);
    }
    if (!err && id_out) memcpy(id_out, id, PAWL_ID_BYTES);
    arena_free_of(reply);
    return err;
}

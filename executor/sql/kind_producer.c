/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/kind_producer.c - rows become tasks.
 *
 *   ask for the watermark -> begin, execute -> row after row: template + columns = a task
 *   -> batch full: Produce(tasks, watermark) in one transaction of the broker -> ... -> the rest
 *
 * Killed anywhere, the next attempt asks for the watermark of the last batch that was committed and
 * goes on; what it reads again has the same ids and is not made twice. The watermark that goes with
 * a batch is therefore never that of a row whose equals may still come: it is the highest value
 * below that of the last row. At the end it is the last value itself.
 *
 * Memory: one row, and one batch of tasks (BATCH_BYTES and one task at most). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sodium.h>

#include "client/base/clock.h"
#include "executor/instant.h"
#include "executor/sql/kind.h"
#include "executor/sql/watermark.h"
#include "schemas/limits.h"
#include "schemas/pawl.pb-c.h"

enum {
    BATCH_STANDARD = 2000,
    BATCH_BYTES = 4 << 20, /* of tasks: half of what a message may have */
    ASK_US = 10000000,     /* patience for one answer; asked again then */
    AGAIN_MS = 500,
    SAMPLES = 3
};

/* Numbers of the fields of Task that a column may fill. */
enum field {
    FIELD_PRIORITY = 4,
    FIELD_INPUT = 5,
    FIELD_KEY = 8,
    FIELD_TITLE = 9,
    FIELD_AT = 12,
    FIELD_TARGET = 17
};
enum { TARGET_EXECUTOR = 1, TARGET_HOST = 2, WIRE_VARINT = 0, WIRE_LENGTH = 2 };
enum { NO_COLUMN = -1 };

struct place {
    size_t task, task_len, key; /* offsets in the batch's bytes; key: SIZE_MAX: content */
    uint8_t content[PAWL_CONTENT_BYTES];
};

struct producer {
    sql_work_t *work;
    const pawl_record_t *spec;
    slice_t template;
    bool template_has_input, dry_run;
    size_t columns;
    int key, priority, at, title, executor, host, watermark; /* columns */
    int *input; /* columns, in order; input_count 0: all */
    size_t input_count;
    buf_t names;
    size_t *name_at;
    /* the batch */
    buf_t bytes, input_text;
    struct place *places;
    size_t batch, count;
    /* how far it is */
    uint64_t rows, rows_max, created, repeated, created_all;
    int64_t begun_us;  /* steady */
    buf_t last, below; /* the watermark of the last row; the highest value below it: "" none yet */
    sql_kind_t last_kind;
    buf_t sample;
};

/* ---- the columns of the query ---------------------------------------------------------------- */

static int find_column(struct producer *self, const char *name, bool *good)
{
    const sql_driver_t *driver = self->work->source->driver;
    sql_link_t *link = session_link(self->work->session);
    if (!*name) return NO_COLUMN;
    for (size_t i = 0; i < self->columns; i++)
        if (strcmp(driver->column(link, i), name) == 0) return (int)i;
    if (*good) work_fail(self->work, RESULT_PERMANENT, "the query has no column \"%.64s\"", name);
    *good = false;
    return NO_COLUMN;
}

static bool find_columns(struct producer *self)
{
    bool good = true;
    const struct {
        const char *field;
        int *column;
    } given[] = { { "key", &self->key },
                  { "priority", &self->priority },
                  { "at", &self->at },
                  { "title", &self->title },
                  { "executor", &self->executor },
                  { "host", &self->host },
                  { "watermark", &self->watermark } };
    self->columns = self->work->source->driver->columns(session_link(self->work->session));
    if (self->columns == 0) {
        work_fail(self->work, RESULT_PERMANENT, "the statement gives no rows: a query is wanted");
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        *given[i].column = find_column(self, pawl_record_text(self->spec, given[i].field), &good);
    self->input_count = pawl_record_count(self->spec, "input");
    self->input = mem_new((self->input_count + 1) * sizeof *self->input);
    for (size_t i = 0; good && i < self->input_count; i++)
        self->input[i] = find_column(self, pawl_record_text_at(self->spec, "input", i), &good);
    if (good) self->name_at = work_names(self->work, &self->names);
    return good;
}

/* ---- a row as a task ------------------------------------------------------------------------- */

static void put_varint(buf_t *to, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    } while (value);
    bytes[n - 1] &= 0x7f;
    buf_add(to, bytes, n);
}

static void put_tag(buf_t *to, unsigned field, unsigned wire_type)
{
    put_varint(to, field << 3 | wire_type);
}

static void put_bytes(buf_t *to, unsigned field, const void *bytes, size_t len)
{
    put_tag(to, field, WIRE_LENGTH);
    put_varint(to, len);
    buf_add(to, bytes, len);
}

static bool row_fails(struct producer *self, const char *what, const char *wanted)
{
    work_fail(self->work, RESULT_PERMANENT, "row %" PRIu64 ": column for %s: %s", self->rows + 1,
              what, wanted);
    return false;
}

static bool put_priority(struct producer *self, const sql_value_t *value)
{
    bool digit = value->len == 1 && value->at[0] >= '0' && value->at[0] <= '9';
    if (!digit) return row_fails(self, "priority", "a whole number from 0 to 9 is wanted");
    put_tag(&self->bytes, FIELD_PRIORITY, WIRE_VARINT);
    put_varint(&self->bytes, (uint64_t)(value->at[0] - '0'));
    return true;
}

/* An instant; a time without a zone is meant in UTC. */
static bool put_at(struct producer *self, const sql_value_t *value)
{
    char text[64];
    int64_t us;
    snprintf(text, sizeof text, "%sZ", value->at);
    if (value->len > 40 || (!instant_read(value->at, &us) && !instant_read(text, &us)) || us < 0)
        return row_fails(self, "at", "an instant after 1970 is wanted, e.g. 2026-12-01T02:00:00Z");
    put_tag(&self->bytes, FIELD_AT, WIRE_VARINT);
    put_varint(&self->bytes, (uint64_t)us);
    return true;
}

static void put_target(struct producer *self, unsigned field, const sql_value_t *value)
{
    buf_t target = { 0 };
    put_bytes(&target, field, value->at, value->len);
    put_bytes(&self->bytes, FIELD_TARGET, target.at, target.len);
    buf_free(&target);
}

static void put_input(struct producer *self, const sql_value_t *row)
{
    buf_t *text = &self->input_text;
    size_t n = self->input_count ? self->input_count : self->columns;
    text->len = 0;
    buf_add(text, "{", 1);
    for (size_t i = 0; i < n; i++) {
        size_t column = self->input_count ? (size_t)self->input[i] : i;
        const char *name = (char *)self->names.at + self->name_at[column];
        if (i) buf_add(text, ",", 1);
        buf_add(text, name, strlen(name));
        json_add_value(text, &row[column]);
    }
    buf_add(text, "}", 1);
    put_bytes(&self->bytes, FIELD_INPUT, text->at, text->len);
}

/* What tells rows apart that have no key: all there is in them. */
static void hash_row(struct producer *self, const sql_value_t *row,
                     uint8_t hash[PAWL_CONTENT_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, PAWL_CONTENT_BYTES);
    for (size_t i = 0; i < self->columns; i++) {
        uint8_t head[9];
        be_put_u64(be_put_u8(head, (uint8_t)row[i].kind), row[i].len);
        crypto_generichash_update(&state, head, sizeof head);
        crypto_generichash_update(&state, (const uint8_t *)row[i].at, row[i].len);
    }
    crypto_generichash_final(&state, hash, PAWL_CONTENT_BYTES);
}

static const sql_value_t *given(const sql_value_t *row, int column)
{
    return column == NO_COLUMN || row[column].kind == SQL_NULL ? NULL : &row[column];
}

/* Adds the task of the row to the batch. */
static bool add_task(struct producer *self, const sql_value_t *row)
{
    struct place *place = &self->places[self->count];
    const sql_value_t *value;
    buf_t *to = &self->bytes;
    place->task = to->len;
    buf_add(to, self->template.at, self->template.len);
    if ((value = given(row, self->priority)) && !put_priority(self, value)) return false;
    if (!self->template_has_input) put_input(self, row);
    if ((value = given(row, self->key))) put_bytes(to, FIELD_KEY, value->at, value->len);
    if ((value = given(row, self->at)) && !put_at(self, value)) return false;
    if ((value = given(row, self->title))) put_bytes(to, FIELD_TITLE, value->at, value->len);
    if ((value = given(row, self->executor))) put_target(self, TARGET_EXECUTOR, value);
    if ((value = given(row, self->host))) put_target(self, TARGET_HOST, value);
    place->task_len = to->len - place->task;
    place->key = SIZE_MAX;
    if (self->key == NO_COLUMN) {
        hash_row(self, row, place->content);
    } else {
        value = given(row, self->key);
        if (!value || value->len == 0 || value->len > LIMIT_KEY || strlen(value->at) != value->len)
            return row_fails(self, "key", "a value of 1 to 256 bytes without NUL is wanted");
        place->key = to->len;
        buf_add(to, value->at, value->len + 1);
    }
    self->count++;
    return true;
}

/* ---- the watermark --------------------------------------------------------------------------- */

static sql_value_t last_value(const struct producer *self)
{
    return (sql_value_t){ self->last_kind, (char *)self->last.at, self->last.len };
}

static void keep_last(struct producer *self, const sql_value_t *value)
{
    self->last.len = 0;
    buf_add(&self->last, value->at, value->len);
    buf_add(&self->last, "", 1);
    self->last.len--;
    self->last_kind = value->kind;
}

/* Before the row is counted: its value must not lie below that of the row before. */
static bool pass_mark(struct producer *self, const sql_value_t *row)
{
    if (self->watermark == NO_COLUMN) return true;
    const sql_value_t *value = &row[self->watermark];
    if (!watermark_can(value, &self->work->source->driver->dialect))
        return row_fails(self, "watermark", "a number or a time is wanted, never NULL");
    if (self->rows == 0) {
        keep_last(self, value);
        return true;
    }
    sql_value_t last = last_value(self);
    int order = watermark_compare(value, &last);
    if (order < 0)
        return row_fails(self, "watermark",
                         "it lies below that of the row before: the query must be ordered by it");
    if (order > 0) {
        self->below.len = 0;
        watermark_print(&last, &self->below);
        keep_last(self, value);
    }
    return true;
}

/* ---- batches --------------------------------------------------------------------------------- */

static void take_answer(struct producer *self, const pawl_record_t *answer)
{
    self->created += (uint64_t)pawl_record_int(answer, "created");
    self->repeated += (uint64_t)pawl_record_int(answer, "repeated_rows");
    self->created_all = (uint64_t)pawl_record_int(answer, "created_all");
}

/* Asks until there is an answer. False: it ended otherwise, the result says how. */
static bool ask(struct producer *self, const pawl_produce_item_t *items, size_t n,
                const buf_t *watermark, pawl_record_t **answer)
{
    char why[512] = "";
    for (;;) {
        pawl_err err =
            pawl_job_produce(self->work->job, items, n, watermark->len ? watermark->at : NULL,
                             watermark->len, answer, why, sizeof why, ASK_US);
        if (!err) return true;
        if (session_stopped(self->work->session)) {
            work_fail(self->work, RESULT_STOPPED, "stopped");
            return false;
        }
        if (!pawl_err_retryable(err)) {
            work_fail(self->work, err == PAWL_E_STALE ? RESULT_FAILED : RESULT_PERMANENT,
                      "rows %" PRIu64 " to %" PRIu64 " were not taken: %s",
                      self->rows - self->count + 1, self->rows, why);
            return false;
        }
        nanosleep(&(struct timespec){ 0, AGAIN_MS * 1000000L }, NULL);
    }
}

static void tell_progress(struct producer *self)
{
    char text[120];
    int64_t us = clock_steady_us() - self->begun_us;
    uint64_t rate = us > 0 ? self->rows * PAWL_SEC_US / (uint64_t)us : 0;
    snprintf(text, sizeof text,
             "%" PRIu64 " rows, %" PRIu64 " tasks made, %" PRIu64 " rows a second", self->rows,
             self->created, rate);
    (void)pawl_job_progress(self->work->job, (int64_t)self->rows, 0, text);
}

static bool flush(struct producer *self, const buf_t *watermark)
{
    pawl_record_t *answer;
    if (self->count == 0 && watermark->len == 0) return true;
    if (!self->dry_run) {
        pawl_produce_item_t *items = mem_new((self->count + 1) * sizeof *items);
        for (size_t i = 0; i < self->count; i++) {
            const struct place *place = &self->places[i];
            bool content = place->key == SIZE_MAX;
            items[i] = (pawl_produce_item_t){ self->bytes.at + place->task, place->task_len,
                                              content ? NULL : (char *)self->bytes.at + place->key,
                                              content ? place->content : NULL };
        }
        bool good = ask(self, items, self->count, watermark, &answer);
        free(items);
        if (!good) return false;
        take_answer(self, answer);
        pawl_record_destroy(&answer);
    }
    self->count = 0;
    self->bytes.len = 0;
    tell_progress(self);
    return true;
}

static void keep_sample(struct producer *self)
{
    if (!self->dry_run || self->rows > SAMPLES || self->template_has_input) return;
    if (self->sample.len) buf_add(&self->sample, ",", 1);
    buf_add(&self->sample, self->input_text.at, self->input_text.len);
}

/* SQL_OK: all rows are through. SQL_ROW: the bound of rows was reached. */
static sql_status_t take_rows(struct producer *self, sql_error_t *error, bool *good)
{
    const sql_driver_t *driver = self->work->source->driver;
    sql_link_t *link = session_link(self->work->session);
    const sql_value_t *row;
    sql_status_t status;
    while ((status = driver->next(link, &row, error)) == SQL_ROW) {
        if (self->rows_max && self->rows == self->rows_max) return SQL_ROW;
        *good = pass_mark(self, row) && add_task(self, row);
        if (!*good) return SQL_ROW;
        self->rows++;
        keep_sample(self);
        if (self->count < self->batch && self->bytes.len < BATCH_BYTES) continue;
        *good = flush(self, &self->below);
        if (!*good) return SQL_ROW;
    }
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* What is on record from earlier, as :watermark; without it the one in params says where to begin.
 */
static bool set_mark(struct producer *self, const sql_script_t *script, sql_params_t *params)
{
    const buf_t none = { 0 };
    pawl_record_t *answer;
    char why[256] = "";
    if (!ask(self, NULL, 0, &none, &answer)) return false;
    take_answer(self, answer);
    size_t len = 0;
    const void *json =
        pawl_record_has(answer, "watermark") ? pawl_record_bytes(answer, "watermark", &len) : NULL;
    bool good =
        !json || sql_params_read_one(params, "watermark", slice(json, len), why, sizeof why);
    if (good && json)
        work_note(self->work, "going on behind the watermark %.*s", (int)len, (const char *)json);
    pawl_record_destroy(&answer);
    if (!good) work_fail(self->work, RESULT_PERMANENT, "the watermark on record: %s", why);
    for (size_t i = 0; good && i < script->name_count; i++)
        if (strcmp(script->names[i], "watermark") == 0 && !sql_params_find(params, "watermark")) {
            work_fail(self->work, RESULT_PERMANENT,
                      "the query uses :watermark and there is none yet: say in params where to "
                      "begin, e.g. {\"watermark\": 0}");
            return false;
        }
    return good;
}

static void write_output(struct producer *self, bool bounded)
{
    buf_t *out = &self->work->result->output;
    buf_printf(out,
               "{\"rows\":%" PRIu64 ",\"created\":%" PRIu64 ",\"repeated\":%" PRIu64
               ",\"created_all\":%" PRIu64 ",\"bounded\":%s",
               self->rows, self->created, self->repeated, self->created_all,
               bounded ? "true" : "false");
    if (self->dry_run) {
        buf_printf(out, ",\"dry_run\":true,\"sample\":[");
        buf_add(out, self->sample.at, self->sample.len);
        buf_add(out, "]", 1);
    }
    buf_add(out, "}", 1);
    work_fail(self->work, RESULT_DONE,
              "%" PRIu64 " rows: %" PRIu64 " tasks made, %" PRIu64 " on record already%s",
              self->rows, self->created, self->repeated,
              self->dry_run ? " (rehearsal: nothing was made)" : "");
}

static void run(struct producer *self, const sql_script_t *script, const sql_params_t *params)
{
    sql_work_t *work = self->work;
    const sql_driver_t *driver = work->source->driver;
    sql_value_t *values = work_bind(work, script, &script->statements[0], params);
    if (!values) return;
    sql_error_t error = { "", "" };
    bool good = true;
    self->begun_us = clock_steady_us();
    sql_status_t status = session_begin(work->session, SESSION_READ, &error);
    if (!status)
        status = driver->execute(session_link(work->session), script->statements[0].text, values,
                                 script->statements[0].param_count, &error);
    free(values);
    if (!status && !find_columns(self)) return;
    if (!status) status = take_rows(self, &error, &good);
    if (status && status != SQL_ROW) {
        work_fail_status(work, status, &error, 0);
        return;
    }
    bool bounded = status == SQL_ROW;
    if (bounded) driver->stop(session_link(work->session)); /* the rest is not wanted */
    if (good && !bounded && self->rows && self->watermark != NO_COLUMN) {
        sql_value_t last = last_value(self);
        self->below.len = 0;
        watermark_print(&last, &self->below);
    }
    if (!good || !flush(self, &self->below)) return;
    if (bounded && self->watermark != NO_COLUMN && self->below.len == 0 && self->created == 0 &&
        !self->dry_run)
        work_fail(work, RESULT_PERMANENT,
                  "all %" PRIu64
                  " rows have the same watermark and are tasks already: the next run "
                  "would read them again; raise rows",
                  self->rows);
    else
        write_output(self, bounded);
}

static void producer_free(struct producer *self)
{
    buf_t *const buffers[] = { &self->names, &self->bytes, &self->input_text,
                               &self->last,  &self->below, &self->sample };
    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        buf_free(buffers[i]);
    free(self->name_at);
    free(self->input);
    free(self->places);
}

void kind_producer(sql_work_t *work)
{
    sql_script_t script;
    sql_params_t params;
    struct producer self = { .work = work, .spec = pawl_record_sub(work->task, "producer") };
    if (!self.spec) { /* the broker sees to it */
        work_fail(work, RESULT_PERMANENT, "the task does not say what its rows become");
        return;
    }
    if (!work_read(work, &script, &params)) return;
    size_t len = 0;
    const void *template = pawl_record_bytes(self.spec, "task", &len);
    Pawl__V1__Task *task = pawl__v1__task__unpack(NULL, len, template);
    int64_t batch = pawl_record_int(self.spec, "batch");
    self.template = slice(template, len);
    self.template_has_input = task && task->input.len > 0;
    self.dry_run = pawl_record_int(self.spec, "dry_run") != 0;
    self.rows_max = (uint64_t)pawl_record_int(self.spec, "rows");
    self.batch = batch ? (size_t)batch : BATCH_STANDARD;
    self.places = mem_new((self.batch + 1) * sizeof *self.places);
    pawl__v1__task__free_unpacked(task, NULL);
    if (script.count != 1)
        work_fail(work, RESULT_PERMANENT, "%zu statements: a producer runs one query",
                  script.count);
    else if (set_mark(&self, &script, &params))
        run(&self, &script, &params);
    producer_free(&self);
    sql_params_free(&params);
    sql_script_free(&script);
}

/* SPDX-License-Identifier: Apache-2.0
 * executor/sql/kind_sql.c - statements in one transaction, the rows of the last as output. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "executor/sql/kind.h"
#include "schemas/limits.h"

enum {
    ROWS_STANDARD = 1000,
    OUTPUT_ROWS_MAX = LIMIT_OUTPUT - (64 << 10), /* bytes of rows; the rest is for what is around */
    TRIES_MAX = 5, /* of a transaction that met a deadlock or a lock */
    PAUSE_MS = 50
};

/* What the statements have come to so far. */
struct report {
    buf_t statements, rows, names; /* JSON, without the outer brackets; names: "a":, with NUL */
    size_t *name_at;               /* of each column in `names` */
    uint64_t kept, seen;
    const char *cut; /* why rows are missing; NULL: none is */
    uint64_t rows_max;
    bool last; /* it is the last statement */
};

static void report_free(struct report *self)
{
    buf_free(&self->statements);
    buf_free(&self->rows);
    buf_free(&self->names);
    free(self->name_at);
}

static void keep_row(struct report *self, const sql_value_t *row, size_t columns)
{
    self->seen++;
    if (self->cut) return;
    if (self->kept == self->rows_max) {
        self->cut = "the limit of rows";
        return;
    }
    size_t before = self->rows.len, bytes = 0;
    for (size_t i = 0; i < columns; i++)
        bytes += row[i].len;
    if (before + bytes <= OUTPUT_ROWS_MAX) {
        buf_printf(&self->rows, self->kept ? ",{" : "{");
        for (size_t i = 0; i < columns; i++) {
            const char *name = (char *)self->names.at + self->name_at[i];
            if (i) buf_add(&self->rows, ",", 1);
            buf_add(&self->rows, name, strlen(name));
            json_add_value(&self->rows, &row[i]);
        }
        buf_add(&self->rows, "}", 1);
    }
    if (before + bytes > OUTPUT_ROWS_MAX || self->rows.len > OUTPUT_ROWS_MAX) {
        self->rows.len = before;
        self->cut = "the size of an output";
        return;
    }
    self->kept++;
}

/* A read-only transaction that has nothing more to do: rows that nobody keeps need not be sent. */
static bool enough(const struct report *self, const sql_work_t *work)
{
    return self->cut && self->last && work->source->read_only;
}

static sql_status_t take_rows(struct report *self, sql_work_t *work, sql_error_t *error)
{
    const sql_driver_t *driver = work->source->driver;
    sql_link_t *link = session_link(work->session);
    size_t columns = driver->columns(link);
    const sql_value_t *row;
    sql_status_t status;
    self->rows.len = 0;
    self->kept = self->seen = 0;
    self->cut = NULL;
    free(self->name_at);
    self->name_at = work_names(work, &self->names);
    while ((status = driver->next(link, &row, error)) == SQL_ROW) {
        keep_row(self, row, columns);
        if (enough(self, work)) {
            driver->stop(link);
            sql_error_t ignored;
            (void)driver->finish(link, &ignored);
            return SQL_ROW;
        }
    }
    return status;
}

/* SQL_ROW: the statement was left in the middle of its rows, and the transaction with it. */
static sql_status_t run_statement(struct report *self, sql_work_t *work, const char *text,
                                  const sql_value_t *values, size_t n, sql_error_t *error)
{
    const sql_driver_t *driver = work->source->driver;
    sql_link_t *link = session_link(work->session);
    sql_status_t status = driver->execute(link, text, values, n, error);
    bool rows = !status && driver->columns(link) > 0;
    if (rows) status = take_rows(self, work, error);
    if (!status) status = driver->finish(link, error);
    if (status && status != SQL_ROW) return status;
    if (self->statements.len) buf_add(&self->statements, ",", 1);
    int64_t affected = driver->affected(link);
    if (affected >= 0)
        buf_printf(&self->statements, "{\"affected\":%" PRId64 "}", affected);
    else if (rows)
        buf_printf(&self->statements, "{\"rows\":%" PRIu64 "}", self->seen);
    else
        buf_printf(&self->statements, "{}");
    return status;
}

static void write_output(const struct report *self, sql_work_t *work)
{
    buf_t *out = &work->result->output;
    out->len = 0;
    buf_printf(out, "{\"rows\":[");
    buf_add(out, self->rows.at, self->rows.len);
    buf_printf(out, "],\"cut\":%s,\"statements\":[", self->cut ? "true" : "false");
    buf_add(out, self->statements.at, self->statements.len);
    buf_printf(out, "]}");
}

static void succeed(const struct report *self, sql_work_t *work)
{
    write_output(self, work);
    if (self->cut)
        work_fail(work, RESULT_DONE, "%" PRIu64 " rows kept, cut at %s", self->kept, self->cut);
    else
        work->result->message[0] = '\0';
    work->result->outcome = RESULT_DONE;
}

/* The COMMIT was sent and no answer came: it may have happened. */
static void unknown(sql_work_t *work, const sql_error_t *error)
{
    bool again = strcmp(pawl_record_text(work->sql, "on_unknown"), "retry") == 0;
    work_fail(work, again ? RESULT_FAILED : RESULT_PERMANENT,
              "source %s: unknown whether it was committed: the link broke during COMMIT (%.200s); "
              "%s",
              work->source->name, error->text,
              again ? "on_unknown is retry: it is run again while attempts are left"
                    : "look into the database, then retry by hand or let it be");
}

/* One transaction from its begin to its end. True: it met another one, and may be tried again. */
static bool attempt(struct report *report, sql_work_t *work, const sql_script_t *script,
                    const sql_params_t *params)
{
    const sql_driver_t *driver = work->source->driver;
    bool one =
        strcmp(pawl_record_text(work->sql, "transaction"), "none") != 0 || work->source->read_only;
    work->each_commits = !one;
    sql_error_t error = { "", "" };
    sql_status_t status = session_begin(work->session, one ? SESSION_WRITE : SESSION_PLAIN, &error);
    size_t at = 0;
    for (; !status && at < script->count; at++) {
        const sql_statement_t *statement = &script->statements[at];
        sql_value_t *values = work_bind(work, script, statement, params);
        if (!values) {
            session_end(work->session, true);
            return false;
        }
        report->last = at + 1 == script->count;
        status = work_is_cut_off(work) ? SQL_STOPPED
                                       : run_statement(report, work, statement->text, values,
                                                       statement->param_count, &error);
        free(values);
        if (!status && (session_stopped(work->session) || work_is_cut_off(work)))
            status = SQL_STOPPED;
    }
    if (status == SQL_ROW) {
        session_end(work->session, false);
        succeed(report, work);
        return false;
    }
    bool committing = !status && one;
    if (committing) status = driver->commit(session_link(work->session), &error);
    if (!status)
        succeed(report, work);
    else if (committing && status == SQL_LOST)
        unknown(work, &error);
    else
        work_fail_status(work, status, &error, committing ? 0 : at);
    session_end(work->session, status != SQL_LOST && status != SQL_TOO_BIG);
    if (status && !one && at > 1)
        work_note(work, "statements before number %zu are committed: transaction is none", at);
    if ((status == SQL_LOST || status == SQL_STOPPED) && !one && at > 0)
        work_note(work, "statement %zu may be committed too: transaction is none", at);
    return status == SQL_BUSY && one;
}

void kind_sql(sql_work_t *work)
{
    sql_script_t script;
    sql_params_t params;
    if (!work_read(work, &script, &params)) return;
    int64_t rows = pawl_record_int(work->sql, "rows");
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        struct report report = { .rows_max = rows ? (uint64_t)rows : ROWS_STANDARD };
        bool again = attempt(&report, work, &script, &params);
        report_free(&report);
        if (!again || session_stopped(work->session)) break;
        work_note(work, "%s", work->result->message);
        nanosleep(&(struct timespec){ 0, (long)(PAUSE_MS << i) * 1000000L }, NULL);
    }
    sql_params_free(&params);
    sql_script_free(&script);
}
